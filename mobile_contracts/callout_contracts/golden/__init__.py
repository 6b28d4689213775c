"""Golden vectors: what every client and every server must do, as data. `python -m callout_graphql.export` writes them to
mobile_contracts/golden/, where its README says how to play them.
"""

from typing import Any

from callout_contracts.golden import client, cursors, edits, holds, quarantine, receipts, rules, versions

FORMAT = 1
SERVER = {
    "cursors": cursors.VECTORS,
    "receipts": receipts.VECTORS,
    "quarantine": quarantine.VECTORS,
    "holds": holds.VECTORS,
    "edits": edits.VECTORS,
    "versions": versions.VECTORS,
}
"""The files that servers are held to, in the order in which they are played."""


def files() -> dict[str, dict[str, Any]]:
    """Each file's content by its name."""
    found = {name: {"format": FORMAT, "of": "server", "vectors": vectors} for name, vectors in SERVER.items()}
    found["client"] = {"format": FORMAT, "of": "client", "vectors": client.VECTORS}
    for name, content in rules.vectors().items():
        found[name] = {"format": FORMAT, "of": "rule", **content}
    return found
