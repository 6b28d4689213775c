"""Standing answers (T3): a surge goes on after somebody has written its answer, and whoever reports it next gets it too."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from worlds import World

from callout_backend.jobs.handlers import offer_answers
from callout_backend.wiring import add_hooks
from callout_orders import orders
from callout_orders.knowledge import articles, offers, standing
from callout_orders.knowledge.articles import ArticleText
from callout_orders.precheck.alike import links
from callout_store import outbox
from callout_store.errors import LimitExceeded, NotFound, StaleRevision, WrongState
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build(phones=1)


async def do(world: World, act: Any) -> Any:
    return await world.db.run(world.org, act, actor=world.dispatcher)


async def article(world: World, title: str = "E07: update to 2.1", **more: Any) -> UUID:
    text = ArticleText(
        title=title, body="Firmware 2.1 mends it.", **{"fault_code": "E07", "for_customers": True, **more}
    )
    id_: UUID = await do(world, lambda work: articles.save_article(work, text))
    return id_


async def switch(world: World, id_: UUID, on: bool = True, revision: int | None = None) -> bool:
    done: bool = await do(world, lambda work: standing.switch(work, id_, on, revision))
    return done


async def work_off(world: World) -> None:
    """What the worker does with this organisation's messages about answers."""
    while True:
        owed = await outbox.claim(world.db, channels=[offers.CHANNEL], limit=5_000)
        mine = [item for item in owed if item.org_id == world.org]
        if not mine:
            return
        for item in mine:
            await offer_answers(world.db, item)
            await outbox.finish(world.db, item)


async def offered(world: World, order: UUID) -> list[UUID]:
    async with world.db.work(world.org) as work:
        [found] = await offers.by_order_ids(work, [order])
    return [one.article_id for one in found]


async def told(world: World, order: UUID) -> int:
    sql = "select count(*) from journal where order_id = $1 and kind = 'work_order.answers_offered'"
    return int(await world.value(sql, order))


@pytest.mark.parametrize("priority", ("P0", "P1", "P2"))
async def test_it_is_offered_on_what_is_open_and_on_what_comes_in_later(world: World, priority: str) -> None:
    """Otherwise somebody presses the button again every ten minutes, for three days."""
    id_ = await article(world)
    before = await world.order(error_code="e07", priority=priority)
    other = await world.order(error_code="E08", priority="P1")
    gone = await world.order(error_code="E07", priority="P1")
    await do(world, lambda work: orders.cancel_order(work, gone, "mistake"))
    assert await switch(world, id_)
    assert not await switch(world, id_)
    await work_off(world)
    later = await world.order(error_code="E07", priority=priority, description="something else altogether")
    await work_off(world)
    assert [await offered(world, one) for one in (before, later, other, gone)] == [[id_], [id_], [], []]
    assert await told(world, later) == 1
    assert await world.value("select count(*) from journal where kind = 'article.made_standing'") == 1


@pytest.mark.parametrize("end", ("off", "retired", "changed", "internal"))
async def test_it_ends(world: World, end: str) -> None:
    """Customers would be told to install a version that was withdrawn."""
    id_ = await article(world)
    await switch(world, id_)
    if end == "off":
        assert await switch(world, id_, False)
        assert not await switch(world, id_, False)
    elif end == "retired":
        await do(world, lambda work: articles.retire_article(work, id_))
    else:
        more = {"fault_code": "E09", "for_customers": True} if end == "changed" else {"fault_code": "E07"}
        text = ArticleText(title="Other", body="Other", **more)
        await do(world, lambda work: articles.save_article(work, text, id_=id_))
    order = await world.order(error_code="E07", priority="P1")
    await work_off(world)
    assert await offered(world, order) == []
    because = "select data ->> 'because' from journal where kind = 'article.standing_ended'"
    assert await world.value(because) == {"internal": "changed"}.get(end, end)
    [view] = await do(world, lambda work: articles.articles_by_ids(work, [id_]))
    assert view.standing_since is None


async def test_other_words_stay_a_standing_answer_and_are_offered_as_they_read_now(world: World) -> None:
    """A spelling that is put right must not end the answer; nor be told once more to everybody who has it."""
    id_ = await article(world)
    await switch(world, id_)
    before = await world.order(error_code="E07", priority="P1")
    await work_off(world)
    text = ArticleText(title="E07: update to 2.2", body="2.2", fault_code="e07", for_customers=True)
    await do(world, lambda work: articles.save_article(work, text, id_=id_))
    later = await world.order(error_code="E07", priority="P1")
    await work_off(world)
    async with world.db.work(world.org) as work:
        [old], [new] = await offers.by_order_ids(work, [before, later])
    assert (old.article_revision, new.article_revision, new.body) == (1, 2, "2.2")
    assert await told(world, before) == 1


async def test_a_duplicate_gets_it_when_it_is_an_order_of_its_own(world: World) -> None:
    """The first order's customer was told; this one turned out to be another matter."""
    id_ = await article(world)
    await switch(world, id_)
    first = await world.order(error_code="E07", priority="P1")
    twin = await world.order(error_code="E07", priority="P1", duplicate_of_id=first)
    await work_off(world)
    assert await offered(world, twin) == []
    await do(world, lambda work: links.unlink(work, twin, "another pile"))
    await work_off(world)
    assert await offered(world, twin) == [id_]


async def test_what_can_be_no_standing_answer(world: World) -> None:
    """An internal note that is sent to every customer, or an answer to nothing."""
    internal = await article(world, for_customers=False)
    about_nothing = await article(world, fault_code=None)
    retired = await article(world)
    await do(world, lambda work: articles.retire_article(work, retired))
    for id_ in (internal, about_nothing, retired):
        with pytest.raises(WrongState):
            await switch(world, id_)
    with pytest.raises(NotFound):
        await switch(world, new_id())
    sound = await article(world)
    with pytest.raises(StaleRevision):
        await switch(world, sound, revision=7)


async def test_three_of_a_code_and_not_a_fourth_however_many_ask_at_once(world: World) -> None:
    """Whoever is sent ten answers reads none."""
    ids = [await article(world, f"Answer {n}") for n in range(6)]
    done = await asyncio.gather(*(switch(world, id_) for id_ in ids), return_exceptions=True)
    assert sorted(str(type(one).__name__) for one in done) == ["LimitExceeded"] * 3 + ["bool"] * 3
    refused = next(one for one in done if isinstance(one, LimitExceeded))
    assert refused.details["limit"] == standing.PER_CODE_MAX
    order = await world.order(error_code="E07", priority="P1")
    await work_off(world)
    assert len(await offered(world, order)) == 3


async def test_thousands_of_open_orders_are_offered_it_in_pieces(world: World, monkeypatch: Any) -> None:
    """A surge's backlog must neither fit into one transaction nor be left half told."""
    monkeypatch.setattr(standing, "CHUNK", 2)
    id_ = await article(world)
    made = [await world.order(error_code="E07", priority="P1") for _ in range(5)]
    await work_off(world)
    await switch(world, id_)
    await work_off(world)
    assert [await offered(world, one) for one in made] == [[id_]] * 5
