"""An organisation's kinds of order: stored as versions that are never edited, one of each code active.

Version 0 of a built-in kind stands in no table. Saving and activating are two acts; a kind that is retired takes in no
further orders, and those that run finish on the version that they were taken in under.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.checks import FieldRefused, FieldsRefused
from callout_orders.flow.events import EVENTS
from callout_orders.kinds import library, limits
from callout_orders.kinds.check import Finding, check, errors
from callout_orders.kinds.terms import Kind
from callout_store import journal
from callout_store.errors import BadField, BadFields, LimitExceeded, NotFound, WrongState
from callout_store.work import Work

ENTITY: Final = "order_kind"
CACHE_MAX: Final = 500
"""Versions that a process keeps decoded; they never change."""


class Active(msgspec.Struct, frozen=True, kw_only=True):
    """A kind by which orders are taken in now."""

    version: int
    kind: Kind


class KindVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version as it is kept. Version 0, the house's own, was made by nobody."""

    code: str
    version: int
    kind: Kind
    source: str
    note: str
    active: bool
    retired: bool
    created_at: datetime | None
    created_by: UUID | None


class KindRefused(BadFields):
    """A kind that cannot be saved, with all that is wrong with it."""

    def __init__(self, found: Collection[Finding]) -> None:
        self.found = tuple(found)
        super().__init__(path=self.found[0].path, count=len(self.found), why=self._why("en"))

    def _why(self, locale: str) -> str:
        return "; ".join(f"{one.path}: {one.text(locale)}" for one in self.found)

    def message(self, locale: str = "en") -> str:
        """All findings, in `en` or `zh`."""
        pattern = self.zh if locale.startswith("zh") else self.en
        return pattern.format(count=len(self.found), why=self._why(locale))

    def extensions(self) -> dict[str, Any]:
        """As of every refusal, and `errors`: each finding by itself, in both languages."""
        rows = [
            {"path": one.path, "code": BadField.code, "reason": one.code, "en": one.en, "zh": one.zh}
            for one in self.found
        ]
        return super().extensions() | {"errors": rows}


# ------------------------------------------------------------------------------------------------ reading


async def active(work: Work) -> dict[str, Active]:
    """The kinds by which orders are taken in now, by code. One statement, and one more for versions not read before."""
    chosen = await _choices(work)
    wanted = {
        code: chosen[code].version if code in chosen else 0
        for code in dict.fromkeys((*library.TEMPLATES, *chosen))
        if code not in chosen or not chosen[code].retired
    }
    kinds = await kinds_of(work, wanted.items())
    return {code: Active(version=n, kind=kinds[code, n]) for code, n in wanted.items()}


async def active_codes(work: Work) -> frozenset[str]:
    """Codes of the kinds by which orders are taken in now."""
    chosen = await _choices(work)
    retired = {code for code, one in chosen.items() if one.retired}
    return frozenset((*library.TEMPLATES, *chosen)) - retired


async def codes(work: Work) -> frozenset[str]:
    """Codes of all kinds that ever took in orders or still do: those that a filter or an article may name."""
    return frozenset((*library.TEMPLATES, *await _choices(work)))


async def checked_active(work: Work, path: str, code: str) -> Active:
    """The active kind with this code. Raises FieldRefused, which names those there are."""
    kinds = await active(work)
    if code not in kinds:
        raise FieldRefused(path, "kind_unknown", options=", ".join(sorted(kinds)))
    return kinds[code]


async def kinds_of(work: Work, pairs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Kind]:
    """Kinds by (code, version), in one statement for those not read before. Raises NotFound for one that is not there."""
    wanted = set(pairs)
    found: dict[tuple[str, int], Kind] = {}
    missing = []
    for code, n in wanted:
        kind = library.built_in().get(code) if n == 0 else _read.get((work.org_id, code, n))
        if kind is None:
            missing.append((code, n))
        else:
            found[code, n] = kind
    if missing:
        rows = await work.fetch(
            """
            select k.code, k.version, k.body::text as body
            from unnest($1::text[], $2::int[]) as t(code, version)
            join order_kind k on k.org_id = callout_org() and k.code = t.code and k.version = t.version
            """,
            [code for code, _ in missing],
            [n for _, n in missing],
        )
        read = {(row["code"], row["version"]): library.from_json(row["body"]) for row in rows}
        found |= read

        # Not before the commit: a version that is rolled back leaves its number to another one.
        async def keep() -> None:
            for key, kind in read.items():
                _keep((work.org_id, *key), kind)

        work.after_commit(keep)
    if len(found) < len(wanted):
        raise NotFound(entity="kind of order", path="kind")
    return found


