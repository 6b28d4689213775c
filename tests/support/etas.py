"""An engineer's reports in tests of expected arrivals."""

from datetime import datetime
from uuid import UUID

from depots import Depot

from callout_dispatch import visits
from callout_dispatch.events import Happened, Reporter
from callout_dispatch.visit_states import EventKind
from callout_store.ids import new_id
from callout_store.work import Actor


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
