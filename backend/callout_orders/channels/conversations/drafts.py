"""Conversations: a request that is put together over several messages, until it is an order or a person has it.

One message is handled once, whichever process does it: its row is held, then that of its sender's conversation. Whatever
cannot be taken up is answered with exactly what is missing; who falls silent is shown to a person by a timer.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from callout_orders.channels import files, inbox
from callout_orders.channels.chat.calls import message_key
from callout_orders.channels.conversations import draft_rows, offering, peer_orders, talk, talk_texts, typed
from callout_orders.channels.conversations.draft_rows import Draft
from callout_orders.channels.conversations.talk import Word
from callout_orders.channels.inbox import Stored
from callout_orders.channels.mailbox import mail, mail_rules
from callout_orders.channels.terms import Account, ChannelKind, Inbound, order_channel
from callout_orders.kinds import versions
from callout_orders.kinds.terms import Kind
from callout_orders.precheck.taking import check, take
from callout_orders.precheck.terms import Fault, Request, Taken
from callout_orders.precheck.text import extract
from callout_orders.precheck.text.finds import USED_FROM
from callout_orders.precheck.vocabulary import vocabulary
from callout_store.errors import Refusal
from callout_store.journal import Entry, write
from callout_store.work import Work


class Linker(Protocol):
    """Makes the address at which a customer follows an order, or reads the answers to it (`about`: order, answers).

    `place`: whether it may show where the order is; as its first link where the order was there before.
    """

    async def __call__(
        self, work: Work, order_id: UUID, locale: str, *, about: str = "order", place: bool = False
    ) -> str | None: ...


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a message: what is answered, and to what it belongs."""

    text: str | None = None
    state: str = "handled"
    reason: str | None = None
    draft_id: UUID | None = None
    order_id: UUID | None = None


async def handle(
    work: Work, account: Account, message: Stored, *, link: Linker, at_once: bool = False
) -> None:
    """Do what a message asks, and answer it. `message` is held by this unit of work and was not handled before.

    `at_once`: the door gives the answer itself, so that none is owed.
    """
    await draft_rows.hold_peer(work, account.id, message.peer)
    inbound = msgspec.convert(message.content, Inbound)
    if account.kind == ChannelKind.MAIL:
        message = await mail_rules.in_its_thread(work, message, inbound)
    heard = await _hear(work, account, message, inbound, link)
    answer_id = None
    if heard.text is not None and (
        account.kind != ChannelKind.MAIL or await mail_rules.may_answer(work, account, message.peer)
    ):
        answer_id = await inbox.say(
            work,
            account,
            peer=message.peer,
            thread=message.thread,
            text=talk_texts.bounded(
                "\n".join([*await _not_taken(work, account, message, inbound), heard.text])
            ),
            reply={**inbound.reply, "to": message.external_id},
            draft_id=heard.draft_id,
            order_id=heard.order_id,
            at_once=at_once,
        )
    await inbox.settle(
        work,
        message.id,
        heard.state,
        reason=heard.reason,
        draft_id=heard.draft_id,
        order_id=heard.order_id,
        answer_id=answer_id,
    )


async def _not_taken(work: Work, account: Account, message: Stored, inbound: Inbound) -> list[str]:
    """What its sender must know of what did not come in with it: first, because an answer is cut at its end."""
    locale = talk.language(inbound.text, account.locale)
    out = []
    if inbound.reply.get("leftOut"):
        out.append(talk_texts.text("left_out", locale, limit=mail.FILES_MAX))
    names = await files.refused_names(work, message.id)
    return [*out, talk_texts.files_refused(names, locale)] if names else out


