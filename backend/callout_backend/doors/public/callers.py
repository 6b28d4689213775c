"""Who calls the public API: another system by its key, or a person by an access token.

A guard runs before Litestar reads parameters and body: a stranger learns nothing about what is wrong with either.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar
from uuid import UUID

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from callout_backend.doors import identity
from callout_backend.problems import locale_of
from callout_people import api_keys
from callout_people.principals import Principal, Right, require_right
from callout_store.errors import BadField, NotAuthenticated
from callout_store.ids import parse_id
from callout_store.work import Actor, Database, Work

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]
KEY_HEADER = "x-api-key"


async def caller_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal:
    """The caller. Raises NotAuthenticated, or TooManyRequests for a key that calls too often."""
    key = connection.headers.get(KEY_HEADER)
    if key is None:
        scheme, _, token = connection.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() == "bearer" and api_keys.is_key(token.strip()):
            key = token.strip()
    if key is None:
        return await identity.principal_of(connection)
    if "authorization" in connection.headers and connection.headers.get(KEY_HEADER) is not None:
        # Of two callers at once, which one is meant?
        raise NotAuthenticated()
    return await api_keys.authenticate(connection.app.state.db, key.strip())


def needs(right: Right) -> Guard:
    """A guard that lets in whoever holds the right, by their role or by their key's scopes."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        who = await caller_of(connection)
        require_right(who, right)
        connection.state.caller = who

    return guard


def caller(request: AnyRequest) -> Principal:
    """Whom the guard let in."""
    who: Principal = request.state.caller
    return who


def actor(request: AnyRequest) -> Actor:
    """The caller as an actor who reads the language of this request."""
    who = caller(request)
    return Actor(user_id=who.user_id, device_id=who.device_id, role=who.role.value, locale=language(request))


def language(request: AnyRequest) -> str:
    """What the request asks for, else the caller's own."""
    accepted = request.headers.get("accept-language")
    return locale_of(accepted) if accepted else caller(request).locale


def cursor_id(after: str | None) -> UUID | None:
    """The id within a cursor. Raises BadField."""
    try:
        return None if after is None else parse_id(after)
    except ValueError:
        raise BadField(path="after", why="not a cursor of this list") from None


def database(request: AnyRequest) -> Database:
    """The application's database."""
    db: Database = request.app.state.db
    return db


def work_of(request: AnyRequest) -> AbstractAsyncContextManager[Work]:
    """A unit of work in the caller's name, to read in."""
    return database(request).work(caller(request).org_id, actor=actor(request))


async def acted(request: AnyRequest, act: Callable[[Work], Awaitable[T]]) -> T:
    """What `act` does in the caller's name, done again where the database asks for it."""
    return await database(request).run(caller(request).org_id, act, actor=actor(request))
