"""From a file's bytes to rows of text, within bounds. Values only; run in a process of its own, because the bytes come from
outside and a workbook is an archive: a few kilobytes may unpack to gigabytes, and two cells may span a billion.

An archive's sizes are looked at before a library sees it: as it declares them, whether that is what comes out, and as the
cells name their places.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from callout_orders.imports.headers import guess, shown
from callout_orders.imports.mapping import XLSX_1904
from callout_orders.imports.refusals import SheetRefused
from callout_orders.imports.safe_cells import unguarded

FILE_BYTES_MAX: Final = 20_000_000
UNPACKED_BYTES_MAX: Final = 120_000_000
MEMBERS_MAX: Final = 2_000
ROWS_MAX: Final = 20_000
COLUMNS_MAX: Final = 200
CELL_CHARS_MAX: Final = 10_000
HEADER_ROWS: Final = 10
"""So far down a header is looked for: titles and notes often stand above it."""
PROBLEM_HEADERS: Final = frozenset({"Row (Callout)", "Problem (Callout)", "行号 (Callout)", "问题 (Callout)"})
"""Columns that our own lists of failed rows add; they are read past when such a list comes back."""
_CHUNK: Final = 1 << 20
_CELL: Final = re.compile(
    rb"<(?:\w{1,40}:)?c\s[^<>]{0,150}?\br=[\"']([A-Z]{1,4})([0-9]{1,8})[\"'][^<>]{0,150}?(/?)>"
)
"""A cell's place. Bounded, as a tag of a megabyte of attributes would be gone through for each of them."""
_TAIL: Final = 400
_1904: Final = re.compile(rb"<(?:\w+:)?workbookPr\s[^<>]*?\bdate1904=[\"'](?:1|true)[\"']")
_END: Final = "\x1eend of the sheet\x1e"
"""A row of our own behind the last one: where it does not come out, a cell whose quotation mark is not closed has it."""
_OLE: Final = b"\xd0\xcf\x11\xe0"


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """A sheet: `rows` are (number as a person counts, cells in the order of `headers`); empty rows are left out."""

    format: str
    encoding: str
    name: str
    headers: list[str]
    rows: list[tuple[int, list[str]]]


def read(data: bytes, *, sheet: str | None = None, known: Sequence[str] = ()) -> Sheet:
    """A CSV or xlsx file. `sheet`: its name (xlsx; else the first one); `known`: headers that a template maps, by which the
    row of headers is found beside those that tell by themselves. Raises SheetRefused."""
    if not data.strip(b"\x00 \r\n\t"):
        raise SheetRefused("empty")
    if len(data) > FILE_BYTES_MAX:
        raise SheetRefused("bytes", limit=FILE_BYTES_MAX, given=len(data))
    if data[:4] == b"PK\x03\x04":
        encoding = XLSX_1904 if check_archive(data) else "xlsx"
        name, lines = _workbook(data, sheet)
        format_ = "xlsx"
    elif data[:4] == _OLE:
        raise SheetRefused("old_format")
    else:
        text, encoding = decoded(data)
        name, lines, format_ = "", list(_csv(text)), "csv"
    headers, rows = _table(lines, frozenset(shown(header) for header in known))
    if not rows:
        raise SheetRefused("no_rows")
    return Sheet(format=format_, encoding=encoding, name=name, headers=headers, rows=rows)


# -------------------------------------------------------------------------------------------------- archives


