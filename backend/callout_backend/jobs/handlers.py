"""Which channel is handled by what. A message may be handled more than once; each says why that is harmless."""

from datetime import datetime
from uuid import UUID

from callout_backend.jobs import etas, holds, red, sweeps, webhooks
from callout_backend.jobs.deliver import WebhookHandler
from callout_backend.jobs.drain import Handlers
from callout_backend.jobs.pictures import picture_handler
from callout_backend.jobs.plans import plan_handler, watch_handler
from callout_backend.jobs.uploads import expire_handler, finish_handler
from callout_backend.settings import Settings
from callout_dispatch.places import geocodes, legs, positions, speeds, territories
from callout_dispatch.plans.run_writes import WATCH_CHANNEL
from callout_dispatch.plans.runs import RUN_CHANNEL
from callout_orders.intake import SLA_CHANNEL
from callout_orders.sla import watch as sla_watch
from callout_store import timers
from callout_store.outbox import Claimed, Hopeless
from callout_store.work import Database, Work
from callout_sync import attachments, purge, scope, uploads
from callout_sync.blobs import Storage


async def check_sla(db: Database, item: Claimed) -> None:
    """A milestone's timer fired. Harmless twice: a miss is journaled once."""
    try:
        key, epoch = str(item.payload["timerKey"]), int(item.payload["timerEpoch"])
        order_id, milestone = UUID(item.payload["orderId"]), str(item.payload["milestone"])
        due_at = datetime.fromisoformat(item.payload["dueAt"])
    except (KeyError, ValueError) as fault:
        raise Hopeless(f"not a milestone's timer: {fault!r}") from fault

    async def check(work: Work) -> None:
        # Moved, met or cancelled since it fired: this firing is of the past.
        if await timers.is_current(work, key=key, epoch=epoch):
            await sla_watch.check(work, order_id, milestone, due_at)

    await db.run(item.org_id, check)


async def sweep_scopes(db: Database, item: Claimed) -> None:
    """Bring phones up to what they shall hold, forget what is too old, and learn how fast people drive, a batch a
    transaction. Harmless twice: the second finds nothing."""
    for act in (scope.sweep, purge.purge, positions.purge, legs.purge, geocodes.purge, speeds.purge):
        while await db.run(item.org_id, act):
            pass
    await db.run(item.org_id, speeds.learn)

    async def again(work: Work) -> None:
        # Set anew meanwhile, because the window changed: then that firing stands.
        if await timers.is_current(work, key=sweeps.KEY, epoch=int(item.payload["timerEpoch"])):
            await sweeps.arm(work)

    await db.run(item.org_id, again)


def make_handlers(settings: Settings, webhook: WebhookHandler | None = None) -> Handlers:
    """Every channel's handler."""
    storage = Storage(settings.storage_place)
    return {
        webhooks.CHANNEL: webhook or WebhookHandler(private_allowed=settings.webhook_private),
        SLA_CHANNEL: check_sla,
        sweeps.CHANNEL: sweep_scopes,
        holds.CHANNEL: holds.force_held,
        red.CHANNEL: red.advance_lane,
        red.START_CHANNEL: red.start_lane,
        etas.CHANNEL: etas.refresh,
        territories.CHANNEL: territories.place_all,
        geocodes.CHANNEL: geocodes.place_site,
        RUN_CHANNEL: plan_handler(),
        WATCH_CHANNEL: watch_handler(),
        attachments.CHANNEL: picture_handler(storage),
        uploads.FINISH_CHANNEL: finish_handler(storage),
        uploads.EXPIRE_CHANNEL: expire_handler(storage),
    }
