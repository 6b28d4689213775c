"""Positions: taken from phones on shift, forgotten otherwise, and read by nobody who should not."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from graph import Graph, application, someone, token_of
from worlds import SITE, Phone, World

from callout_backend.doors import positions as door
from callout_backend.jobs.handlers import sweep_scopes
from callout_backend.settings import Settings
from callout_contracts.limits import POSITION_FIXES_MAX
from callout_dispatch import engineers
from callout_dispatch.engineer_terms import NewAbsence, NewShift
from callout_dispatch.places import place_settings, positions
from callout_dispatch.places.positions import NewFix
from callout_geo.china import from_wgs84
from callout_geo.points import Point
from callout_people.principals import Role
from callout_people.throttle import Limit
from callout_store.errors import BadField
from callout_store.ids import new_id
from callout_store.outbox import Claimed
from callout_store.work import Database

NOW = datetime.now(UTC).replace(microsecond=0)
"""The world's engineers work from two hours ago for 22 hours."""


@pytest.fixture
async def app(settings: Settings, db: Database) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    async with application(settings, db) as made:
        yield made


@pytest.fixture
async def world(app: Any, db: Database) -> World:
    return await World(db).build()


async def caller(app: Any, world: World, phone: Phone | None = None, role: Role | None = None) -> Graph:
    """A phone's session, or that of the dispatcher or a further user."""
    application_, client = app
    user = phone.actor.user_id if phone else world.dispatcher.user_id
    if role is not None:
        user = await someone(world, role)
    assert user is not None
    device = phone.device_id if phone else None
    return Graph(client, await token_of(world.db, application_.state.issuer, world.org, user, device))


def fix(minutes_ago: float = 0, north: float = 0.0, **more: Any) -> dict[str, Any]:
    at = NOW - timedelta(minutes=minutes_ago)
    return {"at": at.isoformat(), "lat": SITE[0] + north, "lng": SITE[1], "accuracyM": 8.0, **more}


async def tell(graph: Graph, *fixes: Any, **more: Any) -> httpx.Response:
    return await graph.client.post(
        "/v1/positions", json={"fixes": list(fixes), **more}, headers=graph.headers()
    )


async def told(graph: Graph, *fixes: Any, **more: Any) -> dict[str, Any]:
    answer = await tell(graph, *fixes, **more)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def stored(world: World) -> list[Any]:
    return await world.fetch("select * from position_fix order by engineer_id, at")


# ------------------------------------------------------------------------------------------------ taking


async def test_a_batch_is_stored_once_and_moves_the_engineer(app: Any, world: World) -> None:
    """A phone that got no answer sends the batch again: the day's distance must not double, and the pick must know where
    the engineer is now."""
    phone = world.phones[0]
    graph = await caller(app, world, phone)
    batch = [fix(10, 0.01), fix(5, 0.02, speed=12.5), fix(0, 0.03)]
    assert await told(graph, *batch) == {"stored": 3, "repeated": 0, "offShift": 0, "refused": []}
    assert await told(graph, *batch) == {"stored": 0, "repeated": 3, "offShift": 0, "refused": []}
    rows = await stored(world)
    assert [row["speed_m_per_s"] for row in rows] == [None, 12.5, None]
    assert {row["device_id"] for row in rows} == {phone.device_id}
    [engineer] = await world.fetch(
        "select last_lat, last_position_at from engineer where id = $1", phone.engineer_id
    )
    assert engineer["last_lat"] == pytest.approx(SITE[0] + 0.03)
    # What was kept through a tunnel comes late: it completes the track and moves nobody back.
    assert (await told(graph, fix(7, 0.5)))["stored"] == 1
    [engineer] = await world.fetch(
        "select last_lat, last_position_at from engineer where id = $1", phone.engineer_id
    )
    assert engineer["last_lat"] == pytest.approx(SITE[0] + 0.03)
    assert await world.value("select count(*) from journal where kind like '%position%'") == 0


