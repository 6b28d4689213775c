"""How likely it is that two orders are about the same matter, and why. Pure.

The score is a sum of points, 1 at most: the texts' nearness, who and what both name, the time between them and the way
between their places. It is symmetric, and an order is its own duplicate with the full score. Two texts alone never make
a sure duplicate: something that both name has to be the same.
"""

from __future__ import annotations

import math
from datetime import datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

import msgspec
from rapidfuzz import fuzz

from callout_orders.precheck.terms import Reason
from callout_orders.precheck.text.serials import key
from callout_orders.precheck.text.words import fold, is_cjk, is_word

TEXT_POINTS: Final = 0.5
WHO_POINTS: Final = 0.3
TIME_POINTS: Final = 0.1
PLACE_POINTS: Final = 0.1
COMPARED_CHARS_MAX: Final = 1000
CHANCE: Final = 0.35
"""How alike two English sentences about different things are by their letters alone; it counts as nothing."""
SHORT_CHARS: Final = 8
"""A text with fewer characters (Chinese ones count twice) is too short to be sure of anything."""
NEXT_DOOR: Final = 1 / 3
"""Of the metres that count as the same place: an address is found no more exactly than a house or two."""
OTHER_MACHINE_MAX: Final = 0.4
OTHER_ERROR_FACTOR: Final = 0.7

