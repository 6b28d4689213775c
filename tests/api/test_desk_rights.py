"""The fallback's three rights (R4): who has them, when, and what happens when two use them at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from desks import Desk, desk_of, desks

from callout_backend.jobs.handlers import restore_deadline
from callout_orders.desk.refusals import FallbackOnly, HandlerChanged
from callout_orders.desk.unanswered import fallback
from callout_people.principals import Role
from callout_people.users import NewUser, create_users
from callout_store.errors import BadField, BadFields, NotFound, WrongState
from callout_store.work import Actor, Database

Act = Callable[[Desk, Actor, UUID, int], Awaitable[Any]]


@pytest.fixture(scope="module")
async def desk_db(database_url: str) -> AsyncIterator[Database]:
    async for db in desks(database_url):
        yield db


@pytest.fixture
async def desk(desk_db: Database) -> Desk:
    return await desk_of(desk_db).open()


async def take(desk: Desk, actor: Actor, order: UUID, epoch: int) -> Any:
    async with desk.db.work(desk.org, actor=actor) as work:
        return await fallback.take_over(work, order, epoch=epoch, reason="because")


async def hand(desk: Desk, actor: Actor, order: UUID, epoch: int) -> Any:
    async with desk.db.work(desk.org, actor=actor) as work:
        return await fallback.hand_on(work, order, epoch=epoch, reason="because", user_id=desk.people["ben"])


async def move(desk: Desk, actor: Actor, order: UUID, epoch: int, **more: Any) -> Any:
    values = {"milestone": "first_response", "minutes": 10, "reason": "because", **more}
    async with desk.db.work(desk.org, actor=actor) as work:
        return await fallback.move_deadline(work, order, **values)


ACTS: dict[str, Act] = {"take_over": take, "hand_on": hand, "move_deadline": move}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(
    ("who", "allowed"),
    (
        ("ann", False),  # has the order, and is not on duty
        ("ben", False),  # of the team
        ("fay", True),  # first on duty
        ("gus", True),  # second on duty
        ("sam", True),
        ("adi", True),
        (Role.ENGINEER, False),
        (Role.CUSTOMER_CONTACT, False),
        (Role.DISPATCHER, False),  # of the office, of no team
        (Role.SUPERVISOR, True),
        (Role.ADMIN, True),
    ),
)
async def test_who_has_the_rights(desk: Desk, who: Any, allowed: bool, act: str) -> None:
    """A right that anybody has is none; one that the fallback lacks leaves the order to be late."""
    await desk.come("ann")
    order = await desk.order()
    if isinstance(who, Role):
        async with desk.db.work(desk.org) as work:
            email = f"x-{who.value}-{desk.org.hex}@example.org"
            [user] = await create_users(work, [NewUser(email=email, name="X", role=who)])
        actor = Actor(user_id=user, role=who.value)
    else:
        actor = desk.actor(who)
    before = await desk.lines(order)
    if allowed:
        await ACTS[act](desk, actor, order, (await desk.row(order)).epoch)
        assert len(await desk.lines(order)) > len(before)
        return
    with pytest.raises(FallbackOnly) as refused:
        await ACTS[act](desk, actor, order, 1)
    assert [name for _, name, _ in refused.value.holders][:2] == ["Fay", "Gus"]
    assert {holder["name"] for holder in refused.value.extensions()["holders"]} >= {"Sam", "Sue", "Adi"}
    assert "Fay" in refused.value.message("zh")
    assert await desk.lines(order) == before


async def test_the_right_goes_with_the_hour(desk_db: Database) -> None:
    """Whoever was on duty last night must not move today's deadlines."""
    desk = await desk_of(desk_db).open(duty=False)
    await desk.come("ann")
    # 08:00 to 20:00 in Shanghai is 00:00 to 12:00 UTC.
    await desk.on_duty(desk.team, ("fay",), "08:00", "20:00")
    day = desk.clock.now().date()
    desk.clock.set(desk.clock.now().replace(year=day.year, hour=11, minute=50, second=0))
    await desk.come("ann")
    order = await desk.order()
    assert (await desk.take("fay", order, (await desk.row(order)).epoch)).handler_id == desk.people["fay"]
    desk.passes(minutes=11)
    with pytest.raises(FallbackOnly):
        await desk.hand("fay", order, (await desk.row(order)).epoch, user_id=desk.people["ben"])


async def test_a_fallback_of_another_team_has_no_right(desk: Desk) -> None:
    """Two teams would pull one order to and fro."""
    other = await desk.make_team("east", ("ben",), kinds=("production",))
    await desk.on_duty(other, ("ben",))
    await desk.come("ann")
    order = await desk.order(kind="repair")
    with pytest.raises(FallbackOnly):
        await desk.take("ben", order, (await desk.row(order)).epoch)


