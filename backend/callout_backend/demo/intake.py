"""The demo's customers and orders: made from the city's requests through the owners' plural functions.

A thousand rows a transaction: an import that held one transaction open would hold the feed's horizon back for every phone.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from callout_backend.demo.names import ASSETS, fictional_phone, person
from callout_backend.demo.sf311 import SYSTEM, Request
from callout_backend.demo.world import EMAIL_DOMAIN, Staff
from callout_orders import customers, intake
from callout_orders.sla.clock import MilestoneName
from callout_people import users
from callout_people.principals import Role
from callout_store import timers
from callout_store.work import Database, Work

T = TypeVar("T")

CHUNK: Final = 1000
CONTACT_USERS: Final = 3
Progress = Callable[[int], None]


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
        {site_of(request): request for request in reversed(requests)}.items(), key=lambda item: item[0]
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

    wanted = sorted({(sites[site_of(request)], request.skill) for request in requests})
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
    """Take the requests in as orders. `today` says when a request of the demo's day came in, None for history: that was
    done by others a day after it came in, and nobody is told of it.

    The SLA timers of the day are put to rest at once and armed again when it is over (`arm_again`), because timers fire by
    the database's clock, for which that day is past already.
    """
    imported: list[Imported] = []
    for chunk in _chunks(requests):
        new = [_order(request, places, today(request)) for request in chunk]
        async with db.work(staff.org_id, actor=staff.dispatcher) as work:
            refs = await intake.create_orders(work, new)
            await rest(work, [ref.id for ref, order in zip(refs, new, strict=True) if order.done_at is None])
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


def _order(request: Request, places: Places, today: datetime | None) -> intake.NewOrder:
    name = _customer(request)
    site_id = places.sites[site_of(request)]
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
        created_at=today or request.created_at,
        done_at=None if today else request.created_at + timedelta(days=1),
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


def site_of(request: Request) -> tuple[str, str]:
    """Whose place a request is about, and where: the key of `Places.sites`."""
    address = request.address
    if address.startswith("Not associated"):
        address = f"Near {request.point.lat:.5f}, {request.point.lng:.5f}"
    return _customer(request), address


def _tier(requests: int) -> str:
    return "gold" if requests >= 250 else "silver" if requests >= 100 else "standard"


def _short(address: str) -> str:
    return address.split(", SAN FRANCISCO")[0].title().replace("Intersection Of", "Corner of")[:120]
