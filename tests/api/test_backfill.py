"""Apps of different ages: each is sent what it understands, and all of it once it has learnt more."""

import base64
from typing import Any

import msgspec
import pytest
from worlds import Phone, World

from callout_backend.wiring import add_hooks
from callout_contracts import SCHEMA_VERSION
from callout_contracts.documents import SINCE
from callout_orders import forms
from callout_orders.knowledge import articles
from callout_people import organisations
from callout_store.errors import DeviceWiped, ResyncRequired, UpgradeRequired
from callout_store.work import Database
from callout_sync.pull import PullPage, pull, version_of

NEW = {entity for entity, since in SINCE.items() if since > 1}


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    world = await World(db).build()
    await write_articles(world, 7)
    async with db.work(world.org, actor=world.dispatcher) as work:
        form = forms.NewForm(
            code="checks", title_en="Checks", title_zh="检查", schema={"type": "object", "properties": {}}
        )
        await forms.save_form(work, form)
    visit = await world.visit(world.phones[0])
    await world.phones[0].push(world.phones[0].command("visit.complete", visit))
    await world.visit(world.phones[0])
    return world


async def write_articles(world: World, count: int) -> None:
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        for n in range(count):
            await articles.save_article(work, articles.ArticleText(title=f"A{n}", body="Read me."))


async def page(world: World, phone: Phone, limit: int, **more: Any) -> PullPage:
    """One page; the phone's cursor and copy follow."""
    async with world.db.work(world.org, actor=phone.actor) as work:
        found = await pull(
            work, cursor=phone.cursor, limit=limit, **({"schema_version": phone.schema_version} | more)
        )
    for item in msgspec.json.decode(found.documents):
        phone.keep(item)
    phone.cursor = found.cursor
    return found


def entities(phone: Phone) -> set[str]:
    return {item["entity"] for item in phone.copy.values()}


async def test_an_old_app_is_sent_nothing_that_it_does_not_know(world: World) -> None:
    """An app from before articles existed would crash on one, or drop it and never ask again."""
    phone = world.phones[0]
    phone.schema_version = 1
    await phone.pull(limit=3)
    assert entities(phone) & NEW == set()
    assert {"visit", "event", "part"} <= entities(phone)


async def test_who_does_not_say_its_version_is_of_the_first(world: World) -> None:
    """Apps that shipped before versions were said must go on as they were."""
    async with world.db.work(world.org, actor=world.phones[0].actor) as work:
        found = await pull(work, cursor=None, limit=500)
    assert {item["entity"] for item in msgspec.json.decode(found.documents)} & NEW == set()


@pytest.mark.parametrize("limit", (1, 3, 500))
async def test_an_app_that_learnt_more_is_sent_what_it_missed(world: World, limit: int) -> None:
    """The phone skipped articles for a year; after its update it must have them all, not only those edited since."""
    phone, fresh = world.phones[0], Phone(world, *_ids(world.phones[0]))
    phone.schema_version = 1
    await phone.pull()
    phone.schema_version = SCHEMA_VERSION
    await phone.pull(limit=limit)
    await fresh.pull()
    assert phone.copy == fresh.copy
    assert entities(phone) >= {"article", "form", "history"}
    assert await phone.pull() == []


async def test_pages_of_catching_up_are_full_while_more_remains(world: World) -> None:
    """A client that others wrote takes a page that is not full for the last one, and would stop half-way."""
    phone = world.phones[0]
    phone.schema_version = 1
    await phone.pull()
    await write_articles(world, 4)
    phone.schema_version = SCHEMA_VERSION
    counts, totals, more = [], [], True
    while more:
        found = await page(world, phone, 2)
        counts.append(found.count)
        totals.append(found.total)
        more = found.more
    assert all(count == 2 for count in counts[:-1])
    held = sum(item["entity"] in NEW for item in phone.copy.values())
    # What changed since the cursor comes as news after it, and is not counted among what was missed.
    assert totals == [held - 4, *[None] * (len(totals) - 1)]


async def test_a_row_that_changes_while_catching_up(world: World) -> None:
    """An article that is edited or retired between two pages must end as it stands, not as it stood."""
    phone = world.phones[0]
    phone.schema_version = 1
    await phone.pull()
    phone.schema_version = SCHEMA_VERSION
    await page(world, phone, 2)
    sent = sorted(phone.held("article"))
    ids = [row["id"] for row in await world.fetch("select id from article order by id")]
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        for id_ in (*sent[:1], ids[-1]):
            await articles.retire_article(work, id_)
        await articles.save_article(work, articles.ArticleText(title="New", body="x"), id_=ids[2])
    await phone.pull(limit=2)
    fresh = Phone(world, *_ids(phone))
    await fresh.pull()
    assert phone.copy == fresh.copy
    assert phone.copy[str(ids[2])]["doc"]["title"] == "New"


