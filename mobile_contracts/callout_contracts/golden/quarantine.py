"""What a server must do with commands that it cannot apply: keep each whole, with a code and the path of the fault."""

from typing import Any

from callout_contracts.golden.receipts import note, push, vector
from callout_contracts.limits import COMMAND_BYTES_MAX

Step = dict[str, Any]
NOWHERE = "00000000-0000-7000-8000-000000000001"


def _bad(id_: str, says: str, command: Step, code: str, path: str | None, **more: Any) -> Step:
    told = {"status": "quarantined", "code": code, "path": path}
    return vector(f"quarantine.{id_}", says, push(command, note("z"), answers=[told, "applied"]), **more)


def _edit(entity: str, id_: str, **payload: Any) -> Step:
    return {"name": "a", "kind": "record.edit", "payload": {"entity": entity, "id": id_, **payload}}


VECTORS = [
    _bad("no-object", "A number is no command.", {"raw": {"$chance": "number"}}, "COMMAND_UNREADABLE", None),
    vector(
        "quarantine.null",
        "null is no command; nothing tells one null from another, so that only the first of an organisation is kept.",
        push(
            {"raw": None},
            note("z"),
            answers=[{"status": ["quarantined", "duplicate"], "code": "COMMAND_UNREADABLE"}, "applied"],
        ),
    ),
    _bad("list", "A list is no command.", {"raw": [{"$chance": "text"}]}, "COMMAND_UNREADABLE", None),
    _bad(
        "without-id", "A command without an id is kept.", note("a", unset=["id"]), "COMMAND_UNREADABLE", None
    ),
    _bad("id-of-text", "An id that is none is named.", note("a", id="abc"), "COMMAND_UNREADABLE", "id"),
    _bad("sequence-zero", "Sequences begin at 1.", note("a", sequence=0), "COMMAND_UNREADABLE", "sequence"),
    _bad(
        "time-without-zone",
        "A time needs its zone.",
        note("a", deviceTime="2026-03-02T09:00:00"),
        "COMMAND_UNREADABLE",
        "deviceTime",
    ),
    _bad(
        "nowhere",
        "A latitude beyond the pole is no place.",
        note("a", location={"lat": 91, "lng": 0}),
        "COMMAND_UNREADABLE",
        "location.lat",
    ),
    _bad(
        "unknown-field",
        "A misspelt field of the envelope is not skipped in silence.",
        note("a", visitID=NOWHERE),
        "COMMAND_UNREADABLE",
        None,
    ),
    _bad("kind-unknown", "A kind of a later app.", note("a", kind="visit.teleport"), "KIND_UNKNOWN", "kind"),
    _bad(
        "schema-too-new",
        "A command of a later schema version waits for the server.",
        note("a", schemaVersion=99),
        "SCHEMA_TOO_NEW",
        "schemaVersion",
    ),
    _bad(
        "payload-of-wrong-type",
        "The payload's field is named.",
        note("a", kind="visit.diagnose", payload={"finding": 7}),
        "PAYLOAD_INVALID",
        "payload.finding",
    ),
    _bad(
        "payload-too-long",
        "A text beyond its limit is not cut.",
        note("a", payload={"text": {"$repeat": ["x", 4001]}}),
        "PAYLOAD_INVALID",
        "payload.text",
    ),
    _bad(
        "payload-misspelt",
        "A misspelt field of the payload is not skipped in silence.",
        note("a", payload={"txt": "x"}),
        "PAYLOAD_INVALID",
        "payload",
    ),
    _bad(
        "nul",
        "U+0000 is named with its path.",
        note("a", payload={"text": "nul \u0000 inside"}),
        "NUL_CHARACTER",
        "payload.text",
    ),
    _bad(
        "too-large",
        f"A command of more than {COMMAND_BYTES_MAX} bytes.",
        note("a", payload={"text": {"$repeat": ["x", COMMAND_BYTES_MAX]}}),
        "COMMAND_TOO_LARGE",
        None,
    ),
    _bad(
        "too-deep",
        "A command nested without end is kept as far as it can be, and hurts nothing else.",
        note("a", payload={"text": {"$nest": 90}}),
        "PAYLOAD_INVALID",
        "payload.text",
    ),
    _bad("visit-unknown", "A visit that never was.", note("a", visitId=NOWHERE), "VISIT_UNKNOWN", "visitId"),
    _bad(
        "visit-missing",
        "On-site work belongs to a visit.",
        note("a", visitId=None),
        "COMMAND_UNREADABLE",
        "visitId",
    ),
    _bad(
        "strangers-visit",
        "A visit that never was this engineer's.",
        note("a", visitId="$strangersVisit"),
        "NOT_YOUR_VISIT",
        "visitId",
        needs=["strangersVisit"],
    ),
    _bad(
        "part-unknown",
        "A part that never was.",
        note("a", kind="visit.replace_part", payload={"partId": NOWHERE}),
        "PART_UNKNOWN",
        "payload.partId",
    ),
    _bad(
        "part-named-twice",
        "A part that is missing is named by its code or by its id, not by both.",
        note(
            "a",
            kind="visit.diagnose",
            payload={"finding": "x", "parts": [{"code": "A", "partId": NOWHERE, "quantity": 1}]},
        ),
        "PAYLOAD_INVALID",
        "payload.parts.0",
    ),
    _bad(
        "form-unknown",
        "A form that never was.",
        note("a", kind="visit.fill_form", payload={"formId": NOWHERE, "values": {}}),
        "FORM_UNKNOWN",
        "payload.formId",
    ),
    _bad(
        "field-not-yours",
        "A field that only the office writes.",
        _edit("site", "$site", baseRevision=1, changes={"address": "Elsewhere"}),
        "FIELD_NOT_YOURS",
        "payload.changes.address",
    ),
    _bad(
        "record-unknown",
        "A record that never was.",
        _edit("site", NOWHERE, baseRevision=1, changes={"accessNote": "x"}),
        "RECORD_UNKNOWN",
        "payload.id",
    ),
]
