"""Keyword tags: thousands of words looked for in one pass over the text (Aho-Corasick). Pure.

A word in Latin letters stands alone: `leak` is not in `leakage`. Chinese has no blanks, so a Chinese word may stand
anywhere. Width and case do not matter. Where a word lies inside a longer one that was found too, only the longer one
counts: a keyword without a tag thereby hides what its text would otherwise be taken for ("power bank" and "power").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import ahocorasick
import msgspec

from callout_orders.precheck.terms import Proposal, TagHit
from callout_orders.precheck.text.words import fold, is_word

WORD_CHARS_MAX: Final = 60
KEYWORDS_MAX: Final = 20_000
_NAMED_MAX: Final = 5


class Keyword(msgspec.Struct, frozen=True):
    """A word (folded), the tag that it puts on an order, and what it hints at. No tag and no hint: it hides others."""

    word: str
    tag: str = ""
    priority: str | None = None
    kind: str | None = None


class Hit(msgspec.Struct, frozen=True):
    """A keyword where it stands."""

    keyword: Keyword
    start: int
    end: int


class Tagger:
    """Keywords, ready to be looked for. Built once and used by many; it holds no state of a text."""

    def __init__(self, keywords: Iterable[Keyword]) -> None:
        by_word: dict[str, list[Keyword]] = {}
        for keyword in keywords:
            if keyword.word:
                by_word.setdefault(keyword.word, []).append(keyword)
        self.count = len(by_word)
        self._automaton: Any = ahocorasick.Automaton()
        for word, same in by_word.items():
            self._automaton.add_word(word, (len(word), tuple(same)))
        if by_word:
            self._automaton.make_automaton()

    def hits(self, text: str) -> list[Hit]:
        """Every keyword that stands in the text and inside no longer one, in the order of the text."""
        if not self.count:
            return []
        folded = fold(text)
        spans = sorted(self._alone(folded), key=lambda span: (span[0], -span[1]))
        kept: list[Hit] = []
        reach = -1
        for start, end, same in spans:
            # Sorted by start, the longer first: what ends no later than the furthest end so far lies inside another.
            if end <= reach:
                continue
            reach = end
            kept += (Hit(keyword, start, end) for keyword in same)
        return kept

    def _alone(self, folded: str) -> Iterator[tuple[int, int, tuple[Keyword, ...]]]:
        last = len(folded)
        for at, (length, same) in self._automaton.iter(folded):
            start, end = at - length + 1, at + 1
            if start > 0 and is_word(folded[start]) and is_word(folded[start - 1]):
                continue
            if end < last and is_word(folded[at]) and is_word(folded[end]):
                continue
            yield start, end, same


def tags_of(hits: Sequence[Hit]) -> tuple[TagHit, ...]:
    """Each tag once, with the first word that stands for it."""
    found: dict[str, TagHit] = {}
    for hit in hits:
        tag = hit.keyword.tag
        if tag and tag not in found:
            found[tag] = TagHit(tag=tag, word=hit.keyword.word, start=hit.start, end=hit.end)
    return tuple(found.values())


def proposals_of(hits: Sequence[Hit]) -> tuple[Proposal, ...]:
    """The most urgent priority that a word hints at, and the kind that most words hint at; each with its words."""
    out: list[Proposal] = []
    priorities = [hit.keyword for hit in hits if hit.keyword.priority]
    if priorities:
        value = min(str(one.priority) for one in priorities)
        words = [one.word for one in priorities if one.priority == value]
        out.append(_proposal("priority", value, words))
    kinds: dict[str, list[str]] = {}
    for hit in hits:
        if hit.keyword.kind:
            kinds.setdefault(hit.keyword.kind, []).append(hit.keyword.word)
    if kinds:
        value = max(kinds, key=lambda kind: len(kinds[kind]))
        out.append(_proposal("kind", value, kinds[value]))
    return tuple(out)


def _proposal(field: str, value: str, words: Sequence[str]) -> Proposal:
    named = list(dict.fromkeys(words))[:_NAMED_MAX]
    return Proposal(
        field=field,
        value=value,
        reason="words",
        en=f"{value}, because of: {', '.join(named)}",
        zh=f"{value},依据关键词:{'、'.join(named)}",
    )
