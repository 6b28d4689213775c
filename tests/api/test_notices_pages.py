"""The reader's link, the mail's pixel, the sink's page, and notices in GraphQL."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from graph import Graph, application, token_of
from litestar import Litestar
from providers import channel
from telling import SECRET, Telling

from callout_backend.doors import cards, sink
from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.notify import links
from callout_backend.settings import Settings
from callout_orders.channels import accounts, inbox
from callout_orders.channels.chat import ciphers
from callout_orders.notices.settings import add_address
from callout_orders.notices.terms import Medium
from callout_people.principals import Role
from callout_people.throttle import Limit
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture
async def app(settings: Settings, db: Database) -> AsyncIterator[tuple[Litestar, httpx.AsyncClient]]:
    assert settings.secret == SECRET
    async with application(settings, db) as both:
        yield both


@pytest.fixture
async def told(db: Database, app: Any) -> AsyncIterator[Telling]:
    telling = await Telling(db).build()
    yield telling
    await telling.notifier.close()


async def graph(told: Telling, app: Any, user: UUID) -> Graph:
    token = await token_of(told.db, app[0].state.issuer, told.world.org, user)
    return Graph(app[1], token)


async def one(told: Telling, where: str = "user_id = $1 and kind = 'created'", *args: Any) -> Any:
    rows = await told.notices(where, *(args or (told.supervisor,)))
    return rows[0]


def link(told: Telling, notice_id: UUID) -> str:
    return f"/n/{links.token(SECRET, told.world.org, notice_id)}"


async def test_a_preview_robot_reads_nothing(told: Telling, app: Any) -> None:
    """WeCom, DingTalk and every mail scanner fetch each link: counted as read, no receipt would mean anything."""
    await told.world.order()
    await told.drain()
    notice = await one(told)
    for agent in ("WeCom-Preview", "facebookexternalhit/1.1", "Mozilla/5.0"):
        answer = await app[1].get(link(told, notice["id"]), headers={"User-Agent": agent})
        assert answer.status_code == 200
        assert "WO-0" in answer.text
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert (await one(told))["read_at"] is None


async def test_one_tap_marks_as_read(told: Telling, app: Any) -> None:
    """The page's script posts by itself; where no script runs a button does, and leads on to the order's own page."""
    await told.configure(order_url="https://desk.example.org/o/{number}")
    await told.world.order()
    await told.drain()
    notice = await one(told)
    page = await app[1].get(link(told, notice["id"]), headers={"Accept-Language": "zh"})
    assert "notice.js" in page.text
    answer = await app[1].post(link(told, notice["id"]), json={"act": "read"})
    assert answer.json() == {"state": "read", "goOn": "https://desk.example.org/o/WO-000001"}
    plain = await app[1].post(link(told, notice["id"]), data={"act": "read"})
    assert (plain.status_code, plain.headers["location"]) == (303, "https://desk.example.org/o/WO-000001")
    assert (await one(told))["state"] == "read"
    done = await app[1].post(link(told, notice["id"]), data={"act": "acknowledge"})
    assert done.status_code == 200
    found = await one(told)
    assert (found["state"], found["acknowledged_by"]) == ("acknowledged", told.supervisor)
    # Reading it once more takes nothing back.
    await app[1].post(link(told, notice["id"]), json={})
    assert (await one(told))["state"] == "acknowledged"


async def test_a_customer_is_led_to_what_is_theirs(told: Telling, app: Any) -> None:
    """The order's page is the staff's; a customer goes on to the engineer's way, by a link that is made at that moment."""
    await told.configure(order_url="https://desk.example.org/o/{number}")
    await told.world.visit(told.world.phones[0])
    await told.drain()
    created = await one(told, "role = $1 and kind = 'created'", "customer")
    assert (await app[1].post(link(told, created["id"]), json={"act": "read"})).json()["goOn"] is None
    assigned = await one(told, "role = $1 and kind = 'assigned'", "customer")
    assert await told.world.value("select count(*) from track_link") == 0
    way = (await app[1].post(link(told, assigned["id"]), json={"act": "read"})).json()["goOn"]
    assert way.startswith("http://t/t/")
    assert (await app[1].get(way)).status_code == 200


