"""Everything that the schema offers, asked by those whom it does not concern: another tenant, an engineer without a visit
there, another customer's contact, another system. Written from the schema: what is added tomorrow is asked, too."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from graph import Graph, application, someone, token_of
from litestar import Litestar
from walking import questions, schema
from worlds import World

from callout_backend.settings import Settings
from callout_orders import customers, order_notes
from callout_orders.channels import accounts, files
from callout_orders.channels.accounts import ChannelInput
from callout_orders.customers import NewContact, NewCustomer
from callout_orders.desk import todos
from callout_orders.desk.todos import NewTodo
from callout_people import api_keys
from callout_people.principals import Role
from callout_people.users import NewUser, create_user
from callout_store.work import Database

CANARY = "canary7391"
FAULTS = {"INTERNAL", "SYNTAX", "DOCUMENT_INVALID", "VARIABLES_INVALID"}
UNREAD = FAULTS | {"QUERY_TOO_COMPLEX"}


class House:
    """A tenant full of canaries, and callers whom none of it concerns."""

    def __init__(self, db: Database, app: Litestar, http: httpx.AsyncClient) -> None:
        self.db, self.app, self.http = db, app, http
        self.ids: dict[str, UUID] = {}

    async def build(self) -> "House":
        self.world = world = await World(self.db).build(phones=1)
        order = await world.order(description=f"{CANARY} description", reporter_name=f"{CANARY} reporter")
        visit = await world.visit(world.phones[0], order)
        async with self.db.work(world.org, actor=world.dispatcher) as work:
            await work.execute("update customer set name = $1", f"{CANARY} customer")
            await work.execute("update contact set name = $1", f"{CANARY} contact")
            await work.execute("update site set address = $1", f"{CANARY} address")
            note = await order_notes.add_note(work, order, f"{CANARY} note")
            channel = await accounts.save(
                work, ChannelInput(code="form", kind="web_form", name=f"{CANARY} form", default_kind="repair")
            )
            file = await files.add_stored(
                work, holder="x", name=f"{CANARY}.pdf", media_type="application/pdf", size_bytes=1,
                sha256=bytes(32), order_id=order,
            )  # fmt: skip
            assert world.dispatcher.user_id is not None
            await todos.ask(
                work,
                [
                    NewTodo(
                        user_id=world.dispatcher.user_id,
                        kind="intake.file_failed",
                        matter=f"x:{CANARY}",
                        order_id=order,
                    )
                ],
            )
            todo = await work.fetchval("select id from todo order by id desc limit 1")
        self.ids = {
            "order": order, "visit": visit, "customer": world.customer, "site": world.site, "contact": world.contact,
            "asset": world.asset, "channel": channel, "file": file, "todo": todo, "note": note,
            "user": world.dispatcher.user_id, "engineer": world.phones[0].engineer_id, "org": world.org,
        }  # fmt: skip
        await self.people()
        self.number = await world.value("select number from work_order where id = $1", order)
        return self

    async def caller(self, world: World, user: UUID) -> Graph:
        return Graph(self.http, await token_of(self.db, self.app.state.issuer, world.org, user))

    async def people(self) -> None:
        """The callers: an admin of another tenant, an engineer who was never sent there, another customer's contact."""
        other = await World(self.db).build(phones=1)
        self.stranger = await self.caller(other, await someone(other, Role.ADMIN))
        self.engineer = await self.caller(self.world, await someone(self.world, Role.ENGINEER))
        self.admin = await self.caller(self.world, await someone(self.world, Role.ADMIN))
        async with self.db.work(self.world.org) as work:
            user = await create_user(
                work,
                NewUser(email=f"c-{self.world.org.hex}@example.org", name="Carl", role=Role.CUSTOMER_CONTACT),
            )
            customer = await customers.create_customer(work, NewCustomer(number="C-2", name="Other"))
            await customers.create_contact(work, NewContact(customer_id=customer, name="Carl", user_id=user))
        self.contact = await self.caller(self.world, user)


@pytest.fixture(scope="module")
async def house(settings: Settings, db: Database) -> AsyncIterator[House]:
    async with application(settings, db) as (app, http):
        yield await House(db, app, http).build()


def _unread(error: dict[str, Any]) -> bool:
    """Whether the document was refused without anybody looking at it."""
    return error["extensions"]["code"] in UNREAD


