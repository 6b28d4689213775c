"""Tokens of customers' links: `base64url(organisation) . 256-bit secret`.

The first half says under whose row-level security the link is looked up. Only a token's SHA-256 is stored: whoever reads the
database can follow no link.
"""

import base64
import hashlib
import re
from typing import Final
from uuid import UUID

from callout_store.ids import new_secret

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}")


def new_token(org_id: UUID) -> str:
    """A fresh token of this organisation's, to be shown once."""
    return f"{base64.urlsafe_b64encode(org_id.bytes).rstrip(b'=').decode()}.{new_secret()}"


def organisation_of(token: str) -> UUID | None:
    """The organisation whose link this claims to be; None where it is no token at all."""
    if not _TOKEN.fullmatch(token):
        return None
    return UUID(bytes=base64.urlsafe_b64decode(token[:22] + "=="))


def digest(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).digest()
