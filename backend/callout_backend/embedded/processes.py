"""Starting, finding and ending server processes, by their id and only after making sure whose they are."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

LOOPBACK = "127.0.0.1"
POLL_S = 0.02
LOG_TAIL_LINES = 12
LOG_TAIL_BYTES = 16_384
KILL: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGKILL, 10.0),)


class EmbeddedError(RuntimeError):
    """The embedded servers cannot run; the sentence says why and what to do."""


def refuse_beyond_loopback(host: str) -> None:
    """The embedded servers are for this machine: their passwords lie in a file, and nothing is encrypted."""
    if host != LOOPBACK:
        raise EmbeddedError(
            f"The embedded servers listen on {LOOPBACK} only, not on {host}. For several machines run your own"
            " PostgreSQL and Redis and set DATABASE_URL and REDIS_URL."
        )


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: a port whose old connections are still fading away counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def pick_port(wanted: int | None) -> int:
    """`wanted` if it is still free (so that URLs stay the same between runs), else any free one."""
    if wanted is not None and port_is_free(wanted):
        return wanted
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def servers_in(folder: Path, program: str) -> list[psutil.Process]:
    """Processes of `program` that work in `folder`, oldest first.

    A server changes into its data folder when it starts, its children inherit that, and no two servers share one.
    That identifies ours even where a pid file is missing or its number has since gone to somebody else.
    """
    home = os.path.realpath(folder)
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            # A replaced or removed program file shows as "postgres (deleted)".
            name = os.path.basename(process.exe()).split(" ")[0]
            if name == program and os.path.realpath(process.cwd()) == home:
                found.append(process)
    return sorted(found, key=lambda process: (process.create_time(), process.pid))


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until the condition holds; False when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True


def end(processes: Iterable[psutil.Process], steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send each signal in turn to those that still live, waiting the given seconds after each.

    psutil compares the start time before it signals, so a number that was handed on is never hit.
    """
    alive = list(processes)
    for sent, seconds in steps:
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(sent)
        _, alive = psutil.wait_procs(alive, timeout=seconds)
        if not alive:
            return
    raise EmbeddedError(f"Process {alive[0].pid} does not end. End it by hand and start again.")


def launch(
    argv: Sequence[str],
    *,
    folder: Path,
    log: Path,
    user: tuple[int, int] | None,
    env: Mapping[str, str],
    stdin: int | IO[bytes] | None = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that Ctrl-C in the terminal reaches us and not it."""
    with log.open("ab") as out:
        return subprocess.Popen(
            list(argv),
            cwd=folder,
            stdin=stdin,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
            **as_user(user),
        )


def as_user(user: tuple[int, int] | None) -> dict[str, Any]:
    """The arguments of `subprocess` that start a child as another user, without our groups."""
    if user is None:
        return {}
    return {"user": user[0], "group": user[1], "extra_groups": [], "umask": 0o077}


def bare_environment() -> dict[str, str]:
    """An environment without our secrets, and without PG… variables that would change what the server does."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "SYSTEMROOT") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def tail(log: Path, *, since: int = 0) -> str:
    """The last lines of a log, for an error message; of what was written after byte `since` only."""
    try:
        with log.open("rb") as kept:
            kept.seek(max(since, kept.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            lines = kept.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in lines[-LOG_TAIL_LINES:])
