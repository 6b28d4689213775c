"""Duplicates: linked, unlinked, merged, and what becomes of them when the first order ends.

A linked duplicate stays an order of its own (number, reporter, references), but nobody is sent for it and no clock runs: the
first one's does. It ends with the first one; is the first one called off, the oldest duplicate takes its place.
Whoever reported a duplicate stands in `order_reporter` of the first order, to be told of its course.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.channels import files
from callout_orders.checks import FieldRefused
from callout_orders.flow import run as flow
from callout_orders.precheck import texts as _texts
from callout_orders.precheck.terms import Candidate
from callout_orders.sla import clocks
from callout_orders.terms import FINAL, OrderState
from callout_store.errors import NotFound, StaleRevision, WrongState
from callout_store.ids import new_id
from callout_store.journal import Entry, write_many
from callout_store.work import Work

assert _texts.PATHS

_ENDS: Final = frozenset({"work_order.closed", "work_order.canceled"})
CASCADE_ROWS: Final = 1000
"""Duplicates that end, or go over to another order, in one statement."""


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge moved from one order to the other."""

    into_id: UUID
    into_number: str
    from_id: UUID
    from_number: str
    references: int
    duplicates: int
    revision: int


class ReporterView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody else who reported the matter of `order_id`, under `from_order_id`; told of its course like the first one."""

    id: UUID
    order_id: UUID
    from_order_id: UUID
    contact_id: UUID | None
    name: str | None
    phone: str | None
    email: str | None
    locale: str
    added_at: datetime


async def reporters_by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[list[ReporterView]]:
    """For each order, the further people who reported its matter, the first first."""
    rows = await work.fetch(
        """
        select id, order_id, from_order_id, contact_id, name, phone, email, locale, added_at from order_reporter
        where org_id = callout_org() and order_id = any($1) order by added_at, id
        """,
        checks.ids("ids", list(order_ids)),
    )
    found: dict[UUID, list[ReporterView]] = {}
    for row in rows:
        found.setdefault(row["order_id"], []).append(ReporterView(**dict(row)))
    return [found.get(id_, []) for id_ in order_ids]


async def linked(work: Work, pairs: Sequence[tuple[UUID, Candidate]], *, automatic: bool) -> None:
    """New orders were taken in as duplicates: say so on both, and let their reporters be told by the first ones."""
    await _add_reporters(work, [(to.order_id, order_id) for order_id, to in pairs])
    await write_many(
        work,
        [
            _entry(
                "work_order.duplicate_linked",
                order_id,
                {
                    "of": to.order_id,
                    "ofNumber": to.number,
                    "score": to.score,
                    "automatic": automatic,
                    "reasons": [{"code": one.code, "points": one.points} for one in to.reasons],
                },
            )
            for order_id, to in pairs
        ],
    )
    work.touch("work_order", *(id_ for order_id, to in pairs for id_ in (order_id, to.order_id)))


async def unlink(work: Work, order_id: UUID, reason: str = "", revision: int | None = None) -> int:
    """The order is a matter of its own after all: its clock starts, counted from when it came in, and it is to be planned.

    Returns its revision. Unlinking what is not linked changes nothing. Raises WrongState for one that is over.
    """
    why = checks.text("reason", reason, chars_max=1000, blank=True)
    (row,) = await _locked(work, [order_id])
    if revision is not None and revision != row["revision"]:
        raise StaleRevision(entity="work order", current=row["revision"], given=revision)
    if row["duplicate_of_id"] is None:
        return int(row["revision"])
    if row["state"] in FINAL:
        raise WrongState(entity="work order", state=row["state"], needed="an order that is not final")
    await _set_free(work, [order_id], {order_id: row["duplicate_of_id"]}, why)
    return int(row["revision"]) + 1


async def merge(
    work: Work, into_id: UUID, from_id: UUID, reason: str = "", *, across_customers: bool = False
) -> Merged:
    """Put one order into another: references, reporters and its own duplicates move, and it is closed as merged.

    Both journals keep what happened. That its visits have ended is looked at by the floor that owns them. Merging twice
    changes nothing. Raises FieldRefused, NotFound, WrongState.
    """
    why = checks.text("reason", reason, chars_max=1000, blank=True)
    if into_id == from_id:
        raise FieldRefused("from", "merge_self")
    rows = {row["id"]: row for row in await _locked(work, [into_id, from_id])}
    into, gone = rows[into_id], rows[from_id]
    if into["duplicate_of_id"] is not None:
        raise FieldRefused("into", "merge_duplicate", given=into["number"])
    if gone["state"] == OrderState.CLOSED and gone["duplicate_of_id"] == into_id:
        return _merged(into, gone, 0, 0)
    for path, row in (("into", into), ("from", gone)):
        if row["state"] in FINAL:
            raise WrongState(
                entity="work order", state=row["state"], needed="an order that is not final", path=path
            )
    if into["customer_id"] != gone["customer_id"] and not across_customers:
        raise FieldRefused("from", "merge_customer")
    references = await work.execute(
        "update external_reference set order_id = $1 where org_id = callout_org() and order_id = $2",
        into_id,
        from_id,
    )
    await work.execute(
        "update order_reporter set order_id = $1 where org_id = callout_org() and order_id = $2",
        into_id,
        from_id,
    )
    await _add_reporters(work, [(into_id, from_id)])
    moved_files = await files.move(work, from_id, into_id)
    followers = await work.fetch(
        """
        update work_order set duplicate_of_id = $1, revision = revision + 1
        where org_id = callout_org() and duplicate_of_id = $2 returning id
        """,
        into_id,
        from_id,
    )
    await work.execute(
        """
        update work_order set duplicate_of_id = $1, state = $3, closed_at = $4, revision = revision + 1
        where org_id = callout_org() and id = $2
        """,
        into_id,
        from_id,
        OrderState.CLOSED.value,
        work.now,
    )
    await work.execute(
        """
        update work_order set revision = revision + 1,
            tags = (select coalesce(array_agg(distinct t), '{}') from unnest(tags || $2::text[]) t)
        where org_id = callout_org() and id = $1
        """,
        into_id,
        gone["tags"],
    )
    await _reset_clocks(work, [from_id])
    of_from = {"into": into_id, "intoNumber": into["number"], "reason": why, "state": gone["state"]}
    of_into = {"from": from_id, "fromNumber": gone["number"], "reason": why, "references": references} | (
        {"files": moved_files} if moved_files else {}
    )
    await write_many(
        work,
        [
            _entry("work_order.merged", from_id, of_from),
            _entry("work_order.merged", into_id, of_into),
            _entry("work_order.closed", from_id, {"from": gone["state"], "mergedInto": into_id}),
        ],
    )
    work.touch("work_order", into_id, from_id, *(row["id"] for row in followers))
    return _merged(into, gone, references, len(followers))


async def follow(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook over a unit of work's journal lines: duplicates end with their first order, or go on without it."""
    ends = {
        entry.order_id: entry.kind for _, entry in lines if entry.kind in _ENDS and entry.order_id is not None
    }
    if not ends:
        return
    heirs: dict[UUID, UUID] = {}
    while True:
        rows = await work.fetch(
            """
            select id, state, duplicate_of_id from work_order
            where org_id = callout_org() and duplicate_of_id = any($1) and state not in ('closed', 'canceled')
            order by id limit $2 for no key update
            """,
            list(ends),
            CASCADE_ROWS,
        )
        await _close(work, [row for row in rows if ends[row["duplicate_of_id"]] == "work_order.closed"])
        left: dict[UUID, list[UUID]] = {}
        for row in rows:
            if ends[row["duplicate_of_id"]] == "work_order.canceled":
                left.setdefault(row["duplicate_of_id"], []).append(row["id"])
        for first, others in left.items():
            if first not in heirs:
                heirs[first] = others.pop(0)
                await _set_free(work, [heirs[first]], {heirs[first]: first}, "")
            await _hang_on(work, others, heirs[first])
        if len(rows) < CASCADE_ROWS:
            return


