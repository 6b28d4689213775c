"""Sessions: opened by a sign-in or an enrolment, kept alive by rotating refresh tokens, ended for good.

A refresh token is `base64url(organisation id).secret`; the database holds the secret's SHA-256 only. Each is good for
one rotation. Whoever presents a spent one has a copy that another has used already, so the whole session ends: thief
and owner cannot be told apart.

One exception, for phones in tunnels. If the answer to a rotation is lost, the phone can only send the spent token
again. Within LOST_ANSWER of its first use, and while its successor was not used by anyone, that is answered with the
same successor once more (`TokenIssuer.successors` makes it again from the spent secret). Parallel refreshes of one
token thus all get one and the same successor, and no session is left with two live ends.

Times here are the wall clock's (`issuer.now()`), also where the unit of work plays a fast day.
"""

import base64
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from weakref import WeakKeyDictionary

from msgspec import Struct

from callout_people.principals import Principal, Role
from callout_people.tokens import TokenIssuer
from callout_store.errors import (
    DeviceRevoked,
    NotAuthenticated,
    RefreshTokenInvalid,
    RefreshTokenReused,
    Refusal,
)
from callout_store.glance import glance
from callout_store.ids import new_id, new_secret
from callout_store.journal import Entry, write
from callout_store.work import Database, Work

SESSION_LIFETIME: Final = timedelta(days=90)
DEVICE_SESSION_LIFETIME: Final = timedelta(days=400)
LOST_ANSWER: Final = timedelta(seconds=30)
KEEP_ENDED: Final = timedelta(days=30)
CACHE_S: Final = 5.0
CACHE_MAX: Final = 10_000
_REFRESH_TOKEN: Final = re.compile(r"([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})")


class Tokens(Struct, frozen=True, kw_only=True):
    """What a client keeps: the access token for `expires_in_s` seconds, the refresh token for one use."""

    access_token: str
    expires_in_s: int
    refresh_token: str
    session_id: UUID


class RefreshToken(Struct, frozen=True, kw_only=True):
    """A refresh token taken apart."""

    org_id: UUID
    secret: str


def read_refresh_token(text: str) -> RefreshToken:
    """Take a refresh token apart; raises RefreshTokenInvalid for what is none."""
    match = _REFRESH_TOKEN.fullmatch(text)
    if match is None:
        raise RefreshTokenInvalid()
    return RefreshToken(org_id=UUID(bytes=base64.urlsafe_b64decode(match[1] + "==")), secret=match[2])


async def open_session(
    work: Work, issuer: TokenIssuer, *, user_id: UUID, device_id: UUID | None = None
) -> Tokens:
    """Open a session for a user who has proved to be one, and give it its first tokens."""
    now, session_id, secret = issuer.now(), new_id(), new_secret()
    lifetime = SESSION_LIFETIME if device_id is None else DEVICE_SESSION_LIFETIME
    await work.execute(
        "insert into session (id, user_id, device_id, created_at, expires_at) values ($1, $2, $3, $4, $5)",
        session_id,
        user_id,
        device_id,
        now,
        now + lifetime,
    )
    await _store(work, issuer, session_id, secret, now + lifetime)
    await write(
        work,
        Entry(kind="session.opened", entity="session", entity_id=session_id, data={"user": str(user_id)}),
    )
    return _tokens(issuer, work.org_id, user_id, session_id, device_id, secret)


async def rotate(work: Work, issuer: TokenIssuer, secret: str) -> Tokens | Refusal:
    """Trade a refresh token's secret for fresh tokens.

    A refusal is returned and not raised, because ending a session must be committed: the door raises it afterwards.
    """
    now, spent_hash = issuer.now(), _hash(secret)
    # The session's row is the lock of its whole family of tokens. The token itself is read after the lock is held,
    # since a row that is not locked shows as it was when the statement began.
    session = await work.fetchrow(
        """
        select s.id, s.user_id, s.device_id, s.expires_at, s.ended_at, s.ended_reason, u.active
        from session s join app_user u on u.org_id = s.org_id and u.id = s.user_id
        where s.id = (select session_id from refresh_token where token_hash = $1) for update of s
        """,
        spent_hash,
    )
    if session is None:
        return RefreshTokenInvalid()
    if session["ended_at"] is not None:
        return DeviceRevoked() if session["ended_reason"] == "device_revoked" else RefreshTokenInvalid()
    if session["expires_at"] <= now or not session["active"]:
        return RefreshTokenInvalid()
    token = await work.fetchrow(
        "select used_at, expires_at from refresh_token where token_hash = $1", spent_hash
    )
    if token is None:
        return RefreshTokenInvalid()
    candidates = issuer.successors(secret)
    if token["used_at"] is None:
        if token["expires_at"] <= now:
            return RefreshTokenInvalid()
        successor = candidates[0]
        await work.execute("update refresh_token set used_at = $2 where token_hash = $1", spent_hash, now)
        await _store(work, issuer, session["id"], successor, session["expires_at"])
    else:
        again = (
            await _unused(work, session["id"], candidates) if now - token["used_at"] <= LOST_ANSWER else None
        )
        if again is None:
            await end_sessions(work, [session["id"]], reason="refresh_token_reused")
            return RefreshTokenReused()
        successor = again
    return _tokens(issuer, work.org_id, session["user_id"], session["id"], session["device_id"], successor)


