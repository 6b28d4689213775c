"""A dispatcher, a phone or a worker as a process of its own, told what to do line by line; see `rivals.py`.

Reads one JSON object a line: `act` and what it needs. Waits for `gate` (an advisory lock that the test holds), does it, and
answers with one JSON object: `ok` with a value, `refused` with a code, or `fault` with a text.
"""

import asyncio
import json
import os
import sys
import time
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from depots import NINE

from callout_backend.jobs import red
from callout_backend.jobs.drain import drain
from callout_backend.wiring import add_hooks
from callout_contracts.commands import PushEnvelope
from callout_dispatch import assign, crew, red_lane
from callout_dispatch.plans.accept import accept
from callout_orders import orders
from callout_store import outbox, timers
from callout_store.clock import ManualClock
from callout_store.errors import Refusal
from callout_store.work import Actor, Database, Touched, Work
from callout_sync.push import push

HANDLERS = {red.CHANNEL: red.advance_lane, red.START_CHANNEL: red.start_lane}


async def passed(db: Database, item: Any) -> None:
    """What is owed beside lanes is not this test's."""


class Only(dict[str, Any]):
    """Handlers of lanes; everything else is passed over."""

    def get(self, channel: str, default: Any = None) -> Any:
        return super().get(channel, passed)


def tell(**answer: Any) -> None:
    print(json.dumps(answer), flush=True)


async def hang(work: Work, touched: Touched) -> None:
    """Say that all is done but the commit, and never come back."""
    tell(ok="before commit")
    time.sleep(3600)


async def do(db: Database, told: dict[str, Any]) -> Any:
    org = UUID(told["org"])
    actor = Actor(user_id=UUID(told["user"]), role=told.get("role", "dispatcher"))
    ids = {name: UUID(told[name]) for name in ("order", "engineer", "visit") if told.get(name)}
    start = datetime.fromisoformat(told["start"]) if told.get("start") else None

    async def act(work: Work) -> Any:
        match told["act"]:
            case "hand":
                return await assign.assign(work, ids["order"], ids["engineer"], start)
            case "pick":
                return await assign.dispatch_order(work, ids["order"])
            case "reassign":
                return await assign.reassign(work, ids["visit"], ids["engineer"], None, start)
            case "lane":
                return await red_lane.start(work, ids["order"])
            case "accept":
                accepted = await accept(work, UUID(told["run"]), skip_stale=told.get("skip", False))
                return list(accepted.taken)
            case "crew":
                return await crew.set_crew(work, ids["visit"], [ids["engineer"]])
            case "cancel":
                return await assign.cancel_order(work, ids["order"], "gone")
            case "advance":
                firing = red_lane.Firing(told["key"], told["epoch"])
                return await red_lane.advance(work, UUID(told["lane"]), told["round"], firing)
            case "lower":
                return await orders.change_priority(work, ids["order"], "P2")
        raise AssertionError(told["act"])

    if told["act"] == "drain":
        return await drain(db, Only(HANDLERS))
    if told["act"] == "claim":
        # A worker that takes a message and is never heard of again.
        await timers.fire_due(db)
        claimed = await outbox.claim(db, lease_s=1.0)
        return len([item for item in claimed if item.channel == red.CHANNEL])
    if told["act"] == "stall":
        await timers.fire_due(db)
        db.hooks.append(hang)
        for item in await outbox.claim(db, lease_s=1.0):
            if item.channel == red.CHANNEL:
                await red.advance_lane(db, item)
        return "nothing to do"
    if told["act"] == "push":
        phone = Actor(user_id=actor.user_id, device_id=UUID(told["device"]), role="engineer")
        envelope = PushEnvelope(sent_at=db.clock.now(), commands=told["commands"])
        answers = (await push(db, org_id=org, actor=phone, envelope=envelope)).answers
        return [[answer.status, answer.code] for answer in answers]
    return await db.run(org, act, actor=actor)


async def main(url: str, admin: str) -> None:
    db = Database(url, clock=ManualClock(NINE))
    add_hooks(db)
    await db.start()
    gate: Any = await asyncpg.connect(admin)
    tell(ok=os.getpid())
    while line := await asyncio.to_thread(sys.stdin.readline):
        told = json.loads(line)
        await gate.execute("select pg_advisory_lock_shared($1)", told["gate"])
        await gate.execute("select pg_advisory_unlock_shared($1)", told["gate"])
        # Who is first differs from round to round.
        await asyncio.sleep(told.get("after_s", 0.0))
        try:
            value = await do(db, told)
            tell(ok=json.loads(msgspec.json.encode(value)))
        except Refusal as refusal:
            tell(refused=refusal.code, retryable=refusal.retryable)
        except Exception as fault:
            tell(fault=f"{type(fault).__name__}: {fault}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