def check_archive(data: bytes) -> bool:
    """Refuse an archive that holds or unpacks to too much, or whose cells reach too far. Reads it in pieces. Whether the
    workbook counts its days from 1904."""
    from_1904 = False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > MEMBERS_MAX:
                raise SheetRefused("zip_members", limit=MEMBERS_MAX, given=len(members))
            declared = sum(member.file_size for member in members)
            if declared > UNPACKED_BYTES_MAX:
                raise SheetRefused("zip_unpacked", limit=UNPACKED_BYTES_MAX, given=declared)
            if any(member.flag_bits & 1 for member in members):
                raise SheetRefused("old_format")
            if not any(member.filename.lower() == "xl/workbook.xml" for member in members):
                raise SheetRefused("not_a_sheet")
            for member in members:
                book = member.filename.lower() == "xl/workbook.xml"
                # No more comes out of a member than it declares: where there is more, its checksum is wrong.
                for piece in _unpack(archive, member):
                    from_1904 = from_1904 or (book and _1904.search(piece) is not None)
    except SheetRefused:
        raise
    except Exception as fault:
        # zipfile, zlib, lzma and bz2 each have errors of their own.
        raise SheetRefused("zip_broken") from fault
    return from_1904


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """A member's pieces as they come out; its cells are looked at on the way."""
    cells = member.filename.lower().startswith("xl/worksheets/")
    tail = b""
    with archive.open(member) as stream:
        while piece := stream.read(_CHUNK):
            yield piece
            if cells:
                _check_places(tail + piece)
                tail = piece[-_TAIL:]


def _check_places(xml: bytes) -> None:
    for column, row, empty in _CELL.findall(xml):
        # A cell that only has a colour is none.
        if empty:
            continue
        if int(row) > ROWS_MAX + HEADER_ROWS:
            raise SheetRefused("rows", limit=ROWS_MAX, given=int(row))
        if len(column) > 2 or _column_number(column) > COLUMNS_MAX:
            raise SheetRefused("columns", limit=COLUMNS_MAX, given=column.decode())


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _workbook(data: bytes, wanted: str | None) -> tuple[str, list[tuple[int, list[str]]]]:
    import python_calamine

    try:
        book = python_calamine.load_workbook(io.BytesIO(data))
        names = list(book.sheet_names)
        if wanted is not None and wanted not in names:
            raise SheetRefused("no_sheet", given=wanted, options=", ".join(names)[:400])
        if not names:
            raise SheetRefused("empty")
        visible = [one.name for one in book.sheets_metadata if "Visible" in str(one.visible)]
        name = wanted or (visible or names)[0]
        sheet = book.get_sheet_by_name(name)
        start = sheet.start or (0, 0)
        if sheet.height > ROWS_MAX + HEADER_ROWS:
            # Cells that name no place stand behind each other; laid out, a million rows of them take seconds.
            raise SheetRefused("rows", limit=ROWS_MAX, given=start[0] + sheet.height)
        values = sheet.to_python(skip_empty_area=True)
        _fill_down(values, sheet.merged_cell_ranges or (), start)
    except SheetRefused:
        raise
    except Exception as fault:  # The library's own errors, whatever in the file provoked them.
        raise SheetRefused("zip_broken") from fault
    lines: list[tuple[int, list[str]]] = []
    for n, row in enumerate(values, start=start[0] + 1):
        lines.append((n, [_cell(n, m, as_text(value)) for m, value in enumerate(row, start=1)]))
    return name, lines


def _fill_down(
    values: list[list[Any]], merged: Iterable[tuple[tuple[int, int], tuple[int, int]]], start: tuple[int, int]
) -> None:
    """Write what stands once for several rows into each of them: a file holds a merged cell's value in its first row only,
    and the rows below would come in without their customer. Only downwards: a title over all columns is no header of each.

    `merged` are ((row, column), (last row, last column)) and `start` is (row, column) of `values[0][0]`, all from 0.
    """
    steps = 0
    for (top, left), (bottom, _) in merged:
        row, column = top - start[0], left - start[1]
        if not (0 <= row < len(values) and 0 <= column < len(values[row])):
            continue
        for below in range(row + 1, min(bottom - start[0] + 1, len(values))):
            steps += 1
            if steps > ROWS_MAX * COLUMNS_MAX:
                # Merged cells do not overlap: there are no more of them than cells.
                raise SheetRefused("zip_broken")
            if column < len(values[below]) and values[below][column] in (None, ""):
                values[below][column] = values[row][column]


