"""Sync in full: fields merged one by one, held commands, outcomes, crews, articles, forms, attachments, wipes."""

from callout_backend.migrations import run_sql

ID = "m0002_sync"
VERSION = "1.38.0"
DESCRIPTION = "sync in full"


async def forwards() -> None:
    """Change the tables."""
    await run_sql("0002")
