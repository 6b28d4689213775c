"""Draining: fire the timers that are due, claim what is owed, run the handlers, settle; until nothing is due.

One `Drainer` a process. Its handlers run side by side in slots, so that a slow receiver takes a slot and not the queue;
freed slots are filled while it is still slow.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from callout_store import meters, outbox, timers
from callout_store.errors import Refusal
from callout_store.outbox import Claimed, Hopeless
from callout_store.work import Database

log = structlog.get_logger(__name__)

Handler = Callable[[Database, Claimed], Awaitable[str | None]]
"""Does what a message asks, outside any transaction; returns the receiver's reference. At least once: may run again.

Raises `outbox.Retry` for "not now", `outbox.Hopeless` for "never"; anything else is retried with backoff.
"""
Handlers = Mapping[str, Handler]


@dataclass(frozen=True, slots=True)
class Long:
    """A handler that may need minutes. Its lease is renewed while it runs, so that a long deadline needs no long lease: when
    its worker dies, another one has the row within a lease's time, as with any other message.

    A task of its own beside the outbox would need the same again: a lease, its renewal, somebody who takes it up.
    """

    handler: Handler
    deadline_s: float

    def __call__(self, db: Database, item: Claimed) -> Awaitable[str | None]:
        """Run it."""
        return self.handler(db, item)


class LostLease(Exception):
    """The lease of a long handler could not be renewed: another worker has its row, or soon will."""


SLOTS = 50
LOOK_EVERY_S = 0.5
"""How often to look for newly due rows while all running handlers are slow."""


class Drainer:
    """Drains on `wake`; waking it while it drains makes it look once more. `channels`: only rows of these (None: all)."""

    def __init__(
        self,
        db: Database,
        handlers: Handlers,
        *,
        slots: int = SLOTS,
        lease_s: float = outbox.LEASE_S,
        deadline_s: float = outbox.HANDLER_DEADLINE_S,
        channels: Sequence[str] | None = None,
    ) -> None:
        if not 0 < deadline_s < lease_s:
            raise ValueError("a handler's deadline is shorter than the lease, or two workers hold one row")
        self.db = db
        self.handlers = handlers
        self.slots, self.lease_s, self.deadline_s = slots, lease_s, deadline_s
        self.channels = channels
        self.handled = 0
        self._running: set[asyncio.Task[None]] = set()
        self._drain: asyncio.Task[None] | None = None
        self._again = asyncio.Event()
        self._stopping = False

    @property
    def idle(self) -> bool:
        """Whether nothing is being drained."""
        return self._drain is None or self._drain.done()

    def wake(self) -> "asyncio.Task[None]":
        """Start draining, or have the running drain look again; the task ends when nothing is due any more.

        The task never fails: a database that is away ends it, and the next wake-up tries again.
        """
        self._again.set()
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._until_nothing_is_due(), name="drain")
        return self._drain

    async def stop(self, grace_s: float = 10.0) -> None:
        """Claim no more, let the running handlers end for `grace_s`, cut off the rest: their leases run out."""
        self._stopping = True
        self._again.set()
        if self._drain is not None:
            await asyncio.wait({self._drain}, timeout=grace_s)
        rest = [task for task in (*self._running, self._drain) if task is not None and not task.done()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _until_nothing_is_due(self) -> None:
        while True:
            self._again.clear()
            claimed = 0
            if not self._stopping and len(self._running) < self.slots:
                claimed = await self._claim(self.slots - len(self._running))
            if claimed:
                continue
            if not self._running:
                if self._stopping or not self._again.is_set():
                    return
                continue
            await self._wait()

    async def _claim(self, limit: int) -> int:
        """Fire timers and start handlers for up to `limit` rows; how many were started."""
        try:
            await timers.fire_due(self.db)
            items = await outbox.claim(self.db, limit=limit, lease_s=self.lease_s, channels=self.channels)
        except Refusal as refusal:
            log.warning("drain_cannot_claim", code=refusal.code)
            return 0
        for item in items:
            task = asyncio.create_task(self._handle(item), name=f"outbox:{item.channel}")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return len(items)

    async def _wait(self) -> None:
        """Until a handler ends, somebody wakes us, or it is time to look again."""
        again = asyncio.ensure_future(self._again.wait())
        try:
            await asyncio.wait(
                {*self._running, again}, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            again.cancel()

    async def _handle(self, item: Claimed) -> None:
        with structlog.contextvars.bound_contextvars(outbox_id=str(item.id), channel=item.channel):
            outcome = await self._attempt(item)
        self.handled += 1
        # What it wrote may have come too late for a look that is under way.
        self._again.set()
        meters.count("outbox_handled", channel=item.channel, outcome=outcome)

    async def _attempt(self, item: Claimed) -> str:
        reference: str | None = None
        fault: Exception | None = None
        try:
            if item.attempt > outbox.ATTEMPTS_MAX:
                raise Hopeless("the workers that tried it all died")
            handler = self.handlers.get(item.channel)
            if handler is None:
                raise Hopeless(f"no handler for the channel {item.channel!r}")
            if isinstance(handler, Long):
                async with asyncio.timeout(handler.deadline_s):
                    reference = await self._held(handler, item)
            else:
                async with asyncio.timeout(self.deadline_s):
                    reference = await handler(self.db, item)
        except Exception as caught:
            fault = caught
        try:
            if fault is None:
                held = await outbox.finish(self.db, item, provider_ref=reference)
                return "done" if held else "fenced"
            dead = isinstance(fault, Hopeless) or item.attempt >= outbox.ATTEMPTS_MAX
            write = log.error if dead else log.info
            write(
                "outbox_failed", attempt=item.attempt, dead=dead, exc_info=None if _expected(fault) else fault
            )
            held = await outbox.fail(self.db, item, fault)
            return ("dead" if dead else "retry") if held else "fenced"
        except Refusal as refusal:
            # Not settled: the lease runs out and the row is handled again, as after a killed worker.
            log.warning("outbox_not_settled", code=refusal.code)
            return "unsettled"

    async def _held(self, handler: Long, item: Claimed) -> str | None:
        """Run a long handler for as long as its lease holds; it is cancelled when it does not."""
        doing = asyncio.ensure_future(handler(self.db, item))
        holding = asyncio.create_task(self._renew(item), name=f"lease:{item.channel}")
        try:
            await asyncio.wait({doing, holding}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise LostLease("the lease was lost while the handler ran")
            return await doing
        finally:
            for task in (doing, holding):
                task.cancel()
            await asyncio.gather(doing, holding, return_exceptions=True)

    async def _renew(self, item: Claimed) -> None:
        """Renew until that fails: the row is somebody else's, or the database was away for most of a lease."""
        held_at = time.monotonic()
        while time.monotonic() - held_at < self.lease_s * 0.8:
            await asyncio.sleep(self.lease_s / 4)
            try:
                if not await outbox.renew(self.db, item, lease_s=self.lease_s):
                    return
                held_at = time.monotonic()
            except Refusal as refusal:
                log.warning("lease_not_renewed", code=refusal.code)


def _expected(fault: Exception) -> bool:
    return isinstance(fault, outbox.Retry | Hopeless | LostLease | TimeoutError | Refusal)


async def drain(
    db: Database,
    handlers: Handlers,
    *,
    lease_s: float = outbox.LEASE_S,
    deadline_s: float = outbox.HANDLER_DEADLINE_S,
    only: bool = False,
) -> int:
    """Drain until nothing is due, once; how many rows were handled. For tests, the demo and one-off commands.

    With `only` the rows of other channels are left to whoever handles them; without it they are dead letters.
    """
    channels = sorted(handlers) if only else None
    drainer = Drainer(db, handlers, lease_s=lease_s, deadline_s=deadline_s, channels=channels)
    await drainer.wake()
    return drainer.handled
