"""A pick among 10,000 engineers, and the barest numpy that could stand for it; for the benches of the API and of dispatch.

The pick alone stands beside the quickest that numpy can do: unit vectors made before, one contiguous array an axis. With
ten candidates, ten refusals and the counts of all reasons read from it, it stands beside haversine from degrees.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np

from callout_dispatch.pick import pick
from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_terms import Break, Busy, Candidate, Need, Shift
from callout_dispatch.policy import STANDARD
from callout_geo.distance import unit_vectors
from callout_geo.points import Point
from callout_orders.terms import Priority
from callout_store.ids import new_id

ENGINEERS = 10_000
EMPTY, FULL = "empty days", "full days"
BESIDE = (("callout", "numpy, vectors"), ("callout, all read", "numpy, haversine"))
"""What of ours stands beside what of numpy's."""


def acts(days: str) -> dict[str, Callable[[], None]]:
    """What is timed, by name. Full days have a break and four visits; the bare sides know nothing of either."""
    rng = np.random.default_rng(7)
    now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    lat, lng = 37.7 + rng.random(ENGINEERS) * 0.5, -122.5 + rng.random(ENGINEERS) * 0.5
    level = rng.integers(1, 6, ENGINEERS)
    busy = days == FULL
    rest = Break(now + timedelta(hours=2), now + timedelta(hours=5), 45)
    shift = Shift(now - timedelta(hours=1), now + timedelta(hours=8), breaks=(rest,) if busy else ())
    candidates = [
        Candidate(
            id=str(new_id()),
            name=f"E{n}",
            skills={"sewer": int(level[n])},
            position=Point(float(lat[n]), float(lng[n])),
            shifts=(shift,),
            busy=tuple(
                Busy(
                    now + timedelta(minutes=int(minute)),
                    now + timedelta(minutes=int(minute) + 50),
                    Point(37.95 + 0.2 * float(way), -122.25),
                )
                for minute, way in zip((20, 140, 260, 380), rng.random(4) - 0.5, strict=True)
            )
            if busy
            else (),
        )
        for n in range(ENGINEERS)
    ]
    roster = Roster(candidates)
    need = Need(
        skills={"sewer": 2},
        point=Point(37.95, -122.25),
        duration_minutes=45,
        earliest=now,
        due_at=now + timedelta(hours=6),
        priority=Priority.P1,
    )
    x, y, z = np.ascontiguousarray(unit_vectors(lat, lng).T)
    here = unit_vectors(37.95, -122.25)

    def ours() -> None:
        result = pick(need, roster, STANDARD)
        assert len(result.ranked) + len(result.out) == ENGINEERS

    def told() -> None:
        result = pick(need, roster, STANDARD)
        assert len(result.ranked[:10]) + len(result.out[:10]) == 20
        assert sum(result.out_counts.values()) >= len(result.out)

    def bare() -> None:
        mask = level >= 2
        dx, dy, dz = x[mask] - here[0], y[mask] - here[1], z[mask] - here[2]
        distance = 2 * 6_371_008.8 * np.arcsin(0.5 * np.sqrt(dx * dx + dy * dy + dz * dz))
        assert len(np.argpartition(distance, 10)[:10]) == 10

    def haversine() -> None:
        mask = level >= 2
        la, lo = np.radians(lat[mask]), np.radians(lng[mask])
        a = (
            np.sin((la - np.radians(37.95)) / 2) ** 2
            + np.cos(la) * np.cos(np.radians(37.95)) * np.sin((lo - np.radians(-122.25)) / 2) ** 2
        )
        distance = 2 * 6_371_008.8 * np.arcsin(np.sqrt(a))
        assert len(np.argpartition(distance, 10)[:10]) == 10

    return {"callout": ours, "numpy, vectors": bare, "callout, all read": told, "numpy, haversine": haversine}


def timed(given: dict[str, Callable[[], None]], calls: int) -> dict[str, list[float]]:
    """Milliseconds of each call, by name; they take turns."""
    spent: dict[str, list[float]] = {name: [] for name in given}
    for _ in range(calls):
        for name, act in given.items():
            start = time.perf_counter()
            act()
            spent[name].append((time.perf_counter() - start) * 1000)
    return spent
