"""Orders that wait for their first answer, as the desk's rules want to see them: read in sets."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from callout_orders.desk.staff.duty import DutyRow, OnDuty, on_duty
from callout_orders.desk.unanswered.watch_rules import ByWhat, Flag, Presence, PresenceState, Rules, Standing
from callout_orders.sla import clocks
from callout_orders.sla.clock import MilestoneName, MilestoneState, left_at
from callout_store.work import Work

OVER: Final = frozenset({"completed", "closed", "canceled"})
"""States of orders that wait for no answer, whoever gave it."""


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """An order at the desk. `epoch` 0: it was never given to anybody. `standing` is what the rules judge by."""

    id: UUID
    number: str
    priority: str
    team_id: UUID | None
    epoch: int
    tried: tuple[UUID, ...]
    rules: Rules
    standing: Standing
    over: bool
    """Whether nobody owes it a first answer any more: answered, over, or another order's duplicate."""
    held: bool
    """Whether the clock of its first response stands still. Not every hold stops it: that is its policy's to say."""
    left_seconds: float
    """What is left of its first response, in working time; negative when it is late."""

    @property
    def waits(self) -> bool:
        """Whether it waits for a first answer now."""
        return not self.over and not self.held

    @property
    def handler_id(self) -> UUID | None:
        """Who has it."""
        return self.standing.handler_id


async def load(work: Work, order_ids: Iterable[UUID], *, lock: bool = False) -> dict[UUID, Watched]:
    """The orders at the desk, by id; with `lock` their rows are held, taken in the order of their ids."""
    ids = sorted(set(order_ids))
    if not ids:
        return {}
    if lock:
        await work.execute(
            "select 1 from work_order where org_id = callout_org() and id = any($1) order by id for no key update",
            ids,
        )
    rows = await work.fetch(
        """
        select o.id, o.number, o.priority, o.state, o.respond_due_at, o.responded_at, o.handler_id, o.team_id,
               o.duplicate_of_id, o.hold_reason, o.created_at, w.epoch, w.handler_since, w.by_what, w.flag, w.tried,
               p.state as presence, p.since, p.seen_at, t.late_minutes, t.offline_minutes, t.step_minutes
        from work_order o
        left join order_watch w on w.org_id = o.org_id and w.order_id = o.id
        left join presence p on p.org_id = o.org_id and p.user_id = o.handler_id
        left join team t on t.org_id = o.org_id and t.id = o.team_id
        where o.org_id = callout_org() and o.id = any($1)
        """,
        ids,
    )
    running = await clocks.load(work, [row["id"] for row in rows if not _over(row)])
    return {row["id"]: _watched(row, running.get(row["id"]), work.now) for row in rows}


def _over(row: Any) -> bool:
    return row["responded_at"] is not None or row["state"] in OVER or row["duplicate_of_id"] is not None


def _watched(row: Any, one: clocks.OrderClock | None, now: datetime) -> Watched:
    rules, mark_at = rules_of(row), None
    left, held = (row["respond_due_at"] - now).total_seconds(), False
    if one is not None:
        stands = one.stand(MilestoneName.FIRST_RESPONSE, now)
        left, held = stands.remaining_seconds, stands.state is MilestoneState.PAUSED
        promise = one.promise(MilestoneName.FIRST_RESPONSE)
        mark_at = left_at(promise, one.events, minutes=rules.late.total_seconds() / 60, now=now)
    return Watched(
        id=row["id"],
        number=row["number"],
        priority=row["priority"],
        team_id=row["team_id"],
        epoch=row["epoch"] or 0,
        tried=tuple(row["tried"] or ()),
        rules=rules,
        standing=Standing(
            due_at=row["respond_due_at"],
            mark_at=mark_at,
            handler_id=row["handler_id"],
            handler_since=row["handler_since"] or row["created_at"],
            by_what=ByWhat(row["by_what"] or "intake"),
            presence=presence_of(row, "presence"),
            flag=Flag(row["flag"]) if row["flag"] else None,
        ),
        over=_over(row),
        held=held,
        left_seconds=left,
    )


def rules_of(row: Any) -> Rules:
    """A team's minutes, from a row that may have none."""
    if row["late_minutes"] is None:
        return Rules()
    return Rules(
        late=timedelta(minutes=row["late_minutes"]),
        offline=timedelta(minutes=row["offline_minutes"]),
        step=timedelta(minutes=row["step_minutes"]),
    )


def presence_of(row: Any, state: str = "state") -> Presence | None:
    """What a row says of somebody's presence; None where nothing was ever told."""
    if row[state] is None:
        return None
    return Presence(state=PresenceState(row[state]), since=row["since"], seen_at=row["seen_at"])


async def presences(work: Work, user_ids: Sequence[UUID]) -> dict[UUID, Presence]:
    """What is known of the presence of these users."""
    rows = await work.fetch(
        "select user_id, state, since, seen_at from presence where org_id = callout_org() and user_id = any($1)",
        list(user_ids),
    )
    return {row["user_id"]: found for row in rows if (found := presence_of(row)) is not None}


async def duty_of(work: Work, team_ids: Iterable[UUID | None], at: datetime) -> Mapping[UUID, list[OnDuty]]:
    """Who is on duty at `at`, by team, in the order in which they are asked; users who were shut out are not."""
    teams = sorted({team for team in team_ids if team is not None})
    if not teams:
        return {}
    rows = await work.fetch(
        """
        select d.team_id, t.time_zone, u.id as user_id, d.rank, d.starts_minute, d.ends_minute, d.weekday, d.on_date
        from team_duty d
        join team t on t.org_id = d.org_id and t.id = d.team_id
        left join app_user u on u.org_id = d.org_id and u.id = d.user_id and u.active
        where d.org_id = callout_org() and d.team_id = any($1)
        """,
        teams,
    )
    by_team: dict[UUID, list[DutyRow]] = {}
    zones: dict[UUID, ZoneInfo] = {}
    for row in rows:
        zones[row["team_id"]] = ZoneInfo(row["time_zone"])
        by_team.setdefault(row["team_id"], []).append(
            DutyRow(
                user_id=row["user_id"],
                rank=row["rank"],
                starts_minute=row["starts_minute"],
                ends_minute=row["ends_minute"],
                weekday=row["weekday"],
                on_date=row["on_date"],
            )
        )
    return {team: on_duty(given, at=at, zone=zones[team]) for team, given in by_team.items()}


async def duty_of_team(work: Work, team_id: UUID | None, at: datetime) -> list[OnDuty]:
    """Who is on duty for one team at `at`; nobody for orders without one."""
    return [] if team_id is None else list((await duty_of(work, [team_id], at)).get(team_id, ()))
