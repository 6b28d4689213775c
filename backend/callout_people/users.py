"""Users of an organisation: made in bulk, given passwords, deactivated (never deleted: the journal names them)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from asyncpg import Record
from msgspec import Struct

from callout_people.principals import Role
from callout_people.sessions import end_sessions_of_user
from callout_people.texts import email_address, line, locale_code, phone_number
from callout_store.errors import AlreadyExists, BadField, LimitExceeded, NotFound
from callout_store.ids import new_id, parse_id
from callout_store.journal import Entry, write, write_many
from callout_store.pages import Page
from callout_store.work import Work

USERS_MAX: Final = 5000
"""Users made by one call."""
PAGE_MAX: Final = 200
_COLUMNS: Final = (
    "id, email, name, role, locale, phone, active, created_at, password_hash is not null as has_password"
)


class NewUser(Struct, frozen=True, kw_only=True):
    """Someone to be made. `password_hash` comes from `Passwords.hash`, made before the unit of work is opened; without
    one the user signs in by an enrolment code only."""

    email: str
    name: str
    role: Role
    locale: str = "en"
    phone: str | None = None
    password_hash: str | None = None
    id: UUID | None = None


class User(Struct, frozen=True, kw_only=True):
    """A user as others may read it; the password's hash stays in the database."""

    id: UUID
    email: str
    name: str
    role: Role
    locale: str
    phone: str | None
    active: bool
    created_at: datetime
    has_password: bool


async def create_user(work: Work, new: NewUser) -> UUID:
    """Make one user; their id. Raises BadField or AlreadyExists."""
    return (await create_users(work, [new]))[0]


async def create_users(work: Work, new: Sequence[NewUser]) -> list[UUID]:
    """Make users in one statement; their ids in the order given.

    Raises BadField (`users.<n>.<field>` in bulk), LimitExceeded, or AlreadyExists where an address or id is taken.
    """
    if len(new) > USERS_MAX:
        raise LimitExceeded(what="users in one call", limit=USERS_MAX, given=len(new))
    if not new:
        return []

    def at(n: int, field: str) -> str:
        return field if len(new) == 1 else f"users.{n}.{field}"

    ids = [user.id or new_id() for user in new]
    emails = [email_address(user.email, at(n, "email")) for n, user in enumerate(new)]
    made = await work.execute(
        """
        insert into app_user (id, email, name, role, locale, phone, password_hash)
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
        on conflict do nothing
        """,
        ids,
        emails,
        [line(user.name, at(n, "name")) for n, user in enumerate(new)],
        [Role(user.role).value for user in new],
        [locale_code(user.locale, at(n, "locale")) for n, user in enumerate(new)],
        [
            None if user.phone is None else phone_number(user.phone, at(n, "phone"))
            for n, user in enumerate(new)
        ],
        [user.password_hash for user in new],
    )
    if made != len(new):
        raise AlreadyExists(entity="user", key="email", path=at(0, "email") if len(new) == 1 else "users")
    await write_many(
        work,
        [
            Entry(kind="user.created", entity="user", entity_id=id_, data={"role": Role(user.role).value})
            for id_, user in zip(ids, new, strict=True)
        ],
    )
    return ids


async def set_password(
    work: Work, user_id: UUID, password_hash: str, *, keep_session: UUID | None = None
) -> None:
    """Store a new password's hash and end the user's other sessions, whoever opened them. Raises NotFound."""
    if not password_hash.startswith("$argon2id$"):
        raise BadField(path="password", why="it was not hashed with argon2id")
    if not await work.execute("update app_user set password_hash = $2 where id = $1", user_id, password_hash):
        raise NotFound(entity="user")
    await end_sessions_of_user(work, user_id, reason="password_changed", keep=keep_session)
    await write(work, Entry(kind="user.password_set", entity="user", entity_id=user_id))


async def deactivate(work: Work, user_id: UUID, *, reason: str = "") -> bool:
    """Shut a user out and end their sessions; False where that had been done before. Raises NotFound.

    Waits for pushes of the user's phones that are about to commit (they hold the row shared); later ones are refused.
    """
    was_active = await work.fetchval("select active from app_user where id = $1 for update", user_id)
    if was_active is None:
        raise NotFound(entity="user")
    if not was_active:
        return False
    await work.execute("update app_user set active = false where id = $1", user_id)
    await end_sessions_of_user(work, user_id, reason="user_deactivated")
    data = {"reason": line(reason, "reason")} if reason.strip() else {}
    await write(work, Entry(kind="user.deactivated", entity="user", entity_id=user_id, data=data))
    return True


async def reactivate(work: Work, user_id: UUID) -> bool:
    """Let a user in again, with the password they had; False where they were not shut out. Raises NotFound.

    What was passed on to others stays there, and sessions that were ended stay ended.
    """
    was_active = await work.fetchval("select active from app_user where id = $1 for update", user_id)
    if was_active is None:
        raise NotFound(entity="user")
    if was_active:
        return False
    await work.execute("update app_user set active = true where id = $1", user_id)
    await write(work, Entry(kind="user.reactivated", entity="user", entity_id=user_id))
    return True


async def users_by_ids(work: Work, ids: Sequence[UUID]) -> list[User | None]:
    """Users in the order of the ids; None for one that is not there."""
    rows = await work.fetch(f"select {_COLUMNS} from app_user where id = any($1::uuid[])", list(ids))
    found = {row["id"]: _read(row) for row in rows}
    return [found.get(id_) for id_ in ids]


async def user_by_email(work: Work, email: str) -> User | None:
    """The user with this address, or None."""
    row = await work.fetchrow(f"select {_COLUMNS} from app_user where email = $1", email.strip().lower())
    return None if row is None else _read(row)


async def users_page(
    work: Work,
    *,
    role: Role | None = None,
    active: bool | None = True,
    after: str | None = None,
    limit: int = 50,
) -> Page[User]:
    """Users in the order they were made, `limit` (1 to 200) at a time. Raises LimitExceeded or BadField (cursor)."""
    if not 1 <= limit <= PAGE_MAX:
        raise LimitExceeded(what="users on a page", limit=PAGE_MAX, given=limit)
    try:
        start = None if after is None else parse_id(after)
    except ValueError as fault:
        raise BadField(path="after", why="it is not a cursor of this list") from fault
    rows = await work.fetch(
        f"""
        select {_COLUMNS} from app_user
        where ($1::uuid is null or id > $1) and ($2::text is null or role = $2) and ($3::bool is null or active = $3)
        order by id limit $4
        """,
        start,
        None if role is None else role.value,
        active,
        limit + 1,
    )
    items = [_read(row) for row in rows[:limit]]
    return Page(items=items, end_cursor=str(items[-1].id) if items else None, has_more=len(rows) > limit)


def _read(row: Record) -> User:
    return User(**{**dict(row), "role": Role(row["role"])})
