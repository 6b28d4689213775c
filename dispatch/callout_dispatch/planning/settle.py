"""A plan in the making from one that is there: from what stands, or from a plan that may be out of date. Pure.

What is locked to its time is frozen where it stands, whatever is wrong with it. Lanes that are still feasible are taken over
as they are. In the others the visits are put back one by one, the locked and the urgent first, on the lanes of the same
engineers; what finds no place there is handed back. A visit locked to its engineer that finds none is frozen as well,
together with its neighbours of the same lock: then nothing is of the plan's making.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from callout_dispatch.planning import check_parts
from callout_dispatch.planning.check_rules import who
from callout_dispatch.planning.checker import home_lane
from callout_dispatch.planning.places import best, with_rests
from callout_dispatch.planning.sheet import Sheet
from callout_dispatch.planning.terms import Lock, Plan, Stop, Task
from callout_dispatch.planning.timing import Item, Track


class Booked(msgspec.Struct, frozen=True):
    """A task on these lanes at that time."""

    task: Task
    lanes: tuple[int, ...]
    start_s: int


def standing(sheet: Sheet) -> list[Booked]:
    """Every task that stands, on the lanes of its engineers; those without a lane here are missing."""
    index_of = {lane.id: index for index, lane in enumerate(sheet.problem.lanes)}
    found = []
    for task in sheet.problem.tasks:
        if task.standing is None:
            continue
        lanes = [home_lane(sheet.problem, name, task.standing.start_s) for name in task.standing.engineer_ids]
        indexes = tuple(index_of[lane.id] for lane in lanes if lane is not None)
        if indexes:
            found.append(Booked(task, indexes, task.standing.start_s))
    return found


def planned(sheet: Sheet, plan: Plan) -> tuple[list[Booked], dict[int, list[Stop]]]:
    """Every task of a plan, and by lane its pick-ups. What is locked is told as it stands, not as the plan has it."""
    index_of = {lane.id: index for index, lane in enumerate(sheet.problem.lanes)}
    known = {task.id for task in sheet.problem.tasks}
    lanes: dict[str, list[int]] = defaultdict(list)
    starts: dict[str, int] = {}
    pickups: dict[int, list[Stop]] = defaultdict(list)
    for route in plan.routes:
        for stop in route.stops if route.lane_id in index_of else ():
            if stop.task_id in known and stop.task_id is not None:
                lanes[stop.task_id].append(index_of[route.lane_id])
                starts[stop.task_id] = stop.start_s
            elif stop.kind == "pickup" and stop.depot_id in sheet.depots:
                pickups[index_of[route.lane_id]].append(stop)
    found = [booked for booked in standing(sheet) if booked.task.lock is not Lock.NONE]
    locked = {booked.task.id for booked in found}
    found += [
        Booked(sheet.problem.task(name), tuple(indexes), starts[name])
        for name, indexes in lanes.items()
        if name not in locked
    ]
    return found, pickups


def settle(
    sheet: Sheet, booked: Iterable[Booked], pickups: Mapping[int, list[Stop]] | None = None
) -> list[Task]:
    """Puts all that is booked onto the empty sheet; returns what found no place, every other task included."""
    booked = sorted(booked, key=lambda one: (one.start_s, one.task.id))
    frozen = {one.task.id for one in booked if one.task.lock is Lock.TIME}
    while True:
        failed = _attempt(sheet, booked, frozen, pickups or {})
        if failed is None:
            break
        touched = {index for one in booked if one.task.id in failed for index in one.lanes}
        frozen |= failed | {
            one.task.id
            for one in booked
            if one.task.lock is not Lock.NONE and touched.intersection(one.lanes)
        }
    return [task for task in sheet.problem.tasks if task.id not in sheet.where]


def _attempt(
    sheet: Sheet, booked: list[Booked], frozen: set[str], pickups: Mapping[int, list[Stop]]
) -> set[str] | None:
    """One try with these frozen. Ids of visits locked to an engineer that found no place; None: all is well."""
    sheet.where, sheet.frozen = {}, frozen
    on_lane: dict[int, list[Booked]] = defaultdict(list)
    for one in booked:
        for index in one.lanes:
            on_lane[index].append(one)
    _reach_of_frozen(sheet, on_lane, frozen)
    good = {
        index
        for index in range(len(sheet.tracks))
        if _whole(sheet, index, on_lane[index], frozen, pickups.get(index, []))
    }
    held = {
        index: [one for one in on_lane[index] if one.task.id in frozen] for index in range(len(sheet.tracks))
    }
    for index in set(held) - good:
        _bare(sheet, index, held[index])
    good = _without_dangling(sheet, booked, held, good)
    for one in booked:
        if one.task.id in frozen or good.issuperset(one.lanes):
            sheet.where[one.task.id] = one.lanes
    waiting = [one for one in booked if one.task.id not in sheet.where]
    waiting.sort(key=lambda one: (one.task.lock is Lock.NONE, one.task.priority, one.start_s, one.task.id))
    while True:
        # Again and again: a far site may only be reached from the one that was put back after it.
        placed = [one for one in waiting if _put_back(sheet, one)]
        waiting = [one for one in waiting if one.task.id not in sheet.where]
        if not placed or not waiting:
            break
    failed = {one.task.id for one in waiting if one.task.lock is not Lock.NONE}
    return failed or None


def _put_back(sheet: Sheet, one: Booked) -> bool:
    engineers = {sheet.tracks[index].lane.engineer_id for index in one.lanes}
    if len(engineers) != one.task.crew:
        return False
    own = {index for name in engineers for index in sheet.by_engineer[name]}
    found = best(sheet, one.task, lanes=own)
    if found is not None:
        sheet.put(one.task, found.places)
    return found is not None


def _reach_of_frozen(sheet: Sheet, on_lane: Mapping[int, list[Booked]], frozen: set[str]) -> None:
    """What is frozen in one shift may reach into the engineer's next; every other lane starts empty."""
    spans = {
        index: [
            (one.start_s, one.start_s + one.task.service_s)
            for one in on_lane.get(index, [])
            if one.task.id in frozen
        ]
        for index in range(len(sheet.tracks))
    }
    for indexes in sheet.by_engineer.values():
        for n, index in enumerate(indexes):
            track = sheet.tracks[index]
            for before in indexes[:n]:
                track.begin_s = max([track.begin_s, *(end for _, end in spans[before])])
            for after in indexes[n + 1 :]:
                track.limit_s = min([track.limit_s, *(start for start, _ in spans[after])])
    for index in range(len(sheet.tracks)):
        sheet.set_items(index, [])
        sheet.tracks[index].closed = False


