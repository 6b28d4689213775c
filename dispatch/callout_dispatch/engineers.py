"""Engineers: skills, territories, shifts, absences, where they are and whether they are online.

Everything plural is written in one statement a table. Who is online is not stored: it is said by the last sign of life
and by absences, so that nobody stays online because a phone died.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from callout_dispatch.engineer_terms import (
    ABSENCE_DAYS_MAX,
    ONLINE_MINUTES,
    SEEN_EVERY_S,
    SKILL_CODE,
    NewAbsence,
    NewEngineer,
    NewShift,
    NewSkill,
    NewTerritory,
    Position,
    check_accuracy,
    check_aware,
    check_count,
    check_levels,
    check_once,
    check_point,
    check_shifts,
    check_stretch,
)
from callout_dispatch.texts import FieldRefused, checked_line
from callout_orders import stock
from callout_store import journal
from callout_store.errors import AlreadyExists, NotFound
from callout_store.ids import new_id
from callout_store.work import Work

__all__ = [
    "ONLINE_MINUTES",
    "NewAbsence",
    "NewEngineer",
    "NewShift",
    "NewSkill",
    "NewTerritory",
    "Position",
    "create_engineer",
    "create_engineers",
    "create_skills",
    "create_territories",
    "engineer_of_user",
    "mark_seen",
    "remove_absence",
    "report_position",
    "report_positions",
    "set_absence",
    "set_active",
    "set_shifts",
    "set_skills",
]

# ------------------------------------------------------------------------------------------------ what they are


async def create_skills(work: Work, skills: Sequence[NewSkill]) -> list[str]:
    """Create skills, or rename those whose code exists; their codes in the order given."""
    check_count("skills", len(skills))
    for n, skill in enumerate(skills):
        if not SKILL_CODE.fullmatch(skill.code):
            raise FieldRefused(f"skills.{n}.code", "skill_code")
    check_once("skills", "code", [skill.code for skill in skills])
    await work.execute(
        """
        insert into skill (code, name_en, name_zh) select * from unnest($1::text[], $2::text[], $3::text[])
        on conflict (org_id, code) do update set name_en = excluded.name_en, name_zh = excluded.name_zh
        """,
        [skill.code for skill in skills],
        [checked_line(f"skills.{n}.nameEn", skill.name_en) for n, skill in enumerate(skills)],
        [checked_line(f"skills.{n}.nameZh", skill.name_zh) for n, skill in enumerate(skills)],
    )
    return [skill.code for skill in skills]


async def create_territories(work: Work, territories: Sequence[NewTerritory]) -> list[UUID]:
    """Create territories, or rename those whose code exists; their ids in the order given."""
    check_count("territories", len(territories))
    codes = [checked_line(f"territories.{n}.code", t.code) for n, t in enumerate(territories)]
    check_once("territories", "code", codes)
    rows = await work.fetch(
        """
        insert into territory (id, code, name) select * from unnest($1::uuid[], $2::text[], $3::text[])
        on conflict (org_id, code) do update set name = excluded.name
        returning code, id
        """,
        [new_id() for _ in codes],
        codes,
        [checked_line(f"territories.{n}.name", t.name) for n, t in enumerate(territories)],
    )
    ids = {row["code"]: row["id"] for row in rows}
    return [ids[code] for code in codes]


async def create_engineer(work: Work, engineer: NewEngineer) -> UUID:
    """Create one engineer; see `create_engineers`."""
    return (await create_engineers(work, [engineer]))[0]


async def create_engineers(work: Work, engineers: Sequence[NewEngineer]) -> list[UUID]:
    """Create engineers with their skills; their ids in the order given.

    Raises PointInvalid, BadField (unknown skill or level), NotFound (user, territory), AlreadyExists (the user is an
    engineer already).
    """
    check_count("engineers", len(engineers))
    names, homes = [], []
    for n, engineer in enumerate(engineers):
        names.append(checked_line(f"engineers.{n}.name", engineer.name))
        homes.append(check_point(f"engineers.{n}.home", engineer.home_lat, engineer.home_lng))
    await check_skills(work, [(f"engineers.{n}.skills", e.skills) for n, e in enumerate(engineers)])
    territories = {e.territory_id for e in engineers if e.territory_id is not None}
    known = await work.fetch(
        "select id from territory where org_id = callout_org() and id = any($1)", sorted(territories)
    )
    if len(known) != len(territories):
        raise NotFound(entity="territory")
    ids = [engineer.id or new_id() for engineer in engineers]
    try:
        await work.execute(
            """
            insert into engineer (id, user_id, name, territory_id, home_lat, home_lng)
            select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::float8[], $6::float8[])
            """,
            ids,
            [engineer.user_id for engineer in engineers],
            names,
            [engineer.territory_id for engineer in engineers],
            [home.lat for home in homes],
            [home.lng for home in homes],
        )
    except asyncpg.ForeignKeyViolationError as fault:
        raise NotFound(entity="user") from fault
    except asyncpg.UniqueViolationError as fault:
        raise AlreadyExists(entity="engineer", key="user") from fault
    await _insert_skills(work, dict(zip(ids, (e.skills for e in engineers), strict=True)))
    if any(engineer.id is not None for engineer in engineers):
        # The van may have been loaded before its engineer was entered: now there is a phone that holds its stock.
        work.touch("stock", *await stock.levels_of(work, ids))
    await journal.write_many(
        work, [journal.Entry(kind="engineer.created", entity="engineer", entity_id=id_) for id_ in ids]
    )
    return ids


async def set_skills(work: Work, skills: Mapping[UUID, Mapping[str, int]]) -> None:
    """Give engineers exactly these skills with levels 1 to 5; what they had before is gone."""
    check_count("engineers", len(skills))
    await check_skills(work, [(f"skills.{id_}", of_one) for id_, of_one in skills.items()])
    await _check_engineers(work, skills)
    await work.execute(
        "delete from engineer_skill where org_id = callout_org() and engineer_id = any($1)", list(skills)
    )
    await _insert_skills(work, skills)
    await journal.write_many(
        work,
        [
            journal.Entry(
                kind="engineer.skills_set", entity="engineer", entity_id=id_, data={"skills": dict(of_one)}
            )
            for id_, of_one in skills.items()
        ],
    )


async def set_active(work: Work, engineer_id: UUID, active: bool) -> None:
    """Take an engineer in or out of service. Visits that are theirs stay theirs until they are reassigned."""
    changed = await work.execute(
        "update engineer set active = $2 where org_id = callout_org() and id = $1", engineer_id, active
    )
    if not changed:
        raise NotFound(entity="engineer")
    kind = "engineer.activated" if active else "engineer.deactivated"
    await journal.write(work, journal.Entry(kind=kind, entity="engineer", entity_id=engineer_id))


# ------------------------------------------------------------------------------------------------ when they work


async def set_shifts(work: Work, shifts: Sequence[NewShift]) -> list[UUID]:
    """Set shifts; each replaces those of the same engineer that it overlaps. Their ids in the order given."""
    check_count("shifts", len(shifts))
    by_engineer = check_shifts(shifts)
    await _check_engineers(work, by_engineer)
    engineer_ids = [shift.engineer_id for shift in shifts]
    starts, ends = [shift.starts_at for shift in shifts], [shift.ends_at for shift in shifts]
    await work.execute(
        """
        delete from shift s
        using unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as t(engineer_id, starts, ends)
        where s.org_id = callout_org() and s.engineer_id = t.engineer_id
              and s.starts_at < t.ends and s.ends_at > t.starts
        """,
        engineer_ids,
        starts,
        ends,
    )
    ids = [new_id() for _ in shifts]
    await work.execute(
        """
        insert into shift (id, engineer_id, starts_at, ends_at)
        select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[])
        """,
        ids,
        engineer_ids,
        starts,
        ends,
    )
    await journal.write_many(
        work,
        [
            journal.Entry(
                kind="engineer.shifts_set",
                entity="engineer",
                entity_id=engineer_id,
                data={"shifts": [[starts_at, ends_at] for starts_at, ends_at in of_one]},
            )
            for engineer_id, of_one in by_engineer.items()
        ],
    )
    return ids


async def set_absence(work: Work, absence: NewAbsence) -> UUID:
    """Record an absence; its id. Visits planned into it stay as they are: the board shows them."""
    check_stretch("absence", absence.starts_at, absence.ends_at)
    if absence.ends_at - absence.starts_at > timedelta(days=ABSENCE_DAYS_MAX):
        raise FieldRefused("absence.endsAt", "days_max", limit=ABSENCE_DAYS_MAX)
    reason = checked_line("absence.reason", absence.reason, blank=True)
    await _check_engineers(work, [absence.engineer_id])
    id_ = new_id()
    await work.execute(
        "insert into absence (id, engineer_id, starts_at, ends_at, reason) values ($1, $2, $3, $4, $5)",
        id_,
        absence.engineer_id,
        absence.starts_at,
        absence.ends_at,
        reason,
    )
    await journal.write(
        work,
        journal.Entry(
            kind="engineer.absence_set",
            entity="engineer",
            entity_id=absence.engineer_id,
            data={
                "absenceId": id_,
                "startsAt": absence.starts_at,
                "endsAt": absence.ends_at,
                "reason": reason,
            },
        ),
    )
    return id_


async def remove_absence(work: Work, absence_id: UUID) -> None:
    """Take an absence back; NotFound when there is none."""
    engineer_id = await work.fetchval(
        "delete from absence where org_id = callout_org() and id = $1 returning engineer_id", absence_id
    )
    if engineer_id is None:
        raise NotFound(entity="absence")
    await journal.write(
        work,
        journal.Entry(
            kind="engineer.absence_removed",
            entity="engineer",
            entity_id=engineer_id,
            data={"absenceId": absence_id},
        ),
    )


# ------------------------------------------------------------------------------------------------ where they are


async def report_position(work: Work, position: Position) -> None:
    """Record where one engineer is; see `report_positions`."""
    await report_positions(work, [position])


async def report_positions(work: Work, positions: Sequence[Position]) -> None:
    """Record where engineers are, in one statement. An older fix never replaces a newer one, but is a sign of life.

    A fix from the future counts as from now: otherwise one phone with a wrong clock would pin its engineer for ever.
    """
    check_count("positions", len(positions))
    newest: dict[UUID, Position] = {}
    for n, position in enumerate(positions):
        check_point(f"positions.{n}", position.lat, position.lng)
        check_aware(f"positions.{n}.at", position.at)
        check_accuracy(f"positions.{n}.accuracyM", position.accuracy_m)
        held = newest.get(position.engineer_id)
        if held is None or held.at <= position.at:
            newest[position.engineer_id] = position
    await _check_engineers(work, newest)
    fixes = [newest[id_] for id_ in sorted(newest)]
    await work.execute(
        """
        with locked as (
            select id from engineer where org_id = callout_org() and id = any($1) order by id for no key update
        )
        update engineer e set
            last_lat = case when t.newer then t.lat else e.last_lat end,
            last_lng = case when t.newer then t.lng else e.last_lng end,
            last_accuracy_m = case when t.newer then t.accuracy_m else e.last_accuracy_m end,
            last_position_at = greatest(e.last_position_at, t.at),
            last_seen_at = greatest(e.last_seen_at, $6)
        from (
            select i.id, i.lat, i.lng, i.accuracy_m, i.at,
                   b.last_position_at is null or b.last_position_at <= i.at as newer
            from unnest($1::uuid[], $2::float8[], $3::float8[], $4::float8[], $5::timestamptz[])
                as i(id, lat, lng, accuracy_m, at)
            join locked l on l.id = i.id
            join engineer b on b.org_id = callout_org() and b.id = i.id
        ) t
        where e.org_id = callout_org() and e.id = t.id
        """,
        [fix.engineer_id for fix in fixes],
        [fix.lat for fix in fixes],
        [fix.lng for fix in fixes],
        [fix.accuracy_m for fix in fixes],
        [min(fix.at, work.now) for fix in fixes],
        work.now,
    )


def seen_long_ago(work: Work, last_seen_at: datetime | None) -> bool:
    """Whether a new sign of life is worth a write."""
    return last_seen_at is None or last_seen_at < work.now - timedelta(seconds=SEEN_EVERY_S)


async def mark_seen(work: Work, *engineer_ids: UUID) -> None:
    """A sign of life without a position: what a pull or a push tells. Written at most once a minute an engineer."""
    await work.execute(
        """
        update engineer set last_seen_at = $2
        where org_id = callout_org() and id = any($1) and (last_seen_at is null or last_seen_at < $3)
        """,
        list(engineer_ids),
        work.now,
        work.now - timedelta(seconds=SEEN_EVERY_S),
    )


async def engineer_of_user(work: Work, user_id: UUID) -> UUID | None:
    """The active engineer behind a user, if any."""
    id_: UUID | None = await work.fetchval(
        "select id from engineer where org_id = callout_org() and user_id = $1 and active", user_id
    )
    return id_


# ------------------------------------------------------------------------------------------------ rows


async def _check_engineers(work: Work, engineer_ids: Iterable[UUID]) -> None:
    asked = set(engineer_ids)
    known = await work.fetchval(
        "select count(*) from engineer where org_id = callout_org() and id = any($1)", list(asked)
    )
    if known != len(asked):
        raise NotFound(entity="engineer")


async def check_skills(work: Work, skills: Sequence[tuple[str, Mapping[str, int]]]) -> None:
    """Refuse skills that are not there and levels that cannot be, of engineers or of orders; `skills` are (path, levels)."""
    codes = {code for _, of_one in skills for code in of_one}
    rows = await work.fetch(
        "select code from skill where org_id = callout_org() and code = any($1)", sorted(codes)
    )
    check_levels(skills, {row["code"] for row in rows})


async def _insert_skills(work: Work, skills: Mapping[UUID, Mapping[str, int]]) -> None:
    rows = [(id_, code, level) for id_, of_one in skills.items() for code, level in of_one.items()]
    await work.execute(
        """
        insert into engineer_skill (engineer_id, skill, level)
        select * from unnest($1::uuid[], $2::text[], $3::int[])
        """,
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
    )
