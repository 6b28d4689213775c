"""What a value must be before the service desk stores it. A refusal names the field and says why.

PostgreSQL's text holds neither U+0000 nor lone surrogates; a check here turns what would be a fault of the
database into a refusal that names the field.
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import phonenumbers

from callout_geo.points import BadPoint, parse_point, refuse_null_island
from callout_store import whys
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
    "expression_syntax": ("it is not an expression in CEL: {fault}", "不是有效的 CEL 表达式:{fault}"),
    "expression_quotes": ("texts stand in plain '…' or \"…\", on one line", "文本须写在同一行的 '…' 或 \"…\" 中"),
    "expression_long": ("an expression has at most {limit} characters, this one {given}",
                        "表达式最多 {limit} 个字符,当前为 {given}"),
    "expression_name": ("it names {given}, which is not there; there are: {known}", "引用了不存在的 {given};可用:{known}"),
    "expression_function": ("{given} is not read here; there are: {known}", "不支持 {given};可用:{known}"),
    "expression_nested": ("{given} cannot stand within a loop, for it could take very long",
                          "循环内不能使用 {given},否则可能耗时过长"),
    "expression_loops": ("it has {given} loops; the limit is {limit}", "包含 {given} 个循环,上限为 {limit}"),
    "expression_names": ("its loops name values {given} times; the limit is {limit}",
                         "循环内引用了 {given} 次数据,上限为 {limit}"),
    "expression_sums": ("beside loops and `matches` it has {given} `+`; the limit is {limit}",
                        "含循环或 matches 的表达式中有 {given} 个“+”,上限为 {limit}"),
    "expression_matches": ("it has {given} `matches`; the limit is {limit}", "包含 {given} 个 matches,上限为 {limit}"),
    "expression_pattern": ("`matches` takes a regular expression that is written out in '…' and not too large: {fault}",
                           "matches 的参数须是直接写在 '…' 中且不过大的正则表达式:{fault}"),
    "expression_list": ("{given} has more than {limit} entries, which no expression looks at",
                        "{given} 超过 {limit} 项,表达式无法处理"),
    "expression_value": ("{given} is longer than {limit} characters, which no expression looks at",
                         "{given} 超过 {limit} 个字符,表达式无法处理"),
    "expression_result": ("it says neither yes nor no but gives a value of type {given}", "结果不是真或假,而是 {given} 类型"),
    "expression_failed": ("it cannot be evaluated: {fault}", "无法求值:{fault}"),
    "kind_toml": ("it is not TOML: {fault}", "不是有效的 TOML:{fault}"),
    "kind_shape": ("it is not as a kind of order is written: {fault}", "不符合工单类型的格式:{fault}"),
    "kind_unknown": ("there is no active kind of order with this code; there are: {options}",
                     "没有此代码的有效工单类型;可用:{options}"),
    "kind_field": ("this kind of order has no such field; there are: {options}", "该工单类型没有此字段;可用:{options}"),
    "number": ("it is not a number", "不是数字"),
    "whole_number": ("it is not a whole number", "不是整数"),
    "decimals": ("it has more than two decimals", "小数位数超过两位"),
    "boolean": ("it is neither true nor false", "必须为 true 或 false"),
    "date": ("it is not a day, written 2026-01-15", "不是有效日期,应写作 2026-01-15"),
    "datetime": ("it is not a moment with a time zone, written 2026-01-15T09:00:00+08:00",
                 "不是带时区的时刻,应写作 2026-01-15T09:00:00+08:00"),
    "pattern": ("it does not fit the pattern {pattern}", "不符合格式 {pattern}"),
    "choices": ("it is not a list of options", "不是选项列表"),
    "garbled": ("it holds a character that was lost when the file was saved; type it anew",
                "包含保存文件时丢失的字符,请重新输入"),
    "cell_date": ("{given} is no time that is known here; write 2026-01-15 09:00, or give the column its formats",
                  "无法识别时间 {given};请写作 2026-01-15 09:00,或为该列设置时间格式"),
    "config_shape": ("it is not as a mapping is written: {fault}", "不符合映射的格式:{fault}"),
    "date_format": ("{given} is no format of a time, such as %d/%m/%Y %H:%M",
                    "{given} 不是时间格式,例如 %d/%m/%Y %H:%M"),
    "hand_on_to": ("say to whom: a user, a team, or both", "请指定转派对象:人员、小组或两者"),
    "not_in_team": ("this person is not an active member of that team, or of any", "此人不是该小组(或任何小组)的在职成员"),
    "move_until": ("it must lie ahead, by {hours} hours at most", "必须在将来,且不超过 {hours} 小时"),
    "time_zone": ("it is not a time zone, written Asia/Shanghai", "不是有效的时区,应写作 Asia/Shanghai"),
    "not_staff": ("there is no active user of the house with this id", "没有此编号的在职内部人员"),
    "cursor": ("it is not a cursor of this list", "不是此列表的游标"),
    "duty_day": ("give a weekday (0 is Monday) or a date, not both", "请填写星期(0 为星期一)或日期,二者只能填一个"),
    "duty_nobody": ("only a date may say that nobody is on duty", "只有指定日期才可设为无人值班"),
    "quiet": ("quiet hours are written 22:00-07:00; leave it empty for none", "免打扰时段应写作 22:00-07:00,留空表示不设"),
    "order_url": ("it is no address of a page, with {{number}} or {{id}} where the order's is to stand",
                  "不是有效的页面地址,可用 {{number}} 或 {{id}} 表示工单编号或标识"),
    "url": ("it is no address that begins with https:// (or http://) and names a host", "不是以 https://(或 http://)开头的有效地址"),
    "carrier": ("{fault}", "无法用于该渠道:{fault}"),
    "template_syntax": ("line {line}: it is no template: {detail}", "第 {line} 行:模板语法错误:{detail}"),
    "template_unknown": ("line {line}: there is no placeholder {detail}; there are: {known}",
                         "第 {line} 行:没有占位符 {detail};可用:{known}"),
    "template_not_allowed": ("line {line}: {detail} is not read in a template; "
                             "write texts, placeholders, if, and a loop over items",
                             "第 {line} 行:模板不支持 {detail};只能使用文本、占位符、if 以及对 items 的循环"),
    "template_filter": ("line {line}: there is no filter {detail}; there are: {known}",
                        "第 {line} 行:没有过滤器 {detail};可用:{known}"),
    "template_loop": ("line {line}: a loop is {{% for item in items %}}, and none stands in another",
                      "第 {line} 行:循环只能写作 {{% for item in items %}},且不能嵌套"),
    "template_too_long": ("line {line}: it is over the limit of {detail}", "第 {line} 行:超过上限 {detail}"),
    "template_too_long_filled": ("filled in it is longer than {detail} characters", "填充后超过 {detail} 个字符"),
    "template_breaks": ("line {line}: it cannot be filled in: {detail}", "第 {line} 行:无法填充:{detail}"),
    "template_too_deep": ("it is nested too deeply", "嵌套层数过多"),
    "chat_user": ("it is not the id, or the mobile number, of one person in that chat",
                  "不是该聊天工具中单个成员的账号或手机号"),
    "subscription": ("it is no web-push subscription: JSON with an https endpoint and the keys p256dh and auth",
                     "不是有效的网页推送订阅:应为包含 https endpoint 以及 p256dh、auth 密钥的 JSON"),
    "channel_code": ("a code is a small letter, then up to 38 of a-z, 0-9, hyphen and underscore",
                     "代码须以小写字母开头,后接至多 38 个小写字母、数字、连字符或下划线"),
    "channel_kept": ("it cannot be changed any more; make another channel", "不能修改,请另建渠道"),
    "secret_again": ("where it is sent to was changed: enter it again", "其发送地址已更改,请重新填写"),
    "channel_key": ("an EncodingAESKey is 43 letters and digits, as the service shows it",
                    "EncodingAESKey 为服务商后台显示的 43 位字母和数字"),
    "channel_url": ("it is no address that begins with https:// and names a host, without user or query",
                    "不是以 https:// 开头的有效地址,不能包含用户名或查询参数"),
    "channel_list": ("it is no list of at most {limit} texts", "不是至多 {limit} 项的文本列表"),
    "channel_needs": ("the channel cannot be switched on without it", "启用渠道前必须填写"),
    "channel_either": ("the channel cannot be switched on without one of {options}", "启用渠道前须填写其中之一:{options}"),
    "file_large": ("the file is larger than {limit} MB", "文件超过 {limit} MB"),
    "file_empty": ("the file is empty", "文件为空"),
    "file_type": ("the file is no JPEG, PNG, WebP or HEIC picture, MP4 film or PDF, or is damaged ({given})",
                  "文件不是 JPEG、PNG、WebP、HEIC 图片,MP4 视频或 PDF,或已损坏({given})"),
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


def add_reasons(reasons: Mapping[str, tuple[str, str]]) -> None:
    """Make reasons of a room known: by name, in English and Chinese, with `{details}`. A room calls it on import."""
    _REASONS.update(reasons)


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
        why = "; ".join(f"{fault.path}: {why_of(fault, 'en')}" for fault in self.faults)
        super().__init__(path=self.faults[0].path, count=len(self.faults), why=why)

    def message(self, locale: str = "en") -> str:
        """All reasons, in `en` or `zh`."""
        why = ";".join(f"{fault.path}:{why_of(fault, locale)}" for fault in self.faults)
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
                    "en": why_of(fault, "en"),
                    "zh": why_of(fault, "zh"),
                }
                for fault in self.faults
            ]
        }


def why_of(fault: Refusal, locale: str) -> str:
    """The reason of a refusal alone, where it has one, else its sentence, in `en` or `zh`."""
    if isinstance(fault, FieldRefused):
        return fault.why(locale)
    if type(fault) is BadField and "why" in fault.details:
        why = str(fault.details["why"])
        return whys.chinese(why) if locale.startswith("zh") else why
    return fault.message(locale)


REFUSED: Final = (FieldsRefused, BadField, PointInvalid, LimitExceeded)
"""What `Gather` collects."""


class Gather:
    """Collects what is wrong with a form: `with gather: check(...)` for each field, `gather.settle()` at the end.

    A block that was refused ends there; the next one is looked at nevertheless.
    """

    def __init__(self) -> None:
        self.faults: list[BadField | PointInvalid | LimitExceeded] = []

    def __enter__(self) -> "Gather":
        return self

    def __exit__(self, _: object, fault: BaseException | None, __: object) -> bool:
        if not isinstance(fault, REFUSED):
            return False
        self.add(fault)
        return True

    def add(self, fault: "FieldsRefused | BadField | PointInvalid | LimitExceeded") -> None:
        """Collect a refusal that was caught."""
        if isinstance(fault, FieldsRefused):
            self.faults += fault.faults
        else:
            self.faults.append(fault)

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
