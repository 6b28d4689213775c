"""The pages of notices: the one behind a reader's link, and the sink's."""

from callout_backend.web.notice_texts import SINK, TEXTS
from callout_backend.web.pages import render
from callout_orders.channels.unsent import MEDIA
from callout_orders.notices.opened import Opened
from callout_orders.notices.terms import Medium
from callout_store.errors import Refusal


def notice_page(found: Opened, *, locale: str, done: str | None) -> str:
    """What a link leads to; `done`: what was just marked, without JavaScript."""
    return render("notice.html", TEXTS, locale, page="notice", found=found, done=done)


def closed_page(refusal: Refusal, *, locale: str) -> str:
    """A page that says why nothing is shown."""
    return render("notice.html", TEXTS, locale, page="closed", refusal=refusal)


def sink_page(*, locale: str) -> str:
    """The sink's page: a sign-in, filters, and the messages that its script draws."""
    media = [
        (one.value, SINK[f"{one.value}_medium" if one.value in ("email", "voice") else one.value])
        for one in Medium
        if one is not Medium.INBOX
    ] + [(one, SINK[one]) for one in MEDIA if one != Medium.EMAIL]
    return render("sink.html", SINK, locale, media=media)
