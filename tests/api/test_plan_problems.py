"""What a planner is told: the database's engineers, visits and orders as lanes and tasks."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from depots import KM, LAT, LNG, NINE, Depot, stand

from callout_dispatch import assign, engineers
from callout_dispatch.crew import set_crew
from callout_dispatch.engineer_terms import NewAbsence, NewTerritory
from callout_dispatch.pick_terms import ReasonCode
from callout_dispatch.planning.checker import check
from callout_dispatch.planning.terms import Lock, Task
from callout_dispatch.plans import problems
from callout_dispatch.plans.loaded import Loaded, pack, unpack
from callout_dispatch.plans.problems import load_problem
from callout_dispatch.plans.rebuild import rebuild, standing_of
from callout_dispatch.policy import STANDARD, Policy
from callout_dispatch.windows import seconds
from callout_store.errors import LimitExceeded

HOUR = timedelta(hours=1)
FIVE = NINE + 8 * HOUR


async def load(depot: Depot, start: Any = NINE, end: Any = FIVE, **more: Any) -> Loaded:
    async with depot.work() as work:
        return await load_problem(work, start, end, **more)


async def change(depot: Depot, sql: str, *args: Any) -> None:
    async with depot.work() as work:
        await work.execute(sql, *args)


def task(given: Loaded, id_: UUID) -> Task:
    return given.problem.task(str(id_))


async def test_orders_and_visits_become_tasks(depot: Depot) -> None:
    """An order that is left out of the problem waits for ever; one that comes twice is visited twice."""
    one, two = await depot.crew(1, 5)
    waits = await depot.order(3)
    visit = await stand(depot, one, NINE + 2 * HOUR)
    given = await load(depot)
    assert {task.id for task in given.problem.tasks} == {str(waits), str(visit)}
    assert {lane.engineer_id for lane in given.problem.lanes} == {str(one), str(two)}
    assert task(given, waits).standing is None
    standing = task(given, visit).standing
    assert standing is not None
    assert (standing.engineer_ids, standing.start_s, standing.told) == (
        (str(one),),
        seconds(NINE + 2 * HOUR),
        False,
    )
    assert task(given, visit).lock is Lock.NONE
    assert given.draft.visits[str(visit)].revision == 1
    way = given.problem.seconds[task(given, waits).place, task(given, visit).place]
    assert way % 60 == 0
    assert 3 * 1.35 / 28 * 3600 <= way < 3 * 1.36 / 28 * 3600 + 60


@pytest.mark.parametrize(
    ("state", "lock"),
    (
        ("scheduled", Lock.NONE),
        ("dispatched", Lock.ENGINEER),
        ("accepted", Lock.ENGINEER),
        ("travelling", Lock.TIME),
        ("in_progress", Lock.TIME),
    ),
)
async def test_the_state_locks(depot: Depot, state: str, lock: Lock) -> None:
    """Somebody who stands before the customer's door must not be called to another one by a plan."""
    (one,) = await depot.crew(1)
    visit = await stand(depot, one, NINE + HOUR)
    plan = "scheduled" if state == "scheduled" else "dispatched"
    await change(depot, "update visit set state = $2, plan = $3 where id = $1", visit, state, plan)
    assert task(await load(depot), visit).lock is lock


@pytest.mark.parametrize(("hold", "lock"), (("engineer", Lock.ENGINEER), ("time", Lock.TIME)))
async def test_a_hold_by_hand_locks(depot: Depot, hold: str, lock: Lock) -> None:
    """What a dispatcher promised on the telephone, a plan must not take back."""
    (one,) = await depot.crew(1)
    visit = await stand(depot, one, NINE + HOUR)
    await change(depot, "update visit set hold = $2 where id = $1", visit, hold)
    assert task(await load(depot), visit).lock is lock


async def test_a_visit_outside_the_range_stays_where_it_is(depot: Depot) -> None:
    """Who plans the afternoon must not move the morning, and must know where it leaves the engineer."""
    (one,) = await depot.crew(1)
    morning = await stand(depot, one, NINE + HOUR)
    noon = await stand(depot, one, NINE + 5 * HOUR)
    given = await load(depot, NINE + 4 * HOUR, FIVE)
    assert task(given, morning).lock is Lock.TIME
    assert task(given, noon).lock is Lock.NONE
    assert task(given, noon).windows[0][0] == seconds(NINE + 4 * HOUR)


async def test_who_is_on_site_goes_on_from_there(depot: Depot) -> None:
    """An engineer who overruns is not free at the planned end, and does not start from home."""
    (one,) = await depot.crew(9)
    visit = await stand(depot, one, NINE - HOUR - timedelta(minutes=10), km=4)
    await change(depot, "update visit set state = 'in_progress', plan = 'dispatched' where id = $1", visit)
    given = await load(depot)
    busy = task(given, visit)
    (lane,) = given.problem.lanes
    assert busy.lock is Lock.TIME
    assert busy.standing is not None
    assert busy.standing.start_s + busy.service_s == seconds(NINE) + 15 * 60
    assert lane.start_place == busy.place
    assert lane.start_s == busy.standing.start_s


