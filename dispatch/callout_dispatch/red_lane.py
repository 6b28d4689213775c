"""The red lane: a P0 goes to the best engineer at once, and on to the next until somebody takes it.

One visit goes from one to the next, so that an order never has two, and whoever answers late is told that the visit is
another's. A lane ends accepted; exhausted, when nobody is left to ask: then its visit is called off, the order waits to be
planned and the journal says so; or canceled, when somebody else decided about the order (`red_watch.py`).

Locks: calendars, visits, orders, and the lane's row last. What was found without them is confirmed once they are held.
"""

from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch import policies, red_look, red_moves, red_rows
from callout_dispatch.needs import Waiting, load_order
from callout_dispatch.pick_terms import PickResult, Ranked
from callout_dispatch.policy import Policy
from callout_dispatch.reassign import cancel_visit
from callout_dispatch.red_look import Seen
from callout_dispatch.red_rows import LaneView, OfferView
from callout_dispatch.red_rules import ANSWERABLE, may_ask_another
from callout_dispatch.texts import InWrongState, say
from callout_dispatch.visit_rows import (
    Decision,
    NewVisit,
    insert_decisions,
    insert_visits,
    lock_calendars,
    record_of,
)
from callout_dispatch.visit_states import VisitState
from callout_orders.terms import TO_BE_PLANNED, Priority
from callout_store import journal, timers
from callout_store.errors import Busy
from callout_store.work import Work

ROUNDS_MAX: Final = 5
"""Times the pick is asked anew because others took what it found meanwhile."""
EXHAUSTED: Final = "red_lane_exhausted"
"""The reason of a visit that was called off because nobody was left to ask."""


class Firing(msgspec.Struct, frozen=True):
    """A timer's firing: meant only while it is the timer's latest."""

    key: str
    epoch: int


class _OutrunError(Exception):
    """What was found is gone: somebody took it between the look and the locks."""


async def start(
    work: Work, order_id: UUID, *, policy: Policy | None = None, but: Collection[UUID] = ()
) -> UUID:
    """Offer a P0 that waits to the best engineer who is online, those of `but` left out; the lane's id.

    Where nobody can be asked the lane ends at once as exhausted, with the reasons in the journal. Raises NotFound,
    WrongState (no P0, or it has a visit already), and Busy (retryable) when others take all that is found.
    """
    by = policy or await policies.active(work)
    for _ in range(ROUNDS_MAX):
        order = _fit(await load_order(work, order_id))
        seen = await red_look.look(work, order, by, but)
        try:
            async with work.savepoint():
                return await _first(work, order_id, seen, by, but)
        except _OutrunError:
            continue
    raise Busy(what=say("dispatch", work.actor.locale), retry_after_ms=200)


async def start_if_waiting(work: Work, order_id: UUID) -> UUID | None:
    """The same for an order that may have been dispatched, called off or lowered meanwhile: then nothing happens.

    Whoever declined it before is not asked again of itself; a dispatcher may.
    """
    order = await load_order(work, order_id)
    if order.priority is not Priority.P0 or order.state not in TO_BE_PLANNED or order.duplicate:
        return None
    try:
        return await start(work, order_id, but=await red_rows.decliners(work, order_id))
    except InWrongState:
        return None


async def advance(work: Work, lane_id: UUID, round_: int, firing: Firing | None = None) -> bool:
    """Go on to the next engineer after round `round_`: its time is up (`firing`), or it was declined.

    False where that is done already, by this message before or by another worker, or where an answer came first.
    Raises Busy (retryable).
    """
    for _ in range(ROUNDS_MAX):
        lane = await red_rows.lane_by_id(work, lane_id)
        if lane is None or lane.state != "offering" or lane.round != round_:
            return False
        policy = await policies.version(work, lane.policy_version)
        order = await load_order(work, lane.order_id)
        offers = await red_rows.asked(work, lane_id)
        try:
            async with work.savepoint():
                seen = None
                if may_ask_another(len(offers), policy.red_lane):
                    seen = await red_look.look(work, order, policy, {one.engineer_id for one in offers})
                return await _next(work, lane, offers[-1], seen, policy, firing)
        except _OutrunError:
            continue
    raise Busy(what=say("dispatch", work.actor.locale), retry_after_ms=200)


def _fit(order: Waiting) -> Waiting:
    if order.priority is not Priority.P0:
        raise InWrongState(
            "work_order",
            order.priority.value,
            "needs_p0",
            {"en": order.priority.value, "zh": order.priority.value},
        )
    order.check_state(TO_BE_PLANNED)
    return order


async def _first(work: Work, order_id: UUID, seen: Seen, policy: Policy, but: Collection[UUID]) -> UUID:
    held = await _lock(work, seen, (), order_id)
    order = _fit(await load_order(work, order_id, lock=True))
    if seen.place is None:
        lane = await red_rows.insert_lane(work, order_id, policy.version, ended=True)
        await _decide(work, lane, seen, None, policy)
        await journal.write(work, red_rows.entry("exhausted", lane, rounds=0, **_reasons(seen.result)))
        work.touch("work_order", order_id)
        return lane.id
    slot = await _confirmed(work, order, policy, seen, held, but)
    lane = await red_rows.insert_lane(work, order_id, policy.version, ended=False)
    visit = NewVisit(
        order_id=order_id,
        engineer_id=UUID(slot.id),
        start=slot.slot_start,
        end=slot.slot_end,
        travel_minutes=slot.travel_minutes,
        method="red",
        crew=tuple(UUID(id_) for id_ in slot.crew),
    )
    await insert_visits(work, [visit])
    await _offer(work, msgspec.structs.replace(lane, visit_id=visit.id), seen, slot, policy, held)
    return lane.id


