"""The way in, over several units of work: sign in, refresh, sign out, and who a token belongs to.

Unlike the services beside it, this opens units of work itself, because three things must not share one: attempts stay
counted though the sign-in is refused, passwords are verified while no transaction is open, and the end of a session is
committed though the refresh is refused.
"""

import re
import time
from collections import OrderedDict
from typing import Final
from uuid import UUID
from weakref import WeakKeyDictionary

from msgspec import Struct

from callout_people.organisations import Organisation, organisation_by_slug
from callout_people.passwords import Passwords, shared
from callout_people.principals import Principal, Role
from callout_people.sessions import Tokens, end_sessions, open_session, read_refresh_token, rotate, session_of
from callout_people.throttle import LIMITS, Limits, Throttle
from callout_people.tokens import Claims, TokenIssuer
from callout_store.errors import BadCredentials, Busy, DeviceRevoked, NotAuthenticated, Refusal
from callout_store.ids import new_id
from callout_store.work import Actor, Database, Work

CACHE_S: Final = 5.0
CACHE_MAX: Final = 10_000
LOOKS_MAX: Final = 3
_SCHEME: Final = "bearer"
_SLUG: Final = re.compile(r"[a-z0-9-]{2,63}")
_EMAIL: Final = re.compile(r"[^\s\x00-\x1f\x7f\ud800-\udfff]{3,254}")


class SignedIn(Struct, frozen=True, kw_only=True):
    """A fresh sign-in: its tokens, who it is, and their organisation."""

    tokens: Tokens
    principal: Principal
    organisation: Organisation


class SignIn:
    """The doors' way to sessions. Cheap to make; its state is in the database and in the shared password pool."""

    def __init__(
        self, db: Database, issuer: TokenIssuer, *, passwords: Passwords | None = None, limits: Limits = LIMITS
    ) -> None:
        self._db = db
        self._issuer = issuer
        self._passwords = passwords or shared()
        self._throttle = Throttle(db, issuer, limits)

    async def login(self, *, slug: str, email: str, password: str, address: str | None) -> SignedIn:
        """Sign in by organisation, e-mail and password.

        Raises BadCredentials (never saying which of the three was wrong), TooManyAttempts, or Busy.
        """
        slug, email = _spelled(slug, _SLUG), _spelled(email, _EMAIL)
        counted = await self._throttle.login(slug=slug, email=email, address=address)
        async with self._db.work(None, org_slug=slug) as work:
            organisation = await organisation_by_slug(work, slug)
        # An unknown organisation takes the same steps as a known one, so that the time taken tells nothing.
        org_id = organisation.id if organisation else new_id()
        for _ in range(LOOKS_MAX):
            async with self._db.work(org_id) as work:
                user = await work.fetchrow(
                    "select id, name, role, locale, password_hash, active from app_user where email = $1", email
                )
            stored = user["password_hash"] if user else None
            try:
                fits = await self._passwords.verify(stored, password)
            except Busy:
                await self._throttle.take_back(counted)
                raise
            if not fits or organisation is None or user is None or not user["active"]:
                break
            renewed = await self._renewed(stored, password)
            async with self._db.work(org_id, actor=Actor(user_id=user["id"], role=user["role"])) as work:
                # The password was verified outside a transaction; meanwhile it may have been changed (then look again)
                # or the user been shut out (then the next look finds that).
                if not await self._holds(work, user["id"], stored, renewed):
                    continue
                tokens = await open_session(work, self._issuer, user_id=user["id"])
            await self._throttle.take_back(counted)
            principal = Principal(
                org_id=org_id,
                user_id=user["id"],
                role=Role(user["role"]),
                session_id=tokens.session_id,
                locale=user["locale"],
                name=user["name"],
            )
            return SignedIn(tokens=tokens, principal=principal, organisation=organisation)
        raise BadCredentials()

    async def refresh(self, *, refresh_token: str, address: str | None) -> Tokens:
        """Trade a refresh token for fresh tokens.

        Raises RefreshTokenInvalid, RefreshTokenReused (the session has ended), DeviceRevoked or TooManyAttempts.
        """
        counted = await self._throttle.refresh(token=refresh_token, address=address)
        token = read_refresh_token(refresh_token)
        async with self._db.work(token.org_id) as work:
            outcome = await rotate(work, self._issuer, token.secret)
        # Raised here, outside: an exception inside would have rolled the session's end back.
        if isinstance(outcome, Refusal):
            raise outcome
        await self._throttle.take_back(counted)
        return outcome

    async def logout(self, principal: Principal) -> None:
        """End the caller's session; its access token stops at once here, within CACHE_S in other processes' reads."""
        async with self._db.work(principal.org_id, actor=principal.actor()) as work:
            await end_sessions(work, [principal.session_id], reason="signed_out")
        forget(self._db, principal.session_id)

    async def logout_by_refresh_token(self, refresh_token: str) -> None:
        """End the session of a refresh token, for a client whose access token has run out. Unknown tokens change nothing."""
        token = read_refresh_token(refresh_token)
        async with self._db.work(token.org_id) as work:
            session_id = await session_of(work, token.secret)
            if session_id is not None:
                await end_sessions(work, [session_id], reason="signed_out")
        if session_id is not None:
            forget(self._db, session_id)

    async def _renewed(self, stored: str | None, password: str) -> str | None:
        """A new hash where the parameters have changed since; None where that is not so, or there is no room for it now."""
        if stored is None or not self._passwords.outdated(stored):
            return None
        try:
            return await self._passwords.hash(password)
        except Refusal:
            return None

    async def _holds(self, work: Work, user_id: UUID, stored: str | None, renewed: str | None) -> bool:
        """Lock the user against deactivation, check that the verified hash is still theirs, and renew it where asked."""
        lock = "for share" if renewed is None else "for update"
        holds = await work.fetchval(
            f"select true from app_user where id = $1 and active and password_hash = $2 {lock}", user_id, stored
        )
        if holds and renewed is not None:
            await work.execute("update app_user set password_hash = $2 where id = $1", user_id, renewed)
        return bool(holds)


