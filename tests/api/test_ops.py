"""Logs, health and metrics: what those who run Callout lean on when something is wrong."""

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any, cast

import asyncpg
import httpx
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from callout_backend.app import create_app
from callout_backend.embedded import Urls
from callout_backend.ops import horizon, logs, metrics
from callout_backend.ops.health import readiness
from callout_backend.settings import Settings
from callout_store import meters
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    out = io.StringIO()
    logs.configure("json", level="DEBUG", stream=out)
    yield out
    logging.getLogger().handlers.clear()


@pytest.fixture
async def client(settings: Settings, db: Database) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings, db=db)
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=httpx.ASGITransport(cast(Any, app)), base_url="http://t") as http,
    ):
        yield http


# --- logs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "canary"),
    (
        ({"password": "canary-1"}, "canary-1"),
        ({"refresh_token": "canary-2"}, "canary-2"),
        ({"headers": {"Authorization": "Bearer canary-3xyz"}}, "canary-3xyz"),
        ({"headers": [{"cookie": "session=canary-4"}]}, "canary-4"),
        ({"code": "K7Q2-M9XD"}, "K7Q2"),  # an enrolment code
        ({"contact": {"phone": "+1 415 555 0134"}}, "555"),
        ({"event": "GET /s/AbCdEf0123456789_-AbCdEf failed"}, "AbCdEf0123456789"),
        ({"note": "sent Bearer abc.def.ghi123 along"}, "abc.def"),
        ({"note": "call 13812345678 first"}, "13812345678"),
        ({"note": "call (415) 555-0134 first"}, "0134"),
        ({"note": "call +86 138-1234-5678"}, "1234-5678"),
        ({"url": "postgresql://callout:canary-5@db/x"}, "canary-5"),
        ({"note": '{"password": "canary-6", "a": 1}'}, "canary-6"),
        ({"note": "token=canary-7&x=1"}, "canary-7"),
        ({"note": "who: ck_AAAAAAAAAAAAAAAAAAAAAA.canary-9-AAAAAAAAAAAAAAA"}, "canary-9"),
        ({"path": "/n/canary-10-AAAA"}, "canary-10"),
        ({"note": "mailto://desk:canary-11@mail.example"}, "canary-11"),
        ({"note": "https://oapi.dingtalk.com/robot/send?access_token=canary-12"}, "canary-12"),
        ({"jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijk"}, "eyJzdWIi"),
        ({"deep": {"a": {"b": {"c": {"d": {"e": {"f": {"secret": "canary-8"}}}}}}}}, "canary-8"),
    ),
)
def test_secrets_and_phone_numbers_stay_out_of_logs(
    log_lines: io.StringIO, event: dict[str, object], canary: str
) -> None:
    """Logs are shipped to third parties and read by many: one token in them is a stolen session."""
    event = dict(event)
    name = str(event.pop("event", "canary_test"))
    structlog.get_logger("test").info(name, **event)
    if "code" not in event:  # in plain text nothing tells an enrolment code from a word
        logging.getLogger("plain").warning("%s %s", name, json.dumps(event))
    assert "canary_test" in log_lines.getvalue() or "/s/" in log_lines.getvalue()
    assert canary not in log_lines.getvalue()


def test_secrets_in_exceptions_stay_out_of_logs(log_lines: io.StringIO) -> None:
    """Drivers put what they were given into their exceptions' texts."""
    try:
        raise ValueError("cannot use password=canary-9 for +14155550134")
    except ValueError:
        structlog.get_logger("test").exception("failed")
    line = json.loads(log_lines.getvalue())
    assert "ValueError" in line["exception"]
    assert "canary-9" not in line["exception"]
    assert "5550134" not in line["exception"]


def test_what_people_search_for_stays_readable(log_lines: io.StringIO) -> None:
    """A redaction that hides ids, times, counts and addresses leaves a log nobody can use."""
    id_ = str(new_id())
    kept = {
        "visit_id": id_,
        "note": f"visit {id_} at 2026-03-01T09:15:30.123456Z from 10.20.30.140",
        "rows": 123456789,
        "took_ms": 12.5,
        "code": "BAD_FIELD",
        "error_code": "X",
        "number": "WO-2026-00017",
    }
    structlog.get_logger("test").info("kept", **kept)
    line = json.loads(log_lines.getvalue())
    assert {key: line[key] for key in kept} == kept


async def test_the_access_log_has_the_route_and_not_the_address(
    log_lines: io.StringIO, client: httpx.AsyncClient
) -> None:
    """The path of a sign-off page is the right to sign; query strings carry names and tokens."""
    await client.get("/static/home.css?access=canary-10", headers={"x-request-id": "mine-1"})
    await client.get("/nowhere/canary-11?q=canary-12")
    lines = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    access = [line for line in lines if line["event"] == "request"]
    assert access[0]["route"].startswith("/static/")
    assert access[0]["request_id"] == "mine-1"
    assert [line["status"] for line in access] == [200, 404]
    assert "canary" not in log_lines.getvalue()


@pytest.mark.parametrize("given", ("a b", "x" * 65, "<script>", '"', "ä"))
async def test_a_hostile_request_id_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    """A caller's id goes into every log line: it must not be able to forge lines or fill the disk."""
    answer = await client.get("/healthz", headers=[(b"x-request-id", given.encode())])
    assert answer.headers["x-request-id"] != given
    answer = await client.get("/healthz", headers={"x-request-id": "phone-7.A_b"})
    assert answer.headers["x-request-id"] == "phone-7.A_b"


# --- headers and pages ---------------------------------------------------------------------------------------------


