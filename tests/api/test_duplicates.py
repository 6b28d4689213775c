"""Duplicates on a real database: linked once over processes, no second clock, unlinked, merged, found through indexes."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from prechecks import Desk, make_desk

from callout_backend.embedded import Urls
from callout_backend.wiring import add_hooks
from callout_dispatch import merging
from callout_dispatch.needs import load_order, lock_waiting
from callout_dispatch.texts import InWrongState
from callout_orders import customers, orders
from callout_orders.checks import FieldRefused
from callout_orders.flow.ending import reopening
from callout_orders.precheck import making, settings, taking
from callout_orders.precheck.alike import links, search
from callout_orders.precheck.alike.duplicates import Traits
from callout_orders.precheck.terms import Request
from callout_orders.terms import TO_BE_PLANNED
from callout_store.errors import StaleRevision, WrongState
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture
async def desk(db: Database) -> Desk:
    add_hooks(db)
    return await make_desk(db)


async def clocks(db: Database, desk: Desk) -> set[str]:
    """Ids of orders with an armed timer of a milestone."""
    async with db.work(desk.org_id) as work:
        rows = await work.fetch(
            "select distinct payload->>'orderId' as id from timer where channel = 'sla.check' and state = 'armed'"
        )
    return {row["id"] for row in rows}


async def kinds(db: Database, desk: Desk, order_id: Any) -> list[str]:
    async with db.work(desk.org_id) as work:
        rows = await work.fetch("select kind from journal where order_id = $1 order by id", order_id)
    return [row["kind"] for row in rows]


async def test_a_duplicate_is_linked_and_has_no_second_clock(db: Database, desk: Desk) -> None:
    """Two engineers would drive to one charging pile, and one promise would be broken twice."""
    async with db.work(desk.org_id) as work:
        first = await taking.take(work, desk.request())
    async with db.work(desk.org_id) as work:
        twin = await taking.take(
            work, desk.request(description="充电桩无法启动,屏幕不亮了", channel="hotline")
        )
    assert (twin.duplicate_of_id, twin.duplicate_of_number) == (first.id, first.number)
    assert await clocks(db, desk) == {str(first.id)}
    assert "work_order.duplicate_linked" in await kinds(db, desk, twin.id)
    async with db.work(desk.org_id) as work:
        waiting = await lock_waiting(work, None, 10)
        assert [one.id for one in waiting] == [first.id]
        assert [one.id for one in await lock_waiting(work, [twin.id], 10)] == []
        with pytest.raises(InWrongState) as refused:
            (await load_order(work, twin.id)).check_state(TO_BE_PLANNED)
        data = await work.fetchval(
            "select data::text from journal where order_id = $1 and kind = 'work_order.duplicate_linked'",
            twin.id,
        )
    assert "unlinkDuplicate" in refused.value.message("zh")
    said = json.loads(data)
    assert said["score"] == pytest.approx(sum(one["points"] for one in said["reasons"]), abs=1e-3)


async def test_unlinking_starts_the_clock_and_lets_it_be_planned(db: Database, desk: Desk) -> None:
    """Somebody whose matter was only alike would wait for an engineer who never comes."""
    async with db.work(desk.org_id) as work:
        first = await taking.take(work, desk.request())
        twin = await taking.take(work, desk.request())
    async with db.work(desk.org_id) as work:
        revision = await links.unlink(work, twin.id, "the pile beside it")
    async with db.work(desk.org_id) as work:
        assert await links.unlink(work, twin.id) == revision
        assert {one.id for one in await lock_waiting(work, None, 10)} == {first.id, twin.id}
        ((reporters,), steps) = (
            await links.reporters_by_order_ids(work, [first.id]),
            await work.fetchval("select count(*) from order_step where order_id = $1", twin.id),
        )
    assert await clocks(db, desk) == {str(first.id), str(twin.id)}
    assert reporters == []
    assert steps > 0
    assert (await kinds(db, desk, twin.id)).count("work_order.duplicate_unlinked") == 1


async def test_what_is_over_or_was_changed_is_not_unlinked(db: Database, desk: Desk) -> None:
    """A clock would start for an order that was closed with its first one; or over what a colleague has just decided."""
    async with db.work(desk.org_id) as work:
        first = await taking.take(work, desk.request())
        twin, over = [await taking.take(work, desk.request()) for _ in range(2)]
        # The first one's own contact reported them: nobody is told twice.
        assert await links.reporters_by_order_ids(work, [first.id]) == [[]]
        await work.execute(
            "update work_order set state = 'closed', closed_at = $2 where id = $1", over.id, work.now
        )
        with pytest.raises(WrongState):
            await links.unlink(work, over.id)
        with pytest.raises(StaleRevision):
            await links.unlink(work, twin.id, revision=77)
    assert {over.duplicate_of_id, twin.duplicate_of_id} == {first.id}
    assert str(over.id) not in await clocks(db, desk)


async def test_what_is_only_alike_is_shown_and_not_linked(db: Database, desk: Desk) -> None:
    """Two faults of one machine would become one, and the second stay unmended."""
    async with db.work(desk.org_id) as work:
        first = await taking.take(work, desk.request(description="充电桩无法启动,屏幕不亮,指示灯红色"))
        other = await taking.take(work, desk.request(description="充电桩枪头卡住拔不出来,指示灯红色"))
        shown = await search.of_order(work, other.id, settings.Duplicates(possible=0.3))
    assert other.duplicate_of_id is None
    assert [one.order_id for one in shown] == [first.id]
    assert not shown[0].sure
    assert {reason.code for reason in shown[0].reasons} >= {"text", "same_serial", "time", "place"}
    assert all(reason.en and reason.zh for reason in shown[0].reasons)


async def test_settings_decide_whether_one_is_linked(db: Database, desk: Desk) -> None:
    """A company that wants a person to look at each would find orders hidden behind others."""
    async with db.work(desk.org_id) as work:
        await settings.save(
            work, settings.Settings(duplicates=settings.Duplicates(link=False, sure=0.9, possible=0.6))
        )
        first = await taking.take(work, desk.request())
        second = await taking.take(work, desk.request())
        third = await taking.take(work, desk.request(link_duplicates=True))
        own = await taking.take(work, desk.request(link_duplicates=False))
    assert (second.duplicate_of_id, own.duplicate_of_id) == (None, None)
    assert {one.order_id for one in second.possible} == {first.id}
    assert third.duplicate_of_id in (first.id, second.id)


async def test_never_linked_to_an_order_where_the_work_is_over(db: Database, desk: Desk) -> None:
    """The pile fails again an hour after the repair, and nobody would ever come."""
    async with db.work(desk.org_id) as work:
        first = await taking.take(work, desk.request())
        await work.execute(
            "update work_order set state = 'completed', resolved_at = $2 where id = $1", first.id, work.now
        )
        second = await taking.take(work, desk.request())
        await work.execute(
            "update work_order set state = 'closed', closed_at = $2 where id = any($1)",
            [first.id, second.id],
            work.now,
        )
        third = await taking.take(work, desk.request())
    assert (second.duplicate_of_id, third.duplicate_of_id) == (None, None)
    assert first.id in {one.order_id for one in third.possible}


NOBODY = "reporter_phone = null, contact_id = null"
NO_MACHINE = "serial = null, asset_id = null"


@pytest.mark.parametrize(
    ("change", "shown"),
    (
        ("state = 'new'", True),
        ("state = 'canceled'", False),
        ("state = 'closed', closed_at = $2 - interval '71 hours'", True),
        ("state = 'closed', closed_at = $2 - interval '73 hours'", False),
        # An open order of the same machine or telephone counts for a month, one of the same customer for three days.
        (f"created_at = $2 - interval '29 days', {NOBODY}", True),
        (f"created_at = $2 - interval '29 days', {NO_MACHINE}", True),
        (f"created_at = $2 - interval '29 days', {NOBODY}, {NO_MACHINE}", False),
        (f"created_at = $2 - interval '70 hours', {NOBODY}, {NO_MACHINE}", True),
        ("created_at = $2 - interval '31 days'", False),
    ),
)
async def test_how_far_back_is_looked(db: Database, desk: Desk, change: str, shown: bool) -> None:
    """The pile waits for a part since three weeks, and a second engineer would be sent; or all that a customer ever ordered
    would stand beside each new one."""
    async with db.work(desk.org_id) as work:
        first = await taking.take(work, desk.request())
        await work.execute(
            f"update work_order set {change} where id = $1 and $2::timestamptz is not null",
            first.id,
            work.now,
        )
        found = await taking.check(work, desk.request())
    assert [one.order_id for one in found.duplicates] == [first.id] * shown


async def test_who_reported_a_duplicate_is_known_by_it(db: Database, desk: Desk) -> None:
    """The second caller calls again, from their own telephone and without the serial, and gets an engineer of their own."""
    async with db.work(desk.org_id) as work:
        first = await taking.take(work, desk.request(contact_phone="13900000001"))
        await taking.take(work, desk.request(contact_phone="13900000002"))
        # No longer among the latest of the customer: the way to the first order leads by the second.
        await work.execute(
            "update work_order set created_at = $2::timestamptz - interval '4 days' where id = $1",
            first.id,
            work.now,
        )
        again = await taking.take(
            work, desk.request(contact_phone="13900000002", serial=None, kind="general")
        )
    assert again.duplicate_of_id == first.id


@pytest.mark.parametrize("meanwhile", ("state = 'completed'", "state = 'closed'", "duplicate_of_id = $2"))
async def test_what_ended_while_it_was_looked_at_is_not_linked_to(
    db: Database, desk: Desk, meanwhile: str
) -> None:
    """The engineer closes the order in the second in which it is reported again: the report would end with it, unseen."""
    async with db.work(desk.org_id) as work:
        other = await taking.take(work, desk.request(description="Another matter, the lamp of the hall"))
        first = await taking.take(work, desk.request(link_duplicates=False))
        look = await taking._look(work, desk.request(), lock=True)
        assert [one.order_id for one in look.duplicates if one.sure] == [first.id]
        await work.execute(
            f"update work_order set {meanwhile} where id = $1 and $2::uuid is not null", first.id, other.id
        )
        assert await making.twins(work, [look]) == [None]


async def test_colleagues_who_report_at_once_are_one_matter(db: Database, desk: Desk) -> None:
    """A floor without light: five people of one company send the form in the same second, each with their own telephone."""
    phones = [f"1390000000{n}" for n in range(5)]
    async with db.work(desk.org_id) as work:
        for phone in phones:
            await customers.create_contact(
                work, customers.NewContact(customer_id=desk.customer_id, name=phone, phone=phone)
            )
    asked = [
        desk.request(contact_phone=phone, serial=None, kind="general", description="三楼整层停电,灯都不亮")
        for phone in phones
    ]
    made = await asyncio.gather(
        *(db.run(desk.org_id, lambda work, one=one: taking.take(work, one)) for one in asked)  # type: ignore[misc]
    )
    first = [one.id for one in made if one.duplicate_of_id is None]
    assert len(first) == 1
    assert {one.duplicate_of_id for one in made} == {None, first[0]}


async def test_one_reference_sent_at_once_is_one_order_and_no_duplicate(db: Database, desk: Desk) -> None:
    """A system that sends twice because it is impatient would be told of an order that repeats itself."""
    request = desk.request(references=(("crm", "A-1"),))
    made = await asyncio.gather(
        *(db.run(desk.org_id, lambda work: taking.take(work, request)) for _ in range(4))
    )
    assert len({one.id for one in made}) == 1
    assert sorted(one.existing for one in made) == [False, True, True, True]
    assert "work_order.duplicate_linked" not in await kinds(db, desk, made[0].id)


async def test_a_duplicate_of_a_duplicate_hangs_on_the_first(db: Database, desk: Desk) -> None:
    """A chain of duplicates would lead to an order that nobody works on."""
    async with db.work(desk.org_id) as work:
        made = [await taking.take(work, desk.request(contact_phone=f"1380013800{n}")) for n in range(4)]
    assert {one.duplicate_of_id for one in made[1:]} == {made[0].id}
    async with db.work(desk.org_id) as work:
        (reporters,) = await links.reporters_by_order_ids(work, [made[0].id])
    assert [one.phone for one in reporters] == [f"+861380013800{n}" for n in (1, 2, 3)]


async def test_duplicates_end_with_their_first_order(db: Database, desk: Desk) -> None:
    """Whoever reported the same would stay in the list of open orders for ever."""
    async with db.work(desk.org_id) as work:
        first = await taking.take(work, desk.request())
        twin = await taking.take(work, desk.request())
        await work.execute(
            "update work_order set state = 'completed', resolved_at = $2 where id = $1", first.id, work.now
        )
    async with db.work(desk.org_id) as work:
        await links.follow(work, [(new_id(), links._entry("work_order.closed", first.id, {}))])
    async with db.work(desk.org_id) as work:
        assert await work.fetchval("select state from work_order where id = $1", twin.id) == "closed"
    assert (await kinds(db, desk, twin.id))[-1] == "work_order.closed"


async def test_the_oldest_duplicate_takes_the_place_of_one_called_off(db: Database, desk: Desk) -> None:
    """The first caller calls it off, and three others with the same trouble are forgotten with it."""
    async with db.work(desk.org_id) as work:
        made = [await taking.take(work, desk.request(contact_phone=f"1380013800{n}")) for n in range(3)]
    async with db.work(desk.org_id) as work:
        await orders.cancel_order(work, made[0].id, "found the switch")
    async with db.work(desk.org_id) as work:
        rows = await work.fetch("select id, duplicate_of_id, state from work_order order by id")
        (reporters,) = await links.reporters_by_order_ids(work, [made[1].id])
    assert [(row["duplicate_of_id"], row["state"]) for row in rows] == [
        (None, "canceled"),
        (None, "new"),
        (made[1].id, "new"),
    ]
    assert await clocks(db, desk) == {str(made[1].id)}
    assert [one.from_order_id for one in reporters] == [made[2].id]


@pytest.mark.parametrize("end", ("closed", "canceled"))
async def test_a_storm_of_reports_ends_with_its_first_order(
    db: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """A whole district reports one outage: the last of its reports would stay open for ever, without a clock."""
    monkeypatch.setattr(links, "CASCADE_ROWS", 2)
    async with db.work(desk.org_id) as work:
        first = await taking.take(work, desk.request())
        made = [await taking.take(work, desk.request(contact_phone=f"1380013800{n}")) for n in range(5)]
    async with db.work(desk.org_id) as work:
        if end == "canceled":
            await orders.cancel_order(work, first.id, "found the switch")
        else:
            await work.execute("update work_order set state = 'closed' where id = $1", first.id)
            await links.follow(work, [(new_id(), links._entry("work_order.closed", first.id, {}))])
    async with db.work(desk.org_id) as work:
        rows = await work.fetch(
            "select duplicate_of_id, state from work_order where id = any($1) order by id",
            [o.id for o in made],
        )
    told = [(row["duplicate_of_id"], row["state"]) for row in rows]
    if end == "closed":
        assert told == [(first.id, "closed")] * 5
    else:
        assert told == [(None, "new")] + [(made[0].id, "new")] * 4
        assert await clocks(db, desk) == {str(made[0].id)}


async def test_a_duplicate_is_opened_again_by_its_first_order_only(db: Database, desk: Desk) -> None:
    """It would stand open without a clock, in nobody's list, and its customer would wait for an engineer who never comes."""
    async with db.work(desk.org_id) as work:
        first = await taking.take(work, desk.request())
        twin = await taking.take(work, desk.request())
        await work.execute("update work_order set state = 'closed', closed_at = $1", work.now)
    async with db.work(desk.org_id) as work:
        with pytest.raises(FieldRefused) as refused:
            await reopening.reopen(work, twin.id, "not mended")
        assert not await reopening.reopen_unsatisfied(work, twin.id, "not mended")
        assert await reopening.reopen(work, first.id, "not mended")
    assert first.number in refused.value.why("en")
    assert first.number in refused.value.why("zh")


