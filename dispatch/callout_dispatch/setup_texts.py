"""What can be wrong with how engineers, their time, preferences and depots are set up, in English and Chinese."""

from typing import Any, Final

from callout_store.errors import BadField

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "range": ("it must lie between {low} and {high}", "必须在 {low} 与 {high} 之间"),
    "no_base": (
        "an engineer needs a home base: give its latitude and longitude",
        "工程师须有常驻地点,请填写纬度和经度",
    ),
    "half_point": ("latitude and longitude are given together or not at all", "纬度和经度必须同时提供"),
    "needed": ("a new engineer needs it", "新建工程师时必填"),
    "user_fixed": ("an engineer stays with their user", "工程师所属用户不可更改"),
    "twice": ("it comes twice", "重复出现"),
    "range_long": ("a range of shifts is at most {limit} days long", "班次区间最长 {limit} 天"),
    "outside_range": (
        "the shift does not start within the range that is being set",
        "班次的开始时间不在所设区间内",
    ),
    "overlap_list": ("it overlaps another shift of this list", "与列表中的另一班次重叠"),
    "overlap_kept": (
        "it overlaps a shift from {start} to {end} that starts outside the range and stays",
        "与区间之外保留的班次({start} 至 {end})重叠",
    ),
    "break_outside": ("the break does not lie within its shift", "休息时间不在班次之内"),
    "break_short": (
        "{minutes} minutes do not fit between its earliest start and its latest end",
        "最早开始与最晚结束之间不足 {minutes} 分钟",
    ),
    "breaks_clash": (
        "the breaks of this shift cannot all be taken: they need the same time",
        "该班次的休息时间相互冲突,无法全部安排",
    ),
    "breaks_all": ("the breaks leave no time to work", "休息占满了整个班次"),
    "kind": ("it is none of {options}", "必须是以下之一:{options}"),
    "one_target": ("name a customer, a site or an order, and only one of them", "请指定客户、现场或工单中的一项,且仅一项"),
    "nothing_kept": (
        "this decision kept nothing to make it again from: it was made by hand against the rules, or long ago",
        "该决策没有保存可供重算的数据:由人工强制指派,或时间较早",
    ),
    "which_decision": ("name a decision or an order", "请指定决策或工单"),
    "depot_code": (
        "a depot's code is 1 to 40 letters, digits, hyphens and underscores",
        "仓库代码为 1 到 40 个字母、数字、连字符或下划线",
    ),
}  # fmt: skip


class SetupRefused(BadField):
    """`BadField` that says why in the reader's language."""

    def __init__(self, path: str, key: str, **values: Any) -> None:
        english, chinese = _TEXTS[key]
        self._chinese = chinese.format_map(values)
        super().__init__(path=path, why=english.format_map(values), reason=key)

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        return self.zh.format(why=self._chinese) if locale.startswith("zh") else super().message(locale)


def check_range(path: str, value: object, low: int, high: int) -> None:
    """Refuse what is no whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SetupRefused(path, "range", low=low, high=high)
