"""Plans in words, English and Chinese: states, stages, changes, why an order is left, why a change is not taken."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from callout_dispatch.pick_terms import Reason, ReasonCode
from callout_dispatch.plans.changes import Kind
from callout_store.errors import LimitExceeded, PlanInfeasible, PlanStale, Refusal, WrongState

Text = Mapping[str, str]

STATES: Final[dict[str, Text]] = {
    "queued": {"en": "waits to be planned", "zh": "等待排程"},
    "running": {"en": "being planned", "zh": "正在排程"},
    "proposed": {"en": "proposed", "zh": "已提出方案"},
    "accepted": {"en": "accepted", "zh": "已采纳"},
    "partly_accepted": {"en": "accepted in part", "zh": "已部分采纳"},
    "rejected": {"en": "rejected", "zh": "已拒绝"},
    "stale": {"en": "out of date", "zh": "已过期"},
    "canceled": {"en": "canceled", "zh": "已取消"},
    "failed": {"en": "failed", "zh": "失败"},
    "done": {"en": "reckoned", "zh": "已完成计算"},
}
STAGES: Final[dict[str, Text]] = {
    "queued": {"en": "Waits for a worker", "zh": "等待处理"},
    "loading": {"en": "Reads visits, orders and shifts", "zh": "读取任务、工单和班次"},
    "ways": {"en": "Reckons the ways", "zh": "计算路程"},
    "solving": {"en": "Looks for a plan", "zh": "正在求解"},
    # The planners' own words for what they are at.
    "reading": {"en": "Reads the plan that stands", "zh": "读取现有安排"},
    "standing": {"en": "Keeps what stands", "zh": "保留现有安排"},
    "insert": {"en": "Finds a place for each order", "zh": "正在逐单插入"},
    "improve": {"en": "Makes the plan better", "zh": "正在优化方案"},
    "improving": {"en": "Makes the plan better", "zh": "正在优化方案"},
    "writing": {"en": "Writes the plan down", "zh": "整理方案"},
    "check": {"en": "Checks the plan", "zh": "校验方案"},
    "checking": {"en": "Checks the plan", "zh": "校验方案"},
    "fallback": {
        "en": "The planner gave no usable plan; the simpler one is at work",
        "zh": "排程引擎未给出可用方案,改用备用排程引擎",
    },
    "proposed": {"en": "Proposed", "zh": "已提出方案"},
    "proposed_by_fallback": {
        "en": "Proposed by the simpler planner: the one that was asked for gave no usable plan",
        "zh": "由备用排程引擎提出:所选排程引擎未给出可用方案",
    },
    "empty": {
        "en": "There is nothing to plan: no order waits and no visit stands here at that time",
        "zh": "无可排程内容:该时段和服务区域内没有待排工单或已排任务",
    },
    "done": {"en": "Reckoned", "zh": "已完成计算"},
    "canceled": {"en": "Canceled", "zh": "已取消"},
    "failed": {"en": "Failed; the standing plan is as it was", "zh": "失败,现有安排未变"},
}
FAULTS: Final[dict[str, Text]] = {
    "limit": {
        "en": "{what}: at most {limit}, here {given}; ask for a shorter range or for one territory",
        "zh": "{what}:上限 {limit},实际 {given};请缩短时间范围或只选择一个服务区域",
    },
    "no_plan": {
        "en": "No planner found a plan that keeps to the rules",
        "zh": "没有排程引擎给出符合规则的方案",
    },
    "gave_up": {"en": "The workers that tried it all ended", "zh": "处理进程多次异常退出"},
    "broke": {"en": "Something broke on our side; it was recorded", "zh": "服务器内部错误,已记录"},
}

_REASONS: Final[dict[ReasonCode, Text]] = {
    ReasonCode.SKILL_MISSING: {"en": "lack a skill", "zh": "缺少技能"},
    ReasonCode.SKILL_LEVEL_LOW: {"en": "have a skill at too low a level", "zh": "技能等级不足"},
    ReasonCode.OTHER_TERRITORY: {"en": "work in another territory", "zh": "属于其他服务区域"},
    ReasonCode.OTHER_REQUIRED: {"en": "are not the one who is required", "zh": "不是指定的工程师"},
    ReasonCode.EXCLUDED: {"en": "are not wanted there", "zh": "已被排除"},
    ReasonCode.OFFLINE: {"en": "are not online", "zh": "不在线"},
    ReasonCode.PART_NOT_ON_VAN: {"en": "lack a part", "zh": "缺少备件"},
    ReasonCode.NO_SHIFT: {"en": "have no shift when it may be done", "zh": "可上门时段内没有班次"},
    ReasonCode.ABSENT: {"en": "are absent", "zh": "请假"},
    ReasonCode.TOO_FAR: {"en": "are too far away", "zh": "距离过远"},
    ReasonCode.TOO_LATE: {"en": "could only come too late", "zh": "只能超时到达"},
    ReasonCode.CAPACITY_HOURS: {"en": "have their hours full", "zh": "工时已满"},
    ReasonCode.CAPACITY_VISITS: {"en": "have their visits full", "zh": "任务数已满"},
    ReasonCode.BREAK_NEEDED: {"en": "need the time for a break", "zh": "需要休息"},
    ReasonCode.SHIFT_FULL: {"en": "have no room left", "zh": "没有空闲时段"},
    ReasonCode.CREW_INCOMPLETE: {"en": "find nobody to go along", "zh": "缺少协作人员"},
}
COUNTED: Final[dict[str, Text]] = {
    "tasks": {"en": "visits and orders in one plan", "zh": "一个方案中的任务与工单"},
    "lanes": {"en": "shifts in one plan", "zh": "一个方案中的班次"},
    "places": {"en": "places in one plan", "zh": "一个方案中的地点"},
}
_OF_ONE: Final = {
    "have": "has",
    "are": "is",
    "lack": "lacks",
    "work": "works",
    "need": "needs",
    "find": "finds",
}
_ALONE: Final[dict[ReasonCode, Text]] = {
    ReasonCode.OUTSIDE_VISITING_HOURS: {
        "en": "the site is not open long enough at that time",
        "zh": "该时段内现场开放时间不足",
    },
    ReasonCode.OUTSIDE_REQUESTED_WINDOW: {
        "en": "the customer asked for another time",
        "zh": "客户要求的是其他时间",
    },
    ReasonCode.PREDECESSOR: {"en": "another order must be planned first", "zh": "需先安排前置工单"},
    ReasonCode.NO_SHIFT: {"en": "nobody has a shift at that time", "zh": "该时段没有任何班次"},
}
_CHANGES: Final[dict[Kind, Text]] = {
    Kind.ASSIGN: {"en": "{order}: to {to}, {start}", "zh": "{order}:派给 {to},{start}"},
    Kind.REASSIGN: {
        "en": "{order}: from {was} ({was_start}) to {to}, {start}",
        "zh": "{order}:由 {was}({was_start})改派给 {to},{start}",
    },
    Kind.MOVE: {
        "en": "{order}: with {to}, from {was_start} to {start}",
        "zh": "{order}:仍由 {to} 负责,由 {was_start} 改到 {start}",
    },
    Kind.UNASSIGN: {
        "en": "{order}: taken from {was} ({was_start}), waits again{why}",
        "zh": "{order}:取消 {was} 的安排({was_start}),重新等待{why}",
    },
    Kind.KEEP: {"en": "{order}: stays with {to}, {start}", "zh": "{order}:不变,{to},{start}"},
    Kind.UNASSIGNED: {"en": "{order}: goes on waiting{why}", "zh": "{order}:继续等待{why}"},
}
_CREW: Final[Text] = {"en": " with {names}", "zh": "(协作:{names})"}
WHY_NOT: Final[dict[str, Text]] = {
    "visit_changed": {"en": "the visit was changed meanwhile", "zh": "任务已被他人修改"},
    "visit_over": {"en": "the visit is over or was called off", "zh": "任务已结束或取消"},
    "order_planned": {"en": "the order is no longer waiting", "zh": "工单已不再等待安排"},
    "time_passed": {"en": "its time has passed", "zh": "时间已过"},
    "settled": {"en": "it was decided on before", "zh": "此前已处理"},
    "infeasible": {"en": "it would break a rule by now: {why}", "zh": "现在会违反规则:{why}"},
}


def say(texts: Text, locale: str, **values: object) -> str:
    """A sentence in the reader's language; English where there is none in it."""
    return texts["zh" if locale.startswith("zh") else "en"].format_map(values)


