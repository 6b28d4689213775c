"""Edits of records: merged field by field, nothing overwritten unseen, nothing half stored, nobody else's touched."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from pens import cards, desk, item, write
from worlds import Phone, World

from callout_backend.wiring import add_hooks
from callout_dispatch import reassign
from callout_store.errors import BadField, NotFound
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build(phones=3)


@pytest.fixture
async def visits(world: World) -> list[UUID]:
    """A visit for each phone, all of one order's site, contact and asset."""
    return [await world.visit(phone) for phone in world.phones]


async def row(world: World, table: str, id_: UUID) -> Any:
    [found] = await world.fetch(f"select * from {table} where id = $1", id_)
    return found


async def test_an_edit_is_taken(world: World, visits: list[UUID]) -> None:
    """The engineer notes the door code: the site has it, with the next revision, and the journal says who and when."""
    phone = world.phones[0]
    [result] = await write(
        phone, item(phone, "site", world.site, baseRevision=1, changes={"accessNote": " Code 12 "})
    )
    assert (result.status, result.code, result.revision) == ("applied", None, 2)
    site = await row(world, "site", world.site)
    assert (site["access_note"], site["revision"]) == ("Code 12", 2)
    [line] = await world.fetch("select * from journal where kind = 'site.edited'")
    assert line["device_id"] == phone.device_id
    assert line["entity_id"] == world.site
    [version] = await world.fetch("select *, value::text as v, before::text as b from field_version")
    assert (version["field"], version["v"], version["b"]) == ("access_note", '"Code 12"', '""')
    assert version["device_id"] == phone.device_id
    assert version["lat"] == pytest.approx(37.7)


async def test_different_fields_both_survive(world: World, visits: list[UUID]) -> None:
    """One corrects the telephone number, the other the e-mail address, both offline: a merge of whole rows would silently
    take one of them back."""
    first, second = world.phones[:2]
    await write(first, item(first, "contact", world.contact, baseRevision=1, changes={"email": "Ann@X.org"}))
    [result] = await write(
        second,
        item(second, "contact", world.contact, baseRevision=1, changes={"phone": "(415) 555-2672"}),
    )
    assert (result.status, result.code) == ("applied", "PARALLEL_UPDATE")
    contact = await row(world, "contact", world.contact)
    assert (contact["email"], contact["phone"], contact["revision"]) == ("ann@x.org", "+14155552672", 3)
    assert await cards(world) == []
    assert await world.value("select count(*) from journal where kind = 'sync.parallel_update'") == 1


@pytest.mark.parametrize("order", ((0, 1), (1, 0)))
async def test_the_same_field_has_one_winner_and_a_card(
    world: World, visits: list[UUID], order: tuple[int, int]
) -> None:
    """Two engineers note different codes for one door: the later word stands whichever phone came first, and the
    dispatcher sees both, with who, when and where."""
    first, second = world.phones[:2]
    written = [
        item(first, "site", world.site, at_s=10, baseRevision=1, changes={"accessNote": "Code 1"}),
        item(second, "site", world.site, at_s=20, baseRevision=1, changes={"accessNote": "Code 2"}),
    ]
    results = [(await write(world.phones[n], written[n]))[0] for n in order]
    assert results[0].status == "applied"
    assert (results[1].status, results[1].code) == ("conflict", "FIELD_CONFLICT")
    assert results[1].path == "payload.changes.accessNote"
    assert (await row(world, "site", world.site))["access_note"] == "Code 2"
    [card] = await cards(world)
    assert (card.entity, card.row_id, card.field, card.label) == ("site", world.site, "accessNote", "Cellar")
    assert (card.code, card.policy, card.base) == ("FIELD_CONFLICT", "newest", "")
    for side, phone, n in ((card.kept, second, 1), (card.lost, first, 0)):
        assert side.value == f"Code {n + 1}"
        assert side.user_id == phone.actor.user_id
        assert side.user_name == f"Engineer {n}"
        assert (side.device_id, side.device_name) == (phone.device_id, "phone")
        assert side.at == written[n].made_at
        assert side.stamp == str(written[n].stamp)
        assert side.lat == pytest.approx(37.7 + (n + 1) / 100)


async def test_the_same_value_twice_is_no_conflict(world: World, visits: list[UUID]) -> None:
    """Two engineers read the same code from the same door: there is nothing to decide."""
    for phone in world.phones[:2]:
        [result] = await write(
            phone, item(phone, "site", world.site, baseRevision=1, changes={"accessNote": "Code 7"})
        )
        assert result.status == "applied"
    assert await cards(world) == []
    assert (await row(world, "site", world.site))["revision"] == 2


