"""What the docs show is what the server takes: every block is checked, the desk's pages are run from top to bottom."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from doc_pages import ROOT, Block, at, blocks, kept, operations, pages, shown
from graphql import OperationType, print_ast, validate
from processes import Api, Program, device_token, environment
from public_api import key_of
from worlds import World

from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.jobs.mail_poll import CHANNEL as MAIL_CHANNEL
from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_dispatch import policy_body
from callout_graphql.schema import engine
from callout_orders.flow.events import EVENTS
from callout_orders.imports.mapping import checked, config_of
from callout_orders.kinds import library
from callout_orders.kinds.check import check
from callout_orders.kinds.expressions import ORDER, PARTS
from callout_orders.kinds.terms import ActionName, Field, FieldType, Step
from callout_orders.notices.channels import NEEDS
from callout_orders.notices.terms import MEDIA
from callout_orders.sla.clock import MilestoneState
from callout_orders.sla.policy import body as sla_body
from callout_orders.sla.policy.terms import SlaPolicy
from callout_people.passwords import Passwords
from callout_people.principals import SCOPES, Role
from callout_people.users import NewUser, create_users
from callout_store.work import Database

DESK = sorted((ROOT / "docs/desk").glob("*.md"))
ALL = [block for page in pages() for block in blocks(page)]
PEOPLE = {
    "admin": Role.ADMIN,
    "ann": Role.DISPATCHER,
    "ben": Role.DISPATCHER,
    "fay": Role.DISPATCHER,
    "sam": Role.SUPERVISOR,
    "contact": Role.CUSTOMER_CONTACT,
}


def _of(language: str) -> list[Any]:
    return [pytest.param(one, id=one.place) for one in ALL if one.language == language]


@pytest.mark.parametrize("block", _of("graphql"))
def test_every_query_fits_the_schema(block: Block) -> None:
    """Whoever pastes an example must not be told that its field does not exist."""
    for _, document in operations(block.text):
        faults = validate(engine().schema, document)
        assert not faults, [fault.message for fault in faults]


@pytest.mark.parametrize("block", _of("toml"))
def test_every_kind_of_order_could_be_saved(block: Block) -> None:
    """A supervisor who begins with an example must not begin with its faults."""
    found = check(library.decode(block.text), events=EVENTS)
    assert not found, [(one.path, one.en) for one in found]


@pytest.mark.parametrize("block", _of("json"))
def test_every_document_is_taken_by_its_own_check(block: Block) -> None:
    """A policy or a mapping of the docs is copied, changed in one place and saved: the rest of it must hold."""
    given = json.loads(block.text)
    if "objectives" in given:
        policy_body.read(given)
    elif "rules" in given:
        sla_body.read(given)
    elif "columns" in given:
        checked(config_of(given))


def test_every_part_of_the_desk_has_a_page_that_its_index_leads_to() -> None:
    """A page that nothing leads to is read by nobody."""
    index = (ROOT / "docs/desk.md").read_text("utf-8")
    for page in DESK:
        assert f"(desk/{page.name})" in index, page.name


def _anchors(page: Path) -> set[str]:
    """What a link may name of a page, as GitHub makes it of the headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in found}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_link_within_the_docs_leads_somewhere(page: Path) -> None:
    """A reader who follows a link must not end at nothing."""
    for to, _, anchor in re.findall(r"\]\(((?!https?:)[^)#\s]*)(#([^)\s]+))?\)", page.read_text("utf-8")):
        target = page.parent / to if to else page
        assert target.exists(), to
        assert not anchor or anchor in _anchors(target), f"{to}#{anchor}"


NAMED: dict[str, list[str]] = {
    "flows.md": [
        *EVENTS,
        *ORDER,
        *PARTS,
        *(one.value for one in ActionName),
        *(one.value for one in FieldType),
        *Step.__struct_fields__,
        *Field.__struct_fields__,
    ],
    "notices.md": [
        *(MEDIA - {"inbox"}),
        *(name for needed, _, secrets in NEEDS.values() for name in (needed | secrets) - {"token"}),
    ],
    "sla.md": [
        *(one.value for one in MilestoneState),
        *set(SlaPolicy.__struct_encode_fields__) - {"version", "name"},
    ],
    "public_api.md": [*SCOPES],
}
"""Names that the pages' tables must have, by page."""


