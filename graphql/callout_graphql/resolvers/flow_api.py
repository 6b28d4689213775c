"""Queries and mutations of running flows."""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

import strawberry

from callout_dispatch import depots, second_visit
from callout_dispatch import reading as visit_reading
from callout_graphql import sight as sights
from callout_graphql.connections import PAGE_DEFAULT, Connection, connection, cursor_id, page_size
from callout_graphql.edges import Info
from callout_graphql.inputs import PartNeed
from callout_graphql.resolvers.mutations_desk import there
from callout_graphql.scalars import JSON
from callout_graphql.types.desk import WorkOrder
from callout_graphql.types.dispatch import Visit
from callout_graphql.types.flow import Requisition, StepApproval, SurveyLink, VisitOffer
from callout_orders import checks
from callout_orders.flow import approvals, hand, reading
from callout_orders.flow.ending import reopening, survey
from callout_orders.flow.parts import requisitions
from callout_store.errors import NotFound
from callout_store.work import Work

APPROVALS = frozenset({"asked", "approved", "rejected", "superseded", "canceled"})
OFFERS = frozenset({"offered", "accepted", "declined", "withdrawn"})
REQUISITIONS = frozenset({*requisitions.OPEN, "received", "canceled"})


@strawberry.input
class DeliveredPart:
    """So many of a part came in, by its code."""

    code: str
    quantity: int


