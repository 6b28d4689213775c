"""Expected arrivals as the API shows them. Reads only."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from callout_store.work import Work


class EtaView(msgspec.Struct, frozen=True, kw_only=True):
    """When the engineer of a visit is expected, as of `computed_at`; `told_eta` is what the customer knows: what they
    heard last, at `told_at`, or what was planned when they had heard nothing."""

    visit_id: UUID
    eta: datetime
    computed_at: datetime
    because: str
    provider: str
    told_eta: datetime | None
    told_at: datetime | None
    missed_at: datetime | None


async def etas_by_visit_ids(work: Work, visit_ids: Sequence[UUID]) -> list[EtaView | None]:
    """The expected arrivals of visits that nobody has reached yet, in the order of the ids."""
    rows = await work.fetch(
        """
        select t.visit_id, t.eta, t.computed_at, t.because, t.provider, t.told_eta, t.told_at, t.missed_at
        from visit_eta t join visit v on v.org_id = t.org_id and v.id = t.visit_id
        where t.org_id = callout_org() and t.visit_id = any($1) and v.ended_at is null and v.arrived_at is null
              and v.first_on_site_at is null
        """,
        list(visit_ids),
    )
    found = {row["visit_id"]: EtaView(**dict(row)) for row in rows}
    return [found.get(id_) for id_ in visit_ids]
