"""One engineer as the office enters and changes one: who it is, where the day begins and ends, what are the limits."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from callout_dispatch import crew, engineers
from callout_dispatch.engineer_terms import NewEngineer, NewSkill, check_point
from callout_dispatch.setup_texts import SetupRefused, check_range
from callout_dispatch.shifts import check_place
from callout_dispatch.texts import checked_line
from callout_store import journal
from callout_store.errors import LimitExceeded, NotFound, Refusal
from callout_store.work import Work

LIMITS: Final[Mapping[str, tuple[str, int]]] = {
    "travel_minutes_max": ("travelMinutesMax", 1440),
    "work_minutes_max": ("workMinutesMax", 1440),
    "visits_max": ("visitsMax", 100),
}
"""An engineer's own limits: their names outside, and the highest value; the lowest is 1."""
TERRITORIES_MAX: Final = 100


class EngineerSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What is given of an engineer: UNSET stays as it is, None clears (no own limit, no own end place, any territory).

    Points are WGS-84 degrees. `secondary_territory_ids` are those where the engineer also works. `skills` are levels 1 to 5.
    """

    user_id: UUID | UnsetType = UNSET
    name: str | UnsetType = UNSET
    home_lat: float | UnsetType | None = UNSET
    home_lng: float | UnsetType | None = UNSET
    end_lat: float | UnsetType | None = UNSET
    end_lng: float | UnsetType | None = UNSET
    territory_id: UUID | UnsetType | None = UNSET
    secondary_territory_ids: Sequence[UUID] | UnsetType = UNSET
    skills: Mapping[str, int] | UnsetType = UNSET
    travel_minutes_max: int | UnsetType | None = UNSET
    work_minutes_max: int | UnsetType | None = UNSET
    visits_max: int | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What else was said of an engineer: end place, own limits (None: the policy's), where they also work."""

    engineer_id: UUID
    end_lat: float | None
    end_lng: float | None
    travel_minutes_max: int | None
    work_minutes_max: int | None
    visits_max: int | None
    secondary_territory_ids: tuple[UUID, ...]


async def save_skill(work: Work, skill: NewSkill) -> str:
    """Create a skill, or rename the one with this code; its code."""
    with _Paths("skills.0."):
        return (await engineers.create_skills(work, [skill]))[0]


async def save_engineer(work: Work, setup: EngineerSetup, engineer_id: UUID | None = None) -> UUID:
    """Enter an engineer, or with an id change one; the id. The same again changes nothing.

    Raises NotFound (engineer, user, territory), BadField (no base, unknown skill, level or limit out of range),
    PointInvalid, AlreadyExists (the user is an engineer already), LimitExceeded.
    """
    if engineer_id is None:
        engineer_id = await _create(work, setup)
    else:
        if setup.user_id is not UNSET:
            owner = await work.fetchval(
                "select user_id from engineer where org_id = callout_org() and id = $1", engineer_id
            )
            if owner is not None and owner != setup.user_id:
                raise SetupRefused("userId", "user_fixed")
        await _change(work, engineer_id, setup)
        if setup.skills is not UNSET:
            await _set_skills(work, engineer_id, setup.skills)
        if setup.territory_id is not UNSET:
            with _Paths("", path="territoryId"):
                await crew.set_territory(work, engineer_id, setup.territory_id)
    await _set_terms(work, engineer_id, setup)
    if setup.secondary_territory_ids is not UNSET:
        await _set_territories(work, engineer_id, setup.secondary_territory_ids)
    if setup.active is not UNSET:
        now = await work.fetchval(
            "select active from engineer where org_id = callout_org() and id = $1", engineer_id
        )
        if now is not setup.active:
            await engineers.set_active(work, engineer_id, setup.active)
    return engineer_id


async def terms_by_engineer_ids(work: Work, engineer_ids: Sequence[UUID]) -> list[Terms | None]:
    """The terms of engineers in the order of their ids."""
    rows = await work.fetch(
        """
        select e.id as engineer_id, e.end_lat, e.end_lng, e.travel_minutes_max, e.work_minutes_max, e.visits_max,
            array(select t.territory_id from engineer_territory t
                  where t.org_id = e.org_id and t.engineer_id = e.id order by 1) as secondary_territory_ids
        from engineer e where e.org_id = callout_org() and e.id = any($1)
        """,
        list(engineer_ids),
    )
    found = {
        row["engineer_id"]: Terms(
            **{**dict(row), "secondary_territory_ids": tuple(row["secondary_territory_ids"])}
        )
        for row in rows
    }
    return [found.get(id_) for id_ in engineer_ids]


# ------------------------------------------------------------------------------------------------ steps


async def _create(work: Work, setup: EngineerSetup) -> UUID:
    for name in ("user_id", "name"):
        if getattr(setup, name) is UNSET:
            raise SetupRefused(_outside(name), "needed")
    assert isinstance(setup.user_id, UUID)
    assert isinstance(setup.name, str)
    lat, lng = setup.home_lat, setup.home_lng
    if not isinstance(lat, int | float) or not isinstance(lng, int | float):
        raise SetupRefused("home", "no_base")
    new = NewEngineer(
        user_id=setup.user_id,
        name=setup.name,
        home_lat=lat,
        home_lng=lng,
        territory_id=None if setup.territory_id is UNSET else setup.territory_id,
        skills={} if setup.skills is UNSET else setup.skills,
    )
    with _Paths("engineers.0."):
        return await engineers.create_engineer(work, new)


