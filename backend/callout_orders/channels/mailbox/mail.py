"""A mail, from its bytes to what somebody wrote: charsets, HTML, quotes and signatures, files. No I/O.

Read with the standard library's modern policy. Whatever a mail is made of, something comes of it: what cannot be decoded is
replaced, what is too deep or too much is left out and said so.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Sequence
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser, BytesParser
from typing import Any, Final, cast

import msgspec

from callout_orders.channels.mailbox import mail_text
from callout_orders.channels.terms import TEXT_CHARS_MAX, Inbound

PARTS_MAX: Final = 200
LINES_MAX: Final = 500_000
"""Lines of a mail that are read: 25 MB of files are 350,000, and each of them is held for itself."""
MARKS_MAX: Final = 2_000
"""Lines that may begin a part."""
HEADER_CHARS_MAX: Final = 2_000
"""Of one header. Reading takes the square of its length."""
FILES_MAX: Final = 10
MAIL_BYTES_MAX: Final = 25 * 1024 * 1024
HEAD_BYTES_MAX: Final = 64 * 1024
INLINE_IMAGE_BYTES_MIN: Final = 5_000
"""Smaller pictures inside of the text are logos and lines of signatures."""
_CHARSETS: Final = ("utf-8", "gb18030", "latin-1")
_ALIASES: Final = {"gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "gb_2312-80": "gb18030"}
"""Senders say gb2312 and write characters that only its larger kin has."""
_NO_CHARSETS: Final = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined"})
"""Codecs that no mail is written in; decoding a few megabytes by the first takes hours."""
_MESSAGE_ID: Final = re.compile(r"<[^<>\s]{1,500}>")
_MACHINES: Final = re.compile(
    r"^(?:mailer-daemon|postmaster|no-?reply|do-?not-?reply|bounces?)(?:[+\-.@]|$)", re.I
)


class _Policy(policy.EmailPolicy):
    """Headers cut at what is ever looked at."""

    def header_source_parse(self, sourcelines: Sequence[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(list(sourcelines))
        return name, value[:HEADER_CHARS_MAX]


_POLICY: Final = _Policy()


class MailFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a mail, decoded."""

    name: str
    media_type: str
    data: bytes


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as it was understood. `machine`: why it must not be answered, where a machine sent it.

    `references` are the ids of earlier mails of its thread, nearest first. `left_out`: files beyond the limits.
    """

    message_id: str
    sender: str
    sender_name: str | None
    subject: str
    text: str
    references: tuple[str, ...] = ()
    reply_to: str | None = None
    machine: str | None = None
    files: tuple[MailFile, ...] = ()
    left_out: int = 0


def read(data: bytes) -> Mail:
    """The whole mail."""
    within = _cut(_cut(data, b"\n", LINES_MAX), b"\n--", MARKS_MAX)
    message = BytesParser(policy=_POLICY).parsebytes(within)
    head = _head(message, data)
    plain: list[str] = []
    html: list[str] = []
    found: list[MailFile] = []
    left_out = 1 if len(within) < len(data) else 0
    for n, part in enumerate(message.walk()):
        if n >= PARTS_MAX:
            left_out += 1
            break
        if part.is_multipart():
            continue
        kind = part.get_content_type()
        named = _name(part)
        if (
            kind in ("text/plain", "text/html")
            and part.get_content_disposition() != "attachment"
            and not named
        ):
            (plain if kind == "text/plain" else html).append(_text(part))
            continue
        payload = _payload(part)
        inline = part.get_content_disposition() != "attachment" and part.get("Content-ID") is not None
        if not payload or (inline and kind.startswith("image/") and len(payload) < INLINE_IMAGE_BYTES_MIN):
            continue
        if len(found) >= FILES_MAX:
            left_out += 1
            continue
        found.append(MailFile(name=named or "", media_type=kind, data=payload))
    body = "\n".join(plain).strip() or mail_text.from_html("\n".join(html))
    return msgspec.structs.replace(
        head,
        text=mail_text.own_words(body)[:TEXT_CHARS_MAX],
        files=tuple(found),
        left_out=left_out,
    )


def _cut(data: bytes, mark: bytes, count_max: int) -> bytes:
    """The data up to its mark after so many. Of a mail of a million parts, or of empty lines, the parser makes gigabytes."""
    if data.count(mark) <= count_max:
        return data
    at = -1
    for _ in range(count_max + 1):
        at = data.index(mark, at + 1)
    return data[:at]


def read_head(data: bytes) -> Mail:
    """What the headers alone say, of a mail whose body is not read."""
    return _head(BytesHeaderParser(policy=_POLICY).parsebytes(data[:HEAD_BYTES_MAX]), data)


def inbound(mail: Mail, *, too_large_bytes: int | None = None) -> Inbound:
    """The mail as a message of its channel. Its thread is the first mail that it goes back to, itself where there is none.

    `too_large_bytes`: its size, where it was not read.
    """
    reply: dict[str, Any] = {
        "subject": mail.subject,
        "messageId": mail.message_id,
        "references": list(mail.references[:20]),
    }
    if mail.machine is not None:
        reply["machine"] = mail.machine
    if too_large_bytes is not None:
        reply["tooLarge"] = too_large_bytes
    if mail.left_out:
        reply["leftOut"] = mail.left_out
    return Inbound(
        external_id=mail.message_id,
        peer=mail.reply_to or mail.sender,
        kind="text",
        text=mail.text,
        name=mail.sender_name,
        thread=mail.references[-1] if mail.references else mail.message_id,
        reply=reply,
    )


def _head(message: Message[str, str], data: bytes) -> Mail:
    sender, name = _address(message, "From")
    reply_to, _ = _address(message, "Reply-To")
    found = _MESSAGE_ID.search(_header(message, "Message-ID"))
    # A mail without an id is known by what its head says.
    message_id = found[0] if found else f"<{hashlib.sha256(data[:HEAD_BYTES_MAX]).hexdigest()}@no-id>"
    nearest = _MESSAGE_ID.findall(_header(message, "In-Reply-To"))
    older = _MESSAGE_ID.findall(_header(message, "References"))
    references = tuple(dict.fromkeys([*nearest, *reversed(older)]))
    return Mail(
        message_id=message_id,
        sender=sender or "",
        sender_name=name,
        subject=" ".join(_header(message, "Subject").split())[:300],
        text="",
        references=references,
        reply_to=reply_to if reply_to != sender else None,
        machine=_machine(message, sender),
    )


def _machine(message: Message[str, str], sender: str | None) -> str | None:
    """Why nobody would read an answer to this: RFC 3834 and what senders do in practice. None for a person's mail."""
    if not sender:
        return "no_sender"
    if _header(message, "Auto-Submitted").lower().partition(";")[0].strip() not in ("", "no"):
        return "auto_submitted"
    if message.get_content_type() == "multipart/report" or _header(message, "Return-Path").strip() == "<>":
        return "bounce"
    if _header(message, "Precedence").strip().lower() in ("bulk", "junk", "list", "auto_reply"):
        return "bulk"
    if message.get("List-Id") is not None or message.get("List-Unsubscribe") is not None:
        return "list"
    if message.get("X-Autoreply") is not None or message.get("X-Autorespond") is not None:
        return "auto_submitted"
    if _MACHINES.match(sender):
        return "machine_sender"
    return None