async def test_only_a_running_shift_begins_where_the_phone_is(depot: Depot) -> None:
    """Tomorrow begins at home, wherever somebody is this evening."""
    (one,) = await depot.crew(1)
    async with depot.work() as work:
        await engineers.set_shifts(
            work,
            [
                engineers.NewShift(
                    engineer_id=one, starts_at=NINE + n * 24 * HOUR, ends_at=FIVE + n * 24 * HOUR
                )
                for n in (0, 1)
            ],
        )
    await depot.at(one, 30)
    given = await load(depot, NINE, FIVE + 24 * HOUR)
    now, tomorrow = (given.draft.places[lane.start_place] for lane in given.problem.lanes)
    assert now == pytest.approx((LAT + 30 * KM, LNG))
    assert tomorrow == pytest.approx((LAT + 1 * KM, LNG))
    assert [lane.id for lane in given.problem.lanes] == [f"{one}:0", f"{one}:1"]


async def test_shifts_have_their_own_places_and_breaks(depot: Depot) -> None:
    """A shift that ends at the depot must not be planned to end at home, nor without the break that the law wants."""
    (one,) = await depot.crew(1, start=NINE + HOUR)
    await change(depot, "update shift set start_lat = $1, start_lng = $2, end_lat = 1, end_lng = 2", LAT, LNG)
    await change(
        depot,
        """
        insert into shift_break (id, shift_id, engineer_id, earliest, latest, minutes)
        select gen_random_uuid(), id, engineer_id, $1, $2, 45 from shift where engineer_id = $3
        """,
        NINE + 3 * HOUR,
        NINE + 5 * HOUR,
        one,
    )
    given = await load(depot)
    (lane,) = given.problem.lanes
    assert given.draft.places[lane.start_place] == (LAT, LNG)
    assert lane.end_place is not None
    assert given.draft.places[lane.end_place] == (1, 2)
    (rest,) = lane.rests
    assert (rest.earliest_s, rest.latest_s, rest.length_s) == (
        seconds(NINE + 3 * HOUR),
        seconds(NINE + 5 * HOUR),
        45 * 60,
    )


async def test_an_absence_lies_in_the_lane(depot: Depot) -> None:
    """Who is at the dentist's cannot be sent anywhere, and a visit planned into it is to be planned anew."""
    (one,) = await depot.crew(1)
    visit = await stand(depot, one, NINE + HOUR)
    absence = NewAbsence(engineer_id=one, starts_at=NINE + HOUR, ends_at=NINE + 2 * HOUR)
    async with depot.work() as work:
        await engineers.set_absence(work, absence)
    given = await load(depot)
    (lane,) = given.problem.lanes
    assert lane.away == ((seconds(NINE + HOUR), seconds(NINE + 2 * HOUR)),)
    assert task(given, visit).lock is Lock.NONE


async def test_hours_and_wishes_become_windows(depot: Depot) -> None:
    """A visit before the site opens, or outside of what the customer asked for, is a wasted way."""
    await depot.crew(1)
    order = await depot.order(2)
    hours = '[{"weekday": 2, "from": "10:00", "until": "12:00"}, {"weekday": 2, "from": "13:00", "until": "16:00"}]'
    await change(
        depot,
        "update site set visiting_hours = $2::text::jsonb where id = (select site_id from work_order where id = $1)",
        order,
        hours,
    )
    await change(
        depot,
        "update work_order set requested_from = $2, requested_until = $3 where id = $1",
        order,
        NINE + 2 * HOUR,
        NINE + 5 * HOUR,
    )
    # An hour's work: until eleven in the morning, and from one o'clock on until two.
    assert task(await load(depot), order).windows == (
        (seconds(NINE + 2 * HOUR), seconds(NINE + 2 * HOUR)),
        (seconds(NINE + 4 * HOUR), seconds(NINE + 5 * HOUR)),
    )
    free = Policy(rules=(STANDARD.rules[0],))
    assert task(await load(depot, policy=free), order).windows == ((seconds(NINE), seconds(FIVE) - 1),)


