"""Serial numbers of products: patterns that cannot be slow, and the form in which a serial is kept.

A pattern is a regular expression of few words: literal characters, `.`-free classes (`[A-HJ-NP-Z0-9]`, `\\d`), groups
of alternatives (`(?:A|B)`), and the counts `?`, `{n}`, `{n,m}`. `*`, `+`, look-around and back-references do not exist
in it. What may be matched in several ways multiplies: a pattern that could be read in more than `WAYS_MAX` ways, or that
takes more than `CHARS_MAX` characters, is refused. So the time to match has a bound that no text can break.

Blanks, hyphens, dots, slashes and underscores are how people group a serial; they are not compared. A pattern that has
them between its parts says how the serial is written when it is kept.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from callout_orders.precheck.text.words import narrow

PATTERN_CHARS_MAX: Final = 200
CHARS_MAX: Final = 80
WAYS_MAX: Final = 2000
SEPARATORS: Final = " -./_"

_SEPARATOR: Final = re.compile(r"[ \-./_:]+")
_CLASS: Final = re.compile(r"\[((?:[A-Za-z0-9](?:-[A-Za-z0-9])?|\\d)+)\]")
_COUNT: Final = re.compile(r"\?|\{(\d{1,3})(?:,(\d{1,3}))?\}")


class BadPattern(ValueError):
    """A pattern that is not taken. `reason` is a key of the texts in `callout_orders.checks`; `at` counts from 0."""

    def __init__(self, reason: str, at: int, given: str = "") -> None:
        self.reason, self.at, self.given = reason, at, given
        super().__init__(f"{reason} at {at}: {given}")


class SerialPattern(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern, ready to be matched. `separators` stand between the groups of `regex`."""

    text: str
    regex: re.Pattern[str]
    separators: tuple[str, ...]
    chars_min: int
    chars_max: int
    digits_only: bool

    def fit(self, serial: str) -> str | None:
        """The serial as it is kept, where it fits; None where it does not."""
        compact = key(serial)
        if not self.chars_min <= len(compact) <= self.chars_max:
            return None
        found = self.regex.fullmatch(compact)
        if found is None:
            return None
        parts = [part or "" for part in found.groups()]
        out = parts[0]
        for separator, part in zip(self.separators, parts[1:], strict=True):
            out += separator + part
        return out


def key(serial: str) -> str:
    """What is compared of a serial: capital letters and digits, without what groups them."""
    return _SEPARATOR.sub("", narrow(serial)).upper()


def compiled(pattern: str) -> SerialPattern:
    """The pattern, checked. Raises BadPattern."""
    if len(pattern) > PATTERN_CHARS_MAX:
        raise BadPattern("pattern_long", PATTERN_CHARS_MAX, str(len(pattern)))
    given = pattern.removeprefix("^").removesuffix("$") if not pattern.endswith("\\$") else pattern
    chunks: list[str] = [""]
    separators: list[str] = []
    low = high = at = 0
    ways = 1
    digits_only = True
    while at < len(given):
        if given[at] in SEPARATORS or (given[at] == "\\" and given[at + 1 : at + 2] in tuple(SEPARATORS)):
            at += given[at] == "\\"
            separators.append(given[at])
            chunks.append("")
            at += 1
            continue
        source, least, most, choices, digits, at = _item(given, at)
        counted = _COUNT.match(given, at)
        fewest = times = 1
        if counted is not None:
            at = counted.end()
            if counted[0] == "?":
                fewest, times = 0, 1
            else:
                fewest = int(counted[1])
                times = int(counted[2]) if counted[2] else fewest
            if times < fewest or times == 0 or times > CHARS_MAX:
                raise BadPattern("pattern_count", at, counted[0])
            source = f"{source}{{{fewest},{times}}}"
        ways *= choices**times * (times - fewest + 1)
        low, high = low + least * fewest, high + most * times
        digits_only = digits_only and digits
        if ways > WAYS_MAX:
            raise BadPattern("pattern_ways", at, str(WAYS_MAX))
        if high > CHARS_MAX:
            raise BadPattern("pattern_takes", at, str(CHARS_MAX))
        chunks[-1] += source
    if low < 3:
        raise BadPattern("pattern_short", 0, pattern)
    return SerialPattern(
        text=pattern,
        regex=re.compile("".join(f"({chunk})" for chunk in chunks), re.ASCII),
        separators=tuple(separators),
        chars_min=low,
        chars_max=high,
        digits_only=digits_only,
    )


def _item(text: str, at: int) -> tuple[str, int, int, int, bool, int]:
    """Source, characters at least and at most, ways, digits only, and where it ends."""
    char = text[at]
    if char == "[":
        found = _CLASS.match(text, at)
        if found is None:
            raise BadPattern("pattern_class", at, text[at : at + 12])
        try:
            source = found[0].upper().replace("\\D", "0-9")
            re.compile(source)
        except re.error:
            raise BadPattern("pattern_class", at, found[0]) from None
        return source, 1, 1, 1, not re.search("[A-Za-z]", found[1].replace("\\d", "")), found.end()
    if char == "(":
        return _group(text, at)
    if text.startswith("\\d", at):
        return "[0-9]", 1, 1, 1, True, at + 2
    if char.isascii() and char.isalnum():
        return char.upper(), 1, 1, 1, char.isdigit(), at + 1
    raise BadPattern("pattern_sign", at, text[at : at + 2])


def _group(text: str, at: int) -> tuple[str, int, int, int, bool, int]:
    end = text.find(")", at)
    inner = text[at + 1 : end].removeprefix("?:") if end >= 0 else ""
    options = inner.split("|")
    if end < 0 or not all(re.fullmatch(r"(?:[A-Za-z0-9]|\\d)+", option) for option in options):
        raise BadPattern("pattern_group", at, text[at : at + 20])
    sources = [option.replace("\\d", "\0").upper().replace("\0", "[0-9]") for option in options]
    lengths = [len(option.replace("\\d", "0")) for option in options]
    digits = all(re.fullmatch(r"(?:\d|\\d)+", option) for option in options)
    return f"(?:{'|'.join(sources)})", min(lengths), max(lengths), len(options), digits, end + 1
