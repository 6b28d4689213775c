"""Ruin and recreate: takes neighbouring visits out of a plan and puts them back better, again and again. Pure.

After "Slack induction by string removals" (J. Christiaens, G. Vanden Berghe, Transportation Science 54-2, 2020): strings of
neighbouring visits are taken out of neighbouring tours, and put back greedily in a changing order, now and then passing
over the best lane; what comes out is kept by simulated annealing. Prices are those of `sketch.py`, so that moved and late
visits, rests, told times and visits to a depot need nothing of their own here.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np

from callout_dispatch.planning.rows import Tour
from callout_dispatch.planning.sketch import Sketch
from callout_dispatch.planning.spots import errand_moved

REMOVED_MEAN: Final = 10
STRING_MAX: Final = 10
BLINK: Final = 0.01
SCATTERED, TOGETHER, WHOLE = 0.1, 0.2, 0.08
"""How often scattered tasks are taken out, those of about the same time, or a whole tour, instead of strings."""
ERRAND: Final = 0.05
"""How often a ruined tour visits a depot on trial."""
NEIGHBOURS_MAX: Final = 80
STEPS_PER_S: Final = 2_500
"""Steps that are planned for each second. A machine that is slower cools by the clock instead."""
POOL_MAX: Final = 200_000
HEAT_START, HEAT_END = 1.0, 0.005
"""Temperature, as parts of the mean way to a task."""


class State:
    """Tours by lane and the tasks that are in none."""

    __slots__ = ("absent", "cost", "sketch", "tours")

    def __init__(self, sketch: Sketch, tours: list[Tour], absent: set[int]) -> None:
        self.sketch, self.tours, self.absent = sketch, tours, absent
        self.cost = sum(tour.cost for tour in tours) + sum(sketch.worth_s[token] for token in absent)

    def copy(self) -> State:
        """One that can be changed without changing this one."""
        new: State = State.__new__(State)
        new.sketch, new.cost = self.sketch, self.cost
        new.tours, new.absent = self.tours.copy(), self.absent.copy()
        return new

    def put(self, tour: Tour) -> None:
        """Replace a lane's tour."""
        self.cost += tour.cost - self.tours[tour.row].cost
        self.tours[tour.row] = tour

    def insert(self, token: int, passed_over: Callable[[], bool] | None = None) -> bool:
        """Put an absent task where it costs least, unless leaving it out costs less."""
        sketch, tours = self.sketch, self.tours
        best_cost, best_row = float(sketch.worth_s[token]), -1
        best_tokens: tuple[int, ...] = ()
        shared = sketch.needs[token] is not None
        for row in sketch.allowed[token]:
            tour = tours[row]
            found = tour.best[token] if token in tour.best else sketch.insertion(tour, token)
            if found is None or found[0] >= best_cost or (passed_over is not None and passed_over()):
                continue
            if shared and not self.stock_holds(row, found[1]):
                continue
            best_cost, best_tokens, best_row = found[0], found[1], row
        if best_row < 0:
            return False
        made = sketch.tour(best_row, best_tokens)
        assert made is not None, "an insertion that was found can be made"
        if sketch.pickup and sketch.plenty:
            made = errand_moved(sketch, made)
        self.absent.discard(token)
        self.cost -= sketch.worth_s[token]
        self.put(made)
        return True

    def stock_holds(self, row: int, tokens: tuple[int, ...]) -> bool:
        """Whether the van that an engineer's lanes share, and the depots that all share, hold what is taken."""
        sketch = self.sketch
        lanes = sketch.rows_of[sketch.rows[row].engineer]
        if len(lanes) > 1:
            need = sketch.van_need(tokens) or ()
            others = [self.tours[other].need or () for other in lanes if other != row]
            total = [sum(column) for column in zip(need, *others, strict=True)]
            if any(a > b for a, b in zip(total, sketch.rows[lanes[0]].van, strict=True)):
                return False
        taken = None if sketch.plenty else sketch.taken(tokens)
        if taken is None:
            return True
        total = list(taken[1])
        for tour in self.tours:
            other = sketch.taken(tour.tokens) if tour.row != row else None
            if other is not None and other[0] == taken[0]:
                total = [a + b for a, b in zip(total, other[1], strict=True)]
        return all(a <= b for a, b in zip(total, sketch.stock[taken[0]], strict=True))


