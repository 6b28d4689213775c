"""WatermelonDB's own `synchronize()`, unmodified, against two processes: each pitfall of such clients is a test.

The phone runs the LokiJS adapter, whose database is in memory; everything else is what runs on a phone.
"""

from typing import Any
from uuid import UUID

import pytest
from js_phone import JsPhone
from office import cards, desk_edit, give_to, held_in_feed, new_epoch, parts, purge, quarantined
from worlds import Phone, World

OLD_TABLES = ["visit", "work_order", "site", "contact", "command"]


async def opened(js_phones: Any, phone: Phone, **given: Any) -> JsPhone:
    """A phone that has pulled what is its own."""
    js: JsPhone = await js_phones("watermelon_phone.mjs", phone)
    await js.do("open", **given)
    await synced(js)
    await js.do("heard")
    return js


async def synced(js: JsPhone, **given: Any) -> None:
    """One press of the button, which has to succeed."""
    assert await js.do("sync", **given) == {"done": True}


async def ids(js: JsPhone, name: str) -> set[str]:
    return {row["id"] for row in await js.do("all", name=name)}


async def one(js: JsPhone, name: str, id: object) -> dict[str, Any] | None:
    return next((row for row in await js.do("all", name=name) if row["id"] == str(id)), None)


async def column(js: JsPhone, name: str, id: object, column: str) -> Any:
    row = await one(js, name, id)
    assert row is not None
    return row[column]


async def events(world: World, visit: UUID) -> list[str]:
    rows = await world.fetch(
        "select kind from visit_event where org_id = callout_org() and visit_id = $1 and source = 'phone' order by kind",
        visit,
    )
    return [row["kind"] for row in rows]


async def test_first_pull_comes_in_answers_that_a_phone_can_hold(world: World, js_phones: Any) -> None:
    """synchronize() applies an answer at one go: a catalogue of thousands in one of them is the end of a small phone. The
    next answers follow by themselves, nothing is left out between them, and no row comes as created."""
    phone = world.phones[0]
    await world.visit(phone)
    for n in range(6):
        await parts(world, 20, f"P{n}")
    js: JsPhone = await js_phones("watermelon_phone.mjs", phone)
    await js.do("open")
    await synced(js, limit=30)
    pulls = (await js.do("heard"))["pulls"]
    assert len(pulls) >= 4
    assert [pull["more"] for pull in pulls] == [True] * (len(pulls) - 1) + [False]
    for pull in pulls:
        tables = pull["changes"].values()
        # No transaction is cut in two, so that an answer may be longer by one of them.
        assert sum(len(table["updated"]) for table in tables) <= 30 + 20
        assert not any(table["created"] for table in tables)
        assert isinstance(pull["timestamp"], int)
        assert 0 < pull["timestamp"] < 2**53
    for name in ("part", "visit", "site"):
        assert await ids(js, name) == await held_in_feed(world, phone, name)
    assert len(await ids(js, "part")) == 121


