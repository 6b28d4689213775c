"""A reader's own link: `/n/<token>`. No token is stored: it is the notice's id under the house's key (HMAC-SHA256).

Whoever has it may see the order's number, state and deadline, and say that the notice was read or acknowledged.
"""

import base64
import hashlib
import hmac
import re
from typing import Final
from uuid import UUID

import msgspec

from callout_store.errors import NoticeLinkInvalid

PATH: Final = "/n"
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{64}")
_MAC_BYTES: Final = 16


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """What a link names."""

    org_id: UUID
    notice_id: UUID


def token(secret: str, org_id: UUID, notice_id: UUID) -> str:
    """The token of a notice's link, 64 characters."""
    named = org_id.bytes + notice_id.bytes
    return base64.urlsafe_b64encode(named + _mac(secret, named)).decode()


def read(secret: str, given: str) -> Named:
    """What a token names. Raises NoticeLinkInvalid."""
    if not _TOKEN.fullmatch(given):
        raise NoticeLinkInvalid()
    raw = base64.urlsafe_b64decode(given)
    named, mac = raw[:32], raw[32:]
    if not hmac.compare_digest(mac, _mac(secret, named)):
        raise NoticeLinkInvalid()
    return Named(org_id=UUID(bytes=named[:16]), notice_id=UUID(bytes=named[16:]))


def _mac(secret: str, named: bytes) -> bytes:
    return hmac.new(secret.encode(), b"callout.notice." + named, hashlib.sha256).digest()[:_MAC_BYTES]
