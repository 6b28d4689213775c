"""Scripts for clients: the queue of commands, edits, and what becomes of both."""

from callout_contracts.golden.client_script import (
    DAY,
    EARLY,
    LATE,
    MORNING,
    PART,
    SITE,
    VISIT,
    doc,
    edit,
    lost,
    note,
    outcome,
    pulled,
    pushed,
    refused,
    told,
    vector,
)

QUEUE = [
    vector(
        "push-carries-the-state-of-the-queue",
        "A push says which schema version the app speaks, the lowest sequence without an answer, and how many wait.",
        note("a"),
        note("b"),
        {
            "push": [
                pushed(
                    ["a", "b"],
                    told("a", "applied"),
                    told("b", "applied"),
                    schemaVersion=2,
                    oldestPending=1,
                    pending=2,
                )
            ]
        },
        {"expect": {"pending": []}},
    ),
    vector(
        "lost-answer-is-sent-again-unchanged",
        "Without an answer the same commands are sent again, byte for byte; `duplicate` ends the wait like `applied`.",
        note("a"),
        {
            "push": [
                lost("push", commands=["a"]),
                pushed(["a"], told("a", "duplicate", firstStatus="applied")),
            ]
        },
        {"expect": {"pending": [], "same": ["a"]}},
    ),
    vector(
        "every-stored-answer-ends-the-wait",
        "applied, duplicate, conflict, quarantined and held leave the queue: the server has the command.",
        *(note(name) for name in "abcd"),
        {
            "push": [
                pushed(
                    list("abcd"),
                    told("a", "applied"),
                    told("b", "conflict", "REASSIGNED"),
                    told("c", "quarantined", "PAYLOAD_INVALID", path="payload.text"),
                    told("d", "held", "PREDECESSOR_MISSING"),
                )
            ]
        },
        {
            "expect": {
                "pending": [],
                "fates": {"a": "applied", "b": "conflict", "c": "quarantined", "d": "held"},
            }
        },
    ),
    vector(
        "try-again-stays",
        "`refused` with TRY_AGAIN stored nothing: the command stays and is sent again, later ones are not lost.",
        note("a"),
        note("b"),
        {
            "push": [
                pushed(["a", "b"], told("a", "refused", "TRY_AGAIN"), told("b", "applied")),
                pushed(["a"], told("a", "applied"), oldestPending=1, pending=1),
            ]
        },
        {"expect": {"pending": []}},
    ),
    vector(
        "reused-id-is-put-aside",
        "COMMAND_ID_REUSED is final: the command is neither sent for ever nor dropped; a person is told.",
        note("a"),
        {"push": [pushed(["a"], told("a", "refused", "COMMAND_ID_REUSED"))]},
        {"expect": {"pending": [], "fates": {"a": "rejected"}}},
    ),
    vector(
        "revoked-keeps-the-work",
        "DEVICE_REVOKED ends the push; what was not answered stays on the phone.",
        note("a"),
        {"push": [refused("push", "DEVICE_REVOKED")], "fails": "DEVICE_REVOKED"},
        {"expect": {"pending": ["a"]}},
    ),
    vector(
        "queue-outlives-the-app",
        "Commands, sequence and cursor outlive the app being killed.",
        MORNING,
        note("a"),
        {"restart": True},
        note("b"),
        {"push": [pushed(["a", "b"], told("a", "applied"), told("b", "applied"), oldestPending=1)]},
        {"pull": [pulled("c1", to="c2")]},
        {"expect": {"pending": [], "sequences": {"a": 1, "b": 2}}},
    ),
    vector(
        "seen-is-the-highest-stamp",
        "The highest stamp of any answer goes into every later command as `seen`; a lower one changes nothing.",
        MORNING,
        {"pull": [pulled("c1", to="c2", stamp=LATE)]},
        {"pull": [pulled("c2", to="c3", stamp=EARLY)]},
        note("a"),
        {"push": [pushed(["a"], told("a", "applied"))]},
        {"expect": {"seen": {"a": LATE}}},
    ),
]


