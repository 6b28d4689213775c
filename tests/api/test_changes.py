"""`GET /v1/changes` on `callout serve` with two processes: pokes, rights while listening, limits, and a clean end."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from processes import Api, device_token
from worlds import Phone, World

from callout_backend.embedded import Urls
from callout_backend.wiring import add_hooks
from callout_people.sessions import end_sessions_of_user
from callout_store.work import Database
from callout_sync import devices, wipe

WITHIN_S = 20
USER_MAX = 3


@pytest.fixture(scope="module")
def api(database_urls: Urls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    started = serve(database_urls, tmp_path_factory.mktemp("changes"))
    yield started
    started.end()


def serve(urls: Urls, data: Path, *, workers: int = 2, **more: str) -> Api:
    given = {"CALLOUT_LISTEN_BEAT_SECONDS": "1", "CALLOUT_LISTENERS_USER_MAX": str(USER_MAX), **more}
    return Api(urls, data, workers=workers, **given)


@pytest.fixture(scope="module")
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build(phones=3)


async def token(world: World, phone: Phone | None = None) -> str:
    actor = world.dispatcher if phone is None else phone.actor
    assert actor.user_id is not None
    return await device_token(world.db, world.org, actor.user_id, actor.device_id)


class Stream:
    """One open stream."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.lines = answer.aiter_lines()
        self.comments = 0
        self.retry: int | None = None

    async def hear(self) -> dict[str, Any] | None:
        """The next event; None when the stream has ended."""
        event: dict[str, Any] = {}
        async with asyncio.timeout(WITHIN_S):
            async for line in self.lines:
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif set(event) == {"retry"}:
                    self.retry = int(event.pop("retry"))
                elif event:
                    return {**event, "data": json.loads(event["data"])}
        return None

    async def beat(self) -> None:
        """Wait for a beat; fails the test where news or the end comes instead."""
        async with asyncio.timeout(WITHIN_S):
            async for line in self.lines:
                if line.startswith(":"):
                    return
                assert not line, line
        raise AssertionError("the stream has ended")


