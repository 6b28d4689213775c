"""An organisation with a mailbox for tests, and mails for it."""

import email.message
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx
from worlds import World

from callout_backend.jobs import channels as channel_jobs
from callout_backend.jobs import mail_poll
from callout_backend.jobs.chat_services import ChatServices
from callout_backend.jobs.drain import Handlers, drain
from callout_orders.channels import accounts
from callout_orders.channels.accounts import ChannelInput
from callout_sync.blobs import Storage

SECRET = "hook-secret-0123"
WHOLE = "The pump in the cellar leaks.\nSerial: SN-1\nPhone: +1 415 555 2671"


def letter(text: str = WHOLE, *, sender: str = "ann@bay.example", **headers: str) -> bytes:
    message = email.message.EmailMessage()
    message["From"] = f"Ann <{sender}>"
    message["To"] = "desk@example.org"
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in {"Subject": "Pump leaks", "Message-ID": "<1@bay.example>", **given}.items():
        message[name] = value
    message.set_content(text)
    return message.as_bytes()


class Post:
    """An organisation with a mailbox, and the doors and jobs that read it."""

    def __init__(self, world: World, http: httpx.AsyncClient, storage: Storage) -> None:
        self.world, self.http, self.storage = world, http, storage
        self.slug = f"w-{world.org.hex[-20:]}"
        self.channel: UUID
        self.private_allowed = True

    async def open(self, settings: Mapping[str, Any], **secrets: str) -> "Post":
        async with self.world.db.work(self.world.org, actor=self.world.dispatcher) as work:
            self.channel = await accounts.save(
                work,
                ChannelInput(
                    code="desk",
                    kind="mail",
                    name="Desk",
                    locale="en",
                    default_kind="service",
                    settings={"address": "desk@example.org", **settings},
                    secrets=secrets,
                ),
            )
        return self

    async def bring(self, data: bytes, *, secret: str = SECRET, stamp: int | None = None) -> httpx.Response:
        at = int(time.time()) if stamp is None else stamp
        mac = hmac.new(secret.encode(), f"{at}.".encode() + data, hashlib.sha256).hexdigest()
        headers = {"Callout-Signature": f"t={at},v1={mac}", "Content-Type": "message/rfc822"}
        return await self.http.post(f"/mail/{self.slug}/desk", content=data, headers=headers)

    def handlers(self, *names: str) -> Handlers:
        made = channel_jobs.make_handlers(
            self.storage, ChatServices(private_allowed=self.private_allowed), "http://t"
        )
        poll = mail_poll.poll_handler(self.storage, private_allowed=self.private_allowed)
        every: dict[str, Any] = {**made, "mail.poll": poll}
        return {name: every[name] for name in names}

    async def work(self, *more: str) -> None:
        # A drain ends early where the database was too busy to be asked: what is due then is for the next one.
        for _ in range(20):
            await drain(self.world.db, self.handlers("intake.handle", *more), only=True)
            if not await self.world.value(
                "select count(*) from outbox where channel = 'intake.handle' and state <> 'done' and run_at <= now()"
            ):
                return

    async def answers(self) -> list[str]:
        rows = await self.world.fetch(
            "select content ->> 'text' as text from intake_message where direction = 'out' order by id"
        )
        return [row["text"] for row in rows]

    async def orders(self) -> list[Any]:
        return await self.world.fetch(
            "select id, number, channel, description, serial from work_order order by id"
        )


async def hooked(post: Post) -> Post:
    return await post.open({}, webhookSecret=SECRET)
