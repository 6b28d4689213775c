"""What becomes of a photo's bytes: shown without what the camera wrote, or kept and never shown."""

import asyncio
import hashlib
import io
import struct
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from graph import application
from PIL import Image, ImageCms
from uploading import Uploader, camera_exif, expect, opened, phone_uploader, picture, send_photo, show
from worlds import World

from callout_backend.jobs import pictures
from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.settings import Settings
from callout_contracts.codes import PICTURE_CODES
from callout_store import outbox
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture(scope="module")
async def world(db: Database) -> World:
    return await World(db).build()


@pytest.fixture(scope="module")
async def app(settings: Settings, db: Database) -> AsyncIterator[Any]:
    async with application(settings, db) as (litestar, client):
        yield litestar, client


@pytest.fixture(scope="module")
async def visit(world: World) -> UUID:
    return await world.visit(world.phones[0])


@pytest.fixture
async def phone(app: Any, world: World) -> Uploader:
    return await phone_uploader(app, world)


@pytest.mark.parametrize("format_", ("JPEG", "PNG", "WEBP", "HEIF"))
async def test_what_the_camera_wrote_is_kept_apart(
    world: World, settings: Settings, phone: Uploader, visit: UUID, format_: str
) -> None:
    """A customer who is shown the photo does not learn where the engineer was; the office does."""
    data = picture(
        format_, size=(900, 600), seed=1, exif=camera_exif(), **({"quality": 60} if format_ != "PNG" else {})
    )
    if format_ != "HEIF":
        assert b"SecretCameraMaker" in data
    sent = await send_photo(world, settings, phone, visit, data)
    assert (sent.attachment["state"], sent.blob["state"]) == ("ready", "ready")
    assert sent.blob["taken_at"] == datetime(2026, 4, 3, 12, 5, 6, tzinfo=UTC)
    assert (sent.blob["lat"], sent.blob["lng"]) == pytest.approx((-37.7793, -122.4194), abs=1e-5)
    answer = await show(phone, sent.event)
    image = opened(answer)
    assert image.size == (900, 600)
    assert answer.headers["content-type"] == ("image/png" if format_ == "PNG" else "image/jpeg")
    assert dict(image.getexif()) == {}
    assert "icc_profile" not in image.info
    assert b"SecretCameraMaker" not in answer.content
    assert b"Exif" not in answer.content
    assert b"GPS" not in answer.content
    red = image.convert("RGB").getpixel((100, 300))
    assert isinstance(red, tuple)
    assert red[0] > 150 > 100 > red[1]
    small = opened(await show(phone, sent.event, "?size=thumb"))
    assert (small.format, max(small.size)) == ("JPEG", 480)
    assert dict(small.getexif()) == {}


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_a_photo_taken_sideways_is_shown_upright(
    world: World, settings: Settings, phone: Uploader, visit: UUID, orientation: int
) -> None:
    """The camera notes how it was held; stripped of that note the picture must have been turned."""
    flip = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = Image.new("RGB", (120, 80), "white")
    upright.paste((200, 0, 0), (0, 0, 40, 40))
    stored = upright if orientation == 1 else upright.transpose(flip[orientation])
    out = io.BytesIO()
    stored.save(out, "JPEG", quality=95, exif=camera_exif(orientation=orientation).tobytes())
    sent = await send_photo(world, settings, phone, visit, out.getvalue())
    image = opened(await show(phone, sent.event)).convert("RGB")
    assert image.size == (120, 80) == (sent.blob["width"], sent.blob["height"])
    corners = [image.getpixel(at) for at in ((15, 15), (105, 15), (15, 65), (105, 65))]
    assert [isinstance(c, tuple) and c[1] < 100 for c in corners] == [True, False, False, False]


@pytest.mark.parametrize(
    ("tag", "kind"), ((0x0128, 4), (0x0100, 7), (0x010F, 11), (0x011A, 2), (0xA005, 1), (0x8769, 2))
)
async def test_a_tag_of_a_wrong_kind_does_not_cost_the_picture(
    world: World, settings: Settings, phone: Uploader, visit: UUID, tag: int, kind: int
) -> None:
    """Cameras write odd EXIF. A sideways photo with one odd tag was lost for that, after a quarter of an hour in which
    other phones' photos waited behind it."""
    entries = sorted([(0x0112, 3, struct.pack(">HH", 6, 0)), (tag, kind, b"abcd")])
    packed = b"".join(struct.pack(">HHL", name, type_, 1) + value for name, type_, value in entries)
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + packed + bytes(4)
    sent = await send_photo(
        world, settings, phone, visit, picture(size=(64, 48), seed=tag * 16 + kind, exif=exif)
    )
    assert sent.attachment["state"] == "ready"
    assert opened(await show(phone, sent.event)).size == (48, 64)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that unpacks to width × height bytes of nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    row = bytes(width + 1)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


