"""Types of decisions that are made again or asked about."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import strawberry

from callout_dispatch import decisions
from callout_dispatch.pick_texts import explain
from callout_graphql.context import Context
from callout_graphql.types.dispatch import (
    DispatchDecision,
    PickCandidate,
    PickExclusion,
    PickReason,
    pick_result,
)


@strawberry.type
class ReplayedDecision:
    """A decision made again from what was stored of it, over `kept` of the `total` engineers there were.

    `same`: the answer is the one that was stored; null where nothing to compare with was. `policyVersion` is what it was
    made again by; the rest is as in a proposal.
    """

    decision: DispatchDecision
    same: bool | None
    kept: int
    total: int
    policy_version: str
    best: UUID | None
    ranked_count: int
    out_count: int
    ranked: list[PickCandidate]
    out: list[PickExclusion]


@strawberry.type
class ComparedComponent:
    """An objective of two engineers, 0 to 1 each; `weight` is its share of the score. `points` of 100 are what the
    difference is worth: below 0 they speak for the one who was chosen."""

    component: str
    label: str
    weight: float
    mine: float | None
    chosen: float | None
    points: float | None


@strawberry.type
class WhyNot:
    """Why somebody was not chosen. Who could go has a rank, a score and a slot; who could not has `reasons`.

    `recomputed`: as things are now, because nothing was kept of this engineer. `rankAtBest`: others who were not kept may
    stand before. `text` says it all in the caller's language.
    """

    decision_id: UUID
    order_id: UUID
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
    score: float | None
    chosen_score: float | None
    slot_start: datetime | None
    slot_end: datetime | None
    travel_minutes: float | None
    components: list[ComparedComponent]
    reasons: list[PickReason]
    notes: list[PickReason]
    text: str


def replayed(found: decisions.Replay, context: Context, first: int) -> ReplayedDecision:
    """A replay as a type, its reasons in the caller's language."""
    proposal = SimpleNamespace(
        order=SimpleNamespace(id=found.decision.order_id), result=found.result, names=found.names
    )
    pick = pick_result(proposal, context, first)
    return ReplayedDecision(
        decision=cast(DispatchDecision, found.decision),
        same=found.same,
        kept=found.kept,
        total=found.total,
        policy_version=pick.policy_version,
        best=pick.best,
        ranked_count=pick.ranked_count,
        out_count=pick.out_count,
        ranked=pick.ranked,
        out=pick.out,
    )


def answered(found: decisions.WhyNot, context: Context) -> WhyNot:
    """An answer as a type, its reasons in the caller's language."""

    def reasons(given: Any) -> list[PickReason]:
        return [PickReason(code=one.code.value, text=explain(one, context.locale)) for one in given]

    slot = found.ranked
    return WhyNot(
        decision_id=found.decision.id,
        order_id=found.decision.order_id,
        engineer_id=found.engineer_id,
        name=found.name,
        chosen_id=found.chosen_id,
        chosen_name=found.chosen_name,
        as_of=found.as_of,
        recomputed=found.recomputed,
        policy_version=found.policy_version,
        rank=found.rank,
        rank_at_best=found.rank_at_best,
        ranked_count=found.ranked_count,
        score=slot.score if slot else None,
        chosen_score=found.chosen.score if found.chosen else None,
        slot_start=slot.slot_start if slot else None,
        slot_end=slot.slot_end if slot else None,
        travel_minutes=slot.travel_minutes if slot else None,
        components=cast(list[ComparedComponent], list(found.components)),
        reasons=reasons(found.reasons),
        notes=reasons(slot.notes if slot else ()),
        text=found.sentence,
    )
