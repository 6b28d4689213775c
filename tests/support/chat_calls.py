"""The chat services' side for tests: calls as WeCom, WeChat and DingTalk make them, put together without the code under
test."""

import base64
import hashlib
import hmac
import itertools
import json
import struct
import time
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
TOKEN = "tok-1"
CORP = "ww-corp-1"
_numbers = itertools.count(1)


def sha1(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


def seal(message: str, receiver: str = CORP, key: str = KEY) -> str:
    raw = base64.b64decode(key + "=")
    plain = b"r" * 16 + struct.pack(">I", len(message.encode())) + message.encode() + receiver.encode()
    fill = 32 - len(plain) % 32
    plain += bytes([fill]) * fill
    box = Cipher(algorithms.AES(raw), modes.CBC(raw[:16])).encryptor()
    return base64.b64encode(box.update(plain) + box.finalize()).decode()


def unseal(sealed: str, key: str = KEY) -> str:
    raw = base64.b64decode(key + "=")
    box = Cipher(algorithms.AES(raw), modes.CBC(raw[:16])).decryptor()
    plain = box.update(base64.b64decode(sealed)) + box.finalize()
    (length,) = struct.unpack(">I", plain[16:20])
    return plain[20 : 20 + length].decode()


def text_xml(content: str, *, sender: str = "LiLei", id_: str | None = None, **more: str) -> str:
    values = {"MsgType": "text", "Content": content, "MsgId": id_ or f"m-{next(_numbers)}", **more}
    inside = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in values.items())
    return (
        f"<xml><ToUserName>gh_1</ToUserName><FromUserName>{sender}</FromUserName>"
        f"<CreateTime>{int(time.time())}</CreateTime>{inside}</xml>"
    )


def safe_call(message: str, **changes: Any) -> tuple[dict[str, str], bytes]:
    """Query and body of an encrypted call of WeCom or WeChat."""
    sealed = seal(message, receiver=changes.get("receiver", CORP))
    stamp, nonce = str(changes.get("stamp", int(time.time()))), changes.get("nonce", f"n-{next(_numbers)}")
    query = {
        "msg_signature": sha1(changes.get("token", TOKEN), stamp, nonce, sealed),
        "timestamp": stamp,
        "nonce": nonce,
    }
    body = f"<xml><ToUserName>gh_1</ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    return query, body.encode()


def plain_call(message: str, **changes: Any) -> tuple[dict[str, str], bytes]:
    """Query and body of a plain call of WeChat."""
    stamp, nonce = str(changes.get("stamp", int(time.time()))), changes.get("nonce", f"n-{next(_numbers)}")
    return (
        {"signature": sha1(changes.get("token", TOKEN), stamp, nonce), "timestamp": stamp, "nonce": nonce},
        message.encode(),
    )


def robot_call(
    text: str, *, secret: str = "SECapp", stamp: int | None = None, **more: Any
) -> tuple[dict[str, str], bytes]:
    """Headers and body of a DingTalk robot's call."""
    at = str(stamp if stamp is not None else int(time.time() * 1000))
    sign = base64.b64encode(
        hmac.new(secret.encode(), f"{at}\n{secret}".encode(), hashlib.sha256).digest()
    ).decode()
    values = {
        "msgId": f"d-{next(_numbers)}",
        "msgtype": "text",
        "text": {"content": text},
        "senderStaffId": "staff-1",
        "senderNick": "Li",
        "conversationType": "1",
        "conversationId": "c-1",
        "robotCode": "robot-1",
        **more,
    }
    return {"timestamp": at, "sign": sign, "Content-Type": "application/json"}, json.dumps(values).encode()
