"""Subscriptions poke; they carry no data. See `listening`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import strawberry

from callout_graphql.context import Context
from callout_graphql.edges import Info
from callout_graphql.listening import ear_of, listen
from callout_graphql.types.sync import Poke
from callout_store.errors import Busy


@strawberry.type
class Subscription:
    """What may be listened to."""

    @strawberry.subscription
    async def changed(self, info: Info) -> AsyncGenerator[Poke, None]:
        """A poke when something that the caller may see has changed; one comes at once, to begin with a pull."""
        context: Context = info.context
        who, services = context.who, context.services
        if services.pokes is None:
            raise Busy(what="subscriptions", retry_after_ms=60_000)
        ear = await ear_of(services.db, who)
        async with aclosing(listen(services.db, services.pokes, who, ear)) as heard:
            async for news in heard:
                if news is not None:
                    yield Poke(at=news.at, kind=ear.kind, scopes=list(news.scopes))
