"""Customers and what hangs on them: contacts, sites, assets; and the catalogue of parts.

Every kind has a single and a bulk way in; the single one is a batch of one. A bulk is checked row by row in
memory and written with one statement, whole or not at all.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from callout_orders import checks
from callout_orders import visiting_hours as weeks
from callout_store.errors import AlreadyExists, NotFound
from callout_store.ids import new_id
from callout_store.journal import Entry, write
from callout_store.work import Work

TIERS = frozenset({"standard", "silver", "gold"})
LOCALES = frozenset({"en", "zh"})
GEOFENCE_M_MIN, GEOFENCE_M_MAX = 100, 5000


class NewCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """`number` is the customer's own in this organisation; `tier` is standard, silver or gold."""

    number: str
    name: str
    tier: str = "standard"


class NewContact(msgspec.Struct, frozen=True, kw_only=True):
    """`phone` in any spelling; `phone_region` (ISO 3166) is used where it has no country code."""

    customer_id: UUID
    name: str
    phone: str | None = None
    email: str | None = None
    locale: str = "en"
    user_id: UUID | None = None
    phone_region: str = "CN"


class NewSite(msgspec.Struct, frozen=True, kw_only=True):
    """`lat` and `lng` in WGS-84 degrees, both or neither; `geofence_radius_m` counts as being there; no `visiting_hours`
    means that it is always open."""

    customer_id: UUID
    name: str
    address: str
    lat: float | None = None
    lng: float | None = None
    geofence_radius_m: int = 150
    visiting_hours: Sequence[weeks.Opening] = ()


class NewAsset(msgspec.Struct, frozen=True, kw_only=True):
    """A machine; its `serial` is unique in the organisation."""

    site_id: UUID
    serial: str
    model: str
    name: str


class NewPart(msgspec.Struct, frozen=True, kw_only=True):
    """A spare part; its `code` is unique in the organisation."""

    code: str
    name: str
    unit: str = "piece"


async def create_customer(work: Work, new: NewCustomer) -> UUID:
    """One customer; its id."""
    return (await _customers(work, [new], _bare))[0]


async def create_customers(work: Work, new: Sequence[NewCustomer]) -> list[UUID]:
    """Customers; their ids in the same order."""
    return await _customers(work, new, _numbered("customers"))


async def create_contact(work: Work, new: NewContact) -> UUID:
    """One contact; its id."""
    return (await _contacts(work, [new], _bare))[0]


async def create_contacts(work: Work, new: Sequence[NewContact]) -> list[UUID]:
    """Contacts; their ids in the same order."""
    return await _contacts(work, new, _numbered("contacts"))


async def create_site(work: Work, new: NewSite) -> UUID:
    """One site; its id."""
    return (await _sites(work, [new], _bare))[0]


async def create_sites(work: Work, new: Sequence[NewSite]) -> list[UUID]:
    """Sites; their ids in the same order."""
    return await _sites(work, new, _numbered("sites"))


async def set_visiting_hours(work: Work, site_id: UUID, hours: Sequence[weeks.Opening]) -> None:
    """Say when a site can be visited, in place of what was said before; none: always. The same again changes nothing.

    Phones do not hold it, so that the site's revision stays. Raises NotFound and BadField.
    """
    week = weeks.checked("visitingHours", hours)
    before = await work.fetchval(
        "select visiting_hours::text from site where org_id = callout_org() and id = $1 for no key update",
        site_id,
    )
    if before is None:
        raise NotFound(entity="site", path="siteId")
    if weeks.from_json(msgspec.json.decode(before)) == tuple(week):
        return
    await work.execute(
        "update site set visiting_hours = $2::text::jsonb where org_id = callout_org() and id = $1",
        site_id,
        weeks.as_json(week),
    )
    await write(
        work,
        Entry(
            kind="site.visiting_hours_set",
            entity="site",
            entity_id=site_id,
            data={"visitingHours": msgspec.to_builtins(week)},
        ),
    )


async def create_asset(work: Work, new: NewAsset) -> UUID:
    """One asset; its id."""
    return (await _assets(work, [new], _bare))[0]


async def create_assets(work: Work, new: Sequence[NewAsset]) -> list[UUID]:
    """Assets; their ids in the same order."""
    return await _assets(work, new, _numbered("assets"))


async def create_part(work: Work, new: NewPart) -> UUID:
    """One part; its id."""
    return (await _parts(work, [new], _bare))[0]


async def create_parts(work: Work, new: Sequence[NewPart]) -> list[UUID]:
    """Parts; their ids in the same order."""
    return await _parts(work, new, _numbered("parts"))


Paths = Callable[[int], str]
S = TypeVar("S", bound=msgspec.Struct)


def _bare(_: int) -> str:
    return ""


def _numbered(what: str) -> Paths:
    return lambda index: f"{what}.{index}."


