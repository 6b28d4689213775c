"""Notices in GraphQL: one's own, an order's, and everything that decides about them."""

from datetime import date
from typing import Any, cast
from uuid import UUID

import msgspec
import strawberry

from callout_graphql.connections import PAGE_DEFAULT, Connection, connection, cursor_id, page_size
from callout_graphql.edges import Info
from callout_graphql.types.notices import (
    Notice,
    NoticeAddress,
    NoticeChannel,
    NoticeChannelInput,
    NoticeCount,
    NoticeMessage,
    NoticePlaceholder,
    NoticePreferences,
    NoticePreferencesInput,
    NoticeSettings,
    NoticeSettingsInput,
    NoticeTemplate,
    NoticeText,
)
from callout_orders.notices import channels, reading, retention, settings, states
from callout_orders.notices.sending import settling
from callout_orders.notices.writing import preview, versions
from callout_orders.notices.writing.templates import PLACEHOLDERS, Text
from callout_people.principals import Right
from callout_store.errors import BadField, LimitExceeded, NotAllowed
from callout_store.work import Work

IDS_MAX = 500


@strawberry.type
class NoticeQueries:
    """What may be asked about notices."""

    @strawberry.field
    async def notices(self, info: Info, order_id: UUID, first: int = PAGE_DEFAULT) -> list[Notice]:
        """Who was told what of an order, the newest first."""
        async with info.context.work() as work:
            return cast(list[Notice], await reading.of_order(work, order_id, limit=page_size(first)))

    @strawberry.field
    async def my_notices(
        self, info: Info, unread: bool = False, first: int = PAGE_DEFAULT, after: str | None = None
    ) -> Connection[Notice]:
        """The caller's own notices, the newest first."""
        async with info.context.work() as work:
            return connection(
                await reading.of_user(
                    work,
                    info.context.who.user_id,
                    unread=unread,
                    after=cursor_id(after),
                    limit=page_size(first),
                )
            )

    @strawberry.field
    async def notice_messages(
        self,
        info: Info,
        lane: str | None = None,
        medium: str | None = None,
        state: str | None = None,
        number: str | None = None,
        person: str | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[NoticeMessage]:
        """What went out, the newest first. `state`: queued, sending, delivered, failed (dead letters, to be replayed)."""
        async with info.context.work() as work:
            return connection(
                await reading.messages(
                    work,
                    lane=lane,
                    medium=medium,
                    state=state,
                    number=number,
                    person=person,
                    after=cursor_id(after),
                    limit=page_size(first),
                )
            )

    @strawberry.field
    async def notice_channels(self, info: Info) -> list[NoticeChannel]:
        """Robots, applications, mail servers and gateways, with what waits for them."""
        async with info.context.work() as work:
            return cast(list[NoticeChannel], await channels.page(work))

    @strawberry.field
    async def notice_settings(self, info: Info) -> NoticeSettings:
        """What the organisation decided about notices."""
        async with info.context.work() as work:
            return cast(NoticeSettings, await settings.settings(work))

    @strawberry.field
    async def notice_counts(self, info: Info, since: date, until: date) -> list[NoticeCount]:
        """How many notices there were of each UTC day from `since` to `until`, a year at most."""
        async with info.context.work() as work:
            return cast(list[NoticeCount], await retention.counts(work, since, until))

    @strawberry.field
    async def notice_preferences(self, info: Info, user_id: UUID | None = None) -> NoticePreferences:
        """What a person decided about theirs: the caller, or for admins `userId`."""
        whose = _whose(info, user_id)
        async with info.context.work() as work:
            return await _preferences(work, whose)

    @strawberry.field
    async def notice_templates(
        self, info: Info, medium: str, kind: str = "*", locale: str = "en"
    ) -> list[NoticeTemplate]:
        """The versions of a template, the newest first."""
        async with info.context.work() as work:
            return cast(list[NoticeTemplate], await versions.page(work, medium, kind, locale))

    @strawberry.field
    async def notice_placeholders(self, info: Info, locale: str | None = None) -> list[NoticePlaceholder]:
        """What templates may name."""
        n = 1 if (locale or info.context.locale).startswith("zh") else 0
        return [NoticePlaceholder(name=name, meaning=words[n]) for name, words in PLACEHOLDERS.items()]

    @strawberry.field
    async def preview_notice(
        self,
        info: Info,
        medium: str,
        kind: str,
        locale: str = "en",
        title: str | None = None,
        body: str | None = None,
        order_id: UUID | None = None,
    ) -> NoticeText:
        """A template filled in, with an order that exists or a sample; nothing is stored or sent."""
        async with info.context.work() as work:
            return cast(
                NoticeText,
                await preview.preview(
                    work, medium=medium, kind=kind, locale=locale, title=title, body=body, order_id=order_id
                ),
            )


@strawberry.type
class NoticeMutations:
    """What may be done about notices."""

    @strawberry.mutation
    async def acknowledge_notice(self, info: Info, id: UUID) -> Notice:
        """The caller has the matter in hand: nobody else is called. Twice changes nothing."""
        user_id = info.context.who.user_id

        async def act(work: Work) -> reading.NoticeView | None:
            await states.acknowledge(work, id, user_id=user_id)
            return await reading.by_id(work, id)

        return cast(Notice, await info.context.run(act))

    @strawberry.mutation
    async def read_notices(self, info: Info, ids: list[UUID]) -> int:
        """The caller has read these of their own notices; how many were unread."""
        if len(ids) > IDS_MAX:
            raise LimitExceeded(path="ids", what="notices", limit=IDS_MAX, given=len(ids))
        user_id = info.context.who.user_id
        return await info.context.run(lambda work: states.read_of(work, user_id, ids))

    @strawberry.mutation
    async def set_notice_preferences(
        self, info: Info, input: NoticePreferencesInput, user_id: UUID | None = None
    ) -> NoticePreferences:
        """Say how the caller (for admins: `userId`) wants to be told. Stored whole."""
        whose = _whose(info, user_id)

        async def act(work: Work) -> NoticePreferences:
            await settings.prefer(
                work,
                whose,
                settings.Preference(
                    media=None if input.media is None else tuple(input.media),
                    quiet=input.quiet,
                    time_zone=input.time_zone,
                    locale=input.locale,
                    muted=tuple(input.muted),
                ),
            )
            return await _preferences(work, whose)

        return await info.context.run(act)

    @strawberry.mutation
    async def add_notice_address(
        self, info: Info, medium: str, address: str, user_id: UUID | None = None
    ) -> NoticePreferences:
        """Reach the caller (for admins: `userId`) there too: a chat account's user id, a push token …"""
        whose = _whose(info, user_id)

        async def act(work: Work) -> NoticePreferences:
            await settings.add_address(work, whose, medium, address)
            return await _preferences(work, whose)

        return await info.context.run(act)

    @strawberry.mutation
    async def remove_notice_address(
        self, info: Info, id: UUID, user_id: UUID | None = None
    ) -> NoticePreferences:
        """Reach the caller (for admins: `userId`) there no more."""
        whose = _whose(info, user_id)

        async def act(work: Work) -> NoticePreferences:
            await settings.remove_address(work, whose, id)
            return await _preferences(work, whose)

        return await info.context.run(act)

    @strawberry.mutation
    async def set_notice_settings(self, info: Info, input: NoticeSettingsInput) -> NoticeSettings:
        """Decide for the organisation; what is left out stays."""
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in vars(input).items()
            if value is not None
        }
        if given.get("order_url") == "":
            given["order_url"] = None

        async def act(work: Work) -> settings.NoticeSettings:
            now = await settings.settings(work)
            return await settings.configure(work, msgspec.structs.replace(now, **given))

        return cast(NoticeSettings, await info.context.run(act))

    @strawberry.mutation
    async def save_notice_channel(
        self, info: Info, input: NoticeChannelInput, id: UUID | None = None
    ) -> NoticeChannel:
        """Make a channel, or change the one with this id. Secrets are written and never read out again."""
        new = channels.NewChannel(
            medium=input.medium,
            provider=input.provider,
            name=input.name,
            config=_texts("config", input.config),
            secret=_texts("secret", input.secret),
            team_id=input.team_id,
            per_minute=input.per_minute,
            urgent_reserve=input.urgent_reserve,
            active=input.active,
        )

        async def act(work: Work) -> channels.ChannelView:
            made = await channels.save(work, new, id)
            return next(one for one in await channels.page(work) if one.id == made)

        return cast(NoticeChannel, await info.context.run(act))

    @strawberry.mutation
    async def save_notice_template(
        self,
        info: Info,
        medium: str,
        kind: str,
        locale: str,
        title: str,
        body: str,
        note: str = "",
        activate: bool = False,
    ) -> list[NoticeTemplate]:
        """Keep a template as the next version; with `activate` it is used from now on. Its versions."""

        async def act(work: Work) -> list[versions.TemplateVersion]:
            text = Text(title=title, body=body)
            await versions.save(work, medium, kind, locale, text, note=note, activate=activate)
            return await versions.page(work, medium, kind, locale)

        return cast(list[NoticeTemplate], await info.context.run(act))

    @strawberry.mutation
    async def use_notice_template(
        self, info: Info, medium: str, kind: str, locale: str, version: int
    ) -> list[NoticeTemplate]:
        """Use this version from now on; 0 is the one built in. The template's versions."""

        async def act(work: Work) -> list[versions.TemplateVersion]:
            await versions.use(work, medium, kind, locale, version)
            return await versions.page(work, medium, kind, locale)

        return cast(list[NoticeTemplate], await info.context.run(act))

    @strawberry.mutation
    async def replay_notices(self, info: Info, message_ids: list[UUID]) -> int:
        """Send failed messages again; how many were."""
        if len(message_ids) > IDS_MAX:
            raise LimitExceeded(path="messageIds", what="notices", limit=IDS_MAX, given=len(message_ids))
        return await info.context.run(lambda work: settling.replay(work, message_ids))


def _whose(info: Info, user_id: UUID | None) -> UUID:
    """The caller, or for those who manage users somebody else."""
    who = info.context.who
    if user_id is None or user_id == who.user_id:
        return who.user_id
    if not who.may(Right.USERS_MANAGE):
        raise NotAllowed(role=who.role.value, what=Right.USERS_MANAGE.value)
    return user_id


def _texts(path: str, given: object) -> dict[str, str]:
    """A JSON object of texts."""
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise BadField(path=path, why="it is an object of texts")
    return cast(dict[str, str], given)


async def _preferences(work: Work, user_id: UUID) -> NoticePreferences:
    found = await settings.preference(work, user_id)
    return NoticePreferences(
        media=None if found.media is None else list(found.media),
        quiet=found.quiet,
        time_zone=found.time_zone,
        locale=found.locale,
        muted=list(found.muted),
        addresses=cast(list[NoticeAddress], await settings.addresses(work, user_id)),
    )
