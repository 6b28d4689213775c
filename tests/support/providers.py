"""A server that answers as chat robots, WeCom's application, an SMS bridge and Twilio do: with their codes in 200 bodies."""

import json
from collections import deque
from typing import Any
from urllib.parse import parse_qs

from faulty_server import Asked, FaultyServer

from callout_backend.notify.adapter import Parcel
from callout_orders.notices.channels import NewChannel
from callout_orders.notices.terms import Medium, Provider


class Providers(FaultyServer):
    """`codes`: the provider's own codes for the next messages, in a 200 body; `token`: the one access token that is good."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: deque[int] = deque()
        self.token = "first-token"
        self.tokens_given = 0

    def answer(self, asked: Asked) -> tuple[int, Any]:
        if asked.path == "/cgi-bin/gettoken":
            self.tokens_given += 1
            return 200, {"errcode": 0, "errmsg": "ok", "access_token": self.token, "expires_in": 7200}
        if asked.path == "/cgi-bin/message/send" and asked.query.get("access_token") != self.token:
            return 200, {"errcode": 40014, "errmsg": "invalid access_token"}
        code = self.codes.popleft() if self.codes else 0
        if asked.path.startswith("/open-apis/bot/v2/hook/"):
            return 200, {"code": code, "msg": "said", "data": {}}
        if asked.path.startswith("/2010-04-01/Accounts/"):
            return 201, {"sid": "SM1", "status": "queued"}
        if asked.path == "/sms":
            return 200, {"id": "v-1"} if not code else {"errcode": code}
        return 200, {"errcode": code, "errmsg": "said", "msgid": "m-1"}

    @property
    def messages(self) -> list[Any]:
        """What was sent, token requests left out."""
        return [
            json.loads(one.body) if one.body.startswith(b"{") else parse_qs(one.body.decode())
            for one in self.asked
            if one.path != "/cgi-bin/gettoken"
        ]


def channel(medium: str, url: str, **more: Any) -> NewChannel:
    """A channel of this medium that leads to a local server."""
    provider, config, secret = {
        Medium.WECOM_ROBOT: (Provider.WECOM_ROBOT, {"base_url": url}, {"key": "k-1"}),
        Medium.DINGTALK_ROBOT: (
            Provider.DINGTALK_ROBOT,
            {"base_url": url},
            {"access_token": "a-1", "sign_secret": "SEC1"},
        ),
        Medium.FEISHU_ROBOT: (Provider.FEISHU_ROBOT, {"base_url": url}, {"token": "f-1", "sign_secret": "s"}),
        Medium.WECOM: (
            Provider.WECOM_APP,
            {"base_url": url, "corp_id": "ww1", "agent_id": "1000002"},
            {"secret": "app-secret"},
        ),
        Medium.SMS: (Provider.GATEWAY, {"url": f"{url}/sms"}, {"secret": "gw"}),
        Medium.VOICE: (Provider.GATEWAY, {"url": f"{url}/sms"}, {"secret": "gw"}),
    }[Medium(medium)]
    values: dict[str, Any] = {
        "medium": str(medium),
        "provider": str(provider),
        "name": str(medium),
        "config": config,
        "secret": secret,
        **more,
    }
    return NewChannel(**values)


def parcel(medium: str, to: str) -> Parcel:
    """A message to this address."""
    return Parcel(
        key="k", medium=medium, address=to, mentions=(), urgent=False, wants_ack=False, locale="en", subject="S",
        body="B", link="http://t/n/x", ack_key="x",
    )  # fmt: skip
