"""Push: a batch of commands from one phone.

Each command is atomic by itself and none stops another. The batch runs in chunks, one transaction each and every table
written by one statement (the fast path). If a chunk fails in the database, its commands run again in a transaction of
their own, and one that fails even so is quarantined. Whatever happens to the connection, the phone may send the batch
again: receipts make that harmless.

Revocation takes effect within a running push: the device's row is updated as the last statement of every chunk, under the
condition that it is not revoked. A revocation that committed before undoes the chunk; one that comes later waits.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC
from uuid import UUID

import asyncpg
import msgspec
import structlog

from callout_contracts.codes import sentence
from callout_contracts.commands import COMMANDS_MAX, Answer, PushEnvelope, Sign
from callout_dispatch import visits
from callout_dispatch.events import Clocks, Happened, LockedVisit, standing
from callout_dispatch.visit_states import EventKind
from callout_orders import signoff, stock
from callout_store import meters
from callout_store.errors import DeviceRequired, DeviceRevoked, LimitExceeded, Refusal, WrongState
from callout_store.work import Actor, Database, Work
from callout_sync import quarantine, receipts
from callout_sync.commands import Fault, Read, event_data, event_kind, part_of, read_batch

log = structlog.get_logger(__name__)

CHUNK = 100
CLASHES_MAX = 5
"""Times a chunk is tried again when the same commands arrive by two requests at once."""


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """Answers in the order of the batch."""

    answers: list[Answer]


async def push(db: Database, *, org_id: UUID, actor: Actor, envelope: PushEnvelope) -> Pushed:
    """Apply a batch. Refuses whole only where nothing can be read: no device, a revoked one, more than 200 commands.

    A device revoked while the batch runs gets `DEVICE_REVOKED` for the rest of it.
    """
    if actor.device_id is None:
        raise DeviceRequired(what="push")
    if len(envelope.commands) > COMMANDS_MAX:
        raise LimitExceeded(
            path="commands", what="commands a push", limit=COMMANDS_MAX, given=len(envelope.commands)
        )
    clocks = Clocks(
        received_at=db.clock.now(),
        sent_at=envelope.sent_at.astimezone(UTC),
        monotonic_ms=envelope.monotonic_ms,
        boot_id=envelope.boot_id,
    )
    pending = sorted(read_batch(envelope.commands), key=lambda item: (item.sequence, item.index))
    answers: list[Answer] = []
    if not pending:
        # An empty batch still measures the clock and is refused to a revoked device.
        await _chunk(db, org_id, actor, clocks, envelope, [])
    for start in range(0, len(pending), CHUNK):
        chunk = pending[start : start + CHUNK]
        try:
            answers += await _chunk_or_singly(db, org_id, actor, clocks, envelope, chunk)
        except DeviceRevoked:
            if not answers:
                raise
            answers += [_answer(item, "refused", "DEVICE_REVOKED", actor) for item in pending[start:]]
            break
        except Refusal as refusal:
            # The database went away mid-batch: what was committed stays answered, the rest is to be sent again.
            if not answers or not refusal.retryable:
                raise
            answers += [_answer(item, "refused", "TRY_AGAIN", actor) for item in pending[start:]]
            break
    for status, count in Counter(answer.status for answer in answers).items():
        meters.count("push_commands", count, status=status)
    return Pushed(answers=sorted(answers, key=lambda answer: answer.index))


async def retry(db: Database, *, org_id: UUID, entry_id: UUID, actor: Actor) -> Answer:
    """Run a quarantined command again, on behalf of the device that sent it, and close the entry if it was applied.

    Raises NotFound, and WrongState for an entry that is settled, or is a conflict: its event is recorded already.
    """

    async def again(work: Work) -> Answer:
        row = await work.fetchrow(
            """
            select body, device_id, user_id, received_at, category from quarantine
            where org_id = callout_org() and id = $1
            """,
            entry_id,
        )
        if row is not None and row["category"] != "quarantined":
            raise WrongState(entity="quarantined command", state=row["category"], needed="quarantined")
        await quarantine.settle(work, id=entry_id, state="applied", note="retried")
        assert row is not None
        item = read_batch([_decode(row["body"])])[0]
        if item.fault is not None or item.command is None:
            raise NotApplicable(item.fault or Fault(code="COMMAND_UNREADABLE"))
        device = Actor(
            user_id=row["user_id"], device_id=row["device_id"], role="engineer", locale=actor.locale
        )
        work.actor = device
        clocks = Clocks(received_at=row["received_at"], sent_at=item.command.device_time)
        answered, _ = await _judge_and_write(work, clocks, [item], fresh=True)
        answer = answered[0]
        if answer.status == "quarantined":
            raise NotApplicable(
                Fault(code=answer.code or "COMMAND_FAILED", path=answer.path, why=answer.message or "")
            )
        return answer

    try:
        return await db.run(org_id, again, actor=actor)
    except NotApplicable as still:
        return Answer(index=0, status="quarantined", code=still.fault.code, path=still.fault.path)


class NotApplicable(Exception):
    """A retried command still cannot be applied; the transaction that tried is undone."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code)
        self.fault = fault


