"""SLA policies: which rule an order falls under, and what is refused when one is written."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout_orders.checks import FieldsRefused
from callout_orders.sla.clock import MilestoneName
from callout_orders.sla.policy.body import read
from callout_orders.sla.policy.preview import DAYS_MAX, attempt
from callout_orders.sla.policy.terms import (
    REASONS,
    STANDARD,
    TIERS,
    SlaPolicy,
    marks,
    match,
    stamp,
    stamped,
    supervisor_at,
    to_json,
)
from callout_orders.terms import OrderKind, Priority
from callout_store.errors import BadField, Refusal

WEEK = {name: ["09:00-12:00", "13:00-18:00"] for name in ("mon", "tue", "wed", "thu", "fri")}


def rule(code: str, *minutes: int, **more: Any) -> dict[str, Any]:
    first, arrival, resolution = minutes or (15, 120, 240)
    return {
        "code": code,
        "firstResponse": {"minutes": first},
        "arrival": {"minutes": arrival},
        "resolution": {"minutes": resolution},
        **more,
    }


GOOD: dict[str, Any] = {
    "name": "Field service",
    "calendars": [
        {"code": "office", "timeZone": "Asia/Shanghai", "week": WEEK, "country": "CN"},
        {"code": "nights", "timeZone": "Asia/Shanghai", "week": {"mon": ["22:00-06:00"]}},
    ],
    "rules": [
        rule("all", calendar="office"),
        rule("gold", 10, 60, 120, tiers=["gold"], calendar="office"),
        rule("repair", 12, 90, 180, kinds=["repair"]),
        rule("gold-p0", 5, 30, 60, tiers=["gold"], priorities=["P0"]),
        rule("p0-repair", 6, 40, 80, priorities=["P0"], kinds=["repair", "production"]),
    ],
    "alarms": {"resolution": {"marks": ["20%", 30]}},
    "pauses": {"customer": ["resolution"], "cannotComplete": ["arrival"]},
    "reopening": "restart",
}


@pytest.mark.parametrize(
    ("tier", "kind", "priority", "wanted", "others"),
    (
        ("standard", "service", "P1", "all", ()),
        ("gold", "service", "P1", "gold", ("all",)),
        ("standard", "repair", "P2", "repair", ("all",)),
        # One name each: the one that stands first.
        ("gold", "repair", "P1", "gold", ("repair", "all")),
        ("gold", "service", "P0", "gold-p0", ("gold", "all")),
        # Two names each: again the first.
        ("gold", "repair", "P0", "gold-p0", ("p0-repair", "gold", "repair", "all")),
        ("silver", "production", "P0", "p0-repair", ("all",)),
    ),
)
def test_the_most_specific_rule_wins(
    tier: str, kind: str, priority: str, wanted: str, others: tuple[str, ...]
) -> None:
    """A gold customer's outage that falls under everybody's rule is a breach of contract that no clock shows."""
    found = match(read(GOOD), tier=tier, kind=kind, priority=priority)
    assert (found.rule.code, found.others) == (wanted, others)


@given(
    tier=st.sampled_from(TIERS),
    kind=st.sampled_from([*OrderKind, "a_kind_of_our_own"]),
    priority=st.sampled_from(list(Priority)),
    order=st.permutations(range(5)),
)
def test_every_order_has_a_rule(tier: str, kind: str, priority: str, order: list[int]) -> None:
    """An order without a promise could not be taken in; a rule that does not match promises to the wrong one."""
    policy = read({**GOOD, "rules": [GOOD["rules"][n] for n in order]})
    found = match(policy, tier=tier, kind=kind, priority=priority).rule
    assert found.matches(tier, kind, priority)
    matching = [one for one in policy.rules if one.matches(tier, kind, priority)]
    assert len(found.named) == max(len(one.named) for one in matching)


def test_the_houses_own_promise() -> None:
    """These are promises to customers; the first 15 minutes hold for every priority (R3)."""
    minutes = {
        priority.value: tuple(
            match(STANDARD, tier="gold", kind="repair", priority=priority).rule.target(name).minutes
            for name in MilestoneName
        )
        for priority in Priority
    }
    assert minutes == {"P0": (15, 120, 240), "P1": (15, 480, 1440), "P2": (15, 1440, 4320)}
    rule_ = STANDARD.rules[0]
    assert marks(STANDARD, rule_, MilestoneName.FIRST_RESPONSE) == (10, 5, 3, 0)
    assert supervisor_at(STANDARD, rule_, MilestoneName.FIRST_RESPONSE) == 3
    assert read(to_json(STANDARD)) == STANDARD


def test_what_is_read_can_be_stored_and_read_again() -> None:
    """A version that comes back from the table as another one would change promises that were made."""
    policy = read(GOOD)
    assert msgspec.json.decode(msgspec.json.encode(to_json(policy)), type=SlaPolicy) == policy
    assert read(to_json(policy)) == policy
    assert policy.reopening.value == "restart"
    assert policy.pauses.pausing(MilestoneName.ARRIVAL) == {"parts", "access", "state:cannot_complete"}
    assert policy.pauses.pausing(MilestoneName.RESOLUTION) == {"customer", "parts", "access"}
    assert set(REASONS) >= policy.pauses.pausing(MilestoneName.RESOLUTION)


def test_marks_are_minutes_or_a_share_of_the_budget() -> None:
    """A mark that lies before the start would be spoken of the moment an order comes in."""
    policy = read(GOOD)
    one = policy.rule("all")
    assert one is not None
    assert marks(policy, one, MilestoneName.RESOLUTION) == (48, 30)
    short = read({**GOOD, "rules": [rule("all", 5, 60, 90)]})
    assert marks(short, short.rules[0], MilestoneName.FIRST_RESPONSE) == (3, 0)


def changed(path: str, value: Any) -> dict[str, Any]:
    body = deepcopy(GOOD)
    at: Any = body
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in way:
        at = at[part]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return body


@pytest.mark.parametrize(
    ("path", "value", "refused_at", "word"),
    (
        ("calendars.0.week", {}, "body.calendars.0.week", "no working hour in any week"),
        ("calendars.0.week", {"mon": []}, "body.calendars.0.week", "no working hour in any week"),
        ("calendars.0.week", {"moon": []}, "body.calendars.0.week", "moon"),
        ("calendars.0.week.mon", ["9-5"], "body.calendars.0.week.mon.0", "09:00-12:00"),
        ("calendars.0.week.mon", ["09:00-09:00"], "body.calendars.0.week.mon.0", "no interval"),
        (
            "calendars.0.week.mon",
            ["13:00-18:00", "09:00-13:30"],
            "body.calendars.0.week.mon.0",
            "overlaps",
        ),
        ("calendars.0.week.mon", ["00:00-00:01"] * 13, None, "limited to 12"),
        ("calendars.0.timeZone", "Shanghai", "body.calendars.0.timeZone", "no time zone"),
        ("calendars.0.timeZone", "../../etc/passwd", "body.calendars.0.timeZone", "no time zone"),
        ("calendars.0.country", "XX", "body.calendars.0.country", "no public holidays"),
        ("calendars.0.subdivision", "ZZ", "body.calendars.0.subdivision", "no subdivision"),
        ("calendars.0.special", [{"date": "2026-02-30"}], "body.calendars.0.special.0.date", "date"),
        (
            "calendars.0.special",
            [{"date": "2026-02-03"}, {"date": "2026-02-03"}],
            "body.calendars.0.special.1.date",
            "twice",
        ),
        ("calendars.1.code", "office", "body.calendars.1.code", "twice"),
        ("calendars.1.code", "always", "body.calendars.1.code", "already"),
        ("calendars.1.code", "Night Shift", "body.calendars.1.code", "small letter"),
        ("rules", [], "body.rules", "missing"),
        ("rules", {}, "body.rules", "not a list"),
        ("rules", [rule("gold", tiers=["gold"])], "body.rules", "P0"),
        ("rules.1.code", "all", "body.rules.1.code", "twice"),
        ("rules.1.tiers", ["diamond"], "body.rules.1.tiers.0", "gold"),
        ("rules.3.priorities", ["P9"], "body.rules.3.priorities.0", "P0"),
        ("rules.0.calendar", "holiday", "body.rules.0.calendar", "no calendar holiday"),
        ("rules.0.arrival.minutes", 0, "body.rules.0.arrival.minutes", "between 1"),
        ("rules.0.arrival.minutes", 5, "body.rules.0.resolution.minutes", "must not fall"),
        ("rules.0.arrival.minutes", "soon", "body.rules.0.arrival.minutes", "int"),
        ("rules.0.arrival.hours", 3, "body.rules.0.arrival", "hours"),
        ("rules.0.arrival", None, "body.rules.0", "arrival"),
        ("rules.0.arrival.marks", ["150%"], "body.rules.0.arrival.marks.0", "20%"),
        ("rules.0.arrival.marks", [-1], "body.rules.0.arrival.marks.0", "between 0"),
        ("alarms.resolution.supervisorAt", "soon", "body.alarms.resolution.supervisorAt", "20%"),
        ("pauses.customer", ["lunch"], "body.pauses.customer.0", "lunch"),
        ("pauses.rain", ["arrival"], "body.pauses", "rain"),
        ("reopening", "never", "body.reopening", "continue"),
        ("name", " ", "body.name", "missing"),
        ("name", "x\x00", "body.name", "U+0000"),
        ("version", 3, "body.version", "no such field"),
    ),
)
def test_what_is_wrong_is_named_with_its_place(
    path: str, value: Any, refused_at: str | None, word: str
) -> None:
    """A policy that is read otherwise than it was meant promises what nobody wanted; no place, no help."""
    with pytest.raises(Refusal) as caught:
        read(changed(path, value))
    assert refused_at is None or caught.value.path == refused_at
    assert word in caught.value.message("en")
    assert caught.value.message("zh") != caught.value.message("en")


@pytest.mark.parametrize("body", (None, [], "policy", 3))
def test_what_is_no_document(body: object) -> None:
    """JSON that is no object at all must be refused as such."""
    with pytest.raises(BadField) as caught:
        read(body)
    assert caught.value.path == "body"


def test_everything_that_is_wrong_is_told_at_once() -> None:
    """Whoever types a calendar in would otherwise send it ten times."""
    body = changed("calendars.0.timeZone", "Mars/Olympus")
    body["calendars"][1]["week"] = {}
    body["rules"][1]["tiers"] = ["diamond"]
    body["rules"][2]["arrival"] = {"minutes": -4}
    body["name"] = ""
    body["colour"] = "red"
    with pytest.raises(FieldsRefused) as caught:
        read(body)
    paths = {fault.path for fault in caught.value.faults}
    assert paths >= {
        "body.calendars.0.timeZone",
        "body.calendars.1.week",
        "body.rules.1.tiers.0",
        "body.rules.2.arrival.minutes",
        "body.name",
        "body.colour",
    }
    errors = caught.value.extensions()["errors"]
    assert all(error["en"] and error["zh"] for error in errors)


def test_a_promise_that_the_calendar_cannot_keep_is_refused() -> None:
    """One minute a week and a year's budget: the deadline would lie after everybody's retirement."""
    body = changed("calendars.1.week", {"mon": ["09:00-09:01"]})
    body["rules"][0] = rule("all", 15, 120, 100_000, calendar="nights")
    with pytest.raises(BadField) as caught:
        read(body)
    assert caught.value.path == "body.rules.0.resolution.minutes"
    assert "5 years" in caught.value.message("en")


def test_dates_that_are_off_count_against_a_promise() -> None:
    """A calendar whose only working days are all listed as off has no working hour, whatever its week says: what is promised
    by it would be due in ten years."""
    mondays = [date(2026, 1, 5) + timedelta(weeks=n) for n in range(522)]
    body = changed("calendars.1.week", {"mon": ["09:00-17:00"]})
    body["rules"][0] = rule("all", 15, 120, 240, calendar="nights")
    body["calendars"][1]["special"] = [{"date": on.isoformat()} for on in mondays]
    with pytest.raises(FieldsRefused) as caught:
        read(body)
    assert {fault.path for fault in caught.value.faults} == {
        f"body.rules.0.{name}.minutes" for name in ("firstResponse", "arrival", "resolution")
    }
    assert "nights" in caught.value.message("zh")
    # One that is closed for a whole year only is due after it.
    body["calendars"][1]["special"] = body["calendars"][1]["special"][:52]
    found = attempt(
        read(body), start=datetime(2026, 1, 1, tzinfo=UTC), tier="standard", kind="service", priority="P1"
    )
    assert found.milestones[2].due_at == datetime(2027, 1, 4, 5, 0, tzinfo=UTC)


def test_limits_are_named() -> None:
    """A document of any size would be looked through for as long as it takes."""
    for path, count, what in (("calendars", 51, "50"), ("rules", 201, "200")):
        with pytest.raises(Refusal) as caught:
            read(changed(path, [GOOD[path][0]] * count))
        assert what in caught.value.message("en")


def test_stamps() -> None:
    """An order of before would lose its promise, or get another version's."""
    assert stamped(stamp(3, "gold-p0")) == (3, "gold-p0")
    assert stamped("2026-1") == (0, "")
    assert stamped("x:y") == (0, "")


