"""The verdict: every command once, every effect once, every copy equal to the tables, every picture's bytes whole."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from callout_backend.demo.copies import Copies, Held, compare_copies
from callout_backend.swarm.roamer import Made, Roamer
from callout_store.work import Database, Work

CHUNK: Final = 5_000
"""Commands asked for in one statement."""
SAMPLES_MAX: Final = 5

COMMANDS: Final = """
with made as (select * from unnest($1::uuid[], $2::text[]) as t(id, kind)),
counted as (
    select m.id, m.kind,
        (select count(*) from receipt r where r.org_id = callout_org() and r.command_id = m.id) as receipts,
        (select count(*) from visit_event e where e.org_id = callout_org() and e.id = m.id) as events,
        (select count(*) from quarantine q
         where q.org_id = callout_org() and q.command_id = m.id and q.category = 'quarantined') as quarantined,
        (select count(*) from held_command h
         where h.org_id = callout_org() and h.command_id = m.id and h.state = 'held') as held,
        (select count(*) from stock_move s where s.org_id = callout_org() and s.event_id = m.id) as moves,
        (select count(*) from signature s where s.org_id = callout_org() and s.event_id = m.id) as signatures,
        coalesce(j.lines, 0) as lines
    from made m
    left join (select entity_id, count(*) as lines from journal
               where org_id = callout_org() and entity = 'event' and entity_id = any($1) group by entity_id) j
        on j.entity_id = m.id
)
select id, kind, receipts, events, quarantined, held, moves, signatures, lines,
    held > 0 or receipts = 0 or (kind <> 'record.edit' and events + quarantined = 0)
        or (events = 1 and (lines = 0 or (kind = 'visit.replace_part' and moves = 0)
                            or (kind = 'visit.sign' and signatures = 0))) as lost,
    receipts > 1 or events + quarantined > 1 or lines > 1 or moves > 1 or signatures > 1 as doubled
from counted
"""

APPLIED: Final = """
select r.command_id from receipt r
where r.org_id = callout_org() and r.command_id = any($1)
  and (r.answer::json->>'status') in ('applied', 'conflict')
"""

STOCK: Final = """
with used as (
    select e.engineer_id, (e.data->>'partId')::uuid as part_id, sum((e.data->>'quantity')::int) as quantity
    from visit_event e where e.org_id = callout_org() and e.kind = 'part_replaced' group by 1, 2
)
select count(*) from stock_level l
left join unnest($2::uuid[], $3::int[]) as a(stock_id, added) on a.stock_id = l.id
left join used u on u.engineer_id = l.holder_id and u.part_id = l.part_id
where l.org_id = callout_org() and l.quantity <> $1 + coalesce(a.added, 0) - coalesce(u.quantity, 0)
"""
# One pass over the events: a look for each level would take minutes after a month of five hundred phones.

FROM_NOWHERE: Final = "select count(*) from visit_event where org_id = callout_org() and source = 'phone'"

PICTURES: Final = """
select count(*) from unnest($1::uuid[], $2::text[]) as p(id, sha)
left join attachment a on a.org_id = callout_org() and a.id = p.id
left join blob b on b.org_id = callout_org() and b.sha256 = decode(p.sha, 'hex')
where not exists (
        select 1 from quarantine q
        where q.org_id = callout_org() and q.command_id = p.id and q.category = 'quarantined')
  and (a.id is null or b.sha256 is null or a.state = 'awaited')
"""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`lost` and `doubled` count commands, effects on stock, and pictures; both must be 0."""

    commands: int
    events: int
    quarantined: int
    edits: int
    lost: int
    doubled: int
    from_nowhere: int
    stock_wrong: int
    pictures: int
    pictures_lost: int
    copies: Copies
    samples: list[str]

    @property
    def clean(self) -> bool:
        """Whether nothing was lost or doubled and every copy is true."""
        wrong = self.lost + self.doubled + self.from_nowhere + self.stock_wrong + self.pictures_lost
        return not wrong and not self.copies.mismatched


async def judge(
    db: Database, org_id: UUID, roamers: Sequence[Roamer], *, loaded: int, swept_at: datetime
) -> Verdict:
    """Ask the tables about everything that the phones wrote down; copies are held to the window of the last sweep."""
    made = [one for roamer in roamers for one in roamer.made]
    rows: list[dict[str, object]] = []
    added: dict[UUID, int] = {}
    async with db.work(org_id) as work:
        for start in range(0, len(made), CHUNK):
            chunk = made[start : start + CHUNK]
            found = await work.fetch(COMMANDS, [one.id for one in chunk], [one.kind for one in chunk])
            rows += [dict(row) for row in found]
            await _add_up(work, chunk, added)
        wrong = await work.fetchval(STOCK, loaded, list(added), list(added.values()))
        events = await work.fetchval(FROM_NOWHERE)
        pictures = {id_: sha for roamer in roamers for id_, sha in roamer.pictures.items()}
        pictures_lost = await work.fetchval(PICTURES, list(pictures), list(pictures.values()))
    copies = await compare_copies(
        db,
        org_id,
        [
            Held(
                engineer_id=roamer.seat.id,
                device_id=UUID(roamer.phone.store.mark("device")),
                documents=roamer.phone.store.documents(),
            )
            for roamer in roamers
            if roamer.phone is not None
        ],
        swept_at=swept_at,
    )
    counted = sum(int(str(row["events"])) for row in rows)
    return Verdict(
        commands=len(made),
        events=counted,
        quarantined=sum(int(str(row["quarantined"])) for row in rows),
        edits=sum(one.kind == "record.edit" for one in made),
        lost=sum(bool(row["lost"]) for row in rows),
        doubled=sum(bool(row["doubled"]) for row in rows),
        from_nowhere=events - counted,
        stock_wrong=wrong,
        pictures=len(pictures),
        pictures_lost=pictures_lost,
        copies=copies,
        samples=[str(row) for row in rows if row["lost"] or row["doubled"]][:SAMPLES_MAX],
    )


async def _add_up(work: Work, made: Sequence[Made], added: dict[UUID, int]) -> None:
    """What the phones' own corrections of their stock must have come to."""
    ours = {one.id: one for one in made if one.stock_id is not None}
    for row in await work.fetch(APPLIED, list(ours)):
        one = ours[row["command_id"]]
        assert one.stock_id is not None
        added[one.stock_id] = added.get(one.stock_id, 0) + one.add
