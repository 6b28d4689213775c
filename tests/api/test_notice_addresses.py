"""Where a tenant's channel may lead: every request and every mail of Apprise's plugins goes to a checked address."""

import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from faulty_server import Asked
from providers import Providers, parcel

from callout_backend.jobs import address
from callout_backend.notify.by_apprise import ByApprise


class Refusing(Providers):
    """Gives no tokens."""

    def answer(self, asked: Asked) -> tuple[int, Any]:
        return 400, {}


@pytest.fixture
async def server() -> AsyncIterator[Providers]:
    async with Refusing() as made:
        yield made


def google_key(port: int) -> str:
    """A service account's key file whose tokens are fetched from this machine."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "p",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": "a@p.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"http://127.0.0.1:{port}/token",
        }
    )


@pytest.mark.parametrize("allowed", (True, False))
async def test_a_key_file_names_no_address_of_ours(server: Providers, allowed: bool) -> None:
    """A key file says where its tokens are fetched: an admin could post to any address within our network by it."""
    secret = {"url": "fcm://p/{to}/?mode=oauth2", "keyfile": google_key(server.port)}
    outcome = await ByApprise(secret, "push", private_allowed=allowed).send(parcel("push", "a" * 160))
    assert (len(server.asked) > 0) is allowed
    if not allowed:
        assert (outcome.kind, "may not be called" in str(outcome.error)) == ("refused", True)


class Rebinding:
    """A name server that names a public address when it is asked first, and ours from then on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        real = socket.getaddrinfo

        def getaddrinfo(host: Any, port: Any, *more: Any, **named: Any) -> Any:
            if host == "rebind.example":
                self.asked += 1
                host = "127.0.0.2" if self.asked == 1 else "127.0.0.1"
            return real(host, port, *more, **named)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        # Nothing listens at 127.0.0.2, which stands for the public internet here.
        monkeypatch.setattr(address, "is_public", lambda given: given == "127.0.0.2")


async def test_a_name_that_changes_its_mind_leads_nowhere(
    server: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checked first and resolved again for the call, a name would lead into our network at the second look."""
    rebinding = Rebinding(monkeypatch)
    secret = {"url": f"ntfy://rebind.example:{server.port}/{{to}}"}
    outcome = await ByApprise(secret, "push").send(parcel("push", "topic"))
    assert rebinding.asked == 1
    assert server.asked == []
    assert outcome.kind == "away"


@pytest.mark.parametrize("scheme", ("mailto", "mailtos"))
async def test_a_mail_server_that_changes_its_mind_leads_nowhere(
    scheme: str, server: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, by way of a mail."""
    rebinding = Rebinding(monkeypatch)
    url = f"{scheme}://u:p@rebind.example:{server.port}/?to={{to}}&smtp=rebind.example"
    outcome = await ByApprise({"url": url}, "email").send(parcel("email", "a@example.org"))
    assert rebinding.asked == 1
    assert server.asked == []
    assert outcome.kind in ("away", "unsure")


async def test_a_mail_server_in_our_own_network_is_not_called(server: Providers) -> None:
    """The answer says why, so that nobody waits for it to come back."""
    url = f"mailto://u:p@localhost:{server.port}/?to={{to}}&smtp=localhost"
    outcome = await ByApprise({"url": url}, "email").send(parcel("email", "a@example.org"))
    assert (outcome.kind, "may not be called" in str(outcome.error)) == ("refused", True)
    assert server.asked == []
