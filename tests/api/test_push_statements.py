"""What the service desk costs a phone's push, counted in statements: beside the same push without the desk's hooks."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from worlds import World

from callout_backend.wiring import add_hooks
from callout_dispatch import second_visit
from callout_orders.desk import following
from callout_orders.flow import run as flow_run
from callout_orders.notices import fan
from callout_orders.precheck.alike import links
from callout_orders.sla import states
from callout_store.work import Database

MOVED_MAX = 20
"""Statements of a push that ends a visit and so moves its order's flow, its transaction's own two included."""
DESK = (
    links.follow,
    links.follow_again,
    second_visit.hear_missing,
    second_visit.hear_wanted,
    flow_run.follow,
    states.watch,
    following.follow,
    fan.owe,
)
"""What the service desk does behind every journal line."""


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that is sent."""
    sent: list[str] = []

    def counted(name: str) -> Any:
        ordinary = getattr(asyncpg.Connection, name)

        async def send(self: Any, sql: str, *args: Any, **more: Any) -> Any:
            sent.append(" ".join(sql.split()))
            return await ordinary(self, sql, *args, **more)

        return send

    for name in ("fetch", "fetchrow", "fetchval", "execute"):
        monkeypatch.setattr(asyncpg.Connection, name, counted(name))
    return sent


@pytest.fixture
async def plain(database_url: str) -> AsyncIterator[Database]:
    """A database without the desk's hooks."""
    db = Database(database_url)
    add_hooks(db)
    for hook in DESK:
        db.journal_hooks.remove(hook)
    await db.start()
    yield db
    await db.stop()


async def counts(world: World, db: Database, sent: list[str], kind: str) -> dict[str, int]:
    """Statements of each push of a visit's day."""
    phone = world.phones[0]
    visit = await world.visit(phone, await world.order(kind=kind))
    found: dict[str, int] = {}
    usual, world.db = world.db, db
    try:
        for command, payload in (
            ("visit.note", {"text": "on my way soon"}),
            ("visit.travel", {}),
            ("visit.arrive", {}),
            ("visit.diagnose", {"finding": "worn"}),
            ("visit.note", {"text": "the seal"}),
            ("visit.complete", {}),
        ):
            sent.clear()
            (answer,) = await phone.push(phone.command(command, visit, payload))
            assert answer.status == "applied"
            found[command] = len(sent)
    finally:
        world.db = usual
    return found


@pytest.mark.parametrize("kind", ("service", "repair", "general"))
async def test_a_push_costs_no_more_than_before(
    db: Database, plain: Database, statements: list[str], kind: str
) -> None:
    """Five thousand phones push notes all day long: a statement more in each is a second server."""
    add_hooks(db)
    world = await World(db).build()
    # Once for what processes remember.
    await counts(world, db, statements, kind)
    bare = await counts(world, plain, statements, kind)
    full = await counts(world, db, statements, kind)
    # People are told of the way and the arrival together with what dispatch puts off; that the flow waits for neither, the
    # push knows already.
    for command in ("visit.note", "visit.travel", "visit.arrive", "visit.diagnose"):
        assert full[command] == bare[command], (command, full, bare)
    # Its flow is read, its steps' deadlines are reckoned, all that follows is written at once; and where the engineer left
    # something out, who is to be told is read.
    left_out = 2 if kind == "repair" else 0
    assert full["visit.complete"] <= bare["visit.complete"] + 3 + left_out, (full, bare)
    assert full["visit.complete"] <= MOVED_MAX, full


async def test_a_push_that_asks_somebody_to_do_something_costs_little_more(
    db: Database, statements: list[str]
) -> None:
    """The usual case of an organisation that works with a desk: what the engineer left out is for the order's handler."""
    add_hooks(db)
    world = await World(db).build()
    phone = world.phones[0]
    for _ in range(2):
        order_id = await world.order(kind="repair")
        async with db.work(world.org) as work:
            await work.execute(
                "update work_order set handler_id = $2 where id = $1", order_id, world.dispatcher.user_id
            )
        visit = await world.visit(phone, order_id)
        for command in ("visit.travel", "visit.arrive"):
            await phone.push(phone.command(command, visit))
        statements.clear()
        (answer,) = await phone.push(phone.command("visit.complete", visit))
        assert answer.status == "applied"
    assert len(statements) <= MOVED_MAX, statements
    async with db.work(world.org) as work:
        kinds = await work.fetch("select kind from todo where order_id = $1", order_id)
    assert [row["kind"] for row in kinds] == ["flow.missing"]


async def test_many_that_move_flows_cost_hardly_more_than_one(db: Database, statements: list[str]) -> None:
    """A phone that was away all day ends six visits in one push: six times the statements would hold its orders' rows
    for as long."""
    add_hooks(db)
    world = await World(db).build()
    phone = world.phones[0]
    sent = []
    for visits in (1, 6):
        ids = [await world.visit(phone, await world.order(kind="repair")) for _ in range(visits)]
        statements.clear()
        answers = await phone.push(*(phone.command("visit.complete", one) for one in ids))
        assert [answer.status for answer in answers] == ["applied"] * visits
        sent.append(len(statements))
    assert sent[1] <= sent[0] + 4, statements
