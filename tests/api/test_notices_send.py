"""Providers as they really answer: codes in 200 bodies, throttles, faults, hangs; what then becomes of a notice."""

import json
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from providers import Providers, channel, parcel
from telling import Telling

from callout_backend.notify.adapter import MemoryAdapter
from callout_backend.notify.by_apprise import why_not
from callout_backend.notify.robots import dingtalk_sign, feishu_sign, split_mentions
from callout_backend.notify.wecom_app import WeComApp
from callout_backend.notify.wire import Answer, Wire, judge
from callout_backend.wiring import add_hooks
from callout_orders.notices import channels
from callout_orders.notices.channels import NewChannel
from callout_orders.notices.sending import outgoing, settling
from callout_orders.notices.sending.outgoing import Outcome
from callout_orders.notices.terms import Medium
from callout_people.principals import Role
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


async def robot(told: Telling, server: Providers, medium: str = Medium.WECOM_ROBOT, **more: Any) -> Any:
    """A robot that all staff are told by, and nobody else."""
    id_ = await told.channel(channel(medium, server.url, **more))
    await told.configure(staff_media=(str(medium),), customer_media=())
    return id_


async def row_of(told: Telling, id_: Any) -> Any:
    (row,) = await told.world.fetch("select * from notice_channel where id = $1", id_)
    return row


@pytest.mark.parametrize(
    ("medium", "path"),
    (
        (Medium.WECOM_ROBOT, "/cgi-bin/webhook/send"),
        (Medium.DINGTALK_ROBOT, "/robot/send"),
        (Medium.FEISHU_ROBOT, "/open-apis/bot/v2/hook/f-1"),
    ),
)
async def test_robots_get_one_message_a_line(
    told: Telling, server: Providers, medium: str, path: str
) -> None:
    """Four roles in one group are one message, or twenty a minute are five changes."""
    await robot(told, server, medium)
    await told.world.order()
    await told.drain()
    assert [one.path for one in server.asked] == [path]
    rows = await told.notices("medium = $1", str(medium))
    assert len(rows) > 0
    assert {row["state"] for row in rows} == {"delivered"}
    assert len({row["message_id"] for row in rows}) == 1
    text = json.dumps(server.messages[0], ensure_ascii=False)
    assert "WO-0" in text
    assert "http://t/n/" in text


@pytest.mark.parametrize(
    ("medium", "code"),
    (
        (Medium.WECOM_ROBOT, 45009),
        (Medium.DINGTALK_ROBOT, 130101),
        (Medium.DINGTALK_ROBOT, 410100),
        (Medium.FEISHU_ROBOT, 11232),
    ),
)
async def test_a_throttle_in_a_200_body_is_no_success(
    told: Telling, server: Providers, medium: str, code: int
) -> None:
    """Counted as sent, the notice is gone; sent again at once, the robot is shut out for longer."""
    id_ = await robot(told, server, medium)
    server.codes.append(code)
    await told.world.order()
    await told.drain()
    (message,) = await told.messages()
    assert (message["state"], message["attempts"]) == ("queued", 0)
    assert str(code) in message["error"]
    found = await row_of(told, id_)
    rests = await told.world.value("select rest_until - now() from notice_channel where id = $1", id_)
    assert timedelta(seconds=50) < rests <= timedelta(seconds=61)
    assert found["failures"] == 0
    asked = len(server.asked)
    await told.world.order()
    await told.drain()
    assert len(server.asked) == asked, "it is left alone while it rests, whatever comes in"
    await told.hasten()
    await told.drain()
    assert {row["state"] for row in await told.notices("medium = $1", str(medium))} == {"delivered"}


async def test_429_says_for_how_long(told: Telling, server: Providers) -> None:
    """Retry-After is honoured to the second, or the throttle is extended."""
    id_ = await robot(told, server)
    server.faults.append("busy_with_hint")
    await told.world.order()
    await told.drain()
    rests = await told.world.value("select rest_until - now() from notice_channel where id = $1", id_)
    assert timedelta(seconds=3) < rests <= timedelta(seconds=7)


@pytest.mark.parametrize(
    ("fault", "unsure"), (("broken", False), ("cut", True), ("garbage", True), ("cut_body", True))
)
async def test_a_provider_in_trouble_is_tried_again(
    told: Telling, server: Providers, fault: Any, unsure: bool
) -> None:
    """What may have arrived is sent again and says so: twice is a nuisance, never is a silent order."""
    await robot(told, server)
    server.faults.append(fault)
    await told.world.order()
    await told.drain()
    (message,) = await told.messages()
    assert (message["state"], message["unsure"], message["attempts"]) == ("queued", unsure, 1)
    await told.hasten()
    await told.drain()
    (message,) = await told.messages()
    assert (message["state"], message["unsure"], message["attempts"]) == ("delivered", unsure, 2)


