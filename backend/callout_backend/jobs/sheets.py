"""Reading a sheet in a process of its own (`sheet_process`), which is ended where it takes too long."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from callout_backend.jobs.sheet_process import CPU_S_MAX, MEMORY_BYTES_MAX
from callout_orders.imports.refusals import SheetRefused
from callout_orders.imports.sheets import FILE_BYTES_MAX, Sheet
from callout_store.errors import Busy

PROGRAM: Final = "callout_backend.jobs.sheet_process"
SECONDS_MAX: Final = 25.0
SIDE_BY_SIDE: Final = 2
"""Sheets read at once by one process of the API: each may take a gigabyte and a half."""
WAIT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 64 * 1024
KEPT_VARIABLES: Final = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "VIRTUAL_ENV", "SYSTEMROOT")

_slots: dict[int, asyncio.Semaphore] = {}


async def read_sheet(data: bytes, *, sheet: str | None = None, known: Sequence[str] = ()) -> Sheet:
    """The sheet in a CSV's or workbook's bytes. Raises SheetRefused, or Busy where others are read already."""
    if len(data) > FILE_BYTES_MAX:
        raise SheetRefused("bytes", limit=FILE_BYTES_MAX, given=len(data))
    slots = _slots.setdefault(id(asyncio.get_running_loop()), asyncio.Semaphore(SIDE_BY_SIDE))
    try:
        async with asyncio.timeout(WAIT_S):
            await slots.acquire()
    except TimeoutError:
        raise Busy(what="other sheets", retry_after_ms=5_000) from None
    try:
        return await _read(data, {"sheet": sheet, "known": list(known)})
    finally:
        slots.release()


async def _read(data: bytes, options: dict[str, Any]) -> Sheet:
    with tempfile.TemporaryDirectory(prefix="callout-sheet-") as place:
        source, target, told = Path(place) / "in", Path(place) / "out", Path(place) / "options"
        await asyncio.to_thread(source.write_bytes, data)
        told.write_bytes(msgspec.json.encode(options))
        said = await _run(source, target, told)
        if said:
            fault = msgspec.json.decode(said, type=dict[str, Any])
            if fault["reason"] == "memory":
                raise _too_much()
            raise SheetRefused(fault["reason"], **fault["details"])
        found = await asyncio.to_thread(target.read_bytes)
        return await asyncio.to_thread(msgspec.json.decode, found, type=Sheet)


async def _run(source: Path, target: Path, options: Path) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        PROGRAM,
        str(source),
        str(target),
        # Not the options themselves: an argument may have 128 KB, the headers of a mapping have more.
        str(options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # Nothing of ours in its environment: no database, no secret.
        env={name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
    )
    try:
        async with asyncio.timeout(SECONDS_MAX):
            assert process.stdout is not None
            said = await process.stdout.read(ANSWER_BYTES_MAX)
            status = await process.wait()
    except TimeoutError:
        raise _too_much() from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if status != 0:
        # Ended by its limits, or by a library that could not have the memory it wanted.
        raise _too_much()
    return said


def _too_much() -> SheetRefused:
    return SheetRefused("memory", limit=MEMORY_BYTES_MAX // 1024**2, seconds=CPU_S_MAX)
