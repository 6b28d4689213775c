"""A network as field engineers have it: it loses requests and answers, repeats, delays and reorders; all by a seed."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from callout_client.transport import NetworkLost, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How likely (0 to 1) each fault is at a request; `delay_s_max` is the longest delay of any request.

    `held`: the phone hears nothing while the request waits in some buffer, and arrives after later ones. Only requests
    that `may_repeat` says may arrive twice are repeated or held.
    """

    lost_before: float = 0.0
    lost_answer: float = 0.0
    repeated: float = 0.0
    held: float = 0.0
    delay_s_max: float = 0.0


GOOD = Faults()


class FaultyTransport:
    """Puts `faults` between a phone and another transport. `online` False: nothing passes at all."""

    def __init__(
        self,
        inner: Transport,
        faults: Faults = GOOD,
        *,
        rng: random.Random,
        may_repeat: Callable[[str], bool] = lambda path: path == "/graphql",
    ) -> None:
        self.faults = faults
        self.online = True
        self.counts: Counter[str] = Counter()
        """How often each fault happened."""
        self._inner, self._rng, self._may_repeat = inner, rng, may_repeat
        self._held: list[Callable[[], Coroutine[Any, Any, tuple[int, bytes]]]] = []

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Pass the request on, or not."""
        if not self.online:
            raise NetworkLost("offline")
        faults = self.faults

        def send() -> Coroutine[Any, Any, tuple[int, bytes]]:
            return self._inner.post(path, body, headers)

        await asyncio.sleep(self._rng.random() * faults.delay_s_max)
        if self._hits("lost_before", faults.lost_before):
            raise NetworkLost("the request was lost")
        if self._may_repeat(path):
            if self._hits("held", faults.held):
                self._held.append(send)
                raise NetworkLost("the request is held up somewhere")
            if self._hits("repeated", faults.repeated):
                # Both copies are under way at once, as when a proxy tries again.
                answers = await asyncio.gather(send(), send())
                return answers[self._rng.randrange(2)]
        answer = await send()
        if self._held and self._rng.random() < 0.5:
            await self.flush()
        if self._hits("lost_answer", faults.lost_answer):
            raise NetworkLost("the answer was lost")
        return answer

    async def flush(self) -> None:
        """Deliver what was held, the newest first; the answers reach nobody."""
        held, self._held = self._held, []
        for send in reversed(held):
            with contextlib.suppress(NetworkLost):
                await send()

    def _hits(self, fault: str, chance: float) -> bool:
        hit = self._rng.random() < chance
        self.counts[fault] += hit
        return hit
