"""Calls of chat services that were made with the right key and are wrong all the same; windows; ids of any length."""

from __future__ import annotations

import base64
import json
import struct
import time
from typing import Any
from uuid import UUID

import msgspec
import pytest
from chat_calls import robot_call
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from callout_orders.channels import inbox
from callout_orders.channels.chat import ciphers
from callout_orders.channels.chat.calls import Call, message_key, received, understand
from callout_orders.channels.chat.ciphers import Forged
from callout_orders.channels.terms import Account, ChannelKind, Inbound, Media

KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
NOW = 1_700_000_000.0


def sealed(plain: bytes) -> str:
    """Whatever bytes, enciphered with the account's key and no filling of ours."""
    key = base64.b64decode(KEY + "=")
    box = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(box.update(plain) + box.finalize()).decode()


def plain(
    message: bytes, *, length: int | None = None, receiver: bytes = b"ww1", fill: int | None = None
) -> bytes:
    text = b"r" * 16 + struct.pack(">I", len(message) if length is None else length) + message + receiver
    filled = 32 - len(text) % 32
    return text + bytes([filled if fill is None else fill]) * filled


def test_the_helper_seals_as_the_services_do() -> None:
    """Else the refusals below would say nothing."""
    assert ciphers.decrypt(KEY, sealed(plain(b"hello")), receivers=("ww1",)).message == b"hello"


@pytest.mark.parametrize(
    "spoilt",
    (
        plain(b"hello", length=4_000_000_000),  # longer than what came
        plain(b"hello", length=9),  # eats the receiver up
        plain(b"hello", fill=33),
        plain(b"hello", fill=0),
        plain(b"x" * 31)[:-1] + b"\x02",  # the last byte says more than is there of it
        bytes([32]) * 32,  # nothing but filling
        plain(b"hello", receiver=b"ww2"),
        plain(b"hello", receiver=b""),
    ),
)
def test_what_is_sealed_wrongly_is_forged(spoilt: bytes) -> None:
    """Whoever plays with the bytes of a caught message learns by other answers what is inside, or reads beyond its end."""
    with pytest.raises(Forged):
        ciphers.decrypt(KEY, sealed(spoilt), receivers=("ww1",))


def account(**settings: Any) -> Account:
    base = {name: None for name in Account.__struct_fields__}
    return Account(  # type: ignore[arg-type]
        **{
            **base,
            "id": UUID(int=1),
            "kind": ChannelKind.DINGTALK,
            "code": "ding",
            "settings": settings,
            "secrets": {"appSecret": "SECapp", "token": "tok", "aesKey": KEY},
        }
    )


def robot(account_: Account, **more: Any) -> Inbound | None:
    headers, body = robot_call("pump leaks", **more)
    return understand(account_, Call(query={}, headers=headers, body=body, now_s=time.time())).inbound


def test_a_message_for_another_robot_is_not_ours() -> None:
    """Two robots of one application share its secret: the orders of one branch would come in at the other one's."""
    assert robot(account(robotCode="robot-1")) is not None
    assert robot(account()) is not None
    with pytest.raises(Forged):
        robot(account(robotCode="robot-1"), robotCode="robot-2")


@pytest.mark.parametrize(
    ("stamp", "fits"), (("1700000000", True), ("1700000000000", True), ("1700000", False))
)
def test_stamps_of_events_in_either_unit(stamp: str, fits: bool) -> None:
    """DingTalk writes milliseconds, and its older events seconds: the ones or the others would all be forgeries."""
    body = f'{{"encrypt": "{sealed(plain(b"{}", receiver=b"key"))}"}}'
    cipher = body[len('{"encrypt": "') : -2]
    query = {
        "signature": ciphers.sha1_signature("tok", stamp, "n-1", cipher),
        "timestamp": stamp,
        "nonce": "n-1",
    }
    call = Call(query=query, headers={}, body=body.encode(), now_s=NOW)
    if fits:
        assert understand(account(corpId="c", appKey="key"), call).receiver == "key"
    else:
        with pytest.raises(Forged, match="window"):
            understand(account(appKey="key"), call)


def test_the_answer_is_for_whom_the_call_was() -> None:
    """An application with two ids would answer under the other one, and DingTalk would switch its callback off."""
    stamp = "1700000000000"
    ours = account(corpId="ding-corp", appKey="key")
    body = f'{{"encrypt": "{sealed(plain(b"{}", receiver=b"key"))}"}}'
    query = {
        "msg_signature": ciphers.sha1_signature("tok", stamp, "n-1", body[len('{"encrypt": "') : -2]),
        "timeStamp": stamp,
        "nonce": "n-1",
    }
    understood = understand(ours, Call(query=query, headers={}, body=body.encode(), now_s=NOW))
    _, answer = received(ours, understood, now_s=int(NOW), nonce="n-2")
    values = json.loads(answer)
    assert ciphers.decrypt(KEY, values["encrypt"], receivers=("key",)).message == b"success"
    ciphers.check_sha1(
        values["msg_signature"], "tok", values["timeStamp"], values["nonce"], values["encrypt"]
    )
    with pytest.raises(Forged):
        ciphers.decrypt(KEY, values["encrypt"], receivers=("ding-corp",))


def test_every_text_of_a_message_is_storable() -> None:
    """U+0000 in the name of a thread, or in the code of a picture, would keep all that is behind it waiting."""
    said = Inbound(
        external_id="a\x00",
        peer="p",
        kind="text",
        text="t",
        thread="t\x00",
        name="n\ud800",
        media=(
            Media(
                media_type="i\x00",
                name="m\x00",
                source={"downloadCode": "c\x00", "more": [{"x\x00": "y\x00"}]},
            ),
        ),
        reply={"references": ["r\x00\udc80", "s"], "until": 5, "tooLarge": True},
    )
    stored = msgspec.json.encode(inbox.clean(said)).decode()
    assert "\\u0000" not in stored
    assert inbox.clean(inbox.clean(said)) == inbox.clean(said)
    assert inbox.clean(said).reply == {"references": ["r?", "s"], "until": 5, "tooLarge": True}


def test_ids_and_texts_are_made_storable_and_stay_distinct() -> None:
    """A message with U+0000, or an id of a mail that is a page long, would break its insert, and be lost for ever."""
    long = [f"<{'x' * 400}{n}@example.org>" for n in range(2)]
    cleaned = [
        inbox.clean(Inbound(external_id=one, peer="p\x00eer", kind="text", text="a\x00b\ud83d"))
        for one in long
    ]
    assert len({one.external_id for one in cleaned}) == 2
    assert all(len(one.external_id) <= inbox.EXTERNAL_CHARS_MAX for one in cleaned)
    assert {(one.peer, one.text) for one in cleaned} == {("peer", "ab?")}
    again = inbox.clean(Inbound(external_id=long[0], peer="p", kind="text", text=""))
    assert again.external_id == cleaned[0].external_id
    keys = {message_key(UUID(int=n), one) for n in (1, 2) for one in ("short", *long)}
    assert all(len(key) <= 120 for key in keys)
    assert len(keys) == 5
