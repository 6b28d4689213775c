"""Sign-off by link through its door, on a real database."""

import asyncio
import base64
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import structlog
from signoff_cases import STROKES, SUMMARY, Case, make_app, make_case

from callout_backend.doors import signoff as door
from callout_orders import reading, signoff
from callout_orders.canonical import canonical
from callout_store.ids import new_id
from callout_store.work import Database

BODY: dict[str, Any] = {"signerName": "Ann Lee", "decision": "accept", "rating": 5, "strokes": STROKES}


@pytest.fixture
async def case(db: Database) -> Case:
    return await make_case(db)


@pytest.fixture
async def client(db: Database) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(db))
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        yield client


async def test_of_a_hundred_signatures_one_is_stored(case: Case, client: httpx.AsyncClient) -> None:
    """A double tap on a slow phone would sign twice, or two people would sign one visit."""
    token = await case.link()
    answers = await asyncio.gather(
        *(client.post(f"/s/{token}", json={**BODY, "signerName": f"Ann {n}"}) for n in range(100))
    )
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert {answer.status_code for answer in answers} == {200, 410}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 410} == {
        "SIGN_OFF_LINK_USED"
    }
    (row,) = await case.signatures()
    assert str(row["event_id"]) == won[0].json()["eventId"]
    events = await case.world.fetch(
        "select id from visit_event where visit_id = $1 and kind = 'customer_signed'", case.visit_id
    )
    assert [event["id"] for event in events] == [row["event_id"]]


async def test_what_is_stored_can_be_proved(case: Case, client: httpx.AsyncClient) -> None:
    """'I never signed that': nobody could show what was under the signature."""
    token = await case.link()
    answer = await client.post(f"/s/{token}", json={**BODY, "decision": "object", "reason": "Still leaks"})
    assert answer.status_code == 200
    (row,) = await case.signatures()
    assert row["signed_summary"] == canonical(SUMMARY)
    digest = hashlib.sha256(row["signed_summary"].encode()).digest()
    assert digest == row["signed_sha256"]
    assert answer.json() == {
        "state": "signed",
        "decision": "object",
        "summarySha256": digest.hex(),
        "eventId": str(row["event_id"]),
    }
    assert (row["signer_name"], row["reason"], row["rating"]) == ("Ann Lee", "Still leaks", 5)
    assert json.loads(row["strokes"]) == [[list(point) for point in stroke] for stroke in STROKES]
    assert row["png"].startswith(b"\x89PNG")
    async with case.world.db.work(case.world.org) as work:
        assert await signoff.verify(work, row["id"])
        ((view,),) = await reading.signatures_by_visit_ids(work, [case.visit_id])
        assert (view.decision, view.signed_sha256, view.by_link) == ("object", digest.hex(), True)
        assert await reading.signature_png(work, view.id) == row["png"]
        entries = (await reading.timeline(work, case.order_id)).items
    signed = next(entry for entry in entries if entry.kind == "visit.signed_off")
    assert signed.data["summarySha256"] == digest.hex()
    assert signed.data["via"] == "link"


async def test_looking_changes_nothing(case: Case, client: httpx.AsyncClient) -> None:
    """A mail scanner that follows the link would use it up before the customer sees it."""
    token = await case.link()
    for _ in range(3):
        page = await client.get(f"/s/{token}")
        assert page.status_code == 200
    assert await case.state(token) == "valid"
    text = page.text
    for shown in (
        "WO-000417",
        "Bay Laundry",
        "Eva Torres",
        "Shaft seal worn",
        "SEAL-1",
        "1 h 35 min",
        "1455 Market",
    ):
        assert shown in text
    # 01:30 UTC in the customer's time zone, in both languages
    assert "2 Mar 2026, 09:30 CST" in text
    assert "2026年3月2日 09:30 CST" in text
    assert "Bay &lt;Field&gt; Service" in text
    assert "<Field>" not in text


async def test_the_page_tells_nobody_its_address(case: Case, client: httpx.AsyncClient) -> None:
    """The token would leak by Referer, by a cache, by a frame, or to a script from elsewhere."""
    page = await client.get(f"/s/{await case.link()}")
    headers = page.headers
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in page.text.replace("http-equiv", "")
    for address in ("signoff.css", "signoff.js"):
        assert (await client.get(f"/static/{address}")).status_code == 200


