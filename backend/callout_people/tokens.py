"""Access tokens: JWT as RFC 9068 (`at+jwt`), signed with HS256 and nothing else, by a key derived from the secret.

The algorithm is ours to choose, not the token's: a token that names another is refused before any key is looked at. The
key id says which secret signed, so that a secret can be replaced while tokens of the one before still run out.

Lifetimes are told by the wall clock, even where the database's clock plays a fast day: a token is good for 15 minutes
of its owner's day, not of the play's.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from msgspec import Struct

from callout_store.clock import Clock, SystemClock
from callout_store.errors import NotAuthenticated
from callout_store.ids import new_id

ALGORITHM: Final = "HS256"
TYPE: Final = "at+jwt"
ISSUER: Final = "callout"
AUDIENCE: Final = "callout-api"
LIFETIME: Final = timedelta(minutes=15)
REFRESH_LIFETIME: Final = timedelta(days=60)
"""A phone may lie in a drawer for a month and still hand in its work."""
SKEW: Final = timedelta(seconds=10)
"""Two of our own servers may differ by this much. It is allowed on `iat` and `nbf` only; `exp` is sharp."""
TOKEN_CHARS_MAX: Final = 2048
KNOWN_MAX: Final = 10_000
SECRET_CHARS_MIN: Final = 16


class Claims(Struct, frozen=True, kw_only=True):
    """What an access token says. `sub` is the user, `sid` the session, `did` the device; times are UNIX seconds."""

    iss: str
    aud: str
    sub: UUID
    org: UUID
    sid: UUID
    jti: str
    iat: int
    nbf: int
    exp: int
    did: UUID | None = None


class Issued(Struct, frozen=True, kw_only=True):
    """A signed token and how long it lives."""

    token: str
    expires_in_s: int


class _Header(Struct, frozen=True, forbid_unknown_fields=True):
    alg: str
    typ: str
    kid: str


class TokenIssuer:
    """Signs and verifies. `secret` signs; `previous` secrets are still believed while their tokens run out.

    `lifetime` is an access token's, `refresh_lifetime` that of a refresh token that is not used.
    """

    def __init__(
        self,
        secret: str,
        *,
        previous: Sequence[str] = (),
        clock: Clock | None = None,
        lifetime: timedelta = LIFETIME,
        refresh_lifetime: timedelta = REFRESH_LIFETIME,
    ) -> None:
        for text in (secret, *previous):
            if len(text) < SECRET_CHARS_MIN:
                raise ValueError(f"a secret has at least {SECRET_CHARS_MIN} characters")
        self.lifetime, self.refresh_lifetime = lifetime, refresh_lifetime
        self.clock: Clock = clock or SystemClock()
        self._secrets = (secret, *previous)
        keys = [derive(text, "access-token") for text in self._secrets]
        self._keys = {_key_id(key): OctKey.import_key(key) for key in reversed(keys)}
        self._kid = _key_id(keys[0])
        self._known: dict[bytes, Claims] = {}

    def __repr__(self) -> str:
        return f"TokenIssuer(kid={self._kid!r})"

    def now(self) -> datetime:
        """The wall clock's instant, by which sessions, codes and attempts are timed as well."""
        return self.clock.now()

    def issue(
        self, *, org_id: UUID, user_id: UUID, session_id: UUID, device_id: UUID | None = None
    ) -> Issued:
        """An access token for a session, good for `lifetime`."""
        now = int(self.now().timestamp())
        claims = Claims(
            iss=ISSUER,
            aud=AUDIENCE,
            sub=user_id,
            org=org_id,
            sid=session_id,
            did=device_id,
            jti=str(new_id()),
            iat=now,
            nbf=now,
            exp=now + int(self.lifetime.total_seconds()),
        )
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": self._kid}
        token = jwt.encode(header, msgspec.to_builtins(claims), self._keys[self._kid], algorithms=[ALGORITHM])
        return Issued(token=token, expires_in_s=int(self.lifetime.total_seconds()))

    def verify(self, token: str) -> Claims:
        """What the token says; raises NotAuthenticated for any token that is not wholly ours and current.

        Every reason gets the same refusal: whoever forges learns nothing from it.
        """
        if len(token) > TOKEN_CHARS_MAX:
            raise NotAuthenticated()
        # A phone shows the same token some hundred times: what it says under our signature does not change.
        known = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        claims = self._known.get(known)
        if claims is None:
            claims = self._read(token)
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[known] = claims
        now, skew_s = self.now().timestamp(), SKEW.total_seconds()
        current = max(claims.iat, claims.nbf) <= now + skew_s and now < claims.exp
        # A lifetime longer than ours was not given by us, whatever the signature says.
        ours = claims.exp - claims.iat <= self.lifetime.total_seconds()
        if claims.iss != ISSUER or claims.aud != AUDIENCE or not current or not ours:
            raise NotAuthenticated()
        return claims

    def _read(self, token: str) -> Claims:
        try:
            key = self._keys[_read_header(token).kid]
            return msgspec.convert(jwt.decode(token, key, algorithms=[ALGORITHM]).claims, Claims, strict=True)
        except (JoseError, msgspec.MsgspecError, KeyError, ValueError, TypeError, RecursionError) as fault:
            raise NotAuthenticated() from fault

    def digest(self, purpose: str, *parts: str) -> str:
        """A keyed hash (hex) of texts that must not be stored as they are, such as an address whose tries count."""
        text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
        return hmac.new(derive(self._secrets[0], purpose), text, hashlib.sha256).hexdigest()

    def successors(self, refresh_secret: str) -> list[str]:
        """The refresh secret that follows this one: by today's secret first, then as earlier secrets made it.

        256 bits by HMAC, so that a rotation whose answer was lost on the way can be answered again with the same
        successor though only its hash was stored.
        """
        return [
            base64.urlsafe_b64encode(
                hmac.new(
                    derive(text, "refresh-successor"), refresh_secret.encode("ascii"), hashlib.sha256
                ).digest()
            )
            .rstrip(b"=")
            .decode()
            for text in self._secrets
        ]


def derive(secret: str, purpose: str) -> bytes:
    """A 256-bit key of its own for each purpose (the one-block HKDF-Expand of RFC 5869 over HKDF-Extract)."""
    extracted = hmac.new(b"callout", secret.encode(), hashlib.sha256).digest()
    return hmac.new(extracted, purpose.encode() + b"\x01", hashlib.sha256).digest()


def _key_id(key: bytes) -> str:
    return hmac.new(key, b"key-id", hashlib.sha256).hexdigest()[:16]


def _read_header(token: str) -> _Header:
    """The header, before any key is chosen by it: only our three members, only our algorithm and type."""
    part = token.split(".", 1)[0]
    header = msgspec.json.decode(
        base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True), type=_Header
    )
    if header.alg != ALGORITHM or header.typ != TYPE:
        raise ValueError("another algorithm or type")
    return header
