"""Learning that this process was told to end while its streams are still open.

A server waits for open answers before it lets the application shut down, so that a stream that ends on shutdown would
never end. The signal itself is the only word that comes early enough.
"""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

NUMBERS: Final = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def on_ending(tell: Callable[[], object]) -> Iterator[None]:
    """Within the block, `tell` is called in this event loop when a signal ends the process; the server's own handler
    then does what it would have done. Without such a handler, or outside of the main thread, nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}

    def chained(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(tell)
        before[signal.Signals(number)](number, frame)

    for number in NUMBERS:
        handler = signal.getsignal(number)
        if callable(handler) and handler is not signal.default_int_handler:
            before[number] = handler
            signal.signal(number, chained)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is chained:
                signal.signal(number, handler)
