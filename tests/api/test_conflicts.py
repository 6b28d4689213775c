"""Cards of fields that were written on two sides: the same whatever came first, seen by the dispatcher, settled once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from graph import Graph, application, someone, token_of
from pens import cards, desk, item, write
from worlds import Phone, World

from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_graphql.operations import OPERATIONS
from callout_people.principals import Role
from callout_store.errors import BadField, NotFound, WrongState
from callout_store.ids import new_id
from callout_store.work import Database, Work
from callout_sync import conflicts


@pytest.fixture
async def world(db: Database) -> World:
    return await new_world(db)


async def new_world(db: Database) -> World:
    add_hooks(db)
    world = await World(db).build(phones=3)
    for phone in world.phones:
        await world.visit(phone)
    return world


async def clash(world: World, *texts: str) -> list[conflicts.Conflict]:
    """Each text written into the site's note by a phone of its own that had seen nothing, the later the later."""
    for n, text in enumerate(texts):
        phone = world.phones[n]
        await write(
            phone, item(phone, "site", world.site, at_s=n, baseRevision=1, changes={"accessNote": text})
        )
    return await cards(world)


async def settle(
    world: World, id_: UUID, choice: str, value: Any = None, note: str = ""
) -> conflicts.Conflict:
    async def act(work: Work) -> conflicts.Conflict:
        return await conflicts.settle(work, id=id_, choice=choice, value=value, note=note)

    return await world.db.run(world.org, act, actor=world.dispatcher)


async def note_of(world: World) -> Any:
    return await world.value("select access_note from site where id = $1", world.site)


@pytest.mark.parametrize("field", ("accessNote", "name", "engineerNote"))
async def test_any_order_of_arrival_leaves_the_same_cards(db: Database, field: str) -> None:
    """Three engineers write one field offline, one of them twice: in the database too, all orders in which their phones
    find the network end with the same value and the same cards."""
    ends = set()
    for order in permutations(range(3)):
        world = await new_world(db)
        shared = await world.visit(world.phones[0])
        await world.db.run(
            world.org,
            lambda work, shared=shared, world=world: work.execute(
                "insert into visit_crew (visit_id, engineer_id, added_at) select $1, unnest($2::uuid[]), now()",
                shared,
                [phone.engineer_id for phone in world.phones[1:]],
            ),
        )
        entity, id_ = {
            "accessNote": ("site", world.site),
            "name": ("contact", world.contact),
            "engineerNote": ("visit", shared),
        }[field]
        written = [
            [
                item(phone, entity, id_, at_s=at_s, baseRevision=1, changes={field: text})
                for at_s, text in texts
            ]
            for phone, texts in zip(
                world.phones, ([(5, "a")], [(3, "b"), (6, "b, and more")], [(4, "c")]), strict=True
            )
        ]
        for n in order:
            for one in written[n]:
                await write(world.phones[n], one)
        found = await cards(world)
        assert len({card.kept.value for card in found}) == 1
        ends.add(
            (
                found[0].kept.value,
                found[0].kept.stamp,
                frozenset(
                    (card.lost.value, card.lost.device_id == world.phones[0].device_id) for card in found
                ),
            )
        )
    [(kept, _, lost)] = {(k, s.rsplit("-", 1)[0] if s else None, lost) for k, s, lost in ends}
    assert kept == "b, and more"
    assert lost == {("a", True), ("c", False)}


async def test_a_card_follows_what_stands(world: World) -> None:
    """While the card lies there, life goes on: the dispatcher must see what stands now, not what stood last week."""
    await clash(world, "one", "two")
    phone = world.phones[2]
    revision = await world.value("select revision from site where id = $1", world.site)
    await write(
        phone, item(phone, "site", world.site, at_s=9, baseRevision=revision, changes={"accessNote": "three"})
    )
    [card] = await cards(world)
    assert (card.kept.value, card.kept.device_id) == ("three", phone.device_id)
    assert card.lost.value == "one"


