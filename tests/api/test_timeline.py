"""An order's whole life as one timeline (D1), and a sentence for everything that a journal may say."""

import ast
import re
from pathlib import Path
from uuid import UUID

import pytest
from worlds import World

from callout_dispatch.visit_states import EventKind
from callout_graphql import timeline
from callout_graphql.timeline import SOURCES
from callout_orders import order_notes, stock
from callout_store.errors import BadField
from callout_store.ids import new_id
from callout_store.journal_texts import TEXTS, texts
from callout_store.work import Database

ROOT = Path(__file__).parents[2]
FOLDERS = ("backend", "dispatch", "sync", "graphql")
KIND = re.compile(r"[a-z_]+\.[a-z_]+")
NOT_JOURNALED = frozenset(
    {
        # Channels of the outbox and keys of timers, kinds of to-dos; names of fields, files and settings.
        "absence.reason", "body.id", "body.name", "desk.left", "desk.look", "desk.presence", "duplicates.possible",
        "flow.approval", "flow.late", "flow.missing", "flow.step", "flow.survey", "flow.visit", "import.run", "import.watch",
        "intake.agent_wanted", "intake.note", "intake.patience", "intake.unknown", "intake.waits", "intake.wrote",
        "knowledge.offer", "mail.poll", "payload.id", "payload.values", "plan.watch", "red.lane",
        "red.start", "rejected.csv", "site.geocode", "sla.check", "sla.moved", "sla.resume", "sla.settle",
        "sync.hold", "territory.place", "values.description",
    }
)  # fmt: skip


def written_kinds() -> set[str]:
    """Every text that looks like a kind, in every file that writes into the journal."""
    found: set[str] = set()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            source = path.read_text("utf-8")
            if "journal" not in source or "Entry(" not in source:
                continue
            for node in ast.walk(ast.parse(source)):
                if (
                    isinstance(node, ast.Constant)
                    and isinstance(node.value, str)
                    and KIND.fullmatch(node.value)
                ):
                    found.add(node.value)
    return found - NOT_JOURNALED


def test_every_kind_has_a_sentence_in_both_languages() -> None:
    """A line that reads `flow.step_late` to a customer service agent reads as a fault of the system."""
    kinds = written_kinds() | {f"visit.{kind.value}" for kind in EventKind}
    assert len(kinds) > 90
    assert sorted(kinds - set(TEXTS)) == []


def test_kinds_that_are_put_together_have_sentences_too() -> None:
    """`red_lane.{what}` hides from a search for its values: what it may become is said here."""
    made: dict[str, set[str]] = {
        "flow.{state}": {"approved", "rejected"},
        "todo.{state}": {"acknowledged", "done", "canceled"},
        "{table}.created": {"customer", "contact", "site", "asset", "part"},
        "visit.{self.event.kind.value}": {kind.value for kind in EventKind},
        "red_lane.{what}": {"offered", "accepted", "declined", "timed_out", "exhausted", "canceled"},
        "sync.{state}": {"applied", "dismissed"},
        "sync.{k.category}": {"quarantined", "conflict"},
        "{row.entity}.edited": {"visit", "work_order", "site", "contact", "asset"},
    }
    found: set[str] = set()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            source = path.read_text("utf-8")
            if "journal" not in source or "Entry(" not in source:
                continue
            for node in ast.walk(ast.parse(source)):
                given = [
                    *(one.value for one in getattr(node, "keywords", ()) if one.arg == "kind"),
                    *(getattr(node, "args", ()) if isinstance(node, ast.Call) else ()),
                ]
                for one in given:
                    text = ast.unparse(one)[2:-1] if isinstance(one, ast.JoinedStr) else ""
                    if re.fullmatch(r"[a-z_]+\.\{[\w.]+\}|\{[\w.]+\}\.(created|edited)", text):
                        found.add(text)
    found -= {"scopes.{n}", "users.{n}"}
    fields = {
        text
        for text in found
        if re.fullmatch(r"\w+\.\{(n|i|id_|name|place|index|path)\}|.*fault.*|.*refused.*|.*field.*", text)
    }
    assert found - fields <= set(made)
    for pattern, values in made.items():
        for value in values:
            assert re.sub(r"\{[^}]+\}", value, pattern) in TEXTS, (pattern, value)


@pytest.mark.parametrize("kind", sorted(TEXTS))
def test_a_sentence_needs_no_data(kind: str) -> None:
    """Lines of earlier versions lack what later ones hold; brackets and braces are for programs."""
    for text in texts(kind, {}):
        assert text
        assert not set(text) & set("[]{}")
    english, chinese = texts(kind, {})
    assert english.isascii() or "×" in english
    assert not chinese.isascii()


def test_an_unknown_kind_is_shown_as_it_is() -> None:
    """After a version was taken back, its lines are still there."""
    assert texts("new.kind", {"a": 1}) == ("new.kind", "new.kind")


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build()


