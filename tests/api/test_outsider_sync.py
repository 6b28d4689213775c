"""Somebody who must not see it asks for it: every root field and door, with every id of another's world.

The other world is full of one word. It must come back in no answer, nor may any id that was not in the question; and
whatever was asked, nothing there has changed.
"""

import random
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from graph import Graph, application, someone, token_of
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)
from office import desk_edit
from uploading import TUS, phone_uploader, picture, send_photo
from worlds import Phone, World

from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_dispatch import engineers
from callout_graphql.schema import engine
from callout_orders import customers, forms
from callout_orders.knowledge import articles
from callout_people.principals import Role
from callout_store.ids import new_id
from callout_store.work import Database
from callout_sync import wipe

WORD = "zirconium"
UUIDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
DEPTH_MAX = 2
TEXTS = {"kind": "repair", "priority": "P1", "channel": "app", "choice": "kept", "tier": "standard", "search": WORD,
         "entity": "site", "number": "WO-000001", "skill": "sewer", "locale": "en"}  # fmt: skip

Ids = Mapping[str, UUID]


@dataclass(frozen=True, kw_only=True)
class Town:
    """Two organisations: what is in the one is nothing to those who ask."""

    app: Any
    world: World
    other: World
    ids: Ids
    """Of the first, by kind."""
    admin: asyncpg.Connection

    async def caller(self, world: World, user: UUID | None, device: UUID | None = None) -> Graph:
        assert user is not None
        litestar, client = self.app
        return Graph(client, await token_of(world.db, litestar.state.issuer, world.org, user, device))

    async def phone(self, phone: Phone) -> Graph:
        return await self.caller(phone.world, phone.actor.user_id, phone.device_id)

    async def contents(self) -> dict[str, str]:
        """Table → a hash of what the first organisation has in it."""
        return {
            name: await self.admin.fetchval(
                f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {name} t where org_id = $1",
                self.world.org,
            )
            for name in await self.tables("org_id")
            if name not in ("session", "refresh_token")
        }

    async def tables(self, column: str) -> list[str]:
        rows = await self.admin.fetch(
            "select table_name from information_schema.columns where table_schema = 'public' and column_name = $1",
            column,
        )
        return [row["table_name"] for row in rows]

    async def all_ids(self) -> set[str]:
        """Every id there is in the first organisation."""
        found: set[str] = set()
        for name in set(await self.tables("id")) & set(await self.tables("org_id")):
            rows = await self.admin.fetch(f"select id::text from {name} where org_id = $1", self.world.org)
            found |= {row["id"] for row in rows}
        return found


@pytest.fixture(scope="module")
async def town(settings: Settings, db: Database, database_urls: Any) -> AsyncIterator[Town]:
    add_hooks(db)
    admin = await asyncpg.connect(database_urls.admin)
    async with application(settings, db) as app:
        world, other = await World(db).build(), await World(db).build()
        await other.visit(other.phones[0])
        yield Town(app=app, world=world, other=other, ids=await fill(app, world, settings), admin=admin)
    await admin.close()


