"""Territories with outlines: drawn, changed, taken out of service; and the sites that lie in them.

A site lies where its point lies, unless somebody has said so by hand. New sites and moved ones are placed in the transaction
that makes or moves them; all sites together, after an outline changed, by a job in chunks.
"""

from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from callout_dispatch.places.polygon_texts import PolygonRefused
from callout_dispatch.places.territory_map import hold, place, territory_map
from callout_dispatch.places.texts import PlaceRefused
from callout_dispatch.texts import checked_line
from callout_geo.china import Datum
from callout_geo.points import Point
from callout_geo.polygons import TERRITORIES_MAX, BadPolygon, Outline, TerritoryMap, parse_outline
from callout_orders import site_places
from callout_store import outbox
from callout_store.errors import AlreadyExists, LimitExceeded, NotFound, StaleRevision
from callout_store.ids import new_id
from callout_store.journal import Entry, write
from callout_store.outbox import Claimed
from callout_store.work import Database, Work

CHANNEL: Final = "territory.place"
CHUNK: Final = 5_000
"""Sites placed in one transaction."""
CHUNKS_MAX: Final = 40
"""Chunks in one run of the job; it goes on in a message of its own, so that no run reaches the handler's deadline."""
CODE_CHARS_MAX: Final = 40


class TerritoryChange(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be of a territory; None leaves a thing as it is. `polygon` is decoded GeoJSON in `datum`;
    `without_polygon` takes the outline away, so that the territory is only a name."""

    code: str | None = None
    name: str | None = None
    polygon: Any = None
    datum: Datum = Datum.WGS84
    without_polygon: bool = False


class TerritoryDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A territory, and how many sites lie in it and how many engineers in service may be sent there. With neither a plan
    of it is empty."""

    id: UUID
    code: str
    name: str
    active: bool
    revision: int
    outlined: bool
    sites: int
    engineers: int


class TerritoryOverlap(msgspec.Struct, frozen=True, kw_only=True):
    """A warning: another territory covers part of this one. Sites in both belong to the older one."""

    id: UUID
    code: str
    area_m2: float
    share: float


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A territory that was saved, what it overlaps, and whether sites are being placed anew because of it."""

    territory: TerritoryDetails
    overlaps: list[TerritoryOverlap]
    placing: bool


async def save(
    work: Work, change: TerritoryChange, *, id_: UUID | None = None, revision: int | None = None
) -> Saved:
    """Make a territory (`id_` None), or change one; a retired one comes back into service.

    With `revision` the territory must still be at it. Raises BadField (with the path within the outline), NotFound,
    AlreadyExists (code), StaleRevision, LimitExceeded.
    """
    outline = _outline(change)
    code = None if change.code is None else checked_line("code", change.code, limit=CODE_CHARS_MAX)
    name = None if change.name is None else checked_line("name", change.name)
    await hold(work, alone=True)
    if id_ is None:
        if code is None or name is None:
            raise PlaceRefused("code" if code is None else "name", "id_or_code")
        id_ = new_id()
        before = None
    else:
        before = await _locked(work, id_, revision)
    text = None if outline is None else msgspec.json.encode(outline.geojson).decode()
    redrawn = (outline is not None and (before is None or before["polygon"] != outline.geojson)) or (
        change.without_polygon and before is not None and before["polygon"] is not None
    )
    placing = redrawn or (before is not None and not before["active"] and before["polygon"] is not None)
    same = before is not None and (
        before["active"] and not redrawn and code in (None, before["code"]) and name in (None, before["name"])
    )
    if not same:
        held = before or {}
        await _store(work, id_, code or held["code"], name or held["name"], text, change.without_polygon)
        known = await work.fetchval(
            "select count(*) from territory where org_id = callout_org() and active and polygon is not null"
        )
        if known > TERRITORIES_MAX:
            raise LimitExceeded(
                path="polygon", what="territories with an outline", limit=TERRITORIES_MAX, given=known
            )
        await write(
            work,
            Entry(
                kind="territory.saved",
                entity="territory",
                entity_id=id_,
                data={"code": code, "name": name, "redrawn": redrawn},
            ),
        )
        if placing:
            await _owe_placing(work, id_)
    (details,) = await territories(work, ids=[id_])
    overlaps = await _overlaps(work, id_) if outline is not None else []
    return Saved(territory=details, overlaps=overlaps, placing=placing and not same)


def _outline(change: TerritoryChange) -> Outline | None:
    if change.polygon is None or change.without_polygon:
        return None
    try:
        return parse_outline(change.polygon, datum=change.datum)
    except BadPolygon as fault:
        raise PolygonRefused(fault) from None


async def _store(work: Work, id_: UUID, code: str, name: str, polygon: str | None, without: bool) -> None:
    try:
        await work.execute(
            """
            insert into territory as t (id, code, name, polygon) values ($1, $2, $3, $4::text::jsonb)
            on conflict (org_id, id) do update
            set code = excluded.code, name = excluded.name, active = true, revision = t.revision + 1,
                polygon = case when $5 then null else coalesce(excluded.polygon, t.polygon) end
            """,
            id_,
            code,
            name,
            polygon,
            without,
        )
    except asyncpg.UniqueViolationError:
        raise AlreadyExists(entity="territory", key="code", path="code") from None


async def _locked(work: Work, id_: UUID, revision: int | None) -> dict[str, Any]:
    row = await work.fetchrow(
        """
        select code, name, active, revision, polygon::text as polygon from territory
        where org_id = callout_org() and id = $1 for no key update
        """,
        id_,
    )
    if row is None:
        raise NotFound(entity="territory")
    if revision is not None and revision != row["revision"]:
        raise StaleRevision(entity="territory", current=row["revision"], given=revision)
    return {**dict(row), "polygon": msgspec.json.decode(row["polygon"]) if row["polygon"] else None}


async def retire(work: Work, id_: UUID, revision: int | None = None) -> TerritoryDetails:
    """Take a territory out of service: sites no longer lie in it by its outline. Sites put there by hand and engineers who
    work there stay as they are until somebody moves them. Twice changes nothing. Raises NotFound, StaleRevision."""
    await hold(work, alone=True)
    before = await _locked(work, id_, revision)
    if before["active"]:
        await work.execute(
            "update territory set active = false, revision = revision + 1 where org_id = callout_org() and id = $1",
            id_,
        )
        await write(work, Entry(kind="territory.retired", entity="territory", entity_id=id_))
        if before["polygon"] is not None:
            await _owe_placing(work, id_)
    (details,) = await territories(work, ids=[id_])
    return details


async def _owe_placing(work: Work, id_: UUID) -> None:
    revision = await work.fetchval(
        "select revision from territory where org_id = callout_org() and id = $1", id_
    )
    await outbox.send(
        work,
        outbox.Message(
            channel=CHANNEL,
            stream=f"{CHANNEL}:{work.org_id}",
            dedupe_key=f"{CHANNEL}:{id_}:{revision}",
            payload={"because": f"{id_}:{revision}", "after": None},
        ),
    )


async def _overlaps(work: Work, id_: UUID) -> list[TerritoryOverlap]:
    """What the territory shares more than a border with, the largest share first."""
    found = [
        (UUID(one.b if one.a == str(id_) else one.a), one)
        for one in (await territory_map(work)).overlaps()
        if str(id_) in (one.a, one.b)
    ]
    codes = {
        row["id"]: row["code"]
        for row in await work.fetch(
            "select id, code from territory where org_id = callout_org() and id = any($1)",
            [other for other, _ in found],
        )
    }
    return [
        TerritoryOverlap(id=other, code=codes[other], area_m2=one.area_m2, share=one.share)
        for other, one in sorted(found, key=lambda pair: (-pair[1].share, str(pair[0])))
    ]


# ------------------------------------------------------------------------------------------------ reading


async def territories(
    work: Work, *, active: bool | None = None, ids: list[UUID] | None = None
) -> list[TerritoryDetails]:
    """Territories by code; `active` None: those out of service too."""
    rows = await work.fetch(
        """
        select t.id, t.code, t.name, t.active, t.revision, t.polygon is not null as outlined,
               (select count(*) from site s where s.org_id = t.org_id and s.territory_id = t.id) as sites,
               (select count(*) from engineer e where e.org_id = t.org_id and e.active and (e.territory_id = t.id
                   or exists (select 1 from engineer_territory x where x.org_id = e.org_id and x.engineer_id = e.id
                              and x.territory_id = t.id))) as engineers
        from territory t
        where t.org_id = callout_org() and ($1::bool is null or t.active = $1) and ($2::uuid[] is null or t.id = any($2))
        order by t.code
        """,
        active,
        ids,
    )
    return [TerritoryDetails(**dict(row)) for row in rows]


async def polygons_by_ids(work: Work, ids: Any) -> list[Any]:
    """The outlines as decoded GeoJSON in WGS-84, in the order of `ids`; None for a territory that is only a name."""
    rows = await work.fetch(
        "select id, polygon::text as polygon from territory where org_id = callout_org() and id = any($1)",
        list(ids),
    )
    found = {row["id"]: msgspec.Raw(row["polygon"].encode()) for row in rows if row["polygon"]}
    return [found.get(id_) for id_ in ids]


async def territory_at(work: Work, point: Point) -> TerritoryDetails | None:
    """The territory in service that a point lies in by its outline."""
    (found,) = (await territory_map(work)).find([point.lat], [point.lng])
    return (await territories(work, ids=[UUID(found)]))[0] if found is not None else None


# ------------------------------------------------------------------------------------------------ sites

SITE_MOVED: Final = frozenset({"site.created", site_places.PLACED})


async def set_site_territory(
    work: Work, site_id: UUID, territory_id: UUID | None, *, by_polygon: bool = False
) -> bool:
    """Put a site into a territory by hand (None: into none), or give it back to the outlines; whether that changed it.

    Raises NotFound (site; territory: one that is out of service is none).
    """
    site = await work.fetchrow(
        "select lat, lng from site where org_id = callout_org() and id = $1 for no key update", site_id
    )
    if site is None:
        raise NotFound(entity="site")
    # After the site's row, as for a site that is moved: the other way round two of them could wait for each other.
    await hold(work, alone=False)
    if by_polygon:
        point = None if site["lat"] is None else (site["lat"], site["lng"])
        territory_id = place(await territory_map(work), {site_id: point})[site_id]
    elif territory_id is not None:
        known = await work.fetchval(
            "select true from territory where org_id = callout_org() and id = $1 and active", territory_id
        )
        if not known:
            raise NotFound(entity="territory", path="territoryId")
    return await site_places.set_territory(
        work, site_id, territory_id, by="polygon" if by_polygon else "hand"
    )


async def place_told(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook over journal lines: sites that were made or moved lie in their territory when the transaction ends."""
    moved = [entry.entity_id for _, entry in lines if entry.kind in SITE_MOVED]
    if not moved:
        return
    await hold(work, alone=False)
    await _place(work, await territory_map(work), await site_places.points_of(work, moved))


async def _place(work: Work, map_: TerritoryMap, points: dict[UUID, tuple[float, float] | None]) -> int:
    known = {id_: point for id_, point in points.items() if point is not None}
    return await site_places.place_sites(work, place(map_, points), known) if points else 0


async def place_all(db: Database, item: Claimed) -> None:
    """The channel's handler: place all sites that lie by outline anew, a chunk a transaction. Harmless twice."""
    after = item.payload.get("after")
    reached: UUID | None = UUID(after) if after else None

    async def chunk(work: Work) -> UUID | None:
        points, last = await site_places.points_after(work, reached, CHUNK)
        await _place(work, await territory_map(work), points)
        return last

    for _ in range(CHUNKS_MAX):
        reached = await db.run(item.org_id, chunk)
        if reached is None:
            return
    because = item.payload.get("because")

    async def go_on(work: Work) -> None:
        await outbox.send(
            work,
            outbox.Message(
                channel=CHANNEL,
                stream=f"{CHANNEL}:{item.org_id}",
                dedupe_key=f"{CHANNEL}:{because}:{reached}",
                payload={"because": because, "after": str(reached)},
            ),
        )

    await db.run(item.org_id, go_on)
