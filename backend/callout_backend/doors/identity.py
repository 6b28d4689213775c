"""Who is asking, for every door that is not GraphQL's own: `Authorization: Bearer …` becomes a `Principal`."""

from typing import Any

from litestar.connection import ASGIConnection

from callout_people import organisations
from callout_people.organisations import Organisation
from callout_people.principals import Principal
from callout_people.sessions import authenticate as authenticate_token
from callout_people.tokens import TokenIssuer
from callout_store.errors import NotAuthenticated
from callout_store.work import Database

Connection = ASGIConnection[Any, Any, Any, Any]


async def authenticate(
    db: Database, issuer: TokenIssuer, header: str | None, *, cached: bool = False
) -> Principal | None:
    """Who sent this Authorization header; None where there is none.

    Raises NotAuthenticated for one that holds no token of ours in good standing, DeviceRevoked for a revoked device's.
    `cached` allows an answer a few seconds old: for plain reads only.
    """
    if header is None:
        return None
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated()
    return await authenticate_token(db, issuer, token.strip(), cached=cached)


async def principal_of(connection: Connection, *, cached: bool = False) -> Principal:
    """Who is on this request or socket. Raises NotAuthenticated, DeviceRevoked or DeviceWiped."""
    state = connection.app.state
    principal = await authenticate(
        state.db, state.issuer, connection.headers.get("authorization"), cached=cached
    )
    if principal is None:
        raise NotAuthenticated()
    principal.refuse_wiped()
    return principal


async def organisation_at(db: Database, slug: str) -> Organisation | None:
    """The organisation that an address names, or None."""
    slug = slug.lower()
    if not organisations.is_slug(slug):
        return None
    async with db.work(None, org_slug=slug) as work:
        return await organisations.organisation_by_slug(work, slug)


def client_address(connection: Connection) -> str | None:
    """The peer's address as the server saw it. Behind a proxy, uvicorn's `--proxy-headers` puts the client's there."""
    return connection.client.host if connection.client is not None else None
