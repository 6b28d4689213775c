"""The sign-off pages as HTML: values in, text out. Every page holds both languages, so that switching loses nothing."""

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from callout_backend.web.assets import asset
from callout_backend.web.signoff_texts import TEXTS
from callout_orders.signoff import LinkView
from callout_store.errors import Refusal

LOCALES = ("en", "zh")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


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


def both(texts: dict[str, str], locale: str) -> Markup:
    """An element with the text in `locale`, and in both languages for the switch of the page."""
    return Markup('<span data-en="{}" data-zh="{}">{}</span>').format(texts["en"], texts["zh"], texts[locale])


def moment(at: datetime | str, zone: ZoneInfo) -> dict[str, str]:
    """A time as people of both languages write it, in `zone`."""
    local = (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(zone)
    clock = f"{local:%H:%M} {local.tzname()}"
    return {
        "en": f"{local.day} {MONTHS[local.month - 1]} {local.year}, {clock}",
        "zh": f"{local.year}年{local.month}月{local.day}日 {clock}",
    }


def duration(minutes: int) -> dict[str, str]:
    """Minutes as hours and minutes."""
    hours, rest = divmod(minutes, 60)
    if not hours:
        return {"en": f"{rest} min", "zh": f"{rest} 分钟"}
    return {"en": f"{hours} h {rest} min", "zh": f"{hours} 小时 {rest} 分钟"}


def zone_of(name: object) -> ZoneInfo:
    """The time zone of this name, UTC where there is none."""
    try:
        return ZoneInfo(name if isinstance(name, str) and name else "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def _render(page: str, locale: str, **values: Any) -> str:
    return PAGES.get_template("signoff.html").render(
        page=page,
        locale=locale,
        other="zh" if locale == "en" else "en",
        t=lambda key: both(TEXTS[key], locale),
        refusal_text=lambda refusal: both({one: refusal.message(one) for one in LOCALES}, locale),
        text=lambda key: TEXTS[key][locale],
        when=lambda at, zone: both(moment(at, zone), locale),
        minutes=lambda count: both(duration(count), locale),
        lines=lambda value: Markup("<br>").join(escape(line) for line in str(value).splitlines()),
        asset=asset,
        **values,
    )
