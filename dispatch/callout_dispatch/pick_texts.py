"""A pick's reasons in words, English and Chinese. Pure."""

from __future__ import annotations

from typing import Final

from callout_dispatch.pick_terms import Reason, ReasonCode

_TEXTS: Final[dict[ReasonCode, dict[str, str]]] = {
    ReasonCode.SKILL_MISSING: {
        "en": "lacks the skill {skill} (level {required} needed)",
        "zh": "缺少技能 {skill}(需要 {required} 级)",
    },
    ReasonCode.SKILL_LEVEL_LOW: {
        "en": "has {skill} at level {have}, level {required} needed",
        "zh": "技能 {skill} 为 {have} 级,需要 {required} 级",
    },
    ReasonCode.OTHER_TERRITORY: {
        "en": "works in territory {have}, the site is in {required}",
        "zh": "所属区域为 {have},现场位于 {required}",
    },
    ReasonCode.OFFLINE: {
        "en": "is not online",
        "zh": "当前不在线",
    },
    ReasonCode.PART_NOT_ON_VAN: {
        "en": "has {have} of {required} {part} on the van",
        "zh": "随车备件 {part} 有 {have} 件,需要 {required} 件",
    },
    ReasonCode.NO_SHIFT: {
        "en": "has no shift left in this period",
        "zh": "该时段内没有班次",
    },
    ReasonCode.ABSENT: {
        "en": "is absent for the rest of the shift",
        "zh": "班次剩余时间内请假",
    },
    ReasonCode.TOO_FAR: {
        "en": "is {travel_minutes} minutes away, at most {travel_minutes_max} allowed",
        "zh": "路程约 {travel_minutes} 分钟,上限为 {travel_minutes_max} 分钟",
    },
    ReasonCode.SHIFT_FULL: {
        "en": "needs {needed_minutes} free minutes with travel, has {free_minutes} at the longest",
        "zh": "没有足够长的空闲时段:含路程需 {needed_minutes} 分钟,最长空闲 {free_minutes} 分钟",
    },
    ReasonCode.OVERDUE_SLOT: {
        "en": "could only be there {late_minutes} minutes after the due time",
        "zh": "最早到达时间将超出时限 {late_minutes} 分钟",
    },
}

COMPONENT_LABELS: Final[dict[str, dict[str, str]]] = {
    "travel": {"en": "Travel", "zh": "路程"},
    "due": {"en": "Time to due", "zh": "时限余量"},
    "load": {"en": "Load", "zh": "工作负荷"},
    "skill_fit": {"en": "Skill fit", "zh": "技能匹配"},
    "parts": {"en": "Parts on van", "zh": "随车备件"},
}

LOCALES: Final = ("en", "zh")


def explain(reason: Reason, locale: str = "en") -> str:
    """The reason as a half sentence about the engineer. A locale that is not spoken here gets English."""
    language = locale.replace("_", "-").split("-")[0].lower()
    texts = _TEXTS[reason.code]
    return texts.get(language, texts["en"]).format_map(reason.detail)
