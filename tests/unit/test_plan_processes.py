"""Planners in processes of their own: whatever happens to one, the next plan is made."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from callout_dispatch.planning.checker import check
from callout_dispatch.planning.processes import (
    PLANNERS,
    PlannerCanceled,
    PlannerDied,
    PlannerPool,
    PlannerTimeout,
)
from callout_dispatch.planning.terms import TASKS_MAX, Lane, Problem, Task
from callout_orders.terms import Priority

STRANGE = """
import os, signal, time
from callout_dispatch.planning.terms import Plan


class Base:
    name = "strange"

    def solve(self, problem, *, seconds_max, seed, progress):
        progress(0.5, "thinking")
        return self.act(problem)


class Hangs(Base):
    def act(self, problem):
        while True:
            time.sleep(60)


class Dies(Base):
    def act(self, problem):
        os.kill(os.getpid(), signal.SIGSEGV)


class Raises(Base):
    def act(self, problem):
        raise RuntimeError("no idea")


class Prints(Base):
    def act(self, problem):
        print("C++ says hello", flush=True)
        os.write(1, b"and again")
        return Plan(routes=(), planner="strange")


class Looks(Base):
    def act(self, problem):
        sockets = [n for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n)
                   and os.readlink("/proc/self/fd/" + n).startswith("socket:") and int(n) > 2]
        return Plan(routes=(), planner=f"{len(sockets)} {os.environ.get('CALLOUT_SECRET')}")
"""


def problem(tasks: int = 5) -> Problem:
    at = np.arange(6)
    return Problem(
        tasks=tuple(
            Task(
                id=f"t{n}",
                order_id=f"t{n}",
                place=n % 6,
                service_s=600,
                windows=((0, 90_000),),
                due_s=90_000,
                priority=Priority.P2,
            )
            for n in range(tasks)
        ),
        lanes=(Lane(id="li:0", engineer_id="li", start_s=0, end_s=30_000, start_place=0),),
        seconds=(np.abs(at[:, None] - at) * 300).astype(np.int32),
        now_s=0,
    )


@pytest.fixture
async def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PlannerPool]:
    (tmp_path / "strange_planners.py").write_text(STRANGE)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    names = ("Hangs", "Dies", "Raises", "Prints", "Looks")
    planners = {**PLANNERS, **{name.lower(): f"strange_planners:{name}" for name in names}}
    made = PlannerPool(1, planners=planners, late_factor=1.0, late_s=30.0)
    yield made
    pids = made.pids
    await made.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)


class Heard:
    """What a planner told; `thinking` is set once it works."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.thinking = asyncio.Event()

    def __call__(self, share: float, stage: str) -> None:
        self.stages.append(stage)
        if stage == "thinking":
            self.thinking.set()


async def goes_on(pool: PlannerPool) -> None:
    """The pool still plans."""
    given = problem()
    plan = await pool.solve("vroom", given, seconds_max=0.5)
    assert check(given, plan) == []
    assert not plan.left


async def test_a_plan_comes_back_and_the_process_stays(pool: PlannerPool) -> None:
    """A process made anew for each plan would cost a second every time."""
    heard = Heard()
    plan = await pool.solve("vroom", problem(), seconds_max=0.5, on_progress=heard)
    assert plan.planner == "vroom"
    assert heard.stages[0] == "queued"
    assert heard.stages[-1] == "writing"
    before = pool.pids
    await goes_on(pool)
    assert pool.pids == before


@pytest.mark.parametrize("how", (signal.SIGKILL, signal.SIGSEGV))
async def test_a_planner_that_is_killed(pool: PlannerPool, how: signal.Signals) -> None:
    """The system's killer for want of memory, or a crash in C++, would leave a run that never ends."""
    heard = Heard()
    work = asyncio.create_task(pool.solve("hangs", problem(), seconds_max=30, on_progress=heard))
    await heard.thinking.wait()
    os.kill(pool.pids[0], how)
    with pytest.raises(PlannerDied, match=f"signal {how.value}"):
        await work
    await goes_on(pool)


