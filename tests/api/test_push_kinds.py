"""Push, kind by kind: what a filled-in form, a photo, an edit and a colleague's report become."""

from typing import Any
from uuid import UUID

import pytest
from worlds import STROKES, World

from callout_backend.wiring import add_hooks
from callout_dispatch import crew
from callout_orders import forms
from callout_store.ids import new_id
from callout_store.work import Database

SCHEMA = {
    "type": "object",
    "properties": {"pressure": {"type": "number", "maximum": 16}},
    "required": ["pressure"],
    "additionalProperties": False,
}


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build()


async def test_a_form_is_held_to_its_schema(world: World) -> None:
    """A reading that no gauge shows must not enter the protocol as if it had been read; nor may it be lost."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    form = await world.db.run(
        world.org,
        lambda work: forms.save_form(
            work, forms.NewForm(code="pressure", title_en="Pressure", title_zh="压力", schema=SCHEMA)
        ),
        actor=world.dispatcher,
    )

    def filled(form_id: UUID, values: dict[str, Any]) -> dict[str, Any]:
        payload = {"formId": str(form_id), "values": values}
        return phone.command("visit.fill_form", visit, payload, schemaVersion=2)

    answers = await phone.push(
        filled(form, {"pressure": 6.5}), filled(form, {"pressure": 99}), filled(new_id(), {"pressure": 6.5})
    )
    assert [(one.status, one.code) for one in answers] == [
        ("applied", None),
        ("quarantined", "PAYLOAD_INVALID"),
        ("quarantined", "FORM_UNKNOWN"),
    ]
    assert answers[1].path == "payload.values.pressure"
    [event] = await world.fetch("select kind, data->'values'->>'pressure' as read from visit_event")
    assert tuple(event) == ("form_filled", "6.5")


async def test_pictures_are_expected_as_soon_as_an_event_names_them(world: World) -> None:
    """The dispatcher sees that a photo is still on its way, and nobody takes a missing one for one that was never made."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    photo = {"sha256": "ab" * 32, "mediaType": "image/jpeg", "sizeBytes": 1000, "caption": "Before"}
    sign = {"signerName": "Ann", "strokes": STROKES, "summary": "{}", "pictureSha256": "cd" * 32}
    batch = [
        phone.command("visit.photo", visit, photo),
        phone.command("visit.sign", visit, sign, schemaVersion=2),
    ]
    for _ in range(2):
        await phone.push(*batch)
    rows = await world.fetch(
        "select id, kind, encode(sha256, 'hex') as sha, state from attachment order by kind"
    )
    assert [tuple(row) for row in rows] == [
        (UUID(batch[0]["id"]), "photo", "ab" * 32, "awaited"),
        (UUID(batch[1]["id"]), "signature", "cd" * 32, "awaited"),
    ]


async def test_edits_among_events_are_answered_in_their_place(world: World) -> None:
    """One queue holds what was done and what was written down: answers must not change places, nor a replay write twice."""
    phone = world.phones[0]
    visit = await world.visit(phone)

    def edit(changes: dict[str, Any], id_: UUID = world.site) -> dict[str, Any]:
        payload = {"entity": "site", "id": str(id_), "baseRevision": 1, "changes": changes}
        return phone.command("record.edit", visit, payload, schemaVersion=2)

    batch = [
        phone.command("visit.accept", visit),
        edit({"accessNote": "Ring twice"}),
        phone.command("visit.arrive", visit),
        edit({"name": "Mine"}),
        edit({"accessNote": "x"}, new_id()),
    ]
    answers = await phone.push(*batch)
    assert [one.id for one in answers] == [UUID(command["id"]) for command in batch]
    assert [one.status for one in answers] == ["applied", "applied", "applied", "quarantined", "quarantined"]
    assert [one.code for one in answers[3:]] == ["FIELD_NOT_YOURS", "RECORD_UNKNOWN"]
    assert await world.value("select access_note from site where id = $1", world.site) == "Ring twice"
    again = await phone.push(*batch)
    assert [(one.status, one.first_status) for one in again] == [("duplicate", one.status) for one in answers]
    assert await world.value("select count(*) from quarantine") == 2


async def test_the_crew_reports_like_the_engineer(world: World) -> None:
    """Two work on one visit: the second one's report moves it too, and the part comes out of the second one's own van.
    Who leaves the crew is a stranger again."""
    first, second = world.phones
    visit = await world.visit(first)
    stranger = second.command("visit.arrive", visit)
    assert [one.code for one in await second.push(stranger)] == ["NOT_YOUR_VISIT"]
    await world.db.run(
        world.org, lambda work: crew.set_crew(work, visit, [second.engineer_id]), actor=world.dispatcher
    )
    answers = await second.push(
        second.command("visit.arrive", visit),
        second.command("visit.replace_part", visit, {"partId": str(world.part), "quantity": 3}),
    )
    assert [one.status for one in answers] == ["applied", "applied"]
    assert await world.value("select state from visit where id = $1", visit) == "in_progress"
    level = "select quantity from stock_level where holder_id = $1 and part_id = $2"
    assert await world.value(level, second.engineer_id, world.part) == 7
    assert await world.value(level, first.engineer_id, world.part) == 10
    by = await world.fetch("select distinct engineer_id, actor_id from visit_event")
    assert [tuple(row) for row in by] == [(second.engineer_id, second.actor.user_id)]
