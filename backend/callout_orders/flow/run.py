"""Flows as they run: begun when orders come in, moved on by what the journal says, always under the order's lock.

The hook costs nothing where no line concerns a flow, nor where a phone's push holds the orders already and their flows wait
for something else; otherwise it locks the orders and reads what their flows wait for. Two who bring the last two missing
things at once therefore wait for each other, and the second one sees both.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from callout_orders.flow import actions, deadlines, rules, starts
from callout_orders.flow.events import CALLED_OFF, DOUBLED, OUTCOME, SOLVED, VALUES, VISITS, named
from callout_orders.flow.parts import calling_off
from callout_orders.flow.rows import Running, load, store_asks, store_steps, store_waits
from callout_orders.flow.starts import Beginning, Incoming
from callout_orders.flow.state import Flow, Passed, StepState
from callout_orders.kinds import versions
from callout_orders.kinds.terms import Kind, Step
from callout_orders.sla.policy import policies
from callout_store.ids import new_id
from callout_store.journal import Entry, write_later
from callout_store.work import Work

ENDING: Final = frozenset({CALLED_OFF, SOLVED, DOUBLED})
CLOSED: Final = "work_order.closed"
_TWIN: Final = frozenset({"duplicateOf", "mergedInto"})
"""In the data of such a line: the order was closed because another one is about the same."""
MERGED: Final = "merged"
"""Heard where an order was put into another one, or ended with it: nobody works for it any more."""
ROUNDS_MAX: Final = 40
"""Rounds of moves and what follows from them in one unit of work; a checked kind needs a handful."""


async def prepare(
    work: Work, orders: Sequence[tuple[UUID, str, int, str, str]]
) -> tuple[list[Beginning], list[UUID]]:
    """How the flows of orders that are about to be taken in begin: (order, kind, version of the kind, priority, tier of the
    customer). What a flow waits for then belongs into its order's row; the second list are those of which more has to be
    known. `begin` has both, once the rows are there.
    """
    kinds = await versions.kinds_of(work, {(code, version) for _, code, version, _, _ in orders})
    simple = {key for key, kind in kinds.items() if starts.plain(kind)}
    begun = starts.beginnings(
        [
            Incoming(order_id=order_id, kind=kinds[code, version], priority=priority, tier=tier)
            for order_id, code, version, priority, tier in orders
            if (code, version) in simple
        ],
        await policies.active(work),
        work.now,
    )
    return begun, [order_id for order_id, code, version, _, _ in orders if (code, version) not in simple]


async def begin(work: Work, begun: Sequence[Beginning], rest: Sequence[UUID]) -> None:
    """Begin what was prepared. That an order came in says its first step as well; the journal has no second line for it."""
    await starts.store(work, begun)
    await _start(work, rest)


async def start(work: Work, orders: Sequence[tuple[UUID, str, int]]) -> None:
    """Begin the flows of orders that are there: (order, kind, version of the kind); all in a few statements.

    An order whose flow was broken off (it counted as a duplicate for a while) begins anew; one whose flow goes on is left
    alone.
    """
    if not orders:
        return
    kinds = await versions.kinds_of(work, {(code, version) for _, code, version in orders})
    rest = [order_id for order_id, code, version in orders if not starts.plain(kinds[code, version])]
    rest += await starts.start_plain(
        work,
        {
            order_id: kinds[code, version]
            for order_id, code, version in orders
            if starts.plain(kinds[code, version])
        },
    )
    await _start(work, rest)


async def _start(work: Work, order_ids: Sequence[UUID]) -> None:
    if not order_ids:
        return
    flows = []
    for one in await load(work, order_ids):
        if any(step.live for step in one.steps):
            continue
        first = one.kind.steps[0].code
        steps = rules.lead_back(one.steps, first, work.now) if one.steps else rules.begin(one.kind, work.now)
        flows.append((one, rules.advance(one.kind, steps, (), one.facts, work.now)))
    await _store(work, flows, quiet=True)


async def follow(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook over a unit of work's journal lines."""
    seen = 0
    for _ in range(ROUNDS_MAX):
        fresh, seen = lines[seen:], len(lines)
        await deadlines.follow_clocks(work, fresh)
        heard = await _of_matter(work, _heard(fresh))
        if not heard:
            return
        held = await hold(work, heard)
        moved = [id_ for id_, waits in held.items() if waits & heard[id_] or _ends(heard[id_])]
        if not moved:
            return
        stands = await advance(work, moved)
        await actions.tell_missing(work, [one for one in stands if OUTCOME in heard[one[0].order_id]])
        await calling_off.call_off(
            work, {id_: why for id_ in moved if (why := _over(heard[id_])) is not None}
        )
        if solved := [id_ for id_ in moved if SOLVED in heard[id_]]:
            await _cut_short(work, solved)
        if doubled := [id_ for id_ in moved if DOUBLED in heard[id_]]:
            await _break_off(work, doubled)


