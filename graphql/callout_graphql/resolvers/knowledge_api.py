"""Answers: suggesting and offering them, what became of them, one order or thousands at once."""

import time
from typing import Any, cast
from uuid import UUID

import strawberry

from callout_graphql import sight as sights
from callout_graphql.context import Context
from callout_graphql.edges import Info
from callout_graphql.resolvers.mutations_desk import there
from callout_graphql.types.content import Article
from callout_graphql.types.desk import WorkOrder
from callout_graphql.types.knowledge import (
    AnswerLink,
    AnswerSuggestion,
    ArticleVersion,
    LeftOpen,
    Resolved,
)
from callout_orders import checks
from callout_orders.knowledge import articles, decisions, links, offers, search, standing
from callout_people.principals import Role
from callout_store.errors import NotFound
from callout_store.work import Work

ANSWER_PATH = "/a"
BULK_CHUNK = 500
BULK_SECONDS = 15.0
"""After that no further piece is begun: a call that is not answered within 25 s tells nobody what it has done."""


@strawberry.type
class KnowledgeQueries:
    """What may be asked about answers."""

    @strawberry.field
    async def suggest_answers(
        self,
        info: Info,
        text: str,
        kind: str | None = None,
        model: str | None = None,
        error_code: str | None = None,
        locale: str | None = None,
        for_customers: bool = False,
        first: int = 5,
    ) -> list[AnswerSuggestion]:
        """The articles that answer a question, best first: by its words in Chinese and English, and by what it is about."""
        async with info.context.work() as work:
            found = await search.suggest(
                work,
                text,
                kind=kind,
                model=model,
                error_code=error_code,
                locale=locale or info.context.locale,
                limit=first,
                for_customers=for_customers,
            )
        return cast(list[AnswerSuggestion], found)

    @strawberry.field
    async def article_versions(
        self, info: Info, id: UUID, first: int = 50, after: int | None = None
    ) -> list[ArticleVersion]:
        """What an article said at each revision, newest first; `after` goes on below that revision."""
        async with info.context.work() as work:
            found = await articles.versions_of(work, id, after=after, limit=first)
        return cast(list[ArticleVersion], found)


@strawberry.type
class KnowledgeMutations:
    """What the desk does with answers, and what customers say about them."""

    @strawberry.mutation
    async def offer_answers(
        self, info: Info, order_id: UUID, article_ids: list[UUID] | None = None
    ) -> WorkOrder:
        """Offer answers for an order: those named, else the best there are."""
        await info.context.run(lambda work: offers.offer(work, order_id, article_ids or []))
        return await _again(info.context, order_id)

    @strawberry.mutation
    async def offer_answer_to_all(self, info: Info, article_id: UUID) -> int:
        """Offer a canned answer on every open order with its error code; on how many it is new."""
        return await info.context.run(lambda work: offers.offer_to_all(work, article_id))

    @strawberry.mutation
    async def set_standing_answer(
        self, info: Info, article_id: UUID, on: bool, revision: int | None = None
    ) -> Article:
        """Make an article the standing answer of its fault code, or no longer. It is offered on every open order with that
        code and on those that come in later, of any priority, and their customers are told. At most three a code."""
        await info.context.run(lambda work: standing.switch(work, article_id, on, revision))
        info.context.loaders.forget()
        found: Any = there(await info.context.loaders.articles.load(article_id), "article")
        return cast(Article, found)

    @strawberry.mutation
    async def answer_solved(self, info: Info, order_id: UUID, offer_id: UUID | None = None) -> WorkOrder:
        """An answer solved it: the order is closed. `offerId`: which one."""
        sight = await info.context.sight()

        async def act(work: Work) -> None:
            await _seen(work, sight, order_id)
            await decisions.solved(work, order_id, offer_id, via=_via(info.context))

        await info.context.run(act)
        return await _again(info.context, order_id)

    @strawberry.mutation
    async def answers_did_not_help(self, info: Info, order_id: UUID, reason: str = "") -> WorkOrder:
        """No answer helped: a question (P2) becomes a malfunction (P1) and goes to dispatch."""
        sight = await info.context.sight()

        async def act(work: Work) -> None:
            await _seen(work, sight, order_id)
            await decisions.did_not_help(work, order_id, reason=reason, via=_via(info.context))

        await info.context.run(act)
        return await _again(info.context, order_id)

    @strawberry.mutation
    async def resolve_by_answer(self, info: Info, order_ids: list[UUID], article_id: UUID) -> Resolved:
        """Close up to 5,000 orders by one answer; those to which somebody is on the way stay open and are named. What could
        not be reached in time is named with the state `later`: it waits to be sent again."""
        given = checks.batch("orders", list(dict.fromkeys(order_ids)), limit=decisions.BULK_MAX)
        ends = time.monotonic() + BULK_SECONDS
        done = Resolved(closed=[], left=[])
        # In pieces: a surge's orders are not all held under lock for as long as all of them take, and what is done is done.
        for at in range(0, len(given), BULK_CHUNK):
            if at and time.monotonic() >= ends:
                done.left += [LeftOpen(order_id=id_, state="later") for id_ in given[at:]]
                break
            some = given[at : at + BULK_CHUNK]
            closed, left = await info.context.run(
                lambda work, some=some: decisions.resolve_by_answer(work, some, article_id)  # type: ignore[misc]
            )
            done.closed += closed
            done.left += [LeftOpen(order_id=id_, state=state) for id_, state in left.items()]
        return done

    @strawberry.mutation
    async def create_answer_link(self, info: Info, order_id: UUID, locale: str | None = None) -> AnswerLink:
        """A link by which a customer reads the answers to an order and says whether one helped, good for 14 days."""
        context = info.context
        spoken = locale or context.locale
        token = await context.run(lambda work: links.create_link(work, order_id, spoken))
        return AnswerLink(url=f"{context.base_url}{ANSWER_PATH}/{token}", order_id=order_id)


def _via(context: Context) -> str:
    """Who says it: a customer who signed in is no desk."""
    return decisions.CUSTOMER if context.who.role is Role.CUSTOMER_CONTACT else "desk"


async def _seen(work: Work, sight: sights.Sight, order_id: UUID) -> None:
    if order_id not in await sights.orders_in_sight(work, sight, [order_id]):
        raise NotFound(entity="work order", path="orderId")


async def _again(context: Context, order_id: UUID) -> WorkOrder:
    context.loaders.forget()
    found: Any = there(await context.loaders.orders.load(order_id), "work order")
    return cast(WorkOrder, found)
