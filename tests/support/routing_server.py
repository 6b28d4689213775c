"""OSRM's Table service and Valhalla's matrix service, as far as their shapes, limits and errors go.

Shapes after OSRM's HTTP API v1 and Valhalla's matrix reference. Ways are three seconds and ten metres per thousandth of a
degree (north-south plus east-west), longer by a second westwards, so that a swapped row or column shows.
"""

from __future__ import annotations

import json
from typing import Any

from faulty_server import Asked, FaultyServer

LatLng = tuple[float, float]


def seconds_of(a: LatLng, b: LatLng) -> float:
    way = (abs(a[0] - b[0]) + abs(a[1] - b[1])) * 1000
    return round(3 * way + (1 if b[1] < a[1] else 0), 3)


def metres_of(a: LatLng, b: LatLng) -> float:
    return round(10_000 * (abs(a[0] - b[0]) + abs(a[1] - b[1])), 3)


class RoutingServer(FaultyServer):
    """What both services have: `islands` have no way to anywhere, `nowhere` have no road."""

    def __init__(self) -> None:
        super().__init__()
        self.islands: set[LatLng] = set()
        self.nowhere: set[LatLng] = set()
        self.far_from_road: dict[LatLng, float] = {}
        self.changed: Any = None

    def _ways(self, sources: list[LatLng], targets: list[LatLng], figure: Any) -> list[list[float | None]]:
        return [
            [None if {a, b} & self.islands and a != b else figure(a, b) for b in targets] for a in sources
        ]


class OsrmServer(RoutingServer):
    side_max = 100
    with_distances = True
    as_200 = False

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """`changed`, if set, is given the good answer and returns another."""
        service, version, profile, text = asked.path.strip("/").split("/")
        assert (service, version, profile) == ("table", "v1", "driving")
        places = [(float(lat), float(lng)) for lng, lat in (pair.split(",") for pair in text.split(";"))]
        sources = [places[int(n)] for n in asked.query["sources"].split(";")]
        targets = [places[int(n)] for n in asked.query["destinations"].split(";")]
        if len(sources) * len(targets) > self.side_max**2:
            return self._refuse("TooBig", "Too many table coordinates")
        for n, place in enumerate(places):
            if place in self.nowhere:
                return self._refuse("NoSegment", f"Could not find a matching segment for coordinate {n}")
        body: dict[str, Any] = {
            "code": "Ok",
            "durations": self._ways(sources, targets, seconds_of),
            "sources": [self._waypoint(place) for place in sources],
            "destinations": [self._waypoint(place) for place in targets],
        }
        if self.with_distances and "distance" in asked.query.get("annotations", ""):
            body["distances"] = self._ways(sources, targets, metres_of)
        return 200, self.changed(body) if self.changed else body

    def _refuse(self, code: str, message: str) -> tuple[int, Any]:
        return 200 if self.as_200 else 400, {"code": code, "message": message}

    def _waypoint(self, place: LatLng) -> dict[str, Any]:
        distance = self.far_from_road.get(place, 4.2)
        return {"distance": distance, "name": "Hauptstraße", "location": [place[1], place[0]]}


class ValhallaServer(RoutingServer):
    pairs_max = 2_500
    verbose_always = False
    units = "kilometers"

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """`changed`, if set, is given the good answer and returns another."""
        assert (asked.method, asked.path) == ("POST", "/sources_to_targets")
        body = json.loads(asked.body)
        assert body["costing"] == "auto"
        sources = [(place["lat"], place["lon"]) for place in body["sources"]]
        targets = [(place["lat"], place["lon"]) for place in body["targets"]]
        if len(sources) * len(targets) > self.pairs_max:
            return self._refuse(150, "Exceeded max locations")
        if set(sources + targets) & self.nowhere:
            return self._refuse(171, "No suitable edges near location")
        times = self._ways(sources, targets, seconds_of)
        kilometres = self._ways(sources, targets, lambda a, b: metres_of(a, b) / 1000)
        answer: dict[str, Any] = {"units": self.units}
        if body.get("verbose", True) or self.verbose_always:
            answer["sources_to_targets"] = [
                [
                    {"distance": kilometres[n][m], "time": times[n][m], "to_index": m, "from_index": n}
                    for m in range(len(targets))
                ]
                for n in range(len(sources))
            ]
        else:
            answer["sources_to_targets"] = {"durations": times, "distances": kilometres}
        return 200, self.changed(answer) if self.changed else answer

    def _refuse(self, code: int, text: str) -> tuple[int, Any]:
        return 400, {"error_code": code, "error": text, "status_code": 400, "status": "Bad Request"}
