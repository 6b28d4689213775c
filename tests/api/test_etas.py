"""Expected arrivals against the database: what makes them anew, what is stored, and which messages are owed."""

import asyncio
from contextvars import Context
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from depots import NINE, Depot
from etas import HANDLERS, eta, let_timers_fire, lines, tell
from routing_server import OsrmServer, seconds_of

from callout_backend.jobs.drain import drain
from callout_dispatch import assign
from callout_dispatch.arrivals import etas
from callout_dispatch.places import place_settings
from callout_dispatch.places.providers import Providers, register
from callout_geo.routing.over_http import Manners
from callout_store.clock import ManualClock


@pytest.fixture
async def depot(depot: Depot) -> Depot:
    await let_timers_fire(depot)
    return depot


async def given(depot: Depot, order: UUID, engineer: UUID, at: datetime) -> UUID:
    async with depot.work() as work:
        return await assign.assign(work, order, engineer, at)


async def test_a_departure_moves_every_later_arrival(
    depot: Depot, standing: tuple[Depot, ManualClock]
) -> None:
    """The engineer sets out an hour late: both customers of the day hear of it, once, and nobody's visit is touched."""
    db, clock = depot.db, standing[1]
    (engineer,) = await depot.crew(0)
    first, second = await depot.order(km=7), await depot.order(km=14)
    one = await given(depot, first, engineer, NINE + timedelta(minutes=60))
    two = await given(depot, second, engineer, NINE + timedelta(minutes=180))
    assert await drain(db, HANDLERS) >= 1
    assert (await eta(depot, one))["eta"] == NINE + timedelta(minutes=60)
    assert (await eta(depot, two))["told_at"] is None
    before = await depot.visit(two)
    clock.set(NINE + timedelta(minutes=150))
    await tell(depot, engineer, one, "travelling", clock.now())
    assert await drain(db, HANDLERS) >= 1
    here, there = await eta(depot, one), await eta(depot, two)
    assert here["because"] == "departed"
    assert here["eta"] > NINE + timedelta(minutes=160)
    assert there["eta"] > here["eta"] + timedelta(minutes=60)
    assert {row["visit_id"] for row in await lines(depot, "visit.eta_told")} == {one, two}
    assert (await depot.visit(two))["revision"] == before["revision"]
    # A second look at the same day says nothing new.
    async with depot.work() as work:
        await work.execute(
            "update timer set state = 'armed', due_at = now(), epoch = epoch + 1 where channel = 'eta'"
        )
    assert await drain(db, HANDLERS) >= 1
    assert len(await lines(depot, "visit.eta_told")) == 2


