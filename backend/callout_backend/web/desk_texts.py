"""Every sentence of the agent's desk, in English and Chinese. `{…}` is filled in by the page's script."""

from typing import Final

from callout_orders.precheck.text.builtin_words import LABELS as TAG_LABELS
from callout_orders.sla.why import REASONS as HOLD_LABELS
from callout_orders.terms import ORDER_STATE_LABELS

TEXTS: Final[dict[str, dict[str, str]]] = {
    "title": {"en": "Service desk", "zh": "服务台"},
    "organisation": {"en": "Organisation", "zh": "组织"},
    "email": {"en": "E-mail", "zh": "邮箱"},
    "password": {"en": "Password", "zh": "密码"},
    "sign_in": {"en": "Sign in", "zh": "登录"},
    "sign_out": {"en": "Sign out", "zh": "退出登录"},
    "ended": {"en": "The session has ended. Please sign in again.", "zh": "会话已结束,请重新登录。"},
    "no_answer": {"en": "The server does not answer.", "zh": "服务器无响应。"},
    "offline": {
        "en": "There is no connection; this is what was known last.",
        "zh": "网络不可用,以下为最近一次的信息。",
    },
    "i_am": {"en": "I am", "zh": "我的状态"},
    "online": {"en": "online", "zh": "在线"},
    "away": {"en": "away", "zh": "离开"},
    "presence_offline": {"en": "offline", "zh": "离线"},
    "todos": {"en": "To do", "zh": "待办"},
    "seen": {"en": "Seen", "zh": "已知悉"},
    "done": {"en": "Done", "zh": "完成"},
    "queue": {"en": "Orders", "zh": "工单"},
    "show": {"en": "Show", "zh": "显示"},
    "all": {"en": "all open orders", "zh": "全部未结工单"},
    "unanswered": {"en": "without an answer", "zh": "未响应"},
    "mine": {"en": "mine", "zh": "我的工单"},
    "nobodys": {"en": "nobody's", "zh": "无人处理"},
    "flagged": {"en": "flagged", "zh": "已标记"},
    "nothing": {"en": "Nothing waits here.", "zh": "暂无工单。"},
    "more": {"en": "Show more", "zh": "显示更多"},
    "left": {"en": "{minutes} min left", "zh": "剩余 {minutes} 分钟"},
    "left_seconds": {"en": "{seconds} s left", "zh": "剩余 {seconds} 秒"},
    "late": {"en": "{minutes} min late", "zh": "已超时 {minutes} 分钟"},
    "paused": {"en": "paused: {reason}", "zh": "已暂停:{reason}"},
    "to_answer": {"en": "first response", "zh": "首次响应"},
    "to_resolve": {"en": "resolution", "zh": "解决"},
    "handler": {"en": "with {name}", "zh": "处理人:{name}"},
    "nobody": {"en": "nobody has it", "zh": "无人处理"},
    "duplicates": {"en": "{count} more of the same", "zh": "另有 {count} 个重复工单"},
    "red": {"en": "red lane", "zh": "红色通道"},
    "flag_nobody_on_duty": {"en": "nobody is on duty", "zh": "无人值班"},
    "flag_nobody_answers": {"en": "nobody on duty answered", "zh": "当班人员均未响应"},
    "flag_no_team": {"en": "no team answers for it", "zh": "没有负责的小组"},
    "respond": {"en": "Respond", "zh": "响应"},
    "take_over": {"en": "Take over", "zh": "接管"},
    "hand_on": {"en": "Hand on", "zh": "转派"},
    "move_deadline": {"en": "Move deadline", "zh": "调整时限"},
    "cancel": {"en": "Cancel", "zh": "取消"},
    "ok": {"en": "OK", "zh": "确定"},
    "text": {"en": "What did you say to them? (may be empty)", "zh": "答复内容(可不填)"},
    "reason": {"en": "Why?", "zh": "原因"},
    "to_whom": {"en": "To whom?", "zh": "转给"},
    "team": {"en": "Team {name}", "zh": "小组 {name}"},
    "milestone": {"en": "Which deadline?", "zh": "哪个时限"},
    "first_response": {"en": "first response", "zh": "首次响应"},
    "arrival": {"en": "arrival", "zh": "到场"},
    "resolution": {"en": "resolution", "zh": "解决"},
    "minutes": {"en": "By how many minutes?", "zh": "延长多少分钟"},
    "hours": {"en": "For how many hours does it stand?", "zh": "有效多少小时"},
    "needs_script": {"en": "This page needs JavaScript.", "zh": "此页面需要启用 JavaScript。"},
    # Codes in the rows, as people say them; a tag of the organisation's own is its name.
    **{f"tag_{tag}": label for tag, label in TAG_LABELS.items()},
    **{f"hold_{reason}": {"en": en, "zh": zh} for reason, (en, zh) in HOLD_LABELS.items()},
    **{
        f"state_{state.value}": {"en": label["en"], "zh": label["zh"]}
        for state, label in ORDER_STATE_LABELS.items()
    },
}
