"""Messages of chat accounts over HTTP: who is let in, what becomes of them, and that nothing happens twice."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import chat_calls
import httpx
import pytest
from channel_doors import doors
from chat_calls import CORP, KEY, TOKEN, plain_call, robot_call, safe_call, text_xml
from worlds import World

from callout_backend.doors import chat as chat_door
from callout_backend.jobs import channels as channel_jobs
from callout_backend.jobs.chat_services import ChatServices
from callout_backend.jobs.drain import drain
from callout_backend.settings import Settings
from callout_orders.channels import accounts
from callout_orders.channels.accounts import ChannelInput
from callout_orders.knowledge import articles
from callout_store.work import Database
from callout_sync.blobs import Storage

COMPLETE = "The pump leaks in the cellar, please call Ann at +1 415 555 2671\nSerial: SN-1"


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build(phones=1)


@pytest.fixture(scope="module")
async def client(settings: Settings, db: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with doors(settings, db, chat_door.ROUTES) as http:
        yield http


class Chat:
    """An organisation with three accounts."""

    def __init__(self, world: World, http: httpx.AsyncClient, settings: Settings) -> None:
        self.world, self.http, self.settings = world, http, settings
        self.slug = f"w-{world.org.hex[-20:]}"

    async def build(self, **changes: Any) -> "Chat":
        secrets = {"token": TOKEN, "aesKey": KEY, "appSecret": "SECapp"}
        kinds = {
            "wecom": {"corpId": CORP, "agentId": 7},
            "wechat": {"appId": CORP, "mode": "safe"},
            "dingtalk": {"appKey": CORP, "robotCode": "robot-1"},
        }
        async with self.world.db.work(self.world.org, actor=self.world.dispatcher) as work:
            for kind, options in kinds.items():
                given = {"locale": "en", "default_kind": "service", **changes}
                await accounts.save(
                    work,
                    ChannelInput(code=kind, kind=kind, name=kind, settings=options, secrets=secrets, **given),
                )
            await accounts.save(
                work,
                ChannelInput(
                    code="plain",
                    kind="wechat",
                    name="plain",
                    settings={"appId": CORP, "mode": "plain"},
                    secrets={"token": TOKEN},
                    locale="en",
                    default_kind="service",
                ),
            )
        return self

    async def wecom(self, message: str, code: str = "wecom", **changes: Any) -> httpx.Response:
        query, body = safe_call(message, **changes)
        return await self.http.post(f"/in/{self.slug}/{code}", params=query, content=body)

    async def work(self) -> None:
        """Everything that is owed and that no other service is needed for."""
        handlers = channel_jobs.make_handlers(
            Storage(self.settings.storage_place), ChatServices(), self.settings.base_url
        )
        await drain(self.world.db, {"intake.handle": handlers["intake.handle"]}, only=True)

    async def answers(self) -> list[str]:
        rows = await self.world.fetch(
            "select content ->> 'text' as text from intake_message where direction = 'out' order by id"
        )
        return [row["text"] for row in rows]

    async def count(self, table: str) -> int:
        found: int = await self.world.value(f"select count(*) from {table}")
        return found


@pytest.fixture
async def chat(world: World, client: httpx.AsyncClient, settings: Settings) -> Chat:
    return await Chat(world, client, settings).build()


async def test_the_service_may_ask_whether_the_address_is_ours(chat: Chat) -> None:
    """An admin could not save the callback's address in WeCom's console."""
    stamp, echo = str(int(time.time())), chat_calls.seal("echo-4711")
    query = {"timestamp": stamp, "nonce": "n", "echostr": echo}
    signed = {**query, "msg_signature": chat_calls.sha1(TOKEN, stamp, "n", echo)}
    answer = await chat.http.get(f"/in/{chat.slug}/wecom", params=signed)
    assert (answer.status_code, answer.text) == (200, "echo-4711")
    forged = await chat.http.get(f"/in/{chat.slug}/wecom", params={**signed, "msg_signature": "0" * 40})
    assert (forged.status_code, forged.json()["code"]) == (403, "CALL_FORGED")


async def test_one_complete_message_is_an_order(chat: Chat) -> None:
    """The channel would only collect texts that nobody works on."""
    answer = await chat.wecom(text_xml(COMPLETE, id_="9001"))
    assert (answer.status_code, answer.text) == (200, "")
    await chat.work()
    (order,) = await chat.world.fetch("select id, number, channel, serial, customer_id from work_order")
    assert (order["channel"], order["serial"], order["customer_id"]) == ("chat", "SN-1", chat.world.customer)
    (said,) = await chat.answers()
    assert order["number"] in said
    assert "/t/" in said
    reference = await chat.world.fetch("select system, reference from external_reference")
    assert [tuple(row) for row in reference] == [("wecom", "9001")]


async def test_what_is_missing_is_asked_for_until_nothing_is(chat: Chat) -> None:
    """A customer who forgot the telephone number would be refused, or an order without one would be made."""
    await chat.wecom(text_xml("我们的水泵一直漏水,声音很大"))
    await chat.work()
    (asked,) = await chat.answers()
    assert "联系电话" in asked
    assert await chat.count("work_order") == 0
    await chat.wecom(text_xml("13800138000"))
    await chat.work()
    await chat.wecom(text_xml("序列号:SN-1\n地址:1 Main St\n姓名:李雷\n公司:海湾洗衣"))
    await chat.work()
    assert await chat.count("work_order") == 1
    (order,) = await chat.world.fetch("select description, reporter_phone, number from work_order")
    assert "漏水" in order["description"]
    assert order["reporter_phone"] == "+8613800138000"
    assert order["number"] in (await chat.answers())[-1]


async def test_the_same_call_again_is_answered_as_before(chat: Chat) -> None:
    """Services send again what they got no answer to: two engineers would be called out."""
    query, body = safe_call(text_xml(COMPLETE, id_="9002"))
    first = await chat.http.post(f"/in/{chat.slug}/wecom", params=query, content=body)
    again = await chat.http.post(f"/in/{chat.slug}/wecom", params=query, content=body)
    other = await chat.wecom(text_xml(COMPLETE, id_="9002"))  # the same message under a fresh signature
    assert [one.status_code for one in (first, again, other)] == [200, 200, 200]
    await chat.work()
    assert await chat.count("work_order") == 1
    assert await chat.count("intake_message") == 2  # what was said and what was answered


async def test_a_message_that_many_bring_at_once_is_one(chat: Chat) -> None:
    """Two of our processes that take the same call would make two orders."""
    message = text_xml(COMPLETE, id_="9003")
    answers = await asyncio.gather(*(chat.wecom(message) for _ in range(4)))
    assert {one.status_code for one in answers} == {200}
    await asyncio.gather(*(chat.work() for _ in range(3)))
    assert await chat.count("work_order") == 1
    assert len(await chat.answers()) == 1


@pytest.mark.parametrize(
    "changes",
    (
        {"token": "another"},  # signed with another token
        {"stamp": int(time.time()) - 3600},  # recorded an hour ago
        {"stamp": "not-a-time"},
        {"receiver": "ww-corp-2"},  # for another company
    ),
)
async def test_forged_calls_are_refused(chat: Chat, changes: dict[str, Any]) -> None:
    """Anybody on the internet could write into a customer's name."""
    answer = await chat.wecom(text_xml(COMPLETE), **changes)
    assert (answer.status_code, answer.json()["code"]) == (403, "CALL_FORGED")
    assert await chat.count("intake_message") == 0


