"""`callout conform` against a real `callout serve`, and against servers that break one rule each."""

import asyncio
import io
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from bad_proxy import BadProxy, serving
from processes import Api
from rich.console import Console
from worlds import World

from callout_backend.conform import checks_wire, play
from callout_backend.conform.bench import Bench
from callout_backend.conform.command import conform
from callout_backend.conform.run import Result, all_checks, chosen, run
from callout_backend.conform.texts_zh import SAYS
from callout_backend.wiring import add_hooks
from callout_people.passwords import Passwords
from callout_store.work import Database
from callout_sync import devices

PASSWORD = "correct horse battery"


class Site:
    """A running server, and an organisation on it with a dispatcher who has a password."""

    def __init__(self, api: Api, world: World, slug: str, email: str) -> None:
        self.api, self.world, self.slug, self.email = api, world, slug, email

    async def check(self, *only: str, url: str | None = None) -> dict[str, Result]:
        async def prepare(bench: Bench) -> None:
            await bench.sign_in(email=self.email, password=PASSWORD, engineer=None)

        results = await run(
            url or self.api.url,
            prepare,
            organisation=self.slug,
            checks=chosen(only),
            told=lambda result: None,
        )
        return {result.id: result for result in results}


@pytest.fixture(scope="module")
async def site(
    db: Database, database_urls: Any, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    add_hooks(db)
    world = await World(db).build()
    stored = await Passwords(threads=1).hash(PASSWORD)
    async with db.work(world.org) as work:
        await work.execute(
            "update app_user set password_hash = $2 where id = $1", world.dispatcher.user_id, stored
        )
        row = await work.fetchrow(
            "select u.email, o.slug from app_user u join organisation o on o.id = u.org_id where u.id = $1",
            world.dispatcher.user_id,
        )
    api = Api(database_urls, tmp_path_factory.mktemp("conform"))
    try:
        yield Site(api, world, row["slug"], row["email"])
    finally:
        await asyncio.to_thread(api.end)


async def test_our_own_server_keeps_to_the_protocol(site: Site) -> None:
    """What we ask of every server we would not do ourselves; client authors could trust neither."""
    results = await site.check()
    wrong = [
        f"{one.id}: expected {one.expected}; came {one.came}"
        for one in results.values()
        if one.verdict != "pass"
    ]
    assert not wrong, "\n".join(wrong)
    assert len(results) == len(all_checks()) >= 40


def _answers(change: Callable[[dict[str, Any]], None]) -> Any:
    def on_answer(asked: dict[str, Any], told: dict[str, Any]) -> None:
        for answer in ((told.get("data") or {}).get("push") or {}).get("answers", ()):
            change(answer)

    return on_answer


def _pages(change: Callable[[dict[str, Any]], None]) -> Any:
    def on_answer(asked: dict[str, Any], told: dict[str, Any]) -> None:
        page = (told.get("data") or {}).get("pull")
        if page:
            change(page)

    return on_answer


def _twice_applied(answer: dict[str, Any]) -> None:
    if answer["status"] == "duplicate":
        answer.update(status="applied", firstStatus=None)


def _no_path(answer: dict[str, Any]) -> None:
    answer["path"] = None


def _backwards(asked: dict[str, Any], told: dict[str, Any]) -> None:
    answers = ((told.get("data") or {}).get("push") or {}).get("answers")
    if answers:
        answers.reverse()


def _loses_last_of_full_page(page: dict[str, Any]) -> None:
    if page["more"]:
        page["documents"] = page["documents"][:-1]


def _no_outcomes(page: dict[str, Any]) -> None:
    page["documents"] = [item for item in page["documents"] if item["entity"] != "outcome"]


def _no_wipe(page: dict[str, Any]) -> None:
    page["wipe"] = False


def _no_codes(asked: dict[str, Any], told: dict[str, Any]) -> None:
    for error in told.get("errors") or ():
        error.get("extensions", {}).pop("code", None)


def _never_holds(asked: dict[str, Any]) -> None:
    (asked["variables"] or {}).get("input", {}).pop("oldestPending", None)


def _all_new(asked: dict[str, Any]) -> None:
    if "schemaVersion" in (asked["variables"] or {}):
        asked["variables"]["schemaVersion"] = 2


def _forgets_offset(method: str, headers: dict[str, str]) -> None:
    if method == "HEAD":
        headers["upload-offset"] = "0"


BREAKS: list[tuple[dict[str, Any], str]] = [
    ({"on_answer": _answers(_twice_applied)}, "receipts.same-id-same-body"),
    ({"on_answer": _answers(_no_path)}, "quarantine.nowhere"),
    ({"on_answer": _backwards}, "receipts.one-bad-command-stops-no-other"),
    ({"on_answer": _pages(_loses_last_of_full_page)}, "cursors.small-pages-hold-the-same"),
    ({"on_answer": _pages(_no_outcomes)}, "outcomes.quarantined"),
    ({"on_answer": _pages(_no_wipe)}, "wipe.after-upload"),
    ({"on_answer": _no_codes}, "cursors.words"),
    ({"on_request": _never_holds}, "holds.overtaker-waits"),
    ({"on_request": _all_new}, "versions.old-apps-get-what-they-know"),
    ({"on_headers": _forgets_offset}, "uploads.pieces"),
]


@pytest.mark.parametrize(("broken", "check"), BREAKS, ids=[check for _, check in BREAKS])
async def test_a_server_that_breaks_a_rule_fails_its_check(
    site: Site, broken: dict[str, Any], check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kit that passes everybody would tell the author of a server that loses work that all is well."""
    monkeypatch.setattr(play, "PATIENCE_S", 1.0)
    monkeypatch.setattr(checks_wire, "PATIENCE_S", 1.0)
    async with serving(BadProxy(site.api.url, **broken)) as url:
        result = (await site.check(check, url=url))[check]
    assert result.verdict == "fail", result
    assert result.expected
    assert result.came
    assert (await site.check(check))[check].verdict == "pass"


async def test_it_clears_away_what_it_made(site: Site) -> None:
    """Every run would leave a dispatcher with orders for nobody and phones that nobody has."""
    await site.check("receipts.applied", "quarantine.kind-unknown")
    assert (
        await site.world.value(
            "select count(*) from device where name = 'conformance check' and revoked_at is null"
        )
        == 0
    )
    assert (
        await site.world.value(
            "select count(*) from work_order where description like 'Conformance check%' and state not in ('canceled')"
        )
        == 0
    )
    assert await site.world.value("select count(*) from quarantine where state = 'open'") == 0


async def test_one_code_is_enough_for_what_one_phone_can_see(site: Site) -> None:
    """The author of a server without a dispatcher's API yet could check nothing at all."""
    phone = site.world.phones[0]
    await site.world.visit(phone)
    async with site.world.db.work(site.world.org, actor=site.world.dispatcher) as work:
        made = await devices.create_enrolment_code(work, phone.actor.user_id)

    async def prepare(bench: Bench) -> None:
        await bench.use_code(made.code)

    results = await run(
        site.api.url,
        prepare,
        organisation=site.slug,
        checks=chosen(["receipts", "cursors", "quarantine", "holds"]),
        told=lambda result: None,
    )
    verdicts = Counter(result.verdict for result in results)
    assert verdicts["fail"] == 0, [result for result in results if result.verdict == "fail"]
    assert verdicts["pass"] >= 25
    assert {result.why for result in results if result.verdict == "skip"} == {"needs_desk"}


def test_the_command_prints_a_table_and_ends_with_a_code(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build goes by the exit code, a person by the table, in their own language."""
    said, out = io.StringIO(), tmp_path / "results.json"
    given: dict[str, Any] = {"organisation": site.slug, "email": site.email, "password": PASSWORD}
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    code = conform(
        site.api.url, **given, only=["enrolment.wrong"], json=out, console=Console(file=said, width=120)
    )
    assert code == 0
    assert "enrolment.wrong-code" in said.getvalue()
    assert SAYS["enrolment.wrong-code"][:6] in said.getvalue()
    assert "通过 1 项" in said.getvalue()
    told = json.loads(out.read_text("utf-8"))
    assert (told["passed"], told["failed"], told["checks"][0]["id"]) == (1, 0, "enrolment.wrong-code")
    assert conform(site.api.url, **{**given, "password": "wrong"}) == 2
    assert conform(site.api.url, **given, only=["no-such"]) == 2
    assert conform(site.api.url, organisation=site.slug) == 2
    assert conform("http://127.0.0.1:9", **given) == 2


def test_every_check_has_its_sentence_in_chinese() -> None:
    """A Chinese engineer would read a table of English, or none at all for a new check."""
    checks = all_checks()
    assert {check.id for check in checks} == set(SAYS)
    assert len({check.id for check in checks}) == len(checks)
    for id_, text in SAYS.items():
        assert re.search("[\u4e00-\u9fff]", text), id_
