"""The demo's day at a small size, against real `callout serve` processes: nothing is lost, doubled or different."""

import io
import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from rich.console import Console

from callout_backend.app import create_app
from callout_backend.demo import compare, copies, main
from callout_backend.demo.crew import Made
from callout_backend.demo.noise import skew_of
from callout_backend.house import DEMO_FILE
from callout_backend.settings import Settings
from callout_client import Store
from callout_client.store import PageItem
from callout_dispatch.arrivals import tracking
from callout_store.ids import new_id
from callout_store.work import Database

pytestmark = pytest.mark.slow

ORDERS, ENGINEERS, SPEED = 60, 4, 4000.0


class Played:
    """One run of the demo, and where it left its things."""

    def __init__(self, settings: Settings, code: int, told: dict[str, Any], said: str) -> None:
        self.settings, self.code, self.told, self.said = settings, code, told, said
        self.org_id = UUID(told["organisation"]["id"])


@pytest.fixture(scope="module")
async def played(settings: Settings, scale: int, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The demo, played once for this file."""
    own = replace(settings, public_url=None, data=tmp_path_factory.mktemp("demo"), secret=None)
    out, said = own.data / "figures.json", io.StringIO()
    code = await main(
        own,
        seed=5,
        orders=ORDERS * scale,
        engineers=ENGINEERS * scale,
        speed=max(SPEED / scale, 1000.0),
        json=out,
        console=Console(file=said, width=100),
    )
    return Played(own, code, json.loads(out.read_text("utf-8")), said.getvalue())


@pytest.fixture(scope="module")
async def same(played: Played, settings: Settings) -> AsyncIterator[Database]:
    """The database that the demo was played on."""
    db = Database(str(settings.database_url))
    await db.start()
    yield db
    await db.stop()


def test_nothing_was_lost_doubled_or_different(played: Played) -> None:
    """The main promise to people in the field: what the phone took down, the office has, once."""
    told = played.told
    assert (told["lost"], told["doubled"], told["mismatched"]) == (0, 0, 0), told["copies"]["samples"]
    assert played.code == 0
    commands = told["commands"]
    assert commands["events"] + commands["edits"] + commands["quarantined"] == commands["made"]


def test_the_day_really_happened(played: Played, scale: int) -> None:
    """A day without work, faults or conflicts would prove nothing by its zeroes."""
    told = played.told
    assert told["orders_imported"] == ORDERS * scale
    assert told["engineers"] == ENGINEERS * scale
    assert told["planned"]["assigned"] >= 10
    assert told["commands"]["made"] >= 80
    assert told["copies"]["documents"] >= 200
    assert {"accepted", "travelling", "arrived", "diagnosed", "completed", "customer_signed", "left"} <= set(
        told["events"]
    )
    assert told["visits"]["completed"] >= 5
    assert told["commands"]["edits"] > 0
    assert sum(told["pictures"].values()) > 0
    assert sum(told["network"].values()) > 0
    assert told["office"]["ordered by customers"] == told["office"]["sent twice, taken once"] > 0
    assert told["storm"]["documents_per_s"] > 0
    assert told["clocks"]["phone_off_max_s"] > 1
    assert sum(told["sla_missed"].values()) > 0


def test_the_day_was_planned_and_led(played: Played) -> None:
    """A demo of dispatching that plans nothing, asks nobody and learns nothing would convince no dispatcher."""
    told = played.told
    plan = told["plan"]
    assert plan["planner"] in ("vroom", "inserter")
    assert plan["taken"] > 0
    assert plan["new"] + plan["moved"] > 0
    assert told["planned"]["assigned"] + told["planned"]["unassigned"] == told["planned"]["considered"]
    assert told["positions"]["stored"] > 0
    assert told["learned"]["ways"] > 0
    assert sum(n for what, n in told["office"].items() if what.startswith("red lanes")) > 0
    assert "promises late or at risk" in " ".join(played.said.split())


async def test_the_city_has_territories_rules_and_breaks(played: Played, same: Database) -> None:
    """What a dispatcher would have set up first must be there: else the planner shows what it can do without rules."""
    async with same.work(played.org_id) as work:
        row = await work.fetchrow(
            """
            select (select count(*) from territory where polygon is not null) as outlined,
                   (select count(*) from site where territory_id is not null) as placed,
                   (select count(*) from site) as sites,
                   (select count(*) from shift_break) as breaks,
                   (select policy_version from dispatch_setting) as policy
            """
        )
    assert row is not None
    assert row["outlined"] > 3
    assert row["placed"] > 0.9 * row["sites"]
    # Of the day that was played, and of the week after it.
    assert (row["breaks"], row["policy"]) == (8 * played.told["engineers"], 1)


def test_rows_that_are_no_orders_are_told(played: Played) -> None:
    """A silent drop is a customer who waits for nobody."""
    assert played.told["file"] == {"rows": 10_000, "usable": 5_736, "rejected": {"point: null_island": 4_264}}
    lines = (played.settings.data / "demo" / "rejected.csv").read_text("utf-8").splitlines()
    assert len(lines) == 4_265
    assert "4264" in played.said


async def test_the_box_has_what_a_newcomer_needs(played: Played, same: Database) -> None:
    """Without logins and links that show something the newcomer looks at a sign-in form, or at "expired", and leaves."""
    box = json.loads((played.settings.data / DEMO_FILE).read_text("utf-8"))
    assert [login["login"].split("@")[0] for login in box["logins"]] == [
        "dispatcher",
        "supervisor",
        "agent",
        "director",
        "purchasing",
        "e01",
        "e02",
    ]
    urls = [link["url"] for link in box["links"]]
    assert all(link["name"]["en"] and link["name"]["zh"] for link in box["links"])
    assert sum(url.startswith("callout://enrol?") for url in urls) == 2
    # A day this short may end with everything signed, or with nobody on the road.
    async with same.work(played.org_id) as work:
        unsigned, live = await work.fetchrow(
            """
            select bool_or(state = 'completed' and signed_at is null), bool_or(ended_at is null and plan <> 'canceled')
            from visit where org_id = callout_org()
            """
        )
        assert sum(url.startswith(played.settings.base_url + "/s/") for url in urls) == unsigned
        tokens = [url.rpartition("/t/")[2] for url in urls if "/t/" in url]
        assert len(tokens) == live
        for token in tokens:
            seen, _ = await tracking.look(work, token)
            assert seen.stage in ("waiting", "planned", "travelling", "on_site")


async def test_the_links_of_the_service_desk_lead_somewhere(played: Played) -> None:
    """A line of the box that ends in "not found", or a key that opens nothing, is the newcomer's first impression."""
    box = json.loads((played.settings.data / DEMO_FILE).read_text("utf-8"))
    urls = [link["url"] for link in box["links"]]
    key = next(url for url in urls if url.startswith("ck_"))
    own = replace(played.settings, secret=None)
    app = create_app(own)
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url=own.base_url) as client,
    ):
        paths = [url.removeprefix(own.base_url) for url in urls if url.startswith(own.base_url)]
        assert {"/desk", "/hotline", f"/r/{box['organisation']}", "/sink", "/v1/docs"} <= {
            path.partition("?")[0] for path in paths
        }
        for path in paths:
            assert (await client.get(path)).status_code == 200, path
        orders = await client.get("/v1/orders", params={"channel": "chat"}, headers={"X-Api-Key": key})
        assert (orders.status_code, len(orders.json()["items"])) == (200, 2)
    drawing = next(url for url in urls if url.startswith("file:"))
    assert "<svg" in Path(drawing.removeprefix("file://")).read_text("utf-8")


