"""`callout doctor`: what is wrong with this installation and how to mend it.

Each check answers for one thing and never raises; one that cannot be asked because an earlier one failed says so by
being left out. Only `failed` makes the command's exit code 1: a worker that does not run right now is worth a word,
but no fault of the installation.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from callout_backend.embedded import running_urls
from callout_backend.house import answers, refuse_taken_port
from callout_backend.reach import CONNECT_SECONDS, Unreachable, connect, without_password
from callout_backend.settings import Settings, SettingsError
from callout_backend.texts import say

DISK_FREE_MIN = 1024**3
CLOCK_APART_MAX_S = 5.0
BEAT_AGE_MAX_S = 15.0
MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "failed": "[red]failed[/]"}

NAMES: dict[str, tuple[str, str]] = {
    "python": ("Python", "Python"),
    "settings": ("Settings", "设置"),
    "data": ("Data folder", "数据目录"),
    "disk": ("Disk", "磁盘空间"),
    "port": ("Port", "端口"),
    "servers": ("Servers", "服务器"),
    "database": ("Database", "数据库"),
    "roles": ("App's role", "应用角色"),
    "login": ("Login", "登录角色"),
    "migrations": ("Migrations", "数据库版本"),
    "clock": ("Clock", "时钟"),
    "worker": ("Worker", "后台进程"),
    "redis": ("Redis", "Redis"),
    "secret": ("Signing key", "签名密钥"),
}

MENDS: dict[str, tuple[str, str]] = {
    "python": (
        "Install Python 3.11 or newer, then `make env`.",
        "请安装 Python 3.11 或更新版本,再运行 `make env`。",
    ),
    "settings": (
        "Change the variable; docs/settings.md lists all.",
        "请修改该变量;全部变量见 docs/settings.md。",
    ),
    "data": (
        "Make the folder writable for this user, or set CALLOUT_DATA to another.",
        "请让当前用户可写该目录,或用 CALLOUT_DATA 指定其他目录。",
    ),
    "disk": (
        "Free some space: PostgreSQL stops when its disk is full.",
        "请清理磁盘:磁盘写满后 PostgreSQL 会停止。",
    ),
    "port": ("End the other program, or set PORT.", "请结束占用端口的程序,或设置 PORT。"),
    "servers": (
        "`make run` starts them; or set DATABASE_URL and REDIS_URL.",
        "`make run` 会启动它们;或设置 DATABASE_URL 和 REDIS_URL。",
    ),
    "database": (
        "Check DATABASE_URL, that PostgreSQL 15 to 18 runs there, and its password.",
        "请检查 DATABASE_URL、密码,以及该处运行的是否为 PostgreSQL 15 至 18。",
    ),
    "roles": (
        "The login must be a member of callout_app and callout_worker: `callout migrate` makes them; then"
        " GRANT callout_app, callout_worker TO <login>. See README.md.",
        "登录角色必须是 callout_app 和 callout_worker 的成员:先运行 `callout migrate`,再执行"
        " GRANT callout_app, callout_worker TO <登录角色>。见 README.md。",
    ),
    "login": (
        "Let the app sign in with a login that has no rights of its own; README.md says how to make one.",
        "请让应用使用自身没有任何权限的登录角色,建立方法见 README.md。",
    ),
    "migrations": ("Run `callout migrate`.", "请运行 `callout migrate`。"),
    "clock": (
        "Set this machine's and the database's clock by NTP.",
        "请用 NTP 校准本机与数据库服务器的时钟。",
    ),
    "worker": (
        "Start `callout worker`; until then timers and webhooks wait.",
        "请启动 `callout worker`;此前定时器与回调会等待。",
    ),
    "redis": (
        "Check REDIS_URL and that Redis runs. Nothing is lost meanwhile; work starts up to ten seconds later.",
        "请检查 REDIS_URL 以及 Redis 是否运行。期间不会丢失数据,后台任务最多延迟十秒。",
    ),
    "secret": (
        "Set CALLOUT_SECRET if several machines serve: each would make a key of its own.",
        "若由多台机器提供服务,请设置 CALLOUT_SECRET,否则各机器密钥不同。",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's answer. `status` is ok, note or failed; `found` says what was seen, without secrets."""

    check: str
    status: str
    found: str


def examine() -> int:
    """Run all checks, print the table, return the exit code."""
    findings = asyncio.run(look())
    show(findings, Console())
    return 1 if any(finding.status == "failed" for finding in findings) else 0


def show(findings: list[Finding], console: Console) -> None:
    """The table, with the way to mend it beside what is not well."""
    column = 1 if say.locale() == "zh" else 0
    table = Table(box=None, pad_edge=False)
    for title in (say("check"), "", say("found"), say("mend")):
        table.add_column(title, overflow="fold")
    for finding in findings:
        mend = "" if finding.status == "ok" else MENDS[finding.check][column]
        table.add_row(NAMES[finding.check][column], MARKS[finding.status], Text(finding.found), Text(mend))
    console.print(table)
    wrong = any(finding.status == "failed" for finding in findings)
    console.print(say("some_wrong" if wrong else "all_well"))