@pytest.mark.parametrize("spoil", ("short", "bit", "other organisation"))
async def test_forged_links(told: Telling, app: Any, spoil: str) -> None:
    """A guessed link would mark a stranger's P0 as acknowledged, and nobody would be called."""
    await told.world.order()
    await told.drain()
    good = link(told, (await one(told))["id"])
    bad = {
        "short": good[:-1],
        "bit": good[:-1] + ("A" if good[-1] != "A" else "B"),
        "other organisation": f"/n/{links.token('x' * 32, told.world.org, (await one(told))['id'])}",
    }[spoil]
    for answer in (await app[1].get(bad), await app[1].post(bad, json={"act": "acknowledge"})):
        assert answer.status_code == 404
    assert (await one(told))["state"] == "delivered"
    missing = f"/n/{links.token(SECRET, told.world.org, new_id())}"
    assert (await app[1].get(missing)).status_code == 404


async def test_the_pixel_counts_only_where_it_is_switched_on(told: Telling, app: Any) -> None:
    """Reading somebody's mail over their shoulder is a decision that an organisation makes, not a default."""
    await told.prefer(told.supervisor, media=("email",))
    await told.world.order()
    await told.drain()
    notice = await one(told)
    (mail,) = await told.messages("medium = 'email' and id = $1", notice["message_id"])
    assert "pixel" not in mail["body"]
    answer = await app[1].get(link(told, notice["id"]) + "/pixel.gif")
    assert answer.headers["content-type"] == "image/gif"
    assert (await one(told))["read_at"] is None
    await told.configure(mail_pixel=True)
    await app[1].get(link(told, notice["id"]) + "/pixel.gif")
    assert (await one(told))["state"] == "read"
    assert (await app[1].get("/n/nonsense/pixel.gif")).status_code == 200


async def test_the_sink_shows_what_would_have_been_sent(told: Telling, app: Any) -> None:
    """The demo sends nothing to anybody; whoever looks at it must still see every message."""
    order = await told.world.order(priority="P0")
    await told.drain()
    page = await app[1].get("/sink", headers={"Accept-Language": "zh"})
    assert "待发消息预览" in page.text
    assert "http" not in page.headers["content-security-policy"], "nothing is loaded from elsewhere"
    as_boss = await graph(told, app, told.supervisor)
    found = (await app[1].get("/sink/messages", headers=as_boss.headers())).json()
    media = {item["medium"] for item in found["items"]}
    assert {"wecom_robot", "sms"} <= media
    assert all("http://t/n/" in item["body"] for item in found["items"])
    number = await told.world.value("select number from work_order where id = $1", order)
    for query, count in ((f"number={number}", len(found["items"])), ("number=nothing", 0), ("medium=sms", 1)):
        some = (await app[1].get(f"/sink/messages?{query}", headers=as_boss.headers())).json()
        assert len(some["items"]) == count, query
    bad = await app[1].get("/sink/messages?after=1", headers=as_boss.headers())
    assert bad.status_code == 422


async def account(told: Telling, kind: str, **more: Any) -> accounts.Account:
    """An account of a chat service or a mailbox that somebody wrote to."""
    chat = {"settings": {"corpId": "ww1", "agentId": 1}, "secrets": {"token": "t", "aesKey": AES_KEY}}
    mail = {"settings": {"address": "desk@example.org"}, "secrets": {"webhookSecret": "s" * 32}}
    given: dict[str, Any] = {**(mail if kind == "mail" else chat), **more}
    async with told.db.work(told.world.org) as work:
        id_ = await accounts.save(
            work, accounts.ChannelInput(code=f"{kind}-1", kind=kind, name=kind, **given)
        )
        found = await accounts.account(work, id_)
    assert found is not None
    return found


