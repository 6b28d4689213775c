"""The demo's world: an organisation in San Francisco with people, customers, sites, machines, vans and imported orders.

Everything is written through the owners' plural functions, a thousand rows a transaction: an import that held one
transaction open would hold the feed's horizon back for every phone.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from callout_backend.demo.names import ASSETS, PARTS, fictional_phone, person
from callout_backend.demo.sf311 import SKILLS, SYSTEM, Request
from callout_dispatch import engineers
from callout_geo.points import Point
from callout_orders import customers, intake, stock
from callout_orders.sla import MilestoneName
from callout_people import organisations, users
from callout_people.principals import Role
from callout_store import timers
from callout_store.ids import new_id
from callout_store.work import Actor, Database, Work

T = TypeVar("T")

CITY_ZONE: Final = ZoneInfo("America/Los_Angeles")
CHUNK: Final = 1000
EMAIL_DOMAIN: Final = "golden-gate.example"
OFFICE: Final = (
    ("admin", "Robin Admin", Role.ADMIN, "en"),
    ("dispatcher", "Dana Dispatcher", Role.DISPATCHER, "en"),
    ("supervisor", "王主管", Role.SUPERVISOR, "zh"),
)
CONTACT_USERS: Final = 3
DAY_STARTS, DAY_ENDS = time(8), time(18)
ENGINEER_DAY_ORDERS: Final = 8
Progress = Callable[[int], None]


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
    emails: dict[str, str]
    seats: list[Seat]
    parts: list[tuple[UUID, str]]


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Whom and where: ids by what the requests say. `contacts` by customer, `assets` by (site, skill)."""

    customers: dict[str, UUID]
    contacts: dict[str, list[UUID]]
    sites: dict[tuple[str, str], UUID]
    assets: dict[tuple[UUID, str], UUID]


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """An order and the request behind it."""

    order_id: UUID
    request: Request


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
    return Staff(org_id=org_id, slug=slug, dispatcher=dispatcher, emails=emails, seats=seats, parts=parts)


async def make_places(
    db: Database, staff: Staff, requests: Sequence[Request], *, password_hash: str, progress: Progress
) -> Places:
    """Customers with contacts, sites by address, and a machine for each kind of work at a site."""
    by_customer = defaultdict(list)
    for request in requests:
        by_customer[_customer(request)].append(request)
    names = sorted(by_customer)
    async with db.work(staff.org_id, actor=staff.dispatcher) as work:
        customer_ids = await customers.create_customers(
            work,
            [
                customers.NewCustomer(number=f"C-{n:04d}", name=name, tier=_tier(len(by_customer[name])))
                for n, name in enumerate(names, start=1)
            ],
        )
        by_name = dict(zip(names, customer_ids, strict=True))
        contacts = await _make_contacts(work, by_name, password_hash)
    progress(len(names))

    addresses = sorted(
        {_site(request): request for request in reversed(requests)}.items(), key=lambda item: item[0]
    )
    sites: dict[tuple[str, str], UUID] = {}
    for chunk in _chunks(addresses):
        async with db.work(staff.org_id, actor=staff.dispatcher) as work:
            made = await customers.create_sites(
                work,
                [
                    customers.NewSite(
                        customer_id=by_name[name],
                        name=_short(address),
                        address=f"{address}, San Francisco"
                        if "SAN FRANCISCO" not in address.upper()
                        else address,
                        lat=request.point.lat,
                        lng=request.point.lng,
                    )
                    for (name, address), request in chunk
                ],
            )
            sites |= {key: id_ for (key, _), id_ in zip(chunk, made, strict=True)}
            progress(len(chunk))

    wanted = sorted({(sites[_site(request)], request.skill) for request in requests})
    counts: Counter[str] = Counter()
    assets: dict[tuple[UUID, str], UUID] = {}
    for pairs in _chunks(wanted):
        new = []
        for site_id, skill in pairs:
            prefix, model, name = ASSETS[skill]
            counts[prefix] += 1
            serial = f"{prefix}-{counts[prefix]:05d}"
            new.append(customers.NewAsset(site_id=site_id, serial=serial, model=model, name=name))
        async with db.work(staff.org_id, actor=staff.dispatcher) as work:
            assets |= dict(zip(pairs, await customers.create_assets(work, new), strict=True))
        progress(len(pairs))
    return Places(customers=by_name, contacts=contacts, sites=sites, assets=assets)


async def import_orders(
    db: Database,
    staff: Staff,
    places: Places,
    requests: Sequence[Request],
    *,
    today: Callable[[Request], datetime | None],
    progress: Progress,
) -> list[Imported]:
    """Take the requests in as orders. `today` says when a request of the demo's day came in, None for history.

    SLA timers are put to rest at once. History's promises were others' to keep; those of the demo's day are armed again
    when it is over (`arm_again`), because timers fire by the database's clock, for which that day is past already.
    """
    imported: list[Imported] = []
    for chunk in _chunks(requests):
        new = [_order(request, places, today(request) or request.created_at) for request in chunk]
        async with db.work(staff.org_id, actor=staff.dispatcher) as work:
            refs = await intake.create_orders(work, new)
            await rest(work, [ref.id for ref in refs])
        imported += [
            Imported(order_id=ref.id, request=request) for ref, request in zip(refs, chunk, strict=True)
        ]
        progress(len(chunk))
    return imported


