"""Five phones, a dispatcher and a network that fails, in any sequence; at rest every phone holds what the model says.

The phones are the reference client. Hypothesis chooses what happens and shrinks a failure to its shortest history; a run
is repeated by the printed CALLOUT_TEST_SEED. `--large` plays 2,000 histories.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import msgspec
import oracle
import pytest
import whole_copy
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from scripted import Scripted
from worlds import STROKES, World, slot

from callout_backend.wiring import add_hooks
from callout_client import DeviceClock, NetworkLost, Phone, Refused, Store
from callout_dispatch import assign, crew
from callout_orders import stock
from callout_store.errors import Refusal
from callout_store.work import Database, Work
from callout_sync import again, conflicts, edits, quarantine, scope

PHONES = 5
HISTORIES = 200
STEPS = 24
LOADED = 100
WHO = st.integers(0, PHONES - 1)
WHICH = st.integers(0, 9)
FAULTS = st.lists(st.sampled_from(["ok", "ok", "lost", "deaf", "twice", "later"]), max_size=5)
WORK = st.sampled_from(
    [
        ("visit.accept", {}),
        ("visit.travel", {}),
        ("visit.arrive", {}),
        ("visit.diagnose", {"finding": "worn"}),
        ("visit.note", {"text": "gate code 7"}),
        ("visit.replace_part", {"quantity": 2}),
        ("visit.sign", {"signerName": "Ann", "strokes": STROKES, "summary": "{}"}),
        ("visit.complete", {}),
        ("visit.could_not_complete", {"reason": "other"}),
        ("visit.leave", {}),
    ]
)
FIELDS = st.sampled_from(
    [
        ("site", "accessNote"),
        ("asset", "note"),
        ("contact", "phone"),
        ("contact", "email"),
        ("visit", "engineerNote"),
    ]
)
MET = (
    "applied",
    "PARALLEL_UPDATE",
    "FIELD_CONFLICT",
    "REASSIGNED",
    "CANCELED",
    "NOT_YOUR_VISIT",
    "held: applied",
    "held: forced",
    "card: open",
    "card: settled",
)
SKEWS = st.sampled_from([0, 0, 45, -3600, 86_400 * 2, -86_400 * 3650, 86_400 * 3650])


class Replica:
    """What `whole_copy` and `oracle` look at: a reference phone's copy in their shape."""

    def __init__(self, world: World, phone: Phone, who: int) -> None:
        self.world, self.phone = world, phone
        self.engineer_id, self.device_id = world.phones[who].engineer_id, world.phones[who].device_id

    @property
    def copy(self) -> dict[str, dict[str, Any]]:
        found = self.phone.store.documents()
        return {
            slot(entity, id_): {
                "entity": entity,
                "id": id_,
                "op": "upsert",
                "doc": msgspec.json.decode(doc),
            }
            for entity, id_, doc in found
        }


