"""Talking to the chat services: access tokens, answers, and the files that messages name.

All of them answer errors inside of a 200: what counts is `errcode` (or a `code`), never the status alone. Addresses are
resolved, checked and pinned as those of webhooks are.
"""

import ssl
import time
from typing import Any, Final
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import httpx
import msgspec

from callout_backend.jobs.outward import RETRIED, Outward, Reply, retry_after_s
from callout_orders.channels.terms import FILE_BYTES_MAX, Account, ChannelKind
from callout_store.outbox import Hopeless, Retry

TIMEOUT_S: Final = 15.0
BASES: Final = {
    ChannelKind.WECOM: "https://qyapi.weixin.qq.com",
    ChannelKind.WECHAT: "https://api.weixin.qq.com",
    ChannelKind.DINGTALK: "https://api.dingtalk.com",
}
SESSION_HOSTS: Final = frozenset({"oapi.dingtalk.com", "api.dingtalk.com"})
"""A robot's message says where its answer goes, and its signature does not cover that: only DingTalk itself is believed."""
TOKEN_GONE: Final = frozenset({40001, 40014, 41001, 42001, 42007})
THROTTLED: Final = frozenset({45009, 45011, 45033, 90018, 130101})
NEVER: Final = frozenset({40003, 43004, 45015, 45047, 46004, 60111, 81013, 40007, 310000})
"""No such user, no follower any more, the time to answer is over, no such media."""
THROTTLE_PAUSE_S: Final = 60.0
JSON_BYTES_MAX: Final = 256 * 1024
TOKEN_EARLY_S: Final = 300.0


class ServiceFault(Retry):
    """The service did not do it now."""


