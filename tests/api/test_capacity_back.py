"""What a dispatcher takes back is free again at once: the time of everybody who was to go, to the minute."""

from datetime import timedelta
from uuid import UUID

import pytest
from depots import NINE, Depot

from callout_dispatch import assign
from callout_store.errors import EngineerUnavailable

HOUR = timedelta(hours=1)


async def starts(depot: Depot, order_id: UUID) -> dict[str, object]:
    """When the pick would have each engineer start."""
    async with depot.work() as work:
        result = (await assign.propose(work, order_id)).result
    return {ranked.id: (ranked.slot_start, ranked.score, ranked.components) for ranked in result.ranked}


async def crewed(depot: Depot, count: int = 2) -> UUID:
    order_id = await depot.order()
    async with depot.work() as work:
        await work.execute("update work_order set crew_size = $2 where id = $1", order_id, count)
    return order_id


async def test_a_cancelled_visit_leaves_nothing_behind(depot: Depot) -> None:
    """A slot that stays taken after a cancellation is an hour in which an engineer sits idle and a customer waits."""
    [one] = await depot.crew(2)
    first, second = await depot.order(), await depot.order(km=3)
    before = await starts(depot, second)
    async with depot.work() as work:
        visit_id = await assign.assign(work, first, one, NINE + HOUR)
    assert await starts(depot, second) != before
    with pytest.raises(EngineerUnavailable):
        async with depot.work() as work:
            await assign.assign(work, second, one, NINE + HOUR)
    async with depot.work() as work:
        await assign.cancel_visit(work, visit_id, "the customer is away")
        # In the same transaction: a drag that puts another order where one was taken off.
        again = await assign.assign(work, second, one, NINE + HOUR)
    assert (await depot.visit(again))["scheduled_start"] == NINE + HOUR
    async with depot.work() as work:
        await assign.cancel_visit(work, again, "called off as well")
    assert await starts(depot, second) == before


async def test_a_cancelled_crew_is_free_one_and_all(depot: Depot) -> None:
    """The leader's time comes back by the visit, the others' by the crew: whoever is forgotten is planned around all day."""
    people = await depot.crew(1, 2, 3)
    order_id = await crewed(depot, 3)
    others = [await depot.order() for _ in people]
    before = await starts(depot, others[0])
    async with depot.work() as work:
        visit_id = await assign.dispatch_order(work, order_id)
    taken = await depot.visit(visit_id)
    start = taken["scheduled_start"]
    for person in people:
        with pytest.raises(EngineerUnavailable):
            async with depot.work() as work:
                await assign.assign(work, others[0], person, start)
    async with depot.work() as work:
        await assign.cancel_visit(work, visit_id, "the lift is not delivered")
    assert await starts(depot, others[0]) == before
    async with depot.work() as work:
        for person, other in zip(people, others, strict=True):
            await assign.assign(work, other, person, start)


async def test_a_visit_given_away_gives_its_time_back(depot: Depot) -> None:
    """Whoever hands a visit over, or is taken off it, is free for the next one at that very time."""
    one, two = await depot.crew(1, 2)
    first, second = await depot.order(), await depot.order()
    async with depot.work() as work:
        visit_id = await assign.assign(work, first, one, NINE + HOUR)
        await assign.reassign(work, visit_id, two, start=NINE + HOUR)
        await assign.assign(work, second, one, NINE + HOUR)
        third = await work.fetch("select engineer_id from visit where scheduled_start = $1", NINE + HOUR)
    assert {row["engineer_id"] for row in third} == {one, two}
