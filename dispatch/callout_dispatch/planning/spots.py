"""Where in a tour a task would best go in. Pure.

In a lane without rests and absences, among tasks that have one window, are not late in it, and stand nowhere ("plain"), what
an insertion costs is reckoned from the stretches before and behind it, in the same few steps however long the tour is:
after T. Vidal, T. G. Crainic, M. Gendreau, C. Prins, "A hybrid genetic algorithm with adaptive diversity management for a
large class of vehicle routing problems with time-windows" (Computers & Operations Research 40-1, 2013), section 4.4. All
else is tried: the changed tour is made, the shortest detour first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from callout_dispatch.planning.rows import Row, Stretch, Tour

if TYPE_CHECKING:
    from callout_dispatch.planning.sketch import Sketch

Found = tuple[float, tuple[int, ...]]
"""What an insertion costs more, and the tokens with it."""


def joined(first: Stretch, way_s: int, second: Stretch) -> Stretch | None:
    """Two stretches with a way between them; None: the second is begun too late even at the soonest."""
    length_s, early_s, late_s = first
    later_s = length_s + way_s
    length2_s, early2_s, late2_s = second
    if early_s + later_s > late2_s:
        return None
    early2_s -= later_s
    late2_s -= later_s
    waited_s = early2_s - late_s
    if waited_s > 0:
        return later_s + length2_s + waited_s, late_s, late_s
    return (
        later_s + length2_s,
        early2_s if early2_s > early_s else early_s,
        late2_s if late2_s < late_s else late_s,
    )


def stretch(sketch: Sketch, row: Row, token: int) -> Stretch:
    """Plain work, or a visit to a depot, for itself in a lane."""
    length_s, last_s = sketch.service_s[token], sketch.last_s[token]
    end_s = row.work_end_s - length_s
    return length_s, sketch.first_s[token], last_s if last_s < end_s else end_s


def stretch_out(sketch: Sketch, tour: Tour, legs: list[int]) -> None:
    """Give a plain tour its stretches, and what its waiting costs. `legs` are its ways, the one back included."""
    row = sketch.rows[tour.row]
    own = [stretch(sketch, row, token) for token in tour.tokens]
    start: Stretch = (0, tour.early_s[0], row.home_s)
    end: Stretch = (0, 0, row.home_s)
    ahead, behind = [start], [end]
    for n, one in enumerate(own):
        start = joined(start, legs[n], one) or start
        ahead.append(start)
    for n in range(len(own) - 1, -1, -1):
        end = joined(own[n], legs[n + 1], end) or end
        behind.append(end)
    tour.ahead, tour.behind = ahead, behind[::-1]
    if own:
        whole = joined(start, legs[-1], (0, 0, row.home_s)) or start
        tour.length_s = whole[0]
        tour.cost += sketch.waiting * (whole[0] - sum(legs) - sum([one[0] for one in own]))


def insertion(sketch: Sketch, tour: Tour, token: int) -> Found | None:
    """The cheapest way to take a task into a tour; None: no way."""
    row, tokens = sketch.rows[tour.row], tour.tokens
    places, ways, service_s = sketch.places, row.ways, sketch.service_s[token]
    if tour.work_s + service_s > row.work_s_max or tour.tasks >= row.visits_max:
        return None
    plain = tour.plain and sketch.plain[token]
    timed = plain and sketch.stretched
    to, count = places[token], len(tokens)
    last_s = sketch.last_s[token]
    early_s, late_s = tour.early_s, tour.late_s
    leg_s_max, work_end_s = row.leg_s_max, row.work_end_s
    spots: list[tuple[float, int]] = []
    before = row.start
    for n in range(count + 1):
        way_s = ways[before][to]
        at_s = early_s[n] + way_s
        if at_s > last_s:
            break  # Later spots are later still.
        after = row.end if n == count else places[tokens[n]]
        if way_s <= leg_s_max:
            end_s = sketch.start(token, at_s) + service_s
            on_s = 0 if after is None else ways[to][after]
            if (
                end_s <= work_end_s
                and end_s + on_s <= late_s[n]
                and (not plain or n == count or on_s <= leg_s_max)
            ):
                old_s = 0 if after is None or not count else ways[before][after]
                spots.append((way_s + on_s - old_s, n))
        if after is not None:
            before = after
    if not spots:
        return None
    need = sketch.needs[token]
    depot_at, van_takes = count + 1, True
    if need is not None:
        depot_at = next((n for n, t in enumerate(tokens) if t >= sketch.depot0), count + 1)
        van_takes = _van_takes(row, tour, need)
    best: Found | None = None
    if timed:
        # What waits there is known only now.
        own = stretch(sketch, row, token)
        priced = []
        for detour, n in spots:
            place = places[tokens[n - 1]] if n else row.start
            after = places[tokens[n]] if n < count else row.end
            half = joined(tour.ahead[n], ways[place][to], own)
            whole = half and joined(half, 0 if after is None else ways[to][after], tour.behind[n])
            if whole is not None:
                price = detour + sketch.waiting * (whole[0] - tour.length_s - service_s - detour)
                priced.append((price, n))
        spots = priced
    spots.sort()
    for price, n in spots:
        if best is not None and (plain or not sketch.waiting) and price >= best[0]:
            break
        if not van_takes and n <= depot_at:
            if depot_at > count and sketch.pickup:
                best = _with_pickup(sketch, tour, token, n, best, timed)
        elif plain:
            best = price, (*tokens[:n], token, *tokens[n:])
        else:
            best = _better(sketch, tour, (*tokens[:n], token, *tokens[n:]), best)
    if timed and not van_takes and depot_at <= count:
        best = _sooner(sketch, tour, token, depot_at, best)
    return best


def errand_moved(sketch: Sketch, tour: Tour) -> Tour:
    """The tour with its visit to a depot at the best moment for it, or without one that is for nothing."""
    at = next((n for n, token in enumerate(tour.tokens) if token >= sketch.depot0), None)
    if at is None or not tour.plain or not sketch.stretched:
        return tour
    bare = sketch.bare(tour, at)
    if bare is None or not bare.tokens:
        return tour
    row, tokens, places = sketch.rows[tour.row], bare.tokens, sketch.places
    ways: Any = row.ways
    errand = tour.tokens[at]
    depot, own = places[errand], stretch(sketch, row, errand)
    best: tuple[float, int] | None = None
    for m in range(sketch.van_lasts(row, tokens) + 1):
        before = places[tokens[m - 1]] if m else row.start
        after = places[tokens[m]] if m < len(tokens) else row.end
        to_s, from_s = ways[before][depot], 0 if after is None else ways[depot][after]
        if m == len(tokens):
            return sketch.tour(tour.row, tokens) or tour
        half = joined(bare.ahead[m], to_s, own)
        whole = half and joined(half, from_s, bare.behind[m])
        if whole is None or max(to_s, from_s) > row.leg_s_max:
            continue
        more = to_s + from_s - ways[before][after]
        price = more + sketch.waiting * (whole[0] - bare.length_s - own[0] - more)
        if best is None or price < best[0]:
            best = price, m
    if best is None or best[0] + bare.cost >= tour.cost - 1e-9:
        return tour
    return sketch.tour(tour.row, (*tokens[: best[1]], errand, *tokens[best[1] :])) or tour


def _sooner(sketch: Sketch, tour: Tour, token: int, depot_at: int, best: Found | None) -> Found | None:
    """The task before the tour's visit to a depot, which is made sooner for it."""
    bare = sketch.bare(tour, depot_at)
    if bare is None:
        return best
    less = bare.cost - tour.cost
    found = None if best is None else (best[0] - less, best[1])
    known = found
    for n in range(depot_at + 1):
        found = _errand(sketch, bare, token, n, tour.tokens[depot_at], found)
    return best if found is known or found is None else (found[0] + less, found[1])


