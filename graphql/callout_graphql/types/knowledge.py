"""Types of answers: what is suggested, what was offered, and what became of it."""

from datetime import datetime
from uuid import UUID

import strawberry


@strawberry.type
class ArticleVersion:
    """An article as it read at a revision; it is never changed."""

    article_id: UUID
    revision: int
    title: str
    body: str
    workaround: str
    locale: str
    kind: str | None
    model: str | None
    fault_code: str | None
    territory_id: UUID | None
    for_customers: bool
    active: bool
    updated_at: datetime
    updated_by: UUID | None


@strawberry.type
class AnswerSuggestion:
    """An article that answers a question. `why`: error_code, model, kind, text, helped, locale; the higher the `score` the
    better."""

    article_id: UUID
    revision: int
    title: str
    body: str
    workaround: str
    locale: str
    kind: str | None
    model: str | None
    fault_code: str | None
    for_customers: bool
    score: float
    why: list[str]


@strawberry.type
class AnswerOffer:
    """An answer that was offered for an order, as it read then. `state`: offered, solved, did_not_help, passed (another
    one solved it, or a later revision took its place). `decidedVia`: link (the customer), desk, bulk. `withdrawn`: its
    article was retired since, or is for the staff alone."""

    id: UUID
    order_id: UUID
    article_id: UUID
    article_revision: int
    title: str
    body: str
    workaround: str
    locale: str
    score: float
    state: str
    offered_at: datetime
    offered_by: UUID | None
    decided_at: datetime | None
    decided_by: UUID | None
    decided_via: str | None
    withdrawn: bool


@strawberry.type
class AnswerLink:
    """The address of the page on which a customer reads the answers and says whether one helped; shown once."""

    url: str
    order_id: UUID


@strawberry.type
class LeftOpen:
    """An order that an answer could not close: `state` is what kept it from it, `missing` where there is none,
    `later` where the call had no time left for it: it waits to be sent again."""

    order_id: UUID
    state: str


@strawberry.type
class Resolved:
    """What became of a bulk resolution."""

    closed: list[UUID]
    left: list[LeftOpen]
