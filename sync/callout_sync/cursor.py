"""The cursor of a pull: where in the feed a device stands. Opaque to clients, bound to its device and to the epoch.

It holds nothing that a client could gain by changing: the scopes are read from the device's row at every pull.
"""

import base64
import binascii
from uuid import UUID

import msgspec

from callout_store.errors import CursorInvalid, CursorOfAnotherDevice, ResyncRequired

CURSOR_CHARS_MAX = 400
NIL = UUID(int=0)
XID_MAX = 2**64 - 1


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`(xid, entity, row)` is the last row sent. Deletes older than `base` are of rows that the device never had.

    `scopes` is a checksum of the scopes held: a device that changes hands starts again.
    """

    version: int
    device: UUID
    epoch: UUID
    scopes: UUID
    base: int
    xid: int
    entity: str
    row: UUID

    def encode(self) -> str:
        """The text that travels."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).rstrip(b"=").decode()


def start(*, device: UUID, epoch: UUID, scopes: UUID) -> Cursor:
    """The cursor of a device that has nothing; `base` 0 means that the horizon of the first page is still to be set."""
    return Cursor(1, device, epoch, scopes, 0, 0, "", NIL)


def decode(text: str, *, device: UUID, epoch: UUID, scopes: UUID) -> Cursor:
    """Read a cursor back; refuses what is not ours, another device's, or of an earlier epoch or scope."""
    if len(text) > CURSOR_CHARS_MAX:
        raise CursorInvalid(path="cursor")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(raw, type=Cursor)
    except (binascii.Error, ValueError, msgspec.DecodeError) as fault:
        raise CursorInvalid(path="cursor") from fault
    if (
        cursor.version != 1
        or not 0 <= cursor.xid <= XID_MAX
        or not 0 <= cursor.base <= XID_MAX
        or "\0" in cursor.entity
    ):
        raise CursorInvalid(path="cursor")
    if cursor.device != device:
        raise CursorOfAnotherDevice(path="cursor")
    if cursor.epoch != epoch or cursor.scopes != scopes:
        raise ResyncRequired(path="cursor")
    return cursor
