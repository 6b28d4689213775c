"""What every page is made with: values in, text out. Every sentence is in the page in both languages, so that switching
loses nothing that was entered."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from callout_backend.web.assets import asset
from callout_store.errors import Refusal

LOCALES: Final = ("en", "zh")
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
Both = Mapping[str, str]
"""A text in English (`en`) and Chinese (`zh`)."""

PAGES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, texts: Mapping[str, Both], locale: str, /, **values: Any) -> str:
    """A page of `base.html` in `en` or `zh`, with its sentences (`title` is the page's own) and what is to be shown."""

    def sentence(key: str, **more: Any) -> Both:
        return {one: texts[key][one].format(**more) for one in LOCALES} if more else texts[key]

    given = {
        "locale": locale,
        "other": "zh" if locale == "en" else "en",
        "title": texts["title"],
        "asset": asset,
        # A sentence for both languages, in this one alone (attributes), and as its two texts (options of a list).
        "t": lambda key, **more: both(sentence(key, **more), locale),
        "text": lambda key: texts[key][locale],
        "option": lambda key: texts[key],
        "say": lambda found: Markup() if found is None else both(found, locale),
        # All of them, for a script that draws the page.
        "texts": lambda: msgspec.json.encode(texts).decode(),
        "lines": lambda value: Markup("<br>").join(escape(line) for line in str(value).splitlines()),
        "refusal_text": lambda refusal: both(in_both(refusal), locale),
    }
    return PAGES.get_template(template).render(given | values)


def both(texts: Both, locale: str) -> Markup:
    """An element with the text in `locale`, and in both languages for the switch of the page."""
    return Markup('<span data-en="{}" data-zh="{}">{}</span>').format(texts["en"], texts["zh"], texts[locale])


def in_both(refusal: Refusal) -> Both:
    """What a refusal says."""
    return {one: refusal.message(one) for one in LOCALES}


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
