"""A row of a sheet as a request for an order. Values only: everything that is wrong with the row's cells at once."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from callout_orders import checks
from callout_orders.checks import FieldRefused, FieldsRefused, Gather
from callout_orders.imports.mapping import (
    CUSTOM,
    DAY_ZERO,
    LISTS,
    NUMBERS,
    OTHER,
    TEXTS,
    TIMES,
    WHOLE,
    Config,
    Plan,
    value_of,
)
from callout_orders.precheck.terms import Fault, Request, fault_of
from callout_store.errors import Refusal

FORMATS: Final = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%Y.%m.%d %H:%M", "%Y.%m.%d",
    "%Y年%m月%d日 %H:%M:%S", "%Y年%m月%d日 %H:%M", "%Y年%m月%d日%H:%M",
    "%Y年%m月%d日 %H时%M分", "%Y年%m月%d日%H时%M分", "%Y年%m月%d日",
    "%Y%m%d%H%M%S", "%Y%m%d",
)  # fmt: skip
"""Dates whose year comes first are read by themselves. 03/04/2026 is two days, by the country: a template says which."""
SERIALS: Final = (20_000.0, 80_000.0)
"""A day as Excel counts it (1954 to 2119), where a column of times was left as numbers."""
IDS: Final = frozenset({"reference", "serial", "contact_phone", "customer_number"})
"""What is made of digits and is no number: two of them that differ in the last digit only are two."""
_DIGITS_LOST: Final = re.compile(r"\d(\.\d+)?[eE]\+\d{1,3}")
"""How a spreadsheet program writes a number that it no longer holds, or shows, with all its digits."""
checks.add_reasons(
    {
        "row_differs": (
            "the order with this reference was made from a row with other content, and was not changed: if this is another "
            "order, give it a reference of its own",
            "已有工单使用此编号,其原始行内容与本行不同,该工单未作更改;若本行是另一张工单,请使用不同的编号",
        ),
        "digits_lost": (
            "{given} is a number whose digits the spreadsheet program dropped: format the column as text, and fill the "
            "digits in anew",
            "{given} 的部分数字已被电子表格软件舍去:请将该列设为文本格式后重新填写",
        ),
    }
)
DIGEST_CHARS: Final = 40
_LEVEL: Final = re.compile(r"[0-9]{1,3}")
MARKS: Final = (",", ";", "、", ",", ";", "|", "\n")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row: its number, the request (None where its cells could not be read), and what was wrong with them."""

    n: int
    request: Request | None
    faults: tuple[RowFault, ...] = ()


class RowFault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a row: the column's header (None: no column), the field, a stable code, and the text."""

    column: str | None
    field: str
    code: str
    reason: str
    en: str
    zh: str

    def text(self, locale: str) -> str:
        """What was wrong and what to do, in `en` or `zh`."""
        return self.zh if locale.startswith("zh") else self.en


def fingerprints(rows: Sequence[tuple[int, Sequence[str]]]) -> list[str]:
    """What each row is known by where it has no reference: its content's hash, and which one of its like it is."""
    found: list[str] = []
    times: Counter[str] = Counter()
    for _, cells in rows:
        text = msgspec.json.encode([" ".join(cell.split()) for cell in cells])
        digest = hashlib.sha256(text).hexdigest()[:DIGEST_CHARS]
        times[digest] += 1
        found.append(f"row-{digest}" + (f"-{times[digest]}" if times[digest] > 1 else ""))
    return found


def content(fingerprint: str) -> str:
    """The part of a fingerprint that is the content's."""
    return fingerprint[: len("row-") + DIGEST_CHARS]


def converted(
    config: Config, plan: Plan, n: int, cells: Sequence[str], fingerprint: str, *, zone: ZoneInfo, locale: str
) -> Row:
    """Row `n` as a request. `zone` is where times without one are at home."""
    gather = Gather()
    values: dict[str, Any] = {}
    for field in {**dict.fromkeys(config.constants), **dict.fromkeys(plan.fields)}:
        text = _text(config, plan, field, cells)
        if text is None:
            continue
        with gather:
            if "\ufffd" in text:
                raise FieldRefused(field, "garbled")
            if (field in IDS or field.startswith(OTHER)) and _DIGITS_LOST.fullmatch(text):
                raise FieldRefused(field, "digits_lost", given=text)
            _put(values, plan, field, text, zone)
    if gather.faults:
        return Row(n=n, request=None, faults=refused(plan, gather.faults))
    if values.get("lat") == 0 and values.get("lng") == 0:
        # What other systems write where they have no point. The order is worth more than the refusal.
        del values["lat"], values["lng"]
    references = [
        (config.system, values.pop("reference", None) or fingerprint),
        *values.pop("references", ()),
    ]
    if not config.keep_clock:
        values["reported_at"] = values.get("reported_at") or values.pop("created_at", None)
        values.pop("created_at", None)
    request = Request(
        channel=values.pop("channel", "api"),
        description=values.pop("description", ""),
        locale=values.pop("locale", locale),
        references=tuple(references),
        may_create=config.may_create,
        read_text=config.read_text,
        link_duplicates=config.link_duplicates,
        **values,
    )
    return Row(n=n, request=request)


