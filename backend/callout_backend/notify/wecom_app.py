"""The organisation's own WeCom application: messages to one person, and cards with a button for what must be acknowledged.

Its access token is good for two hours and may be fetched a limited number of times a day: it is kept in the channel's row,
shared by all workers, and fetched anew where WeCom says that it is not good any more (40014, 42001).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from callout_backend.notify.adapter import Adapter, Parcel
from callout_backend.notify.robots import WECOM, cut, plain_of
from callout_backend.notify.wire import Answer, Wire, code_of, judge
from callout_orders.notices.sending.outgoing import Outcome
from callout_orders.notices.terms import EVERYBODY

STALE: Final = frozenset({40001, 40014, 42001})
NOBODY: Final = frozenset({81013, 60111, 40031})
"""Nobody of that name, or nobody who may see the application."""
TEXT_BYTES_MAX: Final = 2_000

Keep = Callable[[str, float], Awaitable[None]]
"""Keeps a token and for how many seconds it is good."""


class WeComApp(Adapter):
    """The adapter of one application."""

    def __init__(
        self,
        wire: Wire,
        config: Mapping[str, Any],
        secret: Mapping[str, str],
        *,
        token: str | None,
        keep: Keep,
    ) -> None:
        self.wire, self.config, self.secret = wire, config, secret
        self.token, self.keep = token, keep
        self.base = str(config.get("base_url") or WECOM).rstrip("/")
        # Messages of a round go side by side: the first that needs a token fetches it for all, or finds that there is none.
        self._fetching = asyncio.Lock()
        self._none: Outcome | None = None

    async def send(self, parcel: Parcel) -> Outcome:
        """Send once; with a fresh token where the one at hand was stale."""
        if "|" in parcel.address or parcel.address.lower() in EVERYBODY:
            return Outcome(kind="refused", error="the address is not one person's", nobody=True)
        refused = await self._renew(None)
        if refused is not None:
            return refused
        used = self.token
        answer = await self._post(parcel)
        if isinstance(answer, Answer) and code_of(answer.body) in STALE:
            refused = await self._renew(used)
            if refused is not None:
                return refused
            answer = await self._post(parcel)
        if not isinstance(answer, Answer):
            return answer
        outcome, code = judge(answer), code_of(answer.body)
        if code in STALE:
            return Outcome(kind="away", error=f"a fresh token was not good either: {outcome.error}")
        if code in NOBODY or (outcome.kind == "delivered" and answer.body.get("invaliduser")):
            return Outcome(kind="refused", error="WeCom knows nobody of this name", nobody=True)
        return outcome

    async def _post(self, parcel: Parcel) -> Answer | Outcome:
        url = f"{self.base}/cgi-bin/message/send?access_token={quote(self.token or '', safe='')}"
        return await self.wire.ask(url, msgspec.json.encode(self.payload(parcel)))

    async def _renew(self, stale: str | None) -> Outcome | None:
        """A token that is not `stale`; what became of the message where there is none to be had."""
        async with self._fetching:
            if self.token != stale:
                return None
            self._none = self._none or await self._fetch()
            return self._none

    async def _fetch(self) -> Outcome | None:
        """A fresh token; what became of the message where there is none to be had."""
        answer = await self.wire.ask(
            f"{self.base}/cgi-bin/gettoken?corpid={quote(str(self.config['corp_id']), safe='')}"
            f"&corpsecret={quote(self.secret['secret'], safe='')}"
        )
        outcome = judge(answer)
        if outcome.kind != "delivered" or not isinstance(answer, Answer):
            # Without a token nothing was sent, whatever became of the question.
            kind = "away" if outcome.kind == "unsure" else outcome.kind
            return Outcome(kind=kind, error=f"no token: {outcome.error}", after_s=outcome.after_s)
        token = answer.body.get("access_token")
        if not isinstance(token, str) or not token:
            return Outcome(kind="away", error="no token in WeCom's answer")
        self.token = token
        expires = answer.body.get("expires_in")
        # A little early: what is sent with it must arrive in time, too.
        await self.keep(token, max(60.0, float(expires if isinstance(expires, int) else 7200) - 300))
        return None

    def payload(self, parcel: Parcel) -> dict[str, Any]:
        """A card with a button where somebody must acknowledge, a card that opens the order otherwise."""
        to = {
            "touser": parcel.address,
            "agentid": int(self.config["agent_id"]) if str(self.config["agent_id"]).isdigit() else 0,
            "msgtype": "template_card",
            # WeCom drops what comes again with the same content within half an hour.
            "enable_duplicate_check": 1,
            "duplicate_check_interval": 1800,
        }
        card: dict[str, Any] = {
            "card_type": "button_interaction" if parcel.wants_ack else "text_notice",
            "main_title": {"title": cut(parcel.subject, 100)},
            "sub_title_text": cut(plain_of(parcel), TEXT_BYTES_MAX)[:500],
            "card_action": {"type": 1, "url": parcel.link},
            # Of a task's name WeCom takes one card: what is sent again for want of an answer has another.
            "task_id": f"{parcel.ack_key}-{parcel.attempt}",
        }
        if parcel.wants_ack:
            text = "我已知悉" if parcel.locale.startswith("zh") else "Acknowledge"
            card["button_list"] = [{"text": text, "style": 1, "key": parcel.ack_key}]
        return {**to, "template_card": card}
