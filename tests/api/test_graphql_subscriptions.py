"""Subscriptions over a real server and a real WebSocket: graphql-transport-ws, pokes, and rights at delivery."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import pytest
import uvicorn
from graph import token_of
from public_api import key_of
from root_fields import operation_of
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from worlds import World

from callout_backend.app import create_app
from callout_backend.settings import Settings
from callout_graphql.rights import FIELDS
from callout_orders.sla import milestones, pausing
from callout_people.sessions import end_sessions_of_user
from callout_store.work import Database
from callout_sync.devices import revoke

PROTOCOL = "graphql-transport-ws"
NEWS = "subscription { changed { at kind scopes } }"
WITHIN_S = 20


class House:
    """A server on a free port, with an organisation."""

    def __init__(self, app: Any, port: int, world: World) -> None:
        self.app, self.url, self.world = app, f"ws://127.0.0.1:{port}/graphql", world

    async def token(self, user: UUID | None, device: UUID | None = None) -> str:
        assert user is not None
        return await token_of(self.world.db, self.app.state.issuer, self.world.org, user, device)

    @contextlib.asynccontextmanager
    async def socket(self, token: str | None) -> AsyncIterator["Listener"]:
        async with connect(self.url, subprotocols=[PROTOCOL]) as raw:  # type: ignore[list-item]
            listener = Listener(raw)
            await listener.say(
                type="connection_init", payload={"Authorization": f"Bearer {token}"} if token else {}
            )
            assert (await listener.hear())["type"] == "connection_ack"
            yield listener


class Listener:
    """A client of one socket; answers the server's pings by the way."""

    def __init__(self, raw: ClientConnection) -> None:
        self.raw = raw

    async def say(self, **message: Any) -> None:
        await self.raw.send(json.dumps(message))

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(WITHIN_S):
            while True:
                message: dict[str, Any] = json.loads(await self.raw.recv())
                if message["type"] != "ping":
                    return message
                await self.say(type="pong")

    async def subscribe(self, query: str = NEWS, id_: str = "1") -> None:
        await self.say(id=id_, type="subscribe", payload={"query": query})

    async def closed(self) -> int:
        """The code with which the server closes; fails the test where it goes on talking."""

        async def listen() -> None:
            while True:
                await self.hear()

        with pytest.raises(ConnectionClosed) as end:
            await listen()
        assert end.value.rcvd is not None
        return end.value.rcvd.code


async def until(seen: Callable[[], bool]) -> None:
    """Wait for something that tells nobody; fails the test where it does not come."""
    async with asyncio.timeout(WITHIN_S):
        while not seen():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.fixture
async def house(settings: Settings, db: Database) -> AsyncIterator[House]:
    app = create_app(settings, db=db)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=5)
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await until(lambda: server.started and app.state.pokes.connected.is_set())
    yield House(app, listening.getsockname()[1], await World(db).build())
    server.should_exit = True
    await serving
    listening.close()


async def test_a_dispatchers_screen_is_poked_when_something_changes(house: House) -> None:
    """The board must move when the field does, without anybody pressing reload."""
    world = house.world
    async with house.socket(await house.token(world.dispatcher.user_id)) as screen:
        await screen.subscribe()
        first = await screen.hear()
        assert first["payload"]["data"]["changed"]["kind"] == "board"
        await world.visit(world.phones[0])
        news = await screen.hear()
        assert news["id"] == "1"
        assert news["payload"]["data"]["changed"]["at"]


async def test_a_phone_is_poked_for_its_own_scope_only(house: House) -> None:
    """A phone that woke for every colleague's visit would be flat by noon."""
    world = house.world
    actor = world.phones[0].actor
    async with house.socket(await house.token(actor.user_id, actor.device_id)) as phone:
        await phone.subscribe()
        assert (await phone.hear())["payload"]["data"]["changed"]["kind"] == "sync"
        await world.visit(world.phones[1])
        await world.visit(world.phones[0])
        scopes = (await phone.hear())["payload"]["data"]["changed"]["scopes"]
        assert scopes == [str(world.phones[0].engineer_id)]


