"""Rows behind edits: who wrote each field last, and the cards of values that lost. Read and written in sets."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from callout_contracts import stamps
from callout_contracts.merging import Claim
from callout_orders.fields import FieldsRow
from callout_store.ids import new_id
from callout_store.work import Work

Fate = Literal["lost", "stands", "dropped"]


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote a value, when, where, by which command; `device_id` None: at the desk. `base`: what was there before."""

    command_id: UUID
    device_id: UUID | None
    user_id: UUID | None
    at: datetime
    lat: float | None = None
    lng: float | None = None
    base: Any = None
    visit_id: UUID | None = None


class Stray(msgspec.Struct, frozen=True, kw_only=True):
    """A value of somebody whose visit had become another's, or was called off: it never stands by itself."""

    claim: Claim
    code: str


class Field(msgspec.Struct, kw_only=True):
    """A field's claims, and who made each. `xid`: the transaction that wrote what stands (None: in this one). `cards` are
    the claims that had an open card when the row was locked, `values` what they hold."""

    stands: Claim | None = None
    waiting: tuple[Claim, ...] = ()
    strays: list[Stray] = []
    authors: dict[str, Author] = {}
    cards: frozenset[str] = frozenset()
    values: dict[str, Any] = {}
    xid: int | None = None
    before: Any = None
    written: bool = False


class Row(msgspec.Struct, kw_only=True):
    """A row under lock with its fields. `order_id` is known of visits."""

    entity: str
    id: UUID
    revision: int
    values: dict[str, Any]
    order_id: UUID | None = None
    fields: dict[str, Field] = {}
    changed: bool = False

    def stored(self) -> FieldsRow:
        """The row for its owner to store."""
        return FieldsRow(id=self.id, revision=self.revision, values=self.values)

    def field(self, name: str) -> Field:
        """The claims of a field; none yet where nobody wrote it."""
        return self.fields.setdefault(name, Field())


def author_of(device_id: UUID | None, user_id: UUID | None) -> str:
    """The author of a claim: a device, or a user at the desk."""
    return str(device_id or user_id or "")


