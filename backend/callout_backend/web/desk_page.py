"""The agent's desk as HTML: an empty page with all its sentences; its script fills it after sign-in."""

from typing import Final

import msgspec

from callout_backend.web.assets import asset
from callout_backend.web.desk_texts import TEXTS
from callout_backend.web.signoff_page import PAGES, both
from callout_orders.desk.staff.presence import HEARTBEAT_SECONDS

VIEWS: Final = ("all", "unanswered", "mine", "nobodys", "flagged")


def desk_page(locale: str) -> str:
    """The page in `en` or `zh`; it switches without being loaded again."""
    return PAGES.get_template("desk.html").render(
        locale=locale,
        other="zh" if locale == "en" else "en",
        t=lambda key: both(TEXTS[key], locale),
        text=lambda key: TEXTS[key][locale],
        texts=msgspec.json.encode(TEXTS).decode(),
        option=lambda key: TEXTS[key],
        views=VIEWS,
        heartbeat_seconds=HEARTBEAT_SECONDS,
        asset=asset,
    )
