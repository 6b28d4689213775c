"""The schema at work: a dispatcher's day, a phone's sync, and who may see what."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from graph import Graph, application, someone, token_of
from root_fields import operation_of
from worlds import World

from callout_backend.settings import Settings
from callout_graphql.context import Context
from callout_graphql.rights import FIELDS
from callout_people.principals import Right, Role
from callout_store.ids import new_id
from callout_store.work import Database

PULL = "query($c: String, $n: Int! = 500) { pull(cursor: $c, limit: $n) { cursor more epoch total count documents } }"
PUSH = """mutation($input: PushInput!) {
  push(input: $input) { serverTime answers { index id status code path message firstStatus } }
}"""
CREATE_ORDER = "mutation($input: CreateWorkOrder!) { createWorkOrder(input: $input) { id number state } }"


class Town:
    """Two organisations behind one application, and callers of every role of the first."""

    def __init__(self, app: Any, http: Any, world: World, other: World) -> None:
        self.app, self.http, self.world, self.other = app, http, world, other

    async def caller(self, world: World, user: UUID | None, device: UUID | None = None) -> Graph:
        assert user is not None
        return Graph(self.http, await token_of(world.db, self.app.state.issuer, world.org, user, device))

    async def dispatcher(self) -> Graph:
        return await self.caller(self.world, self.world.dispatcher.user_id)

    async def stranger(self) -> Graph:
        return await self.caller(self.other, self.other.dispatcher.user_id)

    async def phone(self, n: int = 0) -> Graph:
        actor = self.world.phones[n].actor
        return await self.caller(self.world, actor.user_id, actor.device_id)


@pytest.fixture(scope="module")
async def town(settings: Settings, db: Database) -> AsyncIterator[Town]:
    async with application(settings, db) as (app, http):
        yield Town(app, http, await World(db).build(), await World(db).build())


async def test_a_day_from_customer_to_closed_order(town: Town) -> None:
    """The way through the house by GraphQL alone: if this breaks, no dispatcher can work."""
    desk, phone, world = await town.dispatcher(), await town.phone(), town.world
    made = await desk.ask(
        """mutation { createCustomer(input: {number: "C-77", name: "Harbour Hotel", tier: "gold"}) { id tier } }"""
    )
    customer = made["createCustomer"]["id"]
    site = await desk.ask(
        """mutation($c: UUID!) {
          createSite(input: {customerId: $c, name: "Roof", address: "2 Pier", lat: 37.78, lng: -122.42}) {
            id geofenceRadiusM customer { name }
          }
          createContact(input: {customerId: $c, name: "Bo", phone: "+1 415 555 2671"}) { id phone }
        }""",
        {"c": customer},
    )
    assert site["createSite"]["customer"] == {"name": "Harbour Hotel"}
    assert site["createContact"]["phone"] == "+14155552671"
    asset = await desk.ask(
        """mutation($s: UUID!) { createAsset(input: {siteId: $s, serial: "HH-1", model: "X", name: "Fan"}) { id } }""",
        {"s": site["createSite"]["id"]},
    )
    order = {
        "customerId": customer,
        "siteId": site["createSite"]["id"],
        "contactId": site["createContact"]["id"],
        "assetId": asset["createAsset"]["id"],
        "priority": "P1",
        "kind": "repair",
        "description": "Fan rattles",
        "channel": "hotline",
        "skills": [{"skill": "sewer", "level": 2}],
        "durationMinutes": 30,
        "references": [{"system": "erp", "reference": "SO-1"}],
    }
    first = (await desk.ask(CREATE_ORDER, {"input": order}))["createWorkOrder"]
    again = (await desk.ask(CREATE_ORDER, {"input": order}))["createWorkOrder"]
    assert first == again
    proposed = await desk.ask(
        """query($o: UUID!) { proposeEngineers(orderId: $o) {
          best rankedCount outCount ranked { engineerId name score slotStart scores { component value } }
        } }""",
        {"o": first["id"]},
    )
    assert proposed["proposeEngineers"]["rankedCount"] == 2
    engineer = str(world.phones[0].engineer_id)
    assigned = await desk.ask(
        """mutation($o: UUID!, $e: UUID!) { assignWorkOrder(orderId: $o, engineerId: $e) {
          id state engineer { name skills { skill level } } order { state number }
        } }""",
        {"o": first["id"], "e": engineer},
    )
    visit = assigned["assignWorkOrder"]
    assert visit["state"] == "dispatched"
    assert visit["order"] == {"state": "scheduled", "number": first["number"]}

    page = (await phone.ask(PULL))["pull"]
    held = {item["id"]: item for item in page["documents"]}
    assert held[visit["id"]]["doc"]["state"] == "dispatched"
    assert page["total"] == page["count"] == len(page["documents"])

    device = world.phones[0]
    commands = [
        device.command("visit.accept", UUID(visit["id"])),
        device.command("visit.arrive", UUID(visit["id"])),
        device.command("visit.replace_part", UUID(visit["id"]), {"partId": str(world.part), "quantity": 1}),
        {"kind": "visit.dance"},
        device.command("visit.complete", UUID(visit["id"]), {"resolution": "New bearing"}),
    ]
    batch = {"input": {"sentAt": datetime.now(UTC).isoformat(), "monotonicMs": 2**40, "commands": commands}}
    pushed = (await phone.ask(PUSH, batch))["push"]["answers"]
    assert [a["status"] for a in pushed] == ["applied", "applied", "applied", "quarantined", "applied"]
    replay = (await phone.ask(PUSH, batch))["push"]["answers"]
    assert [a["status"] for a in replay] == ["duplicate"] * 5
    assert [a["firstStatus"] for a in replay] == [a["status"] for a in pushed]

    link = await desk.ask(
        "mutation($v: UUID!) { createSignOffLink(visitId: $v) { url } }", {"v": visit["id"]}
    )
    assert link["createSignOffLink"]["url"].startswith("http://t/s/")
    opened = await town.http.get(link["createSignOffLink"]["url"])
    assert opened.status_code == 200
    assert "New bearing" in opened.text

    detail = await desk.ask(
        """query($s: String!, $r: String!) { order(system: $s, reference: $r) {
          number state customer { name contacts { name } } site { name assets { serial } } contact { name }
          asset { serial site { name } } skills { skill level } references { system reference }
          visits { state events { kind at geofence data clockOffsetMs } signatures { decision } }
          decisions { method reason result } timeline(first: 100) { nodes { kind data } hasMore }
        } }""",
        {"s": "erp", "r": "SO-1"},
    )
    found = detail["order"]
    assert found["state"] == "completed"
    assert {event["kind"] for event in found["visits"][0]["events"]} >= {
        "accepted",
        "arrived",
        "part_replaced",
    }
    assert found["timeline"]["nodes"][0]["kind"] == "work_order.created"
    assert found["decisions"][0]["method"] == "hand"

    now = datetime.now(UTC)
    board = await desk.ask(
        """query($a: DateTime!, $b: DateTime!) { board(start: $a, end: $b) { rows {
          name shifts { start end } visits { id orderNumber siteName } overbooked
        } } }""",
        {"a": (now - timedelta(days=1)).isoformat(), "b": (now + timedelta(days=2)).isoformat()},
    )
    assert [v["id"] for row in board["board"]["rows"] for v in row["visits"]] == [visit["id"]]
    # The flow of a repair wants to know what it was and what it cost before the order can be closed.
    await desk.ask(
        "mutation($o: UUID!, $f: JSON!) { setOrderFields(orderId: $o, fields: $f) { fields } }",
        {"o": first["id"], "f": {"fault_cause": "wear", "repair_cost": 120}},
    )
    closed = await desk.ask("mutation($o: UUID!) { closeWorkOrder(id: $o) { state } }", {"o": first["id"]})
    assert closed["closeWorkOrder"]["state"] == "closed"


async def test_a_visit_is_moved_reassigned_and_cancelled(town: Town) -> None:
    """Plans change all day; a change on an old revision is refused so that two dispatchers do not undo each other."""
    desk, world = await town.dispatcher(), town.world
    visit = str(await world.visit(world.phones[0]))
    start = (datetime.now(UTC) + timedelta(hours=6)).isoformat()
    moved = await desk.ask(
        """mutation($v: UUID!, $s: DateTime!) { moveVisit(id: $v, start: $s, override: true, reason: "asked") {
          revision scheduledStart } }""",
        {"v": visit, "s": start},
    )
    stale = await desk.refused(
        """mutation($v: UUID!, $e: UUID!) { reassignVisit(id: $v, engineerId: $e, revision: 1) { id } }""",
        {"v": visit, "e": str(world.phones[1].engineer_id)},
    )
    assert stale["code"] == "STALE_REVISION"
    given = await desk.ask(
        """mutation($v: UUID!, $e: UUID!, $r: Int!) {
          reassignVisit(id: $v, engineerId: $e, revision: $r, override: true, reason: "ill") { engineer { name } }
          cancelVisit(id: $v, reason: "customer away") { state order { state } }
        }""",
        {"v": visit, "e": str(world.phones[1].engineer_id), "r": moved["moveVisit"]["revision"]},
    )
    assert given["reassignVisit"]["engineer"]["name"] == "Engineer 1"
    assert given["cancelVisit"] == {"state": "canceled", "order": {"state": "new"}}


async def test_the_day_is_dispatched_and_an_order_called_off(town: Town) -> None:
    """The morning's button, and a customer who rings off: the order takes its visits with it."""
    desk, world = await town.dispatcher(), town.world
    order = str(await world.order())
    now = datetime.now(UTC)
    day = await desk.ask(
        """mutation($a: DateTime!, $b: DateTime!, $o: [UUID!]) { dispatchDay(start: $a, end: $b, orderIds: $o) {
          considered assigned { orderId visitId engineerId start } unassigned { number reasons { code engineers } }
        } }""",
        {"a": now.isoformat(), "b": (now + timedelta(hours=20)).isoformat(), "o": [order]},
    )
    assert day["dispatchDay"]["considered"] == 1
    assert [a["orderId"] for a in day["dispatchDay"]["assigned"]] == [order]
    off = await desk.ask(
        """mutation($o: UUID!) { cancelWorkOrder(id: $o, reason: "rang off") { state visits { state } } }""",
        {"o": order},
    )
    assert off["cancelWorkOrder"] == {"state": "canceled", "visits": [{"state": "canceled"}]}


