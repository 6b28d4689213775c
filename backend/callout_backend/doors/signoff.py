"""The customer's door: `GET /s/{token}` shows what was done, `POST /s/{token}` signs it, once.

The token in the address is the right (`pages`). Looking changes nothing, so that a mail scanner that opens the link consumes
nothing.
"""

from typing import Any

from litestar import MediaType, Response, get, post
from litestar.types import ControllerRouterHandler

from callout_backend.doors.bodies import read_json
from callout_backend.doors.pages import (
    CUSTOMER,
    HEADERS,
    AnyRequest,
    database_of,
    html,
    locale_for,
    refusal_of,
    refused,
)
from callout_backend.problems import problem_response
from callout_backend.web.signoff_page import closed_page, form_page, signed_page
from callout_dispatch.visits import customer_signed_by_link
from callout_orders import signoff
from callout_orders.signoff import Consumed, LinkView, SignOff
from callout_store.errors import (
    Refusal,
    SignOffLinkExpired,
    SignOffLinkInvalid,
    SignOffLinkUsed,
)
from callout_store.work import Work

BODY_BYTES_MAX = 600_000
"""A signature at its limit of 20,000 points, with room."""

_STATES: dict[type[Refusal], str] = {
    SignOffLinkUsed: "used",
    SignOffLinkExpired: "expired",
    SignOffLinkInvalid: "unknown",
}


@get("/s/{token:str}", media_type=MediaType.HTML, include_in_schema=False)
async def show(request: AnyRequest) -> Response[str]:
    """The page of a link: 200 to sign, 410 used or expired, 404 unknown."""
    view: LinkView | None = None
    try:
        token: str = request.path_params["token"]
        async with database_of(request).work(signoff.organisation_of(token), actor=CUSTOMER) as work:
            view = await signoff.open_link(work, token)
        _refuse_closed(view)
        locale = locale_for(request, view.locale)
        return html(form_page(view, locale=locale), 200, locale)
    except Exception as exc:
        return _refused(request, exc, view)


@post("/s/{token:str}", request_max_body_size=BODY_BYTES_MAX, status_code=200, include_in_schema=False)
async def sign(request: AnyRequest) -> Response[Any]:
    """Sign with a link. JSON (`SignOff`) is answered with JSON or problem details, a plain form with a page.

    200 `{"state":"signed","decision","summarySha256","eventId"}`.
    """
    as_json = request.content_type[0] == "application/json"
    try:
        token: str = request.path_params["token"]
        org_id = signoff.organisation_of(token)
        given = await read_json(request, SignOff) if as_json else _read_form(await request.form())

        async def act(work: Work) -> Consumed:
            consumed = await signoff.consume(work, token, given)
            await customer_signed_by_link(
                work,
                event_id=consumed.event_id,
                visit_id=consumed.visit_id,
                order_id=consumed.order_id,
                signer_name=consumed.signer_name,
                decision=consumed.decision,
                rating=consumed.rating,
                reason=consumed.reason,
            )
            return consumed

        consumed = await database_of(request).run(org_id, act, actor=CUSTOMER)
    except Exception as exc:
        if as_json:
            return problem_response(_refusal(request, exc), request, headers=HEADERS)
        return _refused(request, exc, None)
    if as_json:
        return Response(
            {
                "state": "signed",
                "decision": consumed.decision,
                "summarySha256": consumed.summary_sha256,
                "eventId": str(consumed.event_id),
            },
            headers=HEADERS,
            media_type=MediaType.JSON,
        )
    locale = locale_for(request, None)
    return html(signed_page(consumed.decision, locale=locale), 200, locale)


def _refuse_closed(view: LinkView) -> None:
    for refusal, state in _STATES.items():
        if view.state == state:
            raise refusal()


def _read_form(form: Any) -> SignOff:
    """A form that was sent without JavaScript: the typed name is the signature."""
    fields = {name: str(form.get(name) or "") for name in ("signerName", "decision", "reason", "rating")}
    rating = fields["rating"].strip()
    return SignOff(
        signer_name=fields["signerName"],
        decision=fields["decision"],
        reason=fields["reason"] or None,
        rating=int(rating) if rating in ("1", "2", "3", "4", "5") else None,
    )


def _refusal(request: AnyRequest, exc: Exception) -> Refusal:
    return refusal_of(request, exc, limit_bytes=BODY_BYTES_MAX, event="sign_off_failed")


def _refused(request: AnyRequest, exc: Exception, view: LinkView | None) -> Response[str]:
    refusal = _refusal(request, exc)
    locale = locale_for(request, view.locale if view is not None else None)
    page = closed_page(_STATES.get(type(refusal), "refused"), refusal, locale=locale, view=view)
    return refused(refusal, page, locale)


ROUTES: tuple[ControllerRouterHandler, ...] = (show, sign)
