"""The reason in a refusal, for a reader of Chinese: what our own checks and the reader of JSON say in English.

Refusals that come with texts of their own in both languages (`checks.FieldRefused`) need none of this. A reason that is not
known here is shown as it is.
"""

import re
from collections.abc import Callable
from typing import Final

_PLAIN: Final[dict[str, str]] = {
    "`encrypt` is a text": "encrypt 必须是文本",
    "nobody shuts themselves out: another admin does it": "不能停用自己的账号,请由其他管理员操作",
    "`query` is missing": "缺少 query",
    "a program comes twice": "同一程序重复出现",
    "a skill comes twice": "同一技能重复出现",
    "a slug has 2 to 63 of a-z, 0-9 and hyphens, and starts with no hyphen":
        "组织标识为 2 至 63 个小写字母、数字或连字符,且不以连字符开头",
    "a version is one to four numbers with dots between, such as 2.10.0": "版本号由一至四个数字以点分隔,如 2.10.0",
    "an object of values by field": "应为按字段给出值的对象",
    "give a template or a config, not both": "模板与配置只能二选一",
    "give id, number, or system and reference": "请提供 id、number,或 system 与 reference",
    "give orderId, number, or system and reference": "请提供 orderId、number,或 system 与 reference",
    "it cannot be read": "无法读取",
    "it ended early": "内容不完整",
    "it has a document type": "不允许包含文档类型声明",
    "it has at least 8 characters": "至少 8 个字符",
    "it has too few or too many digits for its country": "号码位数与所属国家不符",
    "it has too many elements, or too deep": "元素过多或嵌套过深",
    "it holds a control character": "包含控制字符",
    "it holds the character U+0000": "包含字符 U+0000",
    "it is 16 to 80 letters, digits, hyphens and underscores, made at random":
        "应为 16 至 80 个随机生成的字母、数字、连字符或下划线",
    "it is `all` or `needed`": "必须是 all 或 needed",
    "it is an object of texts": "应为文本对象",
    "it is an object with the kind's fields by their codes": "应为以字段代码为键的对象",
    "it is empty": "内容为空",
    "it is full or thumb": "必须是 full 或 thumb",
    "it is nested too deeply": "嵌套过深",
    "it is no JSON": "不是 JSON",
    "it is no JSON object": "不是 JSON 对象",
    "it is not UTF-8": "不是 UTF-8 编码",
    "it is not a cursor of this list": "不是此列表的游标",
    "it is not a robot's message": "不是机器人消息",
    "it is not a time zone of the IANA database": "不是 IANA 时区名称",
    "it is not an e-mail address": "不是有效的电子邮箱地址",
    "it is not an international telephone number, such as +44 20 7946 0000": "不是国际电话号码(如 +44 20 7946 0000)",
    "it is not combined with other filters": "不能与其他筛选条件同时使用",
    "it is not gzip, as its Content-Encoding says": "内容不是 Content-Encoding 所称的 gzip",
    "it is not zstd, as its Content-Encoding says": "内容不是 Content-Encoding 所称的 zstd",
    "it lies between 1 and 365 days": "必须在 1 与 365 天之间",
    "it names no sender": "缺少发送者",
    "it was not hashed with argon2id": "未以 argon2id 计算",
    "its gzip stream is cut off, or something follows it": "gzip 数据不完整或有多余内容",
    "its zstd frame is cut off, or something follows it": "zstd 数据不完整或有多余内容",
    "kept, lost or other": "必须是 kept、lost 或 other",
    "nested too deeply": "嵌套过深",
    "nobody was there before: name an engineer": "此前无人上门,请指定工程师",
    "not UTF-8 or not JSON": "不是 UTF-8 编码或不是 JSON",
    "not a cursor of this list": "不是此列表的游标",
    "not a role": "不是有效的角色",
    "not a text": "不是文本",
    "not an object of values by code": "应为以代码为键的对象",
    "not an object of values by name": "应为以名称为键的对象",
    "only with the choice `other`": "仅在选择 other 时填写",
    "the form holds no file of this name": "表单中没有此文件",
    "the languages are en and zh": "语言为 en 或 zh",
    "the text holds a character that cannot be stored (U+0000)": "包含无法保存的字符 U+0000",
    "the time has no time zone": "时间缺少时区",
    "there is no such file of yours; upload it again": "找不到您上传的该文件,请重新上传",
    "this account is not verified with GET": "该账号不使用 GET 校验",
    "0 to 2^53": "必须在 0 与 2^53 之间",
    # What the reader of JSON says
    "Invalid UUID": "不是有效的 UUID",
    "Invalid RFC3339 encoded datetime": "不是 RFC 3339 格式的时间(如 2026-01-31T09:00:00+08:00)",
    "Invalid RFC3339 encoded date": "不是 RFC 3339 格式的日期(如 2026-01-31)",
    "Input data was truncated": "内容不完整",
    "Integer value out of range": "整数超出范围",
}  # fmt: skip

