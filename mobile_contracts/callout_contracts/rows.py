"""Documents as rows: names and types for clients that sync rows of collections instead of commands (RxDB, WatermelonDB).

The same documents, in the shapes that those clients can hold. RxDB forbids a field `revision` at the top (its documents
have a method of that name), so that it is called `masterRevision` there. WatermelonDB has no nested values and no
instants: columns are snake_case, JSON is text, and an instant is a number of milliseconds since 1970.

A tombstone carries a value that fits in every column, since both a schema's validator and GraphQL want one.
"""

from datetime import datetime
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Struct
from msgspec.structs import fields

from callout_contracts.commands import Command
from callout_contracts.documents import DOCUMENTS, MERGE

Kind = Literal["text", "instant", "whole", "number", "flag", "object", "array"]

COMMAND = "command"
"""The collection that a phone appends its commands to; it is pushed only."""
RXDB_NAMES = {"revision": "masterRevision"}
EDITED_AT = "editedAt"
"""Of a writable collection: when the row was edited, by the phone's clock. Not the server's; it never comes back."""
NEUTRAL: dict[str, Any] = {
    "text": "",
    "instant": "",
    "whole": 0,
    "number": 0.0,
    "flag": False,
    "object": {},
    "array": [],
}


class Column(Struct, frozen=True):
    """One field of a document: `field` in Python, `wire` in commands and documents, `rxdb` and `column` for the clients.

    `merge` is the policy of a field that a phone may write, None for the server's own."""

    field: str
    wire: str
    rxdb: str
    column: str
    kind: Kind
    nullable: bool
    merge: str | None

    @property
    def neutral(self) -> Any:
        """What stands in a tombstone."""
        return None if self.nullable else NEUTRAL[self.kind]


def collection_name(entity: str) -> str:
    """`work_order` as clients of GraphQL call it: `workOrder`."""
    head, *rest = entity.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _kind(hint: Any) -> tuple[Kind, bool]:
    nullable = False
    while True:
        if get_origin(hint) is Annotated:
            hint = get_args(hint)[0]
        elif get_origin(hint) in (Union, UnionType):
            left = [part for part in get_args(hint) if part is not type(None)]
            nullable, hint = nullable or len(left) < len(get_args(hint)), left[0]
        else:
            break
    base = get_origin(hint) or hint
    kinds: dict[Any, Kind] = {
        datetime: "instant",
        bool: "flag",
        int: "whole",
        float: "number",
        dict: "object",
        list: "array",
    }
    if isinstance(base, type) and issubclass(base, Struct):
        return "object", nullable
    return kinds.get(base, "text"), nullable


def _columns(struct: type[Struct], merge: dict[str, str]) -> tuple[Column, ...]:
    hints = get_type_hints(struct, include_extras=True)
    found = []
    for field in fields(struct):
        kind, nullable = _kind(hints[field.name])
        wire = field.encode_name
        found.append(
            Column(
                field.name,
                wire,
                RXDB_NAMES.get(wire, wire),
                field.name,
                kind,
                nullable,
                merge.get(field.name),
            )
        )
    return tuple(found)


COLUMNS: dict[str, tuple[Column, ...]] = {
    entity: _columns(document, MERGE.get(entity, {})) for entity, document in DOCUMENTS.items()
}
"""Entity → its columns, `id` first."""
COMMAND_COLUMNS = _columns(Command, {})
BASED = frozenset(
    entity
    for entity, columns in COLUMNS.items()
    if any(column.merge for column in columns) and any(column.field == "revision" for column in columns)
)
"""Entities of which a phone may edit fields, and whose rows count their revisions."""
ENTITY_OF: dict[str, str] = {collection_name(entity): entity for entity in COLUMNS}
"""RxDB's name of a collection → entity."""


def rxdb_schemas() -> dict[str, Any]:
    """An RxJsonSchema for each collection.

    Nested values have a list of types on purpose: RxDB's query builders spread a plain `object` or `array` into
    sub-selections, and these are single values in GraphQL.
    """
    types = {"text": "string", "instant": "string", "whole": "integer", "number": "number", "flag": "boolean"}

    def one(columns: tuple[Column, ...], required: list[str], editable: bool) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        for column in columns:
            kind = types.get(column.kind, column.kind)
            nested = column.kind in ("object", "array")
            properties[column.rxdb] = {
                "type": [kind, "null"] if nested or column.rxdb not in required else kind
            }
        properties["id"] = {"type": "string", "maxLength": 36}
        if editable:
            properties[EDITED_AT] = {"type": ["string", "null"]}
        return {
            "version": 0,
            "primaryKey": "id",
            "type": "object",
            "properties": properties,
            "required": required,
        }

    schemas = {
        collection_name(entity): one(
            columns, [c.rxdb for c in columns if not c.nullable], any(c.merge for c in columns)
        )
        for entity, columns in COLUMNS.items()
    }
    needed = ["id", "sequence", "schemaVersion", "kind", "deviceTime"]
    schemas[COMMAND] = one(COMMAND_COLUMNS, needed, False)
    return schemas


def watermelon_tables() -> list[dict[str, Any]]:
    """The argument of WatermelonDB's `tableSchema` for each table.

    `base_revision` is the phone's own: the `revision` that a row had when it was first edited. See clients.md.
    """
    types = {"instant": "number", "whole": "number", "number": "number", "flag": "boolean"}
    tables = []
    for entity, columns in {**COLUMNS, COMMAND: COMMAND_COLUMNS}.items():
        listed: list[dict[str, Any]] = []
        for column in columns:
            if column.column == "id":
                continue
            one: dict[str, Any] = {"name": column.column, "type": types.get(column.kind, "string")}
            if column.nullable:
                one["isOptional"] = True
            listed.append(one)
        if any(column.merge for column in columns):
            listed.append({"name": "edited_at", "type": "number", "isOptional": True})
            if entity in BASED:
                listed.append({"name": "base_revision", "type": "number", "isOptional": True})
        tables.append({"name": entity, "columns": listed})
    return tables
