"""The rows of new orders: orders, references, clocks and journal, each in one statement for the whole batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders.desk.assignment import Assigned, Coming, Counted, choose, watch
from callout_orders.flow import run as flow
from callout_orders.sla import milestones
from callout_orders.sla.milestones import CHANNEL as SLA_CHANNEL
from callout_orders.sla.milestones import key_of as sla_key
from callout_orders.terms import OrderState
from callout_store.ids import new_id
from callout_store.journal import Entry, write_many
from callout_store.work import Work

__all__ = ["SLA_CHANNEL", "Fresh", "insert", "sla_key"]

_DONE: Final = ("responded_at", "arrived_at", "resolved_at", "closed_at", "archived_at")
"""Set from the start only of an order that was done elsewhere."""
_COLUMNS: Final = {
    "id": "uuid",
    "number": "text",
    "customer_id": "uuid",
    "site_id": "uuid",
    "contact_id": "uuid",
    "asset_id": "uuid",
    "priority": "text",
    "kind": "text",
    "kind_version": "int",
    "description": "text",
    "channel": "text",
    "state": "text",
    "skills": "jsonb",
    "duration_minutes": "int",
    "created_at": "timestamptz",
    "reported_at": "timestamptz",
    "sla_policy": "text",
    "respond_due_at": "timestamptz",
    "arrive_due_at": "timestamptz",
    "resolve_due_at": "timestamptz",
    "requested_from": "timestamptz",
    "requested_until": "timestamptz",
    "crew_size": "int",
    "follows_order_id": "uuid",
    "follows_gap_minutes": "int",
    "fields": "jsonb",
    "serial": "text",
    "product": "text",
    "error_code": "text",
    "reporter_name": "text",
    "reporter_phone": "text",
    "reporter_email": "text",
    "locale": "text",
    "tags": "text[]",
    "duplicate_of_id": "uuid",
    "created_by": "uuid",
    "team_id": "uuid",
    "handler_id": "uuid",
    "flow_waits": "text[]",
    **dict.fromkeys(_DONE, "timestamptz"),
}
_FROM_ORDER: Final = tuple(
    name
    for name in _COLUMNS
    if name
    not in (
        "id",
        "number",
        "state",
        "created_at",
        "sla_policy",
        "created_by",
        "team_id",
        "handler_id",
        "flow_waits",
        *_DONE,
    )
    and "_due_at" not in name
)
_NAMES: Final = ", ".join(_COLUMNS)
_TYPED: Final = ", ".join(f"{name} {type_}" for name, type_ in _COLUMNS.items())


class Fresh(msgspec.Struct, frozen=True, kw_only=True):
    """A new order with what it was given: `order` is a checked `intake.NewOrder`, `parts` its quantities by code."""

    id: UUID
    number: str
    order: Any
    parts: Mapping[str, int] = {}


async def insert(work: Work, fresh: Sequence[Fresh]) -> None:
    """Write the orders, their references, clocks and `work_order.created`. A linked duplicate gets no clock, nor does an
    order that was done elsewhere."""
    alive = [one for one in fresh if one.order.duplicate_of_id is None and one.order.done_at is None]
    running = {one.id for one in alive}
    started = [one.order.created_at or work.now for one in fresh]
    tiers = await milestones.tiers_of(work, [one.order.customer_id for one in fresh])
    dues = await milestones.start(
        work,
        [
            milestones.StartClock(
                order_id=one.id,
                created_at=start,
                priority=one.order.priority,
                kind=one.order.kind,
                tier=tiers[one.order.customer_id],
                running=one.id in running,
            )
            for one, start in zip(fresh, started, strict=True)
        ],
    )
    given = await choose(
        work,
        [
            Coming(
                order_id=one.id,
                site_id=one.order.site_id,
                kind=one.order.kind,
                channel=one.order.channel,
                due_at=due.first_response,
                counted=Counted(
                    calendar=due.response.calendar,
                    started_at=due.response.started_at,
                    minutes=due.response.minutes,
                ),
            )
            for one, due in zip(fresh, dues, strict=True)
            if one.id in running
        ],
    )
    # A linked duplicate goes the way of the order that it is a duplicate of.
    begun, rest = await flow.prepare(
        work,
        [
            (
                one.id,
                one.order.kind,
                one.order.kind_version or 0,
                one.order.priority,
                tiers[one.order.customer_id],
            )
            for one in alive
        ],
    )
    waits = {one.order_id: sorted(one.waits) for one in begun}
    rows = [
        {
            "id": one.id,
            "number": one.number,
            "state": (OrderState.NEW if one.order.done_at is None else OrderState.CLOSED).value,
            "created_at": start,
            "sla_policy": due.stamp,
            "respond_due_at": due.first_response,
            "arrive_due_at": due.arrival,
            "resolve_due_at": due.resolution,
            "created_by": work.actor.user_id,
            "team_id": given[one.id].team_id if one.id in given else None,
            "handler_id": given[one.id].handler_id if one.id in given else None,
            **dict.fromkeys(_DONE, one.order.done_at),
            "flow_waits": waits.get(one.id, []),
            **{name: getattr(one.order, name) for name in _FROM_ORDER},
        }
        for one, start, due in zip(fresh, started, dues, strict=True)
    ]
    await work.execute(
        f"""
        insert into work_order ({_NAMES})
        select {_NAMES} from json_to_recordset($1::text::json) as t({_TYPED})
        """,
        msgspec.json.encode(rows).decode(),
    )
    await _insert_references(work, fresh)
    await watch(work, given.values())
    await write_many(work, [_created(one, given.get(one.id)) for one in fresh])
    work.touch("work_order", *(one.id for one in fresh))
    await flow.begin(work, begun, rest)


async def _insert_references(work: Work, fresh: Sequence[Fresh]) -> None:
    references = [(one.id, *pair) for one in fresh for pair in dict.fromkeys(one.order.references)]
    if references:
        await work.execute(
            """
            insert into external_reference (id, order_id, system, reference)
            select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[])
            """,
            [new_id() for _ in references],
            [order_id for order_id, _, _ in references],
            [system for _, system, _ in references],
            [reference for _, _, reference in references],
        )


def _created(one: Fresh, given: Assigned | None) -> Entry:
    """Of what is not always known, only what is: a line of every order is kept for ever."""
    order = one.order
    known = {
        "parts": dict(one.parts),
        "tags": list(order.tags),
        "duplicateOf": order.duplicate_of_id,
        "serial": order.serial,
        "product": order.product,
        "errorCode": order.error_code,
        "contactId": order.contact_id,
        "doneAt": order.done_at,
    }
    return Entry(
        kind="work_order.created",
        entity="work_order",
        entity_id=one.id,
        order_id=one.id,
        data={
            "number": one.number,
            "priority": order.priority,
            "kind": order.kind,
            "kindVersion": order.kind_version,
            "channel": order.channel,
            "customerId": order.customer_id,
            "siteId": order.site_id,
            "references": [list(pair) for pair in order.references],
            **{name: value for name, value in known.items() if value},
            **(given.told() if given else {}),
        },
    )
