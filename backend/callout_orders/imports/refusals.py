"""Why a sheet cannot be read at all, in both languages. What is wrong with single rows is no refusal: see `rows`."""

from typing import Any, Final

from callout_store.errors import Refusal

_REASONS: Final[dict[str, tuple[str, str]]] = {
    "empty": ("it is empty", "文件为空"),
    "no_rows": ("it has headers and no rows", "只有表头,没有数据行"),
    "bytes": ("it has {given} bytes, and {limit} are the limit: split it", "文件有 {given} 字节,上限为 {limit},请拆分"),
    "not_a_sheet": ("it is neither CSV nor xlsx; save it as one of them", "既不是 CSV 也不是 xlsx,请另存为其中一种"),
    "old_format": ("it is an old .xls or a workbook with a password; save it as xlsx without one",
                   "是旧版 .xls 或带密码的工作簿,请另存为不带密码的 xlsx"),
    "encoding": ("its text is neither UTF-8 nor GB18030; save it as UTF-8",
                 "文字编码既不是 UTF-8 也不是 GB18030,请另存为 UTF-8"),
    "zip_members": ("its archive holds {given} files, and {limit} are the limit", "压缩包内有 {given} 个文件,上限为 {limit}"),
    "zip_unpacked": ("it unpacks to {given} bytes or more, and {limit} are the limit",
                     "解压后达到 {given} 字节,上限为 {limit}"),
    "zip_broken": ("its archive is broken, or says other sizes than it has; save it anew",
                   "压缩包损坏或标明的大小不符,请重新保存"),
    "rows": ("it reaches to row {given}, and {limit} rows are the limit: split it",
             "数据到第 {given} 行,上限为 {limit} 行,请拆分"),
    "columns": ("it reaches to column {given}, and {limit} columns are the limit", "数据到第 {given} 列,上限为 {limit} 列"),
    "cell": ("the cell in row {row}, column {column} has more than {limit} characters",
             "第 {row} 行第 {column} 列的单元格超过 {limit} 个字符"),
    "quote": ("the quotation mark that opens a cell in row {row} is not closed: close it, or write two for one that belongs "
              "to the text", "第 {row} 行中单元格的起始引号没有闭合:请补上结束引号;文字中的引号须写两个"),
    "no_sheet": ("it has no sheet named {given}; it has: {options}", "没有名为 {given} 的工作表,现有:{options}"),
    "no_header": ("no column of it is known: none of its headers is mapped, and none tells what it is",
                  "没有可识别的列:表头既未映射,也无法判断含义"),
    "memory": ("reading it takes more than {limit} MB of memory or {seconds} s: split it",
               "读取需要超过 {limit} MB 内存或 {seconds} 秒,请拆分"),
}  # fmt: skip


class UnreadableSheet(Refusal):
    """A file of which nothing was taken in."""

    code, status = "SHEET_REFUSED", 422
    en = "The sheet cannot be read: {why}."
    zh = "无法读取表格:{why}。"


class SheetRefused(UnreadableSheet):
    """`UnreadableSheet` with its reason in the reader's language. `reason` is stable."""

    def __init__(self, reason: str, **details: Any) -> None:
        english, self._chinese = (text.format_map(details) for text in _REASONS[reason])
        super().__init__(path="file", why=english, reason=reason, **details)

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        return self.zh.format(why=self._chinese) if locale.startswith("zh") else super().message(locale)
