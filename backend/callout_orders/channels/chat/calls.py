"""A chat service's call, from its bytes to a message: checked, decrypted, understood. Values in, values out, no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders.channels.chat import ciphers, dingtalk, flat_xml, wecom
from callout_orders.channels.chat.ciphers import Forged
from callout_orders.channels.terms import Account, ChannelKind, Inbound

WINDOW_S: Final = 600.0
"""So far may a signed timestamp lie from our clock: services try again for some seconds, and clocks differ by minutes."""
DINGTALK_WINDOW_S: Final = 3600.0
"""As DingTalk describes it for its robots."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came: `now_s` is the machine's time in seconds since 1970."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    now_s: float


class Understood(msgspec.Struct, frozen=True, kw_only=True):
    """A call that is the account's own. `echo`: it only asked whether we hold the key, and this is the answer.

    `nonce` and `body_sha256` are what a replay is known by; `nonce` None where the service's signature has none.
    `receiver`: the answer must be encrypted too, for this id of ours; empty where the call was plain. `to` and `sender` are
    the two ends, as the service names them.
    """

    inbound: Inbound | None = None
    echo: str | None = None
    nonce: bytes | None = None
    body_sha256: bytes = b""
    receiver: str = ""
    to: str = ""
    sender: str = ""


class BadCall(Exception):
    """A call of the account's own that cannot be read; `why` may be told."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


def verify_address(account: Account, call: Call) -> Understood:
    """The service asks with GET whether this address is ours. Raises Forged or BadCall."""
    timestamp, nonce = _required(call, "timestamp"), _required(call, "nonce")
    echo = _required(call, "echostr")
    ciphers.check_window(timestamp, now_s=call.now_s, window_s=WINDOW_S)
    token = _secret(account, "token")
    if account.kind == ChannelKind.WECOM:
        ciphers.check_sha1(_required(call, "msg_signature"), token, timestamp, nonce, echo)
        opened = _opened(account, echo)
        return Understood(echo=opened.message.decode("utf-8", "replace"))
    if account.kind == ChannelKind.WECHAT:
        ciphers.check_sha1(_required(call, "signature"), token, timestamp, nonce)
        return Understood(echo=echo)
    raise BadCall("this account is not verified with GET")


def understand(account: Account, call: Call) -> Understood:
    """A message that the service brings with POST. Raises Forged or BadCall."""
    if account.kind == ChannelKind.DINGTALK:
        return _dingtalk(account, call)
    timestamp, nonce = _required(call, "timestamp"), _required(call, "nonce")
    ciphers.check_window(timestamp, now_s=call.now_s, window_s=WINDOW_S)
    token = _secret(account, "token")
    safe = account.kind == ChannelKind.WECOM or account.settings.get("mode", "safe") == "safe"
    receiver = ""
    if not safe:
        ciphers.check_sha1(_required(call, "signature"), token, timestamp, nonce)
        values, signature = _xml(call.body), call.query["signature"]
    else:
        # What an account sends encrypted is not taken plain: else the encryption could be left out by whoever forges.
        sealed = _xml(call.body).get("Encrypt", "")
        if not sealed:
            raise Forged("the message is not encrypted")
        signature = _required(call, "msg_signature")
        ciphers.check_sha1(signature, token, timestamp, nonce, sealed)
        opened = _opened(account, sealed)
        values, receiver = _xml(opened.message), opened.receiver
    return Understood(
        inbound=wecom.message(values),
        nonce=_nonce(signature, timestamp, nonce),
        body_sha256=hashlib.sha256(call.body).digest(),
        receiver=receiver,
        to=values.get("ToUserName", ""),
        sender=values.get("FromUserName", ""),
    )


def passive(
    account: Account, understood: Understood, text: str, *, now_s: int, nonce: str
) -> tuple[str, bytes]:
    """The answer to a call that carries a text for its sender: media type and body (WeCom and WeChat)."""
    reply = flat_xml.write(
        {
            "ToUserName": understood.sender,
            "FromUserName": understood.to,
            "CreateTime": now_s,
            "MsgType": "text",
            "Content": text,
        }
    )
    if not understood.receiver:
        return "application/xml", reply.encode()
    sealed = ciphers.encrypt(_secret(account, "aesKey"), reply.encode(), receiver=understood.receiver)
    stamp = str(now_s)
    return "application/xml", flat_xml.write(
        {
            "Encrypt": sealed,
            "MsgSignature": ciphers.sha1_signature(_secret(account, "token"), stamp, nonce, sealed),
            "TimeStamp": now_s,
            "Nonce": nonce,
        }
    ).encode()


def received(account: Account, understood: Understood, *, now_s: int, nonce: str) -> tuple[str, bytes]:
    """The answer that says no more than that the call was taken: media type and body."""
    if account.kind == ChannelKind.DINGTALK:
        if not understood.receiver:
            return "application/json", b"{}"
        stamp = str(now_s * 1000)
        sealed = ciphers.encrypt(_secret(account, "aesKey"), b"success", receiver=understood.receiver)
        return "application/json", msgspec.json.encode(
            {
                "msg_signature": ciphers.sha1_signature(_secret(account, "token"), stamp, nonce, sealed),
                "timeStamp": stamp,
                "nonce": nonce,
                "encrypt": sealed,
            }
        )
    return "text/plain", b"success" if account.kind == ChannelKind.WECHAT else b""


def _dingtalk(account: Account, call: Call) -> Understood:
    values = _json(call.body)
    digest = hashlib.sha256(call.body).digest()
    if "encrypt" in values:
        sealed = values["encrypt"]
        if not isinstance(sealed, str):
            raise BadCall("`encrypt` is a text")
        signature = call.query.get("msg_signature") or _required(call, "signature")
        timestamp = call.query.get("timeStamp") or _required(call, "timestamp")
        nonce = _required(call, "nonce")
        ciphers.check_window(timestamp, now_s=call.now_s, window_s=WINDOW_S, unit_s=_unit(timestamp))
        ciphers.check_sha1(signature, _secret(account, "token"), timestamp, nonce, sealed)
        opened = _opened(account, sealed)
        return Understood(
            inbound=dingtalk.event(_json(opened.message), digest),
            nonce=_nonce(signature, timestamp, nonce),
            body_sha256=digest,
            receiver=opened.receiver,
        )
    timestamp = call.headers.get("timestamp", "")
    ciphers.check_window(timestamp, now_s=call.now_s, window_s=DINGTALK_WINDOW_S, unit_s=0.001)
    ciphers.check_dingtalk(_secret(account, "appSecret"), timestamp, call.headers.get("sign", ""))
    try:
        inbound = dingtalk.message(values)
    except (TypeError, AttributeError, KeyError, ValueError):
        raise BadCall("it is not a robot's message") from None
    if account.settings.get("robotCode") not in (None, "", values.get("robotCode")):
        raise Forged("the message is for another robot")
    # The sign covers neither body nor nonce, so that only the message's own id tells a replay.
    return Understood(inbound=inbound, body_sha256=digest, sender=inbound.peer)


def _unit(timestamp: str) -> float:
    """DingTalk's events carry milliseconds; an older form of them seconds."""
    return 0.001 if len(timestamp) >= 13 else 1.0


