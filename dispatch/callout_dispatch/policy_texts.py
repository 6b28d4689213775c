"""What can be wrong with a scheduling policy, in English and Chinese. Pure."""

from typing import Any, Final

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "between": ("must be between {low} and {high}", "必须在 {low} 与 {high} 之间"),
    "priorities": (
        "{missing} missing; say something for each of P0, P1 and P2",
        "缺少 {missing},请为 P0、P1、P2 分别填写",
    ),
    "p0_displaced": ("a P0 never gives way; leave it out", "P0 不可让位,请将其去掉"),
    "name_length": ("a policy's name has 1 to {limit} characters", "策略名称应为 1 到 {limit} 个字符"),
    "rule_twice": ("{rule} comes twice; keep one of them", "规则 {rule} 重复,请只保留一条"),
    "priority_twice": ("a priority comes twice; name each once", "优先级重复,每个只填写一次"),
    "no_availability": (
        "availability must be among them, or shifts, absences and breaks would be ignored; add "
        '{{"rule": "availability"}}',
        '必须包含 availability(可用时间)规则,否则班次、请假和休息会被忽略;请加入 {{"rule": "availability"}}',
    ),
    "weights_zero": ("at least one weight must be above 0", "至少一项权重必须大于 0"),
    "unknown_above": (
        "must not be above max_travel's minutes ({limit}), or a site without a point would be too far for everybody",
        "不得大于 max_travel 的 minutes({limit}),否则没有坐标的现场对所有人都过远",
    ),
    "not_object": ("a policy is a JSON object", "策略应为 JSON 对象"),
    "version_given": (
        "a version is numbered when it is saved; leave it out",
        "版本号在保存时生成,请勿填写",
    ),
    "unknown_rule": ("there is no rule '{given}'; rules are {known}", "没有规则“{given}”,可用规则:{known}"),
    "rule_unnamed": (
        'a rule is an object that names itself, such as {{"rule": "skills"}}',
        '规则应为带名称的对象,例如 {{"rule": "skills"}}',
    ),
    "unknown_objective": (
        "there is no objective '{given}'; objectives are {known}",
        "没有目标“{given}”,可用目标:{known}",
    ),
    "unknown_priority": ("there is no priority '{given}'; use {known}", "没有优先级“{given}”,请使用 {known}"),
    "unknown_field": ("there is no field '{given}' here; {known}", "此处没有字段“{given}”;{known_zh}"),
    "type": ("{wanted} is expected, {got} was given", "应为{wanted_zh},收到的是{got_zh}"),
    "too_large": ("the number is too large", "数值过大"),
    "unfit": ("it does not fit here ({why})", "内容不符合要求({why})"),
}

TYPES: Final[dict[str, tuple[str, str]]] = {
    "int": ("a whole number", "整数"),
    "float": ("a number", "数字"),
    "str": ("a text", "文本"),
    "bool": ("true or false", "布尔值"),
    "array": ("a list", "列表"),
    "object": ("an object", "对象"),
    "null": ("null", "空值"),
}
"""JSON's kinds of value, as msgspec calls them."""


def say(key: str, locale: str = "en", **values: Any) -> str:
    """A half sentence of this module; a locale that is not spoken here gets English."""
    return _TEXTS[key][locale.startswith("zh")].format_map(values)


class PolicyFault(ValueError):
    """A value that no policy may have: its field in camelCase, a key of this module's texts and what they name."""

    def __init__(self, field: str, key: str, **values: Any) -> None:
        self.field, self.key, self.values = field, key, values
        super().__init__(f"{field}: {say(key, **values)}")