async def test_own_work_comes_back_once_and_quietly(world: World, js_phones: Any) -> None:
    """What a phone pushed must not be pushed again by the next synchronize(), nor come back as something new."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    js = await opened(js_phones, phone)
    await js.do("edit", name="visit", id=str(visit), values={"engineer_note": "Key under the mat"})
    note = await js.do("append", kind="visit.note", visitId=str(visit), sequence=1, payload={"text": "dog"})
    await synced(js)
    await synced(js)
    heard = await js.do("heard")
    assert len(heard["pushes"]) == 1
    assert [answer["status"] for answer in heard["answers"]] == ["applied", "applied"]
    assert await ids(js, "event") == {note}
    row = await one(js, "visit", visit)
    assert row is not None
    assert (row["engineer_note"], row["revision"], row["_status"]) == ("Key under the mat", 2, "synced")
    assert await events(world, visit) == ["note"]


async def test_bad_rows_stop_nothing_and_are_not_sent_for_ever(world: World, js_phones: Any) -> None:
    """A rejected id is sent again with every synchronize() until the app is mended: so nothing is rejected. What cannot
    be applied lies with the dispatcher, and what the phone believed to have made is gone from it."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    js = await opened(js_phones, phone)
    await js.do("append", kind="visit.accept", visitId=str(visit), sequence=1)
    await js.do("append", kind="visit.dance", visitId=str(visit), sequence=2)
    await js.do("append", kind="visit.note", visitId=str(visit), sequence=3, payload={"text": 5})
    await js.do("append", kind="visit.travel", visitId=str(visit), sequence=4)
    await js.do("create", name="part", values={"code": "MINE", "name": "Mine"})
    await synced(js)
    assert await events(world, visit) == ["accepted", "travelling"]
    assert sorted(await quarantined(world)) == ["KIND_UNKNOWN", "PAYLOAD_INVALID", "ROW_NOT_YOURS_TO_MAKE"]
    assert await ids(js, "part") == {str(world.part)}
    assert {row["code"] for row in await js.do("all", name="outcome")} == set(await quarantined(world))
    await js.do("heard")
    await synced(js)
    assert (await js.do("heard"))["pushes"] == []


async def test_records_of_the_office_come_back_as_they_are(world: World, js_phones: Any) -> None:
    """An app that deletes a site or writes a visit's state: accepted by its own database, it would believe that for ever."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    js = await opened(js_phones, phone)
    await js.do("edit", name="visit", id=str(visit), values={"state": "completed", "engineer_note": "done"})
    await js.do("remove", name="site", id=str(world.site))
    await synced(js)
    assert await column(js, "visit", visit, "state") == "dispatched"
    assert await column(js, "visit", visit, "engineer_note") == "done"
    assert await ids(js, "site") == {str(world.site)}
    assert sorted(await quarantined(world)) == ["FIELD_NOT_YOURS", "ROW_NOT_YOURS_TO_DELETE"]


async def test_what_left_leaves_the_phone(world: World, js_phones: Any) -> None:
    """A reassigned visit that stays on the old phone sends two engineers to one door."""
    mine, other = world.phones
    visit = await world.visit(mine)
    js = await opened(js_phones, mine)
    await give_to(world, visit, other)
    await synced(js)
    for name in ("visit", "work_order", "site", "contact", "asset"):
        assert await ids(js, name) == set(), name


async def test_a_delete_waits_until_the_phone_has_sent_its_work(world: World, js_phones: Any) -> None:
    """A pull comes before the push and destroys what it deletes, unsent edits too: the engineer's words about a visit
    that was given away meanwhile must reach the office before the visit leaves the phone."""
    mine, other = world.phones
    visit = await world.visit(mine)
    js = await opened(js_phones, mine)
    await js.do("edit", name="visit", id=str(visit), values={"engineer_note": "All tight"})
    await js.do("append", kind="visit.note", visitId=str(visit), sequence=1, payload={"text": "sealed"})
    await give_to(world, visit, other)
    await js.do("set", failPushes=1)
    assert (await js.do("sync"))["done"] is False
    assert await column(js, "visit", visit, "engineer_note") == "All tight"
    await synced(js)
    assert await events(world, visit) == ["note"]
    assert [card[::2] for card in await cards(world)] == [("engineer_note", "All tight")]
    assert await ids(js, "visit") == set()
    first, second, *_, last = (await js.do("heard"))["pulls"]
    assert first["asked"]["dirty"]
    assert second["asked"]["dirty"]
    assert first["changes"]["visit"]["deleted"] == second["changes"]["visit"]["deleted"] == []
    assert str(visit) in last["changes"]["visit"]["deleted"]


@pytest.mark.parametrize("plainly", (False, True), ids=("with base_revision", "without"))
async def test_an_edit_that_meets_another_is_not_lost_silently(
    world: World, js_phones: Any, plainly: bool
) -> None:
    """WatermelonDB keeps its own value of a changed column and pushes it after the pull: to a server that believes
    `lastPulledAt`, the phone has seen what it overwrites. A push that failed in between makes it twice as late."""
    phone = world.phones[0]
    await world.visit(phone)
    js = await opened(js_phones, phone)
    contact = str(world.contact)
    mine = {"name": "Anna", "phone": "+14155550100"}
    await js.do("edit", name="contact", id=contact, values=mine, plainly=plainly)
    await desk_edit(world, "contact", world.contact, name="Ann Lee", email="ann@example.org")
    await js.do("set", failPushes=1)
    assert (await js.do("sync"))["done"] is False
    await synced(js)
    assert await cards(world) == [("name", "Ann Lee", "Anna")]
    row = await one(js, "contact", contact)
    assert row is not None
    assert (row["name"], row["phone"], row["email"]) == ("Ann Lee", "+14155550100", "ann@example.org")


@pytest.mark.parametrize("plainly", (False, True), ids=("with base_revision", "without"))
async def test_edits_one_after_the_other_do_not_meet_themselves(
    world: World, js_phones: Any, plainly: bool
) -> None:
    """Quick edits of one engineer, and one made after having seen the office's, are no conflicts: a dispatcher who is
    shown those stops looking."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    js = await opened(js_phones, phone)
    for text in ("one", "two", "one", "two"):
        await js.do("edit", name="visit", id=str(visit), values={"engineer_note": text}, plainly=plainly)
        await synced(js)
    await desk_edit(world, "contact", world.contact, name="Ann Lee")
    await synced(js)
    await js.do("edit", name="contact", id=str(world.contact), values={"name": "Ann Li"}, plainly=plainly)
    await synced(js)
    assert await cards(world) == []
    assert await quarantined(world) == []
    stored = "select name from contact where org_id = callout_org() and id = $1"
    assert await world.value(stored, world.contact) == "Ann Li"
    note = "select engineer_note from visit where org_id = callout_org() and id = $1"
    assert await world.value(note, visit) == await column(js, "visit", visit, "engineer_note") == "two"


