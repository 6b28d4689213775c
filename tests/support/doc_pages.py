"""Pages of docs as their readers use them: every block is checked, those of the desk's pages are run from top to bottom.

A block of `graphql` gets its variables by name: what the page's world starts with, and what earlier blocks brought. The
`json` (as `body`) and the `toml` (as `toml`) above it are variables too. A block of `bash` finds them in its environment,
in capitals. Remarks that no reader sees say the rest:

    <!-- as contact -->                      before a block: who asks; else an admin
    <!-- article = saveArticle.id -->        after it: keep a value of the answer (of `bash`: of the JSON that it printed)
    <!-- shows order.state = closed -->      after it: what the text claims of the answer
    <!-- worker -->                          after it: the worker does what is owed by now
    <!-- refused: BAD_FIELD -->              before it: the answer is this refusal
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from graphql import DocumentNode, FragmentDefinitionNode, OperationDefinitionNode, parse

SHOWS = "shows "
ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"(?:^<!-- (?P<before>.+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$(?:\n<!-- (?P<after>.+?) -->$)?",
    re.MULTILINE | re.DOTALL,
)


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A fenced block: `line` is where it begins, `before` and `after` are the remarks around it."""

    page: str
    line: int
    language: str
    text: str
    before: str = ""
    after: str = ""

    @property
    def place(self) -> str:
        """For whoever reads what failed."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page for readers, decisions left out: they show no calls."""
    return sorted(
        [
            *(path for path in (ROOT / "docs").rglob("*.md") if "decisions" not in path.parts),
            ROOT / "README.md",
            *(ROOT / "mobile_contracts").glob("*.md"),
        ]
    )


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in their order."""
    text = page.read_text("utf-8")
    for found in _BLOCK.finditer(text):
        yield Block(
            page=str(page.relative_to(ROOT)),
            line=text.count("\n", 0, found.start("language")) + 1,
            language=found["language"],
            text=found["text"],
            before=found["before"] or "",
            after=found["after"] or "",
        )


def operations(text: str) -> Iterator[tuple[OperationDefinitionNode, DocumentNode]]:
    """The operations of a block, each as a document of its own with the block's fragments. `"…"` stands for an id."""
    given = parse(text.replace('"…"', f'"{UUID(int=0)}"'))
    fragments = [one for one in given.definitions if isinstance(one, FragmentDefinitionNode)]
    for one in given.definitions:
        if isinstance(one, OperationDefinitionNode):
            yield one, DocumentNode(definitions=(one, *fragments))


def kept(remark: str) -> Iterator[tuple[str, str]]:
    """(name, path) of what a remark after a block wants kept."""
    for name, path in _pairs(remark):
        if not name.startswith(SHOWS):
            yield name, path


def shown(remark: str) -> Iterator[tuple[str, str]]:
    """(path, value) of what a remark after a block claims."""
    for path, value in _pairs(remark):
        if path.startswith(SHOWS):
            yield path.removeprefix(SHOWS), value


def _pairs(remark: str) -> Iterator[tuple[str, str]]:
    for one in remark.split(";"):
        left, equals, right = one.partition("=")
        if equals:
            yield left.strip(), right.strip()


def at(value: Any, path: str) -> Any:
    """What lies at a path such as `order.references.0.system`."""
    for step in path.split("."):
        value = value[int(step)] if step.isdigit() else value[step]
    return value
