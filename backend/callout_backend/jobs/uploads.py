"""Finishing uploads, and clearing away those that nobody goes on with.

An upload is finished by the request that brings its last bytes; where that request's process died, by the phone's next
question for the offset, or by the message that was owed beside the last bytes. All do the same, and any number of them
may do it at once: the file is written whole under its own hash, and one of them finds the row still open.
"""

import asyncio
from collections.abc import Iterable
from uuid import UUID

import structlog

from callout_backend.jobs.drain import Handler
from callout_store.errors import Refusal
from callout_store.outbox import Claimed, Hopeless, Retry
from callout_store.work import SYSTEM, Actor, Database, Work
from callout_sync import uploads
from callout_sync.blobs import Lost, Piece, Storage, WrongHash
from callout_sync.picture_headers import HEAD_BYTES, Header, PictureRefused, inspect
from callout_sync.upload_refusals import StorageUnavailable, UploadHashWrong, UploadOffsetWrong
from callout_sync.upload_rows import Upload

log = structlog.get_logger(__name__)
AWAY_PAUSE_S = 30.0


async def finish(
    db: Database, storage: Storage, org_id: UUID, upload_id: UUID, *, actor: Actor = SYSTEM
) -> None:
    """Make an upload whose bytes are all there into a blob. Does nothing where there is nothing to finish.

    Raises UploadHashWrong (nothing is kept), UploadOffsetWrong (bytes were lost here: they are to be sent again), or
    StorageUnavailable (later then).
    """

    async def look(work: Work) -> tuple[Upload, list[Piece]] | None:
        return await uploads.pieces_to_finish(work, upload_id)

    found = await db.run(org_id, look, actor=actor)
    if found is None:
        return
    upload, pieces = found
    assert upload.sha256 is not None
    try:
        head = await storage.assemble(org_id, upload.sha256, pieces, head_bytes=HEAD_BYTES)
    except WrongHash as wrong:
        digest = wrong.found
        ended = await db.run(org_id, lambda work: uploads.refuse(work, upload, digest), actor=actor)
        await forget(storage, org_id, ended, upload.sha256)
        raise UploadHashWrong(given=digest.hex()) from None
    except Lost as lost:
        start = lost.start_bytes
        if await db.run(org_id, lambda work: uploads.rewind(work, upload, start), actor=actor):
            log.error("upload_bytes_lost", upload=str(upload_id), start_bytes=start)
            raise UploadOffsetWrong(offset=start, given=upload.length_bytes) from None
        # Somebody else finished it meanwhile, and cleared its pieces away.
        return
    header, code = await asyncio.to_thread(_inspect, head)

    async def settle(work: Work) -> list[UUID]:
        return await uploads.settle(work, upload, header=header, code=code)

    await forget(storage, org_id, await db.run(org_id, settle, actor=actor), upload.sha256)


async def forget(storage: Storage, org_id: UUID, upload_ids: Iterable[UUID], sha256: bytes | None) -> None:
    """Clear away the pieces of uploads that need them no more; where that fails, their timers do it later."""
    for upload_id in upload_ids:
        try:
            await storage.forget(org_id, upload_id, sha256)
        except StorageUnavailable as fault:
            log.warning("pieces_left", upload=str(upload_id), exc_info=fault)


def _inspect(head: bytes) -> tuple[Header | None, str | None]:
    try:
        return inspect(head), None
    except PictureRefused as refused:
        return None, refused.code


def finish_handler(storage: Storage) -> Handler:
    """The channel `upload.finish`. Harmless twice: the second finds nothing to finish."""

    async def handle(db: Database, item: Claimed) -> None:
        try:
            await finish(db, storage, item.org_id, _upload_id(item))
        except StorageUnavailable as away:
            raise Retry("the store does not answer", after_s=AWAY_PAUSE_S) from away
        except Refusal as refusal:
            # The upload's row says it to the phone that asks.
            log.info("upload_not_finished", code=refusal.code)

    return handle


def expire_handler(storage: Storage) -> Handler:
    """The channel `upload.expire`: the timer of an upload. Harmless twice: the timer's epoch moved on."""

    async def handle(db: Database, item: Claimed) -> None:
        upload_id = _upload_id(item)
        try:
            await finish(db, storage, item.org_id, upload_id)
        except StorageUnavailable as away:
            raise Retry("the store does not answer", after_s=AWAY_PAUSE_S) from away
        except Refusal as refusal:
            log.info("upload_not_finished", code=refusal.code)

        async def expire(work: Work) -> Upload | None:
            return await uploads.expire(work, upload_id, int(item.payload["timerEpoch"]))

        upload = await db.run(item.org_id, expire)
        if upload is not None:
            await forget(storage, item.org_id, [upload_id], upload.sha256)

    return handle


def _upload_id(item: Claimed) -> UUID:
    try:
        return UUID(item.payload["uploadId"])
    except (KeyError, ValueError) as fault:
        raise Hopeless(f"names no upload: {fault!r}") from fault