def _whole(sheet: Sheet, index: int, booked: list[Booked], frozen: set[str], pickups: list[Stop]) -> bool:
    """The lane with all that is booked on it and its rests; False: that cannot be, whatever the reason."""
    if not booked:
        return False
    for one in booked:
        if one.task.id not in frozen and (
            index not in sheet.lanes_for(one.task) or len(one.lanes) != one.task.crew
        ):
            return False
    timed = [(one.start_s, _item(sheet, one, index, frozen)) for one in booked]
    for stop in pickups:
        if stop.depot_id is not None:
            item = sheet.pickup_item(sheet.depots[stop.depot_id], index, stop.parts)
            timed.append((stop.start_s, item))
    timed.sort(key=lambda pair: pair[0])
    works = [item for _, item in timed if item.task is not None]
    work_s_max, visits_max = sheet.limits[index]
    over = len(works) > visits_max or sum(item.length_s for item in works) > work_s_max
    if over and not all(item.frozen for item in works):
        return False
    track = sheet.tracks[index].twin([item for _, item in timed])
    rested = with_rests(track, _rests(sheet, index)) if track.feasible else None
    if rested is None:
        return False
    sheet.tracks[index] = rested
    return True


def _item(sheet: Sheet, one: Booked, index: int, frozen: set[str]) -> Item:
    """A booked task on a lane: frozen, at its very time with others, or free to shift."""
    names = [sheet.tracks[lane].lane.engineer_id for lane in one.lanes]
    if one.task.id in frozen:
        return sheet.pinned(one.task, index, one.start_s, names, frozen=True)
    if one.task.id not in sheet.coupled:
        return sheet.item(one.task, index)
    pinned = sheet.pinned(one.task, index, one.start_s, names)
    if sheet.item(one.task, index).first(one.start_s) != one.start_s:
        pinned.windows = ()
    return pinned


