"""Fields of sites, contacts and assets that phones and the desk may write: locked, checked, and stored in sets.

What a written value means for others who wrote it too is sync's to decide; here is only what a value must be and how it
is stored. Lock order: engineers, visits, orders, then sites, contacts and assets, each by id.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
import phonenumbers

from callout_orders import checks
from callout_orders.checks import TEXT_CHARS_MAX
from callout_store.work import Work

REGION: Final = "CN"
"""Where a number has no country code and its contact had none before: as for a contact that is made."""

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "site": ("access_note",),
    "contact": ("name", "phone", "email"),
    "asset": ("name", "note"),
}
"""By table, in the order in which their rows are locked."""


class FieldsRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row under lock: its revision and the values of the fields that may be written."""

    id: UUID
    revision: int
    values: dict[str, Any]


async def lock(work: Work, entity: str, ids: Sequence[UUID]) -> dict[UUID, FieldsRow]:
    """Rows of a site, contact or asset under lock, by id; ids that are none of this organisation's are missing."""
    columns = COLUMNS[entity]
    rows = await work.fetch(
        f"select id, revision, {', '.join(columns)} from {entity} "
        "where org_id = callout_org() and id = any($1) order by id for no key update",
        sorted(set(ids)),
    )
    return {
        row["id"]: FieldsRow(
            id=row["id"], revision=row["revision"], values={column: row[column] for column in columns}
        )
        for row in rows
    }


async def store(work: Work, entity: str, rows: Sequence[FieldsRow]) -> None:
    """Write values and revisions of locked rows in one statement, and let the phones that hold them know."""
    if not rows:
        return
    columns = COLUMNS[entity]
    await work.execute(
        f"""
        update {entity} r set revision = t.revision, {", ".join(f"{c} = t.{c}" for c in columns)}
        from json_to_recordset($1::text::json) as t(id uuid, revision int, {", ".join(f"{c} text" for c in columns)})
        where r.org_id = callout_org() and r.id = t.id
        """,
        msgspec.json.encode(
            [{"id": row.id, "revision": row.revision, **row.values} for row in rows]
        ).decode(),
    )
    work.touch(entity, *(row.id for row in rows))


def tidy(entity: str, field: str, value: Any, *, path: str, now: Mapping[str, Any]) -> Any:
    """`value` as it is stored: trimmed, a number in E.164, blank as null where there may be none. `now` are the row's
    values: a number without a country code is one of the country that the contact's number had. Raises FieldRefused."""
    return _CHECKS[entity, field](path, value, now)


def _line(path: str, value: Any, _: Mapping[str, Any]) -> str:
    return checks.text(path, value)


def _words(path: str, value: Any, _: Mapping[str, Any]) -> str:
    return checks.text(path, value, chars_max=TEXT_CHARS_MAX, blank=True)


def _phone(path: str, value: Any, now: Mapping[str, Any]) -> str | None:
    region = None
    if now.get("phone"):
        try:
            region = phonenumbers.region_code_for_number(phonenumbers.parse(now["phone"], None))
        except phonenumbers.NumberParseException:
            region = None
    return checks.phone(path, value, region=region or REGION)


def _email(path: str, value: Any, _: Mapping[str, Any]) -> str | None:
    return checks.email(path, value)


_CHECKS: Final[dict[tuple[str, str], Callable[[str, Any, Mapping[str, Any]], Any]]] = {
    ("site", "access_note"): _words,
    ("contact", "name"): _line,
    ("contact", "phone"): _phone,
    ("contact", "email"): _email,
    ("asset", "name"): _line,
    ("asset", "note"): _words,
}
