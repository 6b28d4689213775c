"""The same day by two policies, replayed from history; nothing of it becomes a visit."""

from typing import Any
from uuid import UUID

import pytest
from depots import NINE, Depot
from plan_runs import FIVE, HOUR, run, work_off

from callout_dispatch import assign, engineers, policies
from callout_dispatch.engineer_terms import NewAbsence
from callout_dispatch.plans import what_if
from callout_dispatch.plans.accept import accept
from callout_dispatch.policy import STANDARD, Policy, to_json
from callout_orders import orders as work_orders
from callout_store.clock import ManualClock
from callout_store.errors import BadField, NotFound, WrongState

FREE = Policy(name="free", rules=(STANDARD.rules[0],))
"""Looks at availability alone: skills and all else are left out."""


async def ask(depot: Depot, a: int = 0, b: int = 1, start: Any = NINE, end: Any = FIVE, **more: Any) -> UUID:
    async with depot.work() as work:
        return await what_if.ask(work, start, end, a, b, **{"planner": "inserter", **more})


async def save(depot: Depot, policy: Policy) -> int:
    async with depot.work() as work:
        return await policies.save(work, to_json(policy))


async def compared(depot: Depot, **more: Any) -> dict[str, Any]:
    run_id = await ask(depot, **more)
    made = await work_off(depot, run_id)
    assert (made.state, made.kind) == ("done", "what_if"), made.figures
    return made.figures


async def test_two_policies_side_by_side(depot: Depot) -> None:
    """Who weighs whether to send people without the skill must see what that would have brought, order by order."""
    await save(depot, FREE)
    await depot.crew(1)
    fits, lift = await depot.order(1), await depot.order(2, skills={"lift": 1})
    before = await depot.fetch("select * from visit")
    found = await compared(depot)
    assert (found["a"]["visits"], found["a"]["unassigned"]) == (1, 1)
    assert (found["b"]["visits"], found["b"]["unassigned"]) == (2, 0)
    assert (found["a"]["policyVersion"], found["b"]["policyVersion"]) == (0, 1)
    assert found["b"]["travelMinutes"] > 0
    by_order = {order["orderId"]: order for order in found["orders"]}
    assert str(lift) in by_order
    assert by_order[str(lift)]["a"]["reasons"] == ["SKILL_MISSING"]
    assert by_order[str(lift)]["b"]["engineerId"] is not None
    assert found["engineers"][0]["b"]["visits"] == 2
    assert str(fits) not in by_order or by_order[str(fits)]["a"] != by_order[str(fits)]["b"]
    assert await depot.fetch("select * from visit") == before
    assert await depot.fetch("select number from plan_change") == []


async def test_the_same_policy_twice_differs_in_nothing(depot: Depot) -> None:
    """A comparison that finds differences where there are none would have people argue about noise."""
    await save(depot, STANDARD)
    await depot.crew(1, 4)
    await depot.orders(4, 2)
    found = await compared(depot)
    assert (found["orderCount"], found["orders"], found["engineers"]) == (0, [], [])


async def test_a_day_that_is_over_is_replayed(standing: tuple[Depot, ManualClock]) -> None:
    """Yesterday as it was known in the morning: what was done since was still to do then, what came later was not known."""
    depot, clock = standing
    await save(depot, FREE)
    one, away = await depot.crew(1, 2)
    done, waits = await depot.order(1), await depot.order(2)
    called_off = await depot.order(2)
    async with depot.work() as work:
        absence = NewAbsence(engineer_id=away, starts_at=NINE, ends_at=FIVE)
        await engineers.set_absence(work, absence)
        visit = await assign.assign(work, done, one, NINE + HOUR)
        await work_orders.cancel_order(work, called_off, "not needed")
    clock.advance(2 * HOUR)
    later = await depot.order(1)
    async with depot.work() as work:
        await work.execute(
            """
            update visit set state = 'completed', completed_at = $2, ended_at = $2, outcome = 'completed', outcome_at = $2
            where id = $1
            """,
            visit,
            clock.now(),
        )
        await work.execute(
            "update work_order set state = 'completed', arrived_at = $2, resolved_at = $2 where id = $1",
            done,
            clock.now(),
        )
        await work.execute("update engineer set active = false where id = $1", one)
    clock.advance(24 * HOUR)
    run_id = await ask(depot)
    made = await run(depot, run_id)
    async with depot.work() as work:
        rows = await what_if.load_day(work, made)
    assert {order.id for order in rows.waiting} == {done, waits}
    assert later not in {order.id for order in rows.waiting}
    assert {engineer.id for engineer in rows.engineers} == {one, away}
    worked = await work_off(depot, run_id)
    assert worked.figures["a"]["visits"] == 2
    assert [day["engineerId"] for day in worked.figures["engineers"]] in ([], [str(one)])
    assert (await depot.visit(visit))["state"] == "completed"


async def test_priorities_are_those_of_the_morning(standing: tuple[Depot, ManualClock]) -> None:
    """An order that became urgent at noon was an ordinary one in the morning, and has to be judged as such."""
    depot, clock = standing
    await save(depot, FREE)
    order = await depot.order(1, priority="P2")
    clock.advance(3 * HOUR)
    async with depot.work() as work:
        await work_orders.change_priority(work, order, "P0", "flooding")
    made = await run(depot, await ask(depot))
    async with depot.work() as work:
        (found,) = (await what_if.load_day(work, made)).waiting
    assert found.priority == "P2"


async def test_vans_are_loaded_as_they_were(standing: tuple[Depot, ManualClock]) -> None:
    """A seal that was fitted at ten was on the van at nine."""
    depot, clock = standing
    await save(depot, FREE)
    (one,) = await depot.crew(1)
    order = await depot.order(1)
    async with depot.work() as work:
        await work.execute(
            """
            with p as (insert into part (id, code, name) values (gen_random_uuid(), 'SEAL', 'Seal') returning id),
            n as (insert into work_order_part (order_id, part_id, quantity) select $1, id, 2 from p),
            m as (insert into stock_move (id, holder_id, part_id, quantity, reason, at)
                  select gen_random_uuid(), $2, id, -2, 'part_replaced', $3 from p)
            insert into stock_level (id, holder_id, part_id, quantity) select gen_random_uuid(), $2, id, 1 from p
            """,
            order,
            one,
            NINE + HOUR,
        )
    clock.advance(5 * HOUR)
    made = await run(depot, await ask(depot))
    async with depot.work() as work:
        (engineer,) = (await what_if.load_day(work, made)).engineers
    assert engineer.van == {"SEAL": 3}


async def test_a_what_if_is_never_accepted(depot: Depot) -> None:
    """A thought is no proposal."""
    await save(depot, FREE)
    await depot.crew(1)
    await depot.order()
    made = await work_off(depot, await ask(depot))
    async with depot.work() as work:
        with pytest.raises(WrongState):
            await accept(work, made.id)


async def test_what_cannot_be_compared_is_refused(depot: Depot) -> None:
    """A version that does not exist, or the same one twice, is a slip of the pen."""
    with pytest.raises(BadField) as refused:
        await ask(depot, 0, 0)
    assert refused.value.path == "otherPolicyVersion"
    with pytest.raises(NotFound):
        await ask(depot, 0, 7)
    await save(depot, FREE)
    with pytest.raises(BadField):
        await ask(depot, start=FIVE, end=NINE)
