"""How a sheet's columns become fields of a request. Values only.

A template says, header by header, which field a column is; what it leaves out is told by the header itself (`headers`),
unless the template says otherwise. Times without a zone are read in the organisation's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from callout_orders import checks
from callout_orders.checks import FieldRefused, Gather
from callout_orders.imports.headers import guesses, shown
from callout_orders.imports.refusals import SheetRefused
from callout_store.errors import LimitExceeded

TEXTS: Final = (
    "description", "kind", "priority", "channel", "customer_number", "customer_name", "contact_name", "contact_phone",
    "contact_email", "serial", "product", "error_code", "address", "locale",
)  # fmt: skip
NUMBERS: Final = ("lat", "lng")
WHOLE: Final = ("duration_minutes", "crew_size")
TIMES: Final = ("created_at", "reported_at", "requested_from", "requested_until")
LISTS: Final = ("skills", "tags")
FIELDS: Final = frozenset({*TEXTS, *NUMBERS, *WHOLE, *TIMES, *LISTS, "reference"})
IGNORE: Final = "-"
"""A column that is read past."""
CUSTOM, OTHER = "field.", "reference."
"""`field.<code>` is a custom field of the order's kind, `reference.<system>` its id in a further system."""
COLUMNS_MAX: Final = 200
VALUES_MAX: Final = 500
FORMATS_MAX: Final = 10
SHEET_NAME_CHARS_MAX: Final = 100
DAY_ZERO: Final = datetime(1899, 12, 30)
DAY_ZERO_1904: Final = datetime(1904, 1, 1)
"""What a workbook counts its days from: 1900 is no leap year but for Excel, hence the day before New Year's Eve."""
XLSX_1904: Final = "xlsx-1904"
"""The `encoding` of a workbook that counts from 1904, as the first ones of Excel for Mac do."""

WORDS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "priority": {
        "P0": ("p0", "0", "critical", "emergency", "urgent", "down", "紧急", "特急", "停机", "最高"),
        "P1": ("p1", "1", "high", "malfunction", "高", "较高", "故障"),
        "P2": ("p2", "2", "3", "4", "normal", "medium", "low", "question", "中", "低", "普通", "一般", "咨询"),
    },
    "kind": {
        "service": ("service", "maintenance", "服务", "保养", "安装"),
        "repair": ("repair", "breakdown", "fault", "维修", "报修", "故障", "抢修"),
        "after_sales": ("after sales", "after_sales", "complaint", "return", "warranty", "售后", "投诉", "退换"),
        "production": ("production", "生产"),
        "general": ("general", "other", "通用", "其他", "其它"),
    },
    "channel": {
        "hotline": ("hotline", "phone", "telephone", "call", "电话", "热线", "400"),
        "web_form": ("web_form", "web", "website", "form", "网页", "网站", "官网", "表单"),
        "app": ("app", "mobile", "mobile/open311", "小程序", "应用"),
        "chat": ("chat", "wechat", "wecom", "dingtalk", "twitter", "微信", "企业微信", "钉钉", "公众号"),
        "email": ("email", "e-mail", "mail", "邮件", "邮箱"),
        "api": ("api", "system", "接口", "系统"),
    },
    "locale": {
        "zh": ("zh", "zh-cn", "chinese", "中文", "汉语"),
        "en": ("en", "english", "英文", "英语"),
    },
}  # fmt: skip
"""Words for our values. What a template maps comes first; what is in neither is passed on as it is and judged there."""
_BY_WORD: Final = {
    field: {word: value for value, words in values.items() for word in words}
    for field, values in WORDS.items()
}


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column: its header, the field (or `-`), values by the words of the sheet, and date formats (`%d/%m/%Y %H:%M`)."""

    header: str
    field: str
    values: dict[str, str] = {}
    formats: tuple[str, ...] = ()


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A template.

    `system` names the sheet's references among those of other systems: the same reference of it is the same order.
    `constants` are fields that are the same in all rows (a column comes first). `guess`: whether columns that are not
    listed are told by their headers. `sheet`: which one of a workbook. `may_create`: whether unknown customers and sites
    are made. `created_at` starts the clock only with `keep_clock`: an order of last week is late at once with it.
    """

    system: str = "import"
    columns: tuple[Column, ...] = ()
    constants: dict[str, str] = {}
    guess: bool = True
    sheet: str | None = None
    may_create: bool = True
    read_text: bool = True
    link_duplicates: bool = False
    keep_clock: bool = True


