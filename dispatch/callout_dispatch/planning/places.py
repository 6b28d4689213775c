"""The best place for one task in a plan in the making: alone, with its crew, after what it follows, with a pick-up. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec

from callout_dispatch.planning.check_parts import bearer
from callout_dispatch.planning.sheet import Place, Sheet
from callout_dispatch.planning.terms import Stock, Task
from callout_dispatch.planning.timing import Fit, Item, Track

STARTS_MAX: Final = 64
"""So many common starts are tried for a crew."""
SPARE_ENGINEERS, HANDS_MAX = 3, 3
"""So many engineers more than the crew needs, and places of each, are reckoned to the end for each start."""


class Found(msgspec.Struct, frozen=True):
    """Where a task would go, and what the plan costs more with it, in seconds of travel."""

    price: float
    places: tuple[Place, ...]


def best(
    sheet: Sheet, task: Task, *, lanes: Collection[int] | None = None, shift_rests: bool = True
) -> Found | None:
    """The cheapest feasible place for the task; None: there is none. `lanes`: only on these.

    `shift_rests`: where nothing else helps, breaks change places with visits.
    """
    allowed = [index for index in sheet.lanes_for(task) if lanes is None or index in lanes]
    allowed = [index for index in allowed if sheet.has_room(task, index)]
    if task.id in sheet.coupled:
        return _together(sheet, task, allowed)
    found = [place for index in allowed if (place := best_on(sheet, task, index)) is not None]
    if not found and shift_rests:
        # Breaks may be in the way only because of where they happen to stand in the order of the day.
        found = [place for index in allowed if (place := _around_rests(sheet, task, index)) is not None]
    place = min(found, key=lambda place: (place.price, place.index), default=None)
    return None if place is None else Found(place.price, (place,))


def best_on(sheet: Sheet, task: Task, index: int, *, quick: bool = False) -> Place | None:
    """The cheapest place on one lane, remembered for as long as the lane stays as it is.

    `quick`: judged by travel and its own lateness, without what it does to those after it; enough to compare lanes.
    """
    key, version = (task.id, index, quick), sheet.tracks[index].version
    remembered = sheet.kept.get(key)
    if remembered is not None and remembered[0] == version:
        return remembered[1]
    place = _search(sheet, task, index, quick=quick)
    if not (task.parts and sheet.parts_count):  # parts also hang on other lanes
        sheet.kept[key] = (version, place)
    return place


class _Option(msgspec.Struct, frozen=True):
    """One way to fit a chain of items into a lane that has `items`, perhaps with a change to another lane."""

    items: list[Item]
    chain: Sequence[Item]
    fit: Fit
    also: tuple[tuple[int, list[Item]], ...] = ()
    lacks: bool = False
    """This one of a crew cannot be who brings the parts."""

    @property
    def whole(self) -> list[Item]:
        """The lane's items with the chain."""
        at = self.fit.position
        return [*self.items[:at], *self.chain, *self.items[at:]]


def _search(sheet: Sheet, task: Task, index: int, *, quick: bool) -> Place | None:
    track, item = sheet.tracks[index], sheet.item(task, index)
    options = []
    for number, option in enumerate(_options(sheet, task, index, item)):
        fit = option.fit
        least = fit.travel_s + item.price(fit.early_s if item.move_price == 0 else _wanted(item, fit))
        options.append((least, fit.early_s, number, option))
    options.sort(key=lambda one: one[:3])
    if quick and options:
        return Place(options[0][0], index, options[0][3].whole, options[0][3].also)
    found: Place | None = None
    for least, _, _, option in options:
        if found is not None and least >= found.price:
            break
        changed = track.twin(option.whole)
        price = changed.cost - track.cost
        if changed.feasible and (found is None or price < found.price):
            found = Place(price, index, changed.items, option.also)
    return found


def _wanted(item: Item, fit: Fit) -> int:
    """The start that costs least of those that the fit allows: where it stands, if that is one."""
    return min(max(item.stand_s, fit.early_s), fit.late_s)


def _options(sheet: Sheet, task: Task, index: int, item: Item) -> Iterator[_Option]:
    """Every position where the item fits on the lane, with a pick-up before it where the van lacks parts."""
    track = sheet.tracks[index]
    if not track.timely:
        yield from _mending(track, item, lacks=bool(sheet.lacking(index, 0, task.parts)))
        return
    for position in range(len(track.items) + 1):
        lacking = sheet.lacking(index, position, task.parts)
        if lacking and task.crew == 1:
            if sheet.pickup_allowed:
                yield from _supplied(sheet, index, position, item, lacking)
            continue
        fit = track.fits((item,), position)
        if fit is not None:
            yield _Option(track.items, (item,), fit, lacks=bool(lacking))


