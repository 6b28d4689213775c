"""Which services outside of this server answer about places, as its settings name them.

A database carries what its process was set up with, so that a service that is handed a database (and nothing else of the
roof's) finds whom to ask. A database that nobody set up asks nobody.
"""

from dataclasses import dataclass, field
from typing import Final
from weakref import WeakKeyDictionary

from callout_geo.geocoding import Geocoder, GeocoderSettings, GeopyGeocoder
from callout_geo.routing.breaker import Breaker
from callout_geo.routing.osrm import OsrmRouter
from callout_geo.routing.over_http import HttpRouter, Manners
from callout_geo.routing.valhalla import ValhallaRouter
from callout_store.work import Database

VARIABLES: Final = {"osrm": "CALLOUT_OSRM_URL", "valhalla": "CALLOUT_VALHALLA_URL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GeocoderChoice:
    """The geocoder of this server, asked at most once in `every_s` seconds by all processes together."""

    settings: GeocoderSettings
    every_s: float

    @property
    def name(self) -> str:
        """Which service."""
        return self.settings.service

    @property
    def place(self) -> str:
        """Which service, and where: what a limit counts for, and what an answer depends on."""
        return f"{self.settings.service}:{self.settings.domain or ''}"

    def open(self) -> Geocoder:
        """The geocoder, to be closed by whoever asks."""
        return GeopyGeocoder(self.settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Providers:
    """Addresses of routing services and the geocoder; None: there is none. `breakers` leave a service alone that keeps
    failing, for all requests of this process together."""

    osrm_url: str | None = None
    valhalla_url: str | None = None
    geocoder: GeocoderChoice | None = None
    manners: Manners = field(default_factory=Manners)
    breakers: dict[str, Breaker] = field(default_factory=lambda: {name: Breaker() for name in VARIABLES})

    def has_router(self, name: str) -> bool:
        """Whether this server can ask that routing service."""
        return {"osrm": self.osrm_url, "valhalla": self.valhalla_url}.get(name) is not None

    def router(self, name: str) -> HttpRouter | None:
        """A router of that name, to be closed by whoever asks; None where no address is set."""
        if name == "osrm" and self.osrm_url is not None:
            return OsrmRouter(self.osrm_url, self.manners, breaker=self.breakers[name])
        if name == "valhalla" and self.valhalla_url is not None:
            return ValhallaRouter(self.valhalla_url, self.manners, breaker=self.breakers[name])
        return None


NOBODY: Final = Providers()
_of: WeakKeyDictionary[Database, Providers] = WeakKeyDictionary()


def register(db: Database, providers: Providers) -> None:
    """Say whom this database's services may ask, in place of what was said before."""
    _of[db] = providers


def providers_of(db: Database) -> Providers:
    """Whom to ask."""
    return _of.get(db, NOBODY)
