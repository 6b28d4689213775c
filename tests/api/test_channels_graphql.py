"""Channels over GraphQL, and the files' doors: who sets accounts, who works on conversations, and who sees what."""

import io
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from graph import Graph, application, someone, token_of
from litestar import Litestar
from PIL import Image
from worlds import World

from callout_backend.jobs import channels as channel_jobs
from callout_backend.jobs.chat_services import ChatServices
from callout_backend.jobs.drain import drain
from callout_backend.settings import Settings
from callout_graphql.operations import OPERATIONS
from callout_orders import customers
from callout_orders.channels import accounts, inbox
from callout_orders.channels.terms import Inbound
from callout_people.principals import Role
from callout_store.work import Database
from callout_sync.blobs import Storage

KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
WECOM = {
    "code": "wecom",
    "kind": "wecom",
    "name": "WeCom",
    "locale": "en",
    "defaultKind": "service",
    "settings": {"corpId": "ww1", "agentId": 7},
    "secrets": {"token": "very-secret-token", "aesKey": KEY},
}
SAVE = """
mutation($id: UUID, $revision: Int, $input: ChannelInput!) {
  saveIntakeChannel(id: $id, revision: $revision, input: $input) { id revision secretsSet address settings }
}
"""
SUBMIT = """
mutation($input: SubmitRequest!) {
  submitRequest(input: $input) { orderId number existing order { channel files { id name url thumbUrl } } }
}
"""


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, "JPEG")
    return out.getvalue()


@pytest.fixture(scope="module")
async def client(settings: Settings, db: Database) -> AsyncIterator[tuple[Litestar, httpx.AsyncClient]]:
    async with application(settings, db) as both:
        yield both


class House:
    """An organisation and its people as callers."""

    def __init__(self, world: World, app: Litestar, http: httpx.AsyncClient) -> None:
        self.world, self.app, self.http = world, app, http

    async def build(self) -> "House":
        self.contact_user = await someone(self.world, Role.CUSTOMER_CONTACT)
        async with self.world.db.work(self.world.org) as work:
            self.contact_id = await customers.create_contact(
                work,
                customers.NewContact(
                    customer_id=self.world.customer,
                    name="Cara",
                    phone="+14155552672",
                    user_id=self.contact_user,
                ),
            )
        assert self.world.dispatcher.user_id is not None
        self.admin = await self.caller(await someone(self.world, Role.ADMIN))
        self.dispatcher = await self.caller(self.world.dispatcher.user_id)
        self.contact = await self.caller(self.contact_user)
        return self

    async def caller(self, user: UUID) -> Graph:
        return Graph(self.http, await token_of(self.world.db, self.app.state.issuer, self.world.org, user))

    async def saved(self, **changes: Any) -> Any:
        return (await self.admin.ask(SAVE, {"input": {**WECOM, **changes}}))["saveIntakeChannel"]

    async def hears(self, text: str, id_: str = "m1") -> None:
        async with self.world.db.work(self.world.org) as work:
            account = await accounts.account_by_code(work, "wecom")
            assert account is not None
            said = Inbound(external_id=id_, peer="LiLei", kind="text", text=text)
            await inbox.record(work, account, said, raw=b"x", size_bytes=1)
        storage: Storage = self.app.state.storage
        made = channel_jobs.make_handlers(storage, ChatServices(), "http://t")
        await drain(self.world.db, {"intake.handle": made["intake.handle"]}, only=True)


@pytest.fixture
async def house(db: Database, client: tuple[Litestar, httpx.AsyncClient]) -> House:
    return await House(await World(db).build(), *client).build()


async def test_secrets_go_in_and_never_come_out(house: House) -> None:
    """A stolen session of an admin would give the keys of the company's chat account away."""
    saved = await house.saved()
    assert saved["secretsSet"] == ["aesKey", "token"]
    assert saved["address"].endswith("/wecom")
    everything = (await house.admin.send(OPERATIONS["channels"].split("mutation")[0])).text
    assert "very-secret-token" not in everything
    assert KEY not in everything
    # Saved again without secrets they stay; null takes one away, and then the account cannot be on.
    changed = {**WECOM, "name": "Other", "secrets": {}}
    again = await house.admin.ask(SAVE, {"id": saved["id"], "revision": 1, "input": changed})
    assert again["saveIntakeChannel"]["secretsSet"] == ["aesKey", "token"]
    gone = await house.admin.refused(
        SAVE, {"id": saved["id"], "input": {**changed, "secrets": {"token": None}}}
    )
    assert (gone["path"], gone["code"]) == ("secrets.token", "BAD_FIELD")
    stale = await house.admin.refused(SAVE, {"id": saved["id"], "revision": 1, "input": changed})
    assert stale["code"] == "STALE_REVISION"
    lines = await house.world.fetch(
        "select data::text as data from journal where kind = 'intake_channel.saved'"
    )
    assert not any("secret-token" in row["data"] or KEY in row["data"] for row in lines)


