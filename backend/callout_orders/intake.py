"""Intake: how a work order comes into the house, one or thousands at a time.

Idempotent by external reference: whoever sends the same (system, reference) again gets the order that exists.
The row of `order_counter` is the organisation's one queue for new orders: it is locked before the references
are read, so that the second of two simultaneous senders waits, then sees the first one's order.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from callout_orders import checks, order_parts, order_planning
from callout_orders.sla import clock as sla
from callout_orders.terms import Channel, OrderKind, OrderState, Priority
from callout_store import timers
from callout_store.errors import AlreadyExists, LimitExceeded, NotFound
from callout_store.ids import new_id
from callout_store.journal import Entry, write_many
from callout_store.work import Work

REFERENCES_MAX = 20
SLA_CHANNEL = "sla.check"

_PRIORITIES = frozenset(p.value for p in Priority)
_KINDS = frozenset(k.value for k in OrderKind)
_CHANNELS = frozenset(c.value for c in Channel)


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an order when it comes in.

    `skills` are codes with the level needed (1..5); `duration_minutes` is the expected work on site
    (5..1440). `parts` are those it will need, by code or id, with quantities. `references` are (system,
    reference) pairs of other systems (D1). `created_at` is for imports only: the SLA clock starts there;
    `reported_at` is when the customer says it happened. `requested_from` and `requested_until`: when the work may
    start, both or neither. `crew_size` engineers work at the same time (1..10). It starts `follows_gap_minutes` or more
    after the end of `follows_order_id`.
    """

    customer_id: UUID
    site_id: UUID
    priority: str
    kind: str
    description: str
    channel: str
    contact_id: UUID | None = None
    asset_id: UUID | None = None
    skills: dict[str, int] = {}
    duration_minutes: int = 60
    references: tuple[tuple[str, str], ...] = ()
    reported_at: datetime | None = None
    created_at: datetime | None = None
    parts: tuple[order_parts.PartNeeded, ...] = ()
    requested_from: datetime | None = None
    requested_until: datetime | None = None
    crew_size: int = 1
    follows_order_id: UUID | None = None
    follows_gap_minutes: int = 0


class OrderRef(msgspec.Struct, frozen=True, kw_only=True):
    """An order by id and number; `existing` where a reference led to one that was there before."""

    id: UUID
    number: str
    existing: bool = False


async def create_order(work: Work, order: NewOrder) -> OrderRef:
    """Take in one order; see `create_orders`. Paths in refusals name the field alone (`siteId`)."""
    return (await _create(work, [order], [""]))[0]


async def create_orders(work: Work, orders: Sequence[NewOrder]) -> list[OrderRef]:
    """Take in a batch, whole or not at all; the answers stand in the order of `orders`.

    Writes the orders, references, SLA timers and `work_order.created` in the journal, each in one statement.
    An order that shares a reference with one that exists, or with an earlier one of the batch, is answered
    with that one, which stays as it is. Refusals name `orders.{index}.{field}`.
    """
    checks.batch("orders", list(orders))
    return await _create(work, orders, [f"orders.{i}." for i in range(len(orders))])


async def _create(work: Work, given: Sequence[NewOrder], paths: list[str]) -> list[OrderRef]:
    orders = [_checked(order, path, work.now) for order, path in zip(given, paths, strict=True)]
    if not orders:
        return []
    pairs = sorted({pair for order in orders for pair in order.references})
    known = await _by_references(work, pairs)
    if all(any(pair in known for pair in order.references) for order in orders):
        # A replay whole: it is answered without queueing behind new orders.
        return [_one(order, path, known) for order, path in zip(orders, paths, strict=True)]
    number = await lock_counter(work)
    known = await _by_references(work, pairs)
    answers: list[OrderRef] = []
    fresh: list[tuple[OrderRef, NewOrder]] = []
    fresh_paths: list[str] = []
    for order, path in zip(orders, paths, strict=True):
        if any(pair in known for pair in order.references):
            answers.append(_one(order, path, known))
            continue
        ref = OrderRef(id=new_id(), number=f"WO-{number + len(fresh):06d}")
        for pair in order.references:
            known[pair] = OrderRef(id=ref.id, number=ref.number, existing=True)
        if order.created_at is None:
            order_planning.refuse_past(path, order.requested_until, now=work.now)
        answers.append(ref)
        fresh.append((ref, order))
        fresh_paths.append(path)
    if fresh:
        await _check_links(work, [order for _, order in fresh], fresh_paths)
        await order_planning.check_predecessors(
            work, [order.follows_order_id for _, order in fresh], fresh_paths
        )
        needs, codes = await order_parts.resolve(
            work, [order.parts for _, order in fresh], [f"{path}parts" for path in fresh_paths]
        )
        await work.execute("update order_counter set next_number = $1", number + len(fresh))
        await _insert(work, fresh, [{codes[id_]: n for id_, n in wanted.items()} for wanted in needs])
        await order_parts.insert(
            work, {ref.id: wanted for (ref, _), wanted in zip(fresh, needs, strict=True)}
        )
    return answers


