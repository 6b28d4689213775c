"""One firing of a timer in several hands at once, as after a lease that was lost: the order changes hands once."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from desks import Desk, desk_of, desks

from callout_orders.desk.unanswered import watching
from callout_store.work import Database


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async for db in desks(database_url):
        yield await desk_of(db).open()


async def test_several_who_handle_one_firing_turn_it_over_once(desk: Desk) -> None:
    """Without the order's lock each of them reads "late" and passes it on: two people are called, one of them for nothing."""
    await desk.come("ann", "fay", "gus")
    orders = [await desk.order() for _ in range(3)]
    await desk.passes_with("ann", "fay", "gus", minutes=12)
    async with desk.db.work(desk.org) as work:
        await work.execute(
            "update timer set state = 'fired', fired_at = now() where key = any($1)",
            [f"desk:{order}" for order in orders],
        )
    epochs = {
        row["key"]: row["epoch"]
        for row in await desk.fetch("select key, epoch from timer where key like 'desk:%'")
    }

    async def look(db: Database, order: object) -> bool:
        async with db.work(desk.org) as work:
            return await watching.look(work, order, f"desk:{order}", epochs[f"desk:{order}"])  # type: ignore[arg-type]

    for order in orders:
        found = await asyncio.gather(*(look(desk.db, order) for _ in range(5)))
        assert sum(found) == 1
        assert len(await desk.lines(order, "work_order.turned_over")) == 1
        assert (await desk.row(order)).epoch == 2
