"""The office's page of phones: how far behind, what waits, how large; and wiping one on its next contact."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from interleave import until_waiting
from worlds import Phone, World

from callout_backend.embedded import Urls
from callout_backend.wiring import add_hooks
from callout_orders import customers
from callout_people.sessions import open_session
from callout_people.tokens import TokenIssuer
from callout_store.errors import (
    BadField,
    DeviceRequired,
    DeviceRevoked,
    DeviceWiped,
    NotFound,
    WrongState,
)
from callout_store.ids import new_id
from callout_store.work import Database
from callout_sync import devices, rows_rxdb, rows_watermelon, wipe
from callout_sync.device_figures import copies_by_device_ids, progress_by_device_ids
from callout_sync.explain import explain
from callout_sync.wipe import WipeMode

ISSUER = TokenIssuer("k" * 32)


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build(phones=3)


async def page(world: World, **more: Any) -> list[UUID]:
    """All devices, read in pages of two."""
    found: list[UUID] = []
    after = None
    while True:
        async with world.db.work(world.org) as work:
            got = await devices.devices_page(work, limit=2, after=after, **more)
        found += [device.id for device in got.items]
        if not got.has_more:
            return found
        after = got.end_cursor


async def test_silent_phones_come_first_and_pages_lose_none(world: World) -> None:
    """A phone that was never heard of since its enrolment is the one to ring up first."""
    first, second, third = (phone.device_id for phone in world.phones)
    now = datetime.now(UTC)
    async with world.db.work(world.org) as work:
        await work.execute("update device set last_seen_at = $2 where id = $1", first, now)
        await work.execute(
            "update device set last_seen_at = $2 where id = $1", third, now - timedelta(days=9)
        )
        await devices.revoke(work, first, "test")
    assert await page(world, sort=devices.Sort.SILENT) == [second, third, first]
    assert await page(world) == sorted([first, second, third], reverse=True)
    assert await page(world, stale_before=now - timedelta(days=1), sort=devices.Sort.SILENT) == [
        second,
        third,
    ]
    assert await page(world, revoked=True) == [first]
    assert await page(world, user_id=world.phones[1].actor.user_id) == [second]


@pytest.mark.parametrize("cursor", ("", "x", "12", "12.x", f"{'9' * 40}.{new_id()}", "."))
@pytest.mark.parametrize("sort", tuple(devices.Sort))
async def test_a_foreign_cursor_is_refused(world: World, cursor: str, sort: devices.Sort) -> None:
    """A cursor of another list would show the wrong half of the phones."""
    with pytest.raises(BadField) as caught:
        async with world.db.work(world.org) as work:
            await devices.devices_page(work, sort=sort, after=cursor)
    assert caught.value.path == "after"


async def test_the_lag_counts_what_the_phone_has_not_pulled(world: World) -> None:
    """A dispatcher who sees no lag believes that the engineer has read the new order."""
    phone, other, third = world.phones
    ids = [third.device_id, phone.device_id, new_id(), other.device_id]

    async def progress() -> list[Any]:
        async with world.db.work(world.org) as work:
            return await progress_by_device_ids(work, ids)

    before = await progress()
    assert before[2] is None
    rows = await world.value(
        "select count(*) from sync_feed where scope_id in ($1, $2)", world.org, phone.engineer_id
    )
    assert before[1].lag_rows == rows, "a phone that never pulled lacks all of it"
    assert before[1].lag_seconds is None
    horizon = "(select pg_snapshot_xmax(pg_current_snapshot()))"
    async with world.db.work(world.org) as work:
        await work.execute(
            f"update device set pulled_xid = {horizon}, pulled_at = $2 where id = any($1)",
            [one.device_id for one in world.phones],
            work.now - timedelta(seconds=90),
        )
    assert [one.lag_rows for one in await progress() if one] == [0, 0, 0]
    await world.visit(phone)
    after = await progress()
    assert after[1].lag_rows >= 5, "the visit, its order, site, contact and asset"
    assert after[0].lag_rows == 0, "a colleague's visit is nobody else's lag"
    assert 90 <= after[1].lag_seconds < 300
    async with world.db.work(world.org) as work:
        await customers.create_part(work, customers.NewPart(code="LAG-1", name="Lag"))
    assert (await progress())[0].lag_rows == 1, "the catalogue is everybody's"


async def test_the_lag_of_clients_of_rows_is_true_or_unknown(world: World) -> None:
    """An RxDB phone that is up to date would stand there with all its rows missing, and its engineer be rung up daily; a
    WatermelonDB phone until a minute after its first pull."""
    rx, melon, _ = world.phones
    for phone in (rx, melon):
        await world.visit(phone)

    async def lags() -> list[int | None]:
        async with world.db.work(world.org) as work:
            found = await progress_by_device_ids(work, [rx.device_id, melon.device_id])
        return [one.lag_rows if one else -1 for one in found]

    assert all(lag is not None and lag > 5 for lag in await lags())
    await world.db.run(
        world.org, lambda work: rows_rxdb.pull(work, entity="visit", cursor=None, limit=10), actor=rx.actor
    )
    last = None
    for _ in range(2):
        pulled = await world.db.run(
            world.org,
            lambda work, at=last: rows_watermelon.pull(work, last_pulled_at=at, dirty=False),  # type: ignore[misc]
            actor=melon.actor,
        )
        last = pulled.timestamp
    assert await lags() == [None, 0]
    visit = await world.value("select id from visit where engineer_id = $1", rx.engineer_id)
    async with world.db.work(world.org) as work:
        told = await explain(work, device_id=rx.device_id, entity="visit", id=visit)
    assert "NOT_PULLED_YET" not in [reason.code for reason in told.reasons]


async def test_what_waits_for_a_person_is_counted_by_phone(world: World) -> None:
    """A conflict that shows at the wrong phone is settled with the wrong engineer."""
    phone, other, _ = world.phones
    assert phone.actor.user_id is not None
    async with world.db.work(world.org) as work:
        for category, state in (("conflict", "open"), ("quarantined", "open"), ("quarantined", "dismissed")):
            await work.execute(
                """
                insert into quarantine (id, device_id, user_id, category, code, message, body, received_at, state)
                values ($1, $2, $3, $4, 'X', '', '', now(), $5)
                """,
                new_id(),
                phone.device_id,
                phone.actor.user_id,
                category,
                state,
            )
        for kept, lost in (
            (phone.device_id, other.device_id),
            (phone.device_id, phone.device_id),
            (None, phone.device_id),
        ):
            await work.execute(
                """
                insert into field_conflict (id, entity, row_id, field, policy, code, kept, kept_device_id, kept_at, lost,
                    lost_device_id, lost_at, received_at, lost_stamp, command_id)
                values ($1, 'site', $1, 'access_note', 'newest', 'FIELD_CONFLICT', '"a"', $2, now(), '"b"', $3, now(), now(),
                        '', $1)
                """,
                new_id(),
                kept,
                lost,
            )
        found = await progress_by_device_ids(work, [phone.device_id, other.device_id])
    assert [(one.conflicts_open, one.quarantined_open, one.held) for one in found if one] == [
        (4, 1, 0),
        (1, 0, 0),
    ]


async def test_a_copy_is_as_large_as_its_scopes(world: World) -> None:
    """Without the size nobody knows why one engineer's phone is slow."""
    await world.visit(world.phones[0])
    ids = [phone.device_id for phone in world.phones]
    async with world.db.work(world.org) as work:
        await work.execute("update organisation set phone_budget_mb = 1")
        found = await copies_by_device_ids(work, ids)
        size = await work.fetchrow(
            "select count(*), sum(octet_length(body)) from sync_feed where scope_id = any($1) and op = 'U'",
            [world.org, world.phones[0].engineer_id],
        )
    assert size is not None
    first, second, _ = found
    assert first is not None
    assert second is not None
    assert (first.rows, first.bytes, first.budget_bytes, first.over_budget) == (*size, 1_000_000, False)
    assert second.rows < first.rows


