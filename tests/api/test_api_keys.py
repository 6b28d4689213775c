"""Keys of other systems: what ends them, what may replace them, whose they are, and how often they may call."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from public_api import headers_of, key_of, public_client
from worlds import World

from callout_people import api_keys
from callout_people.principals import SCOPES
from callout_store.errors import BadField, LimitExceeded, NotFound
from callout_store.work import Database

HOUR = timedelta(hours=1)


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build(phones=1)


@pytest.fixture
async def client(db: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with public_client(db) as client:
        yield client


async def run(world: World, act: Any) -> Any:
    return await world.db.run(world.org, act, actor=world.dispatcher)


async def ends(world: World, key: api_keys.Made, at: datetime) -> None:
    await run(
        world,
        lambda work: work.execute("update api_key set expires_at = $2 where id = $1", key.key.id, at),
    )


async def test_a_key_ends_with_its_time_and_with_its_system(world: World, client: httpx.AsyncClient) -> None:
    """A partner whose contract is over, or whose system was shut out, would go on reading customers' addresses."""

    async def status(key: api_keys.Made) -> int:
        answer = await client.get("/v1/orders", headers={"Authorization": f"Bearer {key.text}"})
        return answer.status_code

    timed, other = await key_of(world), await key_of(world)
    await ends(world, timed, datetime.now(UTC) + HOUR)
    assert (await status(timed), await status(other)) == (200, 200)
    await ends(world, timed, datetime.now(UTC) - timedelta(seconds=1))
    assert (await status(timed), await status(other)) == (401, 200)
    await run(
        world,
        lambda work: work.execute("update app_user set active = false where id = $1", other.key.user_id),
    )
    assert await status(other) == 401


async def test_a_caller_who_is_two_callers_is_none(world: World, client: httpx.AsyncClient) -> None:
    """With a weak key in one header and a strong one in the other, whoever looks at the wrong one lets too much in."""
    weak, strong = await key_of(world, "orders:read"), await key_of(world)
    both = {"X-Api-Key": weak.text, "Authorization": f"Bearer {strong.text}"}
    assert (await client.get("/v1/orders", headers=both)).status_code == 401
    for header in both:
        assert (await client.get("/v1/orders", headers={header: both[header]})).status_code == 200


async def test_a_replaced_key_lives_no_longer_than_it_would_have(world: World) -> None:
    """A key that ends tonight would be good for a month more, or its successor for ever, because it was replaced."""
    key = await key_of(world)
    tonight = datetime.now(UTC) + 2 * HOUR
    await ends(world, key, tonight)
    new = await run(world, lambda work: api_keys.rotate(work, key.key.id, overlap_hours=720))
    old = await run(world, lambda work: api_keys.by_id(work, key.key.id))
    assert (old.expires_at, old.replaced_by_id, new.key.expires_at) == (
        tonight,
        new.key.id,
        tonight,
    )
    assert (new.key.scopes, new.key.rate_per_s, new.key.burst) == (old.scopes, old.rate_per_s, old.burst)
    assert new.text != key.text
    longer = await run(world, lambda work: api_keys.rotate(work, new.key.id, days=5))
    assert longer.key.expires_at is not None
    assert longer.key.expires_at > tonight + 24 * HOUR


async def test_only_a_key_in_use_is_replaced_and_once(world: World) -> None:
    """A key that was revoked because it leaked must not bear a fresh one; two successors are one that nobody knows of."""
    replaced, revoked, over = [await key_of(world) for _ in range(3)]
    await run(world, lambda work: api_keys.rotate(work, replaced.key.id))
    first = await run(world, lambda work: api_keys.revoke(work, revoked.key.id))
    await ends(world, over, datetime.now(UTC) - HOUR)
    for key in (replaced, revoked, over):
        with pytest.raises(NotFound):
            await run(world, lambda work, id_=key.key.id: api_keys.rotate(work, id_))
    again = await run(world, lambda work: api_keys.revoke(work, revoked.key.id))
    assert again.revoked_at == first.revoked_at
    assert (
        await world.value(
            "select count(*) from journal where kind = 'api_key.revoked' and entity_id = $1", revoked.key.id
        )
        == 1
    )
    shown = {one.id for one in await run(world, api_keys.listed)}
    assert not shown & {revoked.key.id, over.key.id}
    assert replaced.key.id in shown
    everything = await run(world, lambda work: api_keys.listed(work, ended=True))
    assert {replaced.key.id, revoked.key.id, over.key.id} <= {one.id for one in everything}


