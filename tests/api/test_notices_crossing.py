"""Words that break, lines that come at once, acknowledgements that cross a call on its way."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from interleave import until_waiting
from providers import Providers, channel
from telling import Telling, quiet_now

from callout_backend.notify import pump
from callout_backend.notify.adapter import MemoryAdapter
from callout_backend.wiring import add_hooks
from callout_orders.checks import FieldRefused
from callout_orders.notices import fan, settings, states
from callout_orders.notices.sending import outgoing, pressing, settling
from callout_orders.notices.sending.outgoing import Outcome
from callout_orders.notices.terms import Medium
from callout_orders.notices.writing import compose, versions
from callout_orders.notices.writing.templates import Text
from callout_people.principals import Role
from callout_store import outbox, timers
from callout_store.work import Database


@pytest.fixture
async def server() -> AsyncIterator[Providers]:
    async with Providers() as found:
        yield found


@pytest.fixture
async def told(db: Database) -> AsyncIterator[Telling]:
    add_hooks(db)
    telling = await Telling(db, sink="send").build()
    yield telling
    await telling.notifier.close()


async def robot(told: Telling, server: Providers, **more: Any) -> UUID:
    """A robot that all staff are told by, and nobody else."""
    id_ = await told.channel(channel(Medium.WECOM_ROBOT, server.url, **more))
    await told.configure(staff_media=("wecom_robot",), customer_media=())
    return id_


async def execute(told: Telling, sql: str, *args: Any) -> None:
    async with told.db.work(told.world.org) as work:
        await work.execute(sql, *args)


# ------------------------------------------------------------------------------------------------ words


@pytest.mark.parametrize(
    "url", ("https://d/{number:>999999999}", "https://d/{id.hex}", "https://d/{}", "https://d/{x}")
)
async def test_an_orders_page_is_no_formula(told: Telling, url: str) -> None:
    """Read as Python's format, thirty characters of one organisation's settings fill the memory of the server for all."""
    with pytest.raises(FieldRefused) as caught:
        await told.configure(order_url=url)
    assert caught.value.path == "orderUrl"
    assert (
        settings.order_page("https://d/{number}?i={id}", number="W 1/2", id_="x") == "https://d/W%201%2F2?i=x"
    )


async def test_a_customer_with_an_account_is_told_as_they_want(db: Database) -> None:
    """They may set preferences: taken and not followed, they are worse than none."""
    add_hooks(db)
    told = await Telling(db).build()
    user = await told.person(Role.CUSTOMER_CONTACT, "Cara")
    await execute(told, "update contact set user_id = $1 where id = $2", user, told.world.contact)
    await told.prefer(user, media=("sms",), locale="zh", muted=("closed",))
    order = await told.world.order()
    await told.happen("work_order.closed", [order])
    await told.drain()
    rows = await told.notices("role = 'customer'")
    assert [(row["kind"], row["medium"], row["locale"]) for row in rows] == [("created", "sms", "zh")]


async def test_a_template_that_breaks_is_tried_when_it_is_saved(told: Telling) -> None:
    """It reads well and fails for every order: taken, it would silence the organisation."""
    bad = "{% if order.number %}\n{% if order.number > 3 %}x{% endif %}{% endif %}"
    async with told.db.work(told.world.org) as work:
        with pytest.raises(FieldRefused) as caught:
            await versions.save(work, "sms", "created", "en", Text(title="t", body=bad))
    assert caught.value.path == "body"
    assert "line 2: it cannot be filled in" in caught.value.message("en")
    assert "第 2 行:无法填充" in caught.value.message("zh")


async def test_a_template_that_breaks_later_silences_nobody_and_is_told(db: Database) -> None:
    """One bad template would hold up every notice of the organisation: the built-in one says it, and who can mend it hears
    of it once, until it was mended."""
    add_hooks(db)
    told = await Telling(db).build()
    await told.prefer(told.supervisor, media=("sms",))
    await execute(told, "update app_user set phone = '+8613800138000' where id = $1", told.supervisor)
    where = ("sms", "*", "en")
    async with db.work(told.world.org) as work:
        version = await versions.save(work, *where, Text(title="t", body="x"), activate=True)
    await _plant(told.world, where, version, "{{ order.description|truncate(order.number) }}")
    await told.world.order()
    await told.world.order()
    await told.drain()
    rows = await told.notices("medium = 'sms' and kind = 'created' and user_id = $1", told.supervisor)
    assert len(rows) == 2
    assert {row["state"] for row in rows} == {"delivered"}
    assert all("New order" in row["body"] for row in rows)
    (todo,) = await told.world.fetch("select * from todo where kind = 'notice.template_broke'")
    assert (todo["user_id"], todo["state"]) == (told.supervisor, "open")
    async with db.work(told.world.org) as work:
        await versions.use(work, *where, 0)
    (todo,) = await told.world.fetch("select * from todo where kind = 'notice.template_broke'")
    assert todo["state"] == "done"


async def _plant(world: Any, where: tuple[str, str, str], version: int, body: str) -> None:
    """A version that is in use with another body: one that was saved before it was tried at saving."""
    async with world.db.work(world.org) as work:
        await work.execute(
            """
            insert into notice_template (medium, kind, locale, version, title, body, created_at)
            values ($1, $2, $3, $4, 't', $5, now())
            """,
            *where,
            version + 1,
            body,
        )
        await work.execute(
            """
            update notice_template_choice set version = $4
            where org_id = callout_org() and medium = $1 and kind = $2 and locale = $3
            """,
            *where,
            version + 1,
        )


async def test_one_line_that_cannot_be_told_of_holds_up_no_other(
    told: Telling, server: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of an organisation's notices go through one stream: a fault over one line would silence it for a day."""
    await robot(told, server)
    bad, good = await told.world.order(), await told.world.order()
    whole = compose.notice

    def breaks(facts: Any, line: Any, *args: Any, **more: Any) -> Any:
        if line.order_id == bad:
            raise RuntimeError("broken")
        return whole(facts, line, *args, **more)

    monkeypatch.setattr(compose, "notice", breaks)
    await told.drain()
    assert {row["order_id"] for row in await told.notices()} == {good}
    assert {row["state"] for row in await told.notices()} == {"delivered"}


