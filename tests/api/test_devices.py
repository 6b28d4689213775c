"""Devices: a code enrols one phone once, and a revoked phone writes nothing more, not even with a push under way."""

import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import pytest
from people_world import START, People, make_issuer, make_people

from callout_backend.embedded import Urls
from callout_people import sessions, users
from callout_people.principals import Role
from callout_people.sign_in import SignIn
from callout_people.tokens import TokenIssuer
from callout_store.clock import ManualClock
from callout_store.errors import (
    BadField,
    DeviceRevoked,
    EnrolmentCodeInvalid,
    LimitExceeded,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    WrongState,
)
from callout_store.ids import new_id
from callout_store.work import Database
from callout_sync import devices
from callout_sync.devices import ALPHABET, CODE_CHARS, CODE_LIFETIME, OPEN_CODES_MAX, Enrolled


@pytest.fixture(scope="module")
async def people(db: Database) -> People:
    return await make_people(db)


async def make_code(db: Database, people: People, issuer: TokenIssuer, *, by: Role = Role.DISPATCHER) -> str:
    async with db.work(people.org_id, actor=people.actor(by)) as work:
        made = await devices.create_enrolment_code(work, people.ids[Role.ENGINEER], now=issuer.now())
    return made.code


async def enrol(db: Database, org_id: UUID, issuer: TokenIssuer, code: str) -> Enrolled:
    async with db.work(org_id) as work:
        return await devices.enrol(work, issuer, code, name="Pixel", platform="android 16", app_version="1.0")


async def enrolled(db: Database, people: People, issuer: TokenIssuer) -> Enrolled:
    return await enrol(db, people.org_id, issuer, await make_code(db, people, issuer))


async def test_a_code_makes_a_phone_that_works(db: Database, people: People) -> None:
    """An engineer on the first morning has nothing but this code."""
    issuer = make_issuer()
    done = await enrolled(db, people, issuer)
    who = await sessions.authenticate(db, issuer, done.tokens.access_token)
    assert (who.user_id, who.device_id, who.role) == (
        people.ids[Role.ENGINEER],
        done.device_id,
        Role.ENGINEER,
    )
    again = await SignIn(db, issuer).refresh(refresh_token=done.tokens.refresh_token, address=None)
    assert (await sessions.authenticate(db, issuer, again.access_token)).device_id == done.device_id
    async with db.work(people.org_id, actor=who.actor()) as work:
        await devices.check_for_push(work, done.device_id)
        state = await devices.device_state(work, done.device_id)
    assert (state.name, state.platform, state.revoked_at) == ("Pixel", "android 16", None)


async def test_of_twenty_phones_one_wins(db: Database, people: People) -> None:
    """A photographed QR picture must not enrol the photographer beside the engineer."""
    issuer = make_issuer()
    code = await make_code(db, people, issuer)
    ends = await asyncio.gather(
        *(enrol(db, people.org_id, issuer, code) for _ in range(20)), return_exceptions=True
    )
    assert sorted(type(end).__name__ for end in ends) == ["Enrolled"] + ["EnrolmentCodeInvalid"] * 19
    won = next(end for end in ends if isinstance(end, Enrolled))
    async with db.work(people.org_id) as work:
        used = await work.fetch("select device_id from enrolment_code where device_id = $1", won.device_id)
    assert len(used) == 1


async def test_codes_end(db: Database, people: People) -> None:
    """A code on a note under the keyboard must be worthless after the coffee."""
    clock = ManualClock(START)
    issuer = make_issuer(clock)
    early, late = await make_code(db, people, issuer), await make_code(db, people, issuer)
    clock.advance(CODE_LIFETIME - timedelta(seconds=1))
    await enrol(db, people.org_id, issuer, early)
    clock.advance(timedelta(seconds=1))
    with pytest.raises(EnrolmentCodeInvalid):
        await enrol(db, people.org_id, issuer, late)


async def test_codes_are_of_one_organisation(db: Database, people: People) -> None:
    """The code names a user; in another organisation it must name nobody."""
    issuer, other = make_issuer(), await make_people(db)
    code = await make_code(db, people, issuer)
    for org_id in (other.org_id, new_id()):
        with pytest.raises(EnrolmentCodeInvalid):
            await enrol(db, org_id, issuer, code)
    for wrong in ("", "AAAAAAAAAA", "\x00", "\ud800", "x" * 10_000):
        with pytest.raises(EnrolmentCodeInvalid):
            await enrol(db, people.org_id, issuer, wrong)
    # As someone types it: it was not used up by the failed tries.
    await enrol(db, people.org_id, issuer, f" {code[:5].lower()}-{code[5:].lower()} ")