@contextlib.asynccontextmanager
async def listen(api: Api, bearer: str, **headers: str) -> AsyncIterator[Stream]:
    sent = {"Authorization": f"Bearer {bearer}", **headers}
    async with (
        httpx.AsyncClient(timeout=WITHIN_S) as client,
        client.stream("GET", api.url + "/v1/changes", headers=sent) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        yield Stream(answer)


async def refused(api: Api, bearer: str | None) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    # A stream that opens after all would never be read to its end.
    async with asyncio.timeout(WITHIN_S), httpx.AsyncClient() as client:
        answer = await client.get(api.url + "/v1/changes", headers=headers)
    return answer.status_code, answer.json()


async def poke(world: World, scope: UUID) -> None:
    async with world.db.work(world.org) as work:
        await work.execute(
            "select pg_notify('callout_poke', $1)",
            json.dumps({"org": str(world.org), "scopes": [str(scope)]}),
        )


async def test_a_phone_hears_at_once_and_then_what_is_its_own(api: Api, world: World) -> None:
    """A phone that is not told pulls by the clock, late; one that is told of all is flat by noon."""
    phone, other, _ = world.phones
    async with listen(api, await token(world, phone)) as stream:
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        assert stream.answer.headers["cache-control"] == "no-store"
        first = await stream.hear()
        assert first is not None
        assert (first["event"], first["id"], first["data"]["scopes"]) == ("pull", "1", [])
        assert stream.retry is not None
        await world.visit(other)
        for scope in (phone.engineer_id, phone.device_id, world.org):
            await poke(world, scope)
            news = await stream.hear()
            assert news is not None
            assert (news["event"], news["data"]["scopes"]) == ("pull", [str(scope)])
        assert news["id"] == "4", "the colleague's visit was not among them"
        assert news["data"]["at"]


async def test_the_board_hears_every_change(api: Api, world: World) -> None:
    """The dispatcher's screen must move when the field does."""
    async with listen(api, await token(world)) as stream:
        first = await stream.hear()
        assert first is not None
        assert first["event"] == "board"
        await world.visit(world.phones[0])
        assert await stream.hear() is not None


async def test_what_comes_within_a_moment_comes_as_one(api: Api, world: World) -> None:
    """A day's dispatch of a thousand visits must not wake a phone a thousand times."""
    phone = world.phones[0]
    async with listen(api, await token(world, phone)) as stream:
        await stream.hear()
        async with world.db.work(world.org) as work:
            for scope in [phone.engineer_id, phone.device_id] * 50:
                text = json.dumps({"org": str(world.org), "scopes": [str(scope)]})
                await work.execute("select pg_notify('callout_poke', $1)", text)
        news = await stream.hear()
        assert news is not None
        assert set(news["data"]["scopes"]) == {str(phone.engineer_id), str(phone.device_id)}
        await stream.beat()


async def test_who_was_cut_off_is_told_when_they_are_back(api: Api, world: World) -> None:
    """What changed while the line was dead is found by the pull that the first event asks for."""
    bearer = await token(world, world.phones[0])
    async with listen(api, bearer) as stream:
        await stream.hear()
    await world.visit(world.phones[0])
    async with listen(api, bearer, **{"Last-Event-ID": "41"}) as stream:
        first = await stream.hear()
    assert first is not None
    assert (first["event"], first["id"], first["data"]["scopes"]) == ("pull", "42", [])


@pytest.mark.parametrize("last", ("-1", "x", "9" * 40, "1.5"))
async def test_an_odd_last_event_id_counts_from_one(api: Api, world: World, last: str) -> None:
    """A header that a proxy mangled must not keep a phone from listening."""
    async with listen(api, await token(world, world.phones[0]), **{"Last-Event-ID": last}) as stream:
        first = await stream.hear()
    assert first is not None
    assert first["id"] == "1"


async def test_a_revoked_phone_stops_hearing_without_any_news(api: Api, world: World) -> None:
    """A phone in a thief's hands that goes on listening learns when its company works, and where."""
    phone = world.phones[1]
    bearer = await token(world, phone)
    async with listen(api, bearer) as stream:
        await stream.hear()
        await stream.beat()
        async with world.db.work(world.org) as work:
            await devices.revoke(work, phone.device_id, "test")
        last = await stream.hear()
        assert last is not None
        assert (last["event"], last["data"]) == ("end", {"code": "NOT_AUTHENTICATED"})
        assert await stream.hear() is None
    status, body = await refused(api, bearer)
    assert (status, body["code"]) == (403, "DEVICE_REVOKED")


async def test_news_are_not_given_to_whom_it_was_ended_just_before(api: Api, world: World) -> None:
    """Rights are asked for at the delivery, not only by the beat: the news itself must not slip out."""
    async with listen(api, await token(world)) as stream:
        await stream.hear()
        assert world.dispatcher.user_id is not None
        async with world.db.work(world.org) as work:
            await end_sessions_of_user(work, world.dispatcher.user_id, reason="test")
            await work.execute(
                "select pg_notify('callout_poke', $1)", json.dumps({"org": str(world.org), "scopes": []})
            )
        last = await stream.hear()
        assert last is not None
        assert last["event"] == "end"


async def test_a_phone_that_shall_be_wiped_is_poked(api: Api, world: World) -> None:
    """A stolen phone that is only told at its next pull by the clock keeps the data for so long."""
    phone = world.phones[2]
    async with listen(api, await token(world, phone)) as stream:
        await stream.hear()
        async with world.db.work(world.org, actor=world.dispatcher) as work:
            await wipe.request_wipe(work, phone.device_id, wipe.WipeMode.AFTER_UPLOAD, "sold")
        news = await stream.hear()
        assert news is not None
        assert news["data"]["scopes"] == [str(phone.device_id)]


async def test_a_stolen_phone_hears_that_and_then_nothing(api: Api, world: World) -> None:
    """An open stream went on to tell a thief when and where the organisation works, until it broke by itself."""
    phone = world.phones[2]
    async with listen(api, await token(world, phone)) as stream:
        await stream.hear()
        async with world.db.work(world.org, actor=world.dispatcher) as work:
            await wipe.request_wipe(work, phone.device_id, wipe.WipeMode.STOLEN, "taken")
        last = await stream.hear()
        assert last is not None
        assert (last["event"], last["data"]) == ("end", {"code": "DEVICE_WIPED"})
        assert await stream.hear() is None


async def test_nobody_listens_unknown(api: Api) -> None:
    """Refusals are problem details with a code, before any stream begins."""
    status, body = await refused(api, None)
    assert (status, body["code"]) == (401, "NOT_AUTHENTICATED")


async def test_limits_end_in_refusals_that_name_them(
    database_urls: Urls, world: World, tmp_path: Path
) -> None:
    """One screen in an endless loop must not take everybody's places; a phone's dead lines must not lock it out."""
    one = serve(database_urls, tmp_path, workers=1, CALLOUT_LISTENERS_MAX="5")
    try:
        bearer, phone = await token(world), await token(world, world.phones[0])
        async with contextlib.AsyncExitStack() as stack:
            screens = [await stack.enter_async_context(listen(one, bearer)) for _ in range(USER_MAX)]
            for stream in screens:
                await stream.hear()
            status, body = await refused(one, bearer)
            assert (status, body["code"]) == (422, "LIMIT_EXCEEDED")
            assert body["details"] == {
                "what": "streams of one user",
                "limit": USER_MAX,
                "given": USER_MAX + 1,
            }
            older = [await stack.enter_async_context(listen(one, phone)) for _ in range(2)]
            for stream in older:
                await stream.hear()
            status, body = await refused(one, phone)
            assert (status, body["code"], body["retryable"]) == (503, "BUSY", True)
        # All places are free again as soon as the server saw them leave.
        async with asyncio.timeout(WITHIN_S):
            while await _try(one, bearer) != 200:
                pass
        async with contextlib.AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(listen(one, phone)) for _ in range(3)]
            assert await streams[0].hear() is not None
            assert await streams[0].hear() is None, "the oldest of a phone's streams makes way"
            assert await streams[2].hear() is not None
    finally:
        one.end()


