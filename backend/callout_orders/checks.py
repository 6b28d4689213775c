"""What a value must be before the service desk stores it. A refusal names the field and says why.

PostgreSQL's text holds neither U+0000 nor lone surrogates; a check here turns what would be a fault of the
database into a refusal that names the field.
"""

import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import phonenumbers

from callout_geo.points import BadPoint, parse_point, refuse_null_island
from callout_store.clock import YEARS, taken_instant
from callout_store.errors import BadField, BadFields, LimitExceeded, PointInvalid, Refusal

T = TypeVar("T")

LINE_CHARS_MAX: Final = 200
TEXT_CHARS_MAX: Final = 4000
BATCH_MAX: Final = 20_000
"""Rows in one bulk call: arrays of this size still travel as one statement of a few megabytes."""

_REASONS: Final[dict[str, tuple[str, str]]] = {
    "missing": ("it is missing", "未填写"),
    "too_long": ("it is longer than {limit} characters", "长度超过 {limit} 个字符"),
    "nul": ("it holds the character U+0000, which cannot be stored", "包含无法保存的字符 U+0000"),
    "surrogate": ("it holds half of a character (a lone surrogate)", "包含不完整的字符(孤立代理项)"),
    "not_text": ("it is not a text", "不是文本"),
    "not_one_of": ("it is none of {options}", "必须是以下之一:{options}"),
    "range": ("it must lie between {low} and {high}", "必须在 {low} 与 {high} 之间"),
    "phone": ("it is not a telephone number that can be dialled", "不是有效的电话号码"),
    "email": ("it is not an e-mail address", "不是有效的电子邮箱地址"),
    "naive_time": ("the time has no time zone", "时间缺少时区"),
    "years": ("its year lies outside of {low} to {high}", "年份必须在 {low} 与 {high} 之间"),
    "future": ("the time lies in the future", "时间在将来"),
    "skill": ("a skill is small letters, digits and underscores", "技能代码只能包含小写字母、数字和下划线"),
    "strokes": ("the strokes are not lists of [x, y, t] with numbers", "签名笔迹格式不正确"),
    "not_canonical": ("it may hold only texts, whole numbers, true, false, null, lists and objects",
                      "只能包含文本、整数、布尔值、空值、列表和对象"),
    "twice": ("it comes twice", "重复出现"),
    "form_schema": ("it is not a JSON Schema of draft 2020-12: {fault}", "不是有效的 JSON Schema(2020-12 草案):{fault}"),
    "form_ref": ("$ref may only lead to #/$defs/… of the same schema ({given})",
                 "$ref 只能指向同一模式中的 #/$defs/…({given})"),
    "form_keyword": ("the keyword {given} is not read in a form", "表单不支持关键字 {given}"),
    "form_cycle": ("its definitions lead back to themselves ({given})", "定义循环引用({given})"),
    "form_code": ("a code is a small letter, then up to 39 of a-z, 0-9 and underscore",
                  "代码须以小写字母开头,后接至多 39 个小写字母、数字或下划线"),
    "hours_form": ("a time of day is written 09:00, from 00:00 on and until 24:00 at most",
                   "时刻应写作 09:00,从 00:00 起,最晚到 24:00"),
    "hours_order": ("it ends before it starts, or at once; hours over midnight are two intervals",
                    "结束时间不晚于开始时间;跨越午夜请分为两段"),
    "hours_overlap": ("it overlaps interval {other} of the same day", "与同一天的第 {other} 段重叠"),
    "window_half": ("a requested window has a start and an end; give both or none", "预约时段须同时填写开始和结束"),
    "window_order": ("the requested window ends before it starts, or at once", "预约时段的结束时间不晚于开始时间"),
    "window_past": ("the requested window is over already", "预约时段已过"),
    "follows_self": ("an order cannot follow itself", "工单不能以自身为前置"),
    "follows_cycle": ("that order follows this one already, so neither could ever start",
                      "该工单已直接或间接以本工单为前置,两者都将无法开始"),
    "follows_long": ("more than {limit} orders would follow one another", "前后相接的工单超过 {limit} 个"),
    "follows_canceled": ("that order was called off; nothing can follow it", "该工单已取消,不能作为前置"),
    "gap_alone": ("a gap needs an order to follow", "填写间隔时须同时填写前置工单"),
    "half_point": ("latitude and longitude are given together or not at all", "纬度和经度必须同时提供"),
}  # fmt: skip