async def test_refusals_carry_code_path_and_details(town: Town) -> None:
    """A form shows the message beside the field that it is about."""
    desk, world = await town.dispatcher(), town.world
    bad = await desk.refused(
        """mutation($c: UUID!) {
          createSite(input: {customerId: $c, name: "S", address: "A", lat: 91, lng: 0}) { id }
        }""",
        {"c": str(world.customer)},
    )
    assert bad["code"] == "POINT_INVALID"
    infinite = await desk.refused(
        """mutation($c: UUID!) {
          createSite(input: {customerId: $c, name: "S", address: "A", lat: 1, lng: 1e999}) { id }
        }""",
        {"c": str(world.customer)},
    )
    assert infinite["code"] in ("POINT_INVALID", "GRAPHQL_VALIDATION_FAILED")
    missing = await desk.refused(
        "mutation($o: UUID!) { dispatchWorkOrder(orderId: $o) { id } }", {"o": str(new_id())}
    )
    assert missing["code"] == "NOT_FOUND"
    assert missing["retryable"] is False


async def test_dispatchers_settle_what_was_quarantined(town: Town) -> None:
    """Field work that could not be applied must be seen by somebody, and answered."""
    desk, phone, device = await town.dispatcher(), await town.phone(), town.world.phones[0]
    command = device.command("visit.note", new_id(), {"text": "for nobody's visit"})
    batch = {"sentAt": command["deviceTime"], "commands": [command]}
    await phone.ask(PUSH, {"input": batch})
    listed = await desk.ask("{ quarantined(first: 1) { nodes { id code commandId userName body } hasMore } }")
    entry = listed["quarantined"]["nodes"][0]
    assert entry["commandId"] == command["id"]
    assert entry["code"] == "VISIT_UNKNOWN"
    assert "for nobody" in entry["body"]
    again = await desk.ask(
        "mutation($i: UUID!) { quarantineRetry(id: $i) { status code } }", {"i": entry["id"]}
    )
    assert again["quarantineRetry"]["status"] == "quarantined"
    await desk.ask("""mutation($i: UUID!) { quarantineDismiss(id: $i, note: "seen") }""", {"i": entry["id"]})
    left = await desk.ask("{ quarantined { nodes { id } } }")
    assert entry["id"] not in [node["id"] for node in left["quarantined"]["nodes"]]