async def _try(api: Api, bearer: str) -> int:
    async with (
        httpx.AsyncClient(timeout=WITHIN_S) as client,
        client.stream(
            "GET", api.url + "/v1/changes", headers={"Authorization": f"Bearer {bearer}"}
        ) as answer,
    ):
        return answer.status_code


async def test_the_server_ends_at_once_with_streams_open(
    database_urls: Urls, world: World, tmp_path: Path
) -> None:
    """A deployment that waits for every open stream takes ten seconds, in which nobody is served."""
    ending = serve(database_urls, tmp_path, CALLOUT_LISTEN_BEAT_SECONDS="60")
    try:
        bearer = await token(world, world.phones[0])
        async with listen(ending, bearer) as first, listen(ending, await token(world)) as second:
            await first.hear()
            await second.hear()
            ending.process.send_signal(signal.SIGTERM)
            assert await first.hear() is None
            assert await second.hear() is None
        code = await asyncio.to_thread(ending.process.wait, 8)
        assert code in (0, -signal.SIGTERM)
    finally:
        ending.end()


async def test_three_hundred_listeners_of_one_process_are_all_poked(
    database_urls: Urls, world: World, tmp_path: Path, scale: int
) -> None:
    """A company's whole crew hangs on one process after its neighbour was restarted."""
    count = 300 * min(scale, 3)
    one = serve(database_urls, tmp_path, workers=1, CALLOUT_LISTENERS_USER_MAX=str(count))
    try:
        head = (
            f"GET /v1/changes HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {await token(world)}\r\n\r\n"
        ).encode()
        lines = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", one.port) for _ in range(count)))

        async def until(reader: asyncio.StreamReader, word: bytes) -> None:
            async with asyncio.timeout(WITHIN_S * 2):
                await reader.readuntil(word)

        for _, writer in lines:
            writer.write(head)
        await asyncio.gather(*(until(reader, b"id: 1\n") for reader, _ in lines))
        await poke(world, world.org)
        await asyncio.gather(*(until(reader, b"id: 2\n") for reader, _ in lines))
        for _, writer in lines:
            writer.close()
    finally:
        one.end()
