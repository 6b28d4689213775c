"""The servers that `make run` starts: real ones, for this machine only, and sturdy against what people do to them."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from callout_backend.embedded import EmbeddedError, EmbeddedServers, place, running_urls
from callout_backend.embedded.place import find_place
from callout_backend.embedded.processes import servers_in, wait_until

pytestmark = pytest.mark.crash
ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from callout_backend.embedded import EmbeddedServers
servers = EmbeddedServers(Path(sys.argv[1]), sync=False)
servers.start()
print(servers.postgres.pid, servers.redis.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the servers' user may walk through, as a checkout in an ordinary place is."""
    yield from make_folder()


def make_folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="callout-own-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def own_servers() -> Iterator[EmbeddedServers]:
    """Servers that only the tests of this file use."""
    for path in make_folder():
        with EmbeddedServers(path / "data", sync=False) as servers:
            yield servers


@pytest.fixture
def embedded(own_servers: EmbeddedServers) -> EmbeddedServers:
    """Servers that run, whatever the test before did to them; a test may crash them."""
    own_servers.stop()
    own_servers.start()
    return own_servers


async def ask(url: str | None, sql: str, **options: object) -> object:
    assert url is not None
    connection = await asyncpg.connect(url, timeout=10, **options)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def redis_ping(servers: EmbeddedServers, password: str | None) -> bytes:
    assert servers.redis.port is not None
    with socket.create_connection(("127.0.0.1", servers.redis.port), timeout=5) as link:
        login = f"AUTH {password}\r\n" if password is not None else ""
        link.sendall(f"{login}PING\r\nQUIT\r\n".encode())
        said = b""
        while piece := link.recv(1024):
            said += piece
        return said


async def test_start_stop_and_the_same_data_again(embedded: EmbeddedServers) -> None:
    """Yesterday's orders, and the URLs in somebody's notes, are still there today."""
    first = embedded.urls
    await ask(first.owner, "create table kept as select 42 as answer")
    pids = [embedded.postgres.pid, embedded.redis.pid]
    embedded.stop()
    assert not any(pid is not None and psutil.pid_exists(pid) for pid in pids)
    embedded.stop()  # the second Ctrl-C
    assert embedded.start() == first
    assert await ask(first.owner, "select answer from kept") == 42


async def test_it_is_a_server_that_callout_supports(embedded: EmbeddedServers) -> None:
    """Sort order and character set decide about indexes for ever: they must not depend on the machine's locale."""
    assert await ask(embedded.urls.database, "select current_setting('server_version_num')::int") >= 180000  # type: ignore[operator]
    assert await ask(embedded.urls.database, "select current_setting('server_encoding')") == "UTF8"
    row = await ask(
        embedded.urls.database,
        "select datlocprovider::text || datlocale from pg_database where datname = current_database()",
    )
    assert row == "bC.UTF-8"


async def test_the_apps_login_has_no_rights_of_its_own(embedded: EmbeddedServers) -> None:
    """A forgotten RESET ROLE in the app must not end in another organisation's rows."""
    admin = embedded.urls.admin
    flags = "rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolinherit"
    for login in ("callout_login", "callout_app", "callout_worker"):
        assert await ask(admin, f"select {flags} from pg_roles where rolname = '{login}'") is False, login
    assert (
        await ask(admin, "select rolsuper or rolbypassrls from pg_roles where rolname = 'callout'") is False
    )
    await ask(embedded.urls.owner, "create table closed as select 1 as a")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(embedded.urls.database, "select a from closed")
    app = {"server_settings": {"role": "callout_app"}}
    assert await ask(embedded.urls.database, "select current_user", **app) == "callout_app"


@pytest.mark.parametrize("password", ("wrong", "", None))
async def test_a_wrong_password_is_refused(embedded: EmbeddedServers, password: str | None) -> None:
    """Other users of the machine reach the port, and must not reach the data."""
    for user in ("callout_admin", "callout", "callout_login"):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(
                host="127.0.0.1",
                port=embedded.postgres.port,
                user=user,
                database="callout",
                password=password or "x",
            )
    said = redis_ping(embedded, password)
    assert b"PONG" not in said
    assert b"NOAUTH" in said or b"WRONGPASS" in said or b"ERR" in said


async def test_passwords_are_on_no_command_line(embedded: EmbeddedServers) -> None:
    """`ps` shows every user the command lines of all."""
    secrets = [
        value
        for value in (embedded.postgres.keys.admin, embedded.postgres.keys.app, embedded.redis.keys.redis)
    ]
    for pid in (embedded.postgres.pid, embedded.redis.pid):
        line = " ".join(psutil.Process(pid).cmdline())
        assert not any(secret in line for secret in secrets)
    for kept in ("servers.keys", "servers.json", "lock"):
        assert (embedded.data / kept).stat().st_mode & 0o077 == 0, kept


