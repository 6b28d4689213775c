"""What others may read of running flows, always many rows with one statement, in the order of the ids asked for."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.flow import rules
from callout_orders.flow.rows import load
from callout_orders.flow.texts import missing_texts
from callout_orders.kinds import versions
from callout_orders.kinds.terms import Kind
from callout_orders.rows import Page, page_size, paged
from callout_store.work import Work


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """A step that an order reached, with its name in both languages. See `flow.state.Passed`."""

    id: UUID
    order_id: UUID
    n: int
    step: str
    label_en: str
    label_zh: str
    owner: str
    times: int
    state: str
    reached_at: datetime
    entered_at: datetime | None
    done_at: datetime | None
    said_by: UUID | None
    comment: str | None
    due_at: datetime | None
    late_at: datetime | None
    blocked: dict[str, str] | None


class ApprovalView(msgspec.Struct, frozen=True, kw_only=True):
    """An approval that was asked for; `about` are the values it was asked for."""

    id: UUID
    order_id: UUID
    step: str
    code: str
    label_en: str
    label_zh: str
    owner: str
    about: dict[str, Any]
    state: str
    asked_at: datetime
    decided_at: datetime | None
    decided_by: UUID | None
    comment: str | None


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a requisition."""

    part_id: UUID
    quantity: int
    received: int


class RequisitionView(msgspec.Struct, frozen=True, kw_only=True):
    """Parts that are bought for an order."""

    id: UUID
    number: str
    order_id: UUID
    visit_id: UUID | None
    state: str
    note: str
    supplier: str | None
    supplier_ref: str | None
    expected_at: datetime | None
    created_at: datetime
    created_by: UUID | None
    approved_at: datetime | None
    approved_by: UUID | None
    ordered_at: datetime | None
    received_at: datetime | None
    canceled_at: datetime | None
    revision: int
    lines: tuple[LineView, ...]


class SurveyView(msgspec.Struct, frozen=True, kw_only=True):
    """A survey and its answer."""

    id: UUID
    order_id: UUID
    locale: str
    asked_at: datetime
    expires_at: datetime
    reminded_at: datetime | None
    expired_at: datetime | None
    answered_at: datetime | None
    score: int | None
    comment: str | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where an order's flow stands and what its step still needs, by code and in words (English, Chinese)."""

    order_id: UUID
    step: str
    label_en: str
    label_zh: str
    owner: str
    fields: tuple[str, ...]
    events: tuple[str, ...]
    approvals: tuple[str, ...]
    by_hand: bool
    missing_en: tuple[str, ...]
    missing_zh: tuple[str, ...]
    may_lead_to: tuple[str, ...]


async def steps_by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[list[StepView]]:
    """The steps that each order reached, the first one first."""
    ids = checks.ids("ids", list(order_ids))
    rows = await work.fetch(
        """
        select s.id, s.order_id, s.n, s.step, s.owner, s.times, s.state, s.reached_at, s.entered_at, s.done_at, s.said_by,
               s.comment, s.due_at, s.late_at, s.blocked::text as blocked, o.kind, o.kind_version
        from order_step s join work_order o on o.org_id = s.org_id and o.id = s.order_id
        where s.org_id = callout_org() and s.order_id = any($1) order by s.order_id, s.n
        """,
        ids,
    )
    kinds = await _kinds(work, rows)
    found: dict[UUID, list[StepView]] = {}
    for row in rows:
        en, zh = _step_label(kinds[row["kind"], row["kind_version"]], row["step"])
        values = {name: row[name] for name in row.keys() if name not in ("kind", "kind_version", "blocked")}  # noqa: SIM118
        blocked = msgspec.json.decode(row["blocked"]) if row["blocked"] else None
        view = StepView(**values, label_en=en, label_zh=zh, blocked=blocked)
        found.setdefault(row["order_id"], []).append(view)
    return [found.get(id_, []) for id_ in ids]


