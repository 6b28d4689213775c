"""What bytes are a picture: told by their beginning, without decoding anything. No I/O.

Only JPEG, PNG, WebP and HEIC/HEIF are taken. What a browser or a reader might take for a page, a script or a document
when it guesses by the first bytes is refused even where it is a picture too; what hangs on behind a picture (makers'
trailers, small films) does no harm, because only a re-encoded version is ever shown.

Formats after ITU-T T.81 (JPEG), RFC 2083 (PNG), RFC 9649 (WebP) and ISO/IEC 14496-12 and 23008-12 (HEIF).
"""

import struct
from typing import Final

from msgspec import Struct

from callout_contracts.limits import PICTURE_PIXELS_MAX, PICTURE_SIDE_MAX

HEAD_BYTES: Final = 4 * 1024 * 1024
"""So much of a file's beginning is looked at; cameras put previews and notes of a megabyte before the picture itself."""
SNIFFED_BYTES: Final = 1500
"""Browsers and document readers guess by at most so much."""
ACTIVE: Final = (b"%pdf-", b"<html", b"<script", b"<svg", b"<!doctype", b"<?php", b"<body", b"<iframe")
HEIF_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"hevc", b"hevx", b"mif2", b"heif"}
)
BOX_DEPTH_MAX: Final = 4


class PictureRefused(Exception):
    """These bytes are kept but never shown; `code` says why."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Header(Struct, frozen=True):
    """The kind of picture, and its size in pixels as stored (before it is turned upright)."""

    media_type: str
    width: int
    height: int


def inspect(head: bytes) -> Header:
    """Read the beginning of a file (up to HEAD_BYTES of it). Raises PictureRefused:

    PICTURE_TYPE_REFUSED (none of the four kinds), PICTURE_POLYGLOT (something else as well), PICTURE_UNREADABLE (its
    size is not to be found), PICTURE_TOO_LARGE (too many pixels).
    """
    media_type = _kind(head)
    if media_type is None:
        raise PictureRefused("PICTURE_TYPE_REFUSED")
    start = head[:SNIFFED_BYTES].lower()
    if any(word in start for word in ACTIVE):
        raise PictureRefused("PICTURE_POLYGLOT")
    try:
        width, height = _SIZES[media_type](head)
    except (struct.error, IndexError, ValueError):
        raise PictureRefused("PICTURE_UNREADABLE") from None
    if width < 1 or height < 1:
        raise PictureRefused("PICTURE_UNREADABLE")
    if max(width, height) > PICTURE_SIDE_MAX or width * height > PICTURE_PIXELS_MAX:
        raise PictureRefused("PICTURE_TOO_LARGE")
    return Header(media_type, width, height)


def _kind(head: bytes) -> str | None:
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        size = min(int.from_bytes(head[:4], "big"), 256)
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, size, 4))}
        if brands & HEIF_BRANDS:
            return "image/heic"
    return None


def _jpeg_size(head: bytes) -> tuple[int, int]:
    at = 2
    while True:
        if head[at] != 0xFF:
            raise ValueError("no marker where one should be")
        marker = head[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # stand alone
            at += 2
            continue
        if marker in (0xD9, 0xDA):
            raise ValueError("the picture begins before its size")
        length = int.from_bytes(head[at + 2 : at + 4], "big")
        if length < 2:
            raise ValueError("a segment without length")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", head, at + 5)
            return width, height
        at += 2 + length


def _png_size(head: bytes) -> tuple[int, int]:
    if head[12:16] != b"IHDR":
        raise ValueError("a PNG begins with its size")
    width, height = struct.unpack_from(">II", head, 16)
    return width, height


def _webp_size(head: bytes) -> tuple[int, int]:
    chunk = head[12:16]
    if chunk == b"VP8X":
        return (
            1 + int.from_bytes(head[24:27], "little"),
            1 + int.from_bytes(head[27:30], "little"),
        )
    if chunk == b"VP8L":
        if head[20] != 0x2F:
            raise ValueError("no lossless picture")
        bits = int(struct.unpack_from("<I", head, 21)[0])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        if head[23:26] != b"\x9d\x01\x2a":
            raise ValueError("no key frame")
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("an unknown kind of WebP")


def _heif_size(head: bytes) -> tuple[int, int]:
    """The largest picture in the file: a photo cut into tiles says its own size beside the tiles'."""
    sizes = list(_extents(head, 0, len(head), 0))
    if not sizes:
        raise ValueError("no size")
    return max(sizes, key=lambda size: size[0] * size[1])


def _extents(head: bytes, at: int, end: int, depth: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while at + 8 <= end and depth < BOX_DEPTH_MAX:
        size, kind = struct.unpack_from(">I4s", head, at)
        body = at + 8
        if size == 1:
            size = int.from_bytes(head[at + 8 : at + 16], "big")
            body += 8
        close = end if size == 0 else min(at + size, end)
        if close < body:
            break
        if kind == b"ispe":
            found.append(struct.unpack_from(">II", head, body + 4))
        elif kind in (b"meta", b"iprp", b"ipco"):
            # `meta` is a full box: four bytes of version and flags come first.
            found += _extents(head, body + (4 if kind == b"meta" else 0), close, depth + 1)
        at = close
    return found


_SIZES: Final = {
    "image/jpeg": _jpeg_size,
    "image/png": _png_size,
    "image/webp": _webp_size,
    "image/heic": _heif_size,
}