def insertion_at(sketch: Sketch, tour: Tour, token: int, start_s: int) -> Found | None:
    """As `insertion`, for a start at just that time."""
    row, tokens = sketch.rows[tour.row], tour.tokens
    to, end_s = sketch.places[token], start_s + sketch.service_s[token]
    best: Found | None = None
    before, sketch.fixed[token] = sketch.fixed.get(token), start_s
    try:
        for n in range(len(tokens) + 1):
            place = sketch.places[tokens[n - 1]] if n else row.start
            after = sketch.places[tokens[n]] if n < len(tokens) else row.end
            on_s = 0 if after is None else row.ways[to][after]
            if tour.early_s[n] + row.ways[place][to] > start_s:
                break
            if end_s > row.work_end_s or end_s + on_s > tour.late_s[n]:
                continue
            changed = (*tokens[:n], token, *tokens[n:])
            made = sketch.make(tour.row, changed)
            if made is not None and (best is None or made.cost - tour.cost < best[0]):
                best = made.cost - tour.cost, changed
    finally:
        if before is None:
            del sketch.fixed[token]
        else:
            sketch.fixed[token] = before
    return best


def _with_pickup(
    sketch: Sketch, tour: Tour, token: int, n: int, best: Found | None, timed: bool
) -> Found | None:
    """The task at spot n, and a depot that has its parts visited at the best moment before."""
    need = sketch.needs[token]
    assert need is not None
    tokens = tour.tokens
    for depot, stock in enumerate(sketch.stock):
        if any(a > b for a, b in zip(need, stock, strict=True)):
            continue
        errand = sketch.depot0 + depot
        if timed:
            best = _errand(sketch, tour, token, n, errand, best)
            continue
        for m in range(n + 1):
            if m < n and tokens[m] in sketch.fixed:
                continue
            best = _better(sketch, tour, (*tokens[:m], errand, *tokens[m:n], token, *tokens[n:]), best)
    return best


