"""The whole of what a phone must hold, document by document, from the tables alone: shares no text with the scope's rule."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from worlds import Phone, World, slot

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
    "organisation",
    "visit_crew",
    "work_order_part",
    "article",
    "form",
    "attachment",
    "outcome",
)
EVERYTHING = " union all ".join(
    f"select '{table}' as name, to_jsonb(t)::text as row from {table} t" for table in TABLES
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
        "engineerNote": "engineer_note",
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
        "accessNote": "access_note",
        "revision": "revision",
    },
    "contact": {
        "name": "name",
        "phone": "phone",
        "email": "email",
        "locale": "locale",
        "revision": "revision",
    },
    "asset": {
        "siteId": "site_id",
        "serial": "serial",
        "model": "model",
        "name": "name",
        "note": "note",
        "revision": "revision",
    },
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
    "article": {
        "title": "title",
        "body": "body",
        "locale": "locale",
        "kind": "kind",
        "model": "model",
        "faultCode": "fault_code",
        "revision": "revision",
    },
    "form": {"code": "code", "version": "version", "kind": "kind", "schema": "json_schema"},
    "attachment": {
        "visitId": "visit_id",
        "kind": "kind",
        "mediaType": "media_type",
        "sizeBytes": "size_bytes",
        "caption": "caption",
        "state": "state",
        "code": "code",
    },
    "outcome": {
        "visitId": "visit_id",
        "kind": "kind",
        "status": "status",
        "code": "code",
        "path": "path",
        "message": "message",
        "note": "note",
        "at": "at",
    },
}


class Truth:
    """The tables as they stand, and what one engineer's device must hold of them."""

    def __init__(self, rows: dict[str, list[dict[str, Any]]], phone: Phone, now: datetime) -> None:
        self.rows, self.phone, self.now = rows, phone, now
        self.by_id = {
            table: {row["id"]: row for row in found if "id" in row} for table, found in rows.items()
        }
        self.settings = self.by_id["organisation"][str(phone.world.org)]
        self.held: dict[str, dict[str, Any]] = {}

    def hold(self, entity: str, row: dict[str, Any], **more: Any) -> None:
        document = {"entity": entity, "id": row["id"]} | {
            name: row[column] for name, column in FIELDS[entity].items()
        }
        self.held[slot(entity, row["id"])] = document | more

    def open_here(self, visit: dict[str, Any]) -> bool:
        """Whether a visit is one that its engineers' phones hold now."""
        if visit["engineer_id"] is None or visit["plan"] == "scheduled":
            return False
        if visit["ended_at"] is None:
            return True
        age = self.now - datetime.fromisoformat(visit["ended_at"])
        return age.total_seconds() < self.settings["phone_window_days"] * 86_400

    def crew(self, visit: dict[str, Any]) -> list[str]:
        return sorted(row["engineer_id"] for row in self.rows["visit_crew"] if row["visit_id"] == visit["id"])

    def needs(self, order: dict[str, Any]) -> list[dict[str, Any]]:
        return sorted(
            (
                {"partId": row["part_id"], "quantity": row["quantity"]}
                for row in self.rows["work_order_part"]
                if row["order_id"] == order["id"]
            ),
            key=lambda need: str(need["partId"]),
        )

    def past(self, asset_id: str) -> list[dict[str, Any]]:
        """The last events of an asset's visits that are over."""
        found = []
        for event in self.rows["visit_event"]:
            visit = self.by_id["visit"][event["visit_id"]]
            if event["asset_id"] == asset_id and visit["ended_at"] is not None:
                found.append((datetime.fromisoformat(event["corrected_at"]), event["id"], event, visit))
        found.sort(key=lambda entry: (entry[0], entry[1]), reverse=True)
        return [
            {
                "id": event["id"],
                "orderNumber": self.by_id["work_order"][visit["order_id"]]["number"],
                "kind": event["kind"],
                "at": event["corrected_at"],
                "data": event["data"],
            }
            for _, _, event, visit in found[: self.settings["phone_history_events"]]
        ]

    def house(self) -> None:
        """What lies on every phone of the organisation, and what lies on this device alone."""
        if self.settings["phone_parts"] == "all":
            for part in self.rows["part"]:
                self.hold("part", part)
        for article in self.rows["article"]:
            if article["active"] and not (article["kind"] or article["model"] or article["territory_id"]):
                self.hold("article", article)
        for form in self.rows["form"]:
            if form["active"] and form["kind"] is None:
                self.form(form)
        for outcome in self.rows["outcome"]:
            if outcome["device_id"] == str(self.phone.device_id):
                self.hold("outcome", outcome)

    def form(self, form: dict[str, Any]) -> None:
        self.hold("form", form, title={"en": form["title_en"], "zh": form["title_zh"]})

    def van(self, me: str) -> None:
        for level in self.rows["stock_level"]:
            if level["holder_id"] == me:
                self.hold("stock", level)
                if self.settings["phone_parts"] == "needed":
                    self.hold("part", self.by_id["part"][level["part_id"]])

    def visit(self, visit: dict[str, Any], territory_id: str | None) -> None:
        """A visit that lies here, and all that lies where it lies."""
        order = self.by_id["work_order"][visit["order_id"]]
        self.hold("visit", visit, crew=self.crew(visit))
        self.hold("work_order", order, parts=self.needs(order))
        site = self.by_id["site"][order["site_id"]]
        self.hold("site", site, customerName=self.by_id["customer"][site["customer_id"]]["name"])
        if order["contact_id"]:
            self.hold("contact", self.by_id["contact"][order["contact_id"]])
        model = None
        if order["asset_id"]:
            asset = self.by_id["asset"][order["asset_id"]]
            model = asset["model"]
            self.hold("asset", asset)
            if past := self.past(asset["id"]):
                self.held[slot("history", asset["id"])] = {
                    "entity": "history",
                    "id": asset["id"],
                    "events": past,
                }
        for event in self.rows["visit_event"]:
            if event["visit_id"] == visit["id"]:
                self.hold("event", event)
        for picture in self.rows["attachment"]:
            if picture["visit_id"] == visit["id"]:
                self.hold("attachment", picture, sha256=picture["sha256"].removeprefix("\\x"))
        if self.settings["phone_parts"] == "needed":
            for need in self.needs(order):
                self.hold("part", self.by_id["part"][need["partId"]])
        for form in self.rows["form"]:
            if form["active"] and form["kind"] == order["kind"]:
                self.form(form)
        for article in self.rows["article"]:
            fits = (
                article["active"]
                and article["kind"] in (None, order["kind"])
                and article["model"] in (None, model)
                and article["territory_id"] in (None, territory_id)
            )
            if fits:
                self.hold("article", article)


Tables = dict[str, list[dict[str, Any]]]


async def tables(world: World) -> Tables:
    """All that stands in the organisation's tables, as of one moment."""
    rows: Tables = {table: [] for table in TABLES}
    for row in await world.fetch(EVERYTHING):
        rows[row["name"]].append(json.loads(row["row"]))
    return rows


async def expected(
    world: World, phone: Phone, now: datetime, rows: Tables | None = None
) -> dict[str, dict[str, Any]]:
    """Documents by where a phone keeps them, with the entity under the key `entity`."""
    rows = await tables(world) if rows is None else rows
    truth = Truth(rows, phone, now)
    me = truth.by_id["engineer"].get(str(phone.engineer_id))
    truth.house()
    if me is None or not me["active"]:
        return truth.held
    truth.van(me["id"])
    for visit in rows["visit"]:
        if truth.open_here(visit) and me["id"] in (visit["engineer_id"], *truth.crew(visit)):
            truth.visit(visit, me["territory_id"])
    return truth.held


async def differences(world: World, phone: Phone, now: datetime, rows: Tables | None = None) -> list[str]:
    """What is missing, too much or stale in the phone's copy; empty where it is true. `rows`: what `tables` gave."""
    truth = await expected(world, phone, now, rows)
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
