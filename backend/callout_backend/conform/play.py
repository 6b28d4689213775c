"""Plays a server's golden vector (mobile_contracts/golden/): requests in turn, and what each answer must hold.

In texts `$name` stands for something of the bench ($visit, $site, $order, $contact, $asset, and $new… for those of a place
of the vector's own), `$id:a` for the id of the command that the vector calls a. A page that must hold something is asked
for again for a while: a server may show a commit only when all older ones have ended.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from callout_backend.conform.ask import Device, Refused
from callout_backend.conform.bench import Bench, Failed, Place, Skipped

PATIENCE_S: Final = 15.0
ROWS_MAX: Final = 3000
"""More than so many rows are not pulled in small pages."""


class Player:
    """One vector on one bench."""

    def __init__(self, bench: Bench, vector: Mapping[str, Any]) -> None:
        self._bench, self._vector = bench, vector
        self._sent: dict[str, dict[str, Any]] = {}
        self._known: dict[str, Any] = {}
        self._other: Device | None = None
        self._last: str | None = None
        self._pages: dict[str, list[Any]] = {}

    async def play(self) -> None:
        """Failed when the server did otherwise, Skipped where the bench lacks something."""
        bench, needs = self._bench, self._vector.get("needs", ())
        text = msgspec.json.encode(self._vector["steps"]).decode()
        # The place first: a device that is made afterwards has it in its first pull.
        own = "$new" in text or self._vector.get("fresh", False)
        place = await (bench.new_place() if own else bench.place())
        if not place.visit:
            raise Skipped("needs_visit")
        self._know(place)
        if "strangersVisit" in needs:
            self._known["strangersVisit"] = (await bench.strangers()).visit
        self._device = await (bench.fresh_device() if self._vector.get("fresh") else bench.device())
        if "otherDevice" in needs or "otherCursor" in needs:
            self._other = await bench.fresh_device()
        if self._other is not None and "otherCursor" in needs:
            self._known["otherCursor"] = (await self._other.pull(limit=1))["cursor"]
        for number, step in enumerate(self._vector["steps"]):
            try:
                await self._step(step)
            except Failed as failed:
                raise Failed(f"step {number + 1}: {failed.expected}", failed.came) from None
            except Refused as refused:
                raise Failed(f"step {number + 1}: no refusal", refused) from None

    def _know(self, place: Place) -> None:
        for name, value in msgspec.structs.asdict(place).items():
            self._known[name] = value
            self._known[f"new{name.capitalize()}"] = value

    async def _step(self, step: Mapping[str, Any]) -> None:
        device = self._device if step.get("device") != "other" else self._other
        assert device is not None
        act = self._push(device, step) if "push" in step else self._pull(device, step)
        if "refused" not in step:
            await act
            return
        wanted = step["refused"]
        try:
            await act
        except Refused as refused:
            _hold(wanted, refused.told, "the refusal")
        else:
            raise Failed(f"a refusal {wanted['code']}", "it was accepted")

    async def _push(self, device: Device, step: Mapping[str, Any]) -> None:
        given = step["push"]
        commands = [self._command(device, one) for one in given["commands"]] * given.get("times", 1)
        answers = await device.push(commands, **given.get("envelope", {}))
        if "answers" not in step:
            return
        if len(answers) != len(step["answers"]):
            raise Failed(f"{len(step['answers'])} answers", len(answers))
        for place, (wanted, told) in enumerate(zip(step["answers"], answers, strict=True)):
            _hold(self._filled(wanted), told, f"answer {place}")

    def _command(self, device: Device, given: Mapping[str, Any]) -> Any:
        if "raw" in given:
            return self._filled(given["raw"])
        if "again" in given:
            before = {**self._sent[given["again"]], **self._filled(given.get("set", {}))}
            return dict(reversed(before.items())) if given.get("reversed") else before
        fields = {key: value for key, value in given.items() if key not in ("name", "unset")}
        command = device.command(self._known["visit"], self._filled(fields))
        self._sent[given["name"]] = command
        return {key: value for key, value in command.items() if key not in given.get("unset", ())}

    async def _pull(self, device: Device, step: Mapping[str, Any]) -> None:
        given, wanted = step["pull"], self._filled(step.get("page", {}))
        cursor = self._filled(given.get("cursor"))
        options: dict[str, Any] = {}
        if "limit" in given:
            options["limit"] = given["limit"]
        if "schemaVersion" in given:
            options["schema_version"] = given["schemaVersion"]
        whole = given.get("all") or "has" in wanted or "as" in step
        if (
            given.get("all")
            and given.get("limit", ROWS_MAX) < 100
            and len(self._pages.get("large", ())) > ROWS_MAX
        ):
            raise Skipped("too_many_rows")
        until = time.monotonic() + PATIENCE_S
        while True:
            whole_feed = (whole and "limit" not in given) or given.get("all")
            page = await (
                device.pull_all(cursor, **options) if whole_feed else device.pull(cursor, **options)
            )
            missing = [row for row in wanted.get("has", ()) if not _found(row, page["documents"])]
            if not missing or time.monotonic() > until:
                break
            await asyncio.sleep(0.1)
        if missing:
            raise Failed(
                f"the row {msgspec.json.encode(missing[0]).decode()}", f"{len(page['documents'])} others"
            )
        self._last = page["cursor"]
        rows = sorted((item["entity"], item["id"], item["op"]) for item in page["documents"])
        if "as" in step:
            self._pages[step["as"]] = rows
        self._look(wanted, page, rows)

    def _look(self, wanted: Mapping[str, Any], page: Mapping[str, Any], rows: list[Any]) -> None:
        documents = page["documents"]
        for row in wanted.get("lacks", ()):
            found = _found(row, documents)
            if found is not None:
                raise Failed(f"no row {row['entity']} {row.get('id', '')}", found)
        if "count" in wanted and len(documents) != wanted["count"]:
            raise Failed(f"{wanted['count']} rows", len(documents))
        if "more" in wanted and page["more"] != wanted["more"]:
            raise Failed(f"more: {wanted['more']}", page["more"])
        if "total" in wanted and not isinstance(page["total"], int):
            raise Failed("a total", page["total"])
        if "same" in wanted and rows != self._pages[wanted["same"]]:
            differ = set(rows) ^ set(self._pages[wanted["same"]])
            raise Failed("the same rows", f"{len(differ)} differ: {sorted(differ)[:3]}")

    def _filled(self, value: Any) -> Any:
        """The value with `$last` and `$id:…` replaced by what they name."""
        if isinstance(value, str):
            if value == "$last":
                return self._last
            if value.startswith("$id:"):
                return self._sent[value[4:]]["id"]
            return self._known[value[1:]] if value.startswith("$") else value
        if isinstance(value, list):
            return [self._filled(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "$repeat" in value:
            text, times = value["$repeat"]
            return text * times
        if "$chance" in value:
            return secrets.randbits(52) if value["$chance"] == "number" else secrets.token_hex(8)
        if "$cut" in value:
            return (self._last or "")[: -value["$cut"]]
        if "$nest" in value:
            nested: Any = []
            for _ in range(value["$nest"]):
                nested = [nested]
            return nested
        return {key: self._filled(one) for key, one in value.items()}


def _found(row: Mapping[str, Any], documents: list[dict[str, Any]]) -> dict[str, Any] | None:
    """An upsert of this entity, and where they are named of this id and with these fields."""
    for item in documents:
        if (
            item["entity"] != row["entity"]
            or item["op"] != "upsert"
            or row.get("id", item["id"]) != item["id"]
        ):
            continue
        if _within(row.get("doc", {}), item["doc"]):
            return item
    return None


def _within(wanted: Any, told: Any) -> bool:
    if isinstance(wanted, dict) and isinstance(told, dict):
        return all(_within(value, told.get(key)) for key, value in wanted.items())
    return bool(wanted == told)


def _hold(wanted: Mapping[str, Any], told: Mapping[str, Any], what: str) -> None:
    for key, value in wanted.items():
        if told.get(key) != value and not (isinstance(value, list) and told.get(key) in value):
            raise Failed(f"{what} with {key} {value!r}", {k: v for k, v in told.items() if v is not None})
