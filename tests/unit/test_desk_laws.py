"""Laws of the desk: who is on duty and until when, who is given an order, and where it goes from there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from callout_orders.desk.assign_rules import Member, TeamRule, choose_handler, choose_team
from callout_orders.desk.staff.duty import DutyRow, on_duty, wall
from callout_orders.desk.unanswered.watch_rules import (
    PRESENCE_TIMEOUT,
    ByWhat,
    Flag,
    Presence,
    PresenceState,
    is_online,
    next_in_line,
)

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
ZONES = st.sampled_from(
    tuple(
        ZoneInfo(name)
        for name in ("Asia/Shanghai", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe")
    )
)
USERS = st.integers(1, 9).map(lambda n: UUID(int=n))
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))


@st.composite
def duties(draw: st.DrawFn) -> DutyRow:
    starts = draw(st.integers(0, 1439))
    return DutyRow(
        user_id=draw(USERS),
        rank=draw(st.integers(1, 3)),
        starts_minute=starts,
        ends_minute=draw(st.integers(starts + 1, starts + 1440)),
        weekday=draw(st.integers(0, 6)),
    )


def plainly(rows: list[DutyRow], at: datetime, zone: ZoneInfo) -> dict[UUID, int]:
    """Who is on duty by the clock on the wall, counted in minutes of the week, and their best rank."""
    local = at.astimezone(zone)
    minute = local.weekday() * 1440 + local.hour * 60 + local.minute
    found: dict[UUID, int] = {}
    for row in rows:
        assert row.weekday is not None
        begin = row.weekday * 1440 + row.starts_minute
        if (minute - begin) % (7 * 1440) < row.ends_minute - row.starts_minute:
            assert row.user_id is not None
            found[row.user_id] = min(row.rank, found.get(row.user_id, row.rank))
    return found


@given(st.lists(duties(), max_size=8), MOMENTS, ZONES)
def test_duty_is_what_the_clock_on_the_wall_says(rows: list[DutyRow], at: datetime, zone: ZoneInfo) -> None:
    """Past midnight, over the end of the week or in a night of changing clocks, the wrong one would be called."""
    found = on_duty(rows, at=at, zone=zone)
    assert {one.user_id: one.rank for one in found} == plainly(rows, at, zone)
    assert [one.rank for one in found] == sorted(one.rank for one in found)
    assert len({one.user_id for one in found}) == len(found)


def test_a_duty_ends_when_its_hour_first_comes() -> None:
    """The page tells somebody "until 01:30" in a night that has two: an hour too late nobody relieves them."""
    zone = ZoneInfo("America/New_York")
    row = DutyRow(user_id=UUID(int=1), rank=1, starts_minute=22 * 60, ends_minute=25 * 60 + 30, weekday=5)
    (one,) = on_duty([row], at=datetime(2026, 11, 1, 4, 0, tzinfo=UTC), zone=zone)
    assert one.until == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert wall(one.until.astimezone(zone).date(), 150, zone) == datetime(2026, 11, 1, 7, 30, tzinfo=UTC)


@st.composite
def members(draw: st.DrawFn) -> list[Member]:
    ids = draw(st.lists(USERS, unique=True, max_size=7))
    return [
        Member(
            user_id=user, lead=draw(st.booleans()), online=draw(st.booleans()), load=draw(st.integers(0, 4))
        )
        for user in ids
    ]


@given(members(), st.integers(0, 30), st.randoms())
def test_orders_go_to_who_is_there_and_has_the_least(team: list[Member], count: int, rng: object) -> None:
    """An order in the hands of somebody who is away waits until it is late; one colleague gets the whole morning."""
    given_: dict[UUID, int] = {}
    shuffled = list(team)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    hands = [one for one in team if not one.lead] or team
    may = {one.user_id: one for one in hands if one.online}
    for _ in range(count):
        choice = choose_handler(team, given_)
        assert choice == choose_handler(shuffled, given_)
        if choice.user_id is None:
            assert not may
            assert choice.why == ("nobody_online" if team else "no_members")
            continue
        load = {user: one.load + given_.get(user, 0) for user, one in may.items()}
        assert load[choice.user_id] == min(load.values()) == choice.load
        given_[choice.user_id] = given_.get(choice.user_id, 0) + 1
    if may and count:
        end = {user: one.load + given_.get(user, 0) for user, one in may.items()}
        # Nobody who got one has more than one above anybody else.
        assert max((end[user] for user in given_), default=0) <= min(end.values()) + 1


@st.composite
def presences(draw: st.DrawFn) -> Presence | None:
    if draw(st.booleans()) and draw(st.booleans()):
        return None
    ago = timedelta(seconds=draw(st.integers(0, 300)))
    return Presence(state=draw(st.sampled_from(PresenceState)), since=NOW - ago, seen_at=NOW - ago)


@given(
    st.lists(USERS, unique=True, max_size=6),
    st.lists(USERS, unique=True, max_size=4),
    st.none() | USERS,
    st.sets(USERS),
    st.fixed_dictionaries({UUID(int=n): presences() for n in range(1, 10)}),
    st.booleans(),
)
def test_it_goes_down_the_line_and_never_back(
    duty: list[UUID],
    supervisors: list[UUID],
    handler: UUID | None,
    tried: set[UUID],
    known: dict[UUID, Presence | None],
    has_team: bool,
) -> None:
    """An order must not go to an empty desk, nor round and round between two who both let it lie."""
    there = {user: one for user, one in known.items() if one is not None}
    found = next_in_line(
        duty,
        supervisors,
        handler_id=handler,
        tried=tried,
        presence=there,
        now=NOW,
        has_team=has_team,
    )
    may = [
        user for user in duty if user != handler and user not in tried and is_online(there.get(user), now=NOW)
    ]
    if may:
        assert (found.user_id, found.by_what, found.flag) == (may[0], ByWhat.FALLBACK, None)
        assert [one.user_id for one in found.passed] == duty[: duty.index(may[0])]
        return
    assert found.by_what is ByWhat.SUPERVISOR
    assert [one.user_id for one in found.passed] == duty
    assert (found.user_id is None) == (not supervisors)
    others = [user for user in supervisors if user != handler]
    if others:
        online = [user for user in others if is_online(there.get(user), now=NOW)]
        assert found.user_id == (online or others)[0]
    had_it = any(user == handler or user in tried for user in duty)
    assert found.flag is (
        Flag.NO_TEAM if not has_team else Flag.NOBODY_ANSWERS if had_it else Flag.NOBODY_ON_DUTY
    )


@given(presences())
def test_nobody_is_there_who_has_been_silent(presence: Presence | None) -> None:
    """A screen that froze an hour ago still says "online"."""
    assert is_online(presence, now=NOW) == (
        presence is not None
        and presence.state is PresenceState.ONLINE
        and NOW - presence.seen_at < PRESENCE_TIMEOUT
    )


@st.composite
def team_rules(draw: st.DrawFn) -> list[TeamRule]:
    codes = draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=5))
    some = st.frozensets(st.sampled_from(("x", "y")), max_size=2)
    default = draw(st.sampled_from([*codes, None]))
    return [
        TeamRule(
            id=UUID(int=100 + n),
            code=code,
            kinds=draw(some),
            channels=draw(some),
            territories=draw(st.frozensets(USERS, max_size=2)),
            is_default=code == default,
        )
        for n, code in enumerate(codes)
    ]


@given(team_rules(), st.sampled_from("xyz"), st.sampled_from("xyz"), st.none() | USERS, st.randoms())
def test_a_team_never_gets_what_it_named_something_else_than(
    teams: list[TeamRule], kind: str, channel: str, territory: UUID | None, rng: object
) -> None:
    """The lift team would answer for boilers; and the order in which teams are read would decide who answers."""
    shuffled = list(teams)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    found = choose_team(teams, kind=kind, channel=channel, territory_id=territory)
    assert found == choose_team(shuffled, kind=kind, channel=channel, territory_id=territory)

    def named(team: TeamRule) -> tuple[bool, bool, bool]:
        return bool(team.territories), bool(team.kinds), bool(team.channels)

    fitting = [
        team
        for team in teams
        if (not team.territories or territory in team.territories)
        and (not team.kinds or kind in team.kinds)
        and (not team.channels or channel in team.channels)
    ]
    chosen = next((team for team in teams if team.id == found.team_id), None)
    if not fitting:
        assert chosen is None or chosen.is_default
        assert (chosen is None) == (not any(team.is_default for team in teams))
        return
    assert chosen in fitting
    assert chosen is not None
    assert named(chosen) == max(named(team) for team in fitting)
    # Of those that name as much, a real team goes before the one that takes what is left.
    assert not chosen.is_default or all(team.is_default for team in fitting if named(team) == named(chosen))


def test_the_better_rank_counts_in_whatever_order_the_rows_are_read() -> None:
    """The database promises no order: the same roster would call one person today and another tomorrow."""
    rows = [
        DutyRow(user_id=UUID(int=user), rank=rank, weekday=0, starts_minute=0, ends_minute=1440)
        for user, rank in ((1, 1), (1, 3), (2, 2))
    ]
    for given_ in (rows, rows[::-1]):
        found = on_duty(given_, at=NOW, zone=ZoneInfo("Asia/Shanghai"))
        assert [(one.user_id.int, one.rank) for one in found] == [(1, 1), (2, 2)]
