"""Whether a kind of order makes sense: everything that is wrong with it, each with its place and what to do. Pure.

An error keeps a version from being saved, a warning does not. What `check` accepts always comes to an end, whatever
people answer: see `check_flow`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from callout_orders.kinds import check_flow, limits
from callout_orders.kinds.check_flow import unfilled
from callout_orders.kinds.check_texts import TEXTS, Finding, finding
from callout_orders.kinds.expressions import BadExpression
from callout_orders.kinds.expressions import check as check_expression
from callout_orders.kinds.fields import NUMBERS, pattern_fault
from callout_orders.kinds.fields import TEXTS as TEXT_TYPES
from callout_orders.kinds.terms import (
    ActionName,
    AttachmentCheck,
    DescriptionCheck,
    ExpressionCheck,
    Field,
    FieldType,
    Kind,
    PhoneCheck,
    RequiredCheck,
    Step,
)
from callout_orders.terms import Channel

__all__ = ["TEXTS", "Finding", "check", "errors"]

CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
POST: Final = re.compile(r"[a-z][a-z0-9_.-]{0,59}")
KNOWN: Final = frozenset(
    {
        "contact_name",
        "contact_phone",
        "contact_email",
        "serial",
        "product",
        "error_code",
        "address",
        "description",
    }
)
"""What every order may have, beside its kind's own fields."""
ROLES: Final = frozenset({"admin", "dispatcher", "supervisor", "engineer"})
OWNERS: Final = frozenset({"engineer", "handler", "initiator", "customer", "system"})
FORMS: Final = frozenset({"mobile", "landline", "service"})
CHANNELS: Final = frozenset(channel.value for channel in Channel)
CHOICES: Final = frozenset({FieldType.CHOICE, FieldType.CHOICES})
WITH_VALUE: Final = frozenset({ActionName.PAUSE_SLA, ActionName.TAG})


def check(
    kind: Kind, *, events: Collection[str], posts: Collection[str] | None = None
) -> tuple[Finding, ...]:
    """What is to be said about a kind, errors first, each group in the order of the text.

    `events`: names that steps may wait for. `posts`: those that the organisation's directory has; None: not looked at.
    """
    found = [
        *_codes(kind),
        *(one for n, field in enumerate(kind.fields) for one in _field(f"fields.{n}", field)),
        *_checks(kind),
        *(one for n, step in enumerate(kind.steps) for one in _step(kind, f"steps.{n}", step, events, posts)),
        *check_flow.findings(kind),
    ]
    return tuple(sorted(found, key=lambda one: one.level != "error"))


def errors(found: Collection[Finding]) -> tuple[Finding, ...]:
    """Those that keep a version from being saved."""
    return tuple(one for one in found if one.level == "error")


# ------------------------------------------------------------------------------------------------ codes, fields


def _codes(kind: Kind) -> Iterator[Finding]:
    rows = [("code", kind.code)]
    rows += [(f"fields.{n}.code", field.code) for n, field in enumerate(kind.fields)]
    rows += [
        (f"fields.{n}.options.{m}.code", option.code)
        for n, field in enumerate(kind.fields)
        for m, option in enumerate(field.options)
    ]
    rows += [(f"steps.{n}.code", step.code) for n, step in enumerate(kind.steps)]
    rows += [
        (f"steps.{n}.approvals.{m}.code", approval.code)
        for n, step in enumerate(kind.steps)
        for m, approval in enumerate(step.approvals)
    ]
    seen: set[tuple[str, str]] = set()
    for path, code in rows:
        if not CODE.fullmatch(code):
            yield finding("code", path, given=code)
        # A code is unique among its likes: fields, options of one field, steps, approvals of the whole kind.
        likes = re.sub(r"^steps\.\d+\.approvals\.\d+", "approvals", path)
        likes = re.sub(r"\.\d+\.code$", "", likes)
        if (likes, code) in seen:
            yield finding("code_twice", path, given=code)
        seen.add((likes, code))


