"""Two small organisations' people, and the doors of `doors/auth.py` with nothing else around them."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import httpx
from litestar import Litestar
from litestar.datastructures import State
from msgspec import Struct

from callout_backend.doors.auth import ROUTES
from callout_backend.problems import EXCEPTION_HANDLERS
from callout_backend.settings import Settings
from callout_people import organisations, users
from callout_people.passwords import Passwords
from callout_people.principals import Role
from callout_people.tokens import TokenIssuer
from callout_people.users import NewUser
from callout_store.clock import ManualClock
from callout_store.ids import new_id
from callout_store.work import Actor, Database

SECRET = "people-tests-" + "0123456789abcdef" * 2
PASSWORD = "correct horse battery"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class People(Struct):
    """An organisation with one user of each role; all share PASSWORD."""

    org_id: UUID
    slug: str
    ids: dict[Role, UUID]

    def email(self, role: Role) -> str:
        return f"{role.value}@{self.slug}.example"

    def actor(self, role: Role) -> Actor:
        return Actor(user_id=self.ids[role], role=role.value)


async def make_people(db: Database) -> People:
    """A fresh organisation and its users."""
    org_id = new_id()
    slug = f"org-{org_id.hex[-12:]}"
    stored = await Passwords(threads=1).hash(PASSWORD)
    async with db.work(org_id) as work:
        await organisations.create_organisation(work, slug=slug, name="Lifts & Co", time_zone="Asia/Shanghai")
        ids = await users.create_users(
            work,
            [
                NewUser(
                    email=f"{role.value}@{slug}.example", name=role.value, role=role, password_hash=stored
                )
                for role in Role
            ],
        )
    return People(org_id=org_id, slug=slug, ids=dict(zip(Role, ids, strict=True)))


def make_issuer(clock: ManualClock | None = None, **more: Any) -> TokenIssuer:
    """An issuer with the tests' secret, by a clock that the test moves."""
    return TokenIssuer(SECRET, clock=clock or ManualClock(START), **more)


@contextlib.asynccontextmanager
async def doors(
    db: Database, settings: Settings, issuer: TokenIssuer, **state: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that has only these doors."""
    app = Litestar(
        route_handlers=ROUTES,
        exception_handlers=EXCEPTION_HANDLERS,
        state=State({"db": db, "issuer": issuer, "settings": settings, **state}, deep_copy=False),
        logging_config=None,
        openapi_config=None,
    )
    # Without the application's lifespan: these doors start nothing, and a fixture may end in another task.
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(cast(Any, app)), base_url="http://t"
    ) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    """The header that carries an access token."""
    return {"Authorization": f"Bearer {token}"}
