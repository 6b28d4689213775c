"""A circuit breaker: after so many faults on end a service is left alone for a while, so that nobody waits for it in vain."""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """Closed: everybody may call. Open, after `faults_max` faults on end: nobody, for `rest_s` seconds. Then one call is let
    through; its answer closes the breaker, its fault opens it anew.

    For one event loop. `monotonic` gives seconds.
    """

    def __init__(
        self, faults_max: int = 5, rest_s: float = 30.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        if faults_max < 1 or rest_s <= 0:
            raise ValueError("faults_max must be 1 or more and rest_s above 0")
        self._faults_max = faults_max
        self._rest_s = rest_s
        self._monotonic = monotonic
        self._faults = 0
        self._open_until: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether a call now would be refused."""
        return self._open_until is not None and (self._probing or self._monotonic() < self._open_until)

    def enter(self) -> bool:
        """Whether the caller may call now; if so it must tell `answered`, `failed` or `left` afterwards."""
        if self.is_open:
            return False
        self._probing = self._open_until is not None
        return True

    def answered(self) -> None:
        """The service answered, if only with a refusal."""
        self._faults, self._open_until, self._probing = 0, None, False

    def failed(self) -> None:
        """The service did not answer, or not sensibly."""
        self._faults += 1
        if self._probing or self._faults >= self._faults_max:
            self._open_until = self._monotonic() + self._rest_s
        self._probing = False

    def left(self) -> None:
        """The caller went away before the outcome: it says nothing of the service, but makes room for another probe."""
        self._probing = False
