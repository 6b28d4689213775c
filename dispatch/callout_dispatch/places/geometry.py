"""Small geometry that SQL needs."""

from callout_geo.distance import EARTH_RADIUS_M


def haversine_sql(lat_a: str, lng_a: str, lat_b: str, lng_b: str) -> str:
    """Great-circle metres between two points of degrees, as an expression; the formula of `callout_geo.distance`."""
    return (
        f"2 * {EARTH_RADIUS_M} * asin(sqrt(least(1.0, "
        f"sin(radians(({lat_b}) - ({lat_a})) / 2) ^ 2 + cos(radians({lat_a})) * cos(radians({lat_b})) "
        f"* sin(radians(({lng_b}) - ({lng_a})) / 2) ^ 2)))"
    )
