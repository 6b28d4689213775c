"""Several people and phones at once: what each of them was promised still holds when all have committed."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import oracle
import pytest
from interleave import Held, until_waiting
from worlds import STROKES, Phone, World

from callout_backend.wiring import add_hooks
from callout_dispatch import assign, reassign
from callout_dispatch.visits import customer_signed_by_link
from callout_orders import orders, signoff
from callout_store.errors import Refusal
from callout_store.work import Database, Touched, Work
from callout_sync import scope


@pytest.fixture
async def world(fresh_database: Any) -> AsyncIterator[World]:
    db = Database(fresh_database.database)
    await db.start()
    add_hooks(db)
    yield await World(db).build(phones=3)
    await db.stop()


async def second_visit(world: World) -> tuple[UUID, UUID, UUID]:
    """An order whose first visit came to nothing and whose second is on its way: (order, first, second)."""
    a, b = world.phones[:2]
    order = await world.order()
    first = await world.visit(a, order)
    await a.push(a.command("visit.could_not_complete", first, {"reason": "part_missing"}))
    return order, first, await world.visit(b, order)


async def test_an_order_hears_both_of_its_visits(world: World, fresh_database: Any) -> None:
    """Two engineers report on two visits of one order at once: if the later commit spoke from what it had read before
    it waited, the order would stay scheduled for ever, on the dispatcher's list of work to come."""
    order, first, second = await second_visit(world)
    a, b = world.phones[:2]
    async with Held(fresh_database.database) as held:
        done = b.command("visit.complete", second)
        world.db, usual = held.db, world.db
        slow = asyncio.create_task(b.push(done))
        await asyncio.wait_for(held.reached.wait(), 10)
        world.db = usual
        late = asyncio.create_task(a.push(a.command("visit.complete", first)))
        await until_waiting(fresh_database.admin)
        held.go.set()
        assert [x.status for x in await slow + await late] == ["applied", "applied"]
    assert await world.value("select state from work_order where id = $1", order) == "completed"
    await oracle.states_follow_from_events(world)


async def test_a_site_that_one_visit_leaves_and_another_brings_stays(
    world: World, fresh_database: Any
) -> None:
    """Visit 1 goes from A to B while visit 2 of the same site is given to A: neither transaction sees the other's half.
    Without the scopes' locks A's phone would hold visit 2 and neither its site nor its contact."""
    a, b = world.phones[:2]
    first = await world.visit(a)
    async with Held(fresh_database.database) as held:
        order = await world.order()
        brings = asyncio.create_task(
            held.db.run(
                world.org,
                lambda work: assign.assign(work, order, a.engineer_id, override=True, reason="t"),
                actor=world.dispatcher,
            )
        )
        await asyncio.wait_for(held.reached.wait(), 10)
        takes = asyncio.create_task(
            world.db.run(
                world.org,
                lambda work: reassign.reassign(work, first, b.engineer_id, override=True, reason="t"),
                actor=world.dispatcher,
            )
        )
        await until_waiting(fresh_database.admin)
        held.go.set()
        await asyncio.gather(brings, takes)
    for phone in world.phones:
        await phone.pull()
        await oracle.copy_is_true(world, phone)


async def test_a_scope_that_comes_in_while_waiting_is_read_again_and_poked(
    world: World, fresh_database: Any
) -> None:
    """A site's row changes while its visit moves from A to C: C's phone must get the new text, and must be poked for it."""
    a, _, c = world.phones
    visit = await world.visit(a)
    listener: Any = await asyncpg.connect(fresh_database.admin)
    told: list[str] = []
    await listener.add_listener(scope.CHANNEL, lambda *args: told.append(args[-1]))

    async def rename(work: Work) -> None:
        await work.execute("update site set address = 'New Road 2' where id = $1", world.site)
        work.touch("site", world.site)

    async with Held(fresh_database.database) as held:
        moves = asyncio.create_task(
            held.db.run(
                world.org,
                lambda work: reassign.reassign(work, visit, c.engineer_id, override=True, reason="t"),
                actor=world.dispatcher,
            )
        )
        await asyncio.wait_for(held.reached.wait(), 10)
        renames = asyncio.create_task(world.db.run(world.org, rename, actor=world.dispatcher))
        await until_waiting(fresh_database.admin)
        held.go.set()
        await asyncio.gather(moves, renames)
    await c.pull()
    assert c.copy[str(world.site)]["doc"]["address"] == "New Road 2"
    for _ in range(100):
        if len(told) >= 2:
            break
        await listener.fetchval("select 1")
        await asyncio.sleep(0.01)
    await listener.close()
    assert str(c.engineer_id) in told[-1]


