"""A mailbox over IMAP (RFC 3501), read-only: what came since a UID, one mail at a time, large ones by their head alone.

The standard library's client in a thread, and not an asynchronous one: a mailbox is read by one worker at a time and
nothing else waits for it; IDLE is not needed where a timer looks again; and it lets the size of what a server sends be
bounded before it is read.
"""

import imaplib
import re
import socket
import ssl
from collections.abc import Iterator
from datetime import date
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from callout_backend.jobs.address import PrivateAddress, connection
from callout_orders.channels.mailbox.mail import HEAD_BYTES_MAX, MAIL_BYTES_MAX

TIMEOUT_S: Final = 30.0
MAILS_MAX: Final = 50
"""Of one look; the next one goes on."""
LITERAL_BYTES_MAX: Final = MAIL_BYTES_MAX + 1024 * 1024
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
PORTS: Final = {"tls": 993, "starttls": 143, "none": 143}
_SIZE: Final = re.compile(rb"RFC822\.SIZE (\d+)", re.I)


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """One mail: whole, or (`large`) its head alone."""

    uid: int
    data: bytes
    size_bytes: int
    large: bool


class MailboxFault(Exception):
    """The server refused something, or is no mail server; `why` holds no secret."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


class _Plain(imaplib.IMAP4):
    def __init__(self, host: str, port: int, *, private_allowed: bool, timeout: float) -> None:
        self._private_allowed = private_allowed
        super().__init__(host, port, timeout)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return _connected(self, timeout, private_allowed=self._private_allowed)

    def read(self, size: int) -> bytes:
        """The library reads whatever length a server says."""
        _bounded(size)
        return super().read(size)


class _Tls(imaplib.IMAP4_SSL):
    def __init__(
        self, host: str, port: int, *, private_allowed: bool, ssl_context: ssl.SSLContext, timeout: float
    ) -> None:
        self._private_allowed = private_allowed
        super().__init__(host, port, ssl_context=ssl_context, timeout=timeout)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        plain = _connected(self, timeout, private_allowed=self._private_allowed)
        # The name and not the address that it was resolved to is what the certificate must be for.
        secured: ssl.SSLSocket = self.ssl_context.wrap_socket(plain, server_hostname=self.host)
        return secured

    def read(self, size: int) -> bytes:
        """As above."""
        _bounded(size)
        return super().read(size)


def _connected(client: imaplib.IMAP4, timeout: float | None, *, private_allowed: bool) -> socket.socket:
    return connection(
        client.host, client.port, timeout_s=timeout or TIMEOUT_S, private_allowed=private_allowed
    )


def _bounded(size: int) -> None:
    if size > LITERAL_BYTES_MAX:
        raise MailboxFault(f"the server sends {size} bytes at once; the limit is {LITERAL_BYTES_MAX}")


class Mailbox:
    """An open mailbox; `with Mailbox(...)`. Blocking: for a thread. Its host is a tenant's word: see `jobs.address`."""

    def __init__(
        self,
        settings: dict[str, Any],
        password: str,
        *,
        private_allowed: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.settings, self._password, self._tls = settings, password, tls
        self._private_allowed = private_allowed
        self.uid_validity = 0

    def __enter__(self) -> Self:
        how = str(self.settings.get("imapTls", "tls"))
        host, port = str(self.settings["imapHost"]), int(self.settings.get("imapPort") or PORTS[how])
        context = self._tls or ssl.create_default_context()
        try:
            self._client: imaplib.IMAP4
            if how == "tls":
                self._client = _Tls(
                    host,
                    port,
                    private_allowed=self._private_allowed,
                    ssl_context=context,
                    timeout=TIMEOUT_S,
                )
            else:
                self._client = _Plain(host, port, private_allowed=self._private_allowed, timeout=TIMEOUT_S)
        except PrivateAddress as fault:
            raise MailboxFault(f"cannot connect: {fault}") from None
        except (OSError, imaplib.IMAP4.error) as fault:
            raise MailboxFault(f"cannot connect: {type(fault).__name__}") from None
        try:
            if how == "starttls":
                self._client.starttls(ssl_context=context)
            user = str(self.settings.get("imapUser") or self.settings.get("address", ""))
            try:
                self._client.login(user, self._password)
            except imaplib.IMAP4.error:
                raise MailboxFault("the server refused the sign-in") from None
            folder = str(self.settings.get("imapFolder") or "INBOX")
            self._ask("select", _quoted(folder), True)
            validity = self._client.response("UIDVALIDITY")[1]
            self.uid_validity = int(validity[-1]) if validity and validity[-1] else 0
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._end()

    def new_uids(self, after: int, *, since: date | None = None) -> list[int]:
        """UIDs above `after`, the lowest first, at most `MAILS_MAX`; with `since` only of mails that came on that day or
        later."""
        wanted = f"UID {after + 1}:*"
        if since is not None:
            wanted += f" SINCE {since.day:02d}-{MONTHS[since.month - 1]}-{since.year}"
        found = self._ask("uid", "SEARCH", None, wanted)
        words = b" ".join(one for one in found if isinstance(one, bytes)).split()
        # `n:*` always finds the last mail, even where its UID is below n.
        return sorted({int(word) for word in words if word.isdigit() and int(word) > after})[:MAILS_MAX]

    def last_uid(self) -> int:
        """The highest UID there is, 0 in an empty mailbox."""
        found = self._ask("uid", "SEARCH", None, "UID *")
        words = b" ".join(one for one in found if isinstance(one, bytes)).split()
        return max((int(word) for word in words if word.isdigit()), default=0)

    def fetch(self, uid: int) -> Fetched | None:
        """One mail, without marking it as read; None where it is gone. A large one is never asked for whole."""
        told = self._ask("uid", "FETCH", str(uid), "(RFC822.SIZE)")
        size = next((int(m[1]) for one in _lines(told) if (m := _SIZE.search(one))), None)
        if size is None:
            return None
        large = size > MAIL_BYTES_MAX
        wanted = f"(BODY.PEEK[HEADER]<0.{HEAD_BYTES_MAX}>)" if large else "(BODY.PEEK[])"
        found = self._ask("uid", "FETCH", str(uid), wanted)
        data = next((one[1] for one in found if isinstance(one, tuple)), None)
        return None if data is None else Fetched(uid=uid, data=data, size_bytes=size, large=large)

    def _ask(self, name: str, *args: Any) -> list[Any]:
        try:
            status, data = getattr(self._client, name)(*args)
        except (OSError, imaplib.IMAP4.error, ValueError) as fault:
            raise MailboxFault(f"{name} failed: {type(fault).__name__}") from None
        if status != "OK":
            raise MailboxFault(f"the server refused {name}")
        return list(data or [])

    def _end(self) -> None:
        try:
            self._client.logout()
        except (OSError, imaplib.IMAP4.error, MailboxFault):
            self._client.shutdown()


def _lines(found: list[Any]) -> Iterator[bytes]:
    for one in found:
        if isinstance(one, bytes):
            yield one
        elif isinstance(one, tuple):
            yield from (part for part in one if isinstance(part, bytes))


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "").replace("\n", "")
    return f'"{escaped}"'
