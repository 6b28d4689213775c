"""From addresses to places, by the geocoder that this server was set up with; answers are kept in the database.

The service is asked outside of any transaction and one question at a time over all processes, as such services demand. A site
that was made without a point is put on the map by a job where the answer leaves no doubt, and left for a person otherwise.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch.places.providers import GeocoderChoice, providers_of
from callout_dispatch.places.texts import GeocoderFailed, GeocoderOff, GeocoderUnavailable, PlaceRefused
from callout_geo.distance import haversine_m
from callout_geo.geocoding import BadQuery, Candidate, GeocodingError, Precision, checked_query
from callout_orders import site_places
from callout_store import outbox
from callout_store.errors import TooManyRequests
from callout_store.journal import Entry, write
from callout_store.outbox import Claimed, Hopeless, Retry
from callout_store.work import Database, Work

CHANNEL: Final = "site.geocode"
FOUND_DAYS: Final = 180
MISSED_DAYS: Final = 1
"""An address that nobody knew may be on the map tomorrow, and a typing error is mended today."""
WAIT_S_MAX: Final = 5.0
"""How long a person waits for the turn; a job is simply tried again."""
CONFIDENCE_MIN: Final = 0.8
APART_M_MAX: Final = 200.0
"""Answers farther apart than this are different places: which one is meant, a person must say."""
PURGE_MAX: Final = 5_000


class Geocoded(msgspec.Struct, frozen=True, kw_only=True):
    """Places for an address in WGS-84, best first; `kept`: the service was not asked again."""

    candidates: list[Candidate]
    kept: bool


async def geocode(db: Database, org_id: UUID, text: str, *, language: str | None = None) -> Geocoded:
    """Places for an address, from what was asked before or from the service.

    Raises BadField (text), GeocoderOff (none is set up), TooManyRequests (others wait already), GeocoderUnavailable (later
    perhaps), GeocoderFailed (not as it is set up).
    """
    choice = providers_of(db).geocoder
    if choice is None:
        raise GeocoderOff()
    try:
        query = checked_query(text)
    except BadQuery as fault:
        raise PlaceRefused("text", f"query_{fault.reason}") from None
    # The language decides what the places are called, the address of the service who answers.
    key = hashlib.sha256("\0".join((choice.place, language or "", query)).encode()).digest()
    async with db.work(org_id) as work:
        kept = await work.fetchval(
            """
            select answers::text from geocode_cache
            where org_id = callout_org() and provider = $1 and query_hash = $2 and expires_at > $3
            """,
            choice.name,
            key,
            work.now,
        )
    if kept is not None:
        return Geocoded(candidates=msgspec.json.decode(kept, type=list[Candidate]), kept=True)
    await _turn(db, choice)
    try:
        async with choice.open() as geocoder:
            found = await geocoder.geocode(query, language=language)
    except GeocodingError as fault:
        if fault.retryable:
            wait_ms = None if fault.retry_after_s is None else int(fault.retry_after_s * 1000)
            raise GeocoderUnavailable(reason=fault.reason, retry_after_ms=wait_ms) from None
        raise GeocoderFailed(reason=fault.reason) from None
    await db.run(org_id, lambda work: _keep(work, choice.name, key, query, found))
    return Geocoded(candidates=found, kept=False)


async def _keep(work: Work, provider: str, key: bytes, query: str, found: list[Candidate]) -> None:
    await work.execute(
        """
        insert into geocode_cache (provider, query_hash, query, answers, fetched_at, expires_at)
        values ($1, $2, $3, $4::text::jsonb, $5, $6)
        on conflict (org_id, provider, query_hash) do update
        set answers = excluded.answers, fetched_at = excluded.fetched_at, expires_at = excluded.expires_at
        """,
        provider,
        key,
        query,
        msgspec.json.encode(found).decode(),
        work.now,
        work.now + timedelta(days=FOUND_DAYS if found else MISSED_DAYS),
    )


async def _turn(db: Database, choice: GeocoderChoice) -> None:
    """Wait for this process's turn. Turns are given by one row of the database, by the database's clock; nothing is locked
    while waiting. Raises TooManyRequests where the queue is longer than anybody should wait."""
    async with db.work(None) as work:
        wait_s: float | None = await work.fetchval(
            """
            insert into geocode_turn as t (provider, next_at) values ($1, now() + make_interval(secs => $2::float8))
            on conflict (provider) do update
            set next_at = greatest(t.next_at, now()) + make_interval(secs => $2::float8)
            where t.next_at <= now() + make_interval(secs => $3::float8)
            returning greatest(0, extract(epoch from t.next_at - now()) - $2::float8)::float8
            """,
            choice.place,
            choice.every_s,
            WAIT_S_MAX,
        )
    if wait_s is None:
        raise TooManyRequests(retry_after_ms=int(WAIT_S_MAX * 1000), what="geocoding")
    if wait_s > 0:
        await asyncio.sleep(wait_s)


# ------------------------------------------------------------------------------------------------ new sites


async def owe_told(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook over journal lines, on a server with a geocoder: sites without a point whose address is new are looked for."""
    asked = {
        entry.entity_id: line_id
        for line_id, entry in lines
        if entry.kind == "site.created" or (entry.kind == site_places.PLACED and "address" in entry.data)
    }
    if not asked:
        return
    unplaced = [
        id_ for id_, point in (await site_places.points_of(work, list(asked))).items() if point is None
    ]
    await outbox.send(
        work,
        *(
            outbox.Message(
                channel=CHANNEL,
                # One after the other: they would only wait for each other's turn.
                stream=f"{CHANNEL}:{work.org_id}",
                dedupe_key=f"{CHANNEL}:{asked[id_]}",
                payload={"siteId": str(id_)},
            )
            for id_ in unplaced
        ),
    )


