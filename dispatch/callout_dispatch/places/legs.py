"""Ways between places by the organisation's travel provider, remembered in the database, estimated where nobody knows.

Nothing here runs within a transaction of the caller: a routing service may take seconds. Every leg keeps who reckoned it.
What a service answered is kept for all processes, "there is no way" included; estimates are not, they cost less than a
look-up.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

from callout_dispatch.places.place_settings import settings
from callout_dispatch.places.providers import providers_of
from callout_dispatch.places.speeds import travel_model
from callout_geo.points import Point
from callout_geo.routing.base import NONE, PROVIDERS, Matrix, Places, RoutingError
from callout_geo.routing.estimate import EstimateRouter
from callout_geo.travel import Travel
from callout_store.errors import LimitExceeded
from callout_store.work import Database, Work

K = TypeVar("K")

GRAIN: Final = 100_000
"""Cells a degree: 1e-5° is about a metre."""
LEG_DAYS: Final = 30
"""What a service said is asked again after so long: roads are built."""
PLACES_MAX: Final = 5_000
"""Sources, or targets, of one matrix: 25 million pairs."""
ASKED_PAIRS_MAX: Final = 250_000
"""Pairs of one matrix that a service is asked for; a larger one is estimated whole, and says so in `faults`."""
WRITE_MAX: Final = 20_000
"""Legs written in one transaction."""
PURGE_MAX: Final = 20_000


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One way on the road and who reckoned it: estimate, osrm or valhalla."""

    seconds: float
    metres: float
    provider: str


async def matrix(
    db: Database,
    org_id: UUID,
    points: Sequence[Point | None],
    targets: Sequence[Point | None] | None = None,
    *,
    at: datetime | None = None,
) -> Matrix:
    """Ways from each point to each target (None: to each point): float64 `seconds` and `metres`, uint8 `provider` (an index
    into `callout_geo.routing.base.PROVIDERS`), shape (n, m).

    None among the points is a place nobody knows: ways there are NaN with provider `none`. `at` chooses the hour of the
    week of an estimate (None: the mean of the working hours). Never fails for a service's sake: `faults` says why parts
    were estimated. Raises LimitExceeded.
    """
    ends = points if targets is None else targets
    for path, some in (("points", points), ("targets", ends)):
        if len(some) > PLACES_MAX:
            raise LimitExceeded(path=path, what="places in a matrix", limit=PLACES_MAX, given=len(some))
    sources, goals = Places.of(points), Places.of(ends)
    async with db.work(org_id) as work:
        name = (await settings(work)).travel_provider
        travel = await travel_model(work)
        result = Matrix.empty(len(sources), len(goals))
        faults: set[str] = set()
        asks = name != "estimate" and result.seconds.size > 0
        if asks and not providers_of(db).has_router(name):
            asks = False
            faults.add("not_configured")
        if asks and result.seconds.size > ASKED_PAIRS_MAX:
            asks = False
            faults.add("too_many_pairs")
        if asks:
            await _recall(work, name, result, cells(sources), cells(goals))
    if asks:
        faults |= await _ask(db, org_id, name, result, sources, goals)
    _fill(result, sources, goals, travel, at)
    return Matrix(result.seconds, result.metres, result.provider, tuple(sorted(faults)))


def cells(places: Places) -> NDArray[np.int64]:
    """Whole hundred-thousandths of a degree, shape (n, 2): latitude, longitude. A place nobody knows is in a cell that is
    nowhere on earth."""
    degrees = np.column_stack((places.lats, places.lngs))
    return np.where(np.isnan(degrees), 1e9, np.round(degrees * GRAIN)).astype(np.int64)


def _known(sources: Places, targets: Places) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = ~np.isnan(sources.lats)[:, None] & ~np.isnan(targets.lats)[None, :]
    return known


