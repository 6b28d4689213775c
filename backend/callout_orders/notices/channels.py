"""The organisation's robots, applications, mail servers and gateways. What is secret is written and never read out again; it
is stored sealed (`callout_store.sealing`)."""

import contextlib
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.checks import FieldRefused, Gather
from callout_orders.notices import fan
from callout_orders.notices.terms import CARRIES, MEDIA, ROBOT_PER_MINUTE, ROBOTS, Medium, Provider
from callout_store import resealing
from callout_store.errors import LimitExceeded, NotFound
from callout_store.ids import new_id
from callout_store.sealing import Unreadable, names
from callout_store.work import Work

CHANNELS_MAX: Final = 100
PER_MINUTE_DEFAULT: Final = 600
PER_MINUTE_MAX: Final = 60_000
VALUE_CHARS_MAX: Final = 10_000

NEEDS: Final[Mapping[str, tuple[frozenset[str], frozenset[str], frozenset[str]]]] = {
    # provider: (config that is needed, config that may be, secrets that are needed)
    Provider.WECOM_APP: (frozenset({"corp_id", "agent_id"}), frozenset({"base_url"}), frozenset({"secret"})),
    Provider.WECOM_ROBOT: (frozenset(), frozenset({"base_url"}), frozenset({"key"})),
    Provider.DINGTALK_ROBOT: (frozenset(), frozenset({"base_url"}), frozenset({"access_token"})),
    Provider.FEISHU_ROBOT: (frozenset(), frozenset({"base_url"}), frozenset({"token"})),
    Provider.GATEWAY: (frozenset({"url"}), frozenset(), frozenset({"secret"})),
    Provider.APPRISE: (frozenset(), frozenset(), frozenset({"url"})),
    Provider.SINK: (frozenset(), frozenset(), frozenset()),
}
"""What each provider must be told. Chat robots may also have a `sign_secret`, a WeCom application `callback_token` and
`aes_key` for its cards' buttons, FCM and web push the text of their `keyfile`."""
ACCESS: Final = "access"
SENT_TO: Final = ("base_url", "url")
"""What says where a channel's secrets go."""
SECRETS_TOO: Final = frozenset({"sign_secret", "callback_token", "aes_key", "keyfile"})


class _Upstairs:
    """What the roof knows; it says so once at start-up."""

    why_not: Callable[[str, str], str | None] | None = None


def know_carriers(why_not: Callable[[str, str], str | None]) -> None:
    """The adapters' answer to "what is wrong with this address for this medium"; registered by the roof."""
    _Upstairs.why_not = why_not


class ChannelView(msgspec.Struct, frozen=True, kw_only=True):
    """A channel as it may be shown: of its secrets, the names of those that are set."""

    id: UUID
    medium: str
    provider: str
    name: str
    team_id: UUID | None
    config: dict[str, Any]
    secrets: list[str]
    per_minute: int
    urgent_reserve: int
    active: bool
    rest_until: datetime | None
    failures: int
    last_ok_at: datetime | None
    last_error: str | None
    waiting: int
    oldest_waiting_at: datetime | None


