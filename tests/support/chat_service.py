"""WeCom's, WeChat's and DingTalk's own side for tests: tokens, messages and media, with the faults that they show."""

import asyncio
import json
from collections import deque
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class ChatService:
    """`async with ChatService() as service`; what it was asked stands in `asked`, as (path, query, body)."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.codes: deque[int] = deque()
        """Errcodes of the next calls that are no request for a token; 0 or nothing: well."""
        self.media: dict[str, tuple[bytes, str]] = {}
        self.down = False
        self.tokens = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.asked]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            if self.down:
                return
            parts = urlsplit(head[0].split(" ")[1])
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self.asked.append((parts.path, query, json.loads(body) if body else None))
            data, kind = self._answer(parts.path, query)
            writer.write(
                f"HTTP/1.1 200 OK\r\ncontent-length: {len(data)}\r\ncontent-type: {kind}\r\n"
                "connection: close\r\n\r\n".encode()
                + data
            )
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _answer(self, path: str, query: dict[str, str]) -> tuple[bytes, str]:
        if path.endswith(("/gettoken", "/stable_token", "/accessToken")):
            self.tokens += 1
            name = "accessToken" if path.endswith("accessToken") else "access_token"
            return self._json({name: f"token-{self.tokens}", "expires_in": 7200, "expireIn": 7200})
        code = self.codes.popleft() if self.codes else 0
        if code:
            return self._json({"errcode": code, "errmsg": "no"})
        if path == "/cgi-bin/media/get":
            found = self.media.get(query.get("media_id", ""))
            return found or self._json({"errcode": 40007, "errmsg": "invalid media_id"})
        if path == "/v1.0/robot/messageFiles/download":
            return self._json({"downloadUrl": f"{self.url}/file"})
        if path == "/file":
            return self.media["file"]
        return self._json({"errcode": 0, "msgid": "msg-1", "processQueryKey": "key-1"})

    @staticmethod
    def _json(values: dict[str, Any]) -> tuple[bytes, str]:
        return json.dumps(values).encode(), "application/json"