async def test_a_bad_device_name_uses_no_code_up(db: Database, people: People) -> None:
    """The engineer would stand there with a spent code and no phone."""
    issuer = make_issuer()
    code = await make_code(db, people, issuer)
    async with db.work(people.org_id) as work:
        with pytest.raises(BadField) as caught:
            await devices.enrol(work, issuer, code, name="a\x00b")
    assert caught.value.path == "deviceName"
    await enrol(db, people.org_id, issuer, code)


async def test_codes_are_readable_hashed_and_few(db: Database) -> None:
    """O and 0 on a photo, a copy of the table, and a drawer full of open codes are three ways to lose."""
    people, issuer = await make_people(db), make_issuer()
    codes = [await make_code(db, people, issuer) for _ in range(OPEN_CODES_MAX)]
    assert all(len(code) == CODE_CHARS and set(code) <= set(ALPHABET) for code in codes)
    assert len(set(codes)) == OPEN_CODES_MAX
    assert not set("01IO") & set(ALPHABET)
    assert len(set(ALPHABET)) == 32
    with pytest.raises(LimitExceeded) as caught:
        await make_code(db, people, issuer)
    assert caught.value.details["limit"] == OPEN_CODES_MAX
    async with db.work(people.org_id) as work:
        rows = await work.fetch("select code_hash, created_by from enrolment_code")
    assert {row["created_by"] for row in rows} == {people.ids[Role.DISPATCHER]}
    assert not [row for row in rows if any(code.encode() in row["code_hash"] for code in codes)]


@pytest.mark.parametrize(
    ("maker", "target"),
    (
        (Role.DISPATCHER, Role.ADMIN),  # a dispatcher would be admin a minute later
        (Role.DISPATCHER, Role.DISPATCHER),
        (Role.SUPERVISOR, Role.ENGINEER),
        (Role.ENGINEER, Role.ENGINEER),
        (Role.ADMIN, Role.CUSTOMER_CONTACT),  # customers sign by link
        (Role.CUSTOMER_CONTACT, Role.CUSTOMER_CONTACT),
    ),
)
async def test_nobody_makes_codes_beyond_their_role(
    db: Database, people: People, maker: Role, target: Role
) -> None:
    """A code signs in as its user: making one is becoming them."""
    async with db.work(people.org_id, actor=people.actor(maker)) as work:
        with pytest.raises(NotAllowed):
            await devices.create_enrolment_code(work, people.ids[target])


async def test_codes_need_an_active_user(db: Database) -> None:
    """Neither a code for someone who left, nor a code made before they left, may open the door again."""
    people, issuer = await make_people(db), make_issuer()
    code = await make_code(db, people, issuer)
    async with db.work(people.org_id) as work:
        await users.deactivate(work, people.ids[Role.ENGINEER])
    with pytest.raises(EnrolmentCodeInvalid):
        await enrol(db, people.org_id, issuer, code)
    with pytest.raises(WrongState):
        await make_code(db, people, issuer)
    async with db.work(people.org_id) as work:
        with pytest.raises(NotFound):
            await devices.create_enrolment_code(work, new_id())


async def test_a_revoked_phone_is_out_everywhere(db: Database, people: People) -> None:
    """A stolen phone: access token, refresh token and pushes end at once; the engineer's other phone works on."""
    issuer = make_issuer()
    stolen, kept = await enrolled(db, people, issuer), await enrolled(db, people, issuer)
    async with db.work(people.org_id, actor=people.actor(Role.DISPATCHER)) as work:
        assert await devices.revoke(work, stolen.device_id, "stolen on the tram")
        assert not await devices.revoke(work, stolen.device_id, "again")
    with pytest.raises(DeviceRevoked):
        await sessions.authenticate(db, issuer, stolen.tokens.access_token)
    with pytest.raises(DeviceRevoked):
        await SignIn(db, issuer).refresh(refresh_token=stolen.tokens.refresh_token, address=None)
    async with db.work(people.org_id) as work:
        with pytest.raises(DeviceRevoked):
            await devices.check_for_push(work, stolen.device_id)
        state = await devices.device_state(work, stolen.device_id)
        said = await work.fetchrow(
            "select actor_id, data->>'reason' as reason from journal where kind = 'device.revoked' and entity_id = $1",
            stolen.device_id,
        )
    assert state.revoked_reason == "stolen on the tram"
    assert said is not None
    assert tuple(said) == (people.ids[Role.DISPATCHER], "stolen on the tram")
    await sessions.authenticate(db, issuer, kept.tokens.access_token)


