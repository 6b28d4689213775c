"""The customer's form: `GET /r/{organisation}` shows it, `POST /r/{organisation}` sends it (a form, or JSON).

No account and no cookie. What keeps the door from being abused: calls are counted by address and by organisation, a field
that people do not see, and a key that makes sending twice one order. Everything that is wrong is said at once, beside the
fields, and nothing that was typed or uploaded is lost meanwhile.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from litestar import MediaType, Response, get, post
from litestar.types import ControllerRouterHandler

from callout_backend.doors.bodies import read_json
from callout_backend.doors.identity import client_address
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
from callout_backend.doors.request_files import bring, keep_all
from callout_backend.doors.request_terms import Form, Sent, asked_of, form_of, holder_of, key_of
from callout_backend.jobs.channels import linker
from callout_backend.problems import problem_response
from callout_backend.web import request_page
from callout_orders.channels import files
from callout_orders.channels.conversations import offering, strangers, typed
from callout_orders.channels.refusals import FileRefused, FormFilledByMachine
from callout_orders.channels.terms import FILE_BYTES_MAX
from callout_orders.checks import FieldsRefused
from callout_orders.kinds.terms import Kind
from callout_orders.knowledge.offers import Offer
from callout_orders.precheck.taking import take
from callout_orders.precheck.terms import Request as Asked
from callout_orders.terms import Channel
from callout_people.throttle import Limit, count_calls, network
from callout_store.errors import BadField, BodyTooLarge, LimitExceeded, Refusal
from callout_store.ids import new_secret
from callout_store.work import Work

BODY_BYTES_MAX: Final = 64 * 1024 * 1024
JSON_BYTES_MAX: Final = 256 * 1024
"""Of a request without files: those are brought before it."""
BY_ADDRESS: Final = Limit(60, 3600)
BY_ORGANISATION: Final = Limit(3000, 3600)
VALUE_CHARS_MAX: Final = 8000


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever sent is told: no more than that it arrived, where its number would say whether they are known here."""

    existing: bool
    number: str | None = None
    link: str | None = None
    answers: Sequence[Offer] = ()
    """What may help at once."""
    answers_link: str | None = None
    """The page where its customer says whether it did."""


@get("/r/{slug:str}", media_type=MediaType.HTML, include_in_schema=False)
async def show(request: AnyRequest) -> Response[str]:
    """The form; `?kind=` chooses what it is about, `?lang=` the language."""
    try:
        form = await form_of(request)
        locale = locale_for(request, None)
        page = _page(
            form,
            form.kind(request.query_params.get("kind")),
            values={},
            faults=(),
            kept=(),
            key=new_secret(24),
            locale=locale,
        )
        return html(page, 200, locale)
    except Exception as exc:
        return _refused(request, _refusal(request, exc))


@post("/r/{slug:str}", request_max_body_size=BODY_BYTES_MAX, status_code=200, include_in_schema=False)
async def send(request: AnyRequest) -> Response[Any]:
    """Send the form. JSON (`Sent`) is answered with JSON: 201 `{"number","existing","follow","answers"}`, 200 for a key
    that was sent before, problem details with `errors` otherwise."""
    as_json = request.content_type[0] == "application/json"
    try:
        form = await form_of(request)
        await _count(request, form)
        if as_json:
            return await _send_json(request, form)
        return await _send_form(request, form)
    except Exception as exc:
        refusal = _refusal(request, exc)
        if as_json:
            return problem_response(refusal, request, headers=HEADERS)
        return _refused(request, refusal)


