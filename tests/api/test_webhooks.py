"""Webhooks against a receiver that misbehaves in every way the real ones do."""

import asyncio
import contextlib
import hashlib
import hmac
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from callout_backend.jobs import webhooks
from callout_backend.jobs.deliver import WebhookHandler, judge
from callout_backend.jobs.drain import Drainer, drain
from callout_backend.wiring import add_hooks
from callout_store import journal, outbox
from callout_store.ids import new_id
from callout_store.journal import Entry
from callout_store.outbox import Retry
from callout_store.work import Database

SECRET = "webhook-secret"


@dataclass
class Receiver:
    """A small HTTP server; `answers` are used up in turn, then it answers 200. None: it never answers."""

    port: int = 0
    answers: list[bytes | None] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.got.append((head[0], headers, body))
        answer = self.answers.pop(0) if self.answers else reply(200)
        if answer is not None:
            writer.write(answer)
            await writer.drain()
            writer.close()
        else:
            await reader.read()


def reply(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()


@pytest.fixture
async def webhook() -> AsyncIterator[WebhookHandler]:
    handler = WebhookHandler(private_allowed=True, timeout_s=0.5)
    yield handler
    await handler.close()


@pytest.fixture
async def org_id(db: Database, receiver: Receiver) -> UUID:
    """An organisation whose webhook is the receiver."""
    add_hooks(db)
    id_ = new_id()
    async with db.work(id_) as work:
        await work.execute(
            "insert into organisation (id, slug, name, webhook_url, webhook_secret) values ($1, $2, 'O', $3, $4)",
            id_,
            f"o-{id_.hex}",
            f"http://127.0.0.1:{receiver.port}/hook?x=1",
            SECRET,
        )
    async with db.system_work() as work:
        await work.execute("update outbox set state = 'done' where state <> 'done'")
    return id_


async def happen(db: Database, org_id: UUID, *kinds: str, order_id: UUID | None = None) -> UUID:
    order_id = order_id or new_id()
    async with db.work(org_id) as work:
        await journal.write(
            work,
            *(
                Entry(kind=kind, entity="work_order", entity_id=order_id, order_id=order_id, data={"n": n})
                for n, kind in enumerate(kinds)
            ),
        )
    return order_id


async def row(db: Database, org_id: UUID) -> dict[str, Any]:
    async with db.work(org_id) as work:
        found = await work.fetchrow(
            "select state, attempts, last_error, extract(epoch from run_at - now())::float8 as wait_s "
            "from outbox where org_id = $1 and channel = 'webhook' order by position limit 1",
            org_id,
        )
    assert found is not None
    return dict(found)


async def due_now(db: Database) -> None:
    async with db.system_work() as work:
        await work.execute("update outbox set run_at = now() - interval '1 second' where state = 'ready'")


# --- what is owed --------------------------------------------------------------------------------------------------


async def test_a_delivery_is_signed_and_names_itself(
    db: Database, org_id: UUID, receiver: Receiver, webhook: WebhookHandler
) -> None:
    """Without signature anyone can forge orders at the receiver; without the key it cannot tell a repeat."""
    order_id = await happen(db, org_id, "work_order.created")
    assert await drain(db, {"webhook": webhook}, only=True) == 1
    ((first, headers, body),) = receiver.got
    assert first.startswith("POST /hook?x=1 ")
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    told = msgspec.json.decode(body)
    assert (told["kind"], told["orderId"], told["data"]) == ("work_order.created", str(order_id), {"n": 0})
    assert headers["idempotency-key"] == f"webhook:{told['id']}"
    stamp, mac = (part.partition("=")[2] for part in headers["callout-signature"].split(","))
    assert hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest() == mac
    assert (await row(db, org_id))["state"] == "done"


async def test_only_lines_that_are_told_and_only_to_those_who_asked(db: Database, org_id: UUID) -> None:
    """Sign-ins must not leave the house, and an organisation without a webhook must not fill the outbox."""
    await happen(db, org_id, "session.opened", "user.created", "visit.arrived", "sla.missed")
    silent = new_id()
    async with db.work(silent) as work:
        await work.execute(
            "insert into organisation (id, slug, name) values ($1, $2, 'S')", silent, f"s-{silent.hex}"
        )
    await happen(db, silent, "work_order.created")
    async with db.work(org_id) as work:
        kinds = await work.fetch(
            "select payload->>'kind' as kind from outbox where org_id = $1 and channel = 'webhook' order by position",
            org_id,
        )
    assert [r["kind"] for r in kinds] == ["visit.arrived", "sla.missed"]
    async with db.work(silent) as work:
        assert (
            await work.fetchval(
                "select count(*) from outbox where org_id = $1 and channel = 'webhook'", silent
            )
            == 0
        )


async def test_a_line_undone_with_its_savepoint_is_not_told(db: Database, org_id: UUID) -> None:
    """A push undoes one bad command of many: the receiver would be told of a visit that never ended."""
    order_id = new_id()
    async with db.work(org_id) as work:
        for kind in ("visit.arrived", "visit.undone"):
            with contextlib.suppress(ZeroDivisionError):
                async with work.savepoint():
                    await journal.write(
                        work, Entry(kind=kind, entity="visit", entity_id=order_id, order_id=order_id)
                    )
                    if kind == "visit.undone":
                        raise ZeroDivisionError
    async with db.work(org_id) as work:
        kinds = await work.fetch(
            "select payload->>'kind' as kind from outbox where org_id = $1 and channel = 'webhook'", org_id
        )
    assert [r["kind"] for r in kinds] == ["visit.arrived"]


async def test_an_orders_lines_arrive_in_order_despite_faults(
    db: Database, org_id: UUID, receiver: Receiver, webhook: WebhookHandler
) -> None:
    """A receiver that mirrors the order's state would end in the wrong one."""
    receiver.answers = [reply(200), reply(500), reply(503)]
    await happen(db, org_id, "work_order.created", "visit.arrived", "visit.completed")
    for _ in range(5):
        await drain(db, {"webhook": webhook}, only=True)
        await due_now(db)
    kinds = [msgspec.json.decode(body)["kind"] for _, _, body in receiver.got]
    assert kinds == [
        "work_order.created",
        "visit.arrived",
        "visit.arrived",
        "visit.arrived",
        "visit.completed",
    ]
    keys = [headers["idempotency-key"] for _, headers, _ in receiver.got]
    assert len(set(keys[1:4])) == 1


# --- what the answer means -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "state", "error"),
    (
        (reply(500), "ready", "answered 500"),
        (reply(408), "ready", "answered 408"),
        (reply(425), "ready", "answered 425"),
        (None, "ready", "no answer: ReadTimeout"),
        (b"garbage\r\n\r\n", "ready", "no answer"),
        (reply(200, b'{"errcode": 130101, "errmsg": "send too fast"}'), "ready", "errcode 130101"),
        (reply(200, b'{"errcode": 0}'), "done", None),
        (reply(204), "done", None),
        (reply(200, b"[" * 60_000), "done", None),  # a body that cannot be decoded is no error code
        (reply(302, location="http://127.0.0.1:1/"), "dead", "answered 302"),
        (reply(404), "dead", "answered 404"),
        (reply(400), "dead", "answered 400"),
    ),
)
async def test_answers(
    db: Database,
    org_id: UUID,
    receiver: Receiver,
    webhook: WebhookHandler,
    answer: bytes | None,
    state: str,
    error: str | None,
) -> None:
    """An answer misread as success is a message lost; one misread as failure is sent 25 times."""
    receiver.answers = [answer]
    await happen(db, org_id, "work_order.created")
    handler_calls = await drain_once(db, webhook)
    assert (handler_calls, len(receiver.got)) == (1, 1)
    found = await row(db, org_id)
    assert found["state"] == state
    assert error is None or error in found["last_error"]