def _heard(lines: Iterable[tuple[UUID, Any]]) -> dict[UUID, set[str]]:
    heard: dict[UUID, set[str]] = {}
    for _, entry in lines:
        if entry.order_id is None:
            continue
        names = named(entry.kind)
        if entry.kind in ENDING:
            names |= {entry.kind}
        elif entry.kind == CLOSED and not _TWIN.isdisjoint(entry.data):
            names |= {DOUBLED, MERGED}
        if names:
            heard.setdefault(entry.order_id, set()).update(names)
    return heard


def _over(heard: set[str]) -> str | None:
    """Why nobody needs parts for an order any more; None where somebody does."""
    reasons = {CALLED_OFF: "order_canceled", MERGED: "order_merged", SOLVED: "order_solved"}
    return next((why for name, why in reasons.items() if name in heard), None)


async def _of_matter(work: Work, heard: dict[UUID, set[str]]) -> dict[UUID, set[str]]:
    """Without the orders of kinds no step of which ever waits for any of it: nobody has to look at their flows. The kind is
    known where a phone's push was behind it; an order keeps its kind for good."""
    known = {id_: work.kinds[id_] for id_ in heard if id_ in work.kinds}
    if not known:
        return heard
    kinds = await versions.kinds_of(work, set(known.values()))
    return {
        id_: names
        for id_, names in heard.items()
        if id_ not in known or not names.isdisjoint(_waited_for(kinds[known[id_]]))
    }


@lru_cache(maxsize=512)
def _waited_for(kind: Kind) -> frozenset[str]:
    """All that a flow of this kind may ever wait for, or ends with."""
    return frozenset({VALUES, VISITS, OUTCOME, MERGED, *ENDING}).union(*(step.events for step in kind.steps))


def _ends(heard: set[str]) -> bool:
    return not heard.isdisjoint(ENDING)


async def _cut_short(work: Work, order_ids: Sequence[UUID]) -> None:
    """An answer solved these orders: nobody has to come any more, whatever step they are at."""
    running = [one for one in await load(work, order_ids) if one.steps and one.state == "closed"]
    for one in running:
        one.steps = rules.cut_short(one.kind, one.steps, work.now)
    await settle(work, [one for one in running if one.steps != one.stored])


async def _break_off(work: Work, order_ids: Sequence[UUID]) -> None:
    """These orders go the way of others that they are duplicates of."""
    running = [one for one in await load(work, order_ids) if any(step.live for step in one.steps)]
    for one in running:
        one.steps = rules.call_off(one.steps)
    await settle(work, running)


async def hold(work: Work, order_ids: Iterable[UUID]) -> dict[UUID, frozenset[str]]:
    """The orders' rows under lock, in the order of their ids, and what their flows wait for. Of those that this unit of work
    holds already, it is known."""
    ids = set(order_ids)
    if unknown := sorted(ids - work.flows.keys()):
        rows = await work.fetch(
            """
            select id, flow_waits from work_order where org_id = callout_org() and id = any($1)
            order by id for no key update
            """,
            unknown,
        )
        work.flows |= {row["id"]: frozenset(row["flow_waits"]) for row in rows}
    return {id_: work.flows[id_] for id_ in ids if id_ in work.flows}