def _errand(sketch: Sketch, tour: Tour, token: int, n: int, errand: int, best: Found | None) -> Found | None:
    """The same from stretches: what lies between the depot and spot n grows towards the beginning of the tour."""
    row, tokens, places = sketch.rows[tour.row], tour.tokens, sketch.places
    ways: Any = row.ways
    to, depot, count = places[token], places[errand], len(tokens)
    after = places[tokens[n]] if n < count else row.end
    stop = stretch(sketch, row, errand)
    rest = joined(stretch(sketch, row, token), 0 if after is None else ways[to][after], tour.behind[n])
    on_s = 0 if after is None else ways[to][after]
    into_s = ways[places[tokens[n - 1]]][to] if n else 0
    if n < count and on_s > row.leg_s_max:
        return best
    head = to
    for m in range(n, -1, -1):
        if m < n:
            place = places[tokens[m]]
            way_s = ways[place][head]
            if rest is not None:
                rest = joined(stretch(sketch, row, tokens[m]), way_s, rest)
            head = place
        if rest is None or (m < n and into_s > row.leg_s_max):
            break
        before = places[tokens[m - 1]] if m else row.start
        to_s, from_s = ways[before][depot], ways[depot][head]
        if to_s > row.leg_s_max or from_s > row.leg_s_max:
            continue
        half = joined(tour.ahead[m], to_s, stop)
        whole = half and joined(half, from_s, rest)
        if whole is None:
            continue
        # Ways that are new, less those that are gone.
        if m == n:
            more = to_s + from_s + on_s - (0 if after is None or not count else ways[before][after])
        else:
            gone = 0 if after is None else ways[places[tokens[n - 1]]][after]
            more = to_s + from_s - ways[before][head] + into_s + on_s - gone
        idle = whole[0] - tour.length_s - sketch.service_s[token] - sketch.service_s[errand] - more
        price = more + sketch.waiting * idle
        if best is None or price < best[0]:
            best = price, (*tokens[:m], errand, *tokens[m:n], token, *tokens[n:])
    return best


def _better(sketch: Sketch, tour: Tour, tokens: tuple[int, ...], best: Found | None) -> Found | None:
    made = sketch.tour(tour.row, tokens)
    if made is None:
        return best
    more = made.cost - tour.cost
    return (more, tokens) if best is None or more < best[0] else best


def _van_takes(row: Row, tour: Tour, need: tuple[int, ...]) -> bool:
    has = tour.need or (0,) * len(need)
    return all(a + b <= c for a, b, c in zip(has, need, row.van, strict=True))
