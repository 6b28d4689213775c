"""Conditions in CEL: which names there are, what may be written, and whether one holds. Pure.

An expression sees three roots. `order` has the names of `ORDER`, all of them always there (an unknown text is ''), `fields`
the kind's own fields that are filled in, `parts` those of `PARTS`. `has(fields.x)` asks whether x is filled in; a condition
that reads a field without a value does not hold.

An expression always ends, and soon: it has at most 1,000 characters, its loops (`all`, `exists`, `exists_one`, `filter`)
cannot stand within one another and look at few values each time, little makes a value larger than what was looked at (`map`
is not read, `+` only so often and never within a loop), and regular expressions (`matches`) are few and small, are written
out, stand in no loop and run on an engine whose time grows with the text alone. So a rule that somebody wrote cannot hold
up the orders of others.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final

import cel

from callout_orders.checks import FieldRefused
from callout_orders.kinds.fields import pattern_fault
from callout_orders.kinds.limits import (
    EXPRESSION_CHARS_MAX,
    LIST_ITEMS_MAX,
    LOOP_NAMES_MAX,
    LOOPS_MAX,
    MATCHES_MAX,
    SUMS_MAX,
    VALUE_CHARS_MAX,
)
from callout_orders.kinds.terms import FieldType, Kind

ORDER: Final[Mapping[str, Any]] = {
    "number": "",
    "kind": "",
    "priority": "",  # P0, P1, P2
    "channel": "",
    "state": "",
    "serial": "",
    "product": "",
    "error_code": "",
    "description": "",
    "locale": "",
    "tier": "",  # of the customer
    "tags": [],
    "visits": 0,  # that reached an outcome
    "outcome": "",  # of the last one: done, could_not_complete
    "hold_reason": "",
}
"""Names of `order` with what they are when nothing is known."""

PARTS: Final[Mapping[str, Any]] = {
    "waiting": False,  # parts were asked for that are not here yet
    "ready": False,  # all that was asked for is here
}
"""Names of `parts`."""

FUNCTIONS: Final = frozenset(
    (
        "has",
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "int",
        "uint",
        "double",
        "string",
        "bool",
        "timestamp",
        "duration",
        "type",
        "dyn",
        "getFullYear",
        "getMonth",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getHours",
        "getMinutes",
        "getSeconds",
    )
)
LOOPS: Final = frozenset({"all", "exists", "exists_one", "filter"})
ROOTS: Final = frozenset({"order", "fields", "parts"})
CACHE_MAX: Final = 2_000
"""Compiled expressions that a process keeps."""

_SAMPLES: Final[Mapping[FieldType, Any]] = {
    FieldType.TEXT: "x",
    FieldType.LONG_TEXT: "x",
    FieldType.INTEGER: 1,
    FieldType.NUMBER: 1.5,
    FieldType.MONEY: 1.5,
    FieldType.BOOLEAN: True,
    FieldType.DATE: "2026-01-15",
    FieldType.DATETIME: "2026-01-15T09:00:00Z",
    FieldType.CHOICE: "x",
    FieldType.CHOICES: ["x"],
}

_TOKEN: Final = re.compile(
    r"""(?P<blank>\s+|//[^\n]*)
      | (?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>\d[\w.]*)
      | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)

_PREFIXES: Final = frozenset({"r", "R", "b", "B", "br", "bR", "Br", "BR", "rb", "rB", "Rb", "RB"})


class BadExpression(FieldRefused):
    """An expression that cannot be read, or that could not be evaluated; `path` is the place in the kind."""

    def __init__(self, path: str, why: str, **details: Any) -> None:
        super().__init__(path, f"expression_{why}", **details)


