"""Ending background tasks."""

import asyncio
from typing import Any, Final

AGAIN_S: Final = 1.0


async def end(task: "asyncio.Task[Any] | None") -> None:
    """Cancel a task and wait until it is over, whatever it ends with.

    Once is not always enough: a client that is just connecting or waiting for an answer may take the cancellation for its
    own timeout, report that, and go on; whoever awaited the task would then wait for ever.
    """
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN_S)
