"""express-pouchdb and rxdb-server as sides of the sync bench; both keep everything in the memory of one process."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from load import Answer, get, post, send
from node import ROOT, NodeProcess, node_project
from sides import Changes, PolledSide, document, encode, taken

PEERS = ROOT / "tests" / "bench" / "peers"
FILL = 100


class NodeSide(PolledSide):
    """A script of peers/, started with the packages of peers/package.json."""

    script: str

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[dict[str, Any]]] = []
        self.http: httpx.AsyncClient | None = None

    async def start(self, folder: Path) -> None:
        program = NodeProcess(
            node_project(PEERS),
            PEERS / self.script,
            log=folder / f"{self.script}.log",
            env={"NODE_ENV": "production"},
        )
        self.programs, self.port = [program], program.port
        # Express ends a connection that was idle for five seconds: one for each request of the preparation.
        self.http = httpx.AsyncClient(
            base_url=program.url, timeout=60, limits=httpx.Limits(max_keepalive_connections=0)
        )

    async def stop(self) -> None:
        if self.http is not None:
            await self.http.aclose()
        await super().stop()

    async def _call(self, method: str, path: str, **how: Any) -> Any:
        assert self.http is not None
        answer = await self.http.request(method, path, **how)
        answer.raise_for_status()
        return answer.json()


class PouchSide(NodeSide):
    """A database for each scope, as CouchDB's users do. Push: _bulk_docs. Poll: _changes with documents."""

    name = "express-pouchdb"
    script = "pouchdb.mjs"

    @staticmethod
    def _document(scope: str) -> dict[str, Any]:
        made = document(scope)
        return {"_id": made.pop("id"), **made}

    async def push_queues(self, *, clients: int, batches: int, size: int) -> list[list[bytes]]:
        queues = []
        assert self.http is not None
        for client in range(clients):
            scope = f"push{client}"
            await self.http.put(f"/{scope}")
            queues.append(
                [
                    post(
                        f"/{scope}/_bulk_docs", encode({"docs": [self._document(scope) for _ in range(size)]})
                    )
                    for _ in range(batches)
                ]
            )
        return queues

    def check_push(self, answer: Answer, size: int) -> None:
        stored = [row for row in taken(answer) if row.get("ok")]
        if len(stored) != size:
            raise AssertionError(f"{size - len(stored)} documents of a batch not stored")

    async def pushed(self) -> int:
        names = await self._call("GET", "/_all_dbs")
        return sum(
            [
                (await self._call("GET", f"/{name}/_all_docs"))["total_rows"]
                for name in names
                if "push" in name
            ]
        )

    async def _fill(self, scope: str, made: list[dict[str, Any]]) -> list[dict[str, Any]]:
        await self._call("PUT", f"/{scope}")
        for start in range(0, len(made), FILL):
            part = made[start : start + FILL]
            stored = await self._call("POST", f"/{scope}/_bulk_docs", json={"docs": part})
            for one, answer in zip(part, stored, strict=True):
                one["_rev"] = answer["rev"]
        return made

    async def fill(self, documents: int) -> None:
        await self._fill("bootstrap", [self._document("bootstrap") for _ in range(documents)])

    async def filled(self) -> set[str]:
        return {row["id"] for row in (await self._call("GET", "/bootstrap/_all_docs"))["rows"]}

    def page(self, cursor: Any, limit: int) -> bytes:
        return get(f"/bootstrap/_changes?include_docs=true&limit={limit}&since={cursor or 0}")

    def read_page(self, answer: Answer, limit: int) -> Changes:
        page = taken(answer)
        rows = {row["id"]: row["doc"]["version"] for row in page["results"]}
        return Changes(rows, page["last_seq"], len(page["results"]) == limit)

    async def open_scopes(self, *, devices: int, rows: int, written: int) -> None:
        for device in range(devices):
            scope = f"scope{device}"
            self.rows.append(
                (await self._fill(scope, [self._document(scope) for _ in range(rows)]))[:written]
            )

    def poll(self, device: int, cursor: Any) -> bytes:
        return get(f"/scope{device}/_changes?include_docs=true&limit=500&since={cursor or 0}")

    def read_poll(self, answer: Answer, cursor: Any) -> Changes:
        return self.read_page(answer, 500)

    def write(self, device: int, row: int) -> bytes:
        one = self.rows[device][row]
        one["version"] += 1
        return send("PUT", f"/scope{device}/{one['_id']}", encode(one))

    def read_write(self, device: int, row: int, answer: Answer) -> tuple[str, int]:
        one = self.rows[device][row]
        one["_rev"] = taken(answer)["rev"]
        return one["_id"], one["version"]

    async def truth(self) -> list[dict[str, int]]:
        found = []
        for device in range(len(self.rows)):
            answer = await self._call("GET", f"/scope{device}/_all_docs", params={"include_docs": "true"})
            found.append({row["id"]: row["doc"]["version"] for row in answer["rows"]})
        return found