_NEIGHBOUR: Final = "neighbour"
# What both name, the surest first: points of `WHO_POINTS`. Neighbours name nothing in common, and may see the same dark lamp.
_WHO: Final = {
    "same_serial": (1.0, "the same machine ({value})", "同一设备({value})"),
    "same_phone": (0.95, "the same telephone ({value})", "同一电话({value})"),
    "same_contact": (0.95, "the same contact", "同一联系人"),
    "same_customer": (0.8, "the same customer", "同一客户"),
    _NEIGHBOUR: (0.8, "next door", "相邻地点"),
}


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What of an order is compared. `phone` in E.164; `lat` and `lng` in WGS-84 degrees, both or neither."""

    description: str
    created_at: datetime
    customer_id: UUID | None = None
    site_id: UUID | None = None
    contact_id: UUID | None = None
    asset_id: UUID | None = None
    serial: str | None = None
    phone: str | None = None
    error_code: str | None = None
    lat: float | None = None
    lng: float | None = None


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """`score` 0..1, the sum of the reasons' points. `text` 0..1 is the nearness of the descriptions. `anchored`: both name
    the same machine, telephone, contact or customer, not two of its sites, and there is text enough to compare."""

    score: float
    text: float
    anchored: bool
    reasons: tuple[Reason, ...]

    def is_sure(self, threshold: float) -> bool:
        """Whether it is enough to link one to the other by itself."""
        return self.anchored and self.score >= threshold


def likeness(one: Traits, other: Traits, *, hours_max: float, metres_max: float) -> Likeness:
    """The score of two orders. Time counts nothing from `hours_max` on, the way nothing from `metres_max` on."""
    text = nearness(one.description, other.description)
    reasons = [_text_reason(text)]
    metres = _way(one, other)
    who, value, share = _who(one, other, metres, metres_max)
    if who is not None:
        weight, en, zh = _WHO[who]
        reasons.append(
            Reason(
                code=who,
                points=_points(WHO_POINTS * weight * share),
                en=en.format(value=value),
                zh=zh.format(value=value),
            )
        )
    minutes = abs((one.created_at - other.created_at).total_seconds()) / 60
    reasons.append(_time_reason(minutes, hours_max))
    if metres is not None:
        reasons.append(_place_reason(metres, metres_max))
    score = sum(reason.points for reason in reasons)
    machines = _both(_machine(one), _machine(other))
    if machines is False:
        lost = _points(score - min(score, OTHER_MACHINE_MAX))
        reasons.append(Reason(code="other_machine", points=-lost, en="another machine", zh="不同设备"))
    if _both(one.error_code, other.error_code) is False:
        so_far = sum(reason.points for reason in reasons)
        reasons.append(
            Reason(
                code="other_error",
                points=-_points(so_far * (1 - OTHER_ERROR_FACTOR)),
                en="another error code",
                zh="故障代码不同",
            )
        )
    short = min(_weight(one.description), _weight(other.description)) < SHORT_CHARS
    return Likeness(
        score=_points(max(0.0, min(1.0, sum(reason.points for reason in reasons)))),
        text=text,
        anchored=who not in (None, _NEIGHBOUR)
        and (not short or who == "same_serial")
        and machines is not False
        # One customer reports the same fault at two of their sites: two orders, unless it is one machine.
        and (who == "same_serial" or _both(one.site_id, other.site_id) is not False),
        reasons=tuple(reason for reason in reasons if reason.points),
    )


def nearness(one: str, other: str) -> float:
    """How near two texts are, 0..1; the same text is 1, and so is it in other width, case and punctuation.

    Words of Latin letters are compared as sets and as sorted lists (their order says little); Chinese by the pairs of
    characters that stand side by side. A text in both languages counts by how much of it is in which.
    """
    first, second = _parts(one), _parts(other)
    if first == second:
        return 1.0
    latin_weight = len(first.latin) + len(second.latin)
    # One Chinese character says about as much as three letters.
    cjk_weight = 3 * (len(first.cjk) + len(second.cjk))
    if not latin_weight + cjk_weight:
        return 0.0
    latin = _latin(first.latin, second.latin) if latin_weight else 0.0
    cjk = _dice(first.pairs, second.pairs) if cjk_weight else 0.0
    return round((latin * latin_weight + cjk * cjk_weight) / (latin_weight + cjk_weight), 4)


class _Parts(msgspec.Struct, frozen=True):
    latin: str
    cjk: str
    pairs: frozenset[str]


@lru_cache(maxsize=4096)
def _parts(text: str) -> _Parts:
    folded = fold(text[:COMPARED_CHARS_MAX])
    words = "".join(char if is_word(char) else " " for char in folded).split()
    runs = "".join(char if is_cjk(char) else " " for char in folded).split()
    pairs = frozenset(run[at : at + 2] for run in runs for at in range(max(1, len(run) - 1)))
    return _Parts(" ".join(words), "".join(runs), pairs)


def _latin(one: str, other: str) -> float:
    if not one or not other:
        return 0.0
    # The set alone would call a text that is part of the other the same.
    as_set = max(fuzz.token_set_ratio(one, other), fuzz.token_set_ratio(other, one))
    as_list = max(fuzz.token_sort_ratio(one, other), fuzz.token_sort_ratio(other, one))
    alike = (0.4 * as_set + 0.6 * as_list) / 100
    return max(0.0, (alike - CHANCE) / (1 - CHANCE))


def _dice(one: frozenset[str], other: frozenset[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other)) if one and other else 0.0


def _weight(text: str) -> int:
    parts = _parts(text)
    return len(parts.latin.replace(" ", "")) + 2 * len(parts.cjk)


def _machine(one: Traits) -> str | None:
    return key(one.serial) if one.serial else str(one.asset_id) if one.asset_id else None


def _both(one: object, other: object) -> bool | None:
    """Whether two values are the same; None where one of them is not known."""
    return None if one is None or other is None else one == other


def _who(
    one: Traits, other: Traits, metres: float | None, metres_max: float
) -> tuple[str | None, str, float]:
    """What both name, as a row of `_WHO`: with its value, and how much of it counts, 0..1."""
    if one.serial and other.serial and key(one.serial) == key(other.serial):
        return "same_serial", min(one.serial, other.serial), 1.0
    if _both(one.asset_id, other.asset_id):
        return "same_serial", min(one.serial or other.serial or "", other.serial or one.serial or ""), 1.0
    if _both(one.phone, other.phone):
        return "same_phone", str(one.phone), 1.0
    if _both(one.contact_id, other.contact_id):
        return "same_contact", "", 1.0
    if _both(one.customer_id, other.customer_id):
        return "same_customer", "", 1.0
    if metres is not None and metres < metres_max:
        return _NEIGHBOUR, "", min(1.0, (1 - metres / metres_max) / (1 - NEXT_DOOR))
    return None, "", 0.0


def _text_reason(text: float) -> Reason:
    percent = round(text * 100)
    return Reason(
        code="text",
        points=_points(TEXT_POINTS * text),
        en=f"the descriptions are {percent} % alike",
        zh=f"描述相似度 {percent}%",
    )


def _time_reason(minutes: float, hours_max: float) -> Reason:
    share = max(0.0, 1 - minutes / 60 / hours_max) if hours_max > 0 else 0.0
    away = f"{round(minutes)} min" if minutes < 120 else f"{round(minutes / 60)} h"
    away_zh = f"{round(minutes)} 分钟" if minutes < 120 else f"{round(minutes / 60)} 小时"
    return Reason(code="time", points=_points(TIME_POINTS * share), en=f"{away} apart", zh=f"相隔 {away_zh}")


def _way(one: Traits, other: Traits) -> float | None:
    """Metres between the two places; None where one of them is not known."""
    if _both(one.site_id, other.site_id):
        return 0.0
    if one.lat is None or one.lng is None or other.lat is None or other.lng is None:
        return None
    return _metres(one.lat, one.lng, other.lat, other.lng)


def _place_reason(metres: float, metres_max: float) -> Reason:
    share = max(0.0, 1 - metres / metres_max) if metres_max > 0 else float(metres == 0)
    return Reason(
        code="place",
        points=_points(PLACE_POINTS * share),
        en=f"{round(metres)} m apart" if metres else "at the same place",
        zh=f"相距 {round(metres)} 米" if metres else "同一地点",
    )


def _metres(lat: float, lng: float, other_lat: float, other_lng: float) -> float:
    """Great-circle metres (haversine, mean earth radius 6,371,008.8 m)."""
    a, b = math.radians(lat), math.radians(other_lat)
    h = (
        math.sin((b - a) / 2) ** 2
        + math.cos(a) * math.cos(b) * math.sin(math.radians(other_lng - lng) / 2) ** 2
    )
    return 2 * 6_371_008.8 * math.asin(min(1.0, math.sqrt(h)))


def _points(value: float) -> float:
    return round(value, 4)
