"""Mutations of what dispatch stands on: skills, engineers and their time, preferences, depots, stock."""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

import strawberry

from callout_dispatch import depots, engineer_setup, engineers, preferences
from callout_dispatch import reading as dispatch
from callout_dispatch.engineer_terms import NewSkill
from callout_dispatch.setup_texts import SetupRefused
from callout_dispatch.shifts import Break, PlannedShift, replace_shifts, shifts_between
from callout_graphql.edges import Info
from callout_graphql.order_input import SkillNeed
from callout_graphql.resolvers.mutations_desk import there
from callout_graphql.types.desk import StockLevel
from callout_graphql.types.dispatch import Engineer, Skill
from callout_graphql.types.dispatch_setup import Depot, EngineerPreference, Shift
from callout_store.work import Work


@strawberry.input
class ShiftBreakInput:
    """A rest of so many minutes that begins at `earliest` or later and is over by `latest`."""

    earliest: datetime
    latest: datetime
    minutes: int


@strawberry.input
class ShiftInput:
    """Working time [startsAt, endsAt), at most 24 hours; where it starts and ends, if not at the engineer's own places."""

    starts_at: datetime
    ends_at: datetime
    start_lat: float | None = None
    start_lng: float | None = None
    end_lat: float | None = None
    end_lng: float | None = None
    breaks: list[ShiftBreakInput] = strawberry.field(default_factory=list)


@strawberry.input
class EngineerInput:
    """What is known of an engineer. Left out: stays as it is. Null: none (no own limit, no own end place, any territory).

    A new engineer needs `userId`, `name`, `homeLat` and `homeLng`. Points are WGS-84 degrees, levels 1 to 5.
    """

    user_id: UUID | None = strawberry.UNSET
    name: str | None = strawberry.UNSET
    home_lat: float | None = strawberry.UNSET
    home_lng: float | None = strawberry.UNSET
    end_lat: float | None = strawberry.UNSET
    end_lng: float | None = strawberry.UNSET
    territory_id: UUID | None = strawberry.UNSET
    secondary_territory_ids: list[UUID] | None = strawberry.UNSET
    skills: list[SkillNeed] | None = strawberry.UNSET
    travel_minutes_max: int | None = strawberry.UNSET
    work_minutes_max: int | None = strawberry.UNSET
    visits_max: int | None = strawberry.UNSET
    active: bool | None = strawberry.UNSET


@strawberry.input
class DepotInput:
    """A depot; its code is unique in the organisation. Picking parts up takes `pickupMinutes`, 0 to 240."""

    code: str
    name: str
    lat: float
    lng: float
    pickup_minutes: int = 10
    active: bool = True


NEVER_NULL = frozenset({"user_id", "name", "secondary_territory_ids", "skills", "active"})
"""Null is taken for left out in these: there is nothing that it could clear."""


def given(values: Any, never_null: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What was said in an input, by its names; what was left out is not among it."""
    return {
        name: value
        for name, value in vars(values).items()
        if value is not strawberry.UNSET and not (value is None and name in never_null)
    }


@strawberry.type
class SetupMutations:
    """What the office may enter."""

    @strawberry.mutation
    async def save_skill(self, info: Info, code: str, name_en: str, name_zh: str) -> Skill:
        """Make a skill, or rename the one with this code."""
        new = NewSkill(code=code, name_en=name_en, name_zh=name_zh)
        await info.context.run(lambda work: engineer_setup.save_skill(work, new))
        async with info.context.work() as work:
            found = next(skill for skill in await dispatch.skills(work) if skill.code == code)
        return cast(Skill, found)

    @strawberry.mutation
    async def save_engineer(self, info: Info, input: EngineerInput, id: UUID | None = None) -> Engineer:
        """Enter an engineer of a user, or with an `id` change one."""
        values = given(input, NEVER_NULL)
        needs = values.get("skills")
        if needs is not None:
            values["skills"] = {need.skill: need.level for need in needs}
            if len(values["skills"]) < len(needs):
                raise SetupRefused("skills", "twice")
        setup = engineer_setup.EngineerSetup(**values)
        made = await info.context.run(lambda work: engineer_setup.save_engineer(work, setup, id))
        info.context.loaders.forget()
        return there(await info.context.loaders.engineers.load(made), "engineer")

    @strawberry.mutation
    async def set_shifts(
        self, info: Info, engineer_id: UUID, start: datetime, end: datetime, shifts: list[ShiftInput]
    ) -> list[Shift]:
        """Let an engineer's shifts that start within [start, end) be exactly these. Visits stay as they are."""
        planned = [_shift(one) for one in shifts]

        async def act(work: Work) -> list[Any]:
            await replace_shifts(work, engineer_id, start, end, planned)
            (found,) = await shifts_between(work, [engineer_id], start, end)
            return [one for one in found if one.starts_at >= start]

        return cast(list[Shift], await info.context.run(act))

    @strawberry.mutation
    async def remove_absence(self, info: Info, id: UUID) -> bool:
        """Take an absence back."""
        await info.context.run(lambda work: engineers.remove_absence(work, id))
        return True

    @strawberry.mutation
    async def set_engineer_preference(
        self,
        info: Info,
        engineer_id: UUID,
        kind: str | None = None,
        customer_id: UUID | None = None,
        site_id: UUID | None = None,
        order_id: UUID | None = None,
    ) -> EngineerPreference | None:
        """Say that a customer, a site or an order (one of them) requires, excludes or prefers an engineer; `kind` null
        takes it back."""
        target = preferences.Target(customer_id=customer_id, site_id=site_id, order_id=order_id)
        found = await info.context.run(
            lambda work: preferences.set_preference(work, engineer_id, target, kind)
        )
        return cast(EngineerPreference | None, found)

    @strawberry.mutation
    async def save_depot(self, info: Info, input: DepotInput, id: UUID | None = None) -> Depot:
        """Make a depot, or with an `id` change one."""

        async def act(work: Work) -> Any:
            made = await depots.save_depot(work, depots.NewDepot(**vars(input)), id)
            (found,) = await depots.depots_by_ids(work, [made])
            return found

        return cast(Depot, await info.context.run(act))

    @strawberry.mutation
    async def move_stock(
        self, info: Info, holder_id: UUID, part_id: UUID, quantity: int, reason: str
    ) -> StockLevel:
        """Book parts into (above 0) or out of (below 0) an engineer's van or a depot; what is there now."""
        level = await info.context.run(
            lambda work: depots.move_stock(work, holder_id, part_id, quantity, reason)
        )
        info.context.loaders.forget()
        return cast(StockLevel, level)


def _shift(one: ShiftInput) -> PlannedShift:
    rests = tuple(
        Break(earliest=rest.earliest, latest=rest.latest, minutes=rest.minutes) for rest in one.breaks
    )
    return PlannedShift(
        starts_at=one.starts_at,
        ends_at=one.ends_at,
        start_lat=one.start_lat,
        start_lng=one.start_lng,
        end_lat=one.end_lat,
        end_lng=one.end_lng,
        breaks=rests,
    )
