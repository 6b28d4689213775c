"""Pull: the next page of the feed for one device, from where its cursor stands.

Behind that place there may be things to catch up on, which come first: rows of entities that the app has just learnt to
understand, and deletes that were kept back while it had unsent work. Pages are full as long as more remains, whatever
they are filled with: clients that others wrote take a page that is not full for the last one.
"""

import re
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

import msgspec
from asyncpg import Record

from callout_contracts import SCHEMA_VERSION, SCHEMA_VERSIONS_SPOKEN, stamps
from callout_contracts.documents import DOCUMENTS, SINCE
from callout_contracts.limits import PAGE_ROWS_MAX
from callout_dispatch import engineers
from callout_store.errors import (
    DeviceRequired,
    DeviceRevoked,
    DeviceWiped,
    LimitExceeded,
    ResyncRequired,
    UpgradeRequired,
)
from callout_store.work import Work
from callout_sync import cursor as cursors
from callout_sync.feed import (
    NO_DELETES,
    READ_PAGE,
    any_left,
    count,
    count_behind,
    measure,
    read_behind,
    read_page,
)

__all__ = [
    "READ_PAGE",
    "PullPage",
    "Puller",
    "entities_of",
    "pull",
    "puller",
    "read_page",
    "scopes_of",
    "step",
]

SEEN_EVERY_S = 60
SEEN_SPREAD_S = 15
MEASURED_EVERY = timedelta(days=1)
MEGABYTE = 1024 * 1024


PULLER = """
select d.id as device_id, d.revoked_at, d.pulled_at, d.pulled_xid::text as pulled_xid, d.app_version, d.copy_bytes,
       d.copy_measured_at, d.withheld_from::text as withheld_from, d.wipe_mode, d.wiped_at,
       o.app_version_min, o.phone_budget_mb, e.id as engineer_id, (select epoch from sync_epoch) as epoch
from device d join organisation o on o.id = d.org_id
left join engineer e on e.org_id = d.org_id and e.user_id = d.user_id and e.active
where d.org_id = callout_org() and d.id = $1 and d.user_id = $2
"""


class PullPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page. `documents` is a ready JSON array; `total` (rows to come, for a progress bar) on a first pull, and when
    the rows of entities begin that the app has learnt.

    `wipe`: send what there is to send, then forget everything. `budget_warning`: the copy is larger than it should be.
    """

    cursor: str
    more: bool
    epoch: UUID
    server_time: datetime
    documents: msgspec.Raw
    count: int
    stamp: str
    total: int | None = None
    wipe: bool = False
    budget_warning: bool = False


class Puller(msgspec.Struct, frozen=True, kw_only=True):
    """A device that may pull, and what its pull needs to know of it. `check` stands for `scopes` in cursors."""

    device_id: UUID
    engineer_id: UUID | None
    epoch: UUID
    scopes: list[UUID]
    check: UUID
    schema: int
    wipe: bool
    budget_bytes: int
    copy_bytes: int | None
    copy_measured_at: datetime | None
    pulled_at: datetime | None
    pulled_xid: int | None
    withheld_from: int | None

    @property
    def entities(self) -> list[str]:
        """What it understands."""
        return entities_of(self.schema)

    def start(self) -> cursors.Cursor:
        """Where it begins with nothing."""
        return cursors.start(
            device=self.device_id,
            epoch=self.epoch,
            scopes=self.check,
            schema=min(self.schema, SCHEMA_VERSION),
        )

    def over_budget(self, copy_bytes: int | None) -> bool:
        """Whether a copy of this size, if it was measured at all, is too large."""
        return copy_bytes is not None and copy_bytes > self.budget_bytes

    def read(self, cursor: str | None) -> cursors.Cursor:
        """Its cursor, or where it begins. Refuses another's, an older epoch's, and what is none."""
        if not cursor:
            return self.start()
        return cursors.decode(cursor, device=self.device_id, epoch=self.epoch, scopes=self.check)


async def pull(
    work: Work,
    *,
    cursor: str | None,
    limit: int,
    schema_version: int = 1,
    pending: int | None = None,
    hold_leaves: bool = False,
    app_version: str | None = None,
) -> PullPage:
    """The next page for the device of this unit of work's actor; `limit` 1 to 2,000 rows.

    `schema_version` is what the app understands, `pending` how much it has not sent yet. With `hold_leaves` no deletes are
    sent; they come with the first pull without it. Refuses: no device, a revoked or wiped one, an app that is too old, a
    cursor that is not this device's or of an earlier epoch, or older than the deletes that are kept.
    """
    if not 1 <= limit <= PAGE_ROWS_MAX:
        raise LimitExceeded(path="limit", what="rows a page", limit=PAGE_ROWS_MAX, given=limit)
    who = await puller(work, schema_version=schema_version, app_version=app_version)
    at = who.read(cursor)
    if who.wipe:
        await _seen(work, who, at, pending)
        return _page(work, who, at, [], more=False, wipe=True)
    total = None
    if not cursor:
        total = await count(work, who.scopes, who.entities)
    elif at.schema < min(who.schema, SCHEMA_VERSION) and not at.since:
        total = await count_behind(work, who.scopes, at, _newer(who, at.schema))
    after, found, more = await step(work, who, at, limit, hold_leaves=hold_leaves)
    warning = await _seen(work, who, at, pending, begins=not cursor)
    return _page(work, who, after, found, more=more, total=total, budget_warning=warning)


async def puller(work: Work, *, schema_version: int, app_version: str | None = None) -> Puller:
    """The device of this unit of work's actor, if it may pull."""
    device_id = work.actor.device_id
    if device_id is None:
        raise DeviceRequired(what="pull")
    row = await work.fetchrow(PULLER, device_id, work.actor.user_id)
    if row is None:
        raise DeviceRequired(what="pull")
    return puller_of(row, work.org_id, schema_version=schema_version, app_version=app_version)


def puller_of(row: Record, org_id: UUID, *, schema_version: int, app_version: str | None) -> Puller:
    """The device of a row of `PULLER`; refuses where it may not pull."""
    if row["wipe_mode"] == "stolen" or row["wiped_at"] is not None:
        raise DeviceWiped()
    if row["revoked_at"] is not None:
        raise DeviceRevoked()
    wipe = row["wipe_mode"] is not None
    if not wipe:
        _check_age(schema_version, app_version or row["app_version"], row["app_version_min"])
    scopes = scopes_of(org_id, row["engineer_id"], row["device_id"])
    return Puller(
        device_id=row["device_id"],
        engineer_id=row["engineer_id"],
        epoch=row["epoch"],
        scopes=scopes,
        check=_check(org_id, row["engineer_id"]),
        schema=schema_version,
        wipe=wipe,
        budget_bytes=row["phone_budget_mb"] * MEGABYTE,
        copy_bytes=row["copy_bytes"],
        copy_measured_at=row["copy_measured_at"],
        pulled_at=row["pulled_at"],
        pulled_xid=None if row["pulled_xid"] is None else int(row["pulled_xid"]),
        withheld_from=None if row["withheld_from"] is None else int(row["withheld_from"]),
    )


def scopes_of(org_id: UUID, engineer_id: UUID | None, device_id: UUID) -> list[UUID]:
    """The scopes a device holds: the organisation's, its engineer's where its user is one, and its own."""
    return [org_id, *([engineer_id] if engineer_id else []), device_id]


@lru_cache(maxsize=10_000)
def _check(org_id: UUID, engineer_id: UUID | None) -> UUID:
    # Without the device's own, as it was before devices had one: cursors of then stay good.
    return uuid.uuid5(org_id, ",".join(map(str, scopes_of(org_id, engineer_id, cursors.NIL)[:-1])))


def entities_of(schema: int) -> list[str]:
    """What an app of this schema version understands."""
    return [entity for entity in DOCUMENTS if SINCE.get(entity, 1) <= schema]


