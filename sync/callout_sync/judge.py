"""Judging commands in their turn, and writing what follows from them: one statement a table for any number."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from callout_contracts import stamps
from callout_contracts.codes import sentence
from callout_contracts.commands import Answer, Edit, FillForm, Sign, Status
from callout_contracts.limits import HELD_MAX
from callout_dispatch import visits
from callout_dispatch.events import Clocks, Happened, LockedVisit, Reporter, Standing, standing
from callout_dispatch.visit_states import EventKind
from callout_orders import forms, signoff, stock
from callout_store.work import Work
from callout_sync import attachments, edits, holds, outcomes, quarantine, receipts
from callout_sync.commands import Fault, Read, part_of
from callout_sync.happenings import When, happened, pictures, signature, times
from callout_sync.holds import Turn
from callout_sync.look import Look


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a command; `why` fills the sentence of its code."""

    status: Status
    code: str | None = None
    path: str | None = None
    why: str = ""


class NotApplicable(Exception):
    """A retried command still cannot be applied; the transaction that tried is undone."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code)
        self.fault = fault


class Judged(msgspec.Struct, frozen=True):
    """Answers in the order of the turns; `timed`: the highest sequence whose time was worked out, and that time."""

    answers: list[Answer]
    timed: tuple[int, datetime | None]


async def judge(
    work: Work,
    known: Look,
    plan: holds.Plan,
    clocks: Clocks,
    *,
    again: bool = False,
    by: UUID | None = None,
) -> Judged:
    """Judge every turn of a plan and write what follows.

    `clocks` are those of the batch. `again`: a quarantined command is run once more: it has a receipt, which is answered
    anew, and NotApplicable is raised where it still cannot be applied. `by` is whoever forces held commands.
    """
    bench = _Bench(work, known, again=again)
    await bench.prepare(plan.turns)
    for turn in plan.turns:
        bench.hear(turn)
    await bench.record()
    await bench.write(plan, clocks, by)
    return Judged(answers=bench.answers(), timed=bench.timed)


class _Bench:
    """The case in hand: verdicts by turn, and what is to be written once all are heard."""

    def __init__(self, work: Work, known: Look, *, again: bool) -> None:
        self.work, self.known, self.again = work, known, again
        self.reporter: Reporter | None = known.reporter
        self.locked: dict[UUID, LockedVisit] = {}
        self.parts = known.parts
        self.unfit: dict[UUID, tuple[str, str, str]] = {}
        self.times: dict[UUID, When] = {}
        self.timed = known.timed
        self.turns: list[Turn] = []
        self.verdicts: list[Verdict] = []
        self.firsts: dict[UUID, int] = {}
        """Command id → the turn that decides on it."""
        self.twins: dict[int, int] = {}
        """Turn of a second command of one id → the turn of the first."""
        self.events: list[Happened] = []
        self.signatures: list[signoff.SignatureRow] = []
        self.pictures: list[attachments.Expected] = []
        self.edits: list[tuple[int, edits.EditItem]] = []
        """The turns of edits, whose verdicts follow when they are applied."""
        self.waiting = known.held_count

    async def prepare(self, turns: Sequence[Turn]) -> None:
        """Lock the visits, and read what judging needs beside them."""
        fresh = [turn for turn in turns if self._is_new(turn)]
        ids = {id_ for turn in fresh for id_ in _visits_of(turn.item)}
        if ids:
            engineer_id = self.reporter.engineer_id if self.reporter else None
            self.locked = await visits.lock(self.work, list(ids), engineer_id=engineer_id)
        # The parts of the batch itself are known already; those of held commands are not.
        named = [part for turn in fresh if turn.held and (part := part_of(turn.item.payload)) is not None]
        if named:
            self.parts = self.parts | await stock.known_parts(self.work, named)
        filled = {
            turn.item.key: (turn.item.payload.form_id, turn.item.payload.values)
            for turn in fresh
            if isinstance(turn.item.payload, FillForm)
        }
        if filled:
            self.unfit = await forms.check(self.work, filled)
        self.times = times(fresh, self.locked, self.known.timed)
        if fresh and fresh[-1].item.sequence > self.timed[0]:
            self.timed = (fresh[-1].item.sequence, self.times[fresh[-1].item.key].at)

    def _is_new(self, turn: Turn) -> bool:
        if turn.wait or turn.item.fault is not None or turn.item.command is None:
            return False
        return self.again or turn.held is not None or turn.item.key not in self.known.receipts

    def hear(self, turn: Turn) -> None:
        """Decide on one command, as far as that can be done before anything is written."""
        n, item = len(self.turns), turn.item
        self.turns.append(turn)
        first = self.firsts.get(item.key)
        if first is not None:
            self.twins[n] = first
            self.verdicts.append(Verdict("duplicate"))
            return
        if self.known.receipts and not self.again and turn.held is None and item.key in self.known.receipts:
            self.verdicts.append(Verdict("duplicate"))
            return
        verdict = self._verdict(turn)
        self.verdicts.append(verdict)
        if verdict.status != "refused":
            self.firsts[item.key] = n

    def _verdict(self, turn: Turn) -> Verdict:
        item = turn.item
        if turn.wait:
            if self.waiting >= HELD_MAX:
                return Verdict("refused", "TOO_MANY_HELD", None, str(HELD_MAX))
            self.waiting += 1
            return Verdict("held", "PREDECESSOR_MISSING")
        if item.fault is not None or item.command is None or item.payload is None:
            fault = item.fault or Fault(code="COMMAND_UNREADABLE")
            return Verdict("quarantined", fault.code, fault.path, fault.why)
        visit = self.locked.get(item.command.visit_id) if item.command.visit_id else None
        stands = standing(visit, self.reporter) if self.reporter is not None else "stranger"
        if isinstance(item.payload, Edit):
            self.edits.append((len(self.turns) - 1, self._edit(turn, item.payload, visit, stands)))
            return Verdict("applied")
        part = part_of(item.payload)
        if stands == "unknown":
            return Verdict("quarantined", "VISIT_UNKNOWN", "visitId")
        if stands == "stranger" or visit is None:
            return Verdict("quarantined", "NOT_YOUR_VISIT", "visitId")
        if part is not None and part not in self.parts:
            return Verdict("quarantined", "PART_UNKNOWN", "payload.partId")
        if self.unfit and item.key in self.unfit:
            return Verdict("quarantined", *self.unfit[item.key])
        event = happened(item, turn.clocks, visit, self.times[item.key], turn.forced)
        self.events.append(event)
        if isinstance(item.payload, Sign):
            self.signatures.append(signature(item.payload, event, visit.order_id))
        self.pictures += pictures(item.payload, event)
        if event.kind is EventKind.DECLINED and stands != "own":
            # What is declined was taken away meanwhile: both want the same, and nobody has to decide.
            return Verdict("applied")
        if stands == "reassigned":
            return Verdict("conflict", "REASSIGNED")
        if stands == "canceled":
            return Verdict("conflict", "CANCELED")
        return Verdict("applied", "PREDECESSOR_NEVER_CAME" if turn.forced else None)

    def _edit(self, turn: Turn, payload: Edit, visit: LockedVisit | None, stands: Standing) -> edits.EditItem:
        command, made_at = turn.item.command, self.times[turn.item.key].at
        assert command is not None
        assert self.work.actor.device_id is not None
        return edits.EditItem(
            command=command,
            payload=payload,
            stamp=stamps.mint(
                made_at=made_at,
                received_at=turn.clocks.received_at,
                seen=stamps.parse(command.seen) if command.seen is not None else None,
                sequence=command.sequence,
                device=self.work.actor.device_id,
            ),
            made_at=made_at,
            received_at=turn.clocks.received_at,
            visit=visit,
            standing=stands,
        )

    async def record(self) -> None:
        """Write what happened on site, then what was edited."""
        if self.events and self.reporter is not None:
            await visits.record(self.work, self.locked, self.events, self.reporter)
        if self.signatures:
            await signoff.record_signatures(self.work, self.signatures)
        if self.pictures:
            await attachments.expect(self.work, self.pictures)
        if self.edits:
            results = await edits.apply(self.work, [item for _, item in self.edits], self.reporter)
            for (n, _), result in zip(self.edits, results, strict=True):
                code = result.code
                if code is None and self.turns[n].forced:
                    code = "PREDECESSOR_NEVER_CAME"
                self.verdicts[n] = Verdict(result.status, code, result.path, result.why)

    async def write(self, plan: holds.Plan, clocks: Clocks, by: UUID | None) -> None:
        """Write receipts, what is kept for a person, what waits, and what the phone is told of it later."""
        decided = [(self.turns[n], self.verdicts[n]) for n in self.firsts.values()]
        if self.again:
            for _, verdict in decided:
                if verdict.status == "quarantined":
                    raise NotApplicable(
                        Fault(code=verdict.code or "COMMAND_FAILED", path=verdict.path, why=verdict.why)
                    )
        await quarantine.keep(
            self.work,
            [self._kept(turn, verdict) for turn, verdict in decided if _is_for_a_person(turn, verdict)],
        )
        fresh = [(turn, verdict) for turn, verdict in decided if turn.held is None and not self.again]
        receipts.write(
            self.work,
            [
                (turn.item.key, turn.item.sha256, turn.item.sequence, self._answer(turn.item, verdict))
                for turn, verdict in fresh
            ],
        )
        await receipts.amend(
            self.work,
            [
                (turn.item.key, self._answer(turn.item, verdict))
                for turn, verdict in decided
                if turn.held is not None or self.again
            ],
        )
        waits = [turn.item for turn, verdict in fresh if verdict.status == "held"]
        marks = {item.key for item in plan.marks if item.key in self.firsts}
        await holds.keep(
            self.work,
            [*waits, *(item for item in plan.marks if item.key in marks)],
            marks,
            clocks,
            first=self.known.held_count == 0,
        )
        await holds.settle(self.work, plan.turns, plan.passed, by)
        await outcomes.write(
            self.work,
            [
                self._became(turn, verdict)
                for turn, verdict in decided
                if turn.item.id is not None
                and (
                    verdict.status in ("held", "quarantined", "conflict")
                    or turn.held is not None
                    or self.again
                )
            ],
        )

    def answers(self) -> list[Answer]:
        """What the phone is told, turn by turn."""
        return [self._told(n, turn.item) for n, turn in enumerate(self.turns)]

    def _told(self, n: int, item: Read) -> Answer:
        verdict = self.verdicts[n]
        if verdict.status != "duplicate":
            return self._answer(item, verdict)
        first = self.twins.get(n)
        if first is not None:
            sha256, answer = self.turns[first].item.sha256, self._told(first, self.turns[first].item)
        else:
            receipt = self.known.receipts[item.key]
            sha256, answer = receipt.body_sha256, receipt.answer
        if sha256 != item.sha256:
            return self._answer(item, Verdict("refused", "COMMAND_ID_REUSED", "id"))
        status = answer.first_status or answer.status
        return msgspec.structs.replace(answer, index=item.index, status="duplicate", first_status=status)

    def _answer(self, item: Read, verdict: Verdict) -> Answer:
        return answer(item, verdict, self.work.actor.locale)

    def _kept(self, turn: Turn, verdict: Verdict) -> quarantine.Kept:
        item = turn.item
        return quarantine.Kept(
            command_id=item.key,
            category="conflict" if verdict.status == "conflict" else "quarantined",
            code=verdict.code or "",
            path=verdict.path,
            message=_sentence(verdict, self.work.actor.locale) or "",
            body=item.body,
            visit_id=item.visit_id,
            clocks=turn.clocks,
        )

    def _became(self, turn: Turn, verdict: Verdict) -> outcomes.Became:
        item = turn.item
        assert self.work.actor.device_id is not None
        return outcomes.Became(
            id=item.key,
            device_id=self.work.actor.device_id,
            status=verdict.status,
            kind=item.kind,
            visit_id=item.visit_id,
            code=verdict.code,
            path=verdict.path,
            message=_sentence(verdict, self.known.locale),
            at=self.work.now,
        )


def answer(item: Read, verdict: Verdict, locale: str) -> Answer:
    """A verdict as the phone is told it."""
    return Answer(
        index=item.index,
        id=item.id,
        status=verdict.status,
        code=verdict.code,
        path=verdict.path,
        message=_sentence(verdict, locale),
    )


def _sentence(verdict: Verdict, locale: str) -> str | None:
    if verdict.code is None:
        return None
    return sentence(verdict.code, locale, why=verdict.why, limit=verdict.why)


def _is_for_a_person(turn: Turn, verdict: Verdict) -> bool:
    """What goes to quarantine. A conflict of an edit has a card of its own."""
    return verdict.status == "quarantined" or (
        verdict.status == "conflict" and not isinstance(turn.item.payload, Edit)
    )


def _visits_of(item: Read) -> tuple[UUID, ...]:
    """The visits whose rows a command needs: the one in whose course it was done, and the one it edits."""
    assert item.command is not None
    named = (item.command.visit_id,) if item.command.visit_id is not None else ()
    if isinstance(item.payload, Edit) and item.payload.entity == "visit":
        return (*named, item.payload.id)
    return named
