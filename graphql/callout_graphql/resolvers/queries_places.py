"""Queries about places: territories, positions and tracks, learned speeds, geocoding."""

from datetime import datetime
from typing import cast
from uuid import UUID

import strawberry

from callout_dispatch.engineers import engineer_of_user
from callout_dispatch.places import geocodes, positions, speeds, territories, tracks
from callout_dispatch.places.datums import wgs84
from callout_graphql.connections import PAGE_DEFAULT, Connection, connection, cursor_id, cut, page_size
from callout_graphql.edges import Info
from callout_graphql.types.places import (
    GeocodeCandidate,
    Geocoding,
    HourSpeed,
    LivePosition,
    Territory,
    Track,
    UnplacedSite,
)
from callout_orders import site_places
from callout_people.principals import Right, Role
from callout_store.errors import NotAllowed, NotFound


@strawberry.type
class PlaceQueries:
    """What may be asked about places."""

    @strawberry.field
    async def territories(self, info: Info, active: bool | None = True) -> list[Territory]:
        """Territories by code; `active: null` asks for those out of service too."""
        async with info.context.work() as work:
            return cast(list[Territory], await territories.territories(work, active=active))

    @strawberry.field
    async def territory_at(
        self, info: Info, lat: float, lng: float, datum: str = "wgs84"
    ) -> Territory | None:
        """The territory in service whose outline a point lies in; the older one where several do. `datum`: wgs84, gcj02 or
        bd09."""
        point = wgs84(lat, lng, datum)
        async with info.context.work() as work:
            return cast(Territory | None, await territories.territory_at(work, point))

    @strawberry.field
    async def unplaced_sites(
        self, info: Info, first: int = PAGE_DEFAULT, after: str | None = None
    ) -> Connection[UnplacedSite]:
        """Sites without a point, newest first: they wait for somebody to put them on the map."""
        async with info.context.work() as work:
            page = await site_places.unplaced_sites(work, cursor_id(after), page_size(first))
        return connection(page)

    @strawberry.field
    async def live_positions(
        self, info: Info, first: int = PAGE_DEFAULT, after: str | None = None
    ) -> Connection[LivePosition]:
        """Engineers on shift now, and where they were last in this shift. An engineer sees their own."""
        own = await own_engineer(info)
        async with info.context.work() as work:
            rows = await positions.live(work, after=cursor_id(after), limit=page_size(first), engineer_id=own)
        return cut(rows, first)

    @strawberry.field
    async def engineer_track(self, info: Info, engineer_id: UUID, start: datetime, end: datetime) -> Track:
        """Where an engineer drove within [start, end), at most a day. An engineer may see their own only."""
        own = await own_engineer(info)
        if own not in (None, engineer_id):
            raise NotFound(entity="engineer", path="engineerId")
        async with info.context.work() as work:
            return cast(Track, await tracks.track(work, engineer_id, start, end))

    @strawberry.field
    async def geocode(self, info: Info, text: str) -> Geocoding:
        """Places for an address by this server's geocoder, for a person to choose from (`setSitePoint`)."""
        context = info.context
        found = await geocodes.geocode(context.services.db, context.org_id, text, language=context.locale)
        return Geocoding(
            candidates=[
                GeocodeCandidate(
                    lat=one.point.lat,
                    lng=one.point.lng,
                    label=one.label,
                    precision=one.precision.value,
                    provider=one.provider,
                    confidence=one.confidence,
                )
                for one in found.candidates
            ],
            kept=found.kept,
        )

    @strawberry.field
    async def travel_speeds(self, info: Info) -> list[HourSpeed]:
        """The 168 hours of the week with the speeds that travel times are reckoned with."""
        async with info.context.work() as work:
            return cast(list[HourSpeed], await speeds.speeds(work))


async def own_engineer(info: Info) -> UUID | None:
    """None for the office, which may see all; the engineer that the caller is, for an engineer. Everybody else is refused."""
    who = info.context.who
    if who.may(Right.ENGINEERS_READ):
        return None
    if who.role is Role.ENGINEER:
        async with info.context.work() as work:
            own = await engineer_of_user(work, who.user_id)
        if own is not None:
            return own
    raise NotAllowed(role=who.role.value, what=Right.ENGINEERS_READ.value)
