"""Rows of running flows: read for many orders with one statement, written for many with one as well: it is put off."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders.flow.events import READ, Line, happened
from callout_orders.flow.state import Ask, Blocked, Facts, Passed, StepState, Word
from callout_orders.kinds import versions
from callout_orders.kinds.expressions import environment
from callout_orders.kinds.terms import Kind
from callout_orders.terms import OrderState
from callout_store.columns import column
from callout_store.ids import new_id
from callout_store.work import Work

LIVE_VISIT: Final = frozenset({OrderState.SCHEDULED.value, OrderState.IN_PROGRESS.value})
OPEN_REQUISITION: Final = frozenset({"requested", "approved", "ordered"})
TO_ORDER: Final = frozenset({"requested", "approved"})


class Running(msgspec.Struct, kw_only=True):
    """An order with its flow as they are stored, and what is known of it."""

    order_id: UUID
    number: str
    kind: Kind
    state: str
    locale: str
    fields: dict[str, Any]
    tags: tuple[str, ...]
    steps: tuple[Passed, ...]
    words: tuple[Word, ...]
    facts: Facts
    waits: frozenset[str]
    todos: frozenset[str] = frozenset()
    """Matters that people were asked to do something about, and have not done yet."""
    archived: bool = False
    priority: str = ""
    tier: str = ""
    stored: tuple[Passed, ...] = ()
    """The steps as they are in the database, where `steps` were changed since."""


class _Step(msgspec.Struct):
    id: UUID
    n: int
    step: str
    times: int
    state: StepState
    reached_at: datetime
    entered_at: datetime | None
    lap: int
    lap_at: datetime | None
    said_at: datetime | None
    done_at: datetime | None
    used: dict[str, tuple[str, ...]]
    settled: dict[str, str]
    blocked: Blocked | None


class _Word(msgspec.Struct):
    id: UUID
    code: str
    about: dict[str, Any]
    state: str
    n: int
    decided_at: datetime | None


_STEPS: Final = msgspec.json.Decoder(tuple[_Step, ...])
_WORDS: Final = msgspec.json.Decoder(tuple[_Word, ...])
_LINES: Final = msgspec.json.Decoder(tuple[Line, ...])

_READ: Final = """
select o.id, o.kind, o.kind_version, o.number, o.priority, o.channel, o.state, o.serial, o.product, o.error_code,
       o.description, o.locale, o.tags, o.hold_reason, o.fields::text as fields, o.archived_at, o.flow_waits, c.tier,
       a.serial as asset_serial,
       (select coalesce(json_agg(json_build_object('id', s.id, 'n', s.n, 'step', s.step, 'times', s.times,
            'state', s.state, 'reached_at', s.reached_at, 'entered_at', s.entered_at, 'lap', s.lap, 'lap_at', s.lap_at,
            'said_at', s.said_at, 'done_at', s.done_at, 'used', s.used, 'settled', s.settled, 'blocked', s.blocked)
            order by s.n), '[]')::text
        from order_step s where s.org_id = o.org_id and s.order_id = o.id) as steps,
       (select coalesce(json_agg(json_build_object('id', p.id, 'code', p.code, 'about', p.about, 'state', p.state,
            'n', s.n, 'decided_at', p.decided_at) order by p.id), '[]')::text
        from step_approval p join order_step s on s.org_id = p.org_id and s.id = p.step_id
        where p.org_id = o.org_id and p.order_id = o.id) as words,
       (select coalesce(json_agg(json_build_object('kind', j.kind, 'at', j.at, 'id', j.id, 'visit_id', j.visit_id,
            'flags', coalesce(j.data -> 'flags', '[]'))), '[]')::text
        from journal j where j.org_id = o.org_id and j.order_id = o.id and j.kind = any($2)) as lines,
       (select array_agg(r.state) from requisition r
        where r.org_id = o.org_id and r.order_id = o.id and r.state <> 'canceled') as requisitions,
       (select array_agg(t.matter) from todo t
        where t.org_id = o.org_id and t.order_id = o.id and t.state in ('open', 'acknowledged')) as todos
