"""Whom a repair's course is told to: the approver, the dispatcher, whoever buys parts, the customer; each their own part."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from telling import Telling

from callout_backend.wiring import add_hooks
from callout_dispatch import depots
from callout_orders import orders
from callout_orders.flow import approvals
from callout_orders.flow.parts import requisitions
from callout_orders.kinds.values import set_fields
from callout_people.users import Role
from callout_store.ids import new_id
from callout_store.work import Actor, Database


@pytest.fixture
async def told(db: Database) -> AsyncIterator[Telling]:
    add_hooks(db)
    telling = await Telling(db).build()
    yield telling
    await telling.notifier.close()


async def do(told: Telling, act: Any) -> Any:
    return await told.world.db.run(told.world.org, act, actor=told.world.dispatcher)


async def holder(told: Telling, post: str, name: str) -> UUID:
    user = await told.person(Role.SUPERVISOR if post == "regional_director" else Role.DISPATCHER, name)
    async with told.db.work(told.world.org) as work:
        await work.execute(
            "insert into staff_post (id, user_id, post) values ($1, $2, $3)", new_id(), user, post
        )
    return user


async def heard(told: Telling, kind: str) -> dict[str, str]:
    """Who was told of a kind, by name, and as what."""
    await told.drain()
    return {row["name"]: row["role"] for row in await told.notices("kind = $1", kind)}


async def test_everybody_hears_of_their_part_of_a_repair(told: Telling) -> None:
    """An approval that lies with the engineer who cannot give it, or an offered visit that no dispatcher hears of, costs the
    customer a day."""
    world = told.world
    rita = await holder(told, "regional_director", "Rita")
    await holder(told, "purchasing", "Pia")
    phone = world.phones[0]
    order = await world.order()
    visit = await world.visit(phone, order)
    missing = {"reason": "part_missing", "parts": [{"code": "SEAL-1", "quantity": 1}]}
    await phone.push(phone.command("visit.could_not_complete", visit, missing))
    await do(told, lambda work: set_fields(work, order, {"fault_cause": "wear", "repair_cost": 800}))

    asked = await heard(told, "approval_asked")
    assert asked["Rita"] == "next"
    assert "Engineer 0" not in asked
    [todo] = await world.fetch("select user_id from todo where kind = 'flow.approval'")
    assert todo["user_id"] == rita

    approval = await world.value("select id from step_approval where state = 'asked'")
    director = Actor(user_id=rita, role="supervisor")
    await world.db.run(world.org, lambda work: approvals.approve(work, approval), actor=director)
    await told.drain()
    entered = await told.notices("kind = 'step_entered' and name = 'Pia'")
    assert [row["role"] for row in entered] == ["next"]

    [wanted] = await world.fetch("select id from requisition")
    await do(told, lambda work: requisitions.order(work, wanted["id"], supplier="ACME", supplier_ref="1"))
    async with told.db.work(world.org, actor=world.dispatcher) as work:
        depot = await depots.save_depot(work, depots.NewDepot(code="D1", name="Depot", lat=37.7, lng=-122.4))
    # The warehouse's own system books it in: nobody of the desk did, and so everybody is told.
    await world.db.run(world.org, lambda work: requisitions.receive(work, wanted["id"], depot))
    ready = await heard(told, "parts_ready")
    assert ready["Ann"] == "customer"
    assert ready["Dora"] in ("next", "initiator", "handler")
    offered = await heard(told, "visit_offered")
    assert offered["Dora"] == "next"
    assert "Ann" not in offered
    assert "Engineer 0" not in offered


async def test_who_bought_for_an_order_that_is_over_is_told(told: Telling) -> None:
    """The supplier takes it back today, and not when the parcel stands in the yard."""
    world = told.world
    await holder(told, "purchasing", "Pia")
    order = await world.order()
    id_ = await do(told, lambda work: requisitions.request(work, order, [("SEAL-1", 1)]))
    await do(told, lambda work: requisitions.order(work, id_, supplier="ACME", supplier_ref="2"))
    await do(told, lambda work: orders.cancel_order(work, order, "gone"))
    await told.drain()
    rows = await told.notices("kind = 'todo' and name = 'Pia'")
    assert [(row["role"], "PR-000001" in row["title"]) for row in rows] == [("addressee", True)]


async def test_the_customer_is_asked_how_it_was(told: Telling) -> None:
    """A survey that only the office hears of has no answers."""
    world = told.world
    phone = world.phones[0]
    order = await world.order(kind="service")
    visit = await world.visit(phone, order)
    await phone.push(phone.command("visit.arrive", visit), phone.command("visit.complete", visit))
    await do(told, lambda work: orders.close_order(work, order))
    assert await heard(told, "survey_asked") == {"Ann": "customer"}