async def test_the_same_batch_at_once_is_stored_once(app: Any, world: World) -> None:
    """A phone whose first try hangs in a proxy tries again at once: both arrive, on two processes."""
    graph = await caller(app, world, world.phones[0])
    batch = [fix(n) for n in range(20)]
    answers = await asyncio.gather(*(told(graph, *batch) for _ in range(4)))
    assert sum(one["stored"] for one in answers) == 20
    assert sum(one["repeated"] for one in answers) == 60
    assert len(await stored(world)) == 20


async def test_off_shift_is_nobodys_business(app: Any, world: World) -> None:
    """Where somebody is at night, on a Sunday or at the doctor's must not be in the employer's database; the phone learns
    that it told too much."""
    phone = world.phones[0]
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await engineers.set_shifts(
            work,
            [
                NewShift(
                    engineer_id=phone.engineer_id,
                    starts_at=NOW - timedelta(hours=4),
                    ends_at=NOW - timedelta(hours=1),
                )
            ],
        )
        await engineers.set_absence(
            work,
            NewAbsence(
                engineer_id=phone.engineer_id,
                starts_at=NOW - timedelta(hours=3),
                ends_at=NOW - timedelta(hours=2),
            ),
        )
    graph = await caller(app, world, phone)
    minutes = [300, 256, 254, 200, 180, 121, 120, 90, 46, 44, 10, 0]
    answer = await told(graph, *(fix(n) for n in minutes))
    kept = [254, 200, 120, 90, 46]  # the margin is 15 minutes; within the absence nothing is kept
    assert answer == {"stored": len(kept), "repeated": 0, "offShift": len(minutes) - len(kept), "refused": []}
    assert sorted(row["at"] for row in await stored(world)) == [NOW - timedelta(minutes=n) for n in kept]
    async with world.db.work(world.org) as work:
        await place_settings.configure(work, position_margin_minutes=0)
    assert (await told(graph, fix(241), fix(59)))["offShift"] == 2


async def test_one_bad_fix_does_not_cost_the_others(app: Any, world: World) -> None:
    """GPS chips say 0/0 indoors and phones say tomorrow: the rest of the batch is good."""
    graph = await caller(app, world, world.phones[0])
    bad = [
        ({"lat": 0.0, "lng": 0.0}, "POSITION_NULL_ISLAND", "fixes.1.point"),
        ({"lat": 91.0}, "POSITION_OUT_OF_RANGE", "fixes.2.lat"),
        ({"at": (NOW + timedelta(hours=1)).isoformat()}, "POSITION_FUTURE", "fixes.3.at"),
        ({"at": (NOW - timedelta(days=31)).isoformat()}, "POSITION_OLD", "fixes.4.at"),
        ({"at": "0001-01-01T00:00:00Z"}, "POSITION_YEARS", "fixes.5.at"),
        ({"datum": "nad27"}, "POSITION_DATUM", "fixes.6.datum"),
        ({"accuracyM": -1}, "POSITION_ACCURACY", "fixes.7.accuracyM"),
        ({"speed": -3}, "POSITION_SPEED", "fixes.8.speed"),
    ]
    answer = await told(graph, fix(9), *(fix(n, **{**change}) for n, (change, _, _) in enumerate(bad)))
    assert answer["stored"] == 1
    assert [(one["index"], one["code"], one["path"]) for one in answer["refused"]] == [
        (n, code, path) for n, (_, code, path) in enumerate(bad, start=1)
    ]
    assert len({one["message"] for one in answer["refused"]}) == len(bad)
    graph.client.headers["accept-language"] = "zh"
    chinese = await told(graph, fix(0, lat=0.0, lng=0.0))
    assert "定位" in chinese["refused"][0]["message"]


