"""Limits on attempts to sign in, to enrol and to refresh: per account, per client address, per window of time.

An attempt is counted before it is judged, by one upsert in a unit of work of its own: a refused sign-in stays counted,
and a hundred parallel guesses are a hundred. An attempt that succeeds is taken back, so that an office behind one
address does not lock itself out by working.
"""

import ipaddress
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from callout_people.tokens import TokenIssuer
from callout_store.errors import TooManyAttempts, TooManyRequests
from callout_store.work import Database, Work

KEEP = timedelta(hours=1)
"""Windows older than this are swept; it is longer than any window below."""


class Limit(Struct, frozen=True):
    """At most `attempts` failed ones in `window_s` seconds, counted from the first of them."""

    attempts: int
    window_s: int


class Limits(Struct, frozen=True, kw_only=True):
    """How many failed attempts each door stands."""

    login_account_at_address: Limit = Limit(10, 900)
    login_account: Limit = Limit(50, 900)
    """Wider than the one above: else anyone could lock a colleague out from afar with ten wrong passwords."""
    login_address: Limit = Limit(100, 900)
    enrol_organisation: Limit = Limit(2000, 900)
    enrol_address: Limit = Limit(1000, 900)
    """A code has 50 bits and lives 15 minutes; a storm of new phones behind one address must pass."""
    refresh_token: Limit = Limit(60, 60)
    refresh_address: Limit = Limit(2000, 60)


LIMITS = Limits()


class Counted(Struct, frozen=True, kw_only=True):
    """An attempt that was counted under these keys, to be taken back if it succeeds."""

    keys: tuple[str, ...]


_COUNT = """
insert into throttle as t (key, window_starts_at, attempts) values ($1, $2, 1)
on conflict (key) do update set
    attempts = case when t.window_starts_at <= $2 - make_interval(secs => $3) then 1 else t.attempts + 1 end,
    window_starts_at = case when t.window_starts_at <= $2 - make_interval(secs => $3) then $2
                            else t.window_starts_at end
returning attempts, window_starts_at
"""


class Throttle:
    """Counts attempts of one process's doors in the shared table."""

    def __init__(self, db: Database, issuer: TokenIssuer, limits: Limits = LIMITS) -> None:
        self._db = db
        self._issuer = issuer
        self._limits = limits

    async def login(self, *, slug: str, email: str, address: str | None) -> Counted:
        """Count a sign-in; raises TooManyAttempts over a limit."""
        place = network(address)
        return await self._count(
            ("login-account-address", (slug, email, place), self._limits.login_account_at_address),
            ("login-account", (slug, email), self._limits.login_account),
            ("login-address", (place,), self._limits.login_address),
        )

    async def enrol(self, *, org_id: UUID, address: str | None) -> Counted:
        """Count a try at an enrolment code; raises TooManyAttempts over a limit."""
        return await self._count(
            ("enrol-organisation", (str(org_id),), self._limits.enrol_organisation),
            ("enrol-address", (network(address),), self._limits.enrol_address),
        )

    async def refresh(self, *, token: str, address: str | None) -> Counted:
        """Count a refresh; raises TooManyAttempts over a limit."""
        return await self._count(
            ("refresh-token", (token,), self._limits.refresh_token),
            ("refresh-address", (network(address),), self._limits.refresh_address),
        )

    async def take_back(self, counted: Counted) -> None:
        """The attempt succeeded, or was never judged: it does not count."""
        async with self._db.work(None) as work:
            await work.execute(
                """
                with mine as (select key from throttle where key = any($1::text[]) order by key for update)
                update throttle t set attempts = greatest(t.attempts - 1, 0) from mine where t.key = mine.key
                """,
                list(counted.keys),
            )

    async def _count(self, *rules: tuple[str, tuple[str, ...], Limit]) -> Counted:
        now = self._issuer.now()
        by_key = {
            self._issuer.digest(f"throttle-{name}", *parts): (name, limit) for name, parts, limit in rules
        }
        keys = sorted(by_key)
        worst: tuple[int, str, Limit] | None = None
        async with self._db.work(None) as work:
            # In the order of the keys, so that attempts that share several keys never wait for each other in a ring.
            for key in keys:
                name, limit = by_key[key]
                row = await work.fetchrow(_COUNT, key, now, float(limit.window_s))
                assert row is not None
                if row["attempts"] > limit.attempts:
                    ends_at: datetime = row["window_starts_at"] + timedelta(seconds=limit.window_s)
                    wait_ms = max(1, int((ends_at - now).total_seconds() * 1000))
                    if worst is None or wait_ms > worst[0]:
                        worst = (wait_ms, name, limit)
        if worst is not None:
            wait_ms, name, limit = worst
            raise TooManyAttempts(
                retry_after_ms=wait_ms, limit=limit.attempts, window_s=limit.window_s, counted_by=name
            )
        return Counted(keys=tuple(keys))


async def count_calls(db: Database, what: str, limit: Limit) -> None:
    """Count a call of a door that is no sign-in, under the name of what calls; raises TooManyRequests over the limit.

    `attempts` of the limit are calls, and none is taken back.
    """
    now = db.machine_clock.now()
    async with db.work(None) as work:
        row = await work.fetchrow(_COUNT, f"calls:{what}", now, float(limit.window_s))
    assert row is not None
    if row["attempts"] > limit.attempts:
        ends_at: datetime = row["window_starts_at"] + timedelta(seconds=limit.window_s)
        raise TooManyRequests(
            retry_after_ms=max(1, int((ends_at - now).total_seconds() * 1000)),
            limit=limit.attempts,
            window_s=limit.window_s,
        )


async def refuse_counted(db: Database, what: str, limit: Limit) -> None:
    """Raise TooManyRequests where calls under this name are over the limit already; counts nothing.

    For a door that only counts calls which turn out to be forged, and would rather not read the next one.
    """
    now = db.machine_clock.now()
    async with db.work(None) as work:
        row = await work.fetchrow(
            "select attempts, window_starts_at from throttle where key = $1 and window_starts_at > $2",
            f"calls:{what}",
            now - timedelta(seconds=limit.window_s),
        )
    if row is not None and row["attempts"] > limit.attempts:
        ends_at: datetime = row["window_starts_at"] + timedelta(seconds=limit.window_s)
        raise TooManyRequests(
            retry_after_ms=max(1, int((ends_at - now).total_seconds() * 1000)),
            limit=limit.attempts,
            window_s=limit.window_s,
        )


def network(address: str | None) -> str:
    """What an address is counted as: an IPv4 address itself, of IPv6 the /64 that one household or phone is given."""
    if not address:
        return "unknown"
    try:
        ip = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


async def sweep(work: Work, now: datetime) -> int:
    """Drop counters whose window is long over; `now` is the wall clock's. Returns how many."""
    return await work.execute("delete from throttle where window_starts_at < $1", now - KEEP)
