"""The swarm's organisation, and what its office does every day: new visits, moves, calls-off, crews, edits of its own."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch import crew, engineers, reassign
from callout_dispatch.engineer_terms import NewEngineer, NewSkill
from callout_dispatch.visit_rows import NewVisit, insert_visits, lock_calendars
from callout_geo.points import Point
from callout_orders import customers, intake, stock
from callout_people import organisations, users
from callout_people.principals import Role
from callout_store.errors import Refusal
from callout_store.ids import new_id
from callout_store.work import Actor, Database, Work
from callout_sync import edits

CENTRE: Final = Point(31.2304, 121.4737)
SPREAD_DEG: Final = 0.15
SKILL: Final = "general"
PARTS: Final = ("Seal", "Bearing", "Fuse", "Filter")
LOADED: Final = 1000
"""Of each part on each van at the start: enough for every day to come."""
SITES_A_PHONE: Final = 3
DAY_VISITS_MAX: Final = 200
"""Visits planned in one transaction."""


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """An engineer."""

    number: int
    id: UUID
    user_id: UUID
    home: Point


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where work is done."""

    customer_id: UUID
    site_id: UUID
    contact_id: UUID
    asset_id: UUID
    point: Point


class Field:
    """The organisation. `counts`: what the office did; `refused`: what the rules did not allow, by code."""

    def __init__(self, db: Database, rng: random.Random) -> None:
        self.db, self.rng = db, rng
        self.org_id = new_id()
        self.slug = f"swarm-{self.org_id.hex[-12:]}"
        self.office = Actor(user_id=new_id(), role=Role.DISPATCHER.value)
        self.seats: list[Seat] = []
        self.places: list[Place] = []
        self.parts: list[UUID] = []
        self.visits: list[UUID] = []
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    async def found(self, phones: int) -> None:
        """The organisation with one engineer a phone, their vans loaded, and three sites an engineer."""
        async with self.db.work(self.org_id) as work:
            await organisations.create_organisation(
                work, slug=self.slug, name="Swarm", time_zone="Asia/Shanghai"
            )
            assert self.office.user_id is not None
            boss = users.NewUser(
                id=self.office.user_id, email="office@swarm.example", name="Office", role=Role.DISPATCHER
            )
            await users.create_users(work, [boss])
        for start in range(0, phones, 500):
            await self.db.run(self.org_id, lambda work, s=start: self._hire(work, s, min(500, phones - s)))  # type: ignore[misc]
        for start in range(0, phones * SITES_A_PHONE, 500):
            count = min(500, phones * SITES_A_PHONE - start)
            await self.db.run(self.org_id, lambda work, s=start, c=count: self._places(work, s, c))  # type: ignore[misc]

    async def _hire(self, work: Work, start: int, count: int) -> None:
        work.actor = self.office
        people = await users.create_users(
            work,
            [
                users.NewUser(email=f"e{n}@swarm.example", name=f"Engineer {n}", role=Role.ENGINEER)
                for n in range(start, start + count)
            ],
        )
        if not start:
            await engineers.create_skills(work, [NewSkill(code=SKILL, name_en="General", name_zh="通用")])
            self.parts = await customers.create_parts(
                work, [customers.NewPart(code=f"P-{n}", name=name) for n, name in enumerate(PARTS)]
            )
        homes = [self._somewhere() for _ in people]
        ids = await engineers.create_engineers(
            work,
            [
                NewEngineer(
                    user_id=user,
                    name=f"Engineer {start + n}",
                    home_lat=home.lat,
                    home_lng=home.lng,
                    skills={SKILL: 3},
                )
                for n, (user, home) in enumerate(zip(people, homes, strict=True))
            ],
        )
        for id_ in ids:
            await stock.move(
                work,
                [
                    stock.Move(holder_id=id_, part_id=part, quantity=LOADED, reason="loaded")
                    for part in self.parts
                ],
            )
        self.seats += [
            Seat(number=start + n, id=id_, user_id=user, home=home)
            for n, (id_, user, home) in enumerate(zip(ids, people, homes, strict=True))
        ]

    async def _places(self, work: Work, start: int, count: int) -> None:
        work.actor = self.office
        numbers = range(start, start + count)
        owners = await customers.create_customers(
            work, [customers.NewCustomer(number=f"C-{n}", name=f"Customer {n}") for n in numbers]
        )
        points = [self._somewhere() for _ in numbers]
        sites = await customers.create_sites(
            work,
            [
                customers.NewSite(
                    customer_id=owner,
                    name=f"Site {n}",
                    address=f"{n} Long Street",
                    lat=point.lat,
                    lng=point.lng,
                )
                for n, owner, point in zip(numbers, owners, points, strict=True)
            ],
        )
        contacts = await customers.create_contacts(
            work,
            [
                customers.NewContact(customer_id=owner, name=f"Contact {n}")
                for n, owner in zip(numbers, owners, strict=True)
            ],
        )
        assets = await customers.create_assets(
            work,
            [
                customers.NewAsset(site_id=site, serial=f"S-{n}", model=f"M-{n % 7}", name=f"Pump {n}")
                for n, site in zip(numbers, sites, strict=True)
            ],
        )
        self.places += [
            Place(customer_id=o, site_id=s, contact_id=c, asset_id=a, point=p)
            for o, s, c, a, p in zip(owners, sites, contacts, assets, points, strict=True)
        ]

    async def plan_day(self, starts: datetime, visits_a_phone: int) -> None:
        """Orders and visits of one day, given to engineers near the phone's own sites more often than not."""
        plan = [(seat, slot) for seat in self.seats for slot in range(visits_a_phone)]
        for start in range(0, len(plan), DAY_VISITS_MAX):
            chunk = plan[start : start + DAY_VISITS_MAX]
            await self.db.run(self.org_id, lambda work, c=chunk: self._plan(work, starts, c))  # type: ignore[misc]

    async def _plan(self, work: Work, starts: datetime, plan: list[tuple[Seat, int]]) -> None:
        work.actor = self.office
        where = [self._place_of(seat) for seat, _ in plan]
        orders = await intake.create_orders(
            work,
            [
                intake.NewOrder(
                    customer_id=place.customer_id,
                    site_id=place.site_id,
                    contact_id=place.contact_id,
                    asset_id=place.asset_id,
                    priority=self.rng.choice(("P1", "P2", "P2")),
                    kind=self.rng.choice(("service", "repair")),
                    description="The pump makes a noise.",
                    channel="hotline",
                    skills={SKILL: 1},
                    duration_minutes=30,
                )
                for place in where
            ],
        )
        await lock_calendars(work, [seat.id for seat, _ in plan])
        made = [
            NewVisit(
                order_id=order.id,
                engineer_id=seat.id,
                start=starts + timedelta(hours=8 + 2 * slot),
                end=starts + timedelta(hours=9 + 2 * slot),
                travel_minutes=15.0,
                method="hand",
            )
            for order, (seat, slot) in zip(orders, plan, strict=True)
        ]
        await insert_visits(work, made)
        self.visits += [visit.id for visit in made]
        self.counts["visits"] += len(made)

    async def change_day(self, acts: int) -> None:
        """The office changes its mind `acts` times about recent visits and places."""
        recent = self.visits[-4 * max(len(self.seats), 1) :]
        for _ in range(acts):
            visit_id, place = self.rng.choice(recent), self.rng.choice(self.places)
            seat = self.rng.choice(self.seats)
            dice = self.rng.random()
            if dice < 0.4:
                await self._try(
                    "reassigned",
                    lambda work, v=visit_id, e=seat.id: reassign.reassign(  # type: ignore[misc]
                        work, visit_id=v, engineer_id=e, override=True, reason="swarm"
                    ),
                )
            elif dice < 0.5:
                await self._try("canceled", lambda work, v=visit_id: reassign.cancel_visit(work, v, "swarm"))  # type: ignore[misc]
            elif dice < 0.7:
                await self._try(
                    "crews changed",
                    lambda work, v=visit_id, e=seat.id: crew.set_crew(
                        work, v, [e], override=True, reason="swarm"
                    ),  # type: ignore[misc]
                )
            else:
                note = f"Gate code {self.rng.randrange(10_000)}"
                await self._try("fields edited", lambda work, p=place, n=note: _edit_site(work, p, n))  # type: ignore[misc]

    async def _try(self, what: str, act: Callable[[Work], Awaitable[Any]]) -> None:
        try:
            await self.db.run(self.org_id, act, actor=self.office)
        except Refusal as refusal:
            # Also a database that crashes just then: the office thinks of something else.
            self.refused[refusal.code] += 1
        else:
            self.counts[what] += 1

    def _place_of(self, seat: Seat) -> Place:
        # Mostly its own district, so that phones come back to the same assets; now and then another's.
        if self.rng.random() < 0.2:
            return self.rng.choice(self.places)
        return self.places[seat.number * SITES_A_PHONE + self.rng.randrange(SITES_A_PHONE)]

    def _somewhere(self) -> Point:
        return Point(
            CENTRE.lat + self.rng.uniform(-SPREAD_DEG, SPREAD_DEG),
            CENTRE.lng + self.rng.uniform(-SPREAD_DEG, SPREAD_DEG),
        )


async def _edit_site(work: Work, place: Place, note: str) -> None:
    """The office writes what it was told on the telephone, having read the site a moment ago."""
    revision = await work.fetchval(
        "select revision from site where org_id = callout_org() and id = $1", place.site_id
    )
    await edits.apply_at_desk(
        work, entity="site", id=place.site_id, base_revision=revision, changes={"accessNote": note}
    )
