"""An import's life: begun with its rows, worked off batch by batch by whoever holds it, done, canceled or failed.

queued -> running -> done | canceled | failed; a dry run that is over may be started for real. Each batch is one
transaction: the orders, the rows' states and the count of them. A worker that dies takes nothing with it but its batch,
which leaves no trace; whoever takes the message up again goes on with the rows that still wait. `runner` is the token of
the outbox's lease: a worker that was believed dead finds another one there, and writes nothing. A sheet on which one worker
after the other dies without settling a batch fails, and says so; one whose message was given up is owed anew by a timer.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.imports.convert import RowFault, fingerprints
from callout_orders.imports.mapping import Config, checked, plan
from callout_orders.imports.run_rows import Run as Run
from callout_orders.imports.run_rows import RunRow as RunRow
from callout_orders.imports.run_rows import get as get
from callout_orders.imports.run_rows import locked
from callout_orders.imports.run_rows import page as page
from callout_orders.imports.run_rows import page_size as page_size
from callout_orders.imports.run_rows import parse_row_cursor as parse_row_cursor
from callout_orders.imports.run_rows import rows_page as rows_page
from callout_orders.imports.run_rows import spoken as spoken
from callout_orders.imports.sheets import Sheet
from callout_store import outbox, timers
from callout_store.errors import LimitExceeded, WrongState
from callout_store.ids import new_id
from callout_store.journal import Entry, write
from callout_store.work import Work

CHANNEL: Final = "import.run"
OPEN_MAX: Final = 5
"""Imports of one organisation that wait or are under way."""
KEEP_DAYS: Final = 90
"""Sheets hold people's names and numbers: after so long only the counts of an import are kept."""
KEY_DAYS: Final = 30
"""How long an Idempotency-Key is remembered."""
PURGE_MAX: Final = 5_000
STALLED_MAX: Final = 5
"""Workers in a row that may die on one batch."""
DIED: Final = "WORKERS_DIED"
WATCH_CHANNEL: Final = "import.watch"
WATCH_EVERY: Final = timedelta(minutes=10)
"""How often it is looked whether anybody has an import in hand that is not over."""


class LostRun(Exception):
    """The import is no longer this worker's: another has it, or it is over."""


async def begin(
    work: Work,
    sheet: Sheet,
    *,
    file_name: str,
    sha256: bytes,
    size_bytes: int,
    config: Config,
    time_zone: str,
    template_id: UUID | None = None,
    dry_run: bool = True,
    locale: str = "en",
) -> Run:
    """Store a sheet's rows and owe the work on them. Raises SheetRefused, BadField(s), LimitExceeded."""
    plan(checked(config), sheet.headers)
    name = checks.text("fileName", file_name.replace("\x00", "") or "?", chars_max=2_000)[:200]
    await _room(work)
    id_ = new_id()
    await work.execute(
        """
        insert into import_run (id, template_id, config, file_name, file_sha256, file_bytes, format, encoding, headers,
                                time_zone, locale, dry_run, rows_total, created_at, created_by)
        values ($1, $2, $3::text::jsonb, $4, $5, $6, $7, $8, $9::text::jsonb, $10, $11, $12, $13, $14, $15)
        """,
        id_,
        template_id,
        msgspec.json.encode(config).decode(),
        name,
        sha256,
        size_bytes,
        sheet.format,
        sheet.encoding,
        msgspec.json.encode(sheet.headers).decode(),
        time_zone,
        "zh" if locale.startswith("zh") else "en",
        dry_run,
        len(sheet.rows),
        work.now,
        work.actor.user_id,
    )
    await work.execute(
        """
        insert into import_row (import_id, n, cells, fingerprint)
        select $1, n, c::jsonb, f from unnest($2::int[], $3::text[], $4::text[]) as t(n, c, f)
        """,
        id_,
        [n for n, _ in sheet.rows],
        [msgspec.json.encode(cells).decode() for _, cells in sheet.rows],
        fingerprints(sheet.rows),
    )
    await _owe(work, id_, 1)
    return await get(work, id_)


