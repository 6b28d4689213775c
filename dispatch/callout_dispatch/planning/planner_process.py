"""A process that plans: `python -m callout_dispatch.planning.planner_process`, started and ended by `processes.py`.

A process of its own, because a solver is C++ that keeps Python's lock for as long as it works, and may crash or want too
much memory. It reads problems from its standard input and writes progress and plans to its standard output, each as a length
(8 bytes, big endian) and so many bytes; whatever else prints there goes to the standard error. It opens nothing, and ends
when its input does or when whoever started it dies.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pickle
import resource
import signal
import sys
import time
from typing import Any, BinaryIO, Final

import msgspec

from callout_dispatch.planning.terms import Plan, Planner, Problem

MEMORY_BYTES_MAX: Final = 6 * 1024**3
PROGRESS_S_MIN: Final = 0.2
FRAME_BYTES: Final = 8
PR_SET_PDEATHSIG: Final = 1


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One task for the process; `planner` is "module:Class", `problem` a pickled `Problem` from the one who started it."""

    planner: str
    problem: bytes
    seconds_max: float
    seed: int


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the process says: how far it is, or the plan, or what went wrong."""

    share: float | None = None
    stage: str = ""
    plan: Plan | None = None
    error: str | None = None


def main() -> None:
    """Plan until the input ends."""
    _guard()
    source, target = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    while True:
        head = source.read(FRAME_BYTES)
        if len(head) < FRAME_BYTES:
            return
        asked = msgspec.msgpack.decode(source.read(int.from_bytes(head, "big")), type=Asked)
        try:
            answer = Told(plan=_solve(asked, target))
        except MemoryError:
            answer = Told(error="MemoryError: the problem needs more memory than a planner may have")
        except Exception as error:  # Told to the one who asked; the next problem is another one.
            answer = Told(error=f"{type(error).__name__}: {error}"[:2_000])
        _write(target, answer)
        del asked, answer
        gc.collect()


def framed(value: Any) -> bytes:
    """A value as it goes through the pipe."""
    body = msgspec.msgpack.encode(value)
    return len(body).to_bytes(FRAME_BYTES, "big") + body


def _solve(asked: Asked, target: BinaryIO) -> Plan:
    module, _, name = asked.planner.partition(":")
    planner: Planner = getattr(importlib.import_module(module), name)()
    problem: Problem = pickle.loads(asked.problem)
    told_at, told_stage = 0.0, ""

    def progress(share: float, stage: str) -> None:
        nonlocal told_at, told_stage
        now = time.monotonic()
        if stage != told_stage or now - told_at >= PROGRESS_S_MIN:
            told_at, told_stage = now, stage
            _write(target, Told(share=share, stage=stage))

    return planner.solve(problem, seconds_max=asked.seconds_max, seed=asked.seed, progress=progress)


def _write(target: BinaryIO, told: Told) -> None:
    target.write(framed(told))
    target.flush()


def _guard() -> None:
    """Bounds for this process alone, before it reads anything."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who started it, who ends this one.
    with contextlib.suppress(ValueError, OSError):  # macOS knows the limit and will not set it.
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