async def advance(work: Work, order_ids: Sequence[UUID]) -> list[tuple[Running, Flow]]:
    """Bring the flows of these orders as far as they come; the caller holds their rows. The same again changes nothing."""
    return await settle(work, [one for one in await load(work, order_ids) if one.steps])


async def settle(work: Work, running: Sequence[Running]) -> list[tuple[Running, Flow]]:
    """Go on from flows that were loaded and perhaps changed (a person said something), and store what became of them."""
    flows = []
    for one in running:
        steps = rules.call_off(one.steps) if one.state == "canceled" else one.steps
        flows.append((one, rules.advance(one.kind, steps, one.words, one.facts, work.now)))
    return await _store(work, flows)


async def _store(
    work: Work, flows: Sequence[tuple[Running, Flow]], *, quiet: bool = False
) -> list[tuple[Running, Flow]]:
    changed: list[tuple[UUID, Passed, str, Any]] = []
    entries: list[Entry] = []
    asks = []
    superseded: list[UUID] = []
    due = await deadlines.due_of_entered(work, flows)
    stored: list[tuple[Running, Flow]] = []
    for one, flow in flows:
        before = {step.n: step for step in one.stored}
        steps: list[Passed] = []
        for step in flow.steps:
            was = before.get(step.n)
            kept = step if step.id is not None else replace(step, id=new_id())
            steps.append(kept)
            if was == kept:
                continue
            configured = one.kind.step(kept.step)
            assert configured is not None
            changed.append((one.order_id, kept, configured.owner, due.get((one.order_id, kept.n))))
            entries += _entries(one, configured, was, kept, due.get((one.order_id, kept.n)), quiet=quiet)
        here = next((step for step in reversed(steps) if step.live), None)
        if here is not None and here.id is not None:
            asks += [(one.order_id, here.id, ask) for ask in flow.asks]
        superseded += [word.id for word in flow.superseded if word.id is not None]
        stored.append((one, replace(flow, steps=tuple(steps))))
    store_steps(work, changed)
    store_waits(work, {one.order_id: flow.waits for one, flow in flows if flow.waits != one.waits})
    asked = await store_asks(work, asks, superseded)
    entries += [
        Entry(
            kind="flow.approval_asked",
            entity="work_order",
            entity_id=one.order_id,
            order_id=one.order_id,
            data={
                "approvalId": one.id,
                "code": one.ask.approval.code,
                "label": {"en": one.ask.approval.label.en, "zh": one.ask.approval.label.zh},
                "step": one.ask.step,
                "owner": one.ask.approval.by,
                "about": one.ask.about,
            },
        )
        for one in asked
    ]
    write_later(work, entries)
    deadlines.set_timers(work, stored, due)
    # All of it in one statement: what follows reads it.
    await work.flush()
    await actions.run(work, stored, asked)
    return stored


def _entries(
    one: Running, step: Step, was: Passed | None, now: Passed, due_at: Any, *, quiet: bool
) -> Iterable[Entry]:
    """What the journal says about a step that was entered, is done, or cannot go on."""

    def entry(kind: str, **data: Any) -> Entry:
        label = {"en": step.label.en, "zh": step.label.zh}
        told = {
            "step": step.code,
            "label": label,
            "owner": step.owner,
            "n": now.n,
            "times": now.times,
            **data,
        }
        return Entry(kind=kind, entity="work_order", entity_id=one.order_id, order_id=one.order_id, data=told)

    entered = now.entered_at is not None and (was is None or was.entered_at is None)
    if entered and not (quiet and now.n == 1):
        yield entry("flow.step_entered", enteredAt=now.entered_at, dueAt=due_at)
    if now.state is StepState.DONE and (was is None or was.state is not StepState.DONE):
        yield entry("flow.step_done", doneAt=now.done_at)
    if now.state is StepState.BACK:
        yield entry("flow.step_left")
    if now.blocked is not None and (was is None or was.blocked != now.blocked):
        blocked = now.blocked
        yield entry("flow.blocked", code=blocked.code, place=blocked.place, why=blocked.why)
