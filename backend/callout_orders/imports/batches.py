"""One batch of an import: the next rows that wait, judged and taken in, in one transaction.

A row that is refused stops no other: what is wrong with it is written beside it, and it leaves nothing behind.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import structlog

from callout_orders.checks import FieldRefused
from callout_orders.imports import runs
from callout_orders.imports.convert import Row, RowFault, content, converted, of_precheck, refused
from callout_orders.imports.mapping import Plan, plan
from callout_orders.imports.runs import Outcome, Run
from callout_orders.precheck import many
from callout_orders.precheck.terms import Checked, Taken
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
    if _doubled(run.rows_done // rows):
        # A house's first sheet fills tables that were empty when this connection made its plans, and the statistics come
        # later still: reading all of a table for each of two hundred rows, it would get slower with every batch.
        await work.execute("discard plans")
    how = plan(run.config, run.headers, run.encoding)
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
    marks = {n: fingerprint for n, _, fingerprint in given}
    await runs.settle(work, run, await _compared(work, how, marks, outcomes.values()))
    return True


def _doubled(batches: int) -> bool:
    """Whether so many batches are twice as many as the last time: 1, 2, 4, 8 …; none are not."""
    return batches > 0 and batches & (batches - 1) == 0


def _unread(how: Plan, row: Row, skills: Collection[str]) -> Outcome | None:
    """What becomes of a row that nobody has to ask about; None for the others."""
    if row.request is None:
        return Outcome(n=row.n, state="failed", faults=row.faults)
    if set(row.request.skills) - set(skills):
        fault = FieldRefused("skills", "not_one_of", options=", ".join(sorted(skills)))
        return Outcome(n=row.n, state="failed", faults=refused(how, [fault]))
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
        return Outcome(n=n, state="failed", faults=refused(how, [answer]))
    log.error("import_row_broke", run=str(run.id), row=n, exc_info=answer)
    return Outcome(n=n, state="failed", faults=[BROKE])


async def _compared(
    work: Work, how: Plan, marks: Mapping[int, str], outcomes: Iterable[Outcome | None]
) -> list[Outcome]:
    """The outcomes, and what is to be said beside a row whose reference is that of an order which another row made, of
    other content: it is either a change, which is not carried out, or another order, which is not made."""
    done = [one for one in outcomes if one is not None]
    there = [one.order_id for one in done if one.state == "existing"]
    first = await runs.fingerprints_by_order_ids(work, there) if there else {}
    first |= {one.order_id: marks[one.n] for one in done if one.state == "ok" and one.order_id is not None}
    return [
        msgspec.structs.replace(one, faults=refused(how, [FieldRefused("reference", "row_differs")]))
        if one.state == "existing"
        and one.order_id in first
        and content(first[one.order_id]) != content(marks[one.n])
        else one
        for one in done
    ]


BROKE: Final = RowFault(
    column=None,
    field="",
    code="INTERNAL",
    reason="internal",
    en="Something broke on our side while this row was taken in; it was recorded. Import it again later.",
    zh="处理此行时服务器内部出错,已记录,请稍后重新导入。",
)
