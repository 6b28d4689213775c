"""Engineers: skills, shifts, absences, positions, online state, and what is refused, on a real database."""

import math
from datetime import datetime, timedelta
from typing import Any

import pytest
from depots import LAT, LNG, NINE, Depot

from callout_dispatch import engineers, reading
from callout_dispatch.engineers import NewAbsence, NewEngineer, NewShift, NewSkill, NewTerritory, Position
from callout_store.clock import ManualClock
from callout_store.errors import AlreadyExists, BadField, LimitExceeded, NotFound, PointInvalid
from callout_store.ids import new_id

HOUR = timedelta(hours=1)


async def test_an_engineer_is_read_back_whole(depot: Depot) -> None:
    """What the board and the API show of an engineer is what the dispatcher typed in."""
    [user] = await depot.users(1)
    async with depot.work() as work:
        [north] = await engineers.create_territories(work, [NewTerritory(code="N", name="North")])
        id_ = await engineers.create_engineer(
            work,
            NewEngineer(
                user_id=user,
                name=" Li Wei ",
                home_lat=LAT,
                home_lng=LNG,
                territory_id=north,
                skills={"lift": 5},
            ),
        )
        await engineers.set_shifts(work, [NewShift(engineer_id=id_, starts_at=NINE, ends_at=NINE + 8 * HOUR)])
        [one] = await reading.engineers_by_ids(work, [id_])
        [by_user] = await reading.engineers_by_user_ids(work, [user])
        [levels] = await reading.skills_by_engineer_ids(work, [id_])
        [shifts] = await reading.shifts_by_engineer_ids(work, [id_], NINE, NINE + HOUR)
        entries = await work.fetch("select kind from journal where entity_id = $1 order by kind", id_)
    assert one is not None
    assert (one.name, one.territory_id, one.home_lat, one.online) == ("Li Wei", north, LAT, False)
    assert by_user == one
    assert [(level.skill, level.level) for level in levels] == [("lift", 5)]
    assert [(shift.starts_at, shift.ends_at) for shift in shifts] == [(NINE, NINE + 8 * HOUR)]
    assert [row["kind"] for row in entries] == ["engineer.created", "engineer.shifts_set"]


@pytest.mark.parametrize(
    ("change", "refusal", "path"),
    (
        ({"skills": {"hvca": 2}}, BadField, "engineers.0.skills.hvca"),  # a misspelt skill would never match
        ({"skills": {"hvac": 0}}, BadField, "engineers.0.skills.hvac"),
        ({"skills": {"hvac": 6}}, BadField, "engineers.0.skills.hvac"),
        ({"skills": {"hvac": True}}, BadField, "engineers.0.skills.hvac"),
        ({"home_lat": 91.0}, PointInvalid, "engineers.0.home.lat"),
        ({"home_lng": -180.5}, PointInvalid, "engineers.0.home.lng"),
        ({"home_lat": math.nan}, PointInvalid, "engineers.0.home.lat"),
        ({"home_lng": math.inf}, PointInvalid, "engineers.0.home.lng"),
        ({"home_lat": 0.0, "home_lng": 0.0}, PointInvalid, "engineers.0.home"),
        ({"name": "  "}, BadField, "engineers.0.name"),
        ({"name": "a\x00b"}, BadField, "engineers.0.name"),
        ({"name": "a" * 201}, BadField, "engineers.0.name"),
        ({"user_id": new_id()}, NotFound, None),
        ({"territory_id": new_id()}, NotFound, None),
    ),
)
async def test_a_wrong_engineer_is_refused_by_name_of_the_field(
    depot: Depot, change: dict[str, Any], refusal: type[Exception], path: str | None
) -> None:
    """Whoever imports a hundred engineers must be told which value is wrong, in their language."""
    [user] = await depot.users(1)
    given: dict[str, Any] = {"user_id": user, "name": "Li", "home_lat": LAT, "home_lng": LNG} | change
    with pytest.raises(refusal) as caught:
        async with depot.work() as work:
            await engineers.create_engineers(work, [NewEngineer(**given)])
    assert getattr(caught.value, "path", None) == path
    assert caught.value.message("zh") != caught.value.message("en")  # type: ignore[attr-defined]
    assert await depot.fetch("select id from engineer") == []


async def test_a_user_is_one_engineer(depot: Depot) -> None:
    """Two engineers of one user would split that user's visits over two phones' worth of scope."""
    [user] = await depot.users(1)
    given = NewEngineer(user_id=user, name="Li", home_lat=LAT, home_lng=LNG)
    async with depot.work() as work:
        await engineers.create_engineer(work, given)
    with pytest.raises(AlreadyExists):
        async with depot.work() as work:
            await engineers.create_engineer(work, given)


