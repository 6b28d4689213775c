"""`POST /mail/{organisation}/{channel}`: a mail as its raw bytes (RFC 5322), from whatever receives the organisation's mail.

    Callout-Signature: t=<unix seconds>,v1=<hex>   HMAC-SHA256 of "<t>.<body>" with the channel's webhookSecret

202 `{"id","new","tooLarge"}`; the same Message-ID again is answered with the same id. A mail above the limit is taken by its
head alone while the rest passes through the signature and is dropped: its sender is told the limit.
"""

import hashlib
import hmac
import re
import time
from typing import Any, Final

import structlog
from litestar import MediaType, Request, Response, post
from litestar.types import ControllerRouterHandler

from callout_backend.doors.identity import client_address, organisation_at
from callout_backend.mail_intake import take_large, take_mail
from callout_orders.channels import accounts
from callout_orders.channels.mailbox import mail
from callout_orders.channels.refusals import CallForged
from callout_orders.channels.terms import ChannelKind
from callout_people.throttle import Limit, count_calls, network, refuse_counted
from callout_store.errors import NoSuchAddress
from callout_store.work import Database

BODY_BYTES_MAX: Final = 64 * 1024 * 1024
"""Beyond, nothing is read any more. Mail servers take 20 to 50 MB."""
WINDOW_S: Final = 600
FORGERIES: Final = Limit(100, 600)
_SIGNATURE: Final = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")

log = structlog.get_logger(__name__)


@post(
    "/mail/{slug:str}/{code:str}",
    request_max_body_size=BODY_BYTES_MAX,
    status_code=202,
    include_in_schema=False,
)
async def bring_mail(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """Take a mail in."""
    db: Database = request.app.state.db
    organisation = await organisation_at(db, request.path_params["slug"])
    if organisation is None:
        raise NoSuchAddress()
    async with db.work(organisation.id) as work:
        account = await accounts.account_by_code(work, request.path_params["code"])
    if account is None or account.kind != ChannelKind.MAIL:
        raise NoSuchAddress()
    secret = account.secrets.get("webhookSecret", "")
    found = _SIGNATURE.fullmatch(request.headers.get("callout-signature", "").strip())
    forged = f"forged:{network(client_address(request))}"
    # Before the body is read: who forges shall not have us read, and hash, as much as they like.
    await refuse_counted(db, forged, FORGERIES)
    data, size_bytes = b"", 0
    genuine = bool(secret) and found is not None and abs(int(found[1]) - time.time()) <= WINDOW_S
    if genuine and found is not None:
        data, size_bytes, digest = await _read(request, secret, found[1])
        genuine = hmac.compare_digest(digest, found[2])
    if not genuine:
        log.info("mail_call_refused", channel=account.code)
        await count_calls(db, forged, FORGERIES)
        raise CallForged()
    large = size_bytes > mail.MAIL_BYTES_MAX
    if large:
        received = await take_large(db, organisation.id, account, data, size_bytes)
    else:
        received = await take_mail(db, request.app.state.storage, organisation.id, account, data)
    return Response(
        {"id": str(received.id), "new": received.new, "tooLarge": large},
        status_code=202,
        media_type=MediaType.JSON,
    )


async def _read(request: Request[Any, Any, Any], secret: str, stamp: str) -> tuple[bytes, int, str]:
    """The body once through the signature: whole, or its head where it is larger than a mail may be; its size; the HMAC."""
    mac = hmac.new(secret.encode(), f"{stamp}.".encode(), hashlib.sha256)
    kept, size = bytearray(), 0
    async for chunk in request.stream():
        mac.update(chunk)
        size += len(chunk)
        if size <= mail.MAIL_BYTES_MAX:
            kept += chunk
        else:
            kept += chunk[: max(0, mail.HEAD_BYTES_MAX - len(kept))]
            del kept[mail.HEAD_BYTES_MAX :]
    return bytes(kept), size, mac.hexdigest()


ROUTES: tuple[ControllerRouterHandler, ...] = (bring_mail,)
"""The mail's door."""
