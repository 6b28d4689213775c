"""Bytes that no row names any more go from the store; those that anything names, or that are just on their way, stay."""

import asyncio
import hashlib
import io
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from interleave import until_waiting
from PIL import Image
from worlds import World

from callout_backend import kept_files, mail_intake
from callout_backend.jobs import channels as channel_jobs
from callout_backend.jobs.chat_services import ChatServices
from callout_backend.jobs.drain import drain
from callout_orders.channels import accounts, files, inbox
from callout_orders.channels.accounts import ChannelInput
from callout_orders.channels.conversations import draft_rows
from callout_orders.channels.conversations.talk import Facts
from callout_orders.channels.terms import Account
from callout_store import outbox
from callout_store.work import Database
from callout_sync import attachments, loose_bytes, uploads
from callout_sync.attachments import Expected
from callout_sync.blobs import Storage, clean_key, mail_key, raw_key
from callout_sync.tus import Concat, Metadata

MAIL = b"From: Ann <ann@bay.example>\r\nMessage-ID: <m1@x>\r\nSubject: Pump\r\n\r\nThe pump leaks"


def picture(seed: int = 0) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), (seed % 256, 1, 2)).save(out, "PNG")
    return out.getvalue()


class Gated(Storage):
    """A store in memory that can be held at its next putting or deleting."""

    def __init__(self) -> None:
        super().__init__("memory:")
        self.reached, self.go = asyncio.Event(), asyncio.Event()
        self.hold = ""

    async def put(self, key: str, data: bytes) -> None:
        await super().put(key, data)
        await self._gate("put")

    async def delete(self, keys: Sequence[str]) -> None:
        if keys:
            await self._gate("delete")
        await super().delete(keys)

    async def _gate(self, what: str) -> None:
        if self.hold == what:
            self.hold = ""
            self.reached.set()
            await self.go.wait()

    async def has(self, key: str) -> bool:
        try:
            return bool([chunk async for chunk in self.read(key)])
        except FileNotFoundError:
            return False


class House:
    """An organisation whose requests bring files."""

    def __init__(self, world: World, storage: Gated) -> None:
        self.world, self.storage = world, storage

    async def bring(self, data: bytes, holder: str = "form:a") -> UUID:
        world = self.world
        kept = await kept_files.keep(world.db, self.storage, world.org, data)

        async def act(work: Any) -> UUID:
            id_ = await files.add_stored(
                work,
                holder=holder,
                name="leak.png",
                media_type=kept.media_type,
                size_bytes=kept.size_bytes,
                sha256=kept.sha256,
            )
            await kept_files.note(work, kept)
            return id_

        return await world.db.run(world.org, act)

    async def age(self) -> None:
        await self.world.fetch(
            "update intake_file set created_at = created_at - interval '8 days' where order_id is null returning 1"
        )

    async def sweep(self) -> None:
        for act in (inbox.purge, files.purge, loose_bytes.purge):
            while await self.world.db.run(self.world.org, act):
                pass
        await self.forget()

    async def forget(self) -> None:
        made = channel_jobs.make_handlers(self.storage, ChatServices(), "http://t")
        await drain(self.world.db, {"intake.forget": made["intake.forget"]}, only=True)

    async def has(self, data: bytes) -> bool:
        return await self.storage.has(raw_key(self.world.org, hashlib.sha256(data).digest()))


@pytest.fixture
async def house(db: Database) -> House:
    return House(await World(db).build(phones=1), Gated())


async def test_a_file_that_no_order_took_goes_with_its_bytes(house: House) -> None:
    """A visitor's picture of their rooms would lie with us for ever, though nobody ever asked for anything."""
    data = picture()
    await house.bring(data)
    sha256 = hashlib.sha256(data).digest()
    shown = [clean_key(house.world.org, sha256, thumb=small) for small in (False, True)]
    for key in shown:
        await house.storage.put(key, b"what is shown of it")
    await house.sweep()
    assert await house.has(data)  # not old enough
    await house.age()
    await house.sweep()
    assert not await house.has(data)
    assert [await house.storage.has(key) for key in shown] == [False, False]
    assert await house.world.value("select count(*) from blob") == 0
    # Brought again it is a new file, and is shown again.
    await house.bring(data)
    assert await house.has(data)
    assert await house.world.value("select state from blob") == "received"


