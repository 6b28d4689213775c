"""From lines of the journal to rows of notices: a hook that owes, and what is owed, done in batches.

The hook writes one message a unit of work, whatever was done in it: a bulk import owes a few messages, a phone's push at
most one, and nothing is owed where no line concerns anybody. All of an organisation's go through one stream, so that
notices of an order are written in the order of its lines. Whoever handles a message takes the ones behind it along:
ten thousand changes in a minute are some twenty transactions and not ten thousand.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from callout_orders.notices import settings as notice_settings
from callout_orders.notices.terms import Role, told
from callout_orders.notices.writing import breaking, compose, facts
from callout_orders.notices.writing.compose import INBOX, P0, NewNotice
from callout_store import outbox, timers
from callout_store.columns import column
from callout_store.ids import new_id
from callout_store.work import Work

log = structlog.get_logger(__name__)

CHANNEL: Final = "notice.fan"
STREAM: Final = "notice.fan"
PUMP_CHANNEL: Final = "notice.send"
ACK_CHANNEL: Final = "notice.ack"
FALLBACK_CHANNEL: Final = "notice.fallback"
LINES_MAX: Final = 100
"""Lines of one message."""
WRITE_MAX: Final = 500
"""Lines that are written at once."""
WATCHED: Final = frozenset({"created", "priority_changed", "handler_set", "turned_over", "handed_on"})
"""Kinds of a P0's notices that somebody must acknowledge in time, or the next in line is called."""


