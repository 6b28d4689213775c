"""Mutations of dispatch, of devices, and of the phones."""

from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

import msgspec
import strawberry

from callout_contracts.commands import PushEnvelope
from callout_dispatch import assign, crew, engineers
from callout_graphql.edges import Info
from callout_graphql.inputs import PartNeed, needs_by_code
from callout_graphql.reading import sign_off_summary
from callout_graphql.resolvers.mutations_desk import there
from callout_graphql.scalars import JSON
from callout_graphql.sight import visits_in_sight
from callout_graphql.types.dispatch import DayResult, Engineer, Visit
from callout_graphql.types.sync import (
    CommandAnswer,
    Device,
    EnrolmentCode,
    PushInput,
    PushResult,
)
from callout_orders import signoff
from callout_people.principals import MAY_ENROL
from callout_people.sessions import NotAsRemembered
from callout_people.users import users_by_ids
from callout_store import outbox
from callout_store.errors import BadField, NotAllowed, NotAuthenticated, NotFound
from callout_store.work import Work
from callout_sync import devices, quarantine
from callout_sync.again import force, retry
from callout_sync.push import push

SIGN_OFF_PATH = "/s"


@strawberry.type
class SignOffLink:
    """The address to send to the customer. It is shown this once: only its hash is stored."""

    url: str
    visit_id: UUID


