"""Teams as rows: saved whole, read with members and duty."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.desk.staff import people
from callout_orders.desk.staff.team_terms import (
    TEAMS_MAX,
    DutyGiven,
    TeamGiven,
    checked_duties,
    checked_team,
    spelled,
)
from callout_orders.desk.unanswered import standings
from callout_store.errors import AlreadyExists, LimitExceeded, NotFound, StaleRevision
from callout_store.ids import new_id
from callout_store.journal import Entry, write
from callout_store.work import Work


class MemberView(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a team."""

    user_id: UUID
    name: str
    lead: bool
    active: bool


class DutyView(msgspec.Struct, frozen=True, kw_only=True):
    """An interval of duty, times of day in the team's time zone."""

    user_id: UUID | None
    name: str | None
    rank: int
    weekday: int | None
    on_date: date | None
    starts: str
    ends: str


class OnDutyView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody on duty now."""

    user_id: UUID
    rank: int
    until: datetime


class TeamView(msgspec.Struct, frozen=True, kw_only=True):
    """A team with who is in it and who is on duty."""

    id: UUID
    code: str
    name_en: str
    name_zh: str
    time_zone: str
    kinds: list[str]
    channels: list[str]
    territory_ids: list[UUID]
    is_default: bool
    active: bool
    late_minutes: int
    offline_minutes: int
    step_minutes: int
    move_minutes_max: int
    move_hours_max: int
    revision: int
    members: list[MemberView]
    duties: list[DutyView]
    on_duty: list[OnDutyView]


_SAVED: Final = tuple(
    name for name in TeamGiven.__struct_fields__ if name not in ("territory_ids", "members")
)


async def save_team(
    work: Work, given: TeamGiven, *, team_id: UUID | None = None, revision: int | None = None
) -> UUID:
    """Make a team, or put this in place of one; its id. Raises BadField(s), AlreadyExists (code), NotFound, StaleRevision.

    A team that becomes the default one takes that from the one that was.
    """
    team = checked_team(given)
    team = msgspec.structs.replace(team, is_default=team.is_default and team.active)
    # Of two who save at once, the second waits: one default, and no more teams than there may be.
    await work.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"teams:{work.org_id}")
    before = await work.fetchval(
        "select revision from team where org_id = callout_org() and id = $1", team_id
    )
    if team_id is not None and before is None:
        raise NotFound(entity="team", path="id")
    if revision is not None and revision != before:
        raise StaleRevision(entity="team", current=before, given=revision)
    taken = await work.fetchval(
        "select id from team where org_id = callout_org() and code = $1 and id is distinct from $2",
        team.code,
        team_id,
    )
    if taken is not None:
        raise AlreadyExists(entity="team", key="code", path="code")
    if (
        team_id is None
        and await work.fetchval("select count(*) from team where org_id = callout_org()") >= TEAMS_MAX
    ):
        raise LimitExceeded(what="teams", limit=TEAMS_MAX, given=TEAMS_MAX + 1)
    await _check_people(work, [member.user_id for member in team.members], "members", "userId")
    await _check_territories(work, team.territory_ids)
    if team.is_default:
        await work.execute(
            "update team set is_default = false, revision = revision + 1 "
            "where org_id = callout_org() and is_default and id is distinct from $1",
            team_id,
        )
    id_ = team_id or new_id()
    await work.execute(
        f"""
        insert into team (id, {", ".join(_SAVED)}) values ($1, {", ".join(f"${n + 2}" for n in range(len(_SAVED)))})
        on conflict (org_id, id) do update
        set {", ".join(f"{name} = excluded.{name}" for name in _SAVED)}, revision = team.revision + 1
        """,
        id_,
        *(getattr(team, name) for name in _SAVED),
    )
    await work.execute("delete from team_territory where org_id = callout_org() and team_id = $1", id_)
    await work.execute(
        "insert into team_territory (team_id, territory_id) select $1, unnest($2::uuid[])",
        id_,
        list(team.territory_ids),
    )
    parts = {member.user_id: "lead" if member.lead else "member" for member in team.members}
    gone = await work.fetch(
        "delete from team_member where org_id = callout_org() and team_id = $1 returning user_id, part", id_
    )
    await work.execute(
        "insert into team_member (team_id, user_id, part) select $1, u, p from unnest($2::uuid[], $3::text[]) as t(u, p)",
        id_,
        list(parts),
        list(parts.values()),
    )
    # Who is not in it any more, or not as what they were: what they were asked as that is somebody else's now.
    left = [row["user_id"] for row in gone if parts.get(row["user_id"]) != row["part"]]
    told = {"code": team.code, "members": len(parts), "active": team.active, "left": left}
    await _note(work, "team.saved", id_, told)
    return id_


async def set_duty(work: Work, team_id: UUID, duties: Sequence[DutyGiven]) -> None:
    """Put these in place of a team's duty. Raises BadField(s), NotFound, LimitExceeded."""
    rows = checked_duties(duties)
    code = await work.fetchval(
        "select code from team where org_id = callout_org() and id = $1 for update", team_id
    )
    if code is None:
        raise NotFound(entity="team", path="teamId")
    users = [(i, row.user_id) for i, row in enumerate(rows) if row.user_id is not None]
    await _check_people(work, [user for _, user in users], "duties", "userId", [i for i, _ in users])
    await work.execute("delete from team_duty where org_id = callout_org() and team_id = $1", team_id)
    await work.execute(
        """
        insert into team_duty (id, team_id, user_id, rank, weekday, on_date, starts_minute, ends_minute)
        select i, $2, u, r, w, d, s, e
        from unnest($1::uuid[], $3::uuid[], $4::int[], $5::int[], $6::date[], $7::int[], $8::int[])
            as t(i, u, r, w, d, s, e)
        """,
        [new_id() for _ in rows],
        team_id,
        [row.user_id for row in rows],
        [row.rank for row in rows],
        [row.weekday for row in rows],
        [row.on_date for row in rows],
        [row.starts_minute for row in rows],
        [row.ends_minute for row in rows],
    )
    await _note(work, "team.duty_set", team_id, {"code": code, "duties": len(rows)})


