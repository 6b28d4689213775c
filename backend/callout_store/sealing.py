"""Secrets of others at rest: what a tenant trusts us with (a mailbox's password, a robot's key) is sealed, then stored.

Each value is encrypted by itself with AES-256-GCM, under a key that is derived (HKDF-SHA256) from the installation's signing
secret, and bound to its place: organisation, row and name are authenticated with it, so that a sealed value that somebody
moves elsewhere in the database opens nowhere. The names stay readable: who looks at a channel sees which secrets are set.

    {"<name>": {"k": "<key id>", "s": "<base64 of 12 random bytes and the cipher text>"}}

The key id says under which secret a value was sealed. After the signing secret was changed, values open as long as the old
one is named as an earlier one; `renew` seals them anew.
"""

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES: Final = 12
_KEY: Final = b"callout: secrets at rest, key"
_ID: Final = b"callout: secrets at rest, name of the key"


class Unreadable(Exception):
    """A sealed value that none of our keys opens: the signing secret was changed, or the value was tampered with."""


class _Sealed(msgspec.Struct, frozen=True):
    k: str
    s: str


class Seal:
    """Seals and opens. `secrets` gives the signing secret and earlier ones, the present one first; it is asked once, late."""

    def __init__(self, secrets: Callable[[], Sequence[str]]) -> None:
        self._secrets = secrets
        self._keys: dict[str, AESGCM] = {}

    @property
    def key_id(self) -> str:
        """Under which key values are sealed now."""
        return next(iter(self._open_keys()))

    def seal(self, org_id: UUID, place: str, values: Mapping[str, str]) -> str:
        """The values as JSON to be stored at `place`, a row's name such as `notice_channel/<id>`."""
        name, key = next(iter(self._open_keys().items()))
        out = {}
        for what, value in values.items():
            nonce = os.urandom(NONCE_BYTES)
            sealed = nonce + key.encrypt(nonce, value.encode(), _where(org_id, place, what))
            out[what] = _Sealed(name, base64.b64encode(sealed).decode())
        return msgspec.json.encode(out).decode()

    def open(self, org_id: UUID, place: str, stored: str) -> dict[str, str]:
        """The values that were stored at `place`. Raises Unreadable."""
        return {
            what: self._opened(org_id, place, what, one)
            for what, one in msgspec.json.decode(stored, type=dict[str, _Sealed]).items()
        }

    def renewed(self, org_id: UUID, place: str, stored: str) -> str | None:
        """What was stored, sealed anew under the present key; None where it is already, or cannot be opened any more."""
        sealed = msgspec.json.decode(stored, type=dict[str, _Sealed])
        if all(one.k == self.key_id for one in sealed.values()):
            return None
        try:
            return self.seal(org_id, place, self.open(org_id, place, stored))
        except Unreadable:
            return None

    def _opened(self, org_id: UUID, place: str, what: str, sealed: _Sealed) -> str:
        key = self._open_keys().get(sealed.k)
        if key is None:
            raise Unreadable(f"{place}: {what} was sealed under another signing secret ({sealed.k})")
        try:
            raw = base64.b64decode(sealed.s, validate=True)
            return key.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _where(org_id, place, what)).decode()
        except (InvalidTag, ValueError):
            raise Unreadable(f"{place}: {what} was not sealed for this place") from None

    def _open_keys(self) -> dict[str, AESGCM]:
        if not self._keys:
            self._keys = {
                _derived(secret, _ID, 4).hex(): AESGCM(_derived(secret, _KEY, 32))
                for secret in self._secrets()
            }
        return self._keys


def names(stored: str) -> tuple[str, ...]:
    """The names of the secrets that are set; nothing is opened for that."""
    return tuple(sorted(msgspec.json.decode(stored, type=dict[str, _Sealed])))


def _where(org_id: UUID, place: str, what: str) -> bytes:
    return f"{org_id}\n{place}\n{what}".encode()


def _derived(secret: str, purpose: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=purpose).derive(secret.encode())
