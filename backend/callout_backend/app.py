"""The Litestar application.

`uvicorn --factory callout_backend.app:create_app` starts it, in as many processes as wanted.
"""

import contextlib
import gc
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Self

from litestar import Litestar
from litestar.datastructures import State
from litestar.events import BaseEventEmitterBackend
from litestar.static_files import create_static_files_router
from litestar.types import ControllerRouterHandler

from callout_backend.doors import (
    answers,
    attachments,
    auth,
    cards,
    changes,
    chat,
    desk,
    files,
    home,
    hotline,
    intake,
    mail,
    notices,
    positions,
    request_form,
    signoff,
    sink,
    survey,
    track,
    uploads,
    watermelon,
)
from callout_backend.doors.public import docs as public_docs
from callout_backend.doors.public import imports as public_imports
from callout_backend.doors.public import orders as public_orders
from callout_backend.doors.public import tables as public_tables
from callout_backend.jobs.wake import Waker
from callout_backend.ops import health, logs, metrics
from callout_backend.ops.compression import Compression
from callout_backend.ops.ending import on_ending
from callout_backend.ops.envelope import Envelope
from callout_backend.problems import EXCEPTION_HANDLERS
from callout_backend.settings import Settings, signing_secret
from callout_backend.web.assets import STATIC_FOLDER, graphiql_page, refuse_odd_name
from callout_backend.wiring import add_hooks, add_places, add_seal, make_database
from callout_graphql.endpoint import CalloutGraphQL
from callout_people.tokens import TokenIssuer
from callout_store.clock import Clock
from callout_store.work import Database
from callout_sync.blobs import Storage
from callout_sync.poke import Pokes


class NoEvents(BaseEventEmitterBackend):
    """Litestar's emitter, which nothing here uses, opens a task group that only the task that opened it may close.

    A test's fixture is set up and torn down by different tasks; so may any caller of `app.lifespan()` be.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def emit(self, event_id: str, *args: Any, **kwargs: Any) -> None:
        """Refused: what must happen later is owed through the outbox."""
        raise RuntimeError(f"no event leaves through Litestar: {event_id}")


GC_AFTER = 20_000
"""New objects between two looks of Python's collector at the young ones."""
OPS_ROUTES: tuple[ControllerRouterHandler, ...] = (health.healthz, health.readyz, metrics.metrics)


def create_app(
    settings: Settings | None = None, *, db: Database | None = None, clock: Clock | None = None
) -> Litestar:
    """The application, on `app.state`: settings, db, issuer, pokes, listeners, storage.

    Without `settings` they are read from the environment, logging included, as uvicorn's workers do. A `db` that is
    handed in stays its giver's: it is neither started nor stopped here, and has its own clock instead of `clock`.
    """
    if settings is None:
        settings = Settings.from_env()
        logs.configure("console" if settings.log_format == "console" else "json", level=settings.log_level)
    owned = db is None
    if db is None:
        db = make_database(settings, clock=clock)
    else:
        add_hooks(db)
        add_seal(db, settings)
        add_places(db, settings)
    issuer = TokenIssuer(
        signing_secret(settings),
        lifetime=timedelta(minutes=settings.access_minutes),
        refresh_lifetime=timedelta(days=settings.refresh_days),
    )
    pokes = Pokes(db.url)
    listeners = changes.Listeners(total_max=settings.listeners_max, user_max=settings.listeners_user_max)

    @contextlib.asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            if owned:
                await db.start()
                stack.push_async_callback(db.stop)
            stack.enter_context(on_ending(listeners.end_all))
            await pokes.start()
            stack.push_async_callback(pokes.stop)
            if settings.redis_url is not None:
                waker = Waker(settings.redis_url)
                waker.start()
                stack.push_async_callback(waker.stop)
                db.on_outbox = waker.nudge
                stack.callback(setattr, db, "on_outbox", None)
            # What start-up made lives as long as the process: the collector need not walk it again and again.
            gc.collect()
            gc.freeze()
            # A push makes some ten thousand objects that reference counting clears away: looking at them a dozen times
            # in between finds nothing.
            gc.set_threshold(GC_AFTER, 20, 50)
            yield

    app = Litestar(
        route_handlers=[
            home.home,
            home.icon,
            *auth.ROUTES,
            *signoff.ROUTES,
            *survey.ROUTES,
            *track.ROUTES,
            *desk.ROUTES,
            *notices.ROUTES,
            *sink.ROUTES,
            *cards.ROUTES,
            *answers.ROUTES,
            *intake.ROUTES,
            *public_orders.ROUTES,
            *public_imports.ROUTES,
            *public_tables.ROUTES,
            *public_docs.ROUTES,
            *chat.ROUTES,
            *mail.ROUTES,
            *request_form.ROUTES,
            *files.ROUTES,
            *hotline.ROUTES,
            *positions.ROUTES,
            *changes.ROUTES,
            *uploads.ROUTES,
            *attachments.ROUTES,
            *watermelon.ROUTES,
            *OPS_ROUTES,
            CalloutGraphQL,
            create_static_files_router(
                path="/static", directories=[STATIC_FOLDER], before_request=refuse_odd_name
            ),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=[lifespan],
        # Without deep_copy=False Litestar would copy the pool.
        state=State(
            {
                "settings": settings,
                "db": db,
                "issuer": issuer,
                "pokes": pokes,
                "listeners": listeners,
                "storage": Storage(settings.storage_place),
                "graphiql_page": graphiql_page(),
            },
            deep_copy=False,
        ),
        request_max_body_size=settings.body_bytes_max,
        event_emitter_backend=NoEvents,
        # Litestar's own logging would write stacks beside ours, and its API page loads scripts from elsewhere.
        logging_config=None,
        openapi_config=None,
    )
    packed = Compression(app.asgi_handler, body_bytes_max=settings.body_bytes_max)
    app.asgi_handler = Envelope(packed, body_seconds_max=settings.body_seconds_max)
    return app
