"""A document of an organisation that is kept as versions: never edited, one of them active.

Version 0 is the house's own and stands in no table. A version is stored whole, with every value spelled out, so that a house
that changes its defaults later changes nobody's document. Saving and activating are two acts.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_store import journal
from callout_store.errors import NotFound
from callout_store.work import Work

PAGE_MAX: Final = 200
_COLUMNS: Final = "version, name, note, body::text as body, created_at, created_by"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version as it is kept: `body` is the document in JSON. Version 0, the house's own, was made by nobody."""

    version: int
    name: str
    note: str
    body: dict[str, Any]
    active: bool
    created_at: datetime | None
    created_by: UUID | None


class VersionPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of versions, newest first; `end_cursor` is the version to go on after."""

    items: list[Version]
    end_cursor: int | None
    has_more: bool


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """Where a document is kept, and how it is spoken of.

    `table` has version, name, note, body, created_at and created_by; `settings` has one row an organisation with
    `policy_version`. Both belong to whoever makes this. `entity` and `kind` name it in the journal, `noun` in refusals.
    `house` gives name and body of version 0.
    """

    table: str
    settings: str
    entity: str
    kind: str
    noun: str
    house: Callable[[], tuple[str, dict[str, Any]]]

    async def active_version(self, work: Work) -> int:
        """The number of the active version, 0 being the house's own."""
        n: int | None = await work.fetchval(
            f"select policy_version from {self.settings} where org_id = callout_org()"
        )
        return n or 0

    async def get(self, work: Work, n: int | None = None) -> Version:
        """A version as it is kept; without `n` the active one. Raises NotFound."""
        now = await self.active_version(work)
        n = now if n is None else n
        if n != 0:
            return _view(await self._row(work, n), now)
        name, body = self.house()
        return Version(
            version=0, name=name, note="", body=body, active=now == 0, created_at=None, created_by=None
        )

    async def page(self, work: Work, after: int | None = None, limit: int = 50) -> VersionPage:
        """The organisation's versions, newest first; `limit` 1..200."""
        size = checks.whole("limit", limit, low=1, high=PAGE_MAX)
        now = await self.active_version(work)
        rows = await work.fetch(
            f"""
            select {_COLUMNS} from {self.table}
            where org_id = callout_org() and ($1::int is null or version < $1) order by version desc limit $2
            """,
            after,
            size + 1,
        )
        items = [_view(row, now) for row in rows[:size]]
        return VersionPage(
            items=items, end_cursor=items[-1].version if items else None, has_more=len(rows) > size
        )

    async def save(
        self, work: Work, *, name: str, body: Mapping[str, Any], note: str, activate: bool = False
    ) -> int:
        """Store what was checked as the next version and, where asked, activate it; its version."""
        # Of two who save at once, the second waits here and makes the version after.
        await work.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"{self.table}:{work.org_id}"
        )
        number: int = await work.fetchval(
            f"""
            insert into {self.table} (version, name, body, note, created_at, created_by)
            select coalesce(max(version), 0) + 1, $1, $2::text::jsonb, $3, $4, $5
            from {self.table} where org_id = callout_org()
            returning version
            """,
            name,
            msgspec.json.encode(body).decode(),
            note,
            work.now,
            work.actor.user_id,
        )
        await self._note(work, "saved", {"version": number, "name": name, "note": note})
        if activate:
            await self._activate(work, number)
        return number

    async def activate(self, work: Work, n: int) -> Version:
        """Go by this version from now on; 0 goes back to the house's own. Twice changes nothing. Raises NotFound."""
        if n != 0:
            await self._row(work, n)
        await self._activate(work, n)
        return await self.get(work, n)

    async def body(self, work: Work, n: int) -> str:
        """The JSON of a version above 0. Raises NotFound."""
        text: str = (await self._row(work, n))["body"]
        return text

    async def _activate(self, work: Work, n: int) -> None:
        # Of two who activate at once, the second waits here and sees what the first chose.
        before = await work.fetchval(
            f"""
            insert into {self.settings} (org_id) values (callout_org())
            on conflict (org_id) do update set org_id = excluded.org_id
            returning coalesce(policy_version, 0)
            """
        )
        if before == n:
            return
        await work.execute(
            f"update {self.settings} set policy_version = nullif($1, 0) where org_id = callout_org()", n
        )
        await self._note(work, "activated", {"version": n, "from": before})

    async def _row(self, work: Work, n: int) -> Any:
        row = await work.fetchrow(
            f"select {_COLUMNS} from {self.table} where org_id = callout_org() and version = $1", n
        )
        if row is None:
            raise NotFound(entity=self.noun, path="version")
        return row

    async def _note(self, work: Work, what: str, data: dict[str, Any]) -> None:
        """A line of the journal. A version has a number and no id: the organisation stands for all of them."""
        await journal.write(
            work,
            journal.Entry(kind=f"{self.kind}.{what}", entity=self.entity, entity_id=work.org_id, data=data),
        )


def _view(row: Any, now: int) -> Version:
    return Version(**{**dict(row), "body": msgspec.json.decode(row["body"]), "active": row["version"] == now})
