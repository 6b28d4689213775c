"""The way in and out, over several units of work: sign in, refresh, sign out.

Unlike the services beside it, this opens units of work itself, because three things must not share one: attempts stay
counted though the sign-in is refused, passwords are verified while no transaction is open, and the end of a session is
committed though the refresh is refused.
"""

import re
from typing import Final
from uuid import UUID

from msgspec import Struct

from callout_people.organisations import Organisation, organisation_by_slug
from callout_people.passwords import Passwords, shared
from callout_people.principals import Principal, Role
from callout_people.sessions import (
    Tokens,
    end_sessions,
    forget,
    open_session,
    read_refresh_token,
    rotate,
    session_of,
)
from callout_people.throttle import LIMITS, Limits, Throttle
from callout_people.tokens import TokenIssuer
from callout_store.errors import BadCredentials, Busy, Refusal
from callout_store.ids import new_id
from callout_store.work import Actor, Database, Work

LOOKS_MAX: Final = 3
_UNSTORABLE: Final = re.compile(r"[\x00\ud800-\udfff]")


class SignedIn(Struct, frozen=True, kw_only=True):
    """A fresh sign-in: its tokens, who it is, and their organisation."""

    tokens: Tokens
    principal: Principal
    organisation: Organisation


class SignIn:
    """The doors' way to sessions. Cheap to make; its state is in the database and in the shared password pool."""

    def __init__(
        self,
        db: Database,
        issuer: TokenIssuer,
        *,
        passwords: Passwords | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self._db = db
        self._issuer = issuer
        self._passwords = passwords or shared()
        self._throttle = Throttle(db, issuer, limits)

    async def login(self, *, slug: str, email: str, password: str, address: str | None) -> SignedIn:
        """Sign in by organisation, e-mail and password.

        Raises BadCredentials (never saying which of the three was wrong), TooManyAttempts, or Busy.
        """
        slug, email = _storable(slug), _storable(email)
        counted = await self._throttle.login(slug=slug, email=email, address=address)
        async with self._db.work(None, org_slug=slug) as work:
            organisation = await organisation_by_slug(work, slug)
        # An unknown organisation takes the same steps as a known one, so that the time taken tells nothing.
        org_id = organisation.id if organisation else new_id()
        for _ in range(LOOKS_MAX):
            async with self._db.work(org_id) as work:
                user = await work.fetchrow(
                    "select id, name, role, locale, password_hash, active from app_user where email = $1",
                    email,
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
        """End a refresh token's session, for a client whose access token has run out. Unknown tokens change nothing."""
        token = read_refresh_token(refresh_token)
        async with self._db.work(token.org_id) as work:
            session_id = await session_of(work, token.secret)
            if session_id is not None:
                await end_sessions(work, [session_id], reason="signed_out")
        if session_id is not None:
            forget(self._db, session_id)

    async def _renewed(self, stored: str | None, password: str) -> str | None:
        """A new hash where the parameters have changed since; None where not, or where there is no room for it now."""
        if stored is None or not self._passwords.outdated(stored):
            return None
        try:
            return await self._passwords.hash(password)
        except Refusal:
            return None

    async def _holds(self, work: Work, user_id: UUID, stored: str | None, renewed: str | None) -> bool:
        """Lock the user against deactivation, check that the verified hash is still theirs, renew it where asked."""
        lock = "for share" if renewed is None else "for update"
        holds = await work.fetchval(
            f"select true from app_user where id = $1 and active and password_hash = $2 {lock}",
            user_id,
            stored,
        )
        if holds and renewed is not None:
            await work.execute("update app_user set password_hash = $2 where id = $1", user_id, renewed)
        return bool(holds)


def _storable(text: str) -> str:
    """The text as it would be stored; nothing at all for what cannot be stored, which then is found nowhere."""
    text = text.strip().lower()
    return "" if _UNSTORABLE.search(text) else text
