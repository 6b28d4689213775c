"""Conditions in CEL: what is read, what is refused, and that none can hold up others."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callout_orders.kinds import expressions, library
from callout_orders.kinds.expressions import BadExpression

REPAIR = library.built_in()["repair"]


def env(fields: dict[str, Any] | None = None, **order: Any) -> dict[str, Any]:
    return expressions.environment(REPAIR, order=order, fields=fields or {})


@pytest.mark.parametrize(
    ("text", "fields", "order", "answer"),
    (
        ("fields.repair_cost > 500", {"repair_cost": 500}, {}, False),
        ("fields.repair_cost > 500", {"repair_cost": 501}, {}, True),
        ("fields.repair_cost > 500", {"repair_cost": 500.01}, {}, True),
        # Not filled in yet: the condition does not hold, and nothing breaks.
        ("fields.repair_cost > 500", {}, {}, False),
        ("has(fields.repair_cost) || order.priority == 'P0'", {}, {"priority": "P0"}, True),
        ("fields.repair_cost + 1.5 > 2.0", {"repair_cost": 1}, {}, True),
        ("'battery' in order.tags", {}, {"tags": ["battery"]}, True),
        ("order.tags.exists(t, t.startsWith('bat'))", {}, {"tags": ["battery"]}, True),
        ("order.serial == ''", {}, {"serial": None}, True),
        ("fields['repair_cost'] > 1", {"repair_cost": 2}, {}, True),
        # What costs little is read: sums of numbers without a loop, a loop that looks at a few values, a pattern.
        ("fields.repair_cost" + " + 1.0" * 20 + " > 20.0", {"repair_cost": 1}, {}, True),
        ("(order.tags + ['a']).exists(t, t == order.serial)", {}, {"tags": ["b"], "serial": "b"}, True),
        ("order.serial.matches('^SN-[0-9]{2}$')", {}, {"serial": "SN-12"}, True),
        ('order.serial.matches("^\\\\w{2,10}$") && order.tags == []', {}, {"serial": "SN12"}, True),
    ),
)
def test_what_holds(text: str, fields: dict[str, Any], order: dict[str, Any], answer: bool) -> None:
    """An approval that is not asked for is money that nobody agreed to."""
    expressions.check(text, REPAIR)
    assert expressions.holds(text, env(fields, **order)) is answer


@pytest.mark.parametrize(
    ("text", "reason"),
    (
        ("", "expression_syntax"),
        ("fields.repair_cost >", "expression_syntax"),
        ("(" * 400 + "true" + ")" * 400, "expression_syntax"),
        ("true" + " || true" * 400, "expression_long"),
        ("fields.cost > 1", "expression_name"),
        ("order.cost > 1", "expression_name"),
        ("cost > 1", "expression_name"),
        ("now > timestamp('2026-01-01T00:00:00Z')", "expression_name"),
        ("fields.repair_cost", "expression_result"),
        ("order.tags", "expression_result"),
        ("fields.repair_cost > 'much'", "expression_failed"),
        ("sleep(5)", "expression_function"),
        # A list that doubles at every step would fill the memory within a line.
        ("[1].map(x, x + 1).size() > 0", "expression_function"),
        ("order.tags.exists(a, order.tags.exists(b, a == b))", "expression_nested"),
        ("order.tags . all (a, order.tags.filter(b, a == b).size() > 0)", "expression_nested"),
        ("order.tags.all(a, a.matches('x'))", "expression_nested"),
        ("order.tags.all(a, true) && order.tags.all(a, true) && order.tags.all(a, true) "
         "&& order.tags.all(a, true) && order.tags.all(a, true)", "expression_loops"),
        # Lists that grow, looked through for each of their items: a minute and a half for one order.
        ("(order.tags + order.tags).exists(t, 'x' in (order.tags + order.tags))", "expression_nested"),
        ("(" + "order.tags + " * 5 + "order.tags).exists(t, t == 'x')", "expression_sums"),
        ("(" + "order.serial + " * 5 + "order.serial).matches('x')", "expression_sums"),
        ("order.tags.all(t, " + "'x' in order.tags || " * 8 + "'y' in order.tags)", "expression_names"),
        # Whoever writes the description would write the rule.
        ("order.description.matches(order.description)", "expression_pattern"),
        ("order.description.matches('a' + order.description)", "expression_pattern"),
        # Ten seconds for one text of this order.
        ("order.description.matches('(?:[a-m]|[a-z]{1,900}){1,50}[0-9]')", "expression_pattern"),
        ("order.description.matches('a)(b')", "expression_pattern"),
        (" || ".join(["order.serial.matches('x')"] * 5), "expression_matches"),
        # Hidden in what one reader takes for a text and the other does not.
        ("r'\\' == '' || order.tags.all(a, order.tags.all(b, true)) || '' == ''", "expression_quotes"),
        ("'''' == '' || order.tags.all(a, order.tags.all(b, true)) '''", "expression_quotes"),
    ),
)  # fmt: skip
def test_what_is_refused_and_why(text: str, reason: str) -> None:
    """A wrong rule must be refused when it is written, in words, and not stop orders when it runs."""
    with pytest.raises(BadExpression) as caught:
        expressions.check(text, REPAIR, path="steps.0.enter")
    assert caught.value.details["reason"] == reason
    assert caught.value.path == "steps.0.enter"
    assert any("\u4e00" <= letter <= "\u9fff" for letter in caught.value.message("zh"))


def test_lists_that_are_too_long_are_not_looked_at() -> None:
    """Somebody with a million tags on an order would otherwise hold up every other order's rules."""
    with pytest.raises(BadExpression) as caught:
        expressions.holds("order.tags.exists(t, t == 'x')", env(tags=["y"] * 201))
    assert caught.value.details["reason"] == "expression_list"


def test_what_an_expression_reads_is_known() -> None:
    """The check tells whether a field is asked for before a rule reads it; a field that it overlooks stays blank."""
    assert expressions.check("fields.repair_cost > 1 && fields['fault_cause'] == 'wear'", REPAIR) == {
        "repair_cost",
        "fault_cause",
    }
    assert expressions.check("'fields.no_field' == order.number", REPAIR) == frozenset()


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["order.tags", ".all(", ".exists(", ".filter(", "t", ", ", ")", "(", "'", '"', "true", " && ", "//", "\n",
             "[", "]", "r", "\\", "fields.repair_cost", " > ", "1", "x => y", "{", "}", "`", "'''"]
        ),
        max_size=30,
    ).map("".join)
)  # fmt: skip
def test_any_text_is_answered_or_refused_and_no_accepted_one_has_loops_in_loops(text: str) -> None:
    """A text that the guard reads otherwise than the evaluator would be the way to hang a worker."""
    try:
        expressions.check(text, REPAIR)
    except BadExpression:
        return
    assert isinstance(expressions.holds(text, env({"repair_cost": 1}, tags=["t"])), bool)