class RxSide(NodeSide):
    """The replication endpoint; scopes by its `queryModifier`. Push and poll as its own client does them."""

    name = "rxdb-server"
    script = "rxdb_server.mjs"

    @staticmethod
    def _document(scope: str) -> dict[str, Any]:
        return {**document(scope), "_deleted": False}

    def __init__(self) -> None:
        super().__init__()
        self.devices = 0

    def _push(self, made: list[dict[str, Any]], collection: str = "events") -> bytes:
        body = encode([{"newDocumentState": one} for one in made])
        return post(f"/{collection}/0/push", body, {"authorization": made[0]["scope"]})

    async def push_queues(self, *, clients: int, batches: int, size: int) -> list[list[bytes]]:
        return [
            [self._push([self._document(f"push{client}") for _ in range(size)]) for _ in range(batches)]
            for client in range(clients)
        ]

    def check_push(self, answer: Answer, size: int) -> None:
        if (conflicts := taken(answer)) != []:
            raise AssertionError(f"{len(conflicts)} conflicts in a batch of new documents")

    async def _all(self, collection: str, scope: str) -> list[dict[str, Any]]:
        answer = await self._call(
            "GET", f"/{collection}/0/pull", params={"limit": 10**7}, headers={"authorization": scope}
        )
        return list(answer["documents"])

    async def pushed(self) -> int:
        return len([one for one in await self._all("events", "all") if one["scope"].startswith("push")])

    async def _fill(self, scope: str, made: list[dict[str, Any]]) -> None:
        for start in range(0, len(made), FILL):
            rows = [{"newDocumentState": one} for one in made[start : start + FILL]]
            await self._call("POST", "/rows/0/push", json=rows, headers={"authorization": scope})

    async def fill(self, documents: int) -> None:
        await self._fill("bootstrap", [self._document("bootstrap") for _ in range(documents)])

    async def filled(self) -> set[str]:
        return {one["id"] for one in await self._all("rows", "bootstrap")}

    def page(self, cursor: Any, limit: int) -> bytes:
        return self._pull("bootstrap", cursor, limit)

    @staticmethod
    def _pull(scope: str, cursor: Any, limit: int) -> bytes:
        query = urlencode({"lwt": 0, "id": "", **(cursor or {}), "limit": limit})
        return get(f"/rows/0/pull?{query}", {"authorization": scope})

    def read_page(self, answer: Answer, limit: int) -> Changes:
        page = taken(answer)
        rows = {one["id"]: one["version"] for one in page["documents"]}
        return Changes(rows, page["checkpoint"], len(page["documents"]) == limit)

    async def open_scopes(self, *, devices: int, rows: int, written: int) -> None:
        for device in range(devices):
            made = [self._document(f"scope{device}") for _ in range(rows)]
            await self._fill(f"scope{device}", made)
            self.rows.append(made[:written])

    def poll(self, device: int, cursor: Any) -> bytes:
        return self._pull(f"scope{device}", cursor, 500)

    def read_poll(self, answer: Answer, cursor: Any) -> Changes:
        return self.read_page(answer, 500)

    def write(self, device: int, row: int) -> bytes:
        one = self.rows[device][row]
        changed = {**one, "version": one["version"] + 1}
        body = encode([{"assumedMasterState": one, "newDocumentState": changed}])
        self.rows[device][row] = changed
        return post("/rows/0/push", body, {"authorization": one["scope"]})

    def read_write(self, device: int, row: int, answer: Answer) -> tuple[str, int]:
        self.check_push(answer, 1)
        one = self.rows[device][row]
        return one["id"], one["version"]

    async def truth(self) -> list[dict[str, int]]:
        return [
            {one["id"]: one["version"] for one in await self._all("rows", f"scope{device}")}
            for device in range(len(self.rows))
        ]
