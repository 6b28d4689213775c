"""Organisations: the tenants. One is made in a unit of work of its own new id, since row-level security binds that."""

import re
import zoneinfo
from typing import Final
from uuid import UUID

from asyncpg import Record
from msgspec import Struct

from callout_people.texts import line, locale_code
from callout_store.errors import AlreadyExists, BadField, NotFound
from callout_store.journal import Entry, write
from callout_store.work import Work

_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,62}")
_COLUMNS: Final = """
    id, slug, name, locale, time_zone, phone_window_days, phone_history_events, phone_budget_mb, phone_parts,
    hold_minutes, tombstone_days, app_version_min
"""
_VERSION: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}")


class Organisation(Struct, frozen=True, kw_only=True):
    """A tenant, and what it decided about its phones.

    `phone_window_days`: how long a phone keeps a visit that has ended; `phone_history_events`: how many events of an
    asset's earlier visits it holds; `phone_budget_mb`: from how large a copy on there is a warning; `phone_parts`: `all`
    of the catalogue or those `needed`; `hold_minutes`: how long a command waits for the one before it;
    `tombstone_days`: how long deletes are kept for phones that are away; `app_version_min`: the oldest app that may pull.
    """

    id: UUID
    slug: str
    name: str
    locale: str
    time_zone: str
    phone_window_days: int
    phone_history_events: int
    phone_budget_mb: int
    phone_parts: str
    hold_minutes: int
    tombstone_days: int
    app_version_min: str | None


class Phones(Struct, frozen=True, kw_only=True):
    """A change of what is decided about the phones; None leaves a thing as it is, an empty `app_version_min` lifts it."""

    window_days: int | None = None
    history_events: int | None = None
    budget_mb: int | None = None
    parts: str | None = None
    hold_minutes: int | None = None
    tombstone_days: int | None = None
    app_version_min: str | None = None


_PHONES: Final[dict[str, tuple[str, tuple[int, int] | None]]] = {
    "window_days": ("phone_window_days", (1, 365)),
    "history_events": ("phone_history_events", (0, 200)),
    "budget_mb": ("phone_budget_mb", (1, 4096)),
    "parts": ("phone_parts", None),
    "hold_minutes": ("hold_minutes", (1, 43_200)),
    "tombstone_days": ("tombstone_days", (1, 3650)),
    "app_version_min": ("app_version_min", None),
}
"""Field of `Phones`: column of the table, and the range of a number; the database holds to the same ranges."""


async def create_organisation(
    work: Work,
    *,
    slug: str,
    name: str,
    locale: str = "en",
    time_zone: str = "UTC",
    phone_window_days: int = 14,
) -> Organisation:
    """Make the organisation whose id this unit of work was opened with: `db.work(new_id())`.

    Raises BadField, or AlreadyExists where the slug is taken.
    """
    made = await work.fetchrow(
        f"""
        insert into organisation (id, slug, name, locale, time_zone, phone_window_days)
        values ($1, $2, $3, $4, $5, $6) on conflict do nothing returning {_COLUMNS}
        """,
        work.org_id,
        check_slug(slug),
        line(name, "name"),
        locale_code(locale),
        _zone(time_zone),
        _window(phone_window_days),
    )
    if made is None:
        raise AlreadyExists(entity="organisation", key="slug", path="slug")
    await write(
        work,
        Entry(kind="organisation.created", entity="organisation", entity_id=work.org_id, data={"slug": slug}),
    )
    return _read(made)


