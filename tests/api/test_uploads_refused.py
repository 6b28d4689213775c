"""Uploads that are refused: each malformed thing by its own code, nothing half stored, nobody at another's."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from graph import application, someone, token_of
from uploading import (
    BYTES,
    PATH,
    Uploader,
    blob,
    files,
    grown,
    join,
    metadata,
    part,
    phone_uploader,
    picture,
    raw,
    until,
)
from worlds import World

from callout_backend.settings import Settings
from callout_people.users import Role
from callout_store.ids import new_id
from callout_store.work import Database
from callout_sync import devices


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


async def test_an_upload_is_its_own_phones(app: Any, world: World, phone: Uploader) -> None:
    """Another engineer, another organisation and the same user's browser get 404, not a byte and not an offset."""
    url = (await phone.create(picture(seed=5))).headers["location"]
    other = await World(world.db).build(phones=1)
    for stranger in (await phone_uploader(app, world, 1), await phone_uploader(app, other)):
        assert (await stranger.head(url)).status_code == 404
        assert await stranger.refused(await stranger.patch(url, 0, b"x")) == (404, "UPLOAD_UNKNOWN")
        assert await stranger.refused(await stranger.send("DELETE", url)) == (404, "UPLOAD_UNKNOWN")
    browser = Uploader(
        app[0],
        phone.client,
        await token_of(world.db, app[0].state.issuer, world.org, world.phones[0].actor.user_id),
    )
    assert await browser.refused(await browser.create(b"x")) == (403, "DEVICE_REQUIRED")
    assert await browser.refused(await browser.patch(url, 0, b"x")) == (403, "DEVICE_REQUIRED")
    nobody = Uploader(app[0], phone.client, None)
    assert await nobody.refused(await nobody.create(b"x")) == (401, "NOT_AUTHENTICATED")
    assert await phone.offset(url) == 0


async def test_the_office_uploads_nothing(app: Any, world: World, phone: Uploader) -> None:
    """Rights are by role: a customer's contact with a device of some kind cannot fill the store."""
    user, device = await someone(world, Role.DISPATCHER), new_id()
    async with world.db.work(world.org) as work:
        await work.execute(
            "insert into device (id, user_id, name, enrolled_at) values ($1, $2, 'desk', now())", device, user
        )
    token = await token_of(world.db, app[0].state.issuer, world.org, user, device)
    desk = Uploader(app[0], phone.client, token)
    assert await desk.refused(await desk.create(picture())) == (403, "NOT_ALLOWED")


@pytest.mark.parametrize(
    ("headers", "expected"),
    (
        ({"tus_resumable": None}, (412, "TUS_VERSION_UNKNOWN")),
        ({"tus_resumable": "0.2.2"}, (412, "TUS_VERSION_UNKNOWN")),
        ({"upload_length": None}, (400, "UPLOAD_LENGTH_INVALID")),
        ({"upload_length": "0"}, (400, "UPLOAD_LENGTH_INVALID")),
        ({"upload_length": "-1"}, (400, "UPLOAD_LENGTH_INVALID")),
        ({"upload_length": "1e3"}, (400, "UPLOAD_LENGTH_INVALID")),
        ({"upload_length": "9" * 30}, (400, "UPLOAD_LENGTH_INVALID")),
        ({"upload_defer_length": "1"}, (400, "UPLOAD_LENGTH_INVALID")),
        ({"upload_length": "50000001"}, (413, "UPLOAD_TOO_LARGE")),
        ({"upload_metadata": None}, (400, "UPLOAD_METADATA_INVALID")),
        ({"upload_metadata": "sha256 !!!"}, (400, "UPLOAD_METADATA_INVALID")),
        ({"upload_metadata": metadata(sha256="ab")}, (400, "UPLOAD_METADATA_INVALID")),
        ({"upload_metadata": metadata(sha256="A" * 64)}, (400, "UPLOAD_METADATA_INVALID")),
        ({"upload_metadata": metadata(b"x", kind="film")}, (400, "UPLOAD_METADATA_INVALID")),
        ({"upload_metadata": metadata(b"x", filetype="text/html")}, (400, "UPLOAD_METADATA_INVALID")),
        ({"upload_metadata": metadata(b"x") + "," + metadata(b"y")}, (400, "UPLOAD_METADATA_INVALID")),
        ({"upload_metadata": metadata(b"x", filename="a\x00b")}, (400, "UPLOAD_METADATA_INVALID")),
        ({"upload_metadata": metadata(b"x", note="y" * 4000)}, (400, "UPLOAD_METADATA_INVALID")),
        ({"upload_concat": "half"}, (400, "UPLOAD_CONCAT_INVALID")),
        ({"upload_concat": "final;"}, (400, "UPLOAD_CONCAT_INVALID")),
        ({"upload_concat": "final;/v1/uploads/x", "upload_length": None}, (400, "UPLOAD_CONCAT_INVALID")),
        ({"upload_concat": f"final;{PATH}/{uuid4()}"}, (400, "UPLOAD_CONCAT_INVALID")),
        (
            {"upload_concat": f"final;{PATH}/{uuid4()}", "upload_length": None},
            (400, "UPLOAD_CONCAT_INVALID"),
        ),
        (
            {"upload_concat": "final;" + f" {PATH}/{uuid4()}" * 65, "upload_length": None},
            (400, "UPLOAD_CONCAT_INVALID"),
        ),
    ),
)
async def test_each_malformed_creation_has_its_code(
    world: World, phone: Uploader, headers: dict[str, str | None], expected: tuple[int, str]
) -> None:
    """The author of an app sees by the code which header is wrong; and nothing was begun."""
    before = await world.value("select count(*) from upload")
    assert await phone.refused(await phone.create(picture(seed=6), **headers)) == expected
    assert await world.value("select count(*) from upload") == before


