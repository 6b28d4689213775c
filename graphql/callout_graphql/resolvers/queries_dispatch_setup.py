"""Queries about what dispatch stands on."""

from datetime import datetime
from typing import cast
from uuid import UUID

import strawberry

from callout_dispatch import depots as depot_rows
from callout_dispatch import engineer_setup, preferences, reading, shifts
from callout_dispatch.engineer_terms import check_stretch
from callout_graphql.connections import PAGE_DEFAULT, PAGE_MAX, Connection, connection, cursor_id, page_size
from callout_graphql.edges import Info
from callout_graphql.types.dispatch_setup import (
    Absence,
    Depot,
    EngineerPreference,
    EngineerTerms,
    EngineerTime,
    Shift,
)
from callout_store.errors import LimitExceeded

DAYS_MAX = 400


@strawberry.type
class SetupQueries:
    """What the office may look up."""

    @strawberry.field
    async def engineer_time(
        self, info: Info, engineer_ids: list[UUID], start: datetime, end: datetime
    ) -> list[EngineerTime]:
        """Shifts with breaks and absences of up to 200 engineers that reach into [start, end), at most 400 days."""
        check_stretch("range", start, end)
        if len(engineer_ids) > PAGE_MAX:
            raise LimitExceeded(path="engineerIds", what="engineers", limit=PAGE_MAX, given=len(engineer_ids))
        if (end - start).days > DAYS_MAX:
            raise LimitExceeded(path="end", what="days", limit=DAYS_MAX, given=(end - start).days)
        async with info.context.work() as work:
            worked = await shifts.shifts_between(work, engineer_ids, start, end)
            away = await reading.absences_by_engineer_ids(work, engineer_ids, start, end)
        return [
            EngineerTime(
                engineer_id=id_, shifts=cast(list[Shift], of_one), absences=cast(list[Absence], gone)
            )
            for id_, of_one, gone in zip(engineer_ids, worked, away, strict=True)
        ]

    @strawberry.field
    async def engineer_terms(self, info: Info, engineer_ids: list[UUID]) -> list[EngineerTerms]:
        """End places, limits and further territories of up to 200 engineers; those that are not there are left out."""
        if len(engineer_ids) > PAGE_MAX:
            raise LimitExceeded(path="engineerIds", what="engineers", limit=PAGE_MAX, given=len(engineer_ids))
        async with info.context.work() as work:
            found = await engineer_setup.terms_by_engineer_ids(work, engineer_ids)
        return cast(list[EngineerTerms], [one for one in found if one is not None])

    @strawberry.field
    async def engineer_preferences(
        self,
        info: Info,
        engineer_id: UUID | None = None,
        customer_id: UUID | None = None,
        site_id: UUID | None = None,
        order_id: UUID | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[EngineerPreference]:
        """Who is required, excluded or preferred, newest first; what is left out matters not."""
        async with info.context.work() as work:
            page = await preferences.preferences_page(
                work,
                preferences.Target(customer_id=customer_id, site_id=site_id, order_id=order_id),
                engineer_id=engineer_id,
                after=cursor_id(after),
                limit=page_size(first),
            )
        return connection(page)

    @strawberry.field
    async def depots(
        self, info: Info, active: bool | None = True, first: int = PAGE_DEFAULT, after: str | None = None
    ) -> Connection[Depot]:
        """Depots, newest first. `active: null`: those that are closed too."""
        async with info.context.work() as work:
            page = await depot_rows.depots_page(
                work, active=active, after=cursor_id(after), limit=page_size(first)
            )
        return connection(page)
