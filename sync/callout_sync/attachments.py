"""Pictures that events name, and the bytes they name: either may come first.

An attachment is the event's word that there is a picture with this hash; a blob is the bytes with that hash. Whoever
writes one of the two first locks the hash, so that of an event and its bytes that are committed at the same moment
neither can miss the other.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from asyncpg import Record
from msgspec import Struct

from callout_store import outbox
from callout_store.work import Work
from callout_sync.picture_headers import Header

CHANNEL: Final = "picture"
STREAMS: Final = 4
"""So many of an organisation's pictures are worked on at once; the others wait without taking a worker's slot."""
LOCK_CLASS: Final = 0x626C6F62

State = Literal["awaited", "received", "ready", "rejected"]


class Expected(Struct, frozen=True, kw_only=True):
    """A picture that an event names; the event's id is the attachment's.

    `size_bytes` 0: the event tells the hash alone (a signature's), and kind and size are taken from the bytes.
    """

    event_id: UUID
    visit_id: UUID
    kind: Literal["photo", "signature"]
    sha256: bytes
    media_type: str
    size_bytes: int
    caption: str | None = None


class AttachmentView(Struct, frozen=True, kw_only=True):
    """A picture as the office sees it. Pixels are those of the upright picture; `taken_at`, `lat` and `lng` are what the
    camera wrote into it; `received_at` is when its bytes were all there."""

    id: UUID
    visit_id: UUID
    kind: str
    sha256: str
    media_type: str
    size_bytes: int
    caption: str | None
    state: str
    code: str | None
    created_at: datetime
    width: int | None
    height: int | None
    taken_at: datetime | None
    lat: float | None
    lng: float | None
    received_at: datetime | None


class Shown(Struct, frozen=True, kw_only=True):
    """What is served of a picture: whose it is, its state, and its clean version where that is ready."""

    id: UUID
    visit_id: UUID
    state: str
    code: str | None
    sha256: bytes
    clean_sha256: bytes | None
    clean_size_bytes: int | None
    clean_media_type: str | None
    thumb_sha256: bytes | None


class Clean(Struct, frozen=True, kw_only=True):
    """What was made of a raw file: the shown version, the small one, and what the camera had written into it."""

    sha256: bytes
    size_bytes: int
    media_type: str
    thumb_sha256: bytes
    width: int
    height: int
    taken_at: datetime | None = None
    lat: float | None = None
    lng: float | None = None


async def expect(work: Work, expected: Sequence[Expected]) -> None:
    """Write down which pictures events name; those whose bytes are there already take their state. Twice is once."""
    if not expected:
        return
    await lock_blobs(work, (one.sha256 for one in expected))
    rows = await work.fetch(
        """
        insert into attachment (id, visit_id, kind, sha256, media_type, size_bytes, caption, state, code, created_at)
        select t.id, t.visit_id, t.kind, t.sha256,
               case when t.size_bytes = 0 and b.state <> 'rejected' then b.media_type else t.media_type end,
               case when t.size_bytes = 0 then coalesce(b.size_bytes, 0) else t.size_bytes end, t.caption,
               coalesce(b.state, 'awaited'), b.code, $8
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::bigint[], $7::text[])
            as t(id, visit_id, kind, sha256, media_type, size_bytes, caption)
        left join blob b on b.org_id = callout_org() and b.sha256 = t.sha256
        on conflict (org_id, id) do nothing
        returning id
        """,
        [one.event_id for one in expected],
        [one.visit_id for one in expected],
        [one.kind for one in expected],
        [one.sha256 for one in expected],
        [one.media_type for one in expected],
        [one.size_bytes for one in expected],
        [one.caption for one in expected],
        work.now,
    )
    work.touch("attachment", *(row["id"] for row in rows))


async def lock_blobs(work: Work, hashes: Iterable[bytes]) -> None:
    """Hold these hashes until this unit of work ends, in one order for all. Two that share a key only wait."""
    await work.fetch(
        "select pg_advisory_xact_lock($1, k) from (select unnest($2::int[]) as k) t",
        LOCK_CLASS,
        sorted({int.from_bytes(sha256[:4], "big", signed=True) for sha256 in hashes}),
    )


async def add_blob(
    work: Work,
    sha256: bytes,
    *,
    size_bytes: int,
    header: Header | None,
    code: str | None,
    device_id: UUID | None = None,
) -> bool:
    """The bytes of this hash lie in the store now: `header` says what they are, or `code` why they are never shown.

    `device_id`: the phone that brought them, and that counts on their being there when it sends the event of them. False
    where they were there before. Attachments follow, and a worker is owed the making of the clean version.
    """
    await lock_blobs(work, [sha256])
    new = await work.execute(
        """
        insert into blob (sha256, size_bytes, media_type, state, code, width, height, received_at, device_id)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (org_id, sha256) do nothing
        """,
        sha256,
        size_bytes,
        header.media_type if header is not None else "application/octet-stream",
        "received" if header is not None else "rejected",
        code,
        header.width if header is not None else None,
        header.height if header is not None else None,
        work.now,
        device_id,
    )
    if not new:
        await keep_for(work, sha256, device_id)
        return False
    await _follow(work, sha256)
    if header is not None:
        await outbox.send(
            work,
            outbox.Message(
                channel=CHANNEL,
                stream=f"picture:{sha256[0] % STREAMS}",
                dedupe_key=f"picture:{sha256.hex()}",
                payload={"sha256": sha256.hex()},
            ),
        )
    return True


async def keep_for(work: Work, sha256: bytes, device_id: UUID | None) -> None:
    """A phone counts on bytes that came by another way: they are no longer anybody's to forget. The hash is locked."""
    if device_id is not None:
        await work.execute(
            "update blob set device_id = $2 where org_id = callout_org() and sha256 = $1 and device_id is null",
            sha256,
            device_id,
        )


