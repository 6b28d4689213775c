"""Where bytes lie: the same promises in a folder, in a bucket and in memory."""

import hashlib
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from graph import application
from small_s3 import SmallS3
from uploading import expect, phone_uploader, picture
from worlds import World

from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.settings import Settings
from callout_store.ids import new_id
from callout_store.work import Database
from callout_sync.blobs import Lost, Piece, Storage, WrongHash, pieces_of, raw_key
from callout_sync.upload_refusals import StorageUnavailable

BIG = 7_000_000
"""More than a bucket takes in one request."""


@pytest.fixture
async def s3(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmallS3]:
    async with SmallS3() as running:
        for name, value in {
            "AWS_ENDPOINT_URL": running.url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture(params=("folder", "memory", "s3"))
async def storage(request: pytest.FixtureRequest, tmp_path: Path, s3: SmallS3) -> Storage:
    place = {"folder": str(tmp_path / "a" / "photos"), "memory": "memory:", "s3": "s3://photos/in/here"}
    return Storage(place[request.param])


async def read(storage: Storage, key: str) -> bytes:
    return b"".join([chunk async for chunk in storage.read(key)])


async def pieces(storage: Storage, org: Any, upload: Any, data: bytes, *cuts: int) -> list[Piece]:
    ends = [*cuts, len(data)]
    starts = [0, *cuts]
    return [await storage.put_piece(org, upload, a, data[a:b]) for a, b in zip(starts, ends, strict=True)]


async def test_pieces_become_a_file(storage: Storage) -> None:
    """The file under its hash is the pieces in their order, and its beginning is handed back for a look."""
    org, upload, data = uuid4(), uuid4(), random.Random(1).randbytes(BIG)
    sha256 = hashlib.sha256(data).digest()
    found = await pieces(storage, org, upload, data, 1, 1_000_000, 5_500_000)
    assert await storage.assemble(org, sha256, found, head_bytes=2_000_000) == data[:2_000_000]
    assert await read(storage, raw_key(org, sha256)) == data
    # Twice is once.
    await storage.assemble(org, sha256, found, head_bytes=10)
    assert await read(storage, raw_key(org, sha256)) == data


async def test_a_wrong_file_never_comes_to_be(storage: Storage, s3: SmallS3) -> None:
    """Under a hash there is the file of that hash or nothing: also where the fault shows after most was written."""
    org, upload, data = uuid4(), uuid4(), random.Random(2).randbytes(BIG)
    sha256 = hashlib.sha256(b"another").digest()
    found = await pieces(storage, org, upload, data, 6_000_000)
    with pytest.raises(WrongHash):
        await storage.assemble(org, sha256, found, head_bytes=10)
    with pytest.raises(FileNotFoundError):
        await read(storage, raw_key(org, sha256))
    right = hashlib.sha256(data).digest()
    await storage.delete([found[1].key])
    with pytest.raises(Lost) as lost:
        await storage.assemble(org, right, found, head_bytes=10)
    assert lost.value.start_bytes == 6_000_000
    with pytest.raises(FileNotFoundError):
        await read(storage, raw_key(org, right))
    assert s3.parts == {}


async def test_a_piece_that_was_cut_short_is_lost(storage: Storage) -> None:
    """After a power cut a file may be there and empty: it is not taken for the piece."""
    org, upload, data = uuid4(), uuid4(), b"0123456789"
    found = await pieces(storage, org, upload, data, 4)
    await storage.put(found[1].key, b"")
    with pytest.raises(Lost):
        await storage.assemble(org, hashlib.sha256(data).digest(), found, head_bytes=10)


async def test_forgetting_an_upload(storage: Storage, s3: SmallS3) -> None:
    """Nothing of it stays, not even what no row names; others stay; and twice is once."""
    org, upload, other = uuid4(), uuid4(), uuid4()
    found = await pieces(storage, org, upload, b"abcdef", 3)
    kept = await pieces(storage, org, other, b"xyz")
    if storage.folder is not None:
        # What a process leaves that dies while it writes.
        (storage.folder / f"{found[0].key}#1").write_bytes(b"half")
        half = storage.folder / f"{raw_key(org, bytes(32))}#1"
        half.parent.mkdir(parents=True)
        half.write_bytes(b"half")
    for _ in range(2):
        await storage.forget(org, upload, bytes(32))
    for piece in found:
        with pytest.raises(FileNotFoundError):
            await read(storage, piece.key)
    assert await read(storage, kept[0].key) == b"xyz"
    if storage.folder is not None:
        left = [path for path in storage.folder.rglob("*") if path.is_file()]
        assert left == [storage.folder / kept[0].key]
        assert not (storage.folder / pieces_of(org, upload)).exists()


async def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A wrong setting or a full disk is a retryable refusal, not a fault of the request."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageUnavailable):
        await Storage(str(tmp_path / "file")).put("a/b", b"x")


async def test_a_bucket_that_is_away(s3: SmallS3) -> None:
    """A store that answers with faults is tried some times and then a retryable refusal, while the phone still waits."""
    storage = Storage("s3://photos")
    s3.broken = True
    for act in (storage.put("a", b"x"), read(storage, "a"), storage.delete_under("a")):
        with pytest.raises(StorageUnavailable):
            await act


async def test_photos_in_a_bucket(db: Database, settings: Settings, s3: SmallS3) -> None:
    """From the phone to the screen with nothing on this machine's disk, in the folder of the bucket that was named."""
    bucket = replace(settings, storage="s3://photos/some/where")
    world = await World(db).build()
    visit = await world.visit(world.phones[0])
    async with application(bucket, db) as app:
        phone = await phone_uploader(app, world)
        data, event = picture(seed=1, size=(300, 200)), new_id()
        await expect(world.phones[0], visit, event, data)
        await phone.upload(data)
        await drain(db, make_handlers(bucket))
        answer = await phone.client.get(
            f"/v1/attachments/{event}", headers={"Authorization": f"Bearer {phone.token}"}
        )
        assert answer.status_code == 200, answer.text
    kinds = sorted(key.split("/")[3] for key in s3.objects)
    assert (kinds, all(key.startswith("some/where/") for key in s3.objects)) == (
        ["clean", "raw", "thumb"],
        True,
    )
