"""What goes on beside the visits: P0s offered from one to the next, customers who look where their engineer is, and what
the organisation has learned of its ways by the evening.

The day's timers rest, so what a worker would do when one fires is done here at its moment, by the day's own clock.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import httpx

from callout_backend.demo import intake
from callout_backend.demo.crew import EngineerDay
from callout_backend.demo.office import Office, Said
from callout_backend.demo.sf311 import Request
from callout_backend.jobs import red
from callout_dispatch import red_answers, red_rows
from callout_dispatch.arrivals import etas
from callout_dispatch.engineers import mark_seen
from callout_dispatch.places import speeds
from callout_dispatch.places.speeds import travel_model
from callout_geo.distance import TRAVEL_SPEED_KM_PER_HOUR
from callout_store import outbox
from callout_store.errors import Refusal
from callout_store.work import Database

START: Final = "mutation DemoRedLane($id: UUID!) { startRedLane(orderId: $id) { id state round visitId } }"
LANE: Final = "query DemoLane($id: UUID!) { redLane(id: $id) { state visitId offers { answer displaced { visitId } } } }"
ANSWER: Final = "mutation DemoAnswer($id: UUID!, $accept: Boolean!) { answerOffer(visitId: $id, accept: $accept) { state } }"
TRACK: Final = "mutation DemoTrack($id: UUID!) { createTrackLink(orderId: $id) { url } }"
KEPT: Final = 20
"""Orders whose customers looked that are remembered for the box of URLs."""


class RedDesk:
    """Sends somebody to a P0: the first who is asked cannot, the next one goes."""

    def __init__(
        self, db: Database, office: Office, places: intake.Places, days: Sequence[EngineerDay]
    ) -> None:
        self.db, self.office, self.places, self.days = db, office, places, days
        self.orders: list[UUID] = []
        """The P0s that came in."""

    async def send(self, request: Request) -> None:
        """Take the request in, start a lane and hear two answers by telephone; where nobody is left, dispatch by hand.

        Raises Said.
        """
        counts, desk = self.office.counts, self.office.desk
        order_id = await self._take_in(request)
        lane = (await desk.operation(START, {"id": str(order_id)}))["startRedLane"]
        if lane["state"] == "offering":
            await self.office.attempt(
                "offers declined",
                self._decline(UUID(lane["id"]), UUID(lane["visitId"]), lane["round"]),
            )
        now = (await desk.operation(LANE, {"id": lane["id"]}))["redLane"]
        if now["state"] == "offering":
            await self.office.attempt(
                "offers accepted", desk.operation(ANSWER, {"id": now["visitId"], "accept": True})
            )
        now = (await desk.operation(LANE, {"id": lane["id"]}))["redLane"]
        counts["visits that gave way"] += sum(len(offer["displaced"]) for offer in now["offers"])
        counts[f"red lanes {now['state']}"] += 1
        if now["state"] == "exhausted":
            await self.office.dispatch(order_id)

    async def _take_in(self, request: Request) -> UUID:
        now, staff = self.office.crew.clock.now(), self.office.staff
        (taken,) = await intake.import_orders(
            self.db, staff, self.places, [request], today=lambda _: now, progress=lambda _: None
        )
        self.orders.append(taken.order_id)
        await self._hear_of_phones()
        return taken.order_id

    async def _hear_of_phones(self) -> None:
        """A phone with a network is heard of every few minutes, of which this day has less than a second."""
        async with self.db.work(self.office.staff.org_id) as work:
            await mark_seen(work, *(day.seat.id for day in self.days if day.has_network()))

    async def _decline(self, lane_id: UUID, visit_id: UUID, round_: int) -> None:
        """A no by telephone, and the next one's turn.

        The word to ask the next one is taken before a worker can see it: a worker lives today, when nobody is online.
        """
        staff = self.office.staff
        try:
            async with self.db.work(staff.org_id, actor=staff.dispatcher) as work:
                await red_answers.answer_offer(work, visit_id, False, "The van does not start")
                await red_rows.ask_next(work, lane_id, round_)
                item = await outbox.take(work, f"red:{lane_id}:{round_}:next")
            if item is not None:
                await self._hear_of_phones()
                await red.advance_lane(self.db, item)
                await outbox.finish(self.db, item)
        except Refusal as refusal:
            raise Said(refusal.code, str(refusal)) from refusal


class Watch:
    """Customers who open the link while their engineer is on the way. `orders`: whose they were."""

    def __init__(self, db: Database, office: Office, client: httpx.AsyncClient) -> None:
        self.db, self.office, self.client = db, office, client
        self.orders: list[str] = []

    async def look_on(self, done: asyncio.Event) -> None:
        """Until `done`: each visit that is under way is reckoned anew, and its customer looks."""
        waiting = self.office.crew.on_the_way
        while not done.is_set():
            if not waiting:
                await asyncio.sleep(0.05)
                continue
            visit_id = waiting.pop()
            waiting.clear()
            await self.office.attempt("links looked at", self._look(UUID(visit_id)))

    async def _look(self, visit_id: UUID) -> None:
        async with self.db.work(self.office.staff.org_id) as work:
            row = await work.fetchrow(
                "select engineer_id, order_id from visit where org_id = callout_org() and id = $1", visit_id
            )
            if row is None or row["engineer_id"] is None:
                return
            given = await etas.situation(work, row["engineer_id"], await travel_model(work))
            told = await etas.store(work, given, etas.follow(given, work.now), "departed")
        self.office.counts["customers told of a new time"] += len(told)
        url = (await self.office.desk.operation(TRACK, {"id": str(row["order_id"])}))["createTrackLink"][
            "url"
        ]
        path = httpx.URL(url).raw_path.decode()
        page, state = await self.client.get(path), await self.client.get(f"{path}/state")
        if (page.status_code, state.status_code) != (200, 200):
            raise Said(f"HTTP_{page.status_code}", "the page of the customer's link")
        seen: dict[str, Any] = state.json()["seen"]
        self.office.counts["engineers seen on the way"] += seen["lat"] is not None
        self.orders = [*self.orders, str(row["order_id"])][-KEPT:]


async def learn(db: Database, org_id: UUID) -> dict[str, Any]:
    """Reckon the speeds from the day's ways, as every night; how many ways, and the slowest and the fastest hour driven."""
    async with db.work(org_id) as work:
        await speeds.learn(work)
        driven = [hour for hour in await speeds.speeds(work) if hour.samples]
    return {
        "ways": sum(hour.samples for hour in driven),
        "assumed_km_per_hour": TRAVEL_SPEED_KM_PER_HOUR,
        "slowest_km_per_hour": round(min((hour.km_per_hour for hour in driven), default=0.0), 1),
        "fastest_km_per_hour": round(max((hour.km_per_hour for hour in driven), default=0.0), 1),
    }
