"""Templates of notices: what they may hold, and how they are filled in. Values only.

Jinja2's sandbox bounds what a template may reach, not what it costs: loops in loops, `"a" * 10**9` or a `{% set %}` that
doubles itself would hold a worker for hours. So a template here is made of what cannot grow: texts, placeholders, a few
filters, `if`, and one loop over a digest's items. Its cost is then its length times the items, whatever it says.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import escape as html_escape

from callout_orders.notices.terms import HTML, MARKDOWN

TITLE_CHARS_MAX: Final = 300
BODY_CHARS_MAX: Final = 8_000
OUT_CHARS_MAX: Final = 20_000
NODES_MAX: Final = 600
LINK: Final = "\ue000"
"""Stands for the reader's own link until the message leaves: no token of a link lies in the database."""

PLACEHOLDERS: Final[Mapping[str, tuple[str, str]]] = {
    "headline": ("what happened, in a few words", "发生了什么"),
    "next": ("what is to be done next", "下一步"),
    "deadline": ("until when, in the reader's time zone", "截止时间(读者所在时区)"),
    "remaining": ("the time until then", "剩余时间"),
    "link": ("the reader's own link", "读者专属链接"),
    "person": ("who reads it", "收件人姓名"),
    "role": ("what the reader is in the matter", "收件人在工单中的角色"),
    "organisation": ("the organisation's name", "组织名称"),
    "note": ("a reason or a remark, where one was given", "原因或备注"),
    "order.number": ("the order's number", "工单编号"),
    "order.state": ("the order's state", "工单状态"),
    "order.priority": ("the order's priority", "优先级"),
    "order.description": ("what was reported", "问题描述"),
    "order.customer": ("the customer's name", "客户名称"),
    "order.site": ("the site's name", "现场名称"),
    "order.address": ("the site's address", "现场地址"),
    "visit.engineer": ("who comes", "工程师"),
    "visit.start": ("the planned start", "计划开始时间"),
    "visit.eta": ("the expected arrival", "预计到达时间"),
    "count": ("how many notices a digest tells of", "汇总中的通知数"),
    "items": (
        "a digest's notices, each with number, title and urgent",
        "汇总中的通知列表(number、title、urgent)",
    ),
}
"""What a template may name; in `{% for item in items %}` also item.number, item.title and item.urgent."""
ITEM: Final = frozenset({"number", "title", "urgent"})
FILTERS: Final = frozenset({"upper", "lower", "trim", "default", "truncate", "length"})
_ROOTS: Final = {name.split(".")[0] for name in PLACEHOLDERS}
_TWO: Final = {name for name in PLACEHOLDERS if "." in name}
_NODES: Final = (
    nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Const, nodes.If, nodes.For, nodes.Filter,
    nodes.Test, nodes.Compare, nodes.Operand, nodes.Not, nodes.And, nodes.Or, nodes.Concat, nodes.CondExpr, nodes.Template,
)  # fmt: skip
_TESTS: Final = frozenset({"defined", "none", "equalto", "eq"})
_MARKDOWN: Final = str.maketrans("[]<>*#`@\\", "［］＜＞＊＃ˋ＠＼")
"""Chat robots know no escaping; full-width signs look alike and mean nothing."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class BadTemplate(Exception):
    """A template that is not taken, and the line that is at fault. `reason` is a code, `detail` the word in question."""

    def __init__(self, reason: str, line: int, detail: str = "") -> None:
        super().__init__(f"line {line}: {reason} {detail}".strip())
        self.reason, self.line, self.detail = reason, line, detail


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A title and a body: as a template, or filled in."""

    title: str
    body: str


def plain(value: object) -> str:
    """Text without characters that a terminal, a phone or a reader of bidirectional text would obey."""
    return _CONTROL.sub(" ", str(value))


def markdown(value: object) -> str:
    """Text that Markdown shows as it is: what a customer writes makes no link and no mention of all."""
    return plain(value).translate(_MARKDOWN).replace("\n", " ")


def html(value: object) -> str:
    """Text that HTML shows as it is."""
    return str(html_escape(plain(value)))


def escape_of(medium: str) -> Callable[[object], str]:
    """How values are written into this medium's body."""
    return html if medium in HTML else markdown if medium in MARKDOWN else plain


def check(text: Text) -> None:
    """Raise BadTemplate, with the line, for what is no template, not one that may be kept, or one that nothing fills in."""
    for source, limit in ((text.title, TITLE_CHARS_MAX), (text.body, BODY_CHARS_MAX)):
        if len(source) > limit:
            raise BadTemplate("too_long", 1, str(limit))
        _checked(source)
    for values in (SAMPLE, _BARE):
        render(text, "inbox", values)


