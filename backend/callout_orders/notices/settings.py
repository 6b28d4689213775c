"""What an organisation and each of its people decided about notices: media, quiet hours, language, kinds."""

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from callout_orders import checks
from callout_orders.checks import FieldRefused, Gather
from callout_orders.notices import quiet
from callout_orders.notices.terms import CUSTOMER_MEDIA, EVERYBODY, KINDS, MEDIA, STAFF_MEDIA, Medium
from callout_store.errors import LimitExceeded, NotFound
from callout_store.ids import new_id
from callout_store.work import Work

ADDRESSES_MAX: Final = 20
_CHAT_USER: Final = re.compile(r"\+?[\w.@ -]{1,64}")
KEEP_DAYS: Final = 180
KEEP_DAYS_MIN, KEEP_DAYS_MAX = 7, 3650
LOCALES: Final = frozenset({"en", "zh"})
OWN_ADDRESS: Final = frozenset(
    {"wecom", "wecom_robot", "dingtalk_robot", "feishu_robot", "push", "web_push", "email", "sms", "voice"}
)


class NoticeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the organisation. `quiet` holds for everybody who says nothing else; `order_url` may hold `{number}` and `{id}`.
    `keep_days`: so long are notices kept in full, afterwards only how many there were."""

    staff_media: tuple[str, ...] = STAFF_MEDIA
    customer_media: tuple[str, ...] = CUSTOMER_MEDIA
    quiet: str = ""
    fallback_minutes: int = 5
    acknowledge_seconds: int = 60
    mail_pixel: bool = False
    order_url: str | None = None
    keep_days: int = KEEP_DAYS


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """Of one person; None: as the organisation has it. `quiet` empty: none. `muted` kinds are told only where urgent."""

    media: tuple[str, ...] | None = None
    quiet: str | None = None
    time_zone: str | None = None
    locale: str | None = None
    muted: tuple[str, ...] = ()


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a person is reached by a medium; `broken`: the provider said that nobody is there."""

    id: UUID
    medium: str
    address: str
    broken: bool


class _Keys(msgspec.Struct, frozen=True):
    p256dh: str
    auth: str


class _Subscription(msgspec.Struct, frozen=True):
    endpoint: str
    keys: _Keys


async def settings(work: Work) -> NoticeSettings:
    """The organisation's settings."""
    row = await work.fetchrow(
        """
        select staff_media, customer_media, quiet, fallback_minutes, acknowledge_seconds, mail_pixel, order_url,
               keep_days
        from notice_setting where org_id = callout_org()
        """
    )
    if row is None:
        return NoticeSettings()
    return msgspec.convert(dict(row), NoticeSettings)


async def configure(work: Work, given: NoticeSettings) -> NoticeSettings:
    """Store the organisation's settings whole. Raises all that is wrong with them at once."""
    gather = Gather()
    with gather:
        media_list("staffMedia", given.staff_media)
    with gather:
        media_list("customerMedia", given.customer_media)
        robots = sorted(
            {"wecom", "wecom_robot", "dingtalk_robot", "feishu_robot"} & set(given.customer_media)
        )
        if robots:
            raise FieldRefused("customerMedia", "not_one_of", options="email, sms, voice, inbox")
    with gather:
        quiet_text("quiet", given.quiet)
    with gather:
        checks.whole("fallbackMinutes", given.fallback_minutes, low=1, high=1440)
    with gather:
        checks.whole("acknowledgeSeconds", given.acknowledge_seconds, low=10, high=3600)
    with gather:
        order_address("orderUrl", given.order_url)
    with gather:
        checks.whole("keepDays", given.keep_days, low=KEEP_DAYS_MIN, high=KEEP_DAYS_MAX)
    gather.settle()
    await work.execute(
        """
        insert into notice_setting (staff_media, customer_media, quiet, fallback_minutes, acknowledge_seconds, mail_pixel,
            order_url, keep_days, changed_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict (org_id) do update set staff_media = excluded.staff_media,
            customer_media = excluded.customer_media, quiet = excluded.quiet,
            fallback_minutes = excluded.fallback_minutes, acknowledge_seconds = excluded.acknowledge_seconds,
            mail_pixel = excluded.mail_pixel, order_url = excluded.order_url, keep_days = excluded.keep_days,
            changed_at = excluded.changed_at
        """,
        list(given.staff_media),
        list(given.customer_media),
        given.quiet,
        given.fallback_minutes,
        given.acknowledge_seconds,
        given.mail_pixel,
        given.order_url,
        given.keep_days,
        work.now,
    )
    return given


async def preference(work: Work, user_id: UUID) -> Preference:
    """What a person decided; nothing where they did not."""
    row = await work.fetchrow(
        """
        select media, quiet, time_zone, locale, muted from notice_preference
        where org_id = callout_org() and user_id = $1
        """,
        user_id,
    )
    return Preference() if row is None else msgspec.convert(dict(row), Preference)


