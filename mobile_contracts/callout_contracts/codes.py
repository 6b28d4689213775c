"""Codes that a phone may meet in an answer, with the sentence for a person in English and Chinese. Codes never change."""

from callout_contracts.limits import PICTURE_PIXELS_MAX, PICTURE_SIDE_MAX

COMMAND_CODES: dict[str, tuple[str, str]] = {
    "COMMAND_UNREADABLE": (
        "The command could not be read: {why}. It is kept for the dispatcher.",
        "无法读取该操作:{why}。已保留,等待调度员处理。",
    ),
    "COMMAND_TOO_LARGE": (
        "The command is larger than {limit} bytes. It is kept for the dispatcher in part.",
        "该操作超过 {limit} 字节,已部分保留,等待调度员处理。",
    ),
    "KIND_UNKNOWN": (
        "This kind of command is not known here. It is kept for the dispatcher.",
        "未知的操作类型,已保留,等待调度员处理。",
    ),
    "SCHEMA_TOO_NEW": (
        "The app is newer than the server. The command is kept until the server understands it.",
        "应用版本高于服务器,操作已保留,待服务器升级后处理。",
    ),
    "SCHEMA_TOO_OLD": (
        "The app is too old for the server. The command is kept for the dispatcher.",
        "应用版本过旧,操作已保留,等待调度员处理。",
    ),
    "PAYLOAD_INVALID": (
        "A value is not acceptable: {why}. The command is kept for the dispatcher.",
        "字段不符合要求:{why}。操作已保留,等待调度员处理。",
    ),
    "NUL_CHARACTER": (
        "A text holds the character U+0000, which cannot be stored. The command is kept for the dispatcher.",
        "文本包含无法保存的字符 U+0000,操作已保留,等待调度员处理。",
    ),
    "VISIT_UNKNOWN": (
        "There is no such visit. The command is kept for the dispatcher.",
        "找不到该上门任务,操作已保留,等待调度员处理。",
    ),
    "NOT_YOUR_VISIT": (
        "This visit was never yours. The command is kept for the dispatcher.",
        "该上门任务从未分配给您,操作已保留,等待调度员处理。",
    ),
    "PART_UNKNOWN": (
        "There is no such part. The command is kept for the dispatcher.",
        "找不到该配件,操作已保留,等待调度员处理。",
    ),
    "REASSIGNED": (
        "The visit was given to someone else meanwhile. Your work is kept and marked; the dispatcher decides.",
        "该任务已改派他人,您的工作已保留并标记,由调度员决定。",
    ),
    "CANCELED": (
        "The visit was cancelled meanwhile. Your work is kept and marked; the dispatcher decides.",
        "该任务已取消,您的工作已保留并标记,由调度员决定。",
    ),
    "PARALLEL_UPDATE": (
        "Someone else changed other fields meanwhile. Both changes stand.",
        "其他字段同时被他人修改,双方的修改均已保留。",
    ),
    "FIELD_CONFLICT": (
        "Someone else changed the same field meanwhile ({why}). Both values are kept; the dispatcher decides.",
        "同一字段({why})同时被他人修改,两个值均已保留,由调度员决定。",
    ),
    "FIELD_NOT_YOURS": (
        "This field is not for phones to change ({why}). The command is kept for the dispatcher.",
        "该字段({why})不允许在手机上修改,操作已保留,等待调度员处理。",
    ),
    "ROW_NOT_YOURS_TO_MAKE": (
        "Records of this kind are made by the office. The row is kept for the dispatcher.",
        "此类记录只能由办公室创建,该行已保留,等待调度员处理。",
    ),
    "ROW_NOT_YOURS_TO_DELETE": (
        "Records of this kind are not deleted on phones. The record stands; the row is kept for the dispatcher.",
        "此类记录不能在手机上删除,记录仍然有效,该行已保留,等待调度员处理。",
    ),
    "COUNTER_BY_COMMAND": (
        "A count is changed by a command that says how many, not by writing a new total ({why}). The row is kept.",
        "数量({why})须通过增减命令修改,不能直接写入新的总数,该行已保留。",
    ),
    "COMMAND_CHANGED": (
        "This command had been sent before with other contents. Both are kept; the dispatcher decides.",
        "该操作此前已以不同内容发送,两者均已保留,由调度员决定。",
    ),
    "COLLECTION_UNKNOWN": (
        "There is no such collection ({why}). The row is kept for the dispatcher.",
        "没有此集合({why}),该行已保留,等待调度员处理。",
    ),
    "RECORD_UNKNOWN": (
        "There is no such record, or it never was on this phone. The command is kept for the dispatcher.",
        "找不到该记录,或它从未下发到此手机,操作已保留,等待调度员处理。",
    ),
    "FORM_UNKNOWN": (
        "There is no such form. The command is kept for the dispatcher.",
        "找不到该表单,操作已保留,等待调度员处理。",
    ),
    "PREDECESSOR_MISSING": (
        "An earlier command of this phone has not come yet; this one is kept and waits for it.",
        "该手机的前一个操作尚未到达,此操作已保留并等待。",
    ),
    "PREDECESSOR_NEVER_CAME": (
        "An earlier command of this phone never came; this one was applied without it.",
        "该手机的前一个操作始终未到达,此操作已在缺少它的情况下执行。",
    ),
    "TOO_MANY_HELD": (
        "Too many commands wait for an earlier one (the limit is {limit}). Nothing was stored; send the earlier one first.",
        "等待前一操作的命令过多(上限 {limit}),未保存任何内容,请先发送前一个操作。",
    ),
    "COMMAND_ID_REUSED": (
        "This id was used for another command. Nothing was stored; send it with an id of its own.",
        "该编号已用于另一操作,未保存任何内容,请使用新的编号。",
    ),
    "COMMAND_FAILED": (
        "The command could not be stored ({why}). It is kept for the dispatcher.",
        "该操作无法保存({why}),已保留,等待调度员处理。",
    ),
    "DEVICE_REVOKED": (
        "This device was revoked; nothing of this command was stored.",
        "该设备已被吊销,此操作未保存。",
    ),
    "TRY_AGAIN": (
        "Nothing of this command was stored; send it again.",
        "此操作未保存,请重新发送。",
    ),
}

