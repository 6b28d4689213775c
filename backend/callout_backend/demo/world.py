"""The demo's organisation in San Francisco: its people, skills, territories, catalogue, shifts and vans."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from callout_backend.demo.city import make_territories, save_policy
from callout_backend.demo.names import PARTS, fictional_phone, person
from callout_backend.demo.sf311 import SKILLS, Request
from callout_dispatch import engineers
from callout_dispatch.shifts import Break, PlannedShift, replace_shifts
from callout_geo.points import Point
from callout_orders import customers, stock
from callout_people import organisations, users
from callout_people.principals import Role
from callout_store.ids import new_id
from callout_store.work import Actor, Database, Work

CITY_ZONE: Final = ZoneInfo("America/Los_Angeles")
EMAIL_DOMAIN: Final = "golden-gate.example"
OFFICE: Final = (
    ("admin", "Robin Admin", Role.ADMIN, "en"),
    ("dispatcher", "Dana Dispatcher", Role.DISPATCHER, "en"),
    ("supervisor", "王主管", Role.SUPERVISOR, "zh"),
)
DAY_STARTS, DAY_ENDS = time(8), time(18)
ENGINEER_DAY_ORDERS: Final = 8
LUNCH_MINUTES: Final = 30
ONE_DAY: Final = timedelta(days=1)


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """An engineer of the demo."""

    id: UUID
    user_id: UUID
    name: str
    email: str
    locale: str
    home: Point
    skills: dict[str, int]
    shift: tuple[datetime, datetime]


class Staff(msgspec.Struct, frozen=True, kw_only=True):
    """Who works here and what they carry. `parts` are (id, skill)."""

    org_id: UUID
    slug: str
    dispatcher: Actor
    supervisor_id: UUID
    emails: dict[str, str]
    seats: list[Seat]
    parts: list[tuple[UUID, str]]


def demo_day(now: datetime) -> date:
    """The last day whose evening lies well before `now` in the city: a fast day may run late, never into the future."""
    local = now.astimezone(CITY_ZONE)
    today_is_over = local >= datetime.combine(local.date(), DAY_ENDS, CITY_ZONE) + timedelta(hours=5)
    return local.date() if today_is_over else local.date() - timedelta(days=1)


def at(day: date, hour: int, minute: int = 0) -> datetime:
    """An instant of that day in the city."""
    return datetime.combine(day, time(hour, minute), CITY_ZONE)


async def make_staff(
    db: Database,
    *,
    slug: str,
    day: date,
    requests: Sequence[Request],
    count: int,
    password_hash: str,
    rng: random.Random,
) -> Staff:
    """The organisation, its people, skills, territories, catalogue and vans."""
    org_id = new_id()
    async with db.work(org_id) as work:
        await organisations.create_organisation(
            work, slug=slug, name="Golden Gate Field Service", time_zone=CITY_ZONE.key
        )
    emails = {part: f"{part}@{EMAIL_DOMAIN}" for part, *_ in OFFICE}
    names = [person(number) for number in range(count)]
    async with db.work(org_id) as work:
        office = await users.create_users(
            work,
            [
                users.NewUser(
                    email=emails[part], name=name, role=role, locale=locale, password_hash=password_hash
                )
                for part, name, role, locale in OFFICE
            ],
        )
        crew = await users.create_users(
            work,
            [
                users.NewUser(
                    email=f"e{number + 1:02d}@{EMAIL_DOMAIN}",
                    name=name,
                    role=Role.ENGINEER,
                    locale=locale,
                    phone=fictional_phone(number),
                    password_hash=password_hash if number < 2 else None,
                )
                for number, (name, locale) in enumerate(names)
            ],
        )
    dispatcher = Actor(user_id=office[1], role=Role.DISPATCHER.value)
    async with db.work(org_id, actor=dispatcher) as work:
        seats = await _make_engineers(work, day, requests, names, crew, rng)
        parts = await _make_parts(work)
        await stock.move(
            work,
            [
                stock.Move(holder_id=seat.id, part_id=part, quantity=rng.randint(2, 12), reason="van loaded")
                for seat in seats
                for part, skill in parts
                if skill in seat.skills
            ],
        )
    return Staff(
        org_id=org_id,
        slug=slug,
        dispatcher=dispatcher,
        supervisor_id=office[2],
        emails=emails,
        seats=seats,
        parts=parts,
    )


async def _make_engineers(
    work: Work,
    day: date,
    requests: Sequence[Request],
    names: Sequence[tuple[str, str]],
    crew: Sequence[UUID],
    rng: random.Random,
) -> list[Seat]:
    await engineers.create_skills(
        work, [engineers.NewSkill(code=code, name_en=en, name_zh=zh) for code, (en, zh) in SKILLS.items()]
    )
    territory_ids = await make_territories(work, requests)
    await save_policy(work)
    demand = Counter(request.skill for request in requests)
    homes = [rng.choice(requests) for _ in names]
    skills = [_skills(number, demand, rng) for number in range(len(names))]
    ids = await engineers.create_engineers(
        work,
        [
            engineers.NewEngineer(
                user_id=user_id,
                name=name,
                home_lat=home.point.lat,
                home_lng=home.point.lng,
                # Every second one works in the whole city.
                territory_id=None if number % 2 else territory_ids.get(home.district),
                skills=levels,
            )
            for number, (user_id, (name, _), home, levels) in enumerate(
                zip(crew, names, homes, skills, strict=True)
            )
        ],
    )
    for number, id_ in enumerate(ids):
        await replace_shifts(work, id_, at(day, 0), at(day + ONE_DAY, 0), [_shift(day, number)])
    # Everybody signs on before the first visit: a P0 goes only to those who are online.
    await engineers.report_positions(
        work,
        [
            engineers.Position(
                engineer_id=id_, lat=home.point.lat, lng=home.point.lng, at=work.now, accuracy_m=20.0
            )
            for id_, home in zip(ids, homes, strict=True)
        ],
    )
    return [
        Seat(
            id=id_,
            user_id=user_id,
            name=name,
            email=f"e{number + 1:02d}@{EMAIL_DOMAIN}",
            locale=locale,
            home=home.point,
            skills=levels,
            shift=(_shift(day, number).starts_at, _shift(day, number).ends_at),
        )
        for number, (id_, user_id, (name, locale), home, levels) in enumerate(
            zip(ids, crew, names, homes, skills, strict=True)
        )
    ]


async def plan_on(db: Database, staff: Staff, day: date) -> None:
    """Shifts for the week after the demo's day, so that there is something to plan for whoever looks around."""
    async with db.work(staff.org_id, actor=staff.dispatcher) as work:
        for number, seat in enumerate(staff.seats):
            week = [_shift(day + ONE_DAY * n, number) for n in range(1, 8)]
            await replace_shifts(work, seat.id, at(day + ONE_DAY, 0), at(day + ONE_DAY * 8, 0), week)


