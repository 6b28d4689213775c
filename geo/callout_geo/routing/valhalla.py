"""Valhalla's matrix service: `POST /sources_to_targets`.

Asked with `verbose: false` a newer server answers two tables, an older one ignores that and answers an object for every pair;
both are read. Distances come in kilometres. An error is `{"error_code", "error", "status_code", "status"}`. A server takes at
most `max_matrix_location_pairs` pairs (2,500 unless configured) and answers null for a pair without a way.
"""

from __future__ import annotations

from typing import Any, Final

import httpx
import numpy as np

from callout_geo.point_arrays import Floats
from callout_geo.routing.base import BadAnswer, Places, Refused
from callout_geo.routing.over_http import METRES_MAX, SECONDS_MAX, HttpRouter

#: Our reasons for Valhalla's error codes; any other is `refused`. Both kinds of "too much" and both of "no such place" are
#: worth asking again in smaller pieces.
_REASONS: Final = {
    150: "too_big",  # more locations than allowed
    154: "too_big",  # farther apart than allowed
    170: "no_segment",  # locations in regions that are not connected
    171: "no_segment",  # no suitable edges near location
    442: "no_route",
}
_METRES: Final = {"kilometers": 1000.0, "km": 1000.0, "miles": 1609.344, "mi": 1609.344}


class ValhallaRouter(HttpRouter):
    """Ways from a Valhalla server, by car unless `costing` says otherwise."""

    name = "valhalla"

    def __init__(
        self, base_url: str, *args: Any, costing: str = "auto", pairs_max: int = 2_500, **more: Any
    ) -> None:
        if costing not in ("auto", "truck", "bicycle", "pedestrian", "motorcycle", "motor_scooter", "taxi"):
            raise ValueError("valhalla: costing is not one that a matrix can have")
        if not 1 <= pairs_max <= 1_000_000:
            raise ValueError("valhalla: pairs_max must be between 1 and 1000000")
        self.pairs_max = pairs_max
        self.side_max = pairs_max
        self._costing = costing
        super().__init__(base_url, *args, **more)

    def _request(self, sources: Places, targets: Places) -> httpx.Request:
        body = {
            "sources": self._locations(sources),
            "targets": self._locations(targets),
            "costing": self._costing,
            "units": "kilometers",
            "verbose": False,
        }
        return self._client.build_request("POST", f"{self._base}/sources_to_targets", json=body)

    def _locations(self, places: Places) -> list[dict[str, float]]:
        # The search for a road ends where we would not take its answer any more.
        cutoff = self.manners.snap_m_max
        return [
            {"lat": round(float(lat), 6), "lon": round(float(lng), 6), "search_cutoff": cutoff}
            for lat, lng in zip(places.lats, places.lngs, strict=True)
        ]

    def _answer(self, body: Any, sources: Places, targets: Places) -> tuple[Floats, Floats]:
        if not isinstance(body, dict):
            raise BadAnswer(self.name, "wrong_shape", "not an object")
        if "error_code" in body:
            raise self._refusal(200, body)
        shape = (len(sources), len(targets))
        found = body.get("sources_to_targets")
        if isinstance(found, dict):
            durations, distances = found.get("durations"), found.get("distances")
        else:
            durations, distances = (
                self._columns(found, "time", shape),
                self._columns(found, "distance", shape),
            )
        scale = _METRES.get(str(body.get("units", "kilometers")))
        if scale is None:
            raise BadAnswer(self.name, "bad_value", "unknown units")
        seconds = self._table(durations, shape, SECONDS_MAX)
        metres = self._table(distances, shape, METRES_MAX / scale) * scale
        metres[np.isnan(seconds)] = np.nan
        return seconds, metres

    def _columns(self, rows: object, key: str, shape: tuple[int, int]) -> object:
        """One figure of the table of objects. Their own indexes are held against their place: rows may be swapped."""
        if not isinstance(rows, list) or len(rows) != shape[0]:
            raise BadAnswer(self.name, "wrong_shape", f"expected {shape[0]} rows")
        table = []
        for n, row in enumerate(rows):
            if not isinstance(row, list) or not all(isinstance(pair, dict) for pair in row):
                raise BadAnswer(self.name, "wrong_shape", "expected objects")
            if any(
                pair.get("from_index", n) != n or pair.get("to_index", m) != m for m, pair in enumerate(row)
            ):
                raise BadAnswer(self.name, "wrong_shape", "indexes out of order")
            table.append([pair.get(key) for pair in row])
        return table

    def _refusal(self, status: int, body: Any) -> Refused:
        code = body.get("error_code") if isinstance(body, dict) else None
        reason = _REASONS.get(code, "refused") if isinstance(code, int) else "refused"
        return Refused(self.name, reason, str(code if isinstance(code, int) else status))
