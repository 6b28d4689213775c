"""Signing in, on a real database: who gets in, who does not, and what a flood does to everybody else."""

import asyncio
import itertools
import threading
from datetime import timedelta
from typing import Literal

import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from people_world import PASSWORD, START, People, make_issuer, make_people

from callout_people import sessions, throttle, users
from callout_people.passwords import Passwords
from callout_people.principals import Role
from callout_people.sign_in import SignedIn, SignIn
from callout_people.throttle import Limit, Limits
from callout_store.clock import ManualClock
from callout_store.errors import BadCredentials, Busy, NotAuthenticated, TooManyAttempts
from callout_store.work import Database

ADDRESS = "203.0.113.7"


@pytest.fixture(scope="module")
async def people(db: Database) -> People:
    return await make_people(db)


async def login(way: SignIn, people: People, *, password: str = PASSWORD, address: str = ADDRESS) -> SignedIn:
    return await way.login(
        slug=people.slug, email=people.email(Role.DISPATCHER), password=password, address=address
    )


class Gate(PasswordHasher):
    """Verifies nothing until it is opened."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.open = threading.Event()

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        assert self.open.wait(60)
        return super().verify(hash, password)


async def test_the_right_password_signs_in(db: Database, people: People) -> None:
    """Nobody could work."""
    issuer = make_issuer()
    done = await SignIn(db, issuer).login(
        slug=f" {people.slug.upper()} ",
        email=people.email(Role.DISPATCHER).upper(),
        password=PASSWORD,
        address=None,
    )
    who = await sessions.authenticate(db, issuer, done.tokens.access_token)
    assert who == done.principal
    assert (who.org_id, who.user_id, who.role) == (
        people.org_id,
        people.ids[Role.DISPATCHER],
        Role.DISPATCHER,
    )


@pytest.mark.parametrize(
    ("slug", "email", "password"),
    (
        (None, None, "wrong horse battery"),
        (None, "nobody@example.org", PASSWORD),
        ("no-such-org", None, PASSWORD),
        ("", "", ""),
        ("a\x00b", None, PASSWORD),  # PostgreSQL's text refuses U+0000: it must not become an internal fault
        (None, "a\x00@b.c", PASSWORD),
        (None, None, "\x00" + PASSWORD),
        (None, None, "\ud800"),
    ),
)
async def test_all_else_gets_the_same_refusal(
    db: Database, people: People, slug: str | None, email: str | None, password: str
) -> None:
    """A refusal that told which part was wrong would list our users to whoever asks."""
    with pytest.raises(BadCredentials) as caught:
        await SignIn(db, make_issuer()).login(
            slug=people.slug if slug is None else slug,
            email=people.email(Role.DISPATCHER) if email is None else email,
            password=password,
            address="198.51.100.1",
        )
    assert caught.value.details == {}


async def test_a_password_is_good_in_its_own_organisation_only(db: Database, people: People) -> None:
    """Two firms may employ the same person under one address."""
    other = await make_people(db)
    with pytest.raises(BadCredentials):
        await SignIn(db, make_issuer()).login(
            slug=other.slug, email=people.email(Role.DISPATCHER), password=PASSWORD, address=ADDRESS
        )


async def test_a_deactivated_user_is_out_at_once(db: Database) -> None:
    """Someone who was dismissed at noon must not read the customers' addresses at five past."""
    people, issuer = await make_people(db), make_issuer()
    way = SignIn(db, issuer)
    done = await login(way, people)
    async with db.work(people.org_id, actor=people.actor(Role.ADMIN)) as work:
        assert await users.deactivate(work, people.ids[Role.DISPATCHER], reason="left the firm")
        assert not await users.deactivate(work, people.ids[Role.DISPATCHER])
    with pytest.raises(NotAuthenticated):
        await sessions.authenticate(db, issuer, done.tokens.access_token)
    with pytest.raises(BadCredentials):
        await login(way, people)


