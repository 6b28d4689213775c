"""The customer's form, without an account: what it shows, what it takes, and what it refuses."""

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
from callout_orders.channels import accounts
from callout_orders.channels.accounts import ChannelInput
from callout_orders.knowledge import articles, standing
from callout_people.throttle import Limit
from callout_store.work import Database

KEY = "k-0123456789abcdef"


def picture(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
async def world(db: Database) -> World:
    made = await World(db).build(phones=1)
    async with db.work(made.org, actor=made.dispatcher) as work:
        await accounts.save(
            work, ChannelInput(code="form", kind="web_form", name="Form", locale="en", default_kind="repair")
        )
    return made


@pytest.fixture(scope="module")
async def http(settings: Settings, db: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with doors(settings, db, request_form.ROUTES) as client:
        yield client


def address(world: World) -> str:
    return f"/r/w-{world.org.hex[-20:]}"


def filled(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "repair",
        "key": KEY,
        "lang": "en",
        "description": "The pump in the cellar leaks and is loud",
        "contactName": "Ann",
        "contactPhone": "+1 415 555 2671",
        "serial": "SN-1",
        "website": "",
        **changes,
    }


async def test_the_form_is_shown_in_both_languages(world: World, http: httpx.AsyncClient) -> None:
    """A customer who reads no English could not ask for service."""
    page = await http.get(address(world))
    assert page.status_code == 200
    assert "Serial number" in page.text
    assert 'name="fields.battery_safety"' in page.text
    assert 'name="fields.repair_cost"' not in page.text  # the engineer's, later
    chinese = await http.get(address(world), params={"lang": "zh"})
    assert "设备序列号" in chinese.text
    assert chinese.headers["content-language"] == "zh"
    assert "http" not in "".join(
        part for part in page.text.split('"') if part.startswith(("http:", "https:"))
    )  # nothing from elsewhere


async def test_a_form_is_an_order_with_its_picture(world: World, http: httpx.AsyncClient) -> None:
    """The picture that shows the fault would be lost on the way."""
    answer = await http.post(
        address(world), data=filled(), files=[("files", ("leak.png", picture(), "image/png"))]
    )
    assert answer.status_code == 200
    (order,) = await world.fetch("select id, number, channel, kind, customer_id from work_order")
    assert (order["channel"], order["kind"], order["customer_id"]) == ("web_form", "repair", world.customer)
    assert order["number"] in answer.text
    assert "/t/" in answer.text
    file = await world.fetch("select order_id, media_type, name, state from intake_file")
    assert [tuple(row) for row in file] == [(order["id"], "image/png", "leak.png", "stored")]


async def test_everything_wrong_is_said_beside_the_fields(world: World, http: httpx.AsyncClient) -> None:
    """A customer would correct one field, send, and be refused for the next."""
    given = filled(description="x", contactPhone="1390000000", serial="", contactEmail="nobody")
    answer = await http.post(
        address(world), data=given, files=[("files", ("leak.png", picture(), "image/png"))]
    )
    assert answer.status_code == 422
    for name in ("contactPhone", "serial", "contactEmail"):
        assert f'id="wrong-{name}"' in answer.text
    assert 'value="1390000000"' in answer.text  # what was typed is still there
    assert "leak.png" in answer.text  # and so is the picture
    assert await world.value("select count(*) from work_order") == 0
    again = await http.post(address(world), data=filled())
    assert again.status_code == 200
    assert await world.value("select count(*) from intake_file where order_id is not null") == 1


async def test_sending_twice_is_one_order(world: World, http: httpx.AsyncClient) -> None:
    """A second press on the button would call a second engineer out."""
    first = await http.post(address(world), data=filled())
    again = await http.post(address(world), data=filled())
    assert (first.status_code, again.status_code) == (200, 200)
    assert await world.value("select count(*) from work_order") == 1
    sent = {"description": "The pump in the cellar leaks", "serial": "SN-1", "contactPhone": "+14155552671"}
    made = await http.post(address(world), json={**sent, "key": "another-0123456789"})
    known = await http.post(address(world), json={**sent, "key": "another-0123456789"})
    assert (made.status_code, known.status_code) == (201, 200)
    assert known.json()["number"] == made.json()["number"]


async def test_json_brings_the_answers_and_their_page_right_away(
    world: World, http: httpx.AsyncClient
) -> None:
    """R2, T3: a company's own website would show its visitors a number and let them wait for what it knows already."""
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        texts = (
            ("Bleeding the pump", {}),
            ("E07", {"fault_code": "E07", "workaround": "Take stair two."}),
        )
        ids = [
            await articles.save_article(
                work,
                articles.ArticleText(title=title, body="Look behind it.", for_customers=True, **more),
            )
            for title, more in texts
        ]
        await standing.switch(work, ids[1], True)
        await work.execute("update intake_channel set default_priority = 'P2'")
    sent = {"serial": "SN-1", "contactPhone": "+14155552671", "kind": "repair", "locale": "en"}
    asked = {**sent, "description": "How is bleeding the pump done?", "key": "question-0123456789"}
    made = (await http.post(address(world), json=asked)).json()
    assert [one["title"] for one in made["answers"]] == ["Bleeding the pump"]
    assert "/a/" in made["answersLink"]
    again = (await http.post(address(world), json=asked)).json()
    assert (again["existing"], again["answers"], again["answersLink"]) == (True, [], None)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await work.execute("update intake_channel set default_priority = 'P1'")
    fault = {**sent, "description": "It is dark in the cellar", "errorCode": "E07", "serial": ""}
    fault |= {"kind": "general", "key": "standing-0123456789"}
    dark = (await http.post(address(world), json=fault)).json()
    assert [(one["title"], one["workaround"]) for one in dark["answers"]] == [("E07", "Take stair two.")]
    plain = {**fault, "errorCode": None, "description": "The lamp is broken", "key": "nothing-0123456789"}
    none = (await http.post(address(world), json=plain)).json()
    assert (none["answers"], none["answersLink"]) == ([], None)


async def test_json_is_refused_with_all_errors_in_its_language(world: World, http: httpx.AsyncClient) -> None:
    """A company's own website could not show its visitors what to correct."""
    answer = await http.post(
        address(world),
        json={"description": "坏了", "kind": "repair", "contactPhone": "1390000000"},
        headers={"Accept-Language": "zh"},
    )
    assert answer.status_code == 422
    body = answer.json()
    assert body["code"] == "FIELDS_REFUSED"
    assert {"contactPhone", "serial"} <= {fault["path"] for fault in body["errors"]}
    assert all(fault["zh"] for fault in body["errors"])


async def test_machines_that_fill_in_everything_are_refused(world: World, http: httpx.AsyncClient) -> None:
    """The desk would drown in advertisements."""
    answer = await http.post(address(world), data=filled(website="http://buy.example"))
    assert answer.status_code == 422
    as_json = await http.post(address(world), json={"description": "x", "website": "y"})
    assert as_json.json()["code"] == "FORM_FILLED_BY_MACHINE"
    assert await world.value("select count(*) from work_order") == 0


async def test_a_flood_is_told_to_come_later(
    world: World, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One machine could fill the queue before anybody notices."""
    monkeypatch.setattr(request_form, "BY_ADDRESS", Limit(2, 3600))
    answers = [await http.post(address(world), json={"description": "x"}) for _ in range(3)]
    assert [one.status_code for one in answers[:2]] == [422, 422]
    assert (answers[2].status_code, answers[2].json()["code"]) == (429, "TOO_MANY_REQUESTS")
    assert int(answers[2].headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("name", "data"),
    (
        ("page.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        ("poly.png", picture()[:60] + b"<script>alert(1)</script>" + picture()[60:]),
        ("empty.png", b""),
        ("run.exe", b"MZ" + bytes(100)),
    ),
)
async def test_files_that_are_no_pictures_are_refused(
    world: World, http: httpx.AsyncClient, name: str, data: bytes
) -> None:
    """A page that runs in our name could be hung on an order and opened by an agent."""
    answer = await http.post(address(world), data=filled(), files=[("files", (name, data, "image/png"))])
    assert answer.status_code == 422
    assert 'id="wrong-files"' in answer.text
    brought = await http.post(f"{address(world)}/files", params={"key": KEY}, content=data)
    assert (brought.status_code, brought.json()["code"]) == (422, "FILE_REFUSED")
    assert await world.value("select count(*) from work_order") == 0


async def test_another_form_s_file_cannot_be_taken(world: World, http: httpx.AsyncClient) -> None:
    """Whoever guesses ids could hang other people's pictures on their own order, and look at them."""
    brought = await http.post(f"{address(world)}/files", params={"key": KEY}, content=picture())
    assert brought.status_code == 201
    sent = {"description": "The pump leaks in the cellar", "serial": "SN-1", "contactPhone": "+14155552671"}
    stolen = await http.post(
        address(world), json={**sent, "key": "somebody-else-0123", "files": [brought.json()["id"]]}
    )
    assert stolen.json()["path"] == "files.0"
    own = await http.post(address(world), json={**sent, "key": KEY, "files": [brought.json()["id"]]})
    assert own.status_code == 201


async def test_a_form_that_was_not_opened_is_closed(db: Database, http: httpx.AsyncClient) -> None:
    """Strangers could order from a company that never asked for a form."""
    world = await World(db).build(phones=1)
    for where in (address(world), "/r/no-such-house", "/r/%00"):
        assert (await http.get(where)).status_code == 404
        assert (await http.post(where, json={"description": "x"})).json()["code"] == "FORM_CLOSED"


async def test_a_question_is_answered_at_once(world: World, http: httpx.AsyncClient) -> None:
    """A customer would wait for a call about what stands in the knowledge base."""
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await articles.save_article(
            work,
            articles.ArticleText(
                title="Changing the filter of the pump",
                body="Turn it to the left, then pull.",
                locale="en",
                for_customers=True,
            ),
        )
    asked = filled(kind="service", description="How do I change the filter of the pump please?")
    answer = await http.post(address(world), data=asked)
    assert answer.status_code == 200
    assert "Turn it to the left" in answer.text
    assert "/a/" in answer.text  # where it is said whether it helped
    again = await http.post(address(world), data=asked)
    assert "Turn it to the left" not in again.text


async def test_json_holds_no_more_than_a_request(world: World, http: httpx.AsyncClient) -> None:
    """Sixty megabytes of nested lists would keep the process busy that everybody's requests go through."""
    large = await http.post(address(world), json={"description": "x" * (request_form.JSON_BYTES_MAX + 1)})
    assert (large.status_code, large.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert str(request_form.JSON_BYTES_MAX) in large.json()["detail"]


async def test_only_what_the_form_offers_may_be_asked_for(world: World, http: httpx.AsyncClient) -> None:
    """A stranger could start a flow that the company keeps for its own people, past the form that does not show it."""
    await world.fetch(
        'update intake_channel set settings = \'{"kinds": ["repair", "service"]}\', default_kind = null returning 1'
    )
    sent = {"description": "The pump leaks in the cellar", "serial": "SN-1", "contactPhone": "+14155552671"}
    refused = await http.post(address(world), json={**sent, "kind": "production"})
    assert (refused.status_code, refused.json()["path"]) == (422, "kind")
    assert (await http.post(address(world), json={**sent, "kind": "repair"})).status_code == 201
    page = await http.get(address(world), params={"kind": "production"})
    assert 'value="production"' not in page.text
