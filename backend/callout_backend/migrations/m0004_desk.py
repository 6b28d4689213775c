"""The service desk: kinds and flows, SLA calendars, channels, pre-checks, knowledge, teams, notices."""

from callout_backend.migrations import run_sql

ID = "m0004_desk"
VERSION = "1.38.0"
DESCRIPTION = "the service desk"


async def forwards() -> None:
    """Change the tables."""
    await run_sql("0004")
