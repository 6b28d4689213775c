"""The page of a customer's survey: values in, text out. It needs no script; every sentence is there in both languages."""

from typing import Any, Final

from markupsafe import Markup, escape

from callout_backend.web.assets import asset
from callout_backend.web.signoff_page import LOCALES, PAGES, both
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
    return _render("form", locale, link=link, refusal=refusal, comment=comment)


def thanks_page(*, reopened: bool, locale: str) -> str:
    """What is said to an answer."""
    return _render("thanks", locale, link=None, state="reopened" if reopened else "thanks")


def closed_page(refusal: Refusal, *, locale: str) -> str:
    """A page that says why nothing is asked or taken."""
    return _render("closed", locale, link=None, state=_CLOSED.get(refusal.code, "refused"), refusal=refusal)


def _render(page: str, locale: str, **values: Any) -> str:
    return PAGES.get_template("survey.html").render(
        page=page,
        locale=locale,
        other="zh" if locale == "en" else "en",
        t=lambda key: both(TEXTS[key], locale),
        text=lambda key: TEXTS[key][locale],
        lines=lambda value: Markup("<br>").join(escape(line) for line in str(value).splitlines()),
        refusal_text=lambda refusal: both({one: refusal.message(one) for one in LOCALES}, locale),
        asset=asset,
        **values,
    )
