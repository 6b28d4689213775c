"""Types of dispatch: visits and what happened on them, engineers, decisions, proposals, the board."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import strawberry

from callout_dispatch import views
from callout_dispatch.board import BoardEngineer
from callout_dispatch.pick_terms import Reason
from callout_dispatch.pick_texts import explain
from callout_dispatch.whole_day import DayUnassigned as UnassignedView
from callout_graphql.context import Context
from callout_graphql.edges import Info, edge
from callout_graphql.scalars import JSON, Long
from callout_graphql.types.arrivals import Eta
from callout_graphql.types.attachments import Attachment
from callout_graphql.types.desk import Signature, SkillLevel, StockLevel, WorkOrder


@strawberry.type
class Skill:
    """A skill of the organisation, with its name in the caller's language."""

    code: str

    @strawberry.field
    def name(root: strawberry.Parent[views.SkillView], info: Info) -> str:
        """The name in the caller's language."""
        return root.name_zh if info.context.locale.startswith("zh") else root.name_en


@strawberry.type
class Position:
    """A point on earth, WGS-84 degrees; `accuracyM` is the radius of the fix in metres, where it was one."""

    lat: float
    lng: float
    accuracy_m: float | None = None
    at: datetime | None = None


@strawberry.type
class Engineer:
    """Someone who goes out. `online`: seen within the last minutes and not absent."""

    id: UUID
    user_id: UUID
    name: str
    territory_id: UUID | None
    last_seen_at: datetime | None
    online: bool
    active: bool

    @strawberry.field
    def home(root: strawberry.Parent[views.EngineerView]) -> Position:
        """Where the engineer's day begins."""
        return Position(lat=root.home_lat, lng=root.home_lng)

    @strawberry.field
    def position(root: strawberry.Parent[views.EngineerView]) -> Position | None:
        """Where the engineer was last."""
        if root.last_lat is None or root.last_lng is None:
            return None
        return Position(
            lat=root.last_lat, lng=root.last_lng, accuracy_m=root.last_accuracy_m, at=root.last_position_at
        )

    skills: list[SkillLevel] = edge("skills_of_engineer", "id", "What the engineer can do.")

    stock: list[StockLevel] = edge("stock_of_holder", "id", "What is on the van.")


@strawberry.type
class OnSiteEvent:
    """Something that happened on a visit, as a phone or a link told it; never changed.

    `at` is the phone's time corrected by its measured offset; `geofence` is the verdict on the place: inside, near,
    outside or unknown.
    """

    id: UUID
    visit_id: UUID
    order_id: UUID
    asset_id: UUID | None
    engineer_id: UUID | None
    actor_id: UUID | None
    device_id: UUID | None
    kind: str
    device_time: datetime
    received_at: datetime
    clock_offset_ms: Long
    monotonic_ms: Long | None
    lat: float | None
    lng: float | None
    accuracy_m: float | None
    provider: str | None
    mock: bool
    duration_s: float | None
    schema_version: int
    source: str
    geofence: str
    geofence_distance_m: float | None
    device_sequence: Long | None
    boot_id: str | None
    flags: list[str]
    data: JSON

    @strawberry.field
    def at(root: strawberry.Parent[views.EventView]) -> datetime:
        """When it happened, on the server's clock."""
        return root.corrected_at


