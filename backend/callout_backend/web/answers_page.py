"""The page of a customer's answers. It needs no script."""

from typing import Final

from callout_backend.web.answers_texts import TEXTS
from callout_backend.web.pages import render
from callout_orders.knowledge.links import Answers
from callout_store.errors import Refusal

_CLOSED: Final = {
    "ANSWER_LINK_EXPIRED": "expired",
    "ANSWER_LINK_INVALID": "unknown",
    "ANSWER_LINK_USED": "used",
}


def answers_page(shown: Answers, *, locale: str) -> str:
    """The page of a good link: the answers with their buttons while it is open, else what became of it."""
    return _page("open" if shown.state == "open" else "settled", shown.state, locale, shown=shown)


def decided_page(decision: str, *, locale: str) -> str:
    """What is said to a decision."""
    return _page("settled", decision, locale)


def closed_page(refusal: Refusal, *, locale: str) -> str:
    """A page that says why nothing is shown or taken."""
    return _page("closed", _CLOSED.get(refusal.code, "refused"), locale, refusal=refusal)


def _page(
    page: str, state: str, locale: str, *, shown: Answers | None = None, refusal: Refusal | None = None
) -> str:
    return render("answers.html", TEXTS, locale, page=page, state=state, shown=shown, refusal=refusal)