EDITS = [
    vector(
        "edit-names-its-base",
        "An edit carries the revision and the values that the screen showed, and is seen at once.",
        MORNING,
        edit("a", "Side door"),
        {"expect": {"shown": {f"site/{SITE}": {"accessNote": "Side door"}}}},
        {"push": [pushed(["a"], told("a", "applied"))]},
        {
            "expect": {
                "payloads": {
                    "a": {
                        "entity": "site",
                        "id": SITE,
                        "baseRevision": 3,
                        "base": {"accessNote": "Ring twice"},
                        "changes": {"accessNote": "Side door"},
                    }
                }
            }
        },
    ),
    vector(
        "quick-edits-build-on-each-other",
        "The base of a second edit is what the first one left, so that nobody conflicts with themselves.",
        MORNING,
        edit("a", "Side door"),
        edit("b", "Back door"),
        {"push": [pushed(["a", "b"], told("a", "applied"), told("b", "applied"))]},
        {"expect": {"payloads": {"b": {"base": {"accessNote": "Side door"}}}}},
    ),
    vector(
        "edit-shows-until-it-was-pulled",
        "An edit is shown until a pull that began after its answer is complete: nothing springs back; then the"
        " server's document counts.",
        MORNING,
        edit("a", "Side door"),
        {"push": [pushed(["a"], told("a", "conflict", "FIELD_CONFLICT"))]},
        {"expect": {"shown": {f"site/{SITE}": {"accessNote": "Side door"}}}},
        {"pull": [pulled("c1", doc("site", SITE, name="Cellar", accessNote="Closed", revision=4), to="c2")]},
        {"expect": {"shown": {f"site/{SITE}": {"accessNote": "Closed", "revision": 4}}}},
        level="SHOULD",
    ),
    vector(
        "counters-add",
        "A counter is sent and shown as a difference, whatever the server's number becomes meanwhile.",
        {"pull": [pulled(None, doc("stock", PART, partId=PART, quantity=10), to="c1")]},
        {"edit": {"name": "a", "entity": "stock", "id": PART, "add": {"quantity": -2}}},
        {"expect": {"shown": {f"stock/{PART}": {"quantity": 8}}}},
        {"pull": [pulled("c1", doc("stock", PART, partId=PART, quantity=7), to="c2")]},
        {"expect": {"shown": {f"stock/{PART}": {"quantity": 5}}}},
        {"push": [pushed(["a"], told("a", "applied"))]},
        {"pull": [pulled("c2", doc("stock", PART, partId=PART, quantity=5), to="c3")]},
        {
            "expect": {
                "shown": {f"stock/{PART}": {"quantity": 5}},
                "payloads": {"a": {"add": {"quantity": -2}}},
            }
        },
    ),
]


OUTCOMES = [
    vector(
        "held-is-shown-until-its-outcome",
        "A held command is not sent again, and its effect stays on the screen until its outcome says what became of it.",
        MORNING,
        {"record": {"name": "a", "kind": "visit.accept", "visitId": VISIT, "payload": {}}},
        {"push": [pushed(["a"], told("a", "held", "PREDECESSOR_MISSING"))]},
        {"pull": [pulled("c1", outcome("a", "held", code="PREDECESSOR_MISSING"), to="c2")]},
        {"expect": {"pending": [], "states": {VISIT: "accepted"}, "fates": {"a": "held"}}},
        {
            "pull": [
                pulled(
                    "c2",
                    outcome("a", "quarantined", code="VISIT_UNKNOWN"),
                    DAY[2],
                    to="c3",
                )
            ]
        },
        {"expect": {"states": {VISIT: "dispatched"}, "fates": {"a": "quarantined"}}},
        level="SHOULD",
    ),
    vector(
        "outcome-tells-what-a-person-decided",
        "The outcome of a command replaces what its answer said, with the person's word.",
        MORNING,
        note("a"),
        {"push": [pushed(["a"], told("a", "quarantined", "PAYLOAD_INVALID"))]},
        {"pull": [pulled("c1", outcome("a", "dismissed", note="Called you"), to="c2")]},
        {"expect": {"fates": {"a": "dismissed"}}},
        level="SHOULD",
    ),
]
