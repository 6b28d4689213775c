"""Explain: why a record is or is not on a phone, in agreement with what the phone would pull."""

import random
from typing import Any
from uuid import UUID

import pytest
from worlds import Phone, World

from callout_backend.wiring import add_hooks
from callout_contracts.documents import DOCUMENTS
from callout_dispatch import assign, crew, engineers
from callout_dispatch.engineer_terms import NewTerritory
from callout_orders import forms, order_parts
from callout_orders.knowledge import articles
from callout_people import organisations
from callout_store.errors import BadField, NotFound
from callout_store.ids import new_id
from callout_store.work import Database
from callout_sync import scope
from callout_sync.explain import Explanation, explain, holds
from callout_sync.explain_texts import TEXTS

RECORDS = """
select 'visit' as entity, id from visit union all select 'work_order', id from work_order
union all select 'site', id from site union all select 'contact', id from contact
union all select 'asset', id from asset union all select 'history', id from asset
union all select 'event', id from visit_event union all select 'part', id from part
union all select 'stock', id from stock_level union all select 'article', id from article
union all select 'form', id from form union all select 'attachment', id from attachment
union all select 'outcome', id from outcome
"""


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build(phones=3)


async def ask(world: World, phone: Phone, entity: str, id_: UUID) -> Explanation:
    async with world.db.work(world.org) as work:
        return await explain(work, phone.device_id, entity, id_)


def codes(found: Explanation) -> list[str]:
    return [reason.code for reason in found.reasons]


async def learnt(world: World) -> None:
    """As if every phone had said long ago that it speaks the newest schema."""
    async with world.db.work(world.org) as work:
        await work.execute("update device set schema_version = 2")


async def test_the_engineers_own_visit(world: World) -> None:
    """The plain case: it is yours, it is open, and the phone has or has not pulled it."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    found = await ask(world, phone, "visit", visit)
    assert (found.held, found.delivered) == (True, False)
    assert codes(found) == ["VISIT_IS_YOURS", "VISIT_OPEN", "NOT_PULLED_YET"]
    await phone.pull()
    async with world.db.work(world.org) as work:
        await work.execute("update device set pulled_at = null")
    await phone.pull()
    assert (await ask(world, phone, "visit", visit)).delivered
    site = await ask(world, phone, "site", world.site)
    assert codes(site)[:3] == ["VIA_VISIT", "VISIT_IS_YOURS", "VISIT_OPEN"]


async def test_why_a_visit_is_not_on_a_phone(world: World) -> None:
    """The engineer calls: 'it is not on my phone'. The answer must say which of the many reasons it is."""
    first, second, third = world.phones
    visit = await world.visit(first)
    assert codes(await ask(world, second, "visit", visit)) == ["OTHER_ENGINEER", "NEVER_HELD"]
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await assign.reassign(work, visit, second.engineer_id, override=True, reason="closer")
        await crew.set_crew(work, visit, [third.engineer_id])
    left = await ask(world, first, "visit", visit)
    assert codes(left) == ["OTHER_ENGINEER", "LEFT", "NOT_PULLED_YET"]
    assert left.reasons[0].facts["who"] == "Engineer 1"
    assert codes(await ask(world, third, "visit", visit))[:2] == ["CREW", "VISIT_OPEN"]
    order = await world.order()
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        planned = await assign.assign(
            work, order, first.engineer_id, override=True, reason="later", told=False
        )
    assert codes(await ask(world, first, "visit", planned)) == ["NOT_DISPATCHED", "NEVER_HELD"]
    assert codes(await ask(world, first, "visit", new_id())) == ["UNKNOWN_RECORD"]


async def test_a_visit_whose_window_passed(world: World) -> None:
    """'Where is last month's visit?' It was there, and left when its window passed."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    await phone.push(phone.command("visit.complete", visit))
    assert "WITHIN_WINDOW" in codes(await ask(world, phone, "visit", visit))
    async with world.db.work(world.org) as work:
        await work.execute("update visit set ended_at = now() - interval '20 days' where id = $1", visit)
    await world.db.run(world.org, scope.sweep)
    assert codes(await ask(world, phone, "visit", visit))[:2] == ["WINDOW_PASSED", "LEFT"]


async def test_what_is_the_devices_fault(world: World) -> None:
    """An old app, a revoked phone: the record may be in order and yet not be seen."""
    phone = world.phones[0]
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        article = await articles.save_article(work, articles.ArticleText(title="A", body="x"))
    found = await ask(world, phone, "article", article)
    assert not found.held
    assert "ENTITY_TOO_NEW_FOR_APP" in codes(found)
    await learnt(world)
    assert (await ask(world, phone, "article", article)).held
    async with world.db.work(world.org) as work:
        await work.execute("update device set revoked_at = now() where id = $1", phone.device_id)
    found = await ask(world, phone, "part", world.part)
    assert not found.held
    assert codes(found)[0] == "DEVICE_REVOKED"


