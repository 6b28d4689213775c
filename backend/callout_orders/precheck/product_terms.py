"""A product as the rules see it. Values only."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from callout_orders.precheck.text.serials import SerialPattern, compiled, key
from callout_orders.precheck.text.words import fold


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """`words` are what it is called, folded (`words.fold`), without doubles; `pattern` None: its serials have any form."""

    code: str
    name_en: str
    name_zh: str
    words: tuple[str, ...] = ()
    pattern: SerialPattern | None = None
    example: str | None = None

    def name(self, locale: str) -> str:
        """Its name in `en` or `zh`."""
        return self.name_zh if locale.startswith("zh") else self.name_en


def product(
    code: str,
    name_en: str,
    name_zh: str,
    *,
    names: Sequence[str] = (),
    pattern: str | None = None,
    example: str | None = None,
) -> Product:
    """A product from its row; raises `serials.BadPattern`."""
    words = (fold(word).strip() for word in (code, name_en, name_zh, *names))
    return Product(
        code=code,
        name_en=name_en,
        name_zh=name_zh,
        words=tuple(dict.fromkeys(word for word in words if len(word) >= 2)),
        pattern=compiled(pattern) if pattern else None,
        example=example,
    )


def named(word: str, products: Sequence[Product]) -> Product | None:
    """The product with this code or name."""
    folded = fold(word).strip()
    return next((one for one in products if one.code == word), None) or next(
        (one for one in products if folded in one.words), None
    )


def fits(serial: str, products: Sequence[Product]) -> tuple[Product, str] | None:
    """The product whose pattern the serial fits, with the form in which it is kept; the most particular pattern first
    (letters before mere digits, then the fewest lengths)."""
    length = len(key(serial))
    best: tuple[tuple[bool, int], Product, str] | None = None
    for one in products:
        pattern = one.pattern
        if pattern is None or not pattern.chars_min <= length <= pattern.chars_max:
            continue
        kept = pattern.fit(serial)
        rank = (pattern.digits_only, pattern.chars_max - pattern.chars_min)
        if kept is not None and (best is None or rank < best[0]):
            best = rank, one, kept
    return None if best is None else (best[1], best[2])
