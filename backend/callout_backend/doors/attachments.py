"""`GET /v1/attachments/<event id>`: the picture that an event named, cleaned; `?size=thumb` for the small one.

Whoever may see the visit may see its pictures; a phone those of its engineer's visits. What the phone sent is never
served: only what was re-encoded from it, under a content type that was decided here.
"""

from collections.abc import AsyncIterator
from typing import Any, Literal
from uuid import UUID

from litestar import Request, Response, get
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from callout_backend.doors.identity import principal_of
from callout_graphql.sight import sight_of, visits_in_sight
from callout_store.errors import BadField, NotFound
from callout_store.ids import parse_id
from callout_store.work import Database
from callout_sync import attachments
from callout_sync.attachments import Shown
from callout_sync.blobs import Storage, clean_key
from callout_sync.upload_refusals import AttachmentAwaited, AttachmentRejected, StorageUnavailable

AnyRequest = Request[Any, Any, Any]
ENDINGS = {"image/jpeg": "jpg", "image/png": "png"}
HEADERS = {
    # Looked at in a browser it can do nothing, and it is only for who was allowed to fetch it.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, max-age=86400",
    "Vary": "Authorization",
}


@get("/v1/attachments/{attachment_id:str}", include_in_schema=False)
async def show_attachment(request: AnyRequest) -> Response[Any]:
    """The picture; 304 where the caller has it, ATTACHMENT_AWAITED while its bytes have not come or are worked on."""
    principal = await principal_of(request)
    size = _size(request)
    try:
        id_ = parse_id(request.path_params["attachment_id"])
    except ValueError:
        raise NotFound(entity="attachment") from None
    db: Database = request.app.state.db
    async with db.work(principal.org_id, actor=principal.actor()) as work:
        found = await attachments.shown(work, id_)
        sight = await sight_of(work, principal)
        if found is None or not await visits_in_sight(work, sight, [found.visit_id]):
            raise NotFound(entity="attachment")
    if found.state == "rejected":
        raise AttachmentRejected(why=found.code)
    if found.state != "ready":
        raise AttachmentAwaited(state=found.state, retry_after_ms=5000)
    return await _picture(request, principal.org_id, found, size)


async def _picture(
    request: AnyRequest, org_id: UUID, found: Shown, size: Literal["full", "thumb"]
) -> Response[Any]:
    storage: Storage = request.app.state.storage
    small = size == "thumb"
    digest = found.thumb_sha256 if small else found.clean_sha256
    media_type = "image/jpeg" if small else found.clean_media_type
    if digest is None or media_type not in ENDINGS:
        raise AttachmentAwaited(state=found.state, retry_after_ms=5000)
    tag = f'"{digest.hex()}"'
    name = f"{found.id}{'-thumb' if small else ''}.{ENDINGS[media_type]}"
    headers = {**HEADERS, "ETag": tag, "Content-Disposition": f'inline; filename="{name}"'}
    if tag in (request.headers.get("if-none-match") or ""):
        return Response(None, status_code=304, headers=headers)
    chunks = storage.read(clean_key(org_id, found.sha256, thumb=small))
    try:
        # The first chunk before the answer begins: a store that is away is a refusal, not half a picture.
        first = await anext(chunks, b"")
    except FileNotFoundError:
        raise StorageUnavailable(retry_after_ms=5000) from None

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return Stream(whole(), media_type=media_type, headers=headers)


def _size(request: AnyRequest) -> Literal["full", "thumb"]:
    given = request.query_params.get("size", "full")
    if given == "thumb":
        return "thumb"
    if given == "full":
        return "full"
    raise BadField(path="size", why="it is full or thumb")


ROUTES: tuple[ControllerRouterHandler, ...] = (show_attachment,)