async def test_a_card_closes_when_its_author_writes_anew(world: World) -> None:
    """The engineer who lost looked again and wrote the field with the other's value in sight: the old card would ask about
    a value that nobody holds any more."""
    await clash(world, "one", "two")
    phone = world.phones[0]
    revision = await world.value("select revision from site where id = $1", world.site)
    await write(
        phone,
        item(phone, "site", world.site, at_s=9, baseRevision=revision, changes={"accessNote": "1 and 2"}),
    )
    assert await note_of(world) == "1 and 2"
    assert await cards(world) == []
    [card] = await cards(world, "superseded")
    assert card.lost.value == "one"


async def test_three_sides_make_two_cards(world: World) -> None:
    """Of three values one stands; the two others must both be seen, not only the last."""
    found = await clash(world, "one", "two", "three")
    assert {card.lost.value for card in found} == {"one", "two"}
    assert {card.kept.value for card in found} == {"three"}


@pytest.mark.parametrize(
    ("choice", "value", "end"), (("kept", None, "two"), ("lost", None, "one"), ("other", " both ", "both"))
)
async def test_a_card_is_settled_by_one_word(world: World, choice: str, value: Any, end: str) -> None:
    """The dispatcher's word stands, is known to all phones by a new revision where the value changed, and is on record."""
    [card] = await clash(world, "one", "two")
    revision = await world.value("select revision from site where id = $1", world.site)
    await world.phones[0].pull()
    settled = await settle(world, card.id, choice, value, "asked the caretaker")
    assert (settled.state, settled.choice, settled.settled_value) == ("settled", choice, end)
    assert (settled.settled_by, settled.note) == (world.dispatcher.user_id, "asked the caretaker")
    assert await note_of(world) == end
    after = await world.value("select revision from site where id = $1", world.site)
    assert after == revision + (choice != "kept")
    assert await cards(world) == []
    pulled = [row["doc"]["accessNote"] for row in await world.phones[0].pull() if row["entity"] == "site"]
    assert pulled == ([] if choice == "kept" else [end])
    [line] = await world.fetch("select actor_id, data from journal where kind = 'sync.conflict_settled'")
    assert line["actor_id"] == world.dispatcher.user_id
    with pytest.raises(WrongState):
        await settle(world, card.id, "lost")


async def test_whoever_comes_after_meets_the_decision(world: World) -> None:
    """A third phone, offline all the while, brings an older word: it does not undo what a person decided, and is kept."""
    [card] = await clash(world, "one", "two")
    await settle(world, card.id, "lost")
    late = world.phones[2]
    [result] = await write(
        late, item(late, "site", world.site, at_s=9, baseRevision=1, changes={"accessNote": "late"})
    )
    assert result.code == "FIELD_CONFLICT"
    assert await note_of(world) == "one"
    [card] = await cards(world)
    assert (card.lost.value, card.kept.value, card.kept.device_id) == ("late", "one", None)
    assert card.kept.user_name == "Dora"


async def test_other_cards_of_the_field_stay_unless_they_agree(world: World) -> None:
    """Deciding between two values says nothing of a third one; but whoever holds the chosen value has nothing to ask."""
    found = {card.lost.value: card.id for card in await clash(world, "one", "two", "three")}
    await settle(world, found["one"], "other", "two")
    assert await cards(world) == []
    assert {card.state for card in await cards(world, None)} == {"settled", "superseded"}
    other = await new_world(world.db)
    found = {card.lost.value: card.id for card in await clash(other, "one", "two", "three")}
    await settle(other, found["one"], "kept")
    [left] = await cards(other)
    assert (left.lost.value, left.kept.value) == ("two", "three")


