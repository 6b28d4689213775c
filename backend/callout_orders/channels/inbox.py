"""What was written to us, as it came: stored before anything is done with it, once for one id of the sender's.

The row is the promise: as soon as it is stored a worker is owed its handling, so that a message survives whatever happens
to the process that took it. What is older than `KEEP_DAYS` loses its content.
"""

import hashlib
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from asyncpg import Record

from callout_orders.channels import forgetting
from callout_orders.channels.chat.ciphers import Forged
from callout_orders.channels.terms import Account, Inbound
from callout_store import outbox
from callout_store.ids import new_id
from callout_store.work import Work

HANDLE_CHANNEL: Final = "intake.handle"
ANSWER_CHANNEL: Final = "intake.answer"
KEEP_DAYS: Final = 90
NONCES_KEEP: Final = timedelta(days=2)
PURGE_ROWS: Final = 1000
EXTERNAL_CHARS_MAX: Final = 300


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is stored. `new` is false for one that was there before, `state` is then what became of it."""

    id: UUID
    new: bool
    state: str


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A message with what it said."""

    id: UUID
    channel_id: UUID
    direction: str
    external_id: str
    peer: str
    thread: str
    kind: str
    content: dict[str, Any]
    state: str
    draft_id: UUID | None
    order_id: UUID | None
    answer_id: UUID | None


async def record(
    work: Work,
    account: Account,
    inbound: Inbound,
    *,
    raw: bytes | None,
    size_bytes: int,
    raw_key: str | None = None,
    wait_s: float = 0.0,
) -> Received:
    """Store a message, and owe its handling (after `wait_s` seconds, for a door that does it itself). Twice is once."""
    inbound = clean(inbound)
    id_ = new_id()
    row = await work.fetchrow(
        """
        insert into intake_message (id, channel_id, direction, external_id, peer, thread, kind, content, raw_bytes, raw_key,
            size_bytes, state, at)
        values ($1, $2, 'in', $3, $4, $5, $6, $7::text::jsonb, $8, $9, $10, 'received', $11)
        on conflict (org_id, channel_id, direction, external_id) do nothing
        returning id
        """,
        id_,
        account.id,
        inbound.external_id,
        inbound.peer,
        inbound.thread,
        inbound.kind,
        msgspec.json.encode(inbound).decode(),
        raw,
        raw_key,
        size_bytes,
        work.now,
    )
    if row is None:
        known = await work.fetchrow(
            """
            select id, state from intake_message
            where org_id = callout_org() and channel_id = $1 and direction = 'in' and external_id = $2
            """,
            account.id,
            inbound.external_id,
        )
        assert known is not None
        return Received(id=known["id"], new=False, state=known["state"])
    run_at = None
    if wait_s:
        run_at = await work.fetchval("select now() + make_interval(secs => $1)", wait_s)
    await outbox.send(
        work,
        outbox.Message(
            channel=HANDLE_CHANNEL,
            # One sender's messages are handled in the order in which they came.
            stream=_stream("intake", account.id, inbound.peer),
            dedupe_key=f"intake:{id_}",
            payload={"messageId": str(id_)},
            run_at=run_at,
        ),
    )
    return Received(id=id_, new=True, state="received")


def clean(inbound: Inbound) -> Inbound:
    """Without what PostgreSQL's text cannot hold (U+0000, half characters), and with ids and names of bounded length.

    Every text of it, however deep: one that cannot be stored would keep its whole mailbox waiting.
    """
    inbound = msgspec.convert(_storable_all(msgspec.to_builtins(inbound)), Inbound)
    external_id = inbound.external_id
    if len(external_id) > EXTERNAL_CHARS_MAX:
        external_id = hashlib.sha256(external_id.encode()).hexdigest()
    return msgspec.structs.replace(
        inbound,
        external_id=external_id,
        peer=inbound.peer[:254],
        thread=inbound.thread[:300],
        name=None if inbound.name is None else inbound.name[:200],
        media=tuple(msgspec.structs.replace(one, name=one.name[:200]) for one in inbound.media),
    )


