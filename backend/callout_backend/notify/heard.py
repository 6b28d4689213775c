"""What plugins of Apprise get in place of `requests` and `smtplib`: the same, but heard and held.

Every connection goes to an address that was looked at before, and to that very address: a name server that answers
differently a moment later (rebinding) leads nowhere else. No redirect is followed, no proxy of the environment asked.
"""

import contextvars
import smtplib
import socket
import ssl
from typing import Any

import msgspec
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError
from urllib3.poolmanager import PoolManager

from callout_backend.jobs.address import PrivateAddress, checked_address, connection
from callout_backend.notify.wire import TIMEOUT_S, Answer
from callout_orders.notices.sending.outgoing import Outcome


class Heard:
    """What one send was answered."""

    def __init__(self, private_allowed: bool) -> None:
        self.private_allowed = private_allowed
        self.answer: Answer | None = None
        self.outcome: Outcome | None = None
        self.said: list[str] = []


HEARD: contextvars.ContextVar[Heard | None] = contextvars.ContextVar("apprise_heard", default=None)
"""The send that is under way in this context."""


def _private_allowed() -> bool:
    heard = HEARD.get()
    return heard is not None and heard.private_allowed


class _Pinned(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        named = self._dns_host
        try:
            # The name stays what TLS and the Host header speak of; connected is to the address that was checked.
            self._dns_host = checked_address(named, self.port, private_allowed=_private_allowed())
            return super()._new_conn()
        except socket.gaierror as fault:
            raise NameResolutionError(named, self, fault) from fault
        finally:
            self._dns_host = named


class _PinnedTls(_Pinned, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Pinned


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _PinnedTls


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *given: Any, **more: Any) -> None:
        super().init_poolmanager(*given, **more)
        manager: PoolManager = self.poolmanager
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


class Requests:
    """The module `requests` as a plugin sees it."""

    def __getattr__(self, name: str) -> Any:
        if name in ("get", "post", "put", "delete", "head", "patch"):
            return lambda url, **more: self.request(name.upper(), url, **more)
        return getattr(requests, name)

    def request(self, method: str, url: str, **more: Any) -> requests.Response:
        """One request, heard."""
        heard = HEARD.get() or Heard(private_allowed=False)
        try:
            with requests.Session() as session:
                # No proxy from the environment: it would resolve the name again, on its own terms.
                session.trust_env = False
                for scheme in ("http://", "https://"):
                    session.mount(scheme, _Adapter())
                answer = session.request(
                    method, url, **{**more, "allow_redirects": False, "timeout": TIMEOUT_S}
                )
        except PrivateAddress:
            heard.outcome = Outcome(kind="refused", error="the provider's address may not be called")
            raise requests.exceptions.InvalidURL("not a public address") from None
        except (requests.exceptions.ConnectTimeout, requests.exceptions.SSLError) as fault:
            heard.outcome = Outcome(kind="away", error=f"no connection: {type(fault).__name__}")
            raise
        except requests.exceptions.ConnectionError as fault:
            # Refused, or cut while it was sent: what it was stands in the cause.
            before = "NewConnectionError" in repr(fault) or "NameResolutionError" in repr(fault)
            kind = "away" if before else "unsure"
            heard.outcome = Outcome(kind=kind, error=f"no answer: {type(fault).__name__}")
            raise
        except requests.exceptions.RequestException as fault:
            heard.outcome = Outcome(kind="unsure", error=f"no answer: {type(fault).__name__}")
            raise
        heard.answer = Answer(status=answer.status_code, headers=answer.headers, body=_json(answer))
        return answer


class _Smtp(smtplib.SMTP):
    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return _mail_connection(host, port)


class _SmtpTls(smtplib.SMTP_SSL):
    context: ssl.SSLContext
    _host: str

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self.context.wrap_socket(_mail_connection(host, port), server_hostname=self._host)


class Smtplib:
    """The module `smtplib` as a plugin sees it."""

    SMTP = _Smtp
    SMTP_SSL = _SmtpTls

    def __getattr__(self, name: str) -> Any:
        return getattr(smtplib, name)


def _mail_connection(host: str, port: int) -> socket.socket:
    try:
        return connection(host, port, timeout_s=TIMEOUT_S, private_allowed=_private_allowed())
    except PrivateAddress as fault:
        heard = HEARD.get()
        if heard is not None:
            heard.outcome = Outcome(kind="refused", error="the mail server's address may not be called")
        raise OSError(str(fault)) from None


def _json(answer: requests.Response) -> Any:
    try:
        return msgspec.json.decode(answer.content[:65_536])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