async def test_a_hang_ends(server: Providers) -> None:
    """A provider that takes the request and never answers must not hold a worker; the message may have arrived."""
    server.always = "silent"
    wire = Wire(private_allowed=True, timeout_s=0.2)
    try:
        outcome = judge(await wire.ask(f"{server.url}/x", b"{}"))
    finally:
        await wire.close()
    assert outcome.kind == "unsure"


async def test_private_addresses_are_not_called(server: Providers) -> None:
    """A channel's base URL must be no way into the own network."""
    wire = Wire()
    try:
        outcome = judge(await wire.ask(server.url.replace("http", "https"), b"{}"))
    finally:
        await wire.close()
    assert (outcome.kind, server.asked) == ("refused", [])


async def test_refused_for_good_goes_another_way(told: Telling, server: Providers) -> None:
    """A robot whose key was revoked never takes it: the person is told by the next medium at once."""
    await told.channel(channel(Medium.WECOM_ROBOT, server.url))
    await told.channel(channel(Medium.SMS, server.url))
    await told.configure(staff_media=("wecom_robot", "sms"), customer_media=())
    boss = await told.person(Role.SUPERVISOR, "Bo", phone="+8613800138000")
    server.codes.append(93000)
    await told.world.order()
    await told.drain()
    rows = {row["medium"]: row for row in await told.notices("user_id = $1", boss)}
    assert rows["wecom_robot"]["state"] == "failed"
    assert "93000" in rows["wecom_robot"]["error"]
    assert rows["sms"]["state"] == "delivered"
    assert rows["sms"]["fallback_of"] == rows["wecom_robot"]["id"]


async def test_a_day_without_the_provider(told: Telling, server: Providers) -> None:
    """Away for a day: one message probes, the others wait in their order, nothing is lost, other channels go on."""
    id_ = await robot(told, server)
    await told.channel(channel(Medium.SMS, server.url))
    mobile = await told.person(Role.SUPERVISOR, "Mo", phone="+8613900139000")
    await told.prefer(mobile, media=("sms",))
    orders = [await told.world.order() for _ in range(3)]
    server.always = "broken"
    for _ in range(6):
        await told.drain("notice.fan")
        await told.drain()
        await told.hasten()
    robots = [one for one in server.asked if one.path.startswith("/cgi-bin")]
    assert len(robots) <= 3 + 6, "after the first failures one message a look"
    found = await row_of(told, id_)
    assert found["failures"] >= 3
    assert "503" in found["last_error"]
    server.always = None
    for _ in range(4):
        await told.hasten()
        await told.drain()
    rows = await told.notices("kind = 'created'")
    assert {row["state"] for row in rows} == {"delivered"}
    assert {row["order_id"] for row in rows} == set(orders)
    assert (await row_of(told, id_))["failures"] == 0


async def test_given_up_after_days_and_replayed(told: Telling, server: Providers) -> None:
    """A dead letter is shown, and goes out by hand when the provider is mended."""
    await robot(told, server)
    server.faults.append("broken")
    await told.world.order()
    await told.drain()
    async with told.db.work(told.world.org) as work:
        await work.execute("update notice_message set created_at = created_at - interval '4 days'")
    server.faults.append("broken")
    await told.hasten()
    await told.drain()
    (message,) = await told.messages()
    assert message["state"] == "failed"
    assert {row["state"] for row in await told.notices("medium = 'wecom_robot'")} == {"failed"}
    async with told.db.work(told.world.org) as work:
        assert await settling.replay(work, [message["id"]]) == 1
        assert await settling.replay(work, [message["id"]]) == 0
    await told.hasten()
    await told.drain()
    assert {row["state"] for row in await told.notices("medium = 'wecom_robot'")} == {"delivered"}


async def test_a_worker_that_died_with_messages_in_hand(db: Database) -> None:
    """A killed worker's messages are sent by the next one, once its lease is over, and say that they may come twice."""
    add_hooks(db)
    memory = MemoryAdapter()
    told = await Telling(db, memory=memory).build()
    order = await told.world.order()
    await told.drain("notice.fan")
    async with db.work(told.world.org) as work:
        taken = await outgoing.take(work, "sink")
    assert taken.messages
    # What is younger must not overtake them.
    await told.happen("work_order.closed", [order])
    await told.drain()
    assert memory.sent == [], "they are in the first worker's hands"
    async with db.work(told.world.org) as work:
        await work.execute("update notice_message set lease_until = now() - interval '1 second'")
    await told.hasten()
    await told.drain()
    first = [str(one.id) for one in taken.messages]
    assert sorted(one.key for one in memory.sent[: len(first)]) == sorted(first)
    assert {str(row["id"]) for row in await told.messages("unsure")} == set(first)
    # The first one wakes up after all: what it has to say does not count any more.
    async with db.work(told.world.org) as work:
        await settling.settle(work, [(taken.messages[0], Outcome(kind="refused", error="late"))])
    assert {row["state"] for row in await told.messages()} == {"delivered"}


