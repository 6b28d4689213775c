"""Files of requests, for who has signed in: `POST /v1/files` before there is an order, `GET /v1/files/<id>` afterwards.

Whoever may see the order may see its files; before there is one, whoever brought the file and the desk. Of pictures only
what was re-encoded from them is shown; films and PDFs are handed out to be saved, never to be looked at in our name.
"""

import re
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from litestar import MediaType, Request, Response, get, post
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from callout_backend import kept_files
from callout_backend.doors.attachments import ENDINGS, HEADERS
from callout_backend.doors.identity import principal_of
from callout_graphql.sight import orders_in_sight, sight_of
from callout_orders.channels import files
from callout_orders.channels.files import FileView
from callout_orders.channels.refusals import FileAwaited, FileRefused
from callout_orders.channels.terms import FILE_BYTES_MAX
from callout_people.principals import Principal, Right
from callout_people.throttle import Limit, count_calls
from callout_store.errors import BadField, NotFound
from callout_store.ids import parse_id
from callout_store.work import Database, Work
from callout_sync.attachments import clean_of
from callout_sync.blobs import Storage, clean_key, raw_key
from callout_sync.upload_refusals import StorageUnavailable

BY_USER: Final = Limit(300, 3600)
FOR_SAVING: Final = {"application/pdf": "pdf", "video/mp4": "mp4"}

AnyRequest = Request[Any, Any, Any]


@post("/v1/files", request_max_body_size=FILE_BYTES_MAX, status_code=201, include_in_schema=False)
async def bring(request: AnyRequest) -> Response[dict[str, Any]]:
    """Bring a file as raw bytes (`?name=`): 201 `{"id","mediaType","sizeBytes"}`. The same bytes again are the same file."""
    principal = await principal_of(request)
    db: Database = request.app.state.db
    await count_calls(db, f"files:{principal.user_id}", BY_USER)
    storage: Storage = request.app.state.storage
    kept = await kept_files.keep(
        db, storage, principal.org_id, await request.body(), declared=request.content_type[0]
    )
    if kept.code is not None:
        raise FileRefused(why=kept.code, limit=FILE_BYTES_MAX // (1024 * 1024), path="file")

    async def act(work: Work) -> UUID:
        id_ = await files.add_stored(
            work,
            holder=f"user:{principal.user_id}",
            name=request.query_params.get("name", ""),
            media_type=kept.media_type,
            size_bytes=kept.size_bytes,
            sha256=kept.sha256,
        )
        await kept_files.note(work, kept)
        return id_

    id_ = await db.run(principal.org_id, act, actor=principal.actor())
    answer = {"id": str(id_), "mediaType": kept.media_type, "sizeBytes": kept.size_bytes}
    return Response(answer, status_code=201, media_type=MediaType.JSON)


@get("/v1/files/{file_id:str}", include_in_schema=False)
async def show(request: AnyRequest) -> Response[Any]:
    """The file; `?size=thumb` a picture's small version. FILE_AWAITED while it is fetched or made fit to be shown."""
    principal = await principal_of(request)
    small = _small(request)
    try:
        id_ = parse_id(request.path_params["file_id"])
    except ValueError:
        raise NotFound(entity="file") from None
    db: Database = request.app.state.db
    async with db.work(principal.org_id, actor=principal.actor()) as work:
        file = await files.file(work, id_)
        if file is None or not await _may_see(work, principal, file):
            raise NotFound(entity="file")
        if file.state != "stored" or file.sha256 is None:
            raise FileAwaited(state=file.code or file.state, retry_after_ms=5000)
        picture = await clean_of(work, file.sha256) if file.media_type.startswith("image/") else None
    if file.media_type in FOR_SAVING:
        return await _stream(
            request, raw_key(principal.org_id, file.sha256), file, file.media_type, saved=True
        )
    if picture is None or picture.media_type is None:
        raise FileAwaited(state=picture.code or picture.state if picture else "received", retry_after_ms=5000)
    media_type = "image/jpeg" if small else picture.media_type
    key = clean_key(principal.org_id, file.sha256, thumb=small)
    return await _stream(request, key, file, media_type, saved=False)


async def _may_see(work: Work, principal: Principal, file: FileView) -> bool:
    if file.order_id is not None:
        return bool(await orders_in_sight(work, await sight_of(work, principal), [file.order_id]))
    return file.holder == f"user:{principal.user_id}" or principal.may(Right.ORDERS_READ)


async def _stream(
    request: AnyRequest, key: str, file: FileView, media_type: str, *, saved: bool
) -> Response[Any]:
    storage: Storage = request.app.state.storage
    chunks = storage.read(key)
    try:
        # The first chunk before the answer begins: a store that is away is a refusal, not half a file.
        first = await anext(chunks, b"")
    except FileNotFoundError:
        raise StorageUnavailable(retry_after_ms=5000) from None

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    ending = FOR_SAVING.get(media_type) or ENDINGS.get(media_type, "bin")
    plain = f"{file.id}.{ending}"
    stem = re.sub(r'[\x00-\x1f"\\/:]', "_", file.name.rpartition(".")[0] or file.name)[:100] or str(file.id)
    name = f"filename=\"{plain}\"; filename*=UTF-8''{quote(f'{stem}.{ending}')}"
    headers = {**HEADERS, "Content-Disposition": f"{'attachment' if saved else 'inline'}; {name}"}
    return Stream(whole(), media_type=media_type, headers=headers)


def _small(request: AnyRequest) -> bool:
    given = request.query_params.get("size", "full")
    if given not in ("full", "thumb"):
        raise BadField(path="size", why="it is full or thumb")
    return bool(given == "thumb")


ROUTES: tuple[ControllerRouterHandler, ...] = (bring, show)
"""The doors of files."""
