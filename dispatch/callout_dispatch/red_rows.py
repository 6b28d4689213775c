"""Rows of the red lane: one lane an urgent order, in it one offer for every engineer who was asked.

A lane's row is locked last, after calendars, visits and orders, by whoever changes it or one of its offers.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from callout_orders.rows import Page
from callout_store import journal, outbox, timers
from callout_store.ids import new_id
from callout_store.work import Work

LaneState = Literal["offering", "accepted", "exhausted", "canceled"]
Answer = Literal["accepted", "declined", "timeout", "withdrawn"]

CHANNEL: Final = "red.lane"
"""Where a lane's timers and the word to ask the next engineer go."""
START_CHANNEL: Final = "red.start"
ENTITY: Final = "red_lane"


class LaneView(msgspec.Struct, frozen=True, kw_only=True):
    """A lane; `round` counts the engineers asked, `visit_id` is the visit that is offered from one to the next."""

    id: UUID
    order_id: UUID
    state: LaneState
    visit_id: UUID | None
    policy_version: int
    round: int
    started_at: datetime
    ended_at: datetime | None


class OfferView(msgspec.Struct, frozen=True, kw_only=True):
    """Who was asked, when, until when, and what they said; `displaced` are the visits that moved for it, as JSON."""

    id: UUID
    lane_id: UUID
    round: int
    engineer_id: UUID
    visit_id: UUID
    offered_at: datetime
    expires_at: datetime
    answer: Answer | None
    answered_at: datetime | None
    answered_by: UUID | None
    reason: str
    displaced: list[dict[str, Any]]


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """A lane that goes on, under lock, and its latest offer; `answer` is `declined` until the next one is asked."""

    lane: LaneView
    engineer_id: UUID
    visit_id: UUID
    round: int
    answer: Answer | None


_LANE: Final = "l.id, l.order_id, l.state, l.visit_id, l.policy_version, l.round, l.started_at, l.ended_at"
_OFFER: Final = """o.id, o.lane_id, o.round, o.engineer_id, o.visit_id, o.offered_at, o.expires_at, o.answer,
    o.answered_at, o.answered_by, o.reason, o.displaced::text as displaced"""


def timer_key(lane_id: UUID, round_: int) -> str:
    """The timer of one offer."""
    return f"red:{lane_id}:{round_}"


async def insert_lane(work: Work, order_id: UUID, policy_version: int, *, ended: bool) -> LaneView:
    """Open a lane for an order whose row the caller holds; with `ended` one in which nobody could be asked."""
    lane = LaneView(
        id=new_id(),
        order_id=order_id,
        state="exhausted" if ended else "offering",
        visit_id=None,
        policy_version=policy_version,
        round=0,
        started_at=work.now,
        ended_at=work.now if ended else None,
    )
    await work.execute(
        """
        insert into red_lane (id, order_id, state, policy_version, round, started_at, ended_at)
        values ($1, $2, $3, $4, 0, $5, $6)
        """,
        lane.id,
        order_id,
        lane.state,
        policy_version,
        lane.started_at,
        lane.ended_at,
    )
    return lane


async def lane_by_id(work: Work, lane_id: UUID, *, lock: bool = False) -> LaneView | None:
    """One lane, on request under lock."""
    locking = " for update of l" if lock else ""
    row = await work.fetchrow(
        f"select {_LANE} from red_lane l where l.org_id = callout_org() and l.id = $1{locking}", lane_id
    )
    return None if row is None else LaneView(**dict(row))


async def asked(work: Work, lane_id: UUID) -> list[OfferView]:
    """The lane's offers, the first one first."""
    return (await offers_by_lane_ids(work, [lane_id]))[0]


async def offer(
    work: Work,
    lane: LaneView,
    engineer_id: UUID,
    visit_id: UUID,
    seconds: int,
    displaced: Sequence[Mapping[str, Any]],
) -> int:
    """Write the lane's next offer and arm its timer; its round."""
    round_ = lane.round + 1
    await work.execute(
        """
        insert into red_offer (id, lane_id, round, engineer_id, visit_id, offered_at, expires_at, displaced)
        values ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb)
        """,
        new_id(),
        lane.id,
        round_,
        engineer_id,
        visit_id,
        work.now,
        work.now + timedelta(seconds=seconds),
        msgspec.json.encode(displaced).decode(),
    )
    await work.execute(
        "update red_lane set round = $2, visit_id = $3 where org_id = callout_org() and id = $1",
        lane.id,
        round_,
        visit_id,
    )
    # By the database's clock, which fires it: a demo's clock may run ahead.
    due_at = await work.fetchval("select clock_timestamp() + make_interval(secs => $1)", float(seconds))
    await timers.arm(
        work,
        key=timer_key(lane.id, round_),
        due_at=due_at,
        channel=CHANNEL,
        payload={"laneId": str(lane.id), "round": round_},
    )
    # A worker that sleeps until something later is due shall look again.
    work.owes = True
    return round_


async def decliners(work: Work, order_id: UUID) -> set[UUID]:
    """Who said no to this order at some time, in a lane or after they had accepted."""
    rows = await work.fetch(
        """
        select distinct e.engineer_id from visit_event e
        join visit v on v.org_id = e.org_id and v.id = e.visit_id
        where v.org_id = callout_org() and v.order_id = $1 and e.kind = 'declined'
        """,
        order_id,
    )
    return {row["engineer_id"] for row in rows}


