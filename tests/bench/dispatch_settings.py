"""What the dispatch bench is told by its environment.

CALLOUT_BENCH_SECONDS    10   for each plan of each side
CALLOUT_BENCH_INSTANCES  all  how many instances of each kind; fewer are spread over the types
CALLOUT_BENCH_ROWS       all  names of rows, separated by commas
CALLOUT_BENCH_SEEDS      3    made-up days of 50 engineers and 400 visits
CALLOUT_SHARED           ../shared/data   the folder with solomon/ and trsp/
CALLOUT_INSTANCES        in .cache        the folder of what fetch_instances.py fetches
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from dispatch_report import CannotRun

ROOT = Path(__file__).resolve().parents[2]
SECONDS = float(os.environ.get("CALLOUT_BENCH_SECONDS", "10"))
INSTANCES = int(os.environ.get("CALLOUT_BENCH_INSTANCES", "0"))
ROWS = [name.strip() for name in os.environ.get("CALLOUT_BENCH_ROWS", "").split(",") if name.strip()]
SEEDS = int(os.environ.get("CALLOUT_BENCH_SEEDS", "3"))
STORED = [int(count) for count in os.environ.get("CALLOUT_BENCH_STORED", "10000,1000000").split(",")]
SHARED = Path(os.environ.get("CALLOUT_SHARED") or ROOT.parent / "shared" / "data")
Item = TypeVar("Item")


def some(items: Sequence[Item], count: int = INSTANCES) -> list[Item]:
    """All of them, or `count` spread evenly over them."""
    if not 0 < count < len(items):
        return list(items)
    return [items[n * len(items) // count] for n in range(count)]


def shared(folder: str, pattern: str) -> list[Path]:
    """Instance files of the shared folder, by name. Raises `CannotRun`."""
    found = sorted((SHARED / folder).glob(pattern))
    if not found:
        raise CannotRun(f"no instances in {SHARED / folder}; CALLOUT_SHARED names another folder")
    return found


def as_json() -> dict[str, Any]:
    """The settings, for the JSON."""
    return {"seconds": SECONDS, "instances": INSTANCES or "all", "rows": ROWS or "all", "seeds": SEEDS}
