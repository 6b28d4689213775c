"""Sending pictures by tus 1.0 (https://tus.io): make an upload, ask how far it is, send pieces from there.

What was sent is never sent again: the upload's address and offset outlive the app. Only an upload that the server no
longer knows (it expires after two weeks without a piece) begins anew.
"""

import base64
from typing import Final
from urllib.parse import urlsplit

from callout_client.pictures import Picture, PictureQueue
from callout_client.wire import DeviceShutOut, DeviceWiped, Refused, Wire

PATH: Final = "/v1/uploads"
PIECE_BYTES: Final = 512_000
"""Large enough to be quick, small enough to come through between two tunnels."""
GONE: Final = (404, 410)
ELSEWHERE: Final = -1
"""Instead of an offset: the server is at another one, and has to be asked."""
BEGINNINGS_MAX: Final = 3
"""So often a picture is begun whose upload vanishes or comes out wrong, before a person has to look."""


class Uploader:
    """Sends a queue of pictures, one after the other."""

    def __init__(self, wire: Wire, queue: PictureQueue, *, piece_bytes: int = PIECE_BYTES) -> None:
        self._wire, self._queue, self._piece_bytes = wire, queue, piece_bytes

    async def send_all(self) -> int:
        """Send what is pending; how many pictures arrived. One that the server refuses for good stops no other.

        Raises NetworkLost or Refused when trying again did not help; the next call goes on where this one ended.
        """
        count = 0
        for picture in self._queue.pending():
            try:
                await self._send(picture)
            except (DeviceShutOut, DeviceWiped):
                raise
            except Refused as refused:
                if refused.retryable or refused.code == "NOT_AUTHENTICATED":
                    raise
                self._queue.rejected(picture.sha256, refused.code)
            else:
                count += 1
        return count

    async def _send(self, picture: Picture) -> None:
        url: str | None = picture.url
        sent: int | None = None
        for _ in range(BEGINNINGS_MAX):
            if url is not None:
                sent = await self._wire.retrying(lambda url=url: self._offset(url))  # type: ignore[misc]
            if url is None or sent is None:
                url, sent = await self._wire.retrying(lambda: self._begin(picture))
            while sent is not None and sent < picture.size:
                self._queue.begun(picture.sha256, url=url, sent=sent)
                sent = await self._wire.retrying(lambda url=url, at=sent: self._piece(picture, url, at))  # type: ignore[misc]
                if sent == ELSEWHERE:
                    sent = await self._wire.retrying(lambda url=url: self._offset(url))  # type: ignore[misc]
            if sent is not None:
                self._queue.done(picture.sha256)
                return
            url = None
            self._queue.begun(picture.sha256, url=None)
        raise Refused("UPLOAD_NEVER_WHOLE")

    async def _begin(self, picture: Picture) -> tuple[str, int]:
        told = {
            "sha256": picture.sha256,
            "filetype": picture.media_type,
            "filename": picture.name,
            "kind": picture.kind,
        }
        metadata = ",".join(f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in told.items())
        headers = {"Upload-Length": str(picture.size), "Upload-Metadata": metadata}
        _, said, _ = await self._wire.file("POST", PATH, b"", headers, ())
        where = urlsplit(said["location"])
        url = where.path + (f"?{where.query}" if where.query else "")
        self._queue.begun(picture.sha256, url=url)
        return url, int(said.get("upload-offset", 0))

    async def _offset(self, url: str) -> int | None:
        """How much of it the server has; None when it no longer knows of it."""
        status, said, _ = await self._wire.file("HEAD", url, b"", {}, GONE)
        return None if status in GONE else int(said["upload-offset"])

    async def _piece(self, picture: Picture, url: str, at: int) -> int | None:
        """Send the next piece; the new offset, or None where it has to begin anew.

        When the answer to an earlier try was lost, the server is further than the phone knows: it says 409.
        """
        body = self._queue.piece(picture.sha256, at, self._piece_bytes)
        headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(at)}
        try:
            status, said, _ = await self._wire.file("PATCH", url, body, headers, (*GONE, 409))
        except Refused as refused:
            if refused.code != "UPLOAD_HASH_WRONG":
                raise
            return None
        if status == 409:
            return ELSEWHERE
        return None if status in GONE else int(said["upload-offset"])