async def follow_again(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The same hook once more, after those that may close orders themselves. What ended before is settled, and stays so."""
    await follow(work, lines)


async def _close(work: Work, rows: Sequence[Any]) -> None:
    if not rows:
        return
    ids = [row["id"] for row in rows]
    await work.execute(
        """
        update work_order set state = $2, closed_at = $3, revision = revision + 1
        where org_id = callout_org() and id = any($1)
        """,
        ids,
        OrderState.CLOSED.value,
        work.now,
    )
    await write_many(
        work,
        [
            _entry(
                "work_order.closed", row["id"], {"from": row["state"], "duplicateOf": row["duplicate_of_id"]}
            )
            for row in rows
        ],
    )
    work.touch("work_order", *ids)


async def _set_free(work: Work, ids: Sequence[UUID], of: dict[UUID, UUID], why: str) -> None:
    rows = await work.fetch(
        """
        update work_order set duplicate_of_id = null, revision = revision + 1
        where org_id = callout_org() and id = any($1) returning id, priority, kind, kind_version
        """,
        list(ids),
    )
    firsts = await work.fetch(
        "select id, number from work_order where org_id = callout_org() and id = any($1)", list(of.values())
    )
    number_of = {row["id"]: row["number"] for row in firsts}
    await work.execute(
        "delete from order_reporter where org_id = callout_org() and from_order_id = any($1)", list(ids)
    )
    await _reset_clocks(work, ids)
    await write_many(
        work,
        [
            _entry(
                "work_order.duplicate_unlinked",
                row["id"],
                {
                    "of": of[row["id"]],
                    "ofNumber": number_of[of[row["id"]]],
                    "priority": row["priority"],
                    "reason": why,
                },
            )
            for row in rows
        ],
    )
    await flow.start(work, [(row["id"], row["kind"], row["kind_version"]) for row in rows])
    # What was done while it hung on the other order, such as its first answer, counts.
    await flow.advance(work, ids)
    work.touch("work_order", *ids, *of.values())


async def _hang_on(work: Work, ids: Sequence[UUID], heir: UUID) -> None:
    if not ids:
        return
    await work.execute(
        """
        update work_order set duplicate_of_id = $2, revision = revision + 1
        where org_id = callout_org() and id = any($1)
        """,
        list(ids),
        heir,
    )
    await work.execute(
        "update order_reporter set order_id = $2 where org_id = callout_org() and from_order_id = any($1)",
        list(ids),
        heir,
    )
    work.touch("work_order", *ids)


async def _reset_clocks(work: Work, ids: Sequence[UUID]) -> None:
    """Timers as they belong to the orders' rows as they stand now."""
    held = await clocks.load(work, ids, lock=True)
    await clocks.set_timers(work, list(held.values()))


async def _add_reporters(work: Work, pairs: Sequence[tuple[UUID, UUID]]) -> None:
    """Who reported the second order of each pair is told of the first, unless its own reporter is the same person."""
    await work.execute(
        """
        insert into order_reporter (id, order_id, from_order_id, contact_id, name, phone, email, locale, added_at)
        select t.new_id, o.id, f.id, f.contact_id, f.reporter_name, f.reporter_phone, f.reporter_email, f.locale, $4
        from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as t(new_id, id, from_id)
        join work_order f on f.org_id = callout_org() and f.id = t.from_id
        join work_order o on o.org_id = callout_org() and o.id = t.id
        where coalesce(f.contact_id::text, f.reporter_phone, f.reporter_email) is not null
          and f.contact_id is distinct from o.contact_id
        on conflict (org_id, order_id, from_order_id) do nothing
        """,
        [new_id() for _ in pairs],
        [order_id for order_id, _ in pairs],
        [from_id for _, from_id in pairs],
        work.now,
    )


async def _locked(work: Work, ids: Sequence[UUID]) -> list[Any]:
    rows = await work.fetch(
        """
        select id, number, state, customer_id, duplicate_of_id, tags, revision from work_order
        where org_id = callout_org() and id = any($1) order by id for no key update
        """,
        list(ids),
    )
    if len(rows) < len(set(ids)):
        raise NotFound(entity="work order", path="orderId")
    return rows


def _merged(into: Any, gone: Any, references: int, duplicates: int) -> Merged:
    return Merged(
        into_id=into["id"],
        into_number=into["number"],
        from_id=gone["id"],
        from_number=gone["number"],
        references=references,
        duplicates=duplicates,
        revision=into["revision"] + 1,
    )


def _entry(kind: str, order_id: UUID, data: dict[str, Any]) -> Entry:
    return Entry(kind=kind, entity="work_order", entity_id=order_id, order_id=order_id, data=data)
