"""Versions of the app: what an older one has in its queue is taken for ever; what nobody can read yet is kept."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from worlds import World

from callout_backend.wiring import add_hooks
from callout_contracts import SCHEMA_VERSION, SCHEMA_VERSIONS_SPOKEN
from callout_contracts.commands import PAYLOADS, SINCE
from callout_store.ids import new_id
from callout_store.work import Database

QUEUES = Path(__file__).parents[1] / "data"
"""What a phone of each version had to send after a whole visit, byte for byte. Never edited: phones in the field have it."""
PLACES = {"visit": "11111111-1111-4111-8111-111111111111", "part": "22222222-2222-4222-8222-222222222222"}


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build()


def queue(version: int, world: World, visit: UUID) -> list[dict[str, Any]]:
    """The queue of a version, on this world's visit and part, with ids of its own."""
    text = (QUEUES / f"queue_v{version}.json").read_text("utf-8")
    text = text.replace(PLACES["visit"], str(visit)).replace(PLACES["part"], str(world.part))
    commands: list[dict[str, Any]] = json.loads(text)
    return [{**command, "id": str(new_id())} for command in commands]


@pytest.mark.parametrize("version", [v for v in SCHEMA_VERSIONS_SPOKEN if v < SCHEMA_VERSION])
async def test_the_queue_of_an_older_app_is_applied(world: World, version: int) -> None:
    """A phone that was in a drawer since the last version is switched on: its day's work counts, whole and unmended."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    commands = queue(version, world, visit)
    known = {kind for kind in PAYLOADS if SINCE.get(kind, 1) <= version}
    assert {command["kind"] for command in commands} >= known - {"visit.could_not_complete"}
    answers = await phone.push(*commands)
    assert [(one.status, one.code) for one in answers] == [("applied", None)] * len(commands)
    assert await world.value("select state from visit where id = $1", visit) == "completed"
    versions = await world.fetch("select distinct schema_version from visit_event")
    assert [row["schema_version"] for row in versions] == [version]
    again = await phone.push(*commands)
    assert {one.status for one in again} == {"duplicate"}


@pytest.mark.parametrize(
    ("version", "code"),
    (
        (0, "SCHEMA_TOO_OLD"),  # before the first
        (-3, "SCHEMA_TOO_OLD"),
        (SCHEMA_VERSION + 1, "SCHEMA_TOO_NEW"),
        (2**80, "SCHEMA_TOO_NEW"),
        ("2", "COMMAND_UNREADABLE"),  # a text is no version
        (True, "COMMAND_UNREADABLE"),
        (None, "COMMAND_UNREADABLE"),
        (1.5, "COMMAND_UNREADABLE"),
    ),
)
async def test_a_version_that_is_not_spoken_is_kept(world: World, version: object, code: str) -> None:
    """An app that is too old or too new still lands what it has: kept whole, for a person or a newer server."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    odd = phone.command("visit.note", visit, {"text": "x"}, schemaVersion=version)
    answers = await phone.push(odd, phone.command("visit.accept", visit))
    assert [one.status for one in answers] == ["quarantined", "applied"]
    assert answers[0].code == code
    [kept] = await world.fetch("select body from quarantine")
    assert json.loads(bytes(kept["body"])) == odd


@pytest.mark.parametrize("kind", sorted(SINCE))
async def test_a_kind_is_not_older_than_its_version(world: World, kind: str) -> None:
    """An app that says version 1 and sends what came with 2 is not what it says: nothing is guessed."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    [answer] = await phone.push(phone.command(kind, visit, {}, schemaVersion=SINCE[kind] - 1))
    assert (answer.status, answer.code, answer.path) == ("quarantined", "KIND_UNKNOWN", "kind")