async def teams(
    work: Work, *, ids: Sequence[UUID] | None = None, active: bool | None = True, at: datetime | None = None
) -> list[TeamView]:
    """Teams by code, with who is on duty at `at` (now)."""
    rows = await work.fetch(
        """
        select t.*, coalesce((select array_agg(y.territory_id order by y.territory_id) from team_territory y
            where y.org_id = t.org_id and y.team_id = t.id), '{}') as territory_ids
        from team t
        where t.org_id = callout_org() and ($1::uuid[] is null or t.id = any($1)) and ($2::bool is null or t.active = $2)
        order by t.code
        """,
        None if ids is None else list(ids),
        active,
    )
    found = [row["id"] for row in rows]
    members = await work.fetch(
        """
        select m.team_id, m.user_id, m.part, u.name, u.active from team_member m
        join app_user u on u.org_id = m.org_id and u.id = m.user_id
        where m.org_id = callout_org() and m.team_id = any($1) order by m.part, u.name, u.id
        """,
        found,
    )
    duties = await work.fetch(
        """
        select d.*, u.name from team_duty d left join app_user u on u.org_id = d.org_id and u.id = d.user_id
        where d.org_id = callout_org() and d.team_id = any($1)
        order by d.on_date nulls first, d.weekday, d.starts_minute, d.rank, d.id
        """,
        found,
    )
    on_duty = await standings.duty_of(work, found, at or work.now)
    of_members, of_duties = _grouped(members), _grouped(duties)
    return [
        TeamView(
            **{name: row[name] for name in _PLAIN},
            members=[
                MemberView(
                    user_id=one["user_id"], name=one["name"], lead=one["part"] == "lead", active=one["active"]
                )
                for one in of_members.get(row["id"], ())
            ],
            duties=[_duty(one) for one in of_duties.get(row["id"], ())],
            on_duty=[
                OnDutyView(user_id=one.user_id, rank=one.rank, until=one.until)
                for one in on_duty.get(row["id"], ())
            ],
        )
        for row in rows
    ]


_PLAIN = tuple(name for name in TeamView.__struct_fields__ if name not in ("members", "duties", "on_duty"))


def _grouped(rows: Sequence[Any]) -> dict[UUID, list[Any]]:
    found: dict[UUID, list[Any]] = {}
    for row in rows:
        found.setdefault(row["team_id"], []).append(row)
    return found


def _duty(row: Any) -> DutyView:
    return DutyView(
        user_id=row["user_id"],
        name=row["name"],
        rank=row["rank"],
        weekday=row["weekday"],
        on_date=row["on_date"],
        starts=spelled(row["starts_minute"]),
        ends=spelled(row["ends_minute"]),
    )


async def _check_people(
    work: Work, users: Sequence[UUID], path: str, field: str, places: Sequence[int] | None = None
) -> None:
    """They are active users of the house: a customer's account stands in no team and on no duty."""
    known = await people.staff(work, users)
    gather = checks.Gather()
    for i, user in zip(places or range(len(users)), users, strict=True):
        with gather:
            if user not in known:
                raise checks.FieldRefused(f"{path}.{i}.{field}", "not_staff")
    gather.settle()


async def _check_territories(work: Work, ids: Sequence[UUID]) -> None:
    known = await work.fetch(
        "select id from territory where org_id = callout_org() and id = any($1)", list(ids)
    )
    if len(known) < len(ids):
        raise NotFound(entity="territory", path="territoryIds")


async def _note(work: Work, kind: str, id_: UUID, data: dict[str, Any]) -> None:
    await write(work, Entry(kind=kind, entity="team", entity_id=id_, data=data))
