"""What lies on a phone beside its visits: histories, articles, forms, parts; and what settings do."""

from typing import Any
from uuid import UUID

import pytest
import whole_copy
from worlds import Phone, World

from callout_backend.wiring import add_hooks
from callout_dispatch import assign
from callout_orders import customers, forms, order_parts, stock
from callout_orders.knowledge import articles
from callout_orders.knowledge.articles import ArticleText
from callout_people import organisations
from callout_store.ids import new_id
from callout_store.work import Database
from callout_sync import scope, scope_rules
from callout_sync.pull import pull


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build(phones=3)


async def all_true(world: World) -> None:
    """Every phone, after a pull, holds what an independent reading of the tables says."""
    for phone in world.phones:
        await phone.pull()
        assert await whole_copy.differences(world, phone, await world.value("select now()")) == []


async def sweep(world: World) -> int:
    total = 0
    while found := await world.db.run(world.org, scope.sweep):
        total += found
    return total


async def configure(world: World, **settings: Any) -> None:
    async with world.db.work(world.org) as work:
        await organisations.configure_phones(work, organisations.Phones(**settings))


async def save(world: World, *, id_: UUID | None = None, **about: Any) -> UUID:
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        return await articles.save_article(work, ArticleText(title="T", body="x", **about), id_=id_)


# ---------------------------------------------------------------------------------------------- histories


async def test_a_machines_history_comes_with_the_next_visit(world: World) -> None:
    """Whoever comes next must know in the cellar, without a network, what was done last time, and by an order's number."""
    first, second, _ = world.phones
    visit = await world.visit(first)
    await first.push(first.command("visit.note", visit, {"text": "worn"}))
    await world.visit(second)
    await second.pull()
    assert second.held("history") == set()
    await first.push(first.command("visit.complete", visit))
    await second.pull()
    doc = second.copy[f"history:{world.asset}"]["doc"]
    assert [event["kind"] for event in doc["events"]] == ["completed", "note"]
    await first.push(first.command("visit.note", visit, {"text": "late word"}))
    await second.pull()
    assert "late word" in str(second.copy[f"history:{world.asset}"]["doc"])
    await all_true(world)


async def test_what_was_done_before_a_visit_was_called_off_is_history_too(world: World) -> None:
    """A leak that was found before the customer sent the engineer home must be known next time."""
    first, second, _ = world.phones
    visit = await world.visit(first)
    await first.push(first.command("visit.note", visit, {"text": "leaks"}))
    await world.visit(second)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await assign.cancel_visit(work, visit, "customer away")
    await second.pull()
    assert "leaks" in str(second.copy[f"history:{world.asset}"]["doc"])
    await all_true(world)


async def test_a_history_is_as_long_as_the_organisation_wants(world: World) -> None:
    """Phones must not fill up with years of a machine's life; a longer history must come back where it is wanted."""
    phone = world.phones[0]
    for _ in range(3):
        visit = await world.visit(phone)
        await phone.push(
            phone.command("visit.note", visit, {"text": "x"}), phone.command("visit.complete", visit)
        )
    await world.visit(phone)
    for events, length in ((2, 2), (0, None), (20, 6)):
        await configure(world, history_events=events)
        assert await sweep(world) > 0
        assert await sweep(world) == 0
        await phone.pull()
        held = phone.copy.get(f"history:{world.asset}")
        assert (held and len(held["doc"]["events"])) == length
        await all_true(world)


# ---------------------------------------------------------------------------------------------- articles, forms, parts


async def test_an_article_follows_what_it_is_about(world: World) -> None:
    """An article on pumps must reach who goes to a pump, leave when it is about something else, and reach nobody else."""
    first, second, _ = world.phones
    await world.visit(first)
    about_pumps = await save(world, model="P-200")
    about_all = await save(world)
    await first.pull()
    await second.pull()
    assert first.held("article") == {about_pumps, about_all}
    assert second.held("article") == {about_all}
    await save(world, id_=about_pumps, model="Z-1")
    await first.pull()
    assert first.held("article") == {about_all}
    await save(world, id_=about_pumps, kind="repair")
    await first.pull()
    assert first.held("article") == {about_pumps, about_all}
    await all_true(world)


