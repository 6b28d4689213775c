"""The customer's link: where the engineer is and when they come, for one order, without an account.

A token is `base64url(organisation) . 256-bit secret`, as for sign-off; only its SHA-256 is stored. What it shows is little
on purpose: the order's number, the engineer's name, the expected arrival, and a position only while that engineer is on
the way to this very order. Whoever asked for service without saying where it is (whose telephone number told us) gets a
link that shows no place at all: anybody may know a number, and must not learn where its owner lives.
"""

from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from callout_dispatch.arrivals.rules import minutes_away
from callout_dispatch.texts import FieldRefused
from callout_dispatch.visit_states import VisitState
from callout_geo.distance import haversine_m
from callout_geo.points import Point
from callout_orders.terms import TO_BE_PLANNED
from callout_store import link_tokens
from callout_store.errors import NotFound, TrackLinkExpired, TrackLinkInvalid
from callout_store.ids import new_id
from callout_store.work import Work

TTL: Final = timedelta(days=14)
ENDED_SHOWN: Final = timedelta(hours=24)
"""So long after a visit ended its link still says so; nobody is followed by an old link."""
POSITION_FRESH: Final = timedelta(minutes=15)
"""An older position is not shown: a van that stands in a garage is not where the engineer is."""
LATE_SHOWN: Final = timedelta(minutes=15)
"""An expected arrival that passed longer ago, with nobody on the way, is not shown: nobody knows any more."""
LOCALES: Final = frozenset({"en", "zh"})
OPEN_MAX: Final = 20
"""Links of one order that are open at a time; the oldest end first."""


Stage = Literal["waiting", "planned", "travelling", "on_site", "done", "could_not_complete", "canceled"]
_STAGES: Final[dict[str, Stage]] = {
    VisitState.SCHEDULED: "waiting",
    VisitState.DISPATCHED: "planned",
    VisitState.ACCEPTED: "planned",
    VisitState.TRAVELLING: "travelling",
    VisitState.IN_PROGRESS: "on_site",
    VisitState.COMPLETED: "done",
    VisitState.COULD_NOT_COMPLETE: "could_not_complete",
    VisitState.CANCELED: "waiting",
}


class Seen(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=False):
    """What a customer sees. Times are UTC; `time_zone` is where the organisation writes its clock.

    `planned_start` and `eta` only once an engineer was told (no `eta` where it passed and nobody set out); `minutes_away`,
    `metres_away`, the position and its time only while travelling (`metres_away` as the crow flies).
    """

    order_number: str
    organisation: str
    time_zone: str
    stage: Stage
    as_of: datetime
    engineer_name: str | None = None
    planned_start: datetime | None = None
    planned_end: datetime | None = None
    eta: datetime | None = None
    minutes_away: int | None = None
    metres_away: int | None = None
    lat: float | None = None
    lng: float | None = None
    site_lat: float | None = None
    site_lng: float | None = None
    position_at: datetime | None = None


def organisation_of(token: str) -> UUID:
    """The organisation whose link this claims to be; TrackLinkInvalid where it is no token at all."""
    org_id = link_tokens.organisation_of(token)
    if org_id is None:
        raise TrackLinkInvalid
    return org_id


