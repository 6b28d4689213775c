"""An organisation with an account at a chat service for tests, and the worker's handlers of it."""

import io
from typing import Any
from uuid import UUID

from chat_calls import CORP, KEY, TOKEN
from chat_service import ChatService
from PIL import Image
from worlds import World

from callout_backend.jobs import channels as channel_jobs
from callout_backend.jobs.chat_services import ChatServices
from callout_backend.jobs.drain import drain
from callout_orders.channels import accounts, inbox
from callout_orders.channels.accounts import ChannelInput
from callout_orders.channels.terms import Inbound, Media
from callout_sync.blobs import Storage

COMPLETE = "The pump leaks in the cellar, please call Ann at +1 415 555 2671\nSerial: SN-1"


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, "JPEG")
    return out.getvalue()


class Desk:
    """An organisation, its account at a service, and the worker's handlers."""

    def __init__(self, world: World, service: ChatService, storage: Storage, kind: str) -> None:
        self.world, self.service, self.storage, self.kind = world, service, storage, kind
        self.services = ChatServices(private_allowed=True, timeout_s=5)

    async def build(self, **changes: Any) -> "Desk":
        own = {
            "wecom": {"corpId": CORP, "agentId": 7},
            "wechat": {"appId": CORP, "mode": "plain"},
            "dingtalk": {"appKey": CORP, "robotCode": "robot-1"},
        }[self.kind]
        async with self.world.db.work(self.world.org, actor=self.world.dispatcher) as work:
            id_ = await accounts.save(
                work,
                ChannelInput(
                    code=self.kind,
                    kind=self.kind,
                    name=self.kind,
                    locale="en",
                    default_kind="service",
                    settings={**own, "apiBase": self.service.url},
                    secrets={"token": TOKEN, "aesKey": KEY, "appSecret": "SECapp"},
                    **changes,
                ),
            )
            found = await accounts.account(work, id_)
        assert found is not None
        self.account = found
        return self

    async def says(self, text: str = "", *media: Media, id_: str = "m1", **more: Any) -> UUID:
        kind = "text" if text else "image"
        inbound = Inbound(
            **{"external_id": id_, "peer": "LiLei", "kind": kind, "text": text, "media": media, **more}
        )
        async with self.world.db.work(self.world.org) as work:
            return (await inbox.record(work, self.account, inbound, raw=b"x", size_bytes=1)).id

    async def work(self, *channels: str) -> None:
        made = channel_jobs.make_handlers(self.storage, self.services, "http://t")
        await drain(self.world.db, {name: made[name] for name in channels}, only=True)

    async def due(self, channel: str) -> None:
        """What waits for a later try is due now."""
        async with self.world.db.system_work() as work:
            await work.execute(
                "update outbox set run_at = now() where channel = $1 and state = 'ready'", channel
            )

    async def sent(self) -> list[Any]:
        return await self.world.fetch(
            "select state, reason from intake_message where direction = 'out' order by id"
        )

    async def files(self) -> list[Any]:
        return await self.world.fetch(
            "select id, state, code, media_type, order_id from intake_file order by id"
        )
