"""/healthz: the process is alive. /readyz: what it leans on, each part with a status and a hint for who mends it.

Only a database that is away or not migrated makes the answer 503, since nothing works without it. Redis and the worker
missing is `degraded`: pushes and pulls go on, effects wait.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import asyncpg
import msgspec
from litestar import Request, Response, get
from redis.exceptions import RedisError

from callout_backend.jobs.wake import connect, disconnect
from callout_backend.migrations import applied_ids, known_ids
from callout_backend.ops import horizon
from callout_backend.problems import locale_of
from callout_backend.settings import Settings
from callout_store.errors import Refusal
from callout_store.work import Database

Status = Literal["ok", "degraded", "failed"]

CHECK_TIMEOUT_S = 2.0
BEAT_AGE_MAX_S = 15.0
"""Three heartbeats missed."""
HORIZON_AGE_MAX_S = 30.0

FAULTS = (
    Refusal,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    RedisError,
    OSError,
    TimeoutError,
    RuntimeError,
)

HINTS: dict[str, dict[str, str]] = {
    "database": {
        "en": "The database does not answer. Check DATABASE_URL and that PostgreSQL runs; `callout doctor` says more.",
        "zh": "数据库无响应。请检查 DATABASE_URL 以及 PostgreSQL 是否运行;`callout doctor` 可给出详情。",
    },
    "migrations": {
        "en": "The database is not at this program's version. Run `callout migrate`.",
        "zh": "数据库版本与程序不一致,请运行 `callout migrate`。",
    },
    "redis": {
        "en": "Redis does not answer. Work goes on, effects start up to ten seconds later. Check REDIS_URL.",
        "zh": "Redis 无响应。业务不受影响,后台任务最多延迟十秒。请检查 REDIS_URL。",
    },
    "worker": {
        "en": "No worker has been seen lately: timers and webhooks wait. Start `callout worker`.",
        "zh": "近期未发现后台进程:定时器与回调正在等待。请启动 `callout worker`。",
    },
    "timers": {
        "en": "The database's clock leapt, or differs from this machine's by minutes: timers are held. Set the clocks.",
        "zh": "数据库时钟跳变,或与本机相差数分钟,定时器已暂停。请校准时钟。",
    },
    "feed_horizon": {
        "en": "A writing transaction stays open; phones see nothing newer. Look for it in pg_stat_activity.",
        "zh": "有写事务长时间未结束,手机暂时看不到新数据。请在 pg_stat_activity 中查找。",
    },
}


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One part: its status, a measure where there is one, and a hint where it is not `ok`."""

    status: Status
    hint: str | None = None
    age_s: float | None = None
    detail: str | None = None


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """The worst of the parts, and the parts."""

    status: Status
    checks: dict[str, Check]

    @property
    def http_status(self) -> int:
        """503 only where nothing works."""
        return 503 if self.status == "failed" else 200


async def readiness(db: Database, settings: Settings, *, locale: str = "en") -> Readiness:
    """Look at every part at once, each for at most CHECK_TIMEOUT_S."""
    parts: dict[str, tuple[Callable[[], Awaitable[Check]], Status]] = {
        "database": (lambda: _database(db), "failed"),
        "migrations": (lambda: _migrations(db), "failed"),
        "redis": (lambda: _redis(settings), "degraded"),
        "worker": (lambda: _worker(db), "degraded"),
        "timers": (lambda: _timers(db), "degraded"),
        "feed_horizon": (lambda: _horizon(db), "degraded"),
    }
    found = await asyncio.gather(*(_guarded(look, worst) for look, worst in parts.values()))
    checks = {
        name: check if check.status == "ok" else msgspec.structs.replace(check, hint=HINTS[name][locale])
        for name, check in zip(parts, found, strict=True)
    }
    order: tuple[Status, ...] = ("failed", "degraded", "ok")
    worst = next(s for s in order if any(c.status == s for c in checks.values()))
    return Readiness(status=worst, checks=checks)


async def _guarded(look: Callable[[], Awaitable[Check]], worst: Status) -> Check:
    looking = asyncio.ensure_future(look())
    # Not asyncio.timeout: a connection that hangs takes half a minute to give up even when it is told to.
    done, _ = await asyncio.wait({looking}, timeout=CHECK_TIMEOUT_S)
    if not done:
        _given_up.add(looking)
        looking.add_done_callback(_forget)
        looking.cancel()
        return Check(status=worst, detail="TimeoutError")
    try:
        return looking.result()
    except FAULTS as fault:
        # The class alone: texts of drivers hold host names and logins.
        return Check(status=worst, detail=type(fault).__name__)


_given_up: set[asyncio.Future[Check]] = set()
"""Looks that were told to end and have not yet."""


def _forget(looking: asyncio.Future[Check]) -> None:
    _given_up.discard(looking)
    if not looking.cancelled():
        looking.exception()


async def _database(db: Database) -> Check:
    started = time.perf_counter()
    await db.pool.fetchval("select 1")
    return Check(status="ok", detail=f"{(time.perf_counter() - started) * 1000:.1f} ms")


async def _migrations(db: Database) -> Check:
    async with db.pool.acquire() as conn:
        applied = await applied_ids(conn)
    missing = [id_ for id_ in known_ids() if id_ not in applied]
    if missing:
        return Check(status="failed", detail=f"missing: {', '.join(missing)}")
    # A newer program may have migrated already while this one is being replaced: that is no reason to stop serving.
    return Check(status="ok", detail=applied[-1] if applied else None)


async def _redis(settings: Settings) -> Check:
    if settings.redis_url is None:
        return Check(status="degraded", detail="REDIS_URL is not set")
    redis = connect(settings.redis_url)
    try:
        await redis.ping()
    finally:
        await disconnect(redis)
    return Check(status="ok")


async def _worker(db: Database) -> Check:
    age_s = await db.pool.fetchval(
        "select extract(epoch from now() - max(beat_at))::float8 from worker_heartbeat"
    )
    if age_s is None:
        return Check(status="degraded")
    return Check(status="ok" if age_s <= BEAT_AGE_MAX_S else "degraded", age_s=round(age_s, 1))


async def _timers(db: Database) -> Check:
    frozen = await db.pool.fetchval("select coalesce(bool_or(frozen_until > now()), false) from clock_guard")
    return Check(status="degraded" if frozen else "ok")


async def _horizon(db: Database) -> Check:
    found = await horizon.look(db)
    return Check(status="ok" if found.age_s <= HORIZON_AGE_MAX_S else "degraded", age_s=round(found.age_s, 1))


@get("/healthz", include_in_schema=False)
async def healthz() -> dict[str, str]:
    """Whether this process answers at all."""
    return {"status": "ok"}


@get("/readyz", include_in_schema=False)
async def readyz(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Whether this process can do its work."""
    state = request.app.state
    found = await readiness(
        state.db, state.settings, locale=locale_of(request.headers.get("accept-language"))
    )
    return Response(
        content=msgspec.json.encode(found), status_code=found.http_status, media_type="application/json"
    )
