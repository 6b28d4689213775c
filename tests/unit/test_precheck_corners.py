"""What extraction must not take for something, and what is said of a request no more than once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from callout_orders.checks import Gather
from callout_orders.kinds.terms import DescriptionCheck, Kind, Label, PhoneCheck, RequiredCheck, Step
from callout_orders.precheck import rules
from callout_orders.precheck.product_terms import Product, product
from callout_orders.precheck.text import extract as extraction
from callout_orders.precheck.text.extract import extract
from callout_orders.precheck.text.finds import USED_FROM

PRODUCTS = (
    product("CP-60", "Charging pile", "充电桩", pattern=r"CP-\d{4}-[A-Z]{2}\d{6}"),
    product("PUMP", "Pump", "水泵", pattern=r"\d{3}-\d{4}-\d{4}"),
    product("AC-7", "AC seven", "空调七", names=["AC-7"]),
)


@pytest.mark.parametrize(
    ("text", "found"),
    (
        ("银行卡 6222021234567890123 已付款", []),
        ("问题 #13800138000 没有解决", []),
        ("显示 E12 号楼停电", []),  # a building, whatever word stands before it
        ("显示 E12 停机", ["error_code=E12"]),
        ("E12 号楼停电", []),
        ("Room E12 is cold", []),
        ("press E12", []),
        ("AC-70 is cold", []),
        ("the AC-7 is cold", ["product=AC-7"]),
        ("AC-7坏了", ["product=AC-7"]),
        ("订单号 138-0013-8000 的水泵", []),  # another number's, though it has a serial's form
        ("序列号 138-0013-8000", ["serial=138-0013-8000"]),
        ("电话 138-0013-8000", ["contact_phone=+8613800138000"]),
    ),
)
def test_what_looks_like_something_and_is_not(text: str, found: list[str]) -> None:
    """An engineer with the spare part for a building's number; a call to somebody's bank card."""
    used = [one for one in extract(text, products=PRODUCTS) if one.confidence >= USED_FROM]
    assert [f"{one.field}={one.value}" for one in used if one.field != "product" or "AC" in text] == found


def test_a_text_made_of_serials_takes_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody pastes a warehouse list into the form: each of its numbers would be held against every product's pattern."""
    tried: list[str] = []
    fits = extraction.fits

    def count(given: str, products: Sequence[Product]) -> object:
        tried.append(given)
        return fits(given, products)

    monkeypatch.setattr(extraction, "fits", count)
    noise = "ab1-2345-6789 " * 280
    found = extraction.extract(f"{noise} 138-0013-8000", products=PRODUCTS)
    assert len(tried) == extraction.SPANS_MAX
    assert [one.value for one in found if one.field == "serial"] == []


def kind(*checks: object) -> Kind:
    step = Step(code="one", label=Label(en="One", zh="一"), owner="handler")
    return Kind(code="repair", label=Label(en="Repair", zh="维修"), checks=checks, steps=(step,))  # type: ignore[arg-type]


def said(of: Kind, **given: str) -> list[tuple[str | None, object]]:
    gather = Gather()
    rules.judge(of, rules.Facts(channel="web_form", given=given), (), gather)
    return [(fault.path, fault.details["reason"]) for fault in gather.faults]


def test_a_field_is_named_once_however_many_rules_ask_for_it() -> None:
    """ "Your telephone is wrong. Your telephone is missing." – and a form that lists each field three times."""
    of = kind(
        PhoneCheck(),
        RequiredCheck(fields=("contact_phone", "serial")),
        RequiredCheck(fields=("serial", "contact_phone"), channels=("web_form",)),
    )
    assert said(of, contact_phone="1380013") == [("contactPhone", "phone_digits"), ("serial", "needed")]
    assert said(of) == [("contactPhone", "needed"), ("serial", "needed")]


def test_blanks_say_nothing() -> None:
    """Four letters with blanks between them would pass for a description."""
    of = kind(DescriptionCheck(chars_min=6))
    assert said(of, description="a b c d") == [("description", "description_short")]
    assert said(of, description=" " * 20) == [("description", "needed")]
    assert said(of, description="a b c d e f") == []
