"""How the floors are put together, once, for the API, the worker, the demo and the tests alike."""

from piccolo.table import Table

import callout_dispatch.tables
import callout_orders.channels.tables
import callout_orders.desk.tables
import callout_orders.flow.tables
import callout_orders.imports.tables
import callout_orders.kinds.tables
import callout_orders.knowledge.tables
import callout_orders.notices.tables
import callout_orders.precheck.tables
import callout_orders.sla.tables
import callout_orders.tables
import callout_people.tables
import callout_store.tables
import callout_sync.tables
from callout_backend.jobs import desk, sweeps, webhooks
from callout_backend.settings import Settings, SettingsError, signing_secret
from callout_dispatch import on_order, red_watch, second_visit
from callout_dispatch.arrivals import etas
from callout_dispatch.places import geocodes, speeds, territories
from callout_dispatch.places.providers import GeocoderChoice, Providers, register
from callout_geo.geocoding import BadGeocoder, GeocoderSettings
from callout_orders.desk import following
from callout_orders.desk.staff import people
from callout_orders.flow import reading as flow_reading
from callout_orders.flow import run as flow_run
from callout_orders.flow.deadlines import CHANNEL as STEP_CHANNEL
from callout_orders.knowledge import offers
from callout_orders.notices import channels as notice_channels
from callout_orders.notices import fan as notice_fan
from callout_orders.precheck.alike import links
from callout_orders.sla import states as sla_states
from callout_store import timers
from callout_store.clock import Clock
from callout_store.sealing import Seal
from callout_store.work import Database
from callout_sync import scope

ALL_TABLES: tuple[type[Table], ...] = (
    *callout_store.tables.TABLES,
    *callout_people.tables.TABLES,
    *callout_orders.tables.TABLES,
    *callout_orders.kinds.tables.TABLES,
    *callout_orders.flow.tables.TABLES,
    *callout_orders.sla.tables.TABLES,
    *callout_orders.precheck.tables.TABLES,
    *callout_orders.channels.tables.TABLES,
    *callout_orders.imports.tables.TABLES,
    *callout_orders.knowledge.tables.TABLES,
    *callout_orders.desk.tables.TABLES,
    *callout_orders.notices.tables.TABLES,
    *callout_dispatch.tables.TABLES,
    *callout_sync.tables.TABLES,
)


def database_url(settings: Settings) -> str:
    """The database's URL; a programming error where the embedded server was not started first."""
    if settings.database_url is None:
        raise RuntimeError("DATABASE_URL is not set and the embedded PostgreSQL was not started")
    return settings.database_url


def make_database(settings: Settings, *, clock: Clock | None = None, pool_min: int | None = None) -> Database:
    """A database with every package's tables and hooks, not started yet."""
    db = Database(
        database_url(settings),
        clock=clock or settings.make_clock(),
        tables=ALL_TABLES,
        pool_min=settings.pool_min if pool_min is None else pool_min,
        pool_max=settings.pool_max,
    )
    add_hooks(db)
    add_seal(db, settings)
    add_places(db, settings)
    if settings.clock is not None:
        rest_arrivals(db)
        timers.rest(STEP_CHANNEL)
    return db


def add_seal(db: Database, settings: Settings) -> None:
    """Say what tenants' secrets are sealed with before they are stored."""
    db.seal = db.seal or Seal(lambda: (signing_secret(settings), *settings.secrets_before))


def rest_arrivals(db: Database) -> None:
    """Set no timers of expected arrivals: on a fast clock, they would fire by the database's, when the day is over."""
    if etas.look_again in db.journal_hooks:
        db.journal_hooks.remove(etas.look_again)


def add_places(db: Database, settings: Settings) -> None:
    """Say which services outside may be asked about places; with a geocoder, new sites are looked for."""
    providers = Providers(
        osrm_url=settings.osrm_url, valhalla_url=settings.valhalla_url, geocoder=_geocoder(settings)
    )
    register(db, providers)
    if providers.geocoder is None and geocodes.owe_told in db.journal_hooks:
        db.journal_hooks.remove(geocodes.owe_told)
    elif providers.geocoder is not None and geocodes.owe_told not in db.journal_hooks:
        db.journal_hooks.append(geocodes.owe_told)


def _geocoder(settings: Settings) -> GeocoderChoice | None:
    if settings.geocoder is None:
        return None
    scheme, _, domain = (settings.geocoder_url or "").partition("://")
    every_s = 60.0 / settings.geocoder_per_minute
    try:
        chosen = GeocoderSettings(
            service=settings.geocoder,
            domain=domain.rstrip("/") or None,
            scheme=scheme or "https",
            api_key=settings.geocoder_key,
            # Public services want to know whom to write to.
            user_agent=f"callout ({settings.base_url})",
            # A further try would have to wait for its turn among all processes.
            attempts=1,
            delay_s_min=every_s,
            countries=tuple(settings.geocoder_countries.split(",")) if settings.geocoder_countries else (),
        )
    except BadGeocoder as fault:
        raise SettingsError(
            "CALLOUT_GEOCODER_URL", settings.geocoder_url or "(not set)", str(fault)
        ) from None
    return GeocoderChoice(settings=chosen, every_s=every_s)


def _why_not(url: str, medium: str) -> str | None:
    """Apprise is loaded by whoever sends, and here only when somebody saves a channel that needs it."""
    from callout_backend.notify.by_apprise import why_not

    return why_not(url, medium)


def add_hooks(db: Database) -> None:
    """What upper floors do inside every transaction: feed rows, messages for webhooks, ways and places. Twice is once."""
    people.know_engineers(on_order.engineer_users)
    people.know_owners(flow_reading.owners_by_order_ids)
    notice_channels.know_carriers(_why_not)
    if scope.refresh not in db.hooks:
        db.hooks.append(scope.refresh)
    # Duplicates that end or go on with their first order, then the red lane: what they write is for the others to see.
    for hook in (
        links.follow,
        red_watch.watch,
        # Parts that are missing are asked for before flows look whether any are.
        second_visit.hear_missing,
        flow_run.follow,
        second_visit.hear_wanted,
        # A flow may have closed an order.
        links.follow_again,
        offers.offer_later,
        sweeps.arm_for_organisation,
        sla_states.watch,
        # When the clocks are set.
        following.follow,
        etas.look_again,
        speeds.observe_told,
        territories.place_told,
        desk.tell,
        # Last: what the others wrote into the journal is for systems and people to hear of.
        webhooks.owe,
        notice_fan.owe,
    ):
        if hook not in db.journal_hooks:
            db.journal_hooks.append(hook)
