"""Why a record is, or is not, on a given device: asked by the dispatcher on the telephone with an engineer.

Whether it is held is read from the feed, which is what phones pull; why, from the tables themselves, by a way of its own.
A test holds both against each other for every row of a random world.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from asyncpg import Record

from callout_contracts.documents import DOCUMENTS, SINCE
from callout_store.errors import BadField, NotFound
from callout_store.work import Work
from callout_sync.explain_texts import sentence
from callout_sync.pull import scopes_of

HOLDING: Final = frozenset(
    {"VISIT_IS_YOURS", "CREW", "VIA_VISIT", "ORGANISATION_WIDE", "IN_VAN", "OF_THIS_DEVICE"}
)
"""The reasons by which a record is on a device."""
SHOWN_MAX: Final = 5
"""Visits that are named where none of them brings the record here."""
RELATED_MAX: Final = 200


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason. `facts` are texts by name: who, which visit, when."""

    code: str
    facts: dict[str, str] = {}

    def sentence(self, locale: str) -> str:
        """For a person, in `en` or `zh`."""
        return sentence(self.code, self.facts, locale)


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """`held`: it should be on the device. `delivered`: the device showed that it knows of the present state."""

    entity: str
    id: UUID
    held: bool
    delivered: bool
    reasons: tuple[Reason, ...]


async def explain(work: Work, device_id: UUID, entity: str, id: UUID) -> Explanation:
    """Why a record is or is not on a device. Raises NotFound (device), BadField (no such entity)."""
    if entity not in DOCUMENTS:
        raise BadField(path="entity", why=f"one of {', '.join(DOCUMENTS)}")
    device = await work.fetchrow(_DEVICE, device_id)
    if device is None:
        raise NotFound(entity="device")
    reasons: list[Reason] = []
    if device["revoked_at"] is not None:
        reasons.append(Reason(code="DEVICE_REVOKED", facts={"at": _iso(device["revoked_at"])}))
    elif device["wiped_at"] is not None or device["wipe_mode"] == "stolen":
        reasons.append(Reason(code="DEVICE_WIPED"))
    too_new = SINCE.get(entity, 1) > device["schema_version"]
    if too_new:
        facts = {"needed": str(SINCE[entity]), "given": str(device["schema_version"])}
        reasons.append(Reason(code="ENTITY_TOO_NEW_FOR_APP", facts=facts))
    shut = bool(reasons)
    scopes = scopes_of(work.org_id, device["engineer_id"], device_id)
    rows = await work.fetch(_FEED, scopes, entity, id)
    here = [row for row in rows if row["op"] == "U"]
    held = bool(here) and not shut
    why = await _why(work, device, entity, id)
    told = device["pulled_xid"]
    newest = max(rows, key=lambda row: int(row["xid"]), default=None) if not here else here[0]
    delivered = newest is not None and told is not None and int(newest["xid"]) < int(told) and not too_new
    reasons += why
    if not here and newest is not None:
        reasons.append(Reason(code="LEFT", facts={"at": _iso(newest["changed_at"])}))
    elif newest is None and not any(reason.code == "UNKNOWN_RECORD" for reason in why):
        reasons.append(Reason(code="NEVER_HELD"))
    at = device["pulled_at"]
    # RxDB alone knows how far it has pulled each of its collections.
    by_collection = at is not None and told is None
    if newest is not None and not delivered and not shut and not by_collection:
        reasons.append(Reason(code="NOT_PULLED_YET", facts={"pulledAt": _iso(at)} if at else {}))
    return Explanation(entity=entity, id=id, held=held, delivered=delivered, reasons=tuple(reasons))


_DEVICE: Final = """
select d.id, d.revoked_at, d.wiped_at, d.wipe_mode, d.schema_version, d.pulled_xid::text as pulled_xid, d.pulled_at,
       e.id as engineer_id, e.territory_id, o.phone_window_days, o.phone_parts, o.phone_history_events
from device d join organisation o on o.id = d.org_id
left join engineer e on e.org_id = d.org_id and e.user_id = d.user_id and e.active
where d.org_id = callout_org() and d.id = $1
"""
_FEED: Final = """
select op, xid::text as xid, changed_at from sync_feed
where org_id = callout_org() and scope_id = any($1) and entity = $2 and row_id = $3
"""
_TABLE: Final = {
    "visit": "visit",
    "work_order": "work_order",
    "site": "site",
    "contact": "contact",
    "asset": "asset",
    "history": "asset",
    "event": "visit_event",
    "part": "part",
    "stock": "stock_level",
    "article": "article",
    "form": "form",
    "attachment": "attachment",
    "outcome": "outcome",
}
_RELATED: Final = {
    "visit": "v.id = $1",
    "work_order": "v.order_id = $1",
    "site": "o.site_id = $1",
    "contact": "o.contact_id = $1",
    "asset": "o.asset_id = $1",
    "history": "o.asset_id = $1",
    "event": "v.id = (select visit_id from visit_event where org_id = callout_org() and id = $1)",
    "attachment": "v.id = (select visit_id from attachment where org_id = callout_org() and id = $1)",
    "part": "exists (select 1 from work_order_part n where n.org_id = o.org_id and n.order_id = o.id and n.part_id = $1)",
    "form": "o.kind = (select kind from form where org_id = callout_org() and id = $1)",
    "article": """exists (
        select 1 from article a left join asset x on x.org_id = o.org_id and x.id = o.asset_id
        where a.org_id = o.org_id and a.id = $1 and coalesce(a.kind, o.kind) = o.kind
          and (a.model is null or x.model = a.model))""",
}
_SHARED_OUT: Final = frozenset({"part", "form", "article"})
"""Related to visits all over the house: only those of the device's own engineer tell anything."""


