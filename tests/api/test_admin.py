"""What is done at the server's command line: the first organisation, its users, dead letters."""

import asyncio
import dataclasses
from typing import Any

import asyncpg
import pytest

from callout_backend import admin
from callout_backend.reach import NoTables
from callout_backend.settings import Settings
from callout_people.passwords import Passwords
from callout_people.principals import Role
from callout_people.users import user_by_email
from callout_store import outbox
from callout_store.errors import AlreadyExists, BadField, NotFound
from callout_store.ids import new_id
from callout_store.outbox import Message
from callout_store.work import Database

ACME = {
    "slug": "acme",
    "name": "Acme Lifts",
    "time_zone": "Asia/Shanghai",
    "locale": "zh",
    "admin_email": "admin@acme.example",
    "admin_name": "Ada",
    "password": "a long password",
}


async def count(db: Database, slug: str) -> int:
    async with db.work(None, org_slug=slug) as work:
        found: int = await work.fetchval("select count(*) from organisation where slug = $1", slug)
    return found


async def test_an_empty_installation_gets_somebody_who_can_sign_in(db: Database) -> None:
    """Without it a database of one's own could be migrated and served, and nobody could ever get in."""
    org_id = await admin.make_organisation(db, **ACME)
    user_id = await admin.make_user(
        db,
        slug="acme",
        email="Dora@acme.example",
        name="Dora",
        role=Role.DISPATCHER,
        locale="en",
        password="",
    )
    async with db.work(org_id) as work:
        first = await user_by_email(work, "admin@acme.example")
        second = await user_by_email(work, "dora@acme.example")
        stored = await work.fetchval("select password_hash from app_user where email = 'admin@acme.example'")
    assert first is not None
    assert second is not None
    assert (first.role, first.locale) == (Role.ADMIN, "zh")
    assert (second.id, second.role, second.has_password) == (user_id, Role.DISPATCHER, False)
    assert await Passwords(threads=1).verify(stored, "a long password")


@pytest.mark.parametrize(
    ("change", "refusal"),
    (
        ({"password": "short"}, BadField),
        ({"admin_email": "nobody"}, BadField),
        ({"time_zone": "Mars/Olympus"}, BadField),
        ({"slug": "A B"}, BadField),
    ),
)
async def test_a_refused_organisation_leaves_nothing(
    db: Database, change: dict[str, str], refusal: type[Exception]
) -> None:
    """Half an organisation would keep its slug for ever, with nobody to sign in."""
    wanted = {**ACME, "slug": "half", **change}
    with pytest.raises(refusal):
        await admin.make_organisation(db, **wanted)
    assert await count(db, "half") == 0


async def test_a_slug_is_given_once(db: Database) -> None:
    """Two organisations of one slug could not be told apart at sign-in."""
    await admin.make_organisation(db, **{**ACME, "slug": "once"})
    with pytest.raises(AlreadyExists):
        await admin.make_organisation(db, **{**ACME, "slug": "once"})
    with pytest.raises(NotFound):
        await admin.make_user(
            db, slug="nowhere", email="a@b.example", name="A", role=Role.ADMIN, locale="en", password=""
        )


async def test_dead_letters_are_shown_and_tried_again(db: Database) -> None:
    """A receiver that was down for a day would never hear of that day's orders."""
    org_id = await admin.make_organisation(db, **{**ACME, "slug": "letters"})
    async with db.work(org_id) as work:
        await outbox.send(work, Message(channel="note", stream="s", dedupe_key="k", payload={}))
        await work.execute(
            "update outbox set state = 'dead', attempts = 9, last_error = 'gone', finished_at = now()"
        )
    letters = [one for one in await admin.dead_letters(db, limit=10) if one.organisation == org_id]
    assert [(one.channel, one.attempts, one.error) for one in letters] == [("note", 9, "gone")]
    assert await admin.replay(db, letters) == 1
    assert [one for one in await admin.dead_letters(db, limit=10) if one.organisation == org_id] == []


def test_a_database_without_tables_is_told_in_a_sentence(servers: Any, settings: Settings) -> None:
    """Whoever makes the organisation before migrating gets a stack trace, and does not know what to do."""
    name = f"callout_empty_{new_id().hex}"
    urls = servers.urls(name)

    async def statement(text: str, url: str) -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(text)
        finally:
            await connection.close()

    asyncio.run(statement(f"create database {name}", servers.given.owner))
    try:
        empty = dataclasses.replace(settings, database_url=urls.database, migrate_url=urls.owner)
        with pytest.raises(NoTables, match="callout migrate"):
            admin.run(empty, lambda db: admin.make_organisation(db, **{**ACME, "slug": "early"}))
    finally:
        asyncio.run(statement(f"drop database {name} with (force)", servers.given.admin))
