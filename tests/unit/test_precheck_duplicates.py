"""How likely two orders are about one matter: laws of the score, and pairs that people would judge the same way."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout_orders.precheck.alike.duplicates import Likeness, Traits, likeness, nearness
from callout_orders.precheck.settings import Duplicates

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SETTINGS = Duplicates()
TEXTS = st.text("abcdefg 12水泵漏停电梯空调,.", max_size=60)


def some_id(n: int) -> UUID:
    return uuid5(UUID(int=0), str(n))


traits = st.builds(
    Traits,
    description=TEXTS,
    created_at=st.integers(0, 20_000).map(lambda minutes: NOON + timedelta(minutes=minutes)),
    customer_id=st.none() | st.integers(0, 2).map(some_id),
    site_id=st.none() | st.integers(0, 2).map(some_id),
    contact_id=st.none() | st.integers(0, 2).map(some_id),
    asset_id=st.none() | st.integers(0, 2).map(some_id),
    serial=st.none() | st.sampled_from(("A-1", "a1", "B-2")),
    phone=st.none() | st.sampled_from(("+1", "+2")),
    error_code=st.none() | st.sampled_from(("E1", "E2")),
    lat=st.sampled_from((None, 37.0, 37.0003, 37.001, 38.0)),
    lng=st.just(-122.0),
)


def alike(one: Traits, other: Traits) -> Likeness:
    return likeness(one, other, hours_max=SETTINGS.hours, metres_max=SETTINGS.metres)


@given(traits, traits)
def test_it_is_symmetric_bounded_and_explained(one: Traits, other: Traits) -> None:
    """Which of two orders came first would decide whether they are the same matter."""
    there, back = alike(one, other), alike(other, one)
    assert (there.score, there.text, there.anchored) == (back.score, back.text, back.anchored)
    assert 0 <= there.score <= 1
    assert there.score == pytest.approx(max(0.0, min(1.0, sum(r.points for r in there.reasons))), abs=1e-6)
    assert all(reason.en and reason.zh for reason in there.reasons)


@given(TEXTS)
def test_the_same_text_is_one(text: str) -> None:
    """The same mail sent twice would be two matters."""
    assert nearness(text, text) == 1
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)
    assert nearness(text, wide.upper()) == 1


@given(TEXTS, TEXTS)
def test_nearness_is_symmetric_and_bounded(one: str, other: str) -> None:
    """Two lists of candidates, each sorted differently, for one pair of orders."""
    assert nearness(one, other) == nearness(other, one)
    assert 0 <= nearness(one, other) <= 1


def test_an_order_is_its_own_duplicate() -> None:
    """The score would have no top to measure thresholds against."""
    full = Traits(
        description="The pump in the cellar leaks",
        created_at=NOON,
        customer_id=some_id(1),
        site_id=some_id(1),
        serial="A-1",
        phone="+1",
    )
    assert alike(full, full).score == 1


BASE = Traits(
    description="Charging pile shows E07 and does not start",
    created_at=NOON,
    customer_id=some_id(1),
    site_id=some_id(1),
    serial="CP-1",
    phone="+1",
    lat=37.0,
    lng=-122.0,
)


@pytest.mark.parametrize(
    ("change", "verdict"),
    (
        ({"description": "The charging pile does not start, shows E07"}, "sure"),
        (
            {"description": "Charging pile shows E07 and does not start!!", "phone": "+2", "serial": None},
            "sure",
        ),
        ({"created_at": NOON + timedelta(hours=20)}, "sure"),
        ({"description": "Cable of the pile was stolen last night, please replace it"}, "neither"),
        ({"serial": "CP-2"}, "neither"),
        ({"error_code": "E12", "description": "Charging pile shows E12 and does not start"}, "possible"),
        (
            {
                "customer_id": some_id(2),
                "site_id": some_id(2),
                "serial": None,
                "phone": "+2",
                "lat": 37.0003,
                "lng": -122.0,
            },
            # Another customer thirty metres away: shown, never linked by itself.
            "possible",
        ),
        ({"customer_id": some_id(2), "serial": None, "phone": "+2"}, "possible"),
        ({"site_id": some_id(2), "lat": 38.0, "serial": None, "phone": None}, "possible"),
    ),
)
def test_pairs_as_people_judge_them(change: dict[str, Any], verdict: str) -> None:
    """Orders would be linked that nobody would call the same, or shown to nobody though they are."""
    base = msgspec.structs.replace(BASE, error_code="E07")
    other = msgspec.structs.replace(base, **{"error_code": None, **change})
    found = alike(base, other)
    sure = found.is_sure(SETTINGS.sure)
    got = "sure" if sure else "possible" if found.score >= SETTINGS.possible else "neither"
    assert got == verdict, (found.score, found.anchored, found.reasons)


NEXT_DOOR: dict[str, Any] = {"customer_id": some_id(2), "site_id": some_id(2), "phone": "+2", "serial": None}


@pytest.mark.parametrize(
    ("change", "verdict"),
    (
        ({}, "possible"),
        # The very same words at the very same place, a minute later: two customers are two customers.
        ({"lat": 37.0, "description": BASE.description}, "possible"),
        ({"lat": 37.00045}, "possible"),
        ({"created_at": NOON + timedelta(hours=40)}, "possible"),
        ({"created_at": NOON + timedelta(hours=71), "lat": 37.0009}, "neither"),
        ({"lat": 37.0014}, "neither"),
        ({"lat": 38.0}, "neither"),
        ({"lat": None}, "neither"),
        ({"serial": "CP-2"}, "neither"),
        ({"description": "The lift of our house stands still between two floors"}, "neither"),
        # What both have in common counts more than being next door.
        ({"customer_id": some_id(1)}, "possible"),
    ),
)
def test_neighbours_as_people_judge_them(change: dict[str, Any], verdict: str) -> None:
    """Three neighbours with one dark lamp would be three matters; or two shops with two troubles would be taken for one."""
    other = msgspec.structs.replace(
        BASE,
        **{
            "description": "Hello, pile does not start and shows E07",
            "lat": 37.0003,
            **NEXT_DOOR,
            **change,
        },
    )
    found = alike(BASE, other)
    assert not found.is_sure(0)
    got = "possible" if found.score >= SETTINGS.possible else "neither"
    assert got == verdict, (found.score, found.reasons)


@given(traits, traits)
def test_something_in_common_never_counts_less_than_being_next_door(one: Traits, other: Traits) -> None:
    """Of two candidates the neighbour's order would stand above the customer's own."""
    near = {"site_id": None, "lat": 37.0, "lng": -122.0, "serial": None, "asset_id": None}
    apart = [
        msgspec.structs.replace(traits_, **near, phone=None, contact_id=None, customer_id=some_id(n))
        for n, traits_ in enumerate((one, other))
    ]
    same = [msgspec.structs.replace(traits_, customer_id=some_id(7)) for traits_ in apart]
    assert alike(*apart).score <= alike(*same).score


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    (
        ("空调不制冷,外机有异响", "空调外机有异响,不制冷", 0.6, 1.0),
        ("空调不制冷,外机有异响", "打印机卡纸了,请来维修", 0.0, 0.1),
        ("the pump leaks in the cellar", "in the cellar the pump leaks", 0.95, 1.0),
        (
            "the pump leaks",
            "the pump leaks and since yesterday the whole cellar stands under water",
            0.3,
            0.8,
        ),
        ("the lamp is dark", "no hot water in the kitchen", 0.0, 0.6),
        ("E07 充电桩报错", "充电桩报错 E07", 0.95, 1.0),
    ),
)
def test_texts_as_people_compare_them(one: str, other: str, low: float, high: float) -> None:
    """The order of words would matter more than what they say; or two faults of one machine would be one."""
    assert low <= nearness(one, other) <= high


def test_two_short_texts_alone_make_nothing_sure() -> None:
    """ "坏了" and "坏了" of one customer with forty machines are not one matter."""
    short = msgspec.structs.replace(BASE, description="坏了", serial=None)
    found = alike(short, short)
    assert found.score >= SETTINGS.sure
    assert not found.anchored
    machine = msgspec.structs.replace(BASE, description="坏了")
    assert alike(machine, machine).anchored
