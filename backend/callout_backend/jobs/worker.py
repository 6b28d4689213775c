"""The worker: one process that drains the outbox, woken by arq, by its own pump, and by neither if Redis is dead.

Four tasks: the heartbeat (a row that /readyz looks at), the pump (every half second: is anything due?), arq's worker
under supervision (it exits when Redis goes away), and the drain itself. A drain claims rows under leases, so that any
number of workers may run.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from dataclasses import dataclass
from typing import Any

import structlog
from arq.worker import Worker, func

from callout_backend.jobs.deliver import WebhookHandler
from callout_backend.jobs.drain import Drainer, Handlers
from callout_backend.jobs.handlers import make_handlers
from callout_backend.jobs.wake import FUNCTION, QUEUE, connect, deserialize, disconnect, serialize, wake
from callout_backend.notify.pump import make_notifier
from callout_backend.settings import Settings
from callout_backend.wiring import make_database
from callout_dispatch.planning import processes
from callout_store import outbox
from callout_store.errors import Refusal
from callout_store.ids import new_id
from callout_store.work import Database

log = structlog.get_logger(__name__)

ARQ_TIMEOUT_S = 2.0
ARQ_JOB_WAIT_S = 30.0
RESTART_BASE_S, RESTART_MAX_S = 0.5, 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The worker's intervals in seconds; tests shorten them."""

    beat_s: float = 5.0
    pump_s: float = 0.5
    poll_s: float = 0.1
    patience_s: float = 10.0
    """How long rows may be due undrained, or Redis refuse, before the pump drains by itself."""
    grace_s: float = 10.0
    lease_s: float = outbox.LEASE_S
    deadline_s: float = outbox.HANDLER_DEADLINE_S
    slots: int = 50


async def main(
    settings: Settings,
    *,
    handlers: Handlers | None = None,
    pace: Pace | None = None,
    queue: str = QUEUE,
    stop: asyncio.Event | None = None,
) -> None:
    """Run until SIGTERM or SIGINT (or `stop`), then let the running handlers end within `grace_s`."""
    pace = pace or Pace()
    ending = stop or asyncio.Event()
    if stop is None:
        _end_on_signals(ending)
    db = make_database(settings, pool_min=1)
    processes.configure(settings.planners)
    webhook = WebhookHandler(private_allowed=settings.webhook_private)
    notifier = make_notifier(settings)
    drainer = Drainer(
        db,
        handlers if handlers is not None else make_handlers(settings, webhook, notifier),
        slots=pace.slots,
        lease_s=pace.lease_s,
        deadline_s=pace.deadline_s,
    )
    await _start(db, ending)
    tasks = [asyncio.create_task(_beat(db, pace), name="heartbeat")]
    tasks.append(asyncio.create_task(_pump(db, drainer, settings.redis_url, queue, pace), name="pump"))
    if settings.redis_url is not None:
        tasks.append(
            asyncio.create_task(_supervise_arq(drainer, settings.redis_url, queue, pace), name="arq")
        )
        # What handlers owe in turn is woken for at once: they run in this very process.
    db.on_outbox = lambda: _ignore(drainer.wake())
    drainer.wake()
    log.info("worker_started", pid=os.getpid())
    try:
        await _until(ending, tasks)
    finally:
        log.info("worker_stopping")
        db.on_outbox = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await drainer.stop(pace.grace_s)
        await processes.close()
        await webhook.close()
        await notifier.close()
        await db.stop()


async def _start(db: Database, ending: asyncio.Event) -> None:
    """Open the pool; a database that is not up yet is waited for."""
    while not ending.is_set():
        try:
            await db.start()
            return
        except (OSError, TimeoutError) as fault:
            log.warning("database_away", fault=type(fault).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), 1.0)


def _end_on_signals(ending: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)