def check(text: str, kind: Kind | None = None, *, path: str = "expression") -> frozenset[str]:
    """The fields that an expression reads. Raises BadExpression where it cannot be read, names something that is not
    there, does not say yes or no, or mixes types (it is tried on sample values of the kind's fields).

    Without `kind`, names of fields are not held against anything.
    """
    program = _compiled(text, path)
    read = set()
    for root, name in references(text):
        if root == "fields":
            read.add(name)
            if kind is not None and kind.field(name) is None:
                known = ", ".join(field.code for field in kind.fields) or "–"
                raise BadExpression(path, "name", given=f"fields.{name}", known=known)
        elif name not in (ORDER if root == "order" else PARTS):
            raise BadExpression(
                path, "name", given=f"{root}.{name}", known=", ".join(ORDER if root == "order" else PARTS)
            )
    loose = sorted(set(program.variables()) - ROOTS - _loop_names(text))
    if loose:
        raise BadExpression(path, "name", given=loose[0], known=", ".join(sorted(ROOTS)))
    if kind is not None:
        _try(program, kind, path)
    return frozenset(read)


def holds(text: str, env: Mapping[str, Any], *, path: str = "expression") -> bool:
    """Whether an expression holds. One that reads a value which is not filled in does not.

    Raises BadExpression where it cannot be read or evaluated (a version that was saved was tried before; a text that is
    no number where one was meant still is one that nobody could foresee).
    """
    if text == "true":
        return True
    program = _compiled(text, path)
    _measure(env, path)
    try:
        answer = program.execute(dict(env))
    except KeyError:
        return False
    except Exception as fault:
        raise BadExpression(path, "failed", fault=_short(fault)) from None
    if not isinstance(answer, bool):
        raise BadExpression(path, "result", given=type(answer).__name__)
    return answer


