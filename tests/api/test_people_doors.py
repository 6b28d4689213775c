"""The REST doors of people and devices: their JSON, their refusals, and what never leaves them."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from people_world import PASSWORD, People, bearer, doors, make_issuer, make_people

from callout_backend.settings import Settings
from callout_people.principals import Role
from callout_people.throttle import Limit, Limits
from callout_people.tokens import TokenIssuer
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture(scope="module")
async def people(db: Database) -> People:
    return await make_people(db)


@pytest.fixture(scope="module")
async def client(db: Database, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with doors(db, settings, make_issuer()) as client:
        yield client


async def login(client: httpx.AsyncClient, people: People, role: Role = Role.DISPATCHER) -> dict[str, Any]:
    answer = await client.post(
        "/auth/login", json={"organisation": people.slug, "email": people.email(role), "password": PASSWORD}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def enrol(client: httpx.AsyncClient, people: People, by: str) -> dict[str, Any]:
    made = await client.post(
        "/devices/enrolment-codes", json={"userId": str(people.ids[Role.ENGINEER])}, headers=bearer(by)
    )
    assert made.status_code == 201, made.text
    answer = await client.post(
        "/auth/enrol",
        json={"organisation": str(people.org_id), "code": made.json()["code"], "deviceName": "Pixel 9"},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def test_login_me_refresh_logout(client: httpx.AsyncClient, people: People) -> None:
    """The way through every working day."""
    seen = await login(client, people)
    assert seen["tokenType"] == "Bearer"
    assert seen["expiresInS"] == 900
    assert seen["user"] == {
        "id": str(people.ids[Role.DISPATCHER]),
        "name": "dispatcher",
        "role": "dispatcher",
        "locale": "en",
    }
    assert seen["organisation"]["timeZone"] == "Asia/Shanghai"
    assert seen["deviceId"] is None

    me = await client.get("/auth/me", headers=bearer(seen["accessToken"]))
    assert me.json()["user"] == seen["user"]
    assert "devices.revoke" in me.json()["rights"]
    assert me.headers["cache-control"] == "no-store"

    fresh = await client.post("/auth/refresh", json={"refreshToken": seen["refreshToken"]})
    assert fresh.status_code == 200
    assert fresh.json()["refreshToken"] != seen["refreshToken"]
    assert fresh.headers["cache-control"] == "no-store"

    out = await client.post("/auth/logout", headers=bearer(fresh.json()["accessToken"]))
    assert (out.status_code, out.content) == (204, b"")
    for token in (seen["accessToken"], fresh.json()["accessToken"]):
        assert (await client.get("/auth/me", headers=bearer(token))).status_code == 401
    gone = await client.post("/auth/refresh", json={"refreshToken": fresh.json()["refreshToken"]})
    assert (gone.status_code, gone.json()["code"]) == (401, "REFRESH_TOKEN_INVALID")


async def test_logout_works_after_the_access_token_ran_out(client: httpx.AsyncClient, people: People) -> None:
    """Someone who comes back after lunch and signs out must be out, though only the refresh token is still good."""
    seen = await login(client, people)
    for headers in ({}, bearer("expired")):
        answer = await client.post(
            "/auth/logout", json={"refreshToken": seen["refreshToken"]}, headers=headers
        )
        assert answer.status_code == 204
    assert (await client.get("/auth/me", headers=bearer(seen["accessToken"]))).status_code == 401
    assert (await client.post("/auth/logout")).status_code == 401
    for body in (b"null", b"\xff", b"[" * 100_000, b'{"refreshToken": 1}'):
        assert (await client.post("/auth/logout", content=body)).status_code in (400, 422)


async def test_enrolling_and_revoking_a_phone(client: httpx.AsyncClient, people: People) -> None:
    """A phone's first morning and its last."""
    by = (await login(client, people))["accessToken"]
    made = await client.post(
        "/devices/enrolment-codes", json={"userId": str(people.ids[Role.ENGINEER])}, headers=bearer(by)
    )
    code = made.json()
    assert made.status_code == 201
    assert code["payload"] == f"callout://enrol?server=http%3A%2F%2Ft&org={people.org_id}&code={code['code']}"
    assert code["qrSvg"].startswith("<svg")
    phone = await client.post(
        "/auth/enrol",
        json={
            "organisation": people.slug,
            "code": code["code"],
            "deviceName": "Pixel",
            "platform": "android",
        },
    )
    assert phone.status_code == 200
    assert phone.json()["user"]["role"] == "engineer"
    token, device = phone.json()["accessToken"], phone.json()["deviceId"]
    assert (await client.get("/auth/me", headers=bearer(token))).json()["deviceId"] == device

    again = await client.post(
        "/auth/enrol", json={"organisation": people.slug, "code": code["code"], "deviceName": "Pixel"}
    )
    assert (again.status_code, again.json()["code"]) == (403, "ENROLMENT_CODE_INVALID")

    url = f"/devices/{device}/revoke"
    refused = await client.post(url, json={"reason": "mine"}, headers=bearer(token))
    assert (refused.status_code, refused.json()["code"]) == (403, "NOT_ALLOWED")
    revoked = await client.post(url, json={"reason": "stolen"}, headers=bearer(by))
    assert revoked.json() == {"deviceId": device, "changed": True}
    assert (await client.post(url, json={"reason": "stolen"}, headers=bearer(by))).json()["changed"] is False
    out = await client.get("/auth/me", headers=bearer(token))
    assert (out.status_code, out.json()["code"]) == (403, "DEVICE_REVOKED")
    refresh = await client.post("/auth/refresh", json={"refreshToken": phone.json()["refreshToken"]})
    assert refresh.json()["code"] == "DEVICE_REVOKED"