async def start(work: Work, id_: UUID) -> Run:
    """Take in for real what a dry run has looked at. Raises NotFound, WrongState, LimitExceeded."""
    run = await locked(work, id_)
    if not run.dry_run or run.state in ("queued", "running"):
        state = run.state if run.dry_run else "started for real already"
        raise WrongState(entity="import", state=state, needed="a dry run that is over")
    if run.rows_total and not await work.fetchval(
        "select true from import_row where org_id = callout_org() and import_id = $1 limit 1", id_
    ):
        raise WrongState(
            entity="import", state="forgotten", needed=f"rows, which are kept for {KEEP_DAYS} days"
        )
    await _room(work)
    await work.execute(
        """
        update import_row set state = 'waiting', faults = '[]', order_id = null
        where org_id = callout_org() and import_id = $1
        """,
        id_,
    )
    await work.execute(
        """
        update import_run set dry_run = false, state = 'queued', round = round + 1, rows_ok = 0, rows_existing = 0,
            rows_failed = 0, fault = null, cancel_asked = false, runner = null, begun_at = null, begun_rows = null,
            beat_at = null, stalled = 0, ended_at = null
        where org_id = callout_org() and id = $1
        """,
        id_,
    )
    await _owe(work, id_, run.round + 1)
    return await get(work, id_)


async def cancel(work: Work, id_: UUID) -> Run:
    """Have it stop after the batch in hand; what was taken in stays. Harmless twice. Raises NotFound."""
    run = await locked(work, id_)
    if run.state == "queued":
        await _end(work, run, "canceled")
    elif run.state == "running":
        await work.execute(
            "update import_run set cancel_asked = true where org_id = callout_org() and id = $1", id_
        )
    return await get(work, id_)


# ------------------------------------------------------------------------------------------------ the worker's


async def take_up(work: Work, id_: UUID, runner: UUID) -> Run | None:
    """Hold the import by this lease from now on; None where there is nothing left to do, or too many workers died on it."""
    run = await locked(work, id_)
    if run.state not in ("queued", "running"):
        return None
    # Whoever had it before neither ended it nor settled a single batch.
    idle = run.state == "running" and run.rows_done == run.begun_rows
    stalled = await work.fetchval(
        """
        update import_run set stalled = case when $2 then stalled + 1 else 0 end
        where org_id = callout_org() and id = $1 returning stalled
        """,
        id_,
        idle,
    )
    if stalled >= STALLED_MAX:
        await _end(work, run, "failed", DIED)
        return None
    await work.execute(
        """
        update import_run set state = 'running', runner = $2, begun_at = clock_timestamp(), beat_at = clock_timestamp(),
            begun_rows = rows_ok + rows_existing + rows_failed
        where org_id = callout_org() and id = $1
        """,
        id_,
        runner,
    )
    if run.state == "queued":
        await _tell(work, "import.started", run)
    return await get(work, id_)


async def held(work: Work, id_: UUID, runner: UUID) -> Run:
    """The import, locked for a batch. Raises LostRun."""
    run = await locked(work, id_)
    mine = await work.fetchval(
        "select runner = $2 from import_run where org_id = callout_org() and id = $1", id_, runner
    )
    if run.state != "running" or not mine:
        raise LostRun
    return run


async def waiting(work: Work, id_: UUID, limit: int) -> list[tuple[int, list[str], str]]:
    """The next rows that wait: number, cells, fingerprint."""
    rows = await work.fetch(
        """
        select n, cells::text as cells, fingerprint from import_row
        where org_id = callout_org() and import_id = $1 and state = 'waiting' order by n limit $2
        """,
        id_,
        limit,
    )
    return [(row["n"], msgspec.json.decode(row["cells"]), row["fingerprint"]) for row in rows]


