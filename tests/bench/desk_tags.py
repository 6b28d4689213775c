"""Keyword tags: thousands of words in one text, beside one big regular expression and a loop over the words."""

import random
import re
import statistics
import time
from collections.abc import Callable

from desk_report import Row, spread, verdict

from callout_orders.precheck.text.tags import Keyword, Tagger, tags_of
from callout_orders.precheck.text.words import fold, is_word

KEYWORDS = 5_000
CHARS = 2_000
PLANTED = 40
TEXTS = 20
ROUNDS = 3
TARGET_MS = 1.0

_ZH = "水电气泵阀管线轴箱门窗梯灯锁屏板机炉罐塔堵漏断裂响热冷坏停跳烧锈松卡湿黑花"
_EN = "pump valve motor seal belt fan panel sensor lock door lamp filter boiler cable relay hinge drum rotor gear tank"
_FAULTS = "leaks jams trips hums burns rattles stalls drips slips cracks sparks freezes smells blinks stops"


def _words(dice: random.Random) -> list[str]:
    """Half of them Chinese of two to four characters, half English of two words with a number as products have it."""
    found: set[str] = set()
    while len(found) < KEYWORDS // 2:
        found.add("".join(dice.choices(_ZH, k=dice.choice((2, 3, 3, 4)))))
    while len(found) < KEYWORDS:
        found.add(
            f"{dice.choice(_EN.split())} {dice.choice(_FAULTS.split())}"
            if dice.random() < 0.05
            else f"{dice.choice(_EN.split())}-{dice.randrange(10, 999)}"
        )
    return sorted(found)


def _text(dice: random.Random, words: list[str]) -> str:
    filler = "昨天下午客户来电说明设备情况请尽快安排工程师处理。 Please call before you come, the code is at the desk. "
    pieces = [filler] * 60
    for word in dice.sample(words, PLANTED):
        pieces.insert(dice.randrange(25), f" {word} ")
    return "".join(pieces)[:CHARS]


def _alone(text: str, start: int, end: int) -> bool:
    before = start > 0 and is_word(text[start]) and is_word(text[start - 1])
    after = end < len(text) and is_word(text[end - 1]) and is_word(text[end])
    return not (before or after)


def rows() -> list[Row]:
    """One row; the sides must find the same tags where they look by the same rule."""
    dice = random.Random("tags")
    words = _words(dice)
    texts = [_text(dice, words) for _ in range(TEXTS)]
    began = time.perf_counter()
    tagger = Tagger([Keyword(word=word, tag=f"t:{word}") for word in words])
    built_ms = (time.perf_counter() - began) * 1000
    longest = sorted(words, key=len, reverse=True)
    began = time.perf_counter()
    pattern = re.compile("|".join(re.escape(word) for word in longest))
    compiled_ms = (time.perf_counter() - began) * 1000

    def ours(text: str) -> set[str]:
        return {hit.word for hit in tags_of(tagger.hits(text))}

    def alternation(text: str) -> set[str]:
        folded = fold(text)
        return {one[0] for one in pattern.finditer(folded) if _alone(folded, *one.span())}

    def loop(text: str) -> set[str]:
        folded = fold(text)
        return {
            word for word in words if (at := folded.find(word)) >= 0 and _alone(folded, at, at + len(word))
        }

    spent: dict[str, list[float]] = {}
    found: dict[str, int] = {}
    for side in (ours, alternation, loop):
        spent[side.__name__], found[side.__name__] = _timed(side, texts)
    mid = {name: statistics.median(times) for name, times in spent.items()}
    return [
        Row(
            work=f"tags: {KEYWORDS:,} keywords over {CHARS:,} characters, {TEXTS} texts",
            ours=f"{spread(spent['ours'])}; built in {built_ms:.0f} ms",
            beside=(
                f"one `re` alternation {spread(spent['alternation'])}, compiled in {compiled_ms:.0f} ms; "
                f"a loop {spread(spent['loop'])}"
            ),
            ratio=f"{mid['alternation'] / mid['ours']:.0f} x, {mid['loop'] / mid['ours']:.0f} x",
            target=f"<= {TARGET_MS:g} ms",
            verdict=verdict(mid["ours"] <= TARGET_MS),
            more={"ms": mid, "tags_found": found, "built_ms": built_ms, "compiled_ms": compiled_ms},
        )
    ]


def _timed(side: Callable[[str], set[str]], texts: list[str]) -> tuple[list[float], int]:
    """Milliseconds a text, and how many tags were found in all of them."""
    spent: list[float] = []
    found = 0
    for turn in range(ROUNDS):
        for text in texts:
            began = time.perf_counter()
            tags = side(text)
            spent.append((time.perf_counter() - began) * 1000)
            found += len(tags) if turn == 0 else 0
    return spent, found