async def test_what_cannot_be_asked(world: World) -> None:
    """A typing error must be said as such, not be answered with 'not held'."""
    async with world.db.work(world.org) as work:
        with pytest.raises(NotFound):
            await explain(work, new_id(), "visit", new_id())
        with pytest.raises(BadField):
            await explain(work, world.phones[0].device_id, "vists", new_id())


def test_every_reason_speaks_both_languages() -> None:
    """A dispatcher in Shanghai reads the reason in Chinese."""
    facts = {name: name for name in ("visit", "who", "at", "until", "given", "needed")}
    for english, chinese in TEXTS.values():
        assert english.format_map(facts).isascii()
        assert not chinese.format_map(facts).isascii()


@pytest.mark.parametrize("parts", ("all", "needed"))
async def test_it_agrees_with_the_feed_for_every_row(world: World, seed: int, parts: str) -> None:
    """A wrong explanation sends people looking in the wrong place: each reason must be the one by which phones pull."""
    rng = random.Random(seed)
    await build_at_random(world, rng, parts)
    await learnt(world)
    records = await world.fetch(RECORDS)
    assert {row["entity"] for row in records} >= set(DOCUMENTS) - {"attachment", "outcome"}
    wrong: list[Any] = []
    for phone in world.phones:
        await phone.pull()
        pulled = {(item["entity"], item["id"]) for item in phone.copy.values()}
        for row in records:
            found = await ask(world, phone, row["entity"], row["id"])
            there = (row["entity"], str(row["id"])) in pulled
            if not (found.held == there == holds(found.reasons)):
                wrong.append((row["entity"], there, found.held, codes(found)))
    assert wrong == []


async def build_at_random(world: World, rng: random.Random, parts: str) -> None:
    """Orders of several kinds and sites, crews, articles, forms, needs; some ended, some given away, some aged."""

    def one(rows: list[Any]) -> Any:
        return rng.choice(rows)

    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await organisations.configure_phones(work, organisations.Phones(parts=parts))
        lands: list[Any] = await engineers.create_territories(
            work, [NewTerritory(code="N", name="North"), NewTerritory(code="S", name="South")]
        )
        for phone in world.phones:
            await crew.set_territory(work, phone.engineer_id, one([None, *lands]))
        for n in range(12):
            text = articles.ArticleText(
                title=f"A{n}",
                body="x",
                kind=one([None, "repair", "service"]),
                model=one([None, "P-200", "Z"]),
                territory_id=one([None, *lands]),
            )
            made = await articles.save_article(work, text)
            if rng.random() < 0.2:
                await articles.retire_article(work, made)
        for code in ("one", "two", "three"):
            form = forms.NewForm(
                code=code,
                title_en=code,
                title_zh=code,
                schema={"type": "object", "properties": {}},
                kind=one([None, "repair", "service"]),
            )
            await forms.save_form(work, form)
    visits = []
    for _ in range(12):
        more = {} if rng.random() < 0.7 else {"contact_id": None, "asset_id": None}
        order = await world.order(kind=one(["repair", "service"]), **more)
        async with world.db.work(world.org, actor=world.dispatcher) as work:
            if rng.random() < 0.5:
                await order_parts.set_order_parts(work, order, [("SEAL-1", 2)])
            visits.append(
                await assign.assign(
                    work,
                    order,
                    one(world.phones).engineer_id,
                    override=True,
                    reason="random",
                    told=rng.random() < 0.8,
                )
            )
    for visit in visits:
        state = await world.value("select state from visit where id = $1", visit)
        holder = await world.value("select engineer_id from visit where id = $1", visit)
        phone = next(phone for phone in world.phones if phone.engineer_id == holder)
        others = [other.engineer_id for other in world.phones if other is not phone]
        draw = rng.random()
        if draw < 0.3:
            async with world.db.work(world.org, actor=world.dispatcher) as work:
                await crew.set_crew(work, visit, [one(others)], override=True, reason="law")
        if state != "scheduled" and rng.random() < 0.5:
            await phone.push(phone.command("visit.arrive", visit), phone.command("visit.complete", visit))
            if rng.random() < 0.5:
                async with world.db.work(world.org) as work:
                    await work.execute(
                        "update visit set ended_at = now() - interval '20 days' where id = $1", visit
                    )
        elif rng.random() < 0.4:
            async with world.db.work(world.org, actor=world.dispatcher) as work:
                await assign.reassign(work, visit, one(others), override=True, reason="random")
    while await world.db.run(world.org, scope.sweep):
        pass