async def load(work: Work, rows: Sequence[Row]) -> None:
    """Fill in the claims of locked rows."""
    by_key = {(row.entity, row.id): row for row in rows}
    keys = [entity for entity, _ in by_key], [id_ for _, id_ in by_key]
    for found in await work.fetch(
        """
        select entity, row_id, field, revision, xid::text::bigint as xid, stamp, value::text as value,
               before::text as before, command_id, device_id, user_id, at, lat, lng
        from field_version v join unnest($1::text[], $2::uuid[]) as t(e, r) on v.entity = t.e and v.row_id = t.r
        where v.org_id = callout_org()
        """,
        *keys,
    ):
        row = by_key[found["entity"], found["row_id"]]
        field = row.field(found["field"])
        field.xid = found["xid"]
        field.before = _value(found["before"])
        field.stands = Claim(
            id=str(found["command_id"]),
            value=_value(found["value"]),
            stamp=stamps.parse(found["stamp"]),
            author=author_of(found["device_id"], found["user_id"]),
            office=found["device_id"] is None,
            since=found["revision"],
        )
        field.authors[field.stands.id] = _author(found, base=field.before)
        if field.stands.value != row.values[found["field"]]:
            # Somebody wrote past this: nobody is known to have seen it, and it is the office's.
            field.stands = msgspec.structs.replace(
                field.stands,
                id=str(new_id()),
                value=row.values[found["field"]],
                author="",
                office=True,
                since=row.revision,
            )
            field.authors[field.stands.id] = Author(
                command_id=UUID(field.stands.id), device_id=None, user_id=None, at=found["at"]
            )
    for found in await work.fetch(
        """
        select entity, row_id, field, code, base::text as base, lost::text as lost, lost_by as user_id,
               lost_device_id as device_id, lost_at as at, lost_stamp, lost_since, lost_until, lost_lat as lat,
               lost_lng as lng, command_id, visit_id
        from field_conflict c join unnest($1::text[], $2::uuid[]) as t(e, r) on c.entity = t.e and c.row_id = t.r
        where c.org_id = callout_org() and c.state = 'open'
        order by c.id
        """,
        *keys,
    ):
        field = by_key[found["entity"], found["row_id"]].field(found["field"])
        claim = Claim(
            id=str(found["command_id"]),
            value=_value(found["lost"]),
            stamp=stamps.parse(found["lost_stamp"]),
            author=author_of(found["device_id"], found["user_id"]),
            office=found["device_id"] is None,
            since=found["lost_since"],
            until=found["lost_until"],
        )
        field.authors[claim.id] = _author(found, base=_value(found["base"]), visit_id=found["visit_id"])
        field.cards |= {claim.id}
        field.values[claim.id] = claim.value
        if found["code"] == "FIELD_CONFLICT":
            field.waiting = (*field.waiting, claim)
        else:
            field.strays = [*field.strays, Stray(claim=claim, code=found["code"])]


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that came to wait (`lost`), to stand after it had waited (`stands`), or that was dropped."""

    entity: str
    field: str
    author: Author
    fate: Fate


async def save(work: Work, rows: Sequence[Row], policies: dict[tuple[str, str], str]) -> list[Moved]:
    """Write the claims of fields that were written to; cards whose value waits no longer are closed. Returns the claims
    whose fate has turned."""
    moved: list[Moved] = []
    versions: list[dict[str, Any]] = []
    cards: list[dict[str, Any]] = []
    closed: list[tuple[UUID, str]] = []
    for row in rows:
        for name, field in row.fields.items():
            if not field.written:
                continue
            key = {"entity": row.entity, "row_id": row.id, "field": name}
            stands = field.stands
            if stands is not None:
                versions.append({**key, **_version(stands, field)})
            open_ = [(claim, "FIELD_CONFLICT") for claim in field.waiting]
            open_ += [(stray.claim, stray.code) for stray in field.strays]
            kept = _kept(row.values[name], stands, field)
            cards += [
                {**key, "id": new_id(), "policy": policies[row.entity, name], "code": code, **kept}
                | _lost(claim, field.authors[claim.id])
                for claim, code in open_
            ]
            ids = {claim.id for claim, _ in open_}
            closed += [(field.authors[id_].command_id, name) for id_ in field.cards - ids]
            turned: list[tuple[str, Fate]] = [(id_, "lost") for id_ in ids - field.cards]
            turned += [
                (id_, "stands" if field.values.get(id_) == row.values[name] else "dropped")
                for id_ in field.cards - ids
            ]
            moved += [
                Moved(entity=row.entity, field=name, author=field.authors[id_], fate=fate)
                for id_, fate in turned
            ]
    if versions:
        await work.execute(SAVE_VERSIONS, _json(versions))
    if closed:
        await work.execute(
            """
            update field_conflict c set state = 'superseded', settled_at = $3
            from unnest($1::uuid[], $2::text[]) as t(command_id, field)
            where c.org_id = callout_org() and c.command_id = t.command_id and c.field = t.field and c.state = 'open'
            """,
            [command_id for command_id, _ in closed],
            [name for _, name in closed],
            work.now,
        )
    if cards:
        await work.execute(SAVE_CARDS, _json(cards), work.now)
    return moved


def _version(stands: Claim, field: Field) -> dict[str, Any]:
    author = field.authors[stands.id]
    return {
        "revision": stands.since,
        "stamp": str(stands.stamp),
        "value": stands.value,
        "before": field.before,
        "command_id": author.command_id,
        "device_id": author.device_id,
        "user_id": author.user_id,
        "at": author.at,
        "lat": author.lat,
        "lng": author.lng,
    }


def _kept(value: Any, stands: Claim | None, field: Field) -> dict[str, Any]:
    author = field.authors[stands.id] if stands is not None else None
    return {
        "kept": value,
        "kept_by": author.user_id if author else None,
        "kept_device_id": author.device_id if author else None,
        "kept_at": author.at if author else None,
        "kept_stamp": str(stands.stamp) if stands else None,
        "kept_lat": author.lat if author else None,
        "kept_lng": author.lng if author else None,
    }


def _lost(claim: Claim, author: Author) -> dict[str, Any]:
    return {
        "visit_id": author.visit_id,
        "base": author.base,
        "lost": claim.value,
        "lost_by": author.user_id,
        "lost_device_id": author.device_id,
        "lost_at": author.at,
        "lost_stamp": str(claim.stamp),
        "lost_since": claim.since,
        "lost_until": claim.until,
        "lost_lat": author.lat,
        "lost_lng": author.lng,
        "command_id": author.command_id,
    }


def _author(row: Any, *, base: Any, visit_id: UUID | None = None) -> Author:
    return Author(
        command_id=row["command_id"],
        device_id=row["device_id"],
        user_id=row["user_id"],
        at=row["at"],
        lat=row["lat"],
        lng=row["lng"],
        base=base,
        visit_id=visit_id,
    )


def _value(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


def _json(rows: list[dict[str, Any]]) -> str:
    return msgspec.json.encode(rows).decode()


SAVE_VERSIONS = """
insert into field_version as f (entity, row_id, field, revision, stamp, value, before, command_id, device_id, user_id, at,
                                lat, lng)
