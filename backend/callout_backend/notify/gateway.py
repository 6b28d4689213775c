"""SMS and voice vendors behind a small bridge: one signed POST, the same for all of them.

    POST <url>
    Idempotency-Key: <the same on every attempt>
    Callout-Signature: t=<unix seconds>,v1=<hex>   as webhooks have it
    {"id", "medium": "sms" | "voice" | …, "to", "text", "title", "link", "urgent", "locale"}

2xx is success; a JSON body may say `id` (the vendor's), and `errcode` other than 0 where it was none.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from callout_backend.jobs.deliver import signature
from callout_backend.notify.adapter import Adapter, Parcel
from callout_backend.notify.wire import Wire, judge
from callout_orders.notices.sending.outgoing import Outcome


class Gateway(Adapter):
    """The adapter of such a bridge."""

    def __init__(
        self,
        wire: Wire,
        config: Mapping[str, Any],
        secret: Mapping[str, str],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.wire, self.config, self.secret, self.now = wire, config, secret, now

    async def send(self, parcel: Parcel) -> Outcome:
        """Send once."""
        body = msgspec.json.encode(
            {
                "id": parcel.key,
                "medium": parcel.medium,
                "to": parcel.address,
                "text": parcel.body,
                "title": parcel.subject,
                "link": parcel.link,
                "urgent": parcel.urgent,
                "locale": parcel.locale,
            }
        )
        headers = {
            "Idempotency-Key": parcel.key,
            "Callout-Signature": signature(self.secret["secret"], int(self.now()), body),
        }
        return judge(await self.wire.ask(str(self.config["url"]), body, headers), code_needed=False)