async def drain_once(db: Database, webhook: WebhookHandler) -> int:
    """One attempt, whatever the backoff's die says."""
    drainer = Drainer(db, {"webhook": webhook})
    items = await outbox.claim(db, channels=["webhook"])
    for item in items:
        await drainer._handle(item)
    return len(items)


async def test_retry_after_is_honoured(
    db: Database, org_id: UUID, receiver: Receiver, webhook: WebhookHandler
) -> None:
    """Calling a throttling receiver early extends the throttle."""
    receiver.answers = [reply(429, retry_after="120")]
    await happen(db, org_id, "work_order.created")
    await drain(db, {"webhook": webhook}, only=True)
    found = await row(db, org_id)
    assert found["state"] == "ready"
    assert 110 < found["wait_s"] <= 120


@pytest.mark.parametrize(
    ("text", "low", "high"),
    (
        ("in 300 s", 200, 301),
        ("99999999", 3600, 3600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
    ),
)
def test_retry_after_forms(text: str, low: float, high: float) -> None:
    """The header has two forms; an absurd value must not park a message for a year."""
    if text == "in 300 s":  # by the clock of now: the tests are collected minutes before they run
        text = format_datetime(datetime.now(UTC) + timedelta(seconds=300), usegmt=True)
    with pytest.raises(Retry) as caught:
        judge(503, {"retry-after": text}, b"")
    assert caught.value.after_s is not None
    assert low <= caught.value.after_s <= high
    with pytest.raises(Retry) as caught:
        judge(503, {"retry-after": "soon"}, b"")
    assert caught.value.after_s is None


async def test_a_webhook_switched_off_owes_nothing(
    db: Database, org_id: UUID, receiver: Receiver, webhook: WebhookHandler
) -> None:
    """Messages waiting at the moment it was switched off would be sent to whoever has the address by then."""
    await happen(db, org_id, "work_order.created")
    async with db.work(org_id) as work:
        await work.execute("update organisation set webhook_url = null where id = $1", org_id)
    await drain(db, {"webhook": webhook}, only=True)
    assert receiver.got == []
    assert (await row(db, org_id))["state"] == "done"


# --- where it may go -----------------------------------------------------------------------------------------------


def certificate_for(host: str, folder: Path) -> Path:
    """A self-signed certificate for a name, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{host}.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize(("certified", "state"), (("localhost", "done"), ("elsewhere.example", "ready")))
async def test_tls_is_checked_against_the_name_and_not_the_pinned_address(
    db: Database, org_id: UUID, tmp_path: Path, certified: str, state: str
) -> None:
    """Pinning puts an IP address into the URL: checked against that, every real receiver would be refused,
    and with the check off anyone on the way could read the orders."""
    pem = certificate_for(certified, tmp_path)
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(pem)
    found = Receiver()
    server = await asyncio.start_server(found.serve, "localhost", 0, ssl=server_side, family=socket.AF_INET)
    port = server.sockets[0].getsockname()[1]
    trusting = WebhookHandler(private_allowed=True, tls=ssl.create_default_context(cafile=str(pem)))
    try:
        await happen(db, org_id, "work_order.created")
        async with db.work(org_id) as work:
            await work.execute(
                "update organisation set webhook_url = $2 where id = $1",
                org_id,
                f"https://localhost:{port}/hook",
            )
        await drain_once(db, trusting)
    finally:
        await trusting.close()
        server.close()
    assert (await row(db, org_id))["state"] == state
    assert [headers["host"] for _, headers, _ in found.got] == (
        [f"localhost:{port}"] if state == "done" else []
    )


async def test_a_private_address_is_a_dead_letter_and_is_not_called(
    db: Database, org_id: UUID, receiver: Receiver
) -> None:
    """The guard must stand in the delivery, not only in a function."""
    guarded = WebhookHandler()
    try:
        await happen(db, org_id, "work_order.created")
        async with db.work(org_id) as work:
            await work.execute(
                "update organisation set webhook_url = $2 where id = $1",
                org_id,
                f"https://localhost:{receiver.port}/",
            )
        await drain(db, {"webhook": guarded}, only=True)
    finally:
        await guarded.close()
    assert receiver.got == []
    found = await row(db, org_id)
    assert (found["state"], "private" in found["last_error"]) == ("dead", True)


def test_kinds_that_are_told() -> None:
    """The list is a promise to receivers."""
    order = new_id()
    told = {
        kind: webhooks.is_told(Entry(kind=kind, entity="x", entity_id=order))
        for kind in (
            "work_order.created",
            "visit.completed",
            "sla.missed",
            "session.opened",
            "device.revoked",
        )
    }
    assert told == {
        "work_order.created": True,
        "visit.completed": True,
        "sla.missed": True,
        "session.opened": False,
        "device.revoked": False,
    }
