"""Keeping the phones' scopes: what `scope_rules` says, written into `sync_feed` by whoever changes rows.

`refresh` runs inside the transaction that changed rows, over those rows only. It reads what each scope should hold now
and upserts the difference: documents as ready JSON text, leavers as deletes.

Two transactions that change a scope's membership from different sides could each miss the other's uncommitted half. So
both take a lock they have in common first, and the rule is read after: READ COMMITTED shows a statement all that was
committed before it began. There are three kinds, taken in this order:

* The catalogue's, one for the organisation. Whoever changes an article, a form, a part, or what an engineer is to them
  takes it alone; whoever moves a visit takes it with the others who move some. Which articles lie where a visit lies is
  looked up after that, so an article that is just being written is seen by the visit, or sees it.
* The scopes concerned, each alone. One takes a visit away and with it its site, the other brings a second visit there.
* The shared documents (site, contact, asset, history, attachment): whoever changes one takes it alone, whoever brings one
  to another scope takes it with others. Their locks are few (`BUCKETS`) for any number of rows.

Visits, orders and events need none of their own: whoever changes or moves them holds the visit's and the order's row.
Who adds an attachment holds its visit's row, too.
"""

from collections.abc import Iterable
from uuid import UUID

import msgspec
from asyncpg import Record

from callout_dispatch.event_rows import NEW_EVENTS
from callout_store.columns import column
from callout_store.work import Touched, Work
from callout_sync import scope_rules as rules
from callout_sync import scope_sweeps
from callout_sync.scope_rules import BY_VISITS, ENTITIES

SWEEP_MAX = 2000
PLANNED_ANEW_ROWS = 200
"""From so many rows on, planning anew costs nothing beside the work."""
NOTIFY_SCOPES_MAX = 150
"""A NOTIFY payload may hold 8,000 bytes; a scope id takes 36 and a comma."""
CHANNEL = "callout_poke"
SHARED = ("site", "contact", "asset", "history", "attachment")
BUCKETS = 512
"""Locks of shared documents in an organisation: PostgreSQL's table of locks is small, a day's dispatch is not."""
ENGINEER = "engineer"
"""Touched like an entity, and none: what an engineer is to articles (their territory) has changed."""

NEW_EVENT, HOME = "new_event", "home"
"""Touched beside `event` by whoever makes events, and their visits: what is new lies on no phone yet, and where it will lie
is asked once a visit instead of once an event."""

FED, POKED = "fed", "poked"
WRITE_NEW_EVENTS = rules.write_new_events(NEW_EVENTS)
POKE = f"""
select pg_notify($1::text, json_build_object('org', callout_org(), 'scopes',
    coalesce(json_agg(p.scope_id) filter (where p.scope_id is not null), '[]'))::text) as told
from (values (1)) as always(n) left join (
    select d.scope_id, (row_number() over (order by d.scope_id) - 1) / {NOTIFY_SCOPES_MAX} as page
    from (select distinct scope_id from {FED}) d) p on true
group by p.page
"""
"""To the listeners as `_poke` does: also where no scope has news, since the board has some."""

LOCK = """
select case when alone then pg_advisory_xact_lock(k) else pg_advisory_xact_lock_shared(k) end
from (select unnest($1::bigint[]) as k, unnest($2::bool[]) as alone) t
"""


async def refresh(work: Work, touched: Touched) -> None:
    """Bring the feed up to date with the touched rows; runs as a hook before commit."""
    rows = {entity: set(ids) for entity, ids in touched.rows.items() if entity in ENTITIES and ids}
    engineers = touched.rows.get(ENGINEER)
    if not rows and not engineers:
        return
    new = touched.rows.get(NEW_EVENT, set())
    homes = touched.rows.get(HOME, set())
    catalogue = bool(engineers) or any(rows.get(entity) for entity in BY_VISITS)
    if catalogue:
        await _lock(work, {_catalogue(work.org_id): True})
    if engineers:
        found = await work.fetch(rules.OF_ENGINEERS, list(engineers))
        rows.setdefault("article", set()).update(row["row_id"] for row in found)
        if not any(rows.values()):
            return
    scopes, moved, concerned, parts = await _look(work, rows, new, homes)
    locks = {_bucket(work.org_id, id_): True for entity in SHARED for id_ in rows.get(entity, ())}
    some: dict[str, set[UUID]] = {"part": parts} if parts else {}
    if moved or parts:
        if not catalogue:
            await _lock(work, {_catalogue(work.org_id): False})
        children: dict[str, set[UUID]] = {}
        for child in await work.fetch(rules.CHILDREN, list(moved)) if moved else ():
            children.setdefault(child["entity"], set()).add(child["row_id"])
        for entity, ids in children.items():
            if entity in BY_VISITS:
                some.setdefault(entity, set()).update(ids)
            else:
                rows.setdefault(entity, set()).update(ids)
            if entity in SHARED:
                for id_ in ids:
                    locks.setdefault(_bucket(work.org_id, id_), False)
        if children:
            more, *_ = await _look(work, rows, new, homes)
            scopes |= more
    if any(rows.get(entity) for entity in BY_VISITS):
        scopes.add(work.org_id)
    if sum(map(len, rows.values())) >= PLANNED_ANEW_ROWS:
        # A connection may hold a plan from when the tables were empty: over a day's dispatch it takes minutes.
        await work.execute("set local plan_cache_mode = force_custom_plan")
    await _poke(work, await _write(work, rows, some, concerned, scopes, locks))


