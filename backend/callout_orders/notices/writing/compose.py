"""Who is told what, by which medium, when, and in which words. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders.notices import quiet
from callout_orders.notices.terms import ROBOTS, Medium, Role, Told, told
from callout_orders.notices.writing import breaking, texts
from callout_orders.notices.writing.breaking import Broken
from callout_orders.notices.writing.facts import Facts, Line, Person, zone_of
from callout_orders.notices.writing.templates import LINK
from callout_orders.terms import ORDER_STATE_LABELS, PRIORITY_LABELS, OrderState, Priority

TEXT_CHARS_MAX: Final = 1000
SINK: Final = "sink"
INBOX: Final = "inbox"
P0: Final = "P0"


class NewNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice as it is to be stored. `lane`: the channel's id, `sink` or `inbox`. `broken`: the template that should have
    said it."""

    order_id: UUID | None
    line_id: UUID
    kind: str
    person: Person
    role: str
    medium: str
    lane: str
    address: str
    mention: str | None
    locale: str
    urgent: bool
    wants_ack: bool
    title: str
    body: str
    due_at: datetime
    fallback_of: UUID | None = None
    broken: Broken | None = None


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """How a person is reached: by a medium, through a lane, at an address, mentioned as."""

    medium: str
    lane: str
    address: str = ""
    mention: str | None = None


def compose(facts: Facts, lines: Sequence[Line], *, sink: str) -> list[NewNotice]:
    """The notices of these lines, in their order. `sink`: `send` (what has no channel is not sent), `mixed` (it goes to the
    sink) or `sink` (everything does). A person is told once of a line, as the first of their roles."""
    made: list[NewNotice] = []
    for line in lines:
        what = told(line.kind, line.data)
        if what is None or (line.order_id is not None and line.order_id not in facts.orders):
            continue
        order = facts.orders.get(line.order_id) if line.order_id is not None else None
        urgent = what.urgent or (what.of_p0 and order is not None and order["priority"] == P0)
        known: set[str] = set()
        for role, person in people(facts, line, what):
            # Who is a contact and a user is told once, and not of what they did as the other.
            key = person.key if person.user_id is None else f"user:{person.user_id}"
            if key in known or (person.user_id is not None and person.user_id == line.actor_id):
                continue
            known.add(key)
            if what.kind in person.muted and not urgent:
                continue
            if person.customer and person.user_id is None and not facts.settings.customer_media:
                # Customers are not told here, and this one has no list of their own either.
                continue
            made.append(notice(facts, line, what, role, person, urgent=urgent, sink=sink))
    return made


def people(facts: Facts, line: Line, what: Told) -> Iterator[tuple[Role, Person]]:
    """Everybody whom a line concerns, with what they are in the matter, the most pressing role first."""
    users = facts.users
    about = facts.around.get(line.order_id) if line.order_id is not None else None
    for role in Role:
        if role not in what.roles:
            continue
        ids: list[UUID | None] = []
        if role is Role.ADDRESSEE and what.named is not None:
            given = line.data.get(what.named)
            id_ = UUID(str(given)) if given else None
            ids = [facts.engineers.get(id_) if what.named == "engineerId" and id_ is not None else id_]
        elif about is None:
            continue
        elif role is Role.ENGINEER:
            ids = [row["user_id"] for row in _visit_rows(facts, line) if row["plan"] == "dispatched"]
            if line.kind in ("visit.canceled", "visit.reassigned"):
                # Whoever no longer goes must hear of it, too.
                gone = line.data.get("fromEngineerId") or line.data.get("engineerId")
                ids.append(facts.engineers.get(UUID(str(gone))) if gone else None)
        elif role is Role.HANDLER:
            ids = [about.handler]
        elif role is Role.NEXT:
            ids = list(about.next)
        elif role is Role.SUPERVISOR:
            ids = list(about.supervisor)
        elif role is Role.INITIATOR:
            ids = [about.initiator]
        for id_ in ids:
            # A customer's own account is reached as the customer, and hears what customers hear.
            if id_ is not None and id_ in users and not users[id_].customer:
                yield role, users[id_]
        if role is Role.CUSTOMER and about is not None:
            person = customer(facts, about)
            if person is not None:
                yield role, person


