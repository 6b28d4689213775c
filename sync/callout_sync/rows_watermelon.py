"""WatermelonDB's `synchronize()`: all changes since a number, and changed rows with the names of their changed columns.

What it needs of a server, and where it is met:

* `timestamp` is a number above 0, and is a position in the feed: all that was written below it was sent. Its low bits
  are a mark of the device, of what it holds and of the server's epoch; where they do not fit, everything is sent again,
  to replace what is there.
* Rows are sent as `updated`, whether the phone has them or not; each id once.
* An id in `deleted` destroys a row and with it what was edited there and not yet pushed, and a pull comes before a push. So
  a phone that says that it has unsent changes (`dirty`) is sent no deletes, and its timestamp stays before the first one
  that it was not sent.
* What a row was edited against cannot be seen from the push: by then the pull before it has brought newer values. A row's
  `base_revision` tells, or else what the phone had pulled when it was last known to have nothing unsent.
* A pushed row counts as the server's from then on. One that differs from what stands here is put into the feed again.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from callout_contracts.commands import Answer
from callout_contracts.limits import PAGE_ROWS_MAX, ROWS_ANSWER_MAX, ROWS_SYNC_MAX
from callout_contracts.rows import COLUMNS, COMMAND, COMMAND_COLUMNS
from callout_store.errors import BadField, LimitExceeded
from callout_store.work import Actor, Database, Work
from callout_sync.rows import Change, Fate, differs, push_commands, push_rows, quarantine_rows
from callout_sync.rows_flat import instant_of, row_of, value_of
from callout_sync.rows_read import Stand, holdings, rows_after, seen, send_again, stand

NIL = UUID(int=0)
MARK_BITS = 15
MARKS = 1 << MARK_BITS
"""38 bits are left for transactions: 2.7 * 10^11 of them until a timestamp is no longer exact in JavaScript."""
TIMESTAMP_MAX = 2**53
ROWS_DEFAULT = 10_000
"""Rows in one answer where the client does not say. The next ones follow in the next synchronize()."""
ALWAYS = 1
"""Deletes are sent whatever their age."""


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """What the phone's schema has learnt since its last pull: tables, and columns of tables it had."""

    from_: int | None = msgspec.field(default=None, name="from")
    tables: list[str] = []
    columns: list[dict[str, Any]] = []

    def named(self) -> set[str]:
        """Tables to be sent whole."""
        return {*self.tables, *(str(one.get("table")) for one in self.columns)}


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """`more`: synchronize again at once. `replace`: the changes are all that there is. `wipe`: the
    office asks this phone to send what it has, and then to forget everything."""

    changes: dict[str, dict[str, list[Any]]]
    timestamp: int
    more: bool
    replace: bool
    wipe: bool


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rows; none of them is rejected, ever."""

    answers: list[Answer]


class _Item(msgspec.Struct):
    id: str
    doc: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Item).decode


async def pull(
    work: Work,
    *,
    last_pulled_at: int | None,
    dirty: bool,
    tables: Sequence[str] | None = None,
    migration: Migration | None = None,
    limit: int = ROWS_DEFAULT,
    app_version: str | None = None,
) -> Pulled:
    """All changes since a timestamp, or the first `limit` of them, for the device of this unit of work's actor.

    `tables` names those that the phone has (None: all). Refuses: no device, a revoked device.
    """
    if not 1 <= limit <= ROWS_ANSWER_MAX:
        raise LimitExceeded(path="limit", what="rows an answer", limit=ROWS_ANSWER_MAX, given=limit)
    if last_pulled_at is not None and not 0 <= last_pulled_at < TIMESTAMP_MAX:
        raise BadField(path="lastPulledAt", why="0 to 2^53")
    where = await stand(work, app_version=app_version)
    if where.wipe:
        return Pulled(changes={}, timestamp=last_pulled_at or MARKS, more=False, replace=False, wipe=True)
    mark = where.check.int % MARKS
    since, fits = divmod(last_pulled_at, MARKS) if last_pulled_at else (0, mark)
    entities = [entity for entity in COLUMNS if tables is None or entity in tables]
    horizon = int(await work.fetchval("select pg_snapshot_xmin(pg_current_snapshot())::text"))
    anew = bool(last_pulled_at) and (fits != mark or since >= horizon or since < where.purged)
    whole = set(entities) if anew else (migration.named() if migration and last_pulled_at else set())
    await _remember(work, where, since=0 if anew else since, dirty=dirty)
    await seen(work, where, xid=None if anew else since)

    # With the deletes of rows that it had. Of each table a few more than the limit: where the answer ends is known when
    # all are read.
    read: list[tuple[int, str, str, _Item]] = []
    for entity in entities:
        if entity in whole:
            found = _rows(work, where, entity, start=0, horizon=horizon, deletes=False, limit=None)
        else:
            found = _rows(
                work,
                where,
                entity,
                start=since + 1,
                horizon=horizon,
                deletes=bool(last_pulled_at),
                limit=None if whole else limit,
            )
        read += [(xid, entity, op, item) async for xid, op, item in found]
    read.sort(key=lambda one: one[0])
    end, more = horizon - 1, False
    if not whole and len(read) > limit:
        end, more = _cut([xid for xid, *_ in read], limit), True
        read = [one for one in read if one[0] <= end]
    kept: dict[str, dict[str, dict[str, Any]]] = {entity: {} for entity in entities}
    gone: dict[str, dict[str, None]] = {entity: {} for entity in entities}
    for xid, entity, op, item in read:
        # A row of two scopes stands here twice; the later one counts.
        kept[entity].pop(item.id, None)
        gone[entity].pop(item.id, None)
        if op == "U":
            kept[entity][item.id] = row_of(entity, item.doc)
        elif dirty:
            # Nothing may be destroyed before it was sent. The next pull begins before what was kept back.
            end = min(end, xid - 1)
        else:
            gone[entity][item.id] = None
    replace = anew and not dirty
    # What could not be replaced now keeps a mark that does not fit.
    told = mark if replace or not anew else (mark + 1) % MARKS
    return Pulled(
        changes={
            entity: {"created": [], "updated": list(kept[entity].values()), "deleted": list(gone[entity])}
            for entity in entities
        },
        timestamp=end * MARKS + told or MARKS,
        more=more,
        replace=replace,
        wipe=False,
    )


def _cut(xids: list[int], limit: int) -> int:
    """The last transaction of an answer of about `limit` rows: none is cut in two, so that one may be longer."""
    last = xids[limit - 1]
    if xids[limit] != last:
        return last
    return max((xid for xid in xids[:limit] if xid < last), default=last)


async def _rows(
    work: Work, where: Stand, entity: str, *, start: int, horizon: int, deletes: bool, limit: int | None
) -> AsyncIterator[tuple[int, str, _Item]]:
    """Rows of an entity from transaction `start` on and below `horizon`: `(xid, op, item)`; with a limit, one more than
    that and the rest of the last one's transaction."""
    xid, row_id, count, last = start, NIL, 0, -1
    while True:
        found, _ = await rows_after(
            work,
            where,
            entity=entity,
            xid=xid,
            row_id=row_id,
            base=ALWAYS if deletes else 0,
            limit=PAGE_ROWS_MAX,
        )
        for row in found:
            xid, row_id = int(row["xid"]), row["row_id"]
            if xid >= horizon or (limit is not None and count > limit and xid != last):
                return
            count, last = count + 1, xid
            item = _decode(row["body"])
            yield xid, "D" if item.doc is None else "U", item
        if len(found) < PAGE_ROWS_MAX:
            return