@pytest.mark.parametrize(("answers", "notices"), ((False, "send"), (True, "sink"), (True, "mixed")))
async def test_the_sink_shows_what_whoever_wrote_would_have_been_answered(
    told: Telling, app: Any, settings: Settings, answers: bool, notices: str
) -> None:
    """In the demo customers are invented and are answered by chat and mail: what the desk says to them is half of the story.
    And a house that sends nothing must not answer by chat all the same."""
    chat = await account(told, "wecom", answers=answers)
    mail = await account(told, "mail", answers=answers)
    order = await told.world.order()
    async with told.db.work(told.world.org) as work:
        await inbox.say(work, chat, peer="zhang-san", text="请提供序列号\nhttp://t/x", order_id=order)
        await inbox.say(work, mail, peer="<a@example.org>", text="1 < 2", reply={"subject": "Re: leak"})
    handlers = make_handlers(replace(settings, notices=notices))
    await drain(told.db, {inbox.ANSWER_CHANNEL: handlers[inbox.ANSWER_CHANNEL]}, only=True)
    assert await told.world.value("select count(*) from todo where kind = 'intake.answer_failed'") == 0
    boss = await graph(told, app, told.supervisor)

    async def shown(query: str = "") -> list[Any]:
        found = (await app[1].get(f"/sink/messages?{query}", headers=boss.headers())).json()
        return list(found["items"])

    by_medium = {item["medium"]: item for item in await shown()}
    assert by_medium["wecom_chat"]["body"] == "请提供序列号\nhttp://t/x"
    assert by_medium["wecom_chat"]["address"] == "zhang-san"
    assert "1 &lt; 2" in by_medium["email"]["body"]
    assert by_medium["email"]["subject"] == "Re: leak"
    (number,) = by_medium["wecom_chat"]["numbers"]
    for query, media in (
        (f"number={number}", ["wecom_chat"]),
        ("person=a@EXAMPLE", ["email"]),
        ("medium=wecom_chat", ["wecom_chat"]),
        ("medium=email", ["email"]),
        ("medium=sms", []),
    ):
        assert [item["medium"] for item in await shown(query)] == media, query


