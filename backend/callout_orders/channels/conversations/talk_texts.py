"""Every sentence that a channel writes to somebody, in English and Chinese, and the names of what it asks for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from callout_orders.channels.terms import FILE_BYTES_MAX
from callout_orders.kinds.terms import Kind
from callout_orders.terms import ORDER_STATE_LABELS, OrderState

ANSWER_BYTES_MAX: Final = 1800
"""WeChat takes 2,048 bytes of text, and the others more."""

COLON: Final = {"en": ": ", "zh": "\uff1a"}

TEXTS: Final[dict[str, dict[str, str]]] = {
    "welcome": {
        "en": "Hello! Describe what is wrong, with the serial number and a telephone number, and send a picture if you can. "
        "Write “status” for your orders, “agent” for a person.",
        "zh": "您好!请描述故障现象,并告知设备序列号和联系电话,可附上照片。回复“进度”查询工单,回复“人工”转人工客服。",
    },
    "help": {
        "en": "Describe what is wrong in your own words; we ask for what is missing. “status”: your orders. "
        "“agent”: a person takes over. “cancel”: forget what you wrote.",
        "zh": "请直接描述问题,缺少的信息我们会向您询问。回复“进度”:查询您的工单;“人工”:转人工客服;“取消”:放弃本次报修。",
    },
    "ask": {
        "en": "To take up your request, please send:",
        "zh": "为了受理您的请求,还需要您提供:",
    },
    "ask_end": {
        "en": "One after the other or all at once, as you like. “agent” brings you to a person.",
        "zh": "可以逐条回复,也可以一次发送。回复“人工”转人工客服。",
    },
    "taken": {
        "en": "Thank you. Your request was taken up as {number}.",
        "zh": "感谢您的反馈,您的请求已受理,工单号 {number}。",
    },
    "known": {
        "en": "We have your request already: {number}.",
        "zh": "您的请求此前已受理,工单号 {number}。",
    },
    "duplicate": {
        "en": "It was put together with {number}, which is being worked on.",
        "zh": "已与正在处理的工单 {number} 合并跟进。",
    },
    "link": {"en": "Follow it here: {link}", "zh": "查看进度:{link}"},
    "no_orders": {
        "en": "We have no order of yours yet. Describe what is wrong to open one.",
        "zh": "暂无您的工单。请直接描述问题即可报修。",
    },
    "orders": {"en": "Your orders:", "zh": "您的工单:"},
    "agent": {
        "en": "A colleague has been asked to answer you. Whatever you write now reaches them.",
        "zh": "已为您转接人工客服,请稍候。您现在发送的内容客服都能看到。",
    },
    "agent_nothing": {
        "en": "A colleague has been asked to get in touch with you.",
        "zh": "已通知客服,我们会尽快与您联系。",
    },
    "canceled": {
        "en": "Forgotten. Write again whenever you need us.",
        "zh": "已取消。需要时请随时再次联系我们。",
    },
    "nothing_to_cancel": {
        "en": "There is nothing to cancel. To call off an order that was taken up, write “agent”.",
        "zh": "当前没有进行中的报修。如需取消已受理的工单,请回复“人工”。",
    },
    "unheard": {
        "en": "We cannot read messages of this kind. Please type it, or send a picture.",
        "zh": "暂不支持此类消息,请用文字描述或发送图片。",
    },
    "file_to_order": {
        "en": "Your file was added to {number}.",
        "zh": "文件已添加到工单 {number}。",
    },
    "note_to_order": {
        "en": "Your message was added to {number}.",
        "zh": "您的留言已添加到工单 {number}。",
    },
    "late": {
        "en": "A colleague will look at your request and get in touch with you.",
        "zh": "客服人员将跟进您的请求并与您联系。",
    },
    "closed": {
        "en": "This account does not take requests at the moment.",
        "zh": "该渠道暂不受理请求。",
    },
    "mail_too_large": {
        "en": "Your mail was larger than {limit} MB and could not be taken in. Please send it again with smaller or fewer "
        "files; the text alone is enough to begin with.",
        "zh": "您的邮件超过 {limit} MB,未能受理。请减少或压缩附件后重新发送,也可以先只发送文字。",
    },
    "files_refused": {
        "en": "Not taken: {names}. We take JPEG, PNG, WebP and HEIC pictures, MP4 films and PDF files of up to {limit} MB.",
        "zh": "未接收:{names}。请发送每个不超过 {limit} MB 的 JPEG、PNG、WebP、HEIC 图片、MP4 视频或 PDF。",
    },
    "left_out": {
        "en": "Your mail had more files or parts than we take at once ({limit} files): please send the rest in another.",
        "zh": "您的邮件附件或内容过多(每封最多 {limit} 个文件),其余内容请另行发送。",
    },
    "offers": {
        "en": "This may help at once:",
        "zh": "以下内容或许能立即帮到您:",
    },
    "offers_end": {
        "en": "Write “solved” if it did, “not solved” if it did not.",
        "zh": "已解决请回复“已解决”,否则请回复“未解决”。",
    },
    "solved": {"en": "Good to hear. {number} is closed.", "zh": "很高兴问题已解决,工单 {number} 已关闭。"},
    "not_solved": {
        "en": "We go on with {number} and get in touch with you.",
        "zh": "我们将继续处理工单 {number},并与您联系。",
    },
}

PATH_LABELS: Final[dict[str, dict[str, str]]] = {
    "description": {"en": "What is wrong", "zh": "故障描述"},
    "contactName": {"en": "Your name", "zh": "联系人"},
    "contactPhone": {"en": "Telephone number", "zh": "联系电话"},
    "contactEmail": {"en": "E-mail address", "zh": "电子邮箱"},
    "customerName": {"en": "Company or customer", "zh": "客户名称"},
    "customerNumber": {"en": "Customer number", "zh": "客户编号"},
    "customerId": {"en": "Customer", "zh": "客户"},
    "siteId": {"en": "Address", "zh": "地址"},
    "address": {"en": "Address", "zh": "地址"},
    "serial": {"en": "Serial number", "zh": "设备序列号"},
    "product": {"en": "Product", "zh": "产品型号"},
    "errorCode": {"en": "Error code", "zh": "故障代码"},
    "files": {"en": "A picture", "zh": "照片"},
    "kind": {"en": "Kind of request", "zh": "请求类型"},
}

LABEL_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "contactName": ("name", "contact", "姓名", "联系人", "称呼"),
    "contactPhone": ("phone", "telephone", "mobile", "tel", "电话", "手机", "联系电话", "手机号", "联系方式"),
    "contactEmail": ("mail", "email", "e-mail", "邮箱", "电子邮箱"),
    "customerName": ("company", "customer", "公司", "客户", "单位", "客户名称"),
    "customerNumber": ("customer number", "customer no", "客户编号", "客户号"),
    "address": ("address", "location", "地址", "位置", "地点"),
    "serial": ("serial", "serial number", "s/n", "sn", "序列号", "设备序列号", "设备编号", "设备号"),
    "product": ("product", "model", "产品", "型号", "产品型号"),
    "errorCode": ("error", "error code", "故障代码", "错误代码", "故障码", "错误码"),
    "description": ("description", "problem", "fault", "描述", "故障", "问题", "故障描述", "故障现象"),
}


def text(key: str, locale: str, **values: Any) -> str:
    """A sentence in `en` or `zh`."""
    return TEXTS[key][locale].format(**values)


def label(path: str, locale: str, kind: Kind | None = None) -> str:
    """What a path is called: one of ours, or a field of the kind."""
    if path.startswith("fields.") and kind is not None:
        field = kind.field(path.removeprefix("fields."))
        if field is not None:
            return field.label.of(locale)
    known = PATH_LABELS.get(path) or PATH_LABELS.get(path.partition(".")[0])
    return known[locale] if known else path


def label_words(kind: Kind | None) -> dict[str, tuple[str, ...]]:
    """By which words people name a path: ours, and the labels of the kind's own fields."""
    if kind is None:
        return dict(LABEL_WORDS)
    own = {f"fields.{field.code}": (field.label.en, field.label.zh, field.code) for field in kind.fields}
    return {**LABEL_WORDS, **own}


