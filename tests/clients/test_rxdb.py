"""RxDB's own GraphQL replication, unmodified, against two processes: each pitfall of such clients is a test.

The phone runs RxDB's dev-mode and a validator, so that every document is held to its schema, tombstones too.
"""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from js_phone import JsPhone
from office import cards, desk_edit, give_to, held_in_feed, new_epoch, parts, purge, quarantined, until
from processes import Api, free_port
from worlds import Phone, World


def command(kind: str, visit: UUID, n: int = 1, **payload: Any) -> dict[str, Any]:
    """A row of the collection `command`."""
    return {
        "id": str(uuid.uuid4()),
        "sequence": n,
        "schemaVersion": 2,
        "kind": kind,
        "visitId": str(visit),
        "deviceTime": datetime.now(UTC).isoformat(),
        "payload": payload,
    }


async def opened(js_phones: Any, phone: Phone, **given: Any) -> JsPhone:
    """A phone that has pulled what is its own."""
    js: JsPhone = await js_phones("rxdb_phone.mjs", phone)
    await js.do("start", **given)
    await js.do("sync")
    return js


async def ids(js: JsPhone, name: str) -> set[str]:
    return {row["id"] for row in await js.do("all", name=name)}


async def events(world: World, visit: UUID) -> list[str]:
    rows = await world.fetch(
        "select kind from visit_event where org_id = callout_org() and visit_id = $1 and source = 'phone' order by kind",
        visit,
    )
    return [row["kind"] for row in rows]


async def test_first_pull_comes_in_full_pages_to_the_end(world: World, js_phones: Any) -> None:
    """RxDB takes a page that is not full for the last one: one short page in the middle, and an engineer works for ever
    with a part of the catalogue. One page for all of it, and the phone is out of memory."""
    await parts(world, 60, "A")
    await parts(world, 64, "B")
    js = await opened(js_phones, world.phones[0], batch=25)
    pages = [r for r in (await js.do("heard"))["requests"] if r["operation"] == "PullPart"]
    assert [page["documents"] for page in pages] == [25, 25, 25, 25, 25, 0]
    assert {page["limit"] for page in pages} == {25}
    assert await ids(js, "part") == await held_in_feed(world, world.phones[0], "part")
    assert len(await ids(js, "part")) == 125


async def test_pages_are_full_although_rows_left_between(world: World, js_phones: Any) -> None:
    """Rows that left this phone's scope, or lie in another's, must not shorten the page that they would have stood on."""
    mine, other = world.phones
    visits = [await world.visit(mine) for _ in range(12)]
    for visit in visits[1:6]:
        await give_to(world, visit, other)
    js = await opened(js_phones, mine, batch=3)
    pages = [r["documents"] for r in (await js.do("heard"))["requests"] if r["operation"] == "PullVisit"]
    assert pages == [3, 3, 1]
    assert await ids(js, "visit") == {str(visit) for visit in (visits[0], *visits[6:])}


async def test_own_work_comes_back_once_and_quietly(world: World, js_phones: Any) -> None:
    """What a phone pushed must come back as what it is, not as a second one; and not be pushed again for ever."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    js = await opened(js_phones, phone)
    note = command("visit.note", visit, text="Mind the dog")
    await js.do("insert", name="command", values=note)
    await js.do("patch", name="visit", id=str(visit), values={"engineerNote": "Key under the mat"})
    await js.do("sync")
    await js.do("sync")
    await js.do("heard")
    await js.do("sync")
    heard = await js.do("heard")
    assert not [r for r in heard["requests"] if r["operation"].startswith("Push")]
    assert heard["errors"] == []
    assert await ids(js, "event") == {note["id"]}
    (held,) = await js.do("all", name="visit")
    assert (held["engineerNote"], held["masterRevision"]) == ("Key under the mat", 2)
    assert await events(world, visit) == ["note"]


async def test_poison_rows_stop_nothing(world: World, js_phones: Any) -> None:
    """One bad row among good ones: as an error of the whole push it would be sent again for ever, and hold back the
    day's work and every pull behind it."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    js = await opened(js_phones, phone)
    rows = [
        command("visit.accept", visit, 1),
        command("visit.dance", visit, 2),
        command("visit.note", visit, 3, text=5),
        {**command("visit.note", visit, 4, text="x"), "visitId": "no visit"},
        command("visit.travel", visit, 5),
    ]
    for row in rows:
        await js.do("insert", name="command", values=row)
    await js.do("sync")
    heard = await js.do("heard")
    assert heard["errors"] == []
    assert sorted(a["status"] for a in heard["answers"]) == ["applied"] * 2 + ["quarantined"] * 3
    assert await events(world, visit) == ["accepted", "travelling"]
    assert sorted(await quarantined(world)) == ["COMMAND_UNREADABLE", "KIND_UNKNOWN", "PAYLOAD_INVALID"]
    await js.do("sync")
    assert {row["code"] for row in await js.do("all", name="outcome")} == set(await quarantined(world))
    (held,) = await js.do("all", name="visit")
    assert held["state"] == "travelling"