async def test_a_signature_does_not_fit_another_body(chat: Chat) -> None:
    """WeChat's plain signature does not cover the body: whoever saw one call could send what they like with it."""
    query, body = plain_call(text_xml("Hello there dear service"))
    address = f"/in/{chat.slug}/plain"
    first = await chat.http.post(address, params=query, content=body)
    assert first.status_code == 200
    other = await chat.http.post(address, params=query, content=text_xml(COMPLETE).encode())
    assert (other.status_code, other.json()["code"]) == (403, "CALL_FORGED")


async def test_an_encrypted_account_takes_nothing_plain(chat: Chat) -> None:
    """Who has the token but not the key could leave the encryption out."""
    query, body = plain_call(text_xml(COMPLETE))
    answer = await chat.http.post(f"/in/{chat.slug}/wechat", params=query, content=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "CALL_FORGED")


async def test_wechat_is_answered_while_it_waits(chat: Chat) -> None:
    """A follower of an official account would wait for the worker, and see that the account is out of order."""
    message = text_xml(COMPLETE, id_="9004")
    answer = await chat.wecom(message, code="wechat")
    assert answer.status_code == 200
    outer = chat_calls.unseal(answer.text.split("<Encrypt><![CDATA[")[1].split("]]>")[0])
    (order,) = await chat.world.fetch("select number from work_order")
    assert order["number"] in outer
    assert "<ToUserName><![CDATA[LiLei]]></ToUserName>" in outer
    again = await chat.wecom(message, code="wechat")
    assert order["number"] in chat_calls.unseal(again.text.split("<Encrypt><![CDATA[")[1].split("]]>")[0])
    assert await chat.count("work_order") == 1
    owed = await chat.world.value("select count(*) from outbox where channel = 'intake.answer'")
    assert owed == 0  # it would be sent a second time