async def get(work: Work, code: str, n: int | None = None) -> KindVersion:
    """A version as it is kept; without `n` the active one (of a retired kind, the last that was; of a kind that was never
    activated, the newest). Raises NotFound."""
    choice = (await _choices(work)).get(code)
    if n is None and choice is None and code not in library.TEMPLATES:
        n = await work.fetchval(
            "select max(version) from order_kind where org_id = callout_org() and code = $1", code
        )
    n = n if n is not None else choice.version if choice is not None else 0
    if n == 0:
        if code not in library.TEMPLATES:
            raise NotFound(entity="kind of order", path="code" if choice is None else "version")
        return _built_in(code, choice)
    return (await _rows(work, "k.code = $1 and k.version = $2", code, n, one=True))[0]


async def current(work: Work, *, retired: bool = False) -> list[KindVersion]:
    """The active version of each kind, built-in ones first; with `retired` also those that take in no further orders.

    A kind that was saved and never activated stands there with its newest version.
    """
    chosen = await _choices(work)
    rows = await _rows(
        work,
        """
        k.version = coalesce(c.version, case when k.code = any($1) then 0 else
            (select max(o.version) from order_kind o where o.org_id = k.org_id and o.code = k.code) end)
        """,
        list(library.TEMPLATES),
    )
    of = {row.code: row for row in rows}
    found = [of[code] if code in of else _built_in(code, chosen.get(code)) for code in library.TEMPLATES]
    found += [of[code] for code in sorted(of) if code not in library.TEMPLATES]
    return [one for one in found if retired or not one.retired]


async def versions(work: Work, code: str, *, after: int | None = None, limit: int = 50) -> list[KindVersion]:
    """A kind's versions, newest first, the built-in one last; `after` goes on below that version."""
    size = checks.whole("limit", limit, low=1, high=200)
    rows = await _rows(
        work,
        "k.code = $1 and ($2::int is null or k.version < $2) order by k.version desc limit $3",
        code,
        after,
        size,
    )
    if len(rows) < size and code in library.TEMPLATES and (after is None or after > 0):
        rows.append(_built_in(code, (await _choices(work)).get(code)))
    return rows


def examine(text: str) -> tuple[Kind, tuple[Finding, ...]]:
    """A kind as TOML, and all that is to be said about it. Raises what `library.decode` does."""
    kind = library.decode(text)
    return kind, findings(kind)


def findings(kind: Kind) -> tuple[Finding, ...]:
    """All that is to be said about a kind."""
    return check(kind, events=EVENTS)


def looked_at(text: str) -> tuple[Kind | None, tuple[Finding, ...]]:
    """As `examine`, with what cannot even be read said in findings too; no kind then."""
    try:
        return examine(text)
    except (BadField, BadFields, LimitExceeded) as fault:
        faults = fault.faults if isinstance(fault, FieldsRefused) else (fault,)
        return None, tuple(
            Finding(
                code=str(one.details.get("reason", one.code)).lower(),
                path=one.path or "toml",
                level="error",
                en=checks.why_of(one, "en"),
                zh=checks.why_of(one, "zh"),
            )
            for one in faults
        )


# ------------------------------------------------------------------------------------------------ writing


async def save(work: Work, text: str, *, note: str = "") -> KindVersion:
    """Store a kind as the next version of its code, a draft until it is activated; the same again changes nothing.

    Raises what `library.decode` does, and KindRefused with everything that is wrong with it.
    """
    kind, found = examine(text)
    if bad := errors(found):
        raise KindRefused(bad)
    why = checks.text("note", note, chars_max=1000, blank=True)
    # Of two who save at once, the second waits here and makes the version after.
    await work.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"kinds:{work.org_id}")
    body = library.to_json(kind)
    last = await work.fetchrow(
        """
        select k.version, k.source, (select count(distinct o.code) from order_kind o where o.org_id = callout_org())
            as kinds
        from (select 1) one left join lateral (
            select version, source from order_kind where org_id = callout_org() and code = $1
            order by version desc limit 1) k on true
        """,
        kind.code,
    )
    if last is not None and last["source"] == text:
        return await get(work, kind.code, last["version"])
    number = ((last and last["version"]) or 0) + 1
    if number > limits.VERSIONS_MAX:
        raise LimitExceeded(what="versions of a kind of order", limit=limits.VERSIONS_MAX, given=number)
    if number == 1 and last is not None and last["kinds"] >= limits.KINDS_MAX:
        raise LimitExceeded(what="kinds of order", limit=limits.KINDS_MAX, given=last["kinds"] + 1)
    await work.execute(
        """
        insert into order_kind (code, version, body, source, note, created_at, created_by)
        values ($1, $2, $3::text::jsonb, $4, $5, $6, $7)
        """,
        kind.code,
        number,
        body,
        text,
        why,
        work.now,
        work.actor.user_id,
    )
    await _note(work, "kind.saved", {"code": kind.code, "version": number, "note": why})
    return await get(work, kind.code, number)