@strawberry.type
class Visit:
    """One engineer at one site for one order.

    `state`: scheduled, dispatched, accepted, travelling, in_progress, completed, could_not_complete, canceled.
    `hold`: what a dispatcher pinned by hand, engineer, or time (and engineer); no plan or pick moves that.
    `legProvider`: who reckoned the way there when it was planned, estimate, osrm or valhalla; `legMetres` on the road.
    """

    id: UUID
    order_id: UUID
    number: int
    plan: str
    state: str
    engineer_id: UUID | None
    scheduled_start: datetime | None
    scheduled_end: datetime | None
    travel_minutes: float | None
    assigned_at: datetime | None
    accepted_at: datetime | None
    travelling_at: datetime | None
    arrived_at: datetime | None
    signed_at: datetime | None
    left_at: datetime | None
    completed_at: datetime | None
    could_not_complete_at: datetime | None
    outcome: str | None
    ended_at: datetime | None
    created_at: datetime
    engineer_note: str
    hold: str | None
    leg_provider: str | None
    leg_metres: float | None
    revision: int

    order: WorkOrder | None = edge("orders", "order_id", "The order that it serves.")

    engineer: Engineer | None = edge("engineers", "engineer_id", "Who goes.")

    crew: list[Engineer] = edge("crew_of_visit", "id", "Who else works on it, and has it on the phone.")

    events: list[OnSiteEvent] = edge(
        "events_of_visit", "id", "What happened, in the order of corrected time."
    )

    signatures: list[Signature] = edge("signatures_of_visit", "id", "The customer's sign-offs.")

    eta: Eta | None = edge("eta_of_visit", "id", "When the engineer is expected; null once they are there.")

    attachments: list[Attachment] = edge("attachments_of_visit", "id", "Its pictures, the oldest first.")


@strawberry.type
class DispatchDecision:
    """Who was sent and why. `method`: pick, day, hand, red or plan; `result` is the whole pick as it was recorded."""

    id: UUID
    order_id: UUID
    visit_id: UUID | None
    at: datetime
    method: str
    policy_version: str
    engineer_id: UUID | None
    actor_id: UUID | None
    reason: str
    result: JSON


@strawberry.type
class PickReason:
    """Why not: a code, and the half sentence for a person."""

    code: str
    text: str


@strawberry.type
class PickScore:
    """A part of a score, from 0 to 1: sla, travel, skill_fit, hours, visits, preferred, parts, disruption."""

    component: str
    value: float


@strawberry.type
class PickCandidate:
    """An engineer who can go: score from 0 to 100, the earliest slot, and what speaks against.

    The slot's start is the expected arrival, `setOut` when to leave for it; `crew` go along where the order asks for more
    than one.
    """

    engineer_id: UUID
    name: str
    score: float
    scores: list[PickScore]
    slot_start: datetime
    slot_end: datetime
    set_out: datetime
    travel_minutes: float
    crew: list[UUID]
    notes: list[PickReason]


@strawberry.type
class PickExclusion:
    """An engineer who cannot go, with every reason found."""

    engineer_id: UUID
    name: str
    reasons: list[PickReason]


@strawberry.type
class PickResult:
    """A proposal: the best engineers first, and why not each of the others (as many as were asked for)."""

    order_id: UUID
    policy_version: str
    best: UUID | None
    ranked_count: int
    out_count: int
    ranked: list[PickCandidate]
    out: list[PickExclusion]


@strawberry.type
class BoardVisit:
    """A visit on the board, with what a dispatcher reads of its order and site.

    `leads` is false where the lane's engineer works in the crew; `atRisk`: little of the promise to arrive is left.
    """

    id: UUID
    order_id: UUID
    order_number: str
    number: int
    priority: str
    kind: str
    state: str
    plan: str
    start: datetime
    end: datetime
    travel_minutes: float
    arrive_due_at: datetime
    site_id: UUID
    site_name: str
    lat: float | None
    lng: float | None
    revision: int
    hold: str | None
    leads: bool
    requested_from: datetime | None
    requested_until: datetime | None
    arrived_at: datetime | None
    ended_at: datetime | None
    eta: datetime | None
    at_risk: bool


@strawberry.type
class Stretch:
    """A stretch of time [start, end)."""

    start: datetime
    end: datetime


@strawberry.type
class BoardBreak:
    """A break of so many minutes that lies somewhere within [earliest, latest]."""

    earliest: datetime
    latest: datetime
    minutes: int


@strawberry.type
class BoardDay:
    """One local day of an engineer; minutes of the board's time. `atRisk` and `conflicts` are how many there are."""

    day: date
    shift_minutes: float
    work_minutes: float
    travel_minutes: float
    idle_minutes: float
    visits: int
    at_risk: int
    conflicts: int


