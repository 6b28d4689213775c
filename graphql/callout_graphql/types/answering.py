"""Types of the agent's desk: what waits for an answer, teams and duty, the directory, to-dos."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from callout_graphql.connections import Connection
from callout_graphql.edges import edge
from callout_graphql.scalars import JSON
from callout_orders.desk import todo_reading

if TYPE_CHECKING:
    from callout_graphql.types.desk import WorkOrder


@strawberry.type
class DeskOrder:
    """An order as the desk sees it.

    `remainingSeconds` counts to the first response while that is owed, then to the resolution, in working time as of the
    page's `now`; `markAt`: when three minutes of it are left; `paused`: that stands still; `late`: it is over. `red`: P0.
    `flag`: nobody_on_duty, nobody_answers, no_team. `byWhat`: how it came to its handler (intake, fallback, supervisor,
    taken, handed). `epoch` is to be given with `takeOver` and
    `handOn`.
    """

    order_id: UUID
    number: str
    priority: str
    red: bool
    kind: str
    state: str
    channel: str
    description: str
    customer_name: str
    site_name: str
    reporter_name: str | None
    reporter_phone: str | None
    serial: str | None
    error_code: str | None
    tags: list[str]
    duplicates: int
    team_id: UUID | None
    team_code: str | None
    team_name_en: str | None
    team_name_zh: str | None
    handler_id: UUID | None
    handler_name: str | None
    handler_presence: str
    handler_since: datetime | None
    by_what: str | None
    epoch: int
    flag: str | None
    hold_reason: str | None
    created_at: datetime
    due_at: datetime
    responded_at: datetime | None
    resolve_due_at: datetime
    remaining_seconds: int
    paused: bool
    mark_at: datetime | None
    late: bool

    order: Annotated["WorkOrder", strawberry.lazy("callout_graphql.types.desk")] | None = edge(
        "orders", "order_id", "The order itself."
    )


@strawberry.type
class DeskPage(Connection[DeskOrder]):
    """A page of the desk as it was at `now`, by the server's clock."""

    now: datetime


@strawberry.type
class RightHolder:
    """Somebody who may take an order over, hand it on and move its deadline. `by`: fallback (on duty, the `rank`th to be
    asked, until `until`) or supervisor."""

    user_id: UUID
    name: str
    by: str
    rank: int | None
    until: datetime | None


@strawberry.type
class Handed:
    """Who has an order now; `epoch` is to be given with the next act."""

    order_id: UUID
    handler_id: UUID | None
    team_id: UUID | None
    epoch: int


@strawberry.type
class MovedDeadline:
    """A deadline that was moved for a time: `originalDueAt` stands again after `until`."""

    order_id: UUID
    milestone: str
    due_at: datetime | None
    original_due_at: datetime | None
    until: datetime


@strawberry.type
class FirstResponse:
    """The first answer that counts. `first`: whether this call gave it."""

    order_id: UUID
    responded_at: datetime
    first: bool


@strawberry.type
class Presence:
    """Whether somebody is at their desk: `state` is online, away or offline. Without a heartbeat for 90 seconds: offline."""

    user_id: UUID
    state: str
    since: datetime | None
    seen_at: datetime | None
    by_hand: bool


@strawberry.type
class TeamMember:
    """A member of a team; `lead`: one who supervises it."""

    user_id: UUID
    name: str
    lead: bool
    active: bool


@strawberry.type
class TeamDuty:
    """An interval of duty in the team's local time: of a weekday (0 is Monday) or of a date, whose rows stand in place of its
    weekday's. What ends before it starts ends on the next day. Nobody on a date: `userId` is null."""

    user_id: UUID | None
    name: str | None
    rank: int
    weekday: int | None
    on_date: date | None
    starts: str
    ends: str


@strawberry.type
class OnDuty:
    """Somebody who stands in now, until `until`; `rank` 1 is asked first."""

    user_id: UUID
    rank: int
    until: datetime


@strawberry.type
class Team:
    """Who answers for some orders. Empty `kinds`, `channels`, `territoryIds`: any. An order without an answer is turned over
    when `lateMinutes` of its first response are left, or its handler was offline for `offlineMinutes`, and goes on after
    `stepMinutes`. A fallback may move deadlines by `moveMinutesMax`, for `moveHoursMax`."""

    id: UUID
    code: str
    name_en: str
    name_zh: str
    time_zone: str
    kinds: list[str]
    channels: list[str]
    territory_ids: list[UUID]
    is_default: bool
    active: bool
    late_minutes: int
    offline_minutes: int
    step_minutes: int
    move_minutes_max: int
    move_hours_max: int
    revision: int
    members: list[TeamMember]
    duties: list[TeamDuty]
    on_duty: list[OnDuty]