def _shift(day: date, number: int) -> PlannedShift:
    """The hours of an engineer: from eight or from nine, with lunch in between."""
    first = 8 if number % 2 else 9
    lunch = Break(earliest=at(day, 11, 30), latest=at(day, 13, 30), minutes=LUNCH_MINUTES)
    return PlannedShift(starts_at=at(day, first), ends_at=at(day, first + 9), breaks=(lunch,))


def _skills(number: int, demand: Counter[str], rng: random.Random) -> dict[str, int]:
    """Two to four skills: the first by the city's demand so that the crew fits the work, the others at random."""
    codes = list(SKILLS)
    weights = [max(demand[code], 1) for code in codes]
    turn = (number + 0.5) / 7 % 1 * sum(weights)
    first = next(code for code, upto in zip(codes, _sums(weights), strict=True) if turn < upto)
    chosen = [first, *rng.sample([code for code in codes if code != first], rng.randint(1, 3))]
    return {code: rng.choice((2, 3, 3)) if code == first else rng.randint(1, 3) for code in chosen}


def _sums(weights: Sequence[int]) -> Iterator[int]:
    total = 0
    for weight in weights:
        total += weight
        yield total


async def _make_parts(work: Work) -> list[tuple[UUID, str]]:
    rows = [(skill, part) for skill, of_one in PARTS.items() for part in of_one]
    ids = await customers.create_parts(
        work, [customers.NewPart(code=code, name=name, unit=unit) for _, (code, name, unit) in rows]
    )
    return [(id_, skill) for id_, (skill, _) in zip(ids, rows, strict=True)]
