"""Uploads by tus: what was sent arrives, in every way the protocol knows, and meets the event that names it."""

import base64
import hashlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from graph import application
from uploading import (
    BYTES,
    PATH,
    Uploader,
    blob,
    expect,
    files,
    join,
    part,
    phone_uploader,
    picture,
    raw,
)
from worlds import World

from callout_backend.doors import upload_body
from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.settings import Settings
from callout_store.ids import new_id
from callout_store.work import Database
from callout_sync import attachments
from callout_sync.attachments import Expected


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


async def test_a_photo_in_two_requests(app: Any, world: World, phone: Uploader) -> None:
    """The plain way: created, sent in two parts, whole; and its pieces are cleared away."""
    data = picture(seed=1)
    created = await phone.create(data)
    assert created.status_code == 201
    url = created.headers["location"]
    assert created.headers["upload-offset"] == "0"
    assert "upload-expires" in created.headers
    first = await phone.patch(url, 0, data[:100])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "100")
    assert await phone.offset(url) == 100
    last = await phone.patch(url, 100, data[100:])
    assert (last.status_code, last.headers["upload-offset"]) == (204, str(len(data)))
    assert await phone.offset(url) == len(data)
    assert await raw(app, world, data) == data
    assert files(app, world, f"pieces/{url.rsplit('/', 1)[-1]}") == []
    ((kept),) = await blob(world, data)
    assert (kept["state"], kept["media_type"], kept["width"], kept["height"]) == (
        "received",
        "image/jpeg",
        64,
        48,
    )


async def test_options_says_what_is_spoken(phone: Uploader) -> None:
    """A client asks first what it may use; without a token, because there is nothing to hide."""
    answer = await phone.client.request("OPTIONS", PATH)
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert set(answer.headers["tus-extension"].split(",")) == {
        "creation",
        "creation-with-upload",
        "termination",
        "expiration",
        "checksum",
        "concatenation",
    }
    assert answer.headers["tus-max-size"] == "50000000"
    assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256,md5"


async def test_the_first_bytes_come_with_the_creation(app: Any, world: World, phone: Uploader) -> None:
    """One round trip less on a slow line: a small photo is created and finished by one request."""
    data = picture(seed=2)
    whole = await phone.create(data, data)
    assert (whole.status_code, whole.headers["upload-offset"]) == (201, str(len(data)))
    assert await raw(app, world, data) == data
    other = picture(seed=3)
    half = await phone.create(other, other[:50])
    assert (half.status_code, half.headers["upload-offset"]) == (201, "50")


async def test_what_is_there_need_not_be_sent_again(world: World, phone: Uploader, app: Any) -> None:
    """A phone that lost its list of uploads sends no photo twice; another organisation gains nothing by knowing a hash."""
    data = picture(seed=4)
    await phone.upload(data)
    again = await phone.create(data)
    assert (again.status_code, again.headers["upload-offset"]) == (201, str(len(data)))
    assert await phone.offset(again.headers["location"]) == len(data)
    other = await World(world.db).build(phones=1)
    stranger = await phone_uploader(app, other)
    asked = await stranger.create(data)
    assert asked.headers["upload-offset"] == "0"


async def test_methods_by_another_name(app: Any, world: World, phone: Uploader) -> None:
    """Some networks let only GET and POST through: the method then travels in a header."""
    data = picture(seed=7)
    url = (await phone.create(data)).headers["location"]
    sent = await phone.send(
        "POST", url, data[:10], x_http_method_override="PATCH", upload_offset="0", content_type=BYTES
    )
    assert sent.status_code == 204
    asked = await phone.send("POST", url, x_http_method_override="HEAD")
    assert asked.headers["upload-offset"] == "10"
    assert (await phone.send("POST", url, x_http_method_override="DELETE")).status_code == 204
    assert (await phone.head(url)).status_code == 410
    assert await phone.refused(await phone.send("POST", url)) == (405, "METHOD_REFUSED")


@pytest.mark.parametrize("algorithm", ("sha1", "sha256", "md5"))
async def test_checksums(app: Any, world: World, phone: Uploader, algorithm: str) -> None:
    """A part that was garbled on its way is refused as a whole and leaves nothing; the right one is taken."""
    data = picture(seed=8, size=(1100, 800), format_="PNG")
    assert len(data) > upload_body.PIECE_BYTES_MAX
    data = data + algorithm.encode()
    url = (await phone.create(data)).headers["location"]
    right = base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
    garbled = data[:-1] + b"\x00"
    answer = await phone.patch(url, 0, garbled, upload_checksum=f"{algorithm} {right}")
    assert await phone.refused(answer) == (460, "UPLOAD_CHECKSUM_WRONG")
    assert await phone.offset(url) == 0
    assert files(app, world, f"pieces/{url.rsplit('/', 1)[-1]}") == []
    # A cut one keeps nothing either: nobody can tell whether what came was right.
    await phone.cut(url, 0, data[:5000], **{"Upload-Checksum": f"{algorithm} {right}"})
    assert await phone.offset(url) == 0
    answer = await phone.patch(url, 0, data, upload_checksum=f"{algorithm} {right}")
    assert answer.status_code == 204
    assert await raw(app, world, data) == data


async def test_removed_uploads(app: Any, world: World, phone: Uploader) -> None:
    """DELETE clears an unfinished upload away; a finished photo stays, whatever becomes of its upload."""
    data = picture(seed=11)
    url = (await phone.create(data)).headers["location"]
    await phone.patch(url, 0, data[:100])
    assert (await phone.send("DELETE", url)).status_code == 204
    assert files(app, world, f"pieces/{url.rsplit('/', 1)[-1]}") == []
    assert await phone.refused(await phone.patch(url, 100, data[100:])) == (410, "UPLOAD_ENDED")
    done = await phone.upload(data)
    assert (await phone.send("DELETE", done)).status_code == 204
    assert await raw(app, world, data) == data


