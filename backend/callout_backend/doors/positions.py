"""`POST /v1/positions`: where an engineer's phone was, in batches.

    {"sentAt": "…", "fixes": [{"at": "…", "lat": 31.23, "lng": 121.47, "accuracyM": 12, "speed": 8.3, "mock": false,
                               "datum": "wgs84"}]}
    -> {"stored": 1, "repeated": 0, "offShift": 0, "refused": [{"index", "code", "path", "message"}]}

Only an engineer's enrolled phone tells positions. What was taken outside of working time is not stored and only counted. A
fix that cannot be is refused by itself, so that one bad one does not cost the others. The same batch again stores nothing:
a phone that got no answer sends it again. `sentAt` (the phone's clock at sending) mends a clock that is wrong.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from litestar import MediaType, Request, Response, post
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from callout_backend.doors.bodies import only_json, read_json
from callout_backend.doors.identity import principal_of
from callout_backend.problems import locale_of
from callout_contracts.limits import POSITION_BATCHES_PER_MINUTE_MAX
from callout_dispatch.engineers import engineer_of_user
from callout_dispatch.places import positions
from callout_dispatch.places.positions import NewFix, Taken
from callout_dispatch.places.texts import PlaceRefused
from callout_people.principals import Role, require, require_device
from callout_people.throttle import Limit, count_calls
from callout_store.clock import taken_instant
from callout_store.errors import NotFound
from callout_store.work import Database, Work

BODY_BYTES_MAX: Final = 256_000
"""500 fixes with every field written out are some 90 kB."""
BATCHES: Final = Limit(POSITION_BATCHES_PER_MINUTE_MAX, 60)
"""Batches of one phone: one every ten seconds is plenty, and what was kept through a tunnel may follow at once."""
CLOCK_GRAIN: Final = timedelta(seconds=5)
"""An offset below this is the network's time, not the clock's."""


class Fix(msgspec.Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One position. `accuracyM` is the radius of the fix, `speed` in metres a second; `datum`: wgs84, gcj02, bd09."""

    at: Annotated[datetime, Meta(tz=True)]
    lat: float
    lng: float
    accuracy_m: float | None = None
    speed: float | None = None
    mock: bool = False
    datum: Annotated[str, Meta(max_length=20)] = "wgs84"


class PositionsRequest(msgspec.Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body."""

    fixes: list[Fix]
    sent_at: Annotated[datetime, Meta(tz=True)] | None = None


@post(
    "/v1/positions",
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    before_request=only_json,
    include_in_schema=False,
)
async def take_positions(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """Take a batch of positions of the calling phone's engineer."""
    principal = await principal_of(request)
    device_id = require_device(principal, what="positions")
    require(principal, Role.ENGINEER, what="positions")
    db: Database = request.app.state.db
    await count_calls(db, f"positions:{device_id}", BATCHES)
    body = await read_json(request, PositionsRequest)

    async def act(work: Work) -> Taken:
        engineer_id = await engineer_of_user(work, principal.user_id)
        if engineer_id is None:
            raise NotFound(entity="engineer")
        return await positions.record(work, engineer_id, fixes_of(body, work.now))

    taken = await db.run(principal.org_id, act, actor=principal.actor())
    told = request.headers.get("accept-language")
    locale = locale_of(told) if told else principal.locale
    return Response(
        {
            "stored": taken.stored,
            "repeated": taken.repeated,
            "offShift": taken.off_shift,
            "refused": [
                {
                    "index": one.index,
                    "code": f"POSITION_{one.reason.upper()}",
                    "path": one.path,
                    "message": one.message(locale),
                }
                for one in taken.refused
            ],
        },
        media_type=MediaType.JSON,
    )


def fixes_of(body: PositionsRequest, received_at: datetime) -> list[NewFix]:
    """The fixes on the server's clock: moved by how wrong the phone's was when it sent them."""
    offset = timedelta(0)
    if body.sent_at is not None:
        try:
            offset = received_at - taken_instant(body.sent_at)
        except ValueError:
            raise PlaceRefused("sentAt", "years") from None
        if abs(offset) < CLOCK_GRAIN:
            offset = timedelta(0)
    return [
        NewFix(
            at=_moved(fix.at, offset),
            lat=fix.lat,
            lng=fix.lng,
            accuracy_m=fix.accuracy_m,
            speed_m_per_s=fix.speed,
            mock=fix.mock,
            datum=fix.datum,
        )
        for fix in body.fixes
    ]


def _moved(at: datetime, offset: timedelta) -> datetime:
    try:
        return at.astimezone(UTC) + offset
    except OverflowError:
        # At the calendar's edge: refused by its year, like any time that is none of ours.
        return at


ROUTES: tuple[ControllerRouterHandler, ...] = (take_positions,)