async def test_everything_wrong_with_an_account_is_said_at_once(house: House) -> None:
    """An admin would be sent back for one field after the other."""
    refused = await house.admin.refused(
        SAVE,
        {
            "input": {
                "code": "We Com",
                "kind": "wecom",
                "name": "",
                "settings": {"corpId": "x", "agentId": -1, "colour": "red", "apiBase": "ftp://x"},
                "secrets": {"aesKey": "short", "token": "t"},
                "patienceMinutes": 0,
                "defaultPriority": "P9",
            }
        },
    )
    paths = {fault["path"] for fault in refused["errors"]}
    assert {"code", "name", "patienceMinutes", "defaultPriority", "secrets.aesKey"} <= paths
    assert {"settings.agentId", "settings.colour", "settings.apiBase"} <= paths
    twice = await house.saved()
    assert twice
    assert (await house.admin.refused(SAVE, {"input": WECOM}))["code"] == "ALREADY_EXISTS"


@pytest.mark.parametrize("who", ("dispatcher", "contact"))
async def test_only_admins_set_accounts(house: House, who: str) -> None:
    """Whoever may set the address of the service may read all that is sent to it."""
    caller: Graph = getattr(house, who)
    assert (await caller.refused(SAVE, {"input": WECOM}))["code"] == "NOT_ALLOWED"
    assert (await caller.refused("{ intakeChannels { id } }"))["code"] == "NOT_ALLOWED"


async def test_a_person_completes_what_the_channel_could_not(house: House) -> None:
    """A customer who cannot find the serial number would never get an order."""
    await house.saved()
    await house.hears("The pump in the cellar is very loud")
    (draft,) = (await house.dispatcher.ask("{ intakeDrafts { nodes { id } } }"))["intakeDrafts"]["nodes"]
    ask = "query($id: UUID!) { intakeDraft(id: $id) { description faults { path en zh } messages { direction text } } }"
    seen = (await house.dispatcher.ask(ask, {"id": draft["id"]}))["intakeDraft"]
    assert [one["direction"] for one in seen["messages"]] == ["in", "out"]
    missing = {one["path"] for one in seen["faults"]}
    assert missing
    say = "mutation($id: UUID!, $text: String!) { answerDraft(id: $id, text: $text) { state } }"
    answered = await house.dispatcher.ask(say, {"id": draft["id"], "text": "I look it up for you."})
    assert answered["answerDraft"]["state"] == "desk"
    fill = (
        "mutation($id: UUID!, $values: JSON) { completeDraft(id: $id, values: $values) "
        "{ order { number } draft { state faults { path } } } }"
    )
    half = await house.dispatcher.ask(fill, {"id": draft["id"], "values": {"serial": "SN-1"}})
    assert half["completeDraft"]["order"] is None
    assert "contactPhone" in {one["path"] for one in half["completeDraft"]["draft"]["faults"]}
    whole = await house.dispatcher.ask(fill, {"id": draft["id"], "values": {"contactPhone": "+14155552671"}})
    number = whole["completeDraft"]["order"]["number"]
    assert whole["completeDraft"]["draft"]["state"] == "completed"
    told = await house.world.fetch(
        "select content ->> 'text' as text from intake_message where direction = 'out' order by id"
    )
    assert number in told[-1]["text"]
    over = await house.dispatcher.refused(fill, {"id": draft["id"], "values": {}})
    assert over["code"] == "WRONG_STATE"


