"""From the database to a `Problem`, in three steps, because the ways between places may have to be asked for over HTTP and no
transaction may wait for that: `load_draft` reads (one unit of work), `estimate` or a routing service finds the ways (none),
`loaded` puts both together (pure). `load_problem` does all three with estimated ways.
"""

import asyncio
from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

import numpy as np

from callout_dispatch import policies
from callout_dispatch.places import legs
from callout_dispatch.places.speeds import travel_model
from callout_dispatch.planning.terms import LANES_MAX
from callout_dispatch.plans.draft import Draft, make_draft
from callout_dispatch.plans.loaded import ESTIMATE, Loaded, Ways, estimate, loaded, whole_minutes
from callout_dispatch.plans.row_terms import Scope
from callout_dispatch.plans.rows import load_rows
from callout_dispatch.plans.texts import PlanTooLarge
from callout_dispatch.policy import Policy
from callout_geo.points import Point
from callout_geo.routing.base import NONE, PROVIDERS
from callout_geo.travel import Travel
from callout_store.work import Database, Work

TASKS_MAX: Final = 3_000
"""Visits and waiting orders in one plan; more are planned territory by territory, or day by day."""
PLACES_MAX: Final = 4_000
"""Different places in one plan: its matrix of ways has 16 million entries, 64 MB."""


async def load_draft(
    work: Work,
    start: datetime,
    end: datetime,
    *,
    territory_id: UUID | None = None,
    policy: Policy | None = None,
    engineer_ids: Collection[UUID] | None = None,
    order_ids: Collection[UUID] | None = None,
    movable: Collection[UUID] | None = None,
) -> Draft:
    """The draft of [start, end) as it is now. With `engineer_ids` only their lanes, with `order_ids` only these waiting
    orders, and with `movable` only these visits may change. Raises LimitExceeded."""
    scope = Scope(
        start=start,
        end=end,
        at=work.now,
        territory_id=territory_id,
        engineer_ids=None if engineer_ids is None else tuple(sorted(engineer_ids)),
        order_ids=None if order_ids is None else tuple(sorted(order_ids)),
    )
    rows = await load_rows(work, scope, limit=TASKS_MAX)
    draft = make_draft(rows, policy or await policies.active(work), movable=movable)
    check_size(draft)
    return draft


def check_size(draft: Draft) -> None:
    """Refuse what no planner could finish."""
    for what, given, limit in (
        ("tasks", len(draft.tasks) + len(draft.barred), TASKS_MAX),
        ("lanes", len(draft.lanes), LANES_MAX),
        ("places", len(draft.places), PLACES_MAX),
    ):
        if given > limit:
            raise PlanTooLarge(what, limit=limit, given=given)


async def load_problem(
    work: Work,
    start: datetime,
    end: datetime,
    *,
    territory_id: UUID | None = None,
    policy: Policy | None = None,
    engineer_ids: Collection[UUID] | None = None,
    order_ids: Collection[UUID] | None = None,
    movable: Collection[UUID] | None = None,
) -> Loaded:
    """The problem of [start, end) with ways estimated by the organisation's own speeds. Parameters as for `load_draft`."""
    draft = await load_draft(
        work,
        start,
        end,
        territory_id=territory_id,
        policy=policy,
        engineer_ids=engineer_ids,
        order_ids=order_ids,
        movable=movable,
    )
    return loaded(draft, estimate(draft, await travel_model(work)))


async def ways_of(db: Database, org_id: UUID, draft: Draft, travel: Travel) -> Ways:
    """The ways by the organisation's travel provider, estimated where it does not answer. Not within a transaction."""
    if draft.provider == ESTIMATE:
        return await asyncio.to_thread(estimate, draft, travel)
    points = [None if place is None else Point(*place) for place in draft.places]
    if len(points) > legs.PLACES_MAX or len(points) ** 2 > legs.ASKED_PAIRS_MAX:
        return await asyncio.to_thread(estimate, draft, travel)
    found = await legs.matrix(db, org_id, points)
    unknown_s = draft.policy.travel_minutes_unknown * 60
    seconds = np.ceil(np.nan_to_num(found.seconds, nan=unknown_s)).astype(np.int32)
    np.fill_diagonal(seconds, 0)
    metres = np.ceil(np.nan_to_num(found.metres, nan=0.0)).astype(np.int32)
    return Ways(
        places=tuple(draft.places),
        seconds=whole_minutes(seconds),
        metres=metres,
        provider=draft.provider,
        # A way that nobody knows is assumed by the policy, which is an estimate as well.
        providers=np.where(found.provider == NONE, PROVIDERS.index(ESTIMATE), found.provider).astype(
            np.uint8
        ),
    )