PICTURE_CODES: dict[str, tuple[str, str]] = {
    "PICTURE_TYPE_REFUSED": (
        "It is neither JPEG, PNG, WebP nor HEIC.",
        "它不是 JPEG、PNG、WebP 或 HEIC 图片。",
    ),
    "PICTURE_POLYGLOT": (
        "It is a page, a script or a document as well.",
        "该文件同时也是网页、脚本或文档。",
    ),
    "PICTURE_UNREADABLE": (
        "It is damaged or incomplete.",
        "图片已损坏或不完整。",
    ),
    "PICTURE_TOO_LARGE": (
        f"It has more than {PICTURE_PIXELS_MAX} pixels, or more than {PICTURE_SIDE_MAX} on one side.",
        f"图片超过 {PICTURE_PIXELS_MAX} 像素,或单边超过 {PICTURE_SIDE_MAX} 像素。",
    ),
}
"""Why a picture is kept and never shown: the `code` of an attachment that is `rejected`."""


def picture_sentence(code: str, locale: str) -> str:
    """The sentence of a picture's code in `en` or `zh`; the code itself where it is a newer one."""
    english, chinese = PICTURE_CODES.get(code, (code, code))
    return chinese if locale.startswith("zh") else english


def sentence(code: str, locale: str, **details: object) -> str:
    """The sentence of a command code in `en` or `zh`."""
    english, chinese = COMMAND_CODES[code]
    return (chinese if locale.startswith("zh") else english).format_map({"why": "?", "limit": "?", **details})