def _header(message: Message[str, str], name: str) -> str:
    try:
        value = message.get(name)
        return "" if value is None else str(value)
    except Exception:  # The parser of headers fails in many ways on what no mail program wrote.
        return ""


def _address(message: Message[str, str], name: str) -> tuple[str | None, str | None]:
    try:
        header = cast(Any, message.get(name))
        addresses: tuple[Address, ...] = header.addresses if header is not None else ()
    except Exception:  # As above.
        return None, None
    for one in addresses:
        spec = one.addr_spec.strip().lower()
        if re.fullmatch(r"[^\s@<>]+@[^\s@<>]+", spec) and len(spec) <= 254:
            return spec, (one.display_name.strip()[:200] or None)
    return None, None


def _name(part: Message[str, str]) -> str | None:
    try:
        name = part.get_filename()
    except Exception:  # As above.
        return "file"
    return None if name is None else name.replace("\\", "/").rpartition("/")[2][:200]


def _payload(part: Message[str, str]) -> bytes:
    try:
        found = part.get_payload(decode=True)
    except Exception:  # Broken Base64, an encoding that nobody knows.
        return b""
    return found if isinstance(found, bytes) else b""


def _text(part: Message[str, str]) -> str:
    """The part's text, in whatever charset it really is."""
    data = _payload(part)
    said = str(part.get_content_charset() or "").lower()
    for charset in (_ALIASES.get(said, said), *_CHARSETS):
        try:
            if codecs.lookup(charset).name.replace("_", "-") not in _NO_CHARSETS:
                return data.decode(charset)
        except (UnicodeDecodeError, LookupError, ValueError):
            continue
    return data.decode("utf-8", "replace")


def answer(
    *,
    sender: str,
    to: str,
    subject: str,
    text: str,
    message_id: str,
    in_reply_to: str | None,
    references: list[str],
) -> bytes:
    """An answer as bytes: in the mail's thread, and marked so that no machine answers it (RFC 3834)."""
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"] = sender
    mail["To"] = to
    bare = " ".join(subject.split())[:200]
    mail["Subject"] = bare if bare.lower().startswith("re:") else f"Re: {bare}"
    mail["Message-ID"] = message_id
    if in_reply_to:
        mail["In-Reply-To"] = in_reply_to
        mail["References"] = " ".join([*reversed(references[:20]), in_reply_to])
    mail["Auto-Submitted"] = "auto-replied"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(text)
    return mail.as_bytes()
