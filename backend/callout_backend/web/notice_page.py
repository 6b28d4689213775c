"""The pages of notices as HTML: the one behind a reader's link, and the sink's. Values in, text out."""

from typing import Any

from callout_backend.web.assets import asset
from callout_backend.web.notice_texts import SINK, TEXTS
from callout_backend.web.signoff_page import LOCALES, PAGES, both
from callout_orders.notices.opened import Opened
from callout_orders.notices.terms import Medium
from callout_store.errors import Refusal


def notice_page(found: Opened, *, locale: str, done: str | None) -> str:
    """What a link leads to; `done`: what was just marked, without JavaScript."""
    return _render("notice", locale, found=found, done=done)


def closed_page(refusal: Refusal, *, locale: str) -> str:
    """A page that says why nothing is shown."""
    return _render("closed", locale, refusal=refusal)


def sink_page(*, locale: str) -> str:
    """The sink's page: a sign-in, filters, and the messages that its script draws."""
    media = [
        (one.value, SINK[f"{one.value}_medium" if one.value in ("email", "voice") else one.value])
        for one in Medium
        if one is not Medium.INBOX
    ]
    return PAGES.get_template("sink.html").render(
        locale=locale,
        other="zh" if locale == "en" else "en",
        t=lambda key: both(SINK[key], locale),
        text=lambda key: SINK[key][locale],
        texts=SINK,
        media=media,
        asset=asset,
    )


def _render(page: str, locale: str, **values: Any) -> str:
    return PAGES.get_template("notice.html").render(
        page=page,
        locale=locale,
        other="zh" if locale == "en" else "en",
        t=lambda key: both(TEXTS[key], locale),
        say=lambda texts: both(texts, locale),
        refusal_text=lambda refusal: both({one: refusal.message(one) for one in LOCALES}, locale),
        text=lambda key: TEXTS[key][locale],
        asset=asset,
        **values,
    )
