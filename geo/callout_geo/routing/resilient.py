"""A router that always answers: from memory, from the service, and where both have nothing, by the estimate.

Every leg keeps who reckoned it. A way the service could not give because it failed is asked for again next time; one that it
said does not exist is remembered like any other answer.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from callout_geo.routing.base import NONE, Matrix, Places, Router, RoutingError
from callout_geo.routing.estimate import EstimateRouter

#: Degrees: about a metre. The same site asked for with its ninth digit changed is the same site.
GRAIN_DEGREES: Final = 1e-5

Key = tuple[int, int, int, int]
Leg = tuple[float, float, int]


class LegCache:
    """Legs of the last `size_max` pairs asked for, each for `keep_s` seconds. For one event loop."""

    def __init__(
        self,
        size_max: int = 250_000,
        keep_s: float = 3600.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if size_max < 0 or keep_s <= 0:
            raise ValueError("size_max must be 0 or more and keep_s above 0")
        self.size_max = size_max
        self._keep_s = keep_s
        self._monotonic = monotonic
        self._legs: OrderedDict[Key, tuple[float, Leg]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._legs)

    def get(self, key: Key) -> Leg | None:
        """Seconds, metres and provider, if known and not old."""
        found = self._legs.get(key)
        if found is None:
            return None
        if found[0] <= self._monotonic():
            del self._legs[key]
            return None
        self._legs.move_to_end(key)
        return found[1]

    def put(self, key: Key, leg: Leg) -> None:
        """Remembers a leg, and forgets the one that was not asked for the longest."""
        self._legs[key] = (self._monotonic() + self._keep_s, leg)
        self._legs.move_to_end(key)
        while len(self._legs) > self.size_max:
            self._legs.popitem(last=False)


class ResilientRouter(Router):
    """`router` behind a cache, with `estimate` for what it does not answer. `matrix` raises for bad input only."""

    def __init__(
        self, router: Router, estimate: EstimateRouter | None = None, cache: LegCache | None = None
    ) -> None:
        self.name = router.name
        self.estimate = estimate or EstimateRouter()
        self.cache = cache if cache is not None else LegCache()
        self._router = router

    async def close(self) -> None:
        """Closes the router behind."""
        await self._router.close()

    async def matrix(self, sources: Places, targets: Places) -> Matrix:
        """Every way between known places has seconds and metres; ways from or to unknown places are NaN, provider `none`."""
        result = Matrix.empty(len(sources), len(targets))
        # A matrix larger than the cache would only push itself out, at the price of walking through it twice.
        cached = result.seconds.size <= self.cache.size_max
        faults: tuple[str, ...] = ()
        from_cells, to_cells = _cells(sources), _cells(targets)
        if cached:
            self._recall(result, from_cells, to_cells)
        asked = (
            (result.provider == NONE) & ~np.isnan(sources.lats)[:, None] & ~np.isnan(targets.lats)[None, :]
        )
        if asked.any():
            rows = np.flatnonzero(asked.any(axis=1)).astype(np.int64)
            columns = np.flatnonzero(asked.any(axis=0)).astype(np.int64)
            try:
                answer = await self._router.matrix(sources.take(rows), targets.take(columns))
            except RoutingError as error:
                faults = (error.reason,)
            else:
                faults = answer.faults
                block = np.ix_(rows, columns)
                new = asked[block] & (answer.provider != NONE)
                for whole, part in (
                    (result.seconds, answer.seconds),
                    (result.metres, answer.metres),
                    (result.provider, answer.provider),
                ):
                    whole[block] = np.where(new, part, whole[block])
                if cached:
                    self._remember(result, asked, from_cells, to_cells)
        self._fill(result, sources, targets)
        return Matrix(result.seconds, result.metres, result.provider, faults)

    def _recall(self, result: Matrix, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        if not len(self.cache):
            return
        for n, (lat, lng) in enumerate(rows.tolist()):
            for m, (to_lat, to_lng) in enumerate(columns.tolist()):
                leg = self.cache.get((lat, lng, to_lat, to_lng))
                if leg is not None:
                    result.seconds[n, m], result.metres[n, m], result.provider[n, m] = leg

    def _remember(
        self, result: Matrix, asked: NDArray[np.bool_], rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> None:
        new = asked & (result.provider != NONE)
        for n, m in np.argwhere(new).tolist():
            key: Key = (*rows[n].tolist(), *columns[m].tolist())
            self.cache.put(
                key, (float(result.seconds[n, m]), float(result.metres[n, m]), int(result.provider[n, m]))
            )

    def _fill(self, result: Matrix, sources: Places, targets: Places) -> None:
        """The estimate for ways without seconds; for ways with seconds only the metres, if they are what is missing."""
        if not np.isnan(result.metres).any():
            return
        estimate = self.estimate.estimate(sources, targets)
        missing = np.isnan(result.seconds)
        metres = np.isnan(result.metres)
        result.metres[metres] = estimate.metres[metres]
        result.seconds[missing] = estimate.seconds[missing]
        result.provider[missing] = estimate.provider[missing]


def _cells(places: Places) -> NDArray[np.int64]:
    """Whole hundred-thousandths of a degree, shape (n, 2). Unknown places share a cell that no place on earth has."""
    degrees = np.column_stack((places.lats, places.lngs)) / GRAIN_DEGREES
    return np.where(np.isnan(degrees), 1e9, np.round(degrees)).astype(np.int64)
