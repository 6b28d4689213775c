"""People who come and go, through `/graphql`."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from graph import Graph, application, someone, token_of
from worlds import World

from callout_backend.settings import Settings
from callout_graphql.operations.users import USERS
from callout_people.principals import Role
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build()


@pytest.fixture(scope="module")
async def client(settings: Settings, db: Database) -> AsyncIterator[Any]:
    async with application(settings, db) as both:
        yield both


async def caller(client: Any, world: World, user: UUID) -> Graph:
    app, http = client
    return Graph(http, await token_of(world.db, app.state.issuer, world.org, user))


async def answer(graph: Graph, name: str, **variables: Any) -> dict[str, Any]:
    """One of the exported operations, as it is answered."""
    found: dict[str, Any] = (await graph.send(USERS, variables, operationName=name)).json()
    return found


async def test_who_left_is_out_at_once_and_may_come_back(client: Any, world: World) -> None:
    """A colleague who was dismissed would go on reading customers' addresses; one who returns would need a new name."""
    admin = await caller(client, world, await someone(world, Role.ADMIN))
    user = world.dispatcher.user_id
    assert user is not None
    gone = await caller(client, world, user)
    assert "errors" not in await answer(gone, "Users")
    for _ in range(2):
        done = await answer(admin, "DeactivateUser", id=str(user), reason="left the firm")
        assert done["data"]["deactivateUser"] == {"id": str(user), "active": False}
    assert (await answer(gone, "Users"))["errors"][0]["extensions"]["code"] == "NOT_AUTHENTICATED"
    listed = await answer(admin, "Users", active=False)
    assert [one["id"] for one in listed["data"]["users"]["nodes"]] == [str(user)]
    for _ in range(2):
        back = await answer(admin, "ReactivateUser", id=str(user))
        assert back["data"]["reactivateUser"]["active"] is True
    assert "errors" not in await answer(await caller(client, world, user), "Users")
    rows = await world.fetch("select kind from journal where kind like 'user.%activated' order by id")
    assert [row["kind"] for row in rows] == ["user.deactivated", "user.reactivated"]


async def test_only_admins_shut_out_and_never_themselves(client: Any, world: World, db: Database) -> None:
    """An organisation whose last admin shut the door behind them could never open it again."""
    me = await someone(world, Role.ADMIN)
    admin = await caller(client, world, me)
    (own,) = (await answer(admin, "DeactivateUser", id=str(me)))["errors"]
    assert (own["extensions"]["code"], own["extensions"]["path"]) == ("BAD_FIELD", "id")
    desk = await caller(client, world, world.dispatcher.user_id or new_id())
    other = await World(db).build()
    for name in ("DeactivateUser", "ReactivateUser"):
        (denied,) = (await answer(desk, name, id=str(me)))["errors"]
        assert denied["extensions"]["code"] == "NOT_ALLOWED"
        for id_ in (new_id(), other.dispatcher.user_id):
            (unknown,) = (await answer(admin, name, id=str(id_)))["errors"]
            assert unknown["extensions"]["code"] == "NOT_FOUND"
