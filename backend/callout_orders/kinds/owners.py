"""Whose a step or an approval is, as people read it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OWNERS: Final[Mapping[str, tuple[str, str]]] = {
    "engineer": ("engineer", "工程师"),
    "handler": ("handler", "处理人"),
    "initiator": ("initiator", "发起人"),
    "customer": ("customer", "客户"),
    "system": ("by itself", "自动"),
    "role:admin": ("administrator", "管理员"),
    "role:dispatcher": ("dispatcher", "调度员"),
    "role:supervisor": ("supervisor", "主管"),
    "role:engineer": ("engineers", "工程师"),
    "post:assembly": ("assembly", "装配班组"),
    "post:cutting": ("cutting shop", "下料班组"),
    "post:finance": ("finance", "财务"),
    "post:production_manager": ("production manager", "生产经理"),
    "post:production_planner": ("production planner", "生产计划员"),
    "post:purchasing": ("purchasing", "采购"),
    "post:quality": ("quality inspection", "质检"),
    "post:regional_director": ("regional director", "区域总监"),
    "post:warehouse": ("warehouse", "仓库"),
}


def owner_text(owner: str, locale: str = "en") -> str:
    """An owner of `kinds.terms.Step` in `en` or `zh`; a post that no template names stands with its code."""
    zh = locale.startswith("zh")
    if owner in OWNERS:
        return OWNERS[owner][zh]
    sort, _, name = owner.partition(":")
    if sort != "post":
        return owner
    return f"岗位 {name}" if zh else f"post {name}"
