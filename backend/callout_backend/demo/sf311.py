"""San Francisco's 311 requests as orders: every row is either usable or rejected with row, field and reason. Pure.

The city's words are mapped to ours by the tables below and by nothing else.
"""

import csv
import io
import lzma
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Final

from msgspec import Struct

from callout_geo.points import BadPoint, Point, parse_point, refuse_null_island

SYSTEM: Final = "sf311"
"""Under which name an order carries the request's key as external reference."""

CHANNELS: Final[dict[str, str]] = {
    "Phone": "hotline",
    "Web": "web_form",
    "Mobile/Open311": "app",
    "Twitter": "chat",
    "Email": "email",
}
OTHER_CHANNEL: Final = "api"
"""What came from another agency's system."""

LAT_RANGE: Final = (37.6, 37.95)
LNG_RANGE: Final = (-122.65, -122.25)
"""Degrees around the city. A point beyond is a mistake of the address search."""

SKILLS: Final[dict[str, tuple[str, str]]] = {
    "drainage": ("Drains and sewers", "排水与下水道"),
    "glazing": ("Glazing", "玻璃安装"),
    "building": ("Building maintenance", "房屋维修"),
    "cleaning": ("Graffiti and cleaning", "涂鸦清除与保洁"),
    "roads": ("Roads and trees", "道路与树木养护"),
    "signs": ("Signs and meters", "交通标志与计费器"),
    "survey": ("Site survey", "现场勘查"),
}


class Work(Struct, frozen=True):
    """What a category means to us: kind of order, skill, expected minutes on site."""

    kind: str
    skill: str
    minutes: int


CATEGORIES: Final[dict[str, Work]] = {
    "Sewer Issues": Work("repair", "drainage", 45),
    "Street Defects": Work("repair", "roads", 50),
    "311 External Request": Work("service", "cleaning", 30),
    "Noise Report": Work("service", "survey", 20),
    "General Request - PUBLIC WORKS": Work("general", "roads", 40),
    "General Request - PUC": Work("general", "drainage", 35),
    "General Request - MTA": Work("general", "signs", 30),
    "General Request - DPT": Work("general", "signs", 30),
    "MUNI Feedback": Work("general", "signs", 30),
}
TRADES: Final[dict[str, Work]] = {
    "Glazier": Work("repair", "glazing", 60),
    "Laborer": Work("service", "building", 45),
}
"""The housing authority names the trade as the type of complaint."""
_NOTHING: Final = {"other", "na"}
OTHERWISE: Final = Work("general", "survey", 25)


class Request(Struct, frozen=True, kw_only=True):
    """A usable row. `level` is the skill's level needed, `created_at` the city's time of the request."""

    row: int
    key: str
    created_at: datetime
    agency: str
    category: str
    address: str
    district: str
    neighbourhood: str
    point: Point
    kind: str
    skill: str
    level: int
    priority: str
    minutes: int
    channel: str
    description: str


class Rejected(Struct, frozen=True, kw_only=True):
    """A row that cannot be an order. `row` counts data rows from 1; `reason` is a stable code."""

    row: int
    key: str
    field: str
    reason: str


class Sheet(Struct, frozen=True, kw_only=True):
    """The whole file: every row is in exactly one of the two lists."""

    rows: int
    usable: list[Request]
    rejected: list[Rejected]

    def reasons(self) -> dict[str, int]:
        """How many rows were rejected for which reason, as `field: reason`."""
        counts = Counter(f"{one.field}: {one.reason}" for one in self.rejected)
        return dict(counts.most_common())


