"""A visit that waits for its signature, and an application that has only the sign-off's door."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from litestar import Litestar
from litestar.datastructures import State
from litestar.static_files import create_static_files_router
from worlds import World

from callout_backend.doors import signoff as door
from callout_backend.ops.envelope import Envelope
from callout_backend.problems import EXCEPTION_HANDLERS
from callout_backend.web.assets import STATIC_FOLDER
from callout_orders import signoff
from callout_orders.summary import Summary, SummaryPart
from callout_store.work import Database

STROKES = [[(0.1, 0.6, 0), (0.3, 0.2, 90), (0.5, 0.7, 200)], [(0.6, 0.5, 400)]]
ARRIVED = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
SUMMARY = Summary(
    organisation="Bay <Field> Service",
    order_number="WO-000417",
    description="Pump in the cellar leaks and trips the breaker.",
    engineer="Eva Torres",
    customer="Bay Laundry",
    site="Cellar",
    address="1455 Market Street, San Francisco",
    asset="Pump P-200 (SN-1)",
    outcome="completed",
    work=("Shaft seal worn, water in the motor housing.", "Replaced the seal, dried and tested 20 minutes."),
    parts=(
        SummaryPart(code="SEAL-1", name="Shaft seal 25 mm", quantity=1, new_serial="SE-99812"),
        SummaryPart(code="OIL-2", name="Gear oil", quantity=2, unit="l"),
    ),
    arrived_at=ARRIVED,
    finished_at=ARRIVED + timedelta(minutes=95),
    time_zone="Asia/Shanghai",
).as_dict()


class Case(msgspec.Struct):
    """A visit of an organisation of its own."""

    world: World
    order_id: UUID
    visit_id: UUID

    async def link(self, *, ttl: timedelta = signoff.TTL_DEFAULT, locale: str = "en") -> str:
        """A fresh token."""
        async with self.world.db.work(self.world.org) as work:
            return await signoff.create_link(
                work, self.visit_id, self.order_id, SUMMARY, locale, created_by=None, ttl=ttl
            )

    async def state(self, token: str) -> str:
        """How a link stands."""
        async with self.world.db.work(self.world.org) as work:
            return (await signoff.open_link(work, token)).state

    async def signatures(self) -> list[Any]:
        """What was signed for the visit."""
        return await self.world.fetch("select * from signature where visit_id = $1", self.visit_id)


async def make_case(db: Database) -> Case:
    """A dispatched visit."""
    world = await World(db).build(phones=1)
    order_id = await world.order()
    return Case(world, order_id, await world.visit(world.phones[0], order_id))


def make_app(db: Database) -> Litestar:
    """The door and its static files, in the envelope that every request goes through."""
    app = Litestar(
        route_handlers=[
            *door.ROUTES,
            create_static_files_router(path="/static", directories=[STATIC_FOLDER]),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        state=State({"db": db}, deep_copy=False),
        logging_config=None,
        openapi_config=None,
    )
    app.asgi_handler = Envelope(app.asgi_handler, body_seconds_max=5)
    return app
