"""Reading commands one by one: what a phone sent becomes a command to judge, or a fault to quarantine. Pure."""

import hashlib
import re
import uuid
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from callout_contracts import SCHEMA_VERSION, SCHEMA_VERSIONS_SPOKEN
from callout_contracts.commands import (
    COMMAND_BYTES_MAX,
    EVENT_KINDS,
    PAYLOADS,
    SINCE,
    Command,
    Payload,
    ReplacePart,
)
from callout_store.clock import taken_instant

KEPT_BYTES_MAX = 1_000_000
"""Of a command too large to read, this much is kept for a person."""

TOO_DEEP = b'"nested too deeply to be kept"'

ROW_FAULTS = {
    "row.insert": "ROW_NOT_YOURS_TO_MAKE",
    "row.delete": "ROW_NOT_YOURS_TO_DELETE",
    "row.field": "FIELD_NOT_YOURS",
    "row.counter": "COUNTER_BY_COMMAND",
    "row.changed": "COMMAND_CHANGED",
    "row.unknown": "COLLECTION_UNKNOWN",
}
"""What a client of rows did that no command says: kept whole under its code. Its payload names `path` and `why`."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why a command cannot be applied: a stable code, the field, and what the sentence is filled with."""

    code: str
    path: str | None = None
    why: str = ""


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """One command of a batch, read as far as it could be. `body` is its canonical JSON, `key` its id (or one derived
    from the body where it has none, so that sending rubbish twice keeps one copy); `visit_id` and `kind` are what it says
    of itself, even where it cannot be applied."""

    index: int
    key: UUID
    id: UUID | None
    body: bytes
    sha256: bytes
    sequence: int
    visit_id: UUID | None = None
    kind: str = ""
    command: Command | None = None
    payload: Payload | None = None
    fault: Fault | None = None


_NAMESPACE = UUID("6d3a5c1e-5b60-4d6c-9a53-0f0c3a1f7d11")
_ENCODER = msgspec.json.Encoder(order="sorted")


def read_batch(raw: Sequence[Any]) -> list[Read]:
    """Read the commands of a batch; each one by itself, so that one bad command stops nothing else."""
    return [read(index, item) for index, item in enumerate(raw)]


def read(index: int, item: Any) -> Read:
    """Read one command: size, envelope, version, kind, payload, in this order; the first fault is the one reported."""
    try:
        body = _ENCODER.encode(item)
    except RecursionError:
        return _faulty(index, item, TOO_DEEP, Fault(code="COMMAND_UNREADABLE", why="nested too deeply"))
    except (TypeError, ValueError, msgspec.EncodeError) as fault:
        # Lone surrogates cannot be written as UTF-8; the escaped form keeps them readable for a person.
        body = ascii(item).encode()[:KEPT_BYTES_MAX]
        return _faulty(index, item, body, Fault(code="COMMAND_UNREADABLE", why=type(fault).__name__))
    if len(body) > COMMAND_BYTES_MAX:
        return _faulty(index, item, body, Fault(code="COMMAND_TOO_LARGE", why=str(COMMAND_BYTES_MAX)))
    if not isinstance(item, dict):
        return _faulty(index, item, body, Fault(code="COMMAND_UNREADABLE", why="not a JSON object"))
    try:
        nul = _nul_path(item) if b"\\u0000" in body else None
    except RecursionError:
        return _faulty(index, item, body, Fault(code="COMMAND_UNREADABLE", why="nested too deeply"))
    if nul is not None:
        return _faulty(index, item, body, Fault(code="NUL_CHARACTER", path=nul))
    version = item.get("schemaVersion")
    if isinstance(version, int) and not isinstance(version, bool):
        if version > SCHEMA_VERSION:
            return _faulty(index, item, body, Fault(code="SCHEMA_TOO_NEW", path="schemaVersion"))
        if version < min(SCHEMA_VERSIONS_SPOKEN):
            # Kept whole like everything an old app still has to send: it may be mended, but not guessed at.
            return _faulty(index, item, body, Fault(code="SCHEMA_TOO_OLD", path="schemaVersion"))
    of_row = ROW_FAULTS.get(str(item.get("kind")))
    if of_row is not None:
        told = item.get("payload")
        where, reason = (
            (str(told.get(k) or "") for k in ("path", "why")) if isinstance(told, dict) else ("", "")
        )
        return _faulty(index, item, body, Fault(code=of_row, path=where or None, why=reason))
    try:
        command = msgspec.convert(item, Command, strict=True)
    except msgspec.ValidationError as fault:
        why, path = _explain(fault)
        return _faulty(index, item, body, Fault(code="COMMAND_UNREADABLE", path=path, why=why))
    try:
        taken_instant(command.device_time)
    except ValueError as fault:
        return _faulty(index, item, body, Fault(code="COMMAND_UNREADABLE", path="deviceTime", why=str(fault)))
    shape = PAYLOADS.get(command.kind)
    if shape is None or SINCE.get(command.kind, 1) > command.schema_version:
        return _faulty(index, item, body, Fault(code="KIND_UNKNOWN", path="kind"))
    if command.visit_id is None and command.kind in EVENT_KINDS:
        return _faulty(index, item, body, Fault(code="COMMAND_UNREADABLE", path="visitId", why="missing"))
    try:
        payload = msgspec.convert(command.payload, shape, strict=True)
    except msgspec.ValidationError as fault:
        why, path = _explain(fault)
        inner = f"payload.{path}" if path else "payload"
        return _faulty(index, item, body, Fault(code="PAYLOAD_INVALID", path=inner, why=why))
    return Read(
        index=index,
        key=command.id,
        id=command.id,
        body=body,
        sha256=hashlib.sha256(body).digest(),
        sequence=command.sequence,
        visit_id=command.visit_id,
        kind=command.kind,
        command=command,
        payload=payload,
    )