async def activate(work: Work, code: str, n: int) -> None:
    """Take in orders of this kind by this version from now on; 0 goes back to the built-in one. A retired kind comes
    back. Twice changes nothing. Raises NotFound."""
    if n == 0 and code not in library.TEMPLATES:
        raise NotFound(entity="kind of order", path="version")
    await kinds_of(work, [(code, n)])
    before = await _locked(work, code)
    if before == Choice(version=n, retired=False):
        return
    await work.execute(
        "update order_kind_choice set version = nullif($2, 0), retired = false where code = $1", code, n
    )
    await _note(work, "kind.activated", {"code": code, "version": n, "from": before and before.version})


async def retire(work: Work, code: str) -> None:
    """Take in no further orders of this kind; `activate` brings it back. Twice changes nothing.

    Raises NotFound for a kind that is not active, WrongState for the last one: orders could no longer be taken in.
    """
    await work.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"kinds:{work.org_id}")
    chosen = await _choices(work)
    if code not in chosen and code not in library.TEMPLATES:
        raise NotFound(entity="kind of order", path="code")
    if code in chosen and chosen[code].retired:
        return
    if await active_codes(work) == {code}:
        raise WrongState(entity="kind of order", state="the last one", needed="another active kind")
    await _locked(work, code)
    await work.execute("update order_kind_choice set retired = true where code = $1", code)
    await _note(work, "kind.retired", {"code": code})


# ------------------------------------------------------------------------------------------------ rows


class Choice(msgspec.Struct, frozen=True):
    """What an organisation decided about a code."""

    version: int
    retired: bool


_read: OrderedDict[tuple[UUID, str, int], Kind] = OrderedDict()


def _keep(key: tuple[UUID, str, int], kind: Kind) -> None:
    _read[key] = kind
    if len(_read) > CACHE_MAX:
        _read.popitem(last=False)


async def _choices(work: Work) -> Mapping[str, Choice]:
    rows = await work.fetch(
        "select code, coalesce(version, 0) as version, retired from order_kind_choice where org_id = callout_org()"
    )
    return {row["code"]: Choice(row["version"], row["retired"]) for row in rows}


async def _locked(work: Work, code: str) -> Choice | None:
    """The row of a code under lock, made where there was none; None for a kind of the organisation that is new."""
    row = await work.fetchrow(
        """
        insert into order_kind_choice as c (code) values ($1)
        on conflict (org_id, code) do update set code = excluded.code
        returning coalesce(c.version, 0) as version, c.retired
        """,
        code,
    )
    assert row is not None
    fresh = row["version"] == 0 and code not in library.TEMPLATES
    return None if fresh else Choice(row["version"], row["retired"])


async def _rows(work: Work, condition: str, *values: Any, one: bool = False) -> list[KindVersion]:
    rows = await work.fetch(
        f"""
        select k.code, k.version, k.body::text as body, k.source, k.note, k.created_at, k.created_by,
            c.version is not distinct from k.version and not coalesce(c.retired, false) as active,
            coalesce(c.retired, false) as retired
        from order_kind k left join order_kind_choice c on c.org_id = k.org_id and c.code = k.code
        where k.org_id = callout_org() and {condition}
        """,
        *values,
    )
    if one and not rows:
        raise NotFound(entity="kind of order", path="version")
    return [
        KindVersion(
            **{name: row[name] for name in ("code", "version", "source", "note", "active", "retired")},
            kind=library.from_json(row["body"]),
            created_at=row["created_at"],
            created_by=row["created_by"],
        )
        for row in rows
    ]


def _built_in(code: str, choice: Choice | None) -> KindVersion:
    retired = choice is not None and choice.retired
    return KindVersion(
        code=code,
        version=0,
        kind=library.built_in()[code],
        source=library.template(code),
        note="",
        active=not retired and (choice is None or choice.version == 0),
        retired=retired,
        created_at=None,
        created_by=None,
    )


async def _note(work: Work, kind: str, data: dict[str, Any]) -> None:
    """A line of the journal. A kind has a code and no id: the organisation stands for all of them."""
    await journal.write(work, journal.Entry(kind=kind, entity=ENTITY, entity_id=work.org_id, data=data))