async def test_one_life_from_every_source(world: World) -> None:
    """Whoever asks "what happened to my order" must not have to ask five systems."""
    order = await world.order()
    phone = world.phones[0]
    visit = await world.visit(phone, order)
    answers = await phone.push(
        phone.command("visit.accept", visit),
        phone.command("visit.travel", visit),
        phone.command("visit.arrive", visit),
        phone.command("visit.note", visit, {"text": "Valve stuck"}),
        phone.command("visit.replace_part", visit, {"partId": str(world.part), "quantity": 2}),
    )
    assert {answer.status for answer in answers} == {"applied"}, answers
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await order_notes.add_note(work, order, "Customer rang")
        await stock.move(
            work,
            [stock.Move(holder_id=new_id(), part_id=world.part, quantity=-1, reason="lost", order_id=order)],
        )
    async with world.db.work(world.org) as work:
        page = await timeline.page(work, order, limit=200)
    assert {"journal", "event", "decision", "stock"} <= {line.source for line in page.items}
    assert [line.at for line in page.items] == sorted(line.at for line in page.items)
    arrived = [line for line in page.items if line.kind == "visit.arrived"]
    assert [line.source for line in arrived] == ["event"], "once, with its place"
    assert arrived[0].data["lat"] == pytest.approx(37.7793)
    assert arrived[0].visit_id == visit
    names = {line.kind: line.actor for line in page.items}
    assert names["work_order.created"] == "Dora"
    assert names["visit.arrived"] == "Engineer 0"
    note = next(line for line in page.items if line.kind == "visit.note")
    assert "Valve stuck" in note.text_en


async def test_pages_join_without_gap_or_double(world: World) -> None:
    """Entries of one instant come from several sources: a cursor that only knew the time would lose some."""
    order = await world.order()
    await world.visit(world.phones[0], order)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        for n in range(7):
            await order_notes.add_note(work, order, f"note {n}")
            await stock.move(
                work,
                [
                    stock.Move(
                        holder_id=new_id(), part_id=world.part, quantity=1, reason="found", order_id=order
                    )
                ],
            )
    async with world.db.work(world.org) as work:
        whole = [line.id for line in (await timeline.page(work, order, limit=200)).items]
        assert len(whole) == len(set(whole)) > 14
        for size in (1, 3, 5):
            seen: list[str] = []
            after = None
            while True:
                page = await timeline.page(work, order, after=after, limit=size)
                seen += [line.id for line in page.items]
                after = page.end_cursor
                if not page.has_more:
                    break
            assert seen == whole


async def test_any_id_of_any_system_leads_there(world: World) -> None:
    """D1: the caller has the number of their own system, and no other."""
    order = await world.order(references=(("crm", "C-1"), ("erp", "SO-1")))
    async with world.db.work(world.org) as work:
        number = await work.fetchval("select number from work_order where id = $1", order)
        asked: list[dict[str, object]] = [
            {"order_id": order},
            {"number": number},
            {"number": number.lower()},
            {"system": "crm", "reference": "C-1"},
            {"system": "erp", "reference": "SO-1"},
        ]
        nothing = dict.fromkeys(("order_id", "number", "system", "reference"))
        for one in asked:
            assert await timeline.order_of(work, **{**nothing, **one}) == order  # type: ignore[arg-type]
        assert await timeline.order_of(work, **{**nothing, "system": "crm", "reference": "C-2"}) is None  # type: ignore[arg-type]
        with pytest.raises(BadField):
            await timeline.order_of(work, **{**nothing, "system": "crm"})  # type: ignore[arg-type]


@pytest.mark.parametrize("after", ("", "x", "bnVsbA", "WyJhIiwiYiIsImMiXQ", "💥", "A" * 5000))
async def test_a_cursor_that_is_none_is_refused(world: World, after: str) -> None:
    """A cursor goes into a statement: what is not one of ours must not."""
    async with world.db.work(world.org) as work:
        with pytest.raises(BadField):
            await timeline.page(work, UUID(int=0), after=after)


async def test_another_organisation_sees_nothing(world: World) -> None:
    """The tenant's wall stands in every source."""
    order = await world.order()
    other = await World(world.db).build(phones=0)
    async with other.db.work(other.org) as work:
        assert (await timeline.page(work, order)).items == []


async def test_every_source_is_read_by_an_index(world: World) -> None:
    """A timeline that reads a whole table is slow on the day when everybody asks."""
    async with world.db.work(world.org) as work:
        await work.execute("set local enable_seqscan = off")
        for source, sql in SOURCES.items():
            parameters = ("$1", "'{}'::text[]")
            statement = sql.replace("$4::text[]", parameters[1]).replace("$1", f"'{UUID(int=1)}'::uuid")
            plan = "\n".join(row[0] for row in await work.fetch(f"explain {statement}"))
            assert "Seq Scan" not in plan, f"{source}:\n{plan}"