async def _hear(work: Work, account: Account, message: Stored, inbound: Inbound, link: Linker) -> Heard:
    draft = await draft_rows.live(work, account.id, message.peer, message.thread)
    before = draft.locale if draft is not None else account.locale
    locale = talk.language(inbound.text, before) if inbound.kind == "text" else before
    why = mail_rules.ignored(account, inbound)
    if why is not None:
        return Heard(state="ignored", reason=why)
    if inbound.reply.get("tooLarge"):
        limit_mb = mail.MAIL_BYTES_MAX // (1024 * 1024)
        return Heard(text=talk_texts.text("mail_too_large", locale, limit=limit_mb), reason="too_large")
    if not account.enabled:
        return Heard(text=talk_texts.text("closed", locale), state="ignored", reason="channel_off")
    if inbound.kind == "event":
        welcome = inbound.text in ("subscribe", "enter_agent")
        return Heard(
            text=talk_texts.text("welcome", locale) if welcome else None, state="ignored", reason="event"
        )
    known = draft.id if draft is not None else None
    word = talk.word_of(inbound.text) if inbound.kind == "text" else None
    match word:
        case Word.HELP:
            return Heard(text=talk_texts.text("help", locale), draft_id=known)
        case Word.STATUS:
            return Heard(text=await peer_orders.statuses(work, account, message, locale), draft_id=known)
        case Word.AGENT:
            return await _call_agent(work, account, message, draft, locale)
        case Word.CANCEL if draft is not None:
            await draft_rows.end(work, draft, "closed", reason="canceled_by_sender")
            return Heard(text=talk_texts.text("canceled", locale), draft_id=draft.id)
        case Word.SOLVED | Word.NOT_SOLVED if draft is None:
            said = await peer_orders.said_of_answers(work, account, message, word, locale)
            if said is not None:
                return Heard(order_id=said[0], text=said[1])
        case Word.CANCEL:
            return Heard(text=talk_texts.text("nothing_to_cancel", locale))
    if inbound.kind in ("voice", "other") and not inbound.text:
        return Heard(text=talk_texts.text("unheard", locale), draft_id=known)
    if draft is None:
        later = await peer_orders.belongs_to_order(work, account, message, inbound)
        if later is not None:
            order_id, number, key = later
            return Heard(text=talk_texts.text(key, locale, number=number), order_id=order_id)
    draft = draft or await draft_rows.begin_with(work, account, message, locale)
    return await _collect(work, account, draft, message, inbound, locale, link)


async def _collect(
    work: Work, account: Account, draft: Draft, message: Stored, inbound: Inbound, locale: str, link: Linker
) -> Heard:
    """Put a message to the conversation, and take the order where nothing is missing any more."""
    brought = await files.of_holder(work, files.holder_of(message.id))
    fresh = [one.id for one in brought]
    if not fresh and inbound.media:
        fresh = await files.await_media(
            work, account.id, message.id, inbound.media, holder=files.holder_of(message.id)
        )
    await files.to_draft(work, fresh, draft.id)
    kind = await kind_of(work, account, draft)
    facts = draft.facts
    if inbound.kind == "location":
        address = {"address": inbound.text} if inbound.text else {}
        facts = msgspec.structs.replace(
            facts, values={**facts.values, **address}, lat=inbound.lat, lng=inbound.lng
        )
    elif inbound.text:
        found = await read(work, inbound.text)
        facts = talk.hear(facts, inbound.text, found=found, labels=talk_texts.label_words(kind))
    if inbound.name and "contactName" not in facts.values and account.kind == ChannelKind.MAIL:
        facts = msgspec.structs.replace(facts, values={**facts.values, "contactName": inbound.name})
    draft = msgspec.structs.replace(draft, facts=facts, locale=locale)
    if draft.state == "desk":
        # A person has it: nothing is asked over their head, and nothing is lost. Who answered may have put it aside.
        await draft_rows.store(work, draft, ())
        await draft_rows.show_again(work, draft, message, "intake.wrote")
        return Heard(draft_id=draft.id)
    return await advance(work, account, draft, kind=kind, link=link)


async def advance(
    work: Work, account: Account, draft: Draft, *, kind: Kind | None, link: Linker, asks: bool = True
) -> Heard:
    """Take the order of a conversation, or say what it still lacks. With `asks` its sender is waited for anew."""
    request = await request_of(work, account, draft, kind)
    checked = await check(work, request)
    faults: Sequence[Fault] = checked.faults
    if checked.ok or checked.existing_id is not None:
        try:
            async with work.savepoint():
                taken = await take(work, request)
            return await _complete(work, account, draft, taken, link)
        except Refusal as refusal:
            # Refused after it was found good: somebody changed what it leans on in between.
            faults = [_as_fault(refusal)]
    kept = tuple(draft_rows.kept(fault) for fault in faults)
    asked = talk.paths_of(kept)
    facts = msgspec.structs.replace(draft.facts, asked=asked, kind=checked.kind)
    draft = msgspec.structs.replace(draft, facts=facts)
    kind = await kind_of(work, account, draft)
    await draft_rows.store(work, draft, kept)
    if asks:
        await draft_rows.wait(work, account, draft.id)
    await write(
        work,
        Entry(
            kind="intake.refused",
            entity="intake",
            entity_id=draft.id,
            data={"channel": account.code, "missing": list(asked)},
        ),
    )
    return Heard(text=talk_texts.ask(kept, draft.locale, kind), draft_id=draft.id)


