"""Who is on duty, who gets an order, and when it goes on: rules of the desk, without a database."""

from datetime import UTC, date, datetime, timedelta
from string import Formatter
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout_orders.desk import todos
from callout_orders.desk.assign_rules import Fit, Member, TeamRule, choose_handler, choose_team
from callout_orders.desk.staff.duty import DutyRow, on_duty
from callout_orders.desk.todo_texts import TEXTS, say
from callout_orders.desk.unanswered.watch_rules import (
    ByWhat,
    Flag,
    Presence,
    PresenceState,
    Rules,
    Standing,
    Why,
    is_online,
    judge,
    next_in_line,
    offline_since,
)
from callout_orders.flow.actions import APPROVAL_TODO, BLOCKED_TODO, STEP_TODO
from callout_orders.flow.deadlines import LATE_TODO
from callout_orders.sla import clocks

A, B, C, D = (UUID(int=n) for n in (1, 2, 3, 4))
SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def row(user: UUID | None, starts: int, ends: int, **more: object) -> DutyRow:
    return DutyRow(user_id=user, rank=1, starts_minute=starts * 60, ends_minute=ends * 60, **more)  # type: ignore[arg-type]


def who(rows: list[DutyRow], at: datetime, zone: ZoneInfo = SHANGHAI) -> list[UUID]:
    return [one.user_id for one in on_duty(rows, at=at, zone=zone)]


def local(zone: ZoneInfo, *parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=zone, fold=fold)  # type: ignore[arg-type, misc]


# ---------------------------------------------------------------------------------------------- duty


@pytest.mark.parametrize(
    ("at", "expected"),
    (
        ((2026, 3, 2, 8, 59), []),  # Monday, before
        ((2026, 3, 2, 9, 0), [A]),  # the first minute belongs to it
        ((2026, 3, 2, 17, 59), [A]),
        ((2026, 3, 2, 18, 0), []),  # the last does not
        ((2026, 3, 3, 9, 0), []),  # Tuesday
    ),
)
def test_hours_are_the_teams_own(at: tuple[int, ...], expected: list[UUID]) -> None:
    """Off by a time zone, the day's fallback would be called at night."""
    assert who([row(A, 9, 18, weekday=0)], local(SHANGHAI, *at)) == expected


def test_a_night_goes_on_into_the_morning() -> None:
    """At midnight a night's duty must not fall into a hole."""
    night = [row(A, 22, 30, weekday=6)]  # Sunday 22:00 to Monday 06:00
    assert who(night, local(SHANGHAI, 2026, 3, 1, 23, 59)) == [A]
    assert who(night, local(SHANGHAI, 2026, 3, 2, 0, 0)) == [A]
    assert who(night, local(SHANGHAI, 2026, 3, 2, 5, 59)) == [A]
    assert who(night, local(SHANGHAI, 2026, 3, 2, 6, 0)) == []
    [one] = on_duty(night, at=local(SHANGHAI, 2026, 3, 2, 1, 0), zone=SHANGHAI)
    assert one.until == local(SHANGHAI, 2026, 3, 2, 6, 0).astimezone(UTC)


def test_a_date_stands_in_place_of_its_weekday() -> None:
    """On a holiday the roster of an ordinary Monday would call somebody who is away."""
    rows = [row(A, 0, 24, weekday=0), row(B, 8, 12, on_date=date(2026, 3, 2))]
    assert who(rows, local(SHANGHAI, 2026, 3, 2, 9, 0)) == [B]
    assert who(rows, local(SHANGHAI, 2026, 3, 2, 13, 0)) == []
    assert who(rows, local(SHANGHAI, 2026, 3, 9, 9, 0)) == [A]


def test_a_date_with_nobody_leaves_the_night_before_alone() -> None:
    """Who began on Sunday evening ends on Monday morning, holiday or not."""
    rows = [row(A, 22, 30, weekday=6), row(B, 0, 24, weekday=0), row(None, 0, 24, on_date=date(2026, 3, 2))]
    assert who(rows, local(SHANGHAI, 2026, 3, 2, 3, 0)) == [A]
    assert who(rows, local(SHANGHAI, 2026, 3, 2, 7, 0)) == []


