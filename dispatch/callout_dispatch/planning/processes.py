"""Planners in processes of their own: a bounded number, killed when they are canceled, late or of no use, and made anew.

A process that has answered is kept for the next problem, because loading a solver takes a second. Problems go in pickled (by
us, to our own process), plans come back as MessagePack that is checked against their type. A planner's process gets no
socket, no descriptor and none of the environment's secrets. A pool belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import sys
import weakref
from collections.abc import Mapping
from typing import Final

import msgspec

from callout_dispatch.planning.planner_process import FRAME_BYTES, Asked, Told, framed
from callout_dispatch.planning.terms import Plan, Problem, Progress

PLANNERS: Final[Mapping[str, str]] = {
    "vroom": "callout_dispatch.planning.vroom_planner:VroomPlanner",
    "inserter": "callout_dispatch.planning.inserter:InserterPlanner",
}
PROCESSES: Final = 2
LATE_FACTOR: Final = 1.5
LATE_S: Final = 15.0
"""A planner is killed once it takes longer than its time by that factor and so many seconds: loading it, and telling."""
DYING_S: Final = 2.0
ANSWER_BYTES_MAX: Final = 256 * 1024 * 1024
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class PlannerError(Exception):
    """A planner gave no plan."""


class PlannerDied(PlannerError):
    """Its process ended, or it raised."""


class PlannerTimeout(PlannerError):
    """It took far more than its time, and was killed."""


class PlannerCanceled(PlannerError):
    """It was told to stop, and was killed."""


class PlannerPool:
    """`processes` planners at most at the same time; whoever comes later waits, first come first served."""

    def __init__(
        self,
        processes: int = PROCESSES,
        *,
        planners: Mapping[str, str] = PLANNERS,
        late_factor: float = LATE_FACTOR,
        late_s: float = LATE_S,
    ) -> None:
        if processes < 1:
            raise ValueError("processes must be 1 or more")
        self.planners, self.late_factor, self.late_s = planners, late_factor, late_s
        self._places = asyncio.Semaphore(processes)
        self._idle: list[asyncio.subprocess.Process] = []
        self._all: set[asyncio.subprocess.Process] = set()
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """The processes that there are now, at work or waiting."""
        return sorted(process.pid for process in self._all if process.returncode is None)

    async def solve(
        self,
        planner_name: str,
        problem: Problem,
        *,
        seconds_max: float,
        seed: int = 0,
        on_progress: Progress | None = None,
        canceled: asyncio.Event | None = None,
    ) -> Plan:
        """The planner's plan. Raises PlannerDied, PlannerTimeout, PlannerCanceled; ValueError for an unknown planner.

        `on_progress` hears "queued" first, then what the planner tells. Setting `canceled` ends the process at once.
        """
        if planner_name not in self.planners:
            raise ValueError(f"there is no planner {planner_name!r}")
        if self._closed:
            raise PlannerDied("the planners have been ended")
        if not problem.tasks:
            return Plan(routes=(), planner=planner_name)
        tell: Progress = on_progress or (lambda share, stage: None)
        canceled = canceled or asyncio.Event()
        tell(0.0, "queued")
        work = asyncio.create_task(self._queued(planner_name, problem, seconds_max, seed, tell))
        stop = asyncio.create_task(canceled.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise PlannerCanceled(f"{planner_name} was canceled")
            return work.result()
        finally:
            stop.cancel()
            work.cancel()
            await asyncio.gather(work, stop, return_exceptions=True)

    async def close(self) -> None:
        """End all processes, each by its id, and wait until they are gone."""
        self._closed = True
        for process in list(self._all):
            await self._end(process)

    async def _queued(
        self, planner_name: str, problem: Problem, seconds_max: float, seed: int, tell: Progress
    ) -> Plan:
        async with self._places:
            asked = Asked(
                planner=self.planners[planner_name],
                problem=await asyncio.to_thread(pickle.dumps, problem, pickle.HIGHEST_PROTOCOL),
                seconds_max=seconds_max,
                seed=seed,
            )
            process = await self._process()
            answered = False
            try:
                async with asyncio.timeout(seconds_max * self.late_factor + self.late_s):
                    plan = await self._talk(process, asked, tell)
                answered = True
                return plan
            except TimeoutError:
                raise PlannerTimeout(f"{planner_name} took far more than {seconds_max:g} s") from None
            except _Failed as failed:
                answered = True
                raise PlannerDied(f"{planner_name}: {failed}") from None
            except (asyncio.IncompleteReadError, ConnectionError, msgspec.MsgspecError) as error:
                # Its pipe ended, so it is dying by itself; a kill now would hide of what. One that lingers is killed.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DYING_S):
                        await process.wait()
                status = await self._end(process)
                how = f"signal {-status}" if status < 0 else f"status {status}"
                raise PlannerDied(f"{planner_name}'s process ended ({how})") from error
            finally:
                if answered and not self._closed and process.returncode is None:
                    self._idle.append(process)
                else:
                    await self._end(process)

    async def _talk(self, process: asyncio.subprocess.Process, asked: Asked, tell: Progress) -> Plan:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(framed(asked))
        await process.stdin.drain()
        while True:
            size = int.from_bytes(await process.stdout.readexactly(FRAME_BYTES), "big")
            if size > ANSWER_BYTES_MAX:
                raise _Failed("its answer is too large")
            told = msgspec.msgpack.decode(await process.stdout.readexactly(size), type=Told)
            if told.plan is not None:
                return told.plan
            if told.error is not None:
                raise _Failed(told.error)
            if told.share is not None:
                tell(told.share, told.stage)

    async def _process(self) -> asyncio.subprocess.Process:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
            self._all.discard(process)
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        # The one that asks may have found its packages by other ways than the environment.
        environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in sys.path if path))
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            environment[name] = "1"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "callout_dispatch.planning.planner_process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            close_fds=True,
            limit=1024 * 1024,
        )
        self._all.add(process)
        return process

    async def _end(self, process: asyncio.subprocess.Process) -> int:
        """Kill a process if it is still there; its status."""
        if process.returncode is None:
            # Not `process.kill()`: it looks whether the process is dead already, and its status would be lost to `wait`.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        status = await asyncio.shield(process.wait())
        self._all.discard(process)
        if process.stdin is not None:
            process.stdin.close()
        return status


class _Failed(Exception):
    """The planner said that it could not; its process is as good as before."""


_pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, PlannerPool] = weakref.WeakKeyDictionary()
_processes = PROCESSES


def configure(processes: int) -> None:
    """How many planners may work at the same time in pools that are made from now on."""
    global _processes
    if processes < 1:
        raise ValueError("processes must be 1 or more")
    _processes = processes


async def solve(
    planner_name: str,
    problem: Problem,
    *,
    seconds_max: float,
    seed: int = 0,
    on_progress: Progress | None = None,
    canceled: asyncio.Event | None = None,
) -> Plan:
    """As `PlannerPool.solve`, in the pool of the running loop."""
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        pool = _pools[loop] = PlannerPool(_processes)
    return await pool.solve(
        planner_name, problem, seconds_max=seconds_max, seed=seed, on_progress=on_progress, canceled=canceled
    )


async def close() -> None:
    """End the running loop's planners, if there are any."""
    pool = _pools.pop(asyncio.get_running_loop(), None)
    if pool is not None:
        await pool.close()
