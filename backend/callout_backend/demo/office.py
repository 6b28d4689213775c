"""The office and the customers during the demo's day, as real HTTP clients: the dispatcher moves and cancels visits, a
customer's contact orders, others sign off by link."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec

from callout_backend.demo.crew import Crew
from callout_backend.demo.fast import until
from callout_backend.demo.names import OBJECTIONS, person
from callout_backend.demo.noise import scribble
from callout_backend.demo.sf311 import Request
from callout_backend.demo.world import EMAIL_DOMAIN, Staff

REASSIGN: Final = """mutation DemoReassign($id: UUID!, $engineer: UUID!, $reason: String!) {
  reassignVisit(id: $id, engineerId: $engineer, override: true, reason: $reason) { id state }
}"""
CANCEL: Final = (
    "mutation DemoCancel($id: UUID!, $reason: String!) { cancelVisit(id: $id, reason: $reason) { id } }"
)
DISPATCH: Final = "mutation DemoDispatch($id: UUID!) { dispatchWorkOrder(orderId: $id) { id } }"
ASSIGN: Final = """mutation DemoAssign($id: UUID!, $engineer: UUID!, $reason: String!) {
  assignWorkOrder(orderId: $id, engineerId: $engineer, override: true, reason: $reason) { id }
}"""
CHECK_DRAG: Final = """query DemoCheckDrag($id: UUID!, $engineer: UUID!, $start: DateTime!) {
  checkDrag(visitId: $id, engineerId: $engineer, start: $start) { revision allowed locked }
}"""
DRAG: Final = """mutation DemoDrag(
  $id: UUID!, $engineer: UUID!, $start: DateTime!, $revision: Int!, $override: Boolean!, $reason: String!
) {
  dragVisit(id: $id, engineerId: $engineer, start: $start, revision: $revision, override: $override, reason: $reason) { id }
}"""
LINK: Final = "mutation DemoLink($id: UUID!) { createSignOffLink(visitId: $id) { url } }"
CHANGE_MINUTES: Final = 18
"""How often, in the day's own time, the dispatcher changes something."""