async def step(
    work: Work, who: Puller, at: cursors.Cursor, limit: int, *, hold_leaves: bool = False
) -> tuple[cursors.Cursor, list[Record], bool]:
    """From one cursor to the next: where the device stands then, the rows between, and whether there may be more."""
    schema = min(who.schema, SCHEMA_VERSION)
    if at.schema > schema:
        # An older app over a newer one's copy: what left meanwhile of the entities it does not know would stay for ever.
        raise ResyncRequired(path="schemaVersion", reason="schema")
    if at.schema < schema:
        # Learnt meanwhile. Learnt once more while catching up: the catching up begins anew, from what it knew at first.
        at = msgspec.structs.replace(at, since=at.since or at.schema, left=0, behind=None)
    at = msgspec.structs.replace(at, schema=schema)
    told = at.left and at.left == who.withheld_from and at.behind is None and not at.since
    if told or (who.withheld_from is not None and at.base > who.withheld_from):
        # It came back with a cursor from after the deletes that were kept back: it has them, or began anew and needs none.
        await work.execute(
            """
            update device set withheld_from = null
            where org_id = callout_org() and id = $1 and withheld_from = $2::text::xid8
            """,
            who.device_id,
            str(who.withheld_from),
        )
        who = msgspec.structs.replace(who, withheld_from=None)
        at = msgspec.structs.replace(at, left=0)
    found: list[Record] = []
    if at.since:
        # Of these it has nothing, so that it needs no deletes.
        found = await read_behind(work, who.scopes, at, limit, _newer(who, at.since), deletes_from=NO_DELETES)
        done = len(found) < limit
        at = msgspec.structs.replace(
            at, since=0 if done else at.since, behind=None if done else _key(found[-1])
        )
    room = limit - len(found)
    if room and who.withheld_from is not None and not hold_leaves and at.base:
        start = at.behind if at.left == who.withheld_from else None
        at = msgspec.structs.replace(at, left=who.withheld_from, behind=start)
        rows = await read_behind(
            work, who.scopes, at, room, who.entities, deletes_from=who.withheld_from, deletes_only=True
        )
        found += rows
        at = msgspec.structs.replace(at, behind=_key(rows[-1]) if len(rows) == room else None)
    if len(found) >= limit:
        return at, found, True
    return await _forward(work, who, at, found, limit, hold_leaves)


async def _forward(
    work: Work, who: Puller, at: cursors.Cursor, found: list[Record], limit: int, hold_leaves: bool
) -> tuple[cursors.Cursor, list[Record], bool]:
    room = limit - len(found)
    if hold_leaves or at.schema < SCHEMA_VERSION:
        rows, horizon = await read_page(work, who.scopes, at, room, who.entities, deletes=not hold_leaves)
    else:
        rows, horizon = await read_page(work, who.scopes, at, room)
    more = len(rows) == room
    base = at.base or horizon
    if more:
        xid, entity, row = _key(rows[-1])
    else:
        # All below the horizon was sent: the next pull begins there, before any row of that transaction.
        xid, entity, row = max(at.xid, horizon), "", cursors.NIL
    after = msgspec.structs.replace(at, base=base, xid=xid, entity=entity, row=row)
    if hold_leaves and at.base:
        first = max(at.xid, at.base)
        if await any_left(work, who.scopes, who.entities, first, after.xid):
            await work.execute(
                """
                update device set withheld_from = $2::text::xid8
                where org_id = callout_org() and id = $1 and (withheld_from is null or withheld_from > $2::text::xid8)
                """,
                who.device_id,
                str(first),
            )
    return after, found + rows, more


