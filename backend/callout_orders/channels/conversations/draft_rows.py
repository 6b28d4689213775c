"""The rows of conversations: begun, kept, waited for, given to a person, ended."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from asyncpg import Record

from callout_orders.channels import desk_people
from callout_orders.channels.conversations import talk
from callout_orders.channels.conversations.talk import Facts
from callout_orders.channels.inbox import Stored
from callout_orders.channels.terms import Account
from callout_orders.desk import todos
from callout_orders.precheck.terms import Fault
from callout_store import timers
from callout_store.ids import new_id
from callout_store.journal import Entry, write
from callout_store.work import Work

PATIENCE_CHANNEL: Final = "intake.patience"
LOCK_CLASS: Final = 0x74616C6B
_ASKS: Final = {"unanswered": "intake.waits", "unknown_customer": "intake.unknown"}
"""To-dos by the reason for which a person has a conversation; others want a person."""
_COLUMNS: Final = """
    id, channel_id, peer, thread, state, reason, locale, facts::text as facts, faults::text as faults, reference, order_id,
    created_at, updated_at, ended_at
"""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as it is stored; `faults` are what was missing or wrong when it was looked at last."""

    id: UUID
    channel_id: UUID
    peer: str
    thread: str
    state: str
    locale: str
    facts: Facts
    faults: tuple[dict[str, Any], ...]
    reference: str
    order_id: UUID | None


def matter_of(draft_id: UUID) -> str:
    """The matter of the to-dos about a conversation."""
    return f"intake:{draft_id}"


async def settle_todos(work: Work, draft_id: UUID, *, state: str = "done") -> None:
    """What was asked of the desk about a conversation is settled."""
    await todos.end(work, *await _live_matters(work, draft_id), state=state)


async def show_again(work: Work, draft: Draft, message: Stored, kind: str, *, urgent: bool = False) -> None:
    """Its sender wrote again what a person has to see. Asked anew only once they have settled what was asked before."""
    if await _live_matters(work, draft.id):
        return
    text = str(message.content.get("text", "")) or draft.facts.description()
    await desk_people.ask(
        work,
        kind,
        f"{matter_of(draft.id)}:{message.id}",
        data={"draftId": str(draft.id), "peer": draft.peer, "text": text[:120]},
        urgent=urgent,
    )


async def _live_matters(work: Work, draft_id: UUID) -> list[str]:
    rows = await work.fetch(
        """
        select distinct matter from todo
        where org_id = callout_org() and state in ('open', 'acknowledged') and matter = any(array(
            select $1::text union all
            select $1 || ':' || id from intake_message
            where org_id = callout_org() and draft_id = $2 and direction = 'in'))
        """,
        matter_of(draft_id),
        draft_id,
    )
    return [row["matter"] for row in rows]


def patience_key(draft_id: UUID) -> str:
    """The key of a conversation's timer."""
    return f"intake:{draft_id}"


async def wait(work: Work, account: Account, draft_id: UUID) -> None:
    """Show the conversation to a person if its sender does not go on with it in time."""
    due_at = await work.fetchval("select now() + make_interval(mins => $1)", account.patience_minutes)
    await timers.arm(
        work,
        key=patience_key(draft_id),
        due_at=due_at,
        channel=PATIENCE_CHANNEL,
        payload={"draftId": str(draft_id)},
    )


async def give_to_desk(work: Work, draft: Draft, reason: str, *, urgent: bool = False) -> None:
    """From now on a person answers; everybody of the desk gets the to-do."""
    await work.execute(
        "update intake_draft set state = 'desk', reason = $2, updated_at = $3 "
        "where org_id = callout_org() and id = $1 and state in ('open', 'desk')",
        draft.id,
        reason,
        work.now,
    )
    await timers.cancel(work, patience_key(draft.id))
    await desk_people.ask(
        work,
        _ASKS.get(reason, "intake.agent_wanted"),
        matter_of(draft.id),
        data={
            "draftId": str(draft.id),
            "peer": draft.peer,
            "text": draft.facts.description()[:120],
            "reason": reason,
        },
        urgent=urgent,
    )


async def end(
    work: Work, draft: Draft, state: str, *, order_id: UUID | None = None, reason: str | None = None
) -> None:
    """A conversation is over: `completed` with its order, or `closed`."""
    await work.execute(
        """
        update intake_draft set state = $2, order_id = $3, reason = $4, facts = $5::text::jsonb, locale = $6,
            faults = '[]', updated_at = $7, ended_at = $7
        where org_id = callout_org() and id = $1
        """,
        draft.id,
        state,
        order_id,
        reason,
        talk.as_json(draft.facts),
        draft.locale,
        work.now,
    )
    await timers.cancel(work, patience_key(draft.id))
    await settle_todos(work, draft.id, state="done" if state == "completed" else "canceled")


