"""Answers of the desk in corners: who had it, who is told, what counts for whom, and what happens at the same moment."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from desks import Desk, Handling, desk_of, desks

from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import restore_deadline, settle_sla
from callout_backend.wiring import add_hooks
from callout_orders import orders
from callout_orders.desk import queue
from callout_orders.desk.refusals import HandlerChanged
from callout_orders.desk.staff import directory, teams
from callout_orders.desk.staff.team_terms import DutyGiven
from callout_orders.desk.unanswered import fallback, standing_in
from callout_orders.precheck.alike import links
from callout_orders.sla import milestones
from callout_orders.sla.extensions import MOVED_CHANNEL
from callout_store.errors import LimitExceeded, WrongState
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture(scope="module")
async def desk_db(database_url: str) -> AsyncIterator[Database]:
    async for db in desks(database_url):
        yield db


@pytest.fixture
async def desk(desk_db: Database) -> Desk:
    return await desk_of(desk_db).open()


async def mean(desk: Desk, name: str) -> tuple[int, float | None]:
    """How many first answers somebody gave, and how fast on average."""
    async with desk.db.work(desk.org) as work:
        found = (await directory.response_times(work, [desk.people[name]], days=7))[desk.people[name]]
    return found.answers, found.mean_seconds


# ---------------------------------------------------------------- who has it


async def test_who_answers_what_nobody_had_is_not_robbed_of_it(desk: Desk) -> None:
    """A supervisor who saw "nobody has it" a moment ago must learn that Ben answered, and not call the customer again."""
    order = await desk.order()
    seen = (await desk.row(order)).epoch
    await desk.respond("ben", order)
    with pytest.raises(HandlerChanged) as changed:
        await desk.take("sam", order, seen)
    assert changed.value.details["handlerId"] == desk.people["ben"]
    row = await desk.row(order)
    assert (row.handler_name, row.by_what, row.handler_since) == ("Ben", "taken", desk.clock.now())


async def test_answering_what_a_phone_answered_is_in_the_journal(desk: Desk) -> None:
    """An order that changes hands without a line is a quarrel without a witness."""
    order = await desk.order()
    async with desk.db.work(desk.org) as work:
        await milestones.responded(work, order)
    assert not (await desk.respond("ben", order)).first
    [(_, told)] = await desk.lines(order, "work_order.answered")
    assert told["handlerId"] == str(desk.people["ben"])
    assert await desk.holder(order) == "ben"


async def test_taken_over_while_it_is_answered(desk: Desk) -> None:
    """Both acts count, whichever is first: one answer, one new handler, and nobody is asked for an answer any more."""
    for _ in range(5):
        await desk.come("ann", "fay")
        order = await desk.order()
        await desk.passes_with("ann", "fay", minutes=12)
        await desk.turn()
        epoch = (await desk.row(order)).epoch
        await asyncio.gather(desk.respond("fay", order), desk.take("sam", order, epoch))
        await desk.turn()
        assert await desk.holder(order) == "sam"
        kinds = [kind for kind, _ in await desk.lines(order)]
        assert kinds.count("work_order.responded") == kinds.count("work_order.taken_over") == 1
        assert await desk.todos(order, "open") == {}
        assert await desk.value("select state from timer where key = $1", f"desk:{order}") != "armed"


async def test_a_flag_is_down_once_somebody_answered(desk: Desk) -> None:
    """A red mark that stays on what is done hides those that are not."""
    await desk.come("ann")
    order = await desk.order()
    await desk.passes_with("ann", minutes=12)
    await desk.turn()
    flagged = queue.DeskFilter(flagged=True)
    async with desk.db.work(desk.org) as work:
        assert [one.order_id for one in (await queue.desk(work, flagged)).items] == [order]
    assert (await desk.row(order)).flag is not None
    await desk.respond("sam", order)
    async with desk.db.work(desk.org) as work:
        assert (await queue.desk(work, flagged)).items == []
    assert (await desk.row(order)).flag is None


async def test_what_was_answered_is_handed_to_somebody_even_at_night(desk: Desk) -> None:
    """Nobody watches an answered order: handed to a team whose people are at home it would be nobody's for good."""
    east = await desk.make_team("east", ("gus",), kinds=("production",))
    await desk.come("ann")
    order = await desk.order()
    await desk.respond("ann", order)
    made = await desk.hand("sam", order, (await desk.row(order)).epoch, team_id=east)
    assert (made.team_id, made.handler_id) == (east, desk.people["gus"])


async def test_all_are_offline(desk: Desk) -> None:
    """At three in the morning, with nobody there at all, the supervisors have it, are asked, and it is flagged: once."""
    order = await desk.order()
    await desk.turn(3)
    row = await desk.row(order)
    assert (row.by_what, row.flag) == ("supervisor", "nobody_on_duty")
    assert row.handler_name in ("Sam", "Sue")
    assert await desk.todos(order) == {"sam": "open", "sue": "open"}
    desk.passes(hours=3)
    await desk.turn(3)
    assert len(await desk.lines(order, "work_order.turned_over")) == 1
    # Whoever comes first in the morning may answer it.
    assert (await desk.respond("ann", order)).first