from work_order o
join customer c on c.org_id = o.org_id and c.id = o.customer_id
left join asset a on a.org_id = o.org_id and a.id = o.asset_id
where o.org_id = callout_org() and o.id = any($1)
"""


async def load(work: Work, order_ids: Sequence[UUID]) -> list[Running]:
    """The running flows of these orders, by id; those without a flow have no steps. The caller holds the orders' rows."""
    rows = await work.fetch(_READ, list(order_ids), list(READ))
    kinds = await versions.kinds_of(work, {(row["kind"], row["kind_version"]) for row in rows})
    found = [_running(row, kinds[row["kind"], row["kind_version"]]) for row in rows]
    return sorted(found, key=lambda one: one.order_id)


def _running(row: Any, kind: Kind) -> Running:
    lines = _LINES.decode(row["lines"])
    events = happened(lines)
    outcomes = [event for event in events if event.name == "visit_ended"]
    last = max(outcomes, key=lambda event: (event.at, event.key), default=None)
    done = {event.key for event in events if event.name == "visit_completed"}
    requisitions = frozenset(row["requisitions"] or ())
    waiting = bool(requisitions & OPEN_REQUISITION)
    fields = msgspec.json.decode(row["fields"])
    env = environment(
        kind,
        order={
            **{
                name: row[name]
                for name in (
                    "number", "kind", "priority", "channel", "state", "product", "error_code", "description",
                    "locale", "tier", "hold_reason",
                )
            },
            "serial": row["serial"] or row["asset_serial"],
            "tags": list(row["tags"]),
            "visits": len({event.key for event in outcomes}),
            "outcome": None if last is None else "done" if last.key in done else "could_not_complete",
        },
        fields=fields,
        parts={"waiting": waiting, "ready": "received" in requisitions and not waiting},
    )  # fmt: skip
    standing = {
        "parts_requested": bool(requisitions),
        "parts_ordered": not requisitions & TO_ORDER,
        "parts_ready": not waiting,
    }
    steps = tuple(Passed(**msgspec.structs.asdict(one)) for one in _STEPS.decode(row["steps"]))
    return Running(
        order_id=row["id"],
        number=row["number"],
        kind=kind,
        state=row["state"],
        locale=row["locale"],
        fields=fields,
        tags=tuple(row["tags"]),
        steps=steps,
        stored=steps,
        words=tuple(Word(**msgspec.structs.asdict(one)) for one in _WORDS.decode(row["words"])),
        facts=Facts(
            env=env,
            events=events,
            standing=frozenset(name for name, holds in standing.items() if holds),
            visit_live=row["state"] in LIVE_VISIT,
        ),
        waits=frozenset(row["flow_waits"]),
        todos=frozenset(row["todos"] or ()),
        archived=row["archived_at"] is not None,
        priority=row["priority"],
        tier=row["tier"],
    )


def store_steps(work: Work, steps: Sequence[tuple[UUID, Passed, str, datetime | None]]) -> None:
    """Write steps (order, step with its id, owner, deadline) that are new or have changed, those of an order by `n`."""
    rows = [
        {
            "id": step.id,
            "order_id": order_id,
            "owner": owner,
            "due_at": due_at,
            **{name: getattr(step, name) for name in _COLUMNS},
            "state": step.state.value,
        }
        for order_id, step, owner, due_at in steps
    ]
    # Rows are written in turn: an order is at one step at a time, and what is over makes room for what comes after it.
    if rows:
        work.later(_STORE, msgspec.json.encode(rows).decode())


