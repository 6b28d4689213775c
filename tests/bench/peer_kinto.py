"""Kinto as a side of the sync bench: on the same PostgreSQL, gunicorn with two processes, in an environment of its own.

Its packages are pinned in peers/kinto.txt and installed into the cache folder, never into Callout's environment. A
collection is a scope, as Kinto's documents advise. Settings are its defaults but: 100 requests a batch instead of 25.
"""

import base64
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
from load import Answer, get, send
from peer_python import PEERS, NotInstalled, environment
from processes import Program, free_port
from sides import Changes, PolledSide, analyze, document, encode, taken
from waiting import until_answers

HERE = PEERS
AUTH = "Basic " + base64.b64encode(b"bench:bench").decode()
RECORDS = "/v1/buckets/bench/collections/{}/records"
SETTINGS = """
[app:main]
use = egg:kinto
kinto.storage_backend = kinto.core.storage.postgresql
kinto.storage_url = {url}
kinto.permission_backend = kinto.core.permission.postgresql
kinto.permission_url = {url}
kinto.cache_backend = kinto.core.cache.memory
kinto.userid_hmac_secret = bench
kinto.batch_max_requests = 100
kinto.includes =
multiauth.policies = basicauth
kinto.bucket_create_principals = system.Authenticated
"""


def kinto_environment() -> Path:
    """The folder of an environment with Kinto in it; its `bin` is what matters."""
    try:
        return environment("kinto")
    except NotInstalled as error:
        raise AssertionError(f"Kinto could not be installed:\n{error}") from error


