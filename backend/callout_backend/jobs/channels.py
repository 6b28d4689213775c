"""The worker's part in the channels: handling what came in, sending answers, fetching files, and showing silence to a person.

Each is harmless twice: a message is handled once (its row says so), an answer that was sent is not owed any more, a file that
arrived is not awaited any more.
"""

from typing import Final
from uuid import UUID

import structlog

from callout_backend import kept_files
from callout_backend.jobs.chat_services import ChatServices
from callout_backend.jobs.drain import Handler, Handlers
from callout_backend.jobs.mail_answers import send_mail
from callout_dispatch.arrivals import tracking
from callout_orders.channels import accounts, desk_people, files, forgetting, inbox, unsent
from callout_orders.channels.conversations import conversation, draft_rows, replies
from callout_orders.channels.conversations.drafts import Linker
from callout_orders.channels.terms import CHAT, ChannelKind
from callout_orders.knowledge import links
from callout_store import outbox
from callout_store.outbox import Claimed, Hopeless, Retry
from callout_store.work import Actor, Database, Work
from callout_sync import loose_bytes
from callout_sync.blobs import Storage
from callout_sync.upload_refusals import StorageUnavailable

CHANNEL: Final = Actor(role="channel")
AWAY_PAUSE_S: Final = 30.0
FETCH_PAUSE_S: Final = 15.0
FETCH_PAUSE_S_MAX: Final = 5400.0
"""25 tries with pauses that grow to this are more than a day: a service that was down for one has come back by then."""

log = structlog.get_logger(__name__)


def linker(base_url: str) -> Linker:
    """Makes the addresses at which customers follow their orders and read the answers to them."""

    async def link(
        work: Work, order_id: UUID, locale: str, *, about: str = "order", place: bool = False
    ) -> str | None:
        if about == "answers":
            return f"{base_url}/a/{await links.create_link(work, order_id, locale)}"
        shown = place or await tracking.first_shows_place(work, order_id)
        return f"{base_url}/t/{await tracking.create_link(work, order_id, locale=locale, shows_place=shown)}"

    return link


def make_handlers(storage: Storage, services: ChatServices, base_url: str, *, sink: str = "send") -> Handlers:
    """The channels' handlers, by channel of the outbox. `sink`: where answers go, as `Settings.notices_go` has it."""
    return {
        inbox.HANDLE_CHANNEL: _handle(linker(base_url)),
        inbox.ANSWER_CHANNEL: _answer(services, sink),
        files.FETCH_CHANNEL: _fetch(storage, services),
        draft_rows.PATIENCE_CHANNEL: lose_patience,
        forgetting.CHANNEL: _forget(storage),
    }


def _handle(link: Linker) -> Handler:
    async def handle(db: Database, item: Claimed) -> None:
        message_id = _id(item, "messageId")

        async def act(work: Work) -> None:
            await conversation.handle_message(work, message_id, link=link)

        try:
            await db.run(item.org_id, act, actor=CHANNEL)
        except Exception as fault:
            if item.attempt < outbox.ATTEMPTS_MAX:
                raise
            why = type(fault).__name__
            await db.run(item.org_id, lambda work: conversation.give_up(work, message_id, why))
            raise

    return handle


def _answer(services: ChatServices, sink: str) -> Handler:
    async def handle(db: Database, item: Claimed) -> str | None:
        message_id = _id(item, "messageId")
        async with db.work(item.org_id) as work:
            message = await inbox.message(work, message_id)
            account = await accounts.account(work, message.channel_id) if message is not None else None
        if message is None or account is None or message.state != "owed":
            return None
        text, reply = str(message.content.get("text", "")), dict(message.content.get("reply", {}))
        if unsent.goes_nowhere(account, session=bool(reply.get("session")), sink=sink):
            await db.run(item.org_id, lambda work: inbox.settle(work, message_id, "sent", reason=unsent.SINK))
            return unsent.SINK
        reference: str | None
        try:
            if account.kind == ChannelKind.MAIL:
                reference = await send_mail(
                    account, message, text, reply, private_allowed=services.private_allowed
                )
            elif account.kind in CHAT:
                reference = await services.send(account, message.peer, text, reply)
            else:
                raise Hopeless(f"nothing can be sent by {account.kind}")
        except Exception as fault:
            if isinstance(fault, Hopeless) or item.attempt >= outbox.ATTEMPTS_MAX:
                why = str(fault)
                await db.run(item.org_id, lambda work: _unsent(work, message, why))
            raise
        await db.run(item.org_id, lambda work: inbox.settle(work, message_id, "sent"))
        return reference

    return handle


