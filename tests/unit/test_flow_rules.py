"""Laws of running flows: nothing is skipped, everything ends, and the order in which news come in does not matter."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from callout_orders.flow import rules
from callout_orders.flow.events import EVENTS, KINDS, LABELS, Event, Line, happened, named
from callout_orders.flow.state import Facts, Flow, Passed, StepState, Word
from callout_orders.kinds import library
from callout_orders.kinds.check import check, errors
from callout_orders.kinds.expressions import environment
from callout_orders.kinds.limits import STEPS_MAX, TIMES_MAX
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

NINE = datetime(2026, 3, 4, 9, tzinfo=UTC)
SPACE = UUID(int=7)
BUILT_IN = sorted(library.built_in())


def label(text: str) -> Label:
    return Label(en=text, zh=text)


def step(code: str, *to: str | Branch, **more: Any) -> Step:
    ways = tuple(one if isinstance(one, Branch) else Branch(to=one) for one in to)
    return Step(code=code, label=label(code), owner=more.pop("owner", "handler"), next=ways, **more)


def kind(*steps: Step, fields: tuple[Field, ...] = ()) -> Kind:
    return Kind(code="test", label=label("test"), steps=steps, fields=fields)


def money(code: str) -> Field:
    return Field(code=code, label=label(code), type=FieldType.MONEY)


def event(name: str, minutes: float, key: str = "v1", **more: Any) -> Event:
    return Event(name, NINE + timedelta(minutes=minutes), key, EVENTS[name].planning, more.get("until"))


def facts(of: Kind, *events: Event, fields: Any = None, **more: Any) -> Facts:
    env = environment(
        of, order=more.pop("order", {}), fields=fields or {}, parts=more.pop("parts", {"waiting": False})
    )
    return Facts(env=env, events=tuple(events), **more)


def run(of: Kind, known: Facts, steps: Any = None, words: Any = (), now: datetime = NINE) -> Flow:
    return rules.advance(of, steps or rules.begin(of, NINE), words, known, now)


def codes(flow: Flow) -> list[tuple[str, str]]:
    return [(one.step, one.state.value) for one in flow.steps]


SITE = kind(
    step("dispatch", "on_site", events=("dispatched",)),
    step("on_site", "diagnosis", events=("arrived",)),
    step("diagnosis", "done", events=("diagnosed", "photo_taken")),
    step("done", events=("visit_completed",)),
)
ON_SITE = (
    event("dispatched", 0),
    event("arrived", 60),
    event("diagnosed", 70),
    event("photo_taken", 75, "p1"),
    event("visit_completed", 90),
)


class Driver:
    """Somebody who does whatever the flow asks for, in whatever way the dice fall."""

    def __init__(self, of: Kind, rng: random.Random) -> None:
        self.kind, self.rng = of, rng
        self.now = NINE
        self.events: list[Event] = []
        self.words: list[Word] = []
        self.fields: dict[str, Any] = {}
        self.waiting = False
        self.outcome: str | None = None
        self.flow = run(of, self.known())

    def known(self) -> Facts:
        standing = {"parts_requested", "parts_ordered"} | (set() if self.waiting else {"parts_ready"})
        env = environment(
            self.kind,
            order={"priority": self.rng.choice(["P0", "P2"]), "visits": 0, "outcome": self.outcome},
            fields=self.fields,
            parts={"waiting": self.waiting},
        )
        return Facts(env=env, events=tuple(self.events), standing=frozenset(standing))

    def act(self) -> None:
        self.now += timedelta(minutes=5)
        here = self.flow.current
        assert here is not None
        of = self.kind.step(here.step)
        assert of is not None
        self.outcome = self.rng.choice(["done", "could_not_complete"])
        steps = list(self.flow.steps)
        if here.blocked is not None:
            ways = [branch.to for branch in of.next]
            steps[-1] = replace(here, settled={"next": self.rng.choice(ways)})
        elif here.state is StepState.WAITING:
            self.waiting = True
        else:
            for code in of.fields:
                self.fields[code] = self.rng.choice([10, 600]) if "cost" in code or "amount" in code else "x"
            self.waiting = "parts_ready" not in of.events and self.rng.random() < 0.5
            for name in of.events:
                key = f"{name}{len(self.events)}"
                self.events.append(Event(name, self.now, key, EVENTS[name].planning))
            if of.by_hand:
                steps[-1] = replace(here, said_at=self.now)
        for ask in self.flow.asks:
            self.words.append(
                Word(code=ask.approval.code, about=ask.about, state="approved", n=ask.n, decided_at=self.now)
            )
        self.flow = rules.advance(self.kind, steps, self.words, self.known(), self.now)


@pytest.mark.parametrize("code", BUILT_IN)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_order_on_a_built_in_flow_comes_to_its_end(code: str, seed: int) -> None:
    """An order that nobody can close is asked about every week, for ever."""
    driver = Driver(library.built_in()[code], random.Random(seed))
    for _ in range(400):
        if driver.flow.over:
            break
        driver.act()
    assert driver.flow.over, codes(driver.flow)
    ordered(driver.kind, driver.flow.steps)


def some_kind(rng: random.Random) -> Kind:
    """A kind as somebody may write it who tries things out."""
    names = [f"s{n}" for n in range(rng.randint(1, 6))]
    conditions = ["true", "parts.waiting", "order.outcome == 'done'", "fields.repair_cost > 500"]
    made = []
    for n, name in enumerate(names):
        ways = tuple(
            Branch(
                to=rng.choice(names[n + 1 :] if rng.random() < 0.7 else names), when=rng.choice(conditions)
            )
            for _ in range(rng.randint(0, 2) if n + 1 < len(names) else 0)
        )
        if ways and rng.random() < 0.8:
            ways = (*ways, Branch(to=names[n + 1]))
        events = tuple(
            rng.sample(["dispatched", "visit_ended", "photo_taken", "responded"], rng.randint(0, 2))
        )
        made.append(
            Step(
                code=name,
                label=label(name),
                owner="handler",
                enter=rng.choice(["true", "true", "parts.waiting"]),
                events=events,
                by_hand=not events or rng.random() < 0.3,
                fields=("repair_cost",) if rng.random() < 0.3 else (),
                next=ways,
                times_max=rng.choice([1, 1, 2, 4]),
            )
        )
    return kind(*made, fields=(money("repair_cost"),))


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_order_on_an_accepted_flow_comes_to_its_end(seed: int) -> None:
    """What the check lets through is what orders are put on: a dead end that it missed is found by a customer."""
    rng = random.Random(seed)
    of = some_kind(rng)
    if errors(check(of, events=EVENTS)):
        return
    driver = Driver(of, rng)
    for _ in range(600):
        if driver.flow.over:
            break
        driver.act()
        here = driver.flow.current
        assert here is None or here.blocked is None, (of, codes(driver.flow))
    assert driver.flow.over, (of, codes(driver.flow))
    ordered(of, driver.flow.steps)


def ordered(of: Kind, steps: tuple[Passed, ...]) -> None:
    """Each step follows the one before it: it was one of its ways, and began when that one ended."""
    for before, after in itertools.pairwise(steps):
        assert before.state is StepState.DONE
        assert before.done_at is not None
        assert after.reached_at == before.done_at
        assert before.entered_at is not None
        assert before.done_at >= before.entered_at
        found = of.step(before.step)
        assert found is not None
        assert after.step in {branch.to for branch in found.next}
    times: dict[str, int] = {}
    for one in steps:
        times[one.step] = times.get(one.step, 0) + 1
        assert one.times == times[one.step]
        found = of.step(one.step)
        assert found is not None
        assert one.times <= found.times_max


@settings(max_examples=200, deadline=None)
@given(order=st.permutations(ON_SITE), cuts=st.lists(st.booleans(), min_size=5, max_size=5))
def test_late_news_end_the_same_in_whatever_order(order: list[Event], cuts: list[bool]) -> None:
    """Two phones and a bad line: what the office sees must not depend on whose message came first."""
    together = run(SITE, facts(SITE, *ON_SITE))
    flow = run(SITE, facts(SITE))
    for n, cut in enumerate([*cuts[:-1], True], start=1):
        if cut:
            flow = rules.advance(SITE, flow.steps, (), facts(SITE, *order[:n]), NINE + timedelta(days=n))
            ordered(SITE, flow.steps)
    assert codes(flow) == codes(together)
    assert [one.done_at for one in flow.steps] == [one.done_at for one in together.steps]
    assert flow.over


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), turns=st.integers(0, 30))
def test_the_same_again_changes_nothing(seed: int, turns: int) -> None:
    """Every push looks at the flow again: a look that moves something would ask customers twice."""
    driver = Driver(library.built_in()["repair"], random.Random(seed))
    for _ in range(turns):
        if not driver.flow.over:
            driver.act()
    asked = [
        Word(code=ask.approval.code, about=ask.about, state="asked", n=ask.n) for ask in driver.flow.asks
    ]
    known = driver.known()
    first = rules.advance(driver.kind, driver.flow.steps, driver.words + asked, known, driver.now)
    again = rules.advance(
        driver.kind, first.steps, driver.words + asked, known, driver.now + timedelta(hours=1)
    )
    assert again.steps == first.steps
    assert (again.actions, again.asks, again.superseded) == ((), (), ())
    assert again.waits == first.waits


def test_a_completed_visit_without_its_diagnosis_leaves_the_step_open() -> None:
    """A phone may leave something out; the office must see what, and the work must stay."""
    flow = run(SITE, facts(SITE, *(one for one in ON_SITE if one.name != "diagnosed")))
    assert codes(flow) == [("dispatch", "done"), ("on_site", "done"), ("diagnosis", "open")]
    assert flow.missing.events == ("diagnosed",)
    assert flow.waits == {"diagnosed"}


def test_times_are_those_of_what_happened() -> None:
    """Step times that are the push's would make every offline engineer look late."""
    flow = run(SITE, facts(SITE, *ON_SITE), now=NINE + timedelta(days=1))
    minutes = [(one.done_at - NINE).total_seconds() / 60 for one in flow.steps if one.done_at]
    assert minutes == [0, 60, 75, 90]


