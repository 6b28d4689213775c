"""Points as clients give them, in any of the datums that phones and maps of China use, turned into WGS-84."""

from callout_dispatch.places.texts import PlaceRefused
from callout_dispatch.texts import PointRefused
from callout_geo.china import BadDatum, Datum, parse_datum, to_wgs84
from callout_geo.points import BadPoint, Point, parse_point, refuse_null_island


def datum_of(path: str, given: str) -> Datum:
    """The datum of this name; BadField for a name that is none."""
    try:
        return parse_datum(given)
    except BadDatum:
        raise PlaceRefused(path, "datum", given=given[:40]) from None


def wgs84(lat: float, lng: float, datum: str, *, path: str = "", datum_path: str = "datum") -> Point:
    """The point in WGS-84. Raises PointInvalid (not finite, beyond the world, 0/0) and BadField (the datum); `path` stands
    before `lat` and `lng` in the refusal."""
    given = datum_of(datum_path, datum)
    try:
        # Checked as it was given: a shift by a street turns 0/0 into a place that looks like one.
        return refuse_null_island(to_wgs84(refuse_null_island(parse_point(lat, lng)), given))
    except BadPoint as fault:
        raise PointRefused(f"{path}{fault.field}", fault.reason) from None
