"""A notice as its reader sees it who follows the link: little on purpose, since the link is all the proof there is."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from callout_orders.notices import settings, states
from callout_orders.notices.writing import texts
from callout_orders.notices.writing.compose import deadline_of
from callout_orders.notices.writing.facts import zone_of
from callout_orders.terms import ORDER_STATE_LABELS, OrderState
from callout_store.errors import NotFound
from callout_store.work import Work

LOCALES: Final = ("en", "zh")


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows, in both languages. `together`: the reader's notices of the same message. `order_url`: the order's
    own page, for the staff where the organisation has one. `answers_for`: the order for which this customer was offered
    answers."""

    id: UUID
    kind: str
    role: str
    order_id: UUID | None
    organisation: str
    locale: str
    state: str
    wants_ack: bool
    title: str
    number: str | None
    order_state: dict[str, str]
    next_action: dict[str, str]
    deadline: dict[str, str] | None
    read_at: datetime | None
    acknowledged_at: datetime | None
    together: tuple[UUID, ...]
    others: tuple[str, ...]
    order_url: str | None
    answers_for: UUID | None


async def open_notice(work: Work, notice_id: UUID) -> Opened:
    """What a link leads to. Raises NotFound."""
    row = await work.fetchrow(
        """
        select n.id, n.kind, n.locale, n.state, n.wants_ack, n.title, n.role, n.recipient, n.message_id, n.read_at,
               n.acknowledged_at, n.order_id, g.name as organisation, g.time_zone, o.number, o.state as order_state,
               o.hold_reason, o.respond_due_at, o.arrive_due_at, o.resolve_due_at, o.responded_at, o.arrived_at,
               o.resolved_at
        from notice n
        join organisation g on g.id = n.org_id
        left join work_order o on o.org_id = n.org_id and o.id = n.order_id
        where n.org_id = callout_org() and n.id = $1
        """,
        notice_id,
    )
    if row is None:
        raise NotFound(entity="notice")
    together = await work.fetch(
        """
        select id, title from notice
        where org_id = callout_org() and message_id = $1 and recipient = $2 order by position
        """,
        row["message_id"],
        row["recipient"],
    )
    home = await settings.settings(work)
    order = row if row["number"] is not None else None
    state = OrderState(row["order_state"]) if order is not None else None
    due = deadline_of({**dict(row), "state": row["order_state"]}) if order is not None else None
    zone = zone_of(row["time_zone"])
    url = home.order_url
    return Opened(
        id=row["id"],
        kind=row["kind"],
        role=row["role"],
        order_id=row["order_id"],
        organisation=row["organisation"],
        locale=row["locale"],
        state=row["state"],
        wants_ack=row["wants_ack"],
        title=row["title"],
        number=row["number"],
        order_state=dict(ORDER_STATE_LABELS[state]) if state is not None else dict.fromkeys(LOCALES, ""),
        next_action={one: texts.next_action(row["kind"], row["order_state"] or "", one) for one in LOCALES},
        deadline=None
        if due is None
        else {
            one: f"{texts.moment(due, work.now, zone, one)} ({texts.left(due, work.now, one)})"
            for one in LOCALES
        },
        read_at=row["read_at"],
        acknowledged_at=row["acknowledged_at"],
        together=tuple({row["id"], *(one["id"] for one in together)}),
        others=tuple(dict.fromkeys(one["title"] for one in together if one["id"] != row["id"])),
        order_url=None
        if url is None or order is None or row["role"] == "customer"
        else settings.order_page(url, number=row["number"], id_=str(row["order_id"])),
        answers_for=row["order_id"]
        if (row["kind"], row["role"]) == ("answers_offered", "customer")
        else None,
    )


async def seen_by_pixel(work: Work, notice_id: UUID) -> bool:
    """A mail's pixel was fetched: read, where the organisation counts that; whether it does."""
    if not (await settings.settings(work)).mail_pixel:
        return False
    return bool(await states.read(work, [notice_id]))
