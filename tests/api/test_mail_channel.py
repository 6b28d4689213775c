"""Mails as a channel: by a real mailbox over IMAP and by the signed door, with all that goes wrong with mails."""

import asyncio
import email.message
import hashlib
import hmac
import time
import tracemalloc
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import httpx
import pytest
from aiosmtpd.smtp import SMTP
from channel_doors import doors
from mail_post import SECRET, WHOLE, Post, hooked, letter
from small_imap import SmallImap
from worlds import World

from callout_backend.doors import mail as mail_door
from callout_backend.settings import Settings
from callout_orders import customers
from callout_orders.channels.mailbox import mail
from callout_orders.customers import NewContact
from callout_people.throttle import Limit
from callout_store.work import Database
from callout_sync.blobs import Storage


@pytest.fixture(scope="module")
def storage(settings: Settings) -> Storage:
    return Storage(settings.storage_place)


@pytest.fixture(scope="module")
async def http(settings: Settings, db: Database, storage: Storage) -> AsyncIterator[httpx.AsyncClient]:
    async with doors(settings, db, mail_door.ROUTES, storage=storage) as client:
        yield client


@pytest.fixture
async def post(db: Database, http: httpx.AsyncClient, storage: Storage) -> Post:
    return Post(await World(db).build(phones=1), http, storage)


async def polled(post: Post, server: SmallImap, **more: Any) -> Post:
    settings = {"imapHost": "127.0.0.1", "imapPort": server.port, "imapTls": "none", **more}
    return await post.open(settings, imapPassword=server.password)


async def look(post: Post) -> None:
    """What the mailbox's timer does, now."""
    await post.world.value(
        "update timer set due_at = now(), state = 'armed', epoch = epoch + 1 where channel = 'mail.poll' returning 1"
    )
    await post.work("mail.poll")
    await post.work()


async def test_a_mail_is_an_order_with_its_picture(post: Post) -> None:
    """Companies that write mails would have to telephone."""
    await hooked(post)
    message = email.message.EmailMessage()
    message["From"], message["Message-ID"], message["Subject"] = "Ann <ann@bay.example>", "<9@x>", "Pump"
    message.set_content(WHOLE)
    message.add_attachment(b"%PDF-1.7 report", maintype="application", subtype="pdf", filename="report.pdf")
    message.add_attachment(b"MZ" + bytes(50), maintype="application", subtype="x-dosexec", filename="run.exe")
    answer = await post.bring(message.as_bytes())
    assert (answer.status_code, answer.json()["new"]) == (202, True)
    await post.work()
    (order,) = await post.orders()
    assert (order["channel"], order["serial"]) == ("email", "SN-1")
    files = await post.world.fetch("select name, state, order_id from intake_file order by name")
    assert [(one["name"], one["state"], one["order_id"]) for one in files] == [
        ("report.pdf", "stored", order["id"]),
        ("run.exe", "refused", order["id"]),
    ]
    (said,) = await post.answers()
    assert order["number"] in said


async def test_the_same_mail_twice_is_one_order(post: Post) -> None:
    """Mail servers deliver twice what they are not sure of."""
    await hooked(post)
    first, again = await post.bring(letter()), await post.bring(letter(WHOLE + "\nagain"))
    assert first.json()["id"] == again.json()["id"]
    assert again.json()["new"] is False
    await post.work()
    assert len(await post.orders()) == 1


@pytest.mark.parametrize("wrong", ({"secret": "another"}, {"stamp": 1_600_000_000}))
async def test_forged_mails_are_refused(post: Post, wrong: dict[str, Any]) -> None:
    """Anybody could bring mails in anybody's name."""
    await hooked(post)
    answer = await post.bring(letter(), **wrong)
    assert (answer.status_code, answer.json()["code"]) == (403, "CALL_FORGED")
    assert await post.world.value("select count(*) from intake_message") == 0


@pytest.mark.parametrize("header", ("", "t=1600000000,v1=" + "0" * 64, "v1=x"))
async def test_what_cannot_be_genuine_is_not_read(post: Post, header: str) -> None:
    """Anybody could have us read, and hash, sixty megabytes a call for nothing."""
    await hooked(post)
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield bytes(10_000)

    answer = await post.http.post(
        f"/mail/{post.slug}/desk", content=body(), headers={"Callout-Signature": header}
    )
    assert answer.status_code == 403
    assert read < 10