JPEG = picture(seed=99)
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def with_comment(words: bytes) -> bytes:
    return JPEG[:2] + b"\xff\xfe" + struct.pack(">H", len(words) + 2) + words + JPEG[2:]


@pytest.mark.parametrize(
    ("data", "code"),
    (
        (SVG, "PICTURE_TYPE_REFUSED"),
        (b"\xef\xbb\xbf" + SVG, "PICTURE_TYPE_REFUSED"),
        (b"GIF89a" + bytes(100), "PICTURE_TYPE_REFUSED"),
        (b"GIF89a/*" + JPEG, "PICTURE_TYPE_REFUSED"),
        (b"%PDF-1.7\n" + JPEG, "PICTURE_TYPE_REFUSED"),
        (b"<html><script>alert(1)</script>" + JPEG, "PICTURE_TYPE_REFUSED"),
        (b"PK\x03\x04" + bytes(200), "PICTURE_TYPE_REFUSED"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(100), "PICTURE_TYPE_REFUSED"),
        (with_comment(b"<HTML><body onload=alert(1)>"), "PICTURE_POLYGLOT"),
        (with_comment(b"%PDF-1.4 1 0 obj"), "PICTURE_POLYGLOT"),
        (with_comment(b"<sVg onload=alert(1)>"), "PICTURE_POLYGLOT"),
        (bomb(20_001, 1), "PICTURE_TOO_LARGE"),
        (bomb(8_001, 8_001), "PICTURE_TOO_LARGE"),
        (JPEG[: len(JPEG) // 2], "PICTURE_UNREADABLE"),
        (JPEG[:10], "PICTURE_UNREADABLE"),
        (picture("PNG", seed=98)[:400], "PICTURE_UNREADABLE"),
        (picture("WEBP", seed=98)[:200], "PICTURE_UNREADABLE"),
        (picture("HEIF", seed=98)[:700], "PICTURE_UNREADABLE"),
        (b"\xff\xd8\xff" + b"\xff" * 3000, "PICTURE_UNREADABLE"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(4000), "PICTURE_UNREADABLE"),
    ),
)
async def test_what_is_no_picture_is_kept_and_never_shown(
    app: Any, world: World, settings: Settings, phone: Uploader, visit: UUID, data: bytes, code: str
) -> None:
    """A phone's work is never thrown away, and a page or a bomb that calls itself a photo reaches no screen."""
    sent = await send_photo(world, settings, phone, visit, data)
    assert (sent.attachment["state"], sent.attachment["code"]) == ("rejected", code)
    assert (sent.blob["state"], sent.blob["code"]) == ("rejected", code)
    answer = await show(phone, sent.event)
    assert (answer.status_code, answer.json()["code"]) == (404, "ATTACHMENT_REJECTED")
    for locale in ("en", "zh"):
        said = (await show(phone, sent.event, **{"Accept-Language": locale})).json()["detail"]
        assert said.endswith(PICTURE_CODES[code][locale == "zh"])
    key = f"{world.org}/raw/{hashlib.sha256(data).hexdigest()}"
    assert b"".join([chunk async for chunk in app[0].state.storage.read(key)]) == data


async def test_what_hangs_on_behind_a_picture_is_not_shown(
    world: World, settings: Settings, phone: Uploader, visit: UUID
) -> None:
    """Cameras append films and notes, attackers pages and archives: the picture is shown, what follows it is not."""
    data = JPEG + b"<script>alert(1)</script>PK\x03\x04"
    sent = await send_photo(world, settings, phone, visit, data)
    answer = await show(phone, sent.event)
    assert opened(answer).size == (64, 48)
    assert b"script" not in answer.content


@pytest.mark.parametrize(
    ("made", "expected"),
    (
        ({"format_": "PNG", "mode": "RGBA"}, ("PNG", "RGB")),  # opaque all over
        ({"format_": "PNG", "mode": "L"}, ("PNG", "L")),
        ({"format_": "PNG", "mode": "P"}, ("PNG", "RGB")),
        ({"format_": "PNG", "mode": "1"}, ("PNG", "L")),
        ({"format_": "PNG", "mode": "I;16"}, ("PNG", "L")),
        ({"format_": "JPEG", "mode": "CMYK"}, ("JPEG", "RGB")),
        ({"format_": "JPEG", "mode": "L"}, ("JPEG", "L")),
        ({"format_": "WEBP", "lossless": True}, ("JPEG", "RGB")),
    ),
)
async def test_every_kind_of_pixel(
    world: World, settings: Settings, phone: Uploader, visit: UUID, made: dict[str, Any], expected: Any
) -> None:
    """Scanners and signature pads make kinds of picture that no camera makes; they are shown all the same."""
    mode = made.get("mode")
    if mode == "I;16":
        out = io.BytesIO()
        Image.frombytes("I;16", (8, 8), struct.pack("<64H", *range(0, 64_000, 1000))).save(out, "PNG")
        data = out.getvalue()
    else:
        data = picture(seed=70, **made)
    sent = await send_photo(world, settings, phone, visit, data)
    assert sent.attachment["state"] == "ready"
    image = opened(await show(phone, sent.event))
    assert (image.format, image.mode) == expected


async def test_colours_of_another_space(
    world: World, settings: Settings, phone: Uploader, visit: UUID
) -> None:
    """A photo with a broken colour profile is shown without it, one with a good one in the colours that were meant."""
    good = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for n, profile in enumerate((good, b"no profile at all", good[:200])):
        data = picture(seed=71 + n, icc_profile=profile)
        sent = await send_photo(world, settings, phone, visit, data)
        assert "icc_profile" not in opened(await show(phone, sent.event)).info


async def test_a_picture_is_worked_on_once(
    app: Any, world: World, settings: Settings, phone: Uploader, visit: UUID
) -> None:
    """The message may be handled twice and by two workers at once: one outcome, and the first one stands."""
    data = picture(seed=83)
    event = new_id()
    await expect(world.phones[0], visit, event, data)
    await phone.upload(data)
    sha256, storage = hashlib.sha256(data).digest(), app[0].state.storage
    await asyncio.gather(*(pictures.process(world.db, storage, world.org, sha256) for _ in range(3)))
    before = await world.fetch("select * from blob where sha256 = $1", sha256)
    assert before[0]["state"] == "ready"
    await drain(world.db, make_handlers(settings))
    assert await world.fetch("select * from blob where sha256 = $1", sha256) == before


async def test_a_picture_that_breaks_its_process(
    app: Any, world: World, settings: Settings, phone: Uploader, visit: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture that hangs the decoder is tried some times and then given up; the worker goes on with the next."""
    monkeypatch.setattr(pictures, "SECONDS_MAX", 0.01)
    data, event = picture(seed=84), new_id()
    await expect(world.phones[0], visit, event, data)
    await phone.upload(data)
    handle = pictures.picture_handler(app[0].state.storage)
    async with world.db.work(world.org) as work:
        row = await work.fetchrow(
            "select *, payload::text as body from outbox where dedupe_key = $1",
            f"picture:{hashlib.sha256(data).hexdigest()}",
        )
    item = outbox.Claimed(
        org_id=world.org,
        id=row["id"],
        channel=row["channel"],
        stream=row["stream"],
        dedupe_key=row["dedupe_key"],
        payload={"sha256": hashlib.sha256(data).hexdigest()},
        attempt=1,
        lease_token=new_id(),
        started_at=datetime.now(UTC),
    )
    with pytest.raises(outbox.Retry):
        await handle(world.db, item)

    await handle(world.db, msgspec.structs.replace(item, attempt=pictures.TRIES))
    assert await world.value("select state from attachment where id = $1", event) == "rejected"


async def test_a_camera_without_zone(world: World, settings: Settings, phone: Uploader, visit: UUID) -> None:
    """Older cameras write the time of their place and no zone: it is read in the organisation's."""
    async with world.db.work(world.org) as work:
        await work.execute("update organisation set time_zone = 'Asia/Shanghai' where id = callout_org()")
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x9003: "2026:04:03 14:05:06"})
    sent = await send_photo(world, settings, phone, visit, picture(seed=85, exif=exif))
    assert sent.blob["taken_at"] == datetime(2026, 4, 3, 6, 5, 6, tzinfo=UTC)
    assert sent.blob["lat"] is None


@pytest.mark.parametrize(
    "gps",
    (
        {1: "N", 2: (91.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
        {1: "N", 2: (1.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
        {2: (1.0, 0.0, 0.0)},
    ),
)
async def test_a_place_that_is_none(
    world: World, settings: Settings, phone: Uploader, visit: UUID, gps: dict[int, Any]
) -> None:
    """A camera that writes nonsense costs its place, not its picture."""
    exif = Image.Exif()
    exif.get_ifd(0x8825).update(gps)
    sent = await send_photo(world, settings, phone, visit, picture(seed=86 + len(str(gps)), exif=exif))
    assert (sent.blob["state"], sent.blob["lat"]) == ("ready", None)
