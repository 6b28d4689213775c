"""What a resolver is given: who asks, in which language, and the way to the database.

No transaction lives here. Each resolver opens its own around its use case: sibling fields run at the same time, and one
transaction has one connection.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import UUID

import structlog

from callout_contracts.commands import Answer
from callout_graphql.sight import Sight, sight_of
from callout_people.principals import Principal, Right
from callout_people.sessions import Remembered, authenticate
from callout_people.tokens import TokenIssuer
from callout_store.errors import NotAllowed, NotAuthenticated
from callout_store.ids import new_id
from callout_store.work import Actor, Database, Work
from callout_sync.poke import Pokes

if TYPE_CHECKING:
    from callout_graphql.loaders import Loaders

T = TypeVar("T")
LOCALES = ("en", "zh")


class Places(Protocol):
    """Places for connections that stay open: bounded for a user, a phone and the process."""

    def place(self, who: Principal) -> AbstractContextManager[asyncio.Event]:
        """A place for the length of the block; the event is set when it is taken away. Raises a refusal where there is
        none."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What the roof has put together, from the application's state."""

    db: Database
    issuer: TokenIssuer
    pokes: Pokes | None = None
    base_url: str = ""
    open_introspection: bool = False
    signoff_days: int | None = None
    places: Places | None = None

    @classmethod
    def of(cls, state: Any) -> "Services":
        """Read Litestar's `app.state`: `db`, `issuer`, and where they are set `pokes`, `listeners` and `settings`."""
        settings = getattr(state, "settings", None)
        return cls(
            db=state.db,
            issuer=state.issuer,
            pokes=getattr(state, "pokes", None),
            base_url=str(getattr(settings, "base_url", "") or ""),
            open_introspection=bool(getattr(settings, "open_introspection", False)),
            signoff_days=getattr(settings, "signoff_days", None),
            places=getattr(state, "listeners", None),
        )


class Context:
    """One request, or one socket."""

    def __init__(
        self,
        services: Services,
        principal: Principal | None,
        *,
        locale: str | None = None,
        request_id: str = "",
        base_url: str = "",
        app_version: str | None = None,
    ) -> None:
        self.services = services
        self.principal = principal
        self.asked_locale = locale
        self.request_id = request_id or str(new_id())
        self.base_url = services.base_url or base_url
        self.app_version = app_version
        """What the request's `X-App-Version` says."""
        self.row_answers: list[Answer] = []
        """What became of the rows that this request has pushed."""
        self.remembered: Remembered | None = None
        """Set where the principal is one that was remembered: what runs has to have it compared with the database."""
        self._sight: asyncio.Future[Sight] | None = None

    @property
    def locale(self) -> str:
        """The language of the answer: what the request asks for, else the caller's own, else English."""
        return self.asked_locale or (self.principal.locale if self.principal is not None else "en")

    @property
    def actor(self) -> Actor:
        """Who acts, for a unit of work."""
        return replace(self.who.actor(), locale=self.locale)

    @property
    def may_introspect(self) -> bool:
        """Whether this caller may ask for the schema."""
        return self.principal is not None or self.services.open_introspection

    @property
    def who(self) -> Principal:
        """The caller; refuses where nobody has signed in."""
        if self.principal is None:
            raise NotAuthenticated()
        return self.principal

    @property
    def org_id(self) -> UUID:
        """The caller's organisation."""
        return self.who.org_id

    def require(self, right: Right) -> None:
        """Refuse unless the caller's role holds the right."""
        who = self.who
        if not who.may(right):
            raise NotAllowed(role=who.role.value, what=right.value)

    def work(self) -> AbstractAsyncContextManager[Work]:
        """A transaction of the caller's organisation, in the caller's name."""
        who = self.who
        return self.services.db.work(who.org_id, actor=self.actor)

    async def run(self, act: Callable[[Work], Awaitable[T]]) -> T:
        """`act` in a transaction as `work` opens it, tried again when it was the victim of a deadlock."""
        who = self.who
        return await self.services.db.run(who.org_id, act, actor=self.actor)

    async def sight(self) -> Sight:
        """What of the organisation the caller may see; read once a request."""
        if self._sight is None:
            self._sight = asyncio.ensure_future(self._look())
        # Shielded: a field that is cancelled must not take it from the others.
        return await asyncio.shield(self._sight)

    async def _look(self) -> Sight:
        async with self.work() as work:
            return await sight_of(work, self.who)

    @cached_property
    def loaders(self) -> "Loaders":
        """The loaders of this request; they remember what they read, so they live no longer than it."""
        from callout_graphql.loaders import Loaders

        return Loaders(self)


async def identify(
    services: Services, header: str | None, *, cached: bool = False, compared: bool = False
) -> Principal | None:
    """The caller that an Authorization header names; None without one. `cached` and `compared` as for `authenticate`.

    Raises NotAuthenticated for a header that holds no token of ours in good standing, DeviceRevoked for that of a
    revoked phone.
    """
    if header is None:
        return None
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated()
    return await authenticate(services.db, services.issuer, token.strip(), cached=cached, compared=compared)


def request_id_now() -> str:
    """The id under which this request is logged, or a fresh one."""
    return str(structlog.contextvars.get_contextvars().get("request_id") or new_id())


def pick_locale(accept_language: str | None) -> str | None:
    """The language of ours that `Accept-Language` weighs highest; None where it names none of them."""
    best: str | None = None
    best_weight = 0.0
    for part in (accept_language or "")[:500].split(","):
        tag, _, weight_text = part.strip().partition(";q=")
        try:
            weight = float(weight_text) if weight_text else 1.0
        except ValueError:
            continue
        language = tag.split("-", 1)[0].lower()
        if language in LOCALES and weight > best_weight:
            best, best_weight = language, weight
    return best