async def _remember(work: Work, where: Stand, *, since: int, dirty: bool) -> None:
    """Keep what the phone had pulled when its unsent changes began; forget it when it has none."""
    await work.execute(
        """
        update device set rows_base_xid = case when $2 then coalesce(rows_base_xid, $3::text::xid8) end
        where org_id = callout_org() and id = $1
          and rows_base_xid is distinct from case when $2 then coalesce(rows_base_xid, $3::text::xid8) end
        """,
        where.device_id,
        dirty,
        str(since),
    )


async def push(
    db: Database,
    *,
    org_id: UUID,
    actor: Actor,
    changes: dict[str, Any],
    last_pulled_at: int | None,
    sent_at: datetime | None = None,
) -> Pushed:
    """Apply the changes of all tables. Everything is applied, or kept for a person; nothing is rejected.

    Refuses only what concerns all of it: too many rows, no device, a revoked device, a database that is away.
    """
    count = sum(len(rows) for table in changes.values() for rows in _lists(table))
    if count > ROWS_SYNC_MAX:
        raise LimitExceeded(path="changes", what="rows a push", limit=ROWS_SYNC_MAX, given=count)

    async def look(work: Work) -> tuple[UUID, list[UUID], int | None]:
        device_id, scopes = await holdings(work)
        base = await work.fetchval(
            "select rows_base_xid::text from device where org_id = callout_org() and id = $1", device_id
        )
        return device_id, scopes, int(base) if base is not None else None

    device_id, scopes, base = await db.run(org_id, look, actor=actor)
    base_xid = base if base is not None else (last_pulled_at or 0) // MARKS
    answers: list[Answer] = []
    # Documents first, commands after them: a note on a visit that is completed in the same push was written before.
    for table in sorted(changes, key=lambda name: name == COMMAND):
        created, updated, deleted = _lists(changes[table])
        if table == COMMAND:
            rows = [row for row in created + updated if _is_row(row)]
            answers += await push_commands(
                db,
                org_id=org_id,
                actor=actor,
                rows=[(row["id"], _command_values(row)) for row in rows],
                sent_at=sent_at,
            )
        elif table in COLUMNS:
            rows = [row for row in created + updated if _is_row(row)]
            mine = [_change(table, "insert", row, base_xid) for row in created if _is_row(row)]
            mine += [_change(table, "update", row, base_xid) for row in updated if _is_row(row)]
            mine += [
                Change(op="delete", id=id_, whole={"id": id_}) for id_ in deleted if isinstance(id_, str)
            ]
            fates = await push_rows(
                db, org_id=org_id, actor=actor, entity=table, changes=mine, sent_at=sent_at
            )
            answers += [answer for fate in fates for answer in fate.answers]
            await _send_again(db, org_id, actor, (device_id, scopes), table, fates)
        odd = [row for row in created + updated if not _is_row(row)]
        if table not in COLUMNS and table != COMMAND:
            odd = [*created, *updated, *({"id": id_, "deleted": True} for id_ in deleted)]
        if odd:
            known = table in COLUMNS or table == COMMAND
            answers += await quarantine_rows(
                db,
                org_id=org_id,
                actor=actor,
                kind="row.insert" if known else "row.unknown",
                collection=table,
                rows=odd,
            )
    return Pushed(answers=[msgspec.structs.replace(answer, index=n) for n, answer in enumerate(answers)])


