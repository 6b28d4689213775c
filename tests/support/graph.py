"""A client of `/graphql` for tests: signs in through the services, speaks over the application's own ASGI handler."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
from litestar import Litestar
from worlds import World

from callout_backend.app import create_app
from callout_backend.settings import Settings
from callout_people.sessions import open_session
from callout_people.tokens import TokenIssuer
from callout_people.users import NewUser, Role, create_user
from callout_store.work import Database

URL = "/graphql"


class Graph:
    """A caller with a token (or none)."""

    def __init__(self, client: httpx.AsyncClient, token: str | None = None) -> None:
        self.client, self.token = client, token

    def headers(self, **more: str) -> dict[str, str]:
        return {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **more}

    async def send(self, query: str | None, variables: Any = None, **more: Any) -> httpx.Response:
        body = {"query": query, "variables": variables, **more}
        return await self.client.post(URL, json=body, headers=self.headers())

    async def ask(self, query: str, variables: Any = None) -> Any:
        """The data; fails the test on errors."""
        answer = (await self.send(query, variables)).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def refused(self, query: str, variables: Any = None) -> dict[str, Any]:
        """The extensions of the first error, with its message; fails the test where there is none."""
        answer = (await self.send(query, variables)).json()
        assert answer.get("errors"), answer
        first = answer["errors"][0]
        return {"message": first["message"], **first["extensions"]}

    async def raw(self, content: bytes, **headers: str) -> httpx.Response:
        sent = {"Content-Type": "application/json", **headers}
        return await self.client.post(URL, content=content, headers=self.headers(**sent))


@contextlib.asynccontextmanager
async def application(settings: Settings, db: Database) -> AsyncIterator[tuple[Litestar, httpx.AsyncClient]]:
    """The application on a database of the test's, and a client of it."""
    app = create_app(settings, db=db)
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="http://t", timeout=60) as client,
    ):
        yield app, client


async def token_of(
    db: Database, issuer: TokenIssuer, org: UUID, user: UUID, device: UUID | None = None
) -> str:
    """A fresh session's access token."""
    async with db.work(org) as work:
        return (await open_session(work, issuer, user_id=user, device_id=device)).access_token


async def someone(world: World, role: Role) -> UUID:
    """A further user of the world's organisation."""
    async with world.db.work(world.org) as work:
        email = f"{role.value}-{world.org.hex}@example.org"
        return await create_user(work, NewUser(email=email, name=role.value, role=role))
