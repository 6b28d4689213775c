"""Files that are sent as sheets: what is read, and what is refused before it does harm."""

import io
import struct
import time
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import xlsxwriter
from hypothesis import example, given
from hypothesis import strategies as st
from public_api import csv_bytes, write_bomb, xlsx_bytes

from callout_orders.checks import FieldRefused, FieldsRefused
from callout_orders.imports import convert, headers, mapping, sheets
from callout_orders.imports.mapping import Column, Config
from callout_orders.imports.refusals import SheetRefused
from callout_orders.imports.safe_cells import guarded, is_risky, unguarded

TABLE = [
    ["工单号", "故障描述", "联系电话"],
    ["A-1", "漏水;要快", "13800138000"],
    ["A-2", 'says "stop"', "400-810-8888"],
]
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize("encoding", ("utf-8", "utf-8-sig", "gb18030", "utf-16"))
@pytest.mark.parametrize("delimiter", (",", ";", "\t"))
def test_what_spreadsheet_programs_write_is_read(encoding: str, delimiter: str) -> None:
    """A Chinese Excel writes GB18030, a European one semicolons: asking people to convert loses them."""
    found = sheets.read(csv_bytes(TABLE, delimiter=delimiter, encoding=encoding))
    assert found.headers == TABLE[0]
    assert [cells for _, cells in found.rows] == TABLE[1:]
    assert [n for n, _ in found.rows] == [2, 3]


def test_a_workbook_is_read_as_it_looks() -> None:
    """Telephone numbers that Excel keeps as numbers, days that it keeps as days, titles above the headers."""
    data = xlsx_bytes(
        [
            ["周报 2026-11"],
            [],
            ["工单号", "故障描述", "联系电话", "创建时间", "纬度"],
            ["A-1", "漏水", 13800138000, datetime(2026, 11, 1, 9, 30), 31.5],
            [],
            ["A-2", "=1+1", 0, date(2026, 11, 2), True],
        ],
        sheets=("一", "二"),
    )
    found = sheets.read(data)
    assert (found.format, found.name) == ("xlsx", "一")
    assert found.rows[0] == (4, ["A-1", "漏水", "13800138000", "2026-11-01T09:30:00", "31.5"])
    assert found.rows[1][0] == 6
    with pytest.raises(SheetRefused) as refused:
        sheets.read(data, sheet="三")
    assert "一, 二" in refused.value.message("zh")