async def test_who_forged_too_often_is_not_read_any_more(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred forged calls a second, each of full length, would keep a process busy for ever."""
    monkeypatch.setattr(mail_door, "FORGERIES", Limit(1, 600))
    await post.world.fetch("delete from throttle returning 1")
    await hooked(post)
    statuses = [(await post.bring(letter(), secret="another")).status_code for _ in range(3)]
    assert statuses == [403, 429, 429]
    await post.world.fetch("delete from throttle returning 1")
    assert (await post.bring(letter())).status_code == 202


async def test_what_is_missing_is_asked_for_in_the_thread(post: Post) -> None:
    """A second mail with the serial alone would be a second, empty request."""
    await hooked(post)
    await post.bring(
        letter("Please help, the pump in the cellar leaks and is very loud", Message_ID="<q1@x>")
    )
    await post.work()
    (asked,) = await post.world.fetch(
        "select id, content ->> 'text' as text from intake_message where direction = 'out'"
    )
    reply = f"<{asked['id']}@example.org>"
    await post.bring(
        letter(
            f"Serial: SN-1\nPhone: +1 415 555 2671\n\nOn Monday, Desk wrote:\n> {asked['text']}",
            Message_ID="<q2@x>",
            In_Reply_To=reply,
            Subject="Re: Pump leaks",
        )
    )
    await post.work()
    (order,) = await post.orders()
    assert "very loud" in order["description"]
    assert "Desk wrote" not in order["description"]
    assert order["serial"] == "SN-1"


async def test_a_reply_to_an_order_is_a_note_of_its_own_people_only(post: Post) -> None:
    """An outsider who guesses a number could write into other people's orders."""
    await hooked(post)
    async with post.world.db.work(post.world.org) as work:
        await customers.create_contact(
            work, NewContact(customer_id=post.world.customer, name="Bo", email="bo@bay.example")
        )
    order = await post.world.order()
    number = await post.world.value("select number from work_order where id = $1", order)
    await post.bring(
        letter("It got worse.", sender="bo@bay.example", Message_ID="<n1@x>", Subject=f"Re: {number}")
    )
    await post.bring(
        letter("Let me in.", sender="eve@evil.example", Message_ID="<n2@x>", Subject=f"Re: {number}")
    )
    await post.work()
    notes = await post.world.fetch(
        "select data ->> 'text' as text from journal where kind = 'work_order.note_added' and order_id = $1",
        order,
    )
    assert [one["text"] for one in notes] == ["It got worse."]


@pytest.mark.parametrize(
    "headers",
    (
        {"Auto_Submitted": "auto-replied"},
        {"Precedence": "list"},
        {"Return_Path": "<>"},
    ),
)
async def test_machines_are_never_answered(post: Post, headers: dict[str, str]) -> None:
    """An out-of-office note would be answered, and answer."""
    await hooked(post)
    await post.bring(letter(**headers))
    await post.work()
    assert await post.answers() == []
    assert await post.orders() == []
    assert await post.world.value("select state from intake_message") == "ignored"


async def test_a_mail_of_thirty_megabytes_is_told_the_limit(post: Post) -> None:
    """Its sender would wait for an answer that never comes, or our memory would be theirs."""
    await hooked(post)
    data = letter("x\n" + "y" * 76 + "\n") + (b"z" * 76 + b"\r\n") * 400_000
    assert len(data) > 30_000_000
    at = int(time.time())
    mac = hmac.new(SECRET.encode(), f"{at}.".encode() + data, hashlib.sha256).hexdigest()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 256 * 1024):
            yield data[start : start + 256 * 1024]

    tracemalloc.start()
    answer = await post.http.post(
        f"/mail/{post.slug}/desk", content=chunks(), headers={"Callout-Signature": f"t={at},v1={mac}"}
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer.status_code, answer.json()["tooLarge"]) == (202, True)
    # What is held is once as much as a mail may be, and the test's own stream; never the mail twice.
    assert peak < 2 * mail.MAIL_BYTES_MAX
    await post.work()
    (said,) = await post.answers()
    assert "25 MB" in said
    kept = await post.world.fetch(
        "select octet_length(raw_bytes) as n, size_bytes from intake_message where direction = 'in'"
    )
    assert kept[0]["n"] <= mail.HEAD_BYTES_MAX
    assert kept[0]["size_bytes"] == len(data)
    assert await post.orders() == []


async def test_a_mailbox_is_read_once_and_further(post: Post) -> None:
    """Every look would read all mails again, or miss those that came in between."""
    async with SmallImap() as server:
        server.put(letter(Message_ID="<i1@x>"))
        await polled(post, server)
        await look(post)
        assert len(await post.orders()) == 1
        read = server.sent_bytes
        await look(post)
        assert server.sent_bytes == read
        server.put(letter("Another one. " + WHOLE, Message_ID="<i2@x>", sender="cy@bay.example"))
        await look(post)
        rows = await post.world.fetch(
            "select external_id from intake_message where direction = 'in' order by id"
        )
        assert [row["external_id"] for row in rows] == ["<i1@x>", "<i2@x>"]
        assert not any(
            "STORE" in line or "SELECT" in line for line in server.asked
        )  # nothing is marked as read


async def test_a_mailbox_that_was_made_anew_makes_no_second_orders(post: Post) -> None:
    """After a mailbox was restored from a copy, every old mail would call an engineer out."""
    async with SmallImap() as server:
        server.put(letter(Message_ID="<v1@x>"))
        await polled(post, server)
        await look(post)
        server.uid_validity = 8
        server.mails = [(500, server.mails[0][1])]
        server.put(letter(Message_ID="<v2@x>", sender="cy@bay.example"))
        await look(post)
        count = await post.world.value("select count(*) from intake_message where direction = 'in'")
        assert count == 2
        row = (await post.world.fetch("select uid_validity, last_uid from intake_mailbox"))[0]
        assert tuple(row) == (8, 501)


