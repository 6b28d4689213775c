"""What a server must do with apps of other schema versions."""

from callout_contracts import SCHEMA_VERSION
from callout_contracts.documents import SINCE
from callout_contracts.golden.receipts import has, note, push, vector

LATER = [{"entity": entity} for entity in sorted(SINCE)]

VECTORS = [
    vector(
        "versions.old-apps-get-what-they-know",
        "An app of schema version 1 is never sent an entity of a later one.",
        push(note("a", kind="visit.teleport", schemaVersion=1), answers=["quarantined"], schemaVersion=1),
        {
            "pull": {"all": True, "schemaVersion": 1},
            "page": {"has": [has("visit", "$visit")], "lacks": LATER},
        },
    ),
    vector(
        "versions.learning-backfills",
        "An app that was upgraded goes on with its cursor and is sent what it could not know before.",
        push(note("a", kind="visit.teleport"), answers=["quarantined"], schemaVersion=1),
        {"pull": {"all": True, "schemaVersion": 1}, "page": {"lacks": LATER}},
        {
            "pull": {"cursor": "$last", "all": True, "schemaVersion": 2},
            "page": {"has": [has("outcome", "$id:a", status="quarantined")]},
        },
    ),
    vector(
        "versions.too-old-is-told-so",
        "An app below the versions that are spoken is told to upgrade, and its work is still taken.",
        {"pull": {"schemaVersion": 0}, "refused": {"code": "UPGRADE_REQUIRED"}},
        push(note("a", schemaVersion=1), answers=["applied"]),
    ),
    vector(
        "versions.later-kinds-are-not-guessed",
        "A kind of command that the command's own schema version does not have is quarantined.",
        push(
            {
                "name": "a",
                "kind": "record.edit",
                "schemaVersion": 1,
                "payload": {
                    "entity": "site",
                    "id": "$site",
                    "baseRevision": 1,
                    "changes": {"accessNote": "x"},
                },
            },
            answers=[{"status": "quarantined", "code": "KIND_UNKNOWN", "path": "kind"}],
        ),
    ),
    vector(
        "versions.parts-may-be-named",
        "A diagnosis names what is missing, by code or id; an app that knows nothing of it leaves it out or says null.",
        push(
            note("a", kind="visit.diagnose", payload={"finding": "x"}),
            note("b", kind="visit.diagnose", payload={"finding": "x", "parts": None}),
            note(
                "c",
                kind="visit.diagnose",
                payload={"finding": "x", "parts": [{"code": "NOT-IN-THE-CATALOGUE", "quantity": 2}]},
            ),
            note("d", kind="visit.diagnose", payload={"finding": "x", "parts": []}, schemaVersion=1),
            answers=["applied", "applied", "applied", "applied"],
        ),
    ),
    vector(
        "versions.too-new-waits",
        "A command of a later schema version is kept until the server understands it.",
        push(
            note("a", schemaVersion=SCHEMA_VERSION + 1),
            answers=[{"status": "quarantined", "code": "SCHEMA_TOO_NEW", "path": "schemaVersion"}],
        ),
    ),
    vector(
        "versions.v1-is-never-told-held",
        "An app of schema version 1 does not say `oldestPending` and is never answered `held`.",
        push(note("a", schemaVersion=1, sequence=4), answers=["applied"], schemaVersion=1),
        fresh=True,
    ),
]