@pytest.mark.parametrize(("name", "text"), (("dies", "signal 11"), ("raises", "RuntimeError: no idea")))
async def test_a_planner_that_fails_by_itself(pool: PlannerPool, name: str, text: str) -> None:
    """A fault of a planner would be one of the server."""
    with pytest.raises(PlannerDied, match=text):
        await pool.solve(name, problem(), seconds_max=30)
    await goes_on(pool)


async def test_a_canceled_planner_is_ended(pool: PlannerPool) -> None:
    """Canceled by hand, a solver would go on to use up a core for ten minutes."""
    heard, canceled = Heard(), asyncio.Event()
    work = asyncio.create_task(
        pool.solve("hangs", problem(), seconds_max=600, on_progress=heard, canceled=canceled)
    )
    await heard.thinking.wait()
    (pid,) = pool.pids
    canceled.set()
    with pytest.raises(PlannerCanceled):
        await work
    assert not psutil.pid_exists(pid)
    await goes_on(pool)


async def test_who_waits_in_the_queue_can_be_canceled(pool: PlannerPool) -> None:
    """A run that waits behind a long one could not be given up, and would start although nobody wants it."""
    heard, stop, canceled = Heard(), asyncio.Event(), asyncio.Event()
    long = asyncio.create_task(
        pool.solve("hangs", problem(), seconds_max=600, on_progress=heard, canceled=stop)
    )
    await heard.thinking.wait()
    waiting = asyncio.create_task(pool.solve("vroom", problem(), seconds_max=1, canceled=canceled))
    await asyncio.sleep(0)
    canceled.set()
    with pytest.raises(PlannerCanceled):
        await waiting
    assert len(pool.pids) == 1
    stop.set()
    with pytest.raises(PlannerCanceled):
        await long
    await goes_on(pool)


async def test_a_planner_far_over_its_time_is_ended(pool: PlannerPool) -> None:
    """A solver that does not look at the clock would hold its place in the queue for good."""
    pool.late_s = 0.5
    with pytest.raises(PlannerTimeout):
        await pool.solve("hangs", problem(), seconds_max=0.5)
    assert pool.pids == []
    pool.late_s = 30.0
    await goes_on(pool)


async def test_prints_do_not_break_the_pipe(pool: PlannerPool) -> None:
    """A solver's greeting on standard output would be read as the length of an answer."""
    assert (await pool.solve("prints", problem(), seconds_max=5)).planner == "strange"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_no_socket_and_no_secret_is_inherited(
    pool: PlannerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planner's process that holds the database's socket keeps a transaction's locks beyond the server's death."""
    monkeypatch.setenv("CALLOUT_SECRET", "secret")
    _, writer = await asyncio.open_connection(*await _listening())
    os.set_inheritable(writer.get_extra_info("socket").fileno(), True)
    try:
        assert (await pool.solve("looks", problem(), seconds_max=5)).planner == "0 None"
    finally:
        writer.close()


async def _listening() -> Any:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    return server.sockets[0].getsockname()[:2]


async def test_none_and_too_many(pool: PlannerPool) -> None:
    """An empty day starts no process; a hundred thousand visits are refused by a sentence that names the limit."""
    assert (await pool.solve("vroom", problem(0), seconds_max=5)).routes == ()
    assert pool.pids == []
    with pytest.raises(ValueError, match=str(TASKS_MAX)):
        problem(100_000)
    with pytest.raises(ValueError, match="no planner"):
        await pool.solve("magic", problem(), seconds_max=5)


async def test_the_end_ends_all() -> None:
    """Processes that outlive the server would plan for nobody."""
    pool = PlannerPool(2)
    await asyncio.gather(*(pool.solve("inserter", problem(), seconds_max=0.3) for _ in range(2)))
    pids = pool.pids
    assert len(pids) == 2
    await pool.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(PlannerDied):
        await pool.solve("vroom", problem(), seconds_max=1)
