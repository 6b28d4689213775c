"""The city as the demo's office divides it: a territory for each district, drawn around the places of its requests."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from callout_backend.demo.sf311 import Request
from callout_dispatch import policies
from callout_dispatch.places import territories
from callout_store.work import Work

EDGE_DEGREES: Final = 0.0008
"""So far around the outermost places, some 80 m: a place on the edge lies within."""
POLICY: Final[dict[str, Any]] = {
    "name": "Golden Gate",
    "rules": [
        {"rule": "availability", "overtimeMinutes": 15},
        {"rule": "skills"},
        {"rule": "territory"},
        {"rule": "max_travel", "minutes": 75},
        {"rule": "required_engineer"},
        {"rule": "excluded_engineer"},
        {"rule": "visiting_hours"},
        {"rule": "requested_window"},
        {"rule": "capacity", "workMinutesMax": 480, "visitsMax": 14},
        {"rule": "online", "priorities": ["P0"]},
    ],
    # An offer's timer runs by the database's clock: in a day of a minute it is the dispatcher who hears a yes or a no.
    "redLane": {"offerSeconds": 600, "displace": ["P2"], "displacedMax": 1},
    "planning": {"secondsMax": 2.0, "moveMinutes": 1, "engineerMinutes": 2},
}
"""The organisation's own rules; whatever is not said is as in the house's own."""


def outlines(requests: Sequence[Request]) -> dict[str, dict[str, Any]]:
    """A GeoJSON polygon around the places of each district; requests without a district are nowhere's."""
    import shapely

    places: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for request in requests:
        if request.district:
            places[request.district].append((request.point.lng, request.point.lat))
    drawn: dict[str, dict[str, Any]] = {}
    for district, points in sorted(places.items()):
        shape = shapely.convex_hull(shapely.MultiPoint(points))
        shape = shapely.simplify(shapely.buffer(shape, EDGE_DEGREES, quad_segs=2), EDGE_DEGREES / 8)
        ring = [[round(lng, 6), round(lat, 6)] for lng, lat in shapely.get_coordinates(shape)]
        drawn[district] = {"type": "Polygon", "coordinates": [ring]}
    return drawn


async def make_territories(work: Work, requests: Sequence[Request]) -> dict[str, UUID]:
    """The territories by district. Sites that are made later lie in theirs by their point."""
    made: dict[str, UUID] = {}
    for district, outline in outlines(requests).items():
        change = territories.TerritoryChange(
            code=f"district-{district}", name=f"District {district}", polygon=outline
        )
        made[district] = (await territories.save(work, change)).territory.id
    return made


async def save_policy(work: Work) -> int:
    """The organisation decides by rules of its own; the version."""
    return await policies.save(
        work, POLICY, note="Lunch for everybody, and few visits that move", activate=True
    )
