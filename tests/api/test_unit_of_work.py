"""Whatever happens in the middle of a transaction, its connection comes back clean and its effects stay away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from callout_people.organisations import create_organisation
from callout_store import engine
from callout_store.errors import DatabaseUnavailable
from callout_store.ids import new_id
from callout_store.work import Database, Work

# ruff: noqa: PT012 - the block under test is the unit of work itself

SLEEPING = """
select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'
"""


class Case:
    """A database with a pool of one: a connection that is not given back stops everything that follows."""

    def __init__(self, db: Database, admin: Any, org_id: UUID) -> None:
        self.db, self.admin, self.org_id = db, admin, org_id
        self.effects: list[str] = []

    async def effect(self) -> None:
        self.effects.append("ran")

    async def write(self, work: Work) -> None:
        work.after_commit(self.effect)
        await work.execute("update organisation set name = 'changed'")

    async def until_sleeping(self) -> None:
        """Return once the database sleeps in somebody's statement."""
        for _ in range(500):
            if await self.admin.fetchval(SLEEPING):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("no statement sleeps")

    async def is_clean(self, *, stored: bool = False) -> None:
        """The one connection is free, as the modest role, with nobody's organisation, and the write is (not) there."""
        assert self.db.engine.current_transaction.get() is None
        assert self.effects == (["ran"] if stored else [])
        async with asyncio.timeout(5):
            row = await self.db.pool.fetchrow(
                "select coalesce(current_setting('callout.org', true), '') as org, current_user::text as role, "
                "(select count(*) from organisation) as seen"
            )
            assert dict(row) == {"org": "", "role": "callout_app", "seen": 0}
            async with self.db.work(self.org_id) as work:
                name = await work.fetchval("select name from organisation")
        assert name == ("changed" if stored else "O")


@pytest.fixture
async def case(fresh_database: Any) -> AsyncIterator[Case]:
    db = Database(fresh_database.database, pool_max=1)
    await db.start()
    org_id = new_id()
    async with db.work(org_id) as work:
        await create_organisation(work, slug=f"o-{org_id.hex}", name="O")
    admin: Any = await asyncpg.connect(fresh_database.admin)
    yield Case(db, admin, org_id)
    await admin.close()
    await db.stop()


async def test_a_commit_that_succeeds_runs_its_effects(case: Case) -> None:
    """The measure for all the others: without a fault the write stays and the effect runs."""
    async with case.db.work(case.org_id) as work:
        await case.write(work)
    await case.is_clean(stored=True)


async def test_a_commit_that_fails(case: Case) -> None:
    """A deferred constraint speaks at COMMIT: Piccolo's own transaction would keep the connection for ever."""
    await case.admin.execute(
        "create table deferred (n int unique deferrable initially deferred); grant all on deferred to callout_app"
    )
    for _ in range(3):
        with pytest.raises(asyncpg.UniqueViolationError):
            async with case.db.work(case.org_id) as work:
                await case.write(work)
                await work.execute("insert into deferred values (1), (1)")
    await case.is_clean()


async def test_an_error_in_a_statement_and_in_a_hook(case: Case) -> None:
    """Also the last steps before COMMIT may fail; then nothing of the work may remain."""

    async def broken(_: Work, __: Any) -> None:
        raise ValueError("hook")

    with pytest.raises(asyncpg.DivisionByZeroError):
        async with case.db.work(case.org_id) as work:
            await case.write(work)
            await work.fetchval("select 1/0")
    case.db.hooks.append(broken)
    with pytest.raises(ValueError, match="hook"):
        async with case.db.work(case.org_id) as work:
            await case.write(work)
            work.touch("visit", new_id())
    case.db.hooks.clear()
    await case.is_clean()


@pytest.mark.parametrize(
    "when", ("in a statement", "between statements", "in a hook", "in a savepoint", "at commit")
)
async def test_a_client_that_goes_away(case: Case, when: str) -> None:
    """A request's task is cancelled wherever it happens to be; twice, where the server is impatient."""
    for cancels in (1, 2, 3):
        begun = asyncio.Event()

        async def hook(_: Work, __: Any, begun: asyncio.Event = begun) -> None:
            begun.set()
            await asyncio.sleep(60)

        async def request(begun: asyncio.Event = begun) -> None:
            async with case.db.work(case.org_id) as work:
                await case.write(work)
                if when == "in a statement":
                    begun.set()
                    await work.fetchval("select pg_sleep(60)")
                elif when == "between statements":
                    begun.set()
                    await asyncio.sleep(60)
                elif when == "in a savepoint":
                    async with work.savepoint():
                        begun.set()
                        await work.fetchval("select pg_sleep(60)")
                elif when == "in a hook":
                    case.db.hooks[:] = [hook]
                    work.touch("visit", new_id())
                else:
                    await work.execute("insert into slow_commit values (1)")
                    begun.set()

        if when == "at commit" and cancels == 1:
            await case.admin.execute(
                """
                create table slow_commit (n int);
                create function wait_at_commit() returns trigger language plpgsql as
                    $$ begin perform pg_sleep(60); return null; end $$;
                create constraint trigger slow after insert on slow_commit deferrable initially deferred
                    for each row execute function wait_at_commit();
                grant all on slow_commit to callout_app;
                """
            )
        task = asyncio.create_task(request())
        await asyncio.wait_for(begun.wait(), 5)
        if when in ("in a statement", "in a savepoint", "at commit"):
            await case.until_sleeping()
        for _ in range(cancels):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        case.db.hooks.clear()
        await case.is_clean()