class NewChannel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel to be made or changed. Of a change, secrets that are not given stay; `per_minute` is at most 20 for robots,
    of which `urgent_reserve` are left to what is urgent."""

    medium: str
    provider: str
    name: str
    config: Mapping[str, str] = {}
    secret: Mapping[str, str] = {}
    team_id: UUID | None = None
    per_minute: int | None = None
    urgent_reserve: int | None = None
    active: bool = True


async def save(work: Work, given: NewChannel, channel_id: UUID | None = None) -> UUID:
    """Make a channel, or change the one of this id; its id. Raises all that is wrong at once, NotFound, LimitExceeded."""
    if given.team_id is not None and not await work.fetchval(
        "select true from team where org_id = callout_org() and id = $1", given.team_id
    ):
        raise NotFound(entity="team", path="teamId")
    known: dict[str, str] = {}
    kept: set[str] = set()
    if channel_id is not None:
        row = await work.fetchrow(
            """
            select secret::text as secret, medium, provider, config::text as config from notice_channel
            where org_id = callout_org() and id = $1 for update
            """,
            channel_id,
        )
        if row is None:
            raise NotFound(entity="channel", path="id")
        if row["medium"] != given.medium:
            # What waits for it is addressed as this medium needs it.
            raise FieldRefused("medium", "channel_kept")
        if row["provider"] == given.provider:
            with contextlib.suppress(Unreadable):
                known = opened(work, channel_id, row["secret"])
            was = msgspec.json.decode(row["config"])
            if any(was.get(name) != given.config.get(name) for name in SENT_TO):
                # Whoever may set a channel, and cannot read its key, would have it sent to a server of their own.
                kept = {name for name in known if name not in given.secret}
    secret = {**known, **given.secret}
    per_minute, reserve = _checked(given, secret, kept)
    id_ = channel_id or new_id()
    if channel_id is None:
        count = await work.fetchval("select count(*) from notice_channel where org_id = callout_org()")
        if count >= CHANNELS_MAX:
            raise LimitExceeded(what="channels", limit=CHANNELS_MAX, given=count + 1)
    made: UUID = await work.fetchval(
        """
        insert into notice_channel (id, medium, provider, name, team_id, config, secret, per_minute, urgent_reserve, active,
            created_at, changed_at)
        values ($1, $2, $3, $4, $5, $6::text::jsonb, $7::text::jsonb, $8, $9, $10, $11, $11)
        on conflict (org_id, id) do update set medium = excluded.medium, provider = excluded.provider,
            name = excluded.name, team_id = excluded.team_id, config = excluded.config, secret = excluded.secret,
            per_minute = excluded.per_minute, urgent_reserve = excluded.urgent_reserve, active = excluded.active,
            changed_at = excluded.changed_at, rest_until = null, failures = 0, access_token = null, access_until = null
        returning id
        """,
        id_,
        given.medium,
        given.provider,
        given.name.strip(),
        given.team_id,
        msgspec.json.encode(given.config).decode(),
        work.seal.seal(work.org_id, place(id_), secret),
        per_minute,
        reserve,
        given.active,
        work.now,
    )
    # What waited for it goes now, or another way where it was switched off.
    await fan.wake(work, {str(made): timedelta()})
    return made


def _checked(given: NewChannel, secret: Mapping[str, str], kept: Collection[str]) -> tuple[int, int]:
    """Tokens a minute and how many of them are for what is urgent. `kept` secrets are to be entered again."""
    gather = Gather()
    for name in sorted(kept):
        with gather:
            raise FieldRefused(f"secret.{name}", "secret_again")
    robot = given.medium in ROBOTS
    high = ROBOT_PER_MINUTE if robot else PER_MINUTE_MAX
    default = ROBOT_PER_MINUTE if robot else PER_MINUTE_DEFAULT
    per_minute = default if given.per_minute is None else given.per_minute
    reserve = given.urgent_reserve if given.urgent_reserve is not None else min(4, per_minute - 1)
    with gather:
        checks.text("name", given.name)
    with gather:
        checks.one_of("medium", given.medium, MEDIA - {Medium.INBOX.value})
        checks.one_of("provider", given.provider, CARRIES[given.medium])
    with gather:
        checks.whole("perMinute", per_minute, low=1, high=high)
        checks.whole("urgentReserve", reserve, low=0, high=per_minute - 1)
    if given.provider in NEEDS:
        needed, possible, secrets = NEEDS[given.provider]
        for name, place, options, must in (
            ("config", given.config, needed | possible, needed),
            ("secret", secret, secrets | SECRETS_TOO, secrets),
        ):
            with gather:
                for key in sorted(place):
                    checks.one_of(f"{name}.{key}", key, options)
            for key in sorted(must):
                with gather:
                    checks.text(f"{name}.{key}", place.get(key), chars_max=VALUE_CHARS_MAX)
        for key in ("base_url", "url"):
            with gather:
                if key in given.config:
                    _address(f"config.{key}", given.config[key])
    with gather:
        url = secret.get("url", "")
        if given.provider == Provider.APPRISE and url and _Upstairs.why_not is not None:
            fault = _Upstairs.why_not(url, given.medium)
            if fault is not None:
                raise FieldRefused("secret.url", "carrier", fault=fault)
    gather.settle()
    return per_minute, reserve


def _address(path: str, given: str) -> None:
    """An http(s) address; where it may lead is looked at when it is called."""
    checks.text(path, given, chars_max=500)
    try:
        parts = urlsplit(given)
        _ = parts.port
    except ValueError:
        raise FieldRefused(path, "url") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None:
        raise FieldRefused(path, "url")


async def callback_keys(work: Work, channel_id: UUID) -> tuple[str, str, str] | None:
    """Token, key and corporation that a WeCom application's calls are checked with; None where it has none."""
    row = await work.fetchrow(
        """
        select config->>'corp_id' as corp_id, secret::text as secret
        from notice_channel where org_id = callout_org() and id = $1 and provider = 'wecom_app' and active
        """,
        channel_id,
    )
    if row is None or row["corp_id"] is None:
        return None
    secret = opened(work, channel_id, row["secret"])
    token, aes_key = secret.get("callback_token"), secret.get("aes_key")
    return None if not token or not aes_key else (token, aes_key, row["corp_id"])


def place(channel_id: UUID) -> str:
    """Under which name a channel's secrets are sealed."""
    return f"notice_channel/{channel_id}"


def opened(work: Work, channel_id: UUID, stored: str) -> dict[str, str]:
    """A channel's secrets. Raises Unreadable."""
    return work.seal.open(work.org_id, place(channel_id), stored)


def sealed_access(work: Work, channel_id: UUID, token: str) -> str:
    """An application's access token as it is stored."""
    return work.seal.seal(work.org_id, place(channel_id), {ACCESS: token})


def opened_access(work: Work, channel_id: UUID, stored: str) -> str | None:
    """The access token; None where it is no good any more, and a fresh one is fetched."""
    try:
        return opened(work, channel_id, stored).get(ACCESS)
    except Unreadable:
        return None


async def reseal(work: Work) -> int:
    """Seal secrets anew that were sealed under an earlier signing secret; how many channels' are left to do: 0."""
    return await resealing.renew(work, "notice_channel", "secret")


async def page(work: Work) -> list[ChannelView]:
    """All channels with what waits for them, by name."""
    rows = await work.fetch(
        """
        select c.id, c.medium, c.provider, c.name, c.team_id, c.config::text as config, c.secret::text as secret,
               c.per_minute, c.urgent_reserve, c.active, c.rest_until, c.failures, c.last_ok_at, c.last_error,
               coalesce(w.waiting, 0)::int as waiting, w.oldest as oldest_waiting_at
        from notice_channel c
        left join lateral (
            select count(*) as waiting, min(created_at) as oldest from notice n
            where n.org_id = c.org_id and n.lane = c.id::text and n.state in ('held', 'queued')
        ) w on true
        where c.org_id = callout_org() order by c.name, c.id
        """
    )
    return [_view(row) for row in rows]


def _view(row: Any) -> ChannelView:
    values = dict(row)
    secret = values.pop("secret")
    return ChannelView(
        **{
            **values,
            "config": msgspec.json.decode(values["config"]),
            "secrets": list(names(secret)),
        }
    )
