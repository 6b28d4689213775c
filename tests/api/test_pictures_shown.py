"""Who is shown a picture, how, and what is said of one that is not there."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from graph import Graph, application, someone, token_of
from uploading import Uploader, camera_exif, expect, phone_uploader, picture, send_photo, show
from worlds import World

from callout_backend.settings import Settings
from callout_people.users import NewUser, Role, create_user
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture(scope="module")
async def world(db: Database) -> World:
    return await World(db).build()


@pytest.fixture(scope="module")
async def app(settings: Settings, db: Database) -> AsyncIterator[Any]:
    async with application(settings, db) as (litestar, client):
        yield litestar, client


@pytest.fixture(scope="module")
async def visit(world: World) -> UUID:
    return await world.visit(world.phones[0])


@pytest.fixture
async def phone(app: Any, world: World) -> Uploader:
    return await phone_uploader(app, world)


async def test_how_a_picture_is_served(
    world: World, settings: Settings, phone: Uploader, visit: UUID
) -> None:
    """In a browser it can do nothing; shared caches keep nothing; a phone that has it is not sent it again."""
    sent = await send_photo(world, settings, phone, visit, picture(seed=80))
    answer = await show(phone, sent.event)
    headers = answer.headers
    assert headers["content-type"] == "image/jpeg"
    assert headers["content-disposition"] == f'inline; filename="{sent.event}.jpg"'
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert headers["cache-control"].startswith("private")
    again = await show(phone, sent.event, **{"If-None-Match": headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    small = await show(phone, sent.event, "?size=thumb", **{"If-None-Match": headers["etag"]})
    assert small.status_code == 200
    odd = await show(phone, sent.event, "?size=huge")
    assert (odd.status_code, odd.json()["code"]) == (422, "BAD_FIELD")


async def test_who_may_see_a_picture(
    app: Any, world: World, settings: Settings, phone: Uploader, visit: UUID
) -> None:
    """Whoever may see the visit: its engineer and the office, not another engineer, nor another organisation."""
    sent = await send_photo(world, settings, phone, visit, picture(seed=81))
    litestar, client = app
    dispatcher = world.dispatcher.user_id
    assert dispatcher is not None
    desk = Uploader(litestar, client, await token_of(world.db, litestar.state.issuer, world.org, dispatcher))
    assert (await show(desk, sent.event)).status_code == 200
    other = await World(world.db).build(phones=1)
    customer = await someone(world, Role.CUSTOMER_CONTACT)
    strangers = (
        await phone_uploader(app, world, 1),
        await phone_uploader(app, other),
        Uploader(litestar, client, await token_of(world.db, litestar.state.issuer, world.org, customer)),
    )
    for stranger in strangers:
        refused = await show(stranger, sent.event)
        assert (refused.status_code, refused.json()["code"]) == (404, "NOT_FOUND")
    nobody = await client.get(f"/v1/attachments/{sent.event}")
    assert nobody.status_code == 401
    for unknown in (new_id(), "x"):
        refused = await show(phone, unknown)  # type: ignore[arg-type]
        assert (refused.status_code, refused.json()["code"]) == (404, "NOT_FOUND")


async def test_a_picture_that_is_not_there_yet(world: World, phone: Uploader, visit: UUID) -> None:
    """A screen that asks too early is told to come again, before its bytes came and before they were worked on."""
    data, event = picture(seed=82), new_id()
    await expect(world.phones[0], visit, event, data)
    for state in ("awaited", "received"):
        answer = await show(phone, event)
        assert (answer.status_code, answer.json()["code"]) == (404, "ATTACHMENT_AWAITED")
        assert answer.json()["details"]["state"] == state
        assert answer.json()["retryable"] is True
        await phone.upload(data)


async def test_the_office_finds_a_visits_pictures(
    app: Any, world: World, settings: Settings, phone: Uploader, visit: UUID
) -> None:
    """The dispatcher's screen gets addresses and places in one query; the customer gets neither place nor time."""
    sent = await send_photo(world, settings, phone, visit, picture(seed=90, exif=camera_exif()))
    litestar, client = app
    dispatcher = world.dispatcher.user_id
    assert dispatcher is not None
    desk = Graph(client, await token_of(world.db, litestar.state.issuer, world.org, dispatcher))
    fields = "id state mediaType url thumbUrl width height receivedAt lat lng takenAt"
    both = f"attachments(visitId: $id) {{ {fields} }} visit(id: $id) {{ attachments {{ {fields} }} }}"
    query = f"query($id: UUID!) {{ {both} }}"
    data = await desk.ask(query, {"id": str(visit)})
    assert data["attachments"] == data["visit"]["attachments"]
    (found,) = [one for one in data["attachments"] if one["id"] == str(sent.event)]
    assert found["url"] == f"http://t/v1/attachments/{sent.event}"
    assert found["thumbUrl"] == f"http://t/v1/attachments/{sent.event}?size=thumb"
    assert (found["state"], found["lat"]) == ("ready", pytest.approx(-37.7793, abs=1e-5))
    other = await World(world.db).build(phones=1)
    stranger = Graph(client, (await phone_uploader(app, other)).token)
    data = await stranger.ask(query, {"id": str(visit)})
    assert (data["attachments"], data["visit"]) == ([], None)
    async with world.db.work(world.org) as work:
        user = await create_user(
            work, NewUser(email=f"c{new_id()}@example.org", name="Cora", role=Role.CUSTOMER_CONTACT)
        )
        await work.execute("update contact set user_id = $1 where id = $2", user, world.contact)
    customer = Graph(client, await token_of(world.db, litestar.state.issuer, world.org, user))
    data = await customer.ask(
        "query($id: UUID!) { attachments(visitId: $id) { id url } }", {"id": str(visit)}
    )
    assert str(sent.event) in {one["id"] for one in data["attachments"]}
    refused = await customer.refused(
        "query($id: UUID!) { attachments(visitId: $id) { lat } }", {"id": str(visit)}
    )
    assert refused["code"] == "NOT_ALLOWED"