async def rest(work: Work, order_ids: Sequence[UUID]) -> None:
    """Put the SLA timers of orders to rest."""
    await timers.cancel(work, *(intake.sla_key(id_, name) for id_ in order_ids for name in MilestoneName))


async def arm_again(db: Database, staff: Staff, order_ids: Sequence[UUID]) -> None:
    """Arm the SLA timers of the demo day's orders; those that are due are fired by whoever drains next."""
    async with db.work(staff.org_id) as work:
        rows = await work.fetch(
            """
            select id, respond_due_at, arrive_due_at, resolve_due_at from work_order
            where org_id = callout_org() and id = any($1)
            """,
            list(order_ids),
        )
        for row in rows:
            for name, due in zip(MilestoneName, list(row.values())[1:], strict=True):
                await timers.arm(
                    work,
                    key=intake.sla_key(row["id"], name),
                    due_at=due,
                    channel=intake.SLA_CHANNEL,
                    payload={"orderId": str(row["id"]), "milestone": name.value},
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
    districts = sorted({request.district for request in requests}, key=lambda text: (len(text), text))
    territory_ids = await engineers.create_territories(
        work,
        [
            engineers.NewTerritory(
                code=f"district-{district or 'any'}",
                name=f"District {district}" if district else "Whole city",
            )
            for district in districts
        ],
    )
    territories = dict(zip(districts, territory_ids, strict=True))
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
                territory_id=territories[home.district],
                skills=levels,
            )
            for user_id, (name, _), home, levels in zip(crew, names, homes, skills, strict=True)
        ],
    )
    shifts = [
        (at(day, 8), at(day, 17)) if number % 2 else (at(day, 9), at(day, 18)) for number in range(len(ids))
    ]
    await engineers.set_shifts(
        work,
        [
            engineers.NewShift(engineer_id=id_, starts_at=starts, ends_at=ends)
            for id_, (starts, ends) in zip(ids, shifts, strict=True)
        ],
    )
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
            shift=shift,
        )
        for number, (id_, user_id, (name, locale), home, levels, shift) in enumerate(
            zip(ids, crew, names, homes, skills, shifts, strict=True)
        )
    ]


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


async def _make_contacts(work: Work, by_name: dict[str, UUID], password_hash: str) -> dict[str, list[UUID]]:
    """Two contacts a customer; those of the first customers may sign in."""
    user_ids = await users.create_users(
        work,
        [
            users.NewUser(
                email=f"contact{n + 1}@{EMAIL_DOMAIN}",
                name=person(100 + n)[0],
                role=Role.CUSTOMER_CONTACT,
                locale=person(100 + n)[1],
                password_hash=password_hash,
            )
            for n in range(min(CONTACT_USERS, len(by_name)))
        ],
    )
    rows = [(name, customer_id, n) for n, (name, customer_id) in enumerate(by_name.items()) for _ in range(2)]
    ids = await customers.create_contacts(
        work,
        [
            customers.NewContact(
                customer_id=customer_id,
                name=person(100 + n if k % 2 == 0 and n < len(user_ids) else 200 + k)[0],
                locale=person(100 + n if k % 2 == 0 and n < len(user_ids) else 200 + k)[1],
                phone=fictional_phone(100 + k),
                phone_region="US",
                email=f"contact{n + 1}@{EMAIL_DOMAIN}" if k % 2 == 0 else None,
                user_id=user_ids[n] if k % 2 == 0 and n < len(user_ids) else None,
            )
            for k, (_, customer_id, n) in enumerate(rows)
        ],
    )
    contacts: dict[str, list[UUID]] = defaultdict(list)
    for (name, _, _), id_ in zip(rows, ids, strict=True):
        contacts[name].append(id_)
    return dict(contacts)


def _order(request: Request, places: Places, created_at: datetime) -> intake.NewOrder:
    name = _customer(request)
    site_id = places.sites[_site(request)]
    return intake.NewOrder(
        customer_id=places.customers[name],
        site_id=site_id,
        contact_id=places.contacts[name][request.row % 2],
        asset_id=places.assets[site_id, request.skill],
        priority=request.priority,
        kind=request.kind,
        description=request.description,
        channel=request.channel,
        skills={request.skill: request.level},
        duration_minutes=request.minutes,
        references=((SYSTEM, request.key),),
        reported_at=request.created_at,
        created_at=created_at,
    )


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    return (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))


def _customer(request: Request) -> str:
    if request.category == "SFHA Requests":
        return "San Francisco Housing Authority"
    if request.skill == "signs":
        return "City Transport Agency"
    if request.neighbourhood:
        return f"{request.neighbourhood} Neighbours"
    return f"District {request.district}" if request.district else "City of San Francisco"


def _site(request: Request) -> tuple[str, str]:
    address = request.address
    if address.startswith("Not associated"):
        address = f"Near {request.point.lat:.5f}, {request.point.lng:.5f}"
    return _customer(request), address


def _tier(requests: int) -> str:
    return "gold" if requests >= 250 else "silver" if requests >= 100 else "standard"


def _short(address: str) -> str:
    return address.split(", SAN FRANCISCO")[0].title().replace("Intersection Of", "Corner of")[:120]
