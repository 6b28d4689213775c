"""The bytes of one upload request on their way into the store: run by run, each written down before the next is read.

A line that is cut loses at most what had not been written down (`PIECE_BYTES_MAX`); one that falls silent loses nothing,
because what has come is written down while we wait. With a checksum nothing is written down before all of it has come
and was found right. No transaction is open while bytes are awaited.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

from callout_contracts.limits import UPLOAD_PART_BYTES_MAX
from callout_store.errors import BadRequestBody, BodyTooSlow
from callout_store.work import Actor, Database
from callout_sync import uploads
from callout_sync.blobs import Piece, Storage
from callout_sync.tus import Checksum
from callout_sync.upload_refusals import UploadChecksumWrong, UploadLengthExceeded, UploadPartTooLarge
from callout_sync.upload_rows import Upload

PIECE_BYTES_MAX = 1024 * 1024
IDLE_S = 1.0
"""After so long a silence what has come is written down."""
IDLE_BYTES_MIN = 32 * 1024
STALL_S = 30.0
"""The longest silence; a phone that lost its line comes back with a new request anyway."""
WHOLE_S = 1800.0
"""One request; then the client goes on with another."""

Receive = Callable[[], Awaitable[Any]]


async def bytes_of(
    receive: Receive, *, stall_s: float = STALL_S, whole_s: float = WHOLE_S
) -> AsyncIterator[bytes]:
    """The body's chunks; an empty one says that the line has been silent for a while.

    Raises BodyTooSlow after `stall_s` of silence or `whole_s` in all, BadRequestBody where the line was cut.
    """
    began = last = time.monotonic()
    pending: asyncio.Future[Any] = asyncio.ensure_future(receive())
    try:
        while True:
            # Not `wait_for`: the read goes on while we write down what has come.
            await asyncio.wait({pending}, timeout=min(IDLE_S, stall_s))
            now = time.monotonic()
            if not pending.done():
                if now - last >= stall_s or now - began >= whole_s:
                    raise BodyTooSlow(seconds=round(stall_s))
                yield b""
                continue
            message = pending.result()
            if message["type"] != "http.request":
                raise BadRequestBody(why="it ended early")
            last = now
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body", False):
                return
            if now - began >= whole_s:
                raise BodyTooSlow(seconds=round(whole_s))
            pending = asyncio.ensure_future(receive())
    finally:
        pending.cancel()


class Intake:
    """One request's bytes, from `upload.offset_bytes` on."""

    def __init__(
        self,
        db: Database,
        storage: Storage,
        org_id: UUID,
        actor: Actor,
        upload: Upload,
        checksum: Checksum | None,
    ) -> None:
        self.db, self.storage, self.org_id, self.actor = db, storage, org_id, actor
        self.upload = upload
        self.checksum = checksum
        self.hasher = checksum.start() if checksum is not None else None
        self.at = upload.offset_bytes
        self.taken = 0
        self.buffer = bytearray()
        self.unproved: list[Piece] = []
        """Pieces in the store that wait for the checksum."""

    async def take(self, chunks: AsyncIterator[bytes]) -> Upload:
        """Read the body to its end; the upload as it stands then."""
        try:
            try:
                async for chunk in chunks:
                    await self._chunk(chunk)
            except (BadRequestBody, BodyTooSlow):
                if self.checksum is None:
                    await self._store()
                raise
            await self._store()
            if self.checksum is not None and self.hasher is not None:
                if self.hasher.digest() != self.checksum.digest:
                    raise UploadChecksumWrong()
                await self._write_down(self.unproved)
                self.unproved = []
        finally:
            if self.unproved:
                await self.storage.delete([piece.key for piece in self.unproved])
        return self.upload

    async def _chunk(self, chunk: bytes) -> None:
        if not chunk:
            if len(self.buffer) >= IDLE_BYTES_MIN:
                await self._store()
            return
        self.taken += len(chunk)
        if self.taken > UPLOAD_PART_BYTES_MAX:
            raise UploadPartTooLarge(limit=UPLOAD_PART_BYTES_MAX)
        if self.upload.state != "open" or self.at + len(self.buffer) + len(chunk) > self.upload.length_bytes:
            raise UploadLengthExceeded(length=self.upload.length_bytes)
        if self.hasher is not None:
            self.hasher.update(chunk)
        self.buffer += chunk
        if len(self.buffer) >= PIECE_BYTES_MAX:
            await self._store()

    async def _store(self) -> None:
        """Put what has come into the store, and without a checksum write it down at once."""
        if not self.buffer:
            return
        data = bytes(self.buffer)
        self.buffer.clear()
        piece = await self.storage.put_piece(self.org_id, self.upload.id, self.at, data)
        self.unproved.append(piece)
        self.at += len(data)
        if self.checksum is None:
            await self._write_down(self.unproved)
            self.unproved = []

    async def _write_down(self, pieces: list[Piece]) -> None:
        if pieces:
            self.upload = await self.db.run(
                self.org_id, lambda work: uploads.append(work, self.upload, pieces), actor=self.actor
            )
