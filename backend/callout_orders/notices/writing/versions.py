"""Saved templates of notices: versions by medium, kind and language that are never changed; one of each is used.

Version 0 is built in and stands in no table. Kind `*` is used for every kind that has no template of its own.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.checks import FieldRefused, Gather
from callout_orders.desk import todos
from callout_orders.notices.settings import LOCALES
from callout_orders.notices.terms import KINDS, MEDIA
from callout_orders.notices.writing import templates
from callout_orders.notices.writing.templates import BadTemplate, Text
from callout_orders.notices.writing.texts import built_in
from callout_store.errors import LimitExceeded, NotFound
from callout_store.work import Work

ANY: Final = "*"
OF: Final = KINDS | {ANY, "digest"}
VERSIONS_MAX: Final = 1_000
Chosen = Mapping[tuple[str, str, str], Text]
"""The saved templates that are used, by medium, kind and language."""


class TemplateVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a template. Version 0 was made by nobody."""

    medium: str
    kind: str
    locale: str
    version: int
    title: str
    body: str
    note: str
    active: bool
    created_at: datetime | None
    created_by: UUID | None


async def chosen(work: Work) -> Chosen:
    """The saved templates that are used now."""
    rows = await work.fetch(
        """
        select t.medium, t.kind, t.locale, t.title, t.body
        from notice_template_choice c
        join notice_template t on t.org_id = c.org_id and t.medium = c.medium and t.kind = c.kind
             and t.locale = c.locale and t.version = c.version
        where c.org_id = callout_org()
        """
    )
    return {
        (row["medium"], row["kind"], row["locale"]): Text(title=row["title"], body=row["body"])
        for row in rows
    }


def text_of(saved: Chosen, medium: str, kind: str, locale: str) -> Text:
    """The template for this medium, kind and language: its own, else that of every kind, else the one built in."""
    found = saved.get((medium, kind, locale))
    if found is None and kind != "digest":
        found = saved.get((medium, ANY, locale))
    return found or built_in(medium, kind, locale)


async def numbers(work: Work) -> dict[tuple[str, str, str], int]:
    """Which versions are used, by medium, kind and language; those that are built in are not there."""
    rows = await work.fetch(
        "select medium, kind, locale, version from notice_template_choice where org_id = callout_org()"
    )
    return {(row["medium"], row["kind"], row["locale"]): row["version"] for row in rows}


def matter(medium: str, kind: str, locale: str, version: int) -> str:
    """What a to-do about this version of a template is asked by."""
    return f"template:{medium}:{kind}:{locale}:{version}"


async def page(work: Work, medium: str, kind: str, locale: str) -> list[TemplateVersion]:
    """The versions of one template, newest first, the built-in one last."""
    _place(medium, kind, locale)
    now = (await numbers(work)).get((medium, kind, locale), 0)
    rows = await work.fetch(
        """
        select medium, kind, locale, version, title, body, note, created_at, created_by from notice_template
        where org_id = callout_org() and medium = $1 and kind = $2 and locale = $3 order by version desc
        """,
        medium,
        kind,
        locale,
    )
    own = built_in(medium, "created" if kind == ANY else kind, locale)
    zero = TemplateVersion(
        medium=medium,
        kind=kind,
        locale=locale,
        version=0,
        title=own.title,
        body=own.body,
        note="",
        active=now == 0,
        created_at=None,
        created_by=None,
    )
    return [*(TemplateVersion(**dict(row), active=row["version"] == now) for row in rows), zero]


async def save(
    work: Work, medium: str, kind: str, locale: str, text: Text, *, note: str = "", activate: bool = False
) -> int:
    """Keep a template as the next version, and where asked use it from now on; its version.

    Raises all that is wrong at once, with the line of the template.
    """
    gather = Gather()
    with gather:
        _place(medium, kind, locale)
    with gather:
        check(text)
    with gather:
        checks.text("note", note, chars_max=300, blank=True)
    gather.settle()
    # Of two who save at once, the second waits here and makes the version after.
    await work.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))",
        f"notice:{work.org_id}:{medium}:{kind}:{locale}",
    )
    last: int = await work.fetchval(
        """
        select coalesce(max(version), 0) from notice_template
        where org_id = callout_org() and medium = $1 and kind = $2 and locale = $3
        """,
        medium,
        kind,
        locale,
    )
    if last >= VERSIONS_MAX:
        raise LimitExceeded(what="versions of a template", limit=VERSIONS_MAX, given=last + 1)
    await work.execute(
        """
        insert into notice_template (medium, kind, locale, version, title, body, note, created_at, created_by)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        medium,
        kind,
        locale,
        last + 1,
        text.title,
        text.body,
        note.strip(),
        work.now,
        work.actor.user_id,
    )
    if activate:
        await use(work, medium, kind, locale, last + 1)
    return last + 1


async def use(work: Work, medium: str, kind: str, locale: str, version: int) -> None:
    """Use this version from now on; 0 goes back to the one built in. Raises NotFound."""
    _place(medium, kind, locale)
    was = (await numbers(work)).get((medium, kind, locale), 0)
    if was != version:
        await todos.end(work, matter(medium, kind, locale, was))
    if version == 0:
        await work.execute(
            """
            delete from notice_template_choice
            where org_id = callout_org() and medium = $1 and kind = $2 and locale = $3
            """,
            medium,
            kind,
            locale,
        )
        return
    made = await work.execute(
        """
        insert into notice_template_choice (medium, kind, locale, version, changed_at, changed_by)
        select medium, kind, locale, version, $5, $6 from notice_template
        where org_id = callout_org() and medium = $1 and kind = $2 and locale = $3 and version = $4
        on conflict (org_id, medium, kind, locale) do update set version = excluded.version,
            changed_at = excluded.changed_at, changed_by = excluded.changed_by
        """,
        medium,
        kind,
        locale,
        version,
        work.now,
        work.actor.user_id,
    )
    if not made:
        raise NotFound(entity="template", path="version")


def check(text: Text) -> None:
    """Raise what is wrong with a template: of title and body both, each with its line."""
    gather = Gather()
    for path, part in (("title", Text(title=text.title, body="")), ("body", Text(title="", body=text.body))):
        with gather:
            checks.text(
                path, text.title if path == "title" else text.body, chars_max=templates.BODY_CHARS_MAX
            )
            try:
                templates.check(part)
            except BadTemplate as fault:
                raise refused(path, fault) from None
    gather.settle()


def refused(path: str, fault: BadTemplate) -> FieldRefused:
    """A bad template as a refusal that names field and line."""
    known = templates.FILTERS if fault.reason == "filter" else templates.PLACEHOLDERS
    return FieldRefused(
        path,
        f"template_{fault.reason}",
        line=fault.line,
        detail=fault.detail[:200],
        known=", ".join(sorted(known)),
    )


def _place(medium: str, kind: str, locale: str) -> None:
    gather = Gather()
    with gather:
        checks.one_of("medium", medium, MEDIA)
    with gather:
        checks.one_of("kind", kind, OF)
    with gather:
        checks.one_of("locale", locale, LOCALES)
    gather.settle()
