"""A lane's messages: made from the notices that are due, and taken under a lease. No HTTP here.

One worker at a time makes a lane's messages (its row is locked), so that tokens are counted once over all processes.
What is sent may be sent twice where an answer was lost: then `unsure` says so.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders.notices import channels
from callout_orders.notices.fan import fall_back_now
from callout_orders.notices.sending import batches, bucket
from callout_orders.notices.sending.batches import Batch, Waiting
from callout_orders.notices.terms import ROBOTS
from callout_orders.notices.writing import templates, texts, versions
from callout_orders.notices.writing.compose import SINK
from callout_orders.notices.writing.templates import LINK
from callout_store.ids import new_id
from callout_store.work import Work

LOOK_MAX: Final = 2_000
"""Notices that are looked at for one round."""
ROUND_MAX: Final = 100
"""Messages of one round: their sending ends within the lease."""
LEASE: Final = timedelta(seconds=60)
ENTRY_CHARS_MAX: Final = 40
"""Of a title in a digest: all of its entries must fit into what a robot takes."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A notice within a message: what its link is made of."""

    id: UUID
    user_id: UUID | None
    order_id: UUID | None
    kind: str


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message in hand until its lease ends. `subject` and `body` hold `templates.LINK` where the link belongs."""

    id: UUID
    lane: str
    channel_id: UUID | None
    medium: str
    address: str
    mentions: tuple[str, ...]
    urgent: bool
    digest: bool
    wants_ack: bool
    locale: str
    subject: str
    body: str
    attempts: int
    unsure: bool
    lease_token: UUID
    items: tuple[Item, ...]


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What may be sent now, and when to look again (None: when something new comes)."""

    messages: list[Outgoing]
    channel: dict[str, Any] | None
    next_in: timedelta | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message. `kind`: delivered, throttled, away (it did not arrive), unsure (it may have), refused (it
    never will)."""

    kind: str
    provider_ref: str | None = None
    error: str | None = None
    after_s: float | None = None


async def take(work: Work, lane: str) -> Round:
    """Make and take the messages that may go now, under the lane's lock."""
    channel = await _lock(work, lane)
    if channel is None and lane != SINK:
        # Taken away meanwhile: what waits for it goes another way.
        await _orphan(work, lane)
        return Round(messages=[], channel=None, next_in=None)
    clock: datetime = await work.fetchval("select clock_timestamp()")
    ahead = work.now - clock
    rest_until = channel["rest_until"] if channel is not None else None
    if rest_until is not None and rest_until > clock:
        return Round(messages=[], channel=None, next_in=rest_until - clock)
    tokens = _bucket(channel)
    # One that failed is tried first: what is younger waits for it anyway. Where the provider was away one is enough to see.
    probing = channel is not None and channel["failures"] > 0
    limit = 1 if probing else ROUND_MAX
    again = await _again(work, lane, clock, min(limit, bucket.free(tokens, clock, urgent=True)))
    tokens = bucket.take(tokens, clock, len(again))
    room = limit - len(again)
    made: list[UUID] = []
    left = 0
    if room > 0:
        made, left = await _make(
            work,
            lane,
            channel,
            normal=min(room, bucket.free(tokens, clock, urgent=False)),
            urgent=min(room, bucket.free(tokens, clock, urgent=True)),
            due=clock + ahead,
        )
        tokens = bucket.take(tokens, clock, len(made))
    if channel is not None and (again or made):
        await work.execute(
            "update notice_channel set spent = $2 where org_id = callout_org() and id = $1",
            channel["id"],
            list(tokens.spent),
        )
    messages = await _lease(work, [*again, *made], clock)
    return Round(
        messages=messages,
        channel=None if channel is None else _opened(work, channel),
        next_in=await _next_in(work, lane, tokens, clock, ahead, left),
    )


# ------------------------------------------------------------------------------------------------ taking


async def _lock(work: Work, lane: str) -> Any:
    """The channel's row, locked; the sink's lock is one of the organisation's."""
    if lane == SINK:
        await work.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"notice.sink:{work.org_id}"
        )
        return None
    return await work.fetchrow(
        """
        select id, medium, provider, name, config::text as config, secret::text as secret, per_minute, urgent_reserve, spent,
               rest_until, failures,
               case when access_until > clock_timestamp() then access_token end as access_token
        from notice_channel where org_id = callout_org() and id = $1 and active for no key update
        """,
        UUID(lane),
    )


def _opened(work: Work, channel: Any) -> dict[str, Any]:
    """The channel with its secrets as they were given. Raises Unreadable."""
    found = {**dict(channel), "secret": channels.opened(work, channel["id"], channel["secret"])}
    if found["access_token"] is not None:
        found["access_token"] = channels.opened_access(work, channel["id"], found["access_token"])
    return found


def _bucket(channel: Any) -> bucket.Bucket:
    if channel is None:
        return bucket.of((), size=10 * ROUND_MAX, reserve=0)
    return bucket.of(channel["spent"], size=channel["per_minute"], reserve=channel["urgent_reserve"])