def ask(faults: Sequence[Mapping[str, Any]], locale: str, kind: Kind | None = None) -> str:
    """The answer that asks for what is missing or wrong, and for nothing else."""
    lines = [
        f"{n}. {label(str(fault['path']), locale, kind)}{COLON[locale]}{fault[locale]}"
        for n, fault in enumerate(faults, start=1)
    ]
    return bounded("\n".join([text("ask", locale), *lines, text("ask_end", locale)]))


def taken(locale: str, *, number: str, existing: bool, duplicate_of: str | None, link: str | None) -> str:
    """The answer that an order was made."""
    parts = [text("known" if existing else "taken", locale, number=number)]
    if duplicate_of is not None:
        parts.append(text("duplicate", locale, number=duplicate_of))
    if link is not None:
        parts.append(text("link", locale, link=link))
    return "\n".join(parts)


def files_refused(names: Sequence[str], locale: str) -> str:
    """The answer that files were not taken."""
    told = ", ".join(name[:80] for name in names[:10])
    return text("files_refused", locale, names=told, limit=FILE_BYTES_MAX // (1024 * 1024))


def statuses(orders: Sequence[tuple[str, str]], locale: str) -> str:
    """The answer to "status": number and state of each order."""
    if not orders:
        return text("no_orders", locale)
    lines = [
        f"{number}{COLON[locale]}{ORDER_STATE_LABELS[OrderState(state)][locale]}" for number, state in orders
    ]
    return bounded("\n".join([text("orders", locale), *lines]))


def bounded(words: str) -> str:
    """Cut at what the narrowest of the services takes, at the end of a character."""
    data = words.encode()
    return (
        words
        if len(data) <= ANSWER_BYTES_MAX
        else data[: ANSWER_BYTES_MAX - 3].decode("utf-8", "ignore") + "…"
    )
