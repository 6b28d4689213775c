"""Order among devices: hybrid logical clocks (Kulkarni et al., 2014), minted by the server for every command.

A stamp's physical part is the server's instant at which the command was made, worked out from the device's clocks. Where
those clocks lie, two bounds still hold: nothing was made before what its phone had seen, and nothing after it arrived. So a
phone keeps the highest stamp that any answer brought (`stamp` of pull and push) and writes it into each command (`seen`); it
never mints one, and a clock that is years off can neither win every conflict nor lose every one.

As text a stamp sorts like its value: 12 hex digits of milliseconds since 1970, 8 of the counter, 8 of the node.
"""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import Struct

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHAPE = re.compile(r"([0-9a-f]{12})-([0-9a-f]{8})-([0-9a-f]{8})")
COUNTER_MAX = 2**32 - 1
SERVER = "0" * 8
"""The node of stamps that the server mints for itself: the lowest, so that a phone's command after it sorts after it."""


class Stamp(Struct, frozen=True, order=True, array_like=True):
    """`ms` since 1970 in UTC, a counter among equals, and who: eight hex digits of the device's id."""

    ms: int
    counter: int
    node: str

    def __str__(self) -> str:
        return f"{self.ms:012x}-{self.counter:08x}-{self.node}"

    @property
    def at(self) -> datetime:
        """The physical part as an instant."""
        return _EPOCH + timedelta(milliseconds=self.ms)


def parse(text: str) -> Stamp:
    """Read a stamp back; ValueError where it is none."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError("not a stamp")
    return Stamp(int(found[1], 16), int(found[2], 16), found[3])


def now(at: datetime) -> Stamp:
    """The server's own stamp: above everything it handed out before `at`, in answers to pulls and pushes."""
    return Stamp(_ms(at), COUNTER_MAX, "f" * 8)


def mint(
    *, made_at: datetime, received_at: datetime, seen: Stamp | None, sequence: int, device: UUID
) -> Stamp:
    """The stamp of a command: made at `made_at` as far as the server can tell, by a phone that had `seen` a stamp.

    Depends on nothing but the command and its arrival, so that a replay in any order gives the same. `seen` later than
    the arrival is a forgery or another server's; it counts as the arrival.
    """
    node = device.hex[-8:]
    counter = min(sequence, COUNTER_MAX - 1)
    latest, ms = _ms(received_at), _ms(made_at)
    if seen is not None and min(seen.ms, latest) >= ms:
        # Its clock says that it was made before what it had seen: it follows that at once, in its own sequence.
        return Stamp(min(seen.ms, latest) + 1, counter, node)
    return Stamp(min(ms, latest), counter, node)


def _ms(at: datetime) -> int:
    return max(0, round((at - _EPOCH) / timedelta(milliseconds=1)))
