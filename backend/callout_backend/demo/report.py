"""What the demo tells: bars while it runs, a table at the end, the same figures as JSON."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from callout_backend.demo.compare import Commands
from callout_backend.demo.copies import Copies
from callout_backend.demo.crew import EngineerDay
from callout_backend.demo.morning import Morning
from callout_backend.demo.office import Office
from callout_backend.demo.sf311 import Sheet
from callout_backend.demo.world import CITY_ZONE
from callout_backend.texts import say
from callout_store.clock import FastClock

FAULTS = ("lost", "doubled", "mismatched")

TEXTS: dict[str, dict[str, str]] = {
    "rejected": {
        "en": "{rejected} of {rows} rows cannot be orders; each with row, field and reason in {file}",
        "zh": "{rows} 行中有 {rejected} 行无法成为工单,逐行原因见 {file}",
    },
    "import": {"en": "Orders", "zh": "导入工单"},
    "day": {"en": "Day in the field", "zh": "外勤的一天"},
    "title": {"en": "The day of {day}, {slug}", "zh": "{day} 的一天,{slug}"},
    "orders": {"en": "Orders imported", "zh": "已导入工单"},
    "rows_rejected": {"en": "Rows rejected", "zh": "被拒绝的行"},
    "engineers": {"en": "Engineers with phones", "zh": "携带手机的工程师"},
    "planned": {"en": "Dispatched in the morning", "zh": "早上派出的任务"},
    "unassigned": {"en": "Found no engineer", "zh": "未找到工程师"},
    "plan": {"en": "Plan of the day", "zh": "当日排程方案"},
    "plan_line": {
        "en": "{planner}: travel {travel_before_min} to {travel_after_min} min, promises late or at risk {at_risk_before} "
        "to {at_risk_after}, moved {moved}, added {new}, unassigned {unassigned}",
        "zh": "{planner}:在途时间 {travel_before_min} → {travel_after_min} 分钟,超时或有超时风险的承诺 "
        "{at_risk_before} → {at_risk_after},调整 {moved} 项,新增 {new} 项,未安排 {unassigned} 项",
    },
    "plan_none": {"en": "none ({state}); the draft was sent out", "zh": "无({state}),已按草案派出"},
    "positions": {"en": "Positions of phones", "zh": "手机上报位置"},
    "speeds": {"en": "Speeds learned", "zh": "学得的车速"},
    "speeds_line": {
        "en": "from {ways} ways: {slowest_km_per_hour} to {fastest_km_per_hour} km/h by the hour, where "
        "{assumed_km_per_hour} was assumed",
        "zh": "依据 {ways} 段路程:各时段 {slowest_km_per_hour} 至 {fastest_km_per_hour} 公里/小时(原假定 "
        "{assumed_km_per_hour})",
    },
    "visits": {"en": "Visits", "zh": "上门任务"},
    "events": {"en": "On-site events", "zh": "现场事件"},
    "geofence": {"en": "Geofence", "zh": "地理围栏"},
    "office": {"en": "Office", "zh": "调度室"},
    "refused": {"en": "Refused by rule", "zh": "被规则拒绝"},
    "desk": {"en": "Service desk", "zh": "客服工作台"},
    "desk_refused": {"en": "Refused requests", "zh": "被拒绝的请求"},
    "conflicts": {"en": "Conflicts kept", "zh": "保留的冲突"},
    "quarantined": {"en": "Quarantined", "zh": "隔离的操作"},
    "rejected_ids": {"en": "Ids used twice, refused", "zh": "编号重复被拒"},
    "sign_offs": {"en": "Sign-offs", "zh": "签收"},
    "sla_missed": {"en": "Promises missed", "zh": "超时承诺"},
    "network": {"en": "Network faults", "zh": "网络故障"},
    "answers": {"en": "Commands answered", "zh": "已答复的操作"},
    "storm": {"en": "Evening storm", "zh": "傍晚集中同步"},
    "clocks": {"en": "Clocks", "zh": "时钟"},
    "off": {
        "en": "phones off by up to {worst}, corrected to {corrected_off_median_s} s (median, "
        "{corrected_off_max_s} s at most) of the fast day; {uncertain} marked uncertain",
        "zh": "手机时钟误差最大 {worst},校正后中位数 {corrected_off_median_s} 秒"
        "(最大 {corrected_off_max_s} 秒,按加速时间);{uncertain} 条标记为不确定",
    },
    "rates": {
        "en": "{commands_per_s} commands/s, {documents_per_s} documents/s ({commands} and {documents} in {seconds} s)",
        "zh": "每秒 {commands_per_s} 个操作、{documents_per_s} 个文档({seconds} 秒内共 {commands} 和 {documents})",
    },
    "copies": {"en": "Documents on phones, equal", "zh": "手机上一致的文档"},
    "lost": {"en": "Lost", "zh": "丢失"},
    "doubled": {"en": "Doubled", "zh": "重复"},
    "mismatched": {"en": "Documents that differ", "zh": "不一致的文档"},
    "seconds": {"en": "Seconds", "zh": "用时(秒)"},
}


def text(key: str, **details: object) -> str:
    """A text in the terminal's language."""
    return TEXTS[key][say.locale()].format(**details)