async def test_a_lead_supervises_their_own_team(desk: Desk) -> None:
    """A team's lead is its supervisor, whatever their role elsewhere."""
    from callout_orders.desk.staff import teams
    from callout_orders.desk.staff.team_terms import MemberGiven, TeamGiven

    members = (MemberGiven(user_id=desk.people["ann"]), MemberGiven(user_id=desk.people["ben"], lead=True))
    async with desk.as_("adi") as work:
        await teams.save_team(
            work,
            TeamGiven(
                code="care", name_en="c", name_zh="c", time_zone="UTC", members=members, is_default=True
            ),
            team_id=desk.team,
        )
    await desk.come("ann")
    order = await desk.order()
    assert (await desk.take("ben", order, 1)).handler_id == desk.people["ben"]


async def test_every_use_is_audited(desk: Desk) -> None:
    """Force without a trace would be a quarrel without an end."""
    await desk.come("ann", "ben")
    order = await desk.order(reported_at=None)
    first = await desk.holder(order)
    taken = await desk.take("fay", order, 1, "the customer called twice")
    await desk.hand("sam", order, taken.epoch, user_id=desk.people["ben"])
    rows = await desk.fetch(
        "select kind, actor_id, actor_role from journal where order_id = $1 and kind = any($2) order by id",
        order,
        ["work_order.taken_over", "work_order.handed_on"],
    )
    assert [(row["actor_id"], row["actor_role"]) for row in rows] == [
        (desk.people["fay"], "dispatcher"),
        (desk.people["sam"], "supervisor"),
    ]
    [(_, one)] = await desk.lines(order, "work_order.taken_over")
    [(_, two)] = await desk.lines(order, "work_order.handed_on")
    assert first is not None
    assert (one["why"], one["right"]) == ("the customer called twice", "fallback")
    assert one["before"]["handlerId"] == str(desk.people[first])
    assert one["after"]["handlerId"] == str(desk.people["fay"])
    assert (two["right"], two["before"]["handlerId"]) == ("supervisor", str(desk.people["fay"]))
    assert (two["from"], two["to"]) == (str(desk.people["fay"]), str(desk.people["ben"]))


async def test_two_supervisors_at_once_one_wins_and_the_other_learns_who(desk: Desk) -> None:
    """Two who each believe to have the order call the customer twice, and curse each other."""
    await desk.come("ann")
    order = await desk.order()
    outcomes = await asyncio.gather(
        desk.take("sam", order, 1), desk.take("sue", order, 1), return_exceptions=True
    )
    [won] = [one for one in outcomes if isinstance(one, fallback.Handed)]
    [lost] = [one for one in outcomes if isinstance(one, HandlerChanged)]
    name = {desk.people["sam"]: "Sam", desk.people["sue"]: "Sue"}[won.handler_id]  # type: ignore[index]
    assert name in lost.message("en")
    assert name in lost.message("zh")
    assert lost.details["handlerId"] == won.handler_id
    assert lost.details["epoch"] == won.epoch
    assert len(await desk.lines(order, "work_order.taken_over")) == 1
    assert (await desk.row(order)).handler_id == won.handler_id


async def test_a_take_over_and_a_turn_over_at_once_leave_one_handler(desk: Desk) -> None:
    """The worker's hand and the supervisor's must not both be on the order."""
    for _ in range(5):
        await desk.come("ann", "fay")
        order = await desk.order()
        await desk.passes_with("ann", "fay", minutes=12)
        taken, _ = await asyncio.gather(desk.take("sam", order, 1), desk.turn(), return_exceptions=True)
        await desk.turn()
        changes = [kind for kind, _ in await desk.lines(order) if kind.endswith("_over")]
        row = await desk.row(order)
        if isinstance(taken, HandlerChanged):
            assert (changes, row.handler_name) == (["work_order.turned_over"], "Fay")
        else:
            assert (changes, row.handler_name) == (["work_order.taken_over"], "Sam")
        assert (
            await desk.value("select count(*) from todo where order_id = $1 and state = 'open'", order) == 1
        )
        await desk.respond("sam", order)


async def test_taking_twice_changes_nothing(desk: Desk) -> None:
    """A button that was pressed twice, or an answer that was lost on the way, is not a second act."""
    await desk.come("ann")
    order = await desk.order()
    one = await desk.take("sam", order, 1)
    two = await desk.take("sam", order, 1)
    assert one == two
    assert len(await desk.lines(order, "work_order.taken_over")) == 1


async def test_handed_to_another_team_finds_somebody_there(desk: Desk) -> None:
    """Reassigning is one step: nobody must look up who is free over there."""
    other = await desk.make_team("east", ("ben",), kinds=("production",))
    await desk.come("ann", "ben")
    order = await desk.order()
    made = await desk.hand("fay", order, 1, team_id=other)
    assert (made.team_id, made.handler_id) == (other, desk.people["ben"])
    # Their own fallback stands in for it from now on, not ours.
    with pytest.raises(FallbackOnly):
        await desk.take("fay", order, made.epoch)


