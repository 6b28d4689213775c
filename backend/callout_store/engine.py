"""Piccolo's engine, with two faults mended.

* Piccolo connects while the engine is constructed, to ask for the server's version. Importing `piccolo_conf` would then
  fail without a database; ours asks nothing until the pool starts.
* When COMMIT fails (connection cut, deferred constraint), Piccolo's transaction neither gives the connection back nor
  resets the context variable: the pool bleeds dry, and the next query of that task runs on a dead transaction. Ours does
  both in `finally`, and closes a connection whose transaction did not end cleanly.
"""

import contextlib
from types import TracebackType
from typing import Any

import asyncpg
from piccolo.engine.postgres import PostgresEngine, PostgresTransaction

APP_ROLE = "callout_app"
WORKER_ROLE = "callout_worker"

CLOSE_TIMEOUT_S = 2.0
ACQUIRE_TIMEOUT_S = 10.0
"""With all connections in use, so long a request waits for one before it is told to try again: an overloaded server
that lets requests pile up answers those whose callers have long gone."""


class Undone(Exception):
    """COMMIT was answered with ROLLBACK: a statement had failed inside the transaction and nobody noticed."""


class CalloutTransaction(PostgresTransaction):
    """A transaction that always gives its connection back, whatever COMMIT or ROLLBACK answered.

    `opening` is sent with BEGIN in one message: who sets a role or an organisation for every transaction pays no second
    round trip for it. BEGIN and COMMIT are sent by ourselves, hence asyncpg's own `connection.transaction()` must not be
    used inside; `Work.savepoint` is there for that.
    """

    __slots__ = ("opening",)

    def __init__(self, engine: PostgresEngine, *, opening: str = "") -> None:
        super().__init__(engine=engine, allow_nested=False)
        self.opening = opening

    async def __aenter__(self) -> PostgresTransaction:
        self.connection = await self.get_connection()
        try:
            await self.begin()
        except BaseException:
            await self._give_back(broken=True)
            raise
        self.context = self.engine.current_transaction.set(self)
        return self

    async def get_connection(self) -> Any:
        """A connection of the pool, at once if one is idle, else within `ACQUIRE_TIMEOUT_S` (TimeoutError)."""
        pool = self.engine.pool
        if pool is None:
            return await super().get_connection()  # type: ignore[no-untyped-call]
        if pool.get_idle_size():
            return await pool.acquire()
        return await pool.acquire(timeout=ACQUIRE_TIMEOUT_S)

    async def begin(self) -> None:
        """BEGIN and the opening, in one message."""
        await self.connection.execute(f"begin; {self.opening}")

    async def commit(self) -> None:
        """COMMIT; raises `Undone` where PostgreSQL could only roll back."""
        if await self.connection.execute("commit") != "COMMIT":
            raise Undone
        self._committed = True

    async def rollback(self) -> None:
        """ROLLBACK."""
        await self.connection.execute("rollback")
        self._rolled_back = True

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        broken = True
        try:
            if exception is not None:
                if not self._rolled_back:
                    await self.rollback()
            elif not self._committed and not self._rolled_back:
                await self.commit()
            broken = False
        except (asyncpg.InterfaceError, asyncpg.PostgresConnectionError, OSError):
            # The connection died under a rollback: what the caller needs to see is the exception that led here.
            if exception is None:
                raise
        finally:
            self.engine.current_transaction.reset(self.context)
            await self._give_back(broken=broken)
        return exception is None

    async def _give_back(self, *, broken: bool) -> None:
        if broken:
            # The pool may have taken back a connection that the server cut: then there is nothing left to end.
            with contextlib.suppress(asyncpg.InterfaceError):
                self.connection.terminate()
        if self.engine.pool:
            await self.engine.pool.release(self.connection)
        elif not self.connection.is_closed():
            await self.connection.close(timeout=CLOSE_TIMEOUT_S)


class CalloutEngine(PostgresEngine):
    """Piccolo's engine over one pool; every connection runs as `callout_app`, which no row-level security lets pass."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config=config, extensions=())

    async def check_version(self) -> None:
        """Nothing: the pool checks when it starts, see `callout_store.work.Database.start`."""

    async def prep_database(self) -> None:
        """Nothing: Callout needs no extension."""

    def transaction(self, allow_nested: bool = False, *, opening: str = "") -> CalloutTransaction:
        """One transaction; nesting raises TransactionError, since Piccolo's nested transactions are silent no-ops."""
        return CalloutTransaction(engine=self, opening=opening)


async def keep_as_it_is(_: Any) -> None:
    """What the pool does between two uses of a connection: nothing.

    All that a transaction sets is SET LOCAL and its locks end with it, so that asyncpg's reset (RESET ALL and more, a round
    trip for every transaction) would undo nothing.
    """
