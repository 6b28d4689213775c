"""A small HTTP server on 127.0.0.1 that answers well or fails on demand, for tests of what calls services of others."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

Fault = Literal[
    "silent",
    "busy",
    "busy_with_hint",
    "broken",
    "garbage",
    "cut",
    "cut_body",
    "moved",
    "huge",
    "endless",
    "forbidden",
]


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class FaultyServer(ABC):
    """Answers by `answer`, unless a fault is due: `faults` for the next requests, one each, `always` for all."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.came = asyncio.Event()
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        self.at_once = 0
        self.at_once_max = 0
        self._stopped = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    @abstractmethod
    def answer(self, asked: Asked) -> tuple[int, Any]:
        """Status and JSON of a good answer (or of a refusal that is part of the API)."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while (asked := await _read(reader)) is not None:
                self.asked.append(asked)
                self.came.set()
                self.at_once += 1
                self.at_once_max = max(self.at_once_max, self.at_once)
                # Lets the others in, so that requests sent at once are here at once.
                await asyncio.sleep(0)
                try:
                    if not await self._respond(asked, writer):
                        break
                finally:
                    self.at_once -= 1
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _respond(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may be used again."""
        match self.faults.popleft() if self.faults else self.always:
            case None:
                status, payload = self.answer(asked)
                return await _write(writer, status, json.dumps(payload).encode())
            case "silent":
                await self._stopped.wait()
                return False
            case "busy":
                return await _write(writer, 429, b'{"message":"Too Many Requests"}')
            case "busy_with_hint":
                return await _write(writer, 429, b"later", "Retry-After: 7\r\n")
            case "broken":
                return await _write(writer, 503, b"<h1>Bad Gateway</h1>")
            case "garbage":
                return await _write(writer, 200, b'{"code":"Ok","durations":[[0,')
            case "cut":
                writer.transport.abort()
                return False
            case "cut_body":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{")
                await writer.drain()
                return False
            case "moved":
                return await _write(writer, 302, b"", f"Location: {self.url}/elsewhere\r\n")
            case "huge":
                return await _write(writer, 200, b"[" + b"0," * 200_000 + b"0]")
            case "endless":
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while not writer.is_closing():
                    writer.write(b"1000\r\n" + b" " * 0x1000 + b"\r\n")
                    await writer.drain()
                return False
            case "forbidden":
                return await _write(writer, 403, b'{"error":"key"}')
        raise AssertionError("every fault is answered")


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    line = await reader.readline()
    if not line:
        return None
    method, target, _ = line.decode().split()
    headers: dict[str, str] = {}
    while (header := (await reader.readline()).decode().strip()) != "":
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    return Asked(method, parts.path, query, headers, body)


async def _write(writer: asyncio.StreamWriter, status: int, body: bytes, more: str = "") -> bool:
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    return True
