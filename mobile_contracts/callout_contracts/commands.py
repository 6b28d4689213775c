"""Commands: what a phone sends. Each is one thing that an engineer did, with its own id, time and place.

A phone never sets a state; it says what happened, and the visit's state follows. On the wire the names are camelCase.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from callout_contracts.limits import (
    COMMAND_BYTES_MAX,
    COMMANDS_MAX,
    EDIT_FIELDS_MAX,
    PARTS_WANTED_MAX,
    TEXT_CHARS_MAX,
)

__all__ = ["COMMANDS_MAX", "COMMAND_BYTES_MAX"]

Text = Annotated[str, Meta(max_length=TEXT_CHARS_MAX)]
Line = Annotated[str, Meta(min_length=1, max_length=200)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Metres = Annotated[float, Meta(ge=0, le=1_000_000)]
Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
Milliseconds = Annotated[int, Meta(ge=0, le=2**62)]
Sequence = Annotated[int, Meta(ge=1, le=2**62)]
Instant = Annotated[datetime, Meta(tz=True)]
StampText = Annotated[str, Meta(pattern="^[0-9a-f]{12}-[0-9a-f]{8}-[0-9a-f]{8}$")]


class Location(Struct, rename="camel", frozen=True, forbid_unknown_fields=True):
    """A fix of the phone: WGS-84 degrees, radius of 68 % confidence in metres, who gave it, and whether it was mocked."""

    lat: Latitude
    lng: Longitude
    accuracy_m: Metres | None = None
    provider: Annotated[str, Meta(max_length=40)] | None = None
    mock: bool = False


class Command(Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The envelope. `sequence` counts the device's commands from 1; `monotonicMs` is time since boot `bootId`.

    `visitId` is the visit in whose course it was done; only a `record.edit` may do without. `seen` is the highest `stamp`
    that the phone had heard from the server when it was done.
    """

    id: UUID
    sequence: Sequence
    schema_version: int
    kind: str
    visit_id: UUID | None = None
    device_time: Instant
    monotonic_ms: Milliseconds | None = None
    boot_id: Annotated[str, Meta(max_length=64)] | None = None
    location: Location | None = None
    duration_s: Seconds | None = None
    seen: StampText | None = None
    payload: dict[str, Any] = {}


class Payload(Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a kind of command says beside its envelope."""


class Accept(Payload, frozen=True, kw_only=True):
    """The engineer takes the visit."""


class Decline(Payload, frozen=True, kw_only=True):
    """The engineer cannot take the visit: it is taken off the phone and given to somebody else, or waits. Who is on the
    way already says `visit.could_not_complete` instead."""

    reason: Literal["busy", "too_far", "part_missing", "wrong_skill", "unwell", "other"]
    text: Annotated[str, Meta(max_length=400)] = ""


class Travel(Payload, frozen=True, kw_only=True):
    """The engineer sets out."""


class Arrive(Payload, frozen=True, kw_only=True):
    """The engineer is on the site."""


class PartWanted(Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many of a part are missing: by its id in the catalogue or by its code, one of the two. A code that the catalogue
    does not have is no fault: it is passed on to whoever buys the parts."""

    part_id: UUID | UnsetType = UNSET
    code: Annotated[str, Meta(min_length=1, max_length=120)] | UnsetType = UNSET
    quantity: Annotated[int, Meta(ge=1, le=1000)] = 1

    def __post_init__(self) -> None:
        if (self.part_id is UNSET) == (self.code is UNSET):
            raise ValueError("Expected one of `partId` and `code`")


PartsWanted = Annotated[list[PartWanted], Meta(max_length=PARTS_WANTED_MAX)]


class Diagnose(Payload, frozen=True, kw_only=True):
    """What was found. `parts`: what is missing for the repair; the server asks for just these to be bought."""

    finding: Text
    fault_code: Annotated[str, Meta(max_length=40)] | None = None
    parts: PartsWanted | UnsetType | None = UNSET


class ReplacePart(Payload, frozen=True, kw_only=True):
    """A part from the van went into the asset."""

    part_id: UUID
    quantity: Annotated[int, Meta(ge=1, le=1000)] = 1
    old_serial: Annotated[str, Meta(max_length=80)] | None = None
    new_serial: Annotated[str, Meta(max_length=80)] | None = None


class Note(Payload, frozen=True, kw_only=True):
    """Free words for whoever comes next."""

    text: Annotated[str, Meta(min_length=1, max_length=4000)]


class Photo(Payload, frozen=True, kw_only=True):
    """A picture was taken. Its bytes travel apart from it, named by their hash."""

    sha256: Sha256
    media_type: Literal["image/jpeg", "image/png", "image/heic", "image/webp"]
    size_bytes: Annotated[int, Meta(ge=1, le=100_000_000)]
    caption: Annotated[str, Meta(max_length=400)] | None = None


Stroke = Annotated[list[tuple[float, float, float]], Meta(min_length=1, max_length=2000)]
"""One line of a signature: x and y in 0..1 of the pad, t in milliseconds since the first touch."""


class Sign(Payload, frozen=True, kw_only=True):
    """The customer signed on the engineer's phone, offline or not. `summary` is the text they saw, as it was shown."""

    signer_name: Line
    decision: Literal["accept", "object"] = "accept"
    reason: Annotated[str, Meta(max_length=1000)] | None = None
    rating: Annotated[int, Meta(ge=1, le=5)] | None = None
    strokes: Annotated[list[Stroke], Meta(min_length=1, max_length=200)]
    summary: Annotated[str, Meta(min_length=2, max_length=40_000)]
    picture_sha256: Sha256 | None = None


class FillForm(Payload, frozen=True, kw_only=True):
    """A form of the order's kind was filled in; `values` fit the JSON Schema of that form's version."""

    form_id: UUID
    values: dict[str, Any]


Fields = Annotated[dict[str, Any], Meta(min_length=1, max_length=EDIT_FIELDS_MAX)]
Amounts = Annotated[
    dict[str, Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]],
    Meta(min_length=1, max_length=EDIT_FIELDS_MAX),
]