async def test_an_urgent_one_takes_along_what_was_held_for_the_morning(
    told: Telling, server: Providers
) -> None:
    """Held back and told at seven, “new order” would come after the night's “nobody has taken it”, and be the last word."""
    await told.channel(channel(Medium.SMS, server.url))
    zone = await told.world.value("select time_zone from organisation where id = $1", told.world.org)
    await told.configure(staff_media=("sms",), customer_media=("sms",), quiet=quiet_now(zone))
    boss = await told.person(Role.SUPERVISOR, "Bo", phone="+8613800138000")
    order, other = await told.world.order(), await told.world.order()
    await told.drain()
    assert {row["state"] for row in await told.notices("user_id = $1", boss)} == {"held"}
    await told.happen("sla.missed", [order])
    await told.drain()
    rows = await told.notices("user_id = $1", boss)
    assert {(row["order_id"], row["kind"], row["state"]) for row in rows} == {
        (order, "created", "delivered"),
        (order, "sla_missed", "delivered"),
        (other, "created", "held"),
    }
    (message,) = {row["message_id"] for row in rows if row["order_id"] == order}
    (sent,) = await told.messages("id = $1", message)
    assert (sent["digest"], sent["urgent"]) == (True, True)
    assert "The deadline has passed" in sent["subject"], "a phone's screen shows no more than that"
    assert "New order" in sent["body"]
    assert {row["state"] for row in await told.notices("role = 'customer'")} == {"held"}, "who sleeps on"


