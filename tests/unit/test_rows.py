"""Rows of other people's clients as commands: what an edited row amounts to, without a database."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from callout_contracts.documents import DOCUMENTS, MERGE
from callout_contracts.rows import COLUMNS, rxdb_schemas, watermelon_tables
from callout_sync.commands import read_batch
from callout_sync.rows import Change, translate
from callout_sync.rows_flat import row_of, value_of
from callout_sync.rows_read import Version
from callout_sync.rows_rxdb import DOCUMENT_TYPES

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
DEVICE, SITE = uuid4(), uuid4()
MASTER: dict[str, Any] = {
    "id": str(SITE),
    "name": "Cellar",
    "address": "1 Main St",
    "lat": None,
    "lng": None,
    "geofenceRadiusM": 150,
    "customerName": "Bay Laundry",
    "accessNote": "",
    "revision": 3,
}


def made(change: Change, *, now: datetime = NOW, **more: Any) -> list[dict[str, Any]]:
    given: dict[str, Any] = {"master": MASTER, "written": {}, "device_id": DEVICE, **more}
    return translate("site", change, now=now, **given)


def edit(assumed: dict[str, Any] | None = MASTER, **values: Any) -> Change:
    new = {**MASTER, **values}
    return Change(op="update", id=str(SITE), whole=new, values=new, assumed=assumed)


def test_an_edit_says_what_changed_and_against_what() -> None:
    """A command that carried the whole row would write over everybody's fields; one without a base, over anybody's."""
    (command,) = made(edit(accessNote="Ring"))
    assert command["payload"] == {
        "entity": "site",
        "id": str(SITE),
        "changes": {"accessNote": "Ring"},
        "base": {"accessNote": ""},
    }
    (read,) = read_batch([command])
    assert read.fault is None


def test_the_same_row_is_the_same_command_whenever_it_comes() -> None:
    """A push whose answer was lost comes again later: as another command it would be done again."""
    first, again = made(edit(accessNote="Ring")), made(edit(accessNote="Ring"), now=NOW + timedelta(hours=1))
    assert first[0]["id"] == again[0]["id"]
    other = made(edit(accessNote="Ring"), device_id=uuid4())
    assert other[0]["id"] != first[0]["id"]


def test_back_and_forth_is_not_the_same_edit_again() -> None:
    """A to B, back to A, to B once more: taken for the first one repeated, the third would vanish."""
    written = {"access_note": Version(xid=7, device_id=DEVICE, before="Ring")}
    first, third = made(edit(accessNote="Ring")), made(edit(accessNote="Ring"), written=written)
    assert first[0]["id"] != third[0]["id"]
    office = {"access_note": Version(xid=7, device_id=None, before="Ring")}
    repeated = made(edit(accessNote="Ring"), written=office)
    assert first[0]["id"] == repeated[0]["id"]


def test_a_later_edit_has_a_higher_number() -> None:
    """A device's edits of a field are put in order by their sequence: with one number for all, a clock that was set back
    between two would let the earlier one win."""
    early = made(edit(accessNote="one"))[0]["sequence"]
    late = made(edit(accessNote="two"), now=NOW + timedelta(seconds=2))[0]["sequence"]
    assert 0 < early < late < 2**32


def test_nothing_is_made_of_what_stands_already() -> None:
    """After a conflict RxDB pushes the document that it was given: a command for that would bump revisions for ever."""
    assert made(edit()) == []
    assert made(edit({**MASTER, "accessNote": "old"})) == []
    gone = Change(op="delete", id=str(SITE), whole={}, values={})
    assert made(gone, master=None) == []


@pytest.mark.parametrize(
    ("change", "code"),
    (
        (edit(name="Mine"), "FIELD_NOT_YOURS"),
        (Change(op="delete", id=str(SITE), whole={"id": str(SITE)}), "ROW_NOT_YOURS_TO_DELETE"),
        (Change(op="insert", id="new", whole={"id": "new"}), "ROW_NOT_YOURS_TO_MAKE"),
    ),
)
def test_what_a_phone_may_not_do_is_kept_under_its_code(change: Change, code: str) -> None:
    """As an error it would be sent for ever; without a code nobody knows what to tell the app's author."""
    (command,) = made(change)
    (read,) = read_batch([command])
    assert read.fault is not None
    assert read.fault.code == code
    assert read.body