def put_off(work: Work) -> bool:
    """Where new events are all that changed: bring them to the feed in the statement that writes them, and tell the
    listeners by what `POKED` names, which the flush has to read. False where `refresh` has to do it.

    Nobody else writes their feed rows, and who holds their visits stands still with the visits, which are locked.
    """
    rows = {entity: ids for entity, ids in work.touched.rows.items() if ids}
    new, homes = rows.get(NEW_EVENT), rows.get(HOME)
    if not new or not homes or rows.keys() != {"event", NEW_EVENT, HOME} or not rows["event"] <= new:
        return False
    if not work.waits(NEW_EVENTS):
        return False
    del work.touched.rows["event"], work.touched.rows[HOME]
    work.later(WRITE_NEW_EVENTS, column(homes), name=FED)
    work.later(POKE, CHANNEL, name=POKED)
    return True


async def _write(
    work: Work,
    rows: dict[str, set[UUID]],
    some: dict[str, set[UUID]],
    concerned: set[UUID],
    scopes: set[UUID],
    locks: dict[int, bool],
) -> set[UUID]:
    """Lock, and write what the rule says of the rows, and of `some` in the scopes `concerned`; the scopes with news."""
    entities = tuple(entity for entity in ENTITIES if rows.get(entity))
    given: list[list[UUID]] = [list(rows[entity]) for entity in entities]
    if some:
        given.append(list(concerned))
        given += [list(some.get(entity, set()) - rows.get(entity, set())) for entity in BY_VISITS]
    sql = rules.write(entities, bool(some))
    locked: set[UUID] = set()
    told: set[UUID] = set()
    while True:
        await _lock(work, locks | {_scope_key(scope): True for scope in scopes - locked})
        locks = {}
        locked |= scopes
        scopes = {row["scope_id"] for row in await work.fetch(sql, *given)}
        told |= scopes
        if scopes <= locked:
            return told
        # Membership changed between the look and the lock: lock the newcomers too and read the rule once more.


async def _look(
    work: Work, rows: dict[str, set[UUID]], new: set[UUID], homes: set[UUID]
) -> tuple[set[UUID], set[UUID], set[UUID], set[UUID]]:
    """The scopes that hold or will hold the rows; the visits whose scopes change; the scopes between which they do, or
    in which there are new needs; the parts needed there."""
    # An article may lie in every scope of the house: those are found by writing, one after the other.
    asked = {entity: ids for entity, ids in rows.items() if entity not in BY_VISITS}
    if new:
        asked |= {"event": rows.get("event", set()) - new, HOME: homes}
    if not any(asked.values()):
        return set(), set(), set(), set()
    pairs = [(entity, id_) for entity, ids in asked.items() for id_ in ids if entity != HOME]
    entities = tuple(entity for entity in (*ENTITIES, HOME) if asked.get(entity))
    found = await work.fetch(
        rules.look(entities),
        [entity for entity, _ in pairs],
        [id_ for _, id_ in pairs],
        *(list(asked[entity]) for entity in rules.looked_for(entities)),
    )
    return _read(found, rows.get("visit", set()))


def _read(found: list[Record], visits: set[UUID]) -> tuple[set[UUID], set[UUID], set[UUID], set[UUID]]:
    now: dict[UUID, set[UUID]] = {}
    then: dict[UUID, set[UUID]] = {}
    concerned: set[UUID] = set()
    parts: set[UUID] = set()
    for row in found:
        if row["visit_id"] is not None:
            (now if row["wanted"] else then).setdefault(row["visit_id"], set()).add(row["scope_id"])
        if row["part_id"] is not None:
            parts.add(row["part_id"])
            concerned.add(row["scope_id"])
    moved = {id_ for id_ in visits if now.get(id_) != then.get(id_)}
    for id_ in moved:
        concerned |= now.get(id_, set()) | then.get(id_, set())
    return {row["scope_id"] for row in found}, moved, concerned, parts


async def sweep(work: Work) -> int:
    """What no write brings about: visits whose window has passed leave the phones or come back where it was made longer;
    documents of an older shape, or cut to another length of history, are written anew; the catalogue of parts moves to
    where the organisation wants it.

    Returns how many rows were looked at; to be called until that is 0. Run daily by a timer, and when a setting changes.
    """
    found = 0
    for sql in scope_sweeps.VISITS:
        visits = await work.fetch(sql, SWEEP_MAX)
        work.touch("visit", *(row["id"] for row in visits))
        found += len(visits)
    for sql in scope_sweeps.ROWS:
        if found >= SWEEP_MAX:
            break
        for row in await work.fetch(sql, SWEEP_MAX - found):
            work.touch(row["entity"], row["row_id"])
            found += 1
    return found


async def _poke(work: Work, scopes: Iterable[UUID]) -> None:
    """Tell the listeners of all processes, at commit, that these scopes and the organisation's board have news."""
    ids = sorted(str(scope) for scope in scopes)
    for start in range(0, max(len(ids), 1), NOTIFY_SCOPES_MAX):
        payload = {"org": str(work.org_id), "scopes": ids[start : start + NOTIFY_SCOPES_MAX]}
        await work.execute("select pg_notify($1, $2)", CHANNEL, msgspec.json.encode(payload).decode())


async def _lock(work: Work, keys: dict[int, bool]) -> None:
    """Take the locks, alone where so said, in the order of their keys."""
    ordered = sorted(keys)
    await work.fetch(LOCK, ordered, [keys[key] for key in ordered])


def _scope_key(scope: UUID) -> int:
    """A 64-bit advisory key; two scopes that share one only wait for each other."""
    return int.from_bytes(scope.bytes[-8:], "big", signed=True)


def _bucket(org_id: UUID, row_id: UUID) -> int:
    return _scope_key(org_id) ^ (row_id.int % BUCKETS + 2 << 40)


def _catalogue(org_id: UUID) -> int:
    return _scope_key(org_id) ^ 1 << 40
