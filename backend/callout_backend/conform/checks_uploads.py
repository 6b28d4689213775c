"""Photos by tus 1.0: created, continued, refused; and the document of a photo whose bytes come before or after it."""

import asyncio
import base64
import hashlib
import io
import secrets
import time
from typing import Any

import httpx
from PIL import Image

from callout_backend.conform.ask import Device
from callout_backend.conform.bench import Bench, Failed
from callout_backend.conform.check import Checks, expect, row_of
from callout_backend.conform.play import PATIENCE_S
from callout_contracts.limits import UPLOAD_BYTES_MAX

UPLOADS = Checks()
PATH = "/v1/uploads"
BYTES_TYPE = "application/offset+octet-stream"


def picture() -> bytes:
    """A small JPEG that no server has seen before."""
    out = io.BytesIO()
    Image.frombytes("RGB", (32, 24), secrets.token_bytes(32 * 24 * 3)).save(out, "JPEG", quality=70)
    return out.getvalue()


def metadata(data: bytes, **more: str) -> str:
    """Upload-Metadata of a photo."""
    told = {"sha256": hashlib.sha256(data).hexdigest(), "filetype": "image/jpeg", "kind": "photo", **more}
    return ",".join(f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in told.items())


async def tus(
    device: Device, method: str, path: str, body: bytes | None = None, **headers: str
) -> httpx.Response:
    """A request with the protocol's version."""
    return await device.http(method, path, body=body, **{"Tus_Resumable": "1.0.0", **headers})


async def create(device: Device, data: bytes) -> str:
    """An upload for this picture; its path."""
    answer = await tus(device, "POST", PATH, Upload_Length=str(len(data)), Upload_Metadata=metadata(data))
    expect("status of POST", 201, answer.status_code)
    return httpx.URL(answer.headers["location"]).raw_path.decode()


async def send(device: Device, path: str, offset: int, body: bytes, **headers: str) -> httpx.Response:
    """A piece."""
    return await tus(
        device, "PATCH", path, body, Content_Type=BYTES_TYPE, Upload_Offset=str(offset), **headers
    )


async def upload(device: Device, data: bytes) -> None:
    """A picture, whole."""
    path = await create(device, data)
    expect("status of PATCH", 204, (await send(device, path, 0, data)).status_code)


async def offset_of(device: Device, path: str) -> int:
    """What HEAD says."""
    answer = await tus(device, "HEAD", path)
    expect("status of HEAD", 200, answer.status_code)
    return int(answer.headers["upload-offset"])


def refused(answer: httpx.Response, status: int, code: str) -> None:
    """This very refusal."""
    try:
        told: Any = answer.json()
    except ValueError:
        told = {}
    expect("status and code", (status, code), (answer.status_code, told.get("code")))


async def photo_state(device: Device, command_id: str, wanted: tuple[str, ...]) -> None:
    """The attachment's document, as soon as it has one of these states."""
    until = time.monotonic() + PATIENCE_S
    while True:
        doc = row_of(await device.pull_all(), "attachment", command_id)
        if doc is not None and doc["state"] in wanted:
            return
        if time.monotonic() > until:
            raise Failed(f"an attachment that is {' or '.join(wanted)}", doc)
        await asyncio.sleep(0.1)


def photo_command(device: Device, visit: str, data: bytes) -> dict[str, Any]:
    """The command that names a picture."""
    payload = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "mediaType": "image/jpeg",
        "sizeBytes": len(data),
    }
    return device.command(visit, {"kind": "visit.photo", "payload": payload})


