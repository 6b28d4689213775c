"""Nominatim's, Photon's, Pelias' and Baidu's (version 3) geocoding, as far as the shapes of their answers go."""

from __future__ import annotations

from typing import Any

from faulty_server import Asked, FaultyServer

TOWER = {
    "place_id": 5013364,
    "osm_type": "way",
    "osm_id": 5013364,
    "lat": "48.8582599",
    "lon": "2.2945006",
    "class": "man_made",
    "type": "tower",
    "place_rank": 30,
    "importance": 0.5868325,
    "addresstype": "man_made",
    "display_name": "Tour Eiffel, 5, Avenue Anatole France, Paris, 75007, France",
}
STREET = {
    **TOWER,
    "lat": "48.8590",
    "lon": "2.2950",
    "place_rank": 26,
    "display_name": "Avenue Anatole France, Paris",
}
TOWN = {**TOWER, "lat": "48.8588897", "lon": "2.3200410", "place_rank": 15, "display_name": "Paris, France"}


class GeocodingServer(FaultyServer):
    """Answers by the path, so that one server is all four services. `found` are Nominatim's places for any query."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = [TOWER, STREET, TOWN]
        self.features: list[dict[str, Any]] = []
        self.baidu: dict[str, Any] = {"status": 0, "result": {}}

    def answer(self, asked: Asked) -> tuple[int, Any]:
        match asked.path:
            case "/search":
                return 200, self.found[: int(asked.query.get("limit", "10"))]
            case "/reverse" if "format" in asked.query:
                return 200, self.found[0] if self.found else {"error": "Unable to geocode"}
            case "/api" | "/reverse" | "/v1/search" | "/v1/reverse":
                return 200, {"type": "FeatureCollection", "features": self.features}
            case "/geocoding/v3/" | "/reverse_geocoding/v3/":
                return 200, self.baidu
        return 404, {"error": "no such path"}


def feature(lat: float, lng: float, **properties: Any) -> dict[str, Any]:
    """One of Photon's or Pelias' answers."""
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [lng, lat]},
        "properties": properties,
    }
