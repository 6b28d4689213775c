"""The organisation's accounts, forms and mailboxes: what an admin sets, and what doors and the worker read.

Secrets go in and never come out: a view names those that are set. They are stored sealed (`callout_store.sealing`).
"""

import contextlib
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from asyncpg import Record

from callout_orders import checks
from callout_orders.channels import account_terms
from callout_orders.channels.terms import Account, ChannelKind
from callout_orders.checks import FieldRefused, Gather
from callout_orders.terms import Priority
from callout_store import resealing, timers
from callout_store.errors import AlreadyExists, LimitExceeded, NotFound, StaleRevision
from callout_store.ids import new_id
from callout_store.journal import Entry, write
from callout_store.sealing import Unreadable, names
from callout_store.work import Work

CHANNELS_MAX: Final = 50
POLL_CHANNEL: Final = "mail.poll"
PATIENCE_MINUTES: Final = 30
_LOCALES: Final = frozenset({"en", "zh"})
_COLUMNS: Final = """
    id, code, kind, name, enabled, settings::text as settings, secrets::text as secrets, default_kind,
    default_priority, locale, may_create, answers, patience_minutes, revision, created_at, updated_at, updated_by
"""


class ChannelInput(msgspec.Struct, frozen=True, kw_only=True):
    """What an admin says of an account. `secrets`: those that change, None or empty takes one away; the others stay.

    `default_kind` and `default_priority` are meant where the words suggest none. `may_create`: whether a request of an
    unknown customer makes one; None: as the pre-check is set. `answers` off: nothing is written back. `patience_minutes`:
    so long may a request lack something before a person sees it (1..10080).
    """

    code: str
    kind: str
    name: str
    enabled: bool = True
    settings: Mapping[str, Any] = {}
    secrets: Mapping[str, str | None] = {}
    default_kind: str | None = None
    default_priority: str | None = None
    locale: str = "zh"
    may_create: bool | None = None
    answers: bool = True
    patience_minutes: int = PATIENCE_MINUTES


class ChannelView(msgspec.Struct, frozen=True, kw_only=True):
    """An account as an admin sees it; `secrets_set` are the names of the secrets that are there."""

    id: UUID
    code: str
    kind: str
    name: str
    enabled: bool
    settings: dict[str, Any]
    secrets_set: tuple[str, ...]
    default_kind: str | None
    default_priority: str | None
    locale: str
    may_create: bool | None
    answers: bool
    patience_minutes: int
    revision: int


async def save(
    work: Work, given: ChannelInput, *, id_: UUID | None = None, revision: int | None = None
) -> UUID:
    """Make an account, or write over the one with this id if it is still at `revision`. Its kind never changes.

    Everything that is wrong is said at once. Journals `intake_channel.saved` without settings or secrets.
    """
    before = None
    if id_ is not None:
        before = await work.fetchrow(
            f"select {_COLUMNS} from intake_channel where org_id = callout_org() and id = $1 for no key update",
            id_,
        )
        if before is None:
            raise NotFound(entity="channel", path="id")
        if revision is not None and before["revision"] != revision:
            raise StaleRevision(entity="channel", given=revision, current=before["revision"])
    elif (count := await work.fetchval("select count(*) from intake_channel")) >= CHANNELS_MAX:
        raise LimitExceeded(what="channels", limit=CHANNELS_MAX, given=count + 1)
    known: dict[str, str] = {}
    if before is not None:
        with contextlib.suppress(Unreadable):
            known = work.seal.open(work.org_id, _place(before["id"]), before["secrets"])
    row = _checked(given, before, known)
    id_ = id_ or new_id()
    sealed = work.seal.seal(work.org_id, _place(id_), row["secrets"])
    if before is None:
        made = await work.execute(
            """
            insert into intake_channel (id, code, kind, name, enabled, settings, secrets, default_kind, default_priority,
                locale, may_create, answers, patience_minutes, created_at, updated_at, updated_by)
            values ($1, $2, $3, $4, $5, $6::text::jsonb, $7::text::jsonb, $8, $9, $10, $11, $12, $13, $14, $14, $15)
            on conflict (org_id, code) do nothing
            """,
            id_,
            row["code"],
            row["kind"],
            *_values(row, sealed),
            work.now,
            work.actor.user_id,
        )
    else:
        made = await work.execute(
            """
            update intake_channel set name = $2, enabled = $3, settings = $4::text::jsonb, secrets = $5::text::jsonb,
                default_kind = $6, default_priority = $7, locale = $8, may_create = $9, answers = $10,
                patience_minutes = $11, updated_at = $12, updated_by = $13, revision = revision + 1
            where org_id = callout_org() and id = $1
            """,
            id_,
            *_values(row, sealed),
            work.now,
            work.actor.user_id,
        )
    if not made:
        raise AlreadyExists(entity="channel", key="code", path="code")
    await _poll(work, id_, row)
    data = {"code": row["code"], "kind": row["kind"], "enabled": row["enabled"]}
    await write(work, Entry(kind="intake_channel.saved", entity="intake_channel", entity_id=id_, data=data))
    return id_


