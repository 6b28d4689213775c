"""Who is told what, when and by which medium, from the journal to the rows."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from telling import Telling, quiet_now

from callout_backend.wiring import add_hooks
from callout_orders import orders
from callout_orders.checks import FieldsRefused
from callout_orders.desk import todos
from callout_orders.desk.todos import NewTodo
from callout_orders.notices import fan, settings
from callout_orders.notices.settings import NoticeSettings, Preference
from callout_orders.notices.writing import preview, versions
from callout_orders.notices.writing.templates import Text
from callout_people.principals import Role
from callout_store.errors import BadField, NotFound, Refusal
from callout_store.journal import Entry, write_many
from callout_store.work import Database


@pytest.fixture
async def told(db: Database) -> AsyncIterator[Telling]:
    add_hooks(db)
    telling = await Telling(db).build()
    yield telling
    await telling.notifier.close()


async def test_everybody_around_is_told_once_and_not_the_actor(told: Telling) -> None:
    """R: initiator, handler, next and supervisor learn of a change; who did it, and who is three of them, is not pestered."""
    order = await told.world.order()
    visit_engineer = told.world.phones[0].actor.user_id
    await told.world.visit(told.world.phones[0], order)
    await told.drain()
    created = await told.notices("kind = 'created'")
    assert {row["role"] for row in created} == {"next", "customer", "supervisor"}
    assert told.world.dispatcher.user_id not in {row["user_id"] for row in created}
    assert len({row["recipient"] for row in created}) == len(created)
    assigned = {row["role"]: row for row in await told.notices("kind = 'assigned'")}
    assert assigned["engineer"]["user_id"] == visit_engineer
    assert assigned["customer"]["contact_id"] == told.world.contact
    for row in created:
        assert "WO-" in row["title"]
        assert all(word in row["body"] for word in ("WO-", "Next", "Due"))


async def test_a_bulk_owes_few_messages_and_a_line_of_nobody_none(told: Telling) -> None:
    """A push is one statement, an import of thousands of orders must not be thousands of messages."""
    order = await told.world.order()
    await told.drain()
    count = "select count(*) from outbox where channel = 'notice.fan'"
    before = await told.world.value(count)
    await told.happen("visit.photo", [order])
    assert await told.world.value(count) == before
    await told.happen("work_order.held", [order] * (fan.LINES_MAX + 1))
    assert await told.world.value(count) == before + 2


async def test_a_line_handled_twice_tells_nobody_twice(told: Telling) -> None:
    """At least once is what the outbox promises; people want exactly once."""
    await told.world.order()
    await told.drain()
    before = len(await told.notices())
    lines = await told.world.fetch("select id from journal where kind = 'work_order.created'")
    async with told.db.work(told.world.org) as work:
        assert await fan.write(work, [row["id"] for row in lines], sink="mixed") == 0
    assert len(await told.notices()) == before


async def test_lines_of_one_moment_are_told_in_their_order(told: Telling) -> None:
    """Held and resumed in one request: told the other way round, the order stands still for whoever reads it."""
    order = await told.world.order()
    await told.drain()
    kinds = ["work_order.held", "work_order.resumed", "work_order.deadline_moved", "work_order.closed"]
    async with told.db.work(told.world.org) as work:
        await write_many(
            work,
            [
                Entry(kind=kind, entity="work_order", entity_id=order, order_id=order, data={})
                for kind in kinds
            ],
        )
    await told.drain()
    rows = await told.notices("user_id = $1 and kind <> 'created'", told.supervisor)
    assert [f"work_order.{row['kind']}" for row in rows] == kinds


async def test_quiet_hours_hold_what_can_wait(told: Telling) -> None:
    """A phone that rings at night for a state change is switched off, and then misses the P0."""
    zone = "Asia/Shanghai"
    await told.prefer(told.supervisor, media=("email",), quiet=quiet_now(zone), time_zone=zone, locale="zh")
    order = await told.world.order()
    urgent = await told.world.order(priority="P0")
    await told.drain()
    rows = {
        row["order_id"]: row
        for row in await told.notices("user_id = $1 and kind = 'created'", told.supervisor)
    }
    assert rows[order]["state"] == "held"
    assert timedelta(hours=1) < rows[order]["due_at"] - datetime.now(UTC) <= timedelta(hours=2, minutes=1)
    assert rows[urgent]["state"] == "delivered"
    assert "新工单" in rows[urgent]["title"]
    timer = await told.world.value(
        "select due_at - now() from timer where key = 'notice.send:sink' and state = 'armed'"
    )
    assert timedelta(hours=1) < timer <= timedelta(hours=2, minutes=1)
    async with told.db.work(told.world.org) as work:
        await work.execute("update notice set due_at = now() where state = 'held'")
    await told.hasten("notice.send:%")
    await told.drain()
    (late,) = await told.notices("id = $1", rows[order]["id"])
    assert late["state"] == "delivered"


async def test_a_to_do_says_what_is_to_be_done(told: Telling) -> None:
    """“Something for you to do” in a list of twenty is opened by nobody; and some to-dos are about no order."""
    await told.prefer(told.supervisor, media=("email",), locale="zh")
    order = await told.world.order()
    said = {"number": "WO-7", "label": {"en": "Approve it", "zh": "费用审批"}}
    asked = [
        NewTodo(user_id=told.supervisor, kind="flow.approval", matter="a", order_id=order, data=said),
        NewTodo(user_id=told.supervisor, kind="intake.mailbox_failed", matter="b", data={"channel": "desk"}),
    ]
    async with told.db.work(told.world.org) as work:
        await todos.ask(work, asked)
    await told.drain()
    of_order, of_none = await told.notices("user_id = $1 and kind = 'todo'", told.supervisor)
    assert of_order["title"].endswith("请审批工单 WO-7 的“费用审批”")
    assert of_none["title"].startswith("邮箱 desk 无法读取")
    assert "邮箱 desk 无法读取" in of_none["body"]
    assert "下一步" not in of_none["body"]


async def test_a_step_is_named_to_the_house_and_not_to_the_customer(told: Telling) -> None:
    """“Next step” says nothing; what the desk calls its steps is no business of the customer's."""
    order = await told.world.order()
    label = {"en": "Second visit", "zh": "二次上门"}
    await told.drain()
    await told.happen("flow.step_entered", [order], {"step": "second_visit", "label": label})
    await told.happen("work_order.held", [order], {"reason": "parts", "label": label})
    await told.drain()
    entered = await told.notices("kind = 'step_entered' and contact_id is null")
    assert entered
    assert all("Next step: Second visit" in row["title"] for row in entered)
    held = await told.notices("kind = 'held' and contact_id is not null")
    assert held
    assert all("Second visit" not in row["title"] + row["body"] for row in held)


