"""Everything that Apprise knows: mail, Twilio's SMS and calls, FCM, web push, and a hundred others by their address.

Apprise writes the request; it says afterwards only whether it worked. What a queue must know beside that (was it refused or
not reached, when may it be tried again, may it have arrived) is heard at its `requests`: the plugin's modules get ours
(`heard`), which passes everything on, follows no redirect, calls no private address, and remembers the answer. Of mail, the
server's code stands in what the plugin logs. Apprise's log stays within this module: it holds addresses with passwords.

Apprise waits 5.5 s between two sends of one object; ours have their own buckets, so it is told not to.
"""

import asyncio
import contextvars
import logging
import re
import smtplib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import apprise
import msgspec
import requests
from apprise.plugins.base import NotifyBase

from callout_backend.notify.adapter import Adapter, Parcel
from callout_backend.notify.heard import HEARD, Heard, Requests, Smtplib
from callout_backend.notify.wire import THROTTLE_S, TIMEOUT_S, Answer, code_of, judge
from callout_orders.notices.sending.outgoing import Outcome
from callout_orders.notices.terms import HTML

SCHEMAS: Final[Mapping[str, frozenset[str]]] = {
    "email": frozenset({"mailto", "mailtos", "sendgrid", "mailgun", "ses", "sparkpost", "brevo", "resend"}),
    "sms": frozenset({"twilio", "vonage", "sns", "clicksend", "sinch", "plivo", "d7sms", "seven", "africas"}),
    "voice": frozenset({"twilio", "clicksend", "seven"}),
    "push": frozenset({"fcm", "pover", "ntfy", "ntfys", "gotify", "gotifys", "bark", "barks"}),
    "web_push": frozenset({"vapid"}),
}
"""What may carry which medium; not the ones that write to this machine itself (syslog, dbus, files)."""
FILES: Final = frozenset({"keyfile", "subfile", "vapid", "attach", "pgpkey", "pgp", "template"})
"""Parameters that name files of this machine; key and subscription come as texts of the secret instead."""
TO: Final = "{to}"
TOKENS: Final = frozenset({"push", "web_push"})
"""Their readers' addresses end with the app or the browser: its service then knows them no more (404, 410)."""
THREADS: Final = 8
_SMTP_CODE: Final = re.compile(r"\b([45])\d\d\b")
_SMTP_LOST: Final = re.compile(r"timed out|unexpectedly closed|reset by peer", re.IGNORECASE)
_POOL: Final = ThreadPoolExecutor(THREADS, thread_name_prefix="apprise")


class _Ears(logging.Handler):
    """Apprise's log, for the send that is under way in this context."""

    def emit(self, record: logging.LogRecord) -> None:
        """Remember a line."""
        heard = HEARD.get()
        if heard is not None and len(heard.said) < 50:
            heard.said.append(record.getMessage()[:300])


def _prepare() -> None:
    """Once a process: no pause between sends, and Apprise's log to us alone."""
    NotifyBase.request_rate_per_sec = 0
    log = logging.getLogger("apprise")
    if not any(isinstance(one, _Ears) for one in log.handlers):
        log.addHandler(_Ears())
        log.setLevel(logging.DEBUG)
        log.propagate = False


_prepare()
_SHIMS: Final[Mapping[str, tuple[Any, Any]]] = {
    "requests": (requests, Requests()),
    "smtplib": (smtplib, Smtplib()),
}


class BadAddress(ValueError):
    """An Apprise address that cannot be used; says why."""


class ByApprise(Adapter):
    """One channel behind Apprise. `url` holds `{to}` where the reader's address belongs."""

    def __init__(self, secret: Mapping[str, str], medium: str, *, private_allowed: bool = False) -> None:
        self.secret, self.medium, self.private_allowed = secret, medium, private_allowed

    async def send(self, parcel: Parcel) -> Outcome:
        """Send once, in a thread: Apprise's plugins block."""
        doing = _POOL.submit(contextvars.copy_context().run, self._send, parcel)
        try:
            async with asyncio.timeout(TIMEOUT_S * 2):
                return await asyncio.shield(asyncio.wrap_future(doing))
        except TimeoutError:
            # One that no thread has begun never goes; one that is under way cannot be stopped.
            if doing.cancel():
                return Outcome(kind="away", error="other messages take too long")
            return Outcome(kind="unsure", error="no answer in time")

    def _send(self, parcel: Parcel) -> Outcome:
        heard = Heard(self.private_allowed)
        HEARD.set(heard)
        try:
            with _files(self.secret, parcel) as files:
                plugin = make(self.secret["url"], self.medium, parcel.address, files)
                _listen_to(plugin)
                html = parcel.medium in HTML
                taken = plugin.notify(
                    title=parcel.subject,
                    body=parcel.body,
                    body_format=apprise.NotifyFormat.HTML if html else apprise.NotifyFormat.TEXT,
                )
        except BadAddress as fault:
            return Outcome(kind="refused", error=str(fault))
        found = outcome_of(bool(taken), heard.answer, heard.outcome, heard.said)
        gone = self.medium in TOKENS and heard.answer is not None and heard.answer.status in (404, 410)
        return msgspec.structs.replace(found, nobody=gone and found.kind == "refused")


