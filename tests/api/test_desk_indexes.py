"""The service desk reads what it has in hand, not all that was ever reported: every statement of it goes by an index."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from desks import Desk
from telling import SECRET, Telling

from callout_backend.embedded import Urls
from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.notify.adapter import MemoryAdapter
from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_orders import orders
from callout_orders.desk import queue
from callout_orders.desk.unanswered import fallback
from callout_orders.kinds.values import set_fields
from callout_orders.notices import settings as notice_settings
from callout_orders.notices.settings import NoticeSettings
from callout_orders.precheck import many, taking
from callout_orders.precheck.alike import links
from callout_orders.precheck.terms import Request
from callout_orders.sla import pausing, tiers
from callout_store.sealing import Seal
from callout_store.work import Database

OLD = 10_000
"""Orders of the years before, each with its lines, steps, marks, to-dos and notices; ten times as many with --large."""
GROWING = frozenset(
    {
        "work_order",
        "journal",
        "sla_milestone",
        "sla_event",
        "order_step",
        "order_watch",
        "todo",
        "external_reference",
        "visit",
        "timer",
    }
)
"""Tables with a row or more for every order that ever was."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, ...]]:
    """Every statement that is sent, with one set of its parameters."""
    sent: dict[str, tuple[Any, ...]] = {}

    def heard(name: str) -> Any:
        ordinary = getattr(asyncpg.Connection, name)

        async def send(self: Any, sql: str, *args: Any, **more: Any) -> Any:
            sent.setdefault(sql, args)
            return await ordinary(self, sql, *args, **more)

        return send

    for name in ("fetch", "fetchrow", "fetchval", "execute"):
        monkeypatch.setattr(asyncpg.Connection, name, heard(name))
    return sent


@pytest.fixture
async def desk(fresh_database: Urls) -> AsyncIterator[Desk]:
    assert fresh_database.database is not None
    db = Database(fresh_database.database)
    db.seal = Seal(lambda: (SECRET,))
    add_hooks(db)
    await db.start()
    made = await Desk(db).open()
    async with made.as_("adi") as work:
        await notice_settings.configure(work, NoticeSettings(staff_media=("sms",), customer_media=()))
    yield made
    await db.stop()


async def grow(desk: Desk, admin: str, count: int) -> None:
    """Orders that are over, copied from one, and all that an order leaves behind."""
    model = await desk.order()
    visit = await desk.visit(desk.phones[0], model)
    owner = await asyncpg.connect(admin)
    await owner.execute(f"set callout.org = '{desk.org}'")
    try:
        await owner.execute("set session_replication_role = replica")
        await owner.execute(
            """
            create temp table old as
            select n, gen_random_uuid() as id from generate_series(1, $1::int) n
            """.replace("$1", str(count))
        )
        copies = {
            "work_order": "'id', old.id, 'number', 'OLD-' || n, 'state', 'closed', 'handler_id', null, "
            "'customer_id', gen_random_uuid(), 'site_id', gen_random_uuid(), 'asset_id', null, 'contact_id', null, "
            "'created_at', o.created_at - n * interval '10 minutes', 'reporter_phone', '+86138' || n",
            "visit": "'id', gen_random_uuid(), 'order_id', old.id, 'state', 'completed', 'ended_at', now()",
            "order_step": "'id', gen_random_uuid(), 'order_id', old.id, 'state', 'done'",
            "journal": "'id', gen_random_uuid(), 'order_id', old.id, 'entity_id', old.id",
            "order_watch": "'order_id', old.id",
        }
        for table, changed in copies.items():
            where = "o.id" if table == "work_order" else "o.order_id"
            await owner.execute(
                f"""
                insert into {table} overriding user value
                select (jsonb_populate_record(o, jsonb_build_object({changed}))).*
                from {table} o cross join old where {where} = '{model}'
                """
            )
        await owner.execute(
            f"""
            insert into sla_milestone (org_id, order_id, milestone, epoch) select '{desk.org}', id, 'arrival', 1 from old;
            insert into sla_event (org_id, order_id, n, at, kind, reason)
                select '{desk.org}', id, 1, now(), 'paused', 'other' from old;
            insert into todo (org_id, id, user_id, order_id, kind, matter, state, created_at)
                select '{desk.org}', gen_random_uuid(), '{desk.people["ann"]}', id, 'answer_order', 'old:' || n, 'done', now()
                from old;
            insert into external_reference (org_id, id, order_id, system, reference)
                select '{desk.org}', gen_random_uuid(), id, 'old', n::text from old;
            insert into timer (org_id, key, due_at, channel, payload, state)
                select '{desk.org}', 'sla:' || id || ':arrival', now(), 'sla.check', '{{}}', 'fired' from old;
            """
        )
        await owner.execute("set session_replication_role = origin")
        await owner.execute("analyze")
    finally:
        await owner.close()
    assert visit is not None


