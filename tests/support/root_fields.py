"""Minimal operations on the root fields of GraphQL, to see who is let in."""

from typing import Any

from callout_graphql.schema import schema
from callout_store.ids import new_id

ARGUMENTS = {
    "UUID": f'"{new_id()}"',
    "DateTime": '"2026-03-02T08:00:00Z"',
    "Date": '"2026-03-02"',
    "String": '"x"',
    "Int": "1",
    "Float": "1.5",
    "Boolean": "true",
    "JSON": "{}",
}


def operation_of(name: str) -> str:
    """A minimal operation that uses a root field, with made-up arguments."""
    root, field_name = name.split(".")
    types = schema()._schema.type_map
    field = types[root].fields[field_name]  # type: ignore[attr-defined]

    def value(type_: Any) -> str:
        inner = getattr(type_, "of_type", None)
        if inner is not None:
            made = value(inner)
            return f"[{made}]" if type(type_).__name__ == "GraphQLList" else made
        if hasattr(type_, "fields"):
            return (
                "{" + ", ".join(f"{n}: {value(f.type)}" for n, f in type_.fields.items() if required(f)) + "}"
            )
        if hasattr(type_, "values"):
            return str(next(iter(type_.values)))
        return ARGUMENTS[type_.name]

    def required(given: Any) -> bool:
        return type(given.type).__name__ == "GraphQLNonNull"

    arguments = ", ".join(f"{n}: {value(a.type)}" for n, a in field.args.items() if required(a))
    leaf = field.type
    while getattr(leaf, "of_type", None) is not None:
        leaf = leaf.of_type
    below = " { __typename }" if hasattr(leaf, "fields") else ""
    return f"{root.lower()} {{ {field_name}{f'({arguments})' if arguments else ''}{below} }}"
