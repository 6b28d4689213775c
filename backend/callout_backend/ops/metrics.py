"""/metrics for Prometheus.

Two sorts: counters and latencies that each process keeps (added up over uvicorn's workers by prometheus-client's
multiprocess mode, see `ops.multiprocess`), and gauges of the whole installation that are read from the database at the
moment of the scrape, hence the same whichever process answers.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from litestar import Request, Response, get
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from callout_backend.ops import horizon
from callout_backend.ops.multiprocess import VARIABLE
from callout_store import meters, outbox
from callout_store.errors import Refusal
from callout_store.work import Database

KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REGISTRY = CollectorRegistry()
"""Of this process. Not prometheus-client's global one: a library that registers there must not appear by accident."""

HTTP_SECONDS = Histogram(
    "callout_http_request_seconds",
    "Requests by route template, method and status",
    ("route", "method", "status"),
    buckets=BUCKETS_S,
    registry=REGISTRY,
)
PUSH_COMMANDS = Counter(
    "callout_push_commands", "Commands of phones by the answer they got", ("status",), registry=REGISTRY
)
OUTBOX_HANDLED = Counter(
    "callout_outbox_handled",
    "Outbox rows handled by channel and outcome",
    ("channel", "outcome"),
    registry=REGISTRY,
)
NOTICES_SENT = Counter(
    "callout_notices_sent",
    "Messages of notices by medium and what became of them",
    ("medium", "outcome"),
    registry=REGISTRY,
)
COUNTERS: Mapping[str, Counter] = {
    "push_commands": PUSH_COMMANDS,
    "outbox_handled": OUTBOX_HANDLED,
    "notices_sent": NOTICES_SENT,
}


def observe_request(method: str, route: str, status: int, took_s: float) -> None:
    """One request. Methods outside the common ones are one label, since a caller chooses them freely."""
    HTTP_SECONDS.labels(route, method if method in KNOWN_METHODS else "other", str(status)).observe(took_s)


def on_count(name: str, amount: float, labels: Mapping[str, str]) -> None:
    """A count of a lower floor (`callout_store.meters`); names that nobody exports are ignored."""
    counter = COUNTERS.get(name)
    if counter is not None:
        counter.labels(**labels).inc(amount)


meters.listen(on_count)


class Installation(Collector):
    """Gauges that were read from the database for one scrape."""

    def __init__(self, gauges: Iterable[tuple[str, str, Mapping[str, str], float]]) -> None:
        self._gauges = list(gauges)

    def collect(self) -> Iterator[Metric]:
        """Group the readings by name, as the text format wants them."""
        families: dict[str, GaugeMetricFamily] = {}
        for name, text, labels, value in self._gauges:
            family = families.setdefault(name, GaugeMetricFamily(name, text, labels=tuple(labels)))
            family.add_metric(tuple(labels.values()), value)
        return iter(families.values())


async def read_gauges(db: Database) -> list[tuple[str, str, Mapping[str, str], float]]:
    """(name, help, labels, value) of what the database knows; only `callout_up` 0 where it does not answer."""
    up = "Whether the database answers"
    try:
        rows = await outbox.counts(db)
        async with db.system_work() as work:
            armed = await work.fetchrow(
                "select count(*) as n, coalesce(extract(epoch from now() - min(due_at)), 0)::float8 as late_s "
                "from timer where state = 'armed'"
            )
            beat_age_s = await work.fetchval(
                "select extract(epoch from now() - max(beat_at))::float8 from worker_heartbeat"
            )
        look = await horizon.look(db)
    except (Refusal, RuntimeError):
        return [("callout_up", up, {}, 0.0)]
    assert armed is not None
    gauges: list[tuple[str, str, Mapping[str, str], float]] = [
        ("callout_up", up, {}, 1.0),
        ("callout_timers_armed", "Timers that wait", {}, armed["n"]),
        ("callout_timers_late_seconds", "How long the oldest due timer waits", {}, max(0.0, armed["late_s"])),
        (
            "callout_outbox_oldest_due_seconds",
            "How long the oldest due row waits",
            {},
            rows.pop("oldest_due_s"),
        ),
        (
            "callout_feed_horizon_age_seconds",
            "Age of the oldest writing transaction: phones see nothing newer",
            {},
            look.age_s,
        ),
        ("callout_pool_connections", "Connections of this process by use", {"use": "max"}, db.pool_max),
        ("callout_pool_connections", "", {"use": "open"}, db.pool.get_size()),
        ("callout_pool_connections", "", {"use": "busy"}, db.pool.get_size() - db.pool.get_idle_size()),
    ]
    gauges += [
        ("callout_outbox_rows", "Outbox rows by state", {"state": s}, n) for s, n in sorted(rows.items())
    ]
    if beat_age_s is not None:
        gauges.append(
            ("callout_worker_beat_age_seconds", "Since the last worker's heartbeat", {}, beat_age_s)
        )
    return gauges


async def render(db: Database) -> bytes:
    """The whole scrape in Prometheus' text format."""
    scrape = CollectorRegistry()
    scrape.register(Installation(await read_gauges(db)))
    ProcessCollector(registry=scrape)
    PlatformCollector(registry=scrape)
    if os.environ.get(VARIABLE):
        MultiProcessCollector(scrape)  # type: ignore[no-untyped-call]
        return generate_latest(scrape)
    return generate_latest(scrape) + generate_latest(REGISTRY)


@get("/metrics", include_in_schema=False)
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Prometheus' door. Keep it from the public by the proxy in front, as usual for metrics."""
    return Response(content=await render(request.app.state.db), media_type=CONTENT_TYPE_LATEST)
