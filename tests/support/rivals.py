"""Several processes that do something at the very same moment: dispatchers, phones and workers against one PostgreSQL."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg

WAIT_S = 60.0
GATE = 7_405_991
WAITING = """
select count(*) from pg_locks where locktype = 'advisory' and not granted and classid = 0 and objid = $1
  and database = (select oid from pg_database where datname = current_database())
"""


class Rival:
    """One process, see `rival.py`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        while True:
            line = await asyncio.wait_for(self.process.stdout.readline(), WAIT_S)
            assert line, "the rival died; see what it wrote above"
            # Its log goes to the same place.
            if line.startswith(b"{"):
                answer: dict[str, Any] = json.loads(line)
                return answer

    async def tell(self, **told: Any) -> None:
        assert self.process.stdin is not None
        line = json.dumps({"gate": GATE, **told}, default=str)
        self.process.stdin.write(line.encode() + b"\n")
        await self.process.stdin.drain()

    def kill(self) -> None:
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)


class Rivals:
    """So many processes, and the gate that lets them all go at once."""

    def __init__(self, rivals: list[Rival], gate: Any) -> None:
        self.rivals, self.gate = rivals, gate

    async def at_once(self, *told: dict[str, Any]) -> list[dict[str, Any]]:
        """Let each process do its part at the same moment; what each answered."""
        await self.gate.execute("select pg_advisory_lock($1)", GATE)
        for rival, one in zip(self.rivals, told, strict=False):
            await rival.tell(**one)
        async with asyncio.timeout(WAIT_S):
            while await self.gate.fetchval(WAITING, GATE) < len(told):  # noqa: ASYNC110 - other processes come to it
                await asyncio.sleep(0.005)
        await self.gate.execute("select pg_advisory_unlock($1)", GATE)
        return [await rival.hear() for rival in self.rivals[: len(told)]]


@contextlib.asynccontextmanager
async def rivals(urls: Any, count: int) -> AsyncIterator[Rivals]:
    """So many processes, ended by their ids."""
    script = Path(__file__).with_name("rival.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    made: list[Rival] = []
    gate: Any = await asyncpg.connect(urls.admin)
    try:
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(script),
                urls.database,
                urls.admin,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=environment,
                limit=1_000_000,
            )
            made.append(Rival(process))
        for rival in made:
            await rival.hear()
        yield Rivals(made, gate)
    finally:
        await gate.close()
        for rival in made:
            if rival.process.returncode is None:
                rival.kill()
            await rival.process.wait()
            # The pipes' ends, before the loop that they belong to is closed.
            rival.process._transport.close()  # type: ignore[attr-defined]