def stage(code: str, locale: str) -> str:
    """What a run is doing; a planner's own word for it where we have none."""
    return say(STAGES[code], locale) if code in STAGES else code


def fault_sentence(fault: str | None, values: Mapping[str, Any] | None, locale: str) -> str | None:
    """Why a run failed."""
    if fault is None:
        return None
    known = {"what": "?", "limit": "?", "given": "?", **(values or {})}
    counted = {text["en"]: text for text in COUNTED.values()}.get(str(known["what"]))
    known["what"] = known["what"] if counted is None else say(counted, locale)
    return say(FAULTS.get(fault, FAULTS["broke"]), locale, **known)


def why_left(reasons: Sequence[Reason], locale: str) -> list[str]:
    """Half sentences that say why an order is left, the most frequent reason first."""
    said = []
    for reason in reasons:
        count = reason.detail.get("engineers")
        if not count or reason.code not in _REASONS:
            text = _ALONE.get(reason.code) or _REASONS.get(reason.code)
            said.append(say(text, locale) if text else reason.code.value)
        elif locale.startswith("zh"):
            said.append(f"{count} 名工程师{say(_REASONS[reason.code], locale)}")
        else:
            verb, _, rest = say(_REASONS[reason.code], locale).partition(" ")
            one = count == 1
            said.append(
                f"{count} engineer{'' if one else 's'} {_OF_ONE.get(verb, verb) if one else verb} {rest}"
            )
    return said


