"""The page of a customer's survey. It needs no script."""

from typing import Final

from callout_backend.web.pages import render
from callout_backend.web.survey_texts import TEXTS
from callout_orders.flow.ending.survey import SurveyLink
from callout_store.errors import Refusal

_CLOSED: Final = {
    "SURVEY_LINK_EXPIRED": "expired",
    "SURVEY_LINK_INVALID": "unknown",
    "SURVEY_LINK_USED": "used",
}


def form_page(link: SurveyLink, *, locale: str, refusal: Refusal | None = None, comment: str = "") -> str:
    """The page of a good link; with what was wrong with an answer, where one was refused."""
    return _page("form", "open", locale, link=link, refusal=refusal, comment=comment)


def thanks_page(*, reopened: bool, locale: str) -> str:
    """What is said to an answer."""
    return _page("thanks", "reopened" if reopened else "thanks", locale)


def closed_page(refusal: Refusal, *, locale: str) -> str:
    """A page that says why nothing is asked or taken."""
    return _page("closed", _CLOSED.get(refusal.code, "refused"), locale, refusal=refusal)


def _page(
    page: str,
    state: str,
    locale: str,
    *,
    link: SurveyLink | None = None,
    refusal: Refusal | None = None,
    comment: str = "",
) -> str:
    return render(
        "survey.html", TEXTS, locale, page=page, state=state, link=link, refusal=refusal, comment=comment
    )
