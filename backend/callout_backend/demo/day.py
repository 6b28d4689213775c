"""`callout demo`: import, dispatch, play the day, let the storm come in, compare, report.

The day lies in the past and passes in less than a minute, on API processes of the demo's own that live by a fast clock.
No worker takes part: timers fire by the database's clock, so the day's SLA timers rest until the day is over.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from rich.console import Console

from callout_backend.demo import (
    box,
    compare,
    copies,
    desk_setup,
    evening,
    intake,
    morning,
    report,
    sf311,
    world,
)
from callout_backend.demo.crew import Crew, EngineerDay
from callout_backend.demo.desk_day import DeskDay
from callout_backend.demo.desk_sheet import one_week
from callout_backend.demo.fast import api_servers, slow
from callout_backend.demo.live import RedDesk, Watch, learn
from callout_backend.demo.noise import skew_of
from callout_backend.demo.office import Desk, Office, contact_email
from callout_backend.demo.options import check_options
from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.settings import Settings
from callout_backend.wiring import make_database, rest_arrivals
from callout_client import HttpTransport
from callout_orders.flow.deadlines import CHANNEL as STEP_CHANNEL
from callout_orders.intake import SLA_CHANNEL
from callout_people.passwords import shared
from callout_store import journal, timers
from callout_store.clock import FastClock, ManualClock, SystemClock
from callout_store.work import Database

SEED, ENGINEERS, SPEED = 1, 40, 1000.0
EMERGENCIES: Final = 4
"""P0s that come in when the day is planned."""
PLAYED: Final = "demo.played"
AT_ONCE: Final = 8
"""Phones that enrol at the same time."""
PROLOGUE_S: Final = 3.0
"""How long the API takes to start; the fast day begins about when the first phone enrols."""
STORM_SECONDS_MAX: Final = 120.0
SETTLE_ROUNDS: Final = 8


async def main(
    settings: Settings,
    *,
    seed: int = SEED,
    orders: int | None = None,
    engineers: int = ENGINEERS,
    speed: float = SPEED,
    json: Path | None = None,
    console: Console | None = None,
) -> int:
    """Play the demo, or show what it was where these very options were played before; the exit code.

    1 when a command was lost or doubled, or a phone's copy differs from the tables.
    """
    check_options(orders, engineers, speed)
    console = console or Console(stderr=True)
    db = make_database(settings, clock=SystemClock())
    rest_arrivals(db)
    await db.start()
    try:
        options = {"seed": seed, "orders": orders, "engineers": engineers, "speed": speed}
        slug, told = await _earlier(db, options)
        if told is None:
            told = await Demo(settings, db, slug, console).play(
                seed=seed, orders=orders, engineers=engineers, speed=speed
            )
            org_id = UUID(told["organisation"]["id"])
            async with db.work(org_id) as work:
                await journal.write(
                    work,
                    journal.Entry(
                        kind=PLAYED,
                        entity="organisation",
                        entity_id=org_id,
                        data={"options": options, "told": told},
                    ),
                )
        report.show(console, told)
        await box.write_down(settings, db, told)
    finally:
        await db.stop()
    if json is not None:
        report.write_json(json, told)
    return 0 if report.clean(told) else 1


class Demo:
    """One play of the day."""

    def __init__(self, settings: Settings, db: Database, slug: str, console: Console) -> None:
        self.settings, self.db, self.slug, self.console = settings, db, slug, console
        self.seconds: dict[str, float] = {}
        self._lap = time.monotonic()

    async def play(self, *, seed: int, orders: int | None, engineers: int, speed: float) -> dict[str, Any]:
        """Everything, from the file to the figures."""
        timers.rest(STEP_CHANNEL)
        try:
            return await self._play(seed=seed, orders=orders, engineers=engineers, speed=speed)
        finally:
            timers.wake(STEP_CHANNEL)

    async def _play(self, *, seed: int, orders: int | None, engineers: int, speed: float) -> dict[str, Any]:
        day = world.demo_day(datetime.now(UTC))
        self.db.clock = ManualClock(world.at(day, 7, 50))
        rng = random.Random(f"{seed}:world")
        sheet = sf311.read(sf311.packaged_rows())
        rejected_file = self.settings.data / "demo" / "rejected.csv"
        sf311.write_rejected(rejected_file, sheet.rejected)
        report.show_rejected(self.console, sheet, rejected_file)
        chosen = sheet.usable
        if orders is not None and orders < len(chosen):
            chosen = sorted(rng.sample(chosen, orders), key=lambda request: request.row)
        today = {
            request.key
            for request in rng.sample(chosen, min(world.ENGINEER_DAY_ORDERS * engineers, len(chosen)))
        }

        urgent = [one for one in chosen if one.priority == "P0" and one.key not in today]
        # Whoever has the skill at all may go: an emergency does not wait for the best hand.
        emergencies = {
            one.key: msgspec.structs.replace(one, level=1)
            for one in rng.sample(urgent, min(EMERGENCIES, len(urgent)))
        }
        week = one_week([one for one in chosen if one.key not in today and one.key not in emergencies])
        later = {*emergencies, *(one.key for one in week)}
        known = [one for one in chosen if one.key not in later]
        staff, places, imported = await self._import(chosen, known, today, day, engineers, rng)
        todays = [one.order_id for one in imported if one.request.key in today]
        skills = {one.order_id: one.request.skill for one in imported}
        planned = await morning.plan_day(
            self.db, staff, world.at(day, 8), world.at(day, 18), todays, seed=seed
        )
        await self._analyze()
        self._took("plan")

        now = datetime.now(UTC)
        clock = FastClock(
            world.at(day, 7, 53), now + timedelta(seconds=(PROLOGUE_S + engineers * 0.04) * slow()), speed
        )
        crew = Crew(clock, world.at(day, 18), [str(one.visit_id) for one in planned.visits])
        async with api_servers(self.settings, clock, self.settings.data) as clients:
            desk = await Desk(clients[0]).sign_in(
                organisation=staff.slug, email=staff.emails["dispatcher"], password=box.PASSWORD
            )
            office = Office(
                staff,
                desk,
                crew,
                [(one.visit_id, one.engineer_id, skills[one.order_id]) for one in planned.visits],
                seed=f"{seed}:office",
            )
            watch = Watch(self.db, office, clients[0])
            days = [
                EngineerDay(
                    seat,
                    crew,
                    HttpTransport(clients[number % len(clients)]),
                    skew=skew_of(rng),
                    seed=f"{seed}:{number}",
                    parts=[(str(id_), skill) for id_, skill in staff.parts],
                )
                for number, seat in enumerate(staff.seats)
            ]
            await self._enrol(office, days)
            self._took("enrolment")
            self.db.clock = clock
            ordered = await self._customers_order(office, staff, places, clients)
            signing_done = asyncio.Event()
            signing = asyncio.create_task(office.customers_sign(signing_done, clients))
            watching = asyncio.create_task(watch.look_on(signing_done))
            with report.day_bar(self.console, clock, world.at(day, 8), crew.ends_at):
                red = RedDesk(self.db, office, places, days)
                await _all(
                    *(one.work() for one in days),
                    office.change_the_day(list(emergencies.values()), ordered, red.send),
                )
            self._took("day")
            before = _handled(days)
            async with asyncio.timeout(STORM_SECONDS_MAX):
                await _all(*(one.come_back() for one in days))
            storm_s = self._took("storm")
            after = _handled(days)
            signing_done.set()
            await asyncio.gather(signing, watching)
            compared = await self._settle(staff.org_id, days)
            made = [one for of_one in days for one in of_one.made]
            commands = await compare.compare_commands(self.db, staff.org_id, made)
            clocks = await compare.compare_clocks(
                self.db, staff.org_id, [one for one in made if not one.twin]
            )
            self._took("comparison")
        self.db.clock = ManualClock(world.at(day, 19))
        desk_world = await desk_setup.set_up(self.db, staff, password_hash=await shared().hash(box.PASSWORD))
        told: Counter[str] = Counter()
        await evening.evening(self.db, staff, desk_world, rng=random.Random(f"{seed}:evening"), counts=told)
        self.db.clock = SystemClock()
        await evening.wake_steps(self.db, staff)
        self._took("evening")
        await self._clocks(staff, [*todays, *ordered, *red.orders])
        learned = await learn(self.db, staff.org_id)
        await world.plan_on(self.db, staff, day)
        self._took("sla")
        at_desk = DeskDay(self.settings, self.db, staff, desk_world)
        await at_desk.play(week, places)
        self._took("desk")
        async with self.db.work(staff.org_id) as work:
            tallies = await compare.tallies(work)
        return report.collect(
            organisation={"id": str(staff.org_id), "slug": staff.slug, "day": str(day)},
            sheet=sheet,
            imported=len(imported) + len(red.orders) + at_desk.counts["by sheet"],
            desk=dict(told + at_desk.counts),
            desk_refused=dict(at_desk.refused),
            planned=planned,
            days=days,
            office=office,
            copies=compared,
            commands=commands,
            tallies=tallies,
            clocks=clocks,
            learned=learned,
            track_orders=watch.orders,
            storm={
                "seconds": round(storm_s, 2),
                "commands": after[0] - before[0],
                "documents": after[1] - before[1],
                "commands_per_s": round((after[0] - before[0]) / max(storm_s, 1e-9), 1),
                "documents_per_s": round((after[1] - before[1]) / max(storm_s, 1e-9), 1),
            },
            seconds=self.seconds,
        )

    async def _import(
        self,
        chosen: list[sf311.Request],
        known: list[sf311.Request],
        today: set[str],
        day: Any,
        engineers: int,
        rng: random.Random,
    ) -> tuple[world.Staff, intake.Places, list[intake.Imported]]:
        password_hash = await shared().hash(box.PASSWORD)
        staff = await world.make_staff(
            self.db,
            slug=self.slug,
            day=day,
            requests=chosen,
            count=engineers,
            password_hash=password_hash,
            rng=rng,
        )
        minutes = {key: rng.uniform(39, 49) for key in sorted(today)}
        with report.import_bar(self.console, len(known)) as advance:
            places = await intake.make_places(
                self.db, staff, chosen, password_hash=password_hash, progress=lambda _: None
            )
            imported = await intake.import_orders(
                self.db,
                staff,
                places,
                known,
                today=lambda request: (
                    world.at(day, 7) + timedelta(minutes=minutes[request.key])
                    if request.key in today
                    else None
                ),
                progress=advance,
            )
        await self._analyze()
        self._took("import")
        return staff, places, imported

    async def _enrol(self, office: Office, days: list[EngineerDay]) -> None:
        room = asyncio.Semaphore(AT_ONCE)

        async def one(day: EngineerDay) -> None:
            async with room:
                await day.enrol(self.slug, await office.enrolment_code(day.seat.user_id))

        await _all(*(one(day) for day in days))

    async def _customers_order(
        self, office: Office, staff: world.Staff, places: intake.Places, clients: list[Any]
    ) -> list[UUID]:
        """The contacts who may sign in order something for a site of theirs."""
        ordered = []
        for number, name in enumerate(list(places.customers)[: intake.CONTACT_USERS], start=1):
            site_id = next(id_ for (customer, _), id_ in places.sites.items() if customer == name)
            desk = await Desk(clients[-1]).sign_in(
                organisation=staff.slug, email=contact_email(number), password=box.PASSWORD
            )
            ordered.append(await office.order_as_customer(desk, site_id, number))
        async with self.db.work(staff.org_id) as work:
            await intake.rest(work, ordered)
        return ordered

    async def _settle(self, org_id: UUID, days: list[EngineerDay]) -> copies.Copies:
        """Pull until every phone is quiet and equal; a writer elsewhere may hold rows back for a moment."""
        for _ in range(SETTLE_ROUNDS):
            await _all(*(day.settle() for day in days))
            compared = await copies.compare_copies(self.db, org_id, [day.held() for day in days])
            if not compared.mismatched:
                break
            await asyncio.sleep(0.25)
        return compared

    async def _clocks(self, staff: world.Staff, order_ids: list[UUID]) -> None:
        """Let the day's SLA timers fire: each promise that was not kept is journaled, here or by a worker beside us."""
        await intake.arm_again(self.db, staff, order_ids)
        handlers = {SLA_CHANNEL: make_handlers(self.settings)[SLA_CHANNEL]}
        for _ in range(40):
            await drain(self.db, handlers, only=True)
            async with self.db.work(staff.org_id) as work:
                open_ = await work.fetchval(
                    "select count(*) from outbox where org_id = callout_org() and channel = $1 "
                    "and state in ('ready', 'leased')",
                    SLA_CHANNEL,
                )
            if not open_:
                return
            await asyncio.sleep(0.1)

    async def _analyze(self) -> None:
        """After thousands of rows at once the planner's figures are of an empty database; the owner may renew them."""
        if self.settings.owner_url is None:
            return
        connection = await asyncpg.connect(self.settings.owner_url)
        try:
            await connection.execute("analyze")
        finally:
            await connection.close()

    def _took(self, what: str) -> float:
        now = time.monotonic()
        seconds = now - self._lap
        self._lap = now
        self.seconds[what] = round(seconds, 2)
        return seconds


async def _earlier(db: Database, options: Mapping[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """The slug to play under, or the one where these options were played, with what was told then."""
    number = 1
    while True:
        slug = "golden-gate" if number == 1 else f"golden-gate-{number}"
        async with db.work(None, org_slug=slug) as work:
            org_id = await work.fetchval("select id from organisation where slug = $1", slug)
        if org_id is None:
            return slug, None
        async with db.work(org_id) as work:
            data = await work.fetchval("select data::text from journal where kind = $1 limit 1", PLAYED)
        if data is not None:
            played = msgspec.json.decode(data)
            if played["options"] == dict(options):
                return slug, played["told"]
        number += 1


async def _all(*acts: Any) -> None:
    async with asyncio.TaskGroup() as group:
        for act in acts:
            group.create_task(act)


def _handled(days: list[EngineerDay]) -> tuple[int, int]:
    counts: Counter[str] = Counter()
    for day in days:
        counts["commands"] += sum(day.answers.values())
        counts["documents"] += day.pulled
    return counts["commands"], counts["documents"]