class Said(Exception):
    """The API refused; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Desk:
    """Somebody signed in."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._token = ""

    async def sign_in(self, *, organisation: str, email: str, password: str) -> "Desk":
        """By organisation, e-mail and password."""
        body = {"organisation": organisation, "email": email, "password": password}
        self._token = (await self.post("/auth/login", body))["accessToken"]
        return self

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A REST call; raises Said when it is refused."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        answer = await self._client.post(path, json=body, headers=headers)
        told: dict[str, Any] = answer.json()
        if answer.status_code >= 400:
            raise Said(str(told.get("code")), str(told.get("detail")))
        return told

    async def operation(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """A GraphQL operation; raises Said when it is refused."""
        told = await self.post("/graphql", {"query": query, "variables": variables})
        if told.get("errors"):
            error = told["errors"][0]
            raise Said(str(error.get("extensions", {}).get("code")), str(error.get("message")))
        data: dict[str, Any] = told["data"]
        return data


class Office:
    """The dispatcher's day. `counts` say what was done, `refused` what the rules did not allow, by code."""

    def __init__(
        self, staff: Staff, desk: Desk, crew: Crew, visits: list[tuple[UUID, UUID, str]], *, seed: str
    ) -> None:
        self.staff, self.desk, self.crew = staff, desk, crew
        self._visits = visits
        """(visit, engineer, skill) as the day was dispatched."""
        self._rng = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    async def enrolment_code(self, user_id: UUID) -> str:
        """A code for one phone."""
        return str((await self.desk.post("/devices/enrolment-codes", {"userId": str(user_id)}))["code"])

    async def change_the_day(
        self,
        emergencies: list[Request],
        ordered: list[UUID],
        send: Callable[[Request], Awaitable[None]],
    ) -> None:
        """Until the evening: `send` somebody to an emergency, drag, move or call off a visit, dispatch what came in."""
        clock = self.crew.clock
        at = min(seat.shift[0] for seat in self.staff.seats) + timedelta(minutes=40)
        urgent, waiting = list(emergencies), list(ordered)
        while at < self.crew.ends_at - timedelta(hours=1):
            await until(clock, at)
            dice = self._rng.random()
            if urgent and (dice < 0.25 or len(urgent) == len(emergencies)):
                await self.attempt("emergencies", send(urgent.pop()))
            elif waiting and dice < 0.4:
                await self.attempt("dispatched", self.dispatch(waiting.pop()))
            elif dice < 0.6:
                await self.attempt("reassigned", self._reassign())
            elif dice < 0.8:
                await self.attempt("dragged", self._drag())
            else:
                await self.attempt("canceled", self._cancel())
            at = max(at, clock.now()) + timedelta(minutes=CHANGE_MINUTES * self._rng.uniform(0.5, 1.5))
        for request in urgent:
            await self.attempt("emergencies", send(request))

    async def order_as_customer(self, desk: Desk, site_id: UUID, number: int) -> UUID:
        """A customer's contact orders through the web form's door."""
        body = {
            "siteId": str(site_id),
            "description": "Water comes up through the floor drain.",
            "serial": f"DR-{number:05d}",
            "priority": "P1",
            "kind": "repair",
            "channel": "web_form",
            "skills": {"drainage": 1},
            "durationMinutes": 30,
            "references": [{"system": "web-form", "reference": f"demo-{number}"}],
        }
        made = await desk.post("/v1/work-orders", body)
        again = await desk.post("/v1/work-orders", body)
        self.counts["ordered by customers"] += 1
        self.counts["sent twice, taken once"] += made["id"] == again["id"] and again["existing"]
        return UUID(made["id"])

    async def customers_sign(self, done: asyncio.Event, clients: list[httpx.AsyncClient]) -> None:
        """Send a link for every visit that wants one, and let its customer sign; until `done` and none is left."""
        while not (done.is_set() and not self.crew.link_wanted):
            if not self.crew.link_wanted:
                await asyncio.sleep(0.05)
                continue
            visit_id = self.crew.link_wanted.pop()
            await self.attempt("links sent", self._sign(visit_id, self._rng.choice(clients)))

    async def _sign(self, visit_id: str, client: httpx.AsyncClient) -> None:
        url = (await self.desk.operation(LINK, {"id": visit_id}))["createSignOffLink"]["url"]
        path = httpx.URL(url).raw_path.decode()
        page = await client.get(path)
        if page.status_code != 200:
            raise Said(f"HTTP_{page.status_code}", "the sign-off page")
        accepts = self._rng.random() < 0.9
        name, _ = person(self._rng.randrange(400))
        signed = {
            "signerName": name,
            "decision": "accept" if accepts else "object",
            "reason": None if accepts else self._rng.choice(OBJECTIONS),
            "rating": self._rng.randint(3, 5) if accepts else 1,
            "strokes": scribble(self._rng),
        }
        body, headers = msgspec.json.encode(signed), {"Content-Type": "application/json"}
        answer = await client.post(path, content=body, headers=headers)
        if answer.status_code != 200:
            raise Said(str(answer.json().get("code")), "signing by link")
        self.counts["signed by link"] += 1
        if self._rng.random() < 0.25:
            # An impatient thumb: the second signature must find the link used.
            again = await client.post(path, content=body, headers=headers)
            self.counts["signed twice, refused"] += again.status_code == 410
            self.counts["signed twice, taken twice"] += again.status_code == 200

    async def _reassign(self) -> None:
        visit_id, engineer_id, skill = self._rng.choice(self._visits)
        able = [seat.id for seat in self.staff.seats if seat.id != engineer_id and skill in seat.skills]
        if not able:
            raise Said("NO_OTHER_ENGINEER", "nobody else has the skill")
        variables = {
            "id": str(visit_id),
            "engineer": str(self._rng.choice(able)),
            "reason": "Nearer to the site",
        }
        await self.desk.operation(REASSIGN, variables)

    async def _cancel(self) -> None:
        visit_id, _, _ = self._rng.choice(self._visits)
        await self.desk.operation(CANCEL, {"id": str(visit_id), "reason": "Customer called it off"})

    async def _drag(self) -> None:
        """Ask what would break, then move the visit, with a reason where something does."""
        visit_id, engineer_id, skill = self._rng.choice(self._visits)
        able = [seat.id for seat in self.staff.seats if seat.id != engineer_id and skill in seat.skills]
        to = self._rng.choice([*able, engineer_id])
        start = self.crew.clock.now() + timedelta(minutes=self._rng.randrange(20, 180))
        where = {"id": str(visit_id), "engineer": str(to), "start": start.isoformat()}
        check = (await self.desk.operation(CHECK_DRAG, where))["checkDrag"]
        how = {"revision": check["revision"], "override": not check["allowed"], "reason": ""}
        if not check["allowed"]:
            how["reason"] = "The customer insists on this time"
        await self.desk.operation(DRAG, {**where, **how})
        self.counts["dragged against a rule"] += not check["allowed"]

    async def dispatch(self, order_id: UUID) -> None:
        """Send whom the pick names; where it names nobody, whoever answers the telephone."""
        try:
            await self.desk.operation(DISPATCH, {"id": str(order_id)})
        except Said as said:
            if said.code != "NO_ENGINEER_FITS":
                raise
            seat = self._rng.choice(self.staff.seats)
            reason = "Reached by telephone"
            await self.desk.operation(
                ASSIGN, {"id": str(order_id), "engineer": str(seat.id), "reason": reason}
            )

    async def attempt(self, what: str, act: Any) -> None:
        """Count what is done under `what`, and what is refused under its code."""
        try:
            await act
        except Said as said:
            self.refused[said.code] += 1
        else:
            self.counts[what] += 1


def contact_email(number: int) -> str:
    """The login of the demo's customer contact `number`, from 1."""
    return f"contact{number}@{EMAIL_DOMAIN}"
