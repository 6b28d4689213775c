"""Mutations about phones that are lost, left or handed on."""

from collections.abc import Awaitable, Callable
from typing import cast
from uuid import UUID

import strawberry

from callout_graphql.edges import Info
from callout_graphql.types.sync import Device
from callout_store.work import Work
from callout_sync import devices, wipe


@strawberry.type
class DeviceMutations:
    """What the office may ask of a phone, and what the phone answers."""

    @strawberry.mutation
    async def wipe_device(self, info: Info, id: UUID, mode: wipe.WipeMode, reason: str) -> Device:
        """Have a phone forget everything on its next contact; see `WipeMode`."""
        return await _then_state(info, id, lambda work: wipe.request_wipe(work, id, mode, reason))

    @strawberry.mutation
    async def cancel_wipe(self, info: Info, id: UUID) -> Device:
        """Take the wish to wipe a phone back, as long as the phone has not done it."""
        return await _then_state(info, id, lambda work: wipe.cancel_wipe(work, id))

    @strawberry.mutation
    async def confirm_wipe(self, info: Info) -> bool:
        """Said by the phone when it has forgotten everything: it is revoked with that, and this was its last call."""
        await info.context.run(wipe.confirm_wipe)
        return True


async def _then_state(info: Info, id_: UUID, act: Callable[[Work], Awaitable[None]]) -> Device:
    async def both(work: Work) -> devices.Device:
        await act(work)
        return await devices.device_state(work, id_)

    return cast(Device, await info.context.run(both))