def _checked(order: NewOrder, path: str, now: datetime) -> NewOrder:
    """The order with trimmed texts; raises the refusal of the first field that is not acceptable."""
    if len(order.references) > REFERENCES_MAX:
        raise LimitExceeded(
            what="references", limit=REFERENCES_MAX, given=len(order.references), path=f"{path}references"
        )
    requested_from, requested_until = order_planning.checked_window(
        path, order.requested_from, order.requested_until, now=now
    )
    return msgspec.structs.replace(
        order,
        requested_from=requested_from,
        requested_until=requested_until,
        crew_size=order_planning.checked_crew(path, order.crew_size),
        follows_gap_minutes=order_planning.checked_gap(
            path, order.follows_gap_minutes, order.follows_order_id
        ),
        priority=checks.one_of(f"{path}priority", order.priority, _PRIORITIES),
        kind=checks.one_of(f"{path}kind", order.kind, _KINDS),
        channel=checks.one_of(f"{path}channel", order.channel, _CHANNELS),
        description=checks.text(f"{path}description", order.description, chars_max=checks.TEXT_CHARS_MAX),
        skills=checks.skills(f"{path}skills", order.skills),
        duration_minutes=checks.whole(f"{path}durationMinutes", order.duration_minutes, low=5, high=1440),
        references=tuple(
            (
                checks.text(f"{path}references.{i}.system", system, chars_max=40),
                checks.text(f"{path}references.{i}.reference", reference, chars_max=120),
            )
            for i, (system, reference) in enumerate(order.references)
        ),
        reported_at=order.reported_at and checks.instant(f"{path}reportedAt", order.reported_at, now=now),
        created_at=order.created_at and checks.instant(f"{path}createdAt", order.created_at, now=now),
    )


async def _by_references(work: Work, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], OrderRef]:
    if not pairs:
        return {}
    rows = await work.fetch(
        """
        select r.system, r.reference, o.id, o.number
        from unnest($1::text[], $2::text[]) as t(system, reference)
        join external_reference r on r.system = t.system and r.reference = t.reference
        join work_order o on o.org_id = r.org_id and o.id = r.order_id
        """,
        [system for system, _ in pairs],
        [reference for _, reference in pairs],
    )
    return {
        (row["system"], row["reference"]): OrderRef(id=row["id"], number=row["number"], existing=True)
        for row in rows
    }


def _one(order: NewOrder, path: str, known: dict[tuple[str, str], OrderRef]) -> OrderRef:
    """The one existing order that the references lead to; refused where they lead to two."""
    found = {known[pair].id: known[pair] for pair in order.references if pair in known}
    if len(found) > 1:
        raise AlreadyExists(entity="work order", key="reference", path=f"{path}references")
    return next(iter(found.values()))


async def _check_links(work: Work, orders: list[NewOrder], paths: list[str]) -> None:
    """Customer, site, contact and asset exist and belong together; one statement for all orders."""
    bad = await work.fetchrow(
        """
        select t.n, c.id is null as customer, s.id is null as site,
               t.contact_id is not null and p.id is null as contact,
               t.asset_id is not null and a.id is null as asset
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[])
            with ordinality as t(customer_id, site_id, contact_id, asset_id, n)
        left join customer c on c.id = t.customer_id
        left join site s on s.id = t.site_id and s.customer_id = t.customer_id
        left join contact p on p.id = t.contact_id and p.customer_id = t.customer_id
        left join asset a on a.id = t.asset_id and a.site_id = t.site_id
        where c.id is null or s.id is null
           or (t.contact_id is not null and p.id is null) or (t.asset_id is not null and a.id is null)
        order by t.n limit 1
        """,
        [o.customer_id for o in orders],
        [o.site_id for o in orders],
        [o.contact_id for o in orders],
        [o.asset_id for o in orders],
    )
    if bad is not None:
        entity = next(name for name in ("customer", "site", "contact", "asset") if bad[name])
        raise NotFound(entity=entity, path=f"{paths[bad['n'] - 1]}{entity}Id")


