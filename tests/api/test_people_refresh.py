"""Refresh tokens: they rotate, a copy that is used gives itself away, and a lost answer costs nobody their session."""

import asyncio
import hashlib
from datetime import timedelta

import pytest
from people_world import SECRET, START, People, make_issuer, make_people

from callout_people import sessions, users
from callout_people.principals import Role
from callout_people.sessions import LOST_ANSWER, Tokens
from callout_people.sign_in import SignIn
from callout_people.throttle import Limit, Limits
from callout_people.tokens import REFRESH_LIFETIME, TokenIssuer
from callout_store.clock import ManualClock
from callout_store.errors import (
    NotAuthenticated,
    RefreshTokenInvalid,
    RefreshTokenReused,
    TooManyAttempts,
)
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture(scope="module")
async def people(db: Database) -> People:
    return await make_people(db)


async def signed_in(db: Database, people: People, issuer: TokenIssuer) -> Tokens:
    async with db.work(people.org_id) as work:
        return await sessions.open_session(work, issuer, user_id=people.ids[Role.ENGINEER])


async def refresh(db: Database, issuer: TokenIssuer, tokens: Tokens) -> Tokens:
    return await SignIn(db, issuer).refresh(refresh_token=tokens.refresh_token, address=None)


async def test_rotation(db: Database, people: People) -> None:
    """A token that could be used again and again would be worth stealing for two months."""
    issuer = make_issuer()
    first = await signed_in(db, people, issuer)
    second = await refresh(db, issuer, first)
    third = await refresh(db, issuer, second)
    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3
    assert first.session_id == third.session_id
    assert (await sessions.authenticate(db, issuer, third.access_token)).user_id == people.ids[Role.ENGINEER]


async def test_only_hashes_are_stored(db: Database, people: People) -> None:
    """A copy of the database must not be a bunch of keys."""
    tokens = await signed_in(db, people, make_issuer())
    secret = tokens.refresh_token.split(".")[1]
    async with db.work(people.org_id) as work:
        stored = await work.fetchval(
            "select token_hash from refresh_token where session_id = $1", tokens.session_id
        )
        entries = await work.fetchval("select string_agg(data::text, ' ') from journal")
    assert stored == hashlib.sha256(secret.encode()).digest()
    assert secret not in entries


@pytest.mark.parametrize("successor_used", (True, False))
async def test_reuse_ends_the_whole_session(db: Database, people: People, successor_used: bool) -> None:
    """Thief and owner hold the same token; whoever comes second shows that there are two."""
    clock = ManualClock(START)
    issuer = make_issuer(clock)
    first = await signed_in(db, people, issuer)
    second = await refresh(db, issuer, first)
    latest = await refresh(db, issuer, second) if successor_used else second
    if not successor_used:
        clock.advance(LOST_ANSWER + timedelta(seconds=1))
    with pytest.raises(RefreshTokenReused):
        await refresh(db, issuer, first)
    # The end was committed although the request was refused: the newest token and the access token are void too.
    with pytest.raises(RefreshTokenInvalid):
        await refresh(db, issuer, latest)
    with pytest.raises(NotAuthenticated):
        await sessions.authenticate(db, issuer, latest.access_token)
    async with db.work(people.org_id) as work:
        assert await work.fetchval(
            "select data->>'reason' from journal where kind = 'session.ended' and entity_id = $1",
            first.session_id,
        ) == ("refresh_token_reused")


async def test_a_lost_answer_can_be_asked_for_again(db: Database, people: People) -> None:
    """A phone in a tunnel sends the spent token once more; ending its session would cost the engineer the afternoon."""
    clock = ManualClock(START)
    issuer = make_issuer(clock)
    first = await signed_in(db, people, issuer)
    lost = await refresh(db, issuer, first)
    clock.advance(LOST_ANSWER)
    again = await refresh(db, issuer, first)
    assert again.refresh_token == lost.refresh_token
    # A change of the secret in between changes nothing.
    other = TokenIssuer("a newer secret for the tests", previous=[SECRET], clock=clock)
    assert (await refresh(db, other, first)).refresh_token == lost.refresh_token
    assert (await refresh(db, issuer, again)).session_id == first.session_id


async def test_parallel_refreshes_of_one_token_agree(db: Database, people: People) -> None:
    """An app whose requests all find the access token expired refreshes twenty times: it must not sign itself out."""
    issuer = make_issuer()
    first = await signed_in(db, people, issuer)
    answers = await asyncio.gather(*(refresh(db, issuer, first) for _ in range(20)))
    assert len({answer.refresh_token for answer in answers}) == 1
    async with db.work(people.org_id) as work:
        live = await work.fetchval(
            "select count(*) from refresh_token where session_id = $1 and used_at is null", first.session_id
        )
    assert live == 1
    await refresh(db, issuer, answers[-1])


