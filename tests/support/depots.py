"""An organisation for tests of dispatching, on a clock that stands still: a depot, engineers around it, a customer."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from callout_backend.wiring import add_hooks
from callout_dispatch import engineers, visit_rows
from callout_dispatch.engineers import NewEngineer, NewShift, NewSkill, Position
from callout_dispatch.visit_rows import NewVisit
from callout_orders import customers, intake
from callout_orders.customers import NewCustomer, NewSite
from callout_orders.intake import NewOrder
from callout_people import organisations, users
from callout_people.principals import Role
from callout_people.users import NewUser
from callout_store.clock import ManualClock
from callout_store.ids import new_id
from callout_store.work import Actor, Database, Work

NINE = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
LAT, LNG = 37.77, -122.42
KM = 1 / 111.0
"""One kilometre to the north, in degrees."""


class Depot:
    """One organisation; `await Depot(db).build()`. It is nine o'clock; shifts last from eight to five."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.org = new_id()
        self.dispatcher = Actor(user_id=new_id(), role="dispatcher")

    async def build(self) -> "Depot":
        user_id = self.dispatcher.user_id
        async with self.work() as work:
            await organisations.create_organisation(work, slug=f"d-{self.org.hex[-20:]}", name="Depot")
            await users.create_users(
                work, [NewUser(id=user_id, email="d@example.org", name="Dora", role=Role.DISPATCHER)]
            )
            await engineers.create_skills(
                work,
                [
                    NewSkill(code="hvac", name_en="Air", name_zh="暖通"),
                    NewSkill(code="lift", name_en="Lift", name_zh="电梯"),
                ],
            )
            self.customer = await customers.create_customer(work, NewCustomer(number="C-1", name="Ada"))
        return self

    @asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        async with self.db.work(self.org, actor=self.dispatcher) as work:
            yield work

    async def users(self, count: int) -> list[UUID]:
        async with self.work() as work:
            return await users.create_users(
                work,
                [
                    NewUser(email=f"{new_id().hex}@example.org", name=f"User {n}", role=Role.ENGINEER)
                    for n in range(count)
                ],
            )

    async def crew(
        self,
        *kms: float,
        skills: Sequence[Mapping[str, int]] | Mapping[str, int] = {"hvac": 3},
        start: datetime = NINE - timedelta(hours=1),
        hours: float = 9,
        online: bool = True,
    ) -> list[UUID]:
        """Engineers at so many kilometres north of the depot, with one shift each."""
        people = await self.users(len(kms))
        async with self.work() as work:
            made = await engineers.create_engineers(
                work,
                [
                    NewEngineer(
                        user_id=user,
                        name=f"Engineer {n}",
                        home_lat=LAT + km * KM,
                        home_lng=LNG,
                        skills=skills if isinstance(skills, Mapping) else skills[n],
                    )
                    for n, (user, km) in enumerate(zip(people, kms, strict=True))
                ],
            )
            if hours:
                end = start + timedelta(hours=hours)
                await engineers.set_shifts(
                    work, [NewShift(engineer_id=id_, starts_at=start, ends_at=end) for id_ in made]
                )
            if online:
                await engineers.mark_seen(work, *made)
        return made

    async def at(self, engineer: UUID, km: float, **more: Any) -> None:
        """The engineer reports to be so many kilometres north of the depot."""
        async with self.work() as work:
            position = {"at": work.now, **more}
            await engineers.report_position(
                work, Position(engineer_id=engineer, lat=LAT + km * KM, lng=LNG, **position)
            )

    async def orders(self, count: int, km: float = 0.0, **more: Any) -> list[UUID]:
        """Orders at one new site so many kilometres north of the depot."""
        values: dict[str, Any] = {
            "priority": "P1",
            "kind": "repair",
            "description": "It does not cool",
            "channel": "hotline",
            "skills": {"hvac": 2},
            "duration_minutes": 60,
            **more,
        }
        async with self.work() as work:
            site = await customers.create_site(
                work,
                NewSite(
                    customer_id=self.customer, name="Site", address="1 Main St", lat=LAT + km * KM, lng=LNG
                ),
            )
            made = await intake.create_orders(
                work, [NewOrder(customer_id=self.customer, site_id=site, **values) for _ in range(count)]
            )
        return [one.id for one in made]

    async def order(self, km: float = 0.0, **more: Any) -> UUID:
        return (await self.orders(1, km, **more))[0]

    async def fetch(self, sql: str, *args: Any) -> list[Any]:
        async with self.work() as work:
            return await work.fetch(sql, *args)

    async def row(self, sql: str, *args: Any) -> Any:
        [row] = await self.fetch(sql, *args)
        return row

    async def visit(self, visit_id: UUID) -> Any:
        return await self.row("select * from visit where id = $1", visit_id)


async def stand(
    depot: Depot, engineer: UUID, start: Any, *, km: float = 0.0, told: bool = False, **more: Any
) -> UUID:
    """A visit of an hour that stands."""
    order = await depot.order(km, **more)
    visit = NewVisit(
        order_id=order,
        engineer_id=engineer,
        start=start,
        end=start + timedelta(hours=1),
        travel_minutes=0.0,
        method="hand",
        told=told,
    )
    async with depot.work() as work:
        await visit_rows.insert_visits(work, [visit])
    return visit.id


@asynccontextmanager
async def standing_database(url: str) -> AsyncIterator[tuple[Database, ManualClock]]:
    """A database with the product's hooks whose clock stands at nine."""
    clock = ManualClock(NINE)
    database = Database(url, clock=clock)
    add_hooks(database)
    await database.start()
    try:
        yield database, clock
    finally:
        await database.stop()


async def deadlocks(admin_url: str) -> int:
    """How many deadlocks PostgreSQL has broken up in this database."""
    conn: Any = await asyncpg.connect(admin_url)
    try:
        count: int = await conn.fetchval(
            "select deadlocks from pg_stat_database where datname = current_database()"
        )
        return count
    finally:
        await conn.close()
