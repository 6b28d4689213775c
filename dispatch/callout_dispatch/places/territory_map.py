"""The organisation's territories as shapes for many points at once, kept by each process until one changes."""

import asyncio
from collections import OrderedDict
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_geo.polygons import Outline, TerritoryMap, parse_outline
from callout_store.work import Work

KEPT_MAX: Final = 32
"""Organisations whose shapes a process keeps; they are read again when they are asked for after that."""

Stamp = tuple[tuple[UUID, int], ...]
_kept: OrderedDict[UUID, tuple[Stamp, TerritoryMap]] = OrderedDict()


async def hold(work: Work, *, alone: bool) -> None:
    """Let no territory change until this transaction ends; `alone`: and let nobody place a site meanwhile either.

    Whoever saves a territory waits for those who are placing sites by the one before, and those who come after see the new
    one: no site is left lying where nobody looks again.
    """
    shared = "" if alone else "_shared"
    await work.execute(
        f"select pg_advisory_xact_lock{shared}(hashtextextended('callout.territories:' || callout_org(), 0))"
    )


async def territory_map(work: Work) -> TerritoryMap:
    """The territories in service that have an outline, as they are in this transaction. Where two overlap, a point belongs
    to the older one."""
    rows = await work.fetch(
        """
        select id, revision from territory
        where org_id = callout_org() and active and polygon is not null order by id
        """
    )
    stamp: Stamp = tuple((row["id"], row["revision"]) for row in rows)
    held = _kept.get(work.org_id)
    if held is not None and held[0] == stamp:
        _kept.move_to_end(work.org_id)
        return held[1]
    rows = await work.fetch(
        "select id, polygon::text as polygon from territory where org_id = callout_org() and id = any($1)",
        [id_ for id_, _ in stamp],
    )
    built = await asyncio.to_thread(_build, {str(row["id"]): row["polygon"] for row in rows})
    _kept[work.org_id] = (stamp, built)
    _kept.move_to_end(work.org_id)
    while len(_kept) > KEPT_MAX:
        _kept.popitem(last=False)
    return built


def _build(texts: dict[str, str]) -> TerritoryMap:
    return TerritoryMap({id_: _outline(text) for id_, text in texts.items()})


def _outline(text: str) -> Outline:
    stored: Any = msgspec.json.decode(text)
    return parse_outline(stored)


def place(map_: TerritoryMap, points: dict[UUID, tuple[float, float] | None]) -> dict[UUID, UUID | None]:
    """The territory that each point lies in; None for none, and for a site without a point."""
    known = [id_ for id_, point in points.items() if point is not None]
    at = [points[id_] for id_ in known]
    found = map_.find([p[0] for p in at if p is not None], [p[1] for p in at if p is not None])
    placed: dict[UUID, UUID | None] = dict.fromkeys(points)
    placed |= {id_: UUID(key) if key is not None else None for id_, key in zip(known, found, strict=True)}
    return placed