async def test_a_neighbours_report_is_shown_and_never_linked(db: Database, desk: Desk) -> None:
    """Three shops report one dark lamp: whoever takes the calls would see no connexion; or the second shop would be told that
    somebody comes to the first."""
    lamp = "the street lamp in front of the house stays dark since last night"
    async with db.work(desk.org_id) as work:
        first = await taking.take(work, desk.request(kind="general", serial=None, description=lamp))
        # 40 metres further, 300 metres further.
        made = [
            await taking.take(
                work,
                Request(
                    channel="hotline",
                    kind="general",
                    description=f"Hello, {lamp}",
                    contact_phone=f"+1 415 555 013{n}",
                    address=f"{n} Next St",
                    lat=30.27 + metres / 111_195,
                    lng=120.13,
                    link_duplicates=True,
                ),
            )
            for n, metres in enumerate((40, 300))
        ]
    assert [one.duplicate_of_id for one in made] == [None, None]
    assert [[near.order_id for near in one.possible] for one in made] == [[first.id], []]
    assert not made[0].possible[0].sure
    assert {reason.code for reason in made[0].possible[0].reasons} == {"text", "neighbour", "time", "place"}


async def test_a_merge_moves_what_belongs_to_the_matter(db: Database, desk: Desk) -> None:
    """The CRM's number would lead to a closed order, and the second caller would never hear of the repair."""
    async with db.work(desk.org_id) as work:
        into = await taking.take(work, desk.request(references=(("crm", "1"),), link_duplicates=False))
        gone = await taking.take(
            work,
            desk.request(
                references=(("crm", "2"), ("erp", "9")), contact_phone="13911112222", link_duplicates=False
            ),
        )
        third = await taking.take(work, desk.request(link_duplicates=False))
        await work.execute("update work_order set duplicate_of_id = $2 where id = $1", third.id, gone.id)
    async with db.work(desk.org_id) as work:
        merged = await merging.merge_orders(work, into.id, gone.id, "same pile")
    assert (merged.references, merged.duplicates) == (2, 1)
    async with db.work(desk.org_id) as work:
        owners = await work.fetch("select reference, order_id from external_reference order by reference")
        row = await work.fetchrow("select state, duplicate_of_id from work_order where id = $1", gone.id)
        assert row is not None
        followed = await work.fetchval("select duplicate_of_id from work_order where id = $1", third.id)
        (reporters,) = await links.reporters_by_order_ids(work, [into.id])
        again = await merging.merge_orders(work, into.id, gone.id)
    timeline = [await kinds(db, desk, one) for one in (into.id, gone.id)]
    assert {row["order_id"] for row in owners} == {into.id}
    assert (row["state"], row["duplicate_of_id"], followed) == ("closed", into.id, into.id)
    assert "+8613911112222" in [one.phone for one in reporters]
    assert (again.references, again.duplicates) == (0, 0)
    assert all("work_order.merged" in one for one in timeline)
    assert str(gone.id) not in await clocks(db, desk)


