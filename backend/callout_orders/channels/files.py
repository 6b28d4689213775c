"""Files that come with a request: rows here, bytes in the store under their hash. Whoever holds a file may attach it.

The doors put bytes into the store first and write the row after, so that a row that says `stored` never lies.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from asyncpg import Record

from callout_orders import checks
from callout_orders.channels import forgetting
from callout_orders.channels.inbox import storable
from callout_orders.channels.terms import FILE_BYTES_MAX, MEDIA_MAX, Media
from callout_orders.checks import FieldRefused
from callout_orders.precheck.terms import Request, RequestFile
from callout_store import outbox
from callout_store.errors import BadField, LimitExceeded
from callout_store.ids import new_id
from callout_store.work import Work

FETCH_CHANNEL: Final = "intake.media"
FILES_MAX: Final = 20
"""Of one request."""
LOOSE_DAYS: Final = 7
"""So long is a file kept that no order took."""
_COLUMNS: Final = """
    id, channel_id, draft_id, order_id, holder, name, media_type, size_bytes, sha256, state, code, source::text as source,
    created_at
"""


class FileView(msgspec.Struct, frozen=True, kw_only=True):
    """A file. `state`: awaited (its bytes are still fetched), stored, refused (`code` says why), failed (could not be
    fetched)."""

    id: UUID
    channel_id: UUID | None
    draft_id: UUID | None
    order_id: UUID | None
    holder: str
    name: str
    media_type: str
    size_bytes: int
    sha256: bytes | None
    state: str
    code: str | None
    source: dict[str, Any]
    created_at: datetime


async def add_stored(
    work: Work,
    *,
    holder: str,
    name: str,
    media_type: str,
    size_bytes: int,
    sha256: bytes,
    channel_id: UUID | None = None,
    draft_id: UUID | None = None,
    message_id: UUID | None = None,
    order_id: UUID | None = None,
    code: str | None = None,
) -> UUID:
    """Write down a file whose bytes lie in the store, or (with `code`) were refused; its id.

    The same bytes of the same holder again are the same file, unless an order has it: a picture may belong to a second
    request too. Raises LimitExceeded for too many.
    """
    known: UUID | None = await work.fetchval(
        """
        select id from intake_file
        where org_id = callout_org() and holder = $1 and sha256 = $2 and message_id is not distinct from $3
          and order_id is null
        """,
        holder,
        sha256,
        message_id,
    )
    if known is not None:
        return known
    count = await work.fetchval(
        "select count(*) from intake_file where org_id = callout_org() and holder = $1", holder
    )
    if count >= FILES_MAX and holder.startswith("form:"):
        raise LimitExceeded(what="files", limit=FILES_MAX, given=count + 1, path="files")
    id_ = new_id()
    await work.execute(
        """
        insert into intake_file (id, channel_id, draft_id, order_id, message_id, holder, name, media_type, size_bytes,
            sha256, state, code, created_at, stored_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
        """,
        id_,
        channel_id,
        draft_id,
        order_id,
        message_id,
        holder,
        storable(name)[:200],
        media_type,
        size_bytes,
        sha256,
        "refused" if code else "stored",
        code,
        work.now,
    )
    return id_


async def await_media(
    work: Work, channel_id: UUID, message_id: UUID, media: Sequence[Media], *, holder: str
) -> list[UUID]:
    """Write down files that a message only named, and owe their fetching; their ids."""
    ids: list[UUID] = []
    for one in media[:MEDIA_MAX]:
        id_ = new_id()
        await work.execute(
            """
            insert into intake_file (id, channel_id, message_id, holder, name, media_type, state, source, created_at)
            values ($1, $2, $3, $4, $5, $6, 'awaited', $7::text::jsonb, $8)
            """,
            id_,
            channel_id,
            message_id,
            holder,
            one.name,
            one.media_type,
            msgspec.json.encode(one.source).decode(),
            work.now,
        )
        await outbox.send(
            work,
            outbox.Message(
                channel=FETCH_CHANNEL,
                stream=f"media:{id_}",
                dedupe_key=f"media:{id_}",
                payload={"fileId": str(id_)},
            ),
        )
        ids.append(id_)
    return ids


async def arrived(
    work: Work, id_: UUID, *, sha256: bytes, size_bytes: int, media_type: str, code: str | None = None
) -> bool:
    """The bytes of an awaited file are in the store, or were refused; False where that was known before."""
    return bool(
        await work.execute(
            """
            update intake_file set state = $2, sha256 = $3, size_bytes = $4, media_type = $5, code = $6, stored_at = $7
            where org_id = callout_org() and id = $1 and state in ('awaited', 'failed')
            """,
            id_,
            "refused" if code else "stored",
            sha256,
            size_bytes,
            media_type,
            code,
            work.now,
        )
    )


async def gave_up(work: Work, id_: UUID, code: str) -> FileView | None:
    """The bytes of an awaited file could not be fetched; the file, or None where it was settled before."""
    return _one(
        await work.fetchrow(
            f"""
            update intake_file set state = 'failed', code = $2
            where org_id = callout_org() and id = $1 and state = 'awaited' returning {_COLUMNS}
            """,
            id_,
            code,
        )
    )


async def fetch_again(work: Work, id_: UUID) -> bool:
    """A person wants it tried again; False where it is not one that failed."""
    moved = await work.execute(
        "update intake_file set state = 'awaited', code = null "
        "where org_id = callout_org() and id = $1 and state = 'failed'",
        id_,
    )
    if moved:
        await outbox.send(
            work,
            outbox.Message(
                channel=FETCH_CHANNEL,
                stream=f"media:{id_}",
                dedupe_key=f"media:{id_}:{new_id()}",
                payload={"fileId": str(id_)},
            ),
        )
    return bool(moved)


async def file(work: Work, id_: UUID) -> FileView | None:
    """One file."""
    return _one(
        await work.fetchrow(
            f"select {_COLUMNS} from intake_file where org_id = callout_org() and id = $1", id_
        )
    )


async def held(
    work: Work, ids: Sequence[UUID], holder: str, *, again: tuple[str, str], path: str = "files"
) -> list[FileView]:
    """Files that this holder brought and that no order has but that of the reference `again`, in the order of the ids: a
    request whose answer was lost is sent again as it was.

    Raises BadField for another's, LimitExceeded for too many.
    """
    wanted = list(dict.fromkeys(checks.ids("files", list(ids), limit=FILES_MAX)))
    if not wanted:
        return []
    rows = await work.fetch(
        f"""
        select {_COLUMNS} from intake_file
        where org_id = callout_org() and id = any($1::uuid[]) and holder = $2 and (order_id is null or order_id = (
            select order_id from external_reference
            where org_id = callout_org() and system = $3 and reference = $4))
        """,
        wanted,
        holder,
        *again,
    )
    found = {row["id"]: _view(row) for row in rows}
    for index, one in enumerate(wanted):
        if one not in found:
            raise BadField(path=f"{path}.{index}", why="there is no such file of yours; upload it again")
    return [found[one] for one in wanted]


async def of_holder(work: Work, holder: str) -> list[FileView]:
    """All files of a holder that neither an order nor a conversation has yet, oldest first."""
    rows = await work.fetch(
        f"""
        select {_COLUMNS} from intake_file
        where org_id = callout_org() and holder = $1 and order_id is null and draft_id is null order by id limit $2
        """,
        holder,
        FILES_MAX,
    )
    return [_view(row) for row in rows]


async def of_draft(work: Work, draft_id: UUID) -> list[FileView]:
    """The files of a draft, oldest first."""
    rows = await work.fetch(
        f"select {_COLUMNS} from intake_file where org_id = callout_org() and draft_id = $1 order by id",
        draft_id,
    )
    return [_view(row) for row in rows]


async def by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[list[FileView]]:
    """The files of each order, oldest first."""
    return await _lists(work, "order_id", order_ids)


async def by_draft_ids(work: Work, draft_ids: Sequence[UUID]) -> list[list[FileView]]:
    """The files of each draft, oldest first."""
    return await _lists(work, "draft_id", draft_ids)


async def to_draft(work: Work, ids: Sequence[UUID], draft_id: UUID) -> None:
    """Put files to a draft."""
    await work.execute(
        "update intake_file set draft_id = $2 where org_id = callout_org() and id = any($1::uuid[])",
        list(ids),
        draft_id,
    )


async def to_order(work: Work, ids: Sequence[UUID], order_id: UUID) -> int:
    """Put files to the order that was made; how many."""
    if not ids:
        return 0
    moved = await work.execute(
        "update intake_file set order_id = $2 "
        "where org_id = callout_org() and id = any($1::uuid[]) and order_id is null",
        list(ids),
        order_id,
    )
    work.touch("work_order", order_id)
    return moved


async def refused_names(work: Work, message_id: UUID) -> list[str]:
    """The files of a message that were not taken, by name."""
    rows = await work.fetch(
        "select name from intake_file "
        "where org_id = callout_org() and holder = $1 and message_id = $2 and state = 'refused' order by id",
        holder_of(message_id),
        message_id,
    )
    return [row["name"] or "?" for row in rows]


def holder_of(message_id: UUID) -> str:
    """Who holds the files of a message."""
    return f"message:{message_id}"


def refused(path: str, code: str) -> BadField:
    """What to say of a file that is not kept; `code` says why."""
    if code == "FILE_TOO_LARGE":
        return FieldRefused(path, "file_large", limit=FILE_BYTES_MAX // (1024 * 1024))
    return FieldRefused(path, "file_empty" if code == "FILE_EMPTY" else "file_type", given=code)


def as_request(found: Sequence[FileView]) -> tuple[RequestFile, ...]:
    """Files as the pre-check looks at them. One that is still fetched counts; one that was refused does not."""
    return tuple(
        RequestFile(id=one.id, media_type=one.media_type, name=one.name)
        for one in found
        if one.state in ("stored", "awaited")
    )


async def brought_with(work: Work, request: Request, user_id: UUID | None, path: str = "files") -> Request:
    """A signed-in person's request with the files that it names by their ids as they were brought; one without an id is
    only said to be there, and stays as it was said.

    Raises BadField for another's, LimitExceeded for too many.
    """
    ids = [one.id for one in request.files if one.id is not None]
    if not ids:
        return request
    again = request.references[0] if request.references else ("", "")
    views = await held(work, ids, f"user:{user_id}", again=again, path=path)
    said = tuple(one for one in request.files if one.id is None)
    return msgspec.structs.replace(request, files=(*as_request(views), *said))


async def stay_with(work: Work, request: Request, order_id: UUID) -> None:
    """Put the files that a request brought to the order that it became."""
    await to_order(work, [one.id for one in request.files if one.id is not None], order_id)


async def move(work: Work, from_order_id: UUID, to_order_id: UUID) -> int:
    """The files of an order that was merged into another; how many went over."""
    return await work.execute(
        "update intake_file set order_id = $2 where org_id = callout_org() and order_id = $1",
        from_order_id,
        to_order_id,
    )


async def purge(work: Work) -> int:
    """Forget files that no order took; how many. Their bytes go where nothing else names them."""
    rows = await work.fetch(
        """
        delete from intake_file where org_id = callout_org() and id in (
            select f.id from intake_file f
            where f.org_id = callout_org() and f.order_id is null and f.created_at < $1
              and not exists (select 1 from intake_draft d
                  where d.org_id = f.org_id and d.id = f.draft_id and d.state in ('open', 'desk'))
            limit 1000)
        returning sha256, state
        """,
        work.now - timedelta(days=LOOSE_DAYS),
    )
    await forgetting.owe(work, [row["sha256"] for row in rows if row["state"] == "stored"])
    return len(rows)


async def _lists(work: Work, column: str, ids: Sequence[UUID]) -> list[list[FileView]]:
    rows = await work.fetch(
        f"select {_COLUMNS} from intake_file "
        f"where org_id = callout_org() and {column} = any($1::uuid[]) order by id",
        list(ids),
    )
    found: dict[UUID, list[FileView]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(_view(row))
    return [found.get(one, []) for one in ids]


def _one(row: Record | None) -> FileView | None:
    return None if row is None else _view(row)


def _view(row: Mapping[str, Any]) -> FileView:
    values = {name: row[name] for name in FileView.__struct_fields__}
    values["source"] = msgspec.json.decode(row["source"]) if row["source"] else {}
    return FileView(**values)