async def test_what_the_desk_answers_reaches_the_conversation(house: House) -> None:
    """An answer that stands in the timeline only leaves the customer waiting in the chat."""
    await house.saved()
    await house.hears("The pump in the cellar is very loud")
    (draft,) = (await house.dispatcher.ask("{ intakeDrafts { nodes { id } } }"))["intakeDrafts"]["nodes"]
    fill = "mutation($id: UUID!, $values: JSON) { completeDraft(id: $id, values: $values) { order { id } } }"
    values = {"serial": "SN-1", "contactPhone": "+14155552671"}
    order = (await house.dispatcher.ask(fill, {"id": draft["id"], "values": values}))["completeDraft"][
        "order"
    ]
    say = "mutation($id: UUID!, $text: String) { respondToOrder(orderId: $id, text: $text) { first } }"
    await house.dispatcher.ask(say, {"id": order["id"], "text": "Somebody comes at noon."})
    await house.dispatcher.ask(say, {"id": order["id"], "text": "Please switch it off until then."})
    ask = "query($id: UUID!) { intakeDraft(id: $id) { messages { direction text state } } }"
    told = (await house.dispatcher.ask(ask, {"id": draft["id"]}))["intakeDraft"]["messages"]
    assert [one["text"] for one in told if one["direction"] == "out"][-2:] == [
        "Somebody comes at noon.",
        "Please switch it off until then.",
    ]


async def test_a_conversation_may_come_to_nothing(house: House) -> None:
    """Jests and wrong numbers would wait on the desk for ever."""
    await house.saved()
    await house.hears("agent")
    id_ = (await house.dispatcher.ask("{ intakeDrafts { nodes { id } } }"))["intakeDrafts"]["nodes"][0]["id"]
    close = "mutation($id: UUID!, $reason: String!) { closeDraft(id: $id, reason: $reason) { state reason } }"
    closed = await house.dispatcher.ask(close, {"id": id_, "reason": "a wrong number"})
    assert closed["closeDraft"] == {"state": "closed", "reason": "a wrong number"}
    assert (await house.dispatcher.ask("{ intakeDrafts { nodes { id } } }"))["intakeDrafts"]["nodes"] == []
    assert await house.world.value("select state from todo") == "canceled"
    assert (await house.contact.refused("{ intakeDrafts { nodes { id } } }"))["code"] == "NOT_ALLOWED"


async def test_a_contact_asks_for_their_own_customer_with_a_picture(house: House) -> None:
    """The app's users could not show what is wrong, or could order on a competitor's bill."""
    headers = {**house.contact.headers(), "Content-Type": "image/jpeg"}
    brought = await house.http.post(
        "/v1/files", params={"name": "leak.jpg"}, content=picture(), headers=headers
    )
    assert brought.status_code == 201
    asked = {
        "description": "The pump leaks in the cellar",
        "key": "app-0001",
        "kind": "repair",
        "serial": "SN-1",
        "contactPhone": "+14155552672",
        "files": [brought.json()["id"]],
    }
    made = (await house.contact.ask(SUBMIT, {"input": asked}))["submitRequest"]
    assert made["order"]["channel"] == "app"
    assert made["order"]["files"][0]["name"] == "leak.jpg"
    row = (await house.world.fetch("select customer_id, contact_id from work_order order by id"))[0]
    assert tuple(row) == (house.world.customer, house.contact_id)
    again = (await house.contact.ask(SUBMIT, {"input": {**asked, "files": []}}))["submitRequest"]
    assert (again["number"], again["existing"]) == (made["number"], True)
    # The same photograph shows a second fault as well.
    twice = await house.http.post("/v1/files", content=picture(), headers=headers)
    second = {
        **asked,
        "description": "The hose beside it is torn",
        "key": "app-0009",
        "files": [twice.json()["id"]],
    }
    assert len((await house.contact.ask(SUBMIT, {"input": second}))["submitRequest"]["order"]["files"]) == 1
    async with house.world.db.work(house.world.org) as work:
        rival = await customers.create_customer(work, customers.NewCustomer(number="C-9", name="Rival"))
    strange = await house.contact.refused(
        SUBMIT, {"input": {**asked, "key": "app-0002", "customerId": str(rival), "files": []}}
    )
    assert strange["code"] == "NOT_FOUND"
    several = await house.contact.refused(
        SUBMIT,
        {"input": {"description": "", "key": "app-0003", "kind": "repair", "contactPhone": "1390000000"}},
    )
    assert several["code"] == "FIELDS_REFUSED"
    assert {"contactPhone", "description"} <= {one["path"] for one in several["errors"]}
    assert (await house.dispatcher.refused(SUBMIT, {"input": asked}))["code"] == "NOT_ALLOWED"


