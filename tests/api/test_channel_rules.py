"""What holds for every channel: one sender's messages in their order, channels that are off, and what is forgotten when."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from chat_desk import COMPLETE, Desk
from chat_service import ChatService
from worlds import World

from callout_backend.jobs.channels import linker
from callout_backend.settings import Settings
from callout_orders.channels import inbox
from callout_orders.channels.chat.ciphers import Forged
from callout_orders.channels.conversations import conversation
from callout_store.work import Database
from callout_sync.blobs import Storage


@pytest.fixture
async def desk(db: Database, settings: Settings) -> AsyncIterator[Desk]:
    async with ChatService() as service:
        made = Desk(await World(db).build(phones=1), service, Storage(settings.storage_place), "wecom")
        yield await made.build()
        await made.services.close()


async def text_of(desk: Desk) -> str:
    (row,) = await desk.world.fetch("select facts ->> 'texts' as texts from intake_draft")
    return str(row["texts"])


async def test_two_processes_that_hear_one_sender_begin_one_conversation(desk: Desk) -> None:
    """WeChat's door and the worker may both be at it: the second would break on the first one's conversation, and its
    sender be asked nothing."""
    ids = [await desk.says(f"part {n} of my pump is very loud", id_=f"m{n}") for n in range(4)]

    async def hear(id_: UUID) -> bool:
        return await desk.world.db.run(
            desk.world.org, lambda work: conversation.handle_message(work, id_, link=linker("http://t"))
        )

    heard = await asyncio.gather(*(hear(id_) for id_ in [*ids, *ids]))
    assert heard.count(True) == 4
    texts = await text_of(desk)
    assert all(f"part {n}" in texts for n in range(4))
    assert len(await desk.sent()) == 4


async def test_what_one_sender_writes_is_heard_in_its_order(desk: Desk) -> None:
    """The answer to a question would be heard before what it answers, whenever the first message is tried again."""
    first = await desk.says("my pump is very loud")
    await desk.world.fetch(
        "update outbox set run_at = now() + interval '1 hour' where payload ->> 'messageId' = $1 returning 1",
        str(first),
    )
    await desk.says("and it leaks", id_="m2")
    await desk.says("mine too is loud", id_="m3", peer="HanMei")
    await desk.work("intake.handle")
    states = "select peer, state from intake_message where direction = 'in' order by id"
    assert [tuple(row) for row in await desk.world.fetch(states)] == [
        ("LiLei", "received"),
        ("LiLei", "received"),
        ("HanMei", "handled"),
    ]
    await desk.due("intake.handle")
    await desk.work("intake.handle")
    rows = await desk.world.fetch("select facts ->> 'texts' as texts from intake_draft where peer = 'LiLei'")
    assert rows[0]["texts"].index("very loud") < rows[0]["texts"].index("leaks")


async def test_a_channel_that_is_off_takes_nothing_and_says_so(desk: Desk) -> None:
    """A company that left an account to itself would get orders by it, or its customers no word."""
    await desk.world.fetch("update intake_channel set enabled = false returning 1")
    await desk.says(COMPLETE)
    await desk.work("intake.handle")
    rows = await desk.world.fetch(
        "select state, reason, content ->> 'text' as text from intake_message order by id"
    )
    assert [(row["state"], row["reason"]) for row in rows] == [("ignored", "channel_off"), ("owed", None)]
    assert "does not take requests" in rows[1]["text"]
    assert await desk.world.value("select count(*) from work_order") == 0
    assert await desk.world.value("select count(*) from intake_draft") == 0


async def test_a_channel_without_answers_says_nothing_and_takes_all(desk: Desk) -> None:
    """A company that answers by hand would have a machine speak in its name."""
    await desk.world.fetch("update intake_channel set answers = false returning 1")
    await desk.says(COMPLETE)
    await desk.work("intake.handle", "intake.answer")
    assert await desk.world.value("select count(*) from work_order") == 1
    assert [tuple(row) for row in await desk.sent()] == [("ignored", "answers_off")]
    assert desk.service.asked == []
    assert await desk.world.value("select count(*) from outbox where channel = 'intake.answer'") == 0


async def test_messages_are_emptied_after_their_time_and_known_for_ever(desk: Desk) -> None:
    """What customers wrote would lie with us for ever; or a message that is brought again would be a second order."""
    await desk.says(COMPLETE)
    await desk.says("my other pump is very loud", id_="m2")
    await desk.work("intake.handle")
    old = "update intake_message set at = at - $1::interval where external_id = 'm1' returning 1"

    async def purge() -> int:
        return await desk.world.db.run(desk.world.org, inbox.purge)

    async def seen() -> list[Any]:
        rows = await desk.world.fetch(
            "select content = '{}' as empty, raw_bytes is null as bare, peer from intake_message "
            "where direction = 'in' order by id"
        )
        return [tuple(row) for row in rows]

    whole = (False, False, "LiLei")
    await desk.world.fetch(old.replace("$1", "'89 days'"))
    await purge()
    assert await seen() == [whole, whole]
    await desk.world.fetch(old.replace("$1", "'2 days'"))
    while await purge():
        pass
    assert await seen() == [(True, True, ""), whole]
    await desk.says(COMPLETE)
    await desk.work("intake.handle")
    assert await desk.world.value("select count(*) from work_order") == 1
    # So it is with conversations, from their end on; one that is open keeps what was said.
    ended = "update intake_draft set ended_at = ended_at - interval '91 days' where ended_at is not null returning 1"
    assert len(await desk.world.fetch(ended)) == 1
    while await purge():
        pass
    rows = await desk.world.fetch("select facts = '{}' as empty, peer, state from intake_draft order by id")
    assert [tuple(row) for row in rows] == [(True, "", "completed"), (False, "LiLei", "open")]


async def test_signatures_are_remembered_for_longer_than_they_are_let_in(desk: Desk) -> None:
    """A call that was recorded could be played again with other words, as soon as its signature was forgotten."""

    async def use(body: bytes) -> bool:
        return await desk.world.db.run(
            desk.world.org, lambda work: inbox.first_use(work, desk.account.id, b"n" * 32, body * 32)
        )

    async def ages(days: int) -> None:
        await desk.world.fetch(
            f"update intake_nonce set seen_at = seen_at - interval '{days} days' returning 1"
        )
        while await desk.world.db.run(desk.world.org, inbox.purge):
            pass

    assert await use(b"a")
    await ages(1)
    assert not await use(b"a")
    with pytest.raises(Forged):
        await use(b"b")
    await ages(2)
    assert await desk.world.value("select count(*) from intake_nonce") == 0


async def test_a_timer_that_was_set_anew_or_is_past_shows_nobody(desk: Desk) -> None:
    """Who is writing just now would be told that a colleague takes over, or who has an answer that nobody had one."""
    await desk.says("my pump is very loud")
    await desk.work("intake.handle")
    draft, epoch = (
        await desk.world.fetch("select id, epoch from intake_draft, timer where channel = 'intake.patience'")
    )[0]

    async def ends(epoch: int) -> bool:
        return await desk.world.db.run(
            desk.world.org, lambda work: conversation.patience_ends(work, draft, epoch=epoch)
        )

    await desk.says("and it leaks", id_="m2")
    await desk.work("intake.handle")
    again = await desk.world.value("select epoch from timer where channel = 'intake.patience'")
    assert again > epoch
    await desk.world.fetch("update timer set state = 'fired' where channel = 'intake.patience' returning 1")
    assert not await ends(epoch)
    assert await desk.world.value("select state from intake_draft") == "open"
    # A person took it up between the timer's firing and our looking.
    await desk.world.fetch("update intake_draft set state = 'desk', reason = 'by hand' returning 1")
    assert not await ends(again)
    assert await desk.world.value("select reason from intake_draft") == "by hand"
    await desk.world.fetch("update intake_draft set state = 'open' returning 1")
    assert await ends(again)