_caches: WeakKeyDictionary[Database, OrderedDict[UUID, tuple[float, Principal]]] = WeakKeyDictionary()


async def authenticate(
    db: Database, issuer: TokenIssuer, header: str | None, *, cached: bool = False
) -> Principal | None:
    """Who sent `Authorization: Bearer <token>`; None where there is no such header.

    Session, user and role are read from the database each time, so that ending any of them takes effect at once. With
    `cached` an answer of this process may be up to CACHE_S old: for reads only.
    Raises NotAuthenticated for a header that is not a token of ours in good standing, DeviceRevoked for a revoked device.
    """
    if header is None:
        return None
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != _SCHEME or not token.strip():
        raise NotAuthenticated()
    return await recognise(db, issuer, token.strip(), cached=cached)


async def recognise(db: Database, issuer: TokenIssuer, token: str, *, cached: bool = False) -> Principal:
    """As `authenticate`, for a bare token, such as a socket's `connection_init` brings."""
    claims = issuer.verify(token)
    cache = _caches.setdefault(db, OrderedDict())
    if cached and (hit := cache.get(claims.sid)) is not None and time.monotonic() - hit[0] <= CACHE_S:
        # The cache is keyed by session: two tokens of one session are the same caller. Its organisation is not assumed.
        if (hit[1].org_id, hit[1].user_id, hit[1].device_id) == (claims.org, claims.sub, claims.did):
            return hit[1]
    looked_at = time.monotonic()
    try:
        async with db.work(claims.org) as work:
            principal = await _look(work, issuer, claims)
    except Refusal:
        cache.pop(claims.sid, None)
        raise
    cache[claims.sid] = (looked_at, principal)
    cache.move_to_end(claims.sid)
    if len(cache) > CACHE_MAX:
        cache.popitem(last=False)
    return principal


def _spelled(text: str, pattern: re.Pattern[str]) -> str:
    """The text as it would be stored; nothing at all for what cannot be stored, which then is found nowhere."""
    text = text.strip().lower()
    return text if pattern.fullmatch(text) else ""


def forget(db: Database, session_id: UUID) -> None:
    """Drop what this process remembers of a session."""
    if (cache := _caches.get(db)) is not None:
        cache.pop(session_id, None)


async def _look(work: Work, issuer: TokenIssuer, claims: Claims) -> Principal:
    row = await work.fetchrow(
        """
        select s.device_id, s.expires_at, s.ended_at, s.ended_reason, u.active, u.role, u.locale, u.name
        from session s join app_user u on u.org_id = s.org_id and u.id = s.user_id
        where s.id = $1 and s.user_id = $2
        """,
        claims.sid,
        claims.sub,
    )
    if row is None:
        raise NotAuthenticated()
    if row["ended_at"] is not None and row["ended_reason"] == "device_revoked":
        raise DeviceRevoked()
    if row["ended_at"] is not None or row["expires_at"] <= issuer.now():
        raise NotAuthenticated()
    if not row["active"] or row["device_id"] != claims.did:
        raise NotAuthenticated()
    return Principal(
        org_id=work.org_id,
        user_id=claims.sub,
        role=Role(row["role"]),
        session_id=claims.sid,
        device_id=row["device_id"],
        locale=row["locale"],
        name=row["name"],
    )
