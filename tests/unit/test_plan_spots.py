"""The quick way to price an insertion says the same as making the tour: else the search runs after gains that are none."""

from __future__ import annotations

import random

import numpy as np
import pytest

from callout_dispatch.planning.ruin import State, fill
from callout_dispatch.planning.sketch import Sketch
from callout_dispatch.planning.spots import errand_moved, insertion
from callout_dispatch.planning.terms import Lane, Problem, Stock, Task
from callout_dispatch.policy import STANDARD, MaxTravel, PartsOnVan, Policy
from callout_orders.terms import Priority

MINUTE, HOUR = 60, 3600
EIGHT = 1_750_060_800
KINDS = ("cable", "filter", "pump")


def drawn(seed: int, *, parts: bool) -> Problem:
    """Four engineers and forty tasks on a plane, some with parts that not every van carries, a third with narrow windows."""
    rng = random.Random(seed)
    at = np.array([(rng.uniform(0, 3_000), rng.uniform(0, 3_000)) for _ in range(45)])
    apart = np.hypot(at[:, None, 0] - at[:, 0], at[:, None, 1] - at[:, 1])
    tasks = []
    for n in range(40):
        first = EIGHT + rng.randrange(0, 7 * HOUR)
        width = 10 * MINUTE if n % 3 == 0 else rng.randrange(HOUR, 4 * HOUR)
        tasks.append(
            Task(
                id=f"t{n}",
                order_id=f"o{n}",
                place=n,
                service_s=rng.choice((10, 25, 40)) * MINUTE,
                windows=((first, first + width),),
                due_s=EIGHT + 24 * HOUR,
                priority=Priority.P1,
                parts={rng.choice(KINDS): 1} if parts and n % 2 else {},
            )
        )
    lanes = [
        Lane(
            id=f"e{n}:0",
            engineer_id=f"e{n}",
            start_s=EIGHT,
            end_s=EIGHT + 9 * HOUR,
            start_place=40 + n,
            end_place=None if n == 3 else 40 + n,
            van={kind: rng.randrange(3) for kind in KINDS},
        )
        for n in range(4)
    ]
    depot = Stock(id="d", place=44, service_s=5 * MINUTE, parts=dict.fromkeys(KINDS, 1_000))
    rules = (*(rule for rule in STANDARD.rules if not isinstance(rule, PartsOnVan)), PartsOnVan(pickup=True))
    if seed % 2:
        rules = (*(rule for rule in rules if not isinstance(rule, MaxTravel)), MaxTravel(minutes=35))
    return Problem(
        tasks=tuple(tasks),
        lanes=tuple(lanes),
        seconds=np.ceil(apart).astype(np.int32),
        now_s=EIGHT + 20 * MINUTE,
        policy=Policy(rules=rules),
        depots=(depot,),
    )


@pytest.mark.parametrize("waiting", (0.0, 0.3, 1.0))
@pytest.mark.parametrize("seed", (1, 2, 3))
def test_an_insertion_costs_what_its_tour_costs(seed: int, waiting: float) -> None:
    """Each task goes into tours that grow; the price must be that of the best tour that any spot gives."""
    sketch = Sketch(drawn(seed, parts=False), waiting=waiting)
    rng = random.Random(seed)
    tried = 0
    for row in range(4):
        for _ in range(10):
            tour = sketch.tour(row, ())
            assert tour is not None
            for token in rng.sample(range(40), 20):
                assert tour.plain
                spots = (
                    sketch.tour(row, (*tour.tokens[:n], token, *tour.tokens[n:]))
                    for n in range(len(tour.tokens) + 1)
                )
                least = min((made.cost for made in spots if made is not None), default=None)
                found = insertion(sketch, tour, token)
                if found is None or least is None:
                    assert found is None
                    assert least is None
                    continue
                assert found[0] == pytest.approx(least - tour.cost)
                made = sketch.tour(row, found[1])
                assert made is not None
                assert made.cost == pytest.approx(least)
                exact = sketch.timed(row, made.tokens)
                assert exact is not None
                assert exact.cost == pytest.approx(made.cost)
                tour, tried = made, tried + 1
    assert tried > 100


@pytest.mark.parametrize("waiting", (0.0, 1.0))
@pytest.mark.parametrize("seed", (1, 2, 3))
def test_an_errand_costs_what_its_tour_costs(seed: int, waiting: float) -> None:
    """A tour that fetches parts is priced like any other, and moving the errand never makes it dearer."""
    sketch = Sketch(drawn(seed, parts=True), waiting=waiting)
    rng = random.Random(seed)
    fetched = 0
    for row in range(4):
        for _ in range(10):
            tour = sketch.tour(row, ())
            assert tour is not None
            for token in rng.sample(range(40), 20):
                found = insertion(sketch, tour, token)
                if found is None:
                    continue
                made = sketch.tour(row, found[1])
                assert made is not None
                assert made.cost == pytest.approx(tour.cost + found[0])
                tour = errand_moved(sketch, made)
                assert tour.cost <= made.cost + 1e-9
                assert {t for t in tour.tokens if t < 40} == {t for t in made.tokens if t < 40}
                fetched += tour.tokens.count(40)
    assert fetched > 20


def test_a_state_knows_what_it_costs() -> None:
    """The search compares sums that it carries on from step to step; one that drifts accepts what is worse."""
    sketch = Sketch(drawn(2, parts=True), waiting=1.0)
    tours = [tour for row in range(4) if (tour := sketch.tour(row, ())) is not None]
    state = State(sketch, tours, set(range(40)))
    fill(state)
    assert len(state.absent) < 30
    assert state.cost == pytest.approx(State(sketch, state.tours, state.absent).cost)