async def test_a_bad_adapter_spoils_one_message(db: Database) -> None:
    """A fault in our own code for one message must not keep the others of the round."""
    add_hooks(db)
    seen: list[str] = []

    def answer(parcel: Any) -> Outcome:
        seen.append(parcel.key)
        if len(seen) == 1:
            raise RuntimeError("broken")
        return Outcome(kind="delivered")

    told = await Telling(db, memory=MemoryAdapter(answer)).build()
    await told.world.order()
    await told.world.order()
    await told.drain()
    states = sorted(row["state"] for row in await told.messages())
    assert states.count("queued") == 1
    assert states.count("delivered") == len(states) - 1


# ------------------------------------------------------------------------------------------------ applications


async def test_the_applications_token_is_shared_and_renewed(told: Telling, server: Providers) -> None:
    """WeCom gives a limited number of tokens a day: one fetch a message locks the application out by noon."""
    id_ = await told.channel(channel(Medium.WECOM, server.url))
    await told.configure(staff_media=("wecom",), customer_media=())
    async with told.db.work(told.world.org) as work:
        await work.execute(
            "insert into notice_address (id, user_id, medium, address, created_at) "
            "values (gen_random_uuid(), $1, 'wecom', 'SueW', now())",
            told.supervisor,
        )
    await told.world.order()
    await told.world.order()
    await told.drain()
    assert server.tokens_given == 1
    kept = (await row_of(told, id_))["access_token"]
    assert server.token not in kept
    async with told.db.work(told.world.org) as work:
        assert channels.opened_access(work, id_, kept) == server.token
    server.token = "second-token"
    await told.world.order()
    await told.drain()
    assert server.tokens_given == 2
    assert {row["state"] for row in await told.notices("medium = 'wecom'")} == {"delivered"}
    card = server.messages[-1]
    assert card["touser"] == "SueW"
    assert card["template_card"]["card_type"] == "button_interaction"
    assert card["template_card"]["button_list"][0]["key"] in card["template_card"]["card_action"]["url"]


@pytest.mark.parametrize("address", ("@all", "ann|bo"))
async def test_a_card_goes_to_one_person(server: Providers, address: str) -> None:
    """WeCom reads `@all` as the whole company: an address that was stored before it was looked at must not ring there."""
    wire = Wire(private_allowed=True)

    async def keep(token: str, seconds: float) -> None:
        raise AssertionError

    app = WeComApp(
        wire,
        {"base_url": server.url, "corp_id": "w", "agent_id": "1"},
        {"secret": "s"},
        token=None,
        keep=keep,
    )
    try:
        outcome = await app.send(parcel("wecom", address))
    finally:
        await wire.close()
    assert (outcome.kind, outcome.nobody, server.asked) == ("refused", True, [])


async def test_the_gateway_is_signed_and_idempotent(told: Telling, server: Providers) -> None:
    """A vendor's bridge must know that it is us, and a second attempt must not ring twice."""
    await told.channel(channel(Medium.SMS, server.url))
    await told.configure(staff_media=(), customer_media=("sms",))
    server.faults.append("cut")
    await told.world.order()
    await told.drain()
    await told.hasten()
    await told.drain()
    keys = {one.headers["idempotency-key"] for one in server.asked}
    assert (len(server.asked), len(keys)) == (2, 1)
    assert all(one.headers["callout-signature"].startswith("t=") for one in server.asked)
    (row,) = await told.messages()
    assert (row["state"], row["provider_ref"]) == ("delivered", "v-1")


async def test_twilio_through_apprise(
    told: Telling, server: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apprise says only yes or no; a vendor that is busy must still be told from one that refuses."""
    from apprise.plugins.twilio import NotifyTwilio

    monkeypatch.setattr(
        NotifyTwilio, "notify_sms_url", server.url + "/2010-04-01/Accounts/{sid}/Messages.json"
    )
    url = f"twilio://AC{'a' * 32}:{'b' * 32}@+14155550100/{{to}}"
    await told.channel(channel(Medium.SMS, server.url, provider="apprise", config={}, secret={"url": url}))
    await told.configure(staff_media=(), customer_media=("sms",))
    server.faults.append("busy_with_hint")
    await told.world.order()
    await told.drain()
    (row,) = await told.messages()
    assert (row["state"], row["attempts"], row["error"]) == ("queued", 0, "answered 429")
    await told.hasten()
    await told.drain()
    (row,) = await told.messages()
    assert (row["state"], row["provider_ref"]) == ("delivered", "SM1")
    assert server.messages[-1]["To"] == ["+14155552671"]
    assert "WO-" in server.messages[-1]["Body"][0]


class Mailbox:
    """What a mail server took; `refuse` is its answer to the next recipient."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.refuse: str | None = None

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, ___: Any) -> str:
        if self.refuse is not None:
            answer, self.refuse = self.refuse, None
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:
        self.taken.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = Mailbox()
    controller = Controller(found, hostname="127.0.0.1", port=port)
    controller.start()
    yield found, port
    controller.stop()


