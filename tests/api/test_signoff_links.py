"""Sign-off as a service: links, signatures of phones, and what can be proved, on a real database."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from signoff_cases import STROKES, Case, make_case
from worlds import World

from callout_orders import signoff
from callout_orders.signoff import SignatureRow, SignOff
from callout_store.clock import ManualClock
from callout_store.errors import (
    BadField,
    LimitExceeded,
    NotFound,
    SignOffLinkExpired,
    SignOffLinkInvalid,
    SignOffLinkUsed,
)
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture
async def case(db: Database) -> Case:
    return await make_case(db)


async def test_a_changed_summary_is_noticed(fresh_database: Any) -> None:
    """Somebody with the database's password could rewrite what a customer accepted."""
    db = Database(fresh_database.database)
    await db.start()
    try:
        own = await make_case(db)
        world = own.world
        token = await own.link()
        async with db.work(world.org) as work:
            consumed = await signoff.consume(work, token, SignOff(signer_name="Ann", decision="accept"))
            assert await signoff.verify(work, consumed.signature_id)
            await work.execute(
                "update sign_off_link set summary_sha256 = $1 where visit_id = $2", b"\0" * 32, own.visit_id
            )
            assert not await signoff.verify(work, consumed.signature_id)
    finally:
        await db.stop()


async def test_links_end(database_url: str) -> None:
    """A link in an old mail would stay a key for ever."""
    clock = ManualClock(datetime(2026, 3, 2, 12, 0, tzinfo=UTC))
    db = Database(database_url, clock=clock)
    await db.start()
    try:
        case = await make_case(db)
        world = case.world
        token = await case.link()
        clock.advance(timedelta(hours=72) - timedelta(seconds=1))
        assert await case.state(token) == "valid"
        clock.advance(timedelta(seconds=1))
        assert await case.state(token) == "expired"
        with pytest.raises(SignOffLinkExpired):
            async with db.work(world.org) as work:
                await signoff.consume(work, token, SignOff(signer_name="Ann", decision="accept"))
        assert await case.signatures() == []
    finally:
        await db.stop()


async def test_another_organisation_cannot_use_a_link(case: Case) -> None:
    """A leaked hash or a mixed-up database would let one tenant sign for another."""
    token = await case.link()
    stranger = await World(case.world.db).build(phones=1)
    async with case.world.db.work(stranger.org) as work:
        assert (await signoff.open_link(work, token)).state == "unknown"
        with pytest.raises(SignOffLinkInvalid):
            await signoff.consume(work, token, SignOff(signer_name="Eve", decision="accept"))
        with pytest.raises(NotFound):
            await signoff.create_link(work, case.visit_id, case.order_id, {"x": 1})
    assert await case.state(token) == "valid"


async def test_phones_signatures_are_stored_once(case: Case) -> None:
    """A phone that pushes twice would show two signatures for one visit."""
    event = new_id()
    shown = '{"text": "as it was shown"}'
    row = SignatureRow(
        event_id=event,
        order_id=case.order_id,
        visit_id=case.visit_id,
        signer_name="Ann",
        decision="accept",
        summary=shown,
        strokes=STROKES,
        signed_at=datetime(2026, 3, 2, tzinfo=UTC),
    )
    async with case.world.db.work(case.world.org) as work:
        assert await signoff.record_signatures(work, [row, row]) == [event]
        assert await signoff.record_signatures(work, [row]) == []
        assert await signoff.record_signatures(work, []) == []
    (stored,) = await case.signatures()
    assert stored["signed_sha256"] == hashlib.sha256(shown.encode()).digest()
    assert stored["link_id"] is None
    journaled = await case.world.value("select count(*) from journal where kind = 'visit.signed_off'")
    assert journaled == 1


async def test_summaries_that_cannot_be_signed_are_refused(case: Case) -> None:
    """The hash would depend on who computes it."""
    async with case.world.db.work(case.world.org) as work:
        with pytest.raises(BadField):
            await signoff.create_link(work, case.visit_id, case.order_id, {"hours": 1.5})
        with pytest.raises(LimitExceeded):
            await signoff.create_link(
                work, case.visit_id, case.order_id, {f"k{n}": "x" * 1000 for n in range(41)}
            )
        with pytest.raises(BadField):
            await signoff.create_link(work, case.visit_id, case.order_id, {}, "fr")


async def test_a_used_link_stays_used(case: Case) -> None:
    """Signing again later would replace what the customer agreed to."""
    token = await case.link()
    async with case.world.db.work(case.world.org) as work:
        await signoff.consume(work, token, SignOff(signer_name="Ann", decision="accept"))
    with pytest.raises(SignOffLinkUsed):
        async with case.world.db.work(case.world.org) as work:
            await signoff.consume(work, token, SignOff(signer_name="Bo", decision="object", reason="no"))
