"""A bad line: a TCP proxy that breaks its connections after so many bytes, and counts what went through."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Self

CHUNK = 16 * 1024


class CuttingProxy:
    """Passes 127.0.0.1:`port` on to a target. The n-th connection is cut after `cuts[n]` bytes upwards (None: never).

    With `swallow` the first so many answers are lost: the line breaks when the first byte of an answer comes back.
    `on_bytes` is called with the bytes that have gone up in all.
    """

    def __init__(
        self,
        target_port: int,
        cuts: Iterable[int | None] = (),
        *,
        swallow: int = 0,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        self.target_port = target_port
        self.cuts: Iterator[int | None] = iter(cuts)
        self.swallow = swallow
        self.on_bytes = on_bytes
        self.port = 0
        self.sent_up = 0
        self.connections = 0
        self.cut = 0
        self.swallowed = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            above = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        up = asyncio.create_task(self._up(reader, above[1], next(self.cuts, None)))
        down = asyncio.create_task(self._down(above[0], writer))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            for side in (writer, above[1]):
                with contextlib.suppress(OSError):
                    side.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> None:
        while data := await reader.read(CHUNK):
            if left is not None:
                data = data[:left]
                left -= len(data)
            writer.write(data)
            await writer.drain()
            self.sent_up += len(data)
            if self.on_bytes is not None:
                self.on_bytes(self.sent_up)
            if left == 0:
                self.cut += 1
                # Let what was passed on arrive: the line breaks behind it, not before it.
                writer.write_eof()
                await asyncio.sleep(0)
                return

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            if self.swallow > 0:
                self.swallow -= 1
                self.swallowed += 1
                return
            writer.write(data)
            await writer.drain()