async def test_a_new_version_of_a_form_takes_the_place_of_the_old(world: World) -> None:
    """Two versions of a checklist on one phone: the engineer would fill in the wrong one."""
    phone = world.phones[0]
    await world.visit(phone)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        made = [
            await forms.save_form(
                work,
                forms.NewForm(
                    code="checks",
                    title_en=f"Checks {n}",
                    title_zh="检查",
                    schema={"type": "object", "properties": {"a": {"type": "integer"}}},
                    kind="repair",
                ),
            )
            for n in (1, 2)
        ]
    await phone.pull()
    assert phone.held("form") == {made[1]}
    await all_true(world)


async def test_parts_where_phones_hold_only_what_they_need(world: World) -> None:
    """A catalogue of fifty thousand parts does not belong on a phone; the part for tomorrow's job does."""
    first, second, _ = world.phones
    async with world.db.work(world.org) as work:
        valve = await customers.create_part(work, customers.NewPart(code="VALVE", name="Valve"))
    await configure(world, parts="needed")
    await sweep(world)
    for phone in world.phones:
        await phone.pull()
        assert phone.held("part") == {world.part}
    order = await world.order()
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await order_parts.set_order_parts(work, order, [("VALVE", 2)])
    visit = await world.visit(first, order)
    await first.pull()
    assert first.held("part") == {world.part, valve}
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await assign.reassign(work, visit, second.engineer_id, override=True, reason="closer")
    await first.pull()
    assert first.held("part") == {world.part}
    move = stock.Move(holder_id=first.engineer_id, part_id=valve, quantity=1, reason="loaded")
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await stock.move(work, [move])
    await first.pull()
    assert first.held("part") == {world.part, valve}
    await all_true(world)
    await configure(world, parts="all")
    await sweep(world)
    await all_true(world)


async def test_outcomes_are_for_their_device_alone(world: World) -> None:
    """What became of a command is the business of the phone that sent it, not of the engineer's second phone."""
    first, second, _ = world.phones
    outcome = new_id()
    async with world.db.work(world.org) as work:
        await work.execute(
            "insert into outcome (id, device_id, kind, status, at) values ($1, $2, 'visit.note', 'applied', now())",
            outcome,
            first.device_id,
        )
        work.touch("outcome", outcome)
    await first.pull()
    await second.pull()
    assert first.held("outcome") == {outcome}
    assert second.held("outcome") == set()


# ---------------------------------------------------------------------------------------------- shapes


async def test_documents_of_an_older_shape_are_written_anew(world: World) -> None:
    """After an upgrade a phone must learn the new fields of rows that nobody touches: also of those it has had for months."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    await phone.pull()
    async with world.db.work(world.org) as work:
        await work.execute(
            """
            update sync_feed set shape = 1, body = replace(body, '"engineerNote":"",', '')
            where op = 'U'
            """
        )
    assert await phone.pull() == []
    assert await sweep(world) > 0
    items = await phone.pull()
    # Those whose text is the same are not sent again: a phone's month must not be spent on an upgrade.
    assert [(item["entity"], item["id"]) for item in items] == [("visit", str(visit))]
    assert items[0]["doc"]["engineerNote"] == ""
    assert await sweep(world) == 0


async def test_the_index_of_older_shapes_is_of_the_present_one(world: World) -> None:
    """Raised in one place only, the daily sweep would read the whole feed of every organisation."""
    definition = await world.value("select indexdef from pg_indexes where indexname = 'sync_feed_shape'")
    assert f"shape < {scope_rules.SHAPE}" in definition


def test_statements_are_small_enough_to_be_kept_prepared() -> None:
    """A statement above the driver's limit is planned at every commit: each dispatch would take ten times as long."""
    sizes = [len(scope_rules.write(scope_rules.ENTITIES, limited)) for limited in (False, True)]
    assert max(sizes) < 64 * 1024


# ---------------------------------------------------------------------------------------------- what is noted


async def test_a_pull_notes_how_far_a_phone_is_once_a_minute(world: World) -> None:
    """Every write of a pull holds the horizon for everybody: polls without news must write nothing."""
    phone = world.phones[0]
    await world.visit(phone)
    await phone.pull()
    await phone.pull()
    before = await world.value("select xmin::text from device where id = $1", phone.device_id)
    for _ in range(3):
        async with world.db.work(world.org, actor=phone.actor) as work:
            await pull(work, cursor=phone.cursor, limit=10, schema_version=2)
    assert await world.value("select xmin::text from device where id = $1", phone.device_id) == before
    told: Phone = phone
    row = (
        await world.fetch("select pulled_xid::text, schema_version from device where id = $1", told.device_id)
    )[0]
    assert int(row["pulled_xid"]) > 0
    assert row["schema_version"] == 2
