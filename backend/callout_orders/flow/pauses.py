"""The SLA's clock stands still while the flow is at a step that says so (`pause_sla`), and goes on after it."""

from collections.abc import Sequence

from callout_orders.flow.deadlines import stops_for
from callout_orders.flow.rows import Running
from callout_orders.flow.state import Flow, Passed, StepState
from callout_orders.sla import pausing
from callout_orders.terms import FINAL
from callout_store.work import Work


async def follow(work: Work, flows: Sequence[tuple[Running, Flow]]) -> None:
    """Stop and start the clocks of orders whose flows moved. Two steps in a row with one reason are one pause."""
    for one, flow in flows:
        before, after = _reasons(one, one.stored), _reasons(one, flow.steps)
        # The clock of an order that is over does not run any more.
        if before == after or one.state in FINAL:
            continue
        for reason in sorted(after - before):
            await pausing.pause(work, one.order_id, reason)
        for reason in sorted(before - after):
            await pausing.resume(work, one.order_id, reason)


def _reasons(one: Running, steps: Sequence[Passed]) -> set[str]:
    """For which reasons the clock stands still at the step that is open."""
    found: set[str] = set()
    for passed in steps:
        step = one.kind.step(passed.step) if passed.state is StepState.OPEN else None
        found |= stops_for(step) if step is not None else frozenset()
    return found