LOOP = kind(
    step("dispatch", "visit", events=("dispatched",)),
    step("visit", Branch(to="again", when="parts.waiting"), "end", events=("visit_ended",), times_max=3),
    step("again", "visit", events=("dispatched",), times_max=2),
    step("end", by_hand=True),
)


def test_what_ended_one_step_does_not_end_another() -> None:
    """The first visit's end would close the second visit before anybody went."""
    first = (event("dispatched", 0), event("visit_ended", 60, until=NINE + timedelta(hours=1)))
    flow = run(LOOP, facts(LOOP, *first, parts={"waiting": True}))
    assert codes(flow)[-1] == ("again", "open")
    second = event("dispatched", 90, "v2")
    flow = rules.advance(LOOP, flow.steps, (), facts(LOOP, *first, second), NINE)
    assert codes(flow)[-1] == ("visit", "open")
    done = facts(LOOP, *first, second, event("visit_ended", 120, "v2"))
    flow = rules.advance(LOOP, flow.steps, (), done, NINE)
    assert codes(flow)[-1] == ("end", "open")


def test_rounds_are_bounded() -> None:
    """A part that never fits would send an engineer out every day of the year."""
    events: list[Event] = []
    flow = run(LOOP, facts(LOOP))
    for n in range(10):
        events += [event("dispatched", n * 10, f"v{n}"), event("visit_ended", n * 10 + 5, f"v{n}")]
        known = facts(LOOP, *events, parts={"waiting": True})
        flow = rules.advance(LOOP, flow.steps, (), known, NINE)
    assert sum(one.step == "visit" for one in flow.steps) == 3
    assert codes(flow)[-1] == ("end", "open")