async def test_they_listen_on_the_loopback_address_only(embedded: EmbeddedServers) -> None:
    """Nobody in the café's network talks to a developer's database, whatever the configuration file says."""
    ports = {embedded.postgres.port, embedded.redis.port}
    heard = {
        c.laddr.ip for c in psutil.net_connections("inet") if c.status == "LISTEN" and c.laddr.port in ports
    }
    assert heard == {"127.0.0.1"}
    await ask(embedded.urls.admin, "alter system set listen_addresses = '*'")
    embedded.postgres.immediate_restart()
    assert await ask(embedded.urls.admin, "show listen_addresses") == "127.0.0.1"


@pytest.mark.parametrize("host", ("0.0.0.0", "localhost", "::", "192.168.1.5", ""))
def test_another_address_is_refused(tmp_path: Path, host: str) -> None:
    """The embedded servers have no encryption: whoever asks for more is told which road to take."""
    with pytest.raises(EmbeddedError, match="DATABASE_URL"):
        EmbeddedServers(tmp_path / "data", host=host)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user to change to")
async def test_started_by_root_they_run_as_somebody_else(embedded: EmbeddedServers) -> None:
    """A hole in a server must not be a hole in the machine."""
    processes = servers_in(embedded.postgres.folder, "postgres") + servers_in(
        embedded.redis.folder, "redis-server"
    )
    assert len(processes) > 3
    for process in processes:
        assert 0 not in process.uids(), process
        assert 0 not in process.gids(), process


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that the servers' user cannot reach")
def test_a_closed_folder_is_left_closed(folder: Path) -> None:
    """A checkout in root's home works, and its home's rights are untouched; a new data folder starts afresh."""
    folder.chmod(0o700)
    data = folder / "data"
    homes = []
    for _ in range(2):
        with EmbeddedServers(data, sync=False) as servers:
            assert not servers.postgres.folder.is_relative_to(folder)
            assert any("cannot reach" in note for note in servers.notes)
            homes.append(servers.postgres.place.home)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert homes[0] == homes[1]
    shutil.rmtree(data)
    data.mkdir()
    after = find_place(data).home
    assert after != homes[0]
    assert not homes[0].exists()
    shutil.rmtree(after)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that the servers' user cannot reach")
def test_programs_in_a_closed_folder_are_copied_with_their_libraries(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment in root's home: the wheel's programs find their libraries beside the package, or do not start."""
    site, shared = folder / "site", folder / "shared"
    source = site / "wheel" / "inst"
    (source / "bin").mkdir(parents=True)
    (site / "wheel" / "__init__.py").touch()
    (site / "wheel.libs").mkdir()
    (site / "wheel.libs" / "lib.so").touch(mode=0o600)
    tool = source / "bin" / "tool"
    tool.write_text('#!/bin/sh\nexec cat "$(dirname "$0")/../../../wheel.libs/lib.so"\n')
    tool.chmod(0o700)
    site.chmod(0o700)
    monkeypatch.setattr(place, "SHARED_PLACES", (shared,))
    identity = place.unprivileged(None)
    copied = place.programs(source, ("bin/tool",), identity)
    assert copied.is_relative_to(shared)
    assert place.programs(source, ("bin/tool",), identity) == copied
    assert site.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(shared)
    (site / "wheel.libs" / "lib.so").unlink()
    with pytest.raises(EmbeddedError, match="cannot run"):
        place.programs(source, ("bin/tool",), identity)


def test_a_second_run_on_the_same_folder_is_refused(embedded: EmbeddedServers) -> None:
    """Two `make run` in two terminals: the second says so, and the first is not hurt."""
    with pytest.raises(
        EmbeddedError, match=rf"in use by another callout process \({os.getpid()}\).*CALLOUT_DATA"
    ):
        EmbeddedServers(embedded.data, sync=False).start()
    assert running_urls(embedded.data) == embedded.urls
    assert embedded.redis.pid is not None
    assert psutil.pid_exists(embedded.redis.pid)


def test_urls_of_a_stopped_run_are_not_believed(embedded: EmbeddedServers) -> None:
    """`callout doctor` beside a run that was killed must not wait for servers that are gone."""
    file = embedded.data / "servers.json"
    kept = file.read_text("utf-8")
    embedded.stop()
    file.write_text(kept, "utf-8")
    assert running_urls(embedded.data) is None
    assert running_urls(embedded.data / "nowhere") is None


async def test_immediate_restart_keeps_what_was_committed(embedded: EmbeddedServers) -> None:
    """A crash of PostgreSQL: acknowledged work stays, the address stays."""
    urls = embedded.urls
    await ask(urls.owner, "create table acknowledged as select generate_series(1, 1000) as n")
    before = embedded.postgres.pid
    embedded.postgres.immediate_restart()
    assert embedded.postgres.pid != before
    assert embedded.urls == urls
    assert await ask(urls.owner, "select count(*) from acknowledged") == 1000


def test_redis_can_be_stopped_started_and_flushed(embedded: EmbeddedServers) -> None:
    """The crash tests take Redis away under load, and give it back at the same address."""
    url, password = embedded.redis.url, embedded.redis.keys.redis
    embedded.redis.flush()
    embedded.redis.stop()
    with pytest.raises(OSError):  # noqa: PT011 - refused or reset, as the machine likes
        redis_ping(embedded, password)
    embedded.redis.start()
    assert embedded.redis.url == url
    assert b"PONG" in redis_ping(embedded, password)


@pytest.mark.parametrize("victims", ("holder", "holder and postmaster", "holder and redis"))
async def test_a_killed_run_does_not_block_the_next(folder: Path, victims: str) -> None:
    """The laptop's battery ran out, or somebody used kill -9: the next start mends it without being asked."""
    data = folder / "data"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(data)], stdout=subprocess.PIPE, env=child_environment()
    )
    assert holder.stdout is not None
    pids = dict(zip(("postmaster", "redis"), map(int, holder.stdout.readline().split()), strict=True))
    left = running_urls(data)
    assert left is not None
    await ask(left.owner, "create table survived as select 7 as n")
    holder.kill()
    holder.communicate(timeout=10)
    for name, pid in pids.items():
        if name in victims:
            os.kill(pid, signal.SIGKILL)
    old = [psutil.Process(pid) for pid in pids.values() if psutil.pid_exists(pid)]
    with EmbeddedServers(data, sync=False) as servers:
        assert await ask(servers.urls.owner, "select n from survived") == 7
        assert servers.urls == left
        assert wait_until(lambda: not any(alive(process) for process in old), 5)
        assert servers.postgres.pid not in pids.values()


