"""`/in/{organisation}/{channel}`: where WeCom, WeChat and DingTalk bring what was written to an account.

No account of ours and no cookie: the signature is the right. What is not signed is refused with 403 and nothing of it is
kept; what was brought before is answered as before. A message is stored, and its handling owed, before the service is
answered: nothing is lost when this process ends a moment later.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import structlog
from litestar import Request, Response, get, post
from litestar.types import ControllerRouterHandler

from callout_backend.doors.identity import client_address, organisation_at
from callout_backend.jobs.channels import linker
from callout_orders.channels import accounts, inbox
from callout_orders.channels.chat import calls
from callout_orders.channels.chat.calls import BadCall, Call, Understood
from callout_orders.channels.chat.ciphers import Forged
from callout_orders.channels.conversations import conversation
from callout_orders.channels.refusals import CallForged, CallUnreadable
from callout_orders.channels.terms import CALL_BYTES_MAX, CHAT, Account, ChannelKind
from callout_people.throttle import Limit, count_calls, network
from callout_store.errors import NoSuchAddress, Refusal
from callout_store.ids import new_secret
from callout_store.work import Actor, Database, Work

CHANNEL: Final = Actor(role="channel")
AT_ONCE_S: Final = 4.0
"""WeChat waits five seconds for an answer; what takes longer is answered by the worker."""
WORKER_WAITS_S: Final = 8.0
FORGERIES: Final = Limit(300, 600)
"""Of one address in ten minutes; beyond, whoever forges is told to come later."""

log = structlog.get_logger(__name__)

AnyRequest = Request[Any, Any, Any]


@get("/in/{slug:str}/{code:str}", include_in_schema=False)
async def verify(request: AnyRequest) -> Response[str]:
    """The service asks whether this address holds the account's key; answered with what it sent, decrypted."""
    _, account = await _account(request)
    try:
        understood = calls.verify_address(account, _call(request, b""))
    except (Forged, BadCall) as fault:
        raise await _refused(request, account, fault) from None
    return Response(understood.echo or "", media_type="text/plain")


@post(
    "/in/{slug:str}/{code:str}",
    request_max_body_size=CALL_BYTES_MAX,
    status_code=200,
    include_in_schema=False,
)
async def bring(request: AnyRequest) -> Response[bytes]:
    """A message: stored, and answered with the words of the service."""
    org_id, account = await _account(request)
    body = await request.body()
    try:
        understood = calls.understand(account, _call(request, body))
        received = await _store(request, org_id, account, understood, body)
    except (Forged, BadCall) as fault:
        raise await _refused(request, account, fault) from None
    now_s, nonce = int(time.time()), new_secret(12)
    if account.kind == ChannelKind.WECHAT and received is not None:
        text = await _at_once(request, org_id, account, received)
        if text:
            return _answer(calls.passive(account, understood, text, now_s=now_s, nonce=nonce))
    return _answer(calls.received(account, understood, now_s=now_s, nonce=nonce))


async def _store(
    request: AnyRequest, org_id: UUID, account: Account, understood: Understood, body: bytes
) -> UUID | None:
    """Store what was brought; the message's id. Once for one id of the service's, whatever it is sent by."""
    inbound = understood.inbound
    if inbound is None or not inbound.peer:
        raise BadCall("it names no sender")

    async def act(work: Work) -> UUID:
        if understood.nonce is not None:
            await inbox.first_use(work, account.id, understood.nonce, understood.body_sha256)
        wait_s = WORKER_WAITS_S if account.kind == ChannelKind.WECHAT else 0.0
        received = await inbox.record(work, account, inbound, raw=body, size_bytes=len(body), wait_s=wait_s)
        return received.id

    return await _database(request).run(org_id, act, actor=CHANNEL)


async def _at_once(request: AnyRequest, org_id: UUID, account: Account, message_id: UUID) -> str | None:
    """Handle a message while its service waits, and say what it is answered with; None where that takes too long.

    Then the worker, to whom it is owed anyhow, does it. A message that was handled before is answered as before.
    """
    link = linker(request.app.state.settings.base_url)

    async def act(work: Work) -> str | None:
        await conversation.handle_message(work, message_id, link=link, at_once=True)
        return await inbox.answer_text(work, message_id)

    try:
        async with asyncio.timeout(AT_ONCE_S):
            return await _database(request).run(org_id, act, actor=CHANNEL)
    except (TimeoutError, Refusal) as fault:
        log.info("chat_answer_left_to_worker", fault=type(fault).__name__)
    except Exception:
        log.warning("chat_answer_failed", exc_info=True)
    return None


async def _account(request: AnyRequest) -> tuple[UUID, Account]:
    db = _database(request)
    organisation = await organisation_at(db, request.path_params["slug"])
    if organisation is None:
        raise NoSuchAddress()
    async with db.work(organisation.id, actor=CHANNEL) as work:
        account = await accounts.account_by_code(work, request.path_params["code"])
    if account is None or account.kind not in CHAT:
        raise NoSuchAddress()
    return organisation.id, account


async def _refused(request: AnyRequest, account: Account, fault: Forged | BadCall) -> Refusal:
    """The refusal of a call. Why it is no good is for the log: whoever forges learns nothing from it."""
    log.info("chat_call_refused", channel=account.code, why=fault.why)
    if isinstance(fault, BadCall):
        return CallUnreadable(why=fault.why)
    await count_calls(_database(request), f"forged:{network(client_address(request))}", FORGERIES)
    return CallForged()


def _call(request: AnyRequest, body: bytes) -> Call:
    query: Mapping[str, Any] = request.query_params
    return Call(
        query={name: str(query[name])[:8000] for name in query},
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        now_s=time.time(),
    )


def _answer(answer: tuple[str, bytes]) -> Response[bytes]:
    media_type, body = answer
    return Response(body, media_type=media_type)


def _database(request: AnyRequest) -> Database:
    database: Database = request.app.state.db
    return database


ROUTES: tuple[ControllerRouterHandler, ...] = (verify, bring)
"""The chat services' doors."""
