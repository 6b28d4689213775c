"""Uploads under way: what of each has come, who may go on with it, and what becomes of it.

    open --all bytes there--> open, to be finished --bytes are the file named--> done (a blob)
                                                   \\--they are not------------> ended (hash_wrong)
    open (a part) --all bytes there--> done --joined--> ended (joined)
    open --removed by the phone, or left for too long--> ended (removed, expired)

All transactions here are short: nobody holds a lock while bytes travel. Instead each request that brings bytes takes the
upload over by writing its own token into it, and every run of bytes is written with `where token = …`: of two requests
the newer one goes on, and the older, perhaps hung on a dead line, writes no more.

An upload belongs to a device and its user. Times are the database's.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from callout_contracts.limits import UPLOAD_BYTES_MAX, UPLOAD_HOURS, UPLOADS_OPEN_MAX
from callout_store import outbox, timers
from callout_store.work import Work
from callout_sync import attachments
from callout_sync.blobs import Piece
from callout_sync.picture_headers import Header
from callout_sync.tus import Concat, Metadata
from callout_sync.upload_refusals import (
    UploadConcatInvalid,
    UploadFinalReadOnly,
    UploadLengthExceeded,
    UploadOffsetWrong,
    UploadsTooMany,
    UploadSuperseded,
    UploadTooLarge,
)
from callout_sync.upload_rows import (
    COLUMNS,
    HASH_WRONG,
    Upload,
    check_device,
    drop_pieces,
    end,
    insert_pieces,
    own,
    pieces_of,
    read,
)

FINISH_CHANNEL: Final = "upload.finish"
EXPIRE_CHANNEL: Final = "upload.expire"
LIFE: Final = f"interval '{UPLOAD_HOURS} hours'"
FINISH_AFTER: Final = "interval '1 minute'"
"""The request that brought the last bytes finishes the upload; where its process died, the worker does, after so long."""


async def create(work: Work, *, length: int | None, metadata: Metadata, concat: Concat) -> Upload:
    """Begin an upload. Where the organisation has these very bytes already, it is done at once; where this phone has
    one of the same file under way, it goes on with that one: the answer to its first creation may have been lost.

    `length` is None for a final upload: its parts' lengths count.
    """
    # One creation of a device at a time: they are counted.
    await check_device(work, lock="for no key update")
    if concat.kind == "whole" and (known_upload := await _under_way(work, length, metadata)) is not None:
        return known_upload
    open_now = await work.fetchval(
        """
        select count(*) from upload
        where org_id = callout_org() and device_id = $1 and expires_at >= now()
          and (state = 'open' or (state = 'done' and concat = 'partial'))
        """,
        work.actor.device_id,
    )
    if open_now >= UPLOADS_OPEN_MAX and concat.kind != "final":
        raise UploadsTooMany(limit=UPLOADS_OPEN_MAX, retry_after_ms=60_000)
    parts = await _parts(work, concat.parts) if concat.kind == "final" else []
    if length is None:
        length = sum(part.length_bytes for part in parts)
        if length > UPLOAD_BYTES_MAX:
            raise UploadTooLarge(limit=UPLOAD_BYTES_MAX, given=length)
    known = False
    if metadata.sha256 is not None:
        # Who clears bytes away that nothing names sees this upload, or we see that they are gone.
        await attachments.lock_blobs(work, [metadata.sha256])
        known = await work.fetchval(
            "select true from blob where org_id = callout_org() and sha256 = $1 and size_bytes = $2",
            metadata.sha256,
            length,
        )
        if known:
            await attachments.keep_for(work, metadata.sha256, work.actor.device_id)
    if not known and any(part.state != "done" for part in parts):
        raise UploadConcatInvalid(why="a part is not finished, or was joined before")
    # Not a time-ordered id: nobody may guess the address of another's upload.
    id_, token = uuid4(), uuid4()
    row = await work.fetchrow(
        f"""
        insert into upload (id, device_id, user_id, length_bytes, offset_bytes, metadata, sha256, concat, parts, state,
                            token, created_at, expires_at, finished_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now(), now() + {LIFE},
                case when $10 = 'done' then now() end)
        returning {COLUMNS}, now() + {FINISH_AFTER} as later
        """,
        id_,
        work.actor.device_id,
        work.actor.user_id,
        length,
        length if known or parts else 0,
        metadata.text,
        metadata.sha256,
        concat.kind,
        [str(part) for part in concat.parts],
        "done" if known else "open",
        token,
    )
    assert row is not None
    await timers.arm_many(work, [(timer_key(id_), row["expires_at"], EXPIRE_CHANNEL, {"uploadId": str(id_)})])
    if parts and not known:
        await insert_pieces(work, id_, await _joined(work, parts))
        await _owe_finish(work, id_, token, row["later"])
    return read(row)


async def find(work: Work, upload_id: UUID) -> Upload:
    """An upload of this device and user that is of use. Raises UploadUnknown, or what became of it."""
    await check_device(work)
    return await own(work, upload_id)


async def begin(work: Work, upload_id: UUID, *, offset: int, part_bytes: int | None) -> Upload:
    """Take an upload over for a request that brings bytes from `offset` on; older requests write no more.

    `part_bytes` is what the request says it brings, None where it does not say.
    """
    await check_device(work)
    upload = await own(work, upload_id, lock=True)
    if upload.concat == "final":
        raise UploadFinalReadOnly()
    if upload.offset_bytes != offset:
        raise UploadOffsetWrong(offset=upload.offset_bytes, given=offset)
    if part_bytes is not None and offset + part_bytes > upload.length_bytes:
        raise UploadLengthExceeded(length=upload.length_bytes)
    if upload.state != "open" or upload.complete:
        return upload
    row = await work.fetchrow(
        f"""
        update upload set token = $2, expires_at = now() + {LIFE}
        where org_id = callout_org() and id = $1 returning {COLUMNS}
        """,
        upload_id,
        uuid4(),
    )
    assert row is not None
    return read(row)


async def append(work: Work, upload: Upload, pieces: Sequence[Piece]) -> Upload:
    """Write down runs of bytes that lie in the store, in order, the first beginning where the upload stands.

    Raises UploadSuperseded where a newer request has taken the upload over, or it was ended.
    """
    # A revocation waits for us, or we see it.
    await check_device(work, lock="for share")
    row = await work.fetchrow(
        f"""
        update upload set offset_bytes = offset_bytes + $4, expires_at = now() + {LIFE},
            state = case when concat = 'partial' and offset_bytes + $4 = length_bytes then 'done' else state end,
            finished_at = case when concat = 'partial' and offset_bytes + $4 = length_bytes then now() end
        where org_id = callout_org() and id = $1 and state = 'open' and token = $2 and offset_bytes = $3
          and offset_bytes + $4 <= length_bytes
        returning {COLUMNS}, now() + {FINISH_AFTER} as later
        """,
        upload.id,
        upload.token,
        pieces[0].start_bytes,
        sum(piece.size_bytes for piece in pieces),
    )
    if row is None:
        raise UploadSuperseded()
    await insert_pieces(work, upload.id, pieces)
    grown = read(row)
    if grown.to_finish:
        assert grown.token is not None
        await _owe_finish(work, grown.id, grown.token, row["later"])
    return grown


async def remove(work: Work, upload_id: UUID) -> Upload:
    """The phone wants no more of it. What became a photo stays one."""
    await check_device(work)
    upload = await own(work, upload_id, lock=True)
    await end(work, upload.id, "removed")
    return upload


async def pieces_to_finish(work: Work, upload_id: UUID) -> tuple[Upload, list[Piece]] | None:
    """The bytes of an upload that is to be finished, in order; None where there is nothing to finish."""
    row = await work.fetchrow(
        f"select {COLUMNS} from upload where org_id = callout_org() and id = $1", upload_id
    )
    if row is None or not read(row).to_finish:
        return None
    return read(row), await pieces_of(work, upload_id)


async def settle(work: Work, upload: Upload, *, header: Header | None, code: str | None) -> list[UUID]:
    """The whole file lies in the store: it becomes a blob. The uploads whose pieces are no longer needed."""
    row = await work.fetchrow(
        "select state from upload where org_id = callout_org() and id = $1 for update", upload.id
    )
    if row is None or row["state"] != "open":
        return []
    assert upload.sha256 is not None
    await attachments.add_blob(
        work,
        upload.sha256,
        size_bytes=upload.length_bytes,
        header=header,
        code=code,
        device_id=upload.device_id,
    )
    parts = [UUID(part) for part in upload.parts]
    await work.execute(
        """
        update upload set state = 'done', finished_at = now(), token = null
        where org_id = callout_org() and id = $1
        """,
        upload.id,
    )
    for part in parts:
        await end(work, part, "joined")
    await drop_pieces(work, [upload.id])
    return [upload.id, *parts]


async def refuse(work: Work, upload: Upload, found: bytes) -> list[UUID]:
    """The finished bytes are not the file that was named: nothing of them is kept. Parts stay, to be joined anew."""
    return [upload.id] if await end(work, upload.id, f"{HASH_WRONG}{found.hex()}", only_open=True) else []


async def rewind(work: Work, upload: Upload, start_bytes: int) -> bool:
    """Bytes from `start_bytes` on were lost by the machine: the phone shall send them again. False where it is finished.

    Of a final upload it and its parts end, because nobody could tell which part to send again.
    """
    if upload.concat == "final":
        if not await end(work, upload.id, "lost", only_open=True):
            return False
        for part in upload.parts:
            await end(work, UUID(part), "lost")
        return True
    back = await work.execute(
        """
        update upload set offset_bytes = $2, token = null
        where org_id = callout_org() and id = $1 and state = 'open' and offset_bytes > $2
        """,
        upload.id,
        start_bytes,
    )
    if back:
        await work.execute(
            "delete from upload_piece where org_id = callout_org() and upload_id = $1 and start_bytes >= $2",
            upload.id,
            start_bytes,
        )
    return bool(back)


async def expire(work: Work, upload_id: UUID, epoch: int) -> Upload | None:
    """The timer of an upload fired: set it anew where the upload went on, end an abandoned one, drop one that is past.

    The upload whose bytes may go from the store, or None. One whose bytes are all there is finished, not ended: the
    caller does that first.
    """
    if not await timers.is_current(work, key=timer_key(upload_id), epoch=epoch):
        return None
    row = await work.fetchrow(
        f"select {COLUMNS}, now() + {LIFE} as later from upload where org_id = callout_org() and id = $1 for update",
        upload_id,
    )
    if row is None:
        return None
    upload = read(row)
    if not upload.expired or upload.to_finish:
        await _arm(work, upload_id, row["later"] if upload.expired else upload.expires_at)
        return None
    if upload.state == "open" or (upload.state == "done" and upload.concat == "partial"):
        # Its row stays as long again, so that a phone that comes back late is told what happened.
        await end(work, upload_id, "expired")
        await work.execute(
            "update upload set expires_at = $2 where org_id = callout_org() and id = $1",
            upload_id,
            row["later"],
        )
        await _arm(work, upload_id, row["later"])
        return upload
    await work.execute("delete from upload where org_id = callout_org() and id = $1", upload_id)
    return upload


def timer_key(upload_id: UUID) -> str:
    """The timer that looks after an upload's end."""
    return f"upload:{upload_id}"


