"""A small load generator: keep-alive HTTP/1.1 over asyncio streams, so that the client is not what is measured."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass
class Figures:
    """What one run measured; latencies in milliseconds."""

    name: str
    requests: int = 0
    units: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    """What the server's processes spent, where the caller measured it."""
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def units_per_second(self) -> float:
        return self.units / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def as_dict(self) -> dict[str, float | int | str]:
        return {
            "name": self.name,
            "requests": self.requests,
            "units": self.units,
            "units_per_s": round(self.units_per_second, 1),
            "p50_ms": round(self.percentile(0.50), 2),
            "p95_ms": round(self.percentile(0.95), 2),
            "p99_ms": round(self.percentile(0.99), 2),
        }


class Answer(NamedTuple):
    """What a server answered; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One keep-alive connection."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def exchange(self, raw: bytes) -> Answer:
        """Send a ready request; the answer, whatever its status."""
        if self.writer is None or self.reader is None:
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=2**26)
        self.writer.write(raw)
        head = await self.reader.readuntil(b"\r\n\r\n")
        headers = {}
        for line in head.split(b"\r\n")[1:-2]:
            name, _, value = line.partition(b":")
            headers[name.decode().lower()] = value.strip().decode()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = await self._chunks(self.reader)
        else:
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(int(head[9:12]), headers, body)

    @staticmethod
    async def _chunks(reader: asyncio.StreamReader) -> bytes:
        parts = []
        while size := int(await reader.readuntil(b"\r\n"), 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
        return b"".join(parts)

    async def request(self, raw: bytes) -> bytes:
        """Send a ready request; the body of the answer. Raises on any status but 200 and 201."""
        answer = await self.exchange(raw)
        if answer.status not in (200, 201):
            raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")
        return answer.body

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


def send(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    """A ready request."""
    lines = [f"{method} {path} HTTP/1.1", "host: bench", "accept: application/json"]
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def post(path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """A ready POST request."""
    return send("POST", path, body, headers)


def get(path: str, headers: dict[str, str] | None = None) -> bytes:
    """A ready GET request."""
    return send("GET", path, headers=headers)


async def drive(
    name: str,
    host: str,
    port: int,
    *,
    clients: int,
    requests: int,
    make: Callable[[int], tuple[bytes, int]],
    check: Callable[[bytes], None],
) -> Figures:
    """`requests` requests over `clients` connections; `make(n)` gives the n-th request and its units of work."""
    figures = Figures(name)
    todo = iter([make(n) for n in range(requests)])

    async def client() -> None:
        connection = Connection(host, port)
        for raw, units in todo:
            start = time.perf_counter()
            check(await connection.request(raw))
            figures.latencies_ms.append((time.perf_counter() - start) * 1000)
            figures.requests += 1
            figures.units += units
        connection.close()

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    figures.seconds = time.perf_counter() - start
    return figures


async def drive_queues(
    name: str, port: int, queues: list[list[bytes]], *, units: int, check: Callable[[Answer], None]
) -> Figures:
    """Several clients at once, each sending the requests of its own queue in order, `units` of work in each."""
    figures = Figures(name)

    async def client(queue: list[bytes]) -> None:
        with Connection("127.0.0.1", port) as connection:
            for raw in queue:
                start = time.perf_counter()
                answer = await connection.exchange(raw)
                figures.latencies_ms.append((time.perf_counter() - start) * 1000)
                check(answer)
                figures.requests += 1
                figures.units += units

    start = time.perf_counter()
    async with asyncio.TaskGroup() as clients:
        for queue in queues:
            clients.create_task(client(queue))
    figures.seconds = time.perf_counter() - start
    return figures
