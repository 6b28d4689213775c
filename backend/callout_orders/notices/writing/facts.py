"""What is read before notices are written: lines, orders, visits, people. Each in one statement for any number of them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from callout_orders.desk.staff.people import Around, around
from callout_orders.notices import settings as notice_settings
from callout_orders.notices.settings import NoticeSettings
from callout_orders.notices.writing import versions
from callout_store.work import Work


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the journal that may concern somebody."""

    id: UUID
    kind: str
    order_id: UUID | None
    visit_id: UUID | None
    actor_id: UUID | None
    data: dict[str, Any]


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may be told. `key` is what they are told once by; `addresses` by medium, mentions included."""

    key: str
    name: str
    locale: str
    customer: bool = False
    user_id: UUID | None = None
    contact_id: UUID | None = None
    email: str | None = None
    phone: str | None = None
    media: tuple[str, ...] | None = None
    quiet: str | None = None
    time_zone: str | None = None
    muted: frozenset[str] = frozenset()
    addresses: Mapping[str, str] = {}


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel that may be used."""

    id: UUID
    medium: str
    team_id: UUID | None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that composing needs."""

    now: datetime
    organisation: str
    locale: str
    zone: ZoneInfo
    settings: NoticeSettings
    templates: versions.Chosen
    channels: tuple[Channel, ...]
    orders: Mapping[UUID, Any]
    around: Mapping[UUID, Around]
    visits: Mapping[UUID, list[Any]]
    users: Mapping[UUID, Person]
    contacts: Mapping[UUID, Person]
    engineers: Mapping[UUID, UUID]


async def lines(work: Work, ids: Sequence[UUID]) -> list[Line]:
    """The lines, in the order of the ids."""
    rows = await work.fetch(
        """
        select id, kind, order_id, visit_id, actor_id, data::text as data from journal
        where org_id = callout_org() and id = any($1)
        """,
        list(ids),
    )
    found = {row["id"]: Line(**{**dict(row), "data": msgspec.json.decode(row["data"])}) for row in rows}
    return [found[id_] for id_ in ids if id_ in found]


async def gather(work: Work, given: Sequence[Line]) -> Facts:
    """What is known about the lines' orders and everybody around them."""
    order_ids = list({one.order_id for one in given if one.order_id is not None})
    home = await work.fetchrow("select name, locale, time_zone from organisation where id = callout_org()")
    assert home is not None, "a journal line's organisation is there"
    orders = await _orders(work, order_ids)
    about = await around(work, order_ids)
    visits = await _visits(work, order_ids)
    named = {UUID(str(one.data["userId"])) for one in given if _is_id(one.data.get("userId"))}
    engineer_ids = {
        UUID(str(one.data[key]))
        for one in given
        for key in ("engineerId", "fromEngineerId")
        if _is_id(one.data.get(key))
    }
    engineers = {
        row["id"]: row["user_id"]
        for row in await work.fetch(
            "select id, user_id from engineer where org_id = callout_org() and id = any($1)",
            list(engineer_ids),
        )
    }
    user_ids = {
        *named,
        *engineers.values(),
        *(row["user_id"] for rows in visits.values() for row in rows),
        *(id_ for one in about.values() for id_ in (one.initiator, one.handler) if id_ is not None),
        *(id_ for one in about.values() for id_ in (*one.next, *one.supervisor)),
    }
    return Facts(
        now=work.now,
        organisation=home["name"],
        locale="zh" if str(home["locale"]).startswith("zh") else "en",
        zone=zone_of(home["time_zone"]),
        settings=await notice_settings.settings(work),
        templates=await versions.chosen(work),
        channels=await channels(work),
        orders=orders,
        around=about,
        visits=visits,
        users=await users(work, user_ids),
        contacts=await _contacts(
            work, {one.contact_id for one in about.values() if one.contact_id is not None}
        ),
        engineers=engineers,
    )