async def _why(work: Work, device: Record, entity: str, id_: UUID) -> list[Reason]:
    row = await work.fetchrow(
        f"select to_jsonb(t)::text as row from {_TABLE[entity]} t where org_id = callout_org() and id = $1",
        id_,
    )
    if row is None:
        return [Reason(code="UNKNOWN_RECORD")]
    record: dict[str, Any] = msgspec.json.decode(row["row"])
    me: UUID | None = device["engineer_id"]
    match entity:
        case "outcome":
            mine = record["device_id"] == str(device["id"])
            return [Reason(code="OF_THIS_DEVICE" if mine else "OTHER_DEVICE")]
        case "stock":
            return [await _of_van(work, me, UUID(record["holder_id"]))]
        case "part" if device["phone_parts"] == "all":
            return [Reason(code="ORGANISATION_WIDE")]
        case "article" | "form" if not record["active"]:
            return [Reason(code="RETIRED")]
        case "form" if record["kind"] is None:
            return [Reason(code="ORGANISATION_WIDE")]
        case "article" if (
            record["kind"] is None and record["model"] is None and record["territory_id"] is None
        ):
            return [Reason(code="ORGANISATION_WIDE")]
    if me is None:
        return [Reason(code="NO_ENGINEER")]
    if entity == "article" and record["territory_id"] not in (None, str(device["territory_id"])):
        return [Reason(code="OTHER_TERRITORY")]
    if entity == "history" and not await work.fetchval(_ANY_HISTORY, id_, device["phone_history_events"]):
        return [Reason(code="NO_HISTORY")]
    reasons = []
    if entity == "part" and await work.fetchval(_IN_VAN, id_, me):
        reasons.append(Reason(code="IN_VAN"))
    return reasons + await _by_visits(work, device, me, entity, id_)


_ANY_HISTORY: Final = """
select $2::int > 0 and exists (
    select 1 from visit_event e join visit v on v.org_id = e.org_id and v.id = e.visit_id
    where e.org_id = callout_org() and e.asset_id = $1 and v.ended_at is not null)
"""
_IN_VAN: Final = """
select exists (select 1 from stock_level where org_id = callout_org() and part_id = $1 and holder_id = $2)
"""


async def _of_van(work: Work, me: UUID | None, holder: UUID) -> Reason:
    if me == holder:
        return Reason(code="IN_VAN")
    who = await work.fetchval("select name from engineer where org_id = callout_org() and id = $1", holder)
    return Reason(code="OTHER_VAN", facts={"who": who or str(holder)})


async def _by_visits(work: Work, device: Record, me: UUID, entity: str, id_: UUID) -> list[Reason]:
    works = """(v.engineer_id = $2 or exists (
        select 1 from visit_crew c where c.org_id = v.org_id and c.visit_id = v.id and c.engineer_id = $2))"""
    visits = await work.fetch(
        f"""
        select v.id, v.number, v.plan, v.ended_at, v.engineer_id, o.number as order_number, e.name as engineer,
               {works} as works
        from visit v join work_order o on o.org_id = v.org_id and o.id = v.order_id
        left join engineer e on e.org_id = v.org_id and e.id = v.engineer_id
        where v.org_id = callout_org() and {_RELATED[entity]} {f"and {works}" if entity in _SHARED_OUT else ""}
        order by {works} desc, v.ended_at is null desc, v.ended_at desc, v.id desc limit {RELATED_MAX}
        """,
        id_,
        me,
    )
    if not visits:
        return [Reason(code="NO_VISIT_NEEDS_IT")]
    window = timedelta(days=device["phone_window_days"])
    # By the database's clock, like the rule itself.
    now: datetime = await work.fetchval("select now()")
    for visit in visits:
        until = None if visit["ended_at"] is None else visit["ended_at"] + window
        open_ = until is None or until > now
        if visit["works"] and visit["engineer_id"] is not None and visit["plan"] != "scheduled" and open_:
            return _holds(visit, me, entity, until)
    return [_holds_not(visit, me, window) for visit in visits[:SHOWN_MAX]]


def _holds(visit: Record, me: UUID, entity: str, until: datetime | None) -> list[Reason]:
    which = _which(visit)
    reasons = [] if entity == "visit" else [Reason(code="VIA_VISIT", facts=which)]
    if visit["engineer_id"] == me:
        reasons.append(Reason(code="VISIT_IS_YOURS", facts=which))
    else:
        reasons.append(Reason(code="CREW", facts=which | {"who": visit["engineer"]}))
    if until is None:
        reasons.append(Reason(code="VISIT_OPEN", facts=which))
    else:
        reasons.append(Reason(code="WITHIN_WINDOW", facts=which | {"until": _iso(until)}))
    return reasons


def _holds_not(visit: Record, me: UUID, window: timedelta) -> Reason:
    which = _which(visit)
    if visit["plan"] == "scheduled" or visit["engineer_id"] is None:
        return Reason(code="NOT_DISPATCHED", facts=which)
    if not visit["works"]:
        return Reason(code="OTHER_ENGINEER", facts=which | {"who": visit["engineer"]})
    return Reason(code="WINDOW_PASSED", facts=which | {"at": _iso(visit["ended_at"] + window)})


def _which(visit: Record) -> dict[str, str]:
    return {"visit": f"{visit['order_number']}/{visit['number']}", "visitId": str(visit["id"])}


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def holds(reasons: Sequence[Reason]) -> bool:
    """Whether these reasons bring a record to a device."""
    return any(reason.code in HOLDING for reason in reasons)
