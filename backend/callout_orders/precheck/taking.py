"""The pre-check at work: `check` says what would become of a request, `take` makes the order.

`take` holds an advisory lock on everything by which a requester is recognised (telephone, e-mail, serial, references), from
before the first look to the end: of two who report the same at once, the second sees the first one's customer and order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from callout_orders import intake
from callout_orders.kinds import versions
from callout_orders.precheck import looking, lookup, making
from callout_orders.precheck.alike import links, search
from callout_orders.precheck.looking import Look
from callout_orders.precheck.terms import Checked, Request, Taken
from callout_orders.precheck.vocabulary import vocabulary
from callout_store.errors import AlreadyExists, NotFound
from callout_store.work import Work


async def check(work: Work, request: Request) -> Checked:
    """What would become of the request; writes nothing. Raises NotFound for ids that lead nowhere."""
    existing = await _existing(work, request)
    if existing is not None:
        return looking.already(request, existing)
    return looking.checked(await _look(work, request, lock=False))


async def take(work: Work, request: Request) -> Taken:
    """Make the order, with the customer, site and contact that it needs where the channel may make them.

    The same reference again is answered with the order that exists, whatever else the request says. Raises everything that
    is wrong at once (`FieldsRefused`, or the one fault itself), NotFound for ids that lead nowhere, AlreadyExists where a
    reference leads to another customer's order.
    """
    existing = await _existing(work, request)
    if existing is not None:
        return existing
    look = await _look(work, request, lock=True)
    existing = await _existing(work, request)
    if existing is not None:
        return existing
    look.gather.settle()
    (known,) = await making.make(work, [look])
    (linked,) = await making.twins(work, [look])
    order = looking.order_of(look, known, linked.order_id if linked else None)
    ref = await intake.create_order(work, order)
    if linked is not None:
        await links.linked(work, [(ref.id, linked)], automatic=True)
    return looking.taken(look, known, ref, order, linked)


EXISTING: Final = """o.id, o.number, o.customer_id, o.site_id, o.contact_id, o.kind, o.kind_version,
    o.priority, o.tags, o.duplicate_of_id, d.number as duplicate_of_number"""


async def _existing(work: Work, request: Request) -> Taken | None:
    """The order that the references lead to. Raises AlreadyExists where it is none of the caller's business."""
    if not request.references:
        return None
    rows = await work.fetch(
        f"""
        select distinct on (o.id) {EXISTING}
        from unnest($1::text[], $2::text[]) as t(system, reference)
        join external_reference r on r.org_id = callout_org() and r.system = t.system and r.reference = t.reference
        join work_order o on o.org_id = r.org_id and o.id = r.order_id
        left join work_order d on d.org_id = o.org_id and d.id = o.duplicate_of_id
        limit 2
        """,
        [system.strip() for system, _ in request.references],
        [reference.strip() for _, reference in request.references],
    )
    return one_existing(request, [dict(row) for row in rows])


def one_existing(request: Request, rows: Sequence[dict[str, Any]]) -> Taken | None:
    """The one order of `rows` that a request's references lead to. Raises AlreadyExists for two, or a stranger's."""
    if not rows:
        return None
    if len(rows) > 1:
        raise AlreadyExists(entity="work order", key="reference", path="references")
    (row,) = rows
    if request.own_customer_ids is not None and row["customer_id"] not in request.own_customer_ids:
        # References are unique in the organisation; whose the other order is, is not this caller's business.
        raise AlreadyExists(entity="work order", key="reference", path="references")
    return Taken(**{**row, "tags": tuple(row["tags"])}, existing=True)


async def _look(work: Work, given: Request, *, lock: bool) -> Look:
    words = await vocabulary(work)
    begun = looking.begin(given, words, await versions.active(work))
    if lock:
        await hold(work, [begun.request])
    (matched,) = await lookup.match(work, [begun.compared])
    if isinstance(matched, NotFound):
        raise matched
    if lock and matched.known.customer_id is not None:
        # Of two orders of one customer at once, the second finds the first one.
        await work.execute(
            "select from customer where org_id = callout_org() and id = $1 for no key update",
            matched.known.customer_id,
        )
    look = looking.judge(begun, matched, words, work.now)
    look.duplicates = await search.candidates(
        work,
        looking.traits(look, work.now),
        words.settings.duplicates,
        own=given.own_customer_ids,
    )
    return look


async def hold(work: Work, requests: Sequence[Request]) -> None:
    """Hold everything by which these requesters are recognised until the unit of work ends; in one order for all."""
    names = [name for request in requests for name in looking.names(work.org_id, request)]
    if names:
        await work.execute(
            """
            select pg_advisory_xact_lock(k)
            from (select distinct hashtextextended(n, 0) as k from unnest($1::text[]) as t(n) order by k) as keys
            """,
            names,
        )