_POINT_REASONS: Final[dict[str, tuple[str, str]]] = {
    "missing": ("a coordinate is missing", "缺少坐标"),
    "not_a_number": ("a coordinate is not a number", "坐标不是数字"),
    "not_finite": ("a coordinate is not a finite number", "坐标不是有限数值"),
    "out_of_range": (
        "latitude is at most 90 and longitude at most 180 degrees",
        "纬度不超过 90 度,经度不超过 180 度",
    ),
    "null_island": ("0/0 means that a position was lost", "0/0 表示位置丢失"),
}


class FieldRefused(BadField):
    """`BadField` with its reason in the reader's language."""

    def __init__(self, path: str, reason: str, **details: Any) -> None:
        english, self._chinese = _REASONS[reason]
        self._chinese = self._chinese.format_map(details)
        super().__init__(path=path, why=english.format_map(details), reason=reason, **details)

    def why(self, locale: str = "en") -> str:
        """The reason alone, in `en` or `zh`."""
        return self._chinese if locale.startswith("zh") else str(self.details["why"])

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        return self.zh.format(why=self._chinese) if locale.startswith("zh") else super().message(locale)


class FieldsRefused(BadFields):
    """Everything that was wrong with a form, at once; see `extensions`."""

    def __init__(self, faults: Sequence[BadField | PointInvalid | LimitExceeded]) -> None:
        self.faults = tuple(faults)
        why = "; ".join(f"{fault.path}: {_why(fault, 'en')}" for fault in self.faults)
        super().__init__(path=self.faults[0].path, count=len(self.faults), why=why)

    def message(self, locale: str = "en") -> str:
        """All reasons, in `en` or `zh`."""
        why = ";".join(f"{fault.path}:{_why(fault, locale)}" for fault in self.faults)
        return (
            self.zh.format(count=len(self.faults), why=why)
            if locale.startswith("zh")
            else super().message(locale)
        )

    def extensions(self) -> dict[str, Any]:
        """As of every refusal, and `errors`: each fault by itself, in both languages."""
        return super().extensions() | {
            "errors": [
                {
                    "path": fault.path,
                    "code": fault.code,
                    "reason": str(fault.details.get("reason", fault.code)).lower(),
                    "en": _why(fault, "en"),
                    "zh": _why(fault, "zh"),
                }
                for fault in self.faults
            ]
        }


def _why(fault: Refusal, locale: str) -> str:
    return fault.why(locale) if isinstance(fault, FieldRefused) else fault.message(locale)


class Gather:
    """Collects what is wrong with a form: `with gather: check(...)` for each field, `gather.settle()` at the end.

    A block that was refused ends there; the next one is looked at nevertheless.
    """

    def __init__(self) -> None:
        self.faults: list[BadField | PointInvalid | LimitExceeded] = []

    def __enter__(self) -> "Gather":
        return self

    def __exit__(self, _: object, fault: BaseException | None, __: object) -> bool:
        if isinstance(fault, FieldsRefused):
            self.faults += fault.faults
            return True
        if isinstance(fault, BadField | PointInvalid | LimitExceeded):
            self.faults.append(fault)
            return True
        return False

    def settle(self) -> None:
        """Raise what was found: the one fault itself, or FieldsRefused for several."""
        if len(self.faults) == 1:
            raise self.faults[0]
        if self.faults:
            raise FieldsRefused(self.faults)


class PointRefused(PointInvalid):
    """`PointInvalid` with its reason in the reader's language."""

    def __init__(self, path: str, reason: str) -> None:
        english, self._chinese = _POINT_REASONS[reason]
        super().__init__(path=path, why=english, reason=reason)

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        return self.zh.format(why=self._chinese) if locale.startswith("zh") else super().message(locale)


