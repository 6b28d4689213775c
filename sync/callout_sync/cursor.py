"""The cursor of a pull: where in the feed a device stands. Opaque to clients, bound to its device and to the epoch.

It holds nothing that a client could gain by changing: the scopes are read from the device's row at every pull.
"""

import base64
import binascii
from uuid import UUID

import msgspec

from callout_contracts.limits import CURSOR_CHARS_MAX
from callout_store.errors import CursorInvalid, CursorOfAnotherDevice, ResyncRequired

VERSIONS = (1, 2)
"""1 ends with `row`; cursors of before an upgrade of the server stay good."""
NIL = UUID(int=0)
XID_MAX = 2**64 - 1
SCHEMA_MAX = 2**31 - 1

Key = tuple[int, str, UUID]
"""A place in the feed: transaction, entity, row."""


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`(xid, entity, row)` is the last row sent. Deletes older than `base` are of rows that the device never had.

    `scopes` is a checksum of the scopes held: a device that changes hands starts again. `schema` is what the device
    understood. Two things may be caught up on behind the place where it stands, each from `behind` on: the rows of
    entities that are newer than schema `since` (0: none), and the deletes that were kept back from transaction `left`
    on (0: none; with no `behind` they have all been sent).
    """

    version: int
    device: UUID
    epoch: UUID
    scopes: UUID
    base: int
    xid: int
    entity: str
    row: UUID
    schema: int = 1
    since: int = 0
    left: int = 0
    behind: Key | None = None

    @property
    def key(self) -> Key:
        """The place of the last row sent."""
        return self.xid, self.entity, self.row

    def encode(self) -> str:
        """The text that travels."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).rstrip(b"=").decode()


def start(*, device: UUID, epoch: UUID, scopes: UUID, schema: int = 1) -> Cursor:
    """The cursor of a device that has nothing; `base` 0 means that the horizon of the first page is still to be set."""
    return Cursor(2, device, epoch, scopes, 0, 0, "", NIL, schema)


def decode(text: str, *, device: UUID, epoch: UUID, scopes: UUID) -> Cursor:
    """Read a cursor back; refuses what is not ours, another device's, or of an earlier epoch or scope."""
    cursor = parse(text)
    check(cursor, device=device, epoch=epoch, scopes=scopes)
    return cursor


def parse(text: str) -> Cursor:
    """What a text says, if it is a cursor of whatever device. Raises CursorInvalid."""
    if len(text) > CURSOR_CHARS_MAX:
        raise CursorInvalid(path="cursor")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(raw, type=Cursor)
    except (binascii.Error, ValueError, msgspec.DecodeError) as fault:
        raise CursorInvalid(path="cursor") from fault
    places: list[Key] = [cursor.key, *([cursor.behind] if cursor.behind else [])]
    if (
        cursor.version not in VERSIONS
        or not all(0 <= n <= XID_MAX for n in (cursor.base, cursor.left, *(place[0] for place in places)))
        or any("\0" in place[1] for place in places)
        or not 1 <= cursor.schema <= SCHEMA_MAX
        or not 0 <= cursor.since <= SCHEMA_MAX
    ):
        raise CursorInvalid(path="cursor")
    return msgspec.structs.replace(cursor, version=2)


def check(cursor: Cursor, *, device: UUID, epoch: UUID, scopes: UUID) -> None:
    """Refuse another device's cursor, and one of an earlier epoch or scope."""
    if cursor.device != device:
        raise CursorOfAnotherDevice(path="cursor")
    if cursor.epoch != epoch:
        raise ResyncRequired(path="cursor", reason="epoch")
    if cursor.scopes != scopes:
        raise ResyncRequired(path="cursor", reason="scopes")
