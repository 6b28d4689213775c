"""Orders that an answer solved: closed without a visit, one or thousands at once.

Only an order for which nobody is on the way can be closed so: one that is new, or whose last visit could not do the work.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from callout_orders.sla import milestones
from callout_orders.terms import TO_BE_PLANNED, OrderState
from callout_store.journal import Entry, write_many
from callout_store.work import Work

CLOSABLE: Final = frozenset(state.value for state in TO_BE_PLANNED)


async def close(
    work: Work, order_ids: Sequence[UUID], *, via: str, data: dict[UUID, dict[str, Any]]
) -> dict[UUID, str]:
    """Close what can be closed, set-based; the state that keeps each of the others from it (`missing` for no order).

    Journals `work_order.solved_by_answer` with `data`, `work_order.closed`, and `work_order.responded` where nobody had.
    """
    rows = await work.fetch(
        """
        select id, number, state, responded_at is null as silent from work_order
        where org_id = callout_org() and id = any($1) order by id for no key update
        """,
        sorted(set(order_ids)),
    )
    state_of = {row["id"]: str(row["state"]) for row in rows}
    # What solved it was an answer, whoever gave it.
    silent = {row["id"]: row["number"] for row in rows if row["silent"]}
    left = {id_: state_of.get(id_, "missing") for id_ in order_ids}
    closed = [id_ for id_ in dict.fromkeys(order_ids) if left[id_] in CLOSABLE]
    if not closed:
        return left
    await work.execute(
        """
        update work_order set state = $2, closed_at = $3, resolved_at = coalesce(resolved_at, $3),
            responded_at = coalesce(responded_at, $3), revision = revision + 1
        where org_id = callout_org() and id = any($1)
        """,
        closed,
        OrderState.CLOSED.value,
        work.now,
    )
    await milestones.closed(work, closed)
    entries = []
    for id_ in closed:
        about = {"via": via, **data.get(id_, {})}
        if id_ in silent:
            entries.append(
                _line("work_order.responded", id_, {"number": silent[id_], "at": work.now, "via": via})
            )
        for kind, more in (
            ("work_order.solved_by_answer", about),
            ("work_order.closed", {"from": state_of[id_], "by": "answer"}),
        ):
            entries.append(_line(kind, id_, more))
    await write_many(work, entries)
    work.touch("work_order", *closed)
    return {id_: state for id_, state in left.items() if state not in CLOSABLE}


def _line(kind: str, order_id: UUID, data: dict[str, Any]) -> Entry:
    return Entry(kind=kind, entity="work_order", entity_id=order_id, order_id=order_id, data=data)