def customer(facts: Facts, about: Any) -> Person | None:
    """The order's contact, or whoever reported it."""
    if about.contact_id is not None and about.contact_id in facts.contacts:
        return facts.contacts[about.contact_id]
    if about.reporter_email or about.reporter_phone:
        return Person(
            key=f"reporter:{about.order_id}",
            name=about.reporter_name or "",
            locale=about.locale,
            customer=True,
            email=about.reporter_email,
            phone=about.reporter_phone,
        )
    return None


def notice(
    facts: Facts,
    line: Line,
    what: Told,
    role: str,
    person: Person,
    *,
    urgent: bool,
    sink: str,
    way: Way | None = None,
    fallback_of: UUID | None = None,
) -> NewNotice:
    """One notice, filled in. `way`: instead of the first by which they can be reached."""
    order = facts.orders.get(line.order_id) if line.order_id is not None else None
    team = order["team_id"] if order is not None else None
    by = way or next(ways(facts, person, team, sink=sink, ping=urgent or what.wants_ack), _INBOX)
    # What stands in a group is read by many: in the organisation's language and by its clock.
    group = by.medium in ROBOTS
    locale = facts.locale if group else person.locale
    zone = facts.zone if group or person.time_zone is None else zone_of(person.time_zone)
    given = values(facts, line, what.kind, role, person, locale=locale, zone=zone)
    text, broken = breaking.filled(facts.templates, by.medium, what.kind, locale, given)
    return NewNotice(
        order_id=line.order_id,
        line_id=line.id,
        kind=what.kind,
        person=person,
        role=str(role),
        medium=by.medium,
        lane=by.lane,
        address=by.address,
        mention=by.mention if urgent or what.wants_ack else None,
        locale=locale,
        urgent=urgent,
        wants_ack=what.wants_ack and not person.customer,
        title=text.title[:300],
        body=text.body,
        due_at=_due(facts, person, by, urgent),
        fallback_of=fallback_of,
        broken=broken,
    )


def _due(facts: Facts, person: Person, by: Way, urgent: bool) -> datetime:
    """Now, or when their quiet hours end. A group is quiet where nobody is mentioned."""
    if urgent or by.lane == INBOX or (by.medium in ROBOTS and by.mention is None):
        return facts.now
    hours = facts.settings.quiet if person.quiet is None else person.quiet
    zone = facts.zone if person.time_zone is None else zone_of(person.time_zone)
    return quiet.until(facts.now, zone, hours) or facts.now


# ------------------------------------------------------------------------------------------------ ways

_INBOX: Final = Way(medium=Medium.INBOX.value, lane=INBOX)


def ways(facts: Facts, person: Person, team: UUID | None, *, sink: str, ping: bool) -> Iterator[Way]:
    """How they can be reached, in the order that they want. `ping`: a robot's message shall mention them."""
    house = facts.settings.customer_media if person.customer else facts.settings.staff_media
    for medium in house if person.media is None else person.media:
        way = way_by(facts, person, medium, team, sink=sink, ping=ping)
        if way is not None:
            yield way


def way_by(
    facts: Facts, person: Person, medium: str, team: UUID | None, *, sink: str, ping: bool
) -> Way | None:
    """How they are reached by this medium; None where they are not."""
    if medium == Medium.INBOX:
        return _INBOX
    if person.customer and medium in ROBOTS:
        return None
    lane = lane_of(facts, medium, team, sink=sink)
    if lane is None:
        return None
    own = person.addresses.get(medium)
    if medium in ROBOTS:
        return Way(medium=medium, lane=lane, mention=(own or person.phone or None) if ping else None)
    address = own or (
        person.email
        if medium == Medium.EMAIL
        else person.phone
        if medium in (Medium.SMS, Medium.VOICE)
        else None
    )
    return None if not address else Way(medium=medium, lane=lane, address=address)


def lane_of(facts: Facts, medium: str, team: UUID | None, *, sink: str) -> str | None:
    """The team's channel of this medium, else the organisation's, else the sink where it takes what has none."""
    if sink == SINK:
        return SINK
    found = [one for one in facts.channels if one.medium == medium and one.team_id in (team, None)]
    found.sort(key=lambda one: one.team_id is None)
    if found:
        return str(found[0].id)
    return SINK if sink == "mixed" else None