async def open_of_visits(work: Work, visit_ids: Collection[UUID]) -> list[Open]:
    """Lanes that go on with these visits, locked in the order of their ids."""
    return await _open(work, "l.visit_id = any($1)", visit_ids)


async def open_of_orders(work: Work, order_ids: Collection[UUID]) -> list[Open]:
    """Lanes of these orders that go on, locked in the order of their ids."""
    return await _open(work, "l.order_id = any($1)", order_ids)


async def _open(work: Work, which: str, ids: Collection[UUID]) -> list[Open]:
    found = await work.fetch(
        f"""
        select {_LANE} from red_lane l where l.org_id = callout_org() and l.state = 'offering' and {which}
        order by l.id for update of l
        """,
        sorted(ids),
    )
    lanes = {row["id"]: LaneView(**dict(row)) for row in found}
    if not lanes:
        return []
    # Asked after the lock: whoever held it may just have written the answer.
    rows = await work.fetch(
        """
        select distinct on (o.lane_id) o.lane_id, o.engineer_id, o.visit_id, o.round, o.answer from red_offer o
        where o.org_id = callout_org() and o.lane_id = any($1) order by o.lane_id, o.round desc
        """,
        list(lanes),
    )
    going: list[Open] = []
    for row in rows:
        values = dict(row)
        going.append(Open(lane=lanes[values.pop("lane_id")], **values))
    return going


async def answer(
    work: Work, lane_id: UUID, round_: int, said: Answer, *, reason: str = "", by: UUID | None = None
) -> None:
    """Write the answer of an offer, and put its timer to rest."""
    await work.execute(
        """
        update red_offer set answer = $3, answered_at = $4, answered_by = $5, reason = $6
        where org_id = callout_org() and lane_id = $1 and round = $2
        """,
        lane_id,
        round_,
        said,
        work.now,
        by,
        reason,
    )
    await timers.cancel(work, timer_key(lane_id, round_))


async def end(work: Work, lane_id: UUID, state: LaneState) -> None:
    """End a lane."""
    await work.execute(
        "update red_lane set state = $2, ended_at = $3 where org_id = callout_org() and id = $1",
        lane_id,
        state,
        work.now,
    )


async def ask_next(work: Work, lane_id: UUID, round_: int) -> None:
    """Owe the lane its next engineer, at once. In a message, because calendars are locked before the visit we hold."""
    await outbox.send(
        work,
        outbox.Message(
            channel=CHANNEL,
            stream=f"red:{lane_id}",
            dedupe_key=f"red:{lane_id}:{round_}:next",
            payload={"laneId": str(lane_id), "round": round_},
        ),
    )


async def ask_start(work: Work, order_ids: Collection[UUID]) -> None:
    """Owe orders their lanes. Whoever takes in orders does not wait for it."""
    messages = [
        outbox.Message(
            channel=START_CHANNEL,
            stream=f"red:{order_id}",
            dedupe_key=f"red:start:{order_id}:{new_id()}",
            payload={"orderId": str(order_id)},
        )
        for order_id in sorted(order_ids)
    ]
    await outbox.send(work, *messages)


def entry(what: str, lane: LaneView, visit_id: UUID | None = None, **data: Any) -> journal.Entry:
    """A line of the journal about a lane: `red_lane.<what>`."""
    return journal.Entry(
        kind=f"red_lane.{what}",
        entity=ENTITY,
        entity_id=lane.id,
        order_id=lane.order_id,
        visit_id=visit_id or lane.visit_id,
        data=data,
    )


async def lanes_by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[LaneView | None]:
    """The latest lane of each order."""
    rows = await work.fetch(
        f"""
        select distinct on (l.order_id) {_LANE} from red_lane l
        where l.org_id = callout_org() and l.order_id = any($1) order by l.order_id, l.id desc
        """,
        list(order_ids),
    )
    found = {row["order_id"]: LaneView(**dict(row)) for row in rows}
    return [found.get(id_) for id_ in order_ids]


async def offers_by_lane_ids(work: Work, lane_ids: Sequence[UUID]) -> list[list[OfferView]]:
    """The offers of each lane, the first one first."""
    rows = await work.fetch(
        f"""
        select {_OFFER} from red_offer o where o.org_id = callout_org() and o.lane_id = any($1)
        order by o.lane_id, o.round
        """,
        list(lane_ids),
    )
    found: dict[UUID, list[OfferView]] = {}
    for row in rows:
        values = dict(row) | {"displaced": msgspec.json.decode(row["displaced"])}
        found.setdefault(row["lane_id"], []).append(OfferView(**values))
    return [found.get(id_, []) for id_ in lane_ids]


async def lanes_page(
    work: Work, *, state: str | None = None, after: UUID | None = None, limit: int
) -> Page[LaneView]:
    """Lanes, newest first, on request of one state."""
    rows = await work.fetch(
        f"""
        select {_LANE} from red_lane l
        where l.org_id = callout_org() and ($2::text is null or l.state = $2) and ($3::uuid is null or l.id < $3)
        order by l.id desc limit $1
        """,
        limit + 1,
        state,
        after,
    )
    items = [LaneView(**dict(row)) for row in rows[:limit]]
    return Page(items=items, end_cursor=items[-1].id if items else None, has_more=len(rows) > limit)
