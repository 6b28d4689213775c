"""The sync bench's table and JSON: one row for each side of each piece of work, with the target it is held to."""

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass
class Row:
    """`ratio`: how many times better Callout is than this side (work done a second, or time of a poll)."""

    work: str
    side: str
    unit: str
    per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    missing: int
    server_mb: float
    cpu_us: float
    """Processor time a unit, PostgreSQL's included: less at the mercy of what else the machine does than seconds are."""
    ratio: float | None = None
    target: str = ""
    holds: bool | None = None
    more: dict[str, float] = field(default_factory=dict)


def judge(rows: list[Row], at_least: dict[str, float]) -> None:
    """Fill ratio and verdict of one work's rows; the first is Callout's. `at_least`: smallest ratio by side."""
    ours = rows[0]
    for row in rows[1:]:
        row.ratio = round(ours.per_s / row.per_s, 3) if row.per_s else None
        if row.side in at_least and row.ratio is not None:
            row.target, row.holds = f"≥ {at_least[row.side]:g} ×", row.ratio >= at_least[row.side]


def write(rows: list[Row], settings: dict[str, float], postgres_mb: float) -> None:
    """Print the table, write `bench-sync.json` (CALLOUT_BENCH_SYNC_JSON: elsewhere)."""
    out = Path(os.environ.get("CALLOUT_BENCH_SYNC_JSON", "bench-sync.json"))
    out.write_text(
        json.dumps(
            {
                "python": platform.python_version(),
                "cores": os.cpu_count(),
                "settings": settings,
                "postgres_mb": postgres_mb,
                "rows": [asdict(row) for row in rows],
            },
            indent=2,
        )
        + "\n"
    )
    table = Table(title="Sync: Callout and its peers, one machine, one run")
    for heading in ("work", "side"):
        table.add_column(heading, no_wrap=True)
    for heading in ("a second", "p50 ms", "p95 ms", "p99 ms", "CPU µs", "missing", "server MB", "callout is"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("target", no_wrap=True)
    last = ""
    for row in rows:
        if last and row.work != last:
            table.add_section()
        verdict = (
            "" if row.holds is None else (" [green]holds[/]" if row.holds else " [yellow]falls short[/]")
        )
        table.add_row(
            row.work if row.work != last else "",
            row.side,
            f"{row.per_s:,.0f}",
            *(
                f"{figure:,.1f}" if figure < 1000 else f"{figure:,.0f}"
                for figure in (row.p50_ms, row.p95_ms, row.p99_ms)
            ),
            f"{row.cpu_us:,.0f}",
            str(row.missing),
            f"{row.server_mb:,.0f}",
            "" if row.ratio is None else f"{row.ratio:,.2f} ×",
            row.target + verdict,
        )
        last = row.work
    console = Console(width=None if Console().is_terminal else 150)
    console.print()
    console.print(table)
    console.print(
        "CPU µs: processor time for each unit, PostgreSQL's included (for polls: the writes' too). Server MB: resident"
        f" memory of the side's own processes. PostgreSQL, used by Callout, the raw limit and Kinto, held"
        f" {postgres_mb:,.0f} MB at the end. express-pouchdb and rxdb-server keep everything in memory."
    )