async def test_a_flood_of_lines_is_written_in_parts(
    told: Telling, server: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written in one transaction, an import of fifty thousand orders would outlive the handler's deadline, be undone, and be
    tried again until it is given up, with all that waits behind it."""
    await robot(told, server)
    monkeypatch.setattr(fan, "LINES_MAX", 2)
    monkeypatch.setattr(pump, "LINES_ALONG", 6)
    orders = [await told.world.order() for _ in range(4)]
    await told.drain()
    # Four messages of two lines, and one of one.
    await told.happen("work_order.held", [*orders, *orders])
    await told.happen("work_order.resumed", orders[:1])
    counts = []
    while items := await outbox.claim(told.db, channels=["notice.fan"]):
        (item,) = items
        await told.notifier.fan(told.db, item)
        await outbox.finish(told.db, item)
        counts.append(
            await told.world.value(
                "select count(distinct line_id) from notice where kind in ('held', 'resumed')"
            )
        )
    assert counts == [6, 9]


# ------------------------------------------------------------------------------------------------ acknowledging


async def called(told: Telling) -> list[Any]:
    return await told.notices("kind = 'escalated'")


async def p0(told: Telling) -> tuple[UUID, Any]:
    """A P0 whose supervisor was told, and the firing that calls somebody."""
    order = await told.world.order(priority="P0")
    await told.drain()
    await told.hasten("notice.ack:%")
    await timers.fire_due(told.db)
    (item,) = await outbox.claim(told.db, channels=["notice.ack"])
    return order, item


async def test_a_customer_acknowledges_nothing(db: Database) -> None:
    """Their link opens the same page: one press, by them or by a scanner that presses every button, would silence the
    escalation of their own P0."""
    add_hooks(db)
    told = await Telling(db).build()
    await told.world.order(priority="P0")
    await told.drain()
    (row,) = await told.notices("role = 'customer' and kind = 'created'")
    async with db.work(told.world.org) as work:
        assert await states.acknowledge(work, row["id"]) == "read"
    (row,) = await told.notices("role = 'customer' and kind = 'created'")
    assert (row["state"], row["acknowledged_at"]) == ("read", None)
    await told.hasten("notice.ack:%")
    await told.drain()
    assert len(await called(told)) == 1
    # One that an older version let through counts no more than that.
    await execute(told, "update notice set acknowledged_at = now() where id = $1", row["id"])
    await execute(told, "delete from notice where kind = 'escalated'")
    (line,) = {row["line_id"] for row in await told.notices("kind = 'created'")}
    async with db.work(told.world.org) as work:
        assert not await pressing._acknowledged(work, row["order_id"], line)


async def test_an_acknowledgement_that_crosses_the_call_takes_it_back(
    db: Database, database_urls: Any
) -> None:
    """The supervisor presses the button while the next one's call is being written: whichever is first, no phone rings."""
    add_hooks(db)
    told = await Telling(db).build()
    await told.person(Role.SUPERVISOR, "Zoe", phone="+8613800138001")
    order, item = await p0(told)
    (row,) = await told.notices("user_id = $1 and kind = 'created'", told.supervisor)
    given = item.payload

    async def press() -> None:
        async with db.work(told.world.org) as work:
            await states.acknowledge(work, row["id"], user_id=told.supervisor)

    async def call() -> bool:
        async with db.work(told.world.org) as work:
            done = await pressing.escalate(
                work,
                order,
                UUID(given["lineId"]),
                key=given["timerKey"],
                epoch=int(given["timerEpoch"]),
                sink="mixed",
            )
            written.set()
            await pressed.wait()
            return done

    written, pressed = asyncio.Event(), asyncio.Event()
    calling = asyncio.create_task(call())
    await written.wait()
    # It waits for the order that the call holds; what it does afterwards sees the call.
    pressing_it = asyncio.create_task(press())
    await until_waiting(database_urls.admin)
    pressed.set()
    assert await calling
    await pressing_it
    await told.drain()
    (call,) = await called(told)
    assert (call["state"], call["message_id"], call["error"]) == ("failed", None, "somebody has it in hand")
    await told.hasten("notice.fallback:%")
    await told.hasten("notice.ack:%")
    await told.drain()
    assert len(await called(told)) == 1, "nor by another medium, nor the next in line"


async def test_an_acknowledgement_takes_no_later_matter_back(db: Database) -> None:
    """Acknowledged was the order as it was; that it was turned over since is news that somebody must hear."""
    add_hooks(db)
    told = await Telling(db).build()
    order, _ = await p0(told)
    (old,) = await told.notices("user_id = $1 and kind = 'created'", told.supervisor)
    await told.happen("work_order.turned_over", [order])
    await told.drain("notice.fan")
    await told.hasten("notice.ack:%")
    await told.drain("notice.ack")
    lines = {row["line_id"] for row in await told.notices("kind = 'turned_over'")}
    waiting = [row for row in await called(told) if row["line_id"] in lines]
    assert waiting
    async with db.work(told.world.org) as work:
        await states.acknowledge(work, old["id"])
    states_ = {row["id"]: row["state"] for row in await called(told)}
    assert {states_[row["id"]] for row in waiting} == {"queued"}


async def test_what_was_acknowledged_before_ends_no_later_matter(db: Database) -> None:
    """Who said “I have it” in the morning has not said so of what was turned over to others at noon."""
    add_hooks(db)
    told = await Telling(db).build()
    order = await told.world.order(priority="P0")
    await told.drain()
    (old,) = await told.notices("user_id = $1 and kind = 'created'", told.supervisor)
    async with db.work(told.world.org) as work:
        await states.acknowledge(work, old["id"])
    await told.happen("work_order.turned_over", [order])
    await told.drain()
    await told.hasten("notice.ack:%")
    await told.drain()
    lines = {row["line_id"] for row in await told.notices("kind = 'turned_over'")}
    assert {row["line_id"] for row in await called(told)} == lines


async def test_one_orders_lines_arrive_in_their_order_whatever_fails(db: Database) -> None:
    """“Scheduled” now and “new order” an hour later, when its retry comes round: the reader believes the later one."""
    add_hooks(db)
    memory = MemoryAdapter()
    told = await Telling(db, memory=memory).build()
    await told.prefer(told.supervisor, media=("email",))
    await told.configure(customer_media=())
    order = await told.world.order()
    await told.drain("notice.fan")
    async with db.work(told.world.org) as work:
        taken = await outgoing.take(work, "sink")
        await settling.settle(work, [(one, Outcome(kind="away", after_s=3600.0)) for one in taken.messages])
    await told.happen("work_order.state_changed", [order], {"to": "scheduled"})
    await told.drain()
    assert "email" not in {one.medium for one in memory.sent}
    await told.hasten()
    await told.drain()
    rows = await told.notices("user_id = $1", told.supervisor)
    assert [str(row["message_id"]) for row in rows] == [
        one.key for one in memory.sent if one.medium == "email"
    ]
    assert {row["state"] for row in rows} == {"delivered"}


async def test_what_was_read_on_its_way_stays_read(db: Database) -> None:
    """The receipt of the delivery comes after the reader's: put back to “delivered”, a P0 that was seen looks unseen."""
    add_hooks(db)
    told = await Telling(db).build()
    await told.world.order()
    await told.drain("notice.fan")
    async with db.work(told.world.org) as work:
        taken = await outgoing.take(work, "sink")
    rows = await told.notices()
    async with db.work(told.world.org) as work:
        await states.read(work, [row["id"] for row in rows])
        await settling.settle(work, [(one, Outcome(kind="delivered")) for one in taken.messages])
    assert {row["state"] for row in await told.notices()} == {"read"}
