"""Keys of other systems: made, shown once, known by their hash from then on, replaced with an overlap, revoked.

A system is a user of the role `integration`, so that the journal names it whatever key it came with. A key is
`ck_` + base64url(organisation id) + `.` + 256 random bits; the database holds the SHA-256 of the latter.

How often a key may call is a token bucket in its row, filled by the database's clock: it holds for all processes together,
costs the one statement that looks the key up, and needs no Redis (T2).
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from callout_people.principals import SCOPES, Principal, Role
from callout_people.texts import line, locale_code
from callout_people.users import NewUser, create_user
from callout_store.clock import SystemClock
from callout_store.errors import BadField, LimitExceeded, NotAuthenticated, NotFound, TooManyRequests
from callout_store.glance import glance
from callout_store.ids import new_id, new_secret
from callout_store.journal import Entry, write
from callout_store.work import Database, Work

START: Final = "ck_"
PREFIX_CHARS: Final = 8
KEYS_MAX: Final = 200
"""Keys of one organisation that are good for something."""
ALL_KEYS_MAX: Final = 2 * KEYS_MAX
"""With those that were replaced and go on for a while: a key that leaked must be replaced also where there is no room."""
RATE_PER_S: Final = 3
"""Calls a second, where nothing else is said (T2)."""
BURST: Final = 10
RATE_MAX, BURST_MAX = 1000, 10_000
DAYS_MAX: Final = 1100
OVERLAP_HOURS_MAX: Final = 24 * 30
_KEY: Final = re.compile(r"ck_([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})")
_COLUMNS: Final = """k.id, k.user_id, u.name, k.prefix, k.scopes, k.rate_per_s, k.burst, k.created_at, k.created_by,
    k.expires_at, k.last_used_at, k.revoked_at, k.replaced_by_id"""
_GOOD: Final = "k.revoked_at is null and (k.expires_at is null or k.expires_at > {now})"
_wall: Final = SystemClock()
"""Keys run out by the wall clock, as tokens do: also where the database's plays a fast day."""


class ApiKey(Struct, frozen=True, kw_only=True):
    """A key as an admin may see it: `prefix` is the beginning of its secret part. `user_id` is the system that the journal
    names; `replaced_by_id` the key that takes over."""

    id: UUID
    user_id: UUID
    name: str
    prefix: str
    scopes: list[str]
    rate_per_s: int
    burst: int
    created_at: datetime
    created_by: UUID | None
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    replaced_by_id: UUID | None


class Made(Struct, frozen=True, kw_only=True):
    """A fresh key and the one time that its text can be had."""

    key: ApiKey
    text: str


async def create(
    work: Work,
    *,
    name: str,
    scopes: Sequence[str],
    days: int | None = None,
    rate_per_s: int = RATE_PER_S,
    burst: int = BURST,
    locale: str = "en",
) -> Made:
    """Make a system and its first key, good for `days` (None: until it is revoked). Raises BadField or LimitExceeded."""
    name, locale = line(name, "name"), locale_code(locale, "locale")
    scopes = _scopes(scopes)
    rate_per_s = _number("ratePerS", rate_per_s, RATE_MAX)
    burst = _number("burst", burst, BURST_MAX)
    await _room(work, KEYS_MAX)
    id_ = new_id()
    user_id = await create_user(
        work, NewUser(email=f"{id_.hex}@key.invalid", name=name, role=Role.INTEGRATION, locale=locale)
    )
    return await _make(work, id_, user_id, scopes, _until(days), rate_per_s, burst)


async def rotate(work: Work, key_id: UUID, *, overlap_hours: int = 24, days: int | None = None) -> Made:
    """A new key of the same system, with the same scopes and rate; the old one goes on for `overlap_hours` (0: it ends).
    Without `days` it ends when the old one would have.

    Raises NotFound where there is no such key in use, LimitExceeded where too many replaced ones still are.
    """
    if not 0 <= overlap_hours <= OVERLAP_HOURS_MAX:
        raise BadField(path="overlapHours", why=f"it must lie between 0 and {OVERLAP_HOURS_MAX}")
    old = await work.fetchrow(
        """
        select user_id, scopes, rate_per_s, burst, expires_at from api_key
        where org_id = callout_org() and id = $1 and revoked_at is null and replaced_by_id is null
          and (expires_at is null or expires_at > $2)
        for update
        """,
        key_id,
        _wall.now(),
    )
    if old is None:
        raise NotFound(entity="API key", path="id")
    await _room(work, ALL_KEYS_MAX)
    made = await _make(
        work,
        new_id(),
        old["user_id"],
        old["scopes"],
        old["expires_at"] if days is None else _until(days),
        old["rate_per_s"],
        old["burst"],
    )
    ends = _wall.now() + timedelta(hours=overlap_hours)
    await work.execute(
        """
        update api_key set replaced_by_id = $2, expires_at = least(coalesce(expires_at, $3), $3)
        where org_id = callout_org() and id = $1
        """,
        key_id,
        made.key.id,
        ends,
    )
    await write(
        work,
        Entry(
            kind="api_key.rotated",
            entity="api_key",
            entity_id=key_id,
            data={"by": made.key.id, "until": ends.isoformat()},
        ),
    )
    return made


