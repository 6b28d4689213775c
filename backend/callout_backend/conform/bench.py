"""What the checks need, made through the API and cleared away through it: devices, visits, a second engineer's visit."""

import contextlib
import secrets
from typing import Any, Final

import httpx
import msgspec

from callout_backend.conform.ask import Caller, Device, Refused

CUSTOMER: Final = "mutation($input: CreateCustomer!) { createCustomer(input: $input) { id } }"
CONTACT: Final = "mutation($input: CreateContact!) { createContact(input: $input) { id } }"
SITE: Final = "mutation($input: CreateSite!) { createSite(input: $input) { id } }"
ASSET: Final = "mutation($input: CreateAsset!) { createAsset(input: $input) { id } }"
ORDER: Final = "mutation($input: CreateWorkOrder!) { createWorkOrder(input: $input) { id } }"
ASSIGN: Final = """mutation($order: UUID!, $engineer: UUID!) {
  assignWorkOrder(orderId: $order, engineerId: $engineer, override: true, reason: "conformance check") { id }
}"""
CANCEL: Final = 'mutation($id: UUID!) { cancelWorkOrder(id: $id, reason: "conformance check") { id } }'
REVOKE: Final = 'mutation($id: UUID!) { revokeDevice(id: $id, reason: "conformance check") { id } }'
ENGINEERS: Final = "{ engineers(active: true, first: 200) { nodes { id userId name } } }"
QUARANTINED: Final = """query($device: UUID!) {
  quarantined(state: "open", deviceId: $device, first: 200) { nodes { id } }
}"""
DISMISS: Final = 'mutation($id: UUID!) { quarantineDismiss(id: $id, note: "conformance check") }'
OPEN_STATES: Final = ("dispatched", "accepted", "travelling", "in_progress")


class Failed(Exception):
    """A check failed: what was expected, and what came."""

    def __init__(self, expected: str, came: object) -> None:
        super().__init__(f"{expected}; {came}")
        self.expected, self.came = expected, str(came)


class Skipped(Exception):
    """A check cannot be made here; `why` is a key of the texts."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A visit and what belongs to it."""

    visit: str
    order: str
    site: str
    contact: str | None = None
    asset: str | None = None


