"""What is refused about places, and why, in English and Chinese."""

from typing import Any, Final

from callout_store.errors import BadField, Refusal

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "datum": ("the datum is wgs84, gcj02 or bd09, not '{given}'", "坐标系应为 wgs84、gcj02 或 bd09,收到“{given}”"),
    "future": ("its time lies in the future; set the phone's clock", "时间在将来,请校准手机时钟"),
    "old": ("it is older than the {days} days that positions are kept", "早于位置保留期限({days} 天)"),
    "years": ("its year lies outside of 1900 to 2199", "年份必须在 1900 与 2199 之间"),
    "no_zone": ("the time has no time zone", "时间缺少时区"),
    "accuracy": ("accuracy is a number of metres, 0 or more", "精度应为不小于 0 的米数"),
    "speed": ("speed is a number of metres a second, 0 or more", "速度应为不小于 0 的米每秒数"),
    "missing": ("a coordinate is missing", "缺少坐标"),
    "not_a_number": ("a coordinate is not a number", "坐标不是数字"),
    "not_finite": ("a coordinate is not a finite number", "坐标不是有限数值"),
    "out_of_range": (
        "latitude goes from -90 to 90, longitude from -180 to 180",
        "纬度范围为 -90 到 90,经度范围为 -180 到 180",
    ),
    "null_island": ("0/0 is where lost positions end up", "坐标 0/0 通常表示定位丢失"),
    "ends_early": ("it ends before it starts, or at once", "结束时间不晚于开始时间"),
    "hours_max": ("it is longer than {limit} hours", "时长超过 {limit} 小时"),
    "range": ("it lies between {low} and {high}", "必须在 {low} 与 {high} 之间"),
    "not_one_of": ("it is none of {options}", "必须是以下之一:{options}"),
    "nothing": ("nothing to change was given", "未提供任何需要更改的内容"),
    "id_or_code": ("a new territory needs code and name", "新建服务区域须提供代码和名称"),
    "query_missing": ("there is no address", "未填写地址"),
    "query_not_text": ("it is not a text", "不是文本"),
    "query_too_long": ("an address has at most 300 characters", "地址最多 300 个字符"),
    "query_control_characters": ("it holds characters that cannot be shown", "包含无法显示的字符"),
}  # fmt: skip


def say(key: str, locale: str, **values: object) -> str:
    """A sentence of this module."""
    return _TEXTS[key][1 if locale.startswith("zh") else 0].format_map(values)


class PlaceRefused(BadField):
    """`BadField` that says why in the reader's language; `details.reason` is a stable word."""

    def __init__(self, path: str, reason: str, **values: Any) -> None:
        self._chinese = say(reason, "zh", **values)
        super().__init__(path=path, why=say(reason, "en", **values), reason=reason, **values)

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        return self.zh.format(why=self._chinese) if locale.startswith("zh") else super().message(locale)


class GeocoderOff(Refusal):
    code, status = "GEOCODER_OFF", 409
    en = "This server has no geocoder; put the place on the map by hand."
    zh = "服务器未配置地理编码服务,请在地图上手动标注位置。"


class GeocoderUnavailable(Refusal):
    code, status, retryable = "GEOCODER_UNAVAILABLE", 503, True
    en = "The geocoder does not answer ({reason}). Try again later, or put the place on the map by hand."
    zh = "地理编码服务暂时无响应({reason}),请稍后再试,或在地图上手动标注位置。"


class GeocoderFailed(Refusal):
    code, status = "GEOCODER_FAILED", 502
    en = "The geocoder refuses to answer ({reason}); who runs this server must look at its settings."
    zh = "地理编码服务拒绝请求({reason}),请联系运维检查配置。"
