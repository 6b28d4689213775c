"""One batch of an import: the next rows that wait, judged and taken in, in one transaction.

A row that is refused stops no other: what is wrong with it is written beside it, and it leaves nothing behind.
"""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog

from callout_orders.checks import FieldRefused, FieldsRefused
from callout_orders.imports import runs
from callout_orders.imports.convert import Row, RowFault, converted, of_precheck, why
from callout_orders.imports.mapping import Plan, plan
from callout_orders.imports.runs import Outcome, Run
from callout_orders.precheck import many
from callout_orders.precheck.terms import Checked, Fault, Taken
from callout_store.errors import Refusal
from callout_store.work import Work

log = structlog.get_logger(__name__)

ROWS: Final = 200
"""The organisation's counter of orders is held for a batch: people who take calls meanwhile wait no longer than that."""


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
    outcomes = {row.n: _unread(how, row, skills) for row in read}
    good = [(row.n, row.request) for row in read if row.request is not None and outcomes[row.n] is None]
    requests = [request for _, request in good]
    answers: Sequence[Checked | Taken | Exception]
    if run.dry_run:
        answers = await many.check_many(work, requests, possible=False)
    else:
        answers = await many.take_many(work, requests, possible=False)
    for (n, _), answer in zip(good, answers, strict=True):
        outcomes[n] = _outcome(how, run, n, answer)
    await runs.settle(work, run, [one for one in outcomes.values() if one is not None])
    return True


def _unread(how: Plan, row: Row, skills: Collection[str]) -> Outcome | None:
    """What becomes of a row that nobody has to ask about; None for the others."""
    if row.request is None:
        return Outcome(n=row.n, state="failed", faults=row.faults)
    if set(row.request.skills) - set(skills):
        fault = FieldRefused("skills", "not_one_of", options=", ".join(sorted(skills)))
        return _failed(how, row.n, [fault])
    return None


def _outcome(how: Plan, run: Run, n: int, answer: Checked | Taken | Exception) -> Outcome:
    if isinstance(answer, Taken):
        return Outcome(n=n, state="existing" if answer.existing else "ok", order_id=answer.id)
    if isinstance(answer, Checked):
        if answer.existing_id is not None:
            return Outcome(n=n, state="existing", order_id=answer.existing_id)
        if not answer.ok:
            return Outcome(n=n, state="failed", faults=of_precheck(how, answer.faults))
        return Outcome(n=n, state="ok")
    if isinstance(answer, Refusal):
        return _failed(how, n, [answer])
    log.error("import_row_broke", run=str(run.id), row=n, exc_info=answer)
    return Outcome(n=n, state="failed", faults=[BROKE])


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
