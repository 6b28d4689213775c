"""Parts that an engineer names on site, and what becomes of requisitions when nobody needs the parts any more."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from worlds import World

from callout_backend.wiring import add_hooks
from callout_contracts.limits import PARTS_WANTED_MAX
from callout_dispatch import depots
from callout_orders import customers, order_parts, orders
from callout_orders.customers import NewPart
from callout_orders.flow.parts import requisitions
from callout_orders.kinds import versions
from callout_orders.kinds.values import set_fields
from callout_orders.knowledge import closing
from callout_orders.precheck.alike import links
from callout_orders.sla import milestones, pausing
from callout_orders.sla.policy import policies
from callout_orders.sla.policy.terms import STANDARD, to_json
from callout_people import users
from callout_people.principals import Role
from callout_people.users import NewUser
from callout_store.clock import ManualClock
from callout_store.errors import LimitExceeded
from callout_store.ids import new_id
from callout_store.work import Actor, Database

JOURNALED = "select count(*) from journal where kind = $1 and order_id = $2"
LINES = """
select r.number, r.state, r.note, coalesce(jsonb_object_agg(p.code, l.quantity) filter (where p.code is not null), '{}')::text
    as parts
from requisition r
left join requisition_line l on l.org_id = r.org_id and l.requisition_id = r.id
left join part p on p.org_id = l.org_id and p.id = l.part_id
where r.org_id = callout_org() and r.order_id = $1 group by r.number, r.state, r.note order by r.number
"""


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    made = await World(db).build()
    async with db.work(made.org) as work:
        await customers.create_part(work, NewPart(code="VALVE-9", name="Valve"))
        await customers.create_part(work, NewPart(code="PUMP-3", name="Pump head"))
    return made


async def do(world: World, act: Any, actor: Actor | None = None) -> Any:
    return await world.db.run(world.org, act, actor=actor or world.dispatcher)


async def wanted(world: World, order: UUID) -> list[tuple[str, dict[str, int], str]]:
    """The order's requisitions: state, quantities by code, note."""
    return [(row["state"], json.loads(row["parts"]), row["note"]) for row in await world.fetch(LINES, order)]


async def needs(world: World, order: UUID) -> dict[str, int]:
    rows = await world.fetch(
        """
        select p.code, n.quantity from work_order_part n join part p on p.org_id = n.org_id and p.id = n.part_id
        where n.order_id = $1
        """,
        order,
    )
    return {row["code"]: row["quantity"] for row in rows}


async def test_just_the_parts_that_the_engineer_names_are_asked_for(world: World) -> None:
    """Bought would be what the office guessed when the order came in, and the second visit would fail as the first one."""
    phone = world.phones[0]
    order = await world.order(parts=(("SEAL-1", 2),))
    visit = await world.visit(phone, order)
    parts = [{"code": "VALVE-9", "quantity": 3}, {"partId": str(world.part)}]
    missing = {"reason": "part_missing", "text": "the valve is broken", "parts": parts}
    [answer] = await phone.push(phone.command("visit.could_not_complete", visit, missing))
    assert answer.status == "applied"
    assert await wanted(world, order) == [("requested", {"VALVE-9": 3, "SEAL-1": 1}, "the valve is broken")]
    assert await needs(world, order) == {"SEAL-1": 2, "VALVE-9": 3}
    assert await world.value(JOURNALED, "work_order.parts_set", order) == 1
    kept = await world.value("select data -> 'parts' from journal where kind = 'visit.could_not_complete'")
    assert json.loads(kept) == [
        {"code": "VALVE-9", "quantity": 3},
        {"partId": str(world.part), "quantity": 1},
    ]


async def test_the_colleague_who_comes_next_has_them_on_the_phone(world: World) -> None:
    """In a cellar without a network the van's shelf must be known: which parts, and what they are called."""
    one, two = world.phones
    order = await world.order()
    first = await world.visit(one, order)
    named = {"reason": "other", "parts": [{"code": "VALVE-9", "quantity": 2}]}
    await one.push(one.command("visit.could_not_complete", first, named))
    await world.visit(two, order)
    await two.pull()
    doc = two.copy[str(order)]["doc"]
    valve = await world.value("select id from part where code = 'VALVE-9'")
    assert doc["parts"] == [{"partId": str(valve), "quantity": 2}]
    assert two.copy[str(valve)]["doc"]["code"] == "VALVE-9"


