"""Every sentence of the page behind a notice's link, and of the sink's page, in English and Chinese."""

from typing import Final

TEXTS: Final[dict[str, dict[str, str]]] = {
    "title": {"en": "Notice", "zh": "通知"},
    "order": {"en": "Order", "zh": "工单"},
    "state": {"en": "State", "zh": "状态"},
    "next": {"en": "Next", "zh": "下一步"},
    "deadline": {"en": "Due", "zh": "截止"},
    "more": {"en": "Also in this message", "zh": "本条消息还包含"},
    "read": {"en": "I have read it", "zh": "已阅"},
    "answers": {"en": "Show me the answers", "zh": "查看解答"},
    "acknowledge": {"en": "Acknowledge", "zh": "确认收到"},
    "done_read": {"en": "Marked as read.", "zh": "已标记为已读。"},
    "done_acknowledge": {
        "en": "Acknowledged. Nobody else will be called.",
        "zh": "已确认,系统不会再通知其他人。",
    },
    "invalid_title": {"en": "Nothing here", "zh": "无法显示"},
}

SINK: Final[dict[str, dict[str, str]]] = {
    "title": {"en": "What would have been sent", "zh": "待发消息预览"},
    "lead": {
        "en": "No message left this house. Here is each one as its reader would see it.",
        "zh": "以下消息均未真正发出,按收件人看到的样子展示。",
    },
    "organisation": {"en": "Organisation", "zh": "组织"},
    "email": {"en": "E-mail", "zh": "邮箱"},
    "password": {"en": "Password", "zh": "密码"},
    "sign_in": {"en": "Sign in", "zh": "登录"},
    "number": {"en": "Order", "zh": "工单"},
    "person": {"en": "Person", "zh": "收件人"},
    "medium": {"en": "Channel", "zh": "渠道"},
    "all": {"en": "all", "zh": "全部"},
    "show": {"en": "Show", "zh": "查询"},
    "more": {"en": "More", "zh": "更多"},
    "nothing": {"en": "Nothing yet.", "zh": "暂无消息。"},
    "failed": {"en": "That did not work", "zh": "操作失败"},
    "urgent": {"en": "urgent", "zh": "紧急"},
    "digest": {"en": "digest", "zh": "汇总"},
    "to": {"en": "To", "zh": "收件人"},
    "voice": {"en": "Read out on the phone", "zh": "电话语音播报"},
    "acknowledge": {"en": "Acknowledge", "zh": "我已知悉"},
    "inbox": {"en": "Inbox", "zh": "站内"},
    "wecom": {"en": "WeCom card", "zh": "企业微信卡片"},
    "wecom_robot": {"en": "WeCom group", "zh": "企业微信群"},
    "dingtalk_robot": {"en": "DingTalk group", "zh": "钉钉群"},
    "feishu_robot": {"en": "Feishu group", "zh": "飞书群"},
    "wecom_chat": {"en": "WeCom chat", "zh": "企业微信会话"},
    "wechat_chat": {"en": "WeChat chat", "zh": "微信会话"},
    "dingtalk_chat": {"en": "DingTalk chat", "zh": "钉钉会话"},
    "email_medium": {"en": "Mail", "zh": "邮件"},
    "sms": {"en": "SMS", "zh": "短信"},
    "voice_medium": {"en": "Call", "zh": "语音电话"},
    "push": {"en": "Push", "zh": "推送"},
    "web_push": {"en": "Web push", "zh": "网页推送"},
}