class KintoSide(PolledSide):
    """Push: POST /v1/batch of PUTs, a collection for each client. Poll: records `_since` the last one seen."""

    name = "kinto"
    on_postgres = True

    def __init__(self, admin_url: str) -> None:
        super().__init__()
        parts = urlsplit(admin_url)
        self.url = parts._replace(path=parts.path + "_kinto").geturl()
        self.admin_url = admin_url
        self.rows: list[list[dict[str, Any]]] = []
        self.queued = 0
        self.http: httpx.AsyncClient | None = None

    async def start(self, folder: Path) -> None:
        environment = kinto_environment()
        connection = await asyncpg.connect(self.admin_url)
        await connection.execute(f'create database "{urlsplit(self.url).path[1:]}"')
        await connection.close()
        settings = Path(tempfile.mkdtemp(dir=folder)) / "kinto.ini"
        settings.write_text(SETTINGS.format(url=self.url))
        subprocess.run(
            [str(environment / "bin" / "kinto"), "migrate", "--ini", str(settings)],
            check=True,
            capture_output=True,
        )
        self.port = free_port()
        self.programs = [
            Program(
                [
                    *(str(environment / "bin" / "gunicorn"), "kinto_app:application", "--chdir", str(HERE)),
                    *("--bind", f"127.0.0.1:{self.port}", "--log-level", "warning", "--keep-alive", "30"),
                    *("--workers", "2", "--worker-class", "gthread", "--threads", "8"),
                ],
                {"KINTO_INI": str(settings), "PYTHONWARNINGS": "ignore"},
                folder / "kinto.log",
            )
        ]
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", headers={"authorization": AUTH}, timeout=60
        )
        await until_answers(self.http, "/v1/__lbheartbeat__")
        await self._make("/v1/buckets/bench")

    async def stop(self) -> None:
        if self.http is not None:
            await self.http.aclose()
        await super().stop()
        connection = await asyncpg.connect(self.admin_url)
        await connection.execute(f'drop database if exists "{urlsplit(self.url).path[1:]}" with (force)')
        await connection.close()

    async def settled(self) -> None:
        await analyze(self.url)

    async def _make(self, path: str) -> None:
        assert self.http is not None
        (await self.http.put(path)).raise_for_status()

    async def _store(self, scope: str, documents: list[dict[str, Any]]) -> None:
        """Put records into a collection by SQL: making them is not what is measured."""
        await self._make(f"/v1/buckets/bench/collections/{scope}")
        connection = await asyncpg.connect(self.url)
        await connection.execute(
            """
            insert into objects (id, parent_id, resource_name, last_modified, data, deleted)
            select d->>'id', $1, 'record', from_epoch(as_epoch(clock_timestamp()::timestamp) - 10000000 + n), d - 'id', false
            from jsonb_array_elements($2::text::jsonb) with ordinality t(d, n)
            """,
            f"/buckets/bench/collections/{scope}",
            json.dumps(documents),
        )
        await connection.close()

    # ------------------------------------------------------------------------------------------ push
    async def push_queues(self, *, clients: int, batches: int, size: int) -> list[list[bytes]]:
        queues = []
        for client in range(clients):
            scope = f"push{client}"
            await self._make(f"/v1/buckets/bench/collections/{scope}")
            queues.append([self._batch(scope, size) for _ in range(batches)])
        return queues

    def _batch(self, scope: str, size: int) -> bytes:
        made = [document(scope) for _ in range(size)]
        requests = [{"path": f"{RECORDS.format(scope)[3:]}/{d['id']}", "body": {"data": d}} for d in made]
        body = encode({"defaults": {"method": "PUT"}, "requests": requests})
        return send("POST", "/v1/batch", body, {"authorization": AUTH})

    def check_push(self, answer: Answer, size: int) -> None:
        statuses = [response["status"] for response in taken(answer)["responses"]]
        if statuses != [201] * size:
            raise AssertionError(f"not created: {set(statuses)}")

    async def pushed(self) -> int:
        connection = await asyncpg.connect(self.url)
        try:
            return int(
                await connection.fetchval(
                    "select count(*) from objects where parent_id like '/buckets/bench/collections/push%'"
                    " and resource_name = 'record'"
                )
            )
        finally:
            await connection.close()

    # ------------------------------------------------------------------------------------- bootstrap
    async def fill(self, documents: int) -> None:
        await self._store("bootstrap", [document("bootstrap") for _ in range(documents)])

    async def filled(self) -> set[str]:
        connection = await asyncpg.connect(self.url)
        rows = await connection.fetch(
            "select id from objects where parent_id = '/buckets/bench/collections/bootstrap'"
            " and resource_name = 'record'"
        )
        await connection.close()
        return {row["id"] for row in rows}

    def page(self, cursor: Any, limit: int) -> bytes:
        first = f"{RECORDS.format('bootstrap')}?_limit={limit}&_sort=last_modified"
        return get(cursor or first, {"authorization": AUTH})

    def read_page(self, answer: Answer, limit: int) -> Changes:
        after = answer.headers.get("next-page", "")
        rows = {record["id"]: record["version"] for record in taken(answer)["data"]}
        return Changes(rows, after[after.find("/v1/") :] if after else None, bool(after))

    # ------------------------------------------------------------------------------------------ poll
    async def open_scopes(self, *, devices: int, rows: int, written: int) -> None:
        for device in range(devices):
            made = [document(f"scope{device}") for _ in range(rows)]
            await self._store(f"scope{device}", made)
            self.rows.append(made[:written])

    def poll(self, device: int, cursor: Any) -> bytes:
        since = f"&_since={cursor}" if cursor else ""
        return get(f"{RECORDS.format(f'scope{device}')}?_sort=last_modified{since}", {"authorization": AUTH})

    def read_poll(self, answer: Answer, cursor: Any) -> Changes:
        found = taken(answer)["data"]
        return Changes(
            {record["id"]: record["version"] for record in found}, answer.headers["etag"].strip('"'), False
        )

    def write(self, device: int, row: int) -> bytes:
        record = self.rows[device][row]
        record["version"] += 1
        return send(
            "PUT",
            f"{RECORDS.format(f'scope{device}')}/{record['id']}",
            encode({"data": record}),
            {"authorization": AUTH},
        )

    def read_write(self, device: int, row: int, answer: Answer) -> tuple[str, int]:
        stored = taken(answer)["data"]
        return stored["id"], stored["version"]

    async def truth(self) -> list[dict[str, int]]:
        connection = await asyncpg.connect(self.url)
        found = []
        for device in range(len(self.rows)):
            rows = await connection.fetch(
                "select id, (data->>'version')::int as version from objects"
                " where parent_id = $1 and resource_name = 'record'",
                f"/buckets/bench/collections/scope{device}",
            )
            found.append({row["id"]: row["version"] for row in rows})
        await connection.close()
        return found
