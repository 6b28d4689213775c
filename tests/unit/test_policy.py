"""The scheduling policy's terms: every bound, and that what is accepted survives JSON."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout_dispatch.policy import (
    OBJECTIVES,
    RULES,
    STANDARD,
    MaxTravel,
    Objective,
    Policy,
    Skills,
    rule_name,
    to_json,
)
from callout_dispatch.policy_body import PolicyRefused, read
from callout_orders.terms import Priority

AVAILABLE = {"rule": "availability"}
WEIGHTS = {priority.value: {"sla": 1} for priority in Priority}


def refused(**body: Any) -> PolicyRefused:
    with pytest.raises(PolicyRefused) as caught:
        read(body)
    return caught.value


def test_the_houses_own_policy_is_one_that_could_be_saved() -> None:
    """Whoever takes the standard as a start and saves it unchanged must not be refused."""
    assert read(to_json(STANDARD)) == STANDARD == read({})


@pytest.mark.parametrize("kind", RULES)
def test_each_rule_can_be_named(kind: Any) -> None:
    """A rule that JSON cannot name cannot be switched on by anybody."""
    rules = [AVAILABLE] if rule_name(kind) == "availability" else [AVAILABLE, {"rule": rule_name(kind)}]
    assert read({"rules": rules}).rule(kind) == kind()


def test_a_rule_left_out_is_not_looked_at() -> None:
    """A rule that comes back by itself would keep refusing engineers after the office had dropped it."""
    policy = read({"rules": [AVAILABLE]})
    assert policy.rule(Skills) is None
    assert policy.rule(MaxTravel) is None


BOUNDS: tuple[tuple[str, Any, float, float], ...] = (
    ("body.rules.0.overtimeMinutes", lambda v: {"rules": [{**AVAILABLE, "overtimeMinutes": v}]}, 0, 240),
    ("body.rules.1.minutes", lambda v: {"rules": [AVAILABLE, {"rule": "max_travel", "minutes": v}],
                                       "travelMinutesUnknown": 1}, 1, 1440),
    ("body.rules.1.graceMinutes", lambda v: {"rules": [AVAILABLE, {"rule": "due_date", "graceMinutes": v}]}, 0, 10080),
    ("body.rules.1.workMinutesMax", lambda v: {"rules": [AVAILABLE, {"rule": "capacity", "workMinutesMax": v}]}, 1, 1440),
    ("body.rules.1.visitsMax", lambda v: {"rules": [AVAILABLE, {"rule": "capacity", "visitsMax": v}]}, 1, 100),
    ("body.redLane.offerSeconds", lambda v: {"redLane": {"offerSeconds": v}}, 10, 3600),
    ("body.redLane.roundsMax", lambda v: {"redLane": {"roundsMax": v}}, 1, 50),
    ("body.redLane.displacedMax", lambda v: {"redLane": {"displacedMax": v}}, 0, 10),
    ("body.redLane.displaceGainMinutes", lambda v: {"redLane": {"displaceGainMinutes": v}}, 0, 1440),
    ("body.planning.moveMinutes", lambda v: {"planning": {"moveMinutes": v}}, 0, 1440),
    ("body.planning.engineerMinutes", lambda v: {"planning": {"engineerMinutes": v}}, 0, 1440),
    ("body.planning.toldFactor", lambda v: {"planning": {"toldFactor": v}}, 1, 100),
    ("body.planning.secondsMax", lambda v: {"planning": {"secondsMax": v}}, 0.1, 600),
    ("body.planning.priorityValues", lambda v: {"planning": {"priorityValues": {"P0": v, "P1": 1, "P2": 1}}}, 0, 100),
    ("body.objectives.P1.travel", lambda v: {"objectives": {**WEIGHTS, "P1": {"travel": v, "sla": 1}}}, 0, 1000),
    ("body.travelMinutesUnknown", lambda v: {"travelMinutesUnknown": v, "rules": [AVAILABLE]}, 0.1, 10080),
    ("body.travelMinutesFull", lambda v: {"travelMinutesFull": v}, 0.1, 10080),
    ("body.slackMinutesFull", lambda v: {"slackMinutesFull": v}, 0.1, 10080),
    ("body.lateMinutesHalf", lambda v: {"lateMinutesHalf": v}, 0.1, 10080),
    ("body.dueMinutesDefault", lambda v: {"dueMinutesDefault": v}, 0.1, 10080),
    ("body.loadMinutesFull", lambda v: {"loadMinutesFull": v}, 0.1, 10080),
    ("body.visitsFull", lambda v: {"visitsFull": v}, 1, 10080),
    ("body.etaTellMinutes", lambda v: {"etaTellMinutes": v}, 0.1, 10080),
)  # fmt: skip


@pytest.mark.parametrize(("path", "body", "low", "high"), BOUNDS, ids=[row[0] for row in BOUNDS])
def test_every_figure_has_bounds(path: str, body: Any, low: float, high: float) -> None:
    """A figure beyond its bounds (no time at all to answer, a lane of a thousand offers) would stop dispatch quietly."""
    assert read(body(low)) != read(body(high))
    step = 1 if isinstance(low, int) else 0.01
    for beyond in (low - step, high + step):
        fault = refused(**body(beyond))
        assert fault.path == path
        assert str(fault.details["why"]).startswith("must be between")
        assert "之间" in fault.message("zh")


WORDS: tuple[Any, ...] = ("x", None, True, [], {}, float("nan"), float("inf"), 10**400)


@pytest.mark.parametrize("word", WORDS, ids=[repr(word)[:9] for word in WORDS])
@pytest.mark.parametrize(("path", "body"), [row[:2] for row in BOUNDS], ids=[row[0] for row in BOUNDS])
def test_what_is_no_figure_is_refused_by_name(path: str, body: Any, word: Any) -> None:
    """A fault of the library in place of a refusal would tell the office nothing, or break the server."""
    fault = refused(**body(word))
    assert str(fault.path).startswith(path.removesuffix(".travel"))
    assert fault.message("zh") != fault.message("en")


@pytest.mark.parametrize(
    ("body", "path", "says"),
    (
        ({"rules": []}, "body.rules", "availability"),
        ({"rules": [{"rule": "skills"}]}, "body.rules", "absences"),
        ({"rules": [AVAILABLE, AVAILABLE]}, "body.rules", "availability comes twice"),
        ({"rules": [AVAILABLE, {"rule": "weather"}]}, "body.rules.1.rule", "'weather'"),
        ({"rules": [AVAILABLE, {"minutes": 3}]}, "body.rules.1", "names itself"),
        ({"rules": ["skills"]}, "body.rules.0", "names itself"),
        ({"rules": {"rule": "skills"}}, "body.rules", "a list is expected"),
        ({"rules": [{**AVAILABLE, "minutes": 3}]}, "body.rules.0.minutes", "no field 'minutes'"),
        ({"objectives": {"P0": {"sla": 1}, "P1": {"sla": 1}}}, "body.objectives", "P2 missing"),
        ({"objectives": {**WEIGHTS, "P7": {"sla": 1}}}, "body.objectives", "no priority 'P7'"),
        ({"objectives": {**WEIGHTS, "P1": {"joy": 1}}}, "body.objectives.P1", "no objective 'joy'"),
        ({"objectives": {**WEIGHTS, "P1": {}}}, "body.objectives.P1", "above 0"),
        ({"objectives": {**WEIGHTS, "P1": {"sla": 0}}}, "body.objectives.P1", "above 0"),
        ({"objectives": {**WEIGHTS, "P1": {"sla": "much"}}}, "body.objectives.P1.sla", "a number is expected"),
        ({"objectives": []}, "body.objectives", "an object is expected"),
        ({"redLane": {"displace": ["P0"]}}, "body.redLane.displace", "never gives way"),
        ({"redLane": {"displace": ["P2", "P2"]}}, "body.redLane.displace", "twice"),
        ({"rules": [AVAILABLE, {"rule": "online", "priorities": ["P1"] * 9}]}, "body.rules.1.priorities", "twice"),
        ({"redLane": {"displace": ["P9"]}}, "body.redLane.displace.0", "no priority 'P9'"),
        ({"redLane": {"speed": 1}}, "body.redLane.speed", "offerSeconds"),
        ({"planning": {"priorityValues": {"P0": 1}}}, "body.planning.priorityValues", "P1, P2 missing"),
        ({"name": ""}, "body.name", "1 to 80"),
        ({"name": "x" * 81}, "body.name", "1 to 80"),
        ({"name": 3}, "body.name", "a text is expected"),
        ({"version": 4}, "body.version", "numbered"),
        ({"colour": "red"}, "body.colour", "lateMinutesHalf"),
        ({"travelMinutesUnknown": 91}, "body.travelMinutesUnknown", "max_travel"),
    ),
)  # fmt: skip
def test_each_fault_names_its_place_and_what_to_do(body: dict[str, Any], path: str, says: str) -> None:
    """A policy is a page of JSON: without the place and the remedy, nobody finds the one word that is wrong."""
    fault = refused(**body)
    assert fault.path == path
    assert says in str(fault.details["why"])
    assert fault.message("zh") != fault.message("en")


@pytest.mark.parametrize("body", ("", 3, None, [], [AVAILABLE]))
def test_what_is_no_object_is_no_policy(body: object) -> None:
    """A client that sends its policy as a text must be told so."""
    with pytest.raises(PolicyRefused) as caught:
        read(body)
    assert caught.value.path == "body"


NUMBER = st.floats(1, 1440, allow_nan=False) | st.integers(1, 1440)
FIGURES = ("travelMinutesFull", "slackMinutesFull", "lateMinutesHalf", "dueMinutesDefault", "loadMinutesFull",
           "etaTellMinutes")  # fmt: skip
RULE = {
    "availability": st.fixed_dictionaries({}, optional={"overtimeMinutes": st.integers(0, 240)}),
    "territory": st.fixed_dictionaries({}, optional={"secondary": st.booleans()}),
    "max_travel": st.fixed_dictionaries({"minutes": st.floats(30, 1440)}),
    "due_date": st.fixed_dictionaries({}, optional={"graceMinutes": st.integers(0, 10080)}),
    "capacity": st.fixed_dictionaries(
        {}, optional={"workMinutesMax": st.integers(1, 1440), "visitsMax": st.integers(1, 100)}
    ),
    "parts_on_van": st.fixed_dictionaries({}, optional={"pickup": st.booleans()}),
    "online": st.fixed_dictionaries({}, optional={"priorities": st.lists(st.sampled_from([*Priority]), unique=True)}),
}  # fmt: skip


@st.composite
def bodies(draw: Any) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from([rule_name(kind) for kind in RULES[1:]]), unique=True))
    rules = [{"rule": name, **draw(RULE.get(name, st.just({})))} for name in ["availability", *names]]
    weights = st.dictionaries(st.sampled_from([*OBJECTIVES]), st.floats(0, 1000) | st.integers(0, 1000)).map(
        lambda some: {**some, Objective.SLA: max(some.get(Objective.SLA, 0), 1)}
    )
    body: dict[str, Any] = {
        "rules": draw(st.permutations(rules)),
        "objectives": {priority.value: draw(weights) for priority in Priority},
    }
    for name in draw(st.lists(st.sampled_from(FIGURES), unique=True)):
        body[name] = draw(NUMBER)
    if draw(st.booleans()):
        body["name"] = draw(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=80).filter(
                str.strip
            )
        )
    return body  # fmt: skip


@given(bodies())
def test_what_is_accepted_comes_back_from_json_as_it_was(body: dict[str, Any]) -> None:
    """Decisions are replayed by what was stored: a policy that reads back otherwise would explain another decision."""
    policy = read(msgspec.to_builtins(body))
    stored = msgspec.json.encode(to_json(policy))
    assert read(msgspec.json.decode(stored)) == policy
    assert msgspec.json.decode(stored, type=Policy) == policy
    assert len(policy.weights(Priority.P0)) == len(OBJECTIVES)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
PLACES = st.sampled_from([*to_json(STANDARD), "version", "x"])


@given(
    st.dictionaries(PLACES, JSON_VALUES, max_size=3),
    st.sampled_from(["rules", "objectives", "planning", None]),
)
def test_whatever_is_sent_is_a_policy_or_a_refusal(body: dict[str, Any], deeper: str | None) -> None:
    """Anything else would be a fault of the server that any client can cause."""
    if deeper is not None and deeper in body:
        body[deeper] = (
            [{"rule": "capacity", "visitsMax": body[deeper]}] if deeper == "rules" else {"P0": body[deeper]}
        )
    try:
        policy = read(body)
    except PolicyRefused as fault:
        told = f"{fault.path} {fault.message('en')} {fault.message('zh')}"
    else:
        told = f"body {read(to_json(policy)) == policy}"
    assert told.startswith("body")
    assert not told.endswith("False")
    assert told.encode()