def outcome_of(taken: bool, answer: Answer | None, outcome: Outcome | None, said: list[str]) -> Outcome:
    """What became of a message, from what the plugin said and what was heard."""
    if taken:
        # Some answer errors in a 200 body; the plugin calls it a success all the same.
        if answer is not None and code_of(answer.body) not in (None, 0) and "errcode" in (answer.body or {}):
            return judge(answer)
        return Outcome(kind="delivered", provider_ref=_reference(answer))
    if outcome is not None:
        return outcome
    if answer is not None:
        found = judge(answer, code_needed=False)
        if found.kind != "delivered":
            return found
        return Outcome(kind="refused", error=f"answered {answer.status}, and Apprise calls it a failure")
    text = " ".join(said)
    code = _SMTP_CODE.search(" ".join(line for line in said if "Exception" in line or "refused" in line))
    if code is not None and code[1] == "5":
        return Outcome(kind="refused", error="the mail server refused it for good")
    if code is not None:
        return Outcome(kind="away", error="the mail server refused it for the moment", after_s=THROTTLE_S)
    if _SMTP_LOST.search(text):
        return Outcome(kind="unsure", error="the mail server did not answer")
    return Outcome(kind="away", error="Apprise could not send it")


def why_not(url: str, medium: str) -> str | None:
    """What is wrong with an Apprise address for this medium; None where nothing is."""
    try:
        make(url, medium, "+8613800138000" if medium in ("sms", "voice") else "a@example.org", {})
    except BadAddress as fault:
        return str(fault)
    return None


def make(url: str, medium: str, to: str, files: Mapping[str, str]) -> Any:
    """The plugin for one reader."""
    scheme = url.partition("://")[0].lower()
    if scheme not in SCHEMAS.get(medium, frozenset()):
        allowed = ", ".join(sorted(SCHEMAS.get(medium, frozenset())))
        raise BadAddress(f"{scheme or 'nothing'}:// does not carry {medium}; there are: {allowed}")
    if FILES & {name.lower() for name in parse_qs(urlsplit(url).query, keep_blank_values=True)}:
        raise BadAddress("an address may not name files of this machine")
    if TO not in url and medium != "web_push":
        # Apprise would send a mail without a reader to the account that sends it, and call that delivered.
        raise BadAddress(f"it names no {TO}, where the reader's address belongs")
    filled = url.replace(TO, quote(to, safe=""))
    for name, path in files.items():
        filled += f"{'&' if '?' in filled else '?'}{name}={quote(path, safe='')}"
    plugin = apprise.Apprise.instantiate(filled, suppress_exceptions=True)
    if plugin is None:
        raise BadAddress("Apprise cannot read the address")
    return plugin


@contextmanager
def _files(secret: Mapping[str, str], parcel: Parcel) -> Iterator[dict[str, str]]:
    """Key and subscription as files that live as long as the send: plugins read nothing else."""
    texts = {}
    if secret.get("keyfile"):
        texts["keyfile"] = secret["keyfile"]
    if parcel.medium == "web_push":
        try:
            texts["subfile"] = msgspec.json.encode({"reader": msgspec.json.decode(parcel.address)}).decode()
        except msgspec.DecodeError:
            raise BadAddress("the reader's web-push subscription cannot be read") from None
    if not texts:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="callout-key-") as folder:
        paths = {}
        for name, text in texts.items():
            path = Path(folder) / f"{name}.{'pem' if text.startswith('-----') else 'json'}"
            path.touch(mode=0o600)
            path.write_text(text, "utf-8")
            paths[name] = str(path)
        yield paths


def _listen_to(plugin: Any) -> None:
    """Give all modules of the plugin our `requests` and `smtplib`: also those beside it, which fetch its tokens."""
    packages = {
        ".".join(cls.__module__.split(".")[:3])
        for cls in type(plugin).__mro__
        if cls.__module__.startswith("apprise.plugins.")
    }
    for name, module in list(sys.modules.items()):
        if ".".join(name.split(".")[:3]) not in packages:
            continue
        for attribute, (real, ours) in _SHIMS.items():
            if vars(module).get(attribute) is real:
                vars(module)[attribute] = ours


def _reference(answer: Answer | None) -> str | None:
    if answer is None or not isinstance(answer.body, dict):
        return None
    found = answer.body.get("sid") or answer.body.get("name") or answer.body.get("id")
    return str(found)[:200] if found else None
