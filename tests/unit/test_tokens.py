"""Access tokens: what is not wholly ours and current is refused, whatever the token says about itself."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from callout_people.tokens import ISSUER, LIFETIME, TokenIssuer, derive
from callout_store.clock import ManualClock
from callout_store.errors import NotAuthenticated
from callout_store.ids import new_id

SECRET, OLD_SECRET = "a secret for these tests only", "the secret that was used before"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
WHO = {"org_id": new_id(), "user_id": new_id(), "session_id": new_id()}


def issuer(secret: str = SECRET, **more: Any) -> TokenIssuer:
    return TokenIssuer(secret, clock=ManualClock(START), **more)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def read(token: str, n: int) -> dict[str, Any]:
    text = token.split(".")[n]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))  # type: ignore[no-any-return]


def signed(
    header: dict[str, Any], claims: Any, *, key: bytes | None = None, digest: Any = hashlib.sha256
) -> str:
    """A token as someone would make it who holds our own key, so that only the tested flaw is at fault."""
    text = f"{part(header)}.{part(claims)}"
    mac = hmac.new(key or derive(SECRET, "access-token"), text.encode(), digest).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def changed(*, header: dict[str, Any] | None = None, drop: str = "", **claims: Any) -> str:
    token = issuer().issue(**WHO).token
    new_claims = {**read(token, 1), **claims}
    new_claims.pop(drop, None)
    return signed({**read(token, 0), **(header or {})}, new_claims)


def test_a_token_says_what_it_was_issued_for() -> None:
    """Without this a caller would act as another user or in another organisation."""
    device = new_id()
    claims = issuer().verify(issuer().issue(**WHO, device_id=device).token)
    assert (claims.org, claims.sub, claims.sid, claims.did) == (
        WHO["org_id"],
        WHO["user_id"],
        WHO["session_id"],
        device,
    )
    assert read(issuer().issue(**WHO).token, 0) == {"alg": "HS256", "typ": "at+jwt", "kid": issuer()._kid}


def test_the_forger_of_these_tests_can_make_a_good_token() -> None:
    """Were it unable to, every refusal below would pass for the wrong reason."""
    assert issuer().verify(changed()).sub == WHO["user_id"]


NOW = int(START.timestamp())
FORGED: dict[str, str] = {
    "no algorithm": f"{part({'alg': 'none', 'typ': 'at+jwt', 'kid': issuer()._kid})}.{changed().split('.')[1]}.",
    "algorithm none, signed": changed(header={"alg": "none"}),
    "another algorithm of the same family": changed(header={"alg": "HS512"}),
    "an asymmetric algorithm with our key": changed(header={"alg": "RS256"}),
    "an ID token": changed(header={"typ": "JWT"}),
    "another key id": changed(header={"kid": "0" * 16}),
    "a key brought along": changed(header={"jwk": {"kty": "oct", "k": "AAAA"}}),
    "a key to be fetched": changed(header={"jku": "https://evil.example/keys"}),
    "another audience": changed(aud="another-api"),
    "a list of audiences": changed(aud=["callout-api"]),
    "another issuer": changed(iss="someone"),
    "no subject": changed(drop="sub"),
    "no organisation": changed(drop="org"),
    "no expiry": changed(drop="exp"),
    "no session": changed(drop="sid"),
    "an expiry in words": changed(exp="never"),
    "expired this second": changed(iat=NOW - 900, nbf=NOW - 900, exp=NOW),
    "not yet": changed(nbf=NOW + 60),
    "issued in the future": changed(iat=NOW + 60, exp=NOW + 120),
    "a life of ten years": changed(exp=NOW + 10 * 365 * 86400),
    "claims that are a list": signed(read(changed(), 0), [1]),
    "signed with another key": signed(read(changed(), 0), read(changed(), 1), key=b"x" * 32),
    "cut short": changed()[:-3],
    "empty": "",
    "words": "not a token",
    "two parts": ".".join(changed().split(".")[:2]),
    "not base64": "ä.ö.ü",
    "very long": "a" * 100_000,
    "deep header": base64.urlsafe_b64encode(b"[" * 1400).decode() + ".e30.e30",
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED.keys())
def test_what_is_not_ours_is_refused(token: str) -> None:
    """Each of these, accepted, would let someone in who was never signed in."""
    with pytest.raises(NotAuthenticated):
        issuer().verify(token)


def test_a_token_ends_after_fifteen_minutes() -> None:
    """A token read from a log or a screen must be worthless soon."""
    clock = ManualClock(START)
    ours = TokenIssuer(SECRET, clock=clock)
    token = ours.issue(**WHO).token
    clock.advance(LIFETIME - timedelta(seconds=1))
    assert ours.verify(token).iss == ISSUER
    clock.advance(timedelta(seconds=1))
    with pytest.raises(NotAuthenticated):
        ours.verify(token)


def test_the_secret_can_be_replaced_without_signing_everyone_out() -> None:
    """After a change of the secret, phones in the field go on; once the old one is dropped, its tokens are void."""
    old = issuer(OLD_SECRET).issue(**WHO).token
    assert issuer(previous=[OLD_SECRET]).verify(old).sub == WHO["user_id"]
    assert read(issuer(previous=[OLD_SECRET]).issue(**WHO).token, 0)["kid"] == issuer()._kid
    with pytest.raises(NotAuthenticated):
        issuer().verify(old)
    # A refresh whose answer was lost during the change finds the successor that the old secret made.
    assert issuer(OLD_SECRET).successors("s")[0] in issuer(previous=[OLD_SECRET]).successors("s")


def test_keys_of_different_purposes_differ() -> None:
    """A value shown to a client must never be the key of something else."""
    made = {
        derive(SECRET, purpose) for purpose in ("access-token", "refresh-successor", "throttle-login-account")
    }
    assert len(made) == 3
    assert issuer().digest("a", "b", "c") != issuer().digest("a", "bc")


def test_a_short_secret_is_refused_and_none_is_shown() -> None:
    """`secret` as the secret would let everyone sign; a secret in a stack trace would too."""
    with pytest.raises(ValueError, match="at least 16"):
        TokenIssuer("short")
    assert SECRET not in repr(issuer())