def start(sketch: Sketch, sequences: Iterable[tuple[int, tuple[int, ...]]], movable: Iterable[int]) -> State:
    """A state from wished sequences by lane: each whole if it can be driven, else what of it can.

    `sequences` hold fixed tasks too; `movable` are all tasks that may be put anywhere.
    """
    tours: list[Tour] = []
    wished = dict(sequences)
    absent = set(movable)
    for row in range(len(sketch.rows)):
        fixed = tuple(token for token in wished.get(row, ()) if token in sketch.fixed)
        made = sketch.tour(row, fixed)
        assert made is not None, "what is fixed can be driven"
        tours.append(made)
    state = State(sketch, tours, absent)
    for row, tokens in wished.items():
        whole = sketch.tour(row, tokens)
        if whole is not None and state.stock_holds(row, tokens):
            for token in tokens:
                if token in absent:
                    absent.discard(token)
                    state.cost -= sketch.worth_s[token]
            state.put(whole)
            continue
        for token in tokens:
            if token not in absent or row not in sketch.allowed[token]:
                continue
            found = sketch.insertion(state.tours[row], token)
            if found is None or not state.stock_holds(row, found[1]):
                continue
            made = sketch.tour(row, found[1])
            if made is not None:
                absent.discard(token)
                state.cost -= sketch.worth_s[token]
                state.put(made)
    return state


def fill(state: State) -> None:
    """Put in what is absent: the most precious first, of these the ones that have least choice."""
    sketch = state.sketch
    order = sorted(
        state.absent,
        key=lambda token: (-sketch.worth_s[token], len(sketch.allowed[token]), _room(sketch, token), token),
    )
    for token in order:
        state.insert(token)


def search(
    state: State,
    *,
    seconds_max: float,
    seed: int,
    heat: float = 1.0,
    steps: int | None = None,
    told: Callable[[float], None] = lambda share: None,
    pool: dict[tuple[int, tuple[int, ...]], Tour] | None = None,
) -> State:
    """The best state found in that time. `heat` scales the temperature: 0 only ever keeps what is not worse.

    `steps` is how many there are to be (None: by the time), so that the same seed walks the same way however long a step
    takes, until the time is over. `pool` gets all tours that came by, also of states that were not kept, for `recombine.py`.
    """
    sketch = state.sketch
    movable = sorted(
        token
        for token in {t for tour in state.tours for t in tour.tokens} | state.absent
        if token < sketch.depot0 and token not in sketch.fixed and sketch.allowed[token]
    )
    if not movable or seconds_max <= 0:
        return state
    rng = random.Random(seed)
    near = _neighbours(sketch, movable)
    began, steps = time.monotonic(), max(1, int(seconds_max * STEPS_PER_S) if steps is None else steps)
    way_s = max(1.0, sum(tour.cost for tour in state.tours) / len(movable))
    hot, cold = HEAT_START * way_s * heat, HEAT_END * way_s * heat
    current, best = state, state
    where = _where(state, sketch)
    for step in range(steps):
        share = step / steps
        if step % 8 == 0:
            spent = (time.monotonic() - began) / seconds_max
            if spent >= 1:
                break
            if spent > share * 1.25 + 0.1:
                share = spent
            told(share)
        new = current.copy()
        _ruin(new, rng, movable, near, where)
        errands = _send_on_errands(new, current, rng) if sketch.pickup else []
        _recreate(new, rng)
        for row in errands:
            spared = sketch.without(new.tours[row], set())
            if spared is not None:
                new.put(spared)
        if pool is not None and len(pool) < POOL_MAX:
            for row, tour in enumerate(new.tours):
                if tour is not current.tours[row]:
                    pool[row, tour.tokens] = tour
        limit = current.cost
        if hot > 0:
            temperature = hot * (cold / hot) ** share
            limit -= temperature * math.log(1.0 - rng.random())
        if new.cost < limit:
            for row, tour in enumerate(new.tours):
                if tour is not current.tours[row]:
                    for token in tour.tokens:
                        where[token] = row
            for token in new.absent:
                where[token] = -1
            current = new
            if new.cost < best.cost - 1e-9:
                best = new
    return best


def _where(state: State, sketch: Sketch) -> dict[int, int]:
    where = {token: -1 for token in state.absent}
    for tour in state.tours:
        where.update({token: tour.row for token in tour.tokens if token < sketch.depot0})
    return where


