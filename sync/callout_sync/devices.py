"""Devices: enrolled by a one-time code, seen, revoked. A phone signs in by its code alone and keeps no password.

The code is ten characters of an alphabet without look-alikes (50 bits), lives fifteen minutes and works once. Its hash
needs no salt: within that time and under the limits on attempts it cannot be guessed, and afterwards it opens nothing.
"""

import hashlib
import io
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

import segno
from asyncpg import Record
from msgspec import Struct

from callout_people.principals import MAY_ENROL, Right, Role
from callout_people.sessions import Tokens, end_sessions_of_device, open_session
from callout_people.texts import line
from callout_people.tokens import TokenIssuer
from callout_store.clock import SystemClock
from callout_store.errors import (
    BadField,
    DeviceRevoked,
    DeviceWiped,
    EnrolmentCodeInvalid,
    LimitExceeded,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    WrongState,
)
from callout_store.ids import new_id, parse_id
from callout_store.journal import Entry, write
from callout_store.pages import Page
from callout_store.work import Work

ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Digits and capitals without 0, 1, I and O: 32 signs, 5 bits each."""
CODE_CHARS: Final = 10
CODE_LIFETIME: Final = timedelta(minutes=15)
OPEN_CODES_MAX: Final = 5
"""Unused codes of one user at a time."""
NAME_MAX: Final = 80
PAGE_MAX: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS: Final = """
    d.id, d.user_id, u.name as user_name, d.name, d.platform, d.app_version, d.enrolled_at, d.revoked_at,
    d.revoked_reason, d.last_seen_at, d.last_sequence, d.clock_offset_ms, d.schema_version, d.pulled_at, d.pushed_at,
    d.pending, d.storage_used_bytes, d.storage_free_bytes, d.wipe_mode, d.wipe_reason, d.wipe_requested_at,
    d.wipe_requested_by, d.wiped_at
