"""Where a finished step leads. Pure.

A branch is passed over when its step was entered as often as it may be. `kinds.check` accepts a kind only if some branch
is left to every step on every way, so that a flow that was accepted always comes to an end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from callout_orders.kinds.terms import Kind, Step


def next_step(
    kind: Kind, step: Step, entered: Mapping[str, int], holds: Callable[[str], bool]
) -> Step | None:
    """The step after `step`, or None where the flow ends here or (in a kind that was never checked) nothing is left.

    `entered`: how often each step was entered so far, by code. `holds` evaluates a branch's expression; it is asked only
    about branches whose step may still be entered.
    """
    for branch in step.next:
        after = kind.step(branch.to)
        if after is None or entered.get(after.code, 0) >= after.times_max:
            continue
        if holds(branch.when):
            return after
    return None


def ends(step: Step) -> bool:
    """Whether the flow is over once this step is done."""
    return not step.next
