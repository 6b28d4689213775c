"""What customers are told of an expected arrival, in English and Chinese."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from callout_dispatch.arrivals.rules import minutes_away

_TEXTS: Final[Mapping[str, Mapping[str, str]]] = {
    "changed": {
        "en": "Your engineer is now expected at {clock} ({minutes} minutes from now).",
        "zh": "工程师预计到达时间更新为 {clock}(约 {minutes} 分钟后)。",
    },
    "changed_day": {
        "en": "Your engineer is now expected on {day} at {clock}.",
        "zh": "工程师预计到达时间更新为 {day} {clock}。",
    },
    "missed": {
        "en": "We are sorry: your engineer will arrive after the time you asked for, at about {clock}.",
        "zh": "非常抱歉,工程师将晚于您预约的时间到达,预计 {clock} 到达。",
    },
    "missed_day": {
        "en": "We are sorry: your engineer will arrive after the time you asked for, on {day} at about {clock}.",
        "zh": "非常抱歉,工程师将晚于您预约的时间到达,预计 {day} {clock} 到达。",
    },
}
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def told_texts(
    verdict: Literal["changed", "missed"], eta: datetime, now: datetime, time_zone: str
) -> dict[str, str]:
    """The message in both languages; the clock is the organisation's, and another day than today is named."""
    there, here = (at.astimezone(ZoneInfo(time_zone)) for at in (eta, now))
    days = {"en": f"{there.day} {_MONTHS[there.month - 1]}", "zh": f"{there.month}月{there.day}日"}
    key = verdict if there.date() == here.date() else f"{verdict}_day"
    minutes = minutes_away(eta, now)
    return {
        locale: text.format(clock=f"{there:%H:%M}", minutes=minutes, day=days[locale])
        for locale, text in _TEXTS[key].items()
    }
