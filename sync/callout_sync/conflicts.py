"""Cards of fields that were written on two sides: listed with both values, who, when and where, and settled by one word."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from callout_contracts.commands import Edit
from callout_contracts.merging import Claim
from callout_store import journal
from callout_store.errors import BadField, LimitExceeded, NotFound, WrongState
from callout_store.work import Work
from callout_sync import edit_outcomes, edit_rows, edits, merge
from callout_sync.edit_merge import stand, write

PAGE_MAX = 201
"""One more than the API shows on a page, by which it knows that there are more."""
NOTE_CHARS_MAX = 1000
STATES: Final = ("open", "settled", "superseded")
Choice = Literal["kept", "lost", "other"]


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One value and where it comes from. No device: the office. No user: it stands since the row was made. `at` is the
    corrected instant, `stamp` the order among devices; WGS-84 degrees of the device."""

    value: Any
    user_id: UUID | None
    user_name: str | None
    device_id: UUID | None
    device_name: str | None
    at: datetime | None
    stamp: str | None
    lat: float | None
    lng: float | None


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """A card. `kept` stands (while the card is open, whatever stands now), `lost` waits; `base` was there before. `code`:
    FIELD_CONFLICT, or REASSIGNED or CANCELED where the loser's visit was no longer theirs. `field` as on the wire."""

    id: UUID
    entity: str
    row_id: UUID
    label: str
    field: str
    visit_id: UUID | None
    code: str
    policy: str
    base: Any
    kept: Side
    lost: Side
    received_at: datetime
    state: str
    choice: str | None
    settled_value: Any
    settled_at: datetime | None
    settled_by: UUID | None
    note: str | None


async def page(
    work: Work,
    *,
    state: str | None = "open",
    after: UUID | None = None,
    limit: int = 50,
    id: UUID | None = None,
) -> list[Conflict]:
    """Cards, newest first; `state` open, settled, superseded or None for all. `id`: that one alone."""
    if state is not None and state not in STATES:
        raise BadField(path="state", why=f"one of {', '.join(STATES)}")
    if not 1 <= limit <= PAGE_MAX:
        raise LimitExceeded(path="limit", what="rows a page", limit=PAGE_MAX, given=limit)
    rows = await work.fetch(
        """
        select c.id, c.entity, c.row_id, c.field, c.visit_id, c.code, c.policy, c.base::text as base, c.received_at,
               c.state, c.choice, c.settled_value::text as settled_value, c.settled_at, c.settled_by, c.note,
               c.kept::text as kept, c.kept_by, ku.name as kept_by_name, c.kept_device_id, kd.name as kept_device_name,
               c.kept_at, c.kept_stamp, c.kept_lat, c.kept_lng,
               c.lost::text as lost, c.lost_by, lu.name as lost_by_name, c.lost_device_id, ld.name as lost_device_name,
               c.lost_at, c.lost_stamp, c.lost_lat, c.lost_lng,
               coalesce(s.name, k.name, a.name || ' (' || a.serial || ')', o.number || ' / ' || v.number, '') as label
        from field_conflict c
        left join app_user ku on ku.org_id = c.org_id and ku.id = c.kept_by
        left join app_user lu on lu.org_id = c.org_id and lu.id = c.lost_by
        left join device kd on kd.org_id = c.org_id and kd.id = c.kept_device_id
        left join device ld on ld.org_id = c.org_id and ld.id = c.lost_device_id
        left join site s on c.entity = 'site' and s.org_id = c.org_id and s.id = c.row_id
        left join contact k on c.entity = 'contact' and k.org_id = c.org_id and k.id = c.row_id
        left join asset a on c.entity = 'asset' and a.org_id = c.org_id and a.id = c.row_id
        left join visit v on c.entity = 'visit' and v.org_id = c.org_id and v.id = c.row_id
        left join work_order o on o.org_id = v.org_id and o.id = v.order_id
        where c.org_id = callout_org() and ($1::text is null or c.state = $1) and ($2::uuid is null or c.id < $2)
          and ($4::uuid is null or c.id = $4)
        order by c.id desc limit $3
        """,
        state,
        after,
        limit,
        id,
    )
    return [_conflict(row) for row in rows]


