"""A P0 that nobody acknowledges: the next in line is called, each once, until somebody has it. Other ways for urgent ones."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from telling import Telling

from callout_backend.notify.pump import handlers_of
from callout_backend.wiring import add_hooks
from callout_orders import orders
from callout_orders.notices import states
from callout_orders.notices.sending import pressing
from callout_people.principals import Role
from callout_store import outbox, timers
from callout_store.errors import NotFound
from callout_store.work import Database


@pytest.fixture
async def told(db: Database) -> AsyncIterator[Telling]:
    add_hooks(db)
    telling = await Telling(db).build()
    await telling.person(Role.SUPERVISOR, "Zoe", phone="+8613800138001")
    yield telling
    await telling.notifier.close()


async def fire(told: Telling) -> None:
    """A minute later, as far as timers of acknowledgement know."""
    await told.hasten("notice.ack:%")
    await told.drain()


async def calls(told: Telling) -> list[str]:
    return [row["name"] for row in await told.notices("kind = 'escalated'")]


async def test_the_line_is_called_one_by_one_and_each_once(told: Telling) -> None:
    """A P0 that lies in a chat nobody reads: after a minute the engineer's phone rings, then the supervisors'."""
    async with told.db.work(told.world.org) as work:
        await work.execute("update app_user set phone = '+8613800138000' where name = 'Engineer 0'")
    order = await told.world.order(priority="P0")
    await told.world.visit(told.world.phones[0], order)
    await told.drain()
    assert await calls(told) == []
    (due,) = await told.world.fetch("select due_at - now() as after from timer where key like 'notice.ack:%'")
    assert timedelta(seconds=50) < due["after"] <= timedelta(seconds=60)
    await fire(told)
    assert await calls(told) == ["Engineer 0"]
    (first,) = await told.notices("kind = 'escalated'")
    assert (first["medium"], first["urgent"], first["wants_ack"]) == ("voice", True, True)
    await fire(told)
    await fire(told)
    await fire(told)
    names = await calls(told)
    assert sorted(names) == ["Engineer 0", "Sue", "Zoe"]
    assert (
        await told.world.value("select count(*) from timer where key like 'notice.ack:%' and state = 'armed'")
        == 0
    )


async def test_an_acknowledgement_ends_it(told: Telling) -> None:
    """Whoever pressed the button must not be called, nor wake their boss."""
    order = await told.world.order(priority="P0")
    await told.world.visit(told.world.phones[0], order)
    await told.drain()
    (row,) = await told.notices("kind = 'created' and role = 'next'")
    async with told.db.work(told.world.org) as work:
        await states.acknowledge(work, row["id"])
    await fire(told)
    assert await calls(told) == []


async def test_an_order_that_is_over_or_answered_calls_nobody(told: Telling) -> None:
    """Facts decide when a timer fires, not what they were when it was set."""
    gone, lowered, answered = [await told.world.order(priority="P0") for _ in range(3)]
    await told.drain()
    async with told.db.work(told.world.org, actor=told.world.dispatcher) as work:
        await orders.cancel_order(work, gone, reason="x")
        await work.execute("update work_order set priority = 'P2' where id = $1", lowered)
        await work.execute("update work_order set responded_at = now() where id = $1", answered)
    await told.drain()
    await fire(told)
    assert await calls(told) == []


async def test_a_p1_calls_nobody(told: Telling) -> None:
    """Voice is for service down; used for everything it is soon ignored."""
    await told.world.order()
    await told.drain()
    assert await told.world.value("select count(*) from timer where key like 'notice.ack:%'") == 0


async def test_a_firing_handled_twice_calls_once(told: Telling) -> None:
    """A worker that dies after the call and before it says so must not make the phone ring again."""
    order = await told.world.order(priority="P0")
    await told.world.visit(told.world.phones[0], order)
    await told.drain()
    await told.hasten("notice.ack:%")
    await timers.fire_due(told.db)
    (item,) = await outbox.claim(told.db, channels=["notice.ack"])
    handler = handlers_of(told.notifier)["notice.ack"]
    await handler(told.db, item)
    await handler(told.db, item)
    assert len(await calls(told)) == 1


async def test_no_more_than_so_many_are_called(told: Telling, monkeypatch: pytest.MonkeyPatch) -> None:
    """A matter that nobody takes must not go through the whole company's bedrooms."""
    monkeypatch.setattr(pressing, "CALLS_MAX", 1)
    await told.world.order(priority="P0")
    await told.drain()
    await fire(told)
    await fire(told)
    assert len(await calls(told)) == 1


async def test_what_can_wait_goes_no_other_way_before_it_failed(told: Telling) -> None:
    """A dead letter that is replayed by hand before its fallback comes round would be told by both media."""
    await told.prefer(told.supervisor, media=("email", "wecom_robot"))
    await told.world.order()
    await told.drain("notice.fan")
    (row,) = await told.notices("user_id = $1 and kind = 'created'", told.supervisor)
    async with told.db.work(told.world.org) as work:
        assert await pressing.fall_back(work, row["id"], sink="mixed") is None
        await work.execute("update notice set state = 'failed' where id = $1", row["id"])
        assert await pressing.fall_back(work, row["id"], sink="mixed") == row["id"]


async def test_an_urgent_notice_that_is_stuck_goes_another_way(told: Telling) -> None:
    """A queue that stands for minutes is no excuse: the same person is told by their next medium, once."""
    await told.prefer(told.supervisor, media=("email", "wecom_robot"))
    await told.world.order(priority="P0")
    await told.drain("notice.fan")
    await told.hasten("notice.fallback:%")
    await told.drain("notice.fallback")
    await told.hasten("notice.fallback:%")
    await told.drain("notice.fallback")
    rows = await told.notices("user_id = $1 and kind = 'created'", told.supervisor)
    assert [row["medium"] for row in rows] == ["email", "wecom_robot"]
    assert rows[1]["fallback_of"] == rows[0]["id"]


async def test_one_that_arrived_goes_no_other_way(told: Telling) -> None:
    """Everybody would be told everything twice."""
    await told.prefer(told.supervisor, media=("email", "wecom_robot"))
    await told.world.order(priority="P0")
    await told.drain()
    await told.hasten("notice.fallback:%")
    await told.drain()
    assert len(await told.notices("user_id = $1 and kind = 'created'", told.supervisor)) == 1


async def test_nobody_acknowledges_for_another(told: Telling) -> None:
    """A colleague's click must not silence the escalation of a matter that they do not have in hand."""
    await told.world.order(priority="P0")
    await told.drain()
    (row,) = await told.notices("user_id = $1 and kind = 'created'", told.supervisor)
    other = told.world.dispatcher.user_id
    assert isinstance(other, UUID)
    async with told.db.work(told.world.org) as work:
        with pytest.raises(NotFound):
            await states.acknowledge(work, row["id"], user_id=other)
        assert await states.acknowledge(work, row["id"], user_id=told.supervisor) == "acknowledged"
        assert await states.acknowledge(work, row["id"], user_id=told.supervisor) == "acknowledged"
