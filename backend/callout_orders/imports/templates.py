"""Templates of imports: named, found again by id, changed with a revision. A running import keeps the one it began with."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.imports.mapping import Config, checked, config_of
from callout_store.errors import AlreadyExists, LimitExceeded, NotFound, StaleRevision
from callout_store.ids import new_id
from callout_store.work import Work

TEMPLATES_MAX: Final = 200
_COLUMNS: Final = "id, name, config::text as config, revision, updated_at, updated_by"


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A saved mapping."""

    id: UUID
    name: str
    config: Config
    revision: int
    updated_at: datetime
    updated_by: UUID | None


async def save(
    work: Work,
    *,
    name: str,
    config: Mapping[str, Any],
    id_: UUID | None = None,
    revision: int | None = None,
) -> Template:
    """Make a template, or with its id and revision change it. Raises BadField(s), AlreadyExists, NotFound, StaleRevision."""
    name = checks.text("name", name)
    body = msgspec.json.encode(checked(config_of(config))).decode()
    taken = await work.fetchval(
        "select true from import_template where org_id = callout_org() and name = $1 and id is distinct from $2",
        name,
        id_,
    )
    if taken:
        raise AlreadyExists(entity="import template", key="name", path="name")
    if id_ is None:
        there = await work.fetchval("select count(*) from import_template where org_id = callout_org()")
        if there >= TEMPLATES_MAX:
            raise LimitExceeded(what="import templates", limit=TEMPLATES_MAX, given=there + 1)
        id_ = new_id()
        await work.execute(
            """
            insert into import_template (id, name, config, created_at, updated_at, updated_by)
            values ($1, $2, $3::text::jsonb, $4, $4, $5)
            """,
            id_,
            name,
            body,
            work.now,
            work.actor.user_id,
        )
        return await get(work, id_)
    current = await work.fetchval(
        "select revision from import_template where org_id = callout_org() and id = $1 for update", id_
    )
    if current is None:
        raise NotFound(entity="import template", path="id")
    if revision is not None and revision != current:
        raise StaleRevision(entity="import template", current=current, given=revision)
    await work.execute(
        """
        update import_template
        set name = $2, config = $3::text::jsonb, revision = revision + 1, updated_at = $4, updated_by = $5
        where org_id = callout_org() and id = $1
        """,
        id_,
        name,
        body,
        work.now,
        work.actor.user_id,
    )
    return await get(work, id_)


async def get(work: Work, id_: UUID) -> Template:
    """One template. Raises NotFound."""
    row = await work.fetchrow(
        f"select {_COLUMNS} from import_template where org_id = callout_org() and id = $1", id_
    )
    if row is None:
        raise NotFound(entity="import template", path="templateId")
    return _read(row)


async def named(work: Work, name: str) -> Template:
    """The template of this name. Raises NotFound."""
    row = await work.fetchrow(
        f"select {_COLUMNS} from import_template where org_id = callout_org() and name = $1",
        checks.text("template", name),
    )
    if row is None:
        raise NotFound(entity="import template", path="template")
    return _read(row)


async def listed(work: Work) -> list[Template]:
    """The organisation's templates, by name."""
    rows = await work.fetch(
        f"select {_COLUMNS} from import_template where org_id = callout_org() order by name limit $1",
        TEMPLATES_MAX,
    )
    return [_read(row) for row in rows]


def _read(row: Any) -> Template:
    return Template(**{**dict(row), "config": msgspec.json.decode(row["config"], type=Config)})