def zone_of(name: str | None) -> ZoneInfo:
    """The time zone, UTC where there is none of that name."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


async def channels(work: Work) -> tuple[Channel, ...]:
    """The active channels, the oldest first."""
    rows = await work.fetch(
        "select id, medium, team_id from notice_channel where org_id = callout_org() and active order by created_at, id"
    )
    return tuple(Channel(**dict(row)) for row in rows)


async def users(work: Work, ids: Collection[UUID]) -> dict[UUID, Person]:
    """Active users with what they prefer and where they are reached."""
    rows = await work.fetch(
        """
        select u.id, u.name, u.email, u.phone, u.locale, u.role, p.media, p.quiet, p.time_zone, p.locale as preferred,
               p.muted, a.addresses::text as addresses
        from app_user u
        left join notice_preference p on p.org_id = u.org_id and p.user_id = u.id
        left join lateral (
            select json_object_agg(medium, address) as addresses from (
                select distinct on (medium) medium, address from notice_address n
                where n.org_id = u.org_id and n.user_id = u.id and n.broken_at is null order by medium, id desc) one
        ) a on true
        where u.org_id = callout_org() and u.id = any($1) and u.active
        """,
        list(ids),
    )
    return {
        row["id"]: Person(
            key=f"user:{row['id']}",
            name=row["name"],
            locale=row["preferred"] or row["locale"],
            customer=row["role"] == "customer_contact",
            user_id=row["id"],
            email=row["email"],
            phone=row["phone"],
            media=None if row["media"] is None else tuple(row["media"]),
            quiet=row["quiet"],
            time_zone=row["time_zone"],
            muted=frozenset(row["muted"] or ()),
            addresses=msgspec.json.decode(row["addresses"]) if row["addresses"] else {},
        )
        for row in rows
    }


async def _contacts(work: Work, ids: Collection[UUID]) -> dict[UUID, Person]:
    rows = await work.fetch(
        """
        select c.id, c.user_id, c.name, c.phone, c.email, coalesce(p.locale, c.locale) as locale, p.media, p.quiet,
               p.time_zone, p.muted
        from contact c
        left join notice_preference p on p.org_id = c.org_id and p.user_id = c.user_id
        where c.org_id = callout_org() and c.id = any($1)
        """,
        list(ids),
    )
    return {
        row["id"]: Person(
            key=f"contact:{row['id']}",
            name=row["name"],
            locale="zh" if str(row["locale"]).startswith("zh") else "en",
            customer=True,
            user_id=row["user_id"],
            contact_id=row["id"],
            email=row["email"],
            phone=row["phone"],
            media=None if row["media"] is None else tuple(row["media"]),
            quiet=row["quiet"],
            time_zone=row["time_zone"],
            muted=frozenset(row["muted"] or ()),
        )
        for row in rows
    }


async def _orders(work: Work, ids: Sequence[UUID]) -> dict[UUID, Any]:
    rows = await work.fetch(
        """
        select o.id, o.number, o.state, o.priority, left(o.description, 500) as description, o.team_id, o.hold_reason,
               o.respond_due_at, o.arrive_due_at, o.resolve_due_at, o.responded_at, o.arrived_at, o.resolved_at,
               c.name as customer, s.name as site, s.address
        from work_order o
        join customer c on c.org_id = o.org_id and c.id = o.customer_id
        join site s on s.org_id = o.org_id and s.id = o.site_id
        where o.org_id = callout_org() and o.id = any($1)
        """,
        list(ids),
    )
    return {row["id"]: row for row in rows}


async def _visits(work: Work, order_ids: Sequence[UUID]) -> dict[UUID, list[Any]]:
    """Live visits of the orders with everybody who works on them, the latest visit's engineer first."""
    rows = await work.fetch(
        """
        select v.order_id, v.id, e.user_id, e.name, v.scheduled_start, t.eta, v.plan
        from visit v
        join engineer e on e.org_id = v.org_id and (e.id = v.engineer_id or exists (
            select 1 from visit_crew w where w.org_id = v.org_id and w.visit_id = v.id and w.engineer_id = e.id))
        left join visit_eta t on t.org_id = v.org_id and t.visit_id = v.id
        where v.org_id = callout_org() and v.order_id = any($1) and v.ended_at is null and v.plan <> 'canceled'
        order by v.order_id, v.number desc, e.id <> v.engineer_id
        """,
        list(order_ids),
    )
    found: dict[UUID, list[Any]] = {}
    for row in rows:
        found.setdefault(row["order_id"], []).append(row)
    return found


def _is_id(value: object) -> bool:
    try:
        UUID(str(value))
    except ValueError:
        return False
    return True