async def test_what_is_no_batch_is_refused_whole(app: Any, world: World) -> None:
    """A client's fault is told as such, with the field, and stores nothing."""
    graph = await caller(app, world, world.phones[0])
    many = await tell(graph, *(fix(n / 60) for n in range(POSITION_FIXES_MAX + 1)))
    assert (many.status_code, many.json()["code"]) == (422, "LIMIT_EXCEEDED")
    assert many.json()["path"] == "fixes"
    for body, status, code in (
        (b'{"fixes": [{"at": "2026-03-04T09:00:00Z", "lat": NaN, "lng": 1}]}', 400, "BAD_BODY"),
        (b'{"fixes": [{"at": "2026-03-04T09:00:00", "lat": 1, "lng": 1}]}', 422, "BAD_FIELD"),
        (b'{"fixes": [{"at": "2026-03-04T09:00:00Z", "lat": "1", "lng": 1}]}', 422, "BAD_FIELD"),
        (b'{"fixes": [{"at": "2026-03-04T09:00:00Z", "lat": 1, "lng": 1, "x": 1}]}', 422, "BAD_FIELD"),
        (b"[]", 400, "BAD_BODY"),
        (b'{"fixes": [' + b" " * door.BODY_BYTES_MAX + b"]}", 413, "BODY_TOO_LARGE"),
    ):
        answer = await graph.client.post(
            "/v1/positions", content=body, headers=graph.headers(**{"Content-Type": "application/json"})
        )
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert await stored(world) == []
    assert await told(graph) == {"stored": 0, "repeated": 0, "offShift": 0, "refused": []}


async def test_a_wrong_clock_is_mended_by_when_it_sent(app: Any, world: World) -> None:
    """A phone that is a day ahead would have every position refused, or be on shift when it was not."""
    graph = await caller(app, world, world.phones[0])
    ahead = timedelta(days=1)
    moved = fix(5)
    moved["at"] = (NOW - timedelta(minutes=5) + ahead).isoformat()
    sent = datetime.now(UTC) + ahead
    assert (await told(graph, moved, sentAt=sent.isoformat()))["stored"] == 1
    [row] = await stored(world)
    assert abs(row["at"] - (NOW - timedelta(minutes=5))) < timedelta(seconds=60)
    wild = await tell(graph, fix(1), sentAt="0001-01-01T00:00:00Z")
    assert (wild.status_code, wild.json()["path"]) == (422, "sentAt")


async def test_chinese_phones_tell_chinese_degrees(app: Any, world: World) -> None:
    """Stored as they come they lie half a kilometre beside the road."""
    there = Point(31.2304, 121.4737)
    graph = await caller(app, world, world.phones[0])
    batch = []
    for n, datum in enumerate(("gcj02", "bd09", "wgs84")):
        shown = from_wgs84(there, datum)
        batch.append(fix(n, lat=shown.lat, lng=shown.lng, datum=datum))
    assert (await told(graph, *batch))["stored"] == 3
    for row in await stored(world):
        assert (row["lat"], row["lng"]) == pytest.approx((there.lat, there.lng), abs=1e-6)


async def test_a_made_up_place_is_kept_as_such_and_moves_nobody(app: Any, world: World) -> None:
    """Whoever forges a position shows in the track's figures and is not sent to the job next door."""
    phone = world.phones[0]
    graph = await caller(app, world, phone)
    assert (await told(graph, fix(1, 0.4, mock=True)))["stored"] == 1
    [row] = await stored(world)
    assert row["mock"]
    assert await world.value("select last_lat from engineer where id = $1", phone.engineer_id) is None


async def test_only_an_engineers_phone_tells(app: Any, world: World) -> None:
    """A dispatcher's browser must not place people, nor a session without a phone."""
    for graph, code in (
        (await caller(app, world), "DEVICE_REQUIRED"),
        (Graph(app[1]), "NOT_AUTHENTICATED"),
    ):
        answer = await tell(graph, fix())
        assert answer.json()["code"] == code
    supervisor = await someone(world, Role.SUPERVISOR)
    device = new_id()
    async with world.db.work(world.org) as work:
        await work.execute(
            "insert into device (id, user_id, name, enrolled_at) values ($1, $2, 'phone', $3)",
            device,
            supervisor,
            work.now,
        )
    graph = Graph(app[1], await token_of(world.db, app[0].state.issuer, world.org, supervisor, device))
    assert (await tell(graph, fix())).json()["code"] == "NOT_ALLOWED"


