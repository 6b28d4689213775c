"""The doors by which the demo's customers reach the desk: the real ones, in this process, called as browsers, WeCom, a mail
gateway and another system call them."""

import email.message
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
from litestar import Litestar
from litestar.datastructures import State

from callout_backend.demo.desk_setup import WECOM_CORP, DeskWorld
from callout_backend.demo.office import Said
from callout_backend.demo.world import EMAIL_DOMAIN
from callout_backend.doors import answers, chat, mail, request_form
from callout_backend.doors.public import imports, orders
from callout_backend.problems import EXCEPTION_HANDLERS
from callout_backend.settings import Settings, signing_secret
from callout_orders.channels.chat import ciphers, flat_xml
from callout_people.tokens import TokenIssuer
from callout_store.ids import new_secret
from callout_store.work import Database
from callout_sync.blobs import Storage

ROUTES: Final = (
    *request_form.ROUTES,
    *answers.ROUTES,
    *chat.ROUTES,
    *mail.ROUTES,
    *orders.ROUTES,
    *imports.ROUTES,
)


class Doors:
    """Whoever calls. Raises Said where they are refused."""

    def __init__(self, client: httpx.AsyncClient, slug: str, world: DeskWorld) -> None:
        self._client, self._slug, self._world = client, slug, world

    async def form(self, locale: str, **values: Any) -> dict[str, Any]:
        """Send the customer's form."""
        body = {"key": new_secret(24), "locale": locale, **values}
        return await self._json("POST", f"/r/{self._slug}", json=body)

    async def picture(self, key: str, data: bytes) -> str:
        """Bring a picture for a form with this key; the file's id."""
        told = await self._json(
            "POST",
            f"/r/{self._slug}/files",
            params={"key": key, "name": "display.png"},
            content=data,
            headers={"Content-Type": "image/png"},
        )
        return str(told["id"])

    async def decide(self, token: str, decision: str, reason: str = "") -> None:
        """Say by the customer's link whether an answer helped."""
        await self._json("POST", f"/a/{token}", json={"decision": decision, "reason": reason})

    async def wecom(self, sender: str, text: str) -> None:
        """What WeCom sends when somebody writes: encrypted for the account and signed with its token."""
        inside = flat_xml.write(
            {
                "ToUserName": WECOM_CORP,
                "FromUserName": sender,
                "CreateTime": int(time.time()),
                "MsgType": "text",
                "Content": text,
                "MsgId": new_secret(12),
                "AgentID": 1000002,
            }
        )
        sealed = ciphers.encrypt(self._world.wecom_key, inside.encode(), receiver=WECOM_CORP)
        stamp, nonce = str(int(time.time())), new_secret(8)
        query = {
            "msg_signature": ciphers.sha1_signature(self._world.wecom_token, stamp, nonce, sealed),
            "timestamp": stamp,
            "nonce": nonce,
        }
        body = flat_xml.write({"ToUserName": WECOM_CORP, "Encrypt": sealed})
        answer = await self._client.post(f"/in/{self._slug}/wecom", params=query, content=body)
        _refuse(answer)

    async def mail(self, sender: str, subject: str, text: str) -> None:
        """A mail as its raw bytes, signed as the organisation's mail gateway signs it."""
        letter = email.message.EmailMessage()
        letter["From"], letter["To"] = sender, f"desk@{EMAIL_DOMAIN}"
        letter["Subject"], letter["Message-ID"] = subject, f"<{new_secret(12)}@bay-charging.example>"
        letter.set_content(text)
        data, stamp = letter.as_bytes(), int(time.time())
        mac = hmac.new(
            self._world.mail_secret.encode(), f"{stamp}.".encode() + data, hashlib.sha256
        ).hexdigest()
        headers = {"Callout-Signature": f"t={stamp},v1={mac}", "Content-Type": "message/rfc822"}
        _refuse(await self._client.post(f"/mail/{self._slug}/desk", content=data, headers=headers))

    async def api(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """The public API, with the system's key."""
        headers = {"X-Api-Key": self._world.api_key, **more.pop("headers", {})}
        return await self._json(method, path, headers=headers, **more)

    async def _json(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        answer = await self._client.request(method, path, **more)
        _refuse(answer)
        told: dict[str, Any] = answer.json()
        return told


def _refuse(answer: httpx.Response) -> None:
    if answer.status_code >= 400:
        told = answer.json()
        raise Said(str(told.get("code")), str(told.get("detail")))


@asynccontextmanager
async def open_doors(settings: Settings, db: Database, slug: str, world: DeskWorld) -> AsyncIterator[Doors]:
    """The doors, as long as the block lasts."""
    app = Litestar(
        route_handlers=list(ROUTES),
        exception_handlers=EXCEPTION_HANDLERS,
        state=State(
            {
                "db": db,
                "settings": settings,
                "storage": Storage(settings.storage_place),
                "issuer": TokenIssuer(signing_secret(settings)),
            },
            deep_copy=False,
        ),
        logging_config=None,
        openapi_config=None,
    )
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=settings.base_url, timeout=60) as client:
        yield Doors(client, slug, world)