_COLUMNS: Final = (
    "n", "step", "times", "reached_at", "entered_at", "lap", "lap_at", "said_at", "done_at", "used", "settled", "blocked",
)  # fmt: skip
_STORE: Final = """
insert into order_step (id, order_id, n, step, owner, times, state, reached_at, entered_at, lap, lap_at, said_at, done_at,
    due_at, used, settled, blocked)
select t.id, t.order_id, t.n, t.step, t.owner, t.times, t.state, t.reached_at, t.entered_at, t.lap, t.lap_at, t.said_at,
    t.done_at, t.due_at, t.used, t.settled, nullif(t.blocked, 'null')
from jsonb_to_recordset($1::text::jsonb) as t(id uuid, order_id uuid, n int, step text, owner text, times int, state text,
    reached_at timestamptz, entered_at timestamptz, lap int, lap_at timestamptz, said_at timestamptz,
    done_at timestamptz, due_at timestamptz, used jsonb, settled jsonb, blocked jsonb)
on conflict (org_id, id) do update set state = excluded.state, entered_at = excluded.entered_at,
    said_at = excluded.said_at, done_at = excluded.done_at, due_at = coalesce(excluded.due_at, order_step.due_at),
    used = excluded.used, settled = excluded.settled, blocked = excluded.blocked
"""


async def store_begun(work: Work, begun: Sequence[tuple[UUID, Passed, str, datetime | None]]) -> None:
    """Write first steps (order, step with its id, owner, deadline) of orders that had none."""
    await work.execute(
        """
        insert into order_step (id, order_id, n, step, owner, times, state, reached_at, entered_at, due_at)
        select i, o, 1, s, w, 1, 'open', r, r, d
        from unnest($1::text::uuid[], $2::text::uuid[], $3::text[], $4::text[], $5::text::timestamptz[],
            $6::text::timestamptz[]) as t(i, o, s, w, r, d)
        """,
        column([step.id for _, step, _, _ in begun]),
        column([order_id for order_id, _, _, _ in begun]),
        [step.step for _, step, _, _ in begun],
        [owner for _, _, owner, _ in begun],
        column([step.entered_at for _, step, _, _ in begun]),
        column([due for _, _, _, due in begun]),
    )


def store_waits(work: Work, waits: Mapping[UUID, frozenset[str]]) -> None:
    """Say on the orders what their flows wait for. No news for phones, which know nothing of flows."""
    if not waits:
        return
    work.flows |= waits
    work.later(
        """
        update work_order o set flow_waits = array(select jsonb_array_elements_text(t.waits))
        from unnest($1::uuid[], $2::text[]::jsonb[]) as t(id, waits)
        where o.org_id = callout_org() and o.id = t.id
        """,
        list(waits),
        [msgspec.json.encode(sorted(names)).decode() for names in waits.values()],
    )


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An approval that was asked for just now."""

    id: UUID
    order_id: UUID
    ask: Ask


async def store_asks(
    work: Work, asks: Sequence[tuple[UUID, UUID, Ask]], superseded: Sequence[UUID]
) -> list[Asked]:
    """Ask for approvals (order, step's id, what); those that were asked for other values are taken back at once."""
    if superseded:
        await work.execute(
            """
            update step_approval set state = 'superseded', decided_at = $2
            where org_id = callout_org() and id = any($1) and state = 'asked'
            """,
            list(superseded),
            work.now,
        )
    if not asks:
        return []
    made = [Asked(id=new_id(), order_id=order_id, ask=ask) for order_id, _, ask in asks]
    work.later(
        """
        insert into step_approval (id, order_id, step_id, code, owner, about, state, asked_at)
        select i, o, s, c, w, a, 'asked', $7::timestamptz
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[]::jsonb[])
            as t(i, o, s, c, w, a)
        """,
        [one.id for one in made],
        [one.order_id for one in made],
        [step_id for _, step_id, _ in asks],
        [one.ask.approval.code for one in made],
        [one.ask.approval.by for one in made],
        [msgspec.json.encode(one.ask.about).decode() for one in made],
        work.now,
    )
    return made
