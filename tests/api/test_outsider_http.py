"""What an outsider sent to the HTTP doors: each of these was once answered by a fault, a leak, or a riddle."""

import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from graph import Graph, application, someone, token_of
from graphql.validation.rules import overlapping_fields_can_be_merged
from worlds import World

from callout_backend.doors import intake as intake_door
from callout_backend.settings import Settings
from callout_graphql.documents import Unfit
from callout_graphql.schema import engine
from callout_orders import customers
from callout_people.principals import Role
from callout_store.work import Database

FAR = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
PUSH = "mutation($input: PushInput!) { push(input: $input) { answers { index status code path } } }"
SENT = "2026-03-02T08:00:00Z"


@pytest.fixture(scope="module")
async def world(db: Database) -> World:
    return await World(db).build()


@pytest.fixture(scope="module")
async def client(settings: Settings, db: Database) -> AsyncIterator[Any]:
    async with application(settings, db) as both:
        yield both


@pytest.fixture(scope="module")
async def http(client: Any) -> httpx.AsyncClient:
    found: httpx.AsyncClient = client[1]
    return found


@pytest.fixture(scope="module")
async def dispatcher(client: Any, world: World) -> Graph:
    app, http = client
    assert world.dispatcher.user_id is not None
    return Graph(http, await token_of(world.db, app.state.issuer, world.org, world.dispatcher.user_id))


@pytest.fixture(scope="module")
async def phone(client: Any, world: World) -> Graph:
    app, http = client
    actor = world.phones[0].actor
    assert actor.user_id is not None
    return Graph(http, await token_of(world.db, app.state.issuer, world.org, actor.user_id, actor.device_id))