def _checked(given: ChannelInput, before: Record | None, known: Mapping[str, str]) -> dict[str, Any]:
    gather = Gather()
    row: dict[str, Any] = {"enabled": given.enabled, "may_create": given.may_create, "answers": given.answers}
    with gather:
        row["kind"] = checks.one_of("kind", given.kind, frozenset(kind.value for kind in ChannelKind))
        if before is not None and before["kind"] != given.kind:
            raise FieldRefused("kind", "channel_kept")
    with gather:
        row["code"] = checks.text("code", given.code, chars_max=39)
        if not account_terms.CODE.fullmatch(row["code"]):
            raise FieldRefused("code", "channel_code")
        if before is not None and before["code"] != row["code"]:
            raise FieldRefused("code", "channel_kept")
    with gather:
        row["name"] = checks.text("name", given.name)
    with gather:
        row["default_kind"] = checks.optional_text("defaultKind", given.default_kind, chars_max=40)
    with gather:
        row["default_priority"] = given.default_priority
        if given.default_priority is not None:
            checks.one_of("defaultPriority", given.default_priority, frozenset(p.value for p in Priority))
    with gather:
        row["locale"] = checks.one_of("locale", given.locale, _LOCALES)
    with gather:
        row["patience_minutes"] = checks.whole("patienceMinutes", given.patience_minutes, low=1, high=10080)
    if "kind" in row:
        secrets = dict(known)
        settings: dict[str, Any] | None = None
        with gather:
            settings = account_terms.checked_settings(row["kind"], given.settings)
        with gather:
            for name, value in account_terms.checked_secrets(row["kind"], given.secrets).items():
                secrets.pop(name, None)
                if value is not None:
                    secrets[name] = value
        if before is not None and settings is not None:
            was = msgspec.json.decode(before["settings"])
            for name in account_terms.kept_for_another(was, settings, secrets, given.secrets):
                with gather:
                    raise FieldRefused(f"secrets.{name}", "secret_again")
        with gather:
            if given.enabled and settings is not None:
                account_terms.refuse_incomplete(row["kind"], settings, secrets)
        row |= {"settings": settings, "secrets": secrets}
    gather.settle()
    return row


def _values(row: Mapping[str, Any], sealed: str) -> tuple[Any, ...]:
    return (
        row["name"],
        row["enabled"],
        msgspec.json.encode(row["settings"]).decode(),
        sealed,
        row["default_kind"],
        row["default_priority"],
        row["locale"],
        row["may_create"],
        row["answers"],
        row["patience_minutes"],
    )


async def _poll(work: Work, id_: UUID, row: Mapping[str, Any]) -> None:
    """A mailbox is looked into at once after it was set, and then from time to time; one that is off no more."""
    if row["kind"] != ChannelKind.MAIL:
        return
    key = poll_key(id_)
    if row["enabled"] and row["settings"].get("imapHost"):
        due_at = await work.fetchval("select now()")
        await timers.arm(work, key=key, due_at=due_at, channel=POLL_CHANNEL, payload={"channelId": str(id_)})
        work.owes = True
    else:
        await timers.cancel(work, key)


def poll_key(channel_id: UUID) -> str:
    """The key of a mailbox's timer."""
    return f"mail:{channel_id}"


async def account(work: Work, id_: UUID) -> Account | None:
    """The account with this id, its secrets included."""
    return _account(
        work,
        await work.fetchrow(
            f"select {_COLUMNS} from intake_channel where org_id = callout_org() and id = $1", id_
        ),
    )


async def account_by_code(work: Work, code: str) -> Account | None:
    """The account with this code, its secrets included; None where there is none."""
    if not account_terms.CODE.fullmatch(code):
        return None
    return _account(
        work,
        await work.fetchrow(
            f"select {_COLUMNS} from intake_channel where org_id = callout_org() and code = $1", code
        ),
    )


async def form_account(work: Work) -> Account | None:
    """The organisation's web form: the oldest that is on, or None."""
    return _account(
        work,
        await work.fetchrow(
            f"""
            select {_COLUMNS} from intake_channel
            where org_id = callout_org() and kind = 'web_form' and enabled order by id limit 1
            """
        ),
    )


async def channels(work: Work) -> list[ChannelView]:
    """All accounts, by code."""
    rows = await work.fetch(
        f"select {_COLUMNS} from intake_channel where org_id = callout_org() order by code"
    )
    return [_view(row) for row in rows]


async def channels_by_ids(work: Work, ids: list[UUID]) -> list[ChannelView | None]:
    """Accounts in the order of the ids."""
    rows = await work.fetch(
        f"select {_COLUMNS} from intake_channel where org_id = callout_org() and id = any($1::uuid[])", ids
    )
    found = {row["id"]: _view(row) for row in rows}
    return [found.get(one) for one in ids]


async def reseal(work: Work) -> int:
    """Seal secrets anew that were sealed under an earlier signing secret; how many accounts' are left to do: 0."""
    return await resealing.renew(work, "intake_channel", "secrets")


def _place(id_: UUID) -> str:
    return f"intake_channel/{id_}"


def _account(work: Work, row: Record | None) -> Account | None:
    if row is None:
        return None
    values = {name: row[name] for name in Account.__struct_fields__}
    values |= {
        "settings": msgspec.json.decode(row["settings"]),
        "secrets": work.seal.open(work.org_id, _place(row["id"]), row["secrets"]),
    }
    return Account(**values)


def _view(row: Record) -> ChannelView:
    values = {name: row[name] for name in ChannelView.__struct_fields__ if name != "secrets_set"}
    values["settings"] = msgspec.json.decode(row["settings"])
    return ChannelView(**values, secrets_set=names(row["secrets"]))
