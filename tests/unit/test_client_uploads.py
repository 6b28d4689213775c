"""The reference phone's photos, its upgrade from an older app's file, and what it asks of HTTP."""

import base64
import hashlib
import random
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import pytest

from callout_client import DeviceClock, Faults, FaultyTransport, HttpTransport, NetworkLost, Phone, Store
from callout_client.transport import Answered

VISIT = "01900000-0000-7000-8000-000000000001"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class TusServer:
    """Takes uploads as the real one: appends at the right offset only, and counts every byte that arrives."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.lengths: dict[str, int] = {}
        self.hashes: dict[str, str] = {}
        self.bytes_in = 0
        self.tokens = {"a"}
        self.refreshed = 0

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        status, said, told = self._answer(method, path, body, headers)
        return status, {"tus-resumable": "1.0.0", **said}, told

    def _answer(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        if path == "/auth/refresh":
            self.refreshed += 1
            self.tokens = {"b"}
            return 200, {}, msgspec.json.encode({"accessToken": "b", "refreshToken": "r2"})
        if headers["Authorization"].removeprefix("Bearer ") not in self.tokens:
            return 401, {}, b"" if method == "HEAD" else b'{"code":"NOT_AUTHENTICATED"}'
        assert headers["Tus-Resumable"] == "1.0.0"
        if method == "POST":
            url = f"/v1/uploads/{len(self.files)}"
            pairs = (pair.split(" ") for pair in headers["Upload-Metadata"].split(","))
            told = {key: base64.b64decode(text).decode() for key, text in pairs}
            self.files[url], self.lengths[url] = bytearray(), int(headers["Upload-Length"])
            self.hashes[url] = told["sha256"]
            return 201, {"location": f"http://elsewhere{url}"}, b""
        file = self.files[path]
        if method == "PATCH":
            if int(headers["Upload-Offset"]) != len(file):
                return 409, {}, b'{"code":"UPLOAD_OFFSET_WRONG"}'
            file += body
            self.bytes_in += len(body)
            if len(file) == self.lengths[path] and hashlib.sha256(file).hexdigest() != self.hashes[path]:
                del self.files[path]
                return 422, {}, b'{"code":"UPLOAD_HASH_WRONG"}'
        return 204, {"upload-offset": str(len(file))}, b""

    def whole(self) -> set[str]:
        return {self.hashes[url] for url, file in self.files.items() if len(file) == self.lengths[url]}


def phone_on(
    transport: object, path: Path | str = ":memory:", *, seed: str = "1", **options: object
) -> Phone:
    async def sleep(seconds: float) -> None:
        pass

    given = {"rng": random.Random(seed), "sleep": sleep, "piece_bytes": 1000, **options}
    phone = Phone(transport, Store(path), DeviceClock(truth=lambda: NOW), **given)  # type: ignore[arg-type]
    phone.store.set_marks(access=phone.store.mark("access") or "a", refresh="r")
    return phone


async def test_photos_arrive_whole_through_a_bad_network_and_restarts(tmp_path: Path, seed: int) -> None:
    """An engineer's proof of the damage would be lost, or the phone would send the same megabytes for ever."""
    server, rng = TusServer(), random.Random(f"{seed}:photos")
    faults = Faults(lost_before=0.15, lost_answer=0.15, repeated=0.1, held=0.1, cut=0.25)
    photos = [rng.randbytes(rng.randrange(1, 9000)) for _ in range(6)]
    phone = phone_on(FaultyTransport(server, faults, rng=rng), tmp_path / "p.db")
    for photo in photos:
        phone.take_photo(VISIT, photo)
    restarts = 0
    while phone.store.pictures.pending():
        phone.store.close()
        restarts += 1
        network = FaultyTransport(server, faults, rng=rng)
        phone = phone_on(network, tmp_path / "p.db", seed=str(restarts), attempts_max=3)
        try:
            await phone.upload()
        except NetworkLost:
            continue
    assert server.whole() == {hashlib.sha256(photo).hexdigest() for photo in photos}
    # A lost answer to a POST leaves an empty upload behind; no byte of a picture is ever taken twice.
    assert server.bytes_in == sum(len(photo) for photo in photos)
    assert phone.store.pictures.refused() == []


async def test_a_photo_may_stay_in_the_cameras_file(tmp_path: Path) -> None:
    """Copying every photo into the database would need the phone's storage twice."""
    server = TusServer()
    file = tmp_path / "IMG_1.jpg"
    file.write_bytes(b"x" * 2500)
    phone = phone_on(server)
    phone.take_photo(VISIT, file)
    assert await phone.upload() == 1
    assert server.whole() == {hashlib.sha256(b"x" * 2500).hexdigest()}
    assert phone.store.room()[0] < 200_000


async def test_a_file_that_changed_meanwhile_is_put_aside(tmp_path: Path) -> None:
    """It can never fit its hash: sent for ever it would block the data plan and every later photo."""
    server = TusServer()
    file = tmp_path / "IMG_1.jpg"
    file.write_bytes(b"x" * 500)
    phone = phone_on(server)
    phone.take_photo(VISIT, file)
    phone.take_photo(VISIT, b"good")
    file.write_bytes(b"y" * 500)
    assert await phone.upload() == 1
    assert [code for _, code in phone.store.pictures.refused()] == ["UPLOAD_NEVER_WHOLE"]


