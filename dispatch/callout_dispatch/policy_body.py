"""A policy as people send it: JSON in, a `Policy` out, or a refusal that names the place, the fault and what to do. Pure.

Whatever the struct says of its own values is only put into words here; what it would say in words that help nobody
(which rule is unknown, which objective) is looked at first.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from callout_dispatch.policy import OBJECTIVES, RULES, WEIGHT_MAX, Planning, Policy, RedLane, rule_name
from callout_dispatch.policy_texts import TYPES, PolicyFault, say
from callout_orders.terms import Priority
from callout_store.errors import BadField

_RULES: Final = {rule_name(kind): kind for kind in RULES}
_PRIORITIES: Final = tuple(priority.value for priority in Priority)
_PLACE: Final = re.compile(r"^(?P<why>.*?)(?: - at (?P<key>`key` in )?`\$(?P<place>[^`]*)`)?$", re.DOTALL)
_TYPE: Final = re.compile(r"^Expected `(?P<wanted>\w+)(?: \| null)?`, got `(?P<got>\w+)`$")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_ENUM: Final = re.compile(r"^Invalid enum value '?(?P<given>.*?)'?$", re.DOTALL)
_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "": Policy.__struct_encode_fields__,
    ".redLane": RedLane.__struct_encode_fields__,
    ".planning": Planning.__struct_encode_fields__,
}
_CHARS_MAX: Final = 60
"""So much of what was given is repeated in a sentence."""


class PolicyRefused(BadField):
    """`BadField` about a policy, in the reader's language."""

    def __init__(self, path: str, key: str, **values: Any) -> None:
        self._chinese = say(key, "zh", **values)
        super().__init__(path=path, why=say(key, **values), reason=key)

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        return self.zh.format(why=self._chinese) if locale.startswith("zh") else super().message(locale)


def read(body: object, path: str = "body") -> Policy:
    """The policy that a JSON value describes; what it leaves out is as in the house's own. Its version is 0.

    Raises BadField with the place in the JSON (`body.rules.3.minutes`).
    """
    if not isinstance(body, Mapping):
        raise PolicyRefused(path, "not_object")
    if "version" in body:
        raise PolicyRefused(f"{path}.version", "version_given")
    _look_at_rules(body.get("rules"), f"{path}.rules")
    _look_at_objectives(body.get("objectives"), f"{path}.objectives")
    try:
        return msgspec.convert(body, Policy)
    except msgspec.ValidationError as fault:
        raise _refusal(fault, path) from None


def _look_at_rules(rules: object, path: str) -> None:
    if not isinstance(rules, list | tuple):
        return
    for n, rule in enumerate(rules):
        name = rule.get("rule") if isinstance(rule, Mapping) else None
        if not isinstance(name, str):
            raise PolicyRefused(f"{path}.{n}", "rule_unnamed")
        if name not in _RULES:
            raise PolicyRefused(f"{path}.{n}.rule", "unknown_rule", given=_short(name), known=_list(_RULES))


def _look_at_objectives(objectives: object, path: str) -> None:
    if not isinstance(objectives, Mapping):
        return
    for priority, weights in objectives.items():
        if priority not in _PRIORITIES:
            raise PolicyRefused(path, "unknown_priority", given=_short(priority), known=_list(_PRIORITIES))
        for objective, weight in weights.items() if isinstance(weights, Mapping) else ():
            if objective not in OBJECTIVES:
                raise PolicyRefused(
                    f"{path}.{priority}",
                    "unknown_objective",
                    given=_short(objective),
                    known=_list(OBJECTIVES),
                )
            if isinstance(weight, bool) or not isinstance(weight, int | float):
                raise PolicyRefused(
                    f"{path}.{priority}.{objective}", "type", **_types("float", _kind(weight))
                )
            if not 0 <= weight <= WEIGHT_MAX:
                raise PolicyRefused(f"{path}.{priority}.{objective}", "between", low=0, high=WEIGHT_MAX)


def _refusal(fault: msgspec.ValidationError, path: str) -> PolicyRefused:
    """msgspec's fault as a refusal: its place in dots, its reason in words of ours."""
    found = _PLACE.match(str(fault))
    place = path + re.sub(r"\[(\d+)\]", r".\1", (found and found["place"]) or "").replace("[...]", "")
    cause = fault.__cause__
    if isinstance(cause, PolicyFault):
        return PolicyRefused(f"{place}.{cause.field}", cause.key, **cause.values)
    why = found["why"] if found else str(fault)
    if why == "Number out of range":
        return PolicyRefused(place, "too_large")
    if kinds := _TYPE.match(why):
        return PolicyRefused(place, "type", **_types(kinds["wanted"], kinds["got"]))
    if unknown := _UNKNOWN.match(why):
        english, chinese = _fields(place.removeprefix(path))
        name = _short(unknown["name"])
        return PolicyRefused(f"{place}.{name}", "unknown_field", given=name, known=english, known_zh=chinese)
    if value := _ENUM.match(why):
        return PolicyRefused(
            place, "unknown_priority", given=_short(value["given"]), known=_list(_PRIORITIES)
        )
    return PolicyRefused(place, "unfit", why=why)


def _fields(place: str) -> tuple[str, str]:
    """Which fields there are at a place of a policy, as half sentences."""
    names = [name for name in _FIELDS.get(place, ()) if name != "version"]
    if not names:
        return "see the rule's own fields", "请参阅该规则的字段"
    return f"fields are {_list(names)}", f"可用字段:{_list(names)}"


def _types(wanted: str, got: str) -> dict[str, str]:
    (english, chinese), (was, was_zh) = TYPES.get(wanted, (wanted,) * 2), TYPES.get(got, (got,) * 2)
    return {"wanted": english, "wanted_zh": chinese, "got": was, "got_zh": was_zh}


def _kind(value: object) -> str:
    """How JSON calls the kind of a value."""
    for kind, name in ((bool, "bool"), (str, "str"), (Mapping, "object"), (type(None), "null")):
        if isinstance(value, kind):
            return name
    return "array"


def _list(names: Any) -> str:
    return ", ".join(str(name) for name in names)


def _short(given: object) -> str:
    text = str(given).encode("utf-8", "replace").decode().replace("\x00", " ")
    return text if len(text) <= _CHARS_MAX else f"{text[:_CHARS_MAX]}…"