def _page(
    work: Work,
    who: Puller,
    at: cursors.Cursor,
    found: Sequence[Record],
    *,
    more: bool,
    total: int | None = None,
    wipe: bool = False,
    budget_warning: bool = False,
) -> PullPage:
    return PullPage(
        cursor=at.encode(),
        more=more,
        epoch=who.epoch,
        server_time=work.now,
        documents=msgspec.Raw(("[" + ",".join(row["body"] for row in found) + "]").encode()),
        count=len(found),
        stamp=str(stamps.now(work.now)),
        total=total,
        wipe=wipe,
        budget_warning=budget_warning,
    )


def _newer(who: Puller, schema: int) -> list[str]:
    """What the app understands that an app of `schema` did not."""
    return [entity for entity in who.entities if SINCE.get(entity, 1) > schema]


def _key(row: Record) -> cursors.Key:
    return int(row["xid"]), row["entity"], row["row_id"]


def _check_age(schema_version: int, app_version: str, app_version_min: str | None) -> None:
    """Refuse an app that is too old to be served. One whose version cannot be read is taken at its schema's word."""
    if schema_version < SCHEMA_VERSIONS_SPOKEN[0]:
        raise UpgradeRequired(
            path="schemaVersion",
            given=f"schema {schema_version}",
            needed=f"schema {SCHEMA_VERSIONS_SPOKEN[0]}",
        )
    needed, given = version_of(app_version_min or ""), version_of(app_version)
    if needed and given and given < needed:
        raise UpgradeRequired(given=app_version, needed=app_version_min)


def version_of(text: str) -> tuple[int, ...]:
    """A dotted version as numbers, for comparison: `2.10` is above `2.9`, and `2.1.0` is `2.1`. Empty: it is none."""
    found = re.match(r"v?(\d{1,9}(?:\.\d{1,9}){0,5})", text.strip())
    if found is None:
        return ()
    numbers = [int(part) for part in found[1].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def arrived(who: Puller, at: cursors.Cursor) -> bool:
    """Whether the device shows for the first time that its first pull has come to its end."""
    return at.base > 0 and at.xid >= at.base and (who.pulled_xid or 0) < at.base


def to_be_noted(who: Puller, at: cursors.Cursor, now: datetime) -> bool:
    """Whether this pull is one to be written down. Phones differ by some seconds: those that began at the same moment, as
    after a break in the net, would else all write at the same moment every minute."""
    every_s = SEEN_EVERY_S - who.device_id.int % SEEN_SPREAD_S
    return arrived(who, at) or who.pulled_at is None or now - who.pulled_at > timedelta(seconds=every_s)


async def _seen(
    work: Work,
    who: Puller,
    at: cursors.Cursor,
    pending: int | None,
    *,
    begins: bool = False,
) -> bool:
    """Note the sign of life and how far the device is; whether its copy is too large.

    About once a minute, and when a first pull begins or is known to have arrived: a pull that writes is a transaction
    that holds the horizon. `at` is what the device came with: that much it has, whatever becomes of this answer.
    """
    copy_bytes = None
    if begins or to_be_noted(who, at, work.now):
        # Adding up reads every document, where counting reads an index: not before the first page, which a phone waits
        # for, but when the first pull has arrived, and once a day.
        old = who.copy_measured_at is None or work.now - who.copy_measured_at > MEASURED_EVERY
        if arrived(who, at) or (old and not begins):
            _, copy_bytes = await measure(work, who.scopes, who.entities)
        # The engineer before the device, as a push locks them: the other way round both wait for each other.
        if who.engineer_id is not None:
            await engineers.mark_seen(work, who.engineer_id)
        await work.execute(
            """
            update device set last_seen_at = $2, pulled_at = $2, pulled_xid = $3::text::xid8, schema_version = $4,
                pending = coalesce($5, pending), copy_bytes = coalesce($6, copy_bytes),
                copy_measured_at = case when $6::bigint is null then copy_measured_at else $2 end
            where org_id = callout_org() and id = $1
            """,
            who.device_id,
            work.now,
            str(at.xid),
            min(who.schema, cursors.SCHEMA_MAX),
            pending,
            copy_bytes,
        )
    return who.over_budget(who.copy_bytes if copy_bytes is None else copy_bytes)