def _without_dangling(
    sheet: Sheet, booked: list[Booked], held: Mapping[int, list[Booked]], good: set[int]
) -> set[int]:
    """Of the lanes that are well by themselves those that are so together: crews, what follows what, parts, depots."""
    by_id = {one.task.id: one for one in booked}
    frozen = sheet.frozen
    while True:
        bad: set[int] = set()
        for one in booked:
            if one.task.id in frozen or one.task.id not in sheet.coupled:
                continue
            if not good.issuperset(one.lanes) or not _follows_well(one, by_id, good, frozen):
                bad.update(one.lanes)
        bad |= {index for index in good if _short_of_parts(sheet, index)}
        bad &= good
        if not bad:
            return good
        good = good - bad
        for index in bad:
            _bare(sheet, index, held[index])


def _follows_well(one: Booked, by_id: Mapping[str, Booked], good: set[int], frozen: set[str]) -> bool:
    if one.task.follows is None:
        return True
    before = by_id.get(one.task.follows)
    if before is None or not (before.task.id in frozen or good.issuperset(before.lanes)):
        return False
    return one.start_s >= before.start_s + before.task.service_s + one.task.follows_gap_s


def _short_of_parts(sheet: Sheet, index: int) -> bool:
    """Whether work on this lane takes parts that somebody then lacks, or the lane picks up what no depot has."""
    if not sheet.parts_count:
        return False
    items = sheet.tracks[index].items
    if not all(
        _may_take(sheet, item.depot_id, part) for item in items if item.depot_id for part in item.flow
    ):
        return True
    needed = {part for item in items if not item.frozen for part, count in item.flow.items() if count < 0}
    if not needed:
        return False
    anyway = _shortages(sheet, index, frozen_only=True)
    return any(
        part in needed and count > anyway.get((item, part), 0)
        for (item, part), count in _shortages(sheet, index, frozen_only=False).items()
    )


def _shortages(sheet: Sheet, index: int, *, frozen_only: bool) -> dict[tuple[Item, str], int]:
    """What lacks where on the way of this lane's van."""
    level = Counter(sheet.vans[sheet.problem.lanes[index].engineer_id])
    short: dict[tuple[Item, str], int] = {}
    for _, _, item in sheet.van_items(index):
        if item is None or (frozen_only and item.task is not None and not item.frozen):
            continue
        for part, count in item.flow.items():
            level[part] += count
            if level[part] < 0:
                short[item, part] = -level[part]
                level[part] = 0
    return short


def _may_take(sheet: Sheet, depot_id: str, part: str) -> bool:
    return sheet.pickup_allowed and sheet.stock_left(sheet.depots[depot_id], part) >= 0


def _rests(sheet: Sheet, index: int) -> list[Item]:
    """The rests for which there is still time in this shift, in order."""
    lane = sheet.problem.lanes[index]
    ordered = sorted(lane.rests, key=lambda rest: (rest.earliest_s, rest.latest_s))
    return [item for rest in ordered if (item := sheet.rest_item(rest, index)) is not None]


def _bare(sheet: Sheet, index: int, booked: list[Booked]) -> None:
    """The lane with nothing but what is frozen, and its rests where that leaves room.

    A rest for which reality leaves none is not asked for. A shift whose rests do not even fit without work takes none.
    """
    frozen = {one.task.id for one in booked}
    track = sheet.tracks[index].twin([_item(sheet, one, index, frozen) for one in booked])
    rests = _rests(sheet, index)
    if frozen:
        rests = [rest for rest in rests if with_rests(track, [rest]) is not None]
    rested = with_rests(track, rests)
    sheet.tracks[index] = track if rested is None else rested
    sheet.tracks[index].closed = rested is None


