"""Types of notices: who was told what, and how an organisation and its people want to be told."""

from datetime import date, datetime
from uuid import UUID

import strawberry

from callout_graphql.scalars import JSON
from callout_orders.notices import reading
from callout_orders.notices.writing import texts
from callout_orders.notices.writing.templates import LINK


@strawberry.type
class Notice:
    """One notice to one person by one medium. `state`: held (quiet hours), queued, sending, delivered, failed, read,
    acknowledged. `digest`: it went in a message that tells of several; `messageId` says in which. `unsure`: an answer was
    lost, it may have arrived twice. `fallbackOf`: the notice that it stands in for."""

    id: UUID
    order_id: UUID | None
    kind: str
    name: str
    user_id: UUID | None
    contact_id: UUID | None
    role: str
    medium: str
    locale: str
    urgent: bool
    wants_ack: bool
    title: str
    state: str
    due_at: datetime
    digest: bool
    message_id: UUID | None
    fallback_of: UUID | None
    attempts: int
    provider_ref: str | None
    unsure: bool
    error: str | None
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    failed_at: datetime | None
    read_at: datetime | None
    acknowledged_at: datetime | None

    @strawberry.field
    def body(root: strawberry.Parent[reading.NoticeView]) -> str:
        """What it says; the reader's own link is left out."""
        return root.body.replace(LINK, "…")

    @strawberry.field
    def role_label(root: strawberry.Parent[reading.NoticeView], locale: str = "en") -> str:
        """What the person is in the matter, in `en` or `zh`."""
        return texts.ROLES[root.role][1 if locale.startswith("zh") else 0]


@strawberry.type
class NoticeMessage:
    """What went over the wire, or to the sink (`lane` "sink"): one notice, a group's, or a digest."""

    id: UUID
    lane: str
    medium: str
    address: str
    mentions: list[str]
    urgent: bool
    digest: bool
    wants_ack: bool
    locale: str
    subject: str
    state: str
    unsure: bool
    attempts: int
    provider_ref: str | None
    error: str | None
    created_at: datetime
    ended_at: datetime | None
    numbers: list[str]
    names: list[str]

    @strawberry.field
    def body(root: strawberry.Parent[reading.MessageView]) -> str:
        """What it says; the reader's own link is left out."""
        return root.body.replace(LINK, "…")


@strawberry.type
class NoticeChannel:
    """A robot, application, mail server or gateway. Of its secrets only the names are shown. `restUntil`: its provider is
    away or throttles; `waiting`: notices that wait for it."""

    id: UUID
    medium: str
    provider: str
    name: str
    team_id: UUID | None
    config: JSON
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


@strawberry.input
class NoticeChannelInput:
    """A channel to be made or changed; of a change, secrets that are not given stay."""

    medium: str
    provider: str
    name: str
    config: JSON | None = None
    secret: JSON | None = None
    team_id: UUID | None = None
    per_minute: int | None = None
    urgent_reserve: int | None = None
    active: bool = True


@strawberry.type
class NoticeSettings:
    """Of the organisation. Media are tried in their order; `quiet` is written 22:00-07:00, empty for none.
    `keepDays`: so long are notices kept in full, afterwards only how many there were."""

    staff_media: list[str]
    customer_media: list[str]
    quiet: str
    fallback_minutes: int
    acknowledge_seconds: int
    mail_pixel: bool
    order_url: str | None
    keep_days: int


@strawberry.type
class NoticeCount:
    """So many notices of a UTC day by one medium with one outcome, those that were forgotten since then included."""

    day: date
    medium: str
    state: str
    notices: int


@strawberry.input
class NoticeSettingsInput:
    """What is left out stays as it is."""

    staff_media: list[str] | None = None
    customer_media: list[str] | None = None
    quiet: str | None = None
    fallback_minutes: int | None = None
    acknowledge_seconds: int | None = None
    mail_pixel: bool | None = None
    order_url: str | None = None
    keep_days: int | None = None


@strawberry.type
class NoticeAddress:
    """Where a person is reached; `broken`: the provider said that nobody is there."""

    id: UUID
    medium: str
    address: str
    broken: bool


@strawberry.type
class NoticePreferences:
    """Of one person; null: as the organisation has it. `muted` kinds are told only where urgent."""

    media: list[str] | None
    quiet: str | None
    time_zone: str | None
    locale: str | None
    muted: list[str]
    addresses: list[NoticeAddress]


@strawberry.input
class NoticePreferencesInput:
    """Stored whole: what is left out is as the organisation has it."""

    media: list[str] | None = None
    quiet: str | None = None
    time_zone: str | None = None
    locale: str | None = None
    muted: list[str] = strawberry.field(default_factory=list)


@strawberry.type
class NoticeTemplate:
    """One version of a template; it is never changed. Version 0 is built in; kind `*` stands for those without their own."""

    medium: str
    kind: str
    locale: str
    version: int
    title: str
    body: str
    note: str
    active: bool
    created_at: datetime | None
    created_by: UUID | None


@strawberry.type
class NoticeText:
    """A template filled in."""

    title: str
    body: str


@strawberry.type
class NoticePlaceholder:
    """What a template may name, written `{{ name }}`."""

    name: str
    meaning: str
