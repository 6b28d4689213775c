"""Where bytes lie: a folder or a bucket, through one interface; and the names they have there.

    <org>/pieces/<upload>/<start>-<random>   a run of an upload's bytes; the name is used once and never again
    <org>/raw/<sha256>                       a finished file, whole, as the phone took it; never served
    <org>/clean/<sha256 of the raw file>     what is shown
    <org>/thumb/<sha256 of the raw file>     the same, small
    <org>/mail/<sha256>                      a mail as it came, whole

A raw file is named by its hash and written whole or not at all, so that writing it twice is harmless. The two made from
it are named by it as well: made again, they replace themselves.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import obstore
from msgspec import Struct
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, S3Store

from callout_store.ids import new_id
from callout_sync.upload_refusals import StorageUnavailable

READ_BYTES: Final = 256 * 1024
S3: Final = "s3://"
MEMORY: Final = "memory:"
PATIENCE: Final[Any] = {
    "retry_config": {"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
    # An endpoint that begins with http:// was written down by whoever runs the server.
    "client_options": {"timeout": "30s", "connect_timeout": "5s", "allow_http": True},
}
"""A phone waits for the answer, and comes back anyway."""


class Lost(Exception):
    """A piece that the rows name is not there, or shorter than it was: the machine lost it in a crash."""

    def __init__(self, start_bytes: int) -> None:
        self.start_bytes = start_bytes
        super().__init__(f"the piece at {start_bytes} is gone")


class WrongHash(Exception):
    """Bytes that are not the file they were said to be."""

    def __init__(self, found: bytes) -> None:
        self.found = found
        super().__init__(found.hex())


class Piece(Struct, frozen=True):
    """A run of an upload's bytes: where it begins, how long it is, under which name it lies."""

    start_bytes: int
    size_bytes: int
    key: str


class Storage:
    """A folder or a bucket. Faults of it are `StorageUnavailable`; what is not there is FileNotFoundError."""

    def __init__(self, where: str) -> None:
        """By address: a folder's path, `s3://bucket/prefix`, or `memory:` for tests. Nothing is touched before first use.

        S3's keys, region and endpoint are read by the library from the usual AWS_ variables.
        """
        self.where = where
        self.folder = None if where.startswith(S3) or where == MEMORY else Path(where).resolve()
        """Set where bytes lie on this machine: there they are also forced onto the disk."""

    @cached_property
    def store(self) -> Any:
        """The library's store."""
        if self.folder is None:
            return MemoryStore() if self.where == MEMORY else S3Store.from_url(self.where, **PATIENCE)
        # Emptied folders go: an upload's folder is gone when its last piece is.
        return LocalStore(prefix=self.folder, automatic_cleanup=True, mkdir=True)

    async def put_piece(self, org_id: UUID, upload_id: UUID, start_bytes: int, data: bytes) -> Piece:
        """Store a run of bytes under a name of its own."""
        key = f"{pieces_of(org_id, upload_id)}/{start_bytes}-{new_id().hex}"
        await self.put(key, data)
        return Piece(start_bytes, len(data), key)

    async def put(self, key: str, data: bytes) -> None:
        """Store bytes, whole or not at all."""
        with storage_faults():
            await self.store.put_async(key, data)

    async def assemble(
        self, org_id: UUID, sha256: bytes, pieces: Sequence[Piece], *, head_bytes: int
    ) -> bytes:
        """Join pieces to the raw file of this hash and return its first bytes.

        Raises WrongHash, or Lost for a piece that is not there; then no file comes to be.
        """
        hasher, head = hashlib.sha256(), bytearray()

        async def joined() -> AsyncIterator[bytes]:
            for piece in pieces:
                read = 0
                try:
                    async for chunk in self.read(piece.key):
                        read += len(chunk)
                        hasher.update(chunk)
                        if len(head) < head_bytes:
                            head.extend(chunk[: head_bytes - len(head)])
                        yield chunk
                except FileNotFoundError:
                    raise Lost(piece.start_bytes) from None
                if read != piece.size_bytes:
                    raise Lost(piece.start_bytes)
            if hasher.digest() != sha256:
                # Raised inside the writing: a file under a wrong name never comes to be.
                raise WrongHash(hasher.digest())

        key = raw_key(org_id, sha256)
        with storage_faults():
            await self.store.put_async(key, joined(), max_concurrency=2)
        await self._force(key)
        return bytes(head)

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """The bytes under a name, in chunks. Raises FileNotFoundError."""
        with storage_faults():
            found = await self.store.get_async(key)
            async for chunk in found.stream(min_chunk_size=READ_BYTES):
                yield bytes(chunk)

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove what is there of these."""
        if self.where.startswith(S3):
            # A bucket takes them all at once, and minds none that is not there.
            with storage_faults():
                await self.store.delete_async(list(keys))
            return
        for key in keys:
            with storage_faults(), contextlib.suppress(FileNotFoundError):
                await self.store.delete_async(key)

    async def delete_under(self, prefix: str) -> int:
        """Remove everything below a prefix; how many it were."""
        with storage_faults():
            found = await obstore.list(self.store, prefix + "/").collect_async()
        keys = [str(entry["path"]) for entry in found]
        await self.delete(keys)
        return len(keys)

    async def forget(self, org_id: UUID, upload_id: UUID, sha256: bytes | None) -> None:
        """Remove what is left of an upload, with what attempts that died left half written."""
        await self.delete_under(pieces_of(org_id, upload_id))
        if self.folder is not None:
            # A folder's writer goes by way of `name#1`, which the interface does not list.
            halves = [f"{raw_key(org_id, sha256)}#*"] if sha256 is not None else []
            await asyncio.to_thread(_sweep, self.folder, f"{pieces_of(org_id, upload_id)}", halves)

    async def _force(self, key: str) -> None:
        """On this machine's disk, before the phone is told that it may forget its copy."""
        if self.folder is not None:
            await asyncio.to_thread(_fsync, self.folder / key)


def pieces_of(org_id: UUID, upload_id: UUID) -> str:
    """Where an upload's pieces lie."""
    return f"{org_id}/pieces/{upload_id}"


def raw_key(org_id: UUID, sha256: bytes) -> str:
    """The name of a finished file."""
    return f"{org_id}/raw/{sha256.hex()}"


def clean_key(org_id: UUID, sha256: bytes, *, thumb: bool = False) -> str:
    """The name of what is shown of the file with this hash."""
    return f"{org_id}/{'thumb' if thumb else 'clean'}/{sha256.hex()}"


def mail_key(org_id: UUID, sha256: bytes) -> str:
    """The name of a whole mail."""
    return f"{org_id}/mail/{sha256.hex()}"


@contextlib.contextmanager
def storage_faults() -> Iterator[None]:
    """A store that is away or full, as one retryable refusal."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as fault:
        raise StorageUnavailable(retry_after_ms=5000) from fault


def _sweep(folder: Path, tree: str, patterns: Sequence[str]) -> None:
    shutil.rmtree(folder / tree, ignore_errors=True)
    for pattern in patterns:
        for half in folder.glob(pattern):
            half.unlink(missing_ok=True)


def _fsync(path: Path) -> None:
    for place, flags in ((path, os.O_RDONLY), (path.parent, os.O_RDONLY | os.O_DIRECTORY)):
        handle = os.open(place, flags)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