async def look() -> list[Finding]:
    """All findings, in the order in which one would mend them."""
    version = ".".join(map(str, sys.version_info[:3]))
    findings = [Finding("python", "ok" if sys.version_info >= (3, 11) else "failed", version)]
    try:
        settings = Settings.from_env()
    except SettingsError as fault:
        return [*findings, Finding("settings", "failed", str(fault))]
    findings.append(Finding("settings", "ok", "HOST, PORT, …"))
    findings += [_data(settings), _disk(settings), _port(settings)]
    if settings.database_url is not None and settings.secret is None:
        findings.append(Finding("secret", "note", "CALLOUT_SECRET is not set"))
    postgres, redis = settings.needs_embedded()
    if postgres or redis:
        urls = running_urls(settings.data)
        if urls is None:
            findings.append(Finding("servers", "note", "the embedded servers do not run"))
        else:
            settings = settings.with_urls(database=urls.database, owner=urls.owner, redis=urls.redis)
            findings.append(Finding("servers", "ok", "embedded, running"))
    if settings.database_url is not None:
        findings += await _database(settings.database_url)
    if settings.redis_url is not None:
        findings.append(await _redis(settings.redis_url))
    return findings


def _data(settings: Settings) -> Finding:
    folder = _existing(settings.data)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as fault:
        return Finding("data", "failed", f"{settings.data.absolute()}: {fault.strerror}")
    return Finding("data", "ok", str(settings.data.absolute()))


def _disk(settings: Settings) -> Finding:
    try:
        free = shutil.disk_usage(_existing(settings.data)).free
    except OSError as fault:
        return Finding("disk", "failed", str(fault.strerror))
    return Finding("disk", "ok" if free >= DISK_FREE_MIN else "failed", f"{free / 1024**3:.1f} GiB free")


def _existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above that is there already."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _port(settings: Settings) -> Finding:
    where = f"{settings.host}:{settings.port}"
    if answers(settings):
        return Finding("port", "ok", f"{where}: Callout answers")
    try:
        refuse_taken_port(settings)
    except RuntimeError as fault:
        return Finding("port", "failed", str(fault))
    return Finding("port", "ok", f"{where} is free")


async def _database(url: str) -> list[Finding]:
    try:
        connection = await connect(url)
    except Unreachable as fault:
        return [Finding("database", "failed", fault.why)]
    try:
        number = int(await connection.fetchval("select current_setting('server_version_num')"))
        supported = 150000 <= number < 190000
        found = f"PostgreSQL {number // 10000}.{number % 10000}"
        findings = [Finding("database", "ok" if supported else "failed", found)]
        findings += [finding async for finding in _inside(connection)]
        return findings
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


async def _inside(connection: Any) -> AsyncIterator[Finding]:
    import asyncpg

    from callout_backend.migrations import applied_ids, known_ids
    from callout_store.engine import APP_ROLE, WORKER_ROLE

    yield await _clock(connection)
    roles = await connection.fetch(
        "select rolname, rolsuper or rolbypassrls as free, pg_has_role(rolname, 'member') as ours"
        " from pg_roles where rolname = any($1::text[])",
        [APP_ROLE, WORKER_ROLE],
    )
    if len(roles) < 2 or not all(row["ours"] for row in roles):
        yield Finding("roles", "failed", f"this login cannot become {APP_ROLE} and {WORKER_ROLE}")
        return
    if any(row["free"] for row in roles):
        yield Finding("roles", "failed", "the app's role may look past row-level security")
        return
    yield Finding("roles", "ok", f"{APP_ROLE}, {WORKER_ROLE}")
    if await connection.fetchval(
        "select rolsuper or rolbypassrls or rolcreaterole from pg_roles where rolname = session_user"
    ):
        yield Finding("login", "note", "this login has rights that a fault in the app could use")
    await connection.execute(f"set role {APP_ROLE}")
    try:
        applied = await applied_ids(connection)
        missing = [id_ for id_ in known_ids() if id_ not in applied]
        if missing:
            yield Finding("migrations", "failed", f"missing: {', '.join(missing)}")
            return
        yield Finding("migrations", "ok", applied[-1])
        age_s = await connection.fetchval(
            "select extract(epoch from now() - max(beat_at))::float8 from worker_heartbeat"
        )
    except asyncpg.PostgresError as fault:
        yield Finding("migrations", "failed", str(fault))
        return
    if age_s is None or age_s > BEAT_AGE_MAX_S:
        yield Finding("worker", "note", "none seen" if age_s is None else f"last seen {age_s:.0f} s ago")
    else:
        yield Finding("worker", "ok", f"seen {age_s:.0f} s ago")


async def _clock(connection: Any) -> Finding:
    before = datetime.now(UTC)
    theirs = await connection.fetchval("select clock_timestamp()")
    after = datetime.now(UTC)
    apart_s = abs((theirs - (before + (after - before) / 2)).total_seconds())
    status = "ok" if apart_s <= CLOCK_APART_MAX_S else "failed"
    return Finding("clock", status, f"{apart_s:.1f} s apart from the database")


async def _redis(url: str) -> Finding:
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    client = Redis.from_url(url, socket_timeout=CONNECT_SECONDS, socket_connect_timeout=CONNECT_SECONDS)
    try:
        info = await client.info("server")
    except (RedisError, OSError, TimeoutError, ValueError) as fault:
        return Finding("redis", "failed", without_password(str(fault) or type(fault).__name__, url))
    finally:
        await client.aclose()
    return Finding("redis", "ok", f"Redis {info.get('redis_version')}")
