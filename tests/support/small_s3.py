"""A bucket in memory that speaks as much of Amazon's S3 as a client needs that puts, gets, lists and removes.

Served by uvicorn on a free port; signatures are not checked. What it holds stands in `objects`.
"""

import asyncio
import hashlib
import re
from typing import Any, Self
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

import uvicorn
from processes import free_port

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


class SmallS3:
    """`async with SmallS3() as s3:` then `s3.url`; with `broken` every request is answered 500."""

    def __init__(self, bucket: str = "photos") -> None:
        self.bucket = bucket
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.broken = False
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        config = uvicorn.Config(self._app, port=self.port, interface="asgi3", log_config=None, lifespan="off")
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve())
        async with asyncio.timeout(10):
            while not self._server.started:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._task

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        query = {k: v[0] for k, v in parse_qs(scope["query_string"].decode(), keep_blank_values=True).items()}
        key = unquote(scope["path"]).removeprefix(f"/{self.bucket}").removeprefix("/")
        if self.broken:
            status, answer, more = 500, b"", {}
        else:
            status, answer, more = self._do(scope["method"], key, query, headers, body)
        sent = [(k.encode(), v.encode()) for k, v in {"content-length": str(len(answer)), **more}.items()]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer})

    def _do(
        self, method: str, key: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes, dict[str, str]]:
        if method == "POST" and "delete" in query:
            names = [name.decode() for name in re.findall(rb"<Key>(.*?)</Key>", body)]
            for name in names:
                self.objects.pop(name, None)
            rows = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
            return 200, f"<DeleteResult {NAMESPACE}>{rows}</DeleteResult>".encode(), {}
        if method == "POST" and "uploads" in query:
            upload = f"upload-{len(self.parts)}"
            self.parts[upload] = {}
            return 200, _xml("InitiateMultipartUploadResult", UploadId=upload, Key=key), {}
        if method == "POST":
            self.objects[key] = b"".join(
                part for _, part in sorted(self.parts.pop(query["uploadId"]).items())
            )
            return 200, _xml("CompleteMultipartUploadResult", Key=key, ETag=_etag(self.objects[key])), {}
        if method == "PUT" and "uploadId" in query:
            self.parts[query["uploadId"]][int(query["partNumber"])] = body
            return 200, b"", {"etag": _etag(body)}
        if method == "PUT":
            self.objects[key] = body
            return 200, b"", {"etag": _etag(body)}
        if method == "DELETE":
            self.parts.pop(query.get("uploadId", ""), None) or self.objects.pop(key, None)
            return 204, b"", {}
        if "list-type" in query:
            return 200, self._list(query.get("prefix", "")), {}
        if key not in self.objects:
            return 404, _xml("Error", Code="NoSuchKey", Message="no such key"), {}
        data = self.objects[key]
        told = {"etag": _etag(data), "last-modified": "Sun, 22 Nov 2026 10:00:00 GMT"}
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", "")):
            start, end = int(found[1]), min(int(found[2] or len(data)), len(data) - 1)
            told["content-range"] = f"bytes {start}-{end}/{len(data)}"
            return 206, data[start : end + 1], told
        return 200, data, told

    def _list(self, prefix: str) -> bytes:
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(data)}</Size><ETag>{_etag(data)}</ETag>"
            "<LastModified>2026-11-22T10:00:00.000Z</LastModified></Contents>"
            for key, data in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        head = f"<IsTruncated>false</IsTruncated><Prefix>{escape(prefix)}</Prefix>"
        return f"<ListBucketResult {NAMESPACE}>{head}{rows}</ListBucketResult>".encode()


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _xml(tag: str, **members: str) -> bytes:
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in members.items())
    return f"<{tag} {NAMESPACE}>{inner}</{tag}>".encode()