async def test_the_sink_goes_on_over_both_of_its_lists(
    told: Telling, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lists on one page, each with its own next page, would show some twice and some never."""
    monkeypatch.setattr(sink, "PAGE", 3)
    chat = await account(told, "wecom", answers=False)
    for n in range(5):
        await told.world.order()
        await told.drain()
        async with told.db.work(told.world.org) as work:
            await inbox.say(work, chat, peer=f"p{n}", text=f"a{n}")
    boss = await graph(told, app, told.supervisor)
    seen: list[str] = []
    after = ""
    while True:
        found = (await app[1].get(f"/sink/messages{after}", headers=boss.headers())).json()
        assert len(found["items"]) <= 3
        seen += [item["id"] for item in found["items"]]
        if found["after"] is None:
            break
        after = f"?after={found['after']}"
    assert seen == sorted(set(seen), reverse=True)
    messages = await told.world.value("select count(*) from notice_message")
    assert len(seen) == messages + 5


@pytest.mark.parametrize("role", (None, Role.ENGINEER, Role.DISPATCHER, Role.CUSTOMER_CONTACT))
async def test_the_sink_is_not_for_everybody(told: Telling, app: Any, role: Role | None) -> None:
    """It holds everybody's links, and with them the right to acknowledge."""
    headers = {}
    if role is not None:
        user = await told.person(role, f"X{role.value}")
        headers = (await graph(told, app, user)).headers()
    answer = await app[1].get("/sink/messages", headers=headers)
    assert answer.status_code == (401 if role is None else 403)


# ------------------------------------------------------------------------------------------------ GraphQL


async def test_my_notices_are_mine(told: Telling, app: Any) -> None:
    """A list of one's own must not hold another's, nor another organisation's."""
    order = await told.world.order()
    await told.drain()
    boss = await graph(told, app, told.supervisor)
    mine = (await boss.ask("{ myNotices { nodes { id userId title body wantsAck state } } }"))["myNotices"][
        "nodes"
    ]
    assert {node["userId"] for node in mine} == {str(told.supervisor)}
    assert all("\ue000" not in node["body"] for node in mine)
    done = await boss.ask(
        "mutation($id: UUID!) { acknowledgeNotice(id: $id) { state acknowledgedAt } }", {"id": mine[0]["id"]}
    )
    assert done["acknowledgeNotice"]["state"] == "acknowledged"
    all_of = await boss.ask(
        'query($id: UUID!) { notices(orderId: $id) { role roleLabel(locale: "zh") name state } }',
        {"id": str(order)},
    )
    assert {"主管", "客户"} <= {node["roleLabel"] for node in all_of["notices"]}
    stranger = await Telling(told.db).build()
    other = await graph(stranger, app, stranger.supervisor)
    assert (await other.ask("query($id: UUID!) { notices(orderId: $id) { id } }", {"id": str(order)}))[
        "notices"
    ] == []
    refused = await other.refused(
        "mutation($id: UUID!) { acknowledgeNotice(id: $id) { state } }", {"id": mine[0]["id"]}
    )
    assert refused["code"] == "NOT_FOUND"
    await stranger.notifier.close()


async def test_secrets_are_written_and_never_read(told: Telling, app: Any) -> None:
    """Whoever may look at channels must not be able to write as the robot."""
    admin = await graph(told, app, await told.person(Role.ADMIN, "Ada"))
    save = (
        "mutation($input: NoticeChannelInput!, $id: UUID) { saveNoticeChannel(input: $input, id: $id) "
        "{ id secrets perMinute config } }"
    )
    given = {
        "medium": "dingtalk_robot",
        "provider": "dingtalk_robot",
        "name": "Group",
        "secret": {"access_token": "hush-hush", "sign_secret": "SECx"},
    }
    made = (await admin.ask(save, {"input": given}))["saveNoticeChannel"]
    assert (made["secrets"], made["perMinute"]) == (["access_token", "sign_secret"], 20)
    # A change without the secret keeps it.
    again = await admin.ask(save, {"id": made["id"], "input": {**given, "secret": None, "name": "New"}})
    assert again["saveNoticeChannel"]["secrets"] == ["access_token", "sign_secret"]
    shown = (await admin.send("{ noticeChannels { id name secrets config lastError waiting } }")).text
    assert "hush-hush" not in shown
    refused = await admin.refused(
        save,
        {
            "input": {
                **given,
                "medium": "email",
                "name": " ",
                "perMinute": 0,
                "config": {"base_url": "x", "odd": "1"},
            }
        },
    )
    assert refused["code"] == "FIELDS_REFUSED"
    assert {"name", "provider"} <= {fault["path"] for fault in refused["errors"]}
    too_many = await admin.refused(save, {"input": {**given, "perMinute": 21}})
    assert too_many["path"] == "perMinute"
    boss = await graph(told, app, told.supervisor)
    assert (await boss.refused("{ noticeChannels { id } }"))["code"] == "NOT_ALLOWED"


async def test_preferences_templates_and_preview(told: Telling, app: Any) -> None:
    """Everything that decides about notices can be decided through the API, by those who may."""
    boss = await graph(told, app, told.supervisor)
    mine = await boss.ask(
        "mutation($input: NoticePreferencesInput!) { setNoticePreferences(input: $input) { media quiet muted } }",
        {"input": {"media": ["sms"], "quiet": "22:00-07:00", "muted": ["held"]}},
    )
    assert mine["setNoticePreferences"] == {"media": ["sms"], "quiet": "22:00-07:00", "muted": ["held"]}
    other = await boss.refused(
        "mutation($input: NoticePreferencesInput!, $u: UUID) { setNoticePreferences(input: $input, userId: $u) { quiet } }",
        {"input": {}, "u": str(told.world.dispatcher.user_id)},
    )
    assert other["code"] == "NOT_ALLOWED"
    added = await boss.ask(
        'mutation { addNoticeAddress(medium: "wecom", address: "SueW") { addresses { id medium address broken } } }'
    )
    assert added["addNoticeAddress"]["addresses"][0]["address"] == "SueW"
    saved = await boss.ask(
        'mutation { saveNoticeTemplate(medium: "sms", kind: "*", locale: "zh", title: "{{ headline }}", '
        'body: "{{ order.number }} {{ link }}", activate: true) { version active } }'
    )
    assert saved["saveNoticeTemplate"][0] == {"version": 1, "active": True}
    shown = await boss.ask(
        '{ previewNotice(medium: "sms", kind: "done", locale: "zh") { title body } '
        'noticePlaceholders(locale: "zh") { name meaning } }'
    )
    assert shown["previewNotice"]["title"] == "服务已完成,请签收"
    assert {"order.number", "deadline", "items"} <= {one["name"] for one in shown["noticePlaceholders"]}
    bad = await boss.refused(
        '{ previewNotice(medium: "sms", kind: "done", body: "{% set a = 1 %}") { body } }'
    )
    assert bad["path"] == "body"
    house = await boss.ask(
        'mutation { setNoticeSettings(input: {quiet: "21:00-08:00", fallbackMinutes: 3}) { fallbackMinutes staffMedia } }'
    )
    assert house["setNoticeSettings"]["fallbackMinutes"] == 3


# ------------------------------------------------------------------------------------------------ cards

AES_KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"


def sealed(
    inner: str, *, token: str = "cb", receiver: str = "ww1", age_s: int = 0
) -> tuple[dict[str, str], bytes]:
    """A call as WeCom makes it."""
    cipher = ciphers.encrypt(AES_KEY, inner.encode(), receiver=receiver)
    query = {"timestamp": str(int(time.time()) - age_s), "nonce": "n1"}
    query["msg_signature"] = ciphers.sha1_signature(token, query["timestamp"], query["nonce"], cipher)
    return query, f"<xml><Encrypt><![CDATA[{cipher}]]></Encrypt></xml>".encode()


def button(key: str, user: str = "SueW") -> str:
    return (
        f"<xml><FromUserName>{user}</FromUserName><MsgType>event</MsgType><Event>template_card_event</Event>"
        f"<EventKey>{key}</EventKey></xml>"
    )


async def test_a_cards_button_acknowledges(told: Telling, app: Any) -> None:
    """A supervisor presses "acknowledge" in WeCom and is not called a minute later; a forger's press is nothing."""
    new = channel(Medium.WECOM, "http://127.0.0.1:1")
    secret = {**new.secret, "callback_token": "cb", "aes_key": AES_KEY}
    channel_id = await told.channel(msgspec.structs.replace(new, secret=secret))
    await told.configure(staff_media=("wecom",), customer_media=())
    async with told.db.work(told.world.org) as work:
        await add_address(work, told.supervisor, "wecom", "SueW")
    await told.world.order(priority="P0")
    await told.drain("notice.fan")
    notice = await one(told)
    key = links.token(SECRET, told.world.org, notice["id"])
    slug = await told.world.value("select slug from organisation where id = $1", told.world.org)
    door = f"/cards/{slug}/{channel_id}"
    for query, body in (
        sealed(button(key), token="other"),
        sealed(button(key), receiver="ww2"),
        sealed(button(key), age_s=3600),
    ):
        assert (await app[1].post(door, params=query, content=body)).status_code == 403
    query, body = sealed(button(key))
    assert (await app[1].post(door, params={**query, "nonce": "n2"}, content=body)).status_code == 403
    for inner in (button(key, user="Eve"), button("x" * 64), "<xml><Event>enter_agent</Event></xml>"):
        query, body = sealed(inner)
        assert (await app[1].post(door, params=query, content=body)).status_code == 200
    assert (await one(told))["acknowledged_at"] is None
    query, body = sealed(button(key))
    for _ in range(2):
        assert (await app[1].post(door, params=query, content=body)).status_code == 200
    assert (await one(told))["state"] == "acknowledged"
    echo = ciphers.encrypt(AES_KEY, b"hello", receiver="ww1")
    now = str(int(time.time()))
    signature = ciphers.sha1_signature("cb", now, "n", echo)
    given = {"msg_signature": signature, "timestamp": now, "nonce": "n", "echostr": echo}
    assert (await app[1].get(door, params=given)).text == "hello"
    assert (await app[1].get(f"/cards/{slug}/{new_id()}", params=given)).status_code == 404


async def test_forged_cards_are_told_to_come_later(
    told: Telling, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever tries signatures at a card's door would be answered as often as they like."""
    monkeypatch.setattr(cards, "FORGERIES", Limit(2, 600))
    await told.world.fetch("delete from throttle returning 1")
    new = channel(Medium.WECOM, "http://127.0.0.1:1")
    secret = {**new.secret, "callback_token": "cb", "aes_key": AES_KEY}
    channel_id = await told.channel(msgspec.structs.replace(new, secret=secret))
    slug = await told.world.value("select slug from organisation where id = $1", told.world.org)
    query, body = sealed("<xml/>", token="other")
    statuses = [
        (await app[1].post(f"/cards/{slug}/{channel_id}", params=query, content=body)).status_code
        for _ in range(3)
    ]
    assert statuses == [403, 403, 429]
