"""The reference phone on the real API: what it records arrives, and what the office does reaches it."""

import asyncio
import io
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from graph import application
from PIL import Image
from worlds import World

from callout_backend.settings import Settings
from callout_client import DeviceClock, DeviceWiped, HttpTransport, Phone, Refused, Store
from callout_contracts.documents import SINCE
from callout_dispatch import reassign
from callout_people import organisations
from callout_store.work import Database
from callout_sync import devices, wipe

WITHIN_S = 15.0


class House:
    """An API in this process and an organisation on it."""

    def __init__(self, client: httpx.AsyncClient, world: World, slug: str) -> None:
        self.client, self.world, self.slug = client, world, slug

    async def enrolled(self, path: Path | str = ":memory:", number: int = 0, **options: Any) -> Phone:
        user = self.world.phones[number].actor.user_id
        assert user is not None
        async with self.world.db.work(self.world.org, actor=self.world.dispatcher) as work:
            made = await devices.create_enrolment_code(work, user)
        phone = self.phone(path, **options)
        await phone.enrol(organisation=self.slug, code=made.code, name="phone")
        return phone

    def phone(self, path: Path | str = ":memory:", **options: Any) -> Phone:
        async def sleep(seconds: float) -> None:
            await asyncio.sleep(0)

        given = {"rng": random.Random(time.monotonic_ns()), "sleep": sleep, **options}
        return Phone(HttpTransport(self.client), Store(path), DeviceClock(), **given)

    async def until(self, phone: Phone, true: Callable[[], bool]) -> None:
        """Sync until it is so: what commits is shown when all older transactions have ended."""
        end = time.monotonic() + WITHIN_S
        while not true():
            assert time.monotonic() < end, "it never came"
            await phone.sync()


@pytest.fixture
async def house(settings: Settings, db: Database) -> AsyncIterator[House]:
    async with application(settings, db) as (_, client):
        world = await World(db).build()
        async with db.work(world.org) as work:
            slug = (await organisations.organisation(work)).slug
        yield House(client, world, slug)


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((64, 48), random.uniform(20, 90)).convert("RGB").save(out, "JPEG")
    return out.getvalue()


async def test_a_day_arrives_and_comes_back(house: House) -> None:
    """Work, an edit and a photo that the office never sees are an afternoon for nothing."""
    world = house.world
    visit = str(await world.visit(world.phones[0]))
    phone = await house.enrolled(piece_bytes=300)
    await house.until(phone, lambda: phone.store.get("visit", visit) is not None)
    phone.record("visit.accept", visit)
    phone.record("visit.arrive", visit)
    edit = phone.edit("site", str(world.site), changes={"accessNote": "Ring twice"}, visit_id=visit)
    photo = phone.take_photo(visit, jpeg(), caption="The pump")
    await phone.sync()
    assert phone.store.waiting() == (0, None)
    assert phone.store.pictures.pending() == []

    def told() -> bool:
        attachment = phone.store.get("attachment", str(photo)) or {}
        site = phone.store.get("site", str(world.site)) or {}
        return (
            attachment.get("state") in ("received", "ready")
            and site.get("accessNote") == "Ring twice"
            and site.get("revision") == 2
            and phone.store.visits()[0]["state"] == "in_progress"
        )

    await house.until(phone, told)
    assert phone.store.fate(str(edit)).status == "applied"
    assert phone.store.mark("stamp")
    row = (await world.fetch("select * from device where id = $1", UUID(phone.store.mark("device"))))[0]
    assert (row["schema_version"], row["pending"], row["settled_sequence"]) == (2, 0, 4)
    assert row["storage_used_bytes"] > 0


async def test_parts_that_are_missing_are_named_offline_and_come_back_with_the_order(house: House) -> None:
    """An engineer in a cellar names a part of the copy and one that is not in it: both must reach whoever buys parts, and
    the next phone that goes there must know of the first."""
    one, two = await house.enrolled(), await house.enrolled(number=1)
    order = await house.world.order()
    visit = str(await house.world.visit(house.world.phones[0], order))
    await house.until(one, lambda: one.store.get("visit", visit) is not None)
    seal = str(house.world.part)
    await house.until(one, lambda: one.store.get("part", seal) is not None)
    one.miss_parts(visit, {seal: 2}, text="worn", leaving=False)
    one.miss_parts(visit, {seal: 2, "PLATE-7": 1}, text="no seals left")
    await house.until(one, lambda: one.store.waiting()[0] == 0)
    rows = await house.world.fetch(
        """
        select r.note, l.part_id, l.quantity from requisition r
        left join requisition_line l on l.org_id = r.org_id and l.requisition_id = r.id
        where r.order_id = $1 order by r.number
        """,
        order,
    )
    assert [(row["part_id"], row["quantity"]) for row in rows] == [(house.world.part, 2), (None, None)]
    assert "PLATE-7 × 1" in rows[1]["note"]
    await house.world.visit(house.world.phones[1], order)
    await house.until(two, lambda: two.store.get("work_order", str(order)) is not None)
    shown = two.store.get("work_order", str(order))
    assert shown is not None
    assert shown["parts"] == [{"partId": seal, "quantity": 2}]


async def test_an_old_app_gets_what_it_knows_and_after_its_upgrade_the_rest(
    house: House, tmp_path: Path
) -> None:
    """An upgraded app that skipped the new collections would never show what came before its upgrade."""
    world = house.world
    visit = str(await world.visit(world.phones[0]))
    old = await house.enrolled(tmp_path / "p.db", schema_version=1, app_version="1.0.0")
    await house.until(old, lambda: old.store.get("visit", visit) is not None)
    id_ = old.record("visit.teleport", visit)
    await old.push()
    await old.pull()
    assert not {entity for entity, _, _ in old.store.documents()} & set(SINCE)
    cursor = old.store.mark("cursor")
    old.store.close()
    new = house.phone(tmp_path / "p.db")
    assert new.store.mark("cursor") == cursor
    await house.until(new, lambda: new.store.fate(str(id_)).status == "quarantined")