async def test_no_token_in_logs_or_database(
    case: Case, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may read logs or a backup could sign for the customer."""
    token = await case.link()

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken on purpose")

    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as captured:
        await client.get(f"/s/{token}")
        monkeypatch.setattr(door, "customer_signed_by_link", broken)
        failed = await client.post(f"/s/{token}", json=BODY)
        monkeypatch.undo()
        await client.post(f"/s/{token}", json=BODY)
        await client.post(f"/s/{token}", content=b"{", headers={"content-type": "application/json"})
    assert failed.status_code == 500
    assert any(line["event"] == "sign_off_failed" for line in captured)
    assert any(line.get("route") == "/s/{token}" for line in captured)
    own = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpx"))
    assert token not in repr(captured) + own
    tables = await case.world.fetch(
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    )
    secret = token.split(".")[1]
    raw = secret.encode().hex()
    for table in ("sign_off_link", "signature", "journal", "outbox", "visit_event"):
        assert table in {row["relname"] for row in tables}
        found = await case.world.value(
            f"select count(*) from {table} t where strpos(t::text, $1) > 0 or strpos(t::text, $2) > 0",
            secret,
            raw,
        )
        assert found == 0, table
    stored = await case.world.value("select token_hash from sign_off_link where visit_id = $1", case.visit_id)
    assert stored == hashlib.sha256(token.encode()).digest()


async def test_a_failing_visit_leaves_the_link_usable(
    case: Case, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault between link and visit would burn the link with nothing to show for it."""
    token = await case.link()

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(door, "customer_signed_by_link", broken)
    assert (await client.post(f"/s/{token}", json=BODY)).status_code == 500
    monkeypatch.undo()
    assert await case.signatures() == []
    assert (await client.post(f"/s/{token}", json=BODY)).status_code == 200


async def test_a_newer_link_closes_older_ones(case: Case, client: httpx.AsyncClient) -> None:
    """Two open links for one visit would let the summary before the correction be signed."""
    old, new = await case.link(), await case.link()
    assert (await case.state(old), await case.state(new)) == ("expired", "valid")
    assert (await client.post(f"/s/{old}", json=BODY)).json()["code"] == "SIGN_OFF_LINK_EXPIRED"
    assert (await client.post(f"/s/{new}", json=BODY)).status_code == 200
    newest = await case.link()
    assert (await case.state(new), await case.state(newest)) == ("used", "valid")


async def test_closed_links_say_so_in_both_languages(case: Case, client: httpx.AsyncClient) -> None:
    """The customer would see a machine's error and ring the hotline."""
    token = await case.link(locale="zh")
    page = await client.get(f"/s/{token}", headers={"accept-language": "en"})
    assert 'lang="zh-CN"' in page.text
    assert "服务签收</span></h1>" in page.text
    english = await client.get(f"/s/{token}?lang=en")
    assert "Sign off the work</span></h1>" in english.text
    await client.post(f"/s/{token}", json=BODY)
    used = await client.get(f"/s/{token}")
    assert used.status_code == 410
    assert "已签收</span></h1>" in used.text
    assert "Shaft seal worn" not in used.text
    expired = await case.link(ttl=timedelta(seconds=-1))
    gone = await client.get(f"/s/{expired}")
    assert (gone.status_code, "This link has expired</span></h1>" in gone.text) == (410, True)


def tampered(token: str) -> list[str]:
    organisation, secret = token.split(".")
    other = base64.urlsafe_b64encode(new_id().bytes).rstrip(b"=").decode()
    flipped = ("A" if secret[0] != "A" else "B") + secret[1:]
    return [
        f"{organisation}.{flipped}",
        f"{other}.{secret}",
        secret,
        organisation,
        f"{organisation}.{secret}x",
        f"{organisation}.{secret[:-1]}",
        f"{organisation}.{secret[:-1]}é",
        "%00",
        "x" * 5000,
    ]


async def test_tokens_that_are_none_open_nothing(case: Case, client: httpx.AsyncClient) -> None:
    """Guessing or cutting a link would open a visit, or show a fault instead of a page."""
    token = await case.link()
    for wrong in tampered(token):
        page = await client.get(f"/s/{wrong}")
        assert page.status_code == 404, wrong
        assert "This link is not valid" in page.text
        answer = await client.post(f"/s/{wrong}", json=BODY)
        assert (answer.status_code, answer.json()["code"]) == (404, "SIGN_OFF_LINK_INVALID"), wrong
    assert await case.state(token) == "valid"


@pytest.mark.parametrize(
    ("changes", "status", "path"),
    (
        ({"signerName": "  "}, 422, "signerName"),
        ({"signerName": "a\x00b"}, 422, "signerName"),
        ({"signerName": "x" * 201}, 422, "signerName"),
        ({"decision": "maybe"}, 422, "decision"),
        ({"decision": "object", "reason": " "}, 422, "reason"),
        ({"rating": 6}, 422, "rating"),
        ({"rating": "5"}, 422, "rating"),
        ({"strokes": [[[0.1, 0.1]]]}, 422, "strokes.0.0"),
        ({"strokes": [[[0.1, 0.1, 0]]] * 201}, 422, "strokes"),
    ),
)
async def test_bad_input_is_refused_and_consumes_nothing(
    case: Case, client: httpx.AsyncClient, changes: dict[str, Any], status: int, path: str
) -> None:
    """A typing error would burn the only link."""
    token = await case.link()
    answer = await client.post(f"/s/{token}", json={**BODY, **changes}, headers={"accept-language": "zh"})
    assert (answer.status_code, answer.json()["path"]) == (status, path)
    assert await case.state(token) == "valid"


@pytest.mark.parametrize(
    ("body", "status"),
    (
        (b"null", 400),
        (b"1", 400),
        (b"{", 400),
        (b'{"signerName":"\xff"}', 400),
        (b"[" * 100_000, 400),
        (b'{"signerName":"A","decision":"accept","rating":' + b"9" * 5000 + b"}", 422),
        (b" " * (door.BODY_BYTES_MAX + 1), 413),
    ),
)
async def test_bad_bodies_are_answered(
    case: Case, client: httpx.AsyncClient, body: bytes, status: int
) -> None:
    """A hostile body would be answered with a stack trace, or fill the memory."""
    token = await case.link()
    answer = await client.post(f"/s/{token}", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert await case.state(token) == "valid"


async def test_a_plain_form_works_without_javascript(case: Case, client: httpx.AsyncClient) -> None:
    """Customers with an old or locked-down browser could not sign."""
    token = await case.link()
    page = await client.post(
        f"/s/{token}?lang=zh", data={"signerName": "", "decision": "accept", "rating": ""}
    )
    assert page.status_code == 422
    assert "无法签收" in page.text
    page = await client.post(f"/s/{token}", data={"signerName": "Ann", "decision": "accept", "rating": "4"})
    assert page.status_code == 200
    assert "Your signature has arrived" in page.text
    (row,) = await case.signatures()
    assert (row["signer_name"], row["rating"], row["strokes"]) == ("Ann", 4, "[]")
