"""The desk's rooms beside others in one run: tags, rules, search, duplicates, SLA, intake, notices, timers, first answer.

`make bench-desk` prints a table and writes it as JSON (`bench-desk.json`, see `desk_report.py`); no figure is asserted, only
that what was measured was done right. Each section can be called alone: `make bench-desk ARGS="-k tags"`. With `--large`
duplicates are also looked for among a million orders. Peers that cannot be had are told as such in their row.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import desk_clock
import desk_duplicates
import desk_expressions
import desk_first
import desk_intake
import desk_notices
import desk_search
import desk_tags
import desk_timers
import pytest
from desk_report import Sections
from telling import SECRET

from callout_backend.embedded import Urls
from callout_backend.wiring import add_hooks
from callout_store.sealing import Seal
from callout_store.work import Database

MEASURED = Sections()


@pytest.fixture(scope="module", autouse=True)
def report(scale: int) -> Iterator[None]:
    yield
    MEASURED.write({"large": scale > 1, "rows_imported": desk_intake.ROWS})


@asynccontextmanager
async def database_of(urls: Urls) -> AsyncIterator[Database]:
    """The product's database with its hooks."""
    assert urls.database is not None
    db = Database(urls.database)
    db.seal = Seal(lambda: (SECRET,))
    add_hooks(db)
    await db.start()
    try:
        yield db
    finally:
        await db.stop()


def test_tags() -> None:
    """A hotline's form looks for thousands of words while somebody types."""
    MEASURED.add("tags", desk_tags.rows())


def test_expressions() -> None:
    """An approval's rule is evaluated whenever something happens to an order."""
    MEASURED.add("expressions", desk_expressions.rows())


@pytest.mark.timeout(600)
async def test_search(database_urls: Urls) -> None:
    """A customer's question is answered while they wait."""
    async with database_of(database_urls) as db:
        MEASURED.add("search", await desk_search.rows(db, database_urls))


@pytest.mark.timeout(600)
async def test_clock(fresh_database: Urls) -> None:
    """A deadline that is wrong by a holiday is a promise broken; one that is slow holds up every import."""
    rows = desk_clock.rows()
    async with database_of(fresh_database) as db:
        MEASURED.add("clock", rows + await desk_clock.start_rows(db))


@pytest.mark.timeout(3600)
async def test_duplicates(fresh_database: Urls, scale: int) -> None:
    """Two engineers for one leak, or none for the second leak: both are dear. The look is made while somebody types."""
    counts = (10_000, 100_000, 1_000_000) if scale > 1 else (10_000, 100_000)
    async with database_of(fresh_database) as db:
        rows = await desk_duplicates.quality_rows(db, fresh_database)
        rows += await desk_duplicates.speed_rows(db, fresh_database, counts)
    MEASURED.add("duplicates", rows)


@pytest.mark.timeout(600)
async def test_intake(fresh_database: Urls) -> None:
    """A caller waits on the line while the order is looked at and taken."""
    async with database_of(fresh_database) as db:
        MEASURED.add("intake", await desk_intake.rows(db))


@pytest.mark.timeout(1800)
async def test_import(fresh_database: Urls) -> None:
    """A sheet of ten thousand rows is looked at before lunch is over."""
    async with database_of(fresh_database) as db:
        MEASURED.add("import", await desk_intake.import_rows(db))


@pytest.mark.timeout(600)
async def test_timers(fresh_database: Urls) -> None:
    """A mark that is spoken of twice calls a supervisor twice; one that is lost calls nobody."""
    async with database_of(fresh_database) as db:
        MEASURED.add("timers", await desk_timers.rows(db, fresh_database))


@pytest.mark.timeout(600)
async def test_first_answer(fresh_database: Urls) -> None:
    """With somebody shut in a lift, the way from the call to an engineer's phone counts."""
    async with database_of(fresh_database) as db:
        MEASURED.add("first", await desk_first.rows(db))


@pytest.mark.timeout(900)
async def test_notices(fresh_database: Urls) -> None:
    """A storm must not silence a robot, nor an urgent order."""
    assert fresh_database.database is not None
    async with database_of(fresh_database) as db:
        MEASURED.add("notices", await desk_notices.rows(db, fresh_database.database))
