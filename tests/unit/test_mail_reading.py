"""Mails as programs of all kinds write them: what somebody meant, and what is left out."""

import base64
import email.message
from typing import Any

import pytest

from callout_orders.channels.mailbox import mail


def made(body: str = "The pump leaks", *, headers: dict[str, str] | None = None, **more: Any) -> bytes:
    message = email.message.EmailMessage()
    message["From"] = "Ann Lee <Ann@Example.org>"
    message["To"] = "desk@example.org"
    message["Subject"] = "Pump"
    message["Message-ID"] = "<a-1@example.org>"
    for name, value in (headers or {}).items():
        del message[name]
        if value:
            message[name] = value
    message.set_content(body, **more)
    return message.as_bytes()


def raw(head: str, body: bytes) -> bytes:
    return b"From: Ann <ann@example.org>\r\nMessage-ID: <r@x>\r\n" + head.encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("charset", "codec"),
    (("gb2312", "gb18030"), ("gbk", "gb18030"), ("gb18030", "gb18030"), ("utf-8", "utf-8"), ("big5", "big5")),
)
@pytest.mark.parametrize("encoding", ("base64", "quoted-printable", "8bit"))
def test_chinese_in_every_charset_is_read(charset: str, codec: str, encoding: str) -> None:
    """Half of the mails in China say gb2312, and would arrive as rows of question marks."""
    text = "水泵漏水,序列號" if codec == "big5" else "水泵漏水,镕基路 5 号"
    data = text.encode(codec)
    if encoding == "base64":
        data = base64.encodebytes(data)
    elif encoding == "quoted-printable":
        data = "".join(f"={byte:02X}" for byte in data).encode()
    head = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}"
    assert mail.read(raw(head, data)).text == text


def test_names_and_subjects_that_are_encoded_are_read() -> None:
    """An agent would see =?gb2312?B?…?= instead of who writes."""
    name = base64.b64encode("李雷".encode("gbk")).decode()
    subject = base64.b64encode("水泵漏水".encode()).decode()
    head = f"Subject: =?utf-8?B?{subject}?=\r\nReply-To: =?gbk?B?{name}?= <li@example.org>"
    found = mail.read(raw(head, b"x"))
    assert (found.subject, found.reply_to) == ("水泵漏水", "li@example.org")


@pytest.mark.parametrize(
    "tail",
    (
        "\n\nOn Mon, 2 Mar 2026 at 09:00, Desk <desk@example.org> wrote:\n> What is the serial?",
        "\n\nOn Mon, 2 Mar 2026 at 09:00, Desk Of A Very Long Name\n<desk@example.org> wrote:\n> What?",
        "\n\n在 2026年3月2日,Desk <desk@example.org> 写道:\n> 序列号是多少?",
        "\n\n-----Original Message-----\nFrom: Desk\nSent: Monday\nSubject: Re",
        "\n\n------------------ 原始邮件 ------------------\n发件人: Desk\n发送时间: 2026年",
        "\n\nFrom: Desk <desk@example.org>\nSent: Monday\nTo: Ann\nSubject: Re: Pump\n\nWhat?",
        "\n\n-- \nAnn Lee\nBay Laundry",
        "\n\nSent from my iPhone",
        "\n\n发自我的iPhone",
    ),
)
def test_quotes_and_signatures_are_cut_off(tail: str) -> None:
    """The serial number of somebody else's mail below would be taken for the caller's."""
    assert mail.read(made("It is SN-1, thanks." + tail)).text == "It is SN-1, thanks."


def test_a_mail_that_is_only_a_quote_is_not_emptied() -> None:
    """Who writes between the lines would have said nothing."""
    assert "leaks" in mail.read(made("> is it the pump?\n> it leaks")).text


def test_html_is_read_as_text_without_scripts_and_quotes() -> None:
    """Most programs send HTML alone; its scripts and the mail below are not what somebody wrote."""
    html = (
        "<html><head><style>p{color:red}</style></head><body><script>alert(1)</script><p>The pump&nbsp;leaks</p>"
        "<div>Serial <b>SN-1</b><br>thanks</div><blockquote>Serial SN-9</blockquote></body></html>"
    )
    assert mail.read(made(html, subtype="html")).text == "The pump leaks\n\nSerial SN-1\nthanks"


@pytest.mark.parametrize(
    ("headers", "why"),
    (
        ({"Auto-Submitted": "auto-replied"}, "auto_submitted"),
        ({"Auto-Submitted": "auto-generated; x=y"}, "auto_submitted"),
        ({"Precedence": "bulk"}, "bulk"),
        ({"List-Id": "<news.example.org>"}, "list"),
        ({"Return-Path": "<>"}, "bounce"),
        ({"From": "MAILER-DAEMON@example.org"}, "machine_sender"),
        ({"From": "no-reply@example.org"}, "machine_sender"),
        ({"From": ""}, "no_sender"),
        ({"X-Autoreply": "yes"}, "auto_submitted"),
        ({"Auto-Submitted": "no"}, None),
        ({"From": "noreen@example.org"}, None),
    ),
)
def test_machines_are_told_from_people(headers: dict[str, str], why: str | None) -> None:
    """Two machines that answer each other fill a mailbox within an hour."""
    assert mail.read(made(headers=headers)).machine == why


def test_files_are_taken_out_and_logos_are_not() -> None:
    """The picture of the fault would be lost among the icons of the signature."""
    message = email.message.EmailMessage()
    message["From"], message["Message-ID"] = "ann@example.org", "<f@x>"
    message.set_content("see pictures")
    message.add_attachment(b"x" * 9000, maintype="image", subtype="png", filename="../../etc/leak.png")
    message.add_attachment(b"i" * 900, maintype="image", subtype="png", cid="<logo>", disposition="inline")
    for n in range(12):
        message.add_attachment(bytes([n]) * 10, maintype="application", subtype="pdf", filename=f"{n}.pdf")
    found = mail.read(message.as_bytes())
    assert [one.name for one in found.files][:2] == ["leak.png", "0.pdf"]
    assert len(found.files) == mail.FILES_MAX
    assert found.left_out == 3


@pytest.mark.parametrize(
    "data",
    (
        b"",
        b"\x00\xff" * 500,
        b"Subject: =?utf-8?B?broken\r\nFrom: <<<>>>\r\n\r\n\xff\xfe",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n" * 300,
        b"Content-Type: text/plain; charset=no-such\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!",
        b"From: a@b\r\nContent-Type: " + b"a" * 70_000 + b"\r\n\r\nx",
        b"Message-ID: \r\nFrom: \x00\r\n\r\nx",
    ),
)
def test_whatever_comes_something_is_read(data: bytes) -> None:
    """One broken mail would stop the mailbox for all that came after it."""
    found = mail.read(data)
    assert found.message_id.startswith("<")
    assert mail.read(data).message_id == found.message_id


def test_an_answer_stays_in_its_thread_and_says_that_a_machine_wrote_it() -> None:
    """The other side's machine would answer ours, for ever."""
    data = mail.answer(
        sender="desk@example.org",
        to="ann@example.org",
        subject="Pump",
        text="您好",
        message_id="<1@example.org>",
        in_reply_to="<a-1@example.org>",
        references=["<a-0@example.org>"],
    )
    found = mail.read(data)
    assert found.machine == "auto_submitted"
    assert found.references == ("<a-1@example.org>", "<a-0@example.org>")
    assert (found.subject, found.text) == ("Re: Pump", "您好")