def test_a_forbidden_field_takes_no_permitted_one_with_it() -> None:
    """One wrong field in a row, and the engineer's note would wait for the dispatcher too."""
    kinds = [command["kind"] for command in made(edit(name="Mine", accessNote="Ring"))]
    assert sorted(kinds) == ["record.edit", "row.field"]


@pytest.mark.parametrize(
    ("written", "base"),
    (
        (None, ""),
        (Version(xid=50, device_id=None, before="old"), ""),
        (Version(xid=150, device_id=None, before="old"), "old"),
        (Version(xid=150, device_id=DEVICE, before="old"), ""),
    ),
    ids=("never written", "before", "after", "by this very phone"),
)
def test_a_row_without_a_base_is_judged_by_what_had_been_pulled(written: Version | None, base: str) -> None:
    """WatermelonDB does not say what a column was before: taken for today's value, every edit that the phone did not see
    would be overwritten without a word."""
    change = Change(
        op="update",
        id=str(SITE),
        whole={},
        values={**MASTER, "accessNote": "Ring"},
        changed=frozenset({"accessNote"}),
        base_xid=100,
    )
    (command,) = made(change, written={} if written is None else {"access_note": written})
    assert command["payload"]["base"] == {"accessNote": base}


def test_a_row_that_cannot_be_encoded_is_kept_all_the_same() -> None:
    """A lone surrogate in a text is valid JSON to JavaScript; it must neither fail the push nor vanish."""
    row = {"id": "x\ud800", "note": "\ud800"}
    (command,) = made(Change(op="insert", id="x\ud800", whole=row))
    (read,) = read_batch([command])
    assert read.fault is not None
    assert b"d800" in read.body


@pytest.mark.parametrize("entity", sorted(DOCUMENTS))
def test_every_document_has_a_schema_and_a_tombstone_for_these_clients(entity: str) -> None:
    """A field that is added to a document must reach these clients too; RxDB refuses a tombstone that does not fit."""
    columns = COLUMNS[entity]
    assert [column.field for column in columns] == list(DOCUMENTS[entity].__struct_fields__)
    name = entity.split("_")[0] + "".join(part.capitalize() for part in entity.split("_")[1:])
    schema = rxdb_schemas()[name]
    for column in columns:
        kinds = schema["properties"][column.rxdb]["type"]
        if column.nullable:
            assert "null" in kinds
    # RxDB's documents have members of these names.
    assert not {"revision", "collection", "deleted", "primary"} & set(schema["properties"])
    tombstone = {column.wire: column.neutral for column in columns} | {
        "id": str(UUID(int=1)),
        "deleted": True,
    }
    assert msgspec.convert(tombstone, DOCUMENT_TYPES[entity])
    (table,) = [one for one in watermelon_tables() if one["name"] == entity]
    named = {column["name"] for column in table["columns"]}
    assert {column.column for column in columns} - {"id"} <= named
    assert ("base_revision" in named) == (entity in MERGE and entity != "stock")


def test_columns_go_there_and_back() -> None:
    """An instant that lost its hours, or a nested value that became a text in a text, on the way through a column."""
    document = {
        "id": "1",
        "skills": {"sewer": 2},
        "createdAt": "2026-03-02T08:00:00.123456+00:00",
        "parts": [],
    }
    row = row_of("work_order", document)
    assert row["skills"] == '{"sewer":2}'
    assert row["created_at"] == 1772438400123
    back = {column.wire: value_of(column, row[column.column]) for column in COLUMNS["work_order"]}
    assert back["skills"] == {"sewer": 2}
    assert back["parts"] == []
    assert back["createdAt"] == "2026-03-02T08:00:00.123000+00:00"
