"""What the sync bench measures: servers that do the same three pieces of work, each in its own manner.

A `Side` starts its server, makes ready requests of its own protocol, reads its answers, and tells what it really
holds (the oracle that pulled copies are held against). Everything else - pacing, timing, counting - is one code for all.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import psutil
from load import Answer
from processes import Program

from callout_store.ids import new_id

DOCUMENT_BYTES = 600
NOTE = "The pump in the cellar leaks; the seal was changed and the pressure is right again. "
MB = 1e6


@dataclass(frozen=True, slots=True)
class Changes:
    """What one page or poll brought: version by row, the next cursor, and whether more waits."""

    rows: dict[str, int]
    cursor: Any
    more: bool


def note(chars: int) -> str:
    """A text of that length."""
    return (NOTE * (chars // len(NOTE) + 1))[:chars]


def document(scope: str, version: int = 1) -> dict[str, Any]:
    """A peer's document of about 600 B, with the fields that Callout's event documents have."""
    made: dict[str, Any] = {
        "id": str(new_id()),
        "scope": scope,
        "visitId": str(UUID(int=7)),
        "orderId": str(UUID(int=8)),
        "kind": "visit.note",
        "deviceTime": "2026-03-02T09:00:00.000000Z",
        "receivedAt": "2026-03-02T09:00:01.000000Z",
        "location": {"lat": 37.7793, "lng": -122.4193, "accuracyM": 12.0, "provider": "gps"},
        "version": version,
        "text": "",
    }
    made["text"] = note(DOCUMENT_BYTES - len(encode(made)))
    return made


def encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


async def analyze(url: str) -> None:
    """Statistics as a database in use has them: autovacuum would come within a minute, too late for a bench."""
    connection = await asyncpg.connect(url)
    await connection.execute("vacuum analyze")
    await connection.close()


def resident_mb(processes: Iterable[psutil.Process]) -> float:
    """Resident memory of these processes, pages shared among them counted once where the system tells (PSS)."""
    total = 0
    for process in processes:
        try:
            full = process.memory_full_info()
            total += getattr(full, "pss", 0) or full.rss
        except psutil.NoSuchProcess:
            continue
    return round(total / MB, 1)


def cpu_s(root: psutil.Process) -> float:
    """Processor seconds of a process and all it started, ended ones included."""
    total = 0.0
    try:
        own = root.cpu_times()
        total = own.user + own.system + own.children_user + own.children_system
        for process in root.children(recursive=True):
            spent = process.cpu_times()
            total += spent.user + spent.system
    except psutil.NoSuchProcess:
        pass
    return float(total)


class Side(ABC):
    """One server under measurement. `clients` push at once, each to a scope of its own."""

    name: str
    on_postgres = False
    port: int

    def __init__(self) -> None:
        self.programs: list[Program] = []
        self.postgres: psutil.Process | None = None
        """Where the side works on it and it runs on this machine."""

    @abstractmethod
    async def start(self, folder: Path) -> None:
        """Start the server and wait until it answers."""

    async def stop(self) -> None:
        """End what was started."""
        for program in self.programs:
            program.end()

    async def settled(self) -> None:
        """Called between preparing and measuring: a store that keeps statistics brings them up to date."""
        return

    def memory_mb(self) -> float:
        """The server's processes, without PostgreSQL."""
        return resident_mb(process for program in self.programs for process in program.family())

    def cpu_s(self) -> float:
        """Processor seconds that the side's processes have spent, PostgreSQL's included: sides work one at a time."""
        roots = [psutil.Process(program.process.pid) for program in self.programs]
        return sum(cpu_s(root) for root in [*roots, *([self.postgres] if self.postgres else [])])

    # ------------------------------------------------------------------------------------------ push
    @abstractmethod
    async def push_queues(self, *, clients: int, batches: int, size: int) -> list[list[bytes]]:
        """Ready pushes of new documents: `batches` of `size` for each client."""

    @abstractmethod
    def check_push(self, answer: Answer, size: int) -> None:
        """Raise unless the whole batch was taken."""

    @abstractmethod
    async def pushed(self) -> int:
        """How many pushed documents the side holds, by a way other than the push."""

    # ------------------------------------------------------------------------------------- bootstrap
    @abstractmethod
    async def fill(self, documents: int) -> None:
        """Put so many documents into the scope that `page` reads."""

    @abstractmethod
    async def filled(self) -> set[str]:
        """Ids that a first pull must bring."""

    @abstractmethod
    def page(self, cursor: Any, limit: int) -> bytes:
        """Ask for the page after `cursor` (None: the first)."""

    @abstractmethod
    def read_page(self, answer: Answer, limit: int) -> Changes:
        """What a page brought."""


class PolledSide(Side):
    """A side whose devices also poll scopes of their own while others write."""

    @abstractmethod
    async def open_scopes(self, *, devices: int, rows: int, written: int) -> None:
        """Make the scopes; the first `written` rows of each will be written to."""

    @abstractmethod
    def poll(self, device: int, cursor: Any) -> bytes:
        """Ask what is new for a device."""

    @abstractmethod
    def read_poll(self, answer: Answer, cursor: Any) -> Changes:
        """What a poll brought."""

    @abstractmethod
    def write(self, device: int, row: int) -> bytes:
        """Change the device's n-th written row. One writer at a time writes a device's rows."""

    @abstractmethod
    def read_write(self, device: int, row: int, answer: Answer) -> tuple[str, int]:
        """Row and version that the side acknowledged."""

    @abstractmethod
    async def truth(self) -> list[dict[str, int]]:
        """For each device: version by row, as the side itself holds it now."""


def taken(answer: Answer) -> Any:
    """The JSON of an answer that must be a success."""
    if answer.status not in (200, 201):
        raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")
    return json.loads(answer.body)
