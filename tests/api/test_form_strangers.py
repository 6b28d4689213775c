"""A form that makes nobody a customer: who is known and who is not are answered alike, and nothing that was sent is lost."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from channel_doors import doors
from PIL import Image
from worlds import World

from callout_backend.doors import request_form
from callout_backend.settings import Settings
from callout_orders import customers
from callout_orders.channels import accounts
from callout_orders.channels.accounts import ChannelInput
from callout_orders.channels.conversations import desk_drafts
from callout_orders.channels.refusals import NoWayBack
from callout_orders.kinds import library, versions
from callout_orders.precheck import settings as precheck_settings
from callout_store.work import Database, Work

KEY = "k-0123456789abcdef"
KNOWN, UNKNOWN, SHARED, TWO_PLACES = "+14155552671", "+14155550199", "+14155550134", "+14155550135"
FORM = ChannelInput(code="form", kind="web_form", name="Form", locale="en", may_create=False)


@pytest.fixture
async def world(db: Database) -> World:
    """Ann is known; two customers share a telephone; a third one has two places."""
    made = await World(db).build(phones=1)
    async with db.work(made.org, actor=made.dispatcher) as work:
        await accounts.save(work, FORM)
        for number, phone, places in (("S-1", SHARED, 1), ("S-2", SHARED, 1), ("S-3", TWO_PLACES, 2)):
            one = await customers.create_customer(work, customers.NewCustomer(number=number, name=number))
            await customers.create_contact(
                work, customers.NewContact(customer_id=one, name="Bo", phone=phone)
            )
            for n in range(places):
                await customers.create_site(
                    work, customers.NewSite(customer_id=one, name=f"{number} {n}", address=f"{n} {number} St")
                )
    return made


@pytest.fixture(scope="module")
async def http(settings: Settings, db: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with doors(settings, db, request_form.ROUTES) as client:
        yield client


def address(world: World) -> str:
    return f"/r/w-{world.org.hex[-20:]}"


def sent(phone: str, key: str = KEY, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "general",
        "key": key,
        "description": "The pump in the cellar leaks and is loud",
        "contactPhone": phone,
        **changes,
    }


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, "PNG")
    return out.getvalue()


async def nobody_links(
    work: Work, order_id: Any, locale: str, *, about: str = "", place: bool = False
) -> None:
    """No address at which an order is followed."""


def wordless(answer: httpx.Response) -> tuple[int, Any]:
    """An answer without what differs in any two."""
    body = answer.json()
    body.pop("requestId", None)
    body.pop("instance", None)
    return answer.status_code, body


@pytest.mark.parametrize(
    ("changes", "status", "orders"),
    (
        ({}, 201, 1),
        # Known, but at no place of theirs.
        ({"address": "9 Elm St"}, 201, 0),
        ({"description": ""}, 422, 0),
        ({"contactEmail": "nobody"}, 422, 0),
        ({"kind": "repair", "serial": "没有"}, 422, 0),
        ({"fields": {"nonsense": 1}}, 422, 0),
    ),
)
async def test_nobody_learns_whether_a_telephone_is_known(
    world: World, http: httpx.AsyncClient, changes: dict[str, Any], status: int, orders: int
) -> None:
    """Whoever types in their neighbour's number would learn of whom they are a customer, and in how many places."""
    if changes:
        async with world.db.work(world.org) as work:
            await work.execute("update intake_channel set may_create = null")
            rules = {"web_form": precheck_settings.ChannelRules(create=False)}
            await precheck_settings.save(work, precheck_settings.Settings(channels=rules))
    phones = (KNOWN, UNKNOWN, SHARED, TWO_PLACES)
    answers = [
        await http.post(address(world), json=sent(phone, f"{KEY}-{n}", **changes))
        for n, phone in enumerate(phones)
    ]
    answers += [
        await http.post(address(world), json=sent(phone, f"{KEY}-{n}", **changes))
        for n, phone in enumerate(phones)
    ]
    told = [wordless(answer) for answer in answers]
    assert told[0][0] == status
    assert all(one == told[0] for one in told[:4])
    assert all(one == told[4] for one in told[4:])
    if status == 201:
        assert told[4] == (200, {**told[0][1], "existing": True})
        assert told[0][1] == {
            "number": None,
            "existing": False,
            "follow": None,
            "answers": [],
            "answersLink": None,
        }
    async with world.db.work(world.org) as work:
        taken = await work.fetchval("select count(*) from work_order")
        kept = await work.fetchval("select count(*) from intake_draft where state = 'desk'")
    assert (taken, kept) == (orders, 0 if status == 422 else 4 - orders)


async def test_the_page_says_the_same_too(world: World, http: httpx.AsyncClient) -> None:
    """What JSON keeps to itself would stand on the page; or a visitor would not know whether it arrived."""
    pages = []
    for n, phone in enumerate((KNOWN, UNKNOWN)):
        form = {**sent(phone, f"{KEY}-{n}"), "lang": "en", "website": ""}
        files = [("files", ("leak.png", picture(), "image/png"))]
        bad = [("files", ("x.png", b"no picture", "image/png"))]
        for brought in (files, files, bad):
            answer = await http.post(address(world), data=form, files=brought)
            pages.append((answer.status_code, answer.text.replace(form["key"], "").replace(phone, "")))
    assert [status for status, _ in pages] == [200, 200, 422] * 2
    assert pages[:3] == pages[3:]
    assert "has arrived" in pages[0][1]
    assert "already" in pages[1][1]


