"""Notices under faults: slow and absent providers, channels that are switched off, addresses where nobody is."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from providers import Providers, channel
from telling import Telling

from callout_backend.notify import pump
from callout_backend.notify.adapter import Adapter, Parcel
from callout_backend.wiring import add_hooks
from callout_orders.checks import FieldRefused
from callout_orders.notices import channels, settings
from callout_orders.notices.channels import NewChannel
from callout_orders.notices.sending import outgoing, settling
from callout_orders.notices.sending.outgoing import Outcome
from callout_orders.notices.terms import Medium
from callout_people.principals import Role
from callout_store import outbox
from callout_store.errors import NotFound
from callout_store.ids import new_id
from callout_store.sealing import Seal
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


async def row_of(told: Telling, id_: UUID) -> Any:
    (row,) = await told.world.fetch(
        "select *, cardinality(spent) as used from notice_channel where id = $1", id_
    )
    return row


async def execute(told: Telling, sql: str, *args: Any) -> None:
    async with told.db.work(told.world.org) as work:
        await work.execute(sql, *args)


# ------------------------------------------------------------------------------------------------ slow, away


class Hanging(Adapter):
    """Takes a message and never says what became of it."""

    async def send(self, parcel: Parcel) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError


async def test_what_a_slow_provider_leaves_no_time_for_is_put_back(
    told: Telling, server: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round that outlives its lease is sent again as a whole: a provider that takes seconds a message would be flooded with
    the same hundred for ever. What had no turn was not tried, and costs no token."""
    id_ = await robot(told, server)
    for _ in range(3):
        await told.world.order()
    await told.drain("notice.fan")
    async with told.db.work(told.world.org) as work:
        taken = await outgoing.take(work, str(id_))
    assert len(taken.messages) == (await row_of(told, id_))["used"] == 3
    monkeypatch.setattr(pump, "BEGIN_S", -1.0)
    await told.notifier._round(told.db, told.world.org, taken)
    assert server.asked == []
    assert {(row["state"], row["attempts"], row["unsure"]) for row in await told.messages()} == {
        ("queued", 0, False)
    }
    found = await row_of(told, id_)
    assert (found["used"], found["failures"], found["rest_until"]) == (0, 0, None)
    monkeypatch.undo()
    await told.drain()
    assert len(server.asked) == 3
    assert {row["state"] for row in await told.messages()} == {"delivered"}