async def test_a_departure_during_a_look_is_looked_at(
    depot: Depot, standing: tuple[Depot, ManualClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sets out in the moment in which the day is being followed would be on the customer's page five minutes later."""
    db, clock = depot.db, standing[1]
    (engineer,) = await depot.crew(0)
    visit = await given(depot, await depot.order(km=7), engineer, NINE + timedelta(minutes=60))
    clock.set(NINE + timedelta(minutes=90))
    store, reports = etas.store, ["travelling"]

    async def stored(*told: Any) -> list[UUID]:
        if reports:
            telling = tell(depot, engineer, visit, reports.pop(), clock.now())
            await asyncio.create_task(telling, context=Context())  # a transaction of its own
        return await store(*told)

    monkeypatch.setattr(etas, "store", stored)
    for _ in range(2):
        await drain(db, HANDLERS)
    assert not reports
    assert (await eta(depot, visit))["because"] == "departed"


async def test_a_window_that_will_be_missed_is_told_once(
    depot: Depot, standing: tuple[Depot, ManualClock]
) -> None:
    """The customer took the morning off: that nobody comes in it is said as soon as it is known, and not every minute."""
    db, clock = depot.db, standing[1]
    (engineer,) = await depot.crew(0)
    order = await depot.order(km=7)
    visit = await given(depot, order, engineer, NINE + timedelta(minutes=60))
    async with depot.work() as work:
        await work.execute(
            "update work_order set requested_from = $2, requested_until = $3 where id = $1",
            order,
            NINE,
            NINE + timedelta(minutes=65),
        )
    await drain(db, HANDLERS)
    for late in (66, 70, 75):
        clock.set(NINE + timedelta(minutes=late))
        async with depot.work() as work:
            await work.execute(
                "update timer set state = 'armed', due_at = now(), epoch = epoch + 1 where channel = 'eta'"
            )
        await drain(db, HANDLERS)
    (line,) = await lines(depot, "visit.window_missed")
    assert line["visit_id"] == visit
    assert '"zh"' in line["data"]
    assert '"en"' in line["data"]
    assert (await eta(depot, visit))["missed_at"] == NINE + timedelta(minutes=66)


async def test_the_next_look_is_set_and_ends_with_the_day(
    depot: Depot, standing: tuple[Depot, ManualClock]
) -> None:
    """Five minutes without a phone's word must not freeze the customer's page; a day without visits must not tick on."""
    db = depot.db
    (engineer,) = await depot.crew(0)
    visit = await given(depot, await depot.order(km=3), engineer, NINE + timedelta(minutes=30))
    await drain(db, HANDLERS)
    timer = await depot.row(
        "select state, due_at > now() + interval '4 minutes' as later from timer where channel = 'eta'"
    )
    assert (timer["state"], timer["later"]) == ("armed", True)
    async with depot.work() as work:
        await assign.cancel_visit(work, visit, "not needed")
    await drain(db, HANDLERS)
    timer = await depot.row("select state from timer where channel = 'eta'")
    assert timer["state"] == "fired"


async def test_a_position_under_way_brings_the_arrival_nearer(
    depot: Depot, standing: tuple[Depot, ManualClock]
) -> None:
    """The customer's minutes count down with the van and not with the plan."""
    db, clock = depot.db, standing[1]
    (engineer,) = await depot.crew(0)
    visit = await given(depot, await depot.order(km=20), engineer, NINE + timedelta(minutes=90))
    await tell(depot, engineer, visit, "travelling", NINE)
    await drain(db, HANDLERS)
    whole = (await eta(depot, visit))["eta"]
    clock.set(NINE + timedelta(minutes=5))
    await depot.at(engineer, 15)
    async with depot.work() as work:
        await work.execute(
            "update timer set state = 'armed', due_at = now(), epoch = epoch + 1 where channel = 'eta'"
        )
    await drain(db, HANDLERS)
    assert (await eta(depot, visit))["eta"] < whole - timedelta(minutes=20)


async def test_the_way_is_asked_of_the_routing_service_and_estimated_without_it(
    depot: Depot, standing: tuple[Depot, ManualClock]
) -> None:
    """A mountain between two valleys: as the crow flies the customer would be promised half the time it takes; and a
    service that is down must not leave the customer without any."""
    db = depot.db
    (engineer,) = await depot.crew(0)
    visit = await given(depot, await depot.order(km=20), engineer, NINE + timedelta(minutes=90))
    async with OsrmServer() as osrm:
        register(db, Providers(osrm_url=osrm.url, manners=Manners(timeout_s=1.0, total_s=5.0, attempts=1)))
        async with depot.work() as work:
            await place_settings.configure(work, travel_provider="osrm")
        await tell(depot, engineer, visit, "travelling", NINE)
        await drain(db, HANDLERS)
        routed = await eta(depot, visit)
        site = await depot.row("select lat, lng from site")
        home = await depot.row("select home_lat as lat, home_lng as lng from engineer")
        way_s = seconds_of((home["lat"], home["lng"]), (site["lat"], site["lng"]))
    assert routed["provider"] == "osrm"
    assert abs((routed["eta"] - NINE).total_seconds() - way_s) < 1.5
    async with depot.work() as work:
        await work.execute("delete from leg_cache where org_id = callout_org()")
        await work.execute(
            "update timer set state = 'armed', due_at = now(), epoch = epoch + 1 where channel = 'eta'"
        )
    await drain(db, HANDLERS)
    estimated = await eta(depot, visit)
    assert estimated["provider"] == "estimate"
    assert estimated["eta"] != routed["eta"]