@strawberry.type
class StaffPost:
    """An office that somebody holds: everywhere, or for a territory, a team, or both."""

    post: str
    territory_id: UUID | None
    team_id: UUID | None


@strawberry.type
class ResponseTime:
    """How fast somebody gave first answers in the last `days`, counted from the journal."""

    days: int
    answers: int
    mean_seconds: float | None


@strawberry.type
class StaffEntry:
    """Somebody in the directory: what they answer for and how they are reached. `chatIds`: chat program to their id there."""

    user_id: UUID
    name: str
    email: str
    role: str
    department: str | None
    title: str
    phone: str | None
    chat_ids: JSON
    kinds: list[str]
    revision: int
    posts: list[StaffPost]
    teams: list[UUID]
    presence: str
    response: ResponseTime


@strawberry.type
class Answering:
    """Who answers for such orders: the team and by what it was chosen (territory, kind, channel, any, default), its members
    with the least in hand first, who of them is online, and who stands in."""

    team_id: UUID | None
    team_by: list[str]
    members: list[UUID]
    online: list[UUID]
    fallback: list[RightHolder]
    supervisors: list[RightHolder]


@strawberry.type
class Todo:
    """Something that a person has to do. `state`: open, acknowledged, done, canceled."""

    id: UUID
    user_id: UUID
    order_id: UUID | None
    kind: str
    data: JSON
    state: str
    urgent: bool
    due_at: datetime | None
    created_at: datetime
    acknowledged_at: datetime | None
    ended_at: datetime | None

    order: Annotated["WorkOrder", strawberry.lazy("callout_graphql.types.desk")] | None = edge(
        "orders", "order_id", "The order that it is about."
    )

    @strawberry.field
    def text(root: strawberry.Parent[todo_reading.TodoView], locale: str = "en") -> str:
        """What is to be done, in `en` or `zh`."""
        return root.text_zh if locale.startswith("zh") else root.text_en


@strawberry.input
class DeskFilter:
    """Which orders; what is left out matters not. `answered` left out: both, those without an answer first. `mine`: the
    caller's. `nobodys`: those that nobody has."""

    answered: bool | None = None
    team_id: UUID | None = None
    handler_id: UUID | None = None
    mine: bool = False
    nobodys: bool = False
    flagged: bool = False
    priorities: list[str] = strawberry.field(default_factory=list)
    kinds: list[str] = strawberry.field(default_factory=list)
    tag: str | None = None
    order_id: UUID | None = None


@strawberry.input
class DirectoryFilter:
    """Whom to look for: by a kind of order they answer for, a department, a part of the name, a post."""

    kind: str | None = None
    department: str | None = None
    name: str | None = None
    post: str | None = None


@strawberry.input
class TeamMemberInput:
    """A user of the house, and whether they lead the team."""

    user_id: UUID
    lead: bool = False


@strawberry.input
class TeamInput:
    """A team, whole; see `Team`."""

    code: str
    name_en: str
    name_zh: str
    time_zone: str
    kinds: list[str] = strawberry.field(default_factory=list)
    channels: list[str] = strawberry.field(default_factory=list)
    territory_ids: list[UUID] = strawberry.field(default_factory=list)
    members: list[TeamMemberInput] = strawberry.field(default_factory=list)
    is_default: bool = False
    active: bool = True
    late_minutes: int = 3
    offline_minutes: int = 5
    step_minutes: int = 1
    move_minutes_max: int = 120
    move_hours_max: int = 24


@strawberry.input
class DutyInput:
    """An interval of duty, such as weekday 0 (Monday) from 22:00 to 06:00; see `TeamDuty`."""

    starts: str
    ends: str
    user_id: UUID | None = None
    rank: int = 1
    weekday: int | None = None
    on_date: date | None = None


@strawberry.input
class ChatId:
    """A person's id in a chat program, such as wecom."""

    program: str
    id: str


@strawberry.input
class StaffInput:
    """A person's entry of the directory, whole."""

    department: str
    title: str = ""
    phone: str | None = None
    chat_ids: list[ChatId] = strawberry.field(default_factory=list)
    kinds: list[str] = strawberry.field(default_factory=list)


@strawberry.input
class PostInput:
    """An office: everywhere, or for a territory, a team, or both."""

    post: str
    territory_id: UUID | None = None
    team_id: UUID | None = None
