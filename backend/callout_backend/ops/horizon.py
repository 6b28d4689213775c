"""The feed's horizon: phones are shown only what lies below the oldest writing transaction of the whole cluster.

A transaction that writes and does not end (a forgotten psql, a long import, a prepared transaction) therefore delays
every phone. Its age is looked up in pg_stat_activity, with the rights of the user we connected as; where that user may
not see the culprit, the age is how long this process has watched the same horizon stand still.
"""

import time
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import msgspec

from callout_store.work import Database

LOOK = """
select pg_snapshot_xmin(s)::text as xmin, pg_snapshot_xmin(s) < pg_snapshot_xmax(s) as held,
    (select extract(epoch from clock_timestamp() - min(a.xact_start))::float8
     from pg_stat_activity a where a.backend_xid is not null and a.pid <> pg_backend_pid()) as running_s,
    (select extract(epoch from clock_timestamp() - min(p.prepared))::float8 from pg_prepared_xacts p) as prepared_s
from pg_current_snapshot() as s
"""


class Horizon(msgspec.Struct, frozen=True, kw_only=True):
    """`xmin`: the transaction id below which everything is settled; `age_s`: how long it has been held up, or 0."""

    xmin: str
    age_s: float


@dataclass(slots=True)
class _Seen:
    xmin: str
    since: float


_seen: WeakKeyDictionary[Database, _Seen] = WeakKeyDictionary()


async def look(db: Database) -> Horizon:
    """One look, in one cheap statement."""
    async with db.system_work() as work:
        # The worker's role sees only its own sessions; the user behind the connection sees at least all of ours.
        await work.execute("set local role none")
        row = await work.fetchrow(LOOK)
    assert row is not None
    now = time.monotonic()
    watched_s = 0.0
    if row["held"]:
        seen = _seen.get(db)
        if seen is None or seen.xmin != row["xmin"]:
            seen = _seen[db] = _Seen(row["xmin"], now)
        watched_s = now - seen.since
    else:
        _seen.pop(db, None)
    age_s = max(watched_s, row["running_s"] or 0.0, row["prepared_s"] or 0.0)
    return Horizon(xmin=row["xmin"], age_s=age_s)