async def test_catching_up_is_resumed_after_a_cut(world: World) -> None:
    """A page that never arrived is sent again, and nothing is left out: only one page is lost to a dead spot."""
    phone = world.phones[0]
    phone.schema_version = 1
    await phone.pull()
    phone.schema_version = SCHEMA_VERSION
    await page(world, phone, 3)
    before, copy = phone.cursor, dict(phone.copy)
    lost = await page(world, phone, 3)
    phone.cursor, phone.copy = before, copy
    again = await page(world, phone, 3)
    assert again.documents == lost.documents
    await phone.pull(limit=3)
    fresh = Phone(world, *_ids(phone))
    await fresh.pull()
    assert phone.copy == fresh.copy


async def test_an_older_app_over_a_newer_ones_copy_starts_again(world: World) -> None:
    """It would never be told of what leaves among entities that it cannot name: those rows would stay for ever."""
    phone = world.phones[0]
    await phone.pull()
    phone.schema_version = 1
    with pytest.raises(ResyncRequired):
        await phone.pull()


async def test_a_cursor_of_before_the_upgrade_of_the_server(world: World) -> None:
    """Phones in the field hold cursors of the first version: they go on from there, without a new first pull."""
    phone = world.phones[0]
    phone.schema_version = 1
    await phone.pull()
    assert phone.cursor is not None
    fields = msgspec.msgpack.decode(base64.urlsafe_b64decode(phone.cursor + "=="))
    fields[0] = 1
    phone.cursor = base64.urlsafe_b64encode(msgspec.msgpack.encode(fields[:8])).rstrip(b"=").decode()
    assert await phone.pull() == []
    await world.visit(phone)
    assert {item["entity"] for item in await phone.pull()} >= {"visit", "work_order"}


async def test_a_schema_that_is_no_longer_spoken(world: World) -> None:
    """The app must be told to upgrade, and with which version, instead of being sent what it misreads."""
    async with world.db.work(world.org, actor=world.phones[0].actor) as work:
        with pytest.raises(UpgradeRequired) as told:
            await pull(work, cursor=None, limit=10, schema_version=0)
    assert told.value.details["needed"] == "schema 1"


@pytest.mark.parametrize(
    ("given", "refused"),
    (
        ("2.9.9", True),
        ("2.10", False),
        ("2.10.0", False),
        ("v2.9", True),
        ("3", False),
        # A version that cannot be read is no reason to lock an engineer out.
        ("nightly", False),
    ),
)
async def test_an_app_below_the_organisations_oldest(world: World, given: str, refused: bool) -> None:
    """2.9 is older than 2.10, whatever the letters say; its uploads still land, which push's tests show."""
    async with world.db.work(world.org) as work:
        await organisations.configure_phones(work, organisations.Phones(app_version_min="2.10"))
    phone = world.phones[0]
    if refused:
        with pytest.raises(UpgradeRequired):
            await page(world, phone, 10, app_version=given)
    else:
        await page(world, phone, 10, app_version=given)


def test_dotted_versions_compare_as_numbers() -> None:
    """Letters would put 2.10 before 2.9 and lock out everybody who is up to date."""
    assert version_of("2.10") > version_of("2.9") > version_of("2") == version_of("2.0.0")
    assert version_of("v1.2-beta3") == (1, 2)
    assert version_of("") == version_of("x") == ()


async def test_a_phone_that_shall_forget_everything(world: World) -> None:
    """It is asked with an empty page, so that it sends its work first; a stolen one is shown nothing at all."""
    phone = world.phones[0]
    await phone.pull()
    async with world.db.work(world.org) as work:
        await work.execute("update device set wipe_mode = 'after_upload' where id = $1", phone.device_id)
    await world.visit(phone)
    found = await page(world, phone, 10)
    assert (found.wipe, found.count, found.more) == (True, 0, False)
    async with world.db.work(world.org) as work:
        await work.execute("update device set wipe_mode = 'stolen' where id = $1", phone.device_id)
    with pytest.raises(DeviceWiped):
        await phone.pull()


async def test_a_copy_over_budget_is_said(world: World) -> None:
    """A phone that grows without bound slows its engineer down; the office learns of it before the engineer does."""
    phone = world.phones[0]
    assert not (await page(world, phone, 500)).budget_warning
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await organisations.configure_phones(work, organisations.Phones(budget_mb=1))
        for n in range(60):
            text = articles.ArticleText(title=f"Long {n}", body="x" * 20_000)
            await articles.save_article(work, text)
    phone.cursor, phone.copy = None, {}
    await phone.pull()
    assert (await page(world, phone, 5)).budget_warning, "said when the first pull has arrived"
    assert (await page(world, phone, 5)).budget_warning, "and from then on"
    assert await world.value("select copy_bytes from device where id = $1", phone.device_id) > 1024 * 1024


def _ids(phone: Phone) -> tuple[Any, Any, Any]:
    return phone.actor.user_id, phone.engineer_id, phone.device_id
