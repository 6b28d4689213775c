"""Doors for people and devices: sign in and out, refresh, enrol a phone, make an enrolment code, revoke a device.

Answers carry tokens, so they are never to be stored by anything between (`Cache-Control: no-store`).
"""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import Meta, Struct

from callout_backend.doors.bodies import only_json, read_json
from callout_backend.doors.identity import authenticate, client_address, principal_of
from callout_people import organisations, users
from callout_people.organisations import Organisation
from callout_people.passwords import shared
from callout_people.principals import RIGHTS, Principal, Right, Role, require_right
from callout_people.sessions import Tokens
from callout_people.sign_in import SignIn
from callout_people.throttle import LIMITS, Throttle
from callout_store.errors import DeviceRevoked, EnrolmentCodeInvalid, NotAuthenticated
from callout_store.ids import parse_id
from callout_store.work import Database
from callout_sync import devices

AnyRequest = Request[Any, Any, Any]

Slug = Annotated[str, Meta(min_length=1, max_length=63)]
Secret = Annotated[str, Meta(min_length=1, max_length=200)]
Name = Annotated[str, Meta(min_length=1, max_length=devices.NAME_MAX)]
Label = Annotated[str, Meta(max_length=devices.NAME_MAX)]
NO_STORE: Final = CacheControlHeader(no_store=True)


# --- requests ----------------------------------------------------------------------------------------------------