COSTLY = kind(
    step(
        "quote",
        "end",
        fields=("repair_cost",),
        approvals=(
            Approval(
                code="much",
                label=label("much"),
                when="fields.repair_cost > 500",
                by="post:regional_director",
            ),
        ),
    ),
    step("end", by_hand=True),
    fields=(money("repair_cost"),),
)


def test_the_longest_kind_of_all_comes_to_its_end() -> None:
    """A version from before such loops were refused: no order of it could be taken in, and none would move."""
    last = STEPS_MAX - 2
    ring = [step(f"s{n}", f"s{n + 1}", times_max=TIMES_MAX) for n in range(last)]
    of = kind(*ring, step(f"s{last}", "s0", "end", times_max=TIMES_MAX), step("end"))
    flow = run(of, facts(of))
    assert flow.over
    assert len(flow.steps) == (STEPS_MAX - 1) * TIMES_MAX + 1


def test_an_approval_is_for_the_value_that_it_was_asked_for() -> None:
    """Who agreed to 600 did not agree to 6,000."""
    assert run(COSTLY, facts(COSTLY, fields={"repair_cost": 500})).current.step == "end"  # type: ignore[union-attr]
    flow = run(COSTLY, facts(COSTLY, fields={"repair_cost": 600}))
    [ask] = flow.asks
    assert ask.about == {"fields.repair_cost": 600.0}
    asked = Word(code="much", about=ask.about, state="asked", n=1)
    assert run(COSTLY, facts(COSTLY, fields={"repair_cost": 600}), flow.steps, [asked]).asks == ()
    raised = run(COSTLY, facts(COSTLY, fields={"repair_cost": 700}), flow.steps, [asked])
    assert raised.superseded == (asked,)
    assert [one.about for one in raised.asks] == [{"fields.repair_cost": 700.0}]
    given_ = replace(asked, state="approved", decided_at=NINE)
    flow = run(COSTLY, facts(COSTLY, fields={"repair_cost": 600}), flow.steps, [given_])
    assert codes(flow) == [("quote", "done"), ("end", "open")]
    # Raised after the step was done: the order goes no further until somebody agrees again.
    later = run(COSTLY, facts(COSTLY, fields={"repair_cost": 9000}), flow.steps, [given_])
    said = [replace(one, said_at=NINE) if one.live else one for one in later.steps]
    stuck = run(COSTLY, facts(COSTLY, fields={"repair_cost": 9000}), said, [given_])
    assert not stuck.over
    assert stuck.missing.asked == ("much",)
    lowered = run(COSTLY, facts(COSTLY, fields={"repair_cost": 100}), said, [given_])
    assert lowered.over