async def test_records_of_the_office_are_neither_made_nor_changed_nor_deleted(
    world: World, js_phones: Any
) -> None:
    """A bug in an app that writes where it may not: the office's record stands, the phone shows it again, and what the
    engineer did lies with the dispatcher."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    js = await opened(js_phones, phone)
    part = (await js.do("all", name="part"))[0]
    await js.do("insert", name="part", values={**part, "id": str(uuid.uuid4()), "code": "MINE"})
    await js.do("patch", name="visit", id=str(visit), values={"state": "completed", "engineerNote": "done"})
    await js.do("remove", name="site", id=str(world.site))
    stock = (await js.do("all", name="stock"))[0]
    await js.do("patch", name="stock", id=stock["id"], values={"quantity": stock["quantity"] - 1})
    await js.do("sync")
    await js.do("sync")
    assert sorted(await quarantined(world)) == [
        "COUNTER_BY_COMMAND",
        "FIELD_NOT_YOURS",
        "ROW_NOT_YOURS_TO_DELETE",
        "ROW_NOT_YOURS_TO_MAKE",
    ]
    (held,) = await js.do("all", name="visit")
    assert (held["state"], held["engineerNote"]) == ("dispatched", "done")
    assert await js.do("one", name="site", id=str(world.site)) is not None
    assert await ids(js, "part") == {part["id"]}
    assert (await js.do("all", name="stock"))[0]["quantity"] == 10
    assert (await js.do("heard"))["errors"] == []


async def test_what_left_leaves_the_phone_with_all_that_hung_on_it(world: World, js_phones: Any) -> None:
    """A reassigned visit that stays on the old phone sends two engineers to one door; a customer's address that stays
    is nobody's business any more. The tombstones fit their schemas, or the pull would stop here for ever."""
    mine, other = world.phones
    visit = await world.visit(mine)
    js = await opened(js_phones, mine)
    assert await ids(js, "site") == {str(world.site)}
    await give_to(world, visit, other)
    await js.do("sync")
    for name in ("visit", "workOrder", "site", "contact", "asset"):
        assert await ids(js, name) == set(), name
    assert (await js.do("heard"))["errors"] == []


async def test_work_done_offline_on_a_visit_that_left_arrives(world: World, js_phones: Any) -> None:
    """The engineer works in a cellar while the office gives the visit away: the pull that takes the visit from the phone
    must not take the unsent work with it."""
    mine, other = world.phones
    visit = await world.visit(mine)
    js = await opened(js_phones, mine)
    await js.do("set", offline=True)
    done = command("visit.note", visit, text="Replaced the seal")
    await js.do("insert", name="command", values=done)
    await js.do("patch", name="visit", id=str(visit), values={"engineerNote": "All tight"})
    await give_to(world, visit, other)
    await js.do("set", offline=False)
    await js.do("sync")
    await js.do("sync")
    assert await events(world, visit) == ["note"]
    assert [card[::2] for card in await cards(world)] == [("engineer_note", "All tight")]
    assert await ids(js, "visit") == set()
    codes = await world.fetch("select code from quarantine where org_id = callout_org() order by code")
    assert {row["code"] for row in codes} == {"REASSIGNED"}


async def test_both_sides_survive_and_the_loser_has_a_card(world: World, js_phones: Any) -> None:
    """RxDB's default handler drops local work in a conflict. Different fields must both survive; of one field the loser
    must lie on the dispatcher's table."""
    phone = world.phones[0]
    await world.visit(phone)
    js = await opened(js_phones, phone)
    await js.do("set", offline=True)
    await js.do(
        "patch", name="contact", id=str(world.contact), values={"phone": "+14155550100", "name": "Anna"}
    )
    await desk_edit(world, "contact", world.contact, email="ann@example.org", name="Ann Lee")
    await js.do("set", offline=False)
    await js.do("sync")
    await js.do("sync")
    held = await js.do("one", name="contact", id=str(world.contact))
    assert held["phone"] == "+14155550100"
    assert (held["email"], held["name"]) == ("ann@example.org", "Ann Lee")
    assert await cards(world) == [("name", "Ann Lee", "Anna")]
    stored = await world.fetch(
        "select name, phone, email from contact where org_id = callout_org() and id = $1", world.contact
    )
    assert dict(stored[0]) == {key: held[key] for key in ("name", "phone", "email")}


