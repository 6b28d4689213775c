"""Types of places: territories, sites' places, positions and tracks, learned speeds, geocoding."""

from datetime import datetime
from uuid import UUID

import strawberry

from callout_graphql.edges import edge
from callout_graphql.scalars import JSON


@strawberry.type
class Territory:
    """A part of the world that engineers work in. `sites` lie in it, `engineers` in service may be sent there; with none of
    either a plan of it is empty. `outlined`: it has a polygon; else it is only a name."""

    id: UUID
    code: str
    name: str
    active: bool
    revision: int
    outlined: bool
    sites: int
    engineers: int

    polygon: JSON | None = edge(
        "polygon_of_territory",
        "id",
        "The outline: GeoJSON Polygon or MultiPolygon in WGS-84, longitude first.",
    )


@strawberry.type
class TerritoryOverlap:
    """A warning: another territory covers part of this one, `share` of the smaller of the two. A site in both lies in the
    older territory."""

    id: UUID
    code: str
    area_m2: float
    share: float


@strawberry.type
class TerritorySaved:
    """A territory that was saved. `placing`: sites are being placed anew because of it, which takes a moment."""

    territory: Territory
    overlaps: list[TerritoryOverlap]
    placing: bool


@strawberry.type
class UnplacedSite:
    """A site without a point: nobody can be sent there by distance until it is put on the map."""

    id: UUID
    name: str
    address: str
    revision: int


@strawberry.type
class LivePosition:
    """An engineer who works now, and where they were last in this shift; `ageS` is how many seconds ago."""

    id: UUID
    name: str
    territory_id: UUID | None
    lat: float | None
    lng: float | None
    accuracy_m: float | None
    at: datetime | None
    age_s: float | None


@strawberry.type
class TrackStop:
    """Somebody stood here from `start` to `end`."""

    start: datetime
    end: datetime
    lat: float
    lng: float


@strawberry.type
class TrackGap:
    """No position for minutes, and elsewhere afterwards; `metres` is a guess by the straight way."""

    start: datetime
    end: datetime
    metres: float


@strawberry.type
class TrackPoint:
    """A corner of the line, and when the engineer was there."""

    at: datetime
    lat: float
    lng: float


@strawberry.type
class Track:
    """Where an engineer drove. `metres` are those measured and those bridged over gaps. Of so many `fixes`, `dropped` did not
    count: made up, too inaccurate, impossible."""

    engineer_id: UUID
    start: datetime
    end: datetime
    metres: float
    measured_metres: float
    fixes: int
    dropped: int
    stops: list[TrackStop]
    gaps: list[TrackGap]
    line: list[TrackPoint]


@strawberry.type
class HourSpeed:
    """The speed on the road in one hour of the week (0: Monday 00:00 by the organisation's clock), learned from so many ways
    (`samples`); with few it leans on the mean."""

    hour_of_week: int
    km_per_hour: float
    samples: int


@strawberry.type
class GeocodeCandidate:
    """A place for an address, WGS-84 degrees. `precision`: address, street, area, unknown; `confidence` is the service's
    own, 0 to 1, where it gives one."""

    lat: float
    lng: float
    label: str
    precision: str
    provider: str
    confidence: float | None


@strawberry.type
class Geocoding:
    """Places for an address, best first; none where nobody knows it. `kept`: the service was not asked again."""

    candidates: list[GeocodeCandidate]
    kept: bool
