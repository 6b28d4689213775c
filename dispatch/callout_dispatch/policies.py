"""An organisation's scheduling policies: stored as versions that are never edited, one of which is active.

Version 0 is the house's own and stands in no table. A version is stored whole, with every value spelled out, so that a
house that changes its defaults later changes nobody's policy.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_dispatch import policy_body
from callout_dispatch.policy import STANDARD, Policy, to_json
from callout_dispatch.texts import REASON_MAX, checked_line
from callout_orders import checks
from callout_store import journal
from callout_store.errors import NotFound
from callout_store.work import Work

ENTITY: Final = "scheduling_policy"
PAGE_MAX: Final = 200


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


async def active(work: Work) -> Policy:
    """The policy by which the organisation decides now; the house's own (version 0) until it activated one."""
    row = await work.fetchrow(
        """
        select p.version, p.body::text as body from dispatch_setting s
        join scheduling_policy p on p.org_id = s.org_id and p.version = s.policy_version
        where s.org_id = callout_org()
        """
    )
    return STANDARD if row is None else _policy(row["version"], row["body"])


async def version(work: Work, n: int) -> Policy:
    """One version of the organisation's policy, 0 being the house's own; NotFound when there is none."""
    if n == 0:
        return STANDARD
    row = await _row(work, n)
    return _policy(n, row["body"])


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
        select {_COLUMNS} from scheduling_policy
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
    """Store a policy as the next version and, where asked, decide by it from now on; its version.

    What `body` leaves out is as in the house's own. Raises BadField with the place in the JSON.
    """
    policy = policy_body.read(body)
    name = checked_line("body.name", policy.name, limit=Policy.NAME_MAX)
    why = checked_line("note", note, limit=REASON_MAX, blank=True)
    # Of two who save at once, the second waits here and makes the version after.
    await work.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"policy:{work.org_id}")
    number: int = await work.fetchval(
        """
        insert into scheduling_policy (version, name, body, note, created_at, created_by)
        select coalesce(max(version), 0) + 1, $1, $2::text::jsonb, $3, $4, $5
        from scheduling_policy where org_id = callout_org()
        returning version
        """,
        name,
        msgspec.json.encode(to_json(msgspec.structs.replace(policy, name=name))).decode(),
        why,
        work.now,
        work.actor.user_id,
    )
    await _note(work, "policy.saved", {"version": number, "name": name, "note": why})
    if activate:
        await _activate(work, number)
    return number


async def activate(work: Work, n: int) -> None:
    """Decide by this version from now on; 0 goes back to the house's own. Twice changes nothing. Raises NotFound."""
    if n != 0:
        await _row(work, n)
    await _activate(work, n)


async def active_version(work: Work) -> int:
    """The number of the active version, 0 being the house's own."""
    n: int | None = await work.fetchval(
        "select policy_version from dispatch_setting where org_id = callout_org()"
    )
    return n or 0


# ------------------------------------------------------------------------------------------------ rows

_COLUMNS: Final = "version, name, note, body::text as body, created_at, created_by"


async def _activate(work: Work, n: int) -> None:
    before = await work.fetchval(
        """
        insert into dispatch_setting (org_id) values (callout_org())
        on conflict (org_id) do update set org_id = excluded.org_id
        returning coalesce(policy_version, 0)
        """
    )
    if before == n:
        return
    await work.execute(
        "update dispatch_setting set policy_version = nullif($1, 0) where org_id = callout_org()", n
    )
    await _note(work, "policy.activated", {"version": n, "from": before})


async def _row(work: Work, n: int) -> Any:
    row = await work.fetchrow(
        f"select {_COLUMNS} from scheduling_policy where org_id = callout_org() and version = $1", n
    )
    if row is None:
        raise NotFound(entity="scheduling policy", path="version")
    return row


def _policy(n: int, body: str) -> Policy:
    return msgspec.structs.replace(msgspec.json.decode(body, type=Policy), version=n)


def _view(row: Any, now: int) -> PolicyVersion:
    return PolicyVersion(
        **{**dict(row), "body": msgspec.json.decode(row["body"]), "active": row["version"] == now}
    )


async def _note(work: Work, kind: str, data: dict[str, Any]) -> None:
    """A line of the journal. A version has a number and no id: the organisation stands for all of them."""
    await journal.write(work, journal.Entry(kind=kind, entity=ENTITY, entity_id=work.org_id, data=data))