async def _chunk_or_singly(
    db: Database, org_id: UUID, actor: Actor, clocks: Clocks, envelope: PushEnvelope, chunk: Sequence[Read]
) -> list[Answer]:
    try:
        return await _chunk(db, org_id, actor, clocks, envelope, chunk)
    except Exception as fault:
        if _of_the_whole(fault):
            raise
        log.warning("push_chunk_failed", commands=len(chunk), exc_info=True)
    answers = []
    for item in chunk:
        try:
            answers += await _chunk(db, org_id, actor, clocks, envelope, [item])
        except Exception as fault:
            if _of_the_whole(fault):
                raise
            log.error("push_command_failed", command=str(item.key), exc_info=True)
            why = fault.code if isinstance(fault, Refusal) else type(fault).__name__
            broken = msgspec.structs.replace(item, fault=Fault(code="COMMAND_FAILED", why=why))
            answers += await _chunk(db, org_id, actor, clocks, envelope, [broken])
    return answers


def _of_the_whole(fault: Exception) -> bool:
    """Whether a fault is the batch's (the device, the database) and not one command's."""
    return isinstance(fault, DeviceRevoked) or (isinstance(fault, Refusal) and fault.retryable)


async def _chunk(
    db: Database, org_id: UUID, actor: Actor, clocks: Clocks, envelope: PushEnvelope, chunk: Sequence[Read]
) -> list[Answer]:
    async def act(work: Work) -> list[Answer]:
        answers, highest = await _judge_and_write(work, clocks, chunk, fresh=False)
        await _stamp_device(work, clocks, envelope, highest)
        return answers

    for clash in range(CLASHES_MAX):
        try:
            return await db.run(org_id, act, actor=actor)
        except asyncpg.UniqueViolationError as fault:
            if fault.constraint_name not in ("receipt_pkey", "visit_event_pkey") or clash == CLASHES_MAX - 1:
                raise
            await asyncio.sleep(0.01 * 2**clash)
    raise AssertionError("unreachable")


async def _judge_and_write(
    work: Work, clocks: Clocks, chunk: Sequence[Read], *, fresh: bool
) -> tuple[list[Answer], int]:
    """Judge every command of a chunk and write what follows; the answers, and the highest sequence seen.

    `fresh`: do not look for receipts (a quarantined command that is retried has one, which is answered anew).
    """
    actor = work.actor
    reporter = await visits.reporter_of(work)
    readable = [item for item in chunk if item.command is not None and item.fault is None]
    locked = await visits.lock(
        work,
        [item.command.visit_id for item in readable if item.command is not None and item.command.visit_id],
        engineer_id=reporter.engineer_id if reporter else None,
    )
    # Receipts are read after the visits' rows are locked: a twin of this request waits there, and then finds ours.
    known = {} if fresh else await receipts.find(work, [item.key for item in chunk])
    parts = await stock.known_parts(
        work, [part for item in readable if (part := part_of(item.payload)) is not None]
    )

    answers: list[Answer] = []
    written: dict[UUID, tuple[bytes, Answer]] = {key: (r.body_sha256, r.answer) for key, r in known.items()}
    new: list[tuple[UUID, bytes, int, Answer]] = []
    events: list[Happened] = []
    signatures: list[signoff.SignatureRow] = []
    kept: list[quarantine.Kept] = []

    for item in chunk:
        before = written.get(item.key)
        if before is not None:
            answers.append(_replayed(item, before, actor))
            continue
        answer = None
        if item.fault is not None:
            answer = _answer(
                item, "quarantined", item.fault.code, actor, path=item.fault.path, why=item.fault.why
            )
        elif item.command is not None and item.payload is not None:
            visit = locked.get(item.command.visit_id) if item.command.visit_id else None
            stands = standing(visit, reporter) if reporter is not None else "stranger"
            part = part_of(item.payload)
            if stands == "unknown":
                answer = _answer(item, "quarantined", "VISIT_UNKNOWN", actor, path="visitId")
            elif stands == "stranger":
                answer = _answer(item, "quarantined", "NOT_YOUR_VISIT", actor, path="visitId")
            elif part is not None and part not in parts:
                answer = _answer(item, "quarantined", "PART_UNKNOWN", actor, path="payload.partId")
            else:
                assert visit is not None
                event = _happened(item, clocks, visit)
                events.append(event)
                if isinstance(item.payload, Sign):
                    signatures.append(_signature(item.payload, event, visit.order_id))
                if stands == "reassigned":
                    answer = _answer(item, "conflict", "REASSIGNED", actor)
                elif stands == "canceled":
                    answer = _answer(item, "conflict", "CANCELED", actor)
                else:
                    answer = _answer(item, "applied", None, actor)
        assert answer is not None
        if answer.status in ("quarantined", "conflict"):
            kept.append(_kept(item, answer))
        answers.append(answer)
        written[item.key] = (item.sha256, answer)
        new.append((item.key, item.sha256, item.sequence, answer))

    if events and reporter is not None:
        await visits.record(work, locked, events, reporter)
    if signatures:
        await signoff.record_signatures(work, signatures)
    if not fresh:
        await quarantine.keep(work, kept)
        await receipts.write(work, new)
    elif new and answers[0].status != "quarantined":
        # Recorded at last, but perhaps on a visit that is another's by now: then somebody has to decide.
        await quarantine.keep(work, kept)
        await work.execute(
            "update receipt set answer = $2 where org_id = callout_org() and command_id = $1",
            new[0][0],
            msgspec.json.encode(new[0][3]).decode(),
        )
    return answers, max((item.sequence for item in chunk), default=0)