@pytest.mark.parametrize("name", ("%00", "a%00.css", "a" * 5000, "a/" * 400))
async def test_names_no_file_system_takes_are_not_found(http: httpx.AsyncClient, name: str) -> None:
    """A scanner's odd address must not look like a fault of ours in the log."""
    answer = await http.get(f"/static/{name}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "NO_SUCH_ADDRESS"


async def test_static_files_are_still_served(http: httpx.AsyncClient) -> None:
    """The sign-off page without its script and style is no page."""
    assert (await http.get("/static/signoff.js")).status_code == 200
    assert (await http.get("/static/graphiql/graphiql.html")).status_code == 200


@pytest.mark.parametrize("instant", FAR)
@pytest.mark.parametrize(
    ("query", "more"),
    (
        ("query($at: DateTime!) { board(start: $at, end: $at) { hasMore } }", {}),
        ("query($at: DateTime!) { visits(filter: { start: $at }) { hasMore } }", {}),
        (
            "mutation($at: DateTime!, $id: UUID!) { setAbsence(engineerId: $id, start: $at, end: $at) { id } }",
            {"id": 1},
        ),
        ("mutation($at: DateTime!) { dispatchDay(start: $at, end: $at) { considered } }", {}),
        ("mutation($at: DateTime!) { push(input: { sentAt: $at, commands: [] }) { serverTime } }", {}),
    ),
)
async def test_instants_beyond_the_calendar_are_refused(
    dispatcher: Graph, phone: Graph, query: str, more: dict[str, Any], instant: str
) -> None:
    """A typing error in a year must be told to whoever made it; it once ended as an overflow inside."""
    values = {"at": instant, **({"id": str(uuid4())} if more else {})}
    caller = phone if "push" in query else dispatcher
    assert (await caller.refused(query, values))["code"] == "VARIABLES_INVALID"


@pytest.mark.parametrize("instant", FAR)
async def test_rest_refuses_instants_beyond_the_calendar(
    world: World, dispatcher: Graph, instant: str
) -> None:
    """The web form's `reportedAt` goes through the same door posts as everything else."""
    answer = await dispatcher.client.post(
        "/v1/work-orders",
        json={
            "customerId": str(world.customer),
            "siteId": str(world.site),
            "description": "It does not start",
            "serial": "SN-1",
            "contactPhone": "+1 415 555 2671",
            "reportedAt": instant,
        },
        headers=dispatcher.headers(),
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "BAD_FIELD")
    assert answer.json()["path"] == "reportedAt"


@pytest.mark.parametrize("instant", (*FAR, "0001-01-02T00:00:00Z"))
async def test_a_command_of_no_possible_time_names_its_field(
    world: World, phone: Graph, instant: str
) -> None:
    """The dispatcher who finds the command must see what is wrong with it, and its neighbours must not be held up."""
    visit = await world.visit(world.phones[0])
    bad = {**world.phones[0].command("visit.note", visit, {"text": "x"}), "deviceTime": instant}
    good = world.phones[0].command("visit.note", visit, {"text": "x"})
    answers = (await phone.ask(PUSH, {"input": {"sentAt": SENT, "commands": [bad, good]}}))["push"]["answers"]
    assert (answers[0]["status"], answers[0]["code"]) == ("quarantined", "COMMAND_UNREADABLE")
    assert answers[0]["path"] == "deviceTime"
    assert answers[1]["status"] == "applied"


async def test_a_command_nested_to_the_limit_stops_no_other(world: World, phone: Graph) -> None:
    """Between what the reader takes and what the writer takes lay a gap in which a whole batch became a fault."""
    visit = await world.visit(world.phones[0])
    seen = set()
    for depth in range(700, 1000, 6):
        for leaf in ("", '"\\u0000"'):
            note = world.phones[0].command("visit.note", visit, {"text": "x"})
            body = httpx.Request(
                "POST",
                "http://t",
                json={"query": PUSH, "variables": {"input": {"sentAt": SENT, "commands": ["@", note]}}},
            ).content.replace(b'"@"', b'{"x":' + b"[" * depth + leaf.encode() + b"]" * depth + b"}")
            answer = (await phone.raw(body)).json()
            if "errors" in answer:
                seen.add(answer["errors"][0]["extensions"]["code"])
            else:
                statuses = [one["status"] for one in answer["data"]["push"]["answers"]]
                assert statuses[0] in ("quarantined", "duplicate")
                assert statuses[1] == "applied"
                seen.add("answered")
    assert seen == {"answered", "BAD_BODY"}


async def test_null_among_commands_stops_no_other(world: World, phone: Graph) -> None:
    """One hole in the queue of a phone must not keep everything behind it from ever arriving."""
    note = world.phones[0].command("visit.note", await world.visit(world.phones[0]), {"text": "x"})
    answers = (await phone.ask(PUSH, {"input": {"sentAt": SENT, "commands": [None, note]}}))["push"][
        "answers"
    ]
    assert [one["status"] for one in answers] == ["quarantined", "applied"]


@pytest.mark.parametrize(
    ("field", "value"), (("appVersion", "x" * 41), ("bootId", "x" * 65), ("monotonicMs", -1))
)
async def test_the_batch_is_held_to_its_contract(phone: Graph, field: str, value: Any) -> None:
    """`push_envelope.json` promises these bounds; a version of 100,000 characters was once kept beside the device."""
    refusal = await phone.refused(PUSH, {"input": {"sentAt": SENT, "commands": [], field: value}})
    assert (refusal["code"], refusal["path"]) == ("BAD_FIELD", f"input.{field}")


DOORS = (
    "/auth/login",
    "/auth/refresh",
    "/auth/logout",
    "/auth/enrol",
    "/v1/work-orders",
    "/devices/enrolment-codes",
)


@pytest.mark.parametrize("door", (*DOORS, "/s/" + "A" * 22 + "." + "B" * 43))
@pytest.mark.parametrize("body", (b"null", b"1", b"[]", b'"x"'))
async def test_bodies_that_are_no_object_have_one_code(dispatcher: Graph, door: str, body: bytes) -> None:
    """A client keeps one case for a broken body; some doors called it a wrong field."""
    answer = await dispatcher.client.post(
        door, content=body, headers=dispatcher.headers(**{"Content-Type": "application/json"})
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_BODY")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "headers",
    (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
    ),
)
async def test_bodies_of_another_kind_are_called_so(
    dispatcher: Graph, door: str, headers: dict[str, str]
) -> None:
    """Who sends a form must learn that it is not read, and not that its JSON is malformed at byte 0."""
    answer = await dispatcher.client.post(door, content=b"{}", headers=dispatcher.headers(**headers))
    assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_BODY")


async def test_a_missing_or_misspelt_field_is_the_path(http: httpx.AsyncClient) -> None:
    """A form shows the refusal beside the field it is about."""
    missing = await http.post("/auth/login", json={"organisation": "a", "password": "b"})
    assert (missing.status_code, missing.json()["path"]) == (422, "email")
    unknown = await http.post("/auth/refresh", json={"refreshToken": "a", "refresh_token": "b"})
    assert (unknown.status_code, unknown.json()["path"]) == (422, "refresh_token")


async def test_too_large_a_body_names_the_limit_of_its_door(dispatcher: Graph) -> None:
    """The order's door takes 64 kB; it said that four megabytes were allowed."""
    answer = await dispatcher.client.post(
        "/v1/work-orders",
        content=b" " * (intake_door.BODY_BYTES_MAX + 1),
        headers=dispatcher.headers(**{"Content-Type": "application/json"}),
    )
    assert answer.status_code == 413
    assert answer.json()["details"]["limit"] == intake_door.BODY_BYTES_MAX


async def test_a_customer_learns_nothing_of_anothers_order_by_its_reference(
    world: World, client: Any
) -> None:
    """References are unique in the organisation: a customer who guessed one got another customer's order for theirs."""
    app, http = client
    user = await someone(world, Role.CUSTOMER_CONTACT)
    async with world.db.work(world.org) as work:
        await customers.create_contact(
            work, customers.NewContact(customer_id=world.customer, name="Ann", user_id=user)
        )
        other = await customers.create_customer(work, customers.NewCustomer(number="C-9", name="Other"))
        site = await customers.create_site(
            work, customers.NewSite(customer_id=other, name="S", address="2 Main St")
        )
    theirs = await world.order(
        customer_id=other, site_id=site, contact_id=None, asset_id=None, references=(("erp", "4711"),)
    )
    token = await token_of(world.db, app.state.issuer, world.org, user)
    body = {
        "siteId": str(world.site),
        "description": "Leaks",
        "serial": "SN-1",
        "contactPhone": "+1 415 555 2671",
        "references": [{"system": "erp", "reference": "4711"}],
    }
    answer = await http.post("/v1/work-orders", json=body, headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (409, "ALREADY_EXISTS")
    assert str(theirs) not in answer.text
    body["references"] = [{"system": "erp", "reference": "4712"}]
    for status in (201, 200):
        answer = await http.post("/v1/work-orders", json=body, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status


@pytest.mark.parametrize(
    "query",
    (
        "{" + "viewer { name } " * 600 + "}",
        "{" + "order { visits { a } } " * 400 + "}",
        "{ __typename } fragment f on Query {" + "viewer { a } " * 900 + "}",
    ),
    ids=("fields", "deeper", "unused fragment"),
)
def test_repeated_fields_do_not_keep_the_process_busy(monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    """Validation compares fields of one name pairwise: ten kilobytes from anybody once took a second of everybody's."""

    def seconds() -> float:
        started = time.process_time()
        with pytest.raises(Unfit):
            engine().documents.prepare(query, may_introspect=False)
        return time.process_time() - started

    ours = min(seconds() for _ in range(3))
    monkeypatch.setattr(overlapping_fields_can_be_merged, "MAX_COMPLEXITY_BUDGET", 500_000)
    assert ours < seconds() / 2


async def test_the_request_chooses_the_language_of_the_answer(dispatcher: Graph) -> None:
    """REST speaks the language the app asks for; GraphQL spoke the one in the user's row, in the same app."""
    body = b'{"query":"mutation { createCustomer(input: { number: \\"\\", name: \\"\\" }) { id } }"}'
    for language, chinese in (("zh-CN", True), ("en", False), ("fr", False)):
        answer = await dispatcher.raw(body, **{"Accept-Language": language})
        message = answer.json()["errors"][0]["message"]
        assert any("\u4e00" <= c <= "\u9fff" for c in message) is chinese, message