def _ruin(
    state: State, rng: random.Random, movable: list[int], near: dict[int, list[int]], where: dict[int, int]
) -> None:
    """Take out strings of neighbours around one task, or scattered ones, or what is near it in time."""
    sketch = state.sketch
    used = [tour for tour in state.tours if tour.tokens]
    if not used:
        return
    way = rng.random()
    if way < SCATTERED:
        _take_out(state, where, rng.sample(movable, min(len(movable), rng.randint(2, 2 * REMOVED_MEAN))))
        return
    if way < SCATTERED + TOGETHER:
        seed = movable[rng.randrange(len(movable))]
        at_s = sketch.windows[seed][0][0] if sketch.windows[seed] else 0
        some = rng.sample(near[seed], min(len(near[seed]), 4 * REMOVED_MEAN))
        some.sort(key=lambda t: abs((sketch.windows[t][0][0] if sketch.windows[t] else 0) - at_s))
        _take_out(state, where, [seed, *some[: rng.randint(2, REMOVED_MEAN)]])
        return
    if way < SCATTERED + TOGETHER + WHOLE:
        tour = min((used[rng.randrange(len(used))] for _ in range(2)), key=lambda one: len(one.tokens))
        loose = [t for t in tour.tokens if t < sketch.depot0 and t not in sketch.fixed]
        if 0 < len(loose) <= 2 * REMOVED_MEAN:
            around = near[rng.choice(loose)][:REMOVED_MEAN]
            _take_out(state, where, [*loose, *rng.sample(around, min(len(around), rng.randint(0, 4)))])
            return
    mean = max(1.0, sum(len(tour.tokens) for tour in used) / len(used))
    string_max = min(float(STRING_MAX), mean)
    strings = int(rng.uniform(1.0, 4.0 * REMOVED_MEAN / (1.0 + string_max)))
    seed = movable[rng.randrange(len(movable))]
    ruined: set[int] = set()
    for token in (seed, *near[seed]):
        if len(ruined) >= max(1, strings):
            break
        row = where.get(token, -1)
        if row < 0 or row in ruined:
            continue
        ruined.add(row)
        tour = state.tours[row]
        loose = [t for t in tour.tokens if t < sketch.depot0 and t not in sketch.fixed]
        length = int(rng.uniform(1.0, min(string_max, len(loose)) + 1.0))
        at = loose.index(token)
        first = rng.randint(max(0, at - length + 1), min(at, len(loose) - length))
        gone = set(loose[first : first + length])
        _cut(state, tour, gone, loose)


def _send_on_errands(state: State, before: State, rng: random.Random) -> list[int]:
    """Let some of the ruined tours visit a depot before it is known what for; their lanes.

    The way there is long for one task that needs parts, and short for several; one by one they would never set out.
    """
    sketch = state.sketch
    rows = []
    for row, tour in enumerate(state.tours):
        if tour is before.tours[row] or rng.random() >= ERRAND:
            continue
        depot = sketch.depot0 + rng.randrange(len(sketch.stock))
        old = next((token for token in tour.tokens if token >= sketch.depot0), None)
        tokens = tuple(token for token in tour.tokens if token != old)
        made = (
            sketch.tour(row, (*tokens[:n], depot if old is None else old, *tokens[n:]))
            for n in range(len(tokens) + 1)
        )
        best = min((tour for tour in made if tour is not None), key=lambda tour: tour.cost, default=None)
        if best is not None:
            state.put(best)
            rows.append(row)
    return rows


def _cut(state: State, tour: Tour, gone: set[int], loose: list[int]) -> None:
    """Take tasks out of a tour, and more of it where the rest could not be driven: a way too long, times told in vain."""
    sketch = state.sketch
    rest = sketch.without(tour, gone)
    while rest is None and len(gone) < len(loose):
        gone.add(next(t for t in loose if t not in gone))
        rest = sketch.without(tour, gone)
    if rest is not None:
        state.absent |= gone
        state.cost += sum(sketch.worth_s[t] for t in gone)
        state.put(rest)


def _take_out(state: State, where: dict[int, int], tokens: list[int]) -> None:
    """Take out just these tasks."""
    by_row: dict[int, set[int]] = {}
    for token in tokens:
        if where.get(token, -1) >= 0:
            by_row.setdefault(where[token], set()).add(token)
    for row, gone in by_row.items():
        tour = state.tours[row]
        loose = [t for t in tour.tokens if t < state.sketch.depot0 and t not in state.sketch.fixed]
        _cut(state, tour, gone, loose)


def _recreate(state: State, rng: random.Random) -> None:
    sketch = state.sketch
    order = sorted(state.absent)
    rng.shuffle(order)
    way = rng.random()
    if way < 0.2:
        order.sort(key=lambda token: len(sketch.allowed[token]))
    elif way < 0.45:
        order.sort(key=lambda token: _room(sketch, token))
    elif way < 0.55:
        order.sort(key=lambda token: sketch.windows[token][0][0] if sketch.windows[token] else 0)
    elif way < 0.65:
        order.sort(key=lambda token: -sketch.service_s[token])
    if rng.random() < 0.5:
        order.sort(key=lambda token: -sketch.worth_s[token])
    for token in order:
        state.insert(token, lambda: rng.random() < BLINK)


def _room(sketch: Sketch, token: int) -> int:
    return sum(last - first for first, last in sketch.windows[token])


def _neighbours(sketch: Sketch, movable: list[int]) -> dict[int, list[int]]:
    """The tasks nearest to each, by the way there and back."""
    places = np.array([sketch.places[token] for token in movable])
    seconds = sketch.problem.seconds
    count = min(len(movable) - 1, NEIGHBOURS_MAX)
    near: dict[int, list[int]] = {}
    for n, token in enumerate(movable):
        both = seconds[places[n], places].astype(np.int64) + seconds[places, places[n]]
        both[n] = np.iinfo(np.int64).max
        closest = np.argpartition(both, count - 1)[:count] if 0 < count < len(both) else np.arange(0)
        closest = closest[np.lexsort((closest, both[closest]))]
        near[token] = [movable[m] for m in closest]
    return near
