"""`/v1/uploads`: photos and pictures of signatures by tus 1.0.0, with any client that speaks it.

    OPTIONS /v1/uploads         what is spoken, and the largest upload
    POST    /v1/uploads         begin one (Upload-Length, Upload-Metadata with `sha256`), perhaps with its first bytes
    HEAD    /v1/uploads/<id>    how much has come
    PATCH   /v1/uploads/<id>    bytes from there on
    DELETE  /v1/uploads/<id>    no more of it

Extensions: creation, creation-with-upload, termination, expiration, checksum, concatenation. Only enrolled devices
upload, whatever version their app is of. What the organisation has already is answered as finished at once.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from litestar import MediaType, Request, Response, route
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from callout_backend.doors.identity import principal_of
from callout_backend.doors.upload_body import Intake, bytes_of
from callout_backend.jobs.uploads import finish, forget
from callout_backend.problems import handle
from callout_contracts.limits import UPLOAD_BYTES_MAX, UPLOAD_PART_BYTES_MAX
from callout_people.principals import require_device
from callout_store.errors import MethodRefused, Refusal
from callout_store.ids import parse_id
from callout_store.work import Actor, Database
from callout_sync import tus, uploads
from callout_sync.blobs import Storage
from callout_sync.tus import Checksum
from callout_sync.upload_refusals import (
    UploadConcatInvalid,
    UploadLengthExceeded,
    UploadLengthInvalid,
    UploadPartTooLarge,
    UploadTypeRefused,
    UploadUnknown,
)
from callout_sync.upload_rows import Upload

PATH = "/v1/uploads"
VERSION_HEADERS = {"Tus-Resumable": tus.VERSION, "Tus-Version": tus.VERSION}
CAPABILITIES = {
    **VERSION_HEADERS,
    "Tus-Extension": ",".join(tus.EXTENSIONS),
    "Tus-Max-Size": str(UPLOAD_BYTES_MAX),
    "Tus-Checksum-Algorithm": ",".join(tus.CHECKSUMS),
}
AnyRequest = Request[Any, Any, Any]


def _refused(request: AnyRequest, exc: Exception) -> Response[bytes]:
    """Every answer says which tus it is, refusals too."""
    response = handle(request, exc)
    for name, value in VERSION_HEADERS.items():
        response.headers[name] = value
    return response


class _Door:
    """Who asks, and what they ask with."""

    def __init__(self, request: AnyRequest, actor: Actor, org_id: UUID) -> None:
        self.request, self.actor, self.org_id = request, actor, org_id
        self.db: Database = request.app.state.db
        self.storage: Storage = request.app.state.storage

    @classmethod
    async def open(cls, request: AnyRequest) -> "_Door":
        tus.check_version(request.headers.get("tus-resumable"))
        principal = await principal_of(request)
        require_device(principal, what="uploads")
        return cls(request, principal.actor(), principal.org_id)

    def header(self, name: str) -> str | None:
        value: str | None = self.request.headers.get(name)
        return value

    async def begin(self) -> Response[bytes]:
        """POST: a new upload."""
        concat = tus.read_concat(self.header("upload-concat"))
        metadata = tus.read_metadata(self.header("upload-metadata"), sha256_needed=concat.kind != "partial")
        if self.header("upload-defer-length") is not None:
            raise UploadLengthInvalid(why="it must be known when the upload is created")
        length: int | None = None
        if concat.kind != "final":
            length = tus.read_length(self.header("upload-length"))
        elif self.header("upload-length") is not None:
            raise UploadConcatInvalid(why="an upload that joins others has no length of its own")
        brings = self.announced_bytes(needed=False)
        if brings and length is not None and brings > length:
            raise UploadLengthExceeded(length=length)
        checksum = tus.read_checksum(self.header("upload-checksum"))
        upload = await self.db.run(
            self.org_id,
            lambda work: uploads.create(work, length=length, metadata=metadata, concat=concat),
            actor=self.actor,
        )
        # One that goes on has its beginning: what came with the creation is that beginning again.
        if brings and concat.kind != "final" and upload.state == "open" and upload.offset_bytes == 0:
            upload = await self.take(upload, checksum)
        upload = await self.finished(upload)
        headers = {"Location": f"{PATH}/{upload.id}", **_standing(upload)}
        return _answer(201, headers)

    async def ask(self, upload_id: UUID) -> Response[bytes]:
        """HEAD: how much has come. One whose bytes are all there is finished first: its phone will not ask again."""
        upload = await self.finished(await self.find(upload_id))
        headers = {**_standing(upload), "Upload-Length": str(upload.length_bytes)}
        if upload.metadata:
            headers["Upload-Metadata"] = upload.metadata
        if upload.concat == "partial":
            headers["Upload-Concat"] = "partial"
        elif upload.concat == "final":
            headers["Upload-Concat"] = "final;" + " ".join(f"{PATH}/{part}" for part in upload.parts)
        return _answer(200, headers)

    async def go_on(self, upload_id: UUID) -> Response[bytes]:
        """PATCH: more bytes."""
        part_bytes = self.announced_bytes(needed=True)
        offset = tus.read_offset(self.header("upload-offset"))
        checksum = tus.read_checksum(self.header("upload-checksum"))
        upload = await self.db.run(
            self.org_id,
            lambda work: uploads.begin(work, upload_id, offset=offset, part_bytes=part_bytes),
            actor=self.actor,
        )
        upload = await self.finished(await self.take(upload, checksum))
        return _answer(204, _standing(upload))

    async def remove(self, upload_id: UUID) -> Response[bytes]:
        """DELETE: what has come of it is cleared away; what became a photo stays one."""
        await self.finished(await self.find(upload_id))
        upload = await self.db.run(
            self.org_id, lambda work: uploads.remove(work, upload_id), actor=self.actor
        )
        await forget(self.storage, self.org_id, [upload.id], upload.sha256)
        return _answer(204, {})

    def announced_bytes(self, *, needed: bool) -> int | None:
        """How much the body says it brings; refuses what is no upload's bytes, or too many."""
        kind = (self.header("content-type") or "").split(";")[0].strip().lower()
        packed = (self.header("content-encoding") or "identity").strip().lower() != "identity"
        text = self.header("content-length")
        chunked = self.header("transfer-encoding") is not None
        length = int(text) if text is not None and text.isascii() and text.isdigit() else None
        brings = chunked or bool(length)
        if (needed or brings) and (kind != tus.BYTES_TYPE or packed):
            raise UploadTypeRefused()
        if length is not None and length > UPLOAD_PART_BYTES_MAX:
            raise UploadPartTooLarge(limit=UPLOAD_PART_BYTES_MAX)
        if chunked:
            return None if needed else 1
        return length or 0

    async def find(self, upload_id: UUID) -> Upload:
        return await self.db.run(self.org_id, lambda work: uploads.find(work, upload_id), actor=self.actor)

    async def take(self, upload: Upload, checksum: Checksum | None) -> Upload:
        intake = Intake(self.db, self.storage, self.org_id, self.actor, upload, checksum)
        return await intake.take(bytes_of(self.request.receive))

    async def finished(self, upload: Upload) -> Upload:
        """The upload, finished where all its bytes are there."""
        if not upload.to_finish:
            return upload
        await finish(self.db, self.storage, self.org_id, upload.id, actor=self.actor)
        return await self.find(upload.id)