async def place_site(db: Database, item: Claimed) -> None:
    """The channel's handler: find a site's place by its address. Harmless twice: a site that has a point is left alone."""
    try:
        site_id = UUID(item.payload["siteId"])
    except (KeyError, ValueError) as fault:
        raise Hopeless(f"not a site: {fault!r}") from fault
    if providers_of(db).geocoder is None:
        return
    async with db.work(item.org_id) as work:
        site = await work.fetchrow(
            """
            select s.address, o.locale from site s join organisation o on o.id = s.org_id
            where s.org_id = callout_org() and s.id = $1 and s.lat is null
            """,
            site_id,
        )
    if site is None:
        return
    candidates: list[Candidate] = []
    why: str | None = None
    try:
        candidates = (await geocode(db, item.org_id, site["address"], language=site["locale"])).candidates
    except PlaceRefused:
        why = "address"
    except (GeocoderUnavailable, TooManyRequests) as refused:
        wait_ms = refused.retry_after_ms
        raise Retry(refused.code, after_s=None if wait_ms is None else wait_ms / 1000) from None
    except GeocoderFailed as refused:
        raise Hopeless(f"{refused.code}: {refused.details.get('reason')}") from None
    why = why or doubt(candidates)

    async def settle(work: Work) -> None:
        address = await work.fetchval(
            "select address from site where org_id = callout_org() and id = $1 and lat is null for no key update",
            site_id,
        )
        if address != site["address"]:
            # Placed by hand meanwhile, or another address, for which another message is on its way.
            return
        if why is None:
            point = candidates[0].point
            await site_places.set_place(
                work, site_id, site_places.SitePlace(point=(point.lat, point.lng)), by="geocoder"
            )
            return
        await write(
            work,
            Entry(
                kind="site.not_placed",
                entity="site",
                entity_id=site_id,
                data={"because": why, "candidates": len(candidates)},
            ),
        )

    await db.run(item.org_id, settle)


def doubt(candidates: Sequence[Candidate]) -> str | None:
    """Why the first of these answers must not be taken unseen: `unknown` (there is none), `imprecise`, `ambiguous`; None:
    it may be. Pure."""
    if not candidates:
        return "unknown"
    first = candidates[0]
    if first.precision is not Precision.ADDRESS or (
        first.confidence is not None and first.confidence < CONFIDENCE_MIN
    ):
        return "imprecise"
    rivals = (one for one in candidates[1:] if one.precision is Precision.ADDRESS)
    if any(haversine_m(first.point, one.point) > APART_M_MAX for one in rivals):
        return "ambiguous"
    return None


async def purge(work: Work) -> int:
    """Forget a chunk of answers that have run out; how many, to be called until that is 0."""
    return await work.execute(
        f"""
        delete from geocode_cache c using (
            select provider, query_hash from geocode_cache
            where org_id = callout_org() and expires_at < $1 limit {PURGE_MAX}
        ) old
        where c.org_id = callout_org() and c.provider = old.provider and c.query_hash = old.query_hash
        """,
        work.now,
    )