async def _again(work: Work, lane: str, clock: datetime, limit: int) -> list[UUID]:
    """Messages to be sent once more: put back, or in the hands of a worker that died."""
    if limit <= 0:
        return []
    await work.execute(
        """
        update notice_message set state = 'queued', unsure = true, lease_token = null, lease_until = null
        where org_id = callout_org() and lane = $1 and state = 'sending' and lease_until < $2
        """,
        lane,
        clock,
    )
    rows = await work.fetch(
        """
        select id from notice_message
        where org_id = callout_org() and lane = $1 and state = 'queued' and next_at <= $2
        order by urgent desc, id limit $3
        """,
        lane,
        clock,
        limit,
    )
    return [row["id"] for row in rows]


_DUE: Final = """
    select id, position, order_id, line_id, user_id, kind, recipient, medium, address, mention, locale, urgent, wants_ack,
           title, body
    from notice
    where org_id = callout_org() and lane = $1 and state in ('held', 'queued') and due_at <= $2
"""


async def _make(
    work: Work, lane: str, channel: Any, *, normal: int, urgent: int, due: datetime
) -> tuple[list[UUID], int]:
    """New messages from what is due; their ids, and how many notices are left for later."""
    rows = await work.fetch(
        f"({_DUE} and urgent order by position limit $3) union all ({_DUE} and not urgent order by position limit $3)",
        lane,
        due,
        LOOK_MAX,
    )
    # Elders of an urgent one's order that lie beyond the look go with it all the same.
    matters = {row["order_id"] for row in rows if row["urgent"]} - {None}
    if len(rows) >= LOOK_MAX and matters:
        seen = {row["id"] for row in rows}
        more = await work.fetch(f"{_DUE} and order_id = any($3)", lane, due, list(matters))
        rows += [row for row in more if row["id"] not in seen]
    if not rows:
        return [], 0
    by_id = {row["id"]: row for row in rows}
    blocked = {
        (row["place"], row["order_id"])
        for row in await work.fetch(
            """
            select medium || ' ' || address as place, unnest(order_ids) as order_id from notice_message
            where org_id = callout_org() and lane = $1 and state in ('queued', 'sending')
            """,
            lane,
        )
    }
    waiting = [
        Waiting(
            id=row["id"],
            position=row["position"],
            matter=row["order_id"] or row["id"],
            line_id=row["line_id"],
            address=f"{row['medium']} {row['address']}",
            urgent=row["urgent"],
            robot=row["medium"] in ROBOTS,
        )
        for row in rows
    ]
    chosen = batches.plan(waiting, blocked=blocked, tokens=normal, tokens_urgent=urgent)
    made = await _insert(work, lane, channel, chosen, by_id)
    return made, len(rows) - sum(len(one.ids) for one in chosen)


async def _insert(
    work: Work, lane: str, channel: Any, chosen: Sequence[Batch], rows: dict[UUID, Any]
) -> list[UUID]:
    if not chosen:
        return []
    saved = await versions.chosen(work) if any(one.digest for one in chosen) else {}
    numbers = await _numbers(work, chosen, rows)
    ids = [new_id() for _ in chosen]
    filled = [_filled(one, rows, saved, numbers) for one in chosen]
    await work.execute(
        """
        insert into notice_message (id, lane, channel_id, medium, address, mentions, order_ids, urgent, digest, wants_ack,
            locale, subject, body, state, next_at, created_at)
        select i, $12, $13, m, a, coalesce(string_to_array(nullif(me, ''), E'\\x01'), '{}'),
               coalesce(string_to_array(nullif(o, ''), ',')::uuid[], '{}'), u, d, w, l, s, b, 'queued',
               clock_timestamp(), clock_timestamp()
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::boolean[], $8::boolean[],
            $9::text[], $10::text[], $11::text[]) as t(i, m, a, me, o, u, d, w, l, s, b)
        """,
        ids,
        [rows[one.ids[0]]["medium"] for one in chosen],
        [rows[one.ids[0]]["address"] for one in chosen],
        ["\x01".join(dict.fromkeys(m for i in one.ids if (m := rows[i]["mention"]))) for one in chosen],
        [
            ",".join(dict.fromkeys(str(rows[i]["order_id"]) for i in one.ids if rows[i]["order_id"]))
            for one in chosen
        ],
        [one.urgent for one in chosen],
        [one.digest for one in chosen],
        [any(rows[i]["wants_ack"] for i in one.ids) for one in chosen],
        [rows[one.ids[0]]["locale"] for one in chosen],
        [text.title for text in filled],
        [text.body for text in filled],
        lane,
        None if channel is None else channel["id"],
    )
    pairs = [(id_, message) for message, one in zip(ids, chosen, strict=True) for id_ in one.ids]
    digests = {message for message, one in zip(ids, chosen, strict=True) if one.digest}
    await work.execute(
        """
        update notice n set state = 'sending', message_id = t.message_id, digest = t.message_id = any($3), sent_at = $4
        from unnest($1::uuid[], $2::uuid[]) as t(id, message_id) where n.org_id = callout_org() and n.id = t.id
        """,
        [id_ for id_, _ in pairs],
        [message for _, message in pairs],
        list(digests),
        work.now,
    )
    return ids