async def test_quick_edits_of_one_phone_chain(world: World, visits: list[UUID]) -> None:
    """Typed, looked at, typed again, before anything was pulled: in one push and over several, with the same old revision
    each time, a phone never meets itself."""
    phone = world.phones[0]
    texts = iter(f"Version {n}" for n in range(9))
    for size in (3, 1, 5):
        results = await write(
            phone,
            *(
                item(phone, "asset", world.asset, at_s=n, baseRevision=1, changes={"note": next(texts)})
                for n in range(size)
            ),
        )
        assert {(r.status, r.code) for r in results} == {("applied", None)}
    asset = await row(world, "asset", world.asset)
    assert (asset["note"], asset["revision"]) == ("Version 8", 10)
    assert await cards(world, state=None) == []


async def test_what_only_the_server_sets_is_no_conflict(world: World, visits: list[UUID]) -> None:
    """Accepting a visit raises its revision and its state: an engineer's note written before must not clash with that."""
    phone, visit = world.phones[0], visits[0]
    await phone.push(phone.command("visit.accept", visit), phone.command("visit.arrive", visit))
    assert (await row(world, "visit", visit))["revision"] > 1
    [result] = await write(
        phone, item(phone, "visit", visit, baseRevision=1, changes={"engineerNote": "Ring twice"})
    )
    assert (result.status, result.code) == ("applied", None)
    found = await row(world, "visit", visit)
    assert (found["engineer_note"], found["state"]) == ("Ring twice", "in_progress")


@pytest.mark.parametrize(
    ("base", "status"),
    (
        ({"base": {"accessNote": "Office"}}, "applied"),  # the value was seen
        ({"base": {"accessNote": ""}}, "conflict"),  # an older value was seen
        ({"baseRevision": 2}, "applied"),
        ({"baseRevision": 1}, "conflict"),
        ({"baseRevision": 1, "base": {"accessNote": "Office"}}, "applied"),  # either measure is enough
        ({"base": {"accessNote": "Phone"}}, "applied"),  # it was so before: nothing was changed
        ({}, "conflict"),  # nothing is known of what was seen
    ),
)
async def test_the_base_may_be_a_revision_or_values(
    world: World, visits: list[UUID], base: dict[str, Any], status: str
) -> None:
    """Clients differ in what they remember; each must get a conflict exactly where it had not seen the other's value."""
    await desk(world, "site", world.site, 1, accessNote="Office")
    phone = world.phones[0]
    [result] = await write(phone, item(phone, "site", world.site, changes={"accessNote": "Phone"}, **base))
    assert result.status == status