async def test_a_phone_is_enrolled_listed_and_shut_out(town: Town) -> None:
    """A stolen phone must be out with one click, and its next request must be told so."""
    desk, world = await town.dispatcher(), town.world
    user = str(world.phones[1].actor.user_id)
    code = await desk.ask(
        "mutation($u: UUID!) { createEnrolmentCode(userId: $u) { code payload } }", {"u": user}
    )
    assert code["createEnrolmentCode"]["payload"].startswith("callout://enrol?")
    own = await desk.refused(
        "mutation($u: UUID!) { createEnrolmentCode(userId: $u) { code } }",
        {"u": str(world.dispatcher.user_id)},
    )
    assert own["code"] == "NOT_ALLOWED"
    phone = await town.phone(1)
    await phone.ask(PULL)
    device = str(world.phones[1].device_id)
    gone = await desk.ask(
        """mutation($d: UUID!) { revokeDevice(id: $d, reason: "stolen") { revokedAt } }""", {"d": device}
    )
    assert gone["revokeDevice"]["revokedAt"]
    assert (await phone.refused(PULL))["code"] == "DEVICE_REVOKED"
    batch = {"sentAt": datetime.now(UTC).isoformat(), "commands": []}
    assert (await phone.refused(PUSH, {"input": batch}))["code"] == "DEVICE_REVOKED"
    listed = await desk.ask("{ devices(revoked: true) { nodes { id } } }")
    assert [node["id"] for node in listed["devices"]["nodes"]] == [device]