async def a_day(desk: Desk, data: Any) -> None:
    """Something of everything that the desk does."""
    phone = desk.phones[0]
    await desk.come("ann", "fay")
    order, other = [await desk.order(kind="repair") for _ in range(2)]
    visit = await desk.visit(phone, order)
    async with desk.as_("fay") as work:
        found = await queue.one(work, order)
        assert found is not None
        await fallback.take_over(work, order, epoch=found.epoch, reason="busy")
    await desk.respond("ann", order, "we are coming")
    async with desk.as_("sam") as work:
        await pausing.pause(work, order, "customer")
    async with desk.as_("sam") as work:
        await pausing.resume(work, order)
        await orders.change_priority(work, order, "P2")
        until = work.now + timedelta(hours=1)
        await fallback.move_deadline(
            work, order, milestone="resolution", minutes=30, until=until, reason="asked"
        )
        await set_fields(work, order, {"fault_cause": "wear", "repair_cost": 900})
    async with desk.as_("adi") as work:
        await tiers.change_tier(work, desk.customer, "gold")
    for kind, payload in (("visit.travel", {}), ("visit.arrive", {}), ("visit.complete", {})):
        await phone.push(phone.command(kind, visit, payload))
    async with desk.as_("sam") as work:
        await links.merge(work, order, other, "the same")
    request = Request(
        channel="hotline",
        kind="general",
        description="the pump leaks",
        contact_name="Eve",
        contact_phone="+8613800138000",
        serial="SN-1",
        references=(("crm", "A-1"),),
    )
    async with desk.as_("ben") as work:
        await taking.check(work, request)
        await taking.take(work, request)
        await many.take_many(
            work,
            [
                request,
                Request(
                    channel="hotline",
                    kind="general",
                    description="no light",
                    contact_name="Ned",
                    contact_phone="+8613800138001",
                ),
            ],
        )
    async with desk.db.work(desk.org) as work:
        await work.execute("update timer set due_at = now() where state = 'armed' and org_id = callout_org()")
    handlers = make_handlers(
        Settings(data=data, secret=SECRET), notifier=Telling(desk.db, memory=MemoryAdapter()).notifier
    )
    await drain(desk.db, handlers)


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


@pytest.mark.timeout(600)
async def test_the_years_before_are_never_read(
    desk: Desk, fresh_database: Urls, asked: dict[str, tuple[Any, ...]], tmp_path: Any, scale: int
) -> None:
    """With a scan among its statements, every answer, push and timer would take longer with every order of the last years."""
    await grow(desk, str(fresh_database.admin), OLD * scale)
    asked.clear()
    await a_day(desk, tmp_path)
    looked_at: set[str] = set()
    bad: list[str] = []
    statements = dict(asked)
    async with desk.db.work(desk.org) as work:
        for sql, args in statements.items():
            if not sql.lstrip().lower().startswith(("select", "with", "update", "insert", "delete")):
                continue
            try:
                async with work.savepoint():
                    told = await work.fetchval(f"explain (format json) {sql}", *args)
            except asyncpg.InsufficientPrivilegeError:
                # The worker's own claims, which see no organisation's rows but those of the outbox.
                continue
            [plan] = json.loads(told) if isinstance(told, str) else told
            for node in nodes(plan["Plan"]):
                table = str(node.get("Relation Name"))
                looked_at.add(table)
                if node["Node Type"] == "Seq Scan" and table in GROWING:
                    bad.append(f"all of {table} is read by {' '.join(sql.split())}")
    assert {"work_order", "order_step", "sla_milestone", "todo", "journal"} <= looked_at
    assert not bad, "\n".join(bad)
