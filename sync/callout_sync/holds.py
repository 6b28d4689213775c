"""Holds: a command that overtook another of its phone waits for it, and is applied after it, or without it in the end.

The phone says up to where it has answers (`oldestPending`); the server notes it as the device's settled sequence and moves it
on over what arrives without a gap. A command behind a gap is stored whole, with the clocks of the batch it came in.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from callout_dispatch.events import Clocks
from callout_store import journal, timers
from callout_store.errors import LimitExceeded
from callout_store.work import Work
from callout_sync.commands import Fault, Read, read
from callout_sync.look import Held
from callout_sync.receipts import Receipt

PAGE_MAX = 201
"""Entries on a page; a door asks for one more than it shows."""
CHANNEL = "sync.hold"
STATES = ("held", "answered", "applied", "forced")


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One command in its turn. `wait`: it is to be held. `held`: where it comes from, if it was held. `forced`: it is
    applied although a predecessor never came."""

    item: Read
    clocks: Clocks
    wait: bool = False
    held: Held | None = None
    forced: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with a batch and with what waits: `turns` in order; `marks`: commands that are answered out of turn;
    `passed`: marks that are needed no longer; `settled`: the device's new sequence; `more`: more could be released."""

    turns: list[Turn]
    marks: list[Read]
    passed: list[UUID]
    settled: int
    more: bool

    @property
    def released(self) -> int:
        """How many held commands are applied."""
        return sum(turn.held is not None for turn in self.turns)


def plan(
    *,
    settled: int,
    oldest_pending: int | None,
    batch: Sequence[Read],
    clocks: Clocks,
    held: Sequence[Held],
    receipts: Mapping[UUID, Receipt],
    release_max: int,
    more_held: bool = False,
    force_through: int = -1,
    forcing: bool = False,
) -> Plan:
    """Put a batch and what waits into the order of their numbers, and say who has to wait. Pure.

    Without `oldest_pending` nothing of the batch has to wait: the phone may be one that would never hear of it. Held commands
    up to `force_through` are applied whatever is missing before them; `forcing`: something was missing before those of an
    earlier portion. At most `release_max` held ones are applied.
    """
    settled = max(settled, (oldest_pending or 1) - 1)
    turns: list[Turn] = []
    marks: list[Read] = []
    passed: list[UUID] = []
    released = 0
    more = False
    # Of the same number the held one comes first, so that a replay of it finds the final answer.
    queue: list[tuple[int, int, int]] = [(one.sequence, 0, n) for n, one in enumerate(held)]
    queue += [(item.sequence, 1, n) for n, item in enumerate(batch)]
    for sequence, origin, n in sorted(queue):
        ready = sequence <= settled + 1 and not more
        if origin == 0:
            waiting = held[n]
            if waiting.answered:
                if ready or sequence <= force_through:
                    passed.append(waiting.id)
                    settled = max(settled, sequence)
                continue
            if not ready and (more or sequence > force_through):
                continue
            if released == release_max:
                more = True
                continue
            forcing = forcing or not ready
            released += 1
            item = read(-1, msgspec.json.decode(waiting.body))
            turns.append(Turn(item=item, clocks=waiting.clocks, held=waiting, forced=forcing))
            settled = max(settled, sequence)
            continue
        item = batch[n]
        receipt = receipts.get(item.key)
        if receipt is not None:
            turns.append(Turn(item=item, clocks=clocks))
            if sequence == settled + 1 and not more and receipt.answer.status != "held":
                settled = sequence
        elif ready or oldest_pending is None:
            turns.append(Turn(item=item, clocks=clocks))
            if sequence == settled + 1 and not more:
                settled = sequence
        elif item.fault is not None:
            turns.append(Turn(item=item, clocks=clocks))
            marks.append(item)
        else:
            turns.append(Turn(item=item, clocks=clocks, wait=True))
    return Plan(
        turns=turns,
        marks=marks,
        passed=passed,
        settled=settled,
        more=more or (more_held and (released > 0 or bool(passed))),
    )


def spoil(plan: Plan, fault: Fault) -> Plan:
    """The same plan, but the held commands in it are kept for a person instead of applied."""
    turns = [
        msgspec.structs.replace(turn, item=msgspec.structs.replace(turn.item, fault=fault))
        if turn.held is not None
        else turn
        for turn in plan.turns
    ]
    return msgspec.structs.replace(plan, turns=turns)


def timer_key(device_id: UUID) -> str:
    """The key of the timer that forces a device's held commands."""
    return f"sync.hold:{device_id}"


