"""`POST /v1/work-orders`, on a real database; signing in is `test_people_login`'s."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Litestar
from litestar.datastructures import State
from worlds import World

from callout_backend.doors import identity, intake
from callout_backend.problems import EXCEPTION_HANDLERS
from callout_orders import customers
from callout_people import users
from callout_people.principals import Principal, Role
from callout_people.users import NewUser
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build(phones=1)


@pytest.fixture
async def client(db: Database) -> AsyncIterator[httpx.AsyncClient]:
    app = Litestar(
        route_handlers=intake.ROUTES,
        exception_handlers=EXCEPTION_HANDLERS,
        state=State({"db": db, "issuer": None}, deep_copy=False),
        logging_config=None,
        openapi_config=None,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        yield client


def sign_in(monkeypatch: pytest.MonkeyPatch, world: World, role: Role, user_id: UUID | None = None) -> None:
    who = Principal(
        org_id=world.org,
        user_id=user_id or world.dispatcher.user_id or new_id(),
        role=role,
        session_id=new_id(),
    )

    async def principal(*_: object, **__: object) -> Principal:
        return who

    monkeypatch.setattr(identity, "authenticate", principal)


def body(world: World, **changes: Any) -> dict[str, Any]:
    order = {
        "customerId": str(world.customer),
        "siteId": str(world.site),
        "description": "The pump leaks",
        "serial": "SN-1",
        "contactPhone": "+1 415 555 2671",
        "references": [{"system": "crm", "reference": "A-1"}],
    }
    return {name: value for name, value in {**order, **changes}.items() if value is not None}


async def test_the_same_reference_twice_is_one_order(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that repeats after a lost answer would call two engineers out."""
    sign_in(monkeypatch, world, Role.DISPATCHER)
    first = await client.post("/v1/work-orders", json=body(world))
    again = await client.post("/v1/work-orders", json=body(world, description="again"))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["existing"] is False
    assert again.json() == {**first.json(), "existing": True}
    row = (await world.fetch("select channel, priority, description from work_order"))[0]
    assert (row["channel"], row["priority"], row["description"]) == ("web_form", "P1", "The pump leaks")


async def test_a_contact_orders_for_their_own_customer_only(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A customer could call engineers out on a competitor's bill."""
    async with world.db.work(world.org) as work:
        (user,) = await users.create_users(
            work, [NewUser(email="ann@example.org", name="Ann", role=Role.CUSTOMER_CONTACT)]
        )
        contact = await customers.create_contact(
            work, customers.NewContact(customer_id=world.customer, name="Ann", user_id=user)
        )
        other = await customers.create_customer(work, customers.NewCustomer(number="C-9", name="Rival"))
        site = await customers.create_site(
            work, customers.NewSite(customer_id=other, name="Shop", address="2 Main St")
        )
    sign_in(monkeypatch, world, Role.CUSTOMER_CONTACT, user)
    own = await client.post("/v1/work-orders", json=body(world, customerId=None))
    assert own.status_code == 201
    stored = await world.value("select contact_id from work_order where id = $1", UUID(own.json()["id"]))
    assert stored == contact
    for strange in (
        body(world, customerId=str(other), siteId=str(site), references=[]),
        body(world, customerId=None, siteId=str(site), references=[]),
    ):
        answer = await client.post("/v1/work-orders", json=strange)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("role", (Role.ENGINEER, Role.SUPERVISOR))
async def test_others_may_not_order(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    """An engineer's stolen phone could fill the dispatcher's list."""
    sign_in(monkeypatch, world, role)
    answer = await client.post("/v1/work-orders", json=body(world))
    assert (answer.status_code, answer.json()["code"]) == (403, "NOT_ALLOWED")


async def test_nobody_may_not_order(world: World, client: httpx.AsyncClient) -> None:
    """The door would stand open to the street."""
    answer = await client.post("/v1/work-orders", json=body(world))
    assert (answer.status_code, answer.json()["code"]) == (401, "NOT_AUTHENTICATED")
    assert await world.value("select count(*) from work_order") == 0


@pytest.mark.parametrize(
    ("changes", "status", "path"),
    (
        ({"customerId": None, "siteId": None, "serial": "SN-9", "contactPhone": None}, 422, "contactPhone"),
        ({"siteId": "x"}, 422, "siteId"),
        ({"contactPhone": "415 555 267"}, 422, "contactPhone"),
        ({"description": "a\x00b"}, 422, "description"),
        ({"priority": "P7"}, 422, "priority"),
        ({"surprise": 1}, 422, "surprise"),
    ),
)
async def test_bad_fields_are_named(
    world: World,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    status: int,
    path: str | None,
) -> None:
    """The form could not show which field is wrong."""
    sign_in(monkeypatch, world, Role.ADMIN)
    answer = await client.post("/v1/work-orders", json=body(world, **changes))
    assert answer.status_code == status
    assert answer.json().get("path") == path
    assert await world.value("select count(*) from work_order") == 0


@pytest.mark.parametrize(
    ("raw", "status"),
    ((b"null", 400), (b"1", 400), (b"{", 400), (b"\xff", 400), (b"[" * 50_000, 400), (b" " * 65_000, 413)),
)
async def test_bad_bodies_are_answered(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, raw: bytes, status: int
) -> None:
    """A broken sender would get a fault of ours instead of an answer it can act on."""
    sign_in(monkeypatch, world, Role.ADMIN)
    answer = await client.post("/v1/work-orders", content=raw)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