async def test_media_languages_and_muted_kinds_are_the_persons_own(told: Telling) -> None:
    """Whoever switched a kind off hears of it only where it is urgent."""
    await told.prefer(told.supervisor, media=("sms", "email"), locale="zh", muted=("created",))
    await told.world.order()
    urgent = await told.world.order(priority="P0")
    await told.drain()
    rows = await told.notices("user_id = $1 and kind = 'created'", told.supervisor)
    # They have no phone: the next of their media is taken.
    assert [(row["order_id"], row["medium"], row["locale"]) for row in rows] == [(urgent, "email", "zh")]


async def test_without_channels_the_inbox_is_left(db: Database) -> None:
    """Where nothing may be sent nothing is lost either: it stands in everybody's own list; and of a customer who has none it
    is not said that they were told."""
    add_hooks(db)
    told = await Telling(db, sink="send").build()
    await told.world.order()
    await told.drain()
    rows = await told.notices()
    assert rows
    assert {(row["medium"], row["state"]) for row in rows if row["user_id"]} == {("inbox", "delivered")}
    (customer,) = [row for row in rows if not row["user_id"]]
    assert (customer["state"], customer["delivered_at"]) == ("failed", None)
    assert customer["error"] == "there is no way to reach them"
    assert await told.messages() == []


async def test_a_reporter_without_an_account_is_told(told: Telling) -> None:
    """A customer who wrote in a web form and is no contact yet must hear that it arrived."""
    order = await told.world.order(contact_id=None)
    async with told.db.work(told.world.org) as work:
        await work.execute(
            "update work_order set reporter_name = '王芳', reporter_email = 'w@example.org', locale = 'zh' where id = $1",
            order,
        )
    await told.drain()
    (row,) = await told.notices("role = 'customer'")
    assert (row["address"], row["locale"], row["recipient"]) == ("w@example.org", "zh", f"reporter:{order}")


async def test_one_who_left_is_not_told(told: Telling) -> None:
    """A former colleague must not go on reading customers' names."""
    gone = await told.person(Role.SUPERVISOR, "Gone")
    async with told.db.work(told.world.org) as work:
        await work.execute("update app_user set active = false where id = $1", gone)
    await told.world.order()
    await told.drain()
    assert await told.notices("user_id = $1", gone) == []
    assert await told.notices("user_id = $1", told.supervisor) != []


