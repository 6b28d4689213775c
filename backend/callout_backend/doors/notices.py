"""A reader's own link: `GET /n/{token}` shows the matter, `POST /n/{token}` says that it was read, or acknowledged.

Chat clients and mail scanners fetch every link for a preview, so that a GET says nothing about a person and changes nothing.
A browser that shows the page runs its script, which posts at once: for a person it is one tap. Where no script runs there is
a button. The mail's pixel, a GET by nature, counts only where the organisation has switched it on.

The token in the address is the right (`pages`).
"""

import base64
from typing import Any, Final

import msgspec
from litestar import MediaType, Response, get, post
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from callout_backend.doors.pages import (
    HEADERS,
    AnyRequest,
    database_of,
    html,
    locale_for,
    refusal_of,
    refused,
)
from callout_backend.notify import links
from callout_backend.notify.targets import target
from callout_backend.problems import problem_response
from callout_backend.settings import Settings, signing_secret
from callout_backend.web.notice_page import closed_page, notice_page
from callout_orders.notices import opened, states
from callout_store.errors import NoticeLinkInvalid, Refusal
from callout_store.work import Actor, Work

READER: Final = Actor(role="reader")
BODY_BYTES_MAX: Final = 4_096
PIXEL: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
ACTS: Final = frozenset({"read", "acknowledge", "answers"})


@get("/n/{token:str}", media_type=MediaType.HTML, include_in_schema=False)
async def show(request: AnyRequest) -> Response[str]:
    """The page of a link; nothing is marked."""
    try:
        found = await _look(request)
        locale = locale_for(request, found.locale)
        return html(notice_page(found, locale=locale, done=None), 200, locale)
    except Exception as exc:
        refusal = _refusal(request, exc)
        locale = locale_for(request, None)
        return refused(refusal, closed_page(refusal, locale=locale), locale)


@post("/n/{token:str}", request_max_body_size=BODY_BYTES_MAX, status_code=200, include_in_schema=False)
async def tell(request: AnyRequest) -> Response[Any]:
    """Mark as read (`act=read`) or acknowledged (`act=acknowledge`). JSON is answered with JSON, a form with a page or a
    redirect to where it leads on (`targets.py`). Any number of times. `act=answers` leads on to the answers offered only."""
    as_json = request.content_type[0] == "application/json"
    try:
        act = await _act(request, as_json)
        named = links.read(signing_secret(request.app.state.settings), request.path_params["token"])

        settings: Settings = request.app.state.settings

        async def mark(work: Work) -> tuple[opened.Opened, str | None]:
            found = await opened.open_notice(work, named.notice_id)
            if act == "acknowledge":
                # Before the notices: it holds the order.
                await states.acknowledge(work, named.notice_id)
            await states.read(work, found.together)
            found = await opened.open_notice(work, named.notice_id)
            leads = act == "read" or (act == "answers" and found.answers_for is not None)
            days = settings.signoff_days
            further = (
                await target(work, found, base_url=settings.base_url, signoff_days=days) if leads else None
            )
            return found, further

        found, further = await database_of(request).run(named.org_id, mark, actor=READER)
    except Exception as exc:
        refusal = _refusal(request, exc)
        if as_json:
            return problem_response(refusal, request, headers=HEADERS)
        locale = locale_for(request, None)
        return refused(refusal, closed_page(refusal, locale=locale), locale)
    if as_json:
        answer = {"state": found.state, "goOn": further}
        return Response(answer, headers=HEADERS, media_type=MediaType.JSON)
    if further is not None:
        return Redirect(further, status_code=303, headers=HEADERS)
    locale = locale_for(request, found.locale)
    return html(notice_page(found, locale=locale, done=act), 200, locale)


@get("/n/{token:str}/pixel.gif", include_in_schema=False)
async def pixel(request: AnyRequest) -> Response[bytes]:
    """A mail's pixel. It counts where it is switched on, and is the same picture everywhere."""
    try:
        named = links.read(signing_secret(request.app.state.settings), request.path_params["token"])

        async def mark(work: Work) -> None:
            await opened.seen_by_pixel(work, named.notice_id)

        await database_of(request).run(named.org_id, mark, actor=READER)
    except Exception as exc:
        _refusal(request, exc)
    return Response(PIXEL, media_type="image/gif", headers=HEADERS)


async def _act(request: AnyRequest, as_json: bool) -> str:
    given: Any
    if as_json:
        try:
            given = msgspec.json.decode(await request.body() or b"{}")
        except msgspec.DecodeError:
            given = {}
    else:
        given = await request.form()
    act = given.get("act") if hasattr(given, "get") else None
    return act if isinstance(act, str) and act in ACTS else "read"


async def _look(request: AnyRequest) -> opened.Opened:
    named = links.read(signing_secret(request.app.state.settings), request.path_params["token"])
    async with database_of(request).work(named.org_id, actor=READER) as work:
        return await opened.open_notice(work, named.notice_id)


def _refusal(request: AnyRequest, exc: Exception) -> Refusal:
    refusal = refusal_of(request, exc, limit_bytes=BODY_BYTES_MAX, event="notice_link_failed")
    return NoticeLinkInvalid() if refusal.status == 404 else refusal


ROUTES: tuple[ControllerRouterHandler, ...] = (show, tell, pixel)