async def approvals_by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[list[ApprovalView]]:
    """What was asked for each order, the first one first."""
    ids = checks.ids("ids", list(order_ids))
    views = await _approvals(work, "p.order_id = any($1) order by p.id", ids)
    found: dict[UUID, list[ApprovalView]] = {}
    for view in views:
        found.setdefault(view.order_id, []).append(view)
    return [found.get(id_, []) for id_ in ids]


async def approvals_page(
    work: Work, *, state: str | None = "asked", after: UUID | None = None, limit: int = 50
) -> Page[ApprovalView]:
    """Approvals of all orders, newest first; `limit` 1..200."""
    size = page_size(limit)
    views = await _approvals(
        work,
        "($1::text is null or p.state = $1) and ($2::uuid is null or p.id < $2) order by p.id desc limit $3",
        state,
        after,
        size + 1,
    )
    return paged(views, size)


async def approvals_by_ids(work: Work, ids: Sequence[UUID]) -> list[ApprovalView | None]:
    """Approvals by id."""
    views = {view.id: view for view in await _approvals(work, "p.id = any($1)", list(ids))}
    return [views.get(id_) for id_ in ids]


async def _approvals(work: Work, condition: str, *values: Any) -> list[ApprovalView]:
    rows = await work.fetch(
        f"""
        select p.id, p.order_id, s.step, p.code, p.owner, p.about::text as about, p.state, p.asked_at, p.decided_at,
               p.decided_by, p.comment, o.kind, o.kind_version
        from step_approval p
        join order_step s on s.org_id = p.org_id and s.id = p.step_id
        join work_order o on o.org_id = p.org_id and o.id = p.order_id
        where p.org_id = callout_org() and {condition}
        """,
        *values,
    )
    kinds = await _kinds(work, rows)
    views = []
    for row in rows:
        kind = kinds[row["kind"], row["kind_version"]]
        named = next((a for step in kind.steps for a in step.approvals if a.code == row["code"]), None)
        en, zh = (row["code"], row["code"]) if named is None else (named.label.en, named.label.zh)
        given = {
            name: row[name]
            for name in row.keys()  # noqa: SIM118 - a Record iterates over its values
            if name not in ("kind", "kind_version", "about")
        }
        about = msgspec.json.decode(row["about"])
        views.append(ApprovalView(**given, label_en=en, label_zh=zh, about=about))
    return views


async def requisitions_by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[list[RequisitionView]]:
    """What is bought for each order, the first one first."""
    ids = checks.ids("ids", list(order_ids))
    found: dict[UUID, list[RequisitionView]] = {}
    for view in await _requisitions(work, "r.order_id = any($1) order by r.id", ids):
        found.setdefault(view.order_id, []).append(view)
    return [found.get(id_, []) for id_ in ids]


async def requisitions_by_ids(work: Work, ids: Sequence[UUID]) -> list[RequisitionView | None]:
    """Requisitions by id."""
    found = {view.id: view for view in await _requisitions(work, "r.id = any($1)", list(ids))}
    return [found.get(id_) for id_ in ids]


