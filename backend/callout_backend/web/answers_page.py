"""The page of a customer's answers: values in, text out. It needs no script; every sentence is there in both languages."""

from typing import Any, Final

from markupsafe import Markup, escape

from callout_backend.web.answers_texts import TEXTS
from callout_backend.web.assets import asset
from callout_backend.web.signoff_page import LOCALES, PAGES, both
from callout_orders.knowledge.links import Answers
from callout_store.errors import Refusal

_CLOSED: Final = {
    "ANSWER_LINK_EXPIRED": "expired",
    "ANSWER_LINK_INVALID": "unknown",
    "ANSWER_LINK_USED": "used",
}


def answers_page(shown: Answers, *, locale: str) -> str:
    """The page of a good link: the answers with their buttons while it is open, else what became of it."""
    return _render("open" if shown.state == "open" else "settled", locale, shown=shown, state=shown.state)


def decided_page(decision: str, *, locale: str) -> str:
    """What is said to a decision."""
    return _render("settled", locale, shown=None, state=decision)


def closed_page(refusal: Refusal, *, locale: str) -> str:
    """A page that says why nothing is shown or taken."""
    return _render("closed", locale, shown=None, state=_CLOSED.get(refusal.code, "refused"), refusal=refusal)


def _render(page: str, locale: str, **values: Any) -> str:
    return PAGES.get_template("answers.html").render(
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
