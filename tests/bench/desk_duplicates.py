"""Duplicates: how long looking for them takes among many stored orders, and how well twins are told from near-misses."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from desk_report import Row, percentile, spread, verdict
from desk_twins import SORTS, TWINS, Case, Told, by_customer, by_text, cases, judged
from rapidfuzz import fuzz, process
from worlds import World

from callout_backend.demo import sf311
from callout_backend.embedded import Urls
from callout_orders import customers
from callout_orders.customers import NewContact, NewCustomer, NewSite
from callout_orders.precheck import taking
from callout_orders.precheck.alike import search
from callout_orders.precheck.alike.duplicates import Traits, likeness
from callout_orders.precheck.settings import Duplicates
from callout_orders.precheck.terms import Request
from callout_orders.precheck.text.serials import key
from callout_store.ids import new_id
from callout_store.work import Database

CUSTOMERS: Final = 5_000
DAYS: Final = 60
BATCH: Final = 50_000
LOOKS: Final = 100
WARM: Final = 10
TARGET_MS: Final = 50.0
PRECISION, RECALL = 0.98, 0.80

# Copies of one order that differ in whom, where, when and what; nine of ten are over.
_STORE: Final = """
with crowd as materialized (
    select * from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[]) with ordinality
        as c(customer_id, site_id, contact_id, phone, text, k)),
given as (
    select n, 1 + n % cardinality($2::uuid[]) as k, 1 + (n::bigint * 7919) % cardinality($6::text[]) as t,
        now() - make_interval(secs => (n::bigint * 2654435761) % ($7::int * 86400)) as at
    from generate_series($8::int, $9::int) n)
insert into work_order select (jsonb_populate_record(o, jsonb_build_object(
    'id', gen_random_uuid(), 'number', 'OLD-' || g.n, 'customer_id', c.customer_id, 'site_id', c.site_id,
    'contact_id', c.contact_id, 'reporter_phone', c.phone, 'asset_id', null, 'created_at', g.at,
    'description', d.text, 'state', case when g.n % 10 = 0 then 'new' else 'closed' end,
    'closed_at', case when g.n % 10 = 0 then null else g.at + interval '6 hours' end))).*