async def test_an_engineer_sees_their_own_visits_and_nothing_else(town: Town) -> None:
    """A phone is lost sooner or later: it must not open the whole company."""
    world = town.world
    phone = await town.phone(0)
    mine, other = await world.visit(world.phones[0]), await world.order()
    seen = await phone.ask(
        "{ visits(first: 200) { nodes { id engineerId order { id } } } orders { nodes { id } } }"
    )
    engineers = {node["engineerId"] for node in seen["visits"]["nodes"]}
    assert engineers == {str(world.phones[0].engineer_id)}
    assert str(mine) in [node["id"] for node in seen["visits"]["nodes"]]
    orders = [node["id"] for node in seen["orders"]["nodes"]]
    assert str(other) not in orders
    assert set(orders) == {node["order"]["id"] for node in seen["visits"]["nodes"]}
    assert (await phone.ask("query($o: UUID!) { order(id: $o) { id } }", {"o": str(other)}))["order"] is None
    shared = await phone.ask(
        "query($v: UUID!) { visit(id: $v) { order { visits { id } } } }", {"v": str(mine)}
    )
    assert [v["id"] for v in shared["visit"]["order"]["visits"]] == [str(mine)]


async def test_a_customers_contact_sees_the_customers_orders_without_the_engineers_movements(
    town: Town,
) -> None:
    """Customers follow their own orders; where engineers are and what they noted is not theirs to see."""
    world = town.world
    user = await someone(world, Role.CUSTOMER_CONTACT)
    contact = await town.caller(world, user)
    visit = await world.visit(world.phones[0])
    assert (await contact.ask("{ orders { nodes { id } } }"))["orders"]["nodes"] == []
    async with world.db.work(world.org) as work:
        await work.execute("update contact set user_id = $1 where id = $2", user, world.contact)
    assert (await contact.ask("{ orders { nodes { customer { name } } } }"))["orders"]["nodes"]
    seen = await contact.ask(
        "query($v: UUID!) { visit(id: $v) { state engineer { name } } }", {"v": str(visit)}
    )
    assert seen["visit"]["engineer"]["name"]
    for below in ("events { lat lng }", "engineer { position { lat } }", "engineer { home { lat } }"):
        refused = await contact.refused(
            f"query($v: UUID!) {{ visit(id: $v) {{ {below} }} }}", {"v": str(visit)}
        )
        assert refused["code"] == "NOT_ALLOWED"


ROOTS = sorted(name for name in FIELDS if name.split(".")[0] in ("Query", "Mutation"))


