"""`callout run` as a person meets it: it comes up, says where, ends cleanly, and mends what a kill left behind."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from callout_backend.embedded import running_urls
from callout_backend.embedded.processes import wait_until
from callout_backend.house import DEMO_FILE
from callout_backend.settings import Settings
from callout_backend.supervise import MARK, Supervisor

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]
READY_SECONDS = 120
LINK = "http://127.0.0.1/s/" + "x" * 150
KEPT_DEMO = {
    "logins": [{"who": {"en": "Dispatcher", "zh": "调度员"}, "login": "anna", "password": "pw-1"}],
    "links": [{"name": "A customer signs", "url": LINK}],
}


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """A data folder in which a demo left its logins."""
    folder = Path(tempfile.mkdtemp(prefix="callout-own-"))
    folder.chmod(0o711)
    (folder / "data").mkdir(mode=0o711)
    (folder / "data" / DEMO_FILE).write_text(json.dumps(KEPT_DEMO), "utf-8")
    yield folder / "data"
    left = Supervisor(folder / "data")
    left.end_leftovers()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def environment(data: Path, port: int, **more: str) -> dict[str, str]:
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in ("DATABASE_URL", "REDIS_URL", "CALLOUT_MIGRATE_URL", "LANG")
    }
    path = os.pathsep.join(part for part in sys.path if part)
    return {
        **kept,
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": path,
        "CALLOUT_DATA": str(data),
        "PORT": str(port),
        **more,
    }


def callout(command: str, data: Path, port: int, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "callout_backend", *command.split()],
        env=environment(data, port, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )


def wait_served(process: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"it ended with {process.returncode}: {process.communicate()[0]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    process.kill()
    pytest.fail(f"it does not serve: {process.communicate()[0]}")


def family(data: Path) -> list[int]:
    """The programs that a run on this data folder started, and that are alive."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(data) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_run_serves_and_ends_on_a_signal(data: Path, port: int) -> None:
    """The newcomer's first minutes: up, a box to read, Ctrl-C, and nothing left running on their machine."""
    run = callout("run --no-demo", data, port)
    wait_served(run, port)
    assert family(data)
    second = callout("run --no-demo", data, port + 1)
    said = second.communicate(timeout=60)[0]
    assert second.returncode == 1
    assert "in use by another callout process" in said
    assert "Traceback" not in said
    doctor = callout("doctor", data, port, CALLOUT_SECRET="x" * 40)
    said = doctor.communicate(timeout=60)[0]
    assert doctor.returncode == 0, said
    assert "PostgreSQL" in said
    run.send_signal(signal.SIGINT)
    said = run.communicate(timeout=60)[0]
    assert run.returncode == 0, said
    for expected in (f"http://127.0.0.1:{port}/graphql", "anna", "pw-1", "Dispatcher", LINK):
        assert expected in said
    assert family(data) == []
    assert running_urls(data) is None


def test_a_killed_run_is_tidied_up_by_the_next(data: Path, port: int) -> None:
    """After kill -9 the API still held the port and the worker still ran: the next run replaces both, same data."""
    run = callout("run --no-demo", data, port)
    wait_served(run, port)
    before = family(data)
    run.kill()
    run.communicate(timeout=10)
    again = callout("run --no-demo", data, port)
    try:
        # Until then it is the old API that answers.
        assert wait_until(lambda: not set(before) & set(family(data)), 60)
        wait_served(again, port)
    finally:
        again.send_signal(signal.SIGTERM)
        said = again.communicate(timeout=60)[0]
    assert again.returncode == 0, said
    assert family(data) == []


def test_a_child_that_ends_is_told_with_its_last_words(data: Path, port: int) -> None:
    """The API died in the night: whoever looks at the terminal sees which program, and why."""
    run = callout("run --no-demo", data, port)
    wait_served(run, port)
    worker = next(p for p in map(psutil.Process, family(data)) if p.cmdline()[-1] == "worker")
    worker.kill()
    said = run.communicate(timeout=60)[0]
    assert run.returncode == 1, said
    assert "`callout worker` was ended by signal 9" in said
    assert "Traceback" not in said
    assert family(data) == []


