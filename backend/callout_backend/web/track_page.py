"""The page on which a customer sees where the engineer is."""

import math
from typing import Any, Final
from zoneinfo import ZoneInfo

from callout_backend.web.pages import LOCALES, moment, render, zone_of
from callout_backend.web.track_texts import TEXTS
from callout_dispatch.arrivals.tracking import Seen
from callout_store.errors import Refusal

RADIUS: Final = 90.0
"""The sketch's outer ring in its own units; it is 200 wide and high."""
RINGS_M: Final = (250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000)


def seen_page(seen: Seen, *, locale: str, state_address: str) -> str:
    """The page while the link is good; `state_address` answers the same as JSON (`Shown`)."""
    return render(
        "track.html", TEXTS, locale, page="seen", seen=seen, shown=shown(seen), state_address=state_address
    )


def closed_page(refusal: Refusal, *, locale: str) -> str:
    """A page that says why nothing is shown."""
    state = {"TRACK_LINK_EXPIRED": "expired", "TRACK_LINK_INVALID": "unknown"}.get(refusal.code, "refused")
    return render("track.html", TEXTS, locale, page="closed", state=state, refusal=refusal)


def shown(seen: Seen) -> dict[str, Any]:
    """What the page writes, in both languages, and where its sketch puts the engineer: the page's script only copies it."""
    zone = zone_of(seen.time_zone)
    headline = TEXTS.get(f"stage_{seen.stage}_{seen.minutes_away}", TEXTS[f"stage_{seen.stage}"])
    lines: dict[str, dict[str, str] | None] = {
        "headline": {one: headline[one].format(minutes=seen.minutes_away) for one in LOCALES},
        "engineer": _plain(seen.engineer_name),
        "planned": None if seen.planned_start is None else moment(seen.planned_start, zone),
        "expected": None if seen.eta is None else _clock(seen, zone),
        "distance": None if seen.metres_away is None else _distance(seen.metres_away),
        "updated": moment(seen.as_of, zone),
    }
    return {"stage": seen.stage, "lines": lines, "sketch": sketch(seen)}


def sketch(seen: Seen) -> dict[str, Any] | None:
    """Where to draw the engineer with the customer in the middle: x and y in -100..100, and the outer ring's metres.

    A sketch and no map: it needs no tiles, no key and no network, and gives nobody's street away.
    """
    if seen.lat is None or seen.lng is None or seen.site_lat is None or seen.site_lng is None:
        return None
    north = seen.lat - seen.site_lat
    east = (seen.lng - seen.site_lng) * math.cos(math.radians(seen.site_lat))
    metres = float(seen.metres_away or 0)
    ring = next((one for one in RINGS_M if one >= metres), RINGS_M[-1])
    length = math.hypot(north, east)
    out = RADIUS * min(metres / ring, 1.0)
    x, y = (0.0, 0.0) if not length else (east / length * out, -north / length * out)
    return {"x": round(x, 1), "y": round(y, 1), "ring": _distance(ring)}


def _plain(text: str | None) -> dict[str, str] | None:
    return None if text is None else dict.fromkeys(LOCALES, text)


def _clock(seen: Seen, zone: ZoneInfo) -> dict[str, str]:
    assert seen.eta is not None
    clock = seen.eta.astimezone(zone)
    if clock.date() == seen.as_of.astimezone(zone).date():
        return dict.fromkeys(LOCALES, f"{clock:%H:%M}")
    return moment(seen.eta, zone)


def _distance(metres: int) -> dict[str, str]:
    if metres < 1_000:
        return {"en": f"{metres} m", "zh": f"{metres} 米"}
    return {"en": f"{metres / 1000:.1f} km", "zh": f"{metres / 1000:.1f} 公里"}
