"""Depots: places where engineers fetch parts. A depot's id is a holder of stock, like an engineer's van."""

import re
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from callout_dispatch.engineer_terms import check_point
from callout_dispatch.setup_texts import SetupRefused, check_range
from callout_dispatch.texts import checked_line
from callout_orders import stock
from callout_orders.rows import Page, page_size, paged
from callout_store import journal
from callout_store.errors import AlreadyExists, NotFound
from callout_store.ids import new_id
from callout_store.work import Work

PICKUP_MINUTES_MAX: Final = 240
_CODE: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")


class NewDepot(msgspec.Struct, frozen=True, kw_only=True):
    """A depot: its code, unique in the organisation, its point in WGS-84 degrees, and how long a pick-up takes."""

    code: str
    name: str
    lat: float
    lng: float
    pickup_minutes: int = 10
    active: bool = True


class Depot(NewDepot, frozen=True, kw_only=True):
    """A depot as it is kept."""

    id: UUID


async def save_depot(work: Work, depot: NewDepot, depot_id: UUID | None = None) -> UUID:
    """Make a depot, or with an id change one; the id. The same again changes nothing.

    Raises BadField, PointInvalid, AlreadyExists (the code), NotFound.
    """
    if not _CODE.fullmatch(depot.code):
        raise SetupRefused("code", "depot_code")
    point = check_point("point", depot.lat, depot.lng)
    check_range("pickupMinutes", depot.pickup_minutes, 0, PICKUP_MINUTES_MAX)
    values = (
        depot.code,
        checked_line("name", depot.name),
        point.lat,
        point.lng,
        depot.pickup_minutes,
        depot.active,
    )
    try:
        if depot_id is None:
            depot_id = new_id()
            changed = await work.execute(
                """
                insert into depot (id, code, name, lat, lng, pickup_minutes, active)
                values ($1, $2, $3, $4, $5, $6, $7)
                """,
                depot_id,
                *values,
            )
        else:
            changed = await _update(work, depot_id, values)
    except asyncpg.UniqueViolationError:
        raise AlreadyExists(entity="depot", key="code", path="code") from None
    if changed:
        await journal.write(
            work,
            journal.Entry(
                kind="depot.saved",
                entity="depot",
                entity_id=depot_id,
                data={"code": depot.code, "active": depot.active},
            ),
        )
    return depot_id


async def _update(work: Work, depot_id: UUID, values: tuple[object, ...]) -> int:
    row = await work.fetchrow(
        """
        select code, name, lat, lng, pickup_minutes, active from depot
        where org_id = callout_org() and id = $1 for no key update
        """,
        depot_id,
    )
    if row is None:
        raise NotFound(entity="depot", path="id")
    if tuple(row) == values:
        return 0
    return await work.execute(
        """
        update depot set code = $2, name = $3, lat = $4, lng = $5, pickup_minutes = $6, active = $7
        where org_id = callout_org() and id = $1
        """,
        depot_id,
        *values,
    )


async def depots_by_ids(work: Work, ids: Sequence[UUID]) -> list[Depot | None]:
    """Depots in the order of `ids`."""
    rows = await work.fetch(
        f"select {_COLUMNS} from depot where org_id = callout_org() and id = any($1)", list(ids)
    )
    found = {row["id"]: Depot(**dict(row)) for row in rows}
    return [found.get(id_) for id_ in ids]


async def depots_page(
    work: Work, *, active: bool | None = True, after: UUID | None = None, limit: int = 50
) -> Page[Depot]:
    """Depots, newest first; `limit` 1..200."""
    size = page_size(limit)
    rows = await work.fetch(
        f"""
        select {_COLUMNS} from depot
        where org_id = callout_org() and ($2::bool is null or active = $2) and ($3::uuid is null or id < $3)
        order by id desc limit $1
        """,
        size + 1,
        active,
        after,
    )
    return paged([Depot(**dict(row)) for row in rows], size)


async def move_stock(work: Work, holder_id: UUID, part_id: UUID, quantity: int, reason: str) -> stock.Level:
    """Book parts into (+) or out of (-) a van or a depot; what is there now.

    Raises NotFound (holder, part) and BadField.
    """
    await require_holder(work, holder_id)
    move = stock.Move(holder_id=holder_id, part_id=part_id, quantity=quantity, reason=reason)
    (level,) = await stock.move(work, [move])
    return level


async def require_holder(work: Work, holder_id: UUID) -> None:
    """Raise NotFound unless this is a depot or an engineer, whose van holds stock."""
    known = await work.fetchval(
        """
        select exists (select from depot where org_id = callout_org() and id = $1)
            or exists (select from engineer where org_id = callout_org() and id = $1)
        """,
        holder_id,
    )
    if not known:
        raise NotFound(entity="holder of stock", path="holderId")


_COLUMNS: Final = "id, code, name, lat, lng, pickup_minutes, active"
