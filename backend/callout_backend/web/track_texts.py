"""Every sentence of the page on which a customer sees where the engineer is, in English and Chinese."""

from typing import Final

TEXTS: Final[dict[str, dict[str, str]]] = {
    "title": {"en": "Your engineer", "zh": "工程师动态"},
    "order": {"en": "Order", "zh": "工单"},
    "engineer": {"en": "Engineer", "zh": "工程师"},
    "planned": {"en": "Planned", "zh": "计划时间"},
    "expected": {"en": "Expected", "zh": "预计到达"},
    "distance": {"en": "Distance", "zh": "直线距离"},
    "updated": {"en": "As of", "zh": "更新时间"},
    "stage_waiting": {
        "en": "We are planning your visit. This page will show the time as soon as it is set.",
        "zh": "正在为您安排上门服务,确定后将在此显示时间。",
    },
    "stage_planned": {"en": "Your visit is planned.", "zh": "已为您安排上门服务。"},
    "stage_travelling": {
        "en": "Your engineer is {minutes} minutes away.",
        "zh": "工程师约 {minutes} 分钟后到达。",
    },
    "stage_travelling_1": {"en": "Your engineer is one minute away.", "zh": "工程师约 1 分钟后到达。"},
    "stage_travelling_0": {"en": "Your engineer is about to arrive.", "zh": "工程师即将到达。"},
    "stage_on_site": {"en": "Your engineer is on site.", "zh": "工程师已到达现场。"},
    "stage_done": {"en": "The work is done. Thank you.", "zh": "服务已完成,感谢您的支持。"},
    "stage_could_not_complete": {
        "en": "The work could not be finished on this visit. We will get in touch with you.",
        "zh": "本次未能完成服务,我们会尽快与您联系。",
    },
    "stage_canceled": {"en": "This order was canceled.", "zh": "该工单已取消。"},
    "map": {
        "en": "The engineer's direction and distance from you, north is up",
        "zh": "工程师相对您的方位与距离,上方为北",
    },
    "you": {"en": "you", "zh": "您"},
    "offline": {
        "en": "There is no connection; this is what was known last.",
        "zh": "网络不可用,以下为最近一次的信息。",
    },
    "expired_title": {"en": "This link has expired", "zh": "链接已过期"},
    "unknown_title": {"en": "This link is not valid", "zh": "链接无效"},
    "refused_title": {"en": "This cannot be shown now", "zh": "暂时无法显示"},
}