async def test_what_cannot_be_merged_says_why(db: Database, desk: Desk) -> None:
    """An order would swallow another customer's, or itself, or one whose engineer is on the way."""
    async with db.work(desk.org_id) as work:
        into = await taking.take(work, desk.request(link_duplicates=False))
        gone = await taking.take(work, desk.request(link_duplicates=False))
        linked = await taking.take(work, desk.request(link_duplicates=True))
        stranger = await taking.take(
            work,
            Request(
                channel="hotline",
                kind="general",
                description="Door does not close",
                contact_phone="+1 415 555 2671",
                contact_name="Joe",
                address="1 Main St",
            ),
        )
        over = await taking.take(work, desk.request(link_duplicates=False))
        await work.execute("update work_order set state = 'canceled' where id = $1", over.id)
    for one, other, expected in (
        (into.id, into.id, "merge_self"),
        (linked.id, gone.id, "merge_duplicate"),
        (into.id, stranger.id, "merge_customer"),
    ):
        async with db.work(desk.org_id) as work:
            with pytest.raises(FieldRefused) as refused:
                await merging.merge_orders(work, one, other)
        assert refused.value.details["reason"] == expected
    async with db.work(desk.org_id) as work:
        with pytest.raises(WrongState):
            await merging.merge_orders(work, into.id, over.id)


