"""The router that needs no service: straight distance × circuity ÷ the speed of the hour. Always there, never late."""

from __future__ import annotations

from typing import Final

import numpy as np

from callout_geo.distance import haversine_matrix_m
from callout_geo.routing.base import PROVIDERS, Matrix, Places, Router
from callout_geo.travel import STANDARD_TRAVEL, Travel

_ESTIMATE: Final = PROVIDERS.index("estimate")


class EstimateRouter(Router):
    """Estimates by a travel model, for one hour of the week or (None) the mean of the working hours."""

    name = "estimate"

    def __init__(self, travel: Travel = STANDARD_TRAVEL, hour: int | None = None) -> None:
        self.travel = travel
        self.hour = hour
        travel.minutes(0.0, hour)  # a wrong hour is told here, not in the middle of a plan

    async def matrix(self, sources: Places, targets: Places) -> Matrix:
        """The estimate; a way from or to an unknown place is NaN with provider `none`."""
        return self.estimate(sources, targets)

    def estimate(self, sources: Places, targets: Places) -> Matrix:
        """The same without waiting. Raises `TooManyPairs`."""
        result = Matrix.empty(len(sources), len(targets))
        straight_m = haversine_matrix_m(sources.lats, sources.lngs, targets.lats, targets.lngs)
        result.seconds[:] = self.travel.minutes(straight_m, self.hour) * 60.0
        result.metres[:] = straight_m * self.travel.circuity
        result.provider[~np.isnan(straight_m)] = _ESTIMATE
        return result
