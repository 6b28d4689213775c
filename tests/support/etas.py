"""What tests of expected arrivals tell and ask."""

from datetime import datetime
from typing import Any
from uuid import UUID

from depots import Depot

from callout_backend.jobs.drain import Handlers
from callout_backend.jobs.etas import CHANNEL, refresh
from callout_dispatch import visits
from callout_dispatch.events import Happened, Reporter
from callout_dispatch.visit_states import EventKind
from callout_store.ids import new_id
from callout_store.work import Actor

HANDLERS: Handlers = {CHANNEL: refresh}


async def let_timers_fire(depot: Depot) -> None:
    """Timers rest for a while after the clock was seen to jump, as it does between tests."""
    async with depot.db.system_work() as work:
        await work.execute("update clock_guard set frozen_until = null, looked_at = now()")


async def eta(depot: Depot, visit: UUID) -> Any:
    """The visit's expected arrival as it is stored."""
    return await depot.row("select * from visit_eta where visit_id = $1", visit)


async def lines(depot: Depot, *kinds: str) -> list[Any]:
    """The journal's lines of these kinds."""
    return await depot.fetch(
        "select kind, visit_id, data::text as data from journal where kind = any($1) order by at, id",
        list(kinds),
    )


async def tell(depot: Depot, engineer: UUID, visit: UUID, kind: str, at: datetime) -> None:
    """What an engineer's phone reports, through the door of dispatch."""
    user = await depot.row("select user_id from engineer where id = $1", engineer)
    actor = Actor(user_id=user["user_id"], role="engineer", engineer_id=engineer)
    async with depot.db.work(depot.org, actor=actor) as work:
        locked = await visits.lock(work, [visit], engineer_id=engineer)
        event = Happened(
            id=new_id(),
            visit_id=visit,
            kind=EventKind(kind),
            device_time=at,
            received_at=at,
            corrected_at=at,
            clock_offset_ms=0,
            schema_version=2,
            source="phone",
            data={},
        )
        reporter = Reporter(engineer_id=engineer, user_id=user["user_id"], device_id=None)
        await visits.record(work, locked, [event], reporter)
