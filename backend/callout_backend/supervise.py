"""The programs that `callout run` starts: in process groups of their own, logged to files, ended in order by id."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from callout_backend.embedded.processes import EmbeddedError, end, tail

MARK = "CALLOUT_RUN_DATA"
"""Stands in the environment of every program we start, and of what those start: the data folder it belongs to."""
LOG_BYTES_MAX = 20 * 1024 * 1024
STOP_STEPS: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0))


@dataclass(slots=True)
class Child:
    """A started program."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path | None
    mark: int
    """Where its words begin in the log, which keeps those of earlier runs too."""

    def explain(self) -> str:
        """Why it ended, for a person."""
        code = self.process.returncode
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
        said = f" The end of {self.log}:\n{tail(self.log, since=self.mark)}" if self.log is not None else ""
        return f"`callout {self.name}` {how}.{said}"


class Supervisor:
    """Starts children and ends them in reverse order; as a context it ends them on every way out."""

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        self.children: list[Child] = []

    def start(
        self, name: str, argv: Sequence[str], environment: Mapping[str, str], *, on_terminal: bool = False
    ) -> Child:
        """Start a program. `on_terminal`: it writes to our terminal (a progress bar) instead of a log."""
        log = None if on_terminal else self._log(name)
        with contextlib.ExitStack() as stack:
            out = None if log is None else stack.enter_context(log.open("ab"))
            mark = 0 if out is None else out.tell()
            process = subprocess.Popen(
                list(argv),
                env={**environment, MARK: str(self.data)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=None if out is None else subprocess.STDOUT,
                # Ctrl-C goes to the terminal's foreground group: the children must not end before we say so.
                start_new_session=True,
            )
        child = Child(name, process, log, mark)
        self.children.append(child)
        return child

    def ended(self) -> Child | None:
        """A child that ended although nobody asked it to."""
        return next((child for child in self.children if child.process.poll() is not None), None)

    def finish(self, child: Child) -> int:
        """Wait for a child that ends by itself (the demo), watching over the others meanwhile."""
        while child.process.poll() is None:
            other = self.ended()
            if other is not None and other is not child:
                raise EmbeddedError(other.explain())
            time.sleep(0.1)
        self.children.remove(child)
        return child.process.returncode

    def stop(self) -> None:
        """End all, last started first, each with what it started itself."""
        while self.children:
            child = self.children.pop()
            self._end(child.process)

    def end_leftovers(self) -> None:
        """End programs of an earlier run on this data folder that was killed. The caller holds the folder's lock."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                ours = process.pid != os.getpid() and process.uids().real == os.getuid()
                if ours and process.environ().get(MARK) == str(self.data):
                    found.append(process)
        end(found, STOP_STEPS)

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _log(self, name: str) -> Path:
        folder = self.data / "logs"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = folder / f"{name}.log"
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))
        return log

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        # Its group keeps its number for as long as anybody is in it, so this can hit nobody else.
        for sent, seconds in STOP_STEPS:
            if process.poll() is None:
                process.send_signal(sent)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