def _field(path: str, field: Field) -> Iterator[Finding]:
    if (field.type in CHOICES) != bool(field.options):
        yield finding("options_missing" if field.type in CHOICES else "options_unused", f"{path}.options")
    if field.type not in NUMBERS and (field.low is not None or field.high is not None):
        yield finding("bounds_unused", path)
    elif not all(math.isfinite(bound) for bound in (field.low, field.high) if bound is not None):
        yield finding("bounds_endless", path)
    elif field.low is not None and field.high is not None and field.low > field.high:
        yield finding("bounds_crossed", path, low=f"{field.low:g}", high=f"{field.high:g}")
    if field.type not in TEXT_TYPES and (field.chars_max is not None or field.pattern is not None):
        yield finding("text_rules_unused", path)
        return
    most = limits.TEXT_CHARS_MAX
    if field.chars_max is not None and not 1 <= field.chars_max <= most:
        yield finding("range", f"{path}.chars_max", low=1, high=most)
    if field.pattern is not None:
        if len(field.pattern) > limits.PATTERN_CHARS_MAX:
            yield finding("pattern_long", f"{path}.pattern", limit=limits.PATTERN_CHARS_MAX)
        elif fault := pattern_fault(field.pattern):
            yield finding("pattern", f"{path}.pattern", fault=fault)


# ------------------------------------------------------------------------------------------------ intake


def _checks(kind: Kind) -> Iterator[Finding]:
    for n, one in enumerate(kind.checks):
        path = f"checks.{n}"
        match one:
            case RequiredCheck():
                for m, name in enumerate(one.fields):
                    if not _known(kind, name):
                        yield finding("name", f"{path}.fields.{m}", given=name, known=_names(kind))
                for m, channel in enumerate(one.channels):
                    if channel not in CHANNELS:
                        known = ", ".join(sorted(CHANNELS))
                        yield finding("name", f"{path}.channels.{m}", given=channel, known=known)
            case DescriptionCheck():
                if not 1 <= one.chars_min <= limits.TEXT_CHARS_MAX:
                    yield finding("range", f"{path}.chars_min", low=1, high=limits.TEXT_CHARS_MAX)
            case PhoneCheck():
                if not one.forms or not set(one.forms) <= FORMS:
                    known = ", ".join(sorted(FORMS))
                    yield finding("name", f"{path}.forms", given=", ".join(one.forms) or "–", known=known)
                for m, country in enumerate(one.countries):
                    if not re.fullmatch("[A-Z]{2}", country):
                        yield finding("country", f"{path}.countries.{m}", given=country)
            case AttachmentCheck():
                yield from _attachment(kind, path, one)
            case ExpressionCheck():
                yield from _expression(kind, f"{path}.refuse_when", one.refuse_when)
                if not _known(kind, one.path):
                    yield finding("name", f"{path}.path", given=one.path, known=_names(kind))


def _attachment(kind: Kind, path: str, one: AttachmentCheck) -> Iterator[Finding]:
    yield from _expression(kind, f"{path}.when", one.when)
    if not 1 <= one.count_min <= 10:
        yield finding("range", f"{path}.count_min", low=1, high=10)
    if len(one.words) > limits.WORDS_MAX:
        yield finding("words", f"{path}.words", limit=limits.WORDS_MAX, given=len(one.words))
    for m, word in enumerate(one.words):
        if not word.strip():
            yield finding("blank", f"{path}.words.{m}")
    for m, media in enumerate(one.media):
        if not re.fullmatch(r"[a-z]+/[a-z0-9.+-]*", media):
            yield finding("media", f"{path}.media.{m}", given=media)


def _known(kind: Kind, name: str) -> bool:
    root, _, code = name.partition(".")
    return name in KNOWN or (root == "fields" and kind.field(code) is not None)


