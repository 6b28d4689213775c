"""Whoever leaves, the house or a team: what they had in hand and were asked to do reaches somebody else, once."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Coroutine
from typing import Any
from uuid import UUID

import pytest
from desks import Desk, Handling, desk_of, desks

from callout_backend.jobs.drain import drain
from callout_orders.desk import todos
from callout_orders.desk.staff import directory, leaving, people, teams
from callout_orders.desk.staff.directory import Post
from callout_orders.desk.staff.team_terms import MemberGiven, TeamGiven
from callout_orders.desk.todos import NewTodo
from callout_people import users
from callout_store.work import Database, Work


@pytest.fixture(scope="module")
async def desk_db(database_url: str) -> AsyncIterator[Database]:
    async for db in desks(database_url):
        yield db


@pytest.fixture
async def desk(desk_db: Database) -> Desk:
    return await desk_of(desk_db).open()


async def shut_out(desk: Desk, *names: str) -> None:
    for name in names:
        async with desk.as_("adi") as work:
            await users.deactivate(work, desk.people[name])


async def save_team(desk: Desk, *members: str, lead: str | None = None) -> None:
    given = TeamGiven(
        code="care",
        name_en="care",
        name_zh="care",
        time_zone="Asia/Shanghai",
        members=tuple(MemberGiven(user_id=desk.people[name], lead=name == lead) for name in members),
        is_default=True,
    )
    async with desk.as_("adi") as work:
        await teams.save_team(work, given, team_id=desk.team)


async def asked(desk: Desk, matter: str) -> dict[str, str]:
    """Who is asked about a matter, and the state of that, by name."""
    rows = await desk.fetch("select user_id, state from todo where matter = $1 order by id", matter)
    names = {id_: name for name, id_ in desk.people.items()}
    return {names[row["user_id"]]: row["state"] for row in rows}


async def ask(
    desk: Desk, matter: str, *names: str, order: UUID | None = None, kind: str = "sla_warning"
) -> None:
    async with desk.as_("adi") as work:
        data = {"number": "WO-1", "minutes": 3, "milestone": "resolution"}
        await todos.ask(
            work,
            [
                NewTodo(user_id=desk.people[name], kind=kind, matter=matter, order_id=order, data=data)
                for name in names
            ],
        )


async def test_an_order_without_an_answer_goes_on_at_once(desk: Desk) -> None:
    """A customer must not wait until a screen that nobody may open any more counts as silent."""
    await desk.come("ann", "fay")
    order = await desk.order()
    await shut_out(desk, "ann")
    await desk.turn()
    assert await desk.holder(order) == "fay"
    [(_, data)] = await desk.lines(order, "work_order.turned_over")
    assert data["why"] == "left"
    assert await desk.todos(order) == {"fay": "open"}
    # The same firing once more, as after a lease that was lost.
    async with desk.db.work(desk.org) as work:
        assert not await leaving.pass_on(work, desk.people["ann"])
    assert len(await desk.lines(order, "work_order.turned_over")) == 1


async def test_a_supervisor_who_leaves_is_no_dead_end(desk: Desk) -> None:
    """After the last in line nobody looks again: an order that a supervisor had would stay with their empty chair."""
    await desk.come("ann", "sam")
    order = await desk.order()
    await desk.passes_with("ann", "sam", minutes=12)
    await desk.turn()
    assert await desk.holder(order) == "sam"
    await shut_out(desk, "sam")
    await desk.turn()
    assert await desk.holder(order) == "sue"
    assert await desk.todos(order, "open") == {"sue": "open"}


async def test_an_answered_case_goes_to_a_colleague_with_what_it_asks(desk: Desk) -> None:
    """A case whose handler left has an owner of its next step, or nobody ever does it."""
    await desk.come("ann")
    order = await desk.order(kind="general")
    await desk.respond("ann", order, "We are on it")
    [matter] = [
        row["matter"] for row in await desk.fetch("select matter from todo where order_id = $1", order)
    ]
    assert await asked(desk, matter) == {"ann": "open"}
    await shut_out(desk, "ann")
    await desk.turn()
    # Nobody is online: Ben all the same, since nobody looks after what was answered.
    assert await desk.holder(order) == "ben"
    assert await asked(desk, matter) == {"ben": "open"}
    kinds = [kind for kind, _ in await desk.lines(order)]
    assert kinds.count("work_order.handler_set") == kinds.count("todo.passed_on") == 1
    [(_, passed)] = await desk.lines(order, "todo.passed_on")
    assert (passed["fromUserId"], passed["userId"]) == (str(desk.people["ann"]), str(desk.people["ben"]))
    assert "todo.asked" in kinds[kinds.index("todo.passed_on") :]


async def test_what_a_step_asks_comes_along_when_an_order_is_handed_on(desk: Desk) -> None:
    """Who gets an order would otherwise not learn what is to be done, and who gave it away is asked for it for ever."""
    await desk.come("ann", "ben")
    order = await desk.order(kind="general")
    await desk.respond("ann", order)
    [matter] = [
        row["matter"] for row in await desk.fetch("select matter from todo where order_id = $1", order)
    ]
    taken = await desk.take("sam", order, (await desk.row(order)).epoch)
    assert await asked(desk, matter) == {"sam": "open"}
    await desk.hand("sam", order, taken.epoch, user_id=desk.people["ben"])
    assert await asked(desk, matter) == {"ben": "open"}


async def test_whoever_else_was_asked_is_enough(desk: Desk) -> None:
    """Both supervisors have it: when one leaves the other is not asked a second time."""
    order = await desk.order()
    await ask(desk, "m", "sam", "sue", order=order)
    await shut_out(desk, "sam")
    await desk.turn()
    assert await asked(desk, "m") == {"sam": "canceled", "sue": "open"}
    warned = [data for _, data in await desk.lines(order, "todo.asked") if data["kind"] == "sla_warning"]
    assert len(warned) == 2


async def test_two_leave_at_once_and_one_is_asked(desk: Desk) -> None:
    """Each of two jobs that takes the other for somebody who has it would leave it to nobody."""
    order = await desk.order()
    await ask(desk, "m", "sam", "sue", order=order)
    await asyncio.gather(shut_out(desk, "sam"), shut_out(desk, "sue"))

    async def job(name: str) -> None:
        async with desk.db.work(desk.org) as work:
            await leaving.pass_on(work, desk.people[name])

    await asyncio.gather(*(job(name) for name in ("sam", "sue", "sam", "sue")))
    found = await asked(desk, "m")
    assert found.pop("adi") == "open"
    assert set(found.values()) <= {"canceled"}
    assert len(await desk.lines(order, "todo.passed_on")) == 1


async def test_who_was_shut_out_long_ago_is_not_enough(desk: Desk) -> None:
    """A to-do of somebody who left before there was anybody to pass it on must not count as asked of a colleague."""
    order = await desk.order()
    await ask(desk, "m", "sam", "sue", order=order)
    async with desk.as_("adi") as work:
        await work.execute("update app_user set active = false where id = $1", desk.people["sue"])
    await shut_out(desk, "sam")
    await desk.turn()
    assert (await asked(desk, "m"))["adi"] == "open"


async def test_one_who_settled_theirs_is_asked_again_where_there_is_nobody_else(desk: Desk) -> None:
    """A to-do that was put aside because a colleague had it is live again when that colleague leaves."""
    order = await desk.order()
    await ask(desk, "m", "sam", "sue", order=order)
    async with desk.as_("sue") as work:
        id_ = await work.fetchval("select id from todo where user_id = $1", desk.people["sue"])
        await todos.finish(work, id_, desk.people["sue"])
    await shut_out(desk, "sam")
    await desk.turn()
    assert await asked(desk, "m") == {"sam": "canceled", "sue": "open"}


async def test_what_is_asked_of_somebody_who_has_left(desk: Desk) -> None:
    """A configuration that still names them, or a form that was open for an hour, must not ask the void."""
    order = await desk.order()
    await shut_out(desk, "sam")
    await desk.turn()
    await ask(desk, "m", "sam", order=order)
    await desk.turn()
    assert await asked(desk, "m") == {"sue": "open"}
    assert len(await desk.lines(order, "todo.passed_on")) == 1


async def test_asked_a_moment_before_they_are_shut_out(desk: Desk) -> None:
    """Whoever shuts them out does not see what was not committed yet: they wait, and then it is passed on."""
    order = await desk.order()
    async with desk.as_("adi") as work:
        new = NewTodo(user_id=desk.people["sam"], kind="step", matter="m", order_id=order)
        await todos.ask(work, [new])
        other = beside(shut_out(desk, "sam"))
        await waits(work)
    await other
    await desk.turn()
    assert await asked(desk, "m") == {"sue": "open"}


async def test_asked_a_moment_after_they_are_shut_out(desk: Desk) -> None:
    """What is asked while they are being shut out, and written after the worker passed on what they had, is passed on too."""
    order = await desk.order()
    has_asked, may_commit = asyncio.Event(), asyncio.Event()

    async def ask_slowly() -> None:
        async with desk.as_("adi") as work:
            new = NewTodo(user_id=desk.people["sam"], kind="step", matter="m", order_id=order)
            await todos.ask(work, [new])
            has_asked.set()
            await may_commit.wait()

    async with desk.as_("adi") as work:
        await users.deactivate(work, desk.people["sam"])
        other = beside(ask_slowly())
        await waits(work)
    await has_asked.wait()
    await drain(desk.db, Handling())
    may_commit.set()
    await other
    await desk.turn()
    assert await asked(desk, "m") == {"sue": "open"}


def beside(act: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run it beside the transaction that is open here."""
    return asyncio.create_task(act, context=contextvars.Context())


