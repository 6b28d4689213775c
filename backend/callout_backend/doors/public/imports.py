"""`/v1/imports`: a CSV or xlsx in, what became of each row out."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.datastructures import UploadFile
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import FromPath, QueryParameter
from litestar.types import ControllerRouterHandler

from callout_backend.doors.public.callers import (
    AnyRequest,
    acted,
    cursor_id,
    language,
    needs,
    work_of,
)
from callout_backend.doors.public.orders import After, First
from callout_backend.doors.public.terms import (
    Import,
    ImportPage,
    ImportRowPage,
    import_of,
    row_of,
)
from callout_backend.jobs.sheets import read_sheet
from callout_orders.imports import runs, templates
from callout_orders.imports.mapping import SHEET_NAME_CHARS_MAX, Config, checked, config_of
from callout_orders.imports.sheets import FILE_BYTES_MAX
from callout_people.organisations import organisation
from callout_people.principals import Right
from callout_store.errors import BadField, BadRequestBody
from callout_store.work import Work

READ, WRITE = needs(Right.IMPORTS_READ), needs(Right.IMPORTS_MANAGE)
TAGS = ["Imports and exports"]
BODY_BYTES_MAX = FILE_BYTES_MAX + 100_000
CSV, XLSX = "text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
RowState = Literal["waiting", "ok", "existing", "failed"]
_BINARY = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)


class TakesSheet(Operation):
    """Says that the body is a file, alone or as a part of a form."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            description="A CSV (UTF-8, UTF-16 with its mark or GB18030; comma, semicolon or tab) or an xlsx workbook: as the "
            f"body itself, or as `file` of a form. At most {FILE_BYTES_MAX} bytes.",
            required=True,
            content={
                CSV: OpenAPIMediaType(schema=_BINARY),
                XLSX: OpenAPIMediaType(schema=_BINARY),
                "multipart/form-data": OpenAPIMediaType(
                    schema=Schema(
                        type=OpenAPIType.OBJECT,
                        required=["file"],
                        properties={
                            "file": _BINARY,
                            "config": Schema(
                                type=OpenAPIType.STRING,
                                description="A mapping as JSON, in place of a template; see `ImportConfig`.",
                            ),
                        },
                    )
                ),
            },
        )


@post(
    "/v1/imports",
    guards=[WRITE],
    request_max_body_size=BODY_BYTES_MAX,
    status_code=202,
    tags=TAGS,
    operation_id="createImport",
    summary="Import a sheet, or only look at it",
    operation_class=TakesSheet,
)
async def create_import(
    request: AnyRequest,
    dry_run: Annotated[
        bool,
        QueryParameter(name="dryRun", description="Only look at the rows; `start` takes them in afterwards."),
    ] = True,
    template: Annotated[str | None, QueryParameter(description="A saved template's name.")] = None,
    sheet: Annotated[
        str | None,
        QueryParameter(
            max_length=SHEET_NAME_CHARS_MAX, description="Which sheet of a workbook; the first visible one."
        ),
    ] = None,
    system: Annotated[
        str | None,
        QueryParameter(
            max_length=40, description="Whose references the sheet's are, where no template says so."
        ),
    ] = None,
    file_name: Annotated[str | None, QueryParameter(name="fileName", max_length=200)] = None,
) -> Import:
    """The sheet is read at once; its rows are checked and taken in by a worker: look at the import until it is done.

    A column is told by the template or by its header, in Chinese or English. Rows with the same reference are the same
    order, however often they come; without a column of references, rows with the same content are.
    """
    name, data, given = await _file(request)
    template_id: UUID | None = None
    config = Config() if given is None else config_of(given)
    async with work_of(request) as work:
        zone = (await organisation(work)).time_zone
        if template is not None:
            if given is not None:
                raise BadField(path="template", why="give a template or a config, not both")
            saved = await templates.named(work, template)
            template_id, config = saved.id, saved.config
    if system is not None:
        config = msgspec.structs.replace(config, system=system)
    known = [column.header for column in checked(config).columns]
    found = await read_sheet(data, sheet=sheet or config.sheet, known=known)
    run = await acted(
        request,
        lambda work: runs.begin(
            work,
            found,
            file_name=file_name or name,
            sha256=hashlib.sha256(data).digest(),
            size_bytes=len(data),
            config=config,
            template_id=template_id,
            time_zone=zone,
            dry_run=dry_run,
            locale=language(request),
        ),
    )
    return import_of(run)


