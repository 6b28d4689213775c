"""Flows as people use them: by GraphQL, and the customer by a link."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from graph import Graph, application, someone, token_of
from worlds import World

from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_dispatch import second_visit
from callout_people.principals import Role
from callout_store.work import Database

ORDER = """query($id: UUID!) { order(id: $id) {
  state archivedAt
  flow { step labelEn labelZh owner fields events approvals byHand missingEn missingZh mayLeadTo }
  steps { n step labelZh state times doneAt dueAt lateAt blocked { code place why } }
  approvals { id code labelEn about state }
  requisitions { id number state lines { quantity received part { code } } }
  surveys { id score comment }
  visitOffers { id state engineer { name } proposedStart reasonsEn reasonsZh }
} }"""


class Office:
    """The people of a world at GraphQL, and a browser without any account."""

    def __init__(self, world: World, people: dict[str, Graph], browser: httpx.AsyncClient) -> None:
        self.world, self.people, self.browser = world, people, browser

    async def order(self, order: UUID, who: str = "dispatcher") -> Any:
        return (await self.people[who].ask(ORDER, {"id": str(order)}))["order"]

    async def do(self, mutation: str, who: str = "dispatcher", **values: Any) -> Any:
        [answer] = (await self.people[who].ask(mutation, values)).values()
        return answer

    async def refused(self, mutation: str, who: str = "dispatcher", **values: Any) -> Any:
        return await self.people[who].refused(mutation, values)


@pytest.fixture
async def office(settings: Settings, db: Database) -> AsyncIterator[Office]:
    add_hooks(db)
    world = await World(db).build()
    async with application(settings, db) as (app, client):
        issuer = app.state.issuer
        ids = {
            "dispatcher": world.dispatcher.user_id,
            "supervisor": await someone(world, Role.SUPERVISOR),
            "contact": await someone(world, Role.CUSTOMER_CONTACT),
            "engineer": world.phones[0].actor.user_id,
            "stranger": world.phones[1].actor.user_id,
        }
        people = {
            name: Graph(client, await token_of(db, issuer, world.org, id_))  # type: ignore[arg-type]
            for name, id_ in ids.items()
        }
        yield Office(world, people, client)


FIELDS = "mutation($o: UUID!, $f: JSON!) { setOrderFields(orderId: $o, fields: $f) { id } }"
DONE = "mutation($o: UUID!, $s: String, $f: JSON) { completeStep(orderId: $o, step: $s, fields: $f) { flow { step } } }"


async def on_site(office: Office) -> tuple[UUID, UUID]:
    """A repair whose engineer is there, and its visit."""
    phone = office.world.phones[0]
    order = await office.world.order()
    visit = await office.world.visit(phone, order)
    await phone.push(phone.command("visit.arrive", visit))
    return order, visit


async def test_the_story_by_graphql(office: Office) -> None:
    """What no client can reach does not exist: from the part that is missing to the archive, by everybody's own client."""
    phone = office.world.phones[0]
    order, visit = await on_site(office)
    wanted = await office.do(
        """mutation($o: UUID!, $v: UUID) { requestParts(orderId: $o, visitId: $v, note: "worn",
           parts: [{code: "SEAL-1", quantity: 3}]) { id number state revision lines { quantity part { name } } } }""",
        "engineer",
        o=str(order),
        v=str(visit),
    )
    assert (wanted["number"], wanted["state"]) == ("PR-000001", "requested")
    assert wanted["lines"] == [{"quantity": 3, "part": {"name": "Seal"}}]
    await phone.push(phone.command("visit.could_not_complete", visit, {"reason": "part_missing"}))
    done = await office.do(
        DONE, "engineer", o=str(order), s="quote", f={"fault_cause": "wear", "repair_cost": 800}
    )
    assert done["flow"]["step"] == "quote"
    found = await office.order(order)
    assert len(found["requisitions"]) == 1, "parts on their way are not asked for twice"
    [asked] = found["approvals"]
    assert (asked["state"], asked["about"]) == ("asked", {"fields.repair_cost": 800.0})
    assert found["flow"]["approvals"] == ["cost_over_500"]
    assert "维修费用超过 500" in found["flow"]["missingZh"][0]
    approve = 'mutation($i: UUID!) { approveStep(id: $i, comment: "ok") { state decidedBy } }'
    refused = await office.refused(approve, "engineer", i=asked["id"])
    assert refused["code"] == "NOT_YOURS"
    assert (await office.do(approve, "supervisor", i=asked["id"]))["state"] == "approved"
    assert (await office.order(order))["flow"]["step"] == "purchase"
    listed = await office.people["supervisor"].ask(
        '{ approvals(state: "approved") { nodes { id order { number } } } requisitions(states: ["requested"]) '
        "{ nodes { number order { id } } } }"
    )
    assert [one["id"] for one in listed["approvals"]["nodes"]] == [asked["id"]]
    assert [one["order"]["id"] for one in listed["requisitions"]["nodes"]] == [str(order)]

    ordered = await office.do(
        """mutation($i: UUID!) { orderRequisition(id: $i, supplier: "ACME", supplierRef: "77",
           expectedAt: "2027-01-01T00:00:00Z") { state supplierRef expectedAt } }""",
        i=wanted["id"],
    )
    assert ordered["state"] == "ordered"
    receive = """mutation($i: UUID!, $h: UUID!, $n: Int!, $d: String!) { receiveRequisition(id: $i, holderId: $h,
        delivered: [{code: "SEAL-1", quantity: $n}], delivery: $d) { state lines { received } } }"""
    van = str(phone.engineer_id)
    for number in ("L-1", "L-1"):
        part = await office.do(receive, i=wanted["id"], h=van, n=1, d=number)
        assert (part["state"], part["lines"]) == ("ordered", [{"received": 1}])
    assert (await office.order(order))["flow"]["step"] == "stock_in"
    whole = await office.do(receive, i=wanted["id"], h=van, n=2, d="L-2")
    assert (whole["state"], whole["lines"]) == ("received", [{"received": 3}])
    [offer] = (await office.order(order))["visitOffers"]
    assert (offer["state"], offer["engineer"]["name"]) == ("offered", "Engineer 0")
    async with office.world.db.work(office.world.org) as work:
        await second_visit.look(work, UUID(offer["id"]))
    accepted = await office.do(
        "mutation($i: UUID!) { acceptVisitOffer(id: $i) { id state engineer { name } order { flow { step } } } }",
        i=offer["id"],
    )
    assert (accepted["engineer"]["name"], accepted["order"]["flow"]["step"]) == ("Engineer 0", "on_site")
    await phone.push(phone.command("visit.complete", UUID(accepted["id"])))
    await office.do("mutation($o: UUID!) { closeWorkOrder(id: $o) { state } }", o=str(order))
    found = await office.order(order)
    assert found["flow"]["step"] == "survey"
    link = await office.do(
        "mutation($s: UUID!) { createSurveyLink(surveyId: $s) { url } }", s=found["surveys"][0]["id"]
    )
    assert link["url"].startswith("http://t/q/")
    page = await office.browser.get(link["url"])
    assert page.status_code == 200
    assert "How did we do?" in page.text
    assert (await office.browser.get(link["url"])).status_code == 200, "looking answers nothing"
    bad = await office.browser.post(link["url"], data={"comment": "thinking"})
    assert bad.status_code == 422
    assert "thinking" in bad.text
    given = await office.browser.post(link["url"], json={"score": 4, "comment": "fine"})
    assert given.json() == {"state": "answered", "score": 4, "reopened": False}
    again = await office.browser.post(link["url"], data={"score": "5"})
    assert again.status_code == 410
    found = await office.order(order)
    assert (found["flow"], found["surveys"][0]["score"]) == (None, 4)
    assert found["archivedAt"] is not None


