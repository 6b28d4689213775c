"""Where a phone of the demo was on its ways: noted on the road, told when there is a network."""

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final

from callout_backend.demo.noise import shifted
from callout_backend.demo.world import CITY_ZONE
from callout_client import NetworkLost, Phone, Refused
from callout_geo.distance import CIRCUITY, haversine_m
from callout_geo.points import Point

FIXES: Final = 3
"""On each half of a way."""
RUSH_HOURS: Final = frozenset({8, 9, 16, 17})
RUSH_KM_PER_HOUR, KM_PER_HOUR = 19.0, 31.0
"""The truth that the organisation learns from departures and arrivals; the house assumes 28 at any hour."""
WAY_MINUTES_MIN, WAY_MINUTES_MAX = 3.0, 50.0


class Trail:
    """One phone's positions that were not told yet. `counts`: what the server made of those that were."""

    def __init__(self, phone: Phone, *, seed: str) -> None:
        self.phone = phone
        self.rng = random.Random(seed)
        self.fixes: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()

    def way(self, start: Point, end: Point, at: datetime) -> timedelta:
        """How long the way takes to somebody who sets out then."""
        speed = RUSH_KM_PER_HOUR if at.astimezone(CITY_ZONE).hour in RUSH_HOURS else KM_PER_HOUR
        minutes = haversine_m(start, end) * CIRCUITY / 1000 / speed * 60 * self.rng.uniform(0.85, 1.3)
        return timedelta(minutes=min(max(minutes, WAY_MINUTES_MIN), WAY_MINUTES_MAX))

    def drive(self, start: Point, end: Point, left: datetime, arrived: datetime) -> None:
        """Note positions between two places, each at the moment of being there by the phone's own clock."""
        for n in range(1, FIXES + 1):
            share = n / FIXES
            here = Point(start.lat + (end.lat - start.lat) * share, start.lng + (end.lng - start.lng) * share)
            here = shifted(here, self.rng.gauss(0, 12), self.rng.gauss(0, 12))
            self.fixes.append(
                {
                    "at": left + (arrived - left) * share + self.phone.clock.skew,
                    "lat": here.lat,
                    "lng": here.lng,
                    "accuracyM": round(self.rng.uniform(4, 30), 1),
                }
            )

    async def tell(self) -> None:
        """Tell what was noted. Without an answer it is kept for the next time."""
        if not self.fixes:
            return
        told = list(self.fixes)
        try:
            answer = await self.phone.report_positions(told)
        except NetworkLost:
            return
        except Refused as refused:
            self.counts[refused.code] += len(told)
        else:
            for name in ("stored", "repeated", "offShift"):
                self.counts[name] += answer[name]
            self.counts["refused"] += len(answer["refused"])
        del self.fixes[: len(told)]