async def prefer(work: Work, user_id: UUID, given: Preference) -> Preference:
    """Store what a person decided, whole. Raises all that is wrong with it at once, NotFound for no such user."""
    gather = Gather()
    with gather:
        if given.media is not None:
            media_list("media", given.media)
    with gather:
        quiet_text("quiet", given.quiet or "")
    with gather:
        time_zone("timeZone", given.time_zone)
    with gather:
        if given.locale is not None:
            checks.one_of("locale", given.locale, LOCALES)
    with gather:
        for n, kind in enumerate(given.muted):
            checks.one_of(f"muted.{n}", kind, KINDS)
    gather.settle()
    if not await work.fetchval("select true from app_user where org_id = callout_org() and id = $1", user_id):
        raise NotFound(entity="user", path="userId")
    await work.execute(
        """
        insert into notice_preference (user_id, media, quiet, time_zone, locale, muted, changed_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (org_id, user_id) do update set media = excluded.media, quiet = excluded.quiet,
            time_zone = excluded.time_zone, locale = excluded.locale, muted = excluded.muted,
            changed_at = excluded.changed_at
        """,
        user_id,
        None if given.media is None else list(given.media),
        given.quiet,
        given.time_zone,
        given.locale,
        sorted(set(given.muted)),
        work.now,
    )
    return given


async def addresses(work: Work, user_id: UUID) -> list[Address]:
    """Where a person is reached beside their own e-mail and phone."""
    rows = await work.fetch(
        """
        select id, medium, address, broken_at is not null as broken from notice_address
        where org_id = callout_org() and user_id = $1 order by id
        """,
        user_id,
    )
    return [Address(**dict(row)) for row in rows]


async def add_address(work: Work, user_id: UUID, medium: str, address: str) -> UUID:
    """Reach a person there too; the same again mends a broken one. `address`: a chat account's user id, a mobile number
    (a robot's mention), a push token, a web-push subscription in JSON. Raises BadField, LimitExceeded, NotFound."""
    checks.one_of("medium", medium, OWN_ADDRESS)
    where = checks.text("address", address, chars_max=2_000)
    match medium:
        case Medium.EMAIL:
            where = checks.email("address", where) or where
        case Medium.WEB_PUSH:
            _subscription("address", where)
        case Medium.WECOM | Medium.WECOM_ROBOT | Medium.DINGTALK_ROBOT | Medium.FEISHU_ROBOT:
            if not _CHAT_USER.fullmatch(where) or where.lower() in EVERYBODY:
                raise FieldRefused("address", "chat_user")
    known = await work.fetchval(
        "select true from app_user where org_id = callout_org() and id = $1 for no key update", user_id
    )
    if not known:
        raise NotFound(entity="user", path="userId")
    count = await work.fetchval(
        """
        select count(*) from notice_address
        where org_id = callout_org() and user_id = $1 and (medium, address) <> ($2, $3)
        """,
        user_id,
        medium,
        where,
    )
    if count >= ADDRESSES_MAX:
        raise LimitExceeded(what="addresses of one person", limit=ADDRESSES_MAX, given=count + 1)
    made: UUID = await work.fetchval(
        """
        insert into notice_address (id, user_id, medium, address, created_at) values ($1, $2, $3, $4, $5)
        on conflict (org_id, user_id, medium, address) do update set broken_at = null
        returning id
        """,
        new_id(),
        user_id,
        medium,
        where,
        work.now,
    )
    return made


async def remove_address(work: Work, user_id: UUID, address_id: UUID) -> None:
    """Reach a person there no more. Raises NotFound for another's."""
    gone = await work.execute(
        "delete from notice_address where org_id = callout_org() and id = $1 and user_id = $2",
        address_id,
        user_id,
    )
    if not gone:
        raise NotFound(entity="address", path="id")


# ------------------------------------------------------------------------------------------------ checks


def media_list(path: str, given: Sequence[Any]) -> None:
    """Media in an order, each once. Empty: nobody is told but by their inbox."""
    if len(given) > len(MEDIA):
        raise LimitExceeded(path=path, what="media", limit=len(MEDIA), given=len(given))
    for n, medium in enumerate(given):
        checks.one_of(f"{path}.{n}", medium, MEDIA - {Medium.INBOX.value})
        if medium in given[:n]:
            raise FieldRefused(f"{path}.{n}", "twice")


def quiet_text(path: str, given: str) -> None:
    """Quiet hours as `quiet.read` takes them."""
    try:
        quiet.read(given)
    except ValueError:
        raise FieldRefused(path, "quiet") from None


def _subscription(path: str, given: str) -> None:
    """What a browser's `PushSubscription` says in JSON."""
    try:
        found = msgspec.json.decode(given, type=_Subscription)
    except (msgspec.DecodeError, RecursionError):
        raise FieldRefused(path, "subscription") from None
    if not found.endpoint.startswith("https://"):
        raise FieldRefused(path, "subscription")


def time_zone(path: str, given: str | None) -> None:
    """The name of a time zone that is known here."""
    if given is None:
        return
    try:
        ZoneInfo(given)
    except (ValueError, OSError, KeyError):
        raise FieldRefused(path, "zone", given=given) from None


def order_address(path: str, given: str | None) -> None:
    """Where an order's page is: https (or http), with nothing in braces but {number} and {id}."""
    if given is None:
        return
    checks.text(path, given, chars_max=500)
    try:
        filled = order_page(given, number="1", id_="1")
        parts = urlsplit(filled)
        _ = parts.port
    except ValueError:
        raise FieldRefused(path, "order_url") from None
    if "{" in filled or "}" in filled:
        raise FieldRefused(path, "order_url")
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None:
        raise FieldRefused(path, "order_url")


def order_page(url: str, *, number: str, id_: str) -> str:
    """An order's page. Not `str.format`, which an address like `{number:>999999999}` makes write a gigabyte."""
    return url.replace("{number}", quote(number, safe="")).replace("{id}", id_)
