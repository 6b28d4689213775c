"""Orders on their flows, end to end: steps, late phones, approvals, parts and the second visit, survey, archive."""

from typing import Any
from uuid import UUID

import pytest
from worlds import World

from callout_backend.jobs import flows
from callout_backend.wiring import add_hooks
from callout_dispatch import depots, second_visit
from callout_orders import orders
from callout_orders.desk import todos
from callout_orders.desk.staff import people
from callout_orders.flow import approvals, hand, reading, run
from callout_orders.flow.ending import survey, survey_answers
from callout_orders.flow.ending.reopening import reopen
from callout_orders.flow.parts import requisitions
from callout_orders.kinds import library, versions
from callout_orders.kinds.values import set_fields
from callout_orders.precheck.alike import links
from callout_people import users
from callout_people.principals import Role
from callout_people.users import NewUser
from callout_store import outbox, timers
from callout_store.errors import (
    BadField,
    FlowNotThere,
    NotYours,
    SurveyLinkExpired,
    SurveyLinkUsed,
    WrongState,
)
from callout_store.ids import new_id
from callout_store.work import Actor, Database


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build()


async def boss(world: World) -> Actor:
    async with world.db.work(world.org) as work:
        user = await users.create_user(
            work, NewUser(email=f"s-{new_id().hex}@example.org", name="Sue", role=Role.SUPERVISOR)
        )
    return Actor(user_id=user, role="supervisor")


async def steps(world: World, order: UUID) -> list[tuple[str, str]]:
    async with world.db.work(world.org) as work:
        [found] = await reading.steps_by_order_ids(work, [order])
    return [(one.step, one.state) for one in found]


async def at(world: World, order: UUID) -> str | None:
    found = await steps(world, order)
    return next((step for step, state in reversed(found) if state in ("open", "waiting")), None)


async def kinds(world: World, order: UUID) -> list[str]:
    rows = await world.fetch("select kind from journal where order_id = $1 order by id", order)
    return [row["kind"] for row in rows]


async def do(world: World, act: Any, actor: Actor | None = None) -> Any:
    return await world.db.run(world.org, act, actor=actor or world.dispatcher)


COST = {"fault_cause": "wear", "repair_cost": 120}


async def test_a_repair_with_parts_goes_all_the_way_to_the_archive(world: World) -> None:
    """The story of the article: without it, a part that is missing ends in a note that nobody reads."""
    phone = world.phones[0]
    order = await world.order(parts=(("SEAL-1", 2),))
    assert await steps(world, order) == [("triage", "open")]
    visit = await world.visit(phone, order)
    assert await steps(world, order) == [("triage", "done"), ("dispatch", "done"), ("on_site", "open")]
    await phone.push(
        phone.command("visit.arrive", visit),
        phone.command("visit.diagnose", visit, {"finding": "the seal is gone"}),
        phone.command("visit.could_not_complete", visit, {"reason": "part_missing", "text": "two seals"}),
    )
    assert await at(world, order) == "quote"
    [wanted] = await world.fetch("select * from requisition where order_id = $1", order)
    assert (wanted["number"], wanted["state"], wanted["note"]) == ("PR-000001", "requested", "two seals")
    await do(world, lambda work: set_fields(work, order, COST))
    assert await at(world, order) == "purchase"
    assert await world.value("select hold_reason from work_order where id = $1", order) == "parts"

    await do(world, lambda work: requisitions.approve(work, wanted["id"]))
    await do(world, lambda work: requisitions.order(work, wanted["id"], supplier="ACME", supplier_ref="77"))
    assert await at(world, order) == "stock_in"
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        depot = await depots.save_depot(work, depots.NewDepot(code="D1", name="Depot", lat=37.7, lng=-122.4))
    await do(world, lambda work: requisitions.receive(work, wanted["id"], depot, delivery="L-1"))
    await do(world, lambda work: requisitions.receive(work, wanted["id"], depot, delivery="L-1"))
    assert await world.value("select quantity from stock_level where holder_id = $1", depot) == 2
    assert await at(world, order) == "second_visit"
    assert await world.value("select hold_reason from work_order where id = $1", order) is None
    assert (await kinds(world, order)).count("parts.ready") == 1

    [offer] = await world.fetch("select * from visit_offer where order_id = $1", order)
    assert (offer["state"], offer["engineer_id"]) == ("offered", phone.engineer_id)
    await do(world, lambda work: second_visit.look(work, offer["id"]))
    [looked] = await world.fetch("select * from visit_offer where id = $1", offer["id"])
    assert looked["proposed_start"] is not None, looked["reasons"]
    second = await do(world, lambda work: second_visit.accept(work, offer["id"]))
    assert await do(world, lambda work: second_visit.accept(work, offer["id"])) == second
    assert await at(world, order) == "on_site"
    await phone.push(phone.command("visit.arrive", second), phone.command("visit.complete", second))
    assert await at(world, order) == "sign_off"
    await do(world, lambda work: orders.close_order(work, order))
    assert await at(world, order) == "survey"

    survey_id = await world.value("select id from survey where order_id = $1", order)
    token = await do(world, lambda work: survey.link(work, survey_id))
    given = survey_answers.Answer(score=5, comment="quick")
    await do(world, lambda work: survey_answers.answer(work, token, given), Actor(role="customer"))
    with pytest.raises(SurveyLinkUsed):
        await do(world, lambda work: survey_answers.answer(work, token, given), Actor(role="customer"))
    assert [state for _, state in await steps(world, order)] == ["done"] * 12
    assert await world.value("select archived_at from work_order where id = $1", order) is not None
    assert await world.value("select flow_waits from work_order where id = $1", order) == []


