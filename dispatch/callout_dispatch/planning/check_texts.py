"""A plan's violations in words, English and Chinese. Pure."""

from __future__ import annotations

from typing import Final

from callout_dispatch.planning.check_terms import Code, Violation

_TEXTS: Final[dict[Code, dict[str, str]]] = {
    Code.UNKNOWN_TASK: {
        "en": "Visit {task} is not part of this problem.",
        "zh": "上门任务 {task} 不在本次排程范围内。",
    },
    Code.UNKNOWN_LANE: {
        "en": "Shift {lane} is not part of this problem.",
        "zh": "班次 {lane} 不在本次排程范围内。",
    },
    Code.UNKNOWN_DEPOT: {
        "en": "Depot {what} is not part of this problem.",
        "zh": "仓库 {what} 不在本次排程范围内。",
    },
    Code.LANE_TWICE: {"en": "Shift {lane} has two routes.", "zh": "班次 {lane} 有两条路线。"},
    Code.TASK_TWICE: {
        "en": "Visit {task} is planned {count} times.",
        "zh": "上门任务 {task} 被安排了 {count} 次。",
    },
    Code.TASK_LOST: {
        "en": "Visit {task} is neither planned nor named as left out.",
        "zh": "上门任务 {task} 既未安排,也未列为未安排。",
    },
    Code.LEFT_AND_PLANNED: {
        "en": "Visit {task} is named as left out more than once, or although it is planned.",
        "zh": "上门任务 {task} 已安排却又列为未安排,或被重复列出。",
    },
    Code.CREW_SHORT: {
        "en": "Visit {task} needs {crew} engineers and has {count}.",
        "zh": "上门任务 {task} 需要 {crew} 名工程师,只有 {count} 名。",
    },
    Code.CREW_APART: {
        "en": "The engineers of visit {task} do not start together.",
        "zh": "上门任务 {task} 的工程师没有同时开始。",
    },
    Code.WRONG_LENGTH: {
        "en": "A stop of shift {lane} must take {needed} minutes.",
        "zh": "班次 {lane} 的一个停留点应为 {needed} 分钟。",
    },
    Code.WRONG_TRAVEL: {
        "en": "A way of shift {lane} takes {way_s} seconds, not {told_s}.",
        "zh": "班次 {lane} 的一段路程需 {way_s} 秒,而不是 {told_s} 秒。",
    },
    Code.OVERLAP: {
        "en": "In shift {lane}, {subject} overlaps {other} by {minutes} minutes.",
        "zh": "班次 {lane} 中,{subject} 与 {other} 重叠 {minutes} 分钟。",
    },
    Code.TOO_SOON: {
        "en": "In shift {lane}, {subject} starts {minutes} minutes before the engineer can be there.",
        "zh": "班次 {lane} 中,{subject} 的开始时间比工程师最早可到达时间早 {minutes} 分钟。",
    },
    Code.OUTSIDE_LANE: {
        "en": "In shift {lane}, {subject} lies {minutes} minutes outside the shift.",
        "zh": "班次 {lane} 中,{subject} 超出班次 {minutes} 分钟。",
    },
    Code.BACK_LATE: {
        "en": "The way back of shift {lane} ends {minutes} minutes too late.",
        "zh": "班次 {lane} 的返程晚了 {minutes} 分钟。",
    },
    Code.ABSENT: {
        "en": "In shift {lane}, {subject} falls {minutes} minutes into an absence.",
        "zh": "班次 {lane} 中,{subject} 有 {minutes} 分钟落在请假时段内。",
    },
    Code.BEFORE_NOW: {
        "en": "In shift {lane}, {subject} would start in the past.",
        "zh": "班次 {lane} 中,{subject} 的开始时间已过。",
    },
    Code.REST_MISSING: {
        "en": "Shift {lane} lacks a break of {minutes} minutes.",
        "zh": "班次 {lane} 缺少 {minutes} 分钟的休息。",
    },
    Code.REST_WRONG: {
        "en": "Shift {lane} has a break at a time or of a length that was not agreed.",
        "zh": "班次 {lane} 的休息时间或时长与约定不符。",
    },
    Code.SKILL: {
        "en": "Visit {task} needs {what} at level {level}; the engineer of shift {lane} has level {have}.",
        "zh": "上门任务 {task} 需要技能 {what} {level} 级,班次 {lane} 的工程师为 {have} 级。",
    },
    Code.TERRITORY: {
        "en": "The engineer of shift {lane} does not work in territory {territory} of visit {task}.",
        "zh": "班次 {lane} 的工程师不负责上门任务 {task} 所在的服务区域 {territory}。",
    },
    Code.TOO_FAR: {
        "en": "In shift {lane}, the way to {subject} takes {minutes} minutes, at most {most} are allowed.",
        "zh": "班次 {lane} 中,前往 {subject} 的路程为 {minutes} 分钟,上限为 {most} 分钟。",
    },
    Code.NOT_REQUIRED: {
        "en": "Visit {task} requires another engineer than that of shift {lane}.",
        "zh": "上门任务 {task} 指定了其他工程师,不是班次 {lane} 的工程师。",
    },
    Code.EXCLUDED: {
        "en": "The engineer of shift {lane} is excluded from visit {task}.",
        "zh": "班次 {lane} 的工程师被排除在上门任务 {task} 之外。",
    },
    Code.OFFLINE: {
        "en": "Visit {task} needs an engineer who is online; that of shift {lane} is not.",
        "zh": "上门任务 {task} 需要在线的工程师,班次 {lane} 的工程师不在线。",
    },
    Code.WINDOW: {
        "en": "Visit {task} starts {minutes} minutes outside its window.",
        "zh": "上门任务 {task} 的开始时间偏离可上门时段 {minutes} 分钟。",
    },
    Code.NOT_BEFORE: {
        "en": "Visit {task} starts {minutes} minutes too early.",
        "zh": "上门任务 {task} 早开始了 {minutes} 分钟。",
    },
    Code.DUE: {
        "en": "Visit {task} starts {minutes} minutes after its due time.",
        "zh": "上门任务 {task} 的开始时间超出时限 {minutes} 分钟。",
    },
    Code.WORK_FULL: {
        "en": "Shift {lane} holds {minutes} minutes of work, at most {most} are allowed.",
        "zh": "班次 {lane} 的工作量为 {minutes} 分钟,上限为 {most} 分钟。",
    },
    Code.VISITS_FULL: {
        "en": "Shift {lane} holds {count} visits, at most {most} are allowed.",
        "zh": "班次 {lane} 有 {count} 次上门,上限为 {most} 次。",
    },
    Code.PART_SHORT: {
        "en": "For visit {task} the van of shift {lane} has {have} of {needed} {what}.",
        "zh": "上门任务 {task} 需要 {needed} 件 {what},班次 {lane} 的随车备件只有 {have} 件。",
    },
    Code.PICKUP_FORBIDDEN: {
        "en": "Shift {lane} picks up parts at depot {what}, which the policy does not allow.",
        "zh": "班次 {lane} 在仓库 {what} 取件,策略不允许途中取件。",
    },
    Code.DEPOT_SHORT: {
        "en": "The plan takes {short} more {part} from a depot than it holds ({what}).",
        "zh": "计划从仓库领取的 {part} 比库存多 {short} 件({what})。",
    },
    Code.FOLLOWS_MISSING: {
        "en": "Visit {task} must follow {other}, which is not planned.",
        "zh": "上门任务 {task} 必须在 {other} 之后,而后者未安排。",
    },
    Code.FOLLOWS_EARLY: {
        "en": "Visit {task} starts {minutes} minutes too early after {other}.",
        "zh": "上门任务 {task} 在 {other} 之后开始得早了 {minutes} 分钟。",
    },
    Code.LOCK_ENGINEER: {
        "en": "Visit {task} is locked to its engineer.",
        "zh": "上门任务 {task} 已锁定工程师。",
    },
    Code.LOCK_TIME: {
        "en": "Visit {task} is locked to its time.",
        "zh": "上门任务 {task} 已锁定时间。",
    },
}


def explain(violation: Violation, locale: str = "en") -> str:
    """The violation as a sentence. A locale that is not spoken here gets English."""
    language = locale.replace("_", "-").split("-")[0].lower()
    texts = _TEXTS[violation.code]
    what = violation.detail.get("what", "")
    subject = violation.task_id or what or ("返程" if language == "zh" else "the way back")
    figures = {"task": violation.task_id, "lane": violation.lane_id, "subject": subject, **violation.detail}
    return texts.get(language, texts["en"]).format_map(figures)