def event_kind(command: Command) -> str:
    """The on-site event that a command becomes."""
    return EVENT_KINDS[command.kind]


def event_data(command: Command, payload: Payload) -> dict[str, Any]:
    """What the event keeps of the payload: all of it but a signature's drawing, which lies with the signature."""
    if command.kind == "visit.sign":
        return {k: v for k, v in command.payload.items() if k not in ("strokes", "summary")}
    data: dict[str, Any] = msgspec.to_builtins(payload)
    return data


def part_of(payload: Payload | None) -> UUID | None:
    """The part that a command names."""
    return payload.part_id if isinstance(payload, ReplacePart) else None


def _faulty(index: int, item: Any, body: bytes, fault: Fault) -> Read:
    id_ = _id_of(item, "id")
    kind = item.get("kind") if isinstance(item, dict) else None
    digest = hashlib.sha256(body).digest()
    sequence = item.get("sequence") if isinstance(item, dict) else None
    return Read(
        index=index,
        key=id_ or uuid.uuid5(_NAMESPACE, digest.hex()),
        id=id_,
        body=body[:KEPT_BYTES_MAX],
        sha256=digest,
        sequence=sequence if isinstance(sequence, int) and 0 <= sequence < 2**62 else 0,
        visit_id=_id_of(item, "visitId"),
        kind=kind if isinstance(kind, str) and _KIND.fullmatch(kind) else "",
        fault=fault,
    )


_KIND = re.compile(r"[a-z_.]{1,60}")


def _id_of(item: Any, name: str) -> UUID | None:
    if isinstance(item, dict) and isinstance(item.get(name), str):
        try:
            return UUID(item[name])
        except ValueError:
            return None
    return None


def _explain(fault: msgspec.ValidationError) -> tuple[str, str | None]:
    """msgspec says `Expected … - at `$.location.lat``: the sentence and the path apart."""
    why, _, where = str(fault).partition(" - at `$")
    path = where.rstrip("`").lstrip(".").replace("[", ".").replace("]", "") or None
    return why, path


def _nul_path(value: Any, path: str = "") -> str | None:
    if isinstance(value, str):
        return path or "" if "\0" in value else None
    if isinstance(value, dict):
        for key, inner in value.items():
            if "\0" in key:
                return path
            found = _nul_path(inner, f"{path}.{key}" if path else str(key))
            if found is not None:
                return found
    if isinstance(value, list):
        for n, inner in enumerate(value):
            found = _nul_path(inner, f"{path}.{n}")
            if found is not None:
                return found
    return None