async def fill(app: Any, world: World, settings: Settings) -> Ids:
    """Everything that sync can hold, with the word in every text: a photo, what is held, quarantined, in conflict."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    uploader = await phone_uploader(app, world)
    photo = await send_photo(world, settings, uploader, visit, picture(seed=901))
    under_way = (await uploader.create(picture(seed=902))).headers["location"].rsplit("/", 1)[-1]
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        for table, column in (
            ("site", "name"), ("asset", "note"), ("contact", "name"), ("customer", "name"), ("device", "name"),
            ("visit", "engineer_note"), ("work_order", "description"), ("attachment", "caption"), ("app_user", "name"),
        ):  # fmt: skip
            await work.execute(f"update {table} set {column} = $1 where org_id = callout_org()", WORD)
        text = articles.ArticleText(title=WORD, body=WORD)
        article = await articles.save_article(work, text)
        form = await forms.save_form(
            work, forms.NewForm(code="f", title_en=WORD, title_zh=WORD, schema={"type": "object"})
        )
        await wipe.request_wipe(work, phone.device_id, wipe.WipeMode.AFTER_UPLOAD, WORD)
    first = await phone.push(
        phone.command("visit.note", visit, {"text": WORD}),
        phone.command("visit.note", uuid4(), {"text": WORD}),
    )
    phone.sequence += 5
    later = phone.command("visit.note", visit, {"text": WORD}, schemaVersion=2)
    held = await phone.push(later, oldest_pending=phone.sequence - 1, schema_version=2)
    edit = {"entity": "site", "id": str(world.site), "baseRevision": 1, "changes": {"accessNote": WORD}}
    await desk_edit(world, "site", world.site, accessNote=WORD * 2)
    lost = await phone.push(phone.command("record.edit", visit, edit, schemaVersion=2), schema_version=2)
    told = [answer.status for answer in (*first, *held, *lost)]
    assert told == ["applied", "quarantined", "held", "conflict"]

    async def one(sql: str) -> UUID:
        found: UUID = await world.value(f"{sql} where org_id = callout_org() limit 1")
        return found

    return {
        "visit": visit,
        "order": await one("select id from work_order"),
        "engineer": phone.engineer_id,
        "customer": world.customer,
        "contact": world.contact,
        "site": world.site,
        "asset": world.asset,
        "part": world.part,
        "device": phone.device_id,
        "user": phone.actor.user_id or new_id(),
        "article": article,
        "form": form,
        "attachment": photo.event,
        "quarantined": await one("select id from quarantine"),
        "held": await one("select command_id from held_command"),
        "conflict": await one("select id from field_conflict"),
        "outcome": await one("select id from outcome"),
        "stock": await one("select id from stock_level"),
        "upload": UUID(under_way),
    }


# --- asking ------------------------------------------------------------------------------------------------------


def below(field: GraphQLField, depth: int = 0) -> str:
    """All that can be read below a field."""
    named = get_named_type(field.type)
    if not isinstance(named, GraphQLObjectType):
        return ""
    parts = [
        name + below(inner, depth + 1)
        for name, inner in named.fields.items()
        if is_leaf_type(get_named_type(inner.type)) or depth < DEPTH_MAX
    ]
    return " { __typename " + " ".join(parts) + " }"


def value(type_: Any, name: str, pick: Callable[[str], UUID]) -> Any:
    """A value for an argument; ids are picked by the argument's name."""
    if is_non_null_type(type_):
        return value(type_.of_type, name, pick)
    if is_list_type(type_):
        return [value(type_.of_type, name, pick)]
    if isinstance(type_, GraphQLInputObjectType):
        return {
            inner: value(part.type, inner, pick)
            for inner, part in type_.fields.items()
            if is_non_null_type(part.type) or str(part.type) in ("UUID", "JSON")
        }
    if isinstance(type_, GraphQLEnumType):
        return next(iter(type_.values))
    plain = {
        "Date": "2026-11-22",
        "DateTime": "2026-11-22T08:00:00Z",
        "Int": 20,
        "Long": 1,
        "Float": 1.0,
        "Boolean": True,
    }
    match str(type_):
        case "UUID":
            return str(pick(name))
        case "JSON":
            return {"id": str(pick("id")), "accessNote": "taken over", "_deleted": False}
        case "String":
            return TEXTS.get(name, "x")
        case other:
            return plain[other]


def questions(field: GraphQLField, ids: Ids, own: Ids, rng: random.Random) -> list[dict[str, Any]]:
    """Variables for a root field: each id of the other's everywhere, the fitting ones, and those mixed with own ones."""

    def fitting(name: str, pool: Ids) -> UUID:
        kind = re.sub(r"(Id|Ids|_id)$", "", name)
        return pool[kind] if kind in pool else rng.choice(list(pool.values()))

    picks: list[Callable[[str], UUID]] = [lambda _, id_=id_: id_ for id_ in ids.values()]  # type: ignore[misc]
    picks.append(lambda name: fitting(name, ids))
    picks += [lambda name: fitting(name, ids if rng.random() < 0.5 else own)] * 3
    # Filters are left out in the end: a list may not need an id to tell too much.
    made = [{n: value(a.type, n, pick) for n, a in field.args.items() if n != "after"} for pick in picks]
    made.append({n: value(a.type, n, picks[-1]) for n, a in field.args.items() if is_non_null_type(a.type)})
    return list({msgspec.json.encode(one): one for one in made}.values())


async def ask_everything(town: Town, graph: Graph, own: Ids, allowed: set[str], seed: int) -> set[str]:
    """Put all questions; fails the test on a leak or a fault. The codes of the refusals."""
    schema, rng = engine().schema, random.Random(f"{seed}:outsider-sync")
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    theirs, codes = await town.all_ids() - allowed, set[str]()
    roots = [("query", *item) for item in schema.query_type.fields.items()]
    roots += [("mutation", *item) for item in schema.mutation_type.fields.items()]
    for root, name, field in roots:
        for variables in questions(field, town.ids, own, rng):
            head = ", ".join(f"${n}: {field.args[n].type}" for n in variables)
            given = ", ".join(f"{n}: ${n}" for n in variables)
            document = f"{root}{f'({head})' if head else ''} {{ {name}{f'({given})' if given else ''}{below(field)} }}"
            answer = await graph.send(document, variables)
            told = f"{document}\n{variables}\n{answer.text[:1000]}"
            found = {error["extensions"]["code"] for error in answer.json().get("errors", ())}
            assert not found & {"INTERNAL", "GRAPHQL_VALIDATION_FAILED", "QUERY_TOO_COMPLEX"}, told
            assert WORD not in answer.text, told
            asked = set(UUIDS.findall(str(variables)))
            assert not set(UUIDS.findall(answer.text)) & theirs - asked, told
            codes |= found
    return codes


def of(phone: Phone) -> dict[str, UUID]:
    """What belongs to a phone that asks."""
    world = phone.world
    assert phone.actor.user_id is not None
    return {
        "engineer": phone.engineer_id, "device": phone.device_id, "user": phone.actor.user_id,
        "customer": world.customer, "site": world.site, "contact": world.contact, "asset": world.asset,
        "part": world.part,
    }  # fmt: skip


