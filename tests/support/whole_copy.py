"""The whole of what a phone must hold, document by document, from the tables alone: shares no text with the scope's rule."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from worlds import Phone, World

TABLES = (
    "visit",
    "work_order",
    "site",
    "customer",
    "contact",
    "asset",
    "part",
    "stock_level",
    "visit_event",
    "engineer",
)
FIELDS: dict[str, dict[str, str]] = {
    "visit": {
        "orderId": "order_id",
        "number": "number",
        "state": "state",
        "scheduledStart": "scheduled_start",
        "scheduledEnd": "scheduled_end",
        "acceptedAt": "accepted_at",
        "travellingAt": "travelling_at",
        "arrivedAt": "arrived_at",
        "signedAt": "signed_at",
        "completedAt": "completed_at",
        "endedAt": "ended_at",
        "outcome": "outcome",
        "revision": "revision",
    },
    "work_order": {
        "number": "number",
        "priority": "priority",
        "kind": "kind",
        "description": "description",
        "channel": "channel",
        "state": "state",
        "skills": "skills",
        "durationMinutes": "duration_minutes",
        "siteId": "site_id",
        "contactId": "contact_id",
        "assetId": "asset_id",
        "createdAt": "created_at",
        "respondDueAt": "respond_due_at",
        "arriveDueAt": "arrive_due_at",
        "resolveDueAt": "resolve_due_at",
        "revision": "revision",
    },
    "site": {
        "name": "name",
        "address": "address",
        "lat": "lat",
        "lng": "lng",
        "geofenceRadiusM": "geofence_radius_m",
    },
    "contact": {"name": "name", "phone": "phone", "email": "email", "locale": "locale"},
    "asset": {"siteId": "site_id", "serial": "serial", "model": "model", "name": "name"},
    "event": {
        "visitId": "visit_id",
        "kind": "kind",
        "at": "corrected_at",
        "deviceTime": "device_time",
        "receivedAt": "received_at",
        "geofence": "geofence",
        "flags": "flags",
        "source": "source",
        "data": "data",
    },
    "part": {"code": "code", "name": "name", "unit": "unit"},
    "stock": {"partId": "part_id", "quantity": "quantity"},
}


async def expected(world: World, phone: Phone, now: datetime, window_days: int) -> dict[str, dict[str, Any]]:
    """Documents by id, with the entity under the key `entity`."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for table in TABLES:
        found = await world.fetch(f"select to_jsonb(t)::text as row from {table} t")
        rows[table] = {row["id"]: row for row in (json.loads(r["row"]) for r in found)}
    held: dict[str, dict[str, Any]] = {}

    def hold(entity: str, row: dict[str, Any]) -> None:
        held[row["id"]] = {"entity": entity, "id": row["id"]} | {
            name: row[column] for name, column in FIELDS[entity].items()
        }

    me = str(phone.engineer_id)
    for part in rows["part"].values():
        hold("part", part)
    if not rows["engineer"].get(me, {}).get("active"):
        return held
    for level in rows["stock_level"].values():
        if level["holder_id"] == me:
            hold("stock", level)
    for visit in rows["visit"].values():
        ended = visit["ended_at"] and datetime.fromisoformat(visit["ended_at"])
        if visit["engineer_id"] != me or visit["plan"] == "scheduled":
            continue
        if ended and (now - ended).total_seconds() >= window_days * 86_400:
            continue
        hold("visit", visit)
        order = rows["work_order"][visit["order_id"]]
        hold("work_order", order)
        site = rows["site"][order["site_id"]]
        hold("site", site)
        held[site["id"]]["customerName"] = rows["customer"][site["customer_id"]]["name"]
        if order["contact_id"]:
            hold("contact", rows["contact"][order["contact_id"]])
        if order["asset_id"]:
            hold("asset", rows["asset"][order["asset_id"]])
        for event in rows["visit_event"].values():
            if event["visit_id"] == visit["id"]:
                hold("event", event)
    return held


async def differences(world: World, phone: Phone, now: datetime, window_days: int) -> list[str]:
    """What is missing, too much or stale in the phone's copy; empty where it is true."""
    truth = await expected(world, phone, now, window_days)
    copy = {id_: {"entity": item["entity"], **item["doc"]} for id_, item in phone.copy.items()}
    return [
        *(f"missing {truth[i]['entity']} {i}" for i in truth.keys() - copy.keys()),
        *(f"ghost {copy[i]['entity']} {i}" for i in copy.keys() - truth.keys()),
        *(
            f"stale {truth[i]['entity']} {i}: {copy[i]} is {truth[i]}"
            for i in truth.keys() & copy.keys()
            if copy[i] != truth[i]
        ),
    ]


def holder(world: World, engineer_id: UUID) -> Phone:
    """The phone of an engineer."""
    return next(phone for phone in world.phones if phone.engineer_id == engineer_id)
