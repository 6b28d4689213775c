"""The technician instances of Pillac, Guéret and Medaglia: skills, tools, spare parts, a depot that has all of them.

25 technicians start from and end at their homes with some tools and parts; a request needs skills and tools (which come back)
and parts (which do not); a technician may call at the depot once for whatever the van lacks. What is made small is the sum of
the technicians' working times: travel, waiting and work, each setting out as late as the plan allows. Published values:
"A parallel matheuristic for the Technician Routing and Scheduling Problem", Optimization Letters, 2013,
doi:10.1007/s11590-012-0567-4, as in `published.csv` beside the instances.

As ours: tools and parts are both parts. A technician who holds a tool has a thousand of it, more than there are requests; the
pick-up at the depot loads as many as later requests ask for. Hundredths of a unit are seconds, rounded; the instance's clock
starts some time after the shifts do, because nothing in it says when a technician must leave home.
"""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from callout_dispatch.planning.terms import Lane, Plan, Problem, Route, Seconds, Stock, Task
from callout_dispatch.policy import Availability, PartsOnVan, Policy, Skills, VisitingHours
from callout_orders.terms import Priority

HUNDREDTHS: Final = 100
PLENTY: Final = 1_000
DEPOT_NODE: Final = 0
RULES: Final = Policy(rules=(Availability(), VisitingHours(), Skills(), PartsOnVan(pickup=True)))


class Technician(msgspec.Struct, frozen=True, kw_only=True):
    """Who, with home node, skills, tools, and how many of each spare part."""

    home: int
    skills: frozenset[int]
    tools: frozenset[int]
    parts: tuple[int, ...]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for where; work starts within the window."""

    node: int
    window: tuple[float, float]
    service: float
    skills: frozenset[int]
    tools: frozenset[int]
    parts: tuple[int, ...]


class Technicians(msgspec.Struct, frozen=True, kw_only=True):
    """An instance; points by node."""

    name: str
    points: dict[int, tuple[float, float]]
    technicians: tuple[Technician, ...]
    requests: tuple[Request, ...]


def read(path: Path) -> Technicians:
    """An instance of `trsp/*.xml`. ValueError: not one."""
    root = ET.parse(path).getroot()
    network, fleet, requests = root.find("network/nodes"), root.find("fleet"), root.find("requests")
    if network is None or fleet is None or requests is None or root.find("network/links") is not None:
        raise ValueError(f"{path.name} is no technician instance")
    return Technicians(
        name=path.name.partition(".")[0],
        points={int(node.attrib["id"]): (_number(node, ".//cx"), _number(node, ".//cy")) for node in network},
        technicians=tuple(
            Technician(
                home=int(_number(one, "departureNode")),
                skills=_ids(one, "skill"),
                tools=_ids(one, "tool"),
                parts=tuple(int(float(part.text or "")) for part in one.findall("capacity")),
            )
            for one in fleet
        ),
        requests=tuple(
            Request(
                node=int(one.attrib["node"]),
                window=(_number(one, "tw/start"), _number(one, "tw/end")),
                service=_number(one, "serviceTime"),
                skills=_ids(one, "skill"),
                tools=_ids(one, "tool"),
                parts=tuple(int(float(part.text or "")) for part in one.findall("demand")),
            )
            for one in requests
        ),
    )


def published(path: Path) -> dict[str, float]:
    """The published values of `published.csv`, by name."""
    with path.open(newline="") as told:
        return {row["instance"].partition(".")[0]: float(row["objective"]) for row in csv.DictReader(told)}


def problem(instance: Technicians) -> Problem:
    """The instance as ours, see the module."""
    nodes = sorted(instance.points)
    place = {node: n for n, node in enumerate(nodes)}
    at = np.array([instance.points[node] for node in nodes])
    straight = np.hypot(at[:, None, 0] - at[None, :, 0], at[:, None, 1] - at[None, :, 1])
    seconds: Seconds = np.rint(straight * HUNDREDTHS).astype(np.int32)
    last = max(one.window[1] + one.service for one in instance.requests)
    # Home to depot to the farthest request, before the clock starts and after the last work.
    zero_s = 2 * int(seconds.max()) + 1
    end_s = zero_s + _whole(last) + zero_s
    tools = range(1 + max(max(one.tools, default=0) for one in (*instance.requests, *instance.technicians)))
    parts = range(len(instance.requests[0].parts))
    tasks = tuple(
        Task(
            id=f"q{n}",
            order_id=f"q{n}",
            place=place[one.node],
            service_s=_whole(one.service),
            windows=((zero_s + _whole(one.window[0]), zero_s + _whole(one.window[1])),),
            due_s=1_000_000_000,
            priority=Priority.P0,
            skills={str(skill): 1 for skill in one.skills},
            parts={
                **{f"tool{tool}": 1 for tool in sorted(one.tools)},
                **{f"part{part}": count for part, count in enumerate(one.parts) if count},
            },
        )
        for n, one in enumerate(instance.requests)
    )
    lanes = tuple(
        Lane(
            id=f"e{n}:0",
            engineer_id=f"e{n}",
            start_s=0,
            end_s=end_s,
            start_place=place[one.home],
            end_place=place[one.home],
            skills={str(skill): 1 for skill in one.skills},
            van={
                **{f"tool{tool}": PLENTY for tool in sorted(one.tools)},
                **{f"part{part}": count for part, count in enumerate(one.parts) if count},
            },
        )
        for n, one in enumerate(instance.technicians)
    )
    depot = Stock(
        id="depot",
        place=place[DEPOT_NODE],
        service_s=0,
        parts={**{f"tool{n}": PLENTY**2 for n in tools}, **{f"part{n}": PLENTY**2 for n in parts}},
    )
    return Problem(tasks=tasks, lanes=lanes, seconds=seconds, now_s=0, depots=(depot,), policy=RULES)


def duration(given: Problem, plan: Plan) -> float:
    """All technicians' working times in units: back home as early as can be, set out as late as that allows."""
    lanes = {lane.id: lane for lane in given.lanes}
    return sum(_route_s(given, lanes[route.lane_id], route) for route in plan.routes) / HUNDREDTHS


def _route_s(given: Problem, lane: Lane, route: Route) -> int:
    legs: list[tuple[int, int, int, int]] = []
    place, clock_s = lane.start_place, lane.start_s
    for stop in route.stops:
        task = given.task(stop.task_id) if stop.task_id else None
        to = task.place if task else given.depots[0].place
        first_s, last_s = task.windows[0] if task else (lane.start_s, lane.end_s)
        service_s = task.service_s if task else 0
        way_s = given.way_s(lane, place, to)
        clock_s = max(clock_s + way_s, first_s) + service_s
        legs.append((way_s, first_s, last_s, service_s))
        place = to
    assert lane.end_place is not None
    end_s = clock_s + given.way_s(lane, place, lane.end_place)
    leave_s = clock_s
    for way_s, _, last_s, service_s in reversed(legs):
        leave_s = min(leave_s - service_s, last_s) - way_s
    return end_s - leave_s if legs else 0


def _ids(element: ET.Element, tag: str) -> frozenset[int]:
    return frozenset(int(one.attrib["id"]) for one in element.findall(tag))


def _number(element: ET.Element, path: str) -> float:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"{path} is missing")
    return float(text)


def _whole(units: float) -> int:
    return round(units * HUNDREDTHS)
