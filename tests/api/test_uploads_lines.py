"""Uploads over bad lines and beside dying processes: what the phone took is what the office sees."""

import asyncio
import base64
import hashlib
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from graph import application
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from uploading import (
    BYTES,
    PATH,
    Uploader,
    blob,
    expect,
    files,
    grown,
    metadata,
    phone_uploader,
    picture,
    raw,
    until,
)
from worlds import World

from callout_backend.doors import upload_body
from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.jobs.uploads import finish
from callout_backend.settings import Settings
from callout_store.ids import new_id
from callout_store.work import Database
from callout_sync import attachments
from callout_sync.attachments import Expected
from callout_sync.blobs import Storage


@pytest.fixture(scope="module")
async def world(db: Database) -> World:
    return await World(db).build()


@pytest.fixture(scope="module")
async def app(settings: Settings, db: Database) -> AsyncIterator[Any]:
    async with application(settings, db) as (litestar, client):
        yield litestar, client


@pytest.fixture
async def phone(app: Any, world: World) -> Uploader:
    return await phone_uploader(app, world)


async def test_an_upload_whose_address_was_lost_goes_on(app: Any, world: World, phone: Uploader) -> None:
    """The answer to a creation is lost, or the phone its list: it creates again, and goes on where it was."""
    data = picture(seed=17)
    status, _ = await phone.scripted(
        "POST",
        PATH,
        [data[:600], None],
        {
            "Upload-Length": str(len(data)),
            "Upload-Metadata": metadata(data),
            "Content-Type": BYTES,
            "Content-Length": str(len(data)),
        },
    )
    assert status == 400
    again = await phone.create(data, data[:1000])
    assert (again.status_code, again.headers["upload-offset"]) == (201, "600")
    other = await phone_uploader(app, world, 1)
    assert (await other.create(data)).headers["upload-offset"] == "0"
    url = again.headers["location"]
    assert (await phone.patch(url, 600, data[600:])).status_code == 204
    assert await raw(app, world, data) == data


async def test_a_cut_line_keeps_what_came(phone: Uploader) -> None:
    """Pain 11: a photo over a bad line does not begin from zero."""
    data = picture(seed=12)
    url = (await phone.create(data)).headers["location"]
    await phone.cut(url, 0, data[:700], data[700:1000])
    assert await phone.offset(url) == 1000
    await phone.patch(url, 1000, data[1000:])
    assert await phone.offset(url) == len(data)


