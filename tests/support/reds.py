"""Red lanes in tests: what a lane did, phones of a `Depot`'s engineers, and the worker's turn."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from depots import Depot

from callout_backend.jobs import red
from callout_backend.jobs.drain import Handler, Handlers, drain
from callout_contracts.commands import Answer, PushEnvelope
from callout_dispatch import assign, policies, red_lane
from callout_store.ids import new_id
from callout_store.outbox import Claimed
from callout_store.work import Actor, Database
from callout_sync.push import push

HANDLERS: Handlers = {red.CHANNEL: red.advance_lane, red.START_CHANNEL: red.start_lane}


class Sender:
    """The phone of one engineer, by which they answer."""

    def __init__(self, depot: Depot, engineer_id: UUID, user_id: UUID, device_id: UUID) -> None:
        self.depot, self.engineer_id = depot, engineer_id
        self.actor = Actor(user_id=user_id, device_id=device_id, role="engineer", engineer_id=engineer_id)
        self.sequence = 0

    def command(
        self, kind: str, visit_id: UUID, payload: Mapping[str, Any] | None = None, at: datetime | None = None
    ) -> dict[str, Any]:
        self.sequence += 1
        return {
            "id": str(new_id()),
            "sequence": self.sequence,
            "schemaVersion": 2,
            "kind": kind,
            "visitId": str(visit_id),
            "deviceTime": (at or self.depot.db.clock.now()).isoformat(),
            "payload": dict(payload or {}),
        }

    async def push(self, *commands: dict[str, Any], db: Database | None = None) -> list[Answer]:
        db = db or self.depot.db
        envelope = PushEnvelope(sent_at=db.clock.now().astimezone(UTC), commands=list(commands))
        return (await push(db, org_id=self.depot.org, actor=self.actor, envelope=envelope)).answers

    async def says(self, kind: str, visit_id: UUID, payload: Mapping[str, Any] | None = None) -> str:
        [answer] = await self.push(self.command(kind, visit_id, payload))
        return answer.status if answer.code is None else f"{answer.status} {answer.code}"

    async def accepts(self, visit_id: UUID) -> str:
        return await self.says("visit.accept", visit_id)

    async def declines(self, visit_id: UUID, reason: str = "busy", text: str = "") -> str:
        return await self.says("visit.decline", visit_id, {"reason": reason, "text": text})


async def phone_of(depot: Depot, engineer_id: UUID) -> Sender:
    """A fresh phone of an engineer."""
    user = (await depot.row("select user_id from engineer where id = $1", engineer_id))["user_id"]
    device = new_id()
    async with depot.work() as work:
        await work.execute(
            "insert into device (id, user_id, name, enrolled_at) values ($1, $2, 'phone', $3)",
            device,
            user,
            work.now,
        )
    return Sender(depot, engineer_id, user, device)


async def use(depot: Depot, **lane: Any) -> None:
    """Let the organisation decide by a policy with these rules of the red lane."""
    async with depot.work() as work:
        await policies.save(work, {"name": "red", "redLane": lane}, activate=True)


async def p0(depot: Depot, km: float = 0.0, **more: Any) -> UUID:
    """An urgent order so many kilometres north of the depot."""
    return await depot.order(km, priority="P0", **more)


async def hand(depot: Depot, order_id: UUID, engineer_id: UUID, start: Any = None, **more: Any) -> UUID:
    """A visit by a dispatcher's hand."""
    async with depot.work() as work:
        return await assign.assign(work, order_id, engineer_id, start, **more)


async def state_of_order(depot: Depot, order_id: UUID) -> str:
    """The order's state."""
    return str((await depot.row("select state from work_order where id = $1", order_id))["state"])


async def visit_of(depot: Depot, lane_id: UUID) -> Any:
    """The visit that the lane offers."""
    return await depot.visit((await lane(depot, lane_id))["visit_id"])


async def start(depot: Depot, order_id: UUID) -> UUID:
    """Start a lane; its id."""
    return await depot.db.run(depot.org, lambda work: red_lane.start(work, order_id), actor=depot.dispatcher)


async def lane(depot: Depot, lane_id: UUID) -> Any:
    """The lane's row."""
    return await depot.row("select * from red_lane where id = $1", lane_id)


async def said(depot: Depot, lane_id: UUID) -> list[tuple[UUID, str | None]]:
    """Who was asked, in order, and what they answered."""
    rows = await depot.fetch(
        "select engineer_id, answer from red_offer where lane_id = $1 order by round", lane_id
    )
    return [(row["engineer_id"], row["answer"]) for row in rows]


async def time_is_up(depot: Depot, lane_id: UUID) -> None:
    """The time of whoever is asked runs out: armed timers of the lane are due by the database's clock."""
    async with depot.work() as work:
        await work.execute(
            "update timer set due_at = now() - interval '1 second' where key like $1 and state = 'armed'",
            f"red:{lane_id}:%",
        )


class Worker(dict[str, Any]):
    """Handlers of the red lane that count what they handled; what else is owed (promises that ran out long ago by the
    database's clock) is passed over."""

    def __init__(self) -> None:
        super().__init__({channel: self._counted(handler) for channel, handler in HANDLERS.items()})
        self.handled: Counter[UUID] = Counter()

    def get(self, channel: str, default: Any = None) -> Any:
        return super().get(channel, self._pass)

    async def _pass(self, db: Database, item: Claimed) -> None:
        return None

    def _counted(self, handler: Handler) -> Handler:
        async def handle(db: Database, item: Claimed) -> str | None:
            self.handled[item.org_id] += 1
            return await handler(db, item)

        return handle


async def turn(depot: Depot) -> int:
    """The worker's turn: fire what is due, handle what is owed; how many messages there were of the organisation's lanes."""
    worker = Worker()
    await drain(depot.db, worker)
    return worker.handled[depot.org]


async def kinds(depot: Depot, prefix: str = "") -> list[str]:
    """Kinds of the journal's lines, in the order in which they were written."""
    rows = await depot.fetch("select kind from journal order by id")
    return [row["kind"] for row in rows if row["kind"].startswith(prefix)]


DOUBLE_BOOKED = """
select a.id, b.id from visit a join visit b
  on b.org_id = a.org_id and b.engineer_id = a.engineer_id and b.id > a.id
where a.org_id = callout_org() and a.ended_at is null and b.ended_at is null
  and a.plan <> 'canceled' and b.plan <> 'canceled'
  and a.scheduled_start < b.scheduled_end and b.scheduled_start < a.scheduled_end
"""
"""Pairs of live visits of one engineer that overlap."""
TWO_VISITS = """
select order_id from visit where org_id = callout_org() and ended_at is null and plan <> 'canceled'
group by order_id having count(*) > 1
"""
"""Orders with two live visits."""