async def update_organisation(
    work: Work,
    *,
    name: str | None = None,
    locale: str | None = None,
    time_zone: str | None = None,
    phone_window_days: int | None = None,
) -> Organisation:
    """Change the settings that are given of this unit of work's organisation. Raises BadField."""
    row = await work.fetchrow(
        f"""
        update organisation set name = coalesce($2, name), locale = coalesce($3, locale),
            time_zone = coalesce($4, time_zone), phone_window_days = coalesce($5, phone_window_days)
        where id = $1 returning {_COLUMNS}
        """,
        work.org_id,
        None if name is None else line(name, "name"),
        None if locale is None else locale_code(locale),
        None if time_zone is None else _zone(time_zone),
        None if phone_window_days is None else _window(phone_window_days),
    )
    if row is None:
        raise NotFound(entity="organisation")
    changed = {"name": name, "locale": locale, "timeZone": time_zone, "phoneWindowDays": phone_window_days}
    await write(
        work,
        Entry(
            kind="organisation.changed",
            entity="organisation",
            entity_id=work.org_id,
            data={key: value for key, value in changed.items() if value is not None},
        ),
    )
    return _read(row)


async def configure_phones(work: Work, change: Phones) -> Organisation:
    """Decide about this organisation's phones. Raises BadField, which names the field.

    What really changed is written as `organisation.changed` under the names of the columns in camelCase
    (`phoneWindowDays`, `phoneHistoryEvents`, `phoneParts`, …): the sweep that takes rows from the phones follows that.
    """
    wanted = {
        column: _phone_value(name, value, bounds)
        for name, (column, bounds) in _PHONES.items()
        if (value := getattr(change, name)) is not None
    }
    before = await work.fetchrow(
        f"select {_COLUMNS} from organisation where id = $1 for no key update", work.org_id
    )
    if before is None:
        raise NotFound(entity="organisation")
    changed = {column: value for column, value in wanted.items() if before[column] != value}
    if not changed:
        return _read(before)
    setting = ", ".join(f"{column} = ${n}" for n, column in enumerate(changed, start=2))
    row = await work.fetchrow(
        f"update organisation set {setting} where id = $1 returning {_COLUMNS}",
        work.org_id,
        *changed.values(),
    )
    assert row is not None
    await write(
        work,
        Entry(
            kind="organisation.changed",
            entity="organisation",
            entity_id=work.org_id,
            data={_camel(column): value for column, value in changed.items()},
        ),
    )
    return _read(row)


async def organisation(work: Work) -> Organisation:
    """The organisation of this unit of work. Raises NotFound."""
    row = await work.fetchrow(f"select {_COLUMNS} from organisation where id = $1", work.org_id)
    if row is None:
        raise NotFound(entity="organisation")
    return _read(row)


async def organisation_by_slug(work: Work, slug: str) -> Organisation | None:
    """The organisation with this slug; the unit of work is opened for it: `db.work(None, org_slug=slug)`."""
    row = await work.fetchrow(f"select {_COLUMNS} from organisation where slug = $1", slug)
    return None if row is None else _read(row)


def check_slug(slug: str) -> str:
    """The slug itself; raises BadField unless it is 2 to 63 of a-z, 0-9 and hyphens."""
    if not is_slug(slug):
        raise BadField(
            path="slug", why="a slug has 2 to 63 of a-z, 0-9 and hyphens, and starts with no hyphen"
        )
    return slug


def is_slug(text: str) -> bool:
    """Whether this could be an organisation's slug."""
    return _SLUG.fullmatch(text) is not None


def _zone(name: str) -> str:
    if name not in zoneinfo.available_timezones():
        raise BadField(path="timeZone", why="it is not a time zone of the IANA database")
    return name


def _window(days: int) -> int:
    if not 1 <= days <= 365:
        raise BadField(path="phoneWindowDays", why="it lies between 1 and 365 days")
    return days


def _phone_value(name: str, value: int | str, bounds: tuple[int, int] | None) -> int | str | None:
    path = _camel(name)
    if bounds is not None:
        low, high = bounds
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise BadField(path=path, why=f"it lies between {low} and {high}")
        return value
    if name == "parts":
        if value not in ("all", "needed"):
            raise BadField(path=path, why="it is `all` or `needed`")
        return value
    text = str(value).strip()
    if text and not _VERSION.fullmatch(text):
        raise BadField(path=path, why="a version is one to four numbers with dots between, such as 2.10.0")
    return text or None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _read(row: Record) -> Organisation:
    return Organisation(**dict(row))
