"""One engineer with a phone over many days: works with or without a network, is killed, rebooted, mis-set, forgotten."""

import asyncio
import contextlib
import hashlib
import io
import random
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
from PIL import Image

from callout_backend.swarm.field import Seat
from callout_client import DeviceClock, Faults, FaultyTransport, NetworkLost, Phone, Refused, Store, Transport
from callout_contracts.commands import Answer, Location
from callout_geo.points import Point

FAULTS: Final = (
    Faults(),
    Faults(lost_before=0.05, lost_answer=0.08, repeated=0.08, held=0.05, delay_s_max=0.02),
    Faults(lost_before=0.15, lost_answer=0.2, repeated=0.2, held=0.2, delay_s_max=0.05),
)
SKEWS_S: Final = (0, 0, 0, 40, -90, 3600, -7200, 86_400 * 3, -86_400 * 400, 86_400 * 3650)
HOME_TRIES_MAX: Final = 30
"""Syncs on the last evening, each of them with its own tries: a server that is away for good ends the swarm."""
OPEN_STATES: Final = ("dispatched", "accepted", "travelling", "in_progress")
STROKES: Final = [[[0.1, 0.5, 0.0], [0.4, 0.3, 120.0], [0.9, 0.6, 300.0]]]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A command that the phone wrote down. `add`: what it adds to a stock level; `at`: when in truth."""

    id: UUID
    kind: str
    at: datetime
    stock_id: UUID | None = None
    add: int = 0


class Roamer:
    """Plays one phone. `made` is the ledger that the verdict asks for; `laps_s` are durations of syncs."""

    def __init__(
        self, seat: Seat, wire: Transport, folder: Path, *, seed: str, photos: bool, now: datetime
    ) -> None:
        self.seat, self.rng, self.photos = seat, random.Random(seed), photos
        self.path = folder / f"phone-{seat.number}.sqlite"
        self.network = FaultyTransport(wire, rng=random.Random(seed + ":network"))
        self.now = now
        self.clock = DeviceClock(
            skew=timedelta(seconds=self.rng.choice(SKEWS_S)), truth=self._truth, boot_id=f"{seat.number}-1"
        )
        self.made: list[Made] = []
        self.pictures: dict[UUID, str] = {}
        self.counts: Counter[str] = Counter()
        self.laps_s: list[float] = []
        self.dark_until: datetime | None = None
        self.phone: Phone | None = None

    def _truth(self) -> datetime:
        return self.now

    # ------------------------------------------------------------------------------------------- the phone

    def switch_on(self) -> Phone:
        """The app starts: all it knows is in its file."""
        # Apps are killed here, machines are not: hundreds of phones on one disk would spend their days waiting for it.
        store = Store(self.path, synced=False)
        self.phone = Phone(
            self.network,
            store,
            self.clock,
            rng=random.Random(self.rng.random()),
            backoff_s=0.02,
            batch_commands=20,
            attempts_max=12,
        )
        self.phone.heard = self._heard
        return self.phone

    def kill(self) -> None:
        """The app dies where it stands, in the middle of whatever it did, and is started again."""
        if self.phone is not None:
            self.phone.store.close()
        self.counts["kills"] += 1
        self.switch_on()

    async def enrol(self, organisation: str, code: str) -> None:
        """A new phone from the office's drawer."""
        phone = self.switch_on()
        await phone.enrol(organisation=organisation, code=code, name=f"Phone {self.seat.number}")
        await self._sync()

    def _heard(self, answers: list[Answer]) -> None:
        for answer in answers:
            self.counts[f"answered {answer.status}"] += 1

    # ------------------------------------------------------------------------------------------- a day

    async def day(self, starts: datetime) -> None:
        """One day. `starts` is midnight; what is written down carries planned moments of it."""
        rng = self.rng
        self.now = starts + timedelta(hours=7, minutes=rng.uniform(0, 50))
        if self.dark_until is not None and starts >= self.dark_until:
            self.dark_until = None
        if self.dark_until is None and rng.random() < 0.04:
            # A cellar for days, a phone in a drawer, a country without roaming.
            self.dark_until = starts + timedelta(days=rng.choice((1, 2, 3, 9)))
            self.counts["dark spells"] += 1
        if rng.random() < 0.03:
            self.clock.skew = timedelta(seconds=rng.choice(SKEWS_S))
            self.counts["clocks set"] += 1
        self.network.faults = rng.choice(FAULTS)
        await self._maybe_sync(0.8)
        assert self.phone is not None
        for visit in self.phone.store.visits():
            planned = visit["scheduledStart"]
            if visit["state"] not in OPEN_STATES or planned is None:
                continue
            at = datetime.fromisoformat(planned)
            if at < starts + timedelta(days=1) and rng.random() < 0.93:
                await self._visit(visit, max(at, self.now + timedelta(minutes=5)))
        await self._maybe_sync(0.5)

    async def _visit(self, visit: dict[str, Any], at: datetime) -> None:
        rng, store = self.rng, self._phone.store
        order = store.get("work_order", visit["orderId"]) or {}
        site = store.get("site", str(order.get("siteId"))) or {}
        there = Point(site.get("lat") or self.seat.home.lat, site.get("lng") or self.seat.home.lng)
        stock = [doc for _, _, doc in store.documents("stock")]
        steps: list[tuple[str, dict[str, Any]]] = [
            ("visit.accept", {}),
            ("visit.travel", {}),
            ("visit.arrive", {}),
            ("visit.diagnose", {"finding": "Worn seal."}),
        ]
        if stock and rng.random() < 0.4:
            part = msgspec.json.decode(rng.choice(stock))["partId"]
            steps.append(("visit.replace_part", {"partId": part, "quantity": rng.choice((1, 1, 2))}))
        if rng.random() < 0.3:
            steps.append(("visit.note", {"text": "Cleaned the filter."}))
        if rng.random() < 0.7:
            summary = f"{order.get('number')}: done"
            steps.append(("visit.sign", {"signerName": "Customer", "strokes": STROKES, "summary": summary}))
        done = rng.random() < 0.95
        steps.append(
            ("visit.complete", {"resolution": "Runs again."})
            if done
            else ("visit.could_not_complete", {"reason": "no_access"})
        )
        steps.append(("visit.leave", {}))
        self.now = at
        for kind, payload in steps:
            self.now += timedelta(minutes=rng.uniform(1, 9))
            fix = Location(lat=there.lat, lng=there.lng, accuracy_m=15.0, provider="gps")
            id_ = self._phone.record(kind, visit["id"], payload, location=fix)
            self.made.append(Made(id=id_, kind=kind, at=self.now))
            if rng.random() < 0.02:
                self.clock.reboot()
                self.counts["reboots"] += 1
            if rng.random() < 0.03:
                await self._maybe_sync(1.0)
        if rng.random() < 0.3:
            self._edit(visit, order)
        if self.photos and rng.random() < 0.06:
            self._photo(visit["id"])
        await self._maybe_sync(0.25)

    def _edit(self, visit: dict[str, Any], order: dict[str, Any]) -> None:
        rng, phone = self.rng, self._phone
        edits: list[tuple[str, str, dict[str, Any], dict[str, int]]] = [
            ("visit", visit["id"], {"engineerNote": f"Note {rng.randrange(1000)}"}, {}),
            ("site", str(order.get("siteId")), {"accessNote": f"Door {rng.randrange(1000)}"}, {}),
            ("asset", str(order.get("assetId")), {"note": f"Runs at {rng.randrange(60)} °C"}, {}),
            ("contact", str(order.get("contactId")), {"email": f"c{rng.randrange(99)}@example.org"}, {}),
        ]
        for _, id_, _ in phone.store.documents("stock")[:1]:
            edits.append(("stock", id_, {}, {"quantity": rng.choice((-2, -1, 1, 3))}))
        entity, id_, changes, add = rng.choice(edits)
        if phone.store.get(entity, id_) is None:
            return
        made = phone.edit(entity, id_, changes=changes or None, add=add or None, visit_id=visit["id"])
        stock_id = UUID(id_) if add else None
        self.made.append(
            Made(id=made, kind="record.edit", at=self._truth(), stock_id=stock_id, add=add.get("quantity", 0))
        )

    def _photo(self, visit_id: str) -> None:
        picture = Image.new("RGB", (64, 48), tuple(self.rng.randrange(256) for _ in range(3)))
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=60)
        taken = out.getvalue()
        id_ = self._phone.take_photo(visit_id, taken, media_type="image/jpeg", caption=None)
        self.made.append(Made(id=id_, kind="visit.photo", at=self._truth()))
        self.pictures[id_] = hashlib.sha256(taken).hexdigest()

    # ------------------------------------------------------------------------------------------- the network

    async def _maybe_sync(self, chance: float) -> None:
        if self.dark_until is None and self.rng.random() < chance:
            await self._sync()

    async def _sync(self) -> None:
        """Try to sync; the app may die meanwhile, and the network may give up."""
        started = time.perf_counter()
        act = asyncio.ensure_future(self._phone.sync())
        dies_s = self.rng.uniform(0.0, 0.08) if self.rng.random() < 0.04 else None
        try:
            done, _ = await asyncio.wait({act}, timeout=dies_s)
        except asyncio.CancelledError:
            # The whole swarm ends: nothing may go on behind it.
            act.cancel()
            await asyncio.gather(act, return_exceptions=True)
            raise
        if not done:
            act.cancel()
            with contextlib.suppress(asyncio.CancelledError, NetworkLost, Refused):
                await act
            self.kill()
            return
        with contextlib.suppress(NetworkLost, Refused):
            self.counts["documents"] += act.result()
            self.counts["syncs"] += 1
            self.laps_s.append(time.perf_counter() - started)
            return
        self.counts["syncs given up"] += 1

    async def come_home(self, now: datetime) -> None:
        """The last evening: a good network at last, until nothing is left to send."""
        self.now, self.dark_until = now, None
        self.network.faults = Faults()
        await self.network.flush()
        for tries_left in range(HOME_TRIES_MAX - 1, -1, -1):
            try:
                self.counts["documents"] += await self._phone.sync()
            except (NetworkLost, Refused) as fault:
                if (isinstance(fault, Refused) and not fault.retryable) or not tries_left:
                    raise
                continue
            if not self._phone.store.pending():
                return

    async def settle(self) -> int:
        """Pull what is new; the documents that came."""
        count = await self._phone.pull()
        self.counts["documents"] += count
        return count

    @property
    def _phone(self) -> Phone:
        if self.phone is None:
            raise RuntimeError("the phone was never switched on")
        return self.phone