def _mending(track: Track, item: Item, *, lacks: bool) -> Iterator[_Option]:
    """Positions on a lane that is not feasible as it is, but is with the item: a stop nearer to the next before a break."""
    for position in range(0 if lacks else len(track.items) + 1):
        mended = track.twin(track.with_chain((item,), position))
        if mended.feasible:
            travel_s = mended.travel_s - track.travel_s
            yield _Option(
                track.items, (item,), Fit(position, mended.early[position], mended.late[position], travel_s)
            )


def _supplied(
    sheet: Sheet, index: int, position: int, item: Item, lacking: dict[str, int]
) -> Iterator[_Option]:
    """The item there with what it lacks: an earlier pick-up takes more, or there is a new one, just before or earlier."""
    track = sheet.tracks[index]
    for depot in sheet.depots.values():
        if any(sheet.stock_left(depot, part) < count for part, count in lacking.items()):
            continue
        fit = track.fits((item,), position)
        for other, items in (
            _larger_pickups(sheet, index, position, depot, lacking) if fit is not None else ()
        ):
            if other == index and fit is not None:
                yield _Option(items, (item,), fit)
            elif fit is not None:
                yield _Option(track.items, (item,), fit, ((other, items),))
        pickup = sheet.pickup_item(depot, index, lacking)
        fit = track.fits((pickup, item), position)
        if fit is not None:
            yield _Option(track.items, (pickup, item), fit)
        for at in range(position):
            if track.fits((pickup,), at) is None:
                continue
            stocked = track.twin(track.with_chain((pickup,), at))
            fit = stocked.fits((item,), position + 1)
            if fit is not None:
                fit.travel_s += stocked.travel_s - track.travel_s
                yield _Option(stocked.items, (item,), fit)


def _larger_pickups(
    sheet: Sheet, index: int, position: int, depot: Stock, lacking: dict[str, int]
) -> Iterator[tuple[int, list[Item]]]:
    """The last pick-up of this engineer at the depot before that position, taking more: its lane, and the lane's items."""
    for other in reversed(sheet.by_engineer[sheet.tracks[index].lane.engineer_id]):
        items = sheet.tracks[other].items
        earlier = sheet.tracks[other].lane.start_s < sheet.tracks[index].lane.start_s
        end = position if other == index else len(items) if earlier else 0
        for at in reversed(range(end)):
            if items[at].depot_id == depot.id:
                parts = dict(items[at].flow)
                for part, count in lacking.items():
                    parts[part] = parts.get(part, 0) + count
                yield other, [*items[:at], sheet.pickup_item(depot, other, parts), *items[at + 1 :]]
                return


# ------------------------------------------------------------------------------------------ rests in the way


def _around_rests(sheet: Sheet, task: Task, index: int) -> Place | None:
    """The task first, and the lane's rests then wherever there is room for them."""
    track = sheet.tracks[index]
    rests = [item for item in track.items if item.is_rest]
    if not rests or (task.parts and sheet.parts_count):
        return None
    item = sheet.item(task, index)
    bare = track.twin([item for item in track.items if not item.is_rest])
    found: Place | None = None
    for position in range(len(bare.items) + 1):
        if bare.fits((item,), position) is None:
            continue
        changed = with_rests(bare.twin(bare.with_chain((item,), position)), rests)
        if changed is not None and (found is None or changed.cost - track.cost < found.price):
            found = Place(changed.cost - track.cost, index, changed.items)
    return found


def with_rests(track: Track, rests: Sequence[Item]) -> Track | None:
    """The track with the rests put in where that costs least; None: there is no room for all of them."""
    for rest in rests:
        tries = (track.twin(track.with_chain((rest,), at)) for at in range(len(track.items) + 1))
        feasible = [tried for tried in tries if tried.feasible]
        if not feasible:
            return None
        track = min(feasible, key=lambda tried: tried.cost)
    return track if track.feasible else None


# ------------------------------------------------------------------------------------------ several at once


class _Hand(msgspec.Struct, frozen=True):
    """One engineer's possible part in a crew's task."""

    engineer_id: str
    index: int
    option: _Option
    item: Item

    @property
    def fit(self) -> Fit:
        return self.option.fit


