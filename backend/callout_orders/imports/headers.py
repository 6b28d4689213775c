"""What a column is, told by its header in Chinese or English. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    "reference": (
        "id", "order id", "order number", "order no", "ticket", "ticket id", "ticket number", "reference", "ref", "key",
        "unique key", "case id", "work order", "work order number", "number", "no",
        "工单号", "单号", "编号", "工单编号", "报修单号", "订单号", "原单号", "外部编号",
        "外部单号", "外部订单号", "第三方单号", "来源单号",
    ),
    "description": (
        "description", "details", "problem", "issue", "fault", "fault description", "complaint", "request", "summary",
        "subject", "text", "what happened", "comment", "comments",
        "描述", "问题", "故障", "故障描述", "问题描述",
        "故障现象", "现象", "报修内容", "内容", "备注", "摘要", "主题", "情况说明",
    ),
    "kind": ("kind", "type", "order type", "category", "request type", "类型", "工单类型", "类别", "业务类型", "服务类型"),
    "priority": ("priority", "urgency", "severity", "level", "优先级", "紧急程度", "级别", "等级", "紧急度"),
    "channel": ("channel", "source", "origin", "渠道", "来源", "报修渠道", "来源渠道", "受理渠道"),
    "customer_number": (
        "customer number", "customer no", "customer id", "account", "account number", "客户编号", "客户号", "客户代码",
    ),
    "customer_name": (
        "customer", "customer name", "client", "company", "account name", "客户", "客户名称", "客户名", "公司", "单位",
        "单位名称", "公司名称",
    ),
    "contact_name": (
        "contact", "contact name", "contact person", "caller", "reporter", "name", "requested by",
        "联系人", "联系人姓名", "报修人", "姓名", "来电人", "报障人", "申报人",
    ),
    "contact_phone": (
        "phone", "phone number", "telephone", "tel", "mobile", "mobile number", "contact phone", "cell",
        "电话", "手机", "手机号", "手机号码", "联系电话", "联系方式", "电话号码", "来电号码", "报修电话",
    ),
    "contact_email": ("email", "e mail", "mail", "contact email", "邮箱", "电子邮箱", "邮件", "电子邮件"),
    "serial": (
        "serial", "serial number", "serial no", "sn", "s n", "asset", "asset number", "device", "device id", "device number",
        "序列号", "设备序列号", "设备编号", "机器编号", "设备号", "机身号", "资产编号",
    ),
    "product": ("product", "model", "product model", "device model", "machine", "产品", "型号", "设备型号", "机型",
                "产品型号"),
    "error_code": ("error", "error code", "fault code", "code", "错误码", "故障码", "错误代码", "故障代码", "报警代码"),
    "address": (
        "address", "site address", "location", "incident address", "site", "street", "地址", "现场地址", "安装地址",
        "详细地址",
        "服务地址", "报修地址", "位置", "地点",
    ),
    "lat": ("lat", "latitude", "纬度"),
    "lng": ("lng", "lon", "long", "longitude", "经度"),
    "created_at": (
        "created", "created at", "created date", "created on", "opened", "opened at", "date", "time", "received",
        "received at",
        "创建时间", "创建日期", "下单时间", "受理时间", "登记时间", "日期", "时间", "提交时间", "建单时间",
    ),
    "reported_at": ("reported", "reported at", "occurred", "occurred at", "报修时间", "发生时间", "报障时间", "故障时间"),
    "requested_from": ("requested from", "from", "window start", "earliest", "appointment", "预约时间", "预约开始",
                       "期望时间"),
    "requested_until": ("requested until", "until", "window end", "latest", "预约结束", "预约截止"),
    "skills": ("skill", "skills", "trade", "技能", "所需技能", "工种"),
    "tags": ("tag", "tags", "labels", "标签"),
    "duration_minutes": ("duration", "duration minutes", "minutes", "expected minutes", "预计时长", "工时", "预计分钟"),
    "locale": ("language", "locale", "语言"),
}  # fmt: skip
"""Words by which a field is known, in small letters without punctuation. A header is one of them, or it is not known.

序号 is none: it counts a sheet's rows, and next week's row 1 would be taken for this week's order.
"""

HEADER_CHARS_MAX: Final = 120
_BREAKS: Final = re.compile(r"[\s_\-./:*()\[\]#?,;、:()【】]+")


def shown(header: str) -> str:
    """A header as people are shown it, and as a template's is compared with a sheet's: one line, within bounds."""
    return " ".join(header.split())[:HEADER_CHARS_MAX]


def plain(header: str) -> str:
    """A header as the list above writes it: half-width, small, single blanks, no punctuation, no unit in brackets."""
    text = unicodedata.normalize("NFKC", header)
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).casefold()
    return _BREAKS.sub(" ", text).strip()


_BY_WORD: Final = {word: field for field, words in SYNONYMS.items() for word in words}
_BY_NAME: Final = {plain(field): field for field in SYNONYMS}


def guess(header: str) -> str | None:
    """The field that a header means, or None."""
    word = plain(header)
    without = re.sub(r"\s*[((].*?[))]\s*", "", unicodedata.normalize("NFKC", header))
    found = _BY_WORD.get(word) or _BY_NAME.get(word)
    return found or _BY_WORD.get(plain(without))


def guesses(headers: Sequence[str]) -> dict[str, str]:
    """Field by header; of two headers that mean the same field the first one has it, but for descriptions, which add up."""
    found: dict[str, str] = {}
    for header in headers:
        field = guess(header)
        if field is not None and (field == "description" or field not in found.values()):
            found[header] = field
    return found
