"""Values that fit a JSON Schema of an OpenAPI document, for property tests."""

from typing import Any

from hypothesis import strategies as st

TEXTS = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=30)


def values_for(schema: dict[str, Any], document: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """A strategy for the part of JSON Schema that our document uses."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return values_for(document["components"]["schemas"][name], document, depth)
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return st.one_of([values_for(one, document, depth) for one in schema[key]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    kind = schema.get("type")
    if isinstance(kind, list):
        return st.one_of([values_for({**schema, "type": one}, document, depth) for one in kind])
    if kind == "object":
        return _objects(schema, document, depth)
    if kind == "array":
        return st.lists(
            values_for(schema.get("items", {}), document, depth + 1),
            max_size=min(3, schema.get("maxItems", 3)),
        )
    if kind == "string":
        if schema.get("format") == "uuid":
            return st.uuids().map(str)
        if schema.get("format") == "date-time":
            return st.datetimes().map(lambda at: at.isoformat() + "Z")
        return st.text(
            alphabet=st.characters(exclude_categories=("Cs",)),
            min_size=schema.get("minLength", 0),
            max_size=min(40, schema.get("maxLength", 40)),
        )
    if kind == "integer":
        return st.integers(schema.get("minimum", -(2**70)), schema.get("maximum", 2**70))
    if kind == "number":
        return st.floats(allow_nan=False, allow_infinity=False)
    if kind == "boolean":
        return st.booleans()
    if kind == "null":
        return st.none()
    return TEXTS


def _objects(schema: dict[str, Any], document: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    properties = {
        name: values_for(one, document, depth + 1) for name, one in schema.get("properties", {}).items()
    }
    required = set(schema.get("required", ()))
    if properties:
        return st.fixed_dictionaries(
            {name: one for name, one in properties.items() if name in required},
            optional={name: one for name, one in properties.items() if name not in required},
        )
    more = schema.get("additionalProperties", {})
    return st.dictionaries(
        TEXTS, values_for(more if isinstance(more, dict) else {}, document, depth + 1), max_size=3
    )