async def _under_way(work: Work, length: int | None, metadata: Metadata) -> Upload | None:
    """The caller's unfinished upload of the same file, taken over."""
    row = await work.fetchrow(
        f"""
        update upload set token = $5, expires_at = now() + {LIFE}
        where org_id = callout_org() and id = (
            select id from upload
            where org_id = callout_org() and device_id = $1 and user_id = $2 and sha256 = $3 and length_bytes = $4
              and concat = 'whole' and state = 'open' and offset_bytes < length_bytes and expires_at >= now()
            order by offset_bytes desc limit 1 for update)
        returning {COLUMNS}
        """,
        work.actor.device_id,
        work.actor.user_id,
        metadata.sha256,
        length,
        uuid4(),
    )
    return None if row is None else read(row)


async def _parts(work: Work, ids: Sequence[UUID]) -> list[Upload]:
    rows = await work.fetch(
        f"""
        select {COLUMNS} from upload
        where org_id = callout_org() and id = any($1) and device_id = $2 and user_id = $3 order by id for update
        """,
        list(ids),
        work.actor.device_id,
        work.actor.user_id,
    )
    found = {row["id"]: read(row) for row in rows}
    if any(id_ not in found for id_ in ids):
        raise UploadConcatInvalid(why="there is no such part, or it is not this phone's")
    parts = [found[id_] for id_ in ids]
    if any(part.concat != "partial" for part in parts):
        raise UploadConcatInvalid(why="an upload that it names was not created as a part")
    return parts


async def _joined(work: Work, parts: Sequence[Upload]) -> list[Piece]:
    of_part: dict[UUID, list[Piece]] = {}
    for part in {part.id for part in parts}:
        of_part[part] = await pieces_of(work, part)
    out: list[Piece] = []
    at = 0
    for part_ in parts:
        out += [Piece(at + p.start_bytes, p.size_bytes, p.key) for p in of_part[part_.id]]
        at += part_.length_bytes
    return out


async def _owe_finish(work: Work, upload_id: UUID, token: UUID, later: datetime) -> None:
    await outbox.send(
        work,
        outbox.Message(
            channel=FINISH_CHANNEL,
            stream=timer_key(upload_id),
            dedupe_key=f"{FINISH_CHANNEL}:{upload_id}:{token}",
            payload={"uploadId": str(upload_id)},
            run_at=later,
        ),
    )


async def _arm(work: Work, upload_id: UUID, due_at: datetime) -> None:
    await timers.arm(
        work,
        key=timer_key(upload_id),
        due_at=due_at,
        channel=EXPIRE_CHANNEL,
        payload={"uploadId": str(upload_id)},
    )