@strawberry.type
class BoardConflict:
    """What does not fit: a code, at which visit, with which other one, by how many minutes, and a sentence.

    Codes: OVERLAP, OUTSIDE_SHIFT, ABSENT, WAY_TOO_SHORT, NO_ROOM_FOR_BREAK, OUTSIDE_WINDOW, AFTER_DUE,
    CREW_INCOMPLETE.
    """

    code: str
    at: datetime
    visit_id: UUID | None
    other_id: UUID | None
    minutes: int | None
    text: str


@strawberry.type
class BoardRow:
    """An engineer's lane. Minutes are of the board's time; `overbooked` when there is less shift than work."""

    id: UUID
    name: str
    territory_id: UUID | None
    online: bool
    active: bool
    lat: float
    lng: float
    visits: list[BoardVisit]
    shift_minutes: float
    load_minutes: float
    travel_minutes: float
    idle_minutes: float
    overbooked: bool
    breaks: list[BoardBreak]
    days: list[BoardDay]

    @strawberry.field
    def conflicts(root: strawberry.Parent[BoardEngineer], info: Info) -> list[BoardConflict]:
        """What does not fit, in order of time."""
        locale = info.context.locale
        return [
            BoardConflict(
                code=one.code.value,
                at=one.at,
                visit_id=UUID(one.visit_id) if one.visit_id else None,
                other_id=UUID(one.other_id) if one.other_id else None,
                minutes=one.minutes,
                text=one.text(locale),
            )
            for one in root.conflicts
        ]

    @strawberry.field
    def shifts(root: strawberry.Parent[BoardEngineer]) -> list[Stretch]:
        """When the engineer works."""
        return [Stretch(start=start, end=end) for start, end in root.shifts]

    @strawberry.field
    def absences(root: strawberry.Parent[BoardEngineer]) -> list[Stretch]:
        """When the engineer is away."""
        return [Stretch(start=start, end=end) for start, end in root.absences]


@strawberry.type
class Board:
    """The lanes of [start, end), by name of engineer; days are those of `timeZone`."""

    start: datetime
    end: datetime
    time_zone: str
    end_cursor: str | None
    has_more: bool
    rows: list[BoardRow]


@strawberry.type
class DayAssigned:
    """An order that got a visit."""

    order_id: UUID
    visit_id: UUID
    engineer_id: UUID
    start: datetime
    end: datetime
    travel_minutes: float


@strawberry.type
class ReasonCount:
    """How many engineers a reason ruled out."""

    code: str
    engineers: int


@strawberry.type
class DayUnassigned:
    """An order that nobody can take."""

    order_id: UUID
    number: str

    @strawberry.field
    def reasons(root: strawberry.Parent[UnassignedView]) -> list[ReasonCount]:
        """What ruled engineers out, and how many."""
        return [ReasonCount(code=code, engineers=count) for code, count in sorted(root.reasons.items())]


@strawberry.type
class DayResult:
    """What became of a day: `considered` orders waited; each is in one of the two lists."""

    considered: int
    assigned: list[DayAssigned]
    unassigned: list[DayUnassigned]


def pick_result(proposal: Any, context: Context, first: int) -> PickResult:
    """A proposal as a type, its reasons in the caller's language."""

    def reasons(given: tuple[Reason, ...]) -> list[PickReason]:
        return [PickReason(code=r.code.value, text=explain(r, context.locale)) for r in given]

    result, names = proposal.result, proposal.names
    return PickResult(
        order_id=proposal.order.id,
        policy_version=result.policy_version,
        best=UUID(result.best) if result.best else None,
        ranked_count=len(result.ranked),
        out_count=len(result.out),
        ranked=[
            PickCandidate(
                engineer_id=UUID(r.id),
                name=names.get(r.id, ""),
                score=r.score,
                scores=[PickScore(component=name, value=value) for name, value in r.components.items()],
                slot_start=r.slot_start,
                slot_end=r.slot_end,
                set_out=r.set_out,
                travel_minutes=r.travel_minutes,
                crew=[UUID(id_) for id_ in r.crew],
                notes=reasons(r.notes),
            )
            for r in result.ranked[:first]
        ],
        out=[
            PickExclusion(engineer_id=UUID(o.id), name=names.get(o.id, ""), reasons=reasons(o.reasons))
            for o in result.out[:first]
        ],
    )