@pytest.mark.parametrize("who", ("admin", "phone"))
async def test_another_organisation_gets_no_row_and_changes_none(town: Town, who: str, seed: int) -> None:
    """Ids leak in links, logs and screenshots. Of an organisation that shares the server a stranger must learn nothing,
    not even mixed with rows of their own."""
    # A house of its own for each stranger: what one of them wrote down in a form of theirs is no leak to the next.
    other = await World(town.world.db).build()
    await other.visit(other.phones[0])
    (visit,) = await other.fetch("select id, order_id from visit where org_id = callout_org()")
    own = {**of(other.phones[0]), "visit": visit["id"], "order": visit["order_id"]}
    graph = (
        await town.phone(other.phones[1])
        if who == "phone"
        else await town.caller(other, await someone(other, Role.ADMIN))
    )
    before = await town.contents()
    codes = await ask_everything(town, graph, own, set(), seed)
    assert codes > {"NOT_FOUND", "NOT_ALLOWED"} if who == "admin" else codes > {"NOT_ALLOWED"}
    assert await town.contents() == before


async def test_a_customer_sees_nothing_of_another_customer(town: Town, seed: int) -> None:
    """A tenant in one building must not read about the machines, keys and people of the next."""
    world = town.world
    user, contact = await someone(world, Role.CUSTOMER_CONTACT), new_id()
    async with world.db.work(world.org) as work:
        customer = await customers.create_customer(work, customers.NewCustomer(number="C-2", name="Next"))
        await work.execute(
            "insert into contact (id, customer_id, name, user_id) values ($1, $2, 'Bo', $3)",
            contact,
            customer,
            user,
        )
    graph = await town.caller(world, user)
    before = await town.contents()
    codes = await ask_everything(
        town, graph, {"customer": customer, "contact": contact}, {str(user), str(world.org)}, seed
    )
    assert "NOT_ALLOWED" in codes
    assert await town.contents() == before


async def test_an_engineer_changes_nothing_of_a_colleagues(town: Town) -> None:
    """A phone of the same house pushes rows that it was never given: they are kept for a person, they change nothing,
    and the answer does not tell what stands there."""
    graph = await town.phone(town.world.phones[1])
    before = await town.contents()
    for entity in ("site", "contact", "asset", "visit"):
        name = entity.capitalize()
        new = {"id": str(town.ids[entity]), "accessNote": "mine", "note": "mine", "name": "mine",
               "engineerNote": "mine", "_deleted": False}  # fmt: skip
        rows = [{"assumedMasterState": {"id": new["id"]}, "newDocumentState": new}]
        query = f"""mutation($rows: [{name}InputPushRow!]) {{
            push{name}({entity}PushRow: $rows) {{ id _deleted }} pushAnswers {{ status }} }}"""
        answer = await graph.send(query, {"rows": rows})
        assert answer.status_code == 200, answer.text
        assert WORD not in answer.text
        told = answer.json()["data"]
        assert told[f"push{name}"] == [{"id": new["id"], "_deleted": True}]
        assert {one["status"] for one in told["pushAnswers"]} == {"quarantined"}
    after = await town.contents()
    own = {"quarantine", "receipt", "outcome", "sync_feed", "journal", "device", "engineer"}
    assert {name for name in after if after[name] != before[name]} <= own


@pytest.mark.parametrize("method", ("GET", "HEAD", "PATCH", "DELETE"))
async def test_files_of_others_are_not_there(town: Town, method: str) -> None:
    """A photo shows a customer's cellar. By its address alone nobody gets it, nor the bytes of one under way."""
    strangers = [
        await town.phone(town.other.phones[0]),
        await town.phone(town.world.phones[1]),
        await town.caller(town.other, await someone(town.other, Role.SUPERVISOR))
        if method == "GET"
        else None,
    ]
    for graph in filter(None, strangers):
        headers = graph.headers(
            **TUS, **{"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        )
        if method == "GET":
            for size in ("", "?size=thumb"):
                answer = await graph.client.get(
                    f"/v1/attachments/{town.ids['attachment']}{size}", headers=headers
                )
                assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
        else:
            content = b"x" if method == "PATCH" else None
            path = f"/v1/uploads/{town.ids['upload']}"
            answer = await graph.client.request(method, path, headers=headers, content=content)
            assert answer.status_code == 404
    assert await town.world.value("select offset_bytes from upload where id = $1", town.ids["upload"]) == 0


async def test_an_engineer_who_left_the_crew_sees_no_more_visits(town: Town) -> None:
    """Their phone is emptied as soon as they are no engineer any more; by the API they went on reading of visits,
    with the photos of them."""
    phone = town.other.phones[0]
    graph = await town.phone(phone)
    query = "{ visits { nodes { id } } orders { nodes { id } } viewer { engineer { id } } }"
    assert (await graph.ask(query))["visits"]["nodes"]
    async with town.other.db.work(town.other.org) as work:
        await engineers.set_active(work, phone.engineer_id, False)
    told = await graph.ask(query)
    assert told == {"visits": {"nodes": []}, "orders": {"nodes": []}, "viewer": {"engineer": None}}
