"""What the daily sweep of an organisation forgets of people: their messages, their files, the notices about them."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from telling import Telling

from callout_backend.jobs import sweeps
from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_orders.channels import accounts, files, inbox
from callout_orders.channels.accounts import ChannelInput
from callout_orders.channels.terms import Inbound
from callout_orders.checks import FieldRefused
from callout_orders.notices import retention
from callout_store.errors import LimitExceeded
from callout_store.work import Database, Work


@pytest.fixture
async def told(db: Database) -> AsyncIterator[Telling]:
    add_hooks(db)
    telling = await Telling(db).build()
    yield telling
    await telling.notifier.close()


async def sweep(told: Telling, settings: Settings) -> None:
    """The organisation's daily sweep, now."""
    await told.world.value(
        "update timer set due_at = now() - interval '1 minute' where key = $1 returning 1", sweeps.KEY
    )
    handlers = make_handlers(settings)
    await drain(told.db, {sweeps.CHANNEL: handlers[sweeps.CHANNEL]}, only=True)


async def message(work: Work, told: Telling, days: int) -> Any:
    """A message that came so many days ago, with a file that no order took."""
    account = await accounts.account_by_code(work, "desk")
    assert account is not None
    inbound = Inbound(
        external_id=f"m-{days}", peer="ann@bay.example", kind="text", text="It leaks", thread="t"
    )
    received = await inbox.record(work, account, inbound, raw=b"It leaks", size_bytes=8)
    file_id = await files.add_stored(
        work, holder=files.holder_of(received.id), name="a.png", media_type="image/png", size_bytes=1,
        sha256=bytes([days]) * 32,
    )  # fmt: skip
    at = work.now - timedelta(days=days)
    await work.execute("update intake_message set at = $2 where id = $1", received.id, at)
    await work.execute("update intake_file set created_at = $2 where id = $1", file_id, at)
    return received.id


async def test_messages_lose_their_content_after_ninety_days(told: Telling, settings: Settings) -> None:
    """What people wrote, and who they are, would lie in the database for ever: nothing called the sweep."""
    async with told.db.work(told.world.org, actor=told.world.dispatcher) as work:
        await accounts.save(
            work,
            ChannelInput(
                code="desk", kind="mail", name="Desk", settings={"address": "desk@example.org"},
                secrets={"webhookSecret": "s"},
            ),
        )  # fmt: skip
        old, young = await message(work, told, inbox.KEEP_DAYS + 1), await message(work, told, 2)
        await work.execute(
            "insert into intake_nonce (channel_id, nonce, body_sha256, seen_at) values ($1, $2, $2, $3)",
            (await accounts.account_by_code(work, "desk")).id,  # type: ignore[union-attr]
            bytes(32),
            work.now - inbox.NONCES_KEEP - timedelta(hours=1),
        )
    await sweep(told, settings)
    rows = {
        row["id"]: row
        for row in await told.world.fetch(
            "select id, content::text as content, raw_bytes, peer, external_id from intake_message"
        )
    }
    assert (rows[old]["content"], rows[old]["raw_bytes"], rows[old]["peer"]) == ("{}", None, "")
    assert rows[old]["external_id"].startswith("m-")  # what is brought again is still known
    assert "It leaks" in rows[young]["content"]
    assert await told.world.value("select count(*) from intake_file") == 1
    assert await told.world.value("select count(*) from intake_nonce") == 0


async def test_notices_are_forgotten_and_counted(told: Telling, settings: Settings) -> None:
    """Names, addresses and what happened to people would be kept for ever; uncounted they prove nothing."""
    await told.configure(keep_days=30)
    order = await told.world.order()
    await told.happen("work_order.held", [order])
    await told.drain()
    await told.world.value("update notice set state = 'queued' where kind = 'held' returning 1")
    there = await told.notices("kind <> 'held'")
    waiting = await told.notices("kind = 'held'")
    assert there
    assert waiting
    long_ago = datetime.now(UTC) - timedelta(days=31)
    await told.world.value("update notice set created_at = $1 returning 1", long_ago)
    await sweep(told, settings)
    assert {row["kind"] for row in await told.notices()} == {"held"}  # what still waits is still sent
    async with told.db.work(told.world.org) as work:
        found = await retention.counts(work, long_ago.date(), long_ago.date())
    assert sum(one.notices for one in found) == len(there) + len(waiting)
    kept = await told.world.value("select sum(notices)::int from notice_count")
    assert kept == len(there)
    loose = "not exists (select from notice n where n.message_id = notice_message.id) and state <> 'queued'"
    assert await told.messages(loose) == []


async def test_young_notices_stay(told: Telling, settings: Settings) -> None:
    """A sweep that takes what somebody has not read yet would hide it from them."""
    await told.world.order()
    await told.drain()
    before = len(await told.notices())
    await told.world.value("update notice set created_at = created_at - interval '179 days' returning 1")
    await sweep(told, settings)
    assert len(await told.notices()) == before > 0


@pytest.mark.parametrize("days", (0, 6, 3651))
async def test_a_retention_has_bounds(told: Telling, days: int) -> None:
    """A zero would make every notice vanish before anybody read it."""
    with pytest.raises(FieldRefused) as refused:
        await told.configure(keep_days=days)
    assert refused.value.path == "keepDays"


async def test_counts_of_a_year_at_most(told: Telling) -> None:
    """One question could have the database count ten years of notices."""
    async with told.db.work(told.world.org) as work:
        with pytest.raises(LimitExceeded):
            await retention.counts(work, date(2020, 1, 1), date(2026, 1, 1))
