"""The swarm: at a small size it is clean, and its judge sees each kind of wrong that it is there to see."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast
from uuid import UUID

import asyncpg
import msgspec
import pytest
from rich.console import Console
from worlds import STROKES, Phone, World

from callout_backend.embedded import Urls
from callout_backend.settings import SettingsError
from callout_backend.swarm import main
from callout_backend.swarm.judge import Verdict, judge
from callout_backend.swarm.roamer import Made, Roamer
from callout_backend.swarm.texts import TEXTS, WORDS
from callout_backend.wiring import add_hooks
from callout_store.work import Database

LOADED: Final = 10
"""Of the part on each van of a `World`."""


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build()


class Day:
    """One phone's day, written down as the swarm's phones do it, and what the judge says of it."""

    def __init__(self, world: World, phone: Phone, made: list[Made]) -> None:
        self.world, self.phone, self.made = world, phone, made
        self.pictures: dict[UUID, str] = {}

    def of(self, kind: str) -> UUID:
        return next(one.id for one in self.made if one.kind == kind)

    async def verdict(self) -> Verdict:
        documents = [
            (item["entity"], item["id"], msgspec.json.encode(item["doc"]).decode())
            for item in self.phone.copy.values()
        ]
        store = SimpleNamespace(mark=lambda _: str(self.phone.device_id), documents=lambda: documents)
        roamer = SimpleNamespace(
            made=self.made,
            pictures=self.pictures,
            seat=SimpleNamespace(id=self.phone.engineer_id),
            phone=SimpleNamespace(store=store),
        )
        now = datetime.now(UTC)
        return await judge(self.world.db, self.world.org, [cast(Roamer, roamer)], loaded=LOADED, swept_at=now)


@pytest.fixture
async def day(world: World) -> Day:
    phone = world.phones[0]
    visit = await world.visit(phone)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("visit.accept", {}),
        ("visit.arrive", {}),
        ("visit.replace_part", {"partId": str(world.part), "quantity": 2}),
        ("visit.sign", {"signerName": "Pat", "strokes": STROKES, "summary": "done"}),
        ("visit.complete", {"resolution": "Runs again."}),
    ]
    commands = [phone.command(kind, visit, payload) for kind, payload in steps]
    answers = await phone.push(*commands)
    assert [answer.status for answer in answers] == ["applied"] * len(steps)
    await phone.pull()
    now = datetime.now(UTC)
    return Day(world, phone, [Made(id=UUID(c["id"]), kind=c["kind"], at=now) for c in commands])


async def spoil(urls: Urls, sql: str, *args: Any) -> None:
    """Past all that keeps the tables whole, as only a fault of the server's could."""
    connection = await asyncpg.connect(urls.admin)
    try:
        await connection.execute("set session_replication_role = 'replica'")
        done = await connection.execute(sql, *args)
    finally:
        await connection.close()
    assert done.split()[-1] != "0", "nothing was spoilt"


async def test_a_true_day_is_clean(day: Day) -> None:
    """A judge that finds fault with a true day would be switched off, and then see nothing."""
    verdict = await day.verdict()
    assert verdict.clean, verdict
    assert (verdict.commands, verdict.events) == (5, 5)
    assert verdict.copies.documents == len(day.phone.copy)


async def test_what_is_lost_is_seen(day: Day, database_urls: Urls) -> None:
    """An arrival without its row is work that nobody will be paid for: the swarm must not print 0."""
    await spoil(database_urls, "delete from visit_event where id = $1", day.of("visit.arrive"))
    verdict = await day.verdict()
    assert (verdict.lost, verdict.doubled, verdict.clean) == (1, 0, False)
    assert str(day.of("visit.arrive")) in verdict.samples[0]


@pytest.mark.parametrize(
    ("sql", "kind"),
    (
        ("delete from stock_move where event_id = $1", "visit.replace_part"),
        ("delete from signature where event_id = $1", "visit.sign"),
        ("delete from journal where entity_id = $1", "visit.complete"),
        ("delete from receipt where command_id = $1", "visit.accept"),
    ),
)
async def test_an_effect_that_is_missing_is_lost(day: Day, database_urls: Urls, sql: str, kind: str) -> None:
    """The event alone is not the work: its part left the van, its signature counts, its line is in the journal."""
    await spoil(database_urls, sql, day.of(kind))
    verdict = await day.verdict()
    assert (verdict.lost, verdict.doubled, verdict.clean) == (1, 0, False)


