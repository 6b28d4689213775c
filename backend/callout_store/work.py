"""The unit of work: one transaction, one organisation, one actor.

Doors open it (`async with db.work(org_id, actor=…) as work`), services take it and never commit. What a service wants to
happen outside (a wake-up, a poke, a message) is written as rows here or registered with `after_commit`, so that an effect
never runs ahead of, or without, its cause.
"""

import asyncio
import contextlib
import functools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

import asyncpg
import structlog
from asyncpg import Record
from piccolo.table import Table

from callout_store.clock import Clock, SystemClock
from callout_store.engine import APP_ROLE, WORKER_ROLE, CalloutEngine, keep_as_it_is
from callout_store.errors import Busy, DatabaseUnavailable
from callout_store.sealing import Seal

log = structlog.get_logger(__name__)
T = TypeVar("T")

IDLE_IN_TRANSACTION_MS = 30_000
"""A forgotten transaction holds the feed's horizon back for every phone of every organisation: PostgreSQL ends it."""
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 10_000
GONE_CHECK_MS = 1_000
"""How often a statement that runs looks whether its client is still there: a request that was cut off twice leaves its
statement behind, and with it the visit's lock that the phone's next push needs."""
CONNECT_TIMEOUT_S = 5.0
RETRIES_MAX = 4
OLDEST_SERVER = 150000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it: stands in the journal beside everything that was done. `user_id` None is the system itself."""

    user_id: UUID | None = None
    device_id: UUID | None = None
    role: str = "system"
    engineer_id: UUID | None = None
    locale: str = "en"


SYSTEM = Actor()


@dataclass(slots=True)
class Touched:
    """Rows that changed in this unit of work, by entity; `callout_sync.scope` turns them into feed rows."""

    rows: dict[str, set[UUID]] = field(default_factory=dict)

    def add(self, entity: str, *ids: UUID) -> None:
        self.rows.setdefault(entity, set()).update(ids)

    def __bool__(self) -> bool:
        return bool(self.rows)


class BeforeCommit(Protocol):
    """A hook of an upper floor, run inside the transaction, once, after the service has done its work."""

    async def __call__(self, work: "Work", touched: Touched) -> None: ...


class BeforeCommitLines(Protocol):
    """A hook over the journal lines (id, entry) that this unit of work wrote, run inside the transaction, once."""

    async def __call__(self, work: "Work", lines: list[tuple[UUID, Any]]) -> None: ...


class Work:
    """One transaction in hand. `now` is read once, so that all rows of one act carry the same instant."""

    def __init__(
        self, conn: Any, org_id: UUID | None, actor: Actor, now: datetime, seal: Seal | None = None
    ) -> None:
        self.conn = conn
        self._org_id = org_id
        self._seal = seal
        self.actor = actor
        self.now = now
        self.touched = Touched()
        self.lines: list[tuple[UUID, Any]] = []
        """Journal lines of this unit of work; `callout_store.journal` appends."""
        self.owes = False
        """Whether something was put into the outbox, so that a worker should be woken."""
        self.webhook: bool | None = None
        """Whether the organisation wants to be told of journal lines, where that was read already."""
        self.kinds: dict[UUID, tuple[str, int]] = {}
        """Kinds of orders and their versions, where somebody who locked something of theirs read them already."""
        self.flows: dict[UUID, frozenset[str]] = {}
        """What the flows of orders wait for, of those whose rows this transaction holds: nobody else can change it."""
        self._later: list[tuple[str, str, tuple[Any, ...]]] = []
        self._after: list[Callable[[], Awaitable[None]]] = []
        self._savepoints = 0

    @property
    def org_id(self) -> UUID:
        """The organisation of this transaction; a programming error where there is none."""
        if self._org_id is None:
            raise RuntimeError("this unit of work belongs to no organisation")
        return self._org_id

    @property
    def seal(self) -> Seal:
        """What secrets are sealed with before they are stored; a programming error where the database was given none."""
        if self._seal is None:
            raise RuntimeError("this database was given nothing to seal secrets with")
        return self._seal

    async def fetch(self, sql: str, *args: Any) -> list[Record]:
        """All rows."""
        return await self.conn.fetch(sql, *args)  # type: ignore[no-any-return]

    async def fetchrow(self, sql: str, *args: Any) -> Record | None:
        """The first row or None."""
        return await self.conn.fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """The first column of the first row, or None."""
        return await self.conn.fetchval(sql, *args)

    async def execute(self, sql: str, *args: Any) -> int:
        """Run a statement; the number of rows it touched."""
        status: str = await self.conn.execute(sql, *args)
        last = status.rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0

    def later(self, sql: str, *args: Any, name: str = "") -> None:
        """Run an INSERT or UPDATE at the end, in one round trip with the others that were put off.

        They see the rows as they were before any of them ran, in no order; nothing before `flush` may count on them.
        Parameters whose type does not follow from their place need a cast. With a `name` it may also be a SELECT: those
        that are put off after it read its rows under that name.
        """
        self._later.append((name or f"w{len(self._later)}", sql, args))

    def waits(self, name: str) -> bool:
        """Whether something was put off under this name."""
        return any(name == other for other, _, _ in self._later)

    async def flush(self, ask: str = "select") -> Record | None:
        """Run what was put off. The database does so before the hooks over the journal and after them; a service, and a
        hook, may do so earlier.

        `ask` reads from what has a name and returns rows; the first row of it is handed back.
        """
        given, self._later = self._later, []
        if not given:
            return None
        parts: list[str] = []
        values: list[Any] = []
        for name, sql, args in given:
            parts.append(f"{name} as ({_shifted(sql, len(values))})")
            values += args
        rows = await self.conn.fetch(f"with {', '.join(parts)} {ask}", *values)
        return rows[0] if rows else None

    def touch(self, entity: str, *ids: UUID) -> None:
        """Say that these rows changed, so that the phones that hold them learn of it."""
        self.touched.add(entity, *ids)

    def after_commit(self, effect: Callable[[], Awaitable[None]]) -> None:
        """Run `effect` once the transaction is durable; its failure is logged and changes nothing."""
        self._after.append(effect)

    @contextlib.asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo only the inner block if it raises; the exception goes on to the caller."""
        rows = {k: set(v) for k, v in self.touched.rows.items()}
        effects, lines, later = len(self._after), len(self.lines), list(self._later)
        flows = dict(self.flows)
        self._savepoints += 1
        name = f"savepoint_{self._savepoints}"
        await self.conn.execute(f"savepoint {name}")
        try:
            yield
        except BaseException:
            self.touched.rows = rows
            # The locks that were taken since are gone as well.
            self.flows = flows
            del self._after[effects:]
            del self.lines[lines:]
            # Also what was run since, and is undone.
            self._later = later
            await self.conn.execute(f"rollback to savepoint {name}; release savepoint {name}")
            raise
        await self.conn.execute(f"release savepoint {name}")

    async def run_effects(self) -> None:
        """Called by the database after COMMIT."""
        for effect in self._after:
            try:
                await effect()
            except Exception:
                log.warning("effect_failed", exc_info=True)


