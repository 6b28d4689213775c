"""What visits tell an order: its state, and the moments that its SLA clock waits for.

On the path of every push of every phone, hence set-based: one statement where nothing changed, and one more where
something did, for any number of orders; the rest joins what is put off.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from callout_orders.order_states import COMPLETED_VISIT, FAILED_VISIT, VisitFact, derive
from callout_orders.sla import milestones
from callout_orders.sla.clock import MilestoneName
from callout_orders.terms import OrderState
from callout_store import timers
from callout_store.journal import Entry, write_later
from callout_store.work import Work


class VisitFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All that an order's visits say. `visits` holds (state, ended_at) of every visit, oldest first.

    The three moments are the server's reckoning (corrected times): the first answer, the first arrival, and
    the completion. None says nothing, it does not take back.
    """

    order_id: UUID
    visits: tuple[tuple[str, datetime | None], ...]
    responded_at: datetime | None = None
    arrived_at: datetime | None = None
    resolved_at: datetime | None = None


class _Change(msgspec.Struct, kw_only=True):
    order_id: UUID
    before: str
    state: str
    responded_at: datetime | None
    arrived_at: datetime | None
    resolved_at: datetime | None


async def hold(work: Work, order_ids: Collection[UUID]) -> list[Record]:
    """The orders' rows under lock, taken in the order of their ids; callers lock visits before.

    To be called before the visits are read from which facts are made. Two visits of one order may move at once: who
    reads first and waits second would tell the order what was true before the other one committed.
    """
    rows = await work.fetch(
        """
        select id, state, responded_at, arrived_at, resolved_at, canceled_at, closed_at, reopened_at,
               respond_due_at, arrive_due_at, resolve_due_at, flow_waits
        from work_order where org_id = callout_org() and id = any($1::uuid[]) order by id for no key update
        """,
        sorted(order_ids),
    )
    # Their flows look next, and need not ask again.
    work.flows |= {row["id"]: frozenset(row["flow_waits"]) for row in rows}
    return rows


async def apply_visit_facts(
    work: Work, facts: Sequence[VisitFacts], held: Sequence[Record] | None = None
) -> list[UUID]:
    """Bring orders up to what their visits say; returns the ids of the orders that changed.

    `held` are the orders' rows as `hold` gave them; without it they are locked here, for facts that were not read from
    rows. The first response and the first arrival only ever move earlier (a late phone may know of an earlier one);
    `resolved_at` stands exactly while the order is completed or closed. Applying the same facts again changes nothing.
    The last entry of an order counts; orders that are not there are passed over.
    """
    by_order = {fact.order_id: fact for fact in facts}
    if not by_order:
        return []
    rows = [row for row in held if row["id"] in by_order] if held is not None else await hold(work, by_order)
    changes: list[_Change] = []
    met: list[str] = []
    reached: set[UUID] = set()
    reopened: list[tuple[UUID, datetime]] = []
    for row in rows:
        fact = _since(by_order[row["id"]], row["reopened_at"])
        state = derive(
            (VisitFact(f"{n:06d}", state, ended) for n, (state, ended) in enumerate(fact.visits)),
            canceled=row["canceled_at"] is not None,
            closed=row["closed_at"] is not None,
        ).value
        change = _Change(
            order_id=row["id"],
            before=row["state"],
            state=state,
            responded_at=_earlier(row["responded_at"], fact.responded_at),
            arrived_at=_earlier(row["arrived_at"], fact.arrived_at),
            resolved_at=_resolved_at(state, row["resolved_at"], fact, work.now),
        )
        moved = {
            MilestoneName.FIRST_RESPONSE: (row["responded_at"], change.responded_at),
            MilestoneName.ARRIVAL: (row["arrived_at"], change.arrived_at),
            MilestoneName.RESOLUTION: (row["resolved_at"], change.resolved_at),
        }
        if change.before == state and all(old == new for old, new in moved.values()):
            continue
        changes.append(change)
        for name, (old, new) in moved.items():
            if old is None and new is not None:
                reached.add(row["id"])
                # The timer of a late one is left to tell that it was.
                if new <= row[milestones.DUES[name]]:
                    met.append(milestones.key_of(row["id"], name))
        if row["resolved_at"] is not None and change.resolved_at is None:
            reopened.append((row["id"], row["resolved_at"]))
    if not changes:
        return []
    await _store(work, changes)
    timers.cancel_later(work, *met)
    if reached:
        milestones.settle_later(work, reached)
    if reopened:
        await milestones.reopened(work, reopened, bump=0)
    return [change.order_id for change in changes]


async def _store(work: Work, changes: list[_Change]) -> None:
    await work.execute(
        """
        update work_order o
        set state = t.state, responded_at = t.responded_at, arrived_at = t.arrived_at,
            resolved_at = t.resolved_at, revision = o.revision + 1
        from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[])
            as t(id, state, responded_at, arrived_at, resolved_at)
        where o.id = t.id
        """,
        [c.order_id for c in changes],
        [c.state for c in changes],
        [c.responded_at for c in changes],
        [c.arrived_at for c in changes],
        [c.resolved_at for c in changes],
    )
    write_later(
        work,
        [
            Entry(
                kind="work_order.state_changed",
                entity="work_order",
                entity_id=c.order_id,
                order_id=c.order_id,
                data={"from": c.before, "to": c.state},
            )
            for c in changes
            if c.before != c.state
        ],
    )
    work.touch("work_order", *(c.order_id for c in changes))


def _since(fact: VisitFacts, reopened_at: datetime | None) -> VisitFacts:
    """The facts, where work that ended before the order was opened again counts as not done."""
    if reopened_at is None:
        return fact
    return msgspec.structs.replace(
        fact,
        visits=tuple(
            (
                FAILED_VISIT
                if state == COMPLETED_VISIT and ended is not None and ended <= reopened_at
                else state,
                ended,
            )
            for state, ended in fact.visits
        ),
        resolved_at=None if fact.resolved_at is None or fact.resolved_at <= reopened_at else fact.resolved_at,
    )


def _earlier(stored: datetime | None, told: datetime | None) -> datetime | None:
    if stored is None or told is None:
        return stored or told
    return min(stored, told)


def _resolved_at(state: str, stored: datetime | None, fact: VisitFacts, now: datetime) -> datetime | None:
    if state in (OrderState.CLOSED, OrderState.CANCELED):
        return stored
    if state != OrderState.COMPLETED:
        return None
    if fact.resolved_at is not None:
        return fact.resolved_at
    ends = [ended for visit, ended in fact.visits if visit == COMPLETED_VISIT and ended is not None]
    return max(ends) if ends else stored or now
