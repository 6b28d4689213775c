"""Tables that leave the house: `/v1/exports`, and the rows of an import that failed."""

import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Response, get
from litestar.background_tasks import BackgroundTask
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery
from litestar.response import File, Stream
from litestar.types import ControllerRouterHandler

from callout_backend.doors.public.callers import (
    AnyRequest,
    language,
    needs,
    work_of,
)
from callout_backend.doors.public.orders import FILTERS, FromFilters
from callout_orders.imports import exports, listing, runs
from callout_people.organisations import organisation
from callout_people.principals import Right

READ = needs(Right.IMPORTS_READ)
TAGS = ["Imports and exports"]
CSV, XLSX = "text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
Format = Literal["csv", "xlsx"]

FILE_ANSWER = {
    200: ResponseSpec(
        data_container=bytes,
        description="The file, as an attachment.",
        media_type=CSV,
        generate_examples=False,
    )
}


@get(
    "/v1/imports/{import_id:uuid}/failed",
    guards=[READ],
    tags=TAGS,
    operation_id="downloadFailedRows",
    summary="The rows that failed, to be mended and imported again",
    responses=FILE_ANSWER,
)
async def failed_rows(
    request: AnyRequest, import_id: FromPath[UUID], format: FromQuery[Format] = "csv"
) -> Response[Any]:
    """The sheet's own columns, with the row's number and what is wrong beside them; both are read past on the next import."""
    return await _download_rows(request, import_id, format, mend=True)


@get(
    "/v1/imports/{import_id:uuid}/errors",
    guards=[READ],
    tags=TAGS,
    operation_id="downloadImportErrors",
    summary="Everything that is wrong with the rows, one fault a line",
    responses=FILE_ANSWER,
)
async def errors(
    request: AnyRequest, import_id: FromPath[UUID], format: FromQuery[Format] = "csv"
) -> Response[Any]:
    """Row, column, code and text, in the reader's language."""
    return await _download_rows(request, import_id, format, mend=False)


@get(
    "/v1/exports/orders",
    guards=[needs(Right.ORDERS_READ)],
    tags=TAGS,
    operation_id="exportOrders",
    summary="Orders as a table",
    responses=FILE_ANSWER,
    dependencies=FILTERS,
)
async def export_orders(
    request: AnyRequest, filters: FromFilters, format: FromQuery[Format] = "csv"
) -> Response[Any]:
    """Filters as of the list; times are the organisation's local ones. At most 50,000 orders: filter for less.

    Texts that a program could take for a formula have an apostrophe before them in CSV; in xlsx they are texts.
    """
    async with work_of(request) as work:
        zone = ZoneInfo((await organisation(work)).time_zone)
        # Refused before the first byte is sent: afterwards nobody would see that something is missing.
        await listing.check_count(work, filters, exports.ROWS_MAX)
    spoken = language(request)

    async def rows() -> AsyncIterator[list[exports.Cell]]:
        after: UUID | None = None
        sent = 0
        while sent < exports.ROWS_MAX:
            async with work_of(request) as work:
                page = await listing.page(work, filters, after, exports.PAGE)
            for order in page.items:
                yield exports.cells(order, spoken, zone)
            sent += len(page.items)
            if not page.has_more or page.end_cursor is None:
                return
            after = UUID(page.end_cursor)

    return await _table(exports.headers(spoken), rows(), format, "orders")


async def _download_rows(
    request: AnyRequest, import_id: UUID, format_: Format, *, mend: bool
) -> Response[Any]:
    spoken = language(request)
    async with work_of(request) as work:
        run = await runs.get(work, import_id)

    async def rows() -> AsyncIterator[list[exports.Cell]]:
        after = 0
        while True:
            async with work_of(request) as work:
                found = await runs.rows_page(
                    work,
                    import_id,
                    state="failed" if mend else None,
                    faulty=True,
                    after=after,
                    limit=exports.PAGE,
                )
            for row in found:
                for line in [exports.failed_cells(row, spoken)] if mend else exports.fault_cells(row, spoken):
                    yield line
            if len(found) < exports.PAGE:
                return
            after = found[-1].n

    head = (
        exports.failed_headers(run.headers, spoken)
        if mend
        else list(exports.PROBLEMS["zh" if spoken.startswith("zh") else "en"])
    )
    return await _table(head, rows(), format_, "failed" if mend else "errors")


async def _table(
    head: Sequence[str], rows: AsyncIterator[list[exports.Cell]], format_: Format, name: str
) -> Response[Any]:
    if format_ == "csv":
        return Stream(
            exports.csv_of(head, rows),
            media_type=CSV,
            headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
        )
    place = tempfile.TemporaryDirectory(prefix="callout-export-")
    try:
        path = Path(place.name) / f"{name}.xlsx"
        await exports.xlsx_to(path, head, rows, title=name)
    except BaseException:
        place.cleanup()
        raise
    return File(
        path=path,
        filename=f"{name}.xlsx",
        media_type=XLSX,
        content_disposition_type="attachment",
        background=BackgroundTask(place.cleanup),
    )


ROUTES: tuple[ControllerRouterHandler, ...] = (failed_rows, errors, export_orders)