async def waits(work: Work) -> None:
    """Until somebody waits for a row that is locked here."""
    for _ in range(500):
        if await work.fetchval("select count(*) from pg_locks where not granted"):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


async def test_a_post_goes_with_its_holder(desk: Desk) -> None:
    """What was asked of the holder of a post is asked of whoever holds it now, and not of a supervisor."""
    order = await desk.order(kind="general")
    async with desk.as_("adi") as work:
        for name in ("gus", "ben"):
            await directory.set_posts(work, desk.people[name], [Post(post="finance")])
        step = await work.fetchval("select id from order_step where order_id = $1 order by n limit 1", order)
        await work.execute("update order_step set owner = 'post:finance' where id = $1", step)
    await ask(desk, f"flow.step:{step}", "gus", order=order, kind="flow.step")
    await ask(desk, f"flow.step:{step}:late", "gus", "sam", order=order, kind="flow.late")
    await shut_out(desk, "gus")
    await desk.turn()
    assert await asked(desk, f"flow.step:{step}") == {"ben": "open"}
    assert await asked(desk, f"flow.step:{step}:late") == {"gus": "canceled", "sam": "open"}


async def test_rather_one_who_did_not_hear_of_it(desk: Desk) -> None:
    """Who settled theirs is not asked a second time while a colleague was not asked at all."""
    order = await desk.order(kind="general")
    first, second = sorted(("ann", "ben"), key=lambda name: desk.people[name])
    async with desk.as_("adi") as work:
        for name in ("gus", first, second):
            await directory.set_posts(work, desk.people[name], [Post(post="finance")])
        step = await work.fetchval("select id from order_step where order_id = $1 order by n limit 1", order)
        await work.execute("update order_step set owner = 'post:finance' where id = $1", step)
    matter = f"flow.step:{step}"
    await ask(desk, matter, "gus", first, order=order, kind="flow.step")
    async with desk.as_(first) as work:
        id_ = await work.fetchval("select id from todo where user_id = $1", desk.people[first])
        await todos.finish(work, id_, desk.people[first])
    await shut_out(desk, "gus")
    await desk.turn()
    assert await asked(desk, matter) == {first: "done", second: "open"}