def _standing(upload: Upload) -> dict[str, str]:
    headers = {"Upload-Offset": str(upload.offset_bytes)}
    if upload.state == "open":
        headers["Upload-Expires"] = upload.expires_at.strftime("%a, %d %b %Y %H:%M:%S GMT")
    return headers


def _answer(status: int, headers: Mapping[str, str]) -> Response[bytes]:
    return Response(
        b"",
        status_code=status,
        media_type=MediaType.TEXT,
        headers={**VERSION_HEADERS, "Cache-Control": "no-store", **headers},
    )


def _method(request: AnyRequest) -> str:
    """The method meant: some networks let only GET and POST through."""
    meant = request.headers.get("x-http-method-override")
    return meant.strip().upper() if meant is not None else str(request.method)


@route(
    [PATH, PATH + "/{upload_id:str}"],
    http_method=[HttpMethod.OPTIONS, HttpMethod.POST, HttpMethod.HEAD, HttpMethod.PATCH, HttpMethod.DELETE],
    exception_handlers={Refusal: _refused, HTTPException: _refused, Exception: _refused},
    # The door counts by itself: a refusal by length has a code of its own here.
    request_max_body_size=None,
    include_in_schema=False,
    status_code=200,
)
async def upload_door(request: AnyRequest) -> Response[bytes]:
    """One door for all of tus."""
    method = _method(request)
    if method == "OPTIONS":
        return Response(b"", status_code=204, media_type=MediaType.TEXT, headers=CAPABILITIES)
    door = await _Door.open(request)
    upload_id: str | None = request.path_params.get("upload_id")
    if upload_id is None:
        if method == "POST":
            return await door.begin()
        raise MethodRefused(method=method[:20])
    try:
        id_ = parse_id(upload_id)
    except ValueError:
        raise UploadUnknown() from None
    if method == "HEAD":
        return await door.ask(id_)
    if method == "PATCH":
        return await door.go_on(id_)
    if method == "DELETE":
        return await door.remove(id_)
    raise MethodRefused(method=method[:20])


ROUTES: tuple[ControllerRouterHandler, ...] = (upload_door,)