async def test_nothing_can_be_skipped_and_the_refusal_says_where_it_stands(world: World) -> None:
    """Closed orders without a cause are what the management's figures died of."""
    phone = world.phones[0]
    director = await boss(world)
    order = await world.order()
    visit = await world.visit(phone, order)
    await phone.push(phone.command("visit.arrive", visit), phone.command("visit.complete", visit))
    told = "select data ->> 'fields' from todo where user_id = $1 and kind = 'flow.missing' and state = $2"
    assert await world.value(told, director.user_id, "open") == '["fault_cause", "repair_cost"]'
    with pytest.raises(FlowNotThere) as refused:
        await do(world, lambda work: orders.close_order(work, order))
    assert refused.value.details["step"] == "Cause and cost"
    assert "fault_cause" in refused.value.details["missing"]
    assert "repair_cost" in refused.value.details["missing"]
    with pytest.raises(FlowNotThere):
        await do(world, lambda work: hand.complete_step(work, order, "sign_off"))
    await do(world, lambda work: set_fields(work, order, COST))
    assert await at(world, order) == "sign_off"
    assert await world.value(told, director.user_id, "done") is not None
    await do(world, lambda work: orders.close_order(work, order))
    assert await at(world, order) == "survey"


async def test_a_phone_that_was_away_all_day_moves_the_flow_at_once(world: World) -> None:
    """An engineer in a cellar sends the whole visit in the evening: refusing it would lose work that was done."""
    phone = world.phones[0]
    order = await world.order()
    visit = await world.visit(phone, order)
    done = [phone.command(f"visit.{kind}", visit) for kind in ("accept", "travel", "arrive", "complete")]
    answers = await phone.push(*reversed(done))
    assert {answer.status for answer in answers} == {"applied"}
    assert await at(world, order) == "quote"
    before = await steps(world, order)
    await phone.push(*done)
    assert await steps(world, order) == before