TWINS = """
import asyncio, json, sys
from uuid import UUID
import msgspec
from callout_backend.wiring import ALL_TABLES, add_hooks
from callout_orders.precheck import taking
from callout_orders.precheck.terms import Request
from callout_store.work import Database

async def main():
    url, org, count = sys.argv[1], UUID(sys.argv[2]), int(sys.argv[3])
    db = Database(url, tables=ALL_TABLES, pool_max=4)
    await db.start()
    add_hooks(db)
    print("ready", flush=True)
    sys.stdin.readline()
    request = Request(channel="chat", kind="general", locale="zh", description="大厅的自动门打不开,已经夹到人了,请尽快来",
                      contact_name="赵敏", contact_phone="139 1111 2222", address="杭州市余杭区文一西路969号")
    made = await asyncio.gather(*(db.run(org, lambda work: taking.take(work, request)) for _ in range(count)))
    await db.stop()
    print(json.dumps([[str(one.id), str(one.duplicate_of_id), str(one.customer_id)] for one in made]))

asyncio.run(main())
"""


async def test_twins_from_several_processes_are_one_matter(
    db: Database, desk: Desk, database_urls: Urls
) -> None:
    """A caller who taps "send" on two phones would become two customers with two engineers on the way."""
    assert database_urls.database is not None
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TWINS, database_urls.database, str(desk.org_id), "4"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = await asyncio.gather(*(asyncio.to_thread(process.communicate) for process in started))
    made = [row for out, _ in answers for row in json.loads(out.strip().splitlines()[-1])]
    assert len(made) == 12
    first = [id_ for id_, of, _ in made if of == "None"]
    assert len(first) == 1
    assert {of for id_, of, _ in made if id_ != first[0]} == {first[0]}
    assert len({customer for _, _, customer in made}) == 1
    assert await clocks(db, desk) == {first[0]}


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


