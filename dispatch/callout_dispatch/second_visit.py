"""A further visit: offered to the dispatcher once the parts are there (C1), with the engineer who was there before.

A hook over the journal. "Part missing" of a phone asks for the parts before the order's flow looks at it; "parts ready" and
the flow's own wish make an offer. When that engineer could come is worked out by the worker, because the pick locks nothing
and takes its time; the dispatcher accepts the offer, with that slot or another, or declines it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch import assign, policies
from callout_dispatch.by_hand import choose
from callout_dispatch.needs import BY_HAND, load_order
from callout_dispatch.texts import checked_line
from callout_dispatch.visit_rows import lock_calendars
from callout_orders.flow.actions import VISIT_WANTED
from callout_orders.flow.parts import missing_parts
from callout_orders.rows import Page, page_size, paged
from callout_orders.terms import FINAL, TO_BE_PLANNED
from callout_store import journal, outbox
from callout_store.errors import BadField, EngineerUnavailable, NotFound, WrongState
from callout_store.ids import new_id
from callout_store.work import Work

CHANNEL: Final = "flow.visit"
READY: Final = "parts.ready"
FAILED: Final = "visit.could_not_complete"
DIAGNOSED: Final = "visit.diagnosed"
PART_MISSING: Final = "part_missing"
PLANNED: Final = frozenset({"visit.scheduled", "visit.dispatched"})
OVER: Final = frozenset({"work_order.canceled", "work_order.closed"})
_WHY: Final[Mapping[str, str]] = {READY: "parts_ready", VISIT_WANTED: "flow"}


class OfferView(msgspec.Struct, frozen=True, kw_only=True):
    """A further visit that was offered. `state`: offered, accepted, declined, withdrawn (it was planned otherwise, or the
    order is over). `reasons`: why the engineer cannot come within three days, each in both languages."""

    id: UUID
    order_id: UUID
    engineer_id: UUID | None
    because: str
    state: str
    created_at: datetime
    looked_at: datetime | None
    proposed_start: datetime | None
    proposed_end: datetime | None
    reasons: tuple[dict[str, str], ...]
    visit_id: UUID | None
    decided_at: datetime | None
    decided_by: UUID | None
    comment: str | None


async def hear_missing(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook that runs before flows: an engineer could not go on for want of a part, or says which ones are missing."""
    told = [
        entry.entity_id
        for _, entry in lines
        if (entry.kind == FAILED or (entry.kind == DIAGNOSED and entry.data.get("parts")))
        and not any(str(flag).startswith("after_") for flag in entry.data.get("flags", ()))
    ]
    if not told:
        return
    rows = await work.fetch(
        """
        select e.order_id, e.visit_id, coalesce(e.data ->> 'text', e.data ->> 'finding', '') as note,
            case when jsonb_typeof(e.data -> 'parts') = 'array' then e.data -> 'parts' else '[]' end::text as parts
        from visit_event e
        where e.org_id = callout_org() and e.id = any($1) and (e.data ->> 'reason' = $2 or e.data -> 'parts' <> '[]')
        order by e.order_id, e.corrected_at, e.id
        """,
        told,
        PART_MISSING,
    )
    for row in rows:
        named = msgspec.json.decode(row["parts"], type=list[missing_parts.Missed])
        await missing_parts.part_missing(work, row["order_id"], row["visit_id"], row["note"], named)


