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
    "missed": {
        "en": "We are sorry: your engineer will arrive after the time you asked for, at about {clock}.",
        "zh": "非常抱歉,工程师将晚于您预约的时间到达,预计 {clock} 到达。",
    },
}


def told_texts(
    verdict: Literal["changed", "missed"], eta: datetime, now: datetime, time_zone: str
) -> dict[str, str]:
    """The message in both languages; the clock is the organisation's."""
    clock = eta.astimezone(ZoneInfo(time_zone)).strftime("%H:%M")
    minutes = minutes_away(eta, now)
    return {locale: text.format(clock=clock, minutes=minutes) for locale, text in _TEXTS[verdict].items()}
