"""Dispatch in full: policies, plans, the red lane, places and travel, arrival times."""

from callout_backend.migrations import run_sql

ID = "m0003_dispatch"
VERSION = "1.38.0"
DESCRIPTION = "dispatch in full"


async def forwards() -> None:
    """Change the tables."""
    await run_sql("0003")