async def test_parallel_reuse_ends_the_session_once(db: Database, people: People) -> None:
    """Twenty copies of a long-spent token: every one is refused, and the journal says it once."""
    clock = ManualClock(START)
    issuer = make_issuer(clock)
    first = await signed_in(db, people, issuer)
    await refresh(db, issuer, first)
    clock.advance(LOST_ANSWER * 2)
    ends = await asyncio.gather(*(refresh(db, issuer, first) for _ in range(20)), return_exceptions=True)
    assert {type(end) for end in ends} == {RefreshTokenReused, RefreshTokenInvalid}
    assert sum(isinstance(end, RefreshTokenReused) for end in ends) == 1
    async with db.work(people.org_id) as work:
        said = await work.fetchval(
            "select count(*) from journal where kind = 'session.ended' and entity_id = $1", first.session_id
        )
    assert said == 1


async def test_an_unused_token_expires(db: Database, people: People) -> None:
    """A phone lost in a cellar must not open anything next year."""
    clock = ManualClock(START)
    issuer = make_issuer(clock)
    first = await signed_in(db, people, issuer)
    clock.advance(REFRESH_LIFETIME - timedelta(seconds=1))
    second = await refresh(db, issuer, first)
    clock.advance(REFRESH_LIFETIME)
    with pytest.raises(RefreshTokenInvalid):
        await refresh(db, issuer, second)


async def test_ended_sessions_and_deactivated_users_do_not_refresh(db: Database) -> None:
    """Signing out, or being shut out, must outlast the access token."""
    people, issuer = await make_people(db), make_issuer()
    mine, other = await signed_in(db, people, issuer), await signed_in(db, people, issuer)
    way = SignIn(db, issuer)
    await way.logout(await sessions.authenticate(db, issuer, mine.access_token))
    with pytest.raises(RefreshTokenInvalid):
        await refresh(db, issuer, mine)
    await refresh(db, issuer, other)
    async with db.work(people.org_id) as work:
        await users.deactivate(work, people.ids[Role.ENGINEER])
    with pytest.raises(RefreshTokenInvalid):
        await refresh(db, issuer, other)


async def test_a_token_is_of_no_use_elsewhere(db: Database, people: People) -> None:
    """The organisation in the token is only an address: with another's the secret must not be found."""
    issuer = make_issuer()
    tokens = await signed_in(db, people, issuer)
    other = await signed_in(db, await make_people(db), issuer)
    mixed = f"{other.refresh_token.split('.')[0]}.{tokens.refresh_token.split('.')[1]}"
    for text in (mixed, f"{'A' * 22}.{'B' * 43}"):
        with pytest.raises(RefreshTokenInvalid):
            await SignIn(db, issuer).refresh(refresh_token=text, address=None)
    # An access token that names another organisation finds no session there.
    foreign = issuer.issue(org_id=new_id(), user_id=people.ids[Role.ENGINEER], session_id=tokens.session_id)
    with pytest.raises(NotAuthenticated):
        await sessions.authenticate(db, issuer, foreign.token)
    await refresh(db, issuer, tokens)


async def test_refreshing_is_limited(db: Database, people: People) -> None:
    """A broken app that refreshes in a loop must not keep the database busy."""
    issuer = make_issuer()
    way = SignIn(db, issuer, limits=Limits(refresh_address=Limit(2, 60)))
    for _ in range(2):
        with pytest.raises(RefreshTokenInvalid):
            await way.refresh(refresh_token=f"{'A' * 22}.{'C' * 43}", address="192.0.2.60")
    with pytest.raises(TooManyAttempts) as caught:
        await way.refresh(refresh_token=f"{'A' * 22}.{'D' * 43}", address="192.0.2.60")
    assert caught.value.details["limit"] == 2


async def test_sweeping_forgets_only_the_dead(db: Database) -> None:
    """Swept too early, a spent token's reuse would pass unnoticed; never swept, the tables grow for ever."""
    people, clock = await make_people(db), ManualClock(START)
    issuer = make_issuer(clock)
    first = await signed_in(db, people, issuer)
    second = await refresh(db, issuer, first)
    async with db.work(people.org_id) as work:
        assert await sessions.sweep(work, clock.now() + REFRESH_LIFETIME) == 0
        assert await sessions.sweep(work, clock.now() + REFRESH_LIFETIME + timedelta(seconds=1)) == 2
    with pytest.raises(RefreshTokenInvalid):
        await refresh(db, issuer, second)
    async with db.work(people.org_id) as work:
        later = clock.now() + sessions.SESSION_LIFETIME + sessions.KEEP_ENDED + timedelta(seconds=1)
        assert await sessions.sweep(work, later) == 1
