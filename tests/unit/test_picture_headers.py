"""What bytes are a picture: told by their beginning alone, and never by a crash."""

import contextlib
import io
import struct

import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from callout_sync.picture_headers import PictureRefused, inspect

pillow_heif.register_heif_opener()


def made(format_: str, size: tuple[int, int] = (33, 21), **more: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, format_, **more)
    return out.getvalue()


KINDS = {
    "jpeg": made("JPEG"),
    "progressive": made("JPEG", progressive=True),
    "png": made("PNG"),
    "webp": made("WEBP"),
    "webp_lossless": made("WEBP", lossless=True),
    "webp_extended": made("WEBP", exif=Image.Exif().tobytes()),
    "heic": made("HEIF"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_size_without_decoding(kind: str) -> None:
    """Pixels are counted before a byte is unpacked, or a bomb would have gone off by then."""
    found = inspect(KINDS[kind])
    assert found.media_type == f"image/{'jpeg' if kind == 'progressive' else kind.split('_')[0]}"
    # HEIC's encoder stores whole blocks of 64 and says beside them what to cut away.
    assert (found.width, found.height) == ((64, 64) if kind == "heic" else (33, 21))


def test_long_notes_before_a_jpeg() -> None:
    """Cameras put previews of a megabyte before the picture."""
    note = b"\xff\xe2" + struct.pack(">H", 60_000) + bytes(59_998)
    data = KINDS["jpeg"]
    assert inspect(data[:2] + note * 20 + data[2:]).width == 33


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 400), st.binary(max_size=20), st.integers(0, 2000))
def test_broken_beginnings(kind: str, at: int, noise: bytes, length: int) -> None:
    """Whatever is changed or missing, it is a header or a refusal with a code."""
    data = bytearray(KINDS[kind])
    data[at : at + len(noise)] = noise
    try:
        found = inspect(bytes(data[:length]))
    except PictureRefused:
        return
    assert found.width * found.height <= 64_000_000


@given(st.binary(max_size=400))
def test_noise(data: bytes) -> None:
    """Bytes that are nothing are refused, not guessed at."""
    for start in (b"", b"\x89PNG", b"RIFF\x00\x00\x00\x00WEBPVP8X"):
        with contextlib.suppress(PictureRefused):
            assert inspect(start + data).media_type == "image/webp"


def test_boxes_that_point_nowhere() -> None:
    """A HEIC whose boxes say wrong lengths ends the search, not the server."""
    for size in (0, 1, 7, 8, 2**31):
        box = struct.pack(">I4s", size, b"meta") + bytes(100)
        with pytest.raises(PictureRefused):
            inspect(b"\x00\x00\x00\x18ftypheic" + bytes(12) + box)
