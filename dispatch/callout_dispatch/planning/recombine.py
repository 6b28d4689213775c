"""The best plan that can be put together from tours that a search came by: a set-partitioning problem, solved by HiGHS. Pure.

After the second phase of V. Pillac, C. Guéret, A. Medaglia, "A parallel matheuristic for the technician routing and
scheduling problem" (Optimization Letters 7, 2013): where rules are many, a search finds good tours long before it finds
good plans, because no single plan held all the good ones at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from callout_dispatch.planning.rows import Tour
from callout_dispatch.planning.ruin import State

TOURS_MAX: Final = 25_000
"""More tours than that make the problem slow; the cheapest for what they hold are kept."""


def recombine(state: State, pool: Iterable[Tour], *, seconds_max: float, seed: int) -> State:
    """The state itself, or a better one made of tours of the pool."""
    import highspy  # A planner's process alone needs it.

    sketch = state.sketch
    free = {t for tour in state.tours for t in tour.tokens if t < sketch.depot0 and t not in sketch.fixed}
    free |= {token for token in state.absent if sketch.allowed[token]}
    tours = _chosen(state, pool)
    tokens = sorted(free)
    line = {token: n for n, token in enumerate(tokens)}
    lanes = {row: len(tokens) + n for n, row in enumerate(sorted({tour.row for tour in tours}))}
    starts, indexes = [0], list[int]()
    costs: list[float] = []
    for tour in tours:
        indexes += [line[token] for token in tour.tokens if token in line] + [lanes[tour.row]]
        starts.append(len(indexes))
        costs.append(tour.cost)
    for token in tokens:
        indexes.append(line[token])
        starts.append(len(indexes))
        costs.append(float(sketch.worth_s[token]))
    count = len(costs)
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = count, len(tokens) + len(lanes)
    model.col_cost_ = np.array(costs)
    model.col_lower_, model.col_upper_ = np.zeros(count), np.ones(count)
    model.row_lower_ = model.row_upper_ = np.ones(model.num_row_)
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = np.array(starts)
    model.a_matrix_.index_ = np.array(indexes)
    model.a_matrix_.value_ = np.ones(len(indexes))
    model.integrality_ = [highspy.HighsVarType.kInteger] * count
    solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("random_seed", seed % 2**31)
    solver.setOptionValue("time_limit", float(seconds_max))
    solver.setOptionValue("mip_rel_gap", 1e-5)
    solver.passModel(model)
    warm = highspy.HighsSolution()
    present = {(tour.row, tour.tokens) for tour in state.tours}
    warm.col_value = [float((tour.row, tour.tokens) in present) for tour in tours] + [
        float(token in state.absent) for token in tokens
    ]
    solver.setSolution(warm)
    solver.run()
    values = list(solver.getSolution().col_value)
    if len(values) != count:
        return state
    return _taken(state, [tour for tour, value in zip(tours, values, strict=False) if value > 0.5])


def _chosen(state: State, pool: Iterable[Tour]) -> list[Tour]:
    """The tours to choose from: all that stand, of each lane the bare one, and the best of the pool."""
    sketch = state.sketch
    found: dict[tuple[int, tuple[int, ...]], Tour] = {}
    for tour in state.tours:
        found[tour.row, tour.tokens] = tour
        bare = sketch.tour(tour.row, tuple(token for token in tour.tokens if token in sketch.fixed))
        if bare is not None:
            found[bare.row, bare.tokens] = bare
    best: dict[tuple[int, frozenset[int]], Tour] = {}
    for tour in pool:
        key = (tour.row, frozenset(token for token in tour.tokens if token < sketch.depot0))
        if key not in best or tour.cost < best[key].cost:
            best[key] = tour
    ordered = sorted(
        best.values(), key=lambda tour: (tour.cost / max(1, len(tour.tokens)), tour.row, tour.tokens)
    )
    for tour in ordered[:TOURS_MAX]:
        found[tour.row, tour.tokens] = tour
    return list(found.values())


def _taken(state: State, chosen: list[Tour]) -> State:
    """The state with these tours, unless it is no better or takes more parts than there are."""
    new = state.copy()
    for tour in chosen:
        new.put(tour)
    planned = {token for tour in new.tours for token in tour.tokens}
    everything = {token for tour in state.tours for token in tour.tokens} | state.absent
    new.absent = {token for token in everything if token not in planned and token < state.sketch.depot0}
    new = State(state.sketch, new.tours, new.absent)
    twice = sum(len(tour.tokens) for tour in new.tours) - len(planned)
    depots = sum(1 for tour in new.tours for token in tour.tokens if token >= state.sketch.depot0)
    if twice > depots or not all(new.stock_holds(tour.row, tour.tokens) for tour in new.tours):
        return state
    return new if new.cost < state.cost - 1e-9 else state
