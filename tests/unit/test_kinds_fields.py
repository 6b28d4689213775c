"""Values of a kind's own fields, their JSON Schema, reading TOML, and the drawing."""

import re
from typing import Any
from xml.etree import ElementTree

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callout_orders.checks import FieldRefused, FieldsRefused
from callout_orders.flow.events import LABELS
from callout_orders.kinds import draw, fields, library, versions
from callout_orders.kinds.terms import Kind
from callout_store.errors import LimitExceeded

TOML = """
code = "lift"
label = { en = "Lift", zh = "电梯" }

[[fields]]
code = "floors"
label = { en = "Floors", zh = "楼层" }
type = "integer"
required = true
low = 1
high = 200

[[fields]]
code = "cost"
label = { en = "Cost", zh = "费用" }
type = "money"
low = 0

[[fields]]
code = "plate"
label = { en = "Plate", zh = "铭牌" }
type = "text"
pattern = "[A-Z]{2}[0-9]{4}"

[[fields]]
code = "people"
label = { en = "People inside", zh = "有人被困" }
type = "boolean"

[[fields]]
code = "since"
label = { en = "Since", zh = "开始时间" }
type = "datetime"

[[fields]]
code = "built"
label = { en = "Built on", zh = "安装日期" }
type = "date"

[[fields]]
code = "signs"
label = { en = "Signs", zh = "现象" }
type = "choices"
options = [
    { code = "noise", label = { en = "Noise", zh = "异响" } },
    { code = "stop", label = { en = "Stops", zh = "停梯" } },
]

[[steps]]
code = "only"
label = { en = "Only", zh = "唯一" }
owner = "handler"
"""
LIFT: Kind = library.decode(TOML)

GOOD: dict[str, Any] = {
    "floors": 12,
    "cost": 99.5,
    "plate": "AB1234",
    "people": False,
    "since": "2026-01-15T09:00:00+08:00",
    "built": "2020-02-29",
    "signs": ["noise"],
}


def test_good_values_are_kept_and_blank_ones_left_out() -> None:
    """A blank that is stored as a value would count as filled in, and a step would end on it."""
    assert fields.checked(LIFT, GOOD) == GOOD
    assert fields.checked(LIFT, {"floors": 3.0, "plate": "  ", "cost": None, "signs": []}) == {"floors": 3}


def test_everything_that_is_wrong_is_said_at_once_with_its_path() -> None:
    """Somebody who fills in a form would otherwise send it seven times."""
    bad = {
        "floors": 0,
        "cost": 1.005,
        "plate": "ab1",
        "people": "yes",
        "since": "2026-01-15T09:00:00",
        "built": "2021-02-29",
        "signs": ["smell"],
        "colour": "red",
    }
    with pytest.raises(FieldsRefused) as caught:
        fields.checked(LIFT, bad)
    rows = caught.value.extensions()["errors"]
    assert {(row["path"], row["reason"]) for row in rows} == {
        ("fields.floors", "range"),
        ("fields.cost", "decimals"),
        ("fields.plate", "pattern"),
        ("fields.people", "boolean"),
        ("fields.since", "datetime"),
        ("fields.built", "date"),
        ("fields.signs", "not_one_of"),
        ("fields.colour", "kind_field"),
    }


@pytest.mark.parametrize("value", (10**400, -(10**400), float("inf"), float("nan"), 1e308, True, "7"))
@pytest.mark.parametrize("code", ("floors", "cost"))
def test_a_number_that_is_none_or_endless_is_refused(code: str, value: Any) -> None:
    """JSON has whole numbers of any length: one that no float holds would be a fault of the house, told to nobody."""
    with pytest.raises(FieldRefused) as caught:
        fields.checked(LIFT, {**GOOD, code: value})
    assert caught.value.path == f"fields.{code}"


def test_a_text_with_a_mark_of_byte_order_is_read() -> None:
    """The editor of Windows writes it: the first line would be called wrong, which looks right to everybody."""
    assert library.decode("\ufeff" + TOML) == LIFT


def test_what_is_asked_for_at_intake_may_be_missing_later() -> None:
    """A step fills in one field; it must not have to send all others again."""
    with pytest.raises(FieldRefused) as caught:
        fields.checked(LIFT, {})
    assert (caught.value.path, caught.value.details["reason"]) == ("fields.floors", "missing")
    assert fields.checked(LIFT, {}, required=False) == {}