class Unfit(Exception):
    """A field keeps a row from being an order."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


def packaged_rows() -> Iterator[dict[str, str]]:
    """The rows of the file that ships with the package."""
    packed = (resources.files("callout_backend.demo") / "data" / "sf311.csv.xz").read_bytes()
    yield from csv.DictReader(io.StringIO(lzma.decompress(packed).decode("utf-8"), newline=""))


def read(rows: Iterable[Mapping[str, str | None]]) -> Sheet:
    """Sort every row into usable and rejected."""
    usable: list[Request] = []
    rejected: list[Rejected] = []
    seen: set[str] = set()
    number = 0
    for number, row in enumerate(rows, start=1):
        key = (row.get("unique_key") or "").strip()
        try:
            if not key:
                raise Unfit("unique_key", "missing")
            if key in seen:
                raise Unfit("unique_key", "twice")
            seen.add(key)
            usable.append(_request(number, key, row))
        except Unfit as fault:
            rejected.append(Rejected(row=number, key=key, field=fault.field, reason=fault.reason))
    return Sheet(rows=number, usable=usable, rejected=rejected)


def write_rejected(path: Path, rejected: Iterable[Rejected]) -> None:
    """The rejected rows as CSV, for whoever mends the source."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["row", "unique_key", "field", "reason"])
        writer.writerows((one.row, one.key, one.field, one.reason) for one in rejected)


def _request(number: int, key: str, row: Mapping[str, str | None]) -> Request:
    created_at = _instant(row)
    point = _point(row)
    category = _text(row, "category")
    if not category:
        raise Unfit("category", "missing")
    address = _text(row, "incident_address")
    if not address:
        raise Unfit("incident_address", "missing")
    trade, detail = _text(row, "complaint_type"), _text(row, "descriptor").replace("_", " ")
    work = TRADES.get(trade) or CATEGORIES.get(category, OTHERWISE)
    priority, level = _urgency(category, detail)
    district = _text(row, "supervisor_district")
    return Request(
        row=number,
        key=key,
        created_at=created_at,
        agency=_text(row, "agency_name"),
        category=category,
        address=address,
        district=district if district.isdigit() else "",
        neighbourhood=_text(row, "neighborhood"),
        point=point,
        kind=work.kind,
        skill=work.skill,
        level=level,
        priority=priority,
        minutes=work.minutes,
        channel=CHANNELS.get(_text(row, "source"), OTHER_CHANNEL),
        description=_description(category, trade, detail),
    )


def _instant(row: Mapping[str, str | None]) -> datetime:
    text = _text(row, "created_date")
    if not text:
        raise Unfit("created_date", "missing")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Unfit("created_date", "not_a_date") from None
    if at.tzinfo is None:
        raise Unfit("created_date", "no_time_zone")
    return at


def _point(row: Mapping[str, str | None]) -> Point:
    try:
        point = refuse_null_island(parse_point(row.get("latitude"), row.get("longitude")))
    except BadPoint as fault:
        names = {"lat": "latitude", "lng": "longitude"}
        raise Unfit(names.get(fault.field, "point"), fault.reason) from None
    if not (LAT_RANGE[0] <= point.lat <= LAT_RANGE[1] and LNG_RANGE[0] <= point.lng <= LNG_RANGE[1]):
        raise Unfit("point", "outside_city")
    return point


def _urgency(category: str, detail: str) -> tuple[str, int]:
    """Priority, and the level of skill that it takes."""
    said = detail.lower()
    if "emergency" in said:
        return "P0", 3
    if "urgent" in said or "on property" in said or category == "Street Defects":
        return "P1", 2
    return "P2", 1


def _description(category: str, trade: str, detail: str) -> str:
    """`Sewer Issues: Flooding, on street`; the city often repeats the type of complaint in its details."""
    for said in (category, trade):
        if detail.lower().startswith(said.lower()):
            detail = detail[len(said) :].strip(" -")
    parts = [
        plain for part in (trade, detail) if (plain := part.strip(" -")) and plain.lower() not in _NOTHING
    ]
    return f"{category}: {', '.join(parts)}" if parts else category


def _text(row: Mapping[str, str | None], name: str) -> str:
    return (row.get(name) or "").strip()