@pytest.mark.parametrize(
    ("offset", "headers", "content", "expected"),
    (
        ("", {}, b"x", (400, "UPLOAD_OFFSET_INVALID")),
        ("-1", {}, b"x", (400, "UPLOAD_OFFSET_INVALID")),
        ("0x0", {}, b"x", (400, "UPLOAD_OFFSET_INVALID")),
        ("٣", {}, b"x", (400, "UPLOAD_OFFSET_INVALID")),
        ("1", {}, b"x", (409, "UPLOAD_OFFSET_WRONG")),
        ("999999999999999", {}, b"x", (409, "UPLOAD_OFFSET_WRONG")),
        ("0", {"content_type": "image/jpeg"}, b"x", (415, "UPLOAD_CONTENT_TYPE_WRONG")),
        ("0", {"content_encoding": "gzip"}, b"x", (415, "UPLOAD_CONTENT_TYPE_WRONG")),
        ("0", {"tus_resumable": "2"}, b"x", (412, "TUS_VERSION_UNKNOWN")),
        ("0", {"upload_checksum": "crc32 AAAA"}, b"x", (400, "UPLOAD_CHECKSUM_INVALID")),
        ("0", {"upload_checksum": "sha1 !"}, b"x", (400, "UPLOAD_CHECKSUM_INVALID")),
        ("0", {"upload_checksum": "sha1 AAAA"}, b"x", (400, "UPLOAD_CHECKSUM_INVALID")),
        ("0", {}, b"x" * 2000, (413, "UPLOAD_LENGTH_EXCEEDED")),
    ),
)
async def test_each_malformed_part_has_its_code(
    phone: Uploader, offset: str, headers: dict[str, str], content: bytes, expected: tuple[int, str]
) -> None:
    """Nothing of a refused part is kept: the offset stands where it stood."""
    url = (await phone.create(b"y" * 1000)).headers["location"]
    answer = await phone.client.request(
        "PATCH",
        url,
        content=content,
        headers=[
            (k.encode(), v.encode())
            for k, v in phone.headers(
                **{"upload_offset": offset, "content_type": BYTES, **headers}  # type: ignore[arg-type]
            ).items()
        ],
    )
    assert await phone.refused(answer) == expected
    assert await phone.offset(url) == 0


async def test_a_part_over_the_limit_is_refused_unread(phone: Uploader) -> None:
    """16 MB a request: by its announced length at once, and one that announced none when it has gone too far."""
    url = (await phone.create(b"y" * 17_000_000)).headers["location"]
    answer = await phone.patch(url, 0, b"y" * 16_000_001)
    assert await phone.refused(answer) == (413, "UPLOAD_PART_TOO_LARGE")
    assert await phone.offset(url) == 0

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"y" * 1_000_000

    answer = await phone.patch(url, 0, endless(), transfer_encoding="chunked")
    assert await phone.refused(answer) == (413, "UPLOAD_PART_TOO_LARGE")
    # What came before the limit is on record: the client may go on from there.
    assert 0 < await phone.offset(url) <= 16_000_000


@pytest.mark.parametrize("path", (f"{PATH}/nothing", f"{PATH}/{uuid4()}"))
async def test_unknown_addresses(phone: Uploader, path: str) -> None:
    """An address that is none of ours is 404 for every method: the client then creates its upload anew."""
    for method in ("PATCH", "DELETE"):
        answer = await phone.send(method, path, b"", upload_offset="0", content_type=BYTES)
        assert await phone.refused(answer) == (404, "UPLOAD_UNKNOWN")
    assert (await phone.head(path)).status_code == 404


async def test_bytes_that_are_not_the_file_they_named(app: Any, world: World, phone: Uploader) -> None:
    """The phone learns that it must send again, and with what; nothing of the wrong bytes stays."""
    data, other = picture(seed=9), picture(seed=10)
    other = other.ljust(len(data), b"\x00")[: len(data)]
    url = (await phone.create(data)).headers["location"]
    answer = await phone.patch(url, 0, other)
    assert await phone.refused(answer) == (422, "UPLOAD_HASH_WRONG")
    assert answer.json()["details"]["given"] == hashlib.sha256(other).hexdigest()
    assert (await phone.head(url)).status_code == 422
    assert await blob(world, data) == []
    assert await blob(world, other) == []
    assert files(app, world, f"pieces/{url.rsplit('/', 1)[-1]}") == []
    assert not [f for f in files(app, world, "raw") if hashlib.sha256(data).hexdigest() in f.name]
    await phone.upload(data)
    assert await raw(app, world, data) == data