async def settle(work: Work, *, id: UUID, choice: str, value: Any = None, note: str = "") -> Conflict:
    """Decide a card: `kept`, what stands now stays; `lost`, the other one stands; `other`, `value` does. What is chosen is
    written as by the office, now: whoever was offline until after meets it as such.

    Cards of the same field with another value stay open; those of the chosen value close. Raises NotFound, WrongState
    (settled or superseded meanwhile), BadField.
    """
    if choice not in ("kept", "lost", "other"):
        raise BadField(path="choice", why="kept, lost or other")
    if choice != "other" and value is not None:
        raise BadField(path="value", why="only with the choice `other`")
    if len(note) > NOTE_CHARS_MAX or "\0" in note:
        raise BadField(path="note", why=f"at most {NOTE_CHARS_MAX} characters, none of them U+0000")
    card = await _card(work, id)
    entity, row_id, field = card["entity"], card["row_id"], card["field"]
    row, visit = await edits.lock_one(work, entity, row_id)
    card = await _card(work, id)
    if card["state"] != "open":
        raise WrongState(entity="conflict", state=card["state"], needed="open")
    command_id = str(card["command_id"])
    state = row.field(field)
    stood = state.authors[state.stands.id] if state.stands is not None else None
    stood_value = row.values[field]
    lost = next(c for c in [*state.waiting, *(s.claim for s in state.strays)] if c.id == command_id)
    state.waiting = tuple(claim for claim in state.waiting if claim is not lost)
    state.strays = [stray for stray in state.strays if stray.claim is not lost]
    state.written = True  # whatever is chosen: whoever waited for it hears of it

    chosen = {"kept": row.values[field], "lost": lost.value, "other": value}[choice]
    wire = merge.wire_name(entity, field)
    edit = edits.of_office(
        work,
        merge.Wanted(entity=entity, id=row_id, changes={field: chosen}, names={field: wire}),
        visit,
        base_revision=row.revision,
    )
    lines: list[journal.Entry] = []
    if chosen == row.values[field]:
        # A person's word on what stands is as good as writing it anew: later arrivals meet it as of now.
        claim = Claim(
            id=str(edit.command_id),
            value=chosen,
            stamp=edit.stamp,
            author=edit_rows.author_of(None, edit.user_id),
            office=True,
            since=state.stands.since if state.stands else row.revision,
        )
        stand(row, field, state, claim, edit)
    else:
        try:
            if choice == "other":
                merge.read(Edit(entity=entity, id=row_id, changes={wire: chosen}))
            write(row, edit, lines, work.actor.locale)
        except merge.Refused as refused:
            raise BadField(path="value", why=refused.why) from None
    await work.execute(
        """
        update field_conflict
        set state = 'settled', choice = $2, settled_value = $3::text::jsonb, settled_at = $4, settled_by = $5, note = $6
        where org_id = callout_org() and id = $1
        """,
        id,
        choice,
        msgspec.json.encode(row.values[field]).decode(),
        work.now,
        work.actor.user_id,
        note or None,
    )
    await edits.store_rows(work, [row], note=note or None)
    if stood is not None:
        fate: edit_rows.Fate = "stands" if row.values[field] == stood_value else "dropped"
        moved = edit_rows.Moved(entity=entity, field=field, author=stood, fate=fate)
        await edit_outcomes.tell(work, [edit_outcomes.turned(moved, note or None)])
    lines.append(
        journal.Entry(
            kind="sync.conflict_settled",
            entity=entity,
            entity_id=row_id,
            order_id=row.order_id,
            visit_id=card["visit_id"],
            data={
                "conflictId": id,
                "field": wire,
                "choice": choice,
                "value": row.values[field],
                "note": note,
            },
        )
    )
    await journal.write_many(work, lines)
    [settled] = await page(work, state=None, id=id, limit=1)
    return settled


async def _card(work: Work, id: UUID) -> Any:
    card = await work.fetchrow(
        """
        select entity, row_id, field, state, command_id, visit_id from field_conflict
        where org_id = callout_org() and id = $1
        """,
        id,
    )
    if card is None:
        raise NotFound(entity="conflict")
    return card


def _conflict(row: Any) -> Conflict:
    return Conflict(
        id=row["id"],
        entity=row["entity"],
        row_id=row["row_id"],
        label=row["label"],
        field=merge.wire_name(row["entity"], row["field"]),
        visit_id=row["visit_id"],
        code=row["code"],
        policy=row["policy"],
        base=_value(row["base"]),
        kept=_side(row, "kept"),
        lost=_side(row, "lost"),
        received_at=row["received_at"],
        state=row["state"],
        choice=row["choice"],
        settled_value=_value(row["settled_value"]),
        settled_at=row["settled_at"],
        settled_by=row["settled_by"],
        note=row["note"],
    )


def _side(row: Any, side: str) -> Side:
    return Side(
        value=_value(row[side]),
        user_id=row[f"{side}_by"],
        user_name=row[f"{side}_by_name"],
        device_id=row[f"{side}_device_id"],
        device_name=row[f"{side}_device_name"],
        at=row[f"{side}_at"],
        stamp=row[f"{side}_stamp"],
        lat=row[f"{side}_lat"],
        lng=row[f"{side}_lng"],
    )


def _value(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)