def as_text(value: Any) -> str:
    """A workbook's cell as text: whole numbers without a point, those that lost digits with an exponent (a workbook keeps
    15 of them), times in ISO 8601 without a zone."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not value.is_integer():
            return repr(value)
        return str(int(value)) if abs(value) < 1e15 else f"{value:.15e}"
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return str(value.total_seconds())
    return str(value)


# -------------------------------------------------------------------------------------------------- text


def decoded(data: bytes) -> tuple[str, str]:
    """The text and its encoding: by its mark, else UTF-8, else GB18030 (what Chinese Excel writes). Raises SheetRefused."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return _decode(data, name), name
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return _decode(data, "gb18030"), "gb18030"


def _decode(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise SheetRefused("encoding") from None


def delimiter_of(text: str) -> str:
    """Which of comma, semicolon and tab parts the columns: the one that parts the first lines most, and most evenly."""
    sample = "\n".join(text[:20_000].split("\n")[:HEADER_ROWS])
    best, score = ",", (0, 0)
    for mark in (",", ";", "\t"):
        widths = [len(row) for row in csv.reader(io.StringIO(sample, newline=""), delimiter=mark) if row]
        if widths:
            widest = max(widths)
            found = (widths.count(widest) * (widest - 1), widest)
            if found > score:
                best, score = mark, found
    return best


def _csv(text: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(FILE_BYTES_MAX)
    lines = itertools.chain(io.StringIO(text, newline=""), [_END])
    try:
        for n, row in enumerate(csv.reader(lines, delimiter=delimiter_of(text)), start=1):
            if row == [_END]:
                return
            if row and row[-1].endswith(_END):
                raise SheetRefused("quote", row=n)
            if n > ROWS_MAX + HEADER_ROWS:
                raise SheetRefused("rows", limit=ROWS_MAX, given=n)
            yield n, [_cell(n, m, cell) for m, cell in enumerate(row, start=1)]
    except csv.Error as fault:
        raise SheetRefused("not_a_sheet") from fault


def _cell(row: int, column: int, text: str) -> str:
    if column > COLUMNS_MAX and text:
        raise SheetRefused("columns", limit=COLUMNS_MAX, given=column)
    if len(text) > CELL_CHARS_MAX:
        raise SheetRefused("cell", limit=CELL_CHARS_MAX, row=row, column=column)
    if not text:
        return text
    # What cannot be stored stays visible as what it is: a character that was lost. The row's own check names it.
    return unguarded(text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8").strip())


# -------------------------------------------------------------------------------------------------- the table


def _table(
    lines: list[tuple[int, list[str]]], known: frozenset[str]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    lines = [(n, cells) for n, cells in lines if any(cells)]
    if not lines:
        raise SheetRefused("empty")
    at = max(
        range(min(HEADER_ROWS, len(lines))),
        # The earliest of those that know most.
        key=lambda i: (sum(1 for cell in lines[i][1] if shown(cell) in known or guess(cell)), -i),
    )
    width = max(len(cells) for _, cells in lines[at:])
    given = lines[at][1] + [""] * (width - len(lines[at][1]))
    kept = [
        m
        for m in range(width)
        if given[m] not in PROBLEM_HEADERS
        and (given[m] or any(m < len(cells) and cells[m] for _, cells in lines[at + 1 :]))
    ]
    headers = _named([given[m] for m in kept], kept)
    rows = [(n, [cells[m] if m < len(cells) else "" for m in kept]) for n, cells in lines[at + 1 :]]
    rows = [(n, cells) for n, cells in rows if any(cells)]
    if len(rows) > ROWS_MAX:
        raise SheetRefused("rows", limit=ROWS_MAX, given=len(rows))
    return headers, rows


def _named(given: list[str], places: list[int]) -> list[str]:
    """Headers that differ: one without a name is called by its place, a second one of a name gets a number."""
    headers: list[str] = []
    for name, place in zip(given, places, strict=True):
        plain = shown(name) or f"#{place + 1}"
        header, n = plain, 1
        while header in headers:
            n += 1
            header = f"{plain} ({n})"
        headers.append(header)
    return headers