class ChatServices:
    """The adapters of WeCom, WeChat and DingTalk. One client for a worker's life; tokens are kept until they run out."""

    def __init__(
        self,
        *,
        private_allowed: bool = False,
        timeout_s: float = TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.private_allowed = private_allowed
        self._outward = Outward(private_allowed=private_allowed, timeout_s=timeout_s, tls=tls)
        self._tokens: dict[UUID, tuple[str, float]] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._outward.close()

    async def send(self, account: Account, peer: str, text: str, reply: dict[str, Any]) -> str | None:
        """Send a text; the service's reference. Raises Retry or Hopeless."""
        match account.kind:
            case ChannelKind.WECOM:
                body = {
                    "touser": peer,
                    "msgtype": "text",
                    "agentid": account.settings.get("agentId", 0),
                    "text": {"content": text},
                    # The service itself drops what a retry sends twice within half an hour.
                    "enable_duplicate_check": 1,
                    "duplicate_check_interval": 1800,
                }
                answer = await self._with_token(account, "POST", "/cgi-bin/message/send", json=body)
                return str(answer.get("msgid", "")) or None
            case ChannelKind.WECHAT:
                body = {"touser": peer, "msgtype": "text", "text": {"content": text}}
                await self._with_token(account, "POST", "/cgi-bin/message/custom/send", json=body)
                return None
            case ChannelKind.DINGTALK:
                return await self._dingtalk(account, peer, text, reply)
            case _:
                raise Hopeless(f"no chat service: {account.kind}")

    async def fetch(self, account: Account, source: dict[str, Any]) -> tuple[bytes, str]:
        """The bytes of a file that a message named, and its media type. Raises Retry or Hopeless."""
        if account.kind == ChannelKind.DINGTALK:
            body = {
                "downloadCode": str(source.get("downloadCode", "")),
                "robotCode": str(account.settings.get("robotCode", "")),
            }
            told = await self._with_token(account, "POST", "/v1.0/robot/messageFiles/download", json=body)
            address = str(told.get("downloadUrl", ""))
            if not address:
                raise ServiceFault("the service named no address")
            return await self._bytes(address)
        media_id = str(source.get("mediaId", ""))
        token = await self._token(account)
        query = urlencode({"access_token": token, "media_id": media_id})
        data, media_type = await self._bytes(f"{self._base(account)}/cgi-bin/media/get?{query}")
        if media_type.startswith(("application/json", "text/plain")):
            # An error, as a file.
            self._judge(account, _object(data))
            raise ServiceFault("the service sent no file")
        return data, media_type

    async def _dingtalk(self, account: Account, peer: str, text: str, reply: dict[str, Any]) -> str | None:
        session, until = str(reply.get("session", "")), float(reply.get("until") or 0)
        message = {"msgtype": "text", "text": {"content": text}}
        if session and until > (time.time() + 30) * 1000 and self._believed(account, session):
            self._judge(account, await self._json("POST", session, json=message))
            return None
        body = {
            "robotCode": str(reply.get("robotCode") or account.settings.get("robotCode", "")),
            "userIds": [peer],
            "msgKey": "sampleText",
            "msgParam": msgspec.json.encode({"content": text}).decode(),
        }
        answer = await self._with_token(account, "POST", "/v1.0/robot/oToMessages/batchSend", json=body)
        return str(answer.get("processQueryKey", "")) or None

    def _believed(self, account: Account, address: str) -> bool:
        host = urlsplit(address).hostname
        return host in SESSION_HOSTS or host == urlsplit(self._base(account)).hostname

    async def _with_token(
        self, account: Account, method: str, path: str, *, json: dict[str, Any]
    ) -> dict[str, Any]:
        token = await self._token(account)
        if account.kind == ChannelKind.DINGTALK:
            address, headers = (
                f"{self._base(account)}{path}",
                {"x-acs-dingtalk-access-token": token},
            )
        else:
            query = urlencode({"access_token": token})
            address, headers = f"{self._base(account)}{path}?{query}", {}
        answer = await self._json(method, address, json=json, headers=headers, account=account)
        self._judge(account, answer)
        return answer

    async def _token(self, account: Account) -> str:
        kept = self._tokens.get(account.id)
        if kept is not None and kept[1] > time.monotonic():
            return kept[0]
        secret = account.secrets.get("appSecret", "")
        if not secret:
            raise Hopeless("the account has no appSecret: nothing can be sent or fetched")
        base, settings = self._base(account), account.settings
        if account.kind == ChannelKind.WECOM:
            query = urlencode({"corpid": settings.get("corpId", ""), "corpsecret": secret})
            told = await self._json("GET", f"{base}/cgi-bin/gettoken?{query}")
        elif account.kind == ChannelKind.WECHAT:
            # The stable kind: the other one ends every worker's token when one of them asks for its own.
            body = {"grant_type": "client_credential", "appid": settings.get("appId", ""), "secret": secret}
            told = await self._json("POST", f"{base}/cgi-bin/stable_token", json=body)
        else:
            body = {"appKey": settings.get("appKey", ""), "appSecret": secret}
            told = await self._json("POST", f"{base}/v1.0/oauth2/accessToken", json=body)
        self._judge(account, told)
        token = str(told.get("access_token") or told.get("accessToken") or "")
        if not token:
            raise ServiceFault("the service gave no token")
        lives_s = float(told.get("expires_in") or told.get("expireIn") or 7200)
        self._tokens[account.id] = (token, time.monotonic() + max(30.0, lives_s - TOKEN_EARLY_S))
        return token

    def _judge(self, account: Account, answer: dict[str, Any]) -> None:
        """Raise Retry or Hopeless unless the answer says that it was done."""
        code = answer.get("errcode", 0)
        if code in (0, "0", None):
            if not (answer.get("code") and answer.get("message")):
                return
            raise ServiceFault(f"the service answered {str(answer['code'])[:60]}")
        if code in TOKEN_GONE:
            self._tokens.pop(account.id, None)
            raise ServiceFault(f"the service wants a new token ({code})", after_s=1.0)
        if code in THROTTLED:
            raise ServiceFault(f"the service is asked too often ({code})", after_s=THROTTLE_PAUSE_S)
        if code in NEVER:
            raise Hopeless(f"the service refused it: {str(code)[:20]}")
        raise ServiceFault(f"the service answered errcode {str(code)[:20]}")

    def _base(self, account: Account) -> str:
        return str(account.settings.get("apiBase") or BASES[ChannelKind(account.kind)])

    async def _json(
        self,
        method: str,
        address: str,
        *,
        json: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        account: Account | None = None,
    ) -> dict[str, Any]:
        answer = await self._ask(method, address, json=json, headers=headers, limit=JSON_BYTES_MAX)
        if answer.status in (401, 403) and account is not None:
            self._tokens.pop(account.id, None)
            raise ServiceFault(f"answered {answer.status}", after_s=1.0)
        _judge_status(answer)
        return _object(answer.body)

    async def _bytes(self, address: str) -> tuple[bytes, str]:
        answer = await self._ask("GET", address, limit=FILE_BYTES_MAX)
        _judge_status(answer)
        declared = answer.headers.get("content-type", "application/octet-stream")
        return answer.body, declared.partition(";")[0].strip().lower()

    async def _ask(
        self,
        method: str,
        address: str,
        *,
        limit: int,
        json: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        body = None if json is None else msgspec.json.encode(json)
        try:
            answer = await self._outward.ask(method, address, body=body, headers=headers, bytes_max=limit)
        except httpx.HTTPError as fault:
            # The text may hold the address, and with it the token.
            raise ServiceFault(f"no answer: {type(fault).__name__}") from None
        if len(answer.body) > limit:
            raise Hopeless(f"the answer is larger than {limit} bytes")
        return answer


def _judge_status(answer: Reply) -> None:
    if 200 <= answer.status < 300:
        return
    if answer.status >= 500 or answer.status in RETRIED:
        raise ServiceFault(f"answered {answer.status}", after_s=retry_after_s(answer.headers))
    raise Hopeless(f"answered {answer.status}")


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ServiceFault("the answer is no JSON") from None
    if not isinstance(found, dict):
        raise ServiceFault("the answer is no JSON object")
    return found