def test_the_hour_that_comes_twice_is_on_duty_twice() -> None:
    """When clocks go back somebody must stand in for both hours named 01:30."""
    rows = [row(A, 1, 2, weekday=6)]
    for fold in (0, 1):
        assert who(rows, local(NEW_YORK, 2026, 11, 1, 1, 30, fold=fold), NEW_YORK) == [A]
    assert who(rows, local(NEW_YORK, 2026, 11, 1, 2, 0), NEW_YORK) == []


def test_the_hour_that_is_left_out_is_nobodys() -> None:
    """When clocks go forward 02:30 does not happen: before it and after it the others stand in."""
    rows = [row(A, 0, 2, weekday=6), row(B, 2, 3, weekday=6), row(C, 3, 24, weekday=6)]
    before = datetime(2026, 3, 8, 6, 59, tzinfo=UTC)  # 01:59 EST
    assert who(rows, before, NEW_YORK) == [A]
    assert who(rows, before + timedelta(minutes=1), NEW_YORK) == [C]


def test_who_is_there_twice_is_asked_once_by_the_better_rank() -> None:
    """Somebody who is named twice must not be passed over for themselves."""
    rows = [
        DutyRow(user_id=A, rank=2, weekday=0, starts_minute=0, ends_minute=1440),
        DutyRow(user_id=B, rank=1, weekday=0, starts_minute=0, ends_minute=1440),
        DutyRow(user_id=A, rank=1, weekday=0, starts_minute=600, ends_minute=700),
    ]
    assert who(rows, local(SHANGHAI, 2026, 3, 2, 10, 30)) == [A, B]
    assert who(rows, local(SHANGHAI, 2026, 3, 2, 13, 0)) == [B, A]


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
    st.sampled_from((SHANGHAI, NEW_YORK, ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe"))),
)
def test_a_roster_without_a_hole_has_none(naive: datetime, zone: ZoneInfo) -> None:
    """Day shifts and nights that meet leave no moment of the year without somebody, whatever the clocks do."""
    rows = [row(A, 6, 22, weekday=day) for day in range(7)] + [
        row(B, 22, 30, weekday=day) for day in range(7)
    ]
    assert len(who(rows, naive.replace(tzinfo=UTC), zone)) == 1


def test_a_naive_time_is_refused() -> None:
    """A moment without a zone would be read as the server's."""
    with pytest.raises(ValueError, match="time zone"):
        on_duty([], at=datetime(2026, 3, 2, 9), zone=SHANGHAI)


# ---------------------------------------------------------------------------------------------- team and handler


def team(id_: UUID, code: str, **more: object) -> TeamRule:
    values = {name: frozenset(value) if isinstance(value, tuple) else value for name, value in more.items()}
    return TeamRule(id=id_, code=code, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "channel", "territory", "expected"),
    (
        ("repair", "hotline", C, (A, (Fit.TERRITORY,))),  # the place counts more than the kind
        ("repair", "hotline", None, (B, (Fit.KIND,))),
        ("repair", "chat", None, (C, (Fit.KIND, Fit.CHANNEL))),  # the closest of two
        ("service", "hotline", None, (D, (Fit.DEFAULT,))),
    ),
)
def test_the_team_that_names_it_most_closely(
    kind: str, channel: str, territory: UUID | None, expected: tuple[UUID, tuple[Fit, ...]]
) -> None:
    """An order of the eastern district must not go to a team far off that happens to do repairs."""
    teams = [
        team(D, "all", is_default=True),
        team(A, "east", territories=(C,)),
        team(B, "fixers", kinds=("repair",)),
        team(C, "chatters", kinds=("repair",), channels=("chat",)),
    ]
    choice = choose_team(teams, kind=kind, channel=channel, territory_id=territory)
    assert (choice.team_id, choice.by) == expected


def test_the_default_takes_what_even_it_does_not_name() -> None:
    """The default team is the net under all others, whatever it names for itself."""
    teams = [team(A, "net", kinds=("repair",), is_default=True)]
    choice = choose_team(teams, kind="service", channel="chat", territory_id=None)
    assert (choice.team_id, choice.by) == (A, (Fit.DEFAULT,))
    assert choose_team(
        [team(B, "x", kinds=("repair",))], kind="service", channel="chat", territory_id=None
    ) == (choose_team([], kind="service", channel="chat", territory_id=None))


def member(user: UUID, load: int, *, lead: bool = False, online: bool = True) -> Member:
    return Member(user_id=user, load=load, lead=lead, online=online)


