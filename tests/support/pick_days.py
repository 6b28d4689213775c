"""Made-up needs, engineers, days and policies for the laws of the pick."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import strategies as st

from callout_dispatch.pick_terms import Break, Busy, Candidate, Interval, Need, Shift
from callout_dispatch.policy import (
    STANDARD,
    Availability,
    Capacity,
    DueDate,
    MaxTravel,
    PartsOnVan,
    Policy,
    TerritoryRule,
)
from callout_geo.points import Point
from callout_orders.terms import Priority

DAY = datetime(2026, 1, 15, tzinfo=UTC)
IDS = ("a", "b", "c", "d")
PLACES = [Point(37.75 + 0.03 * n, -122.42 + 0.02 * m) for n in range(3) for m in range(3)]


def at(minute: float) -> datetime:
    return DAY + timedelta(minutes=minute)


MINUTES = st.integers(7 * 12, 20 * 12).map(lambda n: n * 5)
MAYBE_PLACES = st.none() | st.sampled_from(PLACES)
SKILLS = st.dictionaries(st.sampled_from(["power", "cooling"]), st.integers(1, 3), max_size=2)
STOCK = st.dictionaries(st.sampled_from(["fuse", "cable"]), st.integers(0, 2))
TERRITORIES = st.sampled_from(["north", "south", "west"])


@st.composite
def shifts(draw: st.DrawFn) -> tuple[Shift, ...]:
    """One shift of a day, or two with a pause, breaks within."""
    made = []
    for start, end in draw(st.sampled_from([[(8, 17)], [(8, 12), (13, 18)], [(9, 15)]])):
        breaks = []
        for _ in range(draw(st.integers(0, 2))):
            first = draw(st.integers(start * 4, end * 4 - 4)) * 15
            length = draw(st.sampled_from([15, 30, 45]))
            last = min(first + length + draw(st.integers(0, 8)) * 15, end * 60)
            if first + length <= last:
                breaks.append(Break(at(first), at(last), length))
        made.append(
            Shift(
                at(start * 60),
                at(end * 60),
                start_place=draw(MAYBE_PLACES),
                end_place=draw(MAYBE_PLACES),
                breaks=tuple(breaks),
                done_minutes=draw(st.sampled_from([0, 60])),
                done_visits=draw(st.integers(0, 2)),
            )
        )
    return tuple(made)


@st.composite
def visits(draw: st.DrawFn) -> tuple[Busy, ...]:
    """Visits one after the other, with time between them or without."""
    made, now = [], 8 * 60
    for _ in range(draw(st.integers(0, 4))):
        start = now + draw(st.integers(0, 24)) * 5
        now = start + draw(st.integers(2, 18)) * 5
        made.append(Busy(at(start), at(now), draw(st.sampled_from(PLACES))))
    return tuple(made)


def engineer(id_: str) -> st.SearchStrategy[Candidate]:
    return st.builds(
        Candidate,
        id=st.just(id_),
        name=st.just(id_),
        position=st.sampled_from(PLACES),
        skills=SKILLS,
        shifts=shifts(),
        busy=visits(),
        load_minutes=st.floats(0, 600),
        visits=st.integers(0, 12),
        territory_id=st.none() | TERRITORIES,
        territories=st.frozensets(TERRITORIES, max_size=2),
        online=st.booleans(),
        van_stock=STOCK,
        travel_minutes_max=st.none() | st.sampled_from([12.0, 25.0]),
        work_minutes_max=st.none() | st.sampled_from([120.0, 300.0]),
        visits_max=st.none() | st.sampled_from([2, 4]),
    )


CANDIDATES = st.tuples(*map(engineer, IDS)).map(list)
NEEDS = st.builds(
    lambda window, **values: Need(
        requested=None if window is None else Interval(at(window), at(window + 120)), **values
    ),
    window=st.none() | MINUTES,
    point=st.sampled_from(PLACES),
    duration_minutes=st.integers(2, 36).map(lambda n: n * 5),
    earliest=st.integers(7 * 12, 15 * 12).map(lambda n: at(n * 5 + 0.5)),
    priority=st.sampled_from(list(Priority)),
    due_at=st.none() | MINUTES.map(at),
    territory_id=st.none() | TERRITORIES,
    skills=st.dictionaries(st.sampled_from(["power", "cooling"]), st.integers(1, 2), max_size=1),
    parts=st.dictionaries(st.sampled_from(["fuse", "cable"]), st.integers(1, 2), max_size=1),
    visiting=st.none()
    | st.sampled_from(
        [(Interval(at(540), at(720)), Interval(at(780), at(1020))), (Interval(at(600), at(660)),), ()]
    ),
    not_before=st.none() | MINUTES.map(at),
    required=st.just(frozenset()) | st.frozensets(st.sampled_from(IDS), max_size=2),
    excluded=st.just(frozenset()) | st.frozensets(st.sampled_from(IDS), max_size=1),
    preferred=st.frozensets(st.sampled_from(IDS), max_size=2),
)


def policy_of(overtime: int, minutes: float, secondary: bool, grace: int | None, parts: bool) -> Policy:
    changed = {
        Availability: Availability(overtime_minutes=overtime),
        MaxTravel: MaxTravel(minutes=minutes),
        TerritoryRule: TerritoryRule(secondary=secondary),
        Capacity: Capacity(work_minutes_max=400, visits_max=5),
    }
    rules = [changed.get(type(rule), rule) for rule in STANDARD.rules]
    rules += [DueDate(grace_minutes=grace)] if grace is not None else []
    rules += [PartsOnVan()] if parts else []
    return msgspec.structs.replace(STANDARD, rules=tuple(rules), version=3)


POLICIES = st.builds(
    policy_of,
    st.sampled_from([0, 10, 30]),
    st.sampled_from([30.0, 90.0]),
    st.booleans(),
    st.none() | st.sampled_from([0, 60]),
    st.booleans(),
)
CREWS = st.sampled_from([2, 3])

Case = tuple[Need, list[Candidate], Policy]


@st.composite
def tight(draw: st.DrawFn) -> Case:
    """A case at the edge: the work would start about when it is due, or end about when a shift or a gap does.

    Left to chance, late and long slots are rare, and a rule about them could be broken for hundreds of examples.
    """
    candidates, policy, need = draw(CANDIDATES), draw(POLICIES), draw(NEEDS)
    # What keeps people out for good leaves nothing to be seen of the clock.
    easy: dict[str, object] = {"skills": {}, "parts": {}, "required": frozenset(), "territory_id": None}
    easy |= {"priority": Priority.P1, "visiting": None, "requested": None}
    who = draw(st.sampled_from(candidates))
    shift = draw(st.sampled_from(who.shifts))
    ends = [shift.end, *(busy.start for busy in who.busy if shift.start < busy.start < shift.end)]
    length = timedelta(minutes=need.duration_minutes)
    start = draw(st.sampled_from(ends)) - length - timedelta(minutes=draw(st.integers(-2, 8)) * 5)
    match draw(st.sampled_from(["end", "due", "both", "open"])):
        case "end":
            easy |= {"not_before": start, "due_at": None, "earliest": min(need.earliest, start)}
        case "due":
            easy |= {"due_at": need.earliest + timedelta(minutes=draw(st.integers(-2, 24)) * 5)}
            easy |= {"not_before": None}
        case "open":
            opens = start - timedelta(minutes=draw(st.integers(0, 12)) * 5)
            closes = start + length + timedelta(minutes=draw(st.integers(-4, 4)) * 5)
            hours = (Interval(opens, closes),) if opens < closes else ()
            easy |= {"not_before": start, "due_at": None, "visiting": hours}
        case "both":
            easy |= {"not_before": start, "due_at": start + timedelta(minutes=draw(st.integers(-3, 3)) * 5)}
    return msgspec.structs.replace(need, **easy), candidates, policy


CASES = st.tuples(NEEDS, CANDIDATES, POLICIES) | tight()