async def hear_wanted(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook that runs after flows: a further visit is wanted, was planned by other means, or is wanted no more."""
    wanted: dict[UUID, str] = {}
    planned: dict[UUID, UUID | None] = {}
    for _, entry in lines:
        if entry.order_id is None:
            continue
        if entry.kind in _WHY:
            wanted.setdefault(entry.order_id, _WHY[entry.kind])
        elif entry.kind in PLANNED or entry.kind in OVER:
            planned[entry.order_id] = entry.visit_id
    if planned:
        await work.execute(
            """
            update visit_offer set state = 'withdrawn', decided_at = $2
            where org_id = callout_org() and order_id = any($1) and state = 'offered'
            """,
            list(planned),
            work.now,
        )
    if wanted:
        await _offer(work, {id_: why for id_, why in wanted.items() if id_ not in planned})


async def _offer(work: Work, wanted: Mapping[UUID, str]) -> list[UUID]:
    """Offers for orders that wait for a visit, one each at a time."""
    rows = await work.fetch(
        """
        insert into visit_offer (id, order_id, engineer_id, because, state, created_at)
        select t.i, o.id, v.engineer_id, t.w, 'offered', $4
        from unnest($1::uuid[], $2::uuid[], $3::text[]) as t(i, o, w)
        join work_order o on o.org_id = callout_org() and o.id = t.o
        left join lateral (
            select x.engineer_id from visit x
            where x.org_id = o.org_id and x.order_id = o.id and x.plan <> 'canceled' and x.ended_at is not null
            order by x.number desc limit 1
        ) v on true
        where o.state = any($5)
        on conflict (org_id, order_id) where state = 'offered' do nothing
        returning id, order_id, engineer_id, because
        """,
        [new_id() for _ in wanted],
        list(wanted),
        list(wanted.values()),
        work.now,
        [state.value for state in BY_HAND],
    )
    await journal.write_many(
        work,
        [
            _line(
                "work_order.visit_offered",
                row["order_id"],
                offerId=row["id"],
                engineerId=row["engineer_id"],
                because=row["because"],
            )
            for row in rows
        ],
    )
    await outbox.send(
        work,
        *(
            outbox.Message(
                channel=CHANNEL,
                stream=f"visit-offer:{row['id']}",
                dedupe_key=f"visit-offer:{row['id']}",
                payload={"offerId": str(row["id"])},
            )
            for row in rows
        ),
    )
    return [row["id"] for row in rows]


async def offer(work: Work, order_id: UUID) -> UUID:
    """Offer a further visit by hand, with the engineer who was there before; the offer's id, an open one's where there is
    one. Raises NotFound, WrongState for an order that waits for no visit."""
    state = await work.fetchval(
        "select state from work_order where org_id = callout_org() and id = $1 for no key update", order_id
    )
    if state is None:
        raise NotFound(entity="work order", path="orderId")
    if state in FINAL or state not in BY_HAND:
        raise WrongState(entity="work order", state=state, needed=", ".join(sorted(TO_BE_PLANNED)))
    made = await _offer(work, {order_id: "asked"})
    if made:
        return made[0]
    open_id: UUID = await work.fetchval(
        "select id from visit_offer where org_id = callout_org() and order_id = $1 and state = 'offered'",
        order_id,
    )
    return open_id


async def look(work: Work, offer_id: UUID) -> None:
    """Work out when the offer's engineer could come; nothing where it is decided already."""
    row = await work.fetchrow(
        "select order_id, engineer_id, state from visit_offer where org_id = callout_org() and id = $1",
        offer_id,
    )
    if row is None or row["state"] != "offered":
        return
    start = end = None
    reasons: list[dict[str, str]] = []
    if row["engineer_id"] is not None:
        try:
            choice = await choose(
                work,
                await load_order(work, row["order_id"]),
                row["engineer_id"],
                start=None,
                override=False,
                reason="",
                policy=await policies.active(work),
            )
            start, end = choice.start, choice.end
        except EngineerUnavailable as fault:
            reasons = [{"en": fault.message("en"), "zh": fault.message("zh")}]
    await work.execute(
        """
        update visit_offer set looked_at = $2, proposed_start = $3, proposed_end = $4, reasons = $5::text::jsonb
        where org_id = callout_org() and id = $1 and state = 'offered'
        """,
        offer_id,
        work.now,
        start,
        end,
        msgspec.json.encode(reasons).decode(),
    )


async def accept(
    work: Work,
    offer_id: UUID,
    *,
    engineer_id: UUID | None = None,
    start: datetime | None = None,
    override: bool = False,
    reason: str = "",
) -> UUID:
    """Take the offer: the engineer who was there before, or another, at a time or as soon as they can; the visit's id.

    Twice answers with the same visit. Raises NotFound, WrongState, BadField (no engineer), and what `assign.assign` does.
    """
    row = await _open(work, offer_id, "accepted")
    if row["state"] != "accepted":
        chosen = engineer_id or row["engineer_id"]
        if chosen is None:
            raise BadField(path="engineerId", why="nobody was there before: name an engineer")
        # Calendars first, then the order, then the offer: as everywhere. Of two who take it at once, the second one waits.
        await lock_calendars(work, [chosen])
        row = await _open(work, offer_id, "accepted", hold=True)
    if row["state"] == "accepted":
        made: UUID = row["visit_id"]
        return made
    visit_id = await assign.assign(work, row["order_id"], chosen, start, override, reason)
    await work.execute(
        """
        update visit_offer set state = 'accepted', visit_id = $2, decided_at = $3, decided_by = $4
        where org_id = callout_org() and id = $1
        """,
        offer_id,
        visit_id,
        work.now,
        work.actor.user_id,
    )
    await journal.write(
        work,
        _line("work_order.visit_offer_accepted", row["order_id"], offerId=offer_id, visitId=visit_id),
    )
    return visit_id


async def decline(work: Work, offer_id: UUID, reason: str) -> None:
    """Plan it otherwise, or not at all. Twice changes nothing. Raises NotFound, WrongState, BadField."""
    why = checked_line("reason", reason, limit=400)
    row = await _open(work, offer_id, "declined", hold=True)
    if row["state"] == "declined":
        return
    await work.execute(
        """
        update visit_offer set state = 'declined', comment = $2, decided_at = $3, decided_by = $4
        where org_id = callout_org() and id = $1
        """,
        offer_id,
        why,
        work.now,
        work.actor.user_id,
    )
    await journal.write(
        work, _line("work_order.visit_offer_declined", row["order_id"], offerId=offer_id, reason=why)
    )


async def _open(work: Work, offer_id: UUID, decided: str, *, hold: bool = False) -> Any:
    """The offer, open or decided this way already; with `hold` under the lock of its order, by which all is decided."""
    if hold:
        await work.execute(
            """
            select 1 from work_order o join visit_offer f on f.org_id = o.org_id and f.order_id = o.id
            where o.org_id = callout_org() and f.id = $1 for no key update of o
            """,
            offer_id,
        )
    row = await work.fetchrow(
        """
        select order_id, engineer_id, state, visit_id from visit_offer
        where org_id = callout_org() and id = $1
        """,
        offer_id,
    )
    if row is None:
        raise NotFound(entity="offer of a visit", path="id")
    if row["state"] not in ("offered", decided):
        raise WrongState(entity="offer of a visit", state=row["state"], needed="an offer that is open")
    return row


async def offers_by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[list[OfferView]]:
    """The offers of each order, the first one first."""
    found: dict[UUID, list[OfferView]] = {}
    for view in await _views(work, "order_id = any($1) order by id", list(order_ids)):
        found.setdefault(view.order_id, []).append(view)
    return [found.get(id_, []) for id_ in order_ids]


async def offers_page(
    work: Work, *, state: str | None = "offered", after: UUID | None = None, limit: int = 50
) -> Page[OfferView]:
    """Offers of all orders, newest first; `limit` 1..200."""
    size = page_size(limit)
    views = await _views(
        work,
        "($1::text is null or state = $1) and ($2::uuid is null or id < $2) order by id desc limit $3",
        state,
        after,
        size + 1,
    )
    return paged(views, size)


async def offer_by_id(work: Work, offer_id: UUID) -> OfferView | None:
    """One offer."""
    return next(iter(await _views(work, "id = $1", offer_id)), None)


async def _views(work: Work, condition: str, *values: Any) -> list[OfferView]:
    rows = await work.fetch(
        f"""
        select id, order_id, engineer_id, because, state, created_at, looked_at, proposed_start, proposed_end,
               reasons::text as reasons, visit_id, decided_at, decided_by, comment
        from visit_offer where org_id = callout_org() and {condition}
        """,
        *values,
    )
    return [
        OfferView(
            **{**dict(row), "reasons": msgspec.json.decode(row["reasons"], type=tuple[dict[str, str], ...])}
        )
        for row in rows
    ]


def _line(kind: str, order_id: UUID, **data: Any) -> journal.Entry:
    return journal.Entry(kind=kind, entity="work_order", entity_id=order_id, order_id=order_id, data=data)
