"""A phone's side of tus for tests, over the application's own ASGI handler, and pictures to send."""

import asyncio
import base64
import hashlib
import io
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pillow_heif
from graph import token_of
from litestar import Litestar
from PIL import Image
from worlds import Phone, World

from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.settings import Settings
from callout_store.ids import new_id
from callout_sync import attachments
from callout_sync.attachments import Expected
from callout_sync.blobs import Storage

PATH = "/v1/uploads"
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = "application/offset+octet-stream"
GPS_IFD, EXIF_IFD = 0x8825, 0x8769


def picture(
    format_: str = "JPEG",
    *,
    size: tuple[int, int] = (64, 48),
    seed: int = 0,
    exif: Image.Exif | bytes | None = None,
    mode: str = "RGB",
    **more: Any,
) -> bytes:
    """A picture whose left half is red and whose right half is noise of this seed."""
    noise = random.Random(f"picture:{seed}").randbytes(size[0] * size[1] * 3)
    image = Image.frombytes("RGB", size, noise)
    image.paste((200, 20, 20), (0, 0, size[0] // 2, size[1]))
    if format_ == "HEIF":
        pillow_heif.register_heif_opener()
    if exif is not None:
        more["exif"] = exif if isinstance(exif, bytes) else exif.tobytes()
    out = io.BytesIO()
    image.convert(mode).save(out, format_, **more)
    return out.getvalue()


def camera_exif(*, orientation: int = 1, place: bool = True) -> Image.Exif:
    """What a phone's camera writes: 37°46'45.48"S 122°25'9.84"W, 3 April 2026 at 14:05:06 two hours east of Greenwich."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "SecretCameraMaker"
    exif.get_ifd(EXIF_IFD).update({0x9003: "2026:04:03 14:05:06", 0x9011: "+02:00"})
    if place:
        exif.get_ifd(GPS_IFD).update({1: "S", 2: (37.0, 46.0, 45.48), 3: "W", 4: (122.0, 25.0, 9.84)})
    return exif


def metadata(data: bytes | None = None, **more: str) -> str:
    """Upload-Metadata for a file, its sha256 first."""
    pairs = {"sha256": hashlib.sha256(data).hexdigest()} if data is not None else {}
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in {**pairs, **more}.items()
    )


class Uploader:
    """One device's requests; `code` of a refusal is checked to be there."""

    def __init__(self, app: Litestar, client: httpx.AsyncClient, token: str | None) -> None:
        self.app, self.client, self.token = app, client, token

    def headers(self, **more: str | None) -> dict[str, str]:
        out = {**TUS, **({"Authorization": f"Bearer {self.token}"} if self.token else {})}
        for name, value in more.items():
            name = name.replace("_", "-")
            out.pop({"tus-resumable": "Tus-Resumable"}.get(name.lower(), name), None)
            if value is not None:
                out[name] = value
        return out

    async def send(
        self, method: str, path: str, content: Any = None, **headers: str | None
    ) -> httpx.Response:
        return await self.client.request(method, path, content=content, headers=self.headers(**headers))

    async def create(
        self, data: bytes, content: bytes | None = None, **headers: str | None
    ) -> httpx.Response:
        sent = {"upload_length": str(len(data)), "upload_metadata": metadata(data), **headers}
        if content is not None:
            sent.setdefault("content_type", BYTES)
        return await self.send("POST", PATH, content, **sent)

    async def patch(self, url: str, offset: int, content: Any, **headers: str | None) -> httpx.Response:
        return await self.send(
            "PATCH", url, content, **{"upload_offset": str(offset), "content_type": BYTES, **headers}
        )

    async def head(self, url: str) -> httpx.Response:
        return await self.send("HEAD", url)

    async def offset(self, url: str) -> int:
        answer = await self.head(url)
        assert answer.status_code == 200, answer.headers
        return int(answer.headers["upload-offset"])

    async def upload(self, data: bytes) -> str:
        """All in one; the upload's address."""
        created = await self.create(data)
        assert created.status_code == 201, created.text
        url = created.headers["location"]
        if created.headers.get("upload-offset") != str(len(data)):
            done = await self.patch(url, 0, data)
            assert done.status_code == 204, done.text
        return str(url)

    async def refused(self, response: httpx.Response) -> tuple[int, str]:
        """Status and code of a refusal; every one carries the tus version."""
        assert response.headers["tus-resumable"] == "1.0.0"
        return response.status_code, response.json()["code"]

    async def scripted(
        self, method: str, path: str, events: Sequence[Any], headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """A request whose body arrives as told: bytes, an awaitable to wait for, or None for a line that is cut."""
        pending = list(events)
        answer: dict[str, Any] = {"status": 0, "body": b""}

        async def receive() -> dict[str, Any]:
            while pending:
                event = pending.pop(0)
                if event is None:
                    break
                if isinstance(event, bytes):
                    return {"type": "http.request", "body": event, "more_body": bool(pending)}
                await event
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer["status"] = message["status"]
            else:
                answer["body"] += message.get("body", b"")

        sent = {**self.headers(), **(headers or {})}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(k.lower().encode(), v.encode()) for k, v in sent.items()],
            "client": ("127.0.0.1", 1),
            "server": ("t", 80),
        }
        await self.app(scope, receive, send)  # type: ignore[arg-type]
        return answer["status"], answer["body"]

    async def cut(self, url: str, offset: int, *chunks: bytes, **headers: str) -> int:
        """A PATCH whose line breaks after these chunks."""
        sent = {"Upload-Offset": str(offset), "Content-Type": BYTES, **headers}
        status, _ = await self.scripted("PATCH", url, [*chunks, None], sent)
        return status


async def phone_uploader(app: Any, world: World, n: int = 0) -> Uploader:
    """The n-th phone of a world, on an `application()`."""
    litestar, client = app
    actor = world.phones[n].actor
    assert actor.user_id is not None
    token = await token_of(world.db, litestar.state.issuer, world.org, actor.user_id, actor.device_id)
    return Uploader(litestar, client, token)


async def expect(phone: Phone, visit_id: UUID, event_id: UUID, data: bytes, **more: Any) -> None:
    """What a pushed event does: say that there is a picture with this hash."""
    one = Expected(
        event_id=event_id,
        visit_id=visit_id,
        kind="photo",
        sha256=hashlib.sha256(data).digest(),
        media_type="image/jpeg",
        size_bytes=len(data),
        **more,
    )
    await phone.world.db.run(phone.world.org, lambda work: attachments.expect(work, [one]), actor=phone.actor)


async def until(condition: Any, *, seconds: float = 10.0) -> None:
    """Wait for something another task will do."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def blob(world: World, data: bytes) -> Any:
    """The blob rows of these bytes."""
    return await world.fetch("select * from blob where sha256 = $1", hashlib.sha256(data).digest())


async def raw(app: Any, world: World, data: bytes) -> bytes:
    """The file of these bytes as it lies in the store."""
    storage: Storage = app[0].state.storage
    key = f"{world.org}/raw/{hashlib.sha256(data).hexdigest()}"
    return b"".join([chunk async for chunk in storage.read(key)])


def files(app: Any, world: World, part: str) -> list[Path]:
    """What lies in the store's folder under `part`."""
    folder = app[0].state.storage.folder / str(world.org) / part
    return [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []


async def grown(world: World, url: str) -> bool:
    """Whether bytes of an upload are on record."""
    id_ = url.rsplit("/", 1)[-1]
    return bool(await world.value("select offset_bytes > 0 from upload where id = $1::text::uuid", id_))


async def part(phone: Uploader, data: bytes) -> str:
    """A part of a file, sent whole; its address."""
    created = await phone.create(data, data, upload_concat="partial", upload_metadata=None)
    assert (created.status_code, created.headers["upload-offset"]) == (201, str(len(data)))
    return str(created.headers["location"])


async def join(phone: Uploader, data: bytes, *urls: str, **headers: str | None) -> Any:
    """The joining of parts."""
    concat = "final;" + " ".join(urls)
    return await phone.create(data, upload_length=None, upload_concat=concat, **headers)


class Sent:
    """A photo that was uploaded, named by an event, and worked on."""

    def __init__(self, event: UUID, attachment: Any, blob: Any) -> None:
        self.event, self.attachment, self.blob = event, attachment, blob


async def send_photo(world: World, settings: Settings, phone: Uploader, visit: UUID, data: bytes) -> Sent:
    event = new_id()
    await expect(world.phones[0], visit, event, data)
    await phone.upload(data)
    await drain(world.db, make_handlers(settings))
    (attachment,) = await world.fetch("select * from attachment where id = $1", event)
    (blob,) = await world.fetch("select * from blob where sha256 = $1", hashlib.sha256(data).digest())
    return Sent(event, attachment, blob)


async def show(phone: Uploader, event: UUID, query: str = "", **headers: str) -> httpx.Response:
    return await phone.client.get(
        f"/v1/attachments/{event}{query}", headers={"Authorization": f"Bearer {phone.token}", **headers}
    )


def opened(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))
