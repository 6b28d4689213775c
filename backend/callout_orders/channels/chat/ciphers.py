"""How WeCom, WeChat and DingTalk sign and encrypt what they send. Values in, values out, no I/O.

After the services' public descriptions of their callbacks: the signature is the SHA-1 of the sorted token, timestamp,
nonce and (where there is one) cipher text, joined; the cipher is AES-256 in CBC mode whose key is the Base64 of the 43
characters of the EncodingAESKey, whose initialisation vector is the key's first 16 bytes, and whose plain text is
16 random bytes, the length of the message in four bytes (big-endian), the message, and the receiver's id, filled up after
PKCS#7 to a multiple of 32 bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import struct
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY_CHARS: Final = 43
BLOCK: Final = 32
RANDOM_BYTES: Final = 16
HEAD_BYTES: Final = RANDOM_BYTES + 4


class Forged(Exception):
    """A call that does not come from the account it says it comes from; `why` is for the log and not for the caller."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


class BadKey(ValueError):
    """An EncodingAESKey that is none."""


def sha1_signature(*parts: str) -> str:
    """The signature of a call: SHA-1 over the sorted parts."""
    return hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


def check_sha1(given: str, *parts: str) -> None:
    """Raises Forged unless `given` is the signature of the parts; in a time that does not tell how much of it fits."""
    if not hmac.compare_digest(given.lower().encode(), sha1_signature(*parts).encode()):
        raise Forged("the signature does not fit")


def aes_key(encoded: str) -> bytes:
    """The key behind an EncodingAESKey. Raises BadKey."""
    if len(encoded) != KEY_CHARS:
        raise BadKey(f"an EncodingAESKey has {KEY_CHARS} characters")
    try:
        key = base64.b64decode(encoded + "=", validate=True)
    except (binascii.Error, ValueError):
        raise BadKey("an EncodingAESKey is letters and digits") from None
    return key


class Opened(NamedTuple):
    """A message, and for which of the ids under which its service knows us it was made: the answer is made for the same."""

    message: bytes
    receiver: str


def decrypt(encoded_key: str, cipher_text: str, *, receivers: tuple[str, ...]) -> Opened:
    """What is in a cipher text. Raises Forged for what was not made with this key, or is for another receiver."""
    key = aes_key(encoded_key)
    try:
        sealed = base64.b64decode(cipher_text, validate=True)
    except (binascii.Error, ValueError):
        raise Forged("the cipher text is no Base64") from None
    if len(sealed) < BLOCK or len(sealed) % 16:
        raise Forged("the cipher text has no whole blocks")
    opened = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    plain = opened.update(sealed) + opened.finalize()
    filled = plain[-1]
    if not 1 <= filled <= BLOCK or plain[-filled:] != bytes([filled]) * filled:
        raise Forged("the filling is wrong")
    plain = plain[:-filled]
    if len(plain) < HEAD_BYTES:
        raise Forged("the message is too short")
    (length,) = struct.unpack_from(">I", plain, RANDOM_BYTES)
    if HEAD_BYTES + length > len(plain):
        raise Forged("the message's length is wrong")
    named = plain[HEAD_BYTES + length :]
    receiver = next((one for one in receivers if hmac.compare_digest(named, one.encode())), None)
    if receiver is None:
        raise Forged("the message is for another receiver")
    return Opened(plain[HEAD_BYTES : HEAD_BYTES + length], receiver)


def encrypt(encoded_key: str, message: bytes, *, receiver: str, random: bytes | None = None) -> str:
    """The cipher text of a message for `receiver`; `random` (16 bytes) is given by tests only."""
    key = aes_key(encoded_key)
    plain = (
        (random or os.urandom(RANDOM_BYTES)) + struct.pack(">I", len(message)) + message + receiver.encode()
    )
    filled = BLOCK - len(plain) % BLOCK
    plain += bytes([filled]) * filled
    sealing = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(sealing.update(plain) + sealing.finalize()).decode()


def dingtalk_sign(secret: str, timestamp: str) -> str:
    """The `sign` header of a robot's call: HMAC-SHA256 of "<timestamp>\\n<secret>" with the secret, in Base64."""
    mac = hmac.new(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


def check_dingtalk(secret: str, timestamp: str, given: str) -> None:
    """Raises Forged unless `given` is the sign of this timestamp."""
    if not hmac.compare_digest(given.encode(), dingtalk_sign(secret, timestamp).encode()):
        raise Forged("the sign does not fit")


def check_window(timestamp: str, *, now_s: float, window_s: float, unit_s: float = 1.0) -> None:
    """Raises Forged for a timestamp (in `unit_s`) that is no number or lies further from now than the window."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 16):
        raise Forged("the timestamp is no number")
    if abs(int(timestamp) * unit_s - now_s) > window_s:
        raise Forged("the timestamp lies outside of the window")