async def test_collapsed_edits_and_uncollapsed_commands(world: World, js_phones: Any) -> None:
    """A row that was edited three times arrives once; what happened arrives as often as it happened."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    js = await opened(js_phones, phone)
    for n, kind in enumerate(("visit.accept", "visit.travel", "visit.arrive"), 1):
        await js.do("edit", name="visit", id=str(visit), values={"engineer_note": kind})
        await js.do("append", kind=kind, visitId=str(visit), sequence=n)
    await synced(js)
    assert await events(world, visit) == ["accepted", "arrived", "travelling"]
    assert await column(js, "visit", visit, "engineer_note") == "visit.arrive"
    assert await column(js, "visit", visit, "state") == "in_progress"
    assert await cards(world) == []


async def test_lost_answers_double_nothing(world: World, js_phones: Any) -> None:
    """The push was stored and its answer lost: sent again with the next synchronize(), it must not be done again. What
    the office wrote in between must stand on the phone, too, although the phone believes its own push."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    js = await opened(js_phones, phone)
    await js.do(
        "append",
        kind="visit.replace_part",
        visitId=str(visit),
        sequence=1,
        payload={"partId": str(world.part), "quantity": 2},
    )
    await js.do("edit", name="site", id=str(world.site), values={"access_note": "Ring twice"})
    await js.do("set", cutPushes=1)
    assert (await js.do("sync"))["done"] is False
    await desk_edit(world, "site", world.site, accessNote="Ring once")
    await synced(js)
    assert {answer["status"] for answer in (await js.do("heard"))["answers"]} == {"duplicate"}
    assert await events(world, visit) == ["part_replaced"]
    assert (await js.do("all", name="stock"))[0]["quantity"] == 8
    assert await column(js, "site", world.site, "access_note") == "Ring once"
    assert await world.value("select access_note from site where org_id = callout_org()") == "Ring once"