async def requisitions_page(
    work: Work,
    *,
    states: Sequence[str] = (),
    number: str | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> Page[RequisitionView]:
    """Requisitions of all orders, newest first; `limit` 1..200."""
    size = page_size(limit)
    views = await _requisitions(
        work,
        """
        ($1::text[] = '{}' or r.state = any($1)) and ($2::text is null or r.number = $2)
        and ($3::uuid is null or r.id < $3) order by r.id desc limit $4
        """,
        list(states),
        number,
        after,
        size + 1,
    )
    return paged(views, size)


async def _requisitions(work: Work, condition: str, *values: Any) -> list[RequisitionView]:
    rows = await work.fetch(
        f"""
        select r.id, r.number, r.order_id, r.visit_id, r.state, r.note, r.supplier, r.supplier_ref, r.expected_at,
               r.created_at, r.created_by, r.approved_at, r.approved_by, r.ordered_at, r.received_at, r.canceled_at,
               r.revision,
               (select coalesce(json_agg(json_build_object('part_id', l.part_id, 'quantity', l.quantity,
                    'received', l.received) order by p.code), '[]')::text
                from requisition_line l join part p on p.org_id = l.org_id and p.id = l.part_id
                where l.org_id = r.org_id and l.requisition_id = r.id) as lines
        from requisition r where r.org_id = callout_org() and {condition}
        """,
        *values,
    )
    return [
        RequisitionView(
            **{
                **dict(row),
                "lines": msgspec.json.decode(row["lines"], type=tuple[LineView, ...]),
            }
        )
        for row in rows
    ]


async def surveys_by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[list[SurveyView]]:
    """How customers found each order, the first time first."""
    ids = checks.ids("ids", list(order_ids))
    rows = await work.fetch(
        """
        select id, order_id, locale, asked_at, expires_at, reminded_at, expired_at, answered_at, score, comment
        from survey where org_id = callout_org() and order_id = any($1) order by id
        """,
        ids,
    )
    found: dict[UUID, list[SurveyView]] = {}
    for row in rows:
        found.setdefault(row["order_id"], []).append(SurveyView(**dict(row)))
    return [found.get(id_, []) for id_ in ids]


async def standing_by_order_ids(work: Work, order_ids: Sequence[UUID]) -> list[Standing | None]:
    """Where each order's flow stands; None where there is none, or where it is over."""
    ids = checks.ids("ids", list(order_ids))
    found: dict[UUID, Standing] = {}
    for one in await load(work, ids) if ids else ():
        here = next((step for step in reversed(one.steps) if step.live), None)
        step = one.kind.step(here.step) if here is not None else None
        if step is None:
            continue
        missing = rules.where(one.kind, one.steps, one.words, one.facts)
        found[one.order_id] = Standing(
            order_id=one.order_id,
            step=step.code,
            label_en=step.label.en,
            label_zh=step.label.zh,
            owner=step.owner,
            fields=missing.fields,
            events=missing.events,
            approvals=(*missing.asked, *missing.rejected),
            by_hand=missing.hand,
            missing_en=tuple(missing_texts(one.kind, step, missing, "en")),
            missing_zh=tuple(missing_texts(one.kind, step, missing, "zh")),
            may_lead_to=rules.may_lead_to(one.kind, one.steps),
        )
    return [found.get(id_) for id_ in ids]


async def owners_by_order_ids(work: Work, order_ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """Who has to act on each order now: whoever was asked to approve something, else the owner of the step that it is at.
    Orders without a flow, or at its end, are left out."""
    rows = await work.fetch(
        """
        select s.order_id, coalesce((
            select p.owner from step_approval p
            where p.org_id = s.org_id and p.order_id = s.order_id and p.state = 'asked' order by p.id limit 1
        ), s.owner) as owner
        from order_step s
        where s.org_id = callout_org() and s.order_id = any($1) and s.state in ('waiting', 'open')
        """,
        list(order_ids),
    )
    return {row["order_id"]: row["owner"] for row in rows}


async def _kinds(work: Work, rows: Sequence[Any]) -> dict[tuple[str, int], Kind]:
    return await versions.kinds_of(work, {(row["kind"], row["kind_version"]) for row in rows})


def _step_label(kind: Kind, code: str) -> tuple[str, str]:
    step = kind.step(code)
    return (code, code) if step is None else (step.label.en, step.label.zh)


async def owners_by_matters(work: Work, matters: Sequence[str]) -> dict[str, str]:
    """Who the matters of to-dos that a flow asked are for, as an owner of `kinds.terms.Step`; others are left out."""
    rows = await work.fetch(
        """
        select m.matter, case when m.matter like '%:missing' then 'handler' else coalesce(s.owner, a.owner) end as owner
        from unnest($1::text[]) as m(matter)
        left join order_step s on s.org_id = callout_org() and s.id = case when m.matter like 'flow.step:%'
            then split_part(m.matter, ':', 2)::uuid end
        left join step_approval a on a.org_id = callout_org() and a.id = case when m.matter like 'flow.approval:%'
            then split_part(m.matter, ':', 2)::uuid end
        where s.id is not null or a.id is not null
        """,
        list(matters),
    )
    return {row["matter"]: row["owner"] for row in rows}
