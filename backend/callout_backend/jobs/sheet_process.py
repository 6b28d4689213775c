"""A program that reads one sheet: `python -m callout_backend.jobs.sheet_process IN OUT OPTIONS` (three files).

A process of its own, because the bytes come from outside: a workbook that wants too much memory or time ends it and nothing
else. It limits itself before it reads anything, writes what it read as JSON to OUT, and says on its standard output what
was wrong (`{"reason": …, "details": …}`) or nothing.
"""

import json
import resource
import sys
from pathlib import Path
from typing import Final

import msgspec

from callout_orders.imports.refusals import SheetRefused
from callout_orders.imports.sheets import read

MEMORY_BYTES_MAX: Final = 1536 * 1024**2
CPU_S_MAX: Final = 20
OUT_BYTES_MAX: Final = 300_000_000


def main() -> None:
    """Read the sheet."""
    source, target, told = (Path(argument) for argument in sys.argv[1:])
    options = json.loads(told.read_bytes())
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUT_BYTES_MAX, OUT_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        sheet = read(source.read_bytes(), sheet=options.get("sheet"), known=options.get("known", ()))
        target.write_bytes(msgspec.json.encode(sheet))
    except SheetRefused as refusal:
        details = {key: value for key, value in refusal.details.items() if key not in ("why", "reason")}
        print(json.dumps({"reason": refusal.details["reason"], "details": details}))
    except MemoryError:
        print(json.dumps({"reason": "memory", "details": {}}))


if __name__ == "__main__":
    main()
