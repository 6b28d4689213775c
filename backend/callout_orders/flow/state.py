"""How far an order's flow has come, what is known of the order, and what follows: the values between rows and rules. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from callout_orders.flow.events import Event
from callout_orders.kinds.terms import Action, Approval


class StepState(StrEnum):
    """What has become of a step that was reached."""

    WAITING = "waiting"
    """Its turn, but its condition does not hold yet."""
    OPEN = "open"
    DONE = "done"
    BACK = "back"
    """A person led the flow to another step instead."""
    CANCELED = "canceled"


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """Why the flow cannot go on by itself. `code`: rule (it cannot be evaluated) or way (no branch is left). `place` is
    where in the step (`enter`, `next`, `next.0`, `approvals.<code>`); a person may decide in its stead."""

    code: str
    step: str
    place: str
    why: str


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """A step that was reached: the `n`th of its order, entered for the `times`th time.

    `lap` counts the rounds that people began by leading the flow back, `lap_at` is when this one began (None: the first).
    `used` are the events that ended it, by name: what ended one step does not end another. `settled`: see `Blocked`.
    """

    n: int
    step: str
    times: int
    state: StepState
    reached_at: datetime
    entered_at: datetime | None = None
    lap: int = 1
    lap_at: datetime | None = None
    said_at: datetime | None = None
    done_at: datetime | None = None
    used: Mapping[str, tuple[str, ...]] = {}
    settled: Mapping[str, str] = {}
    blocked: Blocked | None = None
    id: UUID | None = None

    @property
    def live(self) -> bool:
        """Whether the flow stands here."""
        return self.state in (StepState.WAITING, StepState.OPEN)


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """An approval that was asked for: of which values, and what was said: asked, approved, rejected, superseded, canceled."""

    code: str
    about: Mapping[str, Any]
    state: str
    n: int
    """The step that it was asked for."""
    decided_at: datetime | None = None
    id: UUID | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an order now. `env` is what expressions see (`kinds.expressions.environment`)."""

    env: Mapping[str, Any]
    events: tuple[Event, ...] = ()
    standing: frozenset[str] = frozenset()
    """Names of events that say how things stand (see `events.Source.standing`) and that hold now."""
    visit_live: bool = False
    """Whether a visit is still open, so that the order cannot be closed."""


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """What a step still needs: fields and events by name, approvals by code (`asked` or `rejected`), whether somebody has
    to say that it is done (`hand`), whether a visit is still open (`visit`), whether it may not begin yet (`enter`), whether
    a rule cannot be evaluated (`rule`: nothing else is known then)."""

    fields: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    hand: bool = False
    visit: bool = False
    enter: bool = False
    rule: bool = False

    @property
    def nothing(self) -> bool:
        """Whether nothing is missing."""
        return self == Missing()


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """An approval that must be asked for, about these values."""

    n: int
    step: str
    approval: Approval
    about: Mapping[str, Any]


class Do(msgspec.Struct, frozen=True, kw_only=True):
    """An action that is due: of which step, on entering (`on`: enter) or on its end (done)."""

    n: int
    step: str
    on: str
    action: Action


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """The flow after `rules.advance`: all its steps as they are now, and what must happen because of it.

    `asks` are approvals to ask for, `superseded` those that were asked for values that hold no longer. `missing` is what
    the present step needs, `waits` the names (`flow.events.named`) that may move it. `over`: the last step is done.
    """

    steps: tuple[Passed, ...]
    actions: tuple[Do, ...] = ()
    asks: tuple[Ask, ...] = ()
    superseded: tuple[Word, ...] = ()
    missing: Missing = Missing()
    waits: frozenset[str] = frozenset()
    over: bool = False

    @property
    def current(self) -> Passed | None:
        """The step that the flow stands at."""
        return next((step for step in reversed(self.steps) if step.live), None)
