"""Conversations as the desk sees and works on them: reading, answering, completing, closing."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.channels import accounts, inbox
from callout_orders.channels.conversations import draft_rows, drafts, talk, talk_texts
from callout_orders.channels.conversations.draft_rows import Draft
from callout_orders.channels.conversations.drafts import Heard, Linker
from callout_orders.channels.refusals import NoWayBack
from callout_orders.channels.terms import Account, ChannelKind
from callout_orders.rows import Page, page_size, paged
from callout_store.errors import NotFound, WrongState
from callout_store.journal import Entry, write
from callout_store.work import Work

STATES = frozenset({"open", "desk", "completed", "closed"})
MESSAGES_MAX = 200
PATHS = frozenset(
    {
        "description",
        "contactName",
        "contactPhone",
        "contactEmail",
        "customerName",
        "customerNumber",
        "address",
        "serial",
        "product",
        "errorCode",
    }
)
"""What a person may fill in of a request, beside `fields.<code>` of its kind."""


class DraftView(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation. `values` are what is known by path, `faults` what was missing or wrong when it was looked at last."""

    id: UUID
    channel_id: UUID
    channel_code: str
    channel_kind: str
    peer: str
    state: str
    reason: str | None
    locale: str
    description: str
    values: dict[str, str]
    kind: str | None
    faults: list[dict[str, Any]]
    order_id: UUID | None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None