async def test_an_approval_is_asked_once_and_again_when_the_value_changes(world: World) -> None:
    """Who agreed to 600 did not agree to 6,000."""
    director = await boss(world)
    phone = world.phones[0]
    order = await world.order()
    visit = await world.visit(phone, order)
    await phone.push(phone.command("visit.complete", visit))
    await do(world, lambda work: set_fields(work, order, {**COST, "repair_cost": 600}))
    assert await at(world, order) == "quote"
    [asked] = await world.fetch("select * from step_approval where order_id = $1", order)
    assert (
        await world.value("select count(*) from todo where order_id = $1 and kind = 'flow.approval'", order)
        == 1
    )
    with pytest.raises(NotYours):
        await do(world, lambda work: approvals.approve(work, asked["id"]))
    with pytest.raises(BadField):
        await do(world, lambda work: approvals.reject(work, asked["id"], " "), director)
    assert (
        await do(world, lambda work: approvals.reject(work, asked["id"], "too much"), director) == "rejected"
    )
    assert await at(world, order) == "quote"
    with pytest.raises(WrongState):
        await do(world, lambda work: approvals.approve(work, asked["id"]), director)
    await do(world, lambda work: set_fields(work, order, {"repair_cost": 550}))
    again = await world.value("select id from step_approval where order_id = $1 and state = 'asked'", order)
    await do(world, lambda work: approvals.approve(work, again, "go on"), director)
    assert await do(world, lambda work: approvals.approve(work, again), director) == "approved"
    assert await at(world, order) == "sign_off"
    # Raised after it was agreed to: the order cannot be closed until somebody agrees to that, too.
    await do(world, lambda work: set_fields(work, order, {"repair_cost": 5000}))
    with pytest.raises(FlowNotThere) as refused:
        await do(world, lambda work: orders.close_order(work, order))
    assert "Repair cost above 500" in refused.value.details["missing"]
    third = await world.value("select id from step_approval where order_id = $1 and state = 'asked'", order)
    await do(world, lambda work: approvals.approve(work, third), director)
    await do(world, lambda work: orders.close_order(work, order))
    assert (
        await world.value(
            "select count(*) from todo where order_id = $1 and kind = 'flow.approval' and state = 'open'",
            order,
        )
        == 0
    )


async def test_an_order_that_nobody_worked_on_says_what_lies_before_its_end(world: World) -> None:
    """That it must be completed says nothing to a clerk: where is it, and what comes before its end?"""
    order = await world.order()
    with pytest.raises(WrongState) as refused:
        await do(world, lambda work: orders.close_order(work, order), Actor(role="dispatcher", locale="zh"))
    told = refused.value.details
    assert (told["state"], told["needed"], told["at"]) == ("new", "completed", "triage")
    assert told["steps"] == "dispatch, on_site, quote, sign_off"
    assert refused.value.extensions()["code"] == "WRONG_STATE"
    repair = library.built_in()["repair"]
    for code in ("triage", "dispatch", "on_site", "quote", "sign_off"):
        step = repair.step(code)
        assert step is not None
        assert step.label.zh in refused.value.message("zh")
    # Called off, it has no flow that could come further.
    await do(world, lambda work: orders.cancel_order(work, order, "by mistake"))
    with pytest.raises(WrongState) as over:
        await do(world, lambda work: orders.close_order(work, order))
    assert "at" not in over.value.details


async def test_a_step_of_the_handler_and_an_approval_of_others_reach_both(world: World) -> None:
    """Where the orders name one of those who are asked, the others must be looked for all the same."""
    director = await boss(world)
    order = await world.order()
    handler = "update work_order set handler_id = $2 where id = $1"
    await do(world, lambda work: work.execute(handler, order, world.dispatcher.user_id))
    pairs = [("handler", order), ("role:supervisor", order)]
    found = await do(world, lambda work: people.holders_of(work, pairs))
    assert found == [[world.dispatcher.user_id], [director.user_id]]


