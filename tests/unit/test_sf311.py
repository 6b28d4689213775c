"""The demo's import of the city's file: no row is lost silently, and the city's words mean what the tables say."""

import csv
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callout_backend.demo import sf311
from callout_orders.terms import Channel, OrderKind, Priority

ROW = {
    "unique_key": "1",
    "created_date": "2016-07-13 15:11:07+00:00",
    "agency_name": "PUC Sewer Ops",
    "category": "Sewer Issues",
    "complaint_type": "Flooding",
    "descriptor": "On_property",
    "incident_address": "899 40TH AVE, SAN FRANCISCO, CA, 94121",
    "supervisor_district": "1",
    "neighborhood": "Outer Richmond",
    "source": "Phone",
    "latitude": "37.77198",
    "longitude": "-122.5004",
}


@pytest.fixture(scope="module")
def sheet() -> sf311.Sheet:
    return sf311.read(sf311.packaged_rows())


def test_every_row_of_the_packaged_file_is_used_or_rejected(sheet: sf311.Sheet) -> None:
    """A row that is in neither list would be a customer whose report vanished without a word."""
    assert sheet.rows == 10_000
    assert len(sheet.usable) == 5_736
    assert len(sheet.rejected) == 4_264
    numbers = [one.row for one in sheet.usable] + [one.row for one in sheet.rejected]
    assert sorted(numbers) == list(range(1, 10_001))


def test_rejected_rows_are_told_with_row_field_and_reason(sheet: sf311.Sheet, tmp_path: Path) -> None:
    """Whoever keeps the source could not mend it from a bare count."""
    assert sheet.reasons() == {"point: null_island": 4_264}
    file = tmp_path / "deep" / "rejected.csv"
    sf311.write_rejected(file, sheet.rejected)
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 4_264
    assert rows[0] == {"row": "1", "unique_key": "6078653", "field": "point", "reason": "null_island"}


def test_every_usable_row_speaks_the_houses_words(sheet: sf311.Sheet) -> None:
    """Intake refuses unknown words, and with one of them a whole chunk of a thousand orders."""
    for request in sheet.usable:
        assert request.kind in set(OrderKind)
        assert request.channel in set(Channel)
        assert request.priority in set(Priority)
        assert request.skill in sf311.SKILLS
        assert 1 <= request.level <= 5
        assert request.created_at.tzinfo is not None
        assert request.description.startswith(request.category)
        assert "_" not in request.description
    assert Counter(request.priority for request in sheet.usable) == {"P2": 4_924, "P1": 759, "P0": 53}


@pytest.mark.parametrize(
    ("changed", "field", "reason"),
    (
        ({"unique_key": " "}, "unique_key", "missing"),
        ({"created_date": ""}, "created_date", "missing"),
        ({"created_date": "13/07/2016"}, "created_date", "not_a_date"),
        ({"created_date": "2016-07-13 15:11:07"}, "created_date", "no_time_zone"),
        ({"latitude": ""}, "latitude", "missing"),
        ({"longitude": "west"}, "longitude", "not_a_number"),
        ({"latitude": "nan"}, "latitude", "not_finite"),
        ({"latitude": "91"}, "latitude", "out_of_range"),
        ({"latitude": "0.0", "longitude": "0.0"}, "point", "null_island"),
        # Latitude and longitude swapped in sign: a place in the Indian Ocean.
        ({"latitude": "-37.7", "longitude": "122.4"}, "point", "outside_city"),
        ({"category": ""}, "category", "missing"),
        ({"incident_address": " "}, "incident_address", "missing"),
    ),
)
def test_a_bad_field_rejects_its_row_by_name(changed: dict[str, str], field: str, reason: str) -> None:
    """A wrong point sends an engineer into the bay; a wrong reason sends the clerk to the wrong column."""
    sheet = sf311.read([ROW, {**ROW, "unique_key": "2", **changed}])
    assert [one.key for one in sheet.usable] == ["1"]
    assert [(one.row, one.field, one.reason) for one in sheet.rejected] == [(2, field, reason)]


def test_a_key_that_comes_twice_is_one_order() -> None:
    """The second row would be answered with the first one's order and its content would vanish."""
    sheet = sf311.read([ROW, ROW])
    assert len(sheet.usable) == 1
    assert sheet.rejected == [sf311.Rejected(row=2, key="1", field="unique_key", reason="twice")]


@pytest.mark.parametrize(
    ("changed", "expected"),
    (
        # Water in somebody's house is a malfunction, in the street a question of when.
        ({}, ("repair", "drainage", 2, "P1", 45)),
        ({"descriptor": "On_street"}, ("repair", "drainage", 1, "P2", 45)),
        (
            {"category": "SFHA Requests", "complaint_type": "Glazier", "descriptor": "Glazier - Emergency"},
            ("repair", "glazing", 3, "P0", 60),
        ),
        (
            {"category": "SFHA Requests", "complaint_type": "Laborer", "descriptor": "Laborer - Urgent"},
            ("service", "building", 2, "P1", 45),
        ),
        (
            {"category": "311 External Request", "complaint_type": "Graffiti", "descriptor": ""},
            ("service", "cleaning", 1, "P2", 30),
        ),
        (
            {
                "category": "General Request - MTA",
                "complaint_type": "other",
                "descriptor": "sign_shop - other",
            },
            ("general", "signs", 1, "P2", 30),
        ),
        # A category nobody thought of still becomes an order that somebody looks at.
        ({"category": "Lost Parrot", "descriptor": ""}, ("general", "survey", 1, "P2", 25)),
    ),
)
def test_the_categories_mean_work(changed: dict[str, str], expected: tuple[str, str, int, str, int]) -> None:
    """A wrong skill sends a glazier to a sewer; a wrong priority lets a flooded house wait for days."""
    (request,) = sf311.read([{**ROW, **changed}]).usable
    assert (request.kind, request.skill, request.level, request.priority, request.minutes) == expected


@pytest.mark.parametrize(
    ("source", "channel"),
    (
        ("Phone", "hotline"),
        ("Web", "web_form"),
        ("Mobile/Open311", "app"),
        ("Twitter", "chat"),
        ("Email", "email"),
        ("Integrated Agency", "api"),
        ("", "api"),
    ),
)
def test_the_source_is_a_channel(source: str, channel: str) -> None:
    """The response heat map by channel would show calls as web forms."""
    (request,) = sf311.read([{**ROW, "source": source}]).usable
    assert request.channel == channel


def test_descriptions_do_not_repeat_the_citys_repetitions() -> None:
    """An engineer reads this on a small screen."""
    said = {"complaint_type": "Flooding", "descriptor": "Flooding On_street"}
    (request,) = sf311.read([{**ROW, **said}]).usable
    assert request.description == "Sewer Issues: Flooding, On street"
    assert request.created_at == datetime(2016, 7, 13, 15, 11, 7, tzinfo=UTC)
