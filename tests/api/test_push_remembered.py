"""A push by a caller whom this process remembers: no look of its own, and yet nobody gets in who was shut out since."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from graph import Graph, application, token_of
from worlds import Phone, World

from callout_backend.settings import Settings
from callout_people import sessions, users
from callout_people.principals import Principal
from callout_store.work import Database
from callout_sync import devices

PUSH = "mutation P($input: PushInput!) { push(input: $input) { answers { index status code } } }"


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build()


@pytest.fixture
async def door(settings: Settings, db: Database) -> AsyncIterator[Any]:
    async with application(settings, db) as both:
        yield both


class Pusher:
    """A phone that has pushed twice, so that the process knows its document and its session."""

    def __init__(self, world: World, phone: Phone, graph: Graph) -> None:
        self.world, self.phone, self.graph = world, phone, graph

    async def push(self) -> Any:
        command = self.phone.command("visit.note", self.visit, {"text": "n"})
        variables = {"input": {"sentAt": command["deviceTime"], "commands": [command]}}
        return await self.graph.send(PUSH, variables)

    async def known(self) -> "Pusher":
        self.visit = await self.world.visit(self.phone)
        for _ in range(2):
            assert (await self.push()).json()["data"]["push"]["answers"][0]["status"] == "applied"
        return self

    async def events(self) -> int:
        return int(await self.world.value("select count(*) from visit_event"))


@pytest.fixture
async def pusher(world: World, door: Any) -> Pusher:
    app, http = door
    phone = world.phones[0]
    assert phone.actor.user_id is not None
    token = await token_of(world.db, app.state.issuer, world.org, phone.actor.user_id, phone.device_id)
    return await Pusher(world, phone, Graph(http, token)).known()


def refused(answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.json()["errors"][0]["extensions"]["code"] == code
    assert not answer.json().get("data")


async def test_nobody_is_looked_up_twice(pusher: Pusher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three round trips before each push were a tenth of its cost; the push reads the session itself."""

    async def never(*_: Any, **__: Any) -> Principal:
        raise AssertionError("looked up")

    monkeypatch.setattr(sessions, "_look", never)
    assert (await pusher.push()).json()["data"]["push"]["answers"][0]["status"] == "applied"


async def test_a_revoked_phone_is_refused_as_ever(pusher: Pusher) -> None:
    """A thief's phone that has just pushed must not get one more batch in because it is remembered."""
    async with pusher.world.db.work(pusher.world.org, actor=pusher.world.dispatcher) as work:
        await devices.revoke(work, pusher.phone.device_id, reason="lost")
    before = await pusher.events()
    refused(await pusher.push(), 403, "DEVICE_REVOKED")
    assert await pusher.events() == before


async def test_an_ended_session_is_refused_as_ever(pusher: Pusher) -> None:
    """Whoever signed out, or whose password was changed, is out from the next request on."""
    user_id = pusher.phone.actor.user_id
    assert user_id is not None
    async with pusher.world.db.work(pusher.world.org) as work:
        await sessions.end_sessions_of_user(work, user_id, reason="signed_out")
    before = await pusher.events()
    refused(await pusher.push(), 401, "NOT_AUTHENTICATED")
    assert await pusher.events() == before


async def test_a_user_shut_out_is_refused_as_ever(pusher: Pusher) -> None:
    """A dismissed engineer's phone must not write in their name."""
    user_id = pusher.phone.actor.user_id
    assert user_id is not None
    async with pusher.world.db.work(pusher.world.org, actor=pusher.world.dispatcher) as work:
        await users.deactivate(work, user_id)
    refused(await pusher.push(), 401, "NOT_AUTHENTICATED")


async def test_another_role_counts_at_once(pusher: Pusher) -> None:
    """An engineer who became a dispatcher no longer syncs, though they were remembered as an engineer."""
    await pusher.world.fetch(
        "update app_user set role = 'dispatcher' where id = $1", pusher.phone.actor.user_id
    )
    answer = await pusher.push()
    assert answer.json()["errors"][0]["extensions"]["code"] == "NOT_ALLOWED"
    await pusher.world.fetch(
        "update app_user set role = 'supervisor' where id = $1", pusher.phone.actor.user_id
    )
    assert (await pusher.push()).json()["data"]["push"]["answers"][0]["status"] == "applied"


async def test_a_session_whose_time_is_over_is_refused(pusher: Pusher, door: Any) -> None:
    """Its end is told by the issuer's clock, as everywhere else."""
    await pusher.world.fetch(
        "update session set expires_at = $2 where user_id = $1",
        pusher.phone.actor.user_id,
        door[0].state.issuer.now() - timedelta(seconds=1),
    )
    refused(await pusher.push(), 401, "NOT_AUTHENTICATED")
