"""An order's clock as it is kept: read with all that happened to it, and stored with what follows from a change.

What is stored of a clock is what cannot be computed: the version and rule of its promise (`work_order.sla_policy`), its
events, and what was said already. `work_order.…_due_at` are what dispatch and the phones plan by: a milestone's due, or while
it is paused what it would be if it went on. One timer a milestone waits for the next thing to say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders.desk.todos import ANSWER_KIND
from callout_orders.sla import clock
from callout_orders.sla.clock import Event, Facts, MilestoneName, MilestoneState, Stand
from callout_orders.sla.policy import policies, terms
from callout_orders.sla.policy.terms import Rule, SlaPolicy
from callout_orders.terms import FINAL
from callout_store import timers
from callout_store.journal import Entry
from callout_store.work import Work

CHANNEL: Final = "sla.check"
SETTLE_CHANNEL: Final = "sla.settle"
TODO_KIND: Final = "sla_warning"
SETTLED: Final = (TODO_KIND, ANSWER_KIND)
"""Kinds of to-dos that end when an order's milestone is reached, by whomever."""
DUES: Final = {
    MilestoneName.FIRST_RESPONSE: "respond_due_at",
    MilestoneName.ARRIVAL: "arrive_due_at",
    MilestoneName.RESOLUTION: "resolve_due_at",
}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What was said about a milestone: see the table `sla_milestone`."""

    epoch: int = 1
    warned: tuple[float, ...] = ()
    missed_at: datetime | None = None
    missed_due_at: datetime | None = None


class OrderClock(msgspec.Struct, frozen=True, kw_only=True):
    """An order's clock with everything it is computed from. `running` is False for a linked duplicate."""

    order_id: UUID
    number: str
    priority: str
    kind: str
    tier: str
    state: str
    created_at: datetime
    running: bool
    policy: SlaPolicy
    rule: Rule
    facts: Facts
    events: tuple[Event, ...]
    said: dict[str, Said]

    def promise(self, name: MilestoneName) -> clock.Promise:
        """What was promised for a milestone."""
        return terms.promise(self.policy, self.rule, name, self.created_at)

    def stand(self, name: MilestoneName, now: datetime) -> Stand:
        """How a milestone stands."""
        return clock.stand(
            self.promise(name),
            self.events,
            facts=self.facts,
            now=now,
            missed_at=self.of(name).missed_at,
        )

    def line(self, kind: str, data: Mapping[str, Any]) -> Entry:
        """A line of the journal about the order."""
        told = {"number": self.number, "priority": self.priority, **data}
        return Entry(
            kind=kind, entity="work_order", entity_id=self.order_id, order_id=self.order_id, data=told
        )

    def of(self, name: MilestoneName) -> Said:
        """What was said about a milestone."""
        return self.said.get(name.value, NOTHING)

    def wake_at(self, name: MilestoneName, now: datetime) -> datetime | None:
        """When there will be something to say about a milestone next; None: nothing while it stays as it is."""
        stands, said = self.stand(name, now), self.of(name)
        if said.missed_at is not None or not self.running or self.state in FINAL:
            return None
        if stands.state is MilestoneState.MISSED:
            return now
        if stands.state is not MilestoneState.RUNNING:
            return None
        for mark in terms.marks(self.policy, self.rule, name):
            if mark not in said.warned:
                at = clock.left_at(self.promise(name), self.events, minutes=mark, now=now)
                return at and max(at, self.created_at)
        return stands.due_at


NOTHING: Final = Said()
_EVENTS: Final = msgspec.json.Decoder(tuple[Event, ...])
_SAID: Final = msgspec.json.Decoder(dict[str, Said])


def key_of(order_id: UUID, name: MilestoneName) -> str:
    """The key of a milestone's timer."""
    return f"sla:{order_id}:{name.value}"


def matter_of(order_id: UUID, name: str, epoch: int) -> str:
    """The matter of a supervisor's to-do about a milestone."""
    return f"sla:{order_id}:{name}:{epoch}"


def payload_of(order_id: UUID, name: MilestoneName) -> dict[str, str]:
    """What a milestone's timer carries."""
    return {"orderId": str(order_id), "milestone": name.value}


async def load(work: Work, order_ids: Iterable[UUID], *, lock: bool = False) -> dict[UUID, OrderClock]:
    """The clocks of orders, by id; with `lock` their rows are held, taken in the order of their ids."""
    ids = sorted(set(order_ids))
    if not ids:
        return {}
    if lock:
        # In a statement of its own: one that waited for a row's lock reads other tables as they were before it waited.
        await work.execute(
            "select 1 from work_order where org_id = callout_org() and id = any($1) order by id for no key update",
            ids,
        )
    rows = await work.fetch(
        """
        select o.id, o.number, o.priority, o.kind, o.state, o.created_at, o.sla_policy, o.responded_at, o.arrived_at,
               o.resolved_at, o.canceled_at, o.closed_at, o.duplicate_of_id, c.tier,
               (select jsonb_agg(to_jsonb(e) order by e.n)::text from sla_event e
                where e.org_id = o.org_id and e.order_id = o.id) as events,
               (select jsonb_object_agg(m.milestone, to_jsonb(m))::text from sla_milestone m
                where m.org_id = o.org_id and m.order_id = o.id) as said
        from work_order o join customer c on c.org_id = o.org_id and c.id = o.customer_id
        where o.org_id = callout_org() and o.id = any($1)
        """,
        ids,
    )
    stamps = {row["id"]: terms.stamped(row["sla_policy"]) for row in rows}
    known = await policies.of_versions(work, {version for version, _ in stamps.values()})
    found: dict[UUID, OrderClock] = {}
    for row in rows:
        version, code = stamps[row["id"]]
        of = known[version]
        rule = (
            of.rule(code)
            or terms.match(of, tier=row["tier"], kind=row["kind"], priority=row["priority"]).rule
        )
        found[row["id"]] = OrderClock(
            order_id=row["id"],
            number=row["number"],
            priority=row["priority"],
            kind=row["kind"],
            tier=row["tier"],
            state=row["state"],
            created_at=row["created_at"],
            running=row["duplicate_of_id"] is None,
            policy=of,
            rule=rule,
            facts=Facts(
                first_response_at=row["responded_at"],
                arrived_at=row["arrived_at"],
                # Closed without a visit: an answer solved it.
                resolved_at=row["resolved_at"] or row["closed_at"],
                canceled_at=row["canceled_at"],
            ),
            events=_EVENTS.decode(row["events"]) if row["events"] else (),
            said=_SAID.decode(row["said"]) if row["said"] else {},
        )
    return found


