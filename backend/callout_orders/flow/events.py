"""Events that a step may wait for, by the names that configuration uses, and what the journal writes for them. Pure.

The journal is what everything else reads as well: an event that a step waits for is a line of it, so that nothing that
happened can be forgotten, and a late phone's line counts as soon as it is there. Lines of a phone carry the corrected time
of what was done; the others the server's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec


class Source(msgspec.Struct, frozen=True):
    """Which kinds of line mean the event. `planning`: it was decided by the office about a visit, and holds for as long as
    that visit is alive; everything else belongs to the moment at which it happened."""

    kinds: frozenset[str]
    planning: bool = False
    each_line: bool = False
    """Every line counts by itself; otherwise it is once for a visit (or, without a visit, for each line)."""
    standing: bool = False
    """It says how things stand, and counts only while they stand so: parts that were there may be missing again."""


def _of(*kinds: str, planning: bool = False, each_line: bool = False, standing: bool = False) -> Source:
    return Source(frozenset(kinds), planning, each_line, standing)


COMPLETED: Final = "visit.completed"
FAILED: Final = "visit.could_not_complete"

EVENTS: Final[Mapping[str, Source]] = {
    # Whoever plans or tells a visit has looked at the order; so has an engineer who answers.
    "responded": _of(
        "work_order.responded",
        "work_order.solved_by_answer",
        "visit.scheduled",
        "visit.dispatched",
        "visit.accepted",
        "visit.arrived",
    ),
    "answers_offered": _of("work_order.answers_offered"),
    # Somebody is sent: that settles it as well.
    "answer_settled": _of(
        "work_order.solved_by_answer",
        "work_order.answer_did_not_help",
        "work_order.no_answer_found",
        "visit.scheduled",
        "visit.dispatched",
    ),
    "resumed": _of("work_order.resumed"),
    "scheduled": _of("visit.scheduled", "visit.dispatched", planning=True),
    "dispatched": _of("visit.dispatched", planning=True),
    "accepted": _of("visit.accepted"),
    "travelling": _of("visit.travelling"),
    "arrived": _of("visit.arrived"),
    "diagnosed": _of("visit.diagnosed"),
    "visit_completed": _of(COMPLETED),
    "visit_failed": _of(FAILED),
    "visit_ended": _of(COMPLETED, FAILED),
    "left": _of("visit.left"),
    "signed": _of("visit.customer_signed"),
    "part_replaced": _of("visit.part_replaced", each_line=True),
    "photo_taken": _of("visit.photo", each_line=True),
    "form_filled": _of("visit.form_filled", each_line=True),
    "note_written": _of("visit.note", each_line=True),
    "parts_requested": _of("parts.requested", standing=True),
    "parts_ordered": _of("parts.ordered", "parts.received", "parts.canceled", standing=True),
    "parts_received": _of("parts.received"),
    # Nobody waits for parts that are not wanted any more.
    "parts_ready": _of("parts.ready", "parts.canceled", standing=True),
    # Nobody waits for ever for a customer who says nothing: that the time is up ends the waiting as well.
    "survey_over": _of("work_order.survey_answered", "work_order.survey_expired"),
    "survey_answered": _of("work_order.survey_answered"),
    "closed": _of("work_order.closed"),
}
"""What a step's `events` may name."""

LABELS: Final[Mapping[str, tuple[str, str]]] = {
    "responded": ("the first answer to the customer", "首次响应客户"),
    "answers_offered": ("answers were offered", "已提供自助答案"),
    "answer_settled": ("whether an answer helped", "自助答案是否解决"),
    "resumed": ("the order goes on", "工单恢复处理"),
    "scheduled": ("a visit is planned", "已安排上门"),
    "dispatched": ("an engineer was told", "已派工"),
    "accepted": ("the engineer accepted", "工程师已接单"),
    "travelling": ("the engineer set out", "工程师已出发"),
    "arrived": ("the engineer arrived", "工程师已到达"),
    "diagnosed": ("the diagnosis on site", "现场诊断"),
    "visit_completed": ("the visit was completed", "上门任务已完成"),
    "visit_failed": ("the visit could not be completed", "上门任务未能完成"),
    "visit_ended": ("the end of the visit", "上门任务已结束"),
    "left": ("the engineer left", "工程师已离开"),
    "signed": ("the customer signed", "客户已签字"),
    "part_replaced": ("a part was replaced", "已更换备件"),
    "photo_taken": ("a photo was taken", "已拍照"),
    "form_filled": ("a form was filled in", "已填写表单"),
    "note_written": ("a note was written", "已写备注"),
    "parts_requested": ("parts were requested", "已申请备件"),
    "parts_ordered": ("parts were ordered", "已采购备件"),
    "parts_received": ("parts came in", "备件已入库"),
    "parts_ready": ("all parts are there", "备件已齐"),
    "survey_over": ("the customer's answer to the survey, or the end of its time", "客户已评价或评价已过期"),
    "survey_answered": ("the customer answered the survey", "客户已评价"),
    "closed": ("the order was closed", "工单已关闭"),
}
"""The names for a person, English and Chinese."""

