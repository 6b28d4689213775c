"""Parts in vans, on a real database."""

import asyncio
from uuid import UUID

import msgspec
import pytest

from callout_orders import customers, reading, stock
from callout_store.errors import BadField, NotFound
from callout_store.ids import new_id
from callout_store.work import Database


class Van(msgspec.Struct):
    """An organisation with one van and two parts."""

    org_id: UUID
    van_id: UUID
    fuse_id: UUID
    belt_id: UUID

    def move(self, quantity: int, *, part_id: UUID | None = None, event_id: UUID | None = None) -> stock.Move:
        return stock.Move(
            holder_id=self.van_id,
            part_id=part_id or self.fuse_id,
            quantity=quantity,
            reason="test",
            event_id=event_id,
        )


@pytest.fixture
async def van(db: Database) -> Van:
    org_id = new_id()
    async with db.work(org_id) as work:
        await work.execute(
            "insert into organisation (id, slug, name) values ($1, $2, 'Van')", org_id, f"van-{org_id}"
        )
        fuse, belt = await customers.create_parts(
            work, [customers.NewPart(code="F-1", name="Fuse"), customers.NewPart(code="B-1", name="Belt")]
        )
    return Van(org_id, new_id(), fuse, belt)


async def levels(db: Database, van: Van) -> dict[UUID, int]:
    async with db.work(van.org_id) as work:
        (held,) = await reading.stock_by_holder_ids(work, [van.van_id])
    return {level.part_id: level.quantity for level in held}


async def test_moves_add_up_in_one_batch(db: Database, van: Van) -> None:
    """The engineer would drive with an empty van, believing the book."""
    async with db.work(van.org_id) as work:
        changed = await stock.move(
            work, [van.move(10), van.move(-3), van.move(4, part_id=van.belt_id), van.move(-1)]
        )
        assert work.touched.rows["stock"] == {level.id for level in changed}
    assert {level.part_id: level.quantity for level in changed} == {van.fuse_id: 6, van.belt_id: 4}
    async with db.work(van.org_id) as work:
        assert len(await stock.move(work, [van.move(1)])) == 1
        assert await stock.move(work, []) == []
    assert await levels(db, van) == {van.fuse_id: 7, van.belt_id: 4}


async def test_an_event_moves_stock_once(db: Database, van: Van) -> None:
    """A phone that pushes twice would take two fuses out of the van."""
    event = new_id()
    async with db.work(van.org_id) as work:
        await stock.move(work, [van.move(5), van.move(-2, event_id=event), van.move(-2, event_id=event)])
    async with db.work(van.org_id) as work:
        assert await stock.move(work, [van.move(-2, event_id=event)]) == []
        assert not work.touched.rows.get("stock")
    assert await levels(db, van) == {van.fuse_id: 3}


async def test_simultaneous_moves_are_all_counted(db: Database, van: Van) -> None:
    """Two engineers taking from one depot at once would leave the level wrong for ever."""
    event = new_id()

    async def take(event_id: UUID | None) -> None:
        async def act(work: object) -> None:
            await stock.move(work, [van.move(-1, event_id=event_id), van.move(1, part_id=van.belt_id)])  # type: ignore[arg-type]

        await db.run(van.org_id, act)

    await asyncio.gather(*(take(None) for _ in range(15)), *(take(event) for _ in range(5)))
    assert await levels(db, van) == {van.fuse_id: -16, van.belt_id: 20}


async def test_a_level_below_zero_is_kept_and_shown(db: Database, van: Van) -> None:
    """Field work would be refused because the book is wrong, or nobody would learn that it is."""
    async with db.work(van.org_id) as work:
        (level,) = await stock.move(work, [van.move(-2)])
        await stock.move(work, [van.move(1)])
        rows = await work.fetch(
            "select entity_id, data->>'quantity' as q from journal where kind = 'stock.negative'"
        )
    assert level.quantity == -2
    assert [(row["entity_id"], row["q"]) for row in rows] == [(level.id, "-2")]


async def test_moves_of_nothing_or_of_unknown_parts_are_refused(db: Database, van: Van) -> None:
    """A typing error would make a part of its own, or fill the log with moves of nothing."""
    with pytest.raises(BadField):
        async with db.work(van.org_id) as work:
            await stock.move(work, [van.move(0)])
    with pytest.raises(NotFound):
        async with db.work(van.org_id) as work:
            await stock.move(work, [van.move(1), van.move(1, part_id=new_id())])
    assert await levels(db, van) == {}
