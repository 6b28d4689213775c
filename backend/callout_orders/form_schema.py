"""What a form's JSON Schema may be, and how values are held to it. Pure: no database.

Draft 2020-12 without references out of the schema and without recursion, so that whoever may write a form can neither
make the server fetch an address nor make it check one small form for ever. Patterns run on an engine whose time grows
with the text alone.
"""

import re
from itertools import islice
from typing import Any, Final

import jsonschema_rs
import msgspec

from callout_contracts.limits import (
    FORM_PATTERNS_MAX,
    FORM_SCHEMA_BYTES_MAX,
    FORM_SCHEMA_DEPTH_MAX,
    FORM_SCHEMA_PARTS_MAX,
)
from callout_orders.checks import FieldRefused
from callout_store.errors import LimitExceeded

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
OWN: Final = re.compile(r"#/\$defs/([A-Za-z0-9_.-]{1,80})")
"""The only references there are. Without a further slash or an escape, a name in it is a key of `$defs` and nothing else."""
# They change what a reference means, or lead away by another name.
REFUSED_KEYWORDS: Final = ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$vocabulary")
WHY_CHARS_MAX: Final = 200
PATTERN_BYTES_MAX: Final = 500_000
"""Of one compiled regular expression: `(a{1000}){1000}` is short to write and long to keep."""
FAULTS_MAX: Final = 20
"""So many are looked at: each carries what it is about, which may be all of the values."""
_DATA: Final = frozenset({"const", "enum", "default", "examples"})
"""Keywords whose value is data: what looks like a keyword in there is none."""
_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
"""Keywords whose value holds schemas by a name of the author's choice."""

Validator = jsonschema_rs.Draft202012Validator


def compiled(schema: object, *, path: str = "schema") -> Validator:
    """A validator for a form's schema. Raises FieldRefused or LimitExceeded, which name the place in the schema."""
    if not isinstance(schema, dict):
        raise FieldRefused(path, "form_schema", fault="it is not an object")
    _measure(schema, path)
    if schema.get("$schema", DRAFT) not in (DRAFT, DRAFT + "#"):
        raise FieldRefused(f"{path}.$schema", "form_schema", fault=f"it is of {schema['$schema']!s:.80}")
    _Walk(schema, path).whole()
    try:
        return _compile(schema)
    except jsonschema_rs.ValidationError as fault:
        raise FieldRefused(_joined(path, fault.instance_path), "form_schema", fault=_why(fault)) from None
    except (jsonschema_rs.ReferencingError, ValueError, OverflowError) as fault:
        raise FieldRefused(path, "form_schema", fault=_short(str(fault))) from None


def trusted(schema: Any) -> Validator:
    """A validator for a schema that `compiled` accepted when it was saved."""
    return _compile(schema)


def misfit(validator: Validator, values: Any) -> tuple[str, str] | None:
    """Where in the values they do not fit, and why; None where they do. Of several places, the first by its path.

    The place is dotted and begins with `values` (`values.readings.2`).
    """
    try:
        faults = [
            (_joined("values", fault.instance_path), _why(fault))
            for fault in islice(validator.iter_errors(values), FAULTS_MAX)
        ]
    except (ValueError, OverflowError) as fault:
        return "values", _short(str(fault))
    return min(faults) if faults else None


def _compile(schema: Any) -> Validator:
    patterns = jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES_MAX, dfa_size_limit=PATTERN_BYTES_MAX)
    return Validator(schema, validate_formats=True, offline=True, pattern_options=patterns)


class _Walk:
    """Counts the subschemas with their references followed, and refuses what leads out or back."""

    def __init__(self, schema: dict[str, Any], path: str) -> None:
        self.schema = schema
        self.path = path
        self.known: dict[str, int] = {}
        self.within: list[str] = []
        self.patterns = 0

    def whole(self) -> None:
        """Refuse the schema where it may not be."""
        count = self.count(self.schema, self.path)
        for what, limit, given in (
            ("subschemas of a form, references followed", FORM_SCHEMA_PARTS_MAX, count),
            ("patterns in a form", FORM_PATTERNS_MAX, self.patterns),
        ):
            if given > limit:
                raise LimitExceeded(what=what, limit=limit, given=given, path=self.path)

    def count(self, node: Any, place: str) -> int:
        if isinstance(node, list):
            return sum(self.count(one, f"{place}.{n}") for n, one in enumerate(node))
        if not isinstance(node, dict):
            return 0
        total = 1
        for key, value in node.items():
            if key in REFUSED_KEYWORDS:
                raise FieldRefused(f"{place}.{key}", "form_keyword", given=key)
            if key == "$ref":
                total += self.follow(value, f"{place}.$ref")
            elif key in _NAMED and isinstance(value, dict):
                self.patterns += len(value) if key == "patternProperties" else 0
                total += sum(self.count(one, f"{place}.{key}.{name}") for name, one in value.items())
            elif key == "pattern":
                self.patterns += 1
            elif key not in _DATA:
                total += self.count(value, f"{place}.{key}")
        return total

    def follow(self, target: object, place: str) -> int:
        match = OWN.fullmatch(target) if isinstance(target, str) else None
        if match is None:
            raise FieldRefused(place, "form_ref", given=_short(str(target)))
        name = match[1]
        if name in self.within:
            raise FieldRefused(place, "form_cycle", given=match[0])
        definitions = self.schema.get("$defs")
        if not isinstance(definitions, dict) or name not in definitions:
            raise FieldRefused(place, "form_ref", given=match[0])
        if name not in self.known:
            self.within.append(name)
            self.known[name] = self.count(definitions[name], f"{self.path}.$defs.{name}")
            self.within.pop()
        return self.known[name]


def _measure(schema: dict[str, Any], path: str) -> None:
    depth = 0
    level: list[Any] = [schema]
    while level:
        depth += 1
        if depth > FORM_SCHEMA_DEPTH_MAX:
            raise LimitExceeded(
                what="levels of a form's schema", limit=FORM_SCHEMA_DEPTH_MAX, given=depth, path=path
            )
        below = [one for node in level for one in (node.values() if isinstance(node, dict) else node)]
        level = [one for one in below if isinstance(one, dict | list)]
    try:
        size = len(msgspec.json.encode(schema))
    except (UnicodeEncodeError, TypeError):
        raise FieldRefused(path, "surrogate") from None
    if size > FORM_SCHEMA_BYTES_MAX:
        raise LimitExceeded(
            what="bytes of a form's schema", limit=FORM_SCHEMA_BYTES_MAX, given=size, path=path
        )


def _joined(path: str, inner: Any) -> str:
    return ".".join([path, *(str(step) for step in inner)])[:WHY_CHARS_MAX]


def _why(fault: jsonschema_rs.ValidationError) -> str:
    return _short(fault.message)


def _short(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= WHY_CHARS_MAX else line[: WHY_CHARS_MAX - 1] + "…"
