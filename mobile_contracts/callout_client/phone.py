"""The protocol: enrol once, record work at any time, and whenever there is a network, push, pull, and upload.

Push comes first so that what the pull brings already holds this phone's own work; photos come last, because they are
large. None of them needs another to succeed.
"""

import asyncio
import contextlib
import hashlib
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import UUID

import msgspec

from callout_client import queries
from callout_client.clock import DeviceClock, uuid7
from callout_client.store import PageItem, Store
from callout_client.transport import NetworkLost, Transport
from callout_client.uploads import PIECE_BYTES, Uploader
from callout_client.wire import ATTEMPTS_MAX, BACKOFF_S, DeviceShutOut, DeviceWiped, Refused, Wire
from callout_contracts import SCHEMA_VERSION, documents
from callout_contracts.commands import Answer, Location

BATCH_COMMANDS = 100
BATCH_BYTES = 2_000_000
"""A batch with signatures must stay below the server's limit on bodies; a single command always goes."""
PAGE_ROWS = 500
START_AGAIN = ("RESYNC_REQUIRED", "CURSOR_INVALID", "CURSOR_OF_ANOTHER_DEVICE")
WIPING = "wiping"
"""A mark: everything is erased but the tokens, and the office has still to be told."""
TOKENS = ("access", "refresh", "device")
T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class Page(msgspec.Struct, rename="camel", frozen=True):
    """A page of the feed, its documents unread."""

    cursor: str
    more: bool
    epoch: str
    documents: list[PageItem]
    stamp: str | None = None
    wipe: bool = False
    budget_warning: bool = False


class Answers(msgspec.Struct, frozen=True):
    """What a push is answered with."""

    answers: list[Answer]
    stamp: str | None = None
    wipe: bool = False


