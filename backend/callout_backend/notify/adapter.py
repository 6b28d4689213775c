"""What every provider looks like to the pump, and its twin in memory."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import msgspec

from callout_orders.notices.sending.outgoing import Outcome


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """A message ready to leave: its links are filled in. `key` is the same on every attempt."""

    key: str
    medium: str
    address: str
    mentions: tuple[str, ...]
    urgent: bool
    wants_ack: bool
    locale: str
    subject: str
    body: str
    link: str
    ack_key: str
    """What a card's button hands back."""
    attempt: int = 0
    """How often it was tried before."""


class Adapter(ABC):
    """One provider of one channel. `send` never raises for what a provider or a network does: it says what became of it."""

    @abstractmethod
    async def send(self, parcel: Parcel) -> Outcome:
        """Send once."""

    async def close(self) -> None:
        """Let go of connections."""
        return None


class MemoryAdapter(Adapter):
    """The twin for tests: keeps what it was given, and answers as it is told to."""

    def __init__(self, answer: Callable[[Parcel], Outcome] | None = None) -> None:
        self.sent: list[Parcel] = []
        self._answer = answer

    async def send(self, parcel: Parcel) -> Outcome:
        """Keep it."""
        self.sent.append(parcel)
        return self._answer(parcel) if self._answer is not None else Outcome(kind="delivered")


class SinkAdapter(Adapter):
    """Nothing leaves: the message's row is what the sink's page shows."""

    async def send(self, parcel: Parcel) -> Outcome:
        """Count it as delivered."""
        return Outcome(kind="delivered", provider_ref="sink")
