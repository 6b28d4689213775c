"""Decisions that were made: made again from what was stored, by the same policy or another, and asked about one engineer.

A decision keeps what the pick was asked and about whom (`pick_record`). Of thousands of engineers only those who matter
are kept; about the others, and about decisions that keep nothing, the question is answered as things are now, and the
answer says so.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from callout_dispatch import pick_record, policies
from callout_dispatch.assign import HORIZON_HOURS
from callout_dispatch.by_hand import earliest_start
from callout_dispatch.decision_texts import label, sentence
from callout_dispatch.needs import load_order
from callout_dispatch.pick import pick
from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_terms import Need, PickResult, Ranked, Reason
from callout_dispatch.places.speeds import travel_model
from callout_dispatch.policy import OBJECTIVES, Policy
from callout_dispatch.roster import load_roster, window_from
from callout_dispatch.setup_texts import SetupRefused
from callout_dispatch.views import DecisionView
from callout_geo.travel import Travel
from callout_store.errors import NotFound
from callout_store.work import Work

log = structlog.get_logger(__name__)

SURE_RANK: Final = pick_record.CANDIDATES_MAX // 2
"""So many of the best are always kept: up to here a rank among those who were kept is the rank among all."""


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A decision made again. `same`: the answer is the one that was stored (None: nothing to compare with was stored).

    `result` is over `kept` of the `total` engineers there were; `names` by id, as they were.
    """

    decision: DecisionView
    same: bool | None
    result: PickResult
    names: Mapping[str, str]
    kept: int
    total: int


class Compared(msgspec.Struct, frozen=True):
    """An objective of two engineers, 0 to 1 each (None: no slot). `points` of the score are what the difference costs:
    below 0 it speaks for the other."""

    component: str
    label: str
    weight: float
    mine: float | None
    chosen: float | None
    points: float | None


class WhyNot(msgspec.Struct, frozen=True, kw_only=True):
    """Why somebody was not chosen. Who could go has a `rank` (from 1), a score and `ranked`; who could not has `reasons`.

    `rank_at_best`: others who were not kept may stand before. `recomputed`: as things are now, not as they were.
    """

    decision: DecisionView
    engineer_id: UUID
    name: str
    chosen_id: UUID | None
    chosen_name: str
    as_of: datetime
    recomputed: bool
    policy_version: str
    rank: int | None
    rank_at_best: bool
    ranked_count: int
    ranked: Ranked | None
    chosen: Ranked | None
    components: tuple[Compared, ...]
    reasons: tuple[Reason, ...]
    sentence: str


async def decision(work: Work, decision_id: UUID) -> DecisionView | None:
    """One decision for the record, or None."""
    row = await _row(work, "id = $1", decision_id)
    return None if row is None else _view(row)


async def replay(work: Work, decision_id: UUID, policy_version: int | None = None) -> Replay:
    """Make a stored decision again: by the policy that it went by, or by another version of the organisation's.

    Raises NotFound (decision, policy) and BadField where the decision kept nothing to make it again from.
    """
    row = await _row(work, "id = $1", decision_id)
    if row is None:
        raise NotFound(entity="decision", path="id")
    recorded = _recorded(row)
    if recorded is None:
        raise SetupRefused("id", "nothing_kept")
    (need, roster, policy, travel), kept = recorded
    if policy_version is not None and policy_version != policy.version:
        policy = await policies.version(work, policy_version)
        roster = Roster(roster.candidates, travel, policy.travel_minutes_unknown)
    result = pick(need, roster, policy, travel)
    return Replay(
        decision=_view(row),
        same=_same(msgspec.json.decode(row["result"]), result, roster),
        result=result,
        names=_names(roster),
        kept=kept.candidates,
        total=kept.total,
    )


async def why_not(
    work: Work, engineer_id: UUID, *, decision_id: UUID | None = None, order_id: UUID | None = None
) -> WhyNot:
    """Why this engineer was not chosen, by a decision or by the last one on an order; in the actor's language.

    Raises NotFound (decision, engineer) and BadField where neither decision nor order is named.
    """
    if decision_id is None and order_id is None:
        raise SetupRefused("decisionId", "which_decision")
    row = (
        await _row(work, "id = $1", decision_id)
        if decision_id is not None
        else await _row(work, "order_id = $1 order by id desc limit 1", order_id)
    )
    if row is None:
        raise NotFound(entity="decision", path="orderId" if decision_id is None else "decisionId")
    name = await work.fetchval(
        "select name from engineer where org_id = callout_org() and id = $1", engineer_id
    )
    if name is None:
        raise NotFound(entity="engineer", path="engineerId")
    recorded = _recorded(row)
    if recorded is not None:
        (need, roster, policy, travel), kept = recorded
        if str(engineer_id) in roster.ids:
            result = pick(need, roster, policy, travel)
            partly = kept.candidates < kept.total
            return _answer(work, row, engineer_id, _names(roster), need, policy, result, partly=partly)
    return await _now(work, row, engineer_id, name)


async def _now(work: Work, row: Any, engineer_id: UUID, name: str) -> WhyNot:
    """The answer as things are now. A visit that the order has does not stand in its own way."""
    policy = await policies.active(work)
    travel = await travel_model(work)
    order = await load_order(work, row["order_id"])
    window = await window_from(work, work.now, HORIZON_HOURS)
    need = order.need(earliest_start(work), until=window.end)
    visit_id = await work.fetchval(
        """
        select id from visit where org_id = callout_org() and order_id = $1 and ended_at is null
        order by number desc limit 1
        """,
        order.id,
    )
    roster = await load_roster(
        work, window, parts=need.parts, without_visit=visit_id, travel=travel, policy=policy
    )
    names = {str(engineer_id): name, **_names(roster)}
    result = pick(need, roster, policy, travel)
    return _answer(work, row, engineer_id, names, need, policy, result, recomputed=True)