async def test_a_customer_who_is_not_content_opens_the_order_again(world: World) -> None:
    """Two stars and silence afterwards: the customer calls the competitor next time."""
    phone = world.phones[0]
    order = await world.order()
    visit = await world.visit(phone, order)
    await phone.push(phone.command("visit.complete", visit))
    await do(world, lambda work: set_fields(work, order, COST))
    await do(world, lambda work: orders.close_order(work, order))
    survey_id = await world.value("select id from survey where order_id = $1", order)
    token = await do(world, lambda work: survey.link(work, survey_id))
    bad = survey_answers.Answer(score=2, comment="it drips again")
    answered = await do(world, lambda work: survey_answers.answer(work, token, bad), Actor(role="customer"))
    assert answered.reopened
    assert await world.value("select state from work_order where id = $1", order) == "cannot_complete"
    assert await at(world, order) == "on_site"
    second = await world.visit(phone, order)
    assert await at(world, order) == "on_site"
    await phone.push(phone.command("visit.complete", second))
    assert await world.value("select state from work_order where id = $1", order) == "completed"
    # What was filled in stays: the way on is open at once.
    assert await at(world, order) == "sign_off"
    await do(world, lambda work: orders.close_order(work, order))
    assert await world.value("select count(*) from survey where order_id = $1", order) == 2


async def test_the_office_opens_a_closed_order_again(world: World) -> None:
    """A call after the closing must not need a second order that knows nothing of the first."""
    phone = world.phones[0]
    order = await world.order()
    visit = await world.visit(phone, order)
    with pytest.raises(WrongState):
        await do(world, lambda work: reopen(work, order, "why not"))
    await phone.push(phone.command("visit.complete", visit))
    await do(world, lambda work: reopen(work, order, "not mended", to="on_site"))
    assert await at(world, order) == "on_site"
    # What a phone says again of the old visit brings nothing back.
    await phone.push(phone.command("visit.leave", visit))
    assert await world.value("select state from work_order where id = $1", order) == "cannot_complete"


async def test_an_order_that_is_called_off_leaves_its_flow(world: World) -> None:
    """To-dos of orders that nobody wants any more bury those that matter."""
    order = await world.order()
    await do(world, lambda work: orders.cancel_order(work, order, "not needed"))
    assert await steps(world, order) == [("triage", "canceled")]
    armed = await world.value(
        "select count(*) from timer where payload ->> 'orderId' = $1 and channel = 'flow.step' and state = 'armed'",
        str(order),
    )
    assert armed == 0


CLOSING = """
code = "closing"
label = { en = "Closing", zh = "关闭" }
[[fields]]
code = "cause"
label = { en = "Cause", zh = "原因" }
type = "text"
[[steps]]
code = "only"
label = { en = "Only", zh = "唯一" }
owner = "role:dispatcher"
fields = ["cause"]
on_done = [{ do = "close" }]
"""
ODD = """
code = "odd"
label = { en = "Odd", zh = "异常" }
[[steps]]
code = "visit"
label = { en = "Visit", zh = "上门" }
owner = "engineer"
events = ["visit_ended"]
next = [{ to = "big", when = "order.number == '' || int(order.number) > 1" }, { to = "small" }]
[[steps]]
code = "big"
label = { en = "Big", zh = "大" }
owner = "role:dispatcher"
by_hand = true
[[steps]]
code = "small"
label = { en = "Small", zh = "小" }
owner = "role:dispatcher"
by_hand = true
"""