async def _unsent(work: Work, message: inbox.Stored, why: str) -> None:
    """An answer reached nobody: a person has to call."""
    await inbox.settle(work, message.id, "failed", reason=why[:200])
    await desk_people.ask(
        work,
        "intake.answer_failed",
        f"message:{message.id}",
        order_id=message.order_id,
        data={"messageId": str(message.id), "peer": message.peer, "reason": why[:120]},
    )


def _fetch(storage: Storage, services: ChatServices) -> Handler:
    async def handle(db: Database, item: Claimed) -> None:
        file_id = _id(item, "fileId")
        async with db.work(item.org_id) as work:
            file = await files.file(work, file_id)
            account = (
                await accounts.account(work, file.channel_id)
                if file is not None and file.channel_id
                else None
            )
        if file is None or account is None or file.state != "awaited":
            return
        try:
            data, media_type = await services.fetch(account, file.source)
            kept = await kept_files.keep(db, storage, item.org_id, data, declared=media_type)
        except StorageUnavailable as away:
            raise Retry("the store does not answer", after_s=AWAY_PAUSE_S) from away
        except (Hopeless, Retry) as fault:
            if isinstance(fault, Hopeless) or item.attempt >= outbox.ATTEMPTS_MAX:
                why = str(fault)
                await db.run(item.org_id, lambda work: _unfetched(work, file_id, why))
                raise
            pause_s = min(FETCH_PAUSE_S * 2.0 ** (item.attempt - 1), FETCH_PAUSE_S_MAX)
            raise Retry(str(fault), after_s=max(pause_s, fault.after_s or 0.0)) from fault

        async def act(work: Work) -> None:
            arrived = await files.arrived(
                work,
                file_id,
                sha256=kept.sha256,
                size_bytes=kept.size_bytes,
                media_type=kept.media_type,
                code=kept.code,
            )
            if arrived:
                await kept_files.note(work, kept)
                if kept.code is not None:
                    await replies.file_refused(work, account, file)
            elif kept.claim is not None:
                # It was told of before, or is wanted by nobody any more.
                await loose_bytes.settle(work, kept.claim)
                await forgetting.owe(work, [kept.sha256])

        await db.run(item.org_id, act)

    return handle


async def _unfetched(work: Work, file_id: UUID, why: str) -> None:
    """A file could not be fetched: a person asks for it again, or goes without."""
    file = await files.gave_up(work, file_id, "FILE_NOT_FETCHED")
    if file is None:
        return
    log.warning("file_not_fetched", file=str(file_id), why=why)
    await desk_people.ask(
        work,
        "intake.file_failed",
        f"file:{file_id}",
        order_id=file.order_id,
        data={"fileId": str(file_id), "reason": why[:120]},
    )


def _forget(storage: Storage) -> Handler:
    """Bytes that no row names any more. Harmless twice: what is named again stays, what is not there is not minded."""

    async def handle(db: Database, item: Claimed) -> None:
        payload = item.payload
        try:
            # A message of an earlier release names whole mails by their keys.
            named = payload.get("hashes") or [key.rpartition("/")[2] for key in payload["keys"]]
            hashes = [bytes.fromhex(one) for one in named]
        except (KeyError, ValueError) as fault:
            raise Hopeless(f"names no bytes: {fault!r}") from fault
        try:
            # Durable before the bytes go: no row may say that they are there.
            await db.run(item.org_id, lambda work: loose_bytes.drop_blobs(work, hashes))
            await db.run(item.org_id, lambda work: loose_bytes.delete(work, storage, hashes))
        except StorageUnavailable as away:
            raise Retry("the store does not answer", after_s=AWAY_PAUSE_S) from away

    return handle


async def lose_patience(db: Database, item: Claimed) -> None:
    """A conversation's timer fired: a person sees it. Harmless twice: the timer's epoch moved on."""
    draft_id = _id(item, "draftId")
    try:
        epoch = int(item.payload["timerEpoch"])
    except (KeyError, ValueError) as fault:
        raise Hopeless(f"no timer: {fault!r}") from fault
    await db.run(
        item.org_id, lambda work: conversation.patience_ends(work, draft_id, epoch=epoch), actor=CHANNEL
    )


def _id(item: Claimed, name: str) -> UUID:
    try:
        return UUID(item.payload[name])
    except (KeyError, ValueError) as fault:
        raise Hopeless(f"names no {name}: {fault!r}") from fault
