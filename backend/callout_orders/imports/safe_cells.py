"""Cells that a spreadsheet program must not take for a formula. Pure.

In CSV everything is text until a program guesses otherwise: a cell that begins like a formula is written with an apostrophe
before it, which such programs show as text. Numbers stay numbers. In xlsx each cell says what it is, and nothing needs to
be put before it. Reading takes the apostrophe away again, so that what was exported, mended and imported is what it was.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_NUMBER: Final = re.compile(r"-?\d+([.,]\d+)?")
_STARTS: Final = frozenset("=+-@|%\u2212")
_ENDS_CELL: Final = frozenset("\t\r\n")
_BLANKS: Final = " \u00a0\u3000\u200b\u200c\u200d\u2060\ufeff\t\r\n\v\f"
QUOTE: Final = "'"


def is_risky(text: str) -> bool:
    """Whether a program may take this for a formula: =, +, -, @ (full-width and small forms too), |, %, a tab or a line's
    end at the start, blanks before them or not. A plain number is none."""
    if not text or _NUMBER.fullmatch(text):
        return False
    if text[0] in _ENDS_CELL:
        return True
    bare = text.lstrip(_BLANKS)
    # Compatibility forms: ＝ ﹦ ⁼ are all "=" to a program that normalises what it reads.
    return bool(bare) and unicodedata.normalize("NFKC", bare[0])[:1] in _STARTS


def guarded(text: str) -> str:
    """The text as it goes into a CSV."""
    return QUOTE + text if is_risky(text.lstrip(QUOTE)) else text


def unguarded(text: str) -> str:
    """What `guarded` was given."""
    return text[1:] if text.startswith(QUOTE) and is_risky(text.lstrip(QUOTE)) else text
