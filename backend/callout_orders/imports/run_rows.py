"""What may be read of imports: how far they are, and what became of their rows."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.imports.convert import RowFault
from callout_orders.imports.mapping import Config
from callout_store.errors import BadField, LimitExceeded, NotFound
from callout_store.pages import Page
from callout_store.work import Work

PAGE_MAX: Final = 200
_COLUMNS: Final = """id, template_id, config::text as config, file_name, format, encoding, headers::text as headers,
    time_zone, locale, dry_run, round, state, rows_total, rows_ok, rows_existing, rows_failed, fault, cancel_asked,
    begun_at, begun_rows, beat_at, created_at, created_by, ended_at"""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """An import as it stands. In a dry run `rows_ok` would become orders; `rows_existing` are orders already."""

    id: UUID
    template_id: UUID | None
    config: Config
    file_name: str
    format: str
    encoding: str
    headers: list[str]
    time_zone: str
    locale: str
    dry_run: bool
    round: int
    state: str
    rows_total: int
    rows_ok: int
    rows_existing: int
    rows_failed: int
    fault: str | None
    cancel_asked: bool
    begun_at: datetime | None
    begun_rows: int | None
    beat_at: datetime | None
    created_at: datetime
    created_by: UUID | None
    ended_at: datetime | None

    @property
    def rows_done(self) -> int:
        """Rows that were looked at, whatever became of them."""
        return self.rows_ok + self.rows_existing + self.rows_failed

    @property
    def seconds_left(self) -> int | None:
        """How long the rest takes at the present worker's pace; None where there is none to judge by."""
        if (
            self.state != "running"
            or self.begun_at is None
            or self.beat_at is None
            or self.begun_rows is None
        ):
            return 0 if self.state in ("done", "canceled", "failed") else None
        done, took_s = self.rows_done - self.begun_rows, (self.beat_at - self.begun_at).total_seconds()
        return None if done <= 0 else round(took_s / done * (self.rows_total - self.rows_done))


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a sheet and what became of it; `n` is its number in the sheet."""

    n: int
    state: str
    cells: list[str]
    order_id: UUID | None
    faults: list[RowFault]


class SpokenFault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a row, in the reader's language."""

    column: str | None
    field: str
    code: str
    reason: str
    text: str


class SpokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row as a reader sees it; `row` is its number in the sheet."""

    row: int
    state: str
    cells: list[str]
    order_id: UUID | None
    faults: list[SpokenFault]


def spoken(row: RunRow, locale: str) -> SpokenRow:
    """The row in `en` or `zh`."""
    return SpokenRow(
        row=row.n,
        state=row.state,
        cells=row.cells,
        order_id=row.order_id,
        faults=[
            SpokenFault(
                column=one.column, field=one.field, code=one.code, reason=one.reason, text=one.text(locale)
            )
            for one in row.faults
        ],
    )


async def get(work: Work, id_: UUID) -> Run:
    """One import. Raises NotFound."""
    row = await work.fetchrow(
        f"select {_COLUMNS} from import_run where org_id = callout_org() and id = $1", id_
    )
    if row is None:
        raise NotFound(entity="import", path="id")
    return _read(row)


async def page(work: Work, *, after: UUID | None = None, limit: int = 50) -> Page[Run]:
    """Imports, newest first."""
    rows = await work.fetch(
        f"""
        select {_COLUMNS} from import_run where org_id = callout_org() and ($1::uuid is null or id < $1)
        order by org_id desc, id desc limit $2
        """,
        after,
        limit + 1,
    )
    items = [_read(row) for row in rows[:limit]]
    return Page(items=items, end_cursor=str(items[-1].id) if items else None, has_more=len(rows) > limit)


async def rows_page(
    work: Work, id_: UUID, *, state: str | None = None, faulty: bool = False, after: int = 0, limit: int = 200
) -> list[RunRow]:
    """Rows of an import after a row's number, in the sheet's order; `state`: waiting, ok, existing or failed. `faulty`: only
    those with something beside them."""
    if state is not None:
        checks.one_of("state", state, frozenset({"waiting", "ok", "existing", "failed"}))
    rows = await work.fetch(
        """
        select n, state, cells::text as cells, order_id, faults::text as faults from import_row
        where org_id = callout_org() and import_id = $1 and n > $2 and ($3::text is null or state = $3)
          and (not $5 or faults <> '[]')
        order by n limit $4
        """,
        id_,
        after,
        state,
        limit,
        faulty,
    )
    return [
        RunRow(
            n=row["n"],
            state=row["state"],
            cells=msgspec.json.decode(row["cells"]),
            order_id=row["order_id"],
            faults=msgspec.json.decode(row["faults"], type=list[RowFault]),
        )
        for row in rows
    ]


async def locked(work: Work, id_: UUID) -> Run:
    """One import, held until the unit of work ends. Raises NotFound."""
    row = await work.fetchrow(
        f"select {_COLUMNS} from import_run where org_id = callout_org() and id = $1 for no key update", id_
    )
    if row is None:
        raise NotFound(entity="import", path="id")
    return _read(row)


def _read(row: Any) -> Run:
    return Run(
        **{
            **dict(row),
            "config": msgspec.json.decode(row["config"], type=Config),
            "headers": msgspec.json.decode(row["headers"]),
        }
    )


def page_size(limit: int) -> int:
    """`limit`, where it is 1 to PAGE_MAX. Raises LimitExceeded or BadField."""
    if limit > PAGE_MAX:
        raise LimitExceeded(what="rows a page", limit=PAGE_MAX, given=limit, path="first")
    return checks.whole("first", limit, low=1, high=PAGE_MAX)


def parse_row_cursor(after: str | None) -> int:
    """The row's number within a cursor. Raises BadField."""
    if after is None:
        return 0
    if not (after.isascii() and after.isdigit() and len(after) < 10):
        raise BadField(path="after", why="not a cursor of this list")
    return int(after)