async def test_a_diagnosis_asks_at_once_and_the_end_of_the_visit_not_again(world: World) -> None:
    """Twice the same valve in the cart; and a part that the engineer found out about last must still be bought."""
    phone = world.phones[0]
    order = await world.order()
    visit = await world.visit(phone, order)
    found = {"finding": "valve and seal", "parts": [{"code": "VALVE-9", "quantity": 1}]}
    await phone.push(phone.command("visit.diagnose", visit, found))
    assert await wanted(world, order) == [("requested", {"VALVE-9": 1}, "valve and seal")]
    left = [{"code": "VALVE-9"}, {"code": "SEAL-1", "quantity": 2}]
    ended = {"reason": "part_missing", "text": "", "parts": left}
    await phone.push(phone.command("visit.could_not_complete", visit, ended))
    assert [(state, parts) for state, parts, _ in await wanted(world, order)] == [
        ("requested", {"VALVE-9": 1}),
        ("requested", {"SEAL-1": 2}),
    ]
    assert await world.value("select state from work_order where id = $1", order) == "cannot_complete"


async def test_a_part_that_nobody_knows_refuses_no_work(world: World) -> None:
    """A number read off a rusty plate is often wrong: the visit's end counts, and the office sees what was read."""
    phone = world.phones[0]
    order = await world.order()
    visit = await world.visit(phone, order)
    parts = [{"code": "PLATE 77-B", "quantity": 4}, {"partId": str(new_id())}, {"code": "PUMP-3"}]
    missing = {"reason": "part_missing", "text": "see photo", "parts": parts}
    [answer] = await phone.push(phone.command("visit.could_not_complete", visit, missing))
    assert answer.status == "applied"
    [(state, lines, note)] = await wanted(world, order)
    assert (state, lines) == ("requested", {"PUMP-3": 1})
    assert "PLATE 77-B × 4" in note
    assert note.endswith("see photo")


async def test_a_requisition_without_lines_gets_them_from_a_late_diagnosis(world: World) -> None:
    """Two requisitions for one seal: the one without lines would wait for ever, and the order with it."""
    phone = world.phones[0]
    order = await world.order()
    visit = await world.visit(phone, order)
    early = phone.command(
        "visit.diagnose", visit, {"finding": "seal", "parts": [{"code": "SEAL-1", "quantity": 5}]}
    )
    await phone.push(phone.command("visit.could_not_complete", visit, {"reason": "part_missing"}))
    assert [(state, parts) for state, parts, _ in await wanted(world, order)] == [("requested", {})]
    await phone.push(early)
    assert [(state, parts) for state, parts, _ in await wanted(world, order)] == [
        ("requested", {"SEAL-1": 5})
    ]
    assert await world.value(JOURNALED, "parts.named", order) == 1