@pytest.mark.parametrize("field", ("address", "contact_name"))
@pytest.mark.parametrize("may_create", (True, False))
async def test_what_stands_here_of_a_telephone_fills_no_gap(
    world: World, http: httpx.AsyncClient, field: str, may_create: bool
) -> None:
    """By what is not asked for, a form would say that it knows the number's owner."""
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        rule = f'[[checks]]\nrule = "required"\nfields = ["{field}"]\n\n[[checks]]'
        await versions.save(work, library.template("general").replace("[[checks]]", rule, 1))
        await versions.activate(work, "general", 1)
        await work.execute("update intake_channel set may_create = $1", may_create)
    told = [
        wordless(await http.post(address(world), json=sent(phone, f"{KEY}-{n}")))
        for n, phone in enumerate((KNOWN, UNKNOWN))
    ]
    assert told[0] == told[1]
    assert told[0][0] == 422


async def test_the_desk_has_it_with_all_that_was_given(world: World, http: httpx.AsyncClient) -> None:
    """Somebody's call for help would end at a page that says "unknown customer"."""
    file = (await http.post(f"{address(world)}/files", params={"key": KEY}, content=picture())).json()
    given = sent(
        UNKNOWN,
        kind="repair",
        serial="SN-77",
        contactName="Eve",
        customerName="Eve's Bakery",
        files=[file["id"]],
        fields={"battery_safety": True},
        locale="zh",
    )
    assert (await http.post(address(world), json=given)).status_code == 201
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        todos = await work.fetch(
            "select kind, user_id, data ->> 'peer' as peer from todo where state = 'open'"
        )
        (draft,) = (await desk_drafts.page(work)).items
        assert (draft.peer, draft.state, draft.reason, draft.kind, draft.locale) == (
            UNKNOWN,
            "desk",
            "unknown_customer",
            "repair",
            "zh",
        )
        assert [fault["reason"] for fault in draft.faults] == ["unknown_customer"]
        with pytest.raises(NoWayBack):
            await desk_drafts.answer(work, draft.id, "Who are you?")
        made = await customers.create_customer(work, customers.NewCustomer(number="E-1", name="Eve's Bakery"))
        await customers.create_site(
            work, customers.NewSite(customer_id=made, name="Shop", address="3 Oak St")
        )
        heard = await desk_drafts.complete(work, draft.id, {"customerNumber": "E-1"}, link=nobody_links)
        order = await work.fetchrow(
            "select id, customer_id, kind, serial, fields ->> 'battery_safety' as safety, channel from work_order"
        )
        assert order is not None
        files = await work.fetch("select order_id from intake_file")
        owed = await work.fetchval("select count(*) from intake_message")
        left = await work.fetchval("select count(*) from todo where state = 'open'")
    assert [tuple(row) for row in todos] == [("intake.unknown", world.dispatcher.user_id, UNKNOWN)]
    assert (
        order["id"],
        order["customer_id"],
        order["kind"],
        order["serial"],
        order["safety"],
        order["channel"],
    ) == (
        heard.order_id,
        made,
        "repair",
        "SN-77",
        "true",
        "web_form",
    )
    assert [row["order_id"] for row in files] == [heard.order_id]
    assert (owed, left) == (0, 0)
    again = await http.post(address(world), json=given)
    assert (again.status_code, again.json()["existing"]) == (200, True)
    assert await world.value("select count(*) from work_order") == 1


async def test_a_key_is_one_request_even_when_its_sender_becomes_known(
    world: World, http: httpx.AsyncClient
) -> None:
    """Two taps on "send", or one more after the desk has written the caller down: two people would work on one matter."""
    answers = await asyncio.gather(*(http.post(address(world), json=sent(UNKNOWN)) for _ in range(4)))
    assert sorted(one.status_code for one in answers) == [200, 200, 200, 201]
    async with world.db.work(world.org) as work:
        await customers.create_contact(
            work, customers.NewContact(customer_id=world.customer, name="Eve", phone=UNKNOWN)
        )
    assert (await http.post(address(world), json=sent(UNKNOWN))).status_code == 200
    assert await world.value("select count(*) from intake_draft") == 1
    assert await world.value("select count(*) from work_order") == 0
    other = await http.post(address(world), json=sent(UNKNOWN, "k-another-0123456789"))
    assert other.status_code == 201
    assert await world.value("select count(*) from work_order") == 1


@pytest.mark.parametrize("may_create", (True, False))
@pytest.mark.parametrize("phone", (KNOWN, UNKNOWN))
async def test_a_lost_answer_is_asked_for_again_with_its_pictures(
    world: World, http: httpx.AsyncClient, phone: str, may_create: bool
) -> None:
    """A phone that lost the answer in a tunnel sends the same again: it would hear that its pictures are not its own."""
    async with world.db.work(world.org) as work:
        await work.execute("update intake_channel set may_create = $1", may_create)
    file = (await http.post(f"{address(world)}/files", params={"key": KEY}, content=picture())).json()
    given = sent(phone, files=[file["id"]], address="9 Elm St")
    first = await http.post(address(world), json=given)
    again = await http.post(address(world), json=given)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["number"] == first.json()["number"]
    stolen = await http.post(address(world), json={**given, "key": "k-another-0123456789"})
    assert stolen.json()["path"] == "files.0"
