"""Keywords that every organisation has, from `builtin_words.toml`: tags, what they hint at, and words that hide others."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any, Final

from callout_orders.precheck.text.tags import Keyword
from callout_orders.precheck.text.words import fold

_FILE: Final[dict[str, Any]] = tomllib.loads(
    (resources.files("callout_orders.precheck.text") / "builtin_words.toml").read_text(encoding="utf-8")
)

BUILT_IN: Final[tuple[Keyword, ...]] = (
    *(
        Keyword(fold(word), row["tag"], row.get("priority"))
        for row in _FILE["tags"]
        for word in dict.fromkeys(row["words"])
    ),
    *(Keyword(fold(word)) for word in _FILE["hiding"]),
)

LABELS: Final[dict[str, dict[str, str]]] = {row["tag"]: row["label"] for row in _FILE["tags"]}
"""What people read for the built-in tags; an organisation's own tags are read as they are."""
