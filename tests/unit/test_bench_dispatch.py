"""What the dispatch bench reads and makes up: were it wrong, its table would hold us to somebody else's problem."""

from __future__ import annotations

import json
from pathlib import Path

import dispatch_instances
import dispatch_report
import dispatch_technicians
import dispatch_windows
import fetch_instances
import pytest
from dispatch_report import CannotRun, Row

from callout_dispatch.planning.checker import check
from callout_dispatch.planning.inserter import InserterPlanner
from callout_dispatch.planning.terms import Plan, Route, Stop

SOLOMON = {
    "instance": "T101",
    "vehicle-nr": 2,
    "capacity": 10,
    "customers": [
        {"id": 0, "x": 0, "y": 0, "demand": 0, "earliest": 0, "latest": 100, "cost": 0},
        {"id": 1, "x": 3, "y": 4, "demand": 6, "earliest": 0, "latest": 50, "cost": 10},
        {"id": 2, "x": 1, "y": 1, "demand": 6, "earliest": 20, "latest": 30, "cost": 10},
    ],
}
VRPLIB = """NAME : T1_10_1
TYPE : VRPTW
VEHICLES : 2
CAPACITY : 10
SERVICE_TIME : 10
EDGE_WEIGHT_TYPE : EUC_2D
NODE_COORD_SECTION
1 0 0
2 3 4
3 1 1
DEMAND_SECTION
1 0
2 6
3 6
TIME_WINDOW_SECTION
1 0 100
2 0 50
3 20 30
DEPOT_SECTION
1
-1
EOF
"""
TECHNICIANS = """<?xml version="1.0" encoding="UTF-8"?>
<instance>
  <network><nodes>
    <node id="0" type="0"><location><euclidean><cx>0.0</cx><cy>0.0</cy></euclidean></location></node>
    <node id="1" type="1"><location><euclidean><cx>10.0</cx><cy>0.0</cy></euclidean></location></node>
    <node id="2" type="2"><location><euclidean><cx>0.0</cx><cy>5.0</cy></euclidean></location></node>
    <node id="3" type="2"><location><euclidean><cx>10.0</cx><cy>5.0</cy></euclidean></location></node>
  </nodes></network>
  <fleet><vehicle type="0"><number>1</number><capacity>1.0</capacity><departureNode>1</departureNode>
    <arrivalNode>1</arrivalNode><skill id="0"/><tool id="0"/></vehicle></fleet>
  <requests>
    <request id="0" node="3"><tw><start>40</start><end>60</end></tw><demand type="0">1</demand>
      <serviceTime>10</serviceTime><skill id="0"/><tool id="0"/></request>
    <request id="1" node="2"><tw><start>80</start><end>120</end></tw><demand type="0">1</demand>
      <serviceTime>10</serviceTime><skill id="0"/></request>
  </requests>
</instance>
"""


@pytest.fixture
def windows(tmp_path: Path) -> dispatch_windows.Windows:
    path = tmp_path / "t101.json"
    path.write_text(json.dumps(SOLOMON))
    return dispatch_windows.read_solomon(path)


def test_both_formats_tell_the_same_instance(windows: dispatch_windows.Windows, tmp_path: Path) -> None:
    """An instance by Gehring and Homberger would be planned with the wrong loads, windows or lengths of work."""
    path = tmp_path / "t.vrp"
    path.write_text(VRPLIB)
    read = dispatch_windows.read_vrplib(path)
    assert (read.vehicles, read.capacity, read.places) == (windows.vehicles, windows.capacity, windows.places)


def test_what_is_no_instance_is_refused(tmp_path: Path) -> None:
    """A page of an error, stored as an instance, would be planned as one without customers."""
    path = tmp_path / "t.vrp"
    path.write_text("404: Not Found\n")
    with pytest.raises(ValueError, match=r"t\.vrp is no instance"):
        dispatch_windows.read_vrplib(path)


def test_routes_are_read_and_measured_in_tenths_cut_off(
    windows: dispatch_windows.Windows, tmp_path: Path
) -> None:
    """Rounded distances would put us above or below published optima without any plan being worse or better."""
    path = tmp_path / "t.sol"
    path.write_text("Route #1: 1 \nRoute #2: 2\nRoute #3:\nCost 12.8\n")
    routes = dispatch_windows.read_routes(path)
    assert routes == ((1,), (2,))
    # Twice 5.0 and twice 1.41421..., of which 1.4 counts.
    assert dispatch_windows.distance(windows, routes) == 12.8


@pytest.mark.parametrize(
    ("routes", "why"),
    (
        (((1,),), "not every customer"),
        (((1, 2),), "too much"),
        (((1, 1, 2),), "not every customer"),
    ),
)
def test_a_wrong_answer_has_no_distance(
    windows: dispatch_windows.Windows, routes: tuple[tuple[int, ...], ...], why: str
) -> None:
    """A plan that leaves out or overloads would shine in the table."""
    with pytest.raises(ValueError, match=why):
        dispatch_windows.distance(windows, routes)


def test_a_late_customer_has_no_distance(windows: dispatch_windows.Windows) -> None:
    """A plan that breaks windows would shine in the table."""
    late = dispatch_windows.Windows(
        name="T", vehicles=2, capacity=100, places=(*windows.places[:2], (30, 40, 6, 0, 30, 10))
    )
    with pytest.raises(ValueError, match="too late"):
        dispatch_windows.distance(late, ((1,), (2,)))