def test_the_desk_had_its_hours(played: Played) -> None:
    """A service desk that takes in nothing, asks nobody and refuses nobody shows a newcomer an empty page."""
    desk = played.told["desk"]
    assert {
        "by hotline",
        "by web form",
        "by chat",
        "by mail",
        "by public API",
        "by sheet",
        "rows refused by a dry run",
        "sent twice, taken once",
        "duplicates linked",
        "solved by an answer",
        "answer did not help, now P1",
        "paused for the customer",
        "deadlines moved",
        "turned over to the fallback",
        "taken over",
        "surveys answered",
    } <= set(desk)
    assert played.told["desk_refused"].get("BAD_FIELD") == 1  # "cannot reproduce", without a picture


async def test_every_order_stands_where_its_flow_says(played: Played, same: Database) -> None:
    """Orders of the past that wait at their first step would bury the desk; open ones without a step would be forgotten."""
    async with same.work(played.org_id) as work:
        rows = await work.fetch(
            """
            select o.number, o.state, o.archived_at is not null as archived, o.duplicate_of_id is not null as double,
                   (select array_agg(s.step) from order_step s
                    where s.org_id = o.org_id and s.order_id = o.id and s.state in ('open', 'waiting')) as steps
            from work_order o where o.org_id = callout_org()
            """
        )
        channels = await work.fetchval(
            "select count(distinct channel) from work_order where org_id = callout_org() and archived_at is null"
        )
        asked = await work.fetchval(
            "select count(*) from todo where org_id = callout_org() and kind = 'flow.late'"
        )
    for row in rows:
        over = row["archived"] or row["double"] or row["state"] == "canceled"
        assert len(row["steps"] or []) == (0 if over else 1), dict(row)
    past = [row for row in rows if row["archived"]]
    assert len(past) >= 10
    assert channels >= 5
    assert asked == 0  # nothing was declared late because it was played by a fast clock


