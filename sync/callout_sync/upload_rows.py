"""Rows of uploads: read, checked to be the caller's, and ended. What may be done with them stands in `uploads`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from asyncpg import Record
from msgspec import Struct

from callout_people.principals import RIGHTS, Right
from callout_store.errors import DeviceRevoked, DeviceWiped, NotAllowed, NotAuthenticated
from callout_store.work import Work
from callout_sync.blobs import Piece
from callout_sync.upload_refusals import UploadEnded, UploadExpired, UploadHashWrong, UploadUnknown

HASH_WRONG: Final = "hash_wrong:"
COLUMNS: Final = """id, device_id, user_id, length_bytes, offset_bytes, metadata, sha256, concat, parts, state, code, token,
    expires_at, expires_at < now() as expired"""


class Upload(Struct, frozen=True, kw_only=True):
    """One upload. `token` is that of the request which may write; `expired`: nobody went on with it in time."""

    id: UUID
    device_id: UUID | None
    user_id: UUID
    length_bytes: int
    offset_bytes: int
    metadata: str
    sha256: bytes | None
    concat: str
    parts: list[str]
    state: str
    code: str | None
    token: UUID | None
    expires_at: datetime
    expired: bool

    @property
    def complete(self) -> bool:
        """Whether all its bytes are there."""
        return self.offset_bytes == self.length_bytes

    @property
    def to_finish(self) -> bool:
        """Whether its bytes are all there and are still to become a blob."""
        return self.state == "open" and self.complete and self.concat != "partial"


async def check_device(work: Work, *, lock: str = "") -> None:
    """Only a phone in good standing brings bytes; one whose app is too old may. `lock` holds its row as it is."""
    if work.actor.role not in RIGHTS[Right.SYNC]:
        raise NotAllowed(role=work.actor.role, what="uploads")
    row = await work.fetchrow(
        f"""
        select revoked_at is not null as revoked, wipe_mode is not distinct from 'stolen' as stolen from device
        where org_id = callout_org() and id = $1 {lock}
        """,
        work.actor.device_id,
    )
    if row is None:
        raise NotAuthenticated()
    if row["stolen"]:
        raise DeviceWiped()
    if row["revoked"]:
        raise DeviceRevoked()


async def own(work: Work, upload_id: UUID, *, lock: bool = False) -> Upload:
    """An upload of this device and user that is of use; refuses with what became of it. `lock` holds its row."""
    row = await work.fetchrow(
        f"""
        select {COLUMNS} from upload
        where org_id = callout_org() and id = $1 and device_id = $2 and user_id = $3 {"for update" if lock else ""}
        """,
        upload_id,
        work.actor.device_id,
        work.actor.user_id,
    )
    if row is None:
        raise UploadUnknown()
    upload = read(row)
    if upload.state == "ended":
        raise _what_became(upload.code or "")
    if (
        upload.expired
        and not upload.to_finish
        and not (upload.state == "done" and upload.concat != "partial")
    ):
        raise UploadExpired()
    return upload


def _what_became(code: str) -> Exception:
    if code == "expired":
        return UploadExpired()
    if code.startswith(HASH_WRONG):
        return UploadHashWrong(given=code.removeprefix(HASH_WRONG))
    return UploadEnded(why=code)


async def pieces_of(work: Work, upload_id: UUID) -> list[Piece]:
    """The runs of bytes of one upload, in order."""
    rows = await work.fetch(
        """
        select start_bytes, size_bytes, key from upload_piece
        where org_id = callout_org() and upload_id = $1 order by start_bytes
        """,
        upload_id,
    )
    return [Piece(row["start_bytes"], row["size_bytes"], row["key"]) for row in rows]


async def insert_pieces(work: Work, upload_id: UUID, pieces: Sequence[Piece]) -> None:
    """Write down runs of bytes of an upload."""
    await work.execute(
        """
        insert into upload_piece (upload_id, start_bytes, size_bytes, key)
        select $1, s, n, k from unnest($2::bigint[], $3::bigint[], $4::text[]) as t(s, n, k)
        """,
        upload_id,
        [piece.start_bytes for piece in pieces],
        [piece.size_bytes for piece in pieces],
        [piece.key for piece in pieces],
    )


async def drop_pieces(work: Work, ids: Sequence[UUID]) -> None:
    """Forget the runs of bytes of some uploads; their objects are removed by who asked for it."""
    await work.execute(
        "delete from upload_piece where org_id = callout_org() and upload_id = any($1)", list(ids)
    )


async def end(work: Work, upload_id: UUID, code: str, *, only_open: bool = False) -> bool:
    """End an upload; False where it had ended (or with `only_open` was no longer open)."""
    ended = await work.execute(
        f"""
        update upload set state = 'ended', code = $2, token = null, finished_at = now()
        where org_id = callout_org() and id = $1 and state {"= 'open'" if only_open else "<> 'ended'"}
        """,
        upload_id,
        code,
    )
    if ended:
        await drop_pieces(work, [upload_id])
    return bool(ended)


def read(row: Record) -> Upload:
    """A row with COLUMNS."""
    return Upload(**{name: row[name] for name in Upload.__struct_fields__})
