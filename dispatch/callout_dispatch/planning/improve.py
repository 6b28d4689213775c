"""Fills a plan in the making and makes it cheaper: regret insertion, then ruin and recreate. Pure, and the same for a seed.

Regret insertion (Potvin, Rousseau: the task goes first that would lose most by waiting for its second-best lane), on top of
what the task is worth. Ruin and recreate (Schrimpf et al.): a few neighbouring visits are taken out and put back in another
order, kept if that is cheaper; relocations, swaps and moves of short strings are special cases of it. The number of rounds
is reckoned beforehand from the time allowed; the clock only ends what takes far longer than reckoned.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from callout_dispatch.planning.cost import worth_s
from callout_dispatch.planning.places import best, best_on
from callout_dispatch.planning.sheet import Sheet
from callout_dispatch.planning.terms import Lock, Task

ROUNDS_PER_S: Final = 200_000
"""Rounds of ruin and recreate a second, times tasks and 100 more: what a slow machine manages."""
ROUNDS_MAX: Final = 20_000
TAKEN_MAX: Final = 8
NEAR_MAX: Final = 40
"""So many nearest visits are looked at for what is taken out together."""

Told = Callable[[float], bool]
"""Called with how far the work is, 0 to 1; True: time is up."""


def rounds(problem_size: int, seconds_max: float) -> int:
    """How many rounds of ruin and recreate are tried in that time."""
    return max(50, min(ROUNDS_MAX, int(seconds_max * ROUNDS_PER_S / (100 + problem_size))))


def fill(sheet: Sheet, waiting: Sequence[Task], told: Told = lambda _: False) -> list[Task]:
    """Puts as many of these tasks in as it can; returns the others. Each place is feasible when it is given."""
    together = [task for task in waiting if task.id in sheet.coupled]
    together.sort(key=lambda task: (-worth_s(sheet.problem, task) * task.crew, task.due_s, task.id))
    alone = [task for task in waiting if task.id not in sheet.coupled]
    left = _in_turn(sheet, together)
    _by_regret(sheet, alone, told)
    # Coupled tasks may fit now that what they follow is in; single ones where breaks make room.
    rest = [task for task in alone if task.id not in sheet.where]
    rest.sort(key=lambda task: (-worth_s(sheet.problem, task), task.due_s, task.id))
    return _in_turn(sheet, [*left, *rest])


def _in_turn(sheet: Sheet, tasks: list[Task]) -> list[Task]:
    """One after the other, until nothing more fits."""
    while True:
        before = len(tasks)
        for task in tasks:
            found = best(sheet, task)
            if found is not None:
                sheet.put(task, found.places)
        tasks = [task for task in tasks if task.id not in sheet.where]
        if len(tasks) == before or not any(task.follows for task in tasks):
            return tasks


def _by_regret(sheet: Sheet, tasks: Sequence[Task], told: Told) -> None:
    if not tasks or not sheet.tracks:
        return
    worth = np.array([worth_s(sheet.problem, task) for task in tasks], float)
    prices = np.full((len(tasks), len(sheet.tracks)), np.inf)
    for row, task in enumerate(tasks):
        for index in sheet.lanes_for(task):
            prices[row, index] = _price(sheet, task, index)
    done = 0
    while True:
        next_row = _dearest(prices, worth)
        if next_row is None or told(done / len(tasks)):
            return
        task, index = tasks[next_row], int(prices[next_row].argmin())
        place = best_on(sheet, task, index) if sheet.has_room(task, index) else None
        if place is None:
            prices[next_row, index] = np.inf
            continue
        sheet.put(task, (place,))
        prices[next_row] = np.inf
        done += 1
        for changed in sheet.by_engineer[sheet.tracks[index].lane.engineer_id]:
            for other in np.flatnonzero(np.isfinite(prices[:, changed])).tolist():
                prices[other, changed] = _price(sheet, tasks[other], changed)


def _price(sheet: Sheet, task: Task, index: int) -> float:
    if not sheet.has_room(task, index):
        return np.inf
    place = best_on(sheet, task, index, quick=True)
    return np.inf if place is None else place.price


def _dearest(prices: NDArray[np.float64], worth: NDArray[np.float64]) -> int | None:
    """The row that most needs to go now: by its worth, and by what its second-best lane costs more; None: none fits."""
    lowest = prices.min(axis=1)
    fits = np.isfinite(lowest)
    if not fits.any():
        return None
    alone = prices.shape[1] == 1
    second = np.full(len(prices), np.inf) if alone else np.partition(prices, 1, axis=1)[:, 1]
    with np.errstate(invalid="ignore"):
        regret = np.minimum(np.where(np.isfinite(second), second - lowest, worth), worth)
    return int(np.where(fits, worth + regret, -np.inf).argmax())


# ------------------------------------------------------------------------------------------ ruin and recreate


def improve(sheet: Sheet, *, rounds_max: int, seed: int, told: Told) -> None:
    """Makes the plan cheaper, never dearer. Locked, frozen and coupled visits stay where they are."""
    dice = random.Random(seed)
    movable = [
        task
        for task in sheet.problem.tasks
        if task.id not in sheet.coupled and task.lock is Lock.NONE and task.id not in sheet.frozen
    ]
    if not movable or not sheet.tracks:
        return
    near = _nearest(sheet, movable)
    worth = {task.id: worth_s(sheet.problem, task) for task in movable}
    price = _price_now(sheet, worth)
    for number in range(rounds_max):
        if number % 16 == 0 and told(number / rounds_max):
            return
        tracks, where = list(sheet.tracks), dict(sheet.where)
        pool = _ruin(sheet, movable, near, dice)
        if all(new is old or new.feasible for new, old in zip(sheet.tracks, tracks, strict=True)):
            _recreate(sheet, pool, worth, dice)
            changed = _price_now(sheet, worth)
            if changed < price - 1e-6:
                price = changed
                continue
        sheet.tracks, sheet.where = tracks, where


def _price_now(sheet: Sheet, worth: Mapping[str, float]) -> float:
    """The part of the plan's cost that can change here."""
    price = sum(track.cost for track in sheet.tracks)
    return price + sum(value for name, value in worth.items() if name not in sheet.where)