@pytest.mark.parametrize(
    ("parts", "path"),
    (
        ([{"quantity": 1}], "payload.parts.0"),  # neither
        ([{"code": "SEAL-1", "partId": str(UUID(int=7))}], "payload.parts.0"),  # both
        ([{"code": "SEAL-1", "quantity": 0}], "payload.parts.0.quantity"),
        ([{"code": "SEAL-1", "quantity": 1001}], "payload.parts.0.quantity"),
        ([{"code": "", "quantity": 1}], "payload.parts.0.code"),
        ([{"code": "SEAL-1"}] * (PARTS_WANTED_MAX + 1), "payload.parts"),
        ([{"code": "SEAL-1", "price": 3}], "payload.parts.0"),  # no such field
        ("SEAL-1", "payload.parts"),
    ),
)
async def test_what_is_no_list_of_parts_is_kept_with_its_place(world: World, parts: Any, path: str) -> None:
    """A fault of an app must be told where it is, and lose nothing."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    bad = phone.command("visit.diagnose", visit, {"finding": "x", "parts": parts})
    [answer] = await phone.push(bad)
    assert (answer.status, answer.code, answer.path) == ("quarantined", "PAYLOAD_INVALID", path)


@pytest.mark.parametrize("given", ({}, {"parts": None}, {"parts": []}))
async def test_apps_that_name_no_parts_are_as_before(world: World, given: dict[str, Any]) -> None:
    """Phones with an older app are in the field for months: their events read as they always did, and order nothing."""
    phone = world.phones[0]
    order = await world.order(parts=(("SEAL-1", 2),))
    visit = await world.visit(phone, order)
    await phone.push(phone.command("visit.diagnose", visit, {"finding": "worn", **given}))
    assert await wanted(world, order) == []
    data = json.loads(await world.value("select data from visit_event where kind = 'diagnosed'"))
    assert data == {"finding": "worn", "faultCode": None, **given}
    line = json.loads(await world.value("select data from journal where kind = 'visit.diagnosed'"))
    assert set(line) == {"geofence", "flags", "source"}


async def test_a_queue_of_an_app_that_names_parts_is_taken_for_ever(world: World) -> None:
    """What phones of today have to send is kept as test data, as the queues of older apps are."""
    text = (Path(__file__).parents[1] / "data" / "queue_v2_parts.json").read_text("utf-8")
    phone = world.phones[0]
    order = await world.order()
    visit = await world.visit(phone, order)
    text = text.replace("11111111-1111-4111-8111-111111111111", str(visit))
    text = text.replace("22222222-2222-4222-8222-222222222222", str(world.part))
    commands = [{**command, "id": str(new_id())} for command in json.loads(text)]
    answers = await phone.push(*commands)
    assert [(one.status, one.code) for one in answers] == [("applied", None)] * len(commands)
    assert [parts for _, parts, _ in await wanted(world, order)] == [{"VALVE-9": 1}, {"SEAL-1": 2}]


# ------------------------------------------------------------------------------------------- needed no more


async def buyer(world: World) -> UUID:
    async with world.db.work(world.org) as work:
        user = await users.create_user(
            work, NewUser(email=f"p-{new_id().hex}@example.org", name="Pia", role=Role.DISPATCHER)
        )
        await work.execute(
            "insert into staff_post (id, user_id, post) values ($1, $2, 'purchasing')", new_id(), user
        )
        return user


async def bought(world: World, order: UUID) -> UUID:
    id_: UUID = await do(world, lambda work: requisitions.request(work, order, [("SEAL-1", 1)]))
    await do(world, lambda work: requisitions.order(work, id_, supplier="ACME", supplier_ref=new_id().hex))
    return id_


@pytest.mark.parametrize("end", ("canceled", "merged"))
async def test_what_was_ordered_for_nothing_is_somebodys_to_decide(world: World, end: str) -> None:
    """The parts arrive three weeks later, and nobody knows for what; what was not ordered is not ordered any more."""
    pia = await buyer(world)
    order = await world.order()
    ordered = await bought(world, order)
    asked = await do(world, lambda work: requisitions.request(work, order, [("VALVE-9", 1)]))
    if end == "canceled":
        await do(world, lambda work: orders.cancel_order(work, order, "gone"))
    else:
        into = await world.order()
        await do(world, lambda work: links.merge(work, into, order, "the same"))
    states = "select state from requisition where id = $1"
    assert await world.value(states, asked) == "canceled"
    assert await world.value(states, ordered) == "ordered"
    why = "select data ->> 'reason' from journal where kind = $1 and order_id = $2"
    assert await world.value(why, "parts.canceled", order) == f"order_{end}"
    assert await world.value(why, "parts.not_needed", order) == f"order_{end}"
    [todo] = await world.fetch(
        "select user_id, state, data ->> 'requisition' as number from todo where kind = 'parts.not_needed'"
    )
    assert (todo["user_id"], todo["state"], todo["number"]) == (pia, "open", "PR-000001")
    # They come all the same, and are put on the shelf: the matter is settled.
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        depot = await depots.save_depot(work, depots.NewDepot(code="D1", name="Depot", lat=37.7, lng=-122.4))
    await do(world, lambda work: requisitions.receive(work, ordered, depot))
    assert await world.value("select state from todo where kind = 'parts.not_needed'") == "done"


ASKING = """
code = "asking"
label = { en = "Asking", zh = "请购" }
[[steps]]
code = "visit"
label = { en = "Visit", zh = "上门" }
owner = "engineer"
events = ["visit_ended"]
next = [{ to = "ask" }]
[[steps]]
code = "ask"
label = { en = "Ask", zh = "请购" }
owner = "role:dispatcher"
events = ["parts_requested"]
on_enter = [{ do = "request_parts" }]
next = [{ to = "rest" }]
[[steps]]
code = "rest"
label = { en = "Rest", zh = "其余" }
owner = "role:dispatcher"
by_hand = true
"""


async def test_what_a_step_brings_about_itself_moves_the_flow_in_the_same_push(world: World) -> None:
    """The step waits for the very requisition that its own action opened: the order would stand there for ever."""
    kept = await do(world, lambda work: versions.save(work, ASKING))
    await do(world, lambda work: versions.activate(work, "asking", kept.version))
    phone = world.phones[0]
    order = await world.order(kind="asking")
    await do(world, lambda work: order_parts.set_order_parts(work, order, [("SEAL-1", 2)]))
    visit = await world.visit(phone, order)
    [answer] = await phone.push(phone.command("visit.complete", visit))
    assert answer.status == "applied"
    assert await wanted(world, order) == [("requested", {"SEAL-1": 2}, "")]
    live = "select step from order_step where order_id = $1 and state = 'open'"
    assert await world.value(live, order) == "rest"


async def test_an_order_with_too_many_requisitions_refuses_no_work(world: World) -> None:
    """A flow that opens the one requisition too many would send the engineer's work of the day into quarantine."""
    phone = world.phones[0]
    order = await world.order()
    for _ in range(50):
        id_ = await do(world, lambda work: requisitions.request(work, order, [("SEAL-1", 1)]))
        await do(world, lambda work, id_=id_: requisitions.cancel(work, id_, "found one"))  # type: ignore[misc]
    await do(world, lambda work: order_parts.set_order_parts(work, order, [("SEAL-1", 1)]))
    async with world.db.work(world.org) as work:
        assert await requisitions.request_needed(work, [order]) == []
    visit = await world.visit(phone, order)
    missing = {"reason": "part_missing", "text": "seal", "parts": [{"code": "SEAL-1", "quantity": 1}]}
    [answer] = await phone.push(phone.command("visit.could_not_complete", visit, missing))
    assert answer.status == "applied", answer
    with pytest.raises(LimitExceeded):
        await do(world, lambda work: requisitions.request(work, order, [("SEAL-1", 1)]))


