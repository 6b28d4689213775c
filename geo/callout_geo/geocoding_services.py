"""Which of geopy's geocoders can be used, with what settings, and how to read how precise their answers are."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from callout_geo.china import Datum

CANDIDATES_MAX: Final = 10

#: What the public Nominatim asks of everybody: a request a second at most, and a name of one's own.
_PUBLIC_NOMINATIM: Final = "nominatim.openstreetmap.org"

#: Letters, digits and what an address on the net needs: host, port, path.
_DOMAIN: Final = re.compile(
    r"(\[[0-9A-Fa-f:]{2,45}\]|[A-Za-z0-9.-]{1,253})(:\d{1,5})?(/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,60}){0,5}/?\Z"
)


class Precision(StrEnum):
    """How near the place is, from best to worst. Stored: names stay."""

    ADDRESS = "address"
    """A house, an entrance, a named building."""
    STREET = "street"
    """Somewhere along the street."""
    AREA = "area"
    """The middle of a quarter, a town, a postal code or more."""
    UNKNOWN = "unknown"


class BadGeocoder(ValueError):
    """Settings that no geocoder can be made of."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class GeocoderSettings:
    """One provider. Checked here (`BadGeocoder`). `domain` is host, port and path without scheme; the services that one
    can run oneself need it, Baidu's is its own unless it stands behind a gateway."""

    service: str
    domain: str | None = None
    scheme: str = "https"
    api_key: str | None = field(default=None, repr=False)
    security_key: str | None = field(default=None, repr=False)
    user_agent: str = "callout"
    timeout_s: float = 5.0
    attempts: int = 2
    delay_s_min: float = 1.0
    """Seconds between two requests of this process, whoever makes them."""
    limit: int = 5
    countries: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.service not in SERVICES:
            raise BadGeocoder("service", f"must be one of {', '.join(SERVICES)}")
        if self.domain is None and self.service != "baiduv3":
            raise BadGeocoder("domain", "must be named")
        if self.domain is not None and not _DOMAIN.match(self.domain):
            raise BadGeocoder("domain", "must be a host, with a port and a path if need be")
        if self.scheme not in ("http", "https"):
            raise BadGeocoder("scheme", "must be http or https")
        if self.service == "baiduv3" and not self.api_key:
            raise BadGeocoder("api_key", "must be given")
        if not 0.05 <= self.timeout_s <= 60:
            raise BadGeocoder("timeout_s", "must be between 0.05 and 60")
        if not 1 <= self.attempts <= 5:
            raise BadGeocoder("attempts", "must be between 1 and 5")
        if not 0 <= self.delay_s_min <= 60:
            raise BadGeocoder("delay_s_min", "must be between 0 and 60")
        if self.domain == _PUBLIC_NOMINATIM and (self.delay_s_min < 1 or self.user_agent == "callout"):
            raise BadGeocoder(
                "delay_s_min", "the public Nominatim takes one request a second, and a user agent of its own"
            )
        if not 1 <= self.limit <= CANDIDATES_MAX:
            raise BadGeocoder("limit", f"must be between 1 and {CANDIDATES_MAX}")
        if not all(re.fullmatch(r"[a-z]{2}", country) for country in self.countries):
            raise BadGeocoder("countries", "must be two-letter codes in small letters")


Judged = tuple[Precision, float | None, str]


@dataclass(frozen=True, slots=True)
class Service:
    """What is peculiar to one of geopy's geocoders."""

    datum: Datum
    speaks: bool
    """Whether it takes a language."""
    options: Callable[[GeocoderSettings, str | None], dict[str, Any]]
    judge: Callable[[dict[str, Any], str], Judged]
    degrees: Callable[[dict[str, Any]], tuple[object, object]]
    """Latitude and longitude as the service wrote them: geopy makes 0 of a null."""


def _nominatim_options(settings: GeocoderSettings, language: str | None) -> dict[str, Any]:
    return {
        "exactly_one": False,
        "limit": settings.limit,
        "language": language or False,
        "country_codes": list(settings.countries),
    }


def _nominatim(raw: dict[str, Any], label: str) -> Judged:
    """By `place_rank`: 26 and 27 are streets, 28 and above houses and what has a name of its own (Nominatim's ranking)."""
    rank = raw.get("place_rank")
    if not isinstance(rank, int):
        return Precision.UNKNOWN, None, label
    precision = Precision.ADDRESS if rank >= 28 else Precision.STREET if rank >= 26 else Precision.AREA
    return precision, None, label


def _photon(raw: dict[str, Any], label: str) -> Judged:
    properties = raw.get("properties")
    kind = properties.get("type") if isinstance(properties, dict) else None
    precision = {"house": Precision.ADDRESS, "street": Precision.STREET, None: Precision.UNKNOWN}
    return precision.get(kind, Precision.AREA), None, label


def _pelias(raw: dict[str, Any], label: str) -> Judged:
    properties = raw.get("properties")
    if not isinstance(properties, dict):
        return Precision.UNKNOWN, None, label
    known = {
        "address": Precision.ADDRESS,
        "venue": Precision.ADDRESS,
        "street": Precision.STREET,
        "intersection": Precision.STREET,
        None: Precision.UNKNOWN,
    }
    full = properties.get("label")
    precision = known.get(properties.get("layer"), Precision.AREA)
    return precision, _share(properties.get("confidence"), 1), full if isinstance(full, str) else label


def _baidu(raw: dict[str, Any], label: str) -> Judged:
    """`precise` 1 is a hit on the address itself; from `confidence` 70 on the error is below 300 m (Baidu's reference).

    Its answer to an address has no text of its own, only the kind of place: the question is the label then.
    """
    confidence = _share(raw.get("confidence"), 100)
    if raw.get("precise") == 1:
        precision = Precision.ADDRESS
    elif confidence is None:
        precision = Precision.UNKNOWN
    else:
        precision = Precision.STREET if confidence >= 0.7 else Precision.AREA
    return precision, confidence, label if label != raw.get("level") else ""


def _geometry(raw: dict[str, Any]) -> tuple[object, object]:
    lng, lat = raw["geometry"]["coordinates"][:2]
    return lat, lng


def _share(value: object, whole: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= whole:
        return None
    return value / whole


#: geopy's names. AMap (Gaode) is not among its registered geocoders.
SERVICES: Final[dict[str, Service]] = {
    "nominatim": Service(
        Datum.WGS84, True, _nominatim_options, _nominatim, lambda raw: (raw.get("lat"), raw.get("lon"))
    ),
    "photon": Service(
        Datum.WGS84,
        True,
        lambda settings, language: {
            "exactly_one": False,
            "limit": settings.limit,
            "language": language or False,
        },
        _photon,
        _geometry,
    ),
    "pelias": Service(
        Datum.WGS84,
        True,
        lambda settings, language: {
            "exactly_one": False,
            "language": language,
            "countries": [country.upper() for country in settings.countries],
        },
        _pelias,
        _geometry,
    ),
    # Its version 3 answers one place; asked for several, geopy trips over that.
    "baiduv3": Service(
        Datum.BD09,
        False,
        lambda settings, language: {"exactly_one": True},
        _baidu,
        lambda raw: (raw["location"]["lat"], raw["location"]["lng"]),
    ),
}
