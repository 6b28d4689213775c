"""Enrolment, tokens, revocation, wipe."""

from callout_backend.conform.ask import Device
from callout_backend.conform.bench import REVOKE, Bench
from callout_backend.conform.check import Checks, expect, refusal

ENROLMENT, WIPE = Checks(), Checks()
WIPE_DEVICE = """mutation($id: UUID!, $mode: WipeMode!) {
  wipeDevice(id: $id, mode: $mode, reason: "conformance check") { id }
}"""
CONFIRM = "mutation { confirmWipe }"


@ENROLMENT.add("enrolment.code-works-once", "A code enrols one device; a second use is refused.")
async def _once(bench: Bench) -> None:
    code = await bench.enrolment_code()
    first = await bench.enrol_with(code)
    bench.keep_account(first)
    await refusal(bench.enrol_with(code), "ENROLMENT_CODE_INVALID")
    await first.pull(limit=1)


@ENROLMENT.add("enrolment.wrong-code", "A code that never was is refused with a code of its own.")
async def _wrong(bench: Bench) -> None:
    await refusal(bench.enrol_with("AAAAA-AAAAA"), "ENROLMENT_CODE_INVALID")


@ENROLMENT.add("enrolment.no-token", "Without a token nothing is answered.")
async def _nobody(bench: Bench) -> None:
    nobody = Device(bench.client, {"accessToken": None, "deviceId": "", "refreshToken": ""})
    await refusal(nobody.pull(limit=1), "NOT_AUTHENTICATED")
    await refusal(nobody.push([]), "NOT_AUTHENTICATED")


@ENROLMENT.add("enrolment.forged-token", "A token that the server did not sign is refused.")
async def _forged(bench: Bench) -> None:
    forged = Device(bench.client, {"accessToken": "e30.e30.e30", "deviceId": "", "refreshToken": ""})
    await refusal(forged.pull(limit=1), "NOT_AUTHENTICATED")


@ENROLMENT.add("enrolment.a-desk-is-no-device", "A login without a device neither pulls nor pushes.")
async def _desk(bench: Bench) -> None:
    token = bench.need_desk().token
    desk = Device(bench.client, {"accessToken": token, "deviceId": "", "refreshToken": ""})
    await refusal(desk.pull(limit=1), "DEVICE_REQUIRED", "NOT_ALLOWED")
    await refusal(desk.push([]), "DEVICE_REQUIRED", "NOT_ALLOWED")


@ENROLMENT.add(
    "enrolment.lost-refresh",
    "A refresh whose answer was lost may be asked again with the same token, and brings the same successor.",
)
async def _refresh(bench: Bench) -> None:
    device = await bench.fresh_device()
    body = {"refreshToken": device.refresh_token}
    first = await bench.anyone.rest("/auth/refresh", body)
    again = await bench.anyone.rest("/auth/refresh", body)
    expect("the same refresh token", first["refreshToken"], again["refreshToken"])
    device.token, device.refresh_token = again["accessToken"], again["refreshToken"]
    await device.pull(limit=1)


@ENROLMENT.add("enrolment.revoked", "A revoked device neither pulls, pushes, uploads nor refreshes.")
async def _revoked(bench: Bench) -> None:
    device = await bench.fresh_device()
    await bench.need_desk().ask(REVOKE, {"id": device.id})
    await refusal(device.pull(limit=1), "DEVICE_REVOKED")
    await refusal(device.push([]), "DEVICE_REVOKED")
    body = {"refreshToken": device.refresh_token}
    await refusal(bench.anyone.rest("/auth/refresh", body), "DEVICE_REVOKED", "REFRESH_TOKEN_INVALID")


@WIPE.add(
    "wipe.after-upload",
    "A phone that is to be wiped hears of it, hands in what it has, and is shut out once it has confirmed.",
)
async def _after_upload(bench: Bench) -> None:
    place = await bench.place()
    device = await bench.fresh_device()
    expect("wipe", False, (await device.pull(limit=1))["wipe"])
    await bench.need_desk().ask(WIPE_DEVICE, {"id": device.id, "mode": "AFTER_UPLOAD"})
    expect("wipe", True, (await device.pull(limit=1))["wipe"])
    command = device.command(place.visit, {"payload": {"text": "the last"}})
    expect("status", "applied", (await device.push([command]))[0]["status"])
    await device.ask(CONFIRM)
    await refusal(device.pull(limit=1), "DEVICE_WIPED", "DEVICE_REVOKED")


@WIPE.add("wipe.stolen", "Of a stolen phone nothing is taken and nothing is given to it; it learns why.")
async def _stolen(bench: Bench) -> None:
    place = await bench.place()
    device = await bench.fresh_device()
    await bench.need_desk().ask(WIPE_DEVICE, {"id": device.id, "mode": "STOLEN"})
    await refusal(device.pull(limit=1), "DEVICE_WIPED")
    await refusal(device.push([device.command(place.visit, {"payload": {"text": "x"}})]), "DEVICE_WIPED")
    await device.ask(CONFIRM)


@WIPE.add("wipe.nobody-asked", "A wipe that nobody asked for cannot be confirmed.")
async def _nobody_asked(bench: Bench) -> None:
    device = await bench.fresh_device()
    await refusal(device.ask(CONFIRM), "WRONG_STATE")
    await device.pull(limit=1)