async def test_a_duplicate_that_ends_with_its_first_order_needs_no_parts(world: World) -> None:
    """Linked, both are one matter; when the first one is solved, the second one's cart is nobody's."""
    first = await world.order(priority="P2")
    twin = await world.order(duplicate_of_id=first)
    asked = await do(world, lambda work: requisitions.request(work, twin, [("SEAL-1", 1)]))
    own = await do(world, lambda work: requisitions.request(work, first, [("SEAL-1", 1)]))
    await do(world, lambda work: closing.close(work, [first], via="desk", data={first: {}}))
    states = await world.fetch("select state from work_order where id = any($1)", [first, twin])
    assert [row["state"] for row in states] == ["closed", "closed"]
    rows = await world.fetch("select state from requisition where id = any($1)", [asked, own])
    assert [row["state"] for row in rows] == ["canceled", "canceled"]


# ------------------------------------------------------------------------------------------- deadlines of steps

STEP = "select due_at from order_step where order_id = $1 and state = 'open'"
TIMER = "select state from timer where key = (select 'flow:' || id from order_step where order_id = $1 and state = 'open')"


async def test_a_steps_deadline_stands_still_with_the_clock(world: World, monkeypatch: Any) -> None:
    """Who waits for the customer since Friday is not late on Monday; but a hold that stops no clock stops no step."""
    clock = ManualClock(datetime.now(UTC))
    monkeypatch.setattr(world.db, "clock", clock)
    order = await world.order()
    due = await world.value(STEP, order)
    await do(world, lambda work: pausing.pause(work, order, "other"))
    assert await world.value(STEP, order) == due
    await do(world, lambda work: pausing.pause(work, order, "customer"))
    assert await world.value(STEP, order) is None
    assert await world.value(TIMER, order) == "canceled"
    clock.advance(timedelta(hours=3))
    await do(world, lambda work: pausing.resume(work, order))
    assert await world.value(STEP, order) == due + timedelta(hours=3)
    assert await world.value(TIMER, order) == "armed"


