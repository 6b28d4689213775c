"""The words of the channels: what a message is once it was understood, whichever account it came through. No I/O."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders.terms import Channel

TEXT_CHARS_MAX: Final = 4000
"""Of one message; what is longer is cut, and the sender is told."""
CALL_BYTES_MAX: Final = 64 * 1024
"""A chat service's call: they hold texts and names of media, no media."""
FILE_BYTES_MAX: Final = 20 * 1024 * 1024
"""Of a file that comes with a request."""
MEDIA_MAX: Final = 10
"""Files of one message."""


class ChannelKind(StrEnum):
    """What an account is."""

    WEB_FORM = "web_form"
    WECOM = "wecom"
    """An application of WeCom (企业微信)."""
    WECHAT = "wechat"
    """An official account of WeChat (微信公众号)."""
    DINGTALK = "dingtalk"
    """A robot or an event subscription of DingTalk (钉钉)."""
    MAIL = "mail"


CHAT: Final = frozenset({ChannelKind.WECOM, ChannelKind.WECHAT, ChannelKind.DINGTALK})

CHANNEL_KIND_LABELS: Final[dict[ChannelKind, dict[str, str]]] = {
    ChannelKind.WEB_FORM: {"en": "Web form", "zh": "网页表单"},
    ChannelKind.WECOM: {"en": "WeCom", "zh": "企业微信"},
    ChannelKind.WECHAT: {"en": "WeChat official account", "zh": "微信公众号"},
    ChannelKind.DINGTALK: {"en": "DingTalk", "zh": "钉钉"},
    ChannelKind.MAIL: {"en": "E-mail", "zh": "电子邮件"},
}


def order_channel(kind: str) -> Channel:
    """Under which channel an order that came through such an account is counted."""
    if kind == ChannelKind.WEB_FORM:
        return Channel.WEB_FORM
    return Channel.EMAIL if kind == ChannelKind.MAIL else Channel.CHAT


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a message names: `source` says how the account's adapter asks for its bytes."""

    media_type: str
    name: str = ""
    source: dict[str, Any] = {}


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it was understood. `external_id` is the sender's own id of it, `peer` who wrote.

    `kind`: text, image, voice, video, file, location, event (`text` then names it) or other. `reply` is what an answer
    needs beside the peer: a robot's session, a mail's thread.
    """

    external_id: str
    peer: str
    kind: str
    text: str = ""
    media: tuple[Media, ...] = ()
    lat: float | None = None
    lng: float | None = None
    thread: str = ""
    name: str | None = None
    reply: dict[str, Any] = {}


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A channel with its secrets, for doors and the worker; never shown."""

    id: UUID
    code: str
    kind: str
    name: str
    enabled: bool
    settings: dict[str, Any]
    secrets: dict[str, str]
    default_kind: str | None
    default_priority: str | None
    locale: str
    may_create: bool | None
    answers: bool
    patience_minutes: int
