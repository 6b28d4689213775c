"""Imports whose workers die: taken up again, or failed where everybody can see it; never `running` for ever."""

from typing import Any
from uuid import UUID

import pytest
from public_api import csv_bytes, headers_of, public_client, work_off
from worlds import World

from callout_backend.jobs.drain import drain
from callout_backend.jobs.imports import watch_import
from callout_backend.wiring import add_hooks
from callout_orders.imports import runs
from callout_store import timers
from callout_store.ids import new_id
from callout_store.work import Database

ROWS = [
    ["reference", "description", "name", "phone", "address", "type"],
    *(
        [f"R-{n}", f"Pump {n} leaks", f"N {n}", f"+1415555{n:04d}", f"{n} Main St", "general"]
        for n in range(4)
    ),
]


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build(phones=0)


async def begun(world: World) -> UUID:
    headers = await headers_of(world)
    async with public_client(world.db) as client:
        sent = await client.post(
            "/v1/imports", content=csv_bytes(ROWS), params={"dryRun": "false"}, headers=headers
        )
    return UUID(sent.json()["id"])


async def dies(world: World, id_: UUID) -> runs.Run | None:
    """A worker takes it up and is heard of no more."""
    return await world.db.run(world.org, lambda work: runs.take_up(work, id_, new_id()))


async def state(world: World, id_: UUID) -> tuple[str, str | None]:
    [row] = await world.fetch("select state, fault from import_run where id = $1", id_)
    return row["state"], row["fault"]


async def looked_after(world: World, id_: UUID) -> None:
    """Ten minutes pass, and the worker looks."""
    await world.fetch(
        "update timer set due_at = now() - interval '1 second' where key = $1 and state = 'armed'",
        runs.watch_key(id_),
    )
    await timers.fire_due(world.db)
    await drain(world.db, {runs.WATCH_CHANNEL: watch_import}, only=True)


async def test_a_sheet_that_kills_every_worker_fails_and_says_so(world: World) -> None:
    """The one who uploaded it would look at `running` for weeks, and no further import could be started beside five such."""
    id_ = await begun(world)
    for _ in range(runs.STALLED_MAX):
        assert await dies(world, id_) is not None
        assert (await state(world, id_))[0] == "running"
    assert await dies(world, id_) is None
    assert await state(world, id_) == ("failed", runs.DIED)
    fault = "select data ->> 'fault' from journal where kind = 'import.failed' and entity_id = $1"
    assert await world.value(fault, id_) == runs.DIED
    assert await world.value("select state from timer where key = $1", runs.watch_key(id_)) == "canceled"


async def test_workers_that_get_on_may_die_as_often_as_they_like(world: World, monkeypatch: Any) -> None:
    """A large sheet on a machine that is deployed to ten times a day must come to its end."""
    monkeypatch.setattr(runs, "STALLED_MAX", 2)
    id_ = await begun(world)
    for n in range(3):
        assert await dies(world, id_) is not None
        await world.fetch("update import_run set rows_ok = $2 where id = $1", id_, n + 1)
    assert await dies(world, id_) is not None
    assert (await state(world, id_))[0] == "running"


@pytest.mark.parametrize("given_up", ("dead", "done"))
async def test_what_nobody_has_in_hand_any_more_is_taken_up_again(world: World, given_up: str) -> None:
    """Its message was given up after the last worker's death; nothing else would ever look at the sheet again."""
    id_ = await begun(world)
    await dies(world, id_)
    await world.fetch("update outbox set state = $2 where channel = $1", runs.CHANNEL, given_up)
    await work_off(world.db)
    assert (await state(world, id_))[0] == "running"
    await looked_after(world, id_)
    await work_off(world.db)
    assert (await state(world, id_))[0] == "done"
    assert await world.value("select count(*) from work_order") == 4


async def test_what_somebody_has_in_hand_is_left_alone(world: World) -> None:
    """Two workers on one sheet would wait for each other's rows all night."""
    id_ = await begun(world)
    await looked_after(world, id_)
    owed = "select count(*) from outbox where channel = $1 and org_id = callout_org()"
    assert await world.value(owed, runs.CHANNEL) == 1
    # And it is looked at again.
    assert await world.value("select state from timer where key = $1", runs.watch_key(id_)) == "armed"
    await work_off(world.db)
    assert (await state(world, id_))[0] == "done"
