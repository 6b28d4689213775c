"""The words of a text, for search: Chinese cut by rjieba, English and codes as they stand, in one list. Pure.

Small and full-width letters are one, an English plural is its singular, and words that stand in every sentence are left out.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

import rjieba

WORD_CHARS_MAX: Final = 40
WORDS_MAX: Final = 400
"""Different words that are kept of one article, the weightiest first."""
QUERY_WORDS_MAX: Final = 60
"""Different words of a question, the first ones."""
QUERY_CHARS_MAX: Final = 4_000

_PIECES: Final = re.compile(r"[\u3400-\u9fff]+|[a-z0-9]+(?:[._-][a-z0-9]+)*")
_CHINESE: Final = re.compile(r"[\u3400-\u9fff]")
_ENGLISH: Final = """
a an and are as at be been but by can cannot could did do does for from had has have how i if in
into is it its me my no not of on or our she so than that the their them then there they this to too
was we were what when where which while who why will with would you your please after again still
now
"""
_CHINESE_STOP: Final = """
的 了 是 我 你 他 她 它 们 我们 你们 在 和 与 或 也 都 就 还 有 没 没有 不 吗 呢 吧 啊 请
请问 怎么 什么 怎样 这 那 这个 那个 一个 一下 着 过 把 被 让 给 对 从 到 上 下 里 很 会 能 可以
要 后 时 又 再
"""
_STOP: Final = frozenset(_ENGLISH.split()) | frozenset(_CHINESE_STOP.split())
"""Words that stand in every sentence."""


def words(text: str) -> list[str]:
    """The words of a text in their order, repeated ones included."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    found: list[str] = []
    for piece in _PIECES.findall(plain):
        if piece in _STOP:
            continue  # Before it is made a singular: "this" and "does" end like plurals.
        if _CHINESE.match(piece):
            found += rjieba.cut_for_search(piece)
        else:
            found.append(_singular(piece))
            # Of "e-07" both the whole and its parts are searched for.
            found += [part for part in re.split(r"[._-]", piece) if len(part) > 1 and part != piece]
    return [word for word in found if word not in _STOP and len(word) <= WORD_CHARS_MAX]


def asked(text: str) -> list[str]:
    """Different words of a question, at most `QUERY_WORDS_MAX`."""
    return list(dict.fromkeys(words(text[:QUERY_CHARS_MAX])))[:QUERY_WORDS_MAX]


def weighed(texts: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Words of several texts with what they weigh: each text's weight, times how often a word stands there, damped."""
    found: dict[str, float] = {}
    for text, weight in texts:
        for word, times in Counter(words(text)).items():
            found[word] = found.get(word, 0.0) + weight * (1.0 + math.log(times))
    best = sorted(found.items(), key=lambda one: (-one[1], one[0]))[:WORDS_MAX]
    return dict(best)


def _singular(word: str) -> str:
    return (
        word[:-1]
        if len(word) > 3 and word.endswith("s") and not word.endswith("ss") and word.isalpha()
        else word
    )