async def _send_again(
    db: Database,
    org_id: UUID,
    actor: Actor,
    whose: tuple[UUID, list[UUID]],
    entity: str,
    fates: Iterable[Fate],
) -> None:
    present, gone = [], []
    for fate in fates:
        id_ = fate.change.row_id
        if id_ is None:
            continue
        if fate.master is None:
            if fate.change.op != "delete":
                gone.append(id_)
        elif fate.change.op == "delete" or differs(entity, _edited(fate.change), fate.master):
            present.append(id_)
    if present or gone:
        await db.run(
            org_id,
            lambda work: send_again(work, *whose, entity=entity, present=present, gone=gone),
            actor=actor,
        )


def _edited(change: Change) -> dict[str, Any]:
    if change.changed is None:
        return change.values
    return {wire: value for wire, value in change.values.items() if wire in change.changed}


def _lists(changes: Any) -> tuple[list[Any], list[Any], list[Any]]:
    if not isinstance(changes, dict):
        return [], [], []
    created, updated, deleted = (changes.get(name) for name in ("created", "updated", "deleted"))
    return (
        created if isinstance(created, list) else [],
        updated if isinstance(updated, list) else [],
        deleted if isinstance(deleted, list) else [],
    )


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("id"), str)


def _change(entity: str, op: Any, row: dict[str, Any], base_xid: int) -> Change:
    names = {name for name in str(row.get("_changed") or "").split(",") if name}
    revision = row.get("base_revision")
    values = {
        column.wire: value_of(column, row[column.column])
        for column in COLUMNS[entity]
        if column.column in row
    }
    return Change(
        op=op,
        id=row["id"],
        whole=row,
        values=values,
        # A row that the phone believes to have made, and that is there: only what a phone may write is compared.
        changed=frozenset(
            column.wire
            for column in COLUMNS[entity]
            if (column.column in names if op == "update" else column.merge)
        ),
        base_revision=int(revision) if isinstance(revision, int | float) and revision >= 1 else None,
        base_xid=base_xid,
        edited_at=instant_of(row.get("edited_at")),
    )


def _command_values(row: dict[str, Any]) -> dict[str, Any]:
    return {
        column.wire: value_of(column, row[column.column])
        for column in COMMAND_COLUMNS
        if column.column in row and row[column.column] not in (None, "")
    }


def migration_of(given: Any) -> Migration | None:
    """The argument `migration` of a pull; refuses another shape."""
    if given is None:
        return None
    try:
        return msgspec.convert(given, Migration)
    except msgspec.ValidationError as fault:
        raise BadField(path="migration", why=str(fault)) from None
