"""How an organisation wants its requests looked at: duplicates, what channels may do, where numbers come from.

What was never set is as is built in. The whole is one row, changed under its revision.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec
import phonenumbers
from asyncpg import Record

from callout_orders import checks
from callout_orders.checks import FieldRefused, Gather
from callout_orders.terms import Channel, Priority
from callout_store.errors import StaleRevision
from callout_store.journal import Entry, write
from callout_store.work import Work

REGIONS_MAX: Final = 20
PRIORITIES: Final = frozenset(priority.value for priority in Priority)


class Duplicates(msgspec.Struct, frozen=True, kw_only=True):
    """When an order is a duplicate. `sure`, `possible`: scores 0..1 from which one is linked by itself (where `link`), or
    shown. `hours`: how far apart two orders may be; of one machine or telephone an open order counts for `open_days`.
    `closed_hours`: how long a closed order is still shown. `metres`: how near counts as the same place."""

    link: bool = True
    sure: float = 0.80
    possible: float = 0.65
    hours: int = 72
    open_days: int = 30
    closed_hours: int = 72
    metres: int = 150


class ChannelRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel may do. `create`: make customers, sites and contacts that are not known. `kind` and `priority` are its
    orders' where nothing is said; `raise_to`: up to which priority the words of a request may raise them (None: not)."""

    create: bool = True
    kind: str = "service"
    priority: str = "P2"
    raise_to: str | None = "P1"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `regions` (ISO 3166): whose telephone numbers are written without a country code, the likeliest first.
    `confidence`: how sure a find in the text must be to be taken."""

    regions: tuple[str, ...] = ("CN", "US")
    confidence: float = 0.7
    duplicates: Duplicates = Duplicates()
    channels: dict[str, ChannelRules] = {}

    def channel(self, code: str) -> ChannelRules:
        """The rules of a channel."""
        return self.channels.get(code) or (API if code == Channel.API.value else PEOPLE)


PEOPLE: Final = ChannelRules()
"""Channels by which people come: what they ask for is never lost for want of a customer."""
API: Final = ChannelRules(create=False, raise_to=None)
"""Another system says what it means."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """The settings as they are kept; `words_revision` is another one after every change
    of keywords and products; 0: there are none of its own."""

    settings: Settings
    revision: int
    words_revision: int


async def stored(work: Work) -> Stored:
    """The organisation's settings."""
    row = await work.fetchrow(
        "select body::text as body, revision, words_revision from precheck_settings where org_id = callout_org()"
    )
    return Stored(settings=Settings(), revision=0, words_revision=0) if row is None else _stored(row)


async def held(work: Work) -> Stored:
    """The settings, held until this unit of work ends: who changes a part of them changes it in what stands by then."""
    row = await work.fetchrow(
        """
        insert into precheck_settings (updated_at) values ($1)
        on conflict (org_id) do update set org_id = excluded.org_id
        returning body::text as body, revision, words_revision
        """,
        work.now,
    )
    assert row is not None
    return _stored(row)


def _stored(row: Record) -> Stored:
    return Stored(
        settings=msgspec.json.decode(row["body"], type=Settings),
        revision=row["revision"],
        words_revision=row["words_revision"],
    )


async def save(work: Work, new: Settings, revision: int | None = None) -> Stored:
    """Put `new` in the place of the settings; all that is wrong is said at once. The same again changes nothing."""
    settings = checked(new)
    before = await held(work)
    if revision is not None and revision != before.revision:
        raise StaleRevision(entity="pre-check settings", current=before.revision, given=revision)
    if before.settings == settings:
        return before
    await work.execute(
        "update precheck_settings set body = $1::text::jsonb, revision = revision + 1, updated_at = $2, updated_by = $3 "
        "where org_id = callout_org()",
        msgspec.json.encode(settings).decode(),
        work.now,
        work.actor.user_id,
    )
    await note(work, "precheck.settings_saved", {"revision": before.revision + 1})
    return Stored(settings=settings, revision=before.revision + 1, words_revision=before.words_revision)


async def words_changed(work: Work) -> None:
    """Keywords or products changed: every process reads them anew. Those who change them wait for one another here.

    The number is drawn anew instead of counted up: one that was rolled back never comes again with other words behind it.
    """
    await work.execute(
        """
        insert into precheck_settings (words_revision, updated_at) values (1 + floor(random() * 9e15)::bigint, $1)
        on conflict (org_id) do update set words_revision = excluded.words_revision
        """,
        work.now,
    )


async def note(work: Work, kind: str, data: dict[str, Any], entity_id: UUID | None = None) -> None:
    """A line of the journal about the pre-check itself."""
    await write(work, Entry(kind=kind, entity="precheck", entity_id=entity_id or work.org_id, data=data))


def checked(given: Settings) -> Settings:
    """The settings, with everything that is wrong with them said at once."""
    gather = Gather()
    dup = given.duplicates
    for name, low, high in (
        ("hours", 1, 8760),
        ("open_days", 1, 366),
        ("closed_hours", 0, 8760),
        ("metres", 0, 200),
    ):
        with gather:
            checks.whole(f"duplicates.{_camel(name)}", getattr(dup, name), low=low, high=high)
    for name in ("sure", "possible"):
        with gather:
            _share(f"duplicates.{name}", getattr(dup, name))
    with gather:
        if dup.possible > dup.sure:
            raise FieldRefused("duplicates.possible", "threshold_order")
    with gather:
        _share("confidence", given.confidence)
    with gather:
        checks.whole("regions", len(given.regions), low=1, high=REGIONS_MAX)
    for n, region in enumerate(given.regions):
        with gather:
            if region not in phonenumbers.SUPPORTED_REGIONS:
                raise FieldRefused(f"regions.{n}", "not_one_of", options="ISO 3166: CN, US, …")
    codes = frozenset(channel.value for channel in Channel)
    for code, rules in given.channels.items():
        with gather:
            checks.one_of(f"channels.{code[:40]}", code, codes)
        with gather:
            checks.one_of(f"channels.{code[:40]}.priority", rules.priority, PRIORITIES)
        with gather:
            checks.text(f"channels.{code[:40]}.kind", rules.kind, chars_max=40)
        with gather:
            if rules.raise_to is not None:
                checks.one_of(f"channels.{code[:40]}.raiseTo", rules.raise_to, PRIORITIES)
    gather.settle()
    return given


def _share(path: str, value: float) -> None:
    if not checks.finite(value) or not 0 <= value <= 1:
        raise FieldRefused(path, "range", low=0, high=1)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