@UPLOADS.add("uploads.options", "OPTIONS names the version, the extensions and the largest upload.")
async def _options(bench: Bench) -> None:
    answer = await bench.anyone.http("OPTIONS", PATH)
    if answer.status_code not in (200, 204):
        raise Failed("status 204", answer.status_code)
    spoken = [part.strip() for part in answer.headers.get("tus-version", "").split(",")]
    if "1.0.0" not in spoken:
        raise Failed("Tus-Version 1.0.0", spoken)
    known = {part.strip() for part in answer.headers.get("tus-extension", "").split(",")}
    if not {"creation", "checksum", "termination", "expiration"} <= known:
        raise Failed("creation, checksum, termination and expiration", sorted(known))


@UPLOADS.add("uploads.pieces", "A picture is taken in pieces; after a cut HEAD says where to go on.")
async def _pieces(bench: Bench) -> None:
    device, data = await bench.device(), picture()
    path = await create(device, data)
    first = await send(device, path, 0, data[:100])
    expect("offset", (204, "100"), (first.status_code, first.headers.get("upload-offset")))
    expect("offset", 100, await offset_of(device, path))
    last = await send(device, path, 100, data[100:])
    expect("offset", (204, str(len(data))), (last.status_code, last.headers.get("upload-offset")))
    expect("offset", len(data), await offset_of(device, path))


@UPLOADS.add("uploads.bytes-before-event", "Bytes that come before the command that names them are not lost.")
async def _bytes_first(bench: Bench) -> None:
    place, device, data = await bench.place(), await bench.device(), picture()
    await upload(device, data)
    command = photo_command(device, place.visit, data)
    expect("status", "applied", (await device.push([command]))[0]["status"])
    await photo_state(device, command["id"], ("received", "ready"))


@UPLOADS.add("uploads.event-before-bytes", "A photo whose bytes have not come is awaited, and then received.")
async def _event_first(bench: Bench) -> None:
    place, device, data = await bench.place(), await bench.device(), picture()
    command = photo_command(device, place.visit, data)
    expect("status", "applied", (await device.push([command]))[0]["status"])
    await photo_state(device, command["id"], ("awaited",))
    await upload(device, data)
    await photo_state(device, command["id"], ("received", "ready"))


@UPLOADS.add("uploads.with-creation", "The first bytes may come with the POST.")
async def _with_creation(bench: Bench) -> None:
    device, data = await bench.device(), picture()
    answer = await tus(
        device,
        "POST",
        PATH,
        data,
        Content_Type=BYTES_TYPE,
        Upload_Length=str(len(data)),
        Upload_Metadata=metadata(data),
    )
    expect("offset", (201, str(len(data))), (answer.status_code, answer.headers.get("upload-offset")))


@UPLOADS.add("uploads.offset-wrong", "Bytes from another offset are refused, and change nothing.")
async def _offset_wrong(bench: Bench) -> None:
    device, data = await bench.device(), picture()
    path = await create(device, data)
    refused(await send(device, path, 7, data[7:50]), 409, "UPLOAD_OFFSET_WRONG")
    expect("offset", 0, await offset_of(device, path))


@UPLOADS.add("uploads.offset-missing", "A PATCH without an offset is refused by its own code.")
async def _offset_missing(bench: Bench) -> None:
    device, data = await bench.device(), picture()
    path = await create(device, data)
    answer = await tus(device, "PATCH", path, data, Content_Type=BYTES_TYPE)
    refused(answer, 400, "UPLOAD_OFFSET_INVALID")


@UPLOADS.add("uploads.checksum-wrong", "Bytes that do not fit their checksum are refused, and none is kept.")
async def _checksum(bench: Bench) -> None:
    device, data = await bench.device(), picture()
    path = await create(device, data)
    wrong = base64.b64encode(hashlib.sha1(b"something else", usedforsecurity=False).digest()).decode()
    answer = await send(device, path, 0, data, Upload_Checksum=f"sha1 {wrong}")
    refused(answer, 460, "UPLOAD_CHECKSUM_WRONG")
    expect("offset", 0, await offset_of(device, path))
    right = base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()
    answer = await send(device, path, 0, data, Upload_Checksum=f"sha1 {right}")
    expect("status of PATCH", 204, answer.status_code)