def _nearest(sheet: Sheet, movable: Sequence[Task]) -> NDArray[np.intp]:
    """For each task the indexes of those nearest to it, itself first."""
    places = np.array([task.place for task in movable])
    ways = sheet.problem.seconds[np.ix_(places, places)].astype(np.int64)
    ways += ways.T
    np.fill_diagonal(ways, -1)
    kept = min(NEAR_MAX, len(movable))
    nearest: NDArray[np.intp] = np.argsort(ways, axis=1, kind="stable")[:, :kept]
    return nearest


def _ruin(sheet: Sheet, movable: Sequence[Task], near: NDArray[np.intp], dice: random.Random) -> list[Task]:
    """Takes some neighbouring visits out; returns them with tasks that are left out nearby."""
    centre = dice.randrange(len(movable))
    wanted = dice.randint(1, TAKEN_MAX)
    pool: list[Task] = []
    for n in near[centre]:
        if len(pool) >= wanted:
            break
        task = movable[n]
        # Some neighbours are passed over, so that the same centre does not always take the same ones.
        if n == centre or dice.random() < 0.7:
            if task.id in sheet.where:
                sheet.take(task.id)
            pool.append(task)
    out = [task for task in movable if task.id not in sheet.where and task not in pool]
    if out:
        pool.append(dice.choice(out))
    return pool


def _recreate(sheet: Sheet, pool: list[Task], worth: Mapping[str, float], dice: random.Random) -> None:
    """Puts them back one by one: mostly the most urgent first, now and then in any order."""
    dice.shuffle(pool)
    way = dice.random()
    if way < 0.5:
        pool.sort(key=lambda task: -worth[task.id])
    elif way < 0.75:
        pool.sort(key=lambda task: sum(last - first for first, last in task.windows))
    for task in pool:
        found = best(sheet, task, shift_rests=False)
        if found is not None:
            sheet.put(task, found.places)