def taken_over(sheet: Sheet, plan: Plan) -> None:
    """A plan put onto the empty sheet as it is, in its own order, with its own rests and starts.

    Visits that are broken as they stand are frozen there: they would be of the plan's making if they were shifted. A lane
    that is broken all the same takes only what mends it.
    """
    index_of = {lane.id: index for index, lane in enumerate(sheet.problem.lanes)}
    lanes: dict[str, list[int]] = defaultdict(list)
    for route in plan.routes:
        for stop in route.stops:
            if stop.task_id is not None:
                lanes[stop.task_id].append(index_of[route.lane_id])
    sheet.where = {name: tuple(indexes) for name, indexes in lanes.items()}
    driven = {index_of[route.lane_id]: route.stops for route in plan.routes}
    stays = {
        stop.task_id: _stays(sheet, stop, sheet.where[stop.task_id])
        for stops in driven.values()
        for stop in stops
        if stop.task_id is not None
    }
    # Visits whose parts are short as they stand; none where the policy does not count parts.
    short = {one.task_id for one in check_parts.check(sheet.problem, plan, plan, base=False)}
    for index in range(len(sheet.tracks)):
        stops = driven.get(index, ())
        if not stops:
            _bare(sheet, index, [])
            continue
        for stop in stops:
            name = stop.task_id
            if name is not None and stays[name] and (name in short or _is_broken(sheet, stop, index)):
                sheet.frozen.add(name)
        _take_lane(sheet, index, stops)
        as_told, frozen = sheet.tracks[index], set(sheet.frozen)
        if not as_told.feasible:
            sheet.frozen |= {name for stop in stops if (name := stop.task_id) is not None and stays[name]}
            _take_lane(sheet, index, stops)
            if as_told.timely and not sheet.tracks[index].feasible:
                sheet.tracks[index], sheet.frozen = as_told, frozen


def _stays(sheet: Sheet, stop: Stop, lanes: tuple[int, ...]) -> bool:
    """Whether a visit of a plan is exactly where it stands."""
    task = sheet.problem.task(stop.task_id or "")
    engineers = {sheet.tracks[index].lane.engineer_id for index in lanes}
    return (
        task.standing is not None
        and stop.start_s == task.standing.start_s
        and engineers == engineers.union(task.standing.engineer_ids)
    )


def _is_broken(sheet: Sheet, stop: Stop, index: int) -> bool:
    """Whether it is locked to its time, or its engineer or its time would not be allowed for something new."""
    task = sheet.problem.task(stop.task_id or "")
    return (
        task.lock is Lock.TIME
        or sheet.item(task, index).first(stop.start_s) != stop.start_s
        or next(who(sheet.problem, task, sheet.tracks[index].lane), None) is not None
    )


def _take_lane(sheet: Sheet, index: int, stops: Sequence[Stop]) -> None:
    items = [
        _taken(sheet, stop, index, sheet.where.get(stop.task_id or "", ()), sheet.tracks[index])
        for stop in stops
    ]
    sheet.set_items(index, items)


def _taken(sheet: Sheet, stop: Stop, index: int, lanes: tuple[int, ...], track: Track) -> Item:
    if stop.task_id is not None:
        one = Booked(sheet.problem.task(stop.task_id), lanes, stop.start_s)
        return _item(sheet, one, index, sheet.frozen)
    if stop.kind == "pickup" and stop.depot_id is not None:
        return sheet.pickup_item(sheet.depots[stop.depot_id], index, stop.parts)
    length_s = stop.end_s - stop.start_s
    agreed = (
        rest
        for rest in track.lane.rests
        if rest.length_s == length_s and rest.earliest_s <= stop.start_s and stop.end_s <= rest.latest_s
    )
    for rest in agreed:
        item = sheet.rest_item(rest, index)
        if item is not None and item.first(stop.start_s) == stop.start_s:
            return item
    return Item(place=-1, length_s=length_s, windows=((stop.start_s, stop.start_s),), want_s=stop.start_s)