async def test_a_new_password_ends_other_sessions(db: Database) -> None:
    """Changing the password is what people do when someone else knows it."""
    people, issuer = await make_people(db), make_issuer()
    way = SignIn(db, issuer)
    thief, owner = await login(way, people), await login(way, people)
    fresh = await Passwords(threads=1).hash("another battery entirely")
    async with db.work(people.org_id) as work:
        await users.set_password(
            work, people.ids[Role.DISPATCHER], fresh, keep_session=owner.tokens.session_id
        )
    await sessions.authenticate(db, issuer, owner.tokens.access_token)
    with pytest.raises(NotAuthenticated):
        await sessions.authenticate(db, issuer, thief.tokens.access_token)
    with pytest.raises(BadCredentials):
        await login(way, people)
    await login(way, people, password="another battery entirely")


async def test_weak_hashes_are_made_anew(db: Database) -> None:
    """Hashes of weaker parameters would stay in the table for as long as their owners keep their passwords."""
    people = await make_people(db)
    async with db.work(people.org_id) as work:
        await users.set_password(
            work, people.ids[Role.DISPATCHER], PasswordHasher.from_parameters(CHEAPEST).hash(PASSWORD)
        )
    way = SignIn(db, make_issuer())
    # At once: the one that renews must not make the other's verified hash look like a changed password.
    await asyncio.gather(login(way, people), login(way, people))
    async with db.work(people.org_id) as work:
        stored = await work.fetchval(
            "select password_hash from app_user where id = $1", people.ids[Role.DISPATCHER]
        )
    assert "m=19456,t=2,p=1" in stored
    await login(way, people)


async def test_a_session_ends_when_its_time_is_over(db: Database, people: People) -> None:
    """Session and token are timed by the wall clock that is handed in, not by the database's."""
    clock = ManualClock(START)
    issuer = make_issuer(clock, lifetime=timedelta(days=1000))
    done = await login(SignIn(db, issuer), people)
    clock.advance(sessions.SESSION_LIFETIME - timedelta(seconds=1))
    await sessions.authenticate(db, issuer, done.tokens.access_token)
    clock.advance(timedelta(seconds=2))
    with pytest.raises(NotAuthenticated):
        await sessions.authenticate(db, issuer, done.tokens.access_token)


async def test_a_cached_answer_is_for_reads_only(db: Database, people: People) -> None:
    """Whoever asks without `cached` must see the end of a session at once, in this process and in every other."""
    issuer = make_issuer()
    done = await login(SignIn(db, issuer), people)
    token = done.tokens.access_token
    await sessions.authenticate(db, issuer, token, cached=True)
    async with db.work(people.org_id) as work:
        await sessions.end_sessions(work, [done.tokens.session_id], reason="signed_out")
    assert (await sessions.authenticate(db, issuer, token, cached=True)).session_id == done.tokens.session_id
    with pytest.raises(NotAuthenticated):
        await sessions.authenticate(db, issuer, token)
    with pytest.raises(NotAuthenticated):
        await sessions.authenticate(db, issuer, token, cached=True)


# --- limits ------------------------------------------------------------------------------------------------------


async def test_guessing_is_limited_and_counted_though_refused(db: Database) -> None:
    """Without a count that outlives the refusal, a password list is only a matter of hours."""
    people, clock = await make_people(db), ManualClock(START)
    limits = Limits(login_account_at_address=Limit(3, 900))
    way = SignIn(db, make_issuer(clock), limits=limits)
    for _ in range(3):
        with pytest.raises(BadCredentials):
            await login(way, people, password="wrong horse")
    with pytest.raises(TooManyAttempts) as caught:
        await login(way, people)
    assert caught.value.details == {"limit": 3, "window_s": 900, "counted_by": "login-account-address"}
    assert caught.value.retry_after_ms == 900_000
    # From elsewhere the owner still gets in: nobody can lock a colleague out from afar.
    await login(way, people, address="198.51.100.200")
    clock.advance(timedelta(seconds=900))
    await login(way, people)


