"""Loaders: whatever many rows of a level ask for is read with one statement, in a short transaction of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader

from callout_dispatch import reading as dispatch
from callout_dispatch import red_rows
from callout_dispatch.arrivals.reading import etas_by_visit_ids
from callout_dispatch.crew import crew_by_visit_ids
from callout_dispatch.places.territories import polygons_by_ids
from callout_dispatch.second_visit import offers_by_order_ids
from callout_graphql.context import Context
from callout_graphql.sight import visits_in_sight
from callout_graphql.types.arrivals import Eta
from callout_graphql.types.attachments import Attachment
from callout_graphql.types.channels import IntakeFile, IntakeMessage, Mailbox
from callout_graphql.types.content import Article, Form
from callout_graphql.types.desk import (
    Asset,
    Contact,
    Customer,
    ExternalReference,
    OrderPart,
    Part,
    Signature,
    Site,
    SkillLevel,
    StockLevel,
    WorkOrder,
)
from callout_graphql.types.dispatch import DispatchDecision, Engineer, OnSiteEvent, Visit
from callout_graphql.types.flow import (
    FlowStanding,
    OrderStep,
    Requisition,
    StepApproval,
    Survey,
    VisitOffer,
)
from callout_graphql.types.knowledge import AnswerOffer
from callout_graphql.types.red import RedLane, RedOffer
from callout_graphql.types.sla import Milestone, OrderHold
from callout_graphql.types.sync import DeviceCopy, DeviceProgress, Organisation
from callout_orders import reading as desk
from callout_orders.channels import files as intake_files
from callout_orders.channels.conversations.desk_drafts import messages_by_draft_ids
from callout_orders.channels.mailbox.mailboxes import mailboxes_by_channel_ids
from callout_orders.flow import reading as flows
from callout_orders.forms import forms_by_ids
from callout_orders.knowledge import offers
from callout_orders.knowledge.articles import articles_by_ids
from callout_orders.order_parts import parts_by_order_ids
from callout_orders.sla.reading import holds_by_order_ids, milestones_by_order_ids
from callout_people import organisations
from callout_store.work import Work
from callout_sync.attachments import attachments_by_visit_ids
from callout_sync.device_figures import copies_by_device_ids, progress_by_device_ids

V = TypeVar("V")
BATCH_MAX = 1000

Read = Callable[[Work, Sequence[UUID]], Awaitable[Sequence[Any]]]


class Loader(DataLoader[UUID, Any]):
    """A loader whose callers may be cancelled without harm to others.

    A field that fails cancels its siblings. The future of a row is shared by all who ask for the row: cancelled by one, it
    fails the others; and where all of a batch are cancelled before it starts, strawberry lets whoever asks next wait for a
    batch that never will. So none is handed out bare.
    """

    def load(self, key: UUID) -> Awaitable[Any]:
        """The row, or what belongs to it."""
        return asyncio.shield(super().load(key))

    def load_many(self, keys: Iterable[UUID]) -> Awaitable[list[Any]]:
        """The same for many, in their order."""
        return asyncio.shield(asyncio.gather(*map(super().load, keys)))


class Loaders:
    """The loaders of one request. Nested types are reached by ids that stand in rows the caller was shown; the lists
    that could lead further (an order's visits) are narrowed to the caller's sight here."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.orders: DataLoader[UUID, WorkOrder | None] = self._by(desk.orders_by_ids)
        self.customers: DataLoader[UUID, Customer | None] = self._by(desk.customers_by_ids)
        self.contacts: DataLoader[UUID, Contact | None] = self._by(desk.contacts_by_ids)
        self.sites: DataLoader[UUID, Site | None] = self._by(desk.sites_by_ids)
        self.assets: DataLoader[UUID, Asset | None] = self._by(desk.assets_by_ids)
        self.parts: DataLoader[UUID, Part | None] = self._by(desk.parts_by_ids)
        self.visits: DataLoader[UUID, Visit | None] = self._by(dispatch.visits_by_ids)
        self.engineers: DataLoader[UUID, Engineer | None] = self._by(dispatch.engineers_by_ids)
        self.eta_of_visit: DataLoader[UUID, Eta | None] = self._by(etas_by_visit_ids)
        self.contacts_of_customer: DataLoader[UUID, list[Contact]] = self._by(desk.contacts_by_customer_ids)
        self.assets_of_site: DataLoader[UUID, list[Asset]] = self._by(desk.assets_by_site_ids)
        self.stock_of_holder: DataLoader[UUID, list[StockLevel]] = self._by(desk.stock_by_holder_ids)
        self.references_of_order: DataLoader[UUID, list[ExternalReference]] = self._by(
            desk.external_references_by_order_ids
        )
        self.files_of_order: DataLoader[UUID, list[IntakeFile]] = self._by(intake_files.by_order_ids)
        self.files_of_draft: DataLoader[UUID, list[IntakeFile]] = self._by(intake_files.by_draft_ids)
        self.messages_of_draft: DataLoader[UUID, list[IntakeMessage]] = self._by(messages_by_draft_ids)
        self.mailbox_of_channel: DataLoader[UUID, Mailbox | None] = self._by(mailboxes_by_channel_ids)
        self.parts_of_order: DataLoader[UUID, list[OrderPart]] = self._by(parts_by_order_ids)
        self.polygon_of_territory: DataLoader[UUID, Any] = self._by(polygons_by_ids)
        self.articles: DataLoader[UUID, Article | None] = self._by(articles_by_ids)
        self.answers_of_order: DataLoader[UUID, list[AnswerOffer]] = self._by(offers.by_order_ids)
        self.forms: DataLoader[UUID, Form | None] = self._by(forms_by_ids)
        self.progress_of_device: DataLoader[UUID, DeviceProgress | None] = self._by(progress_by_device_ids)
        self.copy_of_device: DataLoader[UUID, DeviceCopy | None] = self._by(copies_by_device_ids)
        self.signatures_of_visit: DataLoader[UUID, list[Signature]] = self._by(desk.signatures_by_visit_ids)
        self.attachments_of_visit: DataLoader[UUID, list[Attachment]] = self._by(attachments_by_visit_ids)
        self.crew_of_visit: DataLoader[UUID, list[Engineer]] = self._by(crew_by_visit_ids)
        self.events_of_visit: DataLoader[UUID, list[OnSiteEvent]] = self._by(dispatch.events_by_visit_ids)
        self.skills_of_engineer: DataLoader[UUID, list[SkillLevel]] = self._by(
            dispatch.skills_by_engineer_ids
        )
        self.decisions_of_order: DataLoader[UUID, list[DispatchDecision]] = self._by(
            dispatch.decisions_by_order_ids
        )
        self.milestones_of_order: DataLoader[UUID, list[Milestone]] = self._by(milestones_by_order_ids)
        self.holds_of_order: DataLoader[UUID, list[OrderHold]] = self._by(holds_by_order_ids)
        self.red_lane_of_order: DataLoader[UUID, RedLane | None] = self._by(red_rows.lanes_by_order_ids)
        self.offers_of_lane: DataLoader[UUID, list[RedOffer]] = self._by(red_rows.offers_by_lane_ids)
        self.flow_of_order: DataLoader[UUID, FlowStanding | None] = self._by(flows.standing_by_order_ids)
        self.steps_of_order: DataLoader[UUID, list[OrderStep]] = self._by(flows.steps_by_order_ids)
        self.approvals_of_order: DataLoader[UUID, list[StepApproval]] = self._by(flows.approvals_by_order_ids)
        self.requisitions_of_order: DataLoader[UUID, list[Requisition]] = self._by(
            flows.requisitions_by_order_ids
        )
        self.surveys_of_order: DataLoader[UUID, list[Survey]] = self._by(flows.surveys_by_order_ids)
        self.visit_offers_of_order: DataLoader[UUID, list[VisitOffer]] = self._by(offers_by_order_ids)
        self.visits_of_order: DataLoader[UUID, list[Visit]] = Loader(
            load_fn=self._visits_of_orders, max_batch_size=BATCH_MAX
        )

    async def organisation(self) -> Organisation:
        """The caller's organisation."""
        async with self._context.work() as work:
            found: Any = await organisations.organisation(work)
        return found  # type: ignore[no-any-return]

    def forget(self) -> None:
        """Drop what was read: a mutation has changed it."""
        for loader in vars(self).values():
            if isinstance(loader, DataLoader):
                loader.clear_all()

    def _by(self, read: Read) -> DataLoader[UUID, Any]:
        async def load(ids: list[UUID]) -> list[Any]:
            async with self._context.work() as work:
                return list(await read(work, ids))

        return Loader(load_fn=load, max_batch_size=BATCH_MAX)

    async def _visits_of_orders(self, order_ids: list[UUID]) -> list[list[Any]]:
        # Asked for first: it opens a transaction, and one does not open within another.
        sight = await self._context.sight()
        async with self._context.work() as work:
            lists = await dispatch.visits_by_order_ids(work, order_ids)
            seen = await visits_in_sight(work, sight, [visit.id for visits in lists for visit in visits])
        return [[visit for visit in visits if visit.id in seen] for visits in lists]
