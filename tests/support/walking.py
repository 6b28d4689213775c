"""Walks over the schema: every field of a root that can be asked by ids and plain values, with all leaves that it has.

Written from the schema alone, so that a field that is added tomorrow is walked, too.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    is_enum_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    is_required_argument,
    is_required_input_field,
)

SCHEMA: Final = Path(__file__).parents[2] / "mobile_contracts" / "schema.graphqls"
DEPTH: Final = 3
PLAIN: Final[Mapping[str, Any]] = {
    "Int": 1,
    "Long": 1,
    "Float": 1.0,
    "Boolean": False,
    "Date": "2026-01-15",
    "DateTime": "2026-01-15T09:00:00Z",
    "JSON": {},
}


def schema() -> GraphQLSchema:
    """The committed schema."""
    return build_schema(SCHEMA.read_text("utf-8"))


def selection(type_: GraphQLObjectType, depth: int = DEPTH, path: tuple[str, ...] = ()) -> str:
    """All leaves of a type, down to `depth` objects, that need no arguments."""
    parts: list[str] = []
    for name, field in type_.fields.items():
        if any(is_required_argument(one) for one in field.args.values()):
            continue
        inner = get_named_type(field.type)
        if is_leaf_type(inner):
            parts.append(name)
        elif is_object_type(inner) and depth > 1 and inner.name not in path:
            few = "(first: 3)" if "first" in field.args else ""
            parts.append(f"{name}{few} {selection(inner, depth - 1, (*path, type_.name))}")
    return "{ __typename " + " ".join(parts) + " }"


def value(type_: Any, ids: Any, text: str) -> Any:
    """A value of an input type: `ids` for every UUID, `text` for every String."""
    if is_non_null_type(type_):
        return value(type_.of_type, ids, text)
    if is_list_type(type_):
        return [value(type_.of_type, ids, text)]
    if isinstance(type_, GraphQLInputObjectType):
        return {
            name: value(one.type, ids, text)
            for name, one in type_.fields.items()
            if is_required_input_field(one) or get_named_type(one.type).name == "UUID"
        }
    if is_enum_type(type_):
        return next(iter(type_.values))
    return str(ids) if type_.name == "UUID" else PLAIN.get(type_.name, text)


def questions(
    root: GraphQLObjectType, kind: str, ids: Mapping[str, Any], text: str, *, depth: int = DEPTH
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(field, document, variables): each field of `root` once for each id, with every argument that takes an id."""
    for name, field in root.fields.items():
        wanted = {
            arg: one
            for arg, one in field.args.items()
            if is_required_argument(one) or get_named_type(one.type).name == "UUID"
        }
        for id_ in ids.values() if _takes_id(wanted) else [next(iter(ids.values()))]:
            declared = ", ".join(f"${arg}: {one.type}" for arg, one in wanted.items())
            few = ["first: 3"] if "first" in field.args and "first" not in wanted else []
            given = ", ".join([*(f"{arg}: ${arg}" for arg in wanted), *few])
            head = f"{kind}{f'({declared})' if declared else ''}"
            document = f"{head} {{ {name}{f'({given})' if given else ''} {_inside(field, depth)} }}"
            yield name, document, {arg: value(one.type, id_, text) for arg, one in wanted.items()}


def _inside(field: GraphQLField, depth: int) -> str:
    inner = get_named_type(field.type)
    return selection(inner, depth) if is_object_type(inner) else ""


def _takes_id(wanted: Mapping[str, Any]) -> bool:
    return any("UUID" in str(value(one.type, "UUID", "")) for one in wanted.values())