async def test_a_cancellation_says_why_to_the_staff_alone(told: Telling) -> None:
    """What the desk notes among itself is no customer's business."""
    order = await told.world.order()
    async with told.db.work(told.world.org, actor=told.world.dispatcher) as work:
        await orders.cancel_order(work, order, reason="customer is rude")
    await told.drain()
    rows = {row["role"]: row["body"] for row in await told.notices("kind = 'canceled'")}
    assert "rude" in rows["supervisor"]
    assert "rude" not in rows["customer"]


# ------------------------------------------------------------------------------------------------ settings


async def test_everything_wrong_with_settings_is_said_at_once(told: Telling) -> None:
    """A form that names one fault at a time is filled in five times."""
    async with told.db.work(told.world.org) as work:
        with pytest.raises(FieldsRefused) as caught:
            await settings.configure(
                work,
                NoticeSettings(
                    staff_media=("email", "email"),
                    customer_media=("wecom_robot",),
                    quiet="late",
                    fallback_minutes=0,
                    acknowledge_seconds=1,
                    order_url="ftp://x/{nobody}",
                ),
            )
    assert [fault.path for fault in caught.value.faults] == [
        "staffMedia.1",
        "customerMedia",
        "quiet",
        "fallbackMinutes",
        "acknowledgeSeconds",
        "orderUrl",
    ]
    assert "免打扰" in str(caught.value.extensions()["errors"])


async def test_bad_preferences(told: Telling) -> None:
    """A time zone that does not exist would stop every later notice to this person."""
    async with told.db.work(told.world.org) as work:
        with pytest.raises(FieldsRefused) as caught:
            await settings.prefer(
                work,
                told.supervisor,
                Preference(
                    media=("pigeon",), quiet="x", time_zone="Mars/Base", locale="fr", muted=("nothing",)
                ),
            )
        assert len(caught.value.faults) == 5
        with pytest.raises(NotFound):
            await settings.prefer(work, told.world.customer, Preference())


async def test_templates_are_versions(told: Telling) -> None:
    """Saving is not using: a half-written template must reach nobody, and the old one must be there to go back to."""
    where = ("email", "created", "en")
    async with told.db.work(told.world.org) as work:
        first = await versions.save(
            work, *where, Text(title="A {{ order.number }}", body="<b>{{ next }}</b>")
        )
        assert versions.text_of(await versions.chosen(work), *where).title != "A {{ order.number }}"
        await versions.use(work, *where, first)
        assert versions.text_of(await versions.chosen(work), *where).title == "A {{ order.number }}"
        second = await versions.save(work, *where, Text(title="B", body="b"), activate=True)
        assert (first, second) == (1, 2)
        await versions.use(work, *where, 0)
        assert [one.version for one in await versions.page(work, *where) if one.active] == [0]
        with pytest.raises(NotFound):
            await versions.use(work, *where, 9)


async def test_bad_templates_name_field_and_line_in_both_languages(told: Telling) -> None:
    """ "Template error" without a place is an hour's search."""
    async with told.db.work(told.world.org) as work:
        with pytest.raises(FieldsRefused) as caught:
            await versions.save(
                work, "email", "created", "en", Text(title="{{ x }}", body="a\n{% set y = 1 %}")
            )
        faults = caught.value.extensions()["errors"]
        assert [fault["path"] for fault in faults] == ["title", "body"]
        assert "line 2" in faults[1]["en"]
        assert "第 2 行" in faults[1]["zh"]
        with pytest.raises(Refusal):
            await versions.save(work, "pigeon", "what", "fr", Text(title="a", body="b"))


async def test_preview_of_a_sample_and_of_an_order(told: Telling) -> None:
    """What is sent to thousands must be seen by one before."""
    order = await told.world.order()
    async with told.db.work(told.world.org, actor=told.world.dispatcher) as work:
        shown = await preview.preview(work, medium="email", kind="created", locale="zh")
        assert "新工单" in shown.body
        own = await preview.preview(
            work,
            medium="sms",
            kind="done",
            locale="en",
            body="{{ order.customer }} {{ link }}",
            order_id=order,
        )
        assert own.body.startswith("Bay Laundry http")
        with pytest.raises(BadField):
            await preview.preview(work, medium="sms", kind="done", locale="en", body="{{ oops }}")
        with pytest.raises(NotFound):
            await preview.preview(work, medium="sms", kind="done", locale="en", order_id=told.world.customer)