async def test_another_tenant_hears_nothing(house: House, db: Database) -> None:
    """That something happens at a competitor, and when, is news too."""
    other = await World(db).build()
    async with house.socket(await house.token(house.world.dispatcher.user_id)) as screen:
        await screen.subscribe()
        await screen.hear()
        await other.visit(other.phones[0])
        await house.world.visit(house.world.phones[0])
        scopes = (await screen.hear())["payload"]["data"]["changed"]["scopes"]
        assert str(other.phones[0].engineer_id) not in scopes
        assert str(other.org) not in scopes


async def test_a_revoked_phone_is_cut_off_at_the_next_delivery(house: House) -> None:
    """A thief who holds the socket open must not go on hearing when there is work where."""
    world = house.world
    actor = world.phones[0].actor
    async with house.socket(await house.token(actor.user_id, actor.device_id)) as phone:
        await phone.subscribe()
        await phone.hear()
        async with world.db.work(world.org, actor=world.dispatcher) as work:
            assert actor.device_id is not None
            await revoke(work, actor.device_id, "stolen")
        await world.visit(world.phones[0])
        assert await phone.closed() == 4403


async def test_who_signed_out_is_cut_off(house: House) -> None:
    """A screen in the hall whose user has left must go dark."""
    world = house.world
    async with house.socket(await house.token(world.dispatcher.user_id)) as screen:
        await screen.subscribe()
        await screen.hear()
        async with world.db.work(world.org) as work:
            assert world.dispatcher.user_id is not None
            await end_sessions_of_user(work, world.dispatcher.user_id, reason="signed_out")
        await world.visit(world.phones[0])
        assert await screen.closed() == 4403