@pytest.mark.parametrize("when", ("in a statement", "before commit"))
async def test_a_server_that_cuts_the_connection(case: Case, when: str) -> None:
    """PostgreSQL restarts in the middle: the caller may try again, and the next caller gets a new connection."""
    with pytest.raises(DatabaseUnavailable) as refused:
        async with case.db.work(case.org_id) as work:
            await case.write(work)
            pid = await work.fetchval("select pg_backend_pid()")
            await case.admin.fetchval("select pg_terminate_backend($1, 5000)", pid)
            if when == "in a statement":
                await work.fetchval("select 1")
    assert refused.value.retryable
    await case.is_clean()


async def test_a_connection_that_died_in_the_pool(case: Case) -> None:
    """After a restart the pool holds dead connections: at most one try each is lost, never a wrong answer."""
    pid = await case.db.pool.fetchval("select pg_backend_pid()")
    await case.admin.fetchval("select pg_terminate_backend($1, 5000)", pid)
    for _ in range(2):
        try:
            async with case.db.work(case.org_id) as work:
                await case.write(work)
            break
        except DatabaseUnavailable:
            continue
    await case.is_clean(stored=True)


async def test_more_requests_than_connections(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every connection in use, the next request is told to try again instead of waiting for ever."""
    monkeypatch.setattr(engine, "ACQUIRE_TIMEOUT_S", 0.2)
    hogs, release = asyncio.Event(), asyncio.Event()

    async def hog() -> None:
        async with case.db.work(case.org_id) as work:
            await work.fetchval("select 1")
            hogs.set()
            await release.wait()

    hogging = asyncio.create_task(hog())
    await asyncio.wait_for(hogs.wait(), 5)
    async with asyncio.timeout(5):
        with pytest.raises(DatabaseUnavailable):
            async with case.db.work(case.org_id) as work:
                await case.write(work)
    release.set()
    await hogging
    await case.is_clean()


@pytest.mark.parametrize(
    "fault",
    (
        OSError(
            "Multiple exceptions: [Errno 111] Connect call failed ('::1', 5432, 0, 0), ('127.0.0.1', 5432)"
        ),
        ConnectionRefusedError(111, "refused"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.ReadOnlySQLTransactionError("cannot execute UPDATE in a read-only transaction"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
    ),
)
async def test_a_database_that_is_away_is_said_as_try_again(case: Case, fault: Exception) -> None:
    """Phones keep their queue on a retryable refusal; on an internal fault they would be told of a bug."""
    with pytest.raises(DatabaseUnavailable):
        async with case.db.work(case.org_id) as work:
            work.after_commit(case.effect)
            raise fault
    await case.is_clean()


async def test_the_workers_role_does_not_stay(case: Case) -> None:
    """`system_work` sees all organisations' outbox; the next user of the connection must not."""
    async with case.db.system_work() as work:
        assert await work.fetchval("select current_user::text") == "callout_worker"
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with case.db.system_work() as work:
            await work.fetchval("select 1/0")
    await case.is_clean()


async def test_what_was_locked_in_a_savepoint_that_was_undone_is_not_held(case: Case) -> None:
    """A flow that believes itself locked moves on what it read before somebody else changed it."""
    kept, gone = new_id(), new_id()
    async with case.db.work(case.org_id) as work:
        work.flows[kept] = frozenset({"signed"})
        with pytest.raises(ZeroDivisionError):
            async with work.savepoint():
                work.flows |= {kept: frozenset(), gone: frozenset()}
                raise ZeroDivisionError
        assert work.flows == {kept: frozenset({"signed"})}


async def test_a_savepoint_undoes_rows_touches_lines_and_effects(case: Case) -> None:
    """What was undone inside must neither be told to phones nor done outside."""
    async with case.db.work(case.org_id) as work:
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with work.savepoint():
                await case.write(work)
                work.touch("visit", new_id())
                await work.fetchval("select 1/0")
        assert not work.touched.rows
        assert await work.fetchval("select name from organisation") == "O"
    await case.is_clean()


async def test_what_was_put_off_outlives_a_savepoint_that_ran_and_undid_it(case: Case) -> None:
    """A timer that was put off before would be lost with an inner step that failed, and its order be silent."""
    async with case.db.work(case.org_id) as work:
        work.later("update organisation set name = name || $1::text where id = callout_org()", "!")
        with contextlib.suppress(LookupError):
            async with work.savepoint():
                await work.flush()
                raise LookupError
    async with case.db.work(case.org_id) as work:
        assert await work.fetchval("select name from organisation") == "O!"
