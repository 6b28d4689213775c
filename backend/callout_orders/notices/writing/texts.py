"""What notices say, in both languages: what happened, what comes next, and the templates that are built in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from callout_orders.notices.terms import HTML, MARKDOWN
from callout_orders.notices.writing.templates import Text

HEADLINES: Final[Mapping[str, tuple[str, str]]] = {
    "created": ("New order", "新工单"),
    "state_changed": ("State: {state}", "状态变更:{state}"),
    "done": ("The work is done; please sign it off", "服务已完成,请签收"),
    "canceled": ("Order called off", "工单已取消"),
    "closed": ("Order closed", "工单已关闭"),
    "priority_changed": ("Priority is now {priority}", "优先级变更为 {priority}"),
    "held": ("On hold", "工单已挂起"),
    "resumed": ("Goes on", "工单已恢复"),
    "answered": ("The service desk answers", "客服已回复"),
    "handler_set": ("Handler set", "已指定处理人"),
    "turned_over": ("Turned over to the fallback", "已转交兜底负责人"),
    "taken_over": ("Taken over", "已被强制接管"),
    "handed_on": ("Handed on", "已改派处理人"),
    "deadline_moved": ("Deadline moved", "截止时间已调整"),
    "deadline_restored": ("Deadline as before again", "截止时间已恢复"),
    "reopened": ("Opened again", "工单已重新打开"),
    "merged": ("Merged with another order", "工单已合并"),
    "answers_offered": ("An answer that may help", "为您推荐解决方案"),
    "solved_by_answer": ("Solved by an answer", "自助解决"),
    "answer_did_not_help": ("The answer did not help", "推荐方案未解决问题"),
    "survey_asked": ("How was our service?", "请评价本次服务"),
    "survey_answered": ("The customer has answered the survey", "客户已完成评价"),
    "step_entered": ("Next step", "进入下一步骤"),
    "step_late": ("A step is late", "步骤已超时"),
    "approval_asked": ("An approval is needed", "等待审批"),
    "approved": ("Approved", "审批通过"),
    "rejected": ("Not approved", "审批未通过"),
    "blocked": ("The flow is blocked", "流程受阻"),
    "parts_requested": ("Parts requested", "已申请备件"),
    "parts_ordered": ("Parts ordered", "备件已采购"),
    "parts_ready": ("Parts are ready", "备件已到货"),
    "visit_offered": ("A further visit can be planned", "可安排再次上门"),
    "sla_warned": ("The deadline is near", "即将超时"),
    "sla_missed": ("The deadline has passed", "已超时"),
    "todo": ("Something for you to do", "您有新的待办"),
    "assigned": ("An engineer was assigned", "已指派工程师"),
    "reassigned": ("Another engineer comes", "已更换工程师"),
    "moved": ("The visit was moved", "上门时间已调整"),
    "visit_canceled": ("The visit was called off", "上门已取消"),
    "eta": ("New time of arrival", "预计到达时间有变"),
    "window_missed": ("The engineer comes late", "工程师将晚到"),
    "on_the_way": ("The engineer is on the way", "工程师已出发"),
    "arrived": ("The engineer is there", "工程师已到达"),
    "offered": ("An urgent order is offered to you", "紧急工单,请立即接单"),
    "exhausted": ("Nobody has taken the urgent order", "紧急工单无人接单"),
    "escalated": ("Nobody has acknowledged the urgent order", "紧急工单无人确认"),
    "digest": ("{count} notices", "{count} 条通知"),
}
NEXT: Final[Mapping[str, tuple[str, str]]] = {
    "new": ("Respond and assign an engineer", "响应并指派工程师"),
    "scheduled": ("The engineer goes there", "工程师按时上门"),
    "in_progress": ("The engineer reports what was done", "工程师完成处理并回报"),
    "completed": ("The customer signs it off", "等待客户签收"),
    "cannot_complete": ("Plan a further visit", "安排再次上门"),
    "closed": ("Nothing", "无"),
    "canceled": ("Nothing", "无"),
}
NEXT_OF: Final[Mapping[str, tuple[str, str]]] = {
    "approval_asked": ("Approve or reject", "请审批"),
    "answers_offered": ("Say whether it helped", "请反馈是否解决"),
    "survey_asked": ("Answer the survey", "请填写评价"),
    "visit_offered": ("Accept the proposed visit or plan it otherwise", "请确认建议的上门安排或另行安排"),
    "done": ("Sign it off", "请签收"),
    "offered": ("Accept or decline", "请接单或拒绝"),
    "exhausted": ("Assign somebody by hand", "请人工指派"),
    "escalated": ("Acknowledge it and see to it", "请立即确认并处理"),
    "turned_over": ("Take it over or hand it on", "请接管或改派"),
    "handed_on": ("Respond to the customer", "请响应客户"),
}
ROLES: Final[Mapping[str, tuple[str, str]]] = {
    "engineer": ("engineer", "工程师"),
    "handler": ("handler", "处理人"),
    "next": ("next responsible", "下一责任人"),
    "customer": ("customer", "客户"),
    "supervisor": ("supervisor", "主管"),
    "initiator": ("initiator", "发起人"),
    "addressee": ("addressee", "收件人"),
}

_MARKDOWN: Final = (
    "**{{ headline }}** [{% if order.number %}{{ order.number }}{% else %}Open{% endif %}]({{ link }})"
    "{% if order.number %}\n\n> State: {{ order.state }} · {{ order.priority }}\n> Next: {{ next }}{% endif %}"
    "{% if deadline %}\n\n> Due: {{ deadline }} ({{ remaining }}){% endif %}"
    "{% if note %}\n\n> {{ note }}{% endif %}",
    "**{{ headline }}** [{% if order.number %}{{ order.number }}{% else %}查看{% endif %}]({{ link }})"
    "{% if order.number %}\n\n> 状态:{{ order.state }} · {{ order.priority }}\n> 下一步:{{ next }}{% endif %}"
    "{% if deadline %}\n\n> 截止:{{ deadline }}({{ remaining }}){% endif %}"
    "{% if note %}\n\n> {{ note }}{% endif %}",
)
_HTML: Final = (
    "<p>{{ person }},</p><h2>{{ headline }}</h2>"
    "{% if order.number %}<p><b>{{ order.number }}</b> · {{ order.state }} · {{ order.priority }}</p>"
    "<p>Next: {{ next }}</p>{% endif %}"
    "{% if deadline %}<p>Due: {{ deadline }} ({{ remaining }})</p>{% endif %}"
    "{% if visit.engineer %}<p>Engineer: {{ visit.engineer }}{% if visit.eta %}, expected {{ visit.eta }}{% endif %}</p>"
    '{% endif %}{% if note %}<p>{{ note }}</p>{% endif %}<p><a href="{{ link }}">Open {{ order.number }}</a></p>'
    "<p>{{ organisation }}</p>",
    "<p>{{ person }},您好:</p><h2>{{ headline }}</h2>"
    "{% if order.number %}<p><b>{{ order.number }}</b> · {{ order.state }} · {{ order.priority }}</p>"
    "<p>下一步:{{ next }}</p>{% endif %}"
    "{% if deadline %}<p>截止:{{ deadline }}({{ remaining }})</p>{% endif %}"
    "{% if visit.engineer %}<p>工程师:{{ visit.engineer }}{% if visit.eta %},预计 {{ visit.eta }} 到达{% endif %}</p>"
    '{% endif %}{% if note %}<p>{{ note }}</p>{% endif %}<p><a href="{{ link }}">查看 {{ order.number }}</a></p>'
    "<p>{{ organisation }}</p>",
)
_PLAIN: Final = (
    "{{ headline }}{% if order.number %}: {{ order.number }}, {{ order.state }}. Next: {{ next }}{% endif %}."
    "{% if deadline %} Due {{ deadline }}.{% endif %}{% if visit.eta %} Expected {{ visit.eta }}.{% endif %} {{ link }}",
    "【{{ organisation }}】{{ headline }}"
    "{% if order.number %}:{{ order.number }},{{ order.state }}。下一步:{{ next }}{% endif %}。"
    "{% if deadline %}截止 {{ deadline }}。{% endif %}{% if visit.eta %}预计 {{ visit.eta }} 到达。{% endif %}{{ link }}",
)
_VOICE: Final = (
    "This is {{ organisation }}. {{ headline }}. Order {{ order.number }}, {{ order.priority }}. {{ next }}."
    "{% if deadline %} Due {{ deadline }}.{% endif %} Please acknowledge it now.",
    "这里是{{ organisation }}。{{ headline }}。工单 {{ order.number }},{{ order.priority }}。{{ next }}。"
    "{% if deadline %}截止时间 {{ deadline }}。{% endif %}请立即确认。",
)
_DIGEST: Final[Mapping[str, tuple[str, str]]] = {
    "markdown": (
        "**{{ count }} notices**\n{% for item in items %}\n- {% if item.urgent %}**!** {% endif %}{{ item.title }}\n"
        "{% endfor %}\n[Open]({{ link }})",
        "**{{ count }} 条通知**\n{% for item in items %}\n- {% if item.urgent %}**!** {% endif %}{{ item.title }}\n"
        "{% endfor %}\n[查看]({{ link }})",
    ),
    "html": (
        "<h2>{{ count }} notices</h2><ul>{% for item in items %}<li>{{ item.title }}</li>{% endfor %}</ul>"
        '<p><a href="{{ link }}">Open</a></p>',
        "<h2>{{ count }} 条通知</h2><ul>{% for item in items %}<li>{{ item.title }}</li>{% endfor %}</ul>"
        '<p><a href="{{ link }}">查看</a></p>',
    ),
    "plain": (
        "{{ count }} notices:{% for item in items %} {{ item.title }};{% endfor %} {{ link }}",
        "{{ count }} 条通知:{% for item in items %}{{ item.title }};{% endfor %}{{ link }}",
    ),
}
_TITLE: Final = (
    "{% if order.number %}{{ order.number }}: {% endif %}{{ headline }}",
    "{% if order.number %}{{ order.number }}:{% endif %}{{ headline }}",
)


def built_in(medium: str, kind: str, locale: str) -> Text:
    """Version 0 of the template of this medium, kind and language: what stands here, and in no table."""
    n = 1 if locale.startswith("zh") else 0
    form = "html" if medium in HTML else "markdown" if medium in MARKDOWN else "plain"
    if kind == "digest":
        return Text(title=HEADLINES["digest"][n].format(count="{{ count }}"), body=_DIGEST[form][n])
    if medium == "voice":
        return Text(title=_TITLE[n], body=_VOICE[n])
    body = {"html": _HTML, "markdown": _MARKDOWN, "plain": _PLAIN}[form]
    return Text(title=_TITLE[n], body=body[n])


def headline(kind: str, locale: str, **values: str) -> str:
    """What happened."""
    return HEADLINES[kind][1 if locale.startswith("zh") else 0].format_map(values)


def next_action(kind: str, state: str, locale: str) -> str:
    """What is to be done next, by the kind of notice, else by the order's state."""
    found = NEXT_OF.get(kind) or NEXT.get(state) or ("", "")
    return found[1 if locale.startswith("zh") else 0]


def moment(at: datetime, now: datetime, zone: ZoneInfo, locale: str) -> str:
    """A time of day, with its date where that is not today's."""
    local, today = at.astimezone(zone), now.astimezone(zone)
    if local.date() == today.date():
        return f"{local:%H:%M}"
    return (
        f"{local.month}月{local.day}日 {local:%H:%M}"
        if locale.startswith("zh")
        else f"{local:%Y-%m-%d %H:%M}"
    )


def left(at: datetime, now: datetime, locale: str) -> str:
    """How long until then, or since."""
    span = at - now
    late = span < timedelta()
    minutes = int(abs(span).total_seconds() // 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if locale.startswith("zh"):
        text = (f"{days} 天 " if days else "") + (f"{hours} 小时 " if hours else "") + f"{rest} 分钟"
        return f"已超 {text}" if late else f"还剩 {text}"
    text = (f"{days} d " if days else "") + (f"{hours} h " if hours else "") + f"{rest} min"
    return f"{text} late" if late else f"{text} left"