async def test_expired_uploads(app: Any, world: World, settings: Settings, phone: Uploader) -> None:
    """An upload that nobody went on with is cleared away, its phone told so for as long again; then it is forgotten."""
    data = picture(seed=15)
    url = (await phone.create(data)).headers["location"]
    await phone.patch(url, 0, data[:100])
    id_ = url.rsplit("/", 1)[-1]

    async def pass_time() -> None:
        async with world.db.work(world.org) as work:
            await work.execute(
                "update upload set expires_at = now() - interval '1 s' where id = $1::text::uuid", id_
            )
            await work.execute("update timer set due_at = now() where key = $1", f"upload:{id_}")
            work.owes = True

    await pass_time()
    assert (await phone.head(url)).status_code == 410
    assert await phone.refused(await phone.patch(url, 100, data[100:])) == (410, "UPLOAD_EXPIRED")
    await drain(world.db, make_handlers(settings))
    assert files(app, world, f"pieces/{id_}") == []
    assert await phone.refused(await phone.patch(url, 100, data[100:])) == (410, "UPLOAD_EXPIRED")
    await pass_time()
    await drain(world.db, make_handlers(settings))
    assert (await phone.head(url)).status_code == 404


async def test_an_upload_that_went_on_does_not_expire(
    world: World, settings: Settings, phone: Uploader
) -> None:
    """The timer of two weeks counts from the last bytes, not from the first."""
    data = picture(seed=16)
    url = (await phone.create(data)).headers["location"]
    id_ = url.rsplit("/", 1)[-1]
    async with world.db.work(world.org) as work:
        await work.execute("update timer set due_at = now() where key = $1", f"upload:{id_}")
    await phone.patch(url, 0, data[:100])
    await drain(world.db, make_handlers(settings))
    assert await phone.offset(url) == 100
    assert await world.value("select state from timer where key = $1", f"upload:{id_}") == "armed"


async def test_event_and_bytes_in_either_order(app: Any, world: World, phone: Uploader) -> None:
    """The event may be first or the photo: the attachment ends in the same state."""
    visit = await world.visit(world.phones[0])
    for n, first in enumerate(("event", "bytes")):
        data, event = picture(seed=60 + n), new_id()
        if first == "event":
            await expect(world.phones[0], visit, event, data)
            assert await world.value("select state from attachment where id = $1", event) == "awaited"
            await phone.upload(data)
        else:
            await phone.upload(data)
            await expect(world.phones[0], visit, event, data)
        assert await world.value("select state from attachment where id = $1", event) == "received"
        # A push that is sent again changes nothing.
        await expect(world.phones[0], visit, event, data)


async def test_parts_are_joined(app: Any, world: World, phone: Uploader) -> None:
    """A client that sends a file in parallel parts ends with one file; a joining whose answer was lost is answered again."""
    data = picture(seed=80, size=(300, 200))
    cuts = (0, 1000, 1001, len(data))
    urls = [await part(phone, data[a:b]) for a, b in itertools.pairwise(cuts)]
    assert (await phone.head(urls[0])).headers["upload-concat"] == "partial"
    absolute = [f"http://t{urls[0]}", *urls[1:]]
    joined = await join(phone, data, *absolute)
    assert (joined.status_code, joined.headers["upload-offset"]) == (201, str(len(data)))
    assert await raw(app, world, data) == data
    final = await phone.head(joined.headers["location"])
    assert final.headers["upload-concat"] == "final;" + " ".join(urls)
    answer = await phone.patch(joined.headers["location"], len(data), b"x")
    assert await phone.refused(answer) == (403, "UPLOAD_FINAL_READ_ONLY")
    assert (await join(phone, data, *absolute)).status_code == 201
    for url in urls:
        assert files(app, world, f"pieces/{url.rsplit('/', 1)[-1]}") == []
        assert (await phone.head(url)).status_code == 410


async def test_a_pushed_photo_meets_its_bytes(world: World, settings: Settings, phone: Uploader) -> None:
    """The whole way: the command names the hash, the upload brings it, the worker makes it fit to be shown."""
    visit = await world.visit(world.phones[0])
    data = picture(seed=18)
    command = world.phones[0].command(
        "visit.photo",
        visit,
        {
            "sha256": hashlib.sha256(data).hexdigest(),
            "mediaType": "image/jpeg",
            "sizeBytes": len(data),
            "caption": "The hinge",
        },
    )
    (answer,) = await world.phones[0].push(command)
    assert answer.status == "applied"
    state = "select state from attachment where id = $1::text::uuid"
    assert await world.value(state, command["id"]) == "awaited"
    await phone.upload(data)
    await drain(world.db, make_handlers(settings))
    assert await world.value(state, command["id"]) == "ready"


async def test_a_signature_takes_kind_and_size_from_its_bytes(world: World, phone: Uploader) -> None:
    """The event of a signature names its picture by the hash alone, before the bytes or after them."""
    visit = await world.visit(world.phones[0])
    for n, first in enumerate(("event", "bytes")):
        data, event = picture("PNG", seed=19 + n), new_id()
        one = Expected(
            event_id=event,
            visit_id=visit,
            kind="signature",
            sha256=hashlib.sha256(data).digest(),
            media_type="image/jpeg",
            size_bytes=0,
        )
        if first == "bytes":
            await phone.upload(data)
        async with world.db.work(world.org, actor=world.phones[0].actor) as work:
            await attachments.expect(work, [one])
        if first == "event":
            await phone.upload(data)
        (row,) = await world.fetch("select media_type, size_bytes from attachment where id = $1", event)
        assert tuple(row) == ("image/png", len(data))