def test_load_counts_what_came_in_the_same_batch() -> None:
    """Two hundred orders of one import would all go to whoever was free before it."""
    people = [member(A, 0), member(B, 1)]
    given_: dict[UUID, int] = {}
    got = []
    for _ in range(5):
        choice = choose_handler(people, given_)
        assert choice.user_id is not None
        given_[choice.user_id] = given_.get(choice.user_id, 0) + 1
        got.append(choice.user_id)
    assert got == [A, A, B, A, B]


def test_leads_answer_only_where_there_are_no_others() -> None:
    """A lead whose people are offline watches them; the fallback answers."""
    lead = member(C, 0, lead=True)
    assert choose_handler([lead, member(A, 9)]).user_id == A
    assert choose_handler([lead, member(A, 9, online=False)]).why == "nobody_online"
    assert choose_handler([lead]).user_id == C
    assert choose_handler([]).why == "no_members"


# ---------------------------------------------------------------------------------------------- presence and watch


def there(state: str = "online", *, ago: float = 0, seen: float = 0) -> Presence:
    return Presence(
        state=PresenceState(state), since=NOW - timedelta(seconds=ago), seen_at=NOW - timedelta(seconds=seen)
    )


@pytest.mark.parametrize(
    ("presence", "online", "offline"),
    (
        (None, False, True),
        (there(), True, False),
        (there(seen=89), True, False),
        (there(seen=90), False, True),  # silent for the whole time
        (there("away"), False, False),  # to be reached, but given nothing
        (there("away", seen=100), False, True),
        (there("offline", ago=5), False, True),
    ),
)
def test_who_counts_as_there(presence: Presence | None, online: bool, offline: bool) -> None:
    """An order given to a shut laptop waits for nobody; one taken from a live screen angers somebody."""
    assert is_online(presence, now=NOW) is online
    assert (offline_since(presence, now=NOW) is not None) is offline


def standing(**more: object) -> Standing:
    values: dict[str, object] = {
        "due_at": NOW + timedelta(minutes=15),
        "handler_id": A,
        "handler_since": NOW,
        "by_what": ByWhat.INTAKE,
        "presence": there(),
    }
    return Standing(**{**values, **more})  # type: ignore[arg-type]


def test_the_mark_is_the_teams() -> None:
    """Three minutes left is the mark; a second before it the order is still its handler's."""
    assert judge(standing(), Rules(), now=NOW).again == NOW + timedelta(minutes=12)
    at = NOW + timedelta(minutes=12)
    alive = there(seen=-12 * 60)
    assert judge(standing(presence=alive), Rules(), now=at).why is Why.LATE
    assert judge(standing(presence=alive), Rules(), now=at - timedelta(seconds=1)).why is None
    five = Rules(late=timedelta(minutes=5))
    assert judge(standing(), five, now=NOW).again == NOW + timedelta(minutes=10)


def test_who_just_got_it_has_a_steps_time() -> None:
    """After the mark each of those on duty gets a minute: otherwise all of them are passed over in one second."""
    late = standing(due_at=NOW, by_what=ByWhat.FALLBACK, handler_since=NOW - timedelta(seconds=30))
    assert judge(late, Rules(), now=NOW).again == NOW + timedelta(seconds=30)
    assert judge(late, Rules(), now=NOW + timedelta(seconds=30)).why is Why.LATE


def test_offline_counts_from_when_they_were_gone_and_had_it() -> None:
    """Somebody who was away for a day before they got it is not late at once; who left long ago is."""
    gone = there("offline", ago=86_400, seen=86_400)
    assert judge(standing(presence=gone), Rules(), now=NOW).again == NOW + timedelta(minutes=5)
    at = NOW + timedelta(minutes=5)
    assert judge(standing(presence=gone), Rules(), now=at).why is Why.OFFLINE
    assert judge(standing(presence=None), Rules(), now=at).why is Why.OFFLINE


def test_a_supervisor_keeps_it_and_a_flag_rises_once() -> None:
    """There is nobody after the supervisor: an order that is passed round for ever is nobody's."""
    last = standing(by_what=ByWhat.SUPERVISOR, due_at=NOW, handler_since=NOW - timedelta(minutes=2))
    assert judge(last, Rules(), now=NOW).flag is Flag.NOBODY_ANSWERS
    raised = standing(by_what=ByWhat.SUPERVISOR, due_at=NOW, flag=Flag.NOBODY_ANSWERS)
    verdict = judge(raised, Rules(), now=NOW + timedelta(days=1))
    assert (verdict.why, verdict.flag, verdict.again) == (None, None, None)