async def test_one_that_hangs_is_cut_off_and_the_others_are_written_down(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that holds its round until the handler is cut off takes the others' receipts with it."""
    add_hooks(db)
    told = await Telling(db).build()
    told.notifier._choose = lambda *_: Hanging()  # type: ignore[method-assign]
    await told.world.order()
    await told.drain("notice.fan")
    async with db.work(told.world.org) as work:
        taken = await outgoing.take(work, "sink")
    monkeypatch.setattr(pump, "SEND_S", 0.01)
    await told.notifier._round(db, told.world.org, taken)
    assert {(row["state"], row["attempts"], row["unsure"]) for row in await told.messages()} == {
        ("queued", 1, True)
    }


def test_a_round_ends_before_its_lease_and_before_its_handler() -> None:
    """Else another worker sends what this one still holds."""
    longest = pump.BEGIN_S + pump.SEND_S
    assert longest < outgoing.LEASE.total_seconds()
    assert pump.RUN_S + longest < outbox.HANDLER_DEADLINE_S


async def test_when_the_provider_is_back_nobody_waits_for_yesterdays_backoff(
    told: Telling, server: Providers
) -> None:
    """After a day away each message's own backoff is a quarter of an hour: a P0 would wait that long for a healthy robot."""
    id_ = await robot(told, server)
    server.always = "broken"
    for _ in range(3):
        await told.world.order()
    await told.drain()
    await execute(told, "update notice_message set next_at = now() + interval '15 minutes'")
    await told.world.order(priority="P0")
    await execute(told, "update notice_channel set rest_until = now()")
    server.always = None
    await told.hasten(by=timedelta())
    await told.drain()
    assert {row["state"] for row in await told.notices()} == {"delivered"}
    assert (await row_of(told, id_))["failures"] == 0


async def test_a_provider_that_says_when_it_is_back_is_left_alone_until_then(
    told: Telling, server: Providers
) -> None:
    """503 with Retry-After: a probe every minute is what it asked us not to do."""
    id_ = await robot(told, server)
    await told.world.order()
    await told.drain("notice.fan")
    async with told.db.work(told.world.org) as work:
        taken = await outgoing.take(work, str(id_))
        await settling.settle(work, [(taken.messages[0], Outcome(kind="away", after_s=1800.0))])
    rests = await told.world.value("select rest_until - now() from notice_channel where id = $1", id_)
    assert timedelta(minutes=29) < rests <= timedelta(minutes=30)


async def test_what_is_tried_again_leaves_tokens_for_what_is_urgent(told: Telling, server: Providers) -> None:
    """Twenty old changes that come back at once must not shut a P0 out of the minute's tokens."""
    id_ = await robot(told, server)
    for _ in range(25):
        await told.world.order()
    await told.drain("notice.fan")
    async with told.db.work(told.world.org) as work:
        first = await outgoing.take(work, str(id_))
    assert first.messages
    # The same messages many times over, put back as after an outage.
    await execute(
        told,
        """
        insert into notice_message (id, lane, channel_id, medium, address, urgent, digest, locale, subject, body, state,
            next_at, created_at)
        select gen_random_uuid(), lane, channel_id, medium, address, false, false, locale, subject, body, 'queued', now(),
               created_at
        from notice_message, generate_series(1, 30)
        """,
    )
    await execute(told, "update notice_channel set spent = '{}'")
    await told.world.order(priority="P0")
    await told.drain("notice.fan")
    async with told.db.work(told.world.org) as work:
        second = await outgoing.take(work, str(id_))
    assert sum(one.urgent for one in second.messages) == 1
    assert sum(not one.urgent for one in second.messages) == 16


async def test_a_killed_workers_card_goes_again_under_another_name(told: Telling, server: Providers) -> None:
    """WeCom refuses a second card of the same task: what was lost with a worker would be given up."""
    await told.channel(channel(Medium.WECOM, server.url))
    await told.configure(staff_media=("wecom",), customer_media=())
    async with told.db.work(told.world.org) as work:
        await settings.add_address(work, told.supervisor, "wecom", "SueW")
    await told.world.order()
    await told.drain("notice.fan")
    (lane,) = {row["lane"] for row in await told.notices("medium = 'wecom'")}
    async with told.db.work(told.world.org) as work:
        taken = await outgoing.take(work, lane)
    await execute(told, "update notice_message set lease_until = now() - interval '1 second'")
    async with told.db.work(told.world.org) as work:
        again = await outgoing.take(work, lane)
    assert [one.attempts for one in taken.messages] == [0]
    assert [(one.attempts, one.unsure) for one in again.messages] == [(1, True)]
    assert again.messages[0].lease_token != taken.messages[0].lease_token


async def test_without_a_token_the_application_is_asked_once_a_round(
    told: Telling, server: Providers
) -> None:
    """A wrong secret, asked about once a message, locks the whole company's address out; a silent server would hold the
    round for as many timeouts as it has messages."""
    id_ = await told.channel(channel(Medium.WECOM, server.url))
    await told.configure(staff_media=("wecom",), customer_media=())
    async with told.db.work(told.world.org) as work:
        await settings.add_address(work, told.supervisor, "wecom", "SueW")
    for _ in range(4):
        await told.world.order()
    await told.drain("notice.fan")
    server.always = "broken"
    async with told.db.work(told.world.org) as work:
        taken = await outgoing.take(work, str(id_))
    assert len(taken.messages) == 4
    await told.notifier._round(told.db, told.world.org, taken)
    assert [one.path for one in server.asked] == ["/cgi-bin/gettoken"]
    assert {(row["state"], row["unsure"]) for row in await told.messages()} == {("queued", False)}


async def test_a_token_that_never_holds_is_no_dead_letter(told: Telling, server: Providers) -> None:
    """A token that is refused as soon as it was given is the application's trouble; the message is not at fault."""
    await told.channel(channel(Medium.WECOM, server.url))
    await told.configure(staff_media=("wecom",), customer_media=())
    async with told.db.work(told.world.org) as work:
        await settings.add_address(work, told.supervisor, "wecom", "SueW")
    server.codes.extend((42001, 42001))
    await told.world.order()
    await told.drain()
    (message,) = await told.messages()
    assert (message["state"] != "failed", server.tokens_given) == (True, 2)
    await told.hasten()
    await told.drain()
    assert {row["state"] for row in await told.messages()} == {"delivered"}


# ------------------------------------------------------------------------------------------------ channels


async def test_what_was_to_be_tried_again_leaves_a_channel_that_is_switched_off(
    told: Telling, server: Providers
) -> None:
    """A message that failed once and waits would wait for ever: its channel is gone, and nobody looks at it any more."""
    id_ = await told.channel(channel(Medium.WECOM_ROBOT, server.url))
    await told.channel(channel(Medium.SMS, server.url))
    await told.configure(staff_media=("wecom_robot", "sms"), customer_media=())
    boss = await told.person(Role.SUPERVISOR, "Bo", phone="+8613800138000")
    await told.world.order()
    await told.drain("notice.fan")
    async with told.db.work(told.world.org) as work:
        taken = await outgoing.take(work, str(id_))
        await settling.settle(work, [(one, Outcome(kind="away", after_s=3600.0)) for one in taken.messages])
    assert {row["state"] for row in await told.messages("lane = $1", str(id_))} == {"queued"}
    async with told.db.work(told.world.org) as work:
        await channels.save(work, channel(Medium.WECOM_ROBOT, server.url, active=False), id_)
    await told.drain()
    rows = {row["medium"]: row for row in await told.notices("user_id = $1", boss)}
    assert (rows["wecom_robot"]["state"], rows["sms"]["state"]) == ("failed", "delivered")
    assert rows["sms"]["fallback_of"] == rows["wecom_robot"]["id"]
    assert {row["state"] for row in await told.messages("lane = $1", str(id_))} == {"failed"}


async def test_what_a_worker_holds_of_a_channel_that_is_switched_off_is_looked_at_again(
    told: Telling, server: Providers
) -> None:
    """Its worker may be dead: without another look its notices say “sending” for ever."""
    id_ = await robot(told, server)
    await told.world.order()
    await told.drain("notice.fan")
    async with told.db.work(told.world.org) as work:
        await outgoing.take(work, str(id_))
        await work.execute("update notice_channel set active = false")
    async with told.db.work(told.world.org) as work:
        held = await outgoing.take(work, str(id_))
    assert held.next_in is not None
    assert timedelta() < held.next_in <= outgoing.LEASE
    assert {row["state"] for row in await told.messages()} == {"sending"}
    await execute(told, "update notice_message set lease_until = now() - interval '1 second'")
    async with told.db.work(told.world.org) as work:
        assert (await outgoing.take(work, str(id_))).next_in is None
    assert {row["state"] for row in await told.notices("lane = $1", str(id_))} == {"failed"}


async def test_secrets_that_cannot_be_opened_say_so_and_come_back(told: Telling, server: Providers) -> None:
    """After a change of the signing secret the lane's job failed until it was a dead letter, and its notices lay there."""
    id_ = await robot(told, server)
    async with told.db.work(told.world.org) as work:
        other = Seal(lambda: "another-" + "0123456789abcdef" * 2)
        sealed = other.seal(work.org_id, channels.place(id_), {"key": "k-1"})
        await work.execute("update notice_channel set secret = $1::text::jsonb", sealed)
    await told.world.order()
    await told.drain()
    found = await row_of(told, id_)
    assert (found["failures"], server.asked) == (1, [])
    assert "another signing secret" in found["last_error"]
    assert (
        await told.world.value(
            "select count(*) from outbox where channel = 'notice.send' and state <> 'done'"
        )
        == 0
    )
    async with told.db.work(told.world.org) as work:
        await channels.save(work, channel(Medium.WECOM_ROBOT, server.url), id_)
    await told.drain()
    assert {row["state"] for row in await told.notices("lane = $1", str(id_))} == {"delivered"}


async def test_a_channel_keeps_its_medium_and_has_at_least_one_token(
    told: Telling, server: Providers
) -> None:
    """Mails that wait would be sent as short messages to an e-mail address; none a minute is not six hundred a minute."""
    id_ = await robot(told, server)
    async with told.db.work(told.world.org) as work:
        for given, id_or_none, path in (({"per_minute": 0}, None, "perMinute"), ({}, id_, "medium")):
            with pytest.raises(FieldRefused) as caught:
                await channels.save(work, channel(Medium.SMS, server.url, **given), id_or_none)
            assert caught.value.path == path


async def test_an_address_where_nobody_is_is_not_tried_first_again(told: Telling, server: Providers) -> None:
    """Somebody who left the chat's company hears of every P0 one failed attempt later, each time."""
    await told.channel(channel(Medium.WECOM, server.url))
    await told.channel(channel(Medium.SMS, server.url))
    await told.configure(staff_media=("wecom", "sms"), customer_media=())
    boss = await told.person(Role.SUPERVISOR, "Bo", phone="+8613800138000")
    async with told.db.work(told.world.org) as work:
        await settings.add_address(work, boss, "wecom", "BoW")
    server.codes.append(81013)
    await told.world.order()
    await told.drain()
    await told.world.order()
    await told.drain()
    rows = await told.notices("user_id = $1", boss)
    assert [(row["medium"], row["state"]) for row in rows] == [
        ("wecom", "failed"),
        ("sms", "delivered"),
        ("sms", "delivered"),
    ]
    async with told.db.work(told.world.org) as work:
        assert [one.broken for one in await settings.addresses(work, boss)] == [True]
        await settings.add_address(work, boss, "wecom", "BoW")
        assert [one.broken for one in await settings.addresses(work, boss)] == [False]


@pytest.mark.parametrize(("status", "broken"), ((404, True), (500, False)))
async def test_a_phone_that_deleted_the_app_is_not_tried_first_again(
    told: Telling, server: Providers, status: int, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its push service knows the token no more; everything that is urgent would reach its reader one attempt late."""
    monkeypatch.setattr(server, "answer", lambda _: (status, {}))
    url = f"ntfy://127.0.0.1:{server.port}/{{to}}"
    await told.channel(NewChannel(medium="push", provider="apprise", name="Push", secret={"url": url}))
    await told.configure(staff_media=("push",), customer_media=())
    async with told.db.work(told.world.org) as work:
        await settings.add_address(work, told.supervisor, "push", "token1")
    await told.world.order()
    await told.drain()
    async with told.db.work(told.world.org) as work:
        assert [one.broken for one in await settings.addresses(work, told.supervisor)] == [broken]


@pytest.mark.parametrize(
    ("medium", "address"),
    (
        ("web_push", "x"),
        ("web_push", '{"endpoint": "http://a/", "keys": {"p256dh": "k", "auth": "a"}}'),
        ("web_push", '{"endpoint": "https://a/"}'),
        ("email", "nobody"),
        # To WeCom, DingTalk and Feishu that is everybody: one person's setting would ring the whole company at night.
        ("wecom", "@all"),
        ("wecom", "ann|bo"),
        ("wecom_robot", "@ALL"),
        ("feishu_robot", "all"),
    ),
)
async def test_addresses_that_nothing_can_be_sent_to(told: Telling, medium: str, address: str) -> None:
    """Taken as it is, it fails at the first P0 and not in the form."""
    async with told.db.work(told.world.org) as work:
        with pytest.raises(FieldRefused) as caught:
            await settings.add_address(work, told.supervisor, medium, address)
        assert caught.value.path == "address"
        good = '{"endpoint": "https://push.example.org/1", "keys": {"p256dh": "k", "auth": "a"}}'
        await settings.add_address(work, told.supervisor, "web_push", good)


async def test_a_channel_of_a_team_that_does_not_exist(told: Telling, server: Providers) -> None:
    """A robot of no team is used for nobody, and its office waits for messages."""
    async with told.db.work(told.world.org) as work:
        with pytest.raises(NotFound) as caught:
            await channels.save(work, channel(Medium.WECOM_ROBOT, server.url, team_id=new_id()))
    assert caught.value.path == "teamId"