async def test_reassigned_while_offline_the_work_counts_and_the_visit_leaves_after_it(house: House) -> None:
    """The engineer stands on the site with half of the work done, and the app forgets where that is."""
    world = house.world
    visit = await world.visit(world.phones[0])
    phone = await house.enrolled()
    await house.until(phone, lambda: phone.store.get("visit", str(visit)) is not None)
    note = phone.record("visit.note", str(visit), {"text": "done offline"})
    await world.db.run(
        world.org,
        lambda work: reassign.reassign(
            work, visit_id=visit, engineer_id=world.phones[1].engineer_id, override=True, reason="t"
        ),
        actor=world.dispatcher,
    )
    await phone.pull()
    assert phone.store.get("visit", str(visit)) is not None
    assert phone.store.get("site", str(world.site)) is not None
    await phone.push()
    await house.until(phone, lambda: phone.store.get("visit", str(visit)) is None)
    await house.until(phone, lambda: phone.store.fate(str(note)).status == "conflict")
    assert phone.store.fate(str(note)).code == "REASSIGNED"
    assert await world.value("select count(*) from visit_event where id = $1", note) == 1


async def test_wiped_after_its_work_has_arrived(house: House) -> None:
    """A phone handed on would show the last engineer's customers; or their last work would be gone."""
    world = house.world
    visit = str(await world.visit(world.phones[0]))
    phone = await house.enrolled()
    told: list[str] = []
    phone.told = told.append
    await house.until(phone, lambda: phone.store.get("visit", visit) is not None)
    photo = phone.take_photo(visit, jpeg())
    device = UUID(phone.store.mark("device"))
    await world.db.run(
        world.org,
        lambda work: wipe.request_wipe(work, device, wipe.WipeMode.AFTER_UPLOAD, "handed on"),
        actor=world.dispatcher,
    )
    await phone.sync()
    assert told == ["WIPED"]
    assert phone.store.documents() == []
    assert phone.store.mark("access") is None
    assert await world.value("select wiped_at is not null from device where id = $1", device)
    assert await world.value("select state from attachment where id = $1", photo) in ("received", "ready")


async def test_a_stolen_phone_forgets_at_once(house: House) -> None:
    """The thief would read customers' names for as long as the app stays open."""
    world = house.world
    visit = str(await world.visit(world.phones[0]))
    phone = await house.enrolled()
    await house.until(phone, lambda: phone.store.get("visit", visit) is not None)
    phone.record("visit.note", visit, {"text": "never sent"})
    device = UUID(phone.store.mark("device"))
    await world.db.run(
        world.org,
        lambda work: wipe.request_wipe(work, device, wipe.WipeMode.STOLEN, "stolen"),
        actor=world.dispatcher,
    )
    with pytest.raises(DeviceWiped):
        await phone.sync()
    assert phone.store.documents() == []
    assert phone.store.waiting() == (0, None)
    assert await world.value("select wiped_at is not null from device where id = $1", device)


async def test_an_app_that_is_too_old_hands_in_its_work(house: House) -> None:
    """The organisation demands a newer app: until it is there, the day's work must not rot on the phones."""
    world = house.world
    visit = str(await world.visit(world.phones[0]))
    phone = await house.enrolled(app_version="2.0.0")
    told: list[str] = []
    phone.told = told.append
    await house.until(phone, lambda: phone.store.get("visit", visit) is not None)
    async with world.db.work(world.org) as work:
        await work.execute("update organisation set app_version_min = '3.0'")
    note = phone.record("visit.note", visit, {"text": "x"})
    photo = phone.take_photo(visit, jpeg())
    await phone.sync()
    assert told == ["UPGRADE_REQUIRED"]
    assert await world.value("select count(*) from visit_event where id = any($1)", [note, photo]) == 2
    assert await world.value("select state from attachment where id = $1", photo) in ("received", "ready")
    await phone.sync()
    assert told == ["UPGRADE_REQUIRED"]
    with pytest.raises(Refused, match="UPGRADE_REQUIRED"):
        await phone.pull()


async def test_two_phones_that_edit_one_field_both_hear_of_it(house: House) -> None:
    """The one who lost would go on believing that the next engineer finds the key."""
    world = house.world
    visit = await world.visit(world.phones[0])
    first, second = await house.enrolled(), await house.enrolled()
    for phone in (first, second):
        await house.until(phone, lambda phone=phone: phone.store.get("site", str(world.site)) is not None)
    first.edit("site", str(world.site), changes={"accessNote": "Key in the kiosk"}, visit_id=str(visit))
    lost = second.edit("site", str(world.site), changes={"accessNote": "Key is gone"}, visit_id=str(visit))
    await first.sync()
    (answer,) = await second.push()
    assert (answer.status, answer.code) == ("conflict", "FIELD_CONFLICT")
    await house.until(second, lambda: second.store.fate(str(lost)).code == "FIELD_CONFLICT")
    (kept,) = await world.fetch("select kept::text as kept, lost::text as lost from field_conflict")
    assert {kept["kept"], kept["lost"]} == {'"Key in the kiosk"', '"Key is gone"'}
    for phone in (first, second):

        def agreed(phone: Phone = phone) -> bool:
            site = phone.store.get("site", str(world.site)) or {}
            return f'"{site.get("accessNote")}"' == kept["kept"]

        await house.until(phone, agreed)