def collect(
    *,
    organisation: dict[str, str],
    sheet: Sheet,
    imported: int,
    planned: Morning,
    days: list[EngineerDay],
    office: Office,
    copies: Copies,
    commands: Commands,
    tallies: dict[str, Any],
    clocks: dict[str, float],
    learned: dict[str, Any],
    desk: dict[str, int],
    desk_refused: dict[str, int],
    track_orders: list[str],
    storm: dict[str, Any],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """All figures as plain JSON."""
    network: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    positions: Counter[str] = Counter()
    for day in days:
        network.update(day.network.counts)
        answers.update(day.answers)
        positions.update(day.trail.counts)
    twice = office.counts["signed twice, taken twice"]
    return {
        "organisation": organisation,
        "file": {"rows": sheet.rows, "usable": len(sheet.usable), "rejected": sheet.reasons()},
        "orders_imported": imported,
        "engineers": len(days),
        "planned": {
            "considered": planned.considered,
            "assigned": len(planned.visits),
            "unassigned": planned.unassigned,
        },
        "plan": planned.plan,
        "positions": {name: n for name, n in positions.items() if n},
        "learned": learned,
        "desk": {what: n for what, n in desk.items() if n},
        "desk_refused": desk_refused,
        "track_orders": track_orders,
        **tallies,
        "office": dict(office.counts),
        "office_refused": dict(office.refused),
        "network": dict(network),
        "answers": dict(answers),
        "rejected_ids": sum(len(day.phone.store.rejected()) for day in days),
        "clocks": clocks,
        "storm": storm,
        "copies": msgspec.to_builtins(copies),
        "commands": msgspec.to_builtins(commands),
        "lost": commands.lost + commands.awaited,
        "doubled": commands.doubled + commands.from_nowhere + commands.stock_wrong + twice,
        "mismatched": copies.mismatched,
        "seconds": {**seconds, "total": round(sum(seconds.values()), 2)},
    }


def write_json(path: Path, told: dict[str, Any]) -> None:
    """The figures as a file."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")


def clean(told: dict[str, Any]) -> bool:
    """Whether nothing was lost, doubled or different."""
    return not any(told[fault] for fault in FAULTS)


def show_rejected(console: Console, sheet: Sheet, file: Path) -> None:
    """How many rows cannot be orders, and why."""
    console.print(text("rejected", rejected=len(sheet.rejected), rows=sheet.rows, file=file), soft_wrap=True)
    for reason, count in sheet.reasons().items():
        console.print(f"  {count:>6}  {reason}")


def show(console: Console, told: dict[str, Any]) -> None:
    """The table at the end."""
    table = Table(
        title=text("title", day=told["organisation"]["day"], slug=told["organisation"]["slug"]),
        show_header=False,
    )
    table.add_column(style="bold")
    table.add_column(overflow="fold")

    def counts(name: str, values: dict[str, int]) -> None:
        table.add_row(
            text(name), f"{sum(values.values())}   " + ", ".join(f"{k} {n}" for k, n in values.items())
        )

    table.add_row(text("orders"), str(told["orders_imported"]))
    counts("rows_rejected", told["file"]["rejected"])
    table.add_row(text("engineers"), str(told["engineers"]))
    table.add_row(text("planned"), str(told["planned"]["assigned"]))
    table.add_row(text("unassigned"), str(told["planned"]["unassigned"]))
    plan = told["plan"]
    table.add_row(text("plan"), text("plan_line" if "planner" in plan else "plan_none", **plan))
    for name in ("visits", "events", "geofence", "positions"):
        counts(name, told[name])
    table.add_row(text("speeds"), text("speeds_line", **told["learned"]))
    table.add_row(text("office"), ", ".join(f"{what} {n}" for what, n in told["office"].items() if n))
    counts("refused", told["office_refused"])
    table.add_row(text("desk"), ", ".join(f"{what} {n}" for what, n in told["desk"].items()))
    counts("desk_refused", told["desk_refused"])
    for name in ("sign_offs", "conflicts", "quarantined"):
        counts(name, told[name])
    table.add_row(text("rejected_ids"), str(told["rejected_ids"]))
    counts("sla_missed", told["sla_missed"])
    counts("network", told["network"])
    counts("answers", told["answers"])
    worst = timedelta(seconds=round(told["clocks"]["phone_off_max_s"]))
    table.add_row(text("clocks"), text("off", **told["clocks"], worst=worst))
    table.add_row(text("storm"), text("rates", **told["storm"]))
    table.add_row(text("copies"), str(told["copies"]["documents"]))
    for fault in FAULTS:
        table.add_row(text(fault), str(told[fault]), style="red" if told[fault] else "green")
    table.add_row(text("seconds"), ", ".join(f"{part} {s}" for part, s in told["seconds"].items()))
    console.print(table)
    for sample in (*told["copies"]["samples"], *told["commands"]["samples"]):
        console.print(sample, style="red", soft_wrap=True)


@contextlib.contextmanager
def import_bar(console: Console, total: int) -> Iterator[Callable[[int], None]]:
    """A bar of orders; call the result with how many more are in."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(text("import"), total=total)
        yield lambda count: bar.advance(task, count)


@contextlib.contextmanager
def day_bar(console: Console, clock: FastClock, starts: datetime, ends: datetime) -> Iterator[None]:
    """A bar of the fast day with its own time of day; runs beside what the block awaits."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[at]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        minutes = (ends - starts).total_seconds() / 60
        task = bar.add_task(text("day"), total=minutes, at="")

        async def follow() -> None:
            while True:
                now = clock.now()
                at = now.astimezone(CITY_ZONE)
                bar.update(task, completed=(now - starts).total_seconds() / 60, at=f"{at:%H:%M}")
                await asyncio.sleep(0.2)

        following = asyncio.get_running_loop().create_task(follow())
        try:
            yield
        finally:
            following.cancel()
            bar.update(task, completed=minutes)