CREATE = "mutation($input: CreateWorkOrder!) { createWorkOrder(input: $input) { id files { name } } }"


async def test_the_desks_own_files_stay_with_the_order(house: House) -> None:
    """The picture that a rule asked for would be taken as proof, and thrown away with what nobody wanted."""
    headers = {**house.dispatcher.headers(), "Content-Type": "image/jpeg"}

    async def bring(name: str) -> str:
        answer = await house.http.post("/v1/files", params={"name": name}, content=picture(), headers=headers)
        return str(answer.json()["id"])

    first = await bring("one.jpg")
    order = {
        "customerId": str(house.world.customer),
        "siteId": str(house.world.site),
        "description": "The pump leaks",
        "contactPhone": "+14155552672",
        "kind": "general",
        "channel": "hotline",
        "references": [{"system": "erp", "reference": "7"}],
        "files": [
            {"mediaType": "image/png", "id": first},
            {"mediaType": "image/png", "name": "kept by the ERP"},
        ],
    }
    made = (await house.dispatcher.ask(CREATE, {"input": order}))["createWorkOrder"]
    assert [one["name"] for one in made["files"]] == ["one.jpg"]
    again = (await house.dispatcher.ask(CREATE, {"input": order}))["createWorkOrder"]
    assert again == made
    taken = {**order, "references": []}
    assert (await house.dispatcher.refused(CREATE, {"input": taken}))["path"] == "input.files.0"
    second = await bring("two.jpg")
    rest = {**taken, "files": [{"mediaType": "image/jpeg", "id": second}]}
    strange = await house.http.post("/v1/work-orders", json=rest, headers=house.admin.headers())
    assert (strange.status_code, strange.json()["path"]) == (422, "files.0")
    posted = await house.http.post("/v1/work-orders", json=rest, headers=house.dispatcher.headers())
    assert posted.status_code == 201, posted.text
    held = await house.world.value("select order_id from intake_file where id = $1", UUID(second))
    assert str(held) == posted.json()["id"]


async def test_files_are_seen_by_who_sees_the_order(house: House) -> None:
    """A customer's pictures of their rooms would be open to everybody who has an account."""
    pdf = b"%PDF-1.7 a report"
    brought = await house.http.post(
        "/v1/files", params={"name": "re\r\nport.pdf"}, content=pdf, headers=house.contact.headers()
    )
    address = f"/v1/files/{brought.json()['id']}"
    own = await house.http.get(address, headers=house.contact.headers())
    assert (own.status_code, own.content) == (200, pdf)
    assert own.headers["content-disposition"].startswith("attachment;")
    assert own.headers["content-security-policy"].endswith("sandbox")
    engineer = house.world.phones[0].actor
    assert engineer.user_id is not None
    other = await house.caller(engineer.user_id)
    assert (await house.http.get(address)).status_code == 401
    assert (await house.http.get(address, headers=other.headers())).status_code == 404
    stranger = await House(await World(house.world.db).build(), house.app, house.http).build()
    assert (await house.http.get(address, headers=stranger.admin.headers())).status_code == 404
    bad = await house.http.post("/v1/files", content=b"<script>", headers=house.contact.headers())
    assert (bad.status_code, bad.json()["code"]) == (422, "FILE_REFUSED")


@pytest.mark.parametrize(
    ("words", "by"),
    (
        ("5552671", "phone"),
        ("+1 (415) 555-2671", "phone"),
        ("sn-1", "serial"),
        ("c-1", "number"),
        ("laundry", "customer"),
        ("ann", "name"),
    ),
)
async def test_a_caller_is_found_by_what_they_say(house: House, words: str, by: str) -> None:
    """The agent would ask a customer of ten years for their address."""
    ask = "query($search: String!) { callers(search: $search) { by customerName contactName address } }"
    found = (await house.dispatcher.ask(ask, {"search": words}))["callers"]
    assert (found[0]["by"], found[0]["customerName"]) == (by, "Bay Laundry")
    assert (await house.dispatcher.ask(ask, {"search": "a"}))["callers"] == []
    assert (await house.contact.refused(ask, {"search": words}))["code"] == "NOT_ALLOWED"
