"""Channels' secrets in the database: sealed, never sent elsewhere than they were given for, sealed anew after a change."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import pytest
from telling import SECRET, Telling

from callout_backend.jobs import sweeps
from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_orders.channels import accounts
from callout_orders.channels.accounts import ChannelInput
from callout_orders.notices import channels
from callout_orders.notices.channels import NewChannel
from callout_store.errors import Refusal
from callout_store.sealing import Seal
from callout_store.work import Database

NEW = "tests-new-" + "fedcba9876543210" * 2
MAILBOX = {"address": "desk@example.org", "imapHost": "imap.example.org", "smtpHost": "smtp.example.org"}
PASSWORDS = {"imapPassword": "imap-canary", "smtpPassword": "smtp-canary", "webhookSecret": "hook-canary"}


@pytest.fixture
async def told(db: Database) -> AsyncIterator[Telling]:
    add_hooks(db)
    telling = await Telling(db).build()
    yield telling
    await telling.notifier.close()
    db.seal = Seal(lambda: (SECRET,))


async def mailbox(
    told: Telling, id_: UUID | None = None, *, secrets: Mapping[str, str | None] | None = None, **changed: Any
) -> UUID:
    given = ChannelInput(
        code="desk",
        kind="mail",
        name="Desk",
        settings={**MAILBOX, **changed},
        secrets=PASSWORDS if secrets is None else secrets,
    )
    async with told.db.work(told.world.org, actor=told.world.dispatcher) as work:
        return await accounts.save(work, given, id_=id_)


async def secrets_of(told: Telling, id_: UUID) -> dict[str, str]:
    async with told.db.work(told.world.org) as work:
        found = await accounts.account(work, id_)
    assert found is not None
    return found.secrets


async def robot(told: Telling, id_: UUID | None = None, *, url: str, **secret: str) -> UUID:
    new = NewChannel(
        medium="wecom_robot", provider="wecom_robot", name="R", config={"base_url": url}, secret=secret
    )
    async with told.db.work(told.world.org) as work:
        return await channels.save(work, new, id_)


async def everything_stored(told: Telling) -> str:
    """All rows of both tables as text, as a dump of the database would have them."""
    rows = await told.world.fetch("select c::text as row from intake_channel c")
    rows += await told.world.fetch("select c::text as row from notice_channel c")
    return "\n".join(row["row"] for row in rows)


async def test_a_dump_of_the_database_holds_no_secret(told: Telling) -> None:
    """Whoever finds a backup could read the mailboxes and speak as the robots of every organisation."""
    id_ = await mailbox(told)
    await robot(told, url="https://qyapi.weixin.qq.com", key="robot-canary")
    stored = await everything_stored(told)
    assert "imapPassword" in stored
    assert "canary" not in stored
    assert await secrets_of(told, id_) == PASSWORDS


@pytest.mark.parametrize(
    ("changed", "again"),
    (
        ({"imapHost": "imap.evil.example"}, {"secrets.imapPassword"}),
        ({"imapPort": 1143}, {"secrets.imapPassword"}),
        ({"imapTls": "none"}, {"secrets.imapPassword"}),
        ({"smtpHost": "smtp.evil.example", "smtpTls": "none"}, {"secrets.smtpPassword"}),
        (
            {"imapHost": "x.example", "smtpHost": "x.example"},
            {"secrets.imapPassword", "secrets.smtpPassword"},
        ),
    ),
)
async def test_a_password_is_not_sent_to_another_server(
    told: Telling, changed: dict[str, Any], again: set[str]
) -> None:
    """Who may set a mailbox, and cannot read its password, would point it at a server of their own and read it there."""
    id_ = await mailbox(told)
    with pytest.raises(Refusal) as refused:
        await mailbox(told, id_, secrets={}, **changed)
    several = refused.value.extensions().get("errors")
    paths = {one["path"] for one in several} if several else {refused.value.path}
    assert paths == again
    await mailbox(told, id_, secrets={}, imapFolder="Desk")
    given = {name: "fresh" for name in ("imapPassword", "smtpPassword")}
    await mailbox(told, id_, secrets=given, **changed)
    assert await secrets_of(told, id_) == {**PASSWORDS, **given}


async def test_a_robots_key_is_not_sent_to_another_server(told: Telling) -> None:
    """The same for the key of a robot, which is part of the address that is called."""
    id_ = await robot(told, url="https://qyapi.weixin.qq.com", key="k-1")
    with pytest.raises(Refusal) as refused:
        await robot(told, id_, url="https://evil.example")
    assert refused.value.path == "secret.key"
    assert await robot(told, id_, url="https://proxy.example", key="k-2") == id_
    assert await robot(told, id_, url="https://proxy.example") == id_


async def test_a_changed_signing_secret_loses_no_channel(told: Telling, settings: Settings) -> None:
    """After a changed signing secret every channel would be dumb, and its passwords known to nobody."""
    id_ = await mailbox(told)
    await robot(told, url="https://qyapi.weixin.qq.com", key="k-1")
    told.db.seal = Seal(lambda: (NEW, SECRET))
    assert await secrets_of(told, id_) == PASSWORDS
    await told.world.value("update timer set due_at = now() where key = $1 returning 1", sweeps.KEY)
    handlers = make_handlers(settings)
    await drain(told.db, {sweeps.CHANNEL: handlers[sweeps.CHANNEL]}, only=True)
    told.db.seal = Seal(lambda: (NEW,))
    assert await secrets_of(told, id_) == PASSWORDS
    assert told.db.seal.key_id in await everything_stored(told)


async def test_a_lost_signing_secret_is_mended_by_entering_again(told: Telling) -> None:
    """An account that can be neither read nor saved any more would have to be mended in the database by hand."""
    id_ = await mailbox(told)
    told.db.seal = Seal(lambda: (NEW,))
    given = {"imapPassword": "i", "smtpPassword": "s", "webhookSecret": "w"}
    await mailbox(told, id_, secrets=given)
    assert await secrets_of(told, id_) == given


def test_earlier_signing_secrets_are_read_from_the_environment() -> None:
    """A short one would be a typing error that nobody notices before the channels fall silent."""
    found = Settings.from_env({"CALLOUT_SECRET_BEFORE": f"{NEW}, {SECRET}"})
    assert found.secrets_before == (NEW, SECRET)
    with pytest.raises(ValueError, match="CALLOUT_SECRET_BEFORE"):
        Settings.from_env({"CALLOUT_SECRET_BEFORE": "short"})
