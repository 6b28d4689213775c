"""What most tests of dispatch start from."""

from collections.abc import AsyncIterator

import pytest
from depots import Depot, standing_database

from callout_backend.embedded import Urls
from callout_store.clock import ManualClock


@pytest.fixture
async def standing(database_url: str) -> AsyncIterator[tuple[Depot, ManualClock]]:
    """An organisation of its own in the shared database, and its clock, which stands still."""
    async with standing_database(database_url) as (db, clock):
        yield await Depot(db).build(), clock


@pytest.fixture
def depot(standing: tuple[Depot, ManualClock]) -> Depot:
    """The organisation alone."""
    return standing[0]


@pytest.fixture
async def alone(fresh_database: Urls) -> AsyncIterator[Depot]:
    """An organisation in a database of its own, where drains and locks meet nobody else's."""
    assert fresh_database.database is not None
    async with standing_database(fresh_database.database) as (db, _):
        yield await Depot(db).build()
