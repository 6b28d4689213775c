"""An order's whole life as one timeline (D1): everything that was written down about it, wherever that was.

One statement a source, merged by time. Reading only: each table belongs to another package.
"""

import base64
import binascii
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch.visit_states import EventKind
from callout_orders import reading
from callout_orders.reading import page_size
from callout_store.errors import BadField
from callout_store.journal_texts import texts
from callout_store.pages import Page
from callout_store.work import Work

ON_SITE: Final = tuple(f"visit.{kind.value}" for kind in EventKind)
"""Of these the journal has a line and `visit_event` the event itself, with place and device: the latter is shown."""

SOURCES: Final[dict[str, str]] = {
    "journal": """
        select j.id, j.at, j.kind, j.actor_id, j.actor_role as role, j.visit_id, j.data
        from journal j
        where j.org_id = callout_org() and j.order_id = $1 and j.kind <> all($4::text[])
    """,
    "event": """
        select e.id, e.corrected_at as at, 'visit.' || e.kind as kind, e.actor_id, 'engineer' as role, e.visit_id,
            e.data || jsonb_strip_nulls(jsonb_build_object('deviceTime', e.device_time, 'receivedAt', e.received_at,
                'lat', e.lat, 'lng', e.lng, 'accuracyM', e.accuracy_m, 'geofence', e.geofence, 'flags', to_jsonb(e.flags)))
                as data
        from visit v join visit_event e on e.org_id = v.org_id and e.visit_id = v.id
        where v.org_id = callout_org() and v.order_id = $1
    """,
    "decision": """
        select d.id, d.at, 'dispatch.decided' as kind, d.actor_id, case when d.actor_id is null then 'system' end as role,
            d.visit_id, jsonb_strip_nulls(jsonb_build_object('method', d.method, 'engineerId', d.engineer_id,
                'engineer', g.name, 'reason', nullif(d.reason, ''), 'policyVersion', d.policy_version)) as data
        from dispatch_decision d left join engineer g on g.org_id = d.org_id and g.id = d.engineer_id
        where d.org_id = callout_org() and d.order_id = $1
    """,
    "file": """
        select a.id, coalesce(b.received_at, e.corrected_at, v.created_at) as at, 'file.added' as kind, e.actor_id,
            'engineer' as role, a.visit_id, jsonb_strip_nulls(jsonb_build_object('name', coalesce(a.caption, a.kind),
                'mediaType', a.media_type, 'sizeBytes', a.size_bytes, 'state', a.state)) as data
        from visit v join attachment a on a.org_id = v.org_id and a.visit_id = v.id
        left join blob b on b.org_id = a.org_id and b.sha256 = a.sha256
        left join visit_event e on e.org_id = a.org_id and e.id = a.id
        where v.org_id = callout_org() and v.order_id = $1
    """,
    "intake_file": """
        select f.id, f.created_at as at, 'file.added' as kind, null::uuid as actor_id, 'customer' as role,
            null::uuid as visit_id, jsonb_build_object('name', f.name, 'mediaType', f.media_type, 'sizeBytes', f.size_bytes,
                'state', f.state) as data
        from intake_file f where f.org_id = callout_org() and f.order_id = $1
    """,
    "message": """
        select m.id, m.at, case m.direction when 'in' then 'message.received' else 'message.sent' end as kind,
            null::uuid as actor_id, case m.direction when 'in' then 'customer' else 'system' end as role,
            null::uuid as visit_id, jsonb_build_object('channel', c.name, 'channelKind', c.kind, 'text', m.content ->> 'text',
                'state', m.state) as data
        from intake_message m join intake_channel c on c.org_id = m.org_id and c.id = m.channel_id
        where m.org_id = callout_org() and m.order_id = $1
    """,
    "notice": """
        select n.id, coalesce(n.delivered_at, n.sent_at, n.created_at) as at,
            case when n.acknowledged_at is not null then 'notice.acknowledged' when n.read_at is not null then 'notice.read'
                when n.delivered_at is not null then 'notice.delivered' when n.failed_at is not null then 'notice.failed'
                else 'notice.owed' end as kind,
            null::uuid as actor_id, 'system' as role, null::uuid as visit_id,
            jsonb_strip_nulls(jsonb_build_object('to', n.name, 'as', n.role, 'medium', n.medium, 'title', n.title,
                'about', n.kind, 'readAt', n.read_at, 'acknowledgedAt', n.acknowledged_at)) as data
        from notice n where n.org_id = callout_org() and n.order_id = $1
    """,
    "stock": """
        select s.id, s.at, 'stock.moved' as kind, s.actor_id, null as role, null::uuid as visit_id,
            jsonb_build_object('part', p.code, 'name', p.name, 'quantity', s.quantity, 'reason', s.reason) as data
        from stock_move s join part p on p.org_id = s.org_id and p.id = s.part_id
        where s.org_id = callout_org() and s.order_id = $1
    """,
}
"""By name: a statement that gives id, at, kind, actor_id, role, visit_id and data of what it knows of order $1."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. `actor` is a person's or system's name, `role` what they were in it; `text` is it in the
    reader's language."""

    id: str
    at: datetime
    source: str
    kind: str
    actor_id: UUID | None
    actor: str | None
    role: str | None
    visit_id: UUID | None
    data: dict[str, Any]
    text: str
    text_en: str
    text_zh: str


