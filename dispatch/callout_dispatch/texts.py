"""What dispatch refuses, and why, in English and Chinese."""

from collections.abc import Sequence
from typing import Any, Final

from callout_dispatch.pick_terms import Reason
from callout_dispatch.pick_texts import explain
from callout_store.errors import BadField, EngineerUnavailable, PointInvalid, WrongState

LINE_MAX: Final = 200
REASON_MAX: Final = 500

_TEXTS: Final[dict[str, dict[str, str]]] = {
    "blank": {"en": "the text is empty", "zh": "内容为空"},
    "text_long": {"en": "the text is longer than {limit} characters", "zh": "内容超过 {limit} 个字符"},
    "nul": {"en": "the text holds a character that cannot be stored", "zh": "内容包含无法保存的字符"},
    "skill_unknown": {"en": "there is no skill '{skill}'", "zh": "不存在技能“{skill}”"},
    "skill_code": {
        "en": "a skill's code is a to z, 0 to 9 and _, starts with a letter, and has at most 40 characters",
        "zh": "技能代码只能包含 a–z、0–9 和 _,以字母开头,最多 40 个字符",
    },
    "level_range": {
        "en": "the level of '{skill}' is {level}; levels go from 1 to 5",
        "zh": "技能“{skill}”的等级为 {level},等级范围为 1 到 5",
    },
    "no_zone": {"en": "the time has no time zone", "zh": "时间缺少时区"},
    "ends_early": {"en": "it ends before it starts, or at once", "zh": "结束时间不晚于开始时间"},
    "hours_max": {"en": "it is longer than {limit} hours", "zh": "时长超过 {limit} 小时"},
    "days_max": {"en": "it is longer than {limit} days", "zh": "时长超过 {limit} 天"},
    "overlap": {
        "en": "it overlaps another shift of the same engineer in this list",
        "zh": "与列表中同一工程师的另一班次重叠",
    },
    "twice": {"en": "'{value}' comes twice in this list", "zh": "列表中“{value}”重复"},
    "accuracy": {"en": "accuracy is a number of metres, 0 or more", "zh": "精度应为不小于 0 的米数"},
    "start_past": {"en": "the start lies in the past", "zh": "开始时间已过"},
    "start_far": {"en": "the start is more than {limit} days ahead", "zh": "开始时间超过 {limit} 天之后"},
    "day_over": {"en": "the day is over already", "zh": "该日已结束"},
    "override_reason": {"en": "an override needs a reason", "zh": "强制指派必须说明原因"},
    "same_engineer": {
        "en": "the visit is with this engineer already; move it to change its time",
        "zh": "该任务已由此工程师负责,如需改期请使用改期操作",
    },
    "nothing_moves": {"en": "the visit is there already", "zh": "任务已在该位置"},
    "leads_already": {
        "en": "this engineer leads the visit; a crew is whoever else works on it",
        "zh": "该工程师是此任务的负责人,协作人员应为其他工程师",
    },
    "part_quantity": {"en": "a part's quantity is 1 or more", "zh": "备件数量应不小于 1"},
    "needs_waiting": {"en": "new or cannot_complete", "zh": "“新建”或“未能完成”"},
    "needs_unlinked": {
        "en": "an order of its own: unlink it first (unlinkDuplicate), or dispatch the order that it is a duplicate of",
        "zh": "独立的工单:请先解除关联(unlinkDuplicate),或对原单派工",
    },
    "needs_live": {"en": "a visit that has not ended", "zh": "尚未结束的任务"},
    "needs_unlocked": {
        "en": "an override with a reason, because the engineer is on the way or on site",
        "zh": "工程师已出发或在现场,须强制并说明原因",
    },
    "needs_not_started": {
        "en": "a visit whose engineer has not set out; reassign it instead",
        "zh": "工程师尚未出发的任务,否则请改派",
    },
    "needs_unheld": {
        "en": "an override with a reason, because a dispatcher holds it where it is",
        "zh": "该任务已被调度员锁定,须强制并说明原因",
    },
    "needs_open": {"en": "an order that is neither closed nor canceled", "zh": "未关闭且未取消的工单"},
    "needs_scheduled": {"en": "a visit that is only scheduled", "zh": "仅排程、尚未派工的任务"},
    "hold_unknown": {
        "en": "'{value}' is no hold; a visit is held to its 'engineer' or its 'time', or not at all",
        "zh": "“{value}”不是有效的锁定方式,只能锁定“engineer”(工程师)或“time”(时间),或不锁定",
    },
    "needs_p0": {"en": "an order of priority P0", "zh": "P0 优先级的工单"},
    "needs_offer": {
        "en": "a visit that is offered to its engineer and not answered yet",
        "zh": "已派给工程师且尚未答复的红色通道任务",
    },
    "same_policy": {
        "en": "it is the same policy; name two versions to compare",
        "zh": "两个策略版本相同,请指定两个不同的版本进行比较",
    },
    "dispatch": {"en": "dispatching", "zh": "派工"},
    "locale": {"en": "the language is en or zh", "zh": "语言应为 en 或 zh"},
    "missing": {"en": "a coordinate is missing", "zh": "缺少坐标"},
    "not_a_number": {"en": "a coordinate is no number", "zh": "坐标不是数字"},
    "not_finite": {"en": "a coordinate is not finite", "zh": "坐标不是有限数值"},
    "out_of_range": {
        "en": "latitude goes from -90 to 90, longitude from -180 to 180",
        "zh": "纬度范围为 -90 到 90,经度范围为 -180 到 180",
    },
    "null_island": {
        "en": "0/0 is where lost positions end up",
        "zh": "坐标 0/0 通常表示定位丢失",
    },
}


