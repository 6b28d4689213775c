"""Mails that no mail program writes, and what their senders are told of what did not come in."""

import email.message
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from channel_doors import doors
from mail_post import WHOLE, Post, hooked, letter
from PIL import Image
from worlds import World

from callout_backend.doors import mail as mail_door
from callout_backend.settings import Settings
from callout_store.work import Database
from callout_sync.blobs import Storage


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, "PNG")
    return out.getvalue()


@pytest.fixture
async def post(db: Database, settings: Settings) -> AsyncIterator[Post]:
    storage = Storage(settings.storage_place)
    async with doors(settings, db, mail_door.ROUTES, storage=storage) as http:
        yield await hooked(Post(await World(db).build(phones=1), http, storage))


@pytest.mark.parametrize(
    "head",
    (
        b"References: <a\x00b@x> <\xff\xfe@x>\r\n",
        b"In-Reply-To: <a\x00b@x>\r\n",
        b"Subject: a\x00b\xff\r\n",
        b"Content-Type: application/\xff\x00x; name=a\x00b\r\n",
        b'Content-Disposition: attachment; filename="\xff\x00.exe"\r\n',
    ),
)
async def test_signs_that_no_row_can_hold_do_not_stop_the_mailbox(post: Post, head: bytes) -> None:
    """The mail would be read again at every look and never be stored, and no mail behind it would ever be read."""
    data = b"From: Ann <ann@bay.example>\r\nMessage-ID: <n\x00ul@x>\r\n" + head + b"\r\n" + WHOLE.encode()
    answer = await post.bring(data)
    assert (answer.status_code, answer.json()["new"]) == (202, True)
    assert (await post.bring(data)).json()["new"] is False
    await post.work()
    assert await post.world.value("select state from intake_message where direction = 'in'") == "handled"


async def test_who_sends_what_is_not_taken_is_told(post: Post) -> None:
    """A customer would count on the report that was refused, or on the eleventh picture, and nobody would look for it."""
    message = email.message.EmailMessage()
    message["From"], message["Message-ID"], message["Subject"] = "Ann <ann@bay.example>", "<w1@x>", "Pump"
    message.set_content(WHOLE)
    message.add_attachment(b"PK report", maintype="application", subtype="zip", filename="report.zip")
    for n in range(11):
        message.add_attachment(
            b"%PDF-1.7 " + bytes([n]), maintype="application", subtype="pdf", filename=f"{n}.pdf"
        )
    await post.bring(message.as_bytes())
    await post.work()
    (said,) = await post.answers()
    assert "report.zip" in said
    assert "10 files" in said
    (order,) = await post.orders()
    assert order["number"] in said


async def test_a_picture_may_come_with_two_mails(post: Post) -> None:
    """The same photograph sent with a second fault would be missing there."""
    for n in range(2):
        message = email.message.EmailMessage()
        message["From"], message["Message-ID"] = f"p{n}@bay.example", f"<two{n}@x>"
        message.set_content(WHOLE)
        message.add_attachment(picture(), maintype="image", subtype="png", filename="leak.png")
        await post.bring(message.as_bytes())
    await post.work()
    rows = await post.world.fetch("select order_id, state from intake_file")
    assert [row["state"] for row in rows] == ["stored", "stored"]
    assert all(row["order_id"] is not None for row in rows)


@pytest.mark.parametrize("over", (False, True))
async def test_what_a_customer_writes_to_their_order_is_seen_by_a_person(post: Post, over: bool) -> None:
    """ "It burns now" would stand in a timeline that nobody has open; written to an order that is done, for ever."""
    await post.bring(letter(Message_ID="<o1@x>"))
    await post.work()
    (order,) = await post.orders()
    if over:
        await post.world.value("update work_order set state = 'closed', closed_at = now() returning 1")
    for n in (2, 3):
        await post.bring(letter("It burns now.", Message_ID=f"<o{n}@x>", In_Reply_To="<o1@x>"))
        await post.work()
    ask = "select id, user_id, order_id, data ->> 'text' as text from todo where kind = 'intake.note'"
    (todo,) = await post.world.fetch(ask)
    assert tuple(todo)[1:] == (post.world.dispatcher.user_id, order["id"], "It burns now.")
    await post.world.value("update todo set state = 'done', ended_at = now() returning 1")
    await post.bring(letter("Hello?", Message_ID="<o4@x>", In_Reply_To="<o1@x>"))
    await post.work()
    assert len(await post.world.fetch(ask)) == 2
    handler = await post.world.value(
        "update work_order set handler_id = (select id from app_user where role = 'engineer' limit 1) returning handler_id"
    )
    await post.world.value("update todo set state = 'done', ended_at = now() returning 1")
    await post.bring(letter("Anybody?", Message_ID="<o5@x>", In_Reply_To="<o1@x>"))
    await post.work()
    last = (await post.world.fetch(ask + " order by id"))[-1]
    assert (last["user_id"], handler is not None) == (handler, True)


async def test_an_address_that_no_server_takes_is_given_up_at_once(post: Post, monkeypatch: Any) -> None:
    """A reply address with signs of its own would be tried for days before anybody is asked to call."""
    await post.world.value(
        'update intake_channel set settings = settings || \'{"smtpHost": "127.0.0.1"}\'::jsonb returning 1'
    )
    data = b"From: \xe6\x9d\x8e@\xe4\xbe\x8b.cn\r\nMessage-ID: <odd@x>\r\n\r\n" + WHOLE.encode()
    assert (await post.bring(data)).status_code == 202
    await post.work()

    def refuses(*_: object) -> None:
        raise UnicodeEncodeError("ascii", "x", 0, 1, "no")

    monkeypatch.setattr("callout_backend.jobs.mail_answers._send", refuses)
    await post.work("intake.answer")
    assert await post.world.value("select state from intake_message where direction = 'out'") == "failed"
    assert await post.world.value("select count(*) from todo where kind = 'intake.answer_failed'") == 1


async def test_a_machine_that_says_it_is_none_is_answered_a_few_times_only(post: Post) -> None:
    """A loop with a machine that hides would fill both mailboxes."""
    for n in range(16):
        await post.bring(letter("help", Message_ID=f"<loop-{n}@x>"))
    await post.work()
    assert len(await post.answers()) == 12
