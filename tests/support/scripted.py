"""A wire without HTTP for the reference phone: straight into pull and push, with faults that a test scripts one by one."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from callout_client.transport import Answered, NetworkLost
from callout_contracts.commands import PushEnvelope
from callout_store.errors import Refusal
from callout_store.work import Actor, Database
from callout_sync.pull import pull
from callout_sync.push import push


class Scripted:
    """Each request takes the next word of `script`: ok, lost (on the way there), deaf (the answer is lost), twice, later
    (it arrives when `deliver` is called, and nobody hears the answer). An empty script means ok.

    `refuse`: codes of refusals that were answered, for a test that expects some.
    """

    def __init__(self, db: Database, org_id: Any, actor: Actor) -> None:
        self.db, self.org_id, self.actor = db, org_id, actor
        self.script: deque[str] = deque()
        self.waiting: list[bytes] = []
        self.refused: list[str] = []

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        assert (method, path) == ("POST", "/graphql"), f"{method} {path}"
        fault = self.script.popleft() if self.script else "ok"
        if fault == "lost":
            raise NetworkLost("lost")
        if fault == "later":
            self.waiting.append(body)
            raise NetworkLost("held up")
        answer = await self._serve(body)
        if fault == "twice":
            answer = await self._serve(body)
        if fault == "deaf":
            raise NetworkLost("deaf")
        return 200, {"content-type": "application/json"}, answer

    async def deliver(self, newest_first: bool) -> None:
        """What was held up arrives, in this order."""
        waiting, self.waiting = self.waiting, []
        for body in reversed(waiting) if newest_first else waiting:
            await self._serve(body)

    async def arrive(self, body: bytes) -> None:
        """A request that nobody waits for."""
        await self._serve(body)

    async def _serve(self, body: bytes) -> bytes:
        asked = msgspec.json.decode(body)
        given = asked["variables"]
        try:
            if "pull(" in asked["query"]:
                data = {"pull": await self._pull(given)}
            else:
                envelope = msgspec.convert(given["input"], PushEnvelope, strict=False)
                pushed = await push(self.db, org_id=self.org_id, actor=self.actor, envelope=envelope)
                data = {"push": msgspec.to_builtins(pushed)}
        except Refusal as refusal:
            self.refused.append(refusal.code)
            error = {"message": refusal.message("en"), "extensions": refusal.extensions()}
            return msgspec.json.encode({"data": None, "errors": [error]})
        return msgspec.json.encode({"data": data})

    async def _pull(self, given: dict[str, Any]) -> dict[str, Any]:
        names = {
            "cursor": "cursor",
            "limit": "limit",
            "schemaVersion": "schema_version",
            "pending": "pending",
        }
        arguments = {names[name]: value for name, value in given.items()}
        page = await self.db.run(self.org_id, lambda work: pull(work, **arguments), actor=self.actor)
        told = msgspec.structs.asdict(page)
        camel = {
            "server_time": "serverTime",
            "budget_warning": "budgetWarning",
        }
        return {camel.get(name, name): value for name, value in told.items()}
