"""Canonical JSON: one spelling for one value, so that its SHA-256 can be checked by anyone, years later.
Pure.

Keys sorted by code point, no blanks, UTF-8, only the escapes that JSON demands. Values are texts, whole
numbers, true, false, null, lists and objects: fractions are refused, because programs do not agree on how to
spell them. This is the common ground of RFC 8785 for such values, but for keys beyond the Basic Multilingual
Plane (sorted there as UTF-16).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from callout_orders import checks
from callout_store.errors import LimitExceeded

DEPTH_MAX = 16
INTEGER_MAX = 2**53 - 1
"""Beyond it a JavaScript program reads another number than was written."""


def canonical(value: Mapping[str, Any]) -> str:
    """The one spelling of `value`; refused with `BadField` where it holds what has no one spelling."""
    _check(value, "summary", 0)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(text: str) -> bytes:
    """SHA-256 of the text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).digest()


def _check(value: object, path: str, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise LimitExceeded(what="depth", limit=DEPTH_MAX, given=depth, path=path)
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        checks.text(path, value, chars_max=checks.TEXT_CHARS_MAX * 10, blank=True)
    elif isinstance(value, int):
        checks.whole(path, value, low=-INTEGER_MAX, high=INTEGER_MAX)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            checks.text(f"{path}.?", key, blank=True)
            _check(inner, f"{path}.{key}", depth + 1)
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        for i, inner in enumerate(value):
            _check(inner, f"{path}.{i}", depth + 1)
    else:
        raise checks.FieldRefused(path, "not_canonical")
