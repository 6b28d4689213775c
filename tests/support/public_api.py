"""The public API for tests: an application with just its doors, keys for it, and sheets to send."""

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import xlsxwriter
from litestar import Litestar
from litestar.datastructures import State
from worlds import World

from callout_backend.doors.public import docs, imports, orders, tables
from callout_backend.jobs.drain import drain
from callout_backend.jobs.imports import import_handler
from callout_backend.problems import EXCEPTION_HANDLERS
from callout_orders.imports import runs
from callout_people import api_keys
from callout_people.principals import SCOPES
from callout_people.tokens import TokenIssuer
from callout_store.work import Database

SECRET = "tests-only-" + "0123456789abcdef" * 2


@asynccontextmanager
async def public_client(db: Database, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the public doors."""
    app = Litestar(
        route_handlers=[*orders.ROUTES, *imports.ROUTES, *tables.ROUTES, *docs.ROUTES],
        exception_handlers=EXCEPTION_HANDLERS,
        state=State({"db": db, "issuer": TokenIssuer(SECRET), **more}, deep_copy=False),
        logging_config=None,
        openapi_config=None,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        yield client


async def key_of(
    world: World, *scopes: str, rate_per_s: int = 1000, burst: int = 10_000, name: str = "CRM"
) -> api_keys.Made:
    """A key of a fresh system; without scopes it may do everything."""
    return await world.db.run(
        world.org,
        lambda work: api_keys.create(
            work, name=name, scopes=scopes or sorted(SCOPES), rate_per_s=rate_per_s, burst=burst
        ),
        actor=world.dispatcher,
    )


async def headers_of(world: World, *scopes: str, **more: Any) -> dict[str, str]:
    """What a caller with such a key sends."""
    return {"X-Api-Key": (await key_of(world, *scopes, **more)).text}


async def work_off(db: Database, *, rows: int = 50) -> int:
    """Do what a worker does with the imports that are owed."""
    return await drain(db, {runs.CHANNEL: import_handler(rows=rows)}, only=True)


def csv_bytes(rows: Sequence[Sequence[object]], *, delimiter: str = ",", encoding: str = "utf-8") -> bytes:
    """A CSV as a spreadsheet program writes it."""
    import csv

    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue().encode(encoding)


def xlsx_bytes(rows: Sequence[Sequence[object]], *, sheets: Sequence[str] = ("Orders",)) -> bytes:
    """A workbook with these rows on its first sheet."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "default_date_format": "yyyy-mm-dd hh:mm"}) as book:
        for n, name in enumerate(sheets):
            sheet = book.add_worksheet(name)
            for m, row in enumerate(rows if n == 0 else [["nothing"]]):
                sheet.write_row(m, 0, row)
    return out.getvalue()


def write_bomb(path: Path, megabytes: int) -> bytes:
    """A workbook of some kilobytes whose sheet unpacks to so many megabytes."""
    import zipfile

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as out:
            for _ in range(megabytes):
                out.write(b" " * 1_000_000)
    return path.read_bytes()
