"""One process of the crowd that works on the same orders at once: what its part does, in an order drawn from its seed.

    python tests/support/desk_crowd.py PART SEED ACTS SCENE (JSON)

It writes `ready`, waits for a line, does so many acts, and writes one line of JSON: how each kind of act ended.
A refusal is an end like any other; what is no refusal is written with its trace.
"""

import asyncio
import random
import sys
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from telling import SECRET, Telling
from worlds import Phone, World

from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.notify.adapter import MemoryAdapter
from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_orders import orders
from callout_orders.desk import queue, respond, todos
from callout_orders.desk.staff import presence
from callout_orders.desk.unanswered import fallback
from callout_orders.flow import approvals, hand
from callout_orders.flow.parts import requisitions
from callout_orders.kinds.values import set_fields
from callout_orders.precheck import many, taking
from callout_orders.precheck.alike import links
from callout_orders.precheck.terms import Request
from callout_orders.sla import pausing, tiers
from callout_store.errors import Refusal
from callout_store.sealing import Seal
from callout_store.work import Actor, Database, Work

Act = Callable[[random.Random], Awaitable[object]]


class Scene(msgspec.Struct, kw_only=True):
    """What there is to work on. `visits` are (phone, order, visit); `phones` (user, engineer, device)."""

    url: str
    org: UUID
    data: str
    people: dict[str, tuple[UUID, str]]
    phones: list[tuple[UUID, UUID, UUID]]
    orders: list[UUID]
    visits: list[tuple[int, UUID, UUID]]
    customer: UUID
    holders: list[UUID]