def test_a_refusal_holds_the_step() -> None:
    """A no that lets the order go on is no no."""
    known = facts(COSTLY, fields={"repair_cost": 600})
    no = Word(code="much", about={"fields.repair_cost": 600.0}, state="rejected", n=1, decided_at=NINE)
    flow = run(COSTLY, known, None, [no])
    assert codes(flow) == [("quote", "open")]
    assert flow.missing.rejected == ("much",)
    assert flow.asks == ()


BROKEN = kind(
    step("a", Branch(to="b", when="int(order.number) > 1"), "c", by_hand=True),
    step("b"),
    step("c"),
)


def test_a_broken_rule_stops_this_order_and_a_person_decides() -> None:
    """One typo in a kind must not take the phones' pushes down, nor let an order slip through."""
    steps = [replace(one, said_at=NINE) for one in rules.begin(BROKEN, NINE)]
    flow = run(BROKEN, facts(BROKEN, order={"number": "x"}), steps)
    here = flow.current
    assert here is not None
    assert here.blocked is not None
    assert (here.step, here.blocked.code, here.blocked.place) == ("a", "rule", "next")
    settled = [replace(one, settled={"next": "c"}) for one in flow.steps]
    assert codes(run(BROKEN, facts(BROKEN, order={"number": "x"}), settled))[-1] == ("c", "done")
    # As soon as the value is one that the rule can read, nobody has to decide.
    assert codes(run(BROKEN, facts(BROKEN, order={"number": "7"}), flow.steps))[-1] == ("b", "done")


def test_led_back_counts_only_what_comes_after() -> None:
    """An order opened again would be done at once by the work that the customer was not content with."""
    flow = run(LOOP, facts(LOOP, event("dispatched", 0), event("visit_ended", 60)))
    assert rules.may_lead_to(LOOP, flow.steps) == ("visit",)
    back = rules.lead_back(flow.steps, "visit", NINE + timedelta(hours=2))
    old = (event("dispatched", 0), event("visit_ended", 60))
    flow = run(LOOP, facts(LOOP, *old), back)
    assert codes(flow)[-1] == ("visit", "open")
    assert codes(run(LOOP, facts(LOOP, *old, event("visit_ended", 121, "v2")), flow.steps))[-1][0] == "end"


def test_an_order_that_was_solved_goes_on_to_its_survey() -> None:
    """Nobody has to be dispatched to a customer whose question was answered."""
    of = library.built_in()["repair"]
    flow = run(of, facts(of, event("responded", 1, "x")))
    assert flow.current is not None
    assert flow.current.step == "dispatch"
    steps = rules.cut_short(of, flow.steps, NINE)
    flow = run(of, facts(of, event("responded", 1, "x")), steps)
    assert codes(flow) == [("triage", "done"), ("dispatch", "canceled"), ("survey", "open")]
    assert rules.cut_short(of, flow.steps, NINE) == flow.steps


