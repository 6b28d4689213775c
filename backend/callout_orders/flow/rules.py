"""How a flow goes on: pure rules over the steps that were reached and what is known of the order.

`advance` takes both and says how the flow stands now; the same again changes nothing. A step is never skipped, and none
begins before the one before it is done. Where a rule of the kind cannot be evaluated, or no way leads on, the flow of this
one order stops there and says why; a person decides in the rule's stead (`settled`).

Times are those of what happened, not of when it was heard: a phone that was away for a day sends arrival, diagnosis and end
at once, and the steps that they end are entered and ended at the times of the events. Which event ends which step does not
depend on the order in which they came in: within a round, everything counts that no other step has used up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from callout_orders.flow.events import CLOSED, OUTCOME, VALUES, VISITS, Event
from callout_orders.flow.needs import (
    YES,
    StoppedError,
    about,
    approvals_of,
    closes_on_enter,
    holds,
    missing_of,
)
from callout_orders.flow.state import (
    Ask,
    Blocked,
    Do,
    Facts,
    Flow,
    Missing,
    Passed,
    StepState,
    Word,
)
from callout_orders.kinds import expressions
from callout_orders.kinds.expressions import BadExpression
from callout_orders.kinds.limits import STEPS_MAX, TIMES_MAX
from callout_orders.kinds.terms import ActionName, Kind, Step
from callout_orders.kinds.walk import next_step

MOVES_MAX: Final = 2 * STEPS_MAX * TIMES_MAX + 1
"""Moves that one call may make: the longest kind with all its rounds, each of whose steps is entered and ended."""
DONE: Final = "visit_completed"
FAILED: Final = "visit_failed"
_ENDS: Final = ("visit_ended", DONE, FAILED)
_NOTE: Final = "="
"""Before a name in `Passed.used`: not used up, but how it was when the step ended."""


def begin(kind: Kind, at: datetime) -> tuple[Passed, ...]:
    """The flow of an order that just came in: its first step is reached, not yet entered."""
    return (Passed(n=1, step=kind.steps[0].code, times=1, state=StepState.WAITING, reached_at=at),)


def advance(kind: Kind, steps: Sequence[Passed], words: Sequence[Word], facts: Facts, now: datetime) -> Flow:
    """The flow as far as it comes with what is known. `steps` by `n`; `words` are all approvals of the order."""
    passed = _decided_anew(kind, list(steps), facts, now)
    actions: list[Do] = []
    for _ in range(MOVES_MAX):
        at = next((i for i in range(len(passed) - 1, -1, -1) if passed[i].live), None)
        if at is None:
            asked = tuple(word for word in words if word.state == "asked")
            return Flow(steps=tuple(passed), actions=tuple(actions), superseded=asked, over=True)
        here = passed[at]
        step = kind.step(here.step)
        if step is None:
            raise LookupError(f"the kind {kind.code} has no step {here.step}")
        try:
            moved = _move(kind, step, passed, at, words, facts, now, actions)
        except StoppedError as stop:
            passed[at] = replace(here, blocked=stop.blocked)
            return Flow(
                steps=tuple(passed),
                actions=tuple(actions),
                waits=frozenset({VALUES}),
            )
        if moved is not None:
            return _standing(kind, step, passed, at, words, facts, actions)
    raise AssertionError("a checked kind comes to an end")


def where(kind: Kind, steps: Sequence[Passed], words: Sequence[Word], facts: Facts) -> Missing:
    """What the present step still needs; nothing where the flow is over."""
    here = next((one for one in reversed(steps) if one.live), None)
    step = kind.step(here.step) if here is not None else None
    if here is None or step is None:
        return Missing()
    try:
        return missing_of(kind, step, steps, here, words, facts)[0]
    except StoppedError:
        return Missing(rule=True)


def ahead(kind: Kind, steps: Sequence[Passed], facts: Facts) -> list[Step]:
    """The steps that come after the present one, as things stand now, up to the one with which the order is closed or the
    flow ends. What is not known yet counts as not so."""
    here = next((one for one in reversed(steps) if one.live), None)
    step = kind.step(here.step) if here is not None else None
    entered = Counter(one.step for one in steps if here is not None and one.lap == here.lap)

    def so(text: str) -> bool:
        try:
            return expressions.holds(text, facts.env)
        except BadExpression:
            return False

    found: list[Step] = []
    while step is not None and not _closes(step):
        step = next_step(kind, step, entered, so)
        if step is not None:
            entered[step.code] += 1
            found.append(step)
    return found


def _closes(step: Step) -> bool:
    """Whether an order is closed at this step, by itself or by somebody."""
    return CLOSED in step.events or any(
        action.do is ActionName.CLOSE for action in (*step.on_enter, *step.on_done)
    )


def may_lead_to(kind: Kind, steps: Sequence[Passed], *, here_too: bool = False) -> tuple[str, ...]:
    """Steps that a person may lead the flow back to: those that were entered and may be once more. `here_too`: the one that
    it is at as well, to begin it anew."""
    times = Counter(one.step for one in steps)
    here = None if here_too else next((one.step for one in reversed(steps) if one.live), None)
    return tuple(
        step.code for step in kind.steps if 0 < times[step.code] < step.times_max and step.code != here
    )


def lead_back(steps: Sequence[Passed], to: str, at: datetime) -> tuple[Passed, ...]:
    """The flow led back to a step by a person: a new round, in which only counts what happens from now on."""
    times = Counter(one.step for one in steps)
    lap = max((one.lap for one in steps), default=1) + 1
    left = tuple(replace(one, state=StepState.BACK, blocked=None) if one.live else one for one in steps)
    n = max((one.n for one in steps), default=0) + 1
    new = Passed(
        n=n, step=to, times=times[to] + 1, state=StepState.WAITING, reached_at=at, lap=lap, lap_at=at
    )
    return (*left, new)


def cut_short(kind: Kind, steps: Sequence[Passed], at: datetime) -> tuple[Passed, ...]:
    """The flow of an order that was solved before anybody had to come: on to its survey, or over where it has none.

    One that asks the customer already, or has asked, goes on as it is.
    """
    here = next((one for one in reversed(steps) if one.live), None)
    asking = [
        step.code
        for step in kind.steps
        if any(action.do is ActionName.ASK_SURVEY for action in step.on_enter)
    ]
    if here is None or any(one.step in asking and one.lap == here.lap for one in steps):
        return tuple(steps)
    left = call_off(steps)
    if not asking:
        return left
    n = max(one.n for one in steps) + 1
    times = sum(one.step == asking[0] for one in steps) + 1
    new = Passed(
        n=n,
        step=asking[0],
        times=times,
        state=StepState.WAITING,
        reached_at=at,
        lap=here.lap,
        lap_at=here.lap_at,
    )
    return (*left, new)


def call_off(steps: Sequence[Passed]) -> tuple[Passed, ...]:
    """The flow of an order that was called off."""
    return tuple(replace(one, state=StepState.CANCELED, blocked=None) if one.live else one for one in steps)


def _move(
    kind: Kind,
    step: Step,
    passed: list[Passed],
    at: int,
    words: Sequence[Word],
    facts: Facts,
    now: datetime,
    actions: list[Do],
) -> bool | None:
    """One move; None where one was made, True where there is none."""
    here = passed[at]
    if here.state is StepState.WAITING:
        closes = closes_on_enter(step)
        if not holds(step.enter, "enter", here, facts) or (closes and facts.visit_live):
            passed[at] = replace(here, blocked=None)
            return True
        # What had to be waited for came now, and not when the step was reached.
        entered = here.reached_at if step.enter == YES and not closes else max(here.reached_at, now)
        passed[at] = replace(here, state=StepState.OPEN, entered_at=entered, blocked=None)
        actions += [Do(n=here.n, step=step.code, on="enter", action=one) for one in step.on_enter]
        return None
    missing, used = missing_of(kind, step, passed, here, words, facts)
    if not missing.nothing:
        passed[at] = replace(here, blocked=None)
        return True
    assert here.entered_at is not None
    done_at = max([here.entered_at, *_times(step, here, used, words, now)])
    after = _after(kind, step, passed, here, facts)
    passed[at] = replace(
        here,
        state=StepState.DONE,
        done_at=done_at,
        used={name: tuple(event.key for event in events) for name, events in used.items()}
        | _outcomes(used, facts),
        blocked=None,
    )
    actions += [Do(n=here.n, step=step.code, on="done", action=one) for one in step.on_done]
    if after is not None:
        times = sum(one.step == after.code for one in passed) + 1
        passed.append(
            Passed(
                n=passed[-1].n + 1,
                step=after.code,
                times=times,
                state=StepState.WAITING,
                reached_at=done_at,
                lap=here.lap,
                lap_at=here.lap_at,
            )
        )
    return None


def _outcomes(used: Mapping[str, Sequence[Event]], facts: Facts) -> dict[str, tuple[str, ...]]:
    """How the visits ended whose ends ended the step: an engineer may correct that."""
    keys = {event.key for name in _ENDS for event in used.get(name, ())}
    if not keys:
        return {}
    return {_NOTE + name: tuple(sorted(keys & _keys(name, facts))) for name in (DONE, FAILED)}


def _keys(name: str, facts: Facts) -> set[str]:
    return {event.key for event in facts.events if event.name == name}


def _decided_anew(kind: Kind, passed: list[Passed], facts: Facts, now: datetime) -> list[Passed]:
    """The steps after an engineer corrected how a visit ended: "could not complete" that was meant as "completed".

    Where the flow stands at a step that nobody has touched since, and the step before it would lead elsewhere by now, it
    goes there instead. What was done meanwhile stays done.
    """
    here = next((one for one in reversed(passed) if one.live), None)
    turned = False
    for i, one in enumerate(passed):
        known = {*one.used.get(_NOTE + DONE, ()), *one.used.get(_NOTE + FAILED, ())}
        if here is None or one.lap != here.lap or one.state is not StepState.DONE or not known:
            continue
        fresh = {_NOTE + name: tuple(sorted(known & _keys(name, facts))) for name in (DONE, FAILED)}
        if any(fresh[name] != one.used.get(name, ()) for name in fresh):
            passed[i] = replace(one, used={**one.used, **fresh})
            turned = True
    before = next((one for one in reversed(passed) if one.state is StepState.DONE), None)
    if not turned or here is None or here.said_at is not None or before is None or before.lap != here.lap:
        return passed
    step = kind.step(before.step)
    try:
        others = [one for one in passed if one.n != here.n]
        after = _after(kind, step, others, before, facts) if step is not None else None
    except StoppedError:
        return passed
    if after is None or after.code == here.step:
        return passed
    passed = [replace(one, state=StepState.BACK, blocked=None) if one.n == here.n else one for one in passed]
    times = sum(one.step == after.code for one in passed) + 1
    passed.append(
        Passed(
            n=passed[-1].n + 1,
            step=after.code,
            times=times,
            state=StepState.WAITING,
            reached_at=max(here.reached_at, now),
            lap=here.lap,
            lap_at=here.lap_at,
        )
    )
    return passed


def _times(
    step: Step, here: Passed, used: Mapping[str, Sequence[Event]], words: Sequence[Word], now: datetime
) -> Iterable[datetime]:
    """When each of the things was there that the step needed."""
    for events in used.values():
        yield events[0].at
    if here.said_at is not None:
        yield here.said_at
    decided = [word.decided_at for word in words if word.n == here.n and word.decided_at is not None]
    yield from decided
    if step.fields and not step.by_hand and not decided:
        # Nobody notes when a field was filled in; by now it is.
        yield now


def _standing(
    kind: Kind,
    step: Step,
    passed: list[Passed],
    at: int,
    words: Sequence[Word],
    facts: Facts,
    actions: list[Do],
) -> Flow:
    """The flow where it comes to rest: what is asked, what is missing, what may move it."""
    here = passed[at]
    missing, _ = missing_of(kind, step, passed, here, words, facts)
    asks: list[Ask] = []
    superseded: list[Word] = []
    codes = {one.step for one in passed}
    has_approvals = any(one.approvals for one in kind.steps if one.code in codes)
    if here.state is StepState.OPEN:
        needed = approvals_of(kind, passed, words, facts, ready=not missing.fields)
        by_code = {approval.code: approval for approval, _ in needed}
        for word in words:
            approval = by_code.get(word.code)
            if word.state == "asked" and (
                approval is None or dict(word.about) != about(approval.when, facts.env)
            ):
                superseded.append(word)
        asks = [
            Ask(n=here.n, step=here.step, approval=approval, about=about(approval.when, facts.env))
            for approval, word in needed
            if word is None
        ]
    waits = {*missing.events}
    if missing.enter or missing.fields or has_approvals:
        waits.add(VALUES)
    if missing.visit:
        waits.add(VISITS)
    if any(_NOTE + DONE in one.used for one in passed if one.lap == here.lap):
        waits.add(OUTCOME)
    return Flow(
        steps=tuple(passed),
        actions=tuple(actions),
        asks=tuple(asks),
        superseded=tuple(superseded),
        missing=missing,
        waits=frozenset(waits),
    )


def _after(kind: Kind, step: Step, passed: Sequence[Passed], here: Passed, facts: Facts) -> Step | None:
    """The step after this one, None at the end. Stops where a branch cannot be evaluated or none is left."""
    if not step.next:
        return None
    chosen = here.settled.get("next")
    if chosen is not None:
        return kind.step(chosen)
    # A round that a person began is counted by itself: what is bounded is how often the flow goes round without anybody.
    entered = Counter(one.step for one in passed if one.lap == here.lap)
    try:
        after = next_step(kind, step, entered, lambda text: expressions.holds(text, facts.env, path="next"))
    except BadExpression as fault:
        raise StoppedError(Blocked(code="rule", step=step.code, place="next", why=fault.why())) from None
    if after is None:
        raise StoppedError(Blocked(code="way", step=step.code, place="next", why="no branch is left"))
    return after
