"""What happens by itself when a step is entered or done, and the to-dos of whoever has to act. Set-based over many orders."""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from callout_orders.desk import todos
from callout_orders.desk.staff import people
from callout_orders.desk.todos import NewTodo
from callout_orders.flow import pauses
from callout_orders.flow.ending import archive, survey
from callout_orders.flow.parts import requisitions
from callout_orders.flow.rows import Asked, Running
from callout_orders.flow.state import Flow, Passed, StepState
from callout_orders.flow.texts import missing_texts
from callout_orders.kinds.terms import ActionName
from callout_store.journal import Entry, write_many
from callout_store.work import Work

STEP_TODO: Final = "flow.step"
APPROVAL_TODO: Final = "flow.approval"
BLOCKED_TODO: Final = "flow.blocked"
MISSING_TODO: Final = "flow.missing"
ENGINEER: Final = "engineer"
HANDLER: Final = "handler"
VISIT_WANTED: Final = "flow.visit_wanted"
"""The line at which dispatch offers a further visit."""


async def run(work: Work, flows: Sequence[tuple[Running, Flow]], asked: Sequence[Asked]) -> None:
    """Do what has become due. Steps have their ids by now."""
    due: dict[ActionName, list[tuple[Running, Passed, str]]] = {}
    for one, flow in flows:
        by_n = {step.n: step for step in flow.steps}
        for do in flow.actions:
            due.setdefault(do.action.do, []).append((one, by_n[do.n], do.action.value))
    await _end_todos(work, flows)
    if tagged := due.get(ActionName.TAG):
        await _tag(work, [(one, value) for one, _, value in tagged])
    if wanted := due.get(ActionName.REQUEST_PARTS):
        await requisitions.request_needed(work, [one.order_id for one, _, _ in wanted])
    await pauses.follow(work, flows)
    if offered := due.get(ActionName.OFFER_VISIT):
        await write_many(work, [_line(VISIT_WANTED, one, step=step.step) for one, step, _ in offered])
    if over := due.get(ActionName.CLOSE):
        await archive.close_by_flow(work, [one.order_id for one, _, _ in over])
    if surveyed := due.get(ActionName.ASK_SURVEY):
        await survey.ask(work, [(one.order_id, step.id) for one, step, _ in surveyed])
    if filed := due.get(ActionName.ARCHIVE):
        await archive.archive(work, [one.order_id for one, _, _ in filed])
    # A step that was passed at once asks nobody for anything.
    to_do = [(one, step) for one, step, _ in due.get(ActionName.TODO, ()) if step.state is StepState.OPEN]
    await _ask(work, flows, to_do, asked)


def _line(kind: str, one: Running, **data: Any) -> Entry:
    return Entry(kind=kind, entity="work_order", entity_id=one.order_id, order_id=one.order_id, data=data)


async def _tag(work: Work, tagged: Iterable[tuple[Running, str]]) -> None:
    new = {one.order_id: [] for one, _ in tagged}  # type: dict[UUID, list[str]]
    for one, tag in tagged:
        if tag and tag not in one.tags and tag not in new[one.order_id]:
            new[one.order_id].append(tag)
    given = {id_: tags for id_, tags in new.items() if tags}
    if not given:
        return
    rows = [(id_, tag) for id_, tags in given.items() for tag in tags]
    await work.execute(
        """
        update work_order o set tags = o.tags || t.tags, revision = o.revision + 1
        from (select id, array_agg(tag) as tags from unnest($1::uuid[], $2::text[]) as g(id, tag) group by id) t
        where o.org_id = callout_org() and o.id = t.id
        """,
        [id_ for id_, _ in rows],
        [tag for _, tag in rows],
    )
    work.touch("work_order", *given)
    await write_many(
        work,
        [
            Entry(
                kind="work_order.tagged",
                entity="work_order",
                entity_id=id_,
                order_id=id_,
                data={"added": tags, "removed": [], "by": "flow"},
            )
            for id_, tags in given.items()
        ],
    )


def matter_of_step(step_id: UUID) -> str:
    """What the to-do of a step's owner is about."""
    return f"flow.step:{step_id}"


def matter_of_approval(approval_id: UUID) -> str:
    """What the to-do of whoever may approve is about."""
    return f"flow.approval:{approval_id}"


def _matter_of_block(one: Running, step: Passed) -> str:
    place = step.blocked.place if step.blocked is not None else ""
    return f"flow.blocked:{one.order_id}:{step.n}:{place}"


