"""Requests as a stranger sends them: nothing of our own server's code, nothing tried again."""

import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from callout_contracts import SCHEMA_VERSION

PULL: Final = """query ConformPull($cursor: String, $limit: Int!, $schemaVersion: Int!, $pending: Int) {
  pull(cursor: $cursor, limit: $limit, schemaVersion: $schemaVersion, pending: $pending) {
    cursor more epoch serverTime total documents stamp wipe budgetWarning
  }
}"""
PUSH: Final = """mutation ConformPush($input: PushInput!) {
  push(input: $input) { serverTime stamp wipe answers { index id status code path message firstStatus } }
}"""


class Refused(Exception):
    """The server refused a request; what a check may expect."""

    def __init__(self, status: int, told: Mapping[str, Any]) -> None:
        self.status, self.told = status, dict(told)
        super().__init__(f"HTTP {status} {told.get('code')}")

    @property
    def code(self) -> str | None:
        """The stable code, if it named one."""
        return self.told.get("code")


class Caller:
    """Somebody who asks: a dispatcher, a device, or nobody yet (no token)."""

    def __init__(self, client: httpx.AsyncClient, token: str | None = None) -> None:
        self.client, self.token = client, token

    async def http(
        self, method: str, path: str, *, body: bytes | None = None, json: Any = None, **headers: str
    ) -> httpx.Response:
        """One request; `headers` with underscores for dashes."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            given["Authorization"] = f"Bearer {self.token}"
        return await self.client.request(method, path, content=body, json=json, headers=given)

    async def rest(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Post JSON; the answer's JSON, or Refused."""
        answer = await self.http("POST", path, json=body)
        told = _object(answer)
        if answer.status_code >= 400:
            raise Refused(answer.status_code, told)
        return told

    async def ask(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A GraphQL operation; its data, or Refused with the first error's extensions."""
        answer = await self.http(
            "POST", "/graphql", json={"query": query, "variables": dict(variables or {})}
        )
        told = _object(answer)
        if told.get("errors"):
            error = told["errors"][0]
            extensions = error.get("extensions") or {}
            raise Refused(answer.status_code, {"message": error.get("message"), **extensions})
        if answer.status_code >= 400 or not isinstance(told.get("data"), dict):
            raise Refused(answer.status_code, told)
        data: dict[str, Any] = told["data"]
        return data


class Device(Caller):
    """An enrolled device. It counts its commands; what it sends is otherwise what a check says."""

    def __init__(self, client: httpx.AsyncClient, told: Mapping[str, Any]) -> None:
        super().__init__(client, told["accessToken"])
        self.id: str = told["deviceId"]
        self.refresh_token: str = told["refreshToken"]
        self.sequence = 0
        self.boot_id = uuid.uuid4().hex

    def command(self, visit_id: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
        """A whole command; `given` overrides every field of it."""
        if "sequence" not in given:
            self.sequence += 1
        elif isinstance(given["sequence"], int):
            self.sequence = max(self.sequence, given["sequence"])
        return {
            "id": new_id(),
            "sequence": self.sequence,
            "schemaVersion": SCHEMA_VERSION,
            "kind": "visit.note",
            "visitId": visit_id,
            "deviceTime": now(),
            "payload": {},
            **given,
        }

    async def push(self, commands: list[Any], **envelope: Any) -> list[dict[str, Any]]:
        """The answers to a batch."""
        given = {"sentAt": now(), "schemaVersion": SCHEMA_VERSION, "bootId": self.boot_id, **envelope}
        told = await self.ask(PUSH, {"input": {**given, "commands": commands}})
        answers: list[dict[str, Any]] = told["push"]["answers"]
        return answers

    async def pull(
        self, cursor: Any = None, *, limit: int = 2000, schema_version: int = SCHEMA_VERSION
    ) -> dict[str, Any]:
        """One page."""
        variables = {"cursor": cursor, "limit": limit, "schemaVersion": schema_version, "pending": 0}
        page: dict[str, Any] = (await self.ask(PULL, variables))["pull"]
        return page

    async def pull_all(self, cursor: Any = None, **given: Any) -> dict[str, Any]:
        """All pages as one; of a row that came twice the latest counts."""
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        page: dict[str, Any] = {"more": True, "cursor": cursor}
        while page["more"]:
            page = await self.pull(page["cursor"], **given)
            for item in page["documents"]:
                rows.pop((item["entity"], item["id"]), None)
                rows[item["entity"], item["id"]] = item
        return {**page, "documents": list(rows.values())}


def now() -> str:
    """The instant as a phone writes it."""
    return datetime.now(UTC).isoformat()


def new_id() -> str:
    """A fresh UUIDv7: time in front, then chance."""
    milliseconds = int(time.time() * 1000) & (1 << 48) - 1
    rest = uuid.uuid4().int
    return str(
        uuid.UUID(
            int=milliseconds << 80
            | 0x7 << 76
            | (rest >> 64 & 0xFFF) << 64
            | 0b10 << 62
            | rest & (1 << 62) - 1
        )
    )


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        return {"code": None, "body": answer.text[:200]}
    return told if isinstance(told, dict) else {"code": None, "body": told}
