"""Chat robots: WeCom, DingTalk, Feishu. Each takes a POST and answers with a code of its own in a 200 body.

They are here and not behind Apprise because Apprise calls every 200 a success, and writes neither Markdown nor mentions for
WeCom. A robot's key is part of its address: no error and no log holds an address.
"""

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from callout_backend.notify.adapter import Adapter, Parcel
from callout_backend.notify.wire import Wire, judge
from callout_orders.notices.sending.outgoing import Outcome
from callout_orders.notices.terms import EVERYBODY

WECOM: Final = "https://qyapi.weixin.qq.com"
DINGTALK: Final = "https://oapi.dingtalk.com"
FEISHU: Final = "https://open.feishu.cn"
BYTES_MAX: Final = {"wecom": 4_000, "dingtalk": 18_000, "feishu": 18_000}
"""What each takes of a text, with room for mentions: 4,096 bytes, and 20,000 of the whole body."""
_PHONE: Final = re.compile(r"\+?\d[\d -]{5,18}\d")


class Robot(Adapter):
    """What the three have in common."""

    def __init__(
        self,
        wire: Wire,
        config: Mapping[str, Any],
        secret: Mapping[str, str],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.wire, self.config, self.secret, self.now = wire, config, secret, now

    async def _post(self, url: str, payload: dict[str, Any]) -> Outcome:
        return judge(await self.wire.ask(url, msgspec.json.encode(payload)))

    def _base(self, default: str) -> str:
        return str(self.config.get("base_url") or default).rstrip("/")


class WeComRobot(Robot):
    """A group robot of WeCom. Markdown mentions user ids only; whoever is known by a mobile number is mentioned by a
    second text, which costs no message: the text carries the mention and the Markdown's first line."""

    async def send(self, parcel: Parcel) -> Outcome:
        """Send as Markdown, or as text where a mobile number must be mentioned."""
        mobiles, users = split_mentions(parcel.mentions)
        url = f"{self._base(WECOM)}/cgi-bin/webhook/send?key={quote(self.secret['key'], safe='')}"
        if mobiles:
            text = plain_of(parcel)
            return await self._post(
                url,
                {
                    "msgtype": "text",
                    "text": {
                        "content": cut(text, BYTES_MAX["wecom"] // 2),
                        "mentioned_list": users,
                        "mentioned_mobile_list": mobiles,
                    },
                },
            )
        body = parcel.body + ("\n" + " ".join(f"<@{user}>" for user in users) if users else "")
        return await self._post(
            url, {"msgtype": "markdown", "markdown": {"content": cut(body, BYTES_MAX["wecom"])}}
        )


class DingTalkRobot(Robot):
    """A group robot of DingTalk, signed where it has a `sign_secret`. A mention must stand in the text as well."""

    async def send(self, parcel: Parcel) -> Outcome:
        """Send as Markdown."""
        url = f"{self._base(DINGTALK)}/robot/send?access_token={quote(self.secret['access_token'], safe='')}"
        if self.secret.get("sign_secret"):
            stamp = str(round(self.now() * 1000))
            url += (
                f"&timestamp={stamp}&sign={quote(dingtalk_sign(self.secret['sign_secret'], stamp), safe='')}"
            )
        mobiles, users = split_mentions(parcel.mentions)
        named = " ".join(f"@{one}" for one in (*mobiles, *users))
        body = cut(parcel.body, BYTES_MAX["dingtalk"]) + (f"\n\n{named}" if named else "")
        return await self._post(
            url,
            {
                "msgtype": "markdown",
                "markdown": {"title": parcel.subject[:100], "text": body},
                "at": {"atMobiles": mobiles, "atUserIds": users, "isAtAll": False},
            },
        )


class FeishuRobot(Robot):
    """A group robot of Feishu (Lark), signed where it has a `sign_secret`."""

    async def send(self, parcel: Parcel) -> Outcome:
        """Send as a text with mentions by open id."""
        url = f"{self._base(FEISHU)}/open-apis/bot/v2/hook/{quote(self.secret['token'], safe='')}"
        _, users = split_mentions(parcel.mentions)
        # The text's own signs could be read as a mention of all.
        text = cut(parcel.body, BYTES_MAX["feishu"]).replace("<", "＜")
        text += "".join(
            f' <at user_id="{user}"></at>' for user in users if re.fullmatch(r"[\w-]{1,64}", user)
        )
        payload: dict[str, Any] = {"msg_type": "text", "content": {"text": text}}
        if self.secret.get("sign_secret"):
            stamp = str(int(self.now()))
            payload |= {"timestamp": stamp, "sign": feishu_sign(self.secret["sign_secret"], stamp)}
        return await self._post(url, payload)


def split_mentions(mentions: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Mobile numbers (without the country code of China, as the robots know them) and user ids."""
    mobiles, users = [], []
    for one in mentions:
        if _PHONE.fullmatch(one):
            digits = re.sub(r"[^\d+]", "", one)
            mobiles.append(digits.removeprefix("+86"))
        elif re.fullmatch(r"[\w.@-]{1,64}", one) and one.lower() not in EVERYBODY:
            users.append(one)
    return mobiles, users


def plain_of(parcel: Parcel) -> str:
    """A Markdown body as text: a link is its address."""
    text = re.sub(r"\[([^\]]*)\]\(([^)]*)\)", r"\1 \2", parcel.body)
    return re.sub(r"\*\*|^> ?", "", text, flags=re.MULTILINE)


def cut(text: str, bytes_max: int) -> str:
    """The text within so many bytes of UTF-8, no character halved."""
    raw = text.encode()
    return text if len(raw) <= bytes_max else raw[: bytes_max - 3].decode(errors="ignore") + "…"


def dingtalk_sign(secret: str, timestamp_ms: str) -> str:
    """base64(HMAC-SHA256(key=secret, message="timestamp\\nsecret")), as DingTalk has it."""
    mac = hmac.new(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


def feishu_sign(secret: str, timestamp_s: str) -> str:
    """base64(HMAC-SHA256(key="timestamp\\nsecret", message="")), as Feishu has it."""
    mac = hmac.new(f"{timestamp_s}\n{secret}".encode(), b"", hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()