async def test_collapsed_edits_and_uncollapsed_commands(world: World, js_phones: Any) -> None:
    """Three edits offline arrive as one row: the last counts, without a conflict with oneself. Three commands arrive as
    three: the time of arrival at the site must not be lost."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    js = await opened(js_phones, phone)
    await js.do("set", offline=True)
    for n, (kind, text) in enumerate(
        [("visit.accept", "one"), ("visit.travel", "two"), ("visit.arrive", "three")], 1
    ):
        await js.do("insert", name="command", values=command(kind, visit, n))
        await js.do("patch", name="visit", id=str(visit), values={"engineerNote": text})
    await js.do("set", offline=False)
    await js.do("sync")
    for text in ("four", "three", "four"):
        # Pushed one by one and without a pull between: back and forth is not the same edit again.
        await js.do("patch", name="visit", id=str(visit), values={"engineerNote": text})
        await js.do("sync")
    assert await events(world, visit) == ["accepted", "arrived", "travelling"]
    (held,) = await js.do("all", name="visit")
    assert (held["state"], held["engineerNote"]) == ("in_progress", "four")
    assert await world.value(
        "select engineer_note from visit where org_id = callout_org() and id = $1", visit
    ) == ("four")
    assert await cards(world) == []
    assert await quarantined(world) == []


async def test_a_child_may_come_before_its_parent(world: World, js_phones: Any) -> None:
    """Collections replicate apart from each other: a photo's event may be pushed before the arrival at the site, and a
    visit's events pulled before the visit."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    js: JsPhone = await js_phones("rxdb_phone.mjs", phone)
    await js.do("start", names=["command", "event"])
    await js.do("insert", name="command", values=command("visit.note", visit, 2, text="before arriving"))
    await js.do("sync")
    await js.do("sync")
    assert len(await ids(js, "event")) == 1
    await js.do("insert", name="command", values=command("visit.accept", visit, 1))
    await js.do("sync")
    assert await events(world, visit) == ["accepted", "note"]
    assert await quarantined(world) == []


async def test_lost_answers_double_nothing(world: World, js_phones: Any) -> None:
    """The server stored the push and its answer was lost in the lift: sent again, it must not be done again."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    js = await opened(js_phones, phone)
    await js.do("set", cutAfter=2)
    await js.do(
        "insert",
        name="command",
        values=command("visit.replace_part", visit, partId=str(world.part), quantity=2),
    )
    await js.do("patch", name="visit", id=str(visit), values={"engineerNote": "once"})
    await js.do("sync")
    await js.do("sync")
    heard = await js.do("heard")
    pushed = [r["operation"] for r in heard["requests"] if r["operation"].startswith("Push")]
    assert sorted(set(pushed)) == ["PushCommand", "PushVisit"]
    assert len(pushed) == 4
    assert await events(world, visit) == ["part_replaced"]
    assert (await js.do("all", name="stock"))[0]["quantity"] == 8
    assert (
        await world.value("select revision from visit where org_id = callout_org() and id = $1", visit)
        == ((await js.do("all", name="visit"))[0]["masterRevision"])
    )
    assert await cards(world) == []


async def test_a_lost_answer_and_an_edit_at_the_desk_behind_it(world: World, js_phones: Any) -> None:
    """The phone's edit was stored, its answer lost, and the office wrote the field after that: the repeated push must
    not silently write over the office."""
    phone = world.phones[0]
    await world.visit(phone)
    js = await opened(js_phones, phone)
    site = str(world.site)
    await js.do("set", cutAfter=1, gated=True)
    await js.do("patch", name="site", id=site, values={"accessNote": "Ring twice"})
    await until(world, "select access_note = 'Ring twice' from site where org_id = callout_org()")
    await desk_edit(world, "site", world.site, accessNote="Ring once")
    await js.do("set", gated=False)
    await js.do("sync")
    await js.do("sync")
    assert (await js.do("one", name="site", id=site))["accessNote"] == "Ring once"
    assert await world.value("select access_note from site where org_id = callout_org()") == "Ring once"


async def test_an_edit_that_the_office_did_not_see_meets_a_card(world: World, js_phones: Any) -> None:
    """`access_note` goes to the newest: the phone's later edit wins over what the office wrote meanwhile, and the
    office's words lie on a card."""
    phone = world.phones[0]
    await world.visit(phone)
    js = await opened(js_phones, phone)
    site = str(world.site)
    await desk_edit(world, "site", world.site, accessNote="Ring once")
    await js.do(
        "patch",
        name="site",
        id=site,
        values={"accessNote": "Ring twice", "editedAt": datetime.now(UTC).isoformat()},
    )
    await js.do("sync")
    await js.do("sync")
    assert (await js.do("one", name="site", id=site))["accessNote"] == "Ring twice"
    assert await cards(world) == [("access_note", "Ring twice", "Ring once")]