async def _stamp_device(work: Work, clocks: Clocks, envelope: PushEnvelope, highest: int) -> None:
    stamped = await work.execute(
        """
        update device set last_seen_at = $2, last_sequence = greatest(last_sequence, $3), clock_offset_ms = $4,
                          app_version = coalesce($5, app_version)
        where org_id = callout_org() and id = $1 and user_id = $6 and revoked_at is null
          and exists (select 1 from app_user u where u.org_id = callout_org() and u.id = $6 and u.active)
        """,
        work.actor.device_id,
        clocks.received_at,
        highest,
        clocks.offset_ms,
        envelope.app_version,
        work.actor.user_id,
    )
    if not stamped:
        raise DeviceRevoked()


def _happened(item: Read, clocks: Clocks, visit: LockedVisit) -> Happened:
    command, payload = item.command, item.payload
    assert command is not None
    assert payload is not None
    corrected_at, flags = clocks.correct(
        command.device_time, command.monotonic_ms, command.boot_id, visit_created_at=visit.created_at
    )
    where = command.location
    return Happened(
        id=command.id,
        visit_id=visit.id,
        kind=EventKind(event_kind(command)),
        device_time=command.device_time.astimezone(UTC),
        received_at=clocks.received_at,
        corrected_at=corrected_at,
        clock_offset_ms=clocks.offset_ms,
        schema_version=command.schema_version,
        source="phone",
        sequence=command.sequence,
        monotonic_ms=command.monotonic_ms,
        boot_id=command.boot_id,
        lat=where.lat if where else None,
        lng=where.lng if where else None,
        accuracy_m=where.accuracy_m if where else None,
        provider=where.provider if where else None,
        mock=where.mock if where else False,
        duration_s=command.duration_s,
        flags=flags,
        data=event_data(command, payload),
    )


def _signature(payload: Sign, event: Happened, order_id: UUID) -> signoff.SignatureRow:
    return signoff.SignatureRow(
        event_id=event.id,
        visit_id=event.visit_id,
        order_id=order_id,
        decision=payload.decision,
        reason=payload.reason,
        signer_name=payload.signer_name,
        rating=payload.rating,
        strokes=payload.strokes,
        summary=payload.summary,
        signed_at=event.corrected_at,
    )


def _replayed(item: Read, before: tuple[bytes, Answer], actor: Actor) -> Answer:
    sha256, first = before
    if sha256 != item.sha256:
        return _answer(item, "refused", "COMMAND_ID_REUSED", actor, path="id")
    status = first.first_status or first.status
    return msgspec.structs.replace(first, index=item.index, status="duplicate", first_status=status)


def _answer(
    item: Read, status: str, code: str | None, actor: Actor, *, path: str | None = None, why: str = ""
) -> Answer:
    return Answer(
        index=item.index,
        id=item.id,
        status=status,  # type: ignore[arg-type]
        code=code,
        path=path,
        message=sentence(code, actor.locale, why=why, limit=why) if code else None,
    )


def _kept(item: Read, answer: Answer) -> quarantine.Kept:
    return quarantine.Kept(
        command_id=item.key,
        category="conflict" if answer.status == "conflict" else "quarantined",
        code=answer.code or "",
        path=answer.path,
        message=answer.message or "",
        body=item.body,
        visit_id=item.command.visit_id if item.command is not None else None,
    )


def _decode(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return bytes(body).decode("utf-8", "replace")
