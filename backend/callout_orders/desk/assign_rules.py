"""Which team an order falls to, and who of it answers. Pure: every choice comes with its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from uuid import UUID

import msgspec

from callout_orders.desk.unanswered.watch_rules import Rules


class TeamRule(msgspec.Struct, frozen=True, kw_only=True):
    """What a team answers for; empty: any."""

    id: UUID
    code: str
    kinds: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    territories: frozenset[UUID] = frozenset()
    is_default: bool = False
    rules: Rules = Rules()
    """Its minutes."""


class Fit(StrEnum):
    """By what a team fits an order."""

    TERRITORY = "territory"
    KIND = "kind"
    CHANNEL = "channel"
    ANY = "any"
    """The team takes every order."""
    DEFAULT = "default"
    """No team fits; this one takes what is left."""


class TeamChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The team, and by what it was chosen; without a team nobody answers for such orders."""

    team_id: UUID | None
    by: tuple[Fit, ...] = ()


def choose_team(
    teams: Iterable[TeamRule], *, kind: str, channel: str, territory_id: UUID | None
) -> TeamChoice:
    """The team that names the order most closely: its territory before its kind before its channel, then by code.

    A team that names something else does not fit. Where none fits, the default one takes it.
    """
    given = sorted(teams, key=lambda team: (team.is_default, team.code))
    best: tuple[tuple[bool, bool, bool], TeamRule] | None = None
    for team in given:
        named = bool(team.territories), bool(team.kinds), bool(team.channels)
        if named[0] and territory_id not in team.territories:
            continue
        if (named[1] and kind not in team.kinds) or (named[2] and channel not in team.channels):
            continue
        if best is None or named > best[0]:
            best = named, team
    if best is not None:
        named, team = best
        by = tuple(
            fit for fit, is_so in zip((Fit.TERRITORY, Fit.KIND, Fit.CHANNEL), named, strict=True) if is_so
        )
        return TeamChoice(team_id=team.id, by=by or (Fit.DEFAULT if team.is_default else Fit.ANY,))
    default = next((team for team in given if team.is_default), None)
    return TeamChoice(team_id=default.id, by=(Fit.DEFAULT,)) if default else TeamChoice(team_id=None)


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody of a team. `load`: open orders in their hands."""

    user_id: UUID
    lead: bool
    online: bool
    load: int


class HandlerChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers, and why: `least_load`, `nobody_online`, or `no_members`."""

    user_id: UUID | None
    why: str
    load: int = 0


def choose_handler(
    members: Sequence[Member], given: Mapping[UUID, int] | None = None, *, anyone: bool = False
) -> HandlerChoice:
    """Of those online the one with the least in hand, then by id; leads only where the team has no other members.

    `given`: how many orders each got since `load` was counted. `anyone`: where nobody is online, one who is not, for an order
    that was answered and that nobody would turn over.
    """
    hands = [member for member in members if not member.lead] or list(members)
    online = [member for member in hands if member.online] or (hands if anyone else [])
    if not online:
        return HandlerChoice(user_id=None, why="nobody_online" if hands else "no_members")
    more = given or {}
    load, user = min((member.load + more.get(member.user_id, 0), member.user_id) for member in online)
    return HandlerChoice(user_id=user, why="least_load", load=load)
