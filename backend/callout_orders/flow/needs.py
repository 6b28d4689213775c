"""What a step of a flow still needs: fields, events, approvals, somebody's word. Pure; the moves are in `rules`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from callout_orders.flow.events import EVENTS, Event
from callout_orders.flow.state import Blocked, Facts, Missing, Passed, StepState, Word
from callout_orders.kinds import expressions
from callout_orders.kinds.expressions import BadExpression
from callout_orders.kinds.terms import ActionName, Approval, Kind, Step

YES: Final = "true"
NO: Final = "false"


class StoppedError(Exception):
    """The flow cannot go on by itself."""

    def __init__(self, blocked: Blocked) -> None:
        super().__init__(blocked.why)
        self.blocked = blocked


def about(expression: str, env: Mapping[str, Any]) -> dict[str, Any]:
    """The values that an expression looks at: what somebody agrees to."""
    return {
        f"{root}.{name}": env.get(root, {}).get(name)
        for root, name in sorted(set(expressions.references(expression)))
    }


def missing_of(
    kind: Kind,
    step: Step,
    passed: Sequence[Passed],
    here: Passed,
    words: Sequence[Word],
    facts: Facts,
) -> tuple[Missing, dict[str, tuple[Event, ...]]]:
    """What the step needs, and the events that it has."""
    if here.state is StepState.WAITING:
        # An order is closed by entering such a step: not while somebody is on the way, or on site.
        return Missing(enter=True, visit=closes_on_enter(step) and facts.visit_live), {}
    filled = facts.env.get("fields", {})
    fields = tuple(code for code in step.fields if filled.get(code) is None)
    used = {name: _events(name, here, passed, facts) for name in step.events}
    closes = any(action.do is ActionName.CLOSE for action in step.on_done)
    asked: list[str] = []
    rejected: list[str] = []
    for approval, word in approvals_of(kind, passed, words, facts, ready=not fields):
        if word is None or word.state == "asked":
            asked.append(approval.code)
        elif word.state == "rejected":
            rejected.append(approval.code)
    return (
        Missing(
            fields=fields,
            events=tuple(name for name, events in used.items() if not events),
            asked=tuple(asked),
            rejected=tuple(rejected),
            hand=step.by_hand and here.said_at is None,
            visit=closes and facts.visit_live,
        ),
        used,
    )


def closes_on_enter(step: Step) -> bool:
    """Whether the order is closed as soon as the step begins."""
    return any(action.do is ActionName.CLOSE for action in step.on_enter)


def approvals_of(
    kind: Kind, passed: Sequence[Passed], words: Sequence[Word], facts: Facts, *, ready: bool
) -> list[tuple[Approval, Word | None]]:
    """The approvals that are needed by now, with the last word on the very same values.

    Those of steps that are done count too: what was agreed to may have been changed since, and the flow does not go on
    with a value that nobody agreed to. Those of the open step only once it is `ready`, its fields filled in: what is not
    there yet is nothing that somebody could agree to.
    """
    counted = {StepState.DONE, StepState.OPEN} if ready else {StepState.DONE}
    reached = {one.step: one for one in passed if one.state in counted}
    found: list[tuple[Approval, Word | None]] = []
    for step in kind.steps:
        one = reached.get(step.code)
        for approval in step.approvals if one is not None else ():
            assert one is not None
            if not holds(approval.when, f"approvals.{approval.code}", one, facts):
                continue
            values = about(approval.when, facts.env)
            said = [word for word in words if word.code == approval.code and dict(word.about) == values]
            live = [word for word in said if word.state in ("asked", "approved", "rejected")]
            found.append((approval, live[-1] if live else None))
    return found


def _events(name: str, here: Passed, passed: Sequence[Passed], facts: Facts) -> tuple[Event, ...]:
    """The events of this name that end the step: the first that no other step has used up, and those of other visits that
    are over by now anyway; none where there is none. What stands (parts that are here) is not used up, and ends."""
    source = EVENTS.get(name)
    if source is not None and source.standing and name not in facts.standing:
        return ()
    used = {key for one in passed if one.n != here.n for key in one.used.get(name, ())}
    if source is not None and source.standing:
        used = set()
    fresh = [
        event
        for event in facts.events
        if event.name == name and event.key not in used and _counts(event, here.lap_at)
    ]
    if not fresh:
        return ()
    if source is not None and source.standing:
        return (fresh[-1],)
    rest = () if source is not None and source.each_line else fresh[1:]
    return (fresh[0], *(event for event in rest if event.until is not None and event.key != fresh[0].key))


def _counts(event: Event, lap_at: datetime | None) -> bool:
    """Whether an event belongs to the round that began at `lap_at`. What was planned before counts while it still stands."""
    if lap_at is None or event.at > lap_at:
        return True
    return event.planning and (event.until is None or event.until > lap_at)


def holds(text: str, place: str, here: Passed, facts: Facts) -> bool:
    if place in here.settled:
        return here.settled[place] == YES
    try:
        return expressions.holds(text, facts.env, path=place)
    except BadExpression as fault:
        raise StoppedError(Blocked(code="rule", step=here.step, place=place, why=fault.why())) from None