def test_a_preview_shows_the_days_on_the_way() -> None:
    """Why is it due only on the 24th? The answer is nine days of holidays, by name."""
    start = datetime(2026, 2, 14, 9, 30, tzinfo=UTC)  # 17:30 on a Saturday that is worked
    found = attempt(read(GOOD), start=start, tier="standard", kind="service", priority="P1")
    assert (found.rule, found.named, found.others) == ("all", (), ())
    first = found.milestones[0]
    assert first.due_at == datetime(2026, 2, 14, 9, 45, tzinfo=UTC)
    arrival = found.milestones[1]
    # Half an hour of the 14th is left, then an hour and a half of the 24th.
    assert arrival.due_at == datetime(2026, 2, 24, 2, 30, tzinfo=UTC)
    assert [one.kind for one in arrival.days] == [
        "makeup",
        "week",
        *["holiday"] * 5,
        "week",
        "week",
        "holiday",
        "week",
    ]
    assert [one.date for one in arrival.days] == [date(2026, 2, n) for n in range(14, 25)]
    far = read({**GOOD, "rules": [rule("all", 15, 120, 100_000, calendar="office")]})
    late = attempt(far, start=start, tier="standard", kind="service", priority="P1").milestones[2]
    assert len(late.days) == DAYS_MAX
