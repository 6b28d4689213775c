"""The sign-off pages."""

from typing import Any

from callout_backend.web.pages import both, duration, moment, render, zone_of
from callout_backend.web.signoff_texts import TEXTS
from callout_orders.signoff import LinkView
from callout_store.errors import Refusal


def form_page(view: LinkView, *, locale: str) -> str:
    """The page on which a valid link is signed."""
    summary = view.summary or {}
    return _render("form", locale, view=view, summary=summary, zone=zone_of(summary.get("timeZone")))


def signed_page(decision: str, *, locale: str) -> str:
    """The answer to a form that was sent without JavaScript."""
    return _render("signed", locale, decision=decision)


def closed_page(state: str, refusal: Refusal, *, locale: str, view: LinkView | None = None) -> str:
    """A page that says why nothing can be signed: `state` is used, expired, unknown or refused."""
    summary = (view.summary if view is not None else None) or {}
    return _render(
        "closed",
        locale,
        state=state,
        refusal=refusal,
        used_at=view.used_at if view is not None else None,
        zone=zone_of(summary.get("timeZone")),
    )


def _render(page: str, locale: str, **values: Any) -> str:
    return render(
        "signoff.html",
        TEXTS,
        locale,
        page=page,
        when=lambda at, zone: both(moment(at, zone), locale),
        minutes=lambda count: both(duration(count), locale),
        **values,
    )
