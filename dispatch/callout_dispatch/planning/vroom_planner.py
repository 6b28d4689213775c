"""The planner "vroom": VROOM finds who does what, an own search mends what VROOM has no words for.

1. What is fixed is put down: visits that reality or a person has locked in time, what stands where nobody else may go, then
   crews and visits that follow others, each at the time where it costs least (`special.py`).
2. VROOM solves the rest, once from the standing plan and once from nothing; beside them stands the plan that only adds to
   what is there. The one that costs least (`cost.py`: moves and lateness have their price) is kept.
3. `ruin.py` makes it better in the time that is left, and puts in what VROOM left out: late rather than never, with a
   visit to a depot where the van lacks a part.
4. Where the checker finds fault with it all the same (an engineer was told of a visit that found no room among locked ones,
   or of a crew's), the plan is mended as one that reality broke (`inserter.py`); if that fails, the standing one is.

The same seed gives the same plan as long as the clock cuts neither VROOM nor the search short, and VROOM answers the same:
about once in thirty times it does not, although no two ways cost the same (`Words._prices`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import ClassVar, Final

import msgspec

from callout_dispatch.planning import ruin
from callout_dispatch.planning.checker import check, home_lane
from callout_dispatch.planning.inserter import repair, standing_plan
from callout_dispatch.planning.recombine import recombine
from callout_dispatch.planning.rows import Tour
from callout_dispatch.planning.ruin import State
from callout_dispatch.planning.sketch import Sketch
from callout_dispatch.planning.special import Specials
from callout_dispatch.planning.terms import Lock, Plan, Problem, Progress
from callout_dispatch.planning.vroom_words import Sequences, Words

SHORT_S: Final = 10.0
"""Up to so much time VROOM explores little."""
VROOM_SHARE: Final = 0.5
"""Of the time, at most so much is VROOM's."""
VROOM_TASKS_MAX: Final = 2_000
"""More tasks than that VROOM does not look through in any time that a dispatcher waits."""
ROUNDS: Final = 3
ROUNDS_S_MIN: Final = 3.0
"""With less time than that there is one round, and nothing is put together from tours of several plans."""
STEPS_PER_TASK: Final = 150
"""A round is not longer than that, so that a small problem is done before its time is over."""
STILL: Final = 3
"""So many rounds in a row without a better plan, and there is none to be expected."""
MIXING_SHARE: Final = 0.25
COOLER: Final = 0.4
WARM_HEAT: Final = 0.2
"""A plan that stands is searched around, not melted down."""


