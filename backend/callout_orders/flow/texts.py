"""What a flow says to people, in both languages."""

from collections.abc import Mapping
from typing import Final

from callout_orders.flow.events import label
from callout_orders.flow.state import Missing
from callout_orders.kinds.terms import Kind, Step

_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "hand": ("somebody's word that it is done", "人工确认完成"),
    "visit": ("the end of the visit that is still open", "尚未结束的上门任务"),
    "enter": ("its condition to begin", "开始条件"),
    "rule": (
        "a supervisor's decision in place of a rule that cannot be evaluated",
        "规则无法求值,需主管代为决定",
    ),
    "asked": ("approval: {name}", "审批:{name}"),
    "rejected": ("approval (refused): {name}", "审批(已拒绝):{name}"),
    "none": ("nothing; it is at another step", "无;流程在其他步骤"),
}


def nothing(locale: str) -> str:
    """That a step needs nothing more."""
    return _text("none", locale)


def missing_texts(kind: Kind, step: Step, missing: Missing, locale: str) -> list[str]:
    """What a step still needs, each in words."""
    names = {approval.code: approval.label.of(locale) for approval in step.approvals}
    names |= {a.code: a.label.of(locale) for other in kind.steps for a in other.approvals}
    found = []
    for code in missing.fields:
        field = kind.field(code)
        found.append(code if field is None else f"{field.label.of(locale)} ({code})")
    found += [label(name, locale) for name in missing.events]
    for key, codes in (("asked", missing.asked), ("rejected", missing.rejected)):
        found += [_text(key, locale).format(name=names.get(code, code)) for code in codes]
    found += [_text(key, locale) for key in ("hand", "visit", "enter", "rule") if getattr(missing, key)]
    return found


def _text(key: str, locale: str) -> str:
    return _TEXTS[key][1 if locale.startswith("zh") else 0]
