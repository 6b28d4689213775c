"""What every test may ask for: servers, databases, settings, a seed. Domain data is made by the tests that need it.

    servers         session   the PostgreSQL and Redis that this run uses
    database_urls   module    Urls of a migrated, empty database that the tests of one file share
    database_url    module    the app's URL of that database
    db              module    a started `callout_store.work.Database` on it
    settings        module    `Settings` for it, with a data folder of its own
    fresh_database  function  Urls of a migrated, empty database for one test alone
    seed            session   random seed, printed; CALLOUT_TEST_SEED repeats a run
    scale           session   1, or 10 with --large

`Urls` has `database` (the app's login), `owner`, `admin` (superuser: for looking past row-level security) and `redis`.
With DATABASE_URL and REDIS_URL set, those servers are used; the login (or that of CALLOUT_MIGRATE_URL) must be
allowed to make databases and roles.
"""

import asyncio
import contextlib
import fcntl
import itertools
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import hypothesis
import pytest

from callout_backend.embedded import EmbeddedServers, Urls
from callout_backend.embedded.processes import end, servers_in
from callout_backend.settings import Settings
from callout_store.sealing import Seal
from callout_store.work import Database

PREFIX = "callout-test-"
STARTING_SECONDS = 60
OWN_PREFIX = "callout-own-"
"""Folders of tests that start and stop servers themselves: between two starts nobody holds the lock."""
OWN_SECONDS = 3600
SECRET = "tests-only-" + "0123456789abcdef" * 2
SEED = int(os.environ.get("CALLOUT_TEST_SEED") or random.SystemRandom().randrange(2**31))

hypothesis.settings.register_profile("callout", deadline=None, print_blob=True)
hypothesis.settings.load_profile("callout")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--large", action="store_true", help="crash, simulation and stress tests ten times as large"
    )
    parser.addoption(
        "--browser", action="store_true", help="also the tests in a real browser (tests/browser)"
    )


def pytest_report_header() -> str:
    return f"callout: CALLOUT_TEST_SEED={SEED}"


@pytest.fixture(scope="session")
def seed() -> int:
    """The run's seed; a test derives its own as f"{seed}:name"."""
    return SEED


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> int:
    """How large a test makes its numbers: 1, or 10 with --large."""
    return 10 if request.config.getoption("--large") else 1


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers of the run. `embedded` is None when they were given from outside: then none may be crashed."""

    embedded: EmbeddedServers | None
    given: Urls

    def urls(self, database: str) -> Urls:
        """The same logins on another database."""
        if self.embedded is not None:
            return self.embedded.database_urls(database)
        owner = _on(self.given.owner, database)
        return Urls(_on(self.given.database, database), owner, owner, self.given.redis)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Real PostgreSQL and Redis, started once for the run in a temporary folder."""
    given = Settings.from_env()
    if given.database_url and given.redis_url:
        yield Servers(None, Urls(given.database_url, given.owner_url, given.owner_url, given.redis_url))
        return
    end_left_behind()
    folder = make_test_folder()
    try:
        with EmbeddedServers(folder / "data", sync=os.environ.get("CALLOUT_TEST_SYNC") == "1") as embedded:
            yield Servers(embedded, embedded.urls)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template_database(servers: Servers) -> Iterator[str]:
    """A migrated database that nobody connects to, so that it can be copied in a moment."""
    from callout_backend.migrations import migrate

    name = f"callout_test_{os.getpid()}_template"
    _statements(servers, f"create database {name}")
    owner = servers.urls(name).owner
    assert owner is not None
    asyncio.run(migrate(owner))
    yield name
    _statements(servers, f"drop database if exists {name} with (force)", by_admin=True)


@pytest.fixture(scope="module")
def database_urls(servers: Servers, template_database: str) -> Iterator[Urls]:
    """A migrated, empty database that the tests of one file share."""
    yield from _copy(servers, template_database)


@pytest.fixture(scope="module")
def database_url(database_urls: Urls) -> str:
    """The app's URL of the file's database."""
    assert database_urls.database is not None
    return database_urls.database


@pytest.fixture(scope="module")
async def db(database_url: str) -> AsyncIterator[Database]:
    """The file's database, started."""
    database = Database(database_url)
    database.seal = Seal(lambda: (SECRET,))
    await database.start()
    yield database
    await database.stop()


@pytest.fixture
def fresh_database(servers: Servers, template_database: str) -> Iterator[Urls]:
    """A migrated, empty database for one test: where it counts rows, or crashes something."""
    yield from _copy(servers, template_database)


@pytest.fixture(scope="module")
def settings(database_urls: Urls, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings for the file's database."""
    return Settings(
        port=1,
        data=tmp_path_factory.mktemp("data"),
        database_url=database_urls.database,
        migrate_url=database_urls.owner,
        redis_url=database_urls.redis,
        secret=SECRET,
        public_url="http://t",
        workers=1,
        pool_max=5,
    )


def make_test_folder() -> Path:
    """A temporary folder that another user may walk through: servers started by root do not run as root."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    folder.chmod(0o711)
    return folder


def end_left_behind() -> None:
    """End the servers and remove the folders of test runs that were killed."""
    for prefix, patience_s in ((PREFIX, STARTING_SECONDS), (OWN_PREFIX, OWN_SECONDS)):
        for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
            with contextlib.suppress(OSError):
                seen = folder.lstat()
                # A run that is just starting has no lock yet.
                if (
                    folder.is_dir()
                    and seen.st_uid == os.geteuid()
                    and seen.st_mtime < time.time() - patience_s
                ):
                    _end_left_in(folder)


def _end_left_in(folder: Path) -> None:
    for lock_file in folder.glob("*/lock"):
        with lock_file.open("r+b") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # a run that is alive
            for name, program in (("postgres", "postgres"), ("redis", "redis-server")):
                home = lock_file.parent / "servers" / name
                end(servers_in(home, program), ((signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)))
    shutil.rmtree(folder, ignore_errors=True)


_numbers = itertools.count(1)


def _copy(servers: Servers, template: str) -> Iterator[Urls]:
    name = f"callout_test_{os.getpid()}_{next(_numbers)}"
    _statements(servers, f"create database {name} template {template}")
    yield servers.urls(name)
    _statements(servers, f"drop database if exists {name} with (force)", by_admin=True)


def _statements(servers: Servers, *statements: str, by_admin: bool = False) -> None:
    # Only a superuser may drop a database in which a superuser's session is just ending.
    url = servers.given.admin if by_admin else servers.given.owner

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def _on(url: str | None, database: str) -> str | None:
    return None if url is None else urlunsplit(urlsplit(url)._replace(path=f"/{database}"))
