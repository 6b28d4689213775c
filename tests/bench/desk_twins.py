"""Twins and near-misses made from San Francisco's requests, seeded, and how many of them are told apart.

Every case starts from a real request with its address and place. A twin is the same matter reported again within two days in
other words: by the same telephone, by another contact of the same customer, or by a neighbour some metres away. A near-miss
has much in common and is another matter: the same customer with another trouble, the same words from the other end of
the city, the same words about another machine of the same customer, or a neighbour with another trouble.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from rapidfuzz import fuzz

from callout_backend.demo import sf311
from callout_orders.precheck.alike.duplicates import Traits
from callout_store.ids import new_id

EACH: Final = 100
"""Cases of each of the seven sorts."""
HOURS: Final = 48
TEXT_ALIKE: Final = 85.0
SORTS: Final = (
    "telephone",
    "contact",
    "neighbour",
    "other trouble",
    "far away",
    "other machine",
    "next door",
)
TWINS: Final = SORTS[:3]
_DETAILS: Final = (
    "water comes up through the drain and runs into the cellar",
    "the cover is missing and somebody may fall in",
    "the glass of the front window is cracked from top to bottom",
    "the wall by the entrance has been sprayed over",
    "the bin is overflowing and rats have been seen",
    "the lamp in front of the house stays dark",
    "the smell is so strong that we keep all windows shut",
    "the meter takes money and prints nothing",
    "a big branch hangs over the pavement",
    "the tap in the yard cannot be turned off any more",
    "the lift door scrapes and opens only halfway",
    "the heater knocks all night and stays cold",
)
_OTHER_WORDS: Final = (
    ("comes up through", "keeps coming out of"),
    ("runs into", "is getting into"),
    ("cellar", "basement"),
    ("is missing", "is gone"),
    ("somebody may fall in", "a child could fall in"),
    ("cracked", "broken"),
    ("from top to bottom", "all over"),
    ("has been sprayed over", "was sprayed with graffiti"),
    ("overflowing", "more than full"),
    ("rats have been seen", "there are rats"),
    ("stays dark", "does not light"),
    ("so strong", "very bad"),
    ("keep all windows shut", "cannot open a window"),
    ("takes money", "swallows coins"),
    ("prints nothing", "gives no ticket"),
    ("big branch", "large branch"),
    ("hangs over", "is hanging over"),
    ("cannot be turned off", "does not close"),
    ("scrapes", "grinds"),
    ("opens only halfway", "does not open fully"),
    ("knocks", "is knocking"),
    ("stays cold", "gives no heat"),
)
_AGAIN: Final = ("Still the same: ", "Reported before, nobody came. ", "Hello, ", "Urgent please! ", "", "")


class Case(NamedTuple):
    """An order that stands, and one that comes in later; `twin`: they are about the same matter."""

    sort: str
    first: Traits
    second: Traits

    @property
    def twin(self) -> bool:
        return self.sort in TWINS


def cases(now: datetime) -> list[Case]:
    """All of them; ids, telephones and places are of their own in each."""
    dice = random.Random("twins")
    usable = [one for one in sf311.read(sf311.packaged_rows()).usable if one.address[:1].isdigit()]
    requests = dice.sample(usable, EACH * len(SORTS))
    found = []
    for n, request in enumerate(requests):
        sort = SORTS[n % len(SORTS)]
        detail, other = dice.sample(_DETAILS, 2)
        at = now - timedelta(hours=dice.uniform(2, HOURS))
        lat, lng = _apart(n, request.point.lat, request.point.lng)
        first = Traits(
            description=f"{request.description}, {detail}",
            created_at=at,
            customer_id=new_id(),
            site_id=new_id(),
            contact_id=new_id(),
            phone=f"+1415555{n:04d}",
            serial=f"UNIT-{n:05d}" if sort == "other machine" else None,
            lat=lat,
            lng=lng,
        )
        found.append(Case(sort, first, _second(dice, sort, first, request.description, detail, other, now)))
    return found


def _apart(n: int, lat: float, lng: float) -> tuple[float, float]:
    """The request's place in a city of the case's own: two real requests at one corner are nobody's mistake here."""
    return lat + (n % 25) * 0.6, lng + (n // 25) * 0.6


def _second(
    dice: random.Random, sort: str, first: Traits, topic: str, detail: str, other: str, now: datetime
) -> Traits:
    said = _reworded(dice, topic, detail)
    stranger = {"customer_id": new_id(), "site_id": new_id(), "contact_id": new_id(), "phone": _phone(dice)}
    trouble = f"{dice.choice(_AGAIN)}{topic}, {other}"
    changes: dict[str, object] = {
        "telephone": {"description": said},
        "contact": {"description": said, "contact_id": new_id(), "phone": _phone(dice)},
        "neighbour": {"description": said, **stranger, **_metres(dice, first, 10, 50)},
        "other trouble": {"description": trouble},
        "far away": {**stranger, **_metres(dice, first, 2_000, 9_000)},
        "other machine": {"serial": f"{first.serial}-B"},
        "next door": {"description": trouble, **stranger, **_metres(dice, first, 10, 50)},
    }[sort]  # type: ignore[assignment]
    values = {name: getattr(first, name) for name in Traits.__struct_fields__}
    return Traits(**(values | {"created_at": now} | changes))  # type: ignore[arg-type]


def _reworded(dice: random.Random, topic: str, detail: str) -> str:
    """In other words, in another order, with a slip of the finger."""
    for before, after in _OTHER_WORDS:
        if before in detail and dice.random() < 0.5:
            detail = detail.replace(before, after)
    said = [topic.partition(": ")[2] or topic, detail]
    dice.shuffle(said)
    text = dice.choice(_AGAIN) + ". ".join(said)
    at = dice.randrange(len(text) // 2, len(text) - 2)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :] if dice.random() < 0.5 else text


def _phone(dice: random.Random) -> str:
    return f"+1628{dice.randrange(2_000_000, 9_999_999)}"


def _metres(dice: random.Random, first: Traits, low: float, high: float) -> dict[str, float]:
    assert first.lat is not None
    assert first.lng is not None
    metres, angle = dice.uniform(low, high), dice.uniform(0, 2 * math.pi)
    return {
        "lat": first.lat + metres * math.cos(angle) / 111_195,
        "lng": first.lng + metres * math.sin(angle) / 111_195 / math.cos(math.radians(first.lat)),
    }


class Told(NamedTuple):
    """What a way of looking says of a case: the first orders that it names, None for none."""

    case: Case
    named: UUID | None


def judged(
    told: Sequence[Told], firsts: dict[int, UUID], sorts: Sequence[str] = TWINS
) -> tuple[float, float]:
    """Precision (of what is named, how much is the twin) and recall (of the twins of these sorts, how many are named)."""
    named = [one for one in enumerate(told) if one[1].named is not None]
    right = [n for n, one in named if one.case.twin and one.named == firsts[n]]
    wanted = [n for n, one in enumerate(told) if one.case.sort in sorts]
    found = set(right) & set(wanted)
    return (len(right) / len(named) if named else 1.0), len(found) / len(wanted)


def by_text(all_cases: Sequence[Case], firsts: dict[int, UUID]) -> list[Told]:
    """Text alone: the most alike of all orders that stand, from a threshold on."""
    texts = [case.first.description for case in all_cases]
    found = []
    for case in all_cases:
        scores = [fuzz.token_set_ratio(case.second.description, text) for text in texts]
        best = max(range(len(texts)), key=lambda n: scores[n])
        found.append(Told(case, firsts[best] if scores[best] >= TEXT_ALIKE else None))
    return found


def by_customer(all_cases: Sequence[Case], firsts: dict[int, UUID]) -> list[Told]:
    """The customer alone: its last order of these days."""
    of = {case.first.customer_id: n for n, case in enumerate(all_cases)}
    return [
        Told(case, firsts[of[case.second.customer_id]] if case.second.customer_id in of else None)
        for case in all_cases
    ]
