"""The agent's desk as HTML: an empty page with all its sentences; its script fills it after sign-in."""

from typing import Final

from callout_backend.web.desk_texts import TEXTS
from callout_backend.web.pages import render
from callout_orders.desk.staff.presence import HEARTBEAT_SECONDS

VIEWS: Final = ("all", "unanswered", "mine", "nobodys", "flagged")


def desk_page(locale: str) -> str:
    """The page in `en` or `zh`; it switches without being loaded again."""
    return render(
        "desk.html",
        TEXTS,
        locale,
        views=VIEWS,
        heartbeat_seconds=HEARTBEAT_SECONDS,
    )
