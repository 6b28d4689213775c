"""What happened on site, ready to be recorded: the values between a decoded command and the rows. Pure."""

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec

from callout_dispatch.visit_states import EventKind, Outcome, Progress
from callout_geo.geofence import Fix

EARLY_MAX = timedelta(days=1)
"""An event may be older than its visit's row (a call agreed on by telephone), but not by more than this."""
AGE_MAX_MS = 400 * 365 * 86_400_000
"""Older than this nothing is: the years that instants are taken from are fewer."""
OFFSET_TRUSTED_MS = 5 * 60 * 1000
"""A phone whose clock is further off than this, and that was restarted since the event, gives a time that is a guess."""


class Reporter(msgspec.Struct, frozen=True, kw_only=True):
    """Who reports: the engineer behind the device, and where that engineer was last known to be."""

    engineer_id: UUID
    user_id: UUID
    device_id: UUID | None
    fix: Fix | None = None


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """One on-site event. Times are UTC; `clock_offset_ms` is server minus device; `duration_s` is the engineer's own."""

    id: UUID
    visit_id: UUID
    kind: EventKind
    device_time: datetime
    received_at: datetime
    corrected_at: datetime
    clock_offset_ms: int
    schema_version: int
    source: Literal["phone", "link", "desk"]
    sequence: int | None = None
    monotonic_ms: int | None = None
    boot_id: str | None = None
    lat: float | None = None
    lng: float | None = None
    accuracy_m: float | None = None
    provider: str | None = None
    mock: bool = False
    duration_s: float | None = None
    flags: tuple[str, ...] = ()
    data: dict[str, Any] = {}


class LockedVisit(msgspec.Struct, kw_only=True):
    """A visit's row under lock, with what judging an event needs of its site. `held_before`: the reporter once had it;
    `crew`: the reporter works on it beside its engineer."""

    id: UUID
    order_id: UUID
    asset_id: UUID | None
    engineer_id: UUID | None
    plan: Literal["scheduled", "dispatched", "canceled"]
    state: str
    assigned_at: datetime | None
    site_lat: float | None
    site_lng: float | None
    geofence_radius_m: int
    held_before: bool
    created_at: datetime
    progress: Progress
    crew: bool = False


Standing = Literal["own", "reassigned", "canceled", "stranger", "unknown"]


def standing(visit: LockedVisit | None, reporter: Reporter) -> Standing:
    """How a reporter stands to a visit now. Only `own` moves the visit's state; a stranger's event is not recorded. What
    the crew reports is as good as its engineer's."""
    if visit is None:
        return "unknown"
    if visit.engineer_id != reporter.engineer_id and not visit.crew:
        return "reassigned" if visit.held_before else "stranger"
    return "canceled" if visit.plan == "canceled" else "own"


class Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """The phone's clocks at the moment it sent a batch, and the server's instant when that batch arrived."""

    received_at: datetime
    sent_at: datetime
    monotonic_ms: int | None = None
    boot_id: str | None = None

    @property
    def offset_ms(self) -> int:
        """Server minus device, in milliseconds; includes the way of the request."""
        return round((self.received_at - self.sent_at).total_seconds() * 1000)

    def counts(self, monotonic_ms: int | None, boot_id: str | None) -> bool:
        """Whether a reading of the monotonic clock can be compared with the batch's: both of one boot, in order."""
        return (
            boot_id is not None
            and boot_id == self.boot_id
            and monotonic_ms is not None
            and self.monotonic_ms is not None
            and monotonic_ms <= self.monotonic_ms
        )

    def correct(
        self,
        device_time: datetime,
        monotonic_ms: int | None,
        boot_id: str | None,
        *,
        visit_created_at: datetime | None = None,
    ) -> tuple[datetime, tuple[str, ...]]:
        """The server's instant of an event, and flags on how far to believe it.

        In one boot of the phone the monotonic clock counts, and it can be neither set nor skewed: the event lies as far
        before the arrival of the batch as both readings are apart. Otherwise the device's time is moved by the offset
        that the batch itself measured. Nothing can have happened after it was received, and nothing long before its
        visit was made: a phone that lost its clock and says 1970 would otherwise have met every deadline. Of such a time
        only the arrival is known.
        """
        flags: list[str] = []
        if self.counts(monotonic_ms, boot_id) and monotonic_ms is not None and self.monotonic_ms is not None:
            age_ms = self.monotonic_ms - monotonic_ms
            age = timedelta(milliseconds=age_ms) if age_ms <= AGE_MAX_MS else None
        else:
            age = self.sent_at - device_time
            if abs(self.offset_ms) > OFFSET_TRUSTED_MS:
                flags.append("time_uncertain")
        if age is not None and age < timedelta():
            flags.append("time_in_future")
            age = timedelta()
        if age is None or (
            visit_created_at is not None and self.received_at - age < visit_created_at - EARLY_MAX
        ):
            return self.received_at, (*flags, "time_impossible")
        return self.received_at - age, tuple(flags)


def progress_columns(progress: Progress) -> dict[str, Any]:
    """The columns of `visit` that hold a progress; `outcome_id` is stored as the event's UUID."""
    return {
        "accepted_at": progress.accepted_at,
        "travelling_at": progress.travelling_at,
        "arrived_at": progress.arrived_at,
        "first_on_site_at": progress.first_on_site_at,
        "signed_at": progress.signed_at,
        "completed_at": progress.completed_at,
        "could_not_complete_at": progress.could_not_complete_at,
        "left_at": progress.left_at,
        "outcome": progress.outcome,
        "outcome_at": progress.outcome_at,
        "outcome_event_id": UUID(progress.outcome_id) if progress.outcome_id else None,
    }


def progress_of(row: Any) -> Progress:
    """The progress that a row of `visit` holds."""
    outcome: Outcome | None = row["outcome"]
    return Progress(
        base=row["plan"],
        accepted_at=row["accepted_at"],
        travelling_at=row["travelling_at"],
        arrived_at=row["arrived_at"],
        first_on_site_at=row["first_on_site_at"],
        signed_at=row["signed_at"],
        completed_at=row["completed_at"],
        could_not_complete_at=row["could_not_complete_at"],
        left_at=row["left_at"],
        outcome=outcome,
        outcome_at=row["outcome_at"],
        outcome_id=str(row["outcome_event_id"]) if row["outcome_event_id"] else None,
    )
