"""A server that is almost right: passes everything on to a real one, and breaks one rule on the way."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import uvicorn


class BadProxy:
    """`on_request` and `on_answer` change GraphQL bodies; `on_headers` changes the headers of other answers."""

    def __init__(
        self,
        target: str,
        *,
        on_request: Callable[[dict[str, Any]], None] = lambda asked: None,
        on_answer: Callable[[dict[str, Any], dict[str, Any]], None] = lambda asked, told: None,
        on_headers: Callable[[str, dict[str, str]], None] = lambda method, headers: None,
    ) -> None:
        self.client = httpx.AsyncClient(base_url=target, timeout=60)
        self.on_request, self.on_answer, self.on_headers = on_request, on_answer, on_headers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        drop = (b"host", b"content-length", b"transfer-encoding", b"accept-encoding", b"connection")
        headers = [(name, value) for name, value in scope["headers"] if name not in drop]
        asked: dict[str, Any] = {}
        graphql = scope["path"] == "/graphql"
        if graphql:
            asked = json.loads(body)
            self.on_request(asked)
            body = json.dumps(asked).encode()
        path = scope["raw_path"].decode()
        answer = await self.client.request(scope["method"], path, content=body or None, headers=headers)
        content = answer.content
        kept = {
            name: value
            for name, value in answer.headers.items()
            if name not in ("content-length", "content-encoding", "transfer-encoding", "connection")
        }
        if graphql:
            told = answer.json()
            self.on_answer(asked, told)
            content = json.dumps(told).encode()
        else:
            self.on_headers(scope["method"], kept)
        raw = [(name.encode(), value.encode()) for name, value in kept.items()]
        if scope["method"] != "HEAD":
            raw.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": answer.status_code, "headers": raw})
        await send({"type": "http.response.body", "body": content})


@contextlib.asynccontextmanager
async def serving(app: BadProxy) -> AsyncIterator[str]:
    """The proxy on a free port of this machine; its URL."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        async with asyncio.timeout(20):
            while not server.started:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        await app.client.aclose()
        listening.close()