"""
_FROM: Final = "from device d join app_user u on u.org_id = d.org_id and u.id = d.user_id"


class EnrolmentCode(Struct, frozen=True, kw_only=True):
    """A fresh code, shown once to whoever asked for it; `expires_at` is by the wall clock."""

    code: str
    user_id: UUID
    expires_at: datetime


class Enrolled(Struct, frozen=True, kw_only=True):
    """A phone that may work from now on."""

    device_id: UUID
    user_id: UUID
    tokens: Tokens


class Device(Struct, frozen=True, kw_only=True):
    """A phone as the office sees it. `last_sequence` counts its commands, `clock_offset_ms` is server minus phone.

    `pending` and the storage are what the phone told at its last push; None where it never did. `wipe_mode` is None,
    `after_upload` or `stolen`; `wiped_at` is when the phone said that it forgot everything.
    """

    id: UUID
    user_id: UUID
    user_name: str
    name: str
    platform: str
    app_version: str
    enrolled_at: datetime
    revoked_at: datetime | None
    revoked_reason: str | None
    last_seen_at: datetime | None
    last_sequence: int
    clock_offset_ms: int | None
    schema_version: int
    pulled_at: datetime | None
    pushed_at: datetime | None
    pending: int | None
    storage_used_bytes: int | None
    storage_free_bytes: int | None
    wipe_mode: str | None
    wipe_reason: str | None
    wipe_requested_at: datetime | None
    wipe_requested_by: UUID | None
    wiped_at: datetime | None


class Sort(StrEnum):
    """The order of a list of devices."""

    NEWEST = "newest"
    """The one enrolled last comes first."""
    SILENT = "silent"
    """The one not heard of for longest comes first."""


async def create_enrolment_code(work: Work, user_id: UUID, *, now: datetime | None = None) -> EnrolmentCode:
    """Make a code that enrols one phone for this user. `now` is the wall clock's.

    Raises NotFound, NotAllowed where the actor's role may not enrol someone of the user's role, WrongState for a
    deactivated user, LimitExceeded over OPEN_CODES_MAX unused codes.
    """
    now = now or SystemClock().now()
    # The lock makes two dispatchers who ask at once count one after the other.
    user = await work.fetchrow("select active, role from app_user where id = $1 for no key update", user_id)
    if user is None:
        raise NotFound(entity="user")
    # A code signs in as its user, so whoever may make one may become that user. The system itself enrols like an admin.
    maker = Role.ADMIN if work.actor.user_id is None else Role(work.actor.role)
    if Role(user["role"]) not in MAY_ENROL.get(maker, frozenset()):
        raise NotAllowed(role=work.actor.role, what=f"{Right.DEVICES_ENROL} ({user['role']})")
    if not user["active"]:
        raise WrongState(entity="user", state="deactivated", needed="active")
    open_codes = await work.fetchval(
        "select count(*) from enrolment_code where user_id = $1 and used_at is null and expires_at > $2",
        user_id,
        now,
    )
    if open_codes >= OPEN_CODES_MAX:
        raise LimitExceeded(
            what="unused enrolment codes of a user", limit=OPEN_CODES_MAX, given=open_codes + 1
        )
    code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_CHARS))
    code_id = new_id()
    await work.execute(
        """
        insert into enrolment_code (id, user_id, code_hash, created_by, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6)
        """,
        code_id,
        user_id,
        _hash(code),
        work.actor.user_id,
        now,
        now + CODE_LIFETIME,
    )
    await write(
        work,
        Entry(
            kind="device.code_made", entity="enrolment_code", entity_id=code_id, data={"user": str(user_id)}
        ),
    )
    return EnrolmentCode(code=code, user_id=user_id, expires_at=now + CODE_LIFETIME)


def enrolment_payload(*, server: str, org_id: UUID, code: str) -> str:
    """The text in the QR picture: `callout://enrol?server=…&org=…&code=…`."""
    return "callout://enrol?" + urlencode({"server": server, "org": str(org_id), "code": code})


def qr_svg(payload: str) -> str:
    """The payload as a QR picture: one `<svg>` element, to be put into a page."""
    out = io.BytesIO()
    segno.make(payload, error="m", micro=False).save(
        out, kind="svg", scale=6, border=4, xmldecl=False, svgns=True, nl=False, light="#fff"
    )
    return out.getvalue().decode("ascii")


async def enrol(
    work: Work, issuer: TokenIssuer, code: str, *, name: str, platform: str = "", app_version: str = ""
) -> Enrolled:
    """Use a code up: a device, a session bound to it, and its first tokens.

    Of phones that use one code at once, one wins. Raises EnrolmentCodeInvalid for a code that is unknown, used,
    expired, of another organisation, or of a deactivated user; BadField for a name that cannot be stored.
    """
    name = line(name, "deviceName", limit=NAME_MAX)
    platform = line(platform, "platform", limit=NAME_MAX) if platform else ""
    app_version = line(app_version, "appVersion", limit=NAME_MAX) if app_version else ""
    now, device_id = issuer.now(), new_id()
    user_id = await work.fetchval(
        """
        update enrolment_code set used_at = $2, device_id = $3
        where code_hash = $1 and used_at is null and expires_at > $2 returning user_id
        """,
        _hash(code),
        now,
        device_id,
    )
    # Shared lock: a deactivation that runs at the same time finds the session made here, or we find the deactivation.
    if user_id is None or not await work.fetchval(
        "select true from app_user where id = $1 and active for share", user_id
    ):
        raise EnrolmentCodeInvalid()
    await work.execute(
        "insert into device (id, user_id, name, platform, app_version, enrolled_at) values ($1, $2, $3, $4, $5, $6)",
        device_id,
        user_id,
        name,
        platform,
        app_version,
        work.now,
    )
    tokens = await open_session(work, issuer, user_id=user_id, device_id=device_id)
    await write(
        work, Entry(kind="device.enrolled", entity="device", entity_id=device_id, data={"user": str(user_id)})
    )
    return Enrolled(device_id=device_id, user_id=user_id, tokens=tokens)


async def revoke(work: Work, device_id: UUID, reason: str) -> bool:
    """Shut a phone out and end its sessions; False where that had been done before. Raises NotFound or BadField.

    Waits for a push of this phone that is about to commit (`check_for_push` holds the row); every later one is refused.
    """
    reason = line(reason, "reason")
    row = await work.fetchrow("select user_id, revoked_at from device where id = $1 for update", device_id)
    if row is None:
        raise NotFound(entity="device")
    if row["revoked_at"] is not None:
        return False
    await work.execute(
        "update device set revoked_at = $2, revoked_reason = $3 where id = $1", device_id, work.now, reason
    )
    await end_sessions_of_device(work, device_id)
    await write(
        work,
        Entry(
            kind="device.revoked",
            entity="device",
            entity_id=device_id,
            data={"user": str(row["user_id"]), "reason": reason},
        ),
    )
    return True


async def check_for_push(work: Work, device_id: UUID) -> None:
    """Hold the device and its user as they are until this unit of work ends: called right before it commits.

    Either the push commits before a revocation, which then waits for it, or it sees the revocation and is undone.
    Raises DeviceRevoked, DeviceWiped for a stolen one, or NotAuthenticated where the user was deactivated or there is no
    such device.
    """
    row = await work.fetchrow(
        f"""
        select d.revoked_at is not null as revoked, d.wipe_mode, u.active {_FROM} where d.id = $1 for share of d, u
        """,
        device_id,
    )
    if row is None:
        raise NotAuthenticated()
    if row["revoked"]:
        raise DeviceRevoked()
    if row["wipe_mode"] == "stolen":
        raise DeviceWiped()
    if not row["active"]:
        raise NotAuthenticated()


async def device_state(work: Work, device_id: UUID) -> Device:
    """One device. Raises NotFound."""
    row = await work.fetchrow(f"select {_COLUMNS} {_FROM} where d.id = $1", device_id)
    if row is None:
        raise NotFound(entity="device")
    return _read(row)


async def devices_by_ids(work: Work, ids: Sequence[UUID]) -> list[Device | None]:
    """Devices in the order of the ids; None for one that is not there."""
    rows = await work.fetch(f"select {_COLUMNS} {_FROM} where d.id = any($1::uuid[])", list(ids))
    found = {row["id"]: _read(row) for row in rows}
    return [found.get(id_) for id_ in ids]


async def devices_page(
    work: Work,
    *,
    user_id: UUID | None = None,
    revoked: bool | None = None,
    stale_before: datetime | None = None,
    sort: Sort = Sort.NEWEST,
    after: str | None = None,
    limit: int = 50,
) -> Page[Device]:
    """Devices, `limit` (1 to 200) at a time; `stale_before`: not heard of since then, or never.

    A device that is heard of while the pages of `SILENT` are read may be missed: it is silent no longer. Raises
    LimitExceeded or BadField (cursor).
    """
    if not 1 <= limit <= PAGE_MAX:
        raise LimitExceeded(what="devices on a page", limit=PAGE_MAX, given=limit)
    heard, start = _after(after, sort)
    # Never heard of is longest ago.
    heard_at = "coalesce(d.last_seen_at, '0001-01-01 00:00Z')"
    beyond, order = (
        (f"({heard_at}, d.id) > ($6, $1)", f"{heard_at}, d.id")
        if sort is Sort.SILENT
        else ("d.id < $1 and $6::timestamptz is null", "d.id desc")
    )
    rows = await work.fetch(
        f"""
        select {_COLUMNS} {_FROM}
        where d.org_id = callout_org() and ($1::uuid is null or {beyond}) and ($2::uuid is null or d.user_id = $2)
            and ($3::bool is null or (d.revoked_at is not null) = $3)
            and ($5::timestamptz is null or {heard_at} < $5)
        order by {order} limit $4
        """,
        start,
        user_id,
        revoked,
        limit + 1,
        stale_before,
        heard,
    )
    items = [_read(row) for row in rows[:limit]]
    return Page(
        items=items, end_cursor=_cursor(items[-1], sort) if items else None, has_more=len(rows) > limit
    )


def _cursor(last: Device, sort: Sort) -> str:
    if sort is Sort.NEWEST:
        return str(last.id)
    heard = (
        "" if last.last_seen_at is None else str((last.last_seen_at - _EPOCH) // timedelta(microseconds=1))
    )
    return f"{heard}.{last.id}"


def _after(cursor: str | None, sort: Sort) -> tuple[datetime | None, UUID | None]:
    if cursor is None:
        return None, None
    try:
        if sort is Sort.NEWEST:
            return None, parse_id(cursor)
        heard, _, id_ = cursor.partition(".")
        # `datetime.min` stands before every time at which a device was heard of.
        at = _EPOCH + timedelta(microseconds=int(heard)) if heard else datetime.min.replace(tzinfo=UTC)
        return at, parse_id(id_)
    except (ValueError, OverflowError) as fault:
        raise BadField(path="after", why="it is not a cursor of this list") from fault


def _read(row: Record) -> Device:
    return Device(**dict(row))


def _hash(code: str) -> bytes:
    """The stored form of a code as a person may type it: small letters, blanks and hyphens are forgiven."""
    plain = "".join(code.upper().split()).replace("-", "")
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).digest()