def _answer(
    work: Work,
    row: Any,
    engineer_id: UUID,
    names: Mapping[str, str],
    need: Need,
    policy: Policy,
    result: PickResult,
    *,
    recomputed: bool = False,
    partly: bool = False,
) -> WhyNot:
    locale, mine = work.actor.locale, str(engineer_id)
    chosen_id = None if row["engineer_id"] is None else str(row["engineer_id"])
    rank, ranked = _place(result, mine)
    _, chosen = _place(result, chosen_id) if chosen_id is not None else (None, None)
    reasons = () if ranked is not None else next((one.reasons for one in result.out if one.id == mine), ())
    compared = _compare(need, policy, ranked, chosen, locale)
    at_best = partly and rank is not None and rank > SURE_RANK
    values: dict[str, Any] = {
        "name": names[mine],
        "rank": rank,
        "count": len(result.ranked),
        "score": _points(ranked.score) if ranked else "",
        "chosen": names.get(chosen_id or "", ""),
        "chosen_score": _points(chosen.score) if chosen else "",
    }
    if ranked is None:
        key = "out" if reasons else "retired"
    elif mine == chosen_id:
        key = "chosen"
    elif chosen is None:
        key = "ranked"
    else:
        worst = min(compared, key=lambda one: one.points or 0.0)
        values |= {"what": worst.label, "points": _points(worst.points or 0.0)}
        key = "ranked"
        if ranked.score != chosen.score:
            key = "behind" if ranked.score < chosen.score else "ahead"
    return WhyNot(
        decision=_view(row),
        engineer_id=engineer_id,
        name=names[mine],
        chosen_id=row["engineer_id"],
        chosen_name=values["chosen"],
        as_of=work.now if recomputed else row["at"],
        recomputed=recomputed,
        policy_version=result.policy_version,
        rank=rank,
        rank_at_best=at_best,
        ranked_count=len(result.ranked),
        ranked=ranked,
        chosen=chosen,
        components=compared,
        reasons=tuple(reasons),
        sentence=sentence(key, locale, now=recomputed, reasons=reasons, **values),
    )


def _recorded(row: Any) -> tuple[tuple[Need, Roster, Policy, Travel], pick_record.Kept] | None:
    """What a decision kept; None where it kept nothing, or what this version of the house cannot read any more."""
    if row["input"] is None:
        return None
    try:
        return pick_record.decode(row["input"]), pick_record.kept(row["input"])
    except pick_record.BadRecord:
        log.warning("decision_unreadable", decision_id=str(row["id"]))
        return None


def _compare(
    need: Need, policy: Policy, ranked: Ranked | None, chosen: Ranked | None, locale: str
) -> tuple[Compared, ...]:
    """Both engineers' components with what the difference is worth of the 100 points of a score."""
    if ranked is None:
        return ()
    weights = policy.weights(need.priority)
    found = []
    for objective, weight in zip(OBJECTIVES, weights, strict=True):
        share = weight / sum(weights)
        mine = ranked.components.get(objective.value)
        other = chosen.components.get(objective.value) if chosen is not None else None
        points = None if mine is None or other is None else round(100.0 * share * (mine - other), 6)
        found.append(
            Compared(objective.value, label(objective.value, locale), round(share, 6), mine, other, points)
        )
    return tuple(found)


def _place(result: PickResult, id_: str) -> tuple[int | None, Ranked | None]:
    """An engineer's rank, from 1, and slot; (None, None) for who cannot go."""
    return next(((n, one) for n, one in enumerate(result.ranked, start=1) if one.id == id_), (None, None))


def _same(stored: Mapping[str, Any], result: PickResult, roster: Roster) -> bool | None:
    """Whether those who were stored as able, and are among the kept, come out in the same order with the same slots."""
    # Where somebody else was quicker, the choice fell among the few who were looked at again.
    stored = stored.get("finalists") or stored
    before = stored.get("ranked")
    if not isinstance(before, list):
        return None
    ids = set(roster.ids)
    kept = [_key(one) for one in before if one.get("id") in ids]
    wanted = {key[0] for key in kept}
    again = [_key(one) for one in _plain(result) if one["id"] in wanted]
    return stored.get("best") == result.best and again == kept


def _plain(result: PickResult) -> list[dict[str, Any]]:
    """Those who can, as the JSON that is stored."""
    found: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(list(result.ranked)))
    return found


def _key(one: Mapping[str, Any]) -> tuple[Any, ...]:
    return (one.get("id"), one.get("score"), one.get("slot_start"), one.get("travel_minutes"))


def _names(roster: Roster) -> dict[str, str]:
    return {candidate.id: candidate.name for candidate in roster.candidates}


def _points(value: float) -> str:
    return f"{value:.1f}"


_COLUMNS: Final = """
id, order_id, visit_id, at, method, policy_version, engineer_id, actor_id, reason, result::text as result, input
"""


async def _row(work: Work, condition: str, value: object) -> Any:
    return await work.fetchrow(
        f"select {_COLUMNS} from dispatch_decision where org_id = callout_org() and {condition}", value
    )


def _view(row: Any) -> DecisionView:
    values = {name: row[name] for name in DecisionView.__struct_fields__}
    return DecisionView(**{**values, "result": msgspec.json.decode(row["result"])})
