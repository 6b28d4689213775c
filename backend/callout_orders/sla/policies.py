"""An organisation's SLA policies: stored as versions that are never edited, one of which is active.

Version 0 is the house's own and stands in no table. A version is stored whole, with every value spelled out, so that a
house that changes its defaults later changes nobody's promise. Orders keep the version under which they came in.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.sla import policy_body
from callout_orders.sla.policy import STANDARD, SlaPolicy, to_json
from callout_store import journal
from callout_store.errors import NotFound
from callout_store.work import Work

ENTITY: Final = "sla_policy"
PAGE_MAX: Final = 200
NOTE_MAX: Final = 400
KEPT_MAX: Final = 500


class PolicyVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version as it is kept: `body` is the policy in JSON. Version 0, the house's own, was made by nobody."""

    version: int
    name: str
    note: str
    body: dict[str, Any]
    active: bool
    created_at: datetime | None
    created_by: UUID | None


class VersionPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of versions, newest first; `end_cursor` is the version to go on after."""

    items: list[PolicyVersion]
    end_cursor: int | None
    has_more: bool


_kept: OrderedDict[tuple[UUID, int], SlaPolicy] = OrderedDict()
"""Versions that this process has read before: a version never changes."""


async def of_versions(work: Work, numbers: Iterable[int]) -> dict[int, SlaPolicy]:
    """These versions of the organisation's policy, 0 being the house's own. Raises NotFound for one that is not there."""
    wanted = set(numbers)
    found = {0: STANDARD} if 0 in wanted else {}
    for n in wanted - {0}:
        if (kept := _kept.get((work.org_id, n))) is not None:
            _kept.move_to_end((work.org_id, n))
            found[n] = kept
    missing = sorted(wanted - set(found))
    if missing:
        rows = await work.fetch(
            "select version, body::text as body from sla_policy where org_id = callout_org() and version = any($1)",
            missing,
        )
        for row in rows:
            read = msgspec.json.decode(row["body"], type=SlaPolicy)
            found[row["version"]] = msgspec.structs.replace(read, version=row["version"])
        # Not before the commit: a version that is undone leaves its number to another one.
        work.after_commit(functools.partial(_keep, work.org_id, [found[row["version"]] for row in rows]))
        if len(rows) < len(missing):
            raise NotFound(entity="SLA policy", path="version")
    return found


async def _keep(org_id: UUID, policies: list[SlaPolicy]) -> None:
    for policy in policies:
        _kept[(org_id, policy.version)] = policy
    while len(_kept) > KEPT_MAX:
        _kept.popitem(last=False)


async def active(work: Work) -> SlaPolicy:
    """The policy under which new orders come in; the house's own until another one was activated."""
    n = await active_version(work)
    return (await of_versions(work, [n]))[n]


async def active_version(work: Work) -> int:
    """The number of the active version, 0 being the house's own."""
    n: int | None = await work.fetchval("select policy_version from sla_setting where org_id = callout_org()")
    return n or 0


async def get(work: Work, n: int | None = None) -> PolicyVersion:
    """A version as it is kept; without `n` the active one. Raises NotFound."""
    now = await active_version(work)
    n = now if n is None else n
    if n == 0:
        return PolicyVersion(
            version=0,
            name=STANDARD.name,
            note="",
            body=to_json(STANDARD),
            active=now == 0,
            created_at=None,
            created_by=None,
        )
    return _view(await _row(work, n), now)


async def versions_page(work: Work, after: int | None = None, limit: int = 50) -> VersionPage:
    """The organisation's versions, newest first; `limit` 1..200."""
    size = checks.whole("limit", limit, low=1, high=PAGE_MAX)
    now = await active_version(work)
    rows = await work.fetch(
        f"""
        select {_COLUMNS} from sla_policy
        where org_id = callout_org() and ($1::int is null or version < $1) order by version desc limit $2
        """,
        after,
        size + 1,
    )
    items = [_view(row, now) for row in rows[:size]]
    return VersionPage(
        items=items, end_cursor=items[-1].version if items else None, has_more=len(rows) > size
    )


async def save(work: Work, body: Mapping[str, Any], *, note: str = "", activate: bool = False) -> int:
    """Store a policy as the next version and, where asked, take orders in by it from now on; its version.

    Raises BadField, or FieldsRefused with every fault, each with its place in the JSON.
    """
    gather = checks.Gather()
    policy, why = STANDARD, ""
    with gather:
        policy = policy_body.read(body)
    with gather:
        why = checks.text("note", note, chars_max=NOTE_MAX, blank=True)
    gather.settle()
    # Of two who save at once, the second waits here and makes the version after.
    await work.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"sla_policy:{work.org_id}")
    number: int = await work.fetchval(
        """
        insert into sla_policy (version, name, body, note, created_at, created_by)
        select coalesce(max(version), 0) + 1, $1, $2::text::jsonb, $3, $4, $5
        from sla_policy where org_id = callout_org()
        returning version
        """,
        policy.name,
        msgspec.json.encode(to_json(policy)).decode(),
        why,
        work.now,
        work.actor.user_id,
    )
    await _note(work, "sla_policy.saved", {"version": number, "name": policy.name, "note": why})
    if activate:
        await _activate(work, number)
    return number


async def activate(work: Work, n: int) -> None:
    """Take orders in by this version from now on; 0 goes back to the house's own. Orders that run keep theirs. Twice
    changes nothing. Raises NotFound."""
    if n != 0:
        await _row(work, n)
    await _activate(work, n)


_COLUMNS: Final = "version, name, note, body::text as body, created_at, created_by"


async def _activate(work: Work, n: int) -> None:
    before = await work.fetchval(
        """
        insert into sla_setting (policy_version) values (null)
        on conflict (org_id) do update set org_id = excluded.org_id
        returning coalesce(policy_version, 0)
        """
    )
    if before == n:
        return
    await work.execute(
        "update sla_setting set policy_version = nullif($1, 0) where org_id = callout_org()", n
    )
    await _note(work, "sla_policy.activated", {"version": n, "from": before})


async def _row(work: Work, n: int) -> Any:
    row = await work.fetchrow(
        f"select {_COLUMNS} from sla_policy where org_id = callout_org() and version = $1", n
    )
    if row is None:
        raise NotFound(entity="SLA policy", path="version")
    return row


def _view(row: Any, now: int) -> PolicyVersion:
    return PolicyVersion(
        **{**dict(row), "body": msgspec.json.decode(row["body"]), "active": row["version"] == now}
    )


async def _note(work: Work, kind: str, data: dict[str, Any]) -> None:
    """A line of the journal. A version has a number and no id: the organisation stands for all of them."""
    await journal.write(work, journal.Entry(kind=kind, entity=ENTITY, entity_id=work.org_id, data=data))