def test_nobody_at_all_does_not_spin() -> None:
    """In an organisation without even an admin the worker must not turn one order over for ever."""
    nobody = standing(handler_id=None, by_what=ByWhat.SUPERVISOR, flag=Flag.NO_TEAM)
    verdict = judge(nobody, Rules(), now=NOW)
    assert (verdict.why, verdict.again) == (None, None)


def test_the_line_skips_who_is_away_and_who_had_it() -> None:
    """Going in circles between two people who do not answer is the same as silence."""
    on = {B: there(), C: there(), D: there()}
    chosen = next_in_line([A, B, C], [D], handler_id=B, tried=[], presence=on, now=NOW)
    assert (chosen.user_id, chosen.by_what) == (C, ByWhat.FALLBACK)
    assert [(one.user_id, one.why) for one in chosen.passed] == [(A, "offline"), (B, "tried")]
    chosen = next_in_line([A, B, C], [D], handler_id=C, tried=[B], presence=on, now=NOW)
    assert (chosen.user_id, chosen.by_what, chosen.flag) == (D, ByWhat.SUPERVISOR, Flag.NOBODY_ANSWERS)


@pytest.mark.parametrize(
    ("duty", "has_team", "flag"),
    (([], True, Flag.NOBODY_ON_DUTY), ([A], True, Flag.NOBODY_ON_DUTY), ([], False, Flag.NO_TEAM)),
)
def test_why_nobody_stands_in_is_said(duty: list[UUID], has_team: bool, flag: Flag) -> None:
    """Whoever mends the roster must see whether it has a hole or its people were not there."""
    chosen = next_in_line(
        duty, [C, D], handler_id=None, tried=[], presence={D: there()}, now=NOW, has_team=has_team
    )
    assert (chosen.flag, chosen.user_id) == (flag, D)


@given(st.integers(0, 1200), st.integers(0, 1200), st.booleans(), st.integers(0, 600))
def test_an_order_in_hands_always_has_a_next_look(due: int, had: int, online: bool, gone: int) -> None:
    """A verdict that neither acts nor says when to look again would leave an order silent."""
    stands = standing(
        due_at=NOW + timedelta(seconds=due - 600),
        handler_since=NOW - timedelta(seconds=had),
        presence=there() if online else there("offline", ago=gone, seen=gone),
    )
    verdict = judge(stands, Rules(), now=NOW)
    assert (verdict.why is None) != (verdict.again is None)
    assert verdict.again is None or verdict.again > NOW


# ---------------------------------------------------------------------------------------------- texts


@pytest.mark.parametrize("locale", ("en", "zh"))
@pytest.mark.parametrize(
    "kind", (todos.ANSWER_KIND, clocks.TODO_KIND, STEP_TODO, APPROVAL_TODO, BLOCKED_TODO, LATE_TODO, *TEXTS)
)
def test_every_to_do_can_be_said(kind: str, locale: str) -> None:
    """A to-do that shows braces, dots or a code helps nobody who has three minutes."""
    names = {name for _, name, _, _ in Formatter().parse(TEXTS[kind][locale]) if name}
    assert names
    said = say(kind, {name: f"<{name}>" for name in names}, locale)
    assert all(f"<{name}>" in said for name in names)
    assert "…" not in said


def test_reasons_and_codes_are_said_in_words() -> None:
    """Who reads "late" or "first_response" has to guess."""
    assert say("answer_order", {"number": "WO-1", "why": "late"}, "en").endswith("(it was about to be late)")
    assert "无人值班" in say(
        "answer_order", {"number": "WO-1", "why": "offline", "flag": "nobody_on_duty"}, "zh"
    )
    assert "WO-1" in say("answer_order", {"number": "WO-1", "why": "because I say so"}, "en")
    warned = {"number": "WO-1", "minutes": 3.0, "milestone": "first_response"}
    assert (
        say("sla_warning", warned, "en") == "3 minutes are left until the first response of order WO-1 is due"
    )
    assert "首次响应" in say("sla_warning", warned, "zh")
    assert "Sign" in say("flow.approval", {"number": "WO-1", "label": {"en": "Sign", "zh": "签字"}}, "en")
    assert say("unheard_of", {"number": "WO-1"}, "en") == "unheard_of WO-1"