@pytest.mark.parametrize("ends", ("merged", "canceled"))
async def test_what_is_over_asks_nobody_for_an_answer(desk: Desk, ends: str) -> None:
    """Whoever was asked about an order that turned out to be a mistake, or another one's repetition, would answer in vain."""
    await desk.come("ann", "sam")
    first, second = await desk.order(), await desk.order()
    await desk.passes_with("ann", "sam", minutes=12)
    await desk.turn()
    # Nobody looks again: it stays with the supervisors.
    await desk.passes_with("ann", "sam", minutes=2)
    await desk.turn()
    assert await desk.todos(second, "open") == {"sam": "open", "sue": "open"}
    async with desk.as_("sam") as work:
        if ends == "merged":
            await links.merge(work, first, second)
        else:
            await orders.cancel_order(work, second, "twice")

    class Settling(Handling):
        def get(self, channel: str, default: Any = None) -> Any:
            return settle_sla if channel == milestones.SETTLE_CHANNEL else super().get(channel, default)

    await drain(desk.db, Settling())
    assert await desk.todos(second, "open") == {}
    assert await desk.todos(first, "open") == {"sam": "open", "sue": "open"}


# ---------------------------------------------------------------- rights


async def test_duty_over_midnight_and_on_a_holiday(desk_db: Database) -> None:
    """A night begins on one day and ends on the next, and a holiday has people of its own: the right is theirs, then and only
    then."""
    desk = await desk_of(desk_db).open(duty=False)
    # Friday to Saturday in Shanghai; Saturday is a holiday on which Gus has the day and nobody the night.
    friday = datetime(2027, 1, 1, 12, 0, tzinfo=UTC)
    holiday = friday.date() + timedelta(days=1)
    async with desk.as_("adi") as work:
        await teams.set_duty(
            work,
            desk.team,
            [
                *(
                    DutyGiven(user_id=desk.people["fay"], weekday=day, starts="22:00", ends="06:00")
                    for day in range(7)
                ),
                DutyGiven(user_id=desk.people["gus"], on_date=holiday, starts="08:00", ends="20:00"),
            ],
        )
    hours = {
        "Friday 22:00": (friday + timedelta(hours=2), ["Fay"]),
        "Saturday 01:00": (friday + timedelta(hours=5), ["Fay"]),
        "Saturday 06:00": (friday + timedelta(hours=10), []),
        "Saturday 12:00": (friday + timedelta(hours=16), ["Gus"]),
        "Saturday 23:00": (friday + timedelta(hours=27), []),
        "Sunday 01:00": (friday + timedelta(hours=29), []),
        "Sunday 23:00": (friday + timedelta(hours=51), ["Fay"]),
    }
    found = {}
    async with desk.db.work(desk.org) as work:
        for hour, (at, _) in hours.items():
            holders = await standing_in.may_act(work, desk.team, at=at)
            found[hour] = [one.name for one in holders if one.by == "fallback"]
    assert found == {hour: names for hour, (_, names) in hours.items()}


async def test_a_moved_deadline_comes_back_once_however_many_look(desk: Desk, database_url: str) -> None:
    """Two workers at the same firing, and it delivered again: one line, one deadline, and the right to move it once more."""
    await desk.come("ann")
    order = await desk.order()
    due = (await desk.row(order)).due_at
    async with desk.as_("fay") as work:
        await fallback.move_deadline(
            work,
            order,
            milestone="first_response",
            minutes=60,
            reason="storm",
            until=work.now + timedelta(minutes=5),
        )
    desk.passes(minutes=6)
    async with desk.db.work(desk.org) as work:
        await work.execute(
            "update timer set due_at = now() - interval '1 second' where key like 'sla-moved:%'"
        )

    class Only(dict[str, Any]):
        def get(self, channel: str, default: Any = None) -> Any:
            return restore_deadline if channel == MOVED_CHANNEL else passed

    workers = [Database(database_url, clock=desk.clock) for _ in range(2)]
    for worker in workers:
        await worker.start()
        add_hooks(worker)
    try:
        for _ in range(2):
            await asyncio.gather(*(drain(worker, Only()) for worker in workers))
            async with desk.db.work(desk.org) as work:
                await work.execute("update outbox set state = 'ready' where channel = $1", MOVED_CHANNEL)
        await asyncio.gather(*(drain(worker, Only()) for worker in workers))
    finally:
        for worker in workers:
            await worker.stop()
    assert (await desk.row(order)).due_at == due
    assert len(await desk.lines(order, "work_order.deadline_restored")) == 1
    async with desk.as_("fay") as work:
        assert not await fallback.restore_deadline(work, order, milestone="first_response")
    # What is over by the first deadline is missed: nobody moves it once it is answered.
    await desk.respond("ann", order)
    with pytest.raises(WrongState):
        async with desk.as_("fay") as work:
            await fallback.move_deadline(
                work, order, milestone="first_response", minutes=5, reason="too late"
            )