@pytest.mark.parametrize("cause", ("purged", "restored"))
async def test_beginning_anew_keeps_what_was_not_sent(
    world: World, js_phones: Any, database_urls: Any, cause: str
) -> None:
    """A phone away for longer than deletes are kept, or a server restored from a backup: its copy is replaced, ghosts and
    all, but not before it has sent what it had."""
    mine, other = world.phones
    gone, stays = await world.visit(mine), await world.visit(mine)
    js = await opened(js_phones, mine)
    await js.do("edit", name="visit", id=str(stays), values={"engineer_note": "kept"})
    await js.do("edit", name="visit", id=str(gone), values={"engineer_note": "kept too"})
    await js.do("append", kind="visit.note", visitId=str(stays), sequence=1, payload={"text": "and this"})
    await give_to(world, gone, other)
    await purge(world)
    if cause == "restored":
        await new_epoch(database_urls.admin)
    await synced(js)
    pulls = (await js.do("heard"))["pulls"]
    assert [pull.get("experimentalStrategy") for pull in pulls][:2] == [None, "replacement"]
    assert await ids(js, "visit") == {str(stays)}
    assert await column(js, "visit", stays, "engineer_note") == "kept"
    assert await events(world, stays) == ["note"]
    assert [card[::2] for card in await cards(world)] == [("engineer_note", "kept too")]
    assert len(await ids(js, "command")) == 1
    await synced(js)
    assert "experimentalStrategy" not in (await js.do("heard"))["pulls"][-1]


async def test_a_new_table_and_a_new_column_are_filled(world: World, js_phones: Any) -> None:
    """An app learns of assets and parts, and of the customer's e-mail, months after its first pull: what changed before
    that must come too, or the new page stays empty on old phones alone."""
    phone = world.phones[0]
    await world.visit(phone)
    await desk_edit(world, "contact", world.contact, email="ann@example.org")
    js = await opened(js_phones, phone, names=OLD_TABLES)
    assert set(await js.do("sync") and (await js.do("heard"))["pulls"][0]["changes"]) == {
        "visit",
        "work_order",
        "site",
        "contact",
    }
    await js.do("save")
    await js.do(
        "open",
        version=2,
        names=[*OLD_TABLES, "asset", "part"],
        added=[
            {"table": "asset"},
            {"table": "part"},
            {"table": "contact", "columns": [{"name": "nickname", "type": "string", "isOptional": True}]},
        ],
    )
    assert await ids(js, "visit") == await held_in_feed(world, phone, "visit")
    await synced(js)
    asked = (await js.do("heard"))["pulls"][0]
    assert asked["asked"]["migration"]["from"] == 1
    assert await ids(js, "asset") == {str(world.asset)}
    assert await ids(js, "part") == {str(world.part)}
    assert [row["id"] for row in asked["changes"]["contact"]["updated"]] == [str(world.contact)]
    assert asked["changes"]["visit"]["updated"] == []


async def test_weeks_of_work_are_pushed_though_no_request_holds_them(world: World, js_phones: Any) -> None:
    """synchronize() hands over everything that is unsent at one go. After weeks in a dead spot that was more than the
    server takes in one body: refused whole each time, nothing of that phone's work would ever have arrived."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    js = await opened(js_phones, phone)
    count = 360
    for n in range(count):
        text = f"{n} " + "水" * 3900
        await js.do("append", kind="visit.note", visitId=str(visit), sequence=n + 1, payload={"text": text})
    await js.do("edit", name="site", id=str(world.site), values={"access_note": "behind the shed"})
    await synced(js)
    heard = await js.do("heard")
    assert {answer["status"] for answer in heard["answers"]} == {"applied"}
    assert len(heard["answers"]) == count + 1
    assert len(heard["pushes"]) > 1
    # Documents first: a note on a visit that is completed in the same push was written before.
    assert "site" in heard["pushes"][0]["changes"]
    assert await events(world, visit) == ["note"] * count
