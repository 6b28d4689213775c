"""`POST /v1/watermelon/pull` and `/push`: WatermelonDB's `synchronize()`.

The bodies are its own arguments; see `callout_sync.rows_watermelon` and mobile_contracts/clients.md. A phone's token is
needed. A pull of a first synchronization may be handed to `unsafeTurbo` as the text that it is.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, post
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from callout_backend.doors.bodies import only_json, read_json
from callout_backend.doors.identity import principal_of
from callout_people.principals import Right
from callout_store.clock import taken_instant
from callout_store.errors import BadField, NotAllowed
from callout_store.work import Database, Work
from callout_sync import rows_watermelon
from callout_sync.rows_watermelon import ROWS_DEFAULT, Pulled

Timestamp = Annotated[int, Meta(ge=0, lt=2**53)]
_encode = msgspec.json.Encoder().encode


class PullBody(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`lastPulledAt`, `schemaVersion` and `migration` as `pullChanges` is given them. `dirty`: `hasUnsyncedChanges()`.

    `tables`: those that the phone has. `limit`: rows in one answer.
    """

    last_pulled_at: Timestamp | None
    dirty: bool
    schema_version: int | None = None
    migration: Any = None
    tables: Annotated[list[str], Meta(max_length=100)] | None = None
    limit: int = ROWS_DEFAULT


class PushBody(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`changes` and `lastPulledAt` as `pushChanges` is given them; `sentAt` measures the phone's clock."""

    changes: dict[str, Any]
    last_pulled_at: Timestamp | None = None
    sent_at: Annotated[datetime, Meta(tz=True)] | None = None


@post("/v1/watermelon/pull", before_request=only_json, status_code=200, include_in_schema=False)
async def pull(request: Request[Any, Any, Any]) -> Response[bytes]:
    """200 `{changes, timestamp, more}`, with `experimentalStrategy: "replacement"` where the phone is to begin anew."""
    principal = await principal_of(request)
    _may_sync(principal)
    body = await read_json(request, PullBody)

    async def act(work: Work) -> Pulled:
        return await rows_watermelon.pull(
            work,
            last_pulled_at=body.last_pulled_at,
            dirty=body.dirty,
            tables=body.tables,
            migration=rows_watermelon.migration_of(body.migration),
            limit=body.limit,
            app_version=request.headers.get("x-app-version"),
        )

    db: Database = request.app.state.db
    pulled = await db.run(principal.org_id, act, actor=principal.actor())
    answer: dict[str, Any] = {
        "changes": pulled.changes,
        "timestamp": pulled.timestamp,
        "more": pulled.more,
        "wipe": pulled.wipe,
    }
    if pulled.replace:
        answer["experimentalStrategy"] = "replacement"
    return Response(_encode(answer), media_type=MediaType.JSON)


@post("/v1/watermelon/push", before_request=only_json, status_code=200, include_in_schema=False)
async def push(request: Request[Any, Any, Any]) -> Response[bytes]:
    """200 `{experimentalRejectedIds: {}, answers}`: nothing is rejected; `answers` say what became of each row."""
    principal = await principal_of(request)
    _may_sync(principal)
    body = await read_json(request, PushBody)
    try:
        sent_at = None if body.sent_at is None else taken_instant(body.sent_at)
    except ValueError as fault:
        raise BadField(path="sentAt", why=str(fault)) from None
    pushed = await rows_watermelon.push(
        request.app.state.db,
        org_id=principal.org_id,
        actor=principal.actor(),
        changes=body.changes,
        last_pulled_at=body.last_pulled_at,
        sent_at=sent_at,
    )
    return Response(
        _encode({"experimentalRejectedIds": {}, "answers": pushed.answers}), media_type=MediaType.JSON
    )


def _may_sync(principal: Any) -> None:
    if not principal.may(Right.SYNC):
        raise NotAllowed(role=principal.role.value, what=Right.SYNC.value)


ROUTES: tuple[ControllerRouterHandler, ...] = (pull, push)
