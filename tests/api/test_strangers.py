"""What somebody who has shown by nothing who they are learns of customers: from the public form, and from a chat account."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from channel_doors import doors
from worlds import SITE, World

from callout_backend.doors import request_form, track
from callout_backend.settings import Settings
from callout_orders import customers
from callout_orders.channels import accounts
from callout_orders.channels.accounts import ChannelInput
from callout_orders.customers import NewSite
from callout_store.work import Database

THEIRS, NOBODYS = "+14155552671", "+14155550134"
LEAK = "The pump in the cellar leaks and is very loud since this morning"


@pytest.fixture
async def world(db: Database) -> World:
    made = await World(db).build(phones=1)
    async with db.work(made.org, actor=made.dispatcher) as work:
        await accounts.save(
            work, ChannelInput(code="form", kind="web_form", name="Form", locale="en", default_kind="general")
        )
    return made


@pytest.fixture(scope="module")
async def http(settings: Settings, db: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with doors(settings, db, [*request_form.ROUTES, *track.ROUTES]) as client:
        yield client


async def ask(world: World, http: httpx.AsyncClient, **more: Any) -> httpx.Response:
    given = {"description": LEAK, "kind": "general", "contactName": "Mallory", **more}
    return await http.post(f"/r/w-{world.org.hex[-20:]}", json=given)


async def another_site(world: World) -> None:
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await customers.create_site(
            work,
            NewSite(customer_id=world.customer, name="Attic", address="7 Hill Rd", lat=SITE[0], lng=SITE[1]),
        )


def shape(answer: httpx.Response) -> tuple[int, list[str], bool]:
    """All of an answer that does not differ from order to order."""
    body = answer.json()
    return answer.status_code, sorted(body), body.get("existing", False)


async def test_a_telephone_number_is_no_question_to_us(world: World, http: httpx.AsyncClient) -> None:
    """Whoever tries numbers would learn which of them are customers, and how many places each of those has."""
    await another_site(world)
    for more in ({}, {"address": "99 Far Away St"}, {"serial": "SN-1"}):
        theirs = await ask(world, http, contactPhone=THEIRS, **more)
        nobodys = await ask(world, http, contactPhone=NOBODYS, **more)
        assert shape(theirs) == shape(nobodys), (more, theirs.text, nobodys.text)
        assert theirs.status_code == 201
    for word in ("Bay Laundry", "Main St", "Cellar", "Ann", "Hill Rd"):
        assert word not in theirs.text


async def test_an_order_like_theirs_is_not_told(world: World, http: httpx.AsyncClient) -> None:
    """Whoever knows a number and guesses the trouble would learn that the neighbour has an engineer coming, and the order's
    number, which opens more at a hotline."""
    order = await world.order(description=LEAK, kind="general", serial="SN-1")
    number = await world.value("select number from work_order where id = $1", order)
    answer = await ask(world, http, contactPhone=THEIRS, serial="SN-1")
    linked = await world.value(
        "select duplicate_of_id from work_order where number = $1", answer.json()["number"]
    )
    assert linked == order  # the desk sees it
    assert number not in answer.text
    as_form = {
        "description": LEAK,
        "kind": "general",
        "contactName": "M",
        "contactPhone": THEIRS,
        "serial": "SN-1",
    }
    page = await http.post(
        f"/r/w-{world.org.hex[-20:]}", data={**as_form, "key": "k-0123456789abcdef", "lang": "en"}
    )
    assert page.status_code == 200
    assert number not in page.text


@pytest.mark.parametrize(
    ("said", "shown"),
    (
        ({"contactPhone": THEIRS}, False),
        ({"contactPhone": NOBODYS, "serial": "SN-1"}, False),
        ({"contactPhone": THEIRS, "address": "1 Main St"}, True),
        ({"contactPhone": NOBODYS, "address": "5 New St"}, True),
    ),
)
async def test_a_link_shows_only_a_place_that_was_said(
    world: World, http: httpx.AsyncClient, said: dict[str, str], shown: bool
) -> None:
    """Somebody's telephone number would be all that it takes to be shown on a page where they live, as soon as the engineer
    sets out."""
    answer = await ask(world, http, key="k-0123456789abcdef", **said)
    assert answer.status_code == 201, answer.text
    again = await ask(world, http, key="k-0123456789abcdef", **said)
    assert again.json()["existing"] is True
    links = await world.fetch("select shows_place from track_link order by id")
    assert [one["shows_place"] for one in links] == [shown, shown]
