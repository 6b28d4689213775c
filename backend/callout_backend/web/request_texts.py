"""Every sentence of the form on which a customer asks for service, in English and Chinese."""

from typing import Final

TEXTS: Final[dict[str, dict[str, str]]] = {
    "title": {"en": "Ask for service", "zh": "在线报修"},
    "lead": {
        "en": "Tell us what is wrong. Fields marked * are needed.",
        "zh": "请告诉我们出现的问题,带 * 的项目必填。",
    },
    "kind": {"en": "What is it about?", "zh": "请求类型"},
    "files": {"en": "Pictures", "zh": "照片"},
    "files_hint": {
        "en": "JPEG, PNG, WebP or HEIC, an MP4 film or a PDF; at most {count} files of {limit} MB each.",
        "zh": "支持 JPEG、PNG、WebP、HEIC 图片,MP4 视频或 PDF;最多 {count} 个文件,每个不超过 {limit} MB。",
    },
    "files_kept": {"en": "Kept from before:", "zh": "已上传:"},
    "website": {"en": "Leave this empty", "zh": "请勿填写"},
    "choose": {"en": "– choose –", "zh": "– 请选择 –"},
    "yes": {"en": "Yes", "zh": "是"},
    "no": {"en": "No", "zh": "否"},
    "send": {"en": "Send", "zh": "提交"},
    "wrong_title": {"en": "Not sent yet. Please look at:", "zh": "尚未提交,请检查:"},
    "sent_title": {"en": "Thank you", "zh": "提交成功"},
    "sent": {"en": "Your request was taken up as", "zh": "您的请求已受理,工单号"},
    "known": {"en": "We have this request already:", "zh": "该请求此前已提交,工单号"},
    "arrived": {
        "en": "Your request has arrived. We will get in touch with you.",
        "zh": "您的请求已收到,我们会与您联系。",
    },
    "arrived_before": {
        "en": "We have this request already. We will get in touch with you.",
        "zh": "该请求此前已提交,我们会与您联系。",
    },
    "follow": {"en": "Follow your order", "zh": "查看工单进度"},
    "another": {"en": "Send another request", "zh": "继续报修"},
    "answers": {"en": "This may help at once", "zh": "以下内容或许能立即帮到您"},
    "helped": {"en": "Say whether it helped", "zh": "告诉我们是否已解决"},
    "closed_title": {"en": "This form is not open", "zh": "表单未开放"},
    "refused_title": {"en": "This cannot be sent now", "zh": "暂时无法提交"},
}
