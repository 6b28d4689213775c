"""Kinds of order as TOML: the five built-in templates (version 0), and whatever somebody writes.

A text of TOML is read within limits that are named when they are broken; what is wrong with it is said with its place in
the text (`steps.3.owner`).
"""

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

from callout_orders import checks
from callout_orders.checks import FieldRefused, Gather
from callout_orders.kinds import limits
from callout_orders.kinds.terms import Kind
from callout_orders.terms import OrderKind
from callout_store.errors import LimitExceeded

TEMPLATES: Final = tuple(kind.value for kind in OrderKind)
"""Codes of the built-in kinds, in the order in which they are shown."""

_PLACE: Final = re.compile(r" - at `\$?(?P<place>[^`]*)`$")


@cache
def built_in() -> dict[str, Kind]:
    """The built-in kinds by code: version 0 of each."""
    return {code: decode(template(code)) for code in TEMPLATES}


@cache
def template(code: str) -> str:
    """The TOML text of a built-in kind; KeyError where there is none."""
    if code not in TEMPLATES:
        raise KeyError(code)
    folder = resources.files("callout_orders.kinds") / "templates"
    return (folder / f"{code}.toml").read_text(encoding="utf-8")


def decode(text: str, *, path: str = "toml") -> Kind:
    """A kind from TOML. Raises FieldRefused (what is not TOML, or not so formed) and LimitExceeded.

    Whether the kind makes sense is for `kinds.check` to say.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limits.TOML_BYTES_MAX:
        raise LimitExceeded(
            what="bytes of a kind of order", limit=limits.TOML_BYTES_MAX, given=size, path=path
        )
    try:
        # Editors of Windows write a mark of byte order first.
        found: dict[str, Any] = tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError, OverflowError) as fault:
        raise FieldRefused(path, "kind_toml", fault=str(fault)[:200]) from None
    try:
        kind = msgspec.convert(found, Kind)
    except msgspec.ValidationError as fault:
        place, why = _taken_apart(str(fault))
        raise FieldRefused(place or path, "kind_shape", fault=why) from None
    measure(kind)
    return kind


def from_json(body: str) -> Kind:
    """A kind as it was stored."""
    return msgspec.json.decode(body, type=Kind)


def to_json(kind: Kind) -> str:
    """A kind with every value spelled out, so that a default that changes later changes no version."""
    return msgspec.json.encode(kind).decode()


def measure(kind: Kind) -> None:
    """Refuse what is larger than its limit, and texts that cannot be stored; everything at once."""
    gather = Gather()

    def few(what: str, path: str, given: int, limit: int) -> None:
        with gather:
            if given > limit:
                raise LimitExceeded(what=what, limit=limit, given=given, path=path)

    few("fields of a kind of order", "fields", len(kind.fields), limits.FIELDS_MAX)
    few("checks of a kind of order", "checks", len(kind.checks), limits.CHECKS_MAX)
    few("steps of a kind of order", "steps", len(kind.steps), limits.STEPS_MAX)
    for n, field in enumerate(kind.fields):
        few("options of a field", f"fields.{n}.options", len(field.options), limits.OPTIONS_MAX)
    for n, step in enumerate(kind.steps):
        for name, rows, limit in (
            ("next", step.next, limits.BRANCHES_MAX),
            ("approvals", step.approvals, limits.APPROVALS_MAX),
            ("on_enter", step.on_enter, limits.ACTIONS_MAX),
            ("on_done", step.on_done, limits.ACTIONS_MAX),
            ("events", step.events, limits.EVENTS_MAX),
            ("fields", step.fields, limits.FIELDS_MAX),
        ):
            few(_WHAT[name], f"steps.{n}.{name}", len(rows), limit)
    for path, line in _texts("", msgspec.to_builtins(kind)):
        short = path.rpartition(".")[2] in ("en", "zh") and "message" not in path and "help" not in path
        with gather:
            checks.text(
                path,
                line,
                chars_max=limits.LABEL_CHARS_MAX if short else limits.TEXT_CHARS_MAX,
                blank=path.rpartition(".")[2] not in ("en", "zh"),
            )
    gather.settle()


_WHAT: Final = {
    "next": "branches of a step",
    "approvals": "approvals of a step",
    "on_enter": "actions of a step",
    "on_done": "actions of a step",
    "events": "events of a step",
    "fields": "fields of a step",
}


def _texts(path: str, value: Any) -> list[tuple[str, str]]:
    """Every text with its place; codes and expressions are looked at elsewhere too, but a NUL must not be in any."""
    if isinstance(value, str):
        return [(path, value)]
    if isinstance(value, dict):
        rows = list(value.items())
    elif isinstance(value, list | tuple):
        rows = list(enumerate(value))
    else:
        return []
    return [found for key, one in rows for found in _texts(f"{path}.{key}" if path else str(key), one)]


def _taken_apart(message: str) -> tuple[str, str]:
    """msgspec's sentence as (place, why): `$.steps[3].owner` → `steps.3.owner`."""
    match = _PLACE.search(message)
    if match is None:
        return "", message
    place = re.sub(r"\[(\d+|\.\.\.)\]", r".\1", match["place"]).lstrip(".")
    return place, message[: match.start()]
