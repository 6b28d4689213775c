"""The answer to "why not?" in one sentence, English and Chinese. Pure."""

from collections.abc import Sequence
from typing import Any, Final

from callout_dispatch.pick_terms import Reason
from callout_dispatch.pick_texts import COMPONENT_LABELS, explain

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "chosen": (
        "{name} was chosen: number {rank} of {count}, with {score} points",
        "已选择 {name}:在 {count} 人中排第 {rank},得分 {score}",
    ),
    "behind": (
        "{name} could have gone, as number {rank} of {count} with {score} points; {chosen} had {chosen_score}. "
        "{what} counted most: {points} points",
        "{name} 可以前往,在 {count} 人中排第 {rank},得分 {score};{chosen} 得分 {chosen_score}。"
        "差距最大的一项是{what}:{points} 分",
    ),
    "ahead": (
        "{name} would have been the better choice by these figures: number {rank} of {count} with {score} points; "
        "{chosen} had {chosen_score}",
        "按这些数据,{name} 更合适:在 {count} 人中排第 {rank},得分 {score};{chosen} 得分 {chosen_score}",
    ),
    "ranked": (
        "{name} could go, as number {rank} of {count} with {score} points",
        "{name} 可以前往,在 {count} 人中排第 {rank},得分 {score}",
    ),
    "out": ("{name} cannot go: {reasons}", "{name} 无法前往:{reasons}"),
    "retired": ("{name} is not in service", "{name} 已停用"),
}
_NOW: Final = (
    "Nobody wrote down how it was at the time of the decision; as things are now: ",
    "决策当时的情况没有记录,按目前情况:",
)


def sentence(key: str, locale: str, *, now: bool, reasons: Sequence[Reason] = (), **values: Any) -> str:
    """The sentence; `now` says that it is about the present instead of the time of the decision."""
    zh = locale.startswith("zh")
    told = (";" if zh else "; ").join(explain(reason, locale) for reason in reasons)
    text = _TEXTS[key][zh].format_map({**values, "reasons": told})
    return f"{_NOW[zh] if now else ''}{text}{'。' if zh else '.'}"


def label(component: str, locale: str) -> str:
    """An objective's name for a person."""
    return COMPONENT_LABELS[component]["zh" if locale.startswith("zh") else "en"]