async def _complete(work: Work, account: Account, draft: Draft, taken: Taken, link: Linker) -> Heard:
    await files.to_order(work, [one.id for one in await files.of_draft(work, draft.id)], taken.id)
    await draft_rows.end(work, draft, "completed", order_id=taken.id)
    await write(
        work,
        Entry(
            kind="intake.completed",
            entity="intake",
            entity_id=draft.id,
            order_id=taken.id,
            data={"channel": account.code, "number": taken.number, "existing": taken.existing},
        ),
    )
    # Somebody else's order is none of the sender's business, however alike the two are.
    known = taken.duplicate_of_id is not None and await peer_orders.is_theirs(
        work, account, draft.peer, taken.duplicate_of_id
    )
    text = talk_texts.taken(
        draft.locale,
        number=taken.number,
        existing=taken.existing,
        duplicate_of=taken.duplicate_of_number if known else None,
        link=await link(work, taken.id, draft.locale, place=taken.place_said),
    )
    offered = await offering.offered(work, taken)
    if offered:
        titles = [f"{n}. {one.title}\n{one.body[:200]}" for n, one in enumerate(offered, start=1)]
        begin, finish = (talk_texts.text(key, draft.locale) for key in ("offers", "offers_end"))
        # Before the answers: a service that takes only so many characters cuts at the end.
        page = await link(work, taken.id, draft.locale, about="answers")
        text = "\n".join([text, begin, *([page] if page is not None else ()), *titles, finish])
    return Heard(text=text, draft_id=draft.id, order_id=taken.id)


async def request_of(work: Work, account: Account, draft: Draft, kind: Kind | None) -> Request:
    """What a conversation amounts to, as the pre-check looks at it."""
    values = draft.facts.values
    own = {p.removeprefix("fields."): text for p, text in values.items() if p.startswith("fields.")}
    mail, form = account.kind == ChannelKind.MAIL, account.kind == ChannelKind.WEB_FORM
    # A form is no account of anybody's: a telephone that was typed in says nothing of who typed it.
    before = None if form else await peer_orders.last_order(work, account.id, draft.peer)
    return Request(
        channel=order_channel(account.kind).value,
        description=draft.facts.description(),
        # A form's visitor has chosen it.
        kind=draft.facts.kind if form else account.default_kind,
        priority=account.default_priority,
        locale=draft.locale,
        # Who wrote before is known by what they ordered then.
        customer_id=before["customer_id"] if before is not None else None,
        contact_id=before["contact_id"] if before is not None else None,
        contact_name=values.get("contactName"),
        contact_phone=values.get("contactPhone"),
        contact_email=values.get("contactEmail") or (draft.peer if mail else None),
        customer_name=values.get("customerName"),
        customer_number=values.get("customerNumber"),
        serial=values.get("serial"),
        product=values.get("product"),
        error_code=values.get("errorCode"),
        address=values.get("address"),
        lat=draft.facts.lat,
        lng=draft.facts.lng,
        fields=typed.values_of(kind, own),
        files=files.as_request(await files.of_draft(work, draft.id)),
        references=((account.code, message_key(account.id, draft.reference)),),
        may_create=account.may_create,
    )


async def read(work: Work, text: str) -> dict[str, str]:
    """What a text says by itself, by path of the pre-check."""
    words = await vocabulary(work)
    found = extract.extract(text, products=words.products, regions=words.settings.regions)
    return {camel(find.field): find.value for find in found if find.confidence >= USED_FROM}


def camel(name: str) -> str:
    """`contact_phone` as `contactPhone`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


async def run_out(work: Work, account: Account, draft: Draft) -> None:
    """Nobody went on with it: a person has it from now on, and its sender is told."""
    await draft_rows.give_to_desk(work, draft, "unanswered")
    await inbox.say(
        work,
        account,
        peer=draft.peer,
        thread=draft.thread,
        text=talk_texts.text("late", draft.locale),
        reply=await draft_rows.last_reply(work, draft.id),
        draft_id=draft.id,
    )


async def _call_agent(
    work: Work, account: Account, message: Stored, draft: Draft | None, locale: str
) -> Heard:
    key = "agent" if draft is not None else "agent_nothing"
    draft = draft or await draft_rows.begin_with(work, account, message, locale)
    if draft.state == "desk":
        await draft_rows.show_again(work, draft, message, "intake.agent_wanted", urgent=True)
    else:
        await draft_rows.give_to_desk(work, draft, "asked_for_a_person", urgent=True)
    return Heard(text=talk_texts.text(key, locale), draft_id=draft.id)


async def kind_of(work: Work, account: Account, draft: Draft) -> Kind | None:
    """The kind that the request has: as the pre-check took it last, else the account's."""
    code = draft.facts.kind or account.default_kind
    found = (await versions.active(work)).get(code) if code is not None else None
    return None if found is None else found.kind


def _as_fault(refusal: Refusal) -> Fault:
    return Fault(
        path=refusal.path or "description",
        code=refusal.code,
        reason=refusal.code.lower(),
        en=refusal.message("en"),
        zh=refusal.message("zh"),
    )
