"""`/v1/orders` as other systems use it, on a real database."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from public_api import headers_of, key_of, public_client
from worlds import World

from callout_people import api_keys
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build(phones=1)


@pytest.fixture
async def client(db: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with public_client(db) as client:
        yield client


def body(world: World, **changes: Any) -> dict[str, Any]:
    given = {
        "description": "The pump leaks at the seal",
        "kind": "service",
        "priority": "P1",
        "customerId": str(world.customer),
        "siteId": str(world.site),
        "contactId": str(world.contact),
        "contactName": "Ann",
        "contactPhone": "+14155552671",
        "serial": "SN-1",
        "references": [{"system": "crm", "reference": f"A-{new_id().hex[-8:]}"}],
    }
    return {name: value for name, value in {**given, **changes}.items() if value is not None}


async def test_made_once_and_found_by_every_id(world: World, client: httpx.AsyncClient) -> None:
    """A system that repeats after a lost answer would call two engineers out; D1: any id leads to the order."""
    headers = await headers_of(world)
    given = body(world)
    first = await client.post("/v1/orders", json=given, headers=headers)
    assert first.status_code == 201, first.text
    again = await client.post("/v1/orders", json=given, headers=headers)
    made = first.json()
    assert again.status_code == 200
    assert (again.json()["id"], again.json()["existing"]) == (made["id"], True)
    assert first.headers["location"] == f"/v1/orders/{made['id']}"
    reference = given["references"][0]["reference"]
    for address in (
        f"/v1/orders/{made['id']}",
        f"/v1/orders/by-number/{made['number']}",
        f"/v1/orders/by-reference/crm/{reference}",
    ):
        found = await client.get(address, headers=headers)
        assert found.status_code == 200, found.text
        assert found.json()["id"] == made["id"]
    linked = await client.post(
        f"/v1/orders/{made['id']}/references",
        json={"system": "erp", "reference": "SO/2026/1"},
        headers=headers,
    )
    assert {one["system"] for one in linked.json()["references"]} == {"crm", "erp"}
    found = await client.get("/v1/orders/by-reference/erp/SO/2026/1", headers=headers)
    assert found.json()["id"] == made["id"], "a reference may hold slashes"


async def test_a_reference_is_the_one_that_was_sent(world: World, client: httpx.AsyncClient) -> None:
    """`a//b` once led to the order of `a/b`: another customer's, whose note or cancellation then came from this caller."""
    headers = await headers_of(world)
    found = {}
    for system in ("crm", "c/m"):
        for reference in ("a/b", "a//b", "/a/b", "a/b/", "a%2Fb", "a?b#c", "a b", "a+b", "中/文", "a/../b"):
            made = await client.post(
                "/v1/orders",
                json=body(world, references=[{"system": system, "reference": reference}]),
                headers=headers,
            )
            address = f"/v1/orders/by-reference/{quote(system, safe='')}/{quote(reference, safe='')}"
            answer = await client.get(address, headers=headers)
            assert (answer.status_code, answer.json().get("id")) == (200, made.json()["id"]), address
            found[answer.json()["id"]] = address
    assert len(found) == 20
    for address in ("crm/none", "c%2Fm/a%2Fc", "crm/%FF", "%E4/1"):
        answer = await client.get(f"/v1/orders/by-reference/{address}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), address


async def test_an_idempotency_key_stands_for_one_body(world: World, client: httpx.AsyncClient) -> None:
    """Two requests under one key are either the same request or a bug of the caller's, who must hear of it."""
    headers = {**await headers_of(world), "Idempotency-Key": "k-1"}
    given = body(world, references=[])
    answers = await asyncio.gather(
        *(client.post("/v1/orders", json=given, headers=headers) for _ in range(5))
    )
    assert sorted(one.status_code for one in answers) == [200, 200, 200, 200, 201], answers[0].text
    assert len({one.json()["id"] for one in answers}) == 1
    other = await client.post("/v1/orders", json={**given, "description": "else"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    bad = await client.post(
        "/v1/orders",
        json=body(world, description="", references=[]),
        headers={**headers, "Idempotency-Key": "k-2"},
    )
    assert bad.status_code == 422
    mended = await client.post(
        "/v1/orders", json=body(world, references=[]), headers={**headers, "Idempotency-Key": "k-2"}
    )
    assert mended.status_code in (200, 201), "a refused request does not use its key up"


async def test_the_key_is_named_in_the_journal(world: World, client: httpx.AsyncClient) -> None:
    """Whoever asks who made an order, or called it off, must not read "system"."""
    made = await key_of(world, name="ERP bridge")
    headers = {"Authorization": f"Bearer {made.text}"}
    order = (await client.post("/v1/orders", json=body(world), headers=headers)).json()
    noted = await client.post(
        f"/v1/orders/{order['id']}/notes", json={"text": "Gate code 12"}, headers=headers
    )
    assert noted.status_code == 201
    off = await client.post(
        f"/v1/orders/{order['id']}/cancel", json={"reason": "by mistake"}, headers=headers
    )
    assert off.json()["state"] == "canceled", off.text
    page = (await client.get(f"/v1/orders/{order['id']}/timeline", headers=headers)).json()
    kinds = [one["kind"] for one in page["items"]]
    assert kinds[0] == "work_order.created"
    assert {"work_order.note_added", "work_order.canceled"} <= set(kinds)
    assert {one["actor"] for one in page["items"] if one["kind"] == "work_order.created"} == {"ERP bridge"}
    note = next(one for one in page["items"] if one["kind"] == "work_order.note_added")
    assert "Gate code 12" in note["textEn"]
    assert "Gate code 12" in note["textZh"]


async def test_scopes_bound_what_a_key_may_do(world: World, client: httpx.AsyncClient) -> None:
    """A key for reading that could cancel orders is a key for everything."""
    headers = await headers_of(world, "orders:read")
    assert (await client.get("/v1/orders", headers=headers)).status_code == 200
    refused = await client.post("/v1/orders", json=body(world), headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "NOT_ALLOWED")
    assert (await client.get("/v1/imports", headers=headers)).status_code == 403
    assert (await client.get("/v1/orders")).status_code == 401
    assert (await client.post("/v1/orders", content=b"{", headers={})).status_code == 401, (
        "strangers learn nothing"
    )


async def test_a_key_that_calls_too_often_is_told_when_to_come_back(
    world: World, client: httpx.AsyncClient
) -> None:
    """T2: without a limit one system's loop is everybody's outage; without Retry-After it loops on."""
    headers = await headers_of(world, rate_per_s=1, burst=2)
    # Side by side: one after the other, a slow machine's calls come as seldom as they may.
    answers = await asyncio.gather(*(client.get("/v1/orders", headers=headers) for _ in range(20)))
    assert [one.status_code for one in answers].count(200) >= 2
    refused = next(one for one in answers if one.status_code == 429)
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["retryable"] is True


async def test_a_key_ends(world: World, client: httpx.AsyncClient) -> None:
    """A key that leaked must end at once when it is revoked, and after its overlap when it was replaced."""
    old = await key_of(world)
    new = await world.db.run(
        world.org, lambda work: api_keys.rotate(work, old.key.id, overlap_hours=1), actor=world.dispatcher
    )
    both = [{"X-Api-Key": one.text} for one in (old, new)]
    assert [(await client.get("/v1/orders", headers=one)).status_code for one in both] == [200, 200]
    assert new.key.user_id == old.key.user_id
    last = await world.db.run(
        world.org, lambda work: api_keys.rotate(work, new.key.id, overlap_hours=0), actor=world.dispatcher
    )
    assert (await client.get("/v1/orders", headers=both[1])).status_code == 401
    await world.db.run(world.org, lambda work: api_keys.revoke(work, last.key.id), actor=world.dispatcher)
    assert (await client.get("/v1/orders", headers={"X-Api-Key": last.text})).status_code == 401
    for text in ("ck_", "ck_x.y", old.text[:-1], old.text[:-1] + ("A" if old.text[-1] != "A" else "B")):
        assert (await client.get("/v1/orders", headers={"X-Api-Key": text})).status_code == 401


async def test_a_key_of_another_organisation_sees_nothing(world: World, client: httpx.AsyncClient) -> None:
    """The tenant's wall holds for keys as for people."""
    other = await World(world.db).build(phones=0)
    order = await world.order()
    headers = await headers_of(other)
    assert (await client.get(f"/v1/orders/{order}", headers=headers)).status_code == 404
    assert (await client.get(f"/v1/orders/{order}/timeline", headers=headers)).status_code == 404
    assert (await client.get("/v1/orders", headers=headers)).json()["items"] == []


async def test_lists_lead_on_and_changes_are_not_missed(world: World, client: httpx.AsyncClient) -> None:
    """A mirror that polls must see each change, and each order once a round."""
    headers = await headers_of(world)
    ids = [str(await world.order(description=f"Pump {n}")) for n in range(5)]
    seen: list[str] = []
    after: str | None = None
    while True:
        more = {"after": after} if after else {}
        page = (await client.get("/v1/orders", params={"first": 2, **more}, headers=headers)).json()
        seen += [one["id"] for one in page["items"]]
        after = page["endCursor"]
        if not page["hasMore"]:
            break
    assert seen == ids[::-1]
    since = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    page = (await client.get("/v1/orders", params={"updatedSince": since}, headers=headers)).json()
    assert [one["id"] for one in page["items"]] == ids
    await client.post(f"/v1/orders/{ids[0]}/notes", json={"text": "x"}, headers=headers)
    more = (
        await client.get(
            "/v1/orders", params={"updatedSince": since, "after": page["endCursor"]}, headers=headers
        )
    ).json()
    assert [one["id"] for one in more["items"]] == [ids[0]]
    both = await client.get("/v1/orders", params={"updatedSince": since, "state": "new"}, headers=headers)
    assert (both.status_code, both.json()["path"]) == (422, "updatedSince")
    filtered = await client.get("/v1/orders", params={"state": ["closed"]}, headers=headers)
    assert filtered.json()["items"] == []


async def test_everything_that_is_wrong_is_said_at_once_in_the_readers_language(
    world: World, client: httpx.AsyncClient
) -> None:
    """A system that hears of one fault a try needs as many tries as there are faults."""
    headers = {**await headers_of(world), "Accept-Language": "zh-CN"}
    refused = await client.post(
        "/v1/orders",
        json=body(
            world,
            description="",
            contactPhone="1380013800",
            contactId=None,
            customerId=None,
            siteId=None,
            serial=None,
        ),
        headers=headers,
    )
    assert refused.status_code == 422
    problem = refused.json()
    assert {one["path"] for one in problem["errors"]} >= {"contactPhone", "description"}
    assert all(one["zh"] and one["en"] for one in problem["errors"])
