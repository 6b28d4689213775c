"""Prepares prometheus-client's multiprocess mode; to be called before any process imports `prometheus_client`.

With several uvicorn workers a scrape reaches any one of them. In multiprocess mode each process keeps its counters in
files of one folder and the scraped one adds them all up. `callout serve` calls `prepare` when it starts more than one
process; without it, counters are the single process's own.
"""

import os
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def prepare(folder: Path) -> None:
    """Make `folder` empty and hand it to this process and its children. Only for the parent, before it has children."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.db"):
        old.unlink(missing_ok=True)
    os.environ[VARIABLE] = str(folder)
