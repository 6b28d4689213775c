"""A bench's table and JSON: a row is one figure of ours beside somebody else's, and the target it is held to."""

import json
import os
import platform
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

HOLDS, SHORT = "holds", "falls short"
STYLES = {HOLDS: "green", SHORT: "yellow"}


class CannotRun(Exception):
    """Why a row has no figures: something was not fetched or not installed. In words for whoever reads the table."""


@dataclass
class Row:
    """`ratio`: ours over the other's, or the gap, as the row's target has it. `more`: single figures, for the JSON."""

    work: str
    ours: str
    beside: str = ""
    ratio: str = ""
    target: str = ""
    verdict: str = ""
    more: dict[str, Any] = field(default_factory=dict)


Measure = Callable[[], Iterable[Row]]


def verdict(held: bool) -> str:
    """The last word of a row."""
    return HOLDS if held else SHORT


def gap(ours: float, best: float) -> float:
    """By how many percent ours is more than the best."""
    return (ours / best - 1.0) * 100.0


def share(ours: float, other: float) -> str:
    """A ratio to be read; nothing over nothing is told as such."""
    return f"{ours / other:.2f}" if other else "-"


def run(measures: Mapping[str, Measure], chosen: Iterable[str], rows: list[Row]) -> list[str]:
    """Append the rows of the chosen measures, in their order, and answer with what went wrong.

    A measure that cannot run has a row that says why. One that fails has such a row too, and the others still run.
    """
    names = set(chosen) or set(measures)
    errors = [f"no row {name}; there are: {', '.join(measures)}" for name in sorted(names - set(measures))]
    for name, measure in measures.items():
        if name in names:
            try:
                rows += measure()
            except CannotRun as reason:
                rows.append(Row(work=name, ours=str(reason)))
            except Exception as error:
                traceback.print_exc()
                errors.append(f"{name}: {error!r}")
                rows.append(Row(work=name, ours=f"failed: {error!r}"[:300]))
    return errors


def out_path() -> Path:
    """Where the JSON goes: `bench-dispatch.json`, or CALLOUT_BENCH_DISPATCH_JSON."""
    return Path(os.environ.get("CALLOUT_BENCH_DISPATCH_JSON", "bench-dispatch.json"))


def write(rows: list[Row], settings: Mapping[str, Any]) -> None:
    """Print the table and write the JSON."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    told = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": load,
        "settings": dict(settings),
        "rows": [asdict(row) for row in rows],
    }
    out_path().write_text(json.dumps(told, indent=2) + "\n")
    show(rows, "Dispatch: Callout and others, one machine, one run")
    print(f"Load of the machine at the end: {load:.1f}." if load is not None else "")


def show(rows: Iterable[Row], title: str) -> None:
    """Print the table."""
    table = Table(title=title, show_lines=False)
    table.add_column("work", overflow="fold")
    table.add_column("ours", overflow="fold")
    table.add_column("beside", overflow="fold")
    table.add_column("ratio or gap", justify="right")
    table.add_column("target", overflow="fold")
    table.add_column("", no_wrap=True)
    for row in rows:
        style = STYLES.get(row.verdict)
        word = f"[{style}]{row.verdict}[/]" if style else escape(row.verdict)
        cells = (row.work, row.ours, row.beside, row.ratio, row.target)
        table.add_row(*(escape(cell) for cell in cells), word)
    console = Console(width=None if Console().is_terminal else 150)
    console.print()
    console.print(table)
