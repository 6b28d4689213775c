"""The customer's form: `GET /r/{organisation}` shows it, `POST /r/{organisation}` sends it (a form, or JSON).

No account and no cookie. What keeps the door from being abused: calls are counted by address and by organisation, a field
that people do not see, and a key that makes sending twice one order. Everything that is wrong is said at once, beside the
fields, and nothing that was typed or uploaded is lost meanwhile.
"""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog
from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import UploadFile
from litestar.types import ControllerRouterHandler

from callout_backend import kept_files
from callout_backend.doors.bodies import read_json
from callout_backend.doors.identity import client_address
from callout_backend.doors.signoff import CUSTOMER, HEADERS, html, locale_for
from callout_backend.jobs.channels import linker
from callout_backend.kept_files import Kept
from callout_backend.problems import current_request_id, problem_response, translate
from callout_backend.web import request_page
from callout_orders.channels import accounts, files
from callout_orders.channels.conversations import offering, typed
from callout_orders.channels.refusals import FileRefused, FormClosed, FormFilledByMachine
from callout_orders.channels.terms import Account
from callout_orders.checks import FieldsRefused
from callout_orders.kinds import versions
from callout_orders.kinds.terms import Kind
from callout_orders.knowledge.offers import Offer
from callout_orders.precheck.taking import take
from callout_orders.precheck.terms import Request as Asked
from callout_orders.precheck.terms import Taken
from callout_orders.terms import Channel
from callout_people import organisations
from callout_people.organisations import Organisation
from callout_people.throttle import Limit, count_calls, network
from callout_store.errors import BadField, InternalFault, LimitExceeded, Refusal
from callout_store.ids import new_secret
from callout_store.work import Database, Work

BODY_BYTES_MAX: Final = 64 * 1024 * 1024
BY_ADDRESS: Final = Limit(60, 3600)
BY_ORGANISATION: Final = Limit(3000, 3600)
KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,80}")
"""Whoever knows it is shown the order that it led to: it is random, and long."""
VALUE_CHARS_MAX: Final = 8000

log = structlog.get_logger(__name__)

AnyRequest = Request[Any, Any, Any]


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation's form: its account, and the kinds that may be chosen."""

    organisation: Organisation
    account: Account
    kinds: tuple[Kind, ...]

    def kind(self, code: str | None) -> Kind:
        """The kind with this code, else the account's, else the first."""
        wanted = (code, self.account.default_kind)
        return next((k for one in wanted for k in self.kinds if k.code == one), self.kinds[0])


