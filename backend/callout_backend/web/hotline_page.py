"""The hotline agent's page as HTML: an empty page with all its sentences; its script fills it after sign-in."""

from typing import Final

import msgspec

from callout_backend.web.assets import asset
from callout_backend.web.hotline_texts import TEXTS
from callout_backend.web.signoff_page import PAGES, both
from callout_orders.terms import PRIORITY_LABELS

FIELDS: Final = (
    ("contactPhone", "tel", 40),
    ("contactName", "text", 200),
    ("customerName", "text", 200),
    ("address", "text", 500),
    ("serial", "text", 80),
    ("errorCode", "text", 80),
)


def hotline_page(locale: str) -> str:
    """The page in `en` or `zh`; it switches without being loaded again."""
    return PAGES.get_template("hotline.html").render(
        locale=locale,
        other="zh" if locale == "en" else "en",
        t=lambda key: both(TEXTS[key], locale),
        text=lambda key: TEXTS[key][locale],
        texts=msgspec.json.encode(TEXTS).decode(),
        option=lambda key: TEXTS[key],
        priorities={priority.value: label for priority, label in PRIORITY_LABELS.items()},
        fields=FIELDS,
        asset=asset,
    )
