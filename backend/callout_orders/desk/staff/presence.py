"""Who is at their desk: heartbeats, what people say by hand, and the timer that notices silence.

Away and offline that were set by hand stay until their person says otherwise; a heartbeat only shows that the screen is
open. A change is journaled, since orders are turned over because of it.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.desk.unanswered import watching
from callout_orders.desk.unanswered.standings import presence_of
from callout_orders.desk.unanswered.watch_rules import PRESENCE_TIMEOUT, PresenceState, offline_since
from callout_store import timers
from callout_store.errors import NotFound
from callout_store.journal import Entry, write
from callout_store.work import Work

CHANNEL: Final = "desk.presence"
HEARTBEAT_SECONDS: Final = 30
"""How often a screen says that it is open; three in a row may be lost."""
LOOK_AGAIN: Final = timedelta(seconds=5)
_STATES: Final = frozenset(state.value for state in PresenceState)


class PresenceView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's presence as it is now."""

    user_id: UUID
    state: str
    since: datetime | None
    seen_at: datetime | None
    by_hand: bool


async def beat(work: Work, user_id: UUID) -> PresenceView:
    """A screen of theirs is open."""
    row = await _locked(work, user_id)
    known = presence_of(row) if row is not None else None
    stays = (
        row is not None
        and known is not None
        and (row["by_hand"] or (row["state"] == "online" and offline_since(known, now=work.now) is None))
    )
    if not stays:
        return await _set(work, user_id, PresenceState.ONLINE, by_hand=False, before=row)
    await work.execute(
        "update presence set seen_at = $2 where org_id = callout_org() and user_id = $1", user_id, work.now
    )
    return _view(user_id, {**dict(row or {}), "seen_at": work.now}, work.now)


async def set_by_hand(work: Work, user_id: UUID, state: str) -> PresenceView:
    """They say it themselves. `online` hands it back to the heartbeats. Raises BadField."""
    wanted = PresenceState(checks.one_of("state", state, _STATES))
    row = await _locked(work, user_id)
    if row is not None and row["state"] == wanted and row["by_hand"] == (wanted is not PresenceState.ONLINE):
        known = presence_of(row)
        if known is not None and (offline_since(known, now=work.now) is None or state == "offline"):
            return await beat(work, user_id)
    return await _set(
        work, user_id, wanted, by_hand=wanted is not PresenceState.ONLINE, before=row, by="hand"
    )


async def look(work: Work, user_id: UUID, key: str, epoch: int) -> bool:
    """The timer fired: whoever was silent for too long is offline from now on; whether this call found so."""
    row = await _locked(work, user_id)
    known = presence_of(row) if row is not None else None
    if known is None or known.state is PresenceState.OFFLINE:
        return False
    if offline_since(known, now=work.now + watching.SKEW_MAX) is None:
        soonest: datetime = await work.fetchval("select now() + $1::interval", LOOK_AGAIN)
        due = max(known.seen_at + PRESENCE_TIMEOUT, soonest)
        await timers.again(work, key=key, epoch=epoch, due_at=due, payload={"userId": str(user_id)})
        return False
    await _set(work, user_id, PresenceState.OFFLINE, by_hand=False, before=row, by="silence")
    return True


async def presences_of(work: Work, user_ids: list[UUID]) -> list[PresenceView]:
    """The presence of these users, in order; whoever was never there is offline."""
    rows = await work.fetch(
        "select user_id, state, by_hand, since, seen_at from presence "
        "where org_id = callout_org() and user_id = any($1)",
        user_ids,
    )
    found = {row["user_id"]: row for row in rows}
    return [_view(user, found.get(user), work.now) for user in user_ids]


async def _locked(work: Work, user_id: UUID) -> Any:
    return await work.fetchrow(
        """
        select state, by_hand, since, seen_at from presence
        where org_id = callout_org() and user_id = $1 for update
        """,
        user_id,
    )


async def _set(
    work: Work, user_id: UUID, state: PresenceState, *, by_hand: bool, before: Any, by: str = "heartbeat"
) -> PresenceView:
    known = presence_of(before) if before is not None else None
    was = PresenceState.OFFLINE
    if known is not None and offline_since(known, now=work.now) is None:
        was = known.state
    seen_at, since = work.now, work.now
    if by == "silence" and known is not None:
        seen_at, since = known.seen_at, min(known.seen_at + PRESENCE_TIMEOUT, work.now)
        was = known.state
    stored = await work.fetchval(
        """
        insert into presence (user_id, state, by_hand, since, seen_at)
        select id, $2, $3, $4, $5 from app_user where org_id = callout_org() and id = $1 and active
        on conflict (org_id, user_id) do update
        set state = excluded.state, by_hand = excluded.by_hand, since = excluded.since, seen_at = excluded.seen_at
        returning true
        """,
        user_id,
        state.value,
        by_hand,
        since,
        seen_at,
    )
    if not stored:
        raise NotFound(entity="user", path="userId")
    if state is PresenceState.OFFLINE:
        await timers.cancel(work, _key(user_id))
    else:
        await _arm(work, user_id)
    if was is not state:
        await write(
            work,
            Entry(
                kind="presence.changed",
                entity="user",
                entity_id=user_id,
                data={"from": was.value, "to": state.value, "by": by, "since": since},
            ),
        )
    if state is PresenceState.OFFLINE:
        rows = await work.fetch(
            """
            select id from work_order
            where org_id = callout_org() and handler_id = $1 and responded_at is null
              and state not in ('completed', 'closed', 'canceled')
            """,
            user_id,
        )
        await watching.aim(work, [row["id"] for row in rows])
    return PresenceView(user_id=user_id, state=state.value, since=since, seen_at=seen_at, by_hand=by_hand)


def _key(user_id: UUID) -> str:
    return f"presence:{user_id}"


async def _arm(work: Work, user_id: UUID) -> None:
    await timers.arm(
        work,
        key=_key(user_id),
        due_at=work.now + PRESENCE_TIMEOUT,
        channel=CHANNEL,
        payload={"userId": str(user_id)},
    )


def _view(user_id: UUID, row: Any, now: datetime) -> PresenceView:
    if row is None:
        return PresenceView(user_id=user_id, state="offline", since=None, seen_at=None, by_hand=False)
    known = presence_of(row)
    assert known is not None
    gone = offline_since(known, now=now)
    return PresenceView(
        user_id=user_id,
        state="offline" if gone is not None else known.state.value,
        since=gone or known.since,
        seen_at=known.seen_at,
        by_hand=row["by_hand"],
    )
