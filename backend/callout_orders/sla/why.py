"""Why a deadline is what it is, sentence by sentence, in English and Chinese. Pure.

Times are written in the local time of the milestone's calendar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from callout_orders.sla.clock import Event, EventKind, MilestoneName, Promise, Reopening, Stand
from callout_orders.sla.policy.terms import STATE_REASON, Rule, SlaPolicy

REASONS: Final = {
    "customer": ("waiting for the customer", "等待客户"),
    "parts": ("waiting for parts", "等待备件"),
    "access": ("waiting for access to the place", "等待进场"),
    "other": ("on hold", "已挂起"),
    STATE_REASON + "cannot_complete": ("waiting to be planned again", "等待重新安排"),
}
MILESTONES: Final = {
    MilestoneName.FIRST_RESPONSE: ("First response", "首次响应"),
    MilestoneName.ARRIVAL: ("Arrival", "到达现场"),
    MilestoneName.RESOLUTION: ("Resolution", "解决"),
}
_NAMED: Final = {
    "priorities": ("priority", "优先级"),
    "tiers": ("tier", "客户等级"),
    "kinds": ("kind", "工单类型"),
}
_CHANGES: Final = {"priority": ("The priority changed", "优先级变更"), "tier": ("The tier changed", "客户等级变更"),
                   "kind": ("The kind changed", "工单类型变更")}  # fmt: skip
_REOPENING: Final = {
    Reopening.CONTINUE: ("it goes on from what was used", "从已用时间继续计时"),
    Reopening.RESTART: ("it starts again with the whole time", "重新计时"),
    Reopening.UNBROKEN: ("it counts as if it had never been resolved", "视为从未解决,继续计时"),
}


_When = Callable[[datetime], str]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence. `code` says of what, `at` is when that happened, where it did at one moment."""

    code: str
    en: str
    zh: str
    at: datetime | None = None


def explain(
    of: SlaPolicy,
    rule: Rule,
    others: tuple[str, ...],
    promise: Promise,
    events: tuple[Event, ...],
    stands: Stand,
    missed_due_at: datetime | None,
) -> tuple[Line, ...]:
    """The sentences about one milestone, in the order in which things happened."""
    zone = ZoneInfo(promise.calendar.time_zone)

    def when(at: datetime) -> str:
        return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"

    return (
        _promised(of, rule, others, promise),
        Line(
            code="started",
            at=stands.started_at,
            en=f"It counts from {when(stands.started_at)} ({promise.calendar.time_zone}).",
            zh=f"自 {when(stands.started_at)}({promise.calendar.time_zone})起计时。",
        ),
        *(line for event in events if (line := _happened(event, promise, stands, when)) is not None),
        *_ended(stands, missed_due_at, when),
    )


def _promised(of: SlaPolicy, rule: Rule, others: tuple[str, ...], promise: Promise) -> Line:
    named = rule.named
    because = (
        (
            f"it names {_and([_NAMED[name][0] for name in named])}",
            f"该规则限定了{'、'.join(_NAMED[name][1] for name in named)}",
        )
        if named
        else ("it is for all orders", "该规则适用于所有工单")
    )
    also = (
        (
            f"; less specific or later: {', '.join(others)}",
            f";其他匹配但不够具体或靠后的规则:{', '.join(others)}",
        )
        if others
        else ("", "")
    )
    code = promise.calendar.code
    return Line(
        code="promised",
        en=f"Rule {rule.code} of policy version {of.version} ({of.name}) promises {promise.minutes} minutes of calendar "
        f"{code}: {because[0]}{also[0]}.",
        zh=f"策略第 {of.version} 版({of.name})的规则 {rule.code} 承诺日历 {code} 内 {promise.minutes} 分钟:"
        f"{because[1]}{also[1]}。",
    )


def _happened(event: Event, promise: Promise, stands: Stand, when: _When) -> Line | None:
    """What an event means for this milestone; None where it means nothing."""
    at, note = event.at, (f" ({event.note})" if event.note else "")
    texts: tuple[str, str] | None = None
    match event.kind:
        case EventKind.PAUSED if event.reason in promise.pausing:
            en, zh = REASONS[str(event.reason)]
            foreseen = (
                (f" until {when(event.until)}", f",至 {when(event.until)}") if event.until else ("", "")
            )
            texts = (
                f"{when(at)}: it stands still{foreseen[0]}, {en}{note}.",
                f"{when(at)}:暂停计时{foreseen[1]},{zh}{note}。",
            )
        case EventKind.RESUMED if event.reason in promise.pausing:
            en, zh = REASONS[str(event.reason)]
            texts = f"{when(at)}: no longer {en}.", f"{when(at)}:结束“{zh}”。"
        case EventKind.REOPENED if stands.met_at is None or at <= stands.met_at:
            anew = promise.reopening is Reopening.RESTART and promise.name is not MilestoneName.RESOLUTION
            en, zh = _REOPENING[Reopening.CONTINUE if anew else promise.reopening]
            texts = f"{when(at)}: the order was opened again; {en}.", f"{when(at)}:工单重新打开,{zh}。"
        case EventKind.CHANGED:
            en, zh = _CHANGES.get(str(event.data.get("why")), ("The promise changed", "承诺变更"))
            rules = f"{event.data.get('from')} → {event.data.get('to')}"
            texts = (
                f"{when(at)}: {en.lower()} ({rules}); counted anew from creation, with all pauses.",
                f"{when(at)}:{zh}({rules}),自创建起连同所有暂停重新计算。",
            )
        case EventKind.MOVED if event.milestone == promise.name and event.until is not None:
            texts = (
                f"{when(at)}: moved by {event.minutes} minutes until {when(event.until)}{note}.",
                f"{when(at)}:期限延后 {event.minutes} 分钟,有效至 {when(event.until)}{note}。",
            )
        case EventKind.MISSED if event.milestone == promise.name and at <= stands.started_at:
            # Of what was promised before the order was opened again; a breach that counts still is told at the end.
            texts = f"{when(at)}: recorded as missed.", f"{when(at)}:记录为超时。"
        case EventKind.RESTORED if event.milestone == promise.name:
            texts = f"{when(at)}: the original deadline stands again.", f"{when(at)}:恢复原期限。"
        case _:
            return None
    return Line(code=event.kind, at=at, en=texts[0], zh=texts[1])


def _ended(stands: Stand, missed_due_at: datetime | None, when: _When) -> Iterator[Line]:
    if stands.missed_at is not None:
        due = when(missed_due_at or stands.planning_due_at)
        yield Line(
            code="missed",
            at=stands.missed_at,
            en=f"{when(stands.missed_at)}: recorded as missed; it was due at {due}.",
            zh=f"{when(stands.missed_at)}:记录为超时,期限为 {due}。",
        )
    if stands.met_at is None:
        return
    met = when(stands.met_at)
    if stands.missed_at is not None and stands.in_time:
        yield Line(
            code="met_in_time_after_all",
            at=stands.met_at,
            en=f"It was told later that it was reached at {met}, in time. The recorded breach stays.",
            zh=f"后来得知已于 {met} 按时达成;已记录的超时仍保留。",
        )
    elif stands.in_time:
        yield Line(code="met", at=stands.met_at, en=f"{met}: reached in time.", zh=f"{met}:按时达成。")
    else:
        yield Line(code="met_late", at=stands.met_at, en=f"{met}: reached too late.", zh=f"{met}:超时达成。")


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
