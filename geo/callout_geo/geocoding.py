"""From an address to places: geopy's registered geocoders behind one small interface.

A geocoder answers with candidates for a person (or a rule) to choose from, always in WGS-84, each with how precise it is: the
middle of a town is an answer too, and the wrong one to send an engineer to. Nothing is kept here; the cache has tables and
lives above.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic as system_monotonic
from typing import Any, Final, Self

from geopy import exc
from geopy.extra.rate_limiter import AsyncRateLimiter
from geopy.geocoders import get_geocoder_for_service

from callout_geo.china import from_wgs84, to_wgs84
from callout_geo.geocoding_http import HttpxAdapter
from callout_geo.geocoding_services import SERVICES, BadGeocoder, GeocoderSettings, Precision
from callout_geo.points import BadPoint, Point, parse_point, refuse_null_island

__all__ = [
    "SERVICES",
    "BadGeocoder",
    "BadQuery",
    "Candidate",
    "Geocoder",
    "GeocoderSettings",
    "GeocodingError",
    "GeopyGeocoder",
    "Precision",
    "TableGeocoder",
    "checked_query",
]

QUERY_MAX: Final = 300
LABEL_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Candidate:
    """One place for an address, in WGS-84. `confidence` is the service's own, 0 to 1, if it gives one."""

    point: Point
    label: str
    precision: Precision
    provider: str
    confidence: float | None = None