async def tokens(world: World, phone: Phone) -> Any:
    assert phone.actor.user_id is not None
    async with world.db.work(world.org) as work:
        return await open_session(work, ISSUER, user_id=phone.actor.user_id, device_id=phone.device_id)


async def state(world: World, phone: Phone) -> devices.Device:
    async with world.db.work(world.org) as work:
        return await devices.device_state(work, phone.device_id)


async def ask(world: World, phone: Phone, mode: WipeMode, reason: str = "left in a taxi") -> None:
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await wipe.request_wipe(work, phone.device_id, mode, reason)


async def test_a_wiped_phone_says_so_and_is_shut_out(world: World) -> None:
    """A phone that is wiped but still signed in fills itself with customers' data at the next pull."""
    phone = world.phones[0]
    await tokens(world, phone)
    await ask(world, phone, WipeMode.AFTER_UPLOAD)
    await ask(world, phone, WipeMode.AFTER_UPLOAD)
    found = await state(world, phone)
    assert (found.wipe_mode, found.wipe_reason, found.wiped_at) == ("after_upload", "left in a taxi", None)
    assert found.wipe_requested_by == world.dispatcher.user_id
    async with world.db.work(world.org, actor=phone.actor) as work:
        await devices.check_for_push(work, phone.device_id)
        await wipe.confirm_wipe(work)
    found = await state(world, phone)
    assert found.wiped_at is not None
    assert found.revoked_at is not None
    assert (found.revoked_reason, found.pending) == ("wiped", 0)
    assert (
        await world.value(
            "select count(*) from session where device_id = $1 and ended_at is null", phone.device_id
        )
        == 0
    )
    with pytest.raises(DeviceRevoked):
        async with world.db.work(world.org, actor=phone.actor) as work:
            await devices.check_for_push(work, phone.device_id)
    kinds = await world.fetch(
        "select kind from journal where entity_id = $1 and kind like 'device.%' order by id", phone.device_id
    )
    assert [row["kind"] for row in kinds] == ["device.wipe_requested", "device.wiped", "device.revoked"]


