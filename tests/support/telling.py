"""Help for tests of notices: a world whose notices are written and sent by the test's own hand."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from worlds import World

from callout_backend.jobs.drain import drain
from callout_backend.notify.adapter import Adapter, MemoryAdapter
from callout_backend.notify.pump import Notifier, handlers_of
from callout_orders.notices import channels, settings
from callout_orders.notices.channels import NewChannel
from callout_orders.notices.settings import NoticeSettings
from callout_people.users import NewUser, Role, create_user
from callout_store.journal import Entry, write_many
from callout_store.work import Actor, Database

SECRET = "tests-only-" + "0123456789abcdef" * 2


def quiet_now(zone: str) -> str:
    """Quiet hours of a zone that began an hour ago and go on for two."""
    local = datetime.now(ZoneInfo(zone))
    return f"{local - timedelta(hours=1):%H:%M}-{local + timedelta(hours=2):%H:%M}"


class Telling:
    """A world with a supervisor, and a notifier on it. `memory`: every channel is this adapter."""

    def __init__(self, db: Database, *, sink: str = "mixed", memory: MemoryAdapter | None = None) -> None:
        self.db = db
        self.world = World(db)
        self.memory = memory
        self.notifier = Notifier(
            secret=lambda: SECRET,
            base_url="http://t",
            sink=sink,
            private_allowed=True,
            choose=None if memory is None else self._choose,
        )

    def _choose(self, *_: object) -> Adapter:
        assert self.memory is not None
        return self.memory

    async def build(self) -> "Telling":
        await self.world.build()
        self.supervisor = await self.person(Role.SUPERVISOR, "Sue")
        return self

    async def person(self, role: Role, name: str, **more: Any) -> UUID:
        async with self.db.work(self.world.org) as work:
            email = f"{name.lower()}-{self.world.org.hex}@example.org"
            return await create_user(work, NewUser(email=email, name=name, role=role, **more))

    async def channel(self, new: NewChannel) -> UUID:
        async with self.db.work(self.world.org) as work:
            return await channels.save(work, new)

    async def configure(self, **values: Any) -> None:
        async with self.db.work(self.world.org) as work:
            await settings.configure(work, NoticeSettings(**values))

    async def prefer(self, user_id: UUID, **values: Any) -> None:
        async with self.db.work(self.world.org) as work:
            await settings.prefer(work, user_id, settings.Preference(**values))

    async def happen(
        self,
        kind: str,
        orders: Sequence[UUID],
        data: Mapping[str, Any] | None = None,
        actor: UUID | None = None,
    ) -> None:
        """Lines of the journal, in one unit of work."""
        async with self.db.work(self.world.org, actor=Actor(user_id=actor, role="dispatcher")) as work:
            entries = [
                Entry(kind=kind, entity="work_order", entity_id=one, order_id=one, data=data or {})
                for one in orders
            ]
            await write_many(work, entries)

    async def drain(self, *channels: str) -> int:
        handlers = {
            name: one for name, one in handlers_of(self.notifier).items() if not channels or name in channels
        }
        return await drain(self.db, handlers, only=True)

    async def hasten(self, like: str = "notice.%", by: timedelta = timedelta(days=1)) -> None:
        """Have timers of notices due now, and messages and channels that rest ready again."""
        async with self.db.work(self.world.org) as work:
            await work.execute(
                "update timer set due_at = now() where key like $1 and state = 'armed' and org_id = callout_org()",
                like,
            )
            await work.execute("update notice_message set next_at = next_at - $1::interval", by)
            await work.execute("update notice_channel set rest_until = rest_until - $1::interval", by)

    async def notices(self, where: str = "true", *args: Any) -> list[Any]:
        return await self.world.fetch(f"select * from notice where {where} order by position", *args)

    async def messages(self, where: str = "true", *args: Any) -> list[Any]:
        return await self.world.fetch(f"select * from notice_message where {where} order by id", *args)
