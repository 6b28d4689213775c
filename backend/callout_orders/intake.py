"""Intake: how a work order comes into the house, one or thousands at a time.

Idempotent by external reference: whoever sends the same (system, reference) again gets the order that exists.
The row of `order_counter` is the organisation's one queue for new orders: it is locked before the references
are read, so that the second of two simultaneous senders waits, then sees the first one's order.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from callout_orders import checks, intake_rows, order_parts, order_planning
from callout_orders.checks import REFUSED, Gather
from callout_orders.intake_rows import SLA_CHANNEL, sla_key
from callout_orders.kinds import versions
from callout_orders.terms import TAGS_MAX, Channel, Priority
from callout_store.errors import AlreadyExists, LimitExceeded, NotFound
from callout_store.ids import new_id
from callout_store.work import Work

__all__ = ["SLA_CHANNEL", "NewOrder", "OrderRef", "create_order", "create_orders", "lock_counter", "sla_key"]

REFERENCES_MAX = 20
TAG_CHARS_MAX = 60

_PRIORITIES = frozenset(p.value for p in Priority)
_CHANNELS = frozenset(c.value for c in Channel)
LOCALES = frozenset({"en", "zh"})


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an order when it comes in.

    `skills` are codes with the level needed (1..5); `duration_minutes` is the expected work on site
    (5..1440). `parts` are those it will need, by code or id, with quantities. `references` are (system,
    reference) pairs of other systems (D1). `created_at` is for imports only: the SLA clock starts there;
    `reported_at` is when the customer says it happened. `requested_from` and `requested_until`: when the work may
    start, both or neither. `crew_size` engineers work at the same time (1..10). It starts `follows_gap_minutes` or more
    after the end of `follows_order_id`. `kind_version` None: the active one. `fields` are values of the kind's own fields,
    as `kinds.fields.checked` returns them. `serial`, `product`, `error_code` and the `reporter_*` stand as they were
    reported, whether or not an asset or a contact is behind them. An order with a `duplicate_of_id` gets no clock.
    `done_at`, for imports only: it was done by then, before it came here. Such an order is closed and in the archive at
    once, has neither clock nor flow, and nobody is told of it.
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
    kind_version: int | None = None
    fields: Mapping[str, Any] = {}
    serial: str | None = None
    product: str | None = None
    error_code: str | None = None
    reporter_name: str | None = None
    reporter_phone: str | None = None
    reporter_email: str | None = None
    locale: str = "en"
    tags: tuple[str, ...] = ()
    duplicate_of_id: UUID | None = None
    done_at: datetime | None = None


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
    orders = [checked(order, path, work.now) for order, path in zip(given, paths, strict=True)]
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
        versioned = await _with_versions(work, [order for _, order in fresh], fresh_paths)
        fresh = [(ref, order) for (ref, _), order in zip(fresh, versioned, strict=True)]
        await _check_links(work, [order for _, order in fresh], fresh_paths)
        await order_planning.check_predecessors(
            work, [order.follows_order_id for _, order in fresh], fresh_paths
        )
        needs, codes = await order_parts.resolve(
            work, [order.parts for _, order in fresh], [f"{path}parts" for path in fresh_paths]
        )
        await work.execute("update order_counter set next_number = $1", number + len(fresh))
        await intake_rows.insert(
            work,
            [
                intake_rows.Fresh(
                    id=ref.id,
                    number=ref.number,
                    order=order,
                    parts={codes[id_]: n for id_, n in wanted.items()},
                )
                for (ref, order), wanted in zip(fresh, needs, strict=True)
            ],
        )
        await order_parts.insert(
            work, {ref.id: wanted for (ref, _), wanted in zip(fresh, needs, strict=True)}
        )
    return answers


def checked(order: NewOrder, path: str, now: datetime) -> NewOrder:
    """The order with trimmed texts; everything that is not acceptable about its values is said at once."""
    gather = Gather()
    tidy: dict[str, Any] = {}

    def take(name: str, field: str, check: Callable[..., Any], *more: Any, **limits: Any) -> None:
        # As `with gather` does it, without the cost of one for each of a batch's many values.
        try:
            tidy[name] = check(path + field, *more, **limits)
        except REFUSED as fault:
            gather.add(fault)

    with gather:
        tidy["requested_from"], tidy["requested_until"] = order_planning.checked_window(
            path, order.requested_from, order.requested_until, now=now
        )
    with gather:
        tidy["crew_size"] = order_planning.checked_crew(path, order.crew_size)
    with gather:
        tidy["follows_gap_minutes"] = order_planning.checked_gap(
            path, order.follows_gap_minutes, order.follows_order_id
        )
    take("priority", "priority", checks.one_of, order.priority, _PRIORITIES)
    take("kind", "kind", checks.text, order.kind, chars_max=40)
    take("channel", "channel", checks.one_of, order.channel, _CHANNELS)
    take("description", "description", checks.text, order.description, chars_max=checks.TEXT_CHARS_MAX)
    take("skills", "skills", checks.skills, order.skills)
    take("duration_minutes", "durationMinutes", checks.whole, order.duration_minutes, low=5, high=1440)
    take("serial", "serial", checks.optional_text, order.serial, chars_max=80)
    take("product", "product", checks.optional_text, order.product)
    take("error_code", "errorCode", checks.optional_text, order.error_code, chars_max=40)
    take("reporter_name", "contactName", checks.optional_text, order.reporter_name)
    take("reporter_phone", "contactPhone", checks.optional_text, order.reporter_phone, chars_max=40)
    take("reporter_email", "contactEmail", checks.email, order.reporter_email)
    take("locale", "locale", checks.one_of, order.locale, LOCALES)
    take("tags", "tags", checked_tags, order.tags)
    take("references", "references", _checked_references, order.references)
    if order.reported_at is not None:
        take("reported_at", "reportedAt", checks.instant, order.reported_at, now=now)
    if order.created_at is not None:
        take("created_at", "createdAt", checks.instant, order.created_at, now=now)
    if order.done_at is not None:
        take("done_at", "doneAt", checks.instant, order.done_at, now=now)
    gather.settle()
    return msgspec.structs.replace(order, **tidy)


def _checked_references(path: str, given: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    if len(given) > REFERENCES_MAX:
        raise LimitExceeded(what="references", limit=REFERENCES_MAX, given=len(given), path=path)
    return tuple(
        (
            checks.text(f"{path}.{i}.system", system, chars_max=40),
            checks.text(f"{path}.{i}.reference", reference, chars_max=120),
        )
        for i, (system, reference) in enumerate(given)
    )


async def _with_versions(work: Work, orders: list[NewOrder], paths: list[str]) -> list[NewOrder]:
    """The orders with the active version of their kinds, where none was said."""
    if all(order.kind_version is not None for order in orders):
        return orders
    active = await versions.active(work)
    for order, path in zip(orders, paths, strict=True):
        if order.kind_version is None and order.kind not in active:
            raise checks.FieldRefused(f"{path}kind", "kind_unknown", options=", ".join(sorted(active)))
    return [
        order
        if order.kind_version is not None
        else msgspec.structs.replace(order, kind_version=active[order.kind].version)
        for order in orders
    ]


def checked_tags(path: str, given: Sequence[str]) -> tuple[str, ...]:
    """Tags without blanks around them, each once, in their order."""
    if len(given) > TAGS_MAX:
        raise LimitExceeded(what="tags", limit=TAGS_MAX, given=len(given), path=path)
    texts = (checks.text(f"{path}.{i}", tag, chars_max=TAG_CHARS_MAX) for i, tag in enumerate(given))
    return tuple(dict.fromkeys(texts))


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