async def test_skills_are_set_as_a_whole(depot: Depot) -> None:
    """A skill that was taken away must not keep winning picks."""
    [one, other] = await depot.crew(1, 2, skills={"hvac": 3, "lift": 1})
    async with depot.work() as work:
        await engineers.set_skills(work, {one: {"lift": 4}})
        levels = await reading.skills_by_engineer_ids(work, [one, other])
    assert [[(s.skill, s.level) for s in of_one] for of_one in levels] == [
        [("lift", 4)],
        [("hvac", 3), ("lift", 1)],
    ]
    with pytest.raises(NotFound):
        async with depot.work() as work:
            await engineers.set_skills(work, {new_id(): {"lift": 4}})


async def test_a_skill_code_is_plain(depot: Depot) -> None:
    """Codes travel in JSON keys, URLs and reports; a blank or capital in one would be matched by nobody."""
    for code in ("", "HVAC", "h vac", "1st", "h" * 41):
        with pytest.raises(BadField):
            async with depot.work() as work:
                await engineers.create_skills(work, [NewSkill(code=code, name_en="x", name_zh="x")])
    async with depot.work() as work:
        await engineers.create_skills(work, [NewSkill(code="hvac", name_en="Cooling", name_zh="制冷")])
        assert [(s.code, s.name_en) for s in await reading.skills(work)] == [
            ("hvac", "Cooling"),
            ("lift", "Lift"),
        ]


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "path"),
    (
        (NINE, NINE, "shifts.0.endsAt"),
        (NINE, NINE - HOUR, "shifts.0.endsAt"),
        (NINE, NINE + 25 * HOUR, "shifts.0.endsAt"),
        (NINE.replace(tzinfo=None), NINE + HOUR, "shifts.0.startsAt"),  # whose nine o'clock?
    ),
)
async def test_a_wrong_shift_is_refused(
    depot: Depot, starts_at: datetime, ends_at: datetime, path: str
) -> None:
    """A shift that ends before it starts would silently be no shift at all."""
    [one] = await depot.crew(1, hours=0)
    with pytest.raises(BadField) as caught:
        async with depot.work() as work:
            await engineers.set_shifts(
                work, [NewShift(engineer_id=one, starts_at=starts_at, ends_at=ends_at)]
            )
    assert caught.value.path == path


async def test_setting_shifts_again_replaces_what_they_overlap(depot: Depot) -> None:
    """An import of the rota that runs twice must not leave everybody with two shifts."""
    [one] = await depot.crew(1, hours=0)
    rota = [
        NewShift(engineer_id=one, starts_at=NINE + day * 24 * HOUR, ends_at=NINE + (day * 24 + 8) * HOUR)
        for day in range(3)
    ]
    later = NewShift(engineer_id=one, starts_at=NINE + 2 * HOUR, ends_at=NINE + 10 * HOUR)
    async with depot.work() as work:
        await engineers.set_shifts(work, rota)
        await engineers.set_shifts(work, rota)
        await engineers.set_shifts(work, [later])
        [shifts] = await reading.shifts_by_engineer_ids(work, [one], NINE, NINE + 100 * HOUR)
    assert [shift.starts_at for shift in shifts] == [later.starts_at, rota[1].starts_at, rota[2].starts_at]
    with pytest.raises(BadField) as caught:
        async with depot.work() as work:
            await engineers.set_shifts(work, [rota[0], later])
    assert caught.value.path == "shifts.1.startsAt"


async def test_absence_makes_offline_and_can_be_taken_back(depot: Depot) -> None:
    """An urgent order goes only to those online; somebody at the doctor's must not get it."""
    [one] = await depot.crew(1)
    absence = NewAbsence(engineer_id=one, starts_at=NINE - HOUR, ends_at=NINE + HOUR, reason="doctor")
    async with depot.work() as work:
        id_ = await engineers.set_absence(work, absence)
        [away] = await reading.engineers_by_ids(work, [one])
        await engineers.remove_absence(work, id_)
        [back] = await reading.engineers_by_ids(work, [one])
    assert away is not None
    assert back is not None
    assert (away.online, back.online) == (False, True)
    with pytest.raises(NotFound):
        async with depot.work() as work:
            await engineers.remove_absence(work, id_)


async def test_online_ends_by_itself(standing: tuple[Depot, ManualClock]) -> None:
    """A phone whose battery died says nothing more; its engineer must not stay online for ever."""
    depot, clock = standing
    [one] = await depot.crew(1)
    seen = []
    for minutes in (0, engineers.ONLINE_MINUTES, 1):
        clock.advance(timedelta(minutes=minutes))
        async with depot.work() as work:
            [view] = await reading.engineers_by_ids(work, [one])
            assert view is not None
            seen.append(view.online)
    assert seen == [True, True, False]