async def test_a_recycled_pid_is_never_signalled(embedded: EmbeddedServers) -> None:
    """After a reboot the number in an old pid file may belong to somebody's editor with unsaved work."""
    folder, user = embedded.postgres.folder, embedded.postgres.place.user
    embedded.stop()
    bystander = subprocess.Popen(
        ["/bin/sleep", "600"],
        cwd="/",
        **({"user": user[0], "group": user[1], "extra_groups": []} if user else {}),
    )
    try:
        (folder / "postmaster.pid").write_text(
            f"{bystander.pid}\n{folder}\n1700000000\n1\n\n127.0.0.1\n\nready\n"
        )
        embedded.start()
        assert await ask(embedded.urls.database, "select 1") == 1
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


async def test_a_taken_port_is_replaced(embedded: EmbeddedServers) -> None:
    """Another program took the port overnight: Callout moves, instead of failing or talking to a stranger."""
    before = embedded.postgres.port
    assert before is not None
    embedded.stop()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", before))
        squatter.listen()
        embedded.start()
        assert embedded.postgres.port != before
        assert await ask(embedded.urls.database, "select 1") == 1


async def test_lost_passwords_are_set_anew(embedded: EmbeddedServers) -> None:
    """The file with the passwords was deleted: the orders behind them are not lost."""
    await ask(embedded.urls.owner, "create table still_here as select 1 as n")
    embedded.stop()
    (embedded.data / "servers.keys").unlink()
    embedded.start()
    assert await ask(embedded.urls.owner, "select n from still_here") == 1


async def test_an_interrupted_first_start_is_begun_again(folder: Path) -> None:
    """Ctrl-C during the very first start leaves half a cluster, which must not be taken for a whole one."""
    data = folder / "data"
    data.mkdir(mode=0o711)
    half = find_place(data).folder("postgres.new")
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedServers(data, sync=False) as servers:
        assert await ask(servers.urls.database, "select 1") == 1
    assert not half.exists()


def test_a_full_or_closed_disk_is_a_plain_sentence(folder: Path) -> None:
    """The data folder is a file, or cannot be made: one sentence, no stack trace to read."""
    (folder / "data").write_text("")
    with pytest.raises(EmbeddedError, match="cannot be used"):
        EmbeddedServers(folder / "data").start()


def child_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


async def test_the_servers_of_the_run_answer(database_url: str, fresh_database: object) -> None:
    """The fixtures that every other test stands on: a migrated database, reached as the app."""
    tables, role = await asyncio.gather(
        ask(database_url, "select count(*) from pg_class where relkind = 'r' and relname = 'journal'"),
        ask(database_url, "select current_user", server_settings={"role": "callout_app"}),
    )
    assert tables == 1
    assert role == "callout_app"
    assert getattr(fresh_database, "database", None) != database_url
