"""The hotline agent's page as HTML: an empty page with all its sentences; its script fills it after sign-in."""

from typing import Final

from callout_backend.web.hotline_texts import TEXTS
from callout_backend.web.pages import render
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
    return render(
        "hotline.html",
        TEXTS,
        locale,
        priorities={priority.value: label for priority, label in PRIORITY_LABELS.items()},
        fields=FIELDS,
    )