class Phone:
    """One device. `schema_version` is what its app speaks: 1 acts as an app of before `record.edit` and attachments."""

    def __init__(
        self,
        transport: Transport,
        store: Store,
        clock: DeviceClock,
        *,
        rng: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        backoff_s: float = BACKOFF_S,
        app_version: str = "2.0.0",
        schema_version: int = SCHEMA_VERSION,
        batch_commands: int = BATCH_COMMANDS,
        attempts_max: int = ATTEMPTS_MAX,
        page_rows: int = PAGE_ROWS,
        piece_bytes: int = PIECE_BYTES,
    ) -> None:
        self.store, self.clock = store, clock
        self.rng = rng or random.SystemRandom()
        self.app_version, self.schema_version = app_version, schema_version
        self.wire = Wire(
            transport,
            store,
            rng=self.rng,
            sleep=sleep,
            backoff_s=backoff_s,
            attempts_max=attempts_max,
            app_version=app_version if schema_version >= 2 else None,
        )
        self.heard: Callable[[list[Answer]], object] = lambda answers: None
        """Told of every batch of answers as it comes in; what comes after it may fail and raise."""
        self.told: Callable[[str], object] = lambda code: None
        """Told what the person should know: UPGRADE_REQUIRED, BUDGET_WARNING, WIPED."""
        self._uploader = Uploader(self.wire, store.pictures, piece_bytes=piece_bytes)
        self._batch_commands, self._page_rows = batch_commands, page_rows
        self._knows = {name for name in documents.DOCUMENTS if documents.SINCE.get(name, 1) <= schema_version}
        self._one_at_a_time, self._uploading = asyncio.Lock(), asyncio.Lock()

    async def enrol(self, *, organisation: str, code: str, name: str, platform: str = "reference") -> str:
        """Use a one-time code up; the device's id. The tokens stay on the phone."""
        body = {
            "organisation": organisation,
            "code": code,
            "deviceName": name,
            "platform": platform,
            "appVersion": self.app_version,
        }
        answer = await self.wire.retrying(lambda: self.wire.rest("/auth/enrol", body))
        self.store.set_marks(
            device=answer["deviceId"], access=answer["accessToken"], refresh=answer["refreshToken"]
        )
        return str(answer["deviceId"])

    # ------------------------------------------------------------------------------------------- recording

    def record(
        self,
        kind: str,
        visit_id: str | None,
        payload: Mapping[str, Any] | None = None,
        *,
        location: Location | None = None,
        duration_s: float | None = None,
    ) -> UUID:
        """Write down what was done, here and now, with or without a network; the command's id."""
        at = self.clock.wall()
        payload = dict(payload or {})
        with self.store.transaction():
            id_, sequence = uuid7(at, self.rng), self.store.next_sequence()
            body = {
                "id": str(id_),
                "sequence": sequence,
                "schemaVersion": self.schema_version,
                "kind": kind,
                "visitId": visit_id,
                "deviceTime": at.isoformat(),
                "monotonicMs": self.clock.monotonic_ms(),
                "bootId": self.clock.boot_id,
                "location": None if location is None else msgspec.to_builtins(location),
                "durationS": duration_s,
                "payload": payload,
            }
            if self.schema_version >= 2:
                body["seen"] = self.store.mark("stamp")
            about = (payload["entity"], payload["id"]) if kind == "record.edit" else (None, None)
            self.store.enqueue(sequence, str(id_), visit_id, kind, _encode(body), about)
        return id_

    def miss_parts(
        self,
        visit_id: str,
        parts: Mapping[str, int],
        *,
        text: str = "",
        leaving: bool = True,
        location: Location | None = None,
    ) -> UUID:
        """Say how many of which parts are missing, by their id where this phone has the part, else by what stands on it;
        with the end of the visit, or (`leaving` False) with the diagnosis. The command's id."""
        named = [
            {"partId" if self.store.get("part", name) is not None else "code": name, "quantity": quantity}
            for name, quantity in parts.items()
        ]
        if leaving:
            said = {"reason": "part_missing", "text": text, "parts": named}
            return self.record("visit.could_not_complete", visit_id, said, location=location)
        return self.record("visit.diagnose", visit_id, {"finding": text, "parts": named}, location=location)

    def edit(
        self,
        entity: str,
        id_: str,
        *,
        changes: Mapping[str, Any] | None = None,
        add: Mapping[str, int] | None = None,
        visit_id: str | None = None,
        location: Location | None = None,
    ) -> UUID:
        """Change fields of a document (`changes`), or add to its counters; the command's id.

        The base is what the screen showed, this phone's own unsent edits included: so two quick edits in a row are no
        conflict with oneself. KeyError when the phone does not have the document, or when it has no such field.
        """
        doc = self.store.get(entity, id_)
        if doc is None:
            raise KeyError(id_)
        payload = {
            "entity": entity,
            "id": id_,
            "baseRevision": doc.get("revision"),
            "base": {field: doc[field] for field in changes} if changes else None,
            "changes": dict(changes) if changes else None,
            "add": dict(add) if add else None,
        }
        return self.record("record.edit", visit_id, payload, location=location)

    def keep_picture(
        self, source: bytes | Path, *, media_type: str, name: str = "", kind: str = "photo"
    ) -> tuple[str, int]:
        """Queue a picture's bytes; its SHA-256 and size, for the command that names it."""
        data = source if isinstance(source, bytes) else source.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        self.store.pictures.keep(
            sha256, source, len(data), media_type=media_type, name=name or sha256[:12], kind=kind
        )
        return sha256, len(data)

    def take_photo(
        self,
        visit_id: str,
        source: bytes | Path,
        *,
        media_type: str = "image/jpeg",
        caption: str | None = None,
        location: Location | None = None,
    ) -> UUID:
        """Record a photo (bytes, or a file that the app keeps until it was sent) and queue it; the command's id."""
        with self.store.transaction():
            sha256, size = self.keep_picture(source, media_type=media_type)
            payload = {"sha256": sha256, "mediaType": media_type, "sizeBytes": size, "caption": caption}
            return self.record("visit.photo", visit_id, payload, location=location)

    # ------------------------------------------------------------------------------------------- in and out

    async def sync(self) -> int:
        """Push all that is pending, pull all there is, upload the photos; the documents that came.

        An app that is too old still hands in its work and stops pulling, until it was upgraded (or `pull` is called).
        """
        if self.store.mark(WIPING) is not None:
            await self._wipe_if_asked()
            return 0
        await self.push()
        count = 0
        if self.store.mark("upgrade") != self._app():
            try:
                count = await self.pull()
            except Refused as refused:
                if refused.code != "UPGRADE_REQUIRED":
                    raise
        await self.upload()
        await self._wipe_if_asked()
        return count

    async def push(self) -> list[Answer]:
        """Send the queue, oldest first, a batch at a time, until it is empty; the answers.

        An answer takes its command out of the queue, whatever it says (`quarantined` and `held` too: the server has
        it). No answer leaves it in. Raises NetworkLost or Refused when trying again did not help.
        """
        async with self._one_at_a_time:
            answers: list[Answer] = []
            while batch := self._batch():
                answers += await self._heeding(lambda batch=batch: self._push_batch(batch))  # type: ignore[misc]
            return answers

    async def pull(self) -> int:
        """Pull pages until the server has no more; the documents that came."""
        async with self._one_at_a_time:
            told = self.store.answered_sequences()
            count, more, restarts = 0, True, 0
            while more:
                try:
                    page = await self._heeding(self._pull_page)
                except Refused as refused:
                    if refused.code == "UPGRADE_REQUIRED":
                        self.store.set_marks(upgrade=self._app())
                        self.told("UPGRADE_REQUIRED")
                    if refused.code not in START_AGAIN or restarts:
                        raise
                    restarts += 1
                    self.store.start_again()
                    continue
                known = [item for item in page.documents if item.entity in self._knows]
                self.store.apply_page(
                    known, cursor=page.cursor, epoch=page.epoch, last=not page.more, stamp=page.stamp
                )
                count, more = count + len(known), page.more
            self.store.forget(told)
            self.store.drop_marks("upgrade")
            self._asked_to_wipe(page.wipe)
            if page.budget_warning:
                self.told("BUDGET_WARNING")
            return count

    async def upload(self) -> int:
        """Send the photos that are queued; how many arrived."""
        async with self._uploading:
            return await self._heeding(self._uploader.send_all, retry=False)

    def _asked_to_wipe(self, wipe: bool) -> None:
        if wipe:
            self.store.set_marks(wipe="1")
        else:
            self.store.drop_marks("wipe")

    async def _wipe_if_asked(self) -> None:
        """The office wants this phone empty: once nothing waits to be sent, forget everything, and then say so."""
        if self.store.mark(WIPING) is None:
            if self.store.mark("wipe") is None or self.store.waiting()[0] or self.store.pictures.pending():
                return
            self._forget_everything()
        await self._confirm_wipe()

    def _forget_everything(self) -> None:
        """All but the tokens. A phone that dies before it could confirm is empty, and confirms when it wakes."""
        self.store.set_marks(wiping="1")
        self.store.erase(keep=(*TOKENS, WIPING))
        self.told("WIPED")

    async def _confirm_wipe(self) -> None:
        with contextlib.suppress(DeviceShutOut, DeviceWiped):
            await self.wire.retrying(lambda: self.wire.graphql(queries.CONFIRM_WIPE, dict[str, Any], {}))
        self.store.erase()

    def _batch(self) -> list[tuple[int, bytes]]:
        batch: list[tuple[int, bytes]] = []
        room = BATCH_BYTES
        for sequence, body in self.store.pending(self._batch_commands):
            room -= len(body)
            if batch and room < 0:
                break
            batch.append((sequence, body))
        return batch

    async def _push_batch(self, batch: list[tuple[int, bytes]]) -> list[Answer]:
        envelope: dict[str, Any] = {
            "sentAt": self.clock.wall().isoformat(),
            "monotonicMs": self.clock.monotonic_ms(),
            "bootId": self.clock.boot_id,
            "appVersion": self.app_version,
            "commands": [msgspec.Raw(body) for _, body in batch],
        }
        if self.schema_version >= 2:
            pending, oldest = self.store.waiting()
            used, free = self.store.room()
            envelope |= {"schemaVersion": self.schema_version, "oldestPending": oldest, "pending": pending}
            envelope |= {"storageUsedBytes": used, "storageFreeBytes": free}
        query = queries.PUSH if self.schema_version >= 2 else queries.PUSH_1
        answered = await self.wire.graphql(query, dict[Literal["push"], Answers], {"input": envelope})
        pushed = answered["push"]
        left = self.store.answered([(batch[answer.index][0], answer) for answer in pushed.answers])
        self.store.heard(pushed.stamp)
        self._asked_to_wipe(pushed.wipe)
        settled = [answer for answer in pushed.answers if answer not in left]
        self.heard(settled)
        if any(answer.code == "DEVICE_REVOKED" for answer in left):
            raise DeviceShutOut("DEVICE_REVOKED")
        if not settled:
            # Nothing of the batch got through: to send it again at once would be hammering.
            raise Refused(next((answer.code for answer in left if answer.code), "NO_ANSWER"), retryable=True)
        return settled

    async def _pull_page(self) -> Page:
        variables: dict[str, Any] = {"cursor": self.store.mark("cursor"), "limit": self._page_rows}
        if self.schema_version < 2:
            return (await self.wire.graphql(queries.PULL_1, dict[Literal["pull"], Page], variables))["pull"]
        variables |= {"schemaVersion": self.schema_version, "pending": self.store.waiting()[0]}
        return (await self.wire.graphql(queries.PULL, dict[Literal["pull"], Page], variables))["pull"]

    async def operation(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Another operation of the GraphQL API, as this phone."""
        return await self._heeding(lambda: self.wire.graphql(query, dict[str, Any], variables))

    async def report_positions(self, fixes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Tell where this phone was, once: `at` by its own wall clock, `lat`, `lng`, `accuracyM` …; what became of them.

        Raises NetworkLost, Refused. The same fixes again store nothing.
        """
        body = {"sentAt": self.clock.wall(), "fixes": list(fixes)}
        return await self._heeding(lambda: self.wire.post("/v1/positions", body), retry=False)

    async def _heeding(self, act: Callable[[], Awaitable[T]], *, retry: bool = True) -> T:
        """`act`, again and again; where the phone is stolen, everything on it goes at once."""
        try:
            return await (self.wire.retrying(act) if retry else act())
        except DeviceWiped:
            self._forget_everything()
            with contextlib.suppress(NetworkLost, Refused):
                await self._confirm_wipe()
            raise

    def _app(self) -> str:
        return f"{self.schema_version} {self.app_version}"