def test_a_merged_cell_stands_in_each_of_its_rows() -> None:
    """The customer of several rows written once: the rows below the first would come in without it, as somebody else's."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet("Orders")
        sheet.merge_range(1, 1, 1, 3, "报修清单")
        sheet.write_row(2, 1, ["客户编号", "联系电话", "故障描述"])
        sheet.merge_range(3, 1, 5, 1, "C-1")
        for row, (phone, text) in enumerate((("13800138000", "漏水"), ("13800138001", "异响")), start=3):
            sheet.write_row(row, 2, [phone, text])
        sheet.write(5, 3, "不制冷")
    found = sheets.read(out.getvalue())
    assert found.headers == ["客户编号", "联系电话", "故障描述"]
    assert [(n, *cells) for n, cells in found.rows] == [
        (4, "C-1", "13800138000", "漏水"),
        (5, "C-1", "13800138001", "异响"),
        (6, "C-1", "", "不制冷"),
    ]


def refusal(data: bytes) -> SheetRefused:
    with pytest.raises(SheetRefused) as caught:
        sheets.read(data)
    assert caught.value.message("zh") != caught.value.message("en")
    return caught.value


def test_a_zip_bomb_is_refused_by_the_limit_it_breaks(tmp_path: Path) -> None:
    """A hundred kilobytes that unpack to a gigabyte would end the worker, and with it everybody's messages."""
    bomb = write_bomb(tmp_path / "bomb.xlsx", sheets.UNPACKED_BYTES_MAX // 1_000_000 + 1)
    assert len(bomb) < 1_000_000
    found = refusal(bomb)
    assert (found.details["reason"], found.details["limit"]) == ("zip_unpacked", sheets.UNPACKED_BYTES_MAX)
    assert str(sheets.UNPACKED_BYTES_MAX) in found.message("en")


def test_an_archive_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    """The size in the archive's directory is the sender's word: a library that trusts it unpacks the rest as well."""
    bomb = bytearray(write_bomb(tmp_path / "bomb.xlsx", 30))
    at = bomb.rfind(b"PK\x01\x02")
    assert struct.unpack_from("<I", bomb, at + 24)[0] == 30_000_000
    struct.pack_into("<I", bomb, at + 24, 1_000)
    assert refusal(bytes(bomb)).details["reason"] == "zip_broken"


def workbook(sheet: str, **more: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
        for name, text in more.items():
            archive.writestr(name, text)
    return out.getvalue()


@pytest.mark.parametrize(
    ("sheet", "reason"),
    (
        # Two cells that span seventeen billion.
        ('<sheetData><row><c r="A1"><v>1</v></c></row><row><c r="B1048576"><v>1</v></c></row></sheetData>', "rows"),
        ('<sheetData><row r="1"><c s="1" r="XFD1" t="n"><v>1</v></c></row></sheetData>', "columns"),
        ("<sheetData><row r='1'><x:c r='ZZ1'><v>1</v></x:c></row></sheetData>", "columns"),
        # A colour down to the last row is no cell; that the rest is no workbook is found out by the library.
        ('<sheetData><row r="1048576"><c r="A1048576" s="3"/></row></sheetData>', "zip_broken"),
    ),
)  # fmt: skip
def test_cells_that_reach_too_far_are_seen_before_they_are_laid_out(sheet: str, reason: str) -> None:
    """A library that makes a table of all cells between the first and the last needs memory for all of them."""
    assert refusal(workbook(sheet)).details["reason"] == reason


def test_a_tag_of_attributes_costs_its_length_once() -> None:
    """Gone through anew for each attribute, a hundred kilobytes of archive would hold a reader's place for its whole time."""
    tag = 'r="A1" ' * 150_000
    began = time.process_time()
    assert refusal(workbook(f"<sheetData><row><c {tag}><v>1</v></c></row></sheetData>")).details["reason"]
    assert time.process_time() - began < 10, "squared, it is hours"


@pytest.mark.parametrize("count", (sheets.ROWS_MAX + sheets.HEADER_ROWS + 1,))
def test_rows_without_places_are_counted_before_they_are_laid_out(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell need not say where it stands: a million rows in three hundred kilobytes would be made into lists first."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        book.add_worksheet()
    bare = "".join(("<row><c><v>1</v></c></row>",) * count)
    made = io.BytesIO()
    with zipfile.ZipFile(out) as empty, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as full:
        for name in empty.namelist():
            text = empty.read(name).decode()
            if name.startswith("xl/worksheets/"):
                text = text.replace("<sheetData/>", f"<sheetData>{bare}</sheetData>")
            full.writestr(name, text)
    monkeypatch.setattr(sheets, "_fill_down", lambda *_: pytest.fail("it was laid out"))
    found = refusal(made.getvalue())
    assert (found.details["reason"], found.details["given"]) == ("rows", count)


@pytest.mark.parametrize(
    ("data", "reason"),
    (
        (b"", "empty"),
        (b"\r\n \n", "empty"),
        (b"a,b,c\n", "no_rows"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 100, "old_format"),
        (b"PK\x03\x04 and nothing else", "zip_broken"),
        (b"\xff\xfe\x00", "encoding"),
        (b"\x81\xff\x00\xfe,b\n1,2", "encoding"),
        (b"h\n" + b"x" * (sheets.CELL_CHARS_MAX + 1), "cell"),
        (b"h\n" + b"1\n" * (sheets.ROWS_MAX + 20), "rows"),
        (b"h\n" + b"1," * (sheets.COLUMNS_MAX + 1) + b"1", "columns"),
        (b"x" * (sheets.FILE_BYTES_MAX + 1), "bytes"),
        # A quotation mark that is opened and not closed takes all rows below into its cell.
        (b'text,ref\n"leaks,1\nloud,2\n', "quote"),
        (b'text;ref\nleaks;1\nloud;"2', "quote"),
    ),
)
def test_what_is_no_sheet_is_refused_with_its_limit(data: bytes, reason: str) -> None:
    """ "Could not import" leaves people with nothing to do but to try again."""
    assert refusal(data).details["reason"] == reason


@pytest.mark.parametrize(
    "text", (b'a,b\n1,"2"', b'a,b\r\n1,2" pipe\r\n', b'a,b\n"x"y,2\n', b'a,b\n"1\n\n2",\n')
)
def test_quotation_marks_that_belong_to_the_text_close_nothing(text: bytes) -> None:
    """Inches, quoted lines and a file without an end of its last line are no faults."""
    assert len(sheets.read(text).rows) == 1


def test_more_files_than_a_workbook_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million empty files in an archive cost memory for each of their names."""
    monkeypatch.setattr(sheets, "MEMBERS_MAX", 3)
    found = refusal(workbook("<sheetData/>", **{f"x{n}": "" for n in range(2)}))
    assert (found.details["reason"], found.details["limit"]) == ("zip_members", 3)


def test_unpacked_it_is_counted_over_all_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many files below the limit are together above it."""
    monkeypatch.setattr(sheets, "UNPACKED_BYTES_MAX", 1_000)
    parts = {f"x{n}": "a" * 400 for n in range(3)}
    assert refusal(workbook("<sheetData/>", **parts)).details["reason"] == "zip_unpacked"


def test_a_workbook_with_more_rows_than_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit holds for rows with something in them, wherever the header stands above them."""
    monkeypatch.setattr(sheets, "ROWS_MAX", 3)
    assert len(sheets.read(csv_bytes([["a title"], ["描述"], *[["x"]] * 3])).rows) == 3
    assert refusal(csv_bytes([["描述"], *[["x"]] * 4])).details["limit"] == 3
    assert refusal(xlsx_bytes([["描述"], *[["x"]] * 4])).details["limit"] == 3
    # Nor is what stands far below read at all.
    far = b"h\n" + b"1\n" * 100 + b"x" * (sheets.CELL_CHARS_MAX + 1)
    assert refusal(far).details["reason"] == "rows"


def test_a_picture_in_an_archive_is_no_sheet() -> None:
    """Any zip would be handed to the library otherwise."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("word/document.xml", "<document/>")
    assert refusal(out.getvalue()).details["reason"] == "not_a_sheet"


def test_headers_of_one_name_and_of_none_are_told_apart() -> None:
    """Columns that overwrite each other lose data silently."""
    found = sheets.read(b"name,name,,empty\n1,2,3,\n")
    assert found.headers == ["name", "name (2)", "#3", "empty"]


def test_a_mapped_header_is_found_as_it_is_copied_from_the_sheet() -> None:
    """Headers in two lines, or of a whole sentence, are common; a template that names one would find nothing."""
    given = ["电话\n(必填)", "说明" * 90]
    read = sheets.read(xlsx_bytes([["a", "b", "c"], given, ["1", "x"]]), known=given)
    columns = tuple(Column(header=one, field=f) for one, f in zip(given, ("serial", "product"), strict=True))
    plan = mapping.plan(mapping.checked(Config(columns=columns, guess=False)), read.headers)
    assert plan.fields == {"serial": (0,), "product": (1,)}


@pytest.mark.parametrize(
    ("header", "field"),
    (
        ("联系电话", "contact_phone"),
        ("Phone Number", "contact_phone"),
        ("contactPhone", "contact_phone"),
        ("S/N", "serial"),
        ("设备序列号(必填)", "serial"),
        ("Created (UTC)", "created_at"),
        ("ticket-id", "reference"),
        ("Shoe size", None),
        # It counts the rows of a sheet: next week's row 1 is another order.
        ("序号", None),
    ),
)
def test_headers_tell_what_they_are(header: str, field: str | None) -> None:
    """A sheet that is understood as it is needs no setting up."""
    assert headers.guess(header) == field


# ------------------------------------------------------------------------------------------------ cells


@pytest.mark.parametrize(
    "text",
    ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "=1", "＋1", "－1", "＠x", "﹦1", "\t=1", "\r=1", "\n=1", " =1", "\u3000=1", "−1+2",
     "=HYPERLINK(\"http://x\",\"y\")", "=cmd|'/c calc'!A1", "|x", "%x", "\ufeff=1"),
)  # fmt: skip
def test_what_a_program_may_take_for_a_formula_is_guarded(text: str) -> None:
    """A customer who writes `=HYPERLINK(…)` as a description would have the dispatcher's Excel run it."""
    assert guarded(text).startswith("'")
    assert not is_risky(guarded(text))


@pytest.mark.parametrize("text", ("12", "-12", "-1.5", "1,5", "WO-1", "a=b", "", "2026-11-01", "漏水"))
def test_numbers_and_words_stay_as_they_are(text: str) -> None:
    """An apostrophe before each number turns a column of sums into text."""
    assert guarded(text) == text


@given(st.text(max_size=30))
@example("''=1")
def test_what_was_exported_and_imported_again_is_what_it_was(text: str) -> None:
    """Mending a list of failed rows must not change the cells that nobody touched."""
    assert unguarded(guarded(text)) == text


# ------------------------------------------------------------------------------------------------ rows


def row(table: list[list[str]], **config: Any) -> convert.Row:
    made = mapping.checked(Config(**config))
    plan = mapping.plan(made, table[0])
    return convert.converted(made, plan, 2, table[1], "row-1", zone=SHANGHAI, locale="zh")


@pytest.mark.parametrize(
    "text",
    ("2026-11-01 09:30", "2026/11/1 9:30", "2026年11月1日 09:30", "2026-11-01T01:30:00Z", "2026-11-01T09:30:00+08:00",
     "46327.3958333"),
)  # fmt: skip
def test_local_times_are_the_organisations(text: str) -> None:
    """Times read as UTC would make every order of the week eight hours late, or early."""
    found = row([["描述", "创建时间"], ["x", text]])
    assert found.request is not None
    assert found.request.created_at is not None
    assert found.request.created_at.isoformat() == "2026-11-01T01:30:00+00:00"


@pytest.mark.parametrize(
    ("options", "day"), (({}, 46327.3958333), ({"date_1904": True}, 44865.3958333)), ids=("1900", "1904")
)
def test_days_left_as_numbers_are_counted_from_the_workbooks_own_zero(
    options: dict[str, Any], day: float
) -> None:
    """Read from 1900, a workbook of an old Excel for Mac would call everybody out four years ago."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, **options}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["描述", "创建时间", "报修时间"])
        sheet.write_row(1, 0, ["x", day])
        sheet.write_datetime(
            1, 2, datetime(2026, 11, 1, 9, 30), book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        )
    read = sheets.read(out.getvalue())
    config = Config()
    plan = mapping.plan(config, read.headers, read.encoding)
    found = convert.converted(config, plan, *read.rows[0], "row-1", zone=SHANGHAI, locale="zh").request
    assert found is not None
    assert found.created_at is not None
    assert found.created_at.isoformat() == "2026-11-01T01:30:00+00:00"
    assert found.reported_at == found.created_at


@pytest.mark.parametrize("header", ("工单号", "CRM", "联系电话", "序列号", "客户编号"))
@pytest.mark.parametrize("text", ("2.02611E+14", "1E+05", 20261101000012345, 2026110100001234))
def test_digits_that_a_program_dropped_are_not_made_up(header: str, text: object) -> None:
    """All order numbers of a day become 2.02611E+14: the first row would be an order, and the others "there already"."""
    read = sheets.read(xlsx_bytes([["描述", header], ["x", text]]))
    found = row([read.headers, read.rows[0][1]], columns=(Column(header="CRM", field="reference.crm"),))
    assert found.request is None
    assert [(fault.column, fault.reason) for fault in found.faults] == [(header, "digits_lost")]


@pytest.mark.parametrize("text", (202611010000123, "1E5", "E+05", "12E-3"))
def test_digits_that_are_all_there_are_taken(text: object) -> None:
    """Fifteen digits are what a workbook keeps, and letters among digits are no exponent."""
    read = sheets.read(xlsx_bytes([["描述", "工单号"], ["x", text]]))
    found = row([read.headers, read.rows[0][1]])
    assert found.request is not None
    assert found.request.references == (("import", str(text)),)


@pytest.mark.parametrize(
    "text", ("03/04/2026", "yesterday", "2026-13-01", "9999-01-01", "0001-01-01", "1e400")
)
def test_a_time_that_could_be_another_is_refused(text: str) -> None:
    """03/04 is in March or in April: a guess is wrong for half of the world."""
    found = row([["描述", "创建时间"], ["x", text]])
    assert found.request is None
    assert [(fault.column, fault.field) for fault in found.faults] == [("创建时间", "created_at")]


def test_all_faults_of_a_row_are_named_with_their_columns() -> None:
    """A row that is mended and refused again for the next cell is mended ten times."""
    found = row([["描述", "纬度", "创建时间", "预计时长"], ["x\ufffd", "north", "soon", "1.5"]])
    assert {fault.column for fault in found.faults} == {"描述", "纬度", "创建时间", "预计时长"}
    assert all(fault.en and fault.zh for fault in found.faults)


def test_words_constants_and_further_references() -> None:
    """What the sheet does not say, the template does."""
    found = row(
        [
            ["描述", "紧急程度", "CRM", "技能", "电池", "lat", "lng"],
            ["x", "紧急", "C-1", "sewer:2、电气", "是", "0", "0.0"],
        ],
        columns=(
            Column(header="CRM", field="reference.crm"),
            Column(header="技能", field="skills", values={}),
            Column(header="电池", field="field.battery"),
        ),
        constants={"channel": "hotline", "priority": "P2"},
    )
    assert found.request is not None
    assert found.request.priority == "P0"
    assert found.request.channel == "hotline"
    assert found.request.references == (("import", "row-1"), ("crm", "C-1"))
    assert found.request.skills == {"sewer": 2, "电气": 1}
    assert found.request.fields == {"battery": True}
    assert (found.request.lat, found.request.lng) == (None, None), "0/0 means that nobody knew"


def test_a_level_of_thousands_of_digits_is_a_fault_of_its_row() -> None:
    """Python refuses to read such a number, in a way that would end the whole import for one cell."""
    found = row([["描述", "技能"], ["x", "sewer:" + "9" * 5_000]])
    assert [fault.column for fault in found.faults] == ["技能"]


@pytest.mark.parametrize("pattern", ("%Y %Y", "%Q", "100%", "%", "day"))
def test_a_format_that_fits_no_time_is_refused_with_its_template(pattern: str) -> None:
    """Saved, it would refuse each row of each sheet, or end the import at its first row."""
    with pytest.raises(FieldRefused) as refused:
        mapping.checked(Config(columns=(Column(header="A", field="created_at", formats=(pattern,)),)))
    assert refused.value.path == "config.columns.0.formats.0"


@pytest.mark.parametrize(
    "pattern", ("%d/%m/%Y %H:%M", "%Y年%m月%d日", "%I:%M %p %d %b %y", "%Y-%m-%dT%H:%M:%S%z")
)
def test_formats_of_times_are_taken(pattern: str) -> None:
    """What Python's own manual lists must not be refused."""
    assert mapping.checked(Config(columns=(Column(header="A", field="created_at", formats=(pattern,)),)))


def test_a_bad_template_is_told_everything_at_once() -> None:
    """A form that is refused field by field is filled in field by field."""
    with pytest.raises(FieldsRefused) as refused:
        mapping.checked(
            Config(
                columns=(
                    Column(header="A", field="serial"),
                    Column(header="A", field="nothing"),
                    Column(header="B", field="created_at", formats=("no sign",)),
                ),
                constants={"zzz": "1"},
            ),
        )
    assert {fault.path for fault in refused.value.faults} == {
        "config.columns.1.header",
        "config.columns.1.field",
        "config.columns.2.formats.0",
        "config.constants.zzz",
    }


def test_a_sheet_of_which_nothing_is_known_is_refused() -> None:
    """Twenty thousand rows that each fail for the same reason are one refusal."""
    with pytest.raises(SheetRefused) as refused:
        mapping.plan(Config(guess=False), ["描述"])
    assert refused.value.details["reason"] == "no_header"


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    """Whatever is sent is a sheet or a refusal; anything else would be a fault of ours."""
    try:
        found = sheets.read(data)
    except SheetRefused:
        return
    assert found.rows


@given(st.lists(st.lists(st.text(max_size=20), min_size=3, max_size=3), min_size=1, max_size=5))
def test_no_cells_break_a_row(table: list[list[str]]) -> None:
    """Whatever stands in the cells becomes a request or faults."""
    config = Config(
        columns=tuple(
            Column(header=str(n), field=field) for n, field in enumerate(("created_at", "skills", "lat"))
        )
    )
    plan = mapping.plan(config, ["0", "1", "2"])
    for cells in table:
        found = convert.converted(config, plan, 1, cells, "row", zone=SHANGHAI, locale="en")
        assert (found.request is None) == bool(found.faults)
