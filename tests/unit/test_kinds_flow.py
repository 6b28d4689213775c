"""Kinds of order: a flow that the check accepts always ends, and what it refuses it names."""

import math
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from callout_orders.flow.events import EVENTS
from callout_orders.kinds import check_texts, draw, library
from callout_orders.kinds.check import check, errors
from callout_orders.kinds.terms import (
    Action,
    ActionName,
    Approval,
    Branch,
    Field,
    FieldType,
    Kind,
    Label,
    Step,
)
from callout_orders.kinds.walk import next_step

SAME = Label(en="x", zh="x")
SVG_TAGS = {"svg", "title", "style", "defs", "marker", "path", "rect", "text", "g"}


def step(code: str, *to: str | tuple[str, str], times: int = 1, **more: Any) -> Step:
    branches = tuple(Branch(to=one) if isinstance(one, str) else Branch(to=one[0], when=one[1]) for one in to)
    return Step(code=code, label=SAME, owner="handler", times_max=times, next=branches, **more)


def kind(*steps: Step) -> Kind:
    return Kind(code="made", label=SAME, steps=steps)


def codes(of: Kind, level: str = "error") -> set[tuple[str, str]]:
    return {(one.code, one.path) for one in check(of, events=EVENTS) if one.level == level}


@pytest.mark.parametrize("code", library.TEMPLATES)
def test_every_built_in_kind_has_nothing_to_be_said_about_it(code: str) -> None:
    """An organisation starts with these: one that is stuck half-way would stop its orders on the first day."""
    assert check(library.built_in()[code], events=EVENTS) == ()


def test_the_service_flow_goes_through_parts_and_back() -> None:
    """C1: were a part needed and no purchase opened, or no second visit after it, the customer waits for ever."""
    service = library.built_in()["service"]
    true = {"true", "parts.waiting"}
    way, entered = [service.steps[0]], {service.steps[0].code: 1}
    while (after := next_step(service, way[-1], entered, true.__contains__)) is not None:
        way.append(after)
        entered[after.code] = entered.get(after.code, 0) + 1
        if after.code == "stock_in":
            true.remove("parts.waiting")
    assert [one.code for one in way] == [
        "triage", "dispatch", "on_site", "purchase", "stock_in", "second_visit", "on_site", "sign_off", "survey",
        "archived",
    ]  # fmt: skip


def test_repair_above_500_needs_the_regional_director() -> None:
    """L2: the one number that the article names."""
    quote = library.built_in()["repair"].step("quote")
    assert quote is not None
    (approval,) = quote.approvals
    assert (approval.when, approval.by) == ("fields.repair_cost > 500", "post:regional_director")


def test_production_reworks_at_most_three_times() -> None:
    """What never passes would otherwise go round between rework and inspection for ever."""
    production = library.built_in()["production"]
    inspection = production.step("inspection")
    assert inspection is not None
    entered = {"inspection": 4, "rework": 3}
    after = next_step(production, inspection, entered, lambda text: "rework" in text or text == "true")
    assert after is not None
    assert after.code == "scrap"