async def test_a_steps_deadline_follows_the_policy_that_its_order_came_in_by(
    world: World, monkeypatch: Any
) -> None:
    """A holiday that is entered today must move no promise of yesterday, be it that of a step."""
    morning = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    monkeypatch.setattr(world.db, "clock", ManualClock(morning))
    before = await world.order()
    body = to_json(STANDARD)
    body["calendars"] = [{"code": "late", "timeZone": "UTC", "week": {"tue": ["20:00-22:00"]}}]
    for rule in body["rules"]:
        rule["calendar"] = "late"
    await do(world, lambda work: policies.save(work, body, activate=True))
    after = await world.order()
    for order, due in (
        (before, morning + timedelta(minutes=15)),
        (after, datetime(2026, 3, 3, 20, 15, tzinfo=UTC)),
    ):
        assert await world.value(STEP, order) == due
        await do(world, partial(milestones.responded, order_id=order))
        [step] = await world.fetch(
            "select step, due_at from order_step where order_id = $1 and state = 'open'", order
        )
        assert step["step"] == "dispatch"
        assert step["due_at"] == due + timedelta(minutes=45)


async def test_what_a_step_stops_the_clock_for_does_not_stop_the_step(world: World) -> None:
    """Ordering parts has four hours, however long the customer's clock stands still meanwhile; else nobody orders them."""
    phone = world.phones[0]
    order = await world.order(parts=(("SEAL-1", 2),))
    visit = await world.visit(phone, order)
    await phone.push(phone.command("visit.could_not_complete", visit, {"reason": "part_missing"}))
    await do(world, lambda work: set_fields(work, order, {"fault_cause": "wear", "repair_cost": 10}))
    [step] = await world.fetch(
        "select step, due_at from order_step where order_id = $1 and state = 'open'", order
    )
    assert step["step"] == "purchase"
    assert await world.value("select hold_reason from work_order where id = $1", order) == "parts"
    assert step["due_at"] > datetime.now(UTC)
    await do(world, lambda work: pausing.pause(work, order, "customer"))
    assert await world.value(STEP, order) is None
    await do(world, lambda work: pausing.resume(work, order, "customer"))
    assert await world.value(STEP, order) is not None


CLOSING = """
code = "closing"
label = { en = "Closing", zh = "关闭" }
[[steps]]
code = "talk"
label = { en = "Talk", zh = "沟通" }
owner = "role:dispatcher"
events = ["note_written"]
next = [{ to = "over" }]
[[steps]]
code = "over"
label = { en = "Over", zh = "结束" }
owner = "role:dispatcher"
by_hand = true
on_enter = [{ do = "close" }]
"""


@pytest.mark.parametrize("on", ("on_enter", "on_done"))
async def test_a_flow_closes_no_order_under_an_engineers_feet(world: World, on: str) -> None:
    """The engineer would work on a closed order; and an order that nobody closed stays open for ever."""
    phone = world.phones[0]
    text = (
        CLOSING if on == "on_enter" else CLOSING.replace("by_hand = true", "").replace("on_enter", "on_done")
    )
    text = (
        text if on == "on_enter" else text.replace('owner = "role:dispatcher"\n\non', 'owner = "system"\non')
    )
    kept = await do(world, lambda work: versions.save(work, text))
    await do(world, lambda work: versions.activate(work, "closing", kept.version))
    order = await world.order(kind="closing")
    visit = await world.visit(phone, order)
    await phone.push(phone.command("visit.arrive", visit), phone.command("visit.note", visit, {"text": "x"}))
    state = "select state from work_order where id = $1"
    assert await world.value(state, order) == "in_progress"
    [here] = await world.fetch("select step, state from order_step where order_id = $1 and n = 2", order)
    assert (here["step"], here["state"]) == ("over", "waiting" if on == "on_enter" else "open")
    await phone.push(phone.command("visit.complete", visit))
    assert await world.value(state, order) == "closed"
