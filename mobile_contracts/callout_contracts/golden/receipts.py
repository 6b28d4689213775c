"""What a server must answer to commands that come once, twice, or as somebody else's."""

from typing import Any

from callout_contracts.limits import COMMANDS_MAX

Step = dict[str, Any]


def note(name: str, text: str = "x", **more: Any) -> Step:
    """A command that every visit takes."""
    return {"name": name, "kind": "visit.note", "payload": {"text": text}, **more}


def push(*commands: Step, answers: list[Any], **envelope: Any) -> Step:
    """A batch, and what its answers must say (a status alone, or several fields)."""
    told = [{"status": answer} if isinstance(answer, str) else answer for answer in answers]
    return {
        "push": {"commands": list(commands), **({"envelope": envelope} if envelope else {})},
        "answers": told,
    }


def has(entity: str, id_: str, **doc: Any) -> Step:
    """A row that a page must hold, with at least these fields."""
    return {"entity": entity, "id": id_, **({"doc": doc} if doc else {})}


def vector(id_: str, says: str, *steps: Step, level: str = "MUST", **more: Any) -> Step:
    """One vector."""
    return {"id": id_, "level": level, "says": says, **more, "steps": list(steps)}


DUPLICATE = {"status": "duplicate", "firstStatus": "applied"}
REUSED = {"status": "refused", "code": "COMMAND_ID_REUSED", "path": "id"}

VECTORS = [
    vector(
        "receipts.applied-and-pulled",
        "A good command is applied, and comes back to its own phone as an event with the command's id.",
        push(note("a"), answers=[{"status": "applied", "code": None, "id": "$id:a"}]),
        {"pull": {}, "page": {"has": [has("event", "$id:a", visitId="$visit", kind="note")]}},
    ),
    vector(
        "receipts.same-id-same-body",
        "The same command again is a duplicate and names what was first said; it is not applied a second time.",
        push(note("a"), answers=["applied"]),
        push({"again": "a"}, answers=[DUPLICATE]),
        push({"again": "a"}, {"again": "a"}, answers=[DUPLICATE, DUPLICATE]),
        {"pull": {}, "page": {"has": [has("event", "$id:a")]}},
    ),
    vector(
        "receipts.same-id-other-body",
        "The same id with another body is refused; what was first said stands.",
        push(note("a", "first"), answers=["applied"]),
        push({"again": "a", "set": {"payload": {"text": "second"}}}, answers=[REUSED]),
        {"pull": {}, "page": {"has": [has("event", "$id:a", data={"text": "first"})]}},
    ),
    vector(
        "receipts.order-of-keys-is-no-other-body",
        "The order of a JSON object's keys does not make another command.",
        push(note("a"), answers=["applied"]),
        push({"again": "a", "reversed": True}, answers=[DUPLICATE]),
    ),
    vector(
        "receipts.twins-in-one-batch",
        "The same id twice in one batch: the first counts.",
        push(
            note("a", "first"),
            {"again": "a"},
            {"again": "a", "set": {"payload": {"text": "second"}}},
            answers=["applied", DUPLICATE, REUSED],
        ),
    ),
    vector(
        "receipts.quarantined-again",
        "A quarantined command that comes again is a duplicate, and is kept once.",
        push(note("a", kind="visit.teleport"), answers=[{"status": "quarantined", "code": "KIND_UNKNOWN"}]),
        push(
            {"again": "a"},
            answers=[{"status": "duplicate", "firstStatus": "quarantined", "code": "KIND_UNKNOWN"}],
        ),
    ),
    vector(
        "receipts.one-bad-command-stops-no-other",
        "Answers come in the order of the batch, and a bad command changes nothing for the others.",
        push(
            note("a"),
            {"raw": {"$chance": "text"}},
            note("b", kind="visit.teleport"),
            note("c"),
            answers=[
                {"index": 0, "status": "applied", "id": "$id:a"},
                {"index": 1, "status": "quarantined", "id": None},
                {"index": 2, "status": "quarantined", "id": "$id:b"},
                {"index": 3, "status": "applied", "id": "$id:c"},
            ],
        ),
    ),
    vector(
        "receipts.by-sequence-not-by-place",
        "A batch is applied in the order of its sequences and answered in the order of its places.",
        push(
            note("b", kind="visit.arrive", payload={}, sequence=2),
            note("a", kind="visit.travel", payload={}, sequence=1),
            answers=[
                {"index": 0, "status": "applied", "id": "$id:b"},
                {"index": 1, "status": "applied", "id": "$id:a"},
            ],
        ),
        {"pull": {}, "page": {"has": [has("visit", "$visit", state="in_progress")]}},
        fresh=True,
    ),
    vector(
        "receipts.empty-batch",
        "An empty batch is no error: it measures the clock and tells the stamp.",
        push(answers=[]),
    ),
    vector(
        "receipts.too-many",
        f"More than {COMMANDS_MAX} commands are refused whole, with a code that names the limit.",
        {
            "push": {"commands": [note("a")], "times": COMMANDS_MAX + 1},
            "refused": {"code": "LIMIT_EXCEEDED", "path": "commands"},
        },
    ),
    vector(
        "receipts.years-off",
        "A phone whose clock is years off is applied like any other: the answer says nothing of clocks.",
        push(
            note("a", deviceTime="1999-01-01T00:00:00Z"),
            note("b", deviceTime="2055-01-01T00:00:00Z"),
            answers=["applied", "applied"],
        ),
    ),
]
