"""Text made comparable without moving a character: full and half width are one, and so are small and large letters.

Every function keeps positions: the character at `i` of the folded text stands for the one at `i` of the given text, so
that what is found can be shown where it was written.
"""

from __future__ import annotations

from typing import Final

_WIDE: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_BLANKS: Final = {0x3000: 0x20, 0xA0: 0x20, 0x2007: 0x20, 0x202F: 0x20, 0x09: 0x20}
_DASHES: Final = {code: 0x2D for code in (0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2212, 0xFE63)}
_NARROW: Final = _WIDE | _BLANKS | _DASHES


def narrow(text: str) -> str:
    """Full-width letters, digits and signs as half-width ones; every blank and every dash as the plain one."""
    return text if text.isascii() and "\t" not in text else text.translate(_NARROW)


def fold(text: str) -> str:
    """`narrow`, in small letters; a letter whose small form is not one character stays as it is."""
    slim = narrow(text)
    small = slim.lower()
    if len(small) == len(slim):
        return small
    return "".join(low if len(low := one.lower()) == 1 else one for one in slim)


def is_cjk(char: str) -> bool:
    """Whether it is a Chinese character."""
    return "㐀" <= char <= "鿿" or "豈" <= char <= "﫿"


def is_word(char: str) -> bool:
    """Whether it belongs to a word that is written with blanks around it: a letter or digit that is not Chinese."""
    return char.isalnum() and not is_cjk(char)
