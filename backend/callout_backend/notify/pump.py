"""Driving the lanes: what is owed by `notice.fan`, `notice.send`, `notice.fallback` and `notice.ack`, done.

Rows are written in transactions, HTTP runs between them. A lane is in one worker's hands at a time (its timer's stream);
within it, messages to different readers go side by side.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from html import escape
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from callout_backend.jobs.drain import Handler
from callout_backend.notify import links
from callout_backend.notify.adapter import Adapter, Parcel, SinkAdapter
from callout_backend.notify.by_apprise import ByApprise
from callout_backend.notify.gateway import Gateway
from callout_backend.notify.robots import DingTalkRobot, FeishuRobot, WeComRobot
from callout_backend.notify.wecom_app import WeComApp
from callout_backend.notify.wire import Wire
from callout_backend.settings import Settings, signing_secret
from callout_orders.notices import fan
from callout_orders.notices import settings as notice_settings
from callout_orders.notices.sending import outgoing, pressing, settling
from callout_orders.notices.sending.outgoing import Outcome, Outgoing, Round
from callout_orders.notices.terms import HTML, Provider
from callout_orders.notices.writing.compose import SINK
from callout_orders.notices.writing.templates import LINK
from callout_store import meters, outbox, timers
from callout_store.outbox import Claimed, Hopeless
from callout_store.work import Database, Work

log = structlog.get_logger(__name__)

AT_ONCE: Final = 8
"""Messages of one lane that are on their way at the same time."""
RUN_S: Final = 12.0
"""A run begins no round after so long and goes on in the next one: a handler's deadline is 45 s, of which the last round may
need BEGIN_S and SEND_S."""
BEGIN_S: Final = 5.0
"""What a round has not begun to send after so long is put back: of a slow provider's hundred messages, those that were taken
must be written down before the lease ends, or all are sent again."""
SEND_S: Final = 25.0
"""One message with all the requests that it needs."""
TAKE_ALONG: Final = 200
"""Messages of `notice.fan` that are handled with the first one."""
LINES_ALONG: Final = 2_000
"""Lines of one transaction: an import of a hundred thousand orders at once would outlive every deadline, and be undone."""


class Notifier:
    """The handlers of all channels of notices. One a process.

    `sink`: `send` (what has no channel is told in the inbox only), `mixed` (it goes to the sink), `sink` (everything does).
    """

    def __init__(
        self,
        *,
        secret: Callable[[], str],
        base_url: str,
        sink: str = "send",
        private_allowed: bool = False,
        choose: Callable[[Database, UUID, dict[str, Any] | None], Adapter] | None = None,
    ) -> None:
        self.base_url, self.sink = base_url.rstrip("/"), sink
        # Read when it is first needed: the key's file is made then.
        self._read_secret, self._secret = secret, ""
        self.private_allowed = private_allowed
        self._wire: Wire | None = None
        self._choose = choose or self.adapter

    @property
    def secret(self) -> str:
        """The key under links."""
        self._secret = self._secret or self._read_secret()
        return self._secret

    async def close(self) -> None:
        """Close the connections."""
        if self._wire is not None:
            await self._wire.close()

    # -------------------------------------------------------------------------------------------- handlers

    async def fan(self, db: Database, item: Claimed) -> None:
        """Write the notices of the lines, and of those behind them. Harmless twice: a person is told once of a line."""

        async def act(work: Work) -> None:
            given = [item.payload]
            ids = [UUID(one) for one in item.payload.get("lines", ())]
            while (room := min((LINES_ALONG - len(ids)) // fan.LINES_MAX, TAKE_ALONG - len(given))) > 0:
                behind = await outbox.take_along(work, item, limit=room)
                given += behind
                ids += [UUID(one) for payload in behind for one in payload.get("lines", ())]
                if len(behind) < room:
                    break
            for start in range(0, len(ids), fan.WRITE_MAX):
                await fan.write(work, ids[start : start + fan.WRITE_MAX], sink=self.sink)

        await db.run(item.org_id, act)

    async def send(self, db: Database, item: Claimed) -> None:
        """Send what a lane holds, round by round. Harmless twice: the second finds the messages in the first one's hands."""
        try:
            key, epoch = str(item.payload["timerKey"]), int(item.payload["timerEpoch"])
            lane = str(item.payload["lane"])
        except (KeyError, ValueError) as fault:
            raise Hopeless(f"not a lane's timer: {fault!r}") from fault
        ends = time.monotonic() + RUN_S
        next_in: timedelta | None = timedelta()
        while time.monotonic() < ends:
            taken = await db.run(item.org_id, lambda work: outgoing.take(work, lane))
            next_in = taken.next_in
            if not taken.messages:
                break
            await self._round(db, item.org_id, taken)
            next_in = timedelta()
        if next_in is not None:
            after = next_in

            async def again(work: Work) -> None:
                due_at = await work.fetchval("select now() + $1::interval", after)
                if await timers.again(work, key=key, epoch=epoch, due_at=due_at, payload={"lane": lane}):
                    work.owes = after == timedelta()

            await db.run(item.org_id, again)

    async def fall_back(self, db: Database, item: Claimed) -> None:
        """Tell somebody by another medium. Harmless twice: once by each."""
        try:
            notice_id = UUID(item.payload["noticeId"])
        except (KeyError, ValueError) as fault:
            raise Hopeless(f"not a notice's timer: {fault!r}") from fault
        await db.run(item.org_id, lambda work: pressing.fall_back(work, notice_id, sink=self.sink))

    async def acknowledge(self, db: Database, item: Claimed) -> None:
        """Call the next in line. Harmless twice: the firing is the timer's latest once only."""
        try:
            key, epoch = str(item.payload["timerKey"]), int(item.payload["timerEpoch"])
            order_id, line_id = UUID(item.payload["orderId"]), UUID(item.payload["lineId"])
        except (KeyError, ValueError) as fault:
            raise Hopeless(f"not a timer of acknowledgement: {fault!r}") from fault
        await db.run(
            item.org_id,
            lambda work: pressing.escalate(work, order_id, line_id, key=key, epoch=epoch, sink=self.sink),
        )

    # -------------------------------------------------------------------------------------------- sending

    async def _round(self, db: Database, org_id: UUID, taken: Round) -> None:
        adapter = self._choose(db, org_id, taken.channel)
        pixel = False
        if any(message.medium in HTML for message in taken.messages):
            async with db.work(org_id) as work:
                pixel = (await notice_settings.settings(work)).mail_pixel
        slots = asyncio.Semaphore(AT_ONCE)
        until = time.monotonic() + BEGIN_S

        async def one(message: Outgoing) -> tuple[Outgoing, Outcome]:
            async with slots:
                if time.monotonic() > until:
                    return message, Outcome(kind="unsent")
                try:
                    async with asyncio.timeout(SEND_S):
                        return message, await adapter.send(self.parcel(org_id, message, pixel=pixel))
                except TimeoutError:
                    return message, Outcome(kind="unsure", error="no answer in time")
                except Exception as fault:
                    # An adapter's own fault is that message's trouble, and is not the others'.
                    log.error("notice_not_sent", medium=message.medium, exc_info=fault)
                    return message, Outcome(kind="unsure", error=f"fault: {type(fault).__name__}")

        done = await asyncio.gather(*(one(message) for message in taken.messages))
        for message, outcome in done:
            meters.count("notices_sent", medium=message.medium, outcome=outcome.kind)
        await db.run(org_id, lambda work: settling.settle(work, done))

    def parcel(self, org_id: UUID, message: Outgoing, *, pixel: bool = False) -> Parcel:
        """A message with its links. A digest's and a group's link is that of its first notice."""
        first = message.items[0].id if message.items else message.id
        token = links.token(self.secret, org_id, first)
        link = f"{self.base_url}{links.PATH}/{token}"
        body = message.body.replace(LINK, link)
        if pixel and message.medium in HTML:
            body += f'<img src="{escape(link)}/pixel.gif" width="1" height="1" alt="">'
        return Parcel(
            key=str(message.id),
            medium=message.medium,
            address=message.address,
            mentions=message.mentions,
            urgent=message.urgent,
            wants_ack=message.wants_ack,
            locale=message.locale,
            subject=message.subject.replace(LINK, link),
            body=body,
            link=link,
            ack_key=token,
            attempt=message.attempts,
        )

    def adapter(self, db: Database, org_id: UUID, channel: dict[str, Any] | None) -> Adapter:
        """The adapter of a channel's row."""
        if channel is None or channel["provider"] == Provider.SINK or self.sink == SINK:
            return SinkAdapter()
        config = msgspec.json.decode(channel["config"])
        secret = channel["secret"]
        wire = self._wire = self._wire or Wire(private_allowed=self.private_allowed)
        match channel["provider"]:
            case Provider.WECOM_ROBOT:
                return WeComRobot(wire, config, secret)
            case Provider.DINGTALK_ROBOT:
                return DingTalkRobot(wire, config, secret)
            case Provider.FEISHU_ROBOT:
                return FeishuRobot(wire, config, secret)
            case Provider.GATEWAY:
                return Gateway(wire, config, secret)
            case Provider.WECOM_APP:

                async def keep(token: str, seconds: float) -> None:
                    await db.run(
                        org_id, lambda work: settling.keep_access(work, channel["id"], token, seconds)
                    )

                return WeComApp(wire, config, secret, token=channel["access_token"], keep=keep)
            case _:
                return ByApprise(secret, channel["medium"], private_allowed=self.private_allowed)


def make_notifier(settings: Settings) -> Notifier:
    """The notifier of these settings, to be closed at the end."""
    return Notifier(
        secret=lambda: signing_secret(settings),
        base_url=settings.base_url,
        sink=settings.notices_go,
        private_allowed=settings.webhook_private,
    )


def handlers_of(notifier: Notifier) -> dict[str, Handler]:
    """A notifier's handlers by channel."""
    return {
        fan.CHANNEL: notifier.fan,
        fan.PUMP_CHANNEL: notifier.send,
        fan.FALLBACK_CHANNEL: notifier.fall_back,
        fan.ACK_CHANNEL: notifier.acknowledge,
    }
