"""Edits of phones for tests, straight into `callout_sync.edits` in a transaction of the phone's."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from worlds import Phone, World

from callout_contracts import stamps
from callout_contracts.commands import Command, Edit
from callout_dispatch.events import Reporter
from callout_store.ids import new_id
from callout_store.work import Work
from callout_sync import conflicts, edits
from callout_sync.edits import EditItem, EditResult

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def item(
    phone: Phone,
    entity: str,
    id_: UUID,
    *,
    at_s: float = 0,
    sequence: int | None = None,
    horizon: int | None = None,
    **payload: Any,
) -> EditItem:
    """An edit that the phone made so many seconds after noon."""
    if sequence is None:
        phone.sequence += 1
        sequence = phone.sequence
    made_at = NOON + timedelta(seconds=at_s)
    received_at = max(made_at, NOON + timedelta(hours=9))
    return EditItem(
        command=msgspec.convert(
            {
                "id": new_id(),
                "sequence": sequence,
                "schemaVersion": 2,
                "kind": "record.edit",
                "deviceTime": made_at,
                "location": {"lat": 37.7 + min(at_s, 100) / 1000, "lng": -122.4},
                "payload": {},
            },
            Command,
        ),
        payload=msgspec.convert({"entity": entity, "id": id_, **payload}, Edit),
        stamp=stamps.mint(
            made_at=made_at, received_at=received_at, seen=None, sequence=sequence, device=phone.device_id
        ),
        made_at=made_at,
        received_at=received_at,
        base_horizon=horizon,
    )


async def write(phone: Phone, *items: EditItem) -> list[EditResult]:
    """Apply edits in one transaction of the phone's."""
    assert phone.actor.user_id is not None
    reporter = Reporter(engineer_id=phone.engineer_id, user_id=phone.actor.user_id, device_id=phone.device_id)

    async def act(work: Work) -> list[EditResult]:
        return await edits.apply(work, items, reporter)

    return await phone.world.db.run(phone.world.org, act, actor=phone.actor)


async def desk(world: World, entity: str, id_: UUID, base_revision: int, **changes: Any) -> EditResult:
    """The dispatcher writes."""
    return await world.db.run(
        world.org,
        lambda work: edits.apply_at_desk(
            work, entity=entity, id=id_, base_revision=base_revision, changes=changes
        ),
        actor=world.dispatcher,
    )


async def cards(world: World, state: str | None = "open") -> list[conflicts.Conflict]:
    """The dispatcher's cards, newest first."""
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        return await conflicts.page(work, state=state)