def environment(
    kind: Kind,
    *,
    order: Mapping[str, Any],
    fields: Mapping[str, Any],
    parts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What expressions of this kind see: `order` and `parts` may leave out what is not known (or hold None there)."""
    return {
        "order": _filled(ORDER, order),
        "fields": {
            field.code: _typed(field.type, fields[field.code])
            for field in kind.fields
            if fields.get(field.code) is not None
        },
        "parts": _filled(PARTS, parts or {}),
    }


def references(text: str) -> Iterator[tuple[str, str]]:
    """(root, name) for each `root.name` and `root['name']` of an expression that can be read."""
    tokens = list(_tokens(text))
    for at, (kind, word) in enumerate(tokens):
        if kind != "name" or word not in ROOTS or (at and tokens[at - 1][1] == "."):
            continue
        after = tokens[at + 1 : at + 4]
        if len(after) >= 2 and after[0][1] == "." and after[1][0] == "name":
            yield word, after[1][1]
        elif len(after) == 3 and after[0][1] == "[" and after[1][0] == "text" and after[2][1] == "]":
            yield word, after[1][1].strip("\"'")


# --------------------------------------------------------------------------------------------- compiling

_programs: OrderedDict[str, cel.Program] = OrderedDict()


def _compiled(text: str, path: str) -> cel.Program:
    program = _programs.get(text)
    if program is not None:
        _programs.move_to_end(text)
        return program
    if len(text) > EXPRESSION_CHARS_MAX:
        raise BadExpression(path, "long", limit=EXPRESSION_CHARS_MAX, given=len(text))
    _look(text, path)
    try:
        program = cel.compile(text)
    except Exception as fault:
        raise BadExpression(path, "syntax", fault=_short(fault)) from None
    _programs[text] = program
    if len(_programs) > CACHE_MAX:
        _programs.popitem(last=False)
    return program


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "blank":
            yield str(match.lastgroup), match[0]


def _look(text: str, path: str) -> None:
    """Refuse what could take long, by its words: loops in loops, what grows, and calls of what is not on the list."""
    tokens = list(_tokens(text))
    if any(quotes in text for quotes in ("'''", '"""', "`")):
        # What is a text and what is not must be as plain to this function as to the parser.
        raise BadExpression(path, "quotes")
    loops = named = sums = patterns = 0
    # For each open bracket, whether it is that of a loop.
    within: list[bool] = []
    for at, (kind, word) in enumerate(tokens):
        if kind == "sign":
            if word in "'\"":
                raise BadExpression(path, "quotes")
            if word in "([{":
                called = tokens[at - 1] if word == "(" and at else ("", "")
                looping = called[0] == "name" and called[1] in LOOPS
                if looping:
                    loops += 1
                    if any(within):
                        raise BadExpression(path, "nested", given=called[1])
                within.append(looping)
            elif word in ")]}" and within:
                within.pop()
            elif word == "+":
                sums += 1
                if any(within):
                    raise BadExpression(path, "nested", given=word)
        elif kind == "text" and at and tokens[at - 1][1] in _PREFIXES:
            raise BadExpression(path, "quotes")
        elif kind == "name" and at + 1 < len(tokens) and tokens[at + 1][1] == "(":
            if word not in FUNCTIONS and word not in LOOPS and word != "in":
                known = ", ".join(sorted(FUNCTIONS | LOOPS))
                raise BadExpression(path, "function", given=word, known=known)
            if word == "matches":
                patterns += 1
                if any(within):
                    raise BadExpression(path, "nested", given=word)
                _look_at_pattern(tokens[at + 2 : at + 4], path)
        elif kind == "name" and word in ROOTS and any(within):
            named += 1
    for why, limit, number in (
        ("loops", LOOPS_MAX, loops),
        ("names", LOOP_NAMES_MAX, named),
        ("matches", MATCHES_MAX, patterns),
        ("sums", SUMS_MAX, sums if loops or patterns else 0),
    ):
        if number > limit:
            raise BadExpression(path, why, limit=limit, given=number)


def _look_at_pattern(after: list[tuple[str, str]], path: str) -> None:
    """What stands in the brackets of `matches`: nothing that a customer wrote, and nothing that takes long to run."""
    if [kind for kind, _ in after] != ["text", "sign"] or after[1][1] != ")":
        raise BadExpression(path, "pattern", fault="".join(word for _, word in after))
    fault = pattern_fault(cel.evaluate(after[0][1], {}), whole=False)
    if fault is not None:
        raise BadExpression(path, "pattern", fault=fault)


def _loop_names(text: str) -> set[str]:
    tokens = list(_tokens(text))
    return {
        tokens[at + 2][1]
        for at, (kind, word) in enumerate(tokens[:-2])
        if kind == "name" and word in LOOPS and tokens[at + 1][1] == "("
    }


def _try(program: cel.Program, kind: Kind, path: str) -> None:
    """Evaluate on sample values: what mixes types or says neither yes nor no is found when it is written."""
    filled = {field.code: _SAMPLES[field.type] for field in kind.fields}
    for fields in (filled, {}):
        env = environment(kind, order={"tags": ["x"]}, fields=fields)
        try:
            answer = program.execute(env)
        except (KeyError, ValueError, ArithmeticError, IndexError):
            # Of the sample's values, not of the types.
            continue
        except Exception as fault:
            raise BadExpression(path, "failed", fault=_short(fault)) from None
        if not isinstance(answer, bool):
            raise BadExpression(path, "result", given=type(answer).__name__)


def _filled(names: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: empty if given.get(name) is None else given[name] for name, empty in names.items()}


def _typed(type_: FieldType, value: Any) -> Any:
    """Numbers of a field that may have decimals are always such: CEL adds no whole number to one with decimals."""
    if type_ in (FieldType.NUMBER, FieldType.MONEY) and isinstance(value, int):
        return float(value)
    return value


def _measure(env: Mapping[str, Any], path: str) -> None:
    for values in env.values():
        for name, value in values.items():
            if isinstance(value, list | tuple) and len(value) > LIST_ITEMS_MAX:
                raise BadExpression(path, "list", given=name, limit=LIST_ITEMS_MAX)
            if isinstance(value, str) and len(value) > VALUE_CHARS_MAX:
                raise BadExpression(path, "value", given=name, limit=VALUE_CHARS_MAX)


def _short(fault: Exception) -> str:
    line = str(fault).strip().rpartition("ERROR: ")[2].partition("\n")[0]
    line = line.partition(" expecting {")[0].partition(". CEL does not coerce")[0]
    return line if len(line) <= 200 else line[:199] + "…"
