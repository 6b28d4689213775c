"""OSRM's Table service (HTTP API v1): `GET /table/v1/{profile}/{lng},{lat};…?sources=…&destinations=…`.

A server answers `code` "Ok" with status 200, otherwise 400 with a code of its own; some proxies turn the status into 200, so
the code decides. Table size is limited by `osrm-routed --max-table-size` (100 unless configured): as many sources and as
many destinations.
"""

from __future__ import annotations

import re
from typing import Any, Final

import httpx
import numpy as np

from callout_geo.point_arrays import Floats
from callout_geo.routing.base import BadAnswer, Places, Refused
from callout_geo.routing.over_http import METRES_MAX, SECONDS_MAX, HttpRouter

#: Our reasons for OSRM's codes; any other code is `refused`.
_REASONS: Final = {
    "NoSegment": "no_segment",
    "TooBig": "too_big",
    "NoTable": "no_route",
    "NoRoute": "no_route",
}
_PROFILE: Final = re.compile(r"[A-Za-z0-9_-]{1,40}\Z")
_COORDINATE: Final = re.compile(r"coordinate (\d{1,6})")


class OsrmRouter(HttpRouter):
    """Ways from an OSRM server. `profile` is the path's (`driving` on most servers), `side_max` its table size.

    Every place stands in the address, some twenty letters each: above 100, see what the servers between take.
    """

    name = "osrm"

    def __init__(
        self, base_url: str, *args: Any, profile: str = "driving", side_max: int = 100, **more: Any
    ) -> None:
        if not _PROFILE.match(profile):
            raise ValueError("osrm: profile must be letters, digits, _ and -")
        if not 1 <= side_max <= 10_000:
            raise ValueError("osrm: side_max must be between 1 and 10000")
        self.side_max = side_max
        self.pairs_max = side_max * side_max
        self._profile = profile
        super().__init__(base_url, *args, **more)

    def _request(self, sources: Places, targets: Places) -> httpx.Request:
        n, m = len(sources), len(targets)
        lats = np.concatenate((sources.lats, targets.lats))
        lngs = np.concatenate((sources.lngs, targets.lngs))
        coordinates = ";".join(f"{lng:.6f},{lat:.6f}" for lat, lng in zip(lats, lngs, strict=True))
        query = (
            f"sources={';'.join(map(str, range(n)))}&destinations={';'.join(map(str, range(n, n + m)))}"
            "&annotations=duration,distance&generate_hints=false"
        )
        return self._client.build_request(
            "GET", f"{self._base}/table/v1/{self._profile}/{coordinates}?{query}"
        )

    def _answer(self, body: Any, sources: Places, targets: Places) -> tuple[Floats, Floats]:
        if not isinstance(body, dict):
            raise BadAnswer(self.name, "wrong_shape", "not an object")
        if body.get("code") != "Ok":
            raise self._refusal(200, body)
        shape = (len(sources), len(targets))
        seconds = self._table(body.get("durations"), shape, SECONDS_MAX)
        # Servers before 5.18 know no distances; whoever asked fills them in.
        distances = body.get("distances")
        metres = np.full(shape, np.nan) if distances is None else self._table(distances, shape, METRES_MAX)
        seconds[self._far(body.get("sources"), shape[0]), :] = np.nan
        seconds[:, self._far(body.get("destinations"), shape[1])] = np.nan
        metres[np.isnan(seconds)] = np.nan
        return seconds, metres

    def _refusal(self, status: int, body: Any) -> Refused:
        code = body.get("code") if isinstance(body, dict) else None
        text = body.get("message") if isinstance(body, dict) else None
        found = _COORDINATE.search(text) if isinstance(text, str) and code == "NoSegment" else None
        reason = _REASONS.get(code, "refused") if isinstance(code, str) else "refused"
        place = int(found[1]) if found else None
        return Refused(self.name, reason, str(code if isinstance(code, str) else status)[:60], place)

    def _far(self, waypoints: object, count: int) -> list[int]:
        """Which places were moved too far to the nearest road. Servers that do not tell are believed."""
        if waypoints is None:
            return []
        if not isinstance(waypoints, list) or len(waypoints) != count:
            raise BadAnswer(self.name, "wrong_shape", f"expected {count} waypoints")
        far = []
        for index, waypoint in enumerate(waypoints):
            distance = waypoint.get("distance") if isinstance(waypoint, dict) else None
            if isinstance(distance, (int, float)) and distance > self.manners.snap_m_max:
                far.append(index)
        return far
