"""Reaching the database for the first time: a sentence where it cannot be, instead of a stack trace a process."""

import asyncio
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg

from callout_backend.texts import say

CONNECT_SECONDS = 5.0


class Unreachable(RuntimeError):
    """The database does not let us in; `why` is its or the network's own word, without the password."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(say("unreachable", why=why))


class NoTables(Unreachable):
    """The database is there, and empty."""

    def __init__(self) -> None:
        self.why = say("no_tables")
        RuntimeError.__init__(self, self.why)


async def connect(url: str) -> Any:
    """A connection that asyncpg opened, to be closed by the caller. Raises `Unreachable`."""
    try:
        return await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as fault:
        raise Unreachable(without_password(str(fault) or type(fault).__name__, url)) from fault


def refuse_unreachable(url: str) -> None:
    """Raise `Unreachable` where no connection can be opened: bad address, bad password, no such database."""

    async def look() -> None:
        connection = await connect(url)
        await connection.close(timeout=CONNECT_SECONDS)

    asyncio.run(look())


def without_password(text: str, url: str) -> str:
    """The text, with the URL's password blotted out as it is written there and as it is meant."""
    password = urlsplit(url).password
    for secret in {password, unquote(password)} if password else ():
        text = text.replace(secret, "…")
    return text