async def _until(ending: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Wait for the end; a task of the worker that ends by itself is a fault, and the process shall end with it."""
    waiting = asyncio.create_task(ending.wait())
    try:
        done, _ = await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    for task in done - {waiting}:
        await task


def _ignore(_: object) -> None:
    return None


async def _beat(db: Database, pace: Pace) -> None:
    """Keep this worker's row fresh; it is removed at a clean end, and rows of the dead go after a day."""
    worker_id, host, pid = new_id(), socket.gethostname(), os.getpid()
    try:
        while True:
            try:
                async with db.work(None) as work:
                    await work.execute(
                        "insert into worker_heartbeat (worker_id, host, pid, started_at) values ($1, $2, $3, now()) "
                        "on conflict (worker_id) do update set beat_at = now()",
                        worker_id,
                        host,
                        pid,
                    )
                    await work.execute(
                        "delete from worker_heartbeat where beat_at < now() - interval '1 day'"
                    )
            except Refusal as refusal:
                log.warning("heartbeat_missed", code=refusal.code)
            await asyncio.sleep(pace.beat_s)
    finally:
        with contextlib.suppress(Refusal):
            async with db.work(None) as work:
                await work.execute("delete from worker_heartbeat where worker_id = $1", worker_id)


async def _pump(db: Database, drainer: Drainer, redis_url: str | None, queue: str, pace: Pace) -> None:
    """Cover for lost wake-ups: wake arq when rows are due, and drain here when that has not helped for a while."""
    redis = None if redis_url is None else connect(redis_url, queue)
    due_since: float | None = None
    refused_since: float | None = None
    try:
        while True:
            await asyncio.sleep(pace.pump_s)
            try:
                next_s = await outbox.next_due_s(db)
            except Refusal as refusal:
                log.warning("pump_cannot_look", code=refusal.code)
                continue
            if next_s != 0 or not drainer.idle:
                due_since = None
                continue
            now = time.monotonic()
            due_since = now if due_since is None else due_since
            if redis is None or now - due_since >= pace.patience_s:
                drainer.wake()
            elif await wake(redis):
                refused_since = None
            else:
                # Once Redis is known to be away, what falls due later does not wait for the same patience again.
                refused_since = now if refused_since is None else refused_since
                if now - refused_since >= pace.patience_s:
                    drainer.wake()
    finally:
        if redis is not None:
            await disconnect(redis)


async def _supervise_arq(drainer: Drainer, redis_url: str, queue: str, pace: Pace) -> None:
    """Run arq's worker, and again with growing pauses when Redis took it down."""

    async def drain(_: dict[Any, Any]) -> None:
        # The drain belongs to the drainer, not to this job: neither arq's timeout nor its exit cuts a handler off.
        await asyncio.wait({drainer.wake()}, timeout=ARQ_JOB_WAIT_S)

    pause_s = RESTART_BASE_S
    while True:
        redis = connect(redis_url, queue, timeout_s=ARQ_TIMEOUT_S)
        arq = Worker(
            [func(drain, name=FUNCTION, keep_result=0, max_tries=1, timeout=ARQ_JOB_WAIT_S + 10)],  # type: ignore[arg-type]
            redis_pool=redis,
            queue_name=queue,
            handle_signals=False,
            poll_delay=pace.poll_s,
            keep_result=0,
            max_tries=1,
            job_serializer=serialize,
            job_deserializer=deserialize,
        )
        started = time.monotonic()
        try:
            await arq.async_run()
        except asyncio.CancelledError:
            raise
        except Exception as fault:
            log.warning("arq_ended", fault=type(fault).__name__)
        finally:
            for task in arq.tasks.values():
                task.cancel()
            await asyncio.gather(*arq.tasks.values(), return_exceptions=True)
            await disconnect(redis)
        pause_s = (
            RESTART_BASE_S if time.monotonic() - started > RESTART_MAX_S else min(pause_s * 2, RESTART_MAX_S)
        )
        await asyncio.sleep(pause_s)
