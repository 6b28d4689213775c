"""Tables of where things are and how long ways take: positions, learned speeds, caches of ways and addresses.

Like those of `tables.py`: the database's own definition is the migrations', and a test holds the two together.
"""

from piccolo.columns import JSONB, UUID, Boolean, Bytea, DoublePrecision, Integer, Text, Timestamptz
from piccolo.table import Table


class TravelSpeed(Table, tablename="travel_speed"):
    org_id = UUID(default=None)
    hour_of_week = Integer(primary_key=True, default=None)
    metres = DoublePrecision(default=None)
    seconds = DoublePrecision(default=None)
    samples = Integer(default=None)
    updated_at = Timestamptz(default=None)


class TravelObservation(Table, tablename="travel_observation"):
    org_id = UUID(default=None)
    visit_id = UUID(primary_key=True, default=None)
    engineer_id = UUID(default=None)
    departed_at = Timestamptz(default=None)
    arrived_at = Timestamptz(default=None)
    straight_metres = DoublePrecision(default=None)


class PositionFix(Table, tablename="position_fix"):
    org_id = UUID(default=None)
    engineer_id = UUID(default=None)
    at = Timestamptz(primary_key=True, default=None)
    lat = DoublePrecision(default=None)
    lng = DoublePrecision(default=None)
    accuracy_m = DoublePrecision(null=True, default=None)
    speed_m_per_s = DoublePrecision(null=True, default=None)
    mock = Boolean(default=False)
    device_id = UUID(null=True, default=None)
    received_at = Timestamptz(default=None)


class GeocodeCache(Table, tablename="geocode_cache"):
    org_id = UUID(default=None)
    provider = Text(default=None)
    query_hash = Bytea(primary_key=True, default=None)
    query = Text(default=None)
    answers = JSONB(default=None)
    fetched_at = Timestamptz(default=None)
    expires_at = Timestamptz(default=None)


class GeocodeTurn(Table, tablename="geocode_turn"):
    provider = Text(primary_key=True)
    next_at = Timestamptz(default=None)


class LegCache(Table, tablename="leg_cache"):
    org_id = UUID(default=None)
    provider = Text(default=None)
    from_lat = Integer(default=None)
    from_lng = Integer(default=None)
    to_lat = Integer(default=None)
    to_lng = Integer(primary_key=True, default=None)
    seconds = DoublePrecision(default=None)
    metres = DoublePrecision(default=None)
    fetched_at = Timestamptz(default=None)


TABLES: tuple[type[Table], ...] = (
    TravelSpeed,
    TravelObservation,
    PositionFix,
    GeocodeCache,
    GeocodeTurn,
    LegCache,
)
