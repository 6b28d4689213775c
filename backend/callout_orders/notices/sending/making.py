"""New messages from the notices that are due: which go together, and in which words. Under the lane's lock."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from callout_orders.notices.sending import batches
from callout_orders.notices.sending.batches import Batch, Waiting
from callout_orders.notices.terms import ROBOTS
from callout_orders.notices.writing import breaking, templates, versions
from callout_orders.notices.writing.breaking import Broken
from callout_orders.notices.writing.templates import LINK, Text
from callout_store.ids import new_id
from callout_store.work import Work

LOOK_MAX: Final = 2_000
"""Notices that are looked at for one round."""
ENTRY_CHARS_MAX: Final = 40
"""Of a title in a digest: all of its entries must fit into what a robot takes."""

_WAITING: Final = """
    select id, position, order_id, line_id, user_id, kind, recipient, medium, address, mention, locale, urgent, wants_ack,
           title, body
    from notice
    where org_id = callout_org() and lane = $1 and state in ('held', 'queued')
"""
_DUE: Final = f"{_WAITING} and due_at <= $2"


async def make(
    work: Work, lane: str, channel: Any, *, normal: int, urgent: int, due: datetime
) -> tuple[list[UUID], int]:
    """New messages from what is due; their ids, and how many notices are left for later."""
    rows = await work.fetch(
        f"({_DUE} and urgent order by position limit $3) union all ({_DUE} and not urgent order by position limit $3)",
        lane,
        due,
        LOOK_MAX,
    )
    rows += await _elders(work, lane, rows)
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


async def _elders(work: Work, lane: str, rows: Sequence[Any]) -> list[Any]:
    """The elders of urgent ones to the same address that are not among `rows`: beyond the look, or held for a quiet night
    that the urgent one ends. Told in the morning, they would say that the order is as it no longer is."""
    last = {
        (row["medium"], row["address"], row["order_id"]): row["position"] for row in rows if row["urgent"]
    }
    seen = {row["id"] for row in rows}
    orders = {order_id for *_, order_id in last} - {None}
    if not orders:
        return []
    found = await work.fetch(f"{_WAITING} and order_id = any($2)", lane, list(orders))
    return [
        row
        for row in found
        if row["id"] not in seen
        and row["position"] < last.get((row["medium"], row["address"], row["order_id"]), 0)
    ]


async def _insert(
    work: Work, lane: str, channel: Any, chosen: Sequence[Batch], rows: dict[UUID, Any]
) -> list[UUID]:
    if not chosen:
        return []
    saved = await versions.chosen(work) if any(one.digest for one in chosen) else {}
    numbers = await _numbers(work, chosen, rows)
    ids = [new_id() for _ in chosen]
    filled = [_filled(one, rows, saved, numbers) for one in chosen]
    await breaking.tell(work, {broken for _, broken in filled if broken is not None})
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
        [text.title for text, _ in filled],
        [text.body for text, _ in filled],
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
) -> tuple[Text, Broken | None]:
    """The words of a message: the notice's own, or a digest's."""
    first = rows[one.ids[0]]
    if not one.digest:
        return Text(title=first["title"], body=first["body"]), None
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
    text, broken = breaking.filled(saved, first["medium"], "digest", first["locale"], values)
    if one.urgent:
        # A phone's screen shows the title alone: it names the urgent one, and not how many there are.
        title = next(rows[i]["title"] for i in reversed(one.ids) if rows[i]["urgent"])
        text = Text(title=title, body=text.body)
    return text, broken


def _short(title: str) -> str:
    return title if len(title) <= ENTRY_CHARS_MAX else title[: ENTRY_CHARS_MAX - 1] + "…"