async def test_two_dispatchers_settle_one_card_at_once(world: World) -> None:
    """Two screens, one card: one decision stands, the other dispatcher is told; never half of each."""
    [card] = await clash(world, "one", "two")
    done = await asyncio.gather(
        *(settle(world, card.id, choice) for choice in ("kept", "lost", "lost", "kept")),
        return_exceptions=True,
    )
    settled = [one for one in done if isinstance(one, conflicts.Conflict)]
    assert len(settled) == 1
    assert sum(isinstance(one, WrongState) for one in done) == 3
    assert await note_of(world) == settled[0].settled_value


@pytest.mark.parametrize(
    ("choice", "value", "note", "path"),
    (
        ("perhaps", None, "", "choice"),
        ("kept", "x", "", "value"),
        ("other", None, "", "value"),
        ("other", 3, "", "value"),
        ("other", "x" * 4001, "", "value"),
        ("other", "a\0b", "", "value"),
        ("lost", None, "x" * 1001, "note"),
        ("lost", None, "\0", "note"),
    ),
)
async def test_a_bad_decision_changes_nothing(
    world: World, choice: str, value: Any, note: str, path: str
) -> None:
    """What no phone may write no card may bring in either; the refusal names the field and the card stays open."""
    [card] = await clash(world, "one", "two")
    with pytest.raises(BadField) as refused:
        await settle(world, card.id, choice, value, note)
    assert refused.value.path == path
    assert await note_of(world) == "two"
    assert [one.id for one in await cards(world)] == [card.id]


async def test_a_note_of_the_engineer_before_can_be_put_in(db: Database) -> None:
    """The visit went to another engineer; the dispatcher takes over what the first one found."""
    world = await new_world(db)
    first, second = world.phones[:2]
    visit = await world.visit(first)
    from callout_dispatch import reassign

    await world.db.run(
        world.org,
        lambda work: reassign.reassign(work, visit, second.engineer_id, override=True, reason="ill"),
        actor=world.dispatcher,
    )
    await write(first, item(first, "visit", visit, baseRevision=1, changes={"engineerNote": "Old valve"}))
    [card] = await cards(world)
    assert card.label.endswith(" / 1")
    await settle(world, card.id, "lost")
    assert await world.value("select engineer_note from visit where id = $1", visit) == "Old valve"
    await second.pull()
    assert second.copy[str(visit)]["doc"]["engineerNote"] == "Old valve"


async def test_cards_of_others_are_not_there(world: World) -> None:
    """Another company's dispatcher can neither read nor settle a card, and learns nothing of its being there."""
    [card] = await clash(world, "one", "two")
    elsewhere = await World(world.db).build()
    assert await cards(elsewhere, None) == []
    with pytest.raises(NotFound):
        await settle(elsewhere, card.id, "lost")
    with pytest.raises(NotFound):
        await desk(elsewhere, "site", world.site, 1, accessNote="x")
    assert await note_of(world) == "two"


# --- through the doors ---


@pytest.fixture
async def graph(settings: Settings, db: Database, world: World) -> AsyncIterator[dict[str, Graph]]:
    """The API as a dispatcher, a supervisor, and an engineer with the first phone."""
    async with application(settings, db) as (app, client):
        add_hooks(db)
        issuer = app.state.issuer
        phone = world.phones[0]
        assert world.dispatcher.user_id is not None
        assert phone.actor.user_id is not None
        supervisor = await someone(world, Role.SUPERVISOR)
        tokens = {
            "dispatcher": await token_of(db, issuer, world.org, world.dispatcher.user_id),
            "supervisor": await token_of(db, issuer, world.org, supervisor),
            "engineer": await token_of(db, issuer, world.org, phone.actor.user_id, phone.device_id),
        }
        yield {name: Graph(client, token) for name, token in tokens.items()}


LIST = (
    OPERATIONS["conflicts"].replace("mutation SettleConflict", "mutation Unused").split("mutation Unused")[0]
)
FRAGMENTS = "fragment Card" + OPERATIONS["conflicts"].split("fragment Card", 1)[1]
SETTLE = (
    "mutation SettleConflict"
    + OPERATIONS["conflicts"].split("mutation SettleConflict", 1)[1].split("fragment Card", 1)[0]
)


