"""The daily sweep of an organisation's phones: set when the organisation is founded, and again by each sweep."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from callout_store import timers
from callout_store.work import Work

CHANNEL = "scope.sweep"
KEY = "scope.sweep"
EVERY = timedelta(days=1)
FOUNDED = "organisation.created"


async def arm(work: Work) -> None:
    """Set the next sweep, a day from now by the database's clock."""
    due_at = await work.fetchval("select now() + $1::interval", EVERY)
    await timers.arm(work, key=KEY, due_at=due_at, channel=CHANNEL, payload={})


async def arm_for_founded(work: Work, lines: list[tuple[UUID, Any]]) -> None:
    """The hook over journal lines: a new organisation gets its first sweep."""
    if any(entry.kind == FOUNDED for _, entry in lines):
        await arm(work)