KINDS: Final[frozenset[str]] = frozenset().union(*(source.kinds for source in EVENTS.values()))
"""Every kind of line that some event is made of."""
CANCELED: Final = "visit.canceled"
READ: Final = tuple(sorted(KINDS | {CANCELED}))
"""What is read of an order's journal to know what happened."""
CLOSED: Final = "closed"
"""The event that closing is."""
CALLED_OFF: Final = "work_order.canceled"
"""The line after which the flow is over, whatever it waits for."""
DOUBLED: Final = "work_order.duplicate_linked"
"""The line after which another order's flow is this one's."""
SOLVED: Final = "work_order.solved_by_answer"
"""The line after which nobody has to come any more, whatever it waits for."""

VALUES: Final = "values"
"""Waited for where a rule looks at the order's values, or a field is missing."""
OUTCOME: Final = "outcome"
"""Always waited for once a visit has ended: its engineer may correct how."""
VISITS: Final = "visits"
"""Waited for where a visit that is still open keeps a step from its end."""
_VALUES: Final = frozenset(
    {
        "work_order.fields_set",
        "work_order.priority_changed",
        "work_order.tier_changed",
        "work_order.tagged",
        "work_order.held",
        "work_order.resumed",
        "work_order.state_changed",
        "parts.requested",
        "parts.ready",
        "parts.canceled",
        "visit.completed",
        "visit.could_not_complete",
    }
)
_NAMES: Final[Mapping[str, frozenset[str]]] = {
    kind: frozenset(
        {name for name, source in EVENTS.items() if kind in source.kinds}
        | ({VALUES} if kind in _VALUES else set())
        | ({OUTCOME} if kind in (COMPLETED, FAILED) else set())
        | ({VISITS} if kind in ("work_order.state_changed", CANCELED) else set())
    )
    for kind in KINDS | _VALUES | {CANCELED}
}


def named(kind: str) -> frozenset[str]:
    """What a flow may wait for that a line of this kind may bring."""
    return _NAMES.get(kind, frozenset())


class Line(msgspec.Struct, frozen=True):
    """A line of the journal as far as flows read it."""

    kind: str
    at: datetime
    id: str
    visit_id: UUID | None = None
    flags: tuple[str, ...] = ()


class Event(msgspec.Struct, frozen=True):
    """Something that happened. `key` is what it counts once for; `until` is the end of its visit, where that has one."""

    name: str
    at: datetime
    key: str
    planning: bool = False
    until: datetime | None = None


def happened(lines: Iterable[Line]) -> tuple[Event, ...]:
    """What the lines say, in no order that depends on theirs.

    What was done on a visit that was called off, or that was somebody else's by then, moves no flow, as it moves no order.
    Of a visit's outcomes the last one holds.
    """
    given = [line for line in lines if not any(flag.startswith("after_") for flag in line.flags)]
    gone = {line.visit_id for line in given if line.kind == CANCELED}
    outcome: dict[Any, tuple[datetime, str, str]] = {}
    for line in given:
        if line.kind in (COMPLETED, FAILED):
            outcome[line.visit_id] = max(
                outcome.get(line.visit_id, (line.at, line.id, line.kind)), (line.at, line.id, line.kind)
            )
    found: list[Event] = []
    for line in given:
        if line.kind not in KINDS or (line.visit_id is not None and line.visit_id in gone):
            continue
        last = outcome.get(line.visit_id) if line.visit_id is not None else None
        if line.kind in (COMPLETED, FAILED) and last is not None and last[2] != line.kind:
            continue
        for name in named(line.kind) & EVENTS.keys():
            source = EVENTS[name]
            key = line.id if source.each_line or line.visit_id is None else str(line.visit_id)
            found.append(Event(name, line.at, key, source.planning, last[0] if last is not None else None))
    return tuple(sorted(found, key=lambda event: (event.at, event.name, event.key)))


def label(name: str, locale: str) -> str:
    """An event's name for a person; the name itself where there is no such event."""
    texts = LABELS.get(name)
    return name if texts is None else texts[1 if locale.startswith("zh") else 0]