async def test_a_hung_request_blocks_nobody_and_writes_no_more(
    app: Any, world: World, phone: Uploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A phone that lost its line without a word comes back at once; the old request, woken later, changes nothing."""
    monkeypatch.setattr(upload_body, "IDLE_S", 0.01)
    monkeypatch.setattr(upload_body, "IDLE_BYTES_MIN", 1)
    data = picture(seed=13)
    url = (await phone.create(data)).headers["location"]
    woken = asyncio.Event()
    hung = asyncio.create_task(
        phone.scripted(
            "PATCH",
            url,
            [data[:500], woken.wait(), b"GARBAGE", None],
            {"Upload-Offset": "0", "Content-Type": BYTES},
        )
    )
    await until(lambda: grown(world, url))
    # What came is on record though the line is only silent.
    assert await phone.offset(url) == 500
    assert (await phone.patch(url, 500, data[500:900])).status_code == 204
    woken.set()
    status, body = await hung
    assert (status, b"UPLOAD_SUPERSEDED" in body) == (409, True)
    assert await phone.offset(url) == 900
    assert (await phone.patch(url, 900, data[900:])).status_code == 204
    assert await raw(app, world, data) == data


async def test_the_newer_request_goes_on_though_it_brought_nothing_yet(
    world: World, app: Any, phone: Uploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old request wakes while the new one still waits for its first byte: it must not write under its feet."""
    monkeypatch.setattr(upload_body, "IDLE_S", 0.01)
    monkeypatch.setattr(upload_body, "IDLE_BYTES_MIN", 1)
    data = picture(seed=53)
    url = (await phone.create(data)).headers["location"]
    id_ = url.rsplit("/", 1)[-1]
    old_wakes, new_wakes = asyncio.Event(), asyncio.Event()
    headers = {"Upload-Offset": "0", "Content-Type": BYTES}
    old = asyncio.create_task(
        phone.scripted("PATCH", url, [data[:500], old_wakes.wait(), b"GARBAGE", None], headers)
    )
    await until(lambda: grown(world, url))
    token = await world.value("select token from upload where id = $1::text::uuid", id_)
    new = asyncio.create_task(
        phone.scripted("PATCH", url, [new_wakes.wait(), data[500:]], {**headers, "Upload-Offset": "500"})
    )

    async def taken_over() -> bool:
        return bool(await world.value("select token <> $2 from upload where id = $1::text::uuid", id_, token))

    await until(taken_over)
    old_wakes.set()
    status, body = await old
    assert (status, b"UPLOAD_SUPERSEDED" in body) == (409, True)
    new_wakes.set()
    assert (await new)[0] == 204
    assert await raw(app, world, data) == data


async def test_silence_ends_a_request(phone: Uploader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that stays silent is given up with a code of its own; what came before is kept."""
    monkeypatch.setattr(upload_body, "STALL_S", 0.05)
    monkeypatch.setattr(upload_body.bytes_of, "__kwdefaults__", {"stall_s": 0.05, "whole_s": 60.0})
    data = picture(seed=14)
    url = (await phone.create(data)).headers["location"]
    status, body = await phone.scripted(
        "PATCH", url, [data[:300], asyncio.Event().wait()], {"Upload-Offset": "0", "Content-Type": BYTES}
    )
    assert (status, b"BODY_TOO_SLOW" in body) == (408, True)
    assert await phone.offset(url) == 300


@hypothesis_settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    length=st.integers(1, 6000),
    runs=st.lists(
        st.tuples(st.integers(0, 3000), st.sampled_from(["whole", "cut", "checked", "wrong", "stale"])),
        max_size=8,
    ),
    seed=st.integers(0, 2**32),
)
async def test_any_split_with_any_cuts_gives_the_same_bytes(
    app: Any,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    length: int,
    runs: list[tuple[int, str]],
    seed: int,
) -> None:
    """However the line chops a file, and wherever it breaks, what the office sees is what the phone took."""
    monkeypatch.setattr(upload_body, "PIECE_BYTES_MAX", 512)
    data = random.Random(f"split:{seed}").randbytes(length)
    phone = await phone_uploader(app, world)
    url = (await phone.create(data)).headers["location"]
    at = await phone.offset(url)
    for size, how in runs:
        part = data[at : at + size]
        if how == "cut":
            await phone.cut(url, at, part[: size // 2], part[size // 2 :])
        elif how == "checked":
            digest = base64.b64encode(hashlib.sha1(part).digest()).decode()
            assert (await phone.patch(url, at, part, upload_checksum=f"sha1 {digest}")).status_code == 204
        elif how == "wrong":
            digest = base64.b64encode(hashlib.sha1(part + b"x").digest()).decode()
            assert (await phone.patch(url, at, part, upload_checksum=f"sha1 {digest}")).status_code == 460
            part = b""
        elif how == "stale":
            assert (await phone.patch(url, at + 1, part)).status_code == 409
            part = b""
        else:
            assert (await phone.patch(url, at, part)).status_code == 204
        at += len(part)
        assert await phone.offset(url) == at
    if at < length:
        assert (await phone.patch(url, at, data[at:])).status_code == 204
    assert await raw(app, world, data) == data


async def test_finished_by_whoever_comes(
    app: Any, world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch, phone: Uploader
) -> None:
    """The process died after the last byte was written down: the phone's next question, or the worker, finishes it."""

    async def died(*_: Any, **__: Any) -> None:
        raise RuntimeError("killed")

    for n, finisher in enumerate(("phone", "worker")):
        data = picture(seed=40 + n)
        url = (await phone.create(data)).headers["location"]
        with monkeypatch.context() as patched:
            patched.setattr("callout_backend.doors.uploads.finish", died)
            assert (await phone.patch(url, 0, data)).status_code == 500
        assert await blob(world, data) == []
        if finisher == "phone":
            assert await phone.offset(url) == len(data)
        else:
            async with world.db.work(world.org) as work:
                await work.execute("update outbox set run_at = now() where channel = 'upload.finish'")
            await drain(world.db, make_handlers(settings))
        assert await raw(app, world, data) == data
        assert len(await blob(world, data)) == 1


async def test_finished_by_several_at_once(app: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Phone and worker may both finish: one photo comes of it, and no fault."""
    phone = await phone_uploader(app, world)
    data = picture(seed=50)

    async def later(*_: Any, **__: Any) -> None:
        raise RuntimeError("killed")

    url = (await phone.create(data)).headers["location"]
    with monkeypatch.context() as patched:
        patched.setattr("callout_backend.doors.uploads.finish", later)
        await phone.patch(url, 0, data)
    id_ = UUID(url.rsplit("/", 1)[-1])
    storage = Storage(app[0].state.storage.where)
    await asyncio.gather(
        *(finish(world.db, storage, world.org, id_) for _ in range(4)), *(phone.head(url) for _ in range(4))
    )
    assert await raw(app, world, data) == data
    assert (
        await world.value(
            "select count(*) from outbox where dedupe_key = $1", f"picture:{hashlib.sha256(data).hexdigest()}"
        )
        == 1
    )


async def test_pieces_lost_by_the_machine_are_sent_again(app: Any, world: World, phone: Uploader) -> None:
    """After a power cut a piece may be gone: the phone is told where to go on, instead of a photo that never finishes."""
    data = picture(seed=51)
    url = (await phone.create(data)).headers["location"]
    await phone.patch(url, 0, data[:100])
    await phone.patch(url, 100, data[100:200])
    (second,) = [
        f for f in files(app, world, f"pieces/{url.rsplit('/', 1)[-1]}") if f.name.startswith("100-")
    ]
    second.unlink()
    assert await phone.refused(await phone.patch(url, 200, data[200:])) == (409, "UPLOAD_OFFSET_WRONG")
    assert await phone.offset(url) == 100
    await phone.patch(url, 100, data[100:])
    assert await raw(app, world, data) == data


async def test_a_store_that_is_away(app: Any, phone: Uploader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is a clean, retryable answer, and the upload stands where it stood."""
    data = picture(seed=52)
    url = (await phone.create(data)).headers["location"]
    with monkeypatch.context() as patched:

        class Full:
            async def put_async(self, *_: Any, **__: Any) -> None:
                raise OSError(28, "No space left on device")

        patched.setitem(app[0].state.storage.__dict__, "store", Full())
        answer = await phone.patch(url, 0, data)
        assert await phone.refused(answer) == (503, "STORAGE_UNAVAILABLE")
        assert answer.json()["retryable"] is True
    assert await phone.offset(url) == 0
    assert (await phone.patch(url, 0, data)).status_code == 204


async def test_event_and_bytes_at_the_same_moment(app: Any, world: World, phone: Uploader) -> None:
    """Committed side by side, neither may miss the other: an attachment would wait for ever for bytes that are there."""
    visit = await world.visit(world.phones[0])
    for n in range(12):
        data, event = picture(seed=100 + n), new_id()
        url = (await phone.create(data)).headers["location"]
        await asyncio.gather(phone.patch(url, 0, data), expect(world.phones[0], visit, event, data))
        assert await world.value("select state from attachment where id = $1", event) == "received", n


async def test_a_hash_is_held_while_event_or_bytes_are_written(
    app: Any, world: World, phone: Uploader
) -> None:
    """The lock behind either order: an event that has looked for its bytes keeps them from arriving unseen."""
    visit = await world.visit(world.phones[0])
    data, event = picture(seed=84), new_id()
    one = Expected(
        event_id=event,
        visit_id=visit,
        kind="photo",
        sha256=hashlib.sha256(data).digest(),
        media_type="image/jpeg",
        size_bytes=len(data),
    )
    url = (await phone.create(data)).headers["location"]
    looked, go_on = asyncio.Event(), asyncio.Event()

    async def event_comes() -> None:
        async with world.db.work(world.org, actor=world.phones[0].actor) as work:
            await attachments.expect(work, [one])
            looked.set()
            await go_on.wait()

    coming = asyncio.create_task(event_comes())
    await looked.wait()
    sending = asyncio.create_task(phone.patch(url, 0, data))
    await until(lambda: _waits(world))
    go_on.set()
    await coming
    assert (await sending).status_code == 204
    assert await world.value("select state from attachment where id = $1", event) == "received"


async def _waits(world: World) -> bool:
    return bool(
        await world.value("select true from pg_locks where locktype = 'advisory' and not granted limit 1")
    )
