"""Which channel is handled by what. A message may be handled more than once; each says why that is harmless."""

from uuid import UUID

from callout_backend.jobs import channels, desk, etas, flows, holds, red, sweeps, webhooks
from callout_backend.jobs.chat_services import ChatServices
from callout_backend.jobs.deliver import WebhookHandler
from callout_backend.jobs.drain import Handlers
from callout_backend.jobs.imports import import_handler, watch_import
from callout_backend.jobs.mail_poll import CHANNEL as MAIL_CHANNEL
from callout_backend.jobs.mail_poll import poll_handler
from callout_backend.jobs.pictures import picture_handler
from callout_backend.jobs.plans import plan_handler, watch_handler
from callout_backend.jobs.uploads import expire_handler, finish_handler
from callout_backend.notify import pump as notify
from callout_backend.settings import Settings
from callout_dispatch.places import geocodes, legs, positions, speeds, territories
from callout_dispatch.plans.run_writes import WATCH_CHANNEL
from callout_dispatch.plans.runs import RUN_CHANNEL
from callout_orders.channels import accounts as intake_accounts
from callout_orders.channels import files as intake_files
from callout_orders.channels import inbox
from callout_orders.imports import runs as import_runs
from callout_orders.knowledge import articles, offers, standing
from callout_orders.notices import channels as notice_channels
from callout_orders.notices import retention
from callout_orders.sla import pausing
from callout_orders.sla import states as sla_states
from callout_orders.sla import watch as sla_watch
from callout_orders.sla.extensions import MOVED_CHANNEL
from callout_orders.sla.milestones import CHANNEL as SLA_CHANNEL
from callout_orders.sla.milestones import SETTLE_CHANNEL
from callout_store import timers
from callout_store.outbox import Claimed, Hopeless
from callout_store.work import Database, Work
from callout_sync import attachments, loose_bytes, purge, scope, uploads
from callout_sync.blobs import Storage


async def check_sla(db: Database, item: Claimed) -> None:
    """A milestone's timer fired. Harmless twice: each mark is spoken of once, a miss is journaled once."""
    try:
        key, epoch = str(item.payload["timerKey"]), int(item.payload["timerEpoch"])
        order_id, milestone = UUID(item.payload["orderId"]), str(item.payload["milestone"])
    except (KeyError, ValueError) as fault:
        raise Hopeless(f"not a milestone's timer: {fault!r}") from fault

    async def check(work: Work) -> None:
        # Moved, met or cancelled since it fired: this firing is of the past.
        if await timers.is_current(work, key=key, epoch=epoch):
            await sla_watch.check(work, order_id, milestone)
            await sla_watch.wake_again(work, order_id, milestone, epoch=epoch)

    await db.run(item.org_id, check)


async def resume_sla(db: Database, item: Claimed) -> None:
    """A hold's time is over. Harmless twice: it ends once."""

    async def act(work: Work) -> None:
        if await _is_current(work, item):
            await pausing.resume_by_itself(work, UUID(item.payload["orderId"]), str(item.payload["reason"]))

    await db.run(item.org_id, act)


async def restore_deadline(db: Database, item: Claimed) -> None:
    """A moved deadline's time is over. Harmless twice: it is put back once."""

    async def act(work: Work) -> None:
        if await _is_current(work, item):
            await sla_watch.expire(work, UUID(item.payload["orderId"]), str(item.payload["milestone"]))

    await db.run(item.org_id, act)


async def follow_state(db: Database, item: Claimed) -> None:
    """An order's state may stop its clock. Harmless twice: it is looked at as it is now."""
    await db.run(item.org_id, lambda work: sla_states.follow(work, UUID(item.payload["orderId"])))


async def settle_sla(db: Database, item: Claimed) -> None:
    """Milestones were reached that supervisors were asked to look at. Harmless twice: a to-do ends once."""
    await db.run(item.org_id, lambda work: sla_watch.settle(work, UUID(item.payload["orderId"])))


