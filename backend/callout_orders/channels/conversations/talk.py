"""What a channel makes of what somebody writes: words of the menu, answers to its questions, facts. Pure.

`facts` grow message by message. A text that answers what was just asked for fills that in; any other text is part of the
description, in which the pre-check looks for numbers, serials and addresses by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from callout_orders.checks import TEXT_CHARS_MAX

VALUES_MAX: Final = 60
ORDER_NUMBER: Final = re.compile(r"\bWO-(\d{1,12})\b", re.IGNORECASE)
_END: Final = " \t\r\n\u3002.!\uff01~\uff5e"
"""What a word may end with."""
_HAN: Final = re.compile(r"[\u3400-\u9fff]")
_LATIN: Final = re.compile(r"[A-Za-z]{2,}")
_DIGITS: Final = re.compile(r"\+?[\d\s\-()\uff08\uff09]{6,25}")
_LABELLED: Final = re.compile(r"\s*([^\s:\uff1a][^:\uff1a\n]{0,30}?)\s*[:\uff1a]\s*(\S.*?)\s*$")
_CODES: Final = ("serial", "errorCode")
"""One word with a digit in it."""
_FREE: Final = ("contactName", "customerName", "address", "product")
"""Whatever somebody writes may be one of these."""
_WORDS: Final[dict[str, frozenset[str]]] = {
    "status": frozenset({"status", "progress", "进度", "状态", "查询", "查进度", "进度查询"}),
    "help": frozenset({"help", "menu", "帮助", "菜单", "?", "\uff1f"}),
    "agent": frozenset({"agent", "human", "operator", "人工", "转人工", "人工客服", "客服"}),
    "cancel": frozenset({"cancel", "stop", "取消", "不用了", "算了"}),
    "solved": frozenset({"solved", "已解决", "解决了"}),
    "not_solved": frozenset({"not solved", "unsolved", "did not help", "未解决", "没解决", "没有解决"}),
}


class Word(StrEnum):
    """What a word of the menu asks for."""

    STATUS = "status"
    HELP = "help"
    AGENT = "agent"
    CANCEL = "cancel"
    SOLVED = "solved"
    NOT_SOLVED = "not_solved"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a request. `values` are by paths of the pre-check (`contactPhone`, `fields.battery`); `asked` are
    the paths that the last answer asked for, `kind` is what the pre-check took the request for then."""

    texts: tuple[str, ...] = ()
    values: dict[str, str] = {}
    asked: tuple[str, ...] = ()
    subject: str | None = None
    kind: str | None = None
    lat: float | None = None
    lng: float | None = None

    def description(self) -> str:
        """All that was written, cut at what an order takes."""
        parts = [self.subject, *self.texts] if self.subject else list(self.texts)
        return "\n".join(part for part in parts if part)[:TEXT_CHARS_MAX]


def word_of(text: str) -> Word | None:
    """The word of the menu that a whole message is, or None."""
    bare = " ".join(text.strip(_END).lower().split())
    return next((Word(name) for name, words in _WORDS.items() if bare in words), None)


def order_number(text: str) -> str | None:
    """The number of an order that a text names, as it is stored, or None."""
    found = ORDER_NUMBER.search(text)
    return f"WO-{int(found[1]):06d}" if found else None


def language(text: str, before: str) -> str:
    """The language of a text; `before` where it does not tell."""
    if _HAN.search(text):
        return "zh"
    return "en" if len(_LATIN.findall(text)) >= 2 else before


def hear(facts: Facts, text: str, *, found: Mapping[str, str], labels: Mapping[str, Sequence[str]]) -> Facts:
    """The facts after a text. `found` is what the pre-check reads from this text alone, by path; `labels` are the words by
    which people name a path ("电话", "phone")."""
    text = text.strip()
    if not text:
        return facts
    values = dict(facts.values)
    rest: list[str] = []
    by_label = {
        label.strip().lower(): path for path, names in labels.items() for label in names if label.strip()
    }
    for line in text.splitlines():
        named = _LABELLED.fullmatch(line)
        path = by_label.get(named[1].strip().lower()) if named else None
        if named and path == "description":
            rest.append(named[2])
        elif named and path:
            values[path] = named[2]
        elif line.strip():
            rest.append(line.strip())
    remaining = "\n".join(rest)
    asked = [path for path in facts.asked if path not in found]
    answered = [path for path in facts.asked if path in found]
    # What was asked for is taken from the answer even where an earlier message said it otherwise.
    for path in answered:
        values[path] = found[path]
    if remaining and facts.asked:
        bare = len(remaining) <= sum(len(found[path]) for path in answered) + 12
        if answered and bare:
            remaining = ""
        elif not answered and (target := _target(asked, remaining)) is not None:
            values[target] = remaining
            remaining = ""
    if len(values) > VALUES_MAX:
        values = dict(list(values.items())[-VALUES_MAX:])
    # What an order does not take any more stands in the messages; a sender without end does not make our rows endless.
    room = sum(map(len, facts.texts)) < TEXT_CHARS_MAX
    return msgspec.structs.replace(
        facts, texts=(*facts.texts, remaining) if remaining and room else facts.texts, values=values
    )


def _target(asked: Sequence[str], text: str) -> str | None:
    """Which of the asked paths a bare text is meant for; None where it is none of them, and so goes on describing."""
    if "description" in asked or len(text) > 300:
        return None
    if "contactPhone" in asked and _DIGITS.fullmatch(text):
        return "contactPhone"
    if "contactEmail" in asked and "@" in text:
        return "contactEmail"
    if " " not in text and text.isascii() and any(char.isdigit() for char in text):
        code = next((path for path in _CODES if path in asked), None)
        if code is not None:
            return code
    own = (path for path in asked if path.startswith("fields."))
    return next((path for path in _FREE if path in asked), None) or next(own, None)


def as_json(facts: Facts) -> str:
    """As it is stored."""
    return msgspec.json.encode(facts).decode()


def from_json(text: str) -> Facts:
    """What `as_json` wrote."""
    return msgspec.json.decode(text, type=Facts)


def paths_of(faults: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The paths of stored faults, each once."""
    return tuple(dict.fromkeys(str(fault["path"]) for fault in faults))
