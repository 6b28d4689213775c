"""Crews and territories: whoever works on a visit has it on the phone, and nobody else."""

from uuid import UUID

import pytest
from worlds import Phone, World

from callout_backend.wiring import add_hooks
from callout_dispatch import assign, crew, engineers
from callout_dispatch.crew import CREW_MAX
from callout_dispatch.engineer_terms import NewTerritory
from callout_orders.knowledge import articles
from callout_store.errors import BadField, LimitExceeded, NotFound, StaleRevision, WrongState
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build(phones=3)


async def set_crew(world: World, visit: UUID, *phones: Phone, revision: int | None = None) -> None:
    ids = [phone.engineer_id for phone in phones]
    await world.db.run(
        world.org, lambda work: crew.set_crew(work, visit, ids, revision), actor=world.dispatcher
    )


async def test_a_crew_member_holds_all_that_the_visits_engineer_holds(world: World) -> None:
    """The second man at a lift must know the address, the machine and what was noted, not only the first."""
    first, second, third = world.phones
    visit = await world.visit(first)
    await first.push(first.command("visit.note", visit, {"text": "gate code 7"}))
    await set_crew(world, visit, second)
    for phone in world.phones:
        await phone.pull()
    for entity in ("visit", "work_order", "site", "contact", "asset", "event"):
        assert second.held(entity) == first.held(entity) != set()
        assert third.held(entity) == set()
    assert second.copy[str(visit)]["doc"]["crew"] == [str(second.engineer_id)]
    assert first.copy[str(visit)]["doc"]["crew"] == [str(second.engineer_id)]


async def test_who_leaves_the_crew_loses_the_visit(world: World) -> None:
    """A customer's number must leave the phone of whoever has nothing more to do there."""
    first, second, third = world.phones
    visit = await world.visit(first)
    await set_crew(world, visit, second)
    await second.pull()
    await set_crew(world, visit, third)
    await second.pull()
    await third.pull()
    assert second.held("visit") == second.held("contact") == set()
    assert third.held("visit") == {visit}


async def test_a_visit_given_to_a_crew_member_is_held_once(world: World) -> None:
    """Whoever takes the lead from within the crew must not lose the visit, and the one before does."""
    first, second, _ = world.phones
    visit = await world.visit(first)
    await set_crew(world, visit, second)
    await second.pull()
    await first.pull()
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await assign.reassign(work, visit, second.engineer_id, override=True, reason="closer")
    await first.pull()
    await second.pull()
    assert first.held("visit") == set()
    assert second.held("visit") == {visit}
    await set_crew(world, visit)
    await second.pull()
    assert second.held("visit") == {visit}


async def test_the_same_crew_again_changes_nothing(world: World) -> None:
    """A dispatcher who clicks twice must not make every phone pull again, nor fill the journal."""
    first, second, _ = world.phones
    visit = await world.visit(first)
    await set_crew(world, visit, second)
    await first.pull()
    await set_crew(world, visit, second)
    assert await first.pull() == []
    assert await world.value("select count(*) from journal where kind = 'visit.crew_set'") == 1


async def test_what_a_crew_cannot_be(world: World) -> None:
    """Each wrong crew is refused by a code of its own, and changes nobody's phone."""
    first, second, _ = world.phones
    visit = await world.visit(first)
    with pytest.raises(BadField):
        await set_crew(world, visit, first)
    with pytest.raises(BadField):
        await set_crew(world, visit, second, second)
    with pytest.raises(StaleRevision):
        await set_crew(world, visit, second, revision=99)
    with pytest.raises(NotFound):
        await set_crew(world, new_id(), second)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        with pytest.raises(NotFound):
            await crew.set_crew(work, visit, [new_id()])
        with pytest.raises(LimitExceeded):
            await crew.set_crew(work, visit, [new_id() for _ in range(CREW_MAX + 1)])
    await first.push(first.command("visit.complete", visit))
    with pytest.raises(WrongState):
        await set_crew(world, visit, second)
    assert await world.value("select count(*) from visit_crew") == 0


async def test_articles_follow_an_engineers_territory(world: World) -> None:
    """An engineer who moves from the north to the south must read of the south's mains, not of the north's."""
    phone = world.phones[0]
    await world.visit(phone)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        north, south = await engineers.create_territories(
            work, [NewTerritory(code="N", name="North"), NewTerritory(code="S", name="South")]
        )
        of_north = await articles.save_article(
            work, articles.ArticleText(title="North", body="110 V", territory_id=north)
        )
        of_south = await articles.save_article(
            work, articles.ArticleText(title="South", body="230 V", territory_id=south)
        )
    await phone.pull()
    assert phone.held("article") == set()
    for territory, held in ((north, {of_north}), (south, {of_south}), (None, set())):
        async with world.db.work(world.org, actor=world.dispatcher) as work:
            await crew.set_territory(work, phone.engineer_id, territory)
        await phone.pull()
        assert phone.held("article") == held


async def test_a_territory_that_is_not_there(world: World) -> None:
    """A mistyped territory must be refused, not leave an engineer without articles."""
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        with pytest.raises(NotFound):
            await crew.set_territory(work, world.phones[0].engineer_id, new_id())
        with pytest.raises(NotFound):
            await crew.set_territory(work, new_id(), None)
