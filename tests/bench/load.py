"""A small load generator: keep-alive HTTP/1.1 over asyncio streams, so that the client is not what is measured."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Figures:
    """What one run measured; latencies in milliseconds."""

    name: str
    requests: int = 0
    units: int = 0
    seconds: float = 0.0
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


class Connection:
    """One keep-alive connection."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def request(self, raw: bytes) -> bytes:
        """Send a ready request; the body of the answer. Raises on any status but 200."""
        if self.writer is None or self.reader is None:
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=2**26)
        self.writer.write(raw)
        head = await self.reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = await self.reader.readexactly(length)
        if status not in (200, 201):
            raise RuntimeError(f"{status}: {body[:300]!r}")
        return body

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


def post(path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """A ready POST request."""
    lines = [
        f"POST {path} HTTP/1.1",
        "host: bench",
        "content-type: application/json",
        f"content-length: {len(body)}",
    ]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


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