async def _recall(
    work: Work, name: str, result: Matrix, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> None:
    """Fill in what was answered before, and the ways from a place to itself."""
    number = PROVIDERS.index(name)
    for found in await work.fetch(
        """
        with s as (select n, lat, lng from unnest($2::int[], $3::int[]) with ordinality as t(lat, lng, n)),
        t as (select n, lat, lng from unnest($4::int[], $5::int[]) with ordinality as t(lat, lng, n))
        select s.n - 1 as source, t.n - 1 as target, c.seconds, c.metres
        from s cross join t join leg_cache c on c.org_id = callout_org() and c.provider = $1
            and c.from_lat = s.lat and c.from_lng = s.lng and c.to_lat = t.lat and c.to_lng = t.lng
        where c.fetched_at > $6::timestamptz - make_interval(days => $7::int)
        """,
        name,
        rows[:, 0].tolist(),
        rows[:, 1].tolist(),
        columns[:, 0].tolist(),
        columns[:, 1].tolist(),
        work.now,
        LEG_DAYS,
    ):
        at = (found["source"], found["target"])
        result.seconds[at], result.metres[at], result.provider[at] = found["seconds"], found["metres"], number
    same = (rows[:, None, :] == columns[None, :, :]).all(axis=2) & (rows[:, None, 0] < 10**9)
    result.seconds[same], result.metres[same], result.provider[same] = 0.0, 0.0, number


async def _ask(
    db: Database, org_id: UUID, name: str, result: Matrix, sources: Places, targets: Places
) -> set[str]:
    """Ask the service for what is missing, and remember what it says; why parts of it are missing still."""
    asked = (result.provider == NONE) & _known(sources, targets)
    if not asked.any():
        return set()
    rows = np.flatnonzero(asked.any(axis=1)).astype(np.int64)
    columns = np.flatnonzero(asked.any(axis=0)).astype(np.int64)
    router = providers_of(db).router(name)
    assert router is not None
    async with router:
        try:
            answer = await router.matrix(sources.take(rows), targets.take(columns))
        except RoutingError as error:
            return {error.reason}
    block = np.ix_(rows, columns)
    new = np.zeros_like(asked)
    new[block] = asked[block] & (answer.provider != NONE)
    for whole, part in (
        (result.seconds, answer.seconds),
        (result.metres, answer.metres),
        (result.provider, answer.provider),
    ):
        whole[block] = np.where(new[block], part, whole[block])
    await _remember(db, org_id, name, result, new, cells(sources), cells(targets))
    return set(answer.faults)


async def _remember(
    db: Database,
    org_id: UUID,
    name: str,
    result: Matrix,
    new: NDArray[np.bool_],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
) -> None:
    pairs = np.argwhere(new)
    keys = np.column_stack((rows[pairs[:, 0]], columns[pairs[:, 1]]))
    # Two places within a metre are one pair of cells; sorted, so that two who remember at once wait for each other in line.
    keys, first = np.unique(keys, axis=0, return_index=True)
    chosen = tuple(pairs[first].T)
    seconds, metres = result.seconds[chosen], result.metres[chosen]
    for start in range(0, len(keys), WRITE_MAX):
        chunk = slice(start, start + WRITE_MAX)
        columns_of = [keys[chunk, n].tolist() for n in range(4)]
        values = (*columns_of, seconds[chunk].tolist(), metres[chunk].tolist())

        async def write(work: Work, values: tuple[list[float], ...] = values) -> None:
            await work.execute(
                """
                insert into leg_cache (provider, from_lat, from_lng, to_lat, to_lng, seconds, metres, fetched_at)
                select $1, t.*, $8 from unnest($2::int[], $3::int[], $4::int[], $5::int[], $6::float8[], $7::float8[]) as t
                on conflict (org_id, provider, from_lat, from_lng, to_lat, to_lng) do update
                set seconds = excluded.seconds, metres = excluded.metres, fetched_at = excluded.fetched_at
                """,
                name,
                *values,
                work.now,
            )

        await db.run(org_id, write)


def _fill(result: Matrix, sources: Places, targets: Places, travel: Travel, at: datetime | None) -> None:
    """The estimate where nobody answered, or the answer is that there is no way; metres too where only they are missing."""
    missing = np.isnan(result.seconds) & _known(sources, targets)
    metres = np.isnan(result.metres) & _known(sources, targets)
    if not (missing.any() or metres.any()):
        return
    hour = None if at is None else int(travel.hour_of_week_s(int(at.timestamp())))
    estimate = EstimateRouter(travel, hour).estimate(sources, targets)
    result.metres[metres] = estimate.metres[metres]
    result.seconds[missing] = estimate.seconds[missing]
    result.provider[missing] = estimate.provider[missing]


async def purge(work: Work) -> int:
    """Forget a chunk of answers that are too old to be used; how many, to be called until that is 0."""
    return await work.execute(
        f"""
        delete from leg_cache c using (
            select ctid from leg_cache
            where org_id = callout_org() and fetched_at < $1::timestamptz - make_interval(days => {LEG_DAYS})
            limit {PURGE_MAX}
        ) old
        where c.org_id = callout_org() and c.ctid = old.ctid
        """,
        work.now,
    )