async def by_mail(told: Telling, port: int) -> None:
    url = f"mailto://127.0.0.1:{port}?from=desk@example.org&to={{to}}"
    await told.channel(NewChannel(medium="email", provider="apprise", name="Mail", secret={"url": url}))
    await told.configure(staff_media=("email",), customer_media=())


async def test_mail_through_apprise(told: Telling, mailbox: tuple[Mailbox, int]) -> None:
    """A mail has a subject, HTML and a plain text, and goes to the one person whom it is for."""
    box, port = mailbox
    await by_mail(told, port)
    await told.world.order(description="<script>alert(1)</script>")
    await told.drain()
    (mail,) = box.taken
    assert mail["to"].startswith("sue-")
    assert "WO-" in mail["subject"]
    html = mail.get_body(("html",)).get_content()
    assert "http://t/n/" in html
    assert {row["state"] for row in await told.notices("medium = 'email'")} == {"delivered"}


@pytest.mark.parametrize(
    ("answer", "state"), (("550 5.1.1 no such user", "failed"), ("451 4.7.1 try later", "queued"))
)
async def test_what_a_mail_server_refuses(
    told: Telling, mailbox: tuple[Mailbox, int], answer: str, state: str
) -> None:
    """Nobody of that name: tried for three days, nobody is told. Greylisting: given up at once, nobody is told either."""
    box, port = mailbox
    await by_mail(told, port)
    box.refuse = answer
    await told.world.order()
    await told.drain()
    (message,) = await told.messages()
    assert message["state"] == state
    if state == "queued":
        await told.hasten()
        await told.drain()
        assert len(box.taken) == 1


@pytest.mark.parametrize(
    ("medium", "url", "why"),
    (
        ("email", "syslog://localhost", "does not carry"),
        ("sms", "mailto://a:b@example.org", "does not carry"),
        ("push", "fcm://p/{to}/?keyfile=/etc/passwd", "files of this machine"),
        ("sms", "twilio://nothing/{to}", "cannot read"),
        # Apprise mails what names no reader to the account that sends it, and says that it went.
        ("email", "mailtos://desk:pw@smtp.example.org?from=desk@example.org", "names no {to}"),
    ),
)
def test_apprise_addresses_that_are_not_taken(medium: str, url: str, why: str) -> None:
    """An organisation's admin must not read files of the server, nor write to it, by way of a channel."""
    assert why in (why_not(url, medium) or "")


# ------------------------------------------------------------------------------------------------ small things


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    (
        (200, {"errcode": 0}, "delivered"),
        (200, {"errcode": "0"}, "delivered"),
        (200, {"errcode": -1}, "away"),
        (200, {"errcode": 40008}, "refused"),
        (200, None, "unsure"),
        (200, {"errcode": True}, "unsure"),
        (200, [], "unsure"),
        (204, None, "unsure"),
        (302, None, "refused"),
        (404, None, "refused"),
        (429, None, "throttled"),
        (408, None, "away"),
        (502, {"errcode": 0}, "away"),
    ),
)
def test_what_an_answer_means(status: int, body: Any, kind: str) -> None:
    """HTTP 200 alone is never success."""
    assert judge(Answer(status=status, headers={}, body=body)).kind == kind


def test_signatures_of_robots() -> None:
    """A wrong signature is a robot that never speaks. Reckoned by hand with openssl."""
    assert dingtalk_sign("SEC1", "1700000000000") == "ukR4+WoOOBTGaOauYqugxVrMSFyr92q4hPxJxuOkiio="
    assert feishu_sign("s", "1700000000") == "+z1fiKH1w9xoRwSUZju5W5ZBj/d5cwS4H+5mTClDOl4="


def test_mentions() -> None:
    """Robots know mobile numbers without +86, and user ids; all else would break the message's form, or wake everybody."""
    assert split_mentions(("+8613800138000", "zhang.san", "<at>all", "@all", "all")) == (
        ["13800138000"],
        ["zhang.san"],
    )
