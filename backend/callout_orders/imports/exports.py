"""Tables that leave the house: orders, and the rows of an import that failed, as CSV or xlsx.

CSV begins with a byte order mark, by which spreadsheet programs know UTF-8, and is guarded against formulas (`safe_cells`).
In xlsx texts are written as texts, numbers as numbers; times in both are the organisation's local ones.
"""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from callout_orders.imports.listing import ListedOrder
from callout_orders.imports.runs import RunRow
from callout_orders.imports.safe_cells import guarded
from callout_orders.terms import (
    CHANNEL_LABELS,
    ORDER_STATE_LABELS,
)

ROWS_MAX: Final = 50_000
PAGE: Final = 200
MARK: Final = "\ufeff"
Cell = str | int | float | datetime | None

COLUMNS: Final[tuple[tuple[str, str, str], ...]] = (
    ("number", "Order number", "工单号"),
    ("state", "State", "状态"),
    ("priority", "Priority", "优先级"),
    ("kind", "Type", "类型"),
    ("channel", "Channel", "渠道"),
    ("created_at", "Created", "创建时间"),
    ("customer_number", "Customer number", "客户编号"),
    ("customer_name", "Customer", "客户名称"),
    ("site_name", "Site name", "现场名称"),
    ("address", "Address", "地址"),
    ("reporter_name", "Contact name", "联系人"),
    ("reporter_phone", "Phone", "联系电话"),
    ("reporter_email", "E-mail", "电子邮箱"),
    ("serial", "Serial number", "序列号"),
    ("product", "Product", "产品"),
    ("error_code", "Error code", "故障代码"),
    ("description", "Description", "故障描述"),
    ("tags", "Tags", "标签"),
    ("hold_reason", "On hold", "挂起原因"),
    ("respond_due_at", "Response due", "响应时限"),
    ("responded_at", "Responded", "响应时间"),
    ("arrive_due_at", "Arrival due", "到场时限"),
    ("arrived_at", "Arrived", "到场时间"),
    ("resolve_due_at", "Resolution due", "解决时限"),
    ("resolved_at", "Resolved", "解决时间"),
    ("closed_at", "Closed", "关闭时间"),
    ("canceled_at", "Canceled", "取消时间"),
    ("references", "References", "外部编号"),
)
"""Attribute of an order, its header in English and Chinese. The words are those that an import knows."""


def headers(locale: str) -> list[str]:
    """The header row of orders."""
    return [chinese if locale.startswith("zh") else english for _, english, chinese in COLUMNS]


def cells(order: ListedOrder, locale: str, zone: ZoneInfo) -> list[Cell]:
    """An order's row."""
    language = "zh" if locale.startswith("zh") else "en"
    labels = {
        "state": {str(state): text[language] for state, text in ORDER_STATE_LABELS.items()},
        "channel": {str(channel): text[language] for channel, text in CHANNEL_LABELS.items()},
    }
    row: list[Cell] = []
    for name, _, _ in COLUMNS:
        value: Any = getattr(order, name)
        if name in labels:
            value = labels[name].get(value, value)
        elif name == "tags":
            value = ", ".join(value)
        elif name == "references":
            value = ", ".join(f"{one.system}:{one.reference}" for one in value)
        elif isinstance(value, datetime):
            value = value.astimezone(zone)
        row.append(value)
    return row


PROBLEMS: Final = {
    "en": ("Row", "Column", "Code", "Problem"),
    "zh": ("行号", "列", "代码", "问题"),
}


def failed_headers(given: Sequence[str], locale: str) -> list[str]:
    """Of the list of failed rows: the sheet's own columns, so that it can be mended and imported again, and why."""
    row, _, _, problem = PROBLEMS["zh" if locale.startswith("zh") else "en"]
    return [f"{row} (Callout)", *given, f"{problem} (Callout)"]


def failed_cells(row: RunRow, locale: str) -> list[Cell]:
    """A failed row with everything that is wrong with it."""
    why = "; ".join(
        f"{fault.column}: {fault.text(locale)}" if fault.column else fault.text(locale)
        for fault in row.faults
    )
    return [row.n, *row.cells, why]


def fault_cells(row: RunRow, locale: str) -> list[list[Cell]]:
    """A row's faults, one a line: row, column, code, text."""
    return [
        [row.n, fault.column or fault.field, f"{fault.code}/{fault.reason}", fault.text(locale)]
        for fault in row.faults
    ]


def csv_line(row: Iterable[Cell]) -> str:
    """A line of CSV (RFC 4180)."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([_plain(cell) for cell in row])
    return out.getvalue()


def _plain(cell: Cell) -> str | int | float:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.strftime("%Y-%m-%d %H:%M:%S")
    # A number is written as it is; a text that only looks like a formula is told apart by its apostrophe.
    return cell if isinstance(cell, int | float) else guarded(cell)


async def csv_of(head: Sequence[str], rows: AsyncIterator[list[Cell]]) -> AsyncIterator[bytes]:
    """The file in pieces, as the rows come."""
    yield (MARK + csv_line(head)).encode()
    piece: list[str] = []
    async for row in rows:
        piece.append(csv_line(row))
        if len(piece) >= PAGE:
            yield "".join(piece).encode()
            piece.clear()
    if piece:
        yield "".join(piece).encode()


async def xlsx_to(path: Path, head: Sequence[str], rows: AsyncIterator[list[Cell]], *, title: str) -> None:
    """Write a workbook row by row: what was written is no longer held in memory."""
    import xlsxwriter

    book = xlsxwriter.Workbook(
        str(path),
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "remove_timezone": True,
        },
    )
    try:
        bold, moment = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        sheet = book.add_worksheet(title)
        for column, text in enumerate(head):
            sheet.write_string(0, column, text, bold)
        sheet.freeze_panes(1, 0)
        n = 0
        async for row in rows:
            n += 1
            for column, cell in enumerate(row):
                if isinstance(cell, datetime):
                    sheet.write_datetime(n, column, cell, moment)
                elif isinstance(cell, bool):
                    sheet.write_string(n, column, str(cell).lower())
                elif isinstance(cell, int | float):
                    sheet.write_number(n, column, cell)
                elif cell:
                    # As a text, whatever it begins with: no program evaluates it.
                    sheet.write_string(n, column, cell[:32_767])
    finally:
        book.close()