async def _numbers(work: Work, chosen: Sequence[Batch], rows: dict[UUID, Any]) -> dict[UUID, str]:
    ids = {rows[i]["order_id"] for one in chosen if one.digest for i in one.ids} - {None}
    if not ids:
        return {}
    found = await work.fetch(
        "select id, number from work_order where org_id = callout_org() and id = any($1)", list(ids)
    )
    return {row["id"]: row["number"] for row in found}


def _filled(
    one: Batch, rows: dict[UUID, Any], saved: versions.Chosen, numbers: dict[UUID, str]
) -> templates.Text:
    """The words of a message: the notice's own, or a digest's."""
    first = rows[one.ids[0]]
    if not one.digest:
        return templates.Text(title=first["title"], body=first["body"])
    # Several persons' notices of one line are one entry of a group's digest.
    entries = {rows[i]["line_id"]: rows[i] for i in one.ids}
    values = {
        **templates.SAMPLE,
        "note": "",
        "link": LINK,
        "count": len(entries),
        "items": [
            {
                "number": numbers.get(row["order_id"], ""),
                "title": _short(row["title"]),
                "urgent": row["urgent"],
            }
            for row in entries.values()
        ],
    }
    text = versions.text_of(saved, first["medium"], "digest", first["locale"])
    try:
        return templates.render(text, first["medium"], values)
    except templates.BadTemplate:
        return templates.render(
            texts.built_in(first["medium"], "digest", first["locale"]), first["medium"], values
        )


def _short(title: str) -> str:
    return title if len(title) <= ENTRY_CHARS_MAX else title[: ENTRY_CHARS_MAX - 1] + "…"


async def _lease(work: Work, ids: Sequence[UUID], clock: datetime) -> list[Outgoing]:
    if not ids:
        return []
    rows = await work.fetch(
        """
        update notice_message set state = 'sending', lease_token = gen_random_uuid(), lease_until = $2, sent_at = $3
        where org_id = callout_org() and id = any($1)
        returning id, lane, channel_id, medium, address, mentions, urgent, digest, wants_ack, locale, subject, body,
                  attempts, unsure, lease_token
        """,
        list(ids),
        clock + LEASE,
        clock,
    )
    items: dict[UUID, list[Item]] = {}
    for row in await work.fetch(
        """
        select id, user_id, order_id, kind, message_id from notice
        where org_id = callout_org() and message_id = any($1) order by position
        """,
        list(ids),
    ):
        items.setdefault(row["message_id"], []).append(
            Item(id=row["id"], user_id=row["user_id"], order_id=row["order_id"], kind=row["kind"])
        )
    order = {id_: n for n, id_ in enumerate(ids)}
    rows.sort(key=lambda row: order[row["id"]])
    return [
        Outgoing(
            **{**dict(row), "mentions": tuple(row["mentions"]), "items": tuple(items.get(row["id"], ()))}
        )
        for row in rows
    ]


async def _next_in(
    work: Work, lane: str, tokens: bucket.Bucket, clock: datetime, ahead: timedelta, left: int
) -> timedelta | None:
    """When something can be sent next: a token is back, a message is due again, a quiet night ends."""
    row = await work.fetchrow(
        """
        select (select min(due_at) from notice
                where org_id = callout_org() and lane = $1 and state in ('held', 'queued') and due_at > $2) as held_until,
               (select coalesce(bool_or(urgent), false) from notice
                where org_id = callout_org() and lane = $1 and state in ('held', 'queued') and due_at <= $2) as urgent,
               (select min(greatest(next_at, coalesce(lease_until, next_at))) from notice_message
                where org_id = callout_org() and lane = $1 and state in ('queued', 'sending')) as again_at
        """,
        lane,
        clock + ahead,
    )
    assert row is not None
    waits: list[datetime] = []
    # What is due and does not go although there are tokens waits for an elder, at whose end the lane is looked at again.
    if left and not bucket.free(tokens, clock, urgent=False):
        full = not bucket.free(tokens, clock, urgent=True)
        waits.append(bucket.next_at(tokens, clock, urgent=full and row["urgent"]))
    if row["held_until"] is not None:
        waits.append(row["held_until"] - ahead)
    if row["again_at"] is not None:
        waits.append(max(row["again_at"], bucket.next_at(tokens, clock, urgent=True)))
    return max(min(waits) - clock, timedelta()) if waits else None


async def _orphan(work: Work, lane: str) -> None:
    """The channel is gone or switched off: its notices fail, the urgent ones go by another medium."""
    rows = await work.fetch(
        """
        update notice set state = 'failed', failed_at = $2, error = 'the channel is switched off'
        where org_id = callout_org() and lane = $1 and state in ('held', 'queued') returning id, urgent
        """,
        lane,
        work.now,
    )
    await fall_back_now(work, [row["id"] for row in rows])
