"""`/cards/{organisation}/{channel}`: where WeCom says that somebody pressed a card's button, which acknowledges the notice.

The call is signed and encrypted with the application's callback token and EncodingAESKey (the channel's secrets
`callback_token` and `aes_key`); the button's key is the reader's own link, so that a call can name no other notice. A call
that comes twice acknowledges once.
"""

import time
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog
from litestar import Request, Response, get, post
from litestar.types import ControllerRouterHandler

from callout_backend.doors.chat import FORGERIES
from callout_backend.doors.identity import client_address, organisation_at
from callout_backend.notify import links
from callout_backend.settings import signing_secret
from callout_orders.channels.chat import ciphers, flat_xml
from callout_orders.channels.chat.calls import WINDOW_S
from callout_orders.channels.chat.ciphers import BadKey, Forged
from callout_orders.channels.chat.flat_xml import BadXml
from callout_orders.channels.refusals import CallForged
from callout_orders.notices import channels, states
from callout_people.throttle import count_calls, network
from callout_store.errors import NoSuchAddress, NotFound, NoticeLinkInvalid
from callout_store.ids import parse_id
from callout_store.work import Actor, Database, Work

CHANNEL: Final = Actor(role="channel")
BODY_BYTES_MAX: Final = 65_536

log = structlog.get_logger(__name__)

AnyRequest = Request[Any, Any, Any]


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """What an application's calls are checked with."""

    org_id: UUID
    token: str
    aes_key: str
    corp_id: str


@get("/cards/{slug:str}/{channel:str}", include_in_schema=False)
async def verify(request: AnyRequest) -> Response[str]:
    """WeCom asks whether this address holds the application's key."""
    keys = await _keys(request)
    echo = request.query_params.get("echostr", "")
    opened = await _opened(request, keys, echo)
    return Response(opened.decode("utf-8", "replace"), media_type="text/plain")


@post(
    "/cards/{slug:str}/{channel:str}",
    request_max_body_size=BODY_BYTES_MAX,
    status_code=200,
    include_in_schema=False,
)
async def pressed(request: AnyRequest) -> Response[str]:
    """An event of the application. Everything but a pressed button is left alone."""
    keys = await _keys(request)
    try:
        sealed = flat_xml.read(await request.body()).get("Encrypt", "")
        event = flat_xml.read(await _opened(request, keys, sealed))
    except BadXml as fault:
        log.info("card_call_refused", why=fault.why)
        raise CallForged() from None
    if event.get("Event") == "template_card_event":
        await _acknowledge(request, keys.org_id, event)
    return Response("", media_type="text/plain")


async def _acknowledge(request: AnyRequest, org_id: UUID, event: dict[str, str]) -> None:
    try:
        named = links.read(signing_secret(request.app.state.settings), event.get("EventKey", ""))
    except NoticeLinkInvalid:
        return
    if named.org_id != org_id:
        return

    async def act(work: Work) -> None:
        # The card may have been forwarded: only who it was sent to has the matter in hand.
        if await states.is_addressed_to(work, named.notice_id, event.get("FromUserName", "")):
            await states.acknowledge(work, named.notice_id)

    try:
        await _database(request).run(org_id, act, actor=CHANNEL)
    except NotFound:
        log.info("card_of_no_notice")


async def _opened(request: AnyRequest, keys: Keys, sealed: str) -> bytes:
    given = request.query_params
    try:
        # What was pressed long ago is not pressed again by whoever has a log of it.
        ciphers.check_window(given.get("timestamp", ""), now_s=time.time(), window_s=WINDOW_S)
        ciphers.check_sha1(
            given.get("msg_signature", ""),
            keys.token,
            given.get("timestamp", ""),
            given.get("nonce", ""),
            sealed,
        )
        return ciphers.decrypt(keys.aes_key, sealed, receivers=(keys.corp_id,)).message
    except (Forged, BadKey) as fault:
        log.info("card_call_refused", why=str(fault))
        await count_calls(_database(request), f"forged:{network(client_address(request))}", FORGERIES)
        raise CallForged() from None


async def _keys(request: AnyRequest) -> Keys:
    try:
        channel_id = parse_id(request.path_params["channel"])
    except ValueError:
        raise NoSuchAddress() from None
    db = _database(request)
    organisation = await organisation_at(db, request.path_params["slug"])
    if organisation is None:
        raise NoSuchAddress()
    async with db.work(organisation.id, actor=CHANNEL) as work:
        found = await channels.callback_keys(work, channel_id)
    if found is None:
        raise NoSuchAddress()
    return Keys(org_id=organisation.id, token=found[0], aes_key=found[1], corp_id=found[2])


def _database(request: AnyRequest) -> Database:
    database: Database = request.app.state.db
    return database


ROUTES: tuple[ControllerRouterHandler, ...] = (verify, pressed)
