"""What happens when an urgent notice finds nobody: another medium for the same person, a call to the next in line.

Durable timers drive both, and each looks at the facts again when it fires: a notice that arrived, an order that was
acknowledged, answered or called off meanwhile, ends it.
"""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from callout_orders.notices import fan
from callout_orders.notices.terms import Medium, Role, Told, told
from callout_orders.notices.writing import compose, facts
from callout_orders.notices.writing.compose import INBOX, NewNotice
from callout_orders.notices.writing.facts import Facts, Line, Person
from callout_store import timers
from callout_store.work import Work

ESCALATED: Final = Told(kind="escalated", urgent=True, wants_ack=True)
CALLS_MAX: Final = 10
"""People who are called of one matter at most."""


async def fall_back(work: Work, notice_id: UUID, *, sink: str) -> UUID | None:
    """Tell the same person by their next medium, where this one has not delivered; None where nothing is to be done.

    Harmless twice: a person is told once of a line by a medium.
    """
    row = await work.fetchrow(
        """
        select id, line_id, order_id, recipient, user_id, contact_id, role, medium, urgent, state, delivered_at, kind
        from notice where org_id = callout_org() and id = $1
        """,
        notice_id,
    )
    if row is None or row["delivered_at"] is not None or not (row["urgent"] or row["state"] == "failed"):
        return None
    if row["kind"] == ESCALATED.kind and await _acknowledged(work, row["order_id"], row["line_id"]):
        return None
    given = await facts.lines(work, [row["line_id"]])
    if not given or (what := told(given[0].kind, given[0].data)) is None:
        return None
    known = await facts.gather(work, given)
    person = _person(known, row)
    if person is None:
        return None
    tried = {
        one["medium"]
        for one in await work.fetch(
            "select medium from notice where org_id = callout_org() and line_id = $1 and recipient = $2 and kind = $3",
            row["line_id"],
            row["recipient"],
            row["kind"],
        )
    }
    order = known.orders.get(row["order_id"])
    team = order["team_id"] if order is not None else None
    way = next(
        (
            one
            for one in compose.ways(known, person, team, sink=sink, ping=True)
            if one.medium not in tried and one.lane != INBOX
        ),
        None,
    )
    if way is None:
        return None
    what = ESCALATED if row["kind"] == ESCALATED.kind else what
    made = compose.notice(
        known,
        given[0],
        what,
        row["role"],
        person,
        urgent=row["urgent"],
        sink=sink,
        way=way,
        fallback_of=row["id"],
    )
    await fan.insert(work, [made])
    return notice_id


def _person(known: Facts, row: Any) -> Person | None:
    if row["contact_id"] is not None:
        return known.contacts.get(row["contact_id"])
    if row["user_id"] is not None:
        return known.users.get(row["user_id"])
    about = known.around.get(row["order_id"])
    return None if about is None else compose.customer(known, about)


async def escalate(work: Work, order_id: UUID, line_id: UUID, *, key: str, epoch: int, sink: str) -> bool:
    """Call the next in line where nobody has acknowledged a P0 in time, and look again in as long; True where somebody was
    called. Each person is called once of a line; it ends with an acknowledgement, an answer, or nobody left to call."""
    if not await timers.is_current(work, key=key, epoch=epoch):
        return False
    # Two who handle one firing take turns here: the second finds the first one's call.
    row = await work.fetchrow(
        """
        select o.priority, o.state, o.responded_at from work_order o
        where o.org_id = callout_org() and o.id = $1 for no key update
        """,
        order_id,
    )
    if row is None or row["priority"] != compose.P0 or row["state"] in ("closed", "canceled", "completed"):
        return False
    if row["responded_at"] is not None or await _acknowledged(work, order_id, line_id):
        return False
    given = await facts.lines(work, [line_id])
    if not given:
        return False
    known = await facts.gather(work, given)
    called = {
        one["recipient"]
        for one in await work.fetch(
            """
            select recipient from notice
            where org_id = callout_org() and line_id = $1 and (medium = 'voice' or kind = 'escalated')
            """,
            line_id,
        )
    }
    chain = line_of(known, given[0])
    left = [(role, person) for role, person in chain if person.key not in called]
    if not left or len(called) >= CALLS_MAX:
        return False
    role, person = left[0]
    made = _call(known, given[0], role, person, sink=sink)
    await fan.insert(work, [made])
    if len(left) > 1:
        after = timedelta(seconds=known.settings.acknowledge_seconds)
        payload = {"orderId": str(order_id), "lineId": str(line_id)}
        due_at = await work.fetchval("select now() + $1::interval", after)
        await timers.again(work, key=key, epoch=epoch, due_at=due_at, payload=payload)
    return True


def line_of(known: Facts, line: Line) -> list[tuple[Role, Person]]:
    """Who is called, in turn: engineer, handler, next responsible, supervisors; each once."""
    what = Told(kind="escalated", roles=frozenset({Role.ENGINEER, Role.HANDLER, Role.NEXT, Role.SUPERVISOR}))
    found: dict[str, tuple[Role, Person]] = {}
    for role, person in compose.people(known, line, what):
        found.setdefault(person.key, (role, person))
    return list(found.values())


def _call(known: Facts, line: Line, role: Role, person: Person, *, sink: str) -> NewNotice:
    """By voice; by whatever they have where there is no voice."""
    order = known.orders[line.order_id] if line.order_id is not None else None
    team = order["team_id"] if order is not None else None
    way = compose.way_by(known, person, Medium.VOICE, team, sink=sink, ping=True)
    return compose.notice(known, line, ESCALATED, role, person, urgent=True, sink=sink, way=way)


async def _acknowledged(work: Work, order_id: UUID, line_id: UUID) -> bool:
    """Whether somebody of the staff has said, since this line, that they have the order in hand."""
    return bool(
        await work.fetchval(
            """
            select true from notice n
            where n.org_id = callout_org() and n.order_id = $1 and n.acknowledged_at is not null and n.role <> 'customer'
              and n.position >= (select min(position) from notice where org_id = callout_org() and line_id = $2)
            limit 1
            """,
            order_id,
            line_id,
        )
    )
