"""One engineer's day on the reference phone: real requests with a network, a growing queue without."""

import contextlib
import io
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from PIL import Image

from callout_backend.demo.copies import Held
from callout_backend.demo.fast import Truth, until
from callout_backend.demo.names import ACCESS_NOTES, FINDINGS, NOTES, OBJECTIONS, RESOLUTIONS
from callout_backend.demo.noise import scribble, shifted
from callout_backend.demo.trail import Trail
from callout_backend.demo.world import Seat
from callout_client import DeviceClock, Faults, FaultyTransport, NetworkLost, Phone, Store, Transport
from callout_contracts.commands import Answer, Location
from callout_geo.points import Point
from callout_store.clock import FastClock

DAY_FAULTS: Final = Faults(
    lost_before=0.03, lost_answer=0.05, repeated=0.05, held=0.04, cut=0.05, delay_s_max=0.03
)
STORM_FAULTS: Final = Faults(
    lost_before=0.08, lost_answer=0.15, repeated=0.15, held=0.15, cut=0.05, delay_s_max=0.05
)
WATCHED: Final = 0.7
"""Ways on which the phone tells where it is while it is under way; of the others it tells afterwards."""
BATCH_COMMANDS: Final = 20
"""Small, so that a day's queue goes in several batches, which the network can put in another order."""
OPEN_STATES: Final = ("dispatched", "accepted", "travelling", "in_progress")
_encode = msgspec.json.Encoder().encode


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A command that a phone ever made, and when in truth. `twin`: it wrongly carries another one's id and must be
    refused."""

    id: str
    kind: str
    at: datetime
    twin: bool = False


class Crew:
    """What the phones of one day share: ids heard elsewhere, and whom to send a sign-off link."""

    def __init__(self, clock: FastClock, ends_at: datetime, foreign_visits: list[str]) -> None:
        self.clock, self.starts_at, self.ends_at = clock, clock.start, ends_at
        self.foreign_visits = foreign_visits
        self.link_wanted: list[str] = []
        """Visits that were completed and whose customers sign by link; the office empties this list."""
        self.on_the_way: list[str] = []
        """Visits whose engineers just told that they are under way; the office empties this one too."""


class EngineerDay:
    """Plays one engineer. `made` is the ledger that the comparison asks for at the end."""

    def __init__(
        self,
        seat: Seat,
        crew: Crew,
        wire: Transport,
        *,
        skew: timedelta,
        seed: str,
        parts: list[tuple[str, str]],
    ) -> None:
        self.seat, self.crew = seat, crew
        self.rng = random.Random(seed)
        # Pieces of photos are lost and cut, not held back: in a fast day a wait doubled ten times is an evening.
        self.network = FaultyTransport(
            wire, rng=random.Random(seed + ":network"), may_repeat=lambda path: path == "/graphql"
        )
        self.truth = Truth(crew.clock)
        self.phone = Phone(
            self.network,
            Store(),
            DeviceClock(skew=skew, truth=self.truth, boot_id=f"{seat.id}-1"),
            rng=random.Random(seed + ":phone"),
            backoff_s=0.02,
            batch_commands=BATCH_COMMANDS,
            attempts_max=20,
        )
        self.phone.heard = self._heard
        self.made: list[Made] = []
        self.answers: Counter[str] = Counter()
        self.offline = self._offline_windows()
        self._parts = [id_ for id_, skill in parts if skill in seat.skills]
        self._accepted: set[str] = set()
        self._links: dict[str, str] = {}
        self._where = seat.home
        self.trail = Trail(self.phone, seed=seed + ":trail")
        self.pulled = 0

    def held(self) -> Held:
        """The phone's copy, to be compared."""
        store = self.phone.store
        return Held(
            engineer_id=self.seat.id, device_id=UUID(store.mark("device")), documents=store.documents()
        )

    # ------------------------------------------------------------------------------------------- the day

    async def enrol(self, organisation: str, code: str) -> None:
        """The morning at the depot: a new phone, and everything for the day on it."""
        await self.phone.enrol(organisation=organisation, code=code, name=f"Phone of {self.seat.name}"[:80])
        self.pulled += await self.phone.pull()

    async def work(self) -> None:
        """From the first visit to the last, or to the end of the shift."""
        self.network.faults = DAY_FAULTS
        starts, ends = self.seat.shift
        # At breakfast: the promise to respond runs since the order came in, whenever the shift begins.
        at = self.crew.starts_at + timedelta(minutes=self.rng.uniform(0, 12))
        await until(self.crew.clock, at)
        self._accept_all(at)
        await self._sync()
        at = starts
        while at < ends:
            self._accept_all(at)
            await self._sync()
            waiting = [visit for visit in self.phone.store.visits() if visit["state"] in OPEN_STATES]
            if not waiting:
                # Nothing to do: look again in half an hour, something may be given to this engineer.
                at = max(at, self.crew.clock.now()) + timedelta(minutes=30)
                await until(self.crew.clock, at)
                continue
            at = await self._visit(waiting[0], at)
            if self.rng.random() < 0.12:
                self._mischief(at)
            if self.rng.random() < 0.03:
                self.phone.clock.reboot()

    def _accept_all(self, at: datetime) -> None:
        for visit in self.phone.store.visits():
            if visit["state"] == "dispatched" and visit["id"] not in self._accepted:
                self._accepted.add(visit["id"])
                self._do(at, "visit.accept", visit["id"], where=self._where)

    async def come_back(self) -> None:
        """The evening: online again, on a bad network, until the queue is empty and everything was pulled."""
        self.network.online, self.network.faults = True, STORM_FAULTS
        while True:
            with contextlib.suppress(NetworkLost):
                await self._push_and_pull()
                if not self.phone.store.pending() and not self.phone.store.pictures.pending():
                    return

    async def settle(self) -> None:
        """On a good network: what was held up arrives after all, then pull until there is nothing new."""
        self.network.faults = Faults()
        await self.network.flush()
        while count := await self.phone.pull():
            self.pulled += count

    async def _sync(self) -> None:
        self.network.online = self.has_network()
        if self.network.online and self.rng.random() < 0.7:
            with contextlib.suppress(NetworkLost):
                await self._push_and_pull()

    def has_network(self) -> bool:
        """Whether the phone is within reach now."""
        now = self.crew.clock.now()
        return not any(start <= now < end for start, end in self.offline)

    async def _push_and_pull(self) -> None:
        await self.phone.push()
        self.pulled += await self.phone.pull()
        await self.phone.upload()
        await self.trail.tell()

    def _heard(self, answers: list[Answer]) -> None:
        for answer in answers:
            self.answers[answer.status] += 1
            visit_id = self._links.pop(str(answer.id), None)
            settled = answer.first_status or answer.status
            if visit_id is not None and settled == "applied":
                self.crew.link_wanted.append(visit_id)

    # ------------------------------------------------------------------------------------------- a visit

    async def _visit(self, visit: dict[str, Any], at: datetime) -> datetime:
        """Do one visit in planned steps; the moment it ended."""
        rng, clock = self.rng, self.crew.clock
        order = self.phone.store.get("work_order", visit["orderId"]) or {}
        site = self.phone.store.get("site", str(order.get("siteId"))) or {}
        there = Point(site.get("lat") or self._where.lat, site.get("lng") or self._where.lng)
        planned = datetime.fromisoformat(visit["scheduledStart"])
        way = self.trail.way(self._where, there, planned)
        at = max(at, clock.now() - timedelta(minutes=5), planned - way)

        async def step(kind: str, minutes: float, payload: dict[str, Any] | None = None, **more: Any) -> None:
            nonlocal at
            at += timedelta(minutes=minutes)
            await until(clock, at)
            self._do(at, kind, visit["id"], payload, **more)

        await step("visit.travel", 0, where=self._where)
        await self._under_way(visit["id"], there, at, way)
        away = rng.random() < 0.04
        await step("visit.arrive", way.total_seconds() / 60, where=self._elsewhere(there) if away else there)
        self._where = there
        await step("visit.diagnose", rng.uniform(2, 8), {"finding": rng.choice(FINDINGS)}, where=there)
        if rng.random() < 0.06:
            reason = rng.choice(("no_access", "part_missing", "customer_absent", "unsafe"))
            await step(
                "visit.could_not_complete", 3, {"reason": reason, "text": rng.choice(NOTES)}, where=there
            )
            await step("visit.leave", 2, where=there)
            return at
        minutes = int(order.get("durationMinutes") or 30) * rng.uniform(0.5, 0.9)
        if self._parts and rng.random() < 0.4:
            part = {"partId": rng.choice(self._parts), "quantity": rng.choice((1, 1, 1, 2))}
            await step("visit.replace_part", minutes * 0.5, part, where=there, duration_s=minutes * 30)
        if rng.random() < 0.35:
            at += timedelta(minutes=1)
            await until(clock, at)
            self._as_of(at, lambda: self._photo(visit["id"], there))
        if site.get("id") and rng.random() < 0.15:
            self._as_of(at, lambda: self._access_note(visit["id"], site["id"]))
        if rng.random() < 0.3:
            await step("visit.note", 1, {"text": rng.choice(NOTES)})
        by_phone = rng.random() < 0.55
        if by_phone:
            await step("visit.sign", minutes * 0.3, self._signature(order, site), where=there)
        await step("visit.complete", minutes * 0.2 + 1, {"resolution": rng.choice(RESOLUTIONS)}, where=there)
        if not by_phone and rng.random() < 0.6:
            self._links[self.made[-1].id] = visit["id"]
        await step("visit.leave", rng.uniform(1, 4), where=there)
        return at

    async def _under_way(self, visit_id: str, there: Point, left: datetime, way: timedelta) -> None:
        """Note the way, and perhaps tell of it half-way: then the customer may look where the engineer is."""
        here, half = self._where, left + way / 2
        middle = Point((here.lat + there.lat) / 2, (here.lng + there.lng) / 2)
        self.trail.drive(here, middle, left, half)
        if self.trail.rng.random() < WATCHED:
            await until(self.crew.clock, half)
            self.network.online = self.has_network()
            if self.network.online:
                with contextlib.suppress(NetworkLost):
                    await self.phone.push()
                    await self.trail.tell()
                    self.crew.on_the_way.append(visit_id)
        self.trail.drive(middle, there, half, left + way)

    def _do(
        self,
        at: datetime,
        kind: str,
        visit_id: str,
        payload: dict[str, Any] | None = None,
        *,
        where: Point | None = None,
        duration_s: float | None = None,
    ) -> None:
        location = None if where is None else self._fix(where)
        self._as_of(at, lambda: self._record(kind, visit_id, payload, location, duration_s))

    def _as_of(self, at: datetime, act: Callable[[], None]) -> None:
        self.truth.planned = min(at, self.crew.clock.now())
        try:
            act()
        finally:
            self.truth.planned = None

    def _record(
        self,
        kind: str,
        visit_id: str,
        payload: dict[str, Any] | None,
        location: Location | None,
        duration_s: float | None = None,
    ) -> None:
        id_ = self.phone.record(kind, visit_id, payload, location=location, duration_s=duration_s)
        self.made.append(Made(id=str(id_), kind=kind, at=self.truth()))

    def _photo(self, visit_id: str, where: Point) -> None:
        picture = Image.effect_noise((96, 72), self.rng.uniform(20, 90)).convert("RGB")
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=70)
        id_ = self.phone.take_photo(visit_id, out.getvalue(), location=self._fix(where))
        self.made.append(Made(id=str(id_), kind="visit.photo", at=self.truth()))

    def _access_note(self, visit_id: str, site_id: str) -> None:
        """What the next engineer should know. The site may have left the phone while the visit went on."""
        if self.phone.store.get("site", site_id) is None:
            return
        note = self.rng.choice(ACCESS_NOTES)
        id_ = self.phone.edit("site", site_id, changes={"accessNote": note}, visit_id=visit_id)
        self.made.append(Made(id=str(id_), kind="record.edit", at=self.truth()))

    def _signature(self, order: dict[str, Any], site: dict[str, Any]) -> dict[str, Any]:
        accepts = self.rng.random() < 0.93
        shown = f"{order.get('number', '')}: {order.get('description', '')}, {site.get('name', '')}"
        return {
            "signerName": str(site.get("customerName") or "Customer"),
            "decision": "accept" if accepts else "object",
            "reason": None if accepts else self.rng.choice(OBJECTIONS),
            "rating": self.rng.randint(3, 5) if accepts else self.rng.randint(1, 2),
            "strokes": scribble(self.rng),
            "summary": shown,
        }

    # ------------------------------------------------------------------------------------------- its troubles

    def _fix(self, point: Point) -> Location | None:
        """What the phone's receiver makes of a place: noise, sometimes nothing, sometimes a lie."""
        dice = self.rng.random()
        if dice < 0.04:
            return None
        accuracy_m = self.rng.uniform(150, 600) if dice < 0.09 else self.rng.uniform(4, 35)
        off = shifted(point, self.rng.gauss(0, accuracy_m / 3), self.rng.gauss(0, accuracy_m / 3))
        mock = 0.09 <= dice < 0.11
        provider = "network" if accuracy_m > 100 else "gps"
        return Location(
            lat=off.lat,
            lng=off.lng,
            accuracy_m=round(accuracy_m, 1),
            provider="mock" if mock else provider,
            mock=mock,
        )

    def _elsewhere(self, point: Point) -> Point:
        return shifted(
            point, self.rng.choice((-1, 1)) * self.rng.uniform(600, 2500), self.rng.uniform(-900, 900)
        )

    def _offline_windows(self) -> list[tuple[datetime, datetime]]:
        starts, ends = self.seat.shift
        evening = self.crew.ends_at + timedelta(hours=1)
        if self.rng.random() < 0.35:
            return [(starts + timedelta(minutes=self.rng.uniform(10, 90)), evening)]
        windows = []
        for _ in range(self.rng.randint(1, 3)):
            begin = starts + (ends - starts) * self.rng.random()
            windows.append((begin, begin + timedelta(hours=self.rng.uniform(0.7, 3))))
        if self.rng.random() < 0.6:
            windows.append((ends - timedelta(hours=self.rng.uniform(1, 3)), evening))
        return windows

    def _mischief(self, at: datetime) -> None:
        """Commands that no visit can take: a defective app, a stranger's visit, a version from the future."""
        rng = self.rng
        mine = {visit["id"] for visit in self.phone.store.visits()}
        strange = [id_ for id_ in self.crew.foreign_visits if id_ not in mine]
        own = rng.choice(sorted(mine)) if mine else rng.choice(strange)
        nowhere = Location(lat=91.0, lng=0.0)
        unknown_part = {"partId": "00000000-0000-7000-8000-000000000001"}
        acts: list[Callable[[], None]] = [
            lambda: self._record("visit.note", rng.choice(strange or [own]), {"text": "Wrong list."}, None),
            lambda: self._record("visit.teleport", own, None, None),
            lambda: self._record("visit.arrive", own, None, nowhere),
            lambda: self._record("visit.replace_part", own, unknown_part, None),
            lambda: self._record("visit.note", own, {"text": "nul \0 inside"}, None),
            lambda: self._record("visit.diagnose", own, {"finding": 7}, None),
            lambda: self._tampered(own, {"schemaVersion": 99}),
            lambda: self._twin(),
        ]
        self._as_of(at, rng.choice(acts))

    def _tampered(self, visit_id: str, changes: dict[str, Any]) -> None:
        self._record("visit.note", visit_id, {"text": "From a newer app."}, None)
        self._rewrite_last(changes, twin=False)

    def _twin(self) -> None:
        """A defective app uses the id of its last command for another one."""
        if self.made:
            id_ = self.made[-1].id
            self._record("visit.note", str(self.seat.id), {"text": "Same id, other words."}, None)
            self.made.pop()
            self._rewrite_last({"id": id_}, twin=True)

    def _rewrite_last(self, changes: dict[str, Any], *, twin: bool) -> None:
        """Defects of an app, brought about from outside: the reference phone's own queue never changes."""
        sequence, body = self.phone.store.pending()[-1]
        told = {**msgspec.json.decode(body), **changes}
        self.phone.store.forget([sequence])
        self.phone.store.enqueue(sequence, told["id"], told["visitId"], told["kind"], _encode(told))
        if twin:
            self.made.append(Made(id=told["id"], kind=told["kind"], at=self.truth(), twin=True))