class Edit(Payload, frozen=True, kw_only=True):
    """Fields of a document were changed on the phone; only those that `documents.MERGE` names may be.

    `baseRevision` is the `revision` of the document that the phone had when it was edited, `base` the values that the
    changed fields had then; at least one of them tells the server what the phone did not know. `add` changes counters.
    """

    entity: Literal["visit", "site", "contact", "asset", "stock"]
    id: UUID
    base_revision: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    base: Fields | None = None
    changes: Fields | None = None
    add: Amounts | None = None


class Complete(Payload, frozen=True, kw_only=True):
    """The work is done."""

    resolution: Text = ""


class CouldNotComplete(Payload, frozen=True, kw_only=True):
    """The work could not be done; the order waits for another visit. `parts`: what was missing, whatever the reason; what
    is on its way for the order already is not asked for again."""

    reason: Literal["no_access", "part_missing", "wrong_skill", "customer_absent", "unsafe", "other"]
    text: Text = ""
    parts: PartsWanted | UnsetType | None = UNSET


class Leave(Payload, frozen=True, kw_only=True):
    """The engineer left the site."""


PAYLOADS: dict[str, type[Payload]] = {
    "visit.accept": Accept,
    "visit.decline": Decline,
    "visit.travel": Travel,
    "visit.arrive": Arrive,
    "visit.diagnose": Diagnose,
    "visit.replace_part": ReplacePart,
    "visit.note": Note,
    "visit.photo": Photo,
    "visit.sign": Sign,
    "visit.complete": Complete,
    "visit.could_not_complete": CouldNotComplete,
    "visit.leave": Leave,
    "visit.fill_form": FillForm,
    "record.edit": Edit,
}
SINCE: dict[str, int] = {"visit.fill_form": 2, "record.edit": 2, "visit.decline": 2}
"""The schema version that first had a kind of command; 1 for the others."""

EVENT_KINDS: dict[str, str] = {
    "visit.accept": "accepted",
    "visit.decline": "declined",
    "visit.travel": "travelling",
    "visit.arrive": "arrived",
    "visit.diagnose": "diagnosed",
    "visit.replace_part": "part_replaced",
    "visit.note": "note",
    "visit.photo": "photo",
    "visit.sign": "customer_signed",
    "visit.complete": "completed",
    "visit.could_not_complete": "could_not_complete",
    "visit.leave": "left",
    "visit.fill_form": "form_filled",
}
"""The on-site event that a command becomes; the event carries the command's id. A `record.edit` becomes none."""


class PushEnvelope(Struct, rename="camel", frozen=True, kw_only=True):
    """The batch: the phone's clocks at the moment of sending measure its offset; `commands` are read one by one.

    `oldestPending` is the lowest sequence that the phone has no answer for (of this batch or still to come): with it the
    server can tell a command that overtook another from one whose predecessor will never come. A phone that does not say
    it gets no command held. `pending` counts the commands that the phone has still to send, this batch included.
    """

    sent_at: Instant
    commands: list[Any]
    monotonic_ms: Milliseconds | None = None
    boot_id: Annotated[str, Meta(max_length=64)] | None = None
    app_version: Annotated[str, Meta(max_length=40)] | None = None
    schema_version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    oldest_pending: Sequence | None = None
    pending: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    storage_used_bytes: Annotated[int, Meta(ge=0, le=2**62)] | None = None
    storage_free_bytes: Annotated[int, Meta(ge=0, le=2**62)] | None = None


Status = Literal["applied", "duplicate", "conflict", "quarantined", "held", "refused"]


class Answer(Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True):
    """What became of one command. `applied`, `duplicate` and `conflict`: stored, drop it from the queue. `quarantined`:
    kept whole on the server for a person, drop it too. `held`: kept until the command before it comes; drop it as well,
    and hear by an `outcome` document if it was not simply applied. `refused`: nothing was stored, see `code`."""

    index: int
    status: Status
    id: UUID | None = None
    code: str | None = None
    path: str | None = None
    message: str | None = None
    first_status: Status | None = None
