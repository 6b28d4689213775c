"""The rules of the red lane: who gives way, whether it is worth it, and what an engineer's last word was. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from callout_dispatch.policy import RedLane
from callout_dispatch.visit_states import VisitState
from callout_orders.terms import Priority

MAY_GIVE_WAY: Final = frozenset({VisitState.SCHEDULED, VisitState.DISPATCHED, VisitState.ACCEPTED})
"""From travelling on a visit is locked to its engineer and its time."""
ANSWERABLE: Final = frozenset({VisitState.SCHEDULED, VisitState.DISPATCHED})
"""A visit in any other state has its answer already."""

Word = Literal["accepted", "declined"]


class Lower(msgspec.Struct, frozen=True, kw_only=True):
    """A visit that may have to give way, as far as the rule looks at it."""

    id: str
    engineer_id: str
    start: datetime
    priority: Priority
    state: VisitState
    held: bool = False
    """By hand, to the engineer or to the time."""
    crewed: bool = False
    """Others come along, whose days nobody looks at here."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A possible slot: whose, from when, how good (a pick's score), and the visits that give way for it."""

    engineer_id: str
    start: datetime
    score: float
    displaced: tuple[str, ...] = ()


def gives_way(visit: Lower, policy: RedLane) -> bool:
    """Whether the policy lets this visit be displaced at all. Never one under way, held by hand, with a crew, or a P0."""
    return (
        visit.state in MAY_GIVE_WAY
        and visit.priority in policy.displace
        and visit.priority is not Priority.P0
        and not visit.held
        and not visit.crewed
    )


def runs(visits: Iterable[Lower], most: int) -> Iterator[tuple[Lower, ...]]:
    """What one engineer's visits may give way together: 1 to `most` that follow one another, the fewest first.

    A slot is one stretch of time, so that what it pushes out lies side by side in the day.
    """
    day = sorted(visits, key=lambda visit: (visit.start, visit.id))
    for length in range(1, min(most, len(day)) + 1):
        for first in range(len(day) - length + 1):
            yield tuple(day[first : first + length])


def enough_earlier(start: datetime, earliest: datetime | None, policy: RedLane) -> bool:
    """Whether somebody gets there so much earlier that others' visits may move for it; None: nobody could come at all."""
    return earliest is None or start <= earliest - timedelta(minutes=policy.displace_gain_minutes)


def choose(standing: Sequence[Place], displacing: Iterable[Place], policy: RedLane) -> Place | None:
    """The place to offer. `standing` are the pick's in the day as it stands, best first; `displacing` push others out.

    Others move only where that brings somebody there `displace_gain_minutes` earlier than anybody could come without, and
    at most `displaced_max` of them. Among such places the earliest counts, then the fewest who move, then score and id.
    """
    earliest = min((place.start for place in standing), default=None)
    worth = [
        place
        for place in displacing
        if 1 <= len(place.displaced) <= policy.displaced_max and enough_earlier(place.start, earliest, policy)
    ]
    if worth:
        return min(worth, key=lambda p: (p.start, len(p.displaced), -p.score, p.engineer_id, p.displaced))
    return standing[0] if standing else None


def may_ask_another(asked: int, policy: RedLane) -> bool:
    """Whether there is a round left after so many were asked."""
    return asked < policy.rounds_max


def last_word(said: Iterable[tuple[datetime, str, Word]]) -> Word | None:
    """What an engineer said last of (when, event id, word), in whatever order and however often it arrived."""
    latest = max(said, default=None)
    return None if latest is None else latest[2]


def takes_back(state: VisitState, word: Word | None) -> bool:
    """Whether a decline takes the visit from its engineer: not once they are on the way, and not if they accepted after."""
    return word == "declined" and state in MAY_GIVE_WAY