@pytest.mark.parametrize("named", ("order", "file", "attachment", "upload", "open", "claim", "phone"))
async def test_bytes_that_something_else_names_stay(house: House, named: str) -> None:
    """The picture of one order would go because somebody else sent the same one with nothing."""
    world, data = house.world, picture()
    sha256 = hashlib.sha256(data).digest()
    if named == "open":
        # A phone is about to finish the same picture: its bytes are put before its row says so.
        async with world.db.work(world.org, actor=world.phones[0].actor) as work:
            metadata = Metadata(text="", sha256=sha256, kind="photo")
            assert (
                await uploads.create(work, length=len(data), metadata=metadata, concat=Concat())
            ).state == "open"
    await house.bring(data)
    await house.age()
    actor = world.phones[0].actor if named in ("upload", "phone") else world.dispatcher
    taken = await house.bring(data, "form:b") if named == "order" else None
    order = await world.order()
    visit = await world.visit(world.phones[0]) if named == "attachment" else None
    async with world.db.work(world.org, actor=actor) as work:
        if taken is not None:
            await files.to_order(work, [taken], order)
            await work.execute("update intake_file set created_at = created_at - interval '30 days'")
        elif visit is not None:
            expected = Expected(
                event_id=visit,
                visit_id=visit,
                kind="photo",
                sha256=sha256,
                media_type="image/png",
                size_bytes=1,
            )
            await attachments.expect(work, [expected])
        elif named == "claim":
            await loose_bytes.claim(work, [sha256])
        elif named in ("upload", "phone"):
            metadata = Metadata(text="", sha256=sha256, kind="photo")
            made = await uploads.create(work, length=len(data), metadata=metadata, concat=Concat())
            assert made.state == "done"  # nothing is sent: we have it already
            if named == "phone":
                # Its upload's row is past long before its event comes.
                await work.execute("delete from upload")
    if named == "file":
        await house.bring(data, "form:b")
    await house.sweep()
    assert await house.has(data)
    assert await world.value("select count(*) from blob") == 1


async def test_another_organisation_keeps_its_own(house: House, db: Database) -> None:
    """Two companies that were sent the same picture share nothing, and neither takes the other's away."""
    other = House(await World(db).build(phones=1), house.storage)
    data = picture()
    for one in (house, other):
        await one.bring(data)
    await house.age()
    await house.sweep()
    assert (await house.has(data), await other.has(data)) == (False, True)


async def test_who_brings_the_bytes_while_they_go_brings_them_back(house: House, database_urls: Any) -> None:
    """The row would say that the picture is there, and it would have gone a moment after it was put."""
    data = picture()
    await house.bring(data)
    await house.age()
    house.storage.hold = "delete"
    sweeping = asyncio.create_task(house.sweep())
    await house.storage.reached.wait()
    bringing = asyncio.create_task(house.bring(data, "form:b"))
    # The bringer waits for the hash: nothing is put before what is under way is gone.
    await until_waiting(database_urls.admin)
    house.storage.go.set()
    await asyncio.gather(sweeping, bringing)
    assert await house.has(data)
    assert await house.world.value("select state from blob") == "received"


async def test_bytes_that_are_on_their_way_are_left_alone(house: House) -> None:
    """Between the putting of a file and its row the same bytes of another one could be cleared away."""
    data = picture()
    await house.bring(data)
    await house.age()
    house.storage.hold = "put"
    bringing = asyncio.create_task(house.bring(data, "form:b"))
    await house.storage.reached.wait()
    await house.sweep()
    assert await house.has(data)
    house.storage.go.set()
    await bringing
    assert await house.has(data)
    assert await house.world.value("select count(*) from blob where state = 'received'") == 1


async def test_a_phone_that_begins_while_the_bytes_go_sends_them(house: House, database_urls: Any) -> None:
    """A photo of a visit would be counted as here, and be nowhere: the engineer's phone deletes its own copy."""
    data, world = picture(), house.world
    await house.bring(data)
    await house.age()
    house.storage.hold = "delete"
    sweeping = asyncio.create_task(house.sweep())
    await house.storage.reached.wait()

    async def create(work: Any) -> str:
        metadata = Metadata(text="", sha256=hashlib.sha256(data).digest(), kind="photo")
        return (await uploads.create(work, length=len(data), metadata=metadata, concat=Concat())).state

    creating = asyncio.create_task(world.db.run(world.org, create, actor=world.phones[0].actor))
    await until_waiting(database_urls.admin)
    house.storage.go.set()
    await sweeping
    assert await creating == "open"
    assert not await house.has(data)


