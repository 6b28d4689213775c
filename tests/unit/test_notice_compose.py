"""Who is told what, by which medium and when: the rules alone, on facts made by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import msgspec
import pytest

from callout_orders.desk.staff.people import Around
from callout_orders.notices.settings import NoticeSettings
from callout_orders.notices.terms import Medium
from callout_orders.notices.writing import compose
from callout_orders.notices.writing.facts import Channel, Facts, Line, Person
from callout_orders.notices.writing.templates import Text

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
"""23:00 in Shanghai."""
ZONE = ZoneInfo("Asia/Shanghai")
ORDER, TEAM, OTHER_TEAM = uuid4(), uuid4(), uuid4()
HANDLER, NEXT, BOSS, ENGINEER, GONE, CONTACT = (uuid4() for _ in range(6))


def user(id_: UUID, **more: Any) -> Person:
    return Person(key=f"user:{id_}", name=str(id_)[:4], locale="en", user_id=id_, **more)


def order(**more: Any) -> dict[str, Any]:
    hours = {
        f"{name}_due_at": NOW + timedelta(hours=n)
        for n, name in enumerate(("respond", "arrive", "resolve"), 1)
    }
    met = dict.fromkeys(("responded_at", "arrived_at", "resolved_at"))
    named = {"number": "WO-1", "description": "d", "customer": "c", "site": "s", "address": "a"}
    return {
        "id": ORDER,
        "state": "new",
        "priority": "P1",
        "team_id": TEAM,
        "hold_reason": None,
        **hours,
        **met,
        **named,
        **more,
    }


def facts(**more: Any) -> Facts:
    about = Around(
        order_id=ORDER,
        contact_id=CONTACT,
        handler=HANDLER,
        next=(NEXT,),
        supervisor=(BOSS,),
        initiator=HANDLER,
    )
    given: dict[str, Any] = {
        "now": NOW,
        "organisation": "House",
        "locale": "en",
        "zone": ZONE,
        "settings": NoticeSettings(staff_media=("wecom_robot",), customer_media=("email",)),
        "templates": {},
        "channels": (),
        "orders": {ORDER: order()},
        "around": {ORDER: about},
        "visits": {},
        "users": {id_: user(id_) for id_ in (HANDLER, NEXT, BOSS, ENGINEER)},
        "contacts": {
            CONTACT: Person(
                key=f"contact:{CONTACT}", name="C", locale="zh", customer=True, email="c@example.org"
            )
        },
        "engineers": {},
        **more,
    }
    return Facts(**given)


def line(kind: str = "work_order.created", data: dict[str, Any] | None = None, **more: Any) -> Line:
    given: dict[str, Any] = {"id": uuid4(), "order_id": ORDER, "visit_id": None, "actor_id": None, **more}
    return Line(kind=kind, data=data or {}, **given)


def told(known: Facts, *lines: Line, sink: str = "mixed") -> list[compose.NewNotice]:
    return compose.compose(known, lines, sink=sink)


def by_user(made: list[compose.NewNotice]) -> dict[UUID | None, compose.NewNotice]:
    return {one.person.user_id: one for one in made}


def test_each_once_as_the_first_of_their_roles() -> None:
    """The handler who also took the order in would read of it twice, the second time as somebody else."""
    made = told(facts(), line())
    assert [(one.person.user_id, one.role) for one in made] == [
        (HANDLER, "handler"),
        (NEXT, "next"),
        (None, "customer"),
        (BOSS, "supervisor"),
    ]


def test_a_customer_with_an_account_is_told_once_and_not_of_what_they_did() -> None:
    """Who writes by their account and is the order's contact would be told twice, and of their own act as the other."""
    own = uuid4()
    contact = Person(
        key=f"contact:{CONTACT}", name="C", locale="en", customer=True, user_id=own, email="c@example.org"
    )
    about = msgspec.structs.replace(facts().around[ORDER], next=(own,))
    # The same person as a member of the staff: a dispatcher who is also the customer's contact.
    known = facts(contacts={CONTACT: contact}, users={own: user(own)}, around={ORDER: about})
    assert [one.role for one in told(known, line())] == ["next"]
    assert told(known, line(actor_id=own)) == []
    turned = facts(
        contacts={CONTACT: contact},
        users={own: user(own)},
        around={ORDER: msgspec.structs.replace(about, next=(), supervisor=(own,))},
    )
    assert [one.role for one in told(turned, line())] == ["customer"]


def test_an_engineer_who_no_longer_goes_hears_of_it() -> None:
    """They would stand before the customer's door."""
    gone = uuid4()
    known = facts(users={ENGINEER: user(ENGINEER), GONE: user(GONE)}, engineers={gone: GONE})
    for kind, data in (
        ("visit.reassigned", {"fromEngineerId": str(gone), "engineerId": str(uuid4())}),
        ("visit.canceled", {"engineerId": str(gone)}),
    ):
        assert GONE in by_user(told(known, line(kind, data))), kind
    assert GONE not in by_user(told(known, line("visit.moved", {"engineerId": str(gone)})))


def test_muted_is_what_is_not_urgent() -> None:
    """Who switched “new order” off still hears of a P0."""
    users = {BOSS: user(BOSS, muted=frozenset({"created"}))}
    assert BOSS not in by_user(told(facts(users=users), line()))
    assert BOSS in by_user(told(facts(users=users, orders={ORDER: order(priority="P0")}), line()))