async def test_everything_that_is_missing_is_said_at_once(office: Office) -> None:
    """Three refusals in a row for three fields: the third time nobody tries again."""
    order, visit = await on_site(office)
    phone = office.world.phones[0]
    await phone.push(phone.command("visit.complete", visit))
    refused = await office.refused(DONE, "supervisor", o=str(order), s="quote")
    assert refused["code"] == "FLOW_NOT_THERE"
    assert "fault_cause" in refused["details"]["missing"]
    assert "repair_cost" in refused["details"]["missing"]
    assert refused["details"]["at"] == "quote"
    bad = {"fault_cause": "gremlins", "repair_cost": -1, "colour": "red"}
    refused = await office.refused(DONE, "supervisor", o=str(order), s="quote", f=bad)
    paths = {one["path"] for one in refused["errors"]}
    assert paths == {"fields.fault_cause", "fields.repair_cost", "fields.colour"}
    assert (await office.order(order))["flow"]["fields"] == ["fault_cause", "repair_cost"]


@pytest.mark.parametrize(
    ("who", "code"), (("contact", "NOT_ALLOWED"), ("stranger", "NOT_FOUND"), ("dispatcher", "NOT_YOURS"))
)
async def test_who_may_say_that_a_step_is_done(office: Office, who: str, code: str) -> None:
    """Somebody else's word that the customer was told the price is worth nothing."""
    order, visit = await on_site(office)
    phone = office.world.phones[0]
    await phone.push(phone.command("visit.complete", visit))
    refused = await office.refused(DONE, who, o=str(order), f={"fault_cause": "wear", "repair_cost": 1})
    assert refused["code"] == code, refused