async def _customers(work: Work, new: Sequence[NewCustomer], path: Paths) -> list[UUID]:
    rows = [
        (
            checks.text(f"{path(i)}number", n.number, chars_max=40),
            checks.text(f"{path(i)}name", n.name),
            checks.one_of(f"{path(i)}tier", n.tier, TIERS),
            work.now,
        )
        for i, n in enumerate(checks.batch("customers", list(new)))
    ]
    columns = {"number": "text", "name": "text", "tier": "text", "created_at": "timestamptz"}
    return await _insert(work, "customer", columns, rows, path, unique="number")


async def _contacts(work: Work, new: Sequence[NewContact], path: Paths) -> list[UUID]:
    rows = [
        (
            n.customer_id,
            n.user_id,
            checks.text(f"{path(i)}name", n.name),
            checks.phone(f"{path(i)}phone", n.phone, region=n.phone_region),
            checks.email(f"{path(i)}email", n.email),
            checks.one_of(f"{path(i)}locale", n.locale, LOCALES),
        )
        for i, n in enumerate(checks.batch("contacts", list(new)))
    ]
    columns = {
        "customer_id": "uuid",
        "user_id": "uuid",
        "name": "text",
        "phone": "text",
        "email": "text",
        "locale": "text",
    }
    return await _insert(work, "contact", columns, rows, path, touch="contact")


async def _sites(work: Work, new: Sequence[NewSite], path: Paths) -> list[UUID]:
    rows = [
        (
            n.customer_id,
            checks.text(f"{path(i)}name", n.name),
            checks.text(f"{path(i)}address", n.address, chars_max=500),
            *(checks.point(path(i), n.lat, n.lng) or (None, None)),
            checks.whole(
                f"{path(i)}geofenceRadiusM", n.geofence_radius_m, low=GEOFENCE_M_MIN, high=GEOFENCE_M_MAX
            ),
            weeks.as_json(weeks.checked(f"{path(i)}visitingHours", n.visiting_hours)),
        )
        for i, n in enumerate(checks.batch("sites", list(new)))
    ]
    columns = {
        "customer_id": "uuid",
        "name": "text",
        "address": "text",
        "lat": "float8",
        "lng": "float8",
        "geofence_radius_m": "int",
        "visiting_hours": "jsonb",
    }
    return await _insert(work, "site", columns, rows, path, touch="site")


async def _assets(work: Work, new: Sequence[NewAsset], path: Paths) -> list[UUID]:
    rows = [
        (
            n.site_id,
            checks.text(f"{path(i)}serial", n.serial, chars_max=80),
            checks.text(f"{path(i)}model", n.model),
            checks.text(f"{path(i)}name", n.name),
        )
        for i, n in enumerate(checks.batch("assets", list(new)))
    ]
    columns = {"site_id": "uuid", "serial": "text", "model": "text", "name": "text"}
    return await _insert(work, "asset", columns, rows, path, unique="serial", touch="asset")


async def _parts(work: Work, new: Sequence[NewPart], path: Paths) -> list[UUID]:
    rows = [
        (
            checks.text(f"{path(i)}code", n.code, chars_max=80),
            checks.text(f"{path(i)}name", n.name),
            checks.text(f"{path(i)}unit", n.unit, chars_max=40),
        )
        for i, n in enumerate(checks.batch("parts", list(new)))
    ]
    columns = {"code": "text", "name": "text", "unit": "text"}
    return await _insert(work, "part", columns, rows, path, unique="code", touch="part")


async def _insert(
    work: Work,
    table: str,
    columns: dict[str, str],
    rows: Sequence[tuple[Any, ...]],
    path: Paths,
    *,
    unique: str | None = None,
    touch: str | None = None,
) -> list[UUID]:
    """Insert `rows` with fresh ids in one statement; refuses duplicates of `unique` and unknown owners."""
    if not rows:
        return []
    ids = [new_id() for _ in rows]
    names = ", ".join(columns)
    arrays = ", ".join(f"${n}::{type_}[]" for n, type_ in enumerate(columns.values(), start=2))
    once = f"on conflict (org_id, {unique}) do nothing" if unique else ""
    try:
        inserted = await work.fetch(
            f"insert into {table} (id, {names}) "
            f"select * from unnest($1::uuid[], {arrays}) {once} returning id",
            ids,
            *(list(column) for column in zip(*rows, strict=True)),
        )
    except asyncpg.ForeignKeyViolationError as fault:
        owner = next((name for name in ("user_id", "site_id") if name in (fault.detail or "")), "customer_id")
        first = path(0) if len(rows) == 1 else path(0).split(".")[0] + "."
        raise NotFound(
            entity=owner.removesuffix("_id"), path=f"{first}{owner.removesuffix('_id')}Id"
        ) from None
    if len(inserted) < len(rows):
        there = {row["id"] for row in inserted}
        index = next(i for i, one in enumerate(ids) if one not in there)
        raise AlreadyExists(entity=table, key=unique, path=f"{path(index)}{unique}")
    await write(work, *(Entry(kind=f"{table}.created", entity=table, entity_id=one) for one in ids))
    if touch:
        work.touch(touch, *ids)
    return ids
