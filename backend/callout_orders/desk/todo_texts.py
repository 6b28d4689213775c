"""What a to-do says, in both languages; `{name}` is filled from its data. A kind without a text is shown by its code."""

from collections.abc import Mapping
from typing import Any, Final

from callout_orders.desk.unanswered.watch_rules import Flag, Why

TEXTS: Final[dict[str, dict[str, str]]] = {
    "answer_order": {
        "en": "Answer order {number}: nobody has answered it yet",
        "zh": "请响应工单 {number}:尚无人响应",
    },
    "flow.step": {"en": "Do “{label}” of order {number}", "zh": "请处理工单 {number} 的“{label}”"},
    "flow.approval": {"en": "Decide on “{label}” of order {number}", "zh": "请审批工单 {number} 的“{label}”"},
    "flow.late": {"en": "“{label}” of order {number} is late", "zh": "工单 {number} 的“{label}”已超时"},
    "flow.blocked": {
        "en": "The flow of order {number} stands still at {step}: {why}",
        "zh": "工单 {number} 的流程停在 {step}:{why}",
    },
    "flow.missing": {
        "en": "The visit of order {number} ended, and “{label}” lacks: {missing}",
        "zh": "工单 {number} 的上门任务已结束,“{label}”尚缺:{missing}",
    },
    "parts.not_needed": {
        "en": "Order {number} is over, and {requisition} was ordered ({supplier} {supplierRef}): cancel it or keep them",
        "zh": "工单 {number} 已终止,但 {requisition} 已下单({supplier} {supplierRef}):请取消采购或入库留用",
    },
    "sla_warning": {
        "en": "{minutes} minutes are left until the {milestone} of order {number} is due",
        "zh": "工单 {number} 的{milestone}仅剩 {minutes} 分钟",
    },
    "intake.waits": {
        "en": "Somebody has not finished their request ({peer}): {text}",
        "zh": "有客户的请求未填完整({peer}):{text}",
    },
    "intake.agent_wanted": {
        "en": "Somebody wants a person ({peer}): {text}",
        "zh": "客户请求人工服务({peer}):{text}",
    },
    "intake.unknown": {
        "en": "Somebody who is no customer yet asks for service ({peer}): {text}",
        "zh": "未登记的客户请求服务({peer}):{text}",
    },
    "intake.wrote": {
        "en": "They wrote again ({peer}): {text}",
        "zh": "客户又发来消息({peer}):{text}",
    },
    "intake.note": {
        "en": "The customer of this order wrote ({peer}): {text}",
        "zh": "该工单的客户发来消息({peer}):{text}",
    },
    "intake.message_failed": {
        "en": "A message of {peer} could not be handled: {reason}",
        "zh": "来自 {peer} 的消息处理失败:{reason}",
    },
    "intake.answer_failed": {
        "en": "An answer did not reach {peer}: {reason}",
        "zh": "给 {peer} 的回复未能送达:{reason}",
    },
    "intake.file_failed": {
        "en": "A file that a customer sent could not be fetched: {reason}",
        "zh": "客户发送的文件获取失败:{reason}",
    },
    "intake.mailbox_failed": {
        "en": "The mailbox {channel} cannot be read: {reason}",
        "zh": "邮箱 {channel} 无法读取:{reason}",
    },
    "notice.template_broke": {
        "en": "The template of “{kind}” by {medium} ({locale}) cannot be filled in, the built-in one is used: {reason}",
        "zh": "通知模板“{kind}”({medium},{locale})无法填充,已改用内置模板:{reason}",
    },
}
"""By a to-do's kind."""

MILESTONES: Final[dict[str, dict[str, str]]] = {
    "first_response": {"en": "first response", "zh": "首次响应"},
    "arrival": {"en": "arrival", "zh": "到场"},
    "resolution": {"en": "resolution", "zh": "解决"},
}

WHY: Final[dict[str, dict[str, str]]] = {
    Why.LATE: {"en": "it was about to be late", "zh": "即将超时"},
    Why.OFFLINE: {"en": "whoever had it is offline", "zh": "原处理人离线"},
    Why.NOBODY: {"en": "nobody of its team is online", "zh": "小组无人在线"},
    Why.LEFT: {"en": "whoever had it has left", "zh": "原处理人已离开"},
    Flag.NOBODY_ON_DUTY: {"en": "nobody is on duty", "zh": "无人值班"},
    Flag.NOBODY_ANSWERS: {"en": "nobody on duty answers", "zh": "当班人员均未响应"},
    Flag.NO_TEAM: {"en": "no team answers for such orders", "zh": "没有小组负责此类工单"},
}
"""Why an order was turned over, and its flags."""


class _Known(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "…"


def _plain(value: Any) -> Any:
    """Three minutes, not 3.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def say(kind: str, data: Mapping[str, Any], locale: str) -> str:
    """The sentence of a to-do in `en` or `zh`. A value of the data that has both languages is read in that one."""
    language = "zh" if locale.startswith("zh") else "en"
    text = TEXTS.get(kind)
    if text is None:
        return f"{kind} {data.get('number', '')}".strip()
    values = _Known(
        {
            name: value.get(language, "…") if isinstance(value, Mapping) else _plain(value)
            for name, value in data.items()
        }
    )
    if data.get("milestone") in MILESTONES:
        values["milestone"] = MILESTONES[data["milestone"]][language]
    said = text[language].format_map(values)
    reasons = [WHY[code][language] for code in (data.get("why"), data.get("flag")) if code in WHY]
    if not reasons:
        return said
    return f"{said}({';'.join(reasons)})" if language == "zh" else f"{said} ({'; '.join(reasons)})"