select entity, row_id, field, revision, stamp, coalesce(value, 'null'), coalesce(before, 'null'), command_id, device_id,
       user_id, at, lat, lng
from jsonb_to_recordset($1::text::jsonb) as t(
    entity text, row_id uuid, field text, revision int, stamp text, value jsonb, before jsonb, command_id uuid,
    device_id uuid, user_id uuid, at timestamptz, lat float8, lng float8)
order by entity, row_id, field
on conflict (org_id, entity, row_id, field) do update
set revision = excluded.revision, stamp = excluded.stamp, value = excluded.value, before = excluded.before,
    command_id = excluded.command_id, device_id = excluded.device_id, user_id = excluded.user_id, at = excluded.at,
    lat = excluded.lat, lng = excluded.lng,
    xid = case when f.revision = excluded.revision then f.xid else pg_current_xact_id() end
"""

SAVE_CARDS = """
insert into field_conflict as c (id, entity, row_id, field, visit_id, code, policy, base, kept, kept_by, kept_device_id,
    kept_at, kept_stamp, kept_lat, kept_lng, lost, lost_by, lost_device_id, lost_at, lost_stamp, lost_since, lost_until,
    lost_lat, lost_lng, command_id, received_at)
select id, entity, row_id, field, visit_id, code, policy, base, coalesce(kept, 'null'), kept_by, kept_device_id, kept_at,
       kept_stamp, kept_lat, kept_lng, coalesce(lost, 'null'), lost_by, lost_device_id, lost_at, lost_stamp, lost_since,
       lost_until, lost_lat, lost_lng, command_id, $2
from jsonb_to_recordset($1::text::jsonb) as t(
    id uuid, entity text, row_id uuid, field text, visit_id uuid, code text, policy text, base jsonb, kept jsonb,
    kept_by uuid, kept_device_id uuid, kept_at timestamptz, kept_stamp text, kept_lat float8, kept_lng float8,
    lost jsonb, lost_by uuid, lost_device_id uuid, lost_at timestamptz, lost_stamp text, lost_since int,
    lost_until int, lost_lat float8, lost_lng float8, command_id uuid)
on conflict (org_id, command_id, field) do update
set state = 'open', settled_at = null, kept = excluded.kept, kept_by = excluded.kept_by,
    kept_device_id = excluded.kept_device_id, kept_at = excluded.kept_at, kept_stamp = excluded.kept_stamp,
    kept_lat = excluded.kept_lat, kept_lng = excluded.kept_lng, lost_stamp = excluded.lost_stamp,
    lost_since = excluded.lost_since, lost_until = excluded.lost_until
where c.state <> 'settled'
"""