class Sent(msgspec.Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent, as JSON. `key`: 16 to 80 characters of the sender's own; the same again leads to the same order.
    `files`: ids that `POST /r/{organisation}/files?key=…` answered."""

    description: str = ""
    key: str | None = None
    kind: str | None = None
    contact_name: str | None = None
    contact_phone: str | None = None
    contact_email: str | None = None
    customer_name: str | None = None
    address: str | None = None
    serial: str | None = None
    product: str | None = None
    error_code: str | None = None
    fields: dict[str, Any] = {}
    files: list[UUID] = []
    website: str = ""
    locale: str | None = None


@get("/r/{slug:str}", media_type=MediaType.HTML, include_in_schema=False)
async def show(request: AnyRequest) -> Response[str]:
    """The form; `?kind=` chooses what it is about, `?lang=` the language."""
    try:
        form = await _form(request)
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
        form = await _form(request)
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
    request_max_body_size=files.FILE_BYTES_MAX,
    status_code=201,
    include_in_schema=False,
)
async def upload(request: AnyRequest) -> Response[Any]:
    """Bring a file before the request, as raw bytes with its Content-Type: 201 `{"id","mediaType","sizeBytes"}`."""
    try:
        form = await _form(request)
        await _count(request, form)
        key = _key(request.query_params.get("key"), needed=True)
        name = request.query_params.get("name", "")
        kept = await _keep(request, form, await request.body(), request.content_type[0])
        if kept.code is not None:
            raise FileRefused(why=kept.code, limit=files.FILE_BYTES_MAX // (1024 * 1024), path="file")
        id_ = await _database(request).run(
            form.organisation.id, lambda work: _note(work, form, key, name, kept), actor=CUSTOMER
        )
        answer = {"id": str(id_), "mediaType": kept.media_type, "sizeBytes": kept.size_bytes}
        return Response(answer, status_code=201, headers=HEADERS, media_type=MediaType.JSON)
    except Exception as exc:
        return problem_response(_refusal(request, exc), request, headers=HEADERS)


async def _send_json(request: AnyRequest, form: Form) -> Response[Any]:
    sent = await read_json(request, Sent)
    if sent.website:
        raise FormFilledByMachine(path="website")
    key = _key(sent.key or request.headers.get("idempotency-key"))
    locale = sent.locale if sent.locale in ("en", "zh") else locale_for(request, None)
    values = {name: getattr(sent, name) for name in Sent.__struct_fields__}
    asked = _asked(form, form.kind(sent.kind), values, dict(sent.fields), key, locale, explicit=sent.kind)

    async def act(work: Work) -> tuple[Taken, str | None, list[Offer], str | None]:
        brought = await files.held(work, sent.files, _holder(key))
        taken, link = await _take(request, work, asked, brought, locale)
        return taken, link, *await _answers(request, work, taken, locale)

    taken, link, offered, answers = await _database(request).run(form.organisation.id, act, actor=CUSTOMER)
    answer = {
        "number": taken.number,
        "existing": taken.existing,
        "follow": link,
        "answers": [
            {"title": one.title, "body": one.body, "workaround": one.workaround, "locale": one.locale}
            for one in offered
        ],
        "answersLink": answers,
    }
    status = 200 if taken.existing else 201
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
    key = _key(values["key"])
    # Kept before anything is judged: a form that comes back for a digit has not lost its pictures.
    faults = await _keep_all(request, form, key, given.getall("files", []))
    own = typed.values_of(kind, {f.code: values[f"fields.{f.code}"] for f in kind.fields})
    asked = _asked(form, kind, values, own, key, locale, explicit=kind.code)

    async def act(work: Work) -> tuple[Taken, str | None, list[Offer], str | None]:
        taken, link = await _take(request, work, asked, await files.of_holder(work, _holder(key)), locale)
        return taken, link, *await _answers(request, work, taken, locale)

    db = _database(request)
    try:
        if faults:
            raise FieldsRefused(faults)
        taken, link, offered, answers = await db.run(form.organisation.id, act, actor=CUSTOMER)
    except (FieldsRefused, BadField, LimitExceeded) as refusal:
        async with db.work(form.organisation.id, actor=CUSTOMER) as work:
            kept = await files.of_holder(work, _holder(key))
        page = _page(form, kind, values=values, faults=_faults(refusal), kept=kept, key=key, locale=locale)
        return html(page, 422, locale)
    page = request_page.sent_page(
        organisation=form.organisation.name,
        number=taken.number,
        existing=taken.existing,
        link=link,
        answers=[{"title": one.title, "body": one.body} for one in offered],
        answers_link=answers,
        locale=locale,
    )
    return html(page, 200, locale)


async def _take(
    request: AnyRequest, work: Work, asked: Asked, brought: Sequence[files.FileView], locale: str
) -> tuple[Taken, str | None]:
    """Make the order with its files, and the address at which it is followed."""
    taken = await take(work, msgspec.structs.replace(asked, files=files.as_request(brought)))
    await files.to_order(work, [one.id for one in brought], taken.id)
    link = linker(request.app.state.settings.base_url)
    return taken, await link(work, taken.id, locale, place=taken.place_said)


async def _answers(
    request: AnyRequest, work: Work, taken: Taken, locale: str
) -> tuple[list[Offer], str | None]:
    """What may help at once, and the address of the page where its customer says whether it did."""
    offered = await offering.offered(work, taken)
    link = linker(request.app.state.settings.base_url)
    return offered, await link(work, taken.id, locale, about="answers") if offered else None


def _asked(
    form: Form,
    kind: Kind,
    values: Mapping[str, Any],
    own: Mapping[str, Any],
    key: str,
    locale: str,
    *,
    explicit: str | None,
) -> Asked:
    account = form.account

    def text(camel: str, snake: str) -> str | None:
        found = values.get(camel) if camel in values else values.get(snake)
        return found or None

    return Asked(
        channel=Channel.WEB_FORM.value,
        description=str(values.get("description") or ""),
        kind=explicit or account.default_kind,
        priority=account.default_priority,
        locale=locale,
        contact_name=text("contactName", "contact_name"),
        contact_phone=text("contactPhone", "contact_phone"),
        contact_email=text("contactEmail", "contact_email"),
        customer_name=text("customerName", "customer_name"),
        address=text("address", "address"),
        serial=text("serial", "serial"),
        product=text("product", "product"),
        error_code=text("errorCode", "error_code"),
        fields={code: value for code, value in own.items() if value is not None},
        references=((account.code, hashlib.sha256(key.encode()).hexdigest()),),
        may_create=account.may_create,
        # Anybody may know a telephone number or a serial: the answer tells nothing of whom they lead to.
        stranger=True,
    )


async def _keep_all(request: AnyRequest, form: Form, key: str, given: Sequence[Any]) -> list[BadField]:
    """Keep the files of a form; what is wrong with those that cannot be kept."""
    faults: list[BadField] = []
    for index, one in enumerate(one for one in given if isinstance(one, UploadFile)):
        data = await one.read()
        await one.close()
        if not data and not one.filename:
            # What a browser sends of an input without a file.
            continue
        name = one.filename or ""
        kept = await _keep(request, form, data, one.content_type)
        if kept.code is not None:
            faults.append(files.refused(f"files.{index}", kept.code))
            continue
        try:
            await _database(request).run(
                form.organisation.id,
                lambda work, name=name, kept=kept: _note(work, form, key, name, kept),  # type: ignore[misc]
                actor=CUSTOMER,
            )
        except LimitExceeded as refusal:
            faults.append(BadField(path="files", why=refusal.message("en")))
            break
    return faults


async def _keep(request: AnyRequest, form: Form, data: bytes, declared: str) -> Kept:
    return await kept_files.keep(request.app.state.storage, form.organisation.id, data, declared=declared)


async def _note(work: Work, form: Form, key: str, name: str, kept: Kept) -> UUID:
    id_ = await files.add_stored(
        work,
        holder=_holder(key),
        name=name,
        media_type=kept.media_type,
        size_bytes=kept.size_bytes,
        sha256=kept.sha256,
        channel_id=form.account.id,
    )
    await kept_files.note(work, kept)
    return id_


async def _form(request: AnyRequest) -> Form:
    slug = str(request.path_params["slug"]).lower()
    if not organisations.is_slug(slug):
        raise FormClosed()
    db = _database(request)
    async with db.work(None, org_slug=slug) as work:
        organisation = await organisations.organisation_by_slug(work, slug)
    if organisation is None:
        raise FormClosed()
    async with db.work(organisation.id, actor=CUSTOMER) as work:
        account = await accounts.form_account(work)
        active = await versions.active(work)
    if account is None:
        raise FormClosed()
    wanted = account.settings.get("kinds") or list(active)
    kinds = tuple(active[code].kind for code in wanted if code in active)
    if not kinds:
        raise FormClosed()
    return Form(organisation=organisation, account=account, kinds=kinds)


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
    db, org = _database(request), form.organisation.id
    await count_calls(db, f"form:{org}:{network(client_address(request))}", BY_ADDRESS)
    await count_calls(db, f"form:{org}", BY_ORGANISATION)


def _key(given: str | None, *, needed: bool = False) -> str:
    if not given and not needed:
        return new_secret(24)
    if not given or not KEY.fullmatch(given):
        raise BadField(
            path="key", why="it is 16 to 80 letters, digits, hyphens and underscores, made at random"
        )
    return given


def _holder(key: str) -> str:
    return f"form:{hashlib.sha256(key.encode()).hexdigest()}"


def _refusal(request: AnyRequest, exc: Exception) -> Refusal:
    refusal = translate(exc, limit_bytes=BODY_BYTES_MAX, method=request.method)
    if refusal is None:
        log.error("request_form_failed", exc_info=exc)
        return InternalFault(request_id=current_request_id() or "?")
    return refusal


def _refused(request: AnyRequest, refusal: Refusal) -> Response[str]:
    locale = locale_for(request, None)
    answer = html(request_page.refused_page(refusal, locale=locale), refusal.status, locale)
    if refusal.retry_after_ms is not None:
        answer.headers["Retry-After"] = str(math.ceil(refusal.retry_after_ms / 1000))
    return answer


def _database(request: AnyRequest) -> Database:
    database: Database = request.app.state.db
    return database


ROUTES: tuple[ControllerRouterHandler, ...] = (show, send, upload)
"""The customer's form."""
