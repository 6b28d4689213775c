"""Many devices that poll while others write: the same pacing, timing and counting for every side."""

import asyncio
import random
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from load import Connection, Figures
from sides import Changes, PolledSide

POLL_EVERY_S = 1.0
WRITERS = 20
FILLERS = 8
SETTLE_S_MAX = 20.0


@dataclass
class _Device:
    cursor: Any = None
    copy: dict[str, int] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)

    def take(self, changes: Changes) -> None:
        self.copy.update(changes.rows)
        self.cursor = changes.cursor


class Polling:
    """The phones of one side: filled once, then measured in slices, so that the sides can take turns."""

    def __init__(self, side: PolledSide, *, devices: int, written: int, seed: int) -> None:
        self.side, self.written = side, written
        self.devices = [_Device() for _ in range(devices)]
        self.random = random.Random(f"{seed}:{side.name}")
        self.polls: list[Figures] = []
        self.writes: list[Figures] = []

    async def fill(self) -> int:
        """The first pulls of all phones, a few at a time and not measured; how many rows they hold then."""
        count = len(self.devices)
        await _together(self._catch_up(range(n, count, FILLERS)) for n in range(FILLERS))
        return sum(len(device.copy) for device in self.devices)

    async def _catch_up(self, numbers: range) -> None:
        side = self.side
        with Connection("127.0.0.1", side.port) as connection:
            for number in numbers:
                device, more = self.devices[number], True
                while more:
                    answer = await connection.exchange(side.poll(number, device.cursor))
                    changes = side.read_poll(answer, device.cursor)
                    device.take(changes)
                    more = changes.more

    async def slice(self, *, seconds: float, writes_per_s: float) -> None:
        """Each phone asks once a second what is new; writers change rows all the while, evenly paced.

        A poll or write that comes back late delays the next of the same phone or writer and no other.
        """
        polls, writes = Figures("poll"), Figures("write")
        writers = min(WRITERS, len(self.devices))
        pause = writers / writes_per_s
        spent = self.side.cpu_s()
        start = time.perf_counter()
        end = start + seconds
        await _together(
            [
                *(
                    self._phone(n, polls, start + self.random.random() * POLL_EVERY_S, end)
                    for n in range(len(self.devices))
                ),
                *(
                    self._writer(range(n, len(self.devices), writers), writes, pause, start, end)
                    for n in range(writers)
                ),
            ]
        )
        polls.seconds = writes.seconds = time.perf_counter() - start
        polls.cpu_s = self.side.cpu_s() - spent
        self.polls.append(polls)
        self.writes.append(writes)

    async def _phone(self, number: int, polls: Figures, due: float, end: float) -> None:
        side, device = self.side, self.devices[number]
        with Connection("127.0.0.1", side.port) as connection:
            while await _until(due, end):
                began = time.perf_counter()
                answer = await connection.exchange(side.poll(number, device.cursor))
                polls.latencies_ms.append((time.perf_counter() - began) * 1000)
                device.take(side.read_poll(answer, device.cursor))
                polls.units += 1
                due = max(due + POLL_EVERY_S, time.perf_counter())

    async def _writer(self, own: range, writes: Figures, pause: float, start: float, end: float) -> None:
        """Writes rows of its own phones only: of two writes to a row it knows which was the later."""
        side, due = self.side, start + self.random.random() * pause
        with Connection("127.0.0.1", side.port) as connection:
            while await _until(due, end):
                number, row = self.random.choice(own), self.random.randrange(self.written)
                began = time.perf_counter()
                answer = await connection.exchange(side.write(number, row))
                writes.latencies_ms.append((time.perf_counter() - began) * 1000)
                row_id, version = side.read_write(number, row, answer)
                self.devices[number].acknowledged[row_id] = version
                writes.units += 1
                due = max(due + pause, time.perf_counter())

    async def missing(self) -> int:
        """Rows that a phone lacks or holds in an old version, when all have polled after the last write.

        Held against what the side itself has, which must not be older than what it acknowledged.
        """
        truth = await self.side.truth()
        for held, device in zip(truth, self.devices, strict=True):
            lost = {row for row, version in device.acknowledged.items() if held.get(row, -1) < version}
            assert not lost, f"{self.side.name} does not hold {len(lost)} rows that it acknowledged"
        until = time.monotonic() + SETTLE_S_MAX
        while True:
            await self.fill()
            missing = sum(
                device.copy.get(row) != version
                for held, device in zip(truth, self.devices, strict=True)
                for row, version in held.items()
            )
            if not missing or time.monotonic() > until:
                return missing
            await asyncio.sleep(0.5)


async def _together(tasks: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All of them; the first that fails ends the others."""
    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(task)


async def _until(due: float, end: float) -> bool:
    """Wait for a moment; whether it comes before the end."""
    if due >= end:
        return False
    await asyncio.sleep(max(0.0, due - time.perf_counter()))
    return time.perf_counter() < end