async def add_events(work: Work, given: Sequence[tuple[OrderClock, Event]]) -> list[OrderClock]:
    """Write events, at most one an order, whose rows are locked; the clocks with them. An event's own `n` is ignored."""
    if not given:
        return []
    numbered = [
        (
            one,
            msgspec.structs.replace(
                event, n=one.events[-1].n + 1 if one.events else 1, actor_id=work.actor.user_id
            ),
        )
        for one, event in given
    ]
    rows = [
        {
            **{name: getattr(event, name) for name in Event.__struct_fields__},
            "order_id": one.order_id,
        }
        for one, event in numbered
    ]
    await work.execute(
        """
        insert into sla_event (order_id, n, at, kind, milestone, reason, note, minutes, since, until, data, actor_id)
        select order_id, n, at, kind, milestone, reason, note, minutes, since, until, data, actor_id
        from jsonb_to_recordset($1::text::jsonb) as t(order_id uuid, n int, at timestamptz, kind text, milestone text,
            reason text, note text, minutes int, since timestamptz, until timestamptz, data jsonb, actor_id uuid)
        """,
        msgspec.json.encode(rows).decode(),
    )
    return [msgspec.structs.replace(one, events=(*one.events, event)) for one, event in numbered]


async def store(
    work: Work, clocks: Sequence[OrderClock], *, renewed: Collection[MilestoneName] = (), bump: int = 1
) -> list[OrderClock]:
    """Write what follows from clocks that changed: planning dues, stamp, hold, timers; `renewed` milestones get a new
    epoch. The orders' rows are locked; their revisions rise by `bump` (0: the caller raises them)."""
    if not clocks:
        return []
    clocks = [_renewed(one, renewed) for one in clocks]
    stands = {one.order_id: {name: one.stand(name, work.now) for name in MilestoneName} for one in clocks}
    await work.execute(
        """
        update work_order o
        set respond_due_at = t.d1, arrive_due_at = t.d2, resolve_due_at = t.d3, sla_policy = t.s, hold_reason = t.h,
            revision = o.revision + $7
        from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[])
            as t(id, d1, d2, d3, s, h)
        where o.org_id = callout_org() and o.id = t.id
        """,
        [one.order_id for one in clocks],
        *([stands[one.order_id][name].planning_due_at for one in clocks] for name in MilestoneName),
        [terms.stamp(one.policy.version, one.rule.code) for one in clocks],
        [holding(one) for one in clocks],
        bump,
    )
    if renewed:
        await say(work, [(one, name) for one in clocks for name in renewed])
    await set_timers(work, clocks)
    work.touch("work_order", *(one.order_id for one in clocks))
    return clocks


def holding(one: OrderClock) -> str | None:
    """The latest reason for which an order is on hold."""
    reasons = list(clock.open_pauses(one.events))
    return reasons[-1] if reasons else None


def _renewed(one: OrderClock, names: Collection[MilestoneName]) -> OrderClock:
    said = dict(one.said)
    for name in names:
        was = one.of(name)
        said[name.value] = msgspec.structs.replace(was, epoch=was.epoch + 1, warned=())
    return msgspec.structs.replace(one, said=said)


async def say(work: Work, given: Sequence[tuple[OrderClock, MilestoneName]]) -> None:
    """Write what was said about milestones."""
    said = [one.of(name) for one, name in given]
    await work.execute(
        """
        insert into sla_milestone (order_id, milestone, epoch, warned, missed_at, missed_due_at)
        select order_id, milestone, epoch, warned, missed_at, missed_due_at
        from jsonb_to_recordset($1::text::jsonb) as t(order_id uuid, milestone text, epoch int,
            warned double precision[], missed_at timestamptz, missed_due_at timestamptz)
        on conflict (org_id, order_id, milestone) do update
        set epoch = excluded.epoch, warned = excluded.warned, missed_at = excluded.missed_at,
            missed_due_at = excluded.missed_due_at
        """,
        msgspec.json.encode(
            [
                {"order_id": one.order_id, "milestone": name, **msgspec.structs.asdict(what)}
                for (one, name), what in zip(given, said, strict=True)
            ]
        ).decode(),
    )


async def set_timers(work: Work, clocks: Sequence[OrderClock]) -> None:
    """Set or cancel the timers of clocks, two statements for any number."""
    # What was put off in this unit of work may cancel a timer that is set here.
    await work.flush()
    moves: list[tuple[str, datetime | None, str, Mapping[str, Any]]] = []
    rests: list[str] = []
    for one in clocks:
        for name in MilestoneName:
            at = one.wake_at(name, work.now)
            key = key_of(one.order_id, name)
            if at is None:
                rests.append(key)
            else:
                moves.append((key, at, CHANNEL, payload_of(one.order_id, name)))
    if moves:
        await timers.move_many(work, moves)
    if rests:
        await timers.cancel(work, *rests)
