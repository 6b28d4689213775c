"""Tenants' secrets at rest: sealed, bound to their place, opened after the signing secret was changed."""

import base64
import json

import pytest

from callout_store.ids import new_id
from callout_store.sealing import Seal, Unreadable, names

ONE, TWO = "one-" + "x" * 40, "two-" + "y" * 40
ORG = new_id()


def sealed(seal: Seal, **values: str) -> str:
    return seal.seal(ORG, "notice_channel/1", values)


def test_what_is_stored_holds_nothing_of_the_secret() -> None:
    """Whoever reads a backup of the database could speak as every robot and read every mailbox."""
    seal = Seal(lambda: (ONE,))
    stored = sealed(seal, key="robot-key-123", url="mailto://u:p@example.org")
    assert "robot-key" not in stored
    assert "mailto" not in stored
    assert names(stored) == ("key", "url")
    assert seal.open(ORG, "notice_channel/1", stored) == {
        "key": "robot-key-123",
        "url": "mailto://u:p@example.org",
    }
    # The same again looks different: nobody sees that two channels share a password.
    assert json.loads(stored)["key"]["s"] != json.loads(sealed(seal, key="robot-key-123"))["key"]["s"]


def test_a_value_opens_at_its_own_place_only() -> None:
    """Whoever can write to the database could copy another organisation's sealed password into a channel of their own."""
    seal = Seal(lambda: (ONE,))
    stored = sealed(seal, key="k", other="o")
    for org, place in ((new_id(), "notice_channel/1"), (ORG, "notice_channel/2"), (ORG, "intake_channel/1")):
        with pytest.raises(Unreadable):
            seal.open(org, place, stored)
    swapped = json.loads(stored)
    swapped["key"], swapped["other"] = swapped["other"], swapped["key"]
    with pytest.raises(Unreadable):
        seal.open(ORG, "notice_channel/1", json.dumps(swapped))


@pytest.mark.parametrize("flip", (0, 11, 12, -1))
def test_a_changed_byte_is_noticed(flip: int) -> None:
    """A password that was changed by a bit would be sent to a mail server, which locks the account."""
    seal = Seal(lambda: (ONE,))
    stored = json.loads(sealed(seal, key="secret"))
    raw = bytearray(base64.b64decode(stored["key"]["s"]))
    raw[flip] ^= 1
    stored["key"]["s"] = base64.b64encode(bytes(raw)).decode()
    with pytest.raises(Unreadable):
        seal.open(ORG, "notice_channel/1", json.dumps(stored))


def test_a_new_signing_secret_opens_and_renews_the_old() -> None:
    """A changed signing secret would silence every channel at once, with nobody knowing the passwords any more."""
    old = sealed(Seal(lambda: (ONE,)), key="k")
    both = Seal(lambda: (TWO, ONE))
    assert both.open(ORG, "notice_channel/1", old) == {"key": "k"}
    fresh = both.renewed(ORG, "notice_channel/1", old)
    assert fresh is not None
    assert Seal(lambda: (TWO,)).open(ORG, "notice_channel/1", fresh) == {"key": "k"}
    assert both.renewed(ORG, "notice_channel/1", fresh) is None
    lost = Seal(lambda: (TWO,))
    assert lost.renewed(ORG, "notice_channel/1", old) is None
    with pytest.raises(Unreadable):
        lost.open(ORG, "notice_channel/1", old)