def test_a_step_that_closes_waits_for_the_visit_that_is_open() -> None:
    """An order closed while the engineer is on the way makes a liar of the customer's link."""
    of = kind(step("end", by_hand=True, on_done=(Action(do=ActionName.CLOSE),)))
    steps = [replace(one, said_at=NINE) for one in rules.begin(of, NINE)]
    flow = run(of, facts(of, visit_live=True), steps)
    assert flow.missing.visit
    assert flow.waits == {"visits"}
    flow = run(of, facts(of), flow.steps)
    assert [one.action.do for one in flow.actions] == [ActionName.CLOSE]


def test_an_end_may_end_one_step_and_its_outcome_another() -> None:
    """A step for the end of the visit, then one for its success: the same visit must be enough for both."""
    of = kind(step("visit", "done", events=("visit_ended",)), step("done", events=("visit_completed",)))
    assert run(of, facts(of, event("visit_ended", 9), event("visit_completed", 9))).over


FAILS = kind(
    step("dispatch", "visit", events=("dispatched",)),
    step(
        "visit",
        Branch(to="again", when="order.outcome == 'could_not_complete'"),
        "sign",
        events=("visit_ended",),
    ),
    step("again", "visit", events=("dispatched",)),
    step("sign", events=("closed",)),
)


@pytest.mark.parametrize(
    ("first", "last", "at"),
    (("visit_failed", "visit_completed", "sign"), ("visit_completed", "visit_failed", "again")),
)
def test_who_corrects_the_end_of_a_visit_turns_the_flow(first: str, last: str, at: str) -> None:
    """A thumb on the wrong button would leave the order waiting for a visit that nobody needs, or closed undone."""

    def known(name: str) -> Facts:
        outcome = "done" if name == "visit_completed" else "could_not_complete"
        ends = (event("dispatched", 0), event("visit_ended", 60), event(name, 60))
        return facts(FAILS, *ends, order={"outcome": outcome})

    flow = run(FAILS, known(first))
    flow = rules.advance(FAILS, flow.steps, (), known(last), NINE)
    assert flow.current is not None
    assert flow.current.step == at
    assert rules.advance(FAILS, flow.steps, (), known(last), NINE).steps == flow.steps
    straight = run(FAILS, known(last))
    assert straight.current is not None
    assert straight.current.step == at


def line(kind_: str, minutes: int, visit: str | None = "v", *flags: str, n: int = 0) -> Line:
    at = NINE + timedelta(minutes=minutes)
    visit_id = None if visit is None else uuid5(SPACE, visit)
    return Line(kind_, at, str(uuid5(SPACE, f"{kind_}{minutes}{visit}{n}")), visit_id, flags)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_what_lines_say_does_not_depend_on_their_order(data: st.DataObject) -> None:
    """The journal is read in whatever order the database gives it."""
    given_ = [
        line("visit.dispatched", 0),
        line("visit.arrived", 10),
        line("visit.could_not_complete", 20),
        line("visit.completed", 30),
        line("visit.arrived", 40, "gone"),
        line("visit.canceled", 50, "gone"),
        line("visit.photo", 12, "v", n=1),
        line("visit.photo", 12, "v", n=2),
        line("visit.diagnosed", 15, "v", "after_reassigned"),
    ]
    shuffled = data.draw(st.permutations(given_))
    said = happened(shuffled)
    assert said == happened(given_)
    names = [one.name for one in said]
    assert names.count("photo_taken") == 2
    assert "diagnosed" not in names, "it was somebody else's visit by then"
    assert "visit_failed" not in names, "who corrects a mistaken outcome has the last word"
    assert names.count("arrived") == 1, "a visit that was called off moves nothing"


def test_every_event_has_a_name_for_people_and_a_line() -> None:
    """A step that waits for an event that nothing writes waits for ever."""
    assert EVENTS.keys() == LABELS.keys()
    assert all(en and zh for en, zh in LABELS.values())
    assert all(named(kind_) & EVENTS.keys() for kind_ in KINDS)


@pytest.mark.parametrize("code", BUILT_IN)
def test_steps_survive_their_rows(code: str) -> None:
    """What is stored as JSON must come back as what the rules made."""
    driver = Driver(library.built_in()[code], random.Random(3))
    for _ in range(12):
        if not driver.flow.over:
            driver.act()
    again = msgspec.json.decode(msgspec.json.encode(driver.flow.steps), type=tuple[Passed, ...])
    assert again == driver.flow.steps