async def test_a_gateways_404_costs_no_byte() -> None:
    """In a hotel whose portal answers everything with "not found" the photo would begin anew, and at last be given up."""
    server = TusServer()
    portal = [False]

    class Portal:
        async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answered:
            if portal[0]:
                return 404, {"content-type": "text/html"}, b"<h1>Sign in to the hotel</h1>"
            answer = await server.request(method, path, body, headers)
            portal[0] = server.bytes_in == 1000
            return answer

    phone = phone_on(Portal(), attempts_max=2)
    phone.take_photo(VISIT, b"q" * 3000)
    with pytest.raises(NetworkLost):
        await phone.upload()
    portal[0] = False
    phone.wire.transport = server
    assert await phone.upload() == 1
    assert server.bytes_in == 3000


async def test_a_token_that_runs_out_mid_upload_is_refreshed() -> None:
    """HEAD brings no body: a client that looks for a code there alone would give the photo up."""
    server = TusServer()
    phone = phone_on(server)
    phone.take_photo(VISIT, b"z" * 1500)
    (picture,) = phone.store.pictures.pending()
    await server.request(
        "POST",
        "/v1/uploads",
        b"",
        {
            "Authorization": "Bearer a",
            "Tus-Resumable": "1.0.0",
            "Upload-Length": "1500",
            "Upload-Metadata": f"sha256 {base64.b64encode(picture.sha256.encode()).decode()}",
        },
    )
    phone.store.pictures.begun(picture.sha256, url="/v1/uploads/0")
    server.tokens = {"b"}
    assert await phone.upload() == 1
    assert server.refreshed == 1


def test_the_same_photo_twice_is_one_upload_and_two_commands() -> None:
    """A picture that two visits show would be sent twice from a phone on a small data plan."""
    phone = phone_on(TusServer())
    phone.take_photo(VISIT, b"same")
    phone.take_photo(VISIT, b"same")
    assert len(phone.store.pictures.pending()) == 1
    assert len(phone.store.pending()) == 2


async def test_an_upgraded_app_goes_on_with_the_old_apps_file(tmp_path: Path) -> None:
    """After the app store's update an afternoon's unsent work would be gone with an unreadable file."""
    path = tmp_path / "old.db"
    old = sqlite3.connect(path)
    old.executescript(
        """
        create table mark (name text primary key, value text not null) without rowid;
        create table document (entity text not null, id text not null, doc text not null, round integer not null,
            primary key (entity, id)) without rowid;
        create table command (sequence integer primary key, id text not null, visit_id text, kind text,
            body blob not null, state text not null default 'pending', answer text);
        insert into mark values ('sequence', '1'), ('cursor', 'c7');
        insert into document values ('visit', 'v', '{"id":"v","state":"dispatched","scheduledStart":null}', 1);
        insert into command (sequence, id, visit_id, kind, body) values (1, 'x', 'v', 'visit.accept', '{}');
        """
    )
    old.commit()
    old.close()
    phone = phone_on(TusServer(), path)
    assert phone.store.waiting() == (1, 1)
    assert phone.store.mark("cursor") == "c7"
    assert phone.store.visits()[0]["state"] == "accepted"
    phone.record("visit.note", VISIT, {"text": "x"})
    assert phone.store.waiting() == (2, 1)


async def test_a_piece_that_is_cut_arrives_in_part() -> None:
    """A simulator that cuts nothing proves nothing about resuming."""
    server = TusServer()
    network = FaultyTransport(server, Faults(cut=1.0), rng=random.Random(1))
    head = {"Authorization": "Bearer a", "Tus-Resumable": "1.0.0"}
    made = {**head, "Upload-Length": "100", "Upload-Metadata": "sha256 eA=="}
    await network.request("POST", "/v1/uploads", b"", made)
    with pytest.raises(NetworkLost):
        await network.request("PATCH", "/v1/uploads/0", b"x" * 100, {**head, "Upload-Offset": "0"})
    assert 0 < server.bytes_in < 100


async def test_packed_answers_are_asked_for_and_unpacked() -> None:
    """A first pull of megabytes over a slow network would take several times as long."""
    import zstandard

    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["accept-encoding"])
        packed = zstandard.ZstdCompressor().compress(b'{"data":{}}')
        return httpx.Response(200, content=packed, headers={"content-encoding": "zstd"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://t") as client:
        _, _, body = await HttpTransport(client).request("POST", "/graphql", b"{}", {})
    assert body == b'{"data":{}}'
    assert {"gzip", "zstd"} <= {part.strip() for part in asked[0].split(",")}


async def test_a_broken_packing_is_as_good_as_no_answer() -> None:
    """A proxy that cuts a packed answer would end the app instead of the attempt."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"no gzip", headers={"content-encoding": "gzip"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://t") as client:
        with pytest.raises(NetworkLost):
            await HttpTransport(client).request("POST", "/graphql", b"{}", {})