async def test_a_conflict_by_push_is_settled_by_the_api(world: World, graph: dict[str, Graph]) -> None:
    """The whole way: two phones push, the second is told of the conflict in words, the dispatcher reads the card, settles
    it, and both phones pull the same."""
    for n, phone in enumerate(world.phones[:2]):
        [answer] = await phone.push(edit(phone, "site", world.site, {"accessNote": f"Code {n}"}))
    assert (answer.status, answer.code) == ("conflict", "FIELD_CONFLICT")
    assert answer.path == "payload.changes.accessNote"
    assert "accessNote" in (answer.message or "")
    assert await world.value("select count(*) from quarantine") == 0
    shown = await graph["dispatcher"].ask(LIST + FRAGMENTS)
    [card] = shown["conflicts"]["nodes"]
    assert (card["kept"]["value"], card["lost"]["value"], card["base"]) == ("Code 1", "Code 0", "")
    assert (card["lost"]["userName"], card["lost"]["deviceName"]) == ("Engineer 0", "phone")
    assert (card["lost"]["lat"], card["label"]) == (37.7793, "Cellar")
    seen = await graph["supervisor"].ask(LIST + FRAGMENTS)
    assert seen == shown
    settled = await graph["dispatcher"].ask(
        SETTLE + FRAGMENTS,
        {"id": card["id"], "choice": "other", "value": "Code 0 or 1", "note": "both doors"},
    )
    assert settled["settleConflict"]["state"] == "settled"
    for phone in world.phones[:2]:
        await phone.pull()
        assert phone.copy[str(world.site)]["doc"]["accessNote"] == "Code 0 or 1"
    assert (await graph["dispatcher"].ask(LIST + FRAGMENTS))["conflicts"]["nodes"] == []


async def test_who_may_settle_and_edit(world: World, graph: dict[str, Graph]) -> None:
    """Watching is not deciding: a supervisor reads cards, an engineer does not even see them, and neither writes."""
    [card] = await clash(world, "one", "two")
    for name in ("supervisor", "engineer"):
        refused = await graph[name].refused(SETTLE + FRAGMENTS, {"id": str(card.id), "choice": "lost"})
        assert refused["code"] == "NOT_ALLOWED"
        refused = await graph[name].refused(OPERATIONS["edit_record"], edit_of(world, "x"))
        assert refused["code"] == "NOT_ALLOWED"
    assert (await graph["engineer"].refused(LIST + FRAGMENTS))["code"] == "NOT_ALLOWED"
    assert await note_of(world) == "two"


async def test_the_dispatcher_edits_by_the_same_rules(world: World, graph: dict[str, Graph]) -> None:
    """The desk's own writing is merged, recorded and refused like a phone's, in the reader's language."""
    ask = graph["dispatcher"].ask
    done = (await ask(OPERATIONS["edit_record"], edit_of(world, "Ring at 3")))["editRecord"]
    assert done == {"status": "applied", "code": None, "path": None, "message": None, "revision": 2}
    phone = world.phones[0]
    await phone.push(edit(phone, "contact", world.contact, {"email": "ann@x.org"}))
    variables = {
        "entity": "contact",
        "id": str(world.contact),
        "baseRevision": 1,
        "changes": {"name": "Anna"},
    }
    done = (await ask(OPERATIONS["edit_record"], variables))["editRecord"]
    assert (done["status"], done["code"], done["revision"]) == ("applied", "PARALLEL_UPDATE", 3)
    for changes, path in (
        ({"lat": 1}, "changes.lat"),
        ({"accessNote": 1}, "changes.accessNote"),
        ([], "changes"),
    ):
        refused = await graph["dispatcher"].refused(
            OPERATIONS["edit_record"], {**edit_of(world, "x"), "changes": changes}
        )
        assert (refused["code"], refused["path"]) == ("BAD_FIELD", path)
    refused = await graph["dispatcher"].refused(
        OPERATIONS["edit_record"], {**edit_of(world, "x"), "id": str(new_id())}
    )
    assert refused["code"] == "NOT_FOUND"