async def session_of(work: Work, secret: str) -> UUID | None:
    """The session that a refresh token's secret belongs to, spent or not; None where there is none."""
    found: UUID | None = await work.fetchval(
        "select session_id from refresh_token where token_hash = $1", _hash(secret)
    )
    return found


async def end_sessions(work: Work, session_ids: Sequence[UUID], *, reason: str) -> int:
    """End sessions for good: no refresh, and access tokens stop at the next look. Returns how many were open."""
    rows = await work.fetch(
        """
        with mine as (
            select org_id, id from session where id = any($1::uuid[]) and ended_at is null order by id for update
        )
        update session s set ended_at = now(), ended_reason = $2 from mine
        where s.org_id = mine.org_id and s.id = mine.id returning s.id
        """,
        list(session_ids),
        reason,
    )
    await write(
        work,
        *(
            Entry(kind="session.ended", entity="session", entity_id=row["id"], data={"reason": reason})
            for row in rows
        ),
    )
    return len(rows)


async def end_sessions_of_user(work: Work, user_id: UUID, *, reason: str, keep: UUID | None = None) -> int:
    """End a user's sessions, all but `keep`. Returns how many were open."""
    rows = await work.fetch(
        "select id from session where user_id = $1 and ended_at is null order by id", user_id
    )
    return await end_sessions(work, [row["id"] for row in rows if row["id"] != keep], reason=reason)


async def end_sessions_of_device(work: Work, device_id: UUID, *, reason: str = "device_revoked") -> int:
    """End the sessions that are bound to a device. Returns how many were open."""
    rows = await work.fetch(
        "select id from session where device_id = $1 and ended_at is null order by id", device_id
    )
    return await end_sessions(work, [row["id"] for row in rows], reason=reason)


async def mark_device_wiped(work: Work, device_id: UUID, wiped: bool) -> None:
    """From the next look on, the sessions of a stolen device are good for nothing but to tell it so; or again for all."""
    await work.execute(
        "update session set device_wiped = $2 where org_id = callout_org() and device_id = $1 and device_wiped <> $2",
        device_id,
        wiped,
    )


_caches: WeakKeyDictionary[Database, OrderedDict[UUID, tuple[float, Principal]]] = WeakKeyDictionary()


class Remembered(Struct, kw_only=True):
    """A principal of whatever age, to be compared with the database by the very transaction that acts for them, through
    `in_standing`. Until it is `confirmed`, nothing may have been done in their name."""

    principal: Principal
    at: datetime
    confirmed: bool = False

    @property
    def parameters(self) -> tuple[UUID, str, str, datetime]:
        """What `in_standing` compares with, from its first parameter on."""
        who = self.principal
        return who.session_id, who.role.value, who.locale, self.at


class NotAsRemembered(Exception):
    """The database no longer says of a principal what was remembered. Whoever asked looks again, and then knows why."""


def in_standing(n: int) -> str:
    """SQL: whether the session of a device `d` and its user `u` still is what a `Remembered` says, in parameters from `n` on.
    True where the first of them is null."""
    return f"""(${n}::uuid is null or exists (
        select 1 from session s
        where s.org_id = d.org_id and s.id = ${n}::uuid and s.user_id = u.id and s.device_id = d.id
          and s.ended_at is null and s.expires_at > ${n + 3}::timestamptz and not s.device_wiped
          and u.active and u.role = ${n + 1}::text and u.locale = ${n + 2}::text))"""


