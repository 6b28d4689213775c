"""House rules about files that no linter knows."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("backend", "graphql", "sync", "dispatch", "geo", "mobile_contracts")
# Written in pieces, so that this file does not find itself.
FORBIDDEN = {
    "a package file's address": rf"{'http'}s?://[^ \"']+\.(?:whl|tar\.gz|tgz)\b",
    "a registry's host": rf"(?:{'files.python'}hosted|{'pypi'}\.org|{'registry.npm'}js|{'registry.yarn'}pkg)",
    "a lock file's resolved address": rf"\"{'resol'}ved\":",
    "an absolute path of somebody's machine": r"(?<![\w.<>$}/-])/(?:root|home|work|Users)/\w",
}


OF_OTHERS = {"swagger-ui-bundle.js"}
"""Packed by others: what looks like a lock file's address in it is a word of their program."""


def tracked() -> list[Path]:
    """The repository's files, new ones included; outside git, all but what is made by building and running."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0:
        return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]
    made = {
        ".venv",
        ".callout",
        ".git",
        "__pycache__",
        "dist",
        "build",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".cache",
    }
    return [
        path for path in ROOT.rglob("*") if path.is_file() and not made & set(path.relative_to(ROOT).parts)
    ]


def test_no_top_level_folder_is_a_package() -> None:
    """graphql/__init__.py would shadow graphql-core's `graphql`, and the API would not start."""
    assert [folder for folder in FOLDERS if (ROOT / folder / "__init__.py").exists()] == []
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_test_files_have_names_of_their_own() -> None:
    """Without packages, two test files of one name can hide each other from tools that import by name."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_no_file_speaks_of_one_machine() -> None:
    """A download address or somebody's home folder in a file breaks the build for everybody else."""
    found = []
    for path in tracked():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        if path.name in OF_OTHERS:
            continue
        for what, pattern in FORBIDDEN.items():
            found += [f"{path.relative_to(ROOT)}: {what}: {hit[0]}" for hit in re.finditer(pattern, text)]
    assert found == []


@pytest.mark.parametrize(
    ("line", "what"),
    (
        (f"https://x.example/a-1.0.{'whl'}", "a package file's address"),
        (f"see https://{'pypi'}.org/project/x", "a registry's host"),
        (f'"{"resol"}ved": "x"', "a lock file's resolved address"),
        (f"data = '/{'root'}/x'", "an absolute path of somebody's machine"),
    ),
)
def test_the_guard_itself_sees(line: str, what: str) -> None:
    """A pattern with a slip in it would let everything pass without a word."""
    assert re.search(FORBIDDEN[what], line)


def test_every_pin_is_plain() -> None:
    """A URL, a path or an open version in constraints.txt would make two installations differ."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 50
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.!+]*", pin)] == []
