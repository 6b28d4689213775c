"""The pull of every day, in one round trip: it answers as the one in a unit of work does, and shows nobody else's rows."""

from typing import Any

import msgspec
import pytest
from worlds import Phone, World

from callout_backend.wiring import add_hooks
from callout_contracts import SCHEMA_VERSION
from callout_dispatch import reassign
from callout_store.errors import DeviceRevoked, DeviceWiped, ResyncRequired
from callout_store.glance import glance
from callout_store.work import Actor, Database
from callout_sync import cursor as cursors
from callout_sync.pull import PullPage, pull
from callout_sync.pull_quick import LOOK, quick


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build()


async def slowly(phone: Phone, cursor: str, limit: int, schema: int) -> PullPage:
    async with phone.world.db.work(phone.world.org, actor=phone.actor) as work:
        return await pull(work, cursor=cursor, limit=limit, schema_version=schema)


async def quickly(
    phone: Phone, cursor: str, limit: int = 500, schema: int = SCHEMA_VERSION
) -> PullPage | None:
    return await quick(
        phone.world.db,
        phone.world.org,
        phone.actor,
        cursor=cursor,
        limit=limit,
        schema_version=schema,
        app_version=None,
    )


def told(page: PullPage) -> tuple[Any, ...]:
    """What of a page does not depend on the moment; of the cursor all but the horizon, which moves by itself."""
    assert page.cursor
    return (
        msgspec.json.decode(page.documents),
        page.count,
        page.more,
        page.epoch,
        page.total,
        page.budget_warning,
    )


@pytest.mark.parametrize("schema", (1, SCHEMA_VERSION))
@pytest.mark.parametrize("limit", (1, 2, 500))
async def test_same_pages(world: World, schema: int, limit: int) -> None:
    """Page by page, deletes among them, both ways give the same: else phones would lose rows only when all is well."""
    phone, other = world.phones
    phone.schema_version = schema
    visits = [await world.visit(phone) for _ in range(3)]
    await phone.pull()
    await phone.pull()  # it came back: that its first pull arrived is written down by now
    started = phone.cursor
    assert started is not None
    for visit in visits[:2]:
        await phone.push(phone.command("visit.note", visit, {"text": "here"}))
    for visit, to in ((visits[0], other), (visits[1], other), (visits[1], phone)):
        assert to.engineer_id is not None
        async with world.db.work(world.org, actor=world.dispatcher) as work:
            await reassign.reassign(work, visit, to.engineer_id, override=True, reason="closer")
    cursor, kinds, pages = started, set[str](), 0
    while True:
        page, same = await quickly(phone, cursor, limit, schema), await slowly(phone, cursor, limit, schema)
        assert page is not None, "the everyday pull took the long way"
        assert told(page) == told(same)
        kinds |= {item["op"] for item in msgspec.json.decode(page.documents)}
        pages += 1
        if not page.more:
            break
        assert page.cursor == same.cursor
        cursor = page.cursor
    assert kinds == {"upsert", "delete"}
    assert pages > 1 or limit == 500


async def test_out_of_the_ordinary(world: World) -> None:
    """A refusal, a wipe and a phone that was long silent are not for the quick way: it would leave out what they need."""
    phone = world.phones[0]
    await world.visit(phone)
    await phone.pull()
    await phone.pull()
    cursor = phone.cursor
    assert cursor is not None
    assert await quickly(phone, cursor) is not None
    assert await quickly(phone, "no cursor") is None
    assert await quickly(world.phones[1], cursor) is None
    ahead = msgspec.structs.replace(cursors.parse(cursor), xid=2**40).encode()
    assert await quickly(phone, ahead) is None, "a place that lies ahead of the feed"
    assert await quickly(phone, cursor, schema=1) is None, "an older app over a newer one's copy"
    for change, back, fault in (
        ("wipe_mode = 'after_upload'", "wipe_mode = null", None),
        ("wipe_mode = 'stolen'", "wipe_mode = null", DeviceWiped),
        ("revoked_at = now()", "revoked_at = null", DeviceRevoked),
        ("pulled_at = now() - interval '2 minutes'", "pulled_at = now()", None),
        ("withheld_from = '3'", "withheld_from = null", None),
    ):
        await world.value(f"update device set {change} where id = $1 returning 1", phone.device_id)
        assert await quickly(phone, cursor) is None, change
        if fault is not None:
            with pytest.raises(fault):
                await slowly(phone, cursor, 500, SCHEMA_VERSION)
        await world.value(f"update device set {back} where id = $1 returning 1", phone.device_id)
        assert await quickly(phone, cursor) is not None, back


async def test_purged(world: World) -> None:
    """A phone that may lack deletes which were forgotten starts again, also when it asks the quick way."""
    phone = world.phones[0]
    await world.visit(phone)
    await phone.pull()
    await phone.pull()
    cursor = phone.cursor
    assert cursor is not None
    at = cursors.parse(cursor)
    await world.value(
        "insert into sync_purge (purged_through, purged_at) values ($1::text::xid8, now()) returning 1",
        str(at.xid),
    )
    assert await quickly(phone, cursor) is None
    with pytest.raises(ResyncRequired):
        await slowly(phone, cursor, 500, SCHEMA_VERSION)


async def test_tenancy(db: Database, world: World) -> None:
    """Whatever ids are asked with, a look finds rows of its organisation alone, and leaves none open behind it: a
    neighbour's jobs on a phone would end the trust of both."""
    neighbours = await World(db).build()
    phone, theirs = world.phones[0], neighbours.phones[0]
    for of, its in ((world, phone), (neighbours, theirs)):
        await of.visit(its)
        await its.pull()
        await its.pull()
        await of.visit(its)

    async def look(org: Any, actor: Actor) -> Any:
        return await glance(
            db, LOOK, org, actor.device_id, actor.user_id, "0", "", cursors.NIL, "0", 500, None
        )

    # Often enough that PostgreSQL has settled on a plan for all callers.
    for _ in range(8):
        own, other = await look(world.org, phone.actor), await look(neighbours.org, theirs.actor)
        assert await look(world.org, theirs.actor) is None
        assert await look(neighbours.org, phone.actor) is None
        assert await db.pool.fetchval("select callout_org()") is None
        assert await db.pool.fetchval("select count(*) from sync_feed") == 0
    mine, others = (
        {i["id"] for i in msgspec.json.decode(b"[" + r["documents"] + b"]")} for r in (own, other)
    )
    assert mine
    assert others
    held = await world.fetch("select row_id from sync_feed where op = 'U'")
    assert mine <= {str(row["row_id"]) for row in held}
    assert not mine & others
