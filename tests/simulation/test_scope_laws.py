"""Any services in any sequence leave every phone with the truth: no ghost, nothing missing, nothing stale.

Every history follows from the printed CALLOUT_TEST_SEED; Hypothesis shrinks one that fails to its shortest.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import whole_copy
from hypothesis import HealthCheck, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from worlds import STROKES, Phone, World

from callout_backend.wiring import add_hooks
from callout_dispatch import assign, crew, engineers
from callout_dispatch.engineer_terms import NewEngineer, NewShift, NewTerritory
from callout_orders import customers, forms, order_parts, orders, signoff, stock
from callout_orders.customers import NewAsset, NewContact, NewPart, NewSite
from callout_orders.knowledge import articles
from callout_people import organisations, users
from callout_people.principals import Role
from callout_people.users import NewUser
from callout_store.errors import Refusal, ResyncRequired
from callout_store.ids import new_id
from callout_store.work import Database, Work
from callout_sync import again, scope

ENGINEERS = 3
WHO = st.integers(0, ENGINEERS - 1)
WHICH = st.integers(0, 7)
WORK = st.sampled_from(
    [
        ("visit.accept", {}),
        ("visit.travel", {}),
        ("visit.arrive", {}),
        ("visit.diagnose", {"finding": "worn"}),
        ("visit.note", {"text": "gate code 7"}),
        ("visit.replace_part", {"quantity": 1}),
        ("visit.sign", {"signerName": "Ann", "strokes": STROKES, "summary": "{}"}),
        ("visit.complete", {}),
        ("visit.could_not_complete", {"reason": "other"}),
        ("visit.leave", {}),
    ]
)


class Laws(RuleBasedStateMachine):
    """One organisation an example; each rule is one act of a person or a phone, each invariant a look at all phones."""

    db: Database
    run_here: Callable[[Coroutine[Any, Any, Any]], Any]

    @initialize()
    def found(self) -> None:
        self.count = 0
        self.articles: list[UUID] = []
        self.forms: list[UUID] = []
        self.sites: list[tuple[UUID, UUID, UUID]] = []
        self.orders: list[UUID] = []
        self.visits: list[UUID] = []
        self.late: set[UUID] = set()
        self.world = self.run_here(self._found())
        for who in (0, 0, 1):
            self.take_in(0, bare=False, priority="P1")
            self.give(len(self.orders) - 1, who, told=True)

    async def _found(self) -> World:
        world = await World(self.db).build(phones=ENGINEERS)
        self.sites.append((world.site, world.contact, world.asset))
        async with self.db.work(world.org, actor=world.dispatcher) as work:
            self.territories = await engineers.create_territories(
                work, [NewTerritory(code="N", name="North"), NewTerritory(code="S", name="South")]
            )
            for code in ("PA", "PB"):
                await customers.create_part(work, NewPart(code=code, name=code))
        return world

    def act(self, do: Callable[[Work], Awaitable[Any]]) -> Any:
        """A dispatcher's act; what the house refuses has changed nothing, which the invariant checks."""
        try:
            return self.run_here(self.world.db.run(self.world.org, do, actor=self.world.dispatcher))
        except Refusal as refusal:
            if refusal.retryable:
                raise
            return None

    def pick(self, rows: list[Any], which: int) -> Any:
        return rows[which % len(rows)]

    # ------------------------------------------------------------------------------------------------ the desk

    @rule(
        which=WHICH,
        bare=st.booleans(),
        priority=st.sampled_from(["P0", "P1", "P2"]),
        kind=st.sampled_from(["repair", "service"]),
    )
    def take_in(self, which: int, bare: bool, priority: str, kind: str = "repair") -> None:
        site, contact, asset = self.pick(self.sites, which)
        more: dict[str, Any] = {"contact_id": None, "asset_id": None} if bare else {"contact_id": contact}
        if not bare:
            more["asset_id"] = asset
        self.orders.append(
            self.run_here(self.world.order(site_id=site, priority=priority, kind=kind, **more))
        )

    @rule()
    def another_site(self) -> None:
        self.count += 1
        n = self.count

        async def make(work: Work) -> tuple[UUID, UUID, UUID]:
            owner = self.world.customer
            site = await customers.create_site(
                work, NewSite(customer_id=owner, name=f"S{n}", address="2 High St")
            )
            contact = await customers.create_contact(work, NewContact(customer_id=owner, name=f"C{n}"))
            asset = await customers.create_asset(
                work, NewAsset(site_id=site, serial=f"X{n}", model="M", name=f"A{n}")
            )
            await customers.create_part(work, NewPart(code=f"P{n}", name=f"Part {n}"))
            return site, contact, asset

        self.sites.append(self.act(make))

    @rule(which=WHICH, priority=st.sampled_from(["P0", "P1", "P2"]))
    def change_priority(self, which: int, priority: str) -> None:
        if self.orders:
            order = self.pick(self.orders, which)
            self.act(lambda work: orders.change_priority(work, order, priority))

    @rule(which=WHICH, how=st.sampled_from(["cancel", "close"]))
    def end_order(self, which: int, how: str) -> None:
        if self.orders:
            order = self.pick(self.orders, which)
            if how == "cancel":
                self.act(lambda work: assign.cancel_order(work, order, "gone"))
            else:
                self.act(lambda work: orders.close_order(work, order))

    @rule(who=WHO, quantity=st.sampled_from([-3, 5]))
    def load(self, who: int, quantity: int) -> None:
        holder = self.world.phones[who].engineer_id
        self.act(
            lambda work: stock.move(
                work,
                [stock.Move(holder_id=holder, part_id=self.world.part, quantity=quantity, reason="counted")],
            )
        )

    # ------------------------------------------------------------------------------------------------ dispatch

    @rule(which=WHICH, who=WHO, told=st.booleans())
    def give(self, which: int, who: int, told: bool) -> None:
        if self.orders:
            order, engineer = self.pick(self.orders, which), self.world.phones[who].engineer_id
            visit = self.act(
                lambda work: assign.assign(work, order, engineer, override=True, reason="law", told=told)
            )
            if visit is not None:
                self.visits.append(visit)

    @rule(which=WHICH)
    def pick_for(self, which: int) -> None:
        if self.orders:
            order = self.pick(self.orders, which)
            visit = self.act(lambda work: assign.dispatch_order(work, order))
            if visit is not None:
                self.visits.append(visit)

    @rule()
    def dispatch_day(self) -> None:
        now = datetime.now(UTC)
        day = self.act(lambda work: assign.dispatch_day(work, now, now + timedelta(hours=12)))
        self.visits += [one.visit_id for one in day.assigned]

    @rule(which=WHICH, who=WHO)
    def reassign(self, which: int, who: int) -> None:
        if self.visits:
            visit, engineer = self.pick(self.visits, which), self.world.phones[who].engineer_id
            self.act(lambda work: assign.reassign(work, visit, engineer, override=True, reason="law"))

    @rule(which=WHICH, how=st.sampled_from(["tell", "cancel", "move"]))
    def change(self, which: int, how: str) -> None:
        if self.visits:
            visit, later = self.pick(self.visits, which), datetime.now(UTC) + timedelta(hours=30)
            if how == "tell":
                self.act(lambda work: assign.dispatch_visit(work, visit))
            elif how == "cancel":
                self.act(lambda work: assign.cancel_visit(work, visit, "law"))
            else:
                self.act(lambda work: assign.move_visit(work, visit, later, override=True, reason="law"))

    @rule(who=WHO, active=st.booleans())
    def serve(self, who: int, active: bool) -> None:
        engineer = self.world.phones[who].engineer_id
        self.act(lambda work: engineers.set_active(work, engineer, active))

    # ------------------------------------------------------------------------------------------------ on site

    @rule(who=WHO, which=WHICH, work=WORK, minutes=st.integers(-5, 600))
    def on_site(self, who: int, which: int, work: tuple[str, dict[str, Any]], minutes: int) -> None:
        if self.visits:
            phone, (kind, payload) = self.world.phones[who], work
            if kind == "visit.replace_part":
                payload = payload | {"partId": str(self.world.part)}
            at = datetime.now(UTC) - timedelta(minutes=minutes)
            command = phone.command(kind, self.pick(self.visits, which), payload, deviceTime=at.isoformat())
            self.run_here(phone.push(command, command))

    @rule(which=WHICH)
    def sign_by_link(self, which: int) -> None:
        if self.visits:
            visit = self.pick(self.visits, which)

            async def sign(work: Work) -> None:
                from callout_dispatch.visits import customer_signed_by_link

                order = await work.fetchval("select order_id from visit where id = $1", visit)
                token = await signoff.create_link(work, visit, order, {})
                done = await signoff.consume(
                    work, token, signoff.SignOff(signer_name="Ann", decision="accept")
                )
                await customer_signed_by_link(
                    work,
                    event_id=done.event_id,
                    visit_id=visit,
                    order_id=order,
                    signer_name="Ann",
                    decision="accept",
                    rating=5,
                    reason=None,
                )

            self.act(sign)

    @rule(which=WHICH)
    def let_in(self, which: int) -> None:
        """A dispatcher tries a quarantined command again."""
        rows = self.run_here(self.world.fetch("select id from quarantine where state = 'open' order by id"))
        if rows:
            entry = self.pick(rows, which)["id"]
            try:
                self.run_here(
                    again.retry(self.db, org_id=self.world.org, entry_id=entry, actor=self.world.dispatcher)
                )
            except Refusal as refusal:
                if refusal.retryable:
                    raise

    # ------------------------------------------------------------------------------------------------ time and people

    @rule(which=WHICH, days=st.sampled_from([3, 20]))
    def time_passes(self, which: int, days: int) -> None:
        """As if a visit that has ended had ended days ago; the sweep follows."""
        if self.visits:
            visit = self.pick(self.visits, which)

            async def age(work: Work) -> None:
                await work.execute(
                    "update visit set ended_at = ended_at - make_interval(days => $2) where id = $1 and ended_at is not null",
                    visit,
                    days,
                )
                work.touch("visit", visit)

            self.act(age)
            self.sweep()

    @rule(days=st.sampled_from([1, 14, 60]))
    def set_window(self, days: int) -> None:
        self.act(lambda work: organisations.update_organisation(work, phone_window_days=days))
        self.sweep()

    @rule(parts=st.sampled_from(["all", "needed"]), events=st.sampled_from([0, 2, 20]))
    def set_phones(self, parts: str, events: int) -> None:
        change = organisations.Phones(parts=parts, history_events=events)
        self.act(lambda work: organisations.configure_phones(work, change))
        self.sweep()

    # ------------------------------------------------------------------------------------------------ crew and content

    @rule(which=WHICH, who=st.sets(WHO, max_size=2))
    def set_crew(self, which: int, who: set[int]) -> None:
        if self.visits:
            visit = self.pick(self.visits, which)
            ids = [self.world.phones[one].engineer_id for one in sorted(who)]
            self.act(lambda work: crew.set_crew(work, visit, ids, override=True, reason="law"))

    @rule(who=WHO, where=st.sampled_from([None, 0, 1]))
    def set_territory(self, who: int, where: int | None) -> None:
        engineer = self.world.phones[who].engineer_id
        territory = None if where is None else self.territories[where]
        self.act(lambda work: crew.set_territory(work, engineer, territory))

    @rule(
        over=st.one_of(st.none(), WHICH),
        kind=st.sampled_from([None, "repair", "service"]),
        model=st.sampled_from([None, "M", "P-200"]),
        where=st.sampled_from([None, 0, 1]),
    )
    def write_article(self, over: int | None, kind: str | None, model: str | None, where: int | None) -> None:
        self.count += 1
        text = articles.ArticleText(
            title=f"Article {self.count}",
            body="Turn it off first.",
            kind=kind,
            model=model,
            territory_id=None if where is None else self.territories[where],
        )
        id_ = self.pick(self.articles, over) if self.articles and over is not None else None
        made = self.act(lambda work: articles.save_article(work, text, id_=id_))
        if made is not None and made not in self.articles:
            self.articles.append(made)

    @rule(which=WHICH)
    def retire_article(self, which: int) -> None:
        if self.articles:
            article = self.pick(self.articles, which)
            self.act(lambda work: articles.retire_article(work, article))

    @rule(code=st.sampled_from(["checks", "gas"]), kind=st.sampled_from([None, "repair", "service"]))
    def write_form(self, code: str, kind: str | None) -> None:
        self.count += 1
        schema = {"type": "object", "properties": {f"n{self.count}": {"type": "integer"}}}
        form = forms.NewForm(code=code, title_en="Checks", title_zh="检查", schema=schema, kind=kind)
        self.forms.append(self.act(lambda work: forms.save_form(work, form)))

    @rule(which=WHICH)
    def retire_form(self, which: int) -> None:
        if self.forms:
            form = self.pick(self.forms, which)
            self.act(lambda work: forms.retire_form(work, form))

    @rule(which=WHICH, wanted=st.dictionaries(st.integers(0, 2), st.integers(1, 3), max_size=2))
    def set_parts(self, which: int, wanted: dict[int, int]) -> None:
        if self.orders:
            order = self.pick(self.orders, which)
            codes = {("SEAL-1", "PA", "PB")[n]: quantity for n, quantity in wanted.items()}
            self.act(lambda work: order_parts.set_order_parts(work, order, list(codes.items())))

    def sweep(self) -> None:
        for _ in range(50):
            if not self.act(scope.sweep):
                return
        raise AssertionError("the sweep does not come to an end")

    @rule(loaded_before=st.booleans())
    def hire(self, loaded_before: bool) -> None:
        """A new engineer, whose van may have been loaded before, and a phone enrolled after a visit was given."""
        if len(self.world.phones) >= ENGINEERS + 2:
            return
        engineer, device, user = new_id(), new_id(), new_id()
        move = stock.Move(holder_id=engineer, part_id=self.world.part, quantity=4, reason="loaded")
        now = datetime.now(UTC)

        async def enter(work: Work) -> None:
            await users.create_users(
                work, [NewUser(id=user, email=f"{user.hex}@example.org", name="New", role=Role.ENGINEER)]
            )
            await engineers.create_engineer(
                work,
                NewEngineer(
                    id=engineer, user_id=user, name="New", home_lat=37.7, home_lng=-122.4, skills={"sewer": 3}
                ),
            )
            await engineers.set_shifts(
                work, [NewShift(engineer_id=engineer, starts_at=now, ends_at=now + timedelta(hours=12))]
            )

        async def enrol(work: Work) -> None:
            await work.execute(
                "insert into device (id, user_id, name, enrolled_at) values ($1, $2, 'phone', now())",
                device,
                user,
            )

        if loaded_before:
            self.act(lambda work: stock.move(work, [move]))
        self.act(enter)
        if not loaded_before:
            self.act(lambda work: stock.move(work, [move]))
        if self.visits:
            self.act(
                lambda work: assign.reassign(work, self.visits[-1], engineer, override=True, reason="law")
            )
        self.act(enrol)
        self.world.phones.append(Phone(self.world, user, engineer, device))

    @rule(who=WHO)
    def stay_offline(self, who: int) -> None:
        """Or come back: a phone that did not pull for a while catches up in one go."""
        self.late ^= {self.world.phones[who].device_id}

    # ------------------------------------------------------------------------------------------------ the laws

    @invariant()
    def every_copy_is_true(self) -> None:
        self.run_here(self._look())

    async def _look(self) -> None:
        if not hasattr(self, "world"):
            return
        rows = await whole_copy.tables(self.world)
        for phone in self.world.phones:
            if phone.device_id not in self.late:
                await self._is_true(phone, rows)

    async def _is_true(self, phone: Phone, rows: whole_copy.Tables | None = None) -> None:
        try:
            await phone.pull(limit=7)
        except ResyncRequired:
            phone.cursor, phone.copy = None, {}
            await phone.pull()
        found = await whole_copy.differences(self.world, phone, datetime.now(UTC), rows)
        assert not found, "; ".join(found[:5])

    def teardown(self) -> None:
        if hasattr(self, "world"):
            for phone in self.world.phones:
                self.run_here(self._is_true(phone))


def test_whatever_is_done_every_phone_holds_the_truth(fresh_database: Any, scale: int, seed: int) -> None:
    """A ghost row sends an engineer to a door that is not theirs; a missing one leaves a customer waiting."""
    db = Database(fresh_database.database)
    with asyncio.Runner() as runner:
        runner.run(db.start())
        add_hooks(db)
        try:
            Laws.db, Laws.run_here = db, staticmethod(runner.run)
            run_state_machine_as_test(
                seeded(seed)(Laws),
                settings=settings(
                    max_examples=15 * scale,
                    stateful_step_count=40,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(db.stop())
