"""Both servers of one data folder, owned by one process at a time."""

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from callout_backend.embedded.keys import Keys, read_keys, write_keys, write_private
from callout_backend.embedded.place import find_place, make_folder
from callout_backend.embedded.postgres import ADMIN, DATABASE, LOGIN, OWNER, Postgres
from callout_backend.embedded.processes import LOOPBACK, EmbeddedError, refuse_beyond_loopback, wait_until
from callout_backend.embedded.redis import Redis

LOCK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Urls:
    """How to reach the servers; None for one that was not asked for.

    `database` signs in with no rights but to become the app's roles, `owner` migrates, `admin` is the superuser.
    """

    database: str | None = None
    owner: str | None = None
    admin: str | None = None
    redis: str | None = None


class EmbeddedServers:
    """Start with `start()` or as a context; `stop()` ends both. Ctrl-C does not reach them by itself.

    `postgres` and `redis` are the parts, for tests that stop, flush or crash one of them.
    """

    def __init__(
        self,
        data: Path,
        *,
        host: str = LOOPBACK,
        with_postgres: bool = True,
        with_redis: bool = True,
        server_user: str | None = None,
        sync: bool = True,
    ) -> None:
        refuse_beyond_loopback(host)
        self.data = data.absolute()
        self.with_postgres, self.with_redis = with_postgres, with_redis
        self.server_user, self.sync = server_user, sync
        self.notes: tuple[str, ...] = ()
        self._postgres: Postgres | None = None
        self._redis: Redis | None = None
        self._lock: int | None = None

    @property
    def postgres(self) -> Postgres:
        if self._postgres is None:
            raise EmbeddedError("PostgreSQL was not started.")
        return self._postgres

    @property
    def redis(self) -> Redis:
        if self._redis is None:
            raise EmbeddedError("Redis was not started.")
        return self._redis

    @property
    def urls(self) -> Urls:
        redis = self._redis.url if self._redis else None
        if self._postgres is None:
            return Urls(redis=redis)
        url = self._postgres.url
        return Urls(database=url(LOGIN), owner=url(OWNER), admin=url(ADMIN), redis=redis)

    def database_urls(self, database: str = DATABASE) -> Urls:
        """The same logins on another database of the cluster."""
        url = self.postgres.url
        return Urls(url(LOGIN, database), url(OWNER, database), url(ADMIN, database), self.urls.redis)

    def start(self) -> Urls:
        """Take the data folder, clear what a killed run left, start. Raises EmbeddedError with a plain sentence."""
        try:
            make_data_folder(self.data)
            self._take_lock()
        except OSError as fault:
            raise EmbeddedError(f"The data folder {self.data} cannot be used: {fault.strerror}.") from fault
        try:
            self._start_parts()
        except BaseException:
            self.stop()
            raise
        return self.urls

    def stop(self) -> None:
        """End both servers, wait for them and give the data folder back. Does nothing the second time."""
        try:
            with contextlib.ExitStack() as both:
                for part in (self._postgres, self._redis):
                    if part is not None:
                        both.callback(part.stop)
        finally:
            self._postgres = self._redis = None
            if self._lock is not None:
                _urls_file(self.data).unlink(missing_ok=True)
                os.close(self._lock)
                self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_parts(self) -> None:
        logs = self.data / "logs"
        make_folder(logs, 0o700)
        keys_file = self.data / "servers.keys"
        kept = read_keys(keys_file)
        keys = kept or Keys.fresh()
        # Written before they are used: a cluster whose passwords nobody knows would be lost work.
        write_keys(keys_file, keys)
        place = find_place(self.data, server_user=self.server_user)
        self.notes = place.notes
        if self.with_postgres:
            postgres = Postgres(place, keys, log=logs / "postgres.log", sync=self.sync)
            self._postgres = postgres
            postgres.start(new_keys=kept is None)
        if self.with_redis:
            redis = Redis(place, keys, log=logs / "redis.log")
            self._redis = redis
            redis.start()
        write_keys(keys_file, keys)
        write_private(_urls_file(self.data), json.dumps(asdict(self.urls), indent=1))

    def _take_lock(self) -> None:
        lock = os.open(self.data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # `running_urls` of another process may hold it for the blink of its look.
        if not wait_until(lambda: _locked(lock), LOCK_SECONDS):
            owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
            os.close(lock)
            raise EmbeddedError(
                f"The data folder {self.data} is in use by another callout process"
                f"{f' ({owner})' if owner else ''}. End that one, or set CALLOUT_DATA to another folder."
            )
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def make_data_folder(data: Path) -> None:
    """Make the data folder. Root's must let the servers' user walk through; its files are closed one by one."""
    if not data.parent.is_dir():
        data.parent.mkdir(parents=True, exist_ok=True)
    make_folder(data, 0o711 if os.geteuid() == 0 else 0o700)


def running_urls(data: Path) -> Urls | None:
    """The URLs of the servers that another process runs in this data folder now; None when none does."""
    try:
        lock = os.open(data / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with contextlib.suppress(OSError, ValueError, TypeError):
            return Urls(**json.loads(_urls_file(data).read_text("utf-8")))
        return None
    finally:
        os.close(lock)
    return None


def _urls_file(data: Path) -> Path:
    return data / "servers.json"