@pytest.mark.parametrize("cause", ("purged", "restored"))
async def test_beginning_anew_keeps_what_was_not_sent(
    world: World, js_phones: Any, database_urls: Any, cause: str
) -> None:
    """A phone away for longer than deletes are kept, or a server restored from a backup: going on from the checkpoint
    would leave ghosts on the phone. It begins anew, and sends before that what it had not sent."""
    mine, other = world.phones
    gone, stays = await world.visit(mine), await world.visit(mine)
    js = await opened(js_phones, mine)
    await js.do("set", offline=True)
    await js.do("insert", name="command", values=command("visit.note", stays, text="kept"))
    await js.do("patch", name="visit", id=str(stays), values={"engineerNote": "kept too"})
    await give_to(world, gone, other)
    if cause == "purged":
        await purge(world)
    else:
        async with world.db.work(world.org) as work:
            await work.execute("delete from sync_feed where org_id = callout_org() and op = 'D'")
        await new_epoch(database_urls.admin)
    await js.do("set", offline=False)
    await js.do("sync")
    heard = await js.do("heard")
    assert "visit" in heard["anew"]
    codes = {
        e["extensions"]["code"]
        for one in heard["errors"]
        for e in one["error"]["errors"]
        if e.get("extensions")
    }
    assert codes == {"RESYNC_REQUIRED"}
    assert await ids(js, "visit") == {str(stays)}
    assert (await js.do("one", name="visit", id=str(stays)))["engineerNote"] == "kept too"
    assert await events(world, stays) == ["note"]
    await js.do("sync")
    assert (await js.do("heard"))["errors"] == []


async def test_a_stream_only_nudges_and_wakes_after_a_cut(
    world: World, js_phones: Any, database_urls: Any, tmp_path: Any, api: Any
) -> None:
    """A dispatched visit shows within moments. A document inside the event would move the checkpoint past rows that were
    not pulled yet; and what was missed while the server was away must come without anybody touching the phone."""
    phone = world.phones[0]
    own = Api(database_urls, tmp_path, workers=2, port=free_port())
    try:
        js: JsPhone = await js_phones("rxdb_phone.mjs", phone, URL=own.url)
        await js.do("start", stream=True)
        await js.do("sync")
        first = await world.visit(phone)
        await js.do("until", name="visit", id=str(first), values={"state": "dispatched"})
        # The order of that visit is not what the stream was asked for; it is pulled all the same.
        (order,) = await held_in_feed(world, phone, "work_order")
        await js.do("until", name="workOrder", id=order, values={})
        own.kill()
        second = await world.visit(phone)
        own = Api(database_urls, tmp_path, workers=2, port=own.port)
        await js.do("until", name="visit", id=str(second), values={"state": "dispatched"}, within_s=60)
    finally:
        own.end()


async def test_a_token_that_ran_out_is_an_error_with_a_code(world: World, js_phones: Any) -> None:
    """RxDB never looks at the HTTP status, and takes the first key of `data`: an answer without either would be repeated
    for ever without anybody learning why. With a fresh token all goes on."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    js: JsPhone = await js_phones("rxdb_phone.mjs", phone)
    good = await js.do("token")
    await js.do("set", token="nonsense")
    await js.do("start", names=["visit"])
    heard: list[Any] = []
    async with asyncio.timeout(20):
        while not heard:
            heard = (await js.do("heard"))["errors"]
    assert heard[0]["error"]["errors"][0]["extensions"]["code"] == "NOT_AUTHENTICATED"
    await js.do("set", token=good)
    await js.do("until", name="visit", id=str(visit), values={"state": "dispatched"})
