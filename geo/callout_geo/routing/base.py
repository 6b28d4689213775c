"""What a router is asked and what it answers.

Seconds and metres are those on the road. NaN says that no way is known, and `provider` whether that is somebody's answer
(the service found none) or nobody answered at all.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callout_geo.point_arrays import Floats, checked_points
from callout_geo.points import Point

#: Who reckoned a leg, by the number kept in `Matrix.provider`. Stored: append only.
PROVIDERS: Final = ("none", "estimate", "osrm", "valhalla")
NONE: Final = 0

#: 25 million pairs are 400 MB of seconds and metres; whoever has more asks by territory.
PAIRS_MAX: Final = 25_000_000


class RoutingError(Exception):
    """No answer from a routing service. `reason` is a stable code; `fault`: the service failed, not the question."""

    def __init__(self, provider: str, reason: str, detail: str = "", *, fault: bool) -> None:
        super().__init__(f"{provider}: {reason}{f' ({detail})' if detail else ''}")
        self.provider = provider
        self.reason = reason
        self.detail = detail
        self.fault = fault


class RouterUnavailable(RoutingError):
    """`timed_out`, `unreachable`, `rate_limited`, `server_error`, `circuit_open`: another time it may answer."""

    def __init__(
        self, provider: str, reason: str, detail: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(provider, reason, detail, fault=True)
        self.retry_after_s = retry_after_s


class BadAnswer(RoutingError):
    """`not_json`, `wrong_shape`, `bad_value`, `too_large`, `redirected`: it is not the service we take it for."""

    def __init__(self, provider: str, reason: str, detail: str = "") -> None:
        super().__init__(provider, reason, detail, fault=True)


class Refused(RoutingError):
    """The service refused the question: `too_big`, `no_segment`, `no_route`, `refused`. Asking again would change nothing.

    `place` is the index (sources first, then targets) of the place it could not use, if it said so.
    """

    def __init__(self, provider: str, reason: str, detail: str = "", place: int | None = None) -> None:
        super().__init__(provider, reason, detail, fault=False)
        self.place = place


class TooManyPairs(ValueError):
    """A matrix larger than `PAIRS_MAX`."""

    def __init__(self, pairs: int) -> None:
        super().__init__(f"targets: {pairs} pairs are more than {PAIRS_MAX}")
        self.field = "targets"
        self.reason = "too_many"


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """n places as degrees, two arrays of shape (n,). NaN for both: a place nobody knows. Raises `BadPoints`."""

    lats: Floats
    lngs: Floats

    def __init__(self, lats: ArrayLike, lngs: ArrayLike) -> None:
        lat, lng = checked_points(lats, lngs, unknown=True)
        object.__setattr__(self, "lats", lat)
        object.__setattr__(self, "lngs", lng)

    @classmethod
    def of(cls, points: Iterable[Point | None]) -> Self:
        """The places of these points, None for one nobody knows."""
        pairs = [(math.nan, math.nan) if point is None else (point.lat, point.lng) for point in points]
        return cls([lat for lat, _ in pairs], [lng for _, lng in pairs])

    def __len__(self) -> int:
        return len(self.lats)

    def take(self, indexes: NDArray[np.int64]) -> Places:
        """The places of these indexes, in their order."""
        return Places(self.lats[indexes], self.lngs[indexes])

    @property
    def known(self) -> NDArray[np.int64]:
        """Indexes of the places that somebody knows."""
        return np.flatnonzero(~np.isnan(self.lats)).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """Ways from n sources to m targets: float64 `seconds` and `metres` and uint8 `provider`, each of shape (n, m).

    `faults` are the reasons why parts of it were not answered by the service, sorted, each once.
    """

    seconds: Floats
    metres: Floats
    provider: NDArray[np.uint8]
    faults: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.seconds.shape == self.metres.shape == self.provider.shape or self.seconds.ndim != 2:
            raise ValueError("seconds, metres and provider must have one shape (n, m)")

    @classmethod
    def empty(cls, sources: int, targets: int) -> Matrix:
        """All unanswered. Raises `TooManyPairs`."""
        if sources * targets > PAIRS_MAX:
            raise TooManyPairs(sources * targets)
        shape = (sources, targets)
        return cls(np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, np.uint8))

    def provider_of(self, source: int, target: int) -> str:
        """Who reckoned this leg."""
        return PROVIDERS[int(self.provider[source, target])]


class Router(ABC):
    """Whoever answers with ways. Used as `async with`, or closed by `close`."""

    name: str

    @abstractmethod
    async def matrix(self, sources: Places, targets: Places) -> Matrix:
        """The ways from each source to each target.

        What could not be had is NaN with provider `none`; only when nothing at all was had, `RoutingError`.
        """

    async def close(self) -> None:
        """Lets go of connections."""
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
