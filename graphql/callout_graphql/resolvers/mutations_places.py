"""Mutations about places: territories, where sites are, what is kept of positions."""

from typing import cast
from uuid import UUID

import strawberry

from callout_dispatch.places import speeds, territories
from callout_dispatch.places.datums import datum_of, wgs84
from callout_dispatch.places.texts import PlaceRefused
from callout_graphql.edges import Info
from callout_graphql.resolvers.mutations_desk import there
from callout_graphql.scalars import JSON
from callout_graphql.types.desk import Site
from callout_graphql.types.places import Territory, TerritorySaved
from callout_orders import site_places


@strawberry.input
class SaveTerritory:
    """A territory. Without `id` a new one, which needs `code` and `name`; with it, what is left out stays. `polygon`: GeoJSON
    Polygon or MultiPolygon, longitude first, in `datum` (wgs84, gcj02 or bd09: that of the map it was drawn on)."""

    id: UUID | None = None
    revision: int | None = None
    code: str | None = None
    name: str | None = None
    polygon: JSON | None = None
    datum: str = "wgs84"
    without_polygon: bool = False


@strawberry.input
class PointInput:
    """Degrees in `datum`: wgs84 (GPS), gcj02 (licensed Chinese maps) or bd09 (Baidu)."""

    lat: float
    lng: float
    datum: str = "wgs84"


@strawberry.input
class SitePlace:
    """Where a site is; what is left out stays as it is. The radius in metres, 100 to 5000, counts as being there."""

    address: str | None = None
    point: PointInput | None = None
    geofence_radius_m: int | None = None


@strawberry.type
class PlaceMutations:
    """What may be changed about places."""

    @strawberry.mutation
    async def save_territory(self, info: Info, input: SaveTerritory) -> TerritorySaved:
        """Make or change a territory; a retired one comes back. Sites are placed anew where the outline changed."""
        change = territories.TerritoryChange(
            code=input.code,
            name=input.name,
            polygon=input.polygon,
            datum=datum_of("datum", input.datum),
            without_polygon=input.without_polygon,
        )
        saved = await info.context.run(
            lambda work: territories.save(work, change, id_=input.id, revision=input.revision)
        )
        info.context.loaders.forget()
        return cast(TerritorySaved, saved)

    @strawberry.mutation
    async def retire_territory(self, info: Info, id: UUID, revision: int | None = None) -> Territory:
        """Take a territory out of service. Sites put there by hand and engineers who work there stay until moved."""
        return cast(Territory, await info.context.run(lambda work: territories.retire(work, id, revision)))

    @strawberry.mutation
    async def set_site_territory(
        self, info: Info, site_id: UUID, territory_id: UUID | None = None, by_polygon: bool = False
    ) -> Site:
        """Put a site into a territory by hand (null: into none), or with `byPolygon` let its point decide again."""
        await info.context.run(
            lambda work: territories.set_site_territory(work, site_id, territory_id, by_polygon=by_polygon)
        )
        return await _site(info, site_id)

    @strawberry.mutation
    async def set_site_point(
        self,
        info: Info,
        site_id: UUID,
        lat: float,
        lng: float,
        datum: str = "wgs84",
        revision: int | None = None,
    ) -> Site:
        """Put a site where somebody pointed on a map. The phones that hold the site learn of it."""
        point = wgs84(lat, lng, datum)
        place = site_places.SitePlace(point=(point.lat, point.lng))
        await info.context.run(lambda work: site_places.set_place(work, site_id, place, revision))
        return await _site(info, site_id)

    @strawberry.mutation
    async def set_site_place(
        self, info: Info, site_id: UUID, input: SitePlace, revision: int | None = None
    ) -> Site:
        """Change a site's address, point or radius. The phones that hold the site learn of it."""
        given = input.point
        if input.address is None and given is None and input.geofence_radius_m is None:
            raise PlaceRefused("input", "nothing")
        point = (
            None
            if given is None
            else wgs84(given.lat, given.lng, given.datum, path="point.", datum_path="point.datum")
        )
        place = site_places.SitePlace(
            address=input.address,
            point=None if point is None else (point.lat, point.lng),
            geofence_radius_m=input.geofence_radius_m,
        )
        await info.context.run(lambda work: site_places.set_place(work, site_id, place, revision))
        return await _site(info, site_id)

    @strawberry.mutation
    async def learn_travel_speeds(self, info: Info) -> int:
        """Reckon the travel speeds anew from the ways driven so far, as it is done every day; answers how many hours of the
        week have any."""
        return await info.context.run(speeds.learn)


async def _site(info: Info, id_: UUID) -> Site:
    info.context.loaders.forget()
    return there(await info.context.loaders.sites.load(id_), "site")
