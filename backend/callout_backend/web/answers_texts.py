"""Every sentence of the page on which a customer reads answers and says whether one helped, in English and Chinese."""

from typing import Final

TEXTS: Final[dict[str, dict[str, str]]] = {
    "title": {"en": "Answers to your question", "zh": "您的问题的解答"},
    "lead": {
        "en": "Please try what is written here. If it helps, tell us and we close your order; if not, we take care of it.",
        "zh": "请先按以下内容尝试。如已解决请告诉我们,工单将关闭;如未解决,我们会继续处理。",
    },
    "order": {"en": "Order", "zh": "工单"},
    "asked": {"en": "Your question", "zh": "您的问题"},
    "workaround": {"en": "Until it is mended", "zh": "临时解决办法"},
    "withdrawn": {
        "en": "What was written here has been withdrawn. Please tell us below whether you still need help.",
        "zh": "原解答已撤回。如仍需帮助,请在下方告知我们。",
    },
    "solved_button": {"en": "This solved it", "zh": "已解决"},
    "none_title": {"en": "None of this helped?", "zh": "都没有帮助?"},
    "reason": {"en": "What happens still (you may leave this blank)", "zh": "目前的情况(可不填)"},
    "none_button": {"en": "It did not help", "zh": "未解决"},
    "solved_title": {"en": "Thank you", "zh": "感谢您的反馈"},
    "solved_lead": {
        "en": "We are glad that it helped. Your order is closed.",
        "zh": "很高兴问题已解决,您的工单已关闭。",
    },
    "did_not_help_title": {"en": "We take care of it", "zh": "我们将继续处理"},
    "did_not_help_lead": {
        "en": "Thank you for trying. Your order now goes to our engineers, and we get in touch with you.",
        "zh": "感谢您的尝试。您的工单已转交工程师处理,我们会与您联系。",
    },
    "over_title": {"en": "This order is over", "zh": "该工单已结束"},
    "over_lead": {
        "en": "There is nothing left to do here. If you need us again, please report it anew.",
        "zh": "此处已无需操作。如仍需帮助,请重新提交。",
    },
    "expired_title": {"en": "This link has expired", "zh": "链接已过期"},
    "unknown_title": {"en": "This link is not valid", "zh": "链接无效"},
    "used_title": {"en": "This has been answered already", "zh": "此问题已有反馈"},
    "refused_title": {"en": "This cannot be done", "zh": "无法完成操作"},
}
