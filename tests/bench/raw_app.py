"""The raw limit to measure against: Litestar, asyncpg and msgspec, with no rule, right, receipt or GraphQL between.

It reads the same rows of the same database as Callout does, and writes the same events into a table of its own.
"""

import os
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from litestar import Litestar, Request, Response, post

POOL: dict[str, asyncpg.Pool] = {}


class Location(msgspec.Struct, rename="camel"):
    lat: float
    lng: float
    accuracy_m: float


class Event(msgspec.Struct, rename="camel"):
    id: UUID
    visit_id: UUID
    kind: str
    sequence: int
    device_time: datetime
    location: Location
    payload: dict[str, Any]


class PageAsk(msgspec.Struct):
    scopes: list[UUID]
    after: UUID
    limit: int


class Site(msgspec.Struct):
    id: UUID
    name: str
    address: str
    lat: float
    lng: float


class Order(msgspec.Struct):
    id: UUID
    number: str
    priority: str
    state: str
    description: str
    site: Site


class Visit(msgspec.Struct):
    id: UUID
    state: str
    number: int
    revision: int
    order: Order


@asynccontextmanager
async def lifespan(_: Litestar) -> Any:
    POOL["p"] = await asyncpg.create_pool(os.environ["BENCH_DATABASE_URL"], min_size=2, max_size=10)
    yield
    await POOL["p"].close()


def answer(body: bytes) -> Response[bytes]:
    return Response(body, media_type="application/json", status_code=200)


@post("/pull")
async def pull(request: Request[Any, Any, Any]) -> Response[bytes]:
    ask = msgspec.json.decode(await request.body(), type=PageAsk)
    rows = await POOL["p"].fetch(
        "select row_id, body from sync_feed where scope_id = any($1) and row_id > $2 order by xid, entity, row_id limit $3",
        ask.scopes,
        ask.after,
        ask.limit,
    )
    page = {
        "cursor": str(rows[-1]["row_id"]) if rows else "",
        "documents": msgspec.Raw(("[" + ",".join(row["body"] for row in rows) + "]").encode()),
    }
    return answer(msgspec.json.encode({"data": {"pull": page}}))


@post("/push")
async def push(request: Request[Any, Any, Any]) -> Response[bytes]:
    events = msgspec.json.decode(await request.body(), type=list[Event])
    await POOL["p"].execute(
        """
        with e as (
            insert into bench_event (id, visit_id, kind, sequence, device_time, lat, lng, accuracy_m, data)
            select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::timestamptz[], $6::float8[],
                                 $7::float8[], $8::float8[], $9::jsonb[])
            returning id
        ), r as (
            insert into bench_receipt (id, answer) select id, '{"status":"applied"}' from e
        )
        insert into bench_change (id) select id from e
        """,
        [e.id for e in events],
        [e.visit_id for e in events],
        [e.kind for e in events],
        [e.sequence for e in events],
        [e.device_time for e in events],
        [e.location.lat for e in events],
        [e.location.lng for e in events],
        [e.location.accuracy_m for e in events],
        [msgspec.json.encode(e.payload).decode() for e in events],
    )
    return answer(msgspec.json.encode([{"id": e.id, "status": "applied"} for e in events]))


@post("/visits")
async def visits(request: Request[Any, Any, Any]) -> Response[bytes]:
    await request.body()
    rows = await POOL["p"].fetch(
        """
        select v.id, v.state, v.number, v.revision, o.id as oid, o.number as onumber, o.priority, o.state as ostate,
               o.description, s.id as sid, s.name, s.address, s.lat, s.lng
        from visit v join work_order o on o.org_id = v.org_id and o.id = v.order_id
        join site s on s.org_id = o.org_id and s.id = o.site_id
        order by v.id limit 100
        """
    )
    found = [
        Visit(
            r["id"],
            r["state"],
            r["number"],
            r["revision"],
            Order(
                r["oid"],
                r["onumber"],
                r["priority"],
                r["ostate"],
                r["description"],
                Site(r["sid"], r["name"], r["address"], r["lat"], r["lng"]),
            ),
        )
        for r in rows
    ]
    return answer(msgspec.json.encode({"data": {"visits": found}}))


app = Litestar([pull, push, visits], lifespan=[lifespan], openapi_config=None)