class Crowd:
    """One part of the crowd."""

    def __init__(self, db: Database, scene: Scene) -> None:
        self.db, self.scene = db, scene
        world = World(db)
        world.org = scene.org
        self.phones = [Phone(world, *one) for one in scene.phones]
        self.count = 0

    def run(self, name: str, act: Callable[[Work], Awaitable[Any]]) -> Awaitable[Any]:
        user, role = self.scene.people[name]
        return self.db.run(self.scene.org, act, actor=Actor(user_id=user, role=role))

    def parts(self) -> dict[str, list[Act]]:
        """The acts of each part."""
        return {
            "phones": [self.push, self.push, self.push_two],
            "agents": [self.respond, self.beat, self.todo, self.by_hand, self.fields],
            "duty": [self.take_over, self.hand_on, self.move_deadline, self.say],
            "office": [self.priority, self.pause, self.resume, self.tier, self.decide, self.parts_ordered],
            "intake": [self.take, self.sheet, self.merge, self.unlink, self.close],
            "worker": [self.drain],
        }

    # -------------------------------------------------------------------------------------------- phones

    async def push(self, roll: random.Random) -> object:
        return await self._push(roll, [roll.choice(self.scene.visits)])

    async def push_two(self, roll: random.Random) -> object:
        """What two visits of one phone made meanwhile comes in one push."""
        phone = roll.randrange(len(self.phones))
        mine = [one for one in self.scene.visits if one[0] == phone]
        return await self._push(roll, roll.sample(mine, 2))

    async def _push(self, roll: random.Random, visits: list[tuple[int, UUID, UUID]]) -> object:
        phone = self.phones[visits[0][0]]
        commands = []
        for _, _, visit in visits:
            kind, payload = roll.choice(
                [
                    ("visit.travel", {}),
                    ("visit.arrive", {}),
                    ("visit.diagnose", {"finding": "worn"}),
                    ("visit.note", {"text": "a note"}),
                    ("visit.complete", {}),
                    ("visit.could_not_complete", {"reason": "part_missing"}),
                ]
            )
            commands.append(phone.command(kind, visit, payload))
        return await phone.push(*commands)

    # -------------------------------------------------------------------------------------------- the desk

    async def respond(self, roll: random.Random) -> object:
        return await self.run("ann", lambda work: respond.respond(work, roll.choice(self.scene.orders), "hi"))

    async def beat(self, roll: random.Random) -> object:
        name = roll.choice(["ann", "ben", "fay"])
        return await self.run(name, lambda work: presence.beat(work, self.scene.people[name][0]))

    async def say(self, roll: random.Random) -> object:
        name, state = roll.choice(["ann", "ben"]), roll.choice(["online", "away", "offline"])
        return await self.run(
            name, lambda work: presence.set_by_hand(work, self.scene.people[name][0], state)
        )

    async def todo(self, roll: random.Random) -> object:
        async def act(work: Work) -> object:
            rows = await work.fetch(
                "select id, user_id from todo where state in ('open', 'acknowledged') order by id limit 50"
            )
            if not rows:
                return None
            row = roll.choice(rows)
            move = roll.choice([todos.acknowledge, todos.finish])
            return await move(work, row["id"], row["user_id"])

        return await self.run("ann", act)

    async def by_hand(self, roll: random.Random) -> object:
        return await self.run("sam", lambda work: hand.complete_step(work, roll.choice(self.scene.orders)))

    async def fields(self, roll: random.Random) -> object:
        values = {"fault_cause": "wear", "repair_cost": roll.choice([100, 900])}
        return await self.run("sam", lambda work: set_fields(work, roll.choice(self.scene.orders), values))

    async def take_over(self, roll: random.Random) -> object:
        async def act(work: Work) -> object:
            order = roll.choice(self.scene.orders)
            return await fallback.take_over(work, order, epoch=await self._epoch(work, order), reason="busy")

        return await self.run("fay", act)

    async def hand_on(self, roll: random.Random) -> object:
        async def act(work: Work) -> object:
            order = roll.choice(self.scene.orders)
            to = self.scene.people[roll.choice(["ann", "ben"])][0]
            epoch = await self._epoch(work, order)
            return await fallback.hand_on(work, order, epoch=epoch, reason="knows it", user_id=to)

        return await self.run("fay", act)

    async def _epoch(self, work: Work, order_id: UUID) -> int:
        found = await queue.one(work, order_id)
        return 0 if found is None or found.epoch is None else found.epoch

    async def move_deadline(self, roll: random.Random) -> object:
        until = datetime.now(UTC) + timedelta(hours=2)
        return await self.run(
            "sam",
            lambda work: fallback.move_deadline(
                work,
                roll.choice(self.scene.orders),
                milestone="resolution",
                minutes=30,
                until=until,
                reason="the customer asked",
            ),
        )

    # -------------------------------------------------------------------------------------------- the office

    async def priority(self, roll: random.Random) -> object:
        return await self.run(
            "sam",
            lambda work: orders.change_priority(
                work, roll.choice(self.scene.orders), roll.choice(["P1", "P2"]), "asked"
            ),
        )

    async def pause(self, roll: random.Random) -> object:
        return await self.run(
            "ben",
            lambda work: pausing.pause(
                work, roll.choice(self.scene.orders), roll.choice(["customer", "other"])
            ),
        )

    async def resume(self, roll: random.Random) -> object:
        return await self.run("ben", lambda work: pausing.resume(work, roll.choice(self.scene.orders)))

    async def tier(self, roll: random.Random) -> object:
        return await self.run(
            "adi",
            lambda work: tiers.change_tier(
                work, self.scene.customer, roll.choice(["standard", "silver", "gold"])
            ),
        )

    async def decide(self, roll: random.Random) -> object:
        async def act(work: Work) -> object:
            rows = await work.fetch("select id from step_approval where state = 'asked' order by id limit 20")
            if not rows:
                return None
            one = roll.choice(rows)["id"]
            if roll.random() < 0.5:
                return await approvals.approve(work, one)
            return await approvals.reject(work, one, "too much")

        return await self.run("sam", act)

    async def parts_ordered(self, roll: random.Random) -> object:
        async def act(work: Work) -> object:
            if roll.random() < 0.4:
                return await requisitions.request(work, roll.choice(self.scene.orders), [("SEAL-1", 1)])
            rows = await work.fetch(
                "select id from requisition where state in ('requested', 'approved', 'ordered') limit 20"
            )
            if not rows:
                return None
            one = roll.choice(rows)["id"]
            moves: list[Callable[[], Awaitable[object]]] = [
                lambda: requisitions.approve(work, one),
                lambda: requisitions.order(work, one),
                lambda: requisitions.receive(work, one, self.scene.holders[0]),
                lambda: requisitions.cancel(work, one, "no longer needed"),
            ]
            return await roll.choice(moves)()

        return await self.run("sam", act)

    # -------------------------------------------------------------------------------------------- intake

    def _request(self, roll: random.Random) -> Request:
        n = roll.randrange(40)
        return Request(
            channel="hotline",
            kind="general",
            description=roll.choice(["the pump leaks", "the door is stuck", "no light in the hall"]),
            contact_name=f"Caller {n % 8}",
            contact_phone=f"+86138001380{n % 8:02d}",
            address=f"{n % 3} Long Road",
            references=(("crm", f"R-{n}"),) if n < 30 else (),
        )

    async def take(self, roll: random.Random) -> object:
        request = self._request(roll)
        return await self.run("ben", lambda work: taking.take(work, request))

    async def sheet(self, roll: random.Random) -> object:
        requests = [self._request(roll) for _ in range(12)]
        answers = await self.run("adi", lambda work: many.take_many(work, requests))
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, Refusal):
                raise answer
        return answers

    async def merge(self, roll: random.Random) -> object:
        into, gone = roll.sample(self.scene.orders, 2)
        return await self.run("sam", lambda work: links.merge(work, into, gone, "the same"))

    async def unlink(self, roll: random.Random) -> object:
        async def act(work: Work) -> object:
            rows = await work.fetch("select id from work_order where duplicate_of_id is not null limit 30")
            return None if not rows else await links.unlink(work, roll.choice(rows)["id"], "another one")

        return await self.run("sam", act)

    async def close(self, roll: random.Random) -> object:
        one = roll.choice(self.scene.orders)
        if roll.random() < 0.2:
            return await self.run("sam", lambda work: orders.cancel_order(work, one, "not wanted"))
        return await self.run("sam", lambda work: orders.close_order(work, one))

    # -------------------------------------------------------------------------------------------- the worker

    async def drain(self, roll: random.Random) -> object:
        """Some timers fire before their time (a clock that says so), and all that is owed is done."""
        async with self.db.work(self.scene.org) as work:
            await work.execute(
                """
                update timer set due_at = now() - interval '1 second'
                where org_id = callout_org() and (key) in (
                    select key from timer where org_id = callout_org() and state = 'armed' order by md5(key || $1)
                    limit 15 for update skip locked)
                """,
                str(roll.random()),
            )
        settings = Settings(data=Path(self.scene.data), redis_url=None, secret=SECRET)
        notifier = Telling(self.db, memory=MemoryAdapter()).notifier
        return await drain(self.db, make_handlers(settings, notifier=notifier))


async def main(part: str, seed: int, acts: int, scene: Scene) -> None:
    """Do the acts of one part."""
    db = Database(scene.url, pool_max=4)
    db.seal = Seal(lambda: (SECRET,))
    await db.start()
    add_hooks(db)
    crowd = Crowd(db, scene)
    roll = random.Random(f"{seed}:{part}")
    ends: Counter[str] = Counter()
    broken: list[str] = []
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

    async def lane(n: int) -> None:
        own = random.Random(f"{roll.random()}:{n}")
        for _ in range(acts):
            act = own.choice(crowd.parts()[part])
            try:
                await act(own)
                ends[f"{act.__name__}: done"] += 1
            except Refusal as refusal:
                ends[f"{act.__name__}: {refusal.code}"] += 1
            except Exception:
                broken.append(f"{act.__name__}: {traceback.format_exc()}")

    try:
        await asyncio.gather(lane(0), lane(1))
    finally:
        await db.stop()
    print(msgspec.json.encode({"ends": ends, "broken": broken}).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), msgspec.json.decode(sys.argv[4], type=Scene))
    )