async def test_a_broken_rule_stops_its_order_and_no_other(world: World) -> None:
    """One rule that cannot be evaluated must refuse no engineer's work, and must not stand still unseen."""
    director = await boss(world)
    kept = await do(world, lambda work: versions.save(work, ODD))
    await do(world, lambda work: versions.activate(work, "odd", kept.version))
    phone = world.phones[0]
    odd, sound = await world.order(kind="odd"), await world.order(kind="service")
    visit = await world.visit(phone, odd)
    other = await world.visit(phone, sound)
    answers = await phone.push(phone.command("visit.complete", visit), phone.command("visit.complete", other))
    assert {answer.status for answer in answers} == {"applied"}
    assert await at(world, sound) == "sign_off"
    assert await at(world, odd) == "visit"
    blocked = await world.value("select blocked ->> 'place' from order_step where order_id = $1", odd)
    assert blocked == "next"
    assert (await kinds(world, odd)).count("flow.blocked") == 1
    with pytest.raises(FlowNotThere) as refused:
        await do(world, lambda work: orders.close_order(work, odd))
    assert "rule" in refused.value.details["missing"]
    asked = "select count(*) from todo where order_id = $1 and kind = 'flow.blocked' and state = 'open'"
    assert await world.value(asked, odd) == 1
    await phone.push(phone.command("visit.leave", visit), phone.command("visit.note", visit, {"text": "x"}))
    assert (await kinds(world, odd)).count("flow.blocked") == 1, "told once"
    with pytest.raises(NotYours):
        await do(world, lambda work: hand.settle_blocked(work, odd, "small", "by number"))
    with pytest.raises(BadField):
        await do(world, lambda work: hand.settle_blocked(work, odd, "visit", "again"), director)
    await do(world, lambda work: hand.settle_blocked(work, odd, "small", "by number"), director)
    assert await at(world, odd) == "small"
    assert await world.value(asked, odd) == 0


STRANGE = """
code = "strange"
label = { en = "Strange", zh = "异常" }
[[fields]]
code = "size"
label = { en = "Size", zh = "尺寸" }
type = "text"
[[steps]]
code = "visit"
label = { en = "Visit", zh = "上门" }
owner = "role:dispatcher"
events = ["visit_ended"]
fields = ["size"]
next = [{ to = "end" }]
[[steps.approvals]]
code = "large"
label = { en = "Large", zh = "大件" }
when = "fields.size == 'x' || int(fields.size) > 100"
by = "role:supervisor"
[[steps]]
code = "end"
label = { en = "End", zh = "结束" }
owner = "role:dispatcher"
by_hand = true
on_done = [{ do = "close" }]
"""


async def test_whoever_goes_on_or_closes_past_a_broken_rule_is_told_of_it(world: World) -> None:
    """A clerk who presses "done" or "close" would read of a fault of the house, and call the house."""
    director = await boss(world)
    kept = await do(world, lambda work: versions.save(work, STRANGE))
    await do(world, lambda work: versions.activate(work, "strange", kept.version))
    phone = world.phones[0]
    order = await world.order(kind="strange")
    await do(world, lambda work: set_fields(work, order, {"size": "large"}))
    visit = await world.visit(phone, order)
    await phone.push(phone.command("visit.complete", visit))
    for act in (hand.complete_step, orders.close_order):
        with pytest.raises(FlowNotThere) as refused:
            await do(world, lambda work, act=act: act(work, order))  # type: ignore[misc]
        assert "rule" in refused.value.details["missing"]
    async with world.db.work(world.org) as work:
        [standing] = await reading.standing_by_order_ids(work, [order])
    assert standing is not None
    assert "规则" in standing.missing_zh[0]
    await do(world, lambda work: hand.settle_blocked(work, order, "false", "small enough"), director)
    assert await at(world, order) == "end"
    await do(world, lambda work: orders.close_order(work, order))


async def test_the_supervisors_to_do_about_the_clock_ends_when_the_flow_closes_the_order(
    world: World,
) -> None:
    """A supervisor would be asked for ever to hurry an order that is over: what a hook puts off must be done as well."""
    director = await boss(world)
    kept = await do(world, lambda work: versions.save(work, CLOSING))
    await do(world, lambda work: versions.activate(work, "closing", kept.version))
    order = await world.order(kind="closing")
    warned = todos.NewTodo(
        user_id=director.user_id, kind="sla_warning", matter=f"sla:{order}", order_id=order
    )
    await do(world, lambda work: todos.ask(work, [warned]))
    await do(world, lambda work: set_fields(work, order, {"cause": "found"}))
    assert await world.value("select state from work_order where id = $1", order) == "closed"
    owed = "select count(*) from outbox where channel = 'sla.settle' and payload ->> 'orderId' = $1"
    assert await world.value(owed, str(order)) >= 1


