"""Answering mails by SMTP: in the thread of the mail that is answered, and marked so that no machine answers it."""

import asyncio
import smtplib
import socket
import ssl
from typing import Any, Final

from callout_backend.jobs.address import PrivateAddress, connection
from callout_orders.channels.inbox import Stored
from callout_orders.channels.mailbox import mail
from callout_orders.channels.terms import Account
from callout_store.outbox import Hopeless, Retry

TIMEOUT_S: Final = 20.0
PORTS: Final = {"tls": 465, "starttls": 587, "none": 25}


class _Smtp(smtplib.SMTP):
    def __init__(self, host: str, port: int, *, private_allowed: bool, timeout: float) -> None:
        self._private_allowed = private_allowed
        super().__init__(host, port, timeout=timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return connection(host, port, timeout_s=timeout, private_allowed=self._private_allowed)


class _SmtpTls(smtplib.SMTP_SSL):
    def __init__(
        self, host: str, port: int, *, private_allowed: bool, timeout: float, context: ssl.SSLContext
    ) -> None:
        self._private_allowed, self._named, self._tls = private_allowed, host, context
        super().__init__(host, port, timeout=timeout, context=context)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = connection(host, port, timeout_s=timeout, private_allowed=self._private_allowed)
        return self._tls.wrap_socket(plain, server_hostname=self._named)


async def send_mail(
    account: Account, message: Stored, text: str, reply: dict[str, Any], *, private_allowed: bool = False
) -> str:
    """Send one answer; its Message-ID. Raises Retry or Hopeless. The server is a tenant's word: see `jobs.address`."""
    sender = str(account.settings.get("address", ""))
    if not account.settings.get("smtpHost"):
        raise Hopeless("the mailbox has no smtpHost: nothing can be sent")
    # Of the same answer always the same: a mail program shows one that a retry sent twice only once.
    message_id = f"<{message.id}@{sender.rpartition('@')[2] or 'callout'}>"
    try:
        data = mail.answer(
            sender=sender,
            to=message.peer,
            subject=str(reply.get("subject") or "Callout"),
            text=text,
            message_id=message_id,
            in_reply_to=str(reply.get("messageId") or "") or None,
            references=[str(one) for one in reply.get("references", [])],
        )
        await asyncio.to_thread(_send, account, sender, message.peer, data, private_allowed)
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused) as fault:
        codes = (
            [code for code, _ in fault.recipients.values()]
            if isinstance(fault, smtplib.SMTPRecipientsRefused)
            else [fault.smtp_code]
        )
        if all(code >= 500 for code in codes):
            raise Hopeless(f"the mail server refused it: {codes[0]}") from None
        raise Retry(f"the mail server put it off: {codes[0]}", after_s=60.0) from None
    except smtplib.SMTPAuthenticationError as fault:
        raise Retry(f"the mail server refused the sign-in: {fault.smtp_code}", after_s=300.0) from None
    except smtplib.SMTPResponseException as fault:
        if fault.smtp_code >= 500:
            raise Hopeless(f"the mail server refused it: {fault.smtp_code}") from None
        raise Retry(f"the mail server put it off: {fault.smtp_code}", after_s=60.0) from None
    except PrivateAddress as fault:
        raise Hopeless(f"the mail server may not be called: {fault}") from None
    except ValueError:
        # Signs in the address that no mail server takes: the next try would meet them again.
        raise Hopeless("no mail can be written to this address") from None
    except (smtplib.SMTPException, OSError) as fault:
        raise Retry(f"the mail server does not answer: {type(fault).__name__}") from None
    return message_id


def _send(account: Account, sender: str, to: str, data: bytes, private_allowed: bool) -> None:
    settings = account.settings
    how = str(settings.get("smtpTls", "starttls"))
    host, port = str(settings["smtpHost"]), int(settings.get("smtpPort") or PORTS[how])
    context = ssl.create_default_context()
    client: smtplib.SMTP
    if how == "tls":
        client = _SmtpTls(host, port, private_allowed=private_allowed, timeout=TIMEOUT_S, context=context)
    else:
        client = _Smtp(host, port, private_allowed=private_allowed, timeout=TIMEOUT_S)
    with client:
        if how == "starttls":
            client.starttls(context=context)
        password = account.secrets.get("smtpPassword")
        if password:
            client.login(str(settings.get("smtpUser") or sender), password)
        client.sendmail(sender, [to], data)