async def passed(db: Database, item: Any) -> None:
    return None


async def test_a_worker_whose_clock_is_behind_does_not_spin(desk: Desk) -> None:
    """The database's clock fires, the worker's judges: set again for a time that is over by the other clock, a timer would
    fire thousands of times until both agree."""
    await desk.come("ann")
    order = await desk.order()
    key = f"desk:{order}"
    # A minute before the mark by the worker's clock; the database is far past it.
    await desk.passes_with("ann", minutes=11)
    desk.clock.set(desk.clock.now() - timedelta(days=1))
    async with desk.db.work(desk.org) as work:
        await work.execute(
            """
            update order_watch set handler_since = handler_since - interval '1 day' where order_id = $1
            """,
            order,
        )
        await work.execute("update timer set due_at = now() - interval '1 second' where key = $1", key)
    async with asyncio.timeout(30):
        await drain(desk.db, Handling())
    assert await desk.value("select state = 'armed' and due_at > now() from timer where key = $1", key)


async def test_a_team_has_so_many_territories_at_most(desk: Desk) -> None:
    """A form that sends ten thousand rows is told how many there may be, in its own language."""
    with pytest.raises(LimitExceeded) as refused:
        await desk.make_team("vast", (), territory_ids=(new_id(),) * 501)
    assert (refused.value.details["limit"], refused.value.path) == (500, "territoryIds")
    assert "小组服务区域数" in refused.value.message("zh")


# ---------------------------------------------------------------- how fast people answer


async def test_who_answers_for_others_was_not_slow(desk: Desk) -> None:
    """Ben, who answers in Ann's place after ten minutes of hers, would be the slowest of the house for his help."""
    await desk.come("ann")
    order = await desk.order()
    await desk.passes_with("ann", minutes=10)
    await desk.respond("ben", order)
    assert await mean(desk, "ben") == (1, None)
    assert await mean(desk, "ann") == (0, None)


async def test_what_nobody_had_counts_from_when_it_came_in(desk: Desk) -> None:
    """In a house without teams orders are everybody's, and the customer waits all the same."""
    order = await desk.order()
    desk.passes(minutes=3)
    await desk.respond("ben", order)
    assert await mean(desk, "ben") == (1, pytest.approx(180, abs=1))


async def test_lost_and_answered_all_the_same_counts_in_full(desk: Desk) -> None:
    """Whoever lets an order go on to the fallback and answers it afterwards was not there in no time."""
    await desk.come("ann", "fay")
    order = await desk.order()
    await desk.passes_with("ann", "fay", minutes=12)
    await desk.turn()
    assert await desk.holder(order) == "fay"
    await desk.passes_with("ann", "fay", minutes=0.5)
    await desk.respond("ann", order)
    assert await mean(desk, "ann") == (1, pytest.approx(750, abs=1))
    assert await mean(desk, "fay") == (0, None)


async def test_a_further_answer_is_none(desk: Desk) -> None:
    """Talking on with the customer, and an answer to a case that was opened again, are no first answers."""
    await desk.come("ann")
    order = await desk.order()
    desk.passes(minutes=2)
    await desk.respond("ann", order, "We are on it")
    desk.passes(hours=5)
    await desk.respond("ann", order, "Done?")
    assert await mean(desk, "ann") == (1, pytest.approx(120, abs=1))


async def test_an_earlier_answer_that_is_told_later_takes_its_place(desk: Desk) -> None:
    """The engineer rang from a cellar at five past and the phone said so at ten past: the desk's answer was the second."""
    await desk.come("ann")
    order = await desk.order()
    rang = desk.clock.now() + timedelta(minutes=5)
    await desk.passes_with("ann", minutes=8)
    await desk.respond("ann", order)
    assert (await mean(desk, "ann"))[0] == 1
    async with desk.as_("ben") as work:
        assert await milestones.responded(work, order, rang)
    assert await mean(desk, "ann") == (0, None)
    assert (await mean(desk, "ben"))[0] == 1


async def test_each_of_two_duplicates_counts_for_itself(desk: Desk) -> None:
    """A repetition of an order is answered with the first, and no answer is counted twice."""
    await desk.come("ann")
    first: UUID = await desk.order()
    await desk.order(duplicate_of_id=first)
    desk.passes(minutes=1)
    await desk.respond("ann", first)
    assert await mean(desk, "ann") == (1, pytest.approx(60, abs=1))