async def test_a_position_of_the_feed_is_a_base_too(world: World, visits: list[UUID]) -> None:
    """Row clients know no revision, only how far they had pulled: what was written before that they had seen."""
    phone = world.phones[0]
    before = await world.value("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    await desk(world, "site", world.site, 1, accessNote="Office")
    after = await world.value("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    [result] = await write(
        phone, item(phone, "site", world.site, horizon=before, changes={"accessNote": "Unseen"})
    )
    assert result.code == "FIELD_CONFLICT"
    after = await world.value("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    other = world.phones[1]
    [result] = await write(
        other, item(other, "site", world.site, horizon=after, changes={"accessNote": "Seen"})
    )
    assert (result.status, result.code) == ("applied", None)


async def test_the_office_keeps_a_name_and_the_engineer_a_note(world: World, visits: list[UUID]) -> None:
    """The policies are declared in the contract: a later phone does not rename a contact over the dispatcher, a later
    dispatcher does not write over the engineer's own note."""
    phone, visit = world.phones[0], visits[0]
    await desk(world, "contact", world.contact, 1, name="Ann Office")
    [result] = await write(
        phone,
        item(phone, "contact", world.contact, at_s=9e7, baseRevision=1, changes={"name": "Ann Phone"}),
    )
    assert result.status == "conflict"
    assert (await row(world, "contact", world.contact))["name"] == "Ann Office"
    revision = (await row(world, "visit", visit))["revision"]
    await write(phone, item(phone, "visit", visit, baseRevision=revision, changes={"engineerNote": "Mine"}))
    edited = await desk(world, "visit", visit, revision, engineerNote="Office's")
    assert (edited.status, edited.code) == ("conflict", "FIELD_CONFLICT")
    assert (await row(world, "visit", visit))["engineer_note"] == "Mine"
    lost = {card.lost.value: card.lost.device_id for card in await cards(world)}
    assert lost == {"Ann Phone": phone.device_id, "Office's": None}


BAD = [
    ("site", {"changes": {"lat": 3.0}}, "FIELD_NOT_YOURS", "payload.changes.lat"),
    ("site", {"changes": {"revision": 3}}, "FIELD_NOT_YOURS", "payload.changes.revision"),
    ("visit", {"changes": {"state": "completed"}}, "FIELD_NOT_YOURS", "payload.changes.state"),
    ("stock", {"changes": {"quantity": 3}}, "FIELD_NOT_YOURS", "payload.changes.quantity"),
    ("stock", {"add": {"partId": 3}}, "FIELD_NOT_YOURS", "payload.add.partId"),
    ("site", {"changes": {"colour": "red"}}, "PAYLOAD_INVALID", "payload.changes.colour"),
    ("site", {"changes": {"access_note": "x"}}, "PAYLOAD_INVALID", "payload.changes.access_note"),
    ("site", {"changes": {"accessNote": 3}}, "PAYLOAD_INVALID", "payload.changes.accessNote"),
    ("site", {"changes": {"accessNote": None}}, "PAYLOAD_INVALID", "payload.changes.accessNote"),
    ("site", {"changes": {"accessNote": "x" * 4001}}, "PAYLOAD_INVALID", "payload.changes.accessNote"),
    ("site", {"add": {"accessNote": 1}}, "PAYLOAD_INVALID", "payload.add.accessNote"),
    ("site", {}, "PAYLOAD_INVALID", "payload.changes"),
    ("contact", {"changes": {"name": "  "}}, "PAYLOAD_INVALID", "payload.changes.name"),
    ("contact", {"changes": {"phone": "12"}}, "PAYLOAD_INVALID", "payload.changes.phone"),
    ("contact", {"changes": {"email": "no"}}, "PAYLOAD_INVALID", "payload.changes.email"),
]


@pytest.mark.parametrize(("entity", "payload", "code", "path"), BAD)
async def test_what_may_not_be_written_is_kept_for_a_person(
    world: World, visits: list[UUID], entity: str, payload: dict[str, Any], code: str, path: str
) -> None:
    """A client's mistake names the field, and stores nothing: neither of the good field beside it nor of other rows."""
    phone = world.phones[0]
    ids = {"site": world.site, "visit": visits[0], "contact": world.contact}
    ids["stock"] = await world.value("select id from stock_level where holder_id = $1", phone.engineer_id)
    good = {"contact": {"email": "a@b.cn"}, "site": {"accessNote": "good"}}.get(entity, {})
    if "changes" in payload:
        payload = {**payload, "changes": {**good, **payload["changes"]}}
    [result] = await write(phone, item(phone, entity, ids[entity], baseRevision=1, **payload))
    assert (result.status, result.code, result.path) == ("quarantined", code, path)
    assert await world.value("select count(*) from field_version") == 0
    assert (await row(world, "site", world.site))["revision"] == 1
    assert (await row(world, "contact", world.contact))["revision"] == 1


async def test_blank_means_none_where_there_may_be_none(world: World, visits: list[UUID]) -> None:
    """An engineer who empties the telephone number takes it away; it must not become a number that cannot be dialled."""
    phone = world.phones[0]
    for value in ("", None):
        [result] = await write(
            phone, item(phone, "contact", world.contact, baseRevision=1, changes={"phone": value})
        )
        assert result.status == "applied"
        assert (await row(world, "contact", world.contact))["phone"] is None


async def test_nobody_edits_what_never_was_on_the_phone(world: World) -> None:
    """An id guessed, or of another engineer's customer, or of another company, must not be written to, and must answer
    alike, so that it tells nothing."""
    phone, other = world.phones[0], world.phones[1]
    visit = await world.visit(other)
    elsewhere = await World(world.db).build()
    await elsewhere.visit(elsewhere.phones[0])
    level = await world.value("select id from stock_level where holder_id = $1", other.engineer_id)
    for entity, id_, payload in (
        ("site", world.site, {"changes": {"accessNote": "x"}}),
        ("contact", world.contact, {"changes": {"name": "x"}}),
        ("asset", world.asset, {"changes": {"note": "x"}}),
        ("visit", visit, {"changes": {"engineerNote": "x"}}),
        ("stock", level, {"add": {"quantity": 1}}),
        ("site", elsewhere.site, {"changes": {"accessNote": "x"}}),
        ("site", new_id(), {"changes": {"accessNote": "x"}}),
    ):
        [result] = await write(phone, item(phone, entity, id_, baseRevision=1, **payload))
        assert (result.status, result.code, result.path) == ("quarantined", "RECORD_UNKNOWN", "payload.id")
    assert await world.value("select count(*) from field_version") == 0
    assert (await row(elsewhere, "site", elsewhere.site))["access_note"] == ""


async def test_what_once_was_on_the_phone_may_still_be_edited(world: World, visits: list[UUID]) -> None:
    """The visit was taken away while the engineer was in the cellar: the door code noted there is still right."""
    first, second = world.phones[:2]
    await world.db.run(
        world.org,
        lambda work: reassign.reassign(work, visits[0], second.engineer_id, override=True, reason="ill"),
        actor=world.dispatcher,
    )
    [result] = await write(
        first, item(first, "site", world.site, baseRevision=1, changes={"accessNote": "Code 3"})
    )
    assert result.status == "applied"


@pytest.mark.parametrize(("what", "code"), (("reassigned", "REASSIGNED"), ("canceled", "CANCELED")))
async def test_a_note_on_a_visit_that_was_taken_away(
    world: World, visits: list[UUID], what: str, code: str
) -> None:
    """The engineer before wrote a note offline: it must neither overwrite the new engineer's visit nor vanish."""
    first, second = world.phones[:2]
    visit = visits[0]

    async def take_away(work: Any) -> None:
        if what == "reassigned":
            await reassign.reassign(work, visit, second.engineer_id, override=True, reason="ill")
        else:
            await reassign.cancel_visit(work, visit, "called off")

    await world.db.run(world.org, take_away, actor=world.dispatcher)
    for text in ("Old valve", "Old valve, left side"):
        [result] = await write(
            first, item(first, "visit", visit, baseRevision=1, changes={"engineerNote": text})
        )
        assert (result.status, result.code) == ("conflict", code)
        assert result.path == "payload.changes.engineerNote"
    assert (await row(world, "visit", visit))["engineer_note"] == ""
    [card] = await cards(world)
    assert (card.code, card.lost.value, card.kept.value) == (code, "Old valve, left side", "")
    assert card.kept.at is None
    if what == "reassigned":
        revision = (await row(world, "visit", visit))["revision"]
        [result] = await write(
            second, item(second, "visit", visit, baseRevision=revision, changes={"engineerNote": "Mine"})
        )
        assert (result.status, result.code) == ("applied", None)
        [card] = await cards(world)
        assert (card.kept.value, card.kept.user_id) == ("Mine", second.actor.user_id)


async def test_counters_add(world: World, visits: list[UUID]) -> None:
    """Two phones of one van, or one phone and the desk, count at once: a merge by value would lose parts."""
    phone = world.phones[0]
    level = await world.value("select id from stock_level where holder_id = $1", phone.engineer_id)
    results = await write(
        phone,
        item(phone, "stock", level, add={"quantity": 3}),
        item(phone, "stock", level, add={"quantity": -5}),
        item(phone, "stock", level, add={"quantity": 0}),
    )
    assert {r.status for r in results} == {"applied"}
    assert await world.value("select quantity from stock_level where id = $1", level) == 8
    again = item(phone, "stock", level, add={"quantity": 4})
    await write(phone, again)
    await write(phone, again)
    assert await world.value("select quantity from stock_level where id = $1", level) == 12
    assert await world.value("select count(*) from stock_move where reason = 'counted'") == 3


async def test_many_devices_write_one_row_at_once(world: World, visits: list[UUID]) -> None:
    """Six pushes over as many connections edit the same site and contact at the same moment, in opposite orders: nothing
    is lost, nothing blocks for good, and the end is what the same edits give one after the other."""

    def edits_of(n: int, phone: Phone) -> Sequence[Any]:
        return [
            item(phone, "site", world.site, at_s=n, baseRevision=1, changes={"accessNote": f"note {n}"}),
            item(phone, "contact", world.contact, at_s=n, baseRevision=1, changes={"name": f"name {n}"}),
        ][:: 1 if n % 2 else -1]

    phones = [world.phones[n % 3] for n in range(6)]
    batches = [edits_of(n, phone) for n, phone in enumerate(phones)]
    rounds = await asyncio.gather(
        *(write(phone, *batch) for phone, batch in zip(phones, batches, strict=True))
    )
    assert {r.status for results in rounds for r in results} <= {"applied", "conflict"}
    assert (await row(world, "site", world.site))["access_note"] == "note 5"
    assert (await row(world, "contact", world.contact))["name"] == "name 5"
    # Of each phone its last word counts: phones 0 and 1 wrote as numbers 3 and 4 last.
    found = {(card.field, card.lost.value) for card in await cards(world)}
    assert found == {(f, f"{v} {n}") for f, v in (("accessNote", "note"), ("name", "name")) for n in (3, 4)}
    versions = await world.fetch("select entity, revision from field_version")
    for version in versions:
        table, id_ = version["entity"], {"site": world.site, "contact": world.contact}[version["entity"]]
        assert (await row(world, table, id_))["revision"] >= version["revision"]


async def test_the_feed_carries_what_was_written(world: World, visits: list[UUID]) -> None:
    """The other phones learn of the value and of the revision that their next edit is merged against."""
    first, second = world.phones[:2]
    await second.pull()
    await write(
        first,
        item(first, "site", world.site, baseRevision=1, changes={"accessNote": "Code 4"}),
        item(first, "contact", world.contact, baseRevision=1, changes={"email": "ann@x.org"}),
        item(first, "asset", world.asset, baseRevision=1, changes={"note": "Loud"}),
    )
    changed = {row["entity"]: row["doc"] for row in await second.pull() if row["op"] == "upsert"}
    assert (changed["site"]["accessNote"], changed["site"]["revision"]) == ("Code 4", 2)
    assert (changed["contact"]["email"], changed["contact"]["revision"]) == ("ann@x.org", 2)
    assert (changed["asset"]["note"], changed["asset"]["revision"]) == ("Loud", 2)


@pytest.mark.parametrize(
    ("entity", "given", "path"),
    (
        ("site", {"changes": {"accessNote": 3}}, "changes.accessNote"),
        ("site", {"changes": {"lat": 3}}, "changes.lat"),
        ("site", {"changes": {}}, "changes"),
        ("site", {"changes": {"accessNote": "x"}, "base_revision": 9}, "baseRevision"),
        ("site", {"changes": {"accessNote": "x"}, "base_revision": -1}, "baseRevision"),
        ("stock", {"changes": {"quantity": 3}}, "entity"),
    ),
)
async def test_the_desk_is_told_at_once(world: World, entity: str, given: dict[str, Any], path: str) -> None:
    """A dispatcher at the screen can mend a mistake at once: refused with its field, nothing kept."""
    from callout_sync import edits

    values: dict[str, Any] = {"entity": entity, "id": world.site, "base_revision": 1, **given}
    act: Callable[[Any], Any] = lambda work: edits.apply_at_desk(work, **values)  # noqa: E731
    with pytest.raises(BadField) as refused:
        await world.db.run(world.org, act, actor=world.dispatcher)
    assert refused.value.path == path
    with pytest.raises(NotFound):
        await desk(world, "site", new_id(), 1, accessNote="x")


# --- through a push ---


def command(phone: Phone, entity: str, id_: UUID, changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An edit as a phone sends it, in the course of no visit."""
    payload = {"entity": entity, "id": str(id_), "baseRevision": 1, "changes": changes}
    made = phone.command("record.edit", id_, payload, schemaVersion=2, **more)
    del made["visitId"]
    return made


async def test_edits_among_a_days_work(world: World, visits: list[UUID]) -> None:
    """An edit travels in the same batch as what happened on site; a bad one stops nothing, and a batch whose answer was
    lost changes nothing when it comes again."""
    phone, visit = world.phones[0], visits[0]
    level = await world.value("select id from stock_level where holder_id = $1", phone.engineer_id)
    count = command(phone, "stock", level, {})
    count["payload"] = {"entity": "stock", "id": str(level), "add": {"quantity": 2}}
    batch = [
        phone.command("visit.accept", visit),
        command(phone, "visit", visit, {"engineerNote": "Ring twice"}, visitId=str(visit)),
        phone.command("visit.arrive", visit),
        command(phone, "site", world.site, {"accessNote": "Code 1"}),
        command(phone, "site", world.site, {"lat": 1.0}),
        command(phone, "site", world.site, {"accessNote": "Code 2"}),
        count,
    ]
    answers = await phone.push(*batch)
    assert [a.status for a in answers] == ["applied"] * 4 + ["quarantined"] + ["applied"] * 2, answers
    assert (answers[4].code, answers[4].path) == ("FIELD_NOT_YOURS", "payload.changes.lat")
    for _ in range(2):
        site, found = await row(world, "site", world.site), await row(world, "visit", visit)
        assert (site["access_note"], site["revision"]) == ("Code 2", 3)
        assert (found["engineer_note"], found["state"]) == ("Ring twice", "in_progress")
        assert await world.value("select quantity from stock_level where id = $1", level) == 12
        again = await phone.push(*batch)
        assert [a.status for a in again] == ["duplicate"] * 7
    assert await world.value("select count(*) from quarantine") == 1
    assert await cards(world, state=None) == []


async def test_a_conflict_has_one_place(world: World, visits: list[UUID]) -> None:
    """A note on a visit that was taken away lies on a card, with both values to choose from; it must not lie in
    quarantine as well, to be decided twice."""
    first, second = world.phones[:2]
    await world.db.run(
        world.org,
        lambda work: reassign.reassign(work, visits[0], second.engineer_id, override=True, reason="ill"),
        actor=world.dispatcher,
    )
    [answer] = await first.push(command(first, "visit", visits[0], {"engineerNote": "Old valve"}))
    assert (answer.status, answer.code) == ("conflict", "REASSIGNED")
    [card] = await cards(world)
    assert card.visit_id == visits[0]
    assert await world.value("select count(*) from quarantine") == 0


async def test_the_crew_edits_like_the_engineer(world: World, visits: list[UUID]) -> None:
    """Who works on the visit beside its engineer has the record on the phone, and must be able to correct it."""
    mate = world.phones[1]
    visit = await world.visit(world.phones[0])
    await world.fetch(
        "insert into visit_crew (visit_id, engineer_id, added_at) values ($1, $2, now())",
        visit,
        mate.engineer_id,
    )
    [answer] = await mate.push(command(mate, "visit", visit, {"engineerNote": "Bring a ladder"}))
    assert (answer.status, answer.code) == ("applied", None)
    assert (await row(world, "visit", visit))["engineer_note"] == "Bring a ladder"


async def test_an_edit_that_failed_is_mended_by_a_retry(world: World) -> None:
    """The edit came before the visit that leads to its site; once a person sees to that, the same edit is applied."""
    from callout_sync.again import retry

    phone = world.phones[0]
    [answer] = await phone.push(command(phone, "site", world.site, {"accessNote": "Code 1"}))
    assert (answer.status, answer.code) == ("quarantined", "RECORD_UNKNOWN")
    entry = await world.value("select id from quarantine")
    await world.visit(phone)
    answer = await retry(world.db, org_id=world.org, entry_id=entry, actor=world.dispatcher)
    assert answer.status == "applied"
    [version] = await world.fetch("select device_id, user_id from field_version")
    assert (version["device_id"], version["user_id"]) == (phone.device_id, phone.actor.user_id)
    assert (await row(world, "site", world.site))["access_note"] == "Code 1"


async def test_pushes_and_the_desk_write_the_same_rows_at_once(world: World, visits: list[UUID]) -> None:
    """A busy minute: three phones push events and edits of one shared site, contact and asset in different orders while
    the dispatcher edits them too. Every command is answered for, none ends as a fault, and the revision counts each
    change once."""
    shared = [
        ("site", world.site, "accessNote"),
        ("contact", world.contact, "name"),
        ("asset", world.asset, "note"),
    ]

    def batch(n: int) -> list[dict[str, Any]]:
        phone = world.phones[n % 3]
        turned = shared[n % 3 :] + shared[: n % 3]
        made = [command(phone, entity, id_, {field: f"{field} {n}"}) for entity, id_, field in turned]
        return [
            phone.command("visit.accept", visits[n % 3]),
            *made,
            phone.command("visit.arrive", visits[n % 3]),
        ]

    batches = [batch(n) for n in range(6)]
    told = await asyncio.gather(
        *(world.phones[n % 3].push(*batches[n]) for n in range(6)),
        *(desk(world, entity, id_, 1, **{field: f"{field} desk"}) for entity, id_, field in shared),
    )
    pushed = [answer for answers in told[:6] for answer in answers]  # type: ignore[union-attr]
    assert {a.status for a in pushed} <= {"applied", "conflict"}, pushed
    for entity, id_, _ in shared:
        edits = await world.value(
            "select count(*) from journal where kind = $1 and entity_id = $2", f"{entity}.edited", id_
        )
        assert (await row(world, entity, id_))["revision"] == 1 + edits
    # A name is the office's to decide: its word stands over every phone's, whose last words wait.
    assert (await row(world, "contact", world.contact))["name"] == "name desk"
    lost = [card for card in await cards(world) if card.field == "name"]
    assert len(lost) == 3
