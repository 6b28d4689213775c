"""Calls at the demo's desk: those of the last hours, one that is turned over, and those that wait; and what all of its
story is told with.
"""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from callout_backend.demo import intake
from callout_backend.demo.desk_setup import DeskWorld
from callout_backend.demo.office import Said
from callout_backend.demo.world import Staff
from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.settings import Settings
from callout_dispatch import assign
from callout_orders.desk import respond
from callout_orders.desk.staff import presence
from callout_orders.desk.unanswered import fallback, handing
from callout_orders.precheck.taking import take
from callout_orders.precheck.terms import Request, Taken
from callout_orders.sla import pausing
from callout_store import timers
from callout_store.clock import ManualClock, SystemClock
from callout_store.errors import Refusal
from callout_store.work import Actor, Database

OWED: Final = ("intake.handle", "knowledge.offer", "import.run", "desk.look", "flow.visit")
"""Channels of the outbox on which the story goes on; a worker beside us may be quicker, which is as well."""
TURNED_OVER_AFTER: Final = timedelta(minutes=12, seconds=5)
"""So long after it came in an order is turned over that nobody answers: three minutes before its first answer is due."""


class Calls:
    """`counts` say what was done, `refused` what the rules did not allow, by code."""

    def __init__(self, settings: Settings, db: Database, staff: Staff, world: DeskWorld) -> None:
        self.settings, self.db, self.staff, self.world = settings, db, staff, world
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._handlers = make_handlers(settings)

    # ------------------------------------------------------------------------------------------- by telephone

    async def _earlier(self, begins: datetime) -> list[UUID]:
        """Calls of the last two hours, each answered in its minutes."""

        def at(minutes_ago: float) -> None:
            self.db.clock = ManualClock(begins - timedelta(minutes=minutes_ago))

        at(118)
        await self._come("maya", "agent", "duty")
        broken = await self._call(
            "maya",
            0,
            "The charging pile at Pier 71 stays dark, the breaker tripped twice this morning",
            priority="P1",
        )
        at(113)
        await self._say(
            "maya", broken.id, "An engineer comes tomorrow morning; please leave the breaker off."
        )
        await self.attempt("dispatched by the desk", self._dispatch(broken.id))

        at(96)
        await self._come("maya", "agent", "duty")
        paused = await self._call(
            "agent", 1, "充电桩屏幕一直显示维护中,扫码没有反应,请派人来看", locale="zh", priority="P1"
        )
        at(91)
        await self._say("agent", paused.id, "请告知停车场夜间门禁密码,收到后立即安排工程师。")
        async with self.db.work(self.staff.org_id, actor=self.world.actor("agent")) as work:
            await pausing.pause(work, paused.id, "customer", note="等待客户提供门禁密码")
        self.counts["paused for the customer"] += 1

        at(74)
        await self._come("maya", "agent", "duty")
        first = await self._call(
            "maya",
            2,
            "The plug of the charging pile does not come out of the car, the lever is stuck",
            priority="P1",
        )
        at(70)
        await self._say("maya", first.id, "We talk you through the emergency release and send somebody.")
        at(66)
        second = await self._call(
            "agent",
            2,
            "The plug of the charging pile does not come out of the car, the lever is stuck!",
            priority="P1",
        )
        self.counts["duplicates linked"] += second.duplicate_of_id == first.id
        async with self.db.work(self.staff.org_id, actor=self._boss()) as work:
            await fallback.move_deadline(
                work,
                first.id,
                milestone="resolution",
                minutes=90,
                reason="A spare lever comes with the night train",
            )
        self.counts["deadlines moved"] += 1
        return [broken.id, paused.id, first.id]

    async def _call(self, agent: str, machine: int, text: str, *, locale: str = "en", **more: Any) -> Taken:
        """Somebody calls about a machine; the agent takes it down. Its timers rest until its own time has caught up."""
        one = self.world.machines[machine]
        request = Request(
            channel="hotline",
            kind="repair",
            description=text,
            serial=one.serial,
            contact_id=self.world.contacts["wang" if locale == "zh" else "ann"],
            locale=locale,
            skills=dict.fromkeys(list(self.staff.seats[0].skills)[:1], 1),
            **more,
        )
        async with self.db.work(self.staff.org_id, actor=self.world.actor(agent)) as work:
            taken = await take(work, request)
            await intake.rest(work, [taken.id])
            await timers.cancel(work, handing.timer_key(taken.id))
        self.counts["by hotline"] += 1
        return taken

    async def _dispatch(self, order_id: UUID) -> None:
        async with self.db.work(self.staff.org_id, actor=self.staff.dispatcher) as work:
            await assign.dispatch_order(work, order_id)

    async def _say(self, agent: str, order_id: UUID, text: str) -> None:
        async with self.db.work(self.staff.org_id, actor=self.world.actor(agent)) as work:
            await respond.respond(work, order_id, text)

    async def _come(self, *parts: str) -> None:
        """Their screens are open."""
        for part in parts:
            async with self.db.work(self.staff.org_id, actor=self.world.actor(part)) as work:
                await presence.beat(work, self.world.people[part])

    # ------------------------------------------------------------------------------------------- the fallback

    async def _turned_over(self) -> None:
        """Nobody answers a call for twelve minutes: it is turned over to whoever is on duty, and the supervisor takes it."""
        self.db.clock = ManualClock(datetime.now(UTC) - TURNED_OVER_AFTER)
        try:
            await self._come("maya", "agent")
            async with self.db.work(self.staff.org_id, actor=self.world.actor("duty")) as work:
                taken = await take(
                    work,
                    Request(
                        channel="hotline",
                        kind="repair",
                        priority="P1",
                        description="Sparks at the plug of the charging pile, we keep people away from it",
                        serial=self.world.machines[3].serial,
                        contact_id=self.world.contacts["ann"],
                        link_duplicates=False,
                    ),
                )
        finally:
            self.db.clock = SystemClock()
        self.counts["by hotline"] += 1
        await self._come("maya", "agent", "duty")
        for _ in range(40):
            await self._settle()
            async with self.db.work(self.staff.org_id) as work:
                epoch = await work.fetchval(
                    "select epoch from order_watch where org_id = callout_org() and order_id = $1 and epoch > 0 "
                    "and by_what = 'fallback'",
                    taken.id,
                )
            if epoch is not None:
                break
            await asyncio.sleep(0.1)
        else:
            return
        self.counts["turned over to the fallback"] += 1
        async with self.db.work(self.staff.org_id, actor=self._boss()) as work:
            await fallback.take_over(work, taken.id, epoch=epoch, reason="Sparks: I call the customer myself")
            await respond.respond(
                work, taken.id, "Please switch the main breaker off. Somebody is on the way."
            )
        self.counts["taken over"] += 1

    async def _waiting(self) -> None:
        """What waits when somebody signs in: three requests with their countdowns running."""
        now = datetime.now(UTC)
        try:
            for minutes_ago, machine, locale, text in (
                (4.5, 0, "en", "The screen of the pile is broken, glass on the ground"),
                (2.5, 2, "zh", "充电到一半自动停止,已经出现三次"),
                (0.5, 5, "en", "The receipt shows twice the energy that the car took"),
            ):
                self.db.clock = ManualClock(now - timedelta(minutes=minutes_ago))
                await self._come("maya", "agent")
                async with self.db.work(self.staff.org_id, actor=self.world.actor("duty")) as work:
                    await take(
                        work,
                        Request(
                            channel="hotline",
                            kind="repair" if machine != 5 else "general",
                            priority="P1",
                            description=text,
                            serial=self.world.machines[machine].serial,
                            contact_id=self.world.contacts["wang" if locale == "zh" else "ann"],
                            locale=locale,
                            link_duplicates=False,
                        ),
                    )
                self.counts["by hotline"] += 1
        finally:
            self.db.clock = SystemClock()
        await self._come("maya", "agent", "duty")

    # ------------------------------------------------------------------------------------------- steps

    def _boss(self) -> Actor:
        return Actor(user_id=self.staff.supervisor_id, role="supervisor", locale="zh")

    async def _settle(self) -> None:
        """Until nothing is owed on which the story goes on, done here or by a worker beside us."""
        handlers = {channel: self._handlers[channel] for channel in OWED}
        for _ in range(200):
            await drain(self.db, handlers, only=True)
            async with self.db.work(self.staff.org_id) as work:
                open_ = await work.fetchval(
                    "select count(*) from outbox where org_id = callout_org() and channel = any($1) "
                    "and state in ('ready', 'leased') and run_at <= now()",
                    list(OWED),
                )
            if not open_:
                return
            await asyncio.sleep(0.05)

    async def attempt(self, what: str, act: Any) -> None:
        """Count what is done under `what`, and what is refused under its code."""
        try:
            await act
        except (Said, Refusal) as refused:
            self.refused[refused.code] += 1
        else:
            self.counts[what] += 1