def change_sentence(
    kind: Kind,
    *,
    order: str,
    to: str | None,
    was: str | None,
    crew: Sequence[str],
    start: datetime | None,
    was_start: datetime | None,
    reasons: Sequence[Reason],
    zone: ZoneInfo,
    locale: str,
) -> str:
    """A change for a person, times in the organisation's own clock."""

    def clock(at: datetime | None) -> str:
        return "" if at is None else at.astimezone(zone).strftime("%Y-%m-%d %H:%M")

    left = why_left(reasons, locale)
    chinese = locale.startswith("zh")
    why = (":" if chinese else ": ") + ("," if chinese else ", ").join(left) if left else ""
    text = say(
        _CHANGES[kind],
        locale,
        order=order,
        to=to or "?",
        was=was or "?",
        start=clock(start),
        was_start=clock(was_start),
        why=why,
    )
    if crew and kind not in (Kind.UNASSIGN, Kind.UNASSIGNED):
        text += say(_CREW, locale, names=("、" if chinese else ", ").join(crew))
    return text


class _NotTaken(Refusal):
    """Changes of a proposal that cannot be taken as it is now; `why` is by number of the change: code, both languages."""

    def __init__(self, why: Mapping[int, tuple[str, Text]]) -> None:
        self.why = dict(sorted(why.items()))
        self._chinese = ";".join(f"{n}:{texts['zh']}" for n, (_, texts) in self.why.items())
        super().__init__(
            path="numbers",
            numbers=",".join(map(str, self.why)),
            codes=",".join(f"{n}:{code}" for n, (code, _) in self.why.items()),
            why="; ".join(f"{n}: {texts['en']}" for n, (_, texts) in self.why.items()),
        )

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        return self.zh.format(why=self._chinese) if locale.startswith("zh") else super().message(locale)


class StaleChanges(_NotTaken, PlanStale):
    """What some changes stand on has changed, or the whole proposal is out of date."""


class InfeasibleChanges(_NotTaken, PlanInfeasible):
    """What is left of the proposal would break hard rules."""


class PlanTooLarge(LimitExceeded):
    """More than a planner could ever finish; `what` is counted."""

    en = "{what}: at most {limit}, here {given}. Ask for a shorter range or for one territory."
    zh = "{what}:上限 {limit},实际 {given}。请缩短时间范围或只选择一个服务区域。"

    def __init__(self, what: str, *, limit: int, given: int) -> None:
        super().__init__(path="end", what=COUNTED[what]["en"], limit=limit, given=given)
        self._chinese = COUNTED[what]["zh"]

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        if locale.startswith("zh"):
            return self.zh.format_map({**self.details, "what": self._chinese})
        return super().message(locale)


class PlanInState(WrongState):
    """A run that is in another state than needed; `needed` names the states, separated by commas."""

    def __init__(self, state: str, needed: Sequence[str]) -> None:
        self._chinese = {
            "entity": "排程方案",
            "state": say(STATES[state], "zh"),
            "needed": "、".join(f"“{say(STATES[one], 'zh')}”" for one in needed),
        }
        super().__init__(entity="plan", state=state, needed=" or ".join(needed))

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        return self.zh.format_map(self._chinese) if locale.startswith("zh") else super().message(locale)
