"""Push: a batch of commands from one phone.

Each command is atomic by itself and none stops another. The batch runs in chunks, one transaction each and every table
written by one statement (the fast path). If a chunk fails in the database, its commands run again in a transaction of
their own, and one that fails even so is quarantined. Whatever happens to the connection, the phone may send the batch
again: receipts make that harmless.

Revocation takes effect within a running push: the device's row is updated by the last statement of every chunk, under the
condition that it is not revoked. A revocation that committed before undoes the chunk; one that comes later waits.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec
import structlog

from callout_contracts import stamps
from callout_contracts.commands import COMMANDS_MAX, Answer, PushEnvelope
from callout_dispatch import visits
from callout_dispatch.events import Clocks
from callout_people.sessions import NotAsRemembered, Remembered
from callout_store import meters
from callout_store.errors import DeviceRequired, DeviceRevoked, DeviceWiped, LimitExceeded, Refusal
from callout_store.work import Actor, Database, Work
from callout_sync import holds, scope
from callout_sync.commands import Fault, Read, part_of, read_batch
from callout_sync.judge import Verdict, answer, judge
from callout_sync.look import RELEASED_MAX, lock_key, look

log = structlog.get_logger(__name__)

CHUNK = 100
CLASHES_MAX = 5
"""Times a chunk is tried again when the same commands arrive by two requests at once."""
KEYS = frozenset({"receipt_pkey", "visit_event_pkey", "held_command_pkey"})
"""What two requests with the same commands meet on."""


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """Answers in the order of the batch. `stamp` is what the phone has now seen; `wipe`: it is asked to forget all."""

    answers: list[Answer]
    received_at: datetime
    stamp: str
    wipe: bool


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a chunk; `more`: more held commands can be applied, `released`: so many were."""

    answers: list[Answer]
    released: int
    more: bool
    wipe: bool


class Run(msgspec.Struct, kw_only=True):
    """One batch on its way; `stored` counts the commands that need not be sent again."""

    db: Database
    org_id: UUID
    actor: Actor
    clocks: Clocks
    envelope: PushEnvelope
    remembered: Remembered | None = None
    stored: int = 0
    wipe: bool = False

    @property
    def device_id(self) -> UUID:
        """The phone's."""
        assert self.actor.device_id is not None
        return self.actor.device_id


