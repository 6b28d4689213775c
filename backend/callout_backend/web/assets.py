"""Files that browsers load: their folder, and addresses that change when the content does."""

import hashlib
from functools import cache
from pathlib import Path

STATIC_FOLDER = Path(__file__).parent / "static"


@cache
def asset(name: str) -> str:
    """The address of a static file, with its content's hash, so that browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC_FOLDER / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"
