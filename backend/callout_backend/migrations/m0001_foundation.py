"""The first tables: engine room, people, orders, dispatch, sync, and the rights on them."""

from callout_backend.migrations import run_sql

ID = "m0001_foundation"
VERSION = "1.38.0"
DESCRIPTION = "foundation"


async def forwards() -> None:
    """Make the tables."""
    await run_sql("0001")
