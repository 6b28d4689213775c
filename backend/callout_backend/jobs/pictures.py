"""The worker's part in a photo: from the bytes as they came to what may be shown.

Decoding happens in a process of its own (`picture_process`), with bounds on memory, time and output, so that a picture
made to hurt ends that process and nothing else. Harmless twice: both versions are named by the original's hash and
replace themselves, and the blob is decided once.
"""

import asyncio
import os
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import structlog

from callout_backend.jobs.drain import Handler
from callout_people.organisations import organisation
from callout_store.clock import taken_instant
from callout_store.outbox import Claimed, Hopeless, Retry
from callout_store.work import Database
from callout_sync import attachments
from callout_sync.attachments import Clean
from callout_sync.blobs import Storage, clean_key, raw_key
from callout_sync.upload_refusals import StorageUnavailable

log = structlog.get_logger(__name__)

PROGRAM = "callout_backend.jobs.picture_process"
SECONDS_MAX = 35.0
"""The largest picture that is taken needs three on a machine that has nothing else to do."""
SIDE_BY_SIDE = 2
"""Pictures decoded at once by one worker: each may take two gigabytes."""
TRIES = 5
AWAY_PAUSE_S, TRY_PAUSE_S = 30.0, 3.0
ANSWER_BYTES_MAX = 64 * 1024
KEPT_VARIABLES = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "VIRTUAL_ENV", "SYSTEMROOT")


class Broke(Exception):
    """The process ended without an answer: out of bounds, crashed, or the machine is too busy."""


def picture_handler(storage: Storage) -> Handler:
    """The channel `picture`."""
    slots = asyncio.Semaphore(SIDE_BY_SIDE)

    async def handle(db: Database, item: Claimed) -> None:
        try:
            sha256 = bytes.fromhex(item.payload["sha256"])
        except (KeyError, ValueError) as fault:
            raise Hopeless(f"names no picture: {fault!r}") from fault
        async with db.work(item.org_id) as work:
            if await attachments.blob_state(work, sha256) != "received":
                return
        async with slots:
            try:
                await process(db, storage, item.org_id, sha256, last_try=item.attempt >= TRIES)
            except StorageUnavailable as away:
                raise Retry("the store does not answer", after_s=AWAY_PAUSE_S) from away
            except Broke as broke:
                # Longer from time to time: the machine may only have been too busy.
                raise Retry(str(broke), after_s=TRY_PAUSE_S * 4**item.attempt) from broke

    return handle


async def process(
    db: Database, storage: Storage, org_id: UUID, sha256: bytes, *, last_try: bool = False
) -> None:
    """Make a raw file's clean and small version, or decide that it is not to be shown."""
    with tempfile.TemporaryDirectory(prefix="callout-picture-") as place:
        folder = Path(place)
        source, clean_path, thumb_path = folder / "in", folder / "clean", folder / "thumb"
        try:
            await _fetch(storage, raw_key(org_id, sha256), source)
        except FileNotFoundError:
            raise Hopeless("the file is not in the store") from None
        try:
            told = await run(source, clean_path, thumb_path)
        except Broke:
            if not last_try:
                raise
            told = {"code": "PICTURE_UNREADABLE"}
        if "code" in told:
            code = str(told["code"])
            await db.run(org_id, lambda work: attachments.reject(work, sha256, code))
            return
        clean_bytes, thumb_bytes = clean_path.read_bytes(), thumb_path.read_bytes()
    await storage.put(clean_key(org_id, sha256), clean_bytes)
    await storage.put(clean_key(org_id, sha256, thumb=True), thumb_bytes)
    async with db.work(org_id) as work:
        zone = (await organisation(work)).time_zone
    clean = Clean(
        sha256=bytes.fromhex(told["sha256"]),
        size_bytes=len(clean_bytes),
        media_type=told["mediaType"],
        thumb_sha256=bytes.fromhex(told["thumbSha256"]),
        width=told["width"],
        height=told["height"],
        taken_at=taken_at(told, zone),
        lat=told.get("lat"),
        lng=told.get("lng"),
    )
    await db.run(org_id, lambda work: attachments.make_ready(work, sha256, clean))


def taken_at(told: dict[str, Any], zone: str) -> datetime | None:
    """When the picture was taken; a camera's time without a zone is read in the organisation's."""
    try:
        if "takenAt" in told:
            return taken_instant(datetime.fromisoformat(told["takenAt"]))
        if "takenLocal" in told:
            return taken_instant(datetime.fromisoformat(told["takenLocal"]).replace(tzinfo=ZoneInfo(zone)))
    except (ValueError, OverflowError, KeyError):
        return None
    return None


async def run(source: Path, clean_path: Path, thumb_path: Path) -> dict[str, Any]:
    """Run the program over one file. Raises Broke where it does not answer in time, or not at all."""
    process_ = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        PROGRAM,
        str(source),
        str(clean_path),
        str(thumb_path),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # Nothing of ours in its environment: no database, no secret.
        env={name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
    )
    try:
        async with asyncio.timeout(SECONDS_MAX):
            assert process_.stdout is not None
            said = await process_.stdout.read(ANSWER_BYTES_MAX)
            status = await process_.wait()
    except TimeoutError:
        raise Broke(f"not done within {SECONDS_MAX:.0f} s") from None
    finally:
        if process_.returncode is None:
            process_.kill()
            await process_.wait()
    if status != 0:
        raise Broke(f"ended with {status}")
    try:
        return msgspec.json.decode(said, type=dict[str, Any])
    except msgspec.DecodeError as fault:
        raise Broke("said nothing that can be read") from fault


async def _fetch(storage: Storage, key: str, path: Path) -> None:
    with path.open("wb") as out:
        async for chunk in storage.read(key):
            out.write(chunk)