class MessageView(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a conversation: `direction` in or out; `state`: received, handled, ignored, owed, sent, failed."""

    id: UUID
    direction: str
    kind: str
    text: str
    state: str
    reason: str | None
    at: datetime


_SELECT = """
    select d.id, d.channel_id, c.code as channel_code, c.kind as channel_kind, d.peer, d.state, d.reason, d.locale,
        d.facts::text as facts, d.faults::text as faults, d.order_id, d.created_at, d.updated_at, d.ended_at
    from intake_draft d join intake_channel c on c.org_id = d.org_id and c.id = d.channel_id
"""


async def page(
    work: Work, *, states: Sequence[str] = (), after: UUID | None = None, limit: int = 50
) -> Page[DraftView]:
    """Conversations, newest first; `states` empty: those that wait (open or with the desk)."""
    wanted = [checks.one_of("states", one, STATES) for one in states] or ["open", "desk"]
    size = page_size(limit)
    rows = await work.fetch(
        _SELECT
        + """
        where d.org_id = callout_org() and d.state = any($1::text[]) and ($2::uuid is null or d.id < $2)
        order by d.id desc limit $3
        """,
        wanted,
        after,
        size + 1,
    )
    return paged([_view(row) for row in rows], size)


async def by_ids(work: Work, ids: Sequence[UUID]) -> list[DraftView | None]:
    """Conversations in the order of the ids."""
    rows = await work.fetch(_SELECT + "where d.org_id = callout_org() and d.id = any($1::uuid[])", list(ids))
    found = {row["id"]: _view(row) for row in rows}
    return [found.get(one) for one in ids]


async def messages_by_draft_ids(work: Work, ids: Sequence[UUID]) -> list[list[MessageView]]:
    """The latest messages of each conversation, oldest first."""
    rows = await work.fetch(
        """
        select m.draft_id, m.id, m.direction, m.kind, coalesce(m.content ->> 'text', '') as text, m.state, m.reason, m.at
        from unnest($1::uuid[]) as t(id) cross join lateral (
            select * from intake_message i where i.org_id = callout_org() and i.draft_id = t.id
            order by i.id desc limit $2) m
        order by m.id
        """,
        list(ids),
        MESSAGES_MAX,
    )
    found: dict[UUID, list[MessageView]] = {}
    for row in rows:
        values = {name: row[name] for name in MessageView.__struct_fields__}
        found.setdefault(row["draft_id"], []).append(MessageView(**values))
    return [found.get(one, []) for one in ids]


async def answer(work: Work, draft_id: UUID, text: str) -> UUID:
    """Write to whoever a conversation is with; the message's id. From now on a person has it, and its to-do is settled.

    Raises NotFound, WrongState for one that is over, NoWayBack for a form's.
    """
    words = checks.text("text", text, chars_max=1000)
    draft, account = await _held(work, draft_id)
    if account.kind == ChannelKind.WEB_FORM:
        raise NoWayBack(peer=draft.peer)
    if draft.state == "open":
        await draft_rows.give_to_desk(work, draft, "answered_by_hand")
    await draft_rows.settle_todos(work, draft.id)
    return await inbox.say(
        work,
        account,
        peer=draft.peer,
        thread=draft.thread,
        text=talk_texts.bounded(words),
        reply=await draft_rows.last_reply(work, draft.id),
        draft_id=draft.id,
    )


async def complete(
    work: Work,
    draft_id: UUID,
    values: Mapping[str, str | None],
    *,
    kind: str | None = None,
    link: Linker,
    tell: bool = True,
) -> Heard:
    """Fill in what is missing, and take the order where nothing is any more; else what is (`faults` of the conversation).

    `values` are texts by path; None takes one away; `description` replaces what was written. `tell`: its sender is told of
    the order, where the channel leads back. Raises NotFound, WrongState, BadField.
    """
    draft, account = await _held(work, draft_id)
    facts = draft.facts
    kept = dict(facts.values)
    for path, text in values.items():
        if not path.startswith("fields."):
            checks.one_of("values", path, PATHS)
        if text is None or not text.strip():
            kept.pop(path, None)
        elif path == "description":
            words = checks.text("values.description", text, chars_max=checks.TEXT_CHARS_MAX)
            facts = msgspec.structs.replace(facts, texts=(words,), subject=None)
        else:
            kept[path] = checks.text(f"values.{path}", text, chars_max=1000)
    facts = msgspec.structs.replace(facts, values=kept, kind=kind or facts.kind)
    if kind is not None:
        account = msgspec.structs.replace(account, default_kind=kind)
    draft = msgspec.structs.replace(draft, facts=facts)
    found = await drafts.kind_of(work, account, draft)
    heard = await drafts.advance(work, account, draft, kind=found, link=link, asks=False)
    told = tell and account.kind != ChannelKind.WEB_FORM
    if heard.order_id is not None and heard.text is not None and told:
        await inbox.say(
            work,
            account,
            peer=draft.peer,
            thread=draft.thread,
            text=talk_texts.bounded(heard.text),
            reply=await draft_rows.last_reply(work, draft.id),
            draft_id=draft.id,
            order_id=heard.order_id,
        )
    return heard


async def close(work: Work, draft_id: UUID, reason: str) -> None:
    """Nothing comes of it: a jest, a mistake, settled by telephone. Raises NotFound, WrongState."""
    words = checks.text("reason", reason)
    draft, account = await _held(work, draft_id)
    await draft_rows.end(work, draft, "closed", reason=words)
    await write(
        work,
        Entry(
            kind="intake.closed",
            entity="intake",
            entity_id=draft.id,
            data={"channel": account.code, "reason": words},
        ),
    )


async def _held(work: Work, draft_id: UUID) -> tuple[Draft, Account]:
    draft = await draft_rows.draft(work, draft_id, lock=True)
    account = await accounts.account(work, draft.channel_id) if draft is not None else None
    if draft is None or account is None:
        raise NotFound(entity="conversation", path="id")
    if draft.state not in ("open", "desk"):
        raise WrongState(entity="conversation", state=draft.state, needed="one that is open")
    return draft, account


def _view(row: Any) -> DraftView:
    facts = talk.from_json(row["facts"])
    computed = {"description", "values", "kind", "faults"}
    values = {name: row[name] for name in DraftView.__struct_fields__ if name not in computed}
    return DraftView(
        **values,
        description=facts.description(),
        values=facts.values,
        kind=facts.kind,
        faults=msgspec.json.decode(row["faults"]),
    )
