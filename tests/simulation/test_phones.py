"""Seeded phones on a bad network, dispatchers who change their minds meanwhile, and an SQL oracle at the end.

Every history is made from a printed seed: `CALLOUT_TEST_SEED=… pytest tests/simulation/test_phones.py` repeats it.
"""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import oracle
import pytest
from worlds import STROKES, Phone, World

from callout_backend.wiring import add_hooks
from callout_dispatch import reassign
from callout_store.errors import Refusal
from callout_store.work import Database

STEPS = [
    ("visit.accept", {}),
    ("visit.travel", {}),
    ("visit.arrive", {}),
    ("visit.diagnose", {"finding": "worn"}),
    ("visit.photo", {"sha256": "cd" * 32, "mediaType": "image/jpeg", "sizeBytes": 10}),
    ("visit.sign", {"signerName": "Ann", "strokes": STROKES, "summary": "{}"}),
    ("visit.complete", {}),
    ("visit.could_not_complete", {"reason": "part_missing"}),
    ("visit.leave", {}),
]


class BadNetwork:
    """A phone's outbox behind a network that loses requests and answers, repeats, and lets batches overtake."""

    def __init__(self, phone: Phone, rng: random.Random) -> None:
        self.phone, self.rng = phone, rng
        self.queue: list[dict[str, Any]] = []
        self.made: list[UUID] = []
        self.skew = timedelta(seconds=rng.choice((0, 0, -90, 3600, -86_400, 3_000_000)))

    def act(self, visit_id: UUID, part: UUID) -> None:
        kind, payload = self.rng.choice(
            [*STEPS, ("visit.replace_part", {"partId": str(part), "quantity": 1})]
        )
        command = self.phone.command(
            kind, visit_id, payload, deviceTime=(datetime.now(UTC) + self.skew).isoformat()
        )
        self.made.append(UUID(command["id"]))
        self.queue.append(command)

    async def send(self, *, faults: bool) -> None:
        batch = self.queue[: self.rng.randint(1, 12)]
        if not batch or (faults and self.rng.random() < 0.2):
            return  # lost on the way up
        if faults and self.rng.random() < 0.3:
            batch = self.rng.sample(self.queue, min(len(self.queue), len(batch)))
        sends = 2 if faults and self.rng.random() < 0.3 else 1
        rounds = await asyncio.gather(
            *(self.phone.push(*batch, sent_at=datetime.now(UTC) + self.skew) for _ in range(sends))
        )
        if faults and self.rng.random() < 0.3:
            return  # the answer was lost: all of it stays in the queue
        answered = {a.id for a in rounds[-1] if a.status != "refused"}
        self.queue = [c for c in self.queue if UUID(c["id"]) not in answered]


async def change_minds(world: World, rng: random.Random, visits: list[UUID]) -> None:
    """A dispatcher reassigns, cancels or adds; refusals (ended, on site) are part of the day."""
    roll = rng.random()
    try:
        if roll < 0.25:
            visits.append(await world.visit(rng.choice(world.phones)))
        elif roll < 0.85:
            phone, visit = rng.choice(world.phones), rng.choice(visits)
            await world.db.run(
                world.org,
                lambda work: reassign.reassign(
                    work, visit_id=visit, engineer_id=phone.engineer_id, override=True, reason="sim"
                ),
                actor=world.dispatcher,
            )
        else:
            visit = rng.choice(visits)
            await world.db.run(
                world.org,
                lambda work: reassign.cancel_visit(work, visit_id=visit, reason="sim"),
                actor=world.dispatcher,
            )
    except Refusal as refusal:
        if refusal.retryable:
            raise


@pytest.mark.parametrize("history", range(4))
async def test_everything_agrees_at_rest(fresh_database: Any, seed: int, scale: int, history: int) -> None:
    """If a command were lost or doubled, a row ghosted, or two phones told different things, it shows here."""
    rng = random.Random(f"{seed}:{history}")
    db = Database(fresh_database.database)
    await db.start()
    add_hooks(db)
    try:
        world = await World(db).build(phones=4)
        networks = [BadNetwork(phone, rng) for phone in world.phones]
        visits = [await world.visit(phone) for phone in world.phones for _ in range(2)]
        for _ in range(25 * scale):
            for network in networks:
                for _ in range(rng.randint(0, 4)):
                    mine = sorted(network.phone.held("visit"))
                    pool = mine if mine and rng.random() < 0.9 else visits
                    network.act(rng.choice(pool), world.part)
            await asyncio.gather(
                change_minds(world, rng, visits),
                change_minds(world, rng, visits),
                *(n.send(faults=True) for n in networks if rng.random() < 0.6),
                *(n.phone.pull(limit=rng.choice((3, 50))) for n in networks if rng.random() < 0.5),
            )
        for network in networks:
            while network.queue:
                await network.send(faults=False)
        for phone in world.phones:
            await phone.pull()
        await oracle.every_command_once(world, [id_ for n in networks for id_ in n.made])
        await oracle.stock_adds_up(world, loaded=10)
        await oracle.states_follow_from_events(world)
        for phone in world.phones:
            await oracle.copy_is_true(world, phone)
    finally:
        await db.stop()