async def test_a_scope_that_was_not_locked_is_locked_and_read_once_more(
    world: World, fresh_database: Any
) -> None:
    """A site is renamed while its visit goes from A to C and on to B: the renamer looked when A had it and is slow to
    lock. What it then writes for C lands on top of the row's leaving, unless it locks C too and reads again."""
    a, b, c = world.phones
    visit = await world.visit(a)
    looked, go = asyncio.Event(), asyncio.Event()

    class Slow:
        """A unit of work that stops between the look and the first lock."""

        def __init__(self, work: Work) -> None:
            self._work = work

        def __getattr__(self, name: str) -> Any:
            return getattr(self._work, name)

        async def fetch(self, sql: str, *args: Any) -> Any:
            if sql == scope.LOCK and not looked.is_set():
                looked.set()
                await asyncio.wait_for(go.wait(), 10)
            return await self._work.fetch(sql, *args)

    async def slow_refresh(work: Work, touched: Touched) -> None:
        await scope.refresh(Slow(work), touched)  # type: ignore[arg-type]

    async def rename(work: Work) -> None:
        await work.execute("update site set address = 'New Road 2' where id = $1", world.site)
        work.touch("site", world.site)

    async def give(db: Database, phone: Phone) -> None:
        await db.run(
            world.org,
            lambda work: reassign.reassign(work, visit, phone.engineer_id, override=True, reason="t"),
            actor=world.dispatcher,
        )

    renamer = Database(fresh_database.database)
    renamer.hooks.append(slow_refresh)
    await renamer.start()
    async with Held(fresh_database.database) as held:
        renames = asyncio.create_task(renamer.run(world.org, rename, actor=world.dispatcher))
        await asyncio.wait_for(looked.wait(), 10)
        await give(world.db, c)
        moves_on = asyncio.create_task(give(held.db, b))
        await asyncio.wait_for(held.reached.wait(), 10)
        go.set()
        await until_waiting(fresh_database.admin)
        held.go.set()
        await asyncio.gather(renames, moves_on)
    await renamer.stop()
    for phone in world.phones:
        await phone.pull()
        await oracle.copy_is_true(world, phone)
    assert b.copy[str(world.site)]["doc"]["address"] == "New Road 2"


async def test_a_sweep_and_a_late_event_leave_no_visit_without_its_site(
    world: World, fresh_database: Any
) -> None:
    """The nightly sweep takes a visit off a phone while its engineer reports a later end that brings it back."""
    a = world.phones[0]
    visit = await world.visit(a)
    await a.push(a.command("visit.complete", visit))
    async with world.db.work(world.org) as work:
        await work.execute(
            "update visit set ended_at = now() - interval '20 days', outcome_at = now() - interval '20 days'"
        )
    async with Held(fresh_database.database) as held:
        sweeps = asyncio.create_task(held.db.run(world.org, scope.sweep))
        await asyncio.wait_for(held.reached.wait(), 10)
        late = asyncio.create_task(a.push(a.command("visit.could_not_complete", visit, {"reason": "other"})))
        await until_waiting(fresh_database.admin)
        held.go.set()
        await asyncio.gather(sweeps, late)
    await a.pull()
    await oracle.copy_is_true(world, a)


@contextlib.asynccontextmanager
async def pushing(urls: Any) -> AsyncIterator[Any]:
    """A transaction of somebody else's."""
    conn: Any = await asyncpg.connect(urls.admin)
    try:
        async with conn.transaction():
            yield conn
    finally:
        await conn.close()


async def test_cancelling_an_order_keeps_the_order_of_locks(world: World, fresh_database: Any) -> None:
    """A phone that is pushing holds its visit and will want the order; a dispatcher who cancels the order must take the
    visit first too, or PostgreSQL has to shoot one of them."""
    a = world.phones[0]
    order = await world.order()
    visit = await world.visit(a, order)
    async with pushing(fresh_database) as push:
        await push.fetchval("select id from visit where id = $1 for update", visit)
        cancels = asyncio.create_task(
            world.db.run(
                world.org, lambda work: assign.cancel_order(work, order, "gone"), actor=world.dispatcher
            )
        )
        await until_waiting(fresh_database.admin)
        # Not held by the one who waits: this would be the other half of a deadlock.
        await push.fetchval("select id from work_order where id = $1 for no key update nowait", order)
    await cancels
    assert await world.value("select state from work_order where id = $1", order) == "canceled"
    assert await world.value("select state from visit where id = $1", visit) == "canceled"


async def test_making_a_link_keeps_the_order_of_locks(world: World, fresh_database: Any) -> None:
    """As above, for the dispatcher who makes a sign-off link while the phone pushes."""
    a = world.phones[0]
    order = await world.order()
    visit = await world.visit(a, order)
    async with pushing(fresh_database) as push:
        await push.fetchval("select id from visit where id = $1 for update", visit)
        links = asyncio.create_task(
            world.db.run(world.org, lambda work: signoff.create_link(work, visit, order, {}))
        )
        await until_waiting(fresh_database.admin)
        await push.fetchval("select id from work_order where id = $1 for no key update nowait", order)
    assert await links


async def test_two_links_at_once_leave_one_open(world: World) -> None:
    """Both were sent to the customer; only the newer may sign."""
    order = await world.order()
    visit = await world.visit(world.phones[0], order)
    await asyncio.gather(
        *(
            world.db.run(world.org, lambda work: signoff.create_link(work, visit, order, {"n": 1}))
            for _ in range(8)
        )
    )
    assert await world.value("select count(*) from sign_off_link where expires_at > clock_timestamp()") == 1