def say(key: str, locale: str, **values: object) -> str:
    """A sentence of this module."""
    return _TEXTS[key]["zh" if locale.startswith("zh") else "en"].format_map(values)


class FieldRefused(BadField):
    """`BadField` that says why in the reader's language."""

    def __init__(self, path: str, key: str, **values: Any) -> None:
        self._chinese = say(key, "zh", **values)
        super().__init__(path=path, why=say(key, "en", **values))

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        return self.zh.format(why=self._chinese) if locale.startswith("zh") else super().message(locale)


class PointRefused(PointInvalid):
    """`PointInvalid` by one of `callout_geo.points.BadPoint`'s reasons."""

    def __init__(self, path: str, reason: str) -> None:
        self._chinese = say(reason, "zh")
        super().__init__(path=path, why=say(reason, "en"), reason=reason)

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        return self.zh.format(why=self._chinese) if locale.startswith("zh") else super().message(locale)


class Unavailable(EngineerUnavailable):
    """`EngineerUnavailable` with the pick's reasons; `details.reasons` holds their codes, joined by commas."""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        self.reasons = tuple(reasons)
        codes = ",".join(dict.fromkeys(reason.code.value for reason in reasons))
        super().__init__(why="; ".join(explain(reason, "en") for reason in reasons), reasons=codes)

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        if not locale.startswith("zh"):
            return super().message(locale)
        return self.zh.format(why=";".join(explain(reason, "zh") for reason in self.reasons))


class InWrongState(WrongState):
    """`WrongState`; `needed` is a key of this module's sentences, `labels` the state's name in both languages."""

    def __init__(self, entity: str, state: str, needed: str, labels: dict[str, str] | None = None) -> None:
        self._chinese = {
            "entity": {"visit": "任务", "work_order": "工单"}[entity],
            "state": (labels or {}).get("zh", state),
            "needed": say(needed, "zh"),
        }
        super().__init__(entity=entity, state=state, needed=say(needed, "en"))

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        return self.zh.format_map(self._chinese) if locale.startswith("zh") else super().message(locale)


def checked_line(path: str, text: str, *, limit: int = LINE_MAX, blank: bool = False) -> str:
    """The text without blanks around it; refused when empty (unless `blank`), too long, or not storable."""
    text = text.strip()
    if not text and not blank:
        raise FieldRefused(path, "blank")
    if len(text) > limit:
        raise FieldRefused(path, "text_long", limit=limit)
    # PostgreSQL's text holds neither U+0000 nor half a character.
    if "\x00" in text or any("\ud800" <= one <= "\udfff" for one in text):
        raise FieldRefused(path, "nul")
    return text