@functools.cache
def _shifted(sql: str, by: int) -> str:
    """A statement with its parameters counted from `by` + 1, without its indentation: the driver keeps statements
    prepared up to a size only."""
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + by}", " ".join(sql.split()))


_PARAMETER = re.compile(r"\$(\d+)")


class Database:
    """The pool and the two ways into it: `work` for an organisation, `system_work` for the worker's claims."""

    def __init__(
        self,
        url: str,
        *,
        clock: Clock | None = None,
        machine_clock: Clock | None = None,
        tables: tuple[type[Table], ...] = (),
        pool_min: int = 1,
        pool_max: int = 10,
    ) -> None:
        self.url = url
        self.clock: Clock = clock or SystemClock()
        self.machine_clock: Clock = machine_clock or SystemClock()
        """What leases and timers are compared with; never the demo's fast clock."""
        self.hooks: list[BeforeCommit] = []
        self.journal_hooks: list[BeforeCommitLines] = []
        self.on_outbox: Callable[[], None] | None = None
        self.seal: Seal | None = None
        """Called after a commit that put something into the outbox; must return at once and never raise."""
        self.pool_max = pool_max
        self.engine = CalloutEngine(
            {
                "dsn": url,
                "min_size": pool_min,
                "max_size": pool_max,
                "timeout": CONNECT_TIMEOUT_S,
                "command_timeout": STATEMENT_TIMEOUT_MS / 1000 + 5,
                # The statement that writes the feed for a moved visit would not be kept prepared otherwise.
                "max_cacheable_statement_size": 64 * 1024,
                # Set at connection start, so that asyncpg's RESET ALL between uses comes back to them.
                "server_settings": {
                    "role": APP_ROLE,
                    "timezone": "UTC",
                    "application_name": "callout",
                    "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
                    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                    "lock_timeout": str(LOCK_TIMEOUT_MS),
                    "client_connection_check_interval": str(GONE_CHECK_MS),
                },
            }
        )
        for table in tables:
            table._meta.db = self.engine

    async def start(self) -> None:
        """Open the pool; refuses a server older than PostgreSQL 15."""
        await self.engine.start_connection_pool(reset=keep_as_it_is)
        version = await self.pool.fetchval("select current_setting('server_version_num')::int")
        if version < OLDEST_SERVER:
            raise RuntimeError(f"PostgreSQL 15 or newer is needed; this server is {version // 10000}")

    async def stop(self) -> None:
        """Close the pool."""
        if self.engine.pool is not None:
            await self.engine.close_connection_pool()

    @property
    def pool(self) -> Any:
        """The asyncpg pool, for reads that need neither organisation nor transaction (health, metrics)."""
        if self.engine.pool is None:
            raise RuntimeError("the database was not started")
        return self.engine.pool

    @contextlib.asynccontextmanager
    async def work(
        self,
        org_id: UUID | None,
        *,
        actor: Actor = SYSTEM,
        org_slug: str | None = None,
        lock: int | None = None,
    ) -> AsyncIterator[Work]:
        """One transaction of one organisation; commits when the block ends, rolls back when it raises.

        `lock` is the key of an advisory lock to hold from the very beginning to the end. It is waited for before the
        first statement takes its snapshot, and costs no round trip of its own.
        `org_slug` opens just that one row of `organisation`, for a sign-in that knows no id yet. Not retried: a door
        whose block may run twice uses `run`.
        """
        with database_faults():
            # The text of a UUID holds nothing that could end the literal.
            opening = f"set local callout.org = '{UUID(str(org_id))}'" if org_id is not None else ""
            if lock is not None:
                opening += f"; select pg_advisory_xact_lock({lock:d})"
            async with self.engine.transaction(opening=opening) as tx:
                conn = tx.connection
                if org_slug:
                    await conn.execute("select set_config('callout.org_slug', $1, true)", org_slug)
                work = Work(conn, org_id, actor, self.clock.now(), self.seal)
                yield work
                await work.flush()
                if work.lines:
                    for line_hook in self.journal_hooks:
                        await line_hook(work, work.lines)
                    await work.flush()
                if work.touched:
                    for hook in self.hooks:
                        await hook(work, work.touched)
        if work.owes and self.on_outbox is not None:
            self.on_outbox()
        await work.run_effects()

    @contextlib.asynccontextmanager
    async def system_work(self) -> AsyncIterator[Work]:
        """One transaction across organisations, as the worker's role: it sees the outbox, timers and nothing else."""
        with database_faults():
            async with self.engine.transaction(opening=f"set local role {WORKER_ROLE}") as tx:
                conn = tx.connection
                work = Work(conn, None, SYSTEM, self.machine_clock.now())
                yield work
        await work.run_effects()

    async def run(
        self,
        org_id: UUID | None,
        act: Callable[[Work], Awaitable[T]],
        *,
        actor: Actor = SYSTEM,
        lock: int | None = None,
    ) -> T:
        """`act` in a transaction, tried again when PostgreSQL chose it as the victim of a deadlock.

        Deadlocks are possible by design where two dispatchers move visits between the same phones; PostgreSQL undoes
        one of them whole, so that running it again is safe. Raises Busy (retryable) if it loses every time.
        """
        for attempt in range(RETRIES_MAX):
            try:
                async with self.work(org_id, actor=actor, lock=lock) as work:
                    result = await act(work)
                return result
            except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as fault:
                if attempt == RETRIES_MAX - 1:
                    raise Busy(what="the same rows", retry_after_ms=1000) from fault
                await asyncio.sleep(0.01 * 2**attempt)
        raise AssertionError("unreachable")


@contextlib.contextmanager
def database_faults() -> Any:
    """Turn a database that is away, starting or out of room into one retryable refusal."""
    try:
        yield
    except (
        asyncpg.PostgresConnectionError,
        asyncpg.CannotConnectNowError,
        asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError,
        asyncpg.TooManyConnectionsError,
        asyncpg.InsufficientResourcesError,
        asyncpg.QueryCanceledError,
        asyncpg.LockNotAvailableError,
        asyncpg.ReadOnlySQLTransactionError,  # we are still connected to what has become a standby
        asyncpg.IdleInTransactionSessionTimeoutError,
        OSError,  # no route, no such name, refused on each of several addresses; TimeoutError is one too
    ) as fault:
        raise DatabaseUnavailable(retry_after_ms=1000) from fault
    except asyncpg.InterfaceError as fault:
        # The pool takes a connection that the server cut out of our hands: "released back to the pool".
        if any(word in str(fault) for word in ("closed", "closing", "released")):
            raise DatabaseUnavailable(retry_after_ms=1000) from fault
        raise
