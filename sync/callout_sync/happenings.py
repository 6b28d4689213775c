"""What a command becomes: when it was made, the event, the signature and the picture that follow from it. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from callout_contracts import stamps
from callout_contracts.commands import Payload, Photo, Sign
from callout_dispatch.events import EARLY_MAX, Clocks, Happened, LockedVisit
from callout_dispatch.visit_states import EventKind
from callout_orders import signoff
from callout_sync.attachments import Expected
from callout_sync.clocks import TICK, UNCERTAIN, Reading, in_order
from callout_sync.commands import Read, event_data, event_kind
from callout_sync.holds import Turn

MOVED_VISIBLY = timedelta(seconds=1)
"""A time that its order moved by more than this is flagged; requests of different speed alone move it by less."""


class When(msgspec.Struct, frozen=True):
    """When a command was made, as far as the server can tell, and how far to believe it."""

    at: datetime
    flags: tuple[str, ...]


def pictures(payload: Payload, event: Happened) -> list[Expected]:
    """The picture that an event names, if it does; of a signature's nothing is known but its hash."""
    if isinstance(payload, Photo):
        return [
            Expected(
                event_id=event.id,
                visit_id=event.visit_id,
                kind="photo",
                sha256=bytes.fromhex(payload.sha256),
                media_type=payload.media_type,
                size_bytes=payload.size_bytes,
                caption=payload.caption,
            )
        ]
    if isinstance(payload, Sign) and payload.picture_sha256 is not None:
        return [
            Expected(
                event_id=event.id,
                visit_id=event.visit_id,
                kind="signature",
                sha256=bytes.fromhex(payload.picture_sha256),
                media_type="image/png",
                size_bytes=0,
            )
        ]
    return []


def times(
    turns: Sequence[Turn], locked: dict[UUID, LockedVisit], timed: tuple[int, datetime | None]
) -> dict[UUID, When]:
    """When each command was made; see `callout_sync.clocks`.

    What an earlier batch's last command was dated bounds the ones numbered higher from below. The ones numbered lower it does
    not bound from above: an app that was set up anew may count from one again.
    """
    readings: list[Reading] = []
    flags: list[tuple[str, ...]] = []
    for turn in turns:
        command = turn.item.command
        assert command is not None
        visit = locked.get(command.visit_id) if command.visit_id is not None else None
        created_at = visit.created_at if visit is not None else None
        at, of_time = turn.clocks.correct(
            command.device_time, command.monotonic_ms, command.boot_id, visit_created_at=created_at
        )
        latest = turn.clocks.received_at
        bounds = [] if created_at is None else [created_at - EARLY_MAX]
        if command.seen is not None:
            bounds.append(_instant(stamps.parse(command.seen), latest))
        uncertain = guess = bool(of_time) and not UNCERTAIN.isdisjoint(of_time)
        if timed[1] is not None and command.sequence > timed[0] and timed[1] < latest:
            bounds.append(timed[1] + TICK)
            guess = guess or at <= timed[1]
        exact = not uncertain and turn.clocks.counts(command.monotonic_ms, command.boot_id)
        readings.append(
            Reading(
                at=at,
                trust="exact" if exact else "guess" if guess else "fair",
                latest=latest,
                earliest=max(bounds) if bounds else None,
            )
        )
        flags.append(of_time)
    found: dict[UUID, When] = {}
    for turn, reading, of_time, at in zip(turns, readings, flags, in_order(readings), strict=True):
        moved = abs(at - reading.at) > MOVED_VISIBLY and "time_uncertain" not in of_time
        found.setdefault(turn.item.key, When(at, (*of_time, "time_uncertain") if moved else of_time))
    return found


def _instant(seen: stamps.Stamp, latest: datetime) -> datetime:
    """When the phone had seen a stamp: not after the batch arrived, whatever it says."""
    if seen.ms >= latest.timestamp() * 1000:
        return latest
    return seen.at + TICK


def happened(item: Read, clocks: Clocks, visit: LockedVisit, when: When, forced: bool) -> Happened:
    """The on-site event of a command on a locked visit; `forced`: its predecessor never came."""
    command, payload = item.command, item.payload
    assert command is not None
    assert isinstance(payload, Payload)
    where = command.location
    return Happened(
        id=command.id,
        visit_id=visit.id,
        kind=EventKind(event_kind(command)),
        device_time=command.device_time.astimezone(UTC),
        received_at=clocks.received_at,
        corrected_at=when.at,
        clock_offset_ms=clocks.offset_ms,
        schema_version=command.schema_version,
        source="phone",
        sequence=command.sequence,
        monotonic_ms=command.monotonic_ms,
        boot_id=command.boot_id,
        lat=where.lat if where else None,
        lng=where.lng if where else None,
        accuracy_m=where.accuracy_m if where else None,
        provider=where.provider if where else None,
        mock=where.mock if where else False,
        duration_s=command.duration_s,
        flags=(*when.flags, "predecessor_missing") if forced else when.flags,
        data=event_data(command, payload),
    )


def signature(payload: Sign, event: Happened, order_id: UUID) -> signoff.SignatureRow:
    """The signature that an event came with."""
    return signoff.SignatureRow(
        event_id=event.id,
        visit_id=event.visit_id,
        order_id=order_id,
        decision=payload.decision,
        reason=payload.reason,
        signer_name=payload.signer_name,
        rating=payload.rating,
        strokes=payload.strokes,
        summary=payload.summary,
        signed_at=event.corrected_at,
    )