async def _change(work: Work, engineer_id: UUID, setup: EngineerSetup) -> None:
    """Name and home of an engineer who exists."""
    row = await work.fetchrow(
        """
        select name, home_lat, home_lng from engineer where org_id = callout_org() and id = $1 for no key update
        """,
        engineer_id,
    )
    if row is None:
        raise NotFound(entity="engineer", path="id")
    name = row["name"] if setup.name is UNSET else checked_line("name", setup.name)
    home = (row["home_lat"], row["home_lng"])
    if setup.home_lat is not UNSET or setup.home_lng is not UNSET:
        lat, lng = setup.home_lat, setup.home_lng
        if not isinstance(lat, int | float) or not isinstance(lng, int | float):
            raise SetupRefused("home", "no_base")
        point = check_point("home", lat, lng)
        home = (point.lat, point.lng)
    if (name, home) == (row["name"], (row["home_lat"], row["home_lng"])):
        return
    await work.execute(
        "update engineer set name = $2, home_lat = $3, home_lng = $4 where org_id = callout_org() and id = $1",
        engineer_id,
        name,
        *home,
    )
    # Where people live goes into no journal: it is kept for ever, and sent on to whoever listens.
    moved = home != (row["home_lat"], row["home_lng"])
    await _note(work, engineer_id, "engineer.changed", {"name": name, "homeMoved": moved})


async def _set_skills(work: Work, engineer_id: UUID, skills: Mapping[str, int]) -> None:
    rows = await work.fetch(
        "select skill, level from engineer_skill where org_id = callout_org() and engineer_id = $1",
        engineer_id,
    )
    if {row["skill"]: row["level"] for row in rows} == dict(skills):
        return
    with _Paths(f"skills.{engineer_id}.", "skills."):
        await engineers.set_skills(work, {engineer_id: skills})


async def _set_terms(work: Work, engineer_id: UUID, setup: EngineerSetup) -> None:
    """End place and limits."""
    row = await work.fetchrow(
        f"""
        select end_lat, end_lng, {", ".join(LIMITS)} from engineer
        where org_id = callout_org() and id = $1 for no key update
        """,
        engineer_id,
    )
    assert row is not None
    before = dict(row)
    now = {name: old if (new := getattr(setup, name)) is UNSET else new for name, old in before.items()}
    if (setup.end_lat is UNSET) is not (setup.end_lng is UNSET):
        raise SetupRefused("end", "half_point")
    now["end_lat"], now["end_lng"] = check_place("end", now["end_lat"], now["end_lng"])
    for name, (outside, high) in LIMITS.items():
        if now[name] is not None:
            check_range(outside, now[name], 1, high)
    if now == before:
        return
    await work.execute(
        """
        update engineer set end_lat = $2, end_lng = $3, travel_minutes_max = $4, work_minutes_max = $5, visits_max = $6
        where org_id = callout_org() and id = $1
        """,
        engineer_id,
        *now.values(),
    )
    limits = {outside: now[name] for name, (outside, _) in LIMITS.items()}
    own_end = now["end_lat"] is not None
    await _note(work, engineer_id, "engineer.terms_set", {**limits, "ownEndPlace": own_end})


async def _set_territories(work: Work, engineer_id: UUID, territory_ids: Sequence[UUID]) -> None:
    if len(territory_ids) > TERRITORIES_MAX:
        raise LimitExceeded(
            path="secondaryTerritoryIds",
            what="territories of an engineer",
            limit=TERRITORIES_MAX,
            given=len(territory_ids),
        )
    wanted = sorted(set(territory_ids))
    for n, id_ in enumerate(territory_ids):
        if id_ in territory_ids[:n]:
            raise SetupRefused(f"secondaryTerritoryIds.{n}", "twice")
    rows = await work.fetch(
        "select id from territory where org_id = callout_org() and id = any($1)", list(wanted)
    )
    known = {row["id"] for row in rows}
    for n, id_ in enumerate(territory_ids):
        if id_ not in known:
            raise NotFound(entity="territory", path=f"secondaryTerritoryIds.{n}")
    before = [
        row["territory_id"]
        for row in await work.fetch(
            """
            select territory_id from engineer_territory
            where org_id = callout_org() and engineer_id = $1 order by territory_id
            """,
            engineer_id,
        )
    ]
    if before == wanted:
        return
    await work.execute(
        "delete from engineer_territory where org_id = callout_org() and engineer_id = $1", engineer_id
    )
    await work.execute(
        "insert into engineer_territory (engineer_id, territory_id) select $1, unnest($2::uuid[])",
        engineer_id,
        wanted,
    )
    await _note(work, engineer_id, "engineer.territories_set", {"secondaryTerritoryIds": wanted})


class _Paths:
    """Turns the paths of a plural function's refusals into those of one engineer."""

    def __init__(self, prefix: str, instead: str = "", *, path: str | None = None) -> None:
        self._prefix, self._instead, self._path = prefix, instead, path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        if not isinstance(fault, Refusal):
            return
        if self._path is not None:
            fault.path = self._path
        elif fault.path is not None and fault.path.startswith(self._prefix):
            fault.path = self._instead + fault.path.removeprefix(self._prefix)
        elif fault.path is None:
            fault.path = {"user": "userId", "territory": "territoryId", "engineer": "userId"}.get(
                fault.details.get("entity", "")
            )


def _outside(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


async def _note(work: Work, engineer_id: UUID, kind: str, data: dict[str, Any]) -> None:
    await journal.write(work, journal.Entry(kind=kind, entity="engineer", entity_id=engineer_id, data=data))
