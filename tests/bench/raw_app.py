"""The raw limit to measure against: Litestar, asyncpg and msgspec, with no rule, right, receipt or GraphQL between.

It reads the same rows of the same database as Callout does, and writes the same rows (event, receipt, journal, feed)
into copies of the same tables with the same indexes, but without foreign keys or row-level security: one statement.
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
ORG = UUID(int=1)


class Location(msgspec.Struct, rename="camel"):
    lat: float
    lng: float
    accuracy_m: float
    provider: str


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


class FeedAsk(msgspec.Struct):
    org: UUID
    scopes: list[UUID]
    limit: int
    xid: str = "0"
    entity: str = ""
    row: UUID = UUID(int=0)


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


@post("/feed")
async def feed(request: Request[Any, Any, Any]) -> Response[bytes]:
    """A page after a key of the feed's own order, by its index: what a pull would cost with nothing around it."""
    ask = msgspec.json.decode(await request.body(), type=FeedAsk)
    rows = await POOL["p"].fetch(
        """
        select p.* from unnest($2::uuid[]) as s(scope_id) cross join lateral (
            select xid::text as xid, entity, row_id, body from sync_feed f
            where org_id = $1 and f.scope_id = s.scope_id and f.op = 'U'
              and (f.xid, entity, row_id) > ($3::text::xid8, $4::text, $5::uuid)
            order by f.xid, entity, row_id limit $6
        ) p order by p.xid::xid8, p.entity, p.row_id limit $6
        """,
        ask.org,
        ask.scopes,
        ask.xid,
        ask.entity,
        ask.row,
        ask.limit,
    )
    last = rows[-1] if rows else None
    page = {
        "cursor": {"xid": last["xid"], "entity": last["entity"], "row": last["row_id"]} if last else None,
        "documents": msgspec.Raw(("[" + ",".join(row["body"] for row in rows) + "]").encode()),
    }
    return answer(msgspec.json.encode({"data": {"pull": page}}))


PUSH_SQL = """
with given as (
    select * from json_to_recordset($1::text::json) as t(
        id uuid, visit_id uuid, kind text, device_sequence bigint, device_time timestamptz, lat float8, lng float8,
        accuracy_m float8, provider text, data jsonb)
), e as (
    insert into bench_event (org_id, id, visit_id, order_id, kind, device_time, received_at, corrected_at,
        clock_offset_ms, lat, lng, accuracy_m, provider, device_sequence, schema_version, source, geofence, data)
    select $2, id, visit_id, visit_id, kind, device_time, now(), now(), 0, lat, lng, accuracy_m, provider,
           device_sequence, 1, 'phone', 'inside', data
    from given returning id
), r as (
    insert into bench_receipt (org_id, command_id, device_id, body_sha256, sequence, received_at, answer)
    select $2, id, $2, sha256(id::text::bytea), device_sequence, now(), '{"status":"applied"}' from given
), j as (
    insert into bench_journal (org_id, id, at, kind, entity, entity_id, visit_id, actor_role, data)
    select $2, gen_random_uuid(), now(), kind, 'event', id, visit_id, 'engineer', data from given
)
insert into bench_feed (org_id, scope_id, entity, row_id, op, body)
select $2, $2, 'event', id, 'U', row_to_json(g)::text from given g
"""


@post("/push")
async def push(request: Request[Any, Any, Any]) -> Response[bytes]:
    events = msgspec.json.decode(await request.body(), type=list[Event])
    rows = [
        {
            "id": e.id,
            "visit_id": e.visit_id,
            "kind": e.kind,
            "device_sequence": e.sequence,
            "device_time": e.device_time,
            "lat": e.location.lat,
            "lng": e.location.lng,
            "accuracy_m": e.location.accuracy_m,
            "provider": e.location.provider,
            "data": e.payload,
        }
        for e in events
    ]
    await POOL["p"].execute(PUSH_SQL, msgspec.json.encode(rows).decode(), ORG)
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


app = Litestar([pull, feed, push, visits], lifespan=[lifespan], openapi_config=None)
