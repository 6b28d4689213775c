"""The channels' doors alone, and an organisation whose channels are open."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
from litestar import Litestar
from litestar.datastructures import State
from litestar.types import ControllerRouterHandler

from callout_backend.problems import EXCEPTION_HANDLERS
from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_people.tokens import TokenIssuer
from callout_store.work import Database
from callout_sync.blobs import Storage


@contextlib.asynccontextmanager
async def doors(
    settings: Settings,
    db: Database,
    routes: Sequence[ControllerRouterHandler],
    *,
    issuer: TokenIssuer | None = None,
    storage: Storage | None = None,
    **more: Any,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of these doors."""
    add_hooks(db)
    app = Litestar(
        route_handlers=list(routes),
        exception_handlers=EXCEPTION_HANDLERS,
        state=State(
            {
                "db": db,
                "settings": settings,
                "storage": storage or Storage(settings.storage_place),
                "issuer": issuer,
                **more,
            },
            deep_copy=False,
        ),
        logging_config=None,
        openapi_config=None,
    )
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://t", timeout=60) as client:
        yield client
