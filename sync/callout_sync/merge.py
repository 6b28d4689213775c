"""What an edit asks for, field by field, and whether it may: the contract's declarations applied. Pure.

The rule by which two sides meet is `callout_contracts.merging`; which field has which policy stands in
`callout_contracts.documents`.
"""

from typing import Any, Final, cast, get_type_hints
from uuid import UUID

import msgspec

from callout_contracts.commands import Edit
from callout_contracts.documents import DOCUMENTS, MERGE, Document
from callout_contracts.merging import Change, Claim, Merged, Policy, merge
from callout_dispatch import fields as visit_fields
from callout_orders import fields as order_fields
from callout_orders.checks import FieldRefused

ROW_ENTITIES: Final = ("visit", "site", "contact", "asset")
"""Entities with fields that are merged, in the order in which their rows are locked."""


class Refused(Exception):
    """An edit that cannot be applied, whoever else wrote: its code, its path below `payload`, and why."""

    def __init__(self, code: str, path: str, why: str) -> None:
        super().__init__(code)
        self.code, self.path, self.why = code, path, why


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An edit with its fields named as in the tables; `names` are the same names as on the wire."""

    entity: str
    id: UUID
    changes: dict[str, Any] = {}
    base: dict[str, Any] = {}
    add: dict[str, int] = {}
    names: dict[str, str] = {}


class _Field(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    wire: str
    type: Any
    policy: str | None


def _fields(document: type[Document], policies: dict[str, str]) -> dict[str, _Field]:
    hints = get_type_hints(document, include_extras=True)
    wires = document.__struct_encode_fields__
    return {
        wire: _Field(name=name, wire=wire, type=hints[name], policy=policies.get(name))
        for name, wire in zip(document.__struct_fields__, wires, strict=True)
    }


FIELDS: Final[dict[str, dict[str, _Field]]] = {
    entity: _fields(DOCUMENTS[entity], policies) for entity, policies in MERGE.items()
}
"""Entity → name on the wire → field, of the entities that a phone may write to."""


def read(edit: Edit) -> Wanted:
    """Hold an edit to the contract: which fields, of which type. Raises Refused for the first field that may not be
    written, or holds what it may not hold."""
    fields = FIELDS[edit.entity]
    if not edit.changes and not edit.add:
        raise Refused("PAYLOAD_INVALID", "changes", "nothing is changed")
    changes: dict[str, Any] = {}
    for wire, value in (edit.changes or {}).items():
        field = _field(fields, "changes", wire)
        if field.policy == "counter":
            raise Refused("FIELD_NOT_YOURS", f"changes.{wire}", f"{wire}: add")
        try:
            changes[field.name] = msgspec.convert(value, field.type, strict=True)
        except msgspec.ValidationError as fault:
            raise Refused("PAYLOAD_INVALID", f"changes.{wire}", str(fault)) from None
    add: dict[str, int] = {}
    for wire, amount in (edit.add or {}).items():
        field = _field(fields, "add", wire)
        if field.policy != "counter":
            raise Refused("PAYLOAD_INVALID", f"add.{wire}", "not a counter")
        add[field.name] = amount
    base = {fields[wire].name: value for wire, value in (edit.base or {}).items() if wire in fields}
    return Wanted(
        entity=edit.entity,
        id=edit.id,
        changes=changes,
        base=base,
        add=add,
        names={field.name: wire for wire, field in fields.items()},
    )


def _field(fields: dict[str, _Field], where: str, wire: str) -> _Field:
    field = fields.get(wire)
    if field is None:
        raise Refused("PAYLOAD_INVALID", f"{where}.{wire}", "no such field")
    if field.policy is None:
        raise Refused("FIELD_NOT_YOURS", f"{where}.{wire}", wire)
    return field


def tidy(wanted: Wanted, values: dict[str, Any], locale: str) -> dict[str, Any]:
    """The values as they are stored, where the row holds `values` now. Raises Refused."""
    tidied = {}
    for name, value in wanted.changes.items():
        path = f"changes.{wanted.names[name]}"
        try:
            if wanted.entity == "visit":
                tidied[name] = visit_fields.tidy(value, path=path)
            else:
                tidied[name] = order_fields.tidy(wanted.entity, name, value, path=path, now=values)
        except FieldRefused as fault:
            raise Refused("PAYLOAD_INVALID", path, fault.why(locale)) from None
    return tidied


def wire_name(entity: str, field: str) -> str:
    """A field's name on the wire."""
    return next(one.wire for one in FIELDS[entity].values() if one.name == field)


def policy_of(entity: str, field: str) -> Policy:
    """The declared policy of a field that is merged."""
    return cast(Policy, MERGE[entity][field])


def meet(
    entity: str,
    field: str,
    stands: Claim | None,
    waiting: list[Claim],
    change: Change,
    *,
    revision: int,
) -> Merged:
    """The contract's rule with the field's policy."""
    return merge(policy_of(entity, field), stands, waiting, change, revision=revision)
