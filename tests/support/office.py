"""What the office does to a `World` while phones are away, and what it then has on its table."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
from worlds import Phone, World

from callout_dispatch import reassign
from callout_orders import customers
from callout_orders.customers import NewPart
from callout_sync import edits


async def desk_edit(world: World, entity: str, id: UUID, **changes: Any) -> None:
    """The dispatcher writes fields (as on the wire), having seen the record as it is."""
    revision = await world.value(
        f"select revision from {entity} where org_id = callout_org() and id = $1", id
    )
    await world.db.run(
        world.org,
        lambda work: edits.apply_at_desk(
            work, entity=entity, id=id, base_revision=revision, changes=dict(changes)
        ),
        actor=world.dispatcher,
    )


async def give_to(world: World, visit: UUID, phone: Phone) -> None:
    """The dispatcher gives a visit to another engineer."""
    revision = await world.value("select revision from visit where org_id = callout_org() and id = $1", visit)
    await world.db.run(
        world.org,
        lambda work: reassign.reassign(
            work,
            visit_id=visit,
            engineer_id=phone.engineer_id,
            revision=revision,
            override=True,
            reason="test",
        ),
        actor=world.dispatcher,
    )


async def parts(world: World, count: int, prefix: str) -> None:
    """So many parts of the catalogue, in one transaction."""
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await customers.create_parts(
            work, [NewPart(code=f"{prefix}-{n}", name=f"Part {n}") for n in range(count)]
        )


async def quarantined(world: World) -> list[str]:
    """Codes of what waits for a person, in the order in which it came."""
    rows = await world.fetch(
        "select code from quarantine where org_id = callout_org() and category = 'quarantined' order by id"
    )
    return [row["code"] for row in rows]


async def cards(world: World) -> list[tuple[str, Any, Any]]:
    """Open conflicts: field, what stands, what lost."""
    rows = await world.fetch(
        """
        select field, kept #>> '{}' as kept, lost #>> '{}' as lost from field_conflict
        where org_id = callout_org() and state = 'open' order by id
        """
    )
    return [(row["field"], row["kept"], row["lost"]) for row in rows]


async def purge(world: World) -> None:
    """Every delete written so far is gone, as after `tombstone_days`."""
    async with world.db.work(world.org) as work:
        await work.execute(
            """
            insert into sync_purge (purged_through, purged_at) values (pg_current_xact_id(), now())
            on conflict (org_id) do update set purged_through = pg_current_xact_id()
            """
        )
        await work.execute("delete from sync_feed where org_id = callout_org() and op = 'D'")


async def new_epoch(admin_url: str) -> None:
    """The database was restored from a backup: transactions are counted from another number on."""
    conn = await asyncpg.connect(admin_url)
    try:
        await conn.execute("update sync_epoch set epoch = gen_random_uuid()")
    finally:
        await conn.close()


async def until(world: World, sql: str, *args: Any) -> None:
    """Wait until a statement says true; fails after half a minute."""
    async with asyncio.timeout(30):
        while not await world.value(sql, *args):  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.02)


async def held_in_feed(world: World, phone: Phone, entity: str) -> set[str]:
    """Ids of what a phone should hold, by the database."""
    rows = await world.fetch(
        """
        select row_id from sync_feed
        where org_id = callout_org() and op = 'U' and entity = $2 and scope_id = any($1)
        """,
        [world.org, phone.engineer_id, phone.device_id],
        entity,
    )
    return {str(row["row_id"]) for row in rows}