async def test_what_was_not_bought_yet_is_not_bought_for_an_order_that_was_called_off(world: World) -> None:
    """Parts for a job that nobody does fill the shelves."""
    order = await world.order()
    id_ = await do(world, lambda work: requisitions.request(work, order, [("SEAL-1", 1)]))
    await do(world, lambda work: orders.cancel_order(work, order, "gone"))
    assert await world.value("select state from requisition where id = $1", id_) == "canceled"
    with pytest.raises(WrongState):
        await do(world, lambda work: requisitions.request(work, order, [("SEAL-1", 1)]))


async def test_a_duplicate_has_no_flow_until_it_is_one_of_its_own(world: World) -> None:
    """Two triages of one leak: two people ring up the same customer."""
    first = await world.order()
    twin = await world.order(duplicate_of_id=first)
    assert await steps(world, twin) == []
    await do(world, lambda work: links.unlink(work, twin, "another pump"))
    assert await steps(world, twin) == [("triage", "open")]
    await do(world, lambda work: run.start(work, [(twin, "repair", 0)]))
    assert await steps(world, twin) == [("triage", "open")]
    third = await world.order()
    await do(world, lambda work: links.merge(work, first, third, "the same after all"))
    assert await steps(world, third) == [("triage", "canceled")]


async def test_a_step_that_is_late_is_told_once(world: World) -> None:
    """A quarter of an hour without anybody looking is what the supervisor wants to hear of, once."""
    director = await boss(world)
    order = await world.order()
    await time_passes(world, order, "flow.step")
    await work_off(world)
    await time_passes(world, order, "flow.step")
    await work_off(world)
    assert (await kinds(world, order)).count("flow.step_late") == 1
    found = await world.value(
        "select count(*) from todo where order_id = $1 and user_id = $2 and kind = 'flow.late'",
        order,
        director.user_id,
    )
    assert found == 1
    # Whoever does it after all takes the matter from everybody's list.
    await world.visit(world.phones[0], order)
    found = await world.value(
        "select count(*) from todo where order_id = $1 and kind = 'flow.late' and state = 'open'", order
    )
    assert found == 0


async def test_a_survey_is_reminded_once_and_then_archived(world: World) -> None:
    """A customer who never answers must neither be asked every week nor keep the order open for ever."""
    phone = world.phones[0]
    order = await world.order(kind="service")
    visit = await world.visit(phone, order)
    await phone.push(phone.command("visit.complete", visit))
    await do(world, lambda work: orders.close_order(work, order))
    assert await at(world, order) == "survey"
    await time_passes(world, order, "flow.survey", "remind")
    await work_off(world)
    assert (await kinds(world, order)).count("work_order.survey_reminded") == 1
    assert await at(world, order) == "survey"
    await time_passes(world, order, "flow.survey", "expire")
    await work_off(world)
    assert await world.value("select archived_at from work_order where id = $1", order) is not None
    survey_id = await world.value("select id from survey where order_id = $1", order)
    with pytest.raises(SurveyLinkExpired):
        await do(world, lambda work: survey.link(work, survey_id))


async def time_passes(world: World, order: UUID, channel: str, what: str = "") -> None:
    """The order's timers of this channel are due."""
    await world.fetch(
        """
        update timer set due_at = now() - interval '1 second'
        where org_id = callout_org() and channel = $1 and state = 'armed'
          and (payload ->> 'orderId' = $2 or payload ->> 'surveyId' in (
              select id::text from survey where order_id = $2::uuid)) and ($3 = '' or payload ->> 'what' = $3)
        """,
        channel,
        str(order),
        what,
    )


async def work_off(world: World) -> None:
    """What a worker does: fire what is due, and handle it."""
    handlers = {
        flows.STEP_CHANNEL: flows.step_late,
        flows.SURVEY_CHANNEL: flows.survey_time,
        flows.VISIT_CHANNEL: flows.look_for_slot,
    }
    await timers.fire_due(world.db)
    for item in await outbox.claim(world.db, channels=list(handlers)):
        await handlers[item.channel](world.db, item)
        await outbox.finish(world.db, item)