async def test_without_an_order_the_desk_is_asked(desk: Desk) -> None:
    """A conversation that waits for a person has no order yet whose people could be asked."""
    await ask(desk, "draft", "ann", kind="intake.waits")
    await shut_out(desk, "ann")
    await desk.turn()
    roles = await desk.fetch(
        "select u.role from todo d join app_user u on u.id = d.user_id where d.matter = 'draft' and d.state = 'open'"
    )
    assert [row["role"] for row in roles] == ["dispatcher"]


async def test_nobody_who_was_shut_out_is_around_an_order(desk: Desk) -> None:
    """Notices to them arrive nowhere, and a step whose owner they are is nobody's."""
    await desk.come("ann")
    order = await desk.order(kind="general")
    await desk.visit(desk.phones[0], order)
    await shut_out(desk, "ann")
    async with desk.as_("adi") as work:
        await users.deactivate(work, desk.phones[0].actor.user_id)
        await users.deactivate(work, desk.dispatcher.user_id)
        around = (await people.around(work, [order]))[order]
        owned = await people.holders_of(work, [(one, order) for one in ("handler", "engineer", "initiator")])
    gone = {desk.people["ann"], desk.phones[0].actor.user_id, desk.dispatcher.user_id}
    assert not gone & {around.initiator, around.handler, *around.next, *around.supervisor}
    assert [set(one) for one in owned] == [{desk.people["sam"], desk.people["sue"]}] * 3


