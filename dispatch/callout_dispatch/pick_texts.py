"""A pick's reasons in words, English and Chinese. Pure."""

from __future__ import annotations

from typing import Final

from callout_dispatch.pick_terms import Reason, ReasonCode
from callout_dispatch.policy import Objective

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
        "zh": "所属服务区域为 {have},现场位于 {required}",
    },
    ReasonCode.OTHER_REQUIRED: {
        "en": "is not the engineer who is required",
        "zh": "不是指定的工程师",
    },
    ReasonCode.EXCLUDED: {
        "en": "is not wanted there",
        "zh": "已被排除,不可派往该处",
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
    ReasonCode.OTHER_REQUIRED: {
        "en": "is not the one who is required",
        "zh": "不是指定必须前往的工程师",
    },
    ReasonCode.EXCLUDED: {
        "en": "is not wanted there",
        "zh": "已被该客户、现场或工单排除",
    },
    ReasonCode.OUTSIDE_VISITING_HOURS: {
        "en": "has no time while the site is open (could come at {slot}, when it is closed)",
        "zh": "现场开放时间内没有空闲(最早可于 {slot} 到达,届时现场不开放)",
    },
    ReasonCode.OUTSIDE_REQUESTED_WINDOW: {
        "en": "has no time within the window asked for (could come at {slot})",
        "zh": "客户要求的时间段内没有空闲(最早可于 {slot} 到达)",
    },
    ReasonCode.TOO_LATE: {
        "en": "could only be there {late_minutes} minutes too late",
        "zh": "最早到达时间仍超出最晚时限 {late_minutes} 分钟",
    },
    ReasonCode.CAPACITY_HOURS: {
        "en": "has {given_minutes} minutes of work that day, {needed_minutes} more would pass the limit of {minutes_max}",
        "zh": "当日已有 {given_minutes} 分钟工作,再加 {needed_minutes} 分钟将超过上限 {minutes_max} 分钟",
    },
    ReasonCode.CAPACITY_VISITS: {
        "en": "has {visits} visits that day, the limit is {visits_max}",
        "zh": "当日已有 {visits} 个任务,上限为 {visits_max} 次",
    },
    ReasonCode.BREAK_NEEDED: {
        "en": "would have no room for a break (could otherwise come at {slot})",
        "zh": "将无法安排休息(否则可于 {slot} 到达)",
    },
    ReasonCode.PREDECESSOR: {
        "en": "could come at {slot}, but the order that must be done first is not done by then",
        "zh": "最早可于 {slot} 到达,但前置工单届时尚未完成",
    },
    ReasonCode.CREW_INCOMPLETE: {
        "en": "could lead, but the crew of {crew} is not complete at that time",
        "zh": "可以带队,但届时 {crew} 人小组不完整",
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
    Objective.SLA.value: {"en": "Time to due", "zh": "时限余量"},
    Objective.TRAVEL.value: {"en": "Travel", "zh": "路程"},
    Objective.SKILL_FIT.value: {"en": "Skill fit", "zh": "技能匹配"},
    Objective.HOURS.value: {"en": "Balance of hours", "zh": "工时均衡"},
    Objective.VISITS.value: {"en": "Balance of visits", "zh": "任务数均衡"},
    Objective.PREFERRED.value: {"en": "Preferred engineer", "zh": "优先工程师"},
    Objective.PARTS.value: {"en": "Parts on van", "zh": "随车备件"},
    Objective.DISRUPTION.value: {"en": "Least disruption", "zh": "改动最少"},
}

LOCALES: Final = ("en", "zh")


def explain(reason: Reason, locale: str = "en") -> str:
    """The reason as a half sentence about the engineer. A locale that is not spoken here gets English."""
    language = locale.replace("_", "-").split("-")[0].lower()
    texts = _TEXTS[reason.code]
    return texts.get(language, texts["en"]).format_map(_Figures(reason.detail))


class _Figures(dict[str, str | int | float]):
    """Figures of a reason. One that was told without them, or stored by an older version, is still a sentence."""

    def __missing__(self, key: str) -> str:
        return "–"