async def test_handed_on_counts_anew(desk: Desk) -> None:
    """Who is given an order at the last minute has a step's time, and the line behind them is whole again."""
    await desk.come("ann", "ben", "fay", "gus")
    order = await desk.order()
    await desk.passes_with("ann", "ben", "fay", "gus", minutes=13)
    await desk.turn()
    assert await desk.holder(order) == "fay"
    await desk.hand("fay", order, (await desk.row(order)).epoch, user_id=desk.people["ben"])
    assert await desk.todos(order, "open") == {"ben": "open"}
    await desk.passes_with("ann", "ben", "fay", "gus", minutes=1.1)
    await desk.turn()
    assert await desk.holder(order) == "fay"


async def test_a_moved_deadline_ends_by_itself(desk: Desk) -> None:
    """A deadline that stays moved is a promise that was broken in silence."""
    await desk.come("ann")
    order = await desk.order()
    due = (await desk.row(order)).due_at
    async with desk.as_("fay") as work:
        moved = await fallback.move_deadline(
            work,
            order,
            milestone="first_response",
            minutes=60,
            reason="storm",
            until=work.now + timedelta(minutes=5),
        )
    assert (await desk.row(order)).due_at == due + timedelta(minutes=60)
    [(_, told)] = await desk.lines(order, "work_order.deadline_moved")
    assert (told["reason"], told["minutes"]) == ("storm", 60)
    desk.passes(minutes=6)
    async with desk.db.work(desk.org) as work:
        await work.execute(
            "update timer set due_at = now() - interval '1 second' where key like 'sla-moved:%'"
        )
    from callout_backend.jobs.drain import drain
    from callout_orders.sla.extensions import MOVED_CHANNEL

    class Only(dict[str, Any]):
        def get(self, channel: str, default: Any = None) -> Any:
            return restore_deadline if channel == MOVED_CHANNEL else _passed

    await drain(desk.db, Only())
    assert moved.original_due_at == due
    assert (await desk.row(order)).due_at == due
    assert len(await desk.lines(order, "work_order.deadline_restored")) == 1


async def _passed(db: Database, item: Any) -> None:
    return None


@pytest.mark.parametrize(
    ("minutes", "hours", "paths"),
    (
        (0, None, {"minutes"}),
        (121, None, {"minutes"}),  # the team's limit
        (10, 25, {"until"}),  # longer than the team allows
        (10, -1, {"until"}),  # over already
        (-5, 30, {"minutes", "until"}),  # both at once
    ),
)
async def test_how_far_and_how_long_is_limited(
    desk: Desk, minutes: int, hours: float | None, paths: set[str]
) -> None:
    """Without a limit the right to move a deadline is the right to have none."""
    await desk.come("ann")
    order = await desk.order()
    until = None if hours is None else desk.clock.now() + timedelta(hours=hours)
    with pytest.raises((BadField, BadFields)) as refused:
        await move(desk, desk.actor("fay"), order, 1, minutes=minutes, until=until)
    found = {fault.path for fault in getattr(refused.value, "faults", (refused.value,))}
    assert found == paths


async def test_bad_input_is_named(desk: Desk) -> None:
    """Each refusal says what was wrong and where."""
    await desk.come("ann")
    order = await desk.order()
    with pytest.raises(BadField) as missing:
        await desk.take("sam", order, 1, "  ")
    assert missing.value.path == "reason"
    with pytest.raises(BadField) as nowhere:
        await desk.hand("sam", order, 1)
    assert nowhere.value.path == "userId"
    with pytest.raises(BadField) as stranger:
        await desk.hand("sam", order, 1, user_id=desk.people["adi"])
    assert stranger.value.details["reason"] == "not_in_team"
    with pytest.raises(NotFound):
        await desk.hand("sam", order, 1, team_id=desk.people["adi"])
    with pytest.raises(NotFound):
        await desk.take("sam", desk.team, 1)


async def test_what_is_over_is_not_taken(desk: Desk) -> None:
    """A closed order in new hands would come to life without a clock."""
    from callout_orders import orders

    await desk.come("ann")
    order = await desk.order()
    async with desk.as_("ann") as work:
        await orders.cancel_order(work, order, "twice")
    with pytest.raises(WrongState):
        await desk.take("sam", order, 1)
    with pytest.raises(WrongState):
        await desk.respond("ann", order, "too late")


async def test_another_organisations_people_have_no_right(desk: Desk, desk_db: Database) -> None:
    """A supervisor next door sees no order here, and cannot be given one."""
    await desk.come("ann")
    order = await desk.order()
    other = await desk_of(desk_db).open()
    with pytest.raises(NotFound):
        await other.take("sam", order, 1)
    with pytest.raises(BadField):
        await desk.hand("sam", order, 1, user_id=other.people["ben"])
