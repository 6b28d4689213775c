"""Articles for the search bench: every fault of every device, told in Chinese and in English, and questions as people ask.

`desk_articles.toml` holds the words. A question is labelled with the device and the fault that it is about, and written in
other words than the articles where people would use other words.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, NamedTuple


class Text(NamedTuple):
    """An article: `about` are the places of its device and fault."""

    about: tuple[int, int]
    locale: str
    title: str
    body: str


class Question(NamedTuple):
    """A question and what it is about."""

    locale: str
    text: str
    device: str
    fault: str


def _read() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


_WORDS: Final = _read()
DEVICES: Final = tuple((str(en), str(zh)) for en, zh in _WORDS["devices"])
FAULTS: Final = tuple(
    (str(en), str(zh), str(cure), str(cure_zh)) for en, zh, cure, cure_zh in _WORDS["faults"]
)
QUESTIONS: Final = tuple(Question(*one) for one in _WORDS["questions"])


def articles() -> list[Text]:
    """All of them, in both languages."""
    found = []
    for d, (device, device_zh) in enumerate(DEVICES):
        for f, (fault, fault_zh, cure, cure_zh) in enumerate(FAULTS):
            body = f"If a {device} {fault}: {cure}"
            found.append(Text((d, f), "en", f"{device.capitalize()} {fault}", body))
            found.append(Text((d, f), "zh", f"{device_zh}{fault_zh}", f"{device_zh}{fault_zh}时:{cure_zh}"))
    return found