@get("/v1/imports", guards=[READ], tags=TAGS, operation_id="listImports", summary="List imports")
async def list_imports(request: AnyRequest, first: First = 50, after: After = None) -> ImportPage:
    """Newest first."""
    async with work_of(request) as work:
        page = await runs.page(work, after=cursor_id(after), limit=first)
    return ImportPage(
        items=[import_of(run) for run in page.items], end_cursor=page.end_cursor, has_more=page.has_more
    )


@get(
    "/v1/imports/{import_id:uuid}",
    guards=[READ],
    tags=TAGS,
    operation_id="getImport",
    summary="How far an import is",
)
async def get_import(request: AnyRequest, import_id: FromPath[UUID]) -> Import:
    """Counts, state, and how long the rest will take."""
    async with work_of(request) as work:
        return import_of(await runs.get(work, import_id))


@post(
    "/v1/imports/{import_id:uuid}/start",
    guards=[WRITE],
    status_code=202,
    tags=TAGS,
    operation_id="startImport",
    summary="Take in what a dry run has looked at",
)
async def start_import(request: AnyRequest, import_id: FromPath[UUID]) -> Import:
    """The same rows, for real; those that fail stop no others."""
    return await _act(request, runs.start, import_id)


@post(
    "/v1/imports/{import_id:uuid}/cancel",
    guards=[WRITE],
    status_code=200,
    tags=TAGS,
    operation_id="cancelImport",
    summary="Stop an import",
)
async def cancel_import(request: AnyRequest, import_id: FromPath[UUID]) -> Import:
    """It stops after the batch in hand; orders that were taken in stay."""
    return await _act(request, runs.cancel, import_id)


@get(
    "/v1/imports/{import_id:uuid}/rows",
    guards=[READ],
    tags=TAGS,
    operation_id="listImportRows",
    summary="Rows of an import and what became of them",
)
async def list_rows(
    request: AnyRequest,
    import_id: FromPath[UUID],
    state_: Annotated[RowState | None, QueryParameter(name="state")] = None,
    first: First = 50,
    after: After = None,
) -> ImportRowPage:
    """In the sheet's order, with everything that is wrong with a row, in the reader's language."""
    async with work_of(request) as work:
        await runs.get(work, import_id)
        rows = await runs.rows_page(
            work, import_id, state=state_, after=runs.parse_row_cursor(after), limit=first + 1
        )
    kept = rows[:first]
    return ImportRowPage(
        items=[row_of(row, language(request)) for row in kept],
        end_cursor=str(kept[-1].n) if kept else after,
        has_more=len(rows) > first,
    )


# ------------------------------------------------------------------------------------------------ steps


async def _file(request: AnyRequest) -> tuple[str, bytes, Any]:
    """Name, bytes and mapping of the file that was sent."""
    kind = request.content_type[0]
    if kind != "multipart/form-data":
        return (
            "import.csv" if kind == CSV else "import.xlsx" if kind == XLSX else "import",
            await request.body(),
            None,
        )
    form = await request.form()
    file, config = form.get("file"), form.get("config")
    if not isinstance(file, UploadFile):
        raise BadField(path="file", why="the form holds no file of this name")
    given: Any = None
    if config is not None:
        try:
            given = msgspec.json.decode(config if isinstance(config, str | bytes) else b"")
        except (msgspec.DecodeError, RecursionError) as fault:
            raise BadRequestBody(path="config", why=f"`config` is not JSON: {fault}"[:200]) from None
    return file.filename or "import", await file.read(), given


async def _act(
    request: AnyRequest, act: Callable[[Work, UUID], Awaitable[runs.Run]], import_id: UUID
) -> Import:
    return import_of(await acted(request, lambda work: act(work, import_id)))


ROUTES: tuple[ControllerRouterHandler, ...] = (
    create_import,
    list_imports,
    get_import,
    start_import,
    cancel_import,
    list_rows,
)