async def test_a_deadlock_that_will_not_end_is_said_as_try_again(world: World) -> None:
    """A phone must keep such commands and send them again; an internal fault would have them quarantined."""
    tries = 0

    async def victim(_: Work, __: Touched) -> None:
        nonlocal tries
        tries += 1
        raise asyncpg.DeadlockDetectedError("deadlock detected")

    a = world.phones[0]
    visit = await world.visit(a)
    world.db.hooks.append(victim)
    command = a.command("visit.accept", visit)
    with pytest.raises(Refusal) as refused:
        await a.push(command)
    assert refused.value.retryable
    assert tries > 1
    world.db.hooks.remove(victim)
    assert [x.status for x in await a.push(command)] == ["applied"]
    assert await world.value("select count(*) from quarantine") == 0


@pytest.mark.parametrize("storm", range(2))
async def test_a_storm_of_everything_at_once(world: World, seed: int, scale: int, storm: int) -> None:
    """Dispatchers, phones and customers over the same few visits, all at once: nothing doubled, lost, stuck or refused
    for another reason than its own, and afterwards rows, states, stock and phones agree."""
    rng = random.Random(f"{seed}:storm:{storm}")
    orders_made = [await world.order() for _ in range(6)]
    made: list[UUID] = []
    refused: list[Refusal] = []

    async def careful(act: Any) -> None:
        try:
            await world.db.run(world.org, act, actor=world.dispatcher)
        except Refusal as refusal:
            refused.append(refusal)

    async def live() -> list[UUID]:
        return [row["id"] for row in await world.fetch("select id from visit order by id")]

    async def dispatcher() -> None:
        for _ in range(12 * scale):
            order, phone = rng.choice(orders_made), rng.choice(world.phones)
            visits = await live()
            visit = rng.choice(visits) if visits else None
            roll, priority = rng.random(), rng.choice(["P0", "P1", "P2"])
            if roll < 0.35 or visit is None:
                await careful(
                    lambda work, o=order, p=phone: assign.assign(
                        work, o, p.engineer_id, override=True, reason="storm"
                    )
                )
            elif roll < 0.6:
                await careful(
                    lambda work, v=visit, p=phone: reassign.reassign(
                        work, v, p.engineer_id, override=True, reason="storm"
                    )
                )
            elif roll < 0.7:
                await careful(lambda work, v=visit: reassign.cancel_visit(work, v, "storm"))
            elif roll < 0.9:
                await careful(lambda work, o=order, p=priority: orders.change_priority(work, o, p))
            else:
                await careful(lambda work, o=order: orders.close_order(work, o))

    async def phone_works(phone: Phone) -> None:
        for _ in range(10 * scale):
            visits = await live()
            if not visits:
                await asyncio.sleep(0.01)
                continue
            batch = []
            for _ in range(rng.randint(1, 5)):
                kind, payload = rng.choice(
                    [
                        ("visit.accept", {}),
                        ("visit.arrive", {}),
                        ("visit.complete", {}),
                        ("visit.could_not_complete", {"reason": "other"}),
                        ("visit.replace_part", {"partId": str(world.part), "quantity": 1}),
                        ("visit.sign", {"signerName": "Ann", "strokes": STROKES, "summary": "{}"}),
                    ]
                )
                batch.append(phone.command(kind, rng.choice(visits), payload))
            made.extend(UUID(c["id"]) for c in batch)
            both = await asyncio.gather(phone.push(*batch), phone.push(*batch))
            assert all(x.status != "refused" for answers in both for x in answers)
            await phone.pull(limit=rng.choice((5, 100)))

    async def customer() -> None:
        for _ in range(6 * scale):
            visits = await live()
            if not visits:
                continue
            visit = rng.choice(visits)
            order = await world.value("select order_id from visit where id = $1", visit)

            async def sign(work: Work, visit: UUID = visit, order: UUID = order) -> None:
                token = await signoff.create_link(work, visit, order, {})
                consumed = await signoff.consume(
                    work, token, signoff.SignOff(signer_name="Ann", decision="accept")
                )
                await customer_signed_by_link(
                    work,
                    event_id=consumed.event_id,
                    visit_id=visit,
                    order_id=order,
                    signer_name="Ann",
                    decision="accept",
                    rating=None,
                    reason=None,
                )

            await careful(sign)

    await asyncio.gather(dispatcher(), dispatcher(), customer(), *map(phone_works, world.phones))
    assert not [r for r in refused if r.retryable], [repr(r) for r in refused if r.retryable]
    for phone in world.phones:
        await phone.pull()
        await oracle.copy_is_true(world, phone)
    await oracle.every_command_once(world, made)
    await oracle.stock_adds_up(world, loaded=10)
    await oracle.states_follow_from_events(world)
    numbers = await world.fetch(
        "select order_id, array_agg(number order by number) as n from visit group by 1"
    )
    assert all(row["n"] == list(range(1, len(row["n"]) + 1)) for row in numbers)
