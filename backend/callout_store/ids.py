"""Ids are UUIDv7 (RFC 9562): they sort by time, so that primary keys stay dense, and a phone can make them offline."""

import base64
import os
from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """A fresh UUIDv7."""
    return uuid_utils.compat.uuid7()


def parse_id(text: str) -> UUID:
    """Parse the canonical 36-character form only; raises ValueError otherwise.

    `UUID()` also takes braces, `urn:` and bare hex, and a client that mixes spellings of one id would see two rows.
    """
    value = UUID(text)
    if str(value) != text.lower():
        raise ValueError("an id is written as 36 characters with four hyphens")
    return value


def new_secret(bytes_: int = 32) -> str:
    """A URL-safe secret of `bytes_` random bytes (32 = 256 bits)."""
    return base64.urlsafe_b64encode(os.urandom(bytes_)).rstrip(b"=").decode()
