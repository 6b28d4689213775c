"""Files that come with requests, from bytes to the store: looked at by their beginning, kept under their hash.

Pictures go the way that phones' photos go: a clean version is made of them by the worker, and only that is shown. Films and
PDFs are only ever handed out to be saved.
"""

import hashlib
from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec

from callout_orders.channels.inbox import storable
from callout_orders.channels.terms import FILE_BYTES_MAX
from callout_store.work import Database, Work
from callout_sync import attachments, loose_bytes
from callout_sync.blobs import Storage, raw_key
from callout_sync.picture_headers import HEAD_BYTES, Header, PictureRefused, inspect

FILE_TYPE_REFUSED: Final = "FILE_TYPE_REFUSED"
FILE_TOO_LARGE: Final = "FILE_TOO_LARGE"
FILE_EMPTY: Final = "FILE_EMPTY"
_FILM_BRANDS: Final = frozenset(
    {
        b"isom",
        b"iso2",
        b"iso4",
        b"iso5",
        b"iso6",
        b"mp41",
        b"mp42",
        b"avc1",
        b"M4V ",
        b"qt  ",
        b"3gp4",
        b"3gp5",
        b"MSNV",
    }
)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that were looked at; with `code` they were refused, and lie nowhere. `header` is a picture's, `claim` what `put`
    answered."""

    sha256: bytes
    size_bytes: int
    media_type: str
    header: Header | None = None
    code: str | None = None
    claim: UUID | None = None


def look(data: bytes, *, declared: str = "application/octet-stream") -> Kept:
    """What these bytes are, whatever they were said to be."""
    digest = hashlib.sha256(data).digest()
    declared = storable(declared)[:100] or "application/octet-stream"
    if not data:
        return Kept(sha256=digest, size_bytes=0, media_type=declared, code=FILE_EMPTY)
    if len(data) > FILE_BYTES_MAX:
        return Kept(sha256=digest, size_bytes=len(data), media_type=declared, code=FILE_TOO_LARGE)
    try:
        header = inspect(data[:HEAD_BYTES])
        return Kept(sha256=digest, size_bytes=len(data), media_type=header.media_type, header=header)
    except PictureRefused as refused:
        code = refused.code
    found = None
    if data.startswith(b"%PDF-"):
        found = "application/pdf"
    elif data[4:8] == b"ftyp" and data[8:12] in _FILM_BRANDS:
        found = "video/mp4"
    if found is not None:
        return Kept(sha256=digest, size_bytes=len(data), media_type=found)
    code = FILE_TYPE_REFUSED if code == "PICTURE_TYPE_REFUSED" else code
    return Kept(sha256=digest, size_bytes=len(data), media_type=declared, code=code)


async def put(db: Database, storage: Storage, org_id: UUID, contents: Mapping[str, bytes]) -> UUID:
    """Put bytes into the store under keys that end with their hashes; a claim on these, to be settled in the transaction
    that writes the rows which name them. Raises StorageUnavailable."""
    hashes = {bytes.fromhex(key.rpartition("/")[2]) for key in contents}
    claim = await db.run(org_id, lambda work: loose_bytes.claim(work, hashes))
    for key, data in contents.items():
        await storage.put(key, data)
    return claim


async def keep(
    db: Database,
    storage: Storage,
    org_id: UUID,
    data: bytes,
    *,
    declared: str = "application/octet-stream",
) -> Kept:
    """Look at bytes and put them into the store. Raises StorageUnavailable. Twice is once."""
    kept = look(data, declared=declared)
    if kept.code is not None:
        return kept
    claim = await put(db, storage, org_id, {raw_key(org_id, kept.sha256): data})
    return msgspec.structs.replace(kept, claim=claim)


async def note(work: Work, kept: Kept) -> None:
    """In the transaction that writes the file's row: a picture that was kept is owed its clean version, and the claim on
    the bytes is settled."""
    if kept.header is not None and kept.code is None:
        await attachments.add_blob(
            work, kept.sha256, size_bytes=kept.size_bytes, header=kept.header, code=None
        )
    if kept.claim is not None:
        await loose_bytes.settle(work, kept.claim)