# ------------------------------------------------------------------------------------------------ words


def values(
    facts: Facts, line: Line, kind: str, role: str, person: Person, *, locale: str, zone: Any
) -> Mapping[str, Any]:
    """What a template is filled in with (`templates.PLACEHOLDERS`)."""
    zh = locale.startswith("zh")
    order = facts.orders.get(line.order_id) if line.order_id is not None else None
    state = priority = ""
    deadline = remaining = ""
    if order is not None:
        language = "zh" if zh else "en"
        state = ORDER_STATE_LABELS[OrderState(order["state"])][language]
        priority = PRIORITY_LABELS[Priority(order["priority"])][language]
        due = _told_due(line) or deadline_of(order)
        if due is not None:
            deadline = texts.moment(due, facts.now, zone, locale)
            remaining = texts.left(due, facts.now, locale)
    visit = next(iter(_visit_rows(facts, line)), None)
    note = str(line.data.get("reason") or line.data.get("note") or line.data.get("text") or "")[
        :TEXT_CHARS_MAX
    ]
    headline = texts.headline(kind, locale, state=_told_state(line, state, zh), priority=priority)
    # A list of notices shows headlines alone: which step, and what there is to do, belongs into them.
    if line.kind == "todo.asked":
        headline = _in(line, "text", zh) or headline
    elif (label := _in(line, "label", zh)) and not person.customer:
        headline = f"{headline}:{label}" if zh else f"{headline}: {label}"
    return {
        "headline": headline,
        "next": texts.next_action(kind, order["state"] if order is not None else "", locale),
        "deadline": deadline,
        "remaining": remaining,
        "link": LINK,
        "person": person.name,
        "role": texts.ROLES[role][1 if zh else 0],
        "organisation": facts.organisation,
        # What the desk notes among itself is not for customers.
        "note": "" if person.customer else note,
        "order": {
            "number": order["number"] if order is not None else "",
            "state": state,
            "priority": priority,
            "description": order["description"] if order is not None else "",
            "customer": order["customer"] if order is not None else "",
            "site": order["site"] if order is not None else "",
            "address": order["address"] if order is not None else "",
        },
        "visit": {
            "engineer": visit["name"] if visit is not None else "",
            "start": _moment(visit, "scheduled_start", facts.now, zone, locale),
            "eta": _moment(visit, "eta", facts.now, zone, locale),
        },
        "count": 1,
        "items": [],
    }


def _in(line: Line, name: str, zh: bool) -> str:
    """A value of the line's data that stands there in both languages."""
    given = line.data.get(name)
    return str(given.get("zh" if zh else "en", "")) if isinstance(given, dict) else ""


def _told_state(line: Line, now: str, zh: bool) -> str:
    """The state that the line tells of: what is written later must not say that the order was done before it began."""
    try:
        return ORDER_STATE_LABELS[OrderState(line.data.get("to", ""))]["zh" if zh else "en"]
    except ValueError:
        return now


def _told_due(line: Line) -> datetime | None:
    """The deadline that a line about deadlines speaks of."""
    given = line.data.get("dueAt")
    if not line.kind.startswith(("sla.", "flow.")) or not isinstance(given, str):
        return None
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def deadline_of(order: Any) -> datetime | None:
    """The next milestone that is still owed; none while the clock stands or the order is over."""
    if order["hold_reason"] is not None or order["state"] in ("closed", "canceled", "completed"):
        return None
    for met, due in (
        ("responded_at", "respond_due_at"),
        ("arrived_at", "arrive_due_at"),
        ("resolved_at", "resolve_due_at"),
    ):
        if order[met] is None:
            found: datetime = order[due]
            return found
    return None


def _moment(visit: Any, column: str, now: datetime, zone: Any, locale: str) -> str:
    at = visit[column] if visit is not None else None
    if at is None or at < now - timedelta(days=1):
        return ""
    return texts.moment(at, now, zone, locale)


def _visit_rows(facts: Facts, line: Line) -> list[Any]:
    """The people of the line's visit, or of the order's latest one."""
    if line.order_id is None:
        return []
    rows = facts.visits.get(line.order_id, [])
    of_line = [row for row in rows if row["id"] == line.visit_id]
    return of_line or [row for row in rows if row["id"] == rows[0]["id"]]