async def keep(
    work: Work, waits: Sequence[Read], marks: Collection[UUID], clocks: Clocks, *, first: bool
) -> None:
    """Store commands that wait, and those (`marks`, among `waits`) that only stand in for their number.

    `first`: none of this device waited before, so that its timer has to be set.
    """
    if not waits:
        return
    rows = await work.fetch(
        """
        insert into held_command (command_id, device_id, user_id, visit_id, sequence, body, clocks, received_at, force_at,
                                  state)
        select c, $6, $7, v, s, b, $8::text::jsonb, $9,
               now() + make_interval(mins => (select hold_minutes from organisation where id = callout_org())), t
        from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bytea[], $5::text[]) as t(c, v, s, b, t)
        returning force_at, state
        """,
        [item.key for item in waits],
        [item.visit_id for item in waits],
        [item.sequence for item in waits],
        [item.body if item.key not in marks else b"" for item in waits],
        ["answered" if item.key in marks else "held" for item in waits],
        work.actor.device_id,
        work.actor.user_id,
        msgspec.json.encode(clocks).decode(),
        clocks.received_at,
    )
    held = [row["force_at"] for row in rows if row["state"] == "held"]
    if first and held:
        await arm(work, min(held))
    await journal.write_many(
        work,
        [
            journal.Entry(
                kind="sync.held",
                entity="command",
                entity_id=item.key,
                visit_id=item.visit_id,
                data={"sequence": item.sequence},
            )
            for item in waits
            if item.key not in marks
        ],
    )


async def arm(work: Work, due_at: datetime) -> None:
    """Set the timer that forces what this unit of work's device has waiting."""
    assert work.actor.device_id is not None
    await timers.arm(
        work,
        key=timer_key(work.actor.device_id),
        due_at=due_at,
        channel=CHANNEL,
        payload={"deviceId": str(work.actor.device_id)},
    )


async def settle(work: Work, turns: Sequence[Turn], passed: Sequence[UUID], by: UUID | None) -> None:
    """Note which held commands were applied, and which of them by force; drop the marks that were passed."""
    released = [turn for turn in turns if turn.held is not None]
    if released:
        await work.execute(
            """
            update held_command h set state = t.s, settled_at = $3
            from unnest($1::uuid[], $2::text[]) as t(c, s)
            where h.org_id = callout_org() and h.command_id = t.c
            """,
            [turn.item.key for turn in released],
            ["forced" if turn.forced else "applied" for turn in released],
            work.now,
        )
    if passed:
        await work.execute(
            "delete from held_command where org_id = callout_org() and command_id = any($1) and state = 'answered'",
            list(passed),
        )
    forced = [turn for turn in released if turn.forced]
    if forced:
        await journal.write_many(
            work,
            [
                journal.Entry(
                    kind="sync.forced",
                    entity="command",
                    entity_id=turn.item.key,
                    visit_id=turn.held.visit_id if turn.held else None,
                    data={"sequence": turn.item.sequence, "by": by},
                )
                for turn in forced
            ],
        )


class HeldCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command that waits or waited, as a person sees it; `id` is its own, `body` its JSON as it came. `state`: held,
    applied (its predecessor came), forced (it never did)."""

    id: UUID
    device_id: UUID
    device_name: str
    user_id: UUID
    user_name: str
    visit_id: UUID | None
    sequence: int
    body: str
    received_at: datetime
    force_at: datetime
    state: str
    settled_at: datetime | None


async def page(
    work: Work,
    *,
    state: str | None = "held",
    device_id: UUID | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> list[HeldCommand]:
    """Commands that wait (or with another `state`; None for all), by their ids downwards."""
    if not 1 <= limit <= PAGE_MAX:
        raise LimitExceeded(path="limit", what="rows a page", limit=PAGE_MAX, given=limit)
    rows = await work.fetch(
        """
        select h.command_id as id, h.device_id, d.name as device_name, h.user_id, u.name as user_name, h.visit_id,
               h.sequence, h.body, h.received_at, h.force_at, h.state, h.settled_at
        from held_command h
        join device d on d.org_id = h.org_id and d.id = h.device_id
        join app_user u on u.org_id = h.org_id and u.id = h.user_id
        where h.org_id = callout_org() and h.state <> 'answered' and ($1::text is null or h.state = $1)
          and ($2::uuid is null or h.device_id = $2) and ($3::uuid is null or h.command_id < $3)
        order by h.command_id desc limit $4
        """,
        state,
        device_id,
        after,
        limit,
    )
    return [
        HeldCommand(**{**dict(row), "body": bytes(row["body"]).decode("utf-8", "replace")}) for row in rows
    ]
