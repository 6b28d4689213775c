"""Signatures and cipher texts of the chat services, against values that the `openssl` program made."""

import base64

import pytest

from callout_orders.channels.chat import ciphers, flat_xml
from callout_orders.channels.chat.ciphers import BadKey, Forged
from callout_orders.channels.chat.flat_xml import BadXml

KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
RANDOM = b"0123456789abcdef"
MESSAGE = (
    "<xml><ToUserName><![CDATA[ww1]]></ToUserName><FromUserName><![CDATA[LiLei]]></FromUserName>"
    "<CreateTime>1700000000</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[泵漏水]]></Content>"
    "<MsgId>7000001</MsgId></xml>"
)
# printf of random, length, message, receiver and filling | openssl enc -aes-256-cbc -nopad | openssl base64 -A
SEALED = (
    "Q3stYC6hdFzMh9T8HCvyDCr0bK0f/f13aix+X2Zma6ei4X9ZcUPZvykuYAcAg+CRKSiZjXnwq2GHPnbwy6msORV0Ey/oyHh9VZS7Q58Ef7Nk"
    "Tfahl8APRV5LsjJGS8WNbo7GAagqIns3CfUSPVwj/QlN2NQTJE7iW5EwBCZZMpUrjmzUnwIkf1GvDY+5PyHUfKIvvPWg7aUsgMG4Krz6Qszm"
    "btf3Io7XDKo7ixWLjzKnfW33LGD0eAkiukJ7zWbRiBvO29VH3MyLg01Sk0AwjuZEZEGueihdyGehpSgGCn75G8BR5CBtSXiBkJIeNNKo0fag"
    "Q1Gzuuua1Zf7F1Bl7CV0XZxFhaIggv2APHb88SBc2KM1x3muxgNanTnoOVSc"
)


def test_a_cipher_text_of_another_program_is_read() -> None:
    """A key or a vector that is taken wrongly shuts every customer's account out."""
    assert ciphers.decrypt(KEY, SEALED, receivers=("ww-corp-1",)).message.decode() == MESSAGE


def test_the_cipher_text_is_what_another_program_makes() -> None:
    """The service could not read our answers, and would show its users that the account is broken."""
    assert ciphers.encrypt(KEY, MESSAGE.encode(), receiver="ww-corp-1", random=RANDOM) == SEALED


def test_signatures_are_what_another_program_makes() -> None:
    """Every call would be taken for a forgery."""
    assert (
        ciphers.sha1_signature("tok-1", "1700000000", "nonce-1", SEALED)
        == "c79b9d5c29f4b55d298ef7f606d904cfeeaf9f12"
    )
    assert (
        ciphers.sha1_signature("nonce-1", "tok-1", "1700000000") == "c734c8a53317ad3f79c02c494d6daf01d6b03a8c"
    )
    assert (
        ciphers.dingtalk_sign("SECapp-secret", "1700000000000")
        == "6PzfvhzBurSf6eRVwBQUGLrsG517A7MkMVE5bGqiHQk="
    )


@pytest.mark.parametrize(
    "spoilt",
    (
        "",  # nothing at all
        "????",  # no Base64
        base64.b64encode(b"x" * 31).decode(),  # no whole blocks
        base64.b64encode(b"x" * 64).decode(),  # blocks, but not of this key
        SEALED[:44],  # cut short
        base64.b64encode(base64.b64decode(SEALED)[:-16] + bytes(16)).decode(),  # another last block
    ),
)
def test_what_was_not_made_with_the_key_is_forged(spoilt: str) -> None:
    """Whoever sends noise would be let in, or would end the process with a fault of ours."""
    with pytest.raises(Forged):
        ciphers.decrypt(KEY, spoilt, receivers=("ww-corp-1",))


def test_a_message_for_another_company_is_forged() -> None:
    """A supplier that serves two companies could pass one's messages to the other."""
    with pytest.raises(Forged):
        ciphers.decrypt(KEY, SEALED, receivers=("ww-corp-2", "ww-corp-10"))
    with pytest.raises(Forged):
        ciphers.decrypt(KEY, SEALED, receivers=())


@pytest.mark.parametrize("key", ("", KEY[:-1], KEY + "a", "!" * 43))
def test_a_key_that_is_none_is_refused(key: str) -> None:
    """An admin who copies a character too few would only see that nothing ever arrives."""
    with pytest.raises(BadKey):
        ciphers.aes_key(key)


@pytest.mark.parametrize(
    "stamp", ("", "x", "-1", "1e3", "1700000000.5", "9" * 30, "1699999399", "1700000601")
)
def test_a_timestamp_outside_of_the_window_is_forged(stamp: str) -> None:
    """A call that was recorded last week could be played again."""
    with pytest.raises(Forged):
        ciphers.check_window(stamp, now_s=1700000000.0, window_s=600.0)
    ciphers.check_window("1699999400", now_s=1700000000.0, window_s=600.0)


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><xml><Content>&c;</Content></xml>'
)


@pytest.mark.parametrize(
    "document",
    (
        BOMB,
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><xml><Content>&x;</Content></xml>',  # a file of ours
        b'<!DOCTYPE x [<!ENTITY x SYSTEM "http://127.0.0.1/">]><xml><Content>&x;</Content></xml>',  # a call of ours
        b"<xml><Content>&unknown;</Content></xml>",
        b"<xml><a>" + b"<b>" * 50 + b"</b>" * 50 + b"</a></xml>",  # too deep
        b"<xml>" + b"<a/>" * 400 + b"</xml>",  # too many
        b"<xml><Content>cut",
        b"",
        b"\x00\xff\xfe",
        b'<?xml version="1.0" encoding="no-such"?><xml/>',
        b"<xml><Content>" + b"x" * 70_000 + b"</Content></xml>",  # too large
    ),
)
def test_dangerous_or_broken_xml_is_refused(document: bytes) -> None:
    """A few bytes could fill the memory, or have our server fetch a file and send it back."""
    with pytest.raises(BadXml):
        flat_xml.read(document)


def test_plain_xml_is_read_and_written() -> None:
    """Customers' words would arrive with their signs changed."""
    text = "a < b && c > d ]]> 泵"
    written = flat_xml.write({"Content": text, "CreateTime": 7})
    assert flat_xml.read(written.encode()) == {"Content": text, "CreateTime": "7"}
    assert flat_xml.read(MESSAGE.encode())["Content"] == "泵漏水"
