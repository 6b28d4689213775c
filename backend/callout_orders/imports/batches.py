"""One batch of an import: the next rows that wait, judged and taken in, in one transaction.

A row that is refused stops no other: what is wrong with it is written beside it, and it leaves nothing behind.
"""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import structlog

from callout_orders.checks import FieldRefused, FieldsRefused
from callout_orders.imports import runs
from callout_orders.imports.convert import Row, RowFault, converted, of_precheck, why
from callout_orders.imports.mapping import Plan, plan
from callout_orders.imports.runs import Outcome, Run
from callout_orders.precheck import taking
from callout_orders.precheck.terms import Fault, Request
from callout_store.errors import Refusal
from callout_store.work import Work

log = structlog.get_logger(__name__)

ROWS: Final = 25
"""The organisation's counter of orders is held for a batch: people who take calls meanwhile wait no longer than that."""
_OF_THE_DATABASE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.InsufficientResourcesError,
    OSError,
)


async def step(work: Work, id_: UUID, runner: UUID, *, skills: Collection[str], rows: int = ROWS) -> bool:
    """Work off one batch; whether there is more to do. `skills`: the codes that there are. Raises runs.LostRun."""
    run = await runs.held(work, id_, runner)
    if run.cancel_asked:
        await runs.finish(work, run)
        return False
    given = await runs.waiting(work, id_, rows)
    if not given:
        await runs.finish(work, run)
        return False
    how = plan(run.config, run.headers)
    zone = ZoneInfo(run.time_zone)
    read = [
        converted(run.config, how, n, cells, fingerprint, zone=zone, locale=run.locale)
        for n, cells, fingerprint in given
    ]
    await runs.settle(work, run, [await _judged(work, run, how, row, skills) for row in read])
    return True


async def _judged(work: Work, run: Run, how: Plan, row: Row, skills: Collection[str]) -> Outcome:
    request = row.request
    if request is None:
        return Outcome(n=row.n, state="failed", faults=row.faults)
    unknown = sorted(set(request.skills) - set(skills))
    if unknown:
        fault = FieldRefused("skills", "not_one_of", options=", ".join(sorted(skills)))
        return _failed(how, row.n, [fault])
    try:
        # What a row began before it was refused is undone with it.
        async with work.savepoint():
            return await (_looked_at if run.dry_run else _taken)(work, how, row.n, request)
    except Refusal as refusal:
        if refusal.retryable:
            raise
        return _failed(how, row.n, [refusal])
    except _OF_THE_DATABASE:
        raise
    except Exception:
        log.exception("import_row_broke", run=str(run.id), row=row.n)
        return Outcome(n=row.n, state="failed", faults=[BROKE])


async def _looked_at(work: Work, how: Plan, n: int, request: Request) -> Outcome:
    found = await taking.check(work, request)
    if found.existing_id is not None:
        return Outcome(n=n, state="existing", order_id=found.existing_id)
    if not found.ok:
        return Outcome(n=n, state="failed", faults=of_precheck(how, found.faults))
    return Outcome(n=n, state="ok")


async def _taken(work: Work, how: Plan, n: int, request: Request) -> Outcome:
    taken = await taking.take(work, request)
    return Outcome(n=n, state="existing" if taken.existing else "ok", order_id=taken.id)


def _failed(how: Plan, n: int, refusals: Sequence[Refusal]) -> Outcome:
    faults = [
        Fault(
            path=one.path or "",
            code=one.code,
            reason=str(one.details.get("reason", one.code)).lower(),
            en=why(one, "en"),
            zh=why(one, "zh"),
        )
        for refusal in refusals
        for one in (refusal.faults if isinstance(refusal, FieldsRefused) else (refusal,))
    ]
    return Outcome(n=n, state="failed", faults=of_precheck(how, faults))


BROKE: Final = RowFault(
    column=None,
    field="",
    code="INTERNAL",
    reason="internal",
    en="Something broke on our side while this row was taken in; it was recorded. Import it again later.",
    zh="处理此行时服务器内部出错,已记录,请稍后重新导入。",
)