def _nonce(*parts: str) -> bytes:
    return hashlib.sha256("\n".join(parts).encode()).digest()


def _required(call: Call, name: str) -> str:
    found = call.query.get(name)
    if not found:
        raise Forged(f"`{name}` is missing")
    return found


def _opened(account: Account, sealed: str) -> ciphers.Opened:
    names = ("corpId", "appId", "appKey", "suiteId")
    known = tuple(str(account.settings[name]) for name in names if account.settings.get(name))
    return ciphers.decrypt(_secret(account, "aesKey"), sealed, receivers=known)


def _secret(account: Account, name: str) -> str:
    found = account.secrets.get(name)
    if not found:
        raise Forged(f"the account has no {name} yet")
    return found


def _xml(data: bytes) -> dict[str, str]:
    try:
        return flat_xml.read(data)
    except flat_xml.BadXml as fault:
        raise BadCall(fault.why) from None


def _json(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadCall("it is no JSON") from None
    if not isinstance(found, dict):
        raise BadCall("it is no JSON object")
    return found


def message_key(account_id: UUID, external_id: str) -> str:
    """What the order of a message is known by among other systems' ids, within the length that those may have."""
    if len(external_id) <= 120:
        return external_id
    return hashlib.sha256(f"{account_id}\n{external_id}".encode()).hexdigest()