class VroomPlanner:
    """See the module. `exploration`: VROOM's effort, 0 to 5 (None: by the time there is). `search`: whether step 3 is done.

    `waiting`: what a second of waiting costs beside a second of travel. `steps`: how many a round of the search has (None: by
    the time there is); few of them and much time, and no clock decides.
    """

    name: ClassVar[str] = "vroom"

    def __init__(
        self,
        *,
        exploration: int | None = None,
        threads: int = 1,
        search: bool = True,
        waiting: float = 0.0,
        steps: int | None = None,
    ) -> None:
        if exploration is not None and not 0 <= exploration <= 5:
            raise ValueError("exploration must be between 0 and 5")
        self.exploration, self.threads, self.search, self.waiting = exploration, threads, search, waiting
        self.steps = steps

    def solve(self, problem: Problem, *, seconds_max: float, seed: int, progress: Progress) -> Plan:
        """The best plan found in about `seconds_max`."""
        began = time.monotonic()
        progress(0.0, "reading")
        sketch = Sketch(problem, waiting=self.waiting)
        fixed, standing, movable, special = self._sorted(sketch)
        state = ruin.start(sketch, _merged(sketch, fixed, standing), movable)
        specials = Specials(sketch, state, special)
        specials.place()
        fixed = {row: specials.fixed_in(row, tokens) for row, tokens in _all_rows(sketch, fixed)}
        warm = {tour.row: tour.tokens for tour in state.tours if tour.tokens}
        stood = len(state.absent) < len(movable)
        best = state
        if stood:
            best = state.copy()
            ruin.fill(best)
        progress(0.1, "solving")
        words = Words(sketch, movable, fixed)
        for sequences in self._answers(words, warm if stood else None, began, seconds_max):
            other = ruin.start(sketch, sequences.items(), movable)
            ruin.fill(other)
            if other.cost < best.cost or best is state:
                best = other
        if best is state:
            ruin.fill(best)
        if self.search:
            best = self._improved(best, began, seconds_max, seed, WARM_HEAT if stood else 1.0, progress)
        progress(0.97, "writing")
        plan = self._plan(best, specials)
        if check(problem, plan):
            plan = repair(problem, plan)
        if check(problem, plan):
            # Two locked visits in each other's way: what stands says best how to live with that.
            plan = repair(problem, msgspec.structs.replace(standing_plan(problem), planner=self.name))
        return plan

    def _answers(
        self, words: Words, warm: Sequences | None, began: float, seconds_max: float
    ) -> Iterable[Sequences]:
        """What VROOM makes of the problem, as often as there is time for."""
        if len(words.jobs) > VROOM_TASKS_MAX:
            return
        level = self.exploration
        if level is None:
            level = 5 if seconds_max > SHORT_S or len(words.jobs) <= 120 else 1
        begins = (None,) if warm is None else (warm, None)
        for n, begin in enumerate(begins):
            spent = time.monotonic() - began
            limit_s = (seconds_max * VROOM_SHARE - spent) / (len(begins) - n)
            if n and limit_s < 0.25:
                return
            sequences = words.solve(
                exploration=level, threads=self.threads, seconds_max=limit_s, standing=begin
            )
            if sequences is not None:
                yield sequences

    def _improved(
        self, state: State, began: float, seconds_max: float, seed: int, heat: float, progress: Progress
    ) -> State:
        """The search in rounds, each cooler than the one before; between them the best of all tours seen so far.

        After the last of them it begins again with the first, until the time is over or nothing comes of it any more.
        """
        pool: dict[tuple[int, tuple[int, ...]], Tour] = {}
        end = began + seconds_max - 0.02
        left_s = end - time.monotonic()
        rounds = ROUNDS if seconds_max >= ROUNDS_S_MIN else 1
        # By the time that was granted, not by what the clock has left of it: the same steps on every machine.
        steps = int(seconds_max * (1 - VROOM_SHARE) / rounds * ruin.STEPS_PER_S)
        steps = (
            min(steps, STEPS_PER_TASK * len(state.sketch.problem.tasks)) if self.steps is None else self.steps
        )
        round_s, n, still = left_s / rounds, 0, 0
        while n < rounds or (rounds > 1 and still < STILL):
            until = max(end - round_s * max(0, rounds - n - 1), min(end, time.monotonic() + 0.5 * round_s))
            search_s = until - time.monotonic() - (MIXING_SHARE * round_s if rounds > 1 else 0.0)
            if search_s <= 0:
                break
            cost, share = state.cost, 0.5 + 0.45 * (1 - max(0.0, end - time.monotonic()) / max(left_s, 1e-9))
            state = ruin.search(
                state,
                seconds_max=search_s,
                seed=seed + n,
                heat=heat * COOLER ** (n % rounds),
                steps=steps,
                told=lambda part, share=share: progress(share + part * (0.95 - share) / rounds, "improving"),  # type: ignore[misc]
                pool=pool if rounds > 1 else None,
            )
            if rounds > 1:
                limit_s = min(end - time.monotonic(), MIXING_SHARE * round_s)
                if limit_s > 0.05:
                    state = recombine(state, pool.values(), seconds_max=limit_s, seed=seed)
            still = 0 if state.cost < cost - 1e-6 else still + 1
            n += 1
        return state

    def _sorted(self, sketch: Sketch) -> tuple[Sequences, Sequences, list[int], list[int]]:
        """Fixed and standing tasks by lane, and which tasks may move freely or are placed one by one."""
        problem = sketch.problem
        rows = {row.lane.id: n for n, row in enumerate(sketch.rows)}
        followed = {task.follows for task in problem.tasks}
        fixed: dict[int, list[int]] = {}
        standing: dict[int, list[int]] = {}
        movable: list[int] = []
        special: list[int] = []
        for token, task in enumerate(problem.tasks):
            own: list[int] = []
            if task.standing is not None:
                lanes = (
                    home_lane(problem, name, task.standing.start_s) for name in task.standing.engineer_ids
                )
                own = [rows[lane.id] for lane in lanes if lane is not None]
            if own and task.standing and (task.lock is Lock.TIME or not sketch.allowed[token]):
                # What stands where nobody else may go stays: to take it out would only make it worse.
                sketch.fixed[token] = task.standing.start_s
                sketch.real.add(token)
                for row in own:
                    fixed.setdefault(row, []).append(token)
            elif task.lock is Lock.TIME:
                sketch.allowed[token] = []
                movable.append(token)
            elif task.crew > 1 or task.follows is not None or task.id in followed:
                special.append(token)
            else:
                movable.append(token)
                if own and own[0] in sketch.allowed[token]:
                    standing.setdefault(own[0], []).append(token)

        def by_time(tokens: list[int]) -> tuple[int, ...]:
            return tuple(sorted(tokens, key=lambda t: (sketch.standing[t] or ((), 0))[1]))

        return (
            {row: by_time(tokens) for row, tokens in fixed.items()},
            {row: by_time(tokens) for row, tokens in standing.items()},
            movable,
            special,
        )

    def _plan(self, state: State, specials: Specials) -> Plan:
        sketch = state.sketch
        tasks = sketch.problem.tasks
        left = [sketch.compatibility.left(tasks[token]) for token in sorted(state.absent)]
        return Plan(
            routes=tuple(sketch.stops(tour) for tour in state.tours if tour.tokens),
            left=tuple(left + specials.left()),
            planner=self.name,
        )


def _merged(sketch: Sketch, fixed: Sequences, standing: Sequences) -> Iterable[tuple[int, tuple[int, ...]]]:
    for row in sorted({*fixed, *standing}):
        tokens = fixed.get(row, ()) + standing.get(row, ())
        yield row, tuple(sorted(tokens, key=lambda t: (sketch.standing[t] or ((), 0))[1]))


def _all_rows(sketch: Sketch, fixed: Sequences) -> Iterable[tuple[int, tuple[int, ...]]]:
    for row in range(len(sketch.rows)):
        yield row, fixed.get(row, ())
