"""A network as field engineers have it: it loses requests and answers, repeats, delays, reorders and cuts; by a seed."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from callout_client.transport import Answered, NetworkLost, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How likely (0 to 1) each fault is at a request; `delay_s_max` is the longest delay of any request.

    `held`: the phone hears nothing while the request waits in some buffer, and arrives after later ones. Only requests
    that `may_repeat` says may arrive twice are repeated or held. `cut`: of a piece of a file only the beginning arrives.
    """

    lost_before: float = 0.0
    lost_answer: float = 0.0
    repeated: float = 0.0
    held: float = 0.0
    cut: float = 0.0
    delay_s_max: float = 0.0


GOOD = Faults()


def repeatable(path: str) -> bool:
    """GraphQL (receipts make a push harmless) and the pieces of an upload (their offset does)."""
    return path == "/graphql" or "/uploads/" in path


class FaultyTransport:
    """Puts `faults` between a phone and another transport. `online` False: nothing passes at all."""

    def __init__(
        self,
        inner: Transport,
        faults: Faults = GOOD,
        *,
        rng: random.Random,
        may_repeat: Callable[[str], bool] = repeatable,
    ) -> None:
        self.faults = faults
        self.online = True
        self.counts: Counter[str] = Counter()
        """How often each fault happened."""
        self._inner, self._rng, self._may_repeat = inner, rng, may_repeat
        self._held: list[Callable[[], Coroutine[Any, Any, Answered]]] = []

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        """Pass the request on, or not."""
        if not self.online:
            raise NetworkLost("offline")
        faults = self.faults

        def send() -> Coroutine[Any, Any, Answered]:
            return self._inner.request(method, path, body, headers)

        await asyncio.sleep(self._rng.random() * faults.delay_s_max)
        if self._hits("lost_before", faults.lost_before):
            raise NetworkLost("the request was lost")
        if method == "PATCH" and len(body) > 1 and self._hits("cut", faults.cut):
            await self._inner.request(method, path, body[: self._rng.randrange(1, len(body))], headers)
            raise NetworkLost("the connection broke")
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
        # A fault that cannot happen draws no dice: a seed's history stays the same when a new kind of fault is added.
        hit = chance > 0 and self._rng.random() < chance
        self.counts[fault] += hit
        return hit
