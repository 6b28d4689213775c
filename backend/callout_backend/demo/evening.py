"""The evening of the demo's day at the office: causes and costs are written down, what is dear waits for the director, what
was signed is closed, customers are asked how it was.

Flows move in the same transactions, many orders at a time: two hundred evenings one by one would take longer than the day.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

from callout_backend.demo.desk_setup import DeskWorld
from callout_backend.demo.names import PARTS
from callout_backend.demo.world import Staff
from callout_orders import orders
from callout_orders.desk import respond
from callout_orders.flow import approvals, deadlines, reading
from callout_orders.flow.ending import survey, survey_answers
from callout_orders.flow.parts import requisitions
from callout_orders.kinds.values import set_fields
from callout_store import timers
from callout_store.work import Actor, Database

T = TypeVar("T")

AT_ONCE: Final = 40
LEFT_OPEN: Final = 4
"""Repairs whose engineers still owe cause and cost."""
CLOSED_MAX: Final = 50
PARTS_ASKED: Final = 3
DEAR: Final = (1450, 620, 880, 2300, 540, 760)
"""Costs above what an engineer may agree to."""
APPROVED: Final = 2
CAUSES: Final = ("wear", "wear", "wear", "part_failure", "installation", "operation", "supply")
SORRY: Final = {
    "en": "Nobody was free today, we are sorry. We come first thing tomorrow.",
    "zh": "非常抱歉,今天没有空闲的工程师,明天一早优先安排。",
}
ANSWERS: Final = (
    (5, "Quick and friendly."),
    (5, "师傅很专业,讲解也清楚。"),
    (4, "Came late, but the work is good."),
    (5, ""),
    (4, "打扫得很干净。"),
    (5, "Thank you."),
    (3, "响应及时,但等待备件有些久。"),
    (5, "Would call again."),
    (2, "It leaks again since this morning."),
)


async def evening(
    db: Database, staff: Staff, world: DeskWorld, *, rng: random.Random, counts: Counter[str]
) -> None:
    """What the office does when the phones are in. `counts` grow by what was done."""
    await _answer(db, staff, counts)
    await _ask_for_parts(db, staff, world, counts)
    await _quote(db, staff, rng, counts)
    await _decide(db, staff, world, counts)
    await _close(db, staff, counts)
    await _ask(db, staff, counts)


async def _quote(db: Database, staff: Staff, rng: random.Random, counts: Counter[str]) -> None:
    ids = (await _at(db, staff, "quote"))[LEFT_OPEN:]
    dear = iter(DEAR[: max(1, len(ids) // 4)])
    for chunk in _chunks(ids):
        async with db.work(staff.org_id, actor=staff.dispatcher) as work:
            for order_id in chunk:
                cost = next(dear, None) or rng.randrange(40, 480, 10)
                values = {"fault_cause": rng.choice(CAUSES), "repair_cost": cost}
                await set_fields(work, order_id, values)
        counts["causes and costs written down"] += len(chunk)


async def _answer(db: Database, staff: Staff, counts: Counter[str]) -> None:
    """Whoever waited all day for nobody is called."""
    async with db.work(staff.org_id, actor=staff.dispatcher) as work:
        rows = await work.fetch(
            """
            select id, locale from work_order
            where org_id = callout_org() and responded_at is null and state not in ('closed', 'canceled')
              and duplicate_of_id is null order by id
            """
        )
        for row in rows:
            await respond.respond(work, row["id"], SORRY[row["locale"]])
    counts["called in the evening"] += len(rows)


async def _ask_for_parts(db: Database, staff: Staff, world: DeskWorld, counts: Counter[str]) -> None:
    """Engineers who could not finish their repairs say by telephone what they lack, where their phones did not."""
    async with db.work(staff.org_id) as work:
        rows = await work.fetch(
            """
            select o.id, (select s.code from jsonb_object_keys(o.skills) as s(code) limit 1) as skill
            from order_step t join work_order o on o.org_id = t.org_id and o.id = t.order_id
            where t.org_id = callout_org() and t.step = 'quote' and t.state = 'open' and o.state = 'cannot_complete'
              and not exists (select from requisition r where r.org_id = o.org_id and r.order_id = o.id)
            order by o.number limit $1
            """,
            PARTS_ASKED,
        )
    for row in rows:
        async with db.work(staff.org_id, actor=staff.dispatcher) as work:
            await requisitions.request(work, row["id"], [(PARTS[row["skill"]][0][0], 1)], note="By telephone")
        counts["parts asked for by telephone"] += 1


async def _decide(db: Database, staff: Staff, world: DeskWorld, counts: Counter[str]) -> None:
    """The director agrees to some, refuses one, and has the rest before her."""
    async with db.work(staff.org_id) as work:
        asked = sorted((await reading.approvals_page(work, state="asked")).items, key=lambda one: one.id)
    for n, one in enumerate(asked):
        async with db.work(staff.org_id, actor=world.actor("director")) as work:
            if n < min(APPROVED, len(asked) - 1):
                await approvals.approve(work, one.id, "Old customer, go ahead")
                counts["costs approved"] += 1
            elif n == APPROVED and len(asked) > APPROVED + 1:
                await approvals.reject(work, one.id, "A new one costs less: offer that")
                counts["costs rejected"] += 1
            else:
                counts["costs that wait for the director"] += 1


async def _close(db: Database, staff: Staff, counts: Counter[str]) -> None:
    """Orders whose customers signed, and did not object."""
    async with db.work(staff.org_id) as work:
        rows = await work.fetch(
            """
            select o.id from work_order o
            join order_step s on s.org_id = o.org_id and s.order_id = o.id and s.step = 'sign_off' and s.state = 'open'
            where o.org_id = callout_org() and o.state = 'completed'
              and exists (select from visit v join signature g on g.org_id = v.org_id and g.visit_id = v.id
                          where v.org_id = o.org_id and v.order_id = o.id and g.decision = 'accept')
            order by o.number limit $1
            """,
            CLOSED_MAX,
        )
    for chunk in _chunks([row["id"] for row in rows]):
        async with db.work(staff.org_id, actor=staff.dispatcher) as work:
            for order_id in chunk:
                await orders.close_order(work, order_id)
        counts["orders closed"] += len(chunk)


async def _ask(db: Database, staff: Staff, counts: Counter[str]) -> None:
    """Some customers say how it was; whoever is not content has the order opened again."""
    async with db.work(staff.org_id) as work:
        rows = await work.fetch(
            "select id from survey where org_id = callout_org() and answered_at is null order by id limit $1",
            len(ANSWERS),
        )
        tokens = [await survey.link(work, row["id"]) for row in rows]
    for token, (score, comment) in zip(tokens, ANSWERS, strict=False):
        async with db.work(staff.org_id, actor=Actor(role="customer")) as work:
            given = survey_answers.Answer(score=score, comment=comment)
            told = await survey_answers.answer(work, token, given)
        counts["surveys answered"] += 1
        counts["opened again by a survey"] += told.reopened


async def wake_steps(db: Database, staff: Staff) -> None:
    """Set the timers of open steps whose time is still to come. What ran out on a fast clock nobody could have kept."""
    timers.wake(deadlines.CHANNEL)
    async with db.work(staff.org_id) as work:
        rows = await work.fetch(
            "select id, order_id, due_at from order_step "
            "where org_id = callout_org() and state = 'open' and due_at > $1",
            work.now,
        )
        await timers.arm_many(
            work,
            [
                (
                    deadlines.key_of(row["id"]),
                    row["due_at"],
                    deadlines.CHANNEL,
                    {"orderId": str(row["order_id"]), "stepId": str(row["id"])},
                )
                for row in rows
            ],
        )


async def _at(db: Database, staff: Staff, step: str) -> list[UUID]:
    """Orders that stand at this step, by number."""
    async with db.work(staff.org_id) as work:
        rows: Sequence[Any] = await work.fetch(
            """
            select o.id from order_step s join work_order o on o.org_id = s.org_id and o.id = s.order_id
            where s.org_id = callout_org() and s.step = $1 and s.state = 'open' order by o.number
            """,
            step,
        )
    return [row["id"] for row in rows]


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    return (rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE))