def checked(config: Config, path: str = "config") -> Config:
    """The template; raises all that is wrong with it at once."""
    gather = Gather()
    with gather:
        checks.text(f"{path}.system", config.system, chars_max=40)
    with gather:
        checks.optional_text(f"{path}.sheet", config.sheet, chars_max=SHEET_NAME_CHARS_MAX)
    for name, there in (("columns", len(config.columns)), ("constants", len(config.constants))):
        if there > COLUMNS_MAX:
            raise LimitExceeded(what=name, limit=COLUMNS_MAX, given=there, path=f"{path}.{name}")
    seen: set[str] = set()
    fields: set[str] = set()
    for n, column in enumerate(config.columns):
        at = f"{path}.columns.{n}"
        with gather:
            header = shown(checks.text(f"{at}.header", column.header))
            if header in seen:
                raise FieldRefused(f"{at}.header", "twice")
            seen.add(header)
        with gather:
            known_field(f"{at}.field", column.field)
            if column.field in fields and column.field not in ("description", IGNORE):
                raise FieldRefused(f"{at}.field", "twice")
            fields.add(column.field)
        with gather:
            if len(column.values) > VALUES_MAX:
                raise LimitExceeded(
                    what="values", limit=VALUES_MAX, given=len(column.values), path=f"{at}.values"
                )
        with gather:
            if len(column.formats) > FORMATS_MAX:
                raise LimitExceeded(
                    what="formats", limit=FORMATS_MAX, given=len(column.formats), path=f"{at}.formats"
                )
            for m, pattern in enumerate(column.formats):
                if not _is_format(checks.text(f"{at}.formats.{m}", pattern, chars_max=60)):
                    raise FieldRefused(f"{at}.formats.{m}", "date_format", given=pattern)
    for field, value in config.constants.items():
        with gather:
            known_field(f"{path}.constants.{field}", field)
            checks.text(f"{path}.constants.{field}", value, chars_max=checks.TEXT_CHARS_MAX)
    gather.settle()
    return config


def _is_format(pattern: str) -> bool:
    if "%" not in pattern:
        return False
    try:
        datetime.strptime("?", pattern)
    except re.error:  # The same part twice.
        return False
    except ValueError as fault:
        # Only that "?" is no such time is as it should be: other patterns fit no time at all.
        return "does not match format" in str(fault)
    return True


def known_field(path: str, field: str) -> str:
    """A field that there is; refused otherwise."""
    for start in (CUSTOM, OTHER):
        if field.startswith(start) and 0 < len(field) - len(start) <= 40:
            return field
    if field == IGNORE:
        return field
    return checks.one_of(path, field, FIELDS)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """For one sheet: which cells (by place) each field is made of, with their columns' words and formats."""

    fields: dict[str, tuple[int, ...]]
    columns: dict[int, Column]
    headers: tuple[str, ...]
    day_zero: datetime = DAY_ZERO

    def header_of(self, field: str) -> str | None:
        """The header of a field's first column, for whoever reads what was wrong."""
        places = self.fields.get(field)
        return self.headers[places[0]] if places else None


def plan(config: Config, headers: Sequence[str], encoding: str = "") -> Plan:
    """How this sheet is read. Raises SheetRefused where nothing of it would be."""
    by_header = {shown(column.header): column for column in config.columns}
    taken = {column.field for column in config.columns if column.field != "description"}
    told = guesses(headers) if config.guess else {}
    columns: dict[int, Column] = {}
    fields: dict[str, list[int]] = {}
    for place, header in enumerate(headers):
        column = by_header.get(header)
        if column is None and (field := told.get(header)) is not None and field not in taken:
            column = Column(header=header, field=field)
        if column is None or column.field == IGNORE:
            continue
        columns[place] = column
        fields.setdefault(column.field, []).append(place)
    if not fields:
        raise SheetRefused("no_header")
    return Plan(
        fields={field: tuple(places) for field, places in fields.items()},
        columns=columns,
        headers=tuple(headers),
        day_zero=DAY_ZERO_1904 if encoding == XLSX_1904 else DAY_ZERO,
    )


def value_of(column: Column | None, field: str, text: str) -> str:
    """A cell in our words: by the template's values, else by the common ones."""
    if column is not None and column.values:
        by_word = {word.casefold(): value for word, value in column.values.items()}
        if (found := by_word.get(text.casefold())) is not None:
            return found
    words = _BY_WORD.get(field)
    return words.get(text.casefold(), text) if words is not None else text


def config_of(given: Any, path: str = "config") -> Config:
    """A template from JSON. Raises BadField for a member that is wrong or unknown."""
    try:
        return msgspec.convert(given, Config)
    except msgspec.ValidationError as fault:
        why, _, place = str(fault).partition(" - at `$")
        below = place.rstrip("`").replace("[", ".").replace("]", "").strip(".")
        raise FieldRefused(f"{path}.{below}" if below else path, "config_shape", fault=why[:200]) from None