async def test_a_robot_of_dingtalk_is_heard(chat: Chat) -> None:
    """Companies on DingTalk would have no channel."""
    headers, body = robot_call(COMPLETE)
    answer = await chat.http.post(f"/in/{chat.slug}/dingtalk", headers=headers, content=body)
    assert (answer.status_code, answer.content) == (200, b"{}")
    await chat.work()
    assert await chat.count("work_order") == 1
    for secret, stamp in (("SECother", None), ("SECapp", 1_600_000_000_000)):
        headers, body = robot_call(COMPLETE, secret=secret, stamp=stamp)
        refused = await chat.http.post(f"/in/{chat.slug}/dingtalk", headers=headers, content=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "CALL_FORGED")


async def test_entities_in_a_call_are_never_expanded(chat: Chat) -> None:
    """A kilobyte would become a gigabyte in our memory, or a file of ours would be sent away."""
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaaaaaaaaaaaa">]><xml><Encrypt>&a;</Encrypt></xml>'
    query, _ = safe_call("x")
    answer = await chat.http.post(f"/in/{chat.slug}/wecom", params=query, content=bomb.encode())
    assert (answer.status_code, answer.json()["code"]) == (400, "CALL_UNREADABLE")
    inside = await chat.wecom(f"<!DOCTYPE x [<!ENTITY a 'b'>]>{text_xml('&a;')}")
    assert (inside.status_code, inside.json()["code"]) == (400, "CALL_UNREADABLE")


async def test_words_of_the_menu(chat: Chat) -> None:
    """A customer could neither see their orders nor reach a person."""
    await chat.wecom(text_xml(COMPLETE))
    await chat.work()
    for word in ("status", "help", "人工"):
        await chat.wecom(text_xml(word))
        await chat.work()
    _, status, help_, agent = await chat.answers()
    assert "WO-" in status
    assert "status" in help_
    assert agent
    assert await chat.count("work_order") == 1
    todo = await chat.world.fetch("select user_id, kind, urgent from todo where kind = 'intake.agent_wanted'")
    assert [tuple(row) for row in todo] == [(chat.world.dispatcher.user_id, "intake.agent_wanted", True)]


async def test_unknown_accounts_are_not_there(chat: Chat) -> None:
    """The address of an account of another organisation must tell nothing."""
    for address in (f"/in/{chat.slug}/nowhere", "/in/no-such-house/wecom", "/in/%00/x"):
        assert (await chat.http.post(address, content=b"<xml/>")).status_code == 404


@pytest.mark.parametrize(("word", "state", "priority"), (("solved", "closed", "P2"), ("没解决", "new", "P1")))
async def test_an_answer_that_helped_closes_the_question(
    chat: Chat, word: str, state: str, priority: str
) -> None:
    """A question that is settled would stay in the queue, or one that is not would go to nobody."""
    async with chat.world.db.work(chat.world.org, actor=chat.world.dispatcher) as work:
        await articles.save_article(
            work,
            articles.ArticleText(
                title="Changing the filter", body="Turn it to the left.", locale="en", for_customers=True
            ),
        )
    asked = "How do I change the filter, please call +1 415 555 2671\nSerial: SN-1"
    await chat.wecom(text_xml(asked))
    await chat.work()
    told = (await chat.answers())[0]
    assert "Turn it to the left" in told
    # The whole answer, with its pictures and links, is on a page of its own, named before what may be cut off.
    assert 0 < told.index("/a/") < told.index("Turn it to the left")
    await chat.wecom(text_xml(word))
    await chat.work()
    row = (await chat.world.fetch("select state, priority from work_order"))[0]
    assert tuple(row) == (state, priority)