class _Cursor(msgspec.Struct, array_like=True, frozen=True):
    at: datetime
    source: str
    id: UUID


async def page(
    work: Work, order_id: UUID, *, after: str | None = None, limit: int = 50, locale: str = "en"
) -> Page[Line]:
    """What happened to an order, oldest first, `limit` (1..200) at a time; empty for an order that is not there."""
    size = page_size(limit)
    cursor = _read(after)
    rows: list[tuple[datetime, str, str, Any]] = []
    for source, sql in SOURCES.items():
        found = await work.fetch(
            _statement(source, sql, cursor), order_id, size + 1, *_place(cursor), list(ON_SITE)
        )
        rows += [(row["at"], source, str(row["id"]), row) for row in found]
    rows.sort(key=lambda one: one[:3])
    kept = rows[:size]
    last = kept[-1] if kept else None
    return Page(
        items=[_line(source, row, locale) for _, source, _, row in kept],
        end_cursor=_write(_Cursor(last[0], last[1], UUID(last[2]))) if last else after,
        has_more=len(rows) > size,
    )


async def order_of(
    work: Work, *, order_id: UUID | None, number: str | None, system: str | None, reference: str | None
) -> UUID | None:
    """The order that any id of any system leads to. Raises BadField where none is given."""
    if order_id is not None:
        return order_id
    if number is not None:
        return await reading.order_id_by_number(work, number)
    if system is not None and reference is not None:
        return await reading.order_id_by_reference(work, system, reference)
    raise BadField(path="orderId", why="give orderId, number, or system and reference")


def _place(cursor: _Cursor | None) -> tuple[Any, ...]:
    return (cursor.at if cursor else None,)


def _statement(source: str, sql: str, cursor: _Cursor | None) -> str:
    """The source's rows after the cursor. Of rows of one instant those of an earlier source come first."""
    if cursor is None:
        after = "$3::timestamptz is null"
    elif source > cursor.source:
        after = "t.at >= $3::timestamptz"
    elif source == cursor.source:
        after = f"(t.at > $3::timestamptz or (t.at = $3::timestamptz and t.id > '{cursor.id}'::uuid))"
    else:
        after = "t.at > $3::timestamptz"
    return f"""
        select t.id, t.at, t.kind, t.actor_id, u.name as actor, t.role, t.visit_id, t.data::text as data
        from ({sql}) t left join app_user u on u.org_id = callout_org() and u.id = t.actor_id
        where {after} and $4::text[] is not null
        order by t.at, t.id limit $2
    """


def _line(source: str, row: Any, locale: str) -> Line:
    data = msgspec.json.decode(row["data"])
    english, chinese = texts(row["kind"], data)
    return Line(
        id=f"{source}:{row['id']}",
        at=row["at"],
        source=source,
        kind=row["kind"],
        actor_id=row["actor_id"],
        actor=row["actor"],
        role=row["role"],
        visit_id=row["visit_id"],
        data=data,
        text=chinese if locale.startswith("zh") else english,
        text_en=english,
        text_zh=chinese,
    )


def _write(cursor: _Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).rstrip(b"=").decode()


def _read(after: str | None) -> _Cursor | None:
    if after is None:
        return None
    try:
        packed = base64.urlsafe_b64decode(after.encode("ascii") + b"=" * (-len(after) % 4))
        cursor = msgspec.json.decode(packed, type=_Cursor)
    except (ValueError, UnicodeError, binascii.Error, msgspec.MsgspecError, RecursionError):
        raise BadField(path="after", why="not a cursor of this list") from None
    if cursor.source not in SOURCES or cursor.at.tzinfo is None:
        raise BadField(path="after", why="not a cursor of this list")
    return cursor
