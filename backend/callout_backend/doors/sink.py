"""What would have been sent: `GET /sink` a page, `GET /sink/messages` what it draws, for admins and supervisors.

Notices by every medium, and the answers of the channels to whoever wrote by chat or mail. They are in the database alone; the
page draws each as its reader would see it, without anything from elsewhere.
"""

from html import escape
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.types import ControllerRouterHandler

from callout_backend.doors.identity import principal_of
from callout_backend.doors.pages import HEADERS, html, locale_for
from callout_backend.notify import links
from callout_backend.settings import Settings, signing_secret
from callout_backend.web.notice_page import sink_page
from callout_orders.channels import unsent
from callout_orders.notices import reading
from callout_orders.notices.writing.templates import LINK
from callout_people.principals import Right, require_right
from callout_store.errors import BadField
from callout_store.ids import parse_id

PAGE: Final = 50
PAGE_HEADERS: Final = {
    # Mails are shown in frames of their own, which may run nothing and load nothing.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "frame-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
}

AnyRequest = Request[Any, Any, Any]


@get("/sink", media_type=MediaType.HTML, include_in_schema=False)
async def page(request: AnyRequest) -> Response[str]:
    """The page; it holds nothing until somebody has signed in."""
    locale = locale_for(request, None)
    answer = html(sink_page(locale=locale), 200, locale)
    answer.headers.update(PAGE_HEADERS)
    return answer


@get("/sink/messages", include_in_schema=False)
async def messages(request: AnyRequest) -> Response[Any]:
    """Messages of the sink, the newest first. Filters: number, person, medium; `after` goes on."""
    who = await principal_of(request)
    require_right(who, Right.POLICY_MANAGE)
    given = request.query_params
    after = given.get("after")
    try:
        cursor = parse_id(after) if after else None
    except ValueError:
        raise BadField(path="after", why="not a cursor of this list") from None
    settings: Settings = request.app.state.settings
    asked: dict[str, Any] = {
        "medium": given.get("medium") or None,
        "number": given.get("number"),
        "person": given.get("person"),
        "after": cursor,
    }
    async with request.app.state.db.work(who.org_id, actor=who.actor()) as work:
        found = await reading.messages(work, sunk=True, limit=PAGE, **asked)
        answers = await unsent.page(work, limit=PAGE + 1, **asked)
    secret = signing_secret(settings)

    def shown(one: reading.MessageView) -> dict[str, Any]:
        path = (
            ""
            if one.first_notice_id is None
            else f"{links.PATH}/{links.token(secret, who.org_id, one.first_notice_id)}"
        )
        values = msgspec.structs.asdict(one)
        values["body"] = one.body.replace(LINK, settings.base_url + path)
        values["subject"] = one.subject.replace(LINK, settings.base_url + path)
        return values | {"link": path, "host": urlsplit(settings.base_url).netloc}

    # Ids sort by time: of both the newest together, and the last one shown is where it goes on.
    items = sorted(
        [*map(shown, found.items), *map(_answer, answers)], key=lambda one: one["id"], reverse=True
    )
    more = found.has_more or len(items) > PAGE
    return Response(
        {"items": items[:PAGE], "after": str(items[PAGE - 1]["id"]) if more else None},
        headers={**HEADERS, "Vary": "Authorization"},
        media_type=MediaType.JSON,
    )


def _answer(one: unsent.Unsent) -> dict[str, Any]:
    """An answer of a channel, as the page draws messages."""
    mail = one.medium == "email"
    return {
        "id": one.id,
        "medium": one.medium,
        "address": one.peer,
        "names": [],
        "numbers": [one.number] if one.number else [],
        "mentions": [],
        "urgent": False,
        "digest": False,
        "wants_ack": False,
        "locale": one.locale,
        "subject": one.subject,
        "body": f'<p style="white-space:pre-wrap">{escape(one.text)}</p>' if mail else one.text,
        "created_at": one.at,
        "link": "",
    }


ROUTES: tuple[ControllerRouterHandler, ...] = (page, messages)
