"""The desk bench's rows, by section: printed as one table, kept as `bench-desk.json`.

A section that is measured alone takes the place of its former figures in the JSON; those of the others stay, each section
with the day and the machine's load under which it was measured.
"""

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dispatch_report
from dispatch_report import Row, verdict
from peer_python import NotInstalled, environment

__all__ = ["Row", "Sections", "peer", "percentile", "spread", "verdict"]


def out_path() -> Path:
    """Where the JSON goes: `bench-desk.json`, or CALLOUT_BENCH_DESK_JSON."""
    return Path(os.environ.get("CALLOUT_BENCH_DESK_JSON", "bench-desk.json"))


class Sections:
    """What a run has measured so far."""

    def __init__(self) -> None:
        self.measured: dict[str, dict[str, Any]] = {}
        self.rows: list[Row] = []

    def add(self, section: str, rows: Iterable[Row]) -> None:
        """Keep a section's rows with the load of the machine."""
        found = list(rows)
        self.rows += found
        self.measured[section] = {
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "load": round(os.getloadavg()[0], 2),
            "rows": [asdict(row) for row in found],
        }

    def write(self, settings: dict[str, Any]) -> None:
        """Print the table and write the JSON; nothing where nothing was measured."""
        if not self.measured:
            return
        path = out_path()
        try:
            before = json.loads(path.read_text())["sections"]
        except (OSError, ValueError, KeyError):
            before = {}
        told = {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "settings": settings,
            "sections": before | self.measured,
        }
        path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
        dispatch_report.show(self.rows, "The desk: Callout and others, one machine, one run")
        loads = ", ".join(f"{name} {section['load']}" for name, section in self.measured.items())
        print(f"Load of the machine at the end of each section: {loads}.")


def peer(name: str) -> tuple[Path | None, str]:
    """The Python of a peer's environment (`peers/{name}.txt`), or None and why there is none."""
    try:
        return environment(name) / "bin" / "python", ""
    except NotInstalled as error:
        return None, f"not installed: {str(error).strip()[-160:]}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which so large a share lies, of at least one."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(spent_ms: Sequence[float]) -> str:
    """p50 and p95 in words."""
    return f"p50 {statistics.median(spent_ms):.2f}, p95 {percentile(spent_ms, 0.95):.2f} ms"