@pytest.mark.parametrize("locale", ("en", "zh"))
def test_the_json_schema_is_one_and_takes_what_we_take(locale: str) -> None:
    """A phone that checks by the schema would refuse what the office accepts, or the other way round."""
    for kind in (LIFT, *library.built_in().values()):
        jsonschema_rs.meta.validate(fields.json_schema(kind, locale))
    validator = jsonschema_rs.Draft202012Validator(fields.json_schema(LIFT, locale))
    assert validator.is_valid(GOOD)
    for name, value in (("floors", 0), ("plate", "ab1"), ("people", "yes"), ("signs", ["smell"]), ("x", 1)):
        assert not validator.is_valid({**GOOD, name: value}), name
    assert not validator.is_valid({})


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*GOOD, "x"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)))  # fmt: skip
def test_any_json_is_taken_or_refused(values: dict[str, Any]) -> None:
    """Whatever a client sends: a fault of the server would lose the order that came with it."""
    try:
        found = fields.checked(LIFT, values, required=False)
    except (FieldRefused, FieldsRefused, LimitExceeded):
        return
    assert fields.checked(LIFT, found, required=False) == found


@pytest.mark.parametrize(
    ("text", "code", "path"),
    (
        ("code = ", "kind_toml", "toml"),
        ("[" * 20_000, "kind_toml", "toml"),
        ("x = " + "9" * 6_000, "kind_toml", "toml"),
        ("code = 'x'", "kind_shape", "toml"),
        (TOML.replace('owner = "handler"', "owner = 5"), "kind_shape", "steps.0.owner"),
        (TOML.replace('type = "date"', 'type = "colour"'), "kind_shape", "fields.5.type"),
        (TOML + "colour = 'red'", "kind_shape", "steps.0"),
        ("#" * 64_001, "limit_exceeded", "toml"),
        (TOML.replace("唯一", "一" * 81), "too_long", "steps.0.label.zh"),
        (TOML.replace("唯一", "\\u0000"), "nul", "steps.0.label.zh"),
    ),
)
def test_a_text_that_is_no_kind_is_answered_with_its_place(text: str, code: str, path: str) -> None:
    """Whoever writes a kind by hand must read where the slip is, and a bomb must not stop the process."""
    kind, found = versions.looked_at(text)
    assert kind is None
    assert [(one.code, one.path) for one in found] == [(code, path)]


def test_too_many_steps_and_fields_are_both_named() -> None:
    """Limits that are found one by one cost a round trip each."""
    step = TOML[TOML.index("[[steps]]") :]
    many = TOML + "".join(step.replace('"only"', f'"s{n}"') for n in range(60))
    many = many.replace(
        "options = [", "options = [" + "{ code = 'x', label = { en = 'x', zh = 'x' } }," * 100
    )
    _, found = versions.looked_at(many)
    assert {one.path for one in found} == {"steps", "fields.6.options"}


@pytest.mark.parametrize("locale", ("en", "zh"))
@pytest.mark.parametrize("code", library.TEMPLATES)
def test_a_drawing_is_xml_and_shows_every_step_and_approval(code: str, locale: str) -> None:
    """A step that is not on the drawing is one that nobody reviews."""
    kind = library.built_in()[code]
    svg = draw.svg(kind, locale, events=LABELS)
    ElementTree.fromstring(svg)
    assert set(re.findall(r'<g id="step-([a-z_]+)"', svg)) == {step.code for step in kind.steps}
    for step in kind.steps:
        assert step.label.of(locale) in svg
        assert svg.count("✓") >= len(step.approvals)
    branches = sum(len(step.next) for step in kind.steps)
    assert svg.count('class="way') == branches
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")


def test_a_drawing_of_something_broken_is_still_one() -> None:
    """The drawing is what shows where a loop or a loose step is; and a label must not become markup."""
    broken = TOML.replace('{ en = "Only", zh = "唯一" }', '{ en = "<script>&", zh = "x" }')
    broken += 'next = [{ to = "only" }, { to = "nowhere" }]\n'
    broken += '[[steps]]\ncode = "loose"\nlabel = { en = "L", zh = "松" }\nowner = "handler"\n'
    svg = draw.svg(library.decode(broken))
    ElementTree.fromstring(svg)
    assert "<script>" not in svg
    assert svg.count('class="way back"') == 1