class GeocodingError(Exception):
    """No answer. `reason` is one of `quota`, `auth`, `timed_out`, `unavailable`, `bad_answer`, `refused`.

    `retryable`: the same question may be answered later. `retry_after_s`: when, if the service said so.
    """

    def __init__(
        self, provider: str, reason: str, detail: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{provider}: {reason}{f' ({detail})' if detail else ''}")
        self.provider = provider
        self.reason = reason
        self.retry_after_s = retry_after_s

    @property
    def retryable(self) -> bool:
        """Whether asking later makes sense."""
        return self.reason in ("quota", "timed_out", "unavailable")


class BadQuery(ValueError):
    """An address that cannot be asked for. `reason` is `missing`, `not_text`, `too_long` or `control_characters`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"query: {reason}")
        self.field = "query"
        self.reason = reason


def checked_query(query: object) -> str:
    """The address with its blanks put in order, or `BadQuery`. Caches ask by the result."""
    if query is None:
        raise BadQuery("missing")
    if not isinstance(query, str):
        raise BadQuery("not_text")
    text = " ".join(query.split())
    if not text:
        raise BadQuery("missing")
    if len(text) > QUERY_MAX:
        raise BadQuery("too_long")
    if not text.isprintable():
        raise BadQuery("control_characters")
    return text


class Geocoder(ABC):
    """Whoever knows addresses. Used as `async with`, or closed by `close`."""

    name: str

    @abstractmethod
    async def geocode(self, query: str, *, language: str | None = None) -> list[Candidate]:
        """Candidates for an address, best first; empty: none. Raises `BadQuery`, `GeocodingError`."""

    @abstractmethod
    async def reverse(self, point: Point, *, language: str | None = None) -> Candidate | None:
        """What stands at a point. Raises `GeocodingError`."""

    async def close(self) -> None:
        """Lets go of connections."""
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class TableGeocoder(Geocoder):
    """The twin in memory: knows what it was told, and counts what it was asked."""

    name = "table"

    def __init__(self, answers: Mapping[str, Sequence[Candidate]]) -> None:
        self._answers = {checked_query(query): list(found) for query, found in answers.items()}
        self.asked: list[str] = []

    async def geocode(self, query: str, *, language: str | None = None) -> list[Candidate]:
        """As `Geocoder.geocode`."""
        text = checked_query(query)
        self.asked.append(text)
        return list(self._answers.get(text, ()))

    async def reverse(self, point: Point, *, language: str | None = None) -> Candidate | None:
        """The candidate of exactly this point."""
        found = (one for answers in self._answers.values() for one in answers if one.point == point)
        return next(found, None)


class GeopyGeocoder(Geocoder):
    """A service through geopy. One object per provider and process: it is what keeps the distance between requests."""

    def __init__(
        self,
        settings: GeocoderSettings,
        *,
        monotonic: Callable[[], float] = system_monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.settings = settings
        self.name = settings.service
        self._service = SERVICES[settings.service]
        options: dict[str, Any] = {
            "timeout": settings.timeout_s,
            "user_agent": settings.user_agent,
            "scheme": settings.scheme,
            "adapter_factory": HttpxAdapter,
        }
        if settings.service == "baiduv3":
            options |= {"api_key": settings.api_key, "security_key": settings.security_key}
        else:
            options["domain"] = settings.domain
        if settings.service == "pelias":
            options["api_key"] = settings.api_key
        self._geopy = get_geocoder_for_service(settings.service)(**options)
        if settings.service == "baiduv3" and settings.domain is not None:
            base = f"{settings.scheme}://{settings.domain}"
            self._geopy.api = base + self._geopy.api_path
            self._geopy.reverse_api = base + self._geopy.reverse_path
        self._call = _Limiter(self._awaited, settings.delay_s_min, monotonic, sleep)

    async def close(self) -> None:
        """Lets go of connections."""
        await self._geopy.adapter.__aexit__(None, None, None)

    async def geocode(self, query: str, *, language: str | None = None) -> list[Candidate]:
        """As `Geocoder.geocode`."""
        text = checked_query(query)
        options = self._service.options(self.settings, language)
        found = await self._ask(self._geopy.geocode, text, **options)
        places = found if isinstance(found, list) else [] if found is None else [found]
        candidates = (self._candidate(place, text) for place in places[: self.settings.limit])
        # Two ways to say the same place are one choice.
        return list({(one.point, one.label): one for one in candidates if one is not None}.values())

    async def reverse(self, point: Point, *, language: str | None = None) -> Candidate | None:
        """As `Geocoder.reverse`."""
        there = from_wgs84(point, self._service.datum)
        options = {"language": language} if language and self._service.speaks else {}
        place = await self._ask(self._geopy.reverse, (there.lat, there.lng), exactly_one=True, **options)
        return None if place is None else self._candidate(place, "")

    async def _awaited(self, ask: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        return await ask(*args, **options)

    async def _ask(self, ask: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        for attempt in range(1, self.settings.attempts + 1):
            try:
                return await self._call(ask, *args, **options)
            except exc.GeopyError as error:
                told = self._told(error)
                # A further try waits its turn like any other request; on a spent quota it would only make things worse.
                if told.reason not in ("timed_out", "unavailable") or attempt == self.settings.attempts:
                    raise told from None
            except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
                # geopy reads answers without looking: a field that is not there ends in one of these.
                raise GeocodingError(self.name, "bad_answer", type(error).__name__) from None
        raise AssertionError("the last attempt returns or raises")

    def _told(self, error: exc.GeopyError) -> GeocodingError:
        reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "unavailable")
        return GeocodingError(self.name, reason, type(error).__name__, getattr(error, "retry_after", None))

    def _candidate(self, place: Any, query: str) -> Candidate | None:
        """The candidate of one of geopy's locations; None for one without a usable place."""
        raw = place.raw if isinstance(place.raw, dict) else {}
        try:
            found = refuse_null_island(parse_point(*self._service.degrees(raw)))
            found = to_wgs84(found, self._service.datum)
        except (BadPoint, KeyError, TypeError, ValueError):
            return None
        address = place.address
        text = address.decode("utf-8", "replace") if isinstance(address, bytes) else address
        precision, confidence, label = self._service.judge(raw, text if isinstance(text, str) else "")
        return Candidate(found, (label or query)[:LABEL_MAX], precision, self.name, confidence)


class _Limiter(AsyncRateLimiter):  # type: ignore[misc]  # geopy has no types
    """geopy's limiter on a clock that can be given. It tries once: its own retries write the address into the log."""

    def __init__(
        self,
        func: Callable[..., Awaitable[Any]],
        delay_s: float,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        super().__init__(
            func,
            min_delay_seconds=delay_s,
            max_retries=0,
            error_wait_seconds=delay_s,
            swallow_exceptions=False,
        )
        self._monotonic = monotonic
        self._pause = sleep

    def _clock(self) -> float:
        return self._monotonic()

    async def _sleep(self, seconds: float) -> None:
        await self._pause(seconds)


_REASONS: Final = (
    (exc.GeocoderQuotaExceeded, "quota"),
    (exc.GeocoderAuthenticationFailure, "auth"),
    (exc.GeocoderInsufficientPrivileges, "auth"),
    (exc.GeocoderTimedOut, "timed_out"),
    (exc.GeocoderUnavailable, "unavailable"),
    (exc.GeocoderParseError, "bad_answer"),
    (exc.GeocoderQueryError, "refused"),
)
