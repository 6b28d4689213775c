"""Two who bring the last two missing things at the same moment: neither sees the other, and the flow goes on all the same."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from interleave import Held, until_waiting
from worlds import World

from callout_backend.embedded import Urls
from callout_backend.wiring import add_hooks
from callout_dispatch import second_visit
from callout_orders.flow import approvals, hand, reading
from callout_orders.flow.ending import survey, survey_answers
from callout_orders.flow.parts import missing_parts, requisitions
from callout_orders.kinds import versions
from callout_orders.kinds.values import set_fields
from callout_people import users
from callout_people.principals import Role
from callout_people.users import NewUser
from callout_store.errors import SurveyLinkUsed, WrongState
from callout_store.work import Actor, Database, Work

KIND = """
code = "fix"
label = { en = "Fix", zh = "修理" }
[[fields]]
code = "repair_cost"
label = { en = "Cost", zh = "费用" }
type = "money"
[[steps]]
code = "look"
label = { en = "Look", zh = "查看" }
owner = "role:dispatcher"
by_hand = true
next = [{ to = "picture" }]
[[steps]]
code = "picture"
label = { en = "Picture", zh = "照片" }
owner = "engineer"
events = ["photo_taken"]
next = [{ to = "repair" }]
[[steps]]
code = "repair"
label = { en = "Repair", zh = "修理" }
owner = "engineer"
fields = ["repair_cost"]
events = ["visit_completed"]
next = [{ to = "close" }]
[[steps.approvals]]
code = "much"
label = { en = "Above 500", zh = "超过 500" }
when = "fields.repair_cost > 500"
by = "role:supervisor"
[[steps]]
code = "close"
label = { en = "Close", zh = "关闭" }
owner = "role:dispatcher"
by_hand = true
on_done = [{ do = "close" }]
next = [{ to = "survey" }]
[[steps]]
code = "survey"
label = { en = "Survey", zh = "评价" }
owner = "customer"
events = ["survey_over"]
on_enter = [{ do = "ask_survey" }]
"""
PHOTO = {"sha256": "a" * 64, "mediaType": "image/jpeg", "sizeBytes": 1000}


class Stage:
    """A world with a second database whose transactions stop before their commit."""

    def __init__(self, world: World, held: Held, admin: str) -> None:
        self.world, self.held, self.admin = world, held, admin
        self.boss = Actor(role="supervisor")

    async def both(self, first: Any, second: Any) -> None:
        """`first` up to its commit on the held database, then `second`, which waits for it; both end."""
        held, ordinary = self.held.db, self.world.db
        self.held.reached.clear()
        self.held.go.clear()
        self.world.db = held
        one = asyncio.create_task(first())
        await asyncio.wait_for(self.held.reached.wait(), 10)
        self.world.db = ordinary
        two = asyncio.create_task(second())
        await until_waiting(self.admin)
        self.held.go.set()
        await asyncio.gather(one, two)

    async def order(self) -> tuple[UUID, UUID]:
        order = await self.world.order(kind="fix")
        return order, await self.world.visit(self.world.phones[0], order)

    async def do(self, act: Any, actor: Actor | None = None) -> Any:
        return await self.world.db.run(self.world.org, act, actor=actor or self.world.dispatcher)

    async def at(self, order: UUID) -> str | None:
        async with self.world.db.work(self.world.org) as work:
            [found] = await reading.standing_by_order_ids(work, [order])
        return found.step if found is not None else None


@pytest.fixture
async def stage(database_urls: Urls) -> AsyncIterator[Stage]:
    assert database_urls.database is not None
    assert database_urls.admin is not None
    ordinary = Database(database_urls.database)
    await ordinary.start()
    add_hooks(ordinary)
    async with Held(database_urls.database) as held:
        add_hooks(held.db)
        # Held after the last hook over the journal: what people do to a flow touches no row that phones know.
        held.db.hooks.remove(held._hold)

        async def hold(work: Work, _: object) -> None:
            await held._hold(work, work.touched)

        held.db.journal_hooks.append(hold)
        held.go.set()
        world = await World(ordinary).build()
        async with ordinary.work(world.org, actor=world.dispatcher) as work:
            kept = await versions.save(work, KIND)
            await versions.activate(work, "fix", kept.version)
            boss = await users.create_user(
                work, NewUser(email=f"s-{world.org.hex}@example.org", name="Sue", role=Role.SUPERVISOR)
            )
        found = Stage(world, held, database_urls.admin)
        found.boss = Actor(user_id=boss, role="supervisor")
        yield found
    await ordinary.stop()


@pytest.mark.parametrize("phone_first", (False, True))
async def test_a_photo_and_the_step_that_waits_for_it(stage: Stage, phone_first: bool) -> None:
    """The photo is there, the step waits for a photo, and nobody ever takes a second one: the order stands for ever."""
    order, visit = await stage.order()
    phone = stage.world.phones[0]

    async def push() -> None:
        [answer] = await phone.push(phone.command("visit.photo", visit, PHOTO))
        assert answer.status == "applied", answer

    async def done() -> None:
        await stage.do(lambda work: hand.complete_step(work, order, "look"))

    await stage.both(*((push, done) if phone_first else (done, push)))
    assert await stage.at(order) == "repair"


@pytest.mark.parametrize("phone_first", (False, True))
async def test_an_approval_and_the_end_of_the_visit(stage: Stage, phone_first: bool) -> None:
    """The director agrees in the very second in which the engineer finishes: the order must be ready to close."""
    order, visit = await stage.order()
    phone = stage.world.phones[0]
    await phone.push(phone.command("visit.photo", visit, PHOTO))
    await stage.do(lambda work: hand.complete_step(work, order, "look"))
    await stage.do(lambda work: set_fields(work, order, {"repair_cost": 900}))
    asked = await stage.world.value("select id from step_approval where order_id = $1", order)

    async def push() -> None:
        await phone.push(phone.command("visit.complete", visit))

    async def agree() -> None:
        await stage.do(lambda work: approvals.approve(work, asked), stage.boss)

    await stage.both(*((push, agree) if phone_first else (agree, push)))
    assert await stage.at(order) == "close"


async def test_two_who_press_done_pass_one_step(stage: Stage) -> None:
    """A double click must not pass a step that nobody looked at."""
    order, _ = await stage.order()

    async def done() -> None:
        await stage.do(lambda work: hand.complete_step(work, order, "look"))

    await stage.both(done, done)
    assert await stage.at(order) == "picture"
    rows = await stage.world.fetch(
        "select 1 from journal where order_id = $1 and kind = 'flow.step_done'", order
    )
    assert len(rows) == 1


async def test_two_engineers_who_miss_a_part_open_one_requisition(stage: Stage) -> None:
    """The same seal would be bought twice."""
    order, first = await stage.order()
    one, two = stage.world.phones
    missing = {"reason": "part_missing", "text": "a seal"}
    await one.push(one.command("visit.could_not_complete", first, missing))
    [row] = await stage.world.fetch("select id from requisition where order_id = $1", order)
    await stage.do(lambda work: requisitions.cancel(work, row["id"], "found one"))
    second = await stage.world.visit(two, order)

    async def push() -> None:
        await two.push(two.command("visit.could_not_complete", second, missing))

    async def ask() -> None:
        await stage.do(lambda work: missing_parts.part_missing(work, order, second, "a seal"))

    await stage.both(push, ask)
    rows = await stage.world.fetch("select state from requisition where order_id = $1 order by id", order)
    assert [row["state"] for row in rows] == ["canceled", "requested"]


async def test_two_who_take_one_offer_send_one_engineer(stage: Stage) -> None:
    """A double click would answer with a refusal, or with a second visit for the customer to wait for."""
    order = await stage.world.order(kind="fix")
    offer = await stage.do(lambda work: second_visit.offer(work, order))
    made: list[UUID] = []

    async def take() -> None:
        engineer = stage.world.phones[len(made)].engineer_id
        made.append(await stage.do(lambda work: second_visit.accept(work, offer, engineer_id=engineer)))

    await stage.both(take, take)
    assert made[0] == made[1]
    assert len(await stage.world.fetch("select 1 from visit where order_id = $1", order)) == 1


async def test_an_offer_is_taken_or_declined_and_not_both(stage: Stage) -> None:
    """An offer that reads "declined" while somebody is on the way: the next clerk sends a second engineer."""
    order = await stage.world.order(kind="fix")
    offer = await stage.do(lambda work: second_visit.offer(work, order))
    engineer = stage.world.phones[0].engineer_id

    async def take() -> None:
        await stage.do(lambda work: second_visit.accept(work, offer, engineer_id=engineer))

    async def decline() -> None:
        with pytest.raises(WrongState):
            await stage.do(lambda work: second_visit.decline(work, offer, "by telephone"))

    await stage.both(take, decline)
    await decline()
    assert await stage.world.value("select state from visit_offer where id = $1", offer) == "accepted"
    other = await stage.world.order(kind="fix")
    declined = await stage.do(lambda work: second_visit.offer(work, other))
    for _ in range(2):
        await stage.do(lambda work: second_visit.decline(work, declined, "by telephone"))
    with pytest.raises(WrongState):
        await stage.do(lambda work: second_visit.accept(work, declined, engineer_id=engineer))
    rows = await stage.world.fetch(
        "select kind from journal where order_id = any($1) and starts_with(kind, 'work_order.visit_offer_') order by id",
        [order, other],
    )
    assert [row["kind"].rpartition("_")[2] for row in rows] == ["accepted", "declined"]


async def test_two_answers_to_one_survey(stage: Stage) -> None:
    """One person presses twice: the second word would overwrite the first, and open the order twice."""
    order, visit = await stage.order()
    phone = stage.world.phones[0]
    await phone.push(phone.command("visit.photo", visit, PHOTO), phone.command("visit.complete", visit))
    await stage.do(lambda work: hand.complete_step(work, order, "look"))
    await stage.do(lambda work: set_fields(work, order, {"repair_cost": 9}))
    await stage.do(lambda work: hand.complete_step(work, order, "close"))
    id_ = await stage.world.value("select id from survey where order_id = $1", order)
    token = await stage.do(lambda work: survey.link(work, id_))
    refused: list[SurveyLinkUsed] = []

    async def press() -> None:
        try:
            answer = survey_answers.Answer(score=1)
            await stage.do(lambda work: survey_answers.answer(work, token, answer), Actor(role="customer"))
        except SurveyLinkUsed as fault:
            refused.append(fault)

    await stage.both(press, press)
    assert len(refused) == 1
    rows = await stage.world.fetch(
        "select 1 from journal where order_id = $1 and kind = 'work_order.reopened'", order
    )
    assert len(rows) == 1