@pytest.mark.parametrize("command", ("run", "serve"))
def test_a_taken_port_is_a_plain_sentence(data: Path, command: str) -> None:
    """Something else listens on 8000: told at once, with what to do."""
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        process = callout(command, data, port)
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert f"PORT={port}" in said
    assert "Traceback" not in said


def test_a_wrong_setting_is_a_plain_sentence(tmp_path: Path) -> None:
    """A typing mistake in PORT must not end in a stack trace."""
    process = callout("run", tmp_path / "data", 1, PORT="eighty")
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert said.strip() == "callout: PORT=eighty cannot be used. Allowed: a whole number from 1 to 65535."
    assert not (tmp_path / "data").exists()


def test_doctor_names_what_is_wrong(tmp_path: Path) -> None:
    """A database that does not answer: which one, how to mend it, exit code 1, and no password on the terminal."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        url = f"postgresql://user:hunter2secret@127.0.0.1:{port}/callout"
        redis = f"redis://:hunter2secret@127.0.0.1:{port}/0"
        process = callout("doctor", tmp_path, 1024, DATABASE_URL=url, REDIS_URL=redis, COLUMNS="200")
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "DATABASE_URL" in said
    assert "REDIS_URL" in said
    assert "hunter2secret" not in said


@pytest.mark.parametrize("program", ("serve", "worker", "migrate"))
def test_a_database_that_is_away_is_one_sentence(tmp_path: Path, port: int, program: str) -> None:
    """A stack trace of each process again and again tells nobody that the host's name was mistyped."""
    url = f"postgresql://user:hunter2secret@127.0.0.1:{port}/callout"
    process = callout(program, tmp_path, port, DATABASE_URL=url, REDIS_URL="redis://127.0.0.1:1/0")
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert said.startswith("callout: The database cannot be reached:")
    assert "callout doctor" in said
    assert len(said.splitlines()) == 1
    assert "hunter2secret" not in said


def test_migrating_a_given_database_starts_no_other(tmp_path: Path, port: int) -> None:
    """README's way to real servers names only the owner's URL: it must not migrate an embedded one instead."""
    url = f"postgresql://owner:hunter2secret@127.0.0.1:{port}/callout"
    process = callout("migrate", tmp_path / "data", port, CALLOUT_MIGRATE_URL=url)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 1, said
    assert str(port) in said
    assert not (tmp_path / "data").exists()


def test_leftovers_are_only_our_own(tmp_path: Path) -> None:
    """The run of another data folder, and everybody else's programs, are not touched."""
    sleep = ["/bin/sleep", "600"]
    ours = subprocess.Popen(sleep, env={MARK: str(tmp_path)})
    other = subprocess.Popen(sleep, env={MARK: str(tmp_path / "other")})
    try:
        Supervisor(tmp_path).end_leftovers()
        assert ours.wait(10) is not None
        assert other.poll() is None
    finally:
        ours.kill()
        other.kill()
        ours.wait()
        other.wait()


def test_stop_ends_what_children_started(tmp_path: Path) -> None:
    """uvicorn's own processes must not stay behind and hold the port when their parent was killed."""
    with Supervisor(tmp_path) as supervisor:
        script = "sleep 600 & echo $!; wait"
        child = supervisor.start("shell", ["/bin/sh", "-c", script], dict(os.environ))
        log = tmp_path / "logs" / "shell.log"
        deadline = time.monotonic() + 10
        while not log.read_text().strip():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        grandchild = psutil.Process(int(log.read_text()))
    assert child.process.returncode is not None
    psutil.wait_procs([grandchild], timeout=5)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_settings_default_to_this_machine_only() -> None:
    """A newcomer's trial must not be open to the network they sit in."""
    assert Settings.from_env({}).host == "127.0.0.1"
