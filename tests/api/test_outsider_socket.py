"""What an outsider found at doors that stay open, and at a database that hangs."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import uvicorn
from graph import token_of
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from worlds import World

from callout_backend.app import create_app
from callout_backend.ops.health import CHECK_TIMEOUT_S, readiness
from callout_backend.settings import Settings
from callout_people.sessions import end_sessions_of_user
from callout_store.work import Database
from callout_sync.devices import revoke

WITHIN_S = 20
READ = "{ visits { nodes { id } } }"
LINK = "mutation($id: UUID!) { createSignOffLink(visitId: $id) { url } }"


class Server:
    """An API on a free port, and an organisation whose first engineer has a visit."""

    def __init__(self, app: Any, port: int, world: World, visit: Any) -> None:
        self.app, self.url, self.world, self.visit = app, f"ws://127.0.0.1:{port}/graphql", world, visit

    @contextlib.asynccontextmanager
    async def socket(self, user: Any, device: Any = None) -> AsyncIterator[ClientConnection]:
        token = await token_of(self.world.db, self.app.state.issuer, self.world.org, user, device)
        async with connect(self.url, subprotocols=["graphql-transport-ws"]) as raw:  # type: ignore[list-item]
            await raw.send(
                json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
            )
            assert json.loads(await raw.recv())["type"] == "connection_ack"
            yield raw

    async def told(self, raw: ClientConnection, query: str, **variables: Any) -> dict[str, Any] | int:
        """The first answer to an operation, or the code with which the socket was closed instead."""
        payload = {"query": query, "variables": variables}
        await raw.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
        try:
            async with asyncio.timeout(WITHIN_S):
                while True:
                    message: dict[str, Any] = json.loads(await raw.recv())
                    if message["type"] in ("next", "error"):
                        return message
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd is not None else 0


@pytest.fixture
async def server(settings: Settings, db: Database) -> AsyncIterator[Server]:
    app = create_app(settings, db=db)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    serving = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
    task = asyncio.create_task(serving.serve(sockets=[listening]))
    async with asyncio.timeout(WITHIN_S):
        while not serving.started:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    world = await World(db).build()
    yield Server(app, listening.getsockname()[1], world, await world.visit(world.phones[0]))
    serving.should_exit = True
    await task
    listening.close()


@pytest.mark.parametrize("query", (READ, LINK))
async def test_a_revoked_phone_does_nothing_more_over_its_open_socket(server: Server, query: str) -> None:
    """Whoever stole a phone kept its socket open, and went on reading visits and making sign-off links by it."""
    world, thief = server.world, server.world.phones[0]
    async with server.socket(thief.actor.user_id, thief.device_id) as raw:
        variables = {"id": str(server.visit)} if query is LINK else {}
        before = await server.told(raw, query, **variables)
        assert isinstance(before, dict)
        assert before["type"] == "next"
        assert "errors" not in before["payload"]
        async with world.db.work(world.org) as work:
            await revoke(work, thief.device_id, "stolen")
        links = await world.value("select count(*) from sign_off_link")
        assert await server.told(raw, query, **variables) == 4403
        assert await world.value("select count(*) from sign_off_link") == links


async def test_an_ended_session_does_nothing_more_over_its_open_socket(server: Server) -> None:
    """A dispatcher who was dismissed must not go on dispatching from the screen that was left open."""
    world = server.world
    async with server.socket(world.dispatcher.user_id) as raw:
        assert isinstance(await server.told(raw, READ), dict)
        async with world.db.work(world.org) as work:
            assert world.dispatcher.user_id is not None
            await end_sessions_of_user(work, world.dispatcher.user_id, reason="dismissed")
        assert await server.told(raw, READ) == 4403


async def test_a_changed_role_counts_at_the_next_operation_of_a_socket(server: Server) -> None:
    """Rights that were taken away must be gone, and not when the browser is closed one day."""
    world = server.world
    async with server.socket(world.dispatcher.user_id) as raw:
        before = await server.told(raw, READ)
        assert isinstance(before, dict)
        assert before["payload"]["data"]["visits"]["nodes"]
        async with world.db.work(world.org) as work:
            await work.execute(
                "update app_user set role = 'engineer' where id = $1", world.dispatcher.user_id
            )
        after = await server.told(raw, READ)
        assert isinstance(after, dict)
        assert after["payload"]["data"]["visits"]["nodes"] == []


async def close_code(raw: ClientConnection) -> int:
    """With which code the server ends a socket."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                await raw.recv()
            except ConnectionClosed as end:
                return end.rcvd.code if end.rcvd is not None else 0


async def test_sockets_of_one_user_are_bounded(server: Server, settings: Settings) -> None:
    """One screen in an endless loop opened sockets until no process had any left for phones."""
    user = server.world.dispatcher.user_id
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(settings.listeners_user_max):
            last = await stack.enter_async_context(server.socket(user))
        token = await token_of(server.world.db, server.app.state.issuer, server.world.org, user)
        async with connect(server.url, subprotocols=["graphql-transport-ws"]) as one_more:  # type: ignore[list-item]
            init = {"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}
            await one_more.send(json.dumps(init))
            assert await close_code(one_more) == 4429
        assert isinstance(await server.told(last, READ), dict)
    await asyncio.wait_for(_empty(server), WITHIN_S)
    async with server.socket(user) as again:
        assert isinstance(await server.told(again, READ), dict)


async def _empty(server: Server) -> None:
    while len(server.app.state.listeners):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_a_phones_newest_sockets_stay(server: Server) -> None:
    """What a phone's dead lines left behind must not lock it out, and goes before its keep-alive is over."""
    phone = server.world.phones[0].actor
    async with contextlib.AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(server.socket(phone.user_id, phone.device_id)) for _ in range(3)
        ]
        assert await close_code(sockets[0]) == 4499
        for raw in sockets[1:]:
            assert isinstance(await server.told(raw, READ), dict)


async def test_who_does_not_sign_in_is_shown_out(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty `connection_init` held a socket for as long as its sender answered pings: for nothing, and unbounded."""
    monkeypatch.setattr("callout_graphql.socket.INIT_WITHIN_S", 0.05)
    async with connect(server.url, subprotocols=["graphql-transport-ws"]) as raw:  # type: ignore[list-item]
        await raw.send(json.dumps({"type": "connection_init"}))
        assert await close_code(raw) == 4408


async def test_readiness_answers_in_time_while_the_database_hangs(
    db: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A balancer that waits for half a minute keeps sending people to a process that cannot serve them."""

    class Hanging:
        """A pool whose connection does not even let go when it is told to, as behind a cut network."""

        async def fetchval(self, *_: Any) -> Any:
            while not cut.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.shield(cut)
            raise asyncpg.InterfaceError("closed")

        @contextlib.asynccontextmanager
        async def acquire(self) -> AsyncIterator[Any]:
            yield self

        fetch = fetchrow = fetchval

    cut = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(CHECK_TIMEOUT_S * 3, cut.set_result, None)
    monkeypatch.setattr(Database, "pool", property(lambda _: Hanging()))
    started = time.monotonic()
    found = await readiness(db, settings)
    assert time.monotonic() - started < CHECK_TIMEOUT_S * 2
    assert found.http_status == 503
    assert found.checks["database"].detail == "TimeoutError"
    await cut
