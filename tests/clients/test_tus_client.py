"""The acceptance test of uploads: `tus-js-client`, as others wrote it, against `callout serve` with two processes."""

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cutting import CuttingProxy
from node import ROOT, node_project, run_node_async
from processes import Api, device_token
from worlds import World

from callout_store.work import Database
from callout_sync.blobs import Storage

SCRIPT = ROOT / "tests/clients/tus_upload.mjs"
MEGA = 1_000_000


@pytest.fixture(scope="module")
def project() -> Path:
    return node_project(ROOT / "tests/clients")


@pytest.fixture(scope="module")
async def world(db: Database) -> World:
    return await World(db).build()


class Server:
    """Two API processes that can be killed and started again at the same address, and what they keep."""

    def __init__(self, urls: Any, data: Path) -> None:
        self.urls, self.data = urls, data
        self.api = Api(urls, data, workers=2)

    async def restart(self) -> None:
        await asyncio.to_thread(self.api.kill)
        self.api = await asyncio.to_thread(Api, self.urls, self.data, workers=2, port=self.api.port)


@pytest.fixture(scope="module")
async def server(database_urls: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    running = Server(database_urls, tmp_path_factory.mktemp("serve"))
    yield running
    running.api.end()


@pytest.fixture
def photo(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"\xff\xd8\xff" + random.Random(request.node.name).randbytes(3 * MEGA))
    return path


async def send(
    project: Path, world: World, base: str, photo: Path, *, check: bool = True, **env: Any
) -> dict[str, Any]:
    """Run the client; what it says."""
    actor = world.phones[0].actor
    assert actor.user_id is not None
    token = await device_token(world.db, world.org, actor.user_id, actor.device_id)
    options = env.pop("options", {})
    done = await run_node_async(
        project,
        SCRIPT,
        env={
            "ENDPOINT": f"{base}/v1/uploads",
            "TOKEN": token,
            "FILE": str(photo),
            "SHA256": hashlib.sha256(photo.read_bytes()).hexdigest(),
            "OPTIONS": json.dumps(options),
            **env,
        },
        check=check,
        timeout_s=90,
    )
    return json.loads(done.stdout) if done.returncode == 0 else {"failed": done.stderr}


async def assert_arrived(server: Server, world: World, photo: Path) -> None:
    """The very bytes lie in the store, once, and nothing of their way there."""
    data = photo.read_bytes()
    storage = Storage(str(server.data / "photos"))
    key = f"{world.org}/raw/{hashlib.sha256(data).hexdigest()}"
    assert b"".join([chunk async for chunk in storage.read(key)]) == data
    pieces = server.data / "photos" / str(world.org) / "pieces"
    assert [path for path in pieces.rglob("*") if path.is_file()] == []
    assert (
        await world.value("select count(*) from blob where sha256 = $1", hashlib.sha256(data).digest()) == 1
    )


@pytest.mark.parametrize(
    "options",
    (
        {},
        {"chunkSize": 700_000},
        {"uploadDataDuringCreation": True},
        {"uploadDataDuringCreation": True, "chunkSize": 500_000},
        {"parallelUploads": 3},
        {"overridePatchMethod": True},
    ),
)
async def test_ways_of_sending(
    project: Path, world: World, server: Server, photo: Path, options: dict[str, Any]
) -> None:
    """Each way the client knows works: in one go, in chunks, with the creation, in parallel parts, without PATCH."""
    await send(project, world, server.api.url, photo, options=options)
    await assert_arrived(server, world, photo)


@pytest.mark.parametrize("algorithm", ("sha1", "sha256"))
async def test_with_checksums(
    project: Path, world: World, server: Server, photo: Path, algorithm: str
) -> None:
    """Chunks with checksums over a line that is cut: only whole chunks count, and the file arrives."""
    async with CuttingProxy(server.api.port, [400_000, 900_000, 1_200_000]) as line:
        said = await send(project, world, line.url, photo, options={"chunkSize": 500_000}, CHECKSUM=algorithm)
    assert line.cut == 3
    assert said["requests"]["HEAD"] >= 3
    await assert_arrived(server, world, photo)


@pytest.mark.parametrize(
    "options", ({}, {"chunkSize": 800_000}, {"parallelUploads": 2}, {"uploadDataDuringCreation": True})
)
async def test_cuts_in_the_middle_of_a_chunk(
    project: Path, world: World, server: Server, photo: Path, options: dict[str, Any], seed: int
) -> None:
    """A line that breaks again and again: the photo arrives, and what had come is not sent again."""
    rng = random.Random(f"{seed}:cuts")
    cuts = [rng.randrange(150_000, 900_000) for _ in range(8)]
    async with CuttingProxy(server.api.port, cuts) as line:
        await send(project, world, line.url, photo, options=options)
    assert line.cut >= 3
    await assert_arrived(server, world, photo)
    if not options:
        # A cut loses at most what was still on its way through three buffers, never the photo.
        assert line.sent_up < 2 * photo.stat().st_size


async def test_answers_that_are_lost(project: Path, world: World, server: Server, photo: Path) -> None:
    """The server had it all and the phone did not hear so: nothing is stored twice, nothing is missing."""
    async with CuttingProxy(server.api.port, swallow=4) as line:
        await send(project, world, line.url, photo, options={"chunkSize": 1_000_000})
    assert line.swallowed == 4
    await assert_arrived(server, world, photo)


async def test_the_server_is_killed_on_the_way(
    project: Path, world: World, server: Server, photo: Path
) -> None:
    """kill -9 of both processes in the middle of a chunk, and a new server: the client goes on where it stood."""
    photo.write_bytes(photo.read_bytes() * 3)
    reached, restarted = asyncio.Event(), asyncio.Event()

    def watch(sent: int) -> None:
        if sent > 4 * MEGA:
            reached.set()

    async def kill() -> None:
        await reached.wait()
        await server.restart()
        restarted.set()

    async with CuttingProxy(server.api.port, on_bytes=watch) as line:
        killing = asyncio.create_task(kill())
        said = await send(
            project,
            world,
            line.url,
            photo,
            options={"chunkSize": 6 * MEGA, "retryDelays": [0, *[300] * 100]},
        )
        await killing
    assert restarted.is_set()
    assert said["requests"]["POST"] >= 1
    await assert_arrived(server, world, photo)


async def test_the_app_is_ended_on_the_way(
    project: Path, world: World, server: Server, photo: Path, tmp_path: Path
) -> None:
    """An app that was ended in the middle goes on after its next start, from where it was."""
    store = str(tmp_path / "uploads.json")
    async with CuttingProxy(server.api.port, [2 * MEGA] * 5) as line:
        first = await send(
            project, world, line.url, photo, check=False, STORE=store, options={"retryDelays": None}
        )
        assert "failed" in first
        line.cuts, before = iter(()), line.sent_up
        second = await send(project, world, line.url, photo, STORE=store)
    assert second["resumed"]
    assert second["requests"].get("POST", 0) == 0
    assert line.sent_up - before < photo.stat().st_size * 0.75
    await assert_arrived(server, world, photo)


async def test_a_photo_that_is_there_already(
    project: Path, world: World, server: Server, photo: Path
) -> None:
    """An app that was installed anew sends its photos again; the server has them, and no byte travels twice for long."""
    await send(project, world, server.api.url, photo)
    async with CuttingProxy(server.api.port) as line:
        await send(project, world, line.url, photo, options={"chunkSize": 200_000})
    assert line.sent_up < 500_000
    await assert_arrived(server, world, photo)


async def test_the_same_photo_twice_at_once(project: Path, world: World, server: Server, photo: Path) -> None:
    """An app that was started twice sends a photo twice at the same time: both end, and it is there once."""
    async with CuttingProxy(server.api.port, [700_000, 500_000, 900_000]) as line:
        await asyncio.gather(
            *(send(project, world, line.url, photo, options={"chunkSize": 1_000_000}) for _ in range(2))
        )
    await assert_arrived(server, world, photo)


async def test_a_file_that_is_not_what_it_says(
    project: Path, world: World, server: Server, photo: Path
) -> None:
    """The client hears the server's code; nothing of the file stays."""
    said = await send(project, world, server.api.url, photo, check=False, SHA256="0" * 64)
    assert "UPLOAD_HASH_WRONG" in said["failed"]
    assert await world.value("select count(*) from blob where sha256 = $1", bytes(32)) == 0