async def test_headers_of_pages_and_files(client: httpx.AsyncClient) -> None:
    """Without them a sign-off link travels on as a Referer, and a page may be framed and clicked through."""
    page = await client.get("/", headers={"accept-language": "zh"})
    assert page.status_code == 200
    assert 'lang="zh"' in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-store"
    address = page.text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    sheet = await client.get(address)
    assert sheet.status_code == 200
    assert "immutable" in sheet.headers["cache-control"]
    assert "immutable" not in (await client.get("/static/home.css")).headers["cache-control"]


# --- health --------------------------------------------------------------------------------------------------------


async def test_ready_without_a_worker_is_degraded(client: httpx.AsyncClient, db: Database) -> None:
    """A load balancer that took the API out because the worker is away would turn a delay into an outage."""
    async with db.work(None) as work:
        await work.execute("delete from worker_heartbeat")
    answer = await client.get("/readyz", headers={"accept-language": "zh"})
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "degraded")
    assert body["checks"]["worker"]["status"] == "degraded"
    assert "callout worker" in body["checks"]["worker"]["hint"]
    assert {body["checks"][name]["status"] for name in ("database", "migrations", "redis", "timers")} == {
        "ok"
    }


async def test_ready_sees_a_stale_heartbeat(settings: Settings, db: Database) -> None:
    """A worker killed an hour ago left its row behind: the row alone proves nothing."""
    async with db.work(None) as work:
        await work.execute("delete from worker_heartbeat")
        await work.execute(
            "insert into worker_heartbeat (worker_id, host, pid, started_at) values ($1, 'h', 1, now())",
            new_id(),
        )
    assert (await readiness(db, settings)).status == "ok"
    async with db.work(None) as work:
        await work.execute("update worker_heartbeat set beat_at = now() - interval '1 hour'")
    found = await readiness(db, settings)
    assert (found.checks["worker"].status, found.http_status) == ("degraded", 200)


async def test_ready_without_redis_is_degraded(settings: Settings, db: Database) -> None:
    """Pushes and pulls work without Redis; the answer must not say otherwise."""
    found = await readiness(db, replace(settings, redis_url="redis://127.0.0.1:1/0"))
    assert (found.checks["redis"].status, found.http_status) == ("degraded", 200)
    assert found.checks["redis"].hint


async def unreachable() -> Database:
    """A database whose server has gone."""
    url = "postgresql://canary:canary@127.0.0.1:1/x"
    gone = Database(url)
    gone.engine.pool = await asyncpg.create_pool(url, min_size=0, max_size=1)
    return gone


async def test_not_ready_without_a_database(settings: Settings) -> None:
    """Traffic sent to a process without a database is lost; its error text must not show the login."""
    found = await readiness(await unreachable(), settings)
    assert (found.status, found.http_status) == ("failed", 503)
    assert "canary" not in str(found)


async def test_not_ready_before_migration(settings: Settings, fresh_database: Urls) -> None:
    """A new version that serves before `callout migrate` ran would fail request by request instead."""
    admin = await asyncpg.connect(fresh_database.admin)
    await admin.execute("delete from migration")
    await admin.close()
    assert fresh_database.database is not None
    db = Database(fresh_database.database)
    await db.start()
    try:
        found = await readiness(db, settings)
    finally:
        await db.stop()
    assert found.checks["migrations"].status == "failed"
    assert found.http_status == 503


@pytest.mark.parametrize("login", ("database", "owner", "admin"))
async def test_the_horizon_sees_a_forgotten_transaction(
    db: Database, database_urls: Urls, login: str
) -> None:
    """A psql left open in a transaction stops every phone from seeing news; nothing else would show it.

    Of another login's transaction PostgreSQL shows no start: then it is the watching that tells.
    """
    culprit = await asyncpg.connect(getattr(database_urls, login))
    transaction = culprit.transaction()
    await transaction.start()
    try:
        await culprit.fetchval("select pg_current_xact_id()::text")
        async with db.work(None) as work:
            await work.execute("update worker_heartbeat set beat_at = now()")
            await work.fetchval("select pg_current_xact_id()::text")
        first = await horizon.look(db)
        await culprit.fetchval("select pg_sleep(0.3)")
        second = await horizon.look(db)
        assert second.age_s >= first.age_s + 0.3
        assert second.xmin == first.xmin
    finally:
        await transaction.rollback()
        await culprit.close()
    assert (await horizon.look(db)).age_s < second.age_s


# --- metrics -------------------------------------------------------------------------------------------------------


async def test_metrics(client: httpx.AsyncClient) -> None:
    """Alarms are built on these names: a renamed or unparsable one is an alarm that never rings."""
    meters.count("push_commands", 3, status="applied")
    meters.count("nobody_exports_this", 1)
    await client.get("/healthz")
    await client.get("/nowhere/at/all")
    answer = await client.get("/metrics")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples[("callout_up",)] == 1
    assert samples[("callout_push_commands_total", ("status", "applied"))] >= 3
    assert ("callout_outbox_oldest_due_seconds",) in samples
    assert ("callout_timers_armed",) in samples
    assert ("callout_feed_horizon_age_seconds",) in samples
    assert ("callout_pool_connections", ("use", "max")) in samples
    assert ("process_cpu_seconds_total",) in samples
    requests = {key for key in samples if key[0] == "callout_http_request_seconds_count"}
    assert any(("route", "/healthz") in key for key in requests)
    # Addresses that do not exist are one series, or a scan would fill the memory.
    assert any(("route", "(none)") in key for key in requests)
    assert not any("nowhere" in str(key) for key in requests)


async def test_metrics_without_a_database() -> None:
    """The scrape that could say that the database is away must not fail because it is away."""
    text = (await metrics.render(await unreachable())).decode()
    assert "callout_up 0.0" in text
    assert "callout_http_request_seconds" in text
