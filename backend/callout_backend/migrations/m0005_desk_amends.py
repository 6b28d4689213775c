"""The service desk, amended after its first release."""

from callout_backend.migrations import run_sql

ID = "m0005_desk_amends"
VERSION = "1.38.0"
DESCRIPTION = "the service desk, amended"


async def forwards() -> None:
    """Change the tables."""
    await run_sql("0005")
