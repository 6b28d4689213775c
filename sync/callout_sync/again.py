"""What people and timers do with commands that were kept: run a quarantined one again, force what waits too long."""

from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from callout_contracts.commands import Answer
from callout_dispatch.events import Clocks
from callout_store.errors import NotFound, WrongState
from callout_store.work import SYSTEM, Actor, Database, Work
from callout_sync import holds, quarantine
from callout_sync.commands import Fault, part_of, read
from callout_sync.judge import NotApplicable, judge
from callout_sync.look import RELEASED_MAX, lock_key, look
from callout_sync.push import failed, of_the_whole

log = structlog.get_logger(__name__)


async def retry(db: Database, *, org_id: UUID, entry_id: UUID, actor: Actor) -> Answer:
    """Run a quarantined command again, mended or as it came, on behalf of the device that sent it, and close the entry if
    it was applied. It counts as done when it was done, not now.

    Raises NotFound, and WrongState for an entry that is settled, or is a conflict: its event is recorded already.
    """

    tried = False

    async def again(work: Work) -> Answer:
        nonlocal tried
        tried = False
        row = await work.fetchrow(
            """
            select coalesce(mended_body, body) as body, device_id, user_id, received_at, category, clocks::text as clocks
            from quarantine where org_id = callout_org() and id = $1
            """,
            entry_id,
        )
        if row is not None and row["category"] != "quarantined":
            raise WrongState(entity="quarantined command", state=row["category"], needed="quarantined")
        await quarantine.settle(work, id=entry_id, state="applied", note="retried")
        assert row is not None
        tried = True
        item = read(0, _decode(row["body"]))
        if item.fault is not None or item.command is None:
            raise NotApplicable(item.fault or Fault(code="COMMAND_UNREADABLE"))
        work.actor = Actor(
            user_id=row["user_id"], device_id=row["device_id"], role="engineer", locale=actor.locale
        )
        clocks = (
            msgspec.json.decode(row["clocks"], type=Clocks)
            if row["clocks"]
            else Clocks(received_at=row["received_at"], sent_at=item.command.device_time)
        )
        part = part_of(item.payload)
        known = await look(work, keys=[], parts=[part] if part is not None else [], behind_its_back=True)
        turn = holds.Turn(item=item, clocks=clocks)
        plan = holds.Plan(turns=[turn], marks=[], passed=[], settled=known.settled, more=False)
        judged = await judge(work, known, plan, clocks, again=True)
        return judged.answers[0]

    try:
        return await db.run(org_id, again, actor=actor)
    except NotApplicable as still:
        return Answer(index=0, status="quarantined", code=still.fault.code, path=still.fault.path)
    except Exception as fault:
        if not tried or of_the_whole(fault):
            raise
        log.error("retry_failed", entry=str(entry_id), exc_info=True)
        return Answer(index=0, status="quarantined", code="COMMAND_FAILED")


async def force(
    db: Database, *, org_id: UUID, device_id: UUID, actor: Actor = SYSTEM, everything: bool = False
) -> int:
    """Apply, in their order, a device's commands that have waited too long for one before them; `everything`: whether or
    not they have. Returns how many were forced. Sets the timer anew for those that go on waiting.

    Raises NotFound.
    """
    forced, more = 0, True
    while more:
        try:
            count, more = await _force(
                db, org_id, device_id, actor, everything, RELEASED_MAX, None, forced > 0
            )
        except Exception as fault:
            if of_the_whole(fault) or isinstance(fault, NotFound):
                raise
            log.warning("force_failed", device=str(device_id), exc_info=True)
            try:
                count, more = await _force(db, org_id, device_id, actor, everything, 1, None, forced > 0)
            except Exception as one:
                if of_the_whole(one):
                    raise
                count, more = await _force(
                    db, org_id, device_id, actor, everything, 1, failed(one), forced > 0
                )
        forced += count
    return forced


async def _force(
    db: Database,
    org_id: UUID,
    device_id: UUID,
    actor: Actor,
    everything: bool,
    release_max: int,
    broken: Fault | None,
    forcing: bool,
) -> tuple[int, bool]:
    async def act(work: Work) -> tuple[int, bool]:
        user = await work.fetchrow(
            """
            select d.user_id, u.locale from device d join app_user u on u.org_id = d.org_id and u.id = d.user_id
            where d.org_id = callout_org() and d.id = $1
            """,
            device_id,
        )
        if user is None:
            raise NotFound(entity="device")
        work.actor = Actor(
            user_id=user["user_id"], device_id=device_id, role="engineer", locale=user["locale"]
        )
        known = await look(work, keys=[], parts=[], behind_its_back=True)
        # Asked of all of them: the one that is due may lie behind more than are read at a time.
        force_through: int = await work.fetchval(
            """
            select coalesce(max(sequence), -1) from held_command
            where org_id = callout_org() and device_id = $1 and state in ('held', 'answered')
              and (force_at <= now() or $2)
            """,
            device_id,
            everything,
        )
        clocks = Clocks(received_at=work.now, sent_at=work.now)
        plan = holds.plan(
            settled=known.settled,
            oldest_pending=None,
            batch=[],
            clocks=clocks,
            held=known.held,
            receipts={},
            release_max=release_max,
            more_held=known.more_held,
            force_through=force_through,
            forcing=forcing,
        )
        if broken is not None:
            plan = holds.spoil(plan, broken)
        await judge(work, known, plan, clocks, by=actor.user_id)
        await work.execute(
            """
            update device set settled_sequence = greatest(settled_sequence, $2)
            where org_id = callout_org() and id = $1
            """,
            device_id,
            plan.settled,
        )
        rest: datetime | None = await work.fetchval(
            "select min(force_at) from held_command where org_id = callout_org() and device_id = $1 and state = 'held'",
            device_id,
        )
        if rest is not None and not plan.more:
            await holds.arm(work, rest)
        return sum(turn.forced for turn in plan.turns), plan.more

    return await db.run(org_id, act, actor=actor, lock=lock_key(device_id))


def _decode(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return bytes(body).decode("utf-8", "replace")
