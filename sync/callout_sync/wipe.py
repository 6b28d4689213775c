"""Wiping a phone on its next contact.

`after_upload`: the phone is told with its next pull, sends what it still has, forgets everything and confirms. `stolen`:
nothing more is taken from it and nothing given to it; its session stays open only so that it learns to forget.
"""

from enum import StrEnum
from uuid import UUID

from callout_people.sessions import mark_device_wiped
from callout_people.texts import line
from callout_store.errors import DeviceRequired, NotFound, WrongState
from callout_store.journal import Entry, write
from callout_store.work import Work
from callout_sync.devices import revoke
from callout_sync.poke import tell

REASON_MAX = 200


class WipeMode(StrEnum):
    """What is to become of work that the phone has not sent yet."""

    AFTER_UPLOAD = "after_upload"
    STOLEN = "stolen"


async def request_wipe(work: Work, device_id: UUID, mode: WipeMode, reason: str) -> None:
    """Ask a phone to forget everything; asked again, the newer mode and reason hold.

    Waits for a push of this phone that is about to commit; every later one of a stolen phone is refused. Raises NotFound,
    BadField, WrongState for a phone that was revoked (it has no way left to learn of it) or is wiped.
    """
    why = line(reason, "reason", limit=REASON_MAX)
    row = await _locked(work, device_id)
    if row["revoked_at"] is not None:
        raise WrongState(entity="device", state=_state(row), needed="a device that is not revoked")
    if (row["wipe_mode"], row["wipe_reason"]) == (mode.value, why):
        return
    await work.execute(
        """
        update device set wipe_mode = $2, wipe_reason = $3, wipe_requested_at = $4, wipe_requested_by = $5
        where org_id = callout_org() and id = $1
        """,
        device_id,
        mode.value,
        why,
        work.now,
        work.actor.user_id,
    )
    await mark_device_wiped(work, device_id, mode is WipeMode.STOLEN)
    await _note(work, device_id, "device.wipe_requested", {"mode": mode.value, "reason": why})
    await tell(work, [device_id])


async def cancel_wipe(work: Work, device_id: UUID) -> None:
    """Take the wish back; nothing happens where there was none. Raises NotFound, WrongState where it was carried out."""
    row = await _locked(work, device_id)
    if row["wiped_at"] is not None:
        raise WrongState(entity="device", state=_state(row), needed="a device that is not wiped yet")
    if row["wipe_mode"] is None:
        return
    await work.execute(
        """
        update device set wipe_mode = null, wipe_reason = null, wipe_requested_at = null, wipe_requested_by = null
        where org_id = callout_org() and id = $1
        """,
        device_id,
    )
    await mark_device_wiped(work, device_id, False)
    await _note(work, device_id, "device.wipe_canceled", {"mode": row["wipe_mode"]})
    await tell(work, [device_id])


async def confirm_wipe(work: Work) -> None:
    """The phone of this unit of work's actor forgot everything: it is revoked and its sessions end.

    Raises DeviceRequired, WrongState where nobody asked for it.
    """
    device_id = work.actor.device_id
    if device_id is None:
        raise DeviceRequired(what="confirmWipe")
    row = await _locked(work, device_id)
    if row["wipe_mode"] is None:
        raise WrongState(entity="device", state=_state(row), needed="a wipe that the office asked for")
    if row["wiped_at"] is None:
        await work.execute(
            "update device set wiped_at = $2, pending = 0 where org_id = callout_org() and id = $1",
            device_id,
            work.now,
        )
        await _note(work, device_id, "device.wiped", {"mode": row["wipe_mode"], "pending": row["pending"]})
    await revoke(work, device_id, "wiped")


async def _locked(work: Work, device_id: UUID) -> dict[str, object]:
    row = await work.fetchrow(
        """
        select user_id, revoked_at, wipe_mode, wipe_reason, wiped_at, pending
        from device where org_id = callout_org() and id = $1 for update
        """,
        device_id,
    )
    if row is None:
        raise NotFound(entity="device")
    return dict(row)


def _state(row: dict[str, object]) -> str:
    return "wiped" if row["wiped_at"] else "revoked" if row["revoked_at"] else "in use"


async def _note(work: Work, device_id: UUID, kind: str, data: dict[str, object]) -> None:
    await write(work, Entry(kind=kind, entity="device", entity_id=device_id, data=data))
