"""What may be set of each kind of account, and what it needs before it can be switched on. Values only, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from callout_orders import checks
from callout_orders.channels.chat import ciphers
from callout_orders.channels.terms import ChannelKind
from callout_orders.checks import FieldRefused, Gather

CODE: Final = re.compile(r"[a-z][a-z0-9_-]{0,38}")
SECRET_CHARS_MAX: Final = 400
WORDS: Final[dict[str, frozenset[str]]] = {
    "mode": frozenset({"plain", "safe"}),
    "imapTls": frozenset({"tls", "starttls", "none"}),
    "smtpTls": frozenset({"tls", "starttls", "none"}),
}
NUMBERS: Final[dict[str, tuple[int, int]]] = {
    "imapPort": (1, 65535),
    "smtpPort": (1, 65535),
    "pollSeconds": (10, 3600),
    "agentId": (0, 2**31 - 1),
}
ADDRESSES: Final = frozenset({"apiBase"})
SENT_TO: Final[dict[str, tuple[str, ...]]] = {
    "appSecret": ("apiBase",),
    "imapPassword": ("imapHost", "imapPort", "imapTls"),
    "smtpPassword": ("smtpHost", "smtpPort", "smtpTls"),
}
"""Secrets that leave the house, and the settings that say where to."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Names of settings and secrets of a kind of account; `needed` must be there when it is switched on, and one of each
    group of `either`."""

    settings: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    needed: tuple[str, ...] = ()
    either: tuple[tuple[str, ...], ...] = ()


SHAPES: Final[dict[str, Shape]] = {
    ChannelKind.WEB_FORM: Shape(settings=frozenset({"kinds", "introEn", "introZh"})),
    ChannelKind.WECOM: Shape(
        settings=frozenset({"corpId", "agentId", "apiBase"}),
        secrets=frozenset({"token", "aesKey", "appSecret"}),
        needed=("corpId", "token", "aesKey"),
    ),
    ChannelKind.WECHAT: Shape(
        settings=frozenset({"appId", "mode", "apiBase"}),
        secrets=frozenset({"token", "aesKey", "appSecret"}),
        needed=("appId", "token"),
    ),
    ChannelKind.DINGTALK: Shape(
        settings=frozenset({"robotCode", "appKey", "corpId", "suiteId", "apiBase"}),
        secrets=frozenset({"appSecret", "token", "aesKey"}),
        needed=("appSecret",),
    ),
    ChannelKind.MAIL: Shape(
        settings=frozenset(
            {
                "address",
                "imapHost",
                "imapPort",
                "imapTls",
                "imapUser",
                "imapFolder",
                "pollSeconds",
                "smtpHost",
                "smtpPort",
                "smtpTls",
                "smtpUser",
            }
        ),
        secrets=frozenset({"imapPassword", "smtpPassword", "webhookSecret"}),
        needed=("address",),
        either=(("imapHost", "webhookSecret"),),
    ),
}


def checked_settings(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they are stored; everything that is wrong is said at once, with paths `settings.<name>`."""
    shape, out, gather = SHAPES[kind], dict[str, Any](), Gather()
    for name, value in given.items():
        path = f"settings.{name[:60]}"
        with gather:
            checks.one_of(path, name, shape.settings)
            if value is None or value == "":
                continue
            out[name] = _setting(name, value, path)
    gather.settle()
    return out


def _setting(name: str, value: Any, path: str) -> Any:
    if name in NUMBERS:
        low, high = NUMBERS[name]
        return checks.whole(path, value, low=low, high=high)
    if name == "kinds":
        if not isinstance(value, list) or len(value) > 50:
            raise FieldRefused(path, "channel_list", limit=50)
        return [checks.text(f"{path}.{i}", one, chars_max=40) for i, one in enumerate(value)]
    text = checks.text(path, value, chars_max=1000 if name.startswith("intro") else 300)
    if name in WORDS:
        return checks.one_of(path, text, WORDS[name])
    if name in ADDRESSES:
        parts = urlsplit(text)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query:
            raise FieldRefused(path, "channel_url")
        return text.rstrip("/")
    if name == "address":
        return checks.email(path, text)
    return text


def checked_secrets(kind: str, given: Mapping[str, str | None]) -> dict[str, str | None]:
    """The secrets that are changed; None takes one away. Paths are `secrets.<name>`."""
    shape, out, gather = SHAPES[kind], dict[str, str | None](), Gather()
    for name, value in given.items():
        path = f"secrets.{name[:60]}"
        with gather:
            checks.one_of(path, name, shape.secrets)
            if value is None or value == "":
                out[name] = None
                continue
            text = checks.text(path, value, chars_max=SECRET_CHARS_MAX)
            if name == "aesKey":
                try:
                    ciphers.aes_key(text)
                except ciphers.BadKey:
                    raise FieldRefused(path, "channel_key") from None
            out[name] = text
    gather.settle()
    return out


def kept_for_another(
    was: Mapping[str, Any],
    settings: Mapping[str, Any],
    secrets: Mapping[str, str],
    given: Mapping[str, str | None],
) -> list[str]:
    """Secrets that would go elsewhere than they were given for: who may set an account, and cannot read its password, would
    have it sent to a server of their own. They are to be entered again."""
    return [
        name
        for name, places in SENT_TO.items()
        if name in secrets
        and not given.get(name)
        and any(was.get(place) != settings.get(place) for place in places)
    ]


def refuse_incomplete(kind: str, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
    """Raises what an account still lacks before it can be switched on, all at once."""
    shape, gather = SHAPES[kind], Gather()
    needed = list(shape.needed)
    if kind == ChannelKind.WECHAT and settings.get("mode", "safe") == "safe":
        needed.append("aesKey")
    for name in needed:
        with gather:
            if not (settings.get(name) or secrets.get(name)):
                raise FieldRefused(_path(shape, name), "channel_needs")
    for group in shape.either:
        with gather:
            if not any(settings.get(name) or secrets.get(name) for name in group):
                raise FieldRefused(_path(shape, group[0]), "channel_either", options=", ".join(group))
    gather.settle()


def _path(shape: Shape, name: str) -> str:
    return f"{'secrets' if name in shape.secrets else 'settings'}.{name}"