async def walk(house: House, caller: Graph, root: str) -> dict[str, str]:
    """What each field of a root answered that holds a canary."""
    found = schema()
    type_ = found.query_type if root == "query" else found.mutation_type
    assert type_ is not None
    told: dict[str, str] = {}
    asked = 0
    flatter = list(questions(type_, root, house.ids, house.number, depth=2))
    for n, (name, document, variables) in enumerate(questions(type_, root, house.ids, house.number)):
        answer = await caller.send(document, variables)
        asked += 1
        errors = answer.json().get("errors", ())
        codes = {one["extensions"]["code"] for one in errors}
        assert not codes & FAULTS, (name, document, answer.text)
        if CANARY in answer.text:
            told[name] = answer.text
        elif root == "query" and any(len(one.get("path", ())) > 1 or _unread(one) for one in errors):
            # Below a field that is forbidden nothing is shown: what the deeper question hides the flatter one may tell.
            answer = await caller.send(flatter[n][1], variables)
            assert not any(_unread(one) for one in answer.json().get("errors", ())), (name, answer.text)
            if CANARY in answer.text:
                told[name] = answer.text
    assert asked > 100
    return told


STAFF_KNOW: frozenset[str] = frozenset()
"""Fields whose answer to any engineer of the house may hold what was written in the house."""


async def test_the_walk_finds_what_is_there(house: House) -> None:
    """Were the walk blind, all of the following would pass on an open house."""
    seen = await walk(house, house.admin, "query")
    assert {"order", "orders", "customer", "site", "callers", "intakeChannels", "desk"} <= set(seen)


@pytest.mark.parametrize("root", ("query", "mutation"))
async def test_another_tenant_learns_nothing(house: House, root: str) -> None:
    """The first promise to every customer, over every field there is."""
    before = await house.world.value("select count(*) from journal")
    assert await walk(house, house.stranger, root) == {}
    assert await house.world.value("select count(*) from journal") == before


@pytest.mark.parametrize("who", ("engineer", "contact"))
async def test_whom_an_order_does_not_concern_learns_nothing_of_it(house: House, who: str) -> None:
    """Engineers would read the whole book of orders on their phones; one customer would read another's."""
    caller: Graph = getattr(house, who)
    told = await walk(house, caller, "query")
    assert set(told) <= STAFF_KNOW, told


@pytest.mark.parametrize("who", ("engineer", "contact"))
async def test_whom_an_order_does_not_concern_changes_nothing_of_it(house: House, who: str) -> None:
    """A guessed id must be worth nothing to a mutation either."""
    caller: Graph = getattr(house, who)
    state = """
        select md5(string_agg(t::text, '' order by id)) from (
            select id, o::text from work_order o union all select id, v::text from visit v
            union all select id, c::text from customer c union all select id, t::text from todo t) t
    """
    before = await house.world.value(state)
    assert await walk(house, caller, "mutation") == {}
    assert await house.world.value(state) == before


async def test_a_key_opens_no_graphql(house: House) -> None:
    """A key's scopes are about the public API: GraphQL knows roles alone, and a key of orders:read would read everything."""
    async with house.db.work(house.world.org, actor=house.world.dispatcher) as work:
        made = await api_keys.create(work, name="ERP", scopes=["orders:read", "orders:write"])
    for headers in ({"Authorization": f"Bearer {made.text}"}, {"X-Api-Key": made.text}):
        answer = await house.http.post(
            "/graphql", json={"query": "{ orders { nodes { id } } }"}, headers=headers
        )
        assert "data" not in answer.json() or answer.json()["data"] is None
        assert answer.json()["errors"][0]["extensions"]["code"] == "NOT_AUTHENTICATED"


@pytest.mark.parametrize("who", ("stranger", "engineer", "contact"))
async def test_files_of_others_are_not_there(house: House, who: str) -> None:
    """The photograph of somebody's cellar is nobody else's business."""
    caller: Graph = getattr(house, who)
    answer = await house.http.get(f"/v1/files/{house.ids['file']}", headers=caller.headers())
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    timeline: Any = await house.http.get(
        f"/v1/orders/{house.ids['order']}/timeline", headers=caller.headers()
    )
    assert timeline.status_code in (403, 404)
    assert CANARY not in timeline.text
