"""The headers of tus, read: each has one meaning and one refusal, and nothing a client sends is a fault of ours."""

import base64
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout_store.errors import Refusal
from callout_sync import tus
from callout_sync.upload_refusals import UploadConcatInvalid, UploadMetadataInvalid

HEX = "ab" * 32


def pair(key: str, value: str) -> str:
    return f"{key} {base64.b64encode(value.encode()).decode()}"


@given(st.text(max_size=200) | st.none())
def test_no_header_breaks_a_reader(value: str | None) -> None:
    """Whatever stands in a header, the answer is a value or a refusal with a code; never a 500."""
    for read in (
        tus.read_length,
        tus.read_offset,
        tus.read_concat,
        tus.read_checksum,
        tus.check_version,
        lambda text: tus.read_metadata(text, sha256_needed=True),
        lambda text: tus.read_metadata(text, sha256_needed=False),
    ):
        refusal = None
        try:
            read(value)
        except Refusal as caught:
            refusal = caught
        assert refusal is None or refusal.status in (400, 412, 413)


@given(
    st.dictionaries(
        st.sampled_from(["filename", "note", "x-y"]), st.text(max_size=50).filter(lambda t: "\x00" not in t)
    )
)
def test_metadata_is_read_back(more: dict[str, str]) -> None:
    """A file's name may be in any script; keys of other people's are no offence."""
    text = ",".join([pair("sha256", HEX), *(pair(k, v) for k, v in more.items())])
    found = tus.read_metadata(text, sha256_needed=True)
    assert found.sha256 == bytes.fromhex(HEX)
    assert found.filename == more.get("filename")
    assert found.text == text.strip()


def test_a_key_without_value() -> None:
    """tus lets a value be left out."""
    assert tus.read_metadata(f"{pair('sha256', HEX)},is_confidential", sha256_needed=True).kind is None


def test_kinds_of_file() -> None:
    """Pictures and files of unknown kind are let through, the bytes decide; what says that it is a page is not."""
    for filetype in ("image/jpeg", "IMAGE/HEIC", "application/octet-stream", ""):
        tus.read_metadata(f"{pair('sha256', HEX)},{pair('filetype', filetype)}", sha256_needed=True)
    with pytest.raises(UploadMetadataInvalid) as refused:
        tus.read_metadata(f"{pair('sha256', HEX)},{pair('filetype', 'text/html')}", sha256_needed=True)
    assert refused.value.path == "filetype"


def test_addresses_of_parts() -> None:
    """Absolute and relative addresses name the same parts, in their order."""
    one, two = uuid4(), uuid4()
    found = tus.read_concat(f"final;https://h.example/v1/uploads/{one} /v1/uploads/{two}")
    assert (found.kind, found.parts) == ("final", (one, two))
    assert tus.read_concat("partial").kind == "partial"
    assert tus.read_concat(None).kind == "whole"
    with pytest.raises(UploadConcatInvalid):
        tus.read_concat(f"final;/v1/uploads/{{{one}}}")


@pytest.mark.parametrize(("algorithm", "size"), (("sha1", 20), ("sha256", 32), ("md5", 16)))
def test_checksums(algorithm: str, size: int) -> None:
    """A digest of the wrong length would never match: it is refused before the bytes are read."""
    coded = base64.b64encode(bytes(size)).decode()
    found = tus.read_checksum(f"{algorithm} {coded}")
    assert found is not None
    assert found.digest == bytes(size)
    with pytest.raises(Refusal):
        tus.read_checksum(f"{algorithm} {base64.b64encode(bytes(size + 1)).decode()}")