@pytest.mark.parametrize("page", sorted(NAMED))
def test_references_name_everything_there_is(page: str) -> None:
    """An event, action or setting that no page names is one that nobody will find."""
    text = (ROOT / "docs/desk" / page).read_text("utf-8")
    words = set(re.findall(r"[A-Za-z_:]+", " ".join(re.findall(r"`[^`\n]+`", text))))
    assert set(NAMED[page]) <= words, sorted(set(NAMED[page]) - words)


# ------------------------------------------------------------------------------------------------ run


@pytest.fixture(scope="module")
def api(database_urls: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """`callout serve`, as a reader has it."""
    served = Api(database_urls, tmp_path_factory.mktemp("serve"), CALLOUT_NOTICES="mixed")
    yield served
    served.end()


def _need_programs() -> None:
    """The commands of the docs are for a shell; where there is none, they cannot be tried."""
    for program in ("bash", "curl", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


class Reader:
    """Somebody who reads a page and does what it says."""

    def __init__(self, world: World, api: Api, settings: Settings, folder: Path) -> None:
        self.world, self.api, self.folder = world, api, folder
        self.settings = settings
        self.names: dict[str, Any] = {}
        self.tokens: dict[str, str] = {}

    async def prepare(self) -> None:
        """The organisation that the pages speak of, and the names under which they know it."""
        world = self.world
        async with world.db.work(world.org) as work:
            ids = await create_users(
                work,
                [
                    NewUser(email=f"{name}-{world.org.hex}@example.org", name=name.title(), role=role)
                    for name, role in PEOPLE.items()
                ],
            )
            slug = await work.fetchval("select slug from organisation where id = $1", world.org)
            await work.execute(
                "update contact set user_id = $2 where org_id = callout_org() and id = $1",
                world.contact,
                ids[list(PEOPLE).index("contact")],
            )
        for name, user_id in zip(PEOPLE, ids, strict=True):
            self.tokens[name] = await device_token(world.db, world.org, user_id, None)
            self.names[name] = str(user_id)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        self.names |= {
            "order": str(await world.order(serial="SN-1", parts=(("SEAL-1", 2),))),
            "other": str(await world.order(description="Pump drips at the seal", serial="SN-1")),
            "customer": str(world.customer),
            "site": str(world.site),
            "asset": str(world.asset),
            "engineer": str(world.phones[0].engineer_id),
            "start": tomorrow.isoformat(timespec="seconds"),
            "org": slug,
            "key": (await key_of(world)).text,
        }

    async def does(self, block: Block) -> None:
        """One block, and what stands after it."""
        try:
            if block.language == "graphql":
                await self._asks(block)
            elif block.language == "bash":
                self._types(block)
            elif block.language == "json":
                self.names["body"] = json.loads(block.text)
            elif block.language == "toml":
                self.names["toml"] = block.text
        except (AssertionError, KeyError, IndexError) as fault:
            raise AssertionError(f"{block.place}: {fault!r}") from fault
        if "worker" in block.after:
            handlers = make_handlers(self.settings)
            left = {name: one for name, one in handlers.items() if name != MAIL_CHANNEL}
            await drain(self.world.db, left, only=True)

    async def _asks(self, block: Block) -> None:
        remark = block.before.split()
        token = self.tokens[remark[1]] if remark[:1] == ["as"] else self.tokens["admin"]
        for operation, document in operations(block.text):
            if operation.operation is OperationType.SUBSCRIPTION:
                continue
            wanted = {one.variable.name.value: one for one in operation.variable_definitions or ()}
            values = {name: self.names[name] for name, one in wanted.items() if one.default_value is None}
            async with httpx.AsyncClient(timeout=60) as client:
                sent = await client.post(
                    f"{self.api.url}/graphql",
                    json={"query": print_ast(document), "variables": values},
                    headers={"Authorization": f"Bearer {token}"},
                )
            answer = sent.json()
            print(block.place, json.dumps(answer, ensure_ascii=False))
            if "refused:" in remark:
                code = remark[remark.index("refused:") + 1]
                assert answer["errors"][0]["extensions"]["code"] == code, answer
                continue
            assert "errors" not in answer, answer["errors"]
            for name, path in kept(block.after):
                head = path.split(".")[0]
                if head in answer["data"]:
                    self.names[name] = at(answer["data"], path)
            for path, value in shown(block.after):
                if path.split(".")[0] in answer["data"]:
                    wanted_value = str(self.names[value[1:]]) if value.startswith("$") else value
                    assert str(at(answer["data"], path)) == wanted_value, answer

    def _types(self, block: Block) -> None:
        _need_programs()
        given = {
            name.upper(): str(value) for name, value in self.names.items() if name not in ("body", "toml")
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text],
            env={**os.environ, **self._environment(), **given},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        for name, path in kept(block.after):
            self.names[name] = at(msgspec.json.decode(done.stdout.strip().splitlines()[-1]), path)

    def _environment(self) -> Mapping[str, str]:
        programs = self.folder / "bin"
        if not programs.exists():
            programs.mkdir()
            (programs / "callout").write_text(f'#!/bin/sh\nexec {sys.executable} -m callout_backend "$@"\n')
            (programs / "callout").chmod(0o755)
            (self.folder / "kind.toml").write_text(self.names.get("toml", ""))
        return {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(str(Path(one).resolve()) for one in sys.path if one),
            "CALLOUT": self.api.url,
            "TOKEN": self.tokens["admin"],
        }


@pytest.fixture
async def reader(db: Database, api: Api, settings: Settings, tmp_path: Path) -> Reader:
    """A reader with an organisation of their own."""
    add_hooks(db)
    made = Reader(await World(db).build(), api, settings, tmp_path)
    await made.prepare()
    return made


@pytest.mark.parametrize("page", DESK, ids=lambda page: page.stem)
async def test_the_desks_pages_run_from_top_to_bottom(reader: Reader, page: Path) -> None:
    """An example that does not run costs its reader an hour, and us their trust."""
    for block in blocks(page):
        await reader.does(block)


def test_no_page_of_the_desk_is_too_long_to_be_read() -> None:
    """A page of a thousand lines is searched, not read."""
    for page in [ROOT / "docs/desk.md", *DESK]:
        assert len(page.read_text("utf-8").splitlines()) <= 500, page.name


# ------------------------------------------------------------------------------------------------ docs/api.md


@pytest.fixture
async def demo(db: Database, settings: Settings) -> World:
    """The organisation that the walk through the API speaks of, as the demo makes it."""
    add_hooks(db)
    world = await World(db).build()
    await world.order()
    hashed = await Passwords(threads=1).hash("callout-demo")
    async with db.work(world.org) as work:
        await work.execute("update organisation set slug = 'golden-gate' where id = $1", world.org)
        await create_users(
            work,
            [
                NewUser(
                    email="dispatcher@golden-gate.example",
                    name="Dora",
                    role=Role.DISPATCHER,
                    password_hash=hashed,
                )
            ],
        )
    return world


def test_the_walk_through_the_api_runs_in_one_shell(
    demo: World, api: Api, database_urls: Any, tmp_path: Path
) -> None:
    """The first hour of an app's developer with us: every command of it must do what the page says."""
    _need_programs()
    text = "".join(one.text for one in blocks(ROOT / "docs/api.md") if one.language == "bash")
    for old, new in (
        ("http://127.0.0.1:8000", api.url),
        (".venv/bin/python", sys.executable),
        ("/tmp/callout-", f"{tmp_path}/"),
    ):
        text = text.replace(old, new)
    worker = Program(
        [sys.executable, "-m", "callout_backend", "worker"],
        environment(database_urls, api.log.parent),
        tmp_path / "worker.log",
    )
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    finally:
        worker.end()
    print(done.stdout[-6000:], done.stderr[-2000:])
    assert done.returncode == 0, done.stderr[-2000:]
    # Two are meant to be refused: signing twice, and asking with a phone that was revoked.
    refused = re.findall(r'"code":\s*"([A-Z_]+)"', done.stdout)
    assert refused == ["SIGN_OFF_LINK_USED", "DEVICE_REVOKED"], refused
    assert '"status": "duplicate"' in done.stdout or '"status":"duplicate"' in done.stdout
