"""The device's clocks. The wall clock may be wrong by years and set at any time; the monotonic one counts since boot.

A phone never corrects its own times: it sends both clocks with every command and once more with every batch, and the
server measures how far off they are.
"""

import random
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class DeviceClock:
    """`truth` tells the real instant (the machine's unless given); the wall clock is off by `skew`."""

    def __init__(
        self,
        *,
        skew: timedelta = timedelta(0),
        truth: Callable[[], datetime] | None = None,
        boot_id: str | None = None,
    ) -> None:
        self.skew = skew
        self.boot_id = boot_id or uuid.uuid4().hex
        self._truth = truth
        self._booted = self._now()

    def wall(self) -> datetime:
        """What the phone's status bar shows, in UTC."""
        return (datetime.now(UTC) if self._truth is None else self._truth()) + self.skew

    def monotonic_ms(self) -> int:
        """Milliseconds since boot; neither the user nor the network sets it."""
        return max(0, round((self._now() - self._booted) * 1000))

    def reboot(self) -> None:
        """Start again: another boot id, monotonic time from zero."""
        self.boot_id = uuid.uuid4().hex
        self._booted = self._now()

    def _now(self) -> float:
        return time.monotonic() if self._truth is None else self._truth().timestamp()


def uuid7(at: datetime, rng: random.Random) -> uuid.UUID:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then 74 random bits that keep two phones apart."""
    milliseconds = max(0, round(at.timestamp() * 1000)) & (1 << 48) - 1
    value = milliseconds << 80 | 0x7 << 76 | rng.getrandbits(12) << 64 | 0b10 << 62 | rng.getrandbits(62)
    return uuid.UUID(int=value)