@strawberry.type
class FlowQueries:
    """What may be asked of running flows."""

    @strawberry.field
    async def approvals(
        self,
        info: Info,
        state: str | None = "asked",
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[StepApproval]:
        """Approvals of all orders, newest first; `state: null` for decided ones too."""
        if state is not None:
            checks.one_of("state", state, APPROVALS)
        async with info.context.work() as work:
            return connection(
                await reading.approvals_page(
                    work, state=state, after=cursor_id(after), limit=page_size(first)
                )
            )

    @strawberry.field
    async def requisitions(
        self,
        info: Info,
        states: list[str] | None = None,
        number: str | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[Requisition]:
        """Requisitions of all orders, newest first."""
        for i, state in enumerate(states or ()):
            checks.one_of(f"states.{i}", state, REQUISITIONS)
        asked = checks.optional_text("number", number, chars_max=40)
        async with info.context.work() as work:
            return connection(
                await reading.requisitions_page(
                    work, states=states or (), number=asked, after=cursor_id(after), limit=page_size(first)
                )
            )

    @strawberry.field
    async def visit_offers(
        self,
        info: Info,
        state: str | None = "offered",
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[VisitOffer]:
        """Further visits that wait for a dispatcher, newest first; `state: null` for decided ones too."""
        if state is not None:
            checks.one_of("state", state, OFFERS)
        async with info.context.work() as work:
            return connection(
                await second_visit.offers_page(
                    work, state=state, after=cursor_id(after), limit=page_size(first)
                )
            )


@strawberry.type
class FlowMutations:
    """What may be done to running flows."""

    @strawberry.mutation
    async def complete_step(
        self,
        info: Info,
        order_id: UUID,
        step: str | None = None,
        fields: JSON | None = None,
        comment: str = "",
    ) -> WorkOrder:
        """Say that the order's present step is done, filling in fields of the order with it. With `step` only if it is that
        one. For the step's owner or a supervisor; refused with everything that is missing."""
        values = _object("fields", fields)
        await _in_sight(info, order_id)
        await info.context.run(
            lambda work: hand.complete_step(work, order_id, step, values=values, comment=comment)
        )
        return await _order(info, order_id)

    @strawberry.mutation
    async def approve_step(self, info: Info, id: UUID, comment: str = "") -> StepApproval:
        """Agree to what was asked for."""
        await info.context.run(lambda work: approvals.approve(work, id, comment))
        return await _approval(info, id)

    @strawberry.mutation
    async def reject_step(self, info: Info, id: UUID, comment: str, to: str | None = None) -> StepApproval:
        """Refuse, with a reason. The order stays where it is until the value is another one, or is led back to `to`."""
        await info.context.run(lambda work: approvals.reject(work, id, comment, to=to))
        return await _approval(info, id)

    @strawberry.mutation
    async def lead_flow_back(self, info: Info, order_id: UUID, to: str, reason: str) -> WorkOrder:
        """Lead the order back to a step that may be entered once more (`flow.mayLeadTo`)."""
        await info.context.run(lambda work: hand.lead_back(work, order_id, to, reason))
        return await _order(info, order_id)

    @strawberry.mutation
    async def settle_flow(self, info: Info, order_id: UUID, decision: str, reason: str) -> WorkOrder:
        """Decide in place of a rule that cannot be evaluated: the next step, or `true` or `false` for a condition."""
        await info.context.run(lambda work: hand.settle_blocked(work, order_id, decision, reason))
        return await _order(info, order_id)

    @strawberry.mutation
    async def reopen_work_order(
        self, info: Info, id: UUID, reason: str, to: str | None = None, revision: int | None = None
    ) -> WorkOrder:
        """Open a completed or closed order again; it waits to be planned. `to`: the step that its flow is led back to."""
        await info.context.run(lambda work: reopening.reopen(work, id, reason, to=to, revision=revision))
        return await _order(info, id)

    @strawberry.mutation
    async def request_parts(
        self,
        info: Info,
        order_id: UUID,
        parts: list[PartNeed],
        note: str = "",
        visit_id: UUID | None = None,
    ) -> Requisition:
        """Ask for parts that an order needs and that somebody has to buy."""
        await _in_sight(info, order_id)
        needs = [(need.code, need.quantity) for need in parts]

        async def act(work: Work) -> UUID:
            if visit_id is not None:
                (visit,) = await visit_reading.visits_by_ids(work, [visit_id])
                if visit is None or visit.order_id != order_id:
                    raise NotFound(entity="visit", path="visitId")
            return await requisitions.request(work, order_id, needs, note=note, visit_id=visit_id)

        id_ = await info.context.run(act)
        return await _requisition(info, id_)

    @strawberry.mutation
    async def set_requisition_parts(
        self, info: Info, id: UUID, parts: list[PartNeed], revision: int | None = None
    ) -> Requisition:
        """Name the parts of a requisition that was not ordered yet, in place of what stood there."""
        needs = [(need.code, need.quantity) for need in parts]
        await info.context.run(lambda work: requisitions.set_lines(work, id, needs, revision))
        return await _requisition(info, id)

    @strawberry.mutation
    async def approve_requisition(self, info: Info, id: UUID, revision: int | None = None) -> Requisition:
        """Say that it may be bought."""
        await info.context.run(lambda work: requisitions.approve(work, id, revision))
        return await _requisition(info, id)

    @strawberry.mutation
    async def order_requisition(
        self,
        info: Info,
        id: UUID,
        supplier: str | None = None,
        supplier_ref: str | None = None,
        expected_at: datetime | None = None,
        revision: int | None = None,
    ) -> Requisition:
        """Say that it was ordered, of whom, under which number of theirs, and for when."""
        await info.context.run(
            lambda work: requisitions.order(
                work,
                id,
                supplier=supplier,
                supplier_ref=supplier_ref,
                expected_at=expected_at,
                revision=revision,
            )
        )
        return await _requisition(info, id)

    @strawberry.mutation
    async def receive_requisition(
        self,
        info: Info,
        id: UUID,
        holder_id: UUID,
        delivered: list[DeliveredPart] | None = None,
        delivery: str = "",
        revision: int | None = None,
    ) -> Requisition:
        """Take goods into the stock of a depot or a van (`holderId`). Without `delivered`: all that is still to come.
        `delivery`, the number of the delivery note, makes saying it twice harmless."""
        given = (
            None
            if delivered is None
            else [requisitions.Delivered(part=one.code, quantity=one.quantity) for one in delivered]
        )

        async def act(work: Work) -> int:
            await depots.require_holder(work, holder_id)
            return await requisitions.receive(
                work, id, holder_id, given, delivery=delivery, revision=revision
            )

        await info.context.run(act)
        return await _requisition(info, id)

    @strawberry.mutation
    async def cancel_requisition(
        self, info: Info, id: UUID, reason: str, revision: int | None = None
    ) -> Requisition:
        """Take a requisition back."""
        await info.context.run(lambda work: requisitions.cancel(work, id, reason, revision))
        return await _requisition(info, id)

    @strawberry.mutation
    async def offer_second_visit(self, info: Info, order_id: UUID) -> VisitOffer:
        """Offer a further visit with the engineer who was there before; the open offer where there is one."""
        id_ = await info.context.run(lambda work: second_visit.offer(work, order_id))
        return await _offer(info, id_)

    @strawberry.mutation
    async def accept_visit_offer(
        self,
        info: Info,
        id: UUID,
        engineer_id: UUID | None = None,
        start: datetime | None = None,
        override: bool = False,
        reason: str = "",
    ) -> Visit:
        """Give the order that visit: to the engineer who was there before or to another, at `start` or as soon as they can.
        As of `assignWorkOrder`, hard rules hold unless `override` with a `reason`."""
        id_ = await info.context.run(
            lambda work: second_visit.accept(
                work, id, engineer_id=engineer_id, start=start, override=override, reason=reason
            )
        )
        info.context.loaders.forget()
        return there(await info.context.loaders.visits.load(id_), "visit")

    @strawberry.mutation
    async def decline_visit_offer(self, info: Info, id: UUID, reason: str) -> VisitOffer:
        """Plan it otherwise, or not at all."""
        await info.context.run(lambda work: second_visit.decline(work, id, reason))
        return await _offer(info, id)

    @strawberry.mutation
    async def create_survey_link(self, info: Info, survey_id: UUID) -> SurveyLink:
        """An address at which the customer answers the survey. Those that were made before stay good."""
        token = await info.context.run(lambda work: survey.link(work, survey_id))
        return SurveyLink(survey_id=survey_id, url=f"{info.context.services.base_url}/q/{token}")


def _object(path: str, given: Any) -> dict[str, Any] | None:
    """A JSON object. Refused where it is something else."""
    if given is None:
        return None
    if not isinstance(given, dict):
        raise checks.FieldRefused(path, "not_object")
    return cast(dict[str, Any], given)


async def _in_sight(info: Info, order_id: UUID) -> None:
    """Refuse as NotFound what the caller may not see."""
    sight = await info.context.sight()
    async with info.context.work() as work:
        if order_id not in await sights.orders_in_sight(work, sight, [order_id]):
            raise NotFound(entity="work order", path="orderId")


async def _order(info: Info, order_id: UUID) -> WorkOrder:
    info.context.loaders.forget()
    return there(await info.context.loaders.orders.load(order_id), "work order")


async def _approval(info: Info, id_: UUID) -> StepApproval:
    info.context.loaders.forget()
    async with info.context.work() as work:
        return cast(StepApproval, (await reading.approvals_by_ids(work, [id_]))[0])


async def _requisition(info: Info, id_: UUID) -> Requisition:
    info.context.loaders.forget()
    async with info.context.work() as work:
        return cast(Requisition, (await reading.requisitions_by_ids(work, [id_]))[0])


async def _offer(info: Info, id_: UUID) -> VisitOffer:
    info.context.loaders.forget()
    async with info.context.work() as work:
        return cast(VisitOffer, await second_visit.offer_by_id(work, id_))
