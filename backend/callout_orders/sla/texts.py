"""What is wrong with a policy or a hold, in English and Chinese. Pure."""

from typing import Final

from callout_orders.checks import add_reasons

_REASONS: Final = {
    "not_object": ("it is not a JSON object", "不是 JSON 对象"),
    "not_list": ("it is not a list", "不是列表"),
    "sla_field": ("there is no such field; fields are {known}", "没有该字段;可用字段:{known}"),
    "sla_form": ("{fault}", "格式不符:{fault}"),
    "sla_code": (
        "a code is a small letter, then up to 39 of a-z, 0-9, - and _",
        "代码须以小写字母开头,后接至多 39 个 a-z、0-9、- 或 _",
    ),
    "zone": (
        "{given} is no time zone; write Asia/Shanghai or America/New_York",
        "{given} 不是时区;请写作 Asia/Shanghai 等",
    ),
    "sla_hours": (
        "{given} is no interval; write 09:00-12:00, 22:00-06:00 over midnight, 00:00-24:00 for a whole day",
        "{given} 不是时段;请写作 09:00-12:00,跨午夜写作 22:00-06:00,全天写作 00:00-24:00",
    ),
    "holiday_country": (
        "no public holidays are known of {given}; write ISO 3166 such as CN, or list dates in special",
        "没有 {given} 的公共假日数据;请写 ISO 3166 代码(如 CN),或留空并在 special 中列出日期",
    ),
    "holiday_subdivision": ("no subdivision {given} is known of that country", "该国家没有地区 {given}"),
    "no_hours": (
        "the calendar has no working hour in any week, so nothing would ever fall due; give at least one interval",
        "该日历每周没有任何工作时间,任何期限都不会到来;请至少填写一个时段",
    ),
    "always_taken": (
        "always is the calendar that counts every minute, and is there already",
        "always 是已内置的全天候日历",
    ),
    "no_calendar": (
        "there is no calendar {given} in this policy; add it to calendars, or write always",
        "本策略中没有日历 {given};请加入 calendars,或写 always",
    ),
    "no_end": (
        "the calendar {calendar} has less than {minutes} working minutes in {years} years",
        "日历 {calendar} 在 {years} 年内不足 {minutes} 个工作分钟",
    ),
    "falling": (
        "the targets must not fall: first response, then arrival, then resolution",
        "时限须依次不减:首次响应、到达、解决",
    ),
    "not_covered": (
        "no rule covers {priority} for every tier and kind; add one that names neither",
        "没有规则覆盖所有等级和类型的 {priority};请添加一条不限等级和类型的规则",
    ),
    "sla_mark": (
        "{given} is no mark; write minutes left, or a share of the budget left such as 20%",
        "{given} 不是提醒点;请写剩余分钟数,或剩余比例如 20%",
    ),
    "hold_far": ("it may lie {days} days ahead at most", "最多可设为 {days} 天之后"),
    "hold_past": ("it must lie ahead", "必须是将来的时间"),
}


def know() -> None:
    """Let refusals be given for these reasons."""
    add_reasons(_REASONS)