async def _insert(work: Work, fresh: list[tuple[OrderRef, NewOrder]], parts: list[dict[str, int]]) -> None:
    """`parts` are each order's quantities by code, for the journal."""
    started = [order.created_at or work.now for _, order in fresh]
    dues = [
        [
            sla.due_at(created_at=start, priority=Priority(order.priority), name=name)
            for name in sla.MilestoneName
        ]
        for start, (_, order) in zip(started, fresh, strict=True)
    ]
    await work.execute(
        """
        insert into work_order (id, number, customer_id, site_id, contact_id, asset_id, priority, kind,
            description, channel, state, skills, duration_minutes, created_at, reported_at, sla_policy,
            respond_due_at, arrive_due_at, resolve_due_at, requested_from, requested_until, crew_size,
            follows_order_id, follows_gap_minutes)
        select i, n, c, s, p, a, pr, k, d, ch, $17, sk::jsonb, m, cr, re, $18, d1, d2, d3, rf, ru, cs, fo, fg
        from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[],
            $8::text[], $9::text[], $10::text[], $11::text[], $12::int[], $13::timestamptz[], $14::timestamptz[],
            $15::timestamptz[], $16::timestamptz[], $19::timestamptz[], $20::timestamptz[], $21::timestamptz[],
            $22::int[], $23::uuid[], $24::int[])
            as t(i, n, c, s, p, a, pr, k, d, ch, sk, m, cr, re, d1, d2, d3, rf, ru, cs, fo, fg)
        """,
        [ref.id for ref, _ in fresh],
        [ref.number for ref, _ in fresh],
        [o.customer_id for _, o in fresh],
        [o.site_id for _, o in fresh],
        [o.contact_id for _, o in fresh],
        [o.asset_id for _, o in fresh],
        [o.priority for _, o in fresh],
        [o.kind for _, o in fresh],
        [o.description for _, o in fresh],
        [o.channel for _, o in fresh],
        [msgspec.json.encode(o.skills).decode() for _, o in fresh],
        [o.duration_minutes for _, o in fresh],
        started,
        [o.reported_at for _, o in fresh],
        [due[0] for due in dues],
        [due[1] for due in dues],
        OrderState.NEW.value,
        sla.STANDARD.version,
        [due[2] for due in dues],
        [o.requested_from for _, o in fresh],
        [o.requested_until for _, o in fresh],
        [o.crew_size for _, o in fresh],
        [o.follows_order_id for _, o in fresh],
        [o.follows_gap_minutes for _, o in fresh],
    )
    references = [(ref.id, *pair) for ref, order in fresh for pair in dict.fromkeys(order.references)]
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
    await timers.arm_many(
        work,
        [
            (sla_key(ref.id, name), due, SLA_CHANNEL, {"orderId": str(ref.id), "milestone": name.value})
            for (ref, _), of_order in zip(fresh, dues, strict=True)
            for name, due in zip(sla.MilestoneName, of_order, strict=True)
        ],
    )
    await write_many(
        work,
        [
            Entry(
                kind="work_order.created",
                entity="work_order",
                entity_id=ref.id,
                order_id=ref.id,
                data={
                    "number": ref.number,
                    "priority": order.priority,
                    "kind": order.kind,
                    "channel": order.channel,
                    "customerId": order.customer_id,
                    "siteId": order.site_id,
                    "references": [list(pair) for pair in order.references],
                    **({"parts": wanted} if wanted else {}),
                },
            )
            for (ref, order), wanted in zip(fresh, parts, strict=True)
        ],
    )
    work.touch("work_order", *(ref.id for ref, _ in fresh))


async def lock_counter(work: Work) -> int:
    """The organisation's next order number, held until this transaction ends: whoever adds a reference waits here."""
    number: int = await work.fetchval(
        """
        insert into order_counter (next_number) values (1)
        on conflict (org_id) do update set next_number = order_counter.next_number
        returning next_number
        """
    )
    return number


def sla_key(order_id: UUID, milestone: sla.MilestoneName) -> str:
    """The key of a milestone's timer."""
    return f"sla:{order_id}:{milestone.value}"