@UPLOADS.add("uploads.hash-wrong", "A finished upload that is not the file it was announced as is refused.")
async def _hash_wrong(bench: Bench) -> None:
    device, data = await bench.device(), picture()
    path = await create(device, data)
    other = bytes([*data[:-1], data[-1] ^ 1])
    refused(await send(device, path, 0, other), 422, "UPLOAD_HASH_WRONG")


@UPLOADS.add("uploads.too-much", "More bytes than were announced are refused.")
async def _too_much(bench: Bench) -> None:
    device, data = await bench.device(), picture()
    path = await create(device, data)
    refused(await send(device, path, 0, data + b"more"), 413, "UPLOAD_LENGTH_EXCEEDED")


@UPLOADS.add("uploads.too-large", f"An upload of more than {UPLOAD_BYTES_MAX} bytes is refused at once.")
async def _too_large(bench: Bench) -> None:
    device = await bench.device()
    answer = await tus(
        device, "POST", PATH, Upload_Length=str(UPLOAD_BYTES_MAX + 1), Upload_Metadata=metadata(b"x")
    )
    refused(answer, 413, "UPLOAD_TOO_LARGE")


@UPLOADS.add("uploads.length-missing", "An upload of no length is refused by its own code.")
async def _no_length(bench: Bench) -> None:
    answer = await tus(await bench.device(), "POST", PATH, Upload_Metadata=metadata(b"x"))
    refused(answer, 400, "UPLOAD_LENGTH_INVALID")


@UPLOADS.add("uploads.metadata-missing", "An upload that does not say its hash is refused by its own code.")
async def _no_metadata(bench: Bench) -> None:
    answer = await tus(await bench.device(), "POST", PATH, Upload_Length="10")
    refused(answer, 400, "UPLOAD_METADATA_INVALID")


@UPLOADS.add("uploads.type-wrong", "Bytes of another content type are refused.")
async def _type(bench: Bench) -> None:
    device, data = await bench.device(), picture()
    path = await create(device, data)
    answer = await tus(device, "PATCH", path, data, Content_Type="image/jpeg", Upload_Offset="0")
    refused(answer, 415, "UPLOAD_CONTENT_TYPE_WRONG")


@UPLOADS.add(
    "uploads.version-unknown", "Another version of tus is refused with 412, and the spoken one is named."
)
async def _version(bench: Bench) -> None:
    device = await bench.device()
    answer = await device.http("POST", PATH, Tus_Resumable="0.2.2", Upload_Length="10")
    refused(answer, 412, "TUS_VERSION_UNKNOWN")
    if "1.0.0" not in answer.headers.get("tus-version", ""):
        raise Failed("the header Tus-Version", dict(answer.headers))


@UPLOADS.add("uploads.unknown", "An upload that never was is 404.")
async def _unknown(bench: Bench) -> None:
    path = f"{PATH}/00000000-0000-7000-8000-000000000001"
    refused(await send(await bench.device(), path, 0, b"x"), 404, "UPLOAD_UNKNOWN")


@UPLOADS.add("uploads.of-another-device", "Another device's upload is as good as unknown.")
async def _strangers(bench: Bench) -> None:
    mine, other, data = await bench.fresh_device(), await bench.fresh_device(), picture()
    path = await create(mine, data)
    refused(await send(other, path, 0, data), 404, "UPLOAD_UNKNOWN")
    expect("offset", 0, await offset_of(mine, path))


@UPLOADS.add("uploads.terminated", "DELETE ends an upload; nobody goes on with it.")
async def _terminated(bench: Bench) -> None:
    device, data = await bench.device(), picture()
    path = await create(device, data)
    expect("status of DELETE", 204, (await tus(device, "DELETE", path)).status_code)
    status = (await tus(device, "HEAD", path)).status_code
    if status not in (404, 410):
        raise Failed("status 404 or 410", status)