def _together(sheet: Sheet, task: Task, allowed: list[int]) -> Found | None:
    """One start for a whole crew, after what the task follows and before what follows it."""
    low, high = _bounds(sheet, task)
    hands = [
        _Hand(sheet.tracks[index].lane.engineer_id, index, option, sheet.item(task, index))
        for index in allowed
        for option in _options(sheet, task, index, sheet.item(task, index))
        if max(option.fit.early_s, low) <= min(option.fit.late_s, high)
    ]
    starts = {max(hand.fit.early_s, low) for hand in hands}
    starts.update(first for hand in hands for first, _ in hand.item.windows if low <= first <= high)
    wanted = [sheet.wants.get(task.id, -1), task.standing.start_s if task.standing is not None else -1]
    tried = [start for start in wanted if low <= start <= high] + sorted(starts)[:STARTS_MAX]
    found: Found | None = None
    for start_s in tried:
        crew = _crew(sheet, task, hands, start_s)
        if crew is None:
            continue
        engineers = [part.hand.engineer_id for part in crew]
        price = sheet.price_at(task, engineers, start_s) + sum(part.price for part in crew)
        if found is not None and price >= found.price:
            continue
        places = []
        for hand in (part.hand for part in crew):
            pinned = sheet.pinned(task, hand.index, start_s, engineers)
            items = [pinned if item is hand.item else item for item in hand.option.whole]
            places.append(Place(price, hand.index, items, hand.option.also))
        found = Found(price, tuple(places))
    return found


class _Part(msgspec.Struct, frozen=True):
    """What it costs an engineer's lane to take part at a certain start."""

    hand: _Hand
    price: float


def _crew(sheet: Sheet, task: Task, hands: list[_Hand], start_s: int) -> list[_Part] | None:
    """The cheapest different engineers who can all start then; those who stand there first."""
    able: dict[str, list[_Hand]] = {}
    for hand in hands:
        if hand.fit.early_s <= start_s <= hand.fit.late_s and hand.item.first(start_s) == start_s:
            able.setdefault(hand.engineer_id, []).append(hand)
    if len(able) < task.crew:
        return None
    standing = set(task.standing.engineer_ids) if task.standing is not None else set()
    nearest = {name: min(hand.fit.travel_s for hand in own) for name, own in able.items()}
    names = sorted(able, key=lambda name: (name not in standing, nearest[name], name))
    parts = []
    for name in names if task.parts else names[: task.crew + SPARE_ENGINEERS]:
        # By parts: one hand with them and one without may both be wanted.
        for lacks in {hand.option.lacks for hand in able[name]}:
            own = [hand for hand in able[name] if hand.option.lacks is lacks]
            own.sort(key=lambda hand: hand.fit.travel_s)
            tried = [_part(sheet, task, hand, start_s) for hand in own[:HANDS_MAX]]
            parts += [min(well, key=lambda part: part.price)] if (well := [p for p in tried if p]) else []
    parts.sort(key=lambda part: (part.hand.engineer_id not in standing, part.price, part.hand.engineer_id))
    return _with_bearer(task, parts)


def _part(sheet: Sheet, task: Task, hand: _Hand, start_s: int) -> _Part | None:
    """The lane with the task at that start: what it costs more; None: not feasible after all."""
    pinned = sheet.pinned(task, hand.index, start_s, [hand.engineer_id])
    track = sheet.tracks[hand.index]
    changed = track.twin([pinned if item is hand.item else item for item in hand.option.whole])
    return _Part(hand, changed.cost - track.cost) if changed.feasible else None


def _with_bearer(task: Task, parts: list[_Part]) -> list[_Part] | None:
    """The first of them that make up a crew of which the one who brings the parts has them."""
    for first in parts:
        if first.hand.option.lacks:
            continue
        crew, name = [first], first.hand.engineer_id
        for part in parts:
            other = part.hand.engineer_id
            known = any(other == one.hand.engineer_id for one in crew)
            brings = not task.parts or bearer(task, [name, other]) == name
            if len(crew) < task.crew and brings and not known:
                crew.append(part)
        if len(crew) == task.crew:
            return crew
    return None


def _bounds(sheet: Sheet, task: Task) -> tuple[int, int]:
    """The earliest and the latest start by what is planned before and after it; (1, 0): what it follows is not planned."""
    low, high = 0, 1 << 60
    if task.follows is not None:
        if task.follows not in sheet.where:
            return 1, 0
        before = sheet.problem.task(task.follows)
        low = sheet.start_of(before.id) + before.service_s + task.follows_gap_s
    for after in sheet.followers[task.id]:
        if after.id in sheet.where:
            high = min(high, sheet.start_of(after.id) - after.follows_gap_s - task.service_s)
    return low, high