def _names(kind: Kind) -> str:
    return ", ".join([*sorted(KNOWN), *(f"fields.{field.code}" for field in kind.fields)])


# ------------------------------------------------------------------------------------------------ steps


def _step(
    kind: Kind, path: str, step: Step, events: Collection[str], posts: Collection[str] | None
) -> Iterator[Finding]:
    yield from _owner(f"{path}.owner", step.owner, posts)
    if step.owner == "system" and step.by_hand:
        yield finding("nobody_by_hand", f"{path}.by_hand", step=step.code)
    for m, code in enumerate(step.fields):
        if kind.field(code) is None:
            known = ", ".join(field.code for field in kind.fields) or "–"
            yield finding("name", f"{path}.fields.{m}", given=code, known=known)
    for m, event in enumerate(step.events):
        if event not in events:
            yield finding("name", f"{path}.events.{m}", given=event, known=", ".join(sorted(events)))
    for name, value, high in (
        ("minutes", step.minutes, limits.STEP_MINUTES_MAX),
        ("times_max", step.times_max, limits.TIMES_MAX),
    ):
        if value is not None and not 1 <= value <= high:
            yield finding("range", f"{path}.{name}", low=1, high=high)
    yield from _expression(kind, f"{path}.enter", step.enter, step)
    for m, approval in enumerate(step.approvals):
        place = f"{path}.approvals.{m}"
        yield from _owner(f"{place}.by", approval.by, posts)
        if approval.by in ("system", step.owner):
            yield finding("approves_itself", f"{place}.by", given=approval.by)
        yield from _expression(kind, f"{place}.when", approval.when, step, blank="error")
    for m, branch in enumerate(step.next):
        place = f"{path}.next.{m}"
        if kind.step(branch.to) is None:
            known = ", ".join(one.code for one in kind.steps)
            yield finding("name", f"{place}.to", given=branch.to, known=known)
        yield from _expression(kind, f"{place}.when", branch.when, step)
    for name, actions in (("on_enter", step.on_enter), ("on_done", step.on_done)):
        for m, action in enumerate(actions):
            place = f"{path}.{name}.{m}.value"
            if action.do in WITH_VALUE and not CODE.fullmatch(action.value):
                yield finding("action_value", place, given=action.do.value)
            elif action.do not in WITH_VALUE and action.value:
                yield finding("action_value_unused", place, given=action.do.value)


def _owner(path: str, owner: str, posts: Collection[str] | None) -> Iterator[Finding]:
    sort, _, name = owner.partition(":")
    if owner in OWNERS or (sort == "role" and name in ROLES):
        return
    if sort == "post" and POST.fullmatch(name):
        if posts is not None and name not in posts:
            yield finding("post_empty", path, level="warning", given=name)
        return
    known = ", ".join([*sorted(OWNERS), *(f"role:{role}" for role in sorted(ROLES)), "post:…"])
    yield finding("owner", path, given=owner, known=known)


def _expression(
    kind: Kind, path: str, text: str, step: Step | None = None, *, blank: str = "warning"
) -> Iterator[Finding]:
    """What is wrong with an expression, and whether it reads a field that need not be filled in by then (`blank`)."""
    try:
        read = check_expression(text, kind, path=path)
    except BadExpression as fault:
        yield Finding(
            code=str(fault.details["reason"]),
            path=path,
            level="error",
            en=fault.why("en"),
            zh=fault.why("zh"),
        )
        return
    if step is None:
        return
    for code in sorted(unfilled(kind, step, read)):
        # Whoever asks `has(…)` has thought of it.
        if not re.search(rf"has\(\s*fields\.{code}\s*\)", text):
            yield finding("may_be_blank", path, level=blank, given=code, step=step.code)


def as_rows(found: Collection[Finding]) -> list[dict[str, str]]:
    """Findings as plain rows, for JSON."""
    return [msgspec.to_builtins(one) for one in found]