async def authenticate(
    db: Database, issuer: TokenIssuer, token: str, *, cached: bool = False, compared: bool = False
) -> Principal:
    """Who an access token belongs to. Opens a unit of work of its own, so it is called before any other is open.

    Session, user and role are read from the database each time, so that ending any of them takes effect at once. With
    `cached` an answer of this process may be up to CACHE_S old: for plain reads only. With `compared` it may have any age:
    for who has it compared by the transaction that counts (`Remembered`).
    Raises NotAuthenticated for a token that is not ours or not in good standing, DeviceRevoked for a revoked device's.
    """
    claims = issuer.verify(token)
    cache = _caches.setdefault(db, OrderedDict())
    hit = cache.get(claims.sid) if cached or compared else None
    if hit is not None and (compared or time.monotonic() - hit[0] <= CACHE_S):
        known = hit[1]
        if (known.org_id, known.user_id, known.device_id) == (claims.org, claims.sub, claims.did):
            return known
    looked_at = time.monotonic()
    try:
        principal = await _look(
            db, issuer, org_id=claims.org, session_id=claims.sid, user_id=claims.sub, device_id=claims.did
        )
    except Refusal:
        cache.pop(claims.sid, None)
        raise
    if principal.wiped:
        # Taken back, it must count at once.
        cache.pop(claims.sid, None)
        return principal
    cache[claims.sid] = (looked_at, principal)
    cache.move_to_end(claims.sid)
    if len(cache) > CACHE_MAX:
        cache.popitem(last=False)
    return principal


async def look_again(db: Database, issuer: TokenIssuer, known: Principal) -> Principal:
    """A principal as they stand now: for doors that stay open longer than a request, such as a socket.

    The access token is not asked for again; session, user, role and device are. Raises as `authenticate` does.
    """
    return await _look(
        db,
        issuer,
        org_id=known.org_id,
        session_id=known.session_id,
        user_id=known.user_id,
        device_id=known.device_id,
    )


def forget(db: Database, session_id: UUID) -> None:
    """Drop what this process remembers of a session."""
    if (cache := _caches.get(db)) is not None:
        cache.pop(session_id, None)


async def sweep(work: Work, now: datetime) -> int:
    """Drop what can no longer be used by anyone: tokens past their time and sessions ended or expired a month ago.

    A spent token stays until it would have expired, so that its reuse is noticed. Returns the number of rows dropped.
    """
    tokens = await work.execute("delete from refresh_token where expires_at < $1", now)
    sessions = await work.execute(
        "delete from session where least(expires_at, coalesce(ended_at, expires_at)) < $1", now - KEEP_ENDED
    )
    return tokens + sessions


async def _look(
    db: Database,
    issuer: TokenIssuer,
    *,
    org_id: UUID,
    session_id: UUID,
    user_id: UUID,
    device_id: UUID | None,
) -> Principal:
    row = await glance(db, "select * from look_session($1, $2, $3)", org_id, session_id, user_id)
    if row is None:
        raise NotAuthenticated()
    # Revoking a device ends its sessions in the same transaction: its row, an upper floor's, need not be read here.
    if row["ended_at"] is not None and row["ended_reason"] == "device_revoked":
        raise DeviceRevoked()
    if row["ended_at"] is not None or row["expires_at"] <= issuer.now():
        raise NotAuthenticated()
    if not row["active"] or row["device_id"] != device_id:
        raise NotAuthenticated()
    return Principal(
        org_id=org_id,
        user_id=user_id,
        role=Role(row["role"]),
        session_id=session_id,
        device_id=row["device_id"],
        locale=row["locale"],
        name=row["name"],
        wiped=row["device_wiped"],
    )


async def _store(
    work: Work, issuer: TokenIssuer, session_id: UUID, secret: str, session_expires_at: datetime
) -> None:
    now = issuer.now()
    await work.execute(
        "insert into refresh_token (id, session_id, token_hash, issued_at, expires_at) values ($1, $2, $3, $4, $5)",
        new_id(),
        session_id,
        _hash(secret),
        now,
        min(now + issuer.refresh_lifetime, session_expires_at),
    )


async def _unused(work: Work, session_id: UUID, candidates: Sequence[str]) -> str | None:
    by_hash = {_hash(secret): secret for secret in candidates}
    found = await work.fetchval(
        """
        select token_hash from refresh_token
        where session_id = $1 and token_hash = any($2::bytea[]) and used_at is null
        """,
        session_id,
        list(by_hash),
    )
    return None if found is None else by_hash[bytes(found)]


def _tokens(
    issuer: TokenIssuer, org_id: UUID, user_id: UUID, session_id: UUID, device_id: UUID | None, secret: str
) -> Tokens:
    access = issuer.issue(org_id=org_id, user_id=user_id, session_id=session_id, device_id=device_id)
    org = base64.urlsafe_b64encode(org_id.bytes).rstrip(b"=").decode()
    return Tokens(
        access_token=access.token,
        expires_in_s=access.expires_in_s,
        refresh_token=f"{org}.{secret}",
        session_id=session_id,
    )


def _hash(secret: str) -> bytes:
    # No salt and no stretching: the secret has 256 random bits already.
    return hashlib.sha256(secret.encode("ascii")).digest()