_TYPES: Final[dict[str, str]] = {
    "str": "文本",
    "int": "整数",
    "float": "数字",
    "bool": "布尔值",
    "null": "空值",
    "object": "对象",
    "array": "列表",
    "datetime": "时间",
    "date": "日期",
    "uuid": "UUID",
}


def _types(given: str) -> str:
    return "或".join(_TYPES.get(one.strip(), one.strip()) for one in given.split("|"))


_PATTERNS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = tuple(
    (re.compile(pattern, re.DOTALL), say)
    for pattern, say in (
        (r"Expected `([^`]+)`, got `([^`]+)`", lambda m: f"应为{_types(m[1])},收到的是{_types(m[2])}"),
        (r"Expected `[^`]+` of length >= (\d+)", lambda m: f"长度至少为 {m[1]}"),
        (r"Expected `[^`]+` of length <= (\d+)", lambda m: f"长度不超过 {m[1]}"),
        (r"Expected `[^`]+` of length (\d+)", lambda m: f"长度必须为 {m[1]}"),
        (r"Expected `[^`]+` (>=|<=|>|<) (\S+)", lambda m: f"必须 {m[1]} {m[2]}"),
        (r"Expected `[^`]+` matching regex (.+)", lambda m: f"须符合格式 {m[1]}"),
        (r"Expected `[^`]+` with a timezone component", lambda _: "时间缺少时区"),
        (r"Invalid enum value (.+)", lambda m: f"取值 {m[1]} 不在可选范围内"),
        (r"Object missing required field `([^`]+)`", lambda m: f"缺少字段 {m[1]}"),
        (r"Object contains unknown field `([^`]+)`", lambda m: f"没有名为 {m[1]} 的字段"),
        (r"JSON is malformed: .*?(?:\(byte (\d+)\))?", lambda m: f"JSON 格式错误(第 {m[1] or '?'} 字节)"),
        (r"a password has (\d+) to (\d+) characters", lambda m: f"密码为 {m[1]} 至 {m[2]} 个字符"),
        (r"at most (\d+) characters, none of them U\+0000", lambda m: f"不超过 {m[1]} 个字符,且不含 U+0000"),
        (r"it has 1 to (\d+) characters", lambda m: f"须为 1 至 {m[1]} 个字符"),
        (
            r"it (?:must lie|lies) between (\S+) and (\S+)",
            lambda m: f"必须在 {m[1]} 与 {m[2]} 之间",
        ),
        (r"it names none of (.+)", lambda m: f"必须是以下之一:{m[1]}"),
        (r"(?:one of|the scopes are) (.+)", lambda m: f"必须是以下之一:{m[1]}"),
        (r"it is larger than (\S+) bytes", lambda m: f"超过 {m[1]} 字节"),
        (r"it cannot be read: (.+)", lambda m: f"无法读取:{m[1]}"),
        (r"`config` is not JSON: (.+)", lambda m: f"config 不是 JSON:{chinese(m[1])}"),
        (r"the command's id is (.+)", lambda m: f"命令的 id 为 {m[1]}"),
        (r"the revision is (.+)", lambda m: f"当前修订号为 {m[1]}"),
    )
)


def chinese(why: str) -> str:
    """The reason in Chinese, where it is known; else as it is."""
    found = _PLAIN.get(why)
    if found is not None:
        return found
    for pattern, say in _PATTERNS:
        match = pattern.fullmatch(why)
        if match is not None:
            return say(match)
    return why