CASES: list[tuple[Kind, str, str]] = [
    (kind(step("a", "b"), step("b"), step("c", "b")), "unreachable", "steps.2"),
    (kind(step("a", "b"), step("b", "a")), "cycle", "steps.0.next"),
    (kind(step("a", "a")), "cycle", "steps.0.next"),
    (kind(step("a", "b", times=5), step("b", "a", times=5)), "dead_end", "steps.0.next"),
    # Nobody is waited for: it goes round five times in the moment in which the order comes in.
    (kind(step("a", "b", times=5), step("b", "a", "c", times=5), step("c")), "spins", "steps.0.next"),
    (kind(step("a", ("b", "order.visits > 1")), step("b")), "no_way_on", "steps.0.next"),
    # b may be entered twice, but a leads to it three times and has nowhere else to go.
    (
        kind(step("a", "b", times=3), step("b", ("a", "order.visits > 1"), "c", times=2), step("c")),
        "loop_runs_out",
        "steps.0.next.0",
    ),
    (kind(step("a", "nowhere")), "name", "steps.0.next.0.to"),
    (kind(step("a", "b"), step("a")), "code_twice", "steps.1.code"),
    (kind(step("Bad")), "code", "steps.0.code"),
    (kind(step("a", events=("moonrise",))), "name", "steps.0.events.0"),
    (kind(step("a", fields=("none",))), "name", "steps.0.fields.0"),
    (kind(step("a", minutes=0)), "range", "steps.0.minutes"),
    (kind(step("a", times=99)), "range", "steps.0.times_max"),
    (kind(step("a", "b", events=("survey_over",)), step("b")), "waits_in_vain", "steps.0.events.0"),
    (kind(step("a", enter="1 +")), "expression_syntax", "steps.0.enter"),
    (kind(step("a", enter="fields.cost > 1")), "expression_name", "steps.0.enter"),
    (kind(step("a", enter="order.visits")), "expression_result", "steps.0.enter"),
    (kind(step("a", enter="order.number > 1")), "expression_failed", "steps.0.enter"),
    (
        kind(step("a", enter="order.tags.all(t, order.tags.all(u, u == t))")),
        "expression_nested",
        "steps.0.enter",
    ),
    (kind(), "no_steps", "steps"),
    # Neither of them has a place in the JSON that a version is kept as: the bound would be gone with the saving.
    *(
        (
            Kind(
                code="made",
                label=SAME,
                steps=(step("a"),),
                fields=(Field(code="f", label=SAME, type=FieldType.NUMBER, low=bound),),
            ),
            "bounds_endless",
            "fields.0",
        )
        for bound in (math.nan, math.inf)
    ),
    (
        kind(msgspec.structs.replace(step("a", by_hand=True), owner="system")),
        "nobody_by_hand",
        "steps.0.by_hand",
    ),
    (kind(msgspec.structs.replace(step("a"), owner="post:")), "owner", "steps.0.owner"),
    (kind(msgspec.structs.replace(step("a"), owner="role:king")), "owner", "steps.0.owner"),
]


@pytest.mark.parametrize(("of", "code", "path"), CASES)
def test_what_is_wrong_is_named_with_its_place(of: Kind, code: str, path: str) -> None:
    """Whoever writes a kind must be told which line to mend; an unfound fault stops orders weeks later."""
    assert (code, path) in codes(of)


def test_a_branch_behind_one_that_always_holds_is_warned_of() -> None:
    """Whoever wrote it believes that it is taken at times."""
    assert codes(kind(step("a", "b", "c"), step("b"), step("c")), "warning") == {
        ("branch_never", "steps.0.next.1")
    }


def test_a_loop_at_which_something_may_be_waited_for_is_none_that_spins() -> None:
    """A version that waits for its parts by a condition alone would be refused for what it does not do."""
    for waiting in ({"enter": "parts.ready"}, {"by_hand": True}, {"events": ("resumed",)}):
        first = step("a", "b", times=5, **waiting)
        assert ("spins", "steps.0.next") not in codes(
            kind(first, step("b", ("a", "parts.waiting"), "c", times=5), step("c"))
        )


def test_every_finding_speaks_both_languages() -> None:
    """A Chinese office would read a bare English sentence, or none at all."""
    for en, zh in check_texts.TEXTS.values():
        assert en.isascii() or "…" in en
        assert any("\u4e00" <= letter <= "\u9fff" for letter in zh)