async def test_queries_are_answered_and_errors_told_on_the_socket(house: House) -> None:
    """A client that keeps one line for everything gets the same answers as over HTTP."""
    async with house.socket(await house.token(house.world.dispatcher.user_id)) as screen:
        await screen.subscribe("{ viewer { role } }", "q")
        assert await screen.hear() == {
            "id": "q",
            "type": "next",
            "payload": {"data": {"viewer": {"role": "dispatcher"}}},
        }
        assert await screen.hear() == {"id": "q", "type": "complete"}
        await screen.subscribe("{ nothing }", "q")
        error = await screen.hear()
        assert (error["type"], error["id"]) == ("error", "q")
        assert error["payload"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        await screen.subscribe('mutation { createPart(input: {code: "a\\u0000", name: "b"}) { id } }', "n")
        assert (await screen.hear())["payload"][0]["extensions"]["code"] == "NUL_CHARACTER"


async def test_a_completed_subscription_is_quiet_and_its_id_free(house: House) -> None:
    """A screen that leaves a page ends its subscription and may begin another by the same id."""
    world = house.world
    async with house.socket(await house.token(world.dispatcher.user_id)) as screen:
        await screen.subscribe()
        await screen.hear()
        await screen.say(id="1", type="complete")
        await screen.subscribe("{ viewer { role } }")
        await world.visit(world.phones[0])
        assert (await screen.hear())["payload"]["data"] == {"viewer": {"role": "dispatcher"}}
        assert (await screen.hear())["type"] == "complete"
        await screen.say(type="ping")
        assert (await screen.hear())["type"] == "pong"


async def test_without_a_token_nothing_is_to_be_heard(house: House) -> None:
    """A socket is opened before anybody is known: it must serve nobody but who then signs in."""
    async with house.socket(None) as nobody:
        await nobody.subscribe()
        error = await nobody.hear()
        assert error["type"] == "error"
        assert error["payload"][0]["extensions"]["code"] == "NOT_AUTHENTICATED"


@pytest.mark.parametrize(
    ("messages", "code"),
    (
        (('{"type":"connection_init","payload":{"Authorization":"Bearer x"}}',), 4403),
        (('{"id":"1","type":"subscribe","payload":{"query":"{__typename}"}}',), 4401),
        (('{"type":"connection_init"}', '{"type":"connection_init"}'), 4429),
        (("null",), 4400),
        (("{",), 4400),
        (("[" * 50_000,), 4400),
        (('{"type":"dance"}',), 4400),
        (('{"type":"connection_init","payload":' + "[" * 50_000,), 4400),
        (('{"type":"connection_init"}', '{"id":"1","type":"subscribe"}'), 4400),
        (('{"type":"connection_init"}', '{"id":"1","type":"subscribe","payload":{"query":1}}'), 4400),
    ),
)
async def test_what_the_protocol_forbids_closes_the_socket(
    house: House, messages: tuple[str, ...], code: int
) -> None:
    """A broken client is told by the code of the protocol, and keeps no task running here."""
    async with connect(house.url, subprotocols=[PROTOCOL]) as raw:  # type: ignore[list-item]
        for message in messages:
            await raw.send(message)
        assert await Listener(raw).closed() == code


async def test_another_systems_key_hears_nothing(house: House) -> None:
    """Pokes and countdowns name orders of the whole house: a partner's key is for `/v1`, whatever its scopes."""
    key = await key_of(house.world)
    async with connect(house.url, subprotocols=[PROTOCOL]) as raw:  # type: ignore[list-item]
        other = Listener(raw)
        await other.say(type="connection_init", payload={"Authorization": f"Bearer {key.text}"})
        assert await other.closed() == 4403
    async with house.socket(await house.token(key.key.user_id)) as system:
        for n, name in enumerate(name for name in FIELDS if name.startswith("Subscription.")):
            await system.subscribe(operation_of(name), str(n))
            error = await system.hear()
            assert (error["type"], error["payload"][0]["extensions"]["code"]) == ("error", "NOT_ALLOWED"), (
                name
            )


async def test_one_id_is_for_one_running_operation(house: House) -> None:
    """Two streams under one id could not be told apart."""
    async with house.socket(await house.token(house.world.dispatcher.user_id)) as screen:
        await screen.subscribe()
        await screen.hear()
        await screen.subscribe()
        assert await screen.closed() == 4409


async def test_the_legacy_protocol_is_not_spoken(house: House) -> None:
    """The old graphql-ws has no acknowledgement of its own and is not maintained."""
    async with connect(house.url, subprotocols=["graphql-ws"]) as raw:  # type: ignore[list-item]
        assert await Listener(raw).closed() == 4406


async def test_a_client_that_leaves_leaves_nothing_behind(house: House) -> None:
    """Phones vanish all day; each forgotten subscription would be poked for ever."""
    world = house.world
    async with house.socket(await house.token(world.dispatcher.user_id)) as screen:
        await screen.subscribe()
        await screen.hear()
        assert len(house.app.state.pokes._subscriptions[world.org]) == 1
    await until(lambda: not house.app.state.pokes._subscriptions.get(world.org))


async def test_an_orders_page_counts_down_by_what_it_hears(house: House, db: Database) -> None:
    """An order's page would show minutes that are left while the clock stands still, or none of the warnings."""
    world = house.world
    order_id = await world.order()
    query = (
        f'subscription {{ orderMilestones(id: "{order_id}") {{ name state dueAt warned remainingSeconds }} }}'
    )

    async def states(listener: Listener) -> list[str]:
        return [one["state"] for one in (await listener.hear())["payload"]["data"]["orderMilestones"]]

    async with house.socket(await house.token(world.dispatcher.user_id)) as page:
        await page.subscribe(query)
        assert await states(page) == ["running"] * 3
        await world.order()  # news of another order is none of this page's
        await db.run(
            world.org, lambda work: pausing.pause(work, order_id, "customer"), actor=world.dispatcher
        )
        assert await states(page) == ["running", "paused", "paused"]
        await db.run(world.org, lambda work: milestones.responded(work, order_id), actor=world.dispatcher)
        assert await states(page) == ["met", "paused", "paused"]
    # Nor does it count down for an engineer who is not sent there.
    phone = world.phones[0]
    async with house.socket(await house.token(phone.actor.user_id, phone.device_id)) as elsewhere:
        await elsewhere.subscribe(query)
        assert "NOT_FOUND" in str((await elsewhere.hear())["payload"])
    other = await World(db).build()
    assert other.dispatcher.user_id is not None
    theirs = await token_of(db, house.app.state.issuer, other.org, other.dispatcher.user_id)
    async with house.socket(theirs) as stranger:
        await stranger.subscribe(query)
        refused = await stranger.hear()
    assert "NOT_FOUND" in str(refused["payload"])
