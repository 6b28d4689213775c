"""Why an outline of a territory is refused, and what its drawer can do about it, in English and Chinese."""

from typing import Any, Final

from callout_geo.polygons import HOLES_MAX, PARTS_MAX, VERTICES_MAX, BadPolygon
from callout_store.errors import BadField

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "not_geojson": (
        "it is no GeoJSON geometry; send an object with type and coordinates",
        "不是 GeoJSON 几何对象,请提供 type 与 coordinates",
    ),
    "wrong_type": ("its type is neither Polygon nor MultiPolygon", "类型应为 Polygon 或 MultiPolygon"),
    "crs_unsupported": (
        "it names a coordinate system; leave `crs` out and name the datum",
        "不支持 crs 字段,请去掉并注明坐标系 datum",
    ),
    "not_a_list": ("it is not a list of positions", "不是坐标列表"),
    "empty": ("it is empty; an outline has at least three corners", "内容为空,边界至少需要三个顶点"),
    "too_many_parts": (f"it has more than {PARTS_MAX} parts", f"超过 {PARTS_MAX} 个部分"),
    "too_many_holes": (f"it has more than {HOLES_MAX} holes", f"超过 {HOLES_MAX} 个孔洞"),
    "too_many_vertices": (
        f"it has more than {VERTICES_MAX} corners; simplify the outline",
        f"顶点超过 {VERTICES_MAX} 个,请简化边界",
    ),
    "too_few_positions": (
        "a ring needs at least three corners and the first one again at its end",
        "每个环至少需要三个顶点,且末点须与首点相同",
    ),
    "ring_open": (
        "the ring is open; repeat its first position at its end",
        "环未闭合,请在末尾重复首个坐标",
    ),
    "not_a_number": ("a coordinate is not a number", "坐标不是数字"),
    "not_finite": ("a coordinate is not a finite number", "坐标不是有限数值"),
    "out_of_range": (
        "longitude goes from -180 to 180, latitude from -90 to 90",
        "经度范围为 -180 到 180,纬度范围为 -90 到 90",
    ),
    "axes_swapped": (
        "latitude and longitude seem swapped; GeoJSON has longitude first",
        "经纬度似乎颠倒,GeoJSON 中经度在前",
    ),
    "null_island": ("0/0 is where lost positions end up", "坐标 0/0 通常表示定位丢失"),
    "crosses_antimeridian": (
        "it crosses the 180th meridian; draw two parts that meet there",
        "跨越 180 度经线,请拆成在该处相接的两个部分",
    ),
    "no_area": ("it encloses no area", "未围成任何面积"),
    "self_crossing": ("its outline crosses itself", "边界自相交"),
    "hole_outside": ("a hole lies outside of its part", "孔洞位于外边界之外"),
    "holes_nested": ("a hole lies within another hole", "孔洞相互嵌套"),
    "parts_overlap": ("two of its parts overlap", "两个部分相互重叠"),
    "ring_twice": ("a ring comes twice", "同一个环重复出现"),
    "interior_cut": ("holes cut it into pieces; draw them as parts", "孔洞将其切断,请改为多个部分"),
    "invalid": ("it is no outline", "不是有效的边界"),
}


class PolygonRefused(BadField):
    """`BadField` for an outline: its path, a stable `reason`, a hint, and the place on the map where that is known."""

    def __init__(self, fault: BadPolygon) -> None:
        english, chinese = _TEXTS.get(fault.reason, _TEXTS["invalid"])
        details: dict[str, Any] = {}
        if fault.at is not None:
            english += f" at {fault.at.lat:.5f}, {fault.at.lng:.5f}"
            chinese += f"(位置 {fault.at.lat:.5f}, {fault.at.lng:.5f})"
            details = {"lat": fault.at.lat, "lng": fault.at.lng}
        self._chinese = chinese
        super().__init__(path=fault.field, why=english, reason=fault.reason, **details)

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        return self.zh.format(why=self._chinese) if locale.startswith("zh") else super().message(locale)
