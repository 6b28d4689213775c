"""The ways through a flow: dead ends, steps that nothing leads to, loops without a bound, steps that may be stuck. Pure.

`walk.next_step` passes over a branch whose step was entered as often as it may be. So every walk is finite, and it ends
well if from each step that has branches one is always left. That is so where one of them is unconditional and

* leads out of every loop of the step (what lies outside a loop is entered for the first time, for no way leads back), or
* leads to a step that may be entered at least as often as all steps of the loop that lead to it may be, and once more
  where a way from outside leads to it: then it has not been used up when this way is taken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from callout_orders.kinds.check_texts import Finding, finding
from callout_orders.kinds.terms import ActionName, Kind, Step

BROUGHT_BY: Final[Mapping[str, ActionName]] = {"survey_over": ActionName.ASK_SURVEY}
"""Events that come about only where an action was run, on the same step or one before it."""

Edges = Mapping[str, tuple[str, ...]]


def findings(kind: Kind) -> Iterator[Finding]:
    """What is wrong with the ways through the flow. Branches to steps that are not there are looked at elsewhere."""
    if not kind.steps:
        yield finding("no_steps", "steps")
        return
    edges = _edges(kind)
    reached = _from({kind.steps[0].code}, edges)
    ends = {step.code for step in kind.steps if not step.next}
    back = _turned(edges)
    alive = _from(ends, back)
    loops = _loops(edges)
    for n, step in enumerate(kind.steps):
        if step.code not in reached:
            yield finding("unreachable", f"steps.{n}", step=step.code)
        if step.code not in alive:
            yield finding("dead_end", f"steps.{n}.next", step=step.code)
        yield from _way_on(kind, n, step, edges, back, loops)
        for m, event in enumerate(step.events):
            action = BROUGHT_BY.get(event)
            if action is not None and not _brought(kind, step, action, back):
                yield finding(
                    "waits_in_vain", f"steps.{n}.events.{m}", step=step.code, event=event, action=action.value
                )
    yield from _cycles(kind, edges)


def unfilled(kind: Kind, step: Step, read: Collection[str]) -> set[str]:
    """Of the fields in `read`, those that need not be filled in when `step` is done.

    Filled in is what is asked for at intake, by the step itself, or by a step that every way to it leads through.
    """
    asked = {field.code for field in kind.fields if field.required} | set(step.fields)
    left = set(read) - asked
    if not left or not kind.steps:
        return left
    edges = _edges(kind)
    first = kind.steps[0].code
    for other in kind.steps:
        if other.code == step.code or not left & set(other.fields):
            continue
        without = {code: tuple(to for to in tos if to != other.code) for code, tos in edges.items()}
        starts = {first} - {other.code}
        if step.code not in _from(starts, without):
            left -= set(other.fields)
    return left


def _edges(kind: Kind) -> dict[str, tuple[str, ...]]:
    codes = {step.code for step in kind.steps}
    return {step.code: tuple(branch.to for branch in step.next if branch.to in codes) for step in kind.steps}


def _turned(edges: Edges) -> dict[str, tuple[str, ...]]:
    back: dict[str, list[str]] = {code: [] for code in edges}
    for code, tos in edges.items():
        for to in tos:
            back[to].append(code)
    return {code: tuple(froms) for code, froms in back.items()}


def _from(starts: Collection[str], edges: Edges) -> set[str]:
    found, left = set(starts), list(starts)
    while left:
        for to in edges[left.pop()]:
            if to not in found:
                found.add(to)
                left.append(to)
    return found


def _loops(edges: Edges) -> dict[str, frozenset[str]]:
    """For each step, the steps that can be reached from it and lead back to it, itself included where it is in a loop."""
    ahead = {code: _from(set(tos), edges) for code, tos in edges.items()}
    return {code: frozenset(other for other in ahead[code] if code in ahead[other]) for code in edges}


def _way_on(
    kind: Kind, n: int, step: Step, edges: Edges, back: Edges, loops: Mapping[str, frozenset[str]]
) -> Iterator[Finding]:
    if not step.next:
        return
    fault: Finding | None = finding("no_way_on", f"steps.{n}.next", step=step.code)
    for m, branch in enumerate(step.next):
        after = kind.step(branch.to)
        if fault is None:
            yield finding("branch_never", f"steps.{n}.next.{m}", level="warning")
        elif branch.when.strip() == "true" and after is not None:
            fault = _runs_out(kind, f"steps.{n}.next.{m}", step, after, back, loops)
    if fault is not None:
        yield fault


def _runs_out(
    kind: Kind, path: str, step: Step, after: Step, back: Edges, loops: Mapping[str, frozenset[str]]
) -> Finding | None:
    loop = loops[step.code]
    if after.code not in loop:
        return None
    froms = set(back[after.code])
    needed = sum(one.times_max for one in kind.steps if one.code in froms & loop)
    if after.code == kind.steps[0].code or froms - loop:
        needed += 1
    if after.times_max >= needed:
        return None
    return finding("loop_runs_out", path, step=step.code, to=after.code, given=after.times_max, needed=needed)


def _cycles(kind: Kind, edges: Edges) -> Iterator[Finding]:
    """Loops all of whose steps may be entered once only: the way back could never be taken. And those at none of whose steps
    anything is waited for: they would go round by themselves, as often as they may."""
    for what, codes in (
        ("cycle", {step.code for step in kind.steps if step.times_max == 1}),
        ("spins", {step.code for step in kind.steps if step.times_max > 1 and not _rests(step)}),
    ):
        within = {code: tuple(to for to in edges[code] if to in codes) for code in edges if code in codes}
        seen: set[frozenset[str]] = set()
        for code, loop in _loops(within).items():
            if loop and loop not in seen:
                seen.add(loop)
                n = next(n for n, step in enumerate(kind.steps) if step.code == code)
                names = ", ".join(step.code for step in kind.steps if step.code in loop)
                yield finding(what, f"steps.{n}.next", steps=names)


def _rests(step: Step) -> bool:
    """Whether a step may wait for anything."""
    return bool(step.by_hand or step.events or step.fields or step.approvals) or step.enter.strip() != "true"


def _brought(kind: Kind, step: Step, action: ActionName, back: Edges) -> bool:
    before = _from({step.code}, back)
    return any(
        one.do is action
        for other in kind.steps
        if other.code in before
        for one in (*other.on_enter, *(() if other.code == step.code else other.on_done))
    )
