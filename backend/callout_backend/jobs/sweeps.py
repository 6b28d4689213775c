"""The daily sweep of an organisation's phones: set when the organisation is founded, and again by each sweep.

A change of what phones hold is swept at once: rows leave the phones, or come back to them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from callout_store import timers
from callout_store.work import Work

CHANNEL = "scope.sweep"
KEY = "scope.sweep"
EVERY = timedelta(days=1)
FOUNDED = "organisation.created"
CHANGED = "organisation.changed"
HELD = frozenset({"phoneWindowDays", "phoneHistoryEvents", "phoneParts"})
"""Settings of an organisation that decide what its phones hold."""


async def arm(work: Work, *, after: timedelta = EVERY) -> None:
    """Set the next sweep, by default a day from now by the database's clock."""
    due_at = await work.fetchval("select now() + $1::interval", after)
    await timers.arm(work, key=KEY, due_at=due_at, channel=CHANNEL, payload={})


async def arm_for_organisation(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook over journal lines: a new organisation gets its first sweep, one whose phones shall hold other rows its
    next at once."""
    for _, entry in lines:
        if entry.kind == FOUNDED:
            await arm(work)
        elif entry.kind == CHANGED and HELD & entry.data.keys():
            await arm(work, after=timedelta())
            work.owes = True
