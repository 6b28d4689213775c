"""Waking the worker through arq: best effort, bounded, and never the only way.

A wake-up that is lost costs half a second, until the worker's pump looks. So it is sent after commit in the background,
several at once as one, and errors of Redis are swallowed.
"""

import asyncio
import contextlib
from typing import Any

import msgspec
import structlog
from arq.connections import ArqRedis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from callout_store.tasks import end

log = structlog.get_logger(__name__)

QUEUE = "callout:wake"
FUNCTION = "drain"
SEND_TIMEOUT_S = 0.5
WAITING_MAX = 5
"""More wake-ups than this need not wait in Redis: one drain does everything there is."""
EXPIRES_S = 60
AWAY_PAUSE_S = 1.0


def serialize(job: dict[str, Any]) -> bytes:
    """arq's jobs as JSON. Its default is pickle: whoever can write to Redis could then run code here."""
    return msgspec.json.encode(job)


def deserialize(data: bytes) -> dict[str, Any]:
    """The reverse of `serialize`."""
    return msgspec.json.decode(data, type=dict[str, Any])


def connect(url: str, queue: str = QUEUE, *, timeout_s: float = SEND_TIMEOUT_S) -> ArqRedis:
    """A lazy client: it connects when it is first used, and again after Redis was away."""
    pool = ConnectionPool.from_url(
        url, socket_connect_timeout=timeout_s, socket_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
    )
    return ArqRedis(
        pool_or_conn=pool, job_serializer=serialize, job_deserializer=deserialize, default_queue_name=queue
    )


async def disconnect(redis: ArqRedis) -> None:
    """Close the client's connections, whether Redis answers or not."""
    with contextlib.suppress(RedisError, OSError):
        await redis.aclose(close_connection_pool=True)


async def wake(redis: ArqRedis) -> bool:
    """Ask arq to drain the outbox; False where Redis did not take it."""
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            if await redis.zcard(redis.default_queue_name) < WAITING_MAX:
                await redis.enqueue_job(FUNCTION, _expires=EXPIRES_S)
        return True
    except (RedisError, OSError, TimeoutError):
        return False


class Waker:
    """Sends wake-ups from a background task; `nudge` is what a database's `on_outbox` calls."""

    def __init__(self, url: str, queue: str = QUEUE) -> None:
        self._redis = connect(url, queue)
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send; needs a running loop."""
        self._task = asyncio.create_task(self._send(), name="waker")

    async def stop(self) -> None:
        """Stop sending; what was not sent is found by the worker's pump."""
        task, self._task = self._task, None
        await end(task)
        await disconnect(self._redis)

    def nudge(self) -> None:
        """Something is owed: wake a worker soon."""
        self._wanted.set()

    async def _send(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if not await wake(self._redis):
                log.debug("wake_not_sent")
                # The pump covers this second; trying at every commit would only pile up refused connections.
                await asyncio.sleep(AWAY_PAUSE_S)