async def test_too_many_unfinished(app: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone gone wild fills neither the table nor the store; ending some makes room."""
    monkeypatch.setattr("callout_sync.uploads.UPLOADS_OPEN_MAX", 3)
    other = await World(world.db).build(phones=1)
    phone = await phone_uploader(app, other)
    answers = await asyncio.gather(*(phone.create(picture(seed=20 + n)) for n in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 429, 429, 429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert await phone.refused(refused) == (429, "UPLOADS_TOO_MANY")
    kept = next(answer for answer in answers if answer.status_code == 201)
    await phone.send("DELETE", kept.headers["location"])
    assert (await phone.create(picture(seed=30))).status_code == 201


async def test_devices_that_may_not(app: Any, world: World) -> None:
    """A revoked phone and a stolen one send nothing more; one to be wiped after its work is sent still may."""
    other = await World(world.db).build(phones=3)
    for n, (sql, code) in enumerate(
        (
            ("update device set wipe_mode = 'stolen' where id = $1", "DEVICE_WIPED"),
            ("update device set wipe_mode = 'after_upload' where id = $1", None),
            (None, "DEVICE_REVOKED"),
        )
    ):
        phone = await phone_uploader(app, other, n)
        url = (await phone.create(picture(seed=n))).headers["location"]
        device = other.phones[n].device_id
        async with other.db.work(other.org) as work:
            if sql is None:
                await devices.revoke(work, device, "lost")
            else:
                await work.execute(sql, device)
        answer = await phone.patch(url, 0, b"\xff")
        if code is None:
            assert answer.status_code == 204
        else:
            assert await phone.refused(answer) == (403, code)
            assert await phone.refused(await phone.create(picture())) == (403, code)


async def test_revoked_while_bytes_travel(app: Any, world: World) -> None:
    """A phone that is revoked in the middle of a request writes nothing more, though its request had begun before."""
    other = await World(world.db).build(phones=1)
    phone = await phone_uploader(app, other)
    data = b"z" * 3_000_000
    url = (await phone.create(data)).headers["location"]

    async def revoke() -> None:
        await until(lambda: grown(other, url))
        async with other.db.work(other.org) as work:
            await devices.revoke(work, other.phones[0].device_id, "stolen")

    status, body = await phone.scripted(
        "PATCH",
        url,
        [data[:1_100_000], revoke(), data[1_100_000:]],
        {"Upload-Offset": "0", "Content-Type": BYTES},
    )
    assert (status, b"DEVICE_REVOKED" in body) == (403, True)
    assert await other.value("select offset_bytes from upload") == 1_100_000


async def test_parts_that_cannot_be_joined(app: Any, world: World, phone: Uploader) -> None:
    """Unfinished parts, whole files, other phones' parts, and parts that make another file: each refused, none harmed."""
    data = picture(seed=81)
    one, two = await part(phone, data[:500]), await part(phone, data[500:])
    open_ = (await phone.create(data[:10], upload_concat="partial")).headers["location"]
    whole = (await phone.create(picture(seed=82))).headers["location"]
    stranger = await phone_uploader(app, world, 1)
    foreign = await part(stranger, data[500:])
    for urls in ((one, open_), (one, whole), (one, foreign)):
        assert await phone.refused(await join(phone, data, *urls)) == (400, "UPLOAD_CONCAT_INVALID")
    # In the wrong order they are another file. The parts stay, and are joined rightly afterwards.
    assert await phone.refused(await join(phone, data, two, one)) == (422, "UPLOAD_HASH_WRONG")
    assert (await join(phone, data, one, two)).status_code == 201
    assert await raw(app, world, data) == data


async def test_joined_parts_stay_within_the_limit(phone: Uploader, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on a file holds for one that comes in parts too."""
    monkeypatch.setattr("callout_sync.uploads.UPLOAD_BYTES_MAX", 900)
    data = picture(seed=83)
    urls = [await part(phone, data[:500]), await part(phone, data[500:])]
    assert await phone.refused(await join(phone, data, *urls)) == (413, "UPLOAD_TOO_LARGE")


async def test_a_creation_that_brings_too_much(world: World, phone: Uploader) -> None:
    """More bytes than the upload was to have: refused before anything was begun."""
    before = await world.value("select count(*) from upload")
    answer = await phone.create(b"abc", b"abcd")
    assert await phone.refused(answer) == (413, "UPLOAD_LENGTH_EXCEEDED")
    assert await world.value("select count(*) from upload") == before