async def test_one_replacement_of_two_at_once(world: World) -> None:
    """Two admins who react to the same alarm would leave a key behind that neither of them revokes."""
    key = await key_of(world)
    found = await asyncio.gather(
        *(run(world, lambda work: api_keys.rotate(work, key.key.id)) for _ in range(3)),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in found) == ["Made", "NotFound", "NotFound"]


async def test_what_a_key_may_be_is_bounded_and_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip (a scope that does not exist, no end of the rate) would make a key that does nothing, or everything."""
    for path, more in (
        ("scopes", {"scopes": ()}),
        ("scopes.1", {"scopes": ("orders:read", "orders:*")}),
        ("ratePerS", {"rate_per_s": 0}),
        ("ratePerS", {"rate_per_s": api_keys.RATE_MAX + 1}),
        ("burst", {"burst": api_keys.BURST_MAX + 1}),
        ("days", {"days": 0}),
        ("days", {"days": api_keys.DAYS_MAX + 1}),
    ):
        given: dict[str, Any] = {"name": "CRM", "scopes": ("orders:read",), **more}
        with pytest.raises(BadField) as caught:
            await run(world, lambda work, given=given: api_keys.create(work, **given))
        assert caught.value.path == path
    key = await key_of(world)
    for hours in (-1, api_keys.OVERLAP_HOURS_MAX + 1):
        with pytest.raises(BadField):
            await run(world, lambda work, hours=hours: api_keys.rotate(work, key.key.id, overlap_hours=hours))
    monkeypatch.setattr(api_keys, "KEYS_MAX", 2)
    await key_of(world)
    with pytest.raises(LimitExceeded):
        await key_of(world)
    await run(world, lambda work: api_keys.revoke(work, key.key.id))
    await key_of(world)


async def test_a_key_that_is_good_is_always_listed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key from years ago that still opens the door, hidden behind those that were made and ended since."""
    monkeypatch.setattr(api_keys, "ALL_KEYS_MAX", 3)
    old = await key_of(world)
    for _ in range(3):
        over = await key_of(world)
        await run(world, lambda work, id_=over.key.id: api_keys.revoke(work, id_))
    shown = await run(world, lambda work: api_keys.listed(work, ended=True))
    assert [one.id for one in shown][:2] == [old.key.id, over.key.id]
    assert len(shown) == 3
    # Each replacement leaves one behind that goes on for a while: they have an end as well.
    key = old
    for _ in range(2):
        key = await run(world, lambda work, id_=key.key.id: api_keys.rotate(work, id_))
    with pytest.raises(LimitExceeded):
        await run(world, lambda work: api_keys.rotate(work, key.key.id))
    assert {one.id for one in await run(world, api_keys.listed)} >= {old.key.id, key.key.id}


async def test_a_scope_that_no_longer_exists_allows_nothing(world: World, client: httpx.AsyncClient) -> None:
    """A later version that takes a right away would leave it to all keys that had it."""
    key = await key_of(world, "orders:read")
    await run(
        world,
        lambda work: work.execute(
            "update api_key set scopes = array['everything:write'] where id = $1", key.key.id
        ),
    )
    answer = await client.get("/v1/orders", headers={"X-Api-Key": key.text})
    assert answer.status_code == 403
    assert "everything:write" not in SCOPES


async def test_the_bucket_is_the_keys_own(world: World, client: httpx.AsyncClient) -> None:
    """One partner's loop must not shut out another one, and a crowd at once gets no more than the burst."""
    busy, other = await headers_of(world, rate_per_s=1, burst=3), await headers_of(world)
    codes = [
        one.status_code
        for one in await asyncio.gather(*(client.get("/v1/orders", headers=busy) for _ in range(40)))
    ]
    assert set(codes) == {200, 429}
    assert (await client.get("/v1/orders", headers=other)).status_code == 200


async def test_a_key_of_no_organisation_is_no_key(client: httpx.AsyncClient) -> None:
    """A made-up key must cost one look and answer like any other wrong one."""
    text = f"ck_{'A' * 22}.{'B' * 43}"
    answer = await client.get("/v1/orders", headers={"X-Api-Key": text})
    assert (answer.status_code, answer.json()["code"]) == (401, "NOT_AUTHENTICATED")
