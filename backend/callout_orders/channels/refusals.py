"""What a channel may be refused for. One class each, each with its own code."""

from callout_store.errors import Refusal


class CallForged(Refusal):
    code, status = "CALL_FORGED", 403
    en = "This call is not signed by the account it says it comes from, or its time has passed."
    zh = "请求签名无效或已过期。"


class CallUnreadable(Refusal):
    code, status = "CALL_UNREADABLE", 400
    en = "This call cannot be read: {why}."
    zh = "无法读取该请求:{why}。"


class FormClosed(Refusal):
    code, status = "FORM_CLOSED", 404
    en = "This form is not open. Ask the company how to reach its service."
    zh = "该报修表单未开放,请联系服务商。"


class FormFilledByMachine(Refusal):
    code, status = "FORM_FILLED_BY_MACHINE", 422
    en = "The field that people do not see was filled in. Empty it (`website`) and send the form again."
    zh = "隐藏字段不应填写,请清空(`website`)后重新提交。"


class NoWayBack(Refusal):
    code, status = "NO_WAY_BACK", 409
    en = "A form cannot be written to. Call or write to {peer}, then complete or close the conversation."
    zh = "表单无法回复。请致电或写信给 {peer},然后补全或关闭该会话。"


class FileRefused(Refusal):
    code, status = "FILE_REFUSED", 422
    en = "This file is not taken ({why}): send a JPEG, PNG, WebP or HEIC picture, an MP4 film or a PDF of at most {limit} MB."
    zh = "无法接收该文件({why}),请发送不超过 {limit} MB 的 JPEG、PNG、WebP、HEIC 图片、MP4 视频或 PDF。"


class FileAwaited(Refusal):
    code, status, retryable = "FILE_AWAITED", 409, True
    en = "The file is not here yet ({state})."
    zh = "文件尚未就绪({state})。"