async def blob_state(work: Work, sha256: bytes) -> str | None:
    """received, ready or rejected; None where there are no such bytes."""
    state: str | None = await work.fetchval(
        "select state from blob where org_id = callout_org() and sha256 = $1", sha256
    )
    return state


async def make_ready(work: Work, sha256: bytes, clean: Clean) -> bool:
    """The clean version lies in the store: show it. False where that was decided before."""
    await lock_blobs(work, [sha256])
    done = await work.execute(
        """
        update blob set state = 'ready', clean_sha256 = $2, clean_size_bytes = $3, clean_media_type = $4,
            thumb_sha256 = $5, width = $6, height = $7, taken_at = $8, lat = $9, lng = $10, processed_at = $11
        where org_id = callout_org() and sha256 = $1 and state = 'received'
        """,
        sha256,
        clean.sha256,
        clean.size_bytes,
        clean.media_type,
        clean.thumb_sha256,
        clean.width,
        clean.height,
        clean.taken_at,
        clean.lat,
        clean.lng,
        work.now,
    )
    if done:
        await _follow(work, sha256)
    return bool(done)


async def reject(work: Work, sha256: bytes, code: str) -> bool:
    """These bytes are kept and never shown. False where that was decided before."""
    await lock_blobs(work, [sha256])
    done = await work.execute(
        """
        update blob set state = 'rejected', code = $2, processed_at = $3
        where org_id = callout_org() and sha256 = $1 and state = 'received'
        """,
        sha256,
        code,
        work.now,
    )
    if done:
        await _follow(work, sha256)
    return bool(done)


async def _follow(work: Work, sha256: bytes) -> None:
    """Every attachment of this hash takes its blob's state, and the phones that hold it learn so. The hash is locked."""
    rows = await work.fetch(
        """
        update attachment a set state = b.state, code = b.code,
            media_type = case when a.size_bytes = 0 and b.state <> 'rejected' then b.media_type else a.media_type end,
            size_bytes = case when a.size_bytes = 0 then b.size_bytes else a.size_bytes end
        from blob b
        where a.org_id = callout_org() and a.sha256 = $1 and b.org_id = a.org_id and b.sha256 = a.sha256
        returning a.id
        """,
        sha256,
    )
    work.touch("attachment", *(row["id"] for row in rows))


_VIEW: Final = """
    select a.id, a.visit_id, a.kind, encode(a.sha256, 'hex') as sha256, a.media_type, a.size_bytes, a.caption, a.state,
           a.code, a.created_at, b.width, b.height, b.taken_at, b.lat, b.lng, b.received_at
    from attachment a left join blob b on b.org_id = a.org_id and b.sha256 = a.sha256
"""


async def attachments_by_visit_ids(work: Work, visit_ids: Sequence[UUID]) -> list[list[AttachmentView]]:
    """The pictures of each visit in the order of the ids, the oldest first."""
    rows = await work.fetch(
        f"{_VIEW} where a.org_id = callout_org() and a.visit_id = any($1) order by a.created_at, a.id",
        list(visit_ids),
    )
    found: dict[UUID, list[AttachmentView]] = {}
    for row in rows:
        found.setdefault(row["visit_id"], []).append(_view(row))
    return [found.get(id_, []) for id_ in visit_ids]


async def shown(work: Work, attachment_id: UUID) -> Shown | None:
    """What there is to serve of one picture; None where no event named it."""
    row = await work.fetchrow(
        """
        select a.id, a.visit_id, a.state, a.code, a.sha256, b.clean_sha256, b.clean_size_bytes, b.clean_media_type,
               b.thumb_sha256
        from attachment a left join blob b on b.org_id = a.org_id and b.sha256 = a.sha256
        where a.org_id = callout_org() and a.id = $1
        """,
        attachment_id,
    )
    return None if row is None else Shown(**dict(row))


class CleanOf(Struct, frozen=True, kw_only=True):
    """Where the making of a picture's clean version stands: received, ready (`media_type` is its kind), rejected (`code`)."""

    state: str
    code: str | None
    media_type: str | None


async def clean_of(work: Work, sha256: bytes) -> CleanOf | None:
    """What became of these bytes as a picture; None where there are none."""
    row = await work.fetchrow(
        "select state, code, clean_media_type as media_type from blob where org_id = callout_org() and sha256 = $1",
        sha256,
    )
    return None if row is None else CleanOf(**dict(row))


def _view(row: Record) -> AttachmentView:
    return AttachmentView(**dict(row))
