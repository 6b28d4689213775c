"""Ending background tasks."""

import asyncio

from callout_store.tasks import end


async def test_a_task_that_swallows_its_cancellation_is_ended_all_the_same() -> None:
    """A client that takes the first cancellation for a timeout kept a process from ever shutting down."""
    swallowed = 0
    started = asyncio.Event()

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                started.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 1:
                    raise

    task = asyncio.create_task(stubborn())
    await started.wait()
    await end(task)
    assert task.cancelled()
    assert swallowed == 2


async def test_what_is_over_or_was_never_there_is_no_fault() -> None:
    """Stopping twice, or what was never started, or what failed by itself, ends quietly."""

    async def fails() -> None:
        raise ValueError

    task = asyncio.create_task(fails())
    await asyncio.wait([task])
    await end(task)
    assert isinstance(task.exception(), ValueError)
    await end(None)