async def test_a_phone_that_floods_is_told_to_wait(
    app: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop in an app must not fill the database for everybody; others are not held up by it."""
    monkeypatch.setattr(door, "BATCHES", Limit(2, 3600))
    first, second = await caller(app, world, world.phones[0]), await caller(app, world, world.phones[1])
    for _ in range(2):
        await told(first, fix())
    answer = await tell(first, fix())
    assert (answer.status_code, answer.json()["code"]) == (429, "TOO_MANY_REQUESTS")
    assert answer.json()["retryAfterMs"] > 0
    assert (await told(second, fix()))["stored"] == 1


# ------------------------------------------------------------------------------------------------ reading

LIVE = "{ livePositions { nodes { id lat ageS } } }"
TRACK = """
query($e: UUID!, $s: DateTime!, $u: DateTime!) {
  engineerTrack(engineerId: $e, start: $s, end: $u) {
    metres measuredMetres fixes dropped stops { start end lat } gaps { metres } line { at lat lng }
  }
}
"""


def window(phone: Phone, hours: float = 3) -> dict[str, str]:
    return {
        "e": str(phone.engineer_id),
        "s": (NOW - timedelta(hours=hours)).isoformat(),
        "u": (NOW + timedelta(minutes=1)).isoformat(),
    }


async def test_the_office_sees_who_works_now(app: Any, world: World) -> None:
    """The map shows the people on shift with how old each point is; who has gone home is off it, with the last place too."""
    first, second = world.phones
    office = await caller(app, world)
    await told(await caller(app, world, first), fix(2, 0.01))
    await told(await caller(app, world, second), fix(2, 0.02))
    live = (await office.ask(LIVE))["livePositions"]["nodes"]
    assert {one["id"] for one in live} == {str(phone.engineer_id) for phone in world.phones}
    assert all(one["ageS"] >= 119 for one in live)
    async with world.db.work(world.org) as work:
        await work.execute("update engineer set last_lat = null, last_lng = null, last_position_at = null")
    live = (await office.ask(LIVE))["livePositions"]["nodes"]
    # Not a place that is 0 seconds old.
    assert [(one["lat"], one["ageS"]) for one in live] == [(None, None)] * 2
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await engineers.set_absence(
            work,
            NewAbsence(
                engineer_id=second.engineer_id,
                starts_at=NOW - timedelta(minutes=1),
                ends_at=NOW + timedelta(hours=9),
            ),
        )
    live = (await office.ask(LIVE))["livePositions"]["nodes"]
    assert [one["id"] for one in live] == [str(first.engineer_id)]


async def test_a_place_from_before_the_shift_is_not_shown(app: Any, world: World) -> None:
    """Yesterday evening's last point is where somebody lives."""
    phone = world.phones[0]
    async with world.db.work(world.org) as work:
        await work.execute(
            "update engineer set last_lat = 1, last_lng = 1, last_position_at = $2 where id = $1",
            phone.engineer_id,
            NOW - timedelta(hours=10),
        )
    live = (await (await caller(app, world)).ask(LIVE))["livePositions"]["nodes"]
    shown = {one["id"]: one["lat"] for one in live}
    assert shown[str(phone.engineer_id)] is None


async def test_a_track_tells_metres_stops_and_a_line(app: Any, world: World) -> None:
    """Mileage is paid by it: driven, standing and guessed must be told apart, and a forged point must not be a mile."""
    phone = world.phones[0]
    graph = await caller(app, world, phone)
    # An hour ago: a kilometre north in ten minutes, five minutes standing, then one jump there and back.
    going = [fix(60 - n, n * 0.0009) for n in range(11)]
    standing = [fix(49 - n, 0.009) for n in range(6)]
    forged = [fix(40, 3.0, mock=True)]
    await told(graph, *going, *standing, *forged)
    track = (await (await caller(app, world)).ask(TRACK, window(phone)))["engineerTrack"]
    assert track["metres"] == pytest.approx(1000, rel=0.05)
    assert (track["fixes"], track["dropped"], track["gaps"]) == (18, 1, [])
    assert [one["lat"] for one in track["stops"]] == [pytest.approx(SITE[0] + 0.009, abs=1e-4)]
    assert len(track["line"]) == 2  # straight, so that two points draw it
    none = (await (await caller(app, world)).ask(TRACK, window(world.phones[1])))["engineerTrack"]
    assert (none["metres"], none["line"], none["fixes"]) == (0, [], 0)


async def test_engineers_see_themselves_and_nobody_else(app: Any, world: World, db: Database) -> None:
    """A colleague's day is not a colleague's business, a customer's even less, another company's least of all."""
    first, second = world.phones
    await told(await caller(app, world, first), fix(2))
    await told(await caller(app, world, second), fix(2))
    graph = await caller(app, world, first)
    assert (await graph.ask(TRACK, window(first)))["engineerTrack"]["fixes"] == 1
    assert [one["id"] for one in (await graph.ask(LIVE))["livePositions"]["nodes"]] == [
        str(first.engineer_id)
    ]
    assert (await graph.refused(TRACK, window(second)))["code"] == "NOT_FOUND"
    customer = await caller(app, world, role=Role.CUSTOMER_CONTACT)
    assert (await customer.refused(LIVE))["code"] == "NOT_ALLOWED"
    assert (await customer.refused(TRACK, window(first)))["code"] == "NOT_ALLOWED"
    supervisor = await caller(app, world, role=Role.SUPERVISOR)
    assert (await supervisor.ask(TRACK, window(second)))["engineerTrack"]["fixes"] == 1
    other = await World(db).build()
    stranger = await caller(app, other)
    assert (await stranger.refused(TRACK, window(first)))["code"] == "NOT_FOUND"
    seen = (await stranger.ask(LIVE))["livePositions"]["nodes"]
    assert not {one["id"] for one in seen} & {str(phone.engineer_id) for phone in world.phones}


async def test_a_track_has_bounds(app: Any, world: World) -> None:
    """A year at once would hold a process for minutes."""
    office = await caller(app, world)
    phone = world.phones[0]
    long = await office.refused(TRACK, window(phone, hours=25))
    assert (long["code"], long["path"]) == ("BAD_FIELD", "end")
    early = await office.refused(TRACK, {**window(phone), "u": (NOW - timedelta(hours=4)).isoformat()})
    assert early["path"] == "end"


# ------------------------------------------------------------------------------------------------ forgetting


async def test_positions_are_forgotten_in_time(
    app: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The organisation promised its people a number of days; the sweep keeps the promise, the last known place included."""
    monkeypatch.setattr(positions, "PURGE_MAX", 2)
    phone = world.phones[0]
    await told(await caller(app, world, phone), *(fix(n) for n in range(5)))
    async with world.db.work(world.org) as work:
        await place_settings.configure(work, position_days=2)
        await work.execute("update position_fix set at = at - interval '50 hours' where at < $1", NOW)
        await work.execute(
            "update engineer set last_position_at = $2 where id = $1",
            phone.engineer_id,
            NOW - timedelta(hours=49),
        )
    await sweep_scopes(
        world.db,
        Claimed(
            org_id=world.org,
            id=new_id(),
            channel="scope.sweep",
            stream="s",
            dedupe_key="d",
            payload={"timerEpoch": 0},
            attempt=1,
            lease_token=new_id(),
            started_at=NOW,
        ),
    )
    assert [row["at"] for row in await stored(world)] == [NOW]
    assert await world.value("select last_lat from engineer where id = $1", phone.engineer_id) is None


@pytest.mark.parametrize(
    ("change", "path"),
    (
        ({"position_days": 0}, "positionDays"),
        ({"position_days": 401}, "positionDays"),
        ({"position_margin_minutes": -1}, "positionMarginMinutes"),
        ({"travel_provider": "horse"}, "travelProvider"),
        ({}, "positionDays"),
    ),
)
async def test_settings_are_held_to_their_ranges(world: World, change: dict[str, Any], path: str) -> None:
    """To keep them for ever is not on offer."""
    with pytest.raises(BadField) as caught:
        async with world.db.work(world.org) as work:
            await place_settings.configure(work, **change)
    assert caught.value.path == path


def test_fractions_of_a_second_are_one_fix() -> None:
    """A chip that tells ten times a second would fill the table ten times as fast, for the same map."""
    at = NOW.replace(microsecond=0)
    good, refused = positions.checked(
        [NewFix(at=at + timedelta(milliseconds=100 * n), lat=1, lng=1) for n in range(10)], NOW
    )
    assert set(good.at) == {at}
    assert refused == []
