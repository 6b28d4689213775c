"""The reference phone does what the golden vectors ask of every client."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from golden_client import Player

import callout_contracts

FILE = Path(callout_contracts.__file__).parents[1] / "golden" / "client.json"
VECTORS: list[dict[str, Any]] = msgspec.json.decode(FILE.read_bytes())["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
async def test_the_reference_phone_keeps_to_it(vector: dict[str, Any], tmp_path: Path) -> None:
    """A client author would be asked for what our own phone does not do; or our phone would lose work."""
    await Player(vector, tmp_path / "phone.db").play()


async def test_a_client_that_breaks_a_rule_fails_its_vector(tmp_path: Path) -> None:
    """Vectors that every client passes would prove nothing: one that drops rows with pending work must be caught."""
    vector = next(one for one in VECTORS if one["id"] == "client.delete-waits-for-pending-work")
    player = Player(vector, tmp_path / "phone.db")
    player.phone.store._worked_on = set  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        await player.play()


def test_the_readme_names_every_client_vector_and_no_other() -> None:
    """An author who goes by the page would miss a rule, or look for a vector that is not there."""
    text = (FILE.parents[1] / "README.md").read_text("utf-8")
    named = set(re.findall(r"`(client\.[a-z0-9-]+)`", text))
    there = {vector["id"] for vector in VECTORS}
    assert named <= there
    for level, row in re.findall(r"^\| (MUST|SHOULD) \| (.*)$", text, re.MULTILINE):
        for id_ in re.findall(r"`(client\.[a-z0-9-]+)`", row):
            assert next(one["level"] for one in VECTORS if one["id"] == id_) == level, id_
    assert there - named <= {"client.resync-cursor-invalid", "client.resync-cursor-of-another-device"}