@post(
    "/r/{slug:str}/files",
    request_max_body_size=FILE_BYTES_MAX,
    status_code=201,
    include_in_schema=False,
)
async def upload(request: AnyRequest) -> Response[Any]:
    """Bring a file before the request, as raw bytes with its Content-Type: 201 `{"id","mediaType","sizeBytes"}`."""
    try:
        form = await form_of(request)
        await _count(request, form)
        key = key_of(request.query_params.get("key"), needed=True)
        name = request.query_params.get("name", "")
        data, declared = await request.body(), request.content_type[0]
        kept, id_ = await bring(request, form, key, data, name=name, declared=declared)
        if kept.code is not None:
            raise FileRefused(why=kept.code, limit=FILE_BYTES_MAX // (1024 * 1024), path="file")
        answer = {"id": str(id_), "mediaType": kept.media_type, "sizeBytes": kept.size_bytes}
        return Response(answer, status_code=201, headers=HEADERS, media_type=MediaType.JSON)
    except Exception as exc:
        return problem_response(_refusal(request, exc), request, headers=HEADERS)


async def _send_json(request: AnyRequest, form: Form) -> Response[Any]:
    if len(await request.body()) > JSON_BYTES_MAX:
        raise BodyTooLarge(limit=JSON_BYTES_MAX)
    sent = await read_json(request, Sent)
    if sent.website:
        raise FormFilledByMachine(path="website")
    key = key_of(sent.key or request.headers.get("idempotency-key"))
    locale = sent.locale if sent.locale in ("en", "zh") else locale_for(request, None)
    values = {name: getattr(sent, name) for name in Sent.__struct_fields__}
    asked = asked_of(form, form.kind(sent.kind), values, dict(sent.fields), key, locale, explicit=sent.kind)

    async def act(work: Work) -> Arrived:
        brought = await files.held(work, sent.files, holder_of(key), again=asked.references[0])
        return await _arrive(request, work, form, asked, brought)

    arrived = await database_of(request).run(form.organisation.id, act, actor=CUSTOMER)
    answer = {
        "number": arrived.number,
        "existing": arrived.existing,
        "follow": arrived.link,
        "answers": [
            {"title": one.title, "body": one.body, "workaround": one.workaround, "locale": one.locale}
            for one in arrived.answers
        ],
        "answersLink": arrived.answers_link,
    }
    status = 200 if arrived.existing else 201
    return Response(answer, status_code=status, headers=HEADERS, media_type=MediaType.JSON)


async def _send_form(request: AnyRequest, form: Form) -> Response[str]:
    given = await request.form()
    values: dict[str, Any] = {
        name: str(given.get(name) or "")[:VALUE_CHARS_MAX]
        for name in (*request_page.NAMES, "kind", "key", "website", "lang")
    }
    kind = form.kind(values["kind"])
    for field in kind.fields:
        found = [
            str(one)[:VALUE_CHARS_MAX]
            for one in given.getall(f"fields.{field.code}", [])
            if isinstance(one, str)
        ]
        values[f"fields.{field.code}"] = found if field.type.value == "choices" else "".join(found[:1])
    locale = values["lang"] if values["lang"] in ("en", "zh") else locale_for(request, None)
    if values["website"]:
        raise FormFilledByMachine(path="website")
    key = key_of(values["key"])
    # Kept before anything is judged: a form that comes back for a digit has not lost its pictures.
    faults = await keep_all(request, form, key, given.getall("files", []))
    own = typed.values_of(kind, {f.code: values[f"fields.{f.code}"] for f in kind.fields})
    asked = asked_of(form, kind, values, own, key, locale, explicit=kind.code)

    async def act(work: Work) -> Arrived:
        return await _arrive(request, work, form, asked, await files.of_holder(work, holder_of(key)))

    db = database_of(request)
    try:
        if faults:
            raise FieldsRefused(faults)
        arrived = await db.run(form.organisation.id, act, actor=CUSTOMER)
    except (FieldsRefused, BadField, LimitExceeded) as refusal:
        async with db.work(form.organisation.id, actor=CUSTOMER) as work:
            kept = await files.of_holder(work, holder_of(key))
        page = _page(form, kind, values=values, faults=_faults(refusal), kept=kept, key=key, locale=locale)
        return html(page, 422, locale)
    page = request_page.sent_page(
        organisation=form.organisation.name,
        number=arrived.number,
        existing=arrived.existing,
        link=arrived.link,
        answers=[{"title": one.title, "body": one.body} for one in arrived.answers],
        answers_link=arrived.answers_link,
        locale=locale,
    )
    return html(page, 200, locale)


async def _arrive(
    request: AnyRequest, work: Work, form: Form, asked: Asked, brought: Sequence[files.FileView]
) -> Arrived:
    """Make the order with its files, and say where it is followed and what may help at once."""
    asked = msgspec.structs.replace(asked, files=files.as_request(brought))
    ids = [one.id for one in brought]
    if not await strangers.are_told(work, form.account, asked.channel):
        return Arrived(existing=await strangers.arrive(work, form.account, asked, ids))
    taken = await take(work, asked)
    await files.to_order(work, ids, taken.id)
    link = linker(request.app.state.settings.base_url)
    follow = await link(work, taken.id, asked.locale, place=taken.place_said)
    offered = await offering.offered(work, taken)
    return Arrived(
        number=taken.number,
        existing=taken.existing,
        link=follow,
        answers=offered,
        answers_link=await link(work, taken.id, asked.locale, about="answers") if offered else None,
    )


def _page(
    form: Form,
    kind: Kind,
    *,
    values: Mapping[str, Any],
    faults: Sequence[Mapping[str, str]],
    kept: Sequence[files.FileView],
    key: str,
    locale: str,
) -> str:
    settings = form.account.settings
    intro = {"en": settings.get("introEn"), "zh": settings.get("introZh")}
    first = intro["en"] or intro["zh"]
    return request_page.form_page(
        organisation=form.organisation.name,
        intro={one: str(text or first) for one, text in intro.items()} if first else None,
        kinds=form.kinds,
        kind=kind,
        channel=Channel.WEB_FORM.value,
        values=values,
        faults=faults,
        kept=kept,
        key=key,
        locale=locale,
    )


def _faults(refusal: Refusal) -> list[dict[str, str]]:
    """What is wrong, one by one, in both languages."""
    several = refusal.extensions().get("errors")
    if several:
        return [{name: str(one[name]) for name in ("path", "en", "zh")} for one in several]
    return FieldsRefused([refusal]).extensions()["errors"]  # type: ignore[list-item,no-any-return]


async def _count(request: AnyRequest, form: Form) -> None:
    db, org = database_of(request), form.organisation.id
    await count_calls(db, f"form:{org}:{network(client_address(request))}", BY_ADDRESS)
    await count_calls(db, f"form:{org}", BY_ORGANISATION)


def _refusal(request: AnyRequest, exc: Exception) -> Refusal:
    return refusal_of(request, exc, limit_bytes=BODY_BYTES_MAX, event="request_form_failed")


def _refused(request: AnyRequest, refusal: Refusal) -> Response[str]:
    locale = locale_for(request, None)
    return refused(refusal, request_page.refused_page(refusal, locale=locale), locale)


ROUTES: tuple[ControllerRouterHandler, ...] = (show, send, upload)
"""The customer's form."""
