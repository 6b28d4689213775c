"""Where a webhook may not go, whatever spelling or name leads there."""

import asyncio
from typing import Any

import pytest

from callout_backend.jobs.address import is_public, pin
from callout_store.outbox import Hopeless


@pytest.mark.parametrize(
    "address",
    (
        "127.0.0.1",
        "127.8.9.1",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.5.4",
        "192.168.1.1",
        "169.254.169.254",  # the cloud's metadata
        "100.64.0.1",  # carrier-grade NAT
        "100.100.100.200",  # another cloud's metadata
        "192.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.9",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",  # 127.0.0.1 through NAT64
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",  # 127.0.0.1 through 6to4
        "2002:a9fe:a9fe::1",
        "2001:0:0:0:0:0:80ff:fffe",  # 127.0.0.1 through Teredo
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "100::1",
        "nonsense",
    ),
)
def test_private_addresses(address: str) -> None:
    """One form overlooked lets a tenant read the cloud's credentials through our worker."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ("1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::101:101"))
def test_public_addresses(address: str) -> None:
    """A guard that refuses the internet delivers nothing."""
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    (
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://2130706433/",  # 127.0.0.1 as one number, which resolvers accept
        "https://0x7f.1/",
        "https://127.1/",
        "https://0/",
        "http://1.1.1.1/",
        "ftp://1.1.1.1/",
        "file:///etc/passwd",
        "https://user:secret@1.1.1.1/",
        "https:///x",
        "https://1.1.1.1:99999/",
        "https://[::1",
        "",
    ),
)
async def test_addresses_that_are_refused(url: str) -> None:
    """A tenant's webhook address is a way into the house's own network."""
    with pytest.raises(Hopeless):
        await pin(url, private_allowed=False)


async def test_the_checked_address_is_the_one_that_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that says "public" to the check and "127.0.0.1" to the call (rebinding) would get through."""
    answers = [["93.184.216.34"], ["127.0.0.1"]]
    asked: list[str] = []

    async def resolve(self: Any, host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(2, 1, 6, "", (address, port)) for address in answers[len(asked) - 1]]

    monkeypatch.setattr(asyncio.get_running_loop().__class__, "getaddrinfo", resolve)
    pinned = await pin("https://hooks.example.com:8443/a?b=1", private_allowed=False)
    assert pinned.url == "https://93.184.216.34:8443/a?b=1"
    assert (pinned.host, pinned.host_header) == ("hooks.example.com", "hooks.example.com:8443")
    assert asked == ["hooks.example.com"]
    with pytest.raises(Hopeless):
        await pin("https://hooks.example.com/", private_allowed=False)


async def test_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of several addresses is called is a matter of luck."""

    async def resolve(self: Any, host: str, port: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, port)) for address in ("93.184.216.34", "10.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop().__class__, "getaddrinfo", resolve)
    with pytest.raises(Hopeless):
        await pin("https://hooks.example.com/", private_allowed=False)
