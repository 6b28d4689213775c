"""Where a site is: its address, its point, the circle that counts as being there, and the territory it lies in.

Which territory that is, dispatch knows; here it is only written. A site's point that changes moves no event that was judged
before: a verdict is evidence of what was known then.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.customers import GEOFENCE_M_MAX, GEOFENCE_M_MIN
from callout_orders.rows import Page, page_size, paged
from callout_store.errors import NotFound, StaleRevision
from callout_store.journal import Entry, write, write_many
from callout_store.work import Work

By = Literal["hand", "geocoder"]
PLACED: Final = "site.placed"
"""The journal's kind for a site whose address, point or circle changed."""


class SitePlace(msgspec.Struct, frozen=True, kw_only=True):
    """What shall change of a site's place; None leaves a thing as it is. `point` is (lat, lng) in WGS-84 degrees."""

    address: str | None = None
    point: tuple[float, float] | None = None
    geofence_radius_m: int | None = None


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A site's place as it stands."""

    site_id: UUID
    address: str
    lat: float | None
    lng: float | None
    geofence_radius_m: int
    revision: int


class UnplacedSite(msgspec.Struct, frozen=True, kw_only=True):
    """A site that nobody can be sent to by distance: it has no point."""

    id: UUID
    name: str
    address: str
    revision: int


async def set_place(
    work: Work, site_id: UUID, place: SitePlace, revision: int | None = None, *, by: By = "hand"
) -> Placed:
    """Change a site's place; what stands afterwards. The same again changes nothing.

    With `revision` the site must still be at it. Raises NotFound, StaleRevision, BadField, PointInvalid.
    """
    address = None if place.address is None else checks.text("address", place.address, chars_max=500)
    point = None if place.point is None else checks.point("", *place.point)
    radius = place.geofence_radius_m
    if radius is not None:
        checks.whole("geofenceRadiusM", radius, low=GEOFENCE_M_MIN, high=GEOFENCE_M_MAX)
    row = await work.fetchrow(
        """
        select address, lat, lng, geofence_radius_m, revision from site
        where org_id = callout_org() and id = $1 for no key update
        """,
        site_id,
    )
    if row is None:
        raise NotFound(entity="site")
    if revision is not None and revision != row["revision"]:
        raise StaleRevision(entity="site", current=row["revision"], given=revision)
    lat, lng = point if point is not None else (row["lat"], row["lng"])
    after: dict[str, Any] = {
        "address": address if address is not None else row["address"],
        "lat": lat,
        "lng": lng,
        "geofence_radius_m": radius if radius is not None else row["geofence_radius_m"],
    }
    changed = {name: value for name, value in after.items() if value != row[name]}
    stands: int = row["revision"]
    if changed:
        stands = await work.fetchval(
            """
            update site set address = $2, lat = $3, lng = $4, geofence_radius_m = $5, revision = revision + 1
            where org_id = callout_org() and id = $1 returning revision
            """,
            site_id,
            *after.values(),
        )
        await write(
            work,
            Entry(
                kind=PLACED,
                entity="site",
                entity_id=site_id,
                data={"by": by, **{_camel(name): value for name, value in changed.items()}},
            ),
        )
        work.touch("site", site_id)
    return Placed(site_id=site_id, revision=stands, **after)


async def place_sites(
    work: Work,
    territories: Mapping[UUID, UUID | None],
    points: Mapping[UUID, tuple[float, float]] | None = None,
) -> int:
    """Write in which territory sites lie by its polygon, in one statement; how many changed.

    Sites whose territory was set by hand keep it. With `points` a site keeps what it has if its point is another by now.
    A territory is no part of a site's document, so neither its revision nor the phones learn of it.
    """
    ids = sorted(territories)
    seen = points or {}
    return await work.execute(
        """
        update site s set territory_id = t.territory_id
        from unnest($1::uuid[], $2::uuid[], $3::float8[], $4::float8[]) as t(id, territory_id, lat, lng)
        where s.org_id = callout_org() and s.id = t.id and s.territory_by = 'polygon'
          and s.territory_id is distinct from t.territory_id
          and (t.lat is null or (s.lat = t.lat and s.lng = t.lng))
        """,
        ids,
        [territories[id_] for id_ in ids],
        [seen[id_][0] if id_ in seen else None for id_ in ids],
        [seen[id_][1] if id_ in seen else None for id_ in ids],
    )


async def set_territory(
    work: Work, site_id: UUID, territory_id: UUID | None, *, by: Literal["hand", "polygon"]
) -> bool:
    """Say by hand in which territory a site lies (None: in none), or give it back to the polygons; whether that changed
    anything. The territory must be one of the organisation's: the caller has looked. Raises NotFound (site)."""
    row = await work.fetchrow(
        "select territory_id, territory_by from site where org_id = callout_org() and id = $1 for no key update",
        site_id,
    )
    if row is None:
        raise NotFound(entity="site")
    if (row["territory_id"], row["territory_by"]) == (territory_id, by):
        return False
    await work.execute(
        "update site set territory_id = $2, territory_by = $3 where org_id = callout_org() and id = $1",
        site_id,
        territory_id,
        by,
    )
    await write_many(
        work,
        [
            Entry(
                kind="site.territory_set",
                entity="site",
                entity_id=site_id,
                data={"territoryId": territory_id, "fromTerritoryId": row["territory_id"], "by": by},
            )
        ],
    )
    return True


async def unplaced_sites(work: Work, after: UUID | None = None, limit: int = 50) -> Page[UnplacedSite]:
    """Sites without a point, newest first; `limit` 1..200."""
    size = page_size(limit)
    rows = await work.fetch(
        """
        select id, name, address, revision from site
        where org_id = callout_org() and lat is null and ($2::uuid is null or id < $2)
        order by id desc limit $1
        """,
        size + 1,
        after,
    )
    return paged([UnplacedSite(**dict(row)) for row in rows], size)


async def points_of(work: Work, site_ids: Sequence[UUID]) -> dict[UUID, tuple[float, float] | None]:
    """The points of sites that lie in a territory by polygon, in WGS-84 degrees; None where a site has none."""
    rows = await work.fetch(
        """
        select id, lat, lng from site
        where org_id = callout_org() and id = any($1) and territory_by = 'polygon'
        """,
        list(site_ids),
    )
    return {row["id"]: None if row["lat"] is None else (row["lat"], row["lng"]) for row in rows}


async def points_after(
    work: Work, after: UUID | None, limit: int
) -> tuple[dict[UUID, tuple[float, float] | None], UUID | None]:
    """A chunk of what `points_of` answers, over all sites in the order of their ids, and the id to go on after (None: that
    was all)."""
    rows = await work.fetch(
        """
        select id, lat, lng, territory_by from site
        where org_id = callout_org() and ($1::uuid is null or id > $1) order by id limit $2
        """,
        after,
        limit,
    )
    points = {
        row["id"]: None if row["lat"] is None else (row["lat"], row["lng"])
        for row in rows
        if row["territory_by"] == "polygon"
    }
    return points, rows[-1]["id"] if len(rows) == limit else None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