async def test_hours_are_local_also_when_the_clocks_change(depot: Depot) -> None:
    """Nine o'clock at the door is nine o'clock on both sides of the night in which the clocks change."""
    await change(depot, "update organisation set time_zone = 'America/New_York'")
    order = await depot.order(2)
    hours = '[{"weekday": 5, "from": "09:00", "until": "10:00"}, {"weekday": 6, "from": "09:00", "until": "10:00"}]'
    await change(depot, "update site set visiting_hours = $1::text::jsonb", hours)
    saturday = NINE + timedelta(days=3)
    given = await load(depot, saturday - 9 * HOUR, saturday + 39 * HOUR)
    # 2026-03-08 at two in the morning: 09:00 EST is 14:00 UTC, 09:00 EDT is 13:00 UTC.
    assert task(given, order).windows == (
        (seconds(saturday + 5 * HOUR), seconds(saturday + 5 * HOUR)),
        (seconds(saturday + 28 * HOUR), seconds(saturday + 28 * HOUR)),
    )


@pytest.mark.parametrize(
    ("sql", "code"),
    (
        (
            'update site set visiting_hours = \'[{"weekday": 0, "from": "10:00", "until": "12:00"}]\'',
            ReasonCode.OUTSIDE_VISITING_HOURS,
        ),
        (
            "update work_order set requested_from = timestamptz '2026-03-05', requested_until = timestamptz '2026-03-06'",
            ReasonCode.OUTSIDE_REQUESTED_WINDOW,
        ),
    ),
)
async def test_an_order_without_any_window_is_told_as_such(depot: Depot, sql: str, code: ReasonCode) -> None:
    """'No room' would send a dispatcher to look for engineers where the door is closed."""
    await depot.crew(1)
    order = await depot.order(2)
    await change(depot, sql)
    given = await load(depot)
    assert given.problem.tasks == ()
    (left,) = given.barred
    assert (left.task_id, left.reasons[0].code) == (str(order), code)


async def test_what_follows_waits_for_what_comes_before(depot: Depot) -> None:
    """The painter comes after the plumber: in the same plan, by what stands outside of it, or not at all."""
    (one,) = await depot.crew(1)
    first, second, third, fourth = [await depot.order(2) for _ in range(4)]
    follow = "update work_order set follows_order_id = $2, follows_gap_minutes = 30 where id = $1"
    await change(depot, follow, second, first)
    tomorrow = await stand(depot, one, NINE + 24 * HOUR)
    elsewhere = (await depot.visit(tomorrow))["order_id"]
    await change(depot, follow, third, elsewhere)
    await change(depot, follow, fourth, third)
    given = await load(depot)
    assert task(given, second).follows == str(first)
    assert task(given, second).follows_gap_s == 1800
    assert task(given, third).not_before_s == seconds(NINE + 25 * HOUR) + 1800
    assert task(given, fourth).follows == str(third)
    async with depot.work() as work:
        small = await load_problem(work, NINE, FIVE, engineer_ids=[one], order_ids=[second])
    assert [left.reasons[0].code for left in small.barred] == [ReasonCode.PREDECESSOR]


async def test_wishes_closest_to_the_work_count(depot: Depot) -> None:
    """A customer who will not have somebody may still ask for them once."""
    one, two = await depot.crew(1, 2)
    order = await depot.order(2)
    wish = """
        insert into engineer_preference (id, engineer_id, customer_id, site_id, order_id, kind, created_at)
        select gen_random_uuid(), $1, case when $2 = 'customer' then customer_id end, case when $2 = 'site' then site_id end,
               case when $2 = 'order' then id end, $3, created_at from work_order where id = $4
    """
    await change(depot, wish, one, "customer", "excluded", order)
    await change(depot, wish, two, "site", "preferred", order)
    given = task(await load(depot), order)
    assert (given.excluded, given.preferred, given.required) == ({str(one)}, {str(two)}, frozenset())
    await change(depot, wish, one, "order", "required", order)
    given = task(await load(depot), order)
    assert (given.excluded, given.required) == (frozenset(), {str(one)})


async def test_a_crew_stands_in_the_lanes_of_all(depot: Depot) -> None:
    """The second man at the lift is busy as well; a crew put together by hand is not taken apart."""
    one, two = await depot.crew(1, 2)
    visit = await stand(depot, one, NINE + HOUR)
    async with depot.work() as work:
        await set_crew(work, visit, [two])
    given = task(await load(depot), visit)
    assert given.standing is not None
    assert given.standing.engineer_ids == (str(one), str(two))
    assert (given.crew, given.lock) == (2, Lock.ENGINEER)


