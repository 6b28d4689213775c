"""The files that other clients are built from say what the server does."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from callout_contracts.commands import PAYLOADS
from callout_contracts.limits import PAGE_ROWS_MAX
from callout_contracts.rows import COLUMNS, collection_name
from callout_graphql.documents import Documents
from callout_graphql.export import FOLDERS, TARGET, generated
from callout_graphql.guard import Limits
from callout_graphql.operations import OPERATIONS
from callout_graphql.schema import engine

FILES = generated()


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_committed_file_is_the_generated_one(name: str) -> None:
    """A schema that changed without its file breaks every client that was generated from it, in the field."""
    path: Path = TARGET / name
    assert path.exists(), f"{name} is missing: run `python -m callout_graphql.export`"
    assert path.read_text("utf-8") == FILES[name], (
        f"{name} has drifted: run `python -m callout_graphql.export`"
    )


def test_nothing_lies_beside_the_generated_files() -> None:
    """A file that is no longer generated would go on describing what is no longer there."""
    for folder in FOLDERS:
        there = {f"{folder}/{path.name}" for path in (TARGET / folder).iterdir()} - {f"{folder}/README.md"}
        assert there == {name for name in FILES if name.startswith(f"{folder}/")}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_fits_schema_and_limits(name: str) -> None:
    """Our own operations must not be refused by our own guard, page sizes at their largest included."""
    documents = Documents(engine().schema, Limits())
    prepared = documents.prepare(OPERATIONS[name], may_introspect=False)
    documents.check_cost(prepared, dict.fromkeys(prepared.measured.page_variables, 200))


def test_the_largest_pages_of_all_collections_fit_the_limits() -> None:
    """RxDB asks for all fields of a row at once: with a page as large as is allowed it must not be refused for its cost."""
    documents = Documents(engine().schema, Limits())
    for entity, columns in COLUMNS.items():
        name = collection_name(entity)
        fields = " ".join(column.rxdb for column in columns)
        fields += " editedAt" if any(column.merge for column in columns) else ""
        query = f"""query($limit: Int!) {{ pull{name[0].upper()}{name[1:]}(limit: $limit) {{
            documents {{ {fields} _deleted __typename }} checkpoint {{ cursor }} wipe }} }}"""
        prepared = documents.prepare(query, may_introspect=False)
        documents.check_cost(prepared, {"limit": PAGE_ROWS_MAX})


def test_every_kind_of_command_has_a_json_schema() -> None:
    """An author of a client must be able to check each command before it is sent."""
    for kind in PAYLOADS:
        text = FILES[f"json_schema/payload.{kind.removeprefix('visit.')}.json"]
        schema: dict[str, Any] = msgspec.json.decode(text)
        assert schema["$ref"].removeprefix("#/$defs/") in schema["$defs"]