from given g join crowd c on c.k = g.k join crowd d on d.k = g.t join work_order o on o.id = $1
"""
_INSERT: Final = """
insert into work_order select (jsonb_populate_record(o, r)).*
from work_order o cross join jsonb_array_elements($2::text::jsonb) r where o.id = $1
"""


async def quality_rows(db: Database, urls: Urls) -> list[Row]:
    """Twins and near-misses: what is linked by itself, and what is shown."""
    world = await World(db).build(phones=1)
    template = await world.order()
    now = datetime.now(UTC)
    given = cases(now)
    firsts = {n: new_id() for n in range(len(given))}
    await _stand(world, urls, template, given, firsts)
    settings = Duplicates()
    shown: list[Told] = []
    linked: list[Told] = []
    for case in given:
        async with db.work(world.org) as work:
            found = await search.candidates(work, case.second, settings)
        best = found[0] if found else None
        shown.append(Told(case, best.order_id if best else None))
        linked.append(Told(case, best.order_id if best and best.sure else None))
    same = TWINS[:2]
    text, customer = by_text(given, firsts), by_customer(given, firsts)
    ours = judged(linked, firsts, same)
    ours_shown = judged(shown, firsts, same)
    neighbours = judged(shown, firsts, TWINS[2:])[1]
    beside = f"text alone {_told(judged(text, firsts, same))}; customer alone {_told(judged(customer, firsts, same))}"
    return [
        Row(
            work=f"duplicates linked by themselves: {len(given)} twins and near-misses, twins of the same customer",
            ours=_told(ours),
            beside=beside,
            target=f"precision >= {PRECISION:.0%}",
            verdict=verdict(ours[0] >= PRECISION),
            more={"share_by_sort": _by_sort(linked), "if_sure_from": _thresholds(given, settings)},
        ),
        Row(
            work="duplicates shown to whoever takes the order",
            ours=f"{_told(ours_shown)}; of neighbours' reports {neighbours:.0%}",
            beside=beside,
            target=f"recall >= {RECALL:.0%}",
            verdict=verdict(ours_shown[1] >= RECALL),
            more={"share_by_sort": _by_sort(shown)},
        ),
    ]


def _by_sort(told: Sequence[Told]) -> dict[str, float]:
    """For each sort of case, in which share an order was named."""
    return {
        sort: statistics.mean(one.named is not None for one in told if one.case.sort == sort)
        for sort in SORTS
    }


def _thresholds(given: Sequence[Case], settings: Duplicates) -> dict[str, dict[str, float]]:
    """What would be linked with other thresholds, each pair by itself: for whoever sets them."""
    scores = [
        (
            case,
            likeness(case.second, case.first, hours_max=settings.hours, metres_max=settings.metres),
        )
        for case in given
    ]
    found = {}
    for sure in (0.88, 0.84, 0.8, 0.76, 0.72):
        linked = [case for case, like in scores if like.anchored and like.score >= sure]
        right = sum(case.twin for case in linked)
        found[f"{sure}"] = {
            "precision": right / len(linked) if linked else 1.0,
            "recall": right / sum(case.sort in TWINS[:2] for case in given),
        }
    return found


def _told(pair: tuple[float, float]) -> str:
    return f"precision {pair[0]:.1%}, recall {pair[1]:.1%}"


async def _stand(
    world: World, urls: Urls, template: UUID, given: Sequence[Case], firsts: dict[int, UUID]
) -> None:
    """The first orders of all cases, with their sites."""
    orders, sites = [], []
    for n, case in enumerate(given):
        one = case.first
        for traits in (case.first, case.second):
            sites.append((world.org, traits.site_id, traits.customer_id, traits.lat, traits.lng))
        orders.append(
            {
                "id": firsts[n],
                "number": f"CASE-{n}",
                "customer_id": one.customer_id,
                "site_id": one.site_id,
                "contact_id": one.contact_id,
                "asset_id": None,
                "reporter_phone": one.phone,
                "serial": one.serial,
                "serial_key": key(one.serial) if one.serial else None,
                "description": one.description,
                "created_at": one.created_at,
            }
        )
    admin = await asyncpg.connect(urls.admin)
    try:
        # Traits say whose and where; rows of customers and contacts are not read.
        await admin.execute("set session_replication_role = replica")
        await admin.executemany(
            """
            insert into site (org_id, id, customer_id, name, address, lat, lng)
            values ($1, $2, $3, 'Site', 'Street', $4, $5) on conflict do nothing
            """,
            sites,
        )
        await admin.execute(_INSERT, template, msgspec.json.encode(orders).decode())
        await admin.execute("vacuum analyze")
    finally:
        await admin.close()


async def speed_rows(db: Database, urls: Urls, counts: Sequence[int]) -> list[Row]:
    """A look for duplicates, and the whole pre-check, for each number of stored orders."""
    world = await World(db).build(phones=1)
    template = await world.order()
    crowd = await _crowd(world)
    spent: dict[int, dict[str, list[float]]] = {}
    stored = 0
    for count in counts:
        await _store(urls, template, crowd, stored, count)
        stored = count
        spent[count] = await _looks(world, crowd)
        print(f"stored orders {count:,}: {spread(spent[count]['candidates'])}", flush=True)
    few = min(counts)
    rows = []
    for count, of in spent.items():
        p95 = percentile(of["candidates"], 0.95)
        rows.append(
            Row(
                work=f"duplicates: a look among {count:,} stored orders of {CUSTOMERS:,} customers in {DAYS} days",
                ours=f"{spread(of['candidates'])}; the whole pre-check {spread(of['check'])}",
                beside=f"every order of three days compared by rapidfuzz, reading included: {spread(of['naive'])}",
                ratio=f"{statistics.median(of['candidates']) / statistics.median(spent[few]['candidates']):.2f} x of {few:,}",
                target=f"p95 <= {TARGET_MS:g} ms",
                verdict=verdict(p95 <= TARGET_MS),
                more={
                    side: {"p50": statistics.median(ms), "p95": percentile(ms, 0.95)}
                    for side, ms in of.items()
                },
            )
        )
    return rows


class Crowd(msgspec.Struct):
    """Customers with one site and contact each, and texts."""

    customers: list[UUID]
    sites: list[UUID]
    contacts: list[UUID]
    phones: list[str]
    points: list[tuple[float, float]]
    texts: list[str]


async def _crowd(world: World) -> Crowd:
    usable = sf311.read(sf311.packaged_rows()).usable[:CUSTOMERS]
    phones = [f"+1415{2_000_000 + n * 7:07d}" for n in range(len(usable))]
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        owners = await customers.create_customers(
            work, [NewCustomer(number=f"K-{n}", name=f"Household {n}") for n in range(len(usable))]
        )
        sites = await customers.create_sites(
            work,
            [
                NewSite(
                    customer_id=owner, name="Home", address=one.address, lat=one.point.lat, lng=one.point.lng
                )
                for owner, one in zip(owners, usable, strict=True)
            ],
        )
        contacts = await customers.create_contacts(
            work,
            [
                NewContact(customer_id=owner, name=f"Caller {n}", phone=phone)
                for n, (owner, phone) in enumerate(zip(owners, phones, strict=True))
            ],
        )
    points = [(one.point.lat, one.point.lng) for one in usable]
    return Crowd(owners, sites, contacts, phones, points, [one.description for one in usable])


async def _store(urls: Urls, template: UUID, crowd: Crowd, stored: int, count: int) -> None:
    admin = await asyncpg.connect(urls.admin)
    try:
        # Copies of rows that are sound: no key is checked a million times.
        await admin.execute("set session_replication_role = replica")
        for first in range(stored + 1, count + 1, BATCH):
            await admin.execute(
                _STORE,
                template,
                crowd.customers,
                crowd.sites,
                crowd.contacts,
                crowd.phones,
                crowd.texts,
                DAYS,
                first,
                min(first + BATCH - 1, count),
            )
        await admin.execute("vacuum analyze")
    finally:
        await admin.close()


async def _looks(world: World, crowd: Crowd) -> dict[str, list[float]]:
    dice = random.Random("looks")
    spent: dict[str, list[float]] = {"candidates": [], "check": [], "naive": []}
    settings = Duplicates()
    for n in range(LOOKS + WARM):
        at = dice.randrange(len(crowd.customers))
        text = f"{dice.choice(crowd.texts)}, again"
        traits = Traits(
            description=text,
            created_at=datetime.now(UTC),
            customer_id=crowd.customers[at],
            site_id=crowd.sites[at],
            contact_id=crowd.contacts[at],
            phone=crowd.phones[at],
            lat=crowd.points[at][0],
            lng=crowd.points[at][1],
        )
        request = Request(channel="hotline", kind="general", description=text, contact_phone=crowd.phones[at])

        async def candidates(work: Any, traits: Traits = traits) -> None:
            await search.candidates(work, traits, settings)

        async def check(work: Any, request: Request = request, at: int = at) -> None:
            checked = await taking.check(work, request)
            assert checked.known.customer_id == crowd.customers[at]

        async def naive(work: Any, text: str = text) -> None:
            rows = await work.fetch(
                "select id, description from work_order where org_id = callout_org() and created_at >= $1",
                work.now - timedelta(hours=settings.hours),
            )
            process.extract(text, [row["description"] for row in rows], scorer=fuzz.token_set_ratio, limit=10)

        for side in (candidates, check, naive):
            if side is naive and n >= WARM + 10:
                continue
            async with world.db.work(world.org) as work:
                began = time.perf_counter()
                await side(work)
                took = (time.perf_counter() - began) * 1000
            if n >= WARM:
                spent[side.__name__].append(took)
    return spent