class Histories(RuleBasedStateMachine):
    """One organisation a history. The model is what was done: it knows visits, who holds them, and every command."""

    db: Database
    run_here: Callable[[Coroutine[Any, Any, Any]], Any]
    fates: ClassVar[Counter[str]] = Counter()
    """How often each thing became of a command, over all histories: a run that met no conflict would prove little."""

    @initialize()
    def found(self) -> None:
        self.now = datetime.now(UTC) - timedelta(hours=6)
        self.made: dict[UUID, tuple[int, str, str | None]] = {}
        """Command → (phone, kind, visit)."""
        self.adds: dict[UUID, int] = {}
        self.writes: list[tuple[str, str, str, Any, Any]] = []
        """(entity, row, field, value that the writer saw, value written), by phones and by the desk."""
        self.visits: list[UUID] = []
        self.holder: dict[UUID, int] = {}
        self.crews: dict[UUID, set[int]] = {}
        self.count = 0
        self.run_here(self._found())
        for who in (0, 1, 2, 0):
            self.give(who)
        for who in range(PHONES):
            self.sync(who, [])

    async def _found(self) -> None:
        self.world = await World(self.db).build(phones=PHONES)
        self.wires: list[Scripted] = []
        self.phones: list[Phone] = []
        for n, phone in enumerate(self.world.phones):
            await self.world.db.run(
                self.world.org,
                lambda work, e=phone.engineer_id: stock.move(  # type: ignore[misc]
                    work,
                    [stock.Move(holder_id=e, part_id=self.world.part, quantity=LOADED - 10, reason="loaded")],
                ),
            )
            wire = Scripted(self.db, self.world.org, phone.actor)
            client = Phone(
                wire,
                Store(),
                DeviceClock(truth=lambda: self.now, boot_id=f"{n}-1"),
                rng=random.Random(n),
                backoff_s=0.0,
                attempts_max=1,
                batch_commands=3,
            )
            client.store.set_marks(device=str(phone.device_id), access="none", refresh="none")
            self.wires.append(wire)
            self.phones.append(client)

    def act(self, do: Callable[[Work], Awaitable[Any]]) -> Any:
        """A dispatcher's act; None where the house refused."""
        try:
            return self.run_here(self.world.db.run(self.world.org, do, actor=self.world.dispatcher))
        except Refusal as refusal:
            if refusal.retryable:
                raise
            return None

    def pick(self, rows: list[Any], which: int) -> Any:
        return rows[which % len(rows)]

    # ------------------------------------------------------------------------------------------------ the office

    @rule(who=WHO)
    def give(self, who: int) -> None:
        phone = self.world.phones[who]
        visit = self.run_here(self.world.visit(phone))
        self.visits.append(visit)
        self.holder[visit] = who

    @rule(which=WHICH, who=WHO)
    def reassign(self, which: int, who: int) -> None:
        visit, engineer = self.pick(self.visits, which), self.world.phones[who].engineer_id
        done = self.act(lambda work: assign.reassign(work, visit, engineer, override=True, reason="law"))
        self.holder[visit] = self._holder_of(visit) if done is None else who

    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        visit = self.pick(self.visits, which)
        self.act(lambda work: assign.cancel_visit(work, visit, "law"))

    @rule(which=WHICH, who=st.sets(WHO, max_size=2))
    def man(self, which: int, who: set[int]) -> None:
        visit, ids = self.pick(self.visits, which), [self.world.phones[n].engineer_id for n in sorted(who)]

        async def change(work: Work) -> bool:
            await crew.set_crew(work, visit, ids, override=True, reason="law")
            return True

        if self.act(change):
            self.crews[visit] = who

    @rule(field=FIELDS, which=WHICH)
    def desk_edits(self, field: tuple[str, str], which: int) -> None:
        entity, name = field
        row = self._row(entity, which)
        seen, value = self._value(entity, row, name), self._fresh(name)

        async def change(work: Work) -> bool:
            revision = await work.fetchval(f"select revision from {entity} where id = $1", UUID(row))
            await edits.apply_at_desk(
                work, entity=entity, id=UUID(row), base_revision=revision, changes={name: value}
            )
            return True

        if self.act(change):
            self.writes.append((entity, row, name, seen, value))

    @rule(which=WHICH, choice=st.sampled_from(["kept", "lost"]))
    def settle(self, which: int, choice: str) -> None:
        """A dispatcher decides a conflict."""
        rows = self.run_here(
            self.world.fetch(
                "select id, entity, row_id, field, kept::text, lost::text from field_conflict "
                "where state = 'open' order by id"
            )
        )
        if rows:
            card = self.pick(rows, which)
            before = self._value(card["entity"], str(card["row_id"]), card["field"])
            chosen = msgspec.json.decode(card[choice])

            async def decide(work: Work) -> bool:
                await conflicts.settle(work, id=card["id"], choice=choice, note="law")
                return True

            if self.act(decide):
                self.writes.append((card["entity"], str(card["row_id"]), card["field"], before, chosen))

    @rule(which=WHICH, how=st.sampled_from(["retry", "dismiss"]))
    def look_into_quarantine(self, which: int, how: str) -> None:
        rows = self.run_here(self.world.fetch("select id from quarantine where state = 'open' order by id"))
        if rows:
            entry = self.pick(rows, which)["id"]
            if how == "dismiss":
                self.act(lambda work: quarantine.dismiss(work, id=entry, note="law"))
            else:
                try:
                    self.run_here(
                        again.retry(
                            self.db, org_id=self.world.org, entry_id=entry, actor=self.world.dispatcher
                        )
                    )
                except Refusal as refusal:
                    if refusal.retryable:
                        raise

    @rule(who=WHO)
    def force(self, who: int) -> None:
        """A dispatcher waits no longer for a missing command."""
        self.run_here(
            again.force(
                self.db,
                org_id=self.world.org,
                device_id=self.world.phones[who].device_id,
                actor=self.world.dispatcher,
                everything=True,
            )
        )

    # ------------------------------------------------------------------------------------------------ in the field

    @rule(who=WHO, which=WHICH, work=WORK, minutes=st.integers(0, 9))
    def on_site(self, who: int, which: int, work: tuple[str, dict[str, Any]], minutes: int) -> None:
        kind, payload = work
        if kind == "visit.replace_part":
            payload = payload | {"partId": str(self.world.part)}
        known = [visit["id"] for visit in self.phones[who].store.visits()]
        # Mostly a visit that it has; a defective app may name one that it never had.
        strange = which == 9
        if not (known or strange):
            return
        visit = str(self.pick(self.visits, which)) if strange else self.pick(known, which)
        self.now += timedelta(minutes=minutes)
        id_ = self.phones[who].record(kind, visit, payload)
        self.made[id_] = (who, kind, visit)

    @rule(who=WHO, which=WHICH, field=FIELDS)
    def phone_edits(self, who: int, which: int, field: tuple[str, str]) -> None:
        entity, name = field
        rows = self.phones[who].store.documents(entity)
        visits = self.phones[who].store.visits()
        if rows and visits:
            _, row, _ = self.pick(rows, which)
            self.now += timedelta(seconds=20)
            seen, value = (self.phones[who].store.get(entity, row) or {})[name], self._fresh(name)
            visit = row if entity == "visit" else visits[0]["id"]
            id_ = self.phones[who].edit(entity, row, changes={name: value}, visit_id=visit)
            self.made[id_] = (who, "record.edit", visit)
            self.writes.append((entity, row, name, seen, value))

    @rule(which=WHICH, who=WHO, work=st.lists(WORK, min_size=1, max_size=3))
    def given_away_while_offline(self, which: int, who: int, work: list[tuple[str, dict[str, Any]]]) -> None:
        """The engineer works on a visit that the office gives to somebody else before the phone comes back."""
        visit = self.pick(self.visits, which)
        holder = self.holder[visit]
        known = [row["id"] for row in self.phones[holder].store.visits()]
        if str(visit) in known:
            for one in work:
                self.on_site(holder, known.index(str(visit)), one, 5)
        self.reassign(which, who)
        self.sync(holder, [])

    @rule(
        who=st.tuples(WHO, WHO), field=FIELDS.filter(lambda field: field[0] != "visit"), decide=st.booleans()
    )
    def both_write(self, who: tuple[int, int], field: tuple[str, str], decide: bool) -> None:
        """Two engineers write the same field, neither knowing of the other; the office may decide at once."""
        for one in who:
            self.phone_edits(one, 0, field)
        for one in who:
            self.sync(one, [])
        if decide:
            self.settle(0, "lost")

    @rule(who=st.tuples(WHO, WHO))
    def write_side_by_side(self, who: tuple[int, int]) -> None:
        """Two engineers write different fields of one contact, neither knowing of the other: both must stand."""
        self.phone_edits(who[0], 0, ("contact", "phone"))
        self.phone_edits(who[1], 0, ("contact", "email"))
        for one in who:
            self.sync(one, [])

    @rule(
        who=WHO,
        work=st.lists(WORK, min_size=2, max_size=4),
        behind=st.integers(1, 3),
        then=st.sampled_from(["wait", "force", "sync"]),
    )
    def overtake(self, who: int, work: list[tuple[str, dict[str, Any]]], behind: int, then: str) -> None:
        """An app that sends batches side by side: the later one arrives, the earlier one is still under way; the office may
        not wait for it, or it may come."""
        self.a_visit_offline(who, work)
        pending = self.phones[who].store.pending()
        if len(pending) > behind:
            clock = self.phones[who].clock
            envelope = {
                "sentAt": clock.wall().isoformat(),
                "monotonicMs": clock.monotonic_ms(),
                "bootId": clock.boot_id,
                "schemaVersion": 2,
                "oldestPending": pending[0][0],
                "commands": [msgspec.Raw(body) for _, body in pending[behind:]],
            }
            asked = {"query": "mutation { push( }", "variables": {"input": envelope}}
            self.run_here(self.wires[who].arrive(msgspec.json.encode(asked)))
            if then == "force":
                self.force(who)
            if then == "sync":
                self.sync(who, [])

    @rule(who=WHO, work=st.lists(WORK, min_size=3, max_size=6))
    def a_visit_offline(self, who: int, work: list[tuple[str, dict[str, Any]]]) -> None:
        """Several things done in a cellar: a queue."""
        for one in work:
            self.on_site(who, 0, one, 7)

    @rule(who=WHO, by=st.sampled_from([-3, 1, 5]))
    def count_van(self, who: int, by: int) -> None:
        for _, row, _ in self.phones[who].store.documents("stock")[:1]:
            id_ = self.phones[who].edit("stock", row, add={"quantity": by})
            self.made[id_] = (who, "record.edit", None)
            self.adds[UUID(row)] = self.adds.get(UUID(row), 0) + by

    @rule(who=WHO, seconds=SKEWS)
    def set_clock(self, who: int, seconds: int) -> None:
        self.phones[who].clock.skew = timedelta(seconds=seconds)

    @rule(who=WHO)
    def reboot(self, who: int) -> None:
        self.phones[who].clock.reboot()

    @rule(who=WHO, faults=FAULTS)
    def sync(self, who: int, faults: list[str]) -> None:
        self._try(who, faults, self.phones[who].sync)

    @rule(who=WHO, faults=FAULTS)
    def push_only(self, who: int, faults: list[str]) -> None:
        self._try(who, faults, self.phones[who].push)

    @rule(who=WHO, newest_first=st.booleans())
    def what_was_held_up_arrives(self, who: int, newest_first: bool) -> None:
        self.run_here(self.wires[who].deliver(newest_first))

    def _try(self, who: int, faults: list[str], act: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        wire = self.wires[who]
        wire.script.extend(faults)
        try:
            self.run_here(act())
        except NetworkLost:
            pass
        except Refused as refused:
            if not refused.retryable:
                raise
        finally:
            wire.script.clear()

    # ------------------------------------------------------------------------------------------------ at rest

    def teardown(self) -> None:
        if hasattr(self, "phones"):
            self.run_here(self._rest())

    async def _rest(self) -> None:
        for who, wire in enumerate(self.wires):
            await wire.deliver(True)
            await self.phones[who].sync()
            assert not self.phones[who].store.pending()
        waiting = await self.world.fetch("select command_id from held_command where state = 'held'")
        assert not waiting, "all was sent, yet something waits for a predecessor"
        while await self.world.db.run(self.world.org, scope.sweep):
            pass
        for phone in self.phones:
            await phone.pull()
        await self._tally()
        await self._commands_once()
        await self._stock_adds_up()
        await self._no_edit_vanished()
        await oracle.states_follow_from_events(self.world)
        rows = await whole_copy.tables(self.world)
        for who, phone in enumerate(self.phones):
            replica: Any = Replica(self.world, phone, who)
            found = await whole_copy.differences(self.world, replica, datetime.now(UTC), rows)
            assert not found, f"phone {who}: " + "; ".join(found[:5])
            self._is_as_modelled(who)

    async def _tally(self) -> None:
        rows = await self.world.fetch(
            """
            select coalesce(answer::json->>'code', answer::json->>'status') as fate, count(*) from receipt group by 1
            union all select 'held: ' || state, count(*) from held_command group by 1
            union all select 'card: ' || state, count(*) from field_conflict group by 1
            union all select 'sequence put right', count(*) from visit_event where flags @> '{time_uncertain}'
            """
        )
        for row in rows:
            self.fates[row["fate"]] += row["count"]

    async def _commands_once(self) -> None:
        """Every command is one event, one entry in the quarantine, or one edit with its receipt."""
        made = [id_ for id_, (_, kind, _) in self.made.items() if kind != "record.edit"]
        await oracle.every_command_once(self.world, made)
        kept = {r["command_id"] for r in await self.world.fetch("select command_id from receipt")}
        assert kept == set(self.made)

    async def _stock_adds_up(self) -> None:
        """Corrections and parts used count once each, whatever was sent twice."""
        rows = await self.world.fetch(
            """
            select l.id, l.quantity, coalesce((
                select sum((e.data->>'quantity')::int) from visit_event e
                where e.kind = 'part_replaced' and e.engineer_id = l.holder_id), 0) as used
            from stock_level l
            """
        )
        for row in rows:
            assert row["quantity"] == LOADED + self.adds.get(row["id"], 0) - row["used"]

    async def _no_edit_vanished(self) -> None:
        """A value that somebody wrote stands, or was overwritten by one who had seen it, or lies on a conflict card, or in
        the quarantine."""
        cards = {
            (r["entity"], str(r["row_id"]), r["field"], r["lost"])
            for r in await self.world.fetch("select entity, row_id, field, lost::text from field_conflict")
        } | {
            (r["entity"], str(r["row_id"]), r["field"], r["kept"])
            for r in await self.world.fetch("select entity, row_id, field, kept::text from field_conflict")
        }
        bodies = "".join(
            bytes(r["body"]).decode() for r in await self.world.fetch("select body from quarantine")
        )
        seen = {(entity, row, name, _text(base)) for entity, row, name, base, _ in self.writes}
        for entity, row, name, _, value in self.writes:
            stands = await self._value_now(entity, row, name) == value
            known = (entity, row, name, _text(value))
            carded = any(
                card[:2] == known[:2] and _same(card[2], name) and card[3] == known[3] for card in cards
            )
            assert stands or known in seen or carded or str(value) in bodies, (
                f"{entity}.{name} {value} vanished"
            )

    def _is_as_modelled(self, who: int) -> None:
        """The phone's visits are those that were given to it, and their events all that anybody did on them."""
        store = self.phones[who].store
        mine = {
            str(visit)
            for visit in self.visits
            if self.holder[visit] == who or who in self.crews.get(visit, set())
        }
        assert {id_ for _, id_, _ in store.documents("visit")} == mine
        events = {id_ for _, id_, _ in store.documents("event")}
        assert events <= {str(id_) for id_, (_, _, visit) in self.made.items() if visit in mine}

    # ------------------------------------------------------------------------------------------------ looking

    def _holder_of(self, visit: UUID) -> int:
        engineer = self.run_here(self.world.value("select engineer_id from visit where id = $1", visit))
        return next(n for n, phone in enumerate(self.world.phones) if phone.engineer_id == engineer)

    def _row(self, entity: str, which: int) -> str:
        if entity == "visit":
            return str(self.pick(self.visits, which))
        return str(
            {"site": self.world.site, "asset": self.world.asset, "contact": self.world.contact}[entity]
        )

    def _fresh(self, name: str) -> str:
        self.count += 1
        return f"+1415555{2000 + self.count}" if name == "phone" else f"v{self.count}@example.org"

    def _value(self, entity: str, row: str, name: str) -> Any:
        return self.run_here(self._value_now(entity, row, name))

    async def _value_now(self, entity: str, row: str, name: str) -> Any:
        return await self.world.value(f"select {_snake(name)} from {entity} where id = $1", UUID(row))


def _snake(name: str) -> str:
    return "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in name)


def _same(stored: str, name: str) -> bool:
    return stored in (name, _snake(name))


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


@pytest.mark.timeout(7200)
def test_every_replica_is_what_the_model_says(fresh_database: Any, scale: int, seed: int) -> None:
    """If any sequence of work, edits, faults and changes of mind lost, doubled or misplaced something, it shows here."""
    db = Database(fresh_database.database)
    with asyncio.Runner() as runner:
        runner.run(db.start())
        add_hooks(db)
        try:
            Histories.db, Histories.run_here = db, staticmethod(runner.run)
            run_state_machine_as_test(
                seeded(seed)(Histories),
                settings=settings(
                    max_examples=HISTORIES * scale,
                    stateful_step_count=STEPS,
                    report_multiple_bugs=False,
                    phases=(Phase.generate, Phase.shrink),
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(db.stop())
    print(dict(Histories.fates))
    assert not [fate for fate in MET if not Histories.fates[fate]], "the histories met too little"