async def _next(
    work: Work, lane: LaneView, last: OfferView, seen: Seen | None, policy: Policy, firing: Firing | None
) -> bool:
    held = await _lock(work, seen, (last.visit_id,), lane.order_id)
    order = await load_order(work, lane.order_id, lock=True)
    now = await red_rows.lane_by_id(work, lane.id, lock=True)
    if now is None or now.state != "offering" or now.round != lane.round:
        return False
    said = (await red_rows.asked(work, lane.id))[-1]
    if firing is None:
        meant = said.answer == "declined"
    else:
        meant = said.answer is None and await timers.is_current(work, key=firing.key, epoch=firing.epoch)
    if not meant:
        return False
    visit = held[last.visit_id]
    if visit.state is VisitState.CANCELED:
        await red_rows.end(work, lane.id, "canceled")
        return True
    if visit.state not in ANSWERABLE and not (firing is None and visit.state is VisitState.ACCEPTED):
        # On the way, whatever was said before.
        await accepted(work, lane, last.round, last.engineer_id, None)
        return True
    if firing is not None:
        await red_rows.answer(work, lane.id, last.round, "timeout")
        await journal.write(
            work, red_rows.entry("timed_out", lane, engineerId=last.engineer_id, round=last.round)
        )
    if seen is None or seen.place is None:
        await _exhaust(work, lane, visit.id, seen, last.round)
        return True
    everybody = {one.engineer_id for one in await red_rows.asked(work, lane.id)}
    slot = await _confirmed(work, order, policy, seen, held, everybody)
    await red_moves.hand_over(work, visit, slot, said.reason or "timeout", laneId=lane.id)
    await _offer(work, lane, seen, slot, policy, held)
    return True


async def accepted(work: Work, lane: LaneView, round_: int, engineer_id: UUID, by: UUID | None) -> None:
    """End a lane, whose row the caller holds, with somebody who goes."""
    await red_rows.answer(work, lane.id, round_, "accepted", by=by)
    await red_rows.end(work, lane.id, "accepted")
    await journal.write(work, red_rows.entry("accepted", lane, engineerId=engineer_id, round=round_))
    work.touch("work_order", lane.order_id)


async def _exhaust(work: Work, lane: LaneView, visit_id: UUID, seen: Seen | None, rounds: int) -> None:
    # Ended before the visit is called off, or the watch over the journal would end it as canceled.
    await red_rows.end(work, lane.id, "exhausted")
    await cancel_visit(work, visit_id, EXHAUSTED)
    reasons = _reasons(seen.result) if seen is not None else {}
    await journal.write(work, red_rows.entry("exhausted", lane, rounds=rounds, **reasons))


async def _lock(
    work: Work, seen: Seen | None, visit_ids: tuple[UUID, ...], order_id: UUID
) -> dict[UUID, red_moves.Row]:
    displaced = () if seen is None else seen.displaced
    if seen is not None and seen.calendars:
        await lock_calendars(work, seen.calendars)
    held = await red_moves.lock(
        work,
        [*visit_ids, *(UUID(one.visit.id) for one in displaced)],
        [order_id, *(one.order_id for one in displaced)],
    )
    return dict(held)


async def _confirmed(
    work: Work,
    order: Waiting,
    policy: Policy,
    seen: Seen,
    held: dict[UUID, red_moves.Row],
    asked: Collection[UUID],
) -> Ranked:
    """The slot as it is under the locks, and whoever gives way for it still may."""
    ids = [UUID(one.visit.id) for one in seen.displaced]
    if ids:
        still = await red_look.lower_visits(work, policy, visit_ids=ids)
        for one in seen.displaced:
            found = still.get(one.visit.id)
            if found is None or found[0].engineer_id != one.visit.engineer_id:
                raise _OutrunError
            if held[UUID(one.visit.id)].scheduled_start != one.visit.start:
                raise _OutrunError
    slot = await red_look.confirm(work, order, policy, seen, asked, at_once=bool(ids))
    if slot is None:
        raise _OutrunError
    return slot


async def _offer(
    work: Work,
    lane: LaneView,
    seen: Seen,
    slot: Ranked,
    policy: Policy,
    held: dict[UUID, red_moves.Row],
) -> None:
    assert lane.visit_id is not None
    told = await red_moves.give_way(work, policy, lane, held, seen.displaced)
    engineer_id, rules = UUID(slot.id), policy.red_lane
    round_ = await red_rows.offer(work, lane, engineer_id, lane.visit_id, rules.offer_seconds, told)
    await _decide(work, lane, seen, slot, policy)
    await journal.write(
        work,
        red_rows.entry(
            "offered",
            lane,
            engineerId=engineer_id,
            round=round_,
            start=slot.slot_start,
            seconds=rules.offer_seconds,
            displaced=[one["visitId"] for one in told],
        ),
    )
    work.touch("work_order", lane.order_id)


async def _decide(work: Work, lane: LaneView, seen: Seen, slot: Ranked | None, policy: Policy) -> None:
    result: dict[str, Any] = record_of(seen.result)
    if slot is not None:
        result |= {
            "best": slot.id,
            "lane": {"laneId": str(lane.id), "slot": msgspec.to_builtins(slot)},
            "displaced": [one.visit.id for one in seen.displaced],
        }
    decision = Decision(
        order_id=lane.order_id,
        visit_id=lane.visit_id,
        engineer_id=UUID(slot.id) if slot is not None else None,
        method="red",
        policy_version=policy.label,
        result=result,
        input=seen.asked.kept(),
    )
    await insert_decisions(work, [decision])


def _reasons(result: PickResult) -> dict[str, Any]:
    """Why nobody could be asked: how many engineers each rule turned out."""
    return {
        "engineers": len(result.ranked) + len(result.out),
        "reasons": {code.value: count for code, count in result.out_counts.items()},
    }