async def test_whoever_comes_and_goes_no_row_lies(house: House, seed: int) -> None:
    """One pair of moments that nobody thought of would lose a picture in a thousand."""
    pictures = [picture(n) for n in range(3)]
    chance = random.Random(seed)

    async def bring(n: int) -> None:
        await house.bring(chance.choice(pictures), f"form:{n}")

    async def clear() -> None:
        await house.age()
        await house.sweep()

    for _ in range(6):
        acts = [bring(n) for n in range(4)] + [clear() for _ in range(2)]
        chance.shuffle(acts)
        await asyncio.gather(*acts)
        rows = await house.world.fetch(
            "select sha256 from intake_file where state = 'stored' union select sha256 from blob"
        )
        for row in rows:
            assert await house.storage.has(raw_key(house.world.org, row["sha256"]))
    await clear()
    await clear()
    assert [await house.has(data) for data in pictures] == [False] * 3
    assert await house.world.value("select count(*) from storage_claim") == 0


async def test_what_a_bringer_that_died_left_is_forgotten(house: House) -> None:
    """Bytes whose row was never written would be found by nobody, for ever."""
    data = picture()
    await kept_files.keep(house.world.db, house.storage, house.world.org, data)
    await house.sweep()
    assert await house.has(data)  # its bringer may be about to write the row
    await house.world.fetch(
        "update storage_claim set claimed_at = claimed_at - interval '2 days' returning 1"
    )
    await house.sweep()
    assert not await house.has(data)


async def mailbox(world: World) -> Account:
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        id_ = await accounts.save(
            work,
            ChannelInput(
                code="desk",
                kind="mail",
                name="Desk",
                settings={"address": "desk@example.org"},
                secrets={"webhookSecret": "s"},
            ),
        )
        account = await accounts.account(work, id_)
    assert account is not None
    return account


@pytest.mark.parametrize(("state", "stays"), (("open", True), ("desk", True), ("closed", False)))
async def test_files_of_a_conversation_that_goes_on_stay(house: House, state: str, stays: bool) -> None:
    """A request that lies with the desk for ten days would have lost its picture when somebody comes to it."""
    data, account = picture(), await mailbox(house.world)
    file = await house.bring(data, "message:1")
    async with house.world.db.work(house.world.org) as work:
        draft = await draft_rows.begin(
            work, account, peer="ann", thread="", reference="r", locale="en", facts=Facts()
        )
        await files.to_draft(work, [file], draft.id)
        await work.execute("update intake_draft set state = $1", state)
    await house.age()
    await house.sweep()
    assert await house.has(data) is stays


async def test_mails_go_after_their_time_and_do_not_come_back(house: House) -> None:
    """A mailbox that is restored from a copy would fill the store again with mails whose time is over."""
    world = house.world
    account = await mailbox(world)
    key = mail_key(world.org, hashlib.sha256(MAIL).digest())
    changed = MAIL + b" and the list's footer"
    for data in (MAIL, MAIL, changed):
        await mail_intake.take_mail(world.db, house.storage, world.org, account, data)
    await house.forget()
    assert await house.storage.has(key)
    assert not await house.storage.has(mail_key(world.org, hashlib.sha256(changed).digest()))
    await world.fetch("update intake_message set at = at - interval '91 days' returning 1")
    await house.sweep()
    assert not await house.storage.has(key)
    again = await mail_intake.take_mail(world.db, house.storage, world.org, account, MAIL)
    assert not again.new
    await house.forget()
    assert not await house.storage.has(key)


async def test_what_an_earlier_release_owed_is_done(house: House) -> None:
    """Mails that were about to be forgotten when a new release was started would stay for ever."""
    key = mail_key(house.world.org, hashlib.sha256(MAIL).digest())
    await house.storage.put(key, MAIL)
    async with house.world.db.work(house.world.org) as work:
        owed = outbox.Message(
            channel="intake.forget", stream="forget:1", dedupe_key="forget:1", payload={"keys": [key]}
        )
        await outbox.send(work, owed)
    await house.forget()
    assert not await house.storage.has(key)