def of_precheck(plan: Plan, faults: Sequence[Fault]) -> tuple[RowFault, ...]:
    """What the pre-check found wrong with a row's request, with the columns that its fields come from."""
    return tuple(
        RowFault(
            column=plan.header_of(_snake(fault.path)) or plan.header_of(_snake(fault.path.split(".")[0])),
            field=_snake(fault.path),
            code=fault.code,
            reason=fault.reason,
            en=fault.en,
            zh=fault.zh,
        )
        for fault in faults
    )


def refused(plan: Plan, refusals: Sequence[Refusal]) -> tuple[RowFault, ...]:
    """Refusals of a row's request, each fault of a form by itself, with the columns that its fields come from."""
    return of_precheck(
        plan,
        [
            fault_of(one)
            for refusal in refusals
            for one in (refusal.faults if isinstance(refusal, FieldsRefused) else (refusal,))
        ],
    )


def _snake(path: str) -> str:
    if path.startswith("fields."):
        return CUSTOM + path.removeprefix("fields.")
    if path.startswith("references"):
        return "reference"
    if path.startswith("point"):
        return "lat"
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in path)


def _text(config: Config, plan: Plan, field: str, cells: Sequence[str]) -> str | None:
    """The field's cells together, in our words; the constant where all of them are empty."""
    parts = [
        value_of(plan.columns[place], field, cells[place])
        for place in plan.fields.get(field, ())
        if place < len(cells) and cells[place]
    ]
    return "; ".join(parts) or config.constants.get(field)


def _put(values: dict[str, Any], plan: Plan, field: str, text: str, zone: ZoneInfo) -> None:
    if field == "reference":
        values["reference"] = checks.text(field, text, chars_max=120)
    elif field.startswith(OTHER):
        values.setdefault("references", []).append(
            (field.removeprefix(OTHER), checks.text(field, text, chars_max=120))
        )
    elif field.startswith(CUSTOM):
        values.setdefault("fields", {})[field.removeprefix(CUSTOM)] = _custom(text)
    elif field in TIMES:
        places = plan.fields.get(field, ())
        formats = plan.columns[places[0]].formats if places else ()
        values[field] = instant(field, text, formats, zone, plan.day_zero)
    elif field in NUMBERS:
        values[field] = _number(field, text)
    elif field in WHOLE:
        number = _number(field, text)
        if not number.is_integer():
            raise FieldRefused(field, "whole_number")
        values[field] = int(number)
    elif field == "tags":
        values["tags"] = tuple(_items(text))
    elif field in LISTS:
        values["skills"] = _skills(field, text)
    elif field in TEXTS:
        values[field] = text


def _custom(text: str) -> Any:
    """A custom field's value as its kind's schema may want it: true and false are no texts; numbers are left to it."""
    return {"true": True, "false": False, "是": True, "否": False, "yes": True, "no": False}.get(
        text.casefold(), text
    )


def instant(
    field: str, text: str, formats: Sequence[str], zone: ZoneInfo, day_zero: datetime = DAY_ZERO
) -> datetime:
    """A time in UTC. Without formats: ISO 8601, dates that begin with the year, and days as Excel counts them."""
    found = _parsed(text, formats, day_zero)
    if found is None:
        raise FieldRefused(field, "cell_date", given=text[:60])
    if found.year < 1900 or found.year > 2199:
        raise FieldRefused(field, "years", low=1900, high=2199)
    return (found if found.tzinfo is not None else found.replace(tzinfo=zone)).astimezone(UTC)


def _parsed(text: str, formats: Sequence[str], day_zero: datetime) -> datetime | None:
    for pattern in formats:
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if SERIALS[0] <= days <= SERIALS[1]:
        # Excel's days are binary fractions: a second is the finest that is meant.
        return day_zero + timedelta(seconds=round(days * 86_400))
    if formats:
        return None
    for pattern in FORMATS:
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    return None


def _number(field: str, text: str) -> float:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        raise FieldRefused(field, "number") from None
    if not math.isfinite(number):
        raise FieldRefused(field, "number")
    return number


def _items(text: str) -> list[str]:
    for mark in MARKS[1:]:
        text = text.replace(mark, MARKS[0])
    return [item.strip() for item in text.split(MARKS[0]) if item.strip()]


def _skills(field: str, text: str) -> dict[str, int]:
    """`sewer:2, electric`: a skill's code with the level that is needed, 1 where none is said."""
    found: dict[str, int] = {}
    for item in _items(text):
        code, _, level = item.replace(":", ":").partition(":")
        if level and not _LEVEL.fullmatch(level.strip()):
            raise FieldRefused(field, "skill")
        found[code.strip()] = int(level) if level else 1
    return found
