"""From a question to its answers without anybody at the desk: offered, told, read, and decided by the customer."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from graph import application
from telling import SECRET, Telling

from callout_backend.notify import links
from callout_backend.settings import Settings
from callout_orders.flow import reading
from callout_orders.knowledge import articles, decisions, offers, standing
from callout_orders.knowledge.articles import ArticleText
from callout_orders.sla import milestones
from callout_store.work import Database


@pytest.fixture
async def app(settings: Settings, db: Database) -> AsyncIterator[Any]:
    async with application(settings, db) as both:
        yield both


@pytest.fixture
async def told(db: Database, app: Any) -> AsyncIterator[Telling]:
    telling = await Telling(db).build()
    yield telling
    await telling.notifier.close()


async def test_a_customer_is_told_of_answers_reads_them_and_closes_the_order(told: Telling, app: Any) -> None:
    """R2: were one of these links missing, the answer would lie in a table while the customer waits."""
    world, http = told.world, app[1]
    text = ArticleText(title="Reset the pump", body="Hold the button for ten seconds.", for_customers=True)
    async with world.db.work(world.org) as work:
        await articles.save_article(work, text)
    order_id = await world.order(priority="P2", kind="service", description="How do I reset the pump?")
    await world.db.run(world.org, lambda work: offers.offer_many(work, [order_id]))
    await told.drain()
    (notice,) = await told.notices("role = $1 and kind = 'answers_offered'", "customer")
    address = f"/n/{links.token(SECRET, world.org, notice['id'])}"
    page = await http.get(address)
    assert 'value="answers"' in page.text
    led = await http.post(address, data={"act": "answers"})
    assert led.status_code == 303
    shown = await http.get(led.headers["location"])
    assert "Hold the button for ten seconds." in shown.text
    done = await http.post(led.headers["location"], data={"decision": "solved"})
    assert done.status_code == 200
    assert await world.value("select state from work_order where id = $1", order_id) == "closed"
    async with world.db.work(world.org) as work:
        [steps] = await reading.steps_by_order_ids(work, [order_id])
    # The flow went with it: answered, closed, and now the customer is asked how it was.
    assert [(one.step, one.state) for one in steps] == [
        ("triage", "done"),
        ("self_service", "done"),
        ("survey", "open"),
    ]


async def test_the_customer_of_a_later_fault_is_told_the_standing_answer(told: Telling, app: Any) -> None:
    """T3: who reports E07 on the third day has power again in ten minutes, and not when an engineer comes."""
    world, http = told.world, app[1]
    text = ArticleText(
        title="E07", body="Update it.", workaround="Use pile 2.", fault_code="E07", for_customers=True
    )
    async with world.db.work(world.org) as work:
        id_ = await articles.save_article(work, text)
        await standing.switch(work, id_, True)
    order_id = await world.order(priority="P1", error_code="E07", description="dark")
    await world.db.run(world.org, lambda work: standing.offer(work, [order_id]))
    await told.drain()
    (notice,) = await told.notices("role = $1 and kind = 'answers_offered'", "customer")
    led = await http.post(f"/n/{links.token(SECRET, world.org, notice['id'])}", data={"act": "answers"})
    shown = await http.get(led.headers["location"])
    assert "Use pile 2." in shown.text


async def test_what_did_not_help_and_what_was_never_answered_goes_to_dispatch(
    told: Telling, app: Any
) -> None:
    """R2: the one who was not helped must not wait in the knowledge base."""
    world = told.world
    text = ArticleText(title="Reset the pump", body="Hold.", for_customers=True)
    async with world.db.work(world.org) as work:
        await articles.save_article(work, text)
    tried = await world.order(priority="P2", kind="service", description="How do I reset the pump?")
    alone = await world.order(priority="P2", kind="service", description="xyzzy")
    await world.db.run(world.org, lambda work: offers.offer_new(work, [tried, alone]))
    await world.db.run(world.org, lambda work: decisions.did_not_help(work, tried, via="link"))
    for order_id in (tried, alone):
        await world.db.run(world.org, lambda work, id_=order_id: milestones.responded(work, id_))
    async with world.db.work(world.org) as work:
        found = await reading.steps_by_order_ids(work, [tried, alone])
    for steps in found:
        assert [(one.step, one.state) for one in steps] == [
            ("triage", "done"),
            # What is a malfunction by now has nothing to do in the self-service any more.
            *([("self_service", "done")] if steps is found[1] else []),
            ("dispatch", "open"),
        ]


async def test_other_notices_lead_to_no_answers(told: Telling, app: Any) -> None:
    """A link to answers that were never offered would be a page of nothing."""
    await told.world.order()
    await told.drain()
    notice = (await told.notices("role = $1", "customer"))[0]
    address = f"/n/{links.token(SECRET, told.world.org, notice['id'])}"
    assert 'value="answers"' not in (await app[1].get(address)).text
    assert (await app[1].post(address, data={"act": "answers"})).status_code == 200
