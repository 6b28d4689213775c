"""Every sentence of the survey's page, in English and Chinese."""

from typing import Final

TEXTS: Final[dict[str, dict[str, str]]] = {
    "title": {"en": "How did we do?", "zh": "服务评价"},
    "lead": {
        "en": "One question, and you are done. Two stars or fewer, and somebody looks after it again.",
        "zh": "只需一步。两星及以下,我们将重新跟进处理。",
    },
    "order": {"en": "Order", "zh": "工单"},
    "reported": {"en": "What was reported", "zh": "报修内容"},
    "score": {"en": "How content are you?", "zh": "您对本次服务满意吗?"},
    "score_1": {"en": "not at all", "zh": "很不满意"},
    "score_2": {"en": "not much", "zh": "不满意"},
    "score_3": {"en": "so-so", "zh": "一般"},
    "score_4": {"en": "content", "zh": "满意"},
    "score_5": {"en": "very content", "zh": "非常满意"},
    "comment": {"en": "Anything to add? (optional)", "zh": "补充说明(选填)"},
    "send": {"en": "Send", "zh": "提交评价"},
    "thanks_title": {"en": "Thank you", "zh": "感谢您的评价"},
    "thanks_lead": {"en": "Your answer was stored.", "zh": "您的评价已提交。"},
    "reopened_title": {"en": "We will look after it again", "zh": "我们将重新处理"},
    "reopened_lead": {
        "en": "We are sorry that you are not content. The order is open again, and somebody will be in touch.",
        "zh": "很抱歉未能让您满意。工单已重新打开,我们会尽快与您联系。",
    },
    "used_title": {"en": "Answered already", "zh": "已评价"},
    "expired_title": {"en": "This survey is over", "zh": "评价已截止"},
    "unknown_title": {"en": "This link is not valid", "zh": "链接无效"},
    "refused_title": {"en": "This did not work", "zh": "操作未成功"},
}
