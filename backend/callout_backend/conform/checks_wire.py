"""Pokes, compression, and requests that are none."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
from websockets.asyncio.client import connect

from callout_backend.conform.ask import PULL, Device
from callout_backend.conform.bench import Bench, Failed, Skipped
from callout_backend.conform.check import Checks, expect, row_of
from callout_backend.conform.play import PATIENCE_S

WIRE, OUTCOMES = Checks(), Checks()
CHANGED = "subscription { changed { at kind scopes } }"
FIND = """query($device: UUID!) { quarantined(state: "open", deviceId: $device, first: 10) { nodes { id commandId } } }"""
DISMISS = "mutation($id: UUID!, $note: String!) { quarantineDismiss(id: $id, note: $note) }"
CANCEL_VISIT = 'mutation($id: UUID!) { cancelVisit(id: $id, reason: "conformance check") { id } }'


@contextlib.asynccontextmanager
async def _events(device: Device) -> AsyncIterator[AsyncIterator[str]]:
    """The names of the events of the stream."""
    headers = {"Authorization": f"Bearer {device.token}", "Accept": "text/event-stream"}
    async with device.client.stream("GET", "/v1/changes", headers=headers) as answer:
        expect("status of the stream", 200, answer.status_code)
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            raise Failed("text/event-stream", answer.headers.get("content-type"))

        async def names() -> AsyncIterator[str]:
            async for line in answer.aiter_lines():
                if line.startswith("event:"):
                    yield line.removeprefix("event:").strip()

        yield names()


async def _within(act: Any, what: str) -> Any:
    try:
        return await asyncio.wait_for(act, PATIENCE_S)
    except (TimeoutError, StopAsyncIteration):
        raise Failed(what, f"nothing within {PATIENCE_S:.0f} s") from None


@WIRE.add(
    "pokes.events",
    "The event stream says `pull` at once, and again when something in the device's scope has changed.",
)
async def _stream(bench: Bench) -> None:
    place = await bench.place()
    mine, other = await bench.fresh_device(), await bench.fresh_device()
    async with _events(mine) as names:
        expect("the first event", "pull", await _within(anext(names), "an event at once"))
        await other.push([other.command(place.visit, {"payload": {"text": "news"}})])
        expect("the next event", "pull", await _within(anext(names), "an event after a change"))


@WIRE.add(
    "pokes.subscription",
    "The subscription `changed` pokes at once, and again when something in the device's scope has changed.",
)
async def _subscription(bench: Bench) -> None:
    place = await bench.place()
    mine, other = await bench.fresh_device(), await bench.fresh_device()
    base = bench.client.base_url
    scheme = "wss" if base.scheme == "https" else "ws"
    address = str(base.copy_with(scheme=scheme, raw_path=b"/graphql"))
    protocols: Any = ["graphql-transport-ws"]
    async with connect(address, subprotocols=protocols) as socket:

        async def send(**message: Any) -> None:
            await socket.send(msgspec.json.encode(message).decode())

        async def kind() -> str:
            while (told := msgspec.json.decode(await socket.recv()))["type"] in ("ping", "pong"):
                continue
            return str(told["type"])

        await send(type="connection_init", payload={"Authorization": f"Bearer {mine.token}"})
        expect("the answer", "connection_ack", await _within(kind(), "connection_ack"))
        await send(type="subscribe", id="1", payload={"query": CHANGED})
        expect("the first message", "next", await _within(kind(), "a poke at once"))
        await other.push([other.command(place.visit, {"payload": {"text": "news"}})])
        expect("the next message", "next", await _within(kind(), "a poke after a change"))


@WIRE.add("pokes.without-token", "Nobody listens without a token.")
async def _no_listener(bench: Bench) -> None:
    answer = await bench.client.get("/v1/changes")
    expect("status", 401, answer.status_code)


async def _packed(bench: Bench, encoding: str) -> None:
    await bench.place()
    device = await bench.device()
    body = {"query": PULL, "variables": {"cursor": None, "limit": 500, "schemaVersion": 2, "pending": 0}}
    plain = await device.http("POST", "/graphql", json=body, Accept_Encoding="identity")
    if len(plain.content) < 2000:
        raise Skipped("page_too_small")
    answer = await device.http("POST", "/graphql", json=body, Accept_Encoding=encoding)
    expect("content-encoding", encoding, answer.headers.get("content-encoding"))
    if len(answer.json()["data"]["pull"]["documents"]) < 1:
        raise Failed("documents", answer.text[:200])
    if plain.headers.get("content-encoding") not in (None, "identity"):
        raise Failed("no packing where none was asked for", plain.headers["content-encoding"])


@WIRE.add(
    "compression.gzip",
    "A page is packed with gzip where the client understands it, and not where it does not.",
)
async def _gzip(bench: Bench) -> None:
    await _packed(bench, "gzip")


@WIRE.add("compression.zstd", "A page is packed with zstd where the client understands it.")
async def _zstd(bench: Bench) -> None:
    await _packed(bench, "zstd")


async def _body(bench: Bench, body: bytes) -> httpx.Response:
    return await (await bench.device()).http("POST", "/graphql", body=body, Content_Type="application/json")


@WIRE.add("limits.no-json", "A body that is no JSON is refused as such, and is no fault of the server's.")
async def _no_json(bench: Bench) -> None:
    for body in (b"", b"nonsense", b"null", b"\xff\xfe", b"[" * 5000):
        answer = await _body(bench, body)
        if not 400 <= answer.status_code < 500:
            raise Failed("a status from 400 to 499", f"{answer.status_code} to {body[:20]!r}")


@WIRE.add("limits.body-too-large", "A body without end is refused with 413, a code, and the limit's name.")
async def _too_large(bench: Bench) -> None:
    filler = b'{"query":"' + b" " * 32_000_000 + b'"}'
    try:
        answer = await _body(bench, filler)
    except httpx.TransportError:
        # The server closed the connection before it had read all of it, which no client can tell from a bad network.
        return
    expect("status and code", (413, "BODY_TOO_LARGE"), (answer.status_code, _code(answer)))


@WIRE.add(
    "limits.query-too-deep", "A query that is nested without end is refused, and is no fault of the server's."
)
async def _too_deep(bench: Bench) -> None:
    query = "{ visits { nodes " + "{ order { visits " * 60 + "{ id }" + "} }" * 60 + "} }"
    answer = await _body(bench, msgspec.json.encode({"query": query}))
    told = answer.json()
    if answer.status_code >= 500 or not told.get("errors"):
        raise Failed("a refusal", f"{answer.status_code} {str(told)[:200]}")


def _code(answer: httpx.Response) -> Any:
    told = answer.json()
    errors = told.get("errors")
    return errors[0].get("extensions", {}).get("code") if errors else told.get("code")


async def _outcome(device: Device, command_id: str, status: str) -> dict[str, Any]:
    until = time.monotonic() + PATIENCE_S
    while True:
        doc = row_of(await device.pull_all(), "outcome", command_id)
        if doc is not None and doc["status"] == status:
            return doc
        if time.monotonic() > until:
            raise Failed(f"an outcome {status}", doc)
        await asyncio.sleep(0.1)


@OUTCOMES.add(
    "outcomes.quarantined", "The phone of a quarantined command finds its code and path in a document."
)
async def _quarantined(bench: Bench) -> None:
    place, device = await bench.place(), await bench.device()
    command = device.command(place.visit, {"kind": "visit.diagnose", "payload": {"finding": 7}})
    expect("status", "quarantined", (await device.push([command]))[0]["status"])
    doc = await _outcome(device, command["id"], "quarantined")
    expect("code and path", ("PAYLOAD_INVALID", "payload.finding"), (doc["code"], doc["path"]))


@OUTCOMES.add(
    "outcomes.dismissed", "When a person decides that nothing follows, the phone hears of it, with the word."
)
async def _dismissed(bench: Bench) -> None:
    desk, place, device = bench.need_desk(), await bench.place(), await bench.device()
    command = device.command(place.visit, {"kind": "visit.teleport"})
    await device.push([command])
    nodes = (await desk.ask(FIND, {"device": device.id}))["quarantined"]["nodes"]
    mine = [node["id"] for node in nodes if node["commandId"] == command["id"]]
    expect("entries in quarantine", 1, len(mine))
    await desk.ask(DISMISS, {"id": mine[0], "note": "Thank you, that is done."})
    expect("note", "Thank you, that is done.", (await _outcome(device, command["id"], "dismissed"))["note"])


@OUTCOMES.add(
    "outcomes.cancelled-meanwhile",
    "Work on a visit that was called off meanwhile is kept and marked, and its phone hears that a person decides.",
)
async def _cancelled(bench: Bench) -> None:
    bench.need_desk()
    place, device = await bench.new_place(), await bench.device()
    await bench.need_desk().ask(CANCEL_VISIT, {"id": place.visit})
    command = device.command(place.visit, {"payload": {"text": "done offline"}})
    (answer,) = await device.push([command])
    expect("status and code", ("conflict", "CANCELED"), (answer["status"], answer["code"]))
    await _outcome(device, command["id"], "conflict")