async def create_link(
    work: Work, order_id: UUID, locale: str = "en", ttl: timedelta = TTL, *, shows_place: bool = True
) -> str:
    """A fresh token for this order, to be shown once. Raises NotFound, BadField (language)."""
    if locale not in LOCALES:
        raise FieldRefused("locale", "locale")
    known = await work.fetchval(
        "select true from work_order where org_id = callout_org() and id = $1 for no key update", order_id
    )
    if not known:
        raise NotFound(entity="work order")
    await work.execute(
        """
        update track_link set expires_at = $2 where org_id = callout_org() and id in (
            select id from track_link where org_id = callout_org() and order_id = $1 and expires_at > $2
            order by created_at desc, id desc offset $3)
        """,
        order_id,
        work.now,
        OPEN_MAX - 1,
    )
    token = link_tokens.new_token(work.org_id)
    await work.execute(
        """
        insert into track_link (id, order_id, token_hash, locale, created_at, created_by, expires_at, shows_place)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        new_id(),
        order_id,
        link_tokens.digest(token),
        locale,
        work.now,
        work.actor.user_id,
        work.now + ttl,
        shows_place,
    )
    return token


async def first_shows_place(work: Work, order_id: UUID) -> bool:
    """Whether the first link that was made for an order shows its place; False where there is none."""
    return bool(
        await work.fetchval(
            """
            select shows_place from track_link where org_id = callout_org() and order_id = $1
            order by created_at, id limit 1
            """,
            order_id,
        )
    )


async def look(work: Work, token: str) -> tuple[Seen, str]:
    """What the link shows now, and its language. Raises TrackLinkInvalid, TrackLinkExpired."""
    link = await work.fetchrow(
        """
        select order_id, locale, expires_at, shows_place from track_link
        where org_id = callout_org() and token_hash = $1
        """,
        link_tokens.digest(token),
    )
    if link is None:
        raise TrackLinkInvalid
    if link["expires_at"] <= work.now:
        raise TrackLinkExpired
    row = await work.fetchrow(
        """
        select o.number, o.state as order_state, g.name as organisation, g.time_zone, s.lat as site_lat, s.lng as site_lng,
               v.state, v.scheduled_start, v.scheduled_end, v.ended_at, v.travelling_at, e.name as engineer,
               t.eta, e.last_lat, e.last_lng, e.last_position_at
        from work_order o
        join organisation g on g.id = o.org_id
        join site s on s.org_id = o.org_id and s.id = o.site_id
        left join lateral (
            select * from visit w
            where w.org_id = o.org_id and w.order_id = o.id and w.plan <> 'canceled'
            order by w.ended_at is not null, w.number desc limit 1
        ) v on true
        left join engineer e on e.org_id = v.org_id and e.id = v.engineer_id
        left join visit_eta t on t.org_id = v.org_id and t.visit_id = v.id
        where o.org_id = callout_org() and o.id = $1
        """,
        link["order_id"],
    )
    assert row is not None, "a link's order is there"
    over = row["ended_at"] is not None and row["ended_at"] < work.now - ENDED_SHOWN
    comes_again = over and row["order_state"] in {state.value for state in TO_BE_PLANNED}
    if over and not comes_again:
        raise TrackLinkExpired
    seen = Seen(
        order_number=row["number"],
        organisation=row["organisation"],
        time_zone=row["time_zone"],
        stage="waiting",
        as_of=work.now,
    )
    if row["order_state"] == "canceled":
        return msgspec.structs.replace(seen, stage="canceled"), link["locale"]
    stage = _STAGES[row["state"]] if row["state"] is not None else "waiting"
    if stage == "waiting" or comes_again:
        return seen, link["locale"]
    seen = msgspec.structs.replace(seen, stage=stage, engineer_name=row["engineer"])
    if stage in ("planned", "travelling"):
        eta = row["eta"] or row["scheduled_start"]
        lost = stage == "planned" and eta < work.now - LATE_SHOWN
        eta = None if lost else max(eta, work.now)
        seen = msgspec.structs.replace(
            seen, planned_start=row["scheduled_start"], planned_end=row["scheduled_end"], eta=eta
        )
    if stage == "travelling":
        assert seen.eta is not None
        seen = msgspec.structs.replace(seen, minutes_away=minutes_away(seen.eta, work.now))
        at = row["last_position_at"]
        # Only what was reported since they set out: where they were before is nobody's business.
        fresh = at is not None and at >= max(row["travelling_at"] or at, work.now - POSITION_FRESH)
        if fresh and row["site_lat"] is not None and link["shows_place"]:
            here, there = Point(row["last_lat"], row["last_lng"]), Point(row["site_lat"], row["site_lng"])
            seen = msgspec.structs.replace(
                seen,
                lat=here.lat,
                lng=here.lng,
                site_lat=there.lat,
                site_lng=there.lng,
                metres_away=round(haversine_m(here, there)),
                position_at=at,
            )
    return seen, link["locale"]
