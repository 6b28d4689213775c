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


class CalloutTransaction(PostgresTransaction):
    """A transaction that always gives its connection back, whatever COMMIT or ROLLBACK answered."""

    async def __aenter__(self) -> PostgresTransaction:
        if self._parent is not None:
            return self._parent
        self.connection = await self.get_connection()  # type: ignore[no-untyped-call]
        try:
            self.transaction = self.connection.transaction()
            await self.begin()  # type: ignore[no-untyped-call]
        except BaseException:
            await self._give_back(broken=True)
            raise
        self.context = self.engine.current_transaction.set(self)
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if self._parent is not None:
            return exception is None
        broken = True
        try:
            if exception is not None:
                if not self._rolled_back:
                    await self.rollback()  # type: ignore[no-untyped-call]
            elif not self._committed and not self._rolled_back:
                await self.commit()  # type: ignore[no-untyped-call]
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

    def transaction(self, allow_nested: bool = False) -> CalloutTransaction:
        """One transaction; nesting is refused, since Piccolo's nested transactions are silent no-ops."""
        return CalloutTransaction(engine=self, allow_nested=allow_nested)