async def _end_todos(work: Work, flows: Sequence[tuple[Running, Flow]]) -> None:
    """What a step asked of people is settled once the step is over, or goes on."""
    ended: dict[str, str] = {}
    for one, flow in flows:
        over: dict[str, str] = {}
        before = {step.n: step for step in one.stored}
        for step in flow.steps:
            was = before.get(step.n)
            if was is None or was.id is None:
                continue
            if was.live and not step.live:
                how = "done" if step.state is StepState.DONE else "canceled"
                matter = matter_of_step(was.id)
                over |= dict.fromkeys((matter, f"{matter}:late", f"{matter}:missing"), how)
            if was.blocked is not None and step.blocked != was.blocked:
                over[_matter_of_block(one, was)] = "done"
        for word in flow.superseded:
            if word.id is not None:
                over[matter_of_approval(word.id)] = "canceled"
        ended |= {matter: how for matter, how in over.items() if matter in one.todos}
    await todos.end_many(work, ended)


async def _ask(
    work: Work,
    flows: Sequence[tuple[Running, Flow]],
    steps: Sequence[tuple[Running, Passed]],
    asked: Sequence[Asked],
) -> None:
    """To-dos: of owners for steps, of approvers for approvals, of supervisors for what is blocked."""
    new: list[NewTodo] = []
    by_id = {one.order_id: one for one, _ in flows}
    pairs = [(_owner(one, step), one.order_id) for one, step in steps]
    pairs += [(one.ask.approval.by, one.order_id) for one in asked]
    found = await people.holders_of(work, pairs) if pairs else []
    for (one, step), users in zip(steps, found, strict=False):
        assert step.id is not None
        configured = one.kind.step(step.step)
        assert configured is not None
        label = {"en": configured.label.en, "zh": configured.label.zh}
        new += [
            NewTodo(
                user_id=user_id,
                kind=STEP_TODO,
                matter=matter_of_step(step.id),
                order_id=one.order_id,
                data={"number": one.number, "step": step.step, "label": label},
            )
            for user_id in users
        ]
    for approval, users in zip(asked, found[len(steps) :], strict=True):
        of = approval.ask.approval
        new += [
            NewTodo(
                user_id=user_id,
                kind=APPROVAL_TODO,
                matter=matter_of_approval(approval.id),
                order_id=approval.order_id,
                data={
                    "number": by_id[approval.order_id].number,
                    "approvalId": approval.id,
                    "label": {"en": of.label.en, "zh": of.label.zh},
                    "about": approval.ask.about,
                },
                urgent=True,
            )
            for user_id in users
        ]
    stopped = []
    for one, flow in flows:
        here = flow.current
        was = {step.n: step.blocked for step in one.stored}
        if here is not None and here.blocked is not None and was.get(here.n) != here.blocked:
            stopped.append((one, here))
    above = await people.supervisors_of(work, [one.order_id for one, _ in stopped]) if stopped else {}
    for one, step in stopped:
        assert step.blocked is not None
        new += [
            NewTodo(
                user_id=user_id,
                kind=BLOCKED_TODO,
                matter=_matter_of_block(one, step),
                order_id=one.order_id,
                data={
                    "number": one.number,
                    "step": step.step,
                    "place": step.blocked.place,
                    "why": step.blocked.why,
                },
                urgent=True,
            )
            for user_id in above.get(one.order_id, ())
        ]
    if new:
        await todos.ask(work, new)


async def tell_missing(work: Work, flows: Sequence[tuple[Running, Flow]]) -> None:
    """A visit has ended and its engineer's step has not: whoever handles the order is told what was left out."""
    left = [
        (one, flow, step)
        for one, flow in flows
        if (step := flow.current) is not None
        and step.state is StepState.OPEN
        and _owner(one, step) == ENGINEER
        and (flow.missing.fields or flow.missing.events)
    ]
    if not left:
        return
    found = await people.holders_of(work, [(HANDLER, one.order_id) for one, _, _ in left])
    new: list[NewTodo] = []
    for (one, flow, step), users in zip(left, found, strict=True):
        assert step.id is not None
        configured = one.kind.step(step.step)
        assert configured is not None
        said = {
            locale: "; ".join(missing_texts(one.kind, configured, flow.missing, locale))
            for locale in ("en", "zh")
        }
        data = {
            "number": one.number,
            "step": step.step,
            "label": {"en": configured.label.en, "zh": configured.label.zh},
            "missing": said,
            "fields": list(flow.missing.fields),
            "events": list(flow.missing.events),
        }
        new += [
            NewTodo(
                user_id=user_id,
                kind=MISSING_TODO,
                matter=f"{matter_of_step(step.id)}:missing",
                order_id=one.order_id,
                data=data,
            )
            for user_id in users
        ]
    await todos.ask(work, new)


def _owner(one: Running, step: Passed) -> str:
    configured = one.kind.step(step.step)
    assert configured is not None
    return configured.owner
