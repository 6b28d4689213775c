"""The reference phone against a scripted server: what it must never lose, never send twice as new, and when it starts
again."""

import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from callout_client import (
    DeviceClock,
    DeviceShutOut,
    Faults,
    FaultyTransport,
    NetworkLost,
    Phone,
    Refused,
    Store,
    uuid7,
)
from callout_client.store import PageItem
from callout_client.transport import Answered
from callout_contracts.commands import Command, Location

VISIT = "01900000-0000-7000-8000-000000000001"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EPOCH = "01900000-0000-7000-8000-0000000000ee"


class Server:
    """Answers pushes and pulls as the real one would; `faults` are raised or returned first, in their order."""

    def __init__(self) -> None:
        self.faults: list[Exception | tuple[int, dict[str, Any]]] = []
        self.seen: dict[str, bytes] = {}
        self.applied: list[str] = []
        self.pages: list[dict[str, Any]] = []
        self.cursors: list[str | None] = []
        self.batches: list[list[dict[str, Any]]] = []
        self.refreshed = 0
        self.answer: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda command: None

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        status, told = self._answer(path, body, headers)
        return status, {}, msgspec.json.encode(told)

    def _answer(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Exception):
                raise fault
            return fault
        asked = msgspec.json.decode(body)
        if path == "/auth/enrol":
            return 200, {"deviceId": "d1", "accessToken": "a0", "refreshToken": "r0"}
        if path == "/auth/refresh":
            assert asked["refreshToken"] == f"r{self.refreshed}"
            self.refreshed += 1
            fresh = {"accessToken": f"a{self.refreshed}", "refreshToken": f"r{self.refreshed}"}
            return 200, fresh
        assert headers["Authorization"] == f"Bearer a{self.refreshed}"
        data = self._push(asked) if "push" in asked["query"] else self._pull(asked)
        return 200, {"data": data}

    def _push(self, asked: dict[str, Any]) -> dict[str, Any]:
        answers = []
        self.batches.append(asked["variables"]["input"]["commands"])
        for index, command in enumerate(self.batches[-1]):
            body = msgspec.json.encode(command)
            known = self.seen.get(command["id"])
            told = self.answer(command) if known is None else None
            if told is not None:
                answers.append({"index": index, "id": command["id"], **told})
                continue
            if known is not None:
                same = {"status": "duplicate", "firstStatus": "applied"}
                answers.append(
                    {"index": index, "id": command["id"]}
                    | (same if known == body else {"status": "refused", "code": "COMMAND_ID_REUSED"})
                )
                continue
            self.seen[command["id"]] = body
            self.applied.append(command["id"])
            answers.append({"index": index, "id": command["id"], "status": "applied"})
        return {"push": {"answers": answers}}

    def _pull(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.cursors.append(asked["variables"]["cursor"])
        page = self.pages.pop(0) if self.pages else {"documents": [], "more": False, "cursor": "end"}
        return {"pull": {"epoch": EPOCH, "total": None, "serverTime": NOW, **page}}


def refusal(code: str, *, retryable: bool = False, **more: Any) -> tuple[int, dict[str, Any]]:
    """A GraphQL answer that refuses the whole request."""
    return 200, {"errors": [{"message": code, "extensions": {"code": code, "retryable": retryable, **more}}]}


def visit(id_: str, state: str = "dispatched") -> dict[str, Any]:
    """A page item."""
    doc = {"id": id_, "state": state, "scheduledStart": NOW.isoformat()}
    return {"entity": "visit", "id": id_, "op": "upsert", "doc": doc}


class Bench:
    """A phone on a scripted server; `slept` are the waits that it asked for."""

    def __init__(self, store: Store | None = None, **options: Any) -> None:
        self.server = Server()
        self.store = store or Store()
        self.store.set_marks(access="a0", refresh="r0")
        self.slept: list[float] = []
        self.clock = DeviceClock(truth=lambda: NOW)

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        options = {"rng": random.Random(1), "sleep": sleep, **options}
        self.phone = Phone(self.server, self.store, self.clock, **options)

    def note(self, text: str = "x") -> str:
        return str(self.phone.record("visit.note", VISIT, {"text": text}))


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_what_is_recorded_is_a_command_of_the_contract(bench: Bench) -> None:
    """A reference phone that writes what the contract refuses would teach every client author the mistake."""
    where = Location(lat=37.7, lng=-122.4, accuracy_m=8.0, provider="gps")
    bench.phone.record("visit.arrive", VISIT, location=where, duration_s=12.0)
    bench.note()
    first, second = (msgspec.json.decode(body, type=Command) for _, body in bench.store.pending())
    assert first.location == where
    assert (first.sequence, second.sequence) == (1, 2)
    assert first.id.version == 7
    assert first.device_time == NOW


async def test_commands_go_oldest_first_in_batches_and_leave_the_queue_when_answered() -> None:
    """A queue that stalls or sends out of order shows a visit completed before it was begun."""
    bench = Bench(batch_commands=3)
    ids = [bench.note(str(n)) for n in range(7)]
    answers = await bench.phone.push()
    assert [len(batch) for batch in bench.server.batches] == [3, 3, 1]
    assert bench.server.applied == ids
    assert [answer.status for answer in answers] == ["applied"] * 7
    assert bench.store.pending() == []


async def test_a_lost_answer_is_a_replay_and_not_a_second_command(bench: Bench) -> None:
    """A part would be booked out of the van twice."""
    id_ = bench.note()
    inner = bench.server.request
    losses = iter([True, False])

    class LosesAnswers:
        async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answered:
            answer = await inner(method, path, body, headers)
            if next(losses):
                raise NetworkLost("answer lost")
            return answer

    bench.phone.wire.transport = LosesAnswers()
    (answer,) = await bench.phone.push()
    assert answer.status == "duplicate"
    assert answer.first_status == "applied"
    assert bench.server.applied == [id_]
    assert bench.store.pending() == []


@pytest.mark.parametrize("status", ("applied", "conflict", "quarantined"))
async def test_every_stored_answer_ends_the_wait(bench: Bench, status: str) -> None:
    """One bad command at the head of the queue would keep all later work on the phone for ever."""
    bench.note("first")
    bench.note("second")
    bench.server.answer = lambda command: (
        {"status": status, "code": "PAYLOAD_INVALID"} if command["payload"]["text"] == "first" else None
    )
    await bench.phone.push()
    assert bench.store.pending() == []
    assert bench.store.rejected() == []


async def test_a_reused_id_is_put_aside_where_a_person_finds_it(bench: Bench) -> None:
    """Dropped silently it would be lost work; left in the queue it would be refused for ever."""
    bench.note("good")
    bench.server.answer = lambda command: {"status": "refused", "code": "COMMAND_ID_REUSED"}
    await bench.phone.push()
    assert bench.store.pending() == []
    assert [answer.code for answer in bench.store.rejected()] == ["COMMAND_ID_REUSED"]


async def test_try_again_stays_and_is_sent_again(bench: Bench) -> None:
    """The server stored nothing of it: taking it out of the queue would lose it."""
    bench.note("a")
    bench.note("b")
    tries = {"b": 2}

    def answer(command: dict[str, Any]) -> dict[str, Any] | None:
        text = command["payload"]["text"]
        if tries.get(text):
            tries[text] -= 1
            return {"status": "refused", "code": "TRY_AGAIN"}
        return None

    bench.server.answer = answer
    answers = await bench.phone.push()
    assert [answer.status for answer in answers] == ["applied", "applied"]
    assert bench.store.pending() == []
    assert bench.slept, "a batch of nothing but TRY_AGAIN is not hammered"


async def test_a_server_that_never_settles_anything_is_not_hammered() -> None:
    """A code that this app does not know yet would make it send the same batch as fast as it can, for ever."""
    bench = Bench(attempts_max=4)
    bench.note()
    bench.server.answer = lambda command: {"status": "refused", "code": "A_LATER_CODE"}
    with pytest.raises(Refused, match="A_LATER_CODE"):
        await bench.phone.push()
    assert len(bench.server.batches) == 4
    assert len(bench.slept) == 3
    assert len(bench.store.pending()) == 1


async def test_backoff_grows_is_jittered_and_heeds_the_server(bench: Bench) -> None:
    """A thousand phones that come back in step after an outage are the next outage."""
    bench.note()
    bench.server.faults = [NetworkLost("")] * 6 + [refusal("BUSY", retryable=True, retryAfterMs=45_000)]
    await bench.phone.push()
    assert len(bench.slept) == 7
    for attempt, waited in enumerate(bench.slept[:6]):
        assert 0 <= waited <= 0.5 * 2**attempt
    assert len({round(waited / 2**n, 6) for n, waited in enumerate(bench.slept[:6])}) == 6
    assert bench.slept[6] >= 45


async def test_a_refusal_that_is_final_is_told_and_keeps_the_work(bench: Bench) -> None:
    """A revoked phone still holds the only copy of an afternoon's work."""
    bench.note()
    bench.server.faults = [refusal("DEVICE_REVOKED")]
    with pytest.raises(DeviceShutOut):
        await bench.phone.push()
    assert len(bench.store.pending()) == 1
    assert bench.slept == []


async def test_network_that_stays_away_is_told_after_the_last_attempt() -> None:
    """An app that tries for ever shows a spinner and never says why."""
    bench = Bench(attempts_max=3)
    bench.note()
    bench.server.faults = [NetworkLost("")] * 3
    with pytest.raises(NetworkLost):
        await bench.phone.push()
    assert len(bench.slept) == 2
    assert len(bench.store.pending()) == 1


async def test_an_access_token_that_ran_out_is_refreshed_once(bench: Bench) -> None:
    """Engineers would have to enrol again every fifteen minutes."""
    bench.note()
    bench.server.faults = [refusal("NOT_AUTHENTICATED")]
    await bench.phone.push()
    assert bench.server.refreshed == 1
    assert bench.store.mark("refresh") == "r1"
    assert bench.store.pending() == []


async def test_a_second_refusal_after_a_refresh_is_final(bench: Bench) -> None:
    """A phone whose fresh token is refused too would refresh in a circle."""
    bench.server.faults = [refusal("NOT_AUTHENTICATED")]
    real = bench.server.request

    async def request(method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        answer = await real(method, path, body, headers)
        if path == "/auth/refresh":
            bench.server.faults = [refusal("NOT_AUTHENTICATED")]
        return answer

    bench.server.request = request  # type: ignore[method-assign]
    with pytest.raises(Refused, match="NOT_AUTHENTICATED"):
        await bench.phone.pull()
    assert bench.server.refreshed == 1


async def test_a_pull_takes_all_pages_and_moves_the_cursor(bench: Bench) -> None:
    """A phone that stops after the first page works all day on half its visits."""
    bench.server.pages = [
        {"documents": [visit("a"), visit("b")], "more": True, "cursor": "c1"},
        {
            "documents": [visit("c"), {"entity": "visit", "id": "a", "op": "delete"}],
            "more": False,
            "cursor": "c2",
        },
    ]
    assert await bench.phone.pull() == 4
    assert bench.server.cursors == [None, "c1"]
    assert bench.store.mark("cursor") == "c2"
    assert [id_ for _, id_, _ in bench.store.documents("visit")] == ["b", "c"]


async def test_page_and_cursor_are_one_transaction(bench: Bench) -> None:
    """With the cursor ahead of its rows, a crash between the two loses those rows for ever."""
    bench.server.pages = [{"documents": [visit("a")], "more": False, "cursor": "c1"}]
    await bench.phone.pull()

    class Broken(Exception):
        pass

    def items() -> Iterator[PageItem]:
        yield PageItem("visit", "a", "delete")
        raise Broken

    with pytest.raises(Broken):
        bench.store.apply_page(items(), cursor="c9", epoch=EPOCH, last=True)
    assert bench.store.mark("cursor") == "c1"
    assert [id_ for _, id_, _ in bench.store.documents("visit")] == ["a"]


@pytest.mark.parametrize("code", ("RESYNC_REQUIRED", "CURSOR_INVALID", "CURSOR_OF_ANOTHER_DEVICE"))
async def test_a_resync_starts_again_keeps_work_and_drops_what_is_gone(bench: Bench, code: str) -> None:
    """After a restore, ghosts would stay on the phone; or worse, unsent work would go with the old copy."""
    bench.server.pages = [{"documents": [visit("gone"), visit("kept")], "more": False, "cursor": "old"}]
    await bench.phone.pull()
    id_ = bench.note()
    bench.server.faults = [refusal(code)]
    bench.server.pages = [
        {"documents": [visit("kept", "accepted")], "more": True, "cursor": "n1"},
        {"documents": [visit("new")], "more": False, "cursor": "n2"},
    ]
    await bench.phone.pull()
    assert bench.server.cursors == [None, None, "n1"]
    assert [id_ for _, id_, _ in bench.store.documents("visit")] == ["kept", "new"]
    await bench.phone.push()
    assert bench.server.applied == [id_]


async def test_during_a_resync_the_old_copy_stays_until_the_last_page() -> None:
    """An engineer in the field would stare at an empty list for the length of the resync."""
    bench = Bench(attempts_max=1)
    bench.server.pages = [{"documents": [visit("a"), visit("b")], "more": False, "cursor": "old"}]
    await bench.phone.pull()
    bench.store.start_again()
    bench.server.pages = [{"documents": [visit("b")], "more": True, "cursor": "n1"}]
    inner = bench.server.request
    calls = iter([False, True])

    async def request(method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        if next(calls, False):
            raise NetworkLost("mid-way")
        return await inner(method, path, body, headers)

    bench.server.request = request  # type: ignore[method-assign]
    with pytest.raises(NetworkLost):
        await bench.phone.pull()
    assert [id_ for _, id_, _ in bench.store.documents("visit")] == ["a", "b"]
    await bench.phone.pull()
    assert [id_ for _, id_, _ in bench.store.documents("visit")] == ["b"]


async def test_the_screen_shows_work_until_a_pull_has_brought_it_back(bench: Bench) -> None:
    """A visit that springs back to "dispatched" between push and pull makes the engineer report it twice."""
    bench.server.pages = [{"documents": [visit(VISIT)], "more": False, "cursor": "c1"}]
    await bench.phone.pull()
    bench.phone.record("visit.accept", VISIT)
    assert bench.store.visits()[0]["state"] == "accepted"
    await bench.phone.push()
    assert bench.store.visits()[0]["state"] == "accepted"
    bench.server.pages = [{"documents": [visit(VISIT, "canceled")], "more": False, "cursor": "c2"}]
    await bench.phone.pull()
    assert bench.store.visits()[0]["state"] == "canceled"


async def test_the_queue_survives_the_app_being_killed(tmp_path: Path) -> None:
    """The phone's battery dies in the basement; the work must be there when it is charged."""
    bench = Bench(Store(tmp_path / "phone.db"))
    first = bench.note("before")
    bench.store.close()
    again = Bench(Store(tmp_path / "phone.db"), rng=random.Random(2))
    second = again.note("after")
    await again.phone.push()
    assert again.server.applied == [first, second]
    assert [command["sequence"] for command in again.server.batches[0]] == [1, 2]


async def test_enrolment_keeps_the_tokens(bench: Bench) -> None:
    """Without them on the phone the one-time code is used up for nothing."""
    assert await bench.phone.enrol(organisation="gg", code="ABC", name="Phone") == "d1"
    assert (bench.store.mark("device"), bench.store.mark("refresh")) == ("d1", "r0")


def test_the_device_clock_is_wrong_and_its_monotonic_time_is_not() -> None:
    """The correction rests on the monotonic clock not moving with the wall clock."""
    at = [NOW]
    clock = DeviceClock(skew=timedelta(days=-730), truth=lambda: at[0], boot_id="b1")
    at[0] += timedelta(seconds=90)
    assert clock.wall() == NOW + timedelta(seconds=90) - timedelta(days=730)
    assert clock.monotonic_ms() == 90_000
    clock.skew = timedelta(0)
    assert clock.monotonic_ms() == 90_000
    clock.reboot()
    assert clock.boot_id != "b1"
    assert clock.monotonic_ms() == 0


def test_ids_are_uuid7_and_sort_by_the_phones_time() -> None:
    """The server's keys stay dense only if ids carry their time in front."""
    rng = random.Random(3)
    ids = [uuid7(NOW + timedelta(milliseconds=n), rng) for n in range(50)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 50
    for id_ in ids:
        assert UUID(str(id_)).version == 7
        assert id_.variant == "specified in RFC 4122"
    assert ids[0].int >> 80 == int(NOW.timestamp() * 1000)


class Recorder:
    """Counts what arrives."""

    def __init__(self) -> None:
        self.arrived: list[bytes] = []

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        self.arrived.append(body)
        return 200, {}, body


@pytest.mark.parametrize(
    ("faults", "arrives", "answered"),
    (
        (Faults(), 1, True),
        (Faults(lost_before=1.0), 0, False),
        (Faults(lost_answer=1.0), 1, False),
        (Faults(repeated=1.0), 2, True),
        (Faults(held=1.0), 0, False),
    ),
)
async def test_each_fault_does_what_it_says(faults: Faults, arrives: int, answered: bool) -> None:
    """A simulator whose faults do not happen proves nothing."""
    wire = Recorder()
    network = FaultyTransport(wire, faults, rng=random.Random(1))
    if answered:
        assert (await network.request("POST", "/graphql", b"x", {}))[2] == b"x"
    else:
        with pytest.raises(NetworkLost):
            await network.request("POST", "/graphql", b"x", {})
    assert len(wire.arrived) == arrives


async def test_held_requests_arrive_late_and_in_another_order() -> None:
    """Without reordering, a server that trusts the order of batches would pass every simulation."""
    wire = Recorder()
    network = FaultyTransport(wire, Faults(held=1.0), rng=random.Random(1))
    for body in (b"1", b"2"):
        with pytest.raises(NetworkLost):
            await network.request("POST", "/graphql", body, {})
    network.faults = Faults()
    await network.request("POST", "/graphql", b"3", {})
    await network.flush()
    assert wire.arrived == [b"3", b"2", b"1"]


async def test_offline_nothing_passes() -> None:
    """An offline phone whose requests get through is no test of offline work."""
    wire = Recorder()
    network = FaultyTransport(wire, rng=random.Random(1))
    network.online = False
    with pytest.raises(NetworkLost):
        await network.request("POST", "/graphql", b"x", {})
    assert wire.arrived == []
