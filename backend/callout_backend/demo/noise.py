"""What is wrong or uneven in the demo's world: phones' clocks, receivers' fixes, hands that sign."""

import math
import random
from datetime import timedelta
from typing import Final

from callout_geo.points import Point

DEGREE_M: Final = 111_320.0


def skew_of(rng: random.Random) -> timedelta:
    """How wrong a phone's clock is: mostly minutes, sometimes hours, rarely years."""
    dice = rng.random()
    if dice < 0.6:
        return timedelta(seconds=rng.uniform(-120, 120))
    if dice < 0.8:
        return timedelta(minutes=rng.uniform(-45, 45))
    if dice < 0.92:
        return timedelta(hours=rng.uniform(-26, 26))
    return timedelta(days=rng.choice((-1461, -730, 365, 730)))


def shifted(point: Point, north_m: float, east_m: float) -> Point:
    """The point moved by metres; flat enough within a city."""
    lat = point.lat + north_m / DEGREE_M
    return Point(lat, point.lng + east_m / (DEGREE_M * math.cos(math.radians(point.lat))))


def scribble(rng: random.Random) -> list[list[tuple[float, float, float]]]:
    """Two strokes of a signature: x and y in 0..1 of the pad, t in milliseconds."""
    strokes = []
    t = 0.0
    for _ in range(2):
        x, y = rng.uniform(0.1, 0.3), rng.uniform(0.3, 0.7)
        stroke = []
        for _ in range(12):
            stroke.append((round(x, 4), round(y, 4), round(t, 1)))
            x, y, t = min(x + rng.uniform(0.0, 0.06), 1.0), min(max(y + rng.gauss(0, 0.08), 0.0), 1.0), t + 16
        strokes.append(stroke)
        t += 120
    return strokes