@st.composite
def kinds(pick: Callable[..., Any]) -> Kind:
    """Flows with loops, forwards and backwards, most of which the check accepts: a step leads on to the next one, after
    whatever else it may lead to."""
    names = [f"s{n}" for n in range(pick(st.integers(2, 6)))]
    steps = []
    for n, name in enumerate(names):
        branches: list[Branch] = []
        if n < len(names) - 1:
            anywhere = st.builds(
                Branch,
                to=st.sampled_from(names),
                when=st.sampled_from(["parts.waiting", "parts.waiting", "true"]),
            )
            branches = pick(st.lists(anywhere, max_size=2))
            # Seldom there is nothing else, and the loop itself must let the walk through.
            if pick(st.integers(0, 9)):
                branches.append(Branch(to=names[n + 1]))
        steps.append(
            Step(
                code=name,
                label=SAME,
                owner="handler",
                times_max=pick(st.integers(1, 8)),
                by_hand=bool(pick(st.integers(0, 3))),
                next=tuple(branches),
            )
        )
    return kind(*steps)


def accepted(of: Kind) -> bool:
    return not errors(check(of, events=EVENTS))


@settings(max_examples=600, deadline=None)
@given(of=kinds(), answers=st.lists(st.booleans(), max_size=60), rest=st.booleans())
def test_a_flow_that_the_check_accepts_always_ends(of: Kind, answers: list[bool], rest: bool) -> None:
    """Whatever people answer: an order that cannot go on is silent, and that is what this house must never be."""
    if not accepted(of):
        return
    said = iter(answers)

    def holds(text: str) -> bool:
        return text == "true" or next(said, rest)

    at = of.steps[0]
    entered = {at.code: 1}
    for _ in range(sum(one.times_max for one in of.steps)):
        after = next_step(of, at, entered, holds)
        if after is None:
            break
        at = after
        entered[at.code] = entered.get(at.code, 0) + 1
        assert entered[at.code] <= at.times_max
    assert at.next == (), f"stuck at {at.code}"


def test_the_law_above_is_about_something() -> None:
    """Were almost every random flow refused, the law would hold of nothing."""
    found = {"accepted": 0, "loops": 0, "refused": 0}

    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    @given(of=kinds())
    def count(of: Kind) -> None:
        if not accepted(of):
            found["refused"] += 1
            return
        found["accepted"] += 1
        found["loops"] += any(step.times_max > 1 and leads_back(of, step) for step in of.steps)

    count()
    assert min(found.values()) > 30, found


def leads_back(of: Kind, first: Step) -> bool:
    seen: set[str] = set()
    left = [branch.to for branch in first.next]
    while left:
        code = left.pop()
        if code in seen:
            continue
        seen.add(code)
        here = of.step(code)
        assert here is not None
        left += [branch.to for branch in here.next]
    return first.code in seen


@settings(max_examples=100, deadline=None)
@given(of=kinds(), locale=st.sampled_from(["en", "zh"]))
def test_any_flow_can_be_drawn(of: Kind, locale: str) -> None:
    """The one that is refused needs its drawing most."""
    svg = draw.svg(of, locale)
    ElementTree.fromstring(svg)
    assert svg.count('class="way') == sum(len(step.next) for step in of.steps)


@settings(max_examples=100, deadline=None)
@given(text=st.text(min_size=1), locale=st.sampled_from(["en", "zh"]))
@example(text="\"><script>alert(1)</script>'&<!--]]>", locale="en")
@example(text="\x08\ufffe", locale="zh")
def test_no_name_breaks_out_of_the_drawing(text: str, locale: str) -> None:
    """The dashboard shows drawings of what others wrote: a label that is a script would run in the admin's session, and one
    with a character that XML has not would leave a blank page."""
    said = Label(en=text, zh=text)
    first = Step(
        code=text, label=said, owner=text, enter=text, fields=(text,), events=(text,), times_max=2,
        approvals=(Approval(code="a", label=said, when=text, by=text),),
        on_enter=(Action(do=ActionName.TAG, value=text),),
        next=(Branch(to=text, when=text), Branch(to="b", when=text)),
    )  # fmt: skip
    of = Kind(code=text, label=said, steps=(first, step("b")))
    elements = list(ElementTree.fromstring(draw.svg(of, locale, events={text: (text, text)})).iter())
    assert {one.tag.partition("}")[2] for one in elements} <= SVG_TAGS
    assert not any(name.startswith("on") or "href" in name for one in elements for name in one.attrib)
