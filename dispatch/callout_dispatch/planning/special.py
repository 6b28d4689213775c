"""Visits that need more than one look: crews, and visits that follow others. Each is put down once, and stays. Pure.

They are placed before everything else, the most precious first and what must come first before what follows it: around
what stands, at the moment where it costs least, or where they stand already.
"""

from __future__ import annotations

from typing import Final

from callout_dispatch.pick_terms import Reason, ReasonCode
from callout_dispatch.planning.reasons import NEVER_S
from callout_dispatch.planning.ruin import State
from callout_dispatch.planning.sketch import Sketch
from callout_dispatch.planning.spots import insertion_at
from callout_dispatch.planning.terms import Left

MOMENTS_MAX: Final = 60
"""So many moments of its windows are tried for a task."""
MOMENT_S_MIN: Final = 600
ROWS_MAX: Final = 300


class Specials:
    """The special tasks of a problem, and where they went."""

    def __init__(self, sketch: Sketch, state: State, tokens: list[int]) -> None:
        self.sketch, self.state = sketch, state
        self.tokens = tokens
        self.index = {task.id: n for n, task in enumerate(sketch.problem.tasks)}
        self.placed: dict[int, tuple[int, ...]] = {}
        self.lacks: dict[int, ReasonCode] = {}

    def place(self) -> None:
        """Put down what can be, in an order in which nothing comes before what it follows."""
        done: set[int] = set()
        wait = sorted(self.tokens, key=lambda token: (-self.sketch.worth_s[token], token))
        while wait:
            ready = next((token for token in wait if self._before(token) not in wait), wait[0])
            wait.remove(ready)
            self._place(ready)
            done.add(ready)

    def fixed_in(self, row: int, tokens: tuple[int, ...]) -> tuple[int, ...]:
        """The fixed tasks of a lane with the special ones among them, by time."""
        own = [token for token, rows in self.placed.items() if row in rows]
        return tuple(sorted((*tokens, *own), key=lambda token: self.sketch.fixed[token]))

    def left(self) -> list[Left]:
        """Those that found no place, with reasons."""
        found = []
        for token in self.tokens:
            if token in self.placed:
                continue
            task = self.sketch.problem.tasks[token]
            reasons = self.sketch.compatibility.reasons(task)
            code = self.lacks.get(token)
            found.append(Left(task_id=task.id, reasons=reasons if code is None else (Reason(code), *reasons)))
        return found

    def _before(self, token: int) -> int:
        follows = self.sketch.problem.tasks[token].follows
        return -1 if follows is None else self.index[follows]

    def _place(self, token: int) -> None:
        sketch, task = self.sketch, self.sketch.problem.tasks[token]
        earliest_s = 0
        before = self._before(token)
        if before >= 0:
            start_s = sketch.fixed.get(before)
            if start_s is None:
                self.lacks[token] = ReasonCode.PREDECESSOR
                return
            earliest_s = start_s + sketch.service_s[before] + task.follows_gap_s
        best: tuple[float, int, tuple[tuple[int, tuple[int, ...]], ...]] | None = None
        standing = sketch.standing[token]
        if standing is not None and standing[1] >= earliest_s:
            best = self._at(token, standing[1], best)
        if best is None or best[0] > 0:
            for at_s in self._moments(token, earliest_s):
                best = self._at(token, at_s, best)
        if best is None:
            if task.crew > 1:
                self.lacks[token] = ReasonCode.CREW_INCOMPLETE
            return
        _, at_s, changes = best
        sketch.fixed[token] = at_s
        for row, tokens in changes:
            tour = sketch.tour(row, tokens)
            assert tour is not None, "an insertion that was found can be made"
            self.state.put(tour)
        self.placed[token] = tuple(row for row, _ in changes)

    def _moments(self, token: int, earliest_s: int) -> list[int]:
        """Starts to be tried: evenly over what the windows and the lanes leave, and just when a lane becomes free."""
        sketch = self.sketch
        rows = [sketch.rows[row] for row in sketch.allowed[token]]
        if not rows:
            return []
        open_s = min(
            max(row.open_s, sketch.problem.now_s) + row.ways[row.start][sketch.places[token]] for row in rows
        )
        close_s = max(row.work_end_s for row in rows) - sketch.service_s[token]
        spans = [(max(a, earliest_s, open_s), min(b, close_s)) for a, b in sketch.windows[token]]
        spans = [(a, b) for a, b in spans if a <= b]
        total_s = sum(b - a for a, b in spans)
        step_s = max(MOMENT_S_MIN, total_s // MOMENTS_MAX)
        return [at_s for a, b in spans for at_s in (*range(a, b, step_s), b)]

    def _at(
        self, token: int, at_s: int, best: tuple[float, int, tuple[tuple[int, tuple[int, ...]], ...]] | None
    ) -> tuple[float, int, tuple[tuple[int, tuple[int, ...]], ...]] | None:
        """The cheapest crew that can be there then, if it is cheaper than the best one so far."""
        sketch = self.sketch
        if not any(a <= at_s <= b for a, b in sketch.windows[token]):
            return best
        by_engineer: dict[int, tuple[float, int, tuple[int, ...]]] = {}
        for row in sketch.allowed[token][:ROWS_MAX]:
            found = insertion_at(sketch, self.state.tours[row], token, at_s)
            if found is None or not self.state.stock_holds(row, found[1]):
                continue
            engineer = sketch.rows[row].engineer
            if found[0] < by_engineer.get(engineer, (NEVER_S, 0, ()))[0]:
                by_engineer[engineer] = (found[0], row, found[1])
        crew = sketch.problem.tasks[token].crew
        if len(by_engineer) < crew:
            return best
        chosen = sorted(by_engineer.values())[:crew]
        price = sum(found[0] for found in chosen)
        if price >= sketch.worth_s[token] * crew or (best is not None and price >= best[0]):
            return best
        return price, at_s, tuple((row, tokens) for _, row, tokens in chosen)