async def test_a_stolen_phone_writes_nothing_and_keeps_the_session_that_tells_it(world: World) -> None:
    """A thief must not report visits; a phone whose session is gone would never learn that it must forget."""
    phone = world.phones[0]
    await tokens(world, phone)
    await ask(world, phone, WipeMode.AFTER_UPLOAD, "lost")
    await ask(world, phone, WipeMode.STOLEN, "seen on a market")
    with pytest.raises(DeviceWiped):
        async with world.db.work(world.org, actor=phone.actor) as work:
            await devices.check_for_push(work, phone.device_id)
    assert (
        await world.value(
            "select count(*) from session where device_id = $1 and ended_at is null", phone.device_id
        )
        == 1
    )
    async with world.db.work(world.org, actor=phone.actor) as work:
        await wipe.confirm_wipe(work)
    assert (await state(world, phone)).wiped_at is not None


async def test_a_wipe_waits_for_the_push_that_is_about_to_commit(world: World, database_urls: Urls) -> None:
    """Otherwise a stolen phone's push could commit after the office was told that nothing more is taken."""
    phone = world.phones[0]
    reached, go = asyncio.Event(), asyncio.Event()

    async def push() -> None:
        async with world.db.work(world.org, actor=phone.actor) as work:
            await devices.check_for_push(work, phone.device_id)
            reached.set()
            await go.wait()

    pushing = asyncio.create_task(push())
    await reached.wait()
    asking = asyncio.create_task(ask(world, phone, WipeMode.STOLEN))
    assert database_urls.admin is not None
    try:
        await until_waiting(database_urls.admin)
        assert not asking.done()
    finally:
        go.set()
        await asyncio.gather(pushing, asking)
    assert (await state(world, phone)).wipe_mode == "stolen"


async def test_a_wish_can_be_taken_back_until_it_is_carried_out(world: World) -> None:
    """The phone was under the car seat: its engineer wants to go on working."""
    phone, other, _ = world.phones
    await ask(world, phone, WipeMode.STOLEN)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await wipe.cancel_wipe(work, phone.device_id)
        await wipe.cancel_wipe(work, phone.device_id)
    async with world.db.work(world.org, actor=phone.actor) as work:
        await devices.check_for_push(work, phone.device_id)
        with pytest.raises(WrongState):
            await wipe.confirm_wipe(work)
    await ask(world, other, WipeMode.AFTER_UPLOAD)
    async with world.db.work(world.org, actor=other.actor) as work:
        await wipe.confirm_wipe(work)
    with pytest.raises(WrongState):
        async with world.db.work(world.org) as work:
            await wipe.cancel_wipe(work, other.device_id)
    with pytest.raises(WrongState):
        await ask(world, other, WipeMode.STOLEN)


async def test_only_a_phone_confirms_and_only_known_phones_are_wiped(world: World) -> None:
    """A dispatcher's slip must not mark a colleague's phone as wiped."""
    with pytest.raises(DeviceRequired):
        async with world.db.work(world.org, actor=world.dispatcher) as work:
            await wipe.confirm_wipe(work)
    with pytest.raises(NotFound):
        async with world.db.work(world.org) as work:
            await wipe.request_wipe(work, new_id(), WipeMode.STOLEN, "x")
    with pytest.raises(BadField):
        await ask(world, world.phones[0], WipeMode.STOLEN, "  ")
