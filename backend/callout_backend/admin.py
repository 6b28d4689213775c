"""What is done at the server's command line: the first organisation, its users, dead letters of all organisations.

Whoever may run these commands holds the database's login already; no door makes organisations.
"""

import asyncio
import contextlib
import getpass
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import asyncpg
import msgspec

from callout_backend.house import servers_for
from callout_backend.reach import NoTables, refuse_unreachable
from callout_backend.settings import Settings
from callout_backend.texts import say
from callout_backend.wiring import make_database
from callout_people import organisations, users
from callout_people.passwords import Passwords
from callout_people.principals import Role
from callout_store import outbox
from callout_store.errors import NotFound
from callout_store.ids import new_id
from callout_store.work import Database

T = TypeVar("T")


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was given up, as `callout dead-letters` prints it: one JSON object a line."""

    id: UUID
    organisation: UUID
    channel: str
    attempts: int
    given_up_at: str
    error: str | None


def run(settings: Settings, act: Callable[[Database], Awaitable[T]]) -> T:
    """`act` with a started database, that of a `callout run` beside us or the one given."""
    with servers_for(settings) as full:
        refuse_unreachable(full.database_url or "")
        try:
            return asyncio.run(_with_database(full, act))
        except asyncpg.UndefinedTableError as fault:
            # Whoever follows the README in another order has an empty database.
            raise NoTables() from fault


async def _with_database(settings: Settings, act: Callable[[Database], Awaitable[T]]) -> T:
    async with _started(settings) as db:
        return await act(db)


@contextlib.asynccontextmanager
async def _started(settings: Settings) -> AsyncIterator[Database]:
    db = make_database(settings)
    await db.start()
    try:
        yield db
    finally:
        await db.stop()


def ask_password() -> str:
    """From the terminal, unseen; from standard input's first line where that is no terminal."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return getpass.getpass(say("password") + ": ")


async def make_organisation(
    db: Database,
    *,
    slug: str,
    name: str,
    time_zone: str,
    locale: str,
    admin_email: str,
    admin_name: str,
    password: str,
) -> UUID:
    """An organisation and its first admin, both or neither; its id."""
    stored = await _hashed(password)
    org_id = new_id()
    async with db.work(org_id) as work:
        await organisations.create_organisation(
            work, slug=slug, name=name, time_zone=time_zone, locale=locale
        )
        admin = users.NewUser(
            email=admin_email, name=admin_name, role=Role.ADMIN, locale=locale, password_hash=stored
        )
        await users.create_user(work, admin)
    return org_id


async def make_user(
    db: Database, *, slug: str, email: str, name: str, role: Role, locale: str, password: str
) -> UUID:
    """A user of the organisation with this slug; their id. Without a password they sign in by an enrolment code only."""
    stored = await _hashed(password) if password else None
    async with db.work(None, org_slug=slug) as work:
        found = await organisations.organisation_by_slug(work, slug)
    if found is None:
        raise NotFound(entity="organisation")
    async with db.work(found.id) as work:
        new = users.NewUser(email=email, name=name, role=role, locale=locale, password_hash=stored)
        return await users.create_user(work, new)


async def dead_letters(db: Database, *, limit: int) -> list[DeadLetter]:
    """The messages of all organisations that were given up, the oldest first."""
    async with db.system_work() as work:
        rows = await work.fetch(
            "select id, org_id, channel, attempts, finished_at, last_error from outbox"
            " where state = 'dead' order by finished_at limit $1",
            limit,
        )
    return [
        DeadLetter(
            id=row["id"],
            organisation=row["org_id"],
            channel=row["channel"],
            attempts=row["attempts"],
            given_up_at=row["finished_at"].isoformat(),
            error=row["last_error"],
        )
        for row in rows
    ]


async def replay(db: Database, letters: list[DeadLetter]) -> int:
    """Have them tried again, with fresh attempts; how many."""
    revived = 0
    for org_id in dict.fromkeys(letter.organisation for letter in letters):
        async with db.work(org_id) as work:
            revived += await outbox.replay(work, [o.id for o in letters if o.organisation == org_id])
    return revived


async def _hashed(password: str) -> str:
    return await Passwords(threads=1).hash(password)