async def test_who_is_taken_out_of_a_team_leaves_its_unanswered_orders(desk: Desk) -> None:
    """They answer for other orders now; what they answered already they see through, and what they took by force too."""
    await desk.come("ann", "fay")
    answered, waiting = await desk.order(), await desk.order()
    await desk.respond("ann", answered)
    await save_team(desk, "ben")
    await desk.turn()
    assert await desk.holder(answered) == "ann"
    assert await desk.holder(waiting) == "fay"
    # Fay has it by her duty, and no member's part is needed for that.
    await save_team(desk, "ben", "fay")
    await save_team(desk, "ben")
    await desk.turn()
    assert await desk.holder(waiting) == "fay"


async def test_who_leads_no_more_is_not_asked_as_lead(desk: Desk) -> None:
    """The next lead learns what burns in the team; the one before, who still answers, keeps what they are asked as that."""
    await save_team(desk, "ann", "ben", lead="ben")
    order = await desk.order(kind="general")
    await desk.respond("ben", order)
    async with desk.as_("ben") as work:
        row = await work.fetchrow("select id, matter from todo where order_id = $1", order)
        assert row is not None
        await todos.acknowledge(work, row["id"], desk.people["ben"])
    await ask(desk, "m", "ben", order=order)
    await save_team(desk, "ann", "ben", lead="ann")
    await desk.turn()
    assert await asked(desk, "m") == {"ann": "open"}
    assert await asked(desk, row["matter"]) == {"ben": "acknowledged"}


async def test_whoever_is_back_in_the_team_keeps_it(desk: Desk) -> None:
    """A slip that was mended before anybody looked must not cost them their orders."""
    await desk.come("ann", "fay")
    order = await desk.order()
    await save_team(desk, "ben")
    await save_team(desk, "ann", "ben")
    await desk.turn()
    assert await desk.holder(order) == "ann"


async def test_whoever_is_let_in_again_keeps_everything(desk: Desk) -> None:
    """An account that was shut by mistake, and opened before anybody looked, has lost nothing."""
    await desk.come("ann", "fay")
    order = await desk.order()
    await shut_out(desk, "ann")
    async with desk.as_("adi") as work:
        await work.execute("update app_user set active = true where id = $1", desk.people["ann"])
    await desk.turn()
    assert await desk.holder(order) == "ann"


async def test_many_orders_leave_in_batches(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody with more orders than a transaction should hold leaves none of them behind."""
    monkeypatch.setattr(leaving, "BATCH", 2)
    await desk.come("ann")
    made = [await desk.order() for _ in range(5)]
    for order in made[:3]:
        await desk.respond("ann", order)
    await shut_out(desk, "ann")
    await desk.turn()
    assert {await desk.holder(order) for order in made[:3]} == {"ben"}
    assert {await desk.holder(order) for order in made[3:]} <= {"sam", "sue"}


async def test_another_organisation_is_left_alone(desk: Desk, desk_db: Database) -> None:
    """A timer of one tenant must touch nobody's to-dos next door."""
    other = await desk_of(desk_db).open()
    order = await other.order()
    await ask(other, "m", "sam", order=order)
    await ask(desk, "m", "sam")
    await shut_out(desk, "sam")
    await desk.turn()
    assert await asked(other, "m") == {"sam": "open"}