async def test_a_second_run_shows_the_first(played: Played, scale: int) -> None:
    """`make run` would play the day again at every start, and fill the database with copies of it."""
    began = datetime.now(UTC)
    code = await main(
        played.settings,
        seed=5,
        orders=ORDERS * scale,
        engineers=ENGINEERS * scale,
        speed=max(SPEED / scale, 1000.0),
        json=played.settings.data / "again.json",
        console=Console(file=io.StringIO()),
    )
    assert code == 0
    assert json.loads((played.settings.data / "again.json").read_text("utf-8")) == played.told
    assert datetime.now(UTC) - began < timedelta(seconds=10)


async def test_the_comparison_finds_a_lost_a_stale_and_a_ghost_document(
    played: Played, same: Database
) -> None:
    """A comparison that always says "equal" would hide a broken feed behind the demo's zeroes."""
    async with same.work(played.org_id) as work:
        engineer_id = await work.fetchval(
            "select engineer_id from visit where plan = 'dispatched' and engineer_id is not null limit 1"
        )
        device_id = await work.fetchval(
            "select d.id from device d join engineer e on e.user_id = d.user_id where e.id = $1", engineer_id
        )
        rows = await work.fetch(
            "select body from sync_feed where op = 'U' and scope_id = any($1)",
            [engineer_id, played.org_id, device_id],
        )
    store = Store()
    items = [msgspec.json.decode(row["body"], type=PageItem) for row in rows]
    store.apply_page(items, cursor="c", epoch="e", last=True)

    async def compared() -> copies.Copies:
        held = copies.Held(engineer_id=engineer_id, device_id=device_id, documents=store.documents())
        return await copies.compare_copies(same, played.org_id, [held])

    whole = await compared()
    assert (whole.mismatched, whole.documents) == (0, len(items))

    visits = [item for item in items if item.entity == "visit"]
    site = next(item for item in items if item.entity == "site")
    broken = [
        PageItem("visit", visits[0].id, "delete"),
        PageItem("site", site.id, "upsert", msgspec.Raw(b'{"id":"' + site.id.encode() + b'"}')),
        PageItem("contact", str(uuid4()), "upsert", msgspec.Raw(b"{}")),
    ]
    store.apply_page(broken, cursor="c", epoch="e", last=True)
    found = await compared()
    assert (found.lost, found.stale, found.extra) == (1, 1, 1)
    assert len(found.samples) == 3


async def test_the_comparison_finds_a_lost_command(played: Played, same: Database) -> None:
    """A command that is nowhere must count as lost, and an event that no phone made must be noticed."""
    ghost = Made(id=str(new_id()), kind="visit.note", at=datetime.now(UTC))
    found = await compare.compare_commands(same, played.org_id, [ghost])
    assert (found.made, found.lost, found.doubled) == (1, 1, 0)
    assert found.from_nowhere == played.told["commands"]["events"]


def test_clocks_are_wrong_by_minutes_and_by_years() -> None:
    """If no phone's clock were wrong, the correction would go untested."""
    rng = random.Random(1)
    skews = [abs(skew_of(rng)) for _ in range(200)]
    assert max(skews) > timedelta(days=300)
    assert sum(skew < timedelta(minutes=3) for skew in skews) > 80