async def test_an_address_is_limited_over_all_accounts(db: Database) -> None:
    """One common password tried on every account stays below each account's own limit."""
    people = await make_people(db)
    way = SignIn(db, make_issuer(), limits=Limits(login_address=Limit(4, 900)))
    for n in range(4):
        with pytest.raises(BadCredentials):
            await way.login(
                slug=people.slug, email=f"u{n}@x.org", password="Summer2026", address="192.0.2.44"
            )
    with pytest.raises(TooManyAttempts):
        await way.login(slug=people.slug, email="u9@x.org", password="Summer2026", address="192.0.2.44")


async def test_parallel_guesses_are_counted_one_by_one(db: Database) -> None:
    """A count that is read and then written lets a hundred parallel guesses pass as one."""
    people = await make_people(db)
    counter = throttle.Throttle(db, make_issuer(), Limits(login_account_at_address=Limit(5, 900)))

    async def attempt() -> bool:
        try:
            await counter.login(slug=people.slug, email="a@b.c", address="192.0.2.45")
        except TooManyAttempts:
            return False
        return True

    assert sum(await asyncio.gather(*(attempt() for _ in range(25)))) == 5


async def test_working_is_not_guessing(db: Database) -> None:
    """An office behind one address, all signing in on Monday, must not lock itself out."""
    people = await make_people(db)
    limits = Limits(
        login_address=Limit(2, 900), login_account=Limit(2, 900), login_account_at_address=Limit(2, 900)
    )
    way = SignIn(db, make_issuer(), limits=limits)
    for _ in range(5):
        await login(way, people, address="192.0.2.46")


async def test_counters_are_hashed_and_swept(db: Database, people: People) -> None:
    """The table would otherwise be a list of who signed in from where, for ever."""
    clock = ManualClock(START - timedelta(days=400))
    issuer = make_issuer(clock)
    counted = await throttle.Throttle(db, issuer).login(
        slug="s", email="li@example.org", address="192.0.2.47"
    )
    async with db.work(None) as work:
        keys = [row["key"] for row in await work.fetch("select key from throttle")]
        assert set(counted.keys) <= set(keys)
        assert not [key for key in keys if "li@" in key or "192.0" in key]
        assert await throttle.sweep(work, clock.now() + throttle.KEEP) == 0
        assert await throttle.sweep(work, clock.now() + throttle.KEEP + timedelta(seconds=1)) == 3


async def test_a_flood_of_sign_ins_stalls_nobody_else(db: Database, people: People) -> None:
    """A flood must cost the flood: other requests are answered while every thread and place in the queue is taken."""
    issuer, gate = make_issuer(), Gate()
    done = await login(SignIn(db, issuer), people)
    passwords = Passwords(threads=2, queue_max=2, hasher=gate)
    way = SignIn(db, issuer, passwords=passwords)
    flood = [
        asyncio.create_task(login(way, people, password="wrong", address=f"10.0.0.{n}")) for n in range(12)
    ]
    for task in itertools.islice(asyncio.as_completed(flood), 8):
        with pytest.raises(Busy):
            await task
    # All threads and all places are held. Someone who is signed in already works on, on the same loop and pool.
    assert (await sessions.authenticate(db, issuer, done.tokens.access_token)).org_id == people.org_id
    gate.open.set()
    ends = await asyncio.gather(*flood, return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["BadCredentials"] * 4 + ["Busy"] * 8
    passwords.close()


async def test_busy_is_no_attempt(db: Database) -> None:
    """Someone turned away unheard, again and again, would be locked out without one wrong password."""
    people, gate = await make_people(db), Gate()
    passwords = Passwords(threads=1, queue_max=0, hasher=gate)
    way = SignIn(
        db, make_issuer(), passwords=passwords, limits=Limits(login_account_at_address=Limit(2, 900))
    )
    first = asyncio.create_task(passwords.verify(None, PASSWORD))
    await asyncio.sleep(0)
    for _ in range(4):
        with pytest.raises(Busy):
            await login(way, people, address="192.0.2.48")
    gate.open.set()
    await first
    await login(way, people, address="192.0.2.48")
    passwords.close()