@strawberry.type
class DispatchMutations:
    """What dispatchers and phones may do."""

    @strawberry.mutation
    async def push(self, info: Info, input: PushInput) -> PushResult:
        """Hand in a batch of commands. Sending the same batch again is harmless: each command is applied once."""
        context = info.context
        who, db = context.who, context.services.db
        try:
            pushed = await push(
                db,
                org_id=who.org_id,
                actor=context.actor,
                envelope=_envelope(input),
                remembered=context.remembered,
            )
        except NotAsRemembered:
            # The door looks again, and tells why.
            raise NotAuthenticated() from None
        return PushResult(
            answers=cast(list[CommandAnswer], pushed.answers),
            server_time=pushed.received_at,
            stamp=pushed.stamp,
            wipe=pushed.wipe,
        )

    @strawberry.mutation
    async def dispatch_work_order(
        self, info: Info, order_id: UUID, parts: list[PartNeed] | None = None
    ) -> Visit:
        """Give an order to the best engineer, and tell them. Without `parts`: those the order needs."""
        needs = needs_by_code(parts)
        id_ = await info.context.run(lambda work: assign.dispatch_order(work, order_id, parts=needs))
        return await _visit(info, id_)

    @strawberry.mutation
    async def assign_work_order(
        self,
        info: Info,
        order_id: UUID,
        engineer_id: UUID,
        start: datetime | None = None,
        override: bool = False,
        reason: str = "",
        tell: bool = True,
        crew: list[UUID] | None = None,
    ) -> Visit:
        """Give an order to this engineer by hand, with this `crew`: an order for several needs them named.

        `override` with a `reason` sets the hard rules aside; with `tell: false` the visit is only scheduled.
        """
        id_ = await info.context.run(
            lambda work: assign.assign(
                work, order_id, engineer_id, start, override, reason, told=tell, crew=crew or ()
            )
        )
        return await _visit(info, id_)

    @strawberry.mutation
    async def reassign_visit(
        self,
        info: Info,
        id: UUID,
        engineer_id: UUID,
        revision: int | None = None,
        start: datetime | None = None,
        override: bool = False,
        reason: str = "",
    ) -> Visit:
        """Give a visit to another engineer. What the first one does offline meanwhile is kept, for you to decide."""
        await info.context.run(
            lambda work: assign.reassign(work, id, engineer_id, revision, start, override, reason)
        )
        return await _visit(info, id)

    @strawberry.mutation
    async def move_visit(
        self,
        info: Info,
        id: UUID,
        start: datetime,
        revision: int | None = None,
        override: bool = False,
        reason: str = "",
    ) -> Visit:
        """Move a visit to another time of the same engineer."""
        await info.context.run(lambda work: assign.move_visit(work, id, start, revision, override, reason))
        return await _visit(info, id)

    @strawberry.mutation
    async def dispatch_visit(self, info: Info, id: UUID, revision: int | None = None) -> Visit:
        """Tell the engineer of a visit that was only scheduled."""
        await info.context.run(lambda work: assign.dispatch_visit(work, id, revision))
        return await _visit(info, id)

    @strawberry.mutation
    async def cancel_visit(self, info: Info, id: UUID, reason: str, revision: int | None = None) -> Visit:
        """Call a visit off; its order waits to be planned again."""
        await info.context.run(lambda work: assign.cancel_visit(work, id, reason, revision))
        return await _visit(info, id)

    @strawberry.mutation
    async def set_visit_crew(
        self,
        info: Info,
        id: UUID,
        engineer_ids: list[UUID],
        revision: int | None = None,
        override: bool = False,
        reason: str = "",
    ) -> Visit:
        """Let exactly these engineers work on a visit beside its own: it comes to their phones, or leaves them.

        Whoever joins must be free then; `override` with a `reason` sets that aside.
        """
        await info.context.run(lambda work: crew.set_crew(work, id, engineer_ids, revision, override, reason))
        return await _visit(info, id)

    @strawberry.mutation
    async def set_engineer_territory(
        self, info: Info, engineer_id: UUID, territory_id: UUID | None = None
    ) -> Engineer:
        """Let an engineer work in a territory, or in none: the articles on the phone follow."""
        await info.context.run(lambda work: crew.set_territory(work, engineer_id, territory_id))
        info.context.loaders.forget()
        return there(await info.context.loaders.engineers.load(engineer_id), "engineer")

    @strawberry.mutation
    async def dispatch_day(
        self,
        info: Info,
        start: datetime,
        end: datetime,
        limit: int = 500,
        order_ids: list[UUID] | None = None,
        tell: bool = True,
    ) -> DayResult:
        """Dispatch the orders that wait, the most urgent first, within [start, end)."""
        result = await info.context.run(
            lambda work: assign.dispatch_day(work, start, end, limit, order_ids, told=tell)
        )
        return cast(DayResult, result)

    @strawberry.mutation
    async def create_sign_off_link(
        self, info: Info, visit_id: UUID, locale: str | None = None
    ) -> SignOffLink:
        """A link by which the customer signs the visit off; links of this visit made before expire."""
        context = info.context
        sight = await context.sight()

        async def act(work: Work) -> str:
            if visit_id not in await visits_in_sight(work, sight, [visit_id]):
                raise NotFound(entity="visit")
            order_id, summary = await sign_off_summary(work, visit_id)
            days = context.services.signoff_days
            return await signoff.create_link(
                work,
                visit_id,
                order_id,
                summary,
                locale or context.locale,
                context.who.user_id,
                timedelta(days=days) if days else signoff.TTL_DEFAULT,
            )

        token = await context.run(act)
        return SignOffLink(url=f"{context.base_url}{SIGN_OFF_PATH}/{token}", visit_id=visit_id)

    @strawberry.mutation
    async def create_enrolment_code(self, info: Info, user_id: UUID) -> EnrolmentCode:
        """A code that enrols one phone for this user, once. Whoever has it signs in as the user."""
        context = info.context

        async def act(work: Work) -> devices.EnrolmentCode:
            (user,) = await users_by_ids(work, [user_id])
            if user is None:
                raise NotFound(entity="user")
            who = context.who
            if user.role not in MAY_ENROL.get(who.role, frozenset()):
                raise NotAllowed(role=who.role.value, what="devices.enrol")
            return await devices.create_enrolment_code(work, user_id)

        made = await context.run(act)
        payload = devices.enrolment_payload(server=context.base_url, org_id=context.org_id, code=made.code)
        return EnrolmentCode(code=made.code, user_id=user_id, expires_at=made.expires_at, payload=payload)

    @strawberry.mutation
    async def revoke_device(self, info: Info, id: UUID, reason: str) -> Device:
        """Shut a phone out, from within its running push on."""

        async def act(work: Work) -> devices.Device:
            await devices.revoke(work, id, reason)
            return await devices.device_state(work, id)

        return cast(Device, await info.context.run(act))

    @strawberry.mutation
    async def set_absence(
        self, info: Info, engineer_id: UUID, start: datetime, end: datetime, reason: str = ""
    ) -> Engineer:
        """Record that an engineer is away. Visits planned into it stay as they are."""
        absence = engineers.NewAbsence(engineer_id=engineer_id, starts_at=start, ends_at=end, reason=reason)
        await info.context.run(lambda work: engineers.set_absence(work, absence))
        info.context.loaders.forget()
        return there(await info.context.loaders.engineers.load(engineer_id), "engineer")

    @strawberry.mutation
    async def quarantine_mend(self, info: Info, id: UUID, body: JSON) -> bool:
        """Store what a quarantined command should have been, whole and with the same id; the next retry runs it. What
        the phone sent stays as it came."""
        await info.context.run(lambda work: quarantine.mend(work, id=id, body=body))
        return True

    @strawberry.mutation
    async def force_held(self, info: Info, device_id: UUID) -> int:
        """Apply what waits for an earlier command of this phone at once, without it; answers how many were."""
        return await force(
            info.context.services.db,
            org_id=info.context.org_id,
            device_id=device_id,
            actor=info.context.actor,
            everything=True,
        )

    @strawberry.mutation
    async def quarantine_retry(self, info: Info, id: UUID) -> CommandAnswer:
        """Run a quarantined command again, mended or as it came, on behalf of the phone that sent it."""
        who = info.context.who
        answer = await retry(
            info.context.services.db, org_id=who.org_id, entry_id=id, actor=info.context.actor
        )
        return cast(CommandAnswer, answer)

    @strawberry.mutation
    async def quarantine_dismiss(self, info: Info, id: UUID, note: str) -> bool:
        """Decide that nothing follows from a quarantined command; it stays on record."""
        await info.context.run(lambda work: quarantine.dismiss(work, id=id, note=note))
        return True

    @strawberry.mutation
    async def replay_dead_letters(self, info: Info, ids: list[UUID]) -> int:
        """Try effects again that were given up; answers how many."""
        return await info.context.run(lambda work: outbox.replay(work, ids))


def _envelope(given: PushInput) -> PushEnvelope:
    """The batch, held to what the contract says of everything but the commands."""
    try:
        return msgspec.convert(
            {
                "sentAt": given.sent_at,
                "commands": given.commands,
                "monotonicMs": given.monotonic_ms,
                "bootId": given.boot_id,
                "appVersion": given.app_version,
                "schemaVersion": given.schema_version,
                "oldestPending": given.oldest_pending,
                "pending": given.pending,
                "storageUsedBytes": given.storage_used_bytes,
                "storageFreeBytes": given.storage_free_bytes,
            },
            PushEnvelope,
        )
    except msgspec.ValidationError as fault:
        why, _, place = str(fault).partition(" - at `$.")
        raise BadField(path=f"input.{place.rstrip('`')}", why=why) from None


async def _visit(info: Info, id_: UUID) -> Visit:
    info.context.loaders.forget()
    return there(await info.context.loaders.visits.load(id_), "visit")
