"""How the floors are put together, once, for the API, the worker, the demo and the tests alike."""

from piccolo.table import Table

import callout_dispatch.tables
import callout_orders.tables
import callout_people.tables
import callout_store.tables
import callout_sync.tables
from callout_backend.jobs import sweeps, webhooks
from callout_backend.settings import Settings
from callout_store.clock import Clock
from callout_store.work import Database
from callout_sync import scope

ALL_TABLES: tuple[type[Table], ...] = (
    *callout_store.tables.TABLES,
    *callout_people.tables.TABLES,
    *callout_orders.tables.TABLES,
    *callout_dispatch.tables.TABLES,
    *callout_sync.tables.TABLES,
)


def database_url(settings: Settings) -> str:
    """The database's URL; a programming error where the embedded server was not started first."""
    if settings.database_url is None:
        raise RuntimeError("DATABASE_URL is not set and the embedded PostgreSQL was not started")
    return settings.database_url


def make_database(settings: Settings, *, clock: Clock | None = None, pool_min: int | None = None) -> Database:
    """A database with every package's tables and hooks, not started yet."""
    db = Database(
        database_url(settings),
        clock=clock or settings.make_clock(),
        tables=ALL_TABLES,
        pool_min=settings.pool_min if pool_min is None else pool_min,
        pool_max=settings.pool_max,
    )
    add_hooks(db)
    return db


def add_hooks(db: Database) -> None:
    """What upper floors do inside every transaction: feed rows, messages for webhooks. Twice is once."""
    if scope.refresh not in db.hooks:
        db.hooks.append(scope.refresh)
    for hook in (webhooks.owe, sweeps.arm_for_organisation):
        if hook not in db.journal_hooks:
            db.journal_hooks.append(hook)