async def test_positions_only_move_forward_in_time(standing: tuple[Depot, ManualClock]) -> None:
    """A batch from a phone that was offline must not put its engineer back where they were in the morning."""
    depot, clock = standing
    [one] = await depot.crew(1, online=False)
    await depot.at(one, 5, accuracy_m=8.0)
    clock.advance(timedelta(minutes=30))
    await depot.at(one, 9, at=NINE - HOUR)
    row = await depot.row("select * from engineer where id = $1", one)
    assert (row["last_lat"], row["last_accuracy_m"]) == (pytest.approx(LAT + 5 / 111), 8.0)
    assert row["last_position_at"] == NINE
    assert row["last_seen_at"] == NINE + timedelta(minutes=30)  # an old fix still is a sign of life

    await depot.at(one, 7, at=NINE + 50 * HOUR)  # a clock that runs ahead
    clock.advance(timedelta(minutes=1))
    await depot.at(one, 8)
    row = await depot.row("select * from engineer where id = $1", one)
    assert row["last_lat"] == pytest.approx(LAT + 8 / 111)


async def test_a_batch_of_positions_takes_the_newest_of_each(depot: Depot) -> None:
    """The order in which fixes lie in a batch says nothing about time."""
    crew = await depot.crew(1, 2, online=False)
    async with depot.work() as work:
        await engineers.report_positions(
            work,
            [
                Position(engineer_id=id_, lat=LAT + minute, lng=LNG, at=NINE - timedelta(minutes=10 - minute))
                for minute in (3, 9, 1)
                for id_ in crew
            ],
        )
    rows = await depot.fetch("select last_lat from engineer")
    assert [row["last_lat"] for row in rows] == [LAT + 9, LAT + 9]


@pytest.mark.parametrize(
    ("change", "refusal"),
    (
        ({"lat": math.nan}, PointInvalid),
        ({"lat": 91.0}, PointInvalid),
        ({"lat": 0.0, "lng": 0.0}, PointInvalid),
        ({"accuracy_m": -1.0}, BadField),
        ({"accuracy_m": math.nan}, BadField),
        ({"at": NINE.replace(tzinfo=None)}, BadField),
        ({"engineer_id": new_id()}, NotFound),
    ),
)
async def test_a_wrong_position_is_refused(
    depot: Depot, change: dict[str, Any], refusal: type[Exception]
) -> None:
    """A NaN in one position would poison every distance to that engineer."""
    [one] = await depot.crew(1, online=False)
    given: dict[str, Any] = {"engineer_id": one, "lat": LAT, "lng": LNG, "at": NINE} | change
    with pytest.raises(refusal):
        async with depot.work() as work:
            await engineers.report_positions(work, [Position(**given)])
    assert (await depot.row("select last_seen_at from engineer"))["last_seen_at"] is None


async def test_another_organisation_sees_and_changes_nothing(depot: Depot) -> None:
    """Engineers' homes and positions are personal data: no other tenant may reach them by id."""
    [one] = await depot.crew(1)
    stranger = await Depot(depot.db).build()
    async with stranger.work() as work:
        assert await reading.engineers_by_ids(work, [one]) == [None]
        assert await reading.skills_by_engineer_ids(work, [one]) == [[]]
        assert (await reading.engineers_page(work)).items == []
        with pytest.raises(NotFound):
            await engineers.set_skills(work, {one: {"hvac": 1}})
        with pytest.raises(NotFound):
            await engineers.set_active(work, one, False)
        with pytest.raises(NotFound):
            await engineers.set_absence(
                work, NewAbsence(engineer_id=one, starts_at=NINE, ends_at=NINE + HOUR)
            )
        await engineers.mark_seen(work, one)
    row = await depot.row("select active, last_seen_at from engineer")
    assert (row["active"], row["last_seen_at"]) == (True, NINE)


async def test_pages_of_engineers_cover_everybody_once(depot: Depot) -> None:
    """A list that skips or repeats somebody at a page's edge hides an engineer from the dispatcher."""
    crew = await depot.crew(*range(1, 6))
    async with depot.work() as work:
        await engineers.set_active(work, crew[2], False)
        found, after = [], None
        while True:
            page = await reading.engineers_page(work, after, 2)
            found += [one.id for one in page.items]
            after = page.end_cursor
            if not page.has_more:
                break
        active = await reading.engineers_page(work, active=True)
        with pytest.raises(LimitExceeded):
            await reading.engineers_page(work, limit=201)
    assert found == sorted(crew, reverse=True)
    assert {one.id for one in active.items} == set(crew) - {crew[2]}