async def test_revocation_and_a_running_push_exclude_each_other(
    db: Database, database_urls: Urls, people: People
) -> None:
    """What a thief sends after the dispatcher's click must not be stored, and what was under way is stored whole."""
    done = await enrolled(db, people, make_issuer())
    checked, commit = asyncio.Event(), asyncio.Event()
    order: list[str] = []

    async def push() -> None:
        async with db.work(people.org_id) as work:
            await devices.check_for_push(work, done.device_id)
            checked.set()
            await commit.wait()
            order.append("push commits")

    async def revoke() -> None:
        async with db.work(people.org_id) as work:
            await devices.revoke(work, done.device_id, "lost")
            order.append("revoked")

    pushing = asyncio.create_task(push())
    await checked.wait()
    revoking = asyncio.create_task(revoke())
    admin = await asyncpg.connect(database_urls.admin)
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    try:
        # Until PostgreSQL itself says that the revocation waits for the push's lock.
        async with asyncio.timeout(30):
            while not await admin.fetchval(waiting):  # noqa: ASYNC110 -- PostgreSQL has no event for it
                await asyncio.sleep(0.01)
    finally:
        commit.set()
        await admin.close()
    await asyncio.gather(pushing, revoking)
    assert order == ["push commits", "revoked"]
    async with db.work(people.org_id) as work:
        with pytest.raises(DeviceRevoked):
            await devices.check_for_push(work, done.device_id)


async def test_a_push_is_refused_to_deactivated_and_unknown(db: Database) -> None:
    """Dismissal takes effect in the running push as well; an id of nowhere is nobody's phone."""
    people = await make_people(db)
    done = await enrolled(db, people, make_issuer())
    async with db.work(people.org_id) as work:
        await users.deactivate(work, people.ids[Role.ENGINEER])
    for device_id in (done.device_id, new_id()):
        async with db.work(people.org_id) as work:
            with pytest.raises(NotAuthenticated):
                await devices.check_for_push(work, device_id)


async def test_other_organisations_devices_are_not_there(db: Database, people: People) -> None:
    """Revoking, reading or pushing with another organisation's device id must look like a device that never was."""
    done, other = await enrolled(db, people, make_issuer()), await make_people(db)
    async with db.work(other.org_id) as work:
        for act in (
            devices.revoke(work, done.device_id, "mine now"),
            devices.device_state(work, done.device_id),
        ):
            with pytest.raises(NotFound):
                await act
        assert await devices.devices_by_ids(work, [done.device_id]) == [None]
    async with db.work(people.org_id) as work:
        assert (await devices.device_state(work, done.device_id)).revoked_at is None


async def test_pages_hold_every_device_once(db: Database) -> None:
    """A dispatcher who looks for the lost phone must find it on some page, and each only once."""
    people, issuer = await make_people(db), make_issuer()
    made = [(await enrolled(db, people, issuer)).device_id for _ in range(5)]
    async with db.work(people.org_id) as work:
        await devices.revoke(work, made[2], "lost")
        seen, after = [], None
        while True:
            page = await devices.devices_page(work, limit=2, after=after)
            seen += [device.id for device in page.items]
            if not page.has_more:
                break
            after = page.end_cursor
        assert seen == sorted(made, reverse=True)
        assert [d.id for d in (await devices.devices_page(work, revoked=True)).items] == [made[2]]
        assert (
            len((await devices.devices_page(work, user_id=people.ids[Role.ENGINEER], revoked=False)).items)
            == 4
        )
        assert (await devices.devices_page(work, user_id=people.ids[Role.ADMIN])).items == []
        with pytest.raises(BadField):
            await devices.devices_page(work, after="x")
        with pytest.raises(LimitExceeded):
            await devices.devices_page(work, limit=201)


def test_the_qr_payload_can_be_taken_apart() -> None:
    """A server address with a query or a blank would otherwise cut the code off."""
    org_id = new_id()
    payload = devices.enrolment_payload(
        server="https://x.example/a?b=c&code=d", org_id=org_id, code="ABCDEFGHJK"
    )
    parts = urlsplit(payload)
    assert (parts.scheme, parts.netloc) == ("callout", "enrol")
    assert parse_qs(parts.query) == {
        "server": ["https://x.example/a?b=c&code=d"],
        "org": [str(org_id)],
        "code": ["ABCDEFGHJK"],
    }
    picture = devices.qr_svg(payload)
    assert picture.startswith("<svg")
    assert picture.endswith("</svg>")
    assert "ABCDEFGHJK" not in picture