async def test_candidates_are_found_through_indexes(db: Database, desk: Desk, database_urls: Urls) -> None:
    """Every call to the hotline would read a million orders."""
    async with db.work(desk.org_id) as work:
        first = await taking.take(work, desk.request())
        await work.execute(
            """
            insert into work_order select (jsonb_populate_record(o, jsonb_build_object(
                'id', gen_random_uuid(), 'number', 'OLD-' || n, 'serial', 'X-' || n, 'reporter_phone', '+86139' || n,
                'created_at', o.created_at - n * interval '1 hour'))).*
            from work_order o cross join generate_series(1, 5000) n where o.id = $1
            """,
            first.id,
        )
    admin = await asyncpg.connect(database_urls.admin)
    try:
        for table in ("work_order", "site", "contact"):
            await admin.execute(f"analyze {table}")
    finally:
        await admin.close()
    async with db.work(desk.org_id) as work:
        traits = Traits(
            description="充电桩无法启动",
            created_at=datetime.now(UTC),
            customer_id=desk.customer_id,
            site_id=desk.site_id,
            serial="CP-2024-AB000001",
            phone="+8613800138000",
            asset_id=desk.asset_id,
            lat=30.27,
            lng=120.13,
        )
        arguments = search.arguments([traits], settings.Duplicates(), now=work.now)
        (plan,) = json.loads(
            await work.fetchval(f"explain (format json, analyze) {search.CANDIDATES}", *arguments)
        )
    read = [node for node in nodes(plan["Plan"]) if node.get("Relation Name") == "work_order"]
    assert read
    assert all("Index" in node["Node Type"] or "Bitmap" in node["Node Type"] for node in read)
    assert max(node["Actual Rows"] for node in read) <= 100
