"""The table that `callout conform` prints, and the same as JSON."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from callout_backend.conform.run import Result
from callout_backend.conform.texts_zh import SAYS
from callout_backend.texts import say

TEXTS: dict[str, dict[str, str]] = {
    "check": {"en": "Check", "zh": "检查项"},
    "must": {"en": "A server must", "zh": "服务器应当"},
    "verdict": {"en": "Verdict", "zh": "结论"},
    "pass": {"en": "pass", "zh": "通过"},
    "fail": {"en": "FAIL", "zh": "未通过"},
    "skip": {"en": "skipped", "zh": "跳过"},
    "expected": {"en": "expected: {0}", "zh": "期望:{0}"},
    "came": {"en": "came: {0}", "zh": "实际:{0}"},
    "needs_desk": {
        "en": "needs the login of a dispatcher (--email)",
        "zh": "需要调度员账号(--email)",
    },
    "needs_second_engineer": {"en": "needs a second engineer", "zh": "需要另一名工程师"},
    "needs_visit": {"en": "needs a visit on the device", "zh": "设备上需要有上门任务"},
    "too_many_rows": {"en": "the device holds too many rows", "zh": "设备上的数据行过多"},
    "page_too_small": {"en": "the device's page is too small to be packed", "zh": "页面过小,无需压缩"},
    "sum": {
        "en": "{0} passed, {1} failed, {2} skipped",
        "zh": "通过 {0} 项,未通过 {1} 项,跳过 {2} 项",
    },
    "no_check": {"en": "no check begins with {0}", "zh": "没有以 {0} 开头的检查项"},
    "no_engineer": {"en": "there is no such active engineer: {0}", "zh": "没有该在职工程师:{0}"},
    "no_login": {
        "en": "give --email (and --password), or --code",
        "zh": "请提供 --email(和 --password),或 --code",
    },
    "unreachable": {"en": "{0} cannot be reached: {1}", "zh": "无法连接 {0}:{1}"},
    "unwritable": {"en": "{0} cannot be written: {1}", "zh": "无法写入 {0}:{1}"},
    "refused": {"en": "the server refused the login: {0}", "zh": "服务器拒绝登录:{0}"},
}
_COLOURS = {"pass": "green", "fail": "bold red", "skip": "yellow"}


def text(key: str, *details: object) -> str:
    """A sentence in the terminal's language."""
    return TEXTS[key][say.locale()].format(*details)


def sentence(id_: str, says: str) -> str:
    """What a check asks for, in the terminal's language."""
    return SAYS[id_] if say.locale() == "zh" else says


def show(console: Console, results: Sequence[Result]) -> None:
    """One line a check; of one that failed also what was expected and what came."""
    table = Table(show_lines=False, expand=True)
    table.add_column(text("check"), no_wrap=True)
    table.add_column(text("must"), ratio=1)
    table.add_column(text("verdict"), no_wrap=True)
    for result in results:
        lines = [escape(sentence(result.id, result.says))]
        if result.verdict == "fail":
            lines.append(f"[red]{escape(text('expected', result.expected))}[/red]")
            lines.append(f"[red]{escape(text('came', result.came))}[/red]")
        elif result.why is not None:
            lines.append(f"[yellow]{escape(text(result.why))}[/yellow]")
        colour = _COLOURS[result.verdict]
        table.add_row(result.id, "\n".join(lines), f"[{colour}]{text(result.verdict)}[/{colour}]")
    console.print(table)
    counts = Counter(result.verdict for result in results)
    console.print(text("sum", counts["pass"], counts["fail"], counts["skip"]))


def write_json(path: Path, url: str, results: Sequence[Result]) -> None:
    """Everything, for a build to keep."""
    counts = Counter(result.verdict for result in results)
    told = {
        "url": url,
        "passed": counts["pass"],
        "failed": counts["fail"],
        "skipped": counts["skip"],
        "checks": results,
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