class Bench:
    """With a desk (a dispatcher's login) it makes all it needs; with one enrolment code it has one device and its visits."""

    def __init__(self, client: httpx.AsyncClient, organisation: str) -> None:
        self.client, self.organisation = client, organisation
        self.anyone = Caller(client)
        self.desk: Caller | None = None
        self._engineers: list[dict[str, Any]] = []
        self._customer: str | None = None
        self._only: Device | None = None
        self._place: Place | None = None
        self._strangers: Place | None = None
        self._devices: list[Device] = []
        self._orders: list[str] = []

    async def sign_in(self, *, email: str, password: str, engineer: str | None) -> None:
        """As somebody who may dispatch and enrol. Refused, or ValueError where there is no such engineer."""
        body = {"organisation": self.organisation, "email": email, "password": password}
        self.desk = Caller(self.client, (await self.anyone.rest("/auth/login", body))["accessToken"])
        nodes = (await self.desk.ask(ENGINEERS))["engineers"]["nodes"]
        chosen = [
            one for one in nodes if engineer is None or engineer in (one["id"], one["userId"], one["name"])
        ]
        if not chosen:
            raise ValueError(engineer or "")
        self._engineers = [chosen[0], *(one for one in nodes if one["id"] != chosen[0]["id"])]

    async def use_code(self, code: str) -> None:
        """With nothing but one enrolment code: one device, and whatever visits it has."""
        self._only = await self.enrol_with(code)
        self._devices.append(self._only)
        page = await self._only.pull_all()
        rows = {(item["entity"], item["id"]): item.get("doc") or {} for item in page["documents"]}
        for (entity, id_), doc in rows.items():
            if entity == "visit" and doc.get("state") in OPEN_STATES:
                order = rows.get(("work_order", doc["orderId"]), {})
                self._place = Place(visit=id_, order=doc["orderId"], site=order.get("siteId", ""))

    # ---------------------------------------------------------------------------------------- what checks ask for

    def need_desk(self) -> Caller:
        """The dispatcher; Skipped without one."""
        if self.desk is None:
            raise Skipped("needs_desk")
        return self.desk

    async def enrolment_code(self) -> str:
        """A fresh code for the engineer."""
        told = await self.need_desk().rest(
            "/devices/enrolment-codes", {"userId": self._engineers[0]["userId"]}
        )
        return str(told["code"])

    async def enrol_with(self, code: str) -> Device:
        """A device by a code."""
        body = {
            "organisation": self.organisation,
            "code": code,
            "deviceName": "conformance check",
            "platform": "conform",
            "appVersion": "2.0.0",
        }
        return Device(self.client, await self.anyone.rest("/auth/enrol", body))

    async def device(self) -> Device:
        """A device of its own; where there is only one, that one."""
        if self._only is not None:
            return self._only
        device = await self.enrol_with(await self.enrolment_code())
        self._devices.append(device)
        return device

    def keep_account(self, device: Device) -> None:
        """Have a device revoked at the end that a check has enrolled by itself."""
        self._devices.append(device)

    async def fresh_device(self) -> Device:
        """A device that has sent nothing yet."""
        self.need_desk()
        return await self.device()

    async def place(self) -> Place:
        """A visit that checks may share."""
        if self._place is None:
            self.need_desk()
            self._place = await self.new_place()
        return self._place

    async def new_place(self) -> Place:
        """A visit on a site that nobody has touched."""
        return await self._make(self._engineers[0]["id"] if self._engineers else "")

    async def strangers(self) -> Place:
        """A visit of another engineer."""
        self.need_desk()
        if len(self._engineers) < 2:
            raise Skipped("needs_second_engineer")
        if self._strangers is None:
            self._strangers = await self._make(self._engineers[1]["id"])
        return self._strangers

    async def _make(self, engineer: str) -> Place:
        desk = self.need_desk()
        if self._customer is None:
            named = {"number": f"CONFORM-{secrets.token_hex(4).upper()}", "name": "Conformance check"}
            self._customer = (await desk.ask(CUSTOMER, {"input": named}))["createCustomer"]["id"]
        mine = {"customerId": self._customer, "name": "Conformance check"}
        reached = {**mine, "phone": "+1 415 555 2671"}
        contact = (await desk.ask(CONTACT, {"input": reached}))["createContact"]["id"]
        at = {"address": "1 Conformance Road", "lat": 37.7793, "lng": -122.4193}
        site = (await desk.ask(SITE, {"input": {**mine, **at}}))["createSite"]["id"]
        machine = {
            "siteId": site,
            "serial": f"CONFORM-{secrets.token_hex(6)}",
            "model": "C-1",
            "name": "Check",
        }
        asset = (await desk.ask(ASSET, {"input": machine}))["createAsset"]["id"]
        wanted = {
            "customerId": self._customer,
            "siteId": site,
            "contactId": contact,
            "assetId": asset,
            "priority": "P2",
            "kind": "repair",
            "description": "Conformance check; may be deleted",
            "channel": "api",
            "durationMinutes": 5,
        }
        order = (await desk.ask(ORDER, {"input": wanted}))["createWorkOrder"]["id"]
        self._orders.append(order)
        told = await desk.ask(ASSIGN, {"order": order, "engineer": engineer})
        return Place(
            visit=told["assignWorkOrder"]["id"], order=order, site=site, contact=contact, asset=asset
        )

    async def clear_away(self) -> None:
        """Call orders off, dismiss what lies in quarantine, revoke the devices. What is refused stays."""
        if self.desk is None:
            return
        for order in self._orders:
            with contextlib.suppress(Refused, httpx.HTTPError):
                await self.desk.ask(CANCEL, {"id": order})
        for device in self._devices:
            with contextlib.suppress(Refused, httpx.HTTPError):
                found = await self.desk.ask(QUARANTINED, {"device": device.id})
                for node in found["quarantined"]["nodes"]:
                    await self.desk.ask(DISMISS, {"id": node["id"]})
            with contextlib.suppress(Refused, httpx.HTTPError):
                await self.desk.ask(REVOKE, {"id": device.id})