@pytest.mark.parametrize("name", ROOTS)
async def test_every_root_field_refuses_strangers_and_wrong_roles(town: Town, name: str) -> None:
    """A field that was added and forgotten in the table of rights would be open to every customer."""
    operation = operation_of(name)
    assert (await Graph(town.http).refused(operation))["code"] == "NOT_AUTHENTICATED"
    rule = FIELDS[name]
    if not isinstance(rule, Right):
        return
    contact = await town.caller(town.world, await _contact(town))
    assert (await contact.refused(operation))["code"] == "NOT_ALLOWED"


_made: dict[UUID, UUID] = {}


async def _contact(town: Town) -> UUID:
    other = town.other
    if other.org not in _made:
        async with town.world.db.work(town.world.org) as work:
            found = await work.fetchval("select id from app_user where role = 'customer_contact' limit 1")
        _made[other.org] = found or await someone(town.world, Role.CUSTOMER_CONTACT)
    return _made[other.org]


async def test_another_tenant_sees_no_row_by_any_id(town: Town) -> None:
    """Ids leak: in links, logs and screenshots. Knowing one must open nothing in another organisation."""
    world = town.world
    visit = await world.visit(world.phones[0])
    order = await world.value("select order_id from visit where id = $1", visit)
    ids = {
        "order": order,
        "visit": visit,
        "engineer": world.phones[0].engineer_id,
        "customer": world.customer,
        "site": world.site,
    }
    stranger, desk = await town.stranger(), await town.dispatcher()
    for field, id_ in ids.items():
        query = f"query($i: UUID!) {{ {field}(id: $i) {{ id }} }}"
        assert (await desk.ask(query, {"i": str(id_)}))[field] == {"id": str(id_)}
        assert (await stranger.ask(query, {"i": str(id_)}))[field] is None
    for act, variables in (
        ('cancelVisit(id: $i, reason: "x") { id }', visit),
        ('cancelWorkOrder(id: $i, reason: "x") { id }', order),
        ("dispatchWorkOrder(orderId: $i) { id }", order),
        ("createSignOffLink(visitId: $i) { url }", visit),
        ('revokeDevice(id: $i, reason: "x") { id }', world.phones[0].device_id),
        ("createEnrolmentCode(userId: $i) { code }", world.phones[0].actor.user_id),
        (f'assignWorkOrder(orderId: $i, engineerId: "{town.other.phones[0].engineer_id}") {{ id }}', order),
    ):
        refused = await stranger.refused(f"mutation($i: UUID!) {{ {act} }}", {"i": str(variables)})
        assert refused["code"] == "NOT_FOUND", act
    lists = await stranger.ask(
        "{ orders { nodes { id } } visits { nodes { id } } quarantined { nodes { id } } parts { nodes { id } } }"
    )
    own = {str(town.other.part)}
    assert {node["id"] for found in lists.values() for node in found["nodes"]} <= own
    assert (await town.world.value("select state from visit where id = $1", visit)) == "dispatched"


async def test_one_transaction_a_level_however_many_rows(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of 100 visits must not become 400 statements."""
    desk, world = await town.dispatcher(), town.world
    query = """query($n: Int!) { visits(first: $n) { nodes {
      order { site { customer { name } } asset { serial } } engineer { name skills { skill } } events { kind }
    } } }"""
    for _ in range(6):
        await world.visit(world.phones[0])
    opened = 0
    work = Context.work

    def counted(self: Context) -> Any:
        nonlocal opened
        opened += 1
        return work(self)

    monkeypatch.setattr(Context, "work", counted)
    counts = []
    for first in (1, 6):
        opened = 0
        found = await desk.ask(query, {"n": first})
        assert len(found["visits"]["nodes"]) == first
        counts.append(opened)
    assert counts[0] == counts[1] <= 10


async def test_pages_follow_the_cursor_to_the_end_without_doubles(town: Town) -> None:
    """A dispatcher who turns pages must see every order once."""
    desk = await town.dispatcher()
    seen: list[str] = []
    after = None
    while True:
        page = (
            await desk.ask(
                "query($a: String) { orders(first: 2, after: $a) { nodes { id } endCursor hasMore } }",
                {"a": after},
            )
        )["orders"]
        seen += [node["id"] for node in page["nodes"]]
        after = page["endCursor"]
        if not page["hasMore"]:
            break
    assert len(seen) == len(set(seen)) == await town.world.value("select count(*) from work_order")
    assert (await desk.refused('{ orders(after: "zzz") { endCursor } }'))["code"] == "BAD_FIELD"
