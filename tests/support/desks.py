"""A service desk for tests: a team with two agents, two people on duty round the clock, supervisors, a clock of its own.

The clock that judges stands still until it is moved; `turn` lets the timers of this organisation fire as far as that clock
has come, and handles them as a worker does.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from worlds import World

from callout_backend.jobs import desk as jobs
from callout_backend.jobs.drain import drain
from callout_backend.wiring import add_hooks
from callout_orders.desk import queue, respond
from callout_orders.desk.staff import presence, teams
from callout_orders.desk.staff.team_terms import DutyGiven, MemberGiven, TeamGiven
from callout_orders.desk.unanswered import fallback
from callout_people.principals import Role
from callout_people.users import NewUser, create_users
from callout_store.clock import ManualClock
from callout_store.outbox import Claimed
from callout_store.work import Actor, Database

HANDLERS = {
    jobs.LOOK_CHANNEL: jobs.look_after,
    jobs.PRESENCE_CHANNEL: jobs.look_for,
    jobs.LEFT_CHANNEL: jobs.pass_on,
}
PEOPLE = (
    ("ann", Role.DISPATCHER),
    ("ben", Role.DISPATCHER),
    ("fay", Role.DISPATCHER),
    ("gus", Role.DISPATCHER),
    ("sam", Role.SUPERVISOR),
    ("sue", Role.SUPERVISOR),
    ("adi", Role.ADMIN),
)


class Handling(dict[str, Any]):
    """The worker's handlers of the desk; what else is owed is passed over."""

    def get(self, channel: str, default: Any = None) -> Any:
        return HANDLERS.get(channel, self._pass)

    async def _pass(self, db: Database, item: Claimed) -> None:
        return None


class Desk(World):
    """Ann and Ben answer, Fay and then Gus stand in at any hour, Sam and Sue supervise, Adi is the admin."""

    clock: ManualClock

    async def open(self, *, duty: bool = True, team: bool = True, **rules: Any) -> "Desk":
        """Make the people, and the team `care` that takes every order."""
        await self.build()
        async with self.db.work(self.org) as work:
            ids = await create_users(
                work,
                [
                    NewUser(email=f"{name}-{self.org.hex}@example.org", name=name.title(), role=role)
                    for name, role in PEOPLE
                ],
            )
        self.people = dict(zip((name for name, _ in PEOPLE), ids, strict=True))
        if team:
            self.team = await self.make_team("care", ("ann", "ben"), is_default=True, **rules)
        if duty:
            await self.on_duty(self.team, ("fay", "gus"))
        return self

    async def make_team(self, code: str, members: Sequence[str], **more: Any) -> UUID:
        given = TeamGiven(
            code=code,
            name_en=code,
            name_zh=code,
            time_zone="Asia/Shanghai",
            members=tuple(MemberGiven(user_id=self.people[name]) for name in members),
            **more,
        )
        async with self.as_("adi") as work:
            return await teams.save_team(work, given)

    async def on_duty(
        self, team: UUID, names: Sequence[str], starts: str = "00:00", ends: str = "24:00"
    ) -> None:
        """These stand in, in this order, every day of the week."""
        given = [
            DutyGiven(user_id=self.people[name], rank=rank + 1, weekday=day, starts=starts, ends=ends)
            for day in range(7)
            for rank, name in enumerate(names)
        ]
        async with self.as_("adi") as work:
            await teams.set_duty(work, team, given)

    def actor(self, name: str) -> Actor:
        return Actor(user_id=self.people[name], role=dict(PEOPLE)[name].value)

    def as_(self, name: str) -> Any:
        """A unit of work in somebody's name."""
        return self.db.work(self.org, actor=self.actor(name))

    async def come(self, *names: str) -> None:
        """Their screens are open."""
        for name in names:
            async with self.as_(name) as work:
                await presence.beat(work, self.people[name])

    async def say(self, name: str, state: str) -> None:
        """They say where they are."""
        async with self.as_(name) as work:
            await presence.set_by_hand(work, self.people[name], state)

    def passes(self, **step: float) -> None:
        """Time passes."""
        self.clock.advance(timedelta(**step))

    async def passes_with(self, *names: str, minutes: float) -> None:
        """Time passes, and the screens of these people stay open."""
        left = timedelta(minutes=minutes)
        while left > timedelta():
            step = min(left, timedelta(seconds=30))
            self.clock.advance(step)
            left -= step
            for name in names:
                async with self.as_(name) as work:
                    await presence.beat(work, self.people[name])

    async def turn(self, times: int = 1) -> None:
        """What is due by this desk's clock fires, and the worker handles it."""
        for _ in range(times):
            async with self.db.work(self.org) as work:
                await work.execute(
                    """
                    update timer set due_at = now() - interval '1 second'
                    where org_id = callout_org() and state = 'armed' and due_at <= $1
                      and (key like 'desk:%' or key like 'presence:%')
                    """,
                    work.now,
                )
            await drain(self.db, Handling())

    async def respond(self, name: str, order_id: UUID, text: str | None = None) -> respond.Response:
        async with self.as_(name) as work:
            return await respond.respond(work, order_id, text)

    async def take(self, name: str, order_id: UUID, epoch: int, reason: str = "it burns") -> fallback.Handed:
        async with self.as_(name) as work:
            return await fallback.take_over(work, order_id, epoch=epoch, reason=reason)

    async def hand(self, name: str, order_id: UUID, epoch: int, **to: Any) -> fallback.Handed:
        async with self.as_(name) as work:
            return await fallback.hand_on(work, order_id, epoch=epoch, reason="knows it better", **to)

    async def row(self, order_id: UUID) -> queue.DeskOrder:
        """The order as the desk shows it."""
        async with self.db.work(self.org) as work:
            found = await queue.one(work, order_id)
        assert found is not None
        return found

    async def holder(self, order_id: UUID) -> str | None:
        """The name of whoever has the order."""
        found = (await self.row(order_id)).handler_name
        return None if found is None else found.lower()

    async def lines(self, order_id: UUID, kind: str = "") -> list[tuple[str, dict[str, Any]]]:
        """The order's journal: kinds and data, in order."""
        rows = await self.fetch(
            "select kind, data::text as data from journal where order_id = $1 order by id", order_id
        )
        return [
            (row["kind"], msgspec.json.decode(row["data"])) for row in rows if row["kind"].startswith(kind)
        ]

    async def todos(self, order_id: UUID, *states: str) -> dict[str, str]:
        """Who is asked about the order's answer, and the state of that, by name; the latest of each."""
        rows = await self.fetch(
            "select user_id, state from todo where order_id = $1 and kind = 'answer_order' order by id",
            order_id,
        )
        names = {id_: name for name, id_ in self.people.items()}
        return {names[row["user_id"]]: row["state"] for row in rows if not states or row["state"] in states}


async def desks(url: str) -> AsyncIterator[Database]:
    """A database whose clock stands still, with every hook."""
    db = Database(url, clock=ManualClock(datetime.now(UTC)))
    await db.start()
    add_hooks(db)
    yield db
    await db.stop()


def desk_of(db: Database) -> Desk:
    """A desk on such a database; its clock is the database's, set to the machine's time."""
    made = Desk(db)
    assert isinstance(db.clock, ManualClock)
    made.clock = db.clock
    made.clock.set(datetime.now(UTC))
    return made