class Body(Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request's body: camelCase, and a misspelt name is refused."""


class LoginBody(Body, frozen=True, kw_only=True):
    """`organisation` is the slug."""

    organisation: Slug
    email: Annotated[str, Meta(min_length=3, max_length=254)]
    password: Secret


class RefreshBody(Body, frozen=True, kw_only=True):
    """The refresh token of the latest answer."""

    refresh_token: Secret


class EnrolBody(Body, frozen=True, kw_only=True):
    """What the QR picture says: `organisation` is its `org` (or the slug, typed by hand), `code` its code."""

    organisation: Slug
    code: Annotated[str, Meta(min_length=1, max_length=40)]
    device_name: Name
    platform: Label = ""
    app_version: Label = ""


class CodeBody(Body, frozen=True, kw_only=True):
    """Whom the phone is for."""

    user_id: UUID


class RevokeBody(Body, frozen=True, kw_only=True):
    """Why; the journal keeps it."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)]


# --- answers -----------------------------------------------------------------------------------------------------


class Answer(Struct, rename="camel", frozen=True, kw_only=True):
    """An answer's body: camelCase."""


class UserAnswer(Answer, frozen=True, kw_only=True):
    """A user, as themselves."""

    id: UUID
    name: str
    role: Role
    locale: str


class OrganisationAnswer(Answer, frozen=True, kw_only=True):
    """A tenant, as its people see it."""

    id: UUID
    slug: str
    name: str
    locale: str
    time_zone: str


class TokensAnswer(Answer, frozen=True, kw_only=True):
    """`accessToken` for the Authorization header for `expiresInS` seconds; `refreshToken` for one refresh."""

    access_token: str
    expires_in_s: int
    refresh_token: str
    session_id: UUID
    token_type: str = "Bearer"


class SignedInAnswer(TokensAnswer, frozen=True, kw_only=True):
    """Tokens, and whose they are. `deviceId` is set after an enrolment only."""

    user: UserAnswer
    organisation: OrganisationAnswer
    device_id: UUID | None = None


class MeAnswer(Answer, frozen=True, kw_only=True):
    """The caller, and what their role may do in the whole organisation."""

    user: UserAnswer
    organisation: OrganisationAnswer
    session_id: UUID
    device_id: UUID | None
    rights: list[Right]


class CodeAnswer(Answer, frozen=True, kw_only=True):
    """An enrolment code: for typing (`code`), for a link (`payload`), and as a picture (`qrSvg`). Shown once."""

    code: str
    payload: str
    qr_svg: str
    expires_at: datetime
    user_id: UUID


class RevokedAnswer(Answer, frozen=True, kw_only=True):
    """`changed` is false where the device had been revoked before."""

    device_id: UUID
    changed: bool


# --- doors -------------------------------------------------------------------------------------------------------


@post("/auth/login", status_code=200, cache_control=NO_STORE, before_request=only_json)
async def login(request: AnyRequest, data: JSONBody[LoginBody]) -> SignedInAnswer:
    """Sign in by organisation, e-mail and password."""
    done = await _sign_in(request).login(
        slug=data.organisation, email=data.email, password=data.password, address=client_address(request)
    )
    return _signed_in(done.tokens, _user(done.principal), done.organisation)


@post("/auth/refresh", status_code=200, cache_control=NO_STORE, before_request=only_json)
async def refresh(request: AnyRequest, data: JSONBody[RefreshBody]) -> TokensAnswer:
    """Trade the refresh token for fresh tokens."""
    tokens = await _sign_in(request).refresh(
        refresh_token=data.refresh_token, address=client_address(request)
    )
    return TokensAnswer(**msgspec.structs.asdict(tokens))


@post("/auth/logout", status_code=204, cache_control=NO_STORE, before_request=only_json)
async def logout(request: AnyRequest) -> None:
    """End the session of the access token, or where that has run out, of the `refreshToken` in the body."""
    state = request.app.state
    given = await read_json(request, RefreshBody) if (await request.body()).strip() else None
    try:
        principal = await authenticate(state.db, state.issuer, request.headers.get("authorization"))
    except (NotAuthenticated, DeviceRevoked):
        if given is None:
            raise
        principal = None
    if principal is not None:
        await _sign_in(request).logout(principal)
    elif given is not None:
        await _sign_in(request).logout_by_refresh_token(given.refresh_token)
    else:
        raise NotAuthenticated()


@post("/auth/enrol", status_code=200, cache_control=NO_STORE, before_request=only_json)
async def enrol(request: AnyRequest, data: JSONBody[EnrolBody]) -> SignedInAnswer:
    """Use an enrolment code up: the phone gets its device id and its first tokens."""
    state = request.app.state
    db: Database = state.db
    org_id = await _organisation_id(db, data.organisation)
    throttle = Throttle(db, state.issuer, state.get("attempt_limits", LIMITS))
    counted = await throttle.enrol(org_id=org_id, address=client_address(request))
    async with db.work(org_id) as work:
        done = await devices.enrol(
            work,
            state.issuer,
            data.code,
            name=data.device_name,
            platform=data.platform,
            app_version=data.app_version,
        )
        user = (await users.users_by_ids(work, [done.user_id]))[0]
        organisation = await organisations.organisation(work)
    await throttle.take_back(counted)
    assert user is not None
    answer = UserAnswer(id=user.id, name=user.name, role=user.role, locale=user.locale)
    return _signed_in(done.tokens, answer, organisation, device_id=done.device_id)


@get("/auth/me", cache_control=NO_STORE)
async def me(request: AnyRequest) -> MeAnswer:
    """Who the access token belongs to."""
    principal = await principal_of(request)
    async with request.app.state.db.work(principal.org_id, actor=principal.actor()) as work:
        organisation = await organisations.organisation(work)
    return MeAnswer(
        user=_user(principal),
        organisation=_organisation(organisation),
        session_id=principal.session_id,
        device_id=principal.device_id,
        rights=[right for right in Right if principal.role in RIGHTS[right]],
    )


@post("/devices/enrolment-codes", status_code=201, cache_control=NO_STORE, before_request=only_json)
async def make_code(request: AnyRequest, data: JSONBody[CodeBody]) -> CodeAnswer:
    """Make a one-time code that enrols a phone for a user."""
    principal = await principal_of(request)
    require_right(principal, Right.DEVICES_ENROL)
    state = request.app.state
    async with state.db.work(principal.org_id, actor=principal.actor()) as work:
        made = await devices.create_enrolment_code(work, data.user_id, now=state.issuer.now())
    payload = devices.enrolment_payload(
        server=state.settings.base_url, org_id=principal.org_id, code=made.code
    )
    return CodeAnswer(
        code=made.code,
        payload=payload,
        qr_svg=devices.qr_svg(payload),
        expires_at=made.expires_at,
        user_id=made.user_id,
    )


@post("/devices/{device_id:uuid}/revoke", status_code=200, cache_control=NO_STORE, before_request=only_json)
async def revoke(request: AnyRequest, device_id: FromPath[UUID], data: JSONBody[RevokeBody]) -> RevokedAnswer:
    """Shut a phone out: its sessions end, and a push that is running commits nothing more."""
    principal = await principal_of(request)
    require_right(principal, Right.DEVICES_REVOKE)
    async with request.app.state.db.work(principal.org_id, actor=principal.actor()) as work:
        changed = await devices.revoke(work, device_id, data.reason)
    return RevokedAnswer(device_id=device_id, changed=changed)


ROUTES: list[ControllerRouterHandler] = [login, refresh, logout, enrol, me, make_code, revoke]


# --- parts -------------------------------------------------------------------------------------------------------


def _sign_in(request: AnyRequest) -> SignIn:
    state = request.app.state
    return SignIn(
        state.db,
        state.issuer,
        passwords=shared(state.settings.password_threads),
        limits=state.get("attempt_limits", LIMITS),
    )


async def _organisation_id(db: Database, text: str) -> UUID:
    """The organisation by id or by slug. An id is not looked up: a code of nowhere is refused like any wrong code."""
    try:
        return parse_id(text)
    except ValueError:
        pass
    slug = text.strip().lower()
    if not organisations.is_slug(slug):
        raise EnrolmentCodeInvalid()
    async with db.work(None, org_slug=slug) as work:
        found = await organisations.organisation_by_slug(work, slug)
    if found is None:
        raise EnrolmentCodeInvalid()
    return found.id


def _signed_in(
    tokens: Tokens, user: UserAnswer, organisation: Organisation, *, device_id: UUID | None = None
) -> SignedInAnswer:
    return SignedInAnswer(
        **msgspec.structs.asdict(tokens),
        user=user,
        organisation=_organisation(organisation),
        device_id=device_id,
    )


def _user(principal: Principal) -> UserAnswer:
    return UserAnswer(id=principal.user_id, name=principal.name, role=principal.role, locale=principal.locale)


def _organisation(row: Organisation) -> OrganisationAnswer:
    return OrganisationAnswer(
        id=row.id, slug=row.slug, name=row.name, locale=row.locale, time_zone=row.time_zone
    )