def test_only_the_staff_have_something_in_hand_and_read_the_desks_notes() -> None:
    """A customer asked to acknowledge silences their own P0; and reads why the desk called off a visit."""
    known = facts(orders={ORDER: order(priority="P0")})
    made = told(known, line())
    assert {one.role for one in made if one.wants_ack} == {"handler", "next", "supervisor"}
    templates = {("email", "held", "zh"): Text(title="t", body="[{{ note }}]")}
    made = told(facts(templates=templates), line("work_order.held", {"reason": "they never pay"}))
    (customer,) = [one for one in made if one.role == "customer"]
    assert customer.body == "[]"


QUIET = {"settings": NoticeSettings(staff_media=("sms",), customer_media=(), quiet="22:00-07:00")}
MORNING = datetime(2026, 3, 2, 23, 0, tzinfo=UTC)


def test_quiet_hours_are_the_persons_own() -> None:
    """Rung at two in the morning, or told at noon: somebody in another zone is not woken by the office's clock."""
    users = {
        HANDLER: user(HANDLER, phone="1"),
        NEXT: user(NEXT, phone="1", time_zone="Europe/Berlin"),
        BOSS: user(BOSS, phone="1", quiet=""),
    }
    made = by_user(told(facts(users=users, **QUIET), line()))
    assert {id_: made[id_].due_at for id_ in users} == {HANDLER: MORNING, NEXT: NOW, BOSS: NOW}
    pressing = by_user(told(facts(users=users, orders={ORDER: order(priority="P0")}, **QUIET), line()))
    assert {one.due_at for one in pressing.values()} == {NOW}


def test_a_group_is_quiet_where_nobody_is_mentioned() -> None:
    """A group's message wakes whom it names; all others read it in the morning, in its place among the others."""
    known = facts(
        users={HANDLER: user(HANDLER, phone="+8613800138000")},
        settings=NoticeSettings(staff_media=("wecom_robot",), customer_media=(), quiet="22:00-07:00"),
    )
    (plain,) = told(known, line("work_order.state_changed", {"to": "scheduled"}))
    (named,) = told(known, line("work_order.handed_on"))
    assert (plain.mention, plain.due_at) == (None, NOW)
    assert (named.mention, named.due_at) == ("+8613800138000", MORNING)


def test_customers_are_never_told_in_the_staffs_group() -> None:
    """A customer who prefers a robot would be named before the whole desk."""
    contact = Person(key="c", name="C", locale="en", customer=True, phone="1", media=("wecom_robot", "sms"))
    made = told(facts(contacts={CONTACT: contact}), line())
    assert [one.medium for one in made if one.role == "customer"] == ["sms"]


def test_who_cannot_be_told_and_who_is_not_told() -> None:
    """Customers are not told where the house tells none; who is to be told and cannot be stands there as such."""
    silent = facts(settings=NoticeSettings(staff_media=(), customer_media=()))
    assert "customer" not in {one.role for one in told(silent, line())}
    contact = Person(key="c", name="C", locale="en", customer=True)
    (lost,) = [one for one in told(facts(contacts={CONTACT: contact}), line()) if one.role == "customer"]
    assert (lost.medium, lost.lane, lost.person.user_id) == ("inbox", "inbox", None)


def channel(team_id: UUID | None, medium: str = "wecom_robot") -> Channel:
    return Channel(id=uuid4(), medium=medium, team_id=team_id)


def test_the_teams_own_channel_comes_first_and_another_teams_never() -> None:
    """A team's orders in another team's group are read by nobody, or by those whom they do not concern."""
    house, own, other = channel(None), channel(TEAM), channel(OTHER_TEAM)
    lane = compose.lane_of
    assert lane(facts(channels=(house, own, other)), "wecom_robot", TEAM, sink="send") == str(own.id)
    assert lane(facts(channels=(house, other)), "wecom_robot", TEAM, sink="send") == str(house.id)
    assert lane(facts(channels=(other,)), "wecom_robot", TEAM, sink="send") is None
    assert lane(facts(channels=(other,)), "wecom_robot", TEAM, sink="mixed") == "sink"
    assert lane(facts(channels=(own,)), "wecom_robot", TEAM, sink="sink") == "sink"
    assert lane(facts(channels=(own,)), "sms", TEAM, sink="send") is None


def test_a_line_tells_of_the_state_that_it_brought() -> None:
    """Written a minute later, when the order is done, “in progress” would read “completed”, and that twice."""
    known = facts(orders={ORDER: order(state="completed")})
    one = by_user(told(known, line("work_order.state_changed", {"to": "in_progress"})))[HANDLER]
    assert "In progress" in one.title


@pytest.mark.parametrize(
    ("more", "due"),
    (
        ({}, "respond_due_at"),
        ({"responded_at": NOW}, "arrive_due_at"),
        ({"responded_at": NOW, "arrived_at": NOW}, "resolve_due_at"),
        ({"responded_at": NOW, "arrived_at": NOW, "resolved_at": NOW}, None),
        ({"hold_reason": "parts"}, None),
        ({"state": "canceled"}, None),
    ),
)
def test_the_deadline_is_the_next_that_is_owed(more: dict[str, Any], due: str | None) -> None:
    """A deadline of a clock that stands still makes somebody drive at night for nothing."""
    given = order(**more)
    assert compose.deadline_of(given) == (None if due is None else given[due])


def test_by_what_somebody_is_reached() -> None:
    """A chat account is no telephone number, and a contact's own entry goes before what the house knows."""
    person = user(BOSS, email="b@example.org", phone="1", addresses={"sms": "2"})
    ways = {
        medium: (
            way.address
            if (way := compose.way_by(facts(), person, medium, None, sink="mixed", ping=True))
            else None
        )
        for medium in (Medium.EMAIL, Medium.SMS, Medium.VOICE, Medium.WECOM, Medium.PUSH)
    }
    assert ways == {"email": "b@example.org", "sms": "2", "voice": "1", "wecom": None, "push": None}