def text(path: str, value: object, *, chars_max: int = LINE_CHARS_MAX, blank: bool = False) -> str:
    """`value` without the blanks around it. Refused when no text, too long, unstorable, or empty (see `blank`)."""
    if not isinstance(value, str):
        raise FieldRefused(path, "missing" if value is None else "not_text")
    if "\x00" in value:
        raise FieldRefused(path, "nul")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise FieldRefused(path, "surrogate") from None
    trimmed = value.strip()
    if not trimmed and not blank:
        raise FieldRefused(path, "missing")
    if len(trimmed) > chars_max:
        raise FieldRefused(path, "too_long", limit=chars_max)
    return trimmed


def optional_text(path: str, value: object, *, chars_max: int = LINE_CHARS_MAX) -> str | None:
    """Like `text`; None and blank text are None."""
    return None if value is None else text(path, value, chars_max=chars_max, blank=True) or None


def one_of(path: str, value: str, options: frozenset[str]) -> str:
    """`value`, which must be one of `options`."""
    if value not in options:
        raise FieldRefused(path, "not_one_of", options=", ".join(sorted(options)))
    return str(value)


def whole(path: str, value: object, *, low: int, high: int) -> int:
    """`value`, a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise FieldRefused(path, "range", low=low, high=high)
    return value


def point(path: str, lat: object, lng: object) -> tuple[float, float] | None:
    """WGS-84 degrees, or None where neither is given; refuses ranges, NaN and the null island."""
    if lat is None and lng is None:
        return None
    if lat is None or lng is None:
        raise FieldRefused(path + ("lat" if lat is None else "lng"), "half_point")
    try:
        place = refuse_null_island(parse_point(lat, lng))
    except BadPoint as fault:
        raise PointRefused(path + fault.field, fault.reason) from None
    return place.lat, place.lng


def phone(path: str, value: object, *, region: str) -> str | None:
    """The number in E.164; `region` (ISO 3166) is used where it has no country code. Blank is None."""
    given = optional_text(path, value, chars_max=40)
    if given is None:
        return None
    try:
        number = phonenumbers.parse(given, region)
    except phonenumbers.NumberParseException:
        raise FieldRefused(path, "phone") from None
    if not phonenumbers.is_valid_number(number):
        raise FieldRefused(path, "phone")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def email(path: str, value: object) -> str | None:
    """An address in small letters; only its outer form is checked, since only a mail proves more."""
    given = optional_text(path, value, chars_max=254)
    if given is None:
        return None
    if not re.fullmatch(r"[^\s@]+@[^\s@]+\.[^\s@]+", given):
        raise FieldRefused(path, "email")
    return given.lower()


def instant(path: str, value: datetime, *, now: datetime, ahead_s: float = 300.0) -> datetime:
    """`value` in UTC, which must have a time zone and lie at most `ahead_s` ahead of `now`."""
    if value.tzinfo is None:
        raise FieldRefused(path, "naive_time")
    try:
        value = taken_instant(value)
    except ValueError:
        raise FieldRefused(path, "years", low=YEARS[0], high=YEARS[-1]) from None
    if (value - now).total_seconds() > ahead_s:
        raise FieldRefused(path, "future")
    return value


def skills(path: str, given: dict[str, int]) -> dict[str, int]:
    """Skill codes with the level (1..5) that is needed."""
    if len(given) > 20:
        raise LimitExceeded(what="skills", limit=20, given=len(given), path=path)
    for code, level in given.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", code):
            raise FieldRefused(path, "skill")
        whole(f"{path}.{code}", level, low=1, high=5)
    return given


def finite(value: object) -> bool:
    """Whether `value` is a number that is neither NaN nor infinite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def batch(what: str, rows: list[T], *, limit: int = BATCH_MAX) -> list[T]:
    """`rows`, of which there may be `limit` at most."""
    if len(rows) > limit:
        raise LimitExceeded(what=what, limit=limit, given=len(rows))
    return rows


def ids(what: str, given: list[UUID], *, limit: int = 10_000) -> list[UUID]:
    """`given`, of which there may be `limit` at most."""
    return batch(what, given, limit=limit)