async def test_a_customer_sees_no_steps(office: Office) -> None:
    """That the director is asked about the price is nothing for the customer who will pay it."""
    order = await office.world.order()
    user = await office.world.value(
        "select id from app_user where role = 'customer_contact' and org_id = $1", office.world.org
    )
    await office.world.fetch("update contact set user_id = $1 where id = $2", user, office.world.contact)
    refused = await office.people["contact"].refused(ORDER, {"id": str(order)})
    assert refused["code"] == "NOT_ALLOWED"


async def test_a_supervisor_leads_back_and_opens_again(office: Office) -> None:
    """The repair turns out wrong on the day after: the order goes back, with what it knows."""
    order, visit = await on_site(office)
    phone = office.world.phones[0]
    await phone.push(phone.command("visit.complete", visit))
    back = 'mutation($o: UUID!, $t: String!) { leadFlowBack(orderId: $o, to: $t, reason: "wrong pump") { flow { step } } }'
    assert (await office.refused(back, o=str(order), t="on_site"))["code"] == "NOT_ALLOWED"
    refused = await office.refused(back, "supervisor", o=str(order), t="triage")
    assert (refused["code"], refused["path"]) == ("BAD_FIELD", "to")
    led = await office.do(back, "supervisor", o=str(order), t="on_site")
    assert led["flow"]["step"] == "on_site"
    reopen = 'mutation($o: UUID!) { reopenWorkOrder(id: $o, reason: "drips") { state flow { step } } }'
    opened = await office.do(reopen, o=str(order))
    assert opened == {"state": "cannot_complete", "flow": {"step": "on_site"}}
    refused = await office.refused(reopen, o=str(order))
    assert refused["code"] == "WRONG_STATE"


async def test_bad_requisitions_are_refused(office: Office) -> None:
    """A typo in a part's code must not become an order at the supplier's."""
    order = await office.world.order()
    ask = "mutation($o: UUID!, $p: [PartNeed!]!) { requestParts(orderId: $o, parts: $p) { id } }"
    for parts, path in (
        ([], "parts"),
        ([{"code": "NOPE", "quantity": 1}], "parts.0"),
        ([{"code": "SEAL-1", "quantity": 0}], "parts.0.quantity"),
        ([{"code": "SEAL-1", "quantity": 1}, {"code": "SEAL-1", "quantity": 2}], "parts.1"),
    ):
        refused = await office.refused(ask, o=str(order), p=parts)
        assert refused["path"] == path, refused
    elsewhere = await office.world.visit(office.world.phones[1])
    of_visit = """mutation($o: UUID!, $v: UUID!) {
        requestParts(orderId: $o, visitId: $v, parts: [{code: "SEAL-1", quantity: 1}]) { id } }"""
    refused = await office.refused(of_visit, o=str(order), v=str(elsewhere))
    assert (refused["code"], refused["path"]) == ("NOT_FOUND", "visitId")
    id_ = (await office.do(ask, o=str(order), p=[{"code": "SEAL-1", "quantity": 2}]))["id"]
    receive = """mutation($i: UUID!, $h: UUID!, $d: [DeliveredPart!]) {
        receiveRequisition(id: $i, holderId: $h, delivered: $d) { state } }"""
    van = str(office.world.phones[0].engineer_id)
    assert (await office.refused(receive, i=id_, h=str(order), d=None))["path"] == "holderId"
    bad = [{"code": "NOPE", "quantity": 1}, {"code": "SEAL-1", "quantity": 0}]
    refused = await office.refused(receive, i=id_, h=van, d=bad)
    assert {one["path"] for one in refused["errors"]} == {"delivered.0.part", "delivered.1.quantity"}
    cancel = 'mutation($i: UUID!) { cancelRequisition(id: $i, reason: "not needed") { state } }'
    assert (await office.do(cancel, i=id_))["state"] == "canceled"
    assert (await office.do(cancel, i=id_))["state"] == "canceled"
    assert (await office.refused(receive, i=id_, h=van, d=None))["code"] == "WRONG_STATE"


@pytest.mark.parametrize("token", ("x", "a" * 22 + "." + "b" * 43))
async def test_a_link_that_is_none(office: Office, token: str) -> None:
    """Whoever guesses is told nothing, in their own language."""
    page = await office.browser.get(f"/q/{token}", headers={"Accept-Language": "zh-CN"})
    assert page.status_code == 404
    assert "链接无效" in page.text
    assert (await office.browser.post(f"/q/{token}", json={"score": 5})).json()[
        "code"
    ] == "SURVEY_LINK_INVALID"