async def draft(work: Work, id_: UUID, *, lock: bool = False) -> Draft | None:
    """A conversation; with `lock` held until this unit of work ends."""
    row = await work.fetchrow(
        f"select {_COLUMNS} from intake_draft where org_id = callout_org() and id = $1 "
        f"{'for no key update' if lock else ''}",
        id_,
    )
    return None if row is None else _draft(row)


async def last_reply(work: Work, draft_id: UUID) -> dict[str, Any]:
    """How the sender's latest message can be answered."""
    found = await work.fetchrow(
        """
        select content::text as content, external_id from intake_message
        where org_id = callout_org() and draft_id = $1 and direction = 'in' order by id desc limit 1
        """,
        draft_id,
    )
    if found is None:
        return {}
    return {**msgspec.json.decode(found["content"]).get("reply", {}), "to": found["external_id"]}


async def hold_peer(work: Work, channel_id: UUID, peer: str) -> None:
    """One sender's messages are handled one after the other, whoever handles them."""
    await work.fetch("select pg_advisory_xact_lock($1, hashtext($2))", LOCK_CLASS, f"{channel_id}:{peer}")


async def live(work: Work, channel_id: UUID, peer: str, thread: str) -> Draft | None:
    row = await work.fetchrow(
        f"""
        select {_COLUMNS} from intake_draft
        where org_id = callout_org() and channel_id = $1 and peer = $2 and thread = $3 and state in ('open', 'desk')
        for no key update
        """,
        channel_id,
        peer,
        thread,
    )
    return None if row is None else _draft(row)


async def is_there(work: Work, channel_id: UUID, reference: str) -> bool:
    """Whether a conversation began with what is known by this reference, whatever came of it."""
    return bool(
        await work.fetchval(
            """
            select exists (select 1 from intake_draft
                           where org_id = callout_org() and channel_id = $1 and reference = $2)
            """,
            channel_id,
            reference,
        )
    )


async def begin_with(work: Work, account: Account, message: Stored, locale: str) -> Draft:
    """A conversation that begins with a message."""
    return await begin(
        work,
        account,
        peer=message.peer,
        thread=message.thread,
        reference=message.external_id,
        locale=locale,
        facts=Facts(subject=message.content.get("reply", {}).get("subject")),
    )


async def begin(
    work: Work, account: Account, *, peer: str, thread: str, reference: str, locale: str, facts: Facts
) -> Draft:
    """A conversation with somebody by this account; `reference` is what it began with."""
    begun = Draft(
        id=new_id(),
        channel_id=account.id,
        peer=peer,
        thread=thread,
        state="open",
        locale=locale,
        facts=facts,
        faults=(),
        reference=reference,
        order_id=None,
    )
    await work.execute(
        """
        insert into intake_draft (id, channel_id, peer, thread, state, locale, facts, reference, created_at, updated_at)
        values ($1, $2, $3, $4, 'open', $5, $6::text::jsonb, $7, $8, $8)
        """,
        begun.id,
        account.id,
        begun.peer,
        begun.thread,
        locale,
        talk.as_json(begun.facts),
        begun.reference,
        work.now,
    )
    await write(
        work,
        Entry(kind="intake.received", entity="intake", entity_id=begun.id, data={"channel": account.code}),
    )
    return begun


async def store(work: Work, draft: Draft, faults: Sequence[Mapping[str, Any]]) -> None:
    await work.execute(
        """
        update intake_draft set facts = $2::text::jsonb, faults = $3::text::jsonb, locale = $4, updated_at = $5
        where org_id = callout_org() and id = $1
        """,
        draft.id,
        talk.as_json(draft.facts),
        msgspec.json.encode(list(faults)).decode(),
        draft.locale,
        work.now,
    )


def kept(fault: Fault) -> dict[str, Any]:
    """A fault as `store` keeps it."""
    return msgspec.structs.asdict(fault)


def _draft(row: Record) -> Draft:
    values = {name: row[name] for name in Draft.__struct_fields__}
    values["facts"] = talk.from_json(row["facts"])
    values["faults"] = tuple(msgspec.json.decode(row["faults"]))
    return Draft(**values)
