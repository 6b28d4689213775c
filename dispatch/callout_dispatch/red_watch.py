"""What happens elsewhere and concerns a lane, or a visit that was declined: a hook over the journal's lines.

Phones answer by their on-site events, in the middle of a push; dispatchers call orders off, lower them and reassign visits.
All of it stands in the journal of the same unit of work, so that one hook sees it, whatever door it came through. It runs
while the visits and orders concerned are locked, and locks the lanes' rows after them.

A decline takes the visit from its engineer at once: an offered one goes on to the next (by a message, because calendars
are locked before visits), any other is called off and its order waits to be planned. An urgent order does not wait: whoever
accepted it in a lane and then backs out sets off another one.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch import policies, red_lane, red_rows
from callout_dispatch.reassign import cancel_visit
from callout_dispatch.red_moves import METHOD
from callout_dispatch.red_rows import Open
from callout_dispatch.red_rules import last_word, takes_back
from callout_dispatch.texts import REASON_MAX
from callout_dispatch.visit_states import VisitState
from callout_orders import progress
from callout_orders.terms import Priority
from callout_store import journal
from callout_store.work import Work

DECLINED: Final = "visit.declined"
MOVED: Final = "visit.state_changed"
GONE: Final = frozenset({"visit.canceled", "visit.reassigned"})
HELD: Final = "visit.held"
"""Whoever pins an offered visit has decided that it stays where it is."""
ORDER_OVER: Final = frozenset({"work_order.canceled", "work_order.closed"})
BEGINS: Final = frozenset({"work_order.created", "work_order.duplicate_unlinked"})
"""An order that is to be worked on; one that came in as a duplicate of another is not."""
PRIORITY: Final = "work_order.priority_changed"
UNANSWERED: Final = frozenset({VisitState.SCHEDULED.value, VisitState.DISPATCHED.value})


class _Heard(msgspec.Struct):
    """The lines that matter, by what they mean."""

    declined: set[UUID] = msgspec.field(default_factory=set)
    moved: set[UUID] = msgspec.field(default_factory=set)
    gone: set[UUID] = msgspec.field(default_factory=set)
    orders: set[UUID] = msgspec.field(default_factory=set)
    urgent: set[UUID] = msgspec.field(default_factory=set)


async def watch(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook. Nothing is asked of the database unless a line matters."""
    heard = _sort(lines)
    if heard.declined:
        await _declined(work, heard)
    if heard.moved:
        for one in await red_rows.open_of_visits(work, heard.moved):
            await red_lane.accepted(work, one.lane, one.round, one.engineer_id, work.actor.user_id)
    if heard.gone or heard.orders:
        lanes = {
            one.lane.id: one
            for one in (
                *(await red_rows.open_of_visits(work, heard.gone) if heard.gone else ()),
                *(await red_rows.open_of_orders(work, heard.orders) if heard.orders else ()),
            )
        }
        for one in lanes.values():
            await _withdraw(work, one)
    if heard.urgent and (await policies.active(work)).red_lane.auto:
        await red_rows.ask_start(work, heard.urgent)


def _sort(lines: list[tuple[UUID, Any]]) -> _Heard:
    heard = _Heard()
    for _, entry in lines:
        kind, data = entry.kind, entry.data
        if kind == DECLINED:
            if not any(str(flag).startswith("after_") for flag in data.get("flags", ())):
                heard.declined.add(entry.visit_id)
        elif kind == MOVED:
            if data.get("from") in UNANSWERED:
                heard.moved.add(entry.visit_id)
        elif kind in GONE:
            if data.get("method") != METHOD:
                heard.gone.add(entry.visit_id)
        elif kind == HELD:
            if data.get("hold") is not None:
                heard.gone.add(entry.visit_id)
        elif kind in ORDER_OVER:
            heard.orders.add(entry.order_id)
        elif kind == PRIORITY:
            (heard.urgent if data.get("to") == Priority.P0.value else heard.orders).add(entry.order_id)
        elif (
            kind in BEGINS
            and data.get("priority") == Priority.P0.value
            and not (data.get("duplicateOf") or data.get("doneAt"))
        ):
            heard.urgent.add(entry.order_id)
    return heard


async def _declined(work: Work, heard: _Heard) -> None:
    """Take visits from those whose last word is no. Events of this unit of work stand in their table by now."""
    rows = await work.fetch(
        """
        select v.id, v.order_id, v.state, o.priority = 'P0' as urgent,
               exists (select 1 from red_lane l where l.org_id = v.org_id and l.visit_id = v.id) as by_lane,
               e.id::text as event_id, e.kind, e.corrected_at, e.data::text as data
        from visit v join work_order o on o.org_id = v.org_id and o.id = v.order_id
        join visit_event e on e.org_id = v.org_id and e.visit_id = v.id and e.engineer_id = v.engineer_id
        where v.org_id = callout_org() and v.id = any($1) and v.plan <> 'canceled'
              and e.kind in ('accepted', 'declined') and e.received_at >= v.assigned_at
              and e.corrected_at >= v.assigned_at - interval '1 minute'
        order by v.id, e.corrected_at, e.id
        """,
        sorted(heard.declined),
    )
    by_visit: dict[UUID, list[Any]] = {}
    for row in rows:
        by_visit.setdefault(row["id"], []).append(row)
    back: dict[UUID, str] = {}
    orders: set[UUID] = set()
    again: dict[UUID, tuple[UUID, bool]] = {}
    for visit_id, said in by_visit.items():
        word = last_word((row["corrected_at"], row["event_id"], row["kind"]) for row in said)
        if takes_back(VisitState(said[0]["state"]), word):
            back[visit_id] = _why(msgspec.json.decode(said[-1]["data"]))
            orders.add(said[0]["order_id"])
            if said[0]["urgent"]:
                again[visit_id] = said[0]["order_id"], said[0]["by_lane"]
    if not back:
        return
    # Before the lanes: whoever calls off an order or lowers it holds the order and then wants its lane.
    await progress.hold(work, orders)
    offered = {one.visit_id: one for one in await red_rows.open_of_visits(work, back)}
    for visit_id, why in back.items():
        heard.moved.discard(visit_id)
        one = offered.get(visit_id)
        if one is None:
            await cancel_visit(work, visit_id, f"declined: {why}"[:REASON_MAX])
            if visit_id in again and (again[visit_id][1] or (await policies.active(work)).red_lane.auto):
                await red_rows.ask_start(work, [again[visit_id][0]])
            continue
        if one.answer is not None:
            continue  # said before; the next one is on the way
        await red_rows.answer(work, one.lane.id, one.round, "declined", reason=why, by=work.actor.user_id)
        await red_rows.ask_next(work, one.lane.id, one.round)
        await journal.write(
            work,
            red_rows.entry("declined", one.lane, engineerId=one.engineer_id, round=one.round, reason=why),
        )


def _why(data: Mapping[str, Any]) -> str:
    """The reason's code, and the words that came with it."""
    return ": ".join(part for part in (str(data.get("reason", "")), str(data.get("text", ""))) if part)[
        :REASON_MAX
    ]


async def _withdraw(work: Work, one: Open) -> None:
    """Somebody else decided: the offer is withdrawn, the lane is over, the visit is theirs."""
    if one.answer is None:
        await red_rows.answer(work, one.lane.id, one.round, "withdrawn", by=work.actor.user_id)
    await red_rows.end(work, one.lane.id, "canceled")
    await journal.write(
        work, red_rows.entry("canceled", one.lane, engineerId=one.engineer_id, round=one.round)
    )