async def owe(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook over a unit of work's journal lines: owe the notices of those that concern somebody."""
    ids = [id_ for id_, entry in lines if told(entry.kind, entry.data) is not None]
    outbox.send_later(
        work,
        *(
            outbox.Message(
                channel=CHANNEL,
                stream=STREAM,
                dedupe_key=f"notice.fan:{ids[start]}",
                payload={"lines": ids[start : start + LINES_MAX]},
            )
            for start in range(0, len(ids), LINES_MAX)
        ),
    )


async def write(work: Work, line_ids: Sequence[UUID], *, sink: str) -> int:
    """Write the notices of these lines and have them sent; how many are new. Harmless twice: a person is told once of a
    line by a medium."""
    given = await facts.lines(work, line_ids)
    if not given:
        return 0
    known = await facts.gather(work, given)
    made = _composed(known, given, sink)
    new = await insert(work, made)
    await _watch(work, known, given, made)
    return new


def _composed(known: facts.Facts, given: Sequence[facts.Line], sink: str) -> list[NewNotice]:
    """The notices of these lines. One line that cannot be told of must not keep the whole organisation's from being told."""
    try:
        return compose.compose(known, given, sink=sink)
    except Exception:
        made: list[NewNotice] = []
        for line in given:
            try:
                made += compose.compose(known, [line], sink=sink)
            except Exception as fault:
                log.error("notice_not_composed", line=str(line.id), kind=line.kind, exc_info=fault)
        return made


async def insert(work: Work, made: Sequence[NewNotice]) -> int:
    """Store notices in their order, wake their lanes, and set when urgent ones go another way; how many are new.

    Who has neither an address nor an inbox (a customer's contact without an account) was not told, and that is what it says.
    """
    if not made:
        return 0
    ids = [new_id() for _ in made]
    rows = await work.fetch(
        """
        insert into notice (id, order_id, line_id, kind, recipient, user_id, contact_id, name, role, medium, lane, address,
            mention, locale, urgent, wants_ack, title, body, state, due_at, fallback_of, created_at, delivered_at, failed_at,
            error)
        select i, o, l, k, r, u, c, n, ro, m, la, a, me, lo, g, w, t, b,
               case when la = 'inbox' then case when u is null then 'failed' else 'delivered' end
                    when d > $22 then 'held' else 'queued' end, d, f, $22,
               case when la = 'inbox' and u is not null then $22 end, case when la = 'inbox' and u is null then $22 end,
               case when la = 'inbox' and u is null then 'there is no way to reach them' end
        from unnest($1::text::uuid[], $2::text::uuid[], $3::text::uuid[], $4::text::text[], $5::text::text[],
            $6::text::uuid[], $7::text::uuid[], $8::text::text[], $9::text::text[], $10::text::text[], $11::text::text[],
            $12::text::text[], $13::text::text[], $14::text::text[], $15::text::boolean[], $16::text::boolean[],
            $17::text::text[], $18::text::text[], $19::text::timestamptz[], $20::text::uuid[], $21::int[])
            as t(i, o, l, k, r, u, c, n, ro, m, la, a, me, lo, g, w, t, b, d, f, ord)
        order by ord
        on conflict (org_id, line_id, recipient, kind, medium) do nothing
        returning id, lane, due_at, urgent
        """,
        column(ids),
        column([one.order_id for one in made]),
        column([one.line_id for one in made]),
        column([one.kind for one in made]),
        column([one.person.key for one in made]),
        column([one.person.user_id for one in made]),
        column([one.person.contact_id for one in made]),
        column([one.person.name for one in made]),
        column([one.role for one in made]),
        column([one.medium for one in made]),
        column([one.lane for one in made]),
        column([one.address for one in made]),
        column([one.mention for one in made]),
        column([one.locale for one in made]),
        column([one.urgent for one in made]),
        column([one.wants_ack for one in made]),
        column([one.title for one in made]),
        column([one.body for one in made]),
        column([one.due_at for one in made]),
        column([one.fallback_of for one in made]),
        list(range(len(made))),
        work.now,
    )
    await breaking.tell(work, {one.broken for one in made if one.broken is not None})
    await _wake(work, [(row["lane"], row["due_at"]) for row in rows if row["lane"] != INBOX])
    await _set_fallbacks(work, [row["id"] for row in rows if row["urgent"] and row["lane"] != INBOX])
    return len(rows)


def pump_key(lane: str) -> str:
    """The timer of a lane."""
    return f"notice.send:{lane}"


async def _wake(work: Work, due: Sequence[tuple[str, datetime]]) -> None:
    """Have each lane looked at when its first notice is due. A timer that is set for sooner stays."""
    first: dict[str, datetime] = {}
    for lane, at in due:
        first[lane] = min(at, first.get(lane, at))
    if first:
        await wake(work, {lane: at - work.now for lane, at in first.items()})


async def wake(work: Work, lanes: Mapping[str, timedelta]) -> None:
    """Have lanes looked at after so long; at once where that is no time at all. One that is looked at sooner stays so."""
    if lanes:
        await timers.hasten(
            work, [(pump_key(lane), after, PUMP_CHANNEL, {"lane": lane}) for lane, after in lanes.items()]
        )


async def _set_fallbacks(work: Work, ids: Sequence[UUID]) -> None:
    """Urgent notices go by the next medium where the first has not delivered them in time."""
    if not ids:
        return
    after = timedelta(minutes=(await notice_settings.settings(work)).fallback_minutes)
    await timers.hasten(
        work, [(f"notice.fallback:{id_}", after, FALLBACK_CHANNEL, {"noticeId": str(id_)}) for id_ in ids]
    )


async def fall_back_now(work: Work, ids: Sequence[UUID]) -> None:
    """What failed for good is tried by the next medium at once."""
    if ids:
        await timers.move_many(
            work,
            [(f"notice.fallback:{id_}", None, FALLBACK_CHANNEL, {"noticeId": str(id_)}) for id_ in ids],
        )
        work.owes = True


async def _watch(
    work: Work, known: facts.Facts, given: Sequence[facts.Line], made: Sequence[NewNotice]
) -> None:
    """Set when somebody is called because a P0 was not acknowledged."""
    told_staff = {one.line_id for one in made if one.wants_ack and one.role != Role.CUSTOMER}
    watched = [
        line
        for line in given
        if line.id in told_staff
        and line.order_id is not None
        and known.orders[line.order_id]["priority"] == P0
        and (what := told(line.kind, line.data)) is not None
        and what.kind in WATCHED
    ]
    if not watched:
        return
    after = timedelta(seconds=known.settings.acknowledge_seconds)
    await timers.hasten(
        work,
        [
            (
                f"notice.ack:{line.id}",
                after,
                ACK_CHANNEL,
                {"orderId": str(line.order_id), "lineId": str(line.id)},
            )
            for line in watched
        ],
    )