def storable(text: str) -> str:
    """The text without U+0000, and with half characters replaced."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _storable_all(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {_storable_all(name): _storable_all(one) for name, one in value.items()}
    return [_storable_all(one) for one in value] if isinstance(value, list | tuple) else value


async def first_use(work: Work, account_id: UUID, nonce: bytes, body_sha256: bytes) -> bool:
    """Whether a signed call is new; False for the same call again. Raises Forged for its signature over another body."""
    fresh = await work.execute(
        """
        insert into intake_nonce (channel_id, nonce, body_sha256, seen_at) values ($1, $2, $3, $4)
        on conflict (org_id, channel_id, nonce) do nothing
        """,
        account_id,
        nonce,
        body_sha256,
        work.now,
    )
    if fresh:
        return True
    known = await work.fetchval(
        "select body_sha256 from intake_nonce where org_id = callout_org() and channel_id = $1 and nonce = $2",
        account_id,
        nonce,
    )
    if known != body_sha256:
        raise Forged("the signature was used before, for another body")
    return False


async def message(work: Work, id_: UUID, *, lock: bool = False) -> Stored | None:
    """A message; with `lock` held until this unit of work ends."""
    row = await work.fetchrow(
        f"""
        select id, channel_id, direction, external_id, peer, thread, kind, content::text as content, state, draft_id,
            order_id, answer_id
        from intake_message where org_id = callout_org() and id = $1 {"for no key update" if lock else ""}
        """,
        id_,
    )
    return None if row is None else _stored(row)


async def settle(
    work: Work,
    id_: UUID,
    state: str,
    *,
    reason: str | None = None,
    draft_id: UUID | None = None,
    order_id: UUID | None = None,
    answer_id: UUID | None = None,
) -> None:
    """Say what became of a message."""
    await work.execute(
        """
        update intake_message set state = $2, reason = $3, draft_id = coalesce($4, draft_id),
            order_id = coalesce($5, order_id), answer_id = coalesce($6, answer_id), settled_at = $7
        where org_id = callout_org() and id = $1
        """,
        id_,
        state,
        reason,
        draft_id,
        order_id,
        answer_id,
        work.now,
    )


async def say(
    work: Work,
    account: Account,
    *,
    peer: str,
    text: str,
    thread: str = "",
    reply: dict[str, Any] | None = None,
    draft_id: UUID | None = None,
    order_id: UUID | None = None,
    at_once: bool = False,
) -> UUID:
    """Write an answer, and owe its sending; its id. `at_once`: the door that asks gives it as its own answer."""
    id_ = new_id()
    state = ("sent" if at_once else "owed") if account.answers else "ignored"
    await work.execute(
        """
        insert into intake_message (id, channel_id, direction, external_id, peer, thread, kind, content, size_bytes, state,
            reason, draft_id, order_id, at)
        values ($1, $2, 'out', $3, $4, $5, 'text', $6::text::jsonb, $7, $8, $9, $10, $11, $12)
        """,
        id_,
        account.id,
        str(id_),
        peer,
        thread,
        msgspec.json.encode({"text": text, "reply": reply or {}, "atOnce": at_once}).decode(),
        len(text.encode()),
        state,
        None if account.answers else "answers_off",
        draft_id,
        order_id,
        work.now,
    )
    if state == "owed":
        await outbox.send(
            work,
            outbox.Message(
                channel=ANSWER_CHANNEL,
                stream=_stream("answer", account.id, peer),
                dedupe_key=f"answer:{id_}",
                payload={"messageId": str(id_)},
            ),
        )
    return id_


async def answer_text(work: Work, message_id: UUID) -> str | None:
    """What the door answered a message with, or None: what the worker sends is not for the door to say again."""
    text: str | None = await work.fetchval(
        """
        select a.content ->> 'text' from intake_message m
        join intake_message a on a.org_id = m.org_id and a.id = m.answer_id
        where m.org_id = callout_org() and m.id = $1 and a.state = 'sent' and (a.content ->> 'atOnce')::boolean
        """,
        message_id,
    )
    return text


async def purge(work: Work) -> int:
    """Take the content of old messages and conversations away, and nonces that no window lets in any more; how many it were.

    The sender's id of a message stays, so that one that is brought again after years is still known. What lies in the store
    goes by a message of its own, after this is durable.
    """
    before = work.now - timedelta(days=KEEP_DAYS)
    rows = await work.fetch(
        """
        with old as (
            select id, raw_key from intake_message
            where org_id = callout_org() and at < $1 and content <> '{}' limit $2)
        update intake_message m set content = '{}', raw_bytes = null, raw_key = null, peer = '', thread = ''
        from old where m.org_id = callout_org() and m.id = old.id returning m.id, old.raw_key
        """,
        before,
        PURGE_ROWS,
    )
    keys = [row["raw_key"] for row in rows if row["raw_key"] is not None]
    await forgetting.owe(work, [bytes.fromhex(key.rpartition("/")[2]) for key in keys])
    emptied = len(rows) + await work.execute(
        """
        update intake_draft set facts = '{}', faults = '[]', peer = '', thread = '', reference = ''
        where org_id = callout_org() and id in (
            select id from intake_draft
            where org_id = callout_org() and ended_at < $1 and facts <> '{}' limit $2)
        """,
        before,
        PURGE_ROWS,
    )
    return emptied + await work.execute(
        """
        delete from intake_nonce where org_id = callout_org() and (channel_id, nonce) in (
            select channel_id, nonce from intake_nonce where org_id = callout_org() and seen_at < $1 limit $2)
        """,
        work.now - NONCES_KEEP,
        PURGE_ROWS,
    )


def _stream(what: str, channel_id: UUID, peer: str) -> str:
    return f"{what}:{channel_id}:{hashlib.sha256(peer.encode()).hexdigest()[:24]}"


def _stored(row: Record) -> Stored:
    values = {name: row[name] for name in Stored.__struct_fields__}
    values["content"] = msgspec.json.decode(row["content"])
    return Stored(**values)
