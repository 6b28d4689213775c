"""What a server must do with edits of documents: both sides' fields survive, and nothing is decided in silence."""

from typing import Any

from callout_contracts.golden.receipts import has, push, vector


def _edit(name: str, text: str, **more: Any) -> dict[str, Any]:
    payload = {"entity": "site", "id": "$newSite", "changes": {"accessNote": text}, **more}
    return {"name": name, "kind": "record.edit", "payload": payload}


VECTORS = [
    vector(
        "edits.applied-and-pulled",
        "An edit on the newest base is applied and comes back with the next revision.",
        push(_edit("a", "Side door", baseRevision=1, base={"accessNote": ""}), answers=["applied"]),
        {"pull": {}, "page": {"has": [has("site", "$newSite", accessNote="Side door")]}},
    ),
    vector(
        "edits.quick-ones-do-not-conflict",
        "Edits of one phone in a row, all from its old base, are no conflict with themselves.",
        push(
            _edit("a", "One", baseRevision=1, base={"accessNote": ""}),
            _edit("b", "Two", baseRevision=1, base={"accessNote": "One"}),
            answers=["applied", "applied"],
        ),
        {"pull": {}, "page": {"has": [has("site", "$newSite", accessNote="Two")]}},
    ),
    vector(
        "edits.same-field-on-two-phones",
        "The same field on two phones: one value stands, the loser is told of it, and a later answer never hides it.",
        push(_edit("a", "First", baseRevision=1, base={"accessNote": ""}), answers=["applied"]),
        {
            **push(
                _edit("b", "Second", baseRevision=1, base={"accessNote": ""}),
                answers=[{"status": "conflict", "code": "FIELD_CONFLICT"}],
            ),
            "device": "other",
        },
        {"pull": {}, "page": {"has": [has("site", "$newSite")]}},
        needs=["otherDevice"],
    ),
    vector(
        "edits.same-value-is-no-conflict",
        "Two phones that write the same agree.",
        push(_edit("a", "Same", baseRevision=1, base={"accessNote": ""}), answers=["applied"]),
        {
            **push(_edit("b", "Same", baseRevision=1, base={"accessNote": ""}), answers=["applied"]),
            "device": "other",
        },
        needs=["otherDevice"],
    ),
    vector(
        "edits.other-fields-both-stand",
        "Different fields on two phones: both stand, and the second hears of it.",
        push(
            {
                "name": "a",
                "kind": "record.edit",
                "payload": {
                    "entity": "contact",
                    "id": "$newContact",
                    "baseRevision": 1,
                    "changes": {"phone": "+14155550100"},
                },
            },
            answers=["applied"],
        ),
        {
            **push(
                {
                    "name": "b",
                    "kind": "record.edit",
                    "payload": {
                        "entity": "contact",
                        "id": "$newContact",
                        "baseRevision": 1,
                        "changes": {"email": "a@example.org"},
                    },
                },
                answers=[{"status": "applied", "code": "PARALLEL_UPDATE"}],
            ),
            "device": "other",
        },
        {
            "pull": {},
            "page": {"has": [has("contact", "$newContact", phone="+14155550100", email="a@example.org")]},
        },
        needs=["otherDevice"],
    ),
]
