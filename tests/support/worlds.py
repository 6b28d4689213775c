"""A small organisation for tests: two engineers with phones, a customer with a site and an asset, parts on the vans.

Everything is made through the services, so that the tests stand on what users stand on.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from callout_contracts import SCHEMA_VERSION
from callout_contracts.commands import Answer, PushEnvelope
from callout_dispatch import assign, engineers
from callout_dispatch.engineer_terms import NewEngineer, NewShift, NewSkill
from callout_orders import customers, intake, stock
from callout_orders.customers import NewAsset, NewContact, NewCustomer, NewPart, NewSite
from callout_orders.intake import NewOrder
from callout_people import organisations, users
from callout_people.principals import Role
from callout_people.users import NewUser
from callout_store.ids import new_id
from callout_store.work import Actor, Database
from callout_sync.pull_quick import pull_page
from callout_sync.push import Pushed, push

SITE = (37.7793, -122.4193)
STROKES = [[[0.1, 0.1, 0], [0.4, 0.6, 80], [0.8, 0.2, 160]]]


def slot(entity: str, id_: str) -> str:
    """Under what a phone keeps a document: some entities carry the id of the row that they belong to."""
    return f"{entity}:{id_}" if entity in ("history", "attachment", "outcome") else id_


class Phone:
    """A device of an engineer: makes commands, pushes, pulls and keeps a copy."""

    def __init__(self, world: "World", user_id: UUID, engineer_id: UUID, device_id: UUID) -> None:
        self.world, self.engineer_id = world, engineer_id
        self.actor = Actor(user_id=user_id, device_id=device_id, role="engineer", engineer_id=engineer_id)
        self.sequence = 0
        self.cursor: str | None = None
        self.copy: dict[str, dict[str, Any]] = {}
        self.schema_version = SCHEMA_VERSION

    @property
    def device_id(self) -> UUID:
        assert self.actor.device_id is not None
        return self.actor.device_id

    def command(
        self, kind: str, visit_id: UUID, payload: Mapping[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        self.sequence += 1
        return {
            "id": str(new_id()),
            "sequence": self.sequence,
            "schemaVersion": 1,
            "kind": kind,
            "visitId": str(visit_id),
            "deviceTime": datetime.now(UTC).isoformat(),
            "location": {"lat": SITE[0], "lng": SITE[1], "accuracyM": 12.0, "provider": "gps"},
            "payload": dict(payload or {}),
            **more,
        }

    async def push(self, *commands: Any, sent_at: datetime | None = None, **envelope: Any) -> list[Answer]:
        return (await self.pushed(*commands, sent_at=sent_at, **envelope)).answers

    async def pushed(self, *commands: Any, sent_at: datetime | None = None, **envelope: Any) -> Pushed:
        """A push, with all that its answer says."""
        return await push(
            self.world.db,
            org_id=self.world.org,
            actor=self.actor,
            envelope=PushEnvelope(sent_at=sent_at or datetime.now(UTC), commands=list(commands), **envelope),
        )

    def keep(self, item: dict[str, Any]) -> None:
        """Do with an item what a phone does."""
        if item["op"] == "delete":
            self.copy.pop(slot(item["entity"], item["id"]), None)
        else:
            self.copy[slot(item["entity"], item["id"])] = item

    async def pull(self, limit: int = 500, **more: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        while True:
            page = await pull_page(
                self.world.db,
                self.world.org,
                self.actor,
                cursor=self.cursor,
                limit=limit,
                schema_version=self.schema_version,
                **more,
            )
            for item in msgspec.json.decode(page.documents):
                items.append(item)
                self.keep(item)
            self.cursor = page.cursor
            if not page.more:
                return items

    def held(self, entity: str) -> set[UUID]:
        return {UUID(item["id"]) for item in self.copy.values() if item["entity"] == entity}


class World:
    """The organisation and its people; `await World(db).build()`."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.org = new_id()
        self.dispatcher = Actor(user_id=new_id(), role="dispatcher")

    async def build(self, *, phones: int = 2) -> "World":
        now = datetime.now(UTC)
        async with self.db.work(self.org) as work:
            await organisations.create_organisation(work, slug=f"w-{self.org.hex[-20:]}", name="World")
            assert self.dispatcher.user_id is not None
            await users.create_users(
                work,
                [
                    NewUser(
                        id=self.dispatcher.user_id,
                        email=f"d-{self.org.hex}@example.org",
                        name="Dora",
                        role=Role.DISPATCHER,
                    )
                ],
            )
            people = await users.create_users(
                work,
                [
                    NewUser(
                        email=f"e{n}-{self.org.hex}@example.org", name=f"Engineer {n}", role=Role.ENGINEER
                    )
                    for n in range(phones)
                ],
            )
            await engineers.create_skills(work, [NewSkill(code="sewer", name_en="Sewer", name_zh="下水道")])
            crew = await engineers.create_engineers(
                work,
                [
                    NewEngineer(
                        user_id=user,
                        name=f"Engineer {n}",
                        home_lat=SITE[0] + 0.01 * (n + 1),
                        home_lng=SITE[1],
                        skills={"sewer": 3},
                    )
                    for n, user in enumerate(people)
                ],
            )
            await engineers.set_shifts(
                work,
                [
                    NewShift(
                        engineer_id=e, starts_at=now - timedelta(hours=2), ends_at=now + timedelta(hours=20)
                    )
                    for e in crew
                ],
            )
            self.customer = await customers.create_customer(
                work, NewCustomer(number="C-1", name="Bay Laundry")
            )
            self.contact = await customers.create_contact(
                work, NewContact(customer_id=self.customer, name="Ann", phone="+1 415 555 2671")
            )
            self.site = await customers.create_site(
                work,
                NewSite(
                    customer_id=self.customer, name="Cellar", address="1 Main St", lat=SITE[0], lng=SITE[1]
                ),
            )
            self.asset = await customers.create_asset(
                work, NewAsset(site_id=self.site, serial="SN-1", model="P-200", name="Pump")
            )
            self.part = await customers.create_part(work, NewPart(code="SEAL-1", name="Seal"))
            await stock.move(
                work,
                [stock.Move(holder_id=e, part_id=self.part, quantity=10, reason="loaded") for e in crew],
            )
            self.phones = []
            for user, engineer in zip(people, crew, strict=True):
                device = new_id()
                await work.execute(
                    "insert into device (id, user_id, name, enrolled_at) values ($1, $2, 'phone', $3)",
                    device,
                    user,
                    work.now,
                )
                self.phones.append(Phone(self, user, engineer, device))
        return self

    async def order(self, **more: Any) -> UUID:
        values: dict[str, Any] = {
            "customer_id": self.customer,
            "site_id": self.site,
            "contact_id": self.contact,
            "asset_id": self.asset,
            "priority": "P1",
            "kind": "repair",
            "description": "Pump leaks",
            "channel": "hotline",
            "skills": {"sewer": 2},
            "duration_minutes": 30,
            **more,
        }
        async with self.db.work(self.org, actor=self.dispatcher) as work:
            return (await intake.create_order(work, NewOrder(**values))).id

    async def visit(self, phone: Phone, order_id: UUID | None = None) -> UUID:
        """A visit dispatched to the phone's engineer."""
        order_id = order_id or await self.order()
        return await self.db.run(
            self.org,
            lambda work: assign.assign(
                work, order_id=order_id, engineer_id=phone.engineer_id, override=True, reason="test"
            ),
            actor=self.dispatcher,
        )

    async def fetch(self, sql: str, *args: Any) -> list[Any]:
        async with self.db.work(self.org) as work:
            return await work.fetch(sql, *args)

    async def value(self, sql: str, *args: Any) -> Any:
        async with self.db.work(self.org) as work:
            return await work.fetchval(sql, *args)
