"""What a server must do with a command that overtook the one before it."""

from callout_contracts.golden.receipts import has, note, push, vector

HELD = {"status": "held", "code": "PREDECESSOR_MISSING"}


VECTORS = [
    vector(
        "holds.overtaker-waits",
        "A command whose predecessor the phone still has is held, and told by an outcome document; nothing of it is"
        " applied.",
        push(note("b", sequence=2), answers=[HELD], oldestPending=1, pending=2),
        {
            "pull": {},
            "page": {"has": [has("outcome", "$id:b", status="held")], "lacks": [has("event", "$id:b")]},
        },
        fresh=True,
    ),
    vector(
        "holds.predecessor-frees-it",
        "When the predecessor comes, both are applied in their order, and the outcome says so.",
        push(
            note("b", kind="visit.arrive", payload={}, sequence=2), answers=[HELD], oldestPending=1, pending=2
        ),
        push(
            note("a", kind="visit.travel", payload={}, sequence=1),
            answers=["applied"],
            oldestPending=1,
            pending=1,
        ),
        {
            "pull": {},
            "page": {
                "has": [
                    has("event", "$id:a"),
                    has("event", "$id:b"),
                    has("visit", "$visit", state="in_progress"),
                    has("outcome", "$id:b", status="applied"),
                ]
            },
        },
        fresh=True,
    ),
    vector(
        "holds.held-again",
        "A held command that comes again is a duplicate of a held one, or of what it has become.",
        push(note("b", sequence=2), answers=[HELD], oldestPending=1, pending=2),
        push(
            {"again": "b"},
            answers=[{"status": "duplicate", "firstStatus": "held"}],
            oldestPending=1,
            pending=2,
        ),
        push(note("a", sequence=1), answers=["applied"], oldestPending=1, pending=1),
        push({"again": "b"}, answers=[{"status": "duplicate", "firstStatus": "applied"}], oldestPending=2),
        fresh=True,
    ),
    vector(
        "holds.gap-that-is-no-gap",
        "A number that the phone does not have any more (`oldestPending` is past it) holds nothing.",
        push(note("b", sequence=5), answers=["applied"], oldestPending=5, pending=1),
        fresh=True,
    ),
    vector(
        "holds.not-for-those-who-do-not-say",
        "Without `oldestPending` nothing is held: the phone would never hear of it.",
        push(note("b", sequence=9), answers=["applied"]),
        fresh=True,
    ),
]