async def fingerprints_by_order_ids(work: Work, ids: Sequence[UUID | None]) -> dict[UUID, str]:
    """What the rows were known by that these orders were made from, as far as rows made them and are kept."""
    rows = await work.fetch(
        """
        select order_id, fingerprint from import_row
        where org_id = callout_org() and order_id = any($1) and state = 'ok'
        """,
        ids,
    )
    return {row["order_id"]: row["fingerprint"] for row in rows}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a row: `state` ok, existing or failed; an existing one may have something beside it as well."""

    n: int
    state: str
    order_id: UUID | None = None
    faults: Sequence[RowFault] = ()


async def settle(work: Work, run: Run, outcomes: Sequence[Outcome]) -> None:
    """Write down a batch."""
    await work.execute(
        """
        update import_row r set state = t.s, order_id = t.o, faults = t.f::jsonb
        from unnest($2::int[], $3::text[], $4::uuid[], $5::text[]) as t(n, s, o, f)
        where r.org_id = callout_org() and r.import_id = $1 and r.n = t.n
        """,
        run.id,
        [one.n for one in outcomes],
        [one.state for one in outcomes],
        [one.order_id for one in outcomes],
        [msgspec.json.encode(list(one.faults)).decode() for one in outcomes],
    )
    states = [one.state for one in outcomes]
    await work.execute(
        """
        update import_run set rows_ok = rows_ok + $2, rows_existing = rows_existing + $3, rows_failed = rows_failed + $4,
            beat_at = clock_timestamp()
        where org_id = callout_org() and id = $1
        """,
        run.id,
        states.count("ok"),
        states.count("existing"),
        states.count("failed"),
    )


async def finish(work: Work, run: Run) -> None:
    """All rows were looked at, or nobody wants the rest."""
    await _end(work, run, "canceled" if run.cancel_asked else "done")


async def fail(work: Work, id_: UUID, runner: UUID, fault: str) -> None:
    """It cannot go on; the rows that were taken in stay."""
    run = await held(work, id_, runner)
    await _end(work, run, "failed", fault)


async def watch(work: Work, id_: UUID, *, key: str, epoch: int) -> bool:
    """The timer that watches over an import fired: whoever had it may have died, and its message been given up. Then it is
    owed anew; True where it was. Nothing where it is over, or the timer was set anew since."""
    run = await locked(work, id_)
    if not await timers.is_current(work, key=key, epoch=epoch) or run.state not in ("queued", "running"):
        return False
    gone = not await outbox.is_owed(work, channel=CHANNEL, stream=_stream(id_))
    if gone:
        await _send(work, id_, run.round, f"{_stream(id_)}:{run.round}:{epoch}")
    fires_at = await work.fetchval("select now() + $1::interval", WATCH_EVERY)
    await timers.again(work, key=key, epoch=epoch, due_at=fires_at, payload={"importId": id_})
    return gone


async def purge(work: Work) -> bool:
    """Forget the rows of old imports and old Idempotency-Keys, a batch; whether there may be more."""
    rows = await work.execute(
        """
        delete from import_row r using (
            select r.import_id, r.n from import_run i join import_row r on r.org_id = i.org_id and r.import_id = i.id
            where i.org_id = callout_org() and i.created_at < now() - make_interval(days => $1)
              and i.state not in ('queued', 'running') limit $2
        ) old where r.org_id = callout_org() and r.import_id = old.import_id and r.n = old.n
        """,
        KEEP_DAYS,
        PURGE_MAX,
    )
    keys = await work.execute(
        """
        delete from idempotency_key k using (
            select id from idempotency_key
            where org_id = callout_org() and created_at < now() - make_interval(days => $1) limit $2
        ) old where k.org_id = callout_org() and k.id = old.id
        """,
        KEY_DAYS,
        PURGE_MAX,
    )
    return max(rows, keys) >= PURGE_MAX


# ------------------------------------------------------------------------------------------------ steps


async def _room(work: Work) -> None:
    # Of two that come at once, the second one counts the first one's.
    await work.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"imports:{work.org_id}")
    there = await work.fetchval(
        "select count(*) from import_run where org_id = callout_org() and state in ('queued', 'running')"
    )
    if there >= OPEN_MAX:
        raise LimitExceeded(what="imports at once", limit=OPEN_MAX, given=there + 1)


async def _owe(work: Work, id_: UUID, round_: int) -> None:
    await _send(work, id_, round_, f"{_stream(id_)}:{round_}")
    fires_at = await work.fetchval("select now() + $1::interval", WATCH_EVERY)
    await timers.arm(
        work, key=watch_key(id_), due_at=fires_at, channel=WATCH_CHANNEL, payload={"importId": id_}
    )


def watch_key(id_: UUID) -> str:
    """The key of the timer that watches over an import."""
    return f"import-watch:{id_}"


def _stream(id_: UUID) -> str:
    return f"import:{id_}"


async def _send(work: Work, id_: UUID, round_: int, dedupe_key: str) -> None:
    await outbox.send(
        work,
        outbox.Message(
            channel=CHANNEL,
            # Each by itself: a small dry run does not wait for a large import. Twins meet at their rows' references.
            stream=_stream(id_),
            dedupe_key=dedupe_key,
            payload={"importId": id_, "round": round_},
        ),
    )


async def _end(work: Work, run: Run, state: str, fault: str | None = None) -> None:
    await work.execute(
        """
        update import_run set state = $2, fault = $3, runner = null, ended_at = $4
        where org_id = callout_org() and id = $1
        """,
        run.id,
        state,
        fault,
        work.now,
    )
    await timers.cancel(work, watch_key(run.id))
    kinds = {"done": "import.finished", "canceled": "import.canceled", "failed": "import.failed"}
    await _tell(work, kinds[state], await get(work, run.id))


async def _tell(work: Work, kind: str, run: Run) -> None:
    await write(
        work,
        Entry(
            kind=kind,
            entity="import",
            entity_id=run.id,
            data={
                "file": run.file_name,
                "dryRun": run.dry_run,
                "rows": run.rows_total,
                "ok": run.rows_ok,
                "existing": run.rows_existing,
                "failed": run.rows_failed,
                **({"fault": run.fault} if run.fault else {}),
            },
        ),
    )