def test_an_own_plan_is_measured_as_the_checker_sees_it(windows: dispatch_windows.Windows) -> None:
    """The adapter would hand our planner an instance with another load, depot or fleet than the one measured."""
    problem = dispatch_windows.problem(windows)
    plan = InserterPlanner().solve(problem, seconds_max=5, seed=1, progress=lambda share, stage: None)
    assert check(problem, plan) == []
    assert not plan.left
    assert dispatch_windows.distance(windows, dispatch_windows.routes_of(plan)) == 12.8


def test_a_technician_s_working_time_is_told_from_leaving_as_late_as_can_be(tmp_path: Path) -> None:
    """Waiting at home would count as work, and our gap to the published values would be no gap."""
    path = tmp_path / "T101.100_1.xml"
    path.write_text(TECHNICIANS)
    instance = dispatch_technicians.read(path)
    assert instance.name == "T101"
    problem = dispatch_technicians.problem(instance)
    plan = Plan(
        routes=(
            Route(
                lane_id="e0:0",
                stops=(
                    Stop(kind="task", start_s=0, end_s=0, task_id="q0"),
                    Stop(kind="pickup", start_s=0, end_s=0, depot_id="depot"),
                    Stop(kind="task", start_s=0, end_s=0, task_id="q1"),
                ),
            ),
        ),
        planner="by hand",
    )
    # As early as can be: at q0 at 40, done at 50; by the depot at q1 at 66.18, which opens at 80; done at 90, home at 101.18.
    # As late as that allows: at q1 at 80, so away from q0 at 63.82, there at 53.82, away from home at 48.82.
    assert dispatch_technicians.duration(problem, plan) == pytest.approx(101.18 - 48.82)


def test_a_technician_calls_at_the_depot_for_a_part(tmp_path: Path) -> None:
    """Without the depot half of the requests would be left out, or parts would come from nowhere."""
    path = tmp_path / "T101.100_1.xml"
    path.write_text(TECHNICIANS)
    problem = dispatch_technicians.problem(dispatch_technicians.read(path))
    plan = InserterPlanner().solve(problem, seconds_max=5, seed=1, progress=lambda share, stage: None)
    assert check(problem, plan) == []
    assert not plan.left
    assert [stop.kind for route in plan.routes for stop in route.stops].count("pickup") == 1


def test_the_made_up_day_is_the_same_for_everybody() -> None:
    """Sides would be measured on different days."""
    one, two = (dispatch_instances.city(3, engineers=5, visits=20) for _ in range(2))
    assert one.tasks == two.tasks
    assert one.lanes == two.lanes
    assert (one.seconds == two.seconds).all()
    rested = dispatch_instances.city(3, rests=True, engineers=5, visits=20)
    assert rested.tasks == one.tasks
    assert all(lane.rests for lane in rested.lanes)


def test_somebody_holds_what_is_asked_for() -> None:
    """Visits that nobody can do would count as left out on every side, and hide what planners leave out."""
    day = dispatch_instances.city(1, engineers=8, visits=60)
    for task in day.tasks:
        assert any(
            all(lane.skills.get(skill, 0) >= level for skill, level in task.skills.items())
            for lane in day.lanes
        )
        (window,) = task.windows
        assert 2 <= (window[1] - window[0]) / dispatch_instances.HOUR <= 4


def test_greedy_and_bare_vroom_count_what_they_leave_out() -> None:
    """A side that miscounts would make our figures worth nothing."""
    day = dispatch_instances.city(1, engineers=1, visits=30)
    able = [
        task
        for task in day.tasks
        if all(day.lanes[0].skills.get(skill, 0) >= level for skill, level in task.skills.items())
    ]
    assert able
    for side in (dispatch_instances.greedy(day), dispatch_instances.bare_vroom(day, seconds_max=1)):
        assert 30 - len(able) <= side.left < 30
        assert 0 < side.travel_hours < 9


def test_instances_are_held_against_their_checksums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed instance would be measured against a distance that belongs to another."""
    monkeypatch.setenv("CALLOUT_INSTANCES", str(tmp_path))
    name = fetch_instances.names()[0]
    with pytest.raises(fetch_instances.NotFetched, match="is not fetched"):
        fetch_instances.fetched(name, "vrp")
    (tmp_path / "VRPTW").mkdir()
    (tmp_path / "VRPTW" / f"{name}.vrp").write_text(VRPLIB)
    with pytest.raises(fetch_instances.NotFetched, match="not the file that is meant"):
        fetch_instances.fetched(name, "vrp")


def test_a_row_that_cannot_run_says_why_and_the_others_run() -> None:
    """Without the network, or without the shared data, there would be no table at all."""

    def missing() -> list[Row]:
        raise CannotRun("not fetched")

    def broken() -> list[Row]:
        raise RuntimeError("a plan that breaks a rule")

    def well() -> list[Row]:
        return [Row(work="well", ours="1")]

    rows: list[Row] = []
    errors = dispatch_report.run({"missing": missing, "broken": broken, "well": well}, (), rows)
    assert rows[0].ours == "not fetched"
    assert rows[-1].work == "well"
    assert errors == ["broken: RuntimeError('a plan that breaks a rule')"]
    assert dispatch_report.run({"well": well}, ("wel",), rows) == ["no row wel; there are: well"]