async def test_what_is_done_twice_is_seen(day: Day, database_urls: Urls) -> None:
    """A part that is taken from the van twice for one visit: a lost acknowledgement did harm after all."""
    rule = "stock_move_org_id_event_id_key"
    connection = await asyncpg.connect(database_urls.admin)
    try:
        # What makes it impossible is taken away: the judge may not lean on it.
        await connection.execute(f"alter table stock_move drop constraint {rule}")
        doubled = await connection.fetchval(
            """
            insert into stock_move select (jsonb_populate_record(m, jsonb_build_object('id', gen_random_uuid()))).*
            from stock_move m where event_id = $1 returning id
            """,
            day.of("visit.replace_part"),
        )
        verdict = await day.verdict()
        await connection.execute("delete from stock_move where id = $1", doubled)
        await connection.execute(f"alter table stock_move add constraint {rule} unique (org_id, event_id)")
    finally:
        await connection.close()
    assert (verdict.lost, verdict.doubled, verdict.clean) == (0, 1, False)
    assert (await day.verdict()).clean


async def test_what_is_written_down_twice_is_seen(day: Day, database_urls: Urls) -> None:
    """Applied and kept for a person as well: the dispatcher would apply it once more."""
    connection = await asyncpg.connect(database_urls.admin)
    try:
        await connection.execute(
            """
            insert into quarantine (id, org_id, command_id, device_id, user_id, category, code, message, body,
                                    received_at)
            select gen_random_uuid(), $1, $2, $3, $4, 'quarantined', 'COMMAND_FAILED', '', '{}', now()
            """,
            day.world.org,
            day.of("visit.sign"),
            day.phone.device_id,
            day.phone.actor.user_id,
        )
    finally:
        await connection.close()
    verdict = await day.verdict()
    assert (verdict.lost, verdict.doubled, verdict.clean) == (0, 1, False)


async def test_stock_that_does_not_add_up_is_seen(day: Day, database_urls: Urls) -> None:
    """Each command is there once, and yet the van's count is wrong: engineers would drive for parts that they have."""
    await spoil(
        database_urls,
        "update stock_level set quantity = quantity - 1 where org_id = $1 and holder_id = $2",
        day.world.org,
        day.phone.engineer_id,
    )
    verdict = await day.verdict()
    assert (verdict.lost, verdict.doubled, verdict.stock_wrong, verdict.clean) == (0, 0, 1, False)


async def test_an_event_that_no_phone_wrote_is_seen(day: Day) -> None:
    """A command that came apart into two, or another phone's: it is on no phone's list, so only counting finds it."""
    forgotten = day.made.pop()
    verdict = await day.verdict()
    assert (verdict.from_nowhere, verdict.clean) == (1, False), forgotten


async def test_a_picture_that_never_came_is_seen(day: Day) -> None:
    """The phone forgot a photo that the server does not have: it is gone for good."""
    day.pictures[day.of("visit.complete")] = "00" * 32
    verdict = await day.verdict()
    assert (verdict.pictures_lost, verdict.clean) == (1, False)


async def test_a_copy_that_differs_is_seen(day: Day) -> None:
    """Documents that are old, missing or left over on a phone: its engineer works by them."""
    copy = day.phone.copy
    site = copy[str(day.world.site)]
    copy[str(day.world.site)] = {**site, "doc": {**site["doc"], "name": "Attic"}}
    del copy[str(day.world.contact)]
    extra = "01890000-0000-7000-8000-000000000001"
    copy[extra] = {"entity": "part", "id": extra, "doc": {"id": extra}}
    copies = (await day.verdict()).copies
    assert (copies.stale, copies.lost, copies.extra) == (1, 1, 1)
    assert not (await day.verdict()).clean


@pytest.mark.slow
def test_a_small_swarm_is_clean(
    tmp_path: Path, seed: int, scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five days of eight phones on a bad network, with killed processes and a crashed database: the least of what the
    figures in the hundreds stand on. The table is read by a Chinese terminal here."""
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    said, out = io.StringIO(), tmp_path / "new folder" / "swarm.json"
    code = main(
        devices=8 * scale,
        days=5,
        visits=2,
        seed=seed % 1000,
        json=out,
        console=Console(file=said, width=160),
    )
    told = json.loads(out.read_text("utf-8"))
    verdict = told["verdict"]
    assert code == 0, said.getvalue()
    assert told["clean"]
    assert verdict["commands"] > 8 * scale
    assert verdict["copies"]["documents"] > 0
    assert told["phones"]["PostgreSQL crashes"] == 1
    assert told["phones"]["API processes killed"] == 2
    table = said.getvalue()
    for name, texts in TEXTS.items():
        assert name == "title" or texts["zh"] in table, name
    counted = {*told["network"], *told["phones"], *told["office"]}
    unknown = {name for name in counted - WORDS.keys() if not name.startswith("answered ")} - {"documents"}
    assert not unknown, "counted, and without words for it"


@pytest.mark.parametrize("bad", ({"devices": 0}, {"days": 367}, {"visits": -1}))
def test_numbers_that_make_no_sense(bad: dict[str, Any]) -> None:
    """A swarm of none would be clean, and prove nothing."""
    with pytest.raises(SettingsError, match=f"--{next(iter(bad))}"):
        main(**bad)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """Said at once, and not after the hour that the figures took."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="--json"):
        main(json=tmp_path / "file" / "swarm.json")