@pytest.mark.parametrize("role", (Role.ENGINEER, Role.SUPERVISOR, Role.CUSTOMER_CONTACT))
async def test_only_the_office_enrols(client: httpx.AsyncClient, people: People, role: Role) -> None:
    """An engineer who could enrol phones could hand the firm's orders to anyone."""
    token = (await login(client, people, role))["accessToken"]
    answer = await client.post(
        "/devices/enrolment-codes", json={"userId": str(people.ids[Role.ENGINEER])}, headers=bearer(token)
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "NOT_ALLOWED")
    assert answer.json()["details"] == {"role": role.value, "what": "devices.enrol"}


async def test_another_organisations_device_is_not_found(
    client: httpx.AsyncClient, db: Database, people: People
) -> None:
    """Ids travel in logs and mails; knowing one must not be enough."""
    phone = await enrol(client, people, (await login(client, people))["accessToken"])
    other = await make_people(db)
    by = (await login(client, other, Role.ADMIN))["accessToken"]
    for device in (phone["deviceId"], str(new_id())):
        answer = await client.post(f"/devices/{device}/revoke", json={"reason": "x"}, headers=bearer(by))
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    answer = await client.post(
        "/devices/enrolment-codes", json={"userId": str(people.ids[Role.ENGINEER])}, headers=bearer(by)
    )
    assert answer.status_code == 404
    assert (await client.get("/auth/me", headers=bearer(phone["accessToken"]))).status_code == 200


@pytest.mark.parametrize(
    "header", ("", "Bearer", "Bearer ", "Bearer x", "Basic YTpi", "x", "Bearer a.b.c", "bearer \xff")
)
async def test_headers_that_are_no_token(client: httpx.AsyncClient, header: str) -> None:
    """Each must be a clean refusal that tells the client to sign in."""
    answer = await client.get("/auth/me", headers={b"authorization": header.encode("latin-1")})
    assert (answer.status_code, answer.json()["code"]) == (401, "NOT_AUTHENTICATED")
    assert answer.headers["www-authenticate"].startswith("Bearer")


GOOD = {"organisation": "x", "email": "a@b.c", "password": "p"}


@pytest.mark.parametrize(
    ("body", "path"),
    (
        ({**GOOD, "email": 1}, "email"),
        ({**GOOD, "email": ""}, "email"),
        ({**GOOD, "password": "x" * 201}, "password"),
        ({**GOOD, "organisation": None}, "organisation"),
        ({**GOOD, "organization": "misspelt"}, "organization"),
        ({"organisation": "x"}, "email"),
    ),
)
async def test_fields_are_named_in_refusals(client: httpx.AsyncClient, body: Any, path: str | None) -> None:
    """Without the field's name, whoever writes a client has to guess."""
    answer = await client.post("/auth/login", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "BAD_FIELD"
    assert answer.json().get("path") == path
    assert "x" * 30 not in answer.text


@pytest.mark.parametrize("url", ("/auth/login", "/auth/refresh", "/auth/enrol"))
@pytest.mark.parametrize(
    "body", (b"null", b"1", b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"email": ' + b"9" * 5000 + b"}")
)
async def test_bodies_that_are_no_object(client: httpx.AsyncClient, url: str, body: bytes) -> None:
    """Garbage must be the sender's fault and not look like ours in the alarms."""
    answer = await client.post(url, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["code"] in ("BAD_BODY", "BAD_FIELD")


async def test_refusals_are_in_the_callers_language(client: httpx.AsyncClient, people: People) -> None:
    """A dispatcher in Chengdu reads no English sentence about the password."""
    answer = await client.post(
        "/auth/login",
        json={"organisation": people.slug, "email": "nobody@x.org", "password": "wrong horse"},
        headers={"Accept-Language": "zh-CN"},
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "BAD_CREDENTIALS")
    assert "密码" in answer.json()["detail"]


async def test_limits_answer_with_the_time_to_wait(db: Database, settings: Settings, people: People) -> None:
    """A client that is not told how long to wait tries again at once, for ever."""
    limits = Limits(login_account_at_address=Limit(1, 600), enrol_address=Limit(1, 600))
    wrong = {"organisation": people.slug, "email": "guess@x.org", "password": "wrong horse"}
    code = {"organisation": str(people.org_id), "code": "AAAAAAAAAA", "deviceName": "x"}
    # Counters are keyed by the secret: another one starts from nothing.
    async with doors(
        db, settings, TokenIssuer("a secret of this test alone"), attempt_limits=limits
    ) as client:
        for url, body, first in (("/auth/login", wrong, 401), ("/auth/enrol", code, 403)):
            assert (await client.post(url, json=body)).status_code == first
            answer = await client.post(url, json=body)
            assert (answer.status_code, answer.json()["code"]) == (429, "TOO_MANY_ATTEMPTS")
            assert answer.json()["details"]["limit"] == 1
            assert 0 < answer.json()["retryAfterMs"] <= 600_000
            assert 0 < int(answer.headers["retry-after"]) <= 600


async def test_nothing_secret_is_logged(
    client: httpx.AsyncClient,
    people: People,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Logs are copied, mailed and kept: a token in one is a token given away."""
    caplog.set_level("DEBUG")
    seen = await login(client, people)
    phone = await enrol(client, people, seen["accessToken"])
    await client.post("/auth/refresh", json={"refreshToken": seen["refreshToken"]})
    await client.post("/auth/login", json={**GOOD, "password": "canary-password"})
    written = caplog.text + "".join(capsys.readouterr())
    for secret in (
        PASSWORD,
        "canary-password",
        seen["accessToken"],
        seen["refreshToken"],
        phone["refreshToken"],
    ):
        assert secret not in written