async def test_a_territory_has_its_own_orders_and_those_who_work_there(depot: Depot) -> None:
    """Who plans the north must not move the south, nor forget what its people have to do there."""
    async with depot.work() as work:
        north, south = await engineers.create_territories(
            work, [NewTerritory(code="n", name="North"), NewTerritory(code="s", name="South")]
        )
    one, two, three = await depot.crew(1, 2, 3)
    for engineer, territory in ((one, north), (two, south), (three, south)):
        await change(depot, "update engineer set territory_id = $2 where id = $1", engineer, territory)
    await change(
        depot, "insert into engineer_territory (engineer_id, territory_id) values ($1, $2)", two, north
    )
    in_north, in_south = await depot.order(1), await depot.order(2)
    set_site = "update site set territory_id = $2 where id = (select site_id from work_order where id = $1)"
    await change(depot, set_site, in_north, north)
    await change(depot, set_site, in_south, south)
    abroad = await stand(depot, two, NINE + HOUR)
    await change(depot, set_site, (await depot.visit(abroad))["order_id"], south)
    given = await load(depot, territory_id=north)
    assert {lane.engineer_id for lane in given.problem.lanes} == {str(one), str(two)}
    assert {one.id for one in given.problem.tasks} == {str(in_north), str(abroad)}
    assert task(given, abroad).lock is Lock.TIME
    assert given.problem.lanes[0].territories is not None


async def test_work_that_a_person_insisted_on_stays_aside(depot: Depot) -> None:
    """A visit after hours was somebody's decision: no plan may undo it, nor send its engineer elsewhere at that time."""
    (one,) = await depot.crew(1)
    late = await stand(depot, one, FIVE - HOUR / 2, told=True)
    given = await load(depot)
    assert given.problem.tasks == ()
    assert given.draft.aside == {str(late)}
    assert given.problem.lanes[0].away == ((seconds(FIVE - HOUR / 2), seconds(FIVE)),)


async def test_parts_and_depots(depot: Depot) -> None:
    """Without what the van carries and what the depot holds, a plan sends people who can do nothing there."""
    (one,) = await depot.crew(1)
    order = await depot.order(2)
    await change(
        depot,
        """
        with p as (insert into part (id, code, name) values (gen_random_uuid(), 'SEAL', 'Seal') returning id),
        d as (insert into depot (id, code, name, lat, lng, pickup_minutes) values (gen_random_uuid(), 'D', 'D', 1, 2, 15)
              returning id),
        n as (insert into work_order_part (order_id, part_id, quantity) select $1, id, 2 from p),
        v as (insert into stock_level (id, holder_id, part_id, quantity) select gen_random_uuid(), $2, id, 1 from p)
        insert into stock_level (id, holder_id, part_id, quantity) select gen_random_uuid(), d.id, p.id, 9 from p, d
        """,
        order,
        one,
    )
    given = await load(depot)
    assert task(given, order).parts == {"SEAL": 2}
    assert given.problem.lanes[0].van == {"SEAL": 1}
    (store,) = given.problem.depots
    assert (store.parts, store.service_s) == ({"SEAL": 9}, 900)


async def test_a_late_visit_is_planned_anew(depot: Depot) -> None:
    """A visit whose time went by without anybody setting out is nowhere, unless a plan takes it up."""
    (one,) = await depot.crew(1)
    missed = await stand(depot, one, NINE - 2 * HOUR, told=True)
    given = task(await load(depot), missed)
    assert given.lock is Lock.ENGINEER
    assert given.windows == ((seconds(NINE), seconds(FIVE) - 1),)


async def test_nothing_at_all_is_a_problem_too(depot: Depot) -> None:
    """An organisation's first day must not end in a fault."""
    given = await load(depot)
    assert (given.problem.tasks, given.problem.lanes) == ((), ())


async def test_too_much_is_refused(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred thousand visits would fill the memory of a worker that other organisations need."""
    await depot.crew(1)
    await depot.orders(4)
    monkeypatch.setattr(problems, "TASKS_MAX", 3)
    with pytest.raises(LimitExceeded) as refused:
        await load(depot)
    assert refused.value.details["limit"] == 3


async def test_a_problem_is_kept_whole(depot: Depot) -> None:
    """What a plan was made of must be there when somebody asks why, and when it is accepted."""
    (one,) = await depot.crew(1)
    await depot.orders(2, 3)
    await stand(depot, one, NINE + HOUR)
    given = await load(depot)
    packed = pack(given)
    assert packed is not None
    problem, ways = unpack(packed)
    assert (problem.tasks, problem.lanes, problem.policy) == (
        given.problem.tasks,
        given.problem.lanes,
        given.problem.policy,
    )
    assert (problem.seconds == given.problem.seconds).all()
    assert ways.places == given.ways.places


async def test_what_was_dispatched_by_the_pick_is_no_violation(depot: Depot) -> None:
    """Pick and plan reckon ways alike: else the first plan of a day would move what the pick has promised."""
    await depot.crew(1, 4)
    for km in (2, 6, 3):
        order = await depot.order(km)
        async with depot.work() as work:
            await assign.dispatch_order(work, order)
    given = await load(depot)
    assert given.draft.aside == set()
    plan = rebuild(given.problem, standing_of(given.problem, {}), planner="standing")
    assert check(given.problem, plan, with_standing=True) == []