async def revoke(work: Work, key_id: UUID) -> ApiKey:
    """End a key at once; revoking twice is revoking once. Raises NotFound."""
    changed = await work.execute(
        "update api_key set revoked_at = $2 where org_id = callout_org() and id = $1 and revoked_at is null",
        key_id,
        _wall.now(),
    )
    if changed:
        await write(work, Entry(kind="api_key.revoked", entity="api_key", entity_id=key_id))
    return await by_id(work, key_id)


async def by_id(work: Work, key_id: UUID) -> ApiKey:
    """One key. Raises NotFound."""
    row = await work.fetchrow(
        f"select {_COLUMNS} from api_key k join app_user u on u.org_id = k.org_id and u.id = k.user_id "
        "where k.org_id = callout_org() and k.id = $1",
        key_id,
    )
    if row is None:
        raise NotFound(entity="API key", path="id")
    return ApiKey(**dict(row))


async def listed(work: Work, *, ended: bool = False) -> list[ApiKey]:
    """The organisation's keys, newest first; `ended`: those that are over as well, as many as there is room for behind the
    others, of which none is left out."""
    rows = await work.fetch(
        f"""
        select {_COLUMNS} from api_key k join app_user u on u.org_id = k.org_id and u.id = k.user_id
        cross join lateral (select {_GOOD.format(now="$2")} as good) as t
        where k.org_id = callout_org() and ($1 or t.good)
        order by t.good desc, k.id desc limit $3
        """,
        ended,
        _wall.now(),
        ALL_KEYS_MAX,
    )
    return [ApiKey(**dict(row)) for row in rows]


def is_key(text: str) -> bool:
    """Whether this looks like one of our keys, and not like an access token."""
    return text.startswith(START)


async def authenticate(db: Database, text: str) -> Principal:
    """Whose key this is; one call is taken from its bucket. Raises NotAuthenticated, or TooManyRequests when it is empty."""
    match = _KEY.fullmatch(text)
    if match is None:
        raise NotAuthenticated()
    org_id = UUID(bytes=base64.urlsafe_b64decode(match[1] + "=="))
    row = await glance(db, "select * from look_api_key($1, $2)", org_id, _hash(match[2]))
    if row is None or not row["active"] or row["revoked_at"] is not None:
        raise NotAuthenticated()
    if row["expires_at"] is not None and row["expires_at"] <= _wall.now():
        raise NotAuthenticated()
    if row["wait_s"] > 0:
        raise TooManyRequests(
            retry_after_ms=max(1, int(row["wait_s"] * 1000) + 1), limit=row["rate_per_s"], window_s=1
        )
    return Principal(
        org_id=org_id,
        user_id=row["user_id"],
        role=Role.INTEGRATION,
        session_id=row["id"],
        locale=row["locale"],
        name=row["name"],
        # A scope that a later version took away allows nothing.
        scopes=frozenset(scope for scope in row["scopes"] if scope in SCOPES),
    )


async def _make(
    work: Work,
    id_: UUID,
    user_id: UUID,
    scopes: Sequence[str],
    expires_at: datetime | None,
    rate_per_s: int,
    burst: int,
) -> Made:
    secret = new_secret()
    await work.execute(
        """
        insert into api_key (id, user_id, prefix, secret_hash, scopes, rate_per_s, burst, tokens, filled_at, created_at,
                             created_by, expires_at)
        values ($1, $2, $3, $4, $5, $6::int, $7::int, $7::int, now(), $8, $9, $10)
        """,
        id_,
        user_id,
        secret[:PREFIX_CHARS],
        _hash(secret),
        list(scopes),
        rate_per_s,
        burst,
        _wall.now(),
        work.actor.user_id,
        expires_at,
    )
    await write(
        work,
        Entry(
            kind="api_key.created",
            entity="api_key",
            entity_id=id_,
            data={"user": user_id, "prefix": secret[:PREFIX_CHARS], "scopes": list(scopes)},
        ),
    )
    org = base64.urlsafe_b64encode(work.org_id.bytes).rstrip(b"=").decode()
    return Made(key=await by_id(work, id_), text=f"{START}{org}.{secret}")


async def _room(work: Work, limit: int) -> None:
    good: Any = await work.fetchval(
        f"select count(*) from api_key k where k.org_id = callout_org() and {_GOOD.format(now='$1')}",
        _wall.now(),
    )
    if good >= limit:
        raise LimitExceeded(what="API keys", limit=limit, given=good + 1)


def _scopes(given: Sequence[str]) -> list[str]:
    if not given:
        raise BadField(path="scopes", why=f"it names none of {', '.join(sorted(SCOPES))}")
    for n, scope in enumerate(given):
        if scope not in SCOPES:
            raise BadField(path=f"scopes.{n}", why=f"the scopes are {', '.join(sorted(SCOPES))}")
    return sorted(set(given))


def _number(path: str, value: int, high: int) -> int:
    if not 1 <= value <= high:
        raise BadField(path=path, why=f"it must lie between 1 and {high}")
    return value


def _until(days: int | None) -> datetime | None:
    if days is None:
        return None
    return _wall.now() + timedelta(days=_number("days", days, DAYS_MAX))


def _hash(secret: str) -> bytes:
    # 256 random bits need neither salt nor stretching.
    return hashlib.sha256(secret.encode("ascii")).digest()
