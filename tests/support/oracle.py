"""What must hold when everything has come to rest, asked of the domain tables by SQL that shares nothing with the feed."""

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from worlds import Phone, World

from callout_dispatch.visit_states import EventKind, Progress, VisitEvent, merge, state_of
from callout_orders.order_states import VisitFact, derive

HELD = {
    "visit": """
        select v.id, v.state || ':' || v.revision as mark from visit v where v.engineer_id = $1 and v.plan <> 'scheduled'
    """,
    "event": """
        select e.id, e.kind as mark from visit_event e join visit v on v.id = e.visit_id
        where v.engineer_id = $1 and v.plan <> 'scheduled'
    """,
    "work_order": """
        select distinct o.id, o.state || ':' || o.revision as mark from work_order o join visit v on v.order_id = o.id
        where v.engineer_id = $1 and v.plan <> 'scheduled'
    """,
    "site": """
        select distinct o.site_id as id, '' as mark from work_order o join visit v on v.order_id = o.id
        where v.engineer_id = $1 and v.plan <> 'scheduled'
    """,
    "contact": """
        select distinct o.contact_id as id, '' as mark from work_order o join visit v on v.order_id = o.id
        where v.engineer_id = $1 and v.plan <> 'scheduled' and o.contact_id is not null
    """,
    "asset": """
        select distinct o.asset_id as id, '' as mark from work_order o join visit v on v.order_id = o.id
        where v.engineer_id = $1 and v.plan <> 'scheduled' and o.asset_id is not null
    """,
    "stock": "select id, quantity::text as mark from stock_level where holder_id = $1",
    "part": "select id, '' as mark from part where $1::uuid is not null",
}


def mark(item: dict) -> str:
    """The part of a phone's document that the oracle compares."""
    doc = item["doc"]
    match item["entity"]:
        case "visit" | "work_order":
            return f"{doc['state']}:{doc['revision']}"
        case "event":
            return str(doc["kind"])
        case "stock":
            return str(doc["quantity"])
    return ""


async def copy_is_true(world: World, phone: Phone) -> None:
    """A phone's copy holds what its engineer may see, in its newest state, and nothing else."""
    for entity, sql in HELD.items():
        truth = {str(row["id"]): row["mark"] for row in await world.fetch(sql, phone.engineer_id)}
        copy = {id_: mark(item) for id_, item in phone.copy.items() if item["entity"] == entity}
        lost = truth.keys() - copy.keys()
        extra = copy.keys() - truth.keys()
        stale = {id_ for id_ in truth.keys() & copy.keys() if truth[id_] != copy[id_]}
        assert not lost, f"{len(lost)} {entity} rows lost"
        assert not extra, f"{len(extra)} {entity} rows should have left"
        assert not stale, f"{len(stale)} {entity} rows are stale"


async def every_command_once(world: World, commands: Iterable[UUID]) -> None:
    """Nothing a phone did is lost or doubled: each command is one event, or one quarantined entry."""
    made = list(commands)
    events = Counter(
        row["id"] for row in await world.fetch("select id from visit_event where id = any($1)", made)
    )
    kept = Counter(
        row["command_id"]
        for row in await world.fetch(
            "select command_id from quarantine where category = 'quarantined' and command_id = any($1)", made
        )
    )
    counts = {id_: events[id_] + kept[id_] for id_ in made}
    assert not [id_ for id_, n in counts.items() if n == 0], "commands lost"
    assert not [id_ for id_, n in counts.items() if n > 1], "commands doubled"
    total = await world.value("select count(*) from visit_event where source = 'phone'")
    assert total == sum(events.values()), "events that no phone sent"


async def states_follow_from_events(world: World) -> None:
    """Visits fold from their events, orders from their visits, whatever the order of arrival was."""
    visits = await world.fetch("select * from visit")
    for visit in visits:
        progress = Progress(base=visit["plan"])
        # What counts is what was recorded after the visit was last given to its engineer. Both are written under the
        # visit's lock, and the journal's ids are made there: their order is the order of the lock. (Not the times of
        # receipt: a batch may have come in before a reassignment and have waited for it.)
        for event in await world.fetch(
            """
            select e.id, e.kind, e.corrected_at from visit_event e
            join journal j on j.entity = 'event' and j.entity_id = e.id
            where e.visit_id = $1 and not e.flags && array['after_reassigned', 'after_canceled']
              and j.id > (select id from journal
                          where visit_id = $1 and kind in ('visit.dispatched', 'visit.scheduled', 'visit.reassigned')
                          order by id desc limit 1)
            """,
            visit["id"],
        ):
            progress = merge(
                progress, VisitEvent(EventKind(event["kind"]), event["corrected_at"], str(event["id"]))
            )
        assert visit["state"] == state_of(progress).value
    for order in await world.fetch("select * from work_order"):
        mine = [v for v in visits if v["order_id"] == order["id"]]
        state = derive(
            (VisitFact(f"{v['number']:06d}", v["state"], v["ended_at"]) for v in mine),
            canceled=order["canceled_at"] is not None,
            closed=order["closed_at"] is not None,
        )
        assert order["state"] == state.value


async def stock_adds_up(world: World, loaded: int) -> None:
    """A part leaves the van once for each part event, and for nothing else."""
    rows = await world.fetch(
        """
        select l.quantity, $1::int - coalesce((
            select sum((e.data->>'quantity')::int) from visit_event e
            where e.kind = 'part_replaced' and e.engineer_id = l.holder_id), 0) as expected
        from stock_level l
        """,
        loaded,
    )
    assert rows
    assert [row["quantity"] for row in rows] == [row["expected"] for row in rows]