async def _is_current(work: Work, item: Claimed) -> bool:
    return await timers.is_current(
        work, key=str(item.payload["timerKey"]), epoch=int(item.payload["timerEpoch"])
    )


async def offer_answers(db: Database, item: Claimed) -> None:
    """Orders came in: answers are looked for; or an article became a standing answer. Harmless twice: an article is offered
    once for an order."""
    if "articleId" in item.payload:
        article_id = UUID(item.payload["articleId"])
        while await db.run(item.org_id, lambda work: standing.offer_on_open(work, article_id)):
            pass
        return
    ids = [UUID(one) for one in item.payload["orderIds"]]

    async def act(work: Work) -> None:
        await standing.offer(work, ids)
        if item.payload.get("about") != offers.STANDING:
            await offers.offer_new(work, ids)

    await db.run(item.org_id, act)


async def sweep_scopes(db: Database, item: Claimed) -> None:
    """Bring phones up to what they shall hold, forget what is too old, and learn how fast people drive, a batch a
    transaction. Harmless twice: the second finds nothing."""
    for act in (
        articles.index_some,
        scope.sweep,
        purge.purge,
        positions.purge,
        legs.purge,
        geocodes.purge,
        speeds.purge,
        import_runs.purge,
        inbox.purge,
        intake_files.purge,
        loose_bytes.purge,
        retention.purge,
        intake_accounts.reseal,
        notice_channels.reseal,
    ):
        while await db.run(item.org_id, act):
            pass
    await db.run(item.org_id, speeds.learn)

    async def again(work: Work) -> None:
        # Set anew meanwhile, because the window changed: then that firing stands.
        if await timers.is_current(work, key=sweeps.KEY, epoch=int(item.payload["timerEpoch"])):
            await sweeps.arm(work)

    await db.run(item.org_id, again)


def make_handlers(
    settings: Settings, webhook: WebhookHandler | None = None, notifier: notify.Notifier | None = None
) -> Handlers:
    """Every channel's handler."""
    storage = Storage(settings.storage_place)
    return {
        webhooks.CHANNEL: webhook or WebhookHandler(private_allowed=settings.webhook_private),
        SLA_CHANNEL: check_sla,
        SETTLE_CHANNEL: settle_sla,
        offers.CHANNEL: offer_answers,
        pausing.RESUME_CHANNEL: resume_sla,
        MOVED_CHANNEL: restore_deadline,
        sla_states.CHANNEL: follow_state,
        sweeps.CHANNEL: sweep_scopes,
        holds.CHANNEL: holds.force_held,
        red.CHANNEL: red.advance_lane,
        red.START_CHANNEL: red.start_lane,
        desk.LOOK_CHANNEL: desk.look_after,
        desk.PRESENCE_CHANNEL: desk.look_for,
        desk.LEFT_CHANNEL: desk.pass_on,
        flows.STEP_CHANNEL: flows.step_late,
        flows.SURVEY_CHANNEL: flows.survey_time,
        flows.VISIT_CHANNEL: flows.look_for_slot,
        etas.CHANNEL: etas.refresh,
        territories.CHANNEL: territories.place_all,
        geocodes.CHANNEL: geocodes.place_site,
        RUN_CHANNEL: plan_handler(),
        import_runs.CHANNEL: import_handler(),
        import_runs.WATCH_CHANNEL: watch_import,
        WATCH_CHANNEL: watch_handler(),
        attachments.CHANNEL: picture_handler(storage),
        uploads.FINISH_CHANNEL: finish_handler(storage),
        uploads.EXPIRE_CHANNEL: expire_handler(storage),
        MAIL_CHANNEL: poll_handler(storage, private_allowed=settings.webhook_private),
        **notify.handlers_of(notifier or notify.make_notifier(settings)),
        **channels.make_handlers(
            storage,
            ChatServices(private_allowed=settings.webhook_private),
            settings.base_url,
            sink=settings.notices_go,
        ),
    }