async def test_a_mailbox_full_of_old_mails_makes_no_orders_of_them(post: Post) -> None:
    """On the day on which a company connects its mailbox, years of settled mails would come in as new orders."""
    async with SmallImap() as server:
        for n in range(3):
            uid = server.put(letter(Message_ID=f"<old{n}@x>"))
            server.came[uid] = date(2024, 1, 1)
        await polled(post, server)
        await look(post)
        assert await post.world.value("select count(*) from intake_message") == 0
        server.put(letter(Message_ID="<new@x>"))
        await look(post)
        assert await post.world.value("select count(*) from intake_message where direction = 'in'") == 1


async def test_a_large_mail_in_a_mailbox_is_never_fetched_whole(post: Post) -> None:
    """One film sent by mail would stop the worker that reads it."""
    async with SmallImap() as server:
        uid = server.put(letter("x" * 200_000, Message_ID="<big@x>"))
        server.say_size[uid] = 30_000_000
        await polled(post, server)
        await look(post)
        assert server.sent_bytes < 10_000
        (said,) = await post.answers()
        assert "25 MB" in said


async def test_a_mailbox_that_is_away_is_tried_again_and_then_told(post: Post) -> None:
    """A password that was changed would mean that mails are read by nobody, for weeks."""
    async with SmallImap() as server:
        server.put(letter(Message_ID="<w1@x>"))
        server.refuse_login = True
        await polled(post, server)
        await look(post)
        row = (await post.world.fetch("select failed_since, last_error from intake_mailbox"))[0]
        assert "sign-in" in row["last_error"]
        assert server.password not in row["last_error"]
        assert await post.world.value("select count(*) from todo") == 0
        await post.world.value(
            "update intake_mailbox set failed_since = failed_since - interval '2 hours' returning 1"
        )
        await look(post)
        assert await post.world.value("select count(*) from todo where kind = 'intake.mailbox_failed'") == 1
        assert await post.world.value("select state from timer where channel = 'mail.poll'") == "armed"
        server.refuse_login = False
        await look(post)
        assert len(await post.orders()) == 1
        assert await post.world.value("select failed_since from intake_mailbox") is None


async def test_a_line_that_is_cut_loses_nothing(post: Post) -> None:
    """Mails behind the one at which the line was cut would never be read."""
    async with SmallImap() as server:
        for n in range(3):
            server.put(letter(Message_ID=f"<c{n}@x>", sender=f"p{n}@bay.example"))
        server.cut_after = 1
        await polled(post, server)
        await look(post)
        server.cut_after = None
        await look(post)
        count = await post.world.value("select count(*) from intake_message where direction = 'in'")
        assert count == 3


class Inbox:
    """What a mail server was given."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:
        self.mails.append(envelope.content)
        return "250 OK"


async def test_answers_leave_by_smtp_in_their_thread(post: Post) -> None:
    """The answer would stand somewhere else than the mail that it answers, or nowhere."""
    inbox = Inbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(inbox), "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        await post.open({"smtpHost": "127.0.0.1", "smtpPort": port, "smtpTls": "none"}, webhookSecret=SECRET)
        await post.bring(letter(Message_ID="<s1@x>"))
        await post.work()
        await post.work("intake.answer")
        await post.work("intake.answer")
    finally:
        server.close()
    (sent,) = inbox.mails
    found = mail.read(sent)
    assert found.references[0] == "<s1@x>"
    assert found.machine == "auto_submitted"
    (order,) = await post.orders()
    assert order["number"] in found.text
    assert await post.world.value("select state from intake_message where direction = 'out'") == "sent"


async def test_an_answer_that_cannot_be_sent_is_seen_by_a_person(post: Post) -> None:
    """The customer would wait, and nobody would know."""
    await hooked(post)  # no smtpHost: nothing can be sent
    await post.bring(letter(Message_ID="<t1@x>"))
    await post.work()
    await post.work("intake.answer")
    assert await post.world.value("select state from intake_message where direction = 'out'") == "failed"
    assert await post.world.value("select count(*) from todo where kind = 'intake.answer_failed'") == 1


async def test_a_mailbox_in_our_own_network_is_not_called(post: Post) -> None:
    """An organisation's admin could have the worker knock on every port of our network, and read what answers."""
    inbox = Inbox()
    smtp = await asyncio.get_running_loop().create_server(lambda: SMTP(inbox), "127.0.0.1", 0)
    try:
        async with SmallImap() as server:
            server.put(letter(Message_ID="<p1@x>"))
            post.private_allowed = False
            port = smtp.sockets[0].getsockname()[1]
            await polled(post, server, smtpHost="localhost", smtpPort=port, smtpTls="none")
            await look(post)
            assert server.asked == []
            row = (await post.world.fetch("select last_error from intake_mailbox"))[0]
            assert "private network" in row["last_error"]
            post.private_allowed = True
            await look(post)
            post.private_allowed = False
            await post.work("intake.answer")
            assert inbox.mails == []
            state = "select state from intake_message where direction = 'out'"
            assert await post.world.value(state) == "failed"
    finally:
        smtp.close()