async def test_pages_of_cards(world: World, graph: dict[str, Graph]) -> None:
    """A morning's cards are paged without one missing or coming twice."""
    await clash(world, "one", "two", "three")
    phone, other = world.phones[:2]
    for one, text in ((phone, "x"), (other, "y")):
        await write(one, item(one, "asset", world.asset, baseRevision=1, changes={"note": text}))
    seen: list[str] = []
    after = None
    while True:
        page = (await graph["dispatcher"].ask(LIST + FRAGMENTS, {"first": 2, "after": after}))["conflicts"]
        seen += [node["id"] for node in page["nodes"]]
        if not page["hasMore"]:
            break
        after = page["endCursor"]
    assert len(seen) == 3
    assert seen == sorted(set(seen), reverse=True)
    refused = await graph["dispatcher"].refused(LIST + FRAGMENTS, {"state": "lost"})
    assert (refused["code"], refused["path"]) == ("BAD_FIELD", "state")


def edit(phone: Phone, entity: str, id_: UUID, changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An edit as a command, in the course of no visit."""
    payload = {"entity": entity, "id": str(id_), "baseRevision": 1, "changes": changes, **more}
    command = phone.command("record.edit", id_, payload, schemaVersion=2)
    del command["visitId"]
    return command


def edit_of(world: World, text: str) -> dict[str, Any]:
    return {"entity": "site", "id": str(world.site), "baseRevision": 1, "changes": {"accessNote": text}}


def a_minute_ago() -> str:
    """Two edits of one instant would be put in order by how long each request took."""
    return (datetime.now(UTC) - timedelta(minutes=1)).isoformat()


async def outcomes_of(phone: Phone) -> dict[str, tuple[Any, ...]]:
    """What the phone has pulled about its commands: status, path, note, by command."""
    await phone.pull()
    docs = [row["doc"] for row in phone.copy.values() if row["entity"] == "outcome"]
    return {doc["id"]: (doc["status"], doc["path"], doc["note"]) for doc in docs}


PATH = "payload.changes.accessNote"


async def test_the_phone_whose_edit_lost_later_is_told(world: World) -> None:
    """The first phone was answered `applied`; then another edit won. Without an outcome that phone would never learn that
    its value waits for a person, nor what the person said."""
    first, second = world.phones[:2]
    one = edit(first, "site", world.site, {"accessNote": "one"}) | {"deviceTime": a_minute_ago()}
    two = edit(second, "site", world.site, {"accessNote": "two"})
    [answer] = await first.push(one)
    assert answer.status == "applied"
    [answer] = await second.push(two)
    assert answer.status == "conflict"
    assert await outcomes_of(first) == {one["id"]: ("conflict", PATH, None)}
    assert await outcomes_of(second) == {two["id"]: ("conflict", PATH, None)}
    [card] = await cards(world)
    await settle(world, card.id, "lost", note="asked")
    assert await outcomes_of(first) == {one["id"]: ("applied", PATH, "asked")}
    assert (await outcomes_of(second))[two["id"]][0] == "dismissed"


async def test_the_phone_that_writes_anew_is_asked_no_more(world: World) -> None:
    """Who lost and then wrote the field again with the other's value in sight has settled it alone."""
    first, second = world.phones[:2]
    one = edit(first, "site", world.site, {"accessNote": "one"}) | {"deviceTime": a_minute_ago()}
    await first.push(one)
    await second.push(edit(second, "site", world.site, {"accessNote": "two"}))
    await first.pull()
    revision = first.copy[str(world.site)]["doc"]["revision"]
    [answer] = await first.push(
        edit(first, "site", world.site, {"accessNote": "one and two"}, baseRevision=revision)
    )
    assert (answer.status, answer.code) == ("applied", None)
    assert await outcomes_of(first) == {one["id"]: ("dismissed", PATH, None)}