async def push(
    db: Database, *, org_id: UUID, actor: Actor, envelope: PushEnvelope, remembered: Remembered | None = None
) -> Pushed:
    """Apply a batch. Refuses whole only where nothing can be read (no device, more than 200 commands) or nothing may be:
    from a revoked device, or one that was stolen. `remembered` is compared with the database before anything is judged:
    raises NotAsRemembered.

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
    run = Run(db=db, org_id=org_id, actor=actor, clocks=clocks, envelope=envelope, remembered=remembered)
    pending = sorted(read_batch(envelope.commands), key=lambda item: (item.sequence, item.index))
    answers: list[Answer] = []
    # An empty batch still measures the clock, is refused to a revoked device, and may settle what others wait for.
    for start in range(0, max(len(pending), 1), CHUNK):
        try:
            answers += await _chunk_or_singly(run, pending[start : start + CHUNK])
        except (DeviceRevoked, DeviceWiped):
            if not answers:
                raise
            answers += [
                answer(item, Verdict("refused", "DEVICE_REVOKED"), actor.locale) for item in pending[start:]
            ]
            break
        except Refusal as refusal:
            # The database went away mid-batch: what was committed stays answered, the rest is to be sent again.
            if not answers or not refusal.retryable:
                raise
            answers += [
                answer(item, Verdict("refused", "TRY_AGAIN"), actor.locale) for item in pending[start:]
            ]
            break
    for status, count in Counter(one.status for one in answers).items():
        meters.count("push_commands", count, status=status)
    return Pushed(
        answers=sorted(answers, key=lambda one: one.index),
        received_at=clocks.received_at,
        stamp=str(stamps.now(clocks.received_at)),
        wipe=run.wipe,
    )


async def _chunk_or_singly(run: Run, chunk: Sequence[Read]) -> list[Answer]:
    try:
        done = await _chunk(run, chunk, RELEASED_MAX, None)
        answers = done.answers
        while done.more:
            done = await _chunk(run, [], RELEASED_MAX, None)
        return answers
    except Exception as fault:
        if of_the_whole(fault):
            raise
        log.warning("push_chunk_failed", commands=len(chunk), exc_info=True)
    answers = []
    await _release_singly(run)
    for item in chunk:
        try:
            done = await _chunk(run, [item], 0, None)
        except Exception as fault:
            if of_the_whole(fault):
                raise
            log.error("push_command_failed", command=str(item.key), exc_info=True)
            broken = msgspec.structs.replace(item, fault=failed(fault))
            done = await _chunk(run, [broken], 0, None)
        answers += done.answers
        await _release_singly(run)
    return answers


async def _release_singly(run: Run) -> None:
    """Apply held commands whose turn has come, each in a transaction of its own; one that fails goes to quarantine."""
    released = 1
    while released:
        try:
            done = await _chunk(run, [], 1, None)
        except Exception as fault:
            if of_the_whole(fault):
                raise
            log.error("held_command_failed", device=str(run.device_id), exc_info=True)
            done = await _chunk(run, [], 1, failed(fault))
        released = done.released


def failed(fault: Exception) -> Fault:
    """The fault of a command that the database, or a service, would not take."""
    return Fault(
        code="COMMAND_FAILED", why=fault.code if isinstance(fault, Refusal) else type(fault).__name__
    )


def of_the_whole(fault: Exception) -> bool:
    """Whether a fault is the batch's (the device, the database) and not one command's."""
    return isinstance(fault, DeviceRevoked | DeviceWiped | NotAsRemembered) or (
        isinstance(fault, Refusal) and fault.retryable
    )


async def _chunk(run: Run, chunk: Sequence[Read], release_max: int, broken: Fault | None) -> Done:
    """Commands of the batch, and held ones whose turn they bring, in one transaction under the device's lock.

    `broken` is the fault that the held ones are kept with, because applying them failed.
    """

    async def act(work: Work) -> Done:
        known = await look(
            work,
            keys=[item.key for item in chunk],
            parts=[part for item in chunk if (part := part_of(item.payload)) is not None],
            remembered=run.remembered,
        )
        plan = holds.plan(
            settled=known.settled,
            oldest_pending=run.envelope.oldest_pending,
            batch=chunk,
            clocks=run.clocks,
            held=known.held,
            receipts=known.receipts,
            release_max=release_max,
            more_held=known.more_held,
        )
        if broken is not None:
            plan = holds.spoil(plan, broken)
        judged = await judge(work, known, plan, run.clocks)
        answers = [one for one, turn in zip(judged.answers, plan.turns, strict=True) if turn.held is None]
        # The device's row is written with what was put off, so that a revocation waits for us or undoes us.
        await _finish(work, run, plan.settled, judged.timed, chunk, answers)
        return Done(answers=answers, released=plan.released, more=plan.more, wipe=known.wipe)

    for clash in range(CLASHES_MAX):
        try:
            done = await run.db.run(run.org_id, act, actor=run.actor, lock=lock_key(run.device_id))
        except asyncpg.UniqueViolationError as fault:
            if fault.constraint_name not in KEYS or clash == CLASHES_MAX - 1:
                raise
            await asyncio.sleep(0.01 * 2**clash)
        else:
            run.stored += _stored(done.answers)
            run.wipe = done.wipe
            return done
    raise AssertionError("unreachable")


def _stored(answers: Sequence[Answer]) -> int:
    return sum(one.status != "refused" for one in answers)


async def _finish(
    work: Work,
    run: Run,
    settled: int,
    timed: tuple[int, datetime | None],
    chunk: Sequence[Read],
    answers: Sequence[Answer],
) -> None:
    """Write what was put off, the device's row with it, and the feed too where that is all: one statement."""
    envelope = run.envelope
    left = None if envelope.pending is None else max(0, envelope.pending - run.stored - _stored(answers))
    poke = scope.put_off(work)
    work.later(
        """
        update device set last_seen_at = $2, pushed_at = $2, last_sequence = greatest(last_sequence, $3),
            clock_offset_ms = $4, app_version = coalesce($5, app_version), settled_sequence = greatest(settled_sequence, $7),
            schema_version = coalesce($8, schema_version), pending = $9,
            storage_used_bytes = coalesce($10, storage_used_bytes), storage_free_bytes = coalesce($11, storage_free_bytes),
            timed_sequence = $12, timed_at = $13
        where org_id = callout_org() and id = $1 and user_id = $6 and revoked_at is null
          and wipe_mode is distinct from 'stolen' and wiped_at is null
          and exists (select 1 from app_user u where u.org_id = callout_org() and u.id = $6 and u.active)
        returning 1
        """,
        run.device_id,
        run.clocks.received_at,
        max((item.sequence for item in chunk), default=0),
        run.clocks.offset_ms,
        envelope.app_version,
        work.actor.user_id,
        settled,
        envelope.schema_version,
        left,
        envelope.storage_used_bytes,
        envelope.storage_free_bytes,
        *timed,
        name="stamped",
    )
    # What is read first is done first: an engineer's row is always locked before a device's.
    first = f"(select count(*) from {visits.POSITION}), " if work.waits(visits.POSITION) else ""
    told = f", (select count(*) from {scope.POKED})" if poke else ""
    done = await work.flush(f"select {first}(select count(*) from stamped) as stamped{told}")
    if done is None or not done["stamped"]:
        raise DeviceRevoked()
