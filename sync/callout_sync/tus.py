"""The words of tus 1.0.0: its headers, read. No I/O.

Every header has one reading here and one refusal; nothing is guessed. Numbers are plain ASCII digits, base64 is strict.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

from msgspec import Struct

from callout_contracts.limits import UPLOAD_BYTES_MAX, UPLOAD_METADATA_CHARS_MAX, UPLOAD_PARTS_MAX
from callout_store.ids import parse_id
from callout_sync.upload_refusals import (
    TusVersionRefused,
    UploadChecksumInvalid,
    UploadConcatInvalid,
    UploadLengthInvalid,
    UploadMetadataInvalid,
    UploadOffsetInvalid,
    UploadTooLarge,
)

VERSION: Final = "1.0.0"
EXTENSIONS: Final = (
    "creation",
    "creation-with-upload",
    "termination",
    "expiration",
    "checksum",
    "concatenation",
)
CHECKSUMS: Final = ("sha1", "sha256", "md5")
DIGITS_MAX: Final = 15
KINDS: Final = ("photo", "signature")
BYTES_TYPE: Final = "application/offset+octet-stream"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_KEY: Final = re.compile(r"[!-+\--~]{1,100}")
"""Printable ASCII without blank and comma."""


class Metadata(Struct, frozen=True, kw_only=True):
    """What a phone says of a file. `sha256` is None only where it was not asked for (a part of a larger file)."""

    text: str
    sha256: bytes | None = None
    kind: Literal["photo", "signature"] | None = None
    filename: str | None = None
    filetype: str | None = None


class Concat(Struct, frozen=True, kw_only=True):
    """Whether an upload is a file, a part of one, or parts joined; `parts` in their order."""

    kind: Literal["whole", "partial", "final"] = "whole"
    parts: tuple[UUID, ...] = ()
    text: str = ""


class Checksum(Struct, frozen=True):
    """What the bytes of one request should come to."""

    algorithm: str
    digest: bytes

    def start(self) -> Any:
        """A fresh hash of the algorithm."""
        return hashlib.new(self.algorithm, usedforsecurity=False)


def check_version(value: str | None) -> None:
    """Refuse a request of another version of tus, or of none."""
    if value != VERSION:
        raise TusVersionRefused(spoken=VERSION, given=(value or "nothing")[:40])


def read_length(value: str | None) -> int:
    """Upload-Length in bytes, 1 to the limit."""
    number = _digits(value)
    if number is None:
        raise UploadLengthInvalid(why="a whole number of bytes is needed when an upload is created")
    if number == 0:
        raise UploadLengthInvalid(why="an empty file is no picture")
    if number > UPLOAD_BYTES_MAX:
        raise UploadTooLarge(limit=UPLOAD_BYTES_MAX, given=number)
    return number


def read_offset(value: str | None) -> int:
    """Upload-Offset in bytes."""
    number = _digits(value)
    if number is None:
        raise UploadOffsetInvalid()
    return number


def _digits(value: str | None) -> int | None:
    if value is None or not (value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX):
        return None
    return int(value)


def read_metadata(value: str | None, *, sha256_needed: bool) -> Metadata:
    """Upload-Metadata: `key base64,key base64`. Keys that are not ours are kept and not looked at."""
    text = (value or "").strip()
    if len(text) > UPLOAD_METADATA_CHARS_MAX:
        raise UploadMetadataInvalid(why=f"it is longer than {UPLOAD_METADATA_CHARS_MAX} characters")
    found = _pairs(text) if text else {}
    sha256 = found.get("sha256")
    if sha256 is None and sha256_needed:
        raise UploadMetadataInvalid(path="sha256", why="it does not name the file's sha256")
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise UploadMetadataInvalid(path="sha256", why="a sha256 is 64 hexadecimal digits in small letters")
    kind = found.get("kind")
    if kind not in (None, *KINDS):
        raise UploadMetadataInvalid(path="kind", why=f"kind is one of {', '.join(KINDS)}")
    filetype = (found.get("filetype") or "").strip().lower()
    if filetype and filetype != "application/octet-stream" and not filetype.startswith("image/"):
        raise UploadMetadataInvalid(path="filetype", why="only pictures are taken")
    return Metadata(
        text=text,
        sha256=bytes.fromhex(sha256) if sha256 is not None else None,
        kind=kind,  # type: ignore[arg-type]
        filename=found.get("filename"),
        filetype=filetype or None,
    )


def _pairs(text: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for pair in text.split(","):
        key, _, coded = pair.strip().partition(" ")
        if not _KEY.fullmatch(key):
            raise UploadMetadataInvalid(why="a key is printable ASCII without blanks and commas")
        if key in found:
            raise UploadMetadataInvalid(path=key, why="a key stands there twice")
        try:
            plain = base64.b64decode(coded.strip(), validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            raise UploadMetadataInvalid(path=key, why="a value is base64 of UTF-8") from None
        if "\x00" in plain:
            raise UploadMetadataInvalid(path=key, why="a value holds U+0000")
        found[key] = plain
    return found


def read_concat(value: str | None) -> Concat:
    """Upload-Concat: nothing, `partial`, or `final;` and the parts' addresses, absolute or not."""
    if value is None:
        return Concat()
    text = value.strip()
    if text == "partial":
        return Concat(kind="partial", text=text)
    head, _, rest = text.partition(";")
    if head.strip() != "final":
        raise UploadConcatInvalid(why="it is `partial`, or `final;` and addresses")
    addresses = rest.split()
    if not addresses:
        raise UploadConcatInvalid(why="it names no parts")
    if len(addresses) > UPLOAD_PARTS_MAX:
        raise UploadConcatInvalid(why=f"it joins more than {UPLOAD_PARTS_MAX} parts")
    try:
        parts = tuple(parse_id(urlsplit(address).path.rsplit("/", 1)[-1]) for address in addresses)
    except ValueError:
        raise UploadConcatInvalid(why="a part's address is not one of ours") from None
    return Concat(kind="final", parts=parts, text=text)


def read_checksum(value: str | None) -> Checksum | None:
    """Upload-Checksum: `sha1 <base64>`; None where there is none."""
    if value is None:
        return None
    algorithm, _, coded = value.strip().partition(" ")
    if algorithm not in CHECKSUMS:
        raise UploadChecksumInvalid(why=f"the algorithm is one of {', '.join(CHECKSUMS)}")
    try:
        digest = base64.b64decode(coded.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise UploadChecksumInvalid(why="the checksum is not base64") from None
    checksum = Checksum(algorithm, digest)
    if len(digest) != checksum.start().digest_size:
        raise UploadChecksumInvalid(why=f"a {algorithm} has another length")
    return checksum
