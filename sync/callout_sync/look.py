"""What a push needs to know before it judges anything, read by one statement under the device's lock.

The device's lock is an advisory one, taken with BEGIN (`Database.run(lock=…)`): pushes of one device, and whoever forces its
held commands, come one after the other. It is always the first lock of its transaction, so that no circle can close over it;
the device's row would not do, for a pull and a revocation take it after other rows.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from callout_contracts.commands import Answer
from callout_dispatch import visits
from callout_dispatch.events import Clocks, Reporter
from callout_people.sessions import NotAsRemembered, Remembered, in_standing
from callout_store.columns import column
from callout_store.errors import DeviceRevoked, DeviceWiped
from callout_store.work import Work
from callout_sync.receipts import Receipt

RELEASED_MAX = 500
"""Held commands that one transaction applies at most."""
HELD_BYTES_MAX = 8_000_000
"""So many bytes of them are read at a time, and the one that goes beyond: each may hold a signature."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A command that waits, with the clocks of the batch it came in. `answered`: it waits no longer, and stands here so
    that the commands after it need not wait for its number."""

    id: UUID
    user_id: UUID
    visit_id: UUID | None
    sequence: int
    body: bytes
    clocks: Clocks
    answered: bool


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The device as it stands, who reports, and what is known of the commands of the batch.

    `settled`: everything up to this sequence was answered or is no longer on the phone. `held` are the first of those that
    wait, as many as are read at a time, `held_count` counts all. `timed`: the highest sequence whose time was worked out,
    and that time. `locale` is the phone's own language, for what it reads later.
    """

    reporter: Reporter | None
    locale: str
    wipe: bool
    settled: int
    timed: tuple[int, datetime | None]
    held: list[Held]
    held_count: int
    receipts: dict[UUID, Receipt]
    parts: set[UUID]

    @property
    def more_held(self) -> bool:
        """Whether more wait than were read."""
        return self.held_count > sum(not one.answered for one in self.held)


class _HeldRow(msgspec.Struct):
    id: UUID
    user_id: UUID
    visit_id: UUID | None
    sequence: int
    body: bytes
    clocks: Clocks
    state: str


class _ReceiptRow(msgspec.Struct):
    id: UUID
    sha256: bytes
    answer: str


_held_rows = msgspec.json.Decoder(list[_HeldRow]).decode
_receipt_rows = msgspec.json.Decoder(list[_ReceiptRow]).decode
_answer = msgspec.json.Decoder(Answer).decode

LOOK = f"""
select d.revoked_at is not null or not u.active as shut, d.wipe_mode, d.wiped_at, d.settled_sequence,
       d.timed_sequence, d.timed_at, u.locale, {visits.REPORTER_COLUMNS},
       (select o.webhook_url is not null from organisation o where o.id = d.org_id) as webhook,
       (select count(*) from held_command h
        where h.org_id = d.org_id and h.device_id = d.id and h.state = 'held') as held_count,
       (select json_agg(w) from (
            select q.command_id as id, q.user_id, q.visit_id, q.sequence, q.state,
                   translate(encode(q.body, 'base64'), E'\\n', '') as body, q.clocks
            from (
                select h.*, sum(octet_length(h.body)) over (order by h.sequence, h.command_id)
                    - octet_length(h.body) as before
                from held_command h
                where h.org_id = d.org_id and h.device_id = d.id and h.state in ('held', 'answered')
                order by h.sequence, h.command_id limit $5) q
            where q.before < $6
            order by q.sequence, q.command_id) w)::text as held,
       (select json_agg(w) from (
            select r.command_id as id, encode(r.body_sha256, 'base64') as sha256, r.answer from receipt r
            where r.org_id = d.org_id
              and r.command_id = any((select $3::text::uuid[])::uuid[])) w)::text as receipts,
       (select array_agg(p.id) from part p
        where p.org_id = d.org_id and p.id = any((select $4::text::uuid[])::uuid[])) as parts,
       {in_standing(7)} as signed_in
from device d
join app_user u on u.org_id = d.org_id and u.id = d.user_id
left join engineer e on e.org_id = d.org_id and e.user_id = d.user_id
where d.org_id = callout_org() and d.id = $1 and d.user_id = $2
"""


def lock_key(device_id: UUID) -> int:
    """The key of a device's advisory lock."""
    digest = hashlib.sha256(b"callout.device:" + device_id.bytes).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


async def look(
    work: Work,
    *,
    keys: Sequence[UUID],
    parts: Sequence[UUID],
    behind_its_back: bool = False,
    remembered: Remembered | None = None,
) -> Look:
    """Read it all for this unit of work's device, and confirm by whom it is signed in where that is still to be done.

    Raises NotAsRemembered, DeviceRevoked and DeviceWiped; the last two not where a person acts on what the device sent before
    (`behind_its_back`).
    """
    unconfirmed = remembered if remembered is not None and not remembered.confirmed else None
    row = await work.fetchrow(
        LOOK,
        work.actor.device_id,
        work.actor.user_id,
        column(keys),
        column(set(parts)),
        RELEASED_MAX,
        HELD_BYTES_MAX,
        *(unconfirmed.parameters if unconfirmed is not None else (None, None, None, None)),
    )
    if unconfirmed is not None:
        if row is None or not row["signed_in"]:
            raise NotAsRemembered()
        unconfirmed.confirmed = True
    if row is None:
        raise DeviceRevoked()
    if not behind_its_back:
        if row["wipe_mode"] == "stolen" or row["wiped_at"] is not None:
            raise DeviceWiped()
        if row["shut"]:
            raise DeviceRevoked()
    work.webhook = row["webhook"]
    reporter = await visits.reporter_of(work, row, alive=not behind_its_back)
    return Look(
        reporter=reporter,
        locale=row["locale"],
        wipe=row["wipe_mode"] is not None,
        settled=row["settled_sequence"],
        timed=(row["timed_sequence"], row["timed_at"]),
        held=[
            Held(
                id=held.id,
                user_id=held.user_id,
                visit_id=held.visit_id,
                sequence=held.sequence,
                body=held.body,
                clocks=held.clocks,
                answered=held.state == "answered",
            )
            for held in (_held_rows(row["held"]) if row["held"] else ())
        ],
        held_count=row["held_count"],
        receipts={
            receipt.id: Receipt(body_sha256=receipt.sha256, answer=_answer(receipt.answer))
            for receipt in (_receipt_rows(row["receipts"]) if row["receipts"] else ())
        },
        parts=set(row["parts"] or ()),
    )