def render(text: Text, medium: str, values: Mapping[str, Any]) -> Text:
    """The text filled in with `values` (as PLACEHOLDERS has them, nested). Titles are plain in every medium.

    Raises BadTemplate for one that `check` refuses, one that these values do not suit, and for what comes out too long.
    """
    title = _filled(text.title, "plain", values)
    escape = "html" if medium in HTML else "markdown" if medium in MARKDOWN else "plain"
    return Text(title=" ".join(title.split()), body=_filled(text.body, escape, values).strip())


def _filled(source: str, escape: str, values: Mapping[str, Any]) -> str:
    out = ""
    compiled = _compiled(source, escape)
    try:
        for piece in compiled.generate(**values):
            out += piece
            if len(out) > OUT_CHARS_MAX:
                raise BadTemplate("too_long_filled", 1, str(OUT_CHARS_MAX))
    except BadTemplate:
        raise
    except Exception as fault:
        # `order.number > 3`, `headline|truncate("x")`: read well, and fail only when they are filled in.
        lines = [
            one.lineno for one in traceback.extract_tb(fault.__traceback__) if one.filename == "<template>"
        ]
        raise BadTemplate("breaks", (lines or [None])[-1] or 1, str(fault)[:200]) from None
    return out


@lru_cache(maxsize=2_000)
def _compiled(source: str, escape: str) -> Any:
    _checked(source)
    return _ENVIRONMENTS[escape].from_string(source)


def _checked(source: str) -> None:
    try:
        tree = _ENVIRONMENTS["plain"].parse(source)
    except TemplateSyntaxError as fault:
        raise BadTemplate("syntax", fault.lineno, fault.message or "") from None
    except RecursionError:
        raise BadTemplate("too_deep", 1) from None
    found = list(tree.find_all(nodes.Node))
    if len(found) > NODES_MAX:
        raise BadTemplate("too_long", 1, str(NODES_MAX))
    loops = [one for one in found if isinstance(one, nodes.For)]
    names = {one.target.name for one in loops if isinstance(one.target, nodes.Name)}
    for loop in loops:
        plain_loop = isinstance(loop.target, nodes.Name) and not loop.recursive and loop.test is None
        over_items = isinstance(loop.iter, nodes.Name) and loop.iter.name == "items"
        if not plain_loop or not over_items or list(loop.find_all(nodes.For)):
            raise BadTemplate("loop", loop.lineno)
        if isinstance(loop.target, nodes.Name) and loop.target.name in _ROOTS:
            raise BadTemplate("loop", loop.lineno)
    for one in found:
        _check_node(one, names)


def _check_node(one: nodes.Node, loops: set[str]) -> None:
    if not isinstance(one, _NODES):
        raise BadTemplate("not_allowed", one.lineno, type(one).__name__.lower())
    if isinstance(one, nodes.Filter) and (one.name not in FILTERS or one.dyn_args or one.dyn_kwargs):
        raise BadTemplate("filter", one.lineno, one.name)
    if isinstance(one, nodes.Test) and one.name not in _TESTS:
        raise BadTemplate("not_allowed", one.lineno, f"is {one.name}")
    if isinstance(one, nodes.Name) and one.name not in _ROOTS | loops:
        raise BadTemplate("unknown", one.lineno, one.name)
    if isinstance(one, nodes.Getattr):
        if not isinstance(one.node, nodes.Name):
            raise BadTemplate("not_allowed", one.lineno, one.attr)
        known = one.attr in ITEM if one.node.name in loops else f"{one.node.name}.{one.attr}" in _TWO
        if not known:
            raise BadTemplate("unknown", one.lineno, f"{one.node.name}.{one.attr}")


def _environment(escape: Callable[[object], str]) -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        autoescape=False,
        undefined=StrictUndefined,
        finalize=escape,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[],
    )
    made.globals.clear()
    return made


_ENVIRONMENTS: Final = {
    "html": _environment(html),
    "markdown": _environment(markdown),
    "plain": _environment(plain),
}

SAMPLE: Final[Mapping[str, Any]] = {
    "headline": "Headline", "next": "Next", "deadline": "18:00", "remaining": "1 h", "link": "https://example.org/n/…",
    "person": "Ann", "role": "handler", "organisation": "Example", "note": "",
    "order": {"number": "WO-1", "state": "New", "priority": "P1", "description": "Pump leaks", "customer": "Bay Laundry",
              "site": "Cellar", "address": "1 Main St"},
    "visit": {"engineer": "Bo", "start": "16:00", "eta": "16:10"},
    "count": 2,
    "items": [{"number": "WO-1", "title": "WO-1: new", "urgent": True}, {"number": "WO-2", "title": "WO-2: done",
              "urgent": False}],
}  # fmt: skip
"""Values of an order that does not exist, for a preview without one."""
_BARE: Final[Mapping[str, Any]] = {
    name: dict.fromkeys(value, "") if isinstance(value, dict) else [] if isinstance(value, list) else ""
    for name, value in SAMPLE.items()
} | {"count": 1}
"""What a notice without an order, a visit or a deadline has."""
